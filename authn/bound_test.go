package authn_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"crypto"

	"github.com/sallyport/sallyport/authn"
	"github.com/sallyport/sallyport/exchange"
)

func thumb(s signer) string {
	k := jose.JSONWebKey{Key: s.public()}
	sum, err := k.Thumbprint(crypto.SHA256)
	if err != nil {
		panic(err)
	}
	return b64b(sum)
}

// C22: a token that is bound to a certificate.
func TestC22CertificateBoundTokens(t *testing.T) {
	s := keyPair("ES256", "acme")
	v := verifierOf(t, authn.NewCache(authn.CacheOptions{}), issuerFor(t, s, nil))
	mine, its := &x509.Certificate{Raw: []byte("my certificate")}, &x509.Certificate{Raw: []byte("another")}
	sum := sha256.Sum256(mine.Raw)
	tok := []byte(s.token(header("ES256", "k1"), claims("cnf", `{"x5t#S256":"`+b64b(sum[:])+`"}`)))
	state := func(c ...*x509.Certificate) *authn.Request {
		return &authn.Request{TLS: &tls.ConnectionState{PeerCertificates: c}}
	}
	for range 2 { // verified, and remembered
		for name, c := range map[string]struct {
			r    *authn.Request
			want exchange.Reason
		}{
			"its certificate":   {state(mine), exchange.OK},
			"another":           {state(its), exchange.AuthnBinding},
			"none":              {state(), exchange.AuthnBinding},
			"cleartext":         {&authn.Request{}, exchange.AuthnBinding},
			"the second in row": {state(its, mine), exchange.AuthnBinding},
		} {
			if _, reason := v.VerifyBound(t.Context(), "bearer", tok, c.r, now); reason != c.want {
				t.Errorf("%s: %s, want %s", name, reason, c.want)
			}
		}
		if _, reason := v.Verify(t.Context(), tok, now); reason != exchange.AuthnBinding {
			t.Errorf("as a bearer token: %s", reason)
		}
	}
	for _, cnf := range []string{`{}`, `null`, `"x"`, `{"x5t#S256":""}`, `{"x5t#S256":1}`, `{"kid":"` + strings.Repeat("a", 43) + `"}`, `{"jwk":{}}`,
		`{"x5t#S256":"` + b64b(sum[:]) + `","x":"` + b64b(sum[:]) + `"}`, `[]`} {
		tok := s.token(header("ES256", "k1"), claims("cnf", cnf))
		if _, reason := v.VerifyBound(t.Context(), "bearer", []byte(tok), state(mine), now); reason != exchange.AuthnClaims {
			t.Errorf("cnf %s: %s", cnf, reason)
		}
	}
}

