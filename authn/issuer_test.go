package authn_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/sallyport/sallyport/authn"
	"github.com/sallyport/sallyport/exchange"
)

// A provider is an issuer's server over TLS, of which each answer can be
// changed.
type provider struct {
	*httptest.Server
	fetches atomic.Int64 // of the key set

	mu        sync.Mutex
	discovery http.HandlerFunc
	jwks      http.HandlerFunc
}

func sendJSON(b []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write(b)
	}
}

func newProvider(t testing.TB, keys []byte) *provider {
	p := &provider{}
	mux := http.NewServeMux()
	pick := func(h *http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			p.mu.Lock()
			f := *h
			p.mu.Unlock()
			f(w, r)
		}
	}
	mux.Handle("/.well-known/openid-configuration", pick(&p.discovery))
	jwks := pick(&p.jwks)
	mux.HandleFunc("/jwks", func(w http.ResponseWriter, r *http.Request) {
		p.fetches.Add(1)
		jwks(w, r)
	})
	p.Server = httptest.NewTLSServer(mux)
	t.Cleanup(p.Close)
	p.set(sendJSON(fmt.Appendf(nil, `{"issuer":%q,"jwks_uri":%q}`, p.URL, p.URL+"/jwks")), sendJSON(keys))
	return p
}

// set changes the answers; nil leaves one as it is.
func (p *provider) set(discovery, jwks http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if discovery != nil {
		p.discovery = discovery
	}
	if jwks != nil {
		p.jwks = jwks
	}
}

func (p *provider) fetcher() *authn.Fetcher {
	pool := x509.NewCertPool()
	pool.AddCert(p.Certificate())
	return authn.NewFetcher(authn.FetcherOptions{RootCAs: pool})
}

func (p *provider) issuer(t testing.TB, alg string, change func(*authn.IssuerOptions)) *authn.Issuer {
	t.Helper()
	o := authn.IssuerOptions{URL: p.URL, Audiences: []string{"shop"}, Algorithms: []string{alg}, Fetcher: p.fetcher(), Interval: time.Millisecond}
	if change != nil {
		change(&o)
	}
	iss, err := authn.NewIssuer(o)
	if err != nil {
		t.Fatal(err)
	}
	return iss
}

// run runs the issuer until the test ends.
func run(t testing.TB, iss *authn.Issuer) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := iss.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
}

// token is an honest token of the provider, good now.
func (p *provider) token(s signer, kid string, more ...string) string {
	n := time.Now().Unix()
	all := append([]string{"iss", fmt.Sprintf("%q", p.URL), "exp", fmt.Sprint(n + 600), "iat", fmt.Sprint(n - 1), "nbf", fmt.Sprint(n - 1)}, more...)
	return s.token(header(s.alg, kid), claims(all...))
}

func verifyNow(v *authn.Verifier, tok string) exchange.Reason {
	_, reason := v.Verify(context.Background(), []byte(tok), time.Now())
	return reason
}

// until asks again until the answer is the one that is waited for.
func until(t testing.TB, what string, want exchange.Reason, ask func() exchange.Reason) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	var got exchange.Reason
	for time.Now().Before(deadline) {
		if got = ask(); got == want {
			return
		}
	}
	t.Fatalf("%s: %s, want %s", what, got, want)
}

