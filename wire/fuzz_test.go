package wire

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/exchange"
)

// A tape is a connection whose peer sends fixed bytes, some at a time, and
// whose writes are kept.
type tape struct {
	in  []byte
	at  int // bytes of each read
	out bytes.Buffer
}

func (t *tape) Read(p []byte) (int, error) {
	if len(t.in) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), t.at)], t.in)
	t.in = t.in[n:]
	return n, nil
}
func (t *tape) Write(p []byte) (int, error)      { return t.out.Write(p) }
func (t *tape) Close() error                     { return nil }
func (t *tape) CloseWrite() error                { return nil }
func (t *tape) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }
func (t *tape) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 2} }
func (t *tape) SetDeadline(time.Time) error      { return nil }
func (t *tape) SetReadDeadline(time.Time) error  { return nil }
func (t *tape) SetWriteDeadline(time.Time) error { return nil }

// A message is what two readers must agree on.
type message struct {
	method, target, host string
	status               int
	fields               map[string][]string
	body                 string
}

func fieldsOf(h exchange.Header, but ...exchange.Name) map[string][]string {
	m := map[string][]string{}
next:
	for _, f := range h {
		for _, n := range but {
			if f.ID == n {
				continue next
			}
		}
		k := textproto.CanonicalMIMEHeaderKey(string(f.Name))
		m[k] = append(m[k], string(f.Value))
	}
	return m
}

func sameFields(a, b map[string][]string) bool {
	for k, v := range a {
		if strings.Join(b[k], "\x00") != strings.Join(v, "\x00") || len(b[k]) != len(v) {
			return false
		}
	}
	for k := range b {
		if _, ok := a[k]; !ok {
			return false
		}
	}
	return true
}

// readRequest reads a request as net/http does.
func readRequest(br *bufio.Reader) (m message, err error) {
	r, err := http.ReadRequest(br)
	if err != nil {
		return m, err
	}
	body, err := io.ReadAll(r.Body)
	return message{r.Method, r.RequestURI, r.Host, 0, r.Header, string(body)}, err
}

// taker is a handler that notes what it was given, and passes it on to a
// client whose upstream is a tape.
type taker struct {
	t    testing.TB
	got  []message
	sent []string // what went upstream for each
}

func (k *taker) Serve(ctx context.Context, c *Conn) {
	req := c.Request()
	body, err := c.ReadBody(nil, 1<<20)
	if err != nil {
		c.Respond(RequestReason(err).Entry().Status, nil, nil)
		return
	}
	target := string(req.Path)
	if req.HasQuery {
		target += "?" + string(req.Query)
	}
	k.got = append(k.got, message{req.Method, target, string(req.Host), 0, fieldsOf(req.Header, exchange.Host, exchange.TransferEncoding), string(body)})
	h, r := (&Forwarder{Pseudonym: "fuzz"}).Request(nil, nil, req)
	if r != exchange.OK {
		k.t.Errorf("%q was taken and cannot be forwarded: %v", target, r)
	}
	up := &tape{in: []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), at: 1000}
	if req.Method == "HEAD" {
		up.in = up.in[:len(up.in)-2]
	}
	client, err := NewClient(ClientOptions{Address: "up:80", Dial: func(context.Context, string, string) (net.Conn, error) { return up, nil }})
	if err != nil {
		k.t.Fatal(err)
	}
	defer client.Close()
	var resp Response
	if err := client.RoundTrip(ctx, &UpstreamRequest{
		Method: req.Method, Host: req.Host, Path: req.Path, Query: req.Query, HasQuery: req.HasQuery, Header: h, Body: body,
	}, &resp); err != nil {
		k.t.Errorf("%q was taken and cannot be sent: %v", target, err)
		k.t.FailNow()
	}
	k.sent = append(k.sent, up.out.String())
	c.Stream(resp.Status, resp.Header, resp.Length, resp.Stream())
	resp.Close()
}

