package guard_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/authn"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/exchange"
	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/plan"
	"github.com/sallyport/sallyport/policy"
)

// known proves one token, as a cache of verified tokens does.
type known struct{ p *authn.Principal }

func (k known) Verify(context.Context, []byte, time.Time) (*authn.Principal, exchange.Reason) {
	return k.p, exchange.OK
}

type discard struct{}

func (discard) Put(*event.Event) {}

// full is a guard with everything on, and a caller that is allowed.
func full(t testing.TB) *guard.Guard {
	p, ds := compile(t, policy.Enforce, strings.Replace(everything, "6000/m", "600000000/m", 1))
	if p == nil {
		t.Fatal(ds)
	}
	p.APIs[0].Verifier = plan.Verifier(known{&authn.Principal{Subject: "ann", Tenant: "acme", Scopes: []string{"orders:read", "orders:write"}}})
	return guard.New(guard.Options{Plan: p, Events: discard{}})
}

// an exchange that is allowed, with all that a browser sends.
type allowed struct {
	request exchange.Request
	answer  exchange.Response
	body    []byte
}

func get(size int) *allowed {
	a := &allowed{}
	a.request = exchange.Request{Method: "GET", Scheme: "https", Host: []byte("shop.example"), Path: []byte("/orders"), Query: []byte("limit=20&status=open"), HasQuery: true,
		Remote: netip.MustParseAddrPort("192.0.2.1:1234"), Header: fields([]string{"Host: shop.example", "User-Agent: Mozilla/5.0 (X11; Linux x86_64)", "Accept: application/json",
			"Accept-Encoding: gzip, br", "Accept-Language: en", "Authorization: Bearer eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl", "Cookie: theme=dark", "X-Trace: 0123abcd"})}
	var items []string
	n := 0
	for i := 0; n < size; i++ {
		s := fmt.Sprintf(`{"id":%d,"customer_id":"ann","total":%d.5,"note":"leave it at the door, please"}`, i, i)
		items = append(items, s)
		n += len(s)
	}
	body := []byte(`{"items":[` + strings.Join(items, ",") + `]}`)
	a.answer = exchange.Response{Status: 200, Header: fields([]string{"Content-Type: application/json", "Content-Length: 1", "Server: x", "Cache-Control: max-age=5"}), Length: int64(len(body)), Body: body}
	return a
}

func post() *allowed {
	a := get(1000)
	a.request.Method, a.request.Query, a.request.HasQuery = "POST", nil, false
	a.request.Header = append(a.request.Header, exchange.F(exchange.ContentType, []byte("application/json")))
	a.body = []byte(`{"customer_id":"ann","total":12.5,"note":"` + strings.Repeat("please ring twice ", 50) + `"}`)
	a.request.Length = int64(len(a.body))
	a.answer.Status, a.answer.Body = 201, []byte(`{"id":7,"customer_id":"ann","total":12.5}`)
	a.answer.Length = int64(len(a.answer.Body))
	return a
}

func (a *allowed) run(ctx context.Context, g *guard.Guard) int {
	p := g.Begin()
	began := p.Request.Began
	p.Request = a.request
	p.Request.Began = began
	step := p.Head(ctx)
	if step == guard.ReadBody {
		step = p.Body(ctx, a.body, nil)
	}
	status := 0
	if step == guard.Forward {
		p.Upstream()
		p.Response = a.answer
		if p.ResponseHead() == guard.ReadBody {
			p.ResponseBody(a.answer.Body, nil)
		}
	}
	status = p.Reply().Status
	p.End()
	return status
}

func TestAllowedExchangesAllocateNothing(t *testing.T) {
	if raced {
		t.Skip("the race detector makes pools forget")
	}
	g := full(t)
	for name, a := range map[string]*allowed{"GET": get(1000), "POST": post()} {
		if got := a.run(t.Context(), g); got/100 != 2 {
			t.Fatalf("%s: %d", name, got)
		}
		if n := testing.AllocsPerRun(200, func() { a.run(t.Context(), g) }); n > 0 {
			t.Errorf("an allowed %s allocates %v times", name, n)
		}
	}
}

func BenchmarkDoors(b *testing.B) {
	for _, bb := range []struct {
		name string
		a    *allowed
	}{{"GET/1KB", get(1000)}, {"GET/10KB", get(10_000)}, {"GET/100KB", get(100_000)}, {"POST/1KB", post()}} {
		b.Run(bb.name, func(b *testing.B) {
			g := full(b)
			b.ReportAllocs()
			b.SetBytes(int64(len(bb.a.answer.Body) + len(bb.a.body)))
			for b.Loop() {
				bb.a.run(b.Context(), g)
			}
		})
	}
}
