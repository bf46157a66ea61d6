package demo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"reflect"
	"sort"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A promise is what the contract says an honest caller gets. It is read from
// the contract here, in a few plain lines, and not by the code that the demo
// shows: who is measured does not hold the ruler.
type promise struct {
	doc map[string]any
	ops map[string]map[string]any // by operationId
}

// readPromise reads a contract whose references all lie within it.
func readPromise(contract []byte) (*promise, error) {
	p := &promise{ops: map[string]map[string]any{}}
	if err := yaml.Unmarshal(contract, &p.doc); err != nil {
		return nil, fmt.Errorf("read the contract: %w", err)
	}
	paths, _ := p.doc["paths"].(map[string]any)
	for _, item := range paths {
		ops, _ := item.(map[string]any)
		for _, v := range ops {
			if op, ok := v.(map[string]any); ok {
				if id, ok := op["operationId"].(string); ok {
					p.ops[id] = op
				}
			}
		}
	}
	return p, nil
}

// resolve follows references.
func (p *promise) resolve(v any) map[string]any {
	m, _ := v.(map[string]any)
	ref, ok := m["$ref"].(string)
	if !ok {
		return m
	}
	at := any(p.doc)
	for _, step := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
		next, _ := at.(map[string]any)
		at = next[step]
	}
	out := map[string]any{}
	for k, v := range p.resolve(at) {
		out[k] = v
	}
	for k, v := range m {
		if k != "$ref" {
			out[k] = v
		}
	}
	return out
}

// schema returns the schema of an operation's answer, or nil where the
// contract promises no such answer or says nothing about it.
func (p *promise) schema(op string, status int, kind string) (schema map[string]any, promised bool) {
	responses, _ := p.ops[op]["responses"].(map[string]any)
	r, ok := responses[strconv.Itoa(status)]
	if !ok {
		return nil, false
	}
	content, ok := p.resolve(r)["content"].(map[string]any)
	if !ok {
		return nil, kind == ""
	}
	media, ok := content[kind].(map[string]any)
	if !ok {
		return nil, false
	}
	return p.resolve(media["schema"]), true
}

// volatile are values that differ from one answer to the next, by operation
// and place: a fresh token, and a count that others change meanwhile. They
// only have to be there.
var volatile = map[string]bool{"login /access_token": true, "exportOrders /total": true}

// differ compares a promised value in the bare answer with that in the guarded
// one and returns the places where something is missing or other than it was.
// What the contract does not declare is not promised, and a card number may be
// masked up to its last four digits.
func (p *promise) differ(op string, schema map[string]any, bare, guarded any, at string) (places []string) {
	if volatile[op+" "+at] && guarded != nil {
		return nil
	}
	switch b := bare.(type) {
	case map[string]any:
		g, ok := guarded.(map[string]any)
		if !ok {
			return []string{at}
		}
		props, declared := schema["properties"].(map[string]any)
		for name, v := range b {
			sub := p.resolve(props[name])
			if declared && (props[name] == nil || sub["writeOnly"] == true) {
				continue
			}
			if w, there := g[name]; !there {
				places = append(places, at+"/"+name)
			} else {
				places = append(places, p.differ(op, sub, v, w, at+"/"+name)...)
			}
		}
	case []any:
		g, ok := guarded.([]any)
		if !ok || len(g) != len(b) {
			return []string{at}
		}
		for i := range b {
			places = append(places, p.differ(op, p.resolve(schema["items"]), b[i], g[i], at+"/"+strconv.Itoa(i))...)
		}
	case string:
		g, _ := guarded.(string)
		if g == b {
			return nil
		}
		if schema["x-sallyport-class"] == "payment.card" && len(g) >= 4 && strings.HasSuffix(b, g[len(g)-4:]) {
			return nil
		}
		return []string{at}
	default:
		if !reflect.DeepEqual(bare, guarded) {
			return []string{at}
		}
	}
	sort.Strings(places)
	return places
}

// harm says how an honest caller of op was harmed: what the guarded API did
// not give that the bare one gave. It is "" where it gave all of it.
func (p *promise) harm(op string, bare, guarded *Response) string {
	if guarded.Status != bare.Status {
		// A refusal explains itself; the explanation is worth more than the
		// bare status.
		return fmt.Sprintf("%d instead of %d: %.400s", guarded.Status, bare.Status, guarded.Body)
	}
	kind, _, _ := mime.ParseMediaType(bare.Header.Get("Content-Type"))
	schema, promised := p.schema(op, bare.Status, kind)
	if !promised {
		return fmt.Sprintf("the shop answers %d %s, which its contract does not declare", bare.Status, kind)
	}
	if bare.Status == http.StatusNoContent {
		return ""
	}
	if got, _, _ := mime.ParseMediaType(guarded.Header.Get("Content-Type")); got != kind {
		return fmt.Sprintf("%q instead of %q", got, kind)
	}
	if !strings.HasSuffix(kind, "json") {
		if !bytes.Equal(bare.Body, guarded.Body) {
			return "another body"
		}
		return ""
	}
	b, err := decode(bare.Body)
	if err != nil {
		return fmt.Sprintf("the shop's own answer: %v", err)
	}
	g, err := decode(guarded.Body)
	if err != nil {
		return fmt.Sprintf("the answer: %v", err)
	}
	if places := p.differ(op, schema, b, g, ""); len(places) > 0 {
		return "missing or changed: " + strings.Join(places[:min(len(places), 5)], " ")
	}
	return ""
}

// decode keeps numbers as they are written.
func decode(b []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return v, nil
}
