package archtest

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/exchange"
)

// pages returns every Markdown page of the project, by its path from the root.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	dir := root(t)
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "node_modules"):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(name) != ".md":
			return nil
		}
		text, err := os.ReadFile(name)
		rel, _ := filepath.Rel(dir, name)
		all[filepath.ToSlash(rel)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("only %d pages were found", len(all))
	}
	return all
}

var (
	fenced  = regexp.MustCompile("(?ms)^```.*?^```")
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	major   = regexp.MustCompile(`/v\d+$`)
	quoted  = regexp.MustCompile("`([^`\n]+)`")
)

// anchors are the names that the headings of a page can be linked by.
func anchors(page string) (names []string) {
	for _, h := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(page, ""), -1) {
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case 'a' <= r && r <= 'z', '0' <= r && r <= '9', r == '-', r == '_':
				return r
			}
			return -1
		}, strings.ToLower(h[1]))
		names = append(names, name)
	}
	return names
}

func TestLinksOfPagesLeadSomewhere(t *testing.T) {
	all := pages(t)
	links := 0
	for page, text := range all {
		for _, m := range link.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
			u, err := url.Parse(m[1])
			if err != nil {
				t.Errorf("%s: %v", page, err)
				continue
			}
			if u.Scheme != "" {
				continue
			}
			links++
			to := page
			if u.Path != "" {
				to = filepath.ToSlash(filepath.Join(filepath.Dir(page), u.Path))
			}
			if _, err := os.Stat(filepath.Join(root(t), to)); err != nil {
				t.Errorf("%s: the link %s leads nowhere", page, m[1])
			} else if u.Fragment != "" && !slices.Contains(anchors(all[to]), u.Fragment) {
				t.Errorf("%s: %s has no heading for the link %s", page, to, m[1])
			}
		}
	}
	if links < 15 {
		t.Errorf("only %d links were found", links)
	}
}

// TestDependenciesAreDefended: docs/dependencies.md names what go.mod requires
// directly, and nothing that it does not.
func TestDependenciesAreDefended(t *testing.T) {
	mod, err := os.ReadFile(filepath.Join(root(t), "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	direct := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\t(\S+) v\S+$`).FindAllStringSubmatch(string(mod), -1) {
		direct[strings.TrimPrefix(m[1], "github.com/")] = true
	}
	if len(direct) < 10 {
		t.Fatalf("only %d modules were found", len(direct))
	}
	text := pages(t)["docs/dependencies.md"]
	named := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| [^|]+ \\| `([^`]+)` \\|").FindAllStringSubmatch(text, -1) {
		named[m[1]] = true
	}
	_, tests, _ := strings.Cut(text, "Only for tests")
	tests, _, _ = strings.Cut(tests, "\n\n")
	for _, m := range quoted.FindAllStringSubmatch(tests, -1) {
		named[m[1]] = true
	}
	for module := range direct {
		if !named[module] && !named[major.ReplaceAllString(module, "")] {
			t.Errorf("docs/dependencies.md does not say why %s", module)
		}
		delete(named, module)
		delete(named, major.ReplaceAllString(module, ""))
	}
	delete(named, "net/http") // of the standard library
	for n := range named {
		t.Errorf("docs/dependencies.md defends %s, which go.mod does not require", n)
	}
}

var (
	goName = regexp.MustCompile(`^([a-z]+)\.([A-Z]\w*)(?:\.(\w+))?$`)
	goFile = regexp.MustCompile(`^[\w./-]+\.go$`)
	reason = regexp.MustCompile(`^[a-z]+\.[a-z][a-z_]+$`)
)

// TestPagesNameWhatExists: files, Go names of our packages, and reasons.
func TestPagesNameWhatExists(t *testing.T) {
	families := map[string]bool{}
	for _, r := range exchange.Reasons() {
		family, _, _ := strings.Cut(r.Code(), ".")
		families[family] = true
	}
	checked := 0
	for page, text := range pages(t) {
		for _, m := range quoted.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
			name := m[1]
			switch {
			case goFile.MatchString(name):
				checked++
				if _, err := os.Stat(filepath.Join(root(t), name)); err != nil {
					t.Errorf("%s names the file %s, which does not exist", page, name)
				}
			case goName.MatchString(name):
				p := goName.FindStringSubmatch(name)
				if _, err := os.Stat(filepath.Join(root(t), p[1])); err != nil {
					continue // of another module
				}
				checked++
				if !declared(t, p[1], p[2], p[3]) {
					t.Errorf("%s names %s, which is not declared", page, name)
				}
			case page == "docs/configuration.md":
				// Its keys look like reasons: cors.origins.
			case reason.MatchString(name) && families[name[:strings.IndexByte(name, '.')]]:
				checked++
				if _, ok := exchange.ReasonOf(name); !ok {
					t.Errorf("%s names the reason %s, which does not exist", page, name)
				}
			}
		}
	}
	if checked < 20 {
		t.Errorf("only %d names were found", checked)
	}
}

// declared reports whether a package declares a name, and a method of it.
func declared(t *testing.T, pkg, name, method string) bool {
	t.Helper()
	want := `(?m)^(?:type|func|var|const|\t)\s*` + name + `\b`
	if method != "" {
		want = `(?m)^func \(\w* ?\*?` + name + `(?:\[\w+\])?\) ` + method + `\(`
	}
	files, err := filepath.Glob(filepath.Join(root(t), pkg, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		src, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if regexp.MustCompile(want).Match(src) {
			return true
		}
	}
	return false
}
