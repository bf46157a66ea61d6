package jsonschema

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A pattern is a compiled ECMA-262 pattern that is matched in linear time.
type pattern struct {
	table *dfa
	re    *regexp.Regexp // where table is nil
	// also must match and none must not: look-aheads at the beginning.
	also, none []*pattern
	// What a count beyond a thousand asks for, in code points; max -1: no bound.
	counted  bool
	min, max int
}

// match reports whether the pattern occurs in decoded, valid text.
func (p *pattern) match(s []byte) bool {
	if p.table != nil {
		if !p.table.match(s) {
			return false
		}
	} else if p.re != nil && !p.re.Match(s) {
		return false
	}
	if p.counted {
		if n := utf8.RuneCount(s); n < p.min || p.max >= 0 && n > p.max {
			return false
		}
	}
	for _, q := range p.also {
		if !q.match(s) {
			return false
		}
	}
	for _, q := range p.none {
		if q.match(s) {
			return false
		}
	}
	return true
}

// compilePattern compiles a pattern as ECMA-262 has it with the flag u, and a
// little beyond. What cannot be matched in linear time is an error. Look-aheads
// at the beginning of an anchored pattern become patterns of their own:
// ^(?=A)(?!B)C matches where ^A and ^C do and ^B does not.
func compilePattern(text string) (*pattern, error) {
	p := &pattern{}
	rest := text
	if strings.HasPrefix(rest, "^") {
		rest = rest[1:]
		for strings.HasPrefix(rest, "(?=") || strings.HasPrefix(rest, "(?!") {
			end := groupEnd(rest)
			if end < 0 {
				return nil, errUnclosed
			}
			if end < len(rest) && strings.IndexByte("*+?{", rest[end]) >= 0 {
				return nil, errLookaround
			}
			q, err := compilePattern("^(?:" + rest[3:end-1] + ")")
			if err != nil {
				return nil, err
			}
			if rest[2] == '=' {
				p.also = append(p.also, q)
			} else {
				p.none = append(p.none, q)
			}
			rest = rest[end:]
		}
		// ^((?!X).)*$ is any line in which X does not occur.
		for _, open := range []string{"((?!", "(?:(?!"} {
			if !strings.HasPrefix(rest, open) {
				continue
			}
			end := groupEnd(rest[len(open)-3:])
			if end < 0 {
				return nil, errUnclosed
			}
			x, after := rest[len(open):len(open)-3+end-1], rest[len(open)-3+end:]
			if after == ".)*$" || after == ".)+$" {
				q, err := compilePattern(x)
				if err != nil {
					return nil, err
				}
				p.none = append(p.none, q)
				rest = after[:1] + after[2:]
			}
		}
		rest = "^" + rest
	}
	if m := manyOf.FindStringSubmatch(rest); m != nil {
		lo, err1 := strconv.Atoi(m[2])
		hi, err2 := lo, error(nil)
		if m[3] == "," {
			hi = -1
		} else if m[3] != "" {
			hi, err2 = strconv.Atoi(m[3][1:])
		}
		if err1 == nil && err2 == nil && (lo > 1000 || hi > 1000) {
			p.counted, p.min, p.max = true, lo, hi
			rest = "^" + m[1] + "*$"
		}
	}
	re, err := translate(rest)
	if err != nil {
		return nil, err
	}
	r, err := regexp.Compile(re)
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	if p.table = newDFA(re); p.table == nil {
		p.re = r
	}
	return p, nil
}

// manyOf is a pattern that is one class with a count: only that is supported
// where the count is above a thousand.
var manyOf = regexp.MustCompile(`^\^\(?(\.|\[(?:[^\]\\]|\\.)+\]|\\[dDwWsS])\{([0-9]{1,9})(,[0-9]{0,9})?\}\)?\$$`)

// groupEnd returns the place after the group that s begins with, or -1.
func groupEnd(s string) int {
	depth := 0
	class := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
		case class:
			class = c != ']'
		case c == '[':
			class = true
		case c == '(':
			depth++
		case c == ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}

