package guard

import (
	"errors"

	"github.com/sallyport/sallyport/classify"
	"github.com/sallyport/sallyport/exchange"
	"github.com/sallyport/sallyport/jsonschema"
	"github.com/sallyport/sallyport/plan"
	"github.com/sallyport/sallyport/policy"
)

// maxError is how much of an error answer is read to look for stack traces.
const maxError = 256 << 10

// schemaUse is how the answer's schema is applied.
type schemaUse struct {
	schema *jsonschema.Schema
	scan   bool // an error answer that is looked through for stack traces
}

// responseDoor is the order in which an answer's body is judged, once it is
// read. What may not leave is decided before anything of it is sent.
var responseDoor = [...]func(p *Pass) (refused bool){
	(*Pass).answerArrived,
	(*Pass).answerDecoded,
	(*Pass).answerScrubbed,
	(*Pass).answerFiltered, // schema, owner, undeclared, redaction: one pass over the bytes
}

// ResponseHead runs the response door over the head: it returns Refuse,
// ReadBody or Forward.
func (p *Pass) ResponseHead() Step {
	p.upstream = p.Response.Status
	p.upTook = p.g.now().Sub(p.upBegan)
	status := p.Response.Status
	if p.Request.Method == "HEAD" || status == 204 || status == 304 || p.Response.Length == 0 {
		p.declaredStatus()
		return p.answered()
	}
	if p.declaredStatus() {
		return p.own
	}
	if !p.chooseSchema() {
		return p.own
	}
	if !p.readAnswer {
		return p.answered()
	}
	if p.Response.Length > int64(p.maxAnswer()) {
		if p.unreadable(exchange.ResponseTooLarge) {
			return p.own
		}
		p.readAnswer = false
		return p.answered()
	}
	return ReadBody
}

// answered ends the response door well.
func (p *Pass) answered() Step {
	if p.verdict.Action == exchange.Deny {
		return Refuse
	}
	return Forward
}

func (p *Pass) maxAnswer() int {
	if p.schemas.scan && p.schemas.schema == nil {
		return maxError
	}
	return p.op.MaxResponse
}

// declaredStatus looks the status up in the contract.
func (p *Pass) declaredStatus() (refused bool) {
	if !p.matched {
		return false
	}
	p.answer = p.op.Response(p.Response.Status)
	if p.answer != nil || !p.on(policy.ResponseStatus) || p.Response.Status == 304 {
		return false
	}
	return p.violated(policy.ResponseStatus, exchange.ResponseStatus, "status")
}

// violated records that the upstream breaks its contract. Real services do, so
// this refuses only where policy says responses: strict.
func (p *Pass) violated(c policy.Control, r exchange.Reason, at string) (refused bool) {
	if !p.op.Strict {
		p.noted(c, r, at, true)
		return false
	}
	return p.found(c, r, at)
}

// chooseSchema finds what the answer's body is judged by, and whether it must
// be read. It reports false where the answer is refused.
func (p *Pass) chooseSchema() bool {
	if !p.matched {
		return true
	}
	isError := p.Response.Status >= 400
	scan := isError && p.on(policy.Scrub)
	p.schemas = schemaUse{scan: scan}
	var typ []byte
	known := false
	if p.Response.Header.Count(exchange.ContentType) == 1 {
		v, _ := p.Response.Header.Get(exchange.ContentType)
		var params []byte
		if typ, params, known = p.mediaOf(v); known && isJSON(typ) && !utf8Charset(params) {
			known = false
		}
	}
	if p.answer != nil && known {
		p.amedia = p.answer.For(typ)
	}
	switch {
	case p.amedia == nil && p.answer != nil && p.on(policy.ResponseStatus):
		if p.violated(policy.ResponseStatus, exchange.ResponseMediaType, "header Content-Type") {
			return false
		}
	}
	json := known && isJSON(typ)
	media := p.amedia
	if media == nil && json && p.answer != nil && !isError {
		// Callers choose among media types with Accept: none of them may be
		// a way around the filter.
		media = p.answer.JSON()
	}
	switch {
	case media != nil && media.Kind == plan.MediaJSON && json:
		p.schemas.schema = media.Schema
		if media.Schema == nil {
			p.schemas.schema = p.op.Open
		}
		p.readAnswer = p.schemas.schema != nil && (media.Schema != nil || p.looks())
	case json && p.answer != nil && len(p.answer.Media) > 0 && !isError && p.on(policy.ResponseFilter):
		// Only other media types are declared, so nothing says what of this
		// may leave.
		return !p.unreadable(exchange.ResponseMediaType)
	case json:
		p.schemas.schema = p.op.Open
		p.readAnswer = p.looks() || scan
	case media != nil && !p.looks() && media.Kind != plan.MediaUnreadable && (media.Kind != plan.MediaJSON || media.Schema == nil):
		p.readAnswer = scan // declared, and nothing is asked of its bytes
	case p.needed():
		if scan {
			p.readAnswer = true
			return true
		}
		if p.Response.Status/100 == 3 && p.op.Unread != policy.PassUnread && p.readingMode() == policy.Enforce {
			// A redirect is its head; the page that comes with it is for
			// nobody, and may hold what the caller may not see.
			p.stats.total.unread.Add(1)
			p.noted(policy.ResponseFilter, p.unreadReason(), "body", false)
			p.headOnly, p.altered = true, true
			return true
		}
		return !p.unreadable(p.unreadReason())
	default:
		p.readAnswer = scan
	}
	if p.readAnswer && p.Response.Status == 206 {
		if p.unreadable(exchange.ResponsePartial) {
			return false
		}
		p.readAnswer = false
	}
	if !p.on(policy.ResponseBody) && !p.on(policy.ResponseFilter) && !p.on(policy.Redact) && !p.on(policy.Ownership) && !scan {
		p.readAnswer = false
	}
	return true
}

