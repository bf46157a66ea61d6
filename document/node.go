package document

import (
	"iter"
	"math"
	"strconv"
	"strings"
)

// A Node is a value in a document. The zero Node is [Invalid]: it stands for
// a value that is not there, and its methods return zero values, so that
// look-ups can be chained. Nodes can be compared and used as keys of maps; two
// are equal if they are the same place in the same document.
type Node struct {
	doc *Document
	i   uint32
}

// Kind returns the type of the value.
func (n Node) Kind() Kind {
	if n.doc == nil {
		return Invalid
	}
	return n.doc.at(n.i).kind()
}

// Valid reports whether there is a value.
func (n Node) Valid() bool { return n.doc != nil }

// IsNull reports whether the value is null.
func (n Node) IsNull() bool { return n.Kind() == Null }

// IsBool reports whether the value is true or false.
func (n Node) IsBool() bool { return n.Kind() == Bool }

// IsNumber reports whether the value is a number.
func (n Node) IsNumber() bool { return n.Kind() == Number }

// IsString reports whether the value is a string.
func (n Node) IsString() bool { return n.Kind() == String }

// IsArray reports whether the value is an array.
func (n Node) IsArray() bool { return n.Kind() == Array }

// IsObject reports whether the value is an object.
func (n Node) IsObject() bool { return n.Kind() == Object }

// Document returns the document that the value stands in.
func (n Node) Document() *Document { return n.doc }

// Get returns the value of an object's member, or the zero Node.
func (n Node) Get(key string) Node {
	if n.Kind() != Object {
		return Node{}
	}
	if i := n.doc.lookup(n.i, key); i != 0 {
		return Node{n.doc, i}
	}
	return Node{}
}

// Has reports whether the value is an object with a member of this key.
func (n Node) Has(key string) bool { return n.Get(key).Valid() }

// Text returns a string decoded, or a number, true, false or null as JSON
// writes it; a number keeps the digits that the file has. It is empty for
// arrays and objects.
func (n Node) Text() string {
	switch n.Kind() {
	case String, Number:
		return n.doc.text(n.i)
	case Bool:
		return strconv.FormatBool(n.Bool())
	case Null:
		return "null"
	}
	return ""
}

// Str returns the text of a string, and "" for every other kind.
func (n Node) Str() string {
	if n.Kind() != String {
		return ""
	}
	return n.doc.text(n.i)
}

// Bool reports whether the value is true.
func (n Node) Bool() bool { return n.Kind() == Bool && n.doc.at(n.i).n() == 1 }

