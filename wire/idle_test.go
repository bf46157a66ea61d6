//go:build linux

package wire_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Ten thousand connections that wait for their next request, after one each,
// cost the proxy's process at most 80 MB in all.
func TestIdleConnectionsAreCheap(t *testing.T) {
	if testing.Short() {
		t.Skip("opens 10,000 connections")
	}
	const conns, budget = 10_000, 80 << 20
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil || lim.Cur < conns+500 {
		t.Skipf("%d descriptors are not enough", lim.Cur)
	}
	p := start(t, "wire", origin(t, 1<<10))
	rss := func() int {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
		if err != nil {
			t.Skip("no /proc")
		}
		pages, err := strconv.Atoi(strings.Fields(string(data))[1])
		if err != nil {
			t.Fatal(err)
		}
		return pages * os.Getpagesize()
	}
	before := rss()
	req := benchRequest(0)
	for range conns {
		c, err := net.Dial("tcp", p.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write(req); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReaderSize(c, 4096), nil)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("%v, %v", resp, err)
		}
	}
	after := rss()
	t.Logf("%.1f MB before, %.1f MB after: %.2f KB per connection", float64(before)/(1<<20), float64(after)/(1<<20), float64(after-before)/(1<<10)/conns)
	if after > budget {
		t.Errorf("%d MB, want at most %d", after>>20, budget>>20)
	}
}