func TestKeysAreRotated(t *testing.T) {
	first, second := keyPair("ES256", "first"), keyPair("ES256", "second")
	p := newProvider(t, keySet(first.jwk("k1")))
	iss := p.issuer(t, "ES256", nil)
	cache := authn.NewCache(authn.CacheOptions{})
	v := verifierOf(t, cache, iss)
	old := p.token(first, "k1")
	// A late issuer is no fault of the caller.
	if reason := verifyNow(v, old); reason != exchange.AuthnUnavailable || v.Ready() {
		t.Fatalf("before the keys are there: %s, ready %v", reason, v.Ready())
	}
	if err := iss.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if reason := verifyNow(v, old); reason != exchange.OK || !v.Ready() {
		t.Fatalf("then: %s, ready %v", reason, v.Ready())
	}
	run(t, iss)
	// A new key beside the old: known at once, and the old token stays.
	p.set(nil, sendJSON(keySet(first.jwk("k1"), second.jwk("k2"))))
	until(t, "a token of the new key", exchange.OK, func() exchange.Reason { return verifyNow(v, p.token(second, "k2")) })
	before := cache.Stats().Hits
	if reason := verifyNow(v, old); reason != exchange.OK || cache.Stats().Hits != before+1 {
		t.Errorf("the old token was not found again: %s", reason)
	}
	// The old key is removed: its tokens end, remembered or not.
	p.set(nil, sendJSON(keySet(second.jwk("k2"))))
	if err := iss.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if reason := verifyNow(v, old); reason != exchange.AuthnKey {
		t.Errorf("a token of a removed key: %s", reason)
	}
	// One kid, another key: it heals.
	p.set(nil, sendJSON(keySet(first.jwk("k2"))))
	until(t, "a known kid with a new key", exchange.OK, func() exchange.Reason { return verifyNow(v, p.token(first, "k2")) })
	if reason := verifyNow(v, p.token(second, "k2")); reason != exchange.AuthnSignature {
		t.Errorf("a token of the key that was replaced: %s", reason)
	}
}

func TestOutageAndReturn(t *testing.T) {
	s := keyPair("ES256", "first")
	p := newProvider(t, keySet(s.jwk("k1")))
	iss := p.issuer(t, "ES256", func(o *authn.IssuerOptions) { o.Keep = time.Hour })
	v := verifierOf(t, authn.NewCache(authn.CacheOptions{}), iss)
	if err := iss.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	tok := p.token(s, "k1", "exp", fmt.Sprint(time.Now().Unix()+86400))
	down := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }
	p.set(down, down)
	for range 3 {
		if err := iss.Refresh(t.Context()); err == nil {
			t.Fatal("a fetch from an issuer that is down")
		}
	}
	if st := iss.Status(); st.Keys != 1 || st.Fetches != 4 || st.Failures != 3 || !strings.Contains(st.Problem, "answers 500") || st.Fetched.IsZero() {
		t.Errorf("%+v", st)
	}
	at := func(d time.Duration) exchange.Reason {
		_, reason := v.Verify(t.Context(), []byte(tok), time.Now().Add(d))
		return reason
	}
	for _, c := range []struct {
		after time.Duration
		want  exchange.Reason
	}{{0, exchange.OK}, {59 * time.Minute, exchange.OK}, {61 * time.Minute, exchange.AuthnUnavailable}} {
		if got := at(c.after); got != c.want {
			t.Errorf("%v into the outage: %s, want %s", c.after, got, c.want)
		}
	}
	p.set(sendJSON(fmt.Appendf(nil, `{"issuer":%q,"jwks_uri":%q}`, p.URL, p.URL+"/jwks")), sendJSON(keySet(s.jwk("k1"))))
	if err := iss.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := at(30 * time.Minute); got != exchange.OK {
		t.Errorf("after the return: %s", got)
	}
}

func TestIssuerThatIsDownAtStartIsAskedAgain(t *testing.T) {
	s := keyPair("ES256", "first")
	p := newProvider(t, keySet(s.jwk("k1")))
	var n atomic.Int64
	good := sendJSON(keySet(s.jwk("k1")))
	p.set(nil, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) < 4 {
			w.WriteHeader(503)
			return
		}
		good(w, r)
	})
	iss := p.issuer(t, "ES256", nil)
	v := verifierOf(t, nil, iss)
	run(t, iss)
	tok := p.token(s, "k1")
	until(t, "the fourth fetch", exchange.OK, func() exchange.Reason { return verifyNow(v, tok) })
}

