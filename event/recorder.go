package event

import (
	"bytes"
	"slices"
	"strings"
	"sync"
)

// A Recorder keeps events in memory, for tests and for the demo. The zero
// Recorder keeps all it is given.
type Recorder struct {
	// Limit is how many events are kept; the oldest go first. Zero keeps all.
	Limit int

	mu     sync.Mutex // guards events
	events []Event
}

// Put keeps a copy of e.
func (r *Recorder) Put(e *Event) {
	c := e.Clone()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Limit > 0 && len(r.events) >= r.Limit {
		r.events = slices.Delete(r.events, 0, len(r.events)-r.Limit+1)
	}
	r.events = append(r.events, c)
}

// Events returns what was kept, oldest first.
func (r *Recorder) Events() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// Reset forgets what was kept.
func (r *Recorder) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = nil
}

// Clone returns a copy that borrows no buffer of the exchange, so that it can
// be kept.
func (e *Event) Clone() Event {
	c := *e
	c.Path = bytes.Clone(e.Path)
	c.Host = bytes.Clone(e.Host)
	c.RequestID = strings.Clone(e.RequestID)
	c.Method = strings.Clone(e.Method)
	c.Subject = strings.Clone(e.Subject)
	c.Client = strings.Clone(e.Client)
	c.Tenant = strings.Clone(e.Tenant)
	c.Hits = slices.Clone(e.Hits)
	for i := range c.Hits {
		c.Hits[i].At = strings.Clone(c.Hits[i].At)
	}
	return c
}
