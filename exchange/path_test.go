package exchange_test

import (
	"bytes"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/exchange"
)

func TestCleanPath(t *testing.T) {
	var (
		strict = exchange.PathOptions{}
		slash  = exchange.PathOptions{EncodedSlash: true}
		back   = exchange.PathOptions{EncodedBackslash: true}
		double = exchange.PathOptions{DoubleEncoding: true}
		params = exchange.PathOptions{Parameters: true}
		empty  = exchange.PathOptions{EmptySegments: true}
		all    = exchange.PathOptions{EncodedSlash: true, EncodedBackslash: true, DoubleEncoding: true, Parameters: true, EmptySegments: true}
	)
	const ok, malformed, ambiguous, long = exchange.OK, exchange.PathMalformed, exchange.PathAmbiguous, exchange.WireURITooLong
	for _, c := range []struct {
		name, raw string
		opt       exchange.PathOptions
		want      string
		r         exchange.Reason
	}{
		{"E1 dot segments", "/a/../admin", strict, "", ambiguous},
		{"E1 dot segments are never let through", "/a/../admin", all, "", ambiguous},
		{"E2 escaped dot segments", "/a/%2e%2e/admin", strict, "", ambiguous},
		{"E2 half escaped", "/a/.%2E/admin", all, "", ambiguous},
		{"E3 escaped slashes", "/a%2f..%2fadmin", strict, "", ambiguous},
		{"E3 no dot segment hides between them", "/a%2f..%2fadmin", all, "", ambiguous},
		{"E3 allowed", "/a%2fb", slash, "/a%2Fb", ok},
		{"E3 allowed, doubled", "/a/%2fb", slash, "", ambiguous},
		{"E4 empty segment", "//admin", strict, "", ambiguous},
		{"E4 in the middle", "/a//admin", strict, "", ambiguous},
		{"E4 allowed", "/a//b", empty, "/a//b", ok},
		{"E5 single dot", "/./admin", strict, "", ambiguous},
		{"E6 single dot at the end", "/admin/.", strict, "", ambiguous},
		{"E6 escaped", "/admin/%2e", all, "", ambiguous},
		{"E6 two dots at the end", "/admin/..", all, "", ambiguous},
		{"E7 escaped letter", "/%61dmin", strict, "/admin", ok},
		{"E8 double encoding", "/%2561dmin", strict, "", ambiguous},
		{"E8 stays literal", "/%2561dmin", double, "/%2561dmin", ok},
		{"E8 made of escaped digits", "/%25%32%65", strict, "", ambiguous},
		{"E8 a per cent sign alone is none", "/100%25", strict, "/100%25", ok},
		{"E8 nor before a word", "/%25zz", strict, "/%25zz", ok},
		{"E9 parameter", "/admin;x=1", strict, "", ambiguous},
		{"E9 escaped", "/admin%3bx=1", strict, "", ambiguous},
		{"E9 allowed", "/cars;color=red", params, "/cars;color=red", ok},
		{"E10 parameter of a dot segment", "/a/..;/admin", strict, "", ambiguous},
		{"E10 never", "/a/..;/admin", all, "", ambiguous},
		{"E10 escaped, never", "/a/%2e%2e%3b/admin", all, "", ambiguous},
		{"E11 NUL", "/admin%00", strict, "", malformed},
		{"E11 line feed", "/admin%0a", all, "", malformed},
		{"E11 unit separator", "/admin%1F", all, "", malformed},
		{"E11 delete", "/admin%7f", all, "", malformed},
		{"E11 raw NUL", "/admin\x00", all, "", malformed},
		{"E12 backslash first", `\admin`, strict, "", malformed},
		{"E12 backslash", `/a\admin`, strict, "", ambiguous},
		{"E12 escaped", "/..%5cadmin", strict, "", ambiguous},
		{"E12 no dot segment before it", "/..%5cadmin", all, "", ambiguous},
		{"E12 allowed", "/a%5cb", back, "/a%5Cb", ok},
		{"E12 raw is never allowed", `/a\b`, all, "", ambiguous},
		{"E13 case is kept", "/ADMIN", strict, "/ADMIN", ok},
		{"E14 last slash is kept", "/admin/", strict, "/admin/", ok},
		{"E14 no last slash", "/admin", strict, "/admin", ok},
		{"E15 overlong dots", "/%c0%ae%c0%ae/admin", strict, "", malformed},
		{"E15 never", "/%c0%ae%c0%ae/admin", all, "", malformed},
		{"E15 overlong slash in three bytes", "/a%e0%80%af", all, "", malformed},
		{"E15 surrogate", "/a%ed%a0%80", all, "", malformed},
		{"E15 lone continuation", "/a%80", all, "", malformed},
		{"E15 cut short", "/a%e4%bd", all, "", malformed},
		{"E15 cut short by a letter", "/a%e4%bdx", all, "", malformed},
		{"E15 beyond Unicode", "/a%f4%90%80%80", all, "", malformed},
		{"E16 lone per cent sign", "/admin%", strict, "", malformed},
		{"E16 one digit", "/admin%6", strict, "", malformed},
		{"E16 no digits", "/admin%zz", strict, "", malformed},
		{"E16 IIS escape", "/admin%u002e", all, "", malformed},
		{"E17 fragment", "/admin#y", strict, "", malformed},
		{"E17 query", "/admin?x", strict, "", malformed},
		{"E18 escaped space stays", "/admin%20", strict, "/admin%20", ok},
		{"E18 suffix stays", "/admin.json", strict, "/admin.json", ok},
		{"E19 NFC", "/caf%c3%a9", strict, "/caf%C3%A9", ok},
		{"E19 NFD", "/cafe%cc%81", strict, "/cafe%CC%81", ok},
		{"E19 full-width solidus is no slash", "/a%ef%bc%8fadmin", strict, "/a%EF%BC%8Fadmin", ok},
		{"E19 raw", "/a／admin", strict, "", malformed},
		{"E20 dot segments after an id", "/users/1/../2", strict, "", ambiguous},
		{"E21 escaped digit is the digit", "/users/%31", strict, "/users/1", ok},
		{"E21 leading zero stays", "/users/01", strict, "/users/01", ok},
		{"E21 plus stays", "/users/+1", strict, "/users/+1", ok},
		{"E25 65,536 segments", strings.Repeat("/a", 65536), strict, "", long},
		{"E25 own bound", "/12345", exchange.PathOptions{Max: 5}, "", long},
		{"empty", "", strict, "", malformed},
		{"root", "/", strict, "/", ok},
		{"asterisk", "*", strict, "", malformed},
		{"all plain bytes", "/azAZ09-._~!$&'()*+,=:@", strict, "/azAZ09-._~!$&'()*+,=:@", ok},
		{"escaped reserved stays", "/a%2cb%3a%40%3d", strict, "/a%2Cb%3A%40%3D", ok},
		{"three dots are a name", "/.../a", strict, "/.../a", ok},
		{"dots inside names", "/a..b/.c/d.", strict, "/a..b/.c/d.", ok},
		{"raw space", "/a b", all, "", malformed},
		{"raw quote", `/a"b`, all, "", malformed},
		{"raw brackets", "/a[b]", all, "", malformed},
		{"emoji", "/%f0%9f%98%80", strict, "/%F0%9F%98%80", ok},
		{"replacement character", "/%ef%bf%bd", strict, "/%EF%BF%BD", ok},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, r := exchange.CleanPath(make([]byte, 0, len(c.raw)), []byte(c.raw), c.opt)
			if string(got) != c.want || r != c.r {
				t.Errorf("CleanPath(%.80q) = %q, %v; want %q, %v", c.raw, got, r, c.want, c.r)
			}
		})
	}
}

