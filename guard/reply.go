package guard

import (
	"bytes"
	"context"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/authn"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/exchange"
	"github.com/sallyport/sallyport/limit"
	"github.com/sallyport/sallyport/plan"
	"github.com/sallyport/sallyport/policy"
)

// Field values that are always the same.
var (
	problemJSON  = []byte("application/problem+json")
	noStore      = []byte("no-store")
	private      = []byte("private")
	nosniff      = []byte("nosniff")
	noFrames     = []byte("default-src 'none'; frame-ancestors 'none'")
	hsts         = []byte("max-age=31536000")
	originVary   = []byte("Origin")
	starOrigin   = []byte("*")
	trueValue    = []byte("true")
	identityOnly = []byte("identity")
)

// names of header fields that exchange has no number for.
var (
	acao = []byte("Access-Control-Allow-Origin")
	acac = []byte("Access-Control-Allow-Credentials")
	acam = []byte("Access-Control-Allow-Methods")
	acah = []byte("Access-Control-Allow-Headers")
	acma = []byte("Access-Control-Max-Age")
	aceh = []byte("Access-Control-Expose-Headers")
)

// add appends a field whose value is made here; the value is copied into a
// buffer of the pass.
func (p *Pass) add(n exchange.Name, value ...string) {
	from := len(p.text)
	for _, v := range value {
		p.text = append(p.text, v...)
	}
	p.fields = append(p.fields, exchange.F(n, p.text[from:len(p.text):len(p.text)]))
}

func (p *Pass) addOther(name []byte, value string) {
	from := len(p.text)
	p.text = append(p.text, value...)
	p.fields = append(p.fields, exchange.Field{Name: name, Value: p.text[from:len(p.text):len(p.text)]})
}

// Upstream returns what to send upstream. It is called once, after Forward.
func (p *Pass) Upstream() Message {
	p.upBegan = p.g.now()
	m := Message{API: p.api, Method: p.Request.Method, HasQuery: p.Request.HasQuery, Query: p.query}
	if len(m.Query) == 0 && len(p.Request.Query) > 0 {
		m.HasQuery = false // everything in it was left out
	}
	path := p.path
	if up := p.api.Upstream.Path; up != "" {
		p.scratch = append(append(p.scratch[:0], up...), p.path[len(p.base):]...)
		path = p.scratch
	}
	m.Path = path
	switch {
	case p.changed:
		m.Body = p.forward
	case p.bodyRead:
		m.Body = p.Request.Body
	default:
		m.Streamed = p.hasBody()
	}
	filtered := p.matched && p.op.ReadsAnswer && (p.enforced(policy.ResponseFilter) || p.enforced(policy.Redact) || p.enforced(policy.Ownership))
	p.fields = p.fields[:0]
	for i := range p.Request.Header {
		f := p.Request.Header[i]
		switch f.ID {
		case exchange.AcceptEncoding, exchange.Range, exchange.IfRange:
			// What a control must read comes whole and without coding.
			if filtered {
				continue
			}
		case exchange.ContentEncoding, exchange.ContentMD5, exchange.ContentDigest, exchange.Digest, exchange.ReprDigest:
			if p.changed {
				continue
			}
		case exchange.XRequestID, exchange.SallyportReason, exchange.SallyportRequestID:
			continue
		case exchange.XHTTPMethodOverride:
			if p.enforced(policy.Operations) {
				continue
			}
		}
		p.fields = append(p.fields, f)
	}
	if filtered {
		p.fields = append(p.fields, exchange.F(exchange.AcceptEncoding, identityOnly))
	}
	p.fields = append(p.fields, exchange.F(exchange.XRequestID, p.id[:]))
	m.Header = p.fields
	return m
}

// Fail makes the exchange a refusal because the upstream could not be asked
// or did not answer, and returns what the caller is told.
func (p *Pass) Fail(r exchange.Reason) Reply {
	if p.op == nil {
		p.op = p.plan.Nowhere
	}
	p.verdict = exchange.Denied(r)
	p.hits = append(p.hits, event.Hit{Control: "upstream", Reason: r})
	p.own = Refuse
	return p.Reply()
}

// RefuseHead makes the exchange a refusal before the request door could judge
// it: the door could not read it as HTTP, or takes no more requests.
func (p *Pass) RefuseHead(r exchange.Reason) Reply {
	p.op = p.plan.Nowhere
	p.verdict = exchange.Denied(r)
	p.hits = append(p.hits, event.Hit{Control: "wire", Reason: r})
	p.own = Refuse
	return p.Reply()
}

