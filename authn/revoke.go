package authn

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/exchange"
)

// A Revocation ends tokens before their time. It applies to a principal where
// all fields that are set do: to one token by its id, to all of a subject or
// a client, and to those that were issued before a time only.
type Revocation struct {
	Issuer  string // the issuer's URL; "" means any
	TokenID string
	Subject string
	Client  string
	// Before spares tokens that were issued then or later; zero spares none.
	// A token that does not say when it was issued is spared by none.
	Before time.Time
	// Until is when the revocation is forgotten: when the last token that it
	// could mean has expired. Zero means in 24 hours.
	Until time.Time
}

// maxRevocations bounds how many are kept.
const maxRevocations = 100_000

// A RevocationList says which tokens were revoked. It is read on each
// exchange and changed by people: a change takes effect with the next look,
// also for tokens that are remembered. Its methods may be called at once.
type RevocationList struct {
	mu   sync.Mutex // held while changing
	list []Revocation
	at   atomic.Pointer[revocations]
}

// revocations are indexed by what they name. They do not change.
type revocations struct {
	byToken, bySubject, byClient map[string][]Revocation
}

// Revoke adds a revocation, and reports whether it could: it must name a
// token, a subject or a client, and there must be room.
func (l *RevocationList) Revoke(r Revocation, now time.Time) bool {
	if r.TokenID == "" && r.Subject == "" && r.Client == "" {
		return false
	}
	if r.Until.IsZero() {
		r.Until = now.Add(24 * time.Hour)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var kept []Revocation
	for _, old := range l.list {
		if old.Until.After(now) {
			kept = append(kept, old)
		}
	}
	if len(kept) >= maxRevocations {
		return false
	}
	l.list = append(kept, r)
	l.index()
	return true
}

// Set replaces the list, as when it comes from a store.
func (l *RevocationList) Set(list []Revocation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append([]Revocation(nil), list[:min(len(list), maxRevocations)]...)
	l.index()
}

// List returns the revocations that there are.
func (l *RevocationList) List() []Revocation {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Revocation(nil), l.list...)
}

func (l *RevocationList) index() {
	x := &revocations{map[string][]Revocation{}, map[string][]Revocation{}, map[string][]Revocation{}}
	for _, r := range l.list {
		switch {
		case r.TokenID != "":
			x.byToken[r.TokenID] = append(x.byToken[r.TokenID], r)
		case r.Subject != "":
			x.bySubject[r.Subject] = append(x.bySubject[r.Subject], r)
		default:
			x.byClient[r.Client] = append(x.byClient[r.Client], r)
		}
	}
	l.at.Store(x)
}

// Check asks whether a principal's credential was revoked. It allocates
// nothing, and costs three look-ups where anything is revoked at all.
func (l *RevocationList) Check(p *Principal, now time.Time) exchange.Reason {
	x := l.at.Load()
	if x == nil {
		return exchange.OK
	}
	if hit(x.byToken[p.TokenID], p, now) || hit(x.bySubject[p.Subject], p, now) || hit(x.byClient[p.Client], p, now) {
		return exchange.AuthnRevoked
	}
	return exchange.OK
}

func hit(rs []Revocation, p *Principal, now time.Time) bool {
	for i := range rs {
		r := &rs[i]
		if now.Before(r.Until) && (r.Issuer == "" || r.Issuer == p.Issuer) && (r.TokenID == "" || r.TokenID == p.TokenID) &&
			(r.Subject == "" || r.Subject == p.Subject) && (r.Client == "" || r.Client == p.Client) &&
			(r.Before.IsZero() || p.Issued.IsZero() || p.Issued.Before(r.Before)) {
			return true
		}
	}
	return false
}
