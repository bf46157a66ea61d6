package json_test

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bytedance/sonic"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/go-json-experiment/json/jsontext"
	santhosh "github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/document"
	"github.com/sallyport/sallyport/jsonschema"
)

// corpora lie with the engine's own tests: contracts of public APIs.
const corpora = "../../jsonschema/testdata/openapi/"

// A sample is a document that a contract gives as an example of an answer.
type sample struct {
	method, path, status, media string
	pointer                     string // of its schema in the contract
	doc                         []byte
}

func readContract(t testing.TB, name string) []byte {
	f, err := os.Open(corpora + name + ".json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	src, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func decode(t testing.TB, src []byte) any {
	d := json.NewDecoder(bytes.NewReader(src))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func object(v any, key string) map[string]any {
	m, _ := v.(map[string]any)
	o, _ := m[key].(map[string]any)
	return o
}

var escapePointer = strings.NewReplacer("~", "~0", "/", "~1")

func pointer(steps ...string) string {
	var b strings.Builder
	for _, s := range steps {
		b.WriteString("/" + escapePointer.Replace(s))
	}
	return b.String()
}

// samples finds the examples of answers in a contract.
func samples(root any) []sample {
	deref := func(v any, at string) (map[string]any, string) {
		m, _ := v.(map[string]any)
		for range 10 {
			ref, _ := m["$ref"].(string)
			if !strings.HasPrefix(ref, "#/") {
				return m, at
			}
			at = ref[1:]
			m = nil
			var v = root
			for _, step := range strings.Split(at[1:], "/") {
				v = object(map[string]any{"": v}, "")[strings.NewReplacer("~1", "/", "~0", "~").Replace(step)]
			}
			m, _ = v.(map[string]any)
		}
		return m, at
	}
	var out []sample
	for path, item := range object(root, "paths") {
		methods, _ := item.(map[string]any)
		for method, op := range methods {
			for status, r := range object(op, "responses") {
				resp, at := deref(r, pointer("paths", path, method, "responses", status))
				for media, m := range object(resp, "content") {
					mt, _ := m.(map[string]any)
					if !strings.Contains(media, "json") || mt["schema"] == nil {
						continue
					}
					s := sample{method: strings.ToUpper(method), path: path, status: status, media: media,
						pointer: at + pointer("content", media, "schema")}
					add := func(v any) {
						s.doc, _ = json.Marshal(v)
						out = append(out, s)
					}
					if v, ok := mt["example"]; ok {
						add(v)
					}
					for name, e := range object(mt, "examples") {
						ex, _ := deref(e, name)
						if v, ok := ex["value"]; ok {
							add(v)
						}
					}
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b sample) int {
		return cmp.Or(cmp.Compare(a.pointer, b.pointer), bytes.Compare(a.doc, b.doc))
	})
	return out
}

// modern rewrites a contract of OpenAPI 3.0 so that validators of JSON Schema
// 2020-12 understand its schemas as OpenAPI means them, for answers.
func modern(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = modern(v[i])
		}
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			return map[string]any{"$ref": ref}
		}
		for k, x := range v {
			switch k {
			case "example", "examples":
				delete(v, k)
			case "enum", "default":
			default:
				v[k] = modern(x)
			}
		}
		for _, k := range []string{"exclusiveMinimum", "exclusiveMaximum"} {
			if x, ok := v[k].(bool); ok {
				delete(v, k)
				if m := strings.ToLower(k[9:]); x && v[m] != nil {
					v[k] = v[m]
					delete(v, m)
				}
			}
		}
		if n, _ := v["nullable"].(bool); n {
			delete(v, "nullable")
			if t, ok := v["type"].(string); ok {
				v["type"] = []any{t, "null"}
			} else if v["allOf"] != nil || v["oneOf"] != nil || v["anyOf"] != nil || v["enum"] != nil {
				return map[string]any{"anyOf": []any{map[string]any{"type": "null"}, v}}
			}
		}
	}
	return v
}

// A contestant passes over every document once.
type contestant struct {
	name string
	pass func() time.Duration // for a fixed share of time; returns the time of one pass
	all  []time.Duration
}

// cpu is the CPU time that this process has used, its collector's included.
func cpu() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts); err != nil {
		panic(err)
	}
	return time.Duration(ts.Nano())
}

