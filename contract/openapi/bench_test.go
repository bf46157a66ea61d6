package openapi_test

import (
	"runtime"
	"testing"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/contract/openapi"
	"github.com/sallyport/sallyport/document"
)

var sink *contract.API

// BenchmarkLoad reports what loading costs. live-MB is the heap that a
// loaded contract keeps, its source included; alloc-MB is all that loading
// allocates beside the source.
func BenchmarkLoad(b *testing.B) {
	for _, name := range []string{"github", "kubernetes", "stripe", "okta"} {
		b.Run(name, func(b *testing.B) {
			src := readReal(b, name)
			b.SetBytes(int64(len(src)))
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			b.ResetTimer()
			for range b.N {
				api, ds := openapi.Load(name+".json", openapi.Options{ReadFile: func(string) ([]byte, error) { return src, nil }})
				if api == nil {
					b.Fatal(ds)
				}
				sink = api
			}
			b.StopTimer()
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(b.N)/1e6, "alloc-MB")
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(int64(after.HeapAlloc)-int64(before.HeapAlloc)+int64(len(src)))/1e6, "live-MB")
			sink = nil
		})
	}
}

// BenchmarkParse is the share of the parser.
func BenchmarkParse(b *testing.B) {
	src := readReal(b, "github")
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for range b.N {
		if _, err := document.ParseJSON("github.json", src); err != nil {
			b.Fatal(err)
		}
	}
}
