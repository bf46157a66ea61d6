package authn_test

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/authn"
	"github.com/sallyport/sallyport/exchange"
)

// authority issues client certificates.
type authority struct {
	s    signer
	cert *x509.Certificate
}

func newAuthority(t testing.TB, name string) authority {
	a := authority{s: keyPair("ES256", "ca-"+name)}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, c, c, a.s.public(), a.s.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a authority) issue(t testing.TB, change func(*x509.Certificate)) *tls.ConnectionState {
	c := &x509.Certificate{SerialNumber: big.NewInt(0xabc), Subject: pkix.Name{CommonName: "till"}, NotBefore: now.Add(-time.Minute), NotAfter: now.Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, URIs: []*url.URL{{Scheme: "spiffe", Host: "acme", Path: "/till/7"}}}
	if change != nil {
		change(c)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, keyPair("ES256", "client").public(), a.s.key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}
}

func TestClientCertificates(t *testing.T) {
	ours, theirs := newAuthority(t, "ours"), newAuthority(t, "theirs")
	roots := x509.NewCertPool()
	roots.AddCert(ours.cert)
	v, err := authn.NewCertificateVerifier(authn.CertificateOptions{Roots: roots, Subjects: []string{"spiffe://acme/till/*", "spiffe://acme/boss"}, Scopes: []string{"orders:write"}})
	if err != nil {
		t.Fatal(err)
	}
	good := ours.issue(t, nil)
	for range 2 {
		p, reason := v.Verify(good, now)
		if reason != exchange.OK || p.Subject != "spiffe://acme/till/7" || !p.HasScope("orders:write") || p.How != authn.ByCertificate || p.TokenID != "abc" {
			t.Fatalf("%+v, %s", p, reason)
		}
	}
	uri := func(paths ...string) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.URIs = nil
			for _, p := range paths {
				c.URIs = append(c.URIs, &url.URL{Scheme: "spiffe", Host: "acme", Path: p})
			}
		}
	}
	for name, c := range map[string]struct {
		state *tls.ConnectionState
		at    time.Time
		want  exchange.Reason
	}{
		"none":                    {&tls.ConnectionState{}, now, exchange.AuthnMissing},
		"cleartext":               {nil, now, exchange.AuthnMissing},
		"of another issuer":       {theirs.issue(t, nil), now, exchange.AuthnSignature},
		"expired since":           {good, now.Add(2 * time.Hour), exchange.AuthnExpired},
		"not yet":                 {good, now.Add(-2 * time.Minute), exchange.AuthnNotYet},
		"for servers":             {ours.issue(t, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), now, exchange.AuthnSignature},
		"another subject":         {ours.issue(t, uri("/door/1")), now, exchange.AuthnAudience},
		"the subject and more":    {ours.issue(t, uri("/boss/2")), now, exchange.AuthnAudience},
		"no subject":              {ours.issue(t, uri()), now, exchange.AuthnClaims},
		"two subjects":            {ours.issue(t, uri("/till/7", "/boss")), now, exchange.AuthnClaims},
		"another subject, listed": {ours.issue(t, uri("/boss")), now, exchange.OK},
	} {
		if p, reason := v.Verify(c.state, c.at); reason != c.want || (p != nil) != (c.want == exchange.OK) {
			t.Errorf("%s: %s, want %s", name, reason, c.want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { v.Verify(good, now) }); n > 0 {
		t.Errorf("a known certificate allocates %v times", n)
	}
	for _, o := range []authn.CertificateOptions{{}, {Roots: roots}, {Roots: roots, Subjects: []string{"*"}}, {Roots: roots, Subjects: []string{"a*b"}}, {Roots: roots, Subjects: []string{"any", "x"}},
		{Roots: roots, Subjects: []string{"a"}, Field: "ip"}} {
		if _, err := authn.NewCertificateVerifier(o); err == nil {
			t.Errorf("NewCertificateVerifier(%+v)", o)
		}
	}
}

func mac(secret, text string) []byte {
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte(text))
	return m.Sum(nil)
}

func fields(nv ...string) (h exchange.Header) {
	for i := 0; i < len(nv); i += 2 {
		h = append(h, exchange.Field{Name: []byte(nv[i]), Value: []byte(nv[i+1])})
	}
	return h
}

