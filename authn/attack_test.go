package authn_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/authn"
	"github.com/sallyport/sallyport/exchange"
)

// An attack is a token that must be refused, and why. make returns "" where
// the attack does not apply to the algorithm.
type attack struct {
	name string
	make func(s signer) string
	want exchange.Reason
}

// payload is an attack in the claims of a token that is signed well.
func payload(name, claims string, want exchange.Reason) attack {
	return attack{name, func(s signer) string { return s.token(header(s.alg, "k1"), claims) }, want}
}

// head is an attack in the header; %s stands for the algorithm.
func head(name, h string, want exchange.Reason) attack {
	return attack{name, func(s signer) string { return s.token(strings.ReplaceAll(h, "%s", s.alg), claims()) }, want}
}

// text is an attack on the text of a good token.
func text(name string, change func(tok string) string, want exchange.Reason) attack {
	return attack{name, func(s signer) string { return change(s.token(header(s.alg, "k1"), claims())) }, want}
}

// signature is an attack on the signature of a good token.
func signature(name string, change func(s signer, sig []byte) []byte, want exchange.Reason) attack {
	return attack{name, func(s signer) string {
		body := join(header(s.alg, "k1"), claims())
		sig := change(s, s.sign(body))
		if sig == nil {
			return ""
		}
		return body + "." + b64b(sig)
	}, want}
}

func kindOf(s signer) string {
	switch s.key.(type) {
	case *ecdsa.PrivateKey:
		return "EC"
	case *rsa.PrivateKey:
		return "RSA"
	case []byte:
		return "HS"
	}
	return "Ed"
}

// other is an algorithm of the same key, which the issuer is not configured for.
func other(alg string) string {
	switch alg {
	case "RS256":
		return "PS256"
	case "EdDSA":
		return "Ed25519"
	case "Ed25519":
		return "EdDSA"
	case "HS256":
		return "HS512"
	case "ES256", "ES384", "ES512":
		return "RS256"
	}
	if alg[0] == 'H' {
		return "HS256"
	}
	return "RS256"
}

