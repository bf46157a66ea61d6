package authn_test

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/authn"
	"github.com/sallyport/sallyport/exchange"
)

func TestGoodTokens(t *testing.T) {
	s := keyPair("ES256", "acme")
	v := verifierOf(t, nil, issuerFor(t, s, nil))
	unix := now.Unix()
	n := func(d int64) string { return fmt.Sprint(unix + d) }
	for name, tok := range map[string]string{
		"plain":                         s.token(header("ES256", "k1"), claims()),
		"without kid, one key":          s.token(header("ES256", ""), claims()),
		"without typ":                   s.token(`{"alg":"ES256","kid":"k1"}`, claims()),
		"typ JWT":                       s.token(`{"typ":"JWT","alg":"ES256","kid":"k1"}`, claims()),
		"typ in full, in other letters": s.token(`{"typ":"Application/AT+JWT","alg":"ES256","kid":"k1"}`, claims()),
		"unknown members, jku ignored":  s.token(`{"alg":"ES256","kid":"k1","jku":"https://evil.example/k","x5t":"x","y":{"z":[1]}}`, claims("y", `{"z":[null,true,1.5e3,"é\u00e9\ud83d\ude00"]}`)),
		"white space":                   s.token(" {\t\"alg\" : \"ES256\",\r\n \"kid\":\"k1\" } ", " "+claims()+"\n"),
		"aud is a list":                 s.token(header("ES256", "k1"), claims("aud", `["other","shop"]`)),
		"second audience":               s.token(header("ES256", "k1"), claims("aud", `"shop-admin"`)),
		"C10 exp at the edge of skew":   s.token(header("ES256", "k1"), claims("exp", n(-59))),
		"C10 nbf at the edge of skew":   s.token(header("ES256", "k1"), claims("nbf", n(60))),
		"C10 iat at the edge of skew":   s.token(header("ES256", "k1"), claims("iat", n(60))),
		"nbf missing":                   s.token(header("ES256", "k1"), claims("nbf", "")),
		"a lifetime of just an hour":    s.token(header("ES256", "k1"), claims("exp", n(3540))),
		"jti missing":                   s.token(header("ES256", "k1"), claims("jti", "")),
		"at+jwt with a nonce":           s.token(header("ES256", "k1"), claims("nonce", `"x"`)),
		"Keycloak's access token":       s.token(`{"alg":"ES256","kid":"k1","typ":"JWT"}`, claims("typ", `"Bearer"`)),
		"Cognito's access token":        s.token(`{"alg":"ES256","kid":"k1"}`, claims("token_use", `"access"`)),
	} {
		if _, reason := verify(v, tok); reason != exchange.OK {
			t.Errorf("%s: refused: %s", name, reason)
		}
	}
}

func TestPrincipal(t *testing.T) {
	s := keyPair("ES256", "acme")
	v := verifierOf(t, nil, issuerFor(t, s, func(o *authn.IssuerOptions) { o.Roles = "/realm_access/roles" }))
	p, reason := verify(v, s.token(header("ES256", "k1"), claims("org_id", `"acme"`, "realm_access", `{"roles":["admin","clerk"]}`,
		"limit", `12345678901234567890`, "a/b~c", `"odd"`, "list", `["x","y"]`, "flag", `true`)))
	if reason != exchange.OK {
		t.Fatal(reason)
	}
	type facts struct {
		Subject, Client, Tenant, Issuer, Provider, TokenID, How string
		Scopes, Roles, Audience                                 []string
		Issued, Expires                                         int64
	}
	got := facts{p.Subject, p.Client, p.Tenant, p.Issuer, p.Provider, p.TokenID, p.How.String(), p.Scopes, p.Roles, p.Audience, p.Issued.Unix(), p.Expires.Unix()}
	want := facts{"alice", "web", "acme", issuerURL, "acme", "t-1", "jwt", []string{"orders:read", "orders:write"}, []string{"admin", "clerk"}, []string{"shop"},
		now.Unix() - 60, now.Unix() + 600}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for pointer, want := range map[string]string{"/sub": "alice", "/limit": "12345678901234567890", "/a~1b~0c": "odd", "/list/1": "y", "/realm_access/roles/0": "admin",
		"/flag": "", "/list": "", "/list/2": "", "/list/-": "", "/list/01": "", "/nope": "", "": "", "sub": "", "/sub/x": ""} {
		if got, ok := p.Claim(pointer); got != want || ok != (want != "") {
			t.Errorf("Claim(%q) = %q, %v", pointer, got, ok)
		}
	}
	// C21: scopes match whole.
	for scope, want := range map[string]bool{"orders:read": true, "orders:rea": false, "orders:readx": false, "Orders:read": false, "orders": false, "": false, "orders:read orders:write": false} {
		if p.HasScope(scope) != want {
			t.Errorf("HasScope(%q) = %v", scope, !want)
		}
	}
	if !p.HasRole("clerk") || p.HasRole("root") {
		t.Error("roles")
	}
}

