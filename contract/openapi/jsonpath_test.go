package openapi

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/document"
)

// The document of RFC 9535, section 1.5.
const store = `{"store": {
  "book": [
    {"category": "reference", "author": "Nigel Rees", "title": "Sayings of the Century", "price": 8.95},
    {"category": "fiction", "author": "Evelyn Waugh", "title": "Sword of Honour", "price": 12.99},
    {"category": "fiction", "author": "Herman Melville", "title": "Moby Dick", "isbn": "0-553-21311-3", "price": 8.99},
    {"category": "fiction", "author": "J. R. R. Tolkien", "title": "The Lord of the Rings", "isbn": "0-395-19395-8", "price": 22.99}
  ],
  "bicycle": {"color": "red", "price": 399}
}}`

// Examples of RFC 9535, by section, and cases around them.
func TestJSONPath(t *testing.T) {
	for _, tt := range []struct {
		doc, path string
		want      string // the values found, one after the other
	}{
		// 1.5
		{store, `$.store.book[*].author`, `"Nigel Rees" "Evelyn Waugh" "Herman Melville" "J. R. R. Tolkien"`},
		{store, `$..author`, `"Nigel Rees" "Evelyn Waugh" "Herman Melville" "J. R. R. Tolkien"`},
		{store, `$.store..price`, `8.95 12.99 8.99 22.99 399`},
		{store, `$..book[2].title`, `"Moby Dick"`},
		{store, `$..book[2].publisher`, ``},
		{store, `$..book[-1].title`, `"The Lord of the Rings"`},
		{store, `$..book[0,1].price`, `8.95 12.99`},
		{store, `$..book[:2].price`, `8.95 12.99`},
		{store, `$..book[?@.isbn].price`, `8.99 22.99`},
		{store, `$..book[?@.price<10].title`, `"Sayings of the Century" "Moby Dick"`},
		// 2.2.3, 2.3.1.3
		{`{"k": "v"}`, `$`, `{"k":"v"}`},
		{`{"o": {"j j": {"k.k": 3}}, "'": {"@": 2}}`, `$.o['j j']`, `{"k.k":3}`},
		{`{"o": {"j j": {"k.k": 3}}, "'": {"@": 2}}`, `$.o["j j"]["k.k"]`, `3`},
		{`{"o": {"j j": {"k.k": 3}}, "'": {"@": 2}}`, `$["'"]["@"]`, `2`},
		{`{"☺": 1, "\"": 2, "😀": 3}`, `$['\u263A', "\"", '\uD83D\uDE00']`, `1 2 3`},
		{`{"é": 1, "_a1": 2}`, `$.é`, `1`},
		// 2.3.2.3
		{`{"o": {"j": 1, "k": 2}, "a": [5, 3]}`, `$[*]`, `{"j":1,"k":2} [5,3]`},
		{`{"o": {"j": 1, "k": 2}, "a": [5, 3]}`, `$.o[*, *]`, `1 2`}, // each once
		// 2.3.3.3
		{`["a","b"]`, `$[1]`, `"b"`}, {`["a","b"]`, `$[-2]`, `"a"`}, {`["a","b"]`, `$[-3]`, ``}, {`{"1": 2}`, `$[1]`, ``},
		// 2.3.4.3
		{`["a","b","c","d","e","f","g"]`, `$[1:3]`, `"b" "c"`},
		{`["a","b","c","d","e","f","g"]`, `$[5:]`, `"f" "g"`},
		{`["a","b","c","d","e","f","g"]`, `$[1:5:2]`, `"b" "d"`},
		{`["a","b","c","d","e","f","g"]`, `$[5:1:-2]`, `"f" "d"`},
		{`["a","b","c","d","e","f","g"]`, `$[::-1]`, `"g" "f" "e" "d" "c" "b" "a"`},
		{`["a","b","c"]`, `$[::0]`, ``}, {`["a","b","c"]`, `$[-2:]`, `"b" "c"`}, {`["a","b","c"]`, `$[:-1]`, `"a" "b"`},
		{`["a","b","c"]`, `$[10:]`, ``}, {`["a","b","c"]`, `$[::9007199254740991]`, `"a"`}, {`["a","b","c"]`, `$[2::-9007199254740991]`, `"c"`},
		{`["a","b","c"]`, `$[ 0 : 2 : 1 ]`, `"a" "b"`}, {`{"a":1}`, `$[0:1]`, ``}, {`[]`, `$[::-1]`, ``},
		// 2.3.5.3
		{`{"a":[3,5,1,2,4,6,{"b":"j"},{"b":"k"},{"b":{}},{"b":"kilo"}],"o":{"p":1,"q":2,"r":3,"s":5,"t":{"u":6}},"e":"f"}`, `$.a[?@.b == 'kilo']`, `{"b":"kilo"}`},
		{`{"a":[3,5,1,2,4,6,{"b":"j"},{"b":"k"},{"b":{}},{"b":"kilo"}],"o":{"p":1,"q":2,"r":3,"s":5,"t":{"u":6}},"e":"f"}`, `$.a[?(@.b == 'kilo')]`, `{"b":"kilo"}`},
		{`{"a":[3,5,1,2,4,6,{"b":"j"},{"b":"k"},{"b":{}},{"b":"kilo"}],"o":{"p":1,"q":2,"r":3,"s":5,"t":{"u":6}},"e":"f"}`, `$.a[?@>3.5]`, `5 4 6`},
		{`{"a":[3,5,1,2,4,6,{"b":"j"},{"b":"k"},{"b":{}},{"b":"kilo"}],"o":{"p":1,"q":2,"r":3,"s":5,"t":{"u":6}},"e":"f"}`, `$.a[?@.b]`, `{"b":"j"} {"b":"k"} {"b":{}} {"b":"kilo"}`},
		{`{"a":[3,5,1,2,4,6,{"b":"j"},{"b":"k"},{"b":{}},{"b":"kilo"}],"o":{"p":1,"q":2,"r":3,"s":5,"t":{"u":6}},"e":"f"}`, `$[?@.*]`, `[3,5,1,2,4,6,{"b":"j"},{"b":"k"},{"b":{}},{"b":"kilo"}] {"p":1,"q":2,"r":3,"s":5,"t":{"u":6}}`},
		{`{"a":[3,5,1,2,4,6,{"b":"j"},{"b":"k"},{"b":{}},{"b":"kilo"}],"o":{"p":1,"q":2,"r":3,"s":5,"t":{"u":6}},"e":"f"}`, `$.a[?@<2 || @.b == "k"]`, `1 {"b":"k"}`},
		{`{"a":[3,5,1,2,4,6,{"b":"j"},{"b":"k"},{"b":{}},{"b":"kilo"}],"o":{"p":1,"q":2,"r":3,"s":5,"t":{"u":6}},"e":"f"}`, `$.a[?match(@.b, "[jk]")]`, `{"b":"j"} {"b":"k"}`},
		{`{"a":[3,5,1,2,4,6,{"b":"j"},{"b":"k"},{"b":{}},{"b":"kilo"}],"o":{"p":1,"q":2,"r":3,"s":5,"t":{"u":6}},"e":"f"}`, `$.a[?search(@.b, "[jk]")]`, `{"b":"j"} {"b":"k"} {"b":"kilo"}`},
		{`{"a":[3,5,1,2,4,6,{"b":"j"},{"b":"k"},{"b":{}},{"b":"kilo"}],"o":{"p":1,"q":2,"r":3,"s":5,"t":{"u":6}},"e":"f"}`, `$.o[?@>1 && @<4]`, `2 3`},
		{`{"a":[3,5,1,2,4,6,{"b":"j"},{"b":"k"},{"b":{}},{"b":"kilo"}],"o":{"p":1,"q":2,"r":3,"s":5,"t":{"u":6}},"e":"f"}`, `$.o[?@.u || @.x]`, `{"u":6}`},
		{`{"a":[3,5,1,2,4,6,{"b":"j"},{"b":"k"},{"b":{}},{"b":"kilo"}],"o":{"p":1,"q":2,"r":3,"s":5,"t":{"u":6}},"e":"f"}`, `$.a[?@.b == $.x]`, `3 5 1 2 4 6`},
		{`{"a":[3,5,1,2,4,6,{"b":"j"},{"b":"k"},{"b":{}},{"b":"kilo"}],"o":{"p":1,"q":2,"r":3,"s":5,"t":{"u":6}},"e":"f"}`, `$.a[?@ == @]`, `3 5 1 2 4 6 {"b":"j"} {"b":"k"} {"b":{}} {"b":"kilo"}`},
		// 2.3.5.2.2, comparisons
		{`[{"a":1,"b":1},{"a":1,"b":2},{"a":[1,{"c":null}],"b":[1,{"c":null}]},{"a":[1],"b":[1,2]},{"a":{"x":1,"y":2},"b":{"y":2,"x":1}},{}]`, `$[?@.a == @.b]`, `{"a":1,"b":1} {"a":[1,{"c":null}],"b":[1,{"c":null}]} {"a":{"x":1,"y":2},"b":{"y":2,"x":1}} {}`},
		{`[1, "a", null, true, false, {"a": null}]`, `$[?@ == null || @ == true]`, `null true`},
		{`[1, 2, "1", "2"]`, `$[?@ >= 2]`, `2`}, {`[1, 2, "1", "2"]`, `$[?@ <= "1"]`, `"1"`}, {`[1, 2, "1"]`, `$[?@ != 1]`, `2 "1"`},
		{`[1, 1.0, 1e0, 10e-1]`, `$[?@ == 1]`, `1 1.0 1e0 10e-1`}, {`[-0, 0]`, `$[?@ == -0.0]`, `-0 0`},
		{`[{"a":1},{"b":1}]`, `$[?!@.a]`, `{"b":1}`}, {`[{"a":1},{"b":1}]`, `$[?!(@.a == 1)]`, `{"b":1}`},
		{`[{"a":1,"c":1},{"b":1,"c":2}]`, `$[?(@.a || @.b) && @.c > 1]`, `{"b":1,"c":2}`},
		// 2.4, functions
		{`["ab", "é", [1,2], {"a":1}, 7]`, `$[?length(@) == 2]`, `"ab" [1,2]`}, {`["ab", "é"]`, `$[?length(@) == 1]`, `"é"`},
		{`[{"a":[1,2]},{"a":[1]}]`, `$[?count(@.a[*]) > 1]`, `{"a":[1,2]}`},
		{`[{"a":{"color":"red"}},{"a":{}}]`, `$[?value(@..color) == "red"]`, `{"a":{"color":"red"}}`},
		{`["a\nb", "axb", "a\rb"]`, `$[?match(@, 'a.b')]`, `"axb"`}, {`["a.b", "axb"]`, `$[?match(@, 'a[.]b')]`, `"a.b"`}, {`["a.b", "axb"]`, `$[?match(@, 'a\\.b')]`, `"a.b"`},
		{`[{"s":"ab","p":"a."},{"s":"ab","p":"x"},{"s":"ab","p":"("}]`, `$[?match(@.s, @.p)]`, `{"s":"ab","p":"a."}`},
		// 2.5
		{`{"o":{"j":1,"k":2},"a":[5,3,[{"j":4},{"k":6}]]}`, `$..j`, `1 4`},
		{`{"o":{"j":1,"k":2},"a":[5,3,[{"j":4},{"k":6}]]}`, `$..[0]`, `5 {"j":4}`},
		{`{"o":{"j":1,"k":2},"a":[5,3,[{"j":4},{"k":6}]]}`, `$.a..[0, 1]`, `5 3 {"j":4} {"k":6}`},
		{`{"a": {"b": 1}}`, "$ .a\n['b']", `1`},
	} {
		d, err := document.ParseJSON("a.json", []byte(tt.doc))
		if err != nil {
			t.Fatal(err)
		}
		p, err := parsePath(tt.path)
		if err != nil {
			t.Errorf("%s: %v", tt.path, err)
			continue
		}
		found, err := p.find(d.Root())
		if err != nil {
			t.Errorf("%s: %v", tt.path, err)
		}
		var got []string
		for _, n := range found {
			got = append(got, string(n.JSON(nil)))
		}
		if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.path, diff)
		}
	}
}

