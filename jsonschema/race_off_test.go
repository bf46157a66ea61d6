//go:build !race

package jsonschema_test

const raced = false