func attacks() []attack {
	unix := now.Unix()
	n := func(d int64) string { return fmt.Sprint(unix + d) }
	as := []attack{}
	for _, alg := range []string{`"none"`, `"None"`, `"NONE"`, `"nOnE"`, `""`, `null`, `1`, `["HS256"]`, `{"a":1}`, `"none "`} {
		as = append(as,
			attack{"C1 alg " + alg + ", no signature", func(signer) string { return join(`{"alg":`+alg+`,"kid":"k1"}`, claims()) + "." }, exchange.AuthnAlgorithm},
			head("C1 alg "+alg+", signed", `{"alg":`+alg+`,"kid":"k1"}`, exchange.AuthnAlgorithm))
	}
	as = append(as, head("C1 alg missing", `{"typ":"at+jwt","kid":"k1"}`, exchange.AuthnAlgorithm))

	// C2: the public key as a secret.
	confused := func(name string, key func(s signer) []byte) attack {
		return attack{"C2 HS256 by the public key, " + name, func(s signer) string {
			if kindOf(s) == "HS" {
				return ""
			}
			return signer{"HS256", key(s)}.token(header("HS256", "k1"), claims())
		}, exchange.AuthnAlgorithm}
	}
	der := func(s signer) []byte { b, _ := x509.MarshalPKIXPublicKey(s.public()); return b }
	as = append(as,
		confused("DER", der),
		confused("PEM", func(s signer) []byte { return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der(s)}) }),
		confused("JWK", func(s signer) []byte { return []byte(s.jwk("k1")) }),
		attack{"C3 another algorithm", func(s signer) string {
			o := other(s.alg)
			if kindOf(s) == "EC" {
				return keyPair("RS256", "mallory").token(header(o, "k1"), claims())
			}
			return signer{o, s.key}.token(header(o, "k1"), claims())
		}, exchange.AuthnAlgorithm},
		head("C3 the algorithm in small letters", `{"alg":"`+"x%s"+`","kid":"k1"}`, exchange.AuthnAlgorithm),
	)

	// C4 and its like: signatures.
	ec := func(name string, change func(k *ecdsa.PrivateKey, size int, sig []byte) []byte) attack {
		return signature("C4 "+name, func(s signer, sig []byte) []byte {
			k, ok := s.key.(*ecdsa.PrivateKey)
			if !ok {
				return nil
			}
			return change(k, len(sig)/2, sig)
		}, exchange.AuthnSignature)
	}
	as = append(as,
		ec("r = s = 0", func(_ *ecdsa.PrivateKey, n int, _ []byte) []byte { return make([]byte, 2*n) }),
		ec("r = 0", func(_ *ecdsa.PrivateKey, n int, sig []byte) []byte { return append(make([]byte, n), sig[n:]...) }),
		ec("s = 0", func(_ *ecdsa.PrivateKey, n int, sig []byte) []byte { return append(sig[:n:n], make([]byte, n)...) }),
		ec("r = n", func(k *ecdsa.PrivateKey, n int, sig []byte) []byte {
			return append(k.Params().N.FillBytes(make([]byte, n)), sig[n:]...)
		}),
		ec("s = n", func(k *ecdsa.PrivateKey, n int, sig []byte) []byte {
			return append(sig[:n:n], k.Params().N.FillBytes(make([]byte, n))...)
		}),
		ec("r = s = 1", func(_ *ecdsa.PrivateKey, n int, _ []byte) []byte {
			one := big.NewInt(1).FillBytes(make([]byte, n))
			return append(one, one...)
		}),
		ec("DER", func(_ *ecdsa.PrivateKey, n int, sig []byte) []byte {
			b, _ := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(sig[:n]), new(big.Int).SetBytes(sig[n:])})
			return b
		}),
		ec("s + n", func(k *ecdsa.PrivateKey, n int, sig []byte) []byte {
			s := new(big.Int).Add(new(big.Int).SetBytes(sig[n:]), k.Params().N)
			if len(s.Bytes()) > n {
				return sig[:2*n-1]
			}
			return append(sig[:n:n], s.FillBytes(make([]byte, n))...)
		}),
		signature("a byte less", func(_ signer, sig []byte) []byte { return sig[:len(sig)-1] }, exchange.AuthnSignature),
		signature("a byte more", func(_ signer, sig []byte) []byte { return append(sig, 0) }, exchange.AuthnSignature),
		signature("a zero before", func(_ signer, sig []byte) []byte { return append([]byte{0}, sig...) }, exchange.AuthnSignature),
		signature("one bit", func(_ signer, sig []byte) []byte { sig[len(sig)/2] ^= 1; return sig }, exchange.AuthnSignature),
		signature("all zero", func(_ signer, sig []byte) []byte { return make([]byte, len(sig)) }, exchange.AuthnSignature),
		signature("all ones", func(_ signer, sig []byte) []byte { return []byte(strings.Repeat("\xff", len(sig))) }, exchange.AuthnSignature),
		signature("one byte", func(signer, []byte) []byte { return []byte{1} }, exchange.AuthnSignature),
		text("no signature", func(tok string) string { return tok[:strings.LastIndexByte(tok, '.')+1] }, exchange.AuthnSignature),
		attack{"signature of another token", func(s signer) string {
			return join(header(s.alg, "k1"), claims("sub", `"admin"`)) + "." + b64b(s.sign(join(header(s.alg, "k1"), claims())))
		}, exchange.AuthnSignature},
		attack{"signature over the decoded text", func(s signer) string {
			return join(header(s.alg, "k1"), claims()) + "." + b64b(s.sign(header(s.alg, "k1")+"."+claims()))
		}, exchange.AuthnSignature},
		attack{"signed by someone else", func(s signer) string {
			return keyPair(s.alg, "mallory").token(header(s.alg, "k1"), claims())
		}, exchange.AuthnSignature},
		signature("C15 PSS without salt", func(s signer, _ []byte) []byte {
			if s.alg[0] != 'P' {
				return nil
			}
			h, fresh := hashOf(s.alg)
			d := fresh()
			d.Write([]byte(join(header(s.alg, "k1"), claims())))
			sig, err := rsa.SignPSS(rand.Reader, s.key.(*rsa.PrivateKey), h, d.Sum(nil), &rsa.PSSOptions{SaltLength: 0})
			if err != nil {
				panic(err)
			}
			return sig
		}, exchange.AuthnSignature),
		signature("C15 PSS with a long salt", func(s signer, _ []byte) []byte {
			if s.alg[0] != 'P' {
				return nil
			}
			h, fresh := hashOf(s.alg)
			d := fresh()
			d.Write([]byte(join(header(s.alg, "k1"), claims())))
			sig, err := rsa.SignPSS(rand.Reader, s.key.(*rsa.PrivateKey), h, d.Sum(nil), &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto})
			if err != nil {
				panic(err)
			}
			return sig
		}, exchange.AuthnSignature),
	)

	// C5: kid.
	for _, kid := range []string{`../../dev/null`, `' or 1=1--`, `http://evil.example/k`, `K1`, `k1 `, `k1\u0000`, ``, `k2`, strings.Repeat("k", 256), `$(id)`, `{{1}}`} {
		a := head("C5 kid "+kid[:min(len(kid), 20)], `{"alg":"%s","kid":"`+kid+`"}`, exchange.AuthnKey)
		plain := a.make
		a.make = func(s signer) string {
			if kindOf(s) == "HS" {
				return "" // there is one secret, whatever it is called
			}
			return plain(s)
		}
		as = append(as, a)
	}
	as = append(as,
		head("C5 kid of 257 bytes", `{"alg":"%s","kid":"`+strings.Repeat("k", 257)+`"}`, exchange.AuthnMalformed),
		head("C5 kid of 1 MB", `{"alg":"%s","kid":"`+strings.Repeat("k", 1<<20)+`"}`, exchange.AuthnMalformed),
		head("C5 kid is a number", `{"alg":"%s","kid":1}`, exchange.AuthnMalformed),
		head("C5 kid is an array", `{"alg":"%s","kid":["k1"]}`, exchange.AuthnMalformed),
		head("C5 kid is null", `{"alg":"%s","kid":null}`, exchange.AuthnMalformed),
	)

	// C6: a key that the token brings.
	brought := func(name string, more func(m signer) string) attack {
		return attack{"C6 " + name, func(s signer) string {
			if kindOf(s) == "HS" {
				return ""
			}
			m := keyPair(s.alg, "mallory")
			return m.token(`{"alg":"`+s.alg+`","kid":"k1",`+more(m)+`}`, claims())
		}, exchange.AuthnSignature}
	}
	as = append(as,
		brought("jwk", func(m signer) string { return `"jwk":` + m.jwk("k1") }),
		brought("jku", func(signer) string { return `"jku":"http://127.0.0.1:1/jwks"` }),
		brought("x5u", func(signer) string { return `"x5u":"http://127.0.0.1:1/cert"` }),
		brought("x5c", func(m signer) string { return `"x5c":["` + b64b(der(m)) + `"]` }),
		attack{"C6 jwk with a kid of its own", func(s signer) string {
			if kindOf(s) == "HS" {
				return ""
			}
			m := keyPair(s.alg, "mallory")
			return m.token(`{"alg":"`+s.alg+`","kid":"mallory","jwk":`+m.jwk("mallory")+`}`, claims())
		}, exchange.AuthnKey},
	)

	// C7, C13, C14, C16: the header.
	for _, h := range []string{`"crit":["exp"]`, `"crit":[]`, `"crit":["x"],"x":1`, `"crit":"exp"`, `"crit":null`, `"crit":["b64"],"b64":false`, `"b64":false`, `"b64":true`,
		`"zip":"DEF"`, `"enc":"A256GCM"`, `"cty":"JWT"`, `"cty":"application/jwt"`, `"cty":1`} {
		as = append(as, head("C7 "+h, `{"alg":"%s","kid":"k1",`+h+`}`, exchange.AuthnType))
	}
	for _, typ := range []string{`"JWE"`, `"dpop+jwt"`, `"logout+jwt"`, `"secevent+jwt"`, `"application/dpop+jwt"`, `1`, `null`, `["at+jwt"]`, `"jwt "`, `"text/at+jwt"`} {
		as = append(as, head("C13 typ "+typ, `{"alg":"%s","kid":"k1","typ":`+typ+`}`, exchange.AuthnType))
	}
	idToken := func(more ...string) attack {
		return attack{"C13 another kind of token: " + strings.Join(more, "="), func(s signer) string {
			return s.token(`{"alg":"`+s.alg+`","kid":"k1","typ":"JWT"}`, claims(more...))
		}, exchange.AuthnType}
	}
	as = append(as,
		idToken("at_hash", `"x"`), idToken("c_hash", `"x"`), idToken("token_use", `"id"`), idToken("typ", `"ID"`), idToken("typ", `"Refresh"`),
		idToken("typ", `1`), idToken("events", `{}`),
		attack{"C8 two alg, good first", func(s signer) string {
			return s.token(`{"alg":"`+s.alg+`","kid":"k1","alg":"none"}`, claims())
		}, exchange.AuthnMalformed},
		attack{"C8 two alg, good last", func(s signer) string {
			return s.token(`{"alg":"none","kid":"k1","alg":"`+s.alg+`"}`, claims())
		}, exchange.AuthnMalformed},
		head("C8 two kid", `{"alg":"%s","kid":"k1","kid":"k2"}`, exchange.AuthnMalformed),
		head("C8 two kid, one escaped", `{"alg":"%s","kid":"k1","k\u0069d":"k1"}`, exchange.AuthnMalformed),
		payload("C8 two sub", claims("sub", `"alice","sub":"admin"`), exchange.AuthnClaims),
		payload("C8 two sub the other way", claims("sub", `"admin","sub":"alice"`), exchange.AuthnClaims),
		payload("C8 two sub, one escaped", claims("sub", `"alice","s\u0075b":"admin"`), exchange.AuthnClaims),
		payload("C8 two aud", claims("aud", `"shop","aud":"other"`), exchange.AuthnClaims),
		payload("C8 two exp", claims("exp", n(600)+`,"exp":`+n(-600)), exchange.AuthnClaims),
		payload("C8 two iss", claims("iss", `"https://id.evil.example","iss":"`+issuerURL+`"`), exchange.AuthnClaims),
		payload("C8 twice deep inside", claims("x", `{"a":[{"b":1,"b":2}]}`), exchange.AuthnClaims),
	)

	// C9, C10: dates.
	as = append(as, payload("C9 exp missing", claims("exp", ""), exchange.AuthnLifetime))
	for _, v := range []string{`"` + n(600) + `"`, `1e400`, `1e9`, `-1`, n(600) + `.5`, n(600) + `.0`, `9223372036854775808`, `99999999999999999999999`, `253402300800`, `[` + n(600) + `]`, `null`, `true`, `{}`, `-0`, `"NaN"`} {
		as = append(as, payload("C9 exp "+v, claims("exp", v), exchange.AuthnClaims))
	}
	for _, v := range []string{`NaN`, `Infinity`, `0x10`, `01`, `+1`, `1.`, `.5`, `1e`, ``} {
		if v != "" {
			as = append(as, payload("C9 exp "+v, claims("exp", v), exchange.AuthnMalformed))
		}
	}
	as = append(as,
		payload("C9 exp 0", claims("exp", "0", "iat", "0", "nbf", "0"), exchange.AuthnExpired),
		payload("C9 expired", claims("exp", n(-3600), "iat", n(-4000), "nbf", n(-4000)), exchange.AuthnExpired),
		payload("C10 exp at the edge of the skew", claims("exp", n(-60)), exchange.AuthnExpired),
		payload("C10 nbf beyond the skew", claims("nbf", n(61)), exchange.AuthnNotYet),
		payload("C10 iat beyond the skew", claims("iat", n(61)), exchange.AuthnNotYet),
		payload("C10 nbf in years", claims("nbf", n(1e8)), exchange.AuthnNotYet),
		payload("C10 nbf is a string", claims("nbf", `"0"`), exchange.AuthnClaims),
		payload("C10 nbf is null", claims("nbf", `null`), exchange.AuthnClaims),
		payload("C10 iat is a float", claims("iat", n(0)+".1"), exchange.AuthnClaims),
		payload("iat missing where the lifetime is bounded", claims("iat", ""), exchange.AuthnClaims),
		payload("lives too long", claims("exp", n(3541)), exchange.AuthnLifetime),
		payload("lives for ever", claims("exp", "253402300799"), exchange.AuthnLifetime),
	)

	// C11, C12: who and for whom.
	as = append(as, payload("C11 aud missing", claims("aud", ""), exchange.AuthnAudience))
	for _, v := range []string{`"other"`, `"sho"`, `"shop2"`, `"Shop"`, `"shop "`, `""`, `["other"]`, `[]`, `"shop,shop-admin"`, `"shop shop-admin"`, `"*"`, `"any"`, `[["shop"]` + `]`} {
		want := exchange.AuthnAudience
		if strings.HasPrefix(v, "[[") {
			want = exchange.AuthnClaims
		}
		as = append(as, payload("C11 aud "+v, claims("aud", v), want))
	}
	for _, v := range []string{`["shop",1]`, `1`, `null`, `{"shop":true}`, `true`, `["shop",null]`} {
		as = append(as, payload("C11 aud "+v, claims("aud", v), exchange.AuthnClaims))
	}
	for _, v := range []string{`"https://id.acme.example/"`, `"https://ID.acme.example"`, `"http://id.acme.example"`, `"https://id.acmе.example"`, `"https://id.acme.example."`, `"https://id.acme.example:443"`, `"id.acme.example"`, `""`, `"https://id.evil.example"`} {
		as = append(as, payload("C12 iss "+v, claims("iss", v), exchange.AuthnIssuer))
	}
	as = append(as,
		payload("C12 iss missing", claims("iss", ""), exchange.AuthnIssuer),
		payload("C12 iss is an array", claims("iss", `["`+issuerURL+`"]`), exchange.AuthnClaims),
		payload("C12 iss is null", claims("iss", `null`), exchange.AuthnClaims),
		payload("C12 iss of the other issuer, our key", claims("iss", `"https://id.other.example"`, "aud", `"other"`), exchange.AuthnSignature),
		payload("sub missing", claims("sub", ""), exchange.AuthnClaims),
		payload("sub empty", claims("sub", `""`), exchange.AuthnClaims),
		payload("sub is a number", claims("sub", `1`), exchange.AuthnClaims),
		payload("sub is null", claims("sub", `null`), exchange.AuthnClaims),
		payload("sub of 2 kB", claims("sub", `"`+strings.Repeat("a", 2000)+`"`), exchange.AuthnClaims),
		payload("jti is a number", claims("jti", `1`), exchange.AuthnClaims),
		payload("client_id is an object", claims("client_id", `{}`), exchange.AuthnClaims),
		payload("org_id is a number", claims("org_id", `7`), exchange.AuthnClaims),
		payload("scope is a number", claims("scope", `7`), exchange.AuthnClaims),
		payload("scope holds a number", claims("scope", `["a",1]`), exchange.AuthnClaims),
		payload("roles is an object", claims("roles", `{"admin":true}`), exchange.AuthnClaims),
		payload("roles holds null", claims("roles", `[null]`), exchange.AuthnClaims),
	)

	// C14, C17: the form.
	as = append(as,
		text("C14 one part", func(tok string) string { return tok[:strings.IndexByte(tok, '.')] }, exchange.AuthnMalformed),
		text("C14 two parts", func(tok string) string { return tok[:strings.LastIndexByte(tok, '.')] }, exchange.AuthnMalformed),
		text("C14 four parts", func(tok string) string { return tok + ".x" }, exchange.AuthnMalformed),
		text("C16 five parts", func(tok string) string { return tok + ".x.y" }, exchange.AuthnMalformed),
		text("C14 six parts", func(tok string) string { return tok + ".x.y.z" }, exchange.AuthnMalformed),
		text("C14 a dot behind", func(tok string) string { return tok + "." }, exchange.AuthnMalformed),
		text("C14 a dot before", func(tok string) string { return "." + tok }, exchange.AuthnMalformed),
		text("C14 two dots", func(tok string) string { return strings.Replace(tok, ".", "..", 1) }, exchange.AuthnMalformed),
		text("C14 a line end behind", func(tok string) string { return tok + "\n" }, exchange.AuthnMalformed),
		text("C14 a line end inside", func(tok string) string { return tok[:9] + "\n" + tok[9:] }, exchange.AuthnMalformed),
		text("C14 CR LF inside the signature", func(tok string) string { return tok[:len(tok)-4] + "\r\n" + tok[len(tok)-4:] }, exchange.AuthnMalformed),
		text("C14 a space before", func(tok string) string { return " " + tok }, exchange.AuthnMalformed),
		text("C14 NUL behind", func(tok string) string { return tok + "\x00" }, exchange.AuthnMalformed),
		text("C14 padding", func(tok string) string { return tok + "=" }, exchange.AuthnMalformed),
		text("C14 padding of the header", func(tok string) string { return strings.Replace(tok, ".", "=.", 1) }, exchange.AuthnMalformed),
		text("C14 the other alphabet", func(tok string) string { return tok[:len(tok)-2] + "+/" }, exchange.AuthnMalformed),
		text("C14 no header", func(tok string) string { return tok[strings.IndexByte(tok, '.'):] }, exchange.AuthnMalformed),
		text("C14 no payload", func(tok string) string {
			p := strings.Split(tok, ".")
			return p[0] + ".." + p[2]
		}, exchange.AuthnMalformed),
		text("C14 JSON serialisation", func(tok string) string {
			p := strings.Split(tok, ".")
			return fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, p[0], p[1], p[2])
		}, exchange.AuthnMalformed),
		attack{"C14 unused bits of the signature", func(s signer) string {
			tok := s.token(header(s.alg, "k1"), claims())
			return loosen(tok)
		}, exchange.AuthnMalformed},
		attack{"C14 unused bits of the header", func(s signer) string {
			for h := header(s.alg, "k1"); ; h += " " {
				if tok := s.token(h, claims()); len(h)%3 != 0 {
					i := strings.IndexByte(tok, '.')
					return loosen(tok[:i]) + tok[i:]
				}
			}
		}, exchange.AuthnMalformed},
		attack{"C14 empty", func(signer) string { return "." }, exchange.AuthnMalformed},
		attack{"C14 opaque", func(signer) string { return "2YotnFZFEjr1zCsicMWpAA" }, exchange.AuthnMalformed},
		text("C17 a token of 20 kB", func(tok string) string { return tok + strings.Repeat("A", 20<<10) }, exchange.AuthnMalformed),
		head("C17 a header of 5 kB", `{"alg":"%s","kid":"k1","x":"`+strings.Repeat("a", 5<<10)+`"}`, exchange.AuthnMalformed),
		payload("C17 claims 10,000 deep", claims("x", strings.Repeat("[", 5000)), exchange.AuthnMalformed),
		payload("C17 claims 100 deep", claims("x", strings.Repeat("[", 100)+strings.Repeat("]", 100)), exchange.AuthnMalformed),
		payload("C17 objects 100 deep", claims("x", strings.Repeat(`{"a":`, 100)+"1"+strings.Repeat("}", 100)), exchange.AuthnMalformed),
		payload("C17 2,000 elements", claims("x", "[1"+strings.Repeat(",1", 2000)+"]"), exchange.AuthnMalformed),
		payload("claims are an array", "["+claims()+"]", exchange.AuthnMalformed),
		payload("claims are a string", `"x"`, exchange.AuthnMalformed),
		payload("claims are null", `null`, exchange.AuthnMalformed),
		payload("two claims sets", claims()+claims(), exchange.AuthnMalformed),
		payload("something behind the claims", claims()+"x", exchange.AuthnMalformed),
		payload("a trailing comma", strings.TrimSuffix(claims(), "}")+",}", exchange.AuthnMalformed),
		payload("a byte order mark", "\ufeff"+claims(), exchange.AuthnMalformed),
		payload("invalid UTF-8", claims("name", "\"\xff\""), exchange.AuthnMalformed),
		payload("overlong UTF-8", claims("name", "\"\xc0\xaf\""), exchange.AuthnMalformed),
		payload("a lone surrogate", claims("name", `"\ud800"`), exchange.AuthnMalformed),
		payload("a line end in a string", claims("name", "\"\n\""), exchange.AuthnMalformed),
		payload("a bad escape", claims("name", `"\x41"`), exchange.AuthnMalformed),
		payload("a comment", claims("name", `1/**/`), exchange.AuthnMalformed),
		payload("single quotes", strings.ReplaceAll(claims(), `"`, `'`), exchange.AuthnMalformed),
		head("the header is an array", `["%s"]`, exchange.AuthnMalformed),
		head("something behind the header", `{"alg":"%s","kid":"k1"}x`, exchange.AuthnMalformed),
		attack{"C16 encrypted", func(signer) string {
			return b64(`{"alg":"RSA-OAEP","enc":"A256GCM"}`) + ".a." + b64("123456789012") + ".a.a"
		}, exchange.AuthnMalformed},
		attack{"C16 PBES2 with many rounds", func(signer) string {
			return join(`{"alg":"PBES2-HS256+A128KW","p2c":2147483647,"p2s":"AA","enc":"A128GCM","kid":"k1"}`, claims()) + ".AA"
		}, exchange.AuthnType},
		attack{"C16 RSA1_5", func(signer) string { return join(`{"alg":"RSA1_5","kid":"k1"}`, claims()) + ".AA" }, exchange.AuthnAlgorithm},
	)
	return as
}

