package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"

	"github.com/sallyport/sallyport/demo/issuer"
	"github.com/sallyport/sallyport/demo/shop"
)

// An attack is one way to take from the shop what is not one's own. run sends
// its requests and counts, from the answers and from the state of the shop
// behind the target, what it got.
type attack struct {
	name  string // stable
	title string
	owasp string // category of the OWASP API Security Top 10 2023
	unit  string // what is counted
	run   func(context.Context, *raid) error
}

// A Row is what became of one attack.
type Row struct {
	Name, Title, OWASP string
	Unit               string // what Bare and Guarded count
	Tries              int    // requests sent to each side
	Bare               int    // what the bare API gave away
	Guarded            int    // what came out of Sallyport
	// Reasons count what became of the requests to Sallyport: the code of its
	// refusal, the shop's own status of 400 and above, "passed" where an
	// answer came through, perhaps with less in it, and "no answer".
	Reasons map[string]int
}

// passed stands for the answers that were no refusal.
const passed = "passed"

// A raid is one attack on one target.
type raid struct {
	*attack
	t    *target
	rng  *rand.Rand
	pace *pace
	iss  *issuer.Issuer
	me   *person // the attacker's own account
	// at is where the attack stopped last time, for those who go through a
	// list and are told to wait.
	at *int

	got, tries int
	reasons    map[string]int
}

// gain counts what was taken.
func (r *raid) gain(n int) { r.got += n }

// send sends one request of the attack.
func (r *raid) send(ctx context.Context, req *Request) (*Response, error) {
	if err := r.pace.wait(ctx); err != nil {
		return nil, err
	}
	if req.From == "" {
		req.From = r.me.from
	}
	resp, err := r.t.send(ctx, req)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	r.tries++
	if err != nil {
		// Closed without an answer: nothing was given.
		r.reasons["no answer"]++
		return &Response{Header: http.Header{}}, nil
	}
	switch reason := resp.reason(); {
	case reason != "":
		r.reasons[reason]++
	case resp.Status >= 400:
		r.reasons[fmt.Sprint(resp.Status)]++
	default:
		r.reasons[passed]++
	}
	return resp, nil
}

// A form is what a request of an attack may say beside method and target.
type form struct {
	token  string
	kind   string // media type; application/json where there is a body
	body   any    // string, []byte, or what is to be JSON
	header http.Header
}

// call sends a request below /v2, or from the root where target begins with
// two slashes less: "!/v1/users".
func (r *raid) call(ctx context.Context, method, path string, f form) (*Response, error) {
	req := &Request{Method: method, Target: "/v2" + path, Header: http.Header{}}
	if p, ok := strings.CutPrefix(path, "!"); ok {
		req.Target = p
	}
	for k, v := range f.header {
		req.Header[k] = v
	}
	req.Header.Set("User-Agent", "curl/8.14.1")
	if f.token != "" {
		req.Header.Set("Authorization", "Bearer "+f.token)
	}
	switch b := f.body.(type) {
	case nil:
	case string:
		req.Body = []byte(b)
	case []byte:
		req.Body = b
	default:
		data, err := json.Marshal(b)
		if err != nil {
			return nil, err
		}
		req.Body = data
	}
	if f.body != nil {
		if f.kind == "" {
			f.kind = "application/json"
		}
		req.Header.Set("Content-Type", f.kind)
	}
	return r.send(ctx, req)
}

// raw sends bytes over a socket of their own. HOST in the head becomes the
// target's authority.
func (r *raid) raw(ctx context.Context, msg string) (*Response, error) {
	return r.send(ctx, &Request{Raw: []byte(strings.ReplaceAll(msg, "HOST", strings.TrimPrefix(r.t.base, "http://")))})
}

// victim chooses somebody of the attacker's own organisation, and stranger
// somebody of the other one.
func (r *raid) victim() int   { return r.choose(r.me.n % 2) }
func (r *raid) stranger() int { return r.choose(1 - r.me.n%2) }

func (r *raid) choose(parity int) int {
	span := (shop.FirstWeak - firstVictim) / 2
	return firstVictim + parity + 2*r.rng.IntN(span)
}

// raiders are the attackers. They go through all attacks in rounds, first the
// bare API and then the guarded one, with the same choices.
type raiders struct {
	bare, guarded *target // without guarded, only the bare API is attacked
	pace          *pace
	iss           *issuer.Issuer
	seed          uint64
	attacks       []*attack
	before        func(*attack) // called before each attack; may be nil

	mu   sync.Mutex // guards rows and at
	rows map[string]*Row
	at   map[string]*int
	full int // rounds that were finished
}

// round lets every attack run once on each side.
func (rs *raiders) round(ctx context.Context, n int) error {
	for i, a := range rs.attacks {
		if rs.before != nil {
			rs.before(a)
		}
		for side, t := range []*target{rs.bare, rs.guarded} {
			if t == nil {
				continue
			}
			r := &raid{
				attack: a, t: t, pace: rs.pace, iss: rs.iss, reasons: map[string]int{},
				rng: rand.New(rand.NewPCG(rs.seed, uint64(n)<<32|uint64(i))),
				me:  newPerson(rs.iss, firstAttacker+i%10, fmt.Sprintf("127.0.2.%d", 1+i)),
				at:  rs.cursor(a.name, side),
			}
			t.shop.RestoreUser(r.me.n)
			if err := a.run(ctx, r); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				return fmt.Errorf("attack %s: %w", a.name, err)
			}
			t.shop.RestoreUser(r.me.n)
			rs.count(r, side)
		}
	}
	rs.mu.Lock()
	rs.full++
	rs.mu.Unlock()
	return nil
}

func (rs *raiders) cursor(name string, side int) *int {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	key := fmt.Sprint(name, side)
	if rs.at[key] == nil {
		if rs.at == nil {
			rs.at = map[string]*int{}
		}
		rs.at[key] = new(int)
	}
	return rs.at[key]
}

func (rs *raiders) count(r *raid, side int) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	row := rs.rows[r.name]
	if row == nil {
		if rs.rows == nil {
			rs.rows = map[string]*Row{}
		}
		row = &Row{Name: r.name, Title: r.title, OWASP: r.owasp, Unit: r.unit, Reasons: map[string]int{}}
		rs.rows[r.name] = row
	}
	if side == 0 {
		row.Tries += r.tries
		row.Bare += r.got
		return
	}
	row.Guarded += r.got
	for k, n := range r.reasons {
		row.Reasons[k] += n
	}
}

// table returns the rows so far, in the order of the attacks.
func (rs *raiders) table() (rows []Row, full int) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for _, a := range rs.attacks {
		if row := rs.rows[a.name]; row != nil {
			c := *row
			c.Reasons = map[string]int{}
			for k, n := range row.Reasons {
				c.Reasons[k] = n
			}
			rows = append(rows, c)
		}
	}
	return rows, rs.full
}

// errSide says that something the attack itself needs went wrong.
var errSide = errors.New("the attacker's own account does not work")
