package openapi

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/document"
)

// list compiles a list of Parameter Objects. What cannot be used is reported
// and left out.
func (l *loader) list(n document.Node) []*contract.Parameter {
	if !n.Valid() || n.IsNull() {
		return nil
	}
	if !n.IsArray() {
		l.unenforced(n.Pos(), `"parameters" is `+article(n.Kind())+", not an array", "")
		return nil
	}
	var out []*contract.Parameter
	for _, v := range n.Elements() {
		v, t := l.resolve(v, parameter)
		if t != nil {
			l.unenforced(t.pos, t.msg, t.hint)
			continue
		}
		p, ok := l.parameters[v]
		if !ok {
			p = l.parameter(v)
			l.parameters[v] = p
		}
		if p != nil {
			out = append(out, p)
		}
	}
	return out
}

// same reports whether two parameters are one and the same value.
func same(a, b *contract.Parameter) bool {
	return a.In == b.In && (a.Name == b.Name || a.In == "header" && strings.EqualFold(a.Name, b.Name))
}

// merge puts the parameters of an operation over those of its path, and
// brings them in line with the path template.
func (l *loader) merge(p *path, method string, above, own []*contract.Parameter) []*contract.Parameter {
	var all []*contract.Parameter
	for i, list := range [...][]*contract.Parameter{own, above} {
		from := len(all)
		for _, q := range list {
			if k := slices.IndexFunc(all[from:], func(o *contract.Parameter) bool { return same(o, q) }); k >= 0 {
				if all[from+k] != q {
					l.unenforced(q.Pos, fmt.Sprintf("%s parameter %s stands twice in one list; the first, at %d:%d, counts", q.In, quote(q.Name), all[from+k].Pos.Line, all[from+k].Pos.Col), "")
				}
				continue
			}
			if i == 1 && slices.ContainsFunc(all[:from], func(o *contract.Parameter) bool { return same(o, q) }) {
				continue // the operation's own replaces it
			}
			if q.In == "path" && !slices.Contains(p.template.names, q.Name) {
				l.unenforced(q.Pos, fmt.Sprintf("path parameter %s is not in the path %s", quote(q.Name), show(p.raw)), fmt.Sprintf("write {%s} where it stands in the path", q.Name))
				continue
			}
			all = append(all, q)
		}
	}
	for _, name := range p.template.names {
		if slices.ContainsFunc(all, func(o *contract.Parameter) bool { return o.In == "path" && o.Name == name }) {
			continue
		}
		q := contract.Parameter{Name: name, In: "path", Required: true, Style: "simple", Pos: p.at.KeyPos()}
		if i := strings.LastIndexByte(name, '('); i > 0 {
			// The second {id} of a path is checked as the first is.
			if k := slices.IndexFunc(all, func(o *contract.Parameter) bool { return o.In == "path" && o.Name == name[:i] }); k >= 0 {
				q = *all[k]
				q.Name = name
				all = append(all, &q)
				continue
			}
		}
		l.unenforced(p.at.KeyPos(), fmt.Sprintf("%s %s does not declare the path parameter %s: every value is accepted", method, show(p.raw), quote(name)), "declare it under parameters")
		all = append(all, &q)
	}
	whole := slices.IndexFunc(all, func(o *contract.Parameter) bool { return o.In == "querystring" })
	if whole >= 0 {
		for i, o := range all {
			if i != whole && (o.In == "query" || o.In == "querystring") {
				l.unenforced(o.Pos, fmt.Sprintf("%s parameter %s stands beside the querystring parameter %s, which takes the whole query", o.In, quote(o.Name), quote(all[whole].Name)), "")
			}
		}
		kept := all[whole]
		all = slices.DeleteFunc(all, func(o *contract.Parameter) bool {
			return o != kept && (o.In == "query" || o.In == "querystring")
		})
	}
	return all
}

// styles lists the styles of each place; the first is the default.
var styles = map[string][]string{
	"path":   {"simple", "label", "matrix"},
	"query":  {"form", "spaceDelimited", "pipeDelimited", "deepObject"},
	"header": {"simple"},
	"cookie": {"form", "cookie"},
}

