package jsonschema_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	santhosh "github.com/santhosh-tekuri/jsonschema/v6"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/jsonschema"
)

// go test ./jsonschema -run TestReport -report prints how long each engine
// takes, side by side in one process: every figure is the best of many short
// rounds, taken in turns, so that what else the machine does matters little.
// With -short it is GitHub's examples only.
var report = flag.Bool("report", false, "compare with other engines")

// An entrant is one way to judge all documents of a set.
type entrant struct {
	name string
	run  func() // once over all documents
	n    int    // times in a round
	best time.Duration
}

// cpuTime is what this thread has used. Where other programs share the
// processor it says more than the clock; what the garbage collector does in
// threads of its own is missing from it, which favours those that allocate.
func cpuTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		panic(err)
	}
	return time.Duration(ts.Nano())
}

// race runs the entrants in turns and keeps the best round of each.
func race(es []*entrant, rounds int) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, e := range es {
		e.best = math.MaxInt64
		e.run()
		// As many as take about a millisecond.
		for e.n = 1; ; e.n *= 2 {
			from := cpuTime()
			for range e.n {
				e.run()
			}
			if cpuTime()-from > time.Millisecond {
				break
			}
		}
	}
	for range rounds {
		for _, e := range es {
			e.run() // what the others left in the caches is none of ours
			for range 3 {
				from := cpuTime()
				for range e.n {
					e.run()
				}
				e.best = min(e.best, (cpuTime()-from)/time.Duration(e.n))
			}
		}
	}
}

// A set is documents with their schemas.
type set struct {
	name   string
	docs   []judged
	theirs []*santhosh.Schema
}

func (s *set) bytes() (n int) {
	for _, d := range s.docs {
		n += len(d.doc)
	}
	return n
}

func (s *set) entrants(t *testing.T) []*entrant {
	var none jsonschema.Schema
	check := func(err error) {
		if err != nil {
			t.Fatal(s.name, err)
		}
	}
	es := []*entrant{
		{name: "read", run: func() {
			for i := range s.docs {
				check(none.Validate(s.docs[i].doc))
			}
		}},
		{name: "validate", run: func() {
			for i := range s.docs {
				check(s.docs[i].s.Validate(s.docs[i].doc))
			}
		}},
		{name: "encoding/json", run: func() {
			for i := range s.docs {
				var v any
				check(json.Unmarshal(s.docs[i].doc, &v))
			}
		}},
	}
	if s.theirs != nil {
		es = append(es, &entrant{name: "santhosh", run: func() {
			for i := range s.docs {
				var v any
				check(json.Unmarshal(s.docs[i].doc, &v))
				check(s.theirs[i].Validate(v))
			}
		}})
	}
	return es
}

// openapiSet makes a set of the valid examples of a description.
func openapiSet(t *testing.T, name string) *set {
	a := load(t, name)
	js, _ := a.valid(t)
	o := newOracle(t, a)
	s := &set{name: name}
	for _, j := range js {
		theirs, err := o.compile(j.schema.Pointer())
		if err != nil {
			continue
		}
		var v any
		if json.Unmarshal(j.doc, &v) != nil || theirs.Validate(v) != nil {
			continue
		}
		s.docs = append(s.docs, j)
		s.theirs = append(s.theirs, theirs)
	}
	return s
}

// perSchema splits a set by schema.
func (s *set) perSchema() (out []*set) {
	at := map[string]*set{}
	for i, d := range s.docs {
		key := d.schema.Pointer()
		x, ok := at[key]
		if !ok {
			x = &set{name: d.name}
			at[key] = x
			out = append(out, x)
		}
		x.docs = append(x.docs, d)
		x.theirs = append(x.theirs, s.theirs[i])
	}
	return out
}

