package authn

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/exchange"
)

// CertificateOptions say which client certificates are taken, and whose they
// are. Roots and Subjects are required.
type CertificateOptions struct {
	Name  string         // the provider's; "" means "certificate"
	Roots *x509.CertPool // who issues client certificates; never those of the system
	// Field is where the subject stands: "uri" (as SPIFFE has it), "dns",
	// "email" or "cn"; "" means uri. A certificate must have exactly one.
	Field string
	// Subjects are those that are taken: to the letter, or with a * at the
	// end for all that begin so. Any as the only one takes all that Roots
	// issue for.
	Subjects []string
	Scopes   []string // what those who come so may do
	Roles    []string
}

// A CertificateVerifier proves callers by the client certificate of their
// connection. Its methods may be called at once.
type CertificateVerifier struct {
	o CertificateOptions

	mu    sync.Mutex // guards known
	known map[*x509.Certificate]*Principal
}

// maxCertificates bounds how many certificates are remembered.
const maxCertificates = 10_000

// NewCertificateVerifier checks the options, all at once.
func NewCertificateVerifier(o CertificateOptions) (*CertificateVerifier, error) {
	o.Name = orElse(o.Name, "certificate")
	o.Field = orElse(o.Field, "uri")
	var errs []error
	if o.Roots == nil {
		errs = append(errs, fmt.Errorf("identity %q: roots: missing; give the certificates of who issues client certificates", o.Name))
	}
	if o.Field != "uri" && o.Field != "dns" && o.Field != "email" && o.Field != "cn" {
		errs = append(errs, fmt.Errorf("identity %q: field: %.32q is none of uri, dns, email and cn", o.Name, o.Field))
	}
	if len(o.Subjects) == 0 {
		errs = append(errs, fmt.Errorf("identity %q: subjects: missing; list them, or write [any]", o.Name))
	}
	for _, s := range o.Subjects {
		if s == "" || s == "*" || strings.Contains(strings.TrimSuffix(s, "*"), "*") || s == Any && len(o.Subjects) > 1 {
			errs = append(errs, fmt.Errorf("identity %q: subjects: %.64q is no subject; a * may stand at its end only", o.Name, s))
		}
	}
	if errs != nil {
		return nil, errors.Join(errs...)
	}
	return &CertificateVerifier{o: o, known: map[*x509.Certificate]*Principal{}}, nil
}

// Verify returns whose certificate the connection has and OK, or nil and the
// reason why not. The chain is verified here, whatever the handshake asked
// for, and the certificate's time each time, as connections outlive it.
func (v *CertificateVerifier) Verify(state *tls.ConnectionState, now time.Time) (*Principal, exchange.Reason) {
	if state == nil || len(state.PeerCertificates) == 0 {
		return nil, exchange.AuthnMissing
	}
	leaf := state.PeerCertificates[0]
	switch {
	case now.After(leaf.NotAfter):
		return nil, exchange.AuthnExpired
	case now.Before(leaf.NotBefore):
		return nil, exchange.AuthnNotYet
	}
	v.mu.Lock()
	p := v.known[leaf]
	v.mu.Unlock()
	if p != nil {
		return p, exchange.OK
	}
	between := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		between.AddCert(c)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: v.o.Roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		return nil, exchange.AuthnSignature
	}
	subject, ok := v.subject(leaf)
	if !ok {
		return nil, exchange.AuthnClaims
	}
	if !v.takes(subject) {
		return nil, exchange.AuthnAudience
	}
	p = &Principal{Subject: subject, Provider: v.o.Name, Issuer: leaf.Issuer.String(), TokenID: leaf.SerialNumber.Text(16), How: ByCertificate,
		Scopes: v.o.Scopes, Roles: v.o.Roles, Issued: leaf.NotBefore, Expires: leaf.NotAfter}
	v.mu.Lock()
	defer v.mu.Unlock()
	for old := range v.known { // in no order, so any may go
		if len(v.known) < maxCertificates {
			break
		}
		delete(v.known, old)
	}
	v.known[leaf] = p
	return p, exchange.OK
}

// subject reads the one subject of a certificate.
func (v *CertificateVerifier) subject(c *x509.Certificate) (string, bool) {
	var all []string
	switch v.o.Field {
	case "uri":
		for _, u := range c.URIs {
			all = append(all, u.String())
		}
	case "dns":
		all = c.DNSNames
	case "email":
		all = c.EmailAddresses
	case "cn":
		all = []string{c.Subject.CommonName}
	}
	if len(all) != 1 || all[0] == "" || len(all[0]) > maxText {
		return "", false
	}
	return all[0], true
}

func (v *CertificateVerifier) takes(subject string) bool {
	for _, s := range v.o.Subjects {
		if s == subject || s == Any {
			return true
		}
		if begin, ok := strings.CutSuffix(s, "*"); ok && strings.HasPrefix(subject, begin) {
			return true
		}
	}
	return false
}