// parameter compiles a Parameter Object of OpenAPI 3, or returns nil.
func (l *loader) parameter(n document.Node) *contract.Parameter {
	name, in := n.Get("name"), n.Get("in")
	if name.Text() == "" || !name.IsString() && !name.IsNumber() {
		l.unenforced(n.Pos(), "the parameter has no name", "")
		return nil
	}
	p := &contract.Parameter{Name: name.Text(), In: in.Str(), Pos: n.Pos()}
	what := fmt.Sprintf("parameter %s", quote(p.Name))
	if lower := strings.ToLower(p.In); lower != p.In && styles[lower] != nil {
		l.warn(in.Pos(), fmt.Sprintf("%s: %s is read as %q", what, quote(p.In), lower), "")
		p.In = lower
	}
	switch {
	case p.In == "querystring" && l.v >= v32:
	case styles[p.In] == nil:
		pos, hint := n.Pos(), ""
		if in.Valid() {
			pos = in.Pos()
		}
		switch p.In {
		case "body", "formData":
			hint = "this is Swagger 2.0; OpenAPI 3 has requestBody"
		case "querystring":
			hint = "it exists from OpenAPI 3.2 on"
		default:
			hint = "it is path, query, header or cookie"
		}
		l.unenforced(pos, fmt.Sprintf("%s stands in %s, which is not known", what, quote(in.Text())), hint)
		return nil
	}
	if p.In == "header" {
		switch strings.ToLower(p.Name) {
		case "accept", "content-type", "authorization":
			// OpenAPI 3.1.1, section 4.8.12.2.
			l.unenforced(n.Pos(), fmt.Sprintf("header parameter %s is not applied: OpenAPI describes it elsewhere", quote(p.Name)), "use content, responses and security")
			return nil
		}
	}
	p.Required = l.flag(n, "required")
	if p.In == "path" && !p.Required {
		l.warn(n.Pos(), fmt.Sprintf("path %s is not marked as required; it is all the same", what), "add required: true")
		p.Required = true
	}
	p.AllowEmpty = p.In == "query" && l.flag(n, "allowEmptyValue")
	l.value(p, n, what)
	if p.In == "querystring" && p.Content == nil {
		l.unenforced(n.Pos(), what+" describes the query by no media type: every query is accepted", `add "content"`)
	}
	return p
}

// value reads what Parameter and Header Objects have in common.
func (l *loader) value(p *contract.Parameter, n document.Node, what string) {
	p.Deprecated = l.flag(n, "deprecated")
	schema, content := n.Get("schema"), n.Get("content")
	if content.Len() > 0 && !schema.Valid() {
		media, _ := l.content(content, what)
		if len(media) > 1 {
			l.unenforced(content.KeyPos(), what+" has several media types; the first counts", "")
		}
		if len(media) > 0 {
			p.Content = media[0]
			if m := p.Content; m.Schema.Valid() && !isJSON(m.Type) && !(p.In == "querystring" && m.Type == formType) && !l.anyText(m.Schema) {
				l.unenforced(m.Pos, fmt.Sprintf("%s: the schema of %s is not applied in a %s", what, m.Type, p.In), "")
			}
			return
		}
	}
	if content.Valid() && schema.Valid() {
		l.unenforced(content.KeyPos(), what+` has both "schema" and "content"; the schema counts`, "remove one of them")
	}
	if p.In == "querystring" {
		return
	}
	p.Schema = l.schema(schema)
	if !schema.Valid() {
		l.unenforced(n.Pos(), what+" has no schema: every value is accepted", `add "schema"`)
	}
	allowed := styles[p.In]
	p.Style = allowed[0]
	if s := n.Get("style"); s.Valid() {
		if slices.Contains(allowed, s.Str()) && (s.Str() != "cookie" || l.v >= v32) {
			p.Style = s.Text()
		} else {
			l.unenforced(s.Pos(), fmt.Sprintf("%s: there is no style %s in a %s; %s is used", what, quote(s.Text()), p.In, p.Style), "")
		}
	}
	p.Explode = p.Style == "form" || p.Style == "cookie"
	if n.Has("explode") {
		p.Explode = l.flag(n, "explode")
	}
	p.AllowReserved = l.flag(n, "allowReserved")
}

// header compiles a Header Object, or returns nil.
func (l *loader) header(name string, n document.Node) *contract.Parameter {
	at := n
	n, t := l.resolve(n, header)
	if t != nil {
		l.unenforced(t.pos, t.msg, t.hint)
		return nil
	}
	if strings.EqualFold(name, "content-type") {
		l.unenforced(at.KeyPos(), "the header Content-Type is not applied: the media types of content say it", "")
		return nil
	}
	key := headerKey{name, n}
	if known, ok := l.headers[key]; ok {
		return known
	}
	p := &contract.Parameter{Name: name, In: "header", Required: l.flag(n, "required"), Pos: n.Pos()}
	l.value(p, n, fmt.Sprintf("header %s", quote(name)))
	l.headers[key] = p
	return p
}

