package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/sallyport/sallyport/demo/contract"
)

// A Class says who sent a recorded request.
type Class uint8

// The classes of traffic.
const (
	ByHonest Class = iota + 1
	ByAttacker
)

func (c Class) String() string {
	switch c {
	case ByHonest:
		return "honest"
	case ByAttacker:
		return "attack"
	}
	return ""
}

// An Exchange is a recorded request and what the bare shop answered.
type Exchange struct {
	Class     Class
	Operation string // operationId that an honest caller meant
	Attack    string // the attack's stable name
	OWASP     string // its category
	Request   Request
	Response  Response
}

// RecordOptions say what to record. The zero value records one round of
// attacks and one visit of each honest person, with seed 1.
type RecordOptions struct {
	Seed           uint64
	Visits, Rounds int
}

// A Recording is traffic of the demo, and what a guard needs to judge it. Its
// tokens are good for some minutes after it was made. The issuer serves until
// Close.
type Recording struct {
	Exchanges []Exchange
	Contract  []byte // OpenAPI
	// Config is the demo's configuration. LISTEN and ADMIN in it are
	// 127.0.0.1:0, and the upstream is the shop that answered.
	Config []byte
	Issuer string // URL
	JWKS   []byte // the issuer's keys, as it serves them
	Close  func()
}

// Record sends the demo's traffic to a bare shop and keeps it, in an order
// that depends only on the seed.
func Record(ctx context.Context, o RecordOptions) (*Recording, error) {
	if o.Seed == 0 {
		o.Seed = 1
	}
	st, err := build(o.Seed)
	if err != nil {
		return nil, err
	}
	rec := &Recording{Contract: contract.OpenAPI, Issuer: st.issuer.URL(), Close: st.close}
	st.guarded = st.bare // the upstream that Config names is the shop that was recorded
	rec.Config = st.config("127.0.0.1:0", "127.0.0.1:0")
	if rec.JWKS, err = json.Marshal(st.issuer.JWKS()); err != nil {
		st.close()
		return nil, fmt.Errorf("write the issuer's keys: %w", err)
	}
	if err := rec.fill(ctx, st, max(o.Visits, 1), max(o.Rounds, 1)); err != nil {
		st.close()
		return nil, err
	}
	return rec, nil
}

func (rec *Recording) fill(ctx context.Context, st *stage, visits, rounds int) error {
	promise, err := readPromise(contract.OpenAPI)
	if err != nil {
		return err
	}
	bare := st.bareTarget()
	defer bare.close()
	var (
		mu   sync.Mutex // guards rec.Exchanges and what
		what Exchange   // whose traffic it is
	)
	bare.record = func(r *Request, resp *Response) {
		mu.Lock()
		defer mu.Unlock()
		e := what
		e.Request, e.Response = *r, *resp
		e.Request.Header, e.Response.Header = r.Header.Clone(), resp.Header.Clone()
		rec.Exchanges = append(rec.Exchanges, e)
	}
	is := func(e Exchange) {
		mu.Lock()
		defer mu.Unlock()
		what = e
	}

	c := &crowd{bare: bare, promise: promise, pace: newPace(0)}
	c.before = func(s *step) { is(Exchange{Class: ByHonest, Operation: s.op}) }
	crews := visitors(st.issuer, st.seed, c)
	for range visits {
		for _, crew := range crews {
			for _, v := range crew {
				v.visit(ctx)
			}
		}
	}
	if h := c.counts(); h.Broken > 0 {
		return fmt.Errorf("the shop did not serve its honest callers: %s", h.Breaks[0])
	}
	rs := &raiders{bare: bare, pace: newPace(0), iss: st.issuer, seed: st.seed, attacks: attacks}
	rs.before = func(a *attack) { is(Exchange{Class: ByAttacker, Attack: a.name, OWASP: a.owasp}) }
	for n := range rounds {
		if err := rs.round(ctx, n); err != nil {
			return err
		}
	}
	return ctx.Err()
}
