package openapi

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/document"
)

// A jsonPath is a query of RFC 9535, which Overlays name their targets by.
type jsonPath struct {
	segments []pathSegment
}

type pathSegment struct {
	descend   bool // "..": the selectors apply to every value below too
	selectors []pathSelector
}

// A pathSelector is one of the five of RFC 9535, section 2.3.
type pathSelector struct {
	kind             byte // 'n'ame, '*', 'i'ndex, 's'lice, '?'
	name             string
	start, end, step *int
	filter           pathExpr
}

// pathBudget bounds the values that one query looks at: filters inside
// descents cost the square of a document.
const pathBudget = 10_000_000

var errPathBudget = errors.New("the path looks at too many values")

// A pathRun is one evaluation.
type pathRun struct {
	root document.Node
	left int
}

// find returns the values that p selects, each once, in the order of RFC 9535.
func (p *jsonPath) find(root document.Node) ([]document.Node, error) {
	r := &pathRun{root: root, left: pathBudget}
	found := r.query(p, root)
	if r.left <= 0 {
		return nil, errPathBudget
	}
	seen := make(map[document.Node]bool, len(found))
	once := found[:0]
	for _, n := range found {
		if !seen[n] {
			seen[n] = true
			once = append(once, n)
		}
	}
	return once, nil
}

func (r *pathRun) query(p *jsonPath, from document.Node) []document.Node {
	nodes := []document.Node{from}
	for _, s := range p.segments {
		var next []document.Node
		for _, n := range nodes {
			if s.descend {
				r.descend(n, s.selectors, &next)
			} else {
				r.selectAll(n, s.selectors, &next)
			}
			if r.left <= 0 {
				return nil
			}
		}
		nodes = next
	}
	return nodes
}

func (r *pathRun) descend(n document.Node, sels []pathSelector, out *[]document.Node) {
	if r.left <= 0 {
		return
	}
	r.selectAll(n, sels, out)
	for _, v := range n.Members() {
		r.descend(v, sels, out)
	}
	for _, v := range n.Elements() {
		r.descend(v, sels, out)
	}
}

func (r *pathRun) selectAll(n document.Node, sels []pathSelector, out *[]document.Node) {
	for i := range sels {
		r.left--
		r.selectOne(n, &sels[i], out)
	}
}

func (r *pathRun) selectOne(n document.Node, s *pathSelector, out *[]document.Node) {
	switch s.kind {
	case 'n':
		if v := n.Get(s.name); v.Valid() {
			*out = append(*out, v)
		}
	case '*', '?':
		for v := range children(n) {
			if r.left--; r.left <= 0 {
				return
			}
			if s.kind == '*' || s.filter.test(r, v) {
				*out = append(*out, v)
			}
		}
	case 'i':
		i := *s.start
		if i < 0 {
			i += n.Len()
		}
		if n.IsArray() && i >= 0 && i < n.Len() {
			*out = append(*out, n.At("/"+strconv.Itoa(i)))
		}
	case 's':
		if !n.IsArray() {
			return
		}
		all := make([]document.Node, 0, n.Len())
		for _, v := range n.Elements() {
			all = append(all, v)
		}
		r.left -= len(all)
		*out = append(*out, slice(all, s)...)
	}
}

func children(n document.Node) func(func(document.Node) bool) {
	return func(yield func(document.Node) bool) {
		for _, v := range n.Members() {
			if !yield(v) {
				return
			}
		}
		for _, v := range n.Elements() {
			if !yield(v) {
				return
			}
		}
	}
}

// slice is the algorithm of RFC 9535, section 2.3.4.2.2.
func slice(all []document.Node, s *pathSelector) []document.Node {
	n, step := len(all), 1
	if s.step != nil {
		step = *s.step
	}
	if step == 0 {
		return nil
	}
	start, end := 0, n
	if step < 0 {
		start, end = n-1, -n-1
	}
	if s.start != nil {
		start = *s.start
	}
	if s.end != nil {
		end = *s.end
	}
	if start < 0 {
		start += n
	}
	if end < 0 {
		end += n
	}
	var out []document.Node
	if step > 0 {
		for i := min(max(start, 0), n); i < min(max(end, 0), n); i += step {
			out = append(out, all[i])
		}
		return out
	}
	for i := min(max(start, -1), n-1); i > min(max(end, -1), n-1); i += step {
		out = append(out, all[i])
	}
	return out
}

