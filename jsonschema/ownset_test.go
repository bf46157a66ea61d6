package jsonschema_test

import "testing"

var ownNames []string

func ownSets(t *testing.T) []*set { return nil }