// Reply returns what to send to the caller.
func (p *Pass) Reply() Reply {
	var r Reply
	p.fields, p.text = p.fields[:0], p.text[:0]
	switch {
	case p.own == Answer:
		r = p.optionsReply()
	case p.verdict.Action == exchange.Deny:
		r = p.problem()
	default:
		r = p.passed()
	}
	if len(p.charges) > 0 && !(p.matched && !p.enforced(policy.Limits)) {
		p.rateLimit()
		r.Header = p.fields
	}
	p.replied = r.Status
	if !r.Streamed {
		p.sent = int64(len(r.Body))
	}
	return r
}

// rateLimit tells the caller where its limits stand.
func (p *Pass) rateLimit() {
	from := len(p.text)
	p.text = limit.AppendPolicy(p.text, p.charges)
	if len(p.text) == from {
		return
	}
	p.fields = append(p.fields, exchange.F(exchange.RateLimitPolicy, p.text[from:len(p.text):len(p.text)]))
	from = len(p.text)
	p.text = limit.AppendState(p.text, p.charges)
	p.fields = append(p.fields, exchange.F(exchange.RateLimit, p.text[from:len(p.text):len(p.text)]))
}

// problem writes a refusal as problem details (RFC 9457). Nothing of the
// upstream's answer is in it.
func (p *Pass) problem() Reply {
	e := p.verdict.Reason.Told().Entry()
	status := e.Status
	if p.status != 0 {
		status = p.status
	}
	if status == 0 {
		status = 502 // a reason that by itself never refuses
	}
	b := append(p.jsonBuf[:0], `{"type":"urn:sallyport:reason:`...)
	b = append(b, e.Code...)
	b = append(b, `","title":`...)
	b = appendString(b, asBytes(e.Title))
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, `,"reason":"`...)
	b = append(b, e.Code...)
	b = append(b, `","request_id":"`...)
	b = append(b, p.id[:]...)
	b = append(b, '"')
	if p.op.Detail && len(p.faults) > 0 {
		b = append(b, `,"errors":[`...)
		for i := range p.faults[:min(len(p.faults), 16)] {
			f := &p.faults[i]
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, `{"in":"`...)
			b = append(b, f.in...)
			if f.in == "body" {
				b = append(b, `","pointer":`...)
			} else {
				b = append(b, `","name":`...)
			}
			b = appendString(b, asBytes(f.at))
			b = append(b, `,"detail":`...)
			b = appendString(b, asBytes(f.message))
			b = append(b, '}')
		}
		b = append(b, ']')
	}
	b = append(b, '}')
	p.jsonBuf = b
	p.fields = append(p.fields,
		exchange.F(exchange.ContentType, problemJSON),
		exchange.F(exchange.CacheControl, noStore),
		exchange.F(exchange.XContentTypeOptions, nosniff),
	)
	p.add(exchange.SallyportReason, e.Code)
	p.fields = append(p.fields, exchange.F(exchange.SallyportRequestID, p.id[:]))
	switch status {
	case 401, 403:
		p.challenge(p.verdict.Reason)
	case 405:
		p.allow()
	case 429:
		if wait, which := limit.RetryAfter(p.charges); which >= 0 {
			from := len(p.text)
			p.text = limit.AppendRetryAfter(p.text, wait)
			p.fields = append(p.fields, exchange.F(exchange.RetryAfter, p.text[from:len(p.text):len(p.text)]))
		}
	case 503:
		p.add(exchange.RetryAfter, "5")
	}
	p.corsAnswer()
	return Reply{Status: status, Header: p.fields, Body: b, Ours: true}
}

// challenge tells how to authenticate, in the words of RFC 6750 section 3.
func (p *Pass) challenge(r exchange.Reason) {
	if p.op == nil || len(p.op.Security) == 0 {
		return
	}
	switch {
	case r == exchange.AuthnMissing || r == exchange.AuthnUnsupported:
		p.add(exchange.WWWAuthenticate, `Bearer`)
	case r == exchange.AuthzScope:
		scopes := p.neededScopes()
		if scopes == "" {
			p.add(exchange.WWWAuthenticate, `Bearer error="insufficient_scope"`)
			return
		}
		p.add(exchange.WWWAuthenticate, `Bearer error="insufficient_scope", scope="`, scopes, `"`)
	case r.Entry().Status == 401:
		p.add(exchange.WWWAuthenticate, `Bearer error="invalid_token"`)
	}
}

