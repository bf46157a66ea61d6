package guard

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"unicode/utf8"

	"github.com/sallyport/sallyport/exchange"
	"github.com/sallyport/sallyport/jsonschema"
	"github.com/sallyport/sallyport/plan"
	"github.com/sallyport/sallyport/policy"
)

// hasBody reports whether the request carries a body, or may.
func (p *Pass) hasBody() bool { return p.Request.Length != 0 }

// bodyMode is the strictest mode of the controls that need to read the body: a
// body that one of them cannot read does not pass it, whatever the mode of the
// control that reads for all of them.
func (p *Pass) bodyMode() policy.Mode {
	m := min(p.op.Modes[policy.RequestBody], p.op.Modes[policy.MassAssignment])
	if p.ownedBody() {
		m = min(m, p.op.Modes[policy.Ownership])
	}
	for i := range p.op.Limits {
		if l := &p.op.Limits[i]; l.Body && p.on(policy.Limits) {
			m = min(m, l.Mode)
		}
	}
	return m
}

// ownedBody reports whether a rule finds the owner in the request's body.
func (p *Pass) ownedBody() bool {
	for i := range p.op.Owners {
		if p.op.Owners[i].In == policy.InRequest {
			return true
		}
	}
	return false
}

// unreadBody records that the body cannot be read by those who need it.
func (p *Pass) unreadBody(r exchange.Reason, at, entry string) (refused bool) {
	return p.foundBy(p.bodyMode(), policy.RequestBody, r, at, entry)
}

// passesUnread reports whether policy lets such a body pass, and counts it.
func (p *Pass) passesUnread(r exchange.Reason) bool {
	if p.op.Unread != policy.PassUnread {
		return false
	}
	p.stats.total.unread.Add(1)
	p.noted(policy.RequestBody, r, "body", true)
	return true
}

// mediaType decides from the head how the body is read, if at all.
func (p *Pass) mediaType(context.Context) bool {
	if !p.matched || p.bodyMode() == policy.Off {
		return false
	}
	b := p.op.Body
	switch {
	case b == nil && p.hasBody() && p.Request.Length > 0:
		return p.found(policy.RequestBody, exchange.RequestBodyUnexpected, "body")
	case b == nil:
		// A length that is not known before the end may turn out to be none.
		p.wantBody = p.hasBody()
		return false
	case !p.hasBody():
		if b.Required {
			return p.found(policy.RequestBody, exchange.RequestBodyMissing, "body")
		}
		return false
	}
	if p.Request.Header.Count(exchange.ContentType) != 1 {
		return p.unreadBody(exchange.RequestMediaType, "header Content-Type", b.Entry)
	}
	v, _ := p.Request.Header.Get(exchange.ContentType)
	typ, params, ok := p.mediaOf(v)
	if ok {
		p.media = b.For(typ)
	}
	if p.media == nil {
		return p.unreadBody(exchange.RequestMediaType, "header Content-Type", b.Entry)
	}
	kind := p.media.Kind
	if kind == plan.MediaJSON && !isJSON(typ) {
		// A range that is declared. What is in it must be read as what the
		// upstream takes it for, and not as JSON.
		if kind = plan.MediaUnreadable; p.media.Schema == nil {
			kind = plan.MediaOpaque
		}
	}
	switch kind {
	case plan.MediaUnreadable:
		entry := p.media.Entry
		p.media = nil
		return !p.passesUnread(exchange.RequestUnread) && p.unreadBody(exchange.RequestUnread, "header Content-Type", entry)
	case plan.MediaOpaque:
		return false
	}
	if !utf8Charset(params) {
		p.media = nil
		return p.unreadBody(exchange.RequestMediaType, "header Content-Type", b.Entry)
	}
	if p.Request.Length > int64(p.op.MaxRequest) {
		return !p.passesUnread(exchange.RequestTooLarge) && p.unreadBody(exchange.RequestTooLarge, "body", p.op.Entries[policy.RequestBody])
	}
	p.wantBody = true
	return false
}

