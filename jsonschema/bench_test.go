package jsonschema_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/jsonschema"
)

func size(js []judged) (n int64) {
	for _, j := range js {
		n += int64(len(j.doc))
	}
	return n
}

func BenchmarkGitHub(b *testing.B) {
	js, _ := load(b, "github.json").valid(b)
	run := func(name string, f func(j *judged)) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size(js))
			b.ReportAllocs()
			for b.Loop() {
				for i := range js {
					f(&js[i])
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(js)), "ns/doc")
		})
	}
	var none jsonschema.Schema
	run("read", func(j *judged) {
		if none.Validate(j.doc) != nil {
			b.Fatal()
		}
	})
	run("validate", func(j *judged) {
		if j.s.Validate(j.doc) != nil {
			b.Fatal()
		}
	})
	var r jsonschema.Report
	buf := make([]byte, 0, 1<<20)
	p := &jsonschema.Policy{Undeclared: jsonschema.Drop, WriteOnly: jsonschema.Drop}
	run("filter", func(j *judged) {
		if _, err := j.s.Filter(buf, j.doc, p, &r); err != nil {
			b.Fatal(err)
		}
	})
	// What changes nothing: documents that are filtered already.
	for i := range js {
		out, err := js[i].s.Filter(nil, js[i].doc, p, nil)
		if err != nil {
			b.Fatal(err)
		}
		js[i].doc = bytes.Clone(out)
	}
	run("validate-filtered", func(j *judged) {
		if j.s.Validate(j.doc) != nil {
			b.Fatal()
		}
	})
	run("filter-filtered", func(j *judged) {
		if _, err := j.s.Filter(buf, j.doc, p, &r); err != nil {
			b.Fatal(err)
		}
	})
	run("encoding-json-valid", func(j *judged) {
		if !json.Valid(j.doc) {
			b.Fatal()
		}
	})
}

// BenchmarkCompile compiles the schemas of all operations of GitHub's
// description, requests and responses. Parsing it is not counted.
func BenchmarkCompile(b *testing.B) {
	a := load(b, "github.json")
	b.ReportAllocs()
	for b.Loop() {
		c := a.compiler(jsonschema.Options{AssertFormat: true})
		n := 0
		for _, item := range a.doc.Root().Get("paths").Members() {
			for _, op := range item.Members() {
				for mt, m := range op.Get("requestBody").Get("content").Members() {
					if strings.Contains(mt, "json") {
						c.Compile(m.Get("schema"), jsonschema.Request)
						n++
					}
				}
				for _, r := range op.Get("responses").Members() {
					for mt, m := range r.Get("content").Members() {
						if strings.Contains(mt, "json") {
							c.Compile(m.Get("schema"), jsonschema.Response)
							n++
						}
					}
				}
			}
		}
		b.ReportMetric(float64(n), "schemas")
	}
}

func BenchmarkDetectors(b *testing.B) {
	js, _ := load(b, "github.json").valid(b)
	var r jsonschema.Report
	buf := make([]byte, 0, 1<<20)
	p := &jsonschema.Policy{Detectors: tenDetectors}
	b.SetBytes(size(js))
	b.ReportAllocs()
	for b.Loop() {
		for i := range js {
			if _, err := js[i].s.Filter(buf, js[i].doc, p, &r); err != nil {
				b.Fatal(err)
			}
		}
	}
}
