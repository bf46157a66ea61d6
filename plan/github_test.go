package plan_test

import (
	"compress/gzip"
	"io"
	"os"
	"runtime"
	"testing"

	"github.com/sallyport/sallyport/contract/openapi"
	"github.com/sallyport/sallyport/plan"
)

// BenchmarkGitHub loads and compiles GitHub's 13 MB contract, and tells what
// it takes: the time, the heap that is allocated on the way, and what lives on.
func BenchmarkGitHub(b *testing.B) {
	f, err := os.Open("../contract/openapi/testdata/real/github.json.gz")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		b.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		b.Fatal(err)
	}
	var before, peak, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		api, ds := openapi.Load("github.json", openapi.Options{ReadFile: func(string) ([]byte, error) { return text, nil }})
		if ds.Fatal() {
			b.Fatal(ds)
		}
		p, ds := plan.Compile(plan.Options{Sources: []plan.Source{{Name: "github", Contract: api}}})
		if p == nil {
			b.Fatal(ds)
		}
		runtime.ReadMemStats(&peak)
		runtime.GC()
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(p)
	}
	b.ReportMetric(float64(len(text))/1e6, "MB-file")
	b.ReportMetric(float64(peak.TotalAlloc-before.TotalAlloc)/1e6, "MB-allocated")
	b.ReportMetric(float64(peak.HeapAlloc-before.HeapAlloc)/1e6, "MB-heap")
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "MB-live")
}
