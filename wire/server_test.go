package wire_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sallyport/sallyport/exchange"
	"github.com/sallyport/sallyport/wire"
)

// handle makes a handler of a function.
type handle func(context.Context, *wire.Conn)

func (h handle) Serve(ctx context.Context, c *wire.Conn) { h(ctx, c) }

func get(path string) string { return "GET " + path + " HTTP/1.1\r\n" + host + "\r\n" }

func TestHandlerSeesTheRequest(t *testing.T) {
	type seen struct {
		Method, Scheme, Host, Path, Query, Header, Body string
		HasQuery                                        bool
		Length                                          int64
		Remote                                          bool
	}
	var got seen
	_, addr := serve(t, wire.Options{Methods: []string{"PURGE"}, Handler: handle(func(_ context.Context, c *wire.Conn) {
		body, err := c.ReadBody(nil, 100)
		if err != nil {
			t.Error(err)
		}
		r := c.Request()
		got = seen{r.Method, r.Scheme, string(r.Host), string(r.Path), string(r.Query), "", string(body), r.HasQuery, r.Length, r.Remote.Addr().IsLoopback()}
		for _, f := range r.Header {
			got.Header += f.ID.String() + "|" + string(f.Name) + "=" + string(f.Value) + ";"
		}
		c.Respond(200, nil, nil)
	})})
	for raw, want := range map[string]seen{
		"PURGE /a%2Fb/?c=d?e HTTP/1.1\r\nHOST: Shop.Example:80\r\nx-q:\t 1 2 \r\nContent-Length: 2\r\n\r\nhi": {
			"PURGE", "http", "Shop.Example:80", "/a%2Fb/", "c=d?e", "Host|HOST=Shop.Example:80;|x-q=1 2;Content-Length|Content-Length=2;", "hi", true, 2, true},
		"GET /? HTTP/1.1\r\n" + host + "\r\n": {"GET", "http", "shop.example", "/", "", "Host|Host=shop.example;", "", true, 0, true},
		chunked("2\r\nhi\r\n0\r\n\r\n"):       {"POST", "http", "shop.example", "/p", "", "Host|Host=shop.example;Transfer-Encoding|Transfer-Encoding=chunked;", "hi", false, -1, true},
	} {
		got = seen{}
		talk(t, addr, raw, true)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", raw, diff)
		}
	}
}