// A pathExpr is a logical expression of a filter. Exactly one of its forms is
// set.
type pathExpr struct {
	op          byte // '|', '&', '!', 'c'ompare, 'e'xists, 'f'unction
	sub         []pathExpr
	left, right pathOperand
	compare     string
	query       pathOperand
}

// A pathOperand is what can be compared or given to a function.
type pathOperand struct {
	kind    byte // 'l'iteral, 'q'uery, 'f'unction
	literal pathValue
	query   *jsonPath
	current bool // the query begins at "@", not "$"
	name    string
	args    []pathOperand
	pattern *regexp.Regexp // of match and search, where it is a literal
}

// A pathValue is a JSON value, or nothing.
type pathValue struct {
	kind document.Kind
	num  float64
	text string
	b    bool
	node document.Node // arrays and objects
}

func nodeValue(n document.Node) pathValue {
	v := pathValue{kind: n.Kind(), node: n}
	switch v.kind {
	case document.Number:
		v.num, _ = n.Float()
	case document.String:
		v.text = n.Text()
	case document.Bool:
		v.b = n.Bool()
	}
	return v
}

func (e *pathExpr) test(r *pathRun, at document.Node) bool {
	if r.left--; r.left <= 0 {
		return false
	}
	switch e.op {
	case '|':
		for i := range e.sub {
			if e.sub[i].test(r, at) {
				return true
			}
		}
		return false
	case '&':
		for i := range e.sub {
			if !e.sub[i].test(r, at) {
				return false
			}
		}
		return true
	case '!':
		return !e.sub[0].test(r, at)
	case 'e':
		return len(e.query.nodes(r, at)) > 0
	case 'f':
		return e.query.matches(r, at)
	}
	a, b := e.left.value(r, at), e.right.value(r, at)
	switch e.compare {
	case "==":
		return equal(r, a, b)
	case "!=":
		return !equal(r, a, b)
	case "<":
		return less(a, b)
	case "<=":
		return less(a, b) || equal(r, a, b)
	case ">":
		return less(b, a)
	}
	return less(b, a) || equal(r, a, b)
}

func less(a, b pathValue) bool {
	if a.kind != b.kind {
		return false
	}
	return a.kind == document.Number && a.num < b.num || a.kind == document.String && a.text < b.text
}

func equal(r *pathRun, a, b pathValue) bool {
	if r.left--; r.left <= 0 || a.kind != b.kind {
		return false
	}
	switch a.kind {
	case document.Number:
		return a.num == b.num
	case document.String:
		return a.text == b.text
	case document.Bool:
		return a.b == b.b
	case document.Array:
		if a.node.Len() != b.node.Len() {
			return false
		}
		var other []document.Node
		for _, v := range b.node.Elements() {
			other = append(other, v)
		}
		for i, v := range a.node.Elements() {
			if !equal(r, nodeValue(v), nodeValue(other[i])) {
				return false
			}
		}
	case document.Object:
		if a.node.Len() != b.node.Len() {
			return false
		}
		for k, v := range a.node.Members() {
			if !equal(r, nodeValue(v), nodeValue(b.node.Get(k))) {
				return false
			}
		}
	}
	return true // null and null, nothing and nothing
}

func (o *pathOperand) nodes(r *pathRun, at document.Node) []document.Node {
	if !o.current {
		at = r.root
	}
	return r.query(o.query, at)
}

func (o *pathOperand) value(r *pathRun, at document.Node) pathValue {
	switch o.kind {
	case 'l':
		return o.literal
	case 'q':
		if found := o.nodes(r, at); len(found) == 1 {
			return nodeValue(found[0])
		}
		return pathValue{}
	}
	switch o.name {
	case "count":
		return pathValue{kind: document.Number, num: float64(len(o.args[0].nodes(r, at)))}
	case "value":
		if found := o.args[0].nodes(r, at); len(found) == 1 {
			return nodeValue(found[0])
		}
	case "length":
		switch v := o.args[0].value(r, at); v.kind {
		case document.String:
			return pathValue{kind: document.Number, num: float64(utf8.RuneCountInString(v.text))}
		case document.Array, document.Object:
			return pathValue{kind: document.Number, num: float64(v.node.Len())}
		}
	}
	return pathValue{}
}

// matches evaluates match and search.
func (o *pathOperand) matches(r *pathRun, at document.Node) bool {
	text := o.args[0].value(r, at)
	re := o.pattern
	if re == nil {
		p := o.args[1].value(r, at)
		if p.kind != document.String {
			return false
		}
		re = iRegexp(p.text, o.name == "match")
	}
	return re != nil && text.kind == document.String && re.MatchString(text.text)
}

