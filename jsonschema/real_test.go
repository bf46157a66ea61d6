package jsonschema_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/document"
	"github.com/sallyport/sallyport/jsonschema"
)

// All component schemas of real descriptions compile, in both directions, and
// what cannot be enforced of them is little and told once.
func TestRealDescriptionsCompile(t *testing.T) {
	files, err := filepath.Glob("testdata/openapi/*.gz")
	if err != nil || len(files) == 0 {
		t.Fatal("no descriptions: ", err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".gz")
		a := load(t, name)
		c := a.compiler(jsonschema.Options{AssertFormat: true})
		n := 0
		var problems []jsonschema.Problem
		compile := func(s document.Node) {
			for _, dir := range []jsonschema.Direction{jsonschema.Request, jsonschema.Response} {
				_, ps := c.Compile(s, dir)
				problems = append(problems, ps...)
				n++
			}
		}
		for _, s := range a.doc.Root().Get("components").Get("schemas").Members() {
			compile(s)
		}
		for _, s := range a.samples {
			compile(s.schema)
		}
		seen := map[string]int{}
		for _, p := range problems {
			if strings.HasPrefix(p.Msg, "format ") {
				seen["unknown formats"]++
				continue
			}
			seen[p.Error()]++
			if seen[p.Error()] > 1 {
				t.Errorf("told twice: %v", p)
			}
		}
		t.Logf("%s: %d schemas, %d problems", name, n, len(problems))
		shown := 0
		for p, k := range seen {
			if shown++; shown <= 6 {
				t.Logf("  %d %.200s", k, p)
			}
		}
	}
}
