package plan

import (
	"strings"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/document"
	"github.com/sallyport/sallyport/jsonschema"
)

type documentNode = document.Node

// parameters compiles the declared parameters. Path parameters come in the
// order of the template, each with a compiled one even where none is declared.
func (c *compiler) parameters(op *Operation, o *contract.Operation, names []string) {
	byName := map[string]*Param{}
	for _, p := range o.Parameters {
		cp := c.parameter(p, jsonschema.Request)
		switch p.In {
		case "path":
			byName[p.Name] = cp
		case "query":
			op.Query = append(op.Query, cp)
		case "querystring":
			op.AnyQuery = true
			c.unenforced(p.Pos, "", "the schema of querystring parameter %s is not applied", p.Name)
		case "header":
			switch cp.Lower {
			case "accept", "content-type", "authorization":
				continue // OpenAPI: such a definition is ignored
			}
			op.Headers = append(op.Headers, cp)
		case "cookie":
			op.Cookies = append(op.Cookies, cp)
		}
	}
	for _, n := range names {
		p := byName[n]
		if p == nil {
			p = &Param{Name: n, Required: true, Shape: Scalar, Types: jsonschema.String, Entry: where(o.Pos)}
		}
		op.Path = append(op.Path, p)
	}
}

// parameter compiles one parameter.
func (c *compiler) parameter(p *contract.Parameter, dir jsonschema.Direction) *Param {
	cp := &Param{Name: p.Name, Lower: strings.ToLower(p.Name), Required: p.Required, AllowEmpty: p.AllowEmpty,
		Explode: p.Explode, Types: jsonschema.String, Entry: where(p.Pos)}
	switch {
	case p.Content != nil:
		cp.Shape = Text
		if kindOf(p.Content.Type) == MediaJSON {
			cp.Shape = JSON
			if p.Content.Schema.Valid() {
				cp.Schema = c.schema(p.Content.Schema, dir)
			}
		} else if p.Content.Schema.Valid() {
			c.unenforced(p.Content.Pos, "", "parameter %s is written as %s, which cannot be read", p.Name, p.Content.Type)
		}
		return cp
	case !p.Schema.Valid():
		return cp
	}
	var known bool
	if cp.Style, known = styles[p.Style]; !known {
		c.unenforced(p.Pos, "", "style %q of parameter %s is not known, so its value is not checked", p.Style, p.Name)
		cp.Shape = Text
		return cp
	}
	cp.Schema = c.schema(p.Schema, dir)
	c.shape(cp, cp.Schema, p.Schema.Pos())
	if more := p.Schema.Get("additionalProperties"); cp.Shape == Map && more.Valid() {
		s, _ := c.engine.Compile(more, dir) // its problems were told with the whole
		if t := s.Types() & cp.Types; t != 0 {
			cp.Types = t
		}
	}
	return cp
}

var styles = map[string]Style{
	"": Form, "simple": Simple, "form": Form, "label": Label, "matrix": Matrix, "spaceDelimited": SpaceDelimited,
	"pipeDelimited": PipeDelimited, "deepObject": DeepObject, "tabDelimited": TabDelimited,
	"cookie": Form, // OpenAPI 3.2
}

// shape works out how a value is read: what the schema admits decides, since
// a serialised value does not say its type.
func (c *compiler) shape(cp *Param, s *jsonschema.Schema, pos contract.Pos) {
	t := s.Types()
	const scalar = jsonschema.String | jsonschema.Integer | jsonschema.Number | jsonschema.Boolean | jsonschema.Null
	switch {
	case t == jsonschema.AnyType && s.Item() == nil && len(s.Declared()) == 0:
		cp.Shape, cp.Types = Scalar, scalar
		if cp.Style == DeepObject {
			cp.Shape = Map
		}
	case t&jsonschema.Array != 0 && t&(jsonschema.Object|scalar&^jsonschema.Null) == 0 || t == jsonschema.AnyType && s.Item() != nil,
		t&jsonschema.Array != 0 && cp.Style != Simple && cp.Explode && t&jsonschema.Object == 0:
		cp.Shape, cp.Types = List, scalar
		if item := s.Item(); item != nil {
			cp.Types = item.Types()
			if cp.Types&scalar == 0 {
				c.unenforced(pos, "", "parameter %s is an array of %s, which no style can write", cp.Name, cp.Types)
				cp.Schema, cp.Shape = nil, Text
			}
		}
		if t&scalar&^jsonschema.Null != 0 {
			cp.Single = t & scalar
		}
	case t&jsonschema.Object != 0 && t&scalar&^jsonschema.Null == 0:
		cp.Shape, cp.Types = Map, scalar
		cp.Props = map[string]jsonschema.Types{}
		for _, n := range s.Declared() {
			pt := s.Property(n).Types()
			cp.Props[n] = pt
			if pt&scalar == 0 {
				if pt&jsonschema.Array != 0 {
					cp.Props[n] = pt
					continue
				}
				c.unenforced(pos, "", "property %s of parameter %s is %s, which no style can write", n, cp.Name, pt)
				cp.Schema, cp.Shape = nil, Text
			}
		}
	default:
		cp.Shape, cp.Types = Scalar, t&scalar
	}
}

// fields compiles how the properties of a form are written.
func (c *compiler) fields(m *contract.Media, s *jsonschema.Schema) map[string]*Param {
	fs := map[string]*Param{}
	for _, n := range s.Declared() {
		p := &Param{Name: n, Style: Form, Explode: true}
		if e := m.Encoding[n]; e != nil {
			p.ContentType = e.ContentType
			if e.Style != "" {
				p.Style, p.Explode = styles[e.Style], e.Explode
			}
		}
		f := m.Schema.Get("properties").Get(n).Get("format").Text()
		p.Bytes = f == "binary" || f == "byte"
		sub := s.Property(n)
		t := sub.Types()
		switch {
		case strings.HasPrefix(p.ContentType, "application/json") || t&(jsonschema.Object) != 0 && t != jsonschema.AnyType:
			p.Shape = JSON
		case t&jsonschema.Array != 0 && t != jsonschema.AnyType:
			p.Shape, p.Types = List, jsonschema.AnyType
			if item := sub.Item(); item != nil {
				p.Types = item.Types()
				if p.Types&^jsonschema.Null == jsonschema.Object {
					p.Shape = JSON
				}
			}
		default:
			p.Shape, p.Types = Scalar, t
		}
		fs[n] = p
	}
	return fs
}
