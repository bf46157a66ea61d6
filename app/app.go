// Package app is the running Sallyport: the one place that knows every part.
//
// [New] wires a configuration to contracts, plan, guard, gateway and the admin
// address in one straight function; [App.Run] serves until its context is done
// and then drains; [App.Reload] puts a changed configuration in force, or
// keeps the old one and says why. Nothing here decides about an exchange.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/limit"
	"github.com/sallyport/sallyport/plan"
	"github.com/sallyport/sallyport/telemetry"
)

// Options say what an App needs. Only Load is required.
type Options struct {
	// Load reads the configuration, at the start and for every reload. The
	// Config is nil where a fault is fatal.
	Load func() (*config.Config, contract.Diagnostics)
	// Events, if set, gets the events beside what the configuration says.
	Events  event.Sink
	Stdout  io.Writer    // where events go that go to stdout; nil discards
	Log     *slog.Logger // nil discards
	Version string       // shown by metrics
}

// An App is a running Sallyport. Its methods may be called at once, Run once.
type App struct {
	o        Options
	log      *slog.Logger
	guard    *guard.Guard
	limits   *limit.Memory
	gateway  *gateway.Gateway
	doors    []*door
	certs    []*gateway.Certificates
	admin    *admin
	server   *http.Server // of the admin address, or nil
	watch    *watch
	identity *identities
	events   *event.Writer // nil where events go nowhere
	file     *event.File   // where they go to a file
	draining atomic.Bool

	reloading sync.Mutex // held while loading: one at a time
	current   atomic.Pointer[compiled]
	reloads   struct {
		mu sync.Mutex // guards what follows
		telemetry.Reloads
	}

	undo []func() // run by Close, last first
}

// A door is an address for callers.
type door struct {
	*gateway.Door
	listener net.Listener
	tls      bool
}

// New makes an App of its configuration, and listens. Its error is a
// contract.Diagnostics where the configuration, a contract or a policy cannot
// be used; every fault is in it. Where one API of several is broken, it alone
// is closed, and the rest is served.
func New(ctx context.Context, o Options) (_ *App, err error) {
	if o.Load == nil {
		return nil, errors.New("app: Options.Load is missing")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Stdout == nil {
		o.Stdout = io.Discard
	}
	a := &App{o: o, log: o.Log, watch: newWatch(o.Log), identity: newIdentities(o.Log)}
	defer func() {
		if err != nil {
			a.Close()
		}
	}()

	began := time.Now()
	c, faults := o.Load()
	if c == nil {
		return nil, faults
	}
	next, bad := a.identity.prepare(c)
	if len(bad) > 0 {
		return nil, append(slices.Clone(faults), Check(c, false)...) // with those of contracts
	}
	now := compile(c, began, next)
	now.faults = append(slices.Clone(faults), now.faults...)
	if now.plan == nil || len(now.broken) == len(c.APIs) {
		return nil, now.faults
	}
	a.tell(now)

	sink, pseudonym, err := a.sink(c)
	if err != nil {
		return nil, err
	}
	a.limits = limit.NewMemory(limit.MemoryOptions{})
	a.guard = guard.New(guard.Options{Plan: now.plan, Events: sink, Log: o.Log, Pseudonym: pseudonym, Counter: a.limits})
	a.gateway, err = gateway.New(gateway.Options{Guard: a.guard, Upstreams: now.upstreams, Log: o.Log})
	if err != nil {
		return nil, err
	}
	a.undo = append(a.undo, a.gateway.Close)
	a.identity.commit(next)
	a.undo = append(a.undo, a.identity.stop)
	a.current.Store(now)
	a.watch.set(now.files, began)

	for i := range c.Listen {
		if err := a.listen(ctx, &c.Listen[i]); err != nil {
			return nil, err
		}
	}
	if err := a.listenAdmin(ctx, c); err != nil {
		return nil, err
	}
	return a, nil
}

// sink is where events go, and what stands for subjects in them.
func (a *App) sink(c *config.Config) (event.Sink, func(string) string, error) {
	var pseudonym func(string) string
	if c.Events.Subjects == "pseudonym" {
		pseudonym = event.NewPseudonymizer(eventKey(c)).Of
	}
	var to io.Writer
	switch c.Events.To {
	case "off":
		return a.o.Events, pseudonym, nil
	case "stdout":
		to = a.o.Stdout
	default:
		f, err := event.OpenFile(c.Events.To)
		if err != nil {
			return nil, nil, fmt.Errorf("events: %w", err)
		}
		a.file, to = f, f
		a.undo = append(a.undo, func() { f.Close() })
	}
	a.events = event.NewWriter(to, event.WriterOptions{Queue: int(c.Events.Queue), Log: a.log})
	if a.o.Events == nil {
		return a.events, pseudonym, nil
	}
	return both{a.events, a.o.Events}, pseudonym, nil
}

// both puts events into two sinks.
type both [2]event.Sink

func (b both) Put(e *event.Event) { b[0].Put(e); b[1].Put(e) }

// sweep gives back, once a minute, the memory of limits that nobody meets any
// more.
func (a *App) sweep(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			a.limits.Sweep(now)
		}
	}
}

