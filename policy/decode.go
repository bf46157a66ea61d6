package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/document"
)

// MaxEntries bounds a policy.
const MaxEntries = 10_000

// Decode reads a list of entries, as it stands under policy: of a
// configuration file. It reports every fault with its place, and returns what
// it could read; that must not be used where a diagnostic is fatal. A node
// that is not there is an empty policy. Keys that stand twice are the caller's
// to report (document.Document.Duplicates).
func Decode(n document.Node) (*Policy, contract.Diagnostics) {
	d := &decoder{}
	p := &Policy{}
	if !n.Valid() {
		return p, nil
	}
	if !n.IsArray() {
		d.fail(n, `begin each with "- on: [...]"`, "policy: this is %s, not a list of entries", n.Kind().InWords())
		return p, d.ds
	}
	if n.Len() > MaxEntries {
		d.fail(n, "say more with tags", "policy: there are %d entries; %d are the most", n.Len(), MaxEntries)
		return p, d.ds
	}
	for _, v := range n.Elements() {
		e := &Entry{Pos: v.Pos()}
		if !object(d, v, "policy entry", entryFields, e) {
			continue
		}
		if v.Len() == 1 && len(e.On) > 0 {
			d.ds = append(d.ds, contract.Diagnostic{Severity: contract.Warning, Pos: v.Pos(), Msg: "the entry selects operations and sets nothing"})
		}
		p.Entries = append(p.Entries, e)
	}
	return p, d.ds
}

// A Field is one key of an entry, as editors and the manual need it.
type Field struct {
	Name     string
	Type     string // in words; for the manual
	Doc      string
	Required bool
	Schema   string  // JSON Schema of the value; "" where Fields say it
	Fields   []Field // of the object that is the value, or of those it lists
	List     bool    // the value is a list of such objects
}

// Fields returns every key of an entry. Decode reads by the same table.
func Fields() []Field { return fieldsOf(entryFields) }

// A field is one key of an object that is decoded into a T.
type field[T any] struct {
	Field
	set func(d *decoder, t *T, n document.Node)
}

func fieldsOf[T any](fields []field[T]) []Field {
	fs := make([]Field, len(fields))
	for i, f := range fields {
		fs[i] = f.Field
	}
	return fs
}

const (
	modeSchema       = `{"enum":["enforce","observe","off"]}`
	undeclaredSchema = `{"enum":["deny","strip","report"]}`
	boolSchema       = `{"enum":[true,false,"true","false"]}` // strings come from the environment
	pointPattern     = `/([^~]|~[01])*`
	headersSchema    = `{"type":"array","items":{"type":"string","pattern":"^[!#$%&'*+.^_|~0-9A-Za-z` + "`" + `-]+$"}}`
	conditionSchema  = `{"type":"string","minLength":1}`
)

var (
	sizeSchema = `{"anyOf":[{"type":"integer","minimum":1},{"type":"string","pattern":` + strconv.Quote(SizePattern) + `}]}`
	spanSchema = `{"anyOf":[{"const":0},{"type":"string","pattern":` + strconv.Quote(DurationPattern) + `}]}`
)