// loosen sets an unused bit of the last character, or returns "" where there
// is none.
func loosen(s string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	part := s[strings.LastIndexByte(s, '.')+1:]
	if len(part)%4 == 0 {
		return ""
	}
	i := strings.IndexByte(alphabet, s[len(s)-1])
	return s[:len(s)-1] + string(alphabet[i|1])
}

var allAlgorithms = []string{"ES256", "ES384", "ES512", "EdDSA", "Ed25519", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "HS256", "HS384", "HS512"}

// The table of attacks on tokens, by each algorithm, through a verifier that
// trusts two issuers which share a kid.
func TestAttacksOnTokens(t *testing.T) {
	as := attacks()
	byReason := map[exchange.Reason]int{}
	algs := allAlgorithms
	if testing.Short() {
		algs = []string{"ES256", "EdDSA", "RS256", "PS256", "HS256"}
	}
	for _, alg := range algs {
		s := keyPair(alg, "acme")
		second := keyPair(alg, "other")
		v := verifierOf(t, authn.NewCache(authn.CacheOptions{}), issuerFor(t, s, nil), issuerFor(t, second, func(o *authn.IssuerOptions) {
			o.Name, o.URL, o.Audiences = "other", "https://id.other.example", []string{"other"}
		}))
		good := s.token(header(alg, "k1"), claims())
		for range 2 { // as it comes, and remembered
			p, reason := verify(v, good)
			if reason != exchange.OK || p.Subject != "alice" {
				t.Fatalf("%s: the good token is refused: %s", alg, reason)
			}
		}
		ran := 0
		for _, a := range as {
			tok := a.make(s)
			if tok == "" {
				continue
			}
			ran++
			for range 2 {
				p, reason := verify(v, tok)
				if p != nil || reason != a.want {
					t.Errorf("%s: %s: %s, want %s", alg, a.name, reason, a.want)
				}
			}
			byReason[a.want]++
		}
		t.Logf("%-7s %d attacks refused, each for its reason", alg, ran)
	}
	if len(as) < 60 {
		t.Errorf("%d attacks, want 60 at least", len(as))
	}
	for r, n := range byReason {
		t.Logf("%-18s %4d", r, n)
	}
}

