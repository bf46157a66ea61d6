package authn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/exchange"
)

// IntrospectorOptions say where opaque tokens are asked about. URL and
// Audiences are required.
type IntrospectorOptions struct {
	Name string // the provider's in logs, events and principals; "" means URL
	URL  string // the endpoint of RFC 7662
	// ClientID and ClientSecret are who asks (HTTP Basic, as RFC 6749 section
	// 2.3.1 has it).
	ClientID, ClientSecret string
	// Issuer is what iss must be where an answer has it; "" takes any.
	Issuer string
	// Audiences are as in IssuerOptions.
	Audiences []string
	// Skew is as in IssuerOptions.
	Skew time.Duration
	// JSON Pointers into the answer, as in IssuerOptions. A token without sub
	// is its client's own.
	Subject, Client, Tenant, Scopes, Roles string

	// TTL is how long an answer is believed, and so how long a token that was
	// revoked at the issuer may still pass: 1 s to 10 m; 0 means 60 s. For
	// tokens that are not active, it is TTL or 10 s, whichever is less.
	TTL time.Duration
	// Timeout is how long one question may take, 5 s at most; 0 means 2 s.
	Timeout time.Duration
	// Concurrent bounds how many questions are open at once, and Rate how
	// many begin in a second; 0 means 32 and 200. What comes beyond is
	// answered 503, so that made-up tokens cannot bring the issuer down.
	Concurrent, Rate int
	// Tokens bounds how many answers are remembered of each kind, active and
	// not; 0 means 20,000.
	Tokens int

	Fetcher *Fetcher     // nil means NewFetcher(FetcherOptions{})
	Log     *slog.Logger // nil discards
}

// After so many failures in a row nobody asks for a while: breakFirst, then
// twice as long each time, up to breakMost.
const (
	breakAfter = 5
	breakFirst = time.Second
	breakMost  = 30 * time.Second
)

// An Introspector proves opaque tokens by asking the issuer (RFC 7662).
// Answers are remembered; many who ask about one token at once are one
// question; when the issuer fails, nobody passes but those that are
// remembered, and it is asked again little by little. Its methods may be
// called at once.
type Introspector struct {
	o       IntrospectorOptions
	reads   reading
	skew    int64
	trusted []string
	open    chan struct{} // a place for each question

	mu       sync.Mutex // guards what follows
	active   map[string]*answer
	inactive map[string]*answer
	asking   map[string]*question
	due      time.Time // when the next question may begin, if Rate were even
	failures int
	shut     time.Time // until when nobody asks
	probing  bool      // one asks whether the issuer is back
}

// An answer is what the issuer said of a token.
type answer struct {
	principal *Principal
	reason    exchange.Reason
	until     time.Time
}

// A question is under way. done is closed when a holds the answer.
type question struct {
	done chan struct{}
	a    *answer
}

// NewIntrospector checks the options, all at once.
func NewIntrospector(o IntrospectorOptions) (*Introspector, error) {
	if o.Name == "" {
		o.Name = o.URL
	}
	var errs []error
	fault := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("identity %q: "+format, append([]any{o.Name}, args...)...))
	}
	s := &Introspector{reads: reading{o.Audiences, false, o.Subject, o.Client, o.Tenant, o.Scopes, o.Roles},
		active: map[string]*answer{}, inactive: map[string]*answer{}, asking: map[string]*question{}}
	if u, err := url.Parse(o.URL); err != nil || u.Host == "" {
		fault("introspection: %.100q is no URL", o.URL)
	} else {
		s.trusted = []string{u.Hostname()}
		if err := mayAsk(u, s.trusted); err != nil {
			fault("introspection: %w", err)
		}
	}
	s.reads.check(fault)
	if o.TTL == 0 {
		o.TTL = time.Minute
	}
	if o.TTL < time.Second || o.TTL > 10*time.Minute {
		fault("ttl: must be 1s to 10m")
	}
	if o.Timeout == 0 {
		o.Timeout = 2 * time.Second
	}
	if o.Timeout < 0 || o.Timeout > 5*time.Second {
		fault("timeout: must be 5s at most")
	}
	switch {
	case o.Skew > maxSkew:
		fault("skew: %s is more than 5m", o.Skew)
	case o.Skew == 0:
		s.skew = int64(defaultSkew / time.Second)
	case o.Skew > 0:
		s.skew = int64(o.Skew / time.Second)
	}
	if o.Concurrent < 0 || o.Rate < 0 || o.Tokens < 0 {
		fault("concurrent, rate and tokens must not be negative")
	}
	o.Concurrent, o.Rate, o.Tokens = orDefault(o.Concurrent, 32), orDefault(o.Rate, 200), orDefault(o.Tokens, 20_000)
	if o.Fetcher == nil {
		o.Fetcher = NewFetcher(FetcherOptions{})
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if errs != nil {
		return nil, errors.Join(errs...)
	}
	s.o, s.open = o, make(chan struct{}, o.Concurrent)
	return s, nil
}

func orDefault(n, d int) int {
	if n == 0 {
		return d
	}
	return n
}

// verify proves a token, by what is remembered or by asking.
func (s *Introspector) verify(ctx context.Context, token []byte, now time.Time) (*Principal, exchange.Reason) {
	s.mu.Lock()
	if a := s.remembered(token, now); a != nil {
		s.mu.Unlock()
		return s.judge(a, now)
	}
	if q := s.asking[string(token)]; q != nil {
		s.mu.Unlock()
		select {
		case <-q.done:
			return s.judge(q.a, now)
		case <-ctx.Done():
			return nil, exchange.AuthnUnavailable
		}
	}
	begin, probe := s.mayBegin(now)
	if !begin {
		s.mu.Unlock()
		return nil, exchange.AuthnUnavailable
	}
	key := string(token)
	q := &question{done: make(chan struct{}), a: &answer{reason: exchange.AuthnUnavailable}}
	s.asking[key] = q
	s.mu.Unlock()

	a, err := s.ask(ctx, key, now)

	s.mu.Lock()
	delete(s.asking, key)
	s.ended(err, probe, now)
	if err == nil {
		q.a = a
		s.remember(key, a)
	}
	close(q.done)
	s.mu.Unlock()
	return s.judge(q.a, now)
}