// agree has a server read raw, and compares with net/http: whatever we take,
// it reads the same; whatever we send upstream or answer, it reads as one
// message each.
func agree(t *testing.T, raw []byte, at int) {
	k := &taker{t: t}
	s, err := NewServer(Options{Handler: k})
	if err != nil {
		t.Fatal(err)
	}
	conn := &tape{in: raw, at: at}
	c := newConn(s, conn)
	s.add(c)
	c.run(context.Background())

	br := bufio.NewReader(bytes.NewReader(raw))
	for i, got := range k.got {
		want, err := readRequest(br)
		if err != nil {
			t.Fatalf("%q: request %d was taken as %+v, and net/http says %v", raw, i, got, err)
		}
		target := got.target
		if j := strings.Index(want.target, "://"); j >= 0 && want.target[0] != '/' {
			// An absolute target was split.
			rest := want.target[j+3:]
			if k := strings.IndexAny(rest, "/?"); k >= 0 {
				want.target = rest[k:]
			} else {
				want.target = "/"
			}
		}
		if got.method != want.method || target != want.target || got.host != want.host || got.body != want.body || !sameFields(got.fields, want.fields) {
			t.Errorf("%q: request %d was taken as %+v, net/http reads %+v", raw, i, got, want)
		}
		up := bufio.NewReader(strings.NewReader(k.sent[i]))
		sent, err := readRequest(up)
		if err != nil {
			t.Fatalf("%q: sent %q, which net/http refuses: %v", raw, k.sent[i], err)
		}
		host := got.host
		if host == "" {
			host = "up:80"
		}
		if rest, _ := io.ReadAll(up); len(rest) > 0 || sent.method != got.method || sent.target != got.target || sent.host != host || sent.body != got.body {
			t.Errorf("%q: sent %q, which net/http reads as %+v, and %q behind it", raw, k.sent[i], sent, rest)
		}
		for _, n := range []string{"Connection", "Te", "Transfer-Encoding", "Upgrade", "Expect", "Keep-Alive", "Proxy-Connection", "X-Real-Ip", "Forwarded"} {
			if sent.fields[n] != nil {
				t.Errorf("%q: sent %q, with %s", raw, k.sent[i], n)
			}
		}
	}
	answers := bufio.NewReader(&conn.out)
	for i := 0; ; i++ {
		method := "GET"
		if i < len(k.got) {
			method = k.got[i].method
		}
		resp, err := http.ReadResponse(answers, &http.Request{Method: method})
		if err == io.EOF || err == io.ErrUnexpectedEOF && answers.Buffered() == 0 {
			if i < len(k.got) {
				t.Errorf("%q: %d requests, %d answers", raw, len(k.got), i)
			}
			break
		}
		if err != nil {
			t.Fatalf("%q: an answer that net/http refuses: %v", raw, err)
		}
		if resp.StatusCode == 100 {
			i--
			continue
		}
		if _, err := io.ReadAll(resp.Body); err != nil && i < len(k.got) { // a refused HEAD is not told from a GET
			t.Errorf("%q: an answer that net/http cannot read: %v", raw, err)
		}
		if i > len(k.got)+1 {
			t.Fatalf("%q: more answers than requests", raw)
		}
	}
}

