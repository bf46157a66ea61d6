package gateway_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/wire"
)

// scripted is an upstream that does as it is told: play is given each
// connection with the head of its first request read.
func scripted(t *testing.T, play func(c *net.TCPConn, head string)) (addr string, heads *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	heads = new(atomic.Int64)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(20 * time.Second))
				br := bufio.NewReader(c)
				var head strings.Builder
				for {
					line, err := br.ReadString('\n')
					if err != nil {
						return
					}
					head.WriteString(line)
					if line == "\r\n" {
						break
					}
				}
				heads.Add(1)
				play(c.(*net.TCPConn), head.String())
			}()
		}
	}()
	return l.Addr().String(), heads
}

// hold keeps a connection open until the other side lets go of it.
func hold(c net.Conn) { io.Copy(io.Discard, c) }

const ok = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"

// F17: each way an upstream can fail has an answer of its own, and none of it
// hangs, leaks, or is sent twice where that could do harm.
func TestF17UpstreamsThatFail(t *testing.T) {
	for _, c := range []struct {
		name   string
		play   func(c *net.TCPConn, head string)
		status int // 0: the answer breaks off
		reason string
		body   string
	}{
		{"closes without a word", func(c *net.TCPConn, _ string) {}, 502, "upstream.truncated", ""},
		{"resets", func(c *net.TCPConn, _ string) { c.SetLinger(0) }, 502, "upstream.truncated", ""},
		{"half a head", func(c *net.TCPConn, _ string) { io.WriteString(c, "HTTP/1.1 200 OK\r\nConte") }, 502, "upstream.truncated", ""},
		{"never answers", func(c *net.TCPConn, _ string) { hold(c) }, 504, "upstream.timeout", ""},
		{"head that drips", func(c *net.TCPConn, _ string) {
			for _, b := range []byte(ok + strings.Repeat("X-Slow: 1\r\n", 100)) {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		}, 504, "upstream.timeout", ""},
		{"no HTTP", func(c *net.TCPConn, _ string) { io.WriteString(c, "SSH-2.0-OpenSSH_9.7\r\n\r\n"); hold(c) }, 502, "upstream.malformed", ""},
		{"two lengths", func(c *net.TCPConn, _ string) {
			io.WriteString(c, ok+"Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc")
			hold(c)
		}, 502, "upstream.malformed", ""},
		{"length beside chunked", func(c *net.TCPConn, _ string) {
			io.WriteString(c, ok+"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
			hold(c)
		}, 502, "upstream.malformed", ""},
		{"head without end", func(c *net.TCPConn, _ string) {
			io.WriteString(c, ok)
			for range 100 {
				if _, err := io.WriteString(c, "X-More: "+strings.Repeat("x", 1000)+"\r\n"); err != nil {
					return
				}
			}
			hold(c)
		}, 502, "upstream.malformed", ""},
		{"101 that nobody asked for", func(c *net.TCPConn, _ string) {
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
			hold(c)
		}, 502, "upstream.malformed", ""},

		{"shorter than it says", func(c *net.TCPConn, _ string) { io.WriteString(c, ok+"Content-Length: 10\r\n\r\nabc") }, 0, "ok", "abc"},
		{"chunk cut short", func(c *net.TCPConn, _ string) {
			io.WriteString(c, ok+"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n5\r\nde")
		}, 0, "ok", "abcde"},
		{"body that stops", func(c *net.TCPConn, _ string) { io.WriteString(c, ok+"Content-Length: 10\r\n\r\nabc"); hold(c) }, 0, "ok", "abc"},

		{"longer than it says", func(c *net.TCPConn, _ string) {
			io.WriteString(c, ok+"Content-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
			hold(c)
		}, 502, "upstream.malformed", ""},
		{"informs first", func(c *net.TCPConn, _ string) {
			io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"+ok+"Content-Length: 3\r\nConnection: close\r\n\r\nabc")
		}, 200, "ok", "abc"},
		{"ends with the connection", func(c *net.TCPConn, _ string) { io.WriteString(c, ok+"\r\nabc") }, 200, "ok", "abc"},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr, heads := scripted(t, c.play)
			x := open(t, addr, options{client: wire.ClientOptions{HeadTimeout: 300 * time.Millisecond, BodyTimeout: 300 * time.Millisecond, Eject: 1000}})
			protocols(t, func(t *testing.T, cl *http.Client) {
				// Twice, so that what the first leaves behind shows in the second.
				for range 2 {
					n, before := len(x.events.Events()), heads.Load()
					resp, err := cl.Get("http://" + x.addr + "/items/1")
					if err != nil {
						t.Fatal(err)
					}
					b, err := io.ReadAll(resp.Body)
					resp.Body.Close()
					if c.status == 0 {
						if err == nil || resp.StatusCode != 200 || !strings.HasPrefix(c.body, string(b)) {
							t.Errorf("a broken answer came as %d %q, %v", resp.StatusCode, b, err)
						}
					} else if resp.StatusCode != c.status || err != nil || c.body != "" && string(b) != c.body {
						t.Errorf("got %d %q, %v", resp.StatusCode, b, err)
					}
					if r := x.reasons(n + 1); r[len(r)-1] != c.reason {
						t.Errorf("recorded as %s, want %s", r[len(r)-1], c.reason)
					}
					if c.reason != "ok" && !strings.Contains(string(b), `"reason":"`+c.reason+`"`) {
						t.Errorf("the caller read %q", b)
					}
					if got := heads.Load() - before; got != 1 {
						t.Errorf("the upstream was asked %d times", got)
					}
				}
			})
		})
	}
}

// F17: nobody listens.
func TestF17UpstreamRefuses(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	x := open(t, l.Addr().String(), options{})
	protocols(t, func(t *testing.T, c *http.Client) {
		resp, b := do(t, c, "GET", "http://"+x.addr+"/items/1", "")
		if resp.StatusCode != 502 || !strings.Contains(b, "upstream.unreachable") || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%d %s %v", resp.StatusCode, b, resp.Header)
		}
	})
}

