package guard_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/exchange"
	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/policy"
)

const shared = "- {on: [\"*\"], cors: {origins: [\"https://shop.example\"], credentials: true}}\n"

// TestAnswersVaryByOrigin: an answer that a cache got for a page that may not
// read it must not be given to one that may, nor the other way.
func TestAnswersVaryByOrigin(t *testing.T) {
	s := open(t, policy.Enforce, everything+shared)
	for _, h := range [][]string{nil, {"Origin: https://shop.example"}} {
		o := s.do(t, call{target: "/orders/7", token: "ann.orders-read", header: h, answer: `{"customer_id":"ann","total":1}`})
		if o.status != 200 || o.header["vary"] != "Origin" {
			t.Errorf("%v: %d, Vary %q", h, o.status, o.header["vary"])
		}
	}
}

// TestPreflightTellsDeclaredMethodsAlone, and nothing that the caller wrote.
func TestPreflightTellsDeclaredMethodsAlone(t *testing.T) {
	s := open(t, policy.Enforce, everything+shared)
	for method, want := range map[string]string{"GET": "GET", "DELETE": "DELETE", "PATCH": "", "x y": ""} {
		o := s.do(t, call{method: "OPTIONS", target: "/orders/7", header: []string{"Origin: https://shop.example", "Access-Control-Request-Method: " + method}})
		if got := o.header["access-control-allow-methods"]; o.status != 204 || got != want {
			t.Errorf("%s: %d, allows %q", method, o.status, got)
		}
	}
}

// TestNoCacheIsToldOtherwise: what speaks to shared caches beside
// Cache-Control would give one caller's answer to another.
func TestNoCacheIsToldOtherwise(t *testing.T) {
	s := open(t, policy.Enforce, everything)
	o := s.do(t, call{target: "/orders/7", token: "ann.orders-read", answer: `{"customer_id":"ann","total":1}`,
		answerHeader: []string{"CDN-Cache-Control: max-age=600", "Surrogate-Control: max-age=600", "Vercel-CDN-Cache-Control: max-age=1", "X-Accel-Expires: 600", "Cache-Control: public", "Cache-Control: s-maxage=60, max-age=5"}})
	for name := range o.header {
		if strings.Contains(name, "cdn-cache") || strings.HasPrefix(name, "surrogate") || strings.HasPrefix(name, "x-accel") {
			t.Errorf("%s: %s", name, o.header[name])
		}
	}
	if got := o.header["cache-control"]; got != "max-age=5, private" {
		t.Errorf("Cache-Control: %s", got)
	}
}

// TestHeadTellsNoLengthThatGetDoesNot have: the length of what the upstream
// would have sent tells how much was cut out.
func TestHeadTellsNoLengthThatGetDoesNotHave(t *testing.T) {
	s := open(t, policy.Enforce, everything)
	p := s.guard.Begin()
	defer p.End()
	p.Request.Method, p.Request.Path, p.Request.Host = "HEAD", []byte("/orders/7"), []byte("shop.example")
	p.Request.Header = exchange.Header{exchange.F(exchange.Authorization, []byte("Bearer ann.orders-read"))}
	if p.Head(t.Context()) != guard.Forward {
		t.Fatal(p.Reply())
	}
	p.Upstream()
	p.Response = exchange.Response{Status: 200, Length: 4096, Header: fields([]string{"Content-Type: application/json", "Content-Length: 4096"})}
	p.ResponseHead()
	if r := p.Reply(); r.Length != -1 {
		t.Errorf("HEAD tells the length %d", r.Length)
	}
}

