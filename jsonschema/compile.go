package jsonschema

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/sallyport/sallyport/document"
)

// Compile compiles one schema. Problems that leave something unenforced,
// except annotations such as unknown formats, are errors here.
func Compile(schema []byte, opts Options) (*Schema, error) {
	name := opts.BaseURI
	if name == "" {
		name = "schema.json"
	}
	d, err := document.ParseJSON(name, schema)
	if err != nil {
		return nil, err
	}
	c := NewCompiler(opts)
	c.Add(opts.BaseURI, d)
	s, _ := c.Compile(d.Root(), opts.Direction)
	if len(c.fatal) > 0 {
		errs := make([]error, len(c.fatal))
		for i, p := range c.fatal {
			errs[i] = p
		}
		return nil, errors.Join(errs...)
	}
	return s, nil
}

// A Compiler compiles many schemas over documents that are parsed already.
// Each part of a document is compiled once for each direction, when a schema
// first leads to it. A Compiler is used by one goroutine at a time; what it
// compiled may be in use meanwhile.
type Compiler struct {
	opts      Options
	eng       *engine
	resources map[string]*resource        // by absolute URI, without fragment
	roots     map[document.Node]*resource // schemas that are resources of their own
	missing   map[string]bool             // URIs that could not be loaded
	nodes     map[nodeKey]*node
	scopes    map[string]*scope
	fresh     []*node // compiled, not linked yet
	problems  []Problem
	fatal     []Problem
	told      map[toldKey]bool
	patterns  map[string]*pattern
	classes   map[string]int
	formats   map[string]bool // unknown ones that were told
	anything  *node
}

type toldKey struct {
	n   document.Node
	msg string
}

type nodeKey struct {
	n     document.Node
	dir   Direction
	scope *scope
}

// NewCompiler returns a compiler without documents.
func NewCompiler(opts Options) *Compiler {
	c := &Compiler{
		opts:      opts,
		resources: map[string]*resource{},
		roots:     map[document.Node]*resource{},
		missing:   map[string]bool{},
		nodes:     map[nodeKey]*node{},
		scopes:    map[string]*scope{},
		told:      map[toldKey]bool{},
		patterns:  map[string]*pattern{},
		classes:   map[string]int{},
		formats:   map[string]bool{},
	}
	c.eng = &engine{limits: opts.Limits.withDefaults(), draft4: opts.Dialect == Draft4, strict: opts.StrictNumbers}
	for i, name := range opts.Classes {
		if i < 64 {
			c.classes[name] = i
		}
	}
	c.anything = &node{types: AnyType, flags: flagTypesOnly}
	return c
}

// Compile compiles the schema at n, which may be anywhere in a document that
// was added. An invalid node is the schema that admits everything. What
// cannot be enforced comes as Problems in the order of their places, each once
// per Compiler.
func (c *Compiler) Compile(n document.Node, dir Direction) (*Schema, []Problem) {
	c.problems = nil
	root := c.anything
	if n.Valid() {
		res := c.resourceOf(n)
		root = c.compile(n, res, dir, nil)
		root = c.link(root)
	}
	slices.SortStableFunc(c.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Pos.File, b.Pos.File), cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Col, b.Pos.Col))
	})
	return &Schema{root: root, eng: c.eng}, c.problems
}

// tell records a problem with the keyword key of n ("" for n itself).
func (c *Compiler) tell(n document.Node, key string, fatal bool, hint, format string, args ...any) {
	at := n
	if key != "" {
		at = n.Get(key)
	}
	p := Problem{Msg: fmt.Sprintf(format, args...), Hint: hint, Unenforced: true}
	k := toldKey{at, p.Msg}
	if c.told[k] {
		return
	}
	c.told[k] = true
	p.Pos = at.Pos()
	c.problems = append(c.problems, p)
	if fatal {
		c.fatal = append(c.fatal, p)
	}
}

func (c *Compiler) old() bool { return c.opts.Dialect == OpenAPI30 || c.opts.Dialect == Draft4 }

// A building is one schema while it is compiled.
type building struct {
	*Compiler
	n     document.Node
	res   *resource
	dir   Direction
	scope *scope
	nd    *node
}

// sub compiles a schema below the current one.
func (b *building) sub(n document.Node) *node { return b.compile(n, b.res, b.dir, b.scope) }

