package guard

import (
	"bytes"
	"errors"
	"mime"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/exchange"
	"github.com/sallyport/sallyport/jsonschema"
	"github.com/sallyport/sallyport/plan"
	"github.com/sallyport/sallyport/policy"
)

// Bounds of forms: more fields or parts than any honest form has.
const (
	maxFields      = 1000
	maxPartHeaders = 8 << 10
)

// A field is one property of a form, as text.
type field struct {
	name  []byte
	value []byte
	json  bool // value is JSON already
}

// form reads application/x-www-form-urlencoded and checks it as the object
// that it stands for.
func (p *Pass) form() {
	var fs []field
	var bad error
	pairs(p.decoded, func(kv pair) bool {
		var f field
		if f.name, bad = unescape(nil, kv.name, true, true); bad != nil {
			return false
		}
		if f.value, bad = unescape(nil, kv.value, true, true); bad != nil {
			return false
		}
		if fs = append(fs, f); len(fs) > maxFields {
			bad = errors.New("has too many fields")
		}
		return bad == nil
	})
	if bad != nil {
		p.violations = broken("the form " + bad.Error())
		return
	}
	if bytes.IndexByte(p.decoded, ';') >= 0 && p.enforced(policy.RequestBody) {
		// Some readers take it for a separator, as in a query.
		p.forward, p.changed = bytes.ReplaceAll(p.decoded, []byte(";"), []byte("%3B")), true
	}
	p.object(fs)
}

// object writes fields as one JSON object and checks it.
func (p *Pass) object(fs []field) {
	dst := append(p.plainBuf[:0], '{')
	count := make(map[string]int, len(fs))
	for i := range fs {
		count[string(fs[i].name)]++
	}
	for i := range fs {
		name := string(fs[i].name)
		same := count[name]
		if same == 0 {
			continue // written already
		}
		count[name] = 0
		prm := p.media.Fields[name]
		if prm == nil {
			prm = anyField
			p.overriding = p.overriding || exchange.EqualFold(fs[i].name, "_method")
		}
		if len(dst) > 1 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, fs[i].name), ':')
		if prm.Shape != plan.List {
			if same > 1 {
				p.violations = &jsonschema.Error{Syntax: true, Violations: []jsonschema.Violation{{Instance: "/" + name, Keyword: "duplicate", Message: "stands more than once"}}}
				return
			}
			var msg string
			if dst, msg = appendField(dst, &fs[i], prm); msg != "" {
				p.violations = broken("the field " + name + " " + msg)
				return
			}
			continue
		}
		dst = append(dst, '[')
		first := true
		for j := range fs {
			if !bytes.Equal(fs[j].name, fs[i].name) {
				continue
			}
			values := []field{fs[j]}
			if !prm.Explode && !fs[j].json {
				values = values[:0]
				for v := range bytes.SplitSeq(fs[j].value, []byte(",")) {
					values = append(values, field{value: v})
				}
			}
			for k := range values {
				if !first {
					dst = append(dst, ',')
				}
				first = false
				var msg string
				if dst, msg = appendField(dst, &values[k], prm); msg != "" {
					p.violations = broken("the field " + name + " " + msg)
					return
				}
			}
		}
		dst = append(dst, ']')
	}
	p.plainBuf = append(dst, '}')
	p.check(p.plainBuf)
}

// anyField reads a property that the schema does not know.
var anyField = &plan.Param{Shape: plan.Scalar, Types: jsonschema.String}

func appendField(dst []byte, f *field, prm *plan.Param) (_ []byte, msg string) {
	if f.json || prm.Shape == plan.JSON {
		if err := strictJSON.Validate(f.value); err != nil {
			return dst, "is not valid JSON"
		}
		return append(dst, f.value...), ""
	}
	dst, err := appendScalar(dst, f.value, prm.Types)
	return dst, message(err)
}

