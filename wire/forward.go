package wire

import (
	"bytes"
	"net/netip"
	"strings"

	"github.com/sallyport/sallyport/exchange"
)

// A Forwarder makes the header that goes upstream. It is not changed while it
// is in use.
type Forwarder struct {
	// Pseudonym names this proxy in Via (RFC 9110 section 7.6.3). It must be
	// a token, and differ from that of every other proxy on the way, since a
	// request that already has it has come in a circle. Empty writes no Via.
	Pseudonym string
	// Trusted are the peers whose own X-Forwarded fields are believed and
	// continued. From all others they are dropped.
	Trusted []netip.Prefix
	// Drop are names of further fields that callers may not set, in lower
	// case: those by which the gateway itself tells the upstream something.
	// A name that ends in "*" stands for all that begin so.
	Drop []string
}

// Request appends to dst the fields of req that go upstream. It leaves out what
// belongs to the connection, what frames the message (the client writes that
// afresh), and what a caller could pretend with, also where it is spelt with
// "_" for "-", and adds X-Forwarded-For, -Host and -Proto and Via. Values that
// are made are appended to scratch; the header borrows it, and req.
//
// The reason is OK, WireLoop, or WireMalformed where Connection names a field
// that is not the connection's.
func (f *Forwarder) Request(dst exchange.Header, scratch []byte, req *exchange.Request) (exchange.Header, exchange.Reason) {
	trusted := f.trusts(req.Remote.Addr())
	var proto, host []byte
	mark := len(scratch)
	for i := range req.Header {
		fd := &req.Header[i]
		switch fd.ID {
		case exchange.Connection:
			var ignored framing
			if !connectionOptions(fd.Value, &ignored) {
				return dst, exchange.WireMalformed
			}
			continue
		case exchange.ContentLength, exchange.Expect, exchange.Host, exchange.HTTP2Settings, exchange.KeepAlive,
			exchange.ProxyAuthenticate, exchange.ProxyAuthorization, exchange.ProxyConnection, exchange.TE,
			exchange.Trailer, exchange.TransferEncoding, exchange.Upgrade,
			exchange.Forwarded, exchange.XForwardedPort, exchange.XForwardedPrefix, exchange.XHTTPMethodOverride,
			exchange.XOriginalURL, exchange.XRealIP, exchange.XRewriteURL,
			exchange.SallyportReason, exchange.SallyportRequestID:
			continue
		case exchange.XForwardedFor:
			if trusted {
				scratch = append(append(scratch, fd.Value...), ", "...)
			}
			continue
		case exchange.XForwardedHost:
			if trusted && validHost(fd.Value) {
				host = fd.Value
			}
			continue
		case exchange.XForwardedProto:
			if trusted && (exchange.EqualFold(fd.Value, "http") || exchange.EqualFold(fd.Value, "https")) {
				proto = fd.Value
			}
			continue
		case exchange.Via:
			if f.Pseudonym != "" && viaNames(fd.Value, f.Pseudonym) {
				return dst, exchange.WireLoop
			}
		case exchange.Other:
			if f.pretends(fd.Name) {
				continue
			}
		}
		dst = append(dst, *fd)
	}
	if req.Remote.IsValid() {
		scratch = req.Remote.Addr().WithZone("").AppendTo(scratch)
	} else {
		scratch = append(scratch, "unknown"...) // a Unix socket
	}
	dst = append(dst, exchange.F(exchange.XForwardedFor, scratch[mark:len(scratch):len(scratch)]))
	if host == nil {
		host = req.Host
	}
	if len(host) > 0 {
		dst = append(dst, exchange.F(exchange.XForwardedHost, host))
	}
	switch {
	case proto != nil:
	case req.Scheme == "https":
		proto = httpsName
	default:
		proto = httpName
	}
	dst = append(dst, exchange.F(exchange.XForwardedProto, proto))
	if f.Pseudonym != "" {
		mark = len(scratch)
		scratch = append(scratch, viaVersion(req.Proto)...)
		scratch = append(scratch, f.Pseudonym...)
		dst = append(dst, exchange.F(exchange.Via, scratch[mark:len(scratch):len(scratch)]))
	}
	return dst, exchange.OK
}

var httpName, httpsName = []byte("http"), []byte("https")

func viaVersion(p exchange.Proto) string {
	switch p {
	case exchange.HTTP10:
		return "1.0 "
	case exchange.HTTP2:
		return "2.0 "
	case exchange.HTTP3:
		return "3.0 "
	}
	return "1.1 "
}

