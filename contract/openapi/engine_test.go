package openapi_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/contract/openapi"
	"github.com/sallyport/sallyport/jsonschema"
)

// compile loads an archive of testdata/contracts and gives its documents to
// the engine, as a plan does.
func compile(t *testing.T, name string) (*contract.API, *jsonschema.Compiler) {
	t.Helper()
	a, err := txtar.ParseFile(filepath.Join("testdata", "contracts", name+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	opts := openapi.Options{ReadFile: files(a)}
	for _, f := range a.Files {
		if strings.Contains(f.Name, ".overlay.") {
			opts.Overlays = append(opts.Overlays, f.Name)
		}
	}
	api, ds := openapi.Load(a.Files[0].Name, opts)
	if api == nil {
		t.Fatal(ds)
	}
	c := jsonschema.NewCompiler(jsonschema.Options{Dialect: api.Dialect, AssertFormat: true})
	for uri, d := range api.Documents {
		c.Add(uri, d)
	}
	return api, c
}

// The engine resolves the references of schemas by the URIs that the loader
// gives it: between files, into overlaid documents, and in Swagger's parts.
func TestTheEngineResolvesWhatTheLoaderFound(t *testing.T) {
	for _, tt := range []struct {
		contract, operation, what string
		valid, invalid            string
	}{
		// GET /orders -> types.yaml#/Order -> #/Money, customer.json -> types.yaml#/Order
		{"files", "GET /orders", "200", `[{"total": 1, "customer": {"orders": [{"total": 2}]}}]`, `[{"customer": {"orders": [{"total": "2"}]}}]`},
		{"files", "GET /orders", "query limit", `1.5`, `"a"`},
		{"ids", "GET /orders", "200", `{"money": 1}`, `{"money": "1"}`},
		{"overlay", "orders", "200", `{"id": "a", "internal": 7}`, `{"id": 7}`}, // "internal" had the type string
		{"swagger", "POST /orders", "body", `{"id": 1, "note": null}`, `{"id": 1, "note": 7}`},
		{"swagger", "listOrders", "query all", `[1,2,3,4,5]`, `[1,2,3,4,5,6]`},
		{"swagger", "PUT /orders/{id}/photo", "body", `{"photo": "x", "tags": ["a"]}`, `{"tags": ["a"]}`},
		{"swagger", "PUT /orders/{id}/photo", "path id", `"abc"`, `"bc"`},
	} {
		t.Run(tt.contract+" "+tt.operation+" "+tt.what, func(t *testing.T) {
			api, c := compile(t, tt.contract)
			var schema *jsonschema.Schema
			for _, op := range api.Operations {
				if op.ID != tt.operation {
					continue
				}
				n := op.Responses[0].Content
				direction := jsonschema.Response
				if tt.what == "body" {
					n, direction = op.Body.Content, jsonschema.Request
				}
				for _, p := range op.Parameters {
					if p.In+" "+p.Name == tt.what {
						n, direction = []*contract.Media{{Schema: p.Schema}}, jsonschema.Request
					}
				}
				s, problems := c.Compile(n[0].Schema, direction)
				for _, p := range problems {
					if !strings.Contains(p.Msg, "gone") && !strings.Contains(p.Msg, "node") { // planted in ids.txtar
						t.Error(p)
					}
				}
				schema = s
			}
			if schema == nil {
				t.Fatal("no such operation")
			}
			if err := schema.Validate([]byte(tt.valid)); err != nil {
				t.Errorf("%s is refused: %v", tt.valid, err)
			}
			if err := schema.Validate([]byte(tt.invalid)); err == nil {
				t.Errorf("%s is let through", tt.invalid)
			}
		})
	}
}
