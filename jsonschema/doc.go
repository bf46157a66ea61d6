// Package jsonschema checks JSON documents against schemas while their bytes
// are read once, and cuts out of them what may not pass.
//
// A schema is compiled once into an immutable plan ([Compile], or a [Compiler]
// where many schemas share large documents). [Schema.Validate] says whether a
// document is valid; [Schema.Filter] also drops undeclared properties, drops
// by direction (readOnly, writeOnly), redacts values by data class, runs
// detectors over strings and captures values. A document that is valid and
// need not change costs no heap allocation and is not copied.
//
//	c := jsonschema.NewCompiler(jsonschema.Options{Dialect: jsonschema.OpenAPI30, AssertFormat: true})
//	c.Add("shop.yaml", doc)
//	s, problems := c.Compile(node, jsonschema.Response)
//	…
//	var r jsonschema.Report // pooled by the caller; Filter resets it
//	out, err := s.Filter(buf[:0], body, &jsonschema.Policy{Undeclared: jsonschema.Drop}, &r)
//
// The shapes that others build on:
//
//	type Schema                                      // the zero Schema admits every document that parses
//	func (*Schema) Validate(doc []byte) error        // nil or *Error
//	func (*Schema) Valid(doc []byte) bool            // the verdict alone, without allocation
//	func (*Schema) Filter(dst, doc []byte, *Policy, *Report) (out []byte, err error)
//	func (*Schema) Types() Types
//	func (*Schema) Item() *Schema
//	func (*Schema) Property(name string) *Schema
//	func (*Schema) Declared() []string
//	func (*Schema) WithCaptures(pointers []string) (*Schema, error)
//
// Filter returns doc itself where nothing changes, and otherwise appends to
// dst. It returns an [*Error] and no output where the document is not valid
// JSON, breaks its schema, or a rule of the policy says Deny; with
// [Policy.Lenient] a document that breaks its schema is filtered all the
// same, and out comes together with the error. [ErrStopped] comes from
// [Policy.Keep].
//
// What is read is strict RFC 8259: names that stand twice in an object (after
// unescaping), lone surrogates, invalid UTF-8, NUL, a byte order mark and
// anything after the value are refused, each with its offset, so that what is
// accepted here is read the same way by every other parser.
//
// # How it works
//
// [Compile] turns schemas into a graph of small nodes (plan.go), once for each
// place in a document and direction; $dynamicRef is decided there, by
// compiling a schema once for each meaning its dynamic anchors can have
// (resolve.go). A document becomes a tape of tokens (parse.go), which is all
// that evaluation looks at (exec.go): what combinators ask again is asked of
// the tape, and remembered. Filter marks on the tape what is to go, and then
// copies the bytes between the marks (filter.go). CONFORMANCE.md says what is
// kept of the standards, and what is not.
//
// A schema is trusted to say what it likes, a document is not: depth, sizes
// and the work that combinators may cause are bounded by [Limits]. Only
// patterns that can be matched in linear time are compiled. The package never
// fetches anything by itself and knows nothing of APIs.
package jsonschema
