package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"sallyport": main,
	})
}

// TestScripts reads as the manual: one script for each command.
//
// Beside sallyport the scripts have an upstream, whose URL is $UPSTREAM, the
// free addresses $LISTEN, $LISTEN2 and $ADMIN, and the commands below.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			up := httptest.NewServer(http.HandlerFunc(upstream))
			e.Defer(up.Close)
			e.Setenv("UPSTREAM", up.URL)
			e.Setenv("UPSTREAM_ADDRESS", up.Listener.Addr().String())
			for _, name := range []string{"LISTEN", "LISTEN2", "ADMIN"} {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					return err
				}
				e.Setenv(name, l.Addr().String())
				l.Close()
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"http":        scriptHTTP,
			"until":       scriptUntil,
			"send":        scriptSend,
			"certificate": scriptCertificate,
			"hang":        scriptHang,
		},
	})
}

// upstream is the API that scripts guard. GET /hang never answers.
func upstream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server", "shop/1.0")
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/hang":
		<-r.Context().Done()
	default:
		fmt.Fprintf(w, `{"id":%q,"name":"tea","secret":"s3cr3t"}`, strings.TrimPrefix(r.URL.Path, "/items/"))
	}
}

// ask does one request of a script. It knows the certificates of scripts only
// by name, as a client does that was told to trust them.
func ask(ts *testscript.TestScript, method, url string, header []string) (string, error) {
	r, err := http.NewRequest(method, url, nil)
	ts.Check(err)
	for _, h := range header {
		k, v, ok := strings.Cut(h, ": ")
		if !ok {
			ts.Fatalf("no header: %q", h)
		}
		if r.Header.Add(k, v); strings.EqualFold(k, "Host") {
			r.Host = v
		}
	}
	tr := &http.Transport{DisableKeepAlives: true, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr, Timeout: 10 * time.Second}).Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", resp.Proto, resp.Status)
	if resp.TLS != nil {
		fmt.Fprintf(&b, "certificate: %s\n", resp.TLS.PeerCertificates[0].SerialNumber)
	}
	for k, v := range resp.Header {
		fmt.Fprintf(&b, "%s: %s\n", k, strings.Join(v, ", "))
	}
	fmt.Fprintf(&b, "\n%s\n", body)
	return b.String(), nil
}

// http METHOD URL [HEADER...] does a request and prints the answer. Negated, it
// asks that none comes.
func scriptHTTP(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: http METHOD URL [HEADER...]")
	}
	out, err := ask(ts, args[0], args[1], args[2:])
	switch {
	case err != nil && !neg:
		ts.Fatalf("%v", err)
	case err == nil && neg:
		ts.Fatalf("an answer came: %s", out)
	}
	io.WriteString(ts.Stdout(), out)
}

// until URL TEXT asks again and again until the answer holds TEXT, for at most
// 10 s, and prints it. "until ! URL" waits until no answer comes.
func scriptUntil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: until URL TEXT, or until ! URL")
	}
	url, text := args[0], args[1]
	if url == "!" {
		url, text = text, ""
	}
	last := ""
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		out, err := ask(ts, "GET", url, nil)
		if text == "" && err != nil {
			return
		}
		if text != "" && err == nil && strings.Contains(out, text) {
			io.WriteString(ts.Stdout(), out)
			return
		}
		last = fmt.Sprint(out, err)
	}
	ts.Fatalf("%s: the last answer was %s", url, last)
}

// send SIGNAL sends a signal to the commands in the background.
func scriptSend(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]os.Signal{"TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP}
	if neg || len(args) != 1 || signals[args[0]] == nil {
		ts.Fatalf("usage: send TERM|HUP")
	}
	for _, c := range ts.BackgroundCmds() {
		ts.Check(c.Process.Signal(signals[args[0]]))
	}
}

// hang URL begins a request and leaves it open until the script ends.
func scriptHang(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: hang URL")
	}
	u, err := url.Parse(args[0])
	ts.Check(err)
	c, err := net.Dial("tcp", u.Host)
	ts.Check(err)
	ts.Defer(func() { c.Close() })
	_, err = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", u.Path, u.Host)
	ts.Check(err)
}

// certificate SERIAL writes cert.pem and key.pem with a serial number.
func scriptCertificate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: certificate SERIAL")
	}
	serial, ok := new(big.Int).SetString(args[0], 10)
	if !ok {
		ts.Fatalf("no number: %s", args[0])
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	now := time.Now()
	leaf := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost", "shop.example"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, leaf, leaf, &key.PublicKey, key)
	ts.Check(err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("cert.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600))
}

// A command can be run in process, with its own streams.
func TestRunTakesItsStreams(t *testing.T) {
	var out, talk strings.Builder
	status := run(context.Background(), env{stdout: &out, stderr: &talk}, []string{"explain", "authz.owner"})
	if status != done || !strings.HasPrefix(out.String(), "authz.owner\n") || talk.Len() > 0 {
		t.Errorf("status %d, said %q, %q", status, out.String(), talk.String())
	}
	if status := run(context.Background(), env{stdout: &out, stderr: &talk}, []string{"nothing"}); status != couldNot || talk.Len() == 0 {
		t.Errorf("an unknown command: status %d, said %q", status, talk.String())
	}
}

func TestNearest(t *testing.T) {
	for typed, want := range map[string]string{
		"authz.owner":    "authz.owner",
		"authz.ownr":     "authz.owner",
		"owner":          "authz.owner",
		"AUTHN.EXPIRED":  "authn.expired",
		"expired":        "authn.expired",
		"framing":        "wire.framing",
		"zzz":            "",
		"":               "",
		"limit.rates":    "limit.rate",
		"response_owner": "authz.response_owner",
	} {
		if got := nearest(typed); got != want {
			t.Errorf("nearest(%q) = %q, want %q", typed, got, want)
		}
	}
}