// mediaOf splits a Content-Type (RFC 9110 section 8.3) into the media type in
// lower case and its parameters. The type borrows a buffer of the pass.
func (p *Pass) mediaOf(v []byte) (typ, params []byte, ok bool) {
	typ, params, _ = bytes.Cut(v, []byte(";"))
	typ = bytes.TrimRight(typ, " \t")
	p.typeBuf = appendLower(p.typeBuf[:0], typ)
	slash := bytes.IndexByte(p.typeBuf, '/')
	if slash <= 0 || slash == len(p.typeBuf)-1 {
		return nil, nil, false
	}
	for i, c := range p.typeBuf {
		if i != slash && !isToken(c) {
			return nil, nil, false
		}
	}
	return p.typeBuf, params, true
}

func isToken(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || bytes.IndexByte([]byte("!#$%&'*+-.^_`|~"), c) >= 0
}

// utf8Charset reports whether the parameters of a media type leave no doubt
// that the text is UTF-8, which is all that JSON may be (RFC 8259 section 8.1)
// and all that is read of forms and texts. It does not mind quotes: whatever
// any reader could take for a charset must be this one.
func utf8Charset(params []byte) bool {
	for len(params) > 0 {
		var one []byte
		one, params, _ = bytes.Cut(params, []byte(";"))
		k, v, _ := bytes.Cut(one, []byte("="))
		k, v = bytes.Trim(k, " \t"), bytes.Trim(v, " \t\"")
		switch {
		case len(k) < len("charset") || !exchange.EqualFold(k[:len("charset")], "charset"):
		case len(k) > len("charset"): // charset*, as RFC 2231 has it
			return false
		case !exchange.EqualFold(v, "utf-8") && !exchange.EqualFold(v, "utf8") && !exchange.EqualFold(v, "us-ascii"):
			return false
		}
	}
	return true
}

// parseBody reads the body strictly and finds what other controls ask for.
// What is wrong with it is judged by the checks behind.
func (p *Pass) parseBody(context.Context) bool {
	if !p.bodyRead {
		return false
	}
	if p.bodyErr != nil {
		r := exchange.RequestTruncated
		switch {
		case errors.Is(p.bodyErr, ErrTooLarge):
			r = exchange.RequestTooLarge
			if p.LargePasses() {
				p.media, p.bodyRead, p.wantBody = nil, false, false
				return !p.passesUnread(r) && p.unreadBody(r, "body", p.op.Entries[policy.RequestBody])
			}
		case errors.Is(p.bodyErr, ErrTimeout):
			r = exchange.WireTimeout
		case errors.Is(p.bodyErr, ErrMalformed):
			r = exchange.WireFraming
		}
		// A body that did not arrive cannot be passed on, whatever the mode.
		return p.end(policy.RequestBody, r)
	}
	body := p.Request.Body
	if p.op.Body == nil {
		if len(body) > 0 {
			return p.found(policy.RequestBody, exchange.RequestBodyUnexpected, "body")
		}
		return false
	}
	if len(body) == 0 {
		p.media = nil
		if p.op.Body.Required {
			return p.found(policy.RequestBody, exchange.RequestBodyMissing, "body")
		}
		return false
	}
	if p.media == nil {
		return false
	}
	p.decoded = body
	if n := p.Request.Header.Count(exchange.ContentEncoding); n > 0 {
		v, _ := p.Request.Header.Get(exchange.ContentEncoding)
		var r exchange.Reason
		p.decoded, r = p.decode(v, n, body, p.op.MaxRequest, &requestCodings)
		if r != exchange.OK {
			p.media, p.decoded = nil, nil
			return !(r == exchange.RequestCoding && p.passesUnread(r)) && p.unreadBody(r, "body", p.op.Entries[policy.RequestBody])
		}
	}
	switch p.media.Kind {
	case plan.MediaJSON:
		p.check(p.decoded)
	case plan.MediaForm:
		p.form()
	case plan.MediaMultipart:
		p.multipart()
	case plan.MediaText:
		p.textBody()
	}
	return p.overriding && p.found(policy.Operations, exchange.Shadowed, "body _method")
}

