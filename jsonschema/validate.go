package jsonschema

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/document"
)

// Validate reads a document and returns nil where it is valid, or an [*Error].
func (s *Schema) Validate(doc []byte) error {
	e := newExec(s.eng)
	if e.check(s.root, doc) {
		e.release()
		return nil
	}
	err := e.failure()
	e.release()
	return err
}

// Valid reports whether a document is valid. It never allocates.
func (s *Schema) Valid(doc []byte) bool {
	e := newExec(s.eng)
	e.verdict = 1
	ok := e.check(s.root, doc)
	e.release()
	return ok
}

// failure puts what was recorded into words. The caller checks that there is
// something.
func (e *exec) failure() *Error {
	if e.fault.keyword != "" {
		v := Violation{Keyword: e.fault.keyword, Message: e.fault.msg, Offset: e.fault.off}
		e.fault = fault{}
		return &Error{Violations: []Violation{v}, Syntax: true}
	}
	f := &failed{}
	f.More, f.Violations = e.more, f.few[:0]
	if len(e.recs) > len(f.few) {
		f.Violations = make([]Violation, 0, len(e.recs))
	}
	for i := range e.recs {
		r := &e.recs[i]
		if r.lenient && e.tape[r.tok].meta&tokMark != 0 {
			continue
		}
		f.Violations = append(f.Violations, e.describe(r))
	}
	if len(f.Violations) == 0 {
		return nil
	}
	return &f.Error
}

// failed is an Error with room for a few violations, so that it takes one
// allocation, and one for each pointer that is not that of the root.
type failed struct {
	Error
	few [4]Violation
}

func (e *exec) describe(r *record) Violation {
	e.text = e.appendPointer(e.text[:0], r.tok)
	p := r.n.place(r, e.tape[r.tok].types())
	return Violation{
		Instance: string(e.text), Schema: p.schema, Keyword: r.keyword.String(), Message: p.message,
		Offset: int(e.tape[r.tok].start), Pos: p.pos,
	}
}

// A place is what there is to say about a violation apart from the document.
// It is found out once for each schema and keyword: a contract may be a single
// line of many megabytes, in which finding the column takes its time.
type place struct {
	keyword keyword
	types   Types  // of the value, for kwType
	name    string // that is missing
	schema  string
	message string
	pos     document.Pos
	next    *place
}

func (n *node) place(r *record, t Types) *place {
	if r.keyword != kwType {
		t = 0
	}
	first := n.places.Load()
	for p := first; p != nil; p = p.next {
		if p.keyword == r.keyword && p.types == t && p.name == r.name {
			return p
		}
	}
	p := &place{keyword: r.keyword, types: t, name: r.name, message: message(r, t), next: first}
	if n.src.Valid() {
		p.schema = n.src.Pointer()
		p.pos = n.src.Pos()
		if k := n.src.Get(r.keyword.String()); k.Valid() {
			p.schema += "/" + r.keyword.String()
			p.pos = k.Pos()
		}
	}
	// Where another goroutine was faster the place is found out again later.
	n.places.CompareAndSwap(first, p)
	return p
}

// appendPointer appends the JSON Pointer of the value at tok, or of the
// member whose name is there.
func (e *exec) appendPointer(dst []byte, tok uint32) []byte {
	at := uint32(0)
	for at != tok {
		t := &e.tape[at]
		if t.types()&(Object|Array) == 0 {
			break
		}
		j := at + 1
		for k := 0; j < t.aux; k++ {
			name := j
			if t.types() == Object {
				j++
			}
			next := e.skip(j)
			if tok < next {
				dst = append(dst, '/')
				if t.types() == Object {
					from := e.tape[name]
					for _, c := range e.unquoted(from) {
						switch c {
						case '~':
							dst = append(dst, '~', '0')
						case '/':
							dst = append(dst, '~', '1')
						default:
							dst = append(dst, c)
						}
					}
					if tok == name {
						return dst
					}
				} else {
					dst = strconv.AppendInt(dst, int64(k), 10)
				}
				at = j
				break
			}
			j = next
		}
		if j >= t.aux {
			break
		}
	}
	return dst
}

