package jsonschema_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	santhosh "github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/sallyport/sallyport/jsonschema"
)

// strict says by encoding/json and some rules of its own whether doc is
// strict JSON.
func strict(doc []byte) bool {
	if !json.Valid(doc) || !utf8.Valid(doc) || loneSurrogate(doc) {
		return false
	}
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	var value func() bool
	value = func() bool {
		t, err := d.Token()
		if err != nil {
			return false
		}
		switch t {
		case json.Delim('{'):
			seen := map[string]bool{}
			for d.More() {
				k, err := d.Token()
				if err != nil || seen[k.(string)] {
					return false
				}
				seen[k.(string)] = true
				if !value() {
					return false
				}
			}
			_, err := d.Token()
			return err == nil
		case json.Delim('['):
			for d.More() {
				if !value() {
					return false
				}
			}
			_, err := d.Token()
			return err == nil
		}
		return true
	}
	return value()
}

// loneSurrogate looks for half of a surrogate pair in valid JSON.
func loneSurrogate(s []byte) bool {
	unit := func(i int) int {
		if i+6 > len(s) || s[i] != '\\' || s[i+1] != 'u' {
			return 0
		}
		v, _ := strconv.ParseUint(string(s[i+2:i+6]), 16, 32)
		return int(v)
	}
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			continue
		}
		switch u := unit(i); {
		case u&0xFC00 == 0xD800:
			if unit(i+6)&0xFC00 != 0xDC00 {
				return true
			}
			i += 11
		case u&0xFC00 == 0xDC00:
			return true
		default:
			i++
		}
	}
	return false
}

// What is accepted is strict JSON, and the other way round.
func FuzzReadsStrictly(f *testing.F) {
	files, _ := filepath.Glob("testdata/parsing/test_parsing/*.json")
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		if len(src) < 1000 {
			f.Add(src)
		}
	}
	var s jsonschema.Schema
	f.Fuzz(func(t *testing.T, doc []byte) {
		err := s.Validate(doc)
		var e *jsonschema.Error
		if errors.As(err, &e) && e.Violations[0].Keyword == "limit" {
			return
		}
		if want := strict(doc); (err == nil) != want {
			t.Errorf("%q: %v, strict JSON is %v", doc, err, want)
		}
		if err != nil && (e == nil || !e.Syntax || e.Violations[0].Offset > len(doc)) {
			t.Errorf("%q: %#v", doc, err)
		}
	})
}

func addSuite(f *testing.F) {
	files, _ := filepath.Glob("testdata/suite/draft2020-12/*.json")
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var groups []group
		if err := json.Unmarshal(src, &groups); err != nil {
			f.Fatal(err)
		}
		for _, g := range groups {
			for i, test := range g.Tests {
				if i%3 == 0 && len(g.Schema) < 2000 {
					f.Add([]byte(g.Schema), []byte(test.Data))
				}
			}
		}
	}
}

var (
	// What the engines differ in on purpose, or one of them cannot do: the
	// other one expands exponents, uses RE2 as it is, and loads what a schema
	// names.
	longExponent = regexp.MustCompile(`[eE][+-]?[0-9]{4}`)
	elsewhere    = regexp.MustCompile(`(?i)\$|pattern|"id"|\\u`)
)

// Both engines give the same verdict.
func FuzzAgreesOnValidity(f *testing.F) {
	addSuite(f)
	f.Fuzz(func(t *testing.T, schema, doc []byte) {
		if !strict(schema) || !strict(doc) || longExponent.Match(schema) || longExponent.Match(doc) ||
			elsewhere.Match(bytes.ReplaceAll(bytes.ReplaceAll(schema, []byte("$ref"), nil), []byte("$defs"), nil)) {
			return
		}
		c := santhosh.NewCompiler()
		c.DefaultDraft(santhosh.Draft2020)
		v, err := santhosh.UnmarshalJSON(bytes.NewReader(schema))
		if err != nil {
			return
		}
		if err := c.AddResource("http://example.com/schema.json", v); err != nil {
			return
		}
		theirs, err := c.Compile("http://example.com/schema.json")
		if err != nil {
			return
		}
		ours, err := jsonschema.Compile(schema, jsonschema.Options{BaseURI: "http://example.com/schema.json"})
		if err != nil {
			if strings.Contains(err.Error(), "multipleOf cannot be") || strings.Contains(err.Error(), "without end") || strings.Contains(err.Error(), "leads back") {
				return // bounds that are documented, and schemas without meaning
			}
			t.Fatalf("%s: compiles there, not here: %v", schema, err)
		}
		inst, err := santhosh.UnmarshalJSON(bytes.NewReader(doc))
		if err != nil {
			return
		}
		want := theirs.Validate(inst)
		if got := ours.Validate(doc); (got == nil) != (want == nil) {
			t.Errorf("schema %s\ndocument %s\nours: %v\ntheirs: %v", schema, doc, got, want)
		}
		if ours.Valid(doc) != (want == nil) {
			t.Errorf("schema %s\ndocument %s: Valid is %v", schema, doc, want != nil)
		}
	})
}

// The output of Filter is strict JSON, valid unless the report says that it is
// not, and filtering it again changes nothing.
func FuzzFilterIsIdempotent(f *testing.F) {
	addSuite(f)
	f.Add([]byte(`{"properties":{"a":{"x-class":"email"},"b":{"items":{"properties":{"c":{}}}}}}`), []byte(`{"x":1,"a":"b","b":[{"c":1,"d":2},{}],"y":2}`))
	f.Fuzz(func(t *testing.T, schema, doc []byte) {
		if !strict(schema) {
			return
		}
		s, err := jsonschema.Compile(schema, jsonschema.Options{ClassKeyword: "x-class", Classes: []string{"email"}})
		if err != nil {
			return
		}
		p := &jsonschema.Policy{Undeclared: jsonschema.Drop, Recheck: true, Redact: []jsonschema.Redaction{{How: jsonschema.Mask}}}
		var r, r2 jsonschema.Report
		out, err := s.Filter(nil, doc, p, &r)
		if err != nil {
			return
		}
		if !strict(out) {
			t.Fatalf("schema %s\ndocument %s\nfiltered %s", schema, doc, out)
		}
		if !r.Changed {
			if !bytes.Equal(out, doc) {
				t.Fatalf("%s became %s without a word", doc, out)
			}
			return
		}
		if r.Broken != (s.Validate(out) != nil) {
			t.Errorf("schema %s\ndocument %s\nfiltered %s: broken is %v", schema, doc, out, r.Broken)
		}
		if r.Broken {
			return
		}
		again, err := s.Filter(nil, out, p, &r2)
		if err != nil || !bytes.Equal(again, out) {
			t.Errorf("schema %s\ndocument %s\nfiltered %s\nagain %s, %v", schema, doc, out, again, err)
		}
	})
}
