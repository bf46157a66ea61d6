package openapi_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi2"
	"github.com/getkin/kin-openapi/openapi2conv"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/document"
)

// A second opinion: kin-openapi finds the same operations, parameters, bodies,
// responses and security, and reaches the same schemas.
func TestKinAgrees(t *testing.T) {
	// What kin-openapi cannot load, and why.
	refused := map[string]string{
		"codat-accounting-31": "expecting ref to schema object", // a $ref into "definitions" inside a schema
		"digitalocean":        "disallowed external reference",  // files that were left out when it was bundled
	}
	for _, name := range realNames(t) {
		t.Run(name, func(t *testing.T) {
			src := readReal(t, name)
			if testing.Short() && len(src) > 2<<20 {
				t.Skip("kin-openapi takes seconds for this one")
			}
			theirs, err := openapi3.NewLoader().LoadFromData(src)
			if err != nil {
				if want, ok := refused[name]; !ok || !strings.Contains(err.Error(), want) {
					t.Errorf("kin-openapi does not load it: %.300v", err)
				}
				return
			}
			ours, ds := load(t, name+".json", src)
			if ours == nil {
				t.Fatal(ds)
			}
			// Operations that share method and path with an earlier one; in
			// these contracts nothing else is closed.
			got := operations(ours)
			closed := make(map[string]bool)
			for _, op := range ours.Closed {
				closed[op.Method+" "+op.Path] = true
				if got[op.Method+" "+shape(op.Path)] == nil {
					t.Errorf("%s is closed, and no other operation stands for it", op.ID)
				}
			}
			for path, item := range theirs.Paths.Map() {
				for method := range item.Operations() {
					if closed[method+" "+path] {
						item.SetOperation(method, nil)
					}
				}
			}
			want := kinOperations(theirs)
			if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))); diff != "" {
				t.Errorf("operations (-kin +ours):\n%s", diff)
			}
			wrong := 0
			for key, w := range want {
				if diff := cmp.Diff(w, got[key]); diff != "" && wrong < 5 {
					wrong++
					t.Errorf("%s (-kin +ours):\n%s", key, diff)
				}
			}
			if diff := cmp.Diff(kinSchemas(theirs), schemas(ours)); diff != "" {
				t.Errorf("schemas reached (-kin +ours):\n%s", diff)
			}
		})
	}
}

// shape is a path as run time sees it, with the names of its parts left out.
func shape(path string) string {
	if i := strings.IndexAny(path, "?#"); i >= 0 {
		path = path[:i]
	}
	var b strings.Builder
	for {
		i := strings.IndexByte(path, '{')
		if i < 0 {
			return b.String() + path
		}
		b.WriteString(path[:i] + "{}")
		path = path[i+strings.IndexByte(path[i:], '}')+1:]
	}
}

// dropped are what both specifications let tools ignore.
func dropped(in, name string) bool {
	switch strings.ToLower(name) {
	case "accept", "content-type", "authorization":
		return in == "header"
	}
	return false
}

func mediaName(key string) string {
	typ, _, _ := strings.Cut(key, ";")
	return strings.ToLower(strings.TrimSpace(typ))
}

func kinOperations(doc *openapi3.T) map[string][]string {
	out := make(map[string][]string)
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			key := method + " " + shape(path)
			var lines []string
			add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
			params := make(map[string]*openapi3.Parameter)
			for _, list := range []openapi3.Parameters{item.Parameters, op.Parameters} {
				for _, p := range slices.Backward(list) {
					params[p.Value.In+" "+p.Value.Name] = p.Value
				}
			}
			for _, p := range params {
				if dropped(p.In, p.Name) || p.In == "path" && !strings.Contains(path, "{"+p.Name+"}") {
					continue
				}
				m, err := p.SerializationMethod()
				if err != nil || p.Content != nil {
					add("parameter %s %s %v", p.In, p.Name, p.Required || p.In == "path")
					continue
				}
				add("parameter %s %s %v %s %v", p.In, p.Name, p.Required || p.In == "path", m.Style, m.Explode)
			}
			for _, name := range placeholders(path) {
				if params["path "+name] == nil {
					add("parameter path %s true simple false", name)
				}
			}
			if op.RequestBody != nil {
				add("body %v %v", op.RequestBody.Value.Required, kinMedia(op.RequestBody.Value.Content))
			}
			for status, r := range op.Responses.Map() {
				headers := slices.DeleteFunc(slices.Sorted(maps.Keys(r.Value.Headers)), func(h string) bool { return strings.EqualFold(h, "content-type") })
				add("response %s %v %q", status, kinMedia(r.Value.Content), headers)
			}
			sec := &doc.Security
			if op.Security != nil {
				sec = op.Security
			}
			var alternatives []string
			for _, r := range *sec {
				var all []string
				for name, scopes := range r {
					all = append(all, fmt.Sprint(name, scopes))
				}
				slices.Sort(all)
				alternatives = append(alternatives, fmt.Sprint(all))
			}
			add("security %v", alternatives)
			slices.Sort(lines)
			out[key] = lines
		}
	}
	return out
}

