package document_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/sallyport/sallyport/document"
)

// value is what encoding/json would decode the node to, with numbers as text.
func value(n document.Node) any {
	switch n.Kind() {
	case document.Null:
		return nil
	case document.Bool:
		return n.Bool()
	case document.Number:
		return json.Number(n.Text())
	case document.String:
		return n.Text()
	case document.Array:
		a := []any{}
		for _, e := range n.Elements() {
			a = append(a, value(e))
		}
		return a
	case document.Object:
		m := map[string]any{}
		for k, v := range n.Members() {
			m[k] = value(v)
		}
		return m
	}
	panic("invalid node")
}

func standard(t testing.TB, src []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(src))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if dec.More() {
		return nil, errors.New("more than one value")
	}
	return v, nil
}

func FuzzParseJSON(f *testing.F) {
	for _, s := range []string{
		`{"a":[1,-0.5e+3,true,false,null,"x"],"b":{}}`, `[]`, ` "\u00e9\ud83d\ude00\ud800x" `, "\xef\xbb\xbf{}",
		`{"a":1,"a":2}`, `{"\u0061":1,"a":2}`, `[1,]`, `{"a":1,}`, `01`, `-`, `1.`, `1e`, `"\x"`, "\"\xff\"", `nul`, `{"a" 1}`,
		`"\ud800\u0041"`, `"\u12"`, "\"a\nb\"", `{"a":{"b":{"c":[[[]]]}}}`, `1 2`, ``, `[`, `{`, `{"`, `{"a"`, `{"a":`, `"\`,
		`"\u`, `[1 2]`, "[\x00]", `{'a':1}`, `// x`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		d, err := document.ParseJSON("f.json", src)
		want := bytes.TrimPrefix(src, []byte("\xef\xbb\xbf"))
		if valid := json.Valid(want); valid != (err == nil) {
			t.Fatalf("ParseJSON: %v, json.Valid: %v", err, valid)
		}
		if err != nil {
			var syntax *document.SyntaxError
			if !errors.As(err, &syntax) || syntax.Pos.Line < 1 || syntax.Pos.Col < 1 || syntax.Msg == "" {
				t.Fatalf("error without a place: %v", err)
			}
			return
		}
		v, err := standard(t, want)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(v, value(d.Root())); diff != "" {
			t.Errorf("values differ (-encoding/json +document):\n%s", diff)
		}
		again, err := standard(t, d.Root().JSON(nil))
		if err != nil {
			t.Fatalf("JSON wrote %q: %v", d.Root().JSON(nil), err)
		}
		if diff := cmp.Diff(v, again); diff != "" {
			t.Errorf("JSON wrote something else (-want +got):\n%s", diff)
		}
		walk(t, d.Root())
	})
}

// walk checks what holds for every node of every document.
func walk(t testing.TB, n document.Node) {
	t.Helper()
	root := n.Document().Root()
	var visit func(n document.Node)
	count := 0
	visit = func(n document.Node) {
		if count++; count > 2000 {
			return
		}
		if got := root.At(n.Pointer()); got != n {
			t.Fatalf("At(%q) is not the node it came from", n.Pointer())
		}
		if p := n.Pos(); p.Line < 1 || p.Col < 1 {
			t.Fatalf("%s has place %v", n.Pointer(), p)
		}
		i := 0
		for key, v := range n.Members() {
			i++
			if n.Get(key) != v || v.Key() != key || v.Parent() != n {
				t.Fatalf("member %q of %q is not found again", key, n.Pointer())
			}
			visit(v)
		}
		for _, v := range n.Elements() {
			i++
			visit(v)
		}
		if i != n.Len() {
			t.Fatalf("Len of %q is %d, but it has %d", n.Pointer(), n.Len(), i)
		}
	}
	visit(root)
}

