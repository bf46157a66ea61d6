package guard

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/authn"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/exchange"
	"github.com/sallyport/sallyport/jsonschema"
	"github.com/sallyport/sallyport/limit"
	"github.com/sallyport/sallyport/plan"
	"github.com/sallyport/sallyport/policy"
)

// A Step is what a door does next.
type Step uint8

// Refuse is the zero value: a step that nobody decided sends a refusal.
const (
	Refuse   Step = iota // send Reply, which says why
	Answer               // send Reply, an answer of Sallyport's own that is no refusal
	ReadBody             // read the whole body, at most MaxBody bytes, and ask again
	Forward              // pass it on; a body that was not read is streamed
)

// A Message is what a door sends upstream.
type Message struct {
	API    *plan.API // whose upstream
	Method string
	Path   []byte // canonical, percent-encoded, the upstream's own path before it
	Query  []byte // without its question mark
	// HasQuery tells "/a?" from "/a".
	HasQuery bool
	// Header is what the caller sent as far as it may pass and what the
	// guard adds, in order. Hop-by-hop fields, Host, framing and forwarding
	// fields are still in it as they came: the door writes those afresh.
	Header exchange.Header
	// Body is the whole body where it was read (Streamed is false), maybe
	// changed. Where Streamed is set the door passes on what it reads, and
	// before it what it had read of a body that was too large.
	Body     []byte
	Streamed bool
}

// A Reply is what a door sends to the caller.
type Reply struct {
	Status int
	// Header is complete but for framing (Content-Length, Transfer-Encoding,
	// Connection) and Date, which the door writes. Hop-by-hop fields of the
	// upstream are still in it where the answer is the upstream's.
	Header exchange.Header
	// Body is the whole body, unless Streamed is set: then the door passes
	// on what it reads from the upstream, untouched, and before it what it
	// had read of a body that was too large.
	Body     []byte
	Streamed bool
	Length   int64 // of what is streamed, or would be for HEAD; -1 where it is not known
	Ours     bool  // Sallyport's own answer, not the upstream's
}

// Options say what a Guard needs. Only Plan is required.
type Options struct {
	Plan   *plan.Plan
	Events event.Sink   // nil drops events
	Log    *slog.Logger // nil discards
	// Pseudonym replaces subjects in events. Nil keeps them as they are.
	Pseudonym func(subject string) string
	// HashKey keys the hashes that redaction shows. Empty: a random one, so
	// that hashes compare within one run only.
	HashKey []byte
	Counter limit.Counter    // nil counts in memory
	Now     func() time.Time // nil is time.Now
}

// A Guard runs the current plan over exchanges. It may be used by any number
// of goroutines at once.
type Guard struct {
	current atomic.Pointer[running]
	events  event.Sink
	log     *slog.Logger
	pseudo  func(string) string
	hashKey []byte
	counter limit.Counter
	now     func() time.Time
	passes  sync.Pool
	ids     cipher.Block
	idCount atomic.Uint64
}

// running is a plan and what is counted of it.
type running struct {
	plan  *plan.Plan
	stats *Stats
}

