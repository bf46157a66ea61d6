package guard_test

import (
	"bytes"
	"testing"

	"github.com/sallyport/sallyport/policy"
)

// TestEnforcedControlsDoNotRelyOnOthers mixes modes: a control that is enforced
// does its work also where the one that reads for it only observes or is off.
func TestEnforcedControlsDoNotRelyOnOthers(t *testing.T) {
	const write, read = "ann.orders-write", "ann.orders-read"
	admin := `{"total":1,"role":"admin"}`
	for _, tt := range []struct {
		name, controls, policy string
		call                   call
		reason                 string
	}{
		{"unknown operations may pass, known ones are authenticated", "operations: off", "", call{target: "/orders/7", token: "forged"}, "authn.signature"},
		{"an ambiguous path may pass, its operation is authenticated", "paths: observe", "", call{target: "/orders/7%3Acancel", token: "forged"}, "authn.signature"},
		{"mass assignment without the body's own check", "request_body: off", "", call{method: "POST", target: "/orders", token: write, body: admin}, "contract.request_undeclared"},
		{"mass assignment behind an observed fault", "request_body: observe", "", call{method: "POST", target: "/orders", token: write, body: `{"total":"1","role":"admin"}`}, "contract.request_undeclared"},
		{"mass assignment in JSON that cannot be read", "request_body: observe", "", call{method: "POST", target: "/orders", token: write, body: `{"total":1,"role":"a","role":"a"}`}, "contract.request_json"},
		{"mass assignment under another media type", "request_body: observe", "", call{method: "POST", target: "/orders", token: write, body: admin, typ: "text/json"}, "contract.request_media_type"},
		{"mass assignment without a media type", "request_body: off", "", call{method: "POST", target: "/orders", token: write, body: admin, typ: " "}, "contract.request_media_type"},
		{"mass assignment in a body that is declared and unreadable", "request_body: observe", "", call{method: "POST", target: "/orders", token: write, body: "<role/>", typ: "application/xml"}, "contract.request_unread"},
		{"mass assignment under a coding", "request_body: observe", "", call{method: "POST", target: "/orders", token: write, body: admin, header: []string{"Content-Encoding: snappy"}}, "contract.request_coding"},
		{"mass assignment in a body over the limit", "request_body: observe", "body: {request: 8B}", call{method: "POST", target: "/orders", token: write, body: admin}, "contract.request_too_large"},
		{"undeclared parameters are cut out", "parameters: observe", "undeclared: {request: strip}", call{target: "/orders?limit=5&admin=1", token: read, answer: `{"items":[]}`}, "ok"},
		{"a limit by the body's value", "request_body: off", "", call{method: "POST", target: "/login", body: `{"email":"a@b.example","password":"x"}`, answer: `{}`}, "limit.rate"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pol := everything
			if tt.policy != "" {
				pol += "- {on: [\"*\"], " + tt.policy + "}\n"
			}
			cancel := "paths:\n  /orders/{id}:cancel:\n    post: {operationId: cancel, parameters: [{name: id, in: path, required: true, schema: {type: string}}], responses: {\"204\": {description: ok}}}\n"
			s := openContract(t, bytes.Replace(shopContract(t), []byte("paths:\n"), []byte(cancel), 1), policy.Enforce, pol+"- {on: [\"*\"], controls: {"+tt.controls+"}}\n")
			o := s.do(t, tt.call)
			for i := 0; i < 2 && tt.reason == "limit.rate"; i++ {
				o = s.do(t, tt.call)
			}
			if o.reason != tt.reason {
				t.Errorf("%d %s, want %s; hits: %s", o.status, o.reason, tt.reason, o.hits())
			}
			if tt.reason == "ok" && string(o.upstream.Query) != "limit=5" {
				t.Errorf("the query %s was passed on", o.upstream.Query)
			}
		})
	}
}

// TestControlsThatAreOffFindNothing holds that off means off.
func TestControlsThatAreOffFindNothing(t *testing.T) {
	s := open(t, policy.Off, everything)
	for _, c := range []call{
		{target: "/orders/7?x=1&limit=a", token: "forged", answer: `{"customer_id":"bob","total":"x","password":"1"}`},
		{method: "POST", target: "/orders", body: `{"total":"x","role":1}`, status: 299, answer: `<`},
		{target: "/none"}, {target: "/a/../b"}, {method: "PUT", target: "/orders", header: []string{"X-HTTP-Method: DELETE"}},
		{method: "POST", target: "/orders", body: "x", typ: "text/none"},
	} {
		if o := s.do(t, c); o.reason != "ok" || o.hits() != "" || o.body != c.answer {
			t.Errorf("%s %s: %s, %q", c.method, c.target, o.reason, o.hits())
		}
	}
}
