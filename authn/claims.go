package authn

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/exchange"
)

// Bounds of claims.
const (
	maxText   = 1 << 10 // bytes of a subject, client, tenant or token id
	maxList   = 500     // scopes, roles or audiences
	latestDay = 253402300799
)

// principal reads the claims of a token whose signature is good.
func (s *Issuer) principal(t *jws) (*Principal, exchange.Reason) {
	if !slices.Contains(s.o.Types, t.typ) {
		return nil, exchange.AuthnType
	}
	c := t.claims
	if !isAccessToken(c, t.typ) {
		return nil, exchange.AuthnType
	}
	p := &Principal{Issuer: s.o.URL, Provider: s.o.Name, How: ByJWT, claims: c}
	exp, there, ok := date(c, "exp")
	if !ok {
		return nil, exchange.AuthnClaims
	}
	if !there {
		return nil, exchange.AuthnLifetime
	}
	p.expires = exp
	p.Expires = time.Unix(exp, 0)
	if p.notBefore, _, ok = date(c, "nbf"); !ok {
		return nil, exchange.AuthnClaims
	}
	if p.issued, there, ok = date(c, "iat"); !ok {
		return nil, exchange.AuthnClaims
	}
	if there {
		p.Issued = time.Unix(p.issued, 0)
	}
	if s.life > 0 {
		if !there {
			return nil, exchange.AuthnClaims
		}
		if exp-p.issued > s.life {
			return nil, exchange.AuthnLifetime
		}
	}
	if reason := s.reads.facts(p, c); reason != exchange.OK {
		return nil, reason
	}
	return p, exchange.OK
}

// A reading is where in the claims of an issuer what stands, and for whom its
// tokens must be.
type reading struct {
	audiences                              []string
	anyAud                                 bool
	subject, client, tenant, scopes, roles string // JSON Pointers, or "" for the usual places
}

