package wire

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/exchange"
)

const (
	// chunkRoom is what a read buffer has beyond the longest head, so that
	// there is room for the lines of a chunked body behind it.
	chunkRoom = 4 << 10
	// outSize is the room for a head, and a small body in the same write.
	outSize = 8 << 10
	// pieceSize is how much of a streamed body is read before it is passed
	// on. Small pieces cost a system call each.
	pieceSize = 64 << 10
	// spliceFrom is how much must be left for the kernel to move it itself:
	// below it, setting up its pipe costs more than copying.
	spliceFrom = 48 << 10
	// maxWrite is how much is written under one deadline.
	maxWrite = 256 << 10
	// maxSkip is how much of a body nobody read is read away to keep the
	// connection.
	maxSkip = 64 << 10
	// lingerFor and lingerBytes bound the wait for a caller to see an answer
	// that closes the connection while it still sends.
	lingerFor   = time.Second
	lingerBytes = 8 << 20
)

// The states of a connection.
const (
	stateIdle   = iota // waits for a request
	stateActive        // reads or answers one
	stateWoken         // was idle, and is asked to go
	stateHTTP2         // is with Options.HTTP2
)

// A Conn is a connection to a caller, with the request that is being answered
// on it. It belongs to the handler until Serve returns.
type Conn struct {
	srv      *Server
	tcp      net.Conn             // as accepted
	nc       net.Conn             // the same, or TLS over it
	raw      syscall.RawConn      // of a connection that can be waited for without a buffer
	tls      *tls.ConnectionState // nil on cleartext
	remote   netip.AddrPort
	scheme   string
	turnFn   func(uintptr) bool // turn, for raw
	state    atomic.Int32
	requests atomic.Uint64

	readBy, writeBy time.Time // the deadlines that are set
	answered        time.Time // when the last answer began

	prev, next *Conn // guarded by srv.mu

	got    int   // bytes that were read at the beginning of a work
	failed error // of that reading
	over   bool  // the connection ends
	fd     int   // while turn runs, the descriptor; else -1
	one    [1]byte

	w *work // nil while the connection waits
}

// A work is what a connection needs while a request is read and answered. It
// comes from a pool, and the one used last is handed out first, so that a
// busy server works in few of them.
type work struct {
	in  []byte // read buffer
	out []byte // heads to write
	p   headParser
	b   body
	req exchange.Request
	f   framing

	turn

	iov   [2][]byte
	bufs  net.Buffers
	lim   io.LimitedReader
	piece *[pieceSize]byte // holds a body that did not fit in
}

// A turn is how far one request has come.
type turn struct {
	begun     bool            // its reading has
	parsed    bool            // the request line has been
	whole     bool            // the head is
	preface   bool            // it is that of HTTP/2
	reason    exchange.Reason // to refuse it
	authority []byte          // of an absolute target
	began     time.Time       // of the body's reading
	expect    bool            // 100 Continue was asked for and not sent
	close     bool            // the connection ends with this answer
	linger    bool            // the caller may still be sending
	hijacked  bool
	status    int   // of the final answer; 0 is none yet
	sent      int64 // bytes of its body
}

var pieces = sync.Pool{New: func() any { return new([pieceSize]byte) }}

