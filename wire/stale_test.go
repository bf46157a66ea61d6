package wire_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/exchange"
	"github.com/sallyport/sallyport/wire"
)

// What comes behind the end of an answer, in the same packet or TLS record as
// its last bytes, is never taken for the answer to the next request, however
// soon that comes.
func TestBytesBehindALongAnswer(t *testing.T) {
	cert, roots := certificate(t)
	const poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
	for _, over := range []string{"TCP", "TLS"} {
		t.Run(over, func(t *testing.T) {
			rest := make(chan struct{}, 1)
			sent := make(chan struct{}, 1)
			addr := scripted(t, func(_ int, tc *net.TCPConn) {
				var c net.Conn = tc
				if over == "TLS" {
					c = tls.Server(tc, &tls.Config{Certificates: []tls.Certificate{cert}})
				}
				if req, _ := read(c); req == nil {
					return
				}
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
				<-rest
				io.WriteString(c, "hello"+poison)
				sent <- struct{}{}
				io.Copy(io.Discard, c)
			})
			opt := wire.ClientOptions{Address: addr}
			if over == "TLS" {
				_, port, _ := net.SplitHostPort(addr)
				opt.Address, opt.TLS = "localhost:"+port, &tls.Config{RootCAs: roots}
			}
			c := client(t, opt)
			for range 3 {
				var resp wire.Response
				if err := c.RoundTrip(context.Background(), getRequest(), &resp); err != nil {
					t.Fatal(err)
				}
				rest <- struct{}{}
				select {
				case <-sent:
				case <-time.After(5 * time.Second):
					t.Fatal("the connection with bytes on it was used again")
				}
				if body, err := io.ReadAll(resp.Stream()); err != nil || string(body) != "hello" {
					t.Errorf("body %q, %v", body, err)
				}
				resp.Close()
			}
			if st := c.Stats(); st.Dialled != 3 || st.Open != 0 {
				t.Errorf("stats %+v: a connection with bytes on it was kept", st)
			}
			c.Close()
		})
	}
}

// A caller whose body breaks off or comes too slowly, or who is gone, is no
// failure of the upstream's, and is not told of as one.
func TestCallersDoNotEjectUpstreams(t *testing.T) {
	addr := scripted(t, func(_ int, c *net.TCPConn) { read(c) })
	c := client(t, wire.ClientOptions{Address: addr, Eject: 2, EjectFor: time.Hour})
	for broken, want := range map[error]exchange.Reason{
		wire.ErrTruncated: exchange.RequestTruncated, wire.ErrTimeout: exchange.WireTimeout,
		wire.ErrMalformed: exchange.WireFraming, wire.ErrTooLarge: exchange.WireTooLarge,
	} {
		for range 3 {
			_, _, err := ask(c, &wire.UpstreamRequest{Method: "PUT", Path: []byte("/"), Length: -1,
				Stream: io.MultiReader(strings.NewReader("part"), iotestErr{broken})})
			if !errors.Is(err, broken) || wire.UpstreamReason(err) != want {
				t.Errorf("a body that ends by %v: %v (%v), want %v", broken, err, wire.UpstreamReason(err), want)
			}
		}
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	for range 3 {
		var resp wire.Response
		if err := c.RoundTrip(gone, getRequest(), &resp); err == nil {
			t.Fatal("a request of a caller who is gone was sent")
		}
	}
	if st := c.Stats(); st.Ejected || st.Failures != 0 {
		t.Errorf("stats %+v: callers ejected the upstream", st)
	}
	c.Close()
}
