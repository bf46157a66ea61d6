package jsonschema

import (
	"embed"
	"errors"
	"fmt"
	"net/url"
	"path"
	"sort"
	"strings"

	"github.com/sallyport/sallyport/document"
)

// metaschemas are the schemas of schemas, as json-schema.org publishes them.
//
//go:embed metaschemas
var metaschemas embed.FS

// A resource is a schema with a URI of its own: a document, or a schema in it
// with $id.
type resource struct {
	uri     string
	root    document.Node
	anchors map[string]document.Node
	dynamic map[string]document.Node
	// novalidation: its metaschema leaves the vocabulary of validation out.
	novalidation bool
	// assertFormat: its metaschema has the vocabulary that makes format a check.
	assertFormat bool
}

// A scope says which schema each dynamic anchor means on the way here: the
// outermost one. Plans are compiled once per scope, so that nothing of this
// is left for run time. Nil is the empty scope.
type scope struct {
	key     string
	anchors map[string]document.Node
}

func (s *scope) get(name string) (document.Node, bool) {
	if s == nil {
		return document.Node{}, false
	}
	n, ok := s.anchors[name]
	return n, ok
}

// enter returns the scope within a resource.
func (c *Compiler) enter(s *scope, r *resource) *scope {
	if r == nil || len(r.dynamic) == 0 {
		return s
	}
	more := false
	for name := range r.dynamic {
		if _, ok := s.get(name); !ok {
			more = true
		}
	}
	if !more {
		return s
	}
	anchors := map[string]document.Node{}
	if s != nil {
		for name, n := range s.anchors {
			anchors[name] = n
		}
	}
	for name, n := range r.dynamic {
		if _, ok := anchors[name]; !ok {
			anchors[name] = n
		}
	}
	names := make([]string, 0, len(anchors))
	for name := range anchors {
		names = append(names, name)
	}
	sort.Strings(names)
	var key strings.Builder
	for _, name := range names {
		n := anchors[name]
		fmt.Fprintf(&key, "%q %p %s\n", name, n.Document(), n.Pointer())
	}
	if have, ok := c.scopes[key.String()]; ok {
		return have
	}
	s = &scope{key.String(), anchors}
	c.scopes[s.key] = s
	return s
}

// Add makes a document known under the URI that references resolve to. The
// first document of a URI stays.
func (c *Compiler) Add(uri string, d *document.Document) { c.add(uri, d) }

func (c *Compiler) add(uri string, d *document.Document) *resource {
	uri, _, _ = strings.Cut(uri, "#")
	if r, ok := c.resources[uri]; ok {
		return r
	}
	root := d.Root()
	r, ok := c.roots[root]
	if !ok {
		r = &resource{uri: uri, root: root}
		c.roots[root] = r
	}
	c.resources[uri] = r
	switch c.opts.Dialect {
	case OpenAPI30:
	case OpenAPI31:
		c.scanAll(root, r)
	default:
		c.scan(root, r)
	}
	return r
}

// identify reads the identifiers of one schema, and returns the resource that
// the schema is or belongs to.
func (c *Compiler) identify(n document.Node, r *resource) *resource {
	idKey := "$id"
	if c.opts.Dialect == Draft4 {
		idKey = "id"
		if n.Get("$ref").IsString() {
			return r
		}
	}
	if id := n.Get(idKey); id.IsString() {
		uri, frag, _ := strings.Cut(join(r.uri, id.Text()), "#")
		if frag != "" && c.opts.Dialect == Draft4 && strings.HasPrefix(id.Text(), "#") {
			r.anchor(frag, n)
		} else if n == r.root {
			r.uri = uri
			if _, ok := c.resources[uri]; !ok {
				c.resources[uri] = r
			}
		} else {
			r = &resource{uri: uri, root: n, novalidation: r.novalidation, assertFormat: r.assertFormat}
			c.roots[n] = r
			if _, ok := c.resources[uri]; !ok {
				c.resources[uri] = r
			}
		}
	}
	if c.opts.Dialect == Draft4 {
		return r
	}
	if s := n.Get("$schema"); s.IsString() && n == r.root {
		c.vocabulary(r, s.Text())
	}
	if a := n.Get("$anchor"); a.IsString() {
		r.anchor(a.Text(), n)
	}
	if a := n.Get("$dynamicAnchor"); a.IsString() {
		r.anchor(a.Text(), n)
		if r.dynamic == nil {
			r.dynamic = map[string]document.Node{}
		}
		if _, ok := r.dynamic[a.Text()]; !ok {
			r.dynamic[a.Text()] = n
		}
	}
	return r
}

func (r *resource) anchor(name string, n document.Node) {
	if r.anchors == nil {
		r.anchors = map[string]document.Node{}
	}
	if _, ok := r.anchors[name]; !ok {
		r.anchors[name] = n
	}
}

// vocabulary reads which vocabularies a resource's metaschema has.
func (c *Compiler) vocabulary(r *resource, uri string) {
	if strings.HasPrefix(uri, "https://json-schema.org/") || strings.HasPrefix(uri, "http://json-schema.org/") || c.opts.Load == nil {
		return
	}
	meta := c.fetch(strings.TrimSuffix(uri, "#"))
	if meta == nil {
		return
	}
	v := meta.root.Get("$vocabulary")
	if !v.IsObject() {
		return
	}
	r.novalidation = !v.Has("https://json-schema.org/draft/2020-12/vocab/validation")
	r.assertFormat = v.Has("https://json-schema.org/draft/2020-12/vocab/format-assertion")
}