func newConn(s *Server, nc net.Conn) *Conn {
	c := &Conn{srv: s, tcp: nc, nc: nc, scheme: "http", fd: -1}
	switch a := nc.RemoteAddr().(type) {
	case *net.TCPAddr:
		ap := a.AddrPort()
		c.remote = netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return c
}

// run serves the connection until it ends.
func (c *Conn) run(ctx context.Context) {
	defer c.srv.remove(c)
	defer func() { c.nc.Close() }() // over TLS it says goodbye
	c.setReadBy(time.Now().Add(c.srv.opt.HeadTimeout))
	if c.srv.opt.TLS != nil {
		if !c.handshake(ctx) {
			return
		}
	} else if c.raw = rawConn(c.nc); c.raw != nil {
		c.turnFn = func(fd uintptr) bool { return c.turn(ctx, fd) }
	}
	for first := true; !c.over; first = false {
		if c.w == nil && !c.await(first) {
			break
		}
		if c.w != nil && !c.over {
			c.over = !c.exchange(ctx)
		}
	}
	if w := c.w; w != nil {
		hijacked, linger := w.hijacked, w.linger
		c.release()
		if !hijacked && linger {
			c.linger()
		}
	}
}

func (c *Conn) handshake(ctx context.Context) bool {
	t := tls.Server(c.tcp, c.srv.opt.TLS)
	c.tcp.SetWriteDeadline(c.readBy)
	if err := t.HandshakeContext(c.srv.stop); err != nil {
		return false
	}
	c.tcp.SetWriteDeadline(time.Time{})
	st := t.ConnectionState()
	c.nc, c.tls, c.scheme = t, &st, "https"
	if st.NegotiatedProtocol == "h2" {
		c.handOver(t)
		return false
	}
	return true
}

// handOver gives the connection to Options.HTTP2.
func (c *Conn) handOver(nc net.Conn) {
	if c.state.Swap(stateHTTP2) == stateWoken {
		// The server drains; the hook says so in its own protocol.
		c.srv.mu.Lock()
		//lint:ignore SA2001 this waits for wake to end
		c.srv.mu.Unlock()
	}
	c.tcp.SetDeadline(time.Time{})
	c.srv.opt.HTTP2(c.srv.drain, nc)
}

// probeAfter is how long a connection relies on its last read having taken
// all there was, before it looks again: an end of the connection that came
// with the last bytes is not told twice.
const probeAfter = 250 * time.Millisecond

// await waits for the first bytes of a request and takes a work for them. It
// is called from a shallow stack and holds no buffer, so that a waiting
// connection is cheap. Requests that are there whole are answered before it
// returns. It reports false when the connection is over.
func (c *Conn) await(first bool) bool {
	if !first {
		c.state.CompareAndSwap(stateActive, stateIdle)
	}
	if c.srv.draining.Load() {
		return c.lastChance()
	}
	if c.raw == nil {
		if !first {
			c.extendReadBy(time.Now(), c.srv.opt.IdleTimeout)
		}
		if c.state.Load() == stateWoken {
			return false // its deadline has just been moved away
		}
		n, err := c.nc.Read(c.one[:])
		if err != nil || n == 0 {
			return false
		}
		c.w = c.srv.works.Get().(*work)
		c.w.in[0] = c.one[0]
		c.got = 1
		c.active()
		return true
	}
	if !first {
		c.extendReadBy(time.Now(), probeAfter)
	}
	for probed := false; ; probed = true {
		served := c.requests.Load()
		err := c.raw.Read(c.turnFn)
		switch {
		case err == nil:
			return true
		case c.state.Load() == stateWoken:
			return c.lastChance()
		case !errors.Is(err, os.ErrDeadlineExceeded), c.requests.Load() == 0, probed && c.requests.Load() == served:
			return false
		}
		c.setReadBy(time.Now().Add(c.srv.opt.IdleTimeout - probeAfter))
		if c.state.Load() == stateWoken {
			return c.lastChance() // the deadline that woke it has just been moved away
		}
	}
}

// turn is called by the runtime when the connection may have bytes, with its
// descriptor, from which it reads without waiting. False makes the runtime
// wait. The buffer is taken only now, so that a connection that waits holds
// none.
//
// A request that has come whole is answered from here, and the runtime waits
// for the next one right away: what arrives meanwhile is told, since the
// runtime forgets nothing within one call. That spares a read that finds
// nothing, a system call in six. Whatever needs another read of the connection
// leaves first, as the runtime lets nobody else read meanwhile.
func (c *Conn) turn(ctx context.Context, fd uintptr) bool {
	c.fd = int(fd)
	defer func() { c.fd = -1 }()
	w := c.srv.works.Get().(*work)
	n, err := readFD(fd, w.in[:c.srv.opt.Head])
	if again(err) {
		c.srv.works.Put(w)
		return false
	}
	c.w, c.got, c.failed = w, n, err
	if err != nil || n == 0 {
		c.over = true
		return true
	}
	drained := n < c.srv.opt.Head
	c.active()
	for {
		if !c.begin() {
			return true
		}
		if !c.answer(ctx) {
			c.over = true
			return true
		}
		if c.w == nil {
			break
		}
	}
	c.state.CompareAndSwap(stateActive, stateIdle)
	if c.srv.draining.Load() || !drained {
		return true // to await, which looks again
	}
	c.extendReadBy(c.answered, probeAfter)
	return false
}

// active marks the connection as busy. If it was woken in the same moment,
// the deadline that woke it is undone.
func (c *Conn) active() {
	if !c.state.CompareAndSwap(stateIdle, stateActive) {
		c.srv.mu.Lock()
		c.state.Store(stateActive)
		c.readBy = time.Time{}
		c.tcp.SetReadDeadline(time.Time{})
		c.srv.mu.Unlock()
	}
}

// wake asks an idle connection to end. srv.mu is held.
func (c *Conn) wake() {
	if c.state.CompareAndSwap(stateIdle, stateWoken) {
		c.tcp.SetReadDeadline(time.Unix(1, 0))
	}
}

// lastChance looks whether a request came in the moment when the idle
// connection was to be closed, which then is answered.
func (c *Conn) lastChance() bool {
	if c.raw == nil {
		return false
	}
	err := c.raw.Control(func(fd uintptr) {
		c.w = c.srv.works.Get().(*work)
		c.got, c.failed = readFD(fd, c.w.in[:c.srv.opt.Head])
	})
	if err != nil || c.failed != nil || c.got == 0 {
		return false
	}
	c.active()
	return true
}

// release gives the work back.
func (c *Conn) release() {
	w := c.w
	if w.piece != nil {
		pieces.Put(w.piece)
		w.piece = nil
	}
	if cap(w.out) > 4*outSize {
		w.out = make([]byte, 0, outSize)
	}
	w.turn = turn{}
	c.w = nil
	c.srv.works.Put(w)
}

// exchange reads a request and has it answered. It reports whether the
// connection may have another.
func (c *Conn) exchange(ctx context.Context) bool {
	if w := c.w; !w.begun {
		c.begin()
	}
	if w := c.w; w.reason == exchange.OK && !w.whole {
		w.reason = c.readHead()
	}
	return c.answer(ctx)
}

// begin starts a request with the bytes that are there. It reports whether
// they hold all of it, or enough to refuse it, so that it can be answered
// without another read.
func (c *Conn) begin() bool {
	w := c.w
	w.p.reset()
	w.b = body{src: c, in: w.in, w: c.got, done: true}
	w.req = exchange.Request{Scheme: c.scheme, Remote: c.remote, TLS: c.tls, Began: time.Now()}
	w.f = framing{}
	w.turn = turn{begun: true}
	w.whole, w.reason = c.parse()
	if w.reason != exchange.OK {
		return !w.preface
	}
	return w.whole && !w.f.upgrade && !w.f.expect &&
		(w.f.kind == bodyNone || w.f.kind == bodyLength && w.f.length <= int64(w.b.w-w.p.line))
}

// answer has a request answered whose head is whole, or refused. It reports
// whether the connection may have another.
func (c *Conn) answer(ctx context.Context) bool {
	w, opt := c.w, &c.srv.opt
	switch {
	case w.preface:
		w.hijacked = true
		c.handOver(&prefixed{c.nc, w.in[:w.b.w]})
		return false
	case w.reason == exchange.OK && w.f.kind == bodyLength && w.f.length > opt.Body:
		w.reason = exchange.WireTooLarge
	}
	if w.reason != exchange.OK {
		c.refuse(w.reason)
		return false
	}
	w.b.r = w.p.line
	w.b.start(w.f.kind, w.f.length, opt.Body)
	w.req.Length = w.f.length
	w.expect = w.f.expect && !w.b.done
	w.close = w.f.close

	c.requests.Add(1)
	if string(w.req.Path) == "*" {
		// OPTIONS * asks about the server as a whole, not about an API (RFC
		// 9110 section 9.3.7).
		c.Respond(200, nil, nil)
	} else if !c.handle(ctx) {
		return false
	}
	if w.hijacked || w.close {
		return false
	}
	// The answer said that the connection stays, so what is left of the body
	// is short.
	if !w.b.done && !w.b.skip(maxSkip) {
		w.linger = true
		return false
	}
	if w.b.r == w.b.w {
		c.got = 0
		c.release()
		return true
	}
	// Another request came behind this one.
	c.got = copy(w.in, w.in[w.b.r:w.b.w])
	w.begun = false
	return true
}

// handle calls the handler and sees that there is an answer.
func (c *Conn) handle(ctx context.Context) (ok bool) {
	defer func() {
		if v := recover(); v != nil {
			c.srv.panics.Add(1)
			c.srv.log.Error("handler panicked", "panic", v, "stack", string(debug.Stack()))
			if !c.w.hijacked && c.w.status == 0 {
				c.refuse(exchange.Internal)
			}
			ok = false
		}
	}()
	c.srv.opt.Handler.Serve(ctx, c)
	if c.w.status == 0 {
		c.refuse(exchange.Internal)
		return false
	}
	return true
}

// readHead reads until the head is whole.
func (c *Conn) readHead() exchange.Reason {
	w, opt := c.w, &c.srv.opt
	for timed := false; ; {
		done, r := c.parse()
		if done || r != exchange.OK {
			return r
		}
		if !timed {
			timed = true
			by := w.req.Began.Add(opt.HeadTimeout)
			if c.requests.Load() > 0 || by.Before(c.readBy) || c.readBy.IsZero() {
				c.setReadBy(by)
			}
		}
		n, err := c.nc.Read(w.in[w.b.w:opt.Head])
		w.b.w += n
		if err != nil && n == 0 {
			if errors.Is(readFault(err), ErrTimeout) {
				return exchange.WireTimeout
			}
			return exchange.WireMalformed
		}
	}
}

// parse reads of the head what has come.
func (c *Conn) parse() (done bool, r exchange.Reason) {
	w, opt := c.w, &c.srv.opt
	for {
		done, r = w.p.feed(w.in[:w.b.w])
		if w.p.start == nil || w.parsed || r != exchange.OK && len(w.p.start) == 0 {
			break
		}
		// The request line has come.
		w.parsed = true
		if len(w.p.start) > opt.RequestLine {
			return false, tooLong(w.p.start)
		}
		if string(w.p.start) == "PRI * HTTP/2.0" && c.tls == nil && opt.HTTP2 != nil {
			w.preface = true
			return false, exchange.WireVersion
		}
		if w.authority, r = parseRequestLine(w.p.start, &w.req, opt.Methods); r != exchange.OK {
			return false, r
		}
	}
	w.req.Header = w.p.fields
	switch {
	case r != exchange.OK:
		return false, r
	case done:
		if w.p.line > opt.Head {
			return false, exchange.WireHeaderTooLarge
		}
		w.f, r = requestFraming(&w.req, w.authority)
		w.req.Host = w.f.host
		if r == exchange.OK && c.tls != nil && misdirected(c.tls.ServerName, w.f.host) {
			r = exchange.WireMisdirected
		}
		return r == exchange.OK, r
	case !w.parsed && w.b.w > opt.RequestLine:
		return false, tooLong(w.in[:w.b.w])
	case w.b.w >= opt.Head:
		return false, exchange.WireHeaderTooLarge
	case !w.parsed && !looksLikeMethod(w.in[:w.b.w]):
		return false, exchange.WireMalformed
	}
	return false, exchange.OK
}

// misdirected reports whether a TLS connection was made for another name than
// the request's: what was decided by the one, such as which client certificate
// is asked for, does not hold for the other (RFC 9110 section 7.4).
func misdirected(sni string, host []byte) bool {
	if sni == "" {
		return false
	}
	if i := bytes.LastIndexByte(host, ':'); i >= 0 && host[len(host)-1] != ']' {
		host = host[:i]
	}
	host = bytes.TrimSuffix(host, dot)
	if len(host) != len(sni) {
		return true
	}
	for i, c := range host {
		if lower(c) != lower(sni[i]) {
			return true
		}
	}
	return false
}

var dot = []byte(".")

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c |= 0x20
	}
	return c
}

