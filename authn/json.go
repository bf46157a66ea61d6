package authn

import (
	"errors"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Bounds of a JSON text: deeper or wider is no token.
const (
	maxDepth   = 12
	maxMembers = 1000 // of one object or array
)

// An object is a parsed JSON object, a number a number as it was written. The
// other values are string, bool, nil and []any.
type (
	object map[string]any
	number string
)

var (
	errJSON  = errors.New("not JSON in the strict sense")
	errTwice = errors.New("not JSON in the strict sense: a name stands twice in an object")
)

// parseObject reads a JSON text that is one object, in the strict sense of
// RFC 8259: no name twice in an object after unescaping, no lone surrogates,
// valid UTF-8, nothing behind it. Parsers differ in all of these, and a token
// that two of them read differently is an attack (RFC 8725 section 2.4).
func parseObject(b []byte) (object, error) {
	if !utf8.Valid(b) {
		return nil, errJSON
	}
	p := parser{b: b}
	p.space()
	if p.at() != '{' {
		return nil, errJSON
	}
	v, ok := p.value(0)
	p.space()
	if p.twice {
		return nil, errTwice
	}
	if !ok || p.i != len(b) {
		return nil, errJSON
	}
	return v.(object), nil
}

type parser struct {
	b     []byte
	i     int
	twice bool
}

func (p *parser) at() byte {
	if p.i < len(p.b) {
		return p.b[p.i]
	}
	return 0
}

func (p *parser) space() {
	for p.i < len(p.b) {
		switch p.b[p.i] {
		case ' ', '\t', '\n', '\r':
			p.i++
		default:
			return
		}
	}
}

func (p *parser) take(c byte) bool {
	p.space()
	if p.at() == c && p.i < len(p.b) {
		p.i++
		return true
	}
	return false
}

func (p *parser) literal(s string) bool {
	if len(p.b)-p.i >= len(s) && string(p.b[p.i:p.i+len(s)]) == s {
		p.i += len(s)
		return true
	}
	return false
}

func (p *parser) value(depth int) (any, bool) {
	if depth > maxDepth {
		return nil, false
	}
	p.space()
	switch c := p.at(); {
	case c == '{':
		return p.object(depth)
	case c == '[':
		return p.array(depth)
	case c == '"':
		return p.string()
	case c == 't':
		return true, p.literal("true")
	case c == 'f':
		return false, p.literal("false")
	case c == 'n':
		return nil, p.literal("null")
	}
	return p.number()
}

func (p *parser) object(depth int) (any, bool) {
	p.i++
	o := object{}
	if p.take('}') {
		return o, true
	}
	for {
		p.space()
		if p.at() != '"' {
			return nil, false
		}
		name, ok := p.string()
		if !ok || !p.take(':') {
			return nil, false
		}
		if _, p.twice = o[name]; p.twice || len(o) == maxMembers {
			return nil, false
		}
		v, ok := p.value(depth + 1)
		if !ok {
			return nil, false
		}
		o[name] = v
		if p.take('}') {
			return o, true
		}
		if !p.take(',') {
			return nil, false
		}
	}
}

func (p *parser) array(depth int) (any, bool) {
	p.i++
	a := []any{}
	if p.take(']') {
		return a, true
	}
	for {
		v, ok := p.value(depth + 1)
		if !ok || len(a) == maxMembers {
			return nil, false
		}
		a = append(a, v)
		if p.take(']') {
			return a, true
		}
		if !p.take(',') {
			return nil, false
		}
	}
}

func (p *parser) string() (string, bool) {
	p.i++
	start := p.i
	for p.i < len(p.b) {
		switch c := p.b[p.i]; {
		case c == '"':
			s := string(p.b[start:p.i])
			p.i++
			return s, true
		case c == '\\':
			return p.escaped(start)
		case c < ' ':
			return "", false
		}
		p.i++
	}
	return "", false
}

// escaped goes on with a string whose first escape is at p.i.
func (p *parser) escaped(start int) (string, bool) {
	s := append([]byte(nil), p.b[start:p.i]...)
	for p.i < len(p.b) {
		c := p.b[p.i]
		p.i++
		switch {
		case c == '"':
			return string(s), true
		case c < ' ':
			return "", false
		case c != '\\':
			s = append(s, c)
			continue
		}
		c = p.at()
		p.i++
		switch c {
		case '"', '\\', '/':
			s = append(s, c)
		case 'b':
			s = append(s, '\b')
		case 'f':
			s = append(s, '\f')
		case 'n':
			s = append(s, '\n')
		case 'r':
			s = append(s, '\r')
		case 't':
			s = append(s, '\t')
		case 'u':
			r, ok := p.hex4()
			if !ok {
				return "", false
			}
			if utf16.IsSurrogate(r) {
				if !p.literal(`\u`) {
					return "", false
				}
				low, ok := p.hex4()
				if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
					return "", false
				}
			}
			s = utf8.AppendRune(s, r)
		default:
			return "", false
		}
	}
	return "", false
}

func (p *parser) hex4() (rune, bool) {
	if len(p.b)-p.i < 4 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(p.b[p.i:p.i+4]), 16, 32)
	p.i += 4
	return rune(n), err == nil
}

func (p *parser) digits() bool {
	start := p.i
	for p.i < len(p.b) && p.b[p.i]-'0' <= 9 {
		p.i++
	}
	return p.i > start
}

func (p *parser) number() (any, bool) {
	start := p.i
	if p.at() == '-' {
		p.i++
	}
	if p.at() == '0' {
		p.i++
	} else if !p.digits() {
		return nil, false
	}
	if p.at() == '.' {
		p.i++
		if !p.digits() {
			return nil, false
		}
	}
	if c := p.at(); c == 'e' || c == 'E' {
		p.i++
		if c := p.at(); c == '+' || c == '-' {
			p.i++
		}
		if !p.digits() {
			return nil, false
		}
	}
	return number(p.b[start:p.i]), true
}
