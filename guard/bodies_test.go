package guard_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/policy"
)

// TestBodiesHaveOneReading are request bodies that two readers take for
// different things. Each is refused, or written so that both agree.
func TestBodiesHaveOneReading(t *testing.T) {
	s := open(t, policy.Enforce, everything)
	const form, multi = "application/x-www-form-urlencoded", "multipart/form-data; boundary=B"
	part := func(head, value string) string { return "--B\r\n" + head + "\r\n\r\n" + value + "\r\n" }
	disposition := func(params string) string { return "Content-Disposition: form-data; " + params }
	note := part(disposition(`name="note"`), "hi")
	for _, tt := range []struct{ name, typ, body, reason, sent string }{
		{"a second charset behind a quoted one", `application/json; x="; charset=utf-8; "; charset=utf-7`, `{"total":1}`, "contract.request_media_type", ""},
		{"a charset with white space", "application/json; charset =utf-7", `{"total":1}`, "contract.request_media_type", ""},
		{"a charset in pieces", "application/json; charset*=utf-7''x", `{"total":1}`, "contract.request_media_type", ""},
		{"a form in another charset", form + "; charset=ibm037", "total=1", "contract.request_media_type", ""},
		{"a multipart body in another charset", multi + "; charset=utf-16", note + "--B--\r\n", "contract.request_media_type", ""},
		{"a text in another charset", "text/plain; charset=utf-16", "hi", "contract.request_media_type", ""},
		{"a form in UTF-8", form + "; charset=UTF-8", "total=1", "ok", "total=1"},

		{"a semicolon in a form is no separator", form, "total=1&note=a;role=admin", "ok", "total=1&note=a%3Brole=admin"},

		{"multipart with bare line feeds", multi, strings.ReplaceAll(note+"--B--\r\n", "\r\n", "\n"), "contract.request_body", ""},
		{"multipart with a bare line feed in a part's head", multi, part(disposition(`name="note"`)+"\nX: y", "hi") + "--B--\r\n", "contract.request_body", ""},
		{"multipart with a preamble", multi, "--A\r\n\r\n" + note + "--B--\r\n", "contract.request_body", ""},
		{"multipart with an epilogue", multi, note + "--B--\r\n" + part(disposition(`name="role"`), "admin") + "--B--\r\n", "contract.request_body", ""},
		{"multipart with a longer boundary inside", multi, part(disposition(`name="note"`), "hi\r\n--Bx\r\n") + "--B--\r\n", "contract.request_body", ""},
		{"multipart with a boundary inside a line", multi, part(disposition(`name="note"`), "hi --B\r\n") + "--B--\r\n", "contract.request_body", ""},
		{"multipart with a delimiter behind a bare line feed", multi, part(disposition(`name="note"`), "hi\n--B\r\n"+disposition(`name="role"`)+"\r\n\r\nadmin") + "--B--\r\n", "contract.request_body", ""},
		{"multipart with white space behind a delimiter", multi, "--B \r\n" + disposition(`name="note"`) + "\r\n\r\nhi\r\n--B--\r\n", "contract.request_body", ""},
		{"multipart with a folded header", multi, part("Content-Disposition: form-data;\r\n name=\"note\"", "hi") + "--B--\r\n", "contract.request_body", ""},
		{"multipart with a name in pieces", multi, part(disposition(`name*0="no"; name*1="te"`), "hi") + "--B--\r\n", "contract.request_body", ""},
		{"multipart with two names by two rules", multi, part(disposition(`name="note"; name*=utf-8''file`), "hi") + "--B--\r\n", "contract.request_body", ""},
		{"multipart with a file name by another rule", multi, note + part(disposition(`name="file"; filename="a.png"; filename*=utf-8''..%2Fa.png`)+"\r\nContent-Type: image/png", "x") + "--B--\r\n", "contract.request_body", ""},
		{"multipart as .NET sends it", multi, part(disposition("name=note"), "hi") + part(disposition(`name=file; filename=a.png; filename*=utf-8''a.png`), "\x89") + "--B--\r\n", "ok", "same"},
		{"bytes without a file name, where they are declared", multi, note + part(disposition(`name="file"`)+"\r\nContent-Type: application/octet-stream", "\x89\x00") + "--B--\r\n", "ok", "same"},
		{"multipart with a name twice", multi, part(disposition(`name="note"; name="file"`), "hi") + "--B--\r\n", "contract.request_body", ""},
		{"multipart with an escaped quote in a name", multi, part(disposition(`name="no\"te"`), "hi") + "--B--\r\n", "contract.request_body", ""},
		{"multipart with a disposition twice", multi, part(disposition(`name="note"`)+"\r\n"+disposition(`name="file"`), "hi") + "--B--\r\n", "contract.request_body", ""},
		{"multipart with a header without a colon", multi, part(disposition(`name="note"`)+"\r\nX", "hi") + "--B--\r\n", "contract.request_body", ""},
		{"a text that says it is bytes", multi, part(disposition(`name="note"`)+"\r\nContent-Type: application/octet-stream", "hello, world") + "--B--\r\n", "contract.request_body", ""},
		{"a text that says it is JSON", multi, part(disposition(`name="note"`)+"\r\nContent-Type: application/json", `"\u0068\u0069"`) + "--B--\r\n", "contract.request_body", ""},
		{"a text in another charset, in a part", multi, part(disposition(`name="note"`)+"\r\nContent-Type: text/plain; charset=utf-16", "hi") + "--B--\r\n", "contract.request_body", ""},
		{"the field that sets the charset of others", multi, note + part(disposition(`name="_charset_"`), "utf-7") + "--B--\r\n", "contract.request_undeclared", ""},
		{"multipart as curl sends it", multi, part(disposition(`name="note"`), "hi") + part(disposition(`name="meta"`)+"\r\nContent-Type: application/json", `{"n":1}`) +
			part(disposition(`name="file"; filename="a b.png"`)+"\r\nContent-Type: image/png", "\x89\n\r\n-B\x00") + "--B--\r\n", "ok", "same"},
		{"multipart without a line behind its end", multi, note + "--B--", "ok", "same"},
		{"an object as browsers send one", multi, note + part(disposition(`name="meta"; filename="blob"`)+"\r\nContent-Type: application/json", `{"n":1}`) + "--B--\r\n", "ok", "same"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := s.do(t, call{method: "POST", target: "/orders", token: "ann.orders-write", typ: tt.typ, body: tt.body, status: 201, answer: `{"total":1}`})
			if o.reason != tt.reason {
				t.Errorf("%d %s %s", o.status, o.reason, o.body)
			}
			if tt.sent == "same" {
				tt.sent = tt.body
			}
			if tt.sent != o.sent {
				t.Errorf("%q was sent", o.sent)
			}
		})
	}
}

