package authn

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport/sallyport/exchange"
)

// A binding is what the sender of a token must have (RFC 7800). The zero
// binding asks for nothing.
type binding struct {
	key  string // jkt: the thumbprint of a key, proven by DPoP (RFC 9449)
	cert string // x5t#S256: the hash of a client certificate (RFC 8705)
}

// bindingOf reads cnf. A confirmation that is not understood cannot be
// checked, so it is a refusal: taken as none it would turn a bound token into
// one that every thief can use.
func bindingOf(c object) (b binding, ok bool) {
	v, there := c["cnf"]
	if !there {
		return b, true
	}
	cnf, ok := v.(object)
	if !ok {
		return b, false
	}
	for name, v := range cnf {
		s, ok := v.(string)
		if !ok || len(s) != 43 { // SHA-256 in base64url
			return b, false
		}
		switch name {
		case "jkt":
			b.key = s
		case "x5t#S256":
			b.cert = s
		default:
			return b, false
		}
	}
	return b, b != binding{}
}

// certificate asks whether the connection's client certificate is the one
// that a token is bound to.
func (b binding) certificate(state *tls.ConnectionState) bool {
	if state == nil || len(state.PeerCertificates) == 0 {
		return false
	}
	sum := sha256.Sum256(state.PeerCertificates[0].Raw)
	var text [43]byte
	base64.RawURLEncoding.Encode(text[:], sum[:])
	return subtle.ConstantTimeCompare(text[:], []byte(b.cert)) == 1
}

// DPoPOptions say which proofs of possession are taken. All fields may be
// zero.
type DPoPOptions struct {
	// Algorithms are those that proofs may be signed with; empty means ES256,
	// ES384, ES512, EdDSA, Ed25519, PS256, PS384, PS512 and RS256.
	Algorithms []string
	// Window is how old a proof may be, 1 s to 5 minutes; 0 means 60 s. It
	// may also lie 5 s ahead.
	Window time.Duration
	// Nonce asks for a nonce of this server in each proof (RFC 9449 section
	// 9), so that proofs cannot be made in advance.
	Nonce bool
	// NonceKey makes the nonces; nodes that share callers share it. nil means
	// one of this process.
	NonceKey []byte
	// Proofs bounds how many proofs are remembered in a window; 0 means
	// 200,000, about 10 MB. When there are more, new ones are answered 503.
	Proofs int
}

// A DPoP checks proofs of possession (RFC 9449) and remembers them, so that
// none serves twice. Its methods may be called at once.
type DPoP struct {
	algs   []*algorithm
	window int64 // seconds
	nonce  bool
	key    []byte
	seen   replayMemory
}

const dpopAhead = 5 // seconds

// NewDPoP checks the options and returns a checker.
func NewDPoP(o DPoPOptions) (*DPoP, error) {
	d := &DPoP{nonce: o.Nonce, key: o.NonceKey}
	if len(o.Algorithms) == 0 {
		o.Algorithms = []string{"ES256", "ES384", "ES512", "EdDSA", "Ed25519", "PS256", "PS384", "PS512", "RS256"}
	}
	for _, name := range o.Algorithms {
		a := algorithmOf(name)
		if a == nil || a.family == familySecret {
			return nil, errors.New("dpop: algorithms: only asymmetric ones can prove a key")
		}
		d.algs = append(d.algs, a)
	}
	if o.Window == 0 {
		o.Window = time.Minute
	}
	if o.Window < time.Second || o.Window > 5*time.Minute {
		return nil, errors.New("dpop: window: must be 1s to 5m")
	}
	d.window = int64(o.Window / time.Second)
	// A proof can come again for as long as its iat is taken.
	d.seen.span, d.seen.max = d.window+dpopAhead, o.Proofs
	if o.Proofs <= 0 {
		d.seen.max = 200_000
	}
	if d.key == nil {
		d.key = make([]byte, 32)
		rand.Read(d.key)
	}
	if len(d.key) < 16 {
		return nil, errors.New("dpop: the key of nonces must have 16 bytes or more")
	}
	return d, nil
}

// Nonce returns the nonce for the DPoP-Nonce field. It serves for one to two
// windows.
func (d *DPoP) Nonce(now time.Time) string { return d.nonceOf(now.Unix() / d.window) }

