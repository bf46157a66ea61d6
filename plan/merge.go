package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/exchange"
	"github.com/sallyport/sallyport/jsonschema"
	"github.com/sallyport/sallyport/limit"
	"github.com/sallyport/sallyport/policy"
)

// A merger applies the entries of the policy to one operation, in order:
// later ones refine earlier ones. Where a later entry weakens what an earlier
// one set, it says so.
type merger struct {
	*compiler
	op       *Operation
	contract *contract.Operation

	modes [policy.CountControls]contract.Pos // of the entry that set each
	set   settings
}

// settings remember where each single value was set.
type settings struct {
	request, response, readOnly, writeOnly, strict, unread, public, cache, detail contract.Pos
}

func (m *merger) run() {
	for i := range m.op.Modes {
		m.op.Modes[i] = m.src.Mode
	}
	for i, e := range m.policy.Entries {
		hit := false
		for j, s := range e.On {
			if m.selects(s) {
				m.matched[i][j] = true
				hit = true
			}
		}
		if hit {
			m.apply(e)
		}
	}
	for i := range m.op.Limits {
		l := &m.op.Limits[i]
		switch {
		case l.own:
		case l.Address:
			l.Mode = m.op.Modes[policy.AddressLimits]
		default:
			l.Mode = m.op.Modes[policy.Limits]
		}
	}
}

// selects reports whether a selector means the operation. The operation that
// stands for unknown ones is meant by "*" alone.
func (m *merger) selects(s policy.Selector) bool {
	if s.API != "" && s.API != m.src.Name {
		return false
	}
	o := m.contract
	switch s.Kind {
	case policy.All:
		return true
	case policy.Route:
		return o.Path != "" && s.Value == o.Path && (s.Method == "*" || s.Method == o.Method)
	case policy.Operation:
		return o.ID != "" && s.Value == o.ID
	case policy.Tag:
		return slices.Contains(o.Tags, s.Value)
	}
	return false
}

// unmatchedSelectors reports the selectors that mean nothing: a path that was
// renamed must not leave its rule hanging in the air.
func (c *compiler) unmatchedSelectors() {
	broken := slices.ContainsFunc(c.plan.APIs, func(a *API) bool { return a.Unavailable })
	for i, e := range c.policy.Entries {
		for j, s := range e.On {
			if c.matched[i][j] || broken {
				continue
			}
			hint := "the contract may have renamed it; sallyport check lists the operations"
			if near := c.nearest(s); near != "" {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			c.fatal(s.Pos, hint, "%q matches no operation", s.Text)
		}
	}
}

// nearest finds the operation whose route or id is most like the selector's.
func (c *compiler) nearest(s policy.Selector) string {
	best, bestDistance := "", len(s.Text)/2+1
	for _, op := range c.plan.Operations {
		candidates := []string{op.Method + " " + op.Template, "operation:" + op.ID}
		for _, t := range op.Tags {
			candidates = append(candidates, "tag:"+t)
		}
		for _, cand := range candidates {
			if d := distance(s.Text, cand, bestDistance); d < bestDistance {
				best, bestDistance = cand, d
			}
		}
	}
	return best
}

// distance is the edit distance of two texts, or limit where it is larger.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return min(row[len(b)], limit)
}

// weakens reports, once for each pair of places, that a later setting takes
// back what an earlier one asked for.
func (m *merger) weakens(later, earlier contract.Pos, what string) {
	if earlier.File == "" {
		return
	}
	key := later.String() + " " + earlier.String() + " " + what
	if m.weaker[key] {
		return
	}
	m.weaker[key] = true
	m.warn(later, "remove one of the two, if this is not meant", "%s weakens %s", what, earlier)
}

// set applies one setting, and tells where a stricter one stood before.
func set[T any](m *merger, s *policy.Setting[T], value *T, place *contract.Pos, weaker func(was, is T) bool, what string) {
	if s == nil {
		return
	}
	if weaker(*value, s.Value) {
		m.weakens(s.Pos, *place, what)
	}
	*value, *place = s.Value, s.Pos
}

// looser compares settings whose zero value is the strictest.
func looser[T ~uint8](was, is T) bool { return is > was }