func (c *Compiler) compile(n document.Node, res *resource, dir Direction, sc *scope) *node {
	if r, ok := c.roots[n]; ok {
		res = r
	}
	sc = c.enter(sc, res)
	key := nodeKey{n, dir, sc}
	if nd, ok := c.nodes[key]; ok {
		return nd
	}
	c.eng.maxNode++
	nd := &node{types: AnyType, id: c.eng.maxNode, src: n}
	c.nodes[key] = nd
	c.fresh = append(c.fresh, nd)
	switch n.Kind() {
	case document.Bool:
		if !n.Bool() {
			nd.types = 0
		}
	case document.Object:
		b := building{c, n, res, dir, sc, nd}
		b.build()
	default:
		c.tell(n, "", true, "a schema is an object, true or false", "this is a %s, not a schema", n.Kind())
	}
	return nd
}

func (b *building) build() {
	b.class()
	nd := b.nd
	nd.flags |= b.access()
	if b.old() {
		if ref := b.n.Get("$ref"); ref.IsString() {
			// All else beside $ref is ignored.
			if target := b.ref(ref, "$ref"); target != nil {
				if nd.classes == 0 {
					nd.ref = target
				} else {
					b.apply().all = append(nd.app.all, target)
				}
			}
			return
		}
	}
	if !b.res.novalidation {
		b.typ()
		b.enums()
		b.numbers()
		b.strings()
	} else if f := b.format(); f != nil && f.text != nil {
		nd.str = &stringPlan{maxLen: -1, format: f}
	}
	b.object()
	b.array()
	b.references()
	b.combinators()
}

func (b *building) apply() *applicators {
	if b.nd.app == nil {
		b.nd.app = &applicators{}
	}
	return b.nd.app
}

// access reads readOnly and writeOnly, as far as they say something in this
// direction.
func (b *building) access() (f nodeFlags) {
	if b.dir == Request && b.n.Get("readOnly").Bool() {
		f |= flagReadOnly
	}
	if b.dir == Response && b.n.Get("writeOnly").Bool() {
		f |= flagWriteOnly
	}
	return f
}

func (b *building) class() {
	if b.opts.ClassKeyword == "" {
		return
	}
	v := b.n.Get(b.opts.ClassKeyword)
	one := func(s document.Node) {
		if i, ok := b.classes[s.Str()]; ok {
			b.nd.classes |= 1 << i
			return
		}
		b.tell(s, "", false, "name one of the classes that are configured", "%q is not a data class that is known", s.Text())
	}
	switch v.Kind() {
	case document.String:
		one(v)
	case document.Array:
		for _, s := range v.Elements() {
			one(s)
		}
	case document.Invalid:
	default:
		b.tell(v, "", false, "write the name of a data class, or a list of names", "%s must not be a %s", b.opts.ClassKeyword, v.Kind())
	}
}

// wrong tells that a keyword has a value of a kind it must not have.
func (b *building) wrong(key, want string) {
	b.tell(b.n, key, true, "", "%s must be %s, not %s; it is not enforced", key, want, article(b.n.Get(key).Kind()))
}

func article(k document.Kind) string {
	switch k {
	case document.Array, document.Object:
		return "an " + k.String()
	case document.Null:
		return "null"
	}
	return "a " + k.String()
}

func (b *building) typ() {
	v := b.n.Get("type")
	var t Types
	one := func(s document.Node) {
		switch s.Str() {
		case "null":
			t |= Null
		case "boolean":
			t |= Boolean
		case "integer":
			t |= Integer
		case "number":
			t |= Integer | Number
		case "string":
			t |= String
		case "array":
			t |= Array
		case "object":
			t |= Object
		default:
			b.tell(s, "", true, "the types are null, boolean, integer, number, string, array and object", "%q is not a type; it is not enforced", s.Text())
			t |= AnyType
		}
	}
	switch v.Kind() {
	case document.Invalid:
		t = AnyType
	case document.String:
		one(v)
	case document.Array:
		for _, s := range v.Elements() {
			one(s)
		}
		if t == 0 {
			b.wrong("type", "a name or a list of names")
			t = AnyType
		}
	default:
		b.wrong("type", "a name or a list of names")
		t = AnyType
	}
	if b.opts.Dialect == OpenAPI30 && b.n.Get("nullable").Bool() {
		if v.Valid() {
			t |= Null
		} else {
			// OpenAPI 3.0.3 gives nullable no meaning without a type, and the
			// authors of contracts another one.
			b.nd.flags |= flagNullOK
		}
	}
	b.nd.types = t
}