func dpopFor(t testing.TB, o authn.DPoPOptions) *authn.DPoP {
	d, err := authn.NewDPoP(o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

var proofs atomic.Int64

// proof makes a DPoP proof; more changes its claims.
func proof(s signer, token string, more ...string) string {
	ath := sha256.Sum256([]byte(token))
	names := []string{"htm", "htu", "iat", "jti", "ath"}
	values := map[string]string{"htm": `"GET"`, "htu": `"https://api.example.com/orders/1"`, "iat": fmt.Sprint(now.Unix()), "jti": fmt.Sprintf(`"p-%d"`, proofs.Add(1)),
		"ath": `"` + b64b(ath[:]) + `"`}
	for i := 0; i < len(more); i += 2 {
		if _, ok := values[more[i]]; !ok {
			names = append(names, more[i])
		}
		values[more[i]] = more[i+1]
	}
	body := "{"
	for _, n := range names {
		if values[n] != "" {
			if len(body) > 1 {
				body += ","
			}
			body += fmt.Sprintf("%q:%s", n, values[n])
		}
	}
	return s.token(proofHeader(s, s.jwk("")), body+"}")
}

func proofHeader(s signer, jwk string) string {
	return `{"alg":"` + s.alg + `","typ":"dpop+jwt","jwk":` + strings.Replace(jwk, `"kid":"",`, "", 1) + `}`
}

// RFC 9449, and C22: proofs of possession.
func TestDPoP(t *testing.T) {
	s, holder, thief := keyPair("ES256", "acme"), keyPair("ES256", "holder"), keyPair("ES256", "thief")
	v, err := authn.NewVerifier(authn.VerifierOptions{Issuers: []*authn.Issuer{issuerFor(t, s, nil)}, Cache: authn.NewCache(authn.CacheOptions{}), DPoP: dpopFor(t, authn.DPoPOptions{})})
	if err != nil {
		t.Fatal(err)
	}
	tok := s.token(header("ES256", "k1"), claims("cnf", `{"jkt":"`+thumb(holder)+`"}`))
	plain := s.token(header("ES256", "k1"), claims())
	ask := func(scheme, token, dpop string) exchange.Reason {
		r := &authn.Request{Method: "GET", Scheme: "https", Host: []byte("API.example.com:443"), Path: []byte("/orders/1")}
		if dpop != "" {
			r.DPoP = []byte(dpop)
		}
		_, reason := v.VerifyBound(context.Background(), scheme, []byte(token), r, now)
		return reason
	}
	n := func(d int64) string { return fmt.Sprint(now.Unix() + d) }
	secret := signer{"HS256", []byte(strings.Repeat("k", 32))}
	used := proof(holder, tok)
	for _, c := range []struct {
		name, scheme, token, proof string
		want                       exchange.Reason
	}{
		{"good", "dpop", tok, used, exchange.OK},
		{"again", "dpop", tok, used, exchange.AuthnReplay},
		{"the same jti, another proof", "dpop", tok, proof(holder, tok, "jti", fmt.Sprintf(`"p-%d"`, proofs.Load())), exchange.AuthnReplay},
		{"no proof", "dpop", tok, "", exchange.AuthnBinding},
		{"as a bearer token", "bearer", tok, proof(holder, tok), exchange.AuthnBinding},
		{"a bearer token as DPoP", "dpop", plain, proof(holder, plain), exchange.AuthnBinding},
		{"a bearer token", "bearer", plain, "", exchange.OK},
		{"another key", "dpop", tok, proof(thief, tok), exchange.AuthnBinding},
		{"the key of the holder, signed by another", "dpop", tok, thief.token(proofHeader(holder, holder.jwk("")), `{}`), exchange.AuthnSignature},
		{"another method", "dpop", tok, proof(holder, tok, "htm", `"POST"`), exchange.AuthnBinding},
		{"the method in small letters", "dpop", tok, proof(holder, tok, "htm", `"get"`), exchange.AuthnBinding},
		{"another path", "dpop", tok, proof(holder, tok, "htu", `"https://api.example.com/orders/2"`), exchange.AuthnBinding},
		{"another host", "dpop", tok, proof(holder, tok, "htu", `"https://evil.example/orders/1"`), exchange.AuthnBinding},
		{"another port", "dpop", tok, proof(holder, tok, "htu", `"https://api.example.com:444/orders/1"`), exchange.AuthnBinding},
		{"http", "dpop", tok, proof(holder, tok, "htu", `"http://api.example.com/orders/1"`), exchange.AuthnBinding},
		{"a user in the URL", "dpop", tok, proof(holder, tok, "htu", `"https://a@api.example.com/orders/1"`), exchange.AuthnBinding},
		{"the URL with a query", "dpop", tok, proof(holder, tok, "htu", `"https://api.example.com/orders/1?x=1#y"`), exchange.OK},
		{"the URL in other letters", "dpop", tok, proof(holder, tok, "htu", `"HTTPS://Api.Example.COM:443/orders/1"`), exchange.OK},
		{"htu is no string", "dpop", tok, proof(holder, tok, "htu", `1`), exchange.AuthnBinding},
		{"htm missing", "dpop", tok, proof(holder, tok, "htm", ""), exchange.AuthnBinding},
		{"ath missing", "dpop", tok, proof(holder, tok, "ath", ""), exchange.AuthnBinding},
		{"ath of another token", "dpop", tok, proof(holder, plain), exchange.AuthnBinding},
		{"iat missing", "dpop", tok, proof(holder, tok, "iat", ""), exchange.AuthnClaims},
		{"iat is a string", "dpop", tok, proof(holder, tok, "iat", `"1"`), exchange.AuthnClaims},
		{"iat at the edge", "dpop", tok, proof(holder, tok, "iat", n(-60)), exchange.OK},
		{"iat too old", "dpop", tok, proof(holder, tok, "iat", n(-61)), exchange.AuthnExpired},
		{"iat ahead at the edge", "dpop", tok, proof(holder, tok, "iat", n(5)), exchange.OK},
		{"iat ahead", "dpop", tok, proof(holder, tok, "iat", n(6)), exchange.AuthnNotYet},
		{"jti missing", "dpop", tok, proof(holder, tok, "jti", ""), exchange.AuthnClaims},
		{"jti empty", "dpop", tok, proof(holder, tok, "jti", `""`), exchange.AuthnClaims},
		{"jti too long", "dpop", tok, proof(holder, tok, "jti", `"`+strings.Repeat("j", 2000)+`"`), exchange.AuthnClaims},
		{"two jti", "dpop", tok, proof(holder, tok, "jti", `"a","jti":"b"`), exchange.AuthnMalformed},
		{"typ missing", "dpop", tok, holder.token(`{"alg":"ES256","jwk":`+holder.jwk("x")+`}`, `{}`), exchange.AuthnType},
		{"typ JWT", "dpop", tok, holder.token(`{"alg":"ES256","typ":"JWT","jwk":`+holder.jwk("x")+`}`, `{}`), exchange.AuthnType},
		{"none", "dpop", tok, join(`{"alg":"none","typ":"dpop+jwt","jwk":`+holder.jwk("x")+`}`, `{}`) + ".", exchange.AuthnAlgorithm},
		{"a secret", "dpop", tok, secret.token(`{"alg":"HS256","typ":"dpop+jwt","jwk":{"kty":"oct","k":"`+b64(strings.Repeat("k", 32))+`"}}`, `{}`), exchange.AuthnAlgorithm},
		{"no key", "dpop", tok, holder.token(`{"alg":"ES256","typ":"dpop+jwt"}`, `{}`), exchange.AuthnMalformed},
		{"the private key", "dpop", tok, holder.token(`{"alg":"ES256","typ":"dpop+jwt","jwk":`+strings.TrimSuffix(holder.jwk("x"), "}")+`,"d":"AA"}}`, `{}`), exchange.AuthnMalformed},
		{"a key of another kind", "dpop", tok, holder.token(`{"alg":"ES256","typ":"dpop+jwt","jwk":`+keyPair("EdDSA", "holder").jwk("x")+`}`, `{}`), exchange.AuthnMalformed},
		{"no JWT", "dpop", tok, "x", exchange.AuthnMalformed},
		{"two proofs in one", "dpop", tok, used + "," + used, exchange.AuthnMalformed},
	} {
		if got := ask(c.scheme, c.token, c.proof); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if _, reason := verify(v, tok); reason != exchange.AuthnBinding {
		t.Errorf("Verify takes a bound token: %s", reason)
	}
	// Without a checker nothing is proven.
	bare := verifierOf(t, nil, issuerFor(t, s, nil))
	if _, reason := bare.VerifyBound(t.Context(), "dpop", []byte(tok), &authn.Request{DPoP: []byte(proof(holder, tok))}, now); reason != exchange.AuthnBinding {
		t.Errorf("without a checker: %s", reason)
	}
}

func TestProofsServeOnce(t *testing.T) {
	s, holder := keyPair("ES256", "acme"), keyPair("EdDSA", "holder")
	tok := s.token(header("ES256", "k1"), claims("cnf", `{"jkt":"`+thumb(holder)+`"}`, "exp", fmt.Sprint(now.Unix()+3000)))
	open := func(o authn.DPoPOptions) func(dpop string, at time.Time) exchange.Reason {
		v, err := authn.NewVerifier(authn.VerifierOptions{Issuers: []*authn.Issuer{issuerFor(t, s, nil)}, DPoP: dpopFor(t, o), Cache: authn.NewCache(authn.CacheOptions{})})
		if err != nil {
			t.Fatal(err)
		}
		return func(dpop string, at time.Time) exchange.Reason {
			_, reason := v.VerifyBound(context.Background(), "dpop", []byte(tok), &authn.Request{Method: "GET", Scheme: "https", Host: []byte("api.example.com"), Path: []byte("/orders/1"), DPoP: []byte(dpop)}, at)
			return reason
		}
	}
	ask := open(authn.DPoPOptions{})
	// One proof, many at once: one passes.
	one := proof(holder, tok)
	var passed atomic.Int64
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if ask(one, now) == exchange.OK {
				passed.Add(1)
			}
		})
	}
	wg.Wait()
	if passed.Load() != 1 {
		t.Errorf("one proof passed %d times", passed.Load())
	}
	// At no time in its window does it pass again, whatever comes between.
	early := proof(holder, tok, "iat", fmt.Sprint(now.Unix()+5))
	if reason := ask(early, now); reason != exchange.OK {
		t.Fatal(reason)
	}
	for d := range 80 {
		at := now.Add(time.Duration(d) * time.Second)
		if reason := ask(early, at); reason != exchange.AuthnReplay && reason != exchange.AuthnExpired {
			t.Fatalf("%d s later: %s", d, reason)
		}
		ask(proof(holder, tok, "iat", fmt.Sprint(at.Unix())), at)
	}
	// Full, it does not forget, it refuses.
	few := open(authn.DPoPOptions{Proofs: 2})
	for i, want := range []exchange.Reason{exchange.OK, exchange.OK, exchange.AuthnUnavailable} {
		if reason := few(proof(holder, tok), now); reason != want {
			t.Errorf("proof %d of two that are remembered: %s", i, reason)
		}
	}
	if reason := few(proof(holder, tok, "iat", fmt.Sprint(now.Unix()+70)), now.Add(70*time.Second)); reason != exchange.OK {
		t.Errorf("in the next window: %s", reason)
	}
	// Nonces.
	d := dpopFor(t, authn.DPoPOptions{Nonce: true})
	v, err := authn.NewVerifier(authn.VerifierOptions{Issuers: []*authn.Issuer{issuerFor(t, s, nil)}, DPoP: d})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		nonce string
		want  exchange.Reason
	}{
		"none":     {"", exchange.AuthnNonce},
		"now's":    {`"` + d.Nonce(now) + `"`, exchange.OK},
		"the last": {`"` + d.Nonce(now.Add(-time.Minute)) + `"`, exchange.OK},
		"old":      {`"` + d.Nonce(now.Add(-2*time.Minute)) + `"`, exchange.AuthnNonce},
		"another":  {`"` + dpopFor(t, authn.DPoPOptions{}).Nonce(now) + `"`, exchange.AuthnNonce},
		"a number": {`1`, exchange.AuthnNonce},
	} {
		more := []string{"nonce", c.nonce}
		_, reason := v.VerifyBound(t.Context(), "dpop", []byte(tok), &authn.Request{Method: "GET", Scheme: "https", Host: []byte("api.example.com"), Path: []byte("/orders/1"), DPoP: []byte(proof(holder, tok, more...))}, now)
		if reason != c.want {
			t.Errorf("nonce %s: %s, want %s", name, reason, c.want)
		}
	}
	for _, o := range []authn.DPoPOptions{{Algorithms: []string{"HS256"}}, {Algorithms: []string{"none"}}, {Window: time.Hour}, {NonceKey: []byte("short")}} {
		if _, err := authn.NewDPoP(o); err == nil {
			t.Errorf("NewDPoP(%+v)", o)
		}
	}
}