func (m *merger) apply(e *policy.Entry) {
	op := m.op
	if e.Mode != nil {
		for c := range policy.CountControls {
			if e.Mode.Value > m.op.Modes[c] && m.modes[c].File != "" {
				m.weakens(e.Mode.Pos, m.modes[c], "mode") // said once for each place, not for each control
			}
			m.modes[c] = contract.Pos{}
			m.mode(c, *e.Mode)
		}
	}
	for c := range policy.CountControls { // in order, so that diagnostics are
		if s, ok := e.Controls[c]; ok {
			m.mode(c, s)
		}
	}
	set(m, e.Request, &op.Undeclared, &m.set.request, looser, "undeclared.request")
	set(m, e.Response, &op.Strip, &m.set.response, looser, "undeclared.response")
	set(m, e.ReadOnly, &op.ReadOnly, &m.set.readOnly, looser, "read_only")
	set(m, e.Write, &op.WriteOnly, &m.set.writeOnly, looser, "write_only")
	set(m, e.Unread, &op.Unread, &m.set.unread, looser, "unread")
	set(m, e.Strict, &op.Strict, &m.set.strict, func(was, is bool) bool { return was && !is }, "responses")
	set(m, e.Detail, &op.Detail, &m.set.detail, func(was, is bool) bool { return false }, "errors")
	var cache policy.Cache
	if op.KeepCache {
		cache = policy.KeepCache
	}
	set(m, e.Cache, &cache, &m.set.cache, looser, "cache")
	op.KeepCache = cache == policy.KeepCache
	if e.Public != nil {
		if op.Closed && e.Public.Value {
			m.weakens(e.Public.Pos, m.set.public, "public")
		}
		op.public, op.Closed, m.set.public = e.Public.Value, !e.Public.Value, e.Public.Pos
	}
	if e.Headers != nil {
		mode := policy.Enforce
		if !e.Headers.Value {
			mode = policy.Off
		}
		m.mode(policy.SecurityHeaders, policy.Setting[policy.Mode]{Value: mode, Pos: e.Headers.Pos})
	}
	if e.Path != nil {
		f := e.Path.Value
		op.PathForms = exchange.PathOptions{EncodedSlash: f.EncodedSlash, DoubleEncoding: f.DoubleEncoding,
			EmptySegments: f.EmptySegments, Parameters: f.Parameters}
		op.Entries[policy.Paths] = where(e.Path.Pos)
		u := &m.plan.Forms
		u.EncodedSlash = u.EncodedSlash || f.EncodedSlash
		u.DoubleEncoding = u.DoubleEncoding || f.DoubleEncoding
		u.EmptySegments = u.EmptySegments || f.EmptySegments
		u.Parameters = u.Parameters || f.Parameters
	}
	if e.Body.Request > 0 {
		op.MaxRequest = int(e.Body.Request)
	}
	if e.Body.Response > 0 {
		op.MaxResponse = int(e.Body.Response)
	}
	if e.Require != nil {
		op.Require = memberships(e.Require)
		op.Entries[policy.Authorization] = where(e.Require.Pos)
	}
	if e.Owner != nil {
		m.owner(e.Owner)
	}
	if e.CORS != nil {
		op.CORS = cors(e.CORS)
		op.Entries[policy.Origins] = where(e.CORS.Pos)
	}
	for _, l := range e.Limits {
		m.limit(l, scopeOf(e))
	}
	for _, r := range e.Redact {
		m.redaction(r)
	}
}

// mode sets one control. The API's own mode is a default and not weakened.
func (m *merger) mode(c policy.Control, s policy.Setting[policy.Mode]) {
	if s.Value > m.op.Modes[c] {
		m.weakens(s.Pos, m.modes[c], "mode of "+c.String())
	}
	m.op.Modes[c], m.modes[c] = s.Value, s.Pos
	m.op.Entries[c] = where(s.Pos)
}

func memberships(c *policy.Condition) (ms []Membership) {
	if c == nil {
		return nil
	}
	for _, a := range c.Any {
		ms = append(ms, Membership{a.Role, a.Value})
	}
	return ms
}

// owner adds an owner rule. A later one for the same part of the exchange
// takes the place of the earlier.
func (m *merger) owner(o *policy.Owner) {
	c := Owner{In: o.At.In, Name: o.At.Name, Whom: o.Is.Kind, Claim: o.Is.Claim, Drop: o.Foreign == policy.DropForeign, Entry: where(o.Pos), pos: o.Pos}
	switch o.At.In {
	case policy.InRequest:
		c.Name = o.At.Pointer
		c.Capture = m.capture(o.At.Pointer, o.Pos)
	case policy.InResponse:
		c.Name = o.At.Pointer
	case policy.InHeader:
		c.Name = strings.ToLower(o.At.Name)
	}
	m.op.Entries[policy.Ownership] = c.Entry
	for i := range m.op.Owners {
		if m.op.Owners[i].In == c.In {
			m.op.Owners[i] = c
			return
		}
	}
	m.op.Owners = append(m.op.Owners, c)
}

