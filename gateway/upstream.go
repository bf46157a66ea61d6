package gateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sallyport/sallyport/wire"
)

// An Upstream is where the exchanges of an API go.
type Upstream struct {
	// Key is what a plan names it by. Two upstreams of one key are one.
	Key string
	// Host is sent as Host. Empty sends on what the caller asked for.
	Host string
	// Clients are the servers that it consists of, at least one.
	Clients []wire.ClientOptions
	// CheckPath, if set, is asked for now and then, to find out whether a
	// server may get requests.
	CheckPath  string
	CheckEvery time.Duration // 0 is 5 s
}

// pools are the upstreams by key. They never change; a reload makes new ones
// of what stays and what is new.
type pools struct {
	current map[string]*upstream
	// last are those that only exchanges of the plan before still ask for.
	last map[string]*upstream
}

// An upstream is a set of connections.
type upstream struct {
	key     string
	host    []byte
	clients []*wire.Client
	pool    *wire.Pool
	stop    context.CancelFunc // of the health checks
	stopped chan struct{}
}

// open makes the connections' pool of an upstream, and starts its checks.
func open(u Upstream) (*upstream, error) {
	up := &upstream{key: u.Key, host: []byte(u.Host), stopped: make(chan struct{})}
	var errs []error
	for _, o := range u.Clients {
		c, err := wire.NewClient(o)
		if err != nil {
			errs = append(errs, fmt.Errorf("upstream %s: %w", u.Key, err))
			continue
		}
		up.clients = append(up.clients, c)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	var err error
	up.pool, err = wire.NewPool(wire.PoolOptions{Clients: up.clients, CheckPath: u.CheckPath, CheckHost: u.Host, CheckEvery: u.CheckEvery})
	if err != nil {
		return nil, fmt.Errorf("upstream %s: %w", u.Key, err)
	}
	ctx, stop := context.WithCancel(context.Background())
	up.stop = stop
	go func() {
		defer close(up.stopped)
		if u.CheckPath != "" {
			up.pool.Run(ctx)
		}
	}()
	return up, nil
}

// close ends the checks and closes all connections, those in use too.
func (u *upstream) close() {
	u.stop()
	<-u.stopped
	for _, c := range u.clients {
		c.Close()
	}
}

// Upstreams puts a new set of upstreams in force. Those whose key was there
// before keep their connections. Those that are left out serve exchanges that
// are under way until the next call. On an error nothing changes.
//
// It is called before a plan that names them is put in force.
func (g *Gateway) Upstreams(list []Upstream) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	old := g.pools.Load()
	next := &pools{current: map[string]*upstream{}, last: map[string]*upstream{}}
	var made []*upstream
	var errs []error
	for _, u := range list {
		if next.current[u.Key] != nil {
			continue
		}
		if have := old.current[u.Key]; have != nil {
			next.current[u.Key] = have
			continue
		}
		if have := old.last[u.Key]; have != nil {
			next.current[u.Key] = have
			continue
		}
		up, err := open(u)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		made = append(made, up)
		next.current[u.Key] = up
	}
	if len(errs) > 0 {
		for _, u := range made {
			u.close()
		}
		return errors.Join(errs...)
	}
	for key, u := range old.current {
		if next.current[key] == nil {
			next.last[key] = u
		}
	}
	g.pools.Store(next)
	for key, u := range old.last {
		if next.current[key] == nil {
			u.close()
		}
	}
	return nil
}

// upstream finds the connections that a plan names, or nil.
func (g *Gateway) upstream(key string) *upstream {
	p := g.pools.Load()
	if u := p.current[key]; u != nil {
		return u
	}
	return p.last[key]
}

// UpstreamStats are what was counted of one server of an upstream.
type UpstreamStats struct {
	Address string
	wire.ClientStats
}

// UpstreamStats returns the counts of every upstream, ordered by key.
func (g *Gateway) UpstreamStats() (all []UpstreamStats) {
	p := g.pools.Load()
	for _, key := range slices.Sorted(maps.Keys(p.current)) {
		for _, c := range p.current[key].clients {
			all = append(all, UpstreamStats{c.Address(), c.Stats()})
		}
	}
	return all
}

// Close closes all connections to upstreams.
func (g *Gateway) Close() {
	p := g.pools.Load()
	for _, m := range []map[string]*upstream{p.current, p.last} {
		for _, u := range m {
			u.close()
		}
	}
}
