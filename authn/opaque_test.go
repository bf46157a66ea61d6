package authn_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/authn"
	"github.com/sallyport/sallyport/exchange"
)

// C24: API keys.
func TestC24APIKeys(t *testing.T) {
	make := func() string {
		k, err := authn.NewAPIKey("shop")
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	good, old, off := make(), make(), make()
	if !strings.HasPrefix(good, "shop_") || len(good) < 50 || good == old {
		t.Errorf("keys %q and %q", good, old)
	}
	ring, err := authn.NewKeyRing("keys", []authn.APIKey{
		{ID: "till-7", Hash: authn.HashAPIKey(good), Tenant: "acme", Scopes: []string{"orders:read"}, Roles: []string{"till"}},
		{ID: "till-8", Hash: authn.HashAPIKey(old), Subject: "eight", Expires: now},
		{ID: "till-9", Hash: authn.HashAPIKey(off), Disabled: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	p, reason := ring.Verify([]byte(good), now)
	if reason != exchange.OK || p.Subject != "till-7" || p.Tenant != "acme" || !p.HasScope("orders:read") || !p.HasRole("till") || p.How != authn.ByAPIKey || p.TokenID != "till-7" {
		t.Errorf("%+v, %s", p, reason)
	}
	if p, reason := ring.Verify([]byte(old), now.Add(-time.Second)); reason != exchange.OK || p.Subject != "eight" {
		t.Errorf("a second before its end: %s", reason)
	}
	for name, c := range map[string]struct {
		key  string
		want exchange.Reason
	}{
		"expired": {old, exchange.AuthnExpired}, "disabled": {off, exchange.AuthnAPIKey}, "empty": {"", exchange.AuthnAPIKey},
		"NUL behind": {good + "\x00", exchange.AuthnAPIKey}, "space behind": {good + " ", exchange.AuthnAPIKey}, "space before": {" " + good, exchange.AuthnAPIKey},
		"other letters": {strings.ToLower(good), exchange.AuthnAPIKey}, "cut": {good[:len(good)-1], exchange.AuthnAPIKey}, "without prefix": {good[5:], exchange.AuthnAPIKey},
		"its hash": {authn.HashAPIKey(good), exchange.AuthnAPIKey}, "its id": {"till-7", exchange.AuthnAPIKey}, "long": {strings.Repeat("a", 10000), exchange.AuthnAPIKey},
		"unknown": {make(), exchange.AuthnAPIKey}, "twice": {good + "," + good, exchange.AuthnAPIKey},
	} {
		if p, reason := ring.Verify([]byte(c.key), now); p != nil || reason != c.want {
			t.Errorf("%s: %s, want %s", name, reason, c.want)
		}
	}
	key := []byte(good)
	if n := testing.AllocsPerRun(100, func() { ring.Verify(key, now) }); n > 0 {
		t.Errorf("a look-up allocates %v times", n)
	}
	_, err = authn.NewKeyRing("keys", []authn.APIKey{{ID: "a", Hash: "x"}, {ID: "b", Hash: authn.HashAPIKey(good)}, {ID: "b", Hash: authn.HashAPIKey(old)}, {ID: "c", Hash: authn.HashAPIKey(good)}, {}})
	if err == nil || strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("faults of a list: %v", err)
	}
	for _, prefix := range []string{"a-b", "a b", "é", strings.Repeat("a", 33)} {
		if _, err := authn.NewAPIKey(prefix); err == nil {
			t.Errorf("prefix %q", prefix)
		}
	}
}

func TestRevocation(t *testing.T) {
	s := keyPair("ES256", "acme")
	list := &authn.RevocationList{}
	v, err := authn.NewVerifier(authn.VerifierOptions{Issuers: []*authn.Issuer{issuerFor(t, s, nil)}, Cache: authn.NewCache(authn.CacheOptions{}), Revoked: list})
	if err != nil {
		t.Fatal(err)
	}
	tok := s.token(header("ES256", "k1"), claims())
	if _, reason := verify(v, tok); reason != exchange.OK {
		t.Fatal(reason)
	}
	for name, c := range map[string]struct {
		r    authn.Revocation
		want exchange.Reason
	}{
		"its id":                      {authn.Revocation{TokenID: "t-1"}, exchange.AuthnRevoked},
		"another id":                  {authn.Revocation{TokenID: "t-2"}, exchange.OK},
		"its subject":                 {authn.Revocation{Subject: "alice"}, exchange.AuthnRevoked},
		"its subject at the issuer":   {authn.Revocation{Subject: "alice", Issuer: issuerURL}, exchange.AuthnRevoked},
		"its subject at another":      {authn.Revocation{Subject: "alice", Issuer: "https://id.other.example"}, exchange.OK},
		"its client":                  {authn.Revocation{Client: "web"}, exchange.AuthnRevoked},
		"its subject, another client": {authn.Revocation{Subject: "alice", Client: "app"}, exchange.OK},
		"issued before":               {authn.Revocation{Subject: "alice", Before: now}, exchange.AuthnRevoked},
		"issued after":                {authn.Revocation{Subject: "alice", Before: now.Add(-time.Hour)}, exchange.OK},
		"issued just then":            {authn.Revocation{Subject: "alice", Before: now.Add(-time.Minute)}, exchange.OK},
		"forgotten":                   {authn.Revocation{Subject: "alice", Until: now}, exchange.OK},
	} {
		list.Set(nil)
		if !list.Revoke(c.r, now) {
			t.Errorf("%s: not taken", name)
		}
		if _, reason := verify(v, tok); reason != c.want {
			t.Errorf("%s: %s, want %s", name, reason, c.want)
		}
		list.Set(nil)
		if _, reason := verify(v, tok); reason != exchange.OK {
			t.Errorf("%s: after it was taken back: %s", name, reason)
		}
	}
	if list.Revoke(authn.Revocation{Issuer: issuerURL}, now) {
		t.Error("a revocation of everything")
	}
	list.Revoke(authn.Revocation{TokenID: "x", Until: now.Add(time.Second)}, now)
	list.Revoke(authn.Revocation{TokenID: "y"}, now.Add(time.Minute))
	if l := list.List(); len(l) != 1 || l[0].TokenID != "y" {
		t.Errorf("what is over is kept: %+v", l)
	}
}

// An oracle is an introspection endpoint of which the answer can be changed.
type oracle struct {
	*httptest.Server
	asked  atomic.Int64
	answer atomic.Pointer[http.HandlerFunc]
}

func (o *oracle) set(h http.HandlerFunc) { o.answer.Store(&h) }

func newOracle(t testing.TB) *oracle {
	o := &oracle{}
	o.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.asked.Add(1)
		(*o.answer.Load())(w, r)
	}))
	t.Cleanup(o.Close)
	return o
}

