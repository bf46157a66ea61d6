// Package json measures package jsonschema beside other readers and validators
// of JSON, on the examples that real API descriptions give of their answers.
//
//	cd bench/json && npm ci                          # once, for ajv
//	cd bench && go test -run xxx -bench . -cpu 1 -benchtime 20x ./json
//
// All take turns of 50 ms, ajv in a Node process of its own, and what counts is
// CPU time with the garbage collector's. The last column is the median of the
// rounds' ratios to Sallyport's validation, which is the figure to trust.
package json
