package authn_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash"
	"sync"
	"testing"
	"time"

	"crypto/sha256"
	"crypto/sha512"

	"github.com/go-jose/go-jose/v4"

	"github.com/sallyport/sallyport/authn"
	"github.com/sallyport/sallyport/exchange"
)

// now is when the tests happen.
var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

const issuerURL = "https://id.acme.example"

// A signer has one private key.
type signer struct {
	alg string
	key any
}

// keyPair makes keys once, as RSA keys take long.
var keyPair = func() func(alg, name string) signer {
	var mu sync.Mutex
	made := map[string]signer{}
	return func(alg, name string) signer {
		mu.Lock()
		defer mu.Unlock()
		id := alg + name
		if alg[0] == 'R' || alg[0] == 'P' {
			id = "RSA" + name
		}
		if s, ok := made[id]; ok {
			return signer{alg, s.key}
		}
		s := signer{alg: alg}
		var err error
		switch alg {
		case "ES256":
			s.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		case "ES384":
			s.key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		case "ES512":
			s.key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
		case "EdDSA", "Ed25519":
			_, s.key, err = ed25519.GenerateKey(rand.Reader)
		case "HS256", "HS384", "HS512":
			b := make([]byte, 64)
			rand.Read(b)
			s.key = b
		default:
			s.key, err = rsa.GenerateKey(rand.Reader, 2048)
		}
		if err != nil {
			panic(err)
		}
		made[id] = s
		return s
	}
}()

func (s signer) public() any {
	if k, ok := s.key.(crypto.Signer); ok {
		return k.Public()
	}
	return s.key
}

func hashOf(alg string) (crypto.Hash, func() hash.Hash) {
	switch alg[2:] {
	case "384":
		return crypto.SHA384, sha512.New384
	case "512":
		return crypto.SHA512, sha512.New
	}
	return crypto.SHA256, sha256.New
}

// sign makes the signature of a text by the signer's algorithm.
func (s signer) sign(text string) []byte {
	h, fresh := hashOf(s.alg)
	sum := func() []byte { d := fresh(); d.Write([]byte(text)); return d.Sum(nil) }
	var sig []byte
	var err error
	switch k := s.key.(type) {
	case *ecdsa.PrivateKey:
		r, v, e := ecdsa.Sign(rand.Reader, k, sum())
		n := (k.Curve.Params().BitSize + 7) / 8
		sig, err = append(r.FillBytes(make([]byte, n)), v.FillBytes(make([]byte, n))...), e
	case ed25519.PrivateKey:
		sig = ed25519.Sign(k, []byte(text))
	case *rsa.PrivateKey:
		if s.alg[0] == 'P' {
			sig, err = rsa.SignPSS(rand.Reader, k, h, sum(), &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		} else {
			sig, err = rsa.SignPKCS1v15(rand.Reader, k, h, sum())
		}
	case []byte:
		m := hmac.New(fresh, k)
		m.Write([]byte(text))
		sig = m.Sum(nil)
	}
	if err != nil {
		panic(err)
	}
	return sig
}

func b64(s string) string     { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
func b64b(b []byte) string    { return base64.RawURLEncoding.EncodeToString(b) }
func unb64(s string) []byte   { b, _ := base64.RawURLEncoding.DecodeString(s); return b }
func join(h, p string) string { return b64(h) + "." + b64(p) }

// token signs a header and a payload, whatever they are.
func (s signer) token(header, payload string) string {
	text := join(header, payload)
	return text + "." + b64b(s.sign(text))
}

// jwk is the signer's public key as a JWK.
func (s signer) jwk(kid string, more ...string) string {
	b, err := json.Marshal(jose.JSONWebKey{Key: s.public(), KeyID: kid})
	if err != nil {
		panic(err)
	}
	out := string(b[:len(b)-1])
	for _, m := range more {
		out += "," + m
	}
	return out + "}"
}

func keySet(jwks ...string) []byte {
	s := `{"keys":[`
	for i, k := range jwks {
		if i > 0 {
			s += ","
		}
		s += k
	}
	return []byte(s + `]}`)
}

// header is that of an honest token; kid "" leaves it out.
func header(alg, kid string) string {
	if kid == "" {
		return fmt.Sprintf(`{"alg":%q,"typ":"at+jwt"}`, alg)
	}
	return fmt.Sprintf(`{"alg":%q,"typ":"at+jwt","kid":%q}`, alg, kid)
}

// claims are those of an honest token, with more put in their place: a value
// of "" leaves a claim out.
func claims(more ...string) string {
	names := []string{"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "client_id", "scope"}
	values := map[string]string{
		"iss": `"` + issuerURL + `"`, "sub": `"alice"`, "aud": `"shop"`, "jti": `"t-1"`, "client_id": `"web"`, "scope": `"orders:read orders:write"`,
		"exp": fmt.Sprint(now.Unix() + 600), "iat": fmt.Sprint(now.Unix() - 60), "nbf": fmt.Sprint(now.Unix() - 60),
	}
	for i := 0; i < len(more); i += 2 {
		if _, ok := values[more[i]]; !ok {
			names = append(names, more[i])
		}
		values[more[i]] = more[i+1]
	}
	s := "{"
	for _, n := range names {
		if values[n] == "" {
			continue
		}
		if len(s) > 1 {
			s += ","
		}
		s += fmt.Sprintf("%q:%s", n, values[n])
	}
	return s + "}"
}

// issuerFor makes an issuer with the key of s, known as k1.
func issuerFor(t testing.TB, s signer, change func(*authn.IssuerOptions)) *authn.Issuer {
	t.Helper()
	o := authn.IssuerOptions{
		Name: "acme", URL: issuerURL, Audiences: []string{"shop", "shop-admin"}, Algorithms: []string{s.alg},
		MaxLifetime: time.Hour, Tenant: "/org_id",
	}
	if k, ok := s.key.([]byte); ok {
		o.Secret = k
	} else {
		o.Keys = keySet(s.jwk("k1"))
	}
	if change != nil {
		change(&o)
	}
	iss, err := authn.NewIssuer(o)
	if err != nil {
		t.Fatal(err)
	}
	return iss
}

func verifierOf(t testing.TB, cache *authn.Cache, issuers ...*authn.Issuer) *authn.Verifier {
	t.Helper()
	v, err := authn.NewVerifier(authn.VerifierOptions{Issuers: issuers, Cache: cache})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func verify(v *authn.Verifier, token string) (*authn.Principal, exchange.Reason) {
	return v.Verify(context.Background(), []byte(token), now)
}
