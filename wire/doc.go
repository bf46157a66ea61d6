// Package wire is HTTP/1.1 for a proxy: a strict server, an upstream client
// with kept connections, and what lies between them. Heads are parsed in place
// into the types of package exchange, messages are written afresh and never
// passed on as they came, and nothing is allocated for an ordinary exchange.
// The package knows nothing of APIs.
//
// # The server
//
// A [Server] runs one goroutine per connection and calls its [Handler] once
// for each request, in that goroutine:
//
//	s, err := wire.NewServer(wire.Options{Handler: h})
//	...
//	go s.Serve(ctx, listener)   // blocks; may be called for several listeners
//	...
//	s.Shutdown(ctx)             // finishes what is in flight
//
//	func (h *door) Serve(ctx context.Context, c *wire.Conn) {
//		req := c.Request()                       // head filled in, slices borrow the connection's buffer
//		body, err := c.ReadBody(scratch[:0], max) // the whole body, bounded
//		if err != nil {
//			c.Respond(400, ...)              // wire.RequestReason(err) says why
//			return
//		}
//		c.Respond(200, header, answer)           // one write
//	}
//
// What the handler may call, each at most once unless said:
//
//	Request() *exchange.Request            any time; valid until Serve returns
//	ReadBody(dst, max) ([]byte, error)     the whole body; sends 100 Continue where it was asked for
//	Body() io.Reader                       the body as a stream, instead of ReadBody
//	Inform(status, header) error           a 1xx answer (103), any number of times before the final one
//	Respond(status, header, body) error    the final answer, from memory
//	Stream(status, header, n, r) error     the final answer, from a reader; n is -1 where the length is unknown
//	UpgradeTo() []byte                     the protocol of Upgrade, where a proper upgrade is asked for
//	Upgrade(header) (net.Conn, error)      writes 101 and hands the connection over until Serve returns
//	Close()                                closes the connection after the answer
//	Status() int; Sent() int64; Received() int64
//
// The wire owns the fields that frame a message: Content-Length,
// Transfer-Encoding, Connection, Keep-Alive, Trailer, Upgrade and TE of a
// header given to it are passed over, and Date is added where it is missing.
//
// A request that breaks HTTP never reaches the handler. The server answers it
// through [Options.Refuse], which has the same *Conn and an exchange.Reason
// (Wire*, Internal or Draining), and closes the connection. Without a Refuse
// it writes the reason's title as plain text.
//
// Connections that speak HTTP/2, by ALPN or by the cleartext preface, go to
// [Options.HTTP2] as a net.Conn.
//
// # The client
//
// A [Client] keeps connections to one upstream address; a [Pool] chooses
// between several of them.
//
//	err := client.RoundTrip(ctx, &wire.UpstreamRequest{Method: ..., Path: ..., Header: h, Body: body}, &resp)
//	defer resp.Close()                       // gives the connection back
//	resp.Status, resp.Header, resp.Length    // an exchange.Response, borrowed until Close
//	body, err := resp.ReadAll(scratch[:0], max)
//	resp.Stream() io.Reader                  // instead of ReadAll; goes well with Conn.Stream
//	wire.UpstreamReason(err)                 // exchange.Upstream*
//
// # Between them
//
// [Forwarder.Request] makes the header that goes upstream of the one that
// came: without hop-by-hop fields and without the fields a caller could
// pretend with. [ResponseHeader] does it for the way back.
//
// Both ends of an upgraded exchange are joined by [Join].
//
// # Deadlines
//
// There is no timer per request. A write deadline, and that for an upstream's
// answer, is moved only when less than the whole timeout is left on it, and
// then to a quarter beyond, so a timeout t ends between t and 1.25 t. A head or
// body that a caller does not send at once gets its exact deadline, and so does
// an upstream request with a timeout of its own.
//
// A connection that waits for its next request holds no buffer. It looks 250
// ms after its last request whether the caller has closed its side, and then
// relies on being told.
package wire