var entryFields = []field[Entry]{
	{Field{Name: "on", Type: "selector, or list of them", Required: true,
		Doc:    "The operations that the entry is about: `*`, `GET /orders/{id}` (`* /orders/{id}` for every method), `operation:ID` or `tag:NAME`, each narrowed to one API by `api:NAME ` before it. An entry that matches no operation is an error.",
		Schema: `{"anyOf":[{"type":"string","minLength":1},{"type":"array","minItems":1,"items":{"type":"string","minLength":1}}]}`},
		func(d *decoder, e *Entry, n document.Node) {
			for _, v := range d.texts(n, "on") {
				s, err := ParseSelector(v.Text())
				if err != nil {
					d.fail(v, "", "on: %v", err)
				}
				s.Pos = v.Pos()
				e.On = append(e.On, s)
			}
		}},
	{Field{Name: "mode", Type: "`enforce`, `observe` or `off`", Schema: modeSchema,
		Doc: "What the controls of these operations do with what they find: refuse or change it, only record it, or not look."},
		func(d *decoder, e *Entry, n document.Node) { e.Mode = setting[Mode](d, n, "mode", modes) }},
	{Field{Name: "controls", Type: "object of control: mode", Schema: controlsSchema(),
		Doc: "The mode of single controls; it beats `mode` of the same entry. The controls, in the order they run: " + controlList() + "."},
		setControls},
	{Field{Name: "public", Type: "boolean", Schema: boolSchema,
		Doc: "Whether operations that the contract protects with nothing are open: true says that it is on purpose, false refuses them. Where nothing is said they are open, and `check` names each."},
		func(d *decoder, e *Entry, n document.Node) { e.Public = d.flag(n, "public") }},
	{Field{Name: "undeclared", Type: "object", Fields: fieldsOf(undeclaredFields),
		Doc: "What becomes of properties that the contract does not know: refuse the body, remove them, or only record them."},
		func(d *decoder, e *Entry, n document.Node) { object(d, n, "undeclared", undeclaredFields, e) }},
	{Field{Name: "read_only", Type: "`deny`, `strip` or `report`", Schema: undeclaredSchema,
		Doc: "What becomes of `readOnly` properties in requests."},
		func(d *decoder, e *Entry, n document.Node) {
			e.ReadOnly = setting[Undeclared](d, n, "read_only", undeclareds)
		}},
	{Field{Name: "write_only", Type: "`deny`, `strip` or `report`", Schema: undeclaredSchema,
		Doc: "What becomes of `writeOnly` properties in responses."},
		func(d *decoder, e *Entry, n document.Node) {
			e.Write = setting[Undeclared](d, n, "write_only", undeclareds)
		}},
	{Field{Name: "limits", Type: "list of objects", List: true, Fields: fieldsOf(limitFields),
		Doc: "Rate limits. A later entry that names a limit again replaces it."},
		setLimits},
	{Field{Name: "owner", Type: "object", Fields: fieldsOf(ownerFields),
		Doc: "Where the owner of the object stands, and whom it must be."},
		func(d *decoder, e *Entry, n document.Node) {
			o := &Owner{Pos: n.KeyPos()}
			if object(d, n, "owner", ownerFields, o) {
				e.Owner = o
			}
		}},
	{Field{Name: "require", Type: "condition", Schema: conditionSchema,
		Doc: "What must hold for the principal, as a CEL expression. Supported so far: `\"x\" in principal.scopes`, `\"x\" in principal.roles`, and `||` between them."},
		func(d *decoder, e *Entry, n document.Node) { e.Require = d.condition(n, "require") }},
	{Field{Name: "redact", Type: "list of objects", List: true, Fields: fieldsOf(redactFields),
		Doc: "How values of data classes are shown in responses. Classes come from `x-sallyport-class` in the contract and from detectors."},
		setRedact},
	{Field{Name: "responses", Type: "`report` or `strict`", Schema: `{"enum":["report","strict"]}`,
		Doc: "Whether a response that breaks its schema is only recorded, or refused."},
		func(d *decoder, e *Entry, n document.Node) {
			if i, ok := d.enum(n, "responses", []string{"report", "strict"}); ok {
				e.Strict = &Setting[bool]{i == 1, n.KeyPos()}
			}
		}},
	{Field{Name: "unread", Type: "`refuse` or `pass`", Schema: `{"enum":["refuse","pass"]}`,
		Doc: "What becomes of a body that a control should read and cannot: unknown media type or coding, too large, partial."},
		func(d *decoder, e *Entry, n document.Node) {
			e.Unread = setting[Unread](d, n, "unread", []string{"refuse", "pass"})
		}},
	{Field{Name: "body", Type: "object", Fields: fieldsOf(bodyFields),
		Doc: "How much of a body controls read, in bytes after decoding; at most 1GiB."},
		func(d *decoder, e *Entry, n document.Node) {
			e.Body.Pos = n.KeyPos()
			object(d, n, "body", bodyFields, &e.Body)
		}},
	{Field{Name: "path", Type: "list", Schema: `{"anyOf":[` + pathSchema + `,{"type":"array","items":` + pathSchema + `}]}`,
		Doc: "Spellings of paths that are let in beside the plain one: `encoded_slash` (%2F in a segment), `double_encoding` (%25 before two hex digits), `empty_segments` (//), `parameters` (;name=value). An empty list takes an earlier entry back."},
		setPath},
	{Field{Name: "cors", Type: "object", Fields: fieldsOf(corsFields),
		Doc: "Which pages' scripts may call from a browser. Without it no foreign page may."},
		func(d *decoder, e *Entry, n document.Node) {
			c := &CORS{Pos: n.KeyPos()}
			if !object(d, n, "cors", corsFields, c) {
				return
			}
			if c.Credentials && slices.Contains(c.Origins, "*") {
				d.fail(n.Get("credentials"), "list the origins that may", "cors: with credentials the origin cannot be *, because every page could then act for its visitor")
			}
			e.CORS = c
		}},
	{Field{Name: "cache", Type: "`private` or `keep`", Schema: `{"enum":["private","keep"]}`,
		Doc: "Whether answers to a principal are marked `Cache-Control: private`, or leave as the upstream says."},
		func(d *decoder, e *Entry, n document.Node) {
			e.Cache = setting[Cache](d, n, "cache", []string{"private", "keep"})
		}},
	{Field{Name: "errors", Type: "boolean", Schema: boolSchema,
		Doc: "Whether callers are told the places of contract faults in their requests."},
		func(d *decoder, e *Entry, n document.Node) { e.Detail = d.flag(n, "errors") }},
	{Field{Name: "security_headers", Type: "boolean", Schema: boolSchema,
		Doc: "Whether security headers are added to answers."},
		func(d *decoder, e *Entry, n document.Node) { e.Headers = d.flag(n, "security_headers") }},
}

