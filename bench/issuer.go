package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// An issuer is the smallest OpenID provider that a gateway can learn keys
// from: discovery and one ES256 key, on loopback.
type issuer struct {
	url string
	key *ecdsa.PrivateKey
	srv *http.Server
}

const (
	audience = "shop"
	keyID    = "bench-1"
)

func startIssuer() (*issuer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	is := &issuer{url: "http://" + l.Addr().String(), key: key}
	point, err := key.PublicKey.Bytes() // 0x04, X, Y
	if err != nil {
		return nil, err
	}
	b64 := base64.RawURLEncoding.EncodeToString
	serve := func(v any) http.HandlerFunc {
		body, _ := json.Marshal(v)
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Write(body)
		}
	}
	mux := http.NewServeMux()
	mux.Handle("GET /.well-known/openid-configuration", serve(map[string]any{
		"issuer":                                is.url,
		"jwks_uri":                              is.url + "/keys",
		"authorization_endpoint":                is.url + "/authorize",
		"token_endpoint":                        is.url + "/token",
		"response_types_supported":              []string{"code"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"ES256"},
	}))
	mux.Handle("GET /keys", serve(map[string]any{"keys": []any{map[string]string{
		"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": keyID,
		"x": b64(point[1:33]), "y": b64(point[33:65]),
	}}}))
	is.srv = &http.Server{Handler: mux}
	go is.srv.Serve(l)
	return is, nil
}

func (is *issuer) Close() { is.srv.Close() }

// tokens mints one access token for each of n principals.
func (is *issuer) tokens(n int) ([]string, error) {
	ts := make([]string, n)
	for i := range ts {
		now := time.Now()
		t := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
			"iss": is.url, "aud": audience, "sub": fmt.Sprintf("usr_%08x", 0x1000+i),
			"org_id": fmt.Sprintf("org_%04d", i%4), "client_id": "shop-web",
			"scope": "orders:read orders:write profile:read",
			"iat":   now.Unix(), "nbf": now.Unix(), "exp": now.Add(3 * time.Hour).Unix(),
			"jti": fmt.Sprintf("tok_%016x", 0x77aa00+i),
		})
		t.Header["kid"] = keyID
		t.Header["typ"] = "at+jwt"
		var err error
		if ts[i], err = t.SignedString(is.key); err != nil {
			return nil, err
		}
	}
	return ts, nil
}
