package wire

import (
	"bytes"
	"encoding/binary"

	"github.com/sallyport/sallyport/exchange"
)

// A headParser reads the head of a message, line by line as the lines come
// in, straight into exchange.Fields that borrow the buffer. The buffer must
// not move before the head is done with.
type headParser struct {
	line  int // where the line that is not whole yet starts
	scan  int // from where its end has not been looked for
	start []byte
	// fields has the capacity of the most fields a head may have.
	fields exchange.Header
}

func (p *headParser) reset() {
	p.line, p.scan, p.start, p.fields = 0, 0, nil, p.fields[:0]
}

// feed reads the lines that are whole in b, which is what it was given before
// and more. It reports done when the empty line has come; the body then
// begins at p.line. A reason other than OK refuses the head.
//
// Lines end in CRLF and in nothing else (RFC 9112 section 2.2 lets a
// recipient take a bare LF, and two recipients that differ in it can be
// played against each other).
func (p *headParser) feed(b []byte) (done bool, r exchange.Reason) {
	for {
		i := bytes.IndexByte(b[p.scan:], '\n')
		if i < 0 {
			p.scan = len(b)
			return false, exchange.OK
		}
		end := p.scan + i - 1 // of the line, at its CR
		if end < p.line || b[end] != '\r' {
			return false, exchange.WireMalformed
		}
		line := b[p.line:end]
		p.line, p.scan = end+2, end+2
		if p.start == nil {
			p.start = line
			if len(line) == 0 {
				return false, exchange.WireMalformed
			}
			// The start line is looked at before the fields are waited
			// for: what speaks another protocol may never send them.
			return false, exchange.OK
		}
		if len(line) == 0 {
			return true, exchange.OK
		}
		if len(p.fields) == cap(p.fields) {
			return false, exchange.WireHeaderTooLarge
		}
		f, ok := parseField(line)
		if !ok {
			return false, exchange.WireMalformed
		}
		p.fields = append(p.fields, f)
	}
}

// parseField reads a field line (RFC 9112 section 5). A folded line begins
// with white space, which is no token, and so is refused.
func parseField(line []byte) (f exchange.Field, ok bool) {
	i := 0
	for i < len(line) && bytesOf[line[i]]&isToken != 0 {
		i++
	}
	if i == 0 || i == len(line) || line[i] != ':' {
		return f, false
	}
	value := trimOWS(line[i+1:])
	if !validValue(value) {
		return f, false
	}
	return exchange.Field{ID: exchange.KnownName(line[:i]), Name: line[:i:i], Value: value[:len(value):len(value)]}, true
}

func trimOWS(v []byte) []byte {
	for len(v) > 0 && (v[0] == ' ' || v[0] == '\t') {
		v = v[1:]
	}
	for len(v) > 0 && (v[len(v)-1] == ' ' || v[len(v)-1] == '\t') {
		v = v[:len(v)-1]
	}
	return v
}

// validValue reports whether v is a field value: no control character but
// HTAB, of which CR, LF and NUL matter most (RFC 9110 section 5.5).
func validValue(v []byte) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(v); i += 8 {
		x := binary.LittleEndian.Uint64(v[i:])
		del := x ^ ones*0x7f
		if ((x-ones*0x20)&^x|(del-ones)&^del)&highs != 0 {
			for _, c := range v[i : i+8] {
				if bytesOf[c]&isValue == 0 {
					return false
				}
			}
		}
	}
	for ; i < len(v); i++ {
		if bytesOf[v[i]]&isValue == 0 {
			return false
		}
	}
	return true
}

func validToken(v []byte) bool {
	for _, c := range v {
		if bytesOf[c]&isToken == 0 {
			return false
		}
	}
	return len(v) > 0
}

// What a byte may be part of.
const (
	isToken  = 1 << iota // RFC 9110 section 5.6.2
	isValue              // a field value
	isTarget             // a request target
	isHost               // a registered name or IPv4 address, as far as names of hosts go
	isHex
	isDigit
	isQuoted // within a quoted string, without its backslash
)

var bytesOf = func() (t [256]uint8) {
	for i := range t {
		c := byte(i)
		alpha := 'a' <= c|0x20 && c|0x20 <= 'z'
		digit := '0' <= c && c <= '9'
		if alpha || digit || bytes.IndexByte([]byte("!#$%&'*+-.^_`|~"), c) >= 0 {
			t[i] |= isToken
		}
		if c == '\t' || c >= 0x20 && c != 0x7f {
			t[i] |= isValue
		}
		// RFC 3986 permits less in a path; brackets stand bare in the
		// queries of many clients.
		if alpha || digit || c != 0 && bytes.IndexByte([]byte("-._~%!$&'()*+,;=:@/?[]"), c) >= 0 {
			t[i] |= isTarget
		}
		if alpha || digit || c == '-' || c == '.' || c == '_' {
			t[i] |= isHost
		}
		if digit || 'a' <= c|0x20 && c|0x20 <= 'f' {
			t[i] |= isHex
		}
		if digit {
			t[i] |= isDigit
		}
		if c == '\t' || c >= 0x20 && c != 0x7f && c != '"' && c != '\\' {
			t[i] |= isQuoted
		}
	}
	return t
}()

