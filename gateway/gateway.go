package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/exchange"
	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/wire"
)

// Options say what a Gateway needs. Only Guard is required.
type Options struct {
	Guard     *guard.Guard
	Upstreams []Upstream
	// Name stands in Via, and a request that carries it already is going in
	// a circle. Empty: "sallyport-" and a random number, which tells one
	// process from another.
	Name string
	Log  *slog.Logger // nil discards
}

// A Gateway carries exchanges between callers and upstreams. Its methods may
// be called at once.
type Gateway struct {
	guard  *guard.Guard
	log    *slog.Logger
	name   string // in Via
	works  sync.Pool
	panics atomic.Uint64

	mu    sync.Mutex // guards swapping pools
	pools atomic.Pointer[pools]
}

// New checks the options and returns a gateway without doors.
func New(o Options) (*Gateway, error) {
	if o.Guard == nil {
		return nil, errors.New("gateway: Options.Guard is missing")
	}
	g := &Gateway{guard: o.Guard, log: o.Log}
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	if o.Name == "" {
		o.Name = fmt.Sprintf("sallyport-%08x", rand.Uint32())
	}
	g.name = o.Name
	g.works.New = func() any { return new(work) }
	g.pools.Store(&pools{})
	if err := g.Upstreams(o.Upstreams); err != nil {
		return nil, err
	}
	return g, nil
}

// Panics is how many exchanges ended in one.
func (g *Gateway) Panics() uint64 { return g.panics.Load() }

// A Listener says how callers reach the gateway at one address. Zero limits
// and timeouts mean the defaults, in brackets.
type Listener struct {
	Address string // for metrics and logs
	// Certificates turn TLS on.
	Certificates *Certificates
	// MinVersion is the least version of TLS; never below 1.2.
	MinVersion uint16
	// HTTP1Only offers no HTTP/2, neither by ALPN nor on cleartext.
	HTTP1Only bool
	// Trusted are the proxies whose X-Forwarded-For is believed.
	Trusted []netip.Prefix
	// Methods are taken beside the usual ones: those of a contract's
	// additionalOperations.
	Methods []string

	RequestLine    int           // bytes [8 KiB]
	Header         int           // bytes of a request's head [16 KiB]
	Fields         int           // fields of a head [100]
	Body           int64         // bytes of a request's body, whatever reads it [1 GiB]
	Connections    int           // open at once [no bound]
	Streams        int           // exchanges at once on a connection of HTTP/2 [100]
	HeadTimeout    time.Duration // until a head is whole [10 s]
	BodyTimeout    time.Duration // until a body is whole, beside its length at 1 KiB/s [30 s]
	IdleTimeout    time.Duration // between exchanges [60 s]
	WriteTimeout   time.Duration // until a piece of an answer is taken [30 s]
	AnswerTimeout  time.Duration // until an answer over HTTP/2 is taken whole [5 min]
	RequestTimeout time.Duration // until a request over HTTP/2 has come whole [5 min]
}

// A Door serves the callers of one address.
type Door struct {
	gateway   *Gateway
	address   string
	trusted   []netip.Prefix
	forwarder wire.Forwarder
	limits    headLimits
	wire      *wire.Server
	h2        *http2Server // nil where only HTTP/1.1 is spoken
}

// Door makes a door. It takes no connection before [Door.Serve].
func (g *Gateway) Door(l Listener) (*Door, error) {
	def(&l.RequestLine, 8<<10)
	def(&l.Header, 16<<10)
	def(&l.Fields, 100)
	def(&l.Streams, 100)
	def(&l.IdleTimeout, time.Minute)
	def(&l.AnswerTimeout, 5*time.Minute)
	def(&l.RequestTimeout, 5*time.Minute)
	d := &Door{
		gateway: g, address: l.Address, trusted: l.Trusted,
		forwarder: wire.Forwarder{Pseudonym: g.name, Trusted: l.Trusted},
		limits:    headLimits{line: l.RequestLine, fields: l.Fields},
	}
	o := wire.Options{
		Handler: wireHandler{d}, Refuse: d.refuse, Log: g.log, Methods: l.Methods,
		RequestLine: l.RequestLine, Head: l.Header, Fields: l.Fields, Body: l.Body, Conns: l.Connections,
		HeadTimeout: l.HeadTimeout, BodyTimeout: l.BodyTimeout, IdleTimeout: l.IdleTimeout, WriteTimeout: l.WriteTimeout,
	}
	if l.Certificates != nil {
		protocols := []string{"h2", "http/1.1"}
		if l.HTTP1Only {
			protocols = protocols[1:]
		}
		o.TLS = l.Certificates.Config(l.MinVersion, protocols...)
	}
	if !l.HTTP1Only {
		d.h2 = newHTTP2Server(http.HandlerFunc(d.serveHTTP2), http2Options{
			streams: l.Streams, header: l.Header, idle: l.IdleTimeout, body: l.RequestTimeout, answer: l.AnswerTimeout,
		}, g.log)
		o.HTTP2 = func(_ context.Context, c net.Conn) { d.h2.serve(c) }
	}
	var err error
	if d.wire, err = wire.NewServer(o); err != nil {
		return nil, fmt.Errorf("listener %s: %w", l.Address, err)
	}
	return d, nil
}

func def[T int | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

// Serve takes connections from l until ctx is done or the door is shut. It
// waits for those that it took.
func (d *Door) Serve(ctx context.Context, l net.Listener) error { return d.wire.Serve(ctx, l) }

// Shutdown takes no new connection, lets the exchanges under way end, and
// closes what is left when ctx is done.
func (d *Door) Shutdown(ctx context.Context) error {
	var wg sync.WaitGroup
	var err2 error
	if d.h2 != nil {
		wg.Go(func() { err2 = d.h2.shutdown(ctx) })
	}
	err := d.wire.Shutdown(ctx)
	wg.Wait()
	return errors.Join(err, err2)
}

// wireHandler lets a Door be the handler of a wire.Server without showing
// that method to others.
type wireHandler struct{ d *Door }

func (h wireHandler) Serve(ctx context.Context, c *wire.Conn) { h.d.serve(ctx, c) }

// refuse answers what the wire does not take for HTTP.
func (d *Door) refuse(c *wire.Conn, r exchange.Reason) { d.refuseHead(c, r) }

// serveHTTP2 is the way in of an exchange over HTTP/2.
func (d *Door) serveHTTP2(w http.ResponseWriter, r *http.Request) {
	f := http2Fronts.Get().(*http2Front)
	f.w, f.r = w, r
	if reason := f.head(d.limits); reason != exchange.OK {
		d.refuseHead(f, reason)
	} else {
		d.serve(r.Context(), f)
	}
	broken := f.broken
	f.release()
	if broken {
		panic(http.ErrAbortHandler) // resets the stream, so that the caller sees the cut
	}
}

// DoorStats are what a door counted.
type DoorStats struct {
	Address string
	wire.Stats
	// HTTP2Faults are what peers did wrong over HTTP/2, by the library's
	// word for it.
	HTTP2Faults map[string]uint64
}

// Stats returns the counts so far.
func (d *Door) Stats() DoorStats {
	s := DoorStats{Address: d.address, Stats: d.wire.Stats()}
	if d.h2 != nil {
		s.HTTP2Faults = map[string]uint64{}
		d.h2.faults.Range(func(kind, n any) bool {
			s.HTTP2Faults[kind.(string)] = n.(*atomic.Uint64).Load()
			return true
		})
	}
	return s
}
