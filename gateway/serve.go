package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"

	"github.com/sallyport/sallyport/exchange"
	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/wire"
)

// work is what an exchange needs beside its pass. It is used again.
type work struct {
	req      exchange.Request // as it goes upstream
	up       wire.UpstreamRequest
	answer   wire.Response
	header   exchange.Header // that goes upstream, then back
	believed exchange.Header // with the chain of addresses that was believed
	text     []byte          // header values that are made up here
	large    []byte          // what was read of a body that may be too large, and pass
}

// keptLarge is how large a buffer is kept for the next exchange.
const keptLarge = 256 << 10

func (w *work) release() {
	clear(w.header)
	clear(w.believed)
	if cap(w.large) > keptLarge {
		w.large = nil
	}
	*w = work{header: w.header[:0], believed: w.believed[:0], text: w.text[:0], large: w.large[:0]}
}

// smallBody is how long a body may be that is read before any of it is sent
// on, though no control needs it.
const smallBody = 16 << 10

// serve is the way of one exchange: in through the request door, to the
// upstream, and out through the response door.
func (d *Door) serve(ctx context.Context, c front) {
	g := d.gateway
	w := g.works.Get().(*work)
	p := g.guard.Begin()
	defer g.end(p, w, c)

	began := p.Request.Began
	p.Request = *c.Request()
	p.Request.Began = began
	peer := p.Request.Remote
	caller, chain, at := forwarded(peer.Addr(), p.Request.Header, d.trusted)
	p.Remote(netip.AddrPortFrom(caller, peer.Port()))

	step := p.Head(ctx)
	if step == guard.ReadBody {
		var body []byte
		var err error
		if p.Request.Length < 0 && p.LargePasses() {
			w.large, err = readMost(w.large[:0], c.Body(), p.MaxBody())
			body = w.large
		} else {
			body, err = c.ReadBody(nil, p.MaxBody())
		}
		step = p.Body(ctx, body, requestFault(err))
	}
	if step != guard.Forward {
		send(p, c, p.Reply())
		return
	}

	m := p.Upstream()
	up := g.upstream(m.API.Upstream.Key)
	if up == nil {
		send(p, c, p.Fail(exchange.UpstreamUnreachable))
		return
	}
	if r := d.forward(w, p, &m, up, peer, chain, at); r != exchange.OK {
		send(p, c, p.Fail(r))
		return
	}
	switch n := p.Request.Length; {
	case m.Streamed && 0 < n && n <= smallBody && len(w.large) == 0:
		// It goes out together with the head, in one write.
		body, err := c.ReadBody(nil, smallBody)
		if err != nil {
			send(p, c, p.Fail(wire.RequestReason(err)))
			return
		}
		w.up.Body = body
	case m.Streamed:
		w.up.Stream, w.up.Length = behind(w.large, c.Body()), n
	}
	err := up.pool.RoundTrip(ctx, &w.up, &w.answer)
	if err != nil {
		send(p, c, p.Fail(wire.UpstreamReason(err)))
		return
	}
	defer w.answer.Close()
	p.Response = exchange.Response{Status: w.answer.Status, Header: w.answer.Header, Length: w.answer.Length}
	step = p.ResponseHead()
	w.large = w.large[:0]
	if step == guard.ReadBody {
		var body []byte
		if w.answer.Length < 0 && p.LargePasses() {
			w.large, err = readMost(w.large, w.answer.Stream(), p.MaxBody())
			body = w.large
		} else {
			body, err = w.answer.ReadAll(nil, p.MaxBody())
		}
		p.ResponseBody(body, responseFault(err))
	}
	r := p.Reply()
	if r.Ours {
		send(p, c, r)
		return
	}
	w.header = wire.ResponseHeader(w.header[:0], r.Header)
	switch {
	case r.Streamed:
		// Once the head has gone, an answer that breaks off can only be cut.
		err = c.Stream(r.Status, w.header, r.Length, behind(w.large, w.answer.Stream()))
	default:
		err = c.Respond(r.Status, w.header, r.Body)
	}
	if err != nil {
		if c.Status() == 0 { // nothing of it has gone
			send(p, c, p.Fail(exchange.UpstreamTruncated))
			return
		}
		g.log.Debug("an answer was cut", "err", err)
	}
	p.Sent(c.Sent())
}

// readMost appends a body of at most max bytes to dst. Of a longer one it gives
// what it has read, with ErrTooLarge.
func readMost(dst []byte, r io.Reader, max int) ([]byte, error) {
	for {
		if len(dst) == cap(dst) {
			dst = slices.Grow(dst, 32<<10)
		}
		n, err := r.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst) > max:
			return dst, wire.ErrTooLarge
		case err == io.EOF:
			return dst, nil
		case err != nil:
			return dst, err
		}
	}
}

// behind is r, and before it what was read of it already.
func behind(read []byte, r io.Reader) io.Reader {
	if len(read) == 0 {
		return r
	}
	return io.MultiReader(bytes.NewReader(read), r)
}

// send sends a whole answer.
func send(p *guard.Pass, c front, r guard.Reply) {
	// A caller that has gone away is no fault of anybody.
	_ = c.Respond(r.Status, r.Header, r.Body)
	p.Sent(c.Sent())
}

// end gives back what an exchange used. A panic is confined to its exchange,
// which is refused if that can still be said.
func (g *Gateway) end(p *guard.Pass, w *work, c front) {
	if v := recover(); v != nil {
		g.panicked(v, p, c)
		return // what it held may be in any state, so none of it is used again
	}
	w.release()
	g.works.Put(w)
	p.End()
}

func (g *Gateway) panicked(v any, p *guard.Pass, c front) {
	g.panics.Add(1)
	g.log.Error("an exchange panicked and was refused", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	defer func() {
		if recover() != nil && c.Status() == 0 {
			_ = c.Respond(http.StatusInternalServerError, nil, nil)
		}
	}()
	if c.Status() == 0 {
		send(p, c, p.Fail(exchange.Internal))
	}
	p.End()
}

// requestFault says in the guard's words why a request's body is not there.
func requestFault(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, wire.ErrTooLarge):
		return guard.ErrTooLarge
	case errors.Is(err, wire.ErrTimeout):
		return guard.ErrTimeout
	case errors.Is(err, wire.ErrMalformed):
		return guard.ErrMalformed
	}
	return guard.ErrTruncated
}

// responseFault does the same of an answer's.
func responseFault(err error) error { return requestFault(err) }

// refuseHead answers what is no HTTP, or not fit to be judged.
func (d *Door) refuseHead(c front, r exchange.Reason) {
	p := d.gateway.guard.Begin()
	defer p.End()
	began := p.Request.Began
	p.Request = *c.Request()
	p.Request.Began = began
	p.Remote(netip.AddrPortFrom(ClientAddr(p.Request.Remote.Addr(), p.Request.Header, d.trusted), p.Request.Remote.Port()))
	send(p, c, p.RefuseHead(r))
}