func (b *building) enums() {
	build := func(k keyword, values func(yield func(document.Node))) *enumPlan {
		e := &enumPlan{keyword: k}
		values(func(v document.Node) {
			switch v.Kind() {
			case document.Null:
				e.null = true
			case document.Bool:
				if v.Bool() {
					e.yes = true
				} else {
					e.no = true
				}
			case document.String:
				s := v.Text()
				e.strings = append(e.strings, s)
				e.hashes = append(e.hashes, hashBytes([]byte(s)))
			default:
				if v.Kind() == document.Number {
					if i, ok := plainNumber(v.Text()); ok {
						e.ints = append(e.ints, i)
					}
				}
				e.others = append(e.others, newSample(v.JSON(nil)))
			}
		})
		if len(e.strings) > 8 {
			e.index = buildIndex(len(e.strings), func(i int) uint32 { return e.hashes[i] })
		}
		return e
	}
	if v := b.n.Get("enum"); v.IsArray() {
		b.nd.enum = build(kwEnum, func(yield func(document.Node)) {
			for _, e := range v.Elements() {
				yield(e)
			}
		})
	} else if v.Valid() {
		b.wrong("enum", "a list of values")
	}
	if b.old() {
		return
	}
	if v := b.n.Get("const"); v.Valid() {
		e := build(kwConst, func(yield func(document.Node)) { yield(v) })
		if b.nd.enum != nil {
			b.nd.enum.also = e
		} else {
			b.nd.enum = e
		}
	}
}

// newSample parses a value of a schema, which is valid JSON by construction.
func newSample(doc []byte) sample {
	var p parser
	lim := Limits{}.withDefaults()
	lim.Depth, lim.Number = maxDepth, len(doc)
	if !p.parse(doc, &lim) {
		return sample{} // equal to nothing
	}
	return sample{doc, p.tape}
}

// plainNumber returns the value of a whole number with at most 18 digits.
func plainNumber(s string) (int64, bool) {
	d := parseDecimal([]byte(s))
	if d.digits() == 0 {
		return 0, true
	}
	if d.exp < d.digits() || d.exp > 18 {
		return 0, false
	}
	var v int64
	for i := range int(d.digits()) {
		v = v*10 + int64(d.at(i)-'0')
	}
	v *= int64(pow10[d.exp-d.digits()])
	if d.neg {
		v = -v
	}
	return v, true
}

func (b *building) numbers() {
	var np numberPlan
	add := func(key string, k keyword, lower, exclusive bool) {
		v := b.n.Get(key)
		bd := bound{keyword: k, lower: lower, exclusive: exclusive}
		bd.i, bd.isInt = plainNumber(v.Text())
		bd.d = parseDecimal([]byte(v.Text()))
		np.bounds = append(np.bounds, bd)
	}
	side := func(inclusive, exclusive string, ki, ke keyword, lower bool) {
		v, x := b.n.Get(inclusive), b.n.Get(exclusive)
		strictly := x.IsBool() && x.Bool()
		if x.IsBool() && !b.old() {
			b.tell(b.n, exclusive, true, "write the bound itself", "%s must be a number in %s", exclusive, b.opts.Dialect)
		}
		switch {
		case v.IsNumber() && strictly:
			add(inclusive, ke, lower, true)
		case v.IsNumber():
			add(inclusive, ki, lower, false)
		case v.Valid():
			b.wrong(inclusive, "a number")
		}
		switch {
		case x.IsNumber() && b.opts.Dialect != Draft4:
			add(exclusive, ke, lower, true)
		case x.Valid() && !x.IsBool():
			b.wrong(exclusive, "a number or boolean")
		}
	}
	side("minimum", "exclusiveMinimum", kwMinimum, kwExclusiveMinimum, true)
	side("maximum", "exclusiveMaximum", kwMaximum, kwExclusiveMaximum, false)
	if v := b.n.Get("multipleOf"); v.IsNumber() {
		if d, ok := newDivisor(v.Text()); ok {
			np.divisors = append(np.divisors, d)
		} else {
			b.tell(b.n, "multipleOf", true, "use a number above 0 with at most 19 digits", "multipleOf cannot be %s; it is not enforced", v.Text())
		}
	} else if v.Valid() {
		b.wrong("multipleOf", "a number")
	}
	if f := b.format(); f != nil && f.number != nil {
		np.format = f
	}
	if len(np.bounds) > 0 || len(np.divisors) > 0 || np.format != nil {
		b.nd.num = &np
	}
}

// size reads a keyword whose value is a count.
func (b *building) size(key string, unset int) int {
	v := b.n.Get(key)
	if !v.Valid() {
		return unset
	}
	i, ok := v.Int()
	if !ok || i < 0 {
		if f, isf := v.Float(); isf && f > 1e15 {
			return 1 << 50
		}
		b.wrong(key, "a whole number from 0 on")
		return unset
	}
	return int(i)
}

