package wire

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/exchange"
)

// ClientOptions say how a [Client] reaches its upstream. Only Address is
// required; a zero limit or timeout means its default, which is in brackets.
type ClientOptions struct {
	Network string // "tcp" or "unix" ["tcp"]
	Address string // host:port, or the path of a socket
	// TLS, if set, is spoken to the upstream; its Certificates are for
	// mutual TLS. Where ServerName is empty it is the host of Address.
	TLS *tls.Config
	// Dial replaces the dialler, for tests and for own resolvers.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	Conns   int // open at once [1024]
	Idle    int // kept for later [256]
	Waiting int // requests that wait for a connection when all are in use [1024]; more are ErrOverload

	Head   int // bytes of a response head [32 KiB]
	Fields int // of a response head [200]

	ConnectTimeout time.Duration // to connect, TLS included, or to wait for a free connection [5s]
	HeadTimeout    time.Duration // from the request's last byte until the head is whole [30s]
	BodyTimeout    time.Duration // between two pieces of the response's body [30s]
	WriteTimeout   time.Duration // for the upstream to take a piece of the request [30s]
	IdleTimeout    time.Duration // after which a kept connection is not used any more [55s]

	// Eject is how many failures in a row eject the upstream from a [Pool]
	// [5]. EjectFor is how long the first time; it doubles up to sixteen
	// times as long [5s].
	Eject    int
	EjectFor time.Duration
}

// A Client sends requests to one upstream address over connections that it
// keeps. Its methods may be called at once.
type Client struct {
	opt    ClientOptions
	host   string // where a request names none
	works  sync.Pool
	health health

	mu      sync.Mutex // guards what follows
	idle    []*upstreamConn
	all     map[*upstreamConn]struct{}
	open    int // and being dialled
	waiting []chan *upstreamConn
	closed  bool

	inFlight atomic.Int64
	dialled  atomic.Uint64
	reused   atomic.Uint64
	retried  atomic.Uint64
}

// ClientStats are the counts of a client since it began, and of now.
type ClientStats struct {
	Dialled, Reused, Retried uint64 // connections made; requests on a kept one; requests sent again
	Open, Idle, InFlight     int
	Ejected                  bool
	Failures                 int // in a row
}

// An UpstreamRequest is a request to be written afresh. The client writes the
// request line, Host and the framing; Header is what is forwarded besides, as
// [Forwarder.Request] makes it.
type UpstreamRequest struct {
	Method   string
	Host     []byte // empty is the client's address
	Path     []byte // canonical, percent-encoded
	Query    []byte
	HasQuery bool
	Header   exchange.Header
	Body     []byte // the body, unless Stream is set
	// Stream is a body of Length bytes, or chunked if Length is -1. A
	// request with a stream is never sent twice.
	Stream io.Reader
	Length int64
	// Upgrade asks for a change to this protocol; see [Response.Upgraded].
	Upgrade []byte
	// Timeout is that for the response's head, instead of the client's.
	Timeout time.Duration
	// Inform, if set, is given informational answers, such as 103. The
	// header is valid until it returns. Others are passed over.
	Inform func(status int, h exchange.Header)
}

// A Response is what the upstream answered: its head, and the body while it is
// read. A zero Response is ready for use, and may be used again after Close.
type Response struct {
	exchange.Response
	conn *upstreamConn
	w    *upstreamWork
	keep bool // the connection may be used again once the body is read
}

// An upstreamConn is one connection. Whoever took it from the client owns it.
type upstreamConn struct {
	c      *Client
	nc     net.Conn
	raw    syscall.RawConn // nil where readiness cannot be looked at
	tls    bool
	used   bool // has served a request before
	since  time.Time
	quiet  bool
	full   bool // the last read filled its room, so that more may lie behind it
	peekFn func(uintptr)

	// A small request and the beginning of its answer; see ask.
	askFn  func(uintptr) bool
	msg    []byte
	into   []byte
	asked  bool // msg has been written whole
	wrote  int
	got    int
	failed error

	readBy, writeBy time.Time
	exact           bool // readBy is not to be extended
}

// firstRead is how much of an answer is read at once with its head. What is
// beyond it of a long body can be left to the kernel.
const firstRead = 16 << 10

// An upstreamWork is what a connection needs while a request is on it.
type upstreamWork struct {
	in    []byte
	out   []byte
	p     headParser
	b     body
	iov   [2][]byte
	bufs  net.Buffers
	piece *[pieceSize]byte
}

