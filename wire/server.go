package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/exchange"
)

// A Handler answers requests. Serve is called once for each request, in the
// goroutine of its connection, so requests of one connection are answered in
// order; those of others run at once. It must answer, by Respond, Stream or
// Upgrade of c, and must keep nothing of c after it returns. A panic is
// recovered, logged, and answered with [exchange.Internal].
//
// ctx ends when the server is closed, not when the caller goes away.
type Handler interface {
	Serve(ctx context.Context, c *Conn)
}

// Options say what a [Server] does and what it takes. Only Handler is
// required; a zero limit or timeout means its default, which is in brackets.
type Options struct {
	Handler Handler
	// Refuse answers a request that never reaches the handler. It may look
	// at what is known of the request and should answer with c.Respond; if
	// it does not, the server answers. The connection closes afterwards.
	Refuse func(c *Conn, r exchange.Reason)
	// TLS, if set, is spoken on every connection. Its NextProtos are set by
	// the server.
	TLS *tls.Config
	// HTTP2 takes over a connection that speaks HTTP/2, by ALPN or by the
	// preface on cleartext (RFC 9113 section 3), and returns when it is
	// done with. ctx ends when the server drains or is closed. The server
	// closes the connection. nil offers no HTTP/2.
	HTTP2 func(ctx context.Context, conn net.Conn)
	// Methods are taken beside GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS
	// and QUERY. CONNECT and TRACE are never taken.
	Methods []string
	Log     *slog.Logger // nil discards

	RequestLine int   // bytes of the request line [8 KiB]
	Head        int   // bytes of the whole head [16 KiB], at most 1 MiB
	Fields      int   // fields of the head [100]
	Body        int64 // bytes of a body, whatever the handler asks for [1 GiB]
	Conns       int   // connections open at once [no limit]; beyond it idle ones are closed, then accepting waits

	// HeadTimeout is how long a head may take from its first byte, and a
	// new connection until its first head is whole, TLS included [10s].
	HeadTimeout time.Duration
	// BodyTimeout is how long a body may take, in addition to its length
	// at BodyRate [30s].
	BodyTimeout time.Duration
	BodyRate    int64         // bytes per second that a long body must reach [1 KiB]
	IdleTimeout time.Duration // between requests [60s]
	// WriteTimeout is how long a piece of an answer, of at most 256 KiB,
	// may wait for the caller to take it [30s].
	WriteTimeout time.Duration
}

// Stats are the counts of a server since it began, and of now.
type Stats struct {
	Accepted uint64 // connections
	Requests uint64 // that reached the handler
	Refused  uint64 // that did not
	Panics   uint64 // of the handler
	TimedOut uint64 // connections closed for a head, body or write that took too long
	Open     int    // connections now
	Idle     int    // of them, those that wait for a request
	HTTP2    int    // of them, those that HTTP2 has taken over
}

// A Server takes HTTP/1.1 from strangers. Its methods may be called at once.
type Server struct {
	opt      Options
	log      *slog.Logger
	works    sync.Pool
	clock    clock
	draining atomic.Bool
	drain    context.Context // done when draining begins
	drained  context.CancelFunc
	stop     context.Context // done when closed
	stopped  context.CancelFunc

	accepted, refused, panics, timedOut atomic.Uint64

	mu        sync.Mutex // guards what follows
	listeners map[net.Listener]struct{}
	conns     *Conn // the first of all open
	open      int
	past      uint64        // requests of connections that are closed
	changed   chan struct{} // closed and replaced when a connection closes
}

