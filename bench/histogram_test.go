package main

import (
	"testing"
	"time"
)

// A quantile is never more than 1/32 below the true value.
func TestHistogramIsExactEnough(t *testing.T) {
	for d := time.Duration(1); d < 100*time.Second; d += d/7 + 1 {
		var h histogram
		h.add(d)
		got := h.quantile(0.5)
		if got > d || d-got > d/32+1 {
			t.Errorf("one value %d: the median is %d", d, got)
		}
	}
}

func TestHistogramQuantiles(t *testing.T) {
	var h histogram
	for i := range 1000 {
		h.add(time.Duration(i) * time.Microsecond)
	}
	for _, q := range []float64{0.5, 0.99} {
		want := time.Duration(q*1000) * time.Microsecond
		if got := h.quantile(q); got < want-want/30 || got > want+want/30 {
			t.Errorf("quantile %v is %v, want about %v", q, got, want)
		}
	}
}
