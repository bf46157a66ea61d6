package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/contract/openapi"
	"github.com/sallyport/sallyport/document"
	"github.com/sallyport/sallyport/plan"
	"github.com/sallyport/sallyport/policy"
)

const small = `openapi: 3.1.0
info: {title: A, version: "1"}
security: [{token: []}]
paths:
  /orders/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
    get: {operationId: getOrder, tags: [orders], responses: {"200": {description: ok, content: {application/json: {schema: {type: object, properties: {customer_id: {type: string}}}}}}}}
    put:
      operationId: setOrder
      requestBody: {content: {application/json: {schema: {type: object, properties: {email: {type: string}}}}}}
      responses: {"200": {description: ok}}
    delete: {operationId: deleteOrder, tags: [orders, admin], responses: {"204": {description: ok}}}
  /open:
    get: {operationId: open, security: [], responses: {"204": {description: ok}}}
components: {securitySchemes: {token: {type: http, scheme: bearer}}}
`

func compile(t *testing.T, entries string) (*plan.Plan, contract.Diagnostics) {
	t.Helper()
	doc, err := document.Parse("a.yaml", []byte(small))
	if err != nil {
		t.Fatal(err)
	}
	api, ds := openapi.Compile(doc, openapi.Options{})
	if ds.Fatal() {
		t.Fatal(ds)
	}
	pdoc, err := document.ParseYAML("sallyport.yaml", []byte(entries))
	if err != nil {
		t.Fatal(err)
	}
	pol, pds := policy.Decode(pdoc.Root())
	if len(pds) > 0 {
		t.Fatal(pds)
	}
	return plan.Compile(plan.Options{Policy: pol, Text: []byte(entries), Sources: []plan.Source{{Name: "a", Contract: api, Verifier: nobody{}}}})
}

func operation(t *testing.T, p *plan.Plan, id string) *plan.Operation {
	t.Helper()
	i := slices.IndexFunc(p.Operations, func(o *plan.Operation) bool { return o.ID == id })
	if i < 0 {
		t.Fatalf("there is no operation %s", id)
	}
	return p.Operations[i]
}

func TestDiagnosticsOfPolicy(t *testing.T) {
	for _, tt := range []struct{ name, policy, want string }{
		{"an entry that matches nothing is an error, with its place",
			`- {on: ["GET /order/{id}"], public: true}`,
			"sallyport.yaml:1:9: error: \"GET /order/{id}\" matches no operation\n\thint: did you mean \"GET /orders/{id}\"?"},
		{"so is one of several selectors",
			`- {on: ["operation:getOrder", "operation:getOrders"], mode: observe}`,
			"sallyport.yaml:1:31: error: \"operation:getOrders\" matches no operation\n\thint: did you mean \"operation:getOrder\"?"},
		{"and a tag", `- {on: ["tag:orderz"], mode: observe}`, "\"tag:orderz\" matches no operation\n\thint: did you mean \"tag:orders\"?"},
		{"and an API that there is not", `- {on: ["api:b *"], mode: observe}`, "\"api:b *\" matches no operation"},
		{"a later entry that weakens an earlier one is told",
			"- {on: [\"*\"], undeclared: {request: deny}}\n- {on: [\"tag:orders\"], undeclared: {request: report}}",
			"sallyport.yaml:2:37: warning: undeclared.request weakens sallyport.yaml:1:28"},
		{"so is a mode", "- {on: [\"*\"], mode: enforce}\n- {on: [\"operation:getOrder\"], controls: {ownership: observe}}",
			"warning: mode of ownership weakens sallyport.yaml:1:15"},
		{"and a limit", "- {on: [\"*\"], limits: [{name: a, per: address, rate: 10/m}]}\n- {on: [\"tag:admin\"], limits: [{name: a, per: address, rate: 10/s}]}",
			"limit \"a\" weakens sallyport.yaml:1"},
		{"and a redaction", "- {on: [\"*\"], redact: [{class: payment.card, show: mask}]}\n- {on: [\"tag:admin\"], redact: [{class: payment.card, show: all}]}",
			"redaction of payment.card weakens sallyport.yaml:1"},
		{"and unread", "- {on: [\"*\"], unread: refuse}\n- {on: [\"tag:admin\"], unread: pass}", "unread weakens sallyport.yaml:1"},
		{"an owner in a parameter that is not there",
			`- {on: ["operation:getOrder"], owner: {at: "path:user", is: principal.subject}}`, "stands in parameter \"user\", which it does not have"},
		{"a limit by a parameter that is not there",
			`- {on: ["operation:getOrder"], limits: [{name: a, per: "query:user", rate: 1/s}]}`, "counts by parameter \"user\", which it does not have"},
		{"a mode for all controls is told once", "- {on: [\"*\"], mode: enforce}\n- {on: [\"operation:getOrder\"], mode: observe}", "warning: mode weakens sallyport.yaml:1:15\n\thint: remove one of the two, if this is not meant"},
		{"an owner that no answer has", `- {on: ["operation:getOrder"], owner: {at: "response:/custmer_id", is: principal.subject}}`,
			"no declared answer of GET /orders/{id} has the owner /custmer_id"},
		{"a limit by what no body has", `- {on: ["operation:setOrder"], limits: [{name: a, per: "request:/emial", rate: 1/s}]}`,
			"limit \"a\" counts by /emial, which no declared body of PUT /orders/{id} has"},
		{"what nothing protects is listed", `- {on: ["*"], mode: enforce}`, "a.yaml:14:5: warning: operation open requires no one to sign in"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, ds := compile(t, tt.policy)
			if !strings.Contains(ds.Error(), tt.want) {
				t.Errorf("the diagnostics are\n%s\nwant\n%s", ds.Error(), tt.want)
			}
			if (p == nil) != ds.Fatal() {
				t.Error("a fatal diagnostic and a plan go together")
			}
		})
	}
}

