package guard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/sallyport/sallyport/exchange"
	"github.com/sallyport/sallyport/jsonschema"
	"github.com/sallyport/sallyport/plan"
	"github.com/sallyport/sallyport/policy"
)

// parameters checks path, query, headers and cookies: each value is written
// as JSON by what its schema admits, and that is checked against the schema.
func (p *Pass) parameters(context.Context) bool {
	if !p.matched {
		return false
	}
	for i, prm := range p.op.Path {
		raw := p.match.Param(p.below, i)
		if msg := p.single(prm, raw, true); msg != "" && p.misfit(exchange.RequestParameter, "path", prm, msg) {
			return true
		}
	}
	if p.queryParameters() {
		return true
	}
	for _, prm := range p.op.Headers {
		if p.header(prm) {
			return true
		}
	}
	for _, prm := range p.op.Cookies {
		if p.cookie(prm) {
			return true
		}
	}
	return false
}

// misfit records a parameter that does not fit the contract.
func (p *Pass) misfit(r exchange.Reason, in string, prm *plan.Param, msg string) bool {
	p.fault(in, prm.Name, msg)
	return p.foundBy(p.op.Modes[policy.Parameters], policy.Parameters, r, in+" "+prm.Name, prm.Entry)
}

// single checks a value that stands as one text, in the styles of path and
// header. It returns what is wrong with it, or "".
func (p *Pass) single(prm *plan.Param, raw []byte, encoded bool) string {
	switch prm.Style {
	case plan.Label:
		if len(raw) == 0 || raw[0] != '.' {
			return "does not begin with a dot, as style label asks"
		}
		raw = raw[1:]
	case plan.Matrix:
		rest, ok := bytes.CutPrefix(raw, []byte(";"))
		if !ok {
			return "does not begin with a semicolon, as style matrix asks"
		}
		if prm.Explode && prm.Shape != plan.Scalar {
			raw = rest
			break
		}
		name, value, _ := bytes.Cut(rest, []byte("="))
		if string(name) != prm.Name {
			return "does not begin with its name, as style matrix asks"
		}
		raw = value
	}
	sep := byte(',')
	if prm.Explode && prm.Style == plan.Label {
		sep = '.'
	}
	if prm.Explode && prm.Style == plan.Matrix {
		sep = ';'
	}
	p.jsonBuf = p.jsonBuf[:0]
	var err error
	switch prm.Shape {
	case plan.Text:
		p.scratch, err = unescape(p.scratch[:0], raw, encoded, false)
		return message(err)
	case plan.JSON:
		if p.scratch, err = unescape(p.scratch[:0], raw, encoded, false); err != nil {
			return message(err)
		}
		return fits(prm.Schema, p.scratch)
	case plan.Scalar:
		if p.scratch, err = unescape(p.scratch[:0], raw, encoded, false); err != nil {
			return message(err)
		}
		p.jsonBuf, err = appendScalar(p.jsonBuf, p.scratch, prm.Types)
	case plan.List:
		p.jsonBuf = append(p.jsonBuf, '[')
		p.jsonBuf, err = p.elements(p.jsonBuf, prm, raw, sep, encoded, false)
		p.jsonBuf = append(p.jsonBuf, ']')
	case plan.Map:
		p.jsonBuf = append(p.jsonBuf, '{')
		p.jsonBuf, err = p.members(p.jsonBuf, prm, raw, sep, encoded, false)
		p.jsonBuf = append(p.jsonBuf, '}')
	}
	if err != nil {
		return message(err)
	}
	return fits(prm.Schema, p.jsonBuf)
}

