package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/classify"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/jsonschema"
	"github.com/sallyport/sallyport/policy"
)

// ClassKeyword is the contract extension that names the data classes of a
// property.
const ClassKeyword = "x-sallyport-class"

// maxClasses is how many data classes the engine can tell apart.
const maxClasses = 64

// Options say what a plan is compiled from.
type Options struct {
	Sources []Source
	Policy  *policy.Policy // nil demands nothing beyond the contracts
	// Text is what else the plan's hash should cover: the bytes of the
	// configuration file.
	Text []byte
}

// A Source is one API: its contract and where it is.
type Source struct {
	Name     string
	Contract *contract.API // nil: it could not be loaded, and the API answers 503
	Mode     policy.Mode
	Upstream Upstream
	Hosts    []string // none: any host
	// BasePath overrides the base paths that the contract's servers name.
	BasePath *string
	// Verifier proves access tokens; nil where no provider is configured, which closes
	// every operation that asks for one.
	Verifier Verifier
	// Unenforced is how much of the contract its loader found that run time
	// does not apply.
	Unenforced int
	Pos        contract.Pos // of the API in the configuration, for diagnostics
}

// Compile makes a plan. It reports every fault; the plan is nil where one of
// them is fatal.
func Compile(opts Options) (*Plan, contract.Diagnostics) {
	c := &compiler{
		plan:   &Plan{Unenforced: map[string]int{}, hosts: map[string][]*API{}},
		policy: opts.Policy,
		weaker: map[string]bool{},
	}
	if c.policy == nil {
		c.policy = &policy.Policy{}
	}
	c.matched = make([][]bool, len(c.policy.Entries))
	for i, e := range c.policy.Entries {
		c.matched[i] = make([]bool, len(e.On))
	}
	hash := sha256.New()
	hash.Write(opts.Text)
	for _, s := range opts.Sources {
		c.api(s)
		if s.Contract == nil {
			continue
		}
		for _, uri := range slices.Sorted(maps.Keys(s.Contract.Documents)) {
			s.Contract.Documents[uri].WriteSources(hash) // a hash never fails
		}
	}
	c.unmatchedSelectors()
	c.plan.Nowhere = &Operation{Index: len(c.plan.Operations), MaxRequest: 1 << 20, MaxResponse: 8 << 20}
	c.plan.Operations = append(c.plan.Operations, c.plan.Nowhere)
	c.plan.Hash = hex.EncodeToString(hash.Sum(nil))[:16]
	slices.SortStableFunc(c.diags, func(a, b contract.Diagnostic) int {
		if n := strings.Compare(a.Pos.File, b.Pos.File); n != 0 {
			return n
		}
		if a.Pos.Line != b.Pos.Line {
			return a.Pos.Line - b.Pos.Line
		}
		return a.Pos.Col - b.Pos.Col
	})
	if c.diags.Fatal() {
		return nil, c.diags
	}
	return c.plan, c.diags
}

// A compiler is the state of one Compile.
type compiler struct {
	plan    *Plan
	policy  *policy.Policy
	diags   contract.Diagnostics
	matched [][]bool        // by entry and selector
	weaker  map[string]bool // reported already

	// of the API that is being compiled
	src     Source
	into    *API
	engine  *jsonschema.Compiler
	classes []string
	open    *jsonschema.Schema
}

func (c *compiler) warn(pos contract.Pos, hint, format string, args ...any) {
	c.diags = append(c.diags, contract.Diagnostic{Severity: contract.Warning, Pos: pos, Msg: fmt.Sprintf(format, args...), Hint: hint})
}

func (c *compiler) unenforced(pos contract.Pos, hint, format string, args ...any) {
	c.diags = append(c.diags, contract.Diagnostic{Severity: contract.Warning, Pos: pos, Msg: fmt.Sprintf(format, args...), Hint: hint, Unenforced: true})
	c.plan.Unenforced[c.src.Name]++
}

func (c *compiler) fatal(pos contract.Pos, hint, format string, args ...any) {
	c.diags = append(c.diags, contract.Diagnostic{Severity: contract.Fatal, Pos: pos, Msg: fmt.Sprintf(format, args...), Hint: hint})
}

// fatalOnce reports a fault that would come up for each operation.
func (c *compiler) fatalOnce(pos contract.Pos, hint, format string, args ...any) {
	if key := pos.String() + format; !c.weaker[key] {
		c.weaker[key] = true
		c.fatal(pos, hint, format, args...)
	}
}

