// Package event says what happened in one exchange, in a form that is fit to
// be kept: no bodies, no secrets, and subjects only as pseudonyms.
//
// The guard fills one [Event] per exchange and puts it into a [Sink], which
// never holds a request: a full queue drops allowed exchanges first, and
// counts what it dropped.
package event

import (
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/exchange"
)

// An Event is one exchange. Strings and slices that come from the plan are
// shared and never change; the rest borrows the exchange's buffers, so a Sink
// that keeps an event past Put copies it.
type Event struct {
	Time      time.Time // when the request head was complete
	RequestID string    // as the caller was told it
	Plan      string    // hash of the plan that decided
	API       string
	Operation string // "" where none matched
	Method    string
	Template  string // path template of the operation, or ""
	Path      []byte // only where no operation matched: canonical, bounded, to find shadow endpoints
	Host      []byte
	Proto     exchange.Proto
	Remote    netip.Addr // the caller's address, behind trusted proxies

	Status         int // what the caller got
	UpstreamStatus int // 0 where the upstream was not asked
	// Ours tells an answer of Sallyport's own from one of the upstream's.
	Ours     bool
	Action   exchange.Action
	Reason   exchange.Reason // of the refusal; OK where it passed
	Mode     string          // "enforce", "observe" or "off": of the operation
	Hits     []Hit           // everything the controls found, in order
	BytesIn  int64
	BytesOut int64
	Duration time.Duration // whole
	Upstream time.Duration // waiting for the upstream's head

	Subject  string // pseudonym, or the subject where configured so
	Client   string
	Tenant   string
	Issuer   string // the name of the provider that proved the principal
	How      string // "jwt", …
	Stripped int    // properties removed, both doors
	Redacted int    // values masked
}

// A Hit is one thing that one control found.
type Hit struct {
	Control string
	Reason  exchange.Reason
	// Observed is set where the control was in observe: it would have
	// refused or changed the exchange, and did not.
	Observed bool
	Entry    string // file:line of what decided: a line of policy, or of the contract
	At       string // the part of the exchange: "body", "query id", "/items/0/role"; never a value
}

// A Sink takes events. Put may be called at once from many goroutines, does
// not block, and does not keep e.
type Sink interface {
	Put(e *Event)
}
