package guard_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/policy"
)

// TestAPassKeepsNothingOfTheExchangeBefore looks into every field of a pass
// that was used for exchanges of many kinds: what is left there could decide
// about another caller, and what is held there is memory.
func TestAPassKeepsNothingOfTheExchangeBefore(t *testing.T) {
	// The plan's and what Begin makes afresh.
	made := map[string]bool{"g": true, "plan": true, "stats": true, "filter": true, "id": true, "Request": true, "report": true}
	pol := everything + "- {on: [\"*\"], undeclared: {request: report}, limits: [{name: h, per: [address, header:x-a], rate: 9/s}]}\n"
	for _, mode := range []policy.Mode{policy.Observe, policy.Enforce} {
		s := open(t, mode, pol)
		for i := range 50 {
			name := strings.Repeat("n", 100)
			s.do(t, call{method: "POST", target: "/orders?" + strings.Repeat("a&", 1000) + "limit=x", token: "ann.orders-write", header: []string{"X-A: " + fmt.Sprint(i), "Origin: x"},
				body: `{"total":"1","` + name + `":1,"id":4}`, status: 201, answer: `{"total":"x","hash":1,"card":"4111111111111111","note":"a@example.com"}`})
			s.do(t, call{method: "POST", target: "/login", body: `{"email":"` + fmt.Sprint(i) + `@example.com","password":"x"}`, answer: `{}`})
			s.do(t, call{target: "/orders", token: "bob.orders-read", answer: `{"items":[{"customer_id":"ann","total":1}]}`})
			s.do(t, call{method: "OPTIONS", target: "/orders/7"})
			s.do(t, call{target: "/none", token: "forged"})
		}
		p := s.guard.Begin()
		v := reflect.ValueOf(p).Elem()
		for i := range v.NumField() {
			f, name := v.Field(i), v.Type().Field(i).Name
			switch {
			case made[name]:
			case f.Kind() == reflect.Slice:
				if f.Len() != 0 {
					t.Errorf("%s has %d elements", name, f.Len())
				}
				if size := f.Cap() * int(f.Type().Elem().Size()); size > 128<<10 {
					t.Errorf("%s holds %d bytes", name, size)
				}
				if f.Cap() > 0 && f.Type().Elem().Kind() != reflect.Uint8 && f.Type().Elem().Kind() != reflect.Int {
					for j, all := 0, f.Slice(0, f.Cap()); j < all.Len(); j++ {
						if !all.Index(j).IsZero() {
							t.Errorf("%s still points to something of the exchange before", name)
							break
						}
					}
				}
			case !f.IsZero():
				t.Errorf("%s is %v", name, f)
			}
		}
		r := v.FieldByName("report")
		for i := range r.NumField() {
			if f := r.Field(i); f.Kind() == reflect.Struct && f.FieldByName("Count").Int() != 0 {
				t.Errorf("report.%s counts %d", r.Type().Field(i).Name, f.FieldByName("Count").Int())
			}
		}
		p.End()
	}
}