// Int returns the value of a number that is whole, also where it is written
// 1.0 or 1e3, and fits.
func (n Node) Int() (int64, bool) {
	if n.Kind() != Number {
		return 0, false
	}
	t := n.Text()
	if i, err := strconv.ParseInt(t, 10, 64); err == nil {
		return i, true
	}
	// Beyond 2^53 a float is no longer exact, and such numbers are not
	// written with a point or exponent in practice.
	f, err := strconv.ParseFloat(t, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 || !strings.ContainsAny(t, ".eE") {
		return 0, false
	}
	return int64(f), true
}

// Float returns the value of a number, rounded to the nearest float64. It
// returns false for other kinds and for numbers beyond its range.
func (n Node) Float() (float64, bool) {
	if n.Kind() != Number {
		return 0, false
	}
	f, err := strconv.ParseFloat(n.Text(), 64)
	return f, err == nil
}

// Len returns the number of members of an object or elements of an array.
func (n Node) Len() int {
	if k := n.Kind(); k != Array && k != Object {
		return 0
	}
	return int(n.doc.at(n.i).n())
}

// Members yields keys and values of an object in the order of the file.
func (n Node) Members() iter.Seq2[string, Node] {
	return func(yield func(string, Node) bool) {
		if n.Kind() != Object {
			return
		}
		for k := n.doc.firstChild(n.i); k != 0; k = n.doc.nextChild(Object, k) {
			if !yield(n.doc.text(k), Node{n.doc, k + 1}) {
				return
			}
		}
	}
}

// Elements yields the elements of an array.
func (n Node) Elements() iter.Seq2[int, Node] {
	return func(yield func(int, Node) bool) {
		if n.Kind() != Array {
			return
		}
		i := 0
		for k := n.doc.firstChild(n.i); k != 0; k = n.doc.nextChild(Array, k) {
			if !yield(i, Node{n.doc, k}) {
				return
			}
			i++
		}
	}
}

// Parent returns the object or array that the value stands in, or the zero
// Node for the root.
func (n Node) Parent() Node {
	if n.doc == nil || n.i == 0 {
		return Node{}
	}
	return Node{n.doc, n.doc.at(n.i).parent}
}

// Key returns the key that the value stands under, and "" where it is not a
// member of an object.
func (n Node) Key() string {
	if n.Parent().Kind() != Object {
		return ""
	}
	return n.doc.text(n.i - 1)
}

// KeyPos returns the place of the member's key, or of the value itself where
// there is none.
func (n Node) KeyPos() Pos {
	if n.Parent().Kind() != Object {
		return n.Pos()
	}
	return n.doc.pos(n.doc.at(n.i - 1).off)
}

// Pos returns the place where the value begins.
func (n Node) Pos() Pos {
	if n.doc == nil {
		return Pos{}
	}
	return n.doc.pos(n.doc.at(n.i).off)
}

// Pointer returns the JSON Pointer (RFC 6901) of the value in its document;
// "" is the root.
func (n Node) Pointer() string {
	var tokens []string
	for p := n.Parent(); p.Valid(); n, p = p, p.Parent() {
		if p.Kind() == Object {
			tokens = append(tokens, EscapePointer(n.Key()))
			continue
		}
		for i, e := range p.Elements() {
			if e == n {
				tokens = append(tokens, strconv.Itoa(i))
				break
			}
		}
	}
	var b strings.Builder
	for i := len(tokens) - 1; i >= 0; i-- {
		b.WriteByte('/')
		b.WriteString(tokens[i])
	}
	return b.String()
}

var pointerEscaper = strings.NewReplacer("~", "~0", "/", "~1")

// EscapePointer returns key as a reference token of a JSON Pointer.
func EscapePointer(key string) string {
	if !strings.ContainsAny(key, "~/") {
		return key
	}
	return pointerEscaper.Replace(key)
}

// At returns the value that a JSON Pointer (RFC 6901) leads to, beginning
// here, or the zero Node.
func (n Node) At(pointer string) Node {
	if pointer == "" {
		return n
	}
	if pointer[0] != '/' {
		return Node{}
	}
	for token := range strings.SplitSeq(pointer[1:], "/") {
		switch n.Kind() {
		case Object:
			key, ok := unescapePointer(token)
			if !ok {
				return Node{}
			}
			n = n.Get(key)
		case Array:
			n = n.element(token)
		default:
			return Node{}
		}
	}
	return n
}

func unescapePointer(token string) (string, bool) {
	if !strings.Contains(token, "~") {
		return token, true
	}
	var b strings.Builder
	for i := 0; i < len(token); i++ {
		if token[i] != '~' {
			b.WriteByte(token[i])
			continue
		}
		i++
		if i == len(token) || token[i] != '0' && token[i] != '1' {
			return "", false
		}
		b.WriteByte("~/"[token[i]-'0'])
	}
	return b.String(), true
}

func (n Node) element(token string) Node {
	if token == "" || len(token) > 8 || token[0] == '0' && len(token) > 1 {
		return Node{}
	}
	for i := range len(token) {
		if token[i] < '0' || token[i] > '9' {
			return Node{}
		}
	}
	want, _ := strconv.Atoi(token)
	if want >= n.Len() {
		return Node{}
	}
	for i, e := range n.Elements() {
		if i == want {
			return e
		}
	}
	return Node{}
}

// JSON appends the value as compact JSON to dst. Numbers are written as they
// stand, members in the order of the file.
func (n Node) JSON(dst []byte) []byte {
	switch n.Kind() {
	case Object:
		dst = append(dst, '{')
		first := true
		for key, v := range n.Members() {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = append(appendQuoted(dst, key), ':')
			dst = v.JSON(dst)
		}
		return append(dst, '}')
	case Array:
		dst = append(dst, '[')
		for i, v := range n.Elements() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = v.JSON(dst)
		}
		return append(dst, ']')
	case String:
		return appendQuoted(dst, n.Text())
	}
	return append(dst, n.Text()...)
}

// appendQuoted writes valid UTF-8 as a JSON string.
func appendQuoted(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	dst = append(dst, s[from:]...)
	return append(dst, '"')
}