func TestAnswersOfEachKind(t *testing.T) {
	h := exchange.Header{exchange.F(exchange.ContentType, []byte("text/plain")), exchange.F(exchange.TransferEncoding, []byte("evil")), exchange.F(exchange.ContentLength, []byte("99"))}
	big := strings.Repeat("0123456789abcdef", 50_000)
	_, addr := serve(t, wire.Options{Handler: handle(func(_ context.Context, c *wire.Conn) {
		switch string(c.Request().Path) {
		case "/mem":
			c.Respond(200, h, []byte("hello"))
		case "/big":
			c.Respond(200, h, []byte(big))
		case "/length":
			c.Stream(200, h, int64(len(big)), strings.NewReader(big))
		case "/chunked":
			c.Stream(200, h, -1, strings.NewReader(big))
		case "/empty":
			c.Stream(200, h, -1, strings.NewReader(""))
		case "/204":
			c.Respond(204, h, []byte("no"))
		case "/304":
			c.Respond(304, h, nil)
		case "/299":
			c.Respond(299, h, nil)
		case "/103":
			c.Inform(103, exchange.Header{exchange.F(exchange.Vary, []byte("x"))})
			c.Respond(200, h, nil)
		case "/close":
			c.Close()
			c.Respond(200, nil, nil)
		}
	})})
	for _, c := range []struct{ raw, head, body string }{
		{get("/mem"), "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: X\r\nContent-Length: 5\r\n", "hello"},
		{"HEAD /mem HTTP/1.1\r\n" + host + "\r\n", "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: X\r\nContent-Length: 5\r\n", ""},
		{"HEAD /length HTTP/1.1\r\n" + host + "\r\n", "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: X\r\nContent-Length: 800000\r\n", ""},
		{"HEAD /chunked HTTP/1.1\r\n" + host + "\r\n", "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: X\r\n", ""},
		{get("/big"), "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: X\r\nContent-Length: 800000\r\n", big},
		{get("/length"), "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: X\r\nContent-Length: 800000\r\n", big},
		{get("/chunked"), "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: X\r\nTransfer-Encoding: chunked\r\n", big},
		{get("/empty"), "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: X\r\nTransfer-Encoding: chunked\r\n", ""},
		{"GET /chunked HTTP/1.0\r\n" + host + "\r\n", "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: X\r\nConnection: close\r\n", big},
		{get("/204"), "HTTP/1.1 204 No Content\r\nContent-Type: text/plain\r\nDate: X\r\n", ""},
		{get("/304"), "HTTP/1.1 304 Not Modified\r\nContent-Type: text/plain\r\nDate: X\r\n", ""},
		{get("/299"), "HTTP/1.1 299 \r\nContent-Type: text/plain\r\nDate: X\r\nContent-Length: 0\r\n", ""},
		{get("/103"), "HTTP/1.1 103 Early Hints\r\nVary: x\r\n", "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: X\r\nContent-Length: 0\r\n\r\n"},
		{get("/close"), "HTTP/1.1 200 OK\r\nDate: X\r\nContent-Length: 0\r\nConnection: close\r\n", ""},
		{"OPTIONS * HTTP/1.1\r\n" + host + "\r\n", "HTTP/1.1 200 OK\r\nDate: X\r\nContent-Length: 0\r\n", ""},
	} {
		conn := dial(t, addr)
		io.WriteString(conn, c.raw)
		conn.CloseWrite()
		all, err := io.ReadAll(conn)
		if err != nil {
			t.Error(err)
		}
		text := string(all)
		if i := strings.Index(text, "Date: "); i >= 0 {
			text = text[:i+6] + "X" + text[i+6+len(http.TimeFormat):]
		}
		head, body, _ := strings.Cut(text, "\r\n\r\n")
		if strings.Contains(head, "chunked") {
			b, err := io.ReadAll(httpChunked(body))
			if err != nil {
				t.Error(err)
			}
			body = string(b)
		}
		if head+"\r\n" != c.head || body != c.body {
			t.Errorf("%.40q: got head %q and %d bytes, want %q and %d", c.raw, head+"\r\n", len(body), c.head, len(c.body))
		}
	}
}

// httpChunked reads a chunked body with net/http.
func httpChunked(s string) io.Reader {
	resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+s)), nil)
	if err != nil {
		return iotestErr{err}
	}
	return resp.Body
}

type iotestErr struct{ err error }

func (e iotestErr) Read([]byte) (int, error) { return 0, e.err }

