package guard_test

import (
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/policy"
)

// FuzzParameters holds that what was judged is what an upstream reads: where
// a query or path passes, net/url finds in what is forwarded the values that
// the contract allows, and no others.
func FuzzParameters(f *testing.F) {
	for _, s := range []string{"/orders?limit=5", "/orders?limit=5&status=open&status=paid", "/orders?filter[total]=1&filter%5Bwho%5D=ann", "/orders?ids=1,2",
		"/orders?limit=1;limit=2", "/orders?limit=%31", "/orders?li%6dit=7", "/orders?limit=1&limit=2", "/orders?limit=5&", "/orders?&&limit=5", "/orders?=&limit=5",
		"/orders?limit", "/orders?limit=5%00", "/orders?limit=5%", "/orders?limit=+5", "/orders?status=%6fpen", "/orders/7", "/orders/%37", "/orders/7?x", "/orders/7?limit=5",
		"/orders?ids=1%2C2", "/orders?limit=5#x", "/orders?filter[total]=1&filter[total]=2", "/orders?\x80=1", "/orders?limit=5&lim\u0131t=6"} {
		f.Add(s)
	}
	s := open(f, policy.Enforce, strings.Replace(everything, "6000/m", "60000000/m", 1))
	f.Fuzz(func(t *testing.T, target string) {
		if !strings.HasPrefix(target, "/orders") || len(target) > 2000 {
			return
		}
		o := s.do(t, call{target: target, token: "ann.orders-read.profile-read", answer: `{"items":[],"customer_id":"ann","total":1}`})
		s.events.events = s.events.events[:0]
		if o.upstream == nil {
			return // refused, which is always safe
		}
		path, err := url.PathUnescape(string(o.upstream.Path))
		if err != nil {
			t.Fatalf("%q: the path %q cannot be read", target, o.upstream.Path)
		}
		if id, ok := strings.CutPrefix(path, "/orders/"); ok {
			if n, err := strconv.Atoi(id); err != nil || n < 1 || strconv.Itoa(n) != id {
				if len(id) < 18 {
					t.Errorf("%q: the id %q passed", target, id)
				}
			}
		} else if path != "/orders" {
			t.Errorf("%q: the path %q passed", target, path)
		}
		q, err := url.ParseQuery(string(o.upstream.Query))
		if err != nil {
			t.Fatalf("%q: the query %q cannot be read: %v", target, o.upstream.Query, err)
		}
		for name, vs := range q {
			switch name {
			case "limit":
				if n, err := strconv.Atoi(vs[0]); len(vs) != 1 || err != nil || n < 1 || n > 100 {
					t.Errorf("%q: limit is %q", target, vs)
				}
			case "status":
				for _, v := range vs {
					if v != "open" && v != "paid" && v != "sent" {
						t.Errorf("%q: status is %q", target, v)
					}
				}
			case "ids":
				if len(vs) != 1 {
					t.Errorf("%q: ids is %q", target, vs)
				}
			case "filter[total]", "filter[who]":
				if len(vs) != 1 {
					t.Errorf("%q: %s is %q", target, name, vs)
				}
			default:
				t.Errorf("%q: the parameter %q passed", target, name)
			}
		}
	})
}
