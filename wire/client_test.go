package wire_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/exchange"
	"github.com/sallyport/sallyport/wire"
)

// scripted starts an upstream that calls serve for each connection, numbered
// from 0.
func scripted(t testing.TB, serve func(i int, c *net.TCPConn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(20 * time.Second))
				serve(i, c.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return l.Addr().String()
}

// read reads one request as net/http does.
func read(c net.Conn) (*http.Request, string) {
	return readFrom(bufio.NewReader(c))
}

func readFrom(br *bufio.Reader) (*http.Request, string) {
	req, err := http.ReadRequest(br)
	if err != nil {
		return nil, ""
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, string(body)
	}
	return req, string(body)
}

func getRequest() *wire.UpstreamRequest {
	return &wire.UpstreamRequest{Method: "GET", Host: []byte("up.example"), Path: []byte("/x")}
}

// ask sends a request and reads all of the answer.
func ask(c interface {
	RoundTrip(context.Context, *wire.UpstreamRequest, *wire.Response) error
}, req *wire.UpstreamRequest) (status int, body string, err error) {
	var resp wire.Response
	if err := c.RoundTrip(context.Background(), req, &resp); err != nil {
		return 0, "", err
	}
	defer resp.Close()
	b, err := resp.ReadAll(nil, 1<<20)
	return resp.Status, string(b), err
}

func TestResponses(t *testing.T) {
	for _, c := range []struct {
		name, method, raw string
		status            int
		body              string
		length            int64
		again             bool // the connection is used again
	}{
		{"length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", 5, true},
		{"no phrase", "GET", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", 200, "", 0, true},
		{"no phrase and no space", "GET", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200, "", 0, true},
		{"chunked", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nX-T: a\r\n\r\n", 200, "hello", -1, true},
		{"until close", "GET", "HTTP/1.1 200 OK\r\n\r\nhello", 200, "hello", -1, false},
		{"close", "GET", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", 5, false},
		{"close beside a field of the hop", "GET", "HTTP/1.1 200 OK\r\nConnection: x-a, Close\r\nX-A: b\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", 5, false},
		{"HTTP/1.0", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", 5, false},
		{"HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200, "", 5, true},
		{"HEAD, chunked", "HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, "", -1, true},
		{"204", "GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", -1, true},
		{"204 that lies", "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", 204, "", 5, false},
		{"304 with length", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, "", 5, true},
		{"100 and 103", "GET", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", 5, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var conns atomic.Int32
			addr := scripted(t, func(i int, conn *net.TCPConn) {
				conns.Add(1)
				br := bufio.NewReader(conn)
				for {
					if req, _ := readFrom(br); req == nil {
						return
					}
					io.WriteString(conn, c.raw)
					if !c.again {
						return
					}
				}
			})
			cl := client(t, wire.ClientOptions{Address: addr})
			req := getRequest()
			req.Method = c.method
			for range 3 {
				var resp wire.Response
				if err := cl.RoundTrip(context.Background(), req, &resp); err != nil {
					t.Fatal(err)
				}
				body, err := resp.ReadAll(nil, 100)
				if err != nil || resp.Status != c.status || string(body) != c.body || resp.Length != c.length {
					t.Errorf("got %d %q (%d) %v, want %d %q (%d)", resp.Status, body, resp.Length, err, c.status, c.body, c.length)
				}
				resp.Close()
				resp.Close()
			}
			if want := map[bool]int32{true: 1, false: 3}[c.again]; conns.Load() != want {
				t.Errorf("%d connections for three requests, want %d", conns.Load(), want)
			}
			if st := cl.Stats(); st.InFlight != 0 || st.Idle != st.Open {
				t.Errorf("stats %+v", st)
			}
			cl.Close()
		})
	}
}

// Each of these answers is refused, and its connection not used again.
func TestMalformedResponses(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for _, raw := range []string{
		ok + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
		ok + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
		ok + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		ok + "Content-Length: +5\r\n\r\nhello", ok + "Content-Length: 5,5\r\n\r\nhello", ok + "Content-Length: \r\n\r\n",
		ok + "Transfer-Encoding: gzip\r\n\r\n", ok + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
		ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		ok + "X-A: b\r\n c\r\nContent-Length: 0\r\n\r\n", ok + "X-A : b\r\nContent-Length: 0\r\n\r\n", ok + "X-A: b\rc\r\nContent-Length: 0\r\n\r\n",
		ok + "X-A: b\x00\r\nContent-Length: 0\r\n\r\n", ok + ": b\r\nContent-Length: 0\r\n\r\n", ok + "X-A: b\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", "HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 999 X\r\n\r\n",
		"HTTP/1.1 099 X\r\n\r\n", "HTTP/1.1  200 OK\r\n\r\n", "HTTP/1.1 abc OK\r\n\r\n", "http/1.1 200 OK\r\n\r\n", "\r\nHTTP/1.1 200 OK\r\n\r\n", "SSH-2.0-x\r\n",
		"HTTP/1.1 200 O\x00K\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
		ok + strings.Repeat("X-A: b\r\n", 201) + "\r\n", ok + "X-A: " + strings.Repeat("b", 40_000) + "\r\n\r\n",
		strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 9) + ok + "Content-Length: 0\r\n\r\n",
		ok + "Content-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
		ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n", ok + "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
		ok + "Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n", ok + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
	} {
		var conns atomic.Int32
		addr := scripted(t, func(i int, conn *net.TCPConn) {
			conns.Add(1)
			br := bufio.NewReader(conn)
			for {
				if req, _ := readFrom(br); req == nil {
					return
				}
				io.WriteString(conn, raw)
			}
		})
		c := client(t, wire.ClientOptions{Address: addr})
		for range 2 {
			_, body, err := ask(c, getRequest())
			if !errors.Is(err, wire.ErrMalformed) || wire.UpstreamReason(err) != exchange.UpstreamMalformed {
				t.Errorf("%.80q: body %q, error %v; want malformed", raw, body, err)
			}
		}
		if conns.Load() != 2 {
			t.Errorf("%.80q: %d connections, want 2", raw, conns.Load())
		}
		c.Close()
	}
}

// F17: what goes wrong with an upstream has its own error each.
func TestUpstreamFaults(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	for _, c := range []struct {
		name string
		opt  wire.ClientOptions
		up   func(c *net.TCPConn)
		want error
		r    exchange.Reason
	}{
		{"refused", wire.ClientOptions{Address: gone.Addr().String()}, nil, wire.ErrUnreachable, exchange.UpstreamUnreachable},
		{"never connects", wire.ClientOptions{Address: "x", ConnectTimeout: 50 * time.Millisecond, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}, nil, wire.ErrUnreachable, exchange.UpstreamTimeout},
		{"no such host", wire.ClientOptions{Address: "x", Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
		}}, nil, wire.ErrUnreachable, exchange.UpstreamUnreachable},
		{"closes at once", wire.ClientOptions{}, func(c *net.TCPConn) {}, wire.ErrTruncated, exchange.UpstreamTruncated},
		{"resets", wire.ClientOptions{}, func(c *net.TCPConn) { read(c); c.SetLinger(0) }, wire.ErrTruncated, exchange.UpstreamTruncated},
		{"closes in the head", wire.ClientOptions{}, func(c *net.TCPConn) { read(c); io.WriteString(c, "HTTP/1.1 200 OK\r\nX-") }, wire.ErrTruncated, exchange.UpstreamTruncated},
		{"never answers", wire.ClientOptions{HeadTimeout: 50 * time.Millisecond}, func(c *net.TCPConn) { read(c); io.Copy(io.Discard, c) }, wire.ErrTimeout, exchange.UpstreamTimeout},
		{"stops in the head", wire.ClientOptions{HeadTimeout: 50 * time.Millisecond}, func(c *net.TCPConn) { read(c); io.WriteString(c, "HTTP/1.1 2"); io.Copy(io.Discard, c) }, wire.ErrTimeout, exchange.UpstreamTimeout},
		{"100-continue and nothing", wire.ClientOptions{HeadTimeout: 50 * time.Millisecond}, func(c *net.TCPConn) {
			read(c)
			io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
			io.Copy(io.Discard, c)
		}, wire.ErrTimeout, exchange.UpstreamTimeout},
		{"stops in the body", wire.ClientOptions{BodyTimeout: 50 * time.Millisecond}, func(c *net.TCPConn) {
			read(c)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")
			io.Copy(io.Discard, c)
		}, wire.ErrTimeout, exchange.UpstreamTimeout},
		{"cuts the body", wire.ClientOptions{}, func(c *net.TCPConn) { read(c); io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel") }, wire.ErrTruncated, exchange.UpstreamTruncated},
		{"cuts a chunk", wire.ClientOptions{}, func(c *net.TCPConn) {
			read(c)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel")
		}, wire.ErrTruncated, exchange.UpstreamTruncated},
		{"cuts the last chunk", wire.ClientOptions{}, func(c *net.TCPConn) {
			read(c)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n")
		}, wire.ErrTruncated, exchange.UpstreamTruncated},
		{"too long", wire.ClientOptions{}, func(c *net.TCPConn) { read(c); io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n") }, wire.ErrTooLarge, exchange.ResponseTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			var n atomic.Int32
			if c.up != nil {
				c.opt.Address = scripted(t, func(_ int, conn *net.TCPConn) {
					n.Add(1)
					c.up(conn)
				})
			}
			began := time.Now()
			cl := client(t, c.opt)
			_, _, err := ask(cl, getRequest())
			if !errors.Is(err, c.want) || wire.UpstreamReason(err) != c.r {
				t.Errorf("got %v (%v), want %v (%v)", err, wire.UpstreamReason(err), c.want, c.r)
			}
			if d := time.Since(began); d > 5*time.Second {
				t.Errorf("took %v", d)
			}
			if c.up != nil && n.Load() != 1 {
				t.Errorf("sent %d times, want once", n.Load())
			}
			if st := cl.Stats(); st.Open != 0 || st.InFlight != 0 {
				t.Errorf("stats %+v", st)
			}
		})
	}
}

// A kept connection that the upstream closes at the wrong moment costs an
// idempotent request nothing, and another is not sent twice.
func TestStaleConnection(t *testing.T) {
	stale := func(t *testing.T) (*wire.Client, *atomic.Int32) {
		var got atomic.Int32
		addr := scripted(t, func(i int, c *net.TCPConn) {
			br := bufio.NewReader(c)
			readFrom(br)
			got.Add(1)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			if i > 0 {
				return
			}
			readFrom(br) // the second request comes, and the upstream gives up
			got.Add(1)
		})
		c := client(t, wire.ClientOptions{Address: addr})
		if _, _, err := ask(c, getRequest()); err != nil {
			t.Fatal(err)
		}
		return c, &got
	}
	t.Run("GET", func(t *testing.T) {
		c, got := stale(t)
		if status, _, err := ask(c, getRequest()); err != nil || status != 200 {
			t.Errorf("got %d, %v", status, err)
		}
		if st := c.Stats(); st.Retried != 1 || got.Load() != 3 || st.Failures != 0 {
			t.Errorf("stats %+v, upstream got %d", st, got.Load())
		}
	})
	for name, req := range map[string]*wire.UpstreamRequest{
		"POST":          {Method: "POST", Path: []byte("/"), Body: []byte("x")},
		"PUT, a stream": {Method: "PUT", Path: []byte("/"), Stream: strings.NewReader("x"), Length: 1},
	} {
		t.Run(name, func(t *testing.T) {
			c, got := stale(t)
			if _, _, err := ask(c, req); !errors.Is(err, wire.ErrTruncated) {
				t.Errorf("error %v, want truncated", err)
			}
			if st := c.Stats(); st.Retried != 0 || got.Load() != 2 {
				t.Errorf("stats %+v, upstream got %d", st, got.Load())
			}
		})
	}
}

// What an upstream sends on a connection that nothing was asked on is never an
// answer, and neither is a connection used that it has closed.
func TestUnsolicited(t *testing.T) {
	for _, poison := range []string{"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", "x", ""} {
		sent := make(chan struct{}, 4)
		addr := scripted(t, func(i int, c *net.TCPConn) {
			br := bufio.NewReader(c)
			for {
				if req, _ := readFrom(br); req == nil {
					return
				}
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
				if i == 0 {
					time.Sleep(5 * time.Millisecond) // so that it comes behind the answer
					io.WriteString(c, poison)
					c.CloseWrite()
					sent <- struct{}{}
					io.Copy(io.Discard, br)
					return
				}
			}
		})
		c := client(t, wire.ClientOptions{Address: addr})
		post := &wire.UpstreamRequest{Method: "POST", Path: []byte("/")}
		if _, body, err := ask(c, post); err != nil || body != "ok" {
			t.Fatalf("%q, %v", body, err)
		}
		<-sent
		for range 2 {
			if _, body, err := ask(c, post); err != nil || body != "ok" {
				t.Errorf("after %q: got %q, %v", poison, body, err)
			}
		}
		if st := c.Stats(); st.Dialled != 2 || st.Retried != 0 {
			t.Errorf("stats %+v", st)
		}
		c.Close()
	}
}

// F17: an upstream that answers before it has the body is heard.
func TestEarlyAnswer(t *testing.T) {
	big := make([]byte, 32<<20)
	for _, closes := range []bool{false, true} {
		for _, stream := range []bool{false, true} {
			t.Run(fmt.Sprintf("closes=%v stream=%v", closes, stream), func(t *testing.T) {
				done := make(chan struct{})
				addr := scripted(t, func(_ int, c *net.TCPConn) {
					c.SetReadBuffer(16 << 10)
					bufio.NewReaderSize(c, 512).ReadString('\n')
					io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
					if closes {
						c.CloseWrite()
					}
					<-done
				})
				c := client(t, wire.ClientOptions{Address: addr, WriteTimeout: 10 * time.Second})
				req := &wire.UpstreamRequest{Method: "POST", Path: []byte("/"), Body: big}
				if stream {
					req.Body, req.Stream, req.Length = nil, bytes.NewReader(big), -1
				}
				began := time.Now()
				status, body, err := ask(c, req)
				close(done)
				if status != 413 || body != "big" || err != nil {
					t.Errorf("got %d %q %v", status, body, err)
				}
				if d := time.Since(began); d > 5*time.Second {
					t.Errorf("took %v", d)
				}
				if st := c.Stats(); st.Open != 0 {
					t.Errorf("the connection was kept: %+v", st)
				}
			})
		}
	}
}

func TestRequestBodies(t *testing.T) {
	data := strings.Repeat("0123456789", 100_000)
	up := newRecorder(t)
	c := client(t, wire.ClientOptions{Address: up.addr})
	for _, n := range []int{0, 1, 5000, 8000, 9000, 70_000, 300_000, 1_000_000} {
		for _, kind := range []string{"memory", "length", "chunked"} {
			req := &wire.UpstreamRequest{Method: "POST", Host: []byte("h"), Path: []byte("/"), Query: []byte("q"), HasQuery: true}
			switch kind {
			case "memory":
				req.Body = []byte(data[:n])
			case "length":
				req.Stream, req.Length = strings.NewReader(data[:n]), int64(n)
			default:
				req.Stream, req.Length = strings.NewReader(data[:n]), -1
			}
			status, body, err := ask(c, req)
			want := data[:n]
			if n == 0 {
				want = "ok"
			}
			if status != 200 || body != want || err != nil {
				t.Errorf("%s of %d: got %d, %d bytes, %v", kind, n, status, len(body), err)
			}
			_, reqs, bodies := up.take()
			if len(reqs) != 1 || bodies[0] != data[:n] || reqs[0].RequestURI != "/?q" {
				t.Errorf("%s of %d: the upstream read %v", kind, n, reqs)
			}
		}
	}
	if st := c.Stats(); st.Dialled != 1 {
		t.Errorf("stats %+v", st)
	}
}

// A stream that breaks off never becomes a whole request.
func TestRequestStreamThatFails(t *testing.T) {
	for _, length := range []int64{-1, 1000} {
		read := make(chan *http.Request, 1)
		addr := scripted(t, func(_ int, c *net.TCPConn) {
			req, _ := readFrom(bufio.NewReader(c))
			read <- req
		})
		c := client(t, wire.ClientOptions{Address: addr})
		broken := errors.New("broken")
		_, _, err := ask(c, &wire.UpstreamRequest{Method: "PUT", Path: []byte("/"), Length: length,
			Stream: io.MultiReader(strings.NewReader("part"), iotestErr{broken})})
		if !errors.Is(err, broken) {
			t.Errorf("error %v, want that of the reader", err)
		}
		if req := <-read; req != nil {
			t.Errorf("the upstream took %v for whole", req)
		}
		c.Close()
	}
}

func TestRequestsThatCannotBeWritten(t *testing.T) {
	up := newRecorder(t)
	c := client(t, wire.ClientOptions{Address: up.addr})
	for name, req := range map[string]*wire.UpstreamRequest{
		"space in path":     {Method: "GET", Path: []byte("/a b")},
		"query in path":     {Method: "GET", Path: []byte("/a?b")},
		"no slash":          {Method: "GET", Path: []byte("a")},
		"no path":           {Method: "GET"},
		"CRLF in query":     {Method: "GET", Path: []byte("/"), Query: []byte("a\r\nb"), HasQuery: true},
		"CRLF in method":    {Method: "GET / HTTP/1.1\r\n", Path: []byte("/")},
		"CRLF in host":      {Method: "GET", Path: []byte("/"), Host: []byte("a\r\nb: c")},
		"CRLF in a value":   {Method: "GET", Path: []byte("/"), Header: exchange.Header{exchange.F(exchange.Accept, []byte("a\r\nb: c"))}},
		"colon in a name":   {Method: "GET", Path: []byte("/"), Header: exchange.Header{{Name: []byte("a:b")}}},
		"framing lookalike": {Method: "GET", Path: []byte("/"), Header: exchange.Header{{Name: []byte("Content_Length"), Value: []byte("3")}}},
	} {
		if _, _, err := ask(c, req); !errors.Is(err, wire.ErrField) {
			t.Errorf("%s: error %v, want ErrField", name, err)
		}
	}
	if raw, _, _ := up.take(); raw != "" {
		t.Errorf("the upstream got %q", raw)
	}
}

func TestNoMoreConnectionsThanAllowed(t *testing.T) {
	release := make(chan struct{})
	var now, most atomic.Int32
	addr := scripted(t, func(_ int, c *net.TCPConn) {
		most.Store(max(most.Load(), now.Add(1)))
		defer now.Add(-1)
		br := bufio.NewReader(c)
		for {
			if req, _ := readFrom(br); req == nil {
				return
			}
			<-release
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	c := client(t, wire.ClientOptions{Address: addr, Conns: 2, Waiting: 3})
	var wg sync.WaitGroup
	var ok, over atomic.Int32
	for range 8 {
		wg.Go(func() {
			_, _, err := ask(c, getRequest())
			switch {
			case err == nil:
				ok.Add(1)
			case errors.Is(err, wire.ErrOverload) && wire.UpstreamReason(err) == exchange.UpstreamOverload:
				over.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	for over.Load() < 3 {
		time.Sleep(time.Millisecond)
	}
	close(release)
	wg.Wait()
	if ok.Load() != 5 || over.Load() != 3 || most.Load() > 2 {
		t.Errorf("%d answered, %d refused, %d connections; want 5, 3, 2", ok.Load(), over.Load(), most.Load())
	}
	c.Close()
	if _, _, err := ask(c, getRequest()); !errors.Is(err, wire.ErrUnreachable) {
		t.Errorf("after Close: %v", err)
	}
}

func TestClientTLSAndUnix(t *testing.T) {
	cert, roots := certificate(t)
	_, addr := serve(t, wire.Options{
		TLS: &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots},
		Handler: handle(func(_ context.Context, c *wire.Conn) {
			body, _ := c.ReadBody(nil, 1<<20)
			c.Respond(200, exchange.Header{exchange.F(exchange.Server, []byte(c.Request().TLS.PeerCertificates[0].Subject.CommonName))}, body)
		}),
	})
	_, port, _ := net.SplitHostPort(addr)
	addr = "localhost:" + port
	c := client(t, wire.ClientOptions{Address: addr, TLS: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{cert}}})
	for _, n := range []int{1, 10_000, 500_000} {
		if _, body, err := ask(c, &wire.UpstreamRequest{Method: "POST", Path: []byte("/"), Body: bytes.Repeat([]byte("x"), n)}); err != nil || len(body) != n {
			t.Errorf("echo of %d over TLS: %d bytes, %v", n, len(body), err)
		}
	}
	if st := c.Stats(); st.Dialled != 1 {
		t.Errorf("stats %+v", st)
	}
	for name, cfg := range map[string]*tls.Config{
		"no certificate":     {RootCAs: roots},
		"unknown authority":  {Certificates: []tls.Certificate{cert}},
		"certificate's name": {RootCAs: roots, Certificates: []tls.Certificate{cert}, ServerName: "other.example"},
	} {
		if _, _, err := ask(client(t, wire.ClientOptions{Address: addr, TLS: cfg}), getRequest()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}

	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := wire.NewServer(wire.Options{Handler: handle(func(_ context.Context, c *wire.Conn) {
		if c.Request().Remote.IsValid() {
			t.Error("a Unix socket has an address")
		}
		c.Respond(200, nil, c.Request().Host)
	})})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(context.Background(), l) }()
	u := client(t, wire.ClientOptions{Network: "unix", Address: path})
	for range 2 {
		if _, body, err := ask(u, &wire.UpstreamRequest{Method: "GET", Path: []byte("/")}); err != nil || body != "localhost" {
			t.Errorf("over a Unix socket: %q, %v", body, err)
		}
	}
	s.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestClientUpgrade(t *testing.T) {
	addr := scripted(t, func(_ int, c *net.TCPConn) {
		req, _ := read(c)
		if req == nil || req.Header.Get("Upgrade") != "websocket" || req.Header.Get("Connection") != "Upgrade" {
			t.Errorf("the upstream got %v", req)
		}
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nfirst,")
		io.Copy(c, c)
	})
	c := client(t, wire.ClientOptions{Address: addr})
	req := getRequest()
	req.Upgrade = []byte("websocket")
	var resp wire.Response
	if err := c.RoundTrip(context.Background(), req, &resp); err != nil {
		t.Fatal(err)
	}
	defer resp.Close()
	conn, err := resp.Upgraded()
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(conn, "second")
	b := make([]byte, 12)
	if _, err := io.ReadFull(conn, b); err != nil || string(b) != "first,second" {
		t.Errorf("got %q, %v", b, err)
	}
}

func TestDeadlineOfTheContext(t *testing.T) {
	addr := scripted(t, func(_ int, c *net.TCPConn) { read(c); io.Copy(io.Discard, c) })
	c := client(t, wire.ClientOptions{Address: addr})
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	var resp wire.Response
	if err := c.RoundTrip(ctx, getRequest(), &resp); !errors.Is(err, wire.ErrTimeout) {
		t.Errorf("error %v", err)
	}
	req := getRequest()
	req.Timeout = 50 * time.Millisecond
	if err := c.RoundTrip(context.Background(), req, &resp); !errors.Is(err, wire.ErrTimeout) {
		t.Errorf("error %v", err)
	}
}

// F18: one of two upstreams is dead. No request fails, the dead one is tried
// seldom, and comes back.
func TestPoolEjects(t *testing.T) {
	var alive atomic.Bool
	var tried atomic.Int32
	good := newRecorder(t)
	flaky := newRecorder(t)
	bad := client(t, wire.ClientOptions{Address: flaky.addr, Eject: 3, EjectFor: 50 * time.Millisecond, Dial: func(ctx context.Context, n, a string) (net.Conn, error) {
		tried.Add(1)
		if !alive.Load() {
			return nil, errors.New("refused")
		}
		return (&net.Dialer{}).DialContext(ctx, n, a)
	}})
	p, err := wire.NewPool(wire.PoolOptions{Clients: []*wire.Client{bad, client(t, wire.ClientOptions{Address: good.addr})}})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for range 200 {
		if status, _, err := ask(p, getRequest()); err != nil || status != 200 {
			t.Fatalf("got %d, %v", status, err)
		}
	}
	if limit := 3 + int32(time.Since(began)/(50*time.Millisecond)); tried.Load() > limit || tried.Load() < 3 {
		t.Errorf("the dead upstream was tried %d times, want 3 to %d", tried.Load(), limit)
	}
	if st := bad.Stats(); !st.Ejected {
		t.Errorf("stats %+v", st)
	}
	alive.Store(true)
	for end := time.Now().Add(10 * time.Second); bad.Stats().Ejected; {
		if _, _, err := ask(p, getRequest()); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(end) {
			t.Fatal("the upstream never came back")
		}
	}
}

func TestPoolOfTheDead(t *testing.T) {
	var cs []*wire.Client
	for range 3 {
		cs = append(cs, client(t, wire.ClientOptions{Address: "x", Eject: 1, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("refused") }}))
	}
	p, err := wire.NewPool(wire.PoolOptions{Clients: cs})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, _, err := ask(p, getRequest()); !errors.Is(err, wire.ErrUnreachable) {
			t.Errorf("error %v", err)
		}
	}
}

func TestPoolChecksActively(t *testing.T) {
	var ill atomic.Bool
	var mu sync.Mutex
	paths := map[string]int{}
	up := func() string {
		return scripted(t, func(_ int, c *net.TCPConn) {
			br := bufio.NewReader(c)
			for {
				req, _ := readFrom(br)
				if req == nil {
					return
				}
				mu.Lock()
				paths[req.URL.Path]++
				mu.Unlock()
				status := "200 OK"
				if ill.Load() && req.URL.Path == "/health" {
					status = "503 Service Unavailable"
				}
				io.WriteString(c, "HTTP/1.1 "+status+"\r\nContent-Length: 0\r\n\r\n")
			}
		})
	}
	c := client(t, wire.ClientOptions{Address: up()})
	p, err := wire.NewPool(wire.PoolOptions{Clients: []*wire.Client{c}, CheckPath: "/health", CheckEvery: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	until := func(what string, ok func() bool) {
		for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal(what)
			}
		}
	}
	if _, _, err := ask(p, getRequest()); err != nil {
		t.Error(err)
	}
	ill.Store(true)
	until("the upstream was not taken out", func() bool { return c.Stats().Ejected })
	if _, _, err := ask(p, getRequest()); !errors.Is(err, wire.ErrUnreachable) {
		t.Errorf("error %v", err)
	}
	ill.Store(false)
	until("the upstream did not come back", func() bool { return !c.Stats().Ejected })
	if _, _, err := ask(p, getRequest()); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	c.Close()
}

func TestResponseHeader(t *testing.T) {
	h := exchange.Header{
		exchange.F(exchange.Connection, []byte("close, X-Hop")), {Name: []byte("x-hop"), Value: []byte("a")}, exchange.F(exchange.KeepAlive, nil),
		exchange.F(exchange.SallyportReason, []byte("spoofed")), {Name: []byte("Alt-Svc"), Value: []byte(`h3=":443"`)}, exchange.F(exchange.ETag, []byte("e")),
		exchange.F(exchange.TransferEncoding, []byte("chunked")), exchange.F(exchange.ContentLength, []byte("1")), exchange.F(exchange.Trailer, []byte("x")), {Name: []byte("X-Kept"), Value: []byte("b")},
	}
	var got []string
	for _, f := range wire.ResponseHeader(nil, h) {
		got = append(got, string(f.Name))
	}
	if want := "ETag X-Kept"; strings.Join(got, " ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Long bodies, which the kernel moves where it can, arrive as they are, and a
// cut one is seen to be cut.
func TestProxyOfLongBodies(t *testing.T) {
	data := strings.Repeat("0123456789abcde\n", 200_000)
	up := scripted(t, func(_ int, c *net.TCPConn) {
		br := bufio.NewReader(c)
		for {
			req, _ := readFrom(br)
			if req == nil {
				return
			}
			switch req.URL.Path {
			case "/whole":
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: "+itoa(len(data))+"\r\n\r\n"+data)
			case "/chunked":
				io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
				for i := 0; i < len(data); i += 100_000 {
					fmt.Fprintf(c, "%x\r\n%s\r\n", 100_000, data[i:i+100_000])
				}
				io.WriteString(c, "0\r\n\r\n")
			case "/close":
				io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n"+data)
				return
			case "/cut":
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: "+itoa(len(data)+1)+"\r\n\r\n"+data)
				return
			case "/cutchunk":
				io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+"30d40\r\n"+data[:200_000]+"\r\n8\r\n")
				return
			}
		}
	})
	cl := client(t, wire.ClientOptions{Address: up})
	_, addr := serve(t, wire.Options{Handler: &proxy{upstream: cl, streams: true}})
	hc := &http.Client{Transport: &http.Transport{}}
	defer hc.CloseIdleConnections()
	for _, c := range []struct {
		path string
		cut  bool
	}{{"/whole", false}, {"/chunked", false}, {"/close", false}, {"/cut", true}, {"/cutchunk", true}, {"/whole", false}} {
		resp, err := hc.Get("http://" + addr + c.path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if c.cut != errors.Is(err, io.ErrUnexpectedEOF) || !c.cut && string(body) != data {
			t.Errorf("%s: %d bytes, %v", c.path, len(body), err)
		}
	}
	hc.CloseIdleConnections()
	cl.Close()
}

// A streamed upload passes as it comes, and one that breaks off is aborted
// upstream, never completed.
func TestProxyOfUploads(t *testing.T) {
	up := newRecorder(t)
	_, addr := serve(t, wire.Options{Handler: &proxy{upstream: client(t, wire.ClientOptions{Address: up.addr}), streams: true}})
	data := strings.Repeat("x", 1<<20)
	got := talk(t, addr, post+"Content-Length: "+itoa(len(data))+"\r\n\r\n"+data+chunked("100000\r\n"+data+"\r\n0\r\n\r\n"), true)
	if len(got) != 2 || got[0].body != data || got[1].body != data {
		t.Errorf("%d answers", len(got))
	}
	if _, reqs, _ := up.take(); len(reqs) != 2 {
		t.Errorf("%d requests", len(reqs))
	}
	for _, raw := range []string{post + "Content-Length: 200000\r\n\r\n" + data[:100_000], chunked("100000\r\n" + data[:100_000]), chunked("5\r\nhelloX"), chunked("5\r\nhello\r\n0\r\nHost\r\n\r\n")} {
		got := talk(t, addr, raw, true)
		if len(got) != 1 || got[0].status < 400 || !got[0].close {
			t.Errorf("%.60q: answers %v", raw, got)
		}
		if _, reqs, _ := up.take(); len(reqs) != 0 {
			t.Errorf("%.60q: the upstream took %d requests for whole", raw, len(reqs))
		}
	}
}

func TestJoin(t *testing.T) {
	up := scripted(t, func(_ int, c *net.TCPConn) {
		read(c)
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhello ")
		io.Copy(c, c)
	})
	cl := client(t, wire.ClientOptions{Address: up})
	_, addr := serve(t, wire.Options{Handler: handle(func(ctx context.Context, c *wire.Conn) {
		req := getRequest()
		req.Upgrade = c.UpgradeTo()
		var resp wire.Response
		if err := cl.RoundTrip(ctx, req, &resp); err != nil {
			t.Error(err)
			return
		}
		defer resp.Close()
		far, err := resp.Upgraded()
		if err != nil {
			t.Error(err)
			return
		}
		near, err := c.Upgrade(wire.ResponseHeader(nil, resp.Header))
		if err != nil {
			t.Error(err)
			return
		}
		if a, b, err := wire.Join(near, far); a != 5 || b != 11 || err != nil {
			t.Errorf("Join: %d, %d, %v", a, b, err)
		}
	})})
	c := dial(t, addr)
	io.WriteString(c, "GET / HTTP/1.1\r\n"+host+"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\nworld")
	c.CloseWrite()
	got, err := io.ReadAll(c)
	if err != nil || !strings.HasSuffix(string(got), "\r\n\r\nhello world") {
		t.Errorf("got %q, %v", got, err)
	}
}