// tooLong refuses a request line that is too long. Where it is the method that
// is, the line is no request line.
func tooLong(line []byte) exchange.Reason {
	for i, b := range line {
		if b == ' ' {
			return exchange.WireURITooLong
		}
		if i == 64 {
			break
		}
	}
	return exchange.WireMalformed
}

// looksLikeMethod reports whether b, the beginning of a request line, may
// become one. What opens with something else, such as a TLS handshake on the
// cleartext port, need not be waited for.
func looksLikeMethod(b []byte) bool {
	for i, c := range b {
		if c == ' ' {
			return i > 0
		}
		if bytesOf[c]&isToken == 0 {
			return c == '\r' && i > 0 && i == len(b)-1
		}
	}
	return true
}

// refuse answers a request that the handler does not see, or did not answer.
func (c *Conn) refuse(r exchange.Reason) {
	w := c.w
	c.srv.refused.Add(1)
	if r == exchange.WireTimeout {
		c.srv.timedOut.Add(1)
	}
	w.close, w.linger = true, r != exchange.WireTimeout
	if c.srv.opt.Refuse != nil {
		func() {
			defer func() {
				if v := recover(); v != nil {
					c.srv.panics.Add(1)
					c.srv.log.Error("refusal panicked", "panic", v, "stack", string(debug.Stack()))
				}
			}()
			c.srv.opt.Refuse(c, r)
		}()
	}
	if w.status != 0 {
		return
	}
	e := r.Entry()
	h := exchange.Header{
		exchange.F(exchange.ContentType, []byte("text/plain; charset=utf-8")),
		exchange.F(exchange.CacheControl, []byte("no-store")),
	}
	if r == exchange.WireMethod {
		h = append(h, exchange.F(exchange.AllowMethods, []byte(c.srv.Allow())))
	}
	c.Respond(e.Status, h, []byte(e.Title+"\n"))
}

