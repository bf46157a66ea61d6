// Package demo shows Sallyport at work on a real API: a shop with the classic
// faults, an OIDC issuer, a crowd of honest callers and attackers, and a view
// of it in the terminal.
//
// [Run] starts all of it and lets the crowd loose on the bare shop and on one
// that stands behind Sallyport. Every figure it shows is counted: what the
// attackers got from the answers and from the state of the shops, whom it
// harmed by comparing the two answers that each honest caller got. The package
// does not know how Sallyport is started: that is given to it. [Record] keeps
// the same traffic for tests.
//
// Everything listens on the loopback network only.
package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sallyport/sallyport/demo/contract"
	"github.com/sallyport/sallyport/demo/issuer"
	"github.com/sallyport/sallyport/demo/shop"
	"github.com/sallyport/sallyport/event"
)

// Options say how a demo runs. Start and Out are required.
type Options struct {
	// Start starts Sallyport. It returns when the proxy takes requests.
	Start func(context.Context, Setup) (Proxy, error)
	// Duration is how long the crowd goes on; it always finishes its first
	// round of attacks. Zero means until ctx is done.
	Duration time.Duration
	Out      io.Writer
	// Terminal draws a live view; without it, Out gets a line per second.
	Terminal bool
	// Size returns the terminal's width and height in cells; nil is 120 by 30.
	Size func() (width, height int)
	// Seed chooses the shop's data and what the crowd does. Zero is 1.
	Seed uint64
	// Listen and Admin are the addresses of Sallyport. Where they are empty,
	// 127.0.0.1:8080 and 127.0.0.1:9090 are taken if they are free, and any
	// free ports if not.
	Listen, Admin string
	// Honest is how many honest requests are sent per second to each side,
	// and Attacks how many of attackers to both sides together. Zero is 20
	// and 40 (more where Duration is short); below zero is as many as go.
	Honest, Attacks float64
}

// A Setup is what Sallyport is to be started with.
type Setup struct {
	Config []byte            // sallyport.yaml
	Files  map[string][]byte // what Config refers to, by name
	Events event.Sink        // gets the event of every exchange
}

// A Proxy is a running Sallyport.
type Proxy struct {
	URL   string // http://host:port, without a slash at its end
	Admin string // the same of the admin address; may be empty
	Close func() // stops it and waits; may be nil
}

// A Report is what was counted.
type Report struct {
	Attacks []Row
	Rounds  int // rounds of attacks that were finished
	Honest  Honest
	Elapsed time.Duration
}

// OK reports whether Sallyport did its work: attacks of which each got
// something from the bare API and nothing through Sallyport, and honest
// requests of which none was harmed. Whether every attack had its turn is told
// by Rounds.
func (r *Report) OK() bool {
	for _, row := range r.Attacks {
		if row.Bare == 0 || row.Guarded != 0 {
			return false
		}
	}
	return len(r.Attacks) > 0 && r.Honest.Sent > 0 && r.Honest.Harmed == 0 && r.Honest.Broken == 0
}

