package contract_test

import (
	"context"
	"testing"
	"time"

	"github.com/sallyport/sallyport/authn"
	"github.com/sallyport/sallyport/contract/openapi"
	"github.com/sallyport/sallyport/demo/contract"
	"github.com/sallyport/sallyport/document"
	"github.com/sallyport/sallyport/exchange"
	"github.com/sallyport/sallyport/plan"
	"github.com/sallyport/sallyport/policy"
)

// What people read as examples has nothing to be warned of: every constraint
// of the contract is enforced, every operation is protected or open on
// purpose, and every entry of the policy finds its operation.
func TestNothingToWarnOf(t *testing.T) {
	api, ds := openapi.Load(contract.File, openapi.Options{ReadFile: func(string) ([]byte, error) { return contract.OpenAPI, nil }})
	for _, d := range ds {
		t.Error(d)
	}
	if api == nil {
		t.FailNow()
	}
	doc, err := document.Parse("sallyport.yaml", contract.Config)
	if err != nil {
		t.Fatal(err)
	}
	pol, ds := policy.Decode(doc.Root().Get("policy"))
	for _, d := range ds {
		t.Error(d)
	}
	p, ds := plan.Compile(plan.Options{Policy: pol, Sources: []plan.Source{{Name: "shop", Contract: api, Verifier: nobody{}}}})
	for _, d := range ds {
		t.Error(d)
	}
	if p == nil {
		t.FailNow()
	}
	if n := p.Unenforced["shop"]; n > 0 {
		t.Errorf("%d constraints are not enforced", n)
	}
}

// nobody verifies no token; it is there, which is what the plan asks.
type nobody struct{}

func (nobody) Verify(context.Context, []byte, time.Time) (*authn.Principal, exchange.Reason) {
	return nil, exchange.AuthnSignature
}