func TestWebhooks(t *testing.T) {
	const secret, old = "a secret of the webhook", "the secret before this one"
	const body = `{"id":"evt_1"}`
	unix := func(d int64) string { return fmt.Sprint(now.Unix() + d) }
	standard := func(secret, id, at, body string) exchange.Header {
		return fields("Webhook-Id", id, "Webhook-Timestamp", at, "Webhook-Signature", "v1a,xx v1,"+base64.StdEncoding.EncodeToString(mac(secret, id+"."+at+"."+body)))
	}
	stripe := func(secret, at, body string) exchange.Header {
		return fields("stripe-signature", "t="+at+",v0=00,v1="+hex.EncodeToString(mac(secret, at+"."+body)))
	}
	slack := func(secret, at, body string) exchange.Header {
		return fields("X-Slack-Request-Timestamp", at, "X-Slack-Signature", "v0="+hex.EncodeToString(mac(secret, "v0:"+at+":"+body)))
	}
	github := func(secret, body string) exchange.Header {
		return fields("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac(secret, body)))
	}
	hooks := map[authn.WebhookFormat]*authn.Webhook{}
	for _, f := range []authn.WebhookFormat{authn.WebhookStandard, authn.WebhookStripe, authn.WebhookSlack, authn.WebhookGitHub} {
		w, err := authn.NewWebhook(authn.WebhookOptions{Format: f, Sender: "shop-payments", Secrets: [][]byte{[]byte(secret), []byte(old)}})
		if err != nil {
			t.Fatal(err)
		}
		hooks[f] = w
	}
	for _, c := range []struct {
		name   string
		format authn.WebhookFormat
		h      exchange.Header
		body   string
		want   exchange.Reason
	}{
		{"standard", authn.WebhookStandard, standard(secret, "msg_1", unix(0), body), body, exchange.OK},
		{"standard again", authn.WebhookStandard, standard(secret, "msg_1", unix(0), body), body, exchange.AuthnReplay},
		{"standard again, by the old secret", authn.WebhookStandard, standard(old, "msg_1", unix(0), body), body, exchange.AuthnReplay},
		{"standard, the old secret", authn.WebhookStandard, standard(old, "msg_2", unix(0), body), body, exchange.OK},
		{"standard, another secret", authn.WebhookStandard, standard("another secret altogether", "msg_3", unix(0), body), body, exchange.AuthnSignature},
		{"standard, another body", authn.WebhookStandard, standard(secret, "msg_3", unix(0), body), body + " ", exchange.AuthnSignature},
		{"standard, a dot in the id", authn.WebhookStandard, standard(secret, "msg.3", unix(0), body), body, exchange.AuthnMalformed},
		{"standard, no id", authn.WebhookStandard, standard(secret, "msg_3", unix(0), body)[1:], body, exchange.AuthnMissing},
		{"standard, two ids", authn.WebhookStandard, append(fields("webhook-id", "x"), standard(secret, "msg_3", unix(0), body)...), body, exchange.AuthnMalformed},
		{"standard, no signature", authn.WebhookStandard, standard(secret, "msg_3", unix(0), body)[:2], body, exchange.AuthnMissing},
		{"stripe", authn.WebhookStripe, stripe(secret, unix(-300), body), body, exchange.OK},
		{"stripe again", authn.WebhookStripe, stripe(secret, unix(-300), body), body, exchange.AuthnReplay},
		{"stripe, late", authn.WebhookStripe, stripe(secret, unix(-301), body), body, exchange.AuthnExpired},
		{"stripe, early", authn.WebhookStripe, stripe(secret, unix(301), body), body, exchange.AuthnNotYet},
		{"stripe, no time", authn.WebhookStripe, stripe(secret, "", body), body, exchange.AuthnClaims},
		{"stripe, two times", authn.WebhookStripe, fields("stripe-signature", "t="+unix(0)+",t="+unix(1)+",v1="+hex.EncodeToString(mac(secret, unix(0)+"."+body))), body, exchange.AuthnMalformed},
		{"stripe, v0 only", authn.WebhookStripe, fields("stripe-signature", "t="+unix(0)+",v0="+hex.EncodeToString(mac(secret, unix(0)+"."+body))), body, exchange.AuthnSignature},
		{"slack", authn.WebhookSlack, slack(secret, unix(1), body), body, exchange.OK},
		{"slack, a time that is none", authn.WebhookSlack, slack(secret, "1e9", body), body, exchange.AuthnClaims},
		{"slack, bad hex", authn.WebhookSlack, fields("X-Slack-Request-Timestamp", unix(0), "X-Slack-Signature", "v0=zz"), body, exchange.AuthnSignature},
		{"github", authn.WebhookGitHub, github(secret, body), body, exchange.OK},
		{"github again", authn.WebhookGitHub, github(secret, body), body, exchange.AuthnReplay},
		{"github, sha1", authn.WebhookGitHub, fields("X-Hub-Signature", "sha1=00"), body, exchange.AuthnMissing},
		{"github, cut", authn.WebhookGitHub, fields("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac(secret, "x"))[:62]), "x", exchange.AuthnSignature},
		{"nothing", authn.WebhookGitHub, nil, body, exchange.AuthnMissing},
	} {
		p, reason := hooks[c.format].Verify(c.h, []byte(c.body), now)
		if reason != c.want || (p != nil) != (c.want == exchange.OK) || p != nil && p.Subject != "shop-payments" {
			t.Errorf("%s: %s, want %s", c.name, reason, c.want)
		}
	}
	for _, o := range []authn.WebhookOptions{{}, {Format: "x", Sender: "a", Secrets: [][]byte{[]byte(secret)}}, {Format: authn.WebhookSlack, Secrets: [][]byte{[]byte(secret)}},
		{Format: authn.WebhookSlack, Sender: "a"}, {Format: authn.WebhookSlack, Sender: "a", Secrets: [][]byte{[]byte("short")}},
		{Format: authn.WebhookSlack, Sender: "a", Secrets: [][]byte{[]byte(strings.Repeat("s", 16))}, Tolerance: time.Hour}} {
		if _, err := authn.NewWebhook(o); err == nil {
			t.Errorf("NewWebhook(%+v)", o)
		}
	}
}

func FuzzWebhook(f *testing.F) {
	w, err := authn.NewWebhook(authn.WebhookOptions{Format: authn.WebhookStripe, Sender: "a", Secrets: [][]byte{[]byte(strings.Repeat("s", 16))}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("t=1,v1=00"), []byte("{}"))
	f.Add([]byte(",,=,t=,v1="), []byte(""))
	f.Fuzz(func(t *testing.T, signature, body []byte) {
		h := exchange.Header{{Name: []byte("Stripe-Signature"), Value: signature}}
		if p, reason := w.Verify(h, body, now); p != nil || reason == exchange.OK || reason == exchange.Undecided {
			t.Errorf("%q proves %q: %s", signature, body, reason)
		}
	})
}