func (b *building) format() *format {
	if !b.opts.AssertFormat && !b.res.assertFormat {
		return nil
	}
	if b.n.Has("contentSchema") {
		b.tell(b.n, "contentSchema", false, "", "contentSchema is not enforced: what a string holds is not read")
	}
	v := b.n.Get("format")
	if !v.Valid() {
		return nil
	}
	if !v.IsString() {
		b.wrong("format", "a string")
		return nil
	}
	f, ok := formats[v.Text()]
	if b.old() && v.Text() == "hostname" {
		f = oldHostname
	}
	if !ok {
		if b.formats[v.Text()] {
			return nil // a name is told once, not a place
		}
		b.formats[v.Text()] = true
		b.tell(b.n, "format", false, "use a format that is known, or a pattern", "format %q is not known; it is not enforced", v.Text())
		return nil
	}
	return f
}

func (b *building) strings() {
	sp := stringPlan{minLen: b.size("minLength", 0), maxLen: b.size("maxLength", -1)}
	if v := b.n.Get("pattern"); v.IsString() {
		sp.pattern = b.pattern(v)
	} else if v.Valid() {
		b.wrong("pattern", "a string")
	}
	if f := b.format(); f != nil && f.text != nil {
		sp.format = f
	}
	if sp.minLen > 0 || sp.maxLen >= 0 || sp.pattern != nil || sp.format != nil {
		b.nd.str = &sp
	}
	if b.nd.enum != nil || sp.maxLen >= 0 && sp.maxLen < 5 {
		b.nd.flags |= flagQuiet
	}
	switch b.n.Get("format").Str() {
	case "date-time", "date", "time", "duration", "uuid":
		if sp.format != nil {
			b.nd.flags |= flagQuiet
		}
	}
}

// pattern compiles a pattern once for each text.
func (b *building) pattern(v document.Node) *pattern {
	text := v.Text()
	if p, ok := b.patterns[text]; ok {
		if p == nil {
			_, err := compilePattern(text)
			b.patternProblem(v, err)
		}
		return p
	}
	p, err := compilePattern(text)
	if err != nil {
		b.patternProblem(v, err)
		p = nil
	}
	b.patterns[text] = p
	return p
}

func (b *building) patternProblem(v document.Node, err error) {
	b.tell(v, "", true, "write it without look-around and back references, which take more than linear time", "the pattern cannot be enforced: %v", err)
}

func (b *building) object() {
	o := objectPlan{maxProps: -1}
	used := false
	slots := map[string]uint32{}
	add := func(name string) uint32 {
		if i, ok := slots[name]; ok {
			return i
		}
		i := uint32(len(o.slots))
		o.slots = append(o.slots, newSlot(name))
		slots[name] = i
		return i
	}
	if v := b.n.Get("properties"); v.IsObject() {
		for name, s := range v.Members() {
			i := add(name)
			o.slots[i].child = b.sub(s)
		}
		o.declared = len(o.slots)
		o.judged = o.declared > 0
		used = true
	} else if v.Valid() {
		b.wrong("properties", "an object")
	}
	if v := b.n.Get("patternProperties"); v.IsObject() {
		for text, s := range v.Members() {
			re, ok := b.patterns[text]
			if !ok {
				var err error
				if re, err = compilePattern(text); err != nil {
					b.patternProblem(s, err)
					re = nil
				}
				b.patterns[text] = re
			}
			if re != nil {
				o.patterns = append(o.patterns, patternProperty{re, b.sub(s)})
			} else {
				// Which names it admits is not known: admit them all.
				o.additional = b.anything
			}
			o.judged = true
		}
		used = used || len(o.patterns) > 0 || o.additional != nil
	} else if v.Valid() {
		b.wrong("patternProperties", "an object")
	}
	switch v := b.n.Get("additionalProperties"); v.Kind() {
	case document.Bool:
		if !v.Bool() && o.additional == nil {
			o.closed, o.judged = true, true
		}
		o.additional = b.sub(v)
		used = true
	case document.Object:
		o.additional = b.sub(v)
		used = true
	case document.Invalid:
	default:
		b.wrong("additionalProperties", "a schema")
	}
	if v := b.n.Get("unevaluatedProperties"); v.Valid() && !b.old() {
		o.uneval = b.sub(v)
		used = true
	}
	if v := b.n.Get("propertyNames"); v.Valid() && !b.old() {
		o.names = b.sub(v)
		used = true
	}
	if !b.res.novalidation {
		used = b.counts(&o, add) || used
	}
	used = b.dependencies(&o, add) || used
	if !used {
		return
	}
	o.index = buildIndex(len(o.slots), func(i int) uint32 { return o.slots[i].hash })
	// Names that are compared together should lie together.
	var all strings.Builder
	for i := range o.slots {
		all.WriteString(o.slots[i].name)
	}
	rest := all.String()
	for i := range o.slots {
		n := len(o.slots[i].name)
		o.slots[i].name, rest = rest[:n], rest[n:]
	}
	b.nd.obj = &o
}

