package classify

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/ordinary"
)

const (
	jwtSample = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
	jweSample = "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.OKOawDo13gRp2ojaHV7LFpZcgV7T6DVZKTyKOMTYUmKoTCVJRgckCL9k.48V1_ALb6US04U3b.5eym8TW_c8SuK0ltJ3rpYIzOeDQz7TALvtu6UG9oMo4v.XFBoMYUZodetZdvTiFvSkQ"
	pemSample = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIIrYSSNQFaA2Hwf1duRSxKtLYX5CB04fSeQ6tF1aY/PuoAoGCCqGSM49\nAwEHoUQDQgAEPR3tU2Fta9ktY+6P9G0cWO+0kETA6SFs38GecTyudlHz6xvCdz8q\n-----END EC PRIVATE KEY-----"
)

// found is what each detector must find: the text, and the value in it.
var found = []struct{ class, text, value string }{
	{Email, "alice@example.com", ""},
	{Email, "write to alice.o'brien+shop@mail.example.co.uk.", "alice.o'brien+shop@mail.example.co.uk"},
	{Email, "<bob@example.org>", "bob@example.org"},
	{Email, `"bob@example.org"`, "bob@example.org"},
	{Email, "mailto:bob@example.org?subject=x", "bob@example.org"},
	{Email, "user@163.com", ""},
	{Email, "a@b.io,c@d.io", "a@b.io"},
	{Email, "josé@exämple.com", ""},
	{Email, "почта@пример.рф", ""},
	{Email, "x@xn--e1afmkfd.xn--p1ai", ""},
	{Email, "Contact:bob@example.org", "bob@example.org"},
	{Email, "first_last-1@sub.example.museum!", "first_last-1@sub.example.museum"},
	{Email, "@carol carol@example.com", "carol@example.com"},
	{Phone, "+49 30 1234567", ""},
	{Phone, "+4915112345678", ""},
	{Phone, "tel:+44 (0)20 7946 0958", "+44 (0)20 7946 0958"},
	{Phone, "+1 (415) 555-2671", ""},
	{Phone, "+1-415-555-2671.", "+1-415-555-2671"},
	{Phone, "+1.415.555.2671", ""},
	{Phone, "(+33 1 23 45 67 89)", "+33 1 23 45 67 89"},
	{Phone, "call +81 3-1234-5678 now", "+81 3-1234-5678"},
	{Phone, "+39 06 698 12345", ""},
	{Phone, "+91 98765 43210", ""},
	{Phone, "+380 44 123 4567", ""},
	{Phone, "+61 2 1234 5678, +49 30 1234567", "+61 2 1234 5678"},
	{SSN, "123-45-6789", ""},
	{SSN, "SSN: 536-22-1234.", "536-22-1234"},
	{SSN, "(899-99-9999)", "899-99-9999"},
	{Card, "4111111111111111", ""},
	{Card, "4111 1111 1111 1111", ""},
	{Card, "4111-1111-1111-1111", ""},
	{Card, "card=4111111111111111;", "4111111111111111"},
	{Card, "5555555555554444", ""},
	{Card, "2223003122003222", ""},
	{Card, "378282246310005", ""},
	{Card, "3782 822463 10005", ""},
	{Card, "6011111111111117", ""},
	{Card, "30569309025904", ""},
	{Card, "3056 930902 5904", ""},
	{Card, "3530111333300000", ""},
	{Card, "6200000000000005", ""},
	{Card, "paid with 4111 1111 1111 1111 12/30.", "4111 1111 1111 1111"},
	{Card, "4111 1111 1111 1111 12 2030", "4111 1111 1111 1111"},
	{Card, "12345 4111-1111-1111-1111", "4111-1111-1111-1111"},
	{IBAN, "DE89370400440532013000", ""},
	{IBAN, "DE89 3704 0044 0532 0130 00", ""},
	{IBAN, "IBAN:GB82 WEST 1234 5698 7654 32.", "GB82 WEST 1234 5698 7654 32"},
	{IBAN, "FR1420041010050500013M02606", ""},
	{IBAN, "NO9386011117947", ""},
	{IBAN, "MT84MALT011000012345MTLCAST001S", ""},
	{IBAN, "NL91ABNA0417164300", ""},
	{IBAN, "CH9300762011623852957", ""},
	{IBAN, "BE68539007547034", ""},
	{IBAN, "SA0380000000608010167519", ""},
	{IBAN, "BR1800360305000010009795493C1", ""},
	{JWT, jwtSample, ""},
	{JWT, "Authorization: Bearer " + jwtSample + ",", jwtSample},
	{JWT, "token=" + jwtSample, jwtSample},
	{JWT, "Your token is " + jwtSample + ".", jwtSample},
	{JWT, jweSample, ""},
	{JWT, "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.", ""},
	{PrivateKey, pemSample, ""},
	{PrivateKey, "key:\n" + pemSample + "\n", pemSample},
	{PrivateKey, strings.ReplaceAll(pemSample, "\n", `\n`), ""},
	{PrivateKey, strings.ReplaceAll(pemSample, "EC ", ""), ""},
	{PrivateKey, pemSample[:120], ""},
	{PrivateKey, "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----", ""},
	{PasswordHash, "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW", ""},
	{PasswordHash, "$2y$10$.vGA1O9wmRjrwAVXD98HNOgsNpDczlqm3Jq7KnEd1rVAGv3Fykk1a", ""},
	{PasswordHash, "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b4dWRWJTmaaJObG", ""},
	{PasswordHash, "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E", ""},
	{PasswordHash, "pbkdf2_sha256$260000$abcdefghijkl$YlZ2Vggtqdc61YjArZuoApoBh9JNGYoDRBUGu6tcJQo=", ""},
	{PasswordHash, "scrypt:32768:8:1$abcdefghijklmnop$0123456789abcdef0123456789abcdef", ""},
	{PasswordHash, "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1", ""},
	{PasswordHash, "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc8", ""},
	{PasswordHash, "$1$3azHgidD$SrJPt7B.9rekpmwJwtON31", ""},
	{PasswordHash, `hash "$2a$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW".`, "$2a$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW"},
	{APIKey, "AKIAIOSFODNN7EXAMPLE", ""},
	{APIKey, "aws_access_key_id=AKIAIOSFODNN7EXAMPLE\n", "AKIAIOSFODNN7EXAMPLE"},
	{APIKey, "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a", ""},
	{APIKey, "key: sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc.", "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc"},
	{APIKey, "xoxb-" + "123456789012-1234567890123-AbCdEfGhIjKlMnOpQrStUvWx", ""},
	{APIKey, "AIza" + "SyDaGmWKa4JsXZ-HjGw7ISLn_3namBGewQe", ""},
	{APIKey, "glpat-" + "Zx3yW1vU9tS7rQ5pO3nM", ""},
	{APIKey, "npm_" + "a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d6e7f8", ""},
	{APIKey, "https://api.example.com/hook/shpat_" + "0123456789abcdef0123456789ABCDEF", "shpat_" + "0123456789abcdef0123456789ABCDEF"},
	{URLPassword, "postgres://app:s3cret@db.example.com:5432/shop", "s3cret"},
	{URLPassword, "see https://bob:p@ss:w0rd@example.com/x", "p@ss:w0rd"},
	{URLPassword, "redis://:hunter2@localhost:6379/0", "hunter2"},
}

