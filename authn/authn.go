// Package authn says who is calling.
//
// An [Issuer] is one party whose tokens are trusted, with its keys kept fresh
// in the background. A [Verifier] takes a token, finds the issuer it names
// among those it knows, checks it, and gives a [Principal] or the reason why
// not. What was once verified is remembered in a [Cache].
//
//	iss, err := authn.NewIssuer(authn.IssuerOptions{
//		URL: "https://id.example.com", Audiences: []string{"shop"}, Algorithms: []string{"ES256"},
//	})
//	go iss.Run(ctx) // whoever starts it waits for it
//	v, err := authn.NewVerifier(authn.VerifierOptions{Issuers: []*authn.Issuer{iss}, Cache: authn.NewCache(authn.CacheOptions{})})
//	token, reason := authn.Bearer(header)
//	p, reason := v.Verify(ctx, token, time.Now())
//
// Beside them: an [Introspector] asks about opaque tokens, a [KeyRing] knows API
// keys, a [CertificateVerifier] client certificates, a [Webhook] signed
// messages; [DPoP] has the sender of a bound token prove that it is its own, a
// [RevocationList] ends tokens early, a [StepUp] asks for a stronger sign-in,
// and a [Stamper] tells the upstream who calls.
//
// A token chooses nothing: neither the algorithm, which comes from the
// configuration, nor the key, which is one of its issuer's, nor a URL that
// anything is fetched from. The checks are those of RFC 7515, 7519, 8725 and
// 9068; the signatures are verified by the standard library. What a caller
// may do is for others to say.
package authn

import (
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/exchange"
)

// A Principal is who calls, proven. It does not change and may be kept.
type Principal struct {
	Subject string
	Client  string // client_id or azp; "" where the token names none
	Tenant  string // "" where the issuer has none, or the token names none
	Scopes  []string
	Roles   []string

	Issuer   string // the URL that the token names
	Provider string // the issuer's name in the configuration
	Audience []string
	TokenID  string // jti, or the id of the API key; "" where there is none
	How      How

	Issued  time.Time // zero where the token does not say
	Expires time.Time

	claims object
	bound  binding
	// Seconds since 1970; 0 where the token does not say.
	expires, notBefore, issued int64

	pseudonym atomic.Pointer[string]
}

// Pseudonym returns what of makes of the subject. It is asked once for each
// principal, so every call must give the same function.
func (p *Principal) Pseudonym(of func(subject string) string) string {
	if s := p.pseudonym.Load(); s != nil {
		return *s
	}
	s := of(p.Subject)
	p.pseudonym.Store(&s)
	return s
}

// A How is how a principal was proven.
type How uint8

// The ways. Unproven is the zero value.
const (
	Unproven        How = iota
	ByJWT               // an access token that the issuer signed
	ByAPIKey            // a key of a KeyRing
	ByIntrospection     // an opaque token that the issuer knows
	ByCertificate       // a client certificate
	ByWebhook           // a message that a sender signed with a shared secret
)

func (h How) String() string {
	switch h {
	case ByJWT:
		return "jwt"
	case ByAPIKey:
		return "api_key"
	case ByIntrospection:
		return "introspection"
	case ByCertificate:
		return "certificate"
	case ByWebhook:
		return "webhook"
	}
	return "unproven"
}

// HasScope reports whether the principal was granted a scope.
func (p *Principal) HasScope(scope string) bool { return slices.Contains(p.Scopes, scope) }

// HasRole reports whether the principal has a role.
func (p *Principal) HasRole(role string) bool { return slices.Contains(p.Roles, role) }

// Claim returns the claim that a JSON Pointer (RFC 6901) names, where it is a
// string or a number; a number as the token wrote it.
func (p *Principal) Claim(pointer string) (string, bool) {
	switch v := lookup(p.claims, pointer).(type) {
	case string:
		return v, true
	case number:
		return string(v), true
	}
	return "", false
}

// lookup follows a JSON Pointer. It returns nil where nothing is there.
func lookup(v any, pointer string) any {
	for pointer != "" {
		if pointer[0] != '/' {
			return nil
		}
		token := pointer[1:]
		pointer = ""
		if i := strings.IndexByte(token, '/'); i >= 0 {
			token, pointer = token[:i], token[i:]
		}
		if strings.IndexByte(token, '~') >= 0 {
			token = strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
		}
		switch in := v.(type) {
		case object:
			v = in[token]
		case []any:
			i := 0
			if token == "" || token[0] == '0' && len(token) > 1 || len(token) > 6 {
				return nil
			}
			for _, c := range []byte(token) {
				if c-'0' > 9 {
					return nil
				}
				i = i*10 + int(c-'0')
			}
			if i >= len(in) {
				return nil
			}
			v = in[i]
		default:
			return nil
		}
	}
	return v
}

// Bearer takes the token out of the value of the one Authorization field of a
// request (RFC 6750 section 2.1): the scheme in any case, one space, and
// token68 characters to the end. It returns OK, AuthnMissing where the scheme
// is another, or AuthnMalformed. The token borrows the value.
func Bearer(value []byte) (token []byte, reason exchange.Reason) {
	const scheme = "bearer"
	if len(value) < len(scheme) || !exchange.EqualFold(value[:len(scheme)], scheme) {
		return nil, exchange.AuthnMissing
	}
	value = value[len(scheme):]
	if len(value) == 0 || value[0] != ' ' {
		if len(value) > 0 && isToken68(value[0]) {
			return nil, exchange.AuthnMissing // another scheme: "BearerX"
		}
		return nil, exchange.AuthnMalformed
	}
	value = value[1:]
	end := len(value)
	for end > 0 && value[end-1] == '=' {
		end--
	}
	if end == 0 {
		return nil, exchange.AuthnMalformed
	}
	for _, c := range value[:end] {
		if !isToken68(c) {
			return nil, exchange.AuthnMalformed
		}
	}
	return value, exchange.OK
}

// isToken68 reports whether c is of the alphabet of RFC 9110 section 11.2.
func isToken68(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	case c == '-' || c == '.' || c == '_' || c == '~' || c == '+' || c == '/':
		return true
	}
	return false
}
