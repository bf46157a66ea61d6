package jsonschema_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/document"
	"github.com/sallyport/sallyport/jsonschema"
)

// What cannot be enforced is told once, with its place, and the rest holds.
func TestSloppySchemasAreCompiledAllTheSame(t *testing.T) {
	const src = `{
 "type": "object",
 "required": true,
 "properties": {
  "a": {"type": "int", "minLength": "3"},
  "b": {"$ref": "#/nowhere"},
  "c": {"type": "string", "pattern": "(?<=x)y", "format": "pony"},
  "d": {"type": "string", "pattern": "^(?!x)", "x-class": "nothing"},
  "e": {"multipleOf": 0, "minimum": "one", "maximum": 5},
  "f": {"$ref": "#/properties/f"},
  "g": {"allOf": [{"$ref": "#/properties/g"}, {"type": "string"}]},
  "h": {"type": ["string", "pony"], "enum": "x", "items": 3},
  "i": 7
 }
}`
	d, err := document.ParseJSON("s.json", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler(jsonschema.Options{Dialect: jsonschema.OpenAPI30, AssertFormat: true, ClassKeyword: "x-class", Classes: []string{"email"}})
	c.Add("s.json", d)
	s, problems := c.Compile(d.Root(), jsonschema.Request)
	var got []string
	for _, p := range problems {
		if !p.Unenforced {
			t.Errorf("%v is enforced", p)
		}
		got = append(got, strings.TrimPrefix(strings.Split(p.Error(), "\n")[0], "s.json:"))
	}
	want := []string{
		`3:14: required must be a list of names, not a boolean; it is not enforced`,
		`5:17: "int" is not a type; it is not enforced`,
		`5:37: minLength must be a whole number from 0 on, not a string; it is not enforced`,
		`6:17: reference "#/nowhere" leads nowhere: there is no such place in the document`,
		`7:38: the pattern cannot be enforced: it looks around`,
		`7:59: format "pony" is not known; it is not enforced`,
		`8:59: "nothing" is not a data class that is known`,
		`9:23: multipleOf cannot be 0; it is not enforced`,
		`9:37: minimum must be a number, not a string; it is not enforced`,
		`10:8: this reference leads back to itself; it admits everything`,
		`11:8: this schema applies to the same value as itself, without end; it is cut here`,
		`12:28: "pony" is not a type; it is not enforced`,
		`12:45: enum must be a list of values, not a string; it is not enforced`,
		`12:59: items must be a schema, not a number; it is not enforced`,
		`13:8: this is a number, not a schema`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, again := c.Compile(d.Root(), jsonschema.Response); len(again) > 0 {
		t.Errorf("told again: %v", again)
	}
	for doc, ok := range map[string]bool{
		`{"a":1,"b":2,"f":3}`: true, `[]`: false, `{"c":1}`: false, `{"d":"ay"}`: true, `{"d":"xy"}`: false,
		`{"e":6}`: false, `{"e":0}`: true, `{"g":1}`: false, `{"g":""}`: true, `{"i":[]}`: true,
	} {
		if got := s.Valid([]byte(doc)); got != ok {
			t.Errorf("%s: %v", doc, got)
		}
	}
}

func TestCompileRefusesWhatItCannotEnforce(t *testing.T) {
	for schema, want := range map[string]string{
		`{"pattern":"(a)\\1"}`: "refers back", `{"$ref":"other.json"}`: "no such document", `{"type":"pony"}`: "not a type", `{`: "",
	} {
		_, err := jsonschema.Compile([]byte(schema), jsonschema.Options{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", schema, err)
		}
	}
	if _, err := jsonschema.Compile([]byte(`{"format":"pony"}`), jsonschema.Options{AssertFormat: true}); err != nil {
		t.Errorf("an unknown format is an annotation: %v", err)
	}
}

func TestSchemasTellWhatTheyAdmit(t *testing.T) {
	s := compile(t, `{"$ref":"#/$defs/o","$defs":{"o":{"allOf":[{"type":["object","null"],"properties":{"a":{"type":"array","items":{"type":"integer"}}}},
		{"properties":{"b":{"anyOf":[{"type":"string"},{"type":"number"}]}}}]}}}`, jsonschema.Request)
	if got := s.Types().String(); got != "object or null" {
		t.Errorf("root: %s", got)
	}
	if got := s.Property("a").Item().Types(); got != jsonschema.Integer {
		t.Errorf("elements of a: %s", got)
	}
	if got := s.Property("b").Types(); got != jsonschema.String|jsonschema.Number|jsonschema.Integer {
		t.Errorf("b: %s", got)
	}
	if s.Property("c") != nil || s.Item() != nil {
		t.Error("there is more than is declared")
	}
	if diff := cmp.Diff([]string{"a", "b"}, s.Declared()); diff != "" {
		t.Error(diff)
	}
	var zero jsonschema.Schema
	if zero.Types() != jsonschema.AnyType || zero.Item() != nil || zero.Property("a") != nil || len(zero.Declared()) != 0 {
		t.Error("the zero schema declares something")
	}
}

func TestNullable(t *testing.T) {
	d, err := document.ParseJSON("s.json", []byte(`{"s":{"type":"string","nullable":true},"e":{"type":"string","nullable":true,"enum":["a"]},
		"r":{"nullable":true,"allOf":[{"type":"object"}]},"x":{"type":"integer","minimum":3,"exclusiveMinimum":true,"maximum":9,"exclusiveMaximum":false}}`))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler(jsonschema.Options{Dialect: jsonschema.OpenAPI30})
	c.Add("s.json", d)
	for _, test := range []struct {
		key, doc string
		ok       bool
	}{
		{"s", "null", true}, {"s", `""`, true}, {"s", "1", false},
		{"e", "null", false}, {"e", `"a"`, true}, // OpenAPI 3.0.3: enum must list null
		{"r", "null", true}, {"r", "{}", true}, {"r", "1", false},
		{"x", "3", false}, {"x", "4", true}, {"x", "9", true}, {"x", "10", false}, {"x", "4.0", true}, {"x", "4.5", false},
	} {
		s, problems := c.Compile(d.Root().Get(test.key), jsonschema.Neither)
		if len(problems) > 0 {
			t.Error(problems)
		}
		if got := s.Valid([]byte(test.doc)); got != test.ok {
			t.Errorf("%s: %s: %v", test.key, test.doc, got)
		}
	}
}

func TestDiscriminatorChoosesTheBranch(t *testing.T) {
	s := compile(t, `{"oneOf":[{"$ref":"#/$defs/Cat"},{"$ref":"#/$defs/Dog"}],"discriminator":{"propertyName":"kind","mapping":{"hound":"#/$defs/Dog"}},
		"$defs":{"Cat":{"properties":{"kind":{},"lives":{"type":"integer"}}},"Dog":{"properties":{"kind":{},"bark":{"type":"string"}}}}}`, jsonschema.Response)
	for doc, ok := range map[string]bool{
		`{"kind":"Cat","lives":9}`: true, `{"kind":"hound","bark":"wau"}`: true, `{"kind":"Dog","bark":1}`: false,
		`{"kind":"Cow"}`: false, // fits both
		`{"lives":9}`:    false,
		`{"lives":""}`:   true, // only the dog
	} {
		if got := s.Valid([]byte(doc)); got != ok {
			t.Errorf("%s: %v", doc, got)
		}
	}
	if k := keywords(s.Validate([]byte(`{"kind":"Dog","bark":1}`))); k != "type /bark" {
		t.Errorf("the fault is in the branch: %q", k)
	}
	out, err := s.Filter(nil, []byte(`{"kind":"Cat","lives":9,"bark":"x"}`), drop, nil)
	if err != nil || string(out) != `{"kind":"Cat","lives":9}` {
		t.Errorf("%s, %v", out, err)
	}
}

func TestPatterns(t *testing.T) {
	for _, test := range []struct {
		pattern string
		yes, no []string
	}{
		{`^[0-9a-f]{8}-[0-9a-f]{4}$`, []string{"0123abcd-00ff"}, []string{"0123abcd-00f", "x0123abcd-00ff", "0123abcd-00ff\n"}},
		{`a|b`, []string{"xa", "b"}, []string{"", "c"}},
		{`^(?=.*[0-9])(?=.*[a-z])(?!.*x).{3,}$`, []string{"a1b", "1zz9"}, []string{"abc", "123", "a1x", "a1"}},
		{`^((?!foo).)*$`, []string{"", "fo", "bar"}, []string{"foo", "a foo b"}},
		{`^.{1,5000}$`, []string{"a", strings.Repeat("é", 5000)}, []string{"", strings.Repeat("é", 5001), "a\nb"}},
		{`^\p{Lu}\w+$`, []string{"Éa", "Aa0_"}, []string{"éa", "Aé"}},
		{`^[^]$`, []string{"x", "\n", "😀"}, []string{"", "xy"}},
		{`^\S+\s\d$`, []string{"é 1", "a\u00a09"}, []string{"a1", " a 1"}},
		{`\bfoo\b`, []string{"a foo", "foo"}, []string{"afoo"}},
		{`^[\w-.]+$`, []string{"a-b.c"}, []string{"a b"}},
		{`^\u00e9\x41\cA\/$`, []string{"éA\x01/"}, []string{"eA"}},
		{`^😀{2}$`, []string{"😀😀"}, []string{"😀"}},
		{`(?i)^abc$`, []string{"ABC"}, []string{"abcd"}},
		{`^(a+)+$`, []string{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}, []string{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"}},
	} {
		s, err := jsonschema.Compile(marshal(t, m{"pattern": test.pattern}), jsonschema.Options{})
		if err != nil {
			t.Errorf("%s: %v", test.pattern, err)
			continue
		}
		for _, v := range test.yes {
			if !s.Valid(marshal(t, v)) {
				t.Errorf("%s does not match %q", test.pattern, v)
			}
		}
		for _, v := range test.no {
			if s.Valid(marshal(t, v)) {
				t.Errorf("%s matches %q", test.pattern, v)
			}
		}
	}
	for _, p := range []string{`(a)\1`, `a(?=b)`, `(?<!a)b`, `(?<n>a)\k<n>`, `[`, `(`, `\Z`, `^.{1,5000}x$`} {
		if _, err := jsonschema.Compile(marshal(t, m{"pattern": p}), jsonschema.Options{}); err == nil {
			t.Errorf("%s is taken", p)
		}
	}
}
