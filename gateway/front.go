package gateway

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/sallyport/sallyport/exchange"
	"github.com/sallyport/sallyport/wire"
)

// A front is the caller's side of an exchange. *wire.Conn is one as it
// stands; http2Front makes one of what net/http gives.
type front interface {
	// Request is the head. What it borrows is valid until the exchange ends.
	Request() *exchange.Request
	// ReadBody reads the whole body, at most max bytes, over dst.
	ReadBody(dst []byte, max int) ([]byte, error)
	// Body is the body as a stream, instead of ReadBody.
	Body() io.Reader
	// Inform sends an interim answer (1xx).
	Inform(status int, h exchange.Header) error
	// Respond sends the final answer from memory, Stream from a reader; n is
	// its length, or -1. Framing and hop-by-hop fields of h are passed over.
	Respond(status int, h exchange.Header, body []byte) error
	Stream(status int, h exchange.Header, n int64, r io.Reader) error
	// Status is that of the final answer once it has begun, else 0; Sent is
	// how many bytes of its body have gone.
	Status() int
	Sent() int64
}

// http2Front is an exchange over net/http's HTTP/2.
type http2Front struct {
	w http.ResponseWriter
	r *http.Request

	req    exchange.Request
	fields exchange.Header
	text   []byte // what req borrows
	copy   []byte // between upstream and caller
	status int
	sent   int64
	broken bool // the answer began and could not be finished
}

var http2Fronts = sync.Pool{New: func() any { return new(http2Front) }}

// bounds of a request's head, as the wire has them.
type headLimits struct {
	line   int // bytes of the path and query
	fields int
}

// methods are those that the wire takes.
var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"}

// head reads the request's head into f.req. The reason says what is wrong
// with it: net/http takes more than the wire does, and what the wire refuses
// must not come in by another protocol.
func (f *http2Front) head(limits headLimits) exchange.Reason {
	r := f.r
	f.req = exchange.Request{Method: r.Method, Scheme: "http", Length: r.ContentLength, Proto: exchange.HTTP2}
	if state, ok := r.Context().Value(tlsKey{}).(*tls.ConnectionState); ok {
		f.req.Scheme, f.req.TLS = "https", state
	}
	f.req.Remote, _ = netip.ParseAddrPort(r.RemoteAddr)
	f.fields, f.text = f.fields[:0], f.text[:0]

	f.req.Host = f.keep(r.Host)
	path, query, hasQuery := strings.Cut(r.RequestURI, "?")
	f.req.Path, f.req.Query, f.req.HasQuery = f.keep(path), f.keep(query), hasQuery

	switch {
	case !slices.Contains(methods, r.Method):
		return exchange.WireMethod
	case len(r.RequestURI) > limits.line:
		return exchange.WireURITooLong
	case !targetBytes(r.RequestURI) || !wire.ValidHost(f.req.Host):
		return exchange.WireMalformed
	case f.req.TLS != nil && f.req.TLS.ServerName != "" && !sameHost(f.req.Host, f.req.TLS.ServerName):
		// The connection was made for another host (RFC 9110 section 7.4).
		return exchange.WireMisdirected
	}
	lengths := 0
	for name, values := range r.Header {
		for _, v := range values {
			if len(f.fields) == limits.fields {
				return exchange.WireHeaderTooLarge
			}
			n := f.keep(name)
			f.fields = append(f.fields, exchange.Field{ID: exchange.KnownName(n), Name: n, Value: f.keep(strings.Trim(v, " \t"))})
			switch f.fields[len(f.fields)-1].ID {
			case exchange.Host:
				// :authority is the host (RFC 9113 section 8.3.1), and a
				// Host beside it must say the same.
				if !strings.EqualFold(v, r.Host) {
					return exchange.WireMalformed
				}
			case exchange.ContentLength:
				lengths++
				if n, err := strconv.ParseInt(v, 10, 64); err != nil || n < 0 || v[0] == '+' || lengths > 1 || n != r.ContentLength {
					return exchange.WireFraming
				}
			case exchange.TransferEncoding, exchange.Connection, exchange.KeepAlive, exchange.ProxyConnection, exchange.Upgrade:
				return exchange.WireFraming // RFC 9113 section 8.2.2
			case exchange.Expect:
				if !strings.EqualFold(v, "100-continue") {
					return exchange.WireExpectation
				}
			}
		}
	}
	f.req.Header = f.fields
	return exchange.OK
}

// keep copies s to where the request may borrow it.
func (f *http2Front) keep(s string) []byte {
	n := len(f.text)
	f.text = append(f.text, s...)
	return f.text[n:len(f.text):len(f.text)]
}