// unreadReason tells an undeclared media type from a declared one that
// nobody can read.
func (p *Pass) unreadReason() exchange.Reason {
	if p.amedia == nil {
		return exchange.ResponseMediaType
	}
	return exchange.ResponseUnread
}

func isJSON(typ []byte) bool {
	s := borrowed(typ)
	return s == "application/json" || s == "text/json" || len(s) > 5 && s[len(s)-5:] == "+json"
}

// looks reports whether owners or redaction ask for values of every answer.
func (p *Pass) looks() bool {
	return len(p.op.Detectors) > 0 && p.on(policy.Redact) || p.ownedAnswer() && p.on(policy.Ownership)
}

// ownedAnswer reports whether a rule finds the owner in the answer. Errors
// have none.
func (p *Pass) ownedAnswer() bool {
	if p.Response.Status >= 300 {
		return false
	}
	for i := range p.op.Owners {
		if p.op.Owners[i].In == policy.InResponse {
			return true
		}
	}
	return false
}

// needed reports whether a control that is enforced must see the body.
func (p *Pass) needed() bool {
	return p.op.ReadsAnswer && (p.on(policy.ResponseFilter) || p.on(policy.Redact) && len(p.op.Detectors) > 0 || p.on(policy.Ownership) && p.ownedAnswer())
}

// unreadable records that a control could not read what it needs. It does not
// pass, unless policy says so.
func (p *Pass) unreadable(r exchange.Reason) (refused bool) {
	p.stats.total.unread.Add(1)
	c := policy.ResponseFilter
	if p.op.Unread == policy.PassUnread {
		p.noted(c, r, "body", true)
		return false
	}
	return p.withhold(p.readingMode(), c, r)
}

// readingMode is the strictest mode of the controls that must see the answer.
func (p *Pass) readingMode() policy.Mode {
	mode := policy.Off
	if p.op.ReadsAnswer {
		mode = min(p.op.Modes[policy.ResponseFilter], p.op.Modes[policy.Redact], p.op.Modes[policy.Ownership])
	}
	if p.schemas.scan {
		mode = min(mode, p.op.Modes[policy.Scrub])
	}
	if p.op.Strict {
		mode = min(mode, p.op.Modes[policy.ResponseBody])
	}
	return mode
}

// withhold refuses an answer. An error answer keeps its status: the caller
// learns what the upstream said, and nothing of how it said it.
func (p *Pass) withhold(mode policy.Mode, c policy.Control, r exchange.Reason) bool {
	if !p.foundBy(mode, c, r, "body", p.op.Entries[c]) {
		return false
	}
	if p.Response.Status >= 400 {
		p.status = p.Response.Status
	}
	return true
}

// ResponseBody goes on when the answer's body is there. err says why it is
// not; it is one of the errors that Body takes.
func (p *Pass) ResponseBody(body []byte, err error) Step {
	if body == nil {
		body = none
	}
	p.Response.Body, p.bodyErr = body, err
	p.body, p.decoded = body, body
	for _, judge := range responseDoor {
		if judge(p) {
			return p.own
		}
	}
	return p.answered()
}

// none is a body without a byte. Nil is a body that was not read.
var none = []byte{}

func (p *Pass) answerArrived() bool {
	switch {
	case p.bodyErr == nil:
		return false
	case errors.Is(p.bodyErr, ErrTooLarge):
		p.readAnswer, p.body, p.decoded = false, nil, nil // streamed, if at all
		return p.unreadable(exchange.ResponseTooLarge)
	case errors.Is(p.bodyErr, ErrTimeout):
		return p.end(policy.ResponseBody, exchange.UpstreamTimeout)
	case errors.Is(p.bodyErr, ErrMalformed):
		return p.end(policy.ResponseBody, exchange.UpstreamMalformed)
	}
	return p.end(policy.ResponseBody, exchange.UpstreamTruncated)
}

