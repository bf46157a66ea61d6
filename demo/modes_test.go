package demo_test

import (
	"bytes"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/authn"
	"github.com/sallyport/sallyport/contract/openapi"
	"github.com/sallyport/sallyport/demo"
	"github.com/sallyport/sallyport/demo/contract"
	"github.com/sallyport/sallyport/document"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/exchange"
	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/plan"
	"github.com/sallyport/sallyport/policy"
)

// A judge is a guard in one mode, and its last event.
type judge struct {
	*guard.Guard
	hits   []string // "control reason" of what the last exchange was found to be
	reason exchange.Reason
}

// Put keeps what is to be compared.
func (j *judge) Put(e *event.Event) {
	j.hits, j.reason = j.hits[:0], e.Reason
	for _, h := range e.Hits {
		j.hits = append(j.hits, h.Control+" "+h.Reason.Code())
	}
}

// judges makes two guards by the demo's own configuration, one of which only
// observes.
func judges(t *testing.T, rec *demo.Recording) (observe, enforce *judge) {
	t.Helper()
	api, ds := openapi.Load(contract.File, openapi.Options{ReadFile: func(string) ([]byte, error) { return rec.Contract, nil }})
	if ds.Fatal() {
		t.Fatal(ds)
	}
	// What a limit says depends on what passed before, and how long ago.
	text := regexp.MustCompile(`rate: [0-9]+/[hm], burst: [0-9]+`).ReplaceAll(rec.Config, []byte("rate: 600000/m, burst: 100000"))
	doc, err := document.Parse("sallyport.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	pol, ds := policy.Decode(doc.Root().Get("policy"))
	if ds.Fatal() {
		t.Fatal(ds)
	}
	iss, err := authn.NewIssuer(authn.IssuerOptions{URL: rec.Issuer, Keys: rec.JWKS, Audiences: []string{"shop"}, Algorithms: []string{"ES256"},
		MaxLifetime: 15 * time.Minute, Tenant: "/org_id"})
	if err != nil {
		t.Fatal(err)
	}
	v, err := authn.NewVerifier(authn.VerifierOptions{Issuers: []*authn.Issuer{iss}})
	if err != nil {
		t.Fatal(err)
	}
	made := map[policy.Mode]*judge{}
	for _, mode := range []policy.Mode{policy.Observe, policy.Enforce} {
		p, ds := plan.Compile(plan.Options{Policy: pol, Sources: []plan.Source{{Name: "shop", Contract: api, Mode: mode, Verifier: v}}})
		if p == nil {
			t.Fatal(ds)
		}
		j := &judge{}
		j.Guard = guard.New(guard.Options{Plan: p, Events: j})
		made[mode] = j
	}
	return made[policy.Observe], made[policy.Enforce]
}

// A sentence is what became of an exchange.
type sentence struct {
	reason string // of the refusal, or ""
	asked  bool   // the upstream was
	body   string
	hits   []string
}

// try lets an exchange pass both doors.
func (j *judge) try(t *testing.T, e *demo.Exchange) (s sentence) {
	t.Helper()
	refused := false
	p := j.Begin()
	defer func() {
		p.End()
		if s.hits = slices.Clone(j.hits); refused {
			s.reason = j.reason.Code() // callers are told less
		}
	}()
	path, query, has := strings.Cut(e.Request.Target, "?")
	p.Request = exchange.Request{Method: e.Request.Method, Scheme: "http", Host: []byte("127.0.0.1"), Path: []byte(path), Query: []byte(query), HasQuery: has,
		Length: int64(len(e.Request.Body)), Remote: netip.MustParseAddrPort(e.Request.From + ":1"), Began: time.Now(), Header: header(e.Request.Header)}
	step := p.Head(t.Context())
	if step == guard.ReadBody {
		body, err := upTo(e.Request.Body, p.MaxBody())
		step = p.Body(t.Context(), body, err)
	}
	if step == guard.Forward {
		s.asked = true
		p.Upstream()
		p.Response = exchange.Response{Status: e.Response.Status, Header: header(e.Response.Header), Length: int64(len(e.Response.Body))}
		if p.ResponseHead() == guard.ReadBody {
			body, err := upTo(e.Response.Body, p.MaxBody())
			p.ResponseBody(body, err)
		}
	}
	r := p.Reply()
	_, refused = r.Header.Get(exchange.SallyportReason)
	s.body = string(r.Body)
	if r.Streamed {
		s.body = string(e.Response.Body)
	}
	return s
}

func upTo(b []byte, most int) ([]byte, error) {
	if len(b) > most {
		return nil, guard.ErrTooLarge
	}
	return bytes.Clone(b), nil // the doors may change it in place
}

func header(h map[string][]string) (out exchange.Header) {
	for k, vs := range h {
		if k == "Content-Encoding" || k == "Content-Length" {
			continue // the recorded bodies are decoded
		}
		for _, v := range vs {
			out = append(out, exchange.Field{ID: exchange.KnownName([]byte(k)), Name: []byte(k), Value: []byte(v)})
		}
	}
	slices.SortFunc(out, func(a, b exchange.Field) int { return bytes.Compare(a.Name, b.Name) })
	return out
}

// Over the demo's recording, a guard that observes finds what one that
// enforces finds, in the same order, up to where that one refuses; it lets
// everything pass untouched; and the one that enforces refuses no honest
// request.
func TestObserveEqualsEnforceOverTheRecording(t *testing.T) {
	rec := shared(t)
	observe, enforce := judges(t, rec)
	judged, refused, found := 0, map[string]int{}, map[string]bool{}
	for i := range rec.Exchanges {
		x := rec.Exchanges[i] // others read the recording too
		e := &x
		if e.Request.Raw != nil && !unwrap(e) {
			continue // what is no request is for the wire to judge
		}
		judged++
		seen, got := observe.try(t, e), enforce.try(t, e)
		what := e.Operation + e.Attack + " " + e.Request.Method + " " + e.Request.Target
		if seen.reason != "" || !seen.asked || seen.body != string(e.Response.Body) {
			t.Errorf("%s: a guard that observes refused or changed it: %q", what, seen.reason)
		}
		want := seen.hits
		if got.reason != "" {
			refused[got.reason]++
			if len(got.hits) == 0 || len(got.hits) > len(want) || !strings.HasSuffix(got.hits[len(got.hits)-1], " "+got.reason) {
				t.Errorf("%s: refused for %s with %v, observed %v", what, got.reason, got.hits, want)
				continue
			}
			want = want[:len(got.hits)]
		}
		if !slices.Equal(got.hits, want) {
			t.Errorf("%s: enforced %v, observed %v", what, got.hits, want)
		}
		if e.Class == demo.ByHonest && got.reason != "" {
			t.Errorf("%s: an honest request was refused: %v", what, got.hits)
		}
		if e.Class == demo.ByAttacker && len(seen.hits) > 0 {
			found[e.Attack] = true
		}
	}
	t.Logf("%d exchanges judged; refused: %v", judged, refused)
	for i := range rec.Exchanges {
		if a := rec.Exchanges[i].Attack; a != "" && a != "smuggling" && !found[a] {
			t.Errorf("attack %s was not noticed at all", a)
			found[a] = true
		}
	}
}

// unwrap reads method and target out of a raw request that has no body and
// reports whether it could.
func unwrap(e *demo.Exchange) bool {
	line, _, _ := strings.Cut(string(e.Request.Raw), "\r\n")
	parts := strings.Split(line, " ")
	if e.Attack != "path-trick" || len(parts) != 3 {
		return false
	}
	e.Request.Method, e.Request.Target = parts[0], parts[1]
	return true
}