// counts reads required, minProperties and maxProperties.
func (b *building) counts(o *objectPlan, add func(string) uint32) (used bool) {
	if v := b.n.Get("required"); v.IsArray() {
		for _, s := range v.Elements() {
			if !s.IsString() {
				b.tell(s, "", true, "list the names of properties", "required holds %s; it is not enforced", article(s.Kind()))
				continue
			}
			if b.exempt(s.Text()) {
				continue
			}
			i := add(s.Text())
			if o.slots[i].req == 0 && len(o.required) < 1<<16-1 {
				o.required = append(o.required, i)
				o.slots[i].req = uint16(len(o.required))
			}
			used = true
		}
	} else if v.IsBool() && b.old() {
		// Draft 3's form, common on the properties of sloppy contracts.
		b.tell(b.n, "required", true, "list the name in required of the object above", "required must be a list of names, not a boolean; it is not enforced")
	} else if v.Valid() {
		b.wrong("required", "a list of names")
	}
	o.minProps, o.maxProps = b.size("minProperties", 0), b.size("maxProperties", -1)
	return used || o.minProps > 0 || o.maxProps >= 0
}

// exempt reports whether a property need not be there in this direction.
func (b *building) exempt(name string) bool {
	key := ""
	switch b.dir {
	case Request:
		key = "readOnly"
	case Response:
		key = "writeOnly"
	default:
		return false
	}
	s := b.n.Get("properties").Get(name)
	return s.Valid() && b.says(s, b.res, key, 0)
}

// says reports whether a schema, or one it is made of, has a keyword that is true.
func (c *Compiler) says(s document.Node, res *resource, key string, depth int) bool {
	if depth > 20 {
		return false
	}
	if r, ok := c.roots[s]; ok {
		res = r
	}
	ref := s.Get("$ref")
	if s.Get(key).Bool() && !(c.old() && ref.IsString()) {
		return true
	}
	if ref.IsString() {
		if t, r, err := c.resolve(ref.Text(), res); err == nil && c.says(t, r, key, depth+1) {
			return true
		}
		if c.old() {
			return false
		}
	}
	for _, e := range s.Get("allOf").Elements() {
		if c.says(e, res, key, depth+1) {
			return true
		}
	}
	return false
}

func (b *building) dependencies(o *objectPlan, add func(string) uint32) (used bool) {
	names := func(v document.Node) (need []uint32) {
		for _, s := range v.Elements() {
			if s.IsString() {
				need = append(need, add(s.Text()))
			}
		}
		return need
	}
	hang := func(d dependency) {
		o.slots[d.slot].flags |= slotTrigger
		o.needs = append(o.needs, d)
		used = true
	}
	if v := b.n.Get("dependentRequired"); v.IsObject() && !b.old() && !b.res.novalidation {
		for name, l := range v.Members() {
			hang(dependency{slot: add(name), need: names(l)})
		}
	}
	if v := b.n.Get("dependentSchemas"); v.IsObject() && !b.old() {
		for name, s := range v.Members() {
			hang(dependency{slot: add(name), schema: b.sub(s)})
		}
	}
	if v := b.n.Get("dependencies"); v.IsObject() {
		for name, s := range v.Members() {
			if s.IsArray() {
				hang(dependency{slot: add(name), need: names(s)})
			} else {
				hang(dependency{slot: add(name), schema: b.sub(s)})
			}
		}
	}
	return used
}

