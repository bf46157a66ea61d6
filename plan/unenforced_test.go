package plan_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/authn"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/contract/openapi"
	"github.com/sallyport/sallyport/exchange"
	"github.com/sallyport/sallyport/plan"
	"github.com/sallyport/sallyport/policy"
)

// nobody proves nothing.
type nobody struct{}

func (nobody) Verify(context.Context, []byte, time.Time) (*authn.Principal, exchange.Reason) {
	return nil, exchange.AuthnSignature
}

// TestNothingIsUnenforcedInSilence plants constraints that run time cannot
// apply. Each must be reported at its line, as unenforced or closed, and
// nothing else.
func TestNothingIsUnenforcedInSilence(t *testing.T) {
	const file = "testdata/unenforced.yaml"
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	planted := map[int]string{}
	for i, line := range strings.Split(string(src), "\n") {
		if _, what, ok := strings.Cut(line, "# planted: "); ok {
			planted[i+1] = what
		}
	}
	if len(planted) < 25 {
		t.Fatalf("only %d constraints are planted", len(planted))
	}
	api, ds := openapi.Load(file, openapi.Options{})
	if ds.Fatal() {
		t.Fatal(ds)
	}
	p, more := plan.Compile(plan.Options{Sources: []plan.Source{{Name: "a", Contract: api, Mode: policy.Enforce, Verifier: nobody{}}}})
	reported := map[int][]contract.Diagnostic{}
	for _, d := range append(ds, more...) {
		if d.Unenforced || d.Severity == contract.Closed {
			reported[d.Pos.Line] = append(reported[d.Pos.Line], d)
		}
	}
	for line, what := range planted {
		if len(reported[line]) == 0 {
			t.Errorf("%s:%d: %s was not reported", file, line, what)
		}
	}
	for line, ds := range reported {
		if planted[line] == "" {
			t.Errorf("reported, and not planted: %v", ds)
		}
	}
	if p == nil {
		t.Fatal("the rest was not compiled")
	}
}