// C18: the Authorization field.
func TestC18Authorization(t *testing.T) {
	for value, want := range map[string]exchange.Reason{
		"Bearer abc.def.ghi": exchange.OK, "bearer abc": exchange.OK, "BEARER abc": exchange.OK, "Bearer a~b+c/d==": exchange.OK,
		"Bearer  abc": exchange.AuthnMalformed, "Bearer\tabc": exchange.AuthnMalformed, "Bearer": exchange.AuthnMalformed, "Bearer ": exchange.AuthnMalformed,
		"Bearer abc ": exchange.AuthnMalformed, "Bearer abc,def": exchange.AuthnMalformed, "Bearer abc, Bearer def": exchange.AuthnMalformed,
		"Bearer abc Basic def": exchange.AuthnMalformed, "Bearer =": exchange.AuthnMalformed, "Bearer a=b": exchange.AuthnMalformed, "Bearer \"abc\"": exchange.AuthnMalformed,
		"Bearer token=abc": exchange.AuthnMalformed, "Bearer abc\x00": exchange.AuthnMalformed, "Bearer abcé": exchange.AuthnMalformed,
		"Basic YTpi": exchange.AuthnMissing, "": exchange.AuthnMissing, "abc": exchange.AuthnMissing, "BearerX abc": exchange.AuthnMissing, " Bearer abc": exchange.AuthnMissing,
		"DPoP abc": exchange.AuthnMissing, "Bearer:abc": exchange.AuthnMalformed, "Basic YTpi, Bearer abc": exchange.AuthnMissing,
	} {
		token, reason := authn.Bearer([]byte(value))
		if reason != want {
			t.Errorf("Bearer(%q) = %s, want %s", value, reason, want)
		}
		if (reason == exchange.OK) != (token != nil) || reason == exchange.OK && string(token) != value[7:] {
			t.Errorf("Bearer(%q) = %q", value, token)
		}
	}
}