var (
	modes       = []string{"enforce", "observe", "off"}
	undeclareds = []string{"deny", "strip", "report"}
	shows       = []string{"mask", "last4", "hash", "remove", "replace", "all"}
	pathForms   = []string{"encoded_slash", "double_encoding", "empty_segments", "parameters"}
)

const pathSchema = `{"enum":["encoded_slash","double_encoding","empty_segments","parameters"]}`

var undeclaredFields = []field[Entry]{
	{Field{Name: "request", Type: "`deny`, `strip` or `report`", Schema: undeclaredSchema, Doc: "In requests (mass assignment)."},
		func(d *decoder, e *Entry, n document.Node) {
			e.Request = setting[Undeclared](d, n, "undeclared.request", undeclareds)
		}},
	{Field{Name: "response", Type: "`deny`, `strip` or `report`", Schema: undeclaredSchema, Doc: "In responses (data that nobody meant to send)."},
		func(d *decoder, e *Entry, n document.Node) {
			e.Response = setting[Undeclared](d, n, "undeclared.response", undeclareds)
		}},
}

var limitFields = []field[Limit]{
	{Field{Name: "name", Type: "string", Required: true, Schema: `{"type":"string","pattern":"^[A-Za-z0-9_.-]{1,64}$"}`,
		Doc: "Name of the limit, as `RateLimit` headers, events and metrics show it."},
		func(d *decoder, l *Limit, n document.Node) {
			s, ok := d.text(n, "name")
			if ok && !name(s) {
				d.fail(n, "", "name: %q is not a name of 1 to 64 letters, digits, -, _ and .", clip(s))
			}
			l.Name = s
		}},
	{Field{Name: "per", Type: "key, or list of them", Required: true,
		Schema: `{"anyOf":[` + keySchema + `,{"type":"array","minItems":1,"maxItems":8,"items":` + keySchema + `}]}`,
		Doc:    "What is counted by: `address` (IPv6 by /64), `principal`, `principal.tenant`, `principal.client`, `operation`, `header:NAME`, `path:NAME`, `query:NAME`, `request:/POINTER`; of a list, all together."},
		func(d *decoder, l *Limit, n document.Node) {
			vs := d.texts(n, "per")
			if len(vs) > 8 {
				d.fail(n, "", "per: a limit counts by 8 parts at most")
			}
			for _, v := range vs {
				k, err := ParseKey(v.Text())
				if err != nil {
					d.fail(v, "", "per: %v", err)
				} else if slices.Contains(l.Per, k) {
					d.fail(v, "", "per: %q stands here twice", v.Text())
				}
				l.Per = append(l.Per, k)
			}
		}},
	{Field{Name: "rate", Type: "rate", Required: true, Schema: `{"type":"string","pattern":"^[0-9]+ */ *([smhd]|[0-9].*)$"}`,
		Doc: "How many exchanges pass in which time: `10/s`, `600/m`, `1000/d`, `100/15m`."},
		func(d *decoder, l *Limit, n document.Node) {
			if s, ok := d.scalar(n, "rate"); ok {
				var err error
				if l.Count, l.Every, err = ParseRate(s); err != nil {
					d.fail(n, "", "rate: %v", err)
				}
			}
		}},
	{Field{Name: "burst", Type: "integer", Schema: `{"anyOf":[{"type":"integer","minimum":1,"maximum":1000000000},{"type":"string","pattern":"^[0-9]+$"}]}`,
		Doc: "How many may come at once. Without it, as many as the rate lets pass in its time."},
		func(d *decoder, l *Limit, n document.Node) {
			if i, ok := d.integer(n, "burst", 1, MaxRate); ok {
				l.Burst = int(i)
			}
		}},
	{Field{Name: "mode", Type: "`enforce`, `observe` or `off`", Schema: modeSchema, Doc: "Mode of this limit alone."},
		func(d *decoder, l *Limit, n document.Node) { l.Mode = setting[Mode](d, n, "mode", modes) }},
}

