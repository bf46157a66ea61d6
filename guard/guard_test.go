package guard_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/authn"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/contract/openapi"
	"github.com/sallyport/sallyport/document"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/exchange"
	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/plan"
	"github.com/sallyport/sallyport/policy"
)

// tokens proves the tokens that the tests send: a name, then its scopes.
type tokens struct{}

func (tokens) Verify(_ context.Context, token []byte, _ time.Time) (*authn.Principal, exchange.Reason) {
	f := strings.Fields(strings.NewReplacer(".", " ", "-", ":").Replace(string(token)))
	if len(f) == 0 || f[0] == "forged" {
		return nil, exchange.AuthnSignature
	}
	if f[0] == "old" {
		return nil, exchange.AuthnExpired
	}
	return &authn.Principal{Subject: f[0], Tenant: "acme", Issuer: "test", How: authn.ByJWT, Scopes: f[1:]}, exchange.OK
}

// A shop is a guard over testdata/shop.yaml, and what it has recorded.
type shop struct {
	guard  *guard.Guard
	events *recorder
}

type recorder struct{ events []event.Event }

func (r *recorder) Put(e *event.Event) {
	c := *e
	c.Hits = append([]event.Hit(nil), e.Hits...)
	c.RequestID, c.Path, c.Host = strings.Clone(e.RequestID), bytes.Clone(e.Path), bytes.Clone(e.Host)
	r.events = append(r.events, c)
}

func open(t testing.TB, mode policy.Mode, entries string) *shop {
	t.Helper()
	return openContract(t, shopContract(t), mode, entries)
}

// openContract is open for a contract of the test's own.
func openContract(t testing.TB, src []byte, mode policy.Mode, entries string) *shop {
	t.Helper()
	p, ds := compileContract(t, src, mode, entries)
	for _, d := range ds {
		if d.Severity == 0 {
			t.Fatal(d)
		}
	}
	r := &recorder{}
	return &shop{guard.New(guard.Options{Plan: p, Events: r, HashKey: []byte("0123456789abcdef")}), r}
}