// linger lets the caller read an answer before the connection closes. Closing
// while it still sends would reset the connection and take the answer with it
// (RFC 9112 section 9.6).
func (c *Conn) linger() {
	if closeWrite(c.nc) != nil {
		return
	}
	c.setReadBy(time.Now().Add(lingerFor))
	var scratch [4 << 10]byte
	for n := 0; n < lingerBytes; {
		k, err := c.tcp.Read(scratch[:])
		if err != nil {
			return
		}
		n += k
	}
}

func (c *Conn) setReadBy(t time.Time) {
	c.readBy = t
	c.tcp.SetReadDeadline(t)
}

// extendReadBy sees that reads may take d from now on. It moves the deadline
// seldom: see the package comment.
func (c *Conn) extendReadBy(now time.Time, d time.Duration) {
	if c.readBy.Sub(now) < d || c.readBy.Sub(now) > d+d/4 {
		c.setReadBy(now.Add(d + d/4))
	}
}

func (c *Conn) extendWriteBy(now time.Time) {
	if d := c.srv.opt.WriteTimeout; c.writeBy.Sub(now) < d {
		c.writeBy = now.Add(d + d/4)
		c.tcp.SetWriteDeadline(c.writeBy)
	}
}

// read gives the bytes of a body; see [source].
func (c *Conn) read(p []byte) (int, error) {
	w := c.w
	now := time.Now()
	if w.began.IsZero() {
		w.began = now
		if w.expect {
			w.expect = false
			if w.b.r == w.b.w {
				c.extendWriteBy(now)
				if _, err := c.nc.Write(continueLine); err != nil {
					return 0, readFault(err)
				}
			}
		}
	}
	opt := &c.srv.opt
	c.setReadBy(w.began.Add(opt.BodyTimeout + time.Duration(w.b.total/opt.BodyRate)*time.Second))
	n, err := c.nc.Read(p)
	if n > 0 || err == nil {
		return n, nil
	}
	if err == io.EOF {
		return 0, err
	}
	if err = readFault(err); errors.Is(err, ErrTimeout) {
		c.srv.timedOut.Add(1)
	}
	return 0, err
}

