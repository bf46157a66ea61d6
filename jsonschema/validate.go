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
	err := &Error{More: e.more, Violations: make([]Violation, 0, len(e.recs))}
	for i := range e.recs {
		r := &e.recs[i]
		if r.lenient && e.tape[r.tok].meta&tokMark != 0 {
			continue
		}
		err.Violations = append(err.Violations, e.describe(r))
	}
	if len(err.Violations) == 0 {
		return nil
	}
	return err
}

func (e *exec) describe(r *record) Violation {
	t := &e.tape[r.tok]
	v := Violation{
		Instance: string(e.appendPointer(nil, r.tok)),
		Keyword:  r.keyword.String(),
		Message:  e.message(r),
		Offset:   int(t.start),
	}
	if src := r.n.src; src.Valid() {
		v.Schema = src.Pointer()
		v.Pos = src.Pos()
		if k := src.Get(v.Keyword); k.Valid() {
			v.Schema += "/" + v.Keyword
			v.Pos = k.Pos()
		}
	}
	return v
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
					for _, c := range e.decoded(name) {
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

// message says what is wrong, without the value itself: bodies do not belong
// in messages.
func (e *exec) message(r *record) string {
	src := r.n.src
	arg := func(key string) string {
		v := src.Get(key)
		if s := v.Text(); s != "" {
			return s
		}
		return string(v.JSON(nil))
	}
	var t Types
	if int(r.tok) < len(e.tape) {
		t = e.tape[r.tok].types()
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
