package jsonschema_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/document"
	"github.com/sallyport/sallyport/jsonschema"
)

// compile compiles a schema for OpenAPI 3.0 with two data classes.
func compile(t testing.TB, schema string, dir jsonschema.Direction) *jsonschema.Schema {
	t.Helper()
	d, err := document.ParseJSON("schema.json", []byte(schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler(jsonschema.Options{
		Dialect: jsonschema.OpenAPI31, AssertFormat: true,
		ClassKeyword: "x-class", Classes: []string{"email", "card"},
	})
	c.Add("schema.json", d)
	s, problems := c.Compile(d.Root(), dir)
	for _, p := range problems {
		t.Error(p)
	}
	return s
}

var drop = &jsonschema.Policy{Undeclared: jsonschema.Drop, ReadOnly: jsonschema.Drop, WriteOnly: jsonschema.Drop}

func TestFilterDropsWhatIsNotDeclared(t *testing.T) {
	const flat = `{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string"}}}`
	tests := []struct{ name, schema, in, out string }{
		{"nothing to drop", flat, ` {"a":1, "b":"x"} `, ` {"a":1, "b":"x"} `},
		{"first", flat, `{ "x":1, "a":1, "b":"x"}`, `{ "a":1, "b":"x"}`},
		{"middle", flat, `{"a":1, "x":{"y":[1,2]} , "b":"x"}`, `{"a":1 , "b":"x"}`},
		{"last", flat, `{"a":1, "b":"x" , "x":2}`, `{"a":1, "b":"x"}`},
		{"all", flat, `{ "x":1, "y":2 }`, `{  }`},
		{"first two and last two", flat, `{"w":1,"x":1,"a":1,"y":[],"z":{}}`, `{"a":1}`},
		{"around", flat, `{"w":1,"a":1,"x":1,"b":"","z":{}}`, `{"a":1,"b":""}`},
		{"escaped name that is declared", flat, `{"\u0061":1,"x":1}`, `{"\u0061":1}`},
		{"open object", `{"type":"object"}`, `{"x":1}`, `{"x":1}`},
		{"additionalProperties true", `{"properties":{"a":{}},"additionalProperties":true}`, `{"a":1,"x":1}`, `{"a":1,"x":1}`},
		{"additionalProperties schema", `{"properties":{"a":{}},"additionalProperties":{"type":"integer"}}`, `{"a":1,"x":1}`, `{"a":1,"x":1}`},
		{"additionalProperties false", `{"properties":{"a":{}},"additionalProperties":false}`, `{"a":1,"x":1}`, `{"a":1}`},
		{"patternProperties", `{"properties":{"a":{}},"patternProperties":{"^x-":{}}}`, `{"a":1,"x-y":1,"y":2}`, `{"a":1,"x-y":1}`},
		{"only required", `{"properties":{"a":{}},"required":["b"]}`, `{"a":1,"b":1,"y":2}`, `{"a":1,"b":1}`},
		{"within an array", `{"type":"array","items":` + flat + `}`, `[{"a":1,"x":1},{"x":1},{"b":"1"}]`, `[{"a":1},{},{"b":"1"}]`},
		{"within additional", `{"properties":{"p":{}},"additionalProperties":` + flat + `}`, `{"q":{"a":1,"x":1},"r":{"y":1}}`, `{"q":{"a":1},"r":{}}`},
		{"allOf unites", `{"allOf":[{"properties":{"a":{}}},{"properties":{"b":{}}}]}`, `{"a":1,"x":1,"b":1}`, `{"a":1,"b":1}`},
		{"ref with siblings", `{"$ref":"#/$defs/base","properties":{"b":{}},"$defs":{"base":{"properties":{"a":{}}}}}`, `{"a":1,"x":1,"b":1}`, `{"a":1,"b":1}`},
		{"oneOf takes the branch that fits", `{"oneOf":[{"properties":{"k":{"const":1},"a":{}}},{"properties":{"k":{"const":2},"b":{}}}]}`, `{"k":2,"a":1,"b":1}`, `{"k":2,"b":1}`},
		{"anyOf takes all that fit", `{"anyOf":[{"properties":{"a":{}}},{"properties":{"b":{}}},{"properties":{"c":{}},"required":["c"]}]}`, `{"a":1,"b":2,"x":3}`, `{"a":1,"b":2}`},
		{"nested below allOf, declared by either", `{"allOf":[{"properties":{"o":{"properties":{"a":{}}}}},{"properties":{"o":{"properties":{"b":{}}}}}]}`, `{"o":{"a":1,"b":2,"c":3}}`, `{"o":{"a":1,"b":2}}`},
		{"nested below oneOf", `{"oneOf":[{"type":"null"},{"properties":{"o":{"properties":{"a":{}}}}}]}`, `{"o":{"a":1,"b":2},"z":1}`, `{"o":{"a":1}}`},
		{"if and then", `{"properties":{"k":{}},"if":{"properties":{"k":{"const":1}}},"then":{"properties":{"a":{}}},"else":{"properties":{"b":{}}}}`, `{"k":1,"a":1,"b":2}`, `{"k":1,"a":1}`},
		{"dependentSchemas", `{"properties":{"a":{}},"dependentSchemas":{"a":{"properties":{"b":{}}}}}`, `{"a":1,"b":1,"c":1}`, `{"a":1,"b":1}`},
		{"dependentSchemas not in force", `{"properties":{"a":{}},"dependentSchemas":{"a":{"properties":{"b":{}}}}}`, `{"b":1,"c":1}`, `{}`},
		{"unevaluatedProperties false", `{"allOf":[{"properties":{"a":{}}}],"unevaluatedProperties":false}`, `{"a":1,"x":1}`, `{"a":1}`},
		{"unevaluatedProperties true", `{"allOf":[{"properties":{"a":{}}}],"unevaluatedProperties":true}`, `{"a":1,"x":1}`, `{"a":1,"x":1}`},
		{"unevaluatedProperties beside properties", `{"properties":{"a":{}},"unevaluatedProperties":false}`, `{"x":1,"a":1}`, `{"a":1}`},
		{"not declares nothing", `{"properties":{"a":{}},"not":{"properties":{"b":{"const":1}},"required":["b"]}}`, `{"a":1,"b":2}`, `{"a":1}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := compile(t, test.schema, jsonschema.Response)
			var r jsonschema.Report
			in := []byte(test.in)
			out, err := s.Filter(nil, in, drop, &r)
			if err != nil {
				t.Fatal(err)
			}
			if string(out) != test.out {
				t.Errorf("got  %s\nwant %s", out, test.out)
			}
			if r.Changed != (test.in != test.out) {
				t.Errorf("Changed is %v", r.Changed)
			}
			if !r.Changed && &out[0] != &in[0] {
				t.Error("a document that stays was copied")
			}
			again, err := s.Filter(nil, out, drop, &r)
			if err != nil || !bytes.Equal(again, out) || r.Changed {
				t.Errorf("filtering again gives %s, %v", again, err)
			}
			if r.Changed {
				t.Errorf("changed again: %+v", r)
			}
		})
	}
}

func TestFilterKeepsWhatItWasGivenBefore(t *testing.T) {
	s := compile(t, `{"properties":{"a":{}}}`, jsonschema.Response)
	out, err := s.Filter([]byte("head "), []byte(`{"x":1,"a":1}`), drop, nil)
	if err != nil || string(out) != `head {"a":1}` {
		t.Errorf("got %s, %v", out, err)
	}
}

func TestFilterByDirection(t *testing.T) {
	const schema = `{"properties":{"id":{"type":"integer","readOnly":true},"name":{"type":"string"},
		"secret":{"allOf":[{"$ref":"#/$defs/secret"}]}},"required":["id","name","secret"],
		"$defs":{"secret":{"type":"string","writeOnly":true}}}`
	request := compile(t, schema, jsonschema.Request)
	response := compile(t, schema, jsonschema.Response)

	var r jsonschema.Report
	out, err := request.Filter(nil, []byte(`{"id":"no number","name":"x","secret":"s"}`), drop, &r)
	if err != nil || string(out) != `{"name":"x","secret":"s"}` || r.ReadOnly.Count != 1 || r.WriteOnly.Count != 0 {
		t.Errorf("request: %s, %v, %+v", out, err, r)
	}
	if diff := cmp.Diff([]string{"/id"}, r.ReadOnly.Pointers); diff != "" {
		t.Error(diff)
	}
	if err := request.Validate([]byte(`{"name":"x","secret":"s"}`)); err != nil {
		t.Errorf("a readOnly property is required of a request: %v", err)
	}
	if err := request.Validate([]byte(`{"name":"x"}`)); err == nil {
		t.Error("a writeOnly property is not required of a request")
	}
	out, err = response.Filter(nil, []byte(`{"id":1,"name":"x","secret":"s"}`), drop, &r)
	if err != nil || string(out) != `{"id":1,"name":"x"}` || r.WriteOnly.Count != 1 || r.ReadOnly.Count != 0 {
		t.Errorf("response: %s, %v, %+v", out, err, r)
	}
	_, err = request.Filter(nil, []byte(`{"id":1,"name":"x","secret":"s"}`), &jsonschema.Policy{ReadOnly: jsonschema.Deny}, &r)
	if k := keywords(err); k != "readOnly /id" {
		t.Errorf("denied: %q", k)
	}
	out, err = request.Filter(nil, []byte(`{"id":1,"name":"x","secret":"s"}`), nil, &r)
	if err != nil || r.Changed {
		t.Errorf("kept: %s, %v", out, err)
	}
}

// keywords lists the violations of an error.
func keywords(err error) string {
	var e *jsonschema.Error
	if !errors.As(err, &e) {
		return fmt.Sprint(err)
	}
	var s []string
	for _, v := range e.Violations {
		s = append(s, strings.TrimSpace(v.Keyword+" "+v.Instance))
	}
	return strings.Join(s, ", ")
}

func TestFilterDeniesUndeclared(t *testing.T) {
	s := compile(t, `{"properties":{"a":{},"o":{"properties":{"b":{}},"additionalProperties":false}}}`, jsonschema.Request)
	_, err := s.Filter(nil, []byte(`{"a":1,"is_admin":true,"o":{"x":1}}`), &jsonschema.Policy{Undeclared: jsonschema.Deny}, nil)
	if k := keywords(err); k != "undeclared /is_admin, additionalProperties /o/x" {
		t.Errorf("got %q", k)
	}
	s = compile(t, `{"allOf":[{"properties":{"a":{}}},{"properties":{"o":{"properties":{"c":{}}}}}]}`, jsonschema.Request)
	_, err = s.Filter(nil, []byte(`{"a":1,"x":1,"o":{"d":1}}`), &jsonschema.Policy{Undeclared: jsonschema.Deny}, nil)
	if k := keywords(err); k != "undeclared /x, undeclared /o/d" {
		t.Errorf("got %q", k)
	}
}

func TestFilterOfInvalidDocument(t *testing.T) {
	s := compile(t, `{"properties":{"a":{"type":"integer"},"u":{"oneOf":[
		{"properties":{"p":{"type":"integer"},"e":{"x-class":"email"}}},{"properties":{"q":{"type":"integer"}}}]}}}`, jsonschema.Response)
	p := *drop
	doc := []byte(`{"a":"no","x":1,"u":{"p":"no","q":"no","z":1,"e":"me"}}`)
	out, err := s.Filter(nil, doc, &p, nil)
	if out != nil || keywords(err) != "type /a, oneOf /u" {
		t.Errorf("strict: %s, %q", out, keywords(err))
	}
	p.Lenient = true
	p.Redact = []jsonschema.Redaction{{How: jsonschema.Mask}}
	out, err = s.Filter(nil, doc, &p, nil)
	if string(out) != `{"a":"no","u":{"p":"no","q":"no","e":"****"}}` || keywords(err) != "type /a, oneOf /u" {
		t.Errorf("lenient: %s, %q", out, keywords(err))
	}
	out, err = s.Filter(nil, []byte(`{"a":1,}`), &p, nil)
	if out != nil || keywords(err) != "syntax" {
		t.Errorf("syntax: %s, %q", out, keywords(err))
	}
}

func TestFilterRedacts(t *testing.T) {
	const schema = `{"properties":{"e":{"x-class":"email"},"c":{"x-class":["card"]},"l":{"items":{"x-class":"email"}},"f":{}}}`
	tests := []struct {
		name   string
		redact []jsonschema.Redaction
		in     string
		out    string
	}{
		{"mask a string", []jsonschema.Redaction{{How: jsonschema.Mask}}, `{"e":"a@b.c","f":"x"}`, `{"e":"****","f":"x"}`},
		{"mask keeps types", []jsonschema.Redaction{{How: jsonschema.Mask}}, `{"l":[1,true,null,{"a":1},[2],"s"]}`, `{"l":[0,false,null,{},[],"****"]}`},
		{"last4", []jsonschema.Redaction{{}, {How: jsonschema.Last4}}, `{"c":"4111 1111 1111 1234"}`, `{"c":"****1234"}`},
		{"last4 of a short one", []jsonschema.Redaction{{}, {How: jsonschema.Last4}}, `{"c":"1234567"}`, `{"c":"****"}`},
		{"last4 with escapes", []jsonschema.Redaction{{}, {How: jsonschema.Last4}}, `{"c":"aaaaaaaé\"\n\u0001"}`, `{"c":"****é\"\u000a\u0001"}`},
		{"remove", []jsonschema.Redaction{{How: jsonschema.Remove}}, `{"e":"a@b.c","f":"x","l":["a",1]}`, `{"f":"x","l":[]}`},
		{"replace", []jsonschema.Redaction{{How: jsonschema.Replace, With: `"gone"`}}, `{"e":"a@b.c","f":"x"}`, `{"e":"gone","f":"x"}`},
		{"none", []jsonschema.Redaction{{How: jsonschema.None}}, `{"e":"a@b.c"}`, `{"e":"a@b.c"}`},
	}
	s := compile(t, schema, jsonschema.Response)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var r jsonschema.Report
			out, err := s.Filter(nil, []byte(test.in), &jsonschema.Policy{Redact: test.redact}, &r)
			if err != nil || string(out) != test.out {
				t.Errorf("got  %s, %v\nwant %s", out, err, test.out)
			}
			if n := r.ByClass[0] + r.ByClass[1]; n == 0 {
				t.Error("nothing is counted by class")
			}
		})
	}
}

func TestHashedValuesStayEqual(t *testing.T) {
	s := compile(t, `{"items":{"x-class":"email"}}`, jsonschema.Response)
	p := &jsonschema.Policy{Redact: []jsonschema.Redaction{{How: jsonschema.Hash}}, Key: []byte("0123456789abcdef")}
	out, err := s.Filter(nil, []byte(`["a@b","\u0061@b","c@d"]`), p, nil)
	if err != nil {
		t.Fatal(err)
	}
	l := strings.Split(strings.Trim(string(out), "[]"), ",")
	if len(l) != 3 || l[0] != l[1] || l[0] == l[2] || len(l[0]) != 18 {
		t.Errorf("got %s", out)
	}
	p.Key = []byte("another key, just as long")
	other, err := s.Filter(nil, []byte(`["a@b"]`), p, nil)
	if err != nil || string(other) == "["+l[0]+"]" {
		t.Errorf("the key does not matter: %s, %v", other, err)
	}
}

func TestDetectorsLookAtStringsThePlanAllows(t *testing.T) {
	s := compile(t, `{"properties":{"free":{"type":"string"},"when":{"type":"string","format":"date-time"},"kind":{"enum":["x@y"]}}}`, jsonschema.Response)
	var asked []string
	p := &jsonschema.Policy{
		Redact: []jsonschema.Redaction{{How: jsonschema.Mask}, {}},
		Detectors: []jsonschema.Detector{{Class: 0, Bytes: []byte("@"), Length: 3, Find: func(b []byte) (int, int, bool) {
			asked = append(asked, string(b))
			i := bytes.IndexByte(b, '@')
			return i, i + 1, b[0] != 'n'
		}}},
	}
	var r jsonschema.Report
	out, err := s.Filter(nil, []byte(`{"free":"a\u0040b","when":"2026-01-01T00:00:00Z","kind":"x@y","more":["n@n",{"m@m":"q@q"},"@"]}`), p, &r)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"free":"****","when":"2026-01-01T00:00:00Z","kind":"x@y","more":["n@n",{"m@m":"****"},"@"]}`; string(out) != want {
		t.Errorf("got  %s\nwant %s", out, want)
	}
	if diff := cmp.Diff([]string{"a@b", "n@n", "q@q"}, asked); diff != "" {
		t.Error(diff)
	}
	if r.Found.Count != 2 || r.ByClass[0] != 2 {
		t.Errorf("%+v", r)
	}
	if diff := cmp.Diff([]string{"/free", "/more/1/m@m"}, r.Found.Pointers); diff != "" {
		t.Error(diff)
	}
}

func TestCaptures(t *testing.T) {
	base := compile(t, `{}`, jsonschema.Response)
	s, err := base.WithCaptures([]string{"/owner", "/items/*/owner", "/a~1b/0", "/items/*/tags/*"})
	if err != nil {
		t.Fatal(err)
	}
	doc := []byte(`{"owner":"me","items":[{"owner":"me"},{"owner":{"id":7},"tags":["x","y"]},{}],"a/b":[null]}`)
	var r jsonschema.Report
	if _, err := s.Filter(nil, doc, nil, &r); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range r.Captured {
		got = append(got, fmt.Sprintf("%d %s in %s", c.Capture, doc[c.Start:c.End], doc[c.ItemStart:c.ItemEnd]))
	}
	want := []string{
		`0 "me" in `, `1 "me" in {"owner":"me"}`, `1 {"id":7} in {"owner":{"id":7},"tags":["x","y"]}`, `2 null in `,
		`3 "x" in "x"`, `3 "y" in "y"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := base.WithCaptures([]string{"owner"}); err == nil {
		t.Error("a pointer without / is taken")
	}
}

func TestKeepDropsForeignItems(t *testing.T) {
	base := compile(t, `{}`, jsonschema.Response)
	list, err := base.WithCaptures([]string{"/*/owner"})
	if err != nil {
		t.Fatal(err)
	}
	mine := &jsonschema.Policy{Keep: func(_ int, raw []byte) jsonschema.Decision {
		if string(raw) == `"me"` {
			return jsonschema.KeepItem
		}
		return jsonschema.DropItem
	}}
	var r jsonschema.Report
	out, err := list.Filter(nil, []byte(`[{"owner":"you"}, {"owner":"me"}, {"n":1}, 3, {"owner":"me"}]`), mine, &r)
	if err != nil || string(out) != `[{"owner":"me"}, {"owner":"me"}]` || r.Dropped != 3 {
		t.Errorf("got %s, %v, dropped %d", out, err, r.Dropped)
	}
	single, err := base.WithCaptures([]string{"/owner"})
	if err != nil {
		t.Fatal(err)
	}
	for doc, want := range map[string]error{`{"owner":"me"}`: nil, `{"owner":"you"}`: jsonschema.ErrStopped, `{}`: jsonschema.ErrStopped, `[]`: jsonschema.ErrStopped} {
		if out, err := single.Filter(nil, []byte(doc), mine, &r); err != want || err != nil && out != nil {
			t.Errorf("%s: %s, %v", doc, out, err)
		}
	}
}

func TestZeroSchemaReadsStrictly(t *testing.T) {
	var s jsonschema.Schema
	if err := s.Validate([]byte(`{"a":[1,2,{"b":null}]}`)); err != nil {
		t.Error(err)
	}
	for doc, want := range map[string]string{`{"a":1,"a":2}`: "duplicate", `[1,]`: "syntax", "": "syntax"} {
		if got := keywords(s.Validate([]byte(doc))); got != want {
			t.Errorf("%s: %q, want %q", doc, got, want)
		}
	}
	var r jsonschema.Report
	c, err := s.WithCaptures([]string{"/a"})
	if err != nil {
		t.Fatal(err)
	}
	if out, err := c.Filter(nil, []byte(`{"a":1}`), drop, &r); err != nil || string(out) != `{"a":1}` || len(r.Captured) != 1 {
		t.Errorf("%s, %v, %+v", out, err, r)
	}
}

func TestViolationsNameTheirPlace(t *testing.T) {
	d, err := document.ParseJSON("shop.json", []byte("{\"properties\":{\"a~/b\":{\"items\":{\n\t\"maximum\": 5}}}}"))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler(jsonschema.Options{})
	c.Add("shop.json", d)
	s, _ := c.Compile(d.Root(), jsonschema.Neither)
	err = s.Validate([]byte(`{"a~/b":[1, 6]}`))
	var e *jsonschema.Error
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	want := []jsonschema.Violation{{
		Instance: "/a~0~1b/1", Schema: "/properties/a~0~1b/items/maximum", Keyword: "maximum",
		Message: "is above 5", Offset: 12, Pos: document.Pos{File: "shop.json", Line: 2, Col: 13},
	}}
	if diff := cmp.Diff(want, e.Violations); diff != "" {
		t.Error(diff)
	}
}