func (b *building) array() {
	a := arrayPlan{maxItems: -1, minContains: 1, maxContains: -1}
	used := false
	items := b.n.Get("items")
	if items.IsArray() {
		// Before 2020-12 this was prefixItems. Schemas that still write it
		// are enforced as they mean it.
		for _, s := range items.Elements() {
			a.prefix = append(a.prefix, b.sub(s))
		}
		if v := b.n.Get("additionalItems"); v.Valid() {
			a.items = b.sub(v)
		}
		used = true
	} else if items.Kind() == document.Object || items.Kind() == document.Bool {
		a.items = b.sub(items)
		used = true
	} else if items.Valid() {
		b.wrong("items", "a schema")
	}
	if v := b.n.Get("prefixItems"); v.IsArray() && !b.old() {
		for _, s := range v.Elements() {
			a.prefix = append(a.prefix, b.sub(s))
		}
		used = true
	}
	if v := b.n.Get("contains"); v.Valid() && !b.old() {
		a.contains = b.sub(v)
		if !b.res.novalidation {
			a.minContains, a.maxContains = b.size("minContains", 1), b.size("maxContains", -1)
		}
		used = true
	}
	if v := b.n.Get("unevaluatedItems"); v.Valid() && !b.old() {
		a.uneval = b.sub(v)
		used = true
	}
	if !b.res.novalidation {
		a.minItems, a.maxItems = b.size("minItems", 0), b.size("maxItems", -1)
		a.unique = b.n.Get("uniqueItems").Bool()
		used = used || a.minItems > 0 || a.maxItems >= 0 || a.unique
	}
	if used {
		b.nd.arr = &a
	}
}

func (b *building) references() {
	for _, key := range []string{"$ref", "$dynamicRef"} {
		v := b.n.Get(key)
		if !v.Valid() {
			continue
		}
		if !v.IsString() {
			b.wrong(key, "a string")
			continue
		}
		if b.old() {
			continue
		}
		target := b.ref(v, key)
		if target == nil {
			continue
		}
		if b.n.Len() == 1 {
			b.nd.ref = target
			return
		}
		b.apply().all = append(b.nd.app.all, target)
	}
}

// ref compiles what a reference leads to, or returns nil.
func (b *building) ref(v document.Node, key string) *node {
	target, res, err := b.resolve(v.Text(), b.res)
	if err != nil {
		b.tell(v, "", true, "", "reference %q leads nowhere: %v", v.Text(), err)
		return nil
	}
	if key == "$dynamicRef" {
		if i := strings.IndexByte(v.Text(), '#'); i >= 0 {
			name := v.Text()[i+1:]
			if res.dynamic[name] == target && target.Valid() {
				if outer, ok := b.scope.get(name); ok {
					target = outer
					res = b.resourceOf(target)
				}
			}
		}
	}
	return b.compile(target, res, b.dir, b.scope)
}

func (b *building) combinators() {
	list := func(key string) (nodes []*node) {
		v := b.n.Get(key)
		if !v.Valid() {
			return nil
		}
		if !v.IsArray() || v.Len() == 0 {
			b.wrong(key, "a list of schemas")
			return nil
		}
		for _, s := range v.Elements() {
			nodes = append(nodes, b.sub(s))
		}
		return nodes
	}
	if l := list("allOf"); l != nil {
		b.apply().all = append(b.nd.app.all, l...)
	}
	if l := list("anyOf"); l != nil {
		b.apply().any = l
	}
	if l := list("oneOf"); l != nil {
		b.apply().one = l
	}
	if v := b.n.Get("not"); v.Valid() {
		b.apply().not = b.sub(v)
	}
	if v := b.n.Get("if"); v.Valid() && !b.old() {
		then, els := b.n.Get("then"), b.n.Get("else")
		a := b.apply()
		a.cond = b.sub(v)
		if then.Valid() {
			a.then = b.sub(then)
		}
		if els.Valid() {
			a.els = b.sub(els)
		}
	}
	if b.opts.Dialect == OpenAPI30 || b.opts.Dialect == OpenAPI31 {
		b.discriminator()
	}
}

// discriminator reads which branch of oneOf or anyOf each value of a property
// chooses. OpenAPI lets the value be a schema's name or a reference.
func (b *building) discriminator() {
	v := b.n.Get("discriminator")
	if !v.IsObject() || b.nd.app == nil {
		return
	}
	name := v.Get("propertyName").Str()
	key, branches := "oneOf", b.nd.app.one
	if branches == nil {
		key, branches = "anyOf", b.nd.app.any
	}
	if name == "" || branches == nil {
		return
	}
	t := &tagPlan{name: name, hash: hashBytes([]byte(name))}
	add := func(value string, nd *node) {
		for _, have := range t.values {
			if have == value {
				return
			}
		}
		t.values = append(t.values, value)
		t.hashes = append(t.hashes, hashBytes([]byte(value)))
		t.nodes = append(t.nodes, nd)
	}
	byRef := map[document.Node]*node{}
	i := 0
	var names []string
	for _, s := range b.n.Get(key).Elements() {
		base := ""
		if ref := s.Get("$ref"); ref.IsString() {
			if target, _, err := b.resolve(ref.Text(), b.res); err == nil {
				byRef[target] = branches[i]
			}
			base = ref.Text()[strings.LastIndexByte(ref.Text(), '/')+1:]
		}
		names = append(names, base)
		i++
	}
	for value, ref := range v.Get("mapping").Members() {
		text := ref.Str()
		if text == "" {
			continue
		}
		try := []string{text}
		if !strings.ContainsAny(text, "#/") {
			try = []string{"#/components/schemas/" + text, text}
		}
		found := false
		for _, r := range try {
			if target, _, err := b.resolve(r, b.res); err == nil {
				if nd, ok := byRef[target]; ok {
					add(value, nd)
					found = true
				}
				break
			}
		}
		if !found {
			b.tell(ref, "", false, "map to a schema that is listed in "+key, "the discriminator maps %q to a schema that is not a branch of %s", value, key)
		}
	}
	for i, base := range names {
		if base != "" {
			add(base, branches[i])
		}
	}
	if len(t.values) > 0 {
		b.nd.app.tag = t
	}
}