// parseRequestLine reads method, target and version (RFC 9112 section 3) into
// req. The method stays empty where it is not one of methods.
func parseRequestLine(line []byte, req *exchange.Request, methods []string) (authority []byte, r exchange.Reason) {
	i := bytes.IndexByte(line, ' ')
	if i <= 0 || !validToken(line[:i]) {
		return nil, exchange.WireMalformed
	}
	method, rest := line[:i], line[i+1:]
	i = bytes.IndexByte(rest, ' ')
	if i <= 0 {
		return nil, exchange.WireMalformed
	}
	target, version := rest[:i], rest[i+1:]
	switch string(version) {
	case "HTTP/1.1":
		req.Proto = exchange.HTTP11
	case "HTTP/1.0":
		req.Proto = exchange.HTTP10
	default:
		if len(version) == 8 && string(version[:5]) == "HTTP/" && version[6] == '.' &&
			bytesOf[version[5]]&bytesOf[version[7]]&isDigit != 0 {
			return nil, exchange.WireVersion
		}
		return nil, exchange.WireMalformed
	}
	for _, c := range target {
		if bytesOf[c]&isTarget == 0 {
			return nil, exchange.WireMalformed
		}
	}
	if req.Method = intern(method, methods); req.Method == "" {
		return nil, exchange.WireMethod
	}
	if target[0] != '/' {
		if string(target) == "*" {
			if req.Method != "OPTIONS" {
				return nil, exchange.WireMalformed
			}
			req.Path = target
			return nil, exchange.OK
		}
		if authority, target, r = absoluteForm(target, req.Scheme); r != exchange.OK {
			return nil, r
		}
	}
	req.Path = target
	if i := bytes.IndexByte(target, '?'); i >= 0 {
		req.Path, req.Query, req.HasQuery = target[:i:i], target[i+1:], true
	}
	return authority, exchange.OK
}

// absoluteForm splits an absolute target (RFC 9112 section 3.2.2). Its scheme
// must be that of the connection.
func absoluteForm(target []byte, scheme string) (authority, path []byte, r exchange.Reason) {
	n := len(scheme)
	if len(target) < n+4 || !exchange.EqualFold(target[:n], scheme) || string(target[n:n+3]) != "://" {
		return nil, nil, exchange.WireMalformed
	}
	authority = target[n+3:]
	if i := bytes.IndexAny(authority, "/?"); i >= 0 {
		authority, path = authority[:i], authority[i:]
	}
	if len(path) == 0 {
		path = slash
	}
	if path[0] == '?' {
		// "http://host?query" has an empty path, which is "/"; there is no
		// room for it in the buffer, and nobody sends it.
		return nil, nil, exchange.WireMalformed
	}
	return authority, path, exchange.OK
}

var slash = []byte("/")

// knownMethods are those a server takes without being told.
const knownMethods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, QUERY"

// intern returns the method as a string that is not the buffer's, or "".
func intern(method []byte, others []string) string {
	switch string(method) {
	case "GET":
		return "GET"
	case "POST":
		return "POST"
	case "PUT":
		return "PUT"
	case "PATCH":
		return "PATCH"
	case "DELETE":
		return "DELETE"
	case "HEAD":
		return "HEAD"
	case "OPTIONS":
		return "OPTIONS"
	case "QUERY":
		return "QUERY"
	}
	for _, m := range others {
		if string(method) == m {
			return m
		}
	}
	return ""
}

// validHost reports whether h is an authority that a Host may name: a name or
// an IPv4 address, or an IPv6 address in brackets, and a port (RFC 9110
// section 7.2). Percent escapes, which RFC 3986 permits, occur in no host
// that DNS knows, and comma, "@" and "/" are how one Host is made two.
func validHost(h []byte) bool {
	i := 0
	if len(h) > 0 && h[0] == '[' {
		i = bytes.IndexByte(h, ']')
		if i < 3 {
			return false
		}
		for _, c := range h[1:i] {
			if bytesOf[c]&isHex == 0 && c != ':' && c != '.' {
				return false
			}
		}
		i++
	} else {
		for i < len(h) && bytesOf[h[i]]&isHost != 0 {
			i++
		}
		if i == 0 || i > 255 {
			return false
		}
	}
	if i == len(h) {
		return true
	}
	if h[i] != ':' || len(h)-i < 2 || len(h)-i > 6 {
		return false
	}
	port := 0
	for _, c := range h[i+1:] {
		if bytesOf[c]&isDigit == 0 {
			return false
		}
		port = port*10 + int(c-'0')
	}
	return port > 0 && port <= 65535
}

