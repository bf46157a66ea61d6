package guard_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/policy"
)

// generated makes exchanges of every kind, good and bad in every combination.
func generated(r *rand.Rand) call {
	pick := func(s ...string) string { return s[r.IntN(len(s))] }
	c := call{
		method: pick("GET", "GET", "GET", "POST", "POST", "DELETE", "PUT", "HEAD", "OPTIONS"),
		target: pick("/orders", "/orders", "/orders/7", "/orders/7", "/orders/x", "/login", "/export", "/debug", "/orders/../export", "/orders;a=1", "/%6frders", "/orders/07") +
			pick("", "", "", "?limit=5", "?limit=0", "?limit=1&limit=2", "?admin=1", "?filter[total]=1", "?filter[x]=1", "?ids=1,2,3,4", "?a=%zz", "?status=open", "?_method=PUT", "?a=1&b=2&c=%zz&d=%zz"),
		token: pick("", "ann.orders-read", "ann.orders-read", "ann.orders-write", "ann.orders-read.orders-write.profile-read", "forged", "old"),
		typ: pick("", "", "", "application/json; charset=utf-16", "text/plain", "application/xml", "application/x-www-form-urlencoded", "text/html",
			"multipart/form-data; boundary=B", "text/json"),
		status:     []int{200, 200, 200, 201, 202, 204, 206, 304, 400, 404, 500}[r.IntN(11)],
		answerType: pick("", "", "", "text/html", "text/csv", "application/problem+json", "application/json; charset=latin1", "application/hal+json"),
		chunked:    r.IntN(4) == 0,
	}
	if r.IntN(3) > 0 && (c.method == "POST" || r.IntN(8) == 0) {
		c.body = pick(`{"total":1}`, `{"total":"1"}`, `{"total":1,"role":"admin"}`, `{"total":1,"id":2}`, `{"total":1,"total":2}`, `{`, `total=1&role=2`, `total=1`,
			`{"email":"a@b.example","password":"x"}`, `{"email":"a@b.example"}`, parts("note", "hi"), "hello", "hello!", `{"role":"x","total":"1","id":1}`, `{"customer_id":"ann","total":1}`,
			`{"customer_id":"bob","total":1,"role":2}`, `total=1&total=2&role=3`, parts("note", "hi", "role", "x"), `total=1&_method=PUT`)
	}
	if c.status != 204 && c.status != 304 && c.method != "HEAD" {
		c.answer = pick(`{"items":[]}`, `{"items":[{"customer_id":"bob","total":1},{"customer_id":"ann","total":2}]}`, `{"customer_id":"ann","total":1}`,
			`{"customer_id":"bob","total":1,"x":1}`, `{"customer_id":"ann","total":"1","pin":"1","hash":"x","card":"4111111111111111"}`, `{`, `<html>`, ``, `{"data":[{"customer_id":"bob","hash":1}]}`,
			`{"items":7,"x":"4111111111111111"}`, `{"items":[{"customer_id":"bob","total":"x"}],"hash":1}`,
			`{"email":"a@example.com"}`, `{"error":"java.lang.NullPointerException\n\tat com.shop.Orders.get(Orders.java:42)\n\tat com.shop.Main.run(Main.java:7)\n"}`)
	}
	for _, h := range []string{"X-Trace: zz", "Cookie: theme=red", "X-HTTP-Method-Override: DELETE", "Origin: https://evil.example", "Content-Encoding: snappy", "Content-Encoding: gzip"} {
		if r.IntN(12) == 0 {
			c.header = append(c.header, h)
		}
	}
	for _, h := range []string{"Server: nginx", "Content-Encoding: snappy", `ETag: "1"`, "Content-Encoding: gzip"} {
		if r.IntN(6) == 0 {
			c.answerHeader = append(c.answerHeader, h)
		}
	}
	return c
}

