package config_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/document"
	"github.com/sallyport/sallyport/policy"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// environ is an environment of pairs.
func environ(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

func parse(src string, pairs ...string) (*config.Config, contract.Diagnostics) {
	return config.Parse("sallyport.yaml", "/etc/sallyport", []byte(src), environ(pairs...))
}

const base = `version: 1
apis: [{name: shop, contract: shop.yaml, upstream: "http://127.0.0.1:3000", mode: enforce}]
`

func TestExampleLoads(t *testing.T) {
	c, ds := config.Load(exampleFile, environ())
	if len(ds) > 0 {
		t.Fatal(ds)
	}
	// As short as the name that Load was given, for faults and events name it.
	const dir = "../docs/examples"
	if got := string(c.APIs[0].Contract); got != filepath.Join(dir, "contracts/shop.openapi.yaml") {
		t.Errorf("the contract is %s", got)
	}
	if got := c.Events.To; got != filepath.Join(dir, "events.jsonl") {
		t.Errorf("events go to %s", got)
	}
	if len(c.Policy.Entries) != 5 || c.APIs[0].Mode != policy.Observe || c.APIs[0].Upstream[0].Host != "127.0.0.1:3000" {
		t.Errorf("got %+v", c)
	}
	if err := valid(t, exampleFile, read(t, exampleFile)); err != nil {
		t.Errorf("the JSON Schema refuses the example: %v", err)
	}
}

// TestDemoLoads: the demo's own file is one that an operator could use.
func TestDemoLoads(t *testing.T) {
	const file = "../demo/contract/sallyport.yaml"
	c, ds := config.Load(file, environ("LISTEN", "127.0.0.1:0", "ADMIN", "127.0.0.1:0",
		"ISSUER_URL", "http://127.0.0.1:4000", "SHOP_URL", "http://127.0.0.1:5000"))
	if len(ds) > 0 {
		t.Fatal(ds)
	}
	if c.Identity[0].Issuer != "http://127.0.0.1:4000" || len(c.Policy.Entries) < 5 {
		t.Errorf("got %+v", c)
	}
	if err := valid(t, file, read(t, file)); err != nil {
		t.Errorf("the JSON Schema refuses the demo's file: %v", err)
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func TestFileOfTwoLinesGetsTheDefaults(t *testing.T) {
	c, ds := parse(base)
	if len(ds) > 0 {
		t.Fatal(ds)
	}
	d := config.Default()
	if diff := cmp.Diff(d.Listen, c.Listen); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(d.Admin, c.Admin, cmp.Comparer(func(a, b config.Secret) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	if c.APIs[0].Timeouts.Connect != 5*time.Second || c.Store != "memory" || c.Shutdown.Grace != 30*time.Second {
		t.Errorf("got %+v", c)
	}
	if c.Listen[0].Address != "127.0.0.1:8080" {
		t.Error("without being asked it listens to others")
	}
	if string(c.Source) != base || c.File != "sallyport.yaml" {
		t.Error("the source is not kept")
	}
}

// everyKey is a file that sets every key.
func everyKey(t testing.TB) []byte {
	t.Helper()
	src, err := os.ReadFile("testdata/every-key.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func TestEveryKeyIsRead(t *testing.T) {
	dir := pki(t)
	c, ds := parse(string(everyKey(t)), "DIR", dir, "KEY", "0123456789abcdef")
	for _, d := range ds {
		if !strings.Contains(d.Msg, "/etc/sallyport/token") {
			t.Error(d)
		}
	}
	if c != nil || len(ds) != 1 {
		t.Fatalf("a token that is not there: %v", ds)
	}
	src := strings.ReplaceAll(string(everyKey(t)), "{file: token}", "${TOKEN}")
	c, ds = parse(src, "DIR", dir, "KEY", "0123456789abcdef", "TOKEN", "fedcba9876543210")
	if len(ds) > 0 {
		t.Fatal(ds)
	}
	empty := ""
	want := config.API{
		Name: "shop", Contract: "/srv/shop.yaml", Overlays: []config.Path{"/etc/sallyport/a.yaml", "/etc/sallyport/b.yaml"},
		Hosts: []string{"shop.example", "[::1]"}, BasePath: &empty, Mode: policy.Enforce, Identity: []string{"acme"},
		Schemes:  map[string]string{"oauth": "acme"},
		Timeouts: config.APITimeouts{Connect: time.Second, Response: 2 * time.Second, Idle: 3 * time.Second}, Connections: 10,
		Health: config.Health{Path: "/healthz", Interval: time.Second},
	}
	got := c.APIs[0]
	if len(got.Upstream) != 2 || got.Upstream[1].String() != "http://127.0.0.1:3002/v1" {
		t.Errorf("upstreams are %v", got.Upstream)
	}
	want.Upstream, want.Pos = got.Upstream, got.Pos
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	l := c.Listen[0]
	if diff := cmp.Diff(config.Limits{RequestLine: 4 << 10, Header: 32 << 10, Fields: 50, Body: 3 << 29, Connections: 5000}, l.Limits); diff != "" {
		t.Error(diff)
	}
	if l.TLS.MinVersion != "1.3" || string(l.TLS.Cert) != dir+"/a.crt" || l.TrustedProxies[1] != netip.MustParsePrefix("192.0.2.7/32") || l.Timeouts.Body != time.Minute {
		t.Errorf("the listener is %+v", l)
	}
	p := c.Identity[0]
	if !p.Algorithms.Any || p.Audiences.List[1] != "urn:shop" || p.Skew != 0 || p.Keep != 7*24*time.Hour || p.Tenant != "/org/id" || p.JWKS == "" {
		t.Errorf("the provider is %+v", p)
	}
	if string(c.Admin.Token) != "fedcba9876543210" || !c.Admin.Cleartext || c.Admin.Address != ":9090" {
		t.Errorf("admin is %+v", c.Admin)
	}
	if c.Events.To != "/var/log/e.jsonl" || c.Events.Subjects != "plain" || c.Events.Queue != 1<<20 || string(c.Events.Key) != "0123456789abcdef" {
		t.Errorf("events are %+v", c.Events)
	}
	if c.Log != (config.Log{Level: "debug", Format: "json"}) || c.Shutdown != (config.Shutdown{Delay: 5 * time.Second, Grace: time.Minute}) {
		t.Errorf("log is %+v, shutdown %+v", c.Log, c.Shutdown)
	}
	if got := c.Place(&c.APIs[0].Contract); got != (contract.Pos{File: "sallyport.yaml", Line: 32, Col: 15}) {
		t.Errorf("the contract stands at %v", got)
	}
	if got := c.Place(&c.Listen[1].Address); got.Line != 1 {
		t.Errorf("a default stands at %v", got)
	}
}

func TestUpstreamMayBeASocket(t *testing.T) {
	src := strings.Replace(base, "http://127.0.0.1:3000", "unix:/run/shop.sock", 1)
	c, ds := parse(src)
	if len(ds) > 0 || c.APIs[0].Upstream[0].Scheme != "unix" || c.APIs[0].Upstream[0].Path != "/run/shop.sock" {
		t.Errorf("got %v, %v", c, ds)
	}
	for _, bad := range []string{"unix:shop.sock", "unix://host/shop.sock", "unix:/"} {
		if c, _ := parse(strings.Replace(base, "http://127.0.0.1:3000", bad, 1)); c != nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}

func TestEnvironment(t *testing.T) {
	src := base + "log: {level: \"${LEVEL:-warn}\"}\nlisten: [{address: \"${HOST:-}:${PORT}\", limits: {fields: \"${FIELDS}\", header: \"${HEADER}\"}}]\n" +
		"admin: {cleartext: \"${CLEAR}\"}\nevents: {to: \"$${X}-$X-${FILE}\"}\npolicy: [{on: \"*\", public: \"${PUBLIC}\"}]\n"
	c, ds := parse(src, "PORT", "8081", "FIELDS", "64", "HEADER", "64KiB", "CLEAR", "true", "LEVEL", "",
		"FILE", "a\": {b: c}, ${PORT} # no YAML", "PUBLIC", "true")
	if len(ds) > 0 {
		t.Fatal(ds)
	}
	l := c.Listen[0]
	if l.Address != ":8081" || l.Limits.Fields != 64 || l.Limits.Header != 64<<10 || !c.Admin.Cleartext || c.Log.Level != "warn" {
		t.Errorf("got %+v, %+v", l, c.Log)
	}
	if want := "/etc/sallyport/${X}-$X-a\": {b: c}, ${PORT} # no YAML"; c.Events.To != want {
		t.Errorf("a value was read as more than a value: %q", c.Events.To)
	}
	if !c.Policy.Entries[0].Public.Value {
		t.Error("the policy does not see the environment")
	}
	// Keys stay as they are.
	if _, ds := parse(base+"${KEY}: 1\n", "KEY", "log"); len(ds) != 1 || !strings.Contains(ds[0].Msg, "unknown key") {
		t.Errorf("a key came from the environment: %v", ds)
	}
}

// canary is a secret that nothing may show.
const canary = "canary-7f3b2c9e5d\n\"quoted\""

// TestSecretsAreNeverShown is threat T5: neither a Secret nor a message about
// a configuration shows what the environment or a file gave.
func TestSecretsAreNeverShown(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(canary+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, ds := parse(base+"admin: {token: {file: "+file+"}}\nevents: {key: \"${KEY}\"}\n", "KEY", canary)
	if len(ds) > 0 {
		t.Fatal(ds)
	}
	if string(c.Admin.Token) != canary || string(c.Events.Key) != canary {
		t.Fatalf("secrets are %q, %q", string(c.Admin.Token), string(c.Events.Key))
	}
	s := c.Admin.Token
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T %v"} {
		fmt.Fprintf(&out, verb, s)
		fmt.Fprintf(&out, verb, &s)
		fmt.Fprintf(&out, verb, c.Admin)
		fmt.Fprintf(&out, verb, c.Events)
		fmt.Fprintf(&out, verb, []any{s, map[string]any{"a": s}})
	}
	fmt.Fprintln(&out, s, fmt.Errorf("x: %v", s))
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("m", "s", s, "a", c.Admin, "p", &c.Events)
	}
	j, err := json.Marshal(c.Admin)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(j)
	y, err := yaml.Marshal(c.Events)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(y)
	if strings.Contains(out.String(), "canary") || strings.Contains(out.String(), "63616e617279") {
		t.Errorf("a secret shows itself:\n%s", out.String())
	}
	if !strings.Contains(string(j), "[redacted]") || !strings.Contains(string(y), "[redacted]") {
		t.Errorf("JSON is %s, YAML %s", j, y)
	}

	// Messages, wherever the value was put by mistake.
	for _, value := range []string{canary, strings.Repeat(canary, 50)} {
		for _, src := range []string{
			"listen: [{address: ${X}}]", "listen: [{limits: {body: \"${X}\"}, trusted_proxies: [\"${X}\"]}]",
			"identity: [{name: a, issuer: \"${X}\", audiences: any, algorithms: [\"${X}\"]}]",
			"log: {level: \"a${X}b\"}", "admin: {token: {file: \"${X}\"}}", "policy: [{on: \"${X}\", mode: \"${X}\"}]",
			"policy: [{on: \"*\", require: \"${X}\", limits: [{name: \"${X}\", per: \"${X}\", rate: \"${X}\"}]}]",
			"shutdown: {grace: \"${X}\"}", "identity: [{name: \"${X}\", issuer: \"https://${X}\", audiences: any, algorithms: any, jwks: \"${X}\"}]",
		} {
			c, ds := parse(base+src+"\n", "X", value)
			if c != nil || len(ds) == 0 {
				t.Errorf("%s is accepted", src)
			}
			if strings.Contains(ds.Error(), "canary") {
				t.Errorf("%s: %v", src, ds)
			}
		}
	}
}

func TestSecretInTheFileIsAWarning(t *testing.T) {
	c, ds := parse(base + "events: {key: 0123456789abcdef}\n")
	if c == nil || len(ds) != 1 || ds[0].Severity != contract.Warning || ds[0].Pos.Line != 3 {
		t.Errorf("got %v", ds)
	}
	if strings.Contains(ds.Error(), "0123456789abcdef") {
		t.Errorf("the warning shows the secret: %v", ds)
	}
}

// pki makes certificates, keys and secrets in a folder.
func pki(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, kind string, b []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"a", "b"} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
		cert, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		write(name+".crt", "CERTIFICATE", cert)
		write(name+".key", "PRIVATE KEY", der)
	}
	if err := os.WriteFile(filepath.Join(dir, "empty"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "long"), bytes.Repeat([]byte("x"), 65<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestBrokenConfigs is threat T4 and case G3: testdata/broken.txt holds broken
// files, and below each what must be said of it.
func TestBrokenConfigs(t *testing.T) {
	const file = "testdata/broken.txt"
	dir := pki(t)
	var out strings.Builder
	n := 0
	for c := range strings.SplitSeq(strings.TrimSuffix(string(read(t, file)), "\n"), "\n====\n") {
		in, want, _ := strings.Cut(c, "\n----\n")
		cfg, ds := config.Parse("sallyport.yaml", dir, []byte(in+"\n"), environ("DIR", dir, "WORD", "secret-word"))
		got := ds.Error()
		if n++; n > 1 {
			out.WriteString("\n====\n")
		}
		out.WriteString(in + "\n----\n" + got)
		if got != want && !*update {
			t.Errorf("%s\n%s", in, cmp.Diff(want, got))
		}
		if cfg != nil || !ds.Fatal() {
			t.Errorf("%s\nis no error", in)
		}
		for _, d := range ds {
			if d.Pos.File != "sallyport.yaml" || d.Pos.Line < 1 || d.Pos.Col < 1 {
				t.Errorf("%s\n%v has no place", in, d)
			}
			// What a schema can say, the JSON Schema says too.
			for _, s := range []string{"unknown key", " is missing", " is not one of ", "not supported yet, only", " is not a name of ", "a whole number from"} {
				if strings.Contains(d.Msg, s) && !strings.Contains(in, "${") && valid(t, "sallyport.yaml", []byte(in)) == nil {
					t.Errorf("%s\nthe JSON Schema takes it, for all that %v", in, d)
				}
			}
		}
	}
	out.WriteString("\n")
	if *update {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if n < 80 {
		t.Errorf("only %d broken files", n)
	}
}

func TestAllFaultsComeTogetherInOrder(t *testing.T) {
	_, ds := parse(`version: 2
lissten: []
listen: [{address: nowhere}]
admin: {address: "0.0.0.0:9090"}
identity: [{name: "a b", issuer: http://id.example, audiences: [], algorithms: [none]}]
apis:
  - {name: a, contract: a.yaml, upstream: "ftp://x", mode: on}
  - {name: a, contract: a.yaml, upstream: "http://127.0.0.1:1", mode: off}
policy: [{on: "*", mod: enforce}]
log: {level: loud}
log: {level: info}
`)
	if len(ds) < 14 {
		t.Errorf("got %d faults", len(ds))
	}
	for i := 1; i < len(ds); i++ {
		if ds[i].Pos.Line < ds[i-1].Pos.Line {
			t.Errorf("%v comes after %v", ds[i].Pos, ds[i-1].Pos)
		}
	}
}

// TestHugeAndHostileFiles is case G5 and fault F13.
func TestHugeAndHostileFiles(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct{ src, want string }{
		"huge policy":  {base + "policy:\n" + strings.Repeat("  - {on: \"*\", mode: enforce} # "+strings.Repeat("x", 90)+"\n", 100_000), "larger than 4 MiB"},
		"many entries": {base + "policy:\n" + strings.Repeat("- {on: \"*\", mode: off}\n", 20_000), "10000 are the most"},
		"alias bomb": {"a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n" +
			"d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f,*f,*f]\n", "aliases make the file too large"},
		"depth bomb": {base + "policy: " + strings.Repeat("[", 100_000), ""},
		"empty":      {"", "empty"},
		"half":       {base[:50], ""},
		"binary":     {"\x00\x01\xff\xfe", ""},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(dir, strings.ReplaceAll(name, " ", "-")+".yaml")
			if err := os.WriteFile(file, []byte(c.src), 0o600); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			cfg, ds := config.Load(file, environ())
			if cfg != nil || !ds.Fatal() || !strings.Contains(ds.Error(), c.want) || ds[0].Pos.File != file {
				t.Errorf("got %.300v", ds)
			}
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
	for _, file := range []string{filepath.Join(dir, "absent.yaml"), dir} {
		if cfg, ds := config.Load(file, environ()); cfg != nil || len(ds) != 1 || strings.Count(ds.Error(), file) != 1 {
			t.Errorf("%s: %v", file, ds)
		}
	}
}

var compiled = func() *jsonschema.Schema {
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(config.Schema()))
	if err != nil {
		panic(err)
	}
	if err := c.AddResource("config.schema.json", doc); err != nil {
		panic(err)
	}
	s, err := c.Compile("config.schema.json")
	if err != nil {
		panic(err)
	}
	return s
}()

// valid asks an independent validator whether the JSON Schema takes a file.
func valid(t testing.TB, name string, src []byte) error {
	t.Helper()
	d, err := document.Parse(name, src)
	if err != nil {
		return err
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(d.Root().JSON(nil)))
	if err != nil {
		t.Fatal(err)
	}
	return compiled.Validate(v)
}

// FuzzParse: what Load takes, the JSON Schema takes as well; what it refuses,
// it refuses at a place of the file; and loading again gives the same.
func FuzzParse(f *testing.F) {
	f.Add(base)
	f.Add(string(everyKey(f)))
	f.Add(base + "policy: [{on: \"*\", limits: [{name: a, per: [address], rate: 5/m}]}]")
	f.Add(base + "listen: [{address: \"${A:-:80}\", limits: {body: 1.0, header: \"2KiB\"}}]")
	f.Add("{\"version\": 1.0, \"apis\": []}")
	f.Fuzz(func(t *testing.T, src string) {
		if len(src) > 10_000 {
			return
		}
		env := environ("A", ":80", "DIR", "/nowhere", "KEY", "0123456789abcdef", "TOKEN", "fedcba9876543210")
		c, ds := config.Parse("f.yaml", "/etc", []byte(src), env)
		for _, d := range ds {
			if d.Pos.File != "f.yaml" || d.Pos.Line < 1 || d.Pos.Line > 1+strings.Count(src, "\n")+strings.Count(src, "\r") || d.Pos.Col < 1 {
				t.Errorf("%v: no such place", d)
			}
		}
		if (c == nil) != ds.Fatal() {
			t.Fatalf("a configuration and faults: %v", ds)
		}
		if c == nil {
			return
		}
		if err := valid(t, "f.yaml", []byte(src)); err != nil {
			t.Errorf("the JSON Schema refuses what Load takes: %v", err)
		}
		if _, again := config.Parse("f.yaml", "/etc", []byte(src), env); again.Error() != ds.Error() {
			t.Errorf("loading again says %v, first %v", again, ds)
		}
	})
}