func FuzzRequest(f *testing.F) {
	const h = "Host: a.example\r\n"
	for _, s := range []string{
		"GET / HTTP/1.1\r\n" + h + "\r\n",
		"GET /a?b HTTP/1.1\r\n" + h + "X-A:  b \r\n\r\nGET /c HTTP/1.1\r\n" + h + "\r\n",
		"POST / HTTP/1.1\r\n" + h + "Content-Length: 3\r\n\r\nabcPOST / HTTP/1.1\r\n" + h + "Transfer-Encoding: chunked\r\n\r\n3;a=\"b\"\r\nabc\r\n0\r\nX: y\r\n\r\n",
		"GET http://a.example/x HTTP/1.1\r\n" + h + "Connection: close, te\r\nTE: trailers\r\n\r\n",
		"GET / HTTP/1.0\r\n\r\n", "HEAD / HTTP/1.1\r\n" + h + "\r\n", "OPTIONS * HTTP/1.1\r\n" + h + "\r\n",
		"PUT / HTTP/1.1\r\n" + h + "Expect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
		"GET / HTTP/1.1\r\n" + h + "Upgrade: x\r\nConnection: upgrade\r\nVia: 1.1 x\r\nX_Real_IP: 1\r\n\r\n",
		"GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", "POST / HTTP/1.1\r\n" + h + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: [::1]:80\r\nX\x80: y\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	} {
		f.Add([]byte(s), uint8(255))
		f.Add([]byte(s), uint8(0))
	}
	f.Fuzz(func(t *testing.T, raw []byte, at uint8) { agree(t, raw, int(at)*int(at)+1) })
}

func FuzzChunkedBody(f *testing.F) {
	for _, s := range []string{
		"0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", "5;a=b\r\nhello\r\n00\r\nA: b\r\nHost: x\r\n\r\n", "5\nhello\n0\n\n", "005\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"5\r\nhelloX0\r\n\r\n", "fffffffffffffffff\r\n", "5 \r\nhello\r\n0\r\n\r\n", "5;a=\"\\\"\"\r\nhello\r\n0;b\r\n\r\n", "-5\r\n", "1\r\n\r\n\r\n0\r\n\r\n",
	} {
		f.Add([]byte(s), uint8(255))
		f.Add([]byte(s), uint8(0))
	}
	f.Fuzz(func(t *testing.T, raw []byte, at uint8) {
		agree(t, append([]byte("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"), raw...), int(at)*int(at)+1)
	})
}

// Whatever answer we take from an upstream, net/http reads the same.
func FuzzResponse(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "HTTP/1.0 200\r\n\r\nok",
		"HTTP/1.1 204 No\r\n\r\n", "HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\n", "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
		"HTTP/1.1 200 OK\r\nConnection: close, x\r\nX: y\r\n\r\nok", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	} {
		for _, head := range []bool{false, true} {
			f.Add([]byte(s), uint8(255), head)
			f.Add([]byte(s), uint8(0), head)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte, at uint8, head bool) {
		up := &tape{in: raw, at: int(at)*int(at) + 1}
		client, err := NewClient(ClientOptions{Address: "up:80", Dial: func(context.Context, string, string) (net.Conn, error) { return up, nil }})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		req := &UpstreamRequest{Method: "GET", Path: []byte("/")}
		if head {
			req.Method = "HEAD"
		}
		var resp Response
		if client.RoundTrip(context.Background(), req, &resp) != nil {
			return
		}
		defer resp.Close()
		body, err := resp.ReadAll(nil, 1<<20)
		if err != nil {
			return
		}
		br := bufio.NewReader(bytes.NewReader(raw))
		for {
			want, err := http.ReadResponse(br, &http.Request{Method: req.Method})
			if err != nil {
				t.Fatalf("%q was taken as %d, and net/http says %v", raw, resp.Status, err)
			}
			if want.StatusCode < 200 {
				continue
			}
			b, err := io.ReadAll(want.Body)
			if err != nil {
				t.Fatalf("%q was taken as %d, and net/http says of its body %v", raw, resp.Status, err)
			}
			if want.StatusCode != resp.Status || string(b) != string(body) || !sameFields(fieldsOf(resp.Header, exchange.TransferEncoding, exchange.Trailer, exchange.Connection), mapOf(want.Header)) {
				t.Errorf("%q was taken as %d %v %q, net/http reads %d %v %q", raw, resp.Status, fieldsOf(resp.Header), body, want.StatusCode, want.Header, b)
			}
			return
		}
	})
}

func mapOf(h http.Header) map[string][]string {
	h.Del("Trailer")    // net/http takes it away
	h.Del("Connection") // and this, now and then
	return h
}