var continueLine = []byte("HTTP/1.1 100 Continue\r\n\r\n")

// Request returns the request that is being answered. In Options.Refuse it
// holds what was understood before the refusal.
func (c *Conn) Request() *exchange.Request { return &c.w.req }

// ReadBody returns the whole body, which is at most max bytes long. It sends
// 100 Continue where the caller waits for it. The body is in dst if it fits
// there, or in memory of the connection, and is valid until Serve returns.
//
// The error is ErrTooLarge, ErrTruncated, ErrTimeout or ErrMalformed, and the
// connection closes after the answer; [RequestReason] tells the reason.
func (c *Conn) ReadBody(dst []byte, max int) ([]byte, error) {
	w := c.w
	if dst == nil && w.b.kind == bodyChunked {
		if w.piece == nil {
			w.piece = pieces.Get().(*[pieceSize]byte)
		}
		dst = w.piece[:0]
	}
	body, err := w.b.readAll(dst, int64(max))
	if err != nil {
		w.close, w.linger = true, true
		return nil, err
	}
	w.req.Body = body
	return body, nil
}

// Body returns the body as a stream, to be read instead of ReadBody. Its
// errors are those of ReadBody, and io.EOF once the body is whole.
func (c *Conn) Body() io.Reader { return &c.w.b }