func FuzzParseYAML(f *testing.F) {
	for _, s := range []string{
		"a: 1\nb: [x, 'y', \"z\\n\"]\nc:\n  - d: |\n      text\n      more\n  - e: >-\n      fold\n      ed\n",
		"a: &x {b: 1}\nc: *x\nd:\n  <<: *x\n  e: 2\n", "a: &a [*a]", "yes: no\non: off\n", "a: 0x1F\nb: 0o17\nc: 0777\nd: .5\ne: 1.\nf: +1\ng: .inf\nh: 1_000\n",
		"- 2026-01-02\n- ~\n- Null\n- TRUE\n-\n", "a: 1\n---\nb: 2\n", "\xef\xbb\xbfa: é\nb: ü # c\r\nd: e\r\n", "? [a]\n: b\n", "a: !!str 1\nb: !!int '2'\n", "{a: 1, a: 2}",
		"\t", "a: b: c", "#", "200: ok\n", "a: \"\\ud83d\"\n", "a: 'it''s'\n", "!!binary aGk=", "a: plain\n  folded\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		if len(src) > 1<<16 {
			return
		}
		d, err := document.ParseYAML("f.yaml", src)
		var n yaml.Node
		theirs := yaml.Unmarshal(src, &n)
		if err != nil {
			var syntax *document.SyntaxError
			if !errors.As(err, &syntax) || syntax.Pos.Line < 1 || syntax.Pos.Col < 1 || syntax.Msg == "" {
				t.Fatalf("error without a place: %v", err)
			}
			return
		}
		if theirs != nil {
			t.Fatalf("accepted what yaml.v3 refuses: %v", theirs)
		}
		if !json.Valid(d.Root().JSON(nil)) {
			t.Fatalf("JSON wrote %q", d.Root().JSON(nil))
		}
		walk(t, d.Root())
		if bytes.Contains(src, []byte("binary")) {
			return // decoded by yaml.v3; JSON has no such type
		}
		// Where yaml.v3 sees the types that the core schema sees, the values
		// are the same.
		var v any
		if yaml.Unmarshal(src, &v) != nil {
			return
		}
		agree(t, v, d.Root())
	})
}

// agree compares what yaml.v3 decodes with a node. Strings must be equal;
// scalars of other types, on which YAML 1.1 and 1.2 differ, must not be
// objects or arrays.
func agree(t *testing.T, v any, n document.Node) {
	t.Helper()
	switch v := v.(type) {
	case string:
		if n.Kind() == document.String && n.Text() != v || n.Kind() == document.Array || n.Kind() == document.Object {
			t.Errorf("%s: %q, yaml.v3 says %q", n.Pointer(), n.Text(), v)
		}
	case bool:
		if n.Kind() != document.Bool || n.Bool() != v {
			t.Errorf("%s: %v %q, yaml.v3 says %v", n.Pointer(), n.Kind(), n.Text(), v)
		}
	case []any:
		if n.Len() != len(v) {
			t.Errorf("%s: %d elements, yaml.v3 says %d", n.Pointer(), n.Len(), len(v))
			return
		}
		for i, e := range n.Elements() {
			agree(t, v[i], e)
		}
	case map[string]any:
		if n.Kind() != document.Object || n.Len() != len(v) {
			t.Errorf("%s: %d members, yaml.v3 says %d", n.Pointer(), n.Len(), len(v))
			return
		}
		for key, e := range n.Members() {
			if _, ok := v[key]; !ok {
				t.Errorf("%s: yaml.v3 has no key %q", n.Pointer(), key)
				continue
			}
			agree(t, v[key], e)
		}
	}
}

