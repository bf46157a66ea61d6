package authn

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// StampHeader is the field in which the upstream gets the principal. A copy
// that a caller sends is removed.
const StampHeader = "Sallyport-Identity"

// StamperOptions say how principals are passed on. Issuer is required.
type StamperOptions struct {
	// Issuer is what stamps say in iss, by which upstreams know the gateway.
	Issuer string
	// Lifetime is how long a stamp is good, 10 s to 10 m; 0 means 60 s. Each
	// has at least half of it left.
	Lifetime time.Duration
	// Rotate is how often Run makes a new key; 0 means 24 h.
	Rotate time.Duration
	// Key signs the stamps where many nodes share one; nil makes one in this
	// process, which Run rotates.
	Key *ecdsa.PrivateKey
	// Stamps bounds how many are remembered; 0 means 20,000.
	Stamps int
}

// A Stamper tells upstreams who calls, in a short-lived token (ES256) of its
// own that they can verify with the keys it publishes, so that the caller's
// credential can stay at the door. Its methods may be called at once.
type Stamper struct {
	o    StamperOptions
	keys atomic.Pointer[stampKeys]

	mu     sync.Mutex // guards what follows
	stamps map[stampFor]stamp
}

// stampKeys are the keys of one time. next is published before it signs, and
// last after it did, so that no upstream meets a stamp of an unknown key.
type stampKeys struct {
	signing, next, last *stampKey
	jwks                []byte
}

type stampKey struct {
	private *ecdsa.PrivateKey
	id      string
	header  string // of each stamp, encoded, with its dot
}

// A stampFor is what a stamp is remembered by. Principals do not change, and
// one that is remembered is the same each time.
type stampFor struct {
	principal *Principal
	audience  string
}

type stamp struct {
	token string
	until time.Time // from then on a fresh one is made
	key   *stampKey
}

// NewStamper checks the options and returns a stamper.
func NewStamper(o StamperOptions) (*Stamper, error) {
	if o.Issuer == "" {
		return nil, errors.New("the issuer of stamps is missing; name this gateway, as by its URL")
	}
	if o.Lifetime == 0 {
		o.Lifetime = time.Minute
	}
	if o.Lifetime < 10*time.Second || o.Lifetime > 10*time.Minute {
		return nil, errors.New("the lifetime of stamps must be 10s to 10m")
	}
	if o.Rotate == 0 {
		o.Rotate = 24 * time.Hour
	}
	if o.Rotate < 2*o.Lifetime {
		return nil, errors.New("the key of stamps must be rotated less often than every two lifetimes")
	}
	if o.Key != nil && o.Key.Curve != elliptic.P256() {
		return nil, errors.New("the key of stamps must be of the curve P-256")
	}
	if o.Stamps <= 0 {
		o.Stamps = 20_000
	}
	s := &Stamper{o: o, stamps: map[stampFor]stamp{}}
	k := &stampKeys{}
	var err error
	if o.Key != nil {
		k.signing, err = newStampKey(o.Key)
	} else if k.signing, err = newStampKey(nil); err == nil {
		k.next, err = newStampKey(nil)
	}
	if err != nil {
		return nil, err
	}
	if err := k.publish(); err != nil {
		return nil, err
	}
	s.keys.Store(k)
	return s, nil
}

func newStampKey(private *ecdsa.PrivateKey) (k *stampKey, err error) {
	if private == nil {
		if private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return nil, err
		}
	}
	der, err := private.PublicKey.Bytes()
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(der)
	k = &stampKey{private: private, id: base64.RawURLEncoding.EncodeToString(sum[:12])}
	k.header = base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"alg":"ES256","typ":"JWT","kid":%q}`, k.id)) + "."
	return k, nil
}

func (k *stampKeys) publish() (err error) {
	set := jose.JSONWebKeySet{}
	for _, one := range []*stampKey{k.signing, k.next, k.last} {
		if one != nil {
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: &one.private.PublicKey, KeyID: one.id, Algorithm: "ES256", Use: "sig"})
		}
	}
	k.jwks, err = json.Marshal(set)
	return err
}

// JWKS returns the key set that upstreams verify stamps with. It must not be
// changed.
func (s *Stamper) JWKS() []byte { return s.keys.Load().jwks }

// Run rotates the key until ctx is done. The caller owns the goroutine.
func (s *Stamper) Run(ctx context.Context) error {
	if s.o.Key != nil {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(s.o.Rotate)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := s.rotate(); err != nil {
				return err
			}
		}
	}
}

// rotate lets the next key sign.
func (s *Stamper) rotate() error {
	old := s.keys.Load()
	fresh, err := newStampKey(nil)
	if err != nil {
		return err
	}
	k := &stampKeys{signing: old.next, next: fresh, last: old.signing}
	if err := k.publish(); err != nil {
		return err
	}
	s.keys.Store(k)
	return nil
}

// Stamp returns the token that tells an upstream, named by audience, who
// calls. One is made at most every half lifetime for each principal.
func (s *Stamper) Stamp(p *Principal, audience string, now time.Time) (string, error) {
	id := stampFor{p, audience}
	k := s.keys.Load().signing
	s.mu.Lock()
	st, ok := s.stamps[id]
	s.mu.Unlock()
	if ok && now.Before(st.until) && st.until.Sub(now) <= s.o.Lifetime/2 && st.key == k {
		return st.token, nil
	}
	token, err := s.sign(k, p, audience, now)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for old := range s.stamps { // in no order, so any may go
		if len(s.stamps) < s.o.Stamps {
			break
		}
		delete(s.stamps, old)
	}
	s.stamps[id] = stamp{token, now.Add(s.o.Lifetime / 2), k}
	return token, nil
}

// sign makes a stamp. It may outlive the caller's own credential, by its
// lifetime at most.
func (s *Stamper) sign(k *stampKey, p *Principal, audience string, now time.Time) (string, error) {
	exp := now.Add(s.o.Lifetime)
	claims, err := json.Marshal(struct {
		Issuer   string   `json:"iss"`
		Audience string   `json:"aud"`
		Subject  string   `json:"sub"`
		Issued   int64    `json:"iat"`
		Expires  int64    `json:"exp"`
		Client   string   `json:"client_id,omitempty"`
		Tenant   string   `json:"tenant,omitempty"`
		Scope    string   `json:"scope,omitempty"`
		Roles    []string `json:"roles,omitempty"`
		Idp      string   `json:"idp,omitempty"`
		How      string   `json:"how"`
		TokenID  string   `json:"orig_jti,omitempty"`
	}{s.o.Issuer, audience, p.Subject, now.Unix(), exp.Unix(), p.Client, p.Tenant, strings.Join(p.Scopes, " "), slices.Clone(p.Roles), p.Issuer, p.How.String(), p.TokenID})
	if err != nil {
		return "", err
	}
	text := k.header + base64.RawURLEncoding.EncodeToString(claims)
	sum := sha256.Sum256([]byte(text))
	r, v, err := ecdsa.Sign(rand.Reader, k.private, sum[:])
	if err != nil {
		return "", err
	}
	var sig [64]byte
	r.FillBytes(sig[:32])
	v.FillBytes(sig[32:])
	return text + "." + base64.RawURLEncoding.EncodeToString(sig[:]), nil
}
