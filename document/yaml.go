package document

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"go.yaml.in/yaml/v3"
)

// maxAliased bounds the values that aliases and merge keys bring in, so that
// a file of a few lines cannot grow to fill the memory.
const maxAliased = 1 << 20

// ParseYAML reads src as one YAML document. Plain scalars are resolved by the
// core schema of YAML 1.2 (section 10.3.2): "yes", "on", "0777" and dates are
// not booleans, octal numbers or times. Merge keys ("<<") are applied. What
// JSON cannot say (.inf, .nan) is a string; keys are the text that stands
// there. Numbers that JSON writes differently (0x1F, .5, +1) have their text
// rewritten.
//
// The document keeps src, which must not change any more. The error is a
// [*SyntaxError].
func ParseYAML(name string, src []byte) (doc *Document, err error) {
	s := &source{name: name, text: unsafe.String(unsafe.SliceData(src), len(src))}
	p := yamlParser{doc: &Document{name: name, srcs: []placed{{0, s}}}, src: s}
	if len(src) > MaxBytes {
		return nil, p.fail(0, "the file is larger than 64 MiB", "split it over several files with $ref")
	}
	if bytes.HasPrefix(src, []byte{0xFF, 0xFE}) || bytes.HasPrefix(src, []byte{0xFE, 0xFF}) {
		return nil, p.fail(0, "the file is written in UTF-16", "save it as UTF-8")
	}
	// The library panics only by mistake; a fault of its must not take the
	// process down at a reload.
	defer func() {
		if r := recover(); r != nil {
			doc, err = nil, p.fail(0, fmt.Sprintf("the YAML cannot be read: %v", r), "")
		}
	}()
	var root yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(src))
	if err := dec.Decode(&root); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, p.fail(0, "the file is empty", "")
		}
		return nil, p.foreign(err)
	}
	var second yaml.Node
	if err := dec.Decode(&second); err == nil {
		return nil, p.fail(p.offset(&second), "a second YAML document begins here", "keep one document in each file")
	} else if !errors.Is(err, io.EOF) {
		return nil, p.foreign(err)
	}
	p.active = make(map[*yaml.Node]bool)
	if len(root.Content) != 1 {
		return nil, p.fail(0, "the file is empty", "")
	}
	if err := p.value(root.Content[0], 0, 0); err != nil {
		return nil, err
	}
	// Hidden members were found while their object was being closed, which
	// is inside out.
	slices.SortStableFunc(p.doc.dups, func(a, b Duplicate) int {
		return a.Pos.Line<<20 + a.Pos.Col - (b.Pos.Line<<20 + b.Pos.Col)
	})
	return p.doc, nil
}

type yamlParser struct {
	doc     *Document
	src     *source
	lines   []uint32 // where each line begins, as the library counts lines
	active  map[*yaml.Node]bool
	aliased int // depth of aliases that the current node comes through
	extra   int // cells that came through aliases
}

func (p *yamlParser) fail(off uint32, msg, hint string) error {
	return &SyntaxError{Pos: p.src.pos(int(off)), Msg: msg, Hint: hint}
}

var yamlErrorLine = regexp.MustCompile(`^line (\d+): `)

// foreign turns an error of the library, which has only a line in its text,
// into ours.
func (p *yamlParser) foreign(err error) error {
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	pos := Pos{File: p.src.name, Line: 1, Col: 1}
	if m := yamlErrorLine.FindStringSubmatch(msg); m != nil {
		msg = msg[len(m[0]):]
		line, _ := strconv.Atoi(m[1])
		pos = p.src.pos(int(p.place(line, 1)))
	}
	hint := ""
	if strings.Contains(msg, "cannot start any token") && strings.Contains(p.src.text, "\t") {
		hint = "YAML is indented with spaces, not tabs"
	}
	return &SyntaxError{Pos: pos, Msg: "the YAML cannot be read: " + msg, Hint: hint}
}

// place turns the library's line and column, which count characters and all
// line ends of YAML 1.1, into an offset.
func (p *yamlParser) place(line, col int) uint32 {
	t := p.src.text
	if p.lines == nil {
		i := 0
		if strings.HasPrefix(t, bom) {
			i = len(bom)
		}
		p.lines = append(p.lines, uint32(i))
		for i < len(t) {
			n := 0
			switch {
			case t[i] == '\n':
				n = 1
			case t[i] == '\r':
				n = 1
				if i+1 < len(t) && t[i+1] == '\n' {
					n = 2
				}
			case t[i] == 0xC2 && strings.HasPrefix(t[i:], "\u0085"):
				n = 2
			case t[i] == 0xE2 && (strings.HasPrefix(t[i:], "\u2028") || strings.HasPrefix(t[i:], "\u2029")):
				n = 3
			}
			if n == 0 {
				i++
				continue
			}
			i += n
			p.lines = append(p.lines, uint32(i))
		}
	}
	if line < 1 {
		return 0
	}
	if line > len(p.lines) {
		return uint32(len(t))
	}
	i := int(p.lines[line-1])
	for ; col > 1 && i < len(t); col-- {
		i++
		for i < len(t) && t[i]&0xC0 == 0x80 {
			i++
		}
	}
	return uint32(i)
}