func shopContract(t testing.TB) []byte {
	t.Helper()
	src, err := os.ReadFile("testdata/shop.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func compile(t testing.TB, mode policy.Mode, entries string) (*plan.Plan, contract.Diagnostics) {
	t.Helper()
	return compileContract(t, shopContract(t), mode, entries)
}

func compileContract(t testing.TB, src []byte, mode policy.Mode, entries string) (*plan.Plan, contract.Diagnostics) {
	t.Helper()
	doc, err := document.Parse("shop.yaml", src)
	if err != nil {
		t.Fatal(err)
	}
	api, ds := openapi.Compile(doc, openapi.Options{})
	if ds.Fatal() {
		t.Fatal(ds)
	}
	var pol *policy.Policy
	if entries != "" {
		pdoc, err := document.ParseYAML("sallyport.yaml", []byte(entries))
		if err != nil {
			t.Fatal(err)
		}
		var pds contract.Diagnostics
		if pol, pds = policy.Decode(pdoc.Root()); len(pds) > 0 {
			t.Fatal(pds)
		}
	}
	return plan.Compile(plan.Options{Policy: pol, Sources: []plan.Source{{Name: "shop", Contract: api, Mode: mode, Verifier: tokens{}}}})
}

// A call is one exchange: what the caller sends and what the upstream answers.
type call struct {
	method, target, token string
	header                []string // "Name: value"
	body, typ             string
	status                int      // of the upstream; 200 where 0
	answer                string   // of the upstream
	answerType            string   // application/json where ""
	answerHeader          []string // "Name: value"
	from                  string
	chunked               bool  // neither body tells its length beforehand
	fault, answerFault    error // with which a body ends
}

// An outcome is what became of a call.
type outcome struct {
	status   int
	reason   string // of the answer's Sallyport-Reason, or ok
	body     string
	header   map[string]string
	upstream *guard.Message // nil where the upstream was not asked
	sent     string         // body sent upstream
	event    event.Event
}

func (o outcome) hits() string {
	var s []string
	for _, h := range o.event.Hits {
		m := ""
		if h.Observed {
			m = "?"
		}
		s = append(s, h.Reason.Code()+m)
	}
	return strings.Join(s, " ")
}

func (s *shop) do(t testing.TB, c call) (o outcome) {
	t.Helper()
	p := s.guard.Begin()
	path, query, has := strings.Cut(c.target, "?")
	if c.method == "" {
		c.method = "GET"
	}
	remote := netip.MustParseAddrPort("192.0.2.1:1234")
	if c.from != "" {
		remote = netip.AddrPortFrom(netip.MustParseAddr(c.from), 1)
	}
	p.Request = exchange.Request{Method: c.method, Scheme: "https", Host: []byte("Shop.example:443"), Path: []byte(path), Query: []byte(query), HasQuery: has,
		Length: int64(len(c.body)), Remote: remote, Began: p.Request.Began}
	h := fields(c.header)
	if c.token != "" {
		h = append(h, exchange.F(exchange.Authorization, []byte("Bearer "+c.token)))
	}
	if c.body != "" && c.typ == "" {
		c.typ = "application/json"
	}
	if c.typ != "" {
		h = append(h, exchange.F(exchange.ContentType, []byte(c.typ)))
	}
	p.Request.Header = h
	if c.chunked {
		p.Request.Length = -1
	}
	step := p.Head(t.Context())
	if step == guard.ReadBody {
		body, err := limited(c.body, p.MaxBody())
		if c.fault != nil {
			body, err = nil, c.fault
		}
		step = p.Body(t.Context(), body, err)
	}
	if step == guard.Forward {
		m := p.Upstream()
		m.Path, m.Query, m.Header = bytes.Clone(m.Path), bytes.Clone(m.Query), cloned(m.Header)
		o.upstream, o.sent = &m, string(m.Body)
		if m.Streamed {
			o.sent = c.body
		}
		if c.status == 0 {
			c.status = 200
		}
		if c.answer != "" && c.answerType == "" {
			c.answerType = "application/json"
		}
		ah := fields(c.answerHeader)
		if c.answerType != "" {
			ah = append(ah, exchange.F(exchange.ContentType, []byte(c.answerType)))
		}
		p.Response = exchange.Response{Status: c.status, Header: ah, Length: int64(len(c.answer))}
		if c.chunked {
			p.Response.Length = -1
		}
		if p.ResponseHead() == guard.ReadBody {
			body, err := limited(c.answer, p.MaxBody())
			if c.answerFault != nil {
				body, err = nil, c.answerFault
			}
			p.ResponseBody(body, err)
		}
	}
	r := p.Reply()
	o.status, o.body, o.reason, o.header = r.Status, string(r.Body), "ok", map[string]string{}
	if r.Streamed {
		o.body = c.answer
	}
	for _, f := range r.Header {
		o.header[strings.ToLower(string(f.Name))] = string(f.Value)
	}
	p.End()
	if n := len(s.events.events); n > 0 {
		o.event = s.events.events[n-1]
	}
	if told := o.header["sallyport-reason"]; told != "" {
		o.reason = o.event.Reason.Code()
		if want := o.event.Reason.Told().Code(); told != want {
			t.Errorf("the caller is told %s, want %s", told, want)
		}
	}
	if r.Ours && r.Status >= 400 && !json.Valid(r.Body) {
		t.Errorf("the refusal is not JSON: %s", r.Body)
	}
	return o
}

func limited(body string, most int) ([]byte, error) {
	if len(body) > most {
		return nil, guard.ErrTooLarge
	}
	return []byte(body), nil
}

func fields(lines []string) (h exchange.Header) {
	for _, l := range lines {
		n, v, _ := strings.Cut(l, ": ")
		h = append(h, exchange.Field{ID: exchange.KnownName([]byte(n)), Name: []byte(n), Value: []byte(v)})
	}
	return h
}

func cloned(h exchange.Header) (out exchange.Header) {
	for _, f := range h {
		out = append(out, exchange.Field{ID: f.ID, Name: bytes.Clone(f.Name), Value: bytes.Clone(f.Value)})
	}
	return out
}

const everything = `
- on: ["*"]
  limits: [{name: tenant, per: principal.tenant, rate: 6000/m}]
- on: ["POST /login"]
  limits: [{name: login, per: [address, "request:/email"], rate: 60/m, burst: 2}]
- on: ["GET /orders/{id}"]
  owner: {at: "response:/customer_id", is: principal.subject}
- on: ["GET /orders"]
  owner: {at: "response:/items/*/customer_id", is: principal.subject, foreign: drop}
- on: ["*"]
  redact: [{class: payment.card, show: last4}, {class: personal.email, show: mask, unless: '"profile:read" in principal.scopes'}]
`

func TestRequestDoor(t *testing.T) {
	s := open(t, policy.Enforce, everything)
	order := `{"total": 1.5}`
	tests := []struct {
		name   string
		call   call
		status int
		reason string
	}{
		{"an allowed request passes", call{target: "/orders?limit=5", token: "ann.orders-read", answer: `{"items":[]}`}, 200, "ok"},
		{"no token", call{target: "/orders"}, 401, "authn.missing"},
		{"a forged token", call{target: "/orders", token: "forged"}, 401, "authn.signature"},
		{"an old token", call{target: "/orders", token: "old"}, 401, "authn.expired"},
		{"two tokens (C18)", call{target: "/orders", token: "ann.orders-read", header: []string{"Authorization: Bearer x"}}, 401, "authn.malformed"},
		{"a missing scope", call{target: "/orders", token: "ann.orders-write"}, 403, "authz.scope"},
		{"a scope that only begins alike (C21)", call{target: "/orders", token: "ann.orders-reader"}, 403, "authz.scope"},
		{"a scheme that cannot be proven", call{method: "DELETE", target: "/orders/1"}, 401, "authn.missing"},
		{"unknown path (D14)", call{target: "/v0/orders", token: "ann.orders-read"}, 404, "contract.unknown_operation"},
		{"unknown method", call{method: "PUT", target: "/orders", token: "ann.orders-read"}, 405, "contract.unknown_method"},
		{"E1", call{target: "/orders/../admin", token: "ann.orders-read"}, 400, "path.ambiguous"},
		{"E2", call{target: "/orders/%2e%2e/admin"}, 400, "path.ambiguous"},
		{"E3", call{target: "/orders%2f..%2fadmin"}, 400, "path.ambiguous"},
		{"E4", call{target: "//orders"}, 400, "path.ambiguous"},
		{"E7", call{target: "/%6frders", token: "ann.orders-read", answer: `{"items":[]}`}, 200, "ok"},
		{"E9", call{target: "/orders;x=1"}, 400, "path.ambiguous"},
		{"E11", call{target: "/orders%00"}, 400, "path.malformed"},
		{"E16", call{target: "/orders%zz"}, 400, "path.malformed"},
		{"method override (D13)", call{method: "GET", target: "/orders/1", token: "ann.orders-read", header: []string{"X-HTTP-Method-Override: DELETE"}}, 400, "contract.method_override"},
		{"method override with underscores", call{method: "GET", target: "/orders/1", token: "ann.orders-read", header: []string{"X_HTTP_Method_Override: DELETE"}}, 400, "contract.method_override"},

		{"E21: an integer in another spelling", call{target: "/orders/01", token: "ann.orders-read"}, 400, "contract.parameter"},
		{"E21: with a sign", call{target: "/orders/+1", token: "ann.orders-read"}, 400, "contract.parameter"},
		{"E21: with an exponent", call{target: "/orders/1e0", token: "ann.orders-read"}, 400, "contract.parameter"},
		{"E21: escaped", call{target: "/orders/%31", token: "ann.orders-read", answer: `{"total":1,"customer_id":"ann"}`}, 200, "ok"},
		{"below its minimum", call{target: "/orders/0", token: "ann.orders-read"}, 400, "contract.parameter"},
		{"a query out of range", call{target: "/orders?limit=101", token: "ann.orders-read"}, 400, "contract.parameter"},
		{"a query twice (D12)", call{target: "/orders?limit=1&limit=2", token: "ann.orders-read"}, 400, "contract.parameter"},
		{"a query with brackets (D12)", call{target: "/orders?limit[]=1", token: "ann.orders-read"}, 400, "contract.undeclared_parameter"},
		{"a semicolon is no separator (D12)", call{target: "/orders?limit=1;admin=2", token: "ann.orders-read"}, 400, "contract.parameter"},
		{"NUL in a query (D12)", call{target: "/orders?limit=%00", token: "ann.orders-read"}, 400, "contract.parameter"},
		{"an undeclared query", call{target: "/orders?admin=true", token: "ann.orders-read"}, 400, "contract.undeclared_parameter"},
		{"a list by repetition", call{target: "/orders?status=open&status=paid", token: "ann.orders-read", answer: `{"items":[]}`}, 200, "ok"},
		{"a list with a value that is not in it", call{target: "/orders?status=open&status=lost", token: "ann.orders-read"}, 400, "contract.parameter"},
		{"a list by commas", call{target: "/orders?ids=1,2,3", token: "ann.orders-read", answer: `{"items":[]}`}, 200, "ok"},
		{"a list that is too long", call{target: "/orders?ids=1,2,3,4", token: "ann.orders-read"}, 400, "contract.parameter"},
		{"a deep object", call{target: "/orders?filter[total]=1.5&filter[who]=ann", token: "ann.orders-read", answer: `{"items":[]}`}, 200, "ok"},
		{"a deep object without a property", call{target: "/orders?filter=1", token: "ann.orders-read"}, 400, "contract.undeclared_parameter"},
		{"a deep object with too much", call{target: "/orders?filter[role]=1", token: "ann.orders-read"}, 400, "contract.parameter"},
		{"a declared header", call{target: "/orders", token: "ann.orders-read", header: []string{"X-Trace: 0123abcd"}, answer: `{"items":[]}`}, 200, "ok"},
		{"a declared header that does not fit", call{target: "/orders", token: "ann.orders-read", header: []string{"X-Trace: <script>"}}, 400, "contract.header"},
		{"a cookie", call{target: "/orders", token: "ann.orders-read", header: []string{"Cookie: a=b; theme=dark"}, answer: `{"items":[]}`}, 200, "ok"},
		{"a cookie that does not fit", call{target: "/orders", token: "ann.orders-read", header: []string{"Cookie: theme=red"}}, 400, "contract.parameter"},
		{"a cookie twice", call{target: "/orders", token: "ann.orders-read", header: []string{"Cookie: theme=dark; theme=light"}}, 400, "contract.parameter"},

		{"a body", call{method: "POST", target: "/orders", token: "ann.orders-write", body: order, status: 201, answer: `{"total":1}`}, 201, "ok"},
		{"no body (D9)", call{method: "POST", target: "/orders", token: "ann.orders-write"}, 400, "contract.request_body_missing"},
		{"a body on GET (D9)", call{target: "/orders", token: "ann.orders-read", body: order}, 400, "contract.request_body_unexpected"},
		{"no media type (D9)", call{method: "POST", target: "/login", body: order, typ: "-"}, 415, "contract.request_media_type"},
		{"two media types (D9)", call{method: "POST", target: "/orders", token: "ann.orders-write", body: order, header: []string{"Content-Type: application/json"}}, 415, "contract.request_media_type"},
		{"a list of media types (D9)", call{method: "POST", target: "/orders", token: "ann.orders-write", body: order, typ: "application/json, text/html"}, 415, "contract.request_media_type"},
		{"an undeclared media type (D18)", call{method: "POST", target: "/login", body: "<x/>", typ: "application/xml"}, 415, "contract.request_media_type"},
		{"a charset that JSON does not have (D6)", call{method: "POST", target: "/orders", token: "ann.orders-write", body: order, typ: "application/json; charset=utf-7"}, 415, "contract.request_media_type"},
		{"a charset that it has", call{method: "POST", target: "/orders", token: "ann.orders-write", body: order, typ: `application/json; charset="UTF-8"`, status: 201, answer: `{"total":1}`}, 201, "ok"},
		{"XML that a schema should judge", call{method: "POST", target: "/orders", token: "ann.orders-write", body: "<order/>", typ: "application/xml"}, 415, "contract.request_unread"},
		{"bytes that nothing is said of", call{method: "POST", target: "/orders", token: "ann.orders-write", body: "\x00\x01", typ: "application/octet-stream", status: 201, answer: `{"total":1}`}, 201, "ok"},
		{"a duplicate name (D1)", call{method: "POST", target: "/orders", token: "ann.orders-write", body: `{"total":1,"total":2}`}, 400, "contract.request_json"},
		{"a duplicate name, escaped (D2)", call{method: "POST", target: "/orders", token: "ann.orders-write", body: `{"total":1,"t\u006ftal":2}`}, 400, "contract.request_json"},
		{"a depth bomb (D4)", call{method: "POST", target: "/orders", token: "ann.orders-write", body: strings.Repeat("[", 100_000)}, 400, "contract.request_json"},
		{"trailing garbage (D5)", call{method: "POST", target: "/orders", token: "ann.orders-write", body: order + "x"}, 400, "contract.request_json"},
		{"a byte order mark (D5)", call{method: "POST", target: "/orders", token: "ann.orders-write", body: "\ufeff" + order}, 400, "contract.request_json"},
		{"too large (D7)", call{method: "POST", target: "/orders", token: "ann.orders-write", body: `{"total":1,"note":"` + strings.Repeat("a", 1<<20) + `"}`}, 413, "contract.request_too_large"},
		{"a wrong type", call{method: "POST", target: "/orders", token: "ann.orders-write", body: `{"total":"1"}`}, 400, "contract.request_body"},
		{"mass assignment (D8)", call{method: "POST", target: "/orders", token: "ann.orders-write", body: `{"total":1,"role":"admin"}`}, 400, "contract.request_undeclared"},
		{"another case is another name (D2)", call{method: "POST", target: "/orders", token: "ann.orders-write", body: `{"total":1,"Total":2}`}, 400, "contract.request_undeclared"},
		{"a read-only property (D8)", call{method: "POST", target: "/orders", token: "ann.orders-write", body: `{"total":1,"id":7}`}, 400, "contract.request_read_only"},
		{"a form", call{method: "POST", target: "/orders", token: "ann.orders-write", body: `total=1.5&note=a+b`, typ: "application/x-www-form-urlencoded", status: 201, answer: `{"total":1}`}, 201, "ok"},
		{"a form with too much", call{method: "POST", target: "/orders", token: "ann.orders-write", body: `total=1.5&role=admin`, typ: "application/x-www-form-urlencoded"}, 400, "contract.request_undeclared"},
		{"a form with a field twice", call{method: "POST", target: "/orders", token: "ann.orders-write", body: `total=1.5&total=2`, typ: "application/x-www-form-urlencoded"}, 400, "contract.request_body"},
		{"a text", call{method: "POST", target: "/orders", token: "ann.orders-write", body: "hello", typ: "text/plain", status: 201, answer: `{"total":1}`}, 201, "ok"},
		{"a text that is too long", call{method: "POST", target: "/orders", token: "ann.orders-write", body: "hello!", typ: "text/plain"}, 400, "contract.request_body"},
		{"multipart", call{method: "POST", target: "/orders", token: "ann.orders-write", body: parts("note", "hi", "file;filename=a.png", "\x89PNG\x00"), typ: "multipart/form-data; boundary=B", status: 201, answer: `{"total":1}`}, 201, "ok"},
		{"multipart of a browser", call{method: "POST", target: "/orders", token: "ann.orders-write", body: strings.ReplaceAll(parts("note", "hi"), "--B", "------WebKitFormBoundaryx7"), typ: "multipart/form-data; boundary=----WebKitFormBoundaryx7", status: 201, answer: `{"total":1}`}, 201, "ok"},
		{"multipart with a boundary in pieces (D16)", call{method: "POST", target: "/orders", token: "ann.orders-write", body: parts("note", "hi"), typ: "multipart/form-data; boundary*0=B"}, 400, "contract.request_body"},
		{"multipart with a path for a name (D16)", call{method: "POST", target: "/orders", token: "ann.orders-write", body: parts("note", "hi", "file;filename=\"../x\"", "a"), typ: "multipart/form-data; boundary=B"}, 400, "contract.request_body"},
		{"multipart without an end (D16)", call{method: "POST", target: "/orders", token: "ann.orders-write", body: strings.TrimSuffix(parts("note", "hi"), "--\r\n"), typ: "multipart/form-data; boundary=B"}, 400, "contract.request_body"},
		{"multipart with two boundaries (D16)", call{method: "POST", target: "/orders", token: "ann.orders-write", body: parts("note", "hi"), typ: "multipart/form-data; boundary=A; boundary=B"}, 400, "contract.request_body"},
		{"multipart with too much", call{method: "POST", target: "/orders", token: "ann.orders-write", body: parts("note", "hi", "role", "admin"), typ: "multipart/form-data; boundary=B"}, 400, "contract.request_undeclared"},
		{"multipart text that is too long", call{method: "POST", target: "/orders", token: "ann.orders-write", body: parts("note", "hello, world"), typ: "multipart/form-data; boundary=B"}, 400, "contract.request_body"},
		{"an unknown coding (D10)", call{method: "POST", target: "/orders", token: "ann.orders-write", body: order, header: []string{"Content-Encoding: snappy"}}, 415, "contract.request_coding"},
		{"a chain of codings (D10)", call{method: "POST", target: "/orders", token: "ann.orders-write", body: order, header: []string{"Content-Encoding: br, gzip"}}, 415, "contract.request_coding"},
		{"a broken coding", call{method: "POST", target: "/orders", token: "ann.orders-write", body: order, header: []string{"Content-Encoding: gzip"}}, 400, "contract.request_truncated"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.call.typ == "-" {
				tt.call.typ = " "
			}
			o := s.do(t, tt.call)
			if o.status != tt.status || o.reason != tt.reason {
				t.Errorf("%d %s, want %d %s\n%s", o.status, o.reason, tt.status, tt.reason, o.body)
			}
			if (o.upstream != nil) != (tt.reason == "ok") {
				t.Errorf("the upstream was asked: %v", o.upstream != nil)
			}
			if o.event.Reason.Code() != tt.reason {
				t.Errorf("the event says %s", o.event.Reason)
			}
			if tt.reason != "ok" && (o.header["cache-control"] != "no-store" || o.header["content-type"] != "application/problem+json" || o.header["sallyport-request-id"] == "") {
				t.Errorf("the refusal's header is %v", o.header)
			}
			if o.status == 401 && !strings.HasPrefix(o.header["www-authenticate"], "Bearer") {
				t.Errorf("no challenge: %v", o.header)
			}
			if tt.reason != "ok" && len(o.event.Hits) > 0 && o.event.Hits[0].Entry == "" && o.event.Operation != "" {
				t.Errorf("the event does not name what decided: %+v", o.event.Hits)
			}
		})
	}
}

// parts writes a multipart body of names and values, with boundary B.
func parts(nv ...string) string {
	var b strings.Builder
	for i := 0; i < len(nv); i += 2 {
		name, rest, _ := strings.Cut(nv[i], ";")
		fmt.Fprintf(&b, "--B\r\nContent-Disposition: form-data; name=%q", name)
		if rest != "" {
			b.WriteString("; " + rest + "\r\nContent-Type: image/png")
		}
		b.WriteString("\r\n\r\n" + nv[i+1] + "\r\n")
	}
	return b.String() + "--B--\r\n"
}