// NewClient checks opt and returns a client, which connects when it is asked
// for something.
func NewClient(opt ClientOptions) (*Client, error) {
	var errs []error
	if opt.Network == "" {
		opt.Network = "tcp"
	}
	if opt.Network != "tcp" && opt.Network != "unix" {
		errs = append(errs, errors.New("wire: ClientOptions.Network is "+strconv.Quote(opt.Network)+", not tcp or unix"))
	}
	if opt.Address == "" {
		errs = append(errs, errors.New("wire: ClientOptions.Address is missing"))
	}
	for _, v := range []struct {
		name string
		p    *int
		def  int
	}{
		{"Conns", &opt.Conns, 1024}, {"Idle", &opt.Idle, 256}, {"Waiting", &opt.Waiting, 1024},
		{"Head", &opt.Head, 32 << 10}, {"Fields", &opt.Fields, 200}, {"Eject", &opt.Eject, 5},
	} {
		if *v.p < 0 {
			errs = append(errs, errors.New("wire: ClientOptions."+v.name+" is negative"))
		} else if *v.p == 0 {
			*v.p = v.def
		}
	}
	for _, v := range []struct {
		name string
		p    *time.Duration
		def  time.Duration
	}{
		{"ConnectTimeout", &opt.ConnectTimeout, 5 * time.Second}, {"HeadTimeout", &opt.HeadTimeout, 30 * time.Second},
		{"BodyTimeout", &opt.BodyTimeout, 30 * time.Second}, {"WriteTimeout", &opt.WriteTimeout, 30 * time.Second},
		{"IdleTimeout", &opt.IdleTimeout, 55 * time.Second}, {"EjectFor", &opt.EjectFor, 5 * time.Second},
	} {
		if *v.p < 0 {
			errs = append(errs, errors.New("wire: ClientOptions."+v.name+" is negative"))
		} else if *v.p == 0 {
			*v.p = v.def
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if opt.TLS != nil {
		opt.TLS = opt.TLS.Clone()
		opt.TLS.NextProtos = []string{"http/1.1"}
		if host, _, err := net.SplitHostPort(opt.Address); opt.TLS.ServerName == "" && err == nil {
			opt.TLS.ServerName = host
		}
	}
	if opt.Dial == nil {
		opt.Dial = (&net.Dialer{}).DialContext
	}
	host := opt.Address
	if opt.Network == "unix" {
		host = "localhost"
	}
	c := &Client{opt: opt, host: host, all: map[*upstreamConn]struct{}{}}
	c.health = health{eject: opt.Eject, pause: opt.EjectFor}
	c.works.New = func() any {
		return &upstreamWork{
			in:  make([]byte, opt.Head+chunkRoom),
			out: make([]byte, 0, outSize),
			p:   headParser{fields: make(exchange.Header, 0, opt.Fields)},
		}
	}
	return c, nil
}

// Stats returns the counts.
func (c *Client) Stats() ClientStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	fails, ejected := c.health.state(time.Now())
	return ClientStats{
		Dialled: c.dialled.Load(), Reused: c.reused.Load(), Retried: c.retried.Load(),
		Open: c.open, Idle: len(c.idle), InFlight: int(c.inFlight.Load()),
		Failures: fails, Ejected: ejected,
	}
}

// Address returns the upstream's address.
func (c *Client) Address() string { return c.opt.Address }

// Close closes all connections, those in use too.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for u := range c.all {
		u.nc.Close()
	}
	for _, w := range c.waiting {
		close(w)
	}
	c.idle, c.waiting = nil, nil
	return nil
}

