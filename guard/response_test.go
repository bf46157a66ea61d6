package guard_test

import (
	"bytes"
	"compress/zlib"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

	"github.com/sallyport/sallyport/policy"
)

func gz(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte(s))
	w.Close()
	return b.String()
}

func deflated(s string) string {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	w.Write([]byte(s))
	w.Close()
	return b.String()
}

// TestResponseDoor shows what becomes of answers, and that a changed body is a
// consistent message.
func TestResponseDoor(t *testing.T) {
	const get, list = "ann.orders-read", "ann.orders-read"
	mine := `{"id":7,"customer_id":"ann","total":1.5}`
	tests := []struct {
		name   string
		policy string // beside everything
		call   call
		status int
		reason string
		body   string // "" where it is not looked at; "same" where it passes as it came
		hits   string
	}{
		{"a good answer passes as it came", "", call{target: "/orders/7", token: get, answer: mine}, 200, "ok", "same", ""},
		{"what is undeclared is cut out (D15)", "", call{target: "/orders/7", token: get, answer: `{"id":7,"customer_id":"ann","total":1.5,"password_hash":"x","n":{"a":1}}`}, 200, "ok", mine, "contract.response_undeclared"},
		{"what is writeOnly is cut out", "", call{target: "/orders/7", token: get, answer: `{"id":7,"customer_id":"ann","pin":"0000","total":1.5}`}, 200, "ok", mine, "contract.response_write_only"},
		{"a card is masked by its class", "", call{target: "/orders/7", token: get, answer: `{"id":7,"customer_id":"ann","total":1,"card":"4111111111111111"}`}, 200, "ok", `{"id":7,"customer_id":"ann","total":1,"card":"****1111"}`, "data.redacted"},
		{"an address is masked where it is found", "", call{target: "/orders/7", token: get, answer: `{"customer_id":"ann","total":1,"note":"ask bob@example.com"}`}, 200, "ok", `{"customer_id":"ann","total":1,"note":"****"}`, "data.redacted"},
		{"who may see it does", "", call{target: "/orders/7", token: "ann.orders-read.profile-read", answer: `{"customer_id":"ann","total":1,"note":"ask bob@example.com"}`}, 200, "ok", "same", ""},
		{"another's object never leaves (BOLA)", "", call{target: "/orders/7", token: get, answer: `{"customer_id":"bob","total":1}`}, 403, "authz.response_owner", "", ""},
		{"an object without an owner is another's", "", call{target: "/orders/7", token: get, answer: `{"total":1}`}, 403, "authz.response_owner", "", ""},
		{"an owner that is null is another's", "", call{target: "/orders/7", token: get, answer: `{"customer_id":null,"total":1}`}, 403, "authz.response_owner", "", ""},
		{"an owner that is written with escapes is the same", "", call{target: "/orders/7", token: get, answer: `{"customer_id":"\u0061nn","total":1}`}, 200, "ok", "same", ""},
		{"others' items are left out of a list", "", call{target: "/orders", token: list, answer: `{"items":[{"customer_id":"bob","total":1},{"customer_id":"ann","total":2},{"total":3}]}`}, 200, "ok", `{"items":[{"customer_id":"ann","total":2}]}`, "authz.response_owner"},
		{"an empty list is nobody's", "", call{target: "/orders", token: list, answer: `{"items":[]}`}, 200, "ok", "same", ""},

		{"an undeclared status is reported", "", call{target: "/orders/7", token: get, status: 202, answer: mine}, 202, "ok", "same", "contract.response_status?"},
		{"and refused where policy is strict", "responses: strict", call{target: "/orders/7", token: get, status: 202, answer: mine}, 502, "contract.response_status", "", ""},
		{"a wrong type is reported", "", call{target: "/orders/7", token: get, answer: `{"customer_id":"ann","total":"1"}`}, 200, "ok", "same", "contract.response_body?"},
		{"and refused where policy is strict", "responses: strict", call{target: "/orders/7", token: get, answer: `{"customer_id":"ann","total":"1"}`}, 502, "contract.response_body", "", ""},
		{"what is undeclared is refused where policy says so", "undeclared: {response: deny}", call{target: "/orders/7", token: get, answer: `{"customer_id":"ann","total":1,"x":1}`}, 502, "contract.response_undeclared", "", ""},
		{"or only reported", "undeclared: {response: report}", call{target: "/orders/7", token: get, answer: `{"customer_id":"ann","total":1,"x":1}`}, 200, "ok", "same", "contract.response_undeclared?"},
		{"one is cut out, the other only reported", "write_only: report", call{target: "/orders/7", token: get, answer: `{"customer_id":"ann","total":1,"pin":"0","x":1}`}, 200, "ok", `{"customer_id":"ann","total":1,"pin":"0"}`, "contract.response_undeclared contract.response_write_only?"},

		{"HTML where JSON is declared (D15)", "", call{target: "/orders/7", token: get, answer: "<html>", answerType: "text/html"}, 502, "contract.response_media_type", "", ""},
		{"JSON where only text is declared", "redact: [{class: payment.card, show: all}, {class: personal.email, show: all}]", call{target: "/zen", answer: `{"password":"1"}`}, 502, "contract.response_media_type", "", ""},
		{"no media type", "", call{target: "/orders/7", token: get, answer: mine, answerType: " "}, 502, "contract.response_media_type", "", ""},
		{"two media types", "", call{target: "/orders/7", token: get, answer: mine, answerHeader: []string{"Content-Type: text/html"}}, 502, "contract.response_media_type", "", ""},
		{"an unread answer passes where policy says so", "unread: pass", call{target: "/orders/7", token: get, answer: "<html>", answerType: "text/html"}, 200, "ok", "same", "contract.response_media_type? contract.response_media_type?"},
		{"a declared type that redaction cannot read", "", call{target: "/export", token: get, answer: "a@example.com", answerType: "text/csv"}, 502, "contract.response_unread", "", ""},
		{"broken JSON", "", call{target: "/orders/7", token: get, answer: `{"total":1`}, 502, "contract.response_json", "", ""},
		{"a duplicate name", "", call{target: "/orders/7", token: get, answer: `{"customer_id":"ann","customer_id":"bob","total":1}`}, 502, "contract.response_json", "", ""},
		{"invalid UTF-8", "", call{target: "/orders/7", token: get, answer: "{\"customer_id\":\"ann\",\"note\":\"\xff\",\"total\":1}"}, 502, "contract.response_json", "", ""},
		{"another charset", "", call{target: "/orders/7", token: get, answer: mine, answerType: "application/json; charset=utf-16"}, 502, "contract.response_media_type", "", ""},
		{"gzip is taken off", "", call{target: "/orders/7", token: get, answer: gz(`{"customer_id":"ann","total":1,"x":1}`), answerHeader: []string{"Content-Encoding: gzip"}}, 200, "ok", `{"customer_id":"ann","total":1}`, "contract.response_undeclared"},
		{"gzip that need not change stays", "", call{target: "/orders/7", token: get, answer: gz(mine), answerHeader: []string{"Content-Encoding: gzip"}}, 200, "ok", "same", ""},
		{"an unknown coding", "", call{target: "/orders/7", token: get, answer: mine, answerHeader: []string{"Content-Encoding: snappy"}}, 502, "contract.response_coding", "", ""},
		{"a bomb", "", call{target: "/orders/7", token: get, answer: gz(strings.Repeat("a", 16<<20)), answerHeader: []string{"Content-Encoding: gzip"}}, 502, "contract.response_too_large", "", ""},
		{"a part", "", call{target: "/orders/7", token: get, status: 206, answer: mine}, 502, "contract.response_partial", "", ""},
		{"too large", "body: {response: 1KiB}", call{target: "/orders/7", token: get, answer: `{"customer_id":"ann","total":1,"note":"` + strings.Repeat("a", 2000) + `"}`}, 502, "contract.response_too_large", "", ""},

		{"an error that nobody declared keeps its status", "", call{target: "/orders/7", token: get, status: 500, answer: "oops", answerType: "text/plain"}, 500, "contract.response_media_type", "", ""},
		{"a stack trace does not leave (D15)", "", call{target: "/orders/7", token: get, status: 500, answer: "Traceback (most recent call last):\n  File \"/app/x.py\", line 7, in get\n    raise KeyError(id)\nKeyError: 7\n", answerType: "text/plain"}, 500, "data.scrubbed", "", ""},
		{"nor in JSON", "", call{target: "/orders/7", token: get, status: 500, answer: `{"error":"java.lang.NullPointerException\n\tat com.shop.Orders.get(Orders.java:42)\n\tat com.shop.Main.run(Main.java:7)\n"}`}, 500, "data.scrubbed", "", ""},
		{"a declared error passes", "", call{target: "/orders/7", token: get, status: 404, answer: `{"title":"no such order"}`, answerType: "application/problem+json"}, 404, "ok", "same", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pol := everything
			if tt.policy != "" {
				pol += "- {on: [\"*\"], " + tt.policy + "}\n"
			}
			s := open(t, policy.Enforce, pol)
			tt.call.answerHeader = append(tt.call.answerHeader, `ETag: "1"`, "Content-Digest: sha-256=:x:", "Server: nginx/1.2", "X-Powered-By: Express", "Cache-Control: public, max-age=60, s-maxage=600")
			o := s.do(t, tt.call)
			if o.status != tt.status || o.reason != tt.reason {
				t.Fatalf("%d %s, want %d %s\n%s", o.status, o.reason, tt.status, tt.reason, o.body)
			}
			switch {
			case tt.body == "same" && o.body != tt.call.answer, tt.body != "" && tt.body != "same" && o.body != tt.body:
				t.Errorf("the body is %s", o.body)
			}
			changed := tt.body != "" && tt.body != "same"
			for _, h := range []string{"etag", "content-digest"} {
				if _, has := o.header[h]; tt.reason == "ok" && has == changed {
					t.Errorf("changed %v, and %s there %v", changed, h, has)
				}
			}
			if _, has := o.header["content-encoding"]; has && changed {
				t.Error("the coding is said, though it was taken off")
			}
			if tt.reason == "ok" {
				if o.header["server"] != "" || o.header["x-powered-by"] != "" {
					t.Errorf("the server's details left: %v", o.header)
				}
				if cc := o.header["cache-control"]; cc != "max-age=60, private" {
					t.Errorf("Cache-Control: %s", cc)
				}
				want := strings.TrimSpace(tt.hits + " data.scrubbed")
				if o.hits() != want {
					t.Errorf("the event says %q, want %q", o.hits(), want)
				}
			} else {
				for _, secret := range []string{"Traceback", "Orders.java", "oops", "password", "bob", "<html>"} {
					if strings.Contains(o.body, secret) {
						t.Errorf("the refusal holds %q of the answer: %s", secret, o.body)
					}
				}
			}
		})
	}
}