func TestJSONPathsThatAreNone(t *testing.T) {
	for _, p := range []string{
		"", "a", ".a", "@.a", "$.", "$..", "$a", "$ ", "$.a ", " $", "$[", "$[]", "$[a]", "$['a]", `$["a']`, "$.1", "$.a-b", "$[01]", "$[-0]", "$[1.0]", "$[9007199254740992]",
		"$[1:2:3:4]", "$[?]", "$[?@.a ==]", "$[?1]", "$[?'a']", "$[?@.* == 1]", "$[?@..a == 1]", "$[?@[0,1] == 1]", "$[?length(@.*) == 1]", "$[?length(@)]", "$[?count(1) == 1]",
		"$[?match(@.a)]", "$[?match(@.a, 'a') == true]", "$[?foo(@)]", "$[?@.a = 1]", "$[?(@.a]", "$[?@.a && ]", "$[?true]", "$[?!1 == 1]", `$['\x']`, `$['\uD800']`, "$['\x01']",
		"$.a[?@.b == 01]", "$[*", "$[1,]", "$[?@.a == 'a' 'b']", "$[?((((@.a == 1)))", "$" + strings.Repeat("[?@", 200) + strings.Repeat("]", 200), "$[?" + strings.Repeat("(", 5000),
	} {
		if q, err := parsePath(p); err == nil {
			t.Errorf("%q parsed: %+v", p, q)
		}
	}
}

