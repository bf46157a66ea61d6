package wire

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/exchange"
)

// appendFields appends the fields of h, without those that the wire writes
// itself: framing is decided by what is sent, not by what is said of it. It
// reports false where a field could be read as more than one.
func appendFields(b []byte, h exchange.Header) ([]byte, bool) {
	for i := range h {
		f := &h[i]
		switch f.ID {
		case exchange.Connection, exchange.ContentLength, exchange.KeepAlive, exchange.ProxyConnection,
			exchange.TE, exchange.Trailer, exchange.TransferEncoding, exchange.Upgrade:
			continue
		case exchange.Other:
			if !validToken(f.Name) {
				return b, false
			}
		}
		if !validValue(f.Value) {
			return b, false
		}
		b = append(b, f.Name...)
		b = append(b, ": "...)
		b = append(b, f.Value...)
		b = append(b, "\r\n"...)
	}
	return b, true
}

func appendLength(b []byte, n int64) []byte {
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, n, 10)
	return append(b, "\r\n"...)
}

// statusLines spells the status lines of the codes that have a phrase.
var statusLines = func() (t [600][]byte) {
	for code, phrase := range map[int]string{
		100: "Continue", 101: "Switching Protocols", 102: "Processing", 103: "Early Hints",
		200: "OK", 201: "Created", 202: "Accepted", 203: "Non-Authoritative Information", 204: "No Content",
		205: "Reset Content", 206: "Partial Content", 207: "Multi-Status", 208: "Already Reported",
		300: "Multiple Choices", 301: "Moved Permanently", 302: "Found", 303: "See Other", 304: "Not Modified",
		307: "Temporary Redirect", 308: "Permanent Redirect",
		400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden", 404: "Not Found",
		405: "Method Not Allowed", 406: "Not Acceptable", 407: "Proxy Authentication Required", 408: "Request Timeout",
		409: "Conflict", 410: "Gone", 411: "Length Required", 412: "Precondition Failed", 413: "Content Too Large",
		414: "URI Too Long", 415: "Unsupported Media Type", 416: "Range Not Satisfiable", 417: "Expectation Failed",
		421: "Misdirected Request", 422: "Unprocessable Content", 423: "Locked", 424: "Failed Dependency", 425: "Too Early",
		426: "Upgrade Required", 428: "Precondition Required", 429: "Too Many Requests",
		431: "Request Header Fields Too Large", 451: "Unavailable For Legal Reasons",
		500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable",
		504: "Gateway Timeout", 505: "HTTP Version Not Supported", 507: "Insufficient Storage", 508: "Loop Detected",
		511: "Network Authentication Required",
	} {
		t[code] = []byte("HTTP/1.1 " + strconv.Itoa(code) + " " + phrase + "\r\n")
	}
	return t
}()

func appendStatus(b []byte, status int) []byte {
	if line := statusLines[status]; line != nil {
		return append(b, line...)
	}
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	return append(b, " \r\n"...)
}

// bodiless reports statuses whose answers have no body (RFC 9112 section 6.3).
func bodiless(status int) bool {
	return status < 200 || status == 204 || status == 304
}

// A dateLine is the Date field of one second.
type dateLine struct {
	second int64
	line   []byte
}

// A clock keeps the Date field, made once per second.
type clock struct{ now atomic.Pointer[dateLine] }

func (c *clock) appendDate(b []byte, t time.Time) []byte {
	d := c.now.Load()
	if d == nil || d.second != t.Unix() {
		d = &dateLine{t.Unix(), t.UTC().AppendFormat(nil, "Date: Mon, 02 Jan 2006 15:04:05 GMT\r\n")}
		c.now.Store(d)
	}
	return append(b, d.line...)
}
