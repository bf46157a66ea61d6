package config

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/document"
)

// MaxBytes bounds a configuration file.
const MaxBytes = 4 << 20

// maxNodes bounds the values and keys of a file, those of YAML aliases counted
// each time they are used.
const maxNodes = 1 << 20

// Load reads the configuration file, and what its secrets and certificates are
// in. env looks a variable of the environment up, as os.LookupEnv does. Every
// fault is reported, in the order of its place; the Config is nil where one of
// them is fatal. Load changes nothing, and may be called again for a reload.
func Load(file string, env func(string) (string, bool)) (*Config, contract.Diagnostics) {
	src, err := read(file)
	if err != nil {
		return nil, contract.Diagnostics{{Pos: contract.Pos{File: file, Line: 1, Col: 1}, Msg: err.Error()}}
	}
	return parse(file, filepath.Dir(file), src, env)
}

// cause is an error of a file without the call and the name of the file.
func cause(err error) error {
	var perr *os.PathError
	if errors.As(err, &perr) {
		return perr.Err
	}
	return err
}

func read(file string) ([]byte, error) {
	fault := func(err error) ([]byte, error) {
		return nil, fmt.Errorf("cannot read the file: %w", cause(err)) // the place names it
	}
	f, err := os.Open(file)
	if err != nil {
		return fault(err)
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return fault(err)
	}
	if len(src) > MaxBytes {
		return nil, errors.New("the file is larger than 4 MiB")
	}
	return src, nil
}

// parse is Load once the file has been read.
func parse(file, dir string, src []byte, env func(string) (string, bool)) (*Config, contract.Diagnostics) {
	raw, err := document.Parse(file, src)
	if err != nil {
		var serr *document.SyntaxError
		if !errors.As(err, &serr) {
			return nil, contract.Diagnostics{{Pos: contract.Pos{File: file, Line: 1, Col: 1}, Msg: err.Error()}}
		}
		return nil, contract.Diagnostics{{Pos: serr.Pos, Msg: serr.Msg, Hint: serr.Hint}}
	}
	if raw.Size() > maxNodes {
		return nil, contract.Diagnostics{{Pos: raw.Root().Pos(), Msg: "the file holds more than a million values"}}
	}
	d := &decoder{dir: dir, places: make(map[any]contract.Pos), unset: make(map[contract.Pos]bool), broken: make(map[any]bool)}
	for _, dup := range raw.Duplicates() {
		d.report(contract.Fatal, dup.Pos, "leave one of them out", "the key %q stands here again; it is at line %d already", clip(dup.Key), dup.First.Line)
	}
	d.x = d.expand(raw, env)
	c := Default()
	c.File, c.Source = file, src
	d.structure(d.x.doc.Root(), reflect.ValueOf(c).Elem(), "")
	d.validate(c)
	c.places, c.SecretFiles = d.places, d.files

	for i := range d.ds {
		d.ds[i].Msg, d.ds[i].Hint = d.x.hide(d.ds[i].Msg), d.x.hide(d.ds[i].Hint)
	}
	slices.SortStableFunc(d.ds, func(a, b contract.Diagnostic) int {
		return cmp.Or(cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Col, b.Pos.Col))
	})
	if d.ds.Fatal() {
		return nil, d.ds
	}
	return c, d.ds
}

// validate reports what single values do not show.
func (d *decoder) validate(c *Config) {
	d.listeners(c)
	d.admin(c)
	d.providers(c)
	d.apis(c)

	if e := &c.Events; d.written(&e.To) {
		switch e.To {
		case "stdout", "off":
		case "":
			d.failAt(&e.To, "", "events.to: write stdout, off or a file")
		default:
			e.To = d.path(e.To)
		}
	}
	d.long(&c.Events.Key, "events.key")
}

// long checks that a secret cannot be guessed.
func (d *decoder) long(s *Secret, what string) {
	if d.written(s) && len(*s) < 16 && *s != "" {
		d.failAt(s, "for example: openssl rand -hex 32", "%s: the secret is shorter than 16 characters", what)
	}
}

