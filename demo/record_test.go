package demo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/demo"
	"github.com/sallyport/sallyport/demo/contract"
)

func record(t *testing.T, o demo.RecordOptions) *demo.Recording {
	t.Helper()
	rec, err := demo.Record(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rec.Close)
	return rec
}

// recorded is one recording that tests share: to make one is most of their
// work. Its tokens verify by its own keys, so its issuer is not needed.
var recorded = sync.OnceValues(func() (*demo.Recording, error) {
	rec, err := demo.Record(context.Background(), demo.RecordOptions{})
	if err == nil {
		rec.Close()
	}
	return rec, err
})

func shared(t *testing.T) *demo.Recording {
	t.Helper()
	rec, err := recorded()
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func load(t *testing.T) (*openapi3.T, routers.Router) {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(contract.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context(), openapi3.IsOpenAPI31OrLater()); err != nil {
		t.Fatal(err)
	}
	r, err := legacy.NewRouter(doc, openapi3.IsOpenAPI31OrLater())
	if err != nil {
		t.Fatal(err)
	}
	return doc, r
}

// A second opinion on the honest: each of their requests and each answer to
// them fits the contract, once what the shop tells beyond it is left out.
func TestHonestTrafficFitsTheContract(t *testing.T) {
	openapi3filter.RegisterBodyDecoder("image/png", openapi3filter.FileBodyDecoder)
	doc, router := load(t)
	rec := shared(t)
	opts := &openapi3filter.Options{
		AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true, RejectWhenRequestBodyNotSpecified: true, MultiError: true,
	}
	seen, leaks := map[string]int{}, 0
	for _, e := range rec.Exchanges {
		if e.Class != demo.ByHonest {
			continue
		}
		req, err := http.NewRequest(e.Request.Method, e.Request.Target, bytes.NewReader(e.Request.Body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = e.Request.Header.Clone()
		route, params, err := router.FindRoute(req)
		if err != nil {
			t.Errorf("%s %s: %v", e.Request.Method, e.Request.Target, err)
			continue
		}
		if route.Operation.OperationID != e.Operation {
			t.Errorf("%s %s is %s, and meant to be %s", e.Request.Method, e.Request.Target, route.Operation.OperationID, e.Operation)
		}
		seen[e.Operation]++
		in := &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route, Options: opts}
		if err := openapi3filter.ValidateRequest(t.Context(), in); err != nil {
			t.Errorf("%s %s %.300q: %v", e.Request.Method, e.Request.Target, e.Request.Body, err)
		}
		body := e.Response.Body
		if kind := e.Response.Header.Get("Content-Type"); strings.HasSuffix(kind, "json") {
			media := route.Operation.Responses.Status(e.Response.Status).Value.Content.Get(kind)
			if media == nil {
				t.Errorf("%s: %d %s is not declared", e.Operation, e.Response.Status, kind)
				continue
			}
			var n int
			body, n = promised(t, media.Schema.Value, body)
			leaks += n
		}
		err = openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
			RequestValidationInput: in, Status: e.Response.Status, Header: e.Response.Header, Body: io.NopCloser(bytes.NewReader(body)), Options: opts,
		})
		if err != nil {
			t.Errorf("%s: answer %d %s: %v", e.Operation, e.Response.Status, body, err)
		}
	}
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			if seen[op.OperationID] == 0 {
				t.Errorf("nobody honest calls %s", op.OperationID)
			}
		}
	}
	if leaks == 0 {
		t.Error("the shop tells nothing beyond its contract; it should")
	}
}

// promised leaves out what a schema does not declare, or forbids in answers,
// and counts it.
func promised(t *testing.T, s *openapi3.Schema, body []byte) ([]byte, int) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	n := 0
	var walk func(s *openapi3.Schema, v any)
	walk = func(s *openapi3.Schema, v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, w := range v {
				p := s.Properties[name]
				switch {
				case len(s.Properties) == 0:
				case p == nil || p.Value.WriteOnly:
					delete(v, name)
					n++
				default:
					walk(p.Value, w)
				}
			}
		case []any:
			for _, w := range v {
				if s.Items != nil {
					walk(s.Items.Value, w)
				}
			}
		}
	}
	walk(s, v)
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return out, n
}

// What is recorded depends on the seed, and on nothing else: not even the
// order of it. Tokens and what is made of them differ.
func TestARecordingDependsOnTheSeed(t *testing.T) {
	script := func(rec *demo.Recording) (lines []string) {
		for _, e := range rec.Exchanges {
			if e.Operation == "login" || e.Attack == "webhook-fetch" || e.Request.Raw != nil {
				continue // holds a token or a port
			}
			lines = append(lines, strings.Join([]string{e.Class.String(), e.Operation, e.Attack, e.Request.Method, e.Request.Target,
				string(e.Request.Body[:min(len(e.Request.Body), 200)]), strconv.Itoa(e.Response.Status)}, " "))
		}
		return lines
	}
	one := script(shared(t))
	if d := cmp.Diff(one, script(record(t, demo.RecordOptions{Seed: 1}))); d != "" {
		t.Error(d)
	}
	if cmp.Equal(one, script(record(t, demo.RecordOptions{Seed: 2}))) {
		t.Error("another seed, the same traffic")
	}
}

// A recording holds what a guard needs: the issuer's keys, which verify the
// tokens of the honest, and the attacks by name and category.
func TestARecordingCanBeJudged(t *testing.T) {
	rec := shared(t)
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(rec.JWKS, &set); err != nil {
		t.Fatal(err)
	}
	verified, attacks, categories, raws := 0, map[string]bool{}, map[string]bool{}, 0
	for _, e := range rec.Exchanges {
		if e.Class == demo.ByAttacker {
			attacks[e.Attack] = true
			categories[e.OWASP] = true
			if e.Request.Raw != nil {
				raws++
			}
			continue
		}
		raw, ok := strings.CutPrefix(e.Request.Header.Get("Authorization"), "Bearer ")
		if !ok {
			continue
		}
		tok, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{jose.ES256})
		if err != nil {
			t.Fatal(err)
		}
		var c jwt.Claims
		if err := tok.Claims(set.Key(tok.Headers[0].KeyID)[0].Key, &c); err != nil {
			t.Fatal(err)
		}
		if c.Issuer != rec.Issuer {
			t.Errorf("token of %q, issuer %q", c.Issuer, rec.Issuer)
		}
		verified++
	}
	if verified == 0 || len(attacks) < 40 || len(categories) < 9 || raws == 0 {
		t.Errorf("%d tokens, %d attacks of %d categories, %d raw messages", verified, len(attacks), len(categories), raws)
	}
	for _, want := range []string{rec.Issuer, contract.File} {
		if !bytes.Contains(rec.Config, []byte(want)) {
			t.Errorf("the configuration does not name %s", want)
		}
	}
	if bytes.Contains(rec.Config, []byte("${")) {
		t.Errorf("something is left to fill in:\n%s", rec.Config)
	}
}
