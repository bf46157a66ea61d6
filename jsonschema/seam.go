package jsonschema

import (
	"errors"

	"github.com/sallyport/sallyport/document"
)

var errUnbuilt = errors.New("jsonschema: the engine is not built yet")

type (
	node    struct{}
	engine  struct{}
	capture struct{}
)

// Compile compiles one schema.
func Compile(schema []byte, opts Options) (*Schema, error) { return nil, errUnbuilt }

// A Compiler compiles many schemas over shared documents.
type Compiler struct{}

// NewCompiler returns a compiler without documents.
func NewCompiler(opts Options) *Compiler { return &Compiler{} }

// Add makes d known under a URI.
func (c *Compiler) Add(uri string, d *document.Document) {}

// Compile compiles the schema at n.
func (c *Compiler) Compile(n document.Node, dir Direction) (*Schema, []Problem) {
	return &Schema{}, []Problem{{Pos: n.Pos(), Msg: errUnbuilt.Error(), Unenforced: true}}
}

// Validate reports what is wrong with a document.
func (s *Schema) Validate(doc []byte) error { return errUnbuilt }

// Filter appends to dst the document that may pass.
func (s *Schema) Filter(dst, doc []byte, p *Policy, r *Report) ([]byte, error) {
	return nil, errUnbuilt
}

// Types returns the JSON types that the schema admits.
func (s *Schema) Types() Types { return AnyType }

// Item returns the schema of the elements of an array, or nil.
func (s *Schema) Item() *Schema { return nil }

// Property returns the schema of a declared property, or nil.
func (s *Schema) Property(name string) *Schema { return nil }

// Declared lists the declared properties.
func (s *Schema) Declared() []string { return nil }

// WithCaptures returns a schema that also captures values.
func (s *Schema) WithCaptures(pointers []string) (*Schema, error) { return nil, errUnbuilt }
