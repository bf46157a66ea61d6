package gateway_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/plan"
	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/wire"
)

// shop is a contract that asks for nothing but the operations themselves, so
// that what is tested is the carrying.
func shop() *contract.API {
	op := func(method, path string, body *contract.Body) *contract.Operation {
		o := &contract.Operation{ID: method + " " + path, Method: method, Path: path, Declared: true, Body: body,
			Security: []contract.Requirement{{}}, Responses: []*contract.Response{{Status: "default", Content: []*contract.Media{{Type: "application/octet-stream"}, {Type: "text/plain"}}}}}
		if strings.Contains(path, "{id}") {
			o.Parameters = []*contract.Parameter{{Name: "id", In: "path", Required: true, Style: "simple"}}
		}
		if method == "POST" {
			o.Parameters = []*contract.Parameter{{Name: "a", In: "query", Style: "form", Explode: true}}
		}
		return o
	}
	any := &contract.Body{Content: []*contract.Media{{Type: "application/octet-stream"}, {Type: "text/plain"}}}
	return &contract.API{
		Format: "OpenAPI 3.1.0", Title: "shop", File: "shop.yaml",
		Operations: []*contract.Operation{
			op("GET", "/items/{id}", nil), op("HEAD", "/items/{id}", nil), op("DELETE", "/items/{id}", nil),
			op("POST", "/items", any), op("PUT", "/items/{id}", any), op("GET", "/slow", nil),
		},
	}
}

// A place is a gateway in front of an upstream.
type place struct {
	t       *testing.T
	addr    string
	gateway *gateway.Gateway
	guard   *guard.Guard
	door    *gateway.Door
	events  *event.Recorder
	served  chan error
}

// options of a place; the zero value is a plain one.
type options struct {
	listener gateway.Listener
	client   wire.ClientOptions
	host     string
	now      func() time.Time
	events   event.Sink    // nil is a recorder
	contract *contract.API // nil is shop
	mode     policy.Mode
	unread   policy.Unread
	bodies   policy.Sizes
}

// open starts a gateway in front of the server at upstream.
func open(t *testing.T, upstream string, o options) *place {
	t.Helper()
	if o.contract == nil {
		o.contract = shop()
	}
	p, ds := plan.Compile(plan.Options{
		Sources: []plan.Source{{Name: "shop", Contract: o.contract, Mode: o.mode, Upstream: plan.Upstream{Key: "shop"}}},
		Policy: &policy.Policy{Entries: []*policy.Entry{{
			On: []policy.Selector{{Kind: policy.All, Text: "*"}}, Public: &policy.Setting[bool]{Value: true},
			Unread: &policy.Setting[policy.Unread]{Value: o.unread}, Body: o.bodies}}},
	})
	if p == nil {
		t.Fatal(ds.Error())
	}
	x := &place{t: t, events: new(event.Recorder), served: make(chan error, 1)}
	if o.events == nil {
		o.events = x.events
	}
	x.guard = guard.New(guard.Options{Plan: p, Events: o.events, Now: o.now})
	o.client.Address = upstream
	var err error
	x.gateway, err = gateway.New(gateway.Options{Guard: x.guard, Name: "sallyport-test", Log: slog.New(slog.DiscardHandler),
		Upstreams: []gateway.Upstream{{Key: "shop", Host: o.host, Clients: []wire.ClientOptions{o.client}}}})
	if err != nil {
		t.Fatal(err)
	}
	if x.door, err = x.gateway.Door(o.listener); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x.addr = l.Addr().String()
	go func() { x.served <- x.door.Serve(context.Background(), l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := x.door.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-x.served; err != nil {
			t.Errorf("serve: %v", err)
		}
		x.gateway.Close()
	})
	return x
}

// reasons are those of the events so far, in order. The last is waited for,
// since an event is put after its answer.
func (x *place) reasons(n int) (codes []string) {
	x.t.Helper()
	for end := time.Now().Add(5 * time.Second); len(x.events.Events()) < n && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	for _, e := range x.events.Events() {
		codes = append(codes, e.Reason.Code())
	}
	return codes
}