func TestHandlerThatFails(t *testing.T) {
	broken := errors.New("broken")
	s, addr := serve(t, wire.Options{Handler: handle(func(_ context.Context, c *wire.Conn) {
		switch string(c.Request().Path) {
		case "/panic":
			panic("on purpose")
		case "/late":
			c.Respond(200, nil, []byte("x"))
			panic("on purpose")
		case "/field":
			if err := c.Respond(200, exchange.Header{exchange.F(exchange.ETag, []byte("a\r\nb: c"))}, nil); !errors.Is(err, wire.ErrField) {
				t.Errorf("a split value: %v", err)
			}
			if err := c.Respond(200, exchange.Header{{Name: []byte("a b")}}, nil); !errors.Is(err, wire.ErrField) {
				t.Errorf("a bad name: %v", err)
			}
			c.Respond(418, nil, nil)
			if err := c.Respond(200, nil, nil); !errors.Is(err, wire.ErrAnswered) {
				t.Errorf("a second answer: %v", err)
			}
		case "/before":
			if err := c.Stream(200, nil, 5, iotestErr{broken}); !errors.Is(err, broken) {
				t.Errorf("Stream: %v", err)
			}
			c.Respond(502, nil, nil)
		case "/within":
			c.Stream(200, nil, -1, io.MultiReader(strings.NewReader("part"), iotestErr{broken}))
		case "/short":
			if err := c.Stream(200, nil, 10, strings.NewReader("part")); !errors.Is(err, wire.ErrTruncated) {
				t.Errorf("Stream: %v", err)
			}
		case "/forgotten":
		}
	})})
	status := func(path string) int {
		got := talk(t, addr, get(path), true)
		if len(got) != 1 {
			t.Fatalf("%s: answers %v", path, got)
		}
		return got[0].status
	}
	for path, want := range map[string]int{"/panic": 500, "/late": 200, "/forgotten": 500, "/field": 418, "/before": 502} {
		if got := status(path); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	for _, path := range []string{"/within", "/short"} {
		c := dial(t, addr)
		io.WriteString(c, get(path))
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) || string(body) != "part" {
			t.Errorf("%s: read %q, %v; want part and an unexpected end", path, body, err)
		}
	}
	if st := s.Stats(); st.Panics != 2 || st.Requests != 7 {
		t.Errorf("stats %+v, want 2 panics of 7 requests", st)
	}
}

func TestBodyThatNobodyReads(t *testing.T) {
	_, addr := serve(t, wire.Options{Handler: handle(func(_ context.Context, c *wire.Conn) { c.Respond(401, nil, nil) })})
	for _, c := range []struct {
		name, raw string
		answers   int
	}{
		{"short", post + "Content-Length: 30000\r\n\r\n" + strings.Repeat("x", 30000), 2},
		{"long", post + "Content-Length: 300000\r\n\r\n" + strings.Repeat("x", 300000), 1},
		{"chunked", chunked(strings.Repeat("1\r\nx\r\n", 9000) + "0\r\n\r\n"), 1},
		{"expected", post + "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n", 1},
	} {
		got := talk(t, addr, c.raw+get("/"), true)
		if len(got) != c.answers || got[0].status != 401 || got[0].close != (c.answers == 1) {
			t.Errorf("%s: answers %v, want %d", c.name, got, c.answers)
		}
	}
}

func TestBodyLimits(t *testing.T) {
	_, addr := serve(t, wire.Options{Body: 1000, Handler: handle(func(_ context.Context, c *wire.Conn) {
		if string(c.Request().Path) == "/stream" {
			n, err := io.Copy(io.Discard, c.Body())
			if err != nil {
				refuse(c, wire.RequestReason(err))
				return
			}
			if n != c.Received() {
				t.Errorf("copied %d, received %d", n, c.Received())
			}
			c.Respond(200, nil, nil)
			return
		}
		if _, err := c.ReadBody(nil, 100); err != nil {
			refuse(c, wire.RequestReason(err))
			return
		}
		c.Respond(200, nil, nil)
	})})
	size := func(path string, n int) string {
		return "POST " + path + " HTTP/1.1\r\n" + host + "Content-Length: " + itoa(n) + "\r\n\r\n" + strings.Repeat("x", n)
	}
	chunks := func(path string, n int) string {
		return "POST " + path + " HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("a\r\n0123456789\r\n", n/10) + "0\r\n\r\n"
	}
	for raw, want := range map[string]int{
		size("/", 100): 200, size("/", 101): 413, size("/stream", 1000): 200, size("/stream", 1001): 413,
		chunks("/", 100): 200, chunks("/", 110): 413, chunks("/stream", 1000): 200, chunks("/stream", 1010): 413,
	} {
		got := talk(t, addr, raw, true)
		if len(got) != 1 || got[0].status != want || got[0].close != (want == 413) {
			t.Errorf("%.40q: answers %v, want %d", raw, got, want)
		}
	}
}

func itoa(n int) string { return big.NewInt(int64(n)).String() }