// T8: random kids make no storm of fetches.
func TestRandomKidsMakeNoStorm(t *testing.T) {
	s, m := keyPair("EdDSA", "first"), keyPair("EdDSA", "mallory")
	p := newProvider(t, keySet(s.jwk("k1")))
	iss := p.issuer(t, "EdDSA", func(o *authn.IssuerOptions) { o.Interval = time.Hour })
	v := verifierOf(t, nil, iss)
	if err := iss.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	run(t, iss)
	until(t, "the first fetch of Run", exchange.OK, func() exchange.Reason {
		if p.fetches.Load() == 2 {
			return exchange.OK
		}
		return exchange.Undecided
	})
	var wg sync.WaitGroup
	for g := range 20 {
		wg.Go(func() {
			for i := range 50 {
				if reason := verifyNow(v, p.token(m, fmt.Sprintf("kid-%d-%d", g, i))); reason != exchange.AuthnKey {
					t.Errorf("a random kid: %s", reason)
				}
				if reason := verifyNow(v, p.token(m, "k1")); reason != exchange.AuthnSignature {
					t.Errorf("a forged token: %s", reason)
				}
			}
		})
	}
	wg.Wait()
	if n := p.fetches.Load(); n != 2 {
		t.Errorf("%d fetches within an interval, want none beside those of the start", n-2)
	}
}

func TestManyWaitForOneFetch(t *testing.T) {
	first, second := keyPair("EdDSA", "first"), keyPair("EdDSA", "second")
	p := newProvider(t, keySet(first.jwk("k1")))
	iss := p.issuer(t, "EdDSA", func(o *authn.IssuerOptions) { o.Interval = time.Nanosecond })
	v := verifierOf(t, nil, iss)
	run(t, iss)
	until(t, "the first fetch", exchange.OK, func() exchange.Reason { return verifyNow(v, p.token(first, "k1")) })
	asked, answer := make(chan struct{}, 64), make(chan struct{})
	next := sendJSON(keySet(first.jwk("k1"), second.jwk("k2")))
	p.set(nil, func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-answer
		next(w, r)
	})
	before := p.fetches.Load()
	tok := p.token(second, "k2")
	var wg sync.WaitGroup
	ask := func() {
		if reason := verifyNow(v, tok); reason != exchange.OK {
			t.Errorf("one that waited: %s", reason)
		}
	}
	wg.Go(ask)
	<-asked // the fetch is under way
	var ready sync.WaitGroup
	for range 30 {
		ready.Add(1)
		wg.Go(func() { ready.Done(); ask() })
	}
	ready.Wait()
	// Honest tokens of known keys do not wait.
	if reason := verifyNow(v, p.token(first, "k1")); reason != exchange.OK {
		t.Errorf("a token of a known key: %s", reason)
	}
	close(answer)
	wg.Wait()
	if n := p.fetches.Load() - before; n > 2 {
		t.Errorf("%d fetches for 31 tokens, want 1", n)
	}
}