func parse(t testing.TB, name, src string) *document.Document {
	t.Helper()
	d, err := document.Parse(name, []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestPlaces(t *testing.T) {
	for _, tt := range []struct{ name, src, pointer, key, pos string }{
		{"a.json", "{\n  \"a\": {\"b\": [1,\r\n 2]}\n}", "/a/b/1", "a.json:3:2", "a.json:3:2"},
		{"a.json", "{\n  \"a\": {\"b\": 1}}", "/a/b", "a.json:2:9", "a.json:2:14"},
		{"a.json", "\ufeff{\"a\": 1}", "/a", "a.json:1:2", "a.json:1:7"},
		{"a.json", `{"é": {"b": 1}}`, "/é/b", "a.json:1:9", "a.json:1:14"}, // columns are bytes
		{"a.yaml", "a:\n  b: é\n  é: [x, {c: d}]\n", "/a/é/1/c", "a.yaml:3:12", "a.yaml:3:15"},
		{"a.yaml", "a: 1\r\nb:\r\n- x\r\n", "/b/0", "a.yaml:3:3", "a.yaml:3:3"},
		{"a.yaml", "\ufeffa: 1", "/a", "a.yaml:1:1", "a.yaml:1:4"},
		{"a.yaml", "a: \"x\u2028y\"\nb: c", "/b", "a.yaml:2:1", "a.yaml:2:4"},
		{"a.yaml", "a: &x {b: 1}\nc: *x\n", "/c/b", "a.yaml:1:8", "a.yaml:1:11"},
	} {
		n := parse(t, tt.name, tt.src).Root().At(tt.pointer)
		if !n.Valid() {
			t.Errorf("%q: no %s", tt.src, tt.pointer)
			continue
		}
		if got := n.KeyPos().String(); got != tt.key {
			t.Errorf("%q: KeyPos of %s = %s, want %s", tt.src, tt.pointer, got, tt.key)
		}
		if got := n.Pos().String(); got != tt.pos {
			t.Errorf("%q: Pos of %s = %s, want %s", tt.src, tt.pointer, got, tt.pos)
		}
	}
}

func TestPlacesInALargeFile(t *testing.T) {
	var b strings.Builder
	b.WriteString("[\n")
	for i := range 20_000 {
		fmt.Fprintf(&b, "%*d,\n", i%7+1, i)
	}
	b.WriteString("0]")
	for i, n := range parse(t, "a.json", b.String()).Root().Elements() {
		if got := n.Pos().Line; got != i+2 {
			t.Fatalf("element %d is in line %d, want %d", i, got, i+2)
		}
	}
}

func TestYAMLScalarsFollowTheCoreSchema(t *testing.T) {
	for src, want := range map[string]string{
		"yes": `"yes"`, "no": `"no"`, "on": `"on"`, "off": `"off"`, "y": `"y"`, "True": "true", "FALSE": "false",
		"~": "null", "Null": "null", "": "null", "2026-01-02": `"2026-01-02"`, "2026-01-02T03:04:05Z": `"2026-01-02T03:04:05Z"`,
		"0x1F": "31", "0o17": "15", "0777": "777", "0b11": `"0b11"`, "1_000": `"1_000"`, "+1": "1", "-.5": "-0.5", "1.": "1.0",
		".inf": `".inf"`, "-.inf": `"-.inf"`, ".nan": `".nan"`, "1e3": "1e3", "1:30": `"1:30"`, "1.2.3": `"1.2.3"`, "-": "[null]", "+": `"+"`, ".": `"."`,
		"12345678901234567890123": "12345678901234567890123", "1.10": "1.10", "!!str 1": `"1"`, "'1'": `"1"`, `"1"`: `"1"`, "!!int '1'": "1",
		"!custom x": `"x"`, "<<": `"<<"`, "0xZZ": `"0xZZ"`, "0x": `"0x"`, "0x-1": `"0x-1"`, "1e": `"1e"`, "00": "0", "a\n  b": `"a b"`,
	} {
		d, err := document.ParseYAML("a.yaml", []byte("k: "+src))
		if src == "-" {
			d, err = document.ParseYAML("a.yaml", []byte("k:\n -"))
		}
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		if got := string(d.Root().Get("k").JSON(nil)); got != want {
			t.Errorf("%s = %s, want %s", src, got, want)
		}
	}
}

func TestYAMLMergeKeys(t *testing.T) {
	d := parse(t, "a.yaml", `
a: &a {x: 1, y: 1}
b: &b {y: 2, z: 2}
c: {<<: *a, y: 3}
d: {<<: [*a, *b], w: 4}
e: {<<: {<<: *b, z: 5}}
`)
	for key, want := range map[string]string{
		"c": `{"y":3,"x":1}`, "d": `{"w":4,"x":1,"y":1,"z":2}`, "e": `{"z":5,"y":2}`,
	} {
		if got := string(d.Root().Get(key).JSON(nil)); got != want {
			t.Errorf("%s = %s, want %s", key, got, want)
		}
	}
}

func TestDuplicateKeys(t *testing.T) {
	many := `{"k0":0,"k7":-1`
	for i := 1; i < 40; i++ {
		many += fmt.Sprintf(`,"k%d":%d`, i, i)
	}
	many += "}"
	for _, tt := range []struct {
		name, src, want string
		dups            []string
	}{
		{"a.json", `{"a":1,"b":2,"a":3,"a":4}`, `{"b":2,"a":4}`, []string{"a 1:2 1:14", "a 1:14 1:20"}},
		{"a.json", `{"a":1,"\u0061":3}`, `{"a":3}`, []string{"a 1:2 1:8"}},
		{"a.json", `{"a":{"b":1,"b":2},"a":[]}`, `{"a":[]}`, []string{"b 1:7 1:13", "a 1:2 1:20"}},
		{"a.json", many, "", []string{"k7 1:9 1:59"}},
		{"a.yaml", "a: 1\nb: {c: 1, c: 2}\na: 3\n", `{"b":{"c":2},"a":3}`, []string{"c 2:5 2:11", "a 1:1 3:1"}},
		{"a.yaml", "200: 1\n'200': 2\n", `{"200":2}`, []string{"200 1:1 2:1"}},
	} {
		d := parse(t, tt.name, tt.src)
		if got := string(d.Root().JSON(nil)); got != tt.want && tt.want != "" {
			t.Errorf("%s = %s, want %s", tt.src, got, tt.want)
		}
		var dups []string
		for _, d := range d.Duplicates() {
			dups = append(dups, fmt.Sprintf("%s %d:%d %d:%d", d.Key, d.First.Line, d.First.Col, d.Pos.Line, d.Pos.Col))
		}
		if diff := cmp.Diff(tt.dups, dups); diff != "" {
			t.Errorf("%s: duplicates (-want +got):\n%s", tt.src, diff)
		}
		walk(t, d.Root())
	}
}

func TestSyntaxErrorsHavePlaces(t *testing.T) {
	for _, tt := range []struct{ name, src, want string }{
		{"a.json", "", "a.json:1:1: the file is empty"},
		{"a.json", "{\n \"a\": 1,\n}", "a.json:3:1: '}' where a key in double quotes should stand\n\thint: remove the comma before it"},
		{"a.json", "[1,\n 2,]", "a.json:2:4: ']' where a value should stand\n\thint: remove the comma before it"},
		{"a.json", "{\"a\": 012}", "a.json:1:8: a number does not begin with 0\n\thint: write it without the zero, or as a string"},
		{"a.json", "{\"a\": -}", "a.json:1:8: the number is not complete"},
		{"a.json", "{\"a\": tru}", "a.json:1:7: 't' where a value should stand\n\thint: strings stand in double quotes"},
		{"a.json", "{\"a\": \"x\ty\"}", "a.json:1:9: a string holds the control character 0x09\n\thint: write a line end as \\n and a tab as \\t"},
		{"a.json", "{\"a\": \"x}", "a.json:1:7: the string does not end"},
		{"a.json", "{\"a\": 1} x", "a.json:1:10: 'x' after the end of the value\n\thint: a JSON file holds one value"},
		{"a.json", "{\"a\": 1", "a.json:1:8: the file ends where a comma or the end of the object should stand"},
		{"a.json", "{// x\n}", "a.json:1:2: '/' where a key in double quotes should stand"},
		{"a.json", "[\"\\q\"]", "a.json:1:3: unknown escape in a string\n\thint: write a backslash as \\\\"},
		{"a.yaml", "a: 1\n---\nb: 2\n", "a.yaml:2:1: a second YAML document begins here\n\thint: keep one document in each file"},
		{"a.yaml", "a: &a [*a]", "a.yaml:1:8: the alias *a stands inside the value that it names"},
		{"a.yaml", "a:\n  ? [x]\n  : b\n", "a.yaml:2:5: a key is an object or array\n\thint: keys are strings; quote the key if it begins with { or ["},
		{"a.yaml", "# nothing\n", "a.yaml:1:1: the file is empty"},
		{"a.yaml", "\xff\xfea\x00", "a.yaml:1:1: the file is written in UTF-16\n\thint: save it as UTF-8"},
		{"a.yaml", "a: 1\nb: <<\n<<: 3\n", "a.yaml:3:5: \"<<\" merges objects only\n\thint: name an alias of an object, or a list of them"},
	} {
		_, err := document.Parse(tt.name, []byte(tt.src))
		if err == nil {
			t.Errorf("%q parsed", tt.src)
		} else if err.Error() != tt.want {
			t.Errorf("%q:\n got %s\nwant %s", tt.src, err, tt.want)
		}
	}
}

// G5, D4: what is built to grow is refused before it does.
func TestBombsAreRefused(t *testing.T) {
	var laughs strings.Builder
	laughs.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 12; i++ {
		fmt.Fprintf(&laughs, "a%d: &a%d [%s*a%d]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 8), i-1)
	}
	var merges strings.Builder
	merges.WriteString("a0: &a0 {x: 1}\n")
	for i := 1; i < 30; i++ {
		fmt.Fprintf(&merges, "a%d: &a%d {<<: [*a%d, *a%d]}\n", i, i, i-1, i-1)
	}
	for name, src := range map[string]string{
		"deep.json":    strings.Repeat("[", 100_000),
		"objects.json": strings.Repeat(`{"a":`, 100_000),
		"deep.yaml":    strings.Repeat("[", 2000) + strings.Repeat("]", 2000),
		"alias.yaml":   laughs.String(),
		"merge.yaml":   merges.String(),
		"indent.yaml": func() string {
			var b strings.Builder
			for i := range 1200 {
				b.WriteString(strings.Repeat(" ", i) + "a:\n")
			}
			return b.String()
		}(),
	} {
		if _, err := document.Parse(name, []byte(src)); err == nil {
			t.Errorf("%s parsed", name)
		}
	}
}

func TestPointers(t *testing.T) {
	// The examples of RFC 6901, section 5.
	d := parse(t, "a.json", `{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}`)
	for pointer, want := range map[string]string{
		"": "", "/foo": `["bar","baz"]`, "/foo/0": `"bar"`, "/": "0", "/a~1b": "1", "/c%d": "2", "/e^f": "3", "/g|h": "4",
		"/i\\j": "5", "/k\"l": "6", "/ ": "7", "/m~0n": "8",
	} {
		n := d.Root().At(pointer)
		if want == "" {
			if n != d.Root() {
				t.Errorf("At(%q) is not the root", pointer)
			}
			continue
		}
		if got := string(n.JSON(nil)); got != want {
			t.Errorf("At(%q) = %s, want %s", pointer, got, want)
		}
	}
	for _, pointer := range []string{"foo", "/foo/2", "/foo/-", "/foo/01", "/foo/x", "/foo/0/x", "/m~n", "/m~2n", "/none", "/foo/99999999999999999999"} {
		if d.Root().At(pointer).Valid() {
			t.Errorf("At(%q) is valid", pointer)
		}
	}
}

func TestTheZeroNodeIsNothing(t *testing.T) {
	var n document.Node
	if n.Valid() || n.Kind() != document.Invalid || n.Get("a").Valid() || n.At("/a").Valid() || n.Text() != "" || n.Len() != 0 ||
		n.Pointer() != "" || n.Key() != "" || n.Parent().Valid() || n.Bool() || n.Pos() != (document.Pos{}) {
		t.Error("the zero Node is something")
	}
	for range n.Members() {
		t.Error("the zero Node has a member")
	}
	for range n.Elements() {
		t.Error("the zero Node has an element")
	}
}

func TestNumbers(t *testing.T) {
	d := parse(t, "a.json", `[0, -7, 1.0, 1e3, 1.5, 9223372036854775807, 9223372036854775808, 1e400, 1e30, "1"]`)
	want := []struct {
		i    int64
		ok   bool
		f    float64
		fine bool
	}{
		{0, true, 0, true}, {-7, true, -7, true}, {1, true, 1, true}, {1000, true, 1000, true}, {0, false, 1.5, true},
		{math.MaxInt64, true, math.MaxInt64, true}, {0, false, math.MaxInt64, true}, {0, false, math.Inf(1), false}, {0, false, 1e30, true}, {0, false, 0, false},
	}
	for i, n := range d.Root().Elements() {
		v, ok := n.Int()
		f, fine := n.Float()
		if v != want[i].i || ok != want[i].ok || f != want[i].f || fine != want[i].fine {
			t.Errorf("%s: Int = %d, %v; Float = %g, %v; want %+v", n.Text(), v, ok, f, fine, want[i])
		}
	}
}

func Example() {
	d, err := document.Parse("shop.yaml", []byte("paths:\n  /orders:\n    get: {deprecated: true}\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	for path, item := range d.Root().Get("paths").Members() {
		op := item.Get("get")
		fmt.Println(path, op.Get("deprecated").Bool(), op.KeyPos(), op.Pointer())
	}
	// Output: /orders true shop.yaml:3:5 /paths/~1orders/get
}

// A document is read by several goroutines as soon as it is parsed.
func TestReadAtOnce(t *testing.T) {
	var b strings.Builder
	b.WriteString("{\n")
	for i := range 2000 {
		fmt.Fprintf(&b, "\"k%d\": {\"a\": \"\\u00e9%d\"},\n", i, i)
	}
	b.WriteString("\"end\": []}")
	d := parse(t, "a.json", b.String())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 2000 {
				n := d.Root().Get(fmt.Sprintf("k%d", i)).Get("a")
				if n.Text() != fmt.Sprintf("é%d", i) || n.Pos().Line != i+2 || n.Pointer() != fmt.Sprintf("/k%d/a", i) {
					t.Errorf("k%d is %q at %v", i, n.Text(), n.Pos())
					return
				}
			}
		})
	}
	wg.Wait()
}
