package authn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/exchange"
)

// Any is what stands in a configuration in place of audiences or algorithms
// that are not to be checked. It is written out, so that nobody forgets them.
const Any = "any"

// IssuerOptions say whose tokens are trusted, and for what. URL, Audiences
// and Algorithms are required.
type IssuerOptions struct {
	// Name is the provider's in logs, events and principals; "" means URL.
	Name string
	// URL is what tokens say in iss, to the letter.
	URL string
	// Audiences are those of which a token must name one in aud. Any as the
	// only one takes every audience, and none.
	Audiences []string
	// Algorithms are those that tokens may be signed with. Any as the only
	// one takes every asymmetric one. HS256, HS384 and HS512 need Secret and
	// go with no other kind.
	Algorithms []string
	// MaxLifetime bounds exp - iat; 0 means no bound.
	MaxLifetime time.Duration
	// Skew is by how much the clocks of issuer and gateway may differ, 0 to 5
	// minutes; 0 means 60 s, and a negative one none.
	Skew time.Duration
	// Types are the values of typ that a token may have; "" stands for none.
	// Empty means at+jwt, JWT or none. ["at+jwt"] asks for RFC 9068.
	Types []string

	// JSON Pointers into the claims. Empty means /sub; /client_id or else
	// /azp; none; /scope or else /scp; /roles.
	Subject, Client, Tenant, Scopes, Roles string

	// JWKS is the URL of the key set; "" means to ask the issuer (OpenID
	// Connect Discovery, or else RFC 8414).
	JWKS string
	// Keys is a key set (a JSON document) that is used in place of a fetched
	// one. Secret is the key of the HS algorithms, as long as the hash or
	// longer.
	Keys   []byte
	Secret []byte

	// Refresh is how often keys are fetched; 0 means 5 minutes. Interval is
	// the least time between two fetches, whatever tokens ask for; 0 means
	// 10 s. Keep is how long the last good keys serve when no new ones can be
	// had; 0 means 24 h.
	Refresh, Interval, Keep time.Duration

	Fetcher *Fetcher     // nil means NewFetcher(FetcherOptions{})
	Log     *slog.Logger // nil discards
}

const (
	defaultSkew     = time.Minute
	maxSkew         = 5 * time.Minute
	defaultRefresh  = 5 * time.Minute
	defaultInterval = 10 * time.Second
	defaultKeep     = 24 * time.Hour
	// maxWait is how long a token with an unknown kid waits for new keys,
	// maxWaiting how many may wait at once.
	maxWait    = 2 * time.Second
	maxWaiting = 64
	// rediscover is how long a discovered address of keys is believed.
	rediscover = time.Hour
)

// An Issuer is one party whose tokens are trusted. Its methods may be called
// at once.
type Issuer struct {
	o       IssuerOptions
	algs    []*algorithm
	reads   reading
	skew    int64 // seconds
	life    int64 // seconds; 0 for no bound
	static  bool
	trusted []string // hosts that the configuration names

	set     atomic.Pointer[keySet]
	running atomic.Bool
	waiting atomic.Int32
	wake    chan struct{}

	mu     sync.Mutex    // guards what follows
	began  time.Time     // of the last fetch
	flight chan struct{} // closed when the fetch that is asked for or under way ends; nil where none is

	fetches, failures atomic.Uint64
	problem           atomic.Pointer[string] // of the last fetch; nil where it was good

	refreshing sync.Mutex // held while fetching; guards what follows
	jwks       string
	discovered time.Time
	noted      string
}

