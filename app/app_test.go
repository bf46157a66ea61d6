package app

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/contract"
)

// A running is an App on its way, of a configuration in a folder of its own.
type running struct {
	*App
	t    *testing.T
	dir  string
	log  *safeBuffer
	url  string
	stop context.CancelFunc
	done chan error
}

type safeBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func (b *safeBuffer) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.b.Reset()
}

const header = `version: 1
listen: [{address: "127.0.0.1:0"}]
admin: {address: "127.0.0.1:0"}
policy: [{on: ["*"], public: true}]
`

// start starts an App. files are written beside sallyport.yaml.
func start(t *testing.T, text string, files map[string]string) *running {
	t.Helper()
	r := &running{t: t, dir: t.TempDir(), log: new(safeBuffer), done: make(chan error, 1)}
	r.write("sallyport.yaml", text)
	for name, text := range files {
		r.write(name, text)
	}
	file := filepath.Join(r.dir, "sallyport.yaml")
	var err error
	r.App, err = New(t.Context(), Options{
		Load: func() (*config.Config, contract.Diagnostics) { return config.Load(file, os.LookupEnv) },
		Log:  slog.New(slog.NewTextHandler(r.log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	r.stop = stop
	go func() { r.done <- r.Run(ctx) }()
	r.url = r.Addresses()[0]
	t.Cleanup(func() {
		r.end()
		if t.Failed() {
			t.Log(r.log.String())
		}
	})
	return r
}

func (r *running) write(name, text string) {
	r.t.Helper()
	// Whole or not at all, as editors and deployments do it.
	path := filepath.Join(r.dir, name)
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		r.t.Fatal(err)
	}
}

// end stops the App, the first time it is called.
func (r *running) end() {
	if r.stop == nil {
		return
	}
	r.stop()
	r.stop = nil
	select {
	case err := <-r.done:
		if err != nil {
			r.t.Errorf("run: %v", err)
		}
	case <-time.After(20 * time.Second):
		r.t.Error("run did not end")
	}
	r.Close()
}

// until waits until /items is answered so, for as long as a change of files may
// take to be seen.
func (r *running) until(want string) {
	r.t.Helper()
	var b []byte
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		resp, err := http.Get(r.url + "/items")
		if err != nil {
			r.t.Fatal(err)
		}
		b, _ = io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(b) == want {
			return
		}
	}
	r.t.Errorf("5 s after the files changed /items is answered %s, want %s", b, want)
}

// edition is a contract whose answers hold a property of their own alone, so
// that an answer tells by which edition it was judged.
func edition(property string) string {
	return `openapi: 3.1.0
info: {title: shop, version: "` + property + `"}
paths:
  /items:
    get:
      operationId: items
      responses: {"200": {description: ok, content: {application/json: {schema: {type: object, properties: {` + property + `: {type: integer}}}}}}}
`
}

func shopServer(t *testing.T) *httptest.Server {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"a":1,"b":2}`)
	}))
	t.Cleanup(up.Close)
	return up
}

// use is what a process holds, after everything that can go has gone.
type use struct{ heap, goroutines, files int }

func measure(t *testing.T) use {
	t.Helper()
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("descriptors cannot be counted here")
	}
	return use{int(m.HeapAlloc), runtime.NumGoroutine(), len(fds)}
}

// F13: 200 reloads under load: no exchange fails, each is judged by one whole
// plan, bad files change nothing, and nothing is left behind.
func TestF13ReloadsUnderLoad(t *testing.T) {
	up := shopServer(t)
	r := start(t, header+`
apis: [{name: shop, contract: shop.yaml, upstream: "`+up.URL+`", mode: enforce}]
events: {to: off}
`, map[string]string{"shop.yaml": edition("a")})

	var asked, bad atomic.Int64
	// under does something while a crowd asks, and returns when all are gone.
	under := func(do func()) {
		ctx, stop := context.WithCancel(t.Context())
		var crowd sync.WaitGroup
		defer crowd.Wait()
		defer stop()
		for range 4 {
			crowd.Go(func() {
				tr := &http.Transport{}
				defer tr.CloseIdleConnections()
				c := &http.Client{Transport: tr, Timeout: 10 * time.Second}
				for ctx.Err() == nil {
					resp, err := c.Get(r.url + "/items")
					if err != nil {
						bad.Add(1)
						t.Error(err)
						return
					}
					b, err := io.ReadAll(resp.Body)
					resp.Body.Close()
					asked.Add(1)
					if err != nil || resp.StatusCode != 200 || string(b) != `{"a":1}` && string(b) != `{"b":2}` {
						bad.Add(1)
						t.Errorf("%d %s, %v", resp.StatusCode, b, err)
						return
					}
				}
			})
		}
		do()
	}

	broken := []string{"openapi: 3.1.0\ninfo: {title", "", "swagger: \"1.2\"", strings.Repeat("x: ", 100)}
	reload := func(i int) {
		if i%5 == 4 {
			r.write("shop.yaml", broken[i/5%len(broken)])
			if err := r.Reload(); err == nil {
				t.Error("a broken contract was put in force")
			}
			return
		}
		r.write("shop.yaml", edition([]string{"a", "b"}[i%2]))
		if err := r.Reload(); err != nil {
			t.Errorf("reload %d: %v", i, err)
		}
	}
	under(func() {
		for i := range 20 {
			reload(i)
		}
	})
	r.log.reset()
	before := measure(t)
	under(func() {
		for i := range 200 {
			reload(i)
		}
	})
	r.log.reset()
	// Five per cent, and what the pools of so small a process happen to hold.
	// The last change may still be looked at when the counting begins.
	var after use
	left := true
	for end := time.Now().Add(5 * time.Second); left && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		after = measure(t)
		left = after.heap > before.heap*105/100+512<<10 || after.goroutines > before.goroutines*105/100+2 || after.files > before.files*105/100+2
	}
	t.Logf("%d exchanges, %d of them bad, over 200 reloads; before %+v, after %+v", asked.Load(), bad.Load(), before, after)
	if left {
		t.Error("200 reloads left something")
	}
	if asked.Load() < 200 {
		t.Errorf("only %d exchanges under 200 reloads", asked.Load())
	}
	if got := r.snapshot(); got.Reloads.Done < 160 || got.Reloads.Failed < 40 {
		t.Errorf("counted %+v", got.Reloads)
	}
	// An exchange is counted just after its answer.
	total := uint64(0)
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		total = 0
		for _, e := range r.snapshot().Exchanges {
			total += e.Count
		}
		if total == uint64(asked.Load()) {
			return
		}
	}
	t.Errorf("%d exchanges, and the counters say %d after the reloads", asked.Load(), total)
}

// F13: what cannot be read, or not compiled, leaves the plan as it was and is
// logged with its place; mended, it is put in force without being asked.
func TestF13BadFilesKeepTheOldPlan(t *testing.T) {
	up := shopServer(t)
	good := header + `
apis: [{name: shop, contract: shop.yaml, upstream: "` + up.URL + `", mode: enforce}]
events: {to: off}
`
	r := start(t, good, map[string]string{"shop.yaml": edition("a")})
	plan := r.guard.Plan()
	for _, c := range []struct{ name, file, text, logged string }{
		{"configuration that is no YAML", "sallyport.yaml", "version: [", "sallyport.yaml:"},
		{"unknown key", "sallyport.yaml", good + "polcy: []\n", "polcy"},
		{"entry that matches nothing", "sallyport.yaml", strings.Replace(good, `on: ["*"]`, `on: ["operation:gone"]`, 1), "operation:gone"},
		{"missing secret", "sallyport.yaml", good + "admin: {address: off, token: \"${NOT_SET_ANYWHERE}\"}\n", "NOT_SET_ANYWHERE"},
		{"half a contract", "shop.yaml", edition("a")[:40], "shop.yaml:"},
		{"a contract that is gone", "shop.yaml", "", "shop.yaml"},
	} {
		if c.text == "" {
			os.Remove(filepath.Join(r.dir, c.file))
		} else {
			r.write(c.file, c.text)
		}
		if err := r.Reload(); err == nil || r.guard.Plan() != plan {
			t.Errorf("%s: error %v, plan changed: %v", c.name, err, r.guard.Plan() != plan)
		}
		if !strings.Contains(r.log.String(), c.logged) {
			t.Errorf("%s: the log does not name %q", c.name, c.logged)
		}
		r.write("sallyport.yaml", good)
		r.write("shop.yaml", edition("a"))
	}
	// A key set that is none; what mends it is a file that is not in force yet.
	r.write("keys.json", `{"keys": 3}`)
	r.write("sallyport.yaml", good+`identity: [{name: id, issuer: "https://id.example", audiences: [shop], algorithms: [ES256], jwks: keys.json}]`)
	if err := r.Reload(); err == nil || r.guard.Plan() != plan {
		t.Errorf("a bad key set: error %v, plan changed: %v", err, r.guard.Plan() != plan)
	}
	if !strings.Contains(r.log.String(), "sallyport.yaml:8:99") {
		t.Error("a bad key set: the log does not name its place")
	}
	r.write("shop.yaml", edition("b"))
	r.write("keys.json", keySet)
	r.until(`{"b":2}`)
}

// keySet is a key set of one public key.
const keySet = `{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","kid":"1","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}`

// Every file that is in use is watched: those that the contract refers to,
// overlays, key sets, secrets. One that is rotated takes effect by itself.
func TestEveryFileInUseIsWatched(t *testing.T) {
	up := shopServer(t)
	r := start(t, `version: 1
listen: [{address: "127.0.0.1:0"}]
admin: {address: "127.0.0.1:0", token: {file: token}}
policy: [{on: ["*"], public: true}]
identity: [{name: id, issuer: "https://id.example", audiences: [shop], algorithms: [ES256], jwks: keys.json}]
apis: [{name: shop, contract: shop.yaml, overlays: [overlay.yaml], upstream: "`+up.URL+`", mode: enforce}]
events: {to: off}
`, map[string]string{
		"token":        "a token of enough characters",
		"keys.json":    keySet,
		"overlay.yaml": "overlay: 1.0.0\ninfo: {title: o, version: \"1\"}\nactions: [{target: $.info, update: {description: overlaid}}]\n",
		"shop.yaml":    strings.Replace(edition("a"), "{type: object, properties: {a: {type: integer}}}", `{$ref: "parts.yaml#/item"}`, 1),
		"parts.yaml":   "item: {type: object, properties: {a: {type: integer}}}\n",
	})
	watched := map[string]bool{}
	for _, name := range r.current.Load().files {
		watched[filepath.Base(name)] = true
	}
	for _, want := range []string{"sallyport.yaml", "token", "keys.json", "overlay.yaml", "shop.yaml", "parts.yaml"} {
		if !watched[want] {
			t.Errorf("%s is not watched, of %v", want, r.current.Load().files)
		}
	}
	scrape := func(token string) int {
		q, _ := http.NewRequest("GET", r.Admin()+"/metrics", nil)
		q.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if got := scrape("a token of enough characters"); got != 200 {
		t.Errorf("with the token: %d", got)
	}
	r.write("token", "another of enough characters")
	r.write("parts.yaml", "item: {type: object, properties: {b: {type: integer}}}\n")
	for end := time.Now().Add(5 * time.Second); scrape("another of enough characters") != 200 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	if got := scrape("a token of enough characters"); got != 401 {
		t.Errorf("with the token of before: %d", got)
	}
	r.until(`{"b":2}`)
}

// F15: under load, a stop harms no exchange: each ends whole, or is refused
// before it began.
func TestF15StopUnderLoad(t *testing.T) {
	up := shopServer(t)
	r := start(t, header+`
apis: [{name: shop, contract: shop.yaml, upstream: "`+up.URL+`", mode: enforce}]
events: {to: events.jsonl}
shutdown: {delay: 100ms, grace: 10s}
`, map[string]string{"shop.yaml": edition("a")})
	var whole, refused atomic.Int64
	var crowd sync.WaitGroup
	started := make(chan struct{}, 8)
	for i := range 8 {
		crowd.Go(func() {
			tr := &http.Transport{Protocols: new(http.Protocols)}
			tr.Protocols.SetHTTP1(i%2 == 0)
			tr.Protocols.SetUnencryptedHTTP2(i%2 == 1)
			defer tr.CloseIdleConnections()
			c := &http.Client{Transport: tr, Timeout: 10 * time.Second}
			for n := 0; ; n++ {
				resp, err := c.Get(r.url + "/items")
				if err != nil {
					if !errors.Is(err, syscall.ECONNREFUSED) {
						t.Errorf("HTTP/2 %v: after %d exchanges: %v", i%2 == 1, n, err)
					}
					refused.Add(1)
					return
				}
				b, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode != 200 || string(b) != `{"a":1}` {
					t.Errorf("%d %s, %v", resp.StatusCode, b, err)
				}
				whole.Add(1)
				if n == 20 {
					started <- struct{}{}
				}
			}
		})
	}
	for range 8 {
		<-started
	}
	r.end()
	crowd.Wait()
	t.Logf("%d exchanges whole, %d refused", whole.Load(), refused.Load())
	f, err := os.Open(filepath.Join(r.dir, "events.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := int64(0)
	for s := bufio.NewScanner(f); s.Scan(); {
		lines++
	}
	if lines != whole.Load() {
		t.Errorf("%d exchanges, and %d events were written", whole.Load(), lines)
	}
}

// F28: a sink that takes nothing holds nobody up, and what is lost is counted.
func TestF28BlockedEvents(t *testing.T) {
	up := shopServer(t)
	dir := t.TempDir()
	fifo := filepath.Join(dir, "events")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Skip(err)
	}
	// Somebody has it open, and reads nothing.
	reader, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	r := start(t, header+`
apis: [{name: shop, contract: shop.yaml, upstream: "`+up.URL+`", mode: enforce}]
events: {to: "`+fifo+`", queue: 262144}
`, map[string]string{"shop.yaml": edition("a")})
	slowest := time.Duration(0)
	const n = 3000
	for range n {
		began := time.Now()
		resp, err := http.Get(r.url + "/items")
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		slowest = max(slowest, time.Since(began))
	}
	s := r.events.Stats()
	if s.Lost.Exchanges+s.Lost.Denials == 0 || slowest > 5*time.Second {
		t.Errorf("after %d exchanges, the slowest of %v, the writer says %+v", n, slowest, s)
	}
	shown := false
	for _, e := range r.snapshot().Events {
		shown = shown || strings.HasPrefix(e.Outcome, "lost_") && e.Count > 0
	}
	if !shown {
		t.Errorf("the loss is not shown: %+v", r.snapshot().Events)
	}
}

// A cold start without anything that could serve says every fault.
func TestColdStartTellsEveryFault(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "sallyport.yaml")
	text := header + `
apis:
  - {name: one, contract: none.yaml, upstream: "http://127.0.0.1:1", mode: enforce, hosts: [one.example]}
  - {name: two, contract: half.yaml, upstream: "http://127.0.0.1:1", mode: enforce, hosts: [two.example]}
`
	for name, text := range map[string]string{"sallyport.yaml": text, "half.yaml": "openapi: 3.1.0\ninfo: {"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err := New(t.Context(), Options{Load: func() (*config.Config, contract.Diagnostics) { return config.Load(file, os.LookupEnv) }})
	var faults contract.Diagnostics
	if !errors.As(err, &faults) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"none.yaml:1:1: ", "half.yaml:"} {
		if !strings.Contains(faults.Error(), want) {
			t.Errorf("%q is not among the faults:\n%v", want, faults)
		}
	}
}

// T1: nothing of the admin address is on an address for callers.
func TestT1AdminIsNotOnTheDataPort(t *testing.T) {
	up := shopServer(t)
	r := start(t, header+`
apis: [{name: shop, contract: shop.yaml, upstream: "`+up.URL+`", mode: enforce}]
events: {to: off}
`, map[string]string{"shop.yaml": edition("a")})
	for _, path := range []string{"/metrics", "/healthz", "/readyz", "/debug/pprof/"} {
		resp, err := http.Get(r.url + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 404 {
			t.Errorf("%s on the data port: %d", path, resp.StatusCode)
		}
	}
	resp, err := http.Get(r.Admin() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("/healthz: %d", resp.StatusCode)
	}
}
