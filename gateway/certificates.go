package gateway

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// A KeyPair names the PEM files of a certificate chain and its key.
type KeyPair struct {
	Cert, Key string
}

// CertificateFiles name what a listener proves itself with, and what callers
// must prove themselves with.
type CertificateFiles struct {
	Pairs []KeyPair // at least one
	// ClientCA is the PEM file of the authorities of client certificates.
	// Where it is set, every caller must have one of theirs.
	ClientCA string
}

// Certificates are the certificates of a listener, read from files and read
// again by [Certificates.Load]. Connections that are open keep theirs; new
// handshakes get the new ones. Its methods may be called at once.
type Certificates struct {
	files   CertificateFiles
	now     func() time.Time
	current atomic.Pointer[certificates]
}

// certificates is one reading of the files. It never changes.
type certificates struct {
	sum  [sha256.Size]byte // of all files
	list []tls.Certificate
	// clients are the authorities of client certificates, nil where none is
	// asked for.
	clients *x509.CertPool
}

// LoadCertificates reads the certificates for the first time. At least one is
// needed.
func LoadCertificates(f CertificateFiles) (*Certificates, error) {
	if len(f.Pairs) == 0 {
		return nil, errors.New("no certificate is configured")
	}
	f.Pairs = slices.Clone(f.Pairs)
	c := &Certificates{files: f, now: time.Now}
	if _, err := c.Load(); err != nil {
		return nil, err
	}
	return c, nil
}

// Load reads the files again and reports whether they hold something new. A
// pair that does not match, cannot be read, or has expired changes nothing:
// the certificates in use stay, and the error joins every fault.
func (c *Certificates) Load() (changed bool, err error) {
	next, hash := &certificates{}, sha256.New()
	var errs []error
	for _, p := range c.files.Pairs {
		cert, err1 := os.ReadFile(p.Cert)
		key, err2 := os.ReadFile(p.Key)
		if err := errors.Join(err1, err2); err != nil {
			errs = append(errs, err)
			continue
		}
		fmt.Fprintf(hash, "%d %d ", len(cert), len(key))
		hash.Write(cert)
		hash.Write(key)
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s and %s: %w", p.Cert, p.Key, err))
			continue
		}
		if until := pair.Leaf.NotAfter; c.now().After(until) {
			errs = append(errs, fmt.Errorf("%s: the certificate expired on %s", p.Cert, until.Format(time.DateOnly)))
			continue
		}
		next.list = append(next.list, pair)
	}
	if c.files.ClientCA != "" {
		pem, err := os.ReadFile(c.files.ClientCA)
		if next.clients = x509.NewCertPool(); err == nil && !next.clients.AppendCertsFromPEM(pem) {
			err = fmt.Errorf("%s: there is no certificate in it", c.files.ClientCA)
		}
		if err != nil {
			errs = append(errs, err)
		}
		hash.Write(pem)
	}
	if err := errors.Join(errs...); err != nil {
		return false, err
	}
	hash.Sum(next.sum[:0])
	if old := c.current.Load(); old != nil && old.sum == next.sum {
		return false, nil
	}
	c.current.Store(next)
	return true, nil
}

// Files are the files to watch.
func (c *Certificates) Files() (names []string) {
	for _, p := range c.files.Pairs {
		names = append(names, p.Cert, p.Key)
	}
	if c.files.ClientCA != "" {
		names = append(names, c.files.ClientCA)
	}
	return names
}

// Leaves are the certificates in use, for metrics.
func (c *Certificates) Leaves() (leaves []*x509.Certificate) {
	for _, p := range c.current.Load().list {
		leaves = append(leaves, p.Leaf)
	}
	return leaves
}

// get picks the certificate for a handshake: the first that the client can
// use, else the first, so that the client sees whose server it has reached.
func (c *Certificates) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	list := c.current.Load().list
	for i := range list {
		if hello.SupportsCertificate(&list[i]) == nil {
			return &list[i], nil
		}
	}
	return &list[0], nil
}

// Config is the TLS of a listener, which follows what Load reads. Session
// tickets are left to the library, which rotates their keys each day.
// minVersion is never below TLS 1.2; protocols are those of ALPN.
func (c *Certificates) Config(minVersion uint16, protocols ...string) *tls.Config {
	base := &tls.Config{
		GetCertificate: c.get,
		MinVersion:     max(minVersion, tls.VersionTLS12),
		NextProtos:     protocols,
	}
	if c.files.ClientCA == "" {
		return base
	}
	base.ClientAuth = tls.RequireAndVerifyClientCert
	base.ClientCAs = c.current.Load().clients
	outer := base.Clone()
	outer.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		now := base.Clone()
		now.ClientCAs = c.current.Load().clients
		return now, nil
	}
	return outer
}

// sameHost compares the authority of a request, which may have a port, with a
// server name, without regard to case and a final dot.
func sameHost(authority []byte, name string) bool {
	if i := len(authority) - 1; i >= 0 && authority[i] != ']' {
		for ; i >= 0 && '0' <= authority[i] && authority[i] <= '9'; i-- {
		}
		if i >= 0 && authority[i] == ':' {
			authority = authority[:i]
		}
	}
	if n := len(authority); n > 0 && authority[n-1] == '.' {
		authority = authority[:n-1]
	}
	name = strings.TrimSuffix(name, ".")
	if len(authority) != len(name) {
		return false
	}
	for i := range authority {
		a, b := authority[i], name[i]
		if 'A' <= a && a <= 'Z' {
			a |= 0x20
		}
		if 'A' <= b && b <= 'Z' {
			b |= 0x20
		}
		if a != b {
			return false
		}
	}
	return true
}
