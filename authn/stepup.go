package authn

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// A StepUp is how strongly and how lately a person must have signed in (RFC
// 9470). The zero StepUp asks for nothing.
type StepUp struct {
	ACR    []string      // acr must be one of these
	AMR    []string      // amr must hold all of these
	MaxAge time.Duration // auth_time must be no longer ago; 0 asks for none
}

// Met reports whether a principal satisfies it. A claim that is missing or of
// the wrong kind satisfies nothing.
func (s *StepUp) Met(p *Principal, now time.Time) bool {
	if len(s.ACR) > 0 {
		acr, ok := p.claims["acr"].(string)
		if !ok || !slices.Contains(s.ACR, acr) {
			return false
		}
	}
	if len(s.AMR) > 0 {
		has, ok := list(p.claims, "/amr")
		if !ok {
			return false
		}
		for _, m := range s.AMR {
			if !slices.Contains(has, m) {
				return false
			}
		}
	}
	if s.MaxAge > 0 {
		at, there, ok := date(p.claims, "auth_time")
		// A time to come is no time ago.
		if !there || !ok || at > now.Unix()+int64(defaultSkew/time.Second) || now.Unix()-at > int64(s.MaxAge/time.Second) {
			return false
		}
	}
	return true
}

// Challenge returns the value of the WWW-Authenticate field that asks for it
// (RFC 9470 section 3).
func (s *StepUp) Challenge() string {
	b := `Bearer error="insufficient_user_authentication", error_description="A stronger or more recent sign-in is required"`
	if len(s.ACR) > 0 {
		b += `, acr_values="` + quote(strings.Join(s.ACR, " ")) + `"`
	}
	if s.MaxAge > 0 {
		b += `, max_age="` + strconv.FormatInt(int64(s.MaxAge/time.Second), 10) + `"`
	}
	return b
}

// quote makes a text fit for a quoted-string (RFC 9110 section 5.6.4).
func quote(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c >= ' ' && c <= '~':
			b.WriteByte(c)
		}
	}
	return b.String()
}