// RoundTrip sends req and reads the head of its answer into resp, whose Close
// must be called if the error is nil.
//
// A request is sent a second time only if its method is idempotent, its body
// is in memory, and the upstream closed a kept connection without a byte of an
// answer, which is how such a connection ends when both sides let go of it at
// once. ctx's deadline bounds the whole of it; its cancellation is seen
// between waits, not within them.
//
// The error wraps ErrUnreachable, ErrOverload, ErrTimeout, ErrMalformed,
// ErrTruncated, or ErrField where req is at fault; or it is that of reading
// Stream.
func (c *Client) RoundTrip(ctx context.Context, req *UpstreamRequest, resp *Response) error {
	c.inFlight.Add(1)
	fresh := false
	for {
		now := time.Now()
		u, err := c.take(ctx, fresh, now)
		if err != nil {
			c.inFlight.Add(-1)
			if callers(ctx, err) {
				c.health.failed(nil, time.Time{})
			} else {
				c.health.failed(err, time.Now())
			}
			return err
		}
		w := c.works.Get().(*upstreamWork)
		*resp = Response{conn: u, w: w}
		if !u.used || u.since.After(now) {
			now = time.Now() // it had to be made, or waited for
		}
		stale, err := resp.roundTrip(ctx, req, now)
		if err == nil {
			c.health.succeeded()
			return nil
		}
		reused := u.used
		resp.discard()
		if stale && reused && !fresh && req.Stream == nil && idempotent(req.Method) && ctx.Err() == nil {
			c.retried.Add(1)
			fresh = true
			continue
		}
		c.inFlight.Add(-1)
		if stale && reused || callers(ctx, err) {
			c.health.failed(nil, time.Time{}) // a kept connection that ended is no sign of ill health
		} else {
			c.health.failed(err, time.Now())
		}
		return err
	}
}

// callers reports whether a request failed by its caller, who went away or
// whose body broke off, which says nothing of the upstream.
func callers(ctx context.Context, err error) bool {
	var own *streamFault
	return errors.As(err, &own) || errors.Is(ctx.Err(), context.Canceled)
}

func idempotent(method string) bool {
	switch method {
	case "GET", "HEAD", "OPTIONS", "PUT", "DELETE", "QUERY":
		return true
	}
	return false
}

// take returns a connection: the one used last of those kept, or a new one, or
// one that another request gives back.
func (c *Client) take(ctx context.Context, fresh bool, now time.Time) (*upstreamConn, error) {
	if err := ctx.Err(); err != nil {
		return nil, &fault{ErrTimeout, err}
	}
	c.mu.Lock()
	for !c.closed && !fresh && len(c.idle) > 0 {
		u := c.idle[len(c.idle)-1]
		c.idle = c.idle[:len(c.idle)-1]
		c.mu.Unlock()
		// Bytes that nobody asked for would be taken for the answer to
		// this request; an end means that it cannot be sent.
		// Under load, when a connection rests for less than a
		// millisecond, the look is spared.
		// Over TLS bytes may lie decrypted, where they cost no call to find.
		if rest := now.Sub(u.since); rest < time.Millisecond && !u.tls || rest < c.opt.IdleTimeout && u.silent() {
			c.reused.Add(1)
			return u, nil
		}
		c.drop(u)
		c.mu.Lock()
	}
	if c.closed {
		c.mu.Unlock()
		return nil, &fault{ErrUnreachable, net.ErrClosed}
	}
	if c.open < c.opt.Conns {
		c.open++
		c.mu.Unlock()
		return c.dial(ctx)
	}
	if fresh && len(c.idle) > 0 {
		// Room is made by a kept connection.
		u := c.idle[0]
		c.idle = append(c.idle[:0], c.idle[1:]...)
		delete(c.all, u)
		c.mu.Unlock()
		u.nc.Close()
		return c.dial(ctx)
	}
	if len(c.waiting) >= c.opt.Waiting {
		c.mu.Unlock()
		return nil, ErrOverload
	}
	turn := make(chan *upstreamConn, 1)
	c.waiting = append(c.waiting, turn)
	c.mu.Unlock()
	timer := time.NewTimer(c.opt.ConnectTimeout)
	defer timer.Stop()
	select {
	case u, ok := <-turn:
		return c.given(ctx, u, ok)
	case <-timer.C:
	case <-ctx.Done():
	}
	c.mu.Lock()
	for i, t := range c.waiting {
		if t == turn {
			c.waiting = append(c.waiting[:i], c.waiting[i+1:]...)
			c.mu.Unlock()
			return nil, ErrOverload
		}
	}
	c.mu.Unlock()
	u, ok := <-turn // it came in the same moment
	return c.given(ctx, u, ok)
}

// given takes what a waiting request was handed: a connection, or nil for the
// room to dial one.
func (c *Client) given(ctx context.Context, u *upstreamConn, ok bool) (*upstreamConn, error) {
	switch {
	case !ok:
		return nil, &fault{ErrUnreachable, net.ErrClosed}
	case u == nil:
		return c.dial(ctx)
	case !u.silent():
		c.mu.Lock()
		delete(c.all, u)
		c.mu.Unlock()
		u.nc.Close()
		return c.dial(ctx)
	}
	u.since = time.Now()
	c.reused.Add(1)
	return u, nil
}

