package wire_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/exchange"
	"github.com/sallyport/sallyport/wire"
)

// A proxy is the least that stands between a Server and a Client: it shows how
// they go together, and is what the tests and benchmarks run.
type proxy struct {
	upstream interface {
		RoundTrip(context.Context, *wire.UpstreamRequest, *wire.Response) error
	}
	forward  wire.Forwarder
	streams  bool // bodies are passed on as they come
	scratchs sync.Pool
}

// A scratch is what one exchange needs.
type scratch struct {
	path   [1 << 10]byte
	values [512]byte
	out    exchange.Header
	back   exchange.Header
	req    wire.UpstreamRequest
	resp   wire.Response
}

func (p *proxy) Serve(ctx context.Context, c *wire.Conn) {
	s, _ := p.scratchs.Get().(*scratch)
	if s == nil {
		s = new(scratch)
	}
	defer p.scratchs.Put(s)
	req := c.Request()
	path, r := exchange.CleanPath(s.path[:0], req.Path, exchange.PathOptions{})
	if r == exchange.OK {
		s.out, r = p.forward.Request(s.out[:0], s.values[:0], req)
	}
	if r != exchange.OK {
		refuse(c, r)
		return
	}
	s.req = wire.UpstreamRequest{
		Method: req.Method, Host: req.Host, Path: path, Query: req.Query, HasQuery: req.HasQuery, Header: s.out,
	}
	if p.streams && req.Length != 0 {
		s.req.Stream, s.req.Length = c.Body(), req.Length
	} else {
		body, err := c.ReadBody(nil, 16<<20)
		if err != nil {
			refuse(c, wire.RequestReason(err))
			return
		}
		s.req.Body = body
	}
	if err := p.upstream.RoundTrip(ctx, &s.req, &s.resp); err != nil {
		if r := wire.RequestReason(err); p.streams && r != exchange.RequestTruncated {
			refuse(c, r)
			return
		}
		refuse(c, wire.UpstreamReason(err))
		return
	}
	defer s.resp.Close()
	s.back = wire.ResponseHeader(s.back[:0], s.resp.Header)
	if err := c.Stream(s.resp.Status, s.back, s.resp.Length, s.resp.Stream()); err != nil && c.Status() == 0 {
		refuse(c, wire.UpstreamReason(err))
	}
}

func refuse(c *wire.Conn, r exchange.Reason) {
	var h exchange.Header
	if r == exchange.WireMethod {
		h = exchange.Header{exchange.F(exchange.AllowMethods, []byte("GET"))}
	}
	c.Respond(r.Entry().Status, append(h, exchange.F(exchange.SallyportReason, []byte(r.Code()))), []byte(r.Entry().Title))
}

// serve runs a server until the test ends, and returns its address.
func serve(t testing.TB, opt wire.Options) (*wire.Server, string) {
	t.Helper()
	if opt.Refuse == nil {
		opt.Refuse = refuse
	}
	s, err := wire.NewServer(opt)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(context.Background(), l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s, l.Addr().String()
}

func client(t testing.TB, opt wire.ClientOptions) *wire.Client {
	t.Helper()
	c, err := wire.NewClient(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// A recorder is an upstream that writes down what reaches it, as bytes and as
// net/http reads it.
type recorder struct {
	addr string

	mu       sync.Mutex // guards what follows
	bytes    bytes.Buffer
	requests []*http.Request
	bodies   []string
}

// newRecorder starts an upstream that echoes bodies and does to OPTIONS and
// DELETE what an ordinary resource does.
func newRecorder(t testing.TB) *recorder {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{addr: l.Addr().String()}
	var wg sync.WaitGroup
	var mu sync.Mutex
	conns := map[net.Conn]bool{}
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns[c] = true
			mu.Unlock()
			wg.Go(func() { defer c.Close(); r.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for c := range conns {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return r
}

func (r *recorder) serve(c net.Conn) {
	br := bufio.NewReader(io.TeeReader(c, recording{r}))
	for {
		req, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		r.mu.Lock()
		r.requests = append(r.requests, req)
		r.bodies = append(r.bodies, string(body))
		r.mu.Unlock()
		switch {
		case req.Method == "OPTIONS":
			io.WriteString(c, "HTTP/1.1 204 No Content\r\nAllow: GET, POST\r\n\r\n")
		case req.Method == "DELETE":
			io.WriteString(c, "HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, POST\r\nContent-Length: 0\r\n\r\n")
		case req.Method == "HEAD":
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\n")
		case len(body) > 0:
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		default:
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok")
		}
	}
}

type recording struct{ r *recorder }

func (w recording) Write(p []byte) (int, error) {
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	return w.r.bytes.Write(p)
}

// take returns what was recorded since the last call.
func (r *recorder) take() (raw string, reqs []*http.Request, bodies []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	raw, reqs, bodies = r.bytes.String(), r.requests, r.bodies
	r.bytes.Reset()
	r.requests, r.bodies = nil, nil
	return raw, reqs, bodies
}

// An answer is what a raw client got.
type answer struct {
	status int
	header http.Header
	close  bool
	body   string
}

// dial connects a raw client.
func dial(t testing.TB, addr string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c.(*net.TCPConn)
}

// talk sends raw and reads answers until the server closes. If half is set,
// the client closes its side first, which is how the server learns that there
// is no more.
func talk(t testing.TB, addr, raw string, half bool) (answers []answer) {
	t.Helper()
	c := dial(t, addr)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		io.WriteString(c, raw) // may fail when the server has had enough
		if half {
			c.CloseWrite()
		}
	}()
	defer func() { <-sent }()
	defer c.Close()
	return readAnswers(t, c, raw)
}

// readAnswers reads until the connection ends. How a body ends depends on the
// methods of raw.
func readAnswers(t testing.TB, c net.Conn, raw string) (answers []answer) {
	t.Helper()
	br := bufio.NewReader(c)
	method := "GET"
	if strings.HasPrefix(raw, "HEAD ") {
		method = "HEAD"
	}
	for {
		resp, err := http.ReadResponse(br, &http.Request{Method: method})
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("reading an answer: %v", err)
			}
			return answers
		}
		if resp.StatusCode == 100 {
			answers = append(answers, answer{status: 100})
			continue
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Errorf("reading a body: %v", err)
		}
		answers = append(answers, answer{resp.StatusCode, resp.Header, resp.Close, string(body)})
	}
}

func prefixes(list ...string) (ps []netip.Prefix) {
	for _, s := range list {
		ps = append(ps, netip.MustParsePrefix(s))
	}
	return ps
}