// iRegexp compiles a pattern of RFC 9485, in which a dot matches no line end
// of either kind. It returns nil where it is not one.
func iRegexp(p string, whole bool) *regexp.Regexp {
	var b strings.Builder
	class := false
	for i := 0; i < len(p); i++ {
		switch c := p[i]; {
		case c == '\\' && i+1 < len(p):
			b.WriteByte(c)
			i++
			b.WriteByte(p[i])
			continue
		case c == '[':
			class = true
		case c == ']':
			class = false
		case c == '.' && !class:
			b.WriteString(`[^\n\r]`)
			continue
		}
		b.WriteByte(p[i])
	}
	src := b.String()
	if whole {
		src = "^(?:" + src + ")$"
	}
	re, err := regexp.Compile(src)
	if err != nil {
		return nil
	}
	return re
}

// parsePath reads a query of RFC 9535.
func parsePath(s string) (*jsonPath, error) {
	p := &pathParser{s: s}
	if !p.take("$") {
		return nil, p.fail(`a path begins with "$"`)
	}
	q, err := p.segments()
	if err != nil {
		return nil, err
	}
	if p.i < len(s) {
		return nil, p.fail("this is not part of a path")
	}
	return q, nil
}

type pathParser struct {
	s     string
	i     int
	depth int
}

func (p *pathParser) fail(msg string) error {
	return fmt.Errorf("%s, at character %d", msg, utf8.RuneCountInString(p.s[:min(p.i, len(p.s))])+1)
}

func (p *pathParser) peek() byte {
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0
}

func (p *pathParser) take(t string) bool {
	if strings.HasPrefix(p.s[p.i:], t) {
		p.i += len(t)
		return true
	}
	return false
}

func (p *pathParser) space() {
	for p.i < len(p.s) && strings.IndexByte(" \t\r\n", p.s[p.i]) >= 0 {
		p.i++
	}
}

func (p *pathParser) segments() (*jsonPath, error) {
	q := &jsonPath{}
	for {
		from := p.i
		p.space()
		var seg pathSegment
		switch {
		case p.take(".."):
			seg.descend = true
			if p.peek() == '[' {
				break
			}
			if err := p.shorthand(&seg); err != nil {
				return nil, err
			}
			q.segments = append(q.segments, seg)
			continue
		case p.take("."):
			if err := p.shorthand(&seg); err != nil {
				return nil, err
			}
			q.segments = append(q.segments, seg)
			continue
		case p.peek() != '[':
			p.i = from // spaces belong to what follows
			return q, nil
		}
		p.i++
		for {
			p.space()
			sel, err := p.selector()
			if err != nil {
				return nil, err
			}
			seg.selectors = append(seg.selectors, sel)
			p.space()
			if p.take("]") {
				break
			}
			if !p.take(",") {
				return nil, p.fail(`"," or "]" is missing`)
			}
		}
		q.segments = append(q.segments, seg)
	}
}

func (p *pathParser) shorthand(seg *pathSegment) error {
	if p.take("*") {
		seg.selectors = []pathSelector{{kind: '*'}}
		return nil
	}
	from := p.i
	for p.i < len(p.s) {
		c := p.s[p.i]
		if c == '_' || c >= 0x80 || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || p.i > from && '0' <= c && c <= '9' {
			p.i++
			continue
		}
		break
	}
	if p.i == from {
		return p.fail("a name is missing; names with other characters than letters, digits and _ stand in ['…']")
	}
	seg.selectors = []pathSelector{{kind: 'n', name: p.s[from:p.i]}}
	return nil
}

func (p *pathParser) selector() (pathSelector, error) {
	switch c := p.peek(); {
	case c == '\'' || c == '"':
		name, err := p.quoted()
		return pathSelector{kind: 'n', name: name}, err
	case c == '*':
		p.i++
		return pathSelector{kind: '*'}, nil
	case c == '?':
		p.i++
		p.space()
		e, err := p.or()
		return pathSelector{kind: '?', filter: e}, err
	case c == ':' || c == '-' || '0' <= c && c <= '9':
		sel := pathSelector{kind: 'i'}
		parts := [3]**int{&sel.start, &sel.end, &sel.step}
		for k := 0; ; k++ {
			if c := p.peek(); c == '-' || '0' <= c && c <= '9' {
				n, err := p.integer()
				if err != nil {
					return sel, err
				}
				*parts[k] = &n
			}
			save := p.i
			p.space()
			if k == 2 || !p.take(":") {
				p.i = save
				return sel, nil
			}
			sel.kind = 's'
			p.space()
		}
	}
	return pathSelector{}, p.fail("a name in quotes, a number, *, a slice or a filter is missing")
}

