package authn

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/exchange"
)

// What the strict parser takes, the standard library takes too, and reads the
// same.
func FuzzParseObject(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1}`, ` { "a" : [1,-0.5e+3,true,false,null,"x\u00e9\ud83d\ude00\n\/"] } `, `{"a":{"a":{}}}`, `{"a":1,"a":2}`, `{"\u0061":1,"a":2}`,
		`{"a":"\ud800"}`, `{"a":01}`, `{"a":1}x`, "{\"a\":\"\xff\"}", `{"a":1,}`, `[]`, strings.Repeat(`{"a":`, 20) + "1" + strings.Repeat("}", 20)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := parseObject(b)
		if err != nil {
			return
		}
		if !json.Valid(b) {
			t.Fatalf("%q is taken, and is no JSON", b)
		}
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		var want map[string]any
		if err := d.Decode(&want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(plain(got), any(want)) {
			t.Errorf("%q is read as %v, want %v", b, got, want)
		}
	})
}

// plain turns our types into those of encoding/json.
func plain(v any) any {
	switch v := v.(type) {
	case object:
		m := map[string]any{}
		for k, e := range v {
			m[k] = plain(e)
		}
		return m
	case []any:
		a := make([]any, len(v))
		for i, e := range v {
			a[i] = plain(e)
		}
		return a
	case number:
		return json.Number(v)
	}
	return v
}

// Nothing is proven but what the issuer signed, and a token is remembered as
// what it was.
func FuzzVerify(f *testing.F) {
	secret := bytes.Repeat([]byte("k"), 32)
	iss, err := NewIssuer(IssuerOptions{URL: "https://id.acme.example", Audiences: []string{"shop"}, Algorithms: []string{"HS256"}, Secret: secret})
	if err != nil {
		f.Fatal(err)
	}
	cached, err := NewVerifier(VerifierOptions{Issuers: []*Issuer{iss}, Cache: NewCache(CacheOptions{Bytes: 1 << 20})})
	if err != nil {
		f.Fatal(err)
	}
	bare, err := NewVerifier(VerifierOptions{Issuers: []*Issuer{iss}})
	if err != nil {
		f.Fatal(err)
	}
	const good = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJodHRwczovL2lkLmFjbWUuZXhhbXBsZSIsInN1YiI6ImEiLCJhdWQiOiJzaG9wIiwiZXhwIjoxODAwMDAwMDAwfQ.AAAA"
	for _, s := range []string{good, good + ".", "..", "a.b.c", "", strings.Repeat("A", 100), "eyJhbGciOiJub25lIn0.e30.", strings.Replace(good, "AAAA", "", 1)} {
		f.Add([]byte(s))
	}
	now := time.Unix(1790000000, 0)
	f.Fuzz(func(t *testing.T, token []byte) {
		for _, v := range []*Verifier{bare, cached, cached} {
			p, reason := v.Verify(context.Background(), token, now)
			if reason == exchange.OK || p != nil {
				t.Fatalf("%q is proven, and nobody signed it", token)
			}
			if reason == exchange.Undecided {
				t.Fatalf("%q has no reason", token)
			}
		}
		// The same bytes, signed: whatever comes out is the issuer's and not
		// for someone else.
		i := bytes.LastIndexByte(token, '.')
		if i < 0 {
			return
		}
		signed := append([]byte(nil), token[:i+1]...)
		signed = append(signed, macOf(secret, token[:i])...)
		p, reason := bare.Verify(context.Background(), signed, now)
		if (p == nil) != (reason != exchange.OK) {
			t.Fatalf("%v and %s", p, reason)
		}
		if p != nil && (p.Issuer != iss.o.URL || p.Subject == "" || p.expires < now.Unix()-60 || len(p.Audience) == 0) {
			t.Errorf("%q gives %+v", signed, p)
		}
		q, again := cached.Verify(context.Background(), signed, now)
		if again != reason || (p == nil) != (q == nil) || p != nil && p.Subject != q.Subject {
			t.Errorf("%q: %s without, %s with a cache", signed, reason, again)
		}
	})
}

func macOf(secret, text []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write(text)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// A credential that is taken is a part of the field, and of the alphabet.
func FuzzBearer(f *testing.F) {
	for _, s := range []string{"Bearer a.b.c", "bearer  a", "Bearer\ta", "Basic x", "Bearer a==", "Bearer a b", "Bearer"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		token, reason := Bearer(value)
		if (reason == exchange.OK) != (len(token) > 0) {
			t.Fatalf("Bearer(%q) = %q, %s", value, token, reason)
		}
		if len(token) > 0 && (!bytes.HasSuffix(value, token) || len(value) != len(token)+7 || bytes.ContainsAny(token, " \t,\"\r\n\x00")) {
			t.Errorf("Bearer(%q) = %q", value, token)
		}
	})
}

// A key set that is taken has only keys that can verify, no two for one kid
// and kind.
func FuzzKeySet(f *testing.F) {
	const ec = `{"kty":"EC","crv":"P-256","kid":"k1","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}`
	for _, s := range []string{`{"keys":[` + ec + `]}`, `{"keys":[` + ec + `,` + ec + `]}`, `{"keys":[]}`, `{"keys":[{"kty":"oct","k":"AA"}]}`,
		`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`, `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		set, _, err := parseKeys(doc)
		if err != nil {
			return
		}
		if len(set.keys) == 0 {
			t.Fatal("a key set of nothing")
		}
		seen := map[string]bool{}
		for _, k := range set.keys {
			fits := 0
			for i := range algorithms {
				if a := &algorithms[i]; k.fits(a) {
					fits++
					if a.family == familySecret {
						t.Fatal("a published secret")
					}
					if a.verify(k.public, []byte("x"), make([]byte, max(a.size, 256))) {
						t.Fatal("a signature of zeros is good")
					}
				}
			}
			if fits == 0 {
				t.Error("a key for no algorithm")
			}
			if id := k.id + string(rune(k.family)); k.hasID {
				if seen[id] {
					t.Errorf("two keys for kid %q", k.id)
				}
				seen[id] = true
			}
		}
	})
}

// A discovery document that is taken is of the issuer that was asked.
func FuzzDiscovery(f *testing.F) {
	for _, s := range []string{`{"issuer":"https://a.example","jwks_uri":"https://a.example/jwks"}`, `{"issuer":"https://b.example","jwks_uri":"https://a.example/jwks"}`,
		`{"issuer":"https://a.example","issuer":"https://b.example","jwks_uri":"x"}`, `{"issuer":"https://a.example","jwks_uri":"/jwks"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		jwks, err := parseDiscovery(doc, "https://a.example")
		if err != nil {
			return
		}
		var m map[string]any
		if err := json.Unmarshal(doc, &m); err != nil {
			t.Fatalf("%q: %v", doc, err)
		}
		if m["issuer"] != "https://a.example" || m["jwks_uri"] != jwks || jwks == "" {
			t.Errorf("%q gives %q", doc, jwks)
		}
	})
}
