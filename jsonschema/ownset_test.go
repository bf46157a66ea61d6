package jsonschema_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	santhosh "github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/sallyport/sallyport/document"
	"github.com/sallyport/sallyport/jsonschema"
)

// ownNames are the sets of other origin than API descriptions.
var ownNames = []string{
	"schema of OpenAPI 3.0", "schema of OpenAPI 3.1", "schema of AsyncAPI 3.1", "metaschema 2020-12", "metaschema draft 4",
}

// ownSets are schemas that other projects publish, with documents that exist:
// descriptions of APIs against the schemas of their formats (draft 4 and 7
// with patternProperties and oneOf, 2020-12 with $dynamicRef and unevaluated
// properties), and the schemas of the test suite against the metaschemas.
func ownSets(t *testing.T) (sets []*set) {
	read := func(name string) []byte {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	suite := func(dir string) (docs [][]byte) {
		files, _ := filepath.Glob("testdata/suite/" + dir + "/*.json")
		for _, f := range files {
			var groups []group
			if err := json.Unmarshal(read(f), &groups); err != nil {
				t.Fatal(err)
			}
			for _, g := range groups {
				docs = append(docs, g.Schema)
			}
		}
		return docs
	}
	specs := func(names ...string) (docs [][]byte) {
		for _, n := range names {
			docs = append(docs, load(t, n).doc.Root().JSON(nil))
		}
		return docs
	}
	var async [][]byte
	files, _ := filepath.Glob("testdata/asyncapi/*.yml")
	for _, f := range files {
		d, err := document.Parse(f, read(f))
		if err != nil {
			t.Fatal(err)
		}
		async = append(async, d.Root().JSON(nil))
	}
	for i, x := range []struct {
		file    string
		dialect jsonschema.Dialect
		docs    [][]byte
	}{
		{"testdata/schemas/openapi-3.0.json", jsonschema.Draft4, specs("okta.json", "netlify.json", "openai.json", "spotify.json", "slack.json", "trello.json", "gitlab.json", "asana.json")},
		{"testdata/schemas/openapi-3.1.json", jsonschema.Draft202012, specs("adyen-checkout-31.json", "discourse-31.json", "listennotes-31.json", "vercel-31.json", "codat-accounting-31.json")},
		{"testdata/schemas/asyncapi-3.1.json", jsonschema.Draft202012, async},
		{"metaschemas/draft/2020-12/schema", jsonschema.Draft202012, suite("draft2020-12")},
		{"metaschemas/draft-04/schema", jsonschema.Draft4, suite("draft4")},
	} {
		src := read(x.file)
		ours, err := jsonschema.Compile(src, jsonschema.Options{Dialect: x.dialect})
		if err != nil {
			t.Fatalf("%s: %.500v", x.file, err)
		}
		v, err := santhosh.UnmarshalJSON(bytes.NewReader(src))
		if err != nil {
			t.Fatal(err)
		}
		c := santhosh.NewCompiler()
		uri := "http://example.com/schema"
		if id, ok := v.(map[string]any)["$id"].(string); ok {
			uri = id
		} else if id, ok := v.(map[string]any)["id"].(string); ok {
			uri = id
		}
		if !strings.Contains(uri, "json-schema.org") {
			if err := c.AddResource(uri, v); err != nil {
				t.Fatal(err)
			}
		}
		theirs, err := c.Compile(uri)
		if err != nil {
			t.Fatal(err)
		}
		s := &set{name: ownNames[i]}
		for _, d := range x.docs {
			var inst any
			if json.Unmarshal(d, &inst) != nil {
				continue
			}
			want, got := theirs.Validate(inst), ours.Validate(d)
			if (want == nil) != (got == nil) {
				t.Errorf("%s: ours %v, theirs %v\n%.300s", s.name, got, want, d)
				continue
			}
			if want == nil {
				s.docs = append(s.docs, judged{sample{name: s.name, doc: d}, ours})
				s.theirs = append(s.theirs, theirs)
			}
		}
		if len(s.docs) == 0 {
			t.Errorf("%s: no document is valid", s.name)
			continue
		}
		t.Logf("%s: %d of %d documents are valid", s.name, len(s.docs), len(x.docs))
		sets = append(sets, s)
	}
	return sets
}

func TestAgreesOnSchemasOfOtherOrigin(t *testing.T) { ownSets(t) }