// dial makes a connection, for which there is room.
func (c *Client) dial(ctx context.Context) (u *upstreamConn, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.opt.ConnectTimeout)
	defer cancel()
	nc, err := c.opt.Dial(ctx, c.opt.Network, c.opt.Address)
	if err != nil {
		c.room()
		return nil, c.unreachable(err)
	}
	u = &upstreamConn{c: c, nc: nc}
	u.raw = rawConn(nc)
	u.peekFn = func(fd uintptr) { u.quiet = peekFD(fd) }
	u.askFn = u.ask
	if c.opt.TLS != nil {
		t := tls.Client(nc, c.opt.TLS)
		if err := t.HandshakeContext(ctx); err != nil {
			nc.Close()
			c.room()
			return nil, c.unreachable(err)
		}
		u.nc, u.tls = t, true
	}
	c.dialled.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		c.open--
		u.nc.Close()
		return nil, &fault{ErrUnreachable, net.ErrClosed}
	}
	c.all[u] = struct{}{}
	return u, nil
}

func (c *Client) unreachable(err error) error {
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return &fault{ErrTimeout, &fault{ErrUnreachable, err}}
	}
	return &fault{ErrUnreachable, err}
}

// room gives the room of a connection that is no more to one who waits.
func (c *Client) room() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) > 0 {
		c.waiting[0] <- nil
		c.waiting = append(c.waiting[:0], c.waiting[1:]...)
		return
	}
	c.open--
}

// drop closes a connection.
func (c *Client) drop(u *upstreamConn) {
	u.nc.Close()
	c.mu.Lock()
	delete(c.all, u)
	c.mu.Unlock()
	c.room()
}

// put gives a connection back that is ready for another request.
func (c *Client) put(u *upstreamConn) {
	u.used, u.exact = true, false
	c.mu.Lock()
	switch {
	case c.closed, len(c.waiting) == 0 && len(c.idle) >= c.opt.Idle:
		c.mu.Unlock()
		c.drop(u)
		return
	case len(c.waiting) > 0:
		c.waiting[0] <- u
		c.waiting = append(c.waiting[:0], c.waiting[1:]...)
	default:
		u.since = time.Now()
		c.idle = append(c.idle, u)
		// The one that has been idle longest is at the bottom and may never
		// be taken again.
		if old := c.idle[0]; u.since.Sub(old.since) > c.opt.IdleTimeout {
			c.idle = append(c.idle[:0], c.idle[1:]...)
			c.mu.Unlock()
			c.drop(old)
			return
		}
	}
	c.mu.Unlock()
}

// reap closes kept connections that are over their time, or that the upstream
// has closed.
func (c *Client) reap() {
	c.mu.Lock()
	var gone []*upstreamConn
	kept := c.idle[:0]
	for _, u := range c.idle {
		if time.Since(u.since) > c.opt.IdleTimeout || !u.silent() {
			gone = append(gone, u)
		} else {
			kept = append(kept, u)
		}
	}
	c.idle = kept
	c.mu.Unlock()
	for _, u := range gone {
		c.drop(u)
	}
}

// silent reports whether the upstream has neither sent anything nor closed.
func (u *upstreamConn) silent() bool {
	if u.tls && !u.emptyTLS() {
		return false
	}
	return u.raw == nil || u.raw.Control(u.peekFn) == nil && u.quiet
}

// emptyTLS reports whether TLS holds nothing that it has read from the socket
// and not given out. A read whose deadline is over looks at that alone.
func (u *upstreamConn) emptyTLS() bool {
	u.readBy, u.exact = time.Time{}, false
	u.nc.SetReadDeadline(time.Unix(1, 0))
	var b [1]byte
	n, err := u.nc.Read(b[:])
	return n == 0 && errors.Is(err, os.ErrDeadlineExceeded)
}

// ask writes msg and reads what answers it, as the runtime calls it; false
// makes the runtime wait for something to read. Writing within the call spares
// the read that finds nothing yet: what comes after the call began is told.
func (u *upstreamConn) ask(fd uintptr) bool {
	if !u.asked {
		u.wrote, u.failed = writeFD(fd, u.msg)
		u.asked = u.wrote == len(u.msg)
		return !u.asked
	}
	n, err := readFD(fd, u.into)
	if again(err) {
		return false
	}
	u.got, u.failed, u.full = n, err, n == len(u.into)
	return true
}

