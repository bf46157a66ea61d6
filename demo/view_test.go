package demo

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"charm.land/lipgloss/v2"

	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/exchange"
)

func testView(t *testing.T) *view {
	t.Helper()
	v := newView(Options{Out: &bytes.Buffer{}, Duration: time.Minute}, &stage{header: "/run/mallory", bare: &site{url: "http://127.0.0.1:1"}})
	v.proxy = Proxy{URL: "http://127.0.0.1:8080", Admin: "http://127.0.0.1:9090"}
	v.crowd, v.raiders = &crowd{}, &raiders{attacks: attacks}
	return v
}

// Whatever the size of the terminal, the picture stays within it, and what
// callers send cannot move the cursor.
func TestThePictureFitsTheTerminal(t *testing.T) {
	v := testView(t)
	for i := range 300 {
		v.Put(&event.Event{Action: exchange.Deny, Reason: exchange.Reasons()[2+i%40], Status: 400, Method: "GET",
			Path: []byte("/\x1b[2J\r\n\u202e" + strings.Repeat("évil", 100)), Time: time.Now()})
	}
	v.Put(&event.Event{Action: exchange.Allow, Stripped: 3, Redacted: 2, Operation: "getOrder"})
	for _, size := range [][2]int{{200, 60}, {80, 24}, {40, 10}, {1, 1}, {0, 0}} {
		p := v.picture(size[0], size[1])
		if strings.Contains(p, "\x1b[2J") || strings.Contains(p, "\u202e") {
			t.Errorf("%v: a caller's control characters reach the terminal", size)
		}
		lines := strings.Split(strings.TrimSuffix(p, "\r\n"), "\r\n")
		if len(lines) > max(size[1], 1) {
			t.Errorf("%v: %d lines", size, len(lines))
		}
		for _, l := range lines {
			if w := lipgloss.Width(l); size[0] > 0 && w > size[0] {
				t.Errorf("%v: a line is %d wide: %q", size, w, l)
			}
		}
	}
	p := v.picture(120, 60)
	for _, want := range []string{"1 passed", "300 refused", "3 undeclared", "2 values masked", "http://127.0.0.1:8080/v2/products", "curl -i -H @/run/mallory"} {
		if !strings.Contains(stripStyles(p), want) {
			t.Errorf("the picture does not say %q:\n%s", want, p)
		}
	}
}

// stripStyles takes escape sequences out.
func stripStyles(s string) string {
	var b bytes.Buffer
	lipgloss.Fprint(&b, s) // a buffer is no terminal
	return b.String()
}

// The list keeps the latest refusals, and no more than it has room for.
func TestTheListIsBounded(t *testing.T) {
	v := testView(t)
	for i := range 3 * maxLatest {
		v.Put(&event.Event{Action: exchange.Deny, Reason: exchange.AuthnExpired, Status: i})
	}
	if len(v.latest) != maxLatest || v.latest[maxLatest-1].status != 3*maxLatest-1 {
		t.Errorf("%d are kept, the last is %v", len(v.latest), v.latest[len(v.latest)-1])
	}
}
