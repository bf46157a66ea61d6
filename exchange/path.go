package exchange

import (
	"bytes"
	"unicode/utf8"
)

// MaxPath is how many bytes a path may have where [PathOptions] sets no other
// bound.
const MaxPath = 8 << 10

// PathOptions say which paths that servers read in more than one way are let
// through as they are. The zero value lets through none.
//
// Nothing lets through a dot segment, a control character, a byte that RFC
// 3986 section 3.3 does not permit, a bad escape or invalid UTF-8: no two
// servers need agree on those.
type PathOptions struct {
	EncodedSlash     bool // %2F stays, as data of its segment
	EncodedBackslash bool // %5C stays; a bare backslash never passes
	DoubleEncoding   bool // %25 before two hexadecimal digits stays, and means a literal "%"
	Parameters       bool // ";" and %3B stay
	EmptySegments    bool // "//" stays
	Max              int  // bytes a path may have; 0 is MaxPath
}

// CleanPath returns the one canonical form of a percent-encoded path, without
// its query: it begins with "/", every unreserved character (RFC 3986 section
// 2.3) stands for itself, every other escape stays an escape, in upper case.
// What is judged and what is forwarded is this form, so that no server behind
// can find another meaning in the bytes. Cleaning a clean path changes nothing.
//
// Escaped reserved characters stay escaped (%2C does not separate, "," may),
// so whoever compares a segment with a literal compares it decoded.
//
// The reason is OK, or PathMalformed, PathAmbiguous or WireURITooLong, and
// then path is nil. Where raw is canonical already, path is raw itself; else
// it is written over dst, which must not overlap raw, and nothing is allocated
// if dst has room for len(raw) bytes.
func CleanPath(dst, raw []byte, opt PathOptions) (path []byte, r Reason) {
	limit := opt.Max
	if limit == 0 {
		limit = MaxPath
	}
	if len(raw) > limit {
		return nil, WireURITooLong
	}
	if len(raw) == 0 || raw[0] != '/' {
		return nil, PathMalformed
	}
	for i := 0; i < len(raw); i++ {
		switch pathBytes[raw[i]] {
		case pathPlain:
		case pathEscape:
			if path, r = unescapePath(dst[:0], raw, opt); r != OK {
				return nil, r
			}
			if bytes.Equal(path, raw) {
				path = raw
			}
			if r = checkSegments(path, opt); r != OK {
				return nil, r
			}
			return path, OK
		case pathSemicolon:
			if !opt.Parameters {
				return nil, PathAmbiguous
			}
		case pathBackslash:
			return nil, PathAmbiguous
		default:
			return nil, PathMalformed
		}
	}
	if r = checkSegments(raw, opt); r != OK {
		return nil, r
	}
	return raw, OK
}

// The classes of a path's bytes. The zero class is refused.
const (
	pathBad = iota
	pathPlain
	pathEscape
	pathSemicolon
	pathBackslash
)

var pathBytes = func() (t [256]uint8) {
	for c := range t {
		if unreserved(byte(c)) {
			t[c] = pathPlain
		}
	}
	for _, c := range "!$&'()*+,=:@/" {
		t[c] = pathPlain
	}
	t['%'], t[';'], t['\\'] = pathEscape, pathSemicolon, pathBackslash
	return t
}()

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}

// unescapePath appends raw to dst with the escapes of unreserved characters
// undone and all others in upper case.
func unescapePath(dst, raw []byte, opt PathOptions) ([]byte, Reason) {
	const upper = "0123456789ABCDEF"
	for i := 0; i < len(raw); {
		c := raw[i]
		switch pathBytes[c] {
		case pathPlain:
			dst = append(dst, c)
			i++
			continue
		case pathSemicolon:
			if !opt.Parameters {
				return nil, PathAmbiguous
			}
			dst = append(dst, c)
			i++
			continue
		case pathBackslash:
			return nil, PathAmbiguous
		case pathBad:
			return nil, PathMalformed
		}
		c, ok := unescapeByte(raw, i)
		if !ok {
			return nil, PathMalformed
		}
		n := 1 // escapes that belong together
		switch {
		case c < 0x20 || c == 0x7f:
			return nil, PathMalformed
		case unreserved(c):
			dst = append(dst, c)
			i += 3
			continue
		case c == '/' && !opt.EncodedSlash, c == '\\' && !opt.EncodedBackslash, c == ';' && !opt.Parameters:
			return nil, PathAmbiguous
		case c >= utf8.RuneSelf:
			// An overlong form or a lone surrogate is a second spelling of
			// something else (%C0%AE for "."), so it is refused as invalid.
			var seq [utf8.UTFMax]byte
			seq[0] = c
			for n < len(seq) && !utf8.FullRune(seq[:n]) {
				if seq[n], ok = unescapeByte(raw, i+3*n); !ok {
					return nil, PathMalformed
				}
				n++
			}
			if _, size := utf8.DecodeRune(seq[:n]); size != n || n == 1 {
				return nil, PathMalformed
			}
		}
		for ; n > 0; n-- {
			c, _ := unescapeByte(raw, i)
			dst = append(dst, '%', upper[c>>4], upper[c&15])
			i += 3
		}
	}
	return dst, OK
}

// unescapeByte decodes the escape at raw[i].
func unescapeByte(raw []byte, i int) (c byte, ok bool) {
	if i+2 >= len(raw) || raw[i] != '%' {
		return 0, false
	}
	hi, lo := unhex(raw[i+1]), unhex(raw[i+2])
	return hi<<4 | lo&15, hi < 16 && lo < 16
}

// unhex returns the value of a hexadecimal digit, or 255.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

// checkSegments checks what can only be seen in the canonical form, where dots
// and digits that came escaped stand bare.
func checkSegments(path []byte, opt PathOptions) Reason {
	start := 1 // of the segment
	for i := 1; i < len(path); i++ {
		width := 1 // of the separator at i; 0 is none
		switch path[i] {
		case '/', ';':
		case '%':
			// The separators that options let through are seen by some
			// servers as bare ones, so no dot segment may hide behind them.
			switch string(path[i+1 : i+3]) {
			case "2F", "5C", "3B":
				width = 3
			case "25":
				if i+4 < len(path) && unhex(path[i+3]) < 16 && unhex(path[i+4]) < 16 && !opt.DoubleEncoding {
					return PathAmbiguous
				}
				width = 0
			default:
				width = 0
			}
		default:
			width = 0
		}
		if width == 0 {
			continue
		}
		if seg := path[start:i]; dotSegment(seg) || len(seg) == 0 && !opt.EmptySegments {
			return PathAmbiguous
		}
		start = i + width
		i = start - 1
	}
	if dotSegment(path[start:]) {
		return PathAmbiguous
	}
	return OK
}

func dotSegment(seg []byte) bool { return string(seg) == "." || string(seg) == ".." }