// schema returns a node that can be a schema.
func (l *loader) schema(n document.Node) document.Node {
	switch {
	case !n.Valid(), n.IsObject(), n.IsBool() && l.v >= v31:
		return n
	}
	l.unenforced(n.Pos(), "the schema is "+article(n.Kind())+", not an object: every value is accepted", "")
	return document.Node{}
}

const (
	formType = "application/x-www-form-urlencoded"
)

func isJSON(t string) bool {
	return t == "application/json" || t == "text/json" || strings.HasSuffix(t, "+json")
}

func isXML(t string) bool {
	return t == "application/xml" || t == "text/xml" || strings.HasSuffix(t, "+xml")
}

// isSequence reports whether a body of type t is a sequence of JSON values.
func isSequence(t string) bool {
	switch t {
	case "application/jsonl", "application/x-ndjson", "application/ndjson", "application/json-lines", "application/json-seq",
		"application/stream+json", "text/event-stream":
		return true
	}
	return strings.HasSuffix(t, "+json-seq")
}

// content compiles a map of Media Type Objects. Bad is set where an entry
// could not be used.
func (l *loader) content(n document.Node, what string) (out []*contract.Media, bad bool) {
	if !n.Valid() || n.IsNull() {
		return nil, false
	}
	if !n.IsObject() {
		l.unenforced(n.Pos(), `"content" is `+article(n.Kind())+", not an object", "")
		return nil, true
	}
	for key, at := range n.Members() {
		if strings.HasPrefix(key, "x-") {
			continue
		}
		names := strings.Split(key, ",")
		if len(names) > 1 {
			l.warn(at.KeyPos(), fmt.Sprintf("%s is read as %d media types", quote(key), len(names)), "give each its own entry")
		}
		for _, name := range names {
			m, ok := l.media(name, at, what)
			if !ok {
				bad = true
				continue
			}
			if slices.ContainsFunc(out, func(o *contract.Media) bool { return o.Type == m.Type && o.Params == m.Params }) {
				l.unenforced(at.KeyPos(), fmt.Sprintf("media type %s is there already", quote(key)), "")
				continue
			}
			out = append(out, m)
		}
	}
	// The plain type is what a body without parameters means.
	slices.SortStableFunc(out, func(a, b *contract.Media) int { return min(1, len(a.Params)) - min(1, len(b.Params)) })
	return out, bad
}

// mediaKey reads a media type or range (RFC 9110, section 8.3.1).
func mediaKey(s string) (typ, params string, ok bool) {
	typ, rest, _ := strings.Cut(s, ";")
	typ = strings.ToLower(strings.TrimSpace(typ))
	main, sub, slash := strings.Cut(typ, "/")
	if !slash || !isToken(main) || !isToken(sub) || main == "*" && sub != "*" {
		return "", "", false
	}
	var kept []string
	for p := range strings.SplitSeq(rest, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if name = strings.ToLower(strings.TrimSpace(name)); name != "" && name != "charset" {
			kept = append(kept, name+"="+strings.Trim(strings.TrimSpace(value), `"`))
		}
	}
	return typ, strings.Join(kept, ";"), true
}

// media compiles one Media Type Object.
func (l *loader) media(key string, at document.Node, what string) (*contract.Media, bool) {
	typ, params, ok := mediaKey(key)
	if !ok {
		l.unenforced(at.KeyPos(), fmt.Sprintf("%s is not a media type", quote(key)), `it is written like "application/json"`)
		return nil, false
	}
	m := &contract.Media{Type: typ, Params: params, Pos: at.KeyPos()}
	if at.IsNull() {
		return m, true // "application/json:" without more, in YAML
	}
	n, t := l.resolve(at, mediaType)
	if t != nil {
		l.unenforced(t.pos, t.msg, t.hint)
		return m, true
	}
	m.Schema = l.schema(n.Get("schema"))
	if items := n.Get("itemSchema"); items.Valid() {
		if l.v >= v32 {
			m.Items = l.schema(items)
		} else {
			l.unenforced(items.KeyPos(), `"itemSchema" is not applied`, "it exists from OpenAPI 3.2 on")
		}
	}
	form := typ == formType || strings.HasPrefix(typ, "multipart/")
	if e := n.Get("encoding"); e.Len() > 0 {
		if form {
			l.encodings(m, e)
		} else {
			l.unenforced(e.KeyPos(), fmt.Sprintf(`"encoding" has no meaning for %s`, typ), "")
		}
	}
	for _, key := range [...]string{"prefixEncoding", "itemEncoding"} {
		if e := n.Get(key); e.Valid() {
			l.unenforced(e.KeyPos(), fmt.Sprintf("%q is not applied", key), "")
		}
	}
	l.applied(m, n, what, form)
	return m, true
}

