package authn_test

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/sallyport/sallyport/authn"
	"github.com/sallyport/sallyport/exchange"
)

// A realm is what the real OpenID provider in these tests knows: one machine
// client, and keys that can be rotated. Methods that this grant does not use
// are those of a nil interface.
type realm struct {
	op.Storage

	mu        sync.Mutex
	signing   signer
	id        string
	published map[string]signer
	down      bool
}

func (r *realm) rotate(id string, s signer, keep ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for old := range r.published {
		if !slices.Contains(keep, old) {
			delete(r.published, old)
		}
	}
	r.id, r.signing, r.published[id] = id, s, s
}

type realmKey struct {
	id  string
	s   signer
	pub bool
}

func (k realmKey) ID() string                                  { return k.id }
func (k realmKey) Algorithm() jose.SignatureAlgorithm          { return jose.SignatureAlgorithm(k.s.alg) }
func (k realmKey) SignatureAlgorithm() jose.SignatureAlgorithm { return k.Algorithm() }
func (k realmKey) Use() string                                 { return "sig" }
func (k realmKey) Key() any {
	if k.pub {
		return k.s.public()
	}
	return k.s.key
}

func (r *realm) SigningKey(context.Context) (op.SigningKey, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return realmKey{id: r.id, s: r.signing}, nil
}

func (r *realm) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.SignatureAlgorithm(r.signing.alg)}, nil
}

func (r *realm) KeySet(context.Context) (keys []op.Key, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		return nil, errors.New("the store of keys is down")
	}
	for id, s := range r.published {
		keys = append(keys, realmKey{id, s, true})
	}
	return keys, nil
}

func (r *realm) ClientCredentials(_ context.Context, id, secret string) (op.Client, error) {
	if id != "till" || secret != "s3cret" {
		return nil, errors.New("unknown client")
	}
	return realmClient{}, nil
}

func (r *realm) ClientCredentialsTokenRequest(_ context.Context, id string, scopes []string) (op.TokenRequest, error) {
	return &oidc.JWTTokenRequest{Subject: id, Audience: []string{"shop"}, Scopes: scopes}, nil
}

func (r *realm) CreateAccessToken(context.Context, op.TokenRequest) (string, time.Time, error) {
	return fmt.Sprint(time.Now().UnixNano()), time.Now().Add(5 * time.Minute), nil
}

func (r *realm) GetPrivateClaimsFromScopes(_ context.Context, _, _ string, scopes []string) (map[string]any, error) {
	return map[string]any{"org_id": "acme", "scope": strings.Join(scopes, " ")}, nil
}

func (r *realm) Health(context.Context) error { return nil }

type realmClient struct{ op.Client }

func (realmClient) GetID() string               { return "till" }
func (realmClient) AuthMethod() oidc.AuthMethod { return oidc.AuthMethodBasic }
func (realmClient) GrantTypes() []oidc.GrantType {
	return []oidc.GrantType{oidc.GrantTypeClientCredentials}
}
func (realmClient) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }
func (realmClient) ClockSkew() time.Duration            { return 0 }
func (realmClient) IsScopeAllowed(string) bool          { return true }
func (realmClient) RestrictAdditionalAccessTokenScopes() func([]string) []string {
	return func(s []string) []string { return s }
}

