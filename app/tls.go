package app

import (
	"crypto/rand"
	"crypto/tls"
	"net"
	"net/url"
	"strings"

	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/gateway"
)

// certificates are those of a listener.
func certificates(t *config.TLS) (*gateway.Certificates, error) {
	return gateway.LoadCertificates(gateway.CertificateFiles{
		Pairs:    []gateway.KeyPair{{Cert: string(t.Cert), Key: string(t.Key)}},
		ClientCA: string(t.ClientCA),
	})
}

func tlsVersion(s string) uint16 {
	if s == "1.3" {
		return tls.VersionTLS13
	}
	return tls.VersionTLS12
}

// upstreamTLS is how an upstream has to prove who it is.
func upstreamTLS(u *url.URL) *tls.Config {
	return &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}
}

// adminHosts are the names that the admin address is reached by.
func adminHosts(a *config.Admin) (hosts []string) {
	for _, h := range a.Hosts {
		hosts = append(hosts, strings.ToLower(h))
	}
	if host, _, err := net.SplitHostPort(a.Address); err == nil && host != "" {
		hosts = append(hosts, strings.ToLower(host))
	}
	return hosts
}

// eventKey is the key of pseudonyms: the configured one, or one of this start
// alone.
func eventKey(c *config.Config) []byte {
	if c.Events.Key != "" {
		return []byte(c.Events.Key)
	}
	key := make([]byte, 32)
	rand.Read(key) // never fails
	return key
}