// neededScopes names the scopes of the first alternative that a token could
// satisfy.
func (p *Pass) neededScopes() (s string) {
	for i := range p.op.Security {
		a := &p.op.Security[i]
		if a.Unsupported || len(a.Scopes) == 0 {
			continue
		}
		for j, scope := range a.Scopes {
			if j > 0 {
				s += " "
			}
			for k := range len(scope) {
				if c := scope[k]; c <= ' ' || c == '"' || c == '\\' || c > '~' {
					return "" // not a scope-token (RFC 6749 section 3.3)
				}
			}
			s += scope
		}
		return s
	}
	return ""
}

// allow lists the methods that the path has.
func (p *Pass) allow() {
	s, get, head := "", false, false
	for _, o := range p.match.Allowed {
		get, head = get || o.Method == "GET", head || o.Method == "HEAD"
		if s != "" {
			s += ", "
		}
		s += o.Method
	}
	if get && !head {
		s += ", HEAD"
	}
	if s == "" && p.verdict.Reason == exchange.WireMethod {
		s = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
	}
	if s != "" {
		p.add(exchange.AllowMethods, s)
	}
}

// passed makes the upstream's answer one that may leave.
func (p *Pass) passed() Reply {
	r := Reply{Status: p.Response.Status}
	p.altered = p.altered || p.filteredHead()
	scrub := p.enforced(policy.Scrub)
	secure := p.enforced(policy.SecurityHeaders)
	keepCache := !secure || p.op.KeepCache || p.principal == nil
	scrubbed, hasNosniff, hasCSP, hasHSTS, cached := "", false, false, false, false
	cors := p.op.CORS != nil && p.enforced(policy.Origins)
	for i := range p.Response.Header {
		f := p.Response.Header[i]
		if f.ID == exchange.Location || f.ID == exchange.Other && exchange.EqualFold(f.Name, "content-location") {
			if v, inside := p.relocated(f.Value); inside && p.on(policy.Scrub) {
				scrubbed = "header Location"
				if scrub {
					f.Value = v
				}
			}
		}
		switch f.ID {
		case exchange.Server, exchange.XPoweredBy:
			if p.on(policy.Scrub) {
				scrubbed = "header Server"
				if f.ID == exchange.XPoweredBy {
					scrubbed = "header X-Powered-By"
				}
				if scrub {
					continue
				}
			}
		case exchange.ETag, exchange.ContentMD5, exchange.ContentDigest, exchange.Digest, exchange.ReprDigest, exchange.ContentEncoding, exchange.ContentLength:
			if p.altered {
				continue
			}
		case exchange.ContentType:
			if p.headOnly {
				continue
			}
		case exchange.SallyportReason, exchange.SallyportRequestID:
			continue // only our own answers have them
		case exchange.CacheControl:
			if !keepCache {
				if cached {
					continue
				}
				cached = true
				p.privateCache()
				continue
			}
		case exchange.XContentTypeOptions:
			hasNosniff = true
		case exchange.ContentSecurityPolicy:
			hasCSP = true
		case exchange.StrictTransportSecurity:
			hasHSTS = true
		case exchange.Other:
			if p.on(policy.Scrub) {
				if at := serverDetail(f.Name); at != "" {
					scrubbed = at
					if scrub {
						continue
					}
				}
			}
			if cors && len(f.Name) > 15 && exchange.EqualFold(f.Name[:15], "access-control-") {
				continue
			}
			if p.altered && exchange.EqualFold(f.Name, "accept-ranges") || !keepCache && targetsCaches(f.Name) {
				continue
			}
		}
		p.fields = append(p.fields, f)
	}
	if scrubbed != "" {
		p.noted(policy.Scrub, exchange.ResponseScrubbed, scrubbed, !scrub)
	}
	if !keepCache && !cached {
		p.fields = append(p.fields, exchange.F(exchange.CacheControl, private))
	}
	if secure && p.matched {
		if !hasNosniff {
			p.fields = append(p.fields, exchange.F(exchange.XContentTypeOptions, nosniff))
		}
		if !hasCSP && p.readAnswer {
			p.fields = append(p.fields, exchange.F(exchange.ContentSecurityPolicy, noFrames))
		}
		if !hasHSTS && p.Request.Scheme == "https" {
			p.fields = append(p.fields, exchange.F(exchange.StrictTransportSecurity, hsts))
		}
	}
	p.corsAnswer()
	r.Header = p.fields
	switch {
	case p.Response.Status == 204, p.Response.Status == 304, p.headOnly, p.Response.Length == 0 && p.Request.Method != "HEAD":
	case p.Request.Method == "HEAD":
		r.Streamed, r.Length = true, p.Response.Length
		if p.altered {
			r.Length = -1
		}
	case p.altered && p.readAnswer, p.readAnswer:
		r.Body = p.body
	default:
		r.Streamed, r.Length = true, p.Response.Length
	}
	return r
}