const keySchema = `{"type":"string","pattern":"^(address|principal(\\.(subject|tenant|client))?|operation|(header|path|query):.+|request:` + pointPattern + `)$"}`

var ownerFields = []field[Owner]{
	{Field{Name: "at", Type: "place", Required: true,
		Schema: `{"type":"string","pattern":"^((path|query|header):.+|(request|response):` + pointPattern + `)$"}`,
		Doc:    "Where the owner stands: `path:NAME`, `query:NAME`, `header:NAME`, `request:/POINTER` or `response:/POINTER`; `*` in a pointer stands for each element of a list."},
		func(d *decoder, o *Owner, n document.Node) {
			if s, ok := d.text(n, "at"); ok {
				var err error
				if o.At, err = ParsePlace(s); err != nil {
					d.fail(n, "", "at: %v", err)
				}
			}
		}},
	{Field{Name: "is", Type: "part of the principal", Required: true,
		Schema: `{"type":"string","pattern":"^principal\\.(subject|tenant|client|claims` + pointPattern + `)$"}`,
		Doc:    "Whom it must equal: `principal.subject`, `principal.tenant`, `principal.client` or `principal.claims/POINTER`."},
		func(d *decoder, o *Owner, n document.Node) {
			if s, ok := d.text(n, "is"); ok {
				var err error
				if o.Is, err = ParseWhom(s); err != nil {
					d.fail(n, "", "is: %v", err)
				}
			}
		}},
	{Field{Name: "foreign", Type: "`deny` or `drop`", Schema: `{"enum":["deny","drop"]}`,
		Doc: "What becomes of items of a list that belong to others: the whole answer is refused (unless set), or they are left out."},
		func(d *decoder, o *Owner, n document.Node) {
			if i, ok := d.enum(n, "foreign", []string{"deny", "drop"}); ok {
				o.Foreign = Foreign(i)
			}
		}},
}

var redactFields = []field[Redaction]{
	{Field{Name: "class", Type: "string", Required: true, Schema: `{"type":"string","pattern":"^[a-z0-9_]+(\\.[a-z0-9_]+)*$"}`,
		Doc: "The data class: `payment.card`, `personal.email`, …"},
		func(d *decoder, r *Redaction, n document.Node) {
			s, ok := d.text(n, "class")
			if ok && !class(s) {
				d.fail(n, "", "class: %q is not a data class such as payment.card", clip(s))
			}
			r.Class = s
		}},
	{Field{Name: "show", Type: "`mask`, `last4`, `hash`, `remove`, `replace` or `all`", Schema: `{"enum":["mask","last4","hash","remove","replace","all"]}`,
		Doc: "How the value is shown: `***` (unless set), its last four characters, a keyed hash, not at all, as the text of `with`, or as it is."},
		func(d *decoder, r *Redaction, n document.Node) {
			if i, ok := d.enum(n, "show", shows); ok {
				r.Show = Show(i)
			}
		}},
	{Field{Name: "with", Type: "string", Schema: `{"type":"string","maxLength":256}`, Doc: "The text that `show: replace` puts in."},
		func(d *decoder, r *Redaction, n document.Node) {
			s, ok := d.text(n, "with")
			if ok && len(s) > 256 {
				d.fail(n, "", "with: the text has %d bytes; 256 are the most", len(s))
			}
			r.With = s
		}},
	{Field{Name: "unless", Type: "condition", Schema: conditionSchema, Doc: "Callers for whom it holds see the value; a condition as of `require`."},
		func(d *decoder, r *Redaction, n document.Node) { r.Unless = d.condition(n, "unless") }},
}

