package jsonschema_test

import (
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/jsonschema"
)

// remotes is the server that the suite wants at localhost:1234.
func remotes(uri string) ([]byte, error) {
	rest, ok := strings.CutPrefix(uri, "http://localhost:1234/")
	if !ok {
		return nil, fmt.Errorf("%s is not one of the suite's remotes", uri)
	}
	return os.ReadFile(filepath.Join("testdata/suite/remotes", filepath.FromSlash(rest)))
}

type group struct {
	Description string
	Schema      json.RawMessage
	Tests       []struct {
		Description string
		Data        json.RawMessage
		Valid       bool
	}
}

// suite runs the files that match, and returns the tests that fail as
// "file: group: test".
func suite(t *testing.T, glob string, opts jsonschema.Options) (total int, misses []string) {
	t.Helper()
	files, err := filepath.Glob(glob)
	if err != nil || len(files) == 0 {
		t.Fatalf("no files match %s: %v", glob, err)
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var groups []group
		if err := json.Unmarshal(src, &groups); err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		for _, g := range groups {
			s, cerr := jsonschema.Compile(g.Schema, opts)
			for _, test := range g.Tests {
				total++
				id := name + ": " + g.Description + ": " + test.Description
				if cerr != nil {
					misses = append(misses, id)
					t.Logf("%s: compile: %v", id, cerr)
					continue
				}
				err := s.Validate(test.Data)
				if (err == nil) != test.Valid {
					misses = append(misses, id)
					t.Logf("%s: valid is %v, want %v: %v", id, err == nil, test.Valid, err)
				}
				if s.Valid(test.Data) != (err == nil) {
					t.Errorf("%s: Valid and Validate disagree", id)
				}
			}
		}
	}
	return total, misses
}

func TestRequiredSuiteDraft202012(t *testing.T) {
	total, misses := suite(t, "testdata/suite/draft2020-12/*.json", jsonschema.Options{Load: remotes})
	if len(misses) > 0 {
		t.Errorf("%d of %d tests miss", len(misses), total)
	}
	t.Logf("%d tests", total)
}

func TestRequiredSuiteDraft4(t *testing.T) {
	total, misses := suite(t, "testdata/suite/draft4/*.json", jsonschema.Options{Dialect: jsonschema.Draft4, Load: remotes})
	if len(misses) > 0 {
		t.Errorf("%d of %d tests miss", len(misses), total)
	}
	t.Logf("%d tests", total)
}

func TestParsingSuite(t *testing.T) {
	files, err := filepath.Glob("testdata/parsing/test_parsing/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no files: ", err)
	}
	var any jsonschema.Schema
	counts := map[string]int{}
	for _, file := range files {
		name := filepath.Base(file)
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		err = any.Validate(src)
		counts[name[:2]]++
		switch {
		case strings.HasPrefix(name, "y_object_duplicated_key"):
			// A name that stands twice is refused on purpose.
			if err == nil {
				t.Errorf("%s is accepted", name)
			}
		case name[0] == 'y' && err != nil:
			t.Errorf("%s is refused: %v", name, err)
		case name[0] == 'n' && err == nil:
			t.Errorf("%s is accepted", name)
		}
	}
	t.Log(counts)
}

func TestInteropVectors(t *testing.T) {
	src, err := os.ReadFile("testdata/interop.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var any jsonschema.Schema
	n := 0
	for line := range strings.Lines(string(src)) {
		var v struct{ ID, Class, B64, Want, Why string }
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		doc, err := base64.StdEncoding.DecodeString(v.B64)
		if err != nil {
			t.Fatal(err)
		}
		n++
		if err := any.Validate(doc); (err == nil) != (v.Want == "accept") {
			t.Errorf("%s (%s): %v, want %s", v.ID, v.Why, err, v.Want)
		}
	}
	if n != 96 {
		t.Errorf("%d vectors, want 96", n)
	}
}

var update = flag.Bool("update", false, "write testdata/optional-misses.golden anew")

// The optional tests that miss are listed one by one in a file; CONFORMANCE.md
// says why. One more or less is a change to explain there.
func TestOptionalSuite(t *testing.T) {
	var got strings.Builder
	for _, s := range []struct {
		dir  string
		opts jsonschema.Options
	}{
		{"draft2020-12/optional", jsonschema.Options{Load: remotes}},
		{"draft2020-12/optional/format", jsonschema.Options{Load: remotes, AssertFormat: true}},
		{"draft4/optional", jsonschema.Options{Dialect: jsonschema.Draft4, Load: remotes}},
		{"draft4/optional/format", jsonschema.Options{Dialect: jsonschema.Draft4, Load: remotes, AssertFormat: true}},
	} {
		total, misses := suite(t, "testdata/suite/"+s.dir+"/*.json", s.opts)
		fmt.Fprintf(&got, "# %s: %d of %d\n", s.dir, total-len(misses), total)
		for _, m := range misses {
			fmt.Fprintln(&got, m)
		}
	}
	const golden = "testdata/optional-misses.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Error(diff)
	}
}
