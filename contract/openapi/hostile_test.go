package openapi_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/contract/openapi"
)

// Contracts that are built to cost much load all the same, and end.
func TestHostileContracts(t *testing.T) {
	many := func(n int, line func(i int) string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(line(i))
		}
		return b.String()
	}
	const head = "openapi: 3.1.0\n"
	const ok = "{get: {responses: {'200': {description: ok}}}}\n"
	for name, src := range map[string]string{
		"a long chain of references": head + "paths: {/a: {$ref: '#/x/0'}}\nx:\n" + many(5000, func(i int) string { return fmt.Sprintf("  %d: {$ref: '#/x/%d'}\n", i, i+1) }),
		"a reference to itself":      head + "paths: {/a: {get: {parameters: [{$ref: '#/paths/~1a/get/parameters/0'}], requestBody: {$ref: '#/paths/~1a/get/requestBody'}, responses: {'200': {$ref: '#/paths/~1a/get/responses/200'}}}}}\n",
		"schemas in a circle":        head + "paths: {/a: {get: {responses: {'200': {content: {text/html: {schema: {$ref: '#/s/A'}}, application/xml: {schema: {$ref: '#/s/A'}}}}}}}}\ns: {A: {$ref: '#/s/B'}, B: {$ref: '#/s/A'}}\n",
		"many paths that overlap":    head + "paths:\n" + many(4000, func(i int) string { return fmt.Sprintf("  /{a}/%d/{b%d}/x/{c}: ", i, i) + ok }),
		"many variables":             head + "servers:\n- url: https://{a}.{b}.{c}.{d}/{e}\n  variables: {" + strings.Join([]string{"a", "b", "c", "d", "e"}, ": {enum: [1,2,3,4,5,6,7,8,9]}, ") + ": {enum: [1,2,3,4,5,6,7,8,9]}}\npaths: {/a: " + strings.TrimSpace(ok) + "}\n",
		"many faults":                head + "paths:\n" + many(30_000, func(i int) string { return fmt.Sprintf("  /%d: 7\n", i) }),
		"a deep template":            `{"openapi": "3.1.0", "paths": {"` + strings.Repeat("/{a}", 5000) + `": {"get": {}}}}`,
		"a wide template":            `{"openapi": "3.1.0", "paths": {"/` + strings.Repeat("{a}x", 5000) + `": {"get": {}}}}`,
		"many documents":             head + "paths:\n" + many(3000, func(i int) string { return fmt.Sprintf("  /%d: {$ref: 'f%d.yaml'}\n", i, i) }),
		"a circle through files":     head + "paths: {/a: {$ref: 'self.yaml#/paths/~1a'}}\n",
	} {
		t.Run(name, func(t *testing.T) {
			api, ds := openapi.Load("self.yaml", openapi.Options{ReadFile: func(path string) ([]byte, error) {
				if path == "self.yaml" {
					return []byte(src), nil
				}
				if strings.HasPrefix(path, "f") {
					return []byte(ok), nil
				}
				return nil, fs.ErrNotExist
			}})
			checkPlaces(t, ds)
			if api == nil {
				t.Fatalf("does not load: %.500v", ds)
			}
			checkAPI(t, api)
			if len(ds) > 20_001 {
				t.Errorf("%d diagnostics", len(ds))
			}
		})
	}
}

// D11: a contract reads regular files near it, and nothing else.
func TestReferencesReadRegularFilesOnly(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "folder.yaml"), 0o755); err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(dir, "shop.yaml")
	src := `openapi: 3.1.0
paths:
  /a: {$ref: folder.yaml}
  /b: {$ref: ../../../../../../../../../../../../dev/zero}
  /c: {$ref: "http://127.0.0.1:1/x"}
  /d: {$ref: /etc/hostname}
  /e: {$ref: "//example.com/x"}
  /f: {$ref: "e.yaml"}
`
	if err := os.WriteFile(root, []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "e.yaml"), []byte("get: {responses: {'200': {description: ok}}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	api, ds := openapi.Load(root, openapi.Options{})
	if api == nil {
		t.Fatal(ds)
	}
	if len(api.Operations) != 1 || api.Operations[0].Path != "/f" {
		t.Errorf("operations: %+v", api.Operations)
	}
	if len(api.Documents) != 2 {
		t.Errorf("%d documents, want 2", len(api.Documents))
	}
	closed := 0
	for _, d := range ds {
		if d.Severity == contract.Closed {
			closed++
		}
	}
	if closed != 5 {
		t.Errorf("%d paths are closed, want 5:\n%v", closed, ds)
	}
}

// FuzzLoad loads mutated contracts. Every file that the root refers to is
// other; an empty overlay is none.
func FuzzLoad(f *testing.F) {
	for _, folder := range []string{"broken", "contracts"} {
		names, err := filepath.Glob(filepath.Join("testdata", folder, "*.txtar"))
		if err != nil {
			f.Fatal(err)
		}
		for _, name := range names {
			a, err := txtar.ParseFile(name)
			if err != nil {
				f.Fatal(err)
			}
			var other, overlay []byte
			for _, file := range a.Files[1:] {
				switch {
				case file.Name == "api" || file.Name == "faults":
				case strings.Contains(file.Name, ".overlay."):
					overlay = file.Data
				default:
					other = file.Data
				}
			}
			f.Add(a.Files[0].Data, other, overlay)
		}
	}
	f.Fuzz(func(t *testing.T, root, other, overlay []byte) {
		if len(root)+len(other)+len(overlay) > 1<<16 {
			return
		}
		opts := openapi.Options{MaxDocuments: 10, ReadFile: func(path string) ([]byte, error) {
			switch path {
			case "shop.yaml":
				return root, nil
			case "o.yaml":
				return overlay, nil
			}
			return other, nil
		}}
		if len(overlay) > 0 {
			opts.Overlays = []string{"o.yaml"}
		}
		api, ds := openapi.Load("shop.yaml", opts)
		checkPlaces(t, ds)
		if (api == nil) != ds.Fatal() {
			t.Fatalf("the API is %v, but Fatal is %v", api, ds.Fatal())
		}
		if api != nil {
			checkAPI(t, api)
			describe(api)
		}
	})
}
