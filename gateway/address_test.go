package gateway

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/exchange"
)

func xff(values ...string) (h exchange.Header) {
	for _, v := range values {
		h = append(h, exchange.F(exchange.XForwardedFor, []byte(v)))
	}
	return h
}

var office = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}

// F-3: an untrusted peer does not change its address by X-Forwarded-For, and
// behind a trusted proxy nobody chooses theirs.
func TestF3ForwardedForFromUntrustedPeer(t *testing.T) {
	for _, c := range []struct {
		name, remote string
		header       exchange.Header
		trusted      []netip.Prefix
		want, chain  string
	}{
		{"no proxies configured", "10.0.0.1", xff("1.2.3.4"), nil, "10.0.0.1", ""},
		{"untrusted peer", "203.0.113.9", xff("1.2.3.4"), office, "203.0.113.9", ""},
		{"trusted peer", "10.0.0.1", xff("203.0.113.9"), office, "203.0.113.9", "203.0.113.9"},
		{"trusted peer, no field", "10.0.0.1", nil, office, "10.0.0.1", ""},
		{"caller wrote the left end", "10.0.0.1", xff("1.1.1.1, 203.0.113.9"), office, "203.0.113.9", "203.0.113.9"},
		{"caller claims to be a proxy", "10.0.0.1", xff("10.9.9.9, 203.0.113.9"), office, "203.0.113.9", "203.0.113.9"},
		{"two proxies", "10.0.0.1", xff("203.0.113.9,10.0.0.2"), office, "203.0.113.9", "203.0.113.9,10.0.0.2"},
		{"two fields", "10.0.0.1", xff("1.1.1.1, 203.0.113.9", "10.0.0.2"), office, "203.0.113.9", "203.0.113.9, 10.0.0.2"},
		{"all of them proxies", "10.0.0.1", xff("10.0.0.3, 10.0.0.2"), office, "10.0.0.3", "10.0.0.3, 10.0.0.2"},
		{"garbage at the right end", "10.0.0.1", xff("203.0.113.9, unknown"), office, "10.0.0.1", ""},
		{"garbage behind a proxy", "10.0.0.1", xff("203.0.113.9, x, 10.0.0.2"), office, "10.0.0.2", "10.0.0.2"},
		{"empty element", "10.0.0.1", xff("203.0.113.9,,10.0.0.2"), office, "10.0.0.2", "10.0.0.2"},
		{"with a port", "10.0.0.1", xff("203.0.113.9:4711"), office, "203.0.113.9", "203.0.113.9:4711"},
		{"IPv6", "fd00::1", xff("2001:db8::7"), office, "2001:db8::7", "2001:db8::7"},
		{"IPv6 with a port", "fd00::1", xff("[2001:db8::7]:443"), office, "2001:db8::7", "[2001:db8::7]:443"},
		{"IPv4 in IPv6", "::ffff:10.0.0.1", xff("::ffff:203.0.113.9"), office, "203.0.113.9", "::ffff:203.0.113.9"},
		{"a zone is no address of a caller", "fd00::1", xff("fe80::1%eth0"), office, "fd00::1", ""},
		{"leading zeros", "10.0.0.1", xff("203.0.113.009"), office, "10.0.0.1", ""},
		{"too long a chain", "10.0.0.1", xff("203.0.113.9" + strings.Repeat(", 10.0.0.2", maxHops)), office, "10.0.0.2", "10.0.0.2" + strings.Repeat(", 10.0.0.2", maxHops-1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			remote := netip.MustParseAddr(c.remote)
			if got := ClientAddr(remote, c.header, c.trusted); got.String() != c.want {
				t.Errorf("the caller is %v, want %s", got, c.want)
			}
			_, field, at := forwarded(remote, c.header, c.trusted)
			chain := ""
			if field >= 0 {
				chain = string(appendChain(nil, c.header, field, at))
			}
			if chain != c.chain {
				t.Errorf("the chain that goes on is %q, want %q", chain, c.chain)
			}
		})
	}
}

func TestClientAddrAllocatesNothing(t *testing.T) {
	remote, h := netip.MustParseAddr("10.0.0.1"), xff("1.1.1.1, 203.0.113.9, 10.0.0.2")
	if n := testing.AllocsPerRun(100, func() { ClientAddr(remote, h, office) }); n > 0 {
		t.Errorf("finding the caller allocates %v times, want 0", n)
	}
}

// Whatever callers write, a peer that nobody trusts is the caller itself, and
// behind a trusted one the left end, which the caller writes, decides nothing.
func FuzzClientAddr(f *testing.F) {
	f.Add("203.0.113.9, 10.0.0.2", "1.1.1.1")
	f.Add("[2001:db8::7]:443", "x, ")
	f.Add("203.0.113.9:1, 10.0.0.2:2", "::1%0")
	f.Fuzz(func(t *testing.T, value, made string) {
		outside, proxy := netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("10.0.0.1")
		if got := ClientAddr(outside, xff(value), office); got != outside {
			t.Fatalf("an untrusted peer became %v", got)
		}
		got := ClientAddr(proxy, xff(value), office)
		if !got.IsValid() || got.Zone() != "" || got.Is4In6() {
			t.Fatalf("ClientAddr(%q) = %v", value, got)
		}
		if !within(got, office) {
			if again := ClientAddr(proxy, xff(made+","+value), office); again != got {
				t.Fatalf("%q before %q changed the caller from %v to %v", made, value, got, again)
			}
		}
	})
}
