package guard

import (
	"bytes"
	"context"
	"errors"
	"unsafe"

	"github.com/sallyport/sallyport/authn"
	"github.com/sallyport/sallyport/exchange"
	"github.com/sallyport/sallyport/plan"
	"github.com/sallyport/sallyport/policy"
)

// Errors that a door gives to Body and ResponseBody where the body could not
// be read whole.
var (
	ErrTooLarge  = errors.New("body is larger than asked for")
	ErrTruncated = errors.New("body ended too early")
	ErrTimeout   = errors.New("body did not arrive in time")
	ErrMalformed = errors.New("body breaks its framing")
)

// A check is one control of the request door at its place. It reports whether
// the exchange ends here: refused, or answered by ourselves.
type check struct {
	control policy.Control
	always  bool // runs in any mode, since controls behind it need what it finds
	body    bool // needs the body, where there is one to read
	run     func(p *Pass, ctx context.Context) (ends bool)
}

// requestDoor is the order in which a request is judged. It is a security
// property: nothing expensive runs before the limits by address, nothing is
// told about the contract to who may not call, nothing is sent upstream
// before the last line has run.
var requestDoor = [...]check{
	{policy.Paths, true, false, (*Pass).onePath},
	{policy.Operations, true, false, (*Pass).findOperation},
	{policy.Origins, false, false, (*Pass).origin},
	{policy.AddressLimits, false, false, (*Pass).addressLimits},
	{policy.Authentication, false, false, (*Pass).authenticate},
	{policy.Authorization, false, false, (*Pass).authorize},
	{policy.Limits, false, false, (*Pass).headLimits},
	{policy.Parameters, false, false, (*Pass).parameters},
	{policy.RequestBody, true, false, (*Pass).mediaType},
	{policy.RequestBody, true, true, (*Pass).parseBody}, // finds the values that the next line counts by
	{policy.Limits, false, true, (*Pass).bodyLimits},
	{policy.RequestBody, true, true, (*Pass).judgeBody},
	{policy.MassAssignment, false, true, (*Pass).judgeUndeclared},
	{policy.Ownership, false, true, (*Pass).owners},
}

// run goes on with the request door.
func (p *Pass) run(ctx context.Context) Step {
	for p.next < len(requestDoor) {
		c := &requestDoor[p.next]
		if c.body && p.wantBody && !p.bodyRead {
			return ReadBody
		}
		p.next++
		if !c.always && !p.on(c.control) {
			continue
		}
		if c.run(p, ctx) {
			return p.own
		}
	}
	p.verdict = exchange.Allowed
	return Forward
}

// onePath finds the path's canonical form and the API that it is in.
func (p *Pass) onePath(context.Context) bool {
	if cap(p.pathBuf) < len(p.Request.Path) {
		p.pathBuf = make([]byte, 0, max(256, len(p.Request.Path)))
	}
	path, reason := exchange.CleanPath(p.pathBuf[:0], p.Request.Path, exchange.PathOptions{})
	if reason == exchange.PathAmbiguous && p.plan.Forms != (exchange.PathOptions{}) {
		path, reason = exchange.CleanPath(p.pathBuf[:0], p.Request.Path, p.plan.Forms)
		p.formed = true // the operation must allow the form itself
	}
	if reason != exchange.OK {
		path = p.Request.Path
	}
	p.path = path
	p.query = p.Request.Query
	p.hostBuf = appendHost(p.hostBuf[:0], p.Request.Host)
	var below bool
	p.api, p.base, below = p.plan.Find(p.hostBuf, path)
	if p.api == nil {
		p.op = p.plan.Nowhere
		p.stats.total.nowhere.Add(1)
		if reason == exchange.OK {
			reason = exchange.UnknownOperation
			if !p.plan.KnownHost(p.hostBuf) {
				reason = exchange.UnknownHost
			}
		}
		// Without an API there is no upstream, whatever the mode.
		return p.end(policy.Operations, reason)
	}
	p.op, p.beside = p.api.Unmatched, !below
	if p.api.Unavailable {
		return p.end(policy.Operations, exchange.ConfigUnavailable)
	}
	if reason != exchange.OK {
		return p.found(policy.Paths, reason, "path")
	}
	return false
}

