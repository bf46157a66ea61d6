package jsonschema_test

import (
	"fmt"

	"github.com/sallyport/sallyport/jsonschema"
)

func ExampleSchema_Filter() {
	s, err := jsonschema.Compile([]byte(`{
		"properties": {
			"id": {"type": "integer"},
			"email": {"type": "string", "x-class": "email"}
		}
	}`), jsonschema.Options{ClassKeyword: "x-class", Classes: []string{"email"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	policy := &jsonschema.Policy{
		Undeclared: jsonschema.Drop,
		Redact:     []jsonschema.Redaction{{How: jsonschema.Mask}},
	}
	var r jsonschema.Report
	out, err := s.Filter(nil, []byte(`{"id":7,"password_hash":"$2b$…","email":"ann@example.com"}`), policy, &r)
	fmt.Println(string(out), err)
	fmt.Println("dropped", r.Undeclared.Pointers, "redacted", r.Redacted.Pointers)
	// Output:
	// {"id":7,"email":"****"} <nil>
	// dropped [/password_hash] redacted [/email]
}
