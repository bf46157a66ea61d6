// Package gateway is the reverse proxy among the doors: it takes what callers
// send over HTTP/1.1 and HTTP/2, asks the guard step by step, and carries what
// passes to the upstream and back.
//
// Start with [New], give it [Options.Upstreams], and [Gateway.Serve] listeners.
// One function, serve, is the way of an exchange; it is written once over a
// small interface, front, that the HTTP/1.1 wire and the HTTP/2 library each
// fill in.
//
// What goes upstream is written afresh from what the guard judged: hop-by-hop
// fields, forwarding fields and framing of the caller never reach it. The
// package decides nothing about an exchange that the guard could decide, and
// never sends a request twice once a byte of it may have been seen.
package gateway
