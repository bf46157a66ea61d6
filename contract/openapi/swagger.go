package openapi

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/document"
)

// madeURI is where the schemas stand that Swagger 2.0 does not write as
// schemas: those of parameters, headers and forms. They hold no references.
const madeURI = "sallyport:swagger"

// nullable writes "nullable" beside the "x-nullable" of Swagger 2.0, which
// everybody uses for it, so that such answers are not taken for broken.
func (l *loader) nullable(doc *document.Document) *document.Document {
	if l.v != v20 {
		return doc
	}
	var found []document.Node
	var walk func(n document.Node)
	walk = func(n document.Node) {
		if x := n.Get("x-nullable"); x.Bool() && !n.Has("nullable") {
			found = append(found, x)
		}
		for key, v := range n.Members() {
			if !data[key] {
				walk(v)
			}
		}
		for _, v := range n.Elements() {
			walk(v)
		}
	}
	walk(doc.Root())
	if len(found) == 0 {
		return doc
	}
	e := document.Edit(doc)
	for _, x := range found {
		e.PutBool(e.Root().At(x.Parent().Pointer()), "nullable", x, true)
	}
	edited, err := e.Document()
	if err != nil {
		l.unenforced(doc.Root().Pos(), "x-nullable is not applied: "+err.Error(), "")
		return doc
	}
	return edited
}

// adopt gives the made document a base.
func (l *loader) adopt(made *document.Document) { l.bases[made] = l.bases[l.root] }

// make begins a made schema that stands where at does.
func (l *loader) make(at document.Node) document.Node {
	if l.made == nil {
		l.made = document.New(l.root.Name(), l.root.Root())
	}
	root := l.made.Root()
	return l.made.PutEmpty(root, fmt.Sprint(root.Len()), at, document.Object)
}

// swagger compiles Swagger 2.0.
func (l *loader) swagger(root document.Node) {
	l.warn(root.Get("swagger").KeyPos(), "Swagger 2.0 is read as OpenAPI 3.0", "convert the contract to OpenAPI 3 to use all that it can say")
	s := contract.Server{Pos: root.Pos()}
	if h := root.Get("host"); h.Valid() {
		s.Pos = h.Pos()
		if made, ok := l.serverURL("//"+h.Text(), h); ok {
			s.Host = made.Host
		}
	}
	if b := root.Get("basePath"); b.Valid() {
		if made, ok := l.serverURL(b.Text(), b); ok {
			s.BasePath = made.BasePath
		}
	}
	if s.Host != "" || s.BasePath != "" {
		l.api.Servers = []contract.Server{s}
	}
	for name, v := range root.Get("securityDefinitions").Members() {
		if !strings.HasPrefix(name, "x-") {
			l.swaggerScheme(name, v)
		}
	}
	l.operations(root, l.swaggerOperation)
}

func (l *loader) swaggerScheme(name string, n document.Node) {
	s := &contract.Scheme{Name: name, Type: n.Get("type").Str(), Pos: n.KeyPos()}
	switch s.Type {
	case "basic":
		s.Type, s.HTTP = "http", "basic"
	case "oauth2":
		for scope := range n.Get("scopes").Members() {
			s.Scopes = append(s.Scopes, scope)
		}
	default:
		l.scheme(name, n) // apiKey is the same in both; the rest is a fault in both
		return
	}
	l.api.Schemes[name] = s
}

// swaggerOperation compiles one operation of Swagger 2.0.
func (l *loader) swaggerOperation(s *scope, p *path, _, method string, n document.Node) {
	op := l.begin(s, p, method, n)
	if op == nil {
		return
	}
	above, own := l.swaggerList(p.get("parameters")), l.swaggerList(n.Get("parameters"))
	op.Parameters = l.merge(p, method, above.values, own.values)
	types := l.types(n, s.root, "consumes")
	bodyNode, fields := own.body, own.fields
	if !bodyNode.Valid() && fields == nil {
		bodyNode, fields = above.body, above.fields
	} else if fields != nil {
		for _, f := range above.fields {
			if !slices.ContainsFunc(fields, func(o document.Node) bool { return o.Get("name").Text() == f.Get("name").Text() }) {
				fields = append(fields, f)
			}
		}
	}
	switch {
	case bodyNode.Valid():
		if fields != nil {
			l.unenforced(fields[0].Pos(), "a formData parameter stands beside a body parameter, which counts", "")
		}
		op.Body = l.swaggerBody(bodyNode, types)
	case fields != nil:
		op.Body = l.form(fields, types)
	}
	op.Responses = l.promises(n, method+" "+show(p.raw), func(op, v document.Node) (*promise, *trouble) {
		return l.swaggerResponse(v, l.types(op, s.root, "produces"))
	})
	l.api.Operations = append(l.api.Operations, op)
}

// A declaredType is an entry of consumes or produces.
type declaredType struct {
	name string
	pos  contract.Pos
}

