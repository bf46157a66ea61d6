package classify

import (
	"bytes"
	"unicode"
	"unicode/utf8"
	"unsafe"
)

// index is bytes.Index for a constant, without a copy of it.
func index(s []byte, lit string) int {
	if len(lit) == 1 {
		return bytes.IndexByte(s, lit[0])
	}
	return bytes.Index(s, unsafe.Slice(unsafe.StringData(lit), len(lit)))
}

func isDigit(c byte) bool { return c-'0' < 10 }
func isUpper(c byte) bool { return c-'A' < 26 }
func isAlpha(c byte) bool { return c|0x20-'a' < 26 }
func isAlnum(c byte) bool { return isDigit(c) || isAlpha(c) }
func isHex(c byte) bool   { return isDigit(c) || c|0x20-'a' < 6 }

// isBase64URL reports whether c is of the alphabet of RFC 4648 section 5.
func isBase64URL(c byte) bool { return isAlnum(c) || c == '-' || c == '_' }

// isBase64 reports whether c is of the alphabet of RFC 4648 section 4.
func isBase64(c byte) bool { return isAlnum(c) || c == '+' || c == '/' || c == '=' }

// isWord reports whether c continues a word or number of ASCII. Letters of
// other scripts do not: Chinese sets no spaces around a number.
func isWord(c byte) bool { return isAlnum(c) || c == '_' }

// at returns s[i], or 0 outside s.
func at(s []byte, i int) byte {
	if i < 0 || i >= len(s) {
		return 0
	}
	return s[i]
}

// has reports whether s[i:] begins with lit.
func has(s []byte, i int, lit string) bool {
	return i >= 0 && i+len(lit) <= len(s) && string(s[i:i+len(lit)]) == lit
}

// letterBefore returns the size of the letter, digit or mark beyond ASCII
// that ends at s[i], or 0.
func letterBefore(s []byte, i int) int {
	r, n := utf8.DecodeLastRune(s[:i])
	if r < 0x80 || r == utf8.RuneError || !(unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r)) {
		return 0
	}
	return n
}

// letterAt returns the size of the letter, digit or mark beyond ASCII at s[i],
// or 0.
func letterAt(s []byte, i int) int {
	if i >= len(s) {
		return 0
	}
	r, n := utf8.DecodeRune(s[i:])
	if r < 0x80 || r == utf8.RuneError || !(unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r)) {
		return 0
	}
	return n
}