// strictJSON admits every document that parses.
var strictJSON = new(jsonschema.Schema)

// multipart reads multipart/form-data (RFC 7578). Files stand in the checked
// object as empty strings: their names and sizes are bounded, their bytes are
// the upstream's to read.
//
// Readers of multipart bodies differ on all that senders do not do: preambles,
// bare line feeds, folded headers, boundaries within lines, parameters in
// pieces. So only the form that all of them read alike is read here.
func (p *Pass) multipart() {
	fs, msg := p.parts()
	if msg != "" {
		p.violations = broken("the multipart body has " + msg)
		return
	}
	p.object(fs)
}

var crlf = []byte("\r\n")

// parts takes the body apart. The message says what is wrong with it.
func (p *Pass) parts() (fs []field, msg string) {
	v, _ := p.Request.Header.Get(exchange.ContentType)
	_, params, err := mime.ParseMediaType(string(v))
	boundary := params["boundary"]
	// ParseMediaType refuses a second boundary. What RFC 2231 calls boundary*
	// or boundary*0 it decodes, and others do not. Counting the word would
	// refuse browsers, whose boundaries are ----WebKitFormBoundary and so on.
	if err != nil || boundary == "" || len(boundary) > 70 || bytes.Contains(bytes.ToLower(v), []byte("boundary*")) {
		return nil, "no single valid boundary"
	}
	delimiter := []byte("--" + boundary)
	rest, ok := bytes.CutPrefix(p.decoded, delimiter)
	if !ok {
		return nil, "something before its first part"
	}
	for {
		if tail, ended := bytes.CutPrefix(rest, []byte("--")); ended {
			if len(tail) > 0 && !bytes.Equal(tail, crlf) {
				return nil, "something behind its end"
			}
			return fs, ""
		}
		if rest, ok = bytes.CutPrefix(rest, crlf); !ok {
			return nil, "a boundary that does not end its line"
		}
		head, content, ok := bytes.Cut(rest, []byte("\r\n\r\n"))
		end := bytes.Index(content, delimiter)
		switch {
		case !ok || end < 0 || bytes.Contains(head, delimiter):
			return nil, "no end"
		case end < 2 || !bytes.Equal(content[end-2:end], crlf):
			return nil, "a boundary within a part"
		case len(fs) == maxFields:
			return nil, "too many parts"
		}
		f, msg := partField(head, content[:end-2], p.media.Fields)
		if msg != "" {
			return nil, msg
		}
		fs = append(fs, f)
		rest = content[end+len(delimiter):]
	}
}

// partField reads one part of a multipart form.
func partField(head, body []byte, fields map[string]*plan.Param) (f field, msg string) {
	if len(head) > maxPartHeaders {
		return f, "a part with too large a header"
	}
	var disposition, kind []byte
	for line := range bytes.SplitSeq(head, crlf) {
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || !token(name) || bytes.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f || r == utf8.RuneError }) {
			return f, "a part with a malformed header"
		}
		value = bytes.Trim(value, " \t")
		into := &disposition
		switch {
		case exchange.EqualFold(name, "content-disposition"):
		case exchange.EqualFold(name, "content-type"):
			into = &kind
		case exchange.EqualFold(name, "content-transfer-encoding"):
			if !exchange.EqualFold(value, "binary") && !exchange.EqualFold(value, "8bit") && !exchange.EqualFold(value, "7bit") {
				return f, "a part with a transfer encoding, which RFC 7578 section 4.7 has ended"
			}
			continue
		default:
			continue
		}
		if *into != nil {
			return f, "a part with a header that stands twice"
		}
		*into = value
	}
	var isFile bool
	if f.name, isFile, msg = disposed(disposition); msg != "" {
		return f, msg
	}
	typ, params, _ := bytes.Cut(kind, []byte(";"))
	typ = bytes.ToLower(bytes.Trim(typ, " \t"))
	prm := fields[string(f.name)]
	if prm != nil && prm.ContentType != "" && len(typ) > 0 && !typeIn(string(typ), prm.ContentType) {
		return f, "a part of another media type than declared"
	}
	if bytes.HasPrefix(typ, []byte("multipart/")) {
		return f, "a part that is multipart itself"
	}
	text := len(typ) == 0 || bytes.HasPrefix(typ, []byte("text/"))
	switch {
	case isJSON(typ) && prm != nil && prm.Shape == plan.JSON:
		f.json = true
	case isFile, !text && prm != nil && (prm.Bytes || prm.ContentType != ""):
		return f, "" // bytes: only their being there is checked
	}
	// A part that only says it is something else is text to many readers.
	if !utf8Charset(params) || !utf8.Valid(body) || bytes.IndexByte(body, 0) >= 0 {
		return f, "a text part that is not valid UTF-8"
	}
	f.value = body
	return f, ""
}