func TestWhatIsOpenOnPurposeIsNotListed(t *testing.T) {
	_, ds := compile(t, `- {on: ["operation:open"], public: true}`)
	if len(ds) > 0 {
		t.Error(ds)
	}
}

func TestLaterEntriesRefine(t *testing.T) {
	p, ds := compile(t, `
- {on: ["*"], mode: observe, limits: [{name: all, per: address, rate: 10/s}]}
- {on: ["tag:orders"], mode: enforce, controls: {scrubbing: off}}
- {on: ["DELETE /orders/{id}"], undeclared: {request: strip}, limits: [{name: all, per: address, rate: 1/s}, {name: own, per: principal, rate: 2/s}]}
`)
	if ds.Fatal() {
		t.Fatal(ds)
	}
	get, del, open := operation(t, p, "getOrder"), operation(t, p, "deleteOrder"), operation(t, p, "open")
	if open.Mode != policy.Observe || get.Mode != policy.Enforce || get.Modes[policy.Scrub] != policy.Off {
		t.Errorf("modes: %v, %v, %v", open.Mode, get.Mode, get.Modes[policy.Scrub])
	}
	if get.Undeclared != policy.DenyThem || del.Undeclared != policy.StripThem {
		t.Error("undeclared went to the wrong operation")
	}
	if len(get.Limits) != 1 || len(del.Limits) != 2 || del.Limits[0].Limit.Rate.N != 1 {
		t.Errorf("limits: %+v, %+v", get.Limits, del.Limits)
	}
	if got := del.Entries[policy.Scrub]; got != "sallyport.yaml:3" {
		t.Errorf("scrubbing was set by %s", got)
	}
}

func TestHashCoversContractAndPolicy(t *testing.T) {
	a, _ := compile(t, `- {on: ["*"], mode: enforce}`)
	b, _ := compile(t, `- {on: ["*"], mode: enforce}`)
	c, _ := compile(t, `- {on: ["*"], mode: observe}`)
	if a.Hash != b.Hash || a.Hash == c.Hash {
		t.Errorf("hashes %s, %s, %s", a.Hash, b.Hash, c.Hash)
	}
}

// TestModesOfLimitsAreThoseOfTheWholePolicy: a later entry that enforces must
// not leave the limits of earlier ones observing.
func TestModesOfLimitsAreThoseOfTheWholePolicy(t *testing.T) {
	p, ds := compile(t, `
- {on: ["*"], mode: observe, limits: [{name: a, per: address, rate: 10/s}, {name: b, per: principal, rate: 10/s}, {name: c, per: principal, rate: 1/s, mode: observe}]}
- {on: ["tag:orders"], mode: enforce}
- {on: ["tag:admin"], controls: {address_limits: off}}
`)
	if ds.Fatal() {
		t.Fatal(ds)
	}
	for id, want := range map[string][]policy.Mode{
		"open":        {policy.Observe, policy.Observe, policy.Observe},
		"getOrder":    {policy.Enforce, policy.Enforce, policy.Observe},
		"deleteOrder": {policy.Off, policy.Enforce, policy.Observe},
	} {
		for i, l := range operation(t, p, id).Limits {
			if l.Mode != want[i] {
				t.Errorf("%s: limit %s has mode %v, want %v", id, l.Name, l.Mode, want[i])
			}
		}
	}
}

// TestTooMuchToCountIsAnErrorAtLoad and not a refusal of every request.
func TestTooMuchToCountIsAnErrorAtLoad(t *testing.T) {
	var b strings.Builder
	b.WriteString("- on: [\"*\"]\n  limits:\n")
	for i := range 65 {
		fmt.Fprintf(&b, "    - {name: l%d, per: \"request:/a%d\", rate: 1/s}\n", i, i)
	}
	if _, ds := compile(t, b.String()); !ds.Fatal() || !strings.Contains(ds.Error(), "more than 64 values") {
		t.Errorf("65 values of one body: %v", ds)
	}
	b.Reset()
	b.WriteString("- on: [\"*\"]\n  redact:\n")
	for i := range 64 {
		fmt.Fprintf(&b, "    - {class: own.c%d, show: mask}\n", i)
	}
	if _, ds := compile(t, b.String()); !ds.Fatal() || !strings.Contains(ds.Error(), "data classes") {
		t.Errorf("more than 64 data classes: %v", ds)
	}
}