func (p *pathParser) integer() (int, error) {
	from := p.i
	p.take("-")
	for '0' <= p.peek() && p.peek() <= '9' {
		p.i++
	}
	t := p.s[from:p.i]
	n, err := strconv.Atoi(t)
	if digits := strings.TrimPrefix(t, "-"); err != nil || n >= 1<<53 || n <= -1<<53 || t == "-0" || len(digits) > 1 && digits[0] == '0' {
		p.i = from
		return 0, p.fail("this is not a whole number that JSONPath has")
	}
	return n, nil
}

func (p *pathParser) quoted() (string, error) {
	quote := p.s[p.i]
	begin := p.i
	p.i++
	var b strings.Builder
	for p.i < len(p.s) {
		c := p.s[p.i]
		switch {
		case c == quote:
			p.i++
			return b.String(), nil
		case c < ' ':
			return "", p.fail("a control character stands in a name")
		case c != '\\':
			b.WriteByte(c)
			p.i++
			continue
		}
		p.i++
		e := p.peek()
		p.i++
		switch e {
		case 'b':
			b.WriteByte('\b')
		case 'f':
			b.WriteByte('\f')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 't':
			b.WriteByte('\t')
		case '/', '\\', quote:
			b.WriteByte(e)
		case 'u':
			// JSON's own decoder knows about surrogates.
			end := p.i + 4
			if end <= len(p.s) && strings.HasPrefix(p.s[end:], `\u`) && end+6 <= len(p.s) {
				if r, ok := unicodeEscape(p.s[p.i-2 : end+6]); ok && r > 0xFFFF {
					b.WriteRune(r)
					p.i = end + 6
					continue
				}
			}
			if end > len(p.s) {
				return "", p.fail("an escape is not complete")
			}
			r, ok := unicodeEscape(p.s[p.i-2 : end])
			if !ok || r == utf8.RuneError {
				return "", p.fail("an escape is no character")
			}
			b.WriteRune(r)
			p.i = end
		default:
			p.i--
			return "", p.fail("unknown escape")
		}
	}
	p.i = begin
	return "", p.fail("the quote does not end")
}

// unicodeEscape decodes one character written as \uXXXX or a pair of them.
func unicodeEscape(s string) (rune, bool) {
	d, err := document.ParseJSON("", []byte(`"`+s+`"`))
	if err != nil {
		return 0, false
	}
	t := d.Root().Text()
	r, n := utf8.DecodeRuneInString(t)
	return r, n == len(t)
}

const maxPathDepth = 100

func (p *pathParser) or() (pathExpr, error) {
	if p.depth++; p.depth > maxPathDepth {
		return pathExpr{}, p.fail("the filter is nested too deeply")
	}
	defer func() { p.depth-- }()
	return p.chain('|', "||", func() (pathExpr, error) { return p.chain('&', "&&", p.basic) })
}

func (p *pathParser) chain(op byte, sign string, part func() (pathExpr, error)) (pathExpr, error) {
	first, err := part()
	if err != nil {
		return first, err
	}
	all := []pathExpr{first}
	for {
		from := p.i
		p.space()
		if !p.take(sign) {
			p.i = from
			break
		}
		p.space()
		next, err := part()
		if err != nil {
			return next, err
		}
		all = append(all, next)
	}
	if len(all) == 1 {
		return first, nil
	}
	return pathExpr{op: op, sub: all}, nil
}

func (p *pathParser) basic() (pathExpr, error) {
	if p.peek() == '!' {
		p.i++
		p.space()
		var e pathExpr
		var err error
		if p.peek() == '(' {
			e, err = p.basic()
		} else {
			e, err = p.test(false)
		}
		return pathExpr{op: '!', sub: []pathExpr{e}}, err
	}
	if p.take("(") {
		p.space()
		e, err := p.or()
		if err != nil {
			return e, err
		}
		p.space()
		if !p.take(")") {
			return e, p.fail(`")" is missing`)
		}
		return e, nil
	}
	return p.test(true)
}