// Nothing proves the key of the holder but what the holder signed for this
// request.
func FuzzDPoP(f *testing.F) {
	s, holder, thief := keyPair("EdDSA", "acme"), keyPair("EdDSA", "holder"), keyPair("EdDSA", "thief")
	v, err := authn.NewVerifier(authn.VerifierOptions{Issuers: []*authn.Issuer{issuerFor(f, s, nil)}, Cache: authn.NewCache(authn.CacheOptions{}), DPoP: dpopFor(f, authn.DPoPOptions{})})
	if err != nil {
		f.Fatal(err)
	}
	tok := s.token(header("EdDSA", "k1"), claims("cnf", `{"jkt":"`+thumb(holder)+`"}`))
	r := authn.Request{Method: "GET", Scheme: "https", Host: []byte("api.example.com"), Path: []byte("/orders/1")}
	r.DPoP = []byte(proof(holder, tok))
	used := string(r.DPoP)
	if _, reason := v.VerifyBound(context.Background(), "dpop", []byte(tok), &r, now); reason != exchange.OK {
		f.Fatal(reason)
	}
	f.Add([]byte(used))
	f.Add([]byte(proof(thief, tok)))
	f.Add([]byte(holder.token(proofHeader(holder, holder.jwk("")), `{"htm":"GET"}`)))
	f.Add([]byte("a.b.c"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := r
		r.DPoP = b
		p, reason := v.VerifyBound(context.Background(), "dpop", []byte(tok), &r, now)
		if p != nil || reason == exchange.OK || reason == exchange.Undecided {
			t.Errorf("%q proves the key: %s", b, reason)
		}
		if string(b) == used && reason != exchange.AuthnReplay {
			t.Errorf("the proof that was used: %s", reason)
		}
	})
}

func BenchmarkDPoP(b *testing.B) {
	s, holder := keyPair("ES256", "acme"), keyPair("ES256", "holder")
	v, err := authn.NewVerifier(authn.VerifierOptions{Issuers: []*authn.Issuer{issuerFor(b, s, nil)}, Cache: authn.NewCache(authn.CacheOptions{}), DPoP: dpopFor(b, authn.DPoPOptions{})})
	if err != nil {
		b.Fatal(err)
	}
	tok := s.token(header("ES256", "k1"), claims("cnf", `{"jkt":"`+thumb(holder)+`"}`))
	r := &authn.Request{Method: "GET", Scheme: "https", Host: []byte("api.example.com"), Path: []byte("/orders/1")}
	var made []string
	b.ReportAllocs()
	for b.Loop() {
		if len(made) == 0 {
			b.StopTimer()
			for range 500 {
				made = append(made, proof(holder, tok))
			}
			b.StartTimer()
		}
		r.DPoP = []byte(made[0])
		made = made[1:]
		if _, reason := v.VerifyBound(b.Context(), "dpop", []byte(tok), r, now); reason != exchange.OK {
			b.Fatal(reason)
		}
	}
}