// link finishes what was compiled since the last time: references that are
// nothing else are short-circuited, and what is known of a schema through the
// schemas it is made of is gathered.
func (c *Compiler) link(root *node) *node {
	fresh := c.fresh
	c.fresh = nil
	for _, nd := range fresh {
		nd.pointers(func(p **node) { *p = c.follow(*p) })
	}
	// What was linked before may be in use, and is only read.
	state := make(map[*node]int8, len(fresh))
	for _, nd := range fresh {
		state[nd] = stateFresh
	}
	for _, nd := range fresh {
		if nd.ref == nil {
			c.gather(nd, state)
		}
	}
	for _, nd := range fresh {
		if o := nd.obj; o != nil {
			for i := range o.slots {
				s := &o.slots[i]
				if s.child == nil {
					continue
				}
				if s.child.flags&flagTypesOnly != 0 {
					s.only = s.child.types
				}
				if s.child.flags&flagReadOnly != 0 {
					s.flags |= slotReadOnly
				}
				if s.child.flags&flagWriteOnly != 0 {
					s.flags |= slotWriteOnly
				}
				o.directed = o.directed || s.flags&(slotReadOnly|slotWriteOnly) != 0
			}
			o.hot = make([]hot, len(o.slots))
			for i := range o.slots {
				o.hot[i] = o.slots[i].hot()
			}
			o.simple = o.patterns == nil && o.names == nil && o.needs == nil && o.uneval == nil &&
				(o.additional == nil || o.closed || o.additional.flags&flagTypesOnly != 0 && o.additional.types == AnyType)
		}
	}
	return c.follow(root)
}

// follow returns the schema that a chain of plain references ends at.
func (c *Compiler) follow(nd *node) *node {
	if nd == nil || nd.ref == nil {
		return nd
	}
	slow, fast := nd, nd
	for fast.ref != nil {
		fast = fast.ref
		if fast.ref == nil {
			break
		}
		fast, slow = fast.ref, slow.ref
		if fast == slow && fast.ref != nil {
			c.tell(nd.src, "", true, "", "this reference leads back to itself; it admits everything")
			fast = c.anything
		}
	}
	for nd.ref != nil && nd != fast {
		next := nd.ref
		nd.ref = fast
		nd = next
	}
	return fast
}

// pointers calls f for each schema that the node refers to.
func (nd *node) pointers(f func(**node)) {
	if o := nd.obj; o != nil {
		for i := range o.slots {
			f(&o.slots[i].child)
		}
		for i := range o.patterns {
			f(&o.patterns[i].child)
		}
		f(&o.additional)
		f(&o.names)
		f(&o.uneval)
		for i := range o.needs {
			f(&o.needs[i].schema)
		}
	}
	if a := nd.arr; a != nil {
		for i := range a.prefix {
			f(&a.prefix[i])
		}
		f(&a.items)
		f(&a.contains)
		f(&a.uneval)
	}
	nd.inPlace(f)
	if nd.app != nil && nd.app.tag != nil {
		for i := range nd.app.tag.nodes {
			f(&nd.app.tag.nodes[i])
		}
	}
}

// inPlace calls f for each schema that applies to the same value.
func (nd *node) inPlace(f func(**node)) {
	a := nd.app
	if a == nil {
		return
	}
	for _, l := range [][]*node{a.all, a.any, a.one} {
		for i := range l {
			f(&l[i])
		}
	}
	f(&a.not)
	f(&a.cond)
	f(&a.then)
	f(&a.els)
}

// How far a node is linked. Those of earlier compilations are done.
const (
	stateDone = iota
	stateFresh
	stateOpen
)

