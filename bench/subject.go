package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A subject is a proxy that the bench measures.
type subject struct {
	name, title string
	// start writes the configuration and returns the command to run.
	start func(b *bench, s *subject) (*exec.Cmd, error)

	port  int
	admin int // Sallyport's admin port, 0 for others
	dir   string
	cmd   *exec.Cmd
	ended chan struct{}
	note  string
}

// subjects are listed as the table shows them; the first is the measure.
func subjects() []*subject {
	return []*subject{
		{name: "nginx", title: "nginx, default buffers", start: startNginx},
		{name: "nginx-large", title: "nginx, buffers that hold 100 KB", start: startNginx},
		{name: "haproxy", title: "HAProxy", start: startHAProxy},
		{name: "caddy", title: "Caddy", start: startCaddy},
		{name: "reverseproxy", title: "httputil.ReverseProxy as it comes", start: startPeer("plain")},
		{name: "tuned", title: "httputil.ReverseProxy, tuned", start: startPeer("tuned")},
		{name: "guard", title: "tuned ReverseProxy + golang-jwt + kin-openapi", start: startPeer("guard")},
		{name: "sallyport-bare", title: "Sallyport, bare", start: startSallyport},
		{name: "sallyport", title: "Sallyport, full work", start: startSallyport},
	}
}

const nginxConf = `
daemon off;
worker_processes 1;
pid nginx.pid;
error_log error.log;
%suser root root;
events { worker_connections %d; }
http {
	access_log off;
	client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
	keepalive_timeout 3600s;
	keepalive_requests 1000000000;
	%s
	upstream shop {
		server 127.0.0.1:%d;
		keepalive 128;
		keepalive_requests 1000000000;
	}
	server {
		listen 127.0.0.1:%d;
		location / {
			proxy_pass http://shop;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
		}
	}
}
`

func startNginx(b *bench, s *subject) (*exec.Cmd, error) {
	bin, err := debian("nginx")
	if err != nil {
		return nil, err
	}
	root, buffers := "#", ""
	if os.Geteuid() == 0 {
		root = "" // the worker must reach the temporary directory
	}
	if s.name == "nginx-large" {
		buffers = "proxy_buffer_size 16k; proxy_buffers 4 128k; proxy_busy_buffers_size 256k;"
	}
	conf := fmt.Sprintf(nginxConf, root, b.files, buffers, b.loop.upstreamPort, s.port)
	if err := os.WriteFile(filepath.Join(s.dir, "nginx.conf"), []byte(conf), 0o600); err != nil {
		return nil, err
	}
	return exec.Command(bin, "-p", s.dir, "-c", "nginx.conf", "-e", "error.log"), nil
}

const haproxyConf = `
global
	nbthread 1
	maxconn %d
	ulimit-n %d
	no strict-limits
defaults
	mode http
	timeout connect 5s
	timeout client 1h
	timeout server 1h
	timeout http-keep-alive 1h
frontend shop
	bind 127.0.0.1:%d
	default_backend shop
backend shop
	server one 127.0.0.1:%d
`

func startHAProxy(b *bench, s *subject) (*exec.Cmd, error) {
	bin, err := debian("haproxy")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(s.dir, "haproxy.cfg")
	if err := os.WriteFile(file, fmt.Appendf(nil, haproxyConf, b.files-1000, b.files, s.port, b.loop.upstreamPort), 0o600); err != nil {
		return nil, err
	}
	return exec.Command(bin, "-db", "-f", file), nil
}

// debian finds a program that Debian installs.
func debian(name string) (string, error) {
	for _, dir := range []string{"", "/usr/sbin", "/usr/local/sbin", "/sbin"} {
		if bin, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return bin, nil
		}
	}
	return "", fmt.Errorf("%s is not installed: apt-get install nginx haproxy (their services need not run), or leave it out with -only", name)
}

const caddyConf = `{
	"admin": {"disabled": true, "config": {"persist": false}},
	"logging": {"logs": {"default": {"level": "ERROR"}}},
	"apps": {"http": {"servers": {"shop": {
		"listen": ["127.0.0.1:%d"],
		"automatic_https": {"disable": true},
		"routes": [{"handle": [{"handler": "reverse_proxy", "upstreams": [{"dial": "127.0.0.1:%d"}]}]}]
	}}}}
}`

func startCaddy(b *bench, s *subject) (*exec.Cmd, error) {
	file := filepath.Join(s.dir, "caddy.json")
	if err := os.WriteFile(file, fmt.Appendf(nil, caddyConf, s.port, b.loop.upstreamPort), 0o600); err != nil {
		return nil, err
	}
	bin, err := b.build("./caddy", "caddy")
	if err != nil {
		return nil, err
	}
	return exec.Command(bin, file), nil
}