// A path that would look at the square of a large document is given up.
func TestJSONPathHasABudget(t *testing.T) {
	d, err := document.ParseJSON("a.json", []byte("["+strings.Repeat("[1],", 20_000)+"1]"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := parsePath("$..[?$..[?@ == 2]]")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.find(d.Root()); err == nil {
		t.Error("the path was followed to its end")
	}
}

func FuzzJSONPath(f *testing.F) {
	for _, s := range []string{"$..book[?@.price<10 && match(@.title, 'S.*')].title", "$[::-1,'a',*]", `$["\u263a"]..[?!(@.a==$.b)||count(@..*)>1]`} {
		f.Add(s)
	}
	d, err := document.ParseJSON("a.json", []byte(store))
	if err != nil {
		f.Fatal(err)
	}
	all, err := parsePath("$..*")
	if err != nil {
		f.Fatal(err)
	}
	within := map[document.Node]bool{d.Root(): true}
	found, err := all.find(d.Root())
	if err != nil {
		f.Fatal(err)
	}
	for _, n := range found {
		within[n] = true
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parsePath(s)
		if err != nil {
			return
		}
		found, err := p.find(d.Root())
		if err != nil {
			return
		}
		seen := make(map[document.Node]bool)
		for _, n := range found {
			if !within[n] || seen[n] {
				t.Errorf("%s finds %s, which is not in the document, or twice", s, n.Pointer())
			}
			seen[n] = true
		}
	})
}