// NewIssuer checks the options, all at once, and returns an issuer. It
// fetches nothing: Run and Refresh do.
func NewIssuer(o IssuerOptions) (*Issuer, error) {
	if o.Name == "" {
		o.Name = o.URL
	}
	o.Audiences, o.Types = slices.Clone(o.Audiences), slices.Clone(o.Types)
	s := &Issuer{o: o, wake: make(chan struct{}, 1)}
	var errs []error
	fault := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("identity %q: "+format, append([]any{o.Name}, args...)...))
	}
	u, err := url.Parse(o.URL)
	switch {
	case o.URL == "":
		fault("issuer: missing; give the URL that tokens have in iss")
	case err != nil || u.Host == "":
		if o.JWKS == "" && o.Keys == nil && o.Secret == nil {
			fault("issuer: %.100q is no URL, so its keys cannot be discovered; give jwks", o.URL)
		}
	default:
		s.trusted = append(s.trusted, u.Hostname())
		if u.RawQuery != "" || u.Fragment != "" {
			fault("issuer: a URL of an issuer has no query and no fragment")
		}
	}
	if o.JWKS != "" {
		if u, err := url.Parse(o.JWKS); err != nil || u.Host == "" {
			fault("jwks: %.100q is no URL", o.JWKS)
		} else {
			s.trusted = append(s.trusted, u.Hostname())
			if err := mayAsk(u, s.trusted); err != nil {
				fault("jwks: %w", err)
			}
		}
	} else if o.Keys == nil && o.Secret == nil && u != nil && u.Host != "" {
		if err := mayAsk(u, s.trusted); err != nil {
			fault("issuer: %w", err)
		}
	}
	s.reads = reading{o.Audiences, false, o.Subject, o.Client, o.Tenant, o.Scopes, o.Roles}
	s.reads.check(fault)
	s.algorithms(fault)
	switch {
	case o.Skew > maxSkew:
		fault("skew: %s is more than 5m", o.Skew)
	case o.Skew == 0:
		s.skew = int64(defaultSkew / time.Second)
	case o.Skew > 0:
		s.skew = int64(o.Skew / time.Second)
	}
	if o.MaxLifetime < 0 || o.MaxLifetime > 0 && o.MaxLifetime < time.Second {
		fault("max_lifetime: must be a second or more")
	}
	s.life = int64(o.MaxLifetime / time.Second)
	for i, t := range o.Types {
		if s.o.Types[i] = strings.TrimPrefix(strings.ToLower(t), "application/"); len(t) > 64 {
			fault("types: %.64q is too long", t)
		}
	}
	if len(o.Types) == 0 {
		s.o.Types = []string{"at+jwt", "jwt", ""}
	}
	if o.Refresh < 0 || o.Interval < 0 || o.Keep < 0 {
		fault("refresh, interval and keep must not be negative")
	}
	if s.o.Refresh == 0 {
		s.o.Refresh = defaultRefresh
	}
	if s.o.Interval == 0 {
		s.o.Interval = defaultInterval
	}
	if s.o.Keep == 0 {
		s.o.Keep = defaultKeep
	}
	if s.o.Fetcher == nil {
		s.o.Fetcher = NewFetcher(FetcherOptions{})
	}
	if s.o.Log == nil {
		s.o.Log = slog.New(slog.DiscardHandler)
	}
	if err := s.staticKeys(errs); err != nil {
		return nil, err
	}
	return s, nil
}

// check finds the faults of a reading.
func (r *reading) check(fault func(string, ...any)) {
	r.anyAud = len(r.audiences) == 1 && r.audiences[0] == Any
	switch {
	case len(r.audiences) == 0:
		fault("audiences: missing; name what tokens for your APIs have in aud, or write [any] to take every token of the issuer")
	case slices.Contains(r.audiences, ""), !r.anyAud && slices.Contains(r.audiences, Any):
		fault("audiences: an audience is empty, or any stands beside others")
	}
	for _, p := range [...]struct{ name, pointer string }{{"subject", r.subject}, {"client", r.client}, {"tenant", r.tenant}, {"scopes", r.scopes}, {"roles", r.roles}} {
		if p.pointer != "" && (p.pointer[0] != '/' || len(p.pointer) > 256) {
			fault("%s: %.64q is no JSON Pointer; begin it with /", p.name, p.pointer)
		}
	}
}

// algorithms reads the list of algorithms.
func (s *Issuer) algorithms(fault func(string, ...any)) {
	o := &s.o
	if len(o.Algorithms) == 0 {
		fault("algorithms: missing; name those that the issuer signs with, such as [ES256], or write [any]")
	}
	secret := false
	for _, name := range o.Algorithms {
		if name == Any && len(o.Algorithms) == 1 {
			for i := range algorithms {
				if algorithms[i].family != familySecret {
					s.algs = append(s.algs, &algorithms[i])
				}
			}
			break
		}
		a := algorithmOf(name)
		if a == nil {
			fault("algorithms: %.32q is not supported", name)
			continue
		}
		s.algs = append(s.algs, a)
		if a.family == familySecret {
			secret = true
			if len(o.Secret) < a.hash.Size() {
				fault("algorithms: %s needs a secret of %d bytes or more", name, a.hash.Size())
			}
		}
	}
	// Where both kinds could be meant, a public key may be taken for a secret
	// (RFC 8725 section 2.1).
	for _, a := range s.algs {
		if secret && a.family != familySecret {
			fault("algorithms: HS algorithms go with no others; make two entries")
			break
		}
	}
	if o.Secret != nil && !secret {
		fault("secret: no algorithm uses it")
	}
}