func TestScopesInAllTheirForms(t *testing.T) {
	s := keyPair("ES256", "acme")
	v := verifierOf(t, nil, issuerFor(t, s, nil))
	for _, c := range []struct {
		more []string
		want []string
	}{
		{[]string{"scope", `"a b"`}, []string{"a", "b"}},
		{[]string{"scope", `["a","b"]`}, []string{"a", "b"}},
		{[]string{"scope", `" a  b "`}, []string{"a", "b"}},
		{[]string{"scope", `["a b"]`}, []string{"a b"}},
		{[]string{"scope", `""`}, []string{}},
		{[]string{"scope", "", "scp", `["a"]`}, []string{"a"}},
		{[]string{"scope", "", "scp", `"a b"`}, []string{"a", "b"}},
		{[]string{"scope", ""}, nil},
	} {
		p, reason := verify(v, s.token(header("ES256", "k1"), claims(c.more...)))
		if reason != exchange.OK || !slices.Equal(p.Scopes, c.want) {
			t.Errorf("%q: %v, %s; want %v", c.more, p, reason, c.want)
		}
	}
}

func TestOptionsOfIssuersAreChecked(t *testing.T) {
	keys := keySet(keyPair("ES256", "acme").jwk("k1"))
	good := func() authn.IssuerOptions {
		return authn.IssuerOptions{URL: issuerURL, Audiences: []string{"a"}, Algorithms: []string{"ES256"}, Keys: keys}
	}
	if _, err := authn.NewIssuer(good()); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(o *authn.IssuerOptions)
		want   string
	}{
		"no issuer":         {func(o *authn.IssuerOptions) { o.URL = "" }, "issuer: missing"},
		"no audience":       {func(o *authn.IssuerOptions) { o.Audiences = nil }, "audiences: missing"},
		"empty audience":    {func(o *authn.IssuerOptions) { o.Audiences = []string{""} }, "an audience is empty"},
		"any and others":    {func(o *authn.IssuerOptions) { o.Audiences = []string{"a", "any"} }, "any stands beside"},
		"no algorithm":      {func(o *authn.IssuerOptions) { o.Algorithms = nil }, "algorithms: missing"},
		"none":              {func(o *authn.IssuerOptions) { o.Algorithms = []string{"none"} }, "not supported"},
		"unknown":           {func(o *authn.IssuerOptions) { o.Algorithms = []string{"es256"} }, "not supported"},
		"any and ES256":     {func(o *authn.IssuerOptions) { o.Algorithms = []string{"ES256", "any"} }, "not supported"},
		"HS without secret": {func(o *authn.IssuerOptions) { o.Algorithms = []string{"HS256"} }, "needs a secret"},
		"HS, short secret": {func(o *authn.IssuerOptions) {
			o.Algorithms, o.Secret, o.Keys = []string{"HS256"}, make([]byte, 31), nil
		}, "32 bytes"},
		"HS512, short secret": {func(o *authn.IssuerOptions) {
			o.Algorithms, o.Secret, o.Keys = []string{"HS512"}, make([]byte, 63), nil
		}, "64 bytes"},
		"HS and ES":          {func(o *authn.IssuerOptions) { o.Algorithms, o.Secret = []string{"HS256", "ES256"}, make([]byte, 32) }, "go with no others"},
		"HS and a key set":   {func(o *authn.IssuerOptions) { o.Algorithms, o.Secret = []string{"HS256"}, make([]byte, 32) }, "goes with no key set"},
		"secret for nothing": {func(o *authn.IssuerOptions) { o.Secret, o.Keys = make([]byte, 32), nil }, "no algorithm uses it"},
		"skew":               {func(o *authn.IssuerOptions) { o.Skew = 6 * time.Minute }, "more than 5m"},
		"lifetime":           {func(o *authn.IssuerOptions) { o.MaxLifetime = time.Millisecond }, "max_lifetime"},
		"pointer":            {func(o *authn.IssuerOptions) { o.Tenant = "org_id" }, "begin it with /"},
		"http":               {func(o *authn.IssuerOptions) { o.URL, o.Keys = "http://id.acme.example", nil }, "not https"},
		"http jwks":          {func(o *authn.IssuerOptions) { o.JWKS, o.Keys = "http://id.acme.example/jwks", nil }, "not https"},
		"user in URL":        {func(o *authn.IssuerOptions) { o.URL, o.Keys = "https://a:b@id.acme.example", nil }, "no user"},
		"query":              {func(o *authn.IssuerOptions) { o.URL, o.Keys = "https://id.acme.example?x=1", nil }, "no query"},
		"no URL, no keys":    {func(o *authn.IssuerOptions) { o.URL, o.Keys = "acme", nil }, "give jwks"},
		"keys and jwks":      {func(o *authn.IssuerOptions) { o.JWKS = "https://id.acme.example/jwks" }, "not both"},
		"keys that are none": {func(o *authn.IssuerOptions) { o.Keys = []byte(`{}`) }, "no array keys"},
	} {
		o := good()
		c.change(&o)
		_, err := authn.NewIssuer(o)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	// All faults come at once.
	_, err := authn.NewIssuer(authn.IssuerOptions{URL: issuerURL, Skew: time.Hour})
	if err == nil || strings.Count(err.Error(), "\n") < 2 {
		t.Errorf("faults come one by one: %v", err)
	}
	iss, err := authn.NewIssuer(good())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := authn.NewVerifier(authn.VerifierOptions{}); err == nil {
		t.Error("a verifier that trusts nobody")
	}
	if _, err := authn.NewVerifier(authn.VerifierOptions{Issuers: []*authn.Issuer{iss, iss}}); err == nil {
		t.Error("two issuers of one URL")
	}
	var zero authn.Verifier
	if p, reason := zero.Verify(t.Context(), []byte("a.b.c"), now); p != nil || reason != exchange.AuthnUnsupported {
		t.Errorf("the zero Verifier: %v, %s", p, reason)
	}
}

