package jsonschema

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/document"
)

// A Dialect says how keywords are to be understood.
type Dialect uint8

// The dialects. Draft202012 is the zero value.
const (
	Draft202012 Dialect = iota // JSON Schema 2020-12
	OpenAPI30                  // the subset and bends of OpenAPI 3.0: nullable, boolean exclusiveMinimum, siblings of $ref ignored
	OpenAPI31                  // 2020-12 with OpenAPI's discriminator, readOnly and writeOnly
	Draft4                     // JSON Schema draft 4
)

func (d Dialect) String() string {
	return [...]string{"JSON Schema 2020-12", "OpenAPI 3.0", "OpenAPI 3.1", "JSON Schema draft 4"}[d]
}

// A Direction says which way a document travels. It decides what readOnly and
// writeOnly mean, and whether such properties are required.
type Direction uint8

// The directions. Neither is the zero value: readOnly and writeOnly say nothing.
const (
	Neither Direction = iota
	Request
	Response
)

// Limits bound what a document may cost. Zero fields mean the default.
type Limits struct {
	Bytes   int // size of a document; 64 MiB
	Depth   int // objects and arrays inside each other; 512, at most 10,000
	Members int // members of one object, elements of one array; 1<<24 - 1, which is also the most
	String  int // bytes of a string or name as written; no limit but Bytes
	Number  int // bytes of a number as written; 1,000
	Errors  int // violations that are listed; 16
	// Work is how many checks of one value against one part of a schema are
	// allowed for each value of the document, beyond a fixed allowance of
	// 100,000. Only nested combinators come near the default, 2,000.
	Work int
}

// Options say how schemas are compiled.
type Options struct {
	Dialect Dialect
	// BaseURI is where the schema given to Compile is, for its relative references.
	BaseURI string
	// Load reads the document at an absolute URI without a fragment. Nil: none may be fetched.
	Load func(uri string) ([]byte, error)
	// AssertFormat makes format a check. Formats that are not known never are.
	AssertFormat bool
	// StrictNumbers refuses numbers that other readers would round: integers
	// beyond 2^53, and numbers that overflow a float64 or underflow to zero.
	StrictNumbers bool
	// Direction is the one Compile compiles for.
	Direction Direction
	Limits    Limits
	// ClassKeyword is the keyword by which schemas name the data classes of
	// a value: a string, or an array of strings.
	ClassKeyword string
	// Classes numbers the data classes by index; at most 64. Names that are
	// not listed become Problems.
	Classes []string
}

// A Problem is something in a schema that is wrong or cannot be enforced. The
// rest of the schema is compiled all the same.
type Problem struct {
	Pos       document.Pos
	Msg, Hint string
	// Unenforced is set where something written is not applied.
	Unenforced bool
}

// Error prints "file:line:col: message", and the hint below it.
func (p Problem) Error() string {
	s := p.Pos.String() + ": " + p.Msg
	if p.Hint != "" {
		s += "\n\thint: " + p.Hint
	}
	return s
}

// Types is a set of the types that JSON Schema knows.
type Types uint8

// The types. Number means numbers that are not integers; a schema's "number"
// is both.
const (
	Null Types = 1 << iota
	Boolean
	Integer
	Number
	String
	Array
	Object

	AnyType = Null | Boolean | Integer | Number | String | Array | Object
)

// String lists the types as JSON Schema names them: "string or null".
func (t Types) String() string {
	if t == AnyType {
		return "anything"
	}
	var s []string
	for _, x := range [...]struct {
		t    Types
		name string
	}{{Boolean, "boolean"}, {Number, "number"}, {Integer, "integer"}, {String, "string"}, {Array, "array"}, {Object, "object"}, {Null, "null"}} {
		if t&x.t != 0 && !(x.t == Integer && t&Number != 0) {
			s = append(s, x.name)
		}
	}
	if len(s) == 0 {
		return "nothing"
	}
	return strings.Join(s, " or ")
}

// A Violation is one way in which a document breaks its schema.
type Violation struct {
	Instance string // JSON Pointer to the value
	Schema   string // JSON Pointer to the keyword in its document
	// Keyword is the schema's keyword, or "syntax" where the document is not
	// JSON, "duplicate" where a name stands twice, "limit" where a bound is
	// crossed; "undeclared", "readOnly" and "writeOnly" where the policy
	// denies such a property.
	Keyword string
	Message string
	Offset  int          // of the value in the document, in bytes
	Pos     document.Pos // of the keyword; zero where none
}

// An Error lists what is wrong with a document.
type Error struct {
	Violations []Violation // at least one, at most Limits.Errors
	More       bool        // there are more than those listed
	// Syntax is set where the document could not be read at all, or crosses
	// a bound; there is one violation then.
	Syntax bool
}

// Error names the first violations.
func (e *Error) Error() string {
	var b strings.Builder
	for i := range e.Violations {
		if i == 3 {
			fmt.Fprintf(&b, "; and %d more", len(e.Violations)-i)
			break
		}
		if i > 0 {
			b.WriteString("; ")
		}
		v := &e.Violations[i]
		if e.Syntax {
			fmt.Fprintf(&b, "offset %d: %s", v.Offset, v.Message)
			continue
		}
		at := v.Instance
		if at == "" {
			at = "the document"
		}
		fmt.Fprintf(&b, "%s: %s", at, v.Message)
	}
	return b.String()
}

// ErrStopped is returned by Filter where Policy.Keep said Stop.
var ErrStopped = errors.New("jsonschema: stopped by the policy")

// A Schema is a compiled schema. It does not change and may be used by any
// number of goroutines at once. The zero Schema admits every document that
// parses within the default limits.
type Schema struct {
	root     *node
	eng      *engine // nil for the zero Schema
	captures []capture
}
