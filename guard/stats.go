package guard

import (
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/exchange"
	"github.com/sallyport/sallyport/plan"
)

// Buckets are the upper bounds of the histograms of duration.
var Buckets = [...]time.Duration{
	500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 10 * time.Second,
}

// Stats are the counts of one plan. They only grow, and may be read at any
// time. A request adds to a few of them and looks none up by name.
type Stats struct {
	Plan    *plan.Plan
	Began   time.Time
	ops     []OperationStats
	unread  atomic.Uint64
	nowhere atomic.Uint64
}

// OperationStats are the counts of one operation.
type OperationStats struct {
	passed   [6]atomic.Uint64          // by class of status; 0 for others
	refused  [numReasons]atomic.Uint32 // enforced, by reason
	observed [numReasons]atomic.Uint32 // hits of controls that only observe, or change what passes
	took     [len(Buckets) + 1]atomic.Uint32
	tookSum  atomic.Uint64 // nanoseconds
	upSum    atomic.Uint64 // nanoseconds
	stripped atomic.Uint64
	redacted atomic.Uint64
}

const numReasons = int(exchange.NumReasons)

func newStats(p *plan.Plan) *Stats {
	s := &Stats{Plan: p, Began: time.Now()}
	if p != nil {
		s.ops = make([]OperationStats, len(p.Operations))
	}
	return s
}

// count adds one exchange.
func (s *Stats) count(p *Pass, took time.Duration) {
	if p.op == nil {
		return
	}
	o := &s.ops[p.op.Index]
	if p.verdict.Action == exchange.Deny {
		o.refused[p.verdict.Reason].Add(1)
	} else {
		class := p.replied / 100
		if class > 5 {
			class = 0
		}
		o.passed[class].Add(1)
	}
	for i := range p.hits {
		if h := &p.hits[i]; h.Observed || h.Reason != p.verdict.Reason {
			o.observed[h.Reason].Add(1)
		}
	}
	i := 0
	for i < len(Buckets) && took > Buckets[i] {
		i++
	}
	o.took[i].Add(1)
	o.tookSum.Add(uint64(took))
	o.upSum.Add(uint64(p.upTook))
	if n := p.report.Undeclared.Count + p.report.WriteOnly.Count + p.report.ReadOnly.Count; n > 0 {
		o.stripped.Add(uint64(n))
	}
	if n := p.report.Redacted.Count; n > 0 {
		o.redacted.Add(uint64(n))
	}
}

// Unread is how many bodies a control should have read and could not.
func (s *Stats) Unread() uint64 { return s.unread.Load() }

// Nowhere is how many requests belonged to no API.
func (s *Stats) Nowhere() uint64 { return s.nowhere.Load() }

// Operation returns the counts of the operation with an index of the plan.
func (s *Stats) Operation(i int) *OperationStats { return &s.ops[i] }

// Passed is how many exchanges passed with a class of status, 1 to 5.
func (o *OperationStats) Passed(class int) uint64 { return o.passed[class].Load() }

// Refused is how many were refused for a reason.
func (o *OperationStats) Refused(r exchange.Reason) uint64 { return uint64(o.refused[r].Load()) }

// Observed is how often a reason was found by a control that observes, or
// that changes what passes.
func (o *OperationStats) Observed(r exchange.Reason) uint64 { return uint64(o.observed[r].Load()) }

// Took returns how many exchanges fell into each of [Buckets], and beyond
// them, and the time of all together.
func (o *OperationStats) Took() (counts [len(Buckets) + 1]uint64, sum time.Duration) {
	for i := range counts {
		counts[i] = uint64(o.took[i].Load())
	}
	return counts, time.Duration(o.tookSum.Load())
}

// Upstream is the time spent waiting for the upstream's heads.
func (o *OperationStats) Upstream() time.Duration { return time.Duration(o.upSum.Load()) }

// Stripped is how many properties were cut out, Redacted how many values masked.
func (o *OperationStats) Stripped() uint64 { return o.stripped.Load() }

// Redacted is how many values were masked.
func (o *OperationStats) Redacted() uint64 { return o.redacted.Load() }