// openRealm starts an OpenID provider over TLS and returns its realm, its
// issuer URL, a client for its endpoints, and its certificate.
func openRealm(t *testing.T, s signer) (*realm, string, *http.Client, *x509.Certificate) {
	t.Helper()
	var mu sync.Mutex
	var handler http.Handler
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		h := handler
		mu.Unlock()
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	r := &realm{published: map[string]signer{}}
	r.rotate("2026-11", s)
	// One kid in two realms is the point of a test.
	p, err := op.NewProvider(&op.Config{CryptoKey: sha256.Sum256([]byte("tests"))}, r, op.StaticIssuer(server.URL), op.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	handler = p
	mu.Unlock()
	return r, server.URL, server.Client(), server.Certificate()
}

// grant gets a token from a provider as any client would.
func grant(t *testing.T, c *http.Client, issuer string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, issuer+"/oauth/token", strings.NewReader(url.Values{
		"grant_type": {"client_credentials"}, "scope": {"orders:read orders:write"}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("till", "s3cret")
	res, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var out struct {
		Token string `json:"access_token"`
		Error string `json:"error_description"`
	}
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil || out.Token == "" {
		t.Fatalf("the provider gives no token: %d %v %s", res.StatusCode, err, out.Error)
	}
	return out.Token
}

// A real OpenID provider over TLS: discovery, rotation, two issuers that share
// a kid, outage and return.
func TestWithARealOpenIDProvider(t *testing.T) {
	for _, alg := range []string{"ES256", "RS256", "PS256", "EdDSA"} {
		t.Run(alg, func(t *testing.T) {
			one, two, three := keyPair(alg, "one"), keyPair(alg, "two"), keyPair(alg, "three")
			r, issuer, client, cert := openRealm(t, one)
			other, otherIssuer, otherClient, otherCert := openRealm(t, two)
			pool := x509.NewCertPool()
			pool.AddCert(cert)
			pool.AddCert(otherCert)
			open := func(u string) *authn.Issuer {
				iss, err := authn.NewIssuer(authn.IssuerOptions{
					URL: u, Audiences: []string{"shop"}, Algorithms: []string{alg}, MaxLifetime: 15 * time.Minute, Tenant: "/org_id",
					Interval: time.Millisecond, Fetcher: authn.NewFetcher(authn.FetcherOptions{RootCAs: pool})})
				if err != nil {
					t.Fatal(err)
				}
				if err := iss.Refresh(t.Context()); err != nil {
					t.Fatal(err)
				}
				run(t, iss)
				return iss
			}
			mine, its := open(issuer), open(otherIssuer)
			cache := authn.NewCache(authn.CacheOptions{})
			v, only := verifierOf(t, cache, mine, its), verifierOf(t, cache, mine)

			tok := grant(t, client, issuer)
			p, reason := v.Verify(t.Context(), []byte(tok), time.Now())
			if reason != exchange.OK {
				t.Fatal(reason)
			}
			if p.Subject != "till" || p.Client != "till" || p.Tenant != "acme" || !p.HasScope("orders:write") || p.Issuer != issuer || p.TokenID == "" {
				t.Errorf("%+v", p)
			}
			// Both realms call their key 2026-11.
			foreign := grant(t, otherClient, otherIssuer)
			if reason := verifyNow(v, foreign); reason != exchange.OK {
				t.Errorf("the other issuer: %s", reason)
			}
			if reason := verifyNow(only, foreign); reason != exchange.AuthnIssuer {
				t.Errorf("an issuer that this API does not trust, remembered from another: %s", reason)
			}
			parts := strings.Split(tok, ".")
			forged := b64(strings.Replace(string(unb64(parts[1])), issuer, otherIssuer, 1))
			if reason := verifyNow(v, parts[0]+"."+forged+"."+parts[2]); reason != exchange.AuthnSignature {
				t.Errorf("a token of one issuer in the name of the other: %s", reason)
			}
			// Rotation with overlap, then without.
			r.rotate("2026-12", three, "2026-11")
			fresh := grant(t, client, issuer)
			until(t, "a token of the new key", exchange.OK, func() exchange.Reason { return verifyNow(v, fresh) })
			if reason := verifyNow(v, tok); reason != exchange.OK {
				t.Errorf("the old key still stands: %s", reason)
			}
			r.rotate("2026-12", three)
			if err := mine.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			if reason := verifyNow(v, tok); reason != exchange.AuthnKey {
				t.Errorf("the old key is gone: %s", reason)
			}
			// The other realm has lost its store of keys, and finds it again.
			other.mu.Lock()
			other.down = true
			other.mu.Unlock()
			if err := its.Refresh(t.Context()); err == nil {
				t.Error("keys of a realm that is down")
			}
			if reason := verifyNow(v, grant(t, otherClient, otherIssuer)); reason != exchange.OK {
				t.Errorf("in the outage: %s", reason)
			}
			other.mu.Lock()
			other.down = false
			other.mu.Unlock()
			if err := its.Refresh(t.Context()); err != nil {
				t.Errorf("after the return: %v", err)
			}
		})
	}
}
