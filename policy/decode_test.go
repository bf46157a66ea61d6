package policy_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/document"
	"github.com/sallyport/sallyport/policy"
)

var update = flag.Bool("update", false, "rewrite golden files")

func decode(t testing.TB, src string) (*policy.Policy, contract.Diagnostics) {
	t.Helper()
	d, err := document.Parse("p.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return policy.Decode(d.Root())
}

func at(line, col int) contract.Pos { return contract.Pos{File: "p.yaml", Line: line, Col: col} }

func set[T any](v T, line, col int) *policy.Setting[T] {
	return &policy.Setting[T]{Value: v, Pos: at(line, col)}
}

func TestDecodeReadsEveryKey(t *testing.T) {
	p, ds := decode(t, `
- on: ["*", "api:shop GET /orders/{id}"]
  mode: observe
  controls: {authentication: enforce, cors: off}
  public: true
  undeclared: {request: deny, response: strip}
  read_only: strip
  write_only: report
  limits:
    - {name: tenant, per: principal.tenant, rate: 600/m, burst: 100, mode: observe}
    - {name: login, per: [address, "request:/email"], rate: 10/15m}
  owner: {at: "response:/items/*/customer_id", is: principal.subject, foreign: drop}
  require: '"admin" in principal.roles'
  redact:
    - {class: payment.card, show: last4}
    - {class: personal.email, unless: '"profile:read" in principal.scopes'}
    - {class: secret, show: replace, with: gone}
  responses: strict
  unread: pass
  body: {request: 64KiB, response: 16777216}
  path: [encoded_slash, parameters]
  cors: {origins: ["https://app.example"], headers: [X-A], expose: [X-B], credentials: true, max_age: 10m}
  cache: keep
  errors: false
  security_headers: true
- on: tag:plain
`)
	if len(ds) != 1 || ds[0].Severity != contract.Warning || ds[0].Pos != at(26, 3) {
		t.Fatal(ds)
	}
	want := &policy.Policy{Entries: []*policy.Entry{{
		On: []policy.Selector{
			{Kind: policy.All, Text: "*", Pos: at(2, 8)},
			{Kind: policy.Route, API: "shop", Method: "GET", Value: "/orders/{id}", Text: "api:shop GET /orders/{id}", Pos: at(2, 13)},
		},
		Pos:  at(2, 3),
		Mode: set(policy.Observe, 3, 3),
		Controls: map[policy.Control]policy.Setting[policy.Mode]{
			policy.Authentication: *set(policy.Enforce, 4, 14), policy.Origins: *set(policy.Off, 4, 39)},
		Public:   set(true, 5, 3),
		Request:  set(policy.DenyThem, 6, 16),
		Response: set(policy.StripThem, 6, 31),
		ReadOnly: set(policy.StripThem, 7, 3),
		Write:    set(policy.ReportThem, 8, 3),
		Limits: []policy.Limit{
			{Name: "tenant", Per: []policy.Key{{Kind: policy.KeyTenant}}, Count: 600, Every: time.Minute, Burst: 100,
				Mode: set(policy.Observe, 10, 70), Pos: at(10, 7)},
			{Name: "login", Per: []policy.Key{{Kind: policy.KeyAddress}, {Kind: policy.KeyRequest, Pointer: "/email"}},
				Count: 10, Every: 15 * time.Minute, Pos: at(11, 7)},
		},
		Require: &policy.Condition{Any: []policy.Membership{{Role: true, Value: "admin"}}, Text: `"admin" in principal.roles`, Pos: at(13, 12)},
		Owner: &policy.Owner{
			At:      policy.Place{In: policy.InResponse, Pointer: "/items/*/customer_id", Text: "response:/items/*/customer_id"},
			Is:      policy.Whom{Kind: policy.WhomSubject, Text: "principal.subject"},
			Foreign: policy.DropForeign, Pos: at(12, 3)},
		Redact: []policy.Redaction{
			{Class: "payment.card", Show: policy.ShowLast4, Pos: at(15, 7)},
			{Class: "personal.email", Unless: &policy.Condition{Any: []policy.Membership{{Value: "profile:read"}},
				Text: `"profile:read" in principal.scopes`, Pos: at(16, 39)}, Pos: at(16, 7)},
			{Class: "secret", Show: policy.ShowReplace, With: "gone", Pos: at(17, 7)},
		},
		Strict: set(true, 18, 3),
		Unread: set(policy.PassUnread, 19, 3),
		Body:   policy.Sizes{Request: 64 << 10, Response: 16 << 20, Pos: at(20, 3)},
		Path:   set(policy.PathForms{EncodedSlash: true, Parameters: true}, 21, 3),
		CORS: &policy.CORS{Origins: []string{"https://app.example"}, Headers: []string{"X-A"}, Expose: []string{"X-B"},
			Credentials: true, MaxAge: 10 * time.Minute, Pos: at(22, 3)},
		Cache:   set(policy.KeepCache, 23, 3),
		Detail:  set(false, 24, 3),
		Headers: set(true, 25, 3),
	}, {
		On:  []policy.Selector{{Kind: policy.Tag, Value: "plain", Text: "tag:plain", Pos: at(26, 7)}},
		Pos: at(26, 3),
	}}}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Error(diff)
	}
}

