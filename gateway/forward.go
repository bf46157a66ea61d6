package gateway

import (
	"net/netip"

	"github.com/sallyport/sallyport/exchange"
	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/wire"
)

// forward writes afresh what goes upstream, into w.up. Of the addresses that
// proxies named only the part that was believed goes on: what stands before it
// was written by the caller, and a server that reads the left end of
// X-Forwarded-For would take it for an address.
func (d *Door) forward(w *work, p *guard.Pass, m *guard.Message, up *upstream, peer netip.AddrPort, chain, at int) exchange.Reason {
	req := &w.req
	*req = p.Request
	req.Remote, req.Header = peer, m.Header
	// Where nothing was believed, such as behind a proxy that wrote no address,
	// nothing goes on.
	if chain >= 0 || m.Header.Count(exchange.XForwardedFor) > 0 {
		h := w.believed[:0]
		for i := range m.Header {
			if m.Header[i].ID != exchange.XForwardedFor {
				h = append(h, m.Header[i])
			}
		}
		if chain >= 0 {
			w.text = appendChain(w.text[:0], p.Request.Header, chain, at)
			n := len(w.text)
			h = append(h, exchange.F(exchange.XForwardedFor, w.text[:n:n]))
		}
		req.Header, w.believed = h, h
	}
	n := len(w.text)
	if cap(w.text)-n < 128 {
		w.text = append(w.text, make([]byte, 128)...)[:n] // what Request makes is not seen here, so there is room for it
	}
	h, reason := d.forwarder.Request(w.header[:0], w.text[n:n], req)
	w.header = h
	if reason != exchange.OK {
		return reason
	}
	w.up = wire.UpstreamRequest{
		Method: m.Method, Host: up.host, Path: m.Path, Query: m.Query, HasQuery: m.HasQuery,
		Header: h, Body: m.Body,
	}
	if len(up.host) == 0 {
		w.up.Host = p.Request.Host
	}
	return exchange.OK
}