func (p *yamlParser) offset(n *yaml.Node) uint32 { return p.place(n.Line, n.Column) }

// add appends a cell, or says that there are too many.
func (p *yamlParser) add(n *yaml.Node, c cell) (uint32, error) {
	if p.doc.n >= MaxNodes {
		return 0, p.fail(c.off, "the file holds too many values", "split it over several files with $ref")
	}
	if p.aliased > 0 {
		if p.extra++; p.extra > maxAliased {
			return 0, p.fail(c.off, "aliases make the file too large", "write the value out, or use $ref")
		}
	}
	return p.doc.add(c), nil
}

func (p *yamlParser) value(n *yaml.Node, parent uint32, depth int) error {
	if n.Kind == yaml.AliasNode {
		if p.active[n.Alias] {
			return p.fail(p.offset(n), fmt.Sprintf("the alias *%s stands inside the value that it names", n.Value), "")
		}
		p.active[n.Alias] = true
		p.aliased++
		err := p.value(n.Alias, parent, depth)
		p.aliased--
		delete(p.active, n.Alias)
		return err
	}
	c := cell{off: p.offset(n), parent: parent}
	if n.Kind == yaml.ScalarNode {
		p.scalar(&c, n)
		_, err := p.add(n, c)
		return err
	}
	if depth == MaxDepth {
		return p.fail(c.off, fmt.Sprintf("more than %d objects and arrays inside each other", MaxDepth), "")
	}
	if n.Anchor != "" && p.aliased == 0 {
		p.active[n] = true // an alias in here to here would never end
		defer delete(p.active, n)
	}
	switch n.Kind {
	case yaml.SequenceNode:
		c.meta = meta(Array, 0, 0)
		arr, err := p.add(n, c)
		if err != nil {
			return err
		}
		last := uint32(0)
		for _, e := range n.Content {
			i := p.doc.n
			if err := p.value(e, arr, depth+1); err != nil {
				return err
			}
			if last != 0 {
				p.doc.at(last).next = i
			}
			last = i
		}
		p.doc.at(arr).addN(len(n.Content))
		return nil
	case yaml.MappingNode:
		c.meta = meta(Object, 0, 0)
		obj, err := p.add(n, c)
		if err != nil {
			return err
		}
		return p.mapping(n, obj, depth+1)
	}
	return p.fail(c.off, "the value cannot be read", "")
}

func (p *yamlParser) mapping(n *yaml.Node, obj uint32, depth int) error {
	m := members{obj: obj}
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if isMerge(k) {
			merged = append(merged, v)
			continue
		}
		if err := p.member(&m, k, v, depth); err != nil {
			return err
		}
	}
	p.doc.at(obj).addN(m.n)
	p.doc.seal(obj)
	if merged == nil {
		return nil
	}
	// What the object says itself comes before what is merged into it, and an
	// earlier merge before a later one.
	seen := make(map[string]bool)
	for k := p.doc.firstChild(obj); k != 0; k = p.doc.nextChild(Object, k) {
		seen[p.doc.text(k)] = true
	}
	before := m.n
	for _, v := range merged {
		if err := p.merge(&m, v, seen, depth); err != nil {
			return err
		}
	}
	p.doc.at(obj).addN(m.n - before)
	p.doc.seal(obj)
	return nil
}

// members is an object that is being filled.
type members struct {
	obj, last uint32
	n         int
}

func (p *yamlParser) member(m *members, k, v *yaml.Node, depth int) error {
	at := k
	if k.Kind == yaml.AliasNode {
		k = k.Alias
	}
	if k.Kind != yaml.ScalarNode {
		return p.fail(p.offset(at), "a key is an object or array", "keys are strings; quote the key if it begins with { or [")
	}
	c := cell{off: p.offset(at), parent: m.obj}
	c.meta = p.textMeta(String, c.off, k.Value)
	i, err := p.add(k, c)
	if err != nil {
		return err
	}
	if m.last != 0 {
		p.doc.at(m.last).next = i
	}
	m.last = i + 1
	m.n++
	return p.value(v, m.obj, depth)
}

func isMerge(k *yaml.Node) bool {
	return k.Kind == yaml.ScalarNode && k.Value == "<<" && k.Tag == "!!merge"
}