func (o *oracle) verifier(t testing.TB, change func(*authn.IntrospectorOptions)) *authn.Verifier {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(o.Certificate())
	opts := authn.IntrospectorOptions{Name: "acme", URL: o.URL + "/introspect", ClientID: "sally port", ClientSecret: "a:b&c", Audiences: []string{"shop"}, Tenant: "/org_id",
		Fetcher: authn.NewFetcher(authn.FetcherOptions{RootCAs: pool})}
	if change != nil {
		change(&opts)
	}
	in, err := authn.NewIntrospector(opts)
	if err != nil {
		t.Fatal(err)
	}
	v, err := authn.NewVerifier(authn.VerifierOptions{Opaque: in})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func activeAnswer(more string) []byte {
	return []byte(`{"active":true,"sub":"alice","client_id":"web","aud":"shop","scope":"a b","org_id":"acme","jti":"j","exp":` + fmt.Sprint(now.Unix()+3600) + more + `}`)
}

// C19: introspection.
func TestC19Introspection(t *testing.T) {
	o := newOracle(t)
	o.set(func(w http.ResponseWriter, r *http.Request) {
		id, secret, ok := r.BasicAuth()
		if r.Method != http.MethodPost || r.FormValue("token") != "opaque-1" || !ok || id != "sally+port" || secret != "a%3Ab%26c" || r.URL.RawQuery != "" {
			t.Errorf("asked with %s %s %v %q %q", r.Method, r.URL, r.Form, id, secret)
		}
		sendJSON(activeAnswer(""))(w, r)
	})
	v := o.verifier(t, nil)
	for range 3 {
		p, reason := verify(v, "opaque-1")
		if reason != exchange.OK || p.Subject != "alice" || p.Client != "web" || p.Tenant != "acme" || !p.HasScope("b") || p.TokenID != "j" || p.How != authn.ByIntrospection {
			t.Fatalf("%+v, %s", p, reason)
		}
	}
	if n := o.asked.Load(); n != 1 {
		t.Errorf("asked %d times about one token", n)
	}
	send := func(s string) http.HandlerFunc { return sendJSON([]byte(s)) }
	n := func(d int64) string { return fmt.Sprint(now.Unix() + d) }
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   exchange.Reason
	}{
		"not active":          {send(`{"active":false}`), exchange.AuthnInactive},
		"not active, details": {send(`{"active":false,"sub":"alice","aud":"shop"}`), exchange.AuthnInactive},
		"active is a string":  {send(`{"active":"true","sub":"alice","aud":"shop"}`), exchange.AuthnUnavailable},
		"active is a number":  {send(`{"active":1}`), exchange.AuthnUnavailable},
		"active missing":      {send(`{"sub":"alice","aud":"shop"}`), exchange.AuthnUnavailable},
		"active twice":        {send(`{"active":false,"active":true,"sub":"alice","aud":"shop"}`), exchange.AuthnUnavailable},
		"empty":               {send(``), exchange.AuthnUnavailable},
		"a list":              {send(`[true]`), exchange.AuthnUnavailable},
		"HTML":                {func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) }, exchange.AuthnUnavailable},
		"500":                 {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, exchange.AuthnUnavailable},
		"401":                 {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, exchange.AuthnUnavailable},
		"a redirect":          {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, o.URL, http.StatusTemporaryRedirect) }, exchange.AuthnUnavailable},
		"hangs up":            {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, exchange.AuthnUnavailable},
		"2 MB":                {send(`{"active":true,"x":"` + strings.Repeat("a", 2<<20) + `"}`), exchange.AuthnUnavailable},
		"another audience":    {send(`{"active":true,"sub":"alice","aud":"other"}`), exchange.AuthnAudience},
		"no audience":         {send(`{"active":true,"sub":"alice"}`), exchange.AuthnAudience},
		"expired":             {send(`{"active":true,"sub":"alice","aud":"shop","exp":` + n(-3600) + `}`), exchange.AuthnExpired},
		"not yet":             {send(`{"active":true,"sub":"alice","aud":"shop","nbf":` + n(3600) + `}`), exchange.AuthnNotYet},
		"exp is a string":     {send(`{"active":true,"sub":"alice","aud":"shop","exp":"1"}`), exchange.AuthnClaims},
		"nobody":              {send(`{"active":true,"aud":"shop"}`), exchange.AuthnClaims},
		"a client alone":      {send(`{"active":true,"client_id":"web","aud":"shop"}`), exchange.OK},
		"no exp":              {send(`{"active":true,"sub":"alice","aud":["shop"]}`), exchange.OK},
		"a bound token":       {send(`{"active":true,"sub":"alice","aud":"shop","cnf":{"jkt":"` + strings.Repeat("a", 43) + `"}}`), exchange.AuthnBinding},
	} {
		o.set(c.answer)
		if p, reason := verify(o.verifier(t, nil), "opaque-2"); reason != c.want || (p == nil) == (c.want == exchange.OK) {
			t.Errorf("%s: %s, want %s", name, reason, c.want)
		}
	}
	o.set(send(string(activeAnswer(`,"iss":"https://other.example"`))))
	if _, reason := verify(o.verifier(t, func(o *authn.IntrospectorOptions) { o.Issuer = issuerURL }), "opaque-3"); reason != exchange.AuthnIssuer {
		t.Errorf("another issuer: %s", reason)
	}
	// A forged JWT is not asked about.
	before := o.asked.Load()
	s := keyPair("ES256", "acme")
	in := o.verifier(t, nil)
	if _, reason := verify(in, s.token(header("ES256", "k1"), claims())); reason == exchange.OK {
		t.Error("a JWT was taken for an opaque token")
	}
	if o.asked.Load() != before {
		t.Error("a JWT was asked about")
	}
	for _, c := range []authn.IntrospectorOptions{{}, {URL: o.URL}, {URL: "http://id.example/i", Audiences: []string{"a"}}, {URL: o.URL, Audiences: []string{"a"}, TTL: time.Hour},
		{URL: o.URL, Audiences: []string{"a"}, Timeout: time.Minute}, {URL: o.URL, Audiences: []string{"a"}, Rate: -1}, {URL: o.URL, Audiences: []string{"a"}, Roles: "x"}} {
		if _, err := authn.NewIntrospector(c); err == nil {
			t.Errorf("NewIntrospector(%+v)", c)
		}
	}
}