func (d *decoder) listeners(c *Config) {
	if len(c.Listen) == 0 && d.written(&c.Listen) {
		d.failAt(&c.Listen, "", "listen: the list is empty")
	}
	for i := range c.Listen {
		l := &c.Listen[i]
		d.tls(&l.TLS, "listen.tls")
		if d.written(&l.Address) && l.Address != "" {
			d.port(&l.Address, "listen.address")
		}
		for j := range i {
			if o := &c.Listen[j]; o.Address == l.Address && l.Address != "" {
				d.report(contract.Fatal, l.Pos, "", "listen: %s is listened at already, at line %d", l.Address, o.Pos.Line)
				break
			}
		}
		for j, p := range l.TrustedProxies {
			if p.Bits() == 0 {
				d.report(contract.Warning, d.places[&l.TrustedProxies[j]], "list the proxies' own networks", "trusted_proxies: %s trusts everybody, so that callers choose their address themselves", p)
			}
		}
	}
}

// port checks what the form of an address cannot.
func (d *decoder) port(address *string, what string) {
	_, port, err := net.SplitHostPort(*address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		d.failAt(address, "", "%s: %q is not %s", what, clip(*address), forms["address"].words)
	}
}

// tls checks that a certificate and its key can be used.
func (d *decoder) tls(t *TLS, what string) {
	switch {
	case t.Cert == "" && t.Key == "":
		if t.ClientCA != "" {
			d.failAt(&t.ClientCA, "add cert and key", "%s: client certificates need TLS", what)
		}
		return
	case t.Key == "":
		d.failAt(&t.Cert, "add key", "%s: the certificate has no key", what)
		return
	case t.Cert == "":
		d.failAt(&t.Key, "add cert", "%s: the key has no certificate", what)
		return
	}
	if _, err := tls.LoadX509KeyPair(string(t.Cert), string(t.Key)); err != nil {
		d.failAt(&t.Cert, "", "%s: %s", what, strings.TrimPrefix(err.Error(), "tls: "))
	}
	if t.ClientCA != "" {
		pem, err := os.ReadFile(string(t.ClientCA))
		if err == nil && !x509.NewCertPool().AppendCertsFromPEM(pem) {
			err = fmt.Errorf("%s holds no certificate in PEM", t.ClientCA)
		}
		if err != nil {
			d.failAt(&t.ClientCA, "", "%s: %v", what, err)
		}
	}
}

// admin keeps the admin address to those it is meant for (threat T1).
func (d *decoder) admin(c *Config) {
	a := &c.Admin
	d.tls(&a.TLS, "admin.tls")
	d.long(&a.Token, "admin.token")
	if a.Address == "off" || a.Address == "" {
		return
	}
	pos := d.places[&a.Address]
	if d.written(&a.Address) {
		d.port(&a.Address, "admin.address")
	} else if pos = d.places[&c.Admin]; pos.Line == 0 {
		pos = contract.Pos{File: c.File, Line: 1, Col: 1}
	}
	host, _, _ := net.SplitHostPort(a.Address)
	if !loopback(host) {
		if a.Token == "" && !d.broken[&a.Token] {
			d.report(contract.Fatal, pos, "add a token, or listen at 127.0.0.1", "admin: others can reach %s, and nothing asks them who they are", a.Address)
		}
		if a.TLS.Cert == "" && !a.Cleartext {
			d.report(contract.Fatal, pos, "add tls, or cleartext: true where something else encrypts the way", "admin: others can reach %s, and the token would go there in cleartext", a.Address)
		}
	}
	for i := range c.Listen {
		if same(a.Address, c.Listen[i].Address) {
			d.report(contract.Fatal, pos, "give it another port", "admin: %s is an address for callers", a.Address)
		}
	}
}

// loopback reports whether a host is this machine, and no other can reach it.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// everywhere reports whether a host stands for all addresses of this machine.
func everywhere(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "" || err == nil && a.Unmap().IsUnspecified()
}