// targetBytes reports whether a path and query hold only what RFC 3986
// permits, and brackets, which stand bare in the queries of many clients.
func targetBytes(s string) bool {
	for i := range len(s) {
		c := s[i]
		if 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("-._~%!$&'()*+,;=:@/?[]", c) >= 0 {
			continue
		}
		return false
	}
	return len(s) > 0
}

func (f *http2Front) Request() *exchange.Request { return &f.req }

func (f *http2Front) ReadBody(dst []byte, max int) ([]byte, error) {
	if f.r.ContentLength > int64(max) {
		return nil, wire.ErrTooLarge
	}
	dst = dst[:0]
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, 0)[:len(dst)]
		}
		n, err := f.r.Body.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst) > max:
			return nil, wire.ErrTooLarge
		case err == io.EOF:
			return dst, nil
		case err != nil:
			return nil, bodyFault(err)
		}
	}
}

// bodyFault says by the wire's errors what became of a body.
func bodyFault(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return wire.ErrTimeout
	}
	return wire.ErrTruncated
}

func (f *http2Front) Body() io.Reader { return http2Body{f.r.Body} }

// http2Body is a body whose errors are the wire's.
type http2Body struct{ r io.Reader }

func (b http2Body) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && err != io.EOF {
		err = bodyFault(err)
	}
	return n, err
}

func (f *http2Front) Inform(status int, h exchange.Header) error {
	if f.status != 0 {
		return wire.ErrAnswered
	}
	dst := f.w.Header()
	setFields(dst, h)
	f.w.WriteHeader(status)
	clear(dst) // they are not those of the final answer
	return nil
}

func (f *http2Front) Respond(status int, h exchange.Header, body []byte) error {
	if f.status != 0 {
		return wire.ErrAnswered
	}
	f.begin(status, h, int64(len(body)))
	n, err := f.w.Write(body)
	f.sent += int64(n)
	if errors.Is(err, http.ErrBodyNotAllowed) || f.r.Method == http.MethodHead {
		return nil
	}
	f.broken = err != nil
	return err
}

func (f *http2Front) Stream(status int, h exchange.Header, length int64, r io.Reader) error {
	if f.status != 0 {
		return wire.ErrAnswered
	}
	f.begin(status, h, length)
	if f.r.Method == http.MethodHead || status == http.StatusNoContent || status == http.StatusNotModified {
		return nil
	}
	if f.copy == nil {
		f.copy = make([]byte, 32<<10)
	}
	flush := f.w.(http.Flusher)
	for {
		n, err := r.Read(f.copy)
		if n > 0 {
			m, err := f.w.Write(f.copy[:n])
			f.sent += int64(m)
			if err != nil {
				f.broken = true
				return err
			}
			// What the upstream sends as it comes is passed on as it comes.
			flush.Flush()
		}
		switch {
		case err == io.EOF:
			if length >= 0 && f.sent != length {
				f.broken = true
				return wire.ErrTruncated
			}
			return nil
		case err != nil:
			f.broken = true
			return err
		}
	}
}

// begin sends the head of the final answer.
func (f *http2Front) begin(status int, h exchange.Header, length int64) {
	f.status = status
	dst := f.w.Header()
	setFields(dst, h)
	if _, ok := dst["Content-Type"]; !ok {
		dst["Content-Type"] = nil // net/http would guess one
	}
	if length >= 0 && status != http.StatusNoContent {
		dst["Content-Length"] = []string{strconv.FormatInt(length, 10)}
	}
	f.w.WriteHeader(status)
}

// setFields copies a header, but for what HTTP/2 forbids or frames by itself.
func setFields(dst http.Header, h exchange.Header) {
	for i := range h {
		switch h[i].ID {
		case exchange.ContentLength, exchange.TransferEncoding, exchange.Connection, exchange.KeepAlive,
			exchange.ProxyConnection, exchange.Upgrade, exchange.TE, exchange.Trailer:
		default:
			dst.Add(string(h[i].Name), string(h[i].Value))
		}
	}
}

func (f *http2Front) Status() int { return f.status }
func (f *http2Front) Sent() int64 { return f.sent }

// release gives f back for the next exchange.
func (f *http2Front) release() {
	clear(f.fields)
	if cap(f.text) > 64<<10 {
		f.text = nil
	}
	*f = http2Front{fields: f.fields[:0], text: f.text[:0], copy: f.copy}
	http2Fronts.Put(f)
}