// test reads an existence test, a function, or a comparison.
func (p *pathParser) test(mayCompare bool) (pathExpr, error) {
	begin := p.i
	left, err := p.operand()
	if err != nil {
		return pathExpr{}, err
	}
	from := p.i
	p.space()
	for _, sign := range [...]string{"==", "!=", "<=", ">=", "<", ">"} {
		if !mayCompare || !p.take(sign) {
			continue
		}
		p.space()
		right, err := p.operand()
		if err != nil {
			return pathExpr{}, err
		}
		for _, o := range [...]*pathOperand{&left, &right} {
			if !o.single() {
				p.i = begin
				return pathExpr{}, p.fail("only single values can be compared")
			}
		}
		return pathExpr{op: 'c', compare: sign, left: left, right: right}, nil
	}
	p.i = from
	switch {
	case left.kind == 'q':
		return pathExpr{op: 'e', query: left}, nil
	case left.kind == 'f' && (left.name == "match" || left.name == "search"):
		return pathExpr{op: 'f', query: left}, nil
	}
	return pathExpr{}, p.fail("a comparison is missing")
}

// single reports whether the operand is one value at most (RFC 9535, 2.4.3).
func (o *pathOperand) single() bool {
	switch o.kind {
	case 'l':
		return true
	case 'f':
		return o.name != "match" && o.name != "search"
	}
	for _, s := range o.query.segments {
		if s.descend || len(s.selectors) != 1 || s.selectors[0].kind != 'n' && s.selectors[0].kind != 'i' {
			return false
		}
	}
	return true
}

func (p *pathParser) operand() (pathOperand, error) {
	switch c := p.peek(); {
	case c == '@' || c == '$':
		p.i++
		q, err := p.segments()
		return pathOperand{kind: 'q', query: q, current: c == '@'}, err
	case c == '\'' || c == '"':
		t, err := p.quoted()
		return pathOperand{kind: 'l', literal: pathValue{kind: document.String, text: t}}, err
	case c == '-' || '0' <= c && c <= '9':
		from := p.i
		for p.i < len(p.s) && strings.IndexByte("+-.eE0123456789", p.s[p.i]) >= 0 {
			p.i++
		}
		d, err := document.ParseJSON("", []byte(p.s[from:p.i]))
		if err != nil {
			p.i = from
			return pathOperand{}, p.fail("this is not a number")
		}
		f, ok := d.Root().Float()
		if !ok {
			f = math.Inf(1)
		}
		return pathOperand{kind: 'l', literal: pathValue{kind: document.Number, num: f}}, nil
	case 'a' <= c && c <= 'z':
		from := p.i
		for c := p.peek(); c == '_' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9'; c = p.peek() {
			p.i++
		}
		switch name := p.s[from:p.i]; name {
		case "true", "false":
			return pathOperand{kind: 'l', literal: pathValue{kind: document.Bool, b: name == "true"}}, nil
		case "null":
			return pathOperand{kind: 'l', literal: pathValue{kind: document.Null}}, nil
		case "length", "count", "value", "match", "search":
			if p.take("(") {
				return p.function(name, from)
			}
		}
		p.i = from
		return pathOperand{}, p.fail("unknown function; there are length, count, match, search and value")
	}
	return pathOperand{}, p.fail("a value, @ or $ is missing")
}

func (p *pathParser) function(name string, from int) (pathOperand, error) {
	o := pathOperand{kind: 'f', name: name}
	if p.depth++; p.depth > maxPathDepth {
		return o, p.fail("the filter is nested too deeply")
	}
	defer func() { p.depth-- }()
	for {
		p.space()
		arg, err := p.operand()
		if err != nil {
			return o, err
		}
		o.args = append(o.args, arg)
		p.space()
		if p.take(")") {
			break
		}
		if !p.take(",") {
			return o, p.fail(`"," or ")" is missing`)
		}
	}
	want := 1
	if name == "match" || name == "search" {
		want = 2
	}
	fits := len(o.args) == want
	for i := range o.args {
		if name == "count" || name == "value" {
			fits = fits && o.args[i].kind == 'q'
		} else {
			fits = fits && o.args[i].single()
		}
	}
	if !fits {
		p.i = from
		return o, p.fail("the arguments of " + name + " do not fit")
	}
	if want == 2 && o.args[1].kind == 'l' {
		o.pattern = iRegexp(o.args[1].literal.text, name == "match")
		if o.pattern == nil {
			p.i = from
			return o, p.fail("the pattern of " + name + " cannot be compiled")
		}
	}
	return o, nil
}