// TestEveryControlHasAName holds the names of the configuration and the
// constants together.
func TestEveryControlHasAName(t *testing.T) {
	for c := policy.Control(0); c < policy.CountControls; c++ {
		p, ds := decode(t, `- {on: "*", controls: {`+c.String()+`: observe}}`)
		if len(ds) > 0 || p.Entries[0].Controls[c].Value != policy.Observe {
			t.Errorf("%d: %v", c, ds)
		}
	}
}

// TestBrokenPolicies is threat T4: testdata/broken.txt holds broken lists of
// entries, and below each what must be said of it.
func TestBrokenPolicies(t *testing.T) {
	file := filepath.Join("testdata", "broken.txt")
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	n := 0
	for c := range strings.SplitSeq(strings.TrimSuffix(string(src), "\n"), "\n====\n") {
		in, want, _ := strings.Cut(c, "\n----\n")
		_, ds := decode(t, in)
		got := ds.Error()
		if n++; n > 1 {
			out.WriteString("\n====\n")
		}
		out.WriteString(in + "\n----\n" + got)
		if got != want && !*update {
			t.Errorf("%s\n%s", in, cmp.Diff(want, got))
		}
		if !ds.Fatal() {
			t.Errorf("%s\nis no error", in)
		}
	}
	out.WriteString("\n")
	if *update {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if n < 40 {
		t.Errorf("only %d broken policies", n)
	}
}

func TestAllFaultsAreReportedTogether(t *testing.T) {
	_, ds := decode(t, `
- on: nothing
  mode: enforced
  limitz: []
- limits: [{rate: 5}]
- 7
`)
	if len(ds) != 8 {
		t.Errorf("got %d faults:\n%v", len(ds), ds)
	}
}

func TestHugePolicyIsRefused(t *testing.T) {
	_, ds := decode(t, "["+strings.Repeat(`{"on":"*"},`, policy.MaxEntries)+`{"on":"*"}]`)
	if len(ds) != 1 || !ds.Fatal() {
		t.Errorf("got %d faults", len(ds))
	}
}

func TestFieldsAreDescribed(t *testing.T) {
	var check func(prefix string, fs []policy.Field)
	check = func(prefix string, fs []policy.Field) {
		for _, f := range fs {
			if f.Doc == "" || f.Type == "" || (f.Schema == "") == (len(f.Fields) == 0) {
				t.Errorf("%s%s is not described", prefix, f.Name)
			}
			if f.Schema != "" && !json.Valid([]byte(f.Schema)) {
				t.Errorf("%s%s has the schema %s", prefix, f.Name, f.Schema)
			}
			check(prefix+f.Name+".", f.Fields)
		}
	}
	check("", policy.Fields())
}

// FuzzDecode: a policy that is accepted keeps the promises of its types, and
// one that is refused names a place in the file.
func FuzzDecode(f *testing.F) {
	f.Add(`[{"on": ["*"], "limits": [{"name": "a", "per": "address", "rate": "5/m"}]}]`)
	f.Add("- on: GET /a\n  owner: {at: 'response:/x', is: principal.tenant}\n  body: {request: 1KiB}")
	f.Add("- {on: '*', redact: [{class: a.b, show: replace, with: x}], cors: {origins: ['*'], max_age: 5m}}")
	f.Fuzz(func(t *testing.T, src string) {
		d, err := document.Parse("p.yaml", []byte(src))
		if err != nil {
			return
		}
		p, ds := policy.Decode(d.Root())
		for _, x := range ds {
			if x.Pos.File != "p.yaml" || x.Pos.Line < 1 || x.Pos.Col < 1 || x.Pos.Line > 1+strings.Count(src, "\n") {
				t.Errorf("%v: no such place", x)
			}
		}
		if ds.Fatal() {
			return
		}
		for _, e := range p.Entries {
			if len(e.On) == 0 {
				t.Error("an entry selects nothing")
			}
			for _, s := range e.On {
				if s.Kind == 0 {
					t.Errorf("%+v has no kind", s)
				}
			}
			for _, l := range e.Limits {
				if l.Name == "" || len(l.Per) == 0 || l.Count < 1 || l.Every <= 0 || l.Burst < 0 {
					t.Errorf("a limit is %+v", l)
				}
			}
			if o := e.Owner; o != nil && (o.At.In == 0 || o.Is.Kind == 0) {
				t.Errorf("an owner is %+v", o)
			}
			if e.Require != nil && len(e.Require.Any) == 0 {
				t.Error("a condition asks for nothing")
			}
			if e.Body.Request < 0 || e.Body.Request > policy.MaxBody || e.Body.Response < 0 || e.Body.Response > policy.MaxBody {
				t.Errorf("sizes are %+v", e.Body)
			}
		}
	})
}