// staticKeys takes the keys of the configuration.
func (s *Issuer) staticKeys(errs []error) error {
	switch {
	case s.o.Secret != nil:
		if s.o.Keys != nil || s.o.JWKS != "" {
			errs = append(errs, fmt.Errorf("identity %q: secret goes with no key set", s.o.Name))
		}
		s.static = true
		s.set.Store(&keySet{keys: []*key{{family: familySecret, public: slices.Clone(s.o.Secret)}}})
	case s.o.Keys != nil:
		if s.o.JWKS != "" {
			errs = append(errs, fmt.Errorf("identity %q: give keys or jwks, not both", s.o.Name))
		}
		set, _, err := parseKeys(s.o.Keys)
		if err != nil {
			errs = append(errs, fmt.Errorf("identity %q: keys: %w", s.o.Name, err))
			break
		}
		s.static = true
		s.set.Store(set)
	}
	return errors.Join(errs...)
}

// Name returns the issuer's name in the configuration.
func (s *Issuer) Name() string { return s.o.Name }

// URL returns what tokens say in iss.
func (s *Issuer) URL() string { return s.o.URL }

// Ready reports whether the issuer has keys to verify with.
func (s *Issuer) Ready() bool { return s.current(time.Now()) != nil }

// An IssuerStatus says how an issuer's keys stand, for metrics and operators.
type IssuerStatus struct {
	Keys              int       // that serve
	Fetched           time.Time // when; zero where never, or the keys are of the configuration
	Fetches, Failures uint64
	Problem           string // why the last fetch failed, or ""
}

// Status returns how the keys stand.
func (s *Issuer) Status() IssuerStatus {
	st := IssuerStatus{Fetches: s.fetches.Load(), Failures: s.failures.Load()}
	if set := s.set.Load(); set != nil {
		st.Fetched = set.fetched
	}
	if set := s.current(time.Now()); set != nil {
		st.Keys = len(set.keys)
	}
	if why := s.problem.Load(); why != nil {
		st.Problem = *why
	}
	return st
}

// current returns the keys that serve, or nil.
func (s *Issuer) current(now time.Time) *keySet {
	set := s.set.Load()
	if set == nil || !s.static && now.Sub(set.fetched) > s.o.Keep {
		return nil
	}
	return set
}

// Run keeps the keys fresh until ctx is done. The caller owns the goroutine.
// A fetch that fails is tried again, first after Interval and then less and
// less often; the last good keys serve meanwhile.
func (s *Issuer) Run(ctx context.Context) error {
	if s.static {
		<-ctx.Done()
		return nil
	}
	s.running.Store(true)
	defer s.land()
	defer s.running.Store(false)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for failures := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-s.wake:
			s.mu.Lock()
			landed := s.flight == nil
			s.mu.Unlock()
			if landed {
				continue // another fetch has answered meanwhile
			}
		}
		err := s.Refresh(ctx)
		next := s.o.Refresh
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			next = min(s.o.Interval<<min(failures, 10), s.o.Refresh)
			failures++
			s.o.Log.Warn("kept the old signing keys", "issuer", s.o.Name, "err", err, "again_in", next)
		default:
			failures = 0
		}
		// A tenth of chance keeps many nodes from asking all at once.
		timer.Reset(next - time.Duration(rand.Int64N(int64(next)/10+1)))
	}
}

// Refresh fetches the keys now. It is for Run, and for a start that wants to
// be ready before it serves.
func (s *Issuer) Refresh(ctx context.Context) error {
	if s.static {
		return nil
	}
	s.refreshing.Lock()
	defer s.refreshing.Unlock()
	s.mu.Lock()
	s.began = time.Now()
	if s.flight == nil {
		s.flight = make(chan struct{})
	}
	s.mu.Unlock()
	defer s.land()
	s.fetches.Add(1)
	set, err := s.fetch(ctx)
	if err != nil {
		s.failures.Add(1)
		why := err.Error()
		s.problem.Store(&why)
		return err
	}
	s.problem.Store(nil)
	if old := s.set.Load(); old != nil {
		set = old.successor(set)
	}
	s.set.Store(set)
	return nil
}

// land ends the flight, and lets those go on that waited for it.
func (s *Issuer) land() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flight != nil {
		close(s.flight)
		s.flight = nil
	}
}

