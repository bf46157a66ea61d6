package wire_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/wire"
)

// The benchmarks of whole proxies run each in a process of its own, which is
// this test binary started again with the two variables set.
const proxyKind, proxyUpstream = "WIRE_TEST_PROXY", "WIRE_TEST_UPSTREAM"

func TestMain(m *testing.M) {
	if kind := os.Getenv(proxyKind); kind != "" {
		runProxy(kind, os.Getenv(proxyUpstream))
		return
	}
	os.Exit(m.Run())
}

// runProxy prints its address, then its CPU time in microseconds for each line
// it reads, until its input ends.
func runProxy(kind, upstream string) {
	runtime.GOMAXPROCS(1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(l.Addr())
	u := &url.URL{Scheme: "http", Host: upstream}
	switch kind {
	case "wire":
		c, err := wire.NewClient(wire.ClientOptions{Address: upstream})
		if err != nil {
			panic(err)
		}
		s, err := wire.NewServer(wire.Options{Handler: &proxy{upstream: c, forward: wire.Forwarder{Pseudonym: "bench"}}})
		if err != nil {
			panic(err)
		}
		go s.Serve(context.Background(), l)
	case "tuned":
		rp := &httputil.ReverseProxy{
			Rewrite:    func(r *httputil.ProxyRequest) { r.SetURL(u); r.SetXForwarded() },
			BufferPool: bufferPool{},
			Transport:  &http.Transport{MaxIdleConnsPerHost: 1024, DisableCompression: true},
		}
		go http.Serve(l, rp)
	case "stock":
		go http.Serve(l, httputil.NewSingleHostReverseProxy(u))
	}
	if file := os.Getenv("WIRE_TEST_PROFILE"); file != "" {
		f, err := os.Create(file)
		if err != nil {
			panic(err)
		}
		pprof.StartCPUProfile(f)
		defer pprof.StopCPUProfile()
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var ru syscall.Rusage
		syscall.Getrusage(syscall.RUSAGE_SELF, &ru)
		fmt.Println((ru.Utime.Nano() + ru.Stime.Nano()) / 1000)
	}
}

var buffers = sync.Pool{New: func() any { return make([]byte, 32<<10) }}

type bufferPool struct{}

func (bufferPool) Get() []byte { return buffers.Get().([]byte) }

//lint:ignore SA6002 httputil.BufferPool has it so
func (bufferPool) Put(b []byte) { buffers.Put(b) }

// A child is a proxy in its own process.
type child struct {
	addr string
	in   io.WriteCloser
	out  *bufio.Reader
	cmd  *exec.Cmd
}

func start(b testing.TB, kind, upstream string) *child {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	args := []string{self}
	if pin, err := exec.LookPath("taskset"); err == nil && runtime.NumCPU() > 1 {
		args = []string{pin, "-c", "0", self}
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), proxyKind+"="+kind, proxyUpstream+"="+upstream)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	c := &child{in: in, out: bufio.NewReader(out), cmd: cmd}
	b.Cleanup(func() { in.Close(); cmd.Wait() })
	c.addr = strings.TrimSpace(c.line(b))
	return c
}

func (c *child) line(b testing.TB) string {
	s, err := c.out.ReadString('\n')
	if err != nil {
		b.Fatalf("the proxy died: %v", err)
	}
	return s
}

func (c *child) cpu(b testing.TB) time.Duration {
	io.WriteString(c.in, "\n")
	n, err := strconv.Atoi(strings.TrimSpace(c.line(b)))
	if err != nil {
		b.Fatal(err)
	}
	return time.Duration(n) * time.Microsecond
}