// Run runs a demo until its duration is over or ctx is done, prints the table,
// and returns what was counted. An error means that it could not run; whether
// Sallyport did well is [Report.OK].
func Run(ctx context.Context, o Options) (*Report, error) {
	if o.Start == nil || o.Out == nil {
		return nil, errors.New("demo: Start and Out are required")
	}
	if o.Seed == 0 {
		o.Seed = 1
	}
	if o.Honest == 0 {
		o.Honest = 20
	}
	if o.Attacks == 0 {
		o.Attacks = 40
		// A round is some 700 requests. One that must fit into less time goes
		// faster, but not so fast that it is a load test.
		if s := o.Duration.Seconds(); s > 0 {
			o.Attacks = min(max(40, 700/s), 200)
		}
	}
	st, err := build(o.Seed)
	if err != nil {
		return nil, err
	}
	defer st.close()

	view := newView(o, st)
	listen, err := freeAddress(o.Listen, "127.0.0.1:8080")
	if err != nil {
		return nil, err
	}
	admin, err := freeAddress(o.Admin, "127.0.0.1:9090")
	if err != nil {
		return nil, err
	}
	proxy, err := o.Start(ctx, Setup{
		Config: st.config(listen, admin),
		Files:  map[string][]byte{contract.File: contract.OpenAPI},
		Events: view,
	})
	if err != nil {
		return nil, fmt.Errorf("start Sallyport: %w", err)
	}
	if proxy.Close != nil {
		defer proxy.Close()
	}
	view.proxy = proxy

	promise, err := readPromise(contract.OpenAPI)
	if err != nil {
		return nil, err
	}
	bare := st.bareTarget()
	guarded := &target{base: proxy.URL, shop: st.guarded.shop, inside: st.guarded.url, many: bare.many}
	defer bare.close()
	defer guarded.close()
	crowd := &crowd{bare: bare, guarded: guarded, promise: promise, pace: newPace(o.Honest)}
	raiders := &raiders{bare: bare, guarded: guarded, pace: newPace(o.Attacks), iss: st.issuer, seed: o.Seed, attacks: attacks}
	view.crowd, view.raiders = crowd, raiders

	began := time.Now()
	err = let(ctx, o, st, crowd, raiders, view)
	rows, rounds := raiders.table()
	rep := &Report{Attacks: rows, Rounds: rounds, Honest: crowd.counts(), Elapsed: time.Since(began).Round(time.Millisecond)}
	if err != nil {
		return rep, err
	}
	return rep, view.finish(rep)
}

// let lets the crowd loose and returns when all of it has stopped.
func let(ctx context.Context, o Options, st *stage, c *crowd, rs *raiders, view *view) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, v := range visitors(st.issuer, o.Seed, c) {
		wg.Go(func() {
			for ctx.Err() == nil {
				for _, v := range v {
					v.visit(ctx)
				}
			}
		})
	}
	wg.Go(func() {
		var end time.Time
		if o.Duration > 0 {
			end = time.Now().Add(o.Duration)
		}
		for n := 0; ctx.Err() == nil; n++ {
			round, stop := ctx, context.CancelFunc(func() {})
			if n > 0 && !end.IsZero() {
				round, stop = context.WithDeadline(ctx, end)
			}
			err := rs.round(round, n)
			stop()
			if err != nil && round.Err() == nil {
				cancel(err)
				return
			}
			if !end.IsZero() && !time.Now().Before(end) {
				cancel(nil)
			}
		}
	})
	wg.Go(func() { view.run(ctx) })
	wg.Go(func() { st.keepHeader(ctx) })
	wg.Wait()
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// crews is how many visitors are in the shop at once.
const crews = 6

// visitors returns the honest people, in crews whose members come one after
// another, in an order that the seed chooses: staff and admins come early too.
func visitors(iss *issuer.Issuer, seed uint64, c *crowd) [][]*visitor {
	out := make([][]*visitor, crews)
	for _, n := range rand.New(rand.NewPCG(seed, 4<<32)).Perm(firstBystander) {
		v := &visitor{
			person: newPerson(iss, n, fmt.Sprintf("127.0.1.%d", 1+n)), c: c,
			rng: rand.New(rand.NewPCG(seed, 3<<32|uint64(n))), logins: c.bare.many,
		}
		out[n%crews] = append(out[n%crews], v)
	}
	return out
}

// A stage is what Sallyport is shown on: the issuer, one shop that is reached
// directly, and one that stands behind Sallyport.
type stage struct {
	seed          uint64
	issuer        *issuer.Issuer
	bare, guarded *site
	header        string // a file for curl -H @file
	undo          []func()
}

// A site is a shop and where it listens.
type site struct {
	shop *shop.Shop
	url  string
}