// C20: an answer is believed no longer than TTL.
func TestC20RevokedAtTheIssuer(t *testing.T) {
	o := newOracle(t)
	o.set(sendJSON(activeAnswer("")))
	v := o.verifier(t, func(o *authn.IntrospectorOptions) { o.TTL = 30 * time.Second })
	at := func(d time.Duration) exchange.Reason {
		_, reason := v.Verify(context.Background(), []byte("opaque"), now.Add(d))
		return reason
	}
	if reason := at(0); reason != exchange.OK {
		t.Fatal(reason)
	}
	o.set(sendJSON([]byte(`{"active":false}`)))
	if reason := at(29 * time.Second); reason != exchange.OK || o.asked.Load() != 1 {
		t.Errorf("within TTL: %s", reason)
	}
	if reason := at(31 * time.Second); reason != exchange.AuthnInactive {
		t.Errorf("after TTL: %s", reason)
	}
	// Not active is believed for 10 s.
	o.set(sendJSON(activeAnswer("")))
	if reason := at(40 * time.Second); reason != exchange.AuthnInactive {
		t.Errorf("9 s after: %s", reason)
	}
	if reason := at(42 * time.Second); reason != exchange.OK {
		t.Errorf("11 s after: %s", reason)
	}
	// What is remembered passes in an outage, for TTL; then it is 503, not 401.
	o.set(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	if reason := at(71 * time.Second); reason != exchange.OK {
		t.Errorf("in the outage: %s", reason)
	}
	if reason := at(73 * time.Second); reason != exchange.AuthnUnavailable {
		t.Errorf("in the outage, later: %s", reason)
	}
}

func TestManyAskOnce(t *testing.T) {
	o := newOracle(t)
	asked, answer := make(chan struct{}, 64), make(chan struct{})
	o.set(func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-answer
		sendJSON(activeAnswer(""))(w, r)
	})
	v := o.verifier(t, nil)
	var wg sync.WaitGroup
	ask := func() {
		if _, reason := verify(v, "opaque"); reason != exchange.OK {
			t.Error(reason)
		}
	}
	wg.Go(ask)
	<-asked
	for range 30 {
		wg.Go(ask)
	}
	// One whose caller leaves does not wait.
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, reason := v.Verify(gone, []byte("opaque"), now); reason != exchange.AuthnUnavailable {
		t.Errorf("a caller that left: %s", reason)
	}
	close(answer)
	wg.Wait()
	if n := o.asked.Load(); n != 1 {
		t.Errorf("asked %d times about one token", n)
	}
}

