package wire_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/wire"
)

// front starts a server before a recorder, with the default limits but the
// given timeout for what is waited for.
func front(t testing.TB, wait time.Duration) (addr string, up *recorder) {
	t.Helper()
	up = newRecorder(t)
	p := &proxy{
		upstream: client(t, wire.ClientOptions{Address: up.addr}),
		forward:  wire.Forwarder{Pseudonym: "gate"},
	}
	_, addr = serve(t, wire.Options{Handler: p, HeadTimeout: wait, BodyTimeout: wait, IdleTimeout: wait})
	return addr, up
}

const (
	host = "Host: shop.example\r\n"
	post = "POST /p HTTP/1.1\r\n" + host
)

func chunked(s string) string { return post + "Transfer-Encoding: chunked\r\n\r\n" + s }

// Each of these must be answered with one of the statuses, after which the
// connection closes; and nothing at all may have reached the upstream.
func TestRefused(t *testing.T) {
	long := strings.Repeat("a", 100_000)
	type refused struct {
		name, raw string
		want      []int
	}
	cases := []refused{
		{"A1 length and chunked", post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", []int{400}},
		{"A1 chunked and length", post + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", []int{400}},
		{"A2 two lengths", post + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", []int{400}},
		{"A3 two equal lengths", post + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", []int{400}},
		{"A4 list of lengths", post + "Content-Length: 5,5\r\n\r\nhello", []int{400}},
		{"A4 list with space", post + "Content-Length: 5, 5\r\n\r\nhello", []int{400}},
		{"A6 2^64", post + "Content-Length: 18446744073709551616\r\n\r\n", []int{400, 413}},
		{"A6 2^64 + 5", post + "Content-Length: 18446744073709551621\r\n\r\nhello", []int{400, 413}},
		{"A6 2^63", post + "Content-Length: 9223372036854775808\r\n\r\n", []int{400, 413}},
		{"A6 2^63 - 1", post + "Content-Length: 9223372036854775807\r\n\r\n", []int{413}},
		{"A6 chunk of 2^60", chunked("fffffffffffffff\r\n"), []int{413}},
		{"A9 chunked twice", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", []int{400}},
		{"A9 chunked and identity", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", []int{400}},
		{"A10 chunked in HTTP/1.0", "POST /p HTTP/1.0\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", []int{400}},
		{"A11 space before the colon", post + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", []int{400}},
		{"A12 underscore in coding", post + "Transfer_Encoding: chunked\r\n\r\n0\r\n\r\n", []int{400}},
		{"A12 underscore in length", post + "CONTENT_LENGTH: 5\r\n\r\nhello", []int{400}},
		{"A14 folded line", "GET / HTTP/1.1\r\n" + host + "X-A: b\r\n c\r\n\r\n", []int{400}},
		{"A14 folded with a tab", "GET / HTTP/1.1\r\n" + host + "X-A: b\r\n\tc\r\n\r\n", []int{400}},
		{"A14 folded first line", "GET / HTTP/1.1\r\n " + host + "\r\n", []int{400}},
		{"A14 folded coding", post + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", []int{400}},
		{"A15 LF ends the request line", "GET / HTTP/1.1\n" + host + "\r\n", []int{400}},
		{"A15 LF ends a field", "GET / HTTP/1.1\r\nHost: shop.example\n\r\n", []int{400}},
		{"A15 LF ends the head", "GET / HTTP/1.1\r\n" + host + "\n", []int{400}},
		{"A16 CR in a value", "GET / HTTP/1.1\r\n" + host + "X-A: b\rX-B: c\r\n\r\n", []int{400}},
		{"A16 CR before CRLF", "GET / HTTP/1.1\r\n" + host + "X-A: b\r\r\n\r\n", []int{400}},
		{"A17 NUL in a value", "GET / HTTP/1.1\r\n" + host + "X-A: b\x00c\r\n\r\n", []int{400}},
		{"A17 NUL in a name", "GET / HTTP/1.1\r\n" + host + "X\x00A: b\r\n\r\n", []int{400}},
		{"A17 NUL in a long value", "GET / HTTP/1.1\r\n" + host + "X-A: 0123456789abcdefghi\x00jklmnop\r\n\r\n", []int{400}},
		{"A17 escape in a value", "GET / HTTP/1.1\r\n" + host + "X-A: b\x1b[2Jccccccccc\r\n\r\n", []int{400}},
		{"A17 delete in a value", "GET / HTTP/1.1\r\n" + host + "X-A: bbbbbbbb\x7fccccccccc\r\n\r\n", []int{400}},
		{"A18 no colon", "GET / HTTP/1.1\r\n" + host + "NoColon\r\n\r\n", []int{400}},
		{"A18 empty name", "GET / HTTP/1.1\r\n" + host + ": x\r\n\r\n", []int{400}},
		{"A21 extensions over 4 KiB", chunked(strings.Repeat("1;"+strings.Repeat("a", 999)+"\r\nx\r\n", 5) + "0\r\n\r\n"), []int{400}},
		{"A21 one extension over 4 KiB", chunked("1;" + strings.Repeat("a", 5000) + "\r\nx\r\n0\r\n\r\n"), []int{400}},
		{"A22 data without CRLF", chunked("5\r\nhelloX\r\n0\r\n\r\n"), []int{400}},
		{"A22 data with LF", chunked("5\r\nhello\n0\r\n\r\n"), []int{400}},
		{"A22 data longer than said", chunked("3\r\nhello\r\n0\r\n\r\n"), []int{400}},
		{"A23 last chunk with LF", chunked("0\n\n"), []int{400}},
		{"A23 end with LF", chunked("0\r\n\n"), []int{400}},
		{"A24 trailer with LF", chunked("0\r\nX-A: b\n\r\n"), []int{400}},
		{"A24 trailer without a name", chunked("0\r\n: b\r\n\r\n"), []int{400}},
		{"A24 trailers without end", chunked("0\r\n" + strings.Repeat("X-A: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n", 500)), []int{400}},
		{"A25 no Host", "GET / HTTP/1.1\r\n\r\n", []int{400}},
		{"A25 two Hosts", "GET / HTTP/1.1\r\n" + host + "Host: other.example\r\n\r\n", []int{400}},
		{"A25 two equal Hosts", "GET / HTTP/1.1\r\n" + host + host + "\r\n", []int{400}},
		{"A26 absolute form of another host", "GET http://evil.example/ HTTP/1.1\r\n" + host + "\r\n", []int{400}},
		{"A26 absolute form with user", "GET http://u@shop.example/ HTTP/1.1\r\n" + host + "\r\n", []int{400}},
		{"A26 absolute form of another scheme", "GET ftp://shop.example/ HTTP/1.1\r\n" + host + "\r\n", []int{400}},
		{"A27 asterisk", "GET * HTTP/1.1\r\n" + host + "\r\n", []int{400}},
		{"A27 CONNECT", "CONNECT shop.example:443 HTTP/1.1\r\nHost: shop.example:443\r\n\r\n", []int{405}},
		{"A27 TRACE", "TRACE / HTTP/1.1\r\n" + host + "\r\n", []int{405}},
		{"A28 unknown method", "FOOBAR / HTTP/1.1\r\n" + host + "\r\n", []int{405, 501, 400}},
		{"A28 lower case", "get / HTTP/1.1\r\n" + host + "\r\n", []int{405, 501, 400}},
		{"A28 100 kB", long + " / HTTP/1.1\r\n" + host + "\r\n", []int{405, 501, 400}},
		{"A28 no token", "G(T / HTTP/1.1\r\n" + host + "\r\n", []int{400}},
		{"A28 TLS on cleartext", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", []int{400}},
		{"A29 HTTP/1.9", "GET / HTTP/1.9\r\n" + host + "\r\n", []int{505}},
		{"A29 HTTP/2.0", "GET / HTTP/2.0\r\n" + host + "\r\n", []int{505}},
		{"A29 the preface of HTTP/2, where it is not spoken", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", []int{400, 405, 505}},
		{"A29 lower case", "GET / http/1.1\r\n" + host + "\r\n", []int{400, 505}},
		{"A29 leading zero", "GET / HTTP/01.1\r\n" + host + "\r\n", []int{400, 505}},
		{"A29 no minor", "GET / HTTP/1\r\n" + host + "\r\n", []int{400, 505}},
		{"A29 HTTP/0.9", "GET /\r\n", []int{400, 505}},
		{"A29 two spaces", "GET  / HTTP/1.1\r\n" + host + "\r\n", []int{400}},
		{"A29 space at the end", "GET / HTTP/1.1 \r\n" + host + "\r\n", []int{400}},
		{"A30 request line over 8 KiB", "GET /" + long[:8200] + " HTTP/1.1\r\n" + host + "\r\n", []int{414}},
		{"A30 request line of 100 kB", "GET /" + long + " HTTP/1.1\r\n" + host + "\r\n", []int{414}},
		{"A30 head over 16 KiB", "GET / HTTP/1.1\r\n" + host + strings.Repeat("X-A: "+long[:1000]+"\r\n", 17) + "\r\n", []int{431}},
		{"A30 101 fields", "GET / HTTP/1.1\r\n" + host + strings.Repeat("X-A: b\r\n", 100) + "\r\n", []int{431}},
		{"A33 other expectation", post + "Expect: x\r\nContent-Length: 5\r\n\r\nhello", []int{417}},
		{"A33 two expectations", post + "Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", []int{417}},
		{"A35 Connection names Authorization", "GET / HTTP/1.1\r\n" + host + "Connection: close, Authorization\r\nAuthorization: Bearer x\r\n\r\n", []int{400}},
		{"A35 Connection names X-Api-Key", "GET / HTTP/1.1\r\n" + host + "Connection: X-Api-Key\r\nX-Api-Key: x\r\n\r\n", []int{400}},
		{"A35 Connection names X-Forwarded-For", "GET / HTTP/1.1\r\n" + host + "Connection: keep-alive,x-forwarded-for\r\n\r\n", []int{400}},
		{"A35 Connection names Content-Length", post + "Connection: content-length\r\nContent-Length: 5\r\n\r\nhello", []int{400}},
		{"A36 40 kB of Cookie", "GET / HTTP/1.1\r\n" + host + "Cookie: " + long[:40_000] + "\r\n\r\n", []int{431}},
	}
	for _, v := range []string{"+5", "-1", "0x5", "5 5", "1_0", "", "٣", "5.0", "5;", "\"5\""} {
		cases = append(cases, refused{fmt.Sprintf("A5 length %q", v), post + "Content-Length: " + v + "\r\n\r\nhello", []int{400}})
	}
	for _, v := range []string{"xchunked", "chunked, identity", "identity", "chunked;q=1", ",chunked", "\"chunked\"", "gzip, chunked", "chunked, chunked", "", "chunked,"} {
		cases = append(cases, refused{fmt.Sprintf("A8 coding %q", v), post + "Transfer-Encoding: " + v + "\r\n\r\n0\r\n\r\n", []int{400, 501}})
	}
	for _, v := range []string{"\x0bchunked", "\xa0chunked", "chunked\x00", "chunked\x0b", "chunked\xa0", "\u017fchunked"} {
		cases = append(cases, refused{fmt.Sprintf("A13 coding %q", v), post + "Transfer-Encoding: " + v + "\r\n\r\n0\r\n\r\n", []int{400}})
	}
	for _, n := range []string{"X A", "X\x80A", "Ä", "X(A", "X@A", "X[A", "X\x7fA", " X", "X\t", "X\u200b"} {
		cases = append(cases, refused{fmt.Sprintf("A19 name %q", n), "GET / HTTP/1.1\r\n" + host + n + ": b\r\n\r\n", []int{400}})
	}
	for _, v := range []string{"0x5", "5 ", " 5", "+5", "-5", "5_0", "00000000000000005", "fffffffffffffffff", "", "g", "5\t", "٣", "5;", "5; a", "5 ;a",
		"5;=b", "5;a=", "5;a=b c", "5;a=\"b", "5;a=\"b\x00\"", "5;a\x00", "5;a\rb", "5;a\nb", "5;;a", "5;a=\"\\\x01\""} {
		cases = append(cases, refused{fmt.Sprintf("A20 A21 chunk line %q", v), chunked(v + "\r\nhello\r\n0\r\n\r\n"), []int{400}})
	}
	for _, h := range []string{"", "a b", "a/b", "u@a", "a,b", "a:99999", "a:", "a:0", "a:x", "[::1", "[fe80::1%25eth0]", "a?b", "a#b", "a\\b", "münchen.de", ":80", "[]", "a%2eb", "a:80:80", strings.Repeat("a", 256)} {
		cases = append(cases, refused{fmt.Sprintf("A25 Host %.20q", h), "GET / HTTP/1.1\r\nHost: " + h + "\r\n\r\n", []int{400}})
	}
	for _, b := range []string{" ", "\t", "\x7f", "\x80", "ä", "#", "\\", "<", ">", "\"", "{", "}", "|", "^", "`", "\x00", "\x0b", "\r"} {
		cases = append(cases,
			refused{fmt.Sprintf("A31 %q in the path", b), "GET /a" + b + "b HTTP/1.1\r\n" + host + "\r\n", []int{400}},
			refused{fmt.Sprintf("A31 %q in the query", b), "GET /a?b=" + b + " HTTP/1.1\r\n" + host + "\r\n", []int{400}})
	}

	addr, up := front(t, 10*time.Second)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			// A request behind must not be answered: what came before may
			// have been meant to hide it.
			got := talk(t, addr, c.raw, false)
			if len(got) != 1 || !slices.Contains(c.want, got[0].status) || !got[0].close {
				t.Errorf("answers %v, want one of %v, and close", got, c.want)
			}
			if len(got) == 1 && got[0].status == 405 && got[0].header.Get("Allow") == "" {
				t.Error("405 without Allow")
			}
			if raw, _, _ := up.take(); raw != "" {
				t.Errorf("the upstream got %q", raw)
			}
		})
	}
}

// The same refusals hold when the bytes come one by one, which is another way
// through the parser. Only answers that come at once are compared.
func TestRefusedByteByByte(t *testing.T) {
	addr, up := front(t, 10*time.Second)
	for _, raw := range []string{
		post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
		"GET / HTTP/1.1\r\n" + host + "X-A: b\r\n c\r\n\r\n",
		"GET / HTTP/1.1\n",
		"GET / HTTP/1.1\r\n" + host + "X-A: b\rX-B: c\r\n",
		chunked("5\r\nhelloX\r"),
		chunked("5;\r\n"),
	} {
		c := dial(t, addr)
		c.SetNoDelay(true)
		for i := range len(raw) {
			if _, err := io.WriteString(c, raw[i:i+1]); err != nil {
				break
			}
		}
		got := readAnswers(t, c, raw)
		if len(got) != 1 || got[0].status != 400 || !got[0].close {
			t.Errorf("%q: answers %v, want 400 and close", raw, got)
		}
		if raw, _, _ := up.take(); raw != "" {
			t.Errorf("the upstream got %q", raw)
		}
	}
}

// Each of these is legitimate, or made so, and reaches the upstream as one
// message that net/http reads as it was meant.
func TestPassed(t *testing.T) {
	for _, c := range []struct {
		name, raw string
		path      string // as the upstream gets it
		body      string
		has       string // in what reaches the upstream
		hasNot    []string
	}{
		{"A7 leading zeros", post + "Content-Length: 005\r\n\r\nhello", "/p", "hello", "Content-Length: 5\r\n", nil},
		{"A8 coding in upper case", post + "Transfer-Encoding: CHUNKED\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "/p", "hello", "Content-Length: 5\r\n", []string{"hunked", "HUNKED"}},
		{"A20 leading zeros", chunked("00005\r\nhello\r\n000\r\n\r\n"), "/p", "hello", "", nil},
		{"A20 hexadecimal", chunked("00a\r\nhelloworld\r\n0\r\n\r\n"), "/p", "helloworld", "", nil},
		{"A20 upper case", chunked("A\r\nhelloworld\r\n0\r\n\r\n"), "/p", "helloworld", "", nil},
		{"A21 extensions", chunked("5;a;b=c;d=\"e \\\" f\"\r\nhello\r\n0;z\r\n\r\n"), "/p", "hello", "", []string{"z", "a;"}},
		{"A24 trailers are dropped", chunked("5\r\nhello\r\n0\r\nHost: evil\r\nAuthorization: Bearer evil\r\nContent-Length: 9\r\nTransfer-Encoding: evil\r\nCookie: evil\r\n\r\n"), "/p", "hello", "", []string{"evil", "Authorization", "Cookie"}},
		{"A25 no Host in HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", "/", "", "Host: 127.0.0.1", nil},
		{"A25 Host with port", "GET / HTTP/1.1\r\nHost: shop.example:8443\r\n\r\n", "/", "", "Host: shop.example:8443\r\n", nil},
		{"A25 IPv6", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "/", "", "Host: [::1]:80\r\n", nil},
		{"A26 absolute form", "GET http://shop.example/x?y HTTP/1.1\r\n" + host + "\r\n", "/x?y", "", host, []string{"http://"}},
		{"A26 absolute form without a path", "GET http://SHOP.example HTTP/1.1\r\n" + host + "\r\n", "/", "", "Host: SHOP.example", nil},
		{"A30 100 fields", "GET / HTTP/1.1\r\n" + host + strings.Repeat("X-A: b\r\n", 99) + "\r\n", "/", "", "X-A: b", nil},
		{"A30 request line of 8 KiB", "GET /" + strings.Repeat("a", 8192-14) + " HTTP/1.1\r\n" + host + "\r\n", "/" + strings.Repeat("a", 8192-14), "", "", nil},
		{"A33 Expect is answered here", post + "Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", "/p", "hello", "", []string{"Expect"}},
		{"A34 Upgrade without Connection", "GET / HTTP/1.1\r\n" + host + "Upgrade: websocket\r\n\r\n", "/", "", "", []string{"Upgrade", "websocket"}},
		{"A34 h2c", "GET / HTTP/1.1\r\n" + host + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", "/", "", "", []string{"pgrade", "h2c", "HTTP2", "Connection"}},
		{"A35 Connection names what is its own", "GET / HTTP/1.1\r\n" + host + "Connection: keep-alive, TE\r\nKeep-Alive: 5\r\nTE: trailers\r\nProxy-Connection: x\r\n\r\n", "/", "", "", []string{"onnection", "TE:", "Keep-Alive"}},
		{"E24 spoofed fields", "GET / HTTP/1.1\r\n" + host + "X-Original-URL: /evil\r\nX-Rewrite-URL: /evil\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Prefix: /evil\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Proto: evil\r\n" +
			"X_Forwarded_For: evil\r\nx_original_url: /evil\r\nX-Forwarded_Host: evil\r\nForwarded: for=evil\r\nX-Real-IP: 6.6.6.6\r\nTrue-Client-IP: 6.6.6.6\r\nX-HTTP-Method-Override: DELETE\r\nX_HTTP_Method: evil\r\nProxy: evil\r\nX-Forwarded-Client-Cert: evil\r\nContent_Type: evil\r\nauthorizatioN_: kept\r\n\r\n",
			"/", "", "authorizatioN_: kept\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: shop.example\r\nX-Forwarded-Proto: http\r\nVia: 1.1 gate\r\n", []string{"evil", "6.6.6.6", "DELETE"}},
		{"values keep their bytes", "GET / HTTP/1.1\r\n" + host + "X-A:  \t b\tc \xe4\xf6 \"d\" \t \r\n\r\n", "/", "", "X-A: b\tc \xe4\xf6 \"d\"\r\n", nil},
		{"escaped letters are plain", "GET /%61dmin%2d1 HTTP/1.1\r\n" + host + "\r\n", "/admin-1", "", "GET /admin-1 HTTP/1.1\r\n", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr, up := front(t, 10*time.Second)
			got := talk(t, addr, c.raw, true)
			if len(got) == 2 && got[0].status == 100 {
				got = got[1:]
			}
			want := c.body
			if want == "" {
				want = "ok"
			}
			if len(got) != 1 || got[0].status != 200 || got[0].body != want {
				t.Fatalf("answers %v, want 200 with %q", got, want)
			}
			raw, reqs, bodies := up.take()
			if len(reqs) != 1 || reqs[0].RequestURI != c.path || bodies[0] != c.body {
				t.Errorf("the upstream read %v %q, want %s with %q", reqs, bodies, c.path, c.body)
			}
			if !strings.Contains(raw, c.has) {
				t.Errorf("the upstream got %q, which lacks %q", raw, c.has)
			}
			for _, s := range c.hasNot {
				if strings.Contains(raw, s) {
					t.Errorf("the upstream got %q, which has %q", raw, s)
				}
			}
		})
	}
}

// What the handler refuses does not close the connection, and does not go
// upstream either.
func TestRefusedByHandler(t *testing.T) {
	addr, up := front(t, 10*time.Second)
	for raw, want := range map[string]int{
		"GET /a/../admin HTTP/1.1\r\n" + host + "\r\n":                      400,
		"GET /a%2f..%2fadmin HTTP/1.1\r\n" + host + "\r\n":                  400,
		"GET / HTTP/1.1\r\n" + host + "Via: 1.0 fred, 1.1 gate (x)\r\n\r\n": 508,
	} {
		got := talk(t, addr, raw+raw, true)
		if len(got) != 2 || got[0].status != want || got[1].status != want || got[0].close {
			t.Errorf("%q: answers %v, want %d twice", raw, got, want)
		}
		if raw, _, _ := up.take(); raw != "" {
			t.Errorf("the upstream got %q", raw)
		}
	}
}

func TestTrustedPeerContinuesForwarding(t *testing.T) {
	up := newRecorder(t)
	_, addr := serve(t, wire.Options{Handler: &proxy{
		upstream: client(t, wire.ClientOptions{Address: up.addr}),
		forward:  wire.Forwarder{Trusted: prefixes("127.0.0.0/8")},
	}})
	talk(t, addr, "GET / HTTP/1.1\r\n"+host+"X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: www.example\r\n\r\n", true)
	raw, _, _ := up.take()
	if want := "X-Forwarded-For: 1.2.3.4, 10.0.0.1, 127.0.0.1\r\nX-Forwarded-Host: www.example\r\nX-Forwarded-Proto: https\r\n\r\n"; !strings.HasSuffix(raw, want) {
		t.Errorf("the upstream got %q, want the end %q", raw, want)
	}
}

func TestA32PipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	addr, up := front(t, 10*time.Second)
	raw := "GET /1 HTTP/1.1\r\n" + host + "Content-Length: 6\r\n\r\nfirst!" +
		post + "Content-Length: 6\r\n\r\nsecond" + chunked("5\r\nthird\r\n0\r\n\r\n") + "GET /4 HTTP/1.1\r\n" + host + "\r\n"
	var got []string
	for _, a := range talk(t, addr, strings.Repeat(raw, 5), true) {
		got = append(got, a.body)
	}
	want := slices.Repeat([]string{"first!", "second", "third", "ok"}, 5)
	if !slices.Equal(got, want) {
		t.Errorf("answers %q, want %q", got, want)
	}
	if _, reqs, _ := up.take(); len(reqs) != len(want) {
		t.Errorf("%d requests reached the upstream, want %d", len(reqs), len(want))
	}
}

func TestA33BodyThatNeverComes(t *testing.T) {
	addr, up := front(t, 300*time.Millisecond)
	c := dial(t, addr)
	began := time.Now()
	io.WriteString(c, post+"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
	got := readAnswers(t, c, post)
	if len(got) != 2 || got[0].status != 100 || got[1].status != 408 || !got[1].close {
		t.Errorf("answers %v, want 100, then 408 and close", got)
	}
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("took %v", d)
	}
	if raw, _, _ := up.take(); raw != "" {
		t.Errorf("the upstream got %q", raw)
	}
}

func TestA33NoContinueInHTTP10(t *testing.T) {
	addr, _ := front(t, 10*time.Second)
	got := talk(t, addr, "POST / HTTP/1.0\r\n"+host+"Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", true)
	if len(got) != 1 || got[0].status != 200 || got[0].body != "hello" {
		t.Errorf("answers %v, want 200", got)
	}
}

func TestA37SlowHead(t *testing.T) {
	addr, up := front(t, 300*time.Millisecond)
	c := dial(t, addr)
	began := time.Now()
	go func() {
		// It stops short of the timeout: a byte that comes after the close
		// would take the answer from the buffer of who has not read it yet.
		for range 10 {
			if _, err := io.WriteString(c, "G"); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond) // a slow client is slow
		}
	}()
	got := readAnswers(t, c, "")
	if d := time.Since(began); len(got) != 1 || got[0].status != 408 || d < 250*time.Millisecond || d > 5*time.Second {
		t.Errorf("answers %v after %v, want 408 after 300ms", got, d)
	}
	if raw, _, _ := up.take(); raw != "" {
		t.Errorf("the upstream got %q", raw)
	}
}

func TestA37SlowBody(t *testing.T) {
	addr, up := front(t, 300*time.Millisecond)
	for _, head := range []string{post + "Content-Length: 1000\r\n\r\n", chunked("3e8\r\n")} {
		c := dial(t, addr)
		began := time.Now()
		io.WriteString(c, head)
		go func() {
			for range 10 {
				if _, err := io.WriteString(c, "a"); err != nil {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		}()
		got := readAnswers(t, c, "")
		if d := time.Since(began); len(got) != 1 || got[0].status != 408 || d < 250*time.Millisecond || d > 5*time.Second {
			t.Errorf("answers %v after %v, want 408 after 300ms", got, d)
		}
	}
	if raw, _, _ := up.take(); raw != "" {
		t.Errorf("the upstream got %q", raw)
	}
}

// Reading of others' cases: http11/compliance.jsonl is from Http11Probe.
func TestCompliance(t *testing.T) {
	f, err := os.Open("testdata/http11probe/compliance.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	addr, up := front(t, time.Second)
	n, met := 0, 0
	for sc := bufio.NewScanner(f); sc.Scan(); {
		var c struct{ ID, Expect, Cls, Raw string }
		if err := json.Unmarshal(sc.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		n++
		t.Run(c.ID, func(t *testing.T) {
			got := talk(t, addr, strings.ReplaceAll(c.Raw, "{HOST}", addr), true)
			raw, _, _ := up.take()
			a := answer{}
			if len(got) > 0 {
				a = got[len(got)-1]
			}
			ok := a.status/100 == 2
			refused := a.status >= 400 && a.status < 500 || a.status == 501 || a.status == 505
			var pass bool
			switch {
			case c.ID == "COMP-LONG-URL-OK":
				pass = ok
			case c.ID == "COMP-405-ALLOW":
				pass = a.status == 405 && a.header.Get("Allow") != ""
			case c.ID == "COMP-NO-CL-IN-204":
				pass = a.status == 204 && a.header.Get("Content-Length") == ""
			case c.ID == "COMP-NO-1XX-HTTP10":
				pass = len(got) == 1 && ok
			case c.ID == "COMP-DATE-FORMAT":
				_, err := time.Parse(http.TimeFormat, a.header.Get("Date"))
				pass = ok && err == nil
			case strings.Contains(c.Expect, "!101") || strings.Contains(c.Expect, "non-101"):
				pass = len(got) > 0 && a.status != 101
			case c.Cls == "accept":
				pass = ok
			case c.Cls == "reject":
				pass = refused && raw == ""
			default:
				pass = ok || refused
			}
			switch c.ID {
			case "COMP-POST-CL-BODY", "COMP-CHUNKED-BODY", "COMP-CHUNKED-MULTI", "COMP-CHUNKED-TRAILER-VALID", "COMP-CHUNKED-HEX-UPPERCASE":
				pass = pass && strings.HasPrefix(a.body, "hello")
			case "COMP-CONNECTION-CLOSE", "COMP-HTTP10-DEFAULT-CLOSE":
				pass = pass && a.close
			case "COMP-DATE-HEADER":
				pass = pass && a.header.Get("Date") != ""
			case "COMP-OPTIONS-ALLOW":
				pass = pass && a.header.Get("Allow") != ""
			case "COMP-CONTENT-TYPE":
				pass = pass && a.header.Get("Content-Type") != ""
			}
			if !pass {
				t.Errorf("%q: got %v, expected %s (%s)", c.Raw, got, c.Expect, c.Cls)
				return
			}
			met++
		})
	}
	if n != 76 {
		t.Errorf("%d cases, want 76", n)
	}
	t.Logf("%d of %d cases met", met, n)
}