// remembered returns what is known of a token and still believed, or nil.
func (s *Introspector) remembered(token []byte, now time.Time) *answer {
	a := s.active[string(token)]
	if a == nil {
		a = s.inactive[string(token)]
	}
	if a == nil || now.After(a.until) {
		return nil
	}
	return a
}

// remember keeps an answer. Tokens that are not active, which anyone can make
// up, never push out those that are.
func (s *Introspector) remember(token string, a *answer) {
	m := s.active
	if a.principal == nil {
		m = s.inactive
		delete(s.active, token)
	} else {
		delete(s.inactive, token)
	}
	for old := range m { // in no order, so any may go
		if len(m) < s.o.Tokens {
			break
		}
		delete(m, old)
	}
	m[token] = a
}

// mayBegin reports whether a question may begin now: the issuer is not given
// up, and the rate is kept. While it is given up, one question at a time
// probes whether it is back.
func (s *Introspector) mayBegin(now time.Time) (begin, probe bool) {
	if s.failures >= breakAfter {
		if s.probing || now.Before(s.shut) {
			return false, false
		}
		s.probing = true
		return true, true
	}
	// The generic cell rate algorithm with a burst of one second.
	step := time.Second / time.Duration(s.o.Rate)
	if s.due.Before(now) || s.due.Sub(now) > 2*time.Second {
		s.due = now
	}
	if s.due.Sub(now) > time.Second-step {
		return false, false
	}
	s.due = s.due.Add(step)
	return true, false
}

// ended counts failures in a row. Of the questions that were open when the
// issuer was given up, none counts any more.
func (s *Introspector) ended(err error, probe bool, now time.Time) {
	if probe {
		s.probing = false
	}
	if err == nil {
		s.failures = 0
		return
	}
	if s.failures >= breakAfter && !probe {
		return
	}
	s.failures++
	if over := s.failures - breakAfter; over >= 0 {
		wait := min(breakFirst<<min(over, 10), breakMost)
		s.shut = now.Add(wait)
		s.o.Log.Warn("gave up asking an issuer about tokens for a while", "issuer", s.o.Name, "err", err, "again_in", wait)
	}
}

// ask asks the issuer. It goes on when the caller is gone, as others may wait
// for the answer, until its own time is over.
func (s *Introspector) ask(ctx context.Context, token string, now time.Time) (*answer, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.o.Timeout)
	defer cancel()
	select {
	case s.open <- struct{}{}:
		defer func() { <-s.open }()
	case <-ctx.Done():
		return nil, errors.New("too many questions are open")
	}
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.o.URL, strings.NewReader(form))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if s.o.ClientID != "" {
		r.SetBasicAuth(url.QueryEscape(s.o.ClientID), url.QueryEscape(s.o.ClientSecret))
	}
	doc, err := s.o.Fetcher.do(r, s.trusted, 0)
	if err != nil {
		return nil, err
	}
	return s.read(doc, now)
}

// read reads an answer (RFC 7662 section 2.2). An error says that it is none.
func (s *Introspector) read(doc []byte, now time.Time) (*answer, error) {
	c, err := parseObject(doc)
	if err != nil {
		return nil, fmt.Errorf("the answer is %w", err)
	}
	active, ok := c["active"].(bool)
	if !ok {
		return nil, errors.New("the answer does not say whether the token is active")
	}
	a := &answer{reason: exchange.AuthnInactive, until: now.Add(min(s.o.TTL, 10*time.Second))}
	if !active {
		return a, nil
	}
	refuse := func(reason exchange.Reason) (*answer, error) {
		a.reason = reason
		return a, nil
	}
	p := &Principal{Provider: s.o.Name, Issuer: orElse(s.o.Issuer, s.o.URL), How: ByIntrospection, claims: c}
	if iss, there := c["iss"]; there && s.o.Issuer != "" && iss != s.o.Issuer {
		return refuse(exchange.AuthnIssuer)
	}
	var there bool
	if p.expires, there, ok = date(c, "exp"); !ok {
		return refuse(exchange.AuthnClaims)
	}
	if there {
		p.Expires = time.Unix(p.expires, 0)
	} else {
		p.expires = latestDay // believed for TTL only
	}
	if p.notBefore, _, ok = date(c, "nbf"); !ok {
		return refuse(exchange.AuthnClaims)
	}
	if p.issued, there, ok = date(c, "iat"); !ok {
		return refuse(exchange.AuthnClaims)
	}
	if there {
		p.Issued = time.Unix(p.issued, 0)
	}
	if reason := s.reads.facts(p, c); reason != exchange.OK {
		return refuse(reason)
	}
	return &answer{principal: p, reason: exchange.OK, until: now.Add(s.o.TTL)}, nil
}

// judge asks whether an answer lets pass now.
func (s *Introspector) judge(a *answer, now time.Time) (*Principal, exchange.Reason) {
	if a.principal == nil {
		return nil, a.reason
	}
	if reason := inTime(a.principal, now.Unix(), s.skew); reason != exchange.OK {
		return nil, reason
	}
	return a.principal, exchange.OK
}