// startNginx starts nginx with one worker that does nothing but proxy_pass.
func startNginx(b testing.TB, upstream string) (addr string, cpu func() time.Duration) {
	b.Helper()
	bin, err := exec.LookPath("nginx")
	if err != nil {
		b.Skip("nginx is not installed")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	addr = l.Addr().String()
	l.Close()
	dir := b.TempDir()
	conf := `daemon off; master_process off; worker_processes 1; pid ` + dir + `/pid; error_log stderr crit;
worker_cpu_affinity 01; events { worker_connections 4096; }
http { access_log off; keepalive_requests 100000000; client_body_temp_path ` + dir + `/a; proxy_temp_path ` + dir + `/b;
 fastcgi_temp_path ` + dir + `/c; uwsgi_temp_path ` + dir + `/d; scgi_temp_path ` + dir + `/e;
 upstream up { server ` + upstream + `; keepalive 256; keepalive_requests 100000000; }
 server { listen ` + addr + `; location / { proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection "";
  proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr;` + os.Getenv("WIRE_TEST_NGINX") + ` } } }`
	if err := os.WriteFile(dir+"/conf", []byte(conf), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(bin, "-p", dir, "-c", dir+"/conf")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
			break
		}
	}
	return addr, func() time.Duration {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", cmd.Process.Pid))
		if err != nil {
			b.Fatal(err)
		}
		n, err := strconv.ParseInt(strings.Fields(string(data))[0], 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		return time.Duration(n)
	}
}

// origin answers every request with the same bytes and costs little itself.
func origin(b testing.TB, size int) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	answer := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nServer: origin\r\nContent-Length: %d\r\n\r\n%s", size, bytes.Repeat([]byte("x"), size))
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 64<<10)
				have, want := 0, 0 // bytes of the request, and how many it has
				for {
					n, err := c.Read(buf[have:])
					if err != nil {
						return
					}
					have += n
					if want == 0 {
						i := bytes.Index(buf[:have], []byte("\r\n\r\n"))
						if i < 0 {
							continue
						}
						want = i + 4
						if j := bytes.Index(buf[:i], []byte("Content-Length: ")); j >= 0 {
							line, _, _ := bytes.Cut(buf[j+16:have], []byte("\r"))
							n, _ := strconv.Atoi(string(line))
							want += n
						}
					}
					if have < want {
						continue
					}
					have, want = 0, 0
					if _, err := c.Write(answer); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// benchRequest has a head of about 700 bytes, as a browser or an SDK sends.
func benchRequest(body int) []byte {
	token := strings.Repeat("eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.", 8)
	head := "/v1/shops/42/orders/20251123?expand=items HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: bench/1.0 (linux; amd64)\r\n" +
		"Accept: application/json\r\nAccept-Encoding: gzip\r\nAccept-Language: en-GB,en;q=0.9\r\nAuthorization: Bearer " + token + "\r\n" +
		"Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
	if body == 0 {
		return []byte("GET " + head + "\r\n")
	}
	return fmt.Appendf(nil, "POST %sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", head, body, bytes.Repeat([]byte("y"), body))
}

// load sends n requests over conns connections and checks that each answer
// has size bytes of body.
func load(b testing.TB, addr string, conns, n int, req []byte, size int) {
	var left atomic.Int64
	left.Store(int64(n))
	var wg sync.WaitGroup
	for range conns {
		wg.Go(func() {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				b.Error(err)
				return
			}
			defer c.Close()
			buf := make([]byte, 256<<10)
			for left.Add(-1) >= 0 {
				if _, err := c.Write(req); err != nil {
					b.Error(err)
					return
				}
				have, want := 0, 0
				for want == 0 || have < want {
					n, err := c.Read(buf[have:])
					if err != nil {
						b.Errorf("reading an answer: %v", err)
						return
					}
					have += n
					if want == 0 {
						if i := bytes.Index(buf[:have], []byte("\r\n\r\n")); i >= 0 {
							want = i + 4 + size
						}
					}
				}
				if have != want || string(buf[9:12]) != "200" {
					b.Errorf("answer of %d bytes, want %d: %.100q", have, want, buf[:have])
					return
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkProxy measures the CPU time per request of proxies that check
// nothing, each in its own process on its own core. Compare the rows of one
// run; absolute values move with the machine:
//
//	go test ./wire -run '^$' -bench Proxy -benchtime 20000x -count 3
func BenchmarkProxy(b *testing.B) {
	for _, c := range []struct {
		name       string
		body, size int
	}{{"GET1K", 0, 1 << 10}, {"GET10K", 0, 10 << 10}, {"GET100K", 0, 100 << 10}, {"POST1K", 1 << 10, 1 << 10}} {
		for _, kind := range []string{"wire", "nginx", "tuned", "stock"} {
			b.Run(c.name+"/"+kind, func(b *testing.B) {
				var addr string
				var cpu func() time.Duration
				if kind == "nginx" {
					addr, cpu = startNginx(b, origin(b, c.size))
				} else {
					p := start(b, kind, origin(b, c.size))
					addr, cpu = p.addr, func() time.Duration { return p.cpu(b) }
				}
				req := benchRequest(c.body)
				load(b, addr, 64, 2000, req, c.size)
				before := cpu()
				b.ResetTimer()
				load(b, addr, 64, b.N, req, c.size)
				b.StopTimer()
				b.ReportMetric(float64((cpu()-before).Nanoseconds())/1000/float64(b.N), "cpu-µs/req")
			})
		}
	}
}