// raw sends bytes over a connection of its own and returns all that comes
// back until the connection is closed.
func raw(t *testing.T, addr, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(c) // a reset ends it as well
	return string(b)
}

// protocols are the ways in: the same exchange must end alike over each.
func protocols(t *testing.T, f func(t *testing.T, c *http.Client)) {
	for _, name := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(name, func(t *testing.T) {
			tr := &http.Transport{Protocols: new(http.Protocols), DisableCompression: true}
			tr.Protocols.SetHTTP1(name == "HTTP/1.1")
			tr.Protocols.SetUnencryptedHTTP2(name == "HTTP/2")
			defer tr.CloseIdleConnections()
			f(t, &http.Client{Transport: tr, Timeout: 10 * time.Second})
		})
	}
}

func do(t *testing.T, c *http.Client, method, url, body string, header ...string) (*http.Response, string) {
	t.Helper()
	var rd io.Reader
	if body != "" {
		rd = strings.NewReader(body)
	}
	r, err := http.NewRequest(method, url, rd)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if r.Header.Add(header[i], header[i+1]); header[i] == "Host" {
			r.Host = header[i+1]
		}
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

// What passes reaches the upstream as it was judged, and its answer comes
// back, over both protocols.
func TestExchangePasses(t *testing.T) {
	var mu sync.Mutex
	var got *http.Request
	var body string
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		mu.Lock()
		got, body = r, string(b)
		mu.Unlock()
		w.Header().Set("X-Answer", "yes")
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, "%s %s", r.Method, r.URL)
	}))
	defer up.Close()
	x := open(t, up.Listener.Addr().String(), options{host: "shop.internal"})
	protocols(t, func(t *testing.T, c *http.Client) {
		url := "http://" + x.addr
		resp, b := do(t, c, "POST", url+"/items?a=1", "hello", "X-Kept", "kept", "X-Forwarded-For", "1.2.3.4", "X-Real-IP", "1.2.3.4",
			"X-Original-URL", "/admin", "X-Forwarded-Prefix", "/x", "Forwarded", "for=1.2.3.4", "Content-Type", "text/plain")
		if resp.StatusCode != 201 || b != "POST /items?a=1" || resp.Header.Get("X-Answer") != "yes" {
			t.Fatalf("got %d %q %v", resp.StatusCode, b, resp.Header)
		}
		mu.Lock()
		defer mu.Unlock()
		if body != "hello" || got.Host != "shop.internal" || got.Header.Get("X-Kept") != "kept" {
			t.Errorf("the upstream got %q at %q with %v", body, got.Host, got.Header)
		}
		for name, want := range map[string]string{
			"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": x.addr, "X-Forwarded-Proto": "http",
			"X-Real-Ip": "", "X-Original-Url": "", "X-Forwarded-Prefix": "", "Forwarded": "", "Connection": "", "Upgrade": "",
		} {
			if g := got.Header.Get(name); g != want { // E24
				t.Errorf("the upstream got %s: %q, want %q", name, g, want)
			}
		}
		if v := got.Header.Get("Via"); !strings.HasSuffix(v, " sallyport-test") {
			t.Errorf("Via: %q", v)
		}

		resp, b = do(t, c, "GET", url+"/nothing", "")
		if resp.StatusCode != 404 || !strings.Contains(b, `"reason":"contract.unknown_operation"`) || resp.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("unknown path: %d %q %v", resp.StatusCode, b, resp.Header)
		}
	})
}

// HEAD tells the length that GET has, and sends nothing.
func TestHeadAgreesWithGet(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", "10")
		if r.Method == "GET" {
			io.WriteString(w, "0123456789")
		}
	}))
	defer up.Close()
	x := open(t, up.Listener.Addr().String(), options{})
	protocols(t, func(t *testing.T, c *http.Client) {
		for _, method := range []string{"GET", "HEAD"} {
			resp, b := do(t, c, method, "http://"+x.addr+"/items/1", "")
			if resp.StatusCode != 200 || resp.ContentLength != 10 || (method == "GET") != (len(b) == 10) {
				t.Errorf("%s: %d, length %d, %q", method, resp.StatusCode, resp.ContentLength, b)
			}
		}
	})
}