func TestDetectorsFindTheirClass(t *testing.T) {
	for _, c := range found {
		d, ok := For(c.class)
		if !ok {
			t.Fatalf("no detector for %s", c.class)
		}
		want := c.value
		if want == "" {
			want = c.text
		}
		for _, wrap := range [...][2]string{{"", ""}, {" ", " "}, {`{"x":"`, `"}`}, {"(", ")"}, {"x: ", "\n"}, {"“", "”"}} {
			text := []byte(wrap[0] + c.text + wrap[1])
			a, b, ok := d.Find(text)
			if !ok {
				t.Errorf("%s not found in %q", c.class, text)
				continue
			}
			got := string(text[a:b])
			if c.class == PrivateKey && strings.HasPrefix(got, want) {
				continue // a cut key reaches to the end of the text
			}
			if got != want {
				t.Errorf("%s in %q: found %q, want %q", c.class, text, got, want)
			}
			if !d.Need.Met(text) {
				t.Errorf("%s: the need rules out %q", c.class, text)
			}
			if class, _, _, ok := Find(text); !ok || class != c.class {
				t.Errorf("Find(%q) = %q, want %q", text, class, c.class)
			}
		}
	}
}

func TestFindGoesOnBehindTheEnd(t *testing.T) {
	d, _ := For(Email)
	s := []byte("a@example.com, b@example.com;c@example.com")
	n := 0
	for {
		_, end, ok := d.Find(s)
		if !ok {
			break
		}
		n++
		s = s[end:]
	}
	if n != 3 {
		t.Errorf("found %d addresses, want 3", n)
	}
}