// relocated returns a URL that names the upstream as callers know the place: by
// its path alone, below the base path that the request came under.
func (p *Pass) relocated(v []byte) (_ []byte, inside bool) {
	_, rest, ok := bytes.Cut(v, []byte("//"))
	if scheme := v[:len(v)-len(rest)]; !ok || !exchange.EqualFold(scheme, "http://") && !exchange.EqualFold(scheme, "https://") && len(scheme) != 2 {
		return v, false
	}
	end := bytes.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	host, path := rest[:end], rest[end:]
	for _, h := range p.api.Upstream.Hosts {
		inside = inside || exchange.EqualFold(host, h)
	}
	if !inside {
		return v, false
	}
	base := ""
	if up := p.api.Upstream.Path; up != "" {
		if below, ok := bytes.CutPrefix(path, asBytes(up)); ok && (len(below) == 0 || below[0] == '/') {
			base, path = p.base, below
		}
	}
	from := len(p.text)
	p.text = append(append(p.text, base...), path...)
	if len(p.text) == from || p.text[from] != '/' {
		p.text = append(append(p.text[:from], '/'), path...)
	}
	return p.text[from:len(p.text):len(p.text)], true
}

// filteredHead reports whether the answer is the head of one whose body might
// have been changed: its length and tags would then contradict those of GET.
func (p *Pass) filteredHead() bool {
	return p.Request.Method == "HEAD" && p.matched && p.op.ReadsAnswer &&
		(p.enforced(policy.ResponseFilter) || p.enforced(policy.Redact) || p.enforced(policy.Ownership))
}

// privateCache writes Cache-Control so that no shared cache keeps what one
// caller was given (RFC 9111 section 5.2.2.7).
func (p *Pass) privateCache() {
	from := len(p.text)
	isPrivate := false
	for i := range p.Response.Header {
		if p.Response.Header[i].ID != exchange.CacheControl {
			continue
		}
		rest := p.Response.Header[i].Value
		for len(rest) > 0 {
			var d []byte
			d, rest = directive(rest)
			switch {
			case len(d) == 0, exchange.EqualFold(d, "public"), len(d) >= 8 && exchange.EqualFold(d[:8], "s-maxage"):
				continue
			case exchange.EqualFold(d, "private"), exchange.EqualFold(d, "no-store"):
				isPrivate = true
			}
			if len(p.text) > from {
				p.text = append(p.text, ", "...)
			}
			p.text = append(p.text, d...)
		}
	}
	if !isPrivate {
		if len(p.text) > from {
			p.text = append(p.text, ", "...)
		}
		p.text = append(p.text, private...)
	}
	p.fields = append(p.fields, exchange.F(exchange.CacheControl, p.text[from:len(p.text):len(p.text)]))
}

// targetsCaches reports whether a field tells caches of one kind something else
// than Cache-Control does (RFC 9213).
func targetsCaches(name []byte) bool {
	const targeted = "cdn-cache-control"
	return len(name) >= len(targeted) && exchange.EqualFold(name[len(name)-len(targeted):], targeted) ||
		exchange.EqualFold(name, "surrogate-control") || exchange.EqualFold(name, "x-accel-expires")
}

// directive takes the first directive off a list. A quoted string may hold
// commas.
func directive(s []byte) (d, rest []byte) {
	quoted := false
	i := 0
	for ; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ',' && !quoted:
			d, rest = s[:i], s[i+1:]
			return trim(d), rest
		}
	}
	return trim(s), nil
}

