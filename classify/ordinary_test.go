package classify

import (
	"testing"

	"github.com/sallyport/sallyport/internal/ordinary"
)

func TestOrdinaryStringsAreNothing(t *testing.T) {
	all := ordinary.Strings()
	if len(all) != 5000 {
		t.Fatalf("%d strings, want 5000", len(all))
	}
	for _, s := range all {
		// Each detector is asked, whatever its need says.
		for _, d := range All() {
			if a, b, ok := d.Find([]byte(s)); ok {
				t.Errorf("%s found %q in %q", d.Class, s[a:b], s)
			}
		}
		if StackTrace([]byte(s)) {
			t.Errorf("a stack trace in %q", s)
		}
		if ServerDetail([]byte(s)) {
			t.Errorf("server detail in %q", s)
		}
	}
}
