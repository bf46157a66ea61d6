package config

import (
	_ "embed"
	"slices"
)

//go:generate go test . -run Generated -update

//go:embed config.schema.json
var schema []byte

// Schema returns the JSON Schema (2020-12) of the configuration file, for
// editors. It is made of the same tags and comments that [Load] and the manual
// are; what it cannot say (that names are given once, that a policy entry
// matches an operation) only Load tells.
func Schema() []byte { return slices.Clone(schema) }