// where prints a place as events show it.
func where(p contract.Pos) string {
	if p.File == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

func (c *compiler) api(s Source) {
	a := &API{Name: s.Name, Index: len(c.plan.APIs), Upstream: s.Upstream, Verifier: s.Verifier}
	c.src, c.into = s, a
	c.plan.Unenforced[s.Name] = s.Unenforced
	c.plan.APIs = append(c.plan.APIs, a)
	for _, h := range s.Hosts {
		a.Hosts = append(a.Hosts, strings.ToLower(h))
	}
	a.Bases = c.bases(s)
	if len(a.Hosts) == 0 {
		c.plan.others = append(c.plan.others, a)
	}
	for _, h := range a.Hosts {
		c.plan.hosts[h] = append(c.plan.hosts[h], a)
	}
	a.Unmatched = c.operation(&contract.Operation{Pos: s.Pos})
	a.Unmatched.ID = ""
	if s.Contract == nil {
		a.Unavailable = true
		return
	}

	c.classes = c.classNames()
	if len(c.classes) > maxClasses {
		c.fatalOnce(s.Pos, "redact fewer classes of your own", "the policy names so many data classes that there are %d, and at most %d can be told apart", len(c.classes), maxClasses)
		return
	}
	c.engine = jsonschema.NewCompiler(jsonschema.Options{
		Dialect: s.Contract.Dialect, AssertFormat: true, ClassKeyword: ClassKeyword, Classes: c.classes,
	})
	for _, uri := range slices.Sorted(maps.Keys(s.Contract.Documents)) {
		c.engine.Add(uri, s.Contract.Documents[uri])
	}
	for _, o := range s.Contract.Operations {
		op := c.operation(o)
		names, ok := a.root.add(o.Path, op)
		if !ok {
			c.diags = append(c.diags, contract.Diagnostic{Severity: contract.Warning, Pos: o.Pos, Unenforced: true,
				Msg:  fmt.Sprintf("%s %s is declared twice, by templates that differ only in names; the first one counts", o.Method, o.Path),
				Hint: "remove one of them"})
			continue
		}
		c.contract(op, o, names)
		if s.BasePath == nil && len(a.Bases) > 1 {
			// Below another operation's server the upstream has what the
			// contract does not tell of.
			op.bases = basesOf(s.Contract.Servers)
			if len(o.Servers) > 0 {
				op.bases = basesOf(o.Servers)
			}
		}
	}
	for _, o := range s.Contract.Closed { // after the others, which come first where both fit
		op := c.operation(o)
		op.Unguarded = true
		a.root.add(o.Path, op)
	}
}

// bases returns where the contract says callers reach it, longest first.
func (c *compiler) bases(s Source) []string {
	if s.BasePath != nil {
		return []string{strings.TrimSuffix(*s.BasePath, "/")}
	}
	if s.Contract == nil {
		return []string{""}
	}
	bs := basesOf(s.Contract.Servers)
	for _, o := range s.Contract.Operations {
		if len(o.Servers) == 0 {
			continue
		}
		for _, b := range basesOf(o.Servers) {
			if !slices.Contains(bs, b) {
				bs = append(bs, b)
			}
		}
	}
	slices.SortStableFunc(bs, func(a, b string) int { return len(b) - len(a) })
	return bs
}

// basesOf returns the base paths of servers. Where there are none, the contract
// means the root.
func basesOf(servers []contract.Server) (bs []string) {
	for _, sv := range servers {
		if !slices.Contains(bs, sv.BasePath) {
			bs = append(bs, sv.BasePath)
		}
	}
	if len(bs) == 0 {
		bs = []string{""}
	}
	return bs
}

// classNames numbers the data classes: those that can be detected, and those
// that the policy names.
func (c *compiler) classNames() []string {
	var names []string
	for _, k := range classify.Classes() {
		names = append(names, k.Name)
	}
	for _, e := range c.policy.Entries {
		for _, r := range e.Redact {
			if !slices.Contains(names, r.Class) {
				names = append(names, r.Class)
			}
		}
	}
	return names
}

// operation applies the policy to an operation.
func (c *compiler) operation(o *contract.Operation) *Operation {
	op := &Operation{
		API: c.into, Index: len(c.plan.Operations), ID: o.ID, Method: o.Method, Template: o.Path, Tags: o.Tags,
		MaxRequest: 1 << 20, MaxResponse: 8 << 20, Undeclared: policy.DenyThem, ReadOnly: policy.DenyThem,
		Strip: policy.StripThem, WriteOnly: policy.StripThem, Detail: true,
	}
	c.plan.Operations = append(c.plan.Operations, op)
	m := &merger{compiler: c, op: op, contract: o}
	m.run()
	op.Mode = policy.Off
	for i, mode := range op.Modes {
		if op.Entries[i] == "" {
			op.Entries[i] = where(o.Pos)
		}
		if mode < op.Mode { // Enforce is the least
			op.Mode = mode
		}
	}
	return op
}

// contract compiles what the contract says of an operation.
func (c *compiler) contract(op *Operation, o *contract.Operation, names []string) {
	c.security(op, o)
	c.parameters(op, o, names)
	if o.Body != nil {
		op.Body = &Body{Required: o.Body.Required, Entry: where(o.Body.Pos)}
		for _, m := range o.Body.Content {
			op.Body.Media = append(op.Body.Media, c.media(m, jsonschema.Request, op.Captures))
		}
	}
	captures := c.owners(op)
	for _, r := range o.Responses {
		cr := &Response{Status: statusOf(r.Status), Entry: where(r.Pos)}
		if cr.Status < 0 {
			c.unenforced(r.Pos, `write a status such as "200", "2XX" or "default"`, "response %q of %s is no status", r.Status, o.ID)
			continue
		}
		for _, h := range r.Headers {
			if h.Schema.Valid() || h.Content != nil {
				c.unenforced(h.Pos, "", "the schema of response header %s is not applied", h.Name)
			}
		}
		for _, m := range r.Content {
			cm := c.media(m, jsonschema.Response, captures)
			cr.Media = append(cr.Media, cm)
			if cm.Schema != nil && cm.Kind == MediaJSON {
				op.ReadsAnswer = true
			}
		}
		op.Responses = append(op.Responses, cr)
	}
	c.lostPointers(op)
	c.redactions(op)
	c.unreadable(op, o)
	op.Open = c.openSchema(captures)
	if len(captures) > 0 || len(op.Detectors) > 0 {
		op.ReadsAnswer = true
	}
	for i := range op.Limits {
		l := &op.Limits[i]
		for j := range l.Keys {
			c.limitKey(op, l, &l.Keys[j])
		}
	}
}

// lostPointers warns of owners and limits whose value no declared body has: a
// slip of the pen closes an operation to everyone, or counts all as one.
func (c *compiler) lostPointers(op *Operation) {
	var bodies, answers []*Media
	if op.Body != nil {
		bodies = op.Body.Media
	}
	for _, r := range op.Responses {
		if r.Status == 0 || r.Status == 2 || r.Status/100 == 2 {
			answers = append(answers, r.Media...)
		}
	}
	const hint = "look at the contract's schema for how it is spelt"
	for i := range op.Owners {
		switch o := &op.Owners[i]; o.In {
		case policy.InRequest:
			if !reached(bodies, o.Name) {
				c.warn(o.pos, hint, "no declared body of %s %s has the owner %s", op.Method, op.Template, o.Name)
			}
		case policy.InResponse:
			if !reached(answers, o.Name) {
				c.warn(o.pos, hint, "no declared answer of %s %s has the owner %s", op.Method, op.Template, o.Name)
			}
		}
	}
	for i := range op.Limits {
		for _, k := range op.Limits[i].Keys {
			if k.Kind == policy.KeyRequest && !reached(bodies, op.Captures[k.Capture]) {
				c.warn(op.Limits[i].pos, hint, "limit %q counts by %s, which no declared body of %s %s has", op.Limits[i].Name, op.Captures[k.Capture], op.Method, op.Template)
			}
		}
	}
}

// reached reports whether a pointer leads somewhere in any of the schemas, or
// into a part of one that says nothing.
func reached(ms []*Media, pointer string) bool {
	for _, m := range ms {
		if m.Schema == nil || leads(m.Schema, pointer) {
			return true
		}
	}
	return false
}

func leads(s *jsonschema.Schema, pointer string) bool {
	for pointer != "" {
		var token string
		token, pointer, _ = strings.Cut(pointer[1:], "/")
		if pointer != "" {
			pointer = "/" + pointer
		}
		names := s.Declared()
		next := s.Property(strings.NewReplacer("~1", "/", "~0", "~").Replace(token))
		if token == "*" || next == nil && len(names) == 0 {
			next = s.Item()
		}
		if next == nil {
			return len(names) == 0 // nothing is declared here, so nothing is known
		}
		s = next
	}
	return true
}

// unreadable says which declared answers will be refused because a control
// must look into them and cannot.
func (c *compiler) unreadable(op *Operation, o *contract.Operation) {
	if len(op.Detectors) == 0 || op.Unread == policy.PassUnread || op.Modes[policy.Redact] == policy.Off {
		return
	}
	for _, r := range o.Responses {
		for _, m := range r.Content {
			if kindOf(m.Type) != MediaJSON {
				c.warn(m.Pos, "set unread: pass for the operation, if such answers may leave unread", "answers of %s in %s cannot be looked through for what the policy redacts, so they are refused", name(o), m.Type)
			}
		}
	}
}

// openSchema admits everything, and captures.
func (c *compiler) openSchema(captures []string) *jsonschema.Schema {
	if c.open == nil {
		s, err := jsonschema.Compile([]byte("true"), jsonschema.Options{Classes: c.classes})
		if err != nil {
			panic(err) // the schema is ours
		}
		c.open = s
	}
	return c.capturing(c.open, captures)
}

func (c *compiler) capturing(s *jsonschema.Schema, pointers []string) *jsonschema.Schema {
	if s == nil || len(pointers) == 0 {
		return s
	}
	with, err := s.WithCaptures(pointers)
	if err != nil {
		panic(err) // package policy has checked the pointers
	}
	return with
}

// statusOf reads "200", "2XX" and "default".
func statusOf(s string) int {
	switch {
	case s == "default":
		return 0
	case len(s) == 3 && strings.EqualFold(s[1:], "XX") && '1' <= s[0] && s[0] <= '5':
		return int(s[0] - '0')
	case len(s) == 3 && '1' <= s[0] && s[0] <= '5' && isDigit(s[1]) && isDigit(s[2]):
		return int(s[0]-'0')*100 + int(s[1]-'0')*10 + int(s[2]-'0')
	}
	return -1
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

// security compiles who may call.
func (c *compiler) security(op *Operation, o *contract.Operation) {
	op.Scheme = "Bearer"
	open := !o.Declared || len(o.Security) == 0
	for _, req := range o.Security {
		alt := Alternative{Anonymous: len(req) == 0}
		open = open || alt.Anonymous
		for _, d := range req {
			s := c.src.Contract.Schemes[d.Scheme]
			switch {
			case s == nil:
				alt.Unsupported = true // the loader has said so
			case s.Type == "oauth2", s.Type == "openIdConnect", s.Type == "http" && s.HTTP == "bearer":
				alt.Bearer = true
				alt.Scopes = append(alt.Scopes, d.Scopes...)
				if c.src.Verifier == nil {
					alt.Unsupported = true
					c.closed(op, d.Pos, "configure a provider under identity", "no identity provider is configured for scheme %q, so that %s is closed to everyone", d.Scheme, name(o))
				}
			default:
				alt.Unsupported = true
				c.closed(op, d.Pos, "offer bearer tokens as well", "scheme %q (%s) cannot be proven, so that %s is closed to those who rely on it", d.Scheme, strings.TrimSpace(s.Type+" "+s.HTTP), name(o))
			}
		}
		op.Security = append(op.Security, alt)
	}
	if op.Closed && !open {
		op.Closed = false // public: false asks only for what the contract has
	}
	if open && !op.Closed && !op.public && op.Modes[policy.Authorization] != policy.Off {
		c.warn(o.Pos, "declare security in the contract, or say public: true in the policy", "%s requires no one to sign in", name(o))
	}
}

// closed reports that an operation cannot be called by a way the contract
// offers.
func (c *compiler) closed(op *Operation, pos contract.Pos, hint, format string, args ...any) {
	switch op.Modes[policy.Authentication] {
	case policy.Off:
		return
	case policy.Observe:
		format = strings.Replace(format, "%s is closed", "%s would be closed", 1)
	}
	c.diags = append(c.diags, contract.Diagnostic{Severity: contract.Closed, Pos: pos, Msg: fmt.Sprintf(format, args...),
		Hint: hint + ", or set controls: {authentication: observe} for the operation"})
}

// name is how diagnostics call an operation.
func name(o *contract.Operation) string {
	if o.ID != "" && !strings.HasPrefix(o.ID, o.Method+" ") {
		return "operation " + o.ID
	}
	return o.Method + " " + o.Path
}

// media compiles one media type.
func (c *compiler) media(m *contract.Media, dir jsonschema.Direction, captures []string) *Media {
	cm := &Media{Type: m.Type, Entry: where(m.Pos), Kind: kindOf(m.Type)}
	if !m.Schema.Valid() {
		if m.Items.Valid() {
			c.unenforced(m.Items.Pos(), "", "itemSchema of %s is not applied", m.Type)
		}
		if cm.Kind == MediaJSON && len(captures) > 0 {
			cm.Schema = c.openSchema(captures)
		}
		if cm.Kind != MediaJSON {
			cm.Kind = MediaOpaque
		}
		return cm
	}
	s := c.schema(m.Schema, dir)
	switch {
	case dir != jsonschema.Response:
	case cm.Kind == MediaForm, cm.Kind == MediaMultipart,
		cm.Kind == MediaText && slices.ContainsFunc([]string{"enum", "const", "pattern", "format", "minLength", "maxLength"}, func(k string) bool { return m.Schema.Get(k).Valid() }):
		c.unenforced(m.Schema.Pos(), "", "the schema of %s is not applied to answers: only JSON is read there", m.Type)
	}
	switch cm.Kind {
	case MediaJSON:
		cm.Schema = c.capturing(s, captures)
	case MediaForm, MediaMultipart:
		cm.Schema = c.capturing(s, captures)
		cm.Fields = c.fields(m, s)
	case MediaText:
		cm.Schema = s
	default:
		if binary(m) || s.Types() == jsonschema.AnyType && len(s.Declared()) == 0 {
			cm.Kind = MediaOpaque
			break
		}
		cm.Kind = MediaUnreadable // the loader has said so
	}
	return cm
}

// binary reports whether a schema only says that a body is bytes.
func binary(m *contract.Media) bool {
	f := m.Schema.Get("format").Text()
	t := m.Schema.Get("type").Text()
	return t == "file" || t == "string" && (f == "binary" || f == "byte" || m.Schema.Len() <= 1) || t == "" && f == "binary"
}

// kindOf says how a media type is read.
func kindOf(typ string) MediaKind {
	sub := typ
	if i := strings.IndexByte(typ, '/'); i >= 0 {
		sub = typ[i+1:]
	}
	switch {
	case typ == "application/json", strings.HasSuffix(sub, "+json"), typ == "text/json":
		return MediaJSON
	case typ == "application/x-www-form-urlencoded":
		return MediaForm
	case typ == "multipart/form-data":
		return MediaMultipart
	case typ == "*/*":
		return MediaJSON
	case strings.HasPrefix(typ, "text/") && typ != "text/event-stream" && typ != "text/xml":
		return MediaText
	}
	return MediaOpaque
}

// schema compiles a schema and passes its problems on.
func (c *compiler) schema(n documentNode, dir jsonschema.Direction) *jsonschema.Schema {
	s, problems := c.engine.Compile(n, dir)
	for _, p := range problems {
		c.diags = append(c.diags, contract.Diagnostic{Severity: contract.Warning, Pos: p.Pos, Msg: p.Msg, Hint: p.Hint, Unenforced: p.Unenforced})
		if p.Unenforced {
			c.plan.Unenforced[c.src.Name]++
		}
	}
	return s
}

// owners compiles the places of owners, and returns what answers must capture.
func (c *compiler) owners(op *Operation) (captures []string) {
	for i := range op.Owners {
		o := &op.Owners[i]
		switch o.In {
		case policy.InResponse:
			o.Capture = len(captures)
			o.List = strings.Contains(o.Name, "*")
			captures = append(captures, o.Name)
		case policy.InPath, policy.InQuery:
			ps := op.Path
			if o.In == policy.InQuery {
				ps = op.Query
			}
			o.Param = slices.IndexFunc(ps, func(p *Param) bool { return p.Name == o.Name })
			if o.Param < 0 {
				c.diags = append(c.diags, contract.Diagnostic{Severity: contract.Fatal, Pos: o.pos,
					Msg:  fmt.Sprintf("the owner of %s %s stands in parameter %q, which it does not have", op.Method, op.Template, o.Name),
					Hint: "name one of the operation's declared parameters"})
			}
		}
	}
	return captures
}

// limitKey finds the place of a limit's key.
func (c *compiler) limitKey(op *Operation, l *Limit, k *Key) {
	if k.Kind != policy.KeyParameter {
		return
	}
	ps := op.Query
	if k.InPath = k.In == policy.InPath; k.InPath {
		ps = op.Path
	}
	if k.Param = slices.IndexFunc(ps, func(p *Param) bool { return p.Name == k.Name }); k.Param < 0 {
		c.fatal(l.pos, "name one of the operation's declared parameters", "limit %q of %s %s counts by parameter %q, which it does not have", l.Name, op.Method, op.Template, k.Name)
	}
}

// redactions compiles how classes are shown and what looks for them.
func (c *compiler) redactions(op *Operation) {
	var names []string
	for i := range op.Redactions {
		r := &op.Redactions[i]
		r.Class = slices.Index(c.classes, r.class)
		names = append(names, r.class)
	}
	for _, d := range classify.Detectors(c.classes) {
		if slices.Contains(names, c.classes[d.Class]) {
			op.Detectors = append(op.Detectors, d)
		}
	}
}
