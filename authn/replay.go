package authn

import (
	"crypto/sha256"
	"sync"

	"github.com/sallyport/sallyport/exchange"
)

// A replayMemory remembers what may serve once. It forgets nothing before its
// time: when it is full, what is new is refused.
type replayMemory struct {
	span int64 // seconds for which anything can come again
	max  int

	mu      sync.Mutex // guards what follows
	rotated int64
	now     map[[16]byte]struct{}
	before  map[[16]byte]struct{}
}

// remember takes note of what names itself by parts, and refuses what was
// seen in the last span seconds.
func (m *replayMemory) remember(now int64, parts ...string) exchange.Reason {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	var sum [sha256.Size]byte
	id := [16]byte(h.Sum(sum[:0])[:16])
	m.mu.Lock()
	defer m.mu.Unlock()
	// Two ages of span seconds cover it.
	if age := now - m.rotated; age > m.span || age < 0 || m.now == nil {
		m.before, m.now = m.now, map[[16]byte]struct{}{}
		if age > 2*m.span {
			m.before = nil
		}
		m.rotated = now
	}
	if _, seen := m.now[id]; seen {
		return exchange.AuthnReplay
	}
	if _, seen := m.before[id]; seen {
		return exchange.AuthnReplay
	}
	if len(m.now) >= m.max {
		return exchange.AuthnUnavailable
	}
	m.now[id] = struct{}{}
	return exchange.OK
}