func TestCleanPathReturnsCanonicalInputItself(t *testing.T) {
	for _, s := range []string{"/users/1", "/caf%C3%A9"} {
		raw := []byte(s)
		got, _ := exchange.CleanPath(nil, raw, exchange.PathOptions{})
		if &got[0] != &raw[0] {
			t.Errorf("CleanPath(%q) was copied", s)
		}
	}
}

func TestCleanPathAllocatesNothing(t *testing.T) {
	dst := make([]byte, 0, 64)
	for _, s := range []string{"/users/1", "/%75sers/caf%c3%a9", "/a/%2e%2e/b"} {
		raw := []byte(s)
		if n := testing.AllocsPerRun(100, func() { exchange.CleanPath(dst, raw, exchange.PathOptions{}) }); n > 0 {
			t.Errorf("CleanPath(%q) allocates %v times, want 0", s, n)
		}
	}
}

// What passes is a fixed point, and net/url, as a stranger's reading, sees in
// it the same path and nothing else: no host, no query, no fragment.
func FuzzCleanPath(f *testing.F) {
	for _, s := range []string{
		"/", "/a/../b", "/%61", "/%2561", "/%25%32%65", "/a%2f..%2fb", "//a", "/;a", "/..;/", "/%c0%ae", "/%e4%bd%a0",
		"/a%", "/%5c..", "/.%2e/", "/:@!$&'()*+,=", "/%F0%9F%98%80",
	} {
		f.Add(s, uint8(0))
		f.Add(s, uint8(31))
	}
	f.Fuzz(func(t *testing.T, raw string, bits uint8) {
		opt := exchange.PathOptions{
			EncodedSlash: bits&1 != 0, EncodedBackslash: bits&2 != 0, DoubleEncoding: bits&4 != 0,
			Parameters: bits&8 != 0, EmptySegments: bits&16 != 0,
		}
		p, r := exchange.CleanPath(nil, []byte(raw), opt)
		if r != exchange.OK {
			if p != nil {
				t.Errorf("CleanPath(%q) = %q with %v", raw, p, r)
			}
			return
		}
		again, r := exchange.CleanPath(nil, p, opt)
		if r != exchange.OK || !bytes.Equal(again, p) {
			t.Errorf("CleanPath(%q) = %q, and cleaned again %q, %v", raw, p, again, r)
		}
		u, err := url.ParseRequestURI(string(p))
		if err != nil {
			t.Fatalf("CleanPath(%q) = %q, which net/url refuses: %v", raw, p, err)
		}
		if u.EscapedPath() != string(p) || u.Host != "" || u.RawQuery != "" || u.Fragment != "" {
			t.Errorf("CleanPath(%q) = %q, which net/url reads as %#v", raw, p, u)
		}
		want, err := url.PathUnescape(raw)
		if err != nil || u.Path != want {
			t.Errorf("CleanPath(%q) = %q means %q, was %q, %v", raw, p, u.Path, want, err)
		}
		if opt == (exchange.PathOptions{}) {
			if clean := (&url.URL{Path: "/"}).JoinPath(string(p)).EscapedPath(); clean != string(p) {
				t.Errorf("CleanPath(%q) = %q, which net/url cleans to %q", raw, p, clean)
			}
			if strings.ContainsAny(u.Path, "\x00;\\") || strings.Contains(u.Path, "//") {
				t.Errorf("CleanPath(%q) = %q decodes to %q", raw, p, u.Path)
			}
		}
	})
}

func BenchmarkCleanPath(b *testing.B) {
	dst := make([]byte, 0, 256)
	for _, c := range []struct{ name, raw string }{{"plain", "/v1/shops/42/orders/20251123-7"}, {"escaped", "/v1/shops/caf%c3%a9/orders/%31"}} {
		b.Run(c.name, func(b *testing.B) {
			raw := []byte(c.raw)
			b.ReportAllocs()
			for b.Loop() {
				exchange.CleanPath(dst, raw, exchange.PathOptions{})
			}
		})
	}
}