func TestWaivers(t *testing.T) {
	es, rs := keyPair("ES256", "acme"), keyPair("RS256", "acme")
	v := verifierOf(t, nil, issuerFor(t, es, func(o *authn.IssuerOptions) {
		o.Algorithms, o.Audiences, o.Keys = []string{authn.Any}, []string{authn.Any}, keySet(es.jwk("k1"), rs.jwk("k2"))
	}))
	for name, tok := range map[string]string{
		"ES256":        es.token(header("ES256", "k1"), claims()),
		"RS256":        rs.token(header("RS256", "k2"), claims()),
		"another aud":  es.token(header("ES256", "k1"), claims("aud", `"other"`)),
		"no aud":       es.token(header("ES256", "k1"), claims("aud", "")),
		"PS256, RSA":   signer{"PS256", rs.key}.token(header("PS256", "k2"), claims()),
		"without kids": rs.token(header("RS256", ""), claims()),
	} {
		if _, reason := verify(v, tok); reason != exchange.OK {
			t.Errorf("%s: %s", name, reason)
		}
	}
	// Any algorithm is not none, and no secret.
	for name, tok := range map[string]string{
		"none":               join(`{"alg":"none"}`, claims()) + ".",
		"HS256":              signer{"HS256", []byte(es.jwk("k1"))}.token(header("HS256", "k1"), claims()),
		"a key of the other": es.token(header("ES256", "k2"), claims()),
	} {
		if _, reason := verify(v, tok); reason != exchange.AuthnAlgorithm && reason != exchange.AuthnKey {
			t.Errorf("%s: %s", name, reason)
		}
	}
	strict := verifierOf(t, nil, issuerFor(t, es, func(o *authn.IssuerOptions) { o.Types = []string{"at+jwt"} }))
	if _, reason := verify(strict, es.token(`{"alg":"ES256","kid":"k1","typ":"JWT"}`, claims())); reason != exchange.AuthnType {
		t.Errorf("RFC 9068 only: %s", reason)
	}
	if _, reason := verify(strict, es.token(`{"alg":"ES256","kid":"k1"}`, claims())); reason != exchange.AuthnType {
		t.Errorf("RFC 9068 only: %s", reason)
	}
}

