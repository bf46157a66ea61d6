package jsonschema

import "bytes"

func isURI(s []byte) bool          { return plainURL(s) || uriReference(s, false) == absolute }
func isURIReference(s []byte) bool { return uriReference(s, false) != notURI }
func isIRI(s []byte) bool          { return uriReference(s, true) == absolute }
func isIRIReference(s []byte) bool { return uriReference(s, true) != notURI }

// plainURL recognises what nearly all URIs are, in one pass: http or https, a
// name, a path and a query without percent-encoding.
func plainURL(s []byte) bool {
	i := 0
	switch {
	case len(s) > 8 && string(s[:8]) == "https://":
		i = 8
	case len(s) > 7 && string(s[:7]) == "http://":
		i = 7
	default:
		return false
	}
	from := i
	for i < len(s) && plainChars[s[i]]&1 != 0 {
		i++
	}
	if i == from || i < len(s) && s[i] != '/' && s[i] != '?' {
		return false
	}
	for i < len(s) && plainChars[s[i]]&2 != 0 {
		i++
	}
	if i < len(s) && s[i] == '?' {
		for i++; i < len(s) && plainChars[s[i]]&4 != 0; i++ {
		}
	}
	return i == len(s)
}

// plainChars has bit 0 for a name's characters, bit 1 for a path's, bit 2 for
// a query's.
var plainChars = func() (t [256]uint8) {
	for c := range 128 {
		b := byte(c)
		if b-'0' <= 9 || b|0x20 >= 'a' && b|0x20 <= 'z' || b == '.' || b == '-' {
			t[c] |= 1
		}
		if uriChars[c]&1 != 0 || b == '/' {
			t[c] |= 2
		}
		if uriChars[c]&8 != 0 {
			t[c] |= 4
		}
	}
	return t
}()

type uriKind uint8

const (
	notURI uriKind = iota
	relative
	absolute
)

// uriChars says where RFC 3986 allows each ASCII character: bit 0 in a path
// segment (pchar), bit 1 in user information, bit 2 in a registered name, bit
// 3 in a query or fragment.
var uriChars = func() (t [128]uint8) {
	for c := range t {
		b := byte(c)
		if b-'0' <= 9 || b|0x20 >= 'a' && b|0x20 <= 'z' || bytes.IndexByte([]byte("-._~!$&'()*+,;="), b) >= 0 {
			t[c] = 15
		}
	}
	t[':'], t['@'] = 1|2|8, 1|8
	t['/'], t['?'] = 8, 8
	return t
}()

// uriText reports whether each character is allowed, or percent-encoded.
func uriText(s []byte, allowed uint8, iri bool) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '%':
			if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
				return false
			}
			i += 2
		case c >= 0x80:
			if !iri {
				return false
			}
		case uriChars[c]&allowed == 0:
			return false
		}
	}
	return true
}

// uriReference checks URI-reference of RFC 3986, or IRI-reference of RFC 3987.
func uriReference(s []byte, iri bool) uriKind {
	for _, mark := range []byte("#?") {
		if i := bytes.IndexByte(s, mark); i >= 0 {
			if !uriText(s[i+1:], 8, iri) {
				return notURI
			}
			s = s[:i]
		}
	}
	kind := relative
	for i, c := range s {
		if c == ':' && i > 0 {
			kind = absolute
			s = s[i+1:]
			break
		}
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || c-'0' > 9 && c != '+' && c != '-' && c != '.') {
			break
		}
	}
	if len(s) >= 2 && s[0] == '/' && s[1] == '/' {
		auth := s[2:]
		s = nil
		if i := bytes.IndexByte(auth, '/'); i >= 0 {
			auth, s = auth[:i], auth[i:]
		}
		if !uriAuthority(auth, iri) {
			return notURI
		}
	} else if kind == relative {
		// The first segment of a relative path must not look like a scheme.
		first, _, _ := bytes.Cut(s, []byte("/"))
		if bytes.IndexByte(first, ':') >= 0 {
			return notURI
		}
	}
	for more := true; more; {
		var segment []byte
		segment, s, more = bytes.Cut(s, []byte("/"))
		if !uriText(segment, 1, iri) {
			return notURI
		}
	}
	return kind
}

func uriAuthority(s []byte, iri bool) bool {
	if i := bytes.IndexByte(s, '@'); i >= 0 {
		if !uriText(s[:i], 2, iri) {
			return false
		}
		s = s[i+1:]
	}
	if len(s) > 0 && s[0] == '[' {
		end := bytes.IndexByte(s, ']')
		if end < 0 || !isIPv6(s[1:end]) && !isIPvFuture(s[1:end]) {
			return false
		}
		s = s[end+1:]
		if len(s) > 0 && s[0] != ':' {
			return false
		}
	} else {
		host, _, _ := bytes.Cut(s, []byte(":"))
		if !uriText(host, 4, iri) {
			return false
		}
		s = s[len(host):]
	}
	for _, c := range s[min(1, len(s)):] {
		if c-'0' > 9 {
			return false
		}
	}
	return true
}

func isHex(c byte) bool { return c-'0' <= 9 || c|0x20 >= 'a' && c|0x20 <= 'f' }

func isIPvFuture(s []byte) bool {
	if len(s) < 4 || s[0]|0x20 != 'v' {
		return false
	}
	i := 1
	for i < len(s) && isHex(s[i]) {
		i++
	}
	if i == 1 || i >= len(s)-1 || s[i] != '.' {
		return false
	}
	for _, c := range s[i+1:] {
		if c >= 0x80 || c != ':' && uriChars[c]&4 == 0 {
			return false
		}
	}
	return true
}

// isURITemplate checks the syntax of RFC 6570, section 2.
func isURITemplate(s []byte) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '%':
			if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
				return false
			}
			i += 2
		case c == '{':
			end := bytes.IndexByte(s[i:], '}')
			if end < 0 || !isExpression(s[i+1:i+end]) {
				return false
			}
			i += end
		case c <= ' ' || c == 0x7f || bytes.IndexByte([]byte("\"<>\\^`|}"), c) >= 0:
			return false
		}
	}
	return true
}

// isExpression checks what stands between braces.
func isExpression(s []byte) bool {
	if len(s) > 0 && bytes.IndexByte([]byte("+#./;?&=,!@|"), s[0]) >= 0 {
		s = s[1:]
	}
	for more := true; more; {
		var v []byte
		v, s, more = bytes.Cut(s, []byte(","))
		if n := len(v); n > 0 && v[n-1] == '*' {
			v = v[:n-1]
		} else if i := bytes.IndexByte(v, ':'); i >= 0 {
			n, ok := number(v[i+1:])
			if !ok || n == 0 || len(v)-i > 5 || v[i+1] == '0' {
				return false
			}
			v = v[:i]
		}
		dot := true
		for i := 0; i < len(v); i++ {
			c := v[i]
			switch {
			case c == '.':
				if dot {
					return false
				}
				dot = true
				continue
			case c == '%':
				if i+2 >= len(v) || !isHex(v[i+1]) || !isHex(v[i+2]) {
					return false
				}
				i += 2
			case c == '_', c-'0' <= 9, c|0x20 >= 'a' && c|0x20 <= 'z':
			default:
				return false
			}
			dot = false
		}
		if dot {
			return false
		}
	}
	return true
}
