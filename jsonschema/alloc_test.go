package jsonschema_test

import (
	"testing"

	"github.com/sallyport/sallyport/jsonschema"
)

// A document that is valid and stays as it is costs no allocation.
func TestValidDocumentsCostNoAllocation(t *testing.T) {
	if raced {
		t.Skip("allocations cannot be counted under the race detector")
	}
	policy := &jsonschema.Policy{WriteOnly: jsonschema.Drop, Redact: make([]jsonschema.Redaction, 3), Detectors: []jsonschema.Detector{
		{Class: 0, Digits: 40, Find: func([]byte) (int, int, bool) { return 0, 0, false }},
		{Class: 1, Literal: "eyJ", Find: func([]byte) (int, int, bool) { return 0, 0, false }},
		{Class: 2, Run: 10, Find: func([]byte) (int, int, bool) { return 0, 0, false }},
	}}
	for _, name := range []string{"github.json", "adyen-management-31.json", "slack.json", "zoom.json"} {
		js, _ := load(t, name).valid(t)
		if len(js) > 120 {
			js = js[:120]
		}
		var r jsonschema.Report
		buf := make([]byte, 0, 1<<20)
		all := func() {
			for i := range js {
				if err := js[i].s.Validate(js[i].doc); err != nil {
					t.Fatal(err)
				}
				if _, err := js[i].s.Filter(buf, js[i].doc, policy, &r); err != nil {
					t.Fatal(err)
				}
			}
		}
		all() // buffers grow to their size
		if n := testing.AllocsPerRun(5, all); n > 1 {
			// The pool may lose a buffer to the collector now and then.
			t.Errorf("%s: %v allocations for %d documents", name, n, len(js))
		}
	}
}

func TestCombinatorsCostNoAllocation(t *testing.T) {
	if raced {
		t.Skip("allocations cannot be counted under the race detector")
	}
	tests := map[string]string{
		`{"oneOf":[{"required":["a"]},{"required":["b"]}],"unevaluatedProperties":false,"properties":{"a":{},"c":{}}}`:                               `{"a":1,"c":2}`,
		`{"anyOf":[{"type":"string","pattern":"^[a-z]+(-[a-z0-9]+)*$"},{"type":"array","uniqueItems":true,"contains":{"const":3}}]}`:                 `[1,2,3,4,5,6,7,8,9,10,11,12,{"a":"b"}]`,
		`{"if":{"properties":{"k":{"const":"x"}}},"then":{"required":["y"]},"else":{"multipleOf":0.1},"dependentSchemas":{"k":{"not":{}}}}`:          `1.30`,
		`{"enum":["a","b","c","d","e","f","g","h","i","j",1,2.5,{"a":[1]},null]}`:                                                                    `{"a":[1.0]}`,
		`{"$dynamicAnchor":"n","properties":{"l":{"$dynamicRef":"#n"},"r":{"$dynamicRef":"#n"},"v":{"type":"string","maxLength":3}}}`:                `{"l":{"v":"\u00e9\n"},"r":{"l":{"v":"é"}}}`,
		`{"type":"object","patternProperties":{"^x-":{}},"propertyNames":{"maxLength":10},"minProperties":1,"additionalProperties":{"minimum":1e2}}`: `{"x-a":1,"b":100.5}`,
	}
	for schema, doc := range tests {
		s, err := jsonschema.Compile([]byte(schema), jsonschema.Options{})
		if err != nil {
			t.Fatal(err)
		}
		d := []byte(doc)
		if err := s.Validate(d); err != nil {
			t.Fatalf("%s: %v", schema, err)
		}
		if n := testing.AllocsPerRun(100, func() { s.Validate(d) }); n > 0 {
			t.Errorf("%s: %v allocations", schema, n)
		}
	}
	s, err := jsonschema.Compile([]byte(`{"type":"object"}`), jsonschema.Options{})
	if err != nil {
		t.Fatal(err)
	}
	bad := []byte(`[1,2]`)
	if n := testing.AllocsPerRun(100, func() { s.Valid(bad) }); n > 0 {
		t.Errorf("Valid of an invalid document: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { s.Validate(bad) }); n > 1 {
		t.Errorf("Validate of an invalid document: %v allocations, want the error alone", n)
	}
}