func TestReadBodyOfEverySize(t *testing.T) {
	sum := func(b []byte) (n int) {
		for i, c := range b {
			n = n*31 + int(c)*i
		}
		return n
	}
	bodies := make(chan []byte, 1)
	_, addr := serve(t, wire.Options{Handler: handle(func(_ context.Context, c *wire.Conn) {
		body, err := c.ReadBody(nil, 1<<20)
		if err != nil {
			t.Error(err)
		}
		bodies <- bytes.Clone(body)
		c.Respond(200, nil, nil)
	})})
	c := dial(t, addr)
	br := bufio.NewReader(c)
	data := make([]byte, 200_000)
	rand.Read(data)
	for _, n := range []int{0, 1, 100, 15_000, 16_384, 16_385, 20_000, 20_480, 20_481, 65_536, 65_537, 200_000} {
		for _, chunk := range []int{0, 1000, 16_384, 70_000} {
			var b bytes.Buffer
			if chunk == 0 {
				b.WriteString(post + "Content-Length: " + itoa(n) + "\r\n\r\n")
				b.Write(data[:n])
			} else {
				b.WriteString(post + "Transfer-Encoding: chunked\r\n\r\n")
				for rest := data[:n]; len(rest) > 0; rest = rest[min(chunk, len(rest)):] {
					k := min(chunk, len(rest))
					b.WriteString(big.NewInt(int64(k)).Text(16) + "\r\n")
					b.Write(rest[:k])
					b.WriteString("\r\n")
				}
				b.WriteString("0\r\n\r\n")
			}
			c.Write(b.Bytes())
			resp, err := http.ReadResponse(br, nil)
			if err != nil || resp.StatusCode != 200 {
				t.Fatalf("%d bytes in chunks of %d: %v, %v", n, chunk, resp, err)
			}
			if got := <-bodies; len(got) != n || sum(got) != sum(data[:n]) {
				t.Errorf("%d bytes in chunks of %d: got %d bytes", n, chunk, len(got))
			}
		}
	}
}

func TestUpgrade(t *testing.T) {
	_, addr := serve(t, wire.Options{Handler: handle(func(_ context.Context, c *wire.Conn) {
		if string(c.UpgradeTo()) != "websocket" {
			if _, err := c.Upgrade(nil); !errors.Is(err, wire.ErrUpgrade) {
				t.Errorf("Upgrade: %v", err)
			}
			c.Respond(400, nil, nil)
			return
		}
		conn, err := c.Upgrade(exchange.Header{{Name: []byte("Sec-WebSocket-Accept"), Value: []byte("x")}})
		if err != nil {
			t.Error(err)
			return
		}
		io.Copy(conn, conn)
	})})
	c := dial(t, addr)
	// B23: what comes right behind the request belongs to the new protocol.
	io.WriteString(c, "GET /ws HTTP/1.1\r\n"+host+"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n")
	c.CloseWrite()
	got, err := io.ReadAll(c)
	if want := "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n"; err != nil || string(got) != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	for _, head := range []string{
		"GET / HTTP/1.1\r\n" + host + "Upgrade: websocket\r\n\r\n",
		"GET / HTTP/1.1\r\n" + host + "Connection: Upgrade\r\n\r\n",
		"GET / HTTP/1.0\r\n" + host + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		post + "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n",
		"GET / HTTP/1.1\r\n" + host + "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
		"GET / HTTP/1.1\r\n" + host + "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n\r\n",
		"GET / HTTP/1.1\r\n" + host + "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n\r\n",
		"GET / HTTP/1.1\r\n" + host + "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\nx",
	} {
		if got := talk(t, addr, head, true); len(got) != 1 || got[0].status != 400 {
			t.Errorf("%q: answers %v, want 400", head, got)
		}
	}
}