func (u *upstreamConn) extendReadBy(now time.Time, d time.Duration) {
	if u.exact {
		return
	}
	if left := u.readBy.Sub(now); left < d || left > d+d/4 {
		u.readBy = now.Add(d + d/4)
		u.nc.SetReadDeadline(u.readBy)
	}
}

func (u *upstreamConn) extendWriteBy(now time.Time) {
	if d := u.c.opt.WriteTimeout; u.writeBy.Sub(now) < d {
		u.writeBy = now.Add(d + d/4)
		u.nc.SetWriteDeadline(u.writeBy)
	}
}

// read gives the bytes of a response's body; see [source].
func (u *upstreamConn) read(p []byte) (int, error) {
	u.extendReadBy(time.Now(), u.c.opt.BodyTimeout)
	n, err := u.nc.Read(p)
	u.full = n == len(p)
	if n > 0 || err == nil {
		return n, nil
	}
	if err == io.EOF {
		return 0, err
	}
	return 0, readFault(err)
}

// roundTrip sends the request and reads the head. It reports stale where the
// connection ended before anything of an answer came.
func (r *Response) roundTrip(ctx context.Context, req *UpstreamRequest, now time.Time) (stale bool, err error) {
	u, w := r.conn, r.w
	head, err := r.requestHead(req)
	if err != nil {
		return false, err
	}
	by, bounded := ctx.Deadline()
	wait := u.c.opt.HeadTimeout
	if req.Timeout > 0 {
		wait = req.Timeout
	}
	setBy := func(now time.Time) {
		if !bounded && req.Timeout == 0 {
			u.extendReadBy(now, wait)
			return
		}
		at := now.Add(wait)
		if bounded && by.Before(at) {
			at = by
		}
		u.readBy, u.exact = at, true
		u.nc.SetReadDeadline(at)
	}
	w.b = body{src: u, in: w.in, done: true}
	var complete bool
	switch {
	case req.Stream != nil:
		u.extendWriteBy(now)
		if complete, err = r.sendStream(head, req); err != nil {
			var own *streamFault
			if errors.As(err, &own) {
				return false, own // the caller's body broke off: the request is aborted
			}
		}
		setBy(time.Now())
	case u.raw != nil && !u.tls && len(head)+len(req.Body) <= outSize:
		setBy(now)
		head = append(head, req.Body...)
		w.out = head[:0]
		complete, err = r.sendAsking(head, now)
	default:
		u.extendWriteBy(now)
		complete, err = r.send(head, req.Body)
		setBy(time.Now())
	}
	// If a write failed the upstream may have answered before it closed; what
	// it said is worth more than the error.
	sendErr := err
	for informed := 0; ; informed++ {
		if stale, err = r.readHead(); err != nil {
			if stale && sendErr != nil && !errors.Is(sendErr, ErrTruncated) {
				err = sendErr
			}
			return stale && informed == 0, err
		}
		if r.Status >= 200 || r.Status == 101 {
			break
		}
		if informed == 8 {
			return false, &fault{ErrMalformed, errors.New("too many informational answers")}
		}
		if req.Inform != nil && r.Status != 100 {
			req.Inform(r.Status, r.Header)
		}
	}
	u.exact = u.exact && bounded
	return false, r.begin(req, complete)
}

// sendAsking writes a small message and waits for the beginning of the answer.
func (r *Response) sendAsking(msg []byte, now time.Time) (complete bool, err error) {
	u, w := r.conn, r.w
	u.msg, u.into = msg, w.in[:min(u.c.opt.Head, firstRead)]
	u.asked, u.wrote, u.got, u.failed = false, 0, 0, nil
	err = u.raw.Read(u.askFn)
	u.msg, u.into = nil, nil
	switch {
	case err != nil:
		return u.asked, readFault(err)
	case u.asked && u.failed != nil:
		return true, readFault(u.failed)
	case u.asked && u.got == 0:
		return true, ErrTruncated
	case u.asked:
		w.b.w = u.got
		return true, nil
	}
	// The socket did not take all of it at once.
	u.extendWriteBy(now)
	if _, err = u.nc.Write(msg[u.wrote:]); err != nil {
		return false, readFault(err)
	}
	return true, nil
}

