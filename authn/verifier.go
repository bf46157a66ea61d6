package authn

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/exchange"
)

// VerifierOptions say whom a Verifier trusts. Issuers is required.
type VerifierOptions struct {
	// Issuers are those whose tokens are taken, no two with one URL.
	Issuers []*Issuer
	// Cache remembers what was verified; nil remembers nothing. Verifiers may
	// share one: it holds facts, and each decides by itself.
	Cache *Cache
	// DPoP checks proofs of possession; nil refuses tokens that are bound to
	// a key.
	DPoP *DPoP
	// Opaque proves tokens that are no JWT; nil refuses them.
	Opaque *Introspector
	// Revoked ends tokens before their time; nil ends none.
	Revoked *RevocationList
}

// A Verifier proves access tokens. It does not change, and its methods may be
// called at once. The zero Verifier trusts nobody.
type Verifier struct {
	issuers []*Issuer
	cache   *Cache
	dpop    *DPoP
	opaque  *Introspector
	revoked *RevocationList
}

// NewVerifier checks the options and returns a verifier.
func NewVerifier(o VerifierOptions) (*Verifier, error) {
	if len(o.Issuers) == 0 && o.Opaque == nil {
		return nil, errors.New("no issuer to trust; list one under identity")
	}
	for i, s := range o.Issuers {
		if s == nil {
			return nil, errors.New("an issuer is nil")
		}
		for _, other := range o.Issuers[:i] {
			if s.o.URL == other.o.URL {
				return nil, fmt.Errorf("identity %q and %q have the same issuer %s; make them one, with the audiences of both", other.o.Name, s.o.Name, s.o.URL)
			}
		}
	}
	return &Verifier{append([]*Issuer(nil), o.Issuers...), o.Cache, o.DPoP, o.Opaque, o.Revoked}, nil
}

// Issuers returns whom the verifier trusts.
func (v *Verifier) Issuers() []*Issuer { return append([]*Issuer(nil), v.issuers...) }

// Ready reports whether every issuer has keys.
func (v *Verifier) Ready() bool {
	for _, s := range v.issuers {
		if !s.Ready() {
			return false
		}
	}
	return true
}

// Verify proves a bearer token and returns who it stands for and OK, or nil
// and the reason why not. It borrows the token until it returns, and waits for
// an issuer two seconds at most, and only where the token names a key that is
// not known yet. A token that is bound to a key or certificate is no bearer
// token, and refused: see VerifyBound.
func (v *Verifier) Verify(ctx context.Context, token []byte, now time.Time) (*Principal, exchange.Reason) {
	p, reason := v.prove(ctx, token, now)
	if p != nil && p.bound != (binding{}) {
		return nil, exchange.AuthnBinding
	}
	return p, reason
}

// VerifyBound is Verify for a token and the request it came with, which shows
// that its sender may use it: the client certificate of the connection (RFC
// 8705), or a DPoP proof (RFC 9449). scheme is that of the Authorization
// field in lower case, "bearer" or "dpop". A token that is bound to nothing
// passes as a bearer token only.
func (v *Verifier) VerifyBound(ctx context.Context, scheme string, token []byte, r *Request, now time.Time) (*Principal, exchange.Reason) {
	p, reason := v.prove(ctx, token, now)
	if reason != exchange.OK {
		return nil, reason
	}
	// RFC 9449 section 7.1: neither kind of token passes as the other.
	if (p.bound.key != "") != (scheme == "dpop") {
		return nil, exchange.AuthnBinding
	}
	if p.bound.cert != "" && !p.bound.certificate(r.TLS) {
		return nil, exchange.AuthnBinding
	}
	if p.bound.key != "" {
		if v.dpop == nil {
			return nil, exchange.AuthnBinding
		}
		if reason := v.dpop.check(r, token, p.bound.key, now.Unix()); reason != exchange.OK {
			return nil, reason
		}
	}
	return p, exchange.OK
}

// prove proves a token, and leaves open whether its sender may use it.
func (v *Verifier) prove(ctx context.Context, token []byte, now time.Time) (*Principal, exchange.Reason) {
	p, reason := v.identify(ctx, token, now)
	if reason == exchange.OK && v.revoked != nil {
		if reason = v.revoked.Check(p, now); reason != exchange.OK {
			return nil, reason
		}
	}
	return p, reason
}

func (v *Verifier) identify(ctx context.Context, token []byte, now time.Time) (*Principal, exchange.Reason) {
	if len(v.issuers) == 0 && v.opaque == nil {
		return nil, exchange.AuthnUnsupported
	}
	if len(token) > MaxToken {
		return nil, exchange.AuthnMalformed
	}
	var hash uint64
	if v.cache != nil {
		hash = v.cache.hash(token)
		if f := v.cache.find(hash, token); f != nil && v.trusts(f.issuer) && !f.key.gone.Load() {
			if f.issuer.current(now) == nil {
				return nil, exchange.AuthnUnavailable
			}
			if reason := f.issuer.judge(f.principal, now.Unix()); reason != exchange.OK {
				return nil, reason
			}
			return f.principal, exchange.OK
		}
	}
	if v.opaque != nil && !looksLikeJWT(token) {
		return v.opaque.verify(ctx, token, now)
	}
	if len(v.issuers) == 0 {
		return nil, exchange.AuthnMalformed
	}
	t, reason := parse(token)
	if reason != exchange.OK {
		return nil, reason
	}
	iss, ok := t.claims["iss"].(string)
	if !ok {
		if _, there := t.claims["iss"]; there {
			return nil, exchange.AuthnClaims
		}
		return nil, exchange.AuthnIssuer
	}
	s := v.issuer(iss)
	if s == nil {
		return nil, exchange.AuthnIssuer
	}
	p, k, reason := s.verify(ctx, t, now)
	if reason != exchange.OK {
		return nil, reason
	}
	if v.cache != nil {
		v.cache.put(hash, token, p, k, s)
	}
	// Told after it was remembered: the same expired token is cheap next time.
	if reason := s.judge(p, now.Unix()); reason != exchange.OK {
		return nil, reason
	}
	return p, exchange.OK
}

// looksLikeJWT reports whether a token has the three parts of one. What has
// is never asked about elsewhere: a forged token must not become an opaque
// one.
func looksLikeJWT(token []byte) bool {
	return bytes.Count(token, []byte{'.'}) >= 2 && bytes.HasPrefix(token, []byte("ey"))
}

func (v *Verifier) trusts(s *Issuer) bool {
	for _, t := range v.issuers {
		if t == s {
			return true
		}
	}
	return false
}

// issuer returns the issuer of exactly this URL, or nil.
func (v *Verifier) issuer(url string) *Issuer {
	for _, s := range v.issuers {
		if s.o.URL == url {
			return s
		}
	}
	return nil
}