// certificate makes one for localhost that signs itself.
func certificate(t testing.TB) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestTLSAndHTTP2(t *testing.T) {
	cert, roots := certificate(t)
	h2 := func(_ context.Context, conn net.Conn) {
		// What the hook gets begins with the preface.
		b := make([]byte, 24)
		io.ReadFull(conn, b)
		io.WriteString(conn, "h2 "+string(b[:3]))
	}
	echo := handle(func(_ context.Context, c *wire.Conn) {
		r := c.Request()
		if r.Scheme != "https" || r.TLS == nil || r.TLS.ServerName != "localhost" {
			t.Errorf("request %+v", r)
		}
		body, _ := c.ReadBody(nil, 1<<20)
		c.Respond(200, nil, body)
	})
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	_, addr := serve(t, wire.Options{Handler: echo, HTTP2: h2, TLS: &tls.Config{Certificates: []tls.Certificate{cert}}})
	for proto, want := range map[string]string{"h2": "h2 PRI", "http/1.1": "HTTP/1.1 505 HTTP Version Not Supported", "": "HTTP/1.1 505 HTTP Version Not Supported"} {
		cfg := &tls.Config{RootCAs: roots, ServerName: "localhost"}
		if proto != "" {
			cfg.NextProtos = []string{proto}
		}
		c := tls.Client(dial(t, addr), cfg)
		io.WriteString(c, preface)
		got, _ := io.ReadAll(c)
		if line, _, _ := strings.Cut(string(got), "\r\n"); line != want {
			t.Errorf("ALPN %q: got %q, want %q", proto, line, want)
		}
	}
	// E23: a connection made for one host is not used for another.
	for host, want := range map[string]string{"localhost": "200", "LocalHost.:443": "200", "localhost:8443": "200", "other.example": "421", "localhost.evil": "421"} {
		c := tls.Client(dial(t, addr), &tls.Config{RootCAs: roots, ServerName: "localhost"})
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
		if got, _ := io.ReadAll(c); len(got) < 12 || string(got[9:12]) != want {
			t.Errorf("Host %s: got %.60q, want %s", host, got, want)
		}
	}
	_, port, _ := net.SplitHostPort(addr)
	addr = "localhost:" + port
	hc := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DialContext: func(ctx context.Context, n, a string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, n, "127.0.0.1:"+port)
	}}}
	defer hc.CloseIdleConnections()
	for _, n := range []int{10, 10_000, 500_000} {
		resp, err := hc.Post("https://"+addr+"/", "text/plain", strings.NewReader(strings.Repeat("x", n)))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || len(body) != n {
			t.Errorf("echo of %d: %d bytes, %v", n, len(body), err)
		}
	}
	_, clear := serve(t, wire.Options{Handler: echo, HTTP2: h2})
	c := dial(t, clear)
	io.WriteString(c, preface)
	if got, _ := io.ReadAll(c); string(got) != "h2 PRI" {
		t.Errorf("preface on cleartext: got %q", got)
	}
}

func TestDrain(t *testing.T) {
	began, finish := make(chan struct{}), make(chan struct{})
	s, addr := serve(t, wire.Options{Handler: handle(func(_ context.Context, c *wire.Conn) {
		if string(c.Request().Path) == "/slow" {
			close(began)
			<-finish
		}
		c.Respond(200, nil, []byte("done"))
	})})
	idle := dial(t, addr)
	io.WriteString(idle, get("/"))
	if _, err := http.ReadResponse(bufio.NewReader(idle), nil); err != nil {
		t.Fatal(err)
	}
	silent := dial(t, addr)
	busy := dial(t, addr)
	io.WriteString(busy, get("/slow"))
	<-began

	down := make(chan error, 1)
	go func() { down <- s.Shutdown(context.Background()) }()
	for _, c := range []net.Conn{idle, silent} {
		if n, err := io.Copy(io.Discard, c); err != nil {
			t.Errorf("an idle connection got %d bytes, %v; want its end", n, err)
		}
	}
	select {
	case err := <-down:
		t.Fatalf("Shutdown returned before the last answer: %v", err)
	default:
	}
	if c, err := net.Dial("tcp", addr); err == nil {
		c.Close()
		t.Error("a new connection was taken")
	}
	close(finish)
	got := readAnswers(t, busy, "")
	if len(got) != 1 || got[0].body != "done" || !got[0].close {
		t.Errorf("in flight: %v, want the answer and close", got)
	}
	if err := <-down; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if st := s.Stats(); st.Open != 0 || st.Requests != 2 || st.Accepted != 3 {
		t.Errorf("stats %+v", st)
	}
}

