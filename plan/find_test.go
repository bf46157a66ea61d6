package plan_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/contract/openapi"
	"github.com/sallyport/sallyport/document"
	"github.com/sallyport/sallyport/plan"
)

func source(t *testing.T, name, servers string, hosts ...string) plan.Source {
	t.Helper()
	text := strings.Replace(small, "paths:", "servers: "+servers+"\npaths:", 1)
	doc, err := document.Parse(name+".yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	api, ds := openapi.Compile(doc, openapi.Options{})
	if ds.Fatal() {
		t.Fatal(ds)
	}
	return plan.Source{Name: name, Contract: api, Hosts: hosts, Verifier: nobody{}}
}

func TestAPIsAreFoundByHostAndBasePath(t *testing.T) {
	root := "/v9"
	fixed := source(t, "fixed", `[{url: "https://x.example/ignored"}]`, "fixed.example")
	fixed.BasePath = &root
	p, ds := plan.Compile(plan.Options{Sources: []plan.Source{
		source(t, "shop", `[{url: "https://shop.example/v1"}, {url: "https://shop.example/v1/beta"}, {url: /}]`, "Shop.Example"),
		source(t, "bank", `[{url: "https://bank.example/{stage}/api", variables: {stage: {default: live}}}]`, "bank.example", "bank.test"),
		source(t, "old", `[{url: /legacy}]`, "shop.example"),
		source(t, "any", `[{url: /any}]`),
		fixed,
	}})
	if p == nil {
		t.Fatal(ds)
	}
	for _, tt := range []struct{ host, path, want string }{
		{"shop.example", "/v1/orders/1", "shop /v1"},
		{"shop.example", "/v1", "shop /v1"},
		{"shop.example", "/v10/orders/1", "shop "}, // not below /v1: the root server's
		{"shop.example", "/v1/beta/orders/1", "shop /v1/beta"},
		{"shop.example", "/legacy/orders/1", "old /legacy"}, // longer than the other's root
		{"bank.example", "/live/api/orders/1", "bank /live/api"},
		{"bank.test", "/live/api", "bank /live/api"},
		{"bank.example", "/orders/1", "beside bank"},
		{"bank.example", "/any/orders/1", "any /any"}, // an API without hosts takes every host
		{"elsewhere.example", "/any/orders/1", "any /any"},
		{"elsewhere.example", "/v1/orders/1", "beside any"},
		{"fixed.example", "/v9/orders/1", "fixed /v9"},
		{"fixed.example", "/ignored/orders/1", "beside fixed"},
	} {
		got := "none"
		if api, base, below := p.Find([]byte(tt.host), []byte(tt.path)); below {
			got = fmt.Sprintf("%s %s", api.Name, base)
		} else if api != nil {
			got = "beside " + api.Name
		}
		if got != tt.want {
			t.Errorf("%s%s: %q, want %q", tt.host, tt.path, got, tt.want)
		}
	}
}