// same reports whether what is sent to one address arrives at the other, as
// far as that can be told without asking the network.
func same(a, b string) bool {
	ah, ap, _ := net.SplitHostPort(a)
	bh, bp, _ := net.SplitHostPort(b)
	if ap != bp || ap == "" || ap == "0" {
		return false
	}
	local := func(h string) bool { return everywhere(h) || loopback(h) }
	return ah == bh || everywhere(ah) && local(bh) || everywhere(bh) && local(ah) ||
		loopback(ah) && loopback(bh) && (ah == "localhost" || bh == "localhost")
}

func (d *decoder) providers(c *Config) {
	for i := range c.Identity {
		p := &c.Identity[i]
		for j := range i {
			if o := &c.Identity[j]; o.Name == p.Name && p.Name != "" {
				d.failAt(&p.Name, "", "identity: %q is the name of a provider already, at line %d", p.Name, o.Pos.Line)
				break
			}
		}
		for j := range i {
			if o := &c.Identity[j]; o.Issuer == p.Issuer && p.Issuer != "" {
				d.failAt(&p.Issuer, "make the two one, with the audiences of both", "identity.issuer: provider %q has this issuer already, at line %d", o.Name, o.Pos.Line)
				break
			}
		}
		d.secure(&p.Issuer, p.Issuer, "identity.issuer")
		d.shared(p)
		if p.JWKS == "" {
			if d.written(&p.JWKS) {
				d.failAt(&p.JWKS, "leave it out to have it discovered", "identity.jwks: there is neither a URL nor a file")
			}
			continue
		}
		if strings.Contains(p.JWKS, "://") {
			if !patterns["url"].MatchString(strings.SplitN(p.JWKS, "?", 2)[0]) {
				d.failAt(&p.JWKS, "", "identity.jwks: %q is not a URL of a key set", withoutUser(p.JWKS))
			}
			d.secure(&p.JWKS, p.JWKS, "identity.jwks")
		} else {
			p.JWKS = d.path(p.JWKS)
			if _, err := os.Stat(p.JWKS); err != nil {
				d.failAt(&p.JWKS, "", "identity.jwks: cannot read %s: %v", p.JWKS, cause(err))
			}
		}
	}
}

// shared checks that a secret and the algorithms that need it stand together,
// and apart from others: a token that chose between them could be signed with
// a public key (RFC 8725 section 2.1).
func (d *decoder) shared(p *Provider) {
	least, others := 0, 0
	for _, a := range p.Algorithms.List {
		if bits, ok := strings.CutPrefix(a, "HS"); ok {
			n, _ := strconv.Atoi(bits)
			least = max(least, n/8)
		} else {
			others++
		}
	}
	switch {
	case least > 0 && others > 0:
		d.failAt(&p.Algorithms, "make two providers of them", "identity.algorithms: those of a shared secret cannot stand with others")
	case least > 0 && p.JWKS != "":
		d.failAt(&p.JWKS, "leave it out", "identity.jwks: a shared secret is in no key set")
	case least > 0 && !d.written(&p.Secret):
		d.failAt(&p.Algorithms, "add secret: {file: PATH}", "identity.algorithms: the HS algorithms need a secret")
	case least > 0 && len(p.Secret) < least && !d.broken[&p.Secret]:
		d.failAt(&p.Secret, "", "identity.secret: it has fewer than %d bytes", least)
	case least == 0 && d.written(&p.Secret):
		d.failAt(&p.Secret, "leave it out, or list an HS algorithm", "identity.secret: no algorithm uses it")
	}
}

// secure asks for https, except on this machine.
func (d *decoder) secure(field *string, s, what string) {
	u, err := url.Parse(s)
	if s == "" || err != nil {
		return // reported already
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		d.failAt(field, "", "%s: %q is in cleartext, where keys can be exchanged on the way; it must be https", what, withoutUser(s))
	}
}