// Requests sent until the very end are answered or their connection is
// closed without a byte: none is cut.
func TestDrainUnderLoad(t *testing.T) {
	s, addr := serve(t, wire.Options{Handler: handle(func(_ context.Context, c *wire.Conn) { c.Respond(200, nil, []byte("done")) })})
	var wg sync.WaitGroup
	var mu sync.Mutex
	answered := 0
	for range 16 {
		wg.Go(func() {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				return
			}
			defer c.Close()
			br := bufio.NewReader(c)
			for {
				if _, err := io.WriteString(c, get("/")); err != nil {
					return
				}
				resp, err := http.ReadResponse(br, nil)
				if err != nil {
					if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
						t.Error(err)
					}
					return
				}
				if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "done" {
					t.Errorf("a cut answer: %q, %v", body, err)
				}
				mu.Lock()
				answered++
				mu.Unlock()
				if resp.Close {
					return
				}
			}
		})
	}
	for s.Stats().Requests < 500 {
		time.Sleep(time.Millisecond)
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if st := s.Stats(); uint64(answered) != st.Requests {
		t.Errorf("%d answers to %d requests", answered, st.Requests)
	}
}

func TestShutdownGivesUp(t *testing.T) {
	s, addr := serve(t, wire.Options{Handler: handle(func(ctx context.Context, c *wire.Conn) {
		<-ctx.Done()
		c.Respond(200, nil, nil)
	})})
	c := dial(t, addr)
	io.WriteString(c, get("/"))
	for s.Stats().Requests == 0 {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: %v", err)
	}
	io.Copy(io.Discard, c)
}

func TestMoreConnectionsThanAllowed(t *testing.T) {
	s, addr := serve(t, wire.Options{Conns: 3, Handler: handle(func(_ context.Context, c *wire.Conn) { c.Respond(200, nil, nil) })})
	var first net.Conn
	for i := range 10 {
		c := dial(t, addr)
		if i == 0 {
			first = c
		}
		io.WriteString(c, get("/"))
		if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		if n := s.Stats().Open; n > 3 {
			t.Errorf("%d connections are open", n)
		}
	}
	if _, err := io.Copy(io.Discard, first); err != nil { // the oldest idle one made room
		t.Errorf("the first connection: %v", err)
	}
}

// F23: when descriptors run out, accepting pauses and goes on.
func TestAcceptPauses(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := wire.NewServer(wire.Options{Handler: handle(func(_ context.Context, c *wire.Conn) { c.Respond(200, nil, nil) })})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(context.Background(), &poor{Listener: l, fails: 3}) }()
	if got := talk(t, l.Addr().String(), get("/"), true); len(got) != 1 || got[0].status != 200 {
		t.Errorf("answers %v", got)
	}
	s.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A poor listener has no descriptors at first.
type poor struct {
	net.Listener
	fails int
}