func reasons(o outcome) (rs []string) {
	for _, h := range o.event.Hits {
		rs = append(rs, h.Control+" "+h.Reason.Code())
	}
	return rs
}

// TestObserveEqualsEnforce compares, over 5,000 generated exchanges, what a
// guard that only observes says with what one that enforces does: the same
// reasons in the same order, up to the one that refuses. It does so with all
// controls enforced, and with each of them alone, so that controls behind one
// that failed are compared, too.
func TestObserveEqualsEnforce(t *testing.T) {
	// Limits depend on what passed before, so they are made wide here.
	pol := strings.NewReplacer("burst: 2", "burst: 100000", "6000/m", "600000/m").Replace(everything) + "- {on: [\"*\"], cors: {origins: [\"https://shop.example\"]}}\n"
	for _, tt := range []struct {
		settings string
		n        int
	}{
		{"public: true", 5000},
		{"responses: strict", 1500},
		{"unread: pass", 1500},
		{"undeclared: {request: strip, response: deny}, read_only: strip, write_only: deny", 1500},
		{"undeclared: {request: report, response: report}, read_only: report, write_only: report", 1500},
		{"body: {request: 20B, response: 60B}, responses: strict, undeclared: {response: deny}", 1500},
		{"owner: {at: \"request:/customer_id\", is: principal.subject}, write_only: report", 1500},
	} {
		t.Run(tt.settings, func(t *testing.T) {
			observeEqualsEnforce(t, pol+"- {on: [\"*\"], "+tt.settings+"}\n", tt.n)
		})
	}
}

func observeEqualsEnforce(t *testing.T, pol string, exchanges int) {
	observe := open(t, policy.Observe, pol)
	enforce := open(t, policy.Enforce, pol)
	alone := map[string]*shop{}
	for c := range policy.CountControls {
		alone[c.String()] = open(t, policy.Observe, pol+fmt.Sprintf("- {on: [\"*\"], controls: {%s: enforce}}\n", c))
	}
	r := rand.New(rand.NewPCG(1, 2))
	refused, reached := map[string]int{}, map[string]int{}
	for i := range exchanges {
		c := generated(r)
		seen := observe.do(t, c)
		compare := func(as string, o outcome) {
			want, got := reasons(seen), reasons(o)
			if o.reason != "ok" || o.upstream == nil {
				if len(got) > len(want) || len(got) == 0 && o.reason != "ok" {
					t.Fatalf("%d, %s: refused for %v, observed %v\n%+v", i, as, got, want, c)
				}
				if want = want[:len(got)]; o.reason == "ok" {
					if !slices.Equal(got, want) {
						t.Fatalf("%d, %s: found %v, observed %v", i, as, got, want)
					}
					return // answered by ourselves, so there was no answer to judge
				}
				if last := o.event.Hits[len(got)-1].Reason.Code(); last != o.reason {
					t.Fatalf("%d, %s: refused for %s, and the event ends with %s", i, as, o.reason, last)
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%d, %s: found %v, observed %v\n%+v", i, as, got, want, c)
			}
		}
		o := enforce.do(t, c)
		compare("enforce", o)
		refused[o.reason]++
		for name, s := range alone {
			o := s.do(t, c)
			s.events.events = s.events.events[:0]
			compare(name+" alone", o)
			if o.reason != "ok" {
				reached[name]++
			}
		}
		if seen.reason != "ok" {
			t.Fatalf("%d: an observing guard refused for %s", i, seen.reason)
		}
		if seen.upstream == nil && seen.status != 204 {
			t.Fatalf("%d: an observing guard did not ask the upstream", i)
		}
	}
	t.Logf("refused: %v", refused)
	t.Logf("refused by one control alone: %v", reached)
	if exchanges == 5000 && (len(refused) < 25 || len(reached) < 12) {
		t.Errorf("the generator reaches %d reasons and %d controls, which is too few to show anything", len(refused), len(reached))
	}
}
