package gateway

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// http2Server serves HTTP/2 on connections that the wire hands over. It is
// net/http's server with HTTP/1 switched off and bounds of our own; what it
// is known to let through, http2Front refuses.
type http2Server struct {
	server *http.Server
	queue  chan net.Conn
	done   chan struct{} // closed when no connection is taken any more
	ended  chan struct{} // closed when the server's accept loop has ended
	close  sync.Once
	open   sync.Map // net.Conn → chan struct{}, closed with the connection
	faults sync.Map // what peers did wrong, by the library's word for it → *atomic.Uint64
}

// http2Options are the bounds of HTTP/2 connections.
type http2Options struct {
	streams int           // exchanges at once on a connection
	header  int           // bytes of a request's fields
	idle    time.Duration // a connection without exchanges is closed
	body    time.Duration // a request must have come whole
	answer  time.Duration // an answer must have been taken
}

func newHTTP2Server(h http.Handler, o http2Options, log *slog.Logger) *http2Server {
	s := &http2Server{queue: make(chan net.Conn), done: make(chan struct{}), ended: make(chan struct{})}
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	s.server = &http.Server{
		Handler:        h,
		Protocols:      protocols,
		MaxHeaderBytes: o.header,
		ReadTimeout:    o.body, // this and the next are counted per stream
		WriteTimeout:   o.answer,
		IdleTimeout:    o.idle,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          o.streams,
			MaxReadFrameSize:              16 << 10,
			MaxReceiveBufferPerConnection: 1 << 20,
			MaxReceiveBufferPerStream:     256 << 10,
			SendPingTimeout:               30 * time.Second,
			PingTimeout:                   15 * time.Second,
			WriteByteTimeout:              30 * time.Second,
			CountError:                    s.count,
		},
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			// Taken from the connection, since the library believes a
			// request that calls itself cleartext.
			if t, ok := c.(interface{ ConnectionState() tls.ConnectionState }); ok {
				state := t.ConnectionState()
				ctx = context.WithValue(ctx, tlsKey{}, &state)
			}
			return ctx
		},
		ConnState: func(c net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				if closed, ok := s.open.LoadAndDelete(c); ok {
					close(closed.(chan struct{}))
				}
			}
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	go func() {
		defer close(s.ended)
		s.server.Serve(s) // it says only that it was closed
	}()
	return s
}

// tlsKey finds the TLS state of a connection in the context of its requests.
type tlsKey struct{}

// serve speaks HTTP/2 on a connection and returns when that is closed.
func (s *http2Server) serve(c net.Conn) {
	closed := make(chan struct{})
	s.open.Store(c, closed)
	select {
	case s.queue <- c:
		<-closed
	case <-s.done:
		s.open.Delete(c)
		c.Close()
	}
}

// Accept, Close and Addr make the server its own listener.
func (s *http2Server) Accept() (net.Conn, error) {
	select {
	case c := <-s.queue:
		return c, nil
	case <-s.done:
		return nil, net.ErrClosed
	}
}

// Close stops taking connections.
func (s *http2Server) Close() error {
	s.close.Do(func() { close(s.done) })
	return nil
}

// Addr is not asked for by anything but logs.
func (s *http2Server) Addr() net.Addr { return &net.UnixAddr{Name: "handed over", Net: "unix"} }

// shutdown tells the peers to go away and waits until their exchanges are
// done, or ctx is; then it closes what is left.
func (s *http2Server) shutdown(ctx context.Context) error {
	err := s.server.Shutdown(ctx)
	if err != nil {
		s.server.Close()
	}
	<-s.ended
	return err
}

// count counts a peer's fault.
func (s *http2Server) count(kind string) {
	n, ok := s.faults.Load(kind)
	if !ok {
		n, _ = s.faults.LoadOrStore(kind, new(atomic.Uint64))
	}
	n.(*atomic.Uint64).Add(1)
}