// Received returns how many bytes of the body have been read.
func (c *Conn) Received() int64 { return c.w.b.total }

// Status returns the status of the final answer, or 0 before it.
func (c *Conn) Status() int { return c.w.status }

// Sent returns how many bytes of the answer's body have been written.
func (c *Conn) Sent() int64 { return c.w.sent }

// Close makes the connection close after the answer, which says so if it has
// not been given yet.
func (c *Conn) Close() { c.w.close = true }

// Inform writes an informational answer, such as 103. To HTTP/1.0 it writes
// nothing (RFC 9110 section 15.2).
func (c *Conn) Inform(status int, h exchange.Header) error {
	w := c.w
	if w.status != 0 {
		return ErrAnswered
	}
	if status < 100 || status > 199 || status == 101 {
		return &fault{ErrField, errors.New("status " + strconv.Itoa(status) + " does not inform")}
	}
	if w.req.Proto == exchange.HTTP10 {
		return nil
	}
	b, ok := appendFields(appendStatus(w.out[:0], status), h)
	w.out = b[:0]
	if !ok {
		return ErrField
	}
	return c.write(append(b, "\r\n"...), nil, time.Now())
}

// Respond writes the final answer. To HEAD, and with a status that has no
// body, the body is left out; its length is told.
func (c *Conn) Respond(status int, h exchange.Header, body []byte) error {
	now := time.Now()
	b, err := c.head(status, h, int64(len(body)), now)
	if err != nil {
		return err
	}
	if c.w.req.Method == "HEAD" || bodiless(status) {
		body = nil
	}
	return c.write(b, body, now)
}

