package authn

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // the hashes of the algorithms
	_ "crypto/sha512"
	"encoding/base64"
	"math/big"
	"strings"
	"sync"

	"github.com/sallyport/sallyport/exchange"
)

// Bounds of a token. They hold before anything is decoded.
const (
	MaxToken  = 16 << 10 // bytes
	maxHeader = 4 << 10  // decoded
	maxKeyID  = 256
)

// A family is the kind of key that an algorithm needs.
type family uint8

const (
	familyRSA family = iota + 1
	familyEC
	familyEd25519
	familySecret
)

// An algorithm is one of JWA (RFC 7518, RFC 8037, RFC 9864).
type algorithm struct {
	name   string
	family family
	hash   crypto.Hash
	pss    bool
	curve  elliptic.Curve
	size   int // of the signature, where it is fixed
}

var algorithms = []algorithm{
	{name: "ES256", family: familyEC, hash: crypto.SHA256, curve: elliptic.P256(), size: 64},
	{name: "ES384", family: familyEC, hash: crypto.SHA384, curve: elliptic.P384(), size: 96},
	{name: "ES512", family: familyEC, hash: crypto.SHA512, curve: elliptic.P521(), size: 132},
	{name: "EdDSA", family: familyEd25519, size: ed25519.SignatureSize},
	{name: "Ed25519", family: familyEd25519, size: ed25519.SignatureSize},
	{name: "RS256", family: familyRSA, hash: crypto.SHA256},
	{name: "RS384", family: familyRSA, hash: crypto.SHA384},
	{name: "RS512", family: familyRSA, hash: crypto.SHA512},
	{name: "PS256", family: familyRSA, hash: crypto.SHA256, pss: true},
	{name: "PS384", family: familyRSA, hash: crypto.SHA384, pss: true},
	{name: "PS512", family: familyRSA, hash: crypto.SHA512, pss: true},
	{name: "HS256", family: familySecret, hash: crypto.SHA256, size: 32},
	{name: "HS384", family: familySecret, hash: crypto.SHA384, size: 48},
	{name: "HS512", family: familySecret, hash: crypto.SHA512, size: 64},
}

// algorithmOf returns the algorithm of exactly this name, or nil.
func algorithmOf(name string) *algorithm {
	for i := range algorithms {
		if algorithms[i].name == name {
			return &algorithms[i]
		}
	}
	return nil
}

// A jws is a token taken apart. Nothing in it has been verified.
type jws struct {
	alg       string
	keyID     string
	hasKeyID  bool
	typ       string // lower case, without "application/"; "" where there is none
	jwk       any    // the key that the header brings, which only a DPoP proof may
	claims    object
	signed    []byte // what the signature is over
	signature []byte
}

// parse takes a token in compact form apart. It refuses whatever another
// reader might read differently.
func parse(token []byte) (*jws, exchange.Reason) {
	if len(token) == 0 || len(token) > MaxToken {
		return nil, exchange.AuthnMalformed
	}
	var dot [2]int
	n := 0
	for i, c := range token {
		if c == '.' {
			if n == 2 {
				return nil, exchange.AuthnMalformed // encrypted (RFC 7516), or nothing known
			}
			dot[n] = i
			n++
		} else if !isBase64URL(c) {
			return nil, exchange.AuthnMalformed
		}
	}
	if n != 2 || dot[0] == 0 || dot[1] == dot[0]+1 || base64.RawURLEncoding.DecodedLen(dot[0]) > maxHeader {
		return nil, exchange.AuthnMalformed
	}
	t := &jws{signed: token[:dot[1]]}
	raw, ok := decode(token[:dot[0]])
	if !ok {
		return nil, exchange.AuthnMalformed
	}
	header, err := parseObject(raw)
	if err != nil {
		return nil, exchange.AuthnMalformed
	}
	if reason := t.header(header); reason != exchange.OK {
		return nil, reason
	}
	if raw, ok = decode(token[dot[0]+1 : dot[1]]); !ok {
		return nil, exchange.AuthnMalformed
	}
	if t.claims, err = parseObject(raw); err == errTwice {
		return nil, exchange.AuthnClaims
	} else if err != nil {
		return nil, exchange.AuthnMalformed
	}
	if t.signature, ok = decode(token[dot[1]+1:]); !ok {
		return nil, exchange.AuthnMalformed
	}
	return t, exchange.OK
}