// NewServer checks opt and returns a server that has no listener yet.
func NewServer(opt Options) (*Server, error) {
	var errs []error
	if opt.Handler == nil {
		errs = append(errs, errors.New("wire: Options.Handler is missing"))
	}
	def := func(name string, v *int, d int) {
		if *v < 0 {
			errs = append(errs, errors.New("wire: Options."+name+" is negative"))
		} else if *v == 0 {
			*v = d
		}
	}
	wait := func(name string, v *time.Duration, d time.Duration) {
		if *v < 0 {
			errs = append(errs, errors.New("wire: Options."+name+" is negative"))
		} else if *v == 0 {
			*v = d
		}
	}
	def("RequestLine", &opt.RequestLine, 8<<10)
	def("Head", &opt.Head, 16<<10)
	def("Fields", &opt.Fields, 100)
	def("Conns", &opt.Conns, 1<<62)
	wait("HeadTimeout", &opt.HeadTimeout, 10*time.Second)
	wait("BodyTimeout", &opt.BodyTimeout, 30*time.Second)
	wait("IdleTimeout", &opt.IdleTimeout, 60*time.Second)
	wait("WriteTimeout", &opt.WriteTimeout, 30*time.Second)
	if opt.Body < 0 || opt.BodyRate < 0 {
		errs = append(errs, errors.New("wire: Options.Body or Options.BodyRate is negative"))
	}
	if opt.Body == 0 {
		opt.Body = 1 << 30
	}
	if opt.BodyRate == 0 {
		opt.BodyRate = 1 << 10
	}
	if opt.Head > 1<<20 {
		errs = append(errs, errors.New("wire: Options.Head is beyond 1 MiB"))
	}
	for _, m := range opt.Methods {
		if !validToken([]byte(m)) || m == "CONNECT" || m == "TRACE" || m == "PRI" {
			errs = append(errs, errors.New("wire: Options.Methods has "+m+", which can be no method of an API"))
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	opt.RequestLine = min(opt.RequestLine, opt.Head)
	opt.Methods = slices.Clone(opt.Methods)
	s := &Server{opt: opt, log: opt.Log, listeners: map[net.Listener]struct{}{}, changed: make(chan struct{})}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if opt.TLS != nil {
		s.opt.TLS = opt.TLS.Clone()
		s.opt.TLS.NextProtos = []string{"http/1.1"}
		if opt.HTTP2 != nil {
			s.opt.TLS.NextProtos = []string{"h2", "http/1.1"}
		}
	}
	s.works.New = func() any {
		return &work{
			in:  make([]byte, s.opt.Head+chunkRoom),
			out: make([]byte, 0, outSize),
			p:   headParser{fields: make(exchange.Header, 0, s.opt.Fields)},
		}
	}
	s.drain, s.drained = context.WithCancel(context.Background())
	s.stop, s.stopped = context.WithCancel(context.Background())
	return s, nil
}

// Serve takes connections from l until l is closed, ctx is done or the server
// stops, and closes l. It then waits for the connections it took, which
// Shutdown or Close ends, so that nothing runs after it has returned. The
// handler's ctx has the values of ctx, and is done when the server is closed.
// The error is nil if Serve was asked to stop.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	s.mu.Lock()
	if s.draining.Load() {
		s.mu.Unlock()
		l.Close()
		return nil
	}
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	undo := context.AfterFunc(ctx, func() { l.Close() })
	defer undo()
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	undo = context.AfterFunc(s.stop, cancel)
	defer undo()
	var wg sync.WaitGroup
	err := s.accept(ctx, l, func(c *Conn) { wg.Go(func() { c.run(base) }) })
	l.Close()
	s.mu.Lock()
	delete(s.listeners, l)
	s.mu.Unlock()
	wg.Wait()
	return err
}

// accept takes connections until it is asked to stop.
func (s *Server) accept(ctx context.Context, l net.Listener, run func(*Conn)) error {
	for pause := time.Duration(0); ; {
		if !s.room(ctx) {
			return nil
		}
		nc, err := l.Accept()
		if err != nil {
			if s.draining.Load() || ctx.Err() != nil {
				return nil
			}
			if !temporary(err) {
				return err
			}
			// Descriptors or memory have run out: what is open must end
			// before more can be taken.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.log.Warn("accepting pauses", "listener", l.Addr().String(), "err", err, "pause", pause)
			s.closeIdle()
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			case <-s.drain.Done():
			}
			continue
		}
		pause = 0
		s.accepted.Add(1)
		c := newConn(s, nc)
		if !s.add(c) {
			nc.Close()
			return nil
		}
		run(c)
	}
}

