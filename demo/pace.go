package demo

import (
	"context"
	"sync"
	"time"
)

// A pace keeps its users to a number of steps per second together. The zero
// pace lets everything go at once. Its methods may be called at once.
type pace struct {
	every time.Duration

	mu   sync.Mutex // guards next
	next time.Time
}

func newPace(perSecond float64) *pace {
	if perSecond <= 0 {
		return &pace{}
	}
	return &pace{every: time.Duration(float64(time.Second) / perSecond)}
}

// wait returns when it is the caller's turn, or ctx is done.
func (p *pace) wait(ctx context.Context) error {
	if p.every == 0 {
		return ctx.Err()
	}
	p.mu.Lock()
	now := time.Now()
	if p.next.Before(now) {
		p.next = now // what was not used is not saved up
	}
	at := p.next
	p.next = p.next.Add(p.every)
	p.mu.Unlock()
	t := time.NewTimer(at.Sub(now))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
