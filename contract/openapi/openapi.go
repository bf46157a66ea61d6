package openapi

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/document"
	"github.com/sallyport/sallyport/jsonschema"
)

// What is looked for, as messages name it.
const (
	pathItem  = "path item"
	parameter = "parameter"
	header    = "header"
	response  = "response"
	body      = "request body"
	mediaType = "media type"
	scheme    = "security scheme"
)

// standardMethods are the methods that a path item names by itself.
var standardMethods = map[string]string{
	"get": "GET", "put": "PUT", "post": "POST", "delete": "DELETE", "options": "OPTIONS", "head": "HEAD", "patch": "PATCH", "trace": "TRACE",
}

// openapi compiles OpenAPI 3.
func (l *loader) openapi(root document.Node) {
	if l.v >= v31 {
		l.api.Dialect = jsonschema.OpenAPI31
		if d := root.Get("jsonSchemaDialect"); d.Valid() && !knownDialect(d.Text()) {
			l.unenforced(d.Pos(), fmt.Sprintf("the schema dialect %s is not known; schemas are read as OpenAPI's own", quote(d.Text())), "")
		}
	}
	if s := root.Get("$self"); s.Valid() {
		l.warn(s.Pos(), `"$self" is not used: references are resolved against the place of the file`, "")
	}
	l.api.Servers = l.servers(root.Get("servers"))
	l.schemes(root.Get("components").Get("securitySchemes"))
	l.outside(root.Get("webhooks"), "webhook")
	l.operations(root, l.operation)
}

func knownDialect(s string) bool {
	return strings.HasPrefix(s, "https://spec.openapis.org/oas/3.") || strings.HasPrefix(s, "https://json-schema.org/draft/2020-12/schema")
}

// outside says of what the API sends by itself that it does not pass here.
func (l *loader) outside(n document.Node, what string) {
	for name, v := range n.Members() {
		if !strings.HasPrefix(name, "x-") {
			l.unenforced(v.KeyPos(), fmt.Sprintf("%s %s is a request that the API sends; it does not pass here and is not checked", what, quote(name)), "")
		}
	}
}

// scope is what an operation takes from the levels above it.
type scope struct {
	root       document.Node
	extensions map[string]document.Node // of the root
	security   security
	ids        map[string]contract.Pos // operationIds that are taken
	taken      map[string]contract.Pos // methods and path shapes
}

// operationFunc compiles one operation of a path.
type operationFunc func(s *scope, p *path, key string, method string, n document.Node)

// A path is one path item.
type path struct {
	template template
	raw      string
	item     document.Node // the fields come from here, and from more
	more     []document.Node
	at       document.Node // the member of "paths"
	servers  []contract.Server
}

// get returns a field of the path item, whose "$ref" may bring more.
func (p *path) get(key string) document.Node {
	for _, n := range append([]document.Node{p.item}, p.more...) {
		if v := n.Get(key); v.Valid() {
			return v
		}
	}
	return document.Node{}
}

// fields yields all fields of the path item, those beside "$ref" first.
func (p *path) fields() func(func(string, document.Node) bool) {
	return func(yield func(string, document.Node) bool) {
		seen := make(map[string]bool)
		for _, n := range append([]document.Node{p.item}, p.more...) {
			for key, v := range n.Members() {
				if seen[key] || key == "$ref" {
					continue
				}
				seen[key] = true
				if !yield(key, v) {
					return
				}
			}
		}
	}
}

