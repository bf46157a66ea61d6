// Package telemetry shows what was counted as Prometheus metrics.
//
// Start with [New] and mount the handler on the admin address. Whoever does
// the work counts it; the package reads those counters when it is scraped and
// never stands in the way of a request. It knows none of the other parts:
// package app fills the [Snapshot].
package telemetry

import (
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// A Snapshot is every counter at one moment. Counters never go down while the
// process lives, a reload included.
type Snapshot struct {
	Exchanges    []Exchanges
	Hits         []Hits
	Durations    []Histogram // whole exchanges, by API
	Waits        []Wait
	Changed      []Changed
	Unread       uint64 // bodies that a control should have read and could not
	Unmatched    uint64 // requests that belonged to no API
	Panics       uint64 // exchanges that ended in one, and were refused
	Events       []Events
	Plan         Plan
	Reloads      Reloads
	Listeners    []Listener
	Upstreams    []Upstream
	Certificates []Certificate
	Ready        bool
}

// Exchanges are those of one operation that ended alike.
type Exchanges struct {
	API       string
	Operation string // "" where none matched
	Verdict   string // "allow" or "deny"
	Reason    string // code of the catalogue
	Mode      string // of the operation: "enforce", "observe" or "off"
	Status    string // class of what the caller got: "2xx"
	Count     uint64
}

// Hits are what controls found in exchanges that they did not refuse: they
// only observe, or they change what passes.
type Hits struct {
	API       string
	Operation string
	Reason    string
	Mode      string
	Count     uint64
}

// A Wait is the time spent waiting for upstreams.
type Wait struct {
	API   string
	Mode  string
	Count uint64
	Sum   float64 // seconds
}

// A Histogram is how long something took.
type Histogram struct {
	API     string
	Mode    string
	Bounds  []float64 // upper bounds in seconds, ascending; shared, never changed
	Buckets []uint64  // how many were at most Bounds[i] and above the one before; one more than Bounds
	Sum     float64   // seconds
}

// Changed is what the response and request doors took out or masked.
type Changed struct {
	API   string
	Mode  string
	What  string // "stripped" or "redacted"
	Count uint64
}

// Events are what became of events.
type Events struct {
	Sink    string // "stdout" or "file"
	Outcome string // "written", "lost_exchanges" or "lost_denials"
	Count   uint64
}

// Plan is the plan that requests are judged by.
type Plan struct {
	Hash   string
	Since  time.Time
	APIs   []API
	Faults map[string]int // of the last load, by severity
}

// API is one API of the plan.
type API struct {
	Name        string
	Operations  int
	Unenforced  int // constraints, schemes, media types and entries that run time does not apply
	Unprotected int // operations that nothing protects
	Available   bool
}

// Reloads are the outcomes of loading the configuration after the start.
type Reloads struct {
	Done, Failed uint64
	Last         time.Time // of the last that was done
}

// A Listener is a door's address.
type Listener struct {
	Address     string
	Open        map[string]int64 // by protocol: "http/1.1", "h2"
	Accepted    uint64           // connections
	Refused     uint64           // requests that were no HTTP
	TimedOut    uint64           // connections closed for what took too long
	HTTP2Faults []HTTP2Fault
}

// HTTP2Fault is what peers did wrong over HTTP/2.
type HTTP2Fault struct {
	Kind  string
	Count uint64
}

// An Upstream is a server that exchanges go to.
type Upstream struct {
	Address string
	Idle    int64
	Busy    int64
	Dialed  uint64
	Retried uint64
	Ejected bool
}

// A Certificate is one in use.
type Certificate struct {
	Name  string
	Until time.Time
}

// New returns the handler of /metrics. read is called once a scrape, and
// scrapes may come at once.
func New(version string, read func() Snapshot) http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		&collector{version: version, read: read},
	)
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{
		MaxRequestsInFlight: 4,
		Timeout:             10 * time.Second,
	})
}

// A collector turns a snapshot into metrics at scrape time.
type collector struct {
	version string
	read    func() Snapshot
}

// A metric is the description of one family.
type metric struct{ *prometheus.Desc }

func describe(name, help string, labels ...string) metric {
	return metric{prometheus.NewDesc("sallyport_"+name, help, labels, nil)}
}