// F20, T7, C23: documents and servers that must not be believed. The keys that
// there were go on to serve.
func TestBadDocuments(t *testing.T) {
	s := keyPair("ES256", "first")
	p := newProvider(t, nil)
	good := sendJSON(keySet(s.jwk("k1")))
	found := func(uri string) http.HandlerFunc {
		return sendJSON(fmt.Appendf(nil, `{"issuer":%q,"jwks_uri":%q}`, p.URL, uri))
	}
	status := func(n int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(n)
			w.Write(keySet(s.jwk("k1")))
		}
	}
	typed := func(typ string, b []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = []string{typ}
			w.Write(b)
		}
	}
	redirect := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
	}
	bomb := func() []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		io.CopyN(z, zeros{}, 8<<20)
		z.Close()
		return b.Bytes()
	}()
	keysOK := found(p.URL + "/jwks")
	for name, c := range map[string]struct {
		discovery, jwks http.HandlerFunc
		want            string // in the error
	}{
		"discovery of another issuer":        {sendJSON(fmt.Appendf(nil, `{"issuer":%q,"jwks_uri":%q}`, p.URL+"/", p.URL+"/jwks")), good, "another issuer"},
		"discovery without issuer":           {sendJSON(fmt.Appendf(nil, `{"jwks_uri":%q}`, p.URL+"/jwks")), good, "another issuer"},
		"discovery with two issuers":         {sendJSON(fmt.Appendf(nil, `{"issuer":%q,"issuer":%q,"jwks_uri":%q}`, p.URL, p.URL, p.URL+"/jwks")), good, "twice"},
		"discovery without jwks_uri":         {sendJSON(fmt.Appendf(nil, `{"issuer":%q}`, p.URL)), good, "no jwks_uri"},
		"discovery with a list":              {sendJSON(fmt.Appendf(nil, `{"issuer":%q,"jwks_uri":[%q]}`, p.URL, p.URL+"/jwks")), good, "no jwks_uri"},
		"discovery in HTML":                  {typed("text/html", []byte("<html>")), good, "media type"},
		"discovery is down":                  {status(500), good, "answers 500"},
		"jwks_uri over http, far":            {found("http://keys.example/jwks"), good, "not https"},
		"jwks_uri to metadata":               {found("https://169.254.169.254/jwks"), good, "no address of a server"},
		"jwks_uri to metadata as IPv6":       {found("https://[::ffff:169.254.169.254]/jwks"), good, "no address of a server"},
		"jwks_uri to a private address":      {found("https://10.0.0.1/jwks"), good, "internal"},
		"jwks_uri to unspecified":            {found("https://0.0.0.0/jwks"), good, "no address of a server"},
		"jwks_uri to another loopback":       {found("https://127.0.0.2:1/jwks"), good, "internal"},
		"jwks_uri to localhost by name":      {found("https://localhost:1/jwks"), good, "internal"},
		"jwks_uri to a file":                 {found("file:///etc/passwd"), good, "no URL"},
		"jwks_uri with a user":               {found(strings.Replace(p.URL, "https://", "https://a:b@", 1) + "/jwks"), good, "no user"},
		"jwks_uri to NAT64":                  {found("https://[64:ff9b::a00:1]/jwks"), good, "internal"},
		"jwks_uri to ULA":                    {found("https://[fd00::1]/jwks"), good, "internal"},
		"keys down":                          {keysOK, status(500), "answers 500"},
		"keys with 203":                      {keysOK, status(203), "answers 203"},
		"keys redirected to http":            {keysOK, redirect("http://keys.example/jwks"), "not https"},
		"keys redirected to metadata":        {keysOK, redirect("https://169.254.169.254/latest"), "no address of a server"},
		"keys redirected to a private range": {keysOK, redirect("https://192.168.0.1/"), "internal"},
		"keys redirected in a circle":        {keysOK, redirect(p.URL + "/jwks"), "more than 2 redirects"},
		"keys in HTML":                       {keysOK, typed("text/html", keySet(s.jwk("k1"))), "media type"},
		"keys without media type":            {keysOK, typed("", keySet(s.jwk("k1"))), "media type"},
		"keys of 2 MB":                       {keysOK, sendJSON(append(keySet(s.jwk("k1")), bytes.Repeat([]byte(" "), 2<<20)...)), "1 MiB"},
		"keys without end":                   {keysOK, typed("application/json", bytes.Repeat([]byte("[0,"), 1<<20)), "1 MiB"},
		"keys that nobody asked to be gzip": {keysOK, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			typed("application/json", bomb)(w, r)
		}, "content coding"},
		"no keys":            {keysOK, sendJSON([]byte(`{"keys":[]}`)), "no usable key"},
		"keys is an object":  {keysOK, sendJSON([]byte(`{"keys":{}}`)), "no array keys"},
		"no JSON":            {keysOK, sendJSON([]byte(`nope`)), "not JSON"},
		"empty":              {keysOK, sendJSON(nil), "not JSON"},
		"keys twice":         {keysOK, sendJSON([]byte(`{"keys":[],"keys":[` + s.jwk("k1") + `]}`)), "twice"},
		"cut off":            {keysOK, sendJSON(keySet(s.jwk("k1"))[:60]), "not JSON"},
		"10,000 keys":        {keysOK, sendJSON([]byte(`{"keys":[{}` + strings.Repeat(",{}", 9999) + `]}`)), "not JSON"},
		"deep":               {keysOK, sendJSON([]byte(`{"keys":` + strings.Repeat("[", 100000))), "not JSON"},
		"hangs up":           {keysOK, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, ""},
		"only a secret":      {keysOK, sendJSON([]byte(`{"keys":[{"kty":"oct","kid":"k1","k":"AAAA"}]}`)), "no usable key"},
		"discovery of 2 MB":  {sendJSON(bytes.Repeat([]byte(" "), 2<<20)), good, "1 MiB"},
		"discovery deep":     {sendJSON([]byte(strings.Repeat(`{"a":`, 1000))), good, "not JSON"},
		"discovery redirect": {redirect("https://10.1.2.3/"), good, "internal"},
	} {
		t.Run(name, func(t *testing.T) {
			iss := p.issuer(t, "ES256", nil)
			p.set(keysOK, good)
			if err := iss.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			v := verifierOf(t, nil, iss)
			fresh := p.issuer(t, "ES256", nil)
			p.set(c.discovery, c.jwks)
			err := fresh.Refresh(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Refresh: %v, want %q", err, c.want)
			}
			if fresh.Ready() {
				t.Error("ready without keys")
			}
			if reason := verifyNow(verifierOf(t, nil, fresh), p.token(s, "k1")); reason != exchange.AuthnUnavailable {
				t.Errorf("a token without keys: %s", reason)
			}
			iss.Refresh(t.Context())
			if reason := verifyNow(v, p.token(s, "k1")); reason != exchange.OK {
				t.Errorf("the last good keys do not serve: %s", reason)
			}
		})
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestSlowIssuerIsLeft(t *testing.T) {
	s := keyPair("ES256", "first")
	p := newProvider(t, keySet(s.jwk("k1")))
	gone := make(chan struct{})
	defer close(gone)
	p.set(nil, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(`{"keys":`))
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
		case <-gone:
		}
	})
	pool := x509.NewCertPool()
	pool.AddCert(p.Certificate())
	iss := p.issuer(t, "ES256", func(o *authn.IssuerOptions) {
		o.Fetcher = authn.NewFetcher(authn.FetcherOptions{RootCAs: pool, Timeout: 200 * time.Millisecond})
	})
	began := time.Now()
	if err := iss.Refresh(t.Context()); err == nil || time.Since(began) > 5*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

