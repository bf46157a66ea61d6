package authn

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/exchange"
)

// Bounds of API keys.
const (
	minAPIKey  = 16 // bytes of a key; shorter ones can be guessed
	maxAPIKey  = 512
	maxAPIKeys = 100_000
)

// An APIKey is what is kept of a key: its hash, and whose it is. The key
// itself is shown once, when it is made.
type APIKey struct {
	ID       string // a name to list and revoke it by; what events show
	Hash     string // "sha256:" and 64 hexadecimal digits, as HashAPIKey gives it
	Subject  string // "" means ID
	Client   string
	Tenant   string
	Scopes   []string
	Roles    []string
	Expires  time.Time // zero means never
	Disabled bool
}

// NewAPIKey makes a key of 256 random bits with a prefix, by which people and
// scanners know what it is: letters, digits and underscores.
func NewAPIKey(prefix string) (key string, err error) {
	if len(prefix) > 32 || strings.Trim(prefix, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" {
		return "", fmt.Errorf("the prefix %.40q may hold letters, digits and underscores only, 32 at most", prefix)
	}
	// rand.Text has 26 characters of base32, 130 bits.
	return prefix + "_" + rand.Text() + rand.Text(), nil
}

// HashAPIKey returns what is kept of a key. A plain hash is enough, as keys
// are random: there is nothing to try out that is more likely than the rest.
func HashAPIKey(key string) string {
	sum := sha256.Sum256([]byte(key))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// A KeyRing knows API keys. It does not change; a new list makes a new ring.
type KeyRing struct {
	name string
	keys map[[sha256.Size]byte]*ringKey
}

type ringKey struct {
	hash      [sha256.Size]byte
	disabled  bool
	principal Principal
}

// NewKeyRing makes a ring of a list of keys, and reports all faults together.
// name is the provider's in the configuration.
func NewKeyRing(name string, list []APIKey) (*KeyRing, error) {
	if len(list) > maxAPIKeys {
		return nil, fmt.Errorf("%d API keys are more than %d", len(list), maxAPIKeys)
	}
	r := &KeyRing{name: name, keys: make(map[[sha256.Size]byte]*ringKey, len(list))}
	ids := make(map[string]bool, len(list))
	var errs []error
	for i := range list {
		k := &list[i]
		if k.ID == "" || len(k.ID) > 128 {
			errs = append(errs, fmt.Errorf("API key %d: the id must have 1 to 128 bytes", i))
			continue
		}
		if ids[k.ID] {
			errs = append(errs, fmt.Errorf("API key %q: the id stands twice", k.ID))
		}
		ids[k.ID] = true
		text, ok := strings.CutPrefix(k.Hash, "sha256:")
		sum, err := hex.DecodeString(text)
		if !ok || err != nil || len(sum) != sha256.Size {
			errs = append(errs, fmt.Errorf("API key %q: the hash must be sha256: and 64 hexadecimal digits", k.ID))
			continue
		}
		hash := [sha256.Size]byte(sum)
		if other := r.keys[hash]; other != nil {
			errs = append(errs, fmt.Errorf("API keys %q and %q are the same key", other.principal.TokenID, k.ID))
		}
		e := &ringKey{hash: hash, disabled: k.Disabled, principal: Principal{
			Subject: orElse(k.Subject, k.ID), Client: k.Client, Tenant: k.Tenant, Scopes: slices.Clone(k.Scopes), Roles: slices.Clone(k.Roles),
			Provider: name, TokenID: k.ID, How: ByAPIKey, Expires: k.Expires,
		}}
		if !k.Expires.IsZero() {
			e.principal.expires = k.Expires.Unix()
		}
		r.keys[hash] = e
	}
	if errs != nil {
		return nil, errors.Join(errs...)
	}
	return r, nil
}

// Len returns how many keys the ring knows.
func (r *KeyRing) Len() int { return len(r.keys) }

// Verify returns whose key it is and OK, or nil and the reason why not. The
// key is found by its hash, of which a caller cannot choose a part, and the
// hash is compared in constant time, so that time tells nothing of the keys
// there are. It allocates nothing.
func (r *KeyRing) Verify(key []byte, now time.Time) (*Principal, exchange.Reason) {
	if len(key) < minAPIKey || len(key) > maxAPIKey {
		return nil, exchange.AuthnAPIKey
	}
	sum := sha256.Sum256(key)
	e := r.keys[sum]
	if e == nil || subtle.ConstantTimeCompare(e.hash[:], sum[:]) != 1 || e.disabled {
		return nil, exchange.AuthnAPIKey
	}
	if e.principal.expires != 0 && now.Unix() >= e.principal.expires {
		return nil, exchange.AuthnExpired
	}
	return &e.principal, exchange.OK
}