// elements appends the parts of a list, with commas between them.
func (p *Pass) elements(dst []byte, prm *plan.Param, raw []byte, sep byte, encoded, plus bool) ([]byte, error) {
	first := len(dst) > 0 && dst[len(dst)-1] == '['
	for more := len(raw) > 0; more; {
		var part []byte
		part, raw, more = bytes.Cut(raw, []byte{sep})
		if prm.Style == plan.Matrix && prm.Explode {
			name, value, _ := bytes.Cut(part, []byte("="))
			if string(name) != prm.Name {
				return dst, errors.New("holds another name, where style matrix repeats its own")
			}
			part = value
		}
		if prm.Style == plan.Simple && !encoded { // of a header, whose lists have white space (RFC 9110 section 5.6.1)
			part = bytes.Trim(part, " \t")
		}
		var err error
		if p.scratch, err = unescape(p.scratch[:0], part, encoded, plus); err != nil {
			return dst, err
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		if dst, err = appendScalar(dst, p.scratch, prm.Types); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// members appends the properties of an object: "k,v,k,v", or "k=v,k=v" where
// exploded.
func (p *Pass) members(dst []byte, prm *plan.Param, raw []byte, sep byte, encoded, plus bool) ([]byte, error) {
	first := true
	for more := len(raw) > 0; more; {
		var key, value []byte
		key, raw, more = bytes.Cut(raw, []byte{sep})
		if prm.Explode {
			var ok bool
			if key, value, ok = bytes.Cut(key, []byte("=")); !ok {
				return dst, errors.New("a property has no value")
			}
		} else {
			if !more {
				return dst, errors.New("a property has no value")
			}
			value, raw, more = bytes.Cut(raw, []byte{sep})
		}
		var err error
		if dst, err = p.member(dst, prm, key, value, &first, encoded, plus); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

func (p *Pass) member(dst []byte, prm *plan.Param, key, value []byte, first *bool, encoded, plus bool) (_ []byte, err error) {
	if !*first {
		dst = append(dst, ',')
	}
	*first = false
	if p.scratch, err = unescape(p.scratch[:0], key, encoded, plus); err != nil {
		return dst, err
	}
	types, ok := prm.Props[string(p.scratch)]
	if !ok {
		types = prm.Types
	}
	dst = append(appendString(dst, p.scratch), ':')
	if p.scratch, err = unescape(p.scratch[:0], value, encoded, plus); err != nil {
		return dst, err
	}
	return appendScalar(dst, p.scratch, types)
}

// pair is a name and value of the query, still encoded.
type pair struct{ name, value []byte }

// pairs yields the query's pairs. Only "&" separates: what another reader
// takes for a separator is escaped in what is forwarded.
func pairs(query []byte, yield func(pair) bool) {
	for len(query) > 0 {
		var part []byte
		part, query, _ = bytes.Cut(query, []byte("&"))
		if len(part) == 0 {
			continue
		}
		name, value, _ := bytes.Cut(part, []byte("="))
		if !yield(pair{name, value}) {
			return
		}
	}
}

// queryParameters checks the query and writes it afresh.
func (p *Pass) queryParameters() bool {
	// p.seen counts the pairs of each parameter, and behind that holds for
	// each pair whose it is, or -1.
	p.seen = p.seen[:0]
	for range p.op.Query {
		p.seen = append(p.seen, 0)
	}
	ends, strip, malformed := false, false, false
	pairs(p.Request.Query, func(kv pair) bool {
		i := -1
		var err error
		if p.scratch, err = unescape(p.scratch[:0], kv.name, true, true); err == nil {
			i = p.declared(p.scratch)
		}
		p.seen = append(p.seen, i)
		switch {
		case i >= 0:
			p.seen[i]++
		case err != nil:
			p.fault("query", "", err.Error())
			ends = !malformed && p.found(policy.Parameters, exchange.RequestParameter, "query")
			malformed = true
		case exchange.EqualFold(p.scratch, "_method") && p.found(policy.Operations, exchange.Shadowed, "query _method"):
			ends = true
		case !p.op.AnyQuery && p.on(policy.MassAssignment):
			if len(p.faults) < maxFaults {
				p.fault("query", string(p.scratch), "is not declared")
			}
			ends = !strip && p.undeclaredParameter()
			strip = true
		}
		return !ends
	})
	if ends {
		return true
	}
	for i, prm := range p.op.Query {
		msg := p.fromQuery(prm, i)
		if msg != "" && p.misfit(exchange.RequestParameter, "query", prm, msg) {
			return true
		}
	}
	strip = strip && p.op.Undeclared == policy.StripThem && p.enforced(policy.MassAssignment)
	if strip || p.enforced(policy.Parameters) {
		p.rewriteQuery(strip)
	}
	return false
}

// undeclaredParameter says, once, that the query holds what is not declared.
func (p *Pass) undeclaredParameter() (refused bool) {
	if p.op.Undeclared == policy.DenyThem {
		return p.found(policy.MassAssignment, exchange.RequestUndeclaredParameter, "query")
	}
	p.noted(policy.MassAssignment, exchange.RequestUndeclaredParameter, "query", p.op.Undeclared == policy.ReportThem || !p.enforced(policy.MassAssignment))
	return false
}

// declared returns which parameter a decoded name of the query belongs to.
func (p *Pass) declared(name []byte) int {
	for i, prm := range p.op.Query {
		// An object that is written as pairs of its own has none of its name.
		if string(name) == prm.Name && !(prm.Shape == plan.Map && (prm.Style == plan.DeepObject || prm.Style == plan.Form && prm.Explode)) {
			return i
		}
	}
	for i, prm := range p.op.Query {
		if prm.Shape != plan.Map {
			continue
		}
		if prm.Style == plan.DeepObject && len(name) > len(prm.Name)+1 && name[len(name)-1] == ']' &&
			string(name[:len(prm.Name)]) == prm.Name && name[len(prm.Name)] == '[' {
			return i
		}
		if prm.Style == plan.Form && prm.Explode {
			if _, ok := prm.Props[string(name)]; ok {
				return i
			}
		}
	}
	for i, prm := range p.op.Query {
		if prm.Shape == plan.Map && prm.Style == plan.Form && prm.Explode && len(prm.Props) == 0 {
			return i // its properties have any name
		}
	}
	return -1
}

// fromQuery checks the parameter of the query with an index.
func (p *Pass) fromQuery(prm *plan.Param, index int) string {
	n, whose := p.seen[index], p.seen[len(p.op.Query):]
	if n == 0 {
		if prm.Required {
			return "is required"
		}
		return ""
	}
	many := prm.Explode && (prm.Shape == plan.List || prm.Shape == plan.Map) || prm.Style == plan.DeepObject
	if n > 1 && !many {
		return "stands more than once"
	}
	sep := byte(',')
	switch prm.Style {
	case plan.SpaceDelimited:
		sep = ' '
	case plan.PipeDelimited:
		sep = '|'
	case plan.TabDelimited:
		sep = '\t'
	}
	dst := p.jsonBuf[:0]
	switch prm.Shape {
	case plan.List:
		dst = append(dst, '[')
	case plan.Map:
		dst = append(dst, '{')
	}
	first := true
	var err error
	bad := ""
	var single []byte // raw
	pairs(p.Request.Query, func(kv pair) bool {
		i := whose[0]
		if whose = whose[1:]; i != index {
			return true
		}
		single = kv.value
		if prm.Shape == plan.Map && many {
			if p.scratch, err = unescape(p.scratch[:0], kv.name, true, true); err != nil {
				return false
			}
			key := p.scratch
			if prm.Style == plan.DeepObject {
				key = key[len(prm.Name)+1 : len(key)-1]
				if bytes.ContainsAny(key, "[]") {
					bad = "is nested deeper than style deepObject defines"
					return false
				}
			}
			p.keyText = append(p.keyText[:0], key...)
			dst, err = p.memberDecoded(dst, prm, p.keyText, kv.value, &first)
			return err == nil
		}
		switch prm.Shape {
		case plan.List:
			if prm.Explode {
				sep = 0 // one element for each pair; NUL never passes
			}
			if !first {
				dst = append(dst, ',')
			}
			first = false
			if sep == 0 || len(kv.value) == 0 {
				if p.scratch, err = unescape(p.scratch[:0], kv.value, true, true); err == nil {
					dst, err = appendScalar(dst, p.scratch, prm.Types)
				}
				return err == nil
			}
			dst, err = p.delimited(dst, prm, kv.value, sep)
		case plan.Map:
			dst, err = p.members(dst, prm, kv.value, sep, true, true)
		default:
			if p.scratch, err = unescape(p.scratch[:0], kv.value, true, true); err != nil {
				return false
			}
			if prm.Shape == plan.Scalar {
				dst, err = appendScalar(dst, p.scratch, prm.Types)
			} else {
				dst = append(dst, p.scratch...)
			}
			if len(kv.value) == 0 && prm.AllowEmpty {
				bad = "-"
			}
		}
		return err == nil
	})
	switch prm.Shape {
	case plan.List:
		dst = append(dst, ']')
	case plan.Map:
		dst = append(dst, '}')
	}
	p.jsonBuf = dst
	switch {
	case err != nil:
		return err.Error()
	case bad == "-", prm.Shape == plan.Text:
		return ""
	case bad != "":
		return bad
	}
	msg := fits(prm.Schema, dst)
	if msg != "" && n == 1 && prm.Single != 0 {
		if p.scratch, err = unescape(p.scratch[:0], single, true, true); err != nil {
			return err.Error()
		}
		if p.jsonBuf, err = appendScalar(p.jsonBuf[:0], p.scratch, prm.Single); err == nil && fits(prm.Schema, p.jsonBuf) == "" {
			return ""
		}
	}
	return msg
}

// delimited appends the elements of a list that is not exploded. The
// delimiter counts only where it stands unescaped, except for those that a
// query can only hold escaped.
func (p *Pass) delimited(dst []byte, prm *plan.Param, raw []byte, sep byte) ([]byte, error) {
	if sep == ',' {
		dst = append(dst, '[')
		mark := len(dst) - 1
		out, err := p.elements(dst, prm, raw, sep, true, true)
		return append(out[:mark], out[mark+1:]...), err
	}
	var err error
	if p.plainBuf, err = unescape(p.plainBuf[:0], raw, true, true); err != nil {
		return dst, err
	}
	dst = append(dst, '[')
	mark := len(dst) - 1
	out, err := p.elements(dst, prm, p.plainBuf, sep, false, false)
	return append(out[:mark], out[mark+1:]...), err
}

func (p *Pass) memberDecoded(dst []byte, prm *plan.Param, key, value []byte, first *bool) (_ []byte, err error) {
	if !*first {
		dst = append(dst, ',')
	}
	*first = false
	types, ok := prm.Props[string(key)]
	if !ok {
		types = prm.Types
	}
	dst = append(appendString(dst, key), ':')
	if p.scratch, err = unescape(p.scratch[:0], value, true, true); err != nil {
		return dst, err
	}
	return appendScalar(dst, p.scratch, types)
}

// querySafe are the bytes of a query that every reader takes for themselves.
var querySafe = func() (t [256]bool) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~%=&+,:@/?!$'()*|") {
		t[c] = true
	}
	return t
}()

// rewriteQuery escapes what readers disagree on (";", brackets, quotes), so
// that what was judged is what the upstream reads, and leaves undeclared
// parameters out where strip is set.
func (p *Pass) rewriteQuery(strip bool) {
	q := p.Request.Query
	plain := !strip
	for i := 0; plain && i < len(q); i++ {
		plain = querySafe[q[i]]
	}
	if plain {
		return
	}
	dst := p.queryBuf[:0]
	pairs(q, func(kv pair) bool {
		if strip {
			var err error
			if p.scratch, err = unescape(p.scratch[:0], kv.name, true, true); err != nil || p.declared(p.scratch) < 0 {
				return true
			}
		}
		if len(dst) > 0 {
			dst = append(dst, '&')
		}
		dst = appendQuery(dst, kv.name)
		if len(kv.value) > 0 || bytes.HasSuffix(kv.name, []byte("=")) {
			dst = appendQuery(append(dst, '='), kv.value)
		}
		return true
	})
	p.queryBuf, p.query = dst, dst
}

func appendQuery(dst, s []byte) []byte {
	const hex = "0123456789ABCDEF"
	for _, c := range s {
		if querySafe[c] && c != '&' {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		}
	}
	return dst
}

// header checks one declared header.
func (p *Pass) header(prm *plan.Param) bool {
	value, n := p.headerValue(prm.Lower)
	msg := p.once(prm, value, n, false)
	return msg != "" && p.misfit(exchange.RequestHeader, "header", prm, msg)
}

// once checks a value of which there may be one: n says how many there are. It
// returns what is wrong, or "".
func (p *Pass) once(prm *plan.Param, value []byte, n int, encoded bool) string {
	switch {
	case n == 0 && !prm.Required:
		return ""
	case n == 0:
		return "is required"
	case n > 1:
		return "stands more than once"
	}
	return p.single(prm, value, encoded)
}

// headerValue returns the last field of a name, which is in lower case, and how
// many there are. It reads "_" as "-", as CGI and its descendants do: what some
// upstream takes for the field must not go past its check.
func (p *Pass) headerValue(lower string) (value []byte, n int) {
	for i := range p.Request.Header {
		if f := &p.Request.Header[i]; sameName(f.Name, lower) {
			value = f.Value
			n++
		}
	}
	return value, n
}

func sameName(name []byte, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] && !((c == '_' || c == '-') && (lower[i] == '_' || lower[i] == '-')) {
			return false
		}
	}
	return true
}

// cookie checks one declared cookie.
func (p *Pass) cookie(prm *plan.Param) bool {
	var value []byte
	n := 0
	for i := range p.Request.Header {
		if p.Request.Header[i].ID != exchange.Cookie {
			continue
		}
		rest := p.Request.Header[i].Value
		for len(rest) > 0 {
			var part []byte
			part, rest, _ = bytes.Cut(rest, []byte(";"))
			k, v, _ := bytes.Cut(bytes.Trim(part, " \t"), []byte("="))
			if string(k) == prm.Name {
				value = v
				n++
			}
		}
	}
	msg := p.once(prm, value, n, true)
	return msg != "" && p.misfit(exchange.RequestParameter, "cookie", prm, msg)
}

// pathValue returns a path parameter's decoded text.
func (p *Pass) pathValue(i int) ([]byte, bool) {
	if !p.matched || i < 0 || i >= len(p.op.Path) {
		return nil, false
	}
	b, err := unescape(nil, p.match.Param(p.below, i), true, false)
	return b, err == nil
}

// queryValue returns the decoded text of a parameter that stands once in the
// query.
func (p *Pass) queryValue(name string) (value []byte, ok bool) {
	n := 0
	pairs(p.Request.Query, func(kv pair) bool {
		k, err := unescape(nil, kv.name, true, true)
		if err == nil && string(k) == name {
			n++
			if value, err = unescape(nil, kv.value, true, true); err != nil {
				n++
			}
		}
		return true
	})
	return value, n == 1
}

var (
	errEscape = errors.New("holds a percent sign that is no escape")
	errUTF8   = errors.New("is not valid UTF-8")
	errNUL    = errors.New("holds a NUL")
)

// unescape appends s with its percent escapes decoded, and "+" as a space
// where plus is set (application/x-www-form-urlencoded).
func unescape(dst, s []byte, encoded, plus bool) ([]byte, error) {
	from := len(dst)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '%' && encoded:
			if i+2 >= len(s) {
				return dst, errEscape
			}
			hi, lo := unhex(s[i+1]), unhex(s[i+2])
			if hi > 15 || lo > 15 {
				return dst, errEscape
			}
			c = hi<<4 | lo
			i += 2
		case c == '+' && plus:
			c = ' '
		}
		if c == 0 {
			return dst, errNUL
		}
		dst = append(dst, c)
	}
	if !utf8.Valid(dst[from:]) {
		return dst, errUTF8
	}
	return dst, nil
}