// New makes a guard.
func New(o Options) *Guard {
	g := &Guard{events: o.Events, log: o.Log, pseudo: o.Pseudonym, hashKey: o.HashKey, now: o.Now}
	key := make([]byte, 16)
	rand.Read(key) // never fails
	g.ids, _ = aes.NewCipher(key)
	if g.log == nil {
		g.log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if g.now == nil {
		g.now = time.Now
	}
	if len(g.hashKey) == 0 {
		g.hashKey = make([]byte, 16)
		rand.Read(g.hashKey)
	}
	if g.counter = o.Counter; g.counter == nil {
		g.counter = limit.NewMemory(limit.MemoryOptions{})
	}
	g.passes.New = func() any { return newPass(g) }
	g.Swap(o.Plan)
	return g
}

// Swap puts a new plan in force. Exchanges under way end by the plan they
// began with; limits go on counting where they stood.
func (g *Guard) Swap(p *plan.Plan) {
	for {
		old := g.current.Load()
		next := &running{plan: p}
		if next.stats = newStats(p, nil); old != nil {
			next.stats = newStats(p, old.stats)
		}
		if g.current.CompareAndSwap(old, next) {
			return
		}
	}
}

// Plan returns the plan in force.
func (g *Guard) Plan() *plan.Plan { return g.current.Load().plan }

// Stats returns what was counted since the start.
func (g *Guard) Stats() *Stats { return g.current.Load().stats }

// Begin takes a pass for one exchange. It must be given back by End.
func (g *Guard) Begin() *Pass {
	p := g.passes.Get().(*Pass)
	r := g.current.Load()
	p.plan, p.stats = r.plan, r.stats
	p.Request.Began = g.now()
	p.newID()
	return p
}

// A Pass is one exchange on its way through both doors. The door that holds
// it fills Request before Head, and Response before ResponseHead. A Pass is
// used by one goroutine at a time.
type Pass struct {
	Request  exchange.Request
	Response exchange.Response

	g     *Guard
	plan  *plan.Plan
	stats *Stats

	api     *plan.API
	op      *plan.Operation
	matched bool // op is an operation of the contract, and not its API's Unmatched
	match   plan.Match
	base    string
	beside  bool   // the path begins with none of its API's base paths
	path    []byte // canonical, or as it came where it has no canonical form
	below   []byte // path below the base path, where match looks
	query   []byte // as it will be forwarded
	next    int    // place in the request door

	principal *authn.Principal
	token     []byte // the credential as it came

	verdict exchange.Verdict
	own     Step // Refuse or Answer once Sallyport answers itself
	status  int  // of the refusal, where not the reason's own
	hits    []event.Hit
	faults  []fault

	bodyRead   bool
	wantBody   bool
	media      *plan.Media
	decoded    []byte // request body without its content coding
	forward    []byte // request body to send, where changed
	changed    bool   // forward is not the body as it came
	bodyErr    error
	violations *jsonschema.Error
	captured   [][]byte // raw values of the request body, by op.Captures

	preflight  bool
	readAnswer bool
	answer     *plan.Response
	amedia     *plan.Media
	body       []byte // answer's body to send
	altered    bool   // body is not as it came
	headOnly   bool   // the answer leaves without its body
	stripped   int    // properties cut out, at both doors
	redacted   int    // values masked
	owned      int    // objects in the request that are the caller's own
	foreign    int    // objects of others, in the request, then in the answer
	overriding bool   // a form asks for another method
	dropping   bool   // they are items, and left out where policy says so
	charges    []limit.Charge
	charged    []*plan.Limit // by charge

	filter  jsonschema.Policy
	redact  [64]jsonschema.Redaction
	report  jsonschema.Report
	schemas schemaUse

	fields    exchange.Header
	text      []byte // header values that are made up here
	scratch   []byte
	pathBuf   []byte
	queryBuf  []byte
	hostBuf   []byte
	jsonBuf   []byte
	outBuf    []byte
	plainBuf  []byte
	keyBuf    []byte
	typeBuf   []byte
	keyText   []byte
	decodeBuf []byte
	seen      []int
	formed    bool // the path has a form that only some operations allow
	id        [32]byte
	ev        event.Event
	sent      int64
	replied   int
	upBegan   time.Time
	upTook    time.Duration
	upstream  int // its status
}

// A fault is what a caller is told about a place in the request.
type fault struct{ in, at, message string }

func newPass(g *Guard) *Pass {
	p := &Pass{g: g}
	p.filter.Keep = p.keep
	p.filter.Key = g.hashKey
	return p
}

// ID returns the exchange's id, which callers and events are told.
func (p *Pass) ID() []byte { return p.id[:] }

// newID makes an id that does not repeat, and from which the number of
// requests cannot be read: a count, encrypted with a key of this process.
func (p *Pass) newID() {
	b := p.id[16:]
	clear(b)
	binary.BigEndian.PutUint64(b, p.g.idCount.Add(1))
	p.g.ids.Encrypt(b, b)
	hex.Encode(p.id[:], b) // each byte is read before its place is written
}

// maxKept is how large a buffer a pass keeps for the next exchange.
const maxKept = 64 << 10

// kept returns a buffer for the next exchange, or nil where it has grown so
// large that keeping it would hold on to memory.
func kept(b []byte) []byte {
	if cap(b) > maxKept {
		return nil
	}
	return b[:0]
}

// emptied returns a slice for the next exchange that holds on to nothing of this
// one.
func emptied[T any](s []T) []T {
	clear(s[:cap(s)])
	return s[:0]
}

// End records the exchange and gives the pass back. Nothing of it may be used
// afterwards.
func (p *Pass) End() {
	p.record()
	// An exchange that reads no body must not tell what the last one removed.
	for _, n := range [...]*jsonschema.Named{&p.report.Undeclared, &p.report.ReadOnly, &p.report.WriteOnly, &p.report.Redacted, &p.report.Found} {
		n.Count, n.Pointers = 0, emptied(n.Pointers)
	}
	*p = Pass{
		g: p.g, filter: jsonschema.Policy{Keep: p.filter.Keep, Key: p.filter.Key}, report: p.report,
		hits: emptied(p.hits), faults: emptied(p.faults), captured: emptied(p.captured), charges: emptied(p.charges), charged: emptied(p.charged),
		fields: emptied(p.fields), seen: p.seen[:0], text: kept(p.text), scratch: kept(p.scratch), pathBuf: kept(p.pathBuf), queryBuf: kept(p.queryBuf),
		hostBuf: kept(p.hostBuf), jsonBuf: kept(p.jsonBuf), outBuf: kept(p.outBuf), plainBuf: kept(p.plainBuf), keyBuf: kept(p.keyBuf),
		typeBuf: kept(p.typeBuf), keyText: kept(p.keyText), decodeBuf: kept(p.decodeBuf),
	}
	p.g.passes.Put(p)
}

// found records what a control found. It reports whether the exchange is
// refused for it: where the control only observes, it is not.
func (p *Pass) found(c policy.Control, r exchange.Reason, at string) (refused bool) {
	return p.foundBy(p.op.Modes[c], c, r, at, p.op.Entries[c])
}

func (p *Pass) foundBy(mode policy.Mode, c policy.Control, r exchange.Reason, at, entry string) (refused bool) {
	if mode == policy.Off {
		return false
	}
	p.hit(hitOf(c, r, mode != policy.Enforce, entry, at))
	if mode != policy.Enforce {
		return false
	}
	p.verdict = exchange.Denied(r)
	return true
}

// noted records what a control changed, or would have.
func (p *Pass) noted(c policy.Control, r exchange.Reason, at string, observed bool) {
	p.hit(hitOf(c, r, observed, p.op.Entries[c], at))
}

// Bounds of what is told of one exchange, so that a caller cannot fill events
// and memory by being wrong in many places, or at places with long names.
const (
	maxHits   = 64
	maxFaults = 16
	maxAt     = 256 // bytes of a place or message
)

// hit records a hit; one that refuses is the last, and always recorded.
func (p *Pass) hit(h event.Hit) {
	if len(p.hits) < maxHits || !h.Observed {
		h.At = clip(h.At)
		p.hits = append(p.hits, h)
	}
}

// fault adds to what the caller is told.
func (p *Pass) fault(in, at, message string) {
	if len(p.faults) < maxFaults {
		p.faults = append(p.faults, fault{in, clip(at), clip(message)})
	}
}

// clip cuts a text that is too long to be told.
func clip(s string) string {
	if len(s) <= maxAt {
		return s
	}
	return strings.ToValidUTF8(s[:maxAt], "") + "…"
}

// on reports whether a control looks at all.
func (p *Pass) on(c policy.Control) bool { return p.op.Modes[c] != policy.Off }

// enforced reports whether a control may refuse and change.
func (p *Pass) enforced(c policy.Control) bool { return p.op.Modes[c] == policy.Enforce }

// Head runs the request door over the head: it returns Refuse, Answer,
// ReadBody or Forward. ctx bounds waiting for keys.
func (p *Pass) Head(ctx context.Context) Step { return p.run(ctx) }

// MaxBody is how many bytes the door may read after ReadBody.
func (p *Pass) MaxBody() int {
	if p.Response.Status != 0 {
		return p.maxAnswer()
	}
	return p.op.MaxRequest
}

// LargePasses reports whether a body that turns out to be larger than MaxBody
// passes unread: the controls that need it only observe, or policy says so.
// The door then keeps what it has read, gives ErrTooLarge all the same, and is
// told to stream.
func (p *Pass) LargePasses() bool {
	if p.op.Unread == policy.PassUnread {
		return true
	}
	if p.Response.Status != 0 {
		return p.readingMode() != policy.Enforce
	}
	return p.bodyMode() != policy.Enforce
}

// Body goes on with the request door when the body is there. err says why it
// is not: it is one of the errors below, or any other for a broken connection.
func (p *Pass) Body(ctx context.Context, body []byte, err error) Step {
	p.Request.Body, p.bodyErr, p.bodyRead = body, err, true
	return p.run(ctx)
}

// Principal returns who calls, once proven, or nil.
func (p *Pass) Principal() *authn.Principal { return p.principal }

// record counts the exchange and puts its event into the sink.
func (p *Pass) record() {
	if p.replied == 0 {
		return // nothing was answered: the door gave the pass back unused
	}
	now := p.g.now()
	took := now.Sub(p.Request.Began)
	p.stats.count(p, took)
	if p.g.events == nil {
		return
	}
	e := &p.ev
	*e = event.Event{
		Time: p.Request.Began, RequestID: borrowed(p.id[:]), Plan: p.plan.Hash, Method: p.Request.Method, Host: p.Request.Host,
		Proto: p.Request.Proto, Remote: p.Request.Remote.Addr(), Status: p.replied, UpstreamStatus: p.upstream,
		Ours: p.own == Answer || p.verdict.Action == exchange.Deny, Action: p.verdict.Action, Reason: p.verdict.Reason,
		Hits: p.hits, BytesIn: max(p.Request.Length, int64(len(p.Request.Body)), 0), BytesOut: p.sent, Duration: took, Upstream: p.upTook,
		Stripped: p.stripped, Redacted: p.redacted,
	}
	if p.api != nil {
		e.API = p.api.Name
	}
	if p.op != nil {
		e.Mode = p.op.Mode.String()
		e.Operation, e.Template = p.op.ID, p.op.Template
	}
	if !p.matched {
		e.Path = p.path[:min(len(p.path), 256)]
	}
	if a := p.principal; a != nil {
		e.Subject, e.Client, e.Tenant, e.Issuer, e.How = a.Subject, a.Client, a.Tenant, a.Provider, a.How.String()
		if p.g.pseudo != nil {
			e.Subject = p.pseudonym(a)
		}
	}
	p.g.events.Put(e)
}

// Sent tells how many bytes of body went to the caller; doors that know it
// call it before End.
func (p *Pass) Sent(bytes int64) { p.sent = bytes }

// Remote replaces the peer's address with the caller's own, where a trusted
// proxy named it.
func (p *Pass) Remote(a netip.AddrPort) { p.Request.Remote = a }
