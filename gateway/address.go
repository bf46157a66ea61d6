package gateway

import (
	"bytes"
	"net/netip"

	"github.com/sallyport/sallyport/exchange"
)

// maxHops bounds how many proxies a chain of X-Forwarded-For is followed
// through. A longer one is made up.
const maxHops = 32

// ClientAddr returns the address of the caller behind trusted proxies. Where
// the peer of the connection is one of them, X-Forwarded-For is walked from
// its right end, where the nearest proxy wrote, and the first address that is
// no trusted proxy is the caller. What stands left of it was written by the
// caller, who may write anything, so it is never looked at. Where the walk
// meets something that is no address, the last good one stands.
//
// From an untrusted peer the field says nothing and the peer is the caller.
func ClientAddr(remote netip.Addr, h exchange.Header, trusted []netip.Prefix) netip.Addr {
	addr, _, _ := forwarded(remote, h, trusted)
	return addr
}

// forwarded is ClientAddr, and where in the header the caller's address
// starts: at byte at of field field, which is -1 where the peer is the caller.
func forwarded(remote netip.Addr, h exchange.Header, trusted []netip.Prefix) (addr netip.Addr, field, at int) {
	addr, field = remote.Unmap().WithZone(""), -1
	if len(trusted) == 0 || !within(addr, trusted) {
		return addr, field, 0
	}
	hops := 0
	for i := len(h) - 1; i >= 0; i-- {
		if h[i].ID != exchange.XForwardedFor {
			continue
		}
		rest := h[i].Value
		for len(rest) > 0 {
			comma := bytes.LastIndexByte(rest, ',')
			a, ok := parseHop(rest[comma+1:])
			if hops++; !ok || hops > maxHops {
				return addr, field, at
			}
			addr, field, at = a, i, comma+1
			if !within(addr, trusted) {
				return addr, field, at
			}
			rest = rest[:max(comma, 0)]
		}
	}
	return addr, field, at
}

// parseHop reads one element of X-Forwarded-For: an address, which some
// proxies write with a port, and IPv6 in brackets.
func parseHop(b []byte) (netip.Addr, bool) {
	b = bytes.Trim(b, " \t")
	if len(b) == 0 || len(b) > 64 {
		return netip.Addr{}, false
	}
	if a, ok := parseIPv4(b); ok {
		return a, true
	}
	switch {
	case b[0] == '[':
		end := bytes.IndexByte(b, ']')
		if end < 0 || end+1 < len(b) && b[end+1] != ':' {
			return netip.Addr{}, false
		}
		b = b[1:end]
	case bytes.Count(b, []byte{':'}) == 1:
		b = b[:bytes.IndexByte(b, ':')]
	}
	a, err := netip.ParseAddr(string(b))
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, false
	}
	return a.Unmap(), true
}

// parseIPv4 reads the plain dotted form, which nearly every hop has, without
// the copy that netip.ParseAddr needs.
func parseIPv4(b []byte) (netip.Addr, bool) {
	var a [4]byte
	part, digits, n := 0, 0, 0
	for _, c := range b {
		switch {
		case '0' <= c && c <= '9':
			if digits > 0 && n == 0 {
				return netip.Addr{}, false // a leading zero: octal to some
			}
			if n = n*10 + int(c-'0'); n > 255 {
				return netip.Addr{}, false
			}
			digits++
		case c == '.' && digits > 0 && part < 3:
			a[part] = byte(n)
			part, digits, n = part+1, 0, 0
		default:
			return netip.Addr{}, false
		}
	}
	if part != 3 || digits == 0 {
		return netip.Addr{}, false
	}
	a[3] = byte(n)
	return netip.AddrFrom4(a), true
}

// within reports whether a is in any of the prefixes.
func within(a netip.Addr, ps []netip.Prefix) bool {
	for i := range ps {
		if ps[i].Contains(a) {
			return true
		}
	}
	return false
}

// appendChain appends the part of the chain of addresses that was believed. The
// nearest proxy, the peer of the connection, is not in it.
func appendChain(dst []byte, h exchange.Header, field, at int) []byte {
	dst = append(dst, bytes.Trim(h[field].Value[at:], " \t")...)
	for i := field + 1; i < len(h); i++ {
		if h[i].ID == exchange.XForwardedFor && len(h[i].Value) > 0 {
			dst = append(append(dst, ", "...), h[i].Value...)
		}
	}
	return dst
}
