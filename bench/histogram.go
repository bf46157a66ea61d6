package main

import (
	"math/bits"
	"time"
)

// A histogram counts times in buckets 3 % wide. The zero value is empty.
type histogram struct {
	n       int64
	buckets [64 * 32]uint32
}

func (h *histogram) add(d time.Duration) {
	v := uint64(max(d, 0))
	i := int(v)
	if v >= 32 {
		e := bits.Len64(v) - 6
		i = (e+1)<<5 + int(v>>e) - 32
	}
	h.buckets[i]++
	h.n++
}

// quantile returns the time below which the share q lies.
func (h *histogram) quantile(q float64) time.Duration {
	rest := int64(q * float64(h.n))
	for i, c := range h.buckets {
		if rest -= int64(c); rest < 0 {
			if i < 64 {
				return time.Duration(i)
			}
			e := i>>5 - 1
			return time.Duration(i&31|32) << e
		}
	}
	return 0
}
