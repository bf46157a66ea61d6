package app

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/authn"
	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/plan"
)

// identities are the issuers whose keys are kept fresh. One that a reload does
// not change keeps its keys and what was verified with them.
type identities struct {
	log     *slog.Logger
	fetcher *authn.Fetcher
	cache   *authn.Cache
	began   time.Time

	mu      sync.Mutex // guards what follows
	current map[string]*issuer
	ctx     context.Context // of Run, nil before it
}

// An issuer is one party, by the settings that it was made with.
type issuer struct {
	*authn.Issuer
	cancel context.CancelFunc // nil while it does not run
	ended  chan struct{}
}

// prepared is what a configuration's providers come to.
type prepared struct {
	issuers   map[string]*issuer
	verifiers []plan.Verifier // by API; nil where none is configured
	files     []string
}

// patience is how long after the start /readyz waits for the keys of issuers.
// One that is still away then must not hold up what needs it not; what needs
// it answers 503.
const patience = 15 * time.Second

func newIdentities(log *slog.Logger) *identities {
	return &identities{log: log, fetcher: authn.NewFetcher(authn.FetcherOptions{}), cache: authn.NewCache(authn.CacheOptions{}),
		began: time.Now(), current: map[string]*issuer{}}
}

// prepare makes the issuers and verifiers of a configuration, and starts none.
// It returns no prepared where there are faults, all of which are fatal.
func (ids *identities) prepare(c *config.Config) (*prepared, contract.Diagnostics) {
	ids.mu.Lock()
	defer ids.mu.Unlock()
	p := &prepared{issuers: map[string]*issuer{}}
	byName := map[string]*authn.Issuer{}
	var faults contract.Diagnostics
	for i := range c.Identity {
		o, err := issuerOptions(&c.Identity[i], p)
		if err != nil {
			faults = append(faults, contract.Diagnostic{Pos: c.Place(&c.Identity[i].JWKS), Msg: err.Error()})
			continue
		}
		key := fmt.Sprintf("%+v %x", o, sha256.Sum256(o.Keys))
		is := ids.current[key]
		if is == nil {
			o.Fetcher, o.Log = ids.fetcher, ids.log
			made, err := authn.NewIssuer(o)
			if err != nil {
				pos := c.Identity[i].Pos
				if o.Keys != nil {
					pos, err = c.Place(&c.Identity[i].JWKS), fmt.Errorf("%w (key set %s)", err, c.Identity[i].JWKS)
				}
				faults = append(faults, contract.Diagnostic{Pos: pos, Msg: err.Error()})
				continue
			}
			is = &issuer{Issuer: made}
		}
		p.issuers[key] = is
		byName[c.Identity[i].Name] = is.Issuer
	}
	if len(faults) > 0 {
		return nil, faults
	}
	for i := range c.APIs {
		v, err := ids.verifier(&c.APIs[i], c.Identity, byName)
		if err != nil {
			faults = append(faults, contract.Diagnostic{Pos: c.APIs[i].Pos, Msg: fmt.Sprintf("api %q: %v", c.APIs[i].Name, err)})
		}
		p.verifiers = append(p.verifiers, v)
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return p, nil
}

// verifier is that of one API. It is a nil interface where there is nothing
// that could prove a token.
func (ids *identities) verifier(a *config.API, all []config.Provider, byName map[string]*authn.Issuer) (plan.Verifier, error) {
	names := slices.Clone(a.Identity)
	if len(names) == 0 {
		for i := range all {
			names = append(names, all[i].Name)
		}
	}
	for scheme, name := range a.Schemes {
		// One scheme by one provider, another by another, cannot be told
		// apart yet; taking a token of either for both would be wrong.
		if len(names) != 1 || names[0] != name {
			return nil, fmt.Errorf("schemes: %s is to be proven by %s alone, and the API takes tokens of %s; name %s alone under identity of the API",
				scheme, name, strings.Join(names, ", "), name)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	o := authn.VerifierOptions{Cache: ids.cache}
	for _, n := range names {
		if is := byName[n]; !slices.Contains(o.Issuers, is) {
			o.Issuers = append(o.Issuers, is)
		}
	}
	return authn.NewVerifier(o)
}

func issuerOptions(p *config.Provider, out *prepared) (o authn.IssuerOptions, err error) {
	o = authn.IssuerOptions{
		Name: p.Name, URL: p.Issuer, Audiences: names(p.Audiences), Algorithms: names(p.Algorithms),
		MaxLifetime: p.MaxLifetime, Skew: p.Skew,
		Subject: p.Subject, Client: p.Client, Tenant: p.Tenant, Scopes: p.Scopes, Roles: p.Roles,
		Refresh: p.Refresh, Keep: p.Keep, Types: p.Types,
	}
	if p.Secret != "" {
		o.Secret = []byte(p.Secret)
	}
	if p.Skew == 0 {
		o.Skew = -1 // none, as it was written
	}
	switch {
	case p.JWKS == "":
	case strings.Contains(p.JWKS, "://"):
		o.JWKS = p.JWKS
	default:
		out.files = append(out.files, p.JWKS)
		if o.Keys, err = readRegular(p.JWKS); err != nil {
			return o, fmt.Errorf("identity %q: %w", p.Name, err)
		}
	}
	return o, nil
}

func names(n config.Names) []string {
	if n.Any {
		return []string{authn.Any}
	}
	return n.List
}

// commit starts what is new and stops what is gone.
func (ids *identities) commit(p *prepared) {
	ids.mu.Lock()
	defer ids.mu.Unlock()
	old := ids.current
	ids.current = p.issuers
	for key, is := range old {
		if p.issuers[key] == nil {
			is.stop()
		}
	}
	if ids.ctx != nil {
		ids.startAll()
	}
}

// start lets the issuers keep their keys fresh until ctx is done, those of
// later reloads too.
func (ids *identities) start(ctx context.Context) {
	ids.mu.Lock()
	defer ids.mu.Unlock()
	ids.ctx = ctx
	ids.startAll()
}

func (ids *identities) startAll() {
	for _, is := range ids.current {
		if is.cancel != nil {
			continue
		}
		ctx, cancel := context.WithCancel(ids.ctx)
		is.cancel, is.ended = cancel, make(chan struct{})
		go func() {
			defer close(is.ended)
			if err := is.Run(ctx); err != nil {
				ids.log.Error("keys are not kept fresh any more", "issuer", is.Name(), "err", err)
			}
		}()
	}
}

func (is *issuer) stop() {
	if is.cancel != nil {
		is.cancel()
		<-is.ended
	}
}

// stop stops all of them.
func (ids *identities) stop() {
	ids.mu.Lock()
	defer ids.mu.Unlock()
	for _, is := range ids.current {
		is.stop()
	}
	ids.current = map[string]*issuer{}
}

// ready says which issuer's keys are missing, or nil.
func (ids *identities) ready() error {
	if time.Since(ids.began) > patience {
		return nil
	}
	ids.mu.Lock()
	defer ids.mu.Unlock()
	for _, is := range ids.current {
		if !is.Ready() {
			return fmt.Errorf("the keys of %s are not there yet", is.Name())
		}
	}
	return nil
}