// unquoted is decoded with a buffer of its own.
func (e *exec) unquoted(t token) []byte {
	s := e.doc[t.start+1 : t.end-1]
	if t.meta&tokEscaped != 0 {
		e.buf = appendDecoded(e.buf[:0], s)
		return e.buf
	}
	return s
}

// message says what is wrong, without the value itself: bodies do not belong
// in messages.
func message(r *record, t Types) string {
	src := r.n.src
	arg := func(key string) string {
		v := src.Get(key)
		if s := v.Text(); s != "" {
			return s
		}
		return string(v.JSON(nil))
	}
	switch r.keyword {
	case kwFalse:
		return "nothing is allowed here"
	case kwType:
		return fmt.Sprintf("is %s, want %s", t.one(), r.n.types)
	case kwEnum:
		list := src.Get("enum")
		var b strings.Builder
		b.WriteString("is not one of ")
		for i, v := range list.Elements() {
			if i == 8 {
				fmt.Fprintf(&b, " and %d more", list.Len()-i)
				break
			}
			if i > 0 {
				b.WriteString(", ")
			}
			b.Write(shorten(v.JSON(nil)))
		}
		return b.String()
	case kwConst:
		return "is not " + string(shorten(src.Get("const").JSON(nil)))
	case kwMultipleOf:
		return "is not a multiple of " + arg("multipleOf")
	case kwMaximum:
		return "is above " + arg("maximum")
	case kwExclusiveMaximum:
		return "is not below " + bounded(src, "exclusiveMaximum", "maximum")
	case kwMinimum:
		return "is below " + arg("minimum")
	case kwExclusiveMinimum:
		return "is not above " + bounded(src, "exclusiveMinimum", "minimum")
	case kwMaxLength:
		return "is longer than " + arg("maxLength") + " characters"
	case kwMinLength:
		return "is shorter than " + arg("minLength") + " characters"
	case kwPattern:
		return "does not match the pattern " + arg("pattern")
	case kwFormat:
		return "is not of the format " + arg("format")
	case kwAdditionalProperties, kwUnevaluatedProperties:
		return "is a property that is not allowed"
	case kwRequired:
		return "lacks the property " + strconv.Quote(r.name)
	case kwDependentRequired:
		return "lacks the property " + strconv.Quote(r.name) + ", which another one asks for"
	case kwMinProperties:
		return "has fewer properties than " + arg("minProperties")
	case kwMaxProperties:
		return "has more properties than " + arg("maxProperties")
	case kwMinItems:
		return "has fewer elements than " + arg("minItems")
	case kwMaxItems:
		return "has more elements than " + arg("maxItems")
	case kwUniqueItems:
		return "has equal elements"
	case kwContains:
		return "has too few elements that contains asks for"
	case kwMaxContains:
		return "has too many elements that contains asks for"
	case kwAnyOf:
		return "fits none of the schemas in anyOf"
	case kwOneOf:
		return "does not fit exactly one of the schemas in oneOf"
	case kwNot:
		return "fits the schema in not"
	case kwUnevaluatedItems:
		return "is an element that is not allowed"
	case kwUndeclared:
		return "is a property that the contract does not declare"
	case kwReadOnly:
		return "is a property that only responses may have"
	case kwWriteOnly:
		return "is a property that only requests may have"
	}
	return "breaks " + r.keyword.String()
}

func bounded(src document.Node, exclusive, inclusive string) string {
	if v := src.Get(exclusive); v.IsNumber() {
		return v.Text()
	}
	return src.Get(inclusive).Text()
}

func shorten(s []byte) []byte {
	if len(s) > 80 {
		return append(s[:77:77], "…"...)
	}
	return s
}

// one names the type of a value.
func (t Types) one() string {
	switch t {
	case Null, Number:
		return map[Types]string{Null: "null", Number: "a number"}[t]
	case Boolean:
		return "a boolean"
	case Integer:
		return "an integer"
	case String:
		return "a string"
	case Array:
		return "an array"
	}
	return "an object"
}