// C15, C23: keys that must not verify anything.
func TestKeySets(t *testing.T) {
	es, rs, ed := keyPair("ES256", "acme"), keyPair("RS256", "acme"), keyPair("EdDSA", "acme")
	mallory := keyPair("ES256", "mallory")
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	off := func() string {
		p := elliptic.P256().Params()
		return fmt.Sprintf(`{"kty":"EC","kid":"k1","crv":"P-256","x":%q,"y":%q}`, b64b(p.Gx.FillBytes(make([]byte, 32))), b64b(new(big.Int).Add(p.Gy, big.NewInt(1)).FillBytes(make([]byte, 32))))
	}
	private := func(s signer) string {
		b, err := json.Marshal(jose.JSONWebKey{Key: s.key, KeyID: "k1"})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	e2 := strings.Replace(rs.jwk("k1"), `"e":"AQAB"`, `"e":"Ag"`, 1)
	e1 := strings.Replace(rs.jwk("k1"), `"e":"AQAB"`, `"e":"AQ"`, 1)
	for name, c := range map[string]struct {
		s    signer
		keys []string
		want exchange.Reason // OK: it verifies; Undecided: no issuer can be made of it
	}{
		"plain":                        {es, []string{es.jwk("k1")}, exchange.OK},
		"use sig, verify":              {es, []string{es.jwk("k1", `"use":"sig"`, `"key_ops":["verify"]`)}, exchange.OK},
		"unknown members, x5c, x5u":    {es, []string{es.jwk("k1", `"x5c":["!"]`, `"x5u":":"`, `"zz":{"a":1}`)}, exchange.OK},
		"an unknown kind beside":       {es, []string{`{"kty":"AKP","kid":"k1","alg":"ML-DSA-44","pub":"AA"}`, es.jwk("k1")}, exchange.OK},
		"the same key twice":           {es, []string{es.jwk("k1"), es.jwk("k1")}, exchange.OK},
		"two kinds, one kid":           {es, []string{es.jwk("k1"), rs.jwk("k1")}, exchange.OK},
		"alg matches":                  {es, []string{es.jwk("k1", `"alg":"ES256"`)}, exchange.OK},
		"alg of another curve":         {es, []string{es.jwk("k1", `"alg":"ES384"`), rs.jwk("x")}, exchange.AuthnKey},
		"alg is for another":           {signer{"PS256", rs.key}, []string{rs.jwk("k1", `"alg":"RS256"`)}, exchange.AuthnKey},
		"use enc":                      {es, []string{es.jwk("k1", `"use":"enc"`)}, exchange.Undecided},
		"use enc beside another":       {es, []string{es.jwk("k1", `"use":"enc"`), mallory.jwk("k2")}, exchange.AuthnKey},
		"key_ops encrypt":              {rs, []string{rs.jwk("k1", `"key_ops":["encrypt"]`)}, exchange.Undecided},
		"key_ops is no list":           {rs, []string{rs.jwk("k1", `"key_ops":"verify"`)}, exchange.Undecided},
		"RSA of 1024 bits":             {signer{"RS256", weak}, []string{signer{"RS256", weak}.jwk("k1")}, exchange.Undecided},
		"RSA with e = 2":               {rs, []string{e2}, exchange.Undecided},
		"RSA with e = 1":               {rs, []string{e1}, exchange.Undecided},
		"a point off the curve":        {es, []string{off()}, exchange.Undecided},
		"a point of zeros":             {es, []string{`{"kty":"EC","kid":"k1","crv":"P-256","x":"` + b64b(make([]byte, 32)) + `","y":"` + b64b(make([]byte, 32)) + `"}`}, exchange.Undecided},
		"an unknown curve":             {es, []string{`{"kty":"EC","kid":"k1","crv":"secp256k1","x":"AA","y":"AA"}`}, exchange.Undecided},
		"X25519 for EdDSA":             {ed, []string{`{"kty":"OKP","kid":"k1","crv":"X25519","x":"` + b64b(x25519.PublicKey().Bytes()) + `"}`}, exchange.Undecided},
		"Ed25519 of 31 bytes":          {ed, []string{`{"kty":"OKP","kid":"k1","crv":"Ed25519","x":"` + b64b(make([]byte, 31)) + `"}`}, exchange.Undecided},
		"a secret":                     {es, []string{`{"kty":"oct","kid":"k1","k":"` + b64b(make([]byte, 32)) + `"}`}, exchange.Undecided},
		"the private part":             {es, []string{private(es)}, exchange.Undecided},
		"RSA's private part":           {rs, []string{private(rs)}, exchange.Undecided},
		"one kid for two keys":         {es, []string{es.jwk("k1"), mallory.jwk("k1")}, exchange.Undecided},
		"one kid for two, one besides": {es, []string{es.jwk("k1"), mallory.jwk("k1"), rs.jwk("k2")}, exchange.AuthnKey},
		"kid is a number":              {es, []string{strings.Replace(es.jwk("k1"), `"k1"`, `1`, 1)}, exchange.Undecided},
		"kid left out":                 {es, []string{strings.Replace(es.jwk("k1"), `"kid":"k1",`, ``, 1)}, exchange.AuthnKey},
		"201 keys":                     {es, slices.Repeat([]string{es.jwk("k1")}, 201), exchange.Undecided},
		"a name twice":                 {es, []string{es.jwk("k1", `"kid":"k1"`)}, exchange.Undecided},
		"null":                         {es, []string{"null"}, exchange.Undecided},
	} {
		o := authn.IssuerOptions{URL: issuerURL, Audiences: []string{"shop"}, Algorithms: []string{c.s.alg}, Keys: keySet(c.keys...)}
		iss, err := authn.NewIssuer(o)
		if (err != nil) != (c.want == exchange.Undecided) {
			t.Errorf("%s: NewIssuer: %v", name, err)
		}
		if err != nil {
			continue
		}
		if _, reason := verify(verifierOf(t, nil, iss), c.s.token(header(c.s.alg, "k1"), claims())); reason != c.want {
			t.Errorf("%s: %s, want %s", name, reason, c.want)
		}
	}
	// A token without kid is tried with a few keys, not with all.
	many := []string{}
	for i := range 5 {
		many = append(many, keyPair("ES256", fmt.Sprint("n", i)).jwk(fmt.Sprint("n", i)))
	}
	for n, want := range map[int]exchange.Reason{4: exchange.OK, 5: exchange.AuthnKey} {
		iss := issuerFor(t, es, func(o *authn.IssuerOptions) { o.Keys = keySet(many[:n]...) })
		if _, reason := verify(verifierOf(t, nil, iss), keyPair("ES256", "n0").token(header("ES256", ""), claims())); reason != want {
			t.Errorf("no kid, %d keys: %s, want %s", n, reason, want)
		}
	}
}

// What go-jose signs we verify, and what we verify go-jose verifies.
func TestAgreementWithGoJOSE(t *testing.T) {
	for _, alg := range allAlgorithms {
		if alg == "Ed25519" {
			continue // go-jose knows it as EdDSA only
		}
		s := keyPair(alg, "acme")
		sig, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: s.key}, (&jose.SignerOptions{}).WithType("at+jwt").WithHeader("kid", "k1"))
		if err != nil {
			t.Fatal(err)
		}
		jws, err := sig.Sign([]byte(claims()))
		if err != nil {
			t.Fatal(err)
		}
		tok, err := jws.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		if _, reason := verify(verifierOf(t, nil, issuerFor(t, s, nil)), tok); reason != exchange.OK {
			t.Errorf("%s: signed by go-jose, refused: %s", alg, reason)
		}
		ours, err := jose.ParseSignedCompact(s.token(header(alg, "k1"), claims()), []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ours.Verify(s.public()); err != nil {
			t.Errorf("%s: the tests sign otherwise than go-jose: %v", alg, err)
		}
	}
}