func trim(s []byte) []byte {
	for len(s) > 0 && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for len(s) > 0 && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// serverDetails are headers that tell what the upstream is made of.
var serverDetails = [...]struct{ lower, at string }{
	{"x-aspnet-version", "header X-AspNet-Version"}, {"x-aspnetmvc-version", "header X-AspNetMvc-Version"}, {"x-runtime", "header X-Runtime"},
	{"x-generator", "header X-Generator"}, {"x-debug-token", "header X-Debug-Token"}, {"x-debug-token-link", "header X-Debug-Token-Link"},
	{"x-backend-server", "header X-Backend-Server"}, {"x-server", "header X-Server"}, {"x-application-context", "header X-Application-Context"},
	{"x-envoy-upstream-service-time", "header X-Envoy-Upstream-Service-Time"},
}

// serverDetail returns which of them a header is, as events name it, or "".
func serverDetail(name []byte) string {
	if len(name) < 8 || name[0]|0x20 != 'x' {
		return ""
	}
	for i := range serverDetails {
		if exchange.EqualFold(name, serverDetails[i].lower) {
			return serverDetails[i].at
		}
	}
	return ""
}

// hitOf makes a hit.
func hitOf(c policy.Control, r exchange.Reason, observed bool, entry, at string) event.Hit {
	return event.Hit{Control: c.String(), Reason: r, Observed: observed, Entry: entry, At: at}
}

// pseudonym returns what stands for a subject in events.
func (p *Pass) pseudonym(a *authn.Principal) string { return a.Pseudonym(p.g.pseudo) }

// origin refuses pages of other origins that policy does not list.
func (p *Pass) origin(context.Context) bool {
	c := p.op.CORS
	if c == nil || !p.matched {
		return false
	}
	o, ok := p.Request.Header.Get(exchange.Origin)
	if !ok || p.allowedOrigin(c, o) {
		return false
	}
	return p.found(policy.Origins, exchange.CORSOrigin, "header Origin")
}

func (p *Pass) allowedOrigin(c *plan.CORS, origin []byte) bool {
	if c.Any {
		return true
	}
	p.keyText = appendLower(p.keyText[:0], origin)
	return p.Request.Header.Count(exchange.Origin) == 1 && c.Origins[string(p.keyText)]
}

// corsAnswer tells the browser whether the page may read the answer (Fetch
// standard, section 3.2).
func (p *Pass) corsAnswer() {
	if p.op == nil || p.op.CORS == nil || !p.enforced(policy.Origins) {
		return
	}
	c := p.op.CORS
	same := c.Any && !c.Credentials // for every origin
	if !same {
		p.fields = append(p.fields, exchange.F(exchange.Vary, originVary))
	}
	o, ok := p.Request.Header.Get(exchange.Origin)
	if !ok || !p.allowedOrigin(c, o) {
		return
	}
	if same {
		o = starOrigin
	}
	p.fields = append(p.fields, exchange.Field{Name: acao, Value: o})
	if c.Credentials && !c.Any {
		p.fields = append(p.fields, exchange.Field{Name: acac, Value: trueValue})
	}
	if c.Expose != "" {
		p.addOther(aceh, c.Expose)
	}
}

// options answers OPTIONS for a path that does not declare it: a preflight by
// the policy, any other with the methods that there are. Where operations are
// only observed it goes on to the upstream.
func (p *Pass) options(preflight bool) bool {
	if preflight {
		h := p.Request.Header
		m, _ := h.Get(exchange.AccessControlRequestMethod)
		declared := false
		for _, o := range p.match.Allowed {
			if o.Method == string(m) {
				p.op, declared = o, true
			}
		}
		if p.op.CORS != nil && declared { // without a word of CORS the browser refuses by itself
			o, _ := h.Get(exchange.Origin)
			p.preflight = p.allowedOrigin(p.op.CORS, o)
			if !p.preflight && p.found(policy.Origins, exchange.CORSOrigin, "header Origin") {
				return true
			}
		}
	}
	if !p.enforced(policy.Operations) {
		p.op = p.api.Unmatched
		return false
	}
	p.own, p.verdict = Answer, exchange.Allowed
	return true
}

// optionsReply answers OPTIONS.
func (p *Pass) optionsReply() Reply {
	p.fields = append(p.fields, exchange.F(exchange.CacheControl, noStore), exchange.F(exchange.SallyportRequestID, p.id[:]))
	p.allow()
	if p.preflight {
		p.corsAnswer()
		c := p.op.CORS
		m, _ := p.Request.Header.Get(exchange.AccessControlRequestMethod)
		p.addOther(acam, string(m))
		hs := c.HeaderList
		for _, prm := range p.op.Headers {
			if hs != "" {
				hs += ", "
			}
			hs += prm.Name
		}
		if hs != "" {
			hs += ", "
		}
		p.addOther(acah, hs+"Authorization, Content-Type")
		if c.MaxAge > 0 {
			p.addOther(acma, strconv.Itoa(int(c.MaxAge/time.Second)))
		}
	}
	return Reply{Status: 204, Header: p.fields, Ours: true}
}
