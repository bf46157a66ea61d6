package demo

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sallyport/sallyport/demo/issuer"
	"github.com/sallyport/sallyport/demo/shop"
)

// Scopes that the issuer grants.
const (
	customerScopes = "orders:read orders:write profile:read profile:write directory:read reviews:write"
	staffScopes    = customerScopes + " orders:manage"
	adminScopes    = staffScopes + " products:manage admin:export admin:users"
)

// Who in the crowd is who, by the numbers of the shop's users. Attacks only
// touch what belongs to the victims and to the attackers, so that the honest
// see the same shop on both sides.
const (
	honestCustomers = shop.FirstStaff // users 0 to 39
	firstBystander  = 48              // to 59: their orders stay as they are
	firstAttacker   = 60              // to 69
	firstHandled    = 80              // to 99: staff work on their orders
	firstVictim     = 100             // to the end
)

// A person is an account that somebody in the crowd uses. Its methods are for
// one goroutine.
type person struct {
	n     int
	id    string
	org   string
	scope string
	roles []string
	from  string // address
	iss   *issuer.Issuer
	now   func() time.Time

	bearer string
	until  time.Time
}

func newPerson(iss *issuer.Issuer, n int, from string) *person {
	p := &person{n: n, id: shop.UserID(n), org: shop.Tenants[n%2], scope: customerScopes, from: from, iss: iss, now: time.Now}
	switch {
	case n >= shop.FirstStaff && n < shop.FirstAdmin:
		p.scope, p.roles = staffScopes, []string{"staff"}
	case n >= shop.FirstAdmin && n < firstBystander:
		p.scope, p.roles = adminScopes, []string{"admin"}
	}
	return p
}

// claims are those of the tokens that the person gets.
func (p *person) claims() issuer.Claims {
	return issuer.Claims{Subject: p.id, Tenant: p.org, Scope: p.scope, Roles: p.roles}
}

// token returns a token that is good for two minutes at least.
func (p *person) token() string {
	if p.now().Add(2 * time.Minute).After(p.until) {
		t, err := p.iss.Token(p.claims())
		if err != nil {
			return "" // the shop and Sallyport will say so
		}
		p.bearer, p.until = t, p.now().Add(issuer.Lifetime)
	}
	return p.bearer
}

// A step is one thing that an honest caller does.
type step struct {
	op   string // operationId
	req  Request
	want int // the status that the bare shop gives
}

// Honest counts what honest callers met.
type Honest struct {
	Sent int
	// Harmed are requests that the guarded API refused, or answered with less
	// than the bare shop gives and the contract promises.
	Harmed int
	Harms  []string // what befell the first of them
	// Broken are requests that the bare shop itself did not serve as it
	// should: a fault of the demo.
	Broken  int
	Breaks  []string
	PerSort map[string]int // sent, by operation
}

// A crowd is the honest callers. Each request goes to the bare API and to the
// guarded one, and the answers are compared.
type crowd struct {
	bare, guarded *target // without guarded, nothing is compared
	promise       *promise
	pace          *pace
	before        func(*step) // called before each step; may be nil

	mu  sync.Mutex // guards sum
	sum Honest
}

// maxNoted bounds how many harms are kept in words.
const maxNoted = 20

// do sends a step to both sides and returns the bare shop's answer, decoded
// where it is JSON.
func (c *crowd) do(ctx context.Context, s *step) (map[string]any, error) {
	if err := c.pace.wait(ctx); err != nil {
		return nil, err
	}
	if c.before != nil {
		c.before(s)
	}
	bare, err := c.bare.send(ctx, &s.req)
	if err != nil {
		return nil, c.broken(ctx, s, err.Error())
	}
	if bare.Status != s.want {
		return nil, c.broken(ctx, s, fmt.Sprintf("the shop answers %d, want %d: %.200s", bare.Status, s.want, bare.Body))
	}
	harm := ""
	if c.guarded != nil {
		guarded, err := c.guarded.send(ctx, &s.req)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			harm = err.Error()
		default:
			harm = c.promise.harm(s.op, bare, guarded)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sum.Sent++
	if c.sum.PerSort == nil {
		c.sum.PerSort = map[string]int{}
	}
	c.sum.PerSort[s.op]++
	if harm != "" {
		c.sum.Harmed++
		if len(c.sum.Harms) < maxNoted {
			c.sum.Harms = append(c.sum.Harms, fmt.Sprintf("%s: %s %s: %s", s.op, s.req.Method, s.req.Target, harm))
		}
	}
	v, _ := decode(bare.Body)
	m, _ := v.(map[string]any)
	return m, nil
}

func (c *crowd) broken(ctx context.Context, s *step, what string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sum.Broken++
	if len(c.sum.Breaks) < maxNoted {
		c.sum.Breaks = append(c.sum.Breaks, fmt.Sprintf("%s: %s %s: %s", s.op, s.req.Method, s.req.Target, what))
	}
	return fmt.Errorf("%s: %s", s.op, what)
}

// counts returns what was met so far.
func (c *crowd) counts() Honest {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.sum
	h.Harms = append([]string(nil), h.Harms...)
	h.Breaks = append([]string(nil), h.Breaks...)
	h.PerSort = map[string]int{}
	for k, n := range c.sum.PerSort {
		h.PerSort[k] = n
	}
	return h
}