// timed makes a pass out of a function over one document.
func timed(n int, f func(i int)) func() time.Duration {
	return func() time.Duration {
		const share = 50 * time.Millisecond
		begun := cpu()
		for k := 1; ; k++ {
			for i := range n {
				f(i)
			}
			if d := cpu() - begun; d > share {
				return d / time.Duration(k)
			}
		}
	}
}

func must(b *testing.B, what string, err error) {
	if err != nil {
		b.Fatalf("%s: %v", what, err)
	}
}

// BenchmarkContracts compares over each contract's examples. Documents that
// any of the validators refuses are left out for all.
func BenchmarkContracts(b *testing.B) {
	for _, name := range []string{"github", "adyen-checkout-31", "adyen-management-31", "digitalocean", "zoom"} {
		b.Run(name, func(b *testing.B) { compare(b, name) })
	}
}

func compare(b *testing.B, name string) {
	src := readContract(b, name)
	root := decode(b, src)
	is30 := strings.HasPrefix(root.(map[string]any)["openapi"].(string), "3.0")
	all := samples(root)
	if len(all) == 0 {
		b.Skip("the contract has no examples")
	}
	for i := range all { // the examples hold json.Number; write them as they are read
		var buf bytes.Buffer
		must(b, "compact", json.Compact(&buf, all[i].doc))
		all[i].doc = buf.Bytes()
	}

	// Ours, from the contract as it stands.
	d, err := document.ParseJSON(name, src)
	must(b, "parse", err)
	dialect := jsonschema.OpenAPI31
	if is30 {
		dialect = jsonschema.OpenAPI30
	}
	c := jsonschema.NewCompiler(jsonschema.Options{Dialect: dialect})
	c.Add(name, d)
	ours := make([]*jsonschema.Schema, len(all))
	for i, s := range all {
		ours[i], _ = c.Compile(d.Root().At(s.pointer), jsonschema.Response)
	}

	// Theirs, from the same in the words of 2020-12.
	rewritten := decode(b, src)
	if is30 {
		rewritten = modern(rewritten)
	}
	const uri = "https://bench.example/api.json"
	sc := santhosh.NewCompiler()
	sc.DefaultDraft(santhosh.Draft2020)
	must(b, "santhosh", sc.AddResource(uri, rewritten))
	theirs := make([]*santhosh.Schema, len(all))
	for i, s := range all {
		theirs[i], _ = sc.Compile(uri + "#" + s.pointer)
	}

	// kin reads 3.0 only.
	var kin *openapi3.T
	kinSchemas := make([]*openapi3.Schema, len(all))
	if is30 {
		if kin, err = openapi3.NewLoader().LoadFromData(src); err == nil {
			for i, s := range all {
				kinSchemas[i] = kinSchema(kin, s)
			}
		} else {
			b.Logf("kin-openapi cannot load it: %v", err)
			kin = nil
		}
	}

	node := startAjv(b, rewritten, all)
	var keep []int
	for i, s := range all {
		ok := ours[i].Validate(s.doc) == nil && theirs[i] != nil && theirs[i].Validate(decode(b, s.doc)) == nil
		if kin != nil {
			ok = ok && kinSchemas[i] != nil && kinSchemas[i].VisitJSON(plain(b, s.doc), openapi3.VisitAsResponse()) == nil
		}
		if node != nil {
			ok = ok && node.verdicts[i] == "valid"
		}
		if ok {
			keep = append(keep, i)
		}
	}
	if len(keep) == 0 {
		b.Skip("no example that all accept")
	}
	var size int64
	docs := make([][]byte, len(keep))
	for k, i := range keep {
		docs[k] = all[i].doc
		size += int64(len(docs[k]))
	}
	n := len(docs)

	var none jsonschema.Schema
	fail := func(who string, i int, err error) {
		b.Fatalf("%s refuses what it took before, %s: %v", who, all[keep[i]].pointer, err)
	}
	cs := []*contestant{
		{name: "sallyport: read, strict", pass: timed(n, func(i int) { none.Validate(docs[i]) })},
		{name: "sallyport: validate", pass: timed(n, func(i int) {
			if err := ours[keep[i]].Validate(docs[i]); err != nil {
				fail("sallyport", i, err)
			}
		})},
	}
	policy := &jsonschema.Policy{Undeclared: jsonschema.Drop, WriteOnly: jsonschema.Drop}
	var report jsonschema.Report
	buf := make([]byte, 0, 1<<20)
	cs = append(cs,
		&contestant{name: "sallyport: validate, filter", pass: timed(n, func(i int) {
			if _, err := ours[keep[i]].Filter(buf, docs[i], policy, &report); err != nil {
				fail("sallyport", i, err)
			}
		})},
		&contestant{name: "sonic.Valid (no UTF-8, no duplicates)", pass: timed(n, func(i int) {
			if !sonic.Valid(docs[i]) {
				fail("sonic", i, nil)
			}
		})},
		&contestant{name: "sonic: decode to any", pass: timed(n, func(i int) {
			var v any
			if err := sonic.Unmarshal(docs[i], &v); err != nil {
				fail("sonic", i, err)
			}
		})},
		&contestant{name: "jsontext: read, strict", pass: timed(n, func(i int) {
			if !jsontext.Value(docs[i]).IsValid() {
				fail("jsontext", i, nil)
			}
		})},
		&contestant{name: "encoding/json.Valid", pass: timed(n, func(i int) {
			if !json.Valid(docs[i]) {
				fail("encoding/json", i, nil)
			}
		})},
		&contestant{name: "encoding/json: decode to any", pass: timed(n, func(i int) {
			var v any
			if err := json.Unmarshal(docs[i], &v); err != nil {
				fail("encoding/json", i, err)
			}
		})},
		&contestant{name: "santhosh + encoding/json", pass: timed(n, func(i int) {
			var v any
			err := json.Unmarshal(docs[i], &v)
			if err == nil {
				err = theirs[keep[i]].Validate(v)
			}
			if err != nil {
				fail("santhosh", i, err)
			}
		})},
	)
	if kin != nil {
		inputs := make([]*openapi3filter.ResponseValidationInput, n)
		for k, i := range keep {
			s := all[i]
			var status int
			if _, err := fmt.Sscan(s.status, &status); err != nil {
				status = 200 // default, 2XX
			}
			op := kin.Paths.Value(s.path).GetOperation(s.method)
			options := &openapi3filter.Options{}
			req := &http.Request{Method: s.method, Header: http.Header{}}
			inputs[k] = &openapi3filter.ResponseValidationInput{
				RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, Route: route(kin, s, op), Options: options},
				Status:                 status, Header: http.Header{"Content-Type": {s.media}}, Options: options,
			}
		}
		cs = append(cs,
			&contestant{name: "kin-openapi VisitJSON + encoding/json", pass: timed(n, func(i int) {
				if err := kinSchemas[keep[i]].VisitJSON(plain(b, docs[i]), openapi3.VisitAsResponse()); err != nil {
					fail("kin-openapi", i, err)
				}
			})},
			&contestant{name: "kin-openapi ValidateResponse", pass: timed(n, func(i int) {
				in := *inputs[i]
				in.SetBodyBytes(docs[i])
				if err := openapi3filter.ValidateResponse(context.Background(), &in); err != nil {
					fail("kin-openapi", i, err)
				}
			})},
		)
	}
	if node != nil {
		node.keep(b, keep)
		cs = append(cs, &contestant{name: "ajv, compiled + JSON.parse (Node)", pass: func() time.Duration { return node.pass(b) }})
	}

	rounds := 0
	for b.Loop() {
		rounds++
		for _, c := range cs {
			c.all = append(c.all, c.pass())
		}
	}
	base := ratios(cs, "sallyport: validate")
	// On standard output, since testing cuts the log of a benchmark short.
	fmt.Printf("\n%s: %d documents of %d that all accept, %d bytes on average, %d rounds\n", name, n, len(all), size/int64(n), rounds)
	for _, c := range cs {
		t := median(c.all)
		fmt.Printf("  %-40s %9.0f ns/doc %7.0f MB/s %8.2f\n", c.name, float64(t.Nanoseconds())/float64(n),
			float64(size)/1e6/t.Seconds(), base[c.name])
	}
	b.ReportMetric(float64(median(cs[1].all).Nanoseconds())/float64(n), "ns/doc")
	b.ReportMetric(0, "ns/op") // means nothing here
}