var (
	exchanges    = describe("exchanges_total", "Exchanges by how they ended.", "api", "operation", "verdict", "reason", "mode", "status")
	hits         = describe("hits_total", "What controls found in exchanges that they did not refuse.", "api", "operation", "reason", "mode")
	durations    = describe("exchange_duration_seconds", "Time from a whole request head to the end of the answer.", "api", "mode")
	upstream     = describe("upstream_duration_seconds", "Time waiting for the head of the upstream's answer.", "api", "mode")
	changed      = describe("values_changed_total", "Properties stripped and values redacted.", "api", "mode", "what")
	events       = describe("events_total", "Events by what became of them.", "sink", "outcome")
	unread       = describe("unread_bodies_total", "Bodies that a control should have read and could not: refused, or passed on where policy says so.")
	unmatched    = describe("unmatched_requests_total", "Requests that belonged to no API.")
	panics       = describe("panics_total", "Exchanges that ended in a panic of ours, and were refused.")
	planInfo     = describe("plan_info", "1, with the hash of the plan that requests are judged by.", "hash")
	planSince    = describe("plan_loaded_timestamp_seconds", "When the plan in use was loaded.")
	planFaults   = describe("plan_diagnostics", "Diagnostics of the last load, by severity.", "severity")
	apiUp        = describe("api_available", "1 where the API's contract and policy compile, 0 where it answers config.unavailable.", "api")
	operations   = describe("operations", "Operations of the contract.", "api")
	unenforced   = describe("unenforced_constraints", "What contract and policy say and run time does not apply; sallyport check lists it.", "api")
	unprotected  = describe("unprotected_operations", "Operations that nothing protects.", "api")
	reloads      = describe("reloads_total", "Loads of the configuration after the start, by outcome.", "outcome")
	reloadLast   = describe("reload_last_success_timestamp_seconds", "When a reload was last done.")
	open         = describe("connections", "Open connections of callers.", "listener", "protocol")
	accepted     = describe("connections_accepted_total", "Connections of callers.", "listener")
	refused      = describe("requests_malformed_total", "Requests that were no HTTP, or beyond the listener's limits.", "listener")
	timedOut     = describe("connections_timed_out_total", "Connections closed for a head, body or answer that took too long.", "listener")
	http2Faults  = describe("http2_errors_total", "What peers did wrong over HTTP/2.", "listener", "kind")
	poolConns    = describe("upstream_connections", "Connections to upstreams, by state.", "upstream", "state")
	poolDialed   = describe("upstream_connections_dialed_total", "Connections made to upstreams.", "upstream")
	poolRetried  = describe("upstream_retries_total", "Requests sent again, since the upstream closed a kept connection.", "upstream")
	poolEjected  = describe("upstream_ejected", "1 where the server gets no requests, since it failed too often.", "upstream")
	certificates = describe("certificate_expiry_timestamp_seconds", "When a certificate in use expires.", "name")
	ready        = describe("ready", "1 where /readyz says so.")
	buildInfo    = describe("build_info", "1, with the version and the toolchain.", "version", "go")

	families = []metric{exchanges, hits, durations, upstream, changed, events, unread, unmatched, panics, planInfo, planSince, planFaults, apiUp, operations,
		unenforced, unprotected, reloads, reloadLast, open, accepted, refused, timedOut, http2Faults, poolConns, poolDialed, poolRetried, poolEjected, certificates, ready, buildInfo}
)

func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range families {
		ch <- m.Desc
	}
}

func (c *collector) Collect(ch chan<- prometheus.Metric) {
	count := func(m metric, n uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(m.Desc, prometheus.CounterValue, float64(n), labels...)
	}
	gauge := func(m metric, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(m.Desc, prometheus.GaugeValue, v, labels...)
	}

	s := c.read()
	for _, e := range s.Exchanges {
		count(exchanges, e.Count, e.API, e.Operation, e.Verdict, e.Reason, e.Mode, e.Status)
	}
	for _, h := range s.Hits {
		count(hits, h.Count, h.API, h.Operation, h.Reason, h.Mode)
	}
	for _, h := range s.Durations {
		upTo, total := make(map[float64]uint64, len(h.Bounds)), uint64(0)
		for i, n := range h.Buckets {
			if total += n; i < len(h.Bounds) {
				upTo[h.Bounds[i]] = total
			}
		}
		ch <- prometheus.MustNewConstHistogram(durations.Desc, total, h.Sum, upTo, h.API, h.Mode)
	}
	for _, w := range s.Waits {
		ch <- prometheus.MustNewConstSummary(upstream.Desc, w.Count, w.Sum, nil, w.API, w.Mode)
	}
	for _, x := range s.Changed {
		count(changed, x.Count, x.API, x.Mode, x.What)
	}
	for _, e := range s.Events {
		count(events, e.Count, e.Sink, e.Outcome)
	}
	count(unread, s.Unread)
	count(unmatched, s.Unmatched)
	count(panics, s.Panics)
	gauge(planInfo, 1, s.Plan.Hash)
	gauge(planSince, seconds(s.Plan.Since))
	for _, severity := range slices.Sorted(maps.Keys(s.Plan.Faults)) {
		gauge(planFaults, float64(s.Plan.Faults[severity]), severity)
	}
	for _, a := range s.Plan.APIs {
		gauge(apiUp, truth(a.Available), a.Name)
		gauge(operations, float64(a.Operations), a.Name)
		gauge(unenforced, float64(a.Unenforced), a.Name)
		gauge(unprotected, float64(a.Unprotected), a.Name)
	}
	count(reloads, s.Reloads.Done, "done")
	count(reloads, s.Reloads.Failed, "failed")
	gauge(reloadLast, seconds(s.Reloads.Last))
	for _, l := range s.Listeners {
		for _, proto := range slices.Sorted(maps.Keys(l.Open)) {
			gauge(open, float64(l.Open[proto]), l.Address, proto)
		}
		count(accepted, l.Accepted, l.Address)
		count(refused, l.Refused, l.Address)
		count(timedOut, l.TimedOut, l.Address)
		for _, f := range l.HTTP2Faults {
			count(http2Faults, f.Count, l.Address, f.Kind)
		}
	}
	for _, u := range s.Upstreams {
		gauge(poolConns, float64(u.Idle), u.Address, "idle")
		gauge(poolConns, float64(u.Busy), u.Address, "busy")
		count(poolDialed, u.Dialed, u.Address)
		count(poolRetried, u.Retried, u.Address)
		gauge(poolEjected, truth(u.Ejected), u.Address)
	}
	for _, x := range s.Certificates {
		gauge(certificates, seconds(x.Until), x.Name)
	}
	gauge(ready, truth(s.Ready))
	gauge(buildInfo, 1, c.version, goVersion())
}

func goVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.GoVersion
	}
	return ""
}

func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
