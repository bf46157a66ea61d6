package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"
)

// The loop notices what a proxy does wrong: a figure that counts broken
// answers is worth nothing.
func TestLoopNoticesWhatIsWrong(t *testing.T) {
	works := workloads([]string{"token"})
	l, err := newLoop(works)
	if err != nil {
		t.Fatal(err)
	}
	go l.run(loadCore)
	upstream, err := url.Parse(fmt.Sprintf("http://127.0.0.1:%d", l.upstreamPort))
	if err != nil {
		t.Fatal(err)
	}
	forward := func(change func(*http.Response) error) http.Handler {
		return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(upstream) }, ModifyResponse: change}
	}
	swap := func(from, to string) func(*http.Response) error {
		return func(r *http.Response) error {
			b, err := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(bytes.ReplaceAll(b, []byte(from), []byte(to))))
			return err
		}
	}
	for _, c := range []struct {
		name, want string // of the first error; "" wants none
		handler    http.Handler
	}{
		{"a proxy that is right", "", forward(nil)},
		{"in chunks", "", forward(func(r *http.Response) error {
			r.Header.Del("Content-Length")
			r.ContentLength = -1
			return nil
		})},
		{"one byte differs", "the body differs", forward(swap("EUR", "EUX"))},
		{"another status", "want status", forward(func(r *http.Response) error { r.StatusCode++; return nil })},
		{"not from the upstream", "the upstream saw 0 requests", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			a := l.answers[r.Method+" "+r.URL.RequestURI()]
			_, body, _ := bytes.Cut(a.bytes, endOfHead)
			w.WriteHeader(map[string]int{"GET": 200, "POST": 201}[r.Method])
			w.Write(body)
		})},
		{"asked twice", "the upstream saw", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			if resp, err := http.Post(upstream.String()+r.URL.RequestURI(), "application/json", bytes.NewReader(b)); err == nil && r.Method == "POST" {
				resp.Body.Close()
			} else if resp, err := http.Get(upstream.String() + r.URL.RequestURI()); err == nil {
				resp.Body.Close()
			}
			r.Body = io.NopCloser(bytes.NewReader(b))
			forward(nil).ServeHTTP(w, r)
		})},
		{"another body sent", "", nil}, // below, for POST
	} {
		for _, w := range works {
			handler, want := c.handler, c.want
			if handler == nil {
				if w.name != "post" {
					continue
				}
				want = "want status 201" // the upstream closes, the proxy says 502
				handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					b, _ := io.ReadAll(r.Body)
					r.Body = io.NopCloser(bytes.NewReader(bytes.Replace(b, []byte("gift"), []byte("gilt"), 1)))
					forward(nil).ServeHTTP(w, r)
				})
			}
			t.Run(c.name+"/"+w.name, func(t *testing.T) {
				s := httptest.NewUnstartedServer(handler)
				s.Config.ErrorLog = nil
				s.Start()
				defer s.Close()
				res := l.do(&job{
					port: s.Listener.Addr().(*net.TCPAddr).Port, callers: 4, exchanges: w.exchanges,
					length: 50 * time.Millisecond, pids: []int{os.Getpid()},
				})
				if want == "" && (res.Errors > 0 || res.Requests == 0 || res.CPU <= 0) {
					t.Errorf("%d requests, %v CPU, %d errors, the first: %s", res.Requests, res.CPU, res.Errors, res.FirstError)
				}
				if want != "" && !strings.HasPrefix(res.FirstError, want) {
					t.Errorf("the first error is %q, want %q", res.FirstError, want)
				}
			})
		}
	}
}

// The CPU clock of another process is the one that the kernel keeps.
func TestCPUClock(t *testing.T) {
	before := cpuOf([]int{os.Getpid()})
	for begun := time.Now(); time.Since(begun) < 20*time.Millisecond; {
	}
	if used := cpuOf([]int{os.Getpid()}) - before; used < time.Millisecond {
		t.Errorf("20 ms of work took %v of CPU time", used)
	}
	if cpuOf([]int{1 << 22}) != 0 {
		t.Error("a process that does not exist has a clock")
	}
}

// Tables are put between their marks, and nowhere else.
func TestReplaceMarked(t *testing.T) {
	doc := "a\n<!-- bench:x -->\nold\n<!-- /bench:x -->\nb <!-- bench:y --><!-- /bench:y -->"
	got, err := replaceMarked(doc, "x", "new\n")
	if want := strings.Replace(doc, "old", "new", 1); err != nil || got != want {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	if _, err := replaceMarked(doc, "z", "new"); err == nil {
		t.Error("missing marks were not missed")
	}
}