// end refuses whatever the mode: there is nowhere to pass the exchange on to.
func (p *Pass) end(c policy.Control, r exchange.Reason) bool {
	return p.foundBy(policy.Enforce, c, r, "", p.op.Entries[c])
}

// appendHost appends a host in the form that the plan knows it by: lower
// case, without port and without the dot at its end.
func appendHost(dst, host []byte) []byte {
	if i := bytes.LastIndexByte(host, ':'); i >= 0 && bytes.IndexByte(host[i:], ']') < 0 {
		host = host[:i]
	}
	host = bytes.TrimSuffix(host, []byte("."))
	for _, c := range host {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		dst = append(dst, c)
	}
	return dst
}

// findOperation matches the path in the contract.
func (p *Pass) findOperation(context.Context) bool {
	if p.beside {
		return p.found(policy.Operations, exchange.UnknownOperation, "path")
	}
	p.below = p.path[len(p.base):]
	if len(p.below) == 0 {
		p.below = slash
	}
	method := p.Request.Method
	h := p.Request.Header
	preflight := false
	if method == "OPTIONS" {
		if m, ok := h.Get(exchange.AccessControlRequestMethod); ok && h.Count(exchange.Origin) == 1 && len(m) < 32 {
			preflight = true
		}
	}
	known := p.api.Match(p.below, method, &p.match)
	if p.match.Ambiguous && p.found(policy.Paths, exchange.PathAmbiguous, "path") {
		return true
	}
	switch {
	case p.match.Operation != nil && !p.match.Operation.Under(p.base):
		return p.found(policy.Operations, exchange.UnknownOperation, "path")
	case p.match.Operation != nil:
		p.op = p.match.Operation
		if p.op.Unguarded {
			return p.found(policy.Operations, exchange.ConfigUnavailable, "")
		}
		p.matched = true
		if p.formed {
			if _, r := exchange.CleanPath(p.scratch[:0], p.Request.Path, p.op.PathForms); r != exchange.OK && p.found(policy.Paths, r, "path") {
				return true
			}
		}
		return p.overridden()
	case known && method == "OPTIONS":
		return p.options(preflight)
	case known:
		return p.found(policy.Operations, exchange.UnknownMethod, "method")
	}
	return p.found(policy.Operations, exchange.UnknownOperation, "path")
}

var slash = []byte("/")

// overridden refuses what would make the upstream act by another method than
// the one that was judged.
func (p *Pass) overridden() bool {
	for i := range p.Request.Header {
		f := &p.Request.Header[i]
		if f.ID == exchange.XHTTPMethodOverride || f.ID == exchange.Other && overrides(f.Name) {
			if exchange.EqualFold(f.Value, lowerMethod(p.Request.Method)) {
				continue
			}
			if p.found(policy.Operations, exchange.Shadowed, "header "+string(f.Name)) {
				return true
			}
		}
	}
	return false
}

// overrides reports whether frameworks take a header as the method; with
// underscores, too, since CGI reads both the same.
func overrides(name []byte) bool {
	if len(name) < 8 || (name[0]|0x20) != 'x' {
		return false
	}
	var b [24]byte
	if len(name) > len(b) {
		return false
	}
	for i, c := range name {
		if c == '_' {
			c = '-'
		} else if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		b[i] = c
	}
	switch string(b[:len(name)]) {
	case "x-http-method-override", "x-http-method", "x-method-override":
		return true
	}
	return false
}

func lowerMethod(m string) string {
	switch m {
	case "GET":
		return "get"
	case "POST":
		return "post"
	case "PUT":
		return "put"
	case "PATCH":
		return "patch"
	case "DELETE":
		return "delete"
	}
	return "-"
}