// unusualMethods are those that only a contract's additionalOperations bring.
// They are read once: a listener does not change with the plan.
func unusualMethods(p *plan.Plan) (ms []string) {
	for _, o := range p.Operations {
		switch o.Method {
		case "", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "TRACE", "CONNECT":
		default:
			ms = append(ms, o.Method)
		}
	}
	slices.Sort(ms)
	return slices.Compact(ms)
}

// listen opens an address for callers.
func (a *App) listen(ctx context.Context, l *config.Listener) error {
	o := gateway.Listener{
		Address: l.Address, Trusted: l.TrustedProxies,
		RequestLine: int(l.Limits.RequestLine), Header: int(l.Limits.Header), Fields: l.Limits.Fields,
		Body: int64(l.Limits.Body), Connections: l.Limits.Connections,
		HeadTimeout: l.Timeouts.Header, BodyTimeout: l.Timeouts.Body, IdleTimeout: l.Timeouts.Idle, WriteTimeout: l.Timeouts.Write,
		Methods: unusualMethods(a.guard.Plan()),
	}
	if l.TLS.Cert != "" {
		certs, err := certificates(&l.TLS)
		if err != nil {
			return fmt.Errorf("listen at %s: %w", l.Address, err)
		}
		a.certs = append(a.certs, certs)
		o.Certificates, o.MinVersion = certs, tlsVersion(l.TLS.MinVersion)
	}
	d, err := a.gateway.Door(o)
	if err != nil {
		return err
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", l.Address)
	if err != nil {
		return fmt.Errorf("listen at %s: %w", l.Address, cause(err))
	}
	a.undo = append(a.undo, func() { ln.Close() })
	a.doors = append(a.doors, &door{Door: d, listener: ln, tls: o.Certificates != nil})
	return nil
}

// cause is why an address cannot be listened at, without the address.
func cause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// listenAdmin opens the address for operators.
func (a *App) listenAdmin(ctx context.Context, c *config.Config) error {
	a.admin = &admin{hosts: adminHosts(&c.Admin), ready: a.ready, metrics: telemetry.New(a.o.Version, a.snapshot)}
	a.admin.setToken(string(c.Admin.Token))
	if c.Admin.Address == "off" {
		return nil
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Admin.Address)
	if err != nil {
		return fmt.Errorf("listen at %s for admin: %w", c.Admin.Address, cause(err))
	}
	a.undo = append(a.undo, func() { ln.Close() })
	a.server = a.admin.server()
	a.admin.listener = ln
	if c.Admin.TLS.Cert != "" {
		certs, err := certificates(&c.Admin.TLS)
		if err != nil {
			return fmt.Errorf("admin: %w", err)
		}
		a.certs = append(a.certs, certs)
		a.server.TLSConfig = certs.Config(tlsVersion(c.Admin.TLS.MinVersion))
		a.admin.tls = true
	}
	return nil
}

// Addresses are the URLs that callers reach the app at.
func (a *App) Addresses() (urls []string) {
	for _, d := range a.doors {
		scheme := "http"
		if d.tls {
			scheme = "https"
		}
		urls = append(urls, scheme+"://"+d.listener.Addr().String())
	}
	return urls
}

// Admin is the URL of the admin address, or "".
func (a *App) Admin() string {
	if a.server == nil {
		return ""
	}
	if a.admin.tls {
		return "https://" + a.admin.listener.Addr().String()
	}
	return "http://" + a.admin.listener.Addr().String()
}

// Run serves until ctx is done or an address fails, then drains: /readyz says
// no, nothing new is accepted, what is under way ends within the configured
// grace, and events are written out. It returns nil where it was asked to stop.
func (a *App) Run(ctx context.Context) error {
	// What serves the doors outlives ctx until they are drained.
	inner, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var doors, rest sync.WaitGroup
	failed := make(chan error, len(a.doors)+1)
	if a.events != nil {
		rest.Go(func() {
			if err := a.events.Run(inner); err != nil {
				a.log.Warn("not every event was written", "err", err)
			}
		})
	}
	a.identity.start(inner)
	rest.Go(func() {
		a.watch.run(inner, func(files []string) {
			a.log.Info("files changed", "files", files)
			a.reload(false) // says itself what came of it
		})
	})
	rest.Go(func() { a.sweep(inner) })
	if a.server != nil {
		rest.Go(func() { failed <- a.serveAdmin() })
	}
	for _, d := range a.doors {
		doors.Go(func() {
			if err := d.Serve(inner, d.listener); err != nil {
				failed <- fmt.Errorf("serve %s: %w", d.listener.Addr(), err)
			}
		})
	}

	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	a.drain(err == nil)
	doors.Wait()
	if a.server != nil {
		a.server.Close()
	}
	stop()
	rest.Wait()
	return err
}

func (a *App) serveAdmin() error {
	err := error(nil)
	if a.admin.tls {
		err = a.server.ServeTLS(a.admin.listener, "", "")
	} else {
		err = a.server.Serve(a.admin.listener)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve admin: %w", err)
}

// drain closes the doors. Where there is time, load balancers are first let
// see that the app is going.
func (a *App) drain(graceful bool) {
	c := a.current.Load().config
	a.draining.Store(true)
	a.log.Info("draining", "grace", c.Shutdown.Grace)
	if graceful && c.Shutdown.Delay > 0 {
		time.Sleep(c.Shutdown.Delay)
	}
	grace, cancel := context.WithTimeout(context.Background(), c.Shutdown.Grace)
	defer cancel()
	var wg sync.WaitGroup
	for _, d := range a.doors {
		wg.Go(func() {
			if err := d.Shutdown(grace); err != nil {
				a.log.Warn("exchanges were cut", "listener", d.listener.Addr().String(), "err", err)
			}
		})
	}
	wg.Wait()
	// What waits for an upstream must not wait any longer.
	a.gateway.Close()
}

// Close gives back what New took. It is called after Run has returned, or
// where Run was never called.
func (a *App) Close() {
	for _, f := range slices.Backward(a.undo) {
		f()
	}
	a.undo = nil
}

// ready says why the app should get no traffic, or nil.
func (a *App) ready() error {
	if a.draining.Load() {
		return errors.New("draining")
	}
	return a.identity.ready()
}

// Reload reads the configuration and everything it names again. What is wrong
// with it is logged, fault by fault, and then the old one stays in force. Its
// error says so in short. Exchanges that are under way end by the plan they
// began with.
func (a *App) Reload() error { return a.reload(true) }

// reload does it. asked tells a person's wish from a change of files.
func (a *App) reload(asked bool) error {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	if asked && a.file != nil {
		if err := a.file.Reopen(); err != nil {
			a.log.Error("the file of events was not opened again", "err", err)
		}
	}
	// Certificates stand for themselves: a renewed one must not wait for a
	// contract to be mended.
	for _, c := range a.certs {
		switch changed, err := c.Load(); {
		case err != nil:
			a.log.Error("kept the old certificate", "err", err)
		case changed:
			a.log.Info("certificate changed", "files", c.Files())
		}
	}

	began := time.Now()
	next, err := a.prepare(began)
	if err == nil {
		err = a.gateway.Upstreams(next.upstreams)
	}
	a.reloads.mu.Lock()
	if err != nil {
		a.reloads.Failed++
	} else {
		a.reloads.Done++
		a.reloads.Last = began
	}
	a.reloads.mu.Unlock()
	if err != nil {
		a.log.Error("kept the old configuration", "err", err)
		return err
	}
	old := a.current.Load()
	a.guard.Swap(next.plan)
	a.identity.commit(next.identity)
	a.admin.changeToken(string(next.config.Admin.Token))
	a.current.Store(next)
	a.watch.set(next.files, began)
	a.tell(next)
	for _, what := range needRestart(old.config, next.config) {
		a.log.Warn("a change takes effect at the next start", "key", what)
	}
	a.log.Info("reloaded", "plan", next.plan.Hash, "took", time.Since(began).Round(time.Millisecond))
	return nil
}

// prepare reads and compiles everything, and changes nothing but what is
// watched.
func (a *App) prepare(began time.Time) (*compiled, error) {
	old := a.current.Load()
	c, faults := a.o.Load()
	if c == nil {
		a.watch.set(old.files, began)
		a.tellFaults(faults)
		return nil, errors.New("the configuration cannot be used")
	}
	ids, bad := a.identity.prepare(c)
	if len(bad) > 0 {
		a.watch.set(union(old.files, union(configFiles(c), keyFiles(c))), began)
		a.tellFaults(bad)
		return nil, errors.New("the identity providers cannot be used")
	}
	next := compile(c, began, ids)
	next.faults = append(slices.Clone(faults), next.faults...)
	// A file that mends what failed may be one that only the new
	// configuration names.
	a.watch.set(union(old.files, next.files), began)
	for _, name := range next.broken {
		// An API that was closed already does not hold up the others.
		if !slices.Contains(old.broken, name) {
			a.tellFaults(next.faults)
			return nil, fmt.Errorf("the contract of %s cannot be used", name)
		}
	}
	if next.plan == nil {
		a.tellFaults(next.faults)
		return nil, errors.New("contracts and policy cannot be compiled")
	}
	return next, nil
}

// tell logs what is wrong with what is in force all the same.
func (a *App) tell(c *compiled) {
	closed, warnings, unenforced := 0, 0, 0
	for _, d := range c.faults {
		switch d.Severity {
		case contract.Closed:
			closed++
		case contract.Warning:
			warnings++
		}
		if d.Unenforced {
			unenforced++
		}
	}
	if len(c.broken) > 0 {
		a.tellFaults(c.faults)
		a.log.Error("APIs are closed, since their contracts cannot be used", "apis", c.broken)
	}
	if closed+warnings > 0 {
		a.log.Warn("contracts and policy have faults, which sallyport check lists",
			"closed", closed, "warnings", warnings, "unenforced", unenforced)
	}
}

// tellFaults logs every fault that stops a load.
func (a *App) tellFaults(ds contract.Diagnostics) {
	for _, d := range ds {
		if d.Severity == contract.Fatal {
			at := []any{"place", d.Pos.String()}
			if d.Hint != "" {
				at = append(at, "hint", d.Hint)
			}
			a.log.Error(d.Msg, at...)
		}
	}
}

// needRestart names the keys whose change a reload does not put in force.
func needRestart(old, next *config.Config) (keys []string) {
	differs := func(key string, a, b any) {
		if !reflect.DeepEqual(a, b) {
			keys = append(keys, key)
		}
	}
	for i := range old.Listen {
		if i < len(next.Listen) {
			next.Listen[i].Pos = old.Listen[i].Pos // moving a line is no change
		}
	}
	differs("listen", old.Listen, next.Listen)
	o, n := old.Admin, next.Admin
	o.Token, n.Token = "", ""
	differs("admin", o, n)
	differs("events", old.Events, next.Events)
	differs("log", old.Log, next.Log)
	return keys
}

// WaitReady waits until the app takes traffic and has what it needs for it,
// for at most patience. It is called while Run runs.
func (a *App) WaitReady(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := a.ready()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

// Guarded is one API, for people.
type Guarded struct {
	API, Contract, Mode string
	Operations          int
}

// Guarded are the APIs that the app stands before.
func (a *App) Guarded() (all []Guarded) {
	c := a.current.Load()
	for i, api := range c.plan.APIs {
		g := Guarded{API: api.Name, Contract: string(c.config.APIs[i].Contract), Mode: c.config.APIs[i].Mode.String()}
		for _, op := range c.plan.Operations {
			if op.API == api && op != api.Unmatched {
				g.Operations++
			}
		}
		if api.Unavailable {
			g.Mode = "closed, since its contract cannot be used"
		}
		all = append(all, g)
	}
	return all
}