// gather computes the flags of a node after those of the schemas that apply
// to the same value.
func (c *Compiler) gather(nd *node, state map[*node]int8) {
	if state[nd] != stateFresh {
		return
	}
	state[nd] = stateOpen
	visit := func(p **node) {
		if *p == nil || *p == c.anything {
			return
		}
		if state[*p] == stateOpen {
			c.tell(nd.src, "", true, "", "this schema applies to the same value as itself, without end; it is cut here")
			*p = c.anything
			return
		}
		c.gather(*p, state)
	}
	nd.inPlace(visit)
	if nd.obj != nil {
		for i := range nd.obj.needs {
			visit(&nd.obj.needs[i].schema)
		}
	}
	if a := nd.app; a != nil && a.tag != nil {
		// A branch that was cut is not chosen by its tag either.
		for i := range a.tag.nodes {
			visit(&a.tag.nodes[i])
		}
	}
	nd.gate = nd.types
	if a := nd.app; a != nil {
		union := func(l []*node) (t Types) {
			for _, s := range l {
				t |= s.gate
			}
			return t
		}
		for _, s := range a.all {
			nd.gate &= s.gate
			nd.flags |= s.flags & (flagReadOnly | flagWriteOnly | flagQuiet)
		}
		if a.any != nil {
			nd.gate &= union(a.any)
		}
		if a.one != nil {
			nd.gate &= union(a.one)
		}
		if a.any != nil || a.one != nil || a.not != nil || a.cond != nil {
			nd.flags |= flagHeavy
		}
		for _, s := range a.all {
			nd.flags |= s.flags & flagHeavy
		}
		if nd.obj == nil && nd.arr == nil && len(a.all) == 0 && a.any == nil && a.cond == nil && a.one != nil {
			nd.flags |= flagOne
		}
	}
	if nd.flags&flagNullOK != 0 {
		nd.gate |= Null
	}
	if nd.obj != nil && len(nd.obj.needs) > 0 {
		nd.flags |= flagHeavy
	}
	if nd.obj == nil && nd.arr == nil && nd.str == nil && nd.num == nil && nd.enum == nil && nd.app == nil &&
		nd.classes == 0 && nd.flags&(flagNullOK|flagQuiet) == 0 && nd.types != 0 {
		nd.flags |= flagTypesOnly
	}
	state[nd] = stateDone
}

// Types returns the JSON types that the schema admits, as far as type,
// references, allOf, anyOf and oneOf say it.
func (s *Schema) Types() Types {
	if s == nil || s.root == nil {
		return AnyType
	}
	return s.root.gate
}

func (s *Schema) at(nd *node) *Schema { return &Schema{root: nd, eng: s.eng} }

// seek looks for the first schema, among those that apply to the value
// whatever it is and then the alternatives, for which f returns a node.
func seek(nd *node, depth int, f func(*node) *node) *node {
	if nd == nil || depth > 50 {
		return nil
	}
	if found := f(nd); found != nil {
		return found
	}
	if a := nd.app; a != nil {
		for _, l := range [][]*node{a.all, a.any, a.one} {
			for _, s := range l {
				if found := seek(s, depth+1, f); found != nil {
					return found
				}
			}
		}
	}
	return nil
}

// Item returns the schema of the elements of an array, or nil where none is
// declared.
func (s *Schema) Item() *Schema {
	if s == nil {
		return nil
	}
	nd := seek(s.root, 0, func(nd *node) *node {
		if nd.arr == nil {
			return nil
		}
		return nd.arr.items
	})
	if nd == nil {
		return nil
	}
	return s.at(nd)
}

// Property returns the schema of a declared property, or nil.
func (s *Schema) Property(name string) *Schema {
	if s == nil {
		return nil
	}
	h := hashBytes([]byte(name))
	nd := seek(s.root, 0, func(nd *node) *node {
		if nd.obj == nil {
			return nil
		}
		if i := nd.obj.find(h, []byte(name)); i >= 0 {
			return nd.obj.slots[i].child
		}
		return nil
	})
	if nd == nil {
		return nil
	}
	return s.at(nd)
}

// Declared lists the names of the declared properties, also those of allOf,
// anyOf and oneOf, sorted.
func (s *Schema) Declared() []string {
	if s == nil {
		return nil
	}
	set := map[string]bool{}
	seek(s.root, 0, func(nd *node) *node {
		if nd.obj != nil {
			for i := range nd.obj.slots[:nd.obj.declared] {
				set[nd.obj.slots[i].name] = true
			}
		}
		return nil
	})
	names := make([]string, 0, len(set))
	for name := range set {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}