func startPeer(kind string) func(*bench, *subject) (*exec.Cmd, error) {
	return func(b *bench, s *subject) (*exec.Cmd, error) {
		bin, err := b.build("./peers", "peers")
		if err != nil {
			return nil, err
		}
		return exec.Command(bin, "-kind", kind,
			"-listen", fmt.Sprintf("127.0.0.1:%d", s.port),
			"-upstream", b.upstreamURL(),
			"-contract", "shop.openapi.yaml",
			"-issuer", b.issuer.url, "-audience", audience), nil
	}
}

// startSallyport runs the command as an operator would, with one of the two
// configurations that lie beside this file. What differs from run to run
// stands for itself in the environment.
func startSallyport(b *bench, s *subject) (*exec.Cmd, error) {
	bin := b.flags.sallyport
	if bin == "" {
		var err error
		if bin, err = b.build("../cmd/sallyport", "sallyport", "-tags", "grpcnotrace"); err != nil {
			return nil, err
		}
	}
	var err error
	if s.admin, err = freePort(); err != nil {
		return nil, err
	}
	conf := "sallyport-full.yaml"
	if s.name == "sallyport-bare" {
		conf = "sallyport-bare.yaml"
	}
	cmd := exec.Command(bin, "run", "-c", conf)
	cmd.Env = append(os.Environ(),
		fmt.Sprintf("BENCH_LISTEN=127.0.0.1:%d", s.port),
		fmt.Sprintf("BENCH_ADMIN=127.0.0.1:%d", s.admin),
		"BENCH_UPSTREAM="+b.upstreamURL(),
		"BENCH_ISSUER="+b.issuer.url,
		"BENCH_EVENTS="+b.eventFile(s))
	return cmd, nil
}

// launch starts the subject on its core and waits until it answers rightly.
func (s *subject) launch(ctx context.Context, b *bench) error {
	var err error
	if s.port, err = freePort(); err != nil {
		return err
	}
	s.dir = filepath.Join(b.dir, s.name)
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		return err
	}
	if s.cmd, err = s.start(b, s); err != nil {
		return err
	}
	out, err := os.Create(filepath.Join(s.dir, "output"))
	if err != nil {
		return err
	}
	defer out.Close()
	s.cmd.Stdout, s.cmd.Stderr = out, out
	// A group of its own, so that workers end with it, and the kernel ends it
	// if the bench dies without a word.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := onCore(proxyCore, s.cmd.Start); err != nil {
		return err
	}
	s.ended = make(chan struct{})
	go func() {
		s.cmd.Wait()
		close(s.ended)
	}()
	if err := s.ready(ctx, b); err != nil {
		s.stop()
		said, _ := os.ReadFile(out.Name())
		if more, err := os.ReadFile(filepath.Join(s.dir, "error.log")); err == nil {
			said = append(said, more...)
		}
		return fmt.Errorf("%w\n%s", err, bytes.TrimSpace(said[max(0, len(said)-3000):]))
	}
	// The event of the probe does not count. It comes a moment later.
	for i := 0; s.name == "sallyport" && i < 20 && b.takeEvents(s) == 0; i++ {
		time.Sleep(100 * time.Millisecond)
	}
	return nil
}

// ready asks for the first exchange until the whole answer is right.
func (s *subject) ready(ctx context.Context, b *bench) error {
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}}
	ex := b.probe
	_, target, _ := strings.Cut(ex.target, " ")
	deadline := time.Now().Add(20 * time.Second)
	for {
		req, err := http.NewRequestWithContext(ctx, "GET", fmt.Sprintf("http://127.0.0.1:%d%s", s.port, target), nil)
		if err != nil {
			return err
		}
		req.Host = "shop.example"
		req.Header.Set("Authorization", "Bearer "+b.tokens[0])
		req.Header.Set("Accept", "application/json")
		resp, err := client.Do(req)
		if err == nil {
			var body []byte
			body, err = io.ReadAll(resp.Body)
			resp.Body.Close()
			if err == nil && resp.StatusCode == ex.status && bytes.Equal(body, ex.answer) {
				return nil
			}
			err = fmt.Errorf("it answers %s: %.600q", resp.Status, body)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.ended:
			return errors.New("it ended")
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not ready: %w", err)
		}
	}
}

func (s *subject) pids() []int { return family(s.cmd.Process.Pid) }

// stop ends the subject and whatever it started.
func (s *subject) stop() {
	if s.cmd == nil || s.cmd.Process == nil || s.ended == nil {
		return
	}
	group := -s.cmd.Process.Pid
	syscall.Kill(group, syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(3 * time.Second):
	}
	syscall.Kill(group, syscall.SIGKILL)
	<-s.ended
}

// freePort finds a port that nobody listens on, below the range that the
// kernel gives to outgoing connections, so that none of them takes it.
func freePort() (int, error) {
	for p := nextPort; p < 32000; p++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p))
		if err == nil {
			l.Close()
			nextPort = p + 1
			return p, nil
		}
	}
	return 0, errors.New("no port is free between 21000 and 32000")
}

var nextPort = 21000