func (d *DPoP) nonceOf(slot int64) string {
	mac := hmac.New(sha256.New, d.key)
	mac.Write(binary.BigEndian.AppendUint64([]byte("dpop-nonce"), uint64(slot)))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:18])
}

// A Request is what of a request a proof is about.
type Request struct {
	Method string
	Scheme string // http or https
	Host   []byte // with the port, where there is one
	Path   []byte // percent-encoded, without the query
	DPoP   []byte // the value of the one DPoP field; nil where there is none
	TLS    *tls.ConnectionState
}

// check asks whether a proof (RFC 9449 section 4.3) shows that the sender has
// the key of a thumbprint, for this request and this token.
func (d *DPoP) check(r *Request, token []byte, thumbprint string, now int64) exchange.Reason {
	if r.DPoP == nil {
		return exchange.AuthnBinding
	}
	t, reason := parse(r.DPoP)
	switch {
	case reason == exchange.AuthnAlgorithm:
		return reason
	case reason != exchange.OK:
		return exchange.AuthnMalformed
	case t.typ != "dpop+jwt":
		return exchange.AuthnType
	}
	var alg *algorithm
	for _, a := range d.algs {
		if a.name == t.alg {
			alg = a
		}
	}
	if alg == nil {
		return exchange.AuthnAlgorithm
	}
	if _, there := t.jwk.(object); !there {
		return exchange.AuthnMalformed
	}
	// The same rules as for the keys of issuers: public, strong, on its curve.
	k, why := parseKey(t.jwk)
	if why != "" || !k.fits(alg) {
		return exchange.AuthnMalformed
	}
	if !alg.verify(k.public, t.signed, t.signature) {
		return exchange.AuthnSignature
	}
	if subtle.ConstantTimeCompare([]byte(k.thumbprint), []byte(thumbprint)) != 1 {
		return exchange.AuthnBinding
	}
	// From here on the proof is the key's own.
	c := t.claims
	if m, ok := c["htm"].(string); !ok || m != r.Method {
		return exchange.AuthnBinding
	}
	if u, ok := c["htu"].(string); !ok || !r.is(u) {
		return exchange.AuthnBinding
	}
	ath := sha256.Sum256(token)
	if a, ok := c["ath"].(string); !ok || a != base64.RawURLEncoding.EncodeToString(ath[:]) {
		return exchange.AuthnBinding
	}
	iat, there, ok := date(c, "iat")
	if !there || !ok {
		return exchange.AuthnClaims
	}
	if iat > now+dpopAhead {
		return exchange.AuthnNotYet
	}
	if iat < now-d.window {
		return exchange.AuthnExpired
	}
	jti, ok := c["jti"].(string)
	if !ok || jti == "" || len(jti) > maxText {
		return exchange.AuthnClaims
	}
	if d.nonce {
		n, _ := c["nonce"].(string)
		slot := now / d.window
		if n == "" || !same(n, d.nonceOf(slot)) && !same(n, d.nonceOf(slot-1)) {
			return exchange.AuthnNonce
		}
	}
	return d.seen.remember(now, thumbprint, jti)
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// is reports whether a URL is that of the request, query and fragment aside
// (RFC 9449 section 4.3: after the normalisation of RFC 3986 section 6.2.2
// and 6.2.3, of which the path, canonical already, needs none).
func (r *Request) is(htu string) bool {
	if len(htu) > 8<<10 {
		return false
	}
	u, err := url.Parse(htu)
	if err != nil || u.User != nil || u.Opaque != "" || !strings.EqualFold(u.Scheme, r.Scheme) {
		return false
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	return authority(u.Host, r.Scheme) == authority(string(r.Host), r.Scheme) && path == string(r.Path)
}

// authority is a host in one form: lower case, without the scheme's port.
func authority(host, scheme string) string {
	host = strings.ToLower(host)
	if h, port, err := net.SplitHostPort(host); err == nil && (port == "" || port == "443" && scheme == "https" || port == "80" && scheme == "http") {
		if strings.Contains(h, ":") {
			h = "[" + h + "]"
		}
		return h
	}
	return host
}