// maxCaptures is how many values the engine finds in one pass.
const maxCaptures = 64

// capture asks for a value of the request body.
func (m *merger) capture(pointer string, pos contract.Pos) int {
	if i := slices.Index(m.op.Captures, pointer); i >= 0 {
		return i
	}
	if len(m.op.Captures) == maxCaptures {
		m.fatalOnce(pos, "", "the policy asks for more than %d values of one request body", maxCaptures)
		return 0
	}
	m.op.Captures = append(m.op.Captures, pointer)
	return len(m.op.Captures) - 1
}

// limit adds a rate limit; a later one of the same name takes the place of
// the earlier.
func (m *merger) limit(l policy.Limit, scope string) {
	compiled, err := limit.Compile(limit.Spec{
		Name: l.Name, Scope: m.src.Name + "\x00" + scope, Rate: limit.Rate{N: int64(l.Count), Per: l.Every}, Burst: int64(l.Burst),
	})
	if err != nil {
		m.fatalOnce(l.Pos, "", "%v", err)
		return
	}
	c := Limit{Name: l.Name, Limit: compiled, Entry: where(l.Pos), Address: true, pos: l.Pos}
	for _, k := range l.Per {
		key := Key{Kind: k.Kind, Name: k.Name, In: k.In}
		switch k.Kind {
		case policy.KeyAddress, policy.KeyOperation:
		case policy.KeyRequest:
			c.Address, c.Body = false, true
			key.Capture = m.capture(k.Pointer, l.Pos)
		default:
			c.Address = false
		}
		c.Keys = append(c.Keys, key)
	}
	if l.Mode != nil {
		c.Mode, c.own = l.Mode.Value, true
	}
	for i := range m.op.Limits {
		if was := &m.op.Limits[i]; was.Name == c.Name {
			if looserRate(c.Limit.Rate, was.Limit.Rate) {
				m.weakens(l.Pos, was.pos, fmt.Sprintf("limit %q", c.Name))
			}
			*was = c
			return
		}
	}
	m.op.Limits = append(m.op.Limits, c)
}

// scopeOf names what an entry's limits are shared by: the operations it
// selects.
func scopeOf(e *policy.Entry) string {
	var b strings.Builder
	for _, s := range e.On {
		b.WriteString(s.Text)
		b.WriteByte(0)
	}
	return b.String()
}

// looserRate reports whether is lets more pass in the long run than was.
func looserRate(is, was limit.Rate) bool {
	return float64(is.N)/float64(is.Per) > float64(was.N)/float64(was.Per)
}

// redaction adds how a class is shown; a later one for the same class takes
// the place of the earlier.
func (m *merger) redaction(r policy.Redaction) {
	c := Redaction{Unless: memberships(r.Unless), Entry: where(r.Pos), class: r.Class, pos: r.Pos, all: r.Show == policy.ShowAll}
	switch r.Show {
	case policy.ShowMask:
		c.How.How = jsonschema.Mask
	case policy.ShowLast4:
		c.How.How = jsonschema.Last4
	case policy.ShowHash:
		c.How.How = jsonschema.Hash
	case policy.ShowRemove:
		c.How.How = jsonschema.Remove
	case policy.ShowReplace:
		c.How = jsonschema.Redaction{How: jsonschema.Replace, With: r.With}
	}
	m.op.Entries[policy.Redact] = c.Entry
	for i := range m.op.Redactions {
		was := &m.op.Redactions[i]
		if was.class != c.class {
			continue
		}
		if c.all && !was.all || was.How.How == jsonschema.Remove && c.How.How != jsonschema.Remove {
			m.weakens(r.Pos, was.pos, "redaction of "+r.Class)
		}
		*was = c
		return
	}
	m.op.Redactions = append(m.op.Redactions, c)
}

func cors(c *policy.CORS) *CORS {
	out := &CORS{Origins: map[string]bool{}, Headers: map[string]bool{}, Credentials: c.Credentials, MaxAge: c.MaxAge,
		Expose: strings.Join(c.Expose, ", "), Entry: where(c.Pos)}
	for _, o := range c.Origins {
		if o == "*" {
			out.Any = true
		}
		out.Origins[strings.ToLower(o)] = true
	}
	for _, h := range c.Headers {
		out.Headers[strings.ToLower(h)] = true
	}
	out.HeaderList = strings.Join(c.Headers, ", ")
	return out
}