var bodyFields = []field[Sizes]{
	{Field{Name: "request", Type: "size", Schema: sizeSchema, Doc: "Of requests; 1MiB unless set."},
		func(d *decoder, s *Sizes, n document.Node) { s.Request = d.size(n, "body.request") }},
	{Field{Name: "response", Type: "size", Schema: sizeSchema, Doc: "Of responses; 8MiB unless set."},
		func(d *decoder, s *Sizes, n document.Node) { s.Response = d.size(n, "body.response") }},
}

var corsFields = []field[CORS]{
	{Field{Name: "origins", Type: "list of strings", Required: true,
		Schema: `{"type":"array","minItems":1,"items":{"type":"string","pattern":"^(\\*|[a-z][a-z0-9+.-]*://[^/?#@*A-Z]+)$"}}`,
		Doc:    "The origins that may: `https://app.example`, or `*` for all."},
		func(d *decoder, c *CORS, n document.Node) {
			for _, v := range d.texts(n, "cors.origins") {
				if err := origin(v.Text()); err != nil {
					d.fail(v, "", "cors.origins: %v", err)
				}
				c.Origins = append(c.Origins, v.Text())
			}
		}},
	{Field{Name: "headers", Type: "list of strings", Schema: headersSchema, Doc: "Request headers that may be sent beside those of the contract."},
		func(d *decoder, c *CORS, n document.Node) { c.Headers = d.headers(n, "cors.headers") }},
	{Field{Name: "expose", Type: "list of strings", Schema: headersSchema, Doc: "Response headers that scripts may read."},
		func(d *decoder, c *CORS, n document.Node) { c.Expose = d.headers(n, "cors.expose") }},
	{Field{Name: "credentials", Type: "boolean", Schema: boolSchema, Doc: "Whether cookies and the like may be sent; not with `*`."},
		func(d *decoder, c *CORS, n document.Node) {
			if s := d.flag(n, "cors.credentials"); s != nil {
				c.Credentials = s.Value
			}
		}},
	{Field{Name: "max_age", Type: "time span", Schema: spanSchema, Doc: "How long browsers may keep the answer; at most 1d."},
		func(d *decoder, c *CORS, n document.Node) {
			if s, ok := d.scalar(n, "cors.max_age"); ok {
				age, err := ParseDuration(s)
				if err == nil && age > 24*time.Hour {
					err = fmt.Errorf("%q is more than 1d, the most that browsers keep", s)
				}
				if err != nil {
					d.fail(n, "", "cors.max_age: %v", err)
				}
				c.MaxAge = age
			}
		}},
}

// later are keys that are known and not there yet.
var later = map[string]string{
	"credential_stuffing": "for now, limit the operation per address and per request:/POINTER of the user name",
}

func controlsSchema() string {
	var b strings.Builder
	for i, name := range controlNames {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:%s", name, modeSchema)
	}
	return `{"type":"object","additionalProperties":false,"properties":{` + b.String() + `}}`
}

func controlList() string {
	return "`" + strings.Join(controlNames[:], "`, `") + "`"
}

func setControls(d *decoder, e *Entry, n document.Node) {
	if !d.isObject(n, "controls") {
		return
	}
	e.Controls = make(map[Control]Setting[Mode])
	for key, v := range n.Members() {
		i := slices.Index(controlNames[:], key)
		if i < 0 {
			d.unknown(v, key, "control", "controls", controlNames[:])
			continue
		}
		if m := setting[Mode](d, v, "controls."+key, modes); m != nil {
			e.Controls[Control(i)] = *m
		}
	}
}