// types returns what an operation consumes or produces.
func (l *loader) types(op, root document.Node, key string) []declaredType {
	n := op.Get(key)
	if !n.Valid() {
		n = root.Get(key)
	}
	var out []declaredType
	for _, v := range n.Elements() {
		if _, _, ok := mediaKey(v.Str()); !ok {
			l.unenforced(v.Pos(), fmt.Sprintf("%s is not a media type", quote(v.Text())), `it is written like "application/json"`)
			continue
		}
		out = append(out, declaredType{v.Str(), v.Pos()})
	}
	return out
}

// A swaggerList is a list of parameters of Swagger 2.0 by what becomes of them.
type swaggerList struct {
	values []*contract.Parameter
	body   document.Node
	fields []document.Node
}

func (l *loader) swaggerList(n document.Node) (out swaggerList) {
	if n.Valid() && !n.IsArray() && !n.IsNull() {
		l.unenforced(n.Pos(), `"parameters" is `+article(n.Kind())+", not an array", "")
	}
	for _, v := range n.Elements() {
		v, t := l.resolve(v, parameter)
		if t != nil {
			l.unenforced(t.pos, t.msg, t.hint)
			continue
		}
		switch v.Get("in").Str() {
		case "body":
			if out.body.Valid() && out.body != v {
				l.unenforced(v.Pos(), "there is a second body parameter; the first counts", "")
				continue
			}
			out.body = v
		case "formData":
			if v.Get("name").Text() == "" {
				l.unenforced(v.Pos(), "the parameter has no name", "")
				continue
			}
			if !slices.Contains(out.fields, v) {
				out.fields = append(out.fields, v)
			}
		default:
			p, ok := l.parameters[v]
			if !ok {
				p = l.swaggerParameter(v)
				l.parameters[v] = p
			}
			if p != nil {
				out.values = append(out.values, p)
			}
		}
	}
	return out
}

func (l *loader) swaggerParameter(n document.Node) *contract.Parameter {
	name, in := n.Get("name"), n.Get("in")
	if name.Text() == "" {
		l.unenforced(n.Pos(), "the parameter has no name", "")
		return nil
	}
	p := &contract.Parameter{Name: name.Text(), In: in.Str(), Pos: n.Pos()}
	what := fmt.Sprintf("parameter %s", quote(p.Name))
	if p.In != "path" && p.In != "query" && p.In != "header" {
		l.unenforced(n.Pos(), fmt.Sprintf("%s stands in %s, which is not known", what, quote(in.Text())), "it is path, query, header, formData or body")
		return nil
	}
	p.Required = l.flag(n, "required")
	if p.In == "path" && !p.Required {
		l.warn(n.Pos(), fmt.Sprintf("path %s is not marked as required; it is all the same", what), "add required: true")
		p.Required = true
	}
	p.AllowEmpty = l.flag(n, "allowEmptyValue")
	p.Style = styles[p.In][0]
	p.Schema = l.itemSchema(n, what)
	l.collection(n, what, p.In, &p.Style, &p.Explode, &p.Schema)
	return p
}

// collection reads collectionFormat as a style.
func (l *loader) collection(n document.Node, what, in string, style *string, explode *bool, schema *document.Node) {
	for items := n.Get("items"); items.Valid(); items = items.Get("items") {
		if f := items.Get("collectionFormat"); f.Valid() && items.Get("type").Str() == "array" {
			l.unenforced(f.Pos(), what+": arrays inside arrays have no style; every value is accepted", "")
			*schema = document.Node{}
			return
		}
	}
	f := n.Get("collectionFormat")
	if n.Get("type").Str() != "array" {
		*explode = *style == "form" // OpenAPI's default; it makes no difference
		return
	}
	query := in == "query" || in == "formData"
	switch {
	case f.Str() == "csv" || !f.Valid():
		*explode = false
	case f.Str() == "multi" && query:
		*explode = true
	case f.Str() == "ssv" && query:
		*style, *explode = "spaceDelimited", false
	case f.Str() == "pipes" && query:
		*style, *explode = "pipeDelimited", false
	default:
		l.unenforced(f.Pos(), fmt.Sprintf("%s: collectionFormat %s in %s is not read; every value is accepted", what, quote(f.Text()), in), "")
		*schema = document.Node{}
	}
}

// notSchema are the fields of parameters and headers that no schema has.
var notSchema = map[string]bool{
	"name": true, "in": true, "required": true, "collectionFormat": true, "allowEmptyValue": true, "description": true,
}

// itemSchema makes a schema of the fields of a parameter, header or items
// object of Swagger 2.0.
func (l *loader) itemSchema(n document.Node, what string) document.Node {
	if s := n.Get("schema"); s.Valid() && !n.Has("type") {
		l.warn(s.KeyPos(), what+` has a "schema", which only a body has; it is applied all the same`, "")
		return l.schema(s)
	}
	typ := n.Get("type")
	if !typ.Valid() {
		l.unenforced(n.Pos(), what+" has no type: every value is accepted", `add "type"`)
		return document.Node{}
	}
	if typ.Str() == "file" {
		return document.Node{}
	}
	made := l.make(n)
	for key, v := range n.Members() {
		if !notSchema[key] && !strings.HasPrefix(key, "x-") || key == "x-sallyport-class" {
			l.made.PutMember(made, v)
		}
	}
	return made
}

