package app

import (
	"crypto/sha256"
	"crypto/subtle"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// admin is what the admin address answers: whether the process lives, whether
// it should get traffic, and what it counted. It never shows configuration.
type admin struct {
	hosts    []string     // names it is reached by, beside loopback and the address of the connection; lower case
	ready    func() error // nil where it takes traffic
	metrics  http.Handler
	listener net.Listener
	tls      bool
	token    atomic.Pointer[[sha256.Size]byte] // hash of what operators send; nil asks for nothing
}

// setToken changes what operators have to send; "" asks for nothing.
func (a *admin) setToken(token string) {
	if token == "" {
		a.token.Store(nil)
		return
	}
	sum := sha256.Sum256([]byte(token))
	a.token.Store(&sum)
}

// changeToken is setToken for an address that is open already. Where others
// than this machine can reach it, it goes on asking for the token that it has:
// the configuration that does without one is for an address of the next start.
func (a *admin) changeToken(token string) {
	if token == "" && a.listener != nil {
		if at, ok := a.listener.Addr().(*net.TCPAddr); !ok || !at.IP.IsLoopback() {
			return
		}
	}
	a.setToken(token)
}

// permitted reports whether the request has the token. Hashes are compared, so
// that the time it takes tells nothing of the token, its length included.
func (a *admin) permitted(r *http.Request) bool {
	want := a.token.Load()
	if want == nil {
		return true
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	got := sha256.Sum256([]byte(token))
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// ServeHTTP answers. The Host must be one that the address is known by, and an
// Origin the same, so that a page in an operator's browser can neither read
// nor ask anything here, whatever name it resolves to this address (DNS
// rebinding).
func (a *admin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	if !a.known(r) {
		plain(w, http.StatusForbidden, "this host is not one of the admin address's")
		return
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		u, err := url.Parse(origin)
		if err != nil || u.Host != r.Host {
			plain(w, http.StatusForbidden, "another origin may not ask here")
			return
		}
	}
	var serve http.HandlerFunc
	switch r.URL.Path {
	case "/healthz":
		serve = func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok") }
	case "/readyz":
		serve = func(w http.ResponseWriter, _ *http.Request) {
			if err := a.ready(); err != nil {
				plain(w, http.StatusServiceUnavailable, err.Error())
				return
			}
			plain(w, http.StatusOK, "ready")
		}
	case "/metrics":
		if !a.permitted(r) {
			h.Set("WWW-Authenticate", "Bearer")
			plain(w, http.StatusUnauthorized, "the token of the admin address is missing or wrong")
			return
		}
		serve = a.metrics.ServeHTTP
	default:
		plain(w, http.StatusNotFound, "there is nothing here")
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		plain(w, http.StatusMethodNotAllowed, "only GET and HEAD")
		return
	}
	serve(w, r)
}

// known reports whether the request's host names the admin address: by a name
// that it is known by, or by the very address that the connection came to.
func (a *admin) known(r *http.Request) bool {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if ip := net.ParseIP(host); ip != nil {
		local, _ := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
		if ip.IsLoopback() || local != nil && local.IP.Equal(ip) {
			return true
		}
	}
	return host == "localhost" || slices.Contains(a.hosts, host)
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	io.WriteString(w, text+"\n")
}

// server wraps the admin handler with bounds of its own, which are narrow:
// only operators and their tools call here.
func (a *admin) server() *http.Server {
	return &http.Server{
		Handler:           a,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
}
