// Package archtest holds the shape of the source: which package may import
// which, and that each says what it is for.
package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sallyport/sallyport"

// layers is the order that data flows in. A package imports only from lines
// above its own; what is below a package's folder belongs to its line and may
// import it.
var layers = []string{
	"document exchange",
	"jsonschema wire",
	"contract event classify",
	"policy authn authz limit",
	"plan",
	"guard",
	"inventory detect posture audit diff probe learn replay",
	"sallyport grpcguard gateway envoy",
	"memory sqlite postgres redis nats storetest",
	"config telemetry console",
	"demo",
	"app",
	"cmd",
	"internal",
}

// forbidden are single imports that the order would permit, with the reason.
var forbidden = []struct{ from, to, why string }{
	{"*", "gopkg.in/yaml.v3", "it is archived; go.yaml.in/yaml/v3 is its living successor"},
	{"*", "html/template", "it keeps every exported method in the binary (golang/go#72895)"},
	{"*", "text/template", "it keeps every exported method in the binary (golang/go#72895)"},
	{"guard", "net/http", "the guard knows no carrier; a door adapts what carried the exchange"},
	{"plan", "net/http", "a plan is made of contracts and policy alone"},
	{"exchange", "net/http", "an exchange is the same whatever carried it"},
	{"wire", "net/http", "the wire is our own reading of HTTP/1.1"},
	{"demo", module + "/app", "the demo is started by the command, which gives it the gateway"},
	{"demo", module + "/config", "only app and cmd see the configuration"},
}

// configOnly are the packages that may see config: everything else gets what
// it needs from app.
var configOnly = []string{"app", "cmd"}

type pkg struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,Imports", module+"/...")
	cmd.Dir = root(t)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, errs.Bytes())
	}
	var ps []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		ps = append(ps, p)
	}
	if len(ps) < 10 {
		t.Fatalf("go list found %d packages, which cannot be all", len(ps))
	}
	return ps
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// room returns the first folder of a package of this module, or "".
func room(path string) string {
	rest, ok := strings.CutPrefix(path, module)
	if !ok {
		return ""
	}
	if rest == "" {
		return "sallyport"
	}
	first, _, _ := strings.Cut(rest[1:], "/")
	return first
}

func layer(room string) int {
	return slices.IndexFunc(layers, func(l string) bool { return slices.Contains(strings.Fields(l), room) })
}

func TestPackagesImportOnlyFromAbove(t *testing.T) {
	for _, p := range packages(t) {
		from := room(p.ImportPath)
		at := layer(from)
		if at < 0 {
			t.Errorf("%s: package %s stands in no layer; put it where its data flows", p.ImportPath, from)
			continue
		}
		for _, imp := range p.Imports {
			to := room(imp)
			if to == "" || to == from || to == "internal" {
				continue
			}
			if l := layer(to); l >= at {
				t.Errorf("%s imports %s, which is not above it", p.ImportPath, imp)
			}
			if to == "config" && !slices.Contains(configOnly, from) {
				t.Errorf("%s imports config, which only app and cmd may see", p.ImportPath)
			}
		}
	}
}

func TestForbiddenImports(t *testing.T) {
	for _, p := range packages(t) {
		for _, f := range forbidden {
			if (f.from == "*" || f.from == room(p.ImportPath)) && slices.Contains(p.Imports, f.to) {
				t.Errorf("%s imports %s: %s", p.ImportPath, f.to, f.why)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for _, p := range packages(t) {
		var comments []string
		for _, f := range p.GoFiles {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, f), nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if file.Doc != nil && strings.TrimSpace(file.Doc.Text()) != "" {
				comments = append(comments, f)
			}
		}
		if len(comments) != 1 && len(p.GoFiles) > 0 {
			t.Errorf("%s has %d package comments %v, want one", p.ImportPath, len(comments), comments)
		}
	}
}

// TestNoPlaceOfOneMachine keeps paths of whoever wrote a file out of it.
func TestNoPlaceOfOneMachine(t *testing.T) {
	for _, dir := range []string{"/home/", "/Users/", "/work/"} {
		out, err := exec.Command("git", "-C", root(t), "grep", "-lI", dir, "--", "*.go", "*.md", "*.yaml", "Makefile").Output()
		if err != nil || len(out) == 0 {
			continue // nothing found, or no repository
		}
		for f := range strings.FieldsSeq(string(out)) {
			if strings.HasPrefix(f, "internal/archtest/") || strings.Contains(f, "testdata/") {
				continue
			}
			b, err := os.ReadFile(filepath.Join(root(t), f))
			if err != nil {
				t.Fatal(err)
			}
			for i, line := range bytes.Split(b, []byte("\n")) {
				if bytes.Contains(line, []byte(`"`+dir)) || bytes.Contains(line, []byte(" "+dir)) {
					t.Errorf("%s:%d names a folder of one machine: %s", f, i+1, bytes.TrimSpace(line))
				}
			}
		}
	}
}