// A body that no control reads is streamed both ways, as it comes.
func TestBodiesAreStreamed(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		w.Header().Set("Content-Type", "application/octet-stream")
		b := make([]byte, 5)
		if _, err := io.ReadFull(r.Body, b); err != nil {
			return
		}
		rest, _ := io.ReadAll(r.Body)
		w.Write(append(b, rest...))
		w.(http.Flusher).Flush()
	}))
	defer up.Close()
	x := open(t, up.Listener.Addr().String(), options{})
	protocols(t, func(t *testing.T, c *http.Client) {
		pr, pw := io.Pipe()
		go func() {
			for range 100 {
				io.WriteString(pw, strings.Repeat("x", 10_000))
			}
			pw.Close()
		}()
		r, _ := http.NewRequest("POST", "http://"+x.addr+"/items", pr)
		r.Header.Set("Content-Type", "application/octet-stream")
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if len(b) != 1_000_000 || err != nil || resp.StatusCode != 200 {
			t.Errorf("%d: %d bytes, %v: %.300s", resp.StatusCode, len(b), err, b)
		}
	})
}

// G4: a request that comes back to where it went out is refused.
func TestG4Loop(t *testing.T) {
	x := open(t, "127.0.0.1:1", options{})
	protocols(t, func(t *testing.T, c *http.Client) {
		resp, b := do(t, c, "GET", "http://"+x.addr+"/items/1", "", "Via", "1.1 other, 1.1 sallyport-test")
		if resp.StatusCode != 508 || !strings.Contains(b, "wire.loop") {
			t.Errorf("%d %s", resp.StatusCode, b)
		}
	})
}

// A34: nobody gets an upgrade, and what asks for one goes on as a plain
// request without it.
func TestA34UpgradeIsNotForwarded(t *testing.T) {
	seen := make(chan http.Header, 4)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header
		w.Write([]byte("plain"))
	}))
	defer up.Close()
	x := open(t, up.Listener.Addr().String(), options{})
	for _, fields := range []string{
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
		"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
		"Upgrade: websocket\r\n",
	} {
		got := raw(t, x.addr, "GET /items/1 HTTP/1.1\r\nHost: a\r\n"+fields+"\r\nGET /items/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		if strings.Contains(got, " 101 ") || !strings.HasPrefix(got, "HTTP/1.1 200 ") && !strings.HasPrefix(got, "HTTP/1.1 400 ") {
			t.Errorf("%q got %q", fields, got)
		}
		if strings.HasPrefix(got, "HTTP/1.1 400 ") {
			continue
		}
		for h := <-seen; ; h = <-seen {
			if h.Get("Upgrade") != "" || h.Get("Connection") != "" || h.Get("Http2-Settings") != "" {
				t.Errorf("%q: the upstream got %v", fields, h)
			}
			if len(seen) == 0 {
				break
			}
		}
	}
}

// What is no HTTP is refused as problem details, and is an event.
func TestMalformedRequestsAreAnsweredAndRecorded(t *testing.T) {
	x := open(t, "127.0.0.1:1", options{})
	for _, c := range []struct{ request, status, reason string }{
		{"GET /items/1 HTTP/1.1\r\n\r\n", "400", "wire.malformed"},
		{"POST /items HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400", "wire.framing"},
		{"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", "405", "wire.method"},
		{"GET /" + strings.Repeat("a", 9000) + " HTTP/1.1\r\nHost: a\r\n\r\n", "414", "wire.uri_too_long"},
		{"GET / HTTP/1.1\r\nHost: a\r\nCookie: " + strings.Repeat("a", 40_000) + "\r\n\r\n", "431", "wire.header_too_large"},
	} {
		n := len(x.events.Events())
		got := raw(t, x.addr, c.request)
		if !strings.HasPrefix(got, "HTTP/1.1 "+c.status+" ") || !strings.Contains(got, "application/problem+json") || !strings.Contains(got, `"reason":"`+c.reason+`"`) {
			t.Errorf("%.40q got %q", c.request, got)
		}
		if r := x.reasons(n + 1); r[len(r)-1] != c.reason {
			t.Errorf("%.40q was recorded as %v", c.request, r)
		}
	}
}