// check runs the engine over a JSON text that is, or stands for, the body.
func (p *Pass) check(doc []byte) {
	s := p.media.Schema
	if s == nil {
		s = p.op.Open
	}
	undeclared, readOnly := p.op.Undeclared, p.op.ReadOnly
	if p.media.Kind != plan.MediaJSON {
		// Nothing can be cut out of a form, so that it is refused.
		undeclared, readOnly = uncut(undeclared), uncut(readOnly)
	}
	f := &p.filter
	f.Lenient, f.Detectors, f.Redact = true, nil, nil
	f.WriteOnly = jsonschema.Keep
	f.Undeclared = p.handling(undeclared, policy.MassAssignment)
	f.ReadOnly = p.handling(readOnly, policy.MassAssignment)
	keep := f.Keep
	if !p.on(policy.Ownership) || !p.ownedBody() {
		f.Keep = nil
	}
	out, err := s.Filter(p.outBuf[:0], doc, f, &p.report)
	p.violations, _ = err.(*jsonschema.Error)
	if out == nil && !p.violations.Syntax {
		// What is denied may be observed only, so that the values that other
		// controls ask for are wanted all the same.
		f.Undeclared, f.ReadOnly = undenied(f.Undeclared), undenied(f.ReadOnly)
		out, _ = s.Filter(p.outBuf[:0], doc, f, &p.report)
	}
	f.Keep = keep
	p.captured = p.captured[:0]
	for range p.op.Captures {
		p.captured = append(p.captured, nil)
	}
	for _, c := range p.report.Captured {
		if c.Capture < len(p.captured) && p.captured[c.Capture] == nil {
			p.captured[c.Capture] = doc[c.Start:c.End]
		}
	}
	if p.report.Changed && p.media.Kind == plan.MediaJSON && p.enforced(policy.MassAssignment) {
		undeclared, readOnly := p.op.Undeclared == policy.ReportThem, p.op.ReadOnly == policy.ReportThem
		if undeclared && readOnly {
			return
		}
		if undeclared || readOnly { // one is cut out, the other only reported
			var again jsonschema.Report
			if undeclared {
				f.Undeclared = jsonschema.Keep
			} else {
				f.ReadOnly = jsonschema.Keep
			}
			f.Keep = nil
			out, _ = s.Filter(p.outBuf[:0], doc, f, &again)
			f.Keep = keep
			if !again.Changed {
				return
			}
		}
		p.outBuf, p.forward, p.changed = out, out, true
	}
}

// uncut refuses where nothing can be cut out.
func uncut(u policy.Undeclared) policy.Undeclared {
	if u == policy.StripThem {
		return policy.DenyThem
	}
	return u
}

// handling is what the engine does with properties that may not pass. Where
// policy only reports them they are cut out of a copy that is thrown away.
func (p *Pass) handling(u policy.Undeclared, c policy.Control) jsonschema.Handling {
	switch {
	case !p.on(c):
		return jsonschema.Keep
	case u == policy.DenyThem:
		return jsonschema.Deny
	}
	return jsonschema.Drop
}

// judgeBody says what the schema found.
func (p *Pass) judgeBody(context.Context) bool {
	e := p.violations
	if e == nil {
		return false
	}
	reason := exchange.RequestBody
	if e.Syntax {
		reason = exchange.RequestJSON
		if e.Violations[0].Keyword == "limit" {
			reason = exchange.RequestTooLarge
		}
		if p.media.Kind != plan.MediaJSON {
			reason = exchange.RequestBody
		}
		if e.Violations[0].Keyword == "limit" && p.media.Kind == plan.MediaJSON && e.Violations[0].Offset < p.op.MaxRequest {
			reason = exchange.RequestJSON
		}
	}
	n, at := 0, ""
	for i := range e.Violations {
		v := &e.Violations[i]
		if assigns(v.Keyword) && p.on(policy.MassAssignment) {
			continue // the next check's to judge
		}
		if n++; n == 1 {
			at = "body " + v.Instance
		}
		p.fault("body", v.Instance, v.Message)
	}
	if n == 0 {
		return false
	}
	mode := p.op.Modes[policy.RequestBody]
	if e.Syntax {
		mode = p.bodyMode()
	}
	return p.foundBy(mode, policy.RequestBody, reason, at, p.entryOf(&e.Violations[0], p.media.Entry))
}

