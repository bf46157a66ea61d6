package wire

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// PoolOptions say which upstreams a [Pool] chooses from, and how it looks
// after them.
type PoolOptions struct {
	Clients []*Client // at least one; the pool does not close them
	// CheckPath, if set, is asked for by GET every CheckEvery [5s] while Run
	// runs. An upstream that answers other than 2xx or 3xx, or not within
	// CheckTimeout [2s], twice in a row gets no requests until it does.
	CheckPath    string
	CheckHost    string // Host of the check; empty is the client's address
	CheckEvery   time.Duration
	CheckTimeout time.Duration
}

// A Pool spreads requests over the upstreams of one API: to the one with the
// fewest requests under way, in turn where they are equal. An upstream that
// fails [ClientOptions].Eject times in a row gets none for a while, and then
// one at a time until it answers. Where all are ejected they are used all the
// same: refusing everything cures nothing. Its methods may be called at once.
type Pool struct {
	opt  PoolOptions
	turn atomic.Uint32
}

// NewPool checks opt and returns a pool.
func NewPool(opt PoolOptions) (*Pool, error) {
	if len(opt.Clients) == 0 {
		return nil, errors.New("wire: PoolOptions.Clients is empty")
	}
	if opt.CheckPath != "" && opt.CheckPath[0] != '/' {
		return nil, errors.New("wire: PoolOptions.CheckPath does not begin with a slash")
	}
	if opt.CheckEvery < 0 || opt.CheckTimeout < 0 {
		return nil, errors.New("wire: PoolOptions.CheckEvery or CheckTimeout is negative")
	}
	if opt.CheckEvery == 0 {
		opt.CheckEvery = 5 * time.Second
	}
	if opt.CheckTimeout == 0 {
		opt.CheckTimeout = 2 * time.Second
	}
	return &Pool{opt: opt}, nil
}

// RoundTrip sends a request to one of the upstreams; see [Client.RoundTrip].
// Where no connection to it can be made, so that nothing was sent, others are
// tried, each once.
func (p *Pool) RoundTrip(ctx context.Context, req *UpstreamRequest, resp *Response) error {
	if len(p.opt.Clients) == 1 {
		c := p.opt.Clients[0]
		if c.health.isDown() {
			return &fault{ErrUnreachable, errDown}
		}
		return c.RoundTrip(ctx, req, resp)
	}
	var tried uint64
	for {
		i := p.choose(tried)
		if i < 0 {
			return &fault{ErrUnreachable, errDown}
		}
		tried |= 1 << (i & 63)
		err := p.opt.Clients[i].RoundTrip(ctx, req, resp)
		if err == nil || !errors.Is(err, ErrUnreachable) || ctx.Err() != nil || p.spent(tried) {
			return err
		}
	}
}

var errDown = errors.New("its health check fails")

// spent reports whether no upstream is left to be tried. Of more than 64 only
// the first 64 places are remembered, so that some count as tried.
func (p *Pool) spent(tried uint64) bool {
	for i := range p.opt.Clients {
		if tried&(1<<(i&63)) == 0 {
			return false
		}
	}
	return true
}

// choose returns the index of the upstream to ask, or -1.
func (p *Pool) choose(tried uint64) int {
	n := len(p.opt.Clients)
	start := int(p.turn.Add(1)) % n
	now := time.Now()
	best, least := -1, int64(0)
	for k := range n {
		i := (start + k) % n
		c := p.opt.Clients[i]
		if tried&(1<<(i&63)) != 0 {
			continue
		}
		switch c.health.standing(now) {
		case out:
			continue
		case halfOpen:
			if c.health.admit(now) {
				return i
			}
			continue
		}
		if load := c.inFlight.Load(); best < 0 || load < least {
			best, least = i, load
		}
	}
	if best >= 0 {
		return best
	}
	for k := range n {
		i := (start + k) % n
		if tried&(1<<(i&63)) == 0 && !p.opt.Clients[i].health.isDown() {
			return i
		}
	}
	return -1
}

// Run checks the upstreams, if that is asked for, and closes connections that
// are over their time, until ctx is done. The caller owns the goroutine.
func (p *Pool) Run(ctx context.Context) error {
	tick := time.NewTicker(p.opt.CheckEvery)
	defer tick.Stop()
	failed := make([]int, len(p.opt.Clients))
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		var wg sync.WaitGroup
		for i, c := range p.opt.Clients {
			c.reap()
			if p.opt.CheckPath == "" {
				continue
			}
			wg.Go(func() {
				if p.check(ctx, c) {
					failed[i] = 0
					c.health.setDown(false)
				} else if failed[i]++; failed[i] >= 2 && ctx.Err() == nil {
					c.health.setDown(true)
				}
			})
		}
		wg.Wait()
	}
}

// check asks one upstream how it is.
func (p *Pool) check(ctx context.Context, c *Client) bool {
	ctx, cancel := context.WithTimeout(ctx, p.opt.CheckTimeout)
	defer cancel()
	var resp Response
	err := c.RoundTrip(ctx, &UpstreamRequest{Method: "GET", Host: []byte(p.opt.CheckHost), Path: []byte(p.opt.CheckPath)}, &resp)
	if err != nil {
		return false
	}
	defer resp.Close()
	ok := resp.Status < 400
	_, err = resp.ReadAll(nil, 64<<10)
	return ok && err == nil
}