// isRegex reports whether s is a pattern of ECMA-262, whether or not it can
// be matched in linear time.
func isRegex(s []byte) bool {
	if strings.HasPrefix(string(s), "(?i)") {
		return false
	}
	var b strings.Builder
	t := translator{s: string(s), b: &b, check: true}
	for t.i < len(t.s) {
		if t.next() != nil {
			return false
		}
	}
	_, err := syntax.Parse(b.String(), syntax.Perl)
	var e *syntax.Error
	return err == nil || errors.As(err, &e) && (e.Code == syntax.ErrInvalidRepeatSize || e.Code == syntax.ErrLarge)
}

var (
	errLookaround    = errors.New("it looks around")
	errBackreference = errors.New("it refers back to a group")
	errUnclosed      = errors.New("a group does not end")
)

// The sets of ECMA-262, as RE2 writes them within brackets.
const (
	setDigit    = `0-9`
	setNotDigit = `\x{0}-/:-\x{10ffff}`
	setWord     = `0-9A-Za-z_`
	setNotWord  = "\\x{0}-/:-@\\[-\\^`{-\\x{10ffff}"
	setSpace    = `\t\n\v\f\r \x{a0}\x{feff}\x{2028}\x{2029}\p{Zs}`
	// Everything else: Zs is 20, a0, 1680, 2000-200a, 202f, 205f, 3000.
	setNotSpace = `\x{0}-\x{8}\x{e}-\x{1f}!-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027}\x{202a}-\x{202e}\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{fefe}\x{ff00}-\x{10ffff}`
)