// ratios are medians of each round's own ratio to a contestant.
func ratios(cs []*contestant, to string) map[string]float64 {
	base := cs[slices.IndexFunc(cs, func(c *contestant) bool { return c.name == to })]
	out := make(map[string]float64)
	for _, c := range cs {
		var rs []float64
		for i := range c.all {
			rs = append(rs, float64(c.all[i])/float64(base.all[i]))
		}
		slices.Sort(rs)
		out[c.name] = rs[len(rs)/2]
	}
	return out
}

func median(ds []time.Duration) time.Duration {
	ds = slices.Sorted(slices.Values(ds))
	return ds[len(ds)/2]
}

func plain(b testing.TB, doc []byte) any {
	var v any
	if err := json.Unmarshal(doc, &v); err != nil {
		b.Fatal(err)
	}
	return v
}

func kinSchema(t *openapi3.T, s sample) *openapi3.Schema {
	op := t.Paths.Value(s.path).GetOperation(s.method)
	r := op.Responses.Value(s.status)
	if r == nil || r.Value == nil {
		return nil
	}
	m := r.Value.Content[s.media]
	if m == nil || m.Schema == nil {
		return nil
	}
	return m.Schema.Value
}

// An ajv is a Node process that validates.
type ajv struct {
	in       io.Writer
	out      *bufio.Reader
	verdicts []string
}

