package guard_test

import (
	"strings"
	"testing"

	"github.com/andybalholm/brotli"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/policy"
)

func brotlied(s string) string {
	var b strings.Builder
	w := brotli.NewWriter(&b)
	w.Write([]byte(s))
	w.Close()
	return b.String()
}

// TestWhatADoorCannotReadDoesNotPass is the table of all the ways in which a
// body can be unreadable, at both doors, where a control needs it. Each is
// refused with a name, and with unread: pass those that policy can let pass
// do, untouched and counted; what breaks the contract, or is not there as a
// whole, passes neither way.
func TestWhatADoorCannotReadDoesNotPass(t *testing.T) {
	const order, answer = `{"total":1,"note":"SECRET"}`, `{"customer_id":"ann","total":1,"note":"SECRET"}`
	large := `{"total":1,"customer_id":"ann","note":"SECRET` + strings.Repeat("a", 100) + `"}`
	bomb := gz(strings.Repeat(" ", 8<<20) + answer)
	in := func(typ, body string, header ...string) call {
		return call{method: "POST", target: "/orders", token: "ann.orders-write", typ: typ, body: body, header: header, status: 201, answer: `{"total":1}`}
	}
	out := func(typ, body string, header ...string) call {
		return call{target: "/orders/7", token: "ann.orders-read", answerType: typ, answer: body, answerHeader: header}
	}
	with := func(c call, change func(*call)) call { change(&c); return c }
	chunked := func(c *call) { c.chunked = true }
	status := func(n int) func(*call) { return func(c *call) { c.status = n } }
	const js, multi = "application/json", "multipart/form-data; boundary=B"
	const never = ""
	for _, tt := range []struct {
		name   string
		limit  string // of both bodies
		call   call
		reason string // where it is enforced
		pass   string // with unread: pass: "ok", or never, which is the same reason
	}{
		// The request door.
		{"in: a media type that is not declared", "", in("application/x-ndjson", order), "contract.request_media_type", never},
		{"in: a media type that is no media type", "", in("json", order), "contract.request_media_type", never},
		{"in: no media type", "", in(" ", order), "contract.request_media_type", never},
		{"in: a list of media types", "", in("application/json, text/html", order), "contract.request_media_type", never},
		{"in: two media types", "", in(js, order, "Content-Type: text/plain"), "contract.request_media_type", never},
		{"in: another charset", "", in("application/json; charset=utf-16", order), "contract.request_media_type", never},
		{"in: a declared type that nothing reads", "", in("application/xml", "<SECRET/>"), "contract.request_unread", "ok"},
		{"in: an unknown coding", "", in(js, order, "Content-Encoding: snappy"), "contract.request_coding", "ok"},
		{"in: a chain of codings", "", in(js, gz(gz(order)), "Content-Encoding: gzip, gzip"), "contract.request_coding", "ok"},
		{"in: a chain of codings in two fields", "", in(js, gz(order), "Content-Encoding: gzip", "Content-Encoding: identity"), "contract.request_coding", "ok"},
		{"in: a coding without a name", "", in(js, order, "Content-Encoding: "), "contract.request_coding", "ok"},
		{"in: a broken coding", "", in(js, order, "Content-Encoding: gzip"), "contract.request_truncated", never},
		{"in: a coding that breaks off", "", in(js, gz(order)[:20], "Content-Encoding: gzip"), "contract.request_truncated", never},
		{"in: a coding that goes on behind its end", "", in(js, brotlied(order)+order, "Content-Encoding: br"), "contract.request_truncated", never},
		{"in: a bomb", "", in(js, bomb, "Content-Encoding: gzip"), "contract.request_too_large", never},
		{"in: over the limit", "64B", in(js, large), "contract.request_too_large", "ok"},
		{"in: over the limit, without a length", "64B", with(in(js, large), chunked), "contract.request_too_large", "ok"},
		{"in: over the limit once decoded", "64B", in(js, brotlied(large), "Content-Encoding: br"), "contract.request_too_large", never},
		{"in: broken off", "", with(in(js, order), func(c *call) { c.fault = guard.ErrTruncated }), "contract.request_truncated", never},
		{"in: too slow", "", with(in(js, order), func(c *call) { c.fault = guard.ErrTimeout }), "wire.timeout", never},
		{"in: broken framing", "", with(in(js, order), func(c *call) { c.fault = guard.ErrMalformed }), "wire.framing", never},
		{"in: invalid UTF-8", "", in(js, "{\"total\":1,\"note\":\"\xff\"}"), "contract.request_json", never},
		{"in: a lone surrogate", "", in(js, `{"total":1,"note":"\ud800"}`), "contract.request_json", never},
		{"in: two documents", "", in(js, order+order), "contract.request_json", never},
		{"in: UTF-16", "", in(js, "\xff\xfe{\x00}\x00"), "contract.request_json", never},
		{"in: a form with a bad escape", "", in("application/x-www-form-urlencoded", "total=1&note=%zz"), "contract.request_body", never},
		{"in: a form that is not UTF-8", "", in("application/x-www-form-urlencoded", "total=1&note=%ff"), "contract.request_body", never},
		{"in: a text that is not UTF-8", "", in("text/plain", "a\xffb"), "contract.request_body", never},
		{"in: multipart without a boundary", "", in("multipart/form-data", parts("note", "hi")), "contract.request_body", never},
		{"in: multipart with another boundary", "", in("multipart/form-data; boundary=C", parts("note", "hi")), "contract.request_body", never},
		{"in: multipart that breaks off", "", in(multi, parts("note", "hi")[:50]), "contract.request_body", never},
		{"in: multipart within multipart", "", in(multi, "--B\r\nContent-Disposition: form-data; name=\"note\"\r\nContent-Type: multipart/mixed; boundary=C\r\n\r\n--C--\r\n--B--\r\n"), "contract.request_body", never},
		{"in: a part with a transfer encoding", "", in(multi, "--B\r\nContent-Disposition: form-data; name=\"note\"\r\nContent-Transfer-Encoding: base64\r\n\r\naGk=\r\n--B--\r\n"), "contract.request_body", never},

		// The response door.
		{"out: a media type that is not declared", "", out("text/html", "<p>SECRET"), "contract.response_media_type", "ok"},
		{"out: JSON in lines", "", out("application/x-ndjson", answer), "contract.response_media_type", "ok"},
		{"out: a media type that is no media type", "", out("json", answer), "contract.response_media_type", "ok"},
		{"out: no media type", "", out(" ", answer), "contract.response_media_type", "ok"},
		{"out: two media types", "", out(js, answer, "Content-Type: text/html"), "contract.response_media_type", "ok"},
		{"out: a list of media types", "", out("application/json, text/html", answer), "contract.response_media_type", "ok"},
		{"out: another charset", "", out("application/json; charset=utf-16", answer), "contract.response_media_type", "ok"},
		{"out: another charset behind a good one", "", out("application/json; charset=utf-8; charset=utf-7", answer), "contract.response_media_type", "ok"},
		{"out: a declared type that nothing reads", "", call{target: "/export", token: "ann", answerType: "text/csv", answer: "SECRET@example.com"}, "contract.response_unread", "ok"},
		{"out: an unknown coding", "", out(js, answer, "Content-Encoding: snappy"), "contract.response_coding", "ok"},
		{"out: a chain of codings", "", out(js, gz(gz(answer)), "Content-Encoding: gzip, gzip"), "contract.response_coding", "ok"},
		{"out: a broken coding", "", out(js, answer, "Content-Encoding: gzip"), "contract.response_coding", "ok"},
		{"out: a coding that breaks off", "", out(js, gz(answer)[:20], "Content-Encoding: gzip"), "contract.response_coding", "ok"},
		{"out: a bomb", "", out(js, bomb, "Content-Encoding: gzip"), "contract.response_too_large", "ok"},
		{"out: over the limit", "64B", out(js, large), "contract.response_too_large", "ok"},
		{"out: over the limit, without a length", "64B", with(out(js, large), chunked), "contract.response_too_large", "ok"},
		{"out: over the limit once decoded", "64B", out(js, brotlied(large), "Content-Encoding: br"), "contract.response_too_large", "ok"},
		{"out: a part", "", with(out(js, answer), status(206)), "contract.response_partial", "ok"},
		{"out: parts", "", with(out("multipart/byteranges; boundary=B", answer), status(206)), "contract.response_media_type", "ok"},
		{"out: broken off", "", with(out(js, answer), func(c *call) { c.answerFault = guard.ErrTruncated }), "upstream.truncated", never},
		{"out: too slow", "", with(out(js, answer), func(c *call) { c.answerFault = guard.ErrTimeout }), "upstream.timeout", never},
		{"out: broken framing", "", with(out(js, answer), func(c *call) { c.answerFault = guard.ErrMalformed }), "upstream.malformed", never},
		{"out: invalid UTF-8", "", out(js, "{\"customer_id\":\"ann\",\"total\":1,\"note\":\"SECRET\xff\"}"), "contract.response_json", "ok"},
		{"out: no JSON", "", out(js, "SECRET"), "contract.response_json", "ok"},
		{"out: two documents", "", out(js, answer+answer), "contract.response_json", "ok"},
		{"out: a name twice", "", out(js, `{"customer_id":"ann","customer_id":"bob","total":1,"note":"SECRET"}`), "contract.response_json", "ok"},
		{"out: too deep", "", out(js, strings.Repeat("[", 100_000)+"SECRET"), "contract.response_json", "ok"},
		{"out: an error of another type", "", with(out("text/plain", "SECRET"), status(500)), "contract.response_media_type", "ok"},
		{"out: an error under a coding", "", with(out("application/problem+json", `{"a":"SECRET"}`, "Content-Encoding: snappy"), status(404)), "contract.response_coding", "ok"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, unread := range []string{"refuse", "pass"} {
				pol := everything + "- {on: [\"*\"], unread: " + unread + "}\n"
				if tt.limit != "" {
					pol += "- {on: [\"*\"], body: {request: " + tt.limit + ", response: " + tt.limit + "}}\n"
				}
				want := tt.reason
				if unread == "pass" && tt.pass != never {
					want = tt.pass
				}
				s := open(t, policy.Enforce, pol)
				o := s.do(t, tt.call)
				if o.reason != want {
					t.Errorf("unread: %s: %d %s, want %s; hits: %s", unread, o.status, o.reason, want, o.hits())
				}
				in := strings.HasPrefix(tt.name, "in: ")
				switch {
				case want != "ok" && (in && o.upstream != nil || strings.Contains(o.body, "SECRET") || o.status < 400):
					t.Errorf("unread: %s: something of it passed: %d %s", unread, o.status, o.body)
				case want == "ok" && (in && o.sent != tt.call.body || o.body != tt.call.answer):
					t.Errorf("unread: %s: it was changed to %q, %q", unread, o.sent, o.body)
				case want == "ok" && (!strings.Contains(o.hits(), tt.reason+"?") || s.guard.Stats().Unread() != 1):
					t.Errorf("unread: %s: it was not counted: %s, %d", unread, o.hits(), s.guard.Stats().Unread())
				}
			}
		})
	}
}
