package exchange_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/exchange"
)

// Every name of the table is found by its own number in any case. If two
// names fell into one slot, one of them would be read as Other, and a check
// that asks for it by number would pass over it.
func TestKnownNameFindsEveryName(t *testing.T) {
	seen := 0
	for n := exchange.Other + 1; n.String() != ""; n++ {
		seen++
		for _, s := range []string{n.String(), strings.ToLower(n.String()), strings.ToUpper(n.String())} {
			if got := exchange.KnownName([]byte(s)); got != n {
				t.Errorf("KnownName(%q) = %d (%s), want %d", s, got, got, n)
			}
		}
		if f := exchange.F(n, nil); f.ID != n || string(f.Name) != n.String() {
			t.Errorf("F(%s) = %v, %q", n, f.ID, f.Name)
		}
	}
	if seen < 70 {
		t.Errorf("found only %d names", seen)
	}
}

func TestKnownNameOfOthers(t *testing.T) {
	for _, s := range []string{"", "x", "hos", "hosts", "content_length", "content-lengtH ", "X-Customer", "h\x0fst"} {
		if got := exchange.KnownName([]byte(s)); got != exchange.Other {
			t.Errorf("KnownName(%q) = %s", s, got)
		}
	}
}
