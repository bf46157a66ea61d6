package classify

import "testing"

func TestDetectorsCarryTheIndexOfTheirClass(t *testing.T) {
	classes := []string{Password, Email, Card, JWT}
	ds := Detectors(classes)
	if len(ds) != 3 {
		t.Fatalf("%d detectors, want 3: a password cannot be detected", len(ds))
	}
	if classes[ds[0].Class] != JWT {
		t.Errorf("the first detector is of %s, want secrets first", classes[ds[0].Class])
	}
	for _, d := range ds {
		want, _ := For(classes[d.Class])
		if d.Length != want.Need.Len || d.Digits != want.Need.Digits || d.Run != want.Need.Run || string(d.Bytes) != want.Need.Bytes {
			t.Errorf("%s: prefilter %+v, want %+v", classes[d.Class], d, want.Need)
		}
	}
}