func TestCacheHoldsFactsNotVerdicts(t *testing.T) {
	s := keyPair("ES256", "acme")
	cache := authn.NewCache(authn.CacheOptions{})
	shop := verifierOf(t, cache, issuerFor(t, s, nil))
	tok := []byte(s.token(header("ES256", "k1"), claims()))
	ctx := t.Context()
	first, reason := shop.Verify(ctx, tok, now)
	if reason != exchange.OK {
		t.Fatal(reason)
	}
	if again, _ := shop.Verify(ctx, bytes.Clone(tok), now); again != first {
		t.Error("the token was verified again")
	}
	if st := cache.Stats(); st.Tokens != 1 || st.Hits != 1 {
		t.Errorf("%+v", st)
	}
	// The same token, elsewhere: another audience, another time.
	admin := verifierOf(t, cache, issuerFor(t, s, func(o *authn.IssuerOptions) { o.Audiences = []string{"admin"} }))
	if _, reason := admin.Verify(ctx, tok, now); reason != exchange.AuthnAudience {
		t.Errorf("another audience: %s", reason)
	}
	if _, reason := shop.Verify(ctx, tok, now.Add(660*time.Second)); reason != exchange.AuthnExpired {
		t.Errorf("later: %s", reason)
	}
	if _, reason := shop.Verify(ctx, tok, now.Add(659*time.Second)); reason != exchange.OK {
		t.Errorf("a second before: %s", reason)
	}
	if _, reason := shop.Verify(ctx, tok, now.Add(-time.Hour)); reason != exchange.AuthnNotYet {
		t.Errorf("after the clock was set back: %s", reason)
	}
	// A byte of it changed.
	for i := range tok {
		bad := bytes.Clone(tok)
		bad[i] ^= 1
		if p, reason := shop.Verify(ctx, bad, now); p != nil || reason == exchange.OK {
			t.Fatalf("byte %d changed: %s", i, reason)
		}
	}
	// The caller's buffer is not kept.
	buf := bytes.Clone(tok)
	own := verifierOf(t, authn.NewCache(authn.CacheOptions{}), issuerFor(t, s, nil))
	own.Verify(ctx, buf, now)
	clear(buf)
	if p, reason := own.Verify(ctx, tok, now); reason != exchange.OK || p.Subject != "alice" || p.Scopes[0] != "orders:read" {
		t.Errorf("%v, %s", p, reason)
	}
}