// head begins the final answer and returns its head. A length of -1 is a
// chunked body.
func (c *Conn) head(status int, h exchange.Header, length int64, now time.Time) ([]byte, error) {
	w := c.w
	switch {
	case w.status != 0:
		return nil, ErrAnswered
	case status < 200 || status > 599:
		return nil, &fault{ErrField, errors.New("status " + strconv.Itoa(status) + " is not final")}
	}
	b, ok := appendFields(appendStatus(w.out[:0], status), h)
	w.out = b[:0]
	if !ok {
		return nil, ErrField
	}
	if _, dated := h.Get(exchange.Date); !dated {
		b = c.srv.clock.appendDate(b, now)
	}
	switch {
	case bodiless(status):
	case length >= 0:
		b = appendLength(b, length)
	case w.req.Method == "HEAD":
	case w.req.Proto == exchange.HTTP11:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	default:
		w.close = true // the end is the connection's
	}
	if !w.b.done {
		// What the caller still sends must not be taken for a request. It
		// is read away if it is short; where 100 Continue was not sent,
		// nobody knows whether it comes.
		if w.expect || w.b.err != nil || w.b.kind != bodyLength || w.b.left > maxSkip {
			w.close, w.linger = true, true
		}
	}
	if c.srv.draining.Load() {
		w.close = true
	}
	if w.close {
		b = append(b, "Connection: close\r\n"...)
	}
	w.status = status
	w.out = b[:0]
	c.answered = now
	return append(b, "\r\n"...), nil
}

// write writes a head and what is there of the body, at once where that is
// possible.
func (c *Conn) write(head, body []byte, now time.Time) error {
	w := c.w
	w.sent += int64(len(body))
	if n := len(body); n > 0 && (len(head)+n <= outSize || c.tls != nil && n <= 2*outSize) {
		head, body = append(head, body...), nil
		w.out = head[:0]
	}
	for {
		c.extendWriteBy(now)
		piece := body
		if len(piece) > maxWrite {
			piece = body[:maxWrite]
		}
		var err error
		switch {
		case len(piece) == 0:
			if c.fd >= 0 {
				// Nobody else uses the descriptor. What it does not take at
				// once waits as usual.
				n, _ := writeFD(uintptr(c.fd), head)
				head = head[n:]
			}
			if len(head) > 0 {
				_, err = c.nc.Write(head)
			}
		case len(head) == 0:
			_, err = c.nc.Write(piece)
		default:
			w.iov = [2][]byte{head, piece}
			w.bufs = w.iov[:]
			_, err = w.bufs.WriteTo(c.nc)
		}
		if err != nil {
			w.close = true
			if err = readFault(err); errors.Is(err, ErrTimeout) {
				c.srv.timedOut.Add(1)
			}
			return err
		}
		head, body = nil, body[len(piece):]
		if len(body) == 0 {
			return nil
		}
		now = time.Now()
	}
}

// UpgradeTo returns the protocol that a GET asks to change to, or nil. A
// field Upgrade without its option in Connection is none, and neither is h2c,
// which carries a request past whoever reads only the first (RFC 9113 took it
// away).
func (c *Conn) UpgradeTo() []byte {
	w := c.w
	if !w.f.upgrade || w.req.Method != "GET" || w.req.Proto != exchange.HTTP11 || w.f.kind != bodyNone ||
		w.req.Header.Count(exchange.Upgrade) != 1 {
		return nil
	}
	v, _ := w.req.Header.Get(exchange.Upgrade)
	if !validToken(v) || exchange.EqualFold(v, "h2c") || exchange.EqualFold(v, "tls") {
		return nil
	}
	return v
}

// Upgrade answers 101 with h and hands over the connection, which gives first
// what came behind the request. It has no deadlines, and closes when Serve
// returns.
func (c *Conn) Upgrade(h exchange.Header) (net.Conn, error) {
	w := c.w
	proto := c.UpgradeTo()
	if proto == nil {
		return nil, ErrUpgrade
	}
	if w.status != 0 {
		return nil, ErrAnswered
	}
	b, ok := appendFields(appendStatus(w.out[:0], 101), h)
	w.out = b[:0]
	if !ok {
		return nil, ErrField
	}
	b = append(b, "Connection: Upgrade\r\nUpgrade: "...)
	b = append(b, proto...)
	b = append(b, "\r\n\r\n"...)
	w.status = 101
	if err := c.write(b, nil, time.Now()); err != nil {
		return nil, err
	}
	w.hijacked = true
	c.tcp.SetDeadline(time.Time{})
	return &prefixed{c.nc, w.in[w.b.r:w.b.w]}, nil
}
