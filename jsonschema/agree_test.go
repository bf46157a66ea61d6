package jsonschema_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"math/rand/v2"
	"strings"
	"testing"

	santhosh "github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/sallyport/sallyport/jsonschema"
)

// oracle compiles schemas of a description with santhosh-tekuri/jsonschema.
type oracle struct {
	c    *santhosh.Compiler
	name string
}

func newOracle(t testing.TB, a *api) *oracle {
	t.Helper()
	doc := decode(t, a.src)
	if a.dialect == jsonschema.OpenAPI30 {
		doc = modern(doc)
	}
	c := santhosh.NewCompiler()
	c.DefaultDraft(santhosh.Draft2020)
	if err := c.AddResource("http://example.com/"+a.name, doc); err != nil {
		t.Fatal(err)
	}
	return &oracle{c, "http://example.com/" + a.name}
}

func (o *oracle) compile(pointer string) (*santhosh.Schema, error) {
	return o.c.Compile(o.name + "#" + pointer)
}

// mutate changes one thing of a document, at a place that rng chooses.
func mutate(rng *rand.Rand, v any) any {
	switch x := v.(type) {
	case map[string]any:
		if len(x) == 0 || rng.IntN(6) == 0 {
			x["undeclared"] = json.Number("1")
			return x
		}
		keys := make([]string, 0, len(x))
		for k := range x {
			keys = append(keys, k)
		}
		// Maps have no order; a sorted one makes the test repeatable.
		k := keys[0]
		for _, other := range keys {
			if strings.Compare(other, k) < 0 {
				k = other
			}
		}
		for range rng.IntN(len(keys)) {
			next := ""
			for _, other := range keys {
				if other > k && (next == "" || other < next) {
					next = other
				}
			}
			if next != "" {
				k = next
			}
		}
		if rng.IntN(5) == 0 {
			delete(x, k)
		} else {
			x[k] = mutate(rng, x[k])
		}
		return x
	case []any:
		if len(x) == 0 || rng.IntN(8) == 0 {
			return append(x, "one more")
		}
		i := rng.IntN(len(x))
		x[i] = mutate(rng, x[i])
		return x
	}
	others := []any{nil, true, json.Number("-1"), json.Number("0.5"), json.Number("1e3"), "", "text", []any{}, map[string]any{}}
	return others[rng.IntN(len(others))]
}

var all = flag.Bool("all", false, "try all examples of large descriptions")

// Each example of each description, and changed ones, are valid or not for
// both engines alike.
func TestAgreesWithAnotherEngine(t *testing.T) {
	for _, name := range []string{
		"adyen-checkout-31.json", "adyen-management-31.json", "box.json", "codat-accounting-31.json",
		"digitalocean.json", "github.json", "plaid.json", "slack.json", "zoom.json",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := load(t, name)
			o := newOracle(t, a)
			// The other engine refuses patterns with look-around, and has formats off.
			c := a.compiler(jsonschema.Options{})
			rng := rand.New(rand.NewPCG(1, 2))
			docs, invalid, skipped := 0, 0, 0
			for i, x := range a.samples {
				if len(a.samples) > 300 && i%8 != 0 && !*all {
					continue
				}
				theirs, err := o.compile(x.schema.Pointer())
				if err != nil {
					skipped++
					continue
				}
				ours, _ := c.Compile(x.schema, jsonschema.Response)
				for k := range 4 {
					v := decode(t, x.doc)
					doc := x.doc
					if k > 0 {
						v = mutate(rng, v)
						var b bytes.Buffer
						e := json.NewEncoder(&b)
						e.SetEscapeHTML(false)
						if err := e.Encode(v); err != nil {
							t.Fatal(err)
						}
						doc = b.Bytes()
					}
					docs++
					theirErr := theirs.Validate(v)
					ourErr := ours.Validate(doc)
					if ourErr != nil {
						invalid++
					}
					if (theirErr == nil) != (ourErr == nil) {
						t.Errorf("%s\nours: %v\ntheirs: %v\n%.400s", x.name, ourErr, theirErr, doc)
					}
				}
			}
			t.Logf("%d documents, %d invalid, %d schemas do not compile there", docs, invalid, skipped)
		})
	}
}
