package openapi_test

import (
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/contract/openapi"
	"github.com/sallyport/sallyport/document"
)

var update = flag.Bool("update", false, "rewrite the golden parts of testdata")

// files reads from an archive instead of the file system.
func files(a *txtar.Archive) func(string) ([]byte, error) {
	return func(path string) ([]byte, error) {
		for _, f := range a.Files {
			if f.Name == filepath.ToSlash(path) {
				return f.Data, nil
			}
		}
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
}

// golden runs every archive of a folder. Its first file is the root, files
// named *.overlay.yaml are its overlays, and the sections "want" are compared.
func golden(t *testing.T, folder string, got func(api *contract.API, ds contract.Diagnostics) map[string]string) int {
	names, err := filepath.Glob(filepath.Join("testdata", folder, "*.txtar"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no archives in %s: %v", folder, err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			opts := openapi.Options{ReadFile: files(a)}
			for _, f := range a.Files {
				if strings.Contains(f.Name, ".overlay.") {
					opts.Overlays = append(opts.Overlays, f.Name)
				}
			}
			sections := got(openapi.Load(a.Files[0].Name, opts))
			if *update {
				a.Files = slices.DeleteFunc(a.Files, func(f txtar.File) bool { return f.Name == "api" || f.Name == "faults" })
				for _, s := range slices.Sorted(maps.Keys(sections)) {
					a.Files = append(a.Files, txtar.File{Name: s, Data: []byte(sections[s])})
				}
				if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			for _, s := range slices.Sorted(maps.Keys(sections)) {
				want := "(no such section; run with -update)"
				for _, f := range a.Files {
					if f.Name == s {
						want = string(f.Data)
					}
				}
				if diff := cmp.Diff(want, sections[s]); diff != "" {
					t.Errorf("%s (-want +got):\n%s", s, diff)
				}
			}
		})
	}
	return len(names)
}

// faults prints diagnostics as a golden file has them. What is listed as not
// enforced is marked.
func faults(ds contract.Diagnostics) string {
	var b strings.Builder
	for _, d := range ds {
		mark := ""
		if d.Unenforced {
			mark = "unenforced "
		}
		fmt.Fprintf(&b, "%s%s\n", mark, d.Error())
	}
	return b.String()
}

// Every broken contract says where it is broken, and what became of it.
func TestBrokenContracts(t *testing.T) {
	n := golden(t, "broken", func(api *contract.API, ds contract.Diagnostics) map[string]string {
		checkPlaces(t, ds)
		if (api == nil) != ds.Fatal() {
			t.Errorf("the API is %v, but Fatal is %v", api, ds.Fatal())
		}
		return map[string]string{"faults": faults(ds)}
	})
	if n < 40 {
		t.Errorf("%d broken contracts, want at least 40", n)
	}
}

// Contracts of every version compile to what they say.
func TestContracts(t *testing.T) {
	golden(t, "contracts", func(api *contract.API, ds contract.Diagnostics) map[string]string {
		checkPlaces(t, ds)
		out := ""
		if api != nil {
			checkAPI(t, api)
			out = describe(api)
		}
		return map[string]string{"api": out, "faults": faults(ds)}
	})
}

// checkPlaces asks that every diagnostic has a place and a text.
func checkPlaces(t testing.TB, ds contract.Diagnostics) {
	t.Helper()
	for _, d := range ds {
		if d.Pos.File == "" || d.Pos.Line < 1 || d.Pos.Col < 1 || d.Msg == "" {
			t.Errorf("a diagnostic has no place: %+v", d)
		}
	}
}

// checkAPI asks for what every compiled API promises.
func checkAPI(t testing.TB, api *contract.API) {
	t.Helper()
	known := make(map[*document.Document]bool)
	for uri, d := range api.Documents {
		known[d] = true
		if got := api.URI(d); got != uri {
			t.Errorf("URI of %s is %q, want %q", d.Name(), got, uri)
		}
	}
	schema := func(what string, n document.Node) {
		if n.Valid() && !known[n.Document()] {
			t.Errorf("%s: the schema's document is not in API.Documents", what)
		}
		if n.Valid() && !n.IsObject() && !n.IsBool() {
			t.Errorf("%s: the schema is %s", what, n.Kind())
		}
	}
	place := func(what string, p contract.Pos) {
		if p.File == "" || p.Line < 1 || p.Col < 1 {
			t.Errorf("%s has no place", what)
		}
	}
	var parameters func(what string, ps []*contract.Parameter)
	var media func(what string, ms []*contract.Media)
	parameters = func(what string, ps []*contract.Parameter) {
		for _, p := range ps {
			what := what + " " + p.In + " " + p.Name
			place(what, p.Pos)
			schema(what, p.Schema)
			if p.Content != nil {
				media(what, []*contract.Media{p.Content})
				if p.Schema.Valid() {
					t.Errorf("%s has a schema and content", what)
				}
			} else if p.Style == "" && p.In != "querystring" {
				t.Errorf("%s has no style", what)
			}
		}
	}
	media = func(what string, ms []*contract.Media) {
		for _, m := range ms {
			what := what + " " + m.Type
			place(what, m.Pos)
			schema(what, m.Schema)
			schema(what, m.Items)
			if m.Type != strings.ToLower(m.Type) || strings.ContainsAny(m.Type, "; ") || !strings.Contains(m.Type, "/") {
				t.Errorf("%s is not a plain media type", what)
			}
			for name, e := range m.Encoding {
				place(what+" "+name, e.Pos)
				parameters(what+" "+name, e.Headers)
			}
		}
	}
	ids := make(map[string]bool)
	requests := make(map[string]bool)
	for _, op := range api.Operations {
		place(op.ID, op.Pos)
		if ids[op.ID] {
			t.Errorf("two operations are called %q", op.ID)
		}
		ids[op.ID] = true
		if key := op.Method + " " + op.Path; requests[key] || !strings.HasPrefix(op.Path, "/") || strings.ContainsAny(op.Path, "?#") {
			t.Errorf("%s: %s stands twice or is no path", op.ID, key)
		} else {
			requests[key] = true
		}
		parameters(op.ID, op.Parameters)
		inPath := make(map[string]bool)
		for _, p := range op.Parameters {
			if p.In == "path" {
				inPath[p.Name] = true
				if !strings.Contains(op.Path, "{"+p.Name+"}") || !p.Required {
					t.Errorf("%s: path parameter %s does not fit %s", op.ID, p.Name, op.Path)
				}
			}
		}
		if strings.Count(op.Path, "{") != len(inPath) {
			t.Errorf("%s: not every part of %s is a parameter", op.ID, op.Path)
		}
		if op.Body != nil {
			place(op.ID+" body", op.Body.Pos)
			media(op.ID+" body", op.Body.Content)
			if len(op.Body.Content) == 0 {
				t.Errorf("%s: the body has no media type", op.ID)
			}
		}
		for _, r := range op.Responses {
			place(op.ID+" "+r.Status, r.Pos)
			parameters(op.ID+" "+r.Status, r.Headers)
			media(op.ID+" "+r.Status, r.Content)
		}
		for _, req := range op.Security {
			for _, d := range req {
				place(op.ID+" "+d.Scheme, d.Pos)
				if api.Schemes[d.Scheme] == nil {
					t.Errorf("%s asks for the unknown scheme %s", op.ID, d.Scheme)
				}
			}
		}
		for key := range op.Extensions {
			if !strings.HasPrefix(key, "x-sallyport-") {
				t.Errorf("%s has the extension %s", op.ID, key)
			}
		}
	}
	for _, op := range api.Closed {
		place(op.ID, op.Pos)
	}
}

// describe prints an API so that a person can check it.
func describe(api *contract.API) string {
	var b strings.Builder
	line := func(indent int, format string, args ...any) {
		fmt.Fprintf(&b, strings.Repeat("  ", indent)+format+"\n", args...)
	}
	if api == nil {
		return ""
	}
	line(0, "%s %q %q %v", api.Format, api.Title, api.Version, api.Dialect)
	for _, s := range api.Servers {
		line(0, "server %q %q", s.Host, s.BasePath)
	}
	for _, name := range slices.Sorted(maps.Keys(api.Schemes)) {
		s := api.Schemes[name]
		line(0, "scheme %s: %s http=%q in=%q key=%q oidc=%q scopes=%v %s", name, s.Type, s.HTTP, s.In, s.Key, s.OIDC, s.Scopes, at(s.Pos))
	}
	for _, uri := range slices.Sorted(maps.Keys(api.Documents)) {
		line(0, "document %s", api.Documents[uri].Name())
	}
	schema := func(n document.Node) string {
		if !n.Valid() {
			return "any"
		}
		return string(n.JSON(nil)) + " " + at(n.Pos())
	}
	var media func(indent int, ms []*contract.Media)
	parameter := func(indent int, what string, p *contract.Parameter) {
		var flags []string
		for _, f := range []struct {
			on   bool
			name string
		}{{p.Required, "required"}, {p.Deprecated, "deprecated"}, {p.Explode, "explode"}, {p.AllowReserved, "reserved"}, {p.AllowEmpty, "empty"}} {
			if f.on {
				flags = append(flags, f.name)
			}
		}
		line(indent, "%s %s %s %s %v %s", what, p.In, p.Name, p.Style, flags, at(p.Pos))
		if p.Content != nil {
			media(indent+1, []*contract.Media{p.Content})
		} else {
			line(indent+1, "%s", schema(p.Schema))
		}
	}
	media = func(indent int, ms []*contract.Media) {
		for _, m := range ms {
			line(indent, "%s %s: %s", m.Type, m.Params, schema(m.Schema))
			if m.Items.Valid() {
				line(indent+1, "items %s", schema(m.Items))
			}
			for _, name := range slices.Sorted(maps.Keys(m.Encoding)) {
				e := m.Encoding[name]
				line(indent+1, "encoding %s: %q %q explode=%v reserved=%v %s", name, e.ContentType, e.Style, e.Explode, e.AllowReserved, at(e.Pos))
				for _, h := range e.Headers {
					parameter(indent+2, "with", h)
				}
			}
		}
	}
	for _, op := range api.Operations {
		line(0, "%s: %s %s %s", op.ID, op.Method, op.Path, at(op.Pos))
		if len(op.Tags) > 0 || op.Deprecated || op.Sunset != "" || op.Summary != "" {
			line(1, "tags %q deprecated=%v sunset=%q %q", op.Tags, op.Deprecated, op.Sunset, op.Summary)
		}
		for _, s := range op.Servers {
			line(1, "server %q %q", s.Host, s.BasePath)
		}
		line(1, "security declared=%v %s", op.Declared, demands(op.Security))
		for _, key := range slices.Sorted(maps.Keys(op.Extensions)) {
			line(1, "%s %s", key, schema(op.Extensions[key]))
		}
		for _, p := range op.Parameters {
			parameter(1, "parameter", p)
		}
		if op.Body != nil {
			line(1, "body required=%v %s", op.Body.Required, at(op.Body.Pos))
			media(2, op.Body.Content)
		}
		for _, r := range op.Responses {
			line(1, "response %s %s", r.Status, at(r.Pos))
			for _, h := range r.Headers {
				parameter(2, "with", h)
			}
			media(2, r.Content)
		}
	}
	for _, op := range api.Closed {
		line(0, "closed %s %s", op.ID, at(op.Pos))
	}
	return b.String()
}

func demands(rs []contract.Requirement) string {
	var alternatives []string
	for _, r := range rs {
		var all []string
		for _, d := range r {
			all = append(all, fmt.Sprintf("%s%v", d.Scheme, d.Scopes))
		}
		alternatives = append(alternatives, "("+strings.Join(all, " and ")+")")
	}
	return strings.Join(alternatives, " or ")
}

func at(p contract.Pos) string { return p.String() }

// readReal reads a contract of testdata/real.
func readReal(t testing.TB, name string) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "real", name+".json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := io.Copy(&b, z); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func realNames(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "real", "*.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(filepath.Base(f), ".json.gz")
	}
	return files
}

