package jsonschema_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"math/rand/v2"
	"testing"

	santhosh "github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/sallyport/sallyport/jsonschema"
)

var rounds = flag.Int("rounds", 2000, "how many random schemas to try")

// A gen makes random schemas and documents over few names and values, so that
// they meet.
type gen struct{ *rand.Rand }

type m = map[string]any

func (g gen) name() string { return []string{"a", "b", "c", "d"}[g.IntN(4)] }

func (g gen) names() []any {
	l := []any{}
	for range g.IntN(3) {
		n := any(g.name())
		dup := false
		for _, x := range l {
			dup = dup || x == n
		}
		if !dup {
			l = append(l, n)
		}
	}
	return l
}

func (g gen) schemas(depth int) []any {
	var l []any
	for range 1 + g.IntN(3) {
		l = append(l, g.schema(depth-1))
	}
	return l
}

func (g gen) schema(depth int) any {
	if depth <= 0 || g.IntN(12) == 0 {
		switch g.IntN(6) {
		case 0:
			return false
		case 1:
			return true
		case 2:
			return m{"const": g.value(1)}
		case 3:
			return m{"minLength": g.IntN(3)}
		default:
			return m{"type": []any{"integer", "string", "object", "array", "null", "number", "boolean"}[g.IntN(7)]}
		}
	}
	s := m{}
	for range 1 + g.IntN(4) {
		switch g.IntN(31) {
		case 0, 1, 2, 3:
			p := m{}
			for range 1 + g.IntN(3) {
				p[g.name()] = g.schema(depth - 1)
			}
			s["properties"] = p
		case 4:
			s["required"] = g.names()
		case 5:
			s["additionalProperties"] = g.schema(depth - 1)
		case 6:
			s["patternProperties"] = m{[]string{"^a", "b|c", "^[^a]$", "d$"}[g.IntN(4)]: g.schema(depth - 1)}
		case 7:
			s["items"] = g.schema(depth - 1)
		case 8:
			s["prefixItems"] = g.schemas(depth)
		case 9:
			s["contains"] = g.schema(depth - 1)
			if g.IntN(2) == 0 {
				s["minContains"] = g.IntN(3)
			}
			if g.IntN(2) == 0 {
				s["maxContains"] = g.IntN(3)
			}
		case 10, 11:
			s["unevaluatedProperties"] = g.schema(0)
		case 12:
			s["unevaluatedItems"] = g.schema(0)
		case 13, 14:
			s["allOf"] = g.schemas(depth)
		case 15, 16:
			s["anyOf"] = g.schemas(depth)
		case 17, 18:
			s["oneOf"] = g.schemas(depth)
		case 19:
			s["not"] = g.schema(depth - 1)
		case 20, 21:
			s["if"] = g.schema(depth - 1)
			s["then"] = g.schema(depth - 1)
			if g.IntN(2) == 0 {
				s["else"] = g.schema(depth - 1)
			}
		case 22:
			s["dependentSchemas"] = m{g.name(): g.schema(depth - 1)}
		case 23:
			s["dependentRequired"] = m{g.name(): g.names()}
		case 24:
			s["propertyNames"] = m{"enum": []any{"a", "b", "c"}}
		case 25:
			s["uniqueItems"] = true
		case 26:
			s["enum"] = []any{g.value(2), g.value(1), g.value(0)}
		case 27:
			s["minimum"] = json.Number([]string{"0", "1.5", "-1", "1e1"}[g.IntN(4)])
			s["multipleOf"] = json.Number([]string{"1", "0.5", "2", "0.3"}[g.IntN(4)])
		case 28:
			s["minProperties"], s["maxItems"] = g.IntN(3), g.IntN(4)
		case 29:
			s["type"] = []any{"object", "array"}
		case 30:
			s["$ref"] = []string{"#/$defs/x", "#/$defs/y"}[g.IntN(2)]
		}
	}
	return s
}

func (g gen) value(depth int) any {
	if depth > 0 && g.IntN(4) > 0 {
		if g.IntN(3) == 0 {
			l := []any{}
			for range g.IntN(4) {
				l = append(l, g.value(depth-1))
			}
			return l
		}
		o := m{}
		for range g.IntN(5) {
			o[g.name()] = g.value(depth - 1)
		}
		return o
	}
	return []any{nil, true, false, json.Number("0"), json.Number("1"), json.Number("1.0"), json.Number("1.5"), json.Number("-2"), "", "a", "ab", json.Number("3e0")}[g.IntN(12)]
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSpace(b.Bytes())
}

func TestAgreesOnRandomSchemas(t *testing.T) {
	g := gen{rand.New(rand.NewPCG(7, 7))}
	compiled, valid, invalid, changed, broken := 0, 0, 0, 0, 0
	for range *rounds {
		root, ok := g.schema(3).(m)
		if !ok {
			continue
		}
		// References go one way, so that there are no cycles at one value.
		root["$defs"] = m{"x": m{"properties": m{"a": m{"$ref": "#"}}, "required": g.names()}, "y": m{"properties": m{g.name(): g.schema(1)}, "items": m{"$ref": "#/$defs/x"}}}
		src := marshal(t, root)
		v, err := santhosh.UnmarshalJSON(bytes.NewReader(src))
		if err != nil {
			t.Fatal(err)
		}
		c := santhosh.NewCompiler()
		c.DefaultDraft(santhosh.Draft2020)
		if err := c.AddResource("http://example.com/s", v); err != nil {
			t.Fatal(err)
		}
		theirs, err := c.Compile("http://example.com/s")
		if err != nil {
			continue
		}
		ours, err := jsonschema.Compile(src, jsonschema.Options{})
		if err != nil {
			t.Fatalf("%s: %v", src, err)
		}
		compiled++
		for range 12 {
			val := g.value(3)
			doc := marshal(t, val)
			want := theirs.Validate(decode(t, doc)) == nil
			if want {
				valid++
			} else {
				invalid++
			}
			if got := ours.Validate(doc); (got == nil) != want {
				t.Errorf("schema %s\ndocument %s\nours %v, theirs %v", src, doc, got, want)
			}
			if ours.Valid(doc) != want {
				t.Errorf("schema %s\ndocument %s\nValid is %v", src, doc, !want)
			}
			p := &jsonschema.Policy{Undeclared: jsonschema.Drop, Recheck: true}
			var r jsonschema.Report
			out, err := ours.Filter(nil, doc, p, &r)
			if want && err != nil {
				t.Errorf("schema %s\ndocument %s\nvalid, but Filter says %v", src, doc, err)
			}
			if err != nil || !r.Changed {
				continue
			}
			changed++
			if r.Broken != (theirs.Validate(decode(t, out)) != nil) {
				t.Errorf("schema %s\ndocument %s\nfiltered %s: broken is %v", src, doc, out, r.Broken)
			}
			if r.Broken {
				broken++
				continue
			}
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	t.Logf("%d schemas, %d valid and %d invalid documents, %d filtered, %d of them broken by it", compiled, valid, invalid, changed, broken)
}