// TestWhatCannotBeCutOutIsRefused: undeclared properties are cut out of JSON
// alone.
func TestWhatCannotBeCutOutIsRefused(t *testing.T) {
	s := open(t, policy.Enforce, everything+"- {on: [\"*\"], undeclared: {request: strip}, read_only: strip}\n")
	for _, tt := range []struct{ typ, body, reason, sent string }{
		{"application/json", `{"total":1,"role":"admin","id":7}`, "ok", `{"total":1}`},
		{"application/x-www-form-urlencoded", "total=1&role=admin", "contract.request_undeclared", ""},
		{"application/x-www-form-urlencoded", "total=1&id=7", "contract.request_read_only", ""},
		{"multipart/form-data; boundary=B", parts("note", "hi", "role", "admin"), "contract.request_undeclared", ""},
	} {
		o := s.do(t, call{method: "POST", target: "/orders", token: "ann.orders-write", typ: tt.typ, body: tt.body, status: 201, answer: `{"total":1}`})
		if o.reason != tt.reason || o.sent != tt.sent {
			t.Errorf("%s: %s, and sent %q", tt.body, o.reason, o.sent)
		}
	}
}

// TestCodedBodiesEndWithTheirCoding: what stands behind it would be read by
// some upstreams and not by us.
func TestCodedBodiesEndWithTheirCoding(t *testing.T) {
	s := open(t, policy.Enforce, everything)
	for _, c := range []string{"gzip", "deflate"} {
		body := map[string]string{"gzip": gz(`{"total":1}`), "deflate": deflated(`{"total":1}`)}[c]
		do := func(body string) string {
			return s.do(t, call{method: "POST", target: "/orders", token: "ann.orders-write", body: body, header: []string{"Content-Encoding: " + c}, status: 201, answer: `{"total":1}`}).reason
		}
		if got := do(body); got != "ok" {
			t.Errorf("%s: %s", c, got)
		}
		if got := do(body + `{"total":2}`); got != "contract.request_truncated" {
			t.Errorf("%s with a tail: %s", c, got)
		}
	}
}