func TestCacheIsBounded(t *testing.T) {
	s := keyPair("EdDSA", "acme")
	cache := authn.NewCache(authn.CacheOptions{Bytes: 1 << 20})
	v := verifierOf(t, cache, issuerFor(t, s, nil))
	hot := s.token(header("EdDSA", "k1"), claims("sub", `"hot"`))
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 500 {
				sub := fmt.Sprintf(`"user-%d-%d"`, g, i)
				if p, reason := verify(v, s.token(header("EdDSA", "k1"), claims("sub", sub))); reason != exchange.OK || `"`+p.Subject+`"` != sub {
					t.Errorf("%v, %s", p, reason)
				}
				if p, reason := verify(v, hot); reason != exchange.OK || p.Subject != "hot" {
					t.Errorf("%v, %s", p, reason)
				}
			}
		})
	}
	wg.Wait()
	st := cache.Stats()
	if st.Bytes > 1<<20 || st.Tokens < 100 || st.Tokens > 700 {
		t.Errorf("%+v", st)
	}
	if st.Hits < 1990 {
		t.Errorf("the token in use was forgotten: %+v", st)
	}
}

// T19: the time of a refusal tells a bad signature from an unknown key no
// better than noise does.
func TestTimeOfRefusalTellsNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("measures time")
	}
	for _, alg := range []string{"ES256", "RS256", "EdDSA"} {
		s, m := keyPair(alg, "acme"), keyPair(alg, "mallory")
		v := verifierOf(t, authn.NewCache(authn.CacheOptions{}), issuerFor(t, s, nil))
		bad, unknown := []byte(m.token(header(alg, "k1"), claims())), []byte(m.token(header(alg, "k9"), claims()))
		ratio := 0.0
		for range 5 { // the machine may be busy: one quiet round is enough
			var times [2][]time.Duration
			for range 150 {
				for i, tok := range [][]byte{bad, unknown} {
					began := time.Now()
					v.Verify(context.Background(), tok, now)
					times[i] = append(times[i], time.Since(began))
				}
			}
			for i := range times {
				slices.Sort(times[i])
			}
			ratio = float64(times[0][75]) / float64(times[1][75])
			if ratio > 0.7 && ratio < 1.4 {
				break
			}
		}
		t.Logf("%s: bad signature / unknown key = %.2f", alg, ratio)
		if ratio < 0.5 || ratio > 2 {
			t.Errorf("%s: a bad signature takes %.2f times as long as an unknown key", alg, ratio)
		}
	}
}

