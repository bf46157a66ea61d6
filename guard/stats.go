package guard

import (
	"maps"
	"strings"
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

// Stats are the counts of the plan in force. They only grow, also from one plan
// to the next: an operation that both have goes on counting where it stood. They
// may be read at any time. A request adds to a few of them and looks none up by
// name.
type Stats struct {
	Plan  *plan.Plan
	Began time.Time
	ops   []*OperationStats // by Operation.Index
	gone  map[Counted]*OperationStats
	total *totals
}

// totals belong to no operation. All Stats of a guard share them.
type totals struct{ unread, nowhere atomic.Uint64 }

// A Counted names what an operation's counts are shown by. The API is "" for
// requests that belonged to none, the operation for those that matched none.
type Counted struct{ API, Operation, Method, Template, Mode string }

// maxGone bounds how many operations that no plan has any more are remembered.
const maxGone = 10_000

// OperationStats are the counts of one operation.
type OperationStats struct {
	passed   [6]atomic.Uint64          // by class of status; 0 for others
	refused  [numReasons]atomic.Uint64 // enforced, by reason
	observed [numReasons]atomic.Uint64 // hits of controls that only observe, or change what passes
	took     [len(Buckets) + 1]atomic.Uint64
	tookSum  atomic.Uint64 // nanoseconds
	upSum    atomic.Uint64 // nanoseconds
	stripped atomic.Uint64
	redacted atomic.Uint64
}

const numReasons = int(exchange.NumReasons)

// newStats are the counts of a plan that follows the one that old, which may be
// nil, belongs to. Exchanges that are still under way by the old plan count
// into the same numbers.
func newStats(p *plan.Plan, old *Stats) *Stats {
	s := &Stats{Plan: p, Began: time.Now(), gone: map[Counted]*OperationStats{}, total: new(totals)}
	if old != nil {
		s.total = old.total
		maps.Copy(s.gone, old.gone)
		if old.Plan != nil {
			for i, op := range old.Plan.Operations {
				s.gone[label(op)] = old.ops[i]
			}
		}
	}
	if p != nil {
		s.ops = make([]*OperationStats, len(p.Operations))
		for i, op := range p.Operations {
			l := label(op)
			if s.ops[i] = s.gone[l]; s.ops[i] == nil {
				s.ops[i] = new(OperationStats)
			}
			delete(s.gone, l)
		}
	}
	for l, o := range s.gone {
		if len(s.gone) > maxGone || o.unused() {
			delete(s.gone, l)
		}
	}
	return s
}

// label names an operation without holding on to its plan, nor to the text of
// the contract that its strings are cut from.
func label(op *plan.Operation) Counted {
	l := Counted{Operation: strings.Clone(op.ID), Method: strings.Clone(op.Method), Template: strings.Clone(op.Template), Mode: op.Mode.String()}
	if op.API != nil {
		l.API = strings.Clone(op.API.Name)
	}
	return l
}

// unused reports whether nothing was ever counted.
func (o *OperationStats) unused() bool {
	counts, _ := o.Took()
	return counts == [len(Buckets) + 1]uint64{}
}

// All yields the counts of every operation of the plan, and of those that plans
// before it had.
func (s *Stats) All(yield func(Counted, *OperationStats) bool) {
	if s.Plan != nil {
		for i, op := range s.Plan.Operations {
			if !yield(label(op), s.ops[i]) {
				return
			}
		}
	}
	for l, o := range s.gone {
		if !yield(l, o) {
			return
		}
	}
}

// count adds one exchange.
func (s *Stats) count(p *Pass, took time.Duration) {
	if p.op == nil {
		return
	}
	o := s.ops[p.op.Index]
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
	if p.stripped > 0 {
		o.stripped.Add(uint64(p.stripped))
	}
	if p.redacted > 0 {
		o.redacted.Add(uint64(p.redacted))
	}
}

// Unread is how many bodies a control should have read and could not.
func (s *Stats) Unread() uint64 { return s.total.unread.Load() }

// Nowhere is how many requests belonged to no API.
func (s *Stats) Nowhere() uint64 { return s.total.nowhere.Load() }

// Operation returns the counts of the operation with an index of the plan.
func (s *Stats) Operation(i int) *OperationStats { return s.ops[i] }

// Passed is how many exchanges passed with a class of status, 1 to 5.
func (o *OperationStats) Passed(class int) uint64 { return o.passed[class].Load() }

// Refused is how many were refused for a reason.
func (o *OperationStats) Refused(r exchange.Reason) uint64 { return o.refused[r].Load() }

// Observed is how often a reason was found by a control that observes, or
// that changes what passes.
func (o *OperationStats) Observed(r exchange.Reason) uint64 { return o.observed[r].Load() }

// Took returns how many exchanges fell into each of [Buckets], and beyond
// them, and the time of all together.
func (o *OperationStats) Took() (counts [len(Buckets) + 1]uint64, sum time.Duration) {
	for i := range counts {
		counts[i] = o.took[i].Load()
	}
	return counts, time.Duration(o.tookSum.Load())
}

// Upstream is the time spent waiting for the upstream's heads.
func (o *OperationStats) Upstream() time.Duration { return time.Duration(o.upSum.Load()) }

// Stripped is how many properties were cut out, Redacted how many values masked.
func (o *OperationStats) Stripped() uint64 { return o.stripped.Load() }

// Redacted is how many values were masked.
func (o *OperationStats) Redacted() uint64 { return o.redacted.Load() }
