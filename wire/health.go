package wire

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// A health is what a client thinks of its upstream: after some failures in a
// row it is ejected for a while; then one request tries it (half open), and
// decides whether it is back or ejected for longer.
type health struct {
	eject int
	pause time.Duration
	ill   atomic.Bool // something below is not zero

	mu     sync.Mutex // guards what follows
	fails  int
	until  time.Time // ejected until then; zero is not ejected
	again  int       // ejections in a row
	trying bool      // the one request of half open is under way
	down   bool      // says the active check
}

// failed counts a failure. What the caller did wrong, and a full pool, are
// none of the upstream's.
func (h *health) failed(err error, now time.Time) {
	if !errors.Is(err, ErrUnreachable) && !errors.Is(err, ErrTimeout) && !errors.Is(err, ErrTruncated) && !errors.Is(err, ErrMalformed) {
		h.mu.Lock()
		h.trying = false
		h.mu.Unlock()
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ill.Store(true)
	h.fails++
	if h.trying || h.until.IsZero() && h.fails >= h.eject {
		h.until = now.Add(h.pause << min(h.again, 4))
		h.again++
	}
	h.trying = false
}

func (h *health) succeeded() {
	if !h.ill.Load() {
		return // as nearly always, without the lock
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fails, h.until, h.again, h.trying = 0, time.Time{}, 0, false
	h.ill.Store(h.down)
}

// admit takes the place of the one request that tries an upstream whose time is
// over, if it is free.
func (h *health) admit(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.down || h.until.IsZero() || h.trying || now.Before(h.until) {
		return false
	}
	h.trying = true
	return true
}

func (h *health) state(now time.Time) (fails int, ejected bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.fails, h.down || !h.until.IsZero()
}

func (h *health) setDown(down bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.down = down
	h.ill.Store(down)
	if !down {
		h.fails, h.until, h.again, h.trying = 0, time.Time{}, 0, false
	}
}

// The standings of an upstream.
const (
	in       = iota // takes requests
	halfOpen        // takes one
	out             // takes none
)

func (h *health) standing(now time.Time) int {
	if !h.ill.Load() {
		return in
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.down:
		return out
	case h.until.IsZero():
		return in
	case now.Before(h.until), h.trying:
		return out
	}
	return halfOpen
}

func (h *health) isDown() bool {
	if !h.ill.Load() {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.down
}
