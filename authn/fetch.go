package authn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"
)

// FetcherOptions say how documents of issuers are fetched. All fields may be
// zero.
type FetcherOptions struct {
	RootCAs *x509.CertPool // nil: those of the system
	Timeout time.Duration  // of one document, from look-up to last byte; 0 or more than 5 s means 5 s
	// Resolver looks names up; nil is that of the system.
	Resolver *net.Resolver
	// UserAgent is sent; "" means "sallyport".
	UserAgent string
}

// A Fetcher gets the documents of issuers, and can be led nowhere else: only
// https, but to loopback; no addresses that belong to no one else's server
// (link local, where clouds keep their metadata, multicast, unspecified);
// private and loopback addresses only for hosts that the configuration names,
// whatever a name is resolved to, and a redirect or a document names; two
// redirects; 1 MiB; 5 s. It sends no credentials and no cookies.
type Fetcher struct {
	o FetcherOptions
}

// NewFetcher returns a fetcher.
func NewFetcher(o FetcherOptions) *Fetcher {
	if o.Timeout <= 0 || o.Timeout > 5*time.Second {
		o.Timeout = 5 * time.Second
	}
	if o.UserAgent == "" {
		o.UserAgent = "sallyport"
	}
	return &Fetcher{o}
}

// JSON gets a JSON document. trusted are the hosts that the configuration
// names.
func (f *Fetcher) JSON(ctx context.Context, address string, trusted []string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, errors.New("the URL cannot be read")
	}
	return f.do(r, trusted, 2)
}

// do sends a request and returns the JSON document that it gets.
func (f *Fetcher) do(r *http.Request, trusted []string, redirects int) ([]byte, error) {
	u := r.URL
	if err := mayAsk(u, trusted); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), f.o.Timeout)
	defer cancel()
	dialer := &net.Dialer{Timeout: f.o.Timeout, Resolver: f.o.Resolver}
	transport := &http.Transport{
		TLSClientConfig:        &tls.Config{RootCAs: f.o.RootCAs, MinVersion: tls.VersionTLS12},
		DisableKeepAlives:      true,
		DisableCompression:     true, // nothing grows on our side
		MaxResponseHeaderBytes: 64 << 10,
		ForceAttemptHTTP2:      true,
		// The address is looked at after the name was resolved, so that a
		// name that changes its mind leads nowhere.
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			host, _, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			d := *dialer
			d.Control = func(_, address string, _ syscall.RawConn) error {
				return mayDial(address, isTrusted(host, trusted))
			}
			return d.DialContext(ctx, network, address)
		},
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{
		Transport: transport,
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > redirects {
				return fmt.Errorf("more than %d redirects", redirects)
			}
			r.Header.Del("Referer")
			return mayAsk(r.URL, trusted)
		},
	}
	r = r.WithContext(ctx)
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", f.o.UserAgent)
	res, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %d", redacted(u), res.StatusCode)
	}
	if t, _, err := mime.ParseMediaType(res.Header.Get("Content-Type")); err != nil ||
		t != "application/json" && !(strings.HasPrefix(t, "application/") && strings.HasSuffix(t, "+json")) {
		return nil, fmt.Errorf("%s answers with media type %.64q, not application/json", redacted(u), res.Header.Get("Content-Type"))
	}
	if c := res.Header.Get("Content-Encoding"); c != "" && c != "identity" {
		return nil, fmt.Errorf("%s answers with content coding %.64q, which was not asked for", redacted(u), c)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, MaxDocument+1))
	if err != nil {
		return nil, err
	}
	if len(b) > MaxDocument {
		return nil, fmt.Errorf("%s answers with more than 1 MiB", redacted(u))
	}
	return b, nil
}

// redacted is a URL fit for the log.
func redacted(u *url.URL) string { return u.Scheme + "://" + u.Host + u.Path }

func isTrusted(host string, trusted []string) bool {
	return slices.ContainsFunc(trusted, func(t string) bool { return strings.EqualFold(t, host) })
}

// isLoopbackName reports whether a host can only be this machine (RFC 6761
// section 6.3).
func isLoopbackName(host string) bool {
	host = strings.ToLower(host)
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// mayAsk reports whether a URL may be fetched at all.
func mayAsk(u *url.URL, trusted []string) error {
	host := u.Hostname()
	switch {
	case host == "" || u.User != nil || u.Opaque != "":
		return errors.New("the URL must have a host and no user")
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && isLoopbackName(host) && isTrusted(host, trusted):
		return nil
	}
	return fmt.Errorf("%.100q is not https, and not the loopback address that the configuration names", redacted(u))
}

// mayDial reports whether a connection to an address may be made.
func mayDial(address string, trusted bool) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	a := ap.Addr().Unmap().WithZone("")
	switch {
	case a.IsUnspecified(), a.IsMulticast(), a.IsLinkLocalUnicast(), slices.ContainsFunc(nobodys, func(p netip.Prefix) bool { return p.Contains(a) }):
		return fmt.Errorf("%s is no address of a server", a)
	case !trusted && (a.IsPrivate() || a.IsLoopback() || slices.ContainsFunc(internal, func(p netip.Prefix) bool { return p.Contains(a) })):
		return fmt.Errorf("%s is internal, and its host is not one that the configuration names", a)
	}
	return nil
}

// nobodys are addresses that no issuer has: clouds' metadata beside link
// local ones, and the reserved and broadcast range.
var nobodys = prefixes("0.0.0.0/8", "240.0.0.0/4", "fd00:ec2::254/128", "100.100.100.200/32", "168.63.129.16/32")

// internal are ranges beside those of RFC 1918 and RFC 4193 that do not lead
// out, or lead back in: shared addresses, protocol assignments, benchmarks,
// documentation, and IPv4 within IPv6.
var internal = prefixes("100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
	"64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "2001:db8::/32", "fec0::/10", "100::/64")

func prefixes(s ...string) (ps []netip.Prefix) {
	for _, p := range s {
		ps = append(ps, netip.MustParsePrefix(p))
	}
	return ps
}