func (d *decoder) apis(c *Config) {
	names := make([]string, 0, len(c.APIs))
	for i := range c.APIs {
		names = append(names, c.APIs[i].Name)
	}
	providers := make([]string, 0, len(c.Identity))
	for i := range c.Identity {
		providers = append(providers, c.Identity[i].Name)
	}
	for i := range c.APIs {
		a := &c.APIs[i]
		if j := slices.Index(names, a.Name); j < i && a.Name != "" {
			d.failAt(&a.Name, "", "apis: %q is the name of an API already, at line %d", a.Name, c.APIs[j].Pos.Line)
		}
		if a.Contract == "" && d.written(&a.Contract) {
			d.failAt(&a.Contract, "", "apis.contract: there is no file")
		}
		if a.BasePath != nil && *a.BasePath == "/" {
			*a.BasePath = ""
		}
		for j := range a.Identity {
			if !slices.Contains(providers, a.Identity[j]) {
				d.provider(d.places[&a.Identity[j]], "apis.identity", a.Identity[j], providers)
			}
		}
		for j, h := range a.Hosts {
			if slices.Index(a.Hosts, h) < j {
				d.failAt(&a.Hosts[j], "", "apis.hosts: %q stands here twice", h)
			}
		}
		for scheme, p := range a.Schemes {
			if !slices.Contains(providers, p) {
				d.provider(d.places[member{&a.Schemes, scheme}], "apis.schemes."+scheme, p, providers)
			}
		}
		for j := range i {
			d.apart(a, &c.APIs[j])
		}
		d.loop(c, a)
	}
	for _, e := range c.Policy.Entries {
		for _, s := range e.On {
			if s.API != "" && !slices.Contains(names, s.API) {
				d.report(contract.Fatal, s.Pos, "known are "+strings.Join(names, ", "), "on: there is no API %q", clip(s.API))
			}
		}
	}
}

func (d *decoder) provider(pos contract.Pos, what, name string, providers []string) {
	hint := "identity has none"
	if len(providers) > 0 {
		hint = "identity has " + strings.Join(providers, ", ")
	}
	d.report(contract.Fatal, pos, hint, "%s: there is no provider %q", what, clip(name))
}

// apart reports two APIs that callers cannot tell apart. Where a base path is
// left to the contract, that is for the plan to find.
func (d *decoder) apart(a, o *API) {
	hosts := len(a.Hosts) == 0 && len(o.Hosts) == 0 ||
		slices.ContainsFunc(a.Hosts, func(h string) bool { return slices.Contains(o.Hosts, h) })
	var paths bool
	if a.BasePath != nil && o.BasePath != nil {
		paths = *a.BasePath == *o.BasePath
	} else {
		paths = a.BasePath == nil && o.BasePath == nil && a.Contract == o.Contract
	}
	if hosts && paths {
		d.report(contract.Fatal, a.Pos, "give them other hosts or another base_path", "apis: callers reach %q where they reach %q, at line %d", a.Name, o.Name, o.Pos.Line)
	}
}

// loop reports an upstream that is Sallyport itself.
func (d *decoder) loop(c *Config, a *API) {
	for i, u := range a.Upstream {
		if u == nil {
			continue // reported already
		}
		pos, ok := d.places[&a.Upstream[i]]
		if !ok {
			pos = d.places[&a.Upstream]
		}
		port := u.Port()
		if port == "" {
			port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
		}
		address := net.JoinHostPort(u.Hostname(), port) // ":" of a socket, which is nobody's
		for j := range c.Listen {
			if same(address, c.Listen[j].Address) {
				d.report(contract.Fatal, pos, "give the URL of the API itself", "apis.upstream: %s is Sallyport itself, which listens at %s", u.Redacted(), c.Listen[j].Address)
			}
		}
		if same(address, c.Admin.Address) {
			d.report(contract.Fatal, pos, "give the URL of the API itself", "apis.upstream: %s is Sallyport's admin address", u.Redacted())
		}
		if i > 0 && a.Upstream[0] != nil && (u.Scheme != a.Upstream[0].Scheme || u.Scheme != "unix" && u.Path != a.Upstream[0].Path) {
			d.report(contract.Fatal, pos, "", "apis.upstream: %s differs in scheme or path from %s; servers of one upstream are equal", u.Redacted(), a.Upstream[0].Redacted())
		}
	}
}