func (s *Issuer) fetch(ctx context.Context) (*keySet, error) {
	address := s.o.JWKS
	if address == "" {
		if s.jwks == "" || time.Since(s.discovered) > rediscover {
			found, err := s.discover(ctx)
			if err != nil {
				return nil, err
			}
			s.jwks, s.discovered = found, time.Now()
		}
		address = s.jwks
	}
	doc, err := s.o.Fetcher.JSON(ctx, address, s.trusted)
	if err != nil {
		s.jwks = "" // it may have moved
		return nil, fmt.Errorf("fetch keys of %s: %w", s.o.Name, err)
	}
	set, notes, err := parseKeys(doc)
	if note := strings.Join(notes, "; "); note != s.noted {
		if s.noted = note; note != "" {
			s.o.Log.Warn("left out some keys of an issuer", "issuer", s.o.Name, "keys", note)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("keys of %s: %w", s.o.Name, err)
	}
	set.fetched = time.Now()
	return set, nil
}

// discover asks the issuer where its keys are.
func (s *Issuer) discover(ctx context.Context) (string, error) {
	var errs []error
	for _, address := range discoveryURLs(s.o.URL) {
		doc, err := s.o.Fetcher.JSON(ctx, address, s.trusted)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		jwks, err := parseDiscovery(doc, s.o.URL)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", address, err))
			continue
		}
		return jwks, nil
	}
	return "", fmt.Errorf("discover the keys of %s: %w", s.o.Name, errors.Join(errs...))
}

// discoveryURLs returns where an issuer's metadata may be: as OpenID Connect
// Discovery 1.0 section 4 has it, and as RFC 8414 section 3.1.
func discoveryURLs(issuer string) []string {
	openid := strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"
	u, err := url.Parse(issuer)
	if err != nil {
		return []string{openid}
	}
	return []string{openid, u.Scheme + "://" + u.Host + "/.well-known/oauth-authorization-server" + strings.TrimSuffix(u.EscapedPath(), "/")}
}

// parseDiscovery reads an issuer's metadata. A document of another issuer is
// none (RFC 8414 section 3.3).
func parseDiscovery(doc []byte, issuer string) (jwks string, err error) {
	o, err := parseObject(doc)
	if err != nil {
		return "", fmt.Errorf("the document is %w", err)
	}
	if o["issuer"] != issuer {
		return "", fmt.Errorf("the document is of another issuer: %.100q", fmt.Sprint(o["issuer"]))
	}
	jwks, ok := o["jwks_uri"].(string)
	if !ok || jwks == "" {
		return "", errors.New("the document has no jwks_uri")
	}
	if u, err := url.Parse(jwks); err != nil || u.Host == "" {
		return "", errors.New("the document's jwks_uri is no URL")
	}
	return jwks, nil
}

// ask has the keys fetched, if the last fetch began an Interval ago, and
// returns a channel that is closed when they are; nil where none are.
func (s *Issuer) ask() <-chan struct{} {
	if s.static || !s.running.Load() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flight != nil {
		return s.flight
	}
	if time.Since(s.began) < s.o.Interval {
		return nil
	}
	s.flight = make(chan struct{})
	s.began = time.Now()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return s.flight
}

// await waits for new keys, if any may be had now, and reports whether it did.
func (s *Issuer) await(ctx context.Context) bool {
	flight := s.ask()
	if flight == nil {
		return false
	}
	if s.waiting.Add(1) > maxWaiting {
		s.waiting.Add(-1)
		return false
	}
	defer s.waiting.Add(-1)
	timer := time.NewTimer(maxWait)
	defer timer.Stop()
	select {
	case <-flight:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// verify proves a token that names this issuer. What is not proven is looked
// at as little as can be, and in an order in which a forger learns nothing of
// the configuration.
func (s *Issuer) verify(ctx context.Context, t *jws, now time.Time) (*Principal, *key, exchange.Reason) {
	var alg *algorithm
	for _, a := range s.algs {
		if a.name == t.alg {
			alg = a
		}
	}
	if alg == nil {
		return nil, nil, exchange.AuthnAlgorithm
	}
	set := s.current(now)
	if set == nil {
		return nil, nil, exchange.AuthnUnavailable
	}
	var buf [maxTries]*key
	find := func() []*key {
		if alg.family == familySecret {
			return set.keys // the one secret, whatever the token calls it
		}
		return set.candidates(t, alg, buf[:0])
	}
	keys := find()
	if len(keys) == 0 && s.await(ctx) {
		if set = s.current(now); set == nil {
			return nil, nil, exchange.AuthnUnavailable
		}
		keys = find()
	}
	if len(keys) == 0 {
		alg.pretend(t.signed, t.signature)
		return nil, nil, exchange.AuthnKey
	}
	for _, k := range keys {
		if !alg.verify(k.public, t.signed, t.signature) {
			continue
		}
		p, reason := s.principal(t)
		if reason != exchange.OK {
			return nil, nil, reason
		}
		return p, k, exchange.OK
	}
	// The issuer may have changed its key and kept the kid.
	s.ask()
	return nil, nil, exchange.AuthnSignature
}