// scan looks for identifiers where schemas have schemas.
func (c *Compiler) scan(n document.Node, r *resource) {
	if !n.IsObject() {
		return
	}
	r = c.identify(n, r)
	for key, v := range n.Members() {
		switch key {
		case "properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies":
			for _, s := range v.Members() {
				c.scan(s, r)
			}
		case "allOf", "anyOf", "oneOf", "prefixItems":
			for _, s := range v.Elements() {
				c.scan(s, r)
			}
		case "items":
			for _, s := range v.Elements() {
				c.scan(s, r)
			}
			c.scan(v, r)
		case "additionalProperties", "additionalItems", "unevaluatedProperties", "unevaluatedItems", "contains",
			"propertyNames", "not", "if", "then", "else", "contentSchema":
			c.scan(v, r)
		}
	}
}

// scanAll looks for identifiers everywhere but in values.
func (c *Compiler) scanAll(n document.Node, r *resource) {
	switch n.Kind() {
	case document.Array:
		for _, s := range n.Elements() {
			c.scanAll(s, r)
		}
	case document.Object:
		if n.Get("$id").IsString() || n.Get("$anchor").IsString() || n.Get("$dynamicAnchor").IsString() {
			r = c.identify(n, r)
		}
		for key, v := range n.Members() {
			switch key {
			case "enum", "const", "default", "example", "examples":
				continue
			}
			c.scanAll(v, r)
		}
	}
}

// resourceOf returns the resource that a schema belongs to.
func (c *Compiler) resourceOf(n document.Node) *resource {
	for at := n; at.Valid(); at = at.Parent() {
		if r, ok := c.roots[at]; ok {
			return r
		}
	}
	// The document was not added: references within it still work.
	root := n.Document().Root()
	r := &resource{uri: n.Document().Name(), root: root}
	c.roots[root] = r
	if _, ok := c.resources[r.uri]; !ok {
		c.resources[r.uri] = r
	}
	return r
}

// join resolves a reference against a base, also where the base is a file name.
func join(base, ref string) string {
	if base == "" {
		return ref
	}
	if strings.HasPrefix(ref, "#") {
		b, _, _ := strings.Cut(base, "#")
		return b + ref
	}
	u, err := url.Parse(ref)
	if err != nil {
		return ref
	}
	b, err := url.Parse(base)
	if err != nil {
		return ref
	}
	if b.Scheme == "" && b.Host == "" && !strings.HasPrefix(b.Path, "/") && u.Scheme == "" && u.Host == "" && !strings.HasPrefix(u.Path, "/") {
		p, frag, has := strings.Cut(ref, "#")
		if p = path.Join(path.Dir(base), p); has {
			p += "#" + frag
		}
		return p
	}
	return b.ResolveReference(u).String()
}

// fetch returns the resource at a URI, loading it if need be, or nil.
func (c *Compiler) fetch(uri string) *resource {
	if r, ok := c.resources[uri]; ok {
		return r
	}
	if c.missing[uri] {
		return nil
	}
	var src []byte
	var err error
	rest, ok := strings.CutPrefix(uri, "https://json-schema.org/")
	if !ok {
		rest, ok = strings.CutPrefix(uri, "http://json-schema.org/")
	}
	if ok {
		src, err = metaschemas.ReadFile("metaschemas/" + rest)
	}
	if !ok || err != nil {
		if c.opts.Load == nil {
			c.missing[uri] = true
			return nil
		}
		src, err = c.opts.Load(uri)
	}
	var d *document.Document
	if err == nil {
		d, err = document.Parse(uri, src)
	}
	if err != nil {
		c.missing[uri] = true
		return nil
	}
	return c.add(uri, d)
}

var (
	errNoDocument = errors.New("there is no such document")
	errNoPlace    = errors.New("there is no such place in the document")
	errNoAnchor   = errors.New("there is no such anchor")
)

// resolve returns what a reference in a resource leads to.
func (c *Compiler) resolve(ref string, r *resource) (document.Node, *resource, error) {
	uri, frag, _ := strings.Cut(join(r.uri, ref), "#")
	target := r
	if !strings.HasPrefix(ref, "#") && uri != r.uri {
		if target = c.fetch(uri); target == nil {
			return document.Node{}, nil, errNoDocument
		}
	}
	if frag == "" {
		return target.root, target, nil
	}
	if strings.Contains(frag, "%") {
		f, err := url.PathUnescape(frag)
		if err != nil {
			return document.Node{}, nil, err
		}
		frag = f
	}
	if frag[0] != '/' {
		n, ok := target.anchors[frag]
		if !ok {
			return document.Node{}, nil, errNoAnchor
		}
		return n, c.resourceOf(n), nil
	}
	n := target.root.At(frag)
	if !n.Valid() {
		return document.Node{}, nil, errNoPlace
	}
	return n, c.resourceOf(n), nil
}