// What the fields of a head say of its framing and its connection.
type framing struct {
	kind    bodyKind
	length  int64 // of a body of kind bodyLength
	close   bool  // Connection names close
	upgrade bool  // Connection names upgrade
	expect  bool  // Expect: 100-continue
	host    []byte
}

// requestFraming reads the fields that decide where the request ends and whom
// it is for (RFC 9112 section 6.3). Wherever two recipients could come to
// different ends it refuses.
func requestFraming(req *exchange.Request, authority []byte) (f framing, r exchange.Reason) {
	var hosts, lengths, codings, expects int
	for i := range req.Header {
		fd := &req.Header[i]
		switch fd.ID {
		case exchange.Other:
			if framingLookalike(fd.Name) {
				return f, exchange.WireFraming
			}
		case exchange.Host:
			hosts++
			f.host = fd.Value
		case exchange.ContentLength:
			lengths++
			var ok bool
			if f.length, ok = parseLength(fd.Value); !ok {
				return f, exchange.WireFraming
			}
			f.kind = bodyLength
		case exchange.TransferEncoding:
			codings++
			if !exchange.EqualFold(fd.Value, "chunked") {
				return f, exchange.WireFraming
			}
		case exchange.Connection:
			if !connectionOptions(fd.Value, &f) {
				return f, exchange.WireMalformed
			}
		case exchange.Expect:
			expects++
			if req.Proto == exchange.HTTP10 {
				break // RFC 9110 section 10.1.1: it is not to be heeded
			}
			if !exchange.EqualFold(fd.Value, "100-continue") {
				return f, exchange.WireExpectation
			}
			f.expect = true
		}
	}
	switch {
	case lengths > 1, codings > 1, lengths > 0 && codings > 0:
		return f, exchange.WireFraming
	case codings > 0 && req.Proto == exchange.HTTP10:
		return f, exchange.WireFraming
	case expects > 1:
		return f, exchange.WireExpectation
	case hosts > 1, hosts == 0 && req.Proto != exchange.HTTP10:
		return f, exchange.WireMalformed
	case hosts > 0 && !validHost(f.host):
		return f, exchange.WireMalformed
	case authority != nil && !validHost(authority):
		return f, exchange.WireMalformed
	case authority != nil && hosts > 0 && !bytes.EqualFold(authority, f.host):
		return f, exchange.WireMalformed
	}
	if authority != nil {
		f.host = authority
	}
	if codings > 0 {
		f.kind, f.length = bodyChunked, -1
	}
	if f.kind == bodyLength && f.length == 0 {
		f.kind = bodyNone
	}
	if req.Proto == exchange.HTTP10 {
		f.close = true
	}
	return f, exchange.OK
}

// framingLookalike reports names that servers which read "_" as "-", as CGI
// does, take for a framing field.
func framingLookalike(name []byte) bool {
	switch len(name) {
	case len("content_length"):
		return foldsTo(name, "content-length")
	case len("transfer_encoding"):
		return foldsTo(name, "transfer-encoding")
	}
	return false
}

// foldsTo reports whether name is lower when "_" is read as "-".
func foldsTo(name []byte, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		} else if c == '_' {
			c = '-'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// parseLength reads a Content-Length: digits and nothing else, no list, and
// no number beyond 2^63-1.
func parseLength(v []byte) (n int64, ok bool) {
	if len(v) == 0 || len(v) > 19 {
		return 0, false
	}
	for _, c := range v {
		d := int64(c - '0')
		if bytesOf[c]&isDigit == 0 || n > (1<<63-1-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}

// connectionOptions reads a Connection field. It may only name what is known
// to belong to one hop: a caller that could name others would take fields
// such as Authorization away between the control that read them and the
// upstream (RFC 9110 section 7.6.1 has the recipient remove them).
func connectionOptions(v []byte, f *framing) bool {
	for len(v) > 0 {
		var opt []byte
		if i := bytes.IndexByte(v, ','); i >= 0 {
			opt, v = trimOWS(v[:i]), v[i+1:]
		} else {
			opt, v = trimOWS(v), nil
		}
		switch {
		case len(opt) == 0, exchange.EqualFold(opt, "keep-alive"), exchange.EqualFold(opt, "te"),
			exchange.EqualFold(opt, "http2-settings"), exchange.EqualFold(opt, "proxy-connection"),
			exchange.EqualFold(opt, "trailer"), exchange.EqualFold(opt, "trailers"):
		case exchange.EqualFold(opt, "close"):
			f.close = true
		case exchange.EqualFold(opt, "upgrade"):
			f.upgrade = true
		default:
			return false
		}
	}
	return true
}
