// Package issuer is a small OpenID Connect issuer for the demo and for tests:
// discovery, one ES256 key in a JWK set, and access tokens as RFC 9068 has
// them. New makes one; it serves HTTP and signs tokens in process.
//
// It knows no passwords of people and keeps no sessions: the token endpoint
// serves clients that were registered when it was made (RFC 6749 section 4.4),
// and the shop asks it in process. It is no issuer for production.
package issuer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Lifetime is how long a token lives unless its claims say otherwise.
const Lifetime = 10 * time.Minute

// Options say what an Issuer is. URL is required.
type Options struct {
	// URL is the issuer's identifier and the base of its endpoints, without
	// a slash at its end.
	URL string
	// Clients may ask the token endpoint for tokens, by client_id.
	Clients map[string]Client
	Now     func() time.Time // nil is time.Now
}

// A Client is registered with an Issuer.
type Client struct {
	Secret string
	Claims Claims // of the tokens it gets
}

// Claims are what a token says. Zero fields get the issuer's values.
type Claims struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience string   `json:"aud"`
	Expiry   int64    `json:"exp"`
	Issued   int64    `json:"iat"`
	Before   int64    `json:"nbf"`
	ID       string   `json:"jti"`
	Client   string   `json:"client_id"`
	Scope    string   `json:"scope,omitempty"`
	Tenant   string   `json:"org_id,omitempty"`
	Roles    []string `json:"roles,omitempty"`
	Name     string   `json:"name,omitempty"`
}

// An Issuer signs tokens and publishes its key. Its methods may be called at
// once.
type Issuer struct {
	url     string
	clients map[string]Client
	now     func() time.Time
	key     *ecdsa.PrivateKey
	kid     string
	signer  jose.Signer
	serial  atomic.Uint64
	mux     *http.ServeMux
}

// New makes an Issuer with a fresh key.
func New(o Options) (*Issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a signing key: %w", err)
	}
	i := &Issuer{url: o.URL, clients: o.Clients, now: o.Now, key: key, kid: "demo-1"}
	if i.now == nil {
		i.now = time.Now
	}
	i.signer, err = Signer(jose.ES256, key, i.kid)
	if err != nil {
		return nil, err
	}
	i.mux = http.NewServeMux()
	i.mux.HandleFunc("GET /.well-known/openid-configuration", i.discovery)
	i.mux.HandleFunc("GET /.well-known/oauth-authorization-server", i.discovery)
	i.mux.HandleFunc("GET /jwks.json", i.jwks)
	i.mux.HandleFunc("POST /token", i.token)
	return i, nil
}

// Signer returns a signer of access tokens (typ at+jwt) with any key, such as
// an attacker's.
func Signer(alg jose.SignatureAlgorithm, key any, kid string) (jose.Signer, error) {
	opts := (&jose.SignerOptions{}).WithType("at+jwt")
	if kid != "" {
		opts = opts.WithHeader("kid", kid)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, opts)
	if err != nil {
		return nil, fmt.Errorf("make a signer: %w", err)
	}
	return s, nil
}

// URL returns the issuer's identifier.
func (i *Issuer) URL() string { return i.url }

// KeyID returns the kid of the signing key.
func (i *Issuer) KeyID() string { return i.kid }

// PublicKey returns the public half of the signing key.
func (i *Issuer) PublicKey() *ecdsa.PublicKey { return &i.key.PublicKey }

// JWKS returns the published set of keys.
func (i *Issuer) JWKS() jose.JSONWebKeySet {
	return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{
		Key: &i.key.PublicKey, KeyID: i.kid, Algorithm: string(jose.ES256), Use: "sig",
	}}}
}

// Fill returns c with its zero fields set: the issuer's own name, the audience
// "shop", a life of [Lifetime] from now, and a jti that no other token has.
func (i *Issuer) Fill(c Claims) Claims {
	now := i.now()
	if c.Issuer == "" {
		c.Issuer = i.url
	}
	if c.Audience == "" {
		c.Audience = "shop"
	}
	if c.Issued == 0 {
		c.Issued = now.Unix()
	}
	if c.Before == 0 {
		c.Before = c.Issued
	}
	if c.Expiry == 0 {
		c.Expiry = c.Issued + int64(Lifetime/time.Second)
	}
	if c.ID == "" {
		c.ID = fmt.Sprintf("%x-%d", now.UnixNano(), i.serial.Add(1))
	}
	if c.Client == "" {
		c.Client = "shop-app"
	}
	return c
}

// Token signs claims, after [Issuer.Fill].
func (i *Issuer) Token(c Claims) (string, error) { return Sign(i.signer, i.Fill(c)) }

// Sign signs claims as they are.
func Sign(s jose.Signer, c Claims) (string, error) {
	t, err := jwt.Signed(s).Claims(c).Serialize()
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return t, nil
}

// ServeHTTP serves discovery, keys and the token endpoint.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) { i.mux.ServeHTTP(w, r) }

// discovery is OpenID Connect Discovery section 4.2, and RFC 8414 section 3.2.
func (i *Issuer) discovery(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer":                                i.url,
		"jwks_uri":                              i.url + "/jwks.json",
		"token_endpoint":                        i.url + "/token",
		"authorization_endpoint":                i.url + "/authorize",
		"response_types_supported":              []string{"code"},
		"subject_types_supported":               []string{"public"},
		"grant_types_supported":                 []string{"client_credentials"},
		"id_token_signing_alg_values_supported": []string{"ES256"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post"},
	})
}

func (i *Issuer) jwks(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "public, max-age=300")
	writeJSON(w, http.StatusOK, i.JWKS())
}

// token is the client credentials grant, RFC 6749 section 4.4.
func (i *Issuer) token(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	if err := r.ParseForm(); err != nil || r.PostForm.Get("grant_type") != "client_credentials" {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "unsupported_grant_type"})
		return
	}
	id, secret, ok := r.BasicAuth()
	if !ok {
		id, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	c, known := i.clients[id]
	if !known || subtle.ConstantTimeCompare([]byte(c.Secret), []byte(secret)) != 1 {
		w.Header().Set("WWW-Authenticate", `Basic realm="issuer"`)
		writeJSON(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client"})
		return
	}
	claims := c.Claims
	claims.Client = id
	if want := r.PostForm.Get("scope"); want != "" {
		claims.Scope = narrow(claims.Scope, want)
	}
	t, err := i.Token(claims)
	if err != nil {
		writeJSON(w, http.StatusInternalServerError, map[string]string{"error": "server_error"})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"access_token": t, "token_type": "Bearer", "expires_in": int(Lifetime / time.Second), "scope": claims.Scope,
	})
}

// narrow keeps of the granted scopes those that are asked for.
func narrow(granted, want string) string {
	var kept []string
	for _, s := range strings.Fields(granted) {
		for _, w := range strings.Fields(want) {
			if s == w {
				kept = append(kept, s)
			}
		}
	}
	return strings.Join(kept, " ")
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v) // a caller that left needs no answer
}