func setLimits(d *decoder, e *Entry, n document.Node) {
	for _, v := range d.list(n, "limits") {
		l := Limit{Pos: v.Pos()}
		if !object(d, v, "limit", limitFields, &l) {
			continue
		}
		for i := range e.Limits {
			if e.Limits[i].Name == l.Name && name(l.Name) {
				d.fail(v.Get("name"), "", "name: the entry has a limit %q already, at line %d", l.Name, e.Limits[i].Pos.Line)
			}
		}
		e.Limits = append(e.Limits, l)
	}
}

func setRedact(d *decoder, e *Entry, n document.Node) {
	for _, v := range d.list(n, "redact") {
		r := Redaction{Pos: v.Pos()}
		if !object(d, v, "redact", redactFields, &r) {
			continue
		}
		switch with := v.Get("with"); {
		case with.Valid() && r.Show != ShowReplace:
			d.fail(with, "add show: replace", "with: it is the text of show: replace, and would not be used")
		case !with.Valid() && r.Show == ShowReplace:
			d.fail(v.Get("show"), "add with: and the text", "show: replace says not with what")
		}
		if r.Show == ShowAll && r.Unless != nil {
			d.fail(v.Get("unless"), "leave out one of them", "unless: with show: all everybody sees the value")
		}
		e.Redact = append(e.Redact, r)
	}
}

func setPath(d *decoder, e *Entry, n document.Node) {
	f := Setting[PathForms]{Pos: n.KeyPos()}
	vs := []document.Node{n}
	if n.IsArray() {
		vs = vs[:0]
		for _, v := range n.Elements() {
			vs = append(vs, v)
		}
	}
	for _, v := range vs {
		i, ok := d.enum(v, "path", pathForms)
		if !ok {
			return
		}
		*[]*bool{&f.Value.EncodedSlash, &f.Value.DoubleEncoding, &f.Value.EmptySegments, &f.Value.Parameters}[i] = true
	}
	e.Path = &f
}

// class reports whether s is the name of a data class.
func class(s string) bool {
	for part := range strings.SplitSeq(s, ".") {
		if part == "" || strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			return false
		}
	}
	return len(s) <= 64
}

// A decoder gathers faults.
type decoder struct{ ds contract.Diagnostics }

func (d *decoder) fail(n document.Node, hint, format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	if len(msg) > 600 { // it quotes something huge
		msg = strings.ToValidUTF8(msg[:600], "") + "…"
	}
	d.ds = append(d.ds, contract.Diagnostic{Pos: n.Pos(), Msg: msg, Hint: hint})
}

// unknown reports a key that nobody knows, at its place.
func (d *decoder) unknown(n document.Node, key, what, in string, known []string) {
	hint := ""
	if k := Nearest(key, known); k != "" {
		hint = fmt.Sprintf("did you mean %s?", k)
	} else if len(known) <= 8 {
		hint = "known are " + strings.Join(known, ", ")
	}
	d.ds = append(d.ds, contract.Diagnostic{Pos: n.KeyPos(), Msg: fmt.Sprintf("unknown %s %q in %s", what, clip(key), in), Hint: hint})
}

// object decodes an object by its table, and reports what is unknown or
// missing.
func object[T any](d *decoder, n document.Node, what string, fields []field[T], t *T) bool {
	if !d.isObject(n, what) {
		return false
	}
	for key, v := range n.Members() {
		i := slices.IndexFunc(fields, func(f field[T]) bool { return f.Name == key })
		if i >= 0 {
			fields[i].set(d, t, v)
			continue
		}
		if hint, ok := later[key]; ok {
			d.ds = append(d.ds, contract.Diagnostic{Pos: v.KeyPos(), Msg: key + " is not supported yet", Hint: hint})
			continue
		}
		known := make([]string, len(fields))
		for i := range fields {
			known[i] = fields[i].Name
		}
		d.unknown(v, key, "key", what, known)
	}
	for _, f := range fields {
		if f.Required && !n.Has(f.Name) {
			d.fail(n, "", "%s: %s is missing", what, f.Name)
		}
	}
	return true
}

func (d *decoder) isObject(n document.Node, what string) bool {
	if !n.IsObject() {
		d.fail(n, "", "%s: this is %s, not keys with values", what, n.Kind().InWords())
		return false
	}
	return true
}

