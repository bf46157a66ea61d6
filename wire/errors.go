package wire

import (
	"errors"
	"io"
	"net"
	"os"

	"github.com/sallyport/sallyport/exchange"
)

// What a caller of this package decides by. Errors are wrapped; compare with
// errors.Is.
var (
	// ErrMalformed: the peer broke HTTP.
	ErrMalformed = errors.New("malformed HTTP")
	// ErrTruncated: the peer closed before its message was whole.
	ErrTruncated = errors.New("connection closed before the message was whole")
	// ErrTimeout: the peer did not send or take bytes in time.
	ErrTimeout = errors.New("timed out")
	// ErrTooLarge: the body is longer than the caller or the listener allows.
	ErrTooLarge = errors.New("body too large")
	// ErrUnreachable: no connection to the upstream could be made.
	ErrUnreachable = errors.New("upstream unreachable")
	// ErrOverload: all connections the upstream may have are in use.
	ErrOverload = errors.New("upstream connections exhausted")
	// ErrAnswered: the final answer has been given already.
	ErrAnswered = errors.New("already answered")
	// ErrField: a header to be written has a name or value no header may
	// have. Nothing has been written.
	ErrField = errors.New("invalid header field")
	// ErrUpgrade: the request does not ask for an upgrade.
	ErrUpgrade = errors.New("no upgrade was asked for")
)

// RequestReason is the reason to refuse a request with whose body could not
// be read, by the error of [Conn.ReadBody] or of the reader of [Conn.Body].
func RequestReason(err error) exchange.Reason {
	switch {
	case err == nil:
		return exchange.OK
	case errors.Is(err, ErrTooLarge):
		return exchange.WireTooLarge
	case errors.Is(err, ErrTimeout):
		return exchange.WireTimeout
	case errors.Is(err, ErrMalformed):
		return exchange.WireFraming
	}
	return exchange.RequestTruncated
}

// UpstreamReason is the reason that stands for an error of [Client.RoundTrip]
// or of reading a [Response].
//
// Where it was the request's stream that failed, the reason is that of
// [RequestReason]: it is no fault of the upstream.
func UpstreamReason(err error) exchange.Reason {
	var own *streamFault
	if errors.As(err, &own) {
		return RequestReason(own.error)
	}
	switch {
	case err == nil:
		return exchange.OK
	case errors.Is(err, ErrTimeout):
		return exchange.UpstreamTimeout
	case errors.Is(err, ErrUnreachable):
		return exchange.UpstreamUnreachable
	case errors.Is(err, ErrOverload):
		return exchange.UpstreamOverload
	case errors.Is(err, ErrMalformed):
		return exchange.UpstreamMalformed
	case errors.Is(err, ErrTooLarge):
		return exchange.ResponseTooLarge
	case errors.Is(err, ErrField), errors.Is(err, ErrAnswered), errors.Is(err, ErrUpgrade):
		return exchange.Internal
	}
	return exchange.UpstreamTruncated
}

// A fault is one of the errors above with its cause.
type fault struct{ kind, cause error }

func (f *fault) Error() string   { return f.kind.Error() + ": " + f.cause.Error() }
func (f *fault) Unwrap() []error { return []error{f.kind, f.cause} }

// readFault tells what an error of reading from a peer means.
func readFault(err error) error {
	switch {
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return ErrTruncated
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrTimeout
	case errors.Is(err, net.ErrClosed):
		return &fault{ErrTruncated, err}
	}
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		return &fault{ErrTimeout, err}
	}
	return &fault{ErrTruncated, err}
}