// F-3: behind a trusted proxy the event names the caller; from others
// X-Forwarded-For says nothing.
func TestF3EventNamesTheCaller(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Header.Get("X-Forwarded-For"))
	}))
	defer up.Close()
	for _, c := range []struct {
		trusted            []netip.Prefix
		sent, caller, told string
	}{
		{nil, "6.6.6.6, 203.0.113.9", "127.0.0.1", "127.0.0.1"},
		{[]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, "6.6.6.6, 203.0.113.9", "203.0.113.9", "203.0.113.9, 127.0.0.1"},
		{[]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, "6.6.6.6, unknown", "127.0.0.1", "127.0.0.1"},
	} {
		x := open(t, up.Listener.Addr().String(), options{listener: gateway.Listener{Trusted: c.trusted}})
		protocols(t, func(t *testing.T, cl *http.Client) {
			n := len(x.events.Events())
			if _, b := do(t, cl, "GET", "http://"+x.addr+"/items/1", "", "X-Forwarded-For", c.sent); b != c.told {
				t.Errorf("the upstream was told %q, want %q", b, c.told)
			}
			x.reasons(n + 1)
			if got := x.events.Events()[n].Remote.String(); got != c.caller {
				t.Errorf("the event names %s, want %s", got, c.caller)
			}
		})
	}
}

// F16: a panic is confined to its exchange, which is refused and counted.
func TestF16PanicIsConfined(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("fine")) }))
	defer up.Close()
	var mu sync.Mutex
	var bad bool
	x := open(t, up.Listener.Addr().String(), options{now: func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		// In the middle of the exchange: the one before it may still be ending.
		var caller [1]uintptr
		runtime.Callers(2, caller[:])
		if f, _ := runtime.CallersFrames(caller[:]).Next(); bad && strings.HasSuffix(f.Function, ".Upstream") {
			panic("planted")
		}
		return time.Now()
	}})
	protocols(t, func(t *testing.T, c *http.Client) {
		before := x.gateway.Panics()
		mu.Lock()
		bad = true
		mu.Unlock()
		resp, b := do(t, c, "GET", "http://"+x.addr+"/items/1", "")
		if resp.StatusCode != 500 || !strings.Contains(b, "internal.fault") || strings.Contains(b, "planted") {
			t.Errorf("%d %s", resp.StatusCode, b)
		}
		mu.Lock()
		bad = false
		mu.Unlock()
		if resp, b := do(t, c, "GET", "http://"+x.addr+"/items/1", ""); resp.StatusCode != 200 {
			t.Errorf("the next exchange: %d %s", resp.StatusCode, b)
		}
		if n := x.gateway.Panics() - before; n != 1 {
			t.Errorf("%d panics were counted", n)
		}
	})
}

// A shutdown lets what is under way end and takes nothing new.
func TestF15ShutdownFinishesWhatIsUnderWay(t *testing.T) {
	protocols(t, func(t *testing.T, c *http.Client) {
		arrived, release := make(chan struct{}), make(chan struct{})
		up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(arrived)
			<-release
			io.WriteString(w, "whole")
		}))
		defer up.Close()
		x := open(t, up.Listener.Addr().String(), options{})
		answer := make(chan string, 1)
		go func() {
			resp, err := c.Get("http://" + x.addr + "/slow")
			if err != nil {
				answer <- err.Error()
				return
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			answer <- fmt.Sprint(resp.StatusCode, " ", string(b), " ", err)
		}()
		<-arrived
		down := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			down <- x.door.Shutdown(ctx)
		}()
		// The listener closes at once, while the exchange is still open.
		for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
			conn, err := net.Dial("tcp", x.addr)
			if err != nil {
				break
			}
			conn.Close()
		}
		close(release)
		if got := <-answer; got != "200 whole <nil>" {
			t.Errorf("the exchange under way ended with %s", got)
		}
		if err := <-down; err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
}
