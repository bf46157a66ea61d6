package demo_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/demo"
)

// Without Sallyport in between, everything that the demo calls an attack must
// work: nobody can be proud of refusing what the bare API never gave away. And
// two shops of one seed must give honest callers the same.
func TestEveryAttackWorksOnTheBareShop(t *testing.T) {
	var out bytes.Buffer
	rep, err := demo.Run(t.Context(), demo.Options{
		Out: &out, Duration: time.Millisecond, Honest: 50, Attacks: -1, Listen: "127.0.0.1:0", Admin: "127.0.0.1:0",
		Start: notThere,
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Attacks) < 40 || rep.Rounds < 1 {
		t.Errorf("%d attacks in %d rounds", len(rep.Attacks), rep.Rounds)
	}
	for _, r := range rep.Attacks {
		if r.Bare == 0 {
			t.Errorf("%s got nothing from the bare shop: %v", r.Name, r.Reasons)
		}
		if r.Guarded != r.Bare {
			t.Errorf("%s: %d from one shop, %d from another one like it", r.Name, r.Bare, r.Guarded)
		}
	}
	h := rep.Honest
	if h.Sent == 0 || h.Harmed > 0 || h.Broken > 0 {
		t.Errorf("honest: %d sent, %d harmed, %d broken\n%s\n%s", h.Sent, h.Harmed, h.Broken, strings.Join(h.Harms, "\n"), strings.Join(h.Breaks, "\n"))
	}
	if rep.OK() {
		t.Error("a demo without Sallyport says that all is well")
	}
	for _, want := range []string{"/v2/products", "curl -i -H @", "Forge a token without a signature", "API1:2023", "0 harmed", "token-none"} {
		if has := strings.Contains(out.String(), want); has != (want != "token-none") {
			t.Errorf("output has %q: %v\n%s", want, has, out.String())
		}
	}
}

// notThere starts no Sallyport: the crowd meets a second bare shop.
func notThere(_ context.Context, s demo.Setup) (demo.Proxy, error) {
	_, after, _ := strings.Cut(string(s.Config), "upstream: ")
	url, _, _ := strings.Cut(after, "\n")
	return demo.Proxy{URL: url}, nil
}

// The zero report, and one of a demo in which nothing happened, are not OK.
func TestAReportOfNothingIsNotOK(t *testing.T) {
	good := demo.Report{Rounds: 1, Attacks: []demo.Row{{Bare: 1}}, Honest: demo.Honest{Sent: 1}}
	if !good.OK() {
		t.Error("a good report is not OK")
	}
	for name, spoil := range map[string]func(*demo.Report){
		"no attack":      func(r *demo.Report) { r.Attacks = nil },
		"nobody honest":  func(r *demo.Report) { r.Honest.Sent = 0 },
		"harmed":         func(r *demo.Report) { r.Honest.Harmed = 1 },
		"shop at fault":  func(r *demo.Report) { r.Honest.Broken = 1 },
		"through":        func(r *demo.Report) { r.Attacks = []demo.Row{{Bare: 1, Guarded: 1}} },
		"attack is lame": func(r *demo.Report) { r.Attacks = []demo.Row{{}} },
	} {
		r := good
		spoil(&r)
		if r.OK() {
			t.Errorf("%s: OK", name)
		}
	}
}
