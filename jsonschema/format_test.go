package jsonschema

import (
	"regexp"
	"testing"
)

// The quick way agrees with the thorough one, and counting digits with
// looking for them.
func FuzzShortcuts(f *testing.F) {
	for _, s := range []string{"http://example.com", "https://a.b-c.d/e/f?g=h", "https:///x", "http://a:80/", "https://a?b", "http://a/%20", "https://a//b", "http://a/[", "12345678901234567", "a1b2é3\x7f"} {
		f.Add(s)
	}
	digit := regexp.MustCompile(`[0-9]`)
	f.Fuzz(func(t *testing.T, s string) {
		if plainURL([]byte(s)) && uriReference([]byte(s), false) != absolute {
			t.Errorf("%q is taken for a URI", s)
		}
		if got, want := countDigits([]byte(s)), len(digit.FindAllString(s, -1)); got != want {
			t.Errorf("%q has %d digits, not %d", s, want, got)
		}
		for n := 1; n < 20; n++ {
			want := false
			run := 0
			for _, c := range []byte(s) {
				if run++; inRun[c] == 0 {
					run = 0
				}
				want = want || run >= n
			}
			if hasRun([]byte(s), n) != want {
				t.Errorf("%q has a run of %d: %v", s, n, !want)
			}
		}
		doc := []byte(`"` + s + `"`)
		if !(&Schema{}).Valid(doc) {
			return
		}
		end, flags := scanString(doc, 1)
		end2, flags2, digits := scanDigits(doc, 1)
		if end != end2 || flags != flags2 || digits < len(digit.FindAllString(s, -1)) && flags&tokEscaped == 0 {
			t.Errorf("%q: %d %d, %d %d %d", s, end, flags, end2, flags2, digits)
		}
	})
}

// A table says what package regexp says.
func FuzzTables(f *testing.F) {
	for _, p := range []string{`^a+b?$`, `[^a-z]é{2,3}`, `(?:a|bc)*d$`, `^[\x{80}-\x{10ffff}]+$`, `^$`, `a$|^b`} {
		f.Add(p, "aab")
		f.Add(p, "éé")
		f.Add(p, "")
	}
	f.Fuzz(func(t *testing.T, p, s string) {
		re, err := translate(p)
		if err != nil || len(p) > 100 {
			return
		}
		r, err := regexp.Compile(re)
		if err != nil {
			return
		}
		d := newDFA(re)
		doc := []byte(s)
		if d == nil || string([]rune(s)) != s {
			return
		}
		if got, want := d.match(doc), r.Match(doc); got != want {
			t.Errorf("%q on %q: %v, want %v", p, s, got, want)
		}
	})
}