// header reads the JOSE header. What it says of keys and places to get them
// (jku, jwk, x5u, x5c) chooses nothing.
func (t *jws) header(h object) exchange.Reason {
	var ok bool
	if t.alg, ok = h["alg"].(string); !ok {
		return exchange.AuthnAlgorithm
	}
	if kid, there := h["kid"]; there {
		if t.keyID, ok = kid.(string); !ok || len(t.keyID) > maxKeyID {
			return exchange.AuthnMalformed
		}
		t.hasKeyID = true
	}
	t.jwk = h["jwk"]
	if typ, there := h["typ"]; there {
		if t.typ, ok = typ.(string); !ok {
			return exchange.AuthnType
		}
		// RFC 7515 section 4.1.9.
		t.typ = strings.TrimPrefix(strings.ToLower(t.typ), "application/")
	}
	// No extension is understood, so any that must be is a refusal (RFC 7515
	// section 4.1.11); b64 and zip change what is signed or read, and cty
	// announces a token within the token.
	for _, name := range [...]string{"crit", "b64", "zip", "enc"} {
		if _, there := h[name]; there {
			return exchange.AuthnType
		}
	}
	if cty, there := h["cty"]; there {
		if s, ok := cty.(string); !ok || strings.EqualFold(strings.TrimPrefix(strings.ToLower(s), "application/"), "jwt") {
			return exchange.AuthnType
		}
	}
	return exchange.OK
}

func isBase64URL(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// strict refuses unused bits that are set: two texts would be one token.
var strict = base64.RawURLEncoding.Strict()

// decode reads base64url without padding. Its alphabet was checked before,
// as the library would skip line ends.
func decode(s []byte) ([]byte, bool) {
	b := make([]byte, strict.DecodedLen(len(s)))
	n, err := strict.Decode(b, s)
	return b[:n], err == nil
}

// verify reports whether the signature is that of a key by an algorithm. The
// key must be of the algorithm's family.
func (a *algorithm) verify(key any, signed, signature []byte) bool {
	if a.size != 0 && len(signature) != a.size {
		return false
	}
	if a.family == familyEd25519 {
		k, ok := key.(ed25519.PublicKey)
		return ok && len(k) == ed25519.PublicKeySize && ed25519.Verify(k, signed, signature)
	}
	if a.family == familySecret {
		k, ok := key.([]byte)
		if !ok {
			return false
		}
		mac := hmac.New(a.hash.New, k)
		mac.Write(signed)
		return hmac.Equal(mac.Sum(nil), signature)
	}
	h := a.hash.New()
	h.Write(signed)
	var buf [64]byte
	digest := h.Sum(buf[:0])
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		if a.family != familyEC || k.Curve != a.curve {
			return false
		}
		r, s := new(big.Int).SetBytes(signature[:a.size/2]), new(big.Int).SetBytes(signature[a.size/2:])
		return ecdsa.Verify(k, digest, r, s) // refuses 0 and what is not below the order
	case *rsa.PublicKey:
		if a.family != familyRSA || len(signature) != k.Size() {
			return false
		}
		if a.pss {
			// RFC 7518 section 3.5: the salt is as long as the hash.
			return rsa.VerifyPSS(k, a.hash, digest, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
		return rsa.VerifyPKCS1v15(k, a.hash, digest, signature) == nil
	}
	return false
}

// decoys are keys that nobody has the other half of.
var decoys = struct {
	rsa, ec256, ec384, ec521, ed func() any
}{
	sync.OnceValue(func() any {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		return publicOf(&k.PublicKey, err)
	}),
	sync.OnceValue(func() any { return decoyEC(elliptic.P256()) }),
	sync.OnceValue(func() any { return decoyEC(elliptic.P384()) }),
	sync.OnceValue(func() any { return decoyEC(elliptic.P521()) }),
	sync.OnceValue(func() any {
		k, _, err := ed25519.GenerateKey(rand.Reader)
		return publicOf(k, err)
	}),
}

func decoyEC(c elliptic.Curve) any {
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	return publicOf(&k.PublicKey, err)
}

func publicOf(k any, err error) any {
	if err != nil {
		panic(err) // the system has no randomness
	}
	return k
}

// pretend spends as much time as a verification would, so that the time of a
// refusal does not tell an unknown key from a bad signature.
func (a *algorithm) pretend(signed, signature []byte) {
	var key any
	switch {
	case a.family == familyRSA:
		key = decoys.rsa()
		// Below the modulus, as a larger one is refused at once.
		below := make([]byte, key.(*rsa.PublicKey).Size())
		copy(below[1:], signature)
		signature = below
	case a.family == familyEd25519:
		key = decoys.ed()
	case a.curve == elliptic.P256():
		key = decoys.ec256()
	case a.curve == elliptic.P384():
		key = decoys.ec384()
	case a.curve == elliptic.P521():
		key = decoys.ec521()
	default:
		return
	}
	a.verify(key, signed, signature)
}