func temporary(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOBUFS) ||
		errors.Is(err, syscall.ENOMEM) || errors.Is(err, syscall.ECONNABORTED) || errors.Is(err, syscall.EINTR)
}

// room waits until one more connection may be open.
func (s *Server) room(ctx context.Context) bool {
	for {
		s.mu.Lock()
		full, changed := s.open >= s.opt.Conns, s.changed
		s.mu.Unlock()
		if !full {
			return true
		}
		s.closeIdle()
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		case <-s.drain.Done():
			return false
		case <-time.After(100 * time.Millisecond): // one may have become idle
		}
	}
}

func (s *Server) add(c *Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining.Load() {
		return false
	}
	if c.next = s.conns; c.next != nil {
		c.next.prev = c
	}
	s.conns = c
	s.open++
	return true
}

func (s *Server) remove(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		s.conns = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	s.open--
	s.past += c.requests.Load()
	close(s.changed)
	s.changed = make(chan struct{})
}

// closeIdle asks the connection that has been open longest among the idle
// ones to go away.
func (s *Server) closeIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	var last *Conn
	for c := s.conns; c != nil; c = c.next {
		if c.state.Load() == stateIdle {
			last = c
		}
	}
	if last != nil {
		last.wake()
	}
}

// Shutdown stops accepting, closes idle connections, answers what is in
// flight with Connection: close, and returns when all connections are closed.
// When ctx is done before, it closes those that are left and returns ctx's
// error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.draining.Store(true)
	s.drained()
	for l := range s.listeners {
		l.Close()
	}
	for c := s.conns; c != nil; c = c.next {
		c.wake()
	}
	s.mu.Unlock()
	for {
		s.mu.Lock()
		open, changed := s.open, s.changed
		s.mu.Unlock()
		if open == 0 {
			s.stopped()
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			s.Close()
			return ctx.Err()
		}
	}
}

// Close stops accepting and closes all connections at once.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining.Store(true)
	s.drained()
	s.stopped()
	for l := range s.listeners {
		l.Close()
	}
	for c := s.conns; c != nil; c = c.next {
		abort(c.tcp)
	}
	return nil
}

// abort ends a connection without waiting for who uses it. Closing it would
// wait, since an answer may be made from within a read.
func abort(c net.Conn) {
	h, ok := c.(interface {
		CloseRead() error
		CloseWrite() error
	})
	if !ok {
		c.Close()
		return
	}
	c.SetDeadline(time.Unix(1, 0))
	h.CloseRead()
	h.CloseWrite()
}

// Stats returns the counts. It visits every open connection.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Stats{
		Accepted: s.accepted.Load(), Refused: s.refused.Load(), Panics: s.panics.Load(), TimedOut: s.timedOut.Load(),
		Requests: s.past, Open: s.open,
	}
	for c := s.conns; c != nil; c = c.next {
		st.Requests += c.requests.Load()
		switch c.state.Load() {
		case stateIdle:
			st.Idle++
		case stateHTTP2:
			st.HTTP2++
		}
	}
	return st
}

// Allow is the value of the Allow field that goes with [exchange.WireMethod].
func (s *Server) Allow() string {
	v := knownMethods
	for _, m := range s.opt.Methods {
		v += ", " + m
	}
	return v
}

// A prefixed is a connection of which some bytes have been read already.
type prefixed struct {
	net.Conn
	first []byte
}

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.first) > 0 {
		n := copy(b, p.first)
		p.first = p.first[n:]
		return n, nil
	}
	return p.Conn.Read(b)
}

// CloseWrite closes the sending side, where the connection has two.
func (p *prefixed) CloseWrite() error { return closeWrite(p.Conn) }

// ReadFrom lets the kernel move bytes where both ends are its own.
func (p *prefixed) ReadFrom(r io.Reader) (int64, error) { return io.Copy(p.Conn, r) }

func closeWrite(c net.Conn) error {
	if h, ok := c.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return c.Close()
}
