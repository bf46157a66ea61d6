package jsonschema_test

import (
	"sync"
	"testing"

	"github.com/sallyport/sallyport/jsonschema"
)

// Schemas are used by many goroutines while their compiler goes on.
func TestSchemasAreUsedWhileOthersAreCompiled(t *testing.T) {
	a := load(t, "slack.json")
	c := a.compiler(jsonschema.Options{})
	var wg sync.WaitGroup
	for i, x := range a.samples[:60] {
		s, _ := c.Compile(x.schema, jsonschema.Direction(i%3))
		want := s.Valid(x.doc)
		for range 3 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				var r jsonschema.Report
				for range 20 {
					if s.Valid(x.doc) != want || (s.Validate(x.doc) == nil) != want {
						t.Errorf("%s: the verdict changes", x.name)
					}
					s.Filter(nil, x.doc, &jsonschema.Policy{Undeclared: jsonschema.Drop, Lenient: true, Detectors: tenDetectors}, &r)
				}
			}()
		}
	}
	wg.Wait()
}
