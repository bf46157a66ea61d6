package limit

import (
	"fmt"
	"hash/fnv"
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// A Cap is how many exchanges of one key may be under way at once. It never
// changes.
type Cap struct {
	Name string
	Max  int64

	id uint64
}

// NewCap checks and makes a cap: max is 1 to 1,000,000. Scope and name are as
// in [Spec].
func NewCap(scope, name string, max int64) (*Cap, error) {
	if max < 1 || max > 1_000_000 {
		return nil, fmt.Errorf("concurrency limit %q: the number must be 1 to 1000000", name)
	}
	h := fnv.New64a()
	h.Write([]byte(scope))
	h.Write([]byte{0})
	h.Write([]byte(name))
	return &Cap{name, max, h.Sum64()}, nil
}

// A Hold is one place under a Cap. The caller fills the first fields and
// keeps the Hold until Release.
type Hold struct {
	Cap     *Cap
	Key     []byte // borrowed until Acquire returns
	Observe bool   // refuses nothing

	// Refused is set where all places were taken.
	Refused bool
	held    bool
	hash    [2]uint64
}

// A Gate counts what is under way in this process. Its memory is bounded by
// what the doors let in, as every key in it belongs to an open exchange.
type Gate struct {
	seed  [2]maphash.Seed
	held  atomic.Int64
	shard [64]gateShard
}

type gateShard struct {
	mu sync.Mutex // guards n
	n  map[[2]uint64]int64
	_  [40]byte
}

// NewGate returns an empty gate.
func NewGate() *Gate {
	g := &Gate{seed: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
	for i := range g.shard {
		g.shard[i].n = map[[2]uint64]int64{}
	}
	return g
}

// Acquire takes a place of each of holds, or none where one that refuses has
// none left, and reports which of both. What was acquired must be given back
// by one Release. While it gives places back it may, for an instant, refuse
// another exchange that asks for the same key; it never lets more than Max in.
func (g *Gate) Acquire(holds []Hold) bool {
	ok := true
	for i := range holds {
		holds[i].held, holds[i].Refused = false, false
	}
	for i := range holds {
		h := &holds[i]
		h.hash[0] = maphash.Bytes(g.seed[0], h.Key) ^ h.Cap.id
		h.hash[1] = maphash.Bytes(g.seed[1], h.Key) ^ h.Cap.id
		s := &g.shard[h.hash[1]>>32%64]
		s.mu.Lock()
		n := s.n[h.hash]
		h.Refused = n >= h.Cap.Max
		if h.held = !h.Refused || h.Observe; h.held {
			s.n[h.hash] = n + 1
		}
		s.mu.Unlock()
		if !h.held {
			ok = false
			break
		}
		g.held.Add(1)
	}
	if !ok {
		g.Release(holds)
	}
	return ok
}

// Release gives the places back. Giving back twice, or what was refused, does
// nothing.
func (g *Gate) Release(holds []Hold) {
	for i := range holds {
		h := &holds[i]
		if !h.held {
			continue
		}
		h.held = false
		s := &g.shard[h.hash[1]>>32%64]
		s.mu.Lock()
		if n := s.n[h.hash]; n > 1 {
			s.n[h.hash] = n - 1
		} else {
			delete(s.n, h.hash)
		}
		s.mu.Unlock()
		g.held.Add(-1)
	}
}

// Held returns how many places are taken.
func (g *Gate) Held() int64 { return g.held.Load() }
