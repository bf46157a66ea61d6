package gateway_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/gateway"
)

// pair writes a certificate and its key, and returns what verifies it and what
// a client could use it by.
func pair(t *testing.T, files gateway.KeyPair, serial int64, until time.Time, names ...string) (*x509.CertPool, tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, leaf, leaf, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	for name, text := range map[string][]byte{files.Cert: certPEM, files.Key: keyPEM} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	c, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	return pool, c
}

func inDir(dir, name string) gateway.KeyPair {
	return gateway.KeyPair{Cert: filepath.Join(dir, name+".pem"), Key: filepath.Join(dir, name+".key")}
}

// serial makes a handshake and returns the number of the certificate it was
// shown.
func serial(t *testing.T, addr, name string) int64 {
	t.Helper()
	c, err := tls.Dial("tcp", addr, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

// F26: a renewed certificate is shown to new handshakes while open connections
// go on; one that does not fit its key, cannot be read, or has expired leaves
// the old one in use.
func TestF26CertificateRotation(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "fine") }))
	defer up.Close()
	files := inDir(t.TempDir(), "shop")
	hour := time.Now().Add(time.Hour)
	roots, _ := pair(t, files, 1, hour, "shop.example")
	certs, err := gateway.LoadCertificates(gateway.CertificateFiles{Pairs: []gateway.KeyPair{files}})
	if err != nil {
		t.Fatal(err)
	}
	x := open(t, up.Listener.Addr().String(), options{listener: gateway.Listener{Certificates: certs}})

	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "shop.example"}}
	defer tr.CloseIdleConnections()
	held := &http.Client{Transport: tr}
	get := func() {
		t.Helper()
		if resp, b := do(t, held, "GET", "https://"+x.addr+"/items/1", "", "Host", "shop.example"); resp.StatusCode != 200 || resp.TLS.PeerCertificates[0].SerialNumber.Int64() != 1 {
			t.Errorf("the open connection: %d %s", resp.StatusCode, b)
		}
	}
	get()
	if changed, err := certs.Load(); changed || err != nil {
		t.Errorf("unchanged files: %v, %v", changed, err)
	}

	pair(t, files, 2, hour, "shop.example")
	if changed, err := certs.Load(); !changed || err != nil {
		t.Fatalf("a renewed certificate: %v, %v", changed, err)
	}
	if n := serial(t, x.addr, "shop.example"); n != 2 {
		t.Errorf("a new handshake was shown %d", n)
	}
	get()

	good, err := os.ReadFile(files.Key)
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(){
		"a certificate of another key": func() {
			pair(t, files, 3, hour, "shop.example")
			os.WriteFile(files.Key, good, 0o600)
		},
		"half a file": func() { os.WriteFile(files.Cert, []byte("-----BEGIN CERTIFICATE-----\nMII"), 0o600) },
		"no file":     func() { os.Remove(files.Cert) },
		"expired":     func() { pair(t, files, 4, time.Now().Add(-time.Hour), "shop.example") },
	} {
		spoil()
		if changed, err := certs.Load(); changed || err == nil {
			t.Errorf("%s: changed %v, %v", name, changed, err)
		}
		if n := serial(t, x.addr, "shop.example"); n != 2 {
			t.Errorf("%s: a new handshake was shown %d", name, n)
		}
	}
}

// E23: a connection that was made for one host does not serve another.
func TestE23ServerNameAndHost(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "fine") }))
	defer up.Close()
	files := inDir(t.TempDir(), "shop")
	roots, _ := pair(t, files, 1, time.Now().Add(time.Hour), "shop.example", "admin.example")
	certs, err := gateway.LoadCertificates(gateway.CertificateFiles{Pairs: []gateway.KeyPair{files}})
	if err != nil {
		t.Fatal(err)
	}
	x := open(t, up.Listener.Addr().String(), options{listener: gateway.Listener{Certificates: certs}})
	for _, http1 := range []bool{true, false} {
		tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "shop.example"}, ForceAttemptHTTP2: !http1}
		defer tr.CloseIdleConnections()
		for host, want := range map[string]int{
			"shop.example": 200, "SHOP.example:443": 200, "shop.example.": 200, "admin.example": 421, "shop.example.evil": 421, "": 200,
		} {
			r, err := http.NewRequest("GET", "https://"+x.addr+"/items/1", nil)
			if err != nil {
				t.Fatal(err)
			}
			if r.Host = host; host == "" {
				r.Host = "shop.example"
			}
			resp, err := (&http.Client{Transport: tr}).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != want || want == 421 && !strings.Contains(string(b), "wire.misdirected") {
				t.Errorf("%s: host %q got %d %s, want %d", resp.Proto, host, resp.StatusCode, b, want)
			}
		}
	}
}

// Where an authority of client certificates is set, callers without one of
// theirs do not get in, and a new authority takes effect.
func TestClientCertificates(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "fine") }))
	defer up.Close()
	dir := t.TempDir()
	hour := time.Now().Add(time.Hour)
	roots, _ := pair(t, inDir(dir, "shop"), 1, hour, "shop.example")
	ca := inDir(dir, "clients")
	_, mine := pair(t, ca, 2, hour, "client")
	certs, err := gateway.LoadCertificates(gateway.CertificateFiles{Pairs: []gateway.KeyPair{inDir(dir, "shop")}, ClientCA: ca.Cert})
	if err != nil {
		t.Fatal(err)
	}
	x := open(t, up.Listener.Addr().String(), options{listener: gateway.Listener{Certificates: certs}})
	get := func(with ...tls.Certificate) error {
		tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "shop.example", Certificates: with}, ForceAttemptHTTP2: true}
		defer tr.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		r, _ := http.NewRequestWithContext(ctx, "GET", "https://"+x.addr+"/items/1", nil)
		r.Host = "shop.example"
		resp, err := (&http.Client{Transport: tr}).Do(r)
		if err == nil {
			resp.Body.Close()
			if resp.ProtoMajor != 2 {
				t.Errorf("spoke %s", resp.Proto)
			}
		}
		return err
	}
	if err := get(mine); err != nil {
		t.Errorf("with a certificate: %v", err)
	}
	if err := get(); err == nil {
		t.Error("without a certificate: let in")
	}
	_, theirs := pair(t, ca, 3, hour, "client")
	if changed, err := certs.Load(); !changed || err != nil {
		t.Fatal(changed, err)
	}
	if err := get(theirs); err != nil {
		t.Errorf("with a certificate of the new authority: %v", err)
	}
	if err := get(mine); err == nil {
		t.Error("with a certificate of the old authority: let in")
	}
}