func (f *Forwarder) trusts(a netip.Addr) bool {
	for _, p := range f.Trusted {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// pretenders are fields by which proxies, frameworks or CGI are told who
// calls, or what to do instead. A name that ends in "*" is a prefix.
var pretenders = []string{
	"x-forwarded*", "x-real-*", "x-original-*", "x-rewrite-*", "x-envoy-*", "x-sallyport-*", "sallyport-*",
	"x-client-ip", "x-cluster-client-ip", "x-remote-*", "x-host", "x-http-method", "x-method-override", "x-http-destinationurl",
	"true-client-ip", "client-ip", "cf-connecting-ip", "fastly-client-ip", "remote-*", "proxy",
}

// pretends reports whether a field that is not a known one must not come from
// a caller.
func (f *Forwarder) pretends(name []byte) bool {
	if bytes.IndexByte(name, '_') >= 0 {
		// A name that is a known one when "_" is read as "-", as CGI and
		// what descends from it does, would get past whoever looks for
		// the known one.
		var folded [40]byte
		if n := copy(folded[:], name); n == len(name) {
			for i, c := range folded[:n] {
				if c == '_' {
					folded[i] = '-'
				}
			}
			if exchange.KnownName(folded[:n]) != exchange.Other {
				return true
			}
		}
	}
	switch name[0] | 0x20 {
	case 'c', 'f', 'p', 'r', 's', 't', 'x': // the first letters of pretenders
		for _, p := range pretenders {
			if named(name, p) {
				return true
			}
		}
	}
	for _, p := range f.Drop {
		if named(name, p) {
			return true
		}
	}
	return false
}

// named reports whether name, with "_" read as "-", is p, or begins with it
// where p ends in "*".
func named(name []byte, p string) bool {
	if prefix, wild := strings.CutSuffix(p, "*"); wild {
		return len(name) >= len(prefix) && foldsTo(name[:len(prefix)], prefix)
	}
	return foldsTo(name, p)
}

// viaNames reports whether a Via field names who as the one a message was
// received by.
func viaNames(v []byte, who string) bool {
	for len(v) > 0 {
		hop := v
		v = nil
		if i := bytes.IndexByte(hop, ','); i >= 0 {
			hop, v = hop[:i], hop[i+1:]
		}
		hop = trimOWS(hop)
		if i := bytes.IndexByte(hop, ' '); i >= 0 { // behind the protocol
			hop = trimOWS(hop[i+1:])
			if i := bytes.IndexAny(hop, " \t("); i >= 0 {
				hop = hop[:i]
			}
			if string(hop) == who {
				return true
			}
		}
	}
	return false
}

// ResponseHeader appends to dst the fields of an upstream's answer that go back
// to the caller: without what belongs to the connection or frames the message,
// without what only Sallyport may say, and without Alt-Svc, which would show
// callers a way past the proxy.
func ResponseHeader(dst, h exchange.Header) exchange.Header {
	var options []byte // of a Connection field that names other fields
	for i := range h {
		if h[i].ID == exchange.Connection {
			var ignored framing
			if !connectionOptions(h[i].Value, &ignored) {
				options = h[i].Value
			}
		}
	}
	for i := range h {
		fd := &h[i]
		switch fd.ID {
		case exchange.Connection, exchange.ContentLength, exchange.HTTP2Settings, exchange.KeepAlive,
			exchange.ProxyAuthenticate, exchange.ProxyConnection, exchange.TE, exchange.Trailer,
			exchange.TransferEncoding, exchange.Upgrade, exchange.SallyportReason, exchange.SallyportRequestID:
			continue
		case exchange.Other:
			if exchange.EqualFold(fd.Name, "alt-svc") || framingLookalike(fd.Name) {
				continue
			}
		}
		if options != nil && connectionNames(h, fd.Name) {
			continue
		}
		dst = append(dst, *fd)
	}
	return dst
}

// connectionNames reports whether a Connection field of h names a field.
func connectionNames(h exchange.Header, name []byte) bool {
	for i := range h {
		if h[i].ID != exchange.Connection {
			continue
		}
		for v := h[i].Value; len(v) > 0; {
			opt := v
			v = nil
			if i := bytes.IndexByte(opt, ','); i >= 0 {
				opt, v = opt[:i], opt[i+1:]
			}
			if bytes.EqualFold(trimOWS(opt), name) {
				return true
			}
		}
	}
	return false
}
