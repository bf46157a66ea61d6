package document

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// ParseJSON reads src as JSON (RFC 8259). It accepts what encoding/json
// accepts, with the same values, and a byte order mark before it: bytes that
// are not UTF-8 and lone surrogates count as U+FFFD. The text of a number is
// kept as it stands, however large it is.
//
// The document keeps src, which must not change any more. The error is a
// [*SyntaxError].
func ParseJSON(name string, src []byte) (*Document, error) {
	// The tree refers to the text; a copy would double the cost of large files.
	s := &source{name: name, text: unsafe.String(unsafe.SliceData(src), len(src))}
	p := jsonParser{doc: &Document{name: name, srcs: []placed{{0, s}}}, s: s.text}
	if len(src) > MaxBytes {
		p.i = 0
		return nil, p.fail("the file is larger than 64 MiB", "split it over several files with $ref")
	}
	if strings.HasPrefix(p.s, bom) {
		p.i = len(bom)
	}
	p.space()
	if p.i == len(p.s) {
		return nil, p.fail("the file is empty", "")
	}
	if err := p.value(0, 0); err != nil {
		return nil, err
	}
	p.space()
	if p.i < len(p.s) {
		return nil, p.fail(fmt.Sprintf("%s after the end of the value", p.here()), "a JSON file holds one value")
	}
	return p.doc, nil
}

type jsonParser struct {
	doc *Document
	s   string
	i   int
}

func (p *jsonParser) fail(msg, hint string) error {
	return &SyntaxError{Pos: p.doc.srcs[0].pos(p.i), Msg: msg, Hint: hint}
}

// here says what stands at the current place, for a message.
func (p *jsonParser) here() string {
	if p.i >= len(p.s) {
		return "the file ends"
	}
	r, n := utf8.DecodeRuneInString(p.s[p.i:])
	if r == utf8.RuneError && n == 1 {
		return fmt.Sprintf("byte 0x%02x", p.s[p.i])
	}
	return strconv.QuoteRune(r)
}

func (p *jsonParser) space() {
	for p.i < len(p.s) {
		if c := p.s[p.i]; c != ' ' && c != '\n' && c != '\r' && c != '\t' {
			return
		}
		p.i++
	}
}

// value reads one value at the current place, which is not a space.
func (p *jsonParser) value(parent uint32, depth int) error {
	if p.i == len(p.s) {
		return p.fail("the file ends where a value should stand", "")
	}
	if p.doc.n >= MaxNodes {
		return p.fail("the file holds too many values", "split it over several files with $ref")
	}
	c := cell{off: uint32(p.i), parent: parent}
	switch ch := p.s[p.i]; ch {
	case '{', '[':
		if depth == MaxDepth {
			return p.fail(fmt.Sprintf("more than %d objects and arrays inside each other", MaxDepth), "")
		}
		p.i++
		if ch == '{' {
			c.meta = meta(Object, 0, 0)
			return p.object(p.doc.add(c), depth+1)
		}
		c.meta = meta(Array, 0, 0)
		return p.array(p.doc.add(c), depth+1)
	case '"':
		mode, n, err := p.str()
		if err != nil {
			return err
		}
		c.meta = meta(String, mode, n)
	case 't':
		c.meta = meta(Bool, 0, 1)
		if err := p.word("true"); err != nil {
			return err
		}
	case 'f':
		c.meta = meta(Bool, 0, 0)
		if err := p.word("false"); err != nil {
			return err
		}
	case 'n':
		c.meta = meta(Null, 0, 0)
		if err := p.word("null"); err != nil {
			return err
		}
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		if err := p.number(); err != nil {
			return err
		}
		c.meta = meta(Number, modePlain, p.i-int(c.off))
	case '/', '#':
		return p.fail("JSON has no comments", "remove the comment, or name the file .yaml and write it as YAML")
	case '\'':
		return p.fail("JSON strings stand in double quotes", "")
	default:
		return p.fail(p.here()+" where a value should stand", "")
	}
	p.doc.add(c)
	return nil
}

func (p *jsonParser) object(obj uint32, depth int) error {
	n, last := 0, uint32(0)
	p.space()
	if p.i < len(p.s) && p.s[p.i] == '}' {
		p.i++
		return nil
	}
	for {
		if p.i == len(p.s) || p.s[p.i] != '"' {
			hint := ""
			if n > 0 && p.i < len(p.s) && p.s[p.i] == '}' {
				hint = "remove the comma before it"
			}
			return p.fail(p.here()+" where a key in double quotes should stand", hint)
		}
		off := p.i
		mode, length, err := p.str()
		if err != nil {
			return err
		}
		if mode == modeEscape { // decoded once, since it is compared often
			length = p.doc.addText(unescape(p.s[off+1 : off+1+length]))
			mode = modeText
		}
		key := p.doc.add(cell{off: uint32(off), meta: meta(String, mode, length), parent: obj})
		if last != 0 {
			p.doc.at(last).next = key
		}
		last = key + 1
		n++
		p.space()
		if p.i == len(p.s) || p.s[p.i] != ':' {
			return p.fail(p.here()+" where a colon should stand", "")
		}
		p.i++
		p.space()
		if err := p.value(obj, depth); err != nil {
			return err
		}
		p.space()
		if p.i == len(p.s) || p.s[p.i] != ',' && p.s[p.i] != '}' {
			return p.fail(p.here()+" where a comma or the end of the object should stand", "")
		}
		p.i++
		if p.s[p.i-1] == '}' {
			p.doc.at(obj).addN(n)
			p.doc.seal(obj)
			return nil
		}
		p.space()
	}
}