// build opens the issuer and both shops on free ports.
func build(seed uint64) (st *stage, err error) {
	st = &stage{seed: seed}
	defer func() {
		if err != nil {
			st.close()
		}
	}()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open the issuer: %w", err)
	}
	clients := map[string]issuer.Client{}
	for n, name := range map[int]string{0: "alice", firstAttacker: "mallory", shop.FirstAdmin: "root"} {
		clients[name] = issuer.Client{Secret: "demo", Claims: newPerson(nil, n, "").claims()}
	}
	st.issuer, err = issuer.New(issuer.Options{URL: "http://" + ln.Addr().String(), Clients: clients})
	if err != nil {
		ln.Close()
		return nil, err
	}
	st.serve(ln, st.issuer)
	for _, s := range []**site{&st.bare, &st.guarded} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("open the shop: %w", err)
		}
		*s = &site{url: "http://" + ln.Addr().String(), shop: shop.New(shop.Options{Seed: seed, Token: st.login})}
		st.serve(ln, (*s).shop)
	}
	dir, err := os.MkdirTemp("", "sallyport-demo-")
	if err != nil {
		return nil, fmt.Errorf("make a place for the tokens: %w", err)
	}
	st.undo = append(st.undo, func() { os.RemoveAll(dir) })
	st.header = filepath.Join(dir, "mallory")
	return st, st.writeHeader()
}

// login makes the token of somebody who has signed in at the shop.
func (st *stage) login(u shop.User) (string, error) {
	scope := map[string]string{"customer": customerScopes, "staff": staffScopes, "admin": adminScopes}[u.Role]
	return st.issuer.Token(issuer.Claims{Subject: u.ID, Tenant: u.Org, Scope: scope, Roles: []string{u.Role}})
}

// serve serves h until the stage is closed.
func (st *stage) serve(ln net.Listener, h http.Handler) {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.Serve(ln)
	}()
	st.undo = append(st.undo, func() {
		srv.Close()
		<-done
	})
}

// keepHeader keeps a fresh token for curl until ctx is done.
func (st *stage) keepHeader(ctx context.Context) {
	tick := time.NewTicker(issuer.Lifetime / 2)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			st.writeHeader() // the last one stays where the disk is full
		}
	}
}

// writeHeader writes a token of the attacker's to a file that curl can read,
// for people who want to try.
func (st *stage) writeHeader() error {
	p := newPerson(st.issuer, firstAttacker, "")
	tmp := st.header + ".new"
	if err := os.WriteFile(tmp, []byte("Authorization: Bearer "+p.token()+"\n"), 0o600); err != nil {
		return fmt.Errorf("write a token for curl: %w", err)
	}
	return os.Rename(tmp, st.header)
}

func (st *stage) bareTarget() *target {
	return &target{base: st.bare.url, shop: st.bare.shop, inside: st.bare.url, many: manyAddresses()}
}

// config fills the addresses into the configuration.
func (st *stage) config(listen, admin string) []byte {
	out := contract.Config
	for name, value := range map[string]string{"LISTEN": listen, "ADMIN": admin, "ISSUER_URL": st.issuer.URL(), "SHOP_URL": st.guarded.url} {
		out = bytes.ReplaceAll(out, []byte("${"+name+"}"), []byte(value))
	}
	return out
}

// close undoes what build did, last first.
func (st *stage) close() {
	for len(st.undo) > 0 {
		st.undo[len(st.undo)-1]()
		st.undo = st.undo[:len(st.undo)-1]
	}
}

// freeAddress returns the address asked for, or the usual one where it is
// free, or any other.
func freeAddress(asked, usual string) (string, error) {
	if asked != "" && asked != "127.0.0.1:0" {
		return asked, nil
	}
	for _, a := range []string{usual, "127.0.0.1:0"} {
		if a == usual && asked != "" {
			continue
		}
		if ln, err := net.Listen("tcp", a); err == nil {
			defer ln.Close()
			return ln.Addr().String(), nil
		}
	}
	return "", errors.New("no free port on 127.0.0.1")
}