func TestFilteredOperationsAreAskedForWhole(t *testing.T) {
	s := open(t, policy.Enforce, everything)
	o := s.do(t, call{target: "/orders/7", token: "ann.orders-read", answer: `{"customer_id":"ann","total":1}`,
		header: []string{"Range: bytes=0-1", "If-Range: x", "Accept-Encoding: br"}})
	for _, f := range o.upstream.Header {
		switch strings.ToLower(string(f.Name)) {
		case "range", "if-range":
			t.Errorf("%s was passed on", f.Name)
		case "accept-encoding":
			if string(f.Value) != "identity" {
				t.Errorf("Accept-Encoding: %s", f.Value)
			}
		}
	}
}

func TestHeadAgreesWithGet(t *testing.T) {
	s := open(t, policy.Enforce, everything)
	o := s.do(t, call{method: "HEAD", target: "/orders/7", token: "ann.orders-read", answerType: "application/json", answerHeader: []string{`ETag: "1"`, "Content-Length: 400"}})
	if o.status != 200 || o.header["etag"] != "" || o.header["content-length"] != "" {
		t.Errorf("HEAD tells of a body that GET does not give: %v", o.header)
	}
}

func TestObservedAnswersPassUntouched(t *testing.T) {
	s := open(t, policy.Observe, everything)
	answer := `{"customer_id":"bob","total":"x","password":"1","card":"4111111111111111"}`
	o := s.do(t, call{target: "/orders/7?x=1", token: "forged", answer: answer, answerHeader: []string{"Server: nginx", `ETag: "1"`}})
	if o.status != 200 || o.body != answer || o.header["server"] != "nginx" || o.header["etag"] == "" {
		t.Errorf("the answer was touched: %d %s %v", o.status, o.body, o.header)
	}
	want := "authn.signature? authz.scope? contract.undeclared_parameter? contract.response_body? authz.response_owner? contract.response_undeclared? data.redacted? data.scrubbed?"
	if o.hits() != want {
		t.Errorf("the event says\n%s\nwant\n%s", o.hits(), want)
	}
}

// TestCallersAreNotToldWhatIsWrongWithTheirCredential: one code stands for
// every way in which a credential can be forged; the event has the rest.
func TestCallersAreNotToldWhatIsWrongWithTheirCredential(t *testing.T) {
	s := open(t, policy.Enforce, everything)
	o := s.do(t, call{target: "/orders", token: "forged"})
	if o.event.Reason.Code() != "authn.signature" || o.header["sallyport-reason"] != "authn.invalid_token" || strings.Contains(o.body, "signature") {
		t.Errorf("the event says %s, the caller reads %s", o.event.Reason, o.body)
	}
}