// disposed reads a part's Content-Disposition: its name, and whether it is a
// file.
func disposed(v []byte) (name []byte, isFile bool, msg string) {
	kind, rest, more := bytes.Cut(v, []byte(";"))
	if !exchange.EqualFold(bytes.TrimRight(kind, " \t"), "form-data") {
		return nil, false, "a part that is no form-data"
	}
	const bad = "a part with a malformed disposition"
	files, path := 0, false
	for more {
		key, value, ok := bytes.Cut(bytes.TrimLeft(rest, " \t"), []byte("="))
		if !ok || !token(key) {
			return nil, false, bad
		}
		if len(value) > 0 && value[0] == '"' {
			// A backslash escapes for some readers and not for others.
			value, rest, ok = bytes.Cut(value[1:], []byte(`"`))
			if rest = bytes.TrimLeft(rest, " \t"); !ok || bytes.IndexByte(value, '\\') >= 0 || len(rest) > 0 && rest[0] != ';' {
				return nil, false, bad
			}
			more, rest = len(rest) > 0, bytes.TrimPrefix(rest, []byte(";"))
		} else {
			value, rest, more = bytes.Cut(value, []byte(";"))
			if value = bytes.TrimRight(value, " \t"); !token(value) {
				return nil, false, bad
			}
		}
		switch {
		case exchange.EqualFold(key, "name"):
			if name != nil || len(value) == 0 {
				return nil, false, bad
			}
			name = value
		case exchange.EqualFold(key, "filename"):
			files++
			isFile, path = true, path || isPath(value)
		case exchange.EqualFold(key, "filename*"): // some clients say both
			_, encoded, _ := bytes.Cut(value, []byte("''"))
			plain, err := unescape(nil, encoded, true, false)
			if err != nil {
				return nil, false, bad
			}
			isFile, path = true, path || isPath(plain)
		case bytes.IndexByte(key, '*') >= 0:
			return nil, false, bad
		}
	}
	if path {
		return nil, false, "a part whose file name is a path"
	}
	if name == nil || files > 1 {
		return nil, false, "a part without a single name"
	}
	return name, isFile, ""
}

// isPath reports whether a file name leads somewhere.
func isPath(name []byte) bool {
	return bytes.ContainsAny(name, `/\`) || string(name) == ".." || string(name) == "."
}

// token reports whether s is a token (RFC 9110 section 5.6.2).
func token(s []byte) bool {
	for _, c := range s {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if !isToken(c) {
			return false
		}
	}
	return len(s) > 0
}

// typeIn reports whether a media type is in a list such as "image/png, image/*".
func typeIn(typ, list string) bool {
	for t := range strings.SplitSeq(list, ",") {
		t = strings.ToLower(strings.TrimSpace(strings.SplitN(t, ";", 2)[0]))
		if t == typ || t == "*/*" || strings.HasSuffix(t, "/*") && strings.HasPrefix(typ, t[:len(t)-1]) {
			return true
		}
	}
	return false
}
