package guard

import (
	"github.com/sallyport/sallyport/exchange"
	"github.com/sallyport/sallyport/plan"
)

// A Step is what a door does next.
type Step uint8

// Refuse is the zero value: a step that nobody decided sends a refusal.
const (
	Refuse   Step = iota // send Reply, which says why
	Answer               // send Reply, an answer of Sallyport's own that is no refusal
	ReadBody             // read the whole body, at most MaxBody bytes, and ask again
	Forward              // pass it on; a body that was not read is streamed
)

// A Message is what a door sends upstream.
type Message struct {
	API    *plan.API // whose upstream
	Method string
	Path   []byte // canonical, percent-encoded; below the upstream's own path
	Query  []byte // without its question mark
	// HasQuery tells "/a?" from "/a".
	HasQuery bool
	// Header is what the caller sent as far as it may pass and what the
	// guard adds, in order. Hop-by-hop fields, Host, framing and forwarding
	// fields are still in it as they came: the door writes those afresh.
	Header exchange.Header
	// Body is the whole body where it was read (Streamed is false), maybe
	// changed. Where Streamed is set the door passes on what it reads.
	Body     []byte
	Streamed bool
}

// A Reply is what a door sends to the caller.
type Reply struct {
	Status int
	// Header is complete but for framing (Content-Length, Transfer-Encoding,
	// Connection) and Date, which the door writes. Hop-by-hop fields of the
	// upstream are still in it where the answer is the upstream's.
	Header exchange.Header
	// Body is the whole body, unless Streamed is set: then the door passes
	// on what it reads from the upstream, untouched.
	Body     []byte
	Streamed bool
	Ours     bool // Sallyport's own answer, not the upstream's
}