// operations compiles all paths.
func (l *loader) operations(root document.Node, compile operationFunc) {
	paths := root.Get("paths")
	if !paths.Valid() {
		if l.v >= v31 && (root.Has("components") || root.Has("webhooks")) {
			l.warn(root.Pos(), "the contract declares no paths: every request is unknown", "")
			return
		}
		l.report(contract.Fatal, root.Pos(), `the contract has no "paths"`, "declare at least one operation")
		return
	}
	if ref := paths.Get("$ref"); ref.IsString() {
		l.warn(ref.KeyPos(), `"paths" cannot be a reference; it is followed all the same`, "move the references to the single paths")
		n, t := l.resolve(paths, "paths object")
		if t != nil {
			l.report(contract.Fatal, t.pos, t.msg, t.hint)
			return
		}
		paths = n
	}
	if !paths.IsObject() {
		l.report(contract.Fatal, paths.Pos(), `"paths" is `+article(paths.Kind())+", not an object", "")
		return
	}
	s := &scope{
		root:       root,
		extensions: extensions(nil, root),
		security:   l.security(root),
		ids:        make(map[string]contract.Pos),
		taken:      make(map[string]contract.Pos),
	}
	var templates []template
	shapes := make(map[string]int) // index in templates
	for raw, at := range paths.Members() {
		if strings.HasPrefix(raw, "x-") {
			continue
		}
		p := &path{raw: raw, at: at, item: at}
		if !l.item(p) {
			continue
		}
		t, notes, fault := parseTemplate(raw, func(name string) bool { return l.declaresPath(p, name) })
		for _, w := range notes {
			l.diagnose(contract.Diagnostic{Severity: contract.Warning, Pos: at.KeyPos(), Msg: w.msg, Unenforced: w.unenforced})
		}
		if fault != "" {
			l.closePath(p, fault)
			continue
		}
		t.at = at
		p.template = t
		p.servers = l.servers(p.get("servers"))
		i, ok := shapes[t.shape()]
		if !ok {
			i = len(templates)
			shapes[t.shape()] = i
			templates = append(templates, t)
		}
		before := len(l.api.Operations)
		for key, v := range p.fields() {
			method, ok := standardMethods[key]
			switch {
			case ok:
				compile(s, p, key, method, v)
			case key == "query" && l.v >= v32:
				compile(s, p, key, "QUERY", v)
			case key == "additionalOperations" && l.v >= v32:
				for m, v := range v.Members() {
					switch {
					case strings.HasPrefix(m, "x-"):
					case !isToken(m) || standardMethods[strings.ToLower(m)] != "" || strings.EqualFold(m, "query"):
						l.close(p, m, v.KeyPos(), fmt.Sprintf("%s cannot be an additional method", quote(m)), "additionalOperations holds methods that a path item has no field for")
					default:
						compile(s, p, key, m, v)
					}
				}
			case strings.HasPrefix(key, "x-"), key == "summary", key == "description", key == "servers", key == "parameters":
			default:
				hint := ""
				if key == "query" || key == "additionalOperations" {
					hint = "it exists from OpenAPI 3.2 on"
				} else if standardMethods[strings.ToLower(key)] != "" {
					hint = fmt.Sprintf("write %q", strings.ToLower(key))
				}
				l.unenforced(v.KeyPos(), fmt.Sprintf("%s is not a field of a path item", quote(key)), hint)
			}
		}
		for _, op := range l.api.Operations[before:] {
			templates[i].methods = append(templates[i].methods, op.Method)
		}
	}
	l.ambiguous(templates)
	if len(l.api.Operations) == 0 {
		l.warn(paths.KeyPos(), "the contract declares no operation that can be guarded: every request is unknown", "")
	}
}

// item follows the references of a path item.
func (l *loader) item(p *path) bool {
	for n := p.at; ; {
		if !n.IsObject() {
			l.closePath(p, "the path item is "+article(n.Kind())+", not an object")
			return false
		}
		ref := n.Get("$ref")
		if !ref.Valid() {
			return true
		}
		t := &trouble{ref.Pos(), `"$ref" is ` + article(ref.Kind()) + ", not a string", ""}
		var next document.Node
		if ref.IsString() {
			next, t = l.target(ref)
		}
		if t == nil && len(p.more) == 100 {
			t = &trouble{ref.Pos(), quote(ref.Text()) + " goes round in a circle", ""}
		}
		if t != nil {
			l.close(p, "", t.pos, t.msg, t.hint)
			return false
		}
		p.more = append(p.more, next)
		n = next
	}
}

// declaresPath reports whether the path item or one of its operations
// declares a path parameter of this name.
func (l *loader) declaresPath(p *path, name string) bool {
	has := func(list document.Node) bool {
		for _, n := range list.Elements() {
			if n, t := l.resolve(n, parameter); t == nil && n.Get("name").Text() == name && n.Get("in").Text() == "path" {
				return true
			}
		}
		return false
	}
	for key, v := range p.fields() {
		if key == "parameters" && has(v) || v.IsObject() && has(v.Get("parameters")) {
			return true
		}
	}
	return false
}

// closePath closes all operations of a path.
func (l *loader) closePath(p *path, why string) {
	any := false
	for key, v := range p.fields() {
		if m := standardMethods[key]; m != "" {
			l.close(p, m, v.KeyPos(), why, "")
			any = true
		}
	}
	if !any {
		l.close(p, "", p.at.KeyPos(), why, "")
	}
}