// requestHead writes the request's head afresh.
func (r *Response) requestHead(req *UpstreamRequest) ([]byte, error) {
	w := r.w
	b := append(w.out[:0], req.Method...)
	b = append(b, ' ')
	for _, part := range [2][]byte{req.Path, req.Query} {
		for _, c := range part {
			if bytesOf[c]&isTarget == 0 {
				return nil, ErrField
			}
		}
	}
	if len(req.Path) == 0 || req.Path[0] != '/' || bytes.IndexByte(req.Path, '?') >= 0 || !validToken([]byte(req.Method)) {
		return nil, ErrField
	}
	b = append(b, req.Path...)
	if req.HasQuery {
		b = append(b, '?')
		b = append(b, req.Query...)
	}
	b = append(b, " HTTP/1.1\r\nHost: "...)
	if !validValue(req.Host) {
		return nil, ErrField
	}
	if len(req.Host) > 0 {
		b = append(b, req.Host...)
	} else {
		b = append(b, r.conn.c.host...)
	}
	b = append(b, "\r\n"...)
	for i := range req.Header {
		f := &req.Header[i]
		switch f.ID {
		case exchange.Connection, exchange.ContentLength, exchange.Expect, exchange.Host, exchange.HTTP2Settings,
			exchange.KeepAlive, exchange.ProxyConnection, exchange.TE, exchange.Trailer, exchange.TransferEncoding, exchange.Upgrade:
			continue
		case exchange.Other:
			if !validToken(f.Name) || framingLookalike(f.Name) {
				return nil, ErrField
			}
		}
		if !validValue(f.Value) {
			return nil, ErrField
		}
		b = append(b, f.Name...)
		b = append(b, ": "...)
		b = append(b, f.Value...)
		b = append(b, "\r\n"...)
	}
	switch {
	case req.Stream != nil && req.Length < 0:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	case req.Stream != nil:
		b = appendLength(b, req.Length)
	case len(req.Body) > 0 || req.Method == "POST" || req.Method == "PUT" || req.Method == "PATCH":
		b = appendLength(b, int64(len(req.Body)))
	}
	if req.Upgrade != nil {
		if !validToken(req.Upgrade) {
			return nil, ErrField
		}
		b = append(b, "Connection: Upgrade\r\nUpgrade: "...)
		b = append(b, req.Upgrade...)
		b = append(b, "\r\n"...)
	}
	b = append(b, "\r\n"...)
	w.out = b[:0]
	return b, nil
}

// send writes head and body. It reports complete where the upstream has them
// whole, which it need not if it answered early.
func (r *Response) send(head, body []byte) (complete bool, err error) {
	w := r.w
	if len(body) > 0 && len(head)+len(body) <= outSize {
		head, body = append(head, body...), nil
		w.out = head[:0]
	}
	switch {
	case len(body) == 0:
		_, err = r.conn.nc.Write(head)
	case len(body) <= maxWrite/4:
		w.iov = [2][]byte{head, body}
		w.bufs = w.iov[:]
		_, err = w.bufs.WriteTo(r.conn.nc)
	default:
		if _, err = r.conn.nc.Write(head); err == nil {
			return r.sendLong(body)
		}
	}
	if err != nil {
		return false, readFault(err)
	}
	return true, nil
}

// sendLong writes a body that may not fit the socket's buffer, and stops where
// the upstream answers before it has taken all.
func (r *Response) sendLong(body []byte) (complete bool, err error) {
	u := r.conn
	defer func() { u.writeBy = time.Time{} }()
	stuck := time.Now().Add(u.c.opt.WriteTimeout)
	for len(body) > 0 {
		if !u.tls && !u.silent() {
			return false, nil
		}
		// A write that waits is interrupted now and then, to look for an
		// answer. TLS cannot be interrupted: its stream would be broken.
		slice := 50 * time.Millisecond
		if u.tls {
			slice = u.c.opt.WriteTimeout
		}
		u.nc.SetWriteDeadline(time.Now().Add(slice))
		n, err := u.nc.Write(body[:min(len(body), maxWrite)])
		body = body[n:]
		if err == nil || n > 0 && !u.tls {
			stuck = time.Now().Add(u.c.opt.WriteTimeout)
			continue
		}
		if err = readFault(err); !errors.Is(err, ErrTimeout) || u.tls || time.Now().After(stuck) {
			return false, err
		}
	}
	return true, nil
}

// A streamFault is that of the reader a request's body came from.
type streamFault struct{ error }

func (f *streamFault) Unwrap() error { return f.error }