// kin adds openapi3filter.ValidateResponse over the documents it takes.
func (s *set) kin(t *testing.T, a *api) *entrant {
	doc, err := openapi3.NewLoader().LoadFromData(a.src)
	if err != nil {
		t.Fatal(err)
	}
	type call struct {
		in   *openapi3filter.ResponseValidationInput
		body []byte
	}
	var calls []call
	kept := &set{name: s.name}
	for i, d := range s.docs {
		f := strings.Fields(d.name)
		item := doc.Paths.Value(f[2])
		var status int
		fmt.Sscan(f[3], &status)
		if item == nil || status == 0 {
			continue
		}
		op := item.GetOperation(f[1])
		req, _ := http.NewRequest(f[1], "http://example.com"+f[2], nil)
		in := &openapi3filter.ResponseValidationInput{
			RequestValidationInput: &openapi3filter.RequestValidationInput{
				Request: req, Route: &routers.Route{Spec: doc, PathItem: item, Method: f[1], Operation: op, Path: f[2]},
			},
			Status: status, Header: http.Header{"Content-Type": {"application/json"}},
			Options: &openapi3filter.Options{},
		}
		in.SetBodyBytes(d.doc)
		if openapi3filter.ValidateResponse(context.Background(), in) != nil {
			continue
		}
		calls = append(calls, call{in, d.doc})
		kept.docs = append(kept.docs, d)
		kept.theirs = append(kept.theirs, s.theirs[i])
	}
	*s = *kept
	return &entrant{name: "kin", run: func() {
		for i := range calls {
			calls[i].in.Body = io.NopCloser(bytes.NewReader(calls[i].body))
			if err := openapi3filter.ValidateResponse(context.Background(), calls[i].in); err != nil {
				t.Fatal(err)
			}
		}
	}}
}