// T7: a name that leads inside is not followed, whatever it was before.
func TestNamesThatLeadInside(t *testing.T) {
	p := newProvider(t, nil)
	for _, addr := range []string{"10.0.0.1", "127.0.0.1", "169.254.169.254", "::1", "fd00:ec2::254", "fe80::1", "::ffff:10.0.0.1", "100.64.0.1", "0.0.0.0"} {
		ip := net.ParseIP(addr)
		pool := x509.NewCertPool()
		pool.AddCert(p.Certificate())
		f := authn.NewFetcher(authn.FetcherOptions{RootCAs: pool, Resolver: resolver(t, ip)})
		_, err := f.JSON(t.Context(), "https://keys.evil.example/jwks", []string{"127.0.0.1"})
		if err == nil || !strings.Contains(err.Error(), "internal") && !strings.Contains(err.Error(), "no address of a server") {
			t.Errorf("a name of %s: %v", addr, err)
		}
	}
	// A host that the configuration names may be private, but not metadata.
	f := authn.NewFetcher(authn.FetcherOptions{Resolver: resolver(t, net.ParseIP("169.254.169.254"))})
	if _, err := f.JSON(t.Context(), "https://id.acme.example/jwks", []string{"id.acme.example"}); err == nil || !strings.Contains(err.Error(), "no address of a server") {
		t.Errorf("metadata under a configured name: %v", err)
	}
}