// sendStream writes head and the stream. If the stream fails the request stays
// incomplete, so that the upstream cannot take it for whole.
func (r *Response) sendStream(head []byte, req *UpstreamRequest) (complete bool, err error) {
	u := r.conn
	buf := pieces.Get().(*[pieceSize]byte)
	defer pieces.Put(buf)
	s := streamer{left: req.Length, chunked: req.Length < 0}
	const before, after = 8, 7
	for {
		room := buf[before : pieceSize-after]
		if s.left >= 0 && int64(len(room)) > s.left {
			room = room[:s.left]
		}
		n := 0
		if len(room) > 0 {
			n, err = req.Stream.Read(room)
		} else {
			err = io.EOF
		}
		ended := err == io.EOF
		if err != nil && !ended {
			return false, &streamFault{err}
		}
		if s.left >= 0 {
			s.left -= int64(n)
			if ended && s.left > 0 {
				return false, &streamFault{ErrTruncated}
			}
			ended = s.left == 0
		}
		piece := buf[before : before+n]
		if s.chunked {
			piece = s.frame(buf, before, n, ended)
		}
		u.extendWriteBy(time.Now())
		if len(head) > 0 {
			if done, err := r.send(head, nil); !done {
				return false, err
			}
			head = nil
		} else if !u.tls && !u.silent() {
			return false, nil // it answers before it has all
		}
		if len(piece) > 0 {
			if done, err := r.sendLong(piece); !done {
				return false, err
			}
		}
		if ended {
			return true, nil
		}
	}
}

// readHead reads one head. It reports stale where nothing came.
func (r *Response) readHead() (stale bool, err error) {
	u, w := r.conn, r.w
	// A head behind an informational one starts where that ended.
	w.b.w = copy(w.in, w.in[w.b.r:w.b.w])
	w.b.r = 0
	w.p.reset()
	r.Status = 0
	for {
		done, reason := w.p.feed(w.in[:w.b.w])
		if r.Status == 0 && w.p.start != nil {
			if r.Status = parseStatusLine(w.p.start); r.Status == 0 {
				return false, &fault{ErrMalformed, errors.New("bad status line")}
			}
			continue
		}
		if reason != exchange.OK || !done && w.b.w >= u.c.opt.Head {
			return false, &fault{ErrMalformed, errors.New("bad head")}
		}
		if done {
			w.b.r = w.p.line
			r.Header = w.p.fields
			return false, nil
		}
		n, err := u.nc.Read(w.in[w.b.w:u.c.opt.Head])
		w.b.w += n
		u.full = w.b.w == u.c.opt.Head
		if n == 0 && err != nil {
			err = readFault(err)
			return w.b.w == 0 && !errors.Is(err, ErrTimeout), err
		}
	}
}

// parseStatusLine returns the status of a status line (RFC 9112 section 4), or
// 0. A missing phrase, and the space before it, are forgiven: the line is
// written afresh.
func parseStatusLine(line []byte) int {
	if len(line) < 12 || string(line[:7]) != "HTTP/1." || line[7] != '0' && line[7] != '1' || line[8] != ' ' ||
		bytesOf[line[9]]&bytesOf[line[10]]&bytesOf[line[11]]&isDigit == 0 ||
		len(line) > 12 && line[12] != ' ' || !validValue(line) {
		return 0
	}
	status := int(line[9]-'0')*100 + int(line[10]-'0')*10 + int(line[11]-'0')
	if status < 100 || status > 599 {
		return 0
	}
	return status
}