// authenticate proves who calls, by exactly what the operation's security
// says: any one of its alternatives, all of what is in it.
func (p *Pass) authenticate(ctx context.Context) bool {
	if len(p.op.Security) == 0 {
		return false
	}
	anonymous, bearer := false, false
	for i := range p.op.Security {
		a := &p.op.Security[i]
		anonymous = anonymous || a.Anonymous
		bearer = bearer || a.Bearer && !a.Unsupported
	}
	if !bearer {
		if anonymous {
			return false
		}
		return p.found(policy.Authentication, exchange.AuthnUnsupported, "")
	}
	var reason exchange.Reason
	switch n := p.Request.Header.Count(exchange.Authorization); n {
	case 0:
		if anonymous {
			return false
		}
		reason = exchange.AuthnMissing
	case 1:
		v, _ := p.Request.Header.Get(exchange.Authorization)
		p.token, reason = authn.Bearer(v)
		if reason == exchange.OK {
			p.principal, reason = p.api.Verifier.Verify(ctx, p.token, p.Request.Began)
		}
	default:
		reason = exchange.AuthnMalformed
	}
	if reason == exchange.OK {
		return false
	}
	p.principal = nil
	// A credential that is sent must be good, also where none is needed:
	// else a forged one would be passed on as if it had been looked at.
	return p.found(policy.Authentication, reason, "header Authorization")
}

// authorize asks whether the principal may call the operation at all.
func (p *Pass) authorize(context.Context) bool {
	if p.op.Closed && p.found(policy.Authorization, exchange.AuthzUnprotected, "") {
		return true
	}
	if len(p.op.Security) > 0 && !p.permitted() && p.found(policy.Authorization, exchange.AuthzScope, "") {
		return true
	}
	if len(p.op.Require) == 0 {
		return false
	}
	for _, m := range p.op.Require {
		if m.Holds(p.principal) {
			return false
		}
	}
	return p.found(policy.Authorization, exchange.AuthzScope, "")
}

// permitted reports whether any alternative of the security is satisfied.
func (p *Pass) permitted() bool {
	for i := range p.op.Security {
		a := &p.op.Security[i]
		if a.Anonymous {
			return true
		}
		if a.Unsupported || p.principal == nil {
			continue
		}
		all := true
		for _, s := range a.Scopes {
			if !p.principal.HasScope(s) {
				all = false
				break
			}
		}
		if all {
			return true
		}
	}
	return false
}

// owners compares the owner that stands in the request with the caller, before
// anything is done.
func (p *Pass) owners(context.Context) bool {
	for i := range p.op.Owners {
		o := &p.op.Owners[i]
		var value []byte
		var ok bool
		at := ""
		switch o.In {
		case policy.InPath:
			value, ok = p.pathValue(o.Param)
			at = "path " + o.Name
		case policy.InQuery:
			value, ok = p.queryValue(o.Name)
			at = "query " + o.Name
		case policy.InHeader:
			var n int
			value, n = p.headerValue(o.Name)
			ok = n == 1
			at = "header " + o.Name
		case policy.InRequest: // compared while the body was read, all of them
			if p.owned > 0 && p.foreign == 0 {
				continue
			}
			at = "body " + o.Name
		default:
			continue
		}
		if ok && p.owns(o, value) {
			continue
		}
		if p.foundBy(p.op.Modes[policy.Ownership], policy.Ownership, exchange.AuthzOwner, at, o.Entry) {
			return true
		}
	}
	return false
}

// owns reports whether a value names the caller, as the rule compares it.
func (p *Pass) owns(o *plan.Owner, value []byte) bool {
	if p.principal == nil || len(value) == 0 {
		return false
	}
	var want string
	switch o.Whom {
	case policy.WhomSubject:
		want = p.principal.Subject
	case policy.WhomTenant:
		want = p.principal.Tenant
	case policy.WhomClient:
		want = p.principal.Client
	case policy.WhomClaim:
		want, _ = p.principal.Claim(o.Claim)
	}
	return want != "" && string(value) == want
}

// borrowed makes a string of bytes that outlive its use, without copying.
func borrowed(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