const cannotGuard = " cannot be guarded: "

// close says that an operation, or all of a path where method is empty,
// cannot be guarded.
func (l *loader) close(p *path, method string, pos contract.Pos, why, hint string) {
	name := strings.TrimSpace(show(method) + " " + show(p.raw))
	l.report(contract.Closed, pos, name+cannotGuard+why, hint)
	if method != "" {
		l.api.Closed = append(l.api.Closed, &contract.Operation{ID: name, Method: method, Path: p.raw, Pos: pos})
	}
}

// isToken reports whether s can be a method (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return s != ""
}

const extensionPrefix = "x-sallyport-"

// extensions returns the x-sallyport-* members of the nodes over those given;
// of the nodes, the first wins.
func extensions(above map[string]document.Node, nodes ...document.Node) map[string]document.Node {
	out, own := above, false
	for _, n := range slices.Backward(nodes) {
		for key, v := range n.Members() {
			if !strings.HasPrefix(key, extensionPrefix) {
				continue
			}
			if !own {
				own = true
				out = maps.Clone(above)
				if out == nil {
					out = make(map[string]document.Node)
				}
			}
			out[key] = v
		}
	}
	return out
}

// begin makes an operation and what all versions have in common. It returns
// nil where the operation is closed.
func (l *loader) begin(s *scope, p *path, method string, n document.Node) *contract.Operation {
	if !n.IsObject() {
		l.close(p, method, n.KeyPos(), "the operation is "+article(n.Kind())+", not an object", "")
		return nil
	}
	if ref := n.Get("$ref"); ref.Valid() {
		l.close(p, method, ref.KeyPos(), "an operation cannot be a reference", "refer to the whole path item")
		return nil
	}
	key := method + " " + p.template.shape()
	if first, ok := s.taken[key]; ok {
		l.close(p, method, n.KeyPos(), fmt.Sprintf("requests for it cannot be told from those for the operation at %d:%d, and are judged by that", first.Line, first.Col), "")
		return nil
	}
	s.taken[key] = n.KeyPos()
	op := &contract.Operation{
		ID:         method + " " + p.template.text,
		Method:     method,
		Path:       p.template.text,
		Summary:    n.Get("summary").Str(),
		Deprecated: l.flag(n, "deprecated"),
		Extensions: extensions(s.extensions, append([]document.Node{n, p.item}, p.more...)...),
		Pos:        n.KeyPos(),
	}
	if id := n.Get("operationId"); id.Valid() {
		text := id.Text()
		switch first, taken := s.ids[text]; {
		case !id.IsString() && !id.IsNumber(), text == "":
			l.warn(id.Pos(), "operationId is "+article(id.Kind())+" that names nothing", "")
		case taken:
			l.warn(id.Pos(), fmt.Sprintf("operationId %s stands already at %d:%d; this operation is called %q", quote(text), first.Line, first.Col, op.ID),
				"give every operation its own operationId")
		default:
			s.ids[text] = id.Pos()
			op.ID = text
		}
	}
	for _, t := range n.Get("tags").Elements() {
		if t.IsString() {
			op.Tags = append(op.Tags, t.Text())
		} else {
			l.warn(t.Pos(), "a tag is "+article(t.Kind())+", not a string", "")
		}
	}
	for _, key := range [...]string{"x-sunset", "x-sunset-date"} {
		for _, v := range [...]document.Node{n.Get(key), p.get(key)} {
			if op.Sunset == "" && (v.IsString() || v.IsNumber()) {
				op.Sunset = v.Text()
			}
		}
	}
	sec := s.security
	if n.Has("security") {
		sec = l.security(n)
	}
	if sec.trouble != nil {
		l.close(p, method, sec.trouble.pos, sec.trouble.msg, sec.trouble.hint)
		return nil
	}
	op.Security, op.Declared = sec.requirements, sec.declared
	return op
}

// operation compiles one operation of OpenAPI 3.
func (l *loader) operation(s *scope, p *path, key, method string, n document.Node) {
	op := l.begin(s, p, method, n)
	if op == nil {
		return
	}
	op.Servers = p.servers
	if n.Has("servers") {
		op.Servers = l.servers(n.Get("servers"))
	}
	op.Parameters = l.merge(p, method, l.list(p.get("parameters")), l.list(n.Get("parameters")))
	if b := n.Get("requestBody"); b.Valid() && !b.IsNull() {
		var t *trouble
		op.Body, t = l.body(b)
		if t != nil {
			l.close(p, method, t.pos, t.msg, t.hint)
			return
		}
		if method == "GET" || method == "HEAD" || method == "TRACE" {
			l.warn(b.KeyPos(), method+" "+show(p.raw)+" declares a request body, which has no meaning for "+method, "")
		}
	}
	op.Responses = l.promises(n, method+" "+show(p.raw), l.response)
	l.outside(n.Get("callbacks"), "callback")
	l.api.Operations = append(l.api.Operations, op)
}

