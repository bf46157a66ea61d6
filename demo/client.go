package demo

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/demo/shop"
)

// A Request is what the crowd sends.
type Request struct {
	Method string
	Target string // path and query, as on the request line
	Header http.Header
	Body   []byte
	// Raw, where it is set, is the whole message as it goes over a socket of
	// its own; Method, Target, Header and Body are then empty. HOST in it
	// has been replaced by the authority.
	Raw []byte
	// From is the address it comes from, of the loopback network.
	From string
}

// A Response is what came back.
type Response struct {
	Status int
	Header http.Header
	Body   []byte // without content coding
	// Raw is everything that a socket gave in answer to a Request's Raw.
	Raw []byte
}

// reason is why Sallyport refused, or "" where it did not.
func (r *Response) reason() string { return r.Header.Get("Sallyport-Reason") }

// all is everything that a caller can read of an answer.
func (r *Response) all() []byte {
	if r.Raw != nil {
		return r.Raw
	}
	var b bytes.Buffer
	r.Header.Write(&b)
	b.Write(r.Body)
	return b.Bytes()
}

// A target is an API that the crowd calls, bare or guarded, with the shop that
// stands behind it. Its methods may be called at once.
type target struct {
	base   string // http://host:port
	shop   *shop.Shop
	inside string // the shop's own address, as its neighbours see it
	// many says that this machine lets callers have addresses of their own.
	many   bool
	record func(*Request, *Response) // nil records nothing

	mu      sync.Mutex // guards clients
	clients map[string]*http.Client
}

// maxAnswer bounds what a caller reads.
const maxAnswer = 32 << 20

// timeout bounds a call, so that a demo ends.
const timeout = 10 * time.Second

// rawTimeout is how long a socket is read that the other end keeps open.
const rawTimeout = 2 * time.Second

// client returns the client that calls from an address.
func (t *target) client(from string) *http.Client {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.many {
		from = ""
	}
	c := t.clients[from]
	if c == nil {
		c = &http.Client{
			Timeout:       timeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport:     &http.Transport{DialContext: dialer(from).DialContext, MaxIdleConnsPerHost: 4},
		}
		if t.clients == nil {
			t.clients = map[string]*http.Client{}
		}
		t.clients[from] = c
	}
	return c
}

// close ends idle connections.
func (t *target) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.clients {
		c.CloseIdleConnections()
	}
}

func dialer(from string) *net.Dialer {
	d := &net.Dialer{Timeout: timeout}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	return d
}

// manyAddresses reports whether callers may have loopback addresses of their
// own: on Linux all of 127.0.0.0/8 is there, elsewhere often only 127.0.0.1.
func manyAddresses() bool {
	ln, err := net.Listen("tcp", "127.0.1.1:0")
	if err != nil {
		return false
	}
	ln.Close()
	return true
}

// send sends a request and reads the answer. An error means that there was no
// answer at all.
func (t *target) send(ctx context.Context, r *Request) (*Response, error) {
	var (
		resp *Response
		err  error
	)
	if r.Raw != nil {
		resp, err = t.sendRaw(ctx, r)
	} else {
		resp, err = t.sendHTTP(ctx, r)
	}
	if err == nil && t.record != nil {
		t.record(r, resp)
	}
	return resp, err
}

func (t *target) sendHTTP(ctx context.Context, r *Request) (*Response, error) {
	u, err := url.Parse(t.base)
	if err != nil {
		return nil, err
	}
	// Opaque keeps the target as it is written.
	path, query, _ := strings.Cut(r.Target, "?")
	u.Opaque, u.RawQuery = path, query
	req, err := http.NewRequestWithContext(ctx, r.Method, t.base, bytes.NewReader(r.Body))
	if err != nil {
		return nil, err
	}
	req.URL = u
	req.Header = r.Header.Clone()
	if req.Header == nil {
		req.Header = http.Header{}
	}
	if len(r.Body) == 0 {
		req.Body = http.NoBody
	}
	resp, err := t.client(r.From).Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the answer to %s %s: %w", r.Method, r.Target, err)
	}
	return &Response{Status: resp.StatusCode, Header: resp.Header, Body: body}, nil
}

// sendRaw writes bytes to a socket and reads until the other end closes it.
func (t *target) sendRaw(ctx context.Context, r *Request) (*Response, error) {
	from := r.From
	if !t.many {
		from = ""
	}
	host := strings.TrimPrefix(t.base, "http://")
	conn, err := dialer(from).DialContext(ctx, "tcp", host)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(rawTimeout))
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	// A server that refuses early may close before all is written; its answer
	// is still to be read.
	_, werr := conn.Write(r.Raw)
	raw, rerr := io.ReadAll(io.LimitReader(conn, maxAnswer))
	if len(raw) == 0 {
		return nil, fmt.Errorf("no answer: %w", errors.Join(werr, rerr))
	}
	out := &Response{Raw: raw, Header: http.Header{}}
	if head, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), nil); err == nil {
		out.Status, out.Header = head.StatusCode, head.Header
		out.Body, _ = io.ReadAll(head.Body) // what is there; Raw has all
	}
	return out, nil
}