// merge adds the members of a "<<" value that are not there yet.
func (p *yamlParser) merge(m *members, v *yaml.Node, seen map[string]bool, depth int) error {
	if depth > MaxDepth {
		return p.fail(p.offset(v), fmt.Sprintf("more than %d objects and arrays inside each other", MaxDepth), "")
	}
	switch v.Kind {
	case yaml.AliasNode:
		if p.active[v.Alias] {
			return p.fail(p.offset(v), fmt.Sprintf("the alias *%s stands inside the value that it names", v.Value), "")
		}
		p.active[v.Alias] = true
		p.aliased++
		err := p.merge(m, v.Alias, seen, depth+1)
		p.aliased--
		delete(p.active, v.Alias)
		return err
	case yaml.SequenceNode:
		for _, e := range v.Content {
			if err := p.merge(m, e, seen, depth+1); err != nil {
				return err
			}
		}
		return nil
	case yaml.MappingNode:
		var deeper []*yaml.Node
		for i := 0; i+1 < len(v.Content); i += 2 {
			k, e := v.Content[i], v.Content[i+1]
			if isMerge(k) {
				deeper = append(deeper, e)
				continue
			}
			// Merging costs time also where nothing is added.
			if p.extra++; p.extra > maxAliased {
				return p.fail(p.offset(v), "aliases make the file too large", "write the value out, or use $ref")
			}
			text := k.Value
			if k.Kind == yaml.AliasNode {
				text = k.Alias.Value
			}
			if seen[text] {
				continue
			}
			seen[text] = true
			if err := p.member(m, k, e, depth); err != nil {
				return err
			}
		}
		for _, e := range deeper {
			if err := p.merge(m, e, seen, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	return p.fail(p.offset(v), `"<<" merges objects only`, "name an alias of an object, or a list of them")
}

// textMeta keeps a text by its place in the source where it stands there as it is.
func (p *yamlParser) textMeta(k Kind, off uint32, text string) uint32 {
	if t := p.src.text[off:]; len(text) < MaxBytes {
		if strings.HasPrefix(t, text) {
			return meta(k, modePlain, len(text))
		}
		if t != "" && (t[0] == '"' || t[0] == '\'') && strings.HasPrefix(t[1:], text) {
			return meta(k, modeQuoted, len(text))
		}
	}
	return meta(k, modeText, p.doc.addText(text))
}

// scalar resolves a scalar by the core schema.
func (p *yamlParser) scalar(c *cell, n *yaml.Node) {
	kind, text := String, n.Value
	plain := n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0
	tagged := n.Style&yaml.TaggedStyle != 0
	switch {
	case tagged:
		switch n.Tag {
		case "!!null", "!!bool", "!!int", "!!float":
			kind, text = resolve(n.Value)
		}
	case plain:
		kind, text = resolve(n.Value)
	}
	switch kind {
	case Null:
		c.meta = meta(Null, 0, 0)
	case Bool:
		c.meta = meta(Bool, 0, 0)
		if text == "true" {
			c.meta = meta(Bool, 0, 1)
		}
	default:
		c.meta = p.textMeta(kind, c.off, text)
	}
}

// resolve gives a plain scalar its JSON type and text (YAML 1.2, 10.3.2).
func resolve(s string) (Kind, string) {
	switch s {
	case "", "~", "null", "Null", "NULL":
		return Null, "null"
	case "true", "True", "TRUE":
		return Bool, "true"
	case "false", "False", "FALSE":
		return Bool, "false"
	}
	if c := s[0]; c != '+' && c != '-' && c != '.' && (c < '0' || c > '9') {
		return String, s
	}
	if numberLen(s) == len(s) {
		return Number, s
	}
	if len(s) > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'o') {
		base := 16
		if s[1] == 'o' {
			base = 8
		}
		// A sign or underscore inside would be read by SetString, but is not YAML.
		if i, ok := new(big.Int).SetString(s[2:], base); ok && len(s) <= 64 && !strings.ContainsAny(s[2:], "+-_") {
			return Number, i.String()
		}
		return String, s
	}
	// [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?
	sign, t := "", s
	if t[0] == '+' || t[0] == '-' {
		if t[0] == '-' {
			sign = "-"
		}
		t = t[1:]
	}
	whole := digits(t)
	t = t[len(whole):]
	fraction, exponent := "", ""
	point := strings.HasPrefix(t, ".")
	if point {
		fraction = digits(t[1:])
		t = t[1+len(fraction):]
	}
	if whole == "" && fraction == "" {
		return String, s
	}
	if t != "" && (t[0] == 'e' || t[0] == 'E') {
		e := t[1:]
		if e != "" && (e[0] == '+' || e[0] == '-') {
			e = e[1:]
		}
		if d := digits(e); d == "" || d != e {
			return String, s
		}
		exponent, t = t, ""
	}
	if t != "" {
		return String, s
	}
	whole = strings.TrimLeft(whole, "0")
	if whole == "" {
		whole = "0"
	}
	if point {
		if fraction == "" {
			fraction = "0"
		}
		whole += "." + fraction
	}
	return Number, sign + whole + exponent
}

func digits(s string) string {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return s[:i]
		}
	}
	return s
}
