package authn

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Bounds of a key set.
const (
	MaxDocument = 1 << 20 // bytes of a key set or discovery document
	maxKeys     = 200
	minRSA      = 2048 // bits (RFC 7518 section 3.3)
	maxRSA      = 8192 // more only costs us time
	maxTries    = 4    // keys that a token without kid is tried with
)

// A key is one public key, or a secret, of an issuer.
type key struct {
	id     string
	hasID  bool
	alg    string // the only algorithm it is for, or ""
	family family
	public any    // *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey, []byte
	print  string // what tells it from all others
	// thumbprint is that of RFC 7638 with SHA-256, as jkt has it.
	thumbprint string
	// gone is set when the issuer no longer publishes the key, which ends
	// every token that was verified with it.
	gone atomic.Bool
}

// fits reports whether the key is for an algorithm.
func (k *key) fits(a *algorithm) bool {
	if k.family != a.family || k.alg != "" && k.alg != a.name {
		return false
	}
	ec, ok := k.public.(*ecdsa.PublicKey)
	return !ok || ec.Curve == a.curve
}

// A keySet is the keys of an issuer at one time. It does not change.
type keySet struct {
	keys    []*key
	fetched time.Time // zero where the keys are of the configuration
}

// candidates returns the keys that a token can have been signed with: those
// of its kid, or without one all that are for its algorithm.
func (s *keySet) candidates(t *jws, a *algorithm, buf []*key) []*key {
	for _, k := range s.keys {
		if t.hasKeyID && !(k.hasID && k.id == t.keyID) || !k.fits(a) {
			continue
		}
		if len(buf) == maxTries {
			return nil // too many to guess
		}
		buf = append(buf, k)
	}
	return buf
}

// successor makes next follow s: keys that stay are the same, and those that
// went are marked.
func (s *keySet) successor(next *keySet) *keySet {
	for i, k := range next.keys {
		for _, old := range s.keys {
			if old.print == k.print {
				next.keys[i] = old
			}
		}
	}
	for _, old := range s.keys {
		if !slices.Contains(next.keys, old) {
			old.gone.Store(true)
		}
	}
	return next
}

// parseKeys reads a JWK Set (RFC 7517 section 5). What cannot or may not
// verify a signature is left out, with a note for the log: unknown kinds,
// secrets, keys whose private part is published, keys for encryption, weak
// keys, points not on their curve, and ids that two keys of one kind have. An
// error says that the document is no key set, or that nothing is left.
func parseKeys(doc []byte) (set *keySet, notes []string, err error) {
	if len(doc) > MaxDocument {
		return nil, nil, errors.New("the key set is larger than 1 MiB")
	}
	o, err := parseObject(doc)
	if err != nil {
		return nil, nil, fmt.Errorf("the key set is %w", err)
	}
	list, ok := o["keys"].([]any)
	if !ok {
		return nil, nil, errors.New("the key set has no array keys")
	}
	if len(list) > maxKeys {
		return nil, nil, fmt.Errorf("the key set has %d keys, more than %d", len(list), maxKeys)
	}
	set = &keySet{}
	for i, v := range list {
		k, why := parseKey(v)
		if why != "" {
			notes = append(notes, fmt.Sprintf("key %d: %s", i, why))
			continue
		}
		if slices.ContainsFunc(set.keys, func(o *key) bool { return o.print == k.print }) {
			continue // the same again
		}
		set.keys = append(set.keys, k)
	}
	// A kid that means two keys means none.
	twice := func(k *key) bool {
		for _, o := range set.keys {
			if o != k && o.hasID && k.hasID && o.id == k.id && o.family == k.family {
				return true
			}
		}
		return false
	}
	var single []*key
	for _, k := range set.keys {
		if twice(k) {
			notes = append(notes, fmt.Sprintf("kid %.64q belongs to two keys", k.id))
			continue
		}
		single = append(single, k)
	}
	set.keys = single
	if len(set.keys) == 0 {
		return nil, notes, errors.New("the key set has no usable key")
	}
	return set, notes, nil
}

// parseKey reads one JWK, or says why it is left out.
func parseKey(v any) (k *key, why string) {
	o, ok := v.(object)
	if !ok {
		return nil, "is no object"
	}
	for _, private := range [...]string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"} {
		if _, there := o[private]; there {
			return nil, "its private part is published"
		}
	}
	k = &key{}
	if id, there := o["kid"]; there {
		if k.id, ok = id.(string); !ok || len(k.id) > maxKeyID {
			return nil, "its kid is no short string"
		}
		k.hasID = true
	}
	if use, there := o["use"]; there && use != "sig" {
		return nil, "is not for signatures"
	}
	if ops, there := o["key_ops"]; there {
		list, ok := ops.([]any)
		if !ok || !slices.Contains(list, any("verify")) {
			return nil, "is not for verifying"
		}
	}
	if alg, there := o["alg"]; there {
		if k.alg, ok = alg.(string); !ok || algorithmOf(k.alg) == nil {
			return nil, "is for an algorithm that is not supported"
		}
	}
	// The library gets only what makes the key: no certificates, no URLs.
	plain := map[string]any{}
	for _, name := range [...]string{"kty", "crv", "n", "e", "x", "y"} {
		if s, ok := o[name].(string); ok {
			plain[name] = s
		}
	}
	text, err := json.Marshal(plain)
	if err != nil {
		return nil, "cannot be read"
	}
	var jwk jose.JSONWebKey
	if err := jwk.UnmarshalJSON(text); err != nil || !jwk.Valid() {
		return nil, "is of an unknown kind or broken"
	}
	switch p := jwk.Key.(type) {
	case *rsa.PublicKey:
		k.family = familyRSA
		if n := p.N.BitLen(); n < minRSA || n > maxRSA {
			return nil, fmt.Sprintf("has %d bits, not %d to %d", n, minRSA, maxRSA)
		}
		if p.E < 3 || p.E&1 == 0 || p.E > 1<<31-1 || p.N.Bit(0) == 0 {
			return nil, "has a bad exponent or modulus"
		}
	case *ecdsa.PublicKey:
		k.family = familyEC
		if _, err := p.ECDH(); err != nil { // the point is on the curve, and not at infinity
			return nil, "is not on its curve"
		}
	case ed25519.PublicKey:
		k.family = familyEd25519
	default:
		return nil, "is of an unknown kind"
	}
	k.public = jwk.Key
	sum, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, "has no thumbprint"
	}
	k.thumbprint = base64.RawURLEncoding.EncodeToString(sum)
	// What a key may do is a part of what it is.
	k.print = fmt.Sprintf("%x/%t/%s/%s", sum, k.hasID, k.id, k.alg)
	if k.alg != "" && !k.fits(algorithmOf(k.alg)) {
		return nil, "is not for the algorithm that it names"
	}
	return k, ""
}