func (p *jsonParser) array(arr uint32, depth int) error {
	n, last := 0, uint32(0)
	p.space()
	if p.i < len(p.s) && p.s[p.i] == ']' {
		p.i++
		return nil
	}
	for {
		i := p.doc.n
		if err := p.value(arr, depth); err != nil {
			return err
		}
		if last != 0 {
			p.doc.at(last).next = i
		}
		last = i
		n++
		p.space()
		if p.i == len(p.s) || p.s[p.i] != ',' && p.s[p.i] != ']' {
			return p.fail(p.here()+" where a comma or the end of the array should stand", "")
		}
		p.i++
		if p.s[p.i-1] == ']' {
			p.doc.at(arr).addN(n)
			return nil
		}
		p.space()
		if p.i < len(p.s) && p.s[p.i] == ']' {
			return p.fail("']' where a value should stand", "remove the comma before it")
		}
	}
}

func (p *jsonParser) word(w string) error {
	if !strings.HasPrefix(p.s[p.i:], w) {
		return p.fail(p.here()+" where a value should stand", "strings stand in double quotes")
	}
	p.i += len(w)
	return nil
}

// str reads a string and returns how its text is kept and its length in the
// source, without the quotes.
func (p *jsonParser) str() (mode uint32, n int, err error) {
	begin := p.i
	mode = modeQuoted
	high := byte(0)
	s := p.s
	i := p.i + 1
	for {
		if i >= len(s) {
			p.i = begin
			return 0, 0, p.fail("the string does not end", "")
		}
		c := s[i]
		if c == '"' {
			break
		}
		if c < ' ' {
			p.i = i
			return 0, 0, p.fail(fmt.Sprintf("a string holds the control character 0x%02x", c), `write a line end as \n and a tab as \t`)
		}
		high |= c
		i++
		if c != '\\' {
			continue
		}
		mode = modeEscape
		if i >= len(s) {
			continue
		}
		switch s[i] {
		case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			i++
		case 'u':
			for k := 1; k <= 4; k++ {
				if i+k >= len(s) || !isHex(s[i+k]) {
					p.i = i - 1
					return 0, 0, p.fail(`\u is not followed by four hexadecimal digits`, "")
				}
			}
			i += 5
		default:
			p.i = i - 1
			return 0, 0, p.fail("unknown escape in a string", `write a backslash as \\`)
		}
	}
	if high >= utf8.RuneSelf && mode == modeQuoted && !utf8.ValidString(s[begin+1:i]) {
		mode = modeEscape
	}
	p.i = i + 1
	return mode, i - begin - 1, nil
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func (p *jsonParser) number() error {
	n := numberLen(p.s[p.i:])
	if n < 0 {
		begin := p.i
		p.i -= n + 1
		if p.i == begin+1 && p.s[begin] == '-' || p.i >= len(p.s) {
			return p.fail("the number is not complete", "")
		}
		return p.fail(p.here()+" in a number", "")
	}
	p.i += n
	if p.i < len(p.s) && '0' <= p.s[p.i] && p.s[p.i] <= '9' {
		return p.fail("a number does not begin with 0", "write it without the zero, or as a string")
	}
	return nil
}

// numberLen returns the length of the JSON number at the start of s, or
// -1-offset of the first byte that does not fit.
func numberLen(s string) int {
	i := 0
	digits := func() bool {
		from := i
		for i < len(s) && '0' <= s[i] && s[i] <= '9' {
			i++
		}
		return i > from
	}
	if i < len(s) && s[i] == '-' {
		i++
	}
	if i < len(s) && s[i] == '0' {
		i++
	} else if !digits() {
		return -1 - i
	}
	if i < len(s) && s[i] == '.' {
		i++
		if !digits() {
			return -1 - i
		}
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		if !digits() {
			return -1 - i
		}
	}
	return i
}

// unescape decodes the inside of a JSON string whose escapes are well formed.
func unescape(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r)
			i += n
			continue
		}
		if c != '\\' {
			b = append(b, c)
			i++
			continue
		}
		c = s[i+1]
		i += 2
		switch c {
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'u':
			r := hex4(s[i:])
			i += 4
			if utf16.IsSurrogate(r) {
				if strings.HasPrefix(s[i:], `\u`) {
					if both := utf16.DecodeRune(r, hex4(s[i+2:])); both != utf8.RuneError {
						b = utf8.AppendRune(b, both)
						i += 6
						continue
					}
				}
				r = utf8.RuneError
			}
			b = utf8.AppendRune(b, r)
		default:
			b = append(b, c)
		}
	}
	return string(b)
}

func hex4(s string) (r rune) {
	for i := range 4 {
		c := s[i]
		switch {
		case c >= 'a':
			c -= 'a' - 10
		case c >= 'A':
			c -= 'A' - 10
		default:
			c -= '0'
		}
		r = r<<4 | rune(c)
	}
	return r
}