func TestKnownTokenAllocatesNothing(t *testing.T) {
	s := keyPair("ES256", "acme")
	v := verifierOf(t, authn.NewCache(authn.CacheOptions{}), issuerFor(t, s, nil))
	tok, ctx := []byte(s.token(header("ES256", "k1"), claims())), t.Context()
	value := append([]byte("Bearer "), tok...)
	n := testing.AllocsPerRun(100, func() {
		token, _ := authn.Bearer(value)
		if _, reason := v.Verify(ctx, token, now); reason != exchange.OK {
			t.Fatal(reason)
		}
	})
	if n > 0 {
		t.Errorf("a known token allocates %v times, want 0", n)
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, alg := range []string{"ES256", "RS256", "PS256", "EdDSA", "HS256"} {
		b.Run(alg, func(b *testing.B) {
			s := keyPair(alg, "acme")
			v := verifierOf(b, nil, issuerFor(b, s, nil))
			tok, ctx := []byte(s.token(header(alg, "k1"), claims())), b.Context()
			b.ReportAllocs()
			for b.Loop() {
				if _, reason := v.Verify(ctx, tok, now); reason != exchange.OK {
					b.Fatal(reason)
				}
			}
		})
	}
	b.Run("cached", func(b *testing.B) {
		s := keyPair("ES256", "acme")
		v := verifierOf(b, authn.NewCache(authn.CacheOptions{}), issuerFor(b, s, nil))
		tok, ctx := []byte(s.token(header("ES256", "k1"), claims())), b.Context()
		b.ReportAllocs()
		for b.Loop() {
			if _, reason := v.Verify(ctx, tok, now); reason != exchange.OK {
				b.Fatal(reason)
			}
		}
	})
	b.Run("cached of 10000", func(b *testing.B) {
		s := keyPair("EdDSA", "acme")
		v := verifierOf(b, authn.NewCache(authn.CacheOptions{}), issuerFor(b, s, nil))
		ctx := b.Context()
		toks := make([][]byte, 10000)
		for i := range toks {
			toks[i] = []byte(s.token(header("EdDSA", "k1"), claims("sub", fmt.Sprintf(`"user-%d"`, i))))
			v.Verify(ctx, toks[i], now)
		}
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			if _, reason := v.Verify(ctx, toks[i], now); reason != exchange.OK {
				b.Fatal(reason)
			}
			if i += 7919; i >= len(toks) {
				i -= len(toks)
			}
		}
	})
}
