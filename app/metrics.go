package app

import (
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/exchange"
	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/telemetry"
)

// totals are sums by what metrics show them by.
type totals struct {
	exchanges map[telemetry.Exchanges]uint64 // by all but Count
	hits      map[telemetry.Hits]uint64
	changed   map[telemetry.Changed]uint64
	took      map[apiMode]*telemetry.Histogram
	waits     map[apiMode]*telemetry.Wait
}

// apiMode is what durations are told apart by.
type apiMode struct{ api, mode string }

var bounds = func() []float64 {
	b := make([]float64, len(guard.Buckets))
	for i, d := range guard.Buckets {
		b[i] = d.Seconds()
	}
	return b
}()

// sum adds up what the guard counted by operation.
func sum(s *guard.Stats) totals {
	t := totals{map[telemetry.Exchanges]uint64{}, map[telemetry.Hits]uint64{}, map[telemetry.Changed]uint64{},
		map[apiMode]*telemetry.Histogram{}, map[apiMode]*telemetry.Wait{}}
	for op, o := range s.All {
		t.add(op.API, op.Operation, op.Mode, o)
	}
	return t
}

func (t *totals) add(api, id, mode string, o *guard.OperationStats) {
	e := telemetry.Exchanges{API: api, Operation: id, Mode: mode, Verdict: "allow", Reason: exchange.OK.Code()}
	for class := 0; class <= 5; class++ {
		if n := o.Passed(class); n > 0 {
			e.Status = strconv.Itoa(class) + "xx"
			t.exchanges[e] += n
		}
	}
	e.Verdict = "deny"
	for _, r := range exchange.Reasons() {
		if n := o.Refused(r); n > 0 {
			e.Reason, e.Status = r.Code(), statusClass(r)
			t.exchanges[e] += n
		}
		if n := o.Observed(r); n > 0 {
			t.hits[telemetry.Hits{API: api, Operation: id, Reason: r.Code(), Mode: mode}] += n
		}
	}
	if n := o.Stripped(); n > 0 {
		t.changed[telemetry.Changed{API: api, Mode: mode, What: "stripped"}] += n
	}
	if n := o.Redacted(); n > 0 {
		t.changed[telemetry.Changed{API: api, Mode: mode, What: "redacted"}] += n
	}
	t.durations(apiMode{api, mode}, o)
}

func (t *totals) durations(k apiMode, o *guard.OperationStats) {
	h, w := t.took[k], t.waits[k]
	if h == nil {
		h = &telemetry.Histogram{API: k.api, Mode: k.mode, Bounds: bounds, Buckets: make([]uint64, len(bounds)+1)}
		w = &telemetry.Wait{API: k.api, Mode: k.mode}
		t.took[k], t.waits[k] = h, w
	}
	counts, sum := o.Took()
	for i, n := range counts {
		h.Buckets[i] += n
		w.Count += n
	}
	h.Sum += sum.Seconds()
	w.Sum += o.Upstream().Seconds()
}

// statusClass is the class of the status that a refusal for r has.
func statusClass(r exchange.Reason) string {
	status := r.Entry().Status
	if status == 0 {
		status = 502
	}
	return strconv.Itoa(status/100) + "xx"
}

// snapshot reads every counter, for a scrape.
func (a *App) snapshot() telemetry.Snapshot {
	stats := a.guard.Stats()
	t := sum(stats)
	s := telemetry.Snapshot{
		Unmatched: stats.Nowhere(), Unread: stats.Unread(), Panics: a.gateway.Panics(), Ready: a.ready() == nil,
		Plan: telemetry.Plan{Hash: stats.Plan.Hash, Since: stats.Began, Faults: map[string]int{"error": 0, "closed": 0, "warning": 0}},
	}
	for e, n := range t.exchanges {
		e.Count = n
		s.Exchanges = append(s.Exchanges, e)
	}
	for h, n := range t.hits {
		h.Count = n
		s.Hits = append(s.Hits, h)
	}
	for c, n := range t.changed {
		c.Count = n
		s.Changed = append(s.Changed, c)
	}
	for _, h := range t.took {
		s.Durations = append(s.Durations, *h)
	}
	for _, w := range t.waits {
		s.Waits = append(s.Waits, *w)
	}

	a.reloads.mu.Lock()
	s.Reloads = a.reloads.Reloads
	a.reloads.mu.Unlock()
	c := a.current.Load()
	for _, d := range c.faults {
		s.Plan.Faults[d.Severity.String()]++
	}
	operations, unprotected := map[string]int{}, map[string]int{}
	for _, op := range stats.Plan.Operations {
		if op.API == nil || op == op.API.Unmatched {
			continue
		}
		operations[op.API.Name]++
		if len(op.Security) == 0 {
			unprotected[op.API.Name]++
		}
	}
	for _, api := range stats.Plan.APIs {
		s.Plan.APIs = append(s.Plan.APIs, telemetry.API{
			Name: api.Name, Operations: operations[api.Name], Unenforced: stats.Plan.Unenforced[api.Name],
			Unprotected: unprotected[api.Name], Available: !api.Unavailable,
		})
	}

	if a.events != nil {
		sink := "stdout"
		if a.file != nil {
			sink = "file"
		}
		e := a.events.Stats()
		s.Events = []telemetry.Events{
			{Sink: sink, Outcome: "written", Count: e.Written},
			{Sink: sink, Outcome: "lost_exchanges", Count: e.Lost.Exchanges},
			{Sink: sink, Outcome: "lost_denials", Count: e.Lost.Denials},
		}
	}
	for _, d := range a.doors {
		st := d.Stats()
		l := telemetry.Listener{
			Address: st.Address, Refused: st.Refused,
			Open:     map[string]int64{"http/1.1": int64(st.Open - st.HTTP2), "h2": int64(st.HTTP2)},
			Accepted: st.Accepted, TimedOut: st.TimedOut,
		}
		for kind, n := range st.HTTP2Faults {
			l.HTTP2Faults = append(l.HTTP2Faults, telemetry.HTTP2Fault{Kind: kind, Count: n})
		}
		s.Listeners = append(s.Listeners, l)
	}
	for _, u := range a.gateway.UpstreamStats() {
		s.Upstreams = append(s.Upstreams, telemetry.Upstream{
			Address: u.Address, Idle: int64(u.Idle), Busy: int64(u.Open - u.Idle), Dialed: u.Dialled, Retried: u.Retried, Ejected: u.Ejected,
		})
	}
	for _, certs := range a.certs {
		for _, leaf := range certs.Leaves() {
			name := leaf.Subject.CommonName
			if len(leaf.DNSNames) > 0 {
				name = strings.Join(leaf.DNSNames, ",")
			}
			s.Certificates = append(s.Certificates, telemetry.Certificate{Name: name, Until: leaf.NotAfter})
		}
	}
	return s
}