func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

// appendScalar writes a text as the JSON value that its types admit. Where
// none fits it becomes a string, which the schema then refuses with words of
// its own.
func appendScalar(dst, text []byte, types jsonschema.Types) ([]byte, error) {
	switch {
	case types&(jsonschema.Number|jsonschema.Integer) != 0 && isNumber(text, types&jsonschema.Number != 0):
		return append(dst, text...), nil
	case types&jsonschema.Boolean != 0 && (string(text) == "true" || string(text) == "false"):
		return append(dst, text...), nil
	case types&jsonschema.Null != 0 && types&jsonschema.String == 0 && (len(text) == 0 || string(text) == "null"):
		return append(dst, "null"...), nil
	}
	return appendString(dst, text), nil
}

// isNumber reports whether a text is a number in the one spelling that all
// readers share: JSON's, without exponent where only integers are admitted.
func isNumber(s []byte, fraction bool) bool {
	i := 0
	if i < len(s) && s[i] == '-' {
		i++
	}
	switch {
	case i >= len(s):
		return false
	case s[i] == '0':
		i++
	case '1' <= s[i] && s[i] <= '9':
		for i < len(s) && '0' <= s[i] && s[i] <= '9' {
			i++
		}
	default:
		return false
	}
	if i == len(s) {
		return string(s) != "-0"
	}
	if !fraction {
		return false
	}
	if s[i] == '.' {
		i++
		from := i
		for i < len(s) && '0' <= s[i] && s[i] <= '9' {
			i++
		}
		if i == from {
			return false
		}
	}
	if i < len(s) && s[i]|0x20 == 'e' {
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		from := i
		for i < len(s) && '0' <= s[i] && s[i] <= '9' {
			i++
		}
		if i == from {
			return false
		}
	}
	return i == len(s)
}

// appendString writes valid UTF-8 as a JSON string.
func appendString(dst, s []byte) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// fits checks a JSON text against a schema and says what is wrong, or "".
func fits(s *jsonschema.Schema, text []byte) string {
	if s == nil {
		return ""
	}
	err := s.Validate(text)
	if err == nil {
		return ""
	}
	var e *jsonschema.Error
	if errors.As(err, &e) && len(e.Violations) > 0 {
		v := &e.Violations[0]
		if v.Instance != "" {
			return fmt.Sprintf("%s: %s", v.Instance, v.Message)
		}
		return v.Message
	}
	return err.Error()
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// appendLower appends s with ASCII letters in lower case.
func appendLower(dst, s []byte) []byte {
	for _, c := range s {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		dst = append(dst, c)
	}
	return dst
}