func TestReport(t *testing.T) {
	if !*report {
		t.Skip("run with -report")
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	defer w.Flush()

	a := load(t, "github.json")
	s := openapiSet(t, "github.json")
	k := s.kin(t, a)
	es := append(s.entrants(t), k)

	var r jsonschema.Report
	buf := make([]byte, 0, 1<<20)
	drop := &jsonschema.Policy{Undeclared: jsonschema.Drop, WriteOnly: jsonschema.Drop}
	detect := &jsonschema.Policy{Undeclared: jsonschema.Drop, WriteOnly: jsonschema.Drop, Detectors: tenDetectors}
	// Documents that Filter has nothing to do with any more.
	same := make([][]byte, len(s.docs))
	for i, d := range s.docs {
		out, err := d.s.Filter(nil, d.doc, drop, nil)
		if err != nil {
			t.Fatal(err)
		}
		same[i] = bytes.Clone(out)
	}
	filter := func(p *jsonschema.Policy) func() {
		return func() {
			for i := range s.docs {
				if _, err := s.docs[i].s.Filter(buf, same[i], p, &r); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	// With formats checked, on those that keep them.
	c := a.compiler(jsonschema.Options{AssertFormat: true})
	var strict, plain []judged
	for _, d := range s.docs {
		if f, _ := c.Compile(d.schema, jsonschema.Response); f.Valid(d.doc) {
			strict, plain = append(strict, judged{d.sample, f}), append(plain, d)
		}
	}
	t.Logf("%d keep their formats", len(strict))
	es = append(es,
		&entrant{name: "same, without formats", run: func() {
			for i := range strict {
				if plain[i].s.Validate(plain[i].doc) != nil {
					t.Fatal()
				}
			}
		}},
		&entrant{name: "same, with formats", run: func() {
			for i := range strict {
				if strict[i].s.Validate(strict[i].doc) != nil {
					t.Fatal()
				}
			}
		}},
		&entrant{name: "validate, stripped", run: func() {
			for i := range s.docs {
				if s.docs[i].s.Validate(same[i]) != nil {
					t.Fatal()
				}
			}
		}},
		&entrant{name: "filter, stripped", run: filter(drop)},
		&entrant{name: "filter + 10 detectors", run: filter(detect)},
		&entrant{name: "filter that strips", run: func() {
			for i := range s.docs {
				if _, err := s.docs[i].s.Filter(buf, s.docs[i].doc, drop, nil); err != nil {
					t.Fatal(err)
				}
			}
		}},
		&entrant{name: "json.Valid", run: func() {
			for i := range s.docs {
				json.Valid(s.docs[i].doc)
			}
		}},
	)
	race(es, 30)
	fmt.Fprintf(w, "GitHub's examples: %d documents, %d bytes\n", len(s.docs), s.bytes())
	fmt.Fprintln(w, "engine\tns/document\tMB/s\tx validate\t")
	for _, e := range es {
		fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.2f\t\n", e.name, float64(e.best)/float64(len(s.docs)),
			float64(s.bytes())/e.best.Seconds()/1e6, float64(e.best)/float64(es[1].best))
	}
	w.Flush()

	if testing.Short() {
		return
	}
	var sets []*set
	for _, name := range []string{
		"adyen-checkout-31.json", "adyen-management-31.json", "codat-accounting-31.json",
		"digitalocean.json", "plaid.json", "slack.json", "zoom.json",
	} {
		// The dozen with the most bytes of each.
		some := openapiSet(t, name).perSchema()
		slices.SortStableFunc(some, func(a, b *set) int { return b.bytes() - a.bytes() })
		sets = append(sets, some[:min(12, len(some))]...)
	}
	sets = append(sets, ownSets(t)...)
	fmt.Fprintf(w, "\n%d further schemas\n", len(sets))
	var gs, gj, gr, gb float64
	worst, worstRead := math.Inf(1), math.Inf(1)
	var worstName, worstReadName string
	type row struct {
		name          string
		v, s, r, j, n float64
	}
	var rows []row
	for _, s := range sets {
		es := s.entrants(t)
		race(es, 15)
		by := map[string]float64{}
		for _, e := range es {
			by[e.name] = float64(e.best)
		}
		x := row{s.name, by["validate"], by["santhosh"], by["read"], by["encoding/json"], float64(len(s.docs))}
		rows = append(rows, x)
		gs += math.Log(x.s / x.v)
		gj += math.Log(x.j / x.v)
		gr += math.Log(x.r / x.v)
		gb++
		if x.s/x.v < worst {
			worst, worstName = x.s/x.v, s.name
		}
		if x.r/x.v < worstRead {
			worstRead, worstReadName = x.r/x.v, s.name
		}
	}
	fmt.Fprintf(w, "geometric means: santhosh + encoding/json %.1fx, encoding/json alone %.1fx, of the speed of reading %.0f %%\n",
		math.Exp(gs/gb), math.Exp(gj/gb), 100*math.Exp(gr/gb))
	fmt.Fprintf(w, "worst: %.1fx santhosh (%s), %.0f %% of reading (%s)\n", worst, worstName, 100*worstRead, worstReadName)
	fmt.Fprintln(w, "schema\tns\tx santhosh\t% of reading\t")
	for i, x := range rows {
		if i < len(rows)-len(ownNames) && x.s/x.v > 12 && x.r/x.v > 0.35 {
			continue // only the slow ones, and those of other origin
		}
		fmt.Fprintf(w, "%s\t%.0f\t%.1f\t%.0f\t\n", x.name, x.v/x.n, x.s/x.v, 100*x.r/x.v)
	}
}

// tenDetectors are of the usual kinds, with simple Find functions.
var tenDetectors = func() (ds []jsonschema.Detector) {
	no := func([]byte) (int, int, bool) { return 0, 0, false }
	at := func(b []byte) (int, int, bool) {
		i := bytes.IndexByte(b, '@')
		return i, i + 1, i > 0 && bytes.IndexByte(b[i:], '.') > 0 && bytes.IndexByte(b, '/') < 0
	}
	return []jsonschema.Detector{
		{Class: 0, Length: 6, Bytes: []byte("@."), Find: at},
		{Class: 1, Digits: 13, Find: no},                          // card
		{Class: 2, Length: 15, Digits: 10, Find: no},              // IBAN
		{Class: 3, Digits: 9, Bytes: []byte("-"), Find: no},       // SSN
		{Class: 4, Digits: 8, Bytes: []byte("+"), Find: no},       // phone
		{Class: 5, Length: 30, Literal: "eyJ", Run: 10, Find: no}, // JWT
		{Class: 6, Literal: "AKIA", Run: 20, Find: no},            // key
		{Class: 7, Digits: 4, Bytes: []byte("."), Find: no},       // address
		{Class: 8, Literal: "-----BEGIN", Find: no},               // PEM
		{Class: 9, Literal: "\tat ", Find: no},                    // trace
	}
}()