func (p *Pass) answerDecoded() bool {
	n := p.Response.Header.Count(exchange.ContentEncoding)
	if n == 0 || p.decoded == nil {
		return false
	}
	v, _ := p.Response.Header.Get(exchange.ContentEncoding)
	out, r := p.decode(v, n, p.body, p.maxAnswer(), &answerCodings)
	if r != exchange.OK {
		p.decoded = nil
		return p.unreadable(r)
	}
	p.decoded = out
	return false
}

// answerScrubbed looks through error answers for what only developers should
// see: the whole body is replaced where it has a stack trace or the like.
func (p *Pass) answerScrubbed() bool {
	if !p.schemas.scan || p.decoded == nil {
		return false
	}
	if classify.StackTrace(p.decoded) || classify.ServerDetail(p.decoded) {
		if p.found(policy.Scrub, exchange.ResponseScrubbed, "body") {
			p.status = p.Response.Status
			return true
		}
		return false
	}
	if p.schemas.schema == nil && p.needed() {
		return p.unreadable(p.unreadReason())
	}
	return false
}

// answerFiltered runs the engine over the answer: schema, owner, undeclared
// and writeOnly properties, and redaction, in one pass.
func (p *Pass) answerFiltered() bool {
	s := p.schemas.schema
	if s == nil || p.decoded == nil || len(p.body) == 0 {
		return false
	}
	f := &p.filter
	f.Lenient, f.ReadOnly = true, jsonschema.Keep
	f.Undeclared = p.handling(p.op.Strip, policy.ResponseFilter)
	f.WriteOnly = p.handling(p.op.WriteOnly, policy.ResponseFilter)
	f.Redact, f.Detectors = nil, nil
	if p.on(policy.Redact) {
		p.redactions()
	}
	keep := f.Keep
	if !p.on(policy.Ownership) || !p.ownedAnswer() {
		f.Keep = nil
	}
	p.foreign, p.dropping = 0, true
	out, err := s.Filter(p.outBuf[:0], p.decoded, f, &p.report)
	e, _ := err.(*jsonschema.Error)
	for out == nil && (e == nil || !e.Syntax) {
		// The engine gives nothing where something is denied, or belongs to
		// someone else and is no item that could be left out. That may be
		// observed only, so the other controls get to see the answer, too.
		switch {
		case err == jsonschema.ErrStopped && p.dropping:
			p.dropping = false
		case f.Undeclared == jsonschema.Deny || f.WriteOnly == jsonschema.Deny:
			f.Undeclared, f.WriteOnly = undenied(f.Undeclared), undenied(f.WriteOnly)
		default:
			f.Keep = keep
			return p.end(policy.ResponseBody, exchange.Internal)
		}
		p.foreign = 0
		if out, err = s.Filter(p.outBuf[:0], p.decoded, f, &p.report); e == nil {
			e, _ = err.(*jsonschema.Error)
		}
	}
	f.Keep = keep
	if e != nil && e.Syntax {
		if p.on(policy.ResponseBody) || p.needed() {
			return p.unreadable(exchange.ResponseJSON)
		}
		return false
	}
	if e != nil && p.on(policy.ResponseBody) && p.answerViolates(e) {
		return true
	}
	if p.foreign > 0 && p.foreignObject() {
		return true
	}
	if e != nil && p.mayNotLeave(e) {
		return true
	}
	return p.answerChanged(s, out)
}

// undenied lets pass what is denied.
func undenied(h jsonschema.Handling) jsonschema.Handling {
	if h == jsonschema.Deny {
		return jsonschema.Keep
	}
	return h
}

// answerViolates reports what the schema found.
func (p *Pass) answerViolates(e *jsonschema.Error) bool {
	for i := range e.Violations {
		v := &e.Violations[i]
		if (assigns(v.Keyword) || v.Keyword == "writeOnly") && p.on(policy.ResponseFilter) {
			continue // the filter's to judge
		}
		mode := p.op.Modes[policy.ResponseBody]
		if !p.op.Strict {
			mode = max(mode, policy.Observe)
		}
		return p.foundBy(mode, policy.ResponseBody, exchange.ResponseBody, "body "+v.Instance, p.entryOf(v, p.op.Entries[policy.ResponseBody]))
	}
	return false
}

