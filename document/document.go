// Package document reads JSON and YAML files into one compact tree whose nodes
// know where they stand, so that every fault of a contract or policy can name
// file, line and column.
//
// A [Document] is parsed once and then only read; a [Node] is a small handle
// into it. The package is for load time: requests never touch it, and the
// bodies of requests are read by package jsonschema.
package document

import "strconv"

// A Pos is a place in a file. Line and Col count from 1, Col in bytes.
type Pos struct {
	File      string
	Line, Col int
}

// String prints "file:line:col", as editors read it.
func (p Pos) String() string {
	return p.File + ":" + strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Col)
}

// A Kind is the JSON type of a node. YAML's are mapped to JSON's.
type Kind uint8

// Invalid is the kind of the zero Node, which stands for "not there".
const (
	Invalid Kind = iota
	Null
	Bool
	Number
	String
	Array
	Object
)
