package app

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// G2, G11, T1: what the admin address answers, and to whom.
func TestG2AdminAnswersOnlyItsOwnHosts(t *testing.T) {
	ready := error(nil)
	a := &admin{
		hosts:   []string{"10.1.2.3"},
		ready:   func() error { return ready },
		metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { plain(w, 200, "metrics") }),
	}
	for _, c := range []struct {
		method, host, origin, path string
		want                       int
	}{
		{"GET", "127.0.0.1:9090", "", "/healthz", 200},
		{"HEAD", "127.0.0.1:9090", "", "/healthz", 200},
		{"GET", "localhost:9090", "", "/readyz", 200},
		{"GET", "LOCALHOST", "", "/metrics", 200},
		{"GET", "[::1]:9090", "", "/metrics", 200},
		{"GET", "10.1.2.3:9090", "", "/metrics", 200},
		{"GET", "localhost:9090", "http://localhost:9090", "/metrics", 200},

		{"GET", "evil", "", "/healthz", 403},
		{"GET", "evil.example:9090", "", "/metrics", 403},
		{"GET", "127.0.0.1.evil.example", "", "/metrics", 403},
		{"GET", "", "", "/metrics", 403},
		{"GET", "localhost:9090", "http://evil", "/metrics", 403},
		{"GET", "localhost:9090", "null", "/metrics", 403},
		{"GET", "localhost:9090", "http://localhost:8080", "/healthz", 403},

		{"GET", "localhost:9090", "", "/", 404},
		{"GET", "localhost:9090", "", "/metrics/", 404},
		{"GET", "localhost:9090", "", "/healthz/../metrics", 404},
		{"GET", "localhost:9090", "", "/debug/pprof/", 404},
		{"GET", "localhost:9090", "", "/config", 404},
		{"POST", "localhost:9090", "", "/healthz", 405},
		{"DELETE", "localhost:9090", "", "/metrics", 405},
	} {
		r := httptest.NewRequest(c.method, "/", nil)
		r.Host, r.URL.Path = c.host, c.path
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%s %s at %q from %q: %d, want %d", c.method, c.path, c.host, c.origin, w.Code, c.want)
		}
	}

	a.setToken("a long enough token")
	for _, c := range []struct {
		path, auth string
		want       int
	}{
		{"/metrics", "", 401}, // G1
		{"/metrics", "Bearer a long enough toke", 401},
		{"/metrics", "Basic a long enough token", 401},
		{"/metrics", "Bearer a long enough token", 200},
		{"/healthz", "", 200},
		{"/readyz", "", 200},
	} {
		r := httptest.NewRequest("GET", c.path, nil)
		r.Host = "localhost"
		r.Header.Set("Authorization", c.auth)
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%s with %q: %d, want %d", c.path, c.auth, w.Code, c.want)
		}
	}

	ready = errors.New("draining")
	r := httptest.NewRequest("GET", "/readyz", nil)
	r.Host = "localhost"
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	if w.Code != 503 || w.Body.String() != "draining\n" {
		t.Errorf("not ready: %d %q", w.Code, w.Body)
	}
}

// T1: a reload cannot leave an address open that others reach, by a
// configuration that listens elsewhere after the next start and asks for nothing.
func TestT1ReloadKeepsTheTokenOfAnOpenAddress(t *testing.T) {
	for address, want := range map[string]int{"0.0.0.0:0": 401, "127.0.0.1:0": 200} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		a := &admin{listener: l, metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { plain(w, 200, "metrics") })}
		a.setToken("a long enough token")
		a.changeToken("")
		r := httptest.NewRequest("GET", "/metrics", nil)
		r.Host = "localhost"
		w := httptest.NewRecorder()
		a.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("at %s, reloaded without a token: %d, want %d", address, w.Code, want)
		}
	}
}
