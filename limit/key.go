package limit

import (
	"encoding/binary"
	"net/netip"
)

// AppendPart appends one part of a key, of a kind of the caller's choice. The
// length stands before the value, so that no two lists of parts give the same
// key.
func AppendPart(dst []byte, kind byte, value []byte) []byte {
	dst = append(dst, kind)
	dst = binary.AppendUvarint(dst, uint64(len(value)))
	return append(dst, value...)
}

// AppendFolded is AppendPart for values that people type, such as user names:
// white space around them and the case of ASCII letters do not make another
// key.
func AppendFolded(dst []byte, kind byte, value []byte) []byte {
	for len(value) > 0 && value[0] <= ' ' {
		value = value[1:]
	}
	for len(value) > 0 && value[len(value)-1] <= ' ' {
		value = value[:len(value)-1]
	}
	dst = append(dst, kind)
	dst = binary.AppendUvarint(dst, uint64(len(value)))
	for _, c := range value {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		dst = append(dst, c)
	}
	return dst
}

// AppendAddr appends a network address as a part of a key: IPv4 whole, also
// where it is written as IPv6, and of IPv6 the first 64 bits, as one host
// commonly has all that are in them (RFC 6177, RFC 4941).
func AppendAddr(dst []byte, kind byte, addr netip.Addr) []byte {
	return AppendAddrPrefix(dst, kind, addr, 64)
}

// AppendAddrPrefix is AppendAddr with another length of IPv6 prefix, 1 to 128
// bits.
func AppendAddrPrefix(dst []byte, kind byte, addr netip.Addr, bits int) []byte {
	dst = append(dst, kind)
	if addr = addr.Unmap(); addr.Is4() {
		a := addr.As4()
		return append(append(dst, 4), a[:]...)
	}
	if !addr.IsValid() {
		return append(dst, 0)
	}
	a := addr.As16()
	n := (bits + 7) / 8
	dst = append(append(dst, byte(16+n)), a[:n]...)
	if bits%8 != 0 {
		dst[len(dst)-1] &= 0xff << (8 - bits%8)
	}
	return dst
}