// translate writes an ECMA-262 pattern as RE2 reads it.
func translate(p string) (string, error) {
	if !utf8.ValidString(p) {
		return "", errors.New("it is not UTF-8")
	}
	var b strings.Builder
	t := translator{s: p, b: &b}
	for t.i < len(p) {
		if err := t.next(); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

type translator struct {
	s string
	i int
	b *strings.Builder
	// check: only whether the pattern is valid matters.
	check bool
}

func (t *translator) next() error {
	switch c := t.s[t.i]; c {
	case '.':
		t.b.WriteString(`[^\n\r\x{2028}\x{2029}]`)
		t.i++
	case '[':
		return t.class()
	case '\\':
		return t.escape(false)
	case '(':
		rest := t.s[t.i:]
		switch {
		case strings.HasPrefix(rest, "(?:"):
			t.b.WriteString("(?:")
			t.i += 3
		case strings.HasPrefix(rest, "(?=") || strings.HasPrefix(rest, "(?!") || strings.HasPrefix(rest, "(?<=") || strings.HasPrefix(rest, "(?<!"):
			if !t.check {
				return errLookaround
			}
			t.b.WriteString("(?:")
			t.i += 3
			if rest[2] == '<' {
				t.i++
			}
		case strings.HasPrefix(rest, "(?<"):
			end := strings.IndexByte(rest, '>')
			if end < 0 {
				return errors.New("a group's name does not end")
			}
			t.b.WriteString("(?:")
			t.i += end + 1
		case strings.HasPrefix(rest, "(?i)") && t.i == 0:
			t.b.WriteString("(?i)")
			t.i += 4
		case strings.HasPrefix(rest, "(?"):
			return errors.New("a group begins in a way that is not known")
		default:
			t.b.WriteString("(?:")
			t.i++
		}
	case '{':
		if n := quantifier(t.s[t.i:]); n > 0 {
			t.b.WriteString(t.s[t.i : t.i+n])
			t.i += n
			return nil
		}
		t.b.WriteString(`\{`)
		t.i++
	case '}', ']':
		t.b.WriteString(`\` + string(c))
		t.i++
	default:
		_, n := utf8.DecodeRuneInString(t.s[t.i:])
		t.b.WriteString(t.s[t.i : t.i+n])
		t.i += n
	}
	return nil
}

// quantifier returns the length of {n}, {n,} or {n,m} at the beginning of s.
func quantifier(s string) int {
	i := 1
	digits := func() int {
		from := i
		for i < len(s) && s[i]-'0' <= 9 {
			i++
		}
		return i - from
	}
	if digits() == 0 {
		return 0
	}
	if i < len(s) && s[i] == ',' {
		i++
		digits()
	}
	if i < len(s) && s[i] == '}' {
		return i + 1
	}
	return 0
}

func (t *translator) rune(r rune) { fmt.Fprintf(t.b, `\x{%x}`, r) }

// escape translates what begins with a backslash.
func (t *translator) escape(class bool) error {
	t.i++
	if t.i >= len(t.s) {
		return errors.New("it ends in a backslash")
	}
	set := func(in, out string) {
		if class {
			t.b.WriteString(in)
		} else {
			t.b.WriteString("[" + out + "]")
		}
		t.i++
	}
	switch c := t.s[t.i]; c {
	case 'd':
		set(setDigit, setDigit)
	case 'D':
		set(setNotDigit, "^"+setDigit)
	case 'w':
		set(setWord, setWord)
	case 'W':
		set(setNotWord, "^"+setWord)
	case 's':
		set(setSpace, setSpace)
	case 'S':
		set(setNotSpace, "^"+setSpace)
	case 'b', 'B':
		if class {
			if c == 'B' {
				return errors.New(`\B in a class`)
			}
			t.rune('\b')
		} else {
			t.b.WriteString(`\` + string(c))
		}
		t.i++
	case 'n', 'r', 't', 'v', 'f':
		t.b.WriteString(`\` + string(c))
		t.i++
	case 'c':
		if t.i+1 >= len(t.s) || (t.s[t.i+1]|0x20) < 'a' || (t.s[t.i+1]|0x20) > 'z' {
			return errors.New(`\c needs a letter`)
		}
		t.rune(rune(t.s[t.i+1] % 32))
		t.i += 2
	case '0':
		if t.i+1 < len(t.s) && t.s[t.i+1]-'0' <= 9 {
			return errors.New("an octal escape")
		}
		t.rune(0)
		t.i++
	case '1', '2', '3', '4', '5', '6', '7', '8', '9', 'k':
		if !t.check {
			return errBackreference
		}
		t.i++
		if c == 'k' {
			end := strings.IndexByte(t.s[t.i:], '>')
			if !strings.HasPrefix(t.s[t.i:], "<") || end < 0 {
				return errors.New(`\k needs the name of a group`)
			}
			t.i += end + 1
		}
		t.b.WriteString("(?:)")
	case 'x':
		r, err := strconv.ParseUint(t.s[t.i+1:min(t.i+3, len(t.s))], 16, 32)
		if err != nil || t.i+3 > len(t.s) {
			return errors.New(`\x needs two hexadecimal digits`)
		}
		t.rune(rune(r))
		t.i += 3
	case 'u':
		return t.unicode()
	case 'p', 'P':
		return t.property(c, class)
	default:
		if c-'a' < 26 || c-'A' < 26 {
			return fmt.Errorf(`\%c is not an escape that ECMA-262 knows`, c)
		}
		r, n := utf8.DecodeRuneInString(t.s[t.i:])
		t.rune(r)
		t.i += n
	}
	return nil
}

func (t *translator) unicode() error {
	rest := t.s[t.i+1:]
	if strings.HasPrefix(rest, "{") {
		end := strings.IndexByte(rest, '}')
		if end < 0 {
			return errors.New(`\u{ does not end`)
		}
		r, err := strconv.ParseUint(rest[1:end], 16, 32)
		if err != nil || r > utf8.MaxRune {
			return errors.New(`\u{…} is no code point`)
		}
		t.rune(rune(r))
		t.i += 1 + end + 1
		return nil
	}
	r := hex4([]byte(rest))
	if r < 0 {
		return errors.New(`\u needs four hexadecimal digits`)
	}
	t.i += 5
	if r&0xFC00 == 0xD800 && strings.HasPrefix(t.s[t.i:], `\u`) {
		if lo := hex4([]byte(t.s[t.i+2:])); lo&^0x3FF == 0xDC00 {
			t.rune((r&0x3FF<<10 | lo&0x3FF) + 0x10000)
			t.i += 6
			return nil
		}
	}
	t.rune(r)
	return nil
}

// categories are the long names of general categories that RE2 may not know.
var categories = map[string]string{
	"Letter": "L", "Lowercase_Letter": "Ll", "Uppercase_Letter": "Lu", "Titlecase_Letter": "Lt",
	"Modifier_Letter": "Lm", "Other_Letter": "Lo", "Mark": "M", "Number": "N", "Decimal_Number": "Nd",
	"digit": "Nd", "Punctuation": "P", "punct": "P", "Symbol": "S", "Separator": "Z", "Space_Separator": "Zs",
	"Other": "C", "Control": "Cc", "Nonspacing_Mark": "Mn", "Letter_Number": "Nl", "Currency_Symbol": "Sc",
	"Math_Symbol": "Sm", "Dash_Punctuation": "Pd", "Connector_Punctuation": "Pc",
}

func (t *translator) property(c byte, class bool) error {
	rest := t.s[t.i+1:]
	end := strings.IndexByte(rest, '}')
	if !strings.HasPrefix(rest, "{") || end < 0 {
		return fmt.Errorf(`\%c needs the name of a property in braces`, c)
	}
	name := rest[1:end]
	t.i += 1 + end + 1
	for _, prefix := range []string{"General_Category=", "gc=", "Script=", "sc=", "Script_Extensions=", "scx="} {
		name = strings.TrimPrefix(name, prefix)
	}
	if short, ok := categories[name]; ok {
		name = short
	}
	switch name {
	case "Any":
		name = ""
	case "ASCII":
		if c == 'p' {
			t.ranges(`\x{0}-\x{7f}`, class)
		} else {
			t.ranges(`\x{80}-\x{10ffff}`, class)
		}
		return nil
	case "Alphabetic", "Alpha":
		if c == 'P' {
			return errors.New(`\P{Alphabetic} is not supported`)
		}
		t.ranges(`\p{L}\p{Nl}`, class)
		return nil
	}
	if name == "" {
		if c == 'P' {
			return errors.New(`\P{Any} matches nothing`)
		}
		t.ranges(`\x{0}-\x{10ffff}`, class)
		return nil
	}
	fmt.Fprintf(t.b, `\%c{%s}`, c, name)
	return nil
}

func (t *translator) ranges(r string, class bool) {
	if class {
		t.b.WriteString(r)
	} else {
		t.b.WriteString("[" + r + "]")
	}
}

// class translates a class in brackets.
func (t *translator) class() error {
	t.i++
	negated := strings.HasPrefix(t.s[t.i:], "^")
	if negated {
		t.i++
	}
	if strings.HasPrefix(t.s[t.i:], "]") {
		t.i++
		if negated { // [^] is any character, [] none
			t.b.WriteString(`[\x{0}-\x{10ffff}]`)
		} else {
			t.b.WriteString(`[^\x{0}-\x{10ffff}]`)
		}
		return nil
	}
	t.b.WriteByte('[')
	if negated {
		t.b.WriteByte('^')
	}
	for {
		if t.i >= len(t.s) {
			return errors.New("a class in brackets does not end")
		}
		switch c := t.s[t.i]; c {
		case ']':
			t.b.WriteByte(']')
			t.i++
			return nil
		case '\\':
			set := t.i+1 < len(t.s) && strings.IndexByte("dDwWsSpP", t.s[t.i+1]) >= 0
			if err := t.escape(true); err != nil {
				return err
			}
			if set && strings.HasPrefix(t.s[t.i:], "-") && !strings.HasPrefix(t.s[t.i:], "-]") {
				t.b.WriteString(`\-`) // [\w-.]
				t.i++
			}
		case '-':
			// A range where it stands between two characters.
			if t.b.Len() > 0 && t.i+1 < len(t.s) && t.s[t.i+1] != ']' && t.ranged() {
				t.b.WriteByte('-')
			} else {
				t.b.WriteString(`\-`)
			}
			t.i++
		default:
			r, n := utf8.DecodeRuneInString(t.s[t.i:])
			t.rune(r)
			t.i += n
		}
	}
}

// ranged reports whether the hyphen at i makes a range.
func (t *translator) ranged() bool {
	out := t.b.String()
	if strings.HasSuffix(out, "[") || strings.HasSuffix(out, "[^") {
		return false
	}
	// After a set, or before one, it is a hyphen.
	rest := t.s[t.i+1:]
	return !(len(rest) > 1 && rest[0] == '\\' && strings.IndexByte("dDwWsSpP", rest[1]) >= 0)
}
