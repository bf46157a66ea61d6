package jsonschema_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/document"
	"github.com/sallyport/sallyport/jsonschema"
)

// A sample is a document that an API description gives as an example, with
// its schema.
type sample struct {
	name   string // "github.json GET /repos/{owner}/{repo} 200"
	schema document.Node
	doc    []byte
}

// An api is an API description of the corpus.
type api struct {
	name    string
	dialect jsonschema.Dialect
	src     []byte
	doc     *document.Document
	samples []sample // examples of responses in JSON
}

var (
	apisMu sync.Mutex
	apis   = map[string]*api{}
)

// load reads testdata/openapi/name.gz and finds its examples.
func load(t testing.TB, name string) *api {
	t.Helper()
	apisMu.Lock()
	defer apisMu.Unlock()
	if a, ok := apis[name]; ok {
		return a
	}
	f, err := os.Open("testdata/openapi/" + name + ".gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	src, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	d, err := document.ParseJSON(name, src)
	if err != nil {
		t.Fatal(err)
	}
	a := &api{name: name, src: src, doc: d, dialect: jsonschema.OpenAPI30}
	if strings.HasPrefix(d.Root().Get("openapi").Text(), "3.1") {
		a.dialect = jsonschema.OpenAPI31
	}
	deref := func(n document.Node) document.Node {
		for range 10 {
			ref := n.Get("$ref").Str()
			if !strings.HasPrefix(ref, "#") {
				break
			}
			n = d.Root().At(ref[1:])
		}
		return n
	}
	for path, item := range d.Root().Get("paths").Members() {
		for method, op := range item.Members() {
			for status, r := range op.Get("responses").Members() {
				for mt, m := range deref(r).Get("content").Members() {
					if !strings.Contains(mt, "json") || !m.Has("schema") {
						continue
					}
					add := func(v document.Node) {
						a.samples = append(a.samples, sample{
							name + " " + strings.ToUpper(method) + " " + path + " " + status, m.Get("schema"), v.JSON(nil),
						})
					}
					if v := m.Get("example"); v.Valid() {
						add(v)
					}
					for _, e := range m.Get("examples").Members() {
						if v := deref(e).Get("value"); v.Valid() {
							add(v)
						}
					}
				}
			}
		}
	}
	apis[name] = a
	return a
}

// compiler returns a compiler that knows the description.
func (a *api) compiler(opts jsonschema.Options) *jsonschema.Compiler {
	opts.Dialect = a.dialect
	c := jsonschema.NewCompiler(opts)
	c.Add(a.name, a.doc)
	return c
}

// A judged is a sample with its compiled schema.
type judged struct {
	sample
	s *jsonschema.Schema
}

// valid returns the samples that are valid against their schemas.
func (a *api) valid(t testing.TB) (out []judged, invalid int) {
	c := a.compiler(jsonschema.Options{})
	for _, x := range a.samples {
		s, _ := c.Compile(x.schema, jsonschema.Response)
		if s.Validate(x.doc) == nil {
			out = append(out, judged{x, s})
		} else {
			invalid++
		}
	}
	return out, invalid
}

// modern rewrites a description of OpenAPI 3.0 so that a validator of JSON
// Schema 2020-12 understands its schemas as OpenAPI means them, for responses.
func modern(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = modern(v[i])
		}
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			return map[string]any{"$ref": ref}
		}
		for k, x := range v {
			if k != "example" && k != "examples" && k != "enum" && k != "default" {
				v[k] = modern(x)
			}
		}
		if n, _ := v["nullable"].(bool); n {
			if t, ok := v["type"].(string); ok {
				v["type"] = []any{t, "null"}
			} else if v["allOf"] != nil || v["oneOf"] != nil || v["anyOf"] != nil || v["enum"] != nil {
				inner := map[string]any{}
				for k, x := range v {
					if k != "nullable" {
						inner[k] = x
					}
				}
				return map[string]any{"anyOf": []any{map[string]any{"type": "null"}, inner}}
			}
		}
		for _, k := range []string{"exclusiveMinimum", "exclusiveMaximum"} {
			if x, ok := v[k].(bool); ok {
				delete(v, k)
				if m := strings.ToLower(k[9:]); x && v[m] != nil {
					v[k] = v[m]
					delete(v, m)
				}
			}
		}
		if req, ok := v["required"].([]any); ok {
			props, _ := v["properties"].(map[string]any)
			kept := []any{}
			for _, r := range req {
				name, _ := r.(string)
				p, _ := props[name].(map[string]any)
				if w, _ := p["writeOnly"].(bool); !w {
					kept = append(kept, r)
				}
			}
			v["required"] = kept
		}
	}
	return v
}

// decode reads JSON as santhosh's validator wants it.
func decode(t testing.TB, src []byte) any {
	d := json.NewDecoder(bytes.NewReader(src))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}
