package app

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/authn"
	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/contract/openapi"
	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/plan"
	"github.com/sallyport/sallyport/wire"
)

// compiled is what a configuration comes to: everything that a reload puts in
// force, and nothing that has started yet.
type compiled struct {
	config    *config.Config
	plan      *plan.Plan // nil where a fault is fatal
	upstreams []gateway.Upstream
	faults    contract.Diagnostics
	identity  *prepared
	broken    []string  // APIs whose contract cannot be used, in order
	files     []string  // everything that was read, or would have been
	began     time.Time // before the first file was read
}

// compile reads the contracts that a configuration names and makes a plan of
// them. An API whose contract cannot be used is closed by itself, and is
// broken; whether the others may go on without it is for the caller to say.
//
// ids are the providers, prepared.
func compile(c *config.Config, began time.Time, ids *prepared) *compiled {
	out := &compiled{config: c, identity: ids, began: began, files: append(configFiles(c), ids.files...)}
	var seen sync.Mutex // guards out.files
	read := func(name string) ([]byte, error) {
		seen.Lock()
		out.files = append(out.files, name)
		seen.Unlock()
		return readRegular(name)
	}
	opts := plan.Options{Policy: c.Policy, Text: c.Source}
	for i, a := range c.APIs {
		overlays := make([]string, len(a.Overlays))
		for i, o := range a.Overlays {
			overlays[i] = string(o)
		}
		api, faults := openapi.Load(string(a.Contract), openapi.Options{Overlays: overlays, ReadFile: read})
		out.faults = append(out.faults, faults...)
		if api == nil {
			out.broken = append(out.broken, a.Name)
		}
		up, path := upstreamOf(&a)
		out.upstreams = append(out.upstreams, up)
		opts.Sources = append(opts.Sources, plan.Source{
			Name: a.Name, Contract: api, Mode: a.Mode, Upstream: plan.Upstream{Key: up.Key, Path: path, Hosts: hostsOf(&a)},
			Hosts: a.Hosts, BasePath: a.BasePath, Verifier: ids.verifiers[i], Pos: a.Pos, Unenforced: unenforced(faults),
		})
	}
	var faults contract.Diagnostics
	out.plan, faults = plan.Compile(opts)
	out.faults = append(out.faults, faults...)
	slices.Sort(out.files)
	out.files = slices.Compact(out.files)
	return out
}

// unenforced counts what a contract says and run time does not apply.
func unenforced(faults contract.Diagnostics) (n int) {
	for _, d := range faults {
		if d.Unenforced {
			n++
		}
	}
	return n
}

// maxFile bounds a file that is read at load time.
const maxFile = 256 << 20

// readRegular reads a file, and nothing that could block or have no end.
func readRegular(name string) ([]byte, error) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no regular file", name)
	case info.Size() > maxFile:
		return nil, fmt.Errorf("%s is larger than %d MiB", name, maxFile>>20)
	}
	return os.ReadFile(name)
}

// configFiles are the files that the configuration itself was made of.
func configFiles(c *config.Config) (files []string) {
	add := func(names ...config.Path) {
		for _, n := range names {
			if n != "" {
				files = append(files, string(n))
			}
		}
	}
	if c.File != "" {
		files = append(files, c.File)
	}
	files = append(files, c.SecretFiles...)
	for i := range c.Listen {
		add(c.Listen[i].TLS.Cert, c.Listen[i].TLS.Key, c.Listen[i].TLS.ClientCA)
	}
	add(c.Admin.TLS.Cert, c.Admin.TLS.Key, c.Admin.TLS.ClientCA)
	return files
}

// keyFiles are the files of key sets.
func keyFiles(c *config.Config) (files []string) {
	for i := range c.Identity {
		if k := c.Identity[i].JWKS; k != "" && !strings.Contains(k, "://") {
			files = append(files, k)
		}
	}
	return files
}

// union is both lists of names, each name once.
func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// upstreamOf says how an API's upstream is reached, and the path that is put
// before an exchange's.
func upstreamOf(a *config.API) (up gateway.Upstream, path string) {
	key := sha256.New()
	for _, u := range a.Upstream {
		o := wire.ClientOptions{
			Address: address(u), Conns: a.Connections,
			ConnectTimeout: a.Timeouts.Connect, HeadTimeout: a.Timeouts.Response, BodyTimeout: a.Timeouts.Response,
			IdleTimeout: a.Timeouts.Idle,
		}
		switch u.Scheme {
		case "https":
			o.TLS = upstreamTLS(u)
		case "unix":
			o.Network, o.Address = "unix", u.Path
		}
		up.Clients = append(up.Clients, o)
		fmt.Fprintf(key, "%s\n", u)
	}
	first := a.Upstream[0]
	if up.Host = first.Host; first.Scheme == "unix" {
		up.Host = "localhost"
	} else {
		path = strings.TrimSuffix(first.EscapedPath(), "/")
	}
	up.CheckPath, up.CheckEvery = a.Health.Path, a.Health.Interval
	fmt.Fprintf(key, "%+v %d %+v", a.Timeouts, a.Connections, a.Health)
	up.Key = hex.EncodeToString(key.Sum(nil)[:8])
	return up, path
}

// address is the host and port of an upstream's URL.
func address(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	if u.Scheme == "https" {
		return net.JoinHostPort(u.Hostname(), "443")
	}
	return net.JoinHostPort(u.Hostname(), "80")
}

// Check is every fault of what a configuration names: contracts, overlays,
// policy. Nothing is started and nothing is asked for over the network. With
// proven, it is taken for granted that providers for every security scheme will
// be configured, so that contracts can be checked by themselves.
func Check(c *config.Config, proven bool) contract.Diagnostics {
	ids, bad := newIdentities(slog.New(slog.DiscardHandler)).prepare(c)
	if len(bad) > 0 { // the contracts are looked at all the same
		ids, proven = &prepared{verifiers: make([]plan.Verifier, len(c.APIs))}, true
	}
	if proven {
		for i := range ids.verifiers {
			ids.verifiers[i] = new(authn.Verifier) // trusts nobody, and is asked nothing
		}
	}
	return append(bad, compile(c, time.Now(), ids).faults...)
}

// hostsOf are the names of an API's upstream, as URLs of its own have them.
func hostsOf(a *config.API) (hosts []string) {
	for _, u := range a.Upstream {
		if u.Scheme != "unix" {
			hosts = append(hosts, strings.ToLower(u.Host))
		}
	}
	return hosts
}
