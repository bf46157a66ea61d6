package guard_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/policy"
)

// TestNothingOfAnswersPassesUnjudged are answers that one control could not
// make sense of, or did not need, while another one is enforced.
func TestNothingOfAnswersPassesUnjudged(t *testing.T) {
	const read = "ann.orders-read"
	for _, tt := range []struct {
		name, policy string
		call         call
		reason, body string // body "": it must not hold bob or 4111111111111111
	}{
		{"a list that does not stand where the owner rule looks", "", call{target: "/orders", token: read, answer: `{"data":[{"customer_id":"bob","card":"4111111111111111"}]}`}, "authz.response_owner", ""},
		{"a list in place of an object", "", call{target: "/orders", token: read, answer: `[{"customer_id":"bob"}]`}, "authz.response_owner", ""},
		{"and if owners are only observed, the rest is done", "controls: {ownership: observe}", call{target: "/orders", token: read, answer: `{"data":[{"customer_id":"bob"}],"items":7,"next":"4111111111111111"}`}, "ok", `{"items":7,"next":"****1111"}`},
		{"owners, though undeclared properties are denied and only observed", "undeclared: {response: deny}, controls: {response_filter: observe}",
			call{target: "/orders/7", token: read, answer: `{"customer_id":"bob","total":1,"x":1}`}, "authz.response_owner", ""},
		{"redaction, though undeclared properties are denied and only observed", "undeclared: {response: deny}, controls: {response_filter: observe}",
			call{target: "/orders/7", token: read, answer: `{"customer_id":"ann","total":1,"x":1,"card":"4111111111111111"}`}, "ok", `{"customer_id":"ann","total":1,"x":1,"card":"****1111"}`},
		{"redaction, though writeOnly properties are denied and only observed", "write_only: deny, controls: {response_filter: observe}",
			call{target: "/orders/7", token: read, answer: `{"customer_id":"ann","total":1,"pin":"1","card":"4111111111111111"}`}, "ok", `{"customer_id":"ann","total":1,"pin":"1","card":"****1111"}`},
		{"JSON under a media type that is not declared is filtered as what is", "", call{target: "/orders/7", token: read, answer: `{"customer_id":"ann","total":1,"hash":"bob"}`, answerType: "application/hal+json"}, "ok", `{"customer_id":"ann","total":1}`},
		{"a stack trace under an unknown coding, where only scrubbing is on", "controls: {response_filter: off, redaction: off, ownership: off, response_body: off}",
			call{target: "/orders/7", token: read, status: 500, answer: "bob", answerType: "text/plain", answerHeader: []string{"Content-Encoding: snappy"}}, "contract.response_coding", ""},
		{"an error too large to look through, where only scrubbing is on", "controls: {response_filter: off, redaction: off, ownership: off, response_body: off}",
			call{target: "/orders/7", token: read, status: 500, answer: "bob" + strings.Repeat("x", 300<<10), answerType: "text/plain"}, "contract.response_too_large", ""},
		{"broken JSON, where only responses: strict is on", "responses: strict, controls: {response_filter: off, redaction: off, ownership: off}",
			call{target: "/orders/7", token: read, answer: `{"customer_id":"bob"`}, "contract.response_json", ""},
		{"an empty body tells nothing", "", call{target: "/orders/7", token: read, answerType: "application/json", chunked: true}, "ok", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pol := everything
			if tt.policy != "" {
				pol += "- {on: [\"*\"], " + tt.policy + "}\n"
			}
			o := open(t, policy.Enforce, pol).do(t, tt.call)
			if o.reason != tt.reason || tt.body != "" && o.body != tt.body {
				t.Errorf("%d %s %s; hits: %s", o.status, o.reason, o.body[:min(len(o.body), 300)], o.hits())
			}
			if tt.body == "" && (strings.Contains(o.body, "bob") || strings.Contains(o.body, "4111111111111111")) {
				t.Errorf("passed: %s", o.body[:min(len(o.body), 300)])
			}
		})
	}
}

// TestAnyMediaTypeIsReadAsWhatItIs: contracts that are made from code often
// say */*, and callers choose with Accept.
func TestAnyMediaTypeIsReadAsWhatItIs(t *testing.T) {
	const src = `openapi: 3.0.3
info: {title: A, version: "1"}
paths:
  /a:
    get: {operationId: get, responses: {"200": {description: ok, content: {"*/*": {schema: {type: object, properties: {id: {type: integer}}}}}}}}
    post:
      operationId: post
      requestBody: {content: {"*/*": {schema: {type: object, properties: {id: {type: integer}}}}}}
      responses: {"204": {description: ok}}
`
	s := openContract(t, []byte(src), policy.Enforce, `- {on: ["*"], public: true}`)
	for _, tt := range []struct {
		call   call
		reason string
		body   string
	}{
		{call{target: "/a", answer: `{"id":1,"hash":"x"}`}, "ok", `{"id":1}`},
		{call{target: "/a", answer: `{"id":1,"hash":"x"}`, answerType: "application/vnd.a+json"}, "ok", `{"id":1}`},
		{call{target: "/a", answer: `<a><hash>x</hash></a>`, answerType: "application/xml"}, "contract.response_unread", ""},
		{call{method: "POST", target: "/a", body: `{"id":1}`, status: 204}, "ok", ""},
		{call{method: "POST", target: "/a", body: `{"id":1,"x":"&role=admin&"}`, typ: "application/x-www-form-urlencoded"}, "contract.request_unread", ""},
		{call{method: "POST", target: "/a", body: `{"id":1}`, typ: "application/x-www-form-urlencoded"}, "contract.request_unread", ""},
		{call{method: "POST", target: "/a", body: `<role/>`, typ: "text/xml"}, "contract.request_unread", ""},
	} {
		if o := s.do(t, tt.call); o.reason != tt.reason || tt.body != "" && o.body != tt.body {
			t.Errorf("%s %s: %d %s %s", tt.call.typ, tt.call.answerType, o.status, o.reason, o.body)
		}
	}
}

// TestRedirectsLeaveWithoutTheirPage: frameworks send a page with a redirect
// that nobody reads, and some render behind it what the caller may not see.
func TestRedirectsLeaveWithoutTheirPage(t *testing.T) {
	c := call{target: "/orders/7", token: "ann.orders-read", status: 302, answer: "<p>bob's order", answerType: "text/html; charset=utf-8", answerHeader: []string{"Location: /login", `ETag: "1"`}}
	for _, tt := range []struct {
		mode   policy.Mode
		unread string
		body   string
	}{{policy.Enforce, "refuse", ""}, {policy.Enforce, "pass", c.answer}, {policy.Observe, "refuse", c.answer}} {
		s := open(t, tt.mode, everything+"- {on: [\"*\"], unread: "+tt.unread+"}\n")
		o := s.do(t, c)
		if o.status != 302 || o.header["location"] != "/login" || o.body != tt.body || (o.header["content-type"] == "") != (tt.body == "") || !strings.Contains(o.hits(), "contract.response_media_type") {
			t.Errorf("%v, %s: %d %v %q; %s", tt.mode, tt.unread, o.status, o.header, o.body, o.hits())
		}
	}
}
