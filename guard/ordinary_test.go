package guard_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/classify"
	"github.com/sallyport/sallyport/internal/ordinary"
	"github.com/sallyport/sallyport/policy"
)

// TestOrdinaryStringsPass sends 5,000 ordinary strings (SQL words, Markdown,
// code, names, hashes, long numbers) as declared strings, in every place that a
// request has for them, and has them come back, in good answers and in errors,
// while every detector and all controls are enforced: none is refused, none
// changed, none taken for a secret.
func TestOrdinaryStringsPass(t *testing.T) {
	const src = `openapi: 3.1.0
info: {title: A, version: "1"}
paths:
  /texts/{text}:
    post:
      operationId: send
      parameters:
        - {name: text, in: path, required: true, schema: {type: string}}
        - {name: text, in: query, schema: {type: string}}
        - {name: X-Text, in: header, schema: {type: string}}
      requestBody:
        content:
          application/json: {schema: {$ref: "#/components/schemas/Text"}}
          application/x-www-form-urlencoded: {schema: {$ref: "#/components/schemas/Text"}}
          multipart/form-data: {schema: {$ref: "#/components/schemas/Text"}}
          text/plain: {schema: {type: string}}
      responses: {default: {description: ok, content: {application/json: {schema: {$ref: "#/components/schemas/Text"}}}}}
components: {schemas: {Text: {type: object, required: [text], properties: {text: {type: string}}, additionalProperties: false}}}
`
	pol := "- on: [\"*\"]\n  public: true\n  responses: strict\n  redact:\n"
	detectors := classify.All()
	for _, d := range detectors {
		pol += fmt.Sprintf("    - {class: %s, show: mask}\n", d.Class)
	}
	s := openContract(t, []byte(src), policy.Enforce, pol)
	all := ordinary.Strings()
	if len(all) != 5000 || len(detectors) < 9 {
		t.Fatalf("%d strings and %d detectors", len(all), len(detectors))
	}
	inHeader := 0
	for i, text := range all {
		quoted := string(appendJSON(text))
		c := call{method: "POST", target: "/texts/a?text=" + url.QueryEscape(text), status: []int{200, 400, 500}[i%3], answer: `{"text":` + quoted + `}`}
		// A path cannot hold all of them; those that it can, it must.
		if escaped := url.PathEscape(text); !strings.ContainsAny(text, "/\\;%\n\t") && strings.Trim(text, ".") != "" {
			c.target = "/texts/" + escaped + "?text=" + url.QueryEscape(text)
		}
		if !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			c.header = []string{"X-Text: " + strings.TrimSpace(text)}
			inHeader++
		}
		const boundary = "----WebKitFormBoundary7MA4YWxkTrZu0gW"
		for typ, body := range map[string]string{
			"application/json":                          `{"text":` + quoted + `}`,
			"application/x-www-form-urlencoded":         "text=" + url.QueryEscape(text),
			"multipart/form-data; boundary=" + boundary: "--" + boundary + "\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\n" + text + "\r\n--" + boundary + "--\r\n",
			"text/plain; charset=utf-8":                 text,
		} {
			c.typ, c.body = typ, body
			o := s.do(t, c)
			switch {
			case o.reason != "ok" || o.hits() != "":
				t.Errorf("%q in %s: %s, %s", text, typ, o.reason, o.hits())
			case o.sent != body || o.body != c.answer:
				t.Errorf("%q in %s: changed to %q and %q", text, typ, o.sent, o.body)
			default:
				q, err := url.ParseQuery(string(o.upstream.Query))
				if err != nil || len(q) != 1 || q.Get("text") != text {
					t.Errorf("%q came out of the query as %q", text, q)
				}
			}
			s.events.events = s.events.events[:0]
		}
	}
	if inHeader < 4500 {
		t.Errorf("only %d of the strings went through a header", inHeader)
	}
}

// appendJSON writes a string as JSON.
func appendJSON(s string) []byte {
	b := []byte{'"'}
	for _, c := range []byte(s) {
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ':
			b = fmt.Appendf(b, `\u%04x`, c)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