// foreignObject refuses an object of someone else, or says that items of a
// list were left out.
func (p *Pass) foreignObject() bool {
	for i := range p.op.Owners {
		o := &p.op.Owners[i]
		if o.In != policy.InResponse {
			continue
		}
		mode := p.op.Modes[policy.Ownership]
		if o.Drop && o.List && p.dropping {
			p.hit(hitOf(policy.Ownership, exchange.ResponseOwner, mode != policy.Enforce, o.Entry, "body "+o.Name))
			return false
		}
		return p.foundBy(mode, policy.Ownership, exchange.ResponseOwner, "body "+o.Name, o.Entry)
	}
	return false
}

// mayNotLeave refuses an answer with properties that policy does not want cut
// out but denied.
func (p *Pass) mayNotLeave(e *jsonschema.Error) bool {
	for i := range e.Violations {
		switch v := &e.Violations[i]; {
		case v.Keyword == "writeOnly" && p.op.WriteOnly == policy.DenyThem:
			return p.withhold(p.op.Modes[policy.ResponseFilter], policy.ResponseFilter, exchange.ResponseWriteOnly)
		case assigns(v.Keyword) && p.op.Strip == policy.DenyThem:
			return p.withhold(p.op.Modes[policy.ResponseFilter], policy.ResponseFilter, exchange.ResponseUndeclared)
		}
	}
	return false
}

// answerChanged records what was cut out and masked, and takes the changed
// body for the answer as far as the controls enforce it.
func (p *Pass) answerChanged(s *jsonschema.Schema, out []byte) bool {
	r := &p.report
	filter, redact, own := p.enforced(policy.ResponseFilter), p.enforced(policy.Redact), p.enforced(policy.Ownership)
	stripU := filter && p.op.Strip == policy.StripThem
	stripW := filter && p.op.WriteOnly == policy.StripThem
	if r.Undeclared.Count > 0 {
		p.noted(policy.ResponseFilter, exchange.ResponseUndeclared, bodyAt(&r.Undeclared), !stripU)
		if stripU {
			p.stripped += r.Undeclared.Count
		}
	}
	if r.WriteOnly.Count > 0 {
		p.noted(policy.ResponseFilter, exchange.ResponseWriteOnly, bodyAt(&r.WriteOnly), !stripW)
		if stripW {
			p.stripped += r.WriteOnly.Count
		}
	}
	if r.Redacted.Count > 0 {
		p.noted(policy.Redact, exchange.ResponseRedacted, bodyAt(&r.Redacted), !redact)
		if redact {
			p.redacted += r.Redacted.Count
		}
	}
	if !r.Changed {
		return false
	}
	if (stripU || r.Undeclared.Count == 0) && (stripW || r.WriteOnly.Count == 0) && (redact || r.Redacted.Count == 0) && (own || r.Dropped == 0) {
		p.outBuf, p.body, p.altered = out, out, true
		return false
	}
	// Some of it is only observed: once more, with what is enforced alone.
	f := &p.filter
	if !stripU {
		f.Undeclared = jsonschema.Keep
	}
	if !stripW {
		f.WriteOnly = jsonschema.Keep
	}
	if !redact {
		f.Redact, f.Detectors = nil, nil
	}
	keep := f.Keep
	if !own || !p.ownedAnswer() {
		f.Keep = nil
	}
	var again jsonschema.Report
	out, _ = s.Filter(p.outBuf[:0], p.decoded, f, &again)
	f.Keep = keep
	if again.Changed {
		p.outBuf, p.body, p.altered = out, out, true
	}
	return false
}

// redactions sets how each class is shown to this caller.
func (p *Pass) redactions() {
	n := 0
	for i := range p.op.Redactions {
		r := &p.op.Redactions[i]
		if r.Class < 0 || r.Shown() {
			continue
		}
		sees := false
		for _, m := range r.Unless {
			if sees = m.Holds(p.principal); sees {
				break
			}
		}
		if sees {
			continue
		}
		for n <= r.Class {
			p.redact[n] = jsonschema.Redaction{}
			n++
		}
		p.redact[r.Class] = r.How
	}
	if n > 0 {
		p.filter.Redact, p.filter.Detectors = p.redact[:n], p.op.Detectors
	}
}

// keep is what the engine asks about each owner that stands in a body.
func (p *Pass) keep(capture int, raw []byte) jsonschema.Decision {
	in := policy.InResponse
	if p.Response.Status == 0 {
		in = policy.InRequest
	}
	for i := range p.op.Owners {
		o := &p.op.Owners[i]
		if o.In != in || o.Capture != capture {
			continue
		}
		if value, ok := p.jsonText(raw); ok && p.owns(o, value) {
			p.owned++
			return jsonschema.KeepItem
		}
		p.foreign++
		if o.Drop && o.List && p.dropping && in == policy.InResponse {
			return jsonschema.DropItem
		}
		break // the pass goes on, so that an event tells all that is wrong
	}
	return jsonschema.KeepItem
}