// assigns reports whether a violation is one of mass assignment.
func assigns(keyword string) bool {
	switch keyword {
	case "undeclared", "additionalProperties", "unevaluatedProperties", "readOnly":
		return true
	}
	return false
}

// entryOf names the line of the contract that a violation comes from.
func (p *Pass) entryOf(v *jsonschema.Violation, otherwise string) string {
	if v.Pos.File == "" {
		return otherwise
	}
	return v.Pos.File + ":" + strconv.Itoa(v.Pos.Line)
}

// judgeUndeclared says which properties a caller may not set.
func (p *Pass) judgeUndeclared(context.Context) bool {
	if e := p.violations; e != nil {
		for _, reason := range [...]exchange.Reason{exchange.RequestUndeclared, exchange.RequestReadOnly} {
			at := ""
			for i := range e.Violations {
				v := &e.Violations[i]
				if !assigns(v.Keyword) || (v.Keyword == "readOnly") != (reason == exchange.RequestReadOnly) {
					continue
				}
				if at == "" {
					at = "body " + v.Instance
				}
				p.fault("body", v.Instance, v.Message)
			}
			if at != "" && p.found(policy.MassAssignment, reason, at) {
				return true
			}
		}
	}
	p.cutOut(exchange.RequestUndeclared, &p.report.Undeclared, p.op.Undeclared)
	p.cutOut(exchange.RequestReadOnly, &p.report.ReadOnly, p.op.ReadOnly)
	return false
}

// cutOut says what was cut out of the request, or would have been.
func (p *Pass) cutOut(r exchange.Reason, n *jsonschema.Named, u policy.Undeclared) {
	if n.Count == 0 || u == policy.DenyThem {
		return
	}
	stays := u == policy.ReportThem || !p.enforced(policy.MassAssignment)
	p.noted(policy.MassAssignment, r, bodyAt(n), stays)
	if !stays {
		p.stripped += n.Count
	}
}

// bodyAt names the first place of several.
func bodyAt(n *jsonschema.Named) string {
	if len(n.Pointers) == 0 {
		return "body"
	}
	return "body " + n.Pointers[0]
}

// textBody checks a text against its schema, as the string that it is.
func (p *Pass) textBody() {
	if p.media.Schema == nil {
		return
	}
	if !utf8.Valid(p.decoded) {
		p.violations = broken("is not valid UTF-8")
		return
	}
	p.plainBuf = appendString(p.plainBuf[:0], p.decoded)
	p.check(p.plainBuf)
}

// broken is the error of a body that cannot be read by its media type.
func broken(msg string) *jsonschema.Error {
	return &jsonschema.Error{Syntax: true, Violations: []jsonschema.Violation{{Keyword: "syntax", Message: msg}}}
}

// jsonText returns the text of a captured string or number.
func (p *Pass) jsonText(raw []byte) ([]byte, bool) {
	if len(raw) == 0 {
		return nil, false
	}
	switch c := raw[0]; {
	case c == '"':
		if bytes.IndexByte(raw, '\\') < 0 {
			return raw[1 : len(raw)-1], true
		}
		var s string
		if json.Unmarshal(raw, &s) != nil {
			return nil, false
		}
		return []byte(s), true
	case c == '-' || '0' <= c && c <= '9':
		return raw, true
	}
	return nil, false
}
