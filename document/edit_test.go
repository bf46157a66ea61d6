package document_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/document"
)

// containers lists the objects and arrays below n, n first.
func containers(n document.Node) []document.Node {
	var all []document.Node
	if n.IsObject() || n.IsArray() {
		all = append(all, n)
	}
	for _, v := range n.Members() {
		all = append(all, containers(v)...)
	}
	for _, v := range n.Elements() {
		all = append(all, containers(v)...)
	}
	return all
}

// What an Editor does is what a tree of maps and slices does.
func TestEditorAgreesWithMapsAndSlices(t *testing.T) {
	other, err := document.ParseYAML("other.yaml", []byte("a: [1, {b: \"x\\ny\"}]\nk3: {}\nc: 'it''s'\n"))
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		src := `{"a":{"b":[],"c":{},"d":[1,2,{"e":null}]},"f":"x","":{"\u0041":1}}`
		d, err := document.ParseJSON("a.json", []byte(src))
		if err != nil {
			t.Fatal(err)
		}
		e := document.Edit(d)
		var model any
		if err := json.Unmarshal([]byte(src), &model); err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			at := rapid.SampledFrom(containers(e.Root())).Draw(t, "at").Pointer()
			n := e.Root().At(at)
			key := fmt.Sprintf("k%d", rapid.IntRange(0, 30).Draw(t, "key"))
			switch rapid.IntRange(0, 4).Draw(t, "do") {
			case 0:
				v := rapid.SampledFrom(containers(other.Root())).Draw(t, "value")
				e.Put(n, key, other.Root().Get("c"), v)
				model = edit(model, at, func(c any) any { return with(c, key, decode(v)) })
			case 1:
				v := n // a copy of itself inside itself
				if len(v.JSON(nil)) > 2000 {
					continue
				}
				inside := decode(v)
				e.Put(n, key, n, v)
				model = edit(model, at, func(c any) any { return with(c, key, inside) })
			case 2:
				e.PutString(n, key, n, "s")
				model = edit(model, at, func(c any) any { return with(c, key, "s") })
			case 3:
				e.PutEmpty(n, key, n, document.Object)
				model = edit(model, at, func(c any) any { return with(c, key, map[string]any{}) })
			case 4:
				if n.Len() == 0 {
					continue
				}
				which := rapid.IntRange(0, n.Len()-1).Draw(t, "which")
				i := 0
				for key, v := range n.Members() {
					if i == which {
						e.Remove(v)
						model = edit(model, at, func(c any) any { delete(c.(map[string]any), key); return c })
						break
					}
					i++
				}
				for i, v := range n.Elements() {
					if i == which {
						e.Remove(v)
						model = edit(model, at, func(c any) any { return slices.Delete(c.([]any), i, i+1) })
						break
					}
				}
			}
			if diff := cmp.Diff(model, decode(e.Root())); diff != "" {
				t.Fatalf("(-model +editor):\n%s", diff)
			}
		}
		out, err := e.Document()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(model, decode(out.Root())); diff != "" {
			t.Fatalf("after Document (-model +editor):\n%s", diff)
		}
		if len(out.Duplicates()) != 0 {
			t.Fatalf("duplicates: %v", out.Duplicates())
		}
		if got := string(d.Root().JSON(nil)); got != `{"a":{"b":[],"c":{},"d":[1,2,{"e":null}]},"f":"x","":{"A":1}}` {
			t.Fatalf("the original changed: %s", got)
		}
		checkTree(t, out.Root())
	})
}

func checkTree(t *rapid.T, n document.Node) {
	if n.Document().Root().At(n.Pointer()) != n {
		t.Fatalf("At(%q) is not the node it came from", n.Pointer())
	}
	if p := n.Pos(); p.Line < 1 || p.Col < 1 || p.File != "a.json" && p.File != "other.yaml" {
		t.Fatalf("%s stands at %v", n.Pointer(), p)
	}
	for key, v := range n.Members() {
		if n.Get(key) != v {
			t.Fatalf("%s: %q is not found again", n.Pointer(), key)
		}
		checkTree(t, v)
	}
	for _, v := range n.Elements() {
		checkTree(t, v)
	}
}

func decode(n document.Node) any {
	var v any
	if err := json.Unmarshal(n.JSON(nil), &v); err != nil {
		panic(err)
	}
	return v
}

// with returns c with v under key, or appended.
func with(c any, key string, v any) any {
	if m, ok := c.(map[string]any); ok {
		m[key] = v
		return m
	}
	return append(c.([]any), v)
}

// edit replaces the container at the pointer by what change makes of it.
func edit(v any, pointer string, change func(any) any) any {
	if pointer == "" {
		return change(v)
	}
	token, rest := pointer[1:], ""
	if i := slices.Index([]byte(token), '/'); i >= 0 {
		token, rest = token[:i], token[i:]
	}
	switch v := v.(type) {
	case map[string]any:
		v[token] = edit(v[token], rest, change)
	case []any:
		var i int
		fmt.Sscan(token, &i)
		v[i] = edit(v[i], rest, change)
	}
	return v
}

func TestEditedValuesKeepTheirPlaces(t *testing.T) {
	d := parse(t, "a.json", "{\n \"a\": {\"x\": 1}\n}")
	o := parse(t, "o.yaml", "b:\n  c: 2\n")
	e := document.Edit(d)
	e.PutMember(e.Root().Get("a"), o.Root().Get("b"))
	e.PutString(e.Root(), "s", d.Root().At("/a/x"), "text")
	out, err := e.Document()
	if err != nil {
		t.Fatal(err)
	}
	for pointer, want := range map[string]string{
		"/a": "a.json:2:2 a.json:2:7", "/a/b": "o.yaml:1:1 o.yaml:2:3", "/a/b/c": "o.yaml:2:3 o.yaml:2:6", "/s": "a.json:2:8 a.json:2:13",
	} {
		n := out.Root().At(pointer)
		if got := n.KeyPos().String() + " " + n.Pos().String(); got != want {
			t.Errorf("%s stands at %s, want %s", pointer, got, want)
		}
	}
}

func TestNewDocument(t *testing.T) {
	at := parse(t, "a.json", `[true]`).Root().At("/0")
	e := document.New("made", at)
	p := e.PutEmpty(e.Root(), "properties", at, document.Object)
	for i := range 50 {
		e.PutBool(p, fmt.Sprint(i), at, i%2 == 0)
	}
	list := e.PutEmpty(e.Root(), "required", at, document.Array)
	e.PutString(list, "", at, "7")
	d, err := e.Document()
	if err != nil {
		t.Fatal(err)
	}
	if got := d.Root().At("/properties/42"); !got.Bool() || got.Pos().String() != "a.json:1:2" {
		t.Errorf("/properties/42 is %v at %v", got.Bool(), got.Pos())
	}
	if got := string(d.Root().Get("required").JSON(nil)); got != `["7"]` {
		t.Errorf("required = %s", got)
	}
	if _, err := e.Document(); err == nil {
		t.Error("an editor gave a document twice")
	}
}
