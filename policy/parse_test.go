package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sallyport/sallyport/policy"
)

func TestParseSize(t *testing.T) {
	for s, want := range map[string]int64{
		"0": 0, "512": 512, "64B": 64, "64KiB": 64 << 10, "1MiB": 1 << 20, "1.5GiB": 3 << 29, "0.5KiB": 512,
		"1MB": -1, "1M": -1, "MiB": -1, "": -1, "-1": -1, "1 MiB": -1, "1.MiB": -1, "1e3": -1, "0x10": -1, "Inf": -1,
		"1.0001KiB": -1, "9999999999GiB": -1, "9223372036854775808": -1, "1MiBMiB": -1, "١MiB": -1, "1mib": -1,
	} {
		got, err := policy.ParseSize(s)
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("%q is %d, %v; want %d", s, got, err, want)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"0": 0, "250ms": 250 * time.Millisecond, "1m30s": 90 * time.Second, "7d": 7 * 24 * time.Hour,
		"10": -1, "-1s": -1, "": -1, "d": -1, "1.5d": -1, "999999d": -1, "1y": -1, "1 s": -1,
	} {
		got, err := policy.ParseDuration(s)
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("%q is %v, %v; want %v", s, got, err, want)
		}
	}
	if _, err := policy.ParseDuration("30"); !strings.Contains(err.Error(), "30s") {
		t.Errorf("%v does not say what to write", err)
	}
}

func TestParseRate(t *testing.T) {
	for s, want := range map[string]string{
		"10/s": "10 1s", "600/m": "600 1m0s", "5/h": "5 1h0m0s", "1000/d": "1000 24h0m0s", "100/15m": "100 15m0s",
		"1/250ms": "1 250ms", "600 / m": "600 1m0s", "1000000000/s": "1000000000 1s",
		"0/s": "", "-1/s": "", "1.5/s": "", "600": "", "/m": "", "600/": "", "600/y": "", "600/mm": "", "1e3/m": "",
		"600/0s": "", "600/60d": "", "1000000001/s": "", "99999999999999999999/s": "", "10/s/s": "", "": "",
	} {
		got := ""
		if n, every, err := policy.ParseRate(s); err == nil {
			got = fmt.Sprint(n, every)
		}
		if got != want {
			t.Errorf("%q is %q, want %q", s, got, want)
		}
	}
}

func TestParseSelector(t *testing.T) {
	for s, want := range map[string]policy.Selector{
		"*":                           {Kind: policy.All},
		"GET /orders/{id}":            {Kind: policy.Route, Method: "GET", Value: "/orders/{id}"},
		"*  /orders":                  {Kind: policy.Route, Method: "*", Value: "/orders"},
		"operation:exportOrders":      {Kind: policy.Operation, Value: "exportOrders"},
		"operation:Export all orders": {Kind: policy.Operation, Value: "Export all orders"},
		"tag:admin":                   {Kind: policy.Tag, Value: "admin"},
		"api:shop *":                  {Kind: policy.All, API: "shop"},
		"api:shop GET /":              {Kind: policy.Route, API: "shop", Method: "GET", Value: "/"},
		"api:shop tag:admin":          {Kind: policy.Tag, API: "shop", Value: "admin"},
		"":                            {}, "api:shop": {}, "api: *": {}, "/orders": {}, "get /orders": {}, "GET orders": {},
		"GET": {}, "tag:": {}, "operation: x": {}, "GET /a?b=c": {}, "G(T /a": {}, "**": {}, "tags:x": {},
	} {
		got, err := policy.ParseSelector(s)
		if want.Kind == 0 {
			if err == nil {
				t.Errorf("%q is %+v, want an error", s, got)
			}
			continue
		}
		want.Text = s
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%q: %v %s", s, err, diff)
		}
	}
}

func TestParseKey(t *testing.T) {
	for s, want := range map[string]policy.Key{
		"address":             {Kind: policy.KeyAddress},
		"principal":           {Kind: policy.KeyPrincipal},
		"principal.subject":   {Kind: policy.KeyPrincipal},
		"principal.tenant":    {Kind: policy.KeyTenant},
		"principal.client":    {Kind: policy.KeyClient},
		"operation":           {Kind: policy.KeyOperation},
		"header:X-Device":     {Kind: policy.KeyHeader, Name: "x-device"},
		"path:id":             {Kind: policy.KeyParameter, In: policy.InPath, Name: "id"},
		"query:Account":       {Kind: policy.KeyParameter, In: policy.InQuery, Name: "Account"},
		"request:/email":      {Kind: policy.KeyRequest, Pointer: "/email"},
		"request:/a~1b/0":     {Kind: policy.KeyRequest, Pointer: "/a~1b/0"},
		"response:/email":     {},
		"request:email":       {},
		"request:":            {},
		"request:/a~":         {},
		"request:/items/*":    {},
		"request:/items/*/id": {},
		"ip":                  {},
		"principal.roles":     {},
		"header:":             {},
		"header:a b":          {},
		"query:":              {},
		"":                    {},
	} {
		got, err := policy.ParseKey(s)
		if diff := cmp.Diff(want, got); diff != "" || (err == nil) != (want.Kind != 0) {
			t.Errorf("%q: %v %s", s, err, diff)
		}
	}
}