func (l *loader) swaggerBody(n document.Node, types []declaredType) *contract.Body {
	b := &contract.Body{Required: l.flag(n, "required"), Pos: n.Pos()}
	schema := n.Get("schema")
	if !schema.Valid() {
		l.unenforced(n.Pos(), "the body parameter has no schema: every body is accepted", `add "schema"`)
	}
	if len(types) == 0 {
		types = []declaredType{{"application/json", n.Pos()}}
	}
	b.Content = l.swaggerContent(schema, types, body)
	return b
}

// swaggerContent makes the media types of one schema.
func (l *loader) swaggerContent(schema document.Node, types []declaredType, what string) []*contract.Media {
	var out []*contract.Media
	schema = l.schema(schema)
	for _, t := range types {
		typ, params, _ := mediaKey(t.name)
		if slices.ContainsFunc(out, func(o *contract.Media) bool { return o.Type == typ && o.Params == params }) {
			continue
		}
		m := &contract.Media{Type: typ, Params: params, Schema: schema, Pos: t.pos}
		if schema.Valid() {
			l.applied(m, schema.Parent(), what, typ == formType || strings.HasPrefix(typ, "multipart/"))
		}
		out = append(out, m)
	}
	slices.SortStableFunc(out, func(a, b *contract.Media) int { return min(1, len(a.Params)) - min(1, len(b.Params)) })
	return out
}

// form makes one body of the formData parameters.
func (l *loader) form(fields []document.Node, types []declaredType) *contract.Body {
	at := fields[0]
	b := &contract.Body{Pos: at.Pos()}
	schema := l.make(at)
	l.made.PutString(schema, "type", at, "object")
	properties := l.made.PutEmpty(schema, "properties", at, document.Object)
	encoding := make(map[string]*contract.Encoding)
	var required []document.Node
	file := false
	for _, f := range fields {
		name := f.Get("name").Text()
		what := fmt.Sprintf("parameter %s", quote(name))
		if properties.Has(name) {
			l.unenforced(f.Pos(), fmt.Sprintf("formData parameter %s stands twice in one list; the first counts", quote(name)), "")
			continue
		}
		if l.flag(f, "required") {
			required = append(required, f)
		}
		if f.Get("type").Str() == "file" {
			file = true
			l.made.PutEmpty(properties, name, f, document.Object)
			continue
		}
		enc := &contract.Encoding{Style: "form", Pos: f.Pos()}
		s := l.itemSchema(f, what)
		l.collection(f, what, "formData", &enc.Style, &enc.Explode, &s)
		if s.Valid() {
			l.made.Put(properties, name, f, s)
		} else {
			l.made.PutEmpty(properties, name, f, document.Object)
		}
		encoding[name] = enc
	}
	if required != nil {
		b.Required = true
		list := l.made.PutEmpty(schema, "required", at, document.Array)
		for _, f := range required {
			l.made.PutString(list, "", f.Get("name"), f.Get("name").Text())
		}
	}
	var forms []declaredType
	for _, t := range types {
		typ, _, _ := mediaKey(t.name)
		if typ == "multipart/form-data" || typ == formType && !file {
			forms = append(forms, t)
		}
	}
	if forms == nil {
		forms = []declaredType{{formType, at.Pos()}}
		if file {
			forms[0].name = "multipart/form-data"
		}
		l.warn(at.Pos(), fmt.Sprintf("the operation consumes no form; %s is expected", forms[0].name), `name it under "consumes"`)
	}
	for _, t := range forms {
		typ, params, _ := mediaKey(t.name)
		b.Content = append(b.Content, &contract.Media{Type: typ, Params: params, Schema: schema, Encoding: encoding, Pos: t.pos})
	}
	return b
}

func (l *loader) swaggerResponse(n document.Node, types []declaredType) (*promise, *trouble) {
	n, t := l.resolve(n, response)
	if t != nil {
		return nil, t
	}
	r := &promise{}
	for name, h := range n.Get("headers").Members() {
		if !h.IsObject() || strings.EqualFold(name, "content-type") {
			l.unenforced(h.KeyPos(), fmt.Sprintf("the header %s is not applied", quote(name)), "")
			continue
		}
		key := headerKey{name, h}
		p, ok := l.headers[key]
		if !ok {
			what := fmt.Sprintf("header %s", quote(name))
			p = &contract.Parameter{Name: name, In: "header", Style: "simple", Pos: h.Pos()}
			p.Schema = l.itemSchema(h, what)
			l.collection(h, what, "header", &p.Style, &p.Explode, &p.Schema)
			l.headers[key] = p
		}
		r.headers = append(r.headers, p)
	}
	schema := n.Get("schema")
	if !schema.Valid() {
		return r, nil
	}
	if len(types) == 0 {
		name := "application/json"
		if schema.Get("type").Str() == "file" {
			name = "*/*"
		}
		types = []declaredType{{name, schema.KeyPos()}}
	}
	if schema.Get("type").Str() == "file" {
		schema = document.Node{}
	}
	r.content = l.swaggerContent(schema, types, response)
	return r, nil
}