// flag reads a boolean, also where it stands in quotes.
func (l *loader) flag(n document.Node, key string) bool {
	v := n.Get(key)
	if !v.Valid() || v.IsBool() || v.IsNull() {
		return v.Bool()
	}
	set := strings.EqualFold(v.Str(), "true")
	l.warn(v.Pos(), fmt.Sprintf("%q is %s, not true or false; it counts as %v", key, article(v.Kind()), set), "")
	return set
}

// A promise is a response without its status.
type promise struct {
	headers []*contract.Parameter
	content []*contract.Media
}

// promises compiles the responses of an operation.
func (l *loader) promises(op document.Node, name string, compile func(op, n document.Node) (*promise, *trouble)) []*contract.Response {
	responses := op.Get("responses")
	if ref := responses.Get("$ref"); ref.IsString() {
		if n, t := l.resolve(responses, "responses object"); t == nil {
			l.warn(ref.KeyPos(), `"responses" cannot be a reference; it is followed all the same`, "")
			responses = n
		}
	}
	var out []*contract.Response
	for status, n := range responses.Members() {
		if strings.HasPrefix(status, "x-") {
			continue
		}
		key, ok := statusKey(status)
		if !ok {
			l.unenforced(n.KeyPos(), fmt.Sprintf("%s: %s is not a status", name, quote(status)), `a status is "200", "2XX" or "default"`)
			continue
		}
		r := &contract.Response{Status: key, Pos: n.KeyPos()}
		made, t := compile(op, n)
		if t != nil {
			// What the response may hold is not known; it is not undeclared.
			l.unenforced(t.pos, t.msg, t.hint)
			made = &promise{content: []*contract.Media{{Type: "*/*", Pos: n.KeyPos()}}}
		}
		r.Headers, r.Content = made.headers, made.content
		out = append(out, r)
	}
	if len(out) == 0 {
		l.warn(op.KeyPos(), name+" declares no responses: every response is undeclared", "")
	}
	return out
}

// statusKey reads "200", "2xx" or "default".
func statusKey(s string) (string, bool) {
	if strings.EqualFold(s, "default") {
		return "default", true
	}
	if len(s) != 3 || s[0] < '1' || s[0] > '5' {
		return "", false
	}
	if up := strings.ToUpper(s); up[1:] == "XX" {
		return up, true
	}
	return s, '0' <= s[1] && s[1] <= '9' && '0' <= s[2] && s[2] <= '9'
}

// response compiles a Response Object.
func (l *loader) response(_, n document.Node) (*promise, *trouble) {
	n, t := l.resolve(n, response)
	if t != nil {
		return nil, t
	}
	if known, ok := l.responses[n]; ok {
		return known, nil
	}
	r := &promise{}
	l.responses[n] = r
	for name, h := range n.Get("headers").Members() {
		if p := l.header(name, h); p != nil {
			r.headers = append(r.headers, p)
		}
	}
	r.content, _ = l.content(n.Get("content"), response)
	if links := n.Get("links"); links.Len() > 0 {
		l.unenforced(links.KeyPos(), "links are not checked", "")
	}
	return r, nil
}

// body compiles a Request Body Object.
func (l *loader) body(n document.Node) (*contract.Body, *trouble) {
	n, t := l.resolve(n, body)
	if t != nil {
		return nil, t
	}
	if known, ok := l.bodies[n]; ok {
		return known, nil
	}
	b := &contract.Body{Required: l.flag(n, "required"), Pos: n.Pos()}
	var bad bool
	b.Content, bad = l.content(n.Get("content"), body)
	if len(b.Content) == 0 {
		if bad {
			return nil, &trouble{n.Get("content").KeyPos(), "no media type of the request body can be used", ""}
		}
		l.unenforced(n.Pos(), "the request body declares no media type: every body is accepted", `add "content"`)
		b.Content = []*contract.Media{{Type: "*/*", Pos: n.Pos()}}
	}
	l.bodies[n] = b
	return b, nil
}