func TestParsePlaceAndWhom(t *testing.T) {
	for s, want := range map[string]policy.Place{
		"path:id":                    {In: policy.InPath, Name: "id"},
		"query:owner":                {In: policy.InQuery, Name: "owner"},
		"header:X-Account":           {In: policy.InHeader, Name: "x-account"},
		"request:/owner":             {In: policy.InRequest, Pointer: "/owner"},
		"response:/items/*/owner_id": {In: policy.InResponse, Pointer: "/items/*/owner_id"},
		"":                           {}, "id": {}, "cookie:x": {}, "response:owner": {}, "response:": {}, "path:": {}, "path: id": {},
	} {
		got, err := policy.ParsePlace(s)
		if want.In == 0 {
			if err == nil {
				t.Errorf("%q is %+v, want an error", s, got)
			}
			continue
		}
		want.Text = s
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%q: %v %s", s, err, diff)
		}
	}
	for s, want := range map[string]policy.Whom{
		"principal.subject":        {Kind: policy.WhomSubject},
		"principal.tenant":         {Kind: policy.WhomTenant},
		"principal.client":         {Kind: policy.WhomClient},
		"principal.claims/org/id":  {Kind: policy.WhomClaim, Claim: "/org/id"},
		"principal":                {},
		"principal.claims":         {},
		"principal.claims.org":     {},
		"principal.claims/a~2":     {},
		"subject":                  {},
		"principal.subject or any": {},
	} {
		got, err := policy.ParseWhom(s)
		if want.Kind == 0 {
			if err == nil {
				t.Errorf("%q is %+v, want an error", s, got)
			}
			continue
		}
		want.Text = s
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%q: %v %s", s, err, diff)
		}
	}
}

func TestParseCondition(t *testing.T) {
	role := func(v string) policy.Membership { return policy.Membership{Role: true, Value: v} }
	scope := func(v string) policy.Membership { return policy.Membership{Value: v} }
	for s, want := range map[string][]policy.Membership{
		`"admin" in principal.roles`:     {role("admin")},
		` 'a b'  in  principal.scopes  `: {scope("a b")},
		`"x" in principal.roles || "y:read" in principal.scopes||'z'in principal.roles`:   {role("x"), scope("y:read"), role("z")},
		`("x" in principal.roles || ("y" in principal.roles)) || "z" in principal.scopes`: {role("x"), role("y"), scope("z")},
		``:                             nil,
		`true`:                         nil,
		`"x" in principal.groups`:      nil,
		`"x" in principal.roles2`:      nil,
		`"x" inprincipal.roles`:        nil,
		`"x" in principal.roles ||`:    nil,
		`"x" in principal.roles "y"`:   nil,
		`"" in principal.roles`:        nil,
		`"x\"y" in principal.roles`:    nil,
		`"x in principal.roles`:        nil,
		`("x" in principal.roles`:      nil,
		`"x" in principal.roles)`:      nil,
		`!("x" in principal.roles)`:    nil,
		`principal.subject == "alice"`: nil,
		`"x" in principal.roles && "y" in principal.roles`: nil,
		strings.Repeat("(", 10_000):                        nil,
		strings.Repeat(`"x" in principal.roles || `, 1000): nil,
	} {
		c, err := policy.ParseCondition(s)
		if want == nil {
			if err == nil || !strings.Contains(err.Error(), `supported are "x" in principal.scopes`) || len(err.Error()) > 400 {
				t.Errorf("%q is %+v, %v; want an error that says what is supported", s, c, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", s, err)
		} else if diff := cmp.Diff(want, c.Any); diff != "" || c.Text != s {
			t.Errorf("%q: %s", s, diff)
		}
	}
}

func TestNearest(t *testing.T) {
	known := []string{"limits", "mode", "public", "owner", "read_only", "undeclared"}
	for s, want := range map[string]string{
		"limit": "limits", "Mode": "mode", "onwer": "owner", "readonly": "read_only", "undeclarred": "undeclared",
		"xyz": "", "": "", "pubilc": "public", "credential": "", strings.Repeat("limits", 100): "",
	} {
		if got := policy.Nearest(s, known); got != want {
			t.Errorf("nearest to %q is %q, want %q", s, got, want)
		}
	}
}

// FuzzCondition: what is accepted means the same when it is written out
// again.
func FuzzCondition(f *testing.F) {
	f.Add(`"x" in principal.roles || ('y' in principal.scopes)`)
	f.Add(`"x" in principal.roles && true`)
	f.Fuzz(func(t *testing.T, s string) {
		c, err := policy.ParseCondition(s)
		if err != nil {
			return
		}
		var parts []string
		for _, m := range c.Any {
			quote, set := `"`, "scopes"
			if strings.Contains(m.Value, quote) {
				quote = `'`
			}
			if m.Role {
				set = "roles"
			}
			parts = append(parts, quote+m.Value+quote+" in principal."+set)
		}
		again, err := policy.ParseCondition(strings.Join(parts, " || "))
		if err != nil {
			t.Fatalf("%q written out is refused: %v", s, err)
		}
		if diff := cmp.Diff(c.Any, again.Any); diff != "" {
			t.Errorf("%q: %s", s, diff)
		}
	})
}
