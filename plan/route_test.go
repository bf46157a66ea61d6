package plan

import (
	"fmt"
	"strings"
	"testing"
)

func tree(t testing.TB, routes ...string) *API {
	t.Helper()
	a := &API{Bases: []string{""}}
	for _, r := range routes {
		method, template, _ := strings.Cut(r, " ")
		if _, ok := a.root.add(template, &Operation{Method: method, ID: r, Template: template}); !ok {
			t.Fatalf("%s was there already", r)
		}
	}
	return a
}

func TestConcretePathsComeBeforeTemplates(t *testing.T) {
	a := tree(t,
		"GET /users/me", "GET /users/{id}", "PATCH /users/{id}", "GET /users/{id}/orders", "GET /users/me/settings",
		"GET /files/{name}.{ext}", "GET /files/{name}", "GET /v{n}/status", "POST /items/{id}:cancel", "GET /items/{id}", "GET /",
		"GET /a/{x}/c", "GET /a/b/{y}",
	)
	tests := []struct{ method, path, want string }{
		{"GET", "/users/me", "GET /users/me"},
		{"GET", "/users/7", "GET /users/{id} id=7"},
		{"PATCH", "/users/me", "PATCH /users/{id} id=me"}, // the concrete path has no PATCH
		{"GET", "/users/me/orders", "GET /users/{id}/orders id=me"},
		{"GET", "/users/me/settings", "GET /users/me/settings"},
		{"GET", "/files/a.b.c", "GET /files/{name}.{ext} name=a ext=b.c"},
		{"GET", "/files/abc", "GET /files/{name} name=abc"},
		{"GET", "/files/.c", "GET /files/{name} name=.c"},
		{"GET", "/v2/status", "GET /v{n}/status n=2"},
		{"GET", "/v/status", "unknown"},
		{"POST", "/items/9:cancel", "POST /items/{id}:cancel id=9"},
		{"GET", "/items/9", "GET /items/{id} id=9"},
		{"HEAD", "/items/9", "GET /items/{id} id=9"},
		{"DELETE", "/items/9", "allowed GET"},
		{"GET", "/", "GET /"},
		{"GET", "/a/b/c", "GET /a/b/{y} y=c"},
		{"GET", "/a/z/c", "GET /a/{x}/c x=z"},
		{"GET", "/users/", "unknown"},
		{"GET", "/users/7/", "unknown"}, // E14
		{"GET", "/users", "unknown"},
		{"GET", "/USERS/me", "unknown"}, // E13
		{"POST", "/items/9%3Acancel", "ambiguous"},
		{"GET", "/items/9%3Acancel", "ambiguous"},
		{"GET", "/items/9%2C1", "GET /items/{id} id=9%2C1"},
	}
	for _, tt := range tests {
		var m Match
		path := []byte(tt.path)
		known := a.Match(path, tt.method, &m)
		got := "unknown"
		switch {
		case m.Ambiguous:
			got = "ambiguous"
		case m.Operation != nil:
			got = m.Operation.ID
			i := 0
			for seg := range strings.SplitSeq(m.Operation.Template, "/") {
				_, names := splitSegment(seg)
				for _, n := range names {
					got += fmt.Sprintf(" %s=%s", n, m.Param(path, i))
					i++
				}
			}
		case known:
			got = "allowed"
			for _, o := range m.Allowed {
				got += " " + o.Method
			}
		}
		if got != tt.want {
			t.Errorf("%s %s: %s, want %s", tt.method, tt.path, got, tt.want)
		}
	}
}

func TestLookUpIsBounded(t *testing.T) {
	// Templates that overlap at every level must not make a look-up
	// exponential.
	var routes []string
	for i := range 12 {
		routes = append(routes, "GET "+strings.Repeat("/{a}", i)+"/x"+strings.Repeat("/{b}", 12-i)+"/end")
	}
	for i := range 12 {
		routes = append(routes, "POST "+strings.Repeat("/x", i)+strings.Repeat("/{b}", 13-i)+"/end")
	}
	a := tree(t, routes...)
	var m Match
	if a.Match([]byte(strings.Repeat("/x", 13)+"/no"), "GET", &m) || m.Operation != nil {
		t.Error("a path that no template fits was found")
	}
}

func TestLookUpAllocatesNothing(t *testing.T) {
	a := tree(t, "GET /users/{id}/orders/{order}", "GET /users/me")
	path := []byte("/users/42/orders/77")
	var m Match
	if n := testing.AllocsPerRun(100, func() { a.Match(path, "GET", &m) }); n != 0 {
		t.Errorf("a look-up allocates %v times", n)
	}
}

func BenchmarkMatch(b *testing.B) {
	a := tree(b, "GET /users/{id}/orders/{order}", "GET /users/me", "GET /users/{id}")
	path := []byte("/users/42/orders/77")
	var m Match
	for b.Loop() {
		a.Match(path, "GET", &m)
	}
}