// F17: what an upstream does not take whole is answered all the same, and what
// may have had an effect is never sent a second time.
func TestF17AnswerBeforeTheBodyIsTaken(t *testing.T) {
	addr, _ := scripted(t, func(c *net.TCPConn, _ string) {
		io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nContent-Type: text/plain\r\nContent-Length: 4\r\nConnection: close\r\n\r\nlong")
		// Closed for writing and not read: what still comes is in the way.
		c.CloseWrite()
		time.Sleep(100 * time.Millisecond)
	})
	x := open(t, addr, options{client: wire.ClientOptions{WriteTimeout: 2 * time.Second}})
	t.Run("HTTP/1.1", func(t *testing.T) {
		// net/http's client may report its own failed write instead of the
		// answer, so this one is a plain connection.
		c, err := net.Dial("tcp", x.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		wrote := make(chan struct{})
		go func() {
			defer close(wrote)
			io.WriteString(c, "POST /items HTTP/1.1\r\nHost: a\r\nContent-Type: application/octet-stream\r\nContent-Length: 67108864\r\n\r\n")
			io.Copy(c, io.LimitReader(zeros{}, 64<<20))
		}()
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		if resp.StatusCode != 413 || string(b) != "long" {
			t.Errorf("got %d %q, %v", resp.StatusCode, b, err)
		}
		c.Close()
		<-wrote
	})
	t.Run("HTTP/2", func(t *testing.T) {
		tr := &http.Transport{Protocols: new(http.Protocols)}
		tr.Protocols.SetUnencryptedHTTP2(true)
		defer tr.CloseIdleConnections()
		r, _ := http.NewRequest("POST", "http://"+x.addr+"/items", io.LimitReader(zeros{}, 64<<20))
		r.Header.Set("Content-Type", "application/octet-stream")
		resp, err := (&http.Client{Transport: tr, Timeout: 10 * time.Second}).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if b, err := io.ReadAll(resp.Body); resp.StatusCode != 413 || string(b) != "long" {
			t.Errorf("got %d %q, %v", resp.StatusCode, b, err)
		}
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// F17: an upload that breaks off reaches the upstream as one that broke off,
// never as a shorter whole.
func TestF17BrokenUploadStaysBroken(t *testing.T) {
	seen, began := make(chan error, 4), make(chan bool, 4)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began <- true
		_, err := io.Copy(io.Discard, r.Body)
		seen <- err
	}))
	defer up.Close()
	x := open(t, up.Listener.Addr().String(), options{})
	protocols(t, func(t *testing.T, c *http.Client) {
		pr, pw := io.Pipe()
		go func() {
			io.WriteString(pw, strings.Repeat("x", 100_000))
			<-began // else the upstream may never be asked at all
			pw.CloseWithError(errors.New("the caller's disk broke"))
		}()
		r, _ := http.NewRequest("POST", "http://"+x.addr+"/items", pr)
		r.Header.Set("Content-Type", "application/octet-stream")
		if resp, err := c.Do(r); err == nil {
			resp.Body.Close()
		}
		select {
		case err := <-seen:
			if err == nil {
				t.Error("the upstream took half an upload for the whole")
			}
		case <-time.After(5 * time.Second):
			t.Error("the upstream never saw an end of the upload")
		}
	})
}

// Reloads keep connections, and close those of upstreams that are gone once
// nobody can ask for them any more.
func TestUpstreamsOverReloads(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "fine") }))
	defer up.Close()
	x := open(t, up.Listener.Addr().String(), options{})
	get := func() (*http.Response, string) {
		return do(t, http.DefaultClient, "GET", "http://"+x.addr+"/items/1", "")
	}
	same := gateway.Upstream{Key: "shop", Clients: []wire.ClientOptions{{Address: up.Listener.Addr().String()}}}
	get()
	for range 3 {
		if err := x.gateway.Upstreams([]gateway.Upstream{same}); err != nil {
			t.Fatal(err)
		}
		get()
	}
	if s := x.gateway.UpstreamStats(); len(s) != 1 || s[0].Dialled != 1 {
		t.Errorf("reloads cost connections: %+v", s)
	}

	other := gateway.Upstream{Key: "other", Clients: []wire.ClientOptions{{Address: "127.0.0.1:1"}}}
	for i, want := range []int{200, 502} { // the plan of the test goes on to ask for it
		if err := x.gateway.Upstreams([]gateway.Upstream{other}); err != nil {
			t.Fatal(err)
		}
		if resp, b := get(); resp.StatusCode != want {
			t.Errorf("%d reloads after it was left out: %d %s", i+1, resp.StatusCode, b)
		}
	}
	bad := gateway.Upstream{Key: "bad", Clients: []wire.ClientOptions{{Address: ""}}}
	if err := x.gateway.Upstreams([]gateway.Upstream{bad}); err == nil {
		t.Error("an upstream without address was taken")
	}
}