func TestDetectorsAllocateNothing(t *testing.T) {
	texts := [][]byte{}
	for _, c := range found {
		texts = append(texts, []byte(c.text))
	}
	n := testing.AllocsPerRun(20, func() {
		for _, s := range texts {
			for i := range detectors {
				detectors[i].Find(s)
			}
		}
	})
	if n > 0 {
		t.Errorf("the detectors allocate %v times, want 0", n)
	}
}

func TestClassesAreKnownAndDetectorsHaveOne(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Classes() {
		if seen[c.Name] || c.About == "" || strings.Count(c.Name, ".") != 1 {
			t.Errorf("class %+v", c)
		}
		seen[c.Name] = true
	}
	for _, d := range All() {
		if !seen[d.Class] {
			t.Errorf("detector of an unknown class %q", d.Class)
		}
		if len(d.Need.Bytes) > 4 {
			t.Errorf("%s asks for more than 4 bytes", d.Class)
		}
	}
	if _, ok := Known("personal"); ok {
		t.Error("a group is taken for a class")
	}
	if _, ok := For(Password); ok {
		t.Error("passwords cannot be detected")
	}
}

func FuzzDetectors(f *testing.F) {
	for _, c := range found {
		f.Add([]byte(c.text))
	}
	for _, s := range ordinary.Strings()[:400] {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, s []byte) {
		for _, d := range All() {
			a, b, ok := d.Find(s)
			if !ok {
				continue
			}
			if a < 0 || b <= a || b > len(s) {
				t.Fatalf("%s: [%d:%d] of %d bytes", d.Class, a, b, len(s))
			}
			if !d.Need.Met(s) {
				t.Errorf("%s: the need rules out %q, in which %q is found", d.Class, s, s[a:b])
			}
			if d.Class == URLPassword {
				continue // the value is no URL
			}
			// What is found is a value by itself, so that masking it masks all.
			if a2, b2, ok := d.Find(s[a:b]); !ok || a2 != 0 || b2 != b-a {
				t.Errorf("%s: %q is found in %q, but alone gives [%d:%d] %v", d.Class, s[a:b], s, a2, b2, ok)
			}
		}
		StackTrace(s)
		ServerDetail(s)
	})
}

func BenchmarkFind(b *testing.B) {
	for _, c := range []struct{ name, text string }{
		{"prose", "The quick brown fox jumps over the lazy dog, and having friends over is nice."},
		{"uuid", "550e8400-e29b-41d4-a716-446655440000"},
		{"email", "alice.o'brien+shop@mail.example.co.uk"},
		{"card", "4111 1111 1111 1111"},
		{"jwt", jwtSample},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := []byte(c.text)
			b.SetBytes(int64(len(s)))
			b.ReportAllocs()
			for b.Loop() {
				Find(s)
			}
		})
	}
}
