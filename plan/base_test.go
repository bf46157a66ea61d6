package plan_test

import (
	"slices"
	"testing"

	"github.com/sallyport/sallyport/contract/openapi"
	"github.com/sallyport/sallyport/document"
	"github.com/sallyport/sallyport/plan"
)

// TestOperationsAreReachedUnderTheirOwnServers alone: below another one's base
// path the upstream has something that the contract does not declare.
func TestOperationsAreReachedUnderTheirOwnServers(t *testing.T) {
	const src = `openapi: 3.1.0
info: {title: A, version: "1"}
servers: [{url: /v1}]
paths:
  /orders: {get: {operationId: orders, responses: {"204": {description: ok}}}}
  /jobs:
    servers: [{url: /internal}]
    get: {operationId: jobs, responses: {"204": {description: ok}}}
    head: {operationId: headJobs, servers: [{url: /v1}, {url: /internal}], responses: {"204": {description: ok}}}
  /café/{x}: {get: {operationId: cafe, responses: {"204": {description: ok}}}}
`
	doc, err := document.Parse("a.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	api, ds := openapi.Compile(doc, openapi.Options{})
	if ds.Fatal() {
		t.Fatal(ds)
	}
	p, ds := plan.Compile(plan.Options{Sources: []plan.Source{{Name: "a", Contract: api}}})
	if ds.Fatal() {
		t.Fatal(ds)
	}
	own := "/other"
	moved, ds := plan.Compile(plan.Options{Sources: []plan.Source{{Name: "a", Contract: api, BasePath: &own}}})
	if ds.Fatal() {
		t.Fatal(ds)
	}
	for _, tt := range []struct {
		plan         *plan.Plan
		method, path string
		want         string
	}{
		{p, "GET", "/v1/orders", "orders"},
		{p, "GET", "/internal/orders", ""},
		{p, "GET", "/internal/jobs", "jobs"},
		{p, "GET", "/v1/jobs", ""},
		{p, "HEAD", "/v1/jobs", "headJobs"},
		{p, "HEAD", "/internal/jobs", "headJobs"},
		{p, "HEAD", "/internal/orders", ""},
		{p, "GET", "/orders", ""},
		{p, "GET", "/v1/caf%C3%A9/7", "cafe"},
		{moved, "GET", "/other/orders", "orders"},
		{moved, "GET", "/other/jobs", "jobs"},
	} {
		got := ""
		var m plan.Match
		if a, base, below := tt.plan.Find([]byte("x"), []byte(tt.path)); below {
			if a.Match([]byte(tt.path[len(base):]), tt.method, &m); m.Operation != nil && m.Operation.Under(base) {
				got = m.Operation.ID
			}
		}
		if got != tt.want {
			t.Errorf("%s %s: %q, want %q", tt.method, tt.path, got, tt.want)
		}
		if m.Ambiguous {
			t.Errorf("%s is taken for ambiguous", tt.path)
		}
	}
	if !slices.Contains(p.APIs[0].Bases, "/internal") {
		t.Error("the base path of an operation is not looked for")
	}
}