func placeholders(path string) []string {
	var out []string
	for {
		i := strings.IndexByte(path, '{')
		if i < 0 {
			return out
		}
		end := i + strings.IndexByte(path[i:], '}')
		out = append(out, path[i+1:end])
		path = path[end+1:]
	}
}

func kinMedia(c openapi3.Content) []string {
	var out []string
	for key, m := range c {
		name := mediaName(key)
		if !strings.Contains(name, "/") {
			continue // both say so; kin-openapi keeps it
		}
		out = append(out, name+" "+kinSchema(m.Schema))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// kinSchema tells schemas apart as far as both sides can print them.
func kinSchema(s *openapi3.SchemaRef) string {
	switch {
	case s == nil:
		return "none"
	case s.Ref != "":
		return s.Ref
	}
	return fmt.Sprint("inline ", len(s.Value.Properties))
}

func operations(api *contract.API) map[string][]string {
	out := make(map[string][]string)
	for _, op := range api.Operations {
		var lines []string
		add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
		for _, p := range op.Parameters {
			if p.Content != nil {
				add("parameter %s %s %v", p.In, p.Name, p.Required)
				continue
			}
			add("parameter %s %s %v %s %v", p.In, p.Name, p.Required, p.Style, p.Explode)
		}
		if op.Body != nil {
			add("body %v %v", op.Body.Required, ourMedia(op.Body.Content))
		}
		for _, r := range op.Responses {
			headers := []string{}
			for _, h := range r.Headers {
				headers = append(headers, h.Name)
			}
			slices.Sort(headers)
			add("response %s %v %q", r.Status, ourMedia(r.Content), headers)
		}
		var alternatives []string
		for _, r := range op.Security {
			var all []string
			for _, d := range r {
				all = append(all, fmt.Sprint(d.Scheme, d.Scopes))
			}
			slices.Sort(all)
			alternatives = append(alternatives, fmt.Sprint(all))
		}
		add("security %v", alternatives)
		slices.Sort(lines)
		out[op.Method+" "+shape(op.Path)] = lines
	}
	return out
}

func ourMedia(ms []*contract.Media) []string {
	var out []string
	for _, m := range ms {
		s := "none"
		if ref := m.Schema.Get("$ref"); ref.Valid() {
			s = ref.Text()
		} else if m.Schema.Valid() {
			s = fmt.Sprint("inline ", m.Schema.Get("properties").Len())
		}
		out = append(out, m.Type+" "+s)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// kinSchemas lists the references to schemas that can be reached from
// operations.
func kinSchemas(doc *openapi3.T) []string {
	found := make(map[string]bool)
	seen := make(map[*openapi3.Schema]bool)
	var walk func(s *openapi3.SchemaRef)
	walk = func(s *openapi3.SchemaRef) {
		if s == nil {
			return
		}
		if s.Ref != "" {
			found[s.Ref] = true
		}
		v := s.Value
		if v == nil || seen[v] {
			return
		}
		seen[v] = true
		for _, list := range []openapi3.SchemaRefs{v.AllOf, v.AnyOf, v.OneOf, v.PrefixItems} {
			for _, s := range list {
				walk(s)
			}
		}
		for _, m := range []openapi3.Schemas{v.Properties, v.PatternProperties, v.Defs, v.DependentSchemas} {
			for _, s := range m {
				walk(s)
			}
		}
		for _, s := range []*openapi3.SchemaRef{v.Items, v.Not, v.AdditionalProperties.Schema, v.If, v.Then, v.Else, v.Contains, v.PropertyNames} {
			walk(s)
		}
	}
	content := func(c openapi3.Content) {
		for key, m := range c {
			if strings.Contains(key, "/") {
				walk(m.Schema)
			}
		}
	}
	parameters := func(ps openapi3.Parameters) {
		for _, p := range ps {
			if !dropped(p.Value.In, p.Value.Name) {
				walk(p.Value.Schema)
				content(p.Value.Content)
			}
		}
	}
	for _, item := range doc.Paths.Map() {
		parameters(item.Parameters)
		for _, op := range item.Operations() {
			parameters(op.Parameters)
			if op.RequestBody != nil {
				content(op.RequestBody.Value.Content)
			}
			for _, r := range op.Responses.Map() {
				content(r.Value.Content)
				for _, h := range r.Value.Headers {
					walk(h.Value.Schema)
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// schemas is kinSchemas for our own model.
func schemas(api *contract.API) []string {
	found := make(map[string]bool)
	seen := make(map[document.Node]bool)
	var walk func(n document.Node)
	walk = func(n document.Node) {
		if !n.Valid() || seen[n] {
			return
		}
		seen[n] = true
		if ref := n.Get("$ref"); ref.IsString() {
			found[ref.Text()] = true
			if target := n.Document().Root().At(strings.TrimPrefix(ref.Text(), "#")); target.Valid() {
				walk(target)
			}
			return
		}
		for key, v := range n.Members() {
			switch key {
			case "properties", "patternProperties", "$defs", "dependentSchemas":
				for _, v := range v.Members() {
					walk(v)
				}
			case "allOf", "anyOf", "oneOf", "prefixItems":
				for _, v := range v.Elements() {
					walk(v)
				}
			case "items", "not", "additionalProperties", "if", "then", "else", "contains", "propertyNames":
				walk(v)
			}
		}
	}
	var parameters func(ps []*contract.Parameter)
	media := func(ms []*contract.Media) {
		for _, m := range ms {
			walk(m.Schema)
		}
	}
	parameters = func(ps []*contract.Parameter) {
		for _, p := range ps {
			walk(p.Schema)
			if p.Content != nil {
				walk(p.Content.Schema)
			}
		}
	}
	for _, op := range api.Operations {
		parameters(op.Parameters)
		if op.Body != nil {
			media(op.Body.Content)
		}
		for _, r := range op.Responses {
			parameters(r.Headers)
			media(r.Content)
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// The same for Swagger 2.0, which kin-openapi converts to OpenAPI 3 too.
func TestKinAgreesOnSwagger(t *testing.T) {
	a, err := txtar.ParseFile(filepath.Join("testdata", "contracts", "swagger.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := document.ParseYAML("swagger.yaml", a.Files[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	src := doc.Root().JSON(nil)
	var old openapi2.T
	if err := json.Unmarshal(src, &old); err != nil {
		t.Fatal(err)
	}
	theirs, err := openapi2conv.ToV3(&old)
	if err != nil {
		t.Fatal(err)
	}
	ours, ds := load(t, "swagger.json", src)
	if ours == nil {
		t.Fatal(ds)
	}
	// Its converter does not know that csv is the default collectionFormat,
	// and leaves forms and produced types alone, so styles and media types
	// are not compared.
	plain := func(ops map[string][]string) map[string][]string {
		for key, lines := range ops {
			var kept []string
			for _, line := range lines {
				words := strings.Fields(line)
				switch words[0] {
				case "parameter":
					kept = append(kept, strings.Join(words[:4], " "))
				case "response":
					kept = append(kept, words[0]+" "+words[1])
				case "body":
					kept = append(kept, "body")
				default:
					kept = append(kept, line)
				}
			}
			ops[key] = kept
		}
		return ops
	}
	if diff := cmp.Diff(plain(kinOperations(theirs)), plain(operations(ours))); diff != "" {
		t.Errorf("operations (-kin +ours):\n%s", diff)
	}
}