func TestMadeUpTokensDoNotBringTheIssuerDown(t *testing.T) {
	o := newOracle(t)
	o.set(sendJSON(activeAnswer("")))
	v := o.verifier(t, func(o *authn.IntrospectorOptions) { o.Rate, o.Tokens = 20, 10 })
	if _, reason := verify(v, "honest"); reason != exchange.OK {
		t.Fatal(reason)
	}
	o.set(sendJSON([]byte(`{"active":false}`)))
	for i := range 1000 {
		if _, reason := verify(v, fmt.Sprint("made-up-", i)); reason != exchange.AuthnInactive && reason != exchange.AuthnUnavailable {
			t.Fatal(reason)
		}
	}
	if n := o.asked.Load(); n > 21 {
		t.Errorf("asked %d times in a second, want 20 at most", n)
	}
	if _, reason := verify(v, "honest"); reason != exchange.OK {
		t.Errorf("an honest token was pushed out: %s", reason)
	}
	// A second later there is room again.
	if _, reason := v.Verify(t.Context(), []byte("made-up"), now.Add(time.Second)); reason != exchange.AuthnInactive {
		t.Errorf("a second later: %s", reason)
	}
}

func TestIssuerThatFailsIsLeftAlone(t *testing.T) {
	o := newOracle(t)
	o.set(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	v := o.verifier(t, nil)
	i := 0
	ask := func(d time.Duration) exchange.Reason {
		i++
		_, reason := v.Verify(context.Background(), fmt.Appendf(nil, "opaque-%d", i), now.Add(d))
		return reason
	}
	for range 50 {
		if reason := ask(0); reason != exchange.AuthnUnavailable {
			t.Fatal(reason)
		}
	}
	if n := o.asked.Load(); n != 5 {
		t.Errorf("asked %d times, want 5 and no more", n)
	}
	// After a second one asks whether it is back, and then one after two.
	for _, c := range []struct {
		after time.Duration
		asked int64
	}{{1100 * time.Millisecond, 6}, {2 * time.Second, 6}, {3200 * time.Millisecond, 7}, {7 * time.Second, 7}} {
		ask(c.after)
		ask(c.after)
		if n := o.asked.Load(); n != c.asked {
			t.Errorf("%v later: asked %d times, want %d", c.after, n, c.asked)
		}
	}
	o.set(sendJSON(activeAnswer("")))
	for range 3 {
		if reason := ask(8 * time.Second); reason != exchange.OK {
			t.Errorf("when it is back: %s", reason)
		}
	}
}

func FuzzIntrospection(f *testing.F) {
	for _, s := range []string{`{"active":true,"sub":"a","aud":"shop"}`, `{"active":false}`, `{"active":"true"}`, `{}`, `{"active":true,"active":false}`} {
		f.Add([]byte(s))
	}
	var doc atomic.Pointer[[]byte]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { sendJSON(*doc.Load())(w, r) }))
	f.Cleanup(server.Close)
	f.Fuzz(func(t *testing.T, b []byte) {
		doc.Store(&b)
		in, err := authn.NewIntrospector(authn.IntrospectorOptions{URL: server.URL, Audiences: []string{"shop"}})
		if err != nil {
			t.Fatal(err)
		}
		v, err := authn.NewVerifier(authn.VerifierOptions{Opaque: in})
		if err != nil {
			t.Fatal(err)
		}
		p, reason := verify(v, "opaque")
		if (p != nil) != (reason == exchange.OK) || reason == exchange.Undecided {
			t.Fatalf("%v, %s", p, reason)
		}
		if p != nil && (!strings.Contains(string(b), "true") || p.Subject == "" || len(p.Audience) == 0) {
			t.Errorf("%q gives %+v", b, p)
		}
	})
}

func BenchmarkIntrospectionCached(b *testing.B) {
	o := newOracle(b)
	o.set(sendJSON(activeAnswer("")))
	v := o.verifier(b, nil)
	tok, ctx := []byte("2YotnFZFEjr1zCsicMWpAA"), b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, reason := v.Verify(ctx, tok, now); reason != exchange.OK {
			b.Fatal(reason)
		}
	}
}

func BenchmarkAPIKey(b *testing.B) {
	key, err := authn.NewAPIKey("shop")
	if err != nil {
		b.Fatal(err)
	}
	ring, err := authn.NewKeyRing("keys", []authn.APIKey{{ID: "a", Hash: authn.HashAPIKey(key)}})
	if err != nil {
		b.Fatal(err)
	}
	k := []byte(key)
	b.ReportAllocs()
	for b.Loop() {
		ring.Verify(k, now)
	}
}