// TestEventsCountWhatWasChanged at both doors, and not what was only observed.
func TestEventsCountWhatWasChanged(t *testing.T) {
	strip := "- {on: [\"*\"], undeclared: {request: strip}, read_only: strip}\n"
	order := call{method: "POST", target: "/orders", token: "ann.orders-write", body: `{"total":1,"role":"admin","id":7}`, status: 201,
		answer: `{"total":1,"hash":"x","pin":"1","card":"4111111111111111"}`}
	for _, tt := range []struct {
		mode               policy.Mode
		policy             string
		stripped, redacted int
	}{
		{policy.Enforce, strip, 4, 1},
		{policy.Observe, strip, 0, 0},
		{policy.Enforce, strip + "- {on: [\"*\"], controls: {mass_assignment: observe, redaction: observe}}\n", 2, 0},
		{policy.Enforce, strip + "- {on: [\"*\"], write_only: report}\n", 3, 1},
	} {
		s := open(t, tt.mode, everything+tt.policy)
		o := s.do(t, order)
		if o.event.Stripped != tt.stripped || o.event.Redacted != tt.redacted {
			t.Errorf("%v %s: %d stripped and %d masked, want %d and %d; %s", tt.mode, tt.policy, o.event.Stripped, o.event.Redacted, tt.stripped, tt.redacted, o.hits())
		}
		o = s.do(t, call{target: "/orders?limit=5", token: "ann.orders-read", status: 204})
		if o.event.Stripped != 0 || o.event.Redacted != 0 {
			t.Errorf("the next exchange says %d and %d", o.event.Stripped, o.event.Redacted)
		}
	}
}

// TestIDsTellNothing: from the ids of two exchanges nobody learns how many were
// between them, and none repeats.
func TestIDsTellNothing(t *testing.T) {
	s := open(t, policy.Enforce, everything)
	seen := map[string]bool{}
	halves := map[string]bool{}
	for range 1000 {
		p := s.guard.Begin()
		id := string(p.ID())
		p.End()
		if seen[id] || len(id) != 32 {
			t.Fatalf("the id %s stands twice", id)
		}
		seen[id] = true
		halves[id[:16]], halves[id[16:]] = true, true
	}
	if len(halves) != 2000 {
		t.Errorf("ids share %d of 2000 halves, which is what they are made of", 2000-len(halves))
	}
}

// TestLocationsDoNotTellOfTheInside: an upstream that calls itself by its own
// name would give callers an address that they should not know, nor can use.
func TestLocationsDoNotTellOfTheInside(t *testing.T) {
	for _, mode := range []policy.Mode{policy.Enforce, policy.Observe} {
		s := open(t, mode, everything)
		up := &s.guard.Plan().APIs[0].Upstream
		up.Hosts = []string{"10.0.0.7:9000", "orders.internal"}
		for _, tt := range []struct{ path, location, want string }{
			{"", "http://10.0.0.7:9000/orders/7?a=1", "/orders/7?a=1"},
			{"", "HTTPS://Orders.Internal/orders/7", "/orders/7"},
			{"", "//orders.internal/orders/7", "/orders/7"},
			{"", "http://orders.internal", "/"},
			{"", "http://orders.internal?x", "/?x"},
			{"/inside", "http://orders.internal/inside/orders/7", "/orders/7"},
			{"/inside", "http://orders.internal/inside", "/"},
			{"/inside", "http://orders.internal/insider/7", "/insider/7"},
			{"", "/orders/7", "/orders/7"},
			{"", "https://shop.example/orders/7", "https://shop.example/orders/7"},
			{"", "https://shop.example/?to=http://orders.internal/", "https://shop.example/?to=http://orders.internal/"},
			{"", "http://orders.internal.example/", "http://orders.internal.example/"},
			{"", "", ""},
		} {
			up.Path = tt.path
			if mode == policy.Observe {
				tt.want = tt.location
			}
			for _, name := range []string{"Location", "Content-Location"} {
				o := s.do(t, call{method: "POST", target: "/orders", token: "ann.orders-write", body: `{"total":1}`, status: 201, answer: `{"total":1}`, answerHeader: []string{name + ": " + tt.location}})
				if got := o.header[strings.ToLower(name)]; got != tt.want {
					t.Errorf("%v: %s: %s left as %q, want %q", mode, name, tt.location, got, tt.want)
				}
			}
		}
	}
}