// resolver answers each question with one address.
func resolver(t testing.TB, ip net.IP) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			for {
				var size [2]byte
				if _, err := io.ReadFull(server, size[:]); err != nil {
					return
				}
				q := make([]byte, int(size[0])<<8|int(size[1]))
				if _, err := io.ReadFull(server, q); err != nil {
					return
				}
				var m dnsmessage.Message
				if err := m.Unpack(q); err != nil {
					return
				}
				m.Response, m.Authoritative, m.Additionals = true, true, nil
				h := dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Type: m.Questions[0].Type, Class: dnsmessage.ClassINET, TTL: 1}
				v4 := ip.To4()
				if strings.Contains(ip.String(), ":") {
					v4 = nil
				}
				switch {
				case h.Type == dnsmessage.TypeA && v4 != nil:
					m.Answers = []dnsmessage.Resource{{Header: h, Body: &dnsmessage.AResource{A: [4]byte(v4)}}}
				case h.Type == dnsmessage.TypeAAAA && v4 == nil:
					m.Answers = []dnsmessage.Resource{{Header: h, Body: &dnsmessage.AAAAResource{AAAA: [16]byte(ip.To16())}}}
				}
				b, err := m.Pack()
				if err != nil {
					return
				}
				server.Write(append([]byte{byte(len(b) >> 8), byte(len(b))}, b...))
			}
		}()
		return client, nil
	}}
}

// RFC 8414: the other place of an issuer's metadata, and an issuer with a path.
func TestDiscoveryByRFC8414(t *testing.T) {
	s := keyPair("ES256", "first")
	mux := http.NewServeMux()
	server := httptest.NewTLSServer(mux)
	defer server.Close()
	mux.Handle("/.well-known/oauth-authorization-server/tenant/a", sendJSON(fmt.Appendf(nil, `{"issuer":%q,"jwks_uri":%q}`, server.URL+"/tenant/a", server.URL+"/keys")))
	mux.Handle("/keys", sendJSON(keySet(s.jwk("k1"))))
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	iss, err := authn.NewIssuer(authn.IssuerOptions{URL: server.URL + "/tenant/a", Audiences: []string{"shop"}, Algorithms: []string{"ES256"},
		Fetcher: authn.NewFetcher(authn.FetcherOptions{RootCAs: pool})})
	if err != nil {
		t.Fatal(err)
	}
	if err := iss.Refresh(t.Context()); err != nil || !iss.Ready() {
		t.Error(err)
	}
}

// C6: nothing that a token names is fetched.
func TestNothingATokenNamesIsFetched(t *testing.T) {
	var asked atomic.Int64
	m, s := keyPair("ES256", "mallory"), keyPair("ES256", "acme")
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		sendJSON(keySet(m.jwk("k1")))(w, r)
	}))
	defer evil.Close()
	p := newProvider(t, keySet(s.jwk("k1")))
	iss := p.issuer(t, "ES256", nil)
	run(t, iss)
	v := verifierOf(t, nil, iss)
	until(t, "the first fetch", exchange.OK, func() exchange.Reason { return verifyNow(v, p.token(s, "k1")) })
	n := time.Now().Unix()
	body := claims("iss", fmt.Sprintf("%q", p.URL), "exp", fmt.Sprint(n+600), "iat", fmt.Sprint(n), "nbf", fmt.Sprint(n))
	for _, kid := range []string{"k1", "k2", evil.URL} {
		tok := m.token(fmt.Sprintf(`{"alg":"ES256","kid":%q,"jku":%q,"x5u":%q}`, kid, evil.URL, evil.URL), body)
		if reason := verifyNow(v, tok); reason != exchange.AuthnSignature && reason != exchange.AuthnKey {
			t.Errorf("kid %q: %s", kid, reason)
		}
	}
	if reason := verifyNow(v, m.token(header("ES256", "k1"), claims("iss", fmt.Sprintf("%q", evil.URL)))); reason != exchange.AuthnIssuer {
		t.Errorf("an issuer of its own: %s", reason)
	}
	if asked.Load() != 0 {
		t.Errorf("the attacker's server was asked %d times", asked.Load())
	}
}