// load compiles a contract that is one file.
func load(t testing.TB, name string, src []byte) (*contract.API, contract.Diagnostics) {
	t.Helper()
	return openapi.Load(name, openapi.Options{ReadFile: func(path string) ([]byte, error) {
		if path == name {
			return src, nil
		}
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}})
}

// All contracts of real life compile; what is wrong with them is in a golden
// file.
func TestRealContracts(t *testing.T) {
	var b strings.Builder
	for _, name := range realNames(t) {
		api, ds := load(t, name+".json", readReal(t, name))
		if api == nil {
			t.Errorf("%s does not compile:\n%v", name, ds)
			continue
		}
		checkPlaces(t, ds)
		checkAPI(t, api)
		counts := make(map[contract.Severity]int)
		kinds := make(map[string]int)
		first := make(map[string]string)
		unenforced := 0
		for _, d := range ds {
			counts[d.Severity]++
			if d.Unenforced {
				unenforced++
			}
			k := kind(d.Msg)
			if kinds[k]++; kinds[k] == 1 {
				first[k] = d.Error()
			}
		}
		fmt.Fprintf(&b, "%s: %s, %d operations, %d closed, %d warnings, %d unenforced\n", name, api.Format, len(api.Operations), len(api.Closed), counts[contract.Warning], unenforced)
		for _, k := range slices.Sorted(maps.Keys(kinds)) {
			fmt.Fprintf(&b, "\t%d like %s\n", kinds[k], strings.ReplaceAll(first[k], "\n\t", " "))
		}
	}
	file := filepath.Join("testdata", "real.golden")
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// kind is a message without the names in it.
func kind(msg string) string {
	var words []string
	for w := range strings.FieldsSeq(msg) {
		if !strings.ContainsAny(w, `"/{}0123456789`) {
			words = append(words, w)
		}
	}
	return strings.Join(words, " ")
}

// A contract is the same as JSON and as YAML, down to the places.
func TestYAMLIsReadAsJSONIs(t *testing.T) {
	for _, name := range []string{"spotify", "okta", "trello", "listennotes-31", "netlify"} {
		src := readReal(t, name)
		a, err := document.ParseJSON("x", src)
		if err != nil {
			t.Fatal(err)
		}
		b, err := document.ParseYAML("x", src)
		if err != nil {
			t.Fatal(err)
		}
		wrong := 0
		var walk func(a, b document.Node)
		walk = func(a, b document.Node) {
			if a.Kind() != b.Kind() || a.Text() != b.Text() || a.Len() != b.Len() || a.Pos() != b.Pos() || a.Key() != b.Key() || a.KeyPos() != b.KeyPos() {
				if wrong++; wrong < 5 {
					t.Errorf("%s: %s at %s is %s as JSON, %s at %s is %s as YAML", name, a.Pointer(), a.Pos(), quoteShort(a), b.Pointer(), b.Pos(), quoteShort(b))
				}
				return
			}
			var others []document.Node
			for _, v := range b.Members() {
				others = append(others, v)
			}
			for _, v := range b.Elements() {
				others = append(others, v)
			}
			i := 0
			for _, v := range a.Members() {
				walk(v, others[i])
				i++
			}
			for i, v := range a.Elements() {
				walk(v, others[i])
			}
		}
		walk(a.Root(), b.Root())
	}
}

func quoteShort(n document.Node) string {
	s := string(n.JSON(nil))
	return s[:min(len(s), 60)]
}

// Compile is Load of a document that somebody else has read.
func TestCompile(t *testing.T) {
	src := readReal(t, "okta")
	doc, err := document.Parse("okta.json", src)
	if err != nil {
		t.Fatal(err)
	}
	a, as := openapi.Compile(doc, openapi.Options{})
	b, bs := load(t, "okta.json", src)
	if diff := cmp.Diff(describe(b), describe(a)); diff != "" {
		t.Errorf("(-Load +Compile):\n%s", diff)
	}
	if diff := cmp.Diff(bs, as); diff != "" {
		t.Errorf("(-Load +Compile):\n%s", diff)
	}
}