// begin decides where the response ends (RFC 9112 section 6.3). Two lengths,
// or a coding that is not chunked alone, could be read differently by who
// comes after us, so they are refused.
func (r *Response) begin(req *UpstreamRequest, complete bool) error {
	w := r.w
	var lengths, codings int
	length := int64(-1)
	f := framing{close: w.p.start[7] == '0'}
	for i := range r.Header {
		fd := &r.Header[i]
		switch fd.ID {
		case exchange.ContentLength:
			lengths++
			var ok bool
			if length, ok = parseLength(fd.Value); !ok || lengths > 1 {
				return &fault{ErrMalformed, errors.New("bad Content-Length")}
			}
		case exchange.TransferEncoding:
			codings++
			if codings > 1 || !exchange.EqualFold(fd.Value, "chunked") {
				return &fault{ErrMalformed, errors.New("bad Transfer-Encoding")}
			}
		case exchange.Connection:
			if !connectionOptions(fd.Value, &f) {
				// An option unknown to us names a field of this hop, which
				// ResponseHeader drops.
				f.close = f.close || hasOption(fd.Value, "close")
			}
		}
	}
	if codings > 0 && (lengths > 0 || w.p.start[7] == '0') {
		return &fault{ErrMalformed, errors.New("Transfer-Encoding beside Content-Length, or in HTTP/1.0")}
	}
	r.keep = complete && !f.close
	r.Length = length
	switch {
	case r.Status == 101:
		if req.Upgrade == nil || !f.upgrade || w.b.r < 0 {
			return &fault{ErrMalformed, errors.New("101 that nobody asked for")}
		}
		r.keep = false
		w.b.start(bodyNone, 0, 0)
	case req.Method == "HEAD" || bodiless(r.Status):
		if req.Method != "HEAD" && r.Status != 304 && (length > 0 || codings > 0) || w.b.r < w.b.w {
			r.keep = false // bytes follow, or are said to, which must not be read as an answer
		}
		w.b.start(bodyNone, 0, 0)
	case codings > 0:
		w.b.start(bodyChunked, -1, 1<<62)
	case length >= 0:
		w.b.start(bodyLength, length, 1<<62)
	default:
		r.keep = false
		w.b.start(bodyUntilClose, -1, 1<<62)
	}
	if beyond := int64(w.b.w-w.b.r) - w.b.left; beyond > 0 && w.b.kind == bodyLength {
		// Nothing was asked for that these could answer. If they lay there
		// before, this answer belongs to another request.
		return &fault{ErrMalformed, errors.New("bytes beyond the response")}
	}
	return nil
}

// hasOption reports whether a Connection field names an option.
func hasOption(v []byte, lower string) bool {
	for len(v) > 0 {
		opt := v
		v = nil
		for i, c := range opt {
			if c == ',' {
				opt, v = opt[:i], opt[i+1:]
				break
			}
		}
		if exchange.EqualFold(trimOWS(opt), lower) {
			return true
		}
	}
	return false
}

// ReadAll returns the whole body, which is at most max bytes long. It is in dst
// if it fits there, or in memory of the response, and is valid until Close. The
// error is ErrTooLarge, ErrTruncated, ErrTimeout or ErrMalformed.
func (r *Response) ReadAll(dst []byte, max int) ([]byte, error) {
	w := r.w
	if dst == nil && !w.b.done && (w.b.left > int64(len(w.in)-w.b.r) || w.b.kind != bodyLength) {
		if w.piece == nil {
			w.piece = pieces.Get().(*[pieceSize]byte)
		}
		dst = w.piece[:0]
	}
	body, err := w.b.readAll(dst, int64(max))
	if err != nil {
		return nil, err
	}
	r.Response.Body = body
	return body, nil
}

// Stream returns the body as a stream, to be read instead of ReadAll. Its
// errors are those of ReadAll, and io.EOF once the body is whole.
func (r *Response) Stream() io.Reader { return &r.w.b }

// Upgraded returns the connection after a 101, with what the upstream sent
// behind it first. It has no deadlines and closes with the response.
func (r *Response) Upgraded() (net.Conn, error) {
	if r.conn == nil || r.Status != 101 {
		return nil, ErrUpgrade
	}
	r.conn.nc.SetDeadline(time.Time{})
	b := &r.w.b
	return &prefixed{r.conn.nc, r.w.in[b.r:b.w]}, nil
}

// Close gives the connection back, if the message ended exactly where it
// should, and closes it if not. It may be called again.
func (r *Response) Close() {
	if r.conn == nil {
		return
	}
	b := &r.w.b
	u := r.conn
	// A read that took all that it had room for may have left bytes behind
	// the answer, which the next one must not begin with.
	keep := r.keep && b.done && b.err == nil && b.r == b.w && (!u.full || u.silent())
	r.release()
	u.c.inFlight.Add(-1)
	if keep {
		u.c.put(u)
	} else {
		u.c.drop(u)
	}
}

// discard ends a response that failed.
func (r *Response) discard() {
	u := r.conn
	r.release()
	u.c.drop(u)
}

func (r *Response) release() {
	w, c := r.w, r.conn.c
	if w.piece != nil {
		pieces.Put(w.piece)
		w.piece = nil
	}
	if cap(w.out) > 4*outSize {
		w.out = make([]byte, 0, outSize)
	}
	c.works.Put(w)
	*r = Response{}
}