func (p *poor) Accept() (net.Conn, error) {
	if p.fails > 0 {
		p.fails--
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return p.Listener.Accept()
}

func TestIdleConnectionCloses(t *testing.T) {
	_, addr := serve(t, wire.Options{IdleTimeout: 600 * time.Millisecond, Handler: handle(func(_ context.Context, c *wire.Conn) { c.Respond(200, nil, nil) })})
	c := dial(t, addr)
	for range 2 { // longer between the two than the connection looks again
		io.WriteString(c, get("/"))
		if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(350 * time.Millisecond)
	}
	began := time.Now()
	if _, err := io.Copy(io.Discard, c); err != nil {
		t.Error(err)
	}
	if d := time.Since(began); d > 5*time.Second || d < 100*time.Millisecond {
		t.Errorf("closed after %v, want some 300ms", d)
	}
}

// A37: who does not read is closed.
func TestSlowReader(t *testing.T) {
	result := make(chan error, 1)
	s, addr := serve(t, wire.Options{WriteTimeout: 300 * time.Millisecond, Handler: handle(func(_ context.Context, c *wire.Conn) {
		result <- c.Respond(200, nil, make([]byte, 64<<20))
	})})
	c := dial(t, addr)
	c.SetReadBuffer(4 << 10)
	io.WriteString(c, get("/"))
	select {
	case err := <-result:
		if !errors.Is(err, wire.ErrTimeout) {
			t.Errorf("Respond: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the answer still waits")
	}
	if s.Stats().TimedOut != 1 {
		t.Errorf("stats %+v", s.Stats())
	}
}

// F29: clients that go away at any moment leave nothing behind.
func TestAbortedClients(t *testing.T) {
	up := newRecorder(t)
	cl := client(t, wire.ClientOptions{Address: up.addr})
	s, addr := serve(t, wire.Options{Handler: &proxy{upstream: cl, streams: true}})
	const n = 300
	for i := range n {
		c := dial(t, addr)
		switch i % 6 {
		case 0: // nothing at all
		case 1:
			io.WriteString(c, "GET / HT")
		case 2:
			io.WriteString(c, get("/"))
		case 3:
			io.WriteString(c, post+"Content-Length: 100000\r\n\r\n"+strings.Repeat("x", 50_000))
		case 4:
			io.WriteString(c, chunked("5\r\nhel"))
		case 5:
			io.WriteString(c, get("/"))
			http.ReadResponse(bufio.NewReader(c), nil)
		}
		if i%2 == 0 {
			c.SetLinger(0) // with a reset
		}
		c.Close()
	}
	for end := time.Now().Add(10 * time.Second); s.Stats().Accepted < n || s.Stats().Open > 0 || cl.Stats().InFlight > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still open: %+v, %+v", s.Stats(), cl.Stats())
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	h := handle(func(context.Context, *wire.Conn) {})
	for name, opt := range map[string]wire.Options{
		"no handler": {}, "negative": {Handler: h, Fields: -1}, "negative time": {Handler: h, IdleTimeout: -1},
		"CONNECT": {Handler: h, Methods: []string{"CONNECT"}}, "no token": {Handler: h, Methods: []string{"A B"}}, "huge head": {Handler: h, Head: 2 << 20},
	} {
		if _, err := wire.NewServer(opt); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// A request that is allowed allocates nothing on its way through server,
// forwarding and client; the test's own ends allocate nothing either.
func TestNothingIsAllocated(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector drops what pools hold")
	}
	for _, c := range []struct {
		name       string
		body, size int
	}{{"GET 1 KB", 0, 1 << 10}, {"GET 10 KB", 0, 10 << 10}, {"GET 100 KB", 0, 100 << 10}, {"POST 1 KB", 1 << 10, 1 << 10}, {"POST 10 KB", 10 << 10, 100}} {
		t.Run(c.name, func(t *testing.T) {
			p := &proxy{upstream: client(t, wire.ClientOptions{Address: origin(t, c.size)}), forward: wire.Forwarder{Pseudonym: "sp"}}
			_, addr := serve(t, wire.Options{Handler: p})
			conn := dial(t, addr)
			req := benchRequest(c.body)
			buf := make([]byte, c.size+4096)
			once := func() {
				conn.Write(req)
				have, want := 0, 0
				for want == 0 || have < want {
					n, err := conn.Read(buf[have:])
					if err != nil {
						t.Fatal(err)
					}
					have += n
					if i := bytes.Index(buf[:have], crlf2); i >= 0 {
						want = i + 4 + c.size
					}
				}
			}
			for range 10 {
				once()
			}
			if n := testing.AllocsPerRun(300, once); n > 0 {
				t.Errorf("%v allocations per request, want 0", n)
			}
		})
	}
}

var crlf2 = []byte("\r\n\r\n")
