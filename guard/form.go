package guard

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/exchange"
	"github.com/sallyport/sallyport/jsonschema"
	"github.com/sallyport/sallyport/plan"
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
	p.object(fs)
}

// object writes fields as one JSON object and checks it.
func (p *Pass) object(fs []field) {
	dst := append(p.plainBuf[:0], '{')
	done := make(map[string]bool, len(fs))
	for i := range fs {
		name := string(fs[i].name)
		if done[name] {
			continue
		}
		done[name] = true
		prm := p.media.Fields[name]
		if prm == nil {
			prm = anyField
		}
		if len(dst) > 1 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, fs[i].name), ':')
		same := 0
		for j := range fs {
			if bytes.Equal(fs[j].name, fs[i].name) {
				same++
			}
		}
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
func (p *Pass) multipart() {
	v, _ := p.Request.Header.Get(exchange.ContentType)
	_, params, err := mime.ParseMediaType(string(v))
	boundary := params["boundary"]
	// ParseMediaType refuses a second boundary. What RFC 2231 calls boundary*
	// or boundary*0 it decodes, and others do not. Counting the word would
	// refuse browsers, whose boundaries are ----WebKitFormBoundary and so on.
	if err != nil || boundary == "" || len(boundary) > 70 || bytes.Contains(bytes.ToLower(v), []byte("boundary*")) {
		p.violations = broken("the multipart body has no single valid boundary")
		return
	}
	if !bytes.Contains(p.decoded, []byte("--"+boundary+"--")) {
		p.violations = broken("the multipart body has no end")
		return
	}
	r := multipart.NewReader(bytes.NewReader(p.decoded), boundary)
	var fs []field
	for {
		part, err := r.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			p.violations = broken("the multipart body is malformed")
			return
		}
		f, msg := partField(part, p.media.Fields)
		if msg == "" && len(fs) >= maxFields {
			msg = "too many parts"
		}
		if msg != "" {
			p.violations = broken("the multipart body has " + msg)
			return
		}
		fs = append(fs, f)
	}
	p.object(fs)
}

// partField reads one part of a multipart form.
func partField(part *multipart.Part, fields map[string]*plan.Param) (f field, msg string) {
	size := 0
	for k, vs := range part.Header {
		if len(vs) != 1 {
			return f, "a part with a header that stands twice"
		}
		size += len(k) + len(vs[0])
		switch strings.ToLower(k) {
		case "content-disposition", "content-type":
		case "content-transfer-encoding":
			if e := strings.ToLower(vs[0]); e != "binary" && e != "8bit" && e != "7bit" {
				return f, "a part with a transfer encoding, which RFC 7578 section 4.7 has ended"
			}
		}
	}
	if size > maxPartHeaders {
		return f, "a part with too large a header"
	}
	kind, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	if err != nil || kind != "form-data" || params["name"] == "" || !utf8.ValidString(params["name"]) {
		return f, "a part without a name"
	}
	f.name = []byte(params["name"])
	file, isFile := params["filename"]
	if isFile && (strings.ContainsAny(file, "/\\\x00") || file == ".." || file == ".") {
		return f, "a part whose file name is a path"
	}
	body, err := io.ReadAll(part)
	if err != nil {
		return f, "a part that is incomplete"
	}
	ct := part.Header.Get("Content-Type")
	typ := strings.ToLower(strings.TrimSpace(strings.SplitN(ct, ";", 2)[0]))
	prm := fields[params["name"]]
	if prm != nil && prm.ContentType != "" && typ != "" && !typeIn(typ, prm.ContentType) {
		return f, "a part of another media type than declared"
	}
	if strings.HasPrefix(typ, "multipart/") {
		return f, "a part that is multipart itself"
	}
	switch {
	case typ == "application/json" || strings.HasSuffix(typ, "+json"):
		f.value, f.json = body, true
	case isFile || typ != "" && !strings.HasPrefix(typ, "text/"):
		f.value = nil // bytes: only their being there is checked
	default:
		if !utf8.Valid(body) || bytes.IndexByte(body, 0) >= 0 {
			return f, "a text part that is not valid UTF-8"
		}
		f.value = body
	}
	return f, ""
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
