package telemetry

import (
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

func scrape(t *testing.T, s Snapshot) string {
	t.Helper()
	w := httptest.NewRecorder()
	New("v1.2.3", func() Snapshot { return s }).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	b, err := io.ReadAll(w.Result().Body)
	if err != nil || w.Code != 200 {
		t.Fatalf("scraped %d, %v: %s", w.Code, err, b)
	}
	return string(b)
}

var full = Snapshot{
	Exchanges: []Exchanges{{"shop", "getOrder", "deny", "authz.owner", "enforce", "4xx", 7}, {"shop", "", "deny", "contract.unknown_operation", "enforce", "4xx", 2}},
	Hits:      []Hits{{"shop", "getOrder", "authz.owner", "observe", 3}},
	Durations: []Histogram{{API: "shop", Mode: "enforce", Bounds: []float64{0.001, 0.01}, Buckets: []uint64{5, 3, 1}, Sum: 0.5}},
	Waits:     []Wait{{"shop", "enforce", 9, 0.25}},
	Unmatched: 5,
	Panics:    6,
	Changed:   []Changed{{"shop", "enforce", "redacted", 4}},
	Events:    []Events{{"stdout", "written", 9}},
	Plan: Plan{Hash: "abc", Since: time.Unix(1700000000, 0), Faults: map[string]int{"warning": 2},
		APIs: []API{{Name: "shop", Operations: 12, Unenforced: 25, Unprotected: 1, Available: true}}},
	Reloads:      Reloads{Done: 1, Failed: 2, Last: time.Unix(1700000001, 0)},
	Listeners:    []Listener{{Address: ":8080", Open: map[string]int64{"http/1.1": 3}, Accepted: 30, Refused: 4, TimedOut: 5, HTTP2Faults: []HTTP2Fault{{"bad_path", 6}}}},
	Upstreams:    []Upstream{{Address: "http://127.0.0.1:9000", Idle: 1, Busy: 2, Dialed: 3, Retried: 4, Ejected: true}},
	Certificates: []Certificate{{"shop.example", time.Unix(1800000000, 0)}},
	Ready:        true,
}

func TestEveryCounterIsShown(t *testing.T) {
	got := scrape(t, full)
	for _, want := range []string{
		`sallyport_exchanges_total{api="shop",mode="enforce",operation="getOrder",reason="authz.owner",status="4xx",verdict="deny"} 7`,
		`sallyport_hits_total{api="shop",mode="observe",operation="getOrder",reason="authz.owner"} 3`,
		`sallyport_exchange_duration_seconds_bucket{api="shop",mode="enforce",le="0.001"} 5`,
		`sallyport_exchange_duration_seconds_bucket{api="shop",mode="enforce",le="0.01"} 8`,
		`sallyport_exchange_duration_seconds_bucket{api="shop",mode="enforce",le="+Inf"} 9`,
		`sallyport_exchange_duration_seconds_sum{api="shop",mode="enforce"} 0.5`,
		`sallyport_upstream_duration_seconds_count{api="shop",mode="enforce"} 9`,
		`sallyport_upstream_duration_seconds_sum{api="shop",mode="enforce"} 0.25`,
		`sallyport_unmatched_requests_total 5`,
		`sallyport_panics_total 6`,
		`sallyport_values_changed_total{api="shop",mode="enforce",what="redacted"} 4`,
		`sallyport_events_total{outcome="written",sink="stdout"} 9`,
		`sallyport_plan_info{hash="abc"} 1`,
		`sallyport_plan_diagnostics{severity="warning"} 2`,
		`sallyport_unenforced_constraints{api="shop"} 25`,
		`sallyport_unprotected_operations{api="shop"} 1`,
		`sallyport_api_available{api="shop"} 1`,
		`sallyport_reloads_total{outcome="failed"} 2`,
		`sallyport_connections{listener=":8080",protocol="http/1.1"} 3`,
		`sallyport_connections_accepted_total{listener=":8080"} 30`,
		`sallyport_requests_malformed_total{listener=":8080"} 4`,
		`sallyport_connections_timed_out_total{listener=":8080"} 5`,
		`sallyport_http2_errors_total{kind="bad_path",listener=":8080"} 6`,
		`sallyport_upstream_retries_total{upstream="http://127.0.0.1:9000"} 4`,
		`sallyport_upstream_ejected{upstream="http://127.0.0.1:9000"} 1`,
		`sallyport_upstream_connections{state="busy",upstream="http://127.0.0.1:9000"} 2`,
		`sallyport_certificate_expiry_timestamp_seconds{name="shop.example"} 1.8e+09`,
		`sallyport_ready 1`,
		`go_goroutines `,
		`process_open_fds `,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("missing: %s", want)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
}

// The names keep Prometheus's conventions, by its own linter.
func TestNamesKeepConventions(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(&collector{read: func() Snapshot { return full }})
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// A family that nobody fills must not break the scrape.
func TestNothingCounted(t *testing.T) {
	if got := scrape(t, Snapshot{}); !strings.Contains(got, "sallyport_ready 0") {
		t.Error(got)
	}
}