// list returns the elements of a list that is not empty.
func (d *decoder) list(n document.Node, what string) []document.Node {
	if !n.IsArray() {
		d.fail(n, "", "%s: this is %s, not a list", what, n.Kind().InWords())
		return nil
	}
	if n.Len() == 0 {
		d.fail(n, "leave the key out", "%s: the list is empty", what)
	}
	vs := make([]document.Node, 0, n.Len())
	for _, v := range n.Elements() {
		vs = append(vs, v)
	}
	return vs
}

// texts returns the strings of a list, or the one string that stands alone.
func (d *decoder) texts(n document.Node, what string) []document.Node {
	if n.IsString() {
		return []document.Node{n}
	}
	var vs []document.Node
	for _, v := range d.list(n, what) {
		if _, ok := d.text(v, what); ok {
			vs = append(vs, v)
		}
	}
	return vs
}

func (d *decoder) text(n document.Node, what string) (string, bool) {
	if !n.IsString() {
		d.fail(n, "", "%s: this is %s, not a string", what, n.Kind().InWords())
		return "", false
	}
	return n.Text(), true
}

// scalar returns the text of a string or number.
func (d *decoder) scalar(n document.Node, what string) (string, bool) {
	if n.IsNumber() {
		return n.Text(), true
	}
	return d.text(n, what)
}

func (d *decoder) enum(n document.Node, what string, values []string) (int, bool) {
	i := -1
	if n.IsString() {
		i = slices.Index(values, n.Text())
	}
	if i < 0 {
		hint := ""
		if v := Nearest(n.Text(), values); v != "" && n.IsString() {
			hint = fmt.Sprintf("did you mean %s?", v)
		}
		got := n.Kind().InWords()
		if n.Kind() != document.Null && n.Text() != "" {
			got = strconv.Quote(clip(n.Text()))
		}
		d.fail(n, hint, "%s: %s is not one of %s", what, got, strings.Join(values, ", "))
	}
	return i, i >= 0
}

// setting decodes one of values, in the order of T's constants.
func setting[T ~uint8](d *decoder, n document.Node, what string, values []string) *Setting[T] {
	i, ok := d.enum(n, what, values)
	if !ok {
		return nil
	}
	return &Setting[T]{T(i), n.KeyPos()}
}

// flag decodes a boolean; as a string it comes from the environment.
func (d *decoder) flag(n document.Node, what string) *Setting[bool] {
	switch t := n.Text(); {
	case n.IsBool(), t == "true" && n.IsString(), t == "false" && n.IsString():
		return &Setting[bool]{t == "true", n.KeyPos()}
	}
	d.fail(n, "", "%s: write true or false", what)
	return nil
}

// integer decodes a whole number; as a string it comes from the environment.
func (d *decoder) integer(n document.Node, what string, least, most int64) (int64, bool) {
	i, ok := n.Int()
	if t := n.Text(); n.IsString() && digits(t) && len(t) < 19 {
		ok = true
		for _, c := range t {
			i = i*10 + int64(c-'0')
		}
	}
	if !ok || i < least || i > most {
		d.fail(n, "", "%s: write a whole number from %d to %d", what, least, most)
		return 0, false
	}
	return i, true
}

func (d *decoder) size(n document.Node, what string) int64 {
	if n.IsNumber() {
		i, _ := d.integer(n, what, 1, MaxBody)
		return i
	}
	s, ok := d.text(n, what)
	if !ok {
		return 0
	}
	i, err := ParseSize(s)
	if err == nil && (i < 1 || i > MaxBody) {
		err = fmt.Errorf("%q is not from 1 byte to 1GiB", s)
	}
	if err != nil {
		d.fail(n, "", "%s: %v", what, err)
	}
	return i
}

func (d *decoder) condition(n document.Node, what string) *Condition {
	s, ok := d.text(n, what)
	if !ok {
		return nil
	}
	c, err := ParseCondition(s)
	if err != nil {
		d.fail(n, "", "%s: %v", what, err)
		return nil
	}
	c.Pos = n.Pos()
	return c
}

func (d *decoder) headers(n document.Node, what string) []string {
	var names []string
	for _, v := range d.texts(n, what) {
		if !token(v.Text()) {
			d.fail(v, "", "%s: %q is not the name of a header", what, clip(v.Text()))
		}
		names = append(names, v.Text())
	}
	return names
}