// facts reads who it is and what was granted.
func (r *reading) facts(p *Principal, c object) exchange.Reason {
	if reason := r.audience(p, c); reason != exchange.OK {
		return reason
	}
	var ok bool
	if r.client != "" {
		p.Client, ok = text(c, r.client)
	} else if p.Client, ok = text(c, "/client_id"); ok && p.Client == "" {
		p.Client, ok = text(c, "/azp")
	}
	if !ok {
		return exchange.AuthnClaims
	}
	if p.Subject, ok = text(c, orElse(r.subject, "/sub")); !ok || p.Subject == "" && p.How == ByJWT {
		return exchange.AuthnClaims
	}
	if p.Subject == "" && r.subject == "" {
		// RFC 7662 leaves sub out where a client acts for itself; RFC 9068
		// section 2.2 has it be the client then.
		p.Subject = p.Client
	}
	if p.Subject == "" {
		return exchange.AuthnClaims
	}
	if r.tenant != "" {
		if p.Tenant, ok = text(c, r.tenant); !ok {
			return exchange.AuthnClaims
		}
	}
	if p.bound, ok = bindingOf(c); !ok {
		return exchange.AuthnClaims
	}
	if p.TokenID, ok = text(c, "/jti"); !ok {
		return exchange.AuthnClaims
	}
	if r.scopes != "" {
		p.Scopes, ok = words(c, r.scopes)
	} else if p.Scopes, ok = words(c, "/scope"); ok && p.Scopes == nil {
		p.Scopes, ok = words(c, "/scp")
	}
	if !ok {
		return exchange.AuthnClaims
	}
	if p.Roles, ok = list(c, orElse(r.roles, "/roles")); !ok {
		return exchange.AuthnClaims
	}
	return exchange.OK
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// isAccessToken reports whether nothing in a token says that it is another
// kind. An ID token is no access token though the same key signed it (RFC
// 8725 section 2.8, RFC 9068 section 5).
func isAccessToken(c object, typ string) bool {
	if typ == "at+jwt" {
		return true
	}
	for _, other := range [...]string{"at_hash", "c_hash", "s_hash", "events", "sub_id"} {
		if _, there := c[other]; there {
			return false // an ID token, or a security event (RFC 8417)
		}
	}
	if use, there := c["token_use"]; there && use != "access" { // Amazon Cognito
		return false
	}
	switch kind, there := c["typ"]; {
	case !there:
		return true
	default: // Keycloak
		s, ok := kind.(string)
		return ok && (strings.EqualFold(s, "bearer") || strings.EqualFold(s, "dpop") || strings.EqualFold(s, "at+jwt"))
	}
}

// audience reads aud and asks whether the token is meant for us.
func (r *reading) audience(p *Principal, c object) exchange.Reason {
	v, there := c["aud"]
	if !there {
		if r.anyAud {
			return exchange.OK
		}
		return exchange.AuthnAudience
	}
	switch a := v.(type) {
	case string:
		p.Audience = []string{a}
	case []any:
		for _, e := range a {
			one, ok := e.(string)
			if !ok || len(a) > maxList {
				return exchange.AuthnClaims
			}
			p.Audience = append(p.Audience, one)
		}
	default:
		return exchange.AuthnClaims
	}
	if r.anyAud || slices.ContainsFunc(p.Audience, func(a string) bool { return slices.Contains(r.audiences, a) }) {
		return exchange.OK
	}
	return exchange.AuthnAudience
}

// judge asks whether a principal's time is now. It is asked each time, as it
// is no fact about the token.
func (s *Issuer) judge(p *Principal, now int64) exchange.Reason { return inTime(p, now, s.skew) }

func inTime(p *Principal, now, skew int64) exchange.Reason {
	switch {
	case now >= p.expires+skew:
		return exchange.AuthnExpired
	case p.notBefore > now+skew, p.issued > now+skew:
		return exchange.AuthnNotYet
	}
	return exchange.OK
}

// date reads a NumericDate (RFC 7519 section 2) that is a whole number of
// seconds from 1970 to 9999, written as one.
func date(c object, name string) (seconds int64, there, ok bool) {
	v, there := c[name]
	if !there {
		return 0, false, true
	}
	n, ok := v.(number)
	if !ok || len(n) > 12 {
		return 0, true, false
	}
	seconds, err := strconv.ParseInt(string(n), 10, 64)
	return seconds, true, err == nil && seconds >= 0 && seconds <= latestDay && n[0] != '-'
}

// text reads a string that a pointer names: "" where nothing is there, and
// not ok where it is something else.
func text(c object, pointer string) (string, bool) {
	v := lookup(c, pointer)
	if v == nil {
		return "", !isNull(c, pointer)
	}
	s, ok := v.(string)
	return s, ok && len(s) <= maxText
}

// isNull tells a null from nothing, for claims at the top.
func isNull(c object, pointer string) bool {
	_, there := c[pointer[1:]]
	return there
}

// words reads a list of words: a string with spaces between them (RFC 8693
// section 4.2), or an array.
func words(c object, pointer string) ([]string, bool) {
	if s, ok := lookup(c, pointer).(string); ok {
		ws := strings.Split(s, " ")
		if len(ws) > maxList {
			return nil, false
		}
		out := ws[:0]
		for _, w := range ws {
			if w != "" {
				out = append(out, w)
			}
		}
		return out, true
	}
	return list(c, pointer)
}

// list reads an array of strings, or one string: nil where nothing is there.
func list(c object, pointer string) ([]string, bool) {
	switch v := lookup(c, pointer).(type) {
	case nil:
		return nil, !isNull(c, pointer)
	case string:
		return []string{v}, true
	case []any:
		if len(v) > maxList {
			return nil, false
		}
		out := make([]string, 0, len(v))
		for _, e := range v {
			s, ok := e.(string)
			if !ok {
				return nil, false
			}
			out = append(out, s)
		}
		return out, true
	}
	return nil, false
}
