package guard_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/authn"
	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/plan"
	"github.com/sallyport/sallyport/policy"
)

// TestPlansAreSwappedUnderExchanges puts plans of different sizes in force
// while exchanges run: each ends by the plan it began with, also as its counts
// go, and none is lost. It is run under the race detector.
func TestPlansAreSwappedUnderExchanges(t *testing.T) {
	wide := strings.NewReplacer("6000/m", "600000000/m").Replace(everything)
	var plans []*plan.Plan
	for _, src := range []string{string(shopContract(t)), strings.Replace(string(shopContract(t)), "paths:\n", "paths:\n  /a: {get: {responses: {\"204\": {description: ok}}}}\n  /b: {get: {responses: {\"204\": {description: ok}}}}\n", 1)} {
		p, ds := compileContract(t, []byte(src), policy.Enforce, wide)
		if p == nil {
			t.Fatal(ds)
		}
		p.APIs[0].Verifier = plan.Verifier(known{&authn.Principal{Subject: "ann", Tenant: "acme", Scopes: []string{"orders:read", "orders:write"}}})
		plans = append(plans, p)
	}
	g := guard.New(guard.Options{Plan: plans[0], Events: discard{}})
	const workers, each = 4, 300
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			a := []*allowed{get(500), post()}[w%2]
			for range each {
				if status := a.run(t.Context(), g); status/100 != 2 {
					t.Errorf("an exchange got %d", status)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for i := 0; ; i++ {
		select {
		case <-done:
			var counted uint64
			stats := g.Stats()
			for i := range stats.Plan.Operations {
				counted += stats.Operation(i).Passed(2)
			}
			if counted != workers*each {
				t.Errorf("%d exchanges were counted, want %d", counted, workers*each)
			}
			return
		default:
			g.Swap(plans[i%2])
		}
	}
}