// startAjv is nil where Node or its package is missing.
func startAjv(b *testing.B, schema any, all []sample) *ajv {
	if _, err := os.Stat("node_modules/ajv"); err != nil {
		b.Log("ajv is left out: npm ci in bench/json installs it")
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "node", "ajv.mjs")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(b, "node", err)
	out, err := cmd.StdoutPipe()
	must(b, "node", err)
	if err := cmd.Start(); err != nil {
		cancel()
		b.Logf("ajv is left out: %v", err)
		return nil
	}
	b.Cleanup(func() {
		cancel()
		cmd.Wait()
	})
	type group struct {
		Pointer string   `json:"pointer"`
		Docs    []string `json:"docs"`
	}
	var corpus []group
	for _, s := range all {
		corpus = append(corpus, group{s.pointer, []string{string(s.doc)}})
	}
	a := &ajv{in: in, out: bufio.NewReaderSize(out, 1<<20)}
	must(b, "ajv", json.NewEncoder(in).Encode(map[string]any{"schema": schema, "corpus": corpus}))
	must(b, "ajv", json.Unmarshal(a.line(b), &a.verdicts))
	return a
}

func (a *ajv) line(b *testing.B) []byte {
	l, err := a.out.ReadBytes('\n')
	must(b, "ajv", err)
	return l
}

// keep tells which documents to go on with. ajv counts only those whose schema
// it could compile.
func (a *ajv) keep(b *testing.B, of []int) {
	number := make(map[int]int)
	for i, v := range a.verdicts {
		if !strings.HasPrefix(v, "uncompiled") {
			number[i] = len(number)
		}
	}
	var ns []int
	for _, i := range of {
		ns = append(ns, number[i])
	}
	text, err := json.Marshal(ns)
	must(b, "ajv", err)
	fmt.Fprintf(a.in, "keep %s\n", text)
	a.line(b)
}

func (a *ajv) pass(b *testing.B) time.Duration {
	fmt.Fprintf(a.in, "run 50\n")
	var ns float64
	must(b, "ajv", json.Unmarshal(a.line(b), &ns))
	return time.Duration(ns)
}
