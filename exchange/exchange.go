// Package exchange holds one request and its response, whatever carried them,
// and the verdict on them.
//
// A door (the gateway, Envoy's filter, the middleware) fills a [Request] from
// its own protocol and asks the guard. Everything here is plain data that
// borrows the door's buffers: nothing is copied, nothing is looked up by name,
// and nothing may be kept after the exchange has ended. The package knows
// neither net/http nor any API.
package exchange

import (
	"crypto/tls"
	"net/netip"
	"time"
)

// A Request is what a caller sent. Byte slices borrow the door's buffers and
// are valid until the exchange ends.
type Request struct {
	Method string // a token as RFC 9110 section 9.1 has it; letters keep their case
	Scheme string // "http" or "https", from the connection and never from a header
	Host   []byte // the authority the request names, as received
	Path   []byte // the path as received, percent-encoded, without the query
	Query  []byte // the query as received, without its question mark
	// HasQuery tells "/a?" from "/a".
	HasQuery bool
	Header   Header
	Body     []byte // the whole body, where it was read; content coding still on
	// Length is the length the request declares: -1 where it is not known
	// before the end (chunked, or HTTP/2 without Content-Length).
	Length int64
	// Remote is the peer of the connection. Who the caller is behind
	// trusted proxies is decided by the guard.
	Remote netip.AddrPort
	TLS    *tls.ConnectionState // nil on cleartext
	Proto  Proto
	Began  time.Time
}

// A Response is what the upstream answered.
type Response struct {
	Status int
	Header Header
	Body   []byte // the whole body, where it was read; content coding still on
	Length int64  // as declared; -1 where it is not known before the end
}

// A Proto is the protocol that carried a request.
type Proto uint8

// The protocols a door speaks.
const (
	HTTP11 Proto = iota
	HTTP10
	HTTP2
	HTTP3
)

func (p Proto) String() string {
	switch p {
	case HTTP10:
		return "HTTP/1.0"
	case HTTP2:
		return "HTTP/2"
	case HTTP3:
		return "HTTP/3"
	}
	return "HTTP/1.1"
}

// An Action is what becomes of an exchange.
type Action uint8

// Deny is the zero value: what nobody decided is refused.
const (
	Deny Action = iota
	Allow
)

// A Verdict says what happens to an exchange. The zero Verdict denies.
type Verdict struct {
	Action Action
	Reason Reason
}

// Denied is the verdict that refuses for a reason.
func Denied(r Reason) Verdict { return Verdict{Deny, r} }

// Allowed is the verdict that lets pass.
var Allowed = Verdict{Allow, OK}