// applied says which schemas run time does not apply to a body of this type.
func (l *loader) applied(m *contract.Media, n document.Node, what string, form bool) {
	if m.Items.Valid() && !isSequence(m.Type) && !isJSON(m.Type) && !strings.Contains(m.Type, "*") {
		l.unenforced(n.Get("itemSchema").KeyPos(), fmt.Sprintf("the itemSchema of %s is not applied: it is not a sequence of JSON values", m.Type), "")
	}
	if !m.Schema.Valid() || form || isJSON(m.Type) && !isSequence(m.Type) || strings.Contains(m.Type, "*") {
		return
	}
	pos := n.Get("schema").KeyPos()
	switch {
	case strings.HasPrefix(what, parameter), strings.HasPrefix(what, header):
	case l.anyText(m.Schema):
	case isXML(m.Type):
		l.unenforced(pos, fmt.Sprintf("the schema of %s is not applied: XML is not read", m.Type), "")
	case isSequence(m.Type):
		l.unenforced(pos, fmt.Sprintf("the schema of %s is not applied to the whole sequence", m.Type), "describe each item by itemSchema (OpenAPI 3.2)")
	case strings.HasPrefix(m.Type, "text/") && l.isText(m.Schema):
	default:
		l.unenforced(pos, fmt.Sprintf("the schema of %s is not applied: bodies of this type are not read", m.Type), "")
	}
}

// isText reports whether a schema asks for a string.
func (l *loader) isText(schema document.Node) bool {
	n, t := l.resolve(schema, "schema")
	typ := n.Get("type")
	return t == nil && (typ.Str() == "string" || typ.Len() == 1 && typ.At("/0").Str() == "string")
}

// anyText reports whether a schema admits every string, and so asks nothing
// of bytes that are not read.
func (l *loader) anyText(schema document.Node) bool {
	if schema.IsBool() {
		return schema.Bool()
	}
	n, t := l.resolve(schema, "schema")
	if t != nil {
		return false
	}
	for key, v := range n.Members() {
		switch key {
		case "type":
			if !l.isText(n) {
				return false
			}
		case "format":
			if v.Str() != "binary" && v.Str() != "byte" && v.Str() != "" {
				return false
			}
		case "description", "title", "example", "examples", "default", "contentMediaType", "contentEncoding", "nullable", "deprecated", "externalDocs", "xml":
		default:
			if !strings.HasPrefix(key, "x-") {
				return false
			}
		}
	}
	return true
}

// encodings compiles the Encoding Objects of a form or multipart body.
func (l *loader) encodings(m *contract.Media, n document.Node) {
	m.Encoding = make(map[string]*contract.Encoding)
	multipart := m.Type != formType
	for name, e := range n.Members() {
		if !e.IsObject() {
			l.unenforced(e.Pos(), fmt.Sprintf("the encoding of %s is %s, not an object", quote(name), article(e.Kind())), "")
			continue
		}
		enc := &contract.Encoding{ContentType: strings.ToLower(e.Get("contentType").Str()), Pos: e.KeyPos()}
		if !multipart {
			enc.Style = "form"
		}
		if s := e.Get("style"); s.Valid() {
			if slices.Contains(styles["query"], s.Str()) {
				enc.Style = s.Text()
			} else {
				l.unenforced(s.Pos(), fmt.Sprintf("encoding of %s: there is no style %s", quote(name), quote(s.Text())), "")
			}
		} else if multipart && (e.Has("explode") || e.Has("allowReserved")) {
			enc.Style = "form"
		}
		enc.Explode = enc.Style == "form"
		if e.Has("explode") {
			enc.Explode = l.flag(e, "explode")
		}
		enc.AllowReserved = l.flag(e, "allowReserved")
		for h, v := range e.Get("headers").Members() {
			if !multipart {
				l.unenforced(v.KeyPos(), fmt.Sprintf("header %s of a form field has no meaning", quote(h)), "")
				continue
			}
			if p := l.header(h, v); p != nil {
				enc.Headers = append(enc.Headers, p)
			}
		}
		for _, key := range [...]string{"encoding", "prefixEncoding", "itemEncoding"} {
			if v := e.Get(key); v.Valid() {
				l.unenforced(v.KeyPos(), fmt.Sprintf("%q inside an encoding is not applied", key), "")
			}
		}
		m.Encoding[name] = enc
	}
}
