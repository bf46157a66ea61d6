package limit

import (
	"context"
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// Sizes of a [Memory].
const (
	shards   = 256
	window   = 32 // slots that a key may be in
	slotSize = 16
	group    = 4 // slots in a cache line
	// minSlots is how a shard begins.
	minSlots = window * 2

	// DefaultBytes is the memory that buckets may take.
	DefaultBytes = 64 << 20
	// minBytes lets each shard have what it begins with.
	minBytes = shards * minSlots * slotSize
	// usual is how many limits one exchange pays at once without allocation.
	usual = 16
)

// MemoryOptions say how large a Memory may get.
type MemoryOptions struct {
	// Bytes bounds the memory of the buckets; 0 means DefaultBytes, and the
	// least is 256 KiB. A bucket takes 16 bytes, so 64 MiB hold 4 million
	// keys that are not idle. While a part of the table grows, its old part
	// (1/256) is there too.
	Bytes int64
}

// A Memory is a [Counter] in the memory of one process. The same Memory
// serves every plan, so that a reload forgives nothing.
//
// A bucket that is full again is the same as none, so its slot is free for
// another key. A bucket that is not full is never given up: when there is no
// room, new keys share one coarse bucket per limit and shard, and a key that
// finds room later begins with what the coarse bucket had left. So a flood of
// keys cannot give a limited key a fresh bucket.
//
// Keys are found by hashes with seeds of this process, which keeps callers
// from choosing keys that collide: 64 bits are compared, and 8 more choose the
// shard. That any two of four million keys share a bucket by accident has a
// chance of one in a billion.
type Memory struct {
	seed     [2]maphash.Seed
	base     time.Time
	maxSlots int // of a shard
	coarse   atomic.Uint64
	shard    [shards]memoryShard
}

type memoryShard struct {
	mu     sync.Mutex // guards what follows
	slots  []slot
	coarse map[uint64]int64 // by a limit's id: the tat of its coarse bucket
	_      [24]byte         // keep neighbours' locks on other cache lines
}

// A slot is one key's bucket. tat is the theoretical arrival time: when the
// bucket is full again, in nanoseconds since base. A slot that was never used
// has tag 0.
type slot struct {
	tag uint64
	tat int64
}

// NewMemory returns an empty counter.
func NewMemory(o MemoryOptions) *Memory {
	b := o.Bytes
	if b == 0 {
		b = DefaultBytes
	}
	b = max(b, minBytes)
	m := &Memory{maxSlots: int(b/(shards*slotSize)) / group * group, base: time.Now()}
	m.seed[0], m.seed[1] = maphash.MakeSeed(), maphash.MakeSeed()
	return m
}

// A pay is the work of one charge while its shard is locked.
type pay struct {
	tag   uint64
	tat   int64 // after the charge
	shard uint32
	slot  int32 // -1 where the key has none
}

// Take charges all or none, and never returns an error. Times before now, as
// after a step of the clock, never make a bucket emptier than empty.
func (m *Memory) Take(_ context.Context, now time.Time, charges []Charge) (bool, error) {
	var pays [usual]pay
	ps := pays[:]
	if len(charges) > usual {
		ps = make([]pay, len(charges))
	}
	ps = ps[:len(charges)]
	t := int64(now.Sub(m.base))
	for i := range charges {
		ps[i].tag, ps[i].shard = m.hash(charges[i].Limit, charges[i].Key)
	}
	m.lock(ps)
	ok := true
	for i := range charges {
		if c := &charges[i]; !m.weigh(t, c, &ps[i], ps[:i], charges[:i]) && !c.Observe {
			ok = false
		}
	}
	if ok {
		for i := range charges {
			if !charges[i].Refused {
				m.pay(t, &charges[i], &ps[i])
			}
		}
	}
	m.unlock(ps)
	for i := range charges {
		charges[i].tell(t, ps[i].tat, ok)
	}
	return ok, nil
}

// hash finds a key's place. The limit's id, which callers may know, is mixed
// with what they do not.
func (m *Memory) hash(l *Limit, key []byte) (tag uint64, shard uint32) {
	tag = maphash.Bytes(m.seed[0], key) ^ l.id[0]
	where := maphash.Bytes(m.seed[1], key) ^ l.id[1]
	return tag | 1, uint32(where % shards) // never 0, the mark of a slot never used
}

// lock locks each shard once, in one order, so that no two exchanges wait for
// each other.
func (m *Memory) lock(ps []pay) {
	if len(ps) == 1 {
		m.shard[ps[0].shard].mu.Lock()
		return
	}
	for last := -1; ; {
		next := shards
		for i := range ps {
			if s := int(ps[i].shard); s > last && s < next {
				next = s
			}
		}
		if next == shards {
			return
		}
		m.shard[next].mu.Lock()
		last = next
	}
}

func (m *Memory) unlock(ps []pay) {
	for i := range ps {
		first := true
		for j := range ps[:i] {
			first = first && ps[j].shard != ps[i].shard
		}
		if first {
			m.shard[ps[i].shard].mu.Unlock()
		}
	}
}

// weigh finds the bucket of c, sets p.tat to what it would be after the
// charge, or where there is no room to what it is, and reports which. It
// charges nothing.
func (m *Memory) weigh(t int64, c *Charge, p *pay, before []pay, charges []Charge) bool {
	s := &m.shard[p.shard]
	tat := t
	c.Coarse = false
	if p.slot = s.find(p.tag); p.slot >= 0 {
		e := &s.slots[p.slot]
		// Not emptier than empty: the clock was set back, or the limit was
		// slower before.
		e.tat = min(e.tat, t+c.Limit.fill)
		tat = e.tat
	} else if s.coarse != nil {
		// A new key begins with what the coarse bucket has left, or full.
		tat = s.coarse[c.Limit.id[0]]
		c.Coarse = tat > t
	}
	// Two charges of one limit and key in one exchange add up.
	for j := len(before) - 1; j >= 0; j-- {
		if before[j].tag == p.tag && before[j].shard == p.shard && !charges[j].Refused {
			tat = before[j].tat
			break
		}
	}
	l := c.Limit
	tat = min(max(tat, t), t+l.fill)
	cost := max(1, c.Cost)
	c.Refused, c.Retry = false, 0
	if cost > l.Burst {
		c.Refused, c.Retry = true, -1
	} else if after := tat + cost*l.interval; after-t > l.fill {
		c.Refused, c.Retry = true, time.Duration(after-t-l.fill)
	} else {
		tat = after
	}
	p.tat = tat
	return !c.Refused
}

// pay writes a bucket down.
func (m *Memory) pay(t int64, c *Charge, p *pay) {
	s := &m.shard[p.shard]
	// The table may have grown under another charge of this exchange.
	if p.slot >= 0 && int(p.slot) < len(s.slots) && s.slots[p.slot].tag == p.tag {
		s.slots[p.slot].tat = p.tat
		return
	}
	for {
		if i := s.claim(p.tag, t); i >= 0 {
			s.slots[i] = slot{p.tag, p.tat}
			c.Coarse = false
			return
		}
		if !m.grow(s, t) {
			break
		}
	}
	if s.coarse == nil {
		s.coarse = map[uint64]int64{}
	}
	s.coarse[c.Limit.id[0]] = p.tat
	c.Coarse = true
	m.coarse.Add(1)
}

// tell fills in what the caller learns: tat is that after the charge, if all
// were charged.
func (c *Charge) tell(t, tat int64, ok bool) {
	l := c.Limit
	if !ok && !c.Refused {
		tat -= max(1, c.Cost) * l.interval
	}
	used := max(0, tat-t)
	c.Remaining = (l.fill - used) / l.interval
	c.Reset = 0
	if c.Remaining < l.Burst {
		c.Reset = time.Duration(used - (l.Burst-c.Remaining-1)*l.interval)
	}
}

// of returns where the window of a tag begins in a table of n slots. Windows
// begin with a cache line.
func of(tag uint64, n int) int {
	at, _ := bits.Mul64(tag, uint64(n-window)/group+1)
	return int(at) * group
}

// find returns the slot of a key, or -1.
func (s *memoryShard) find(tag uint64) int32 {
	if len(s.slots) == 0 {
		return -1
	}
	at := of(tag, len(s.slots))
	w := s.slots[at : at+window]
	for i := range w {
		if w[i].tag == tag {
			return int32(at + i)
		}
		if w[i].tag == 0 {
			// Slots are taken from the front and never become unused again,
			// so nothing stands behind.
			break
		}
	}
	return -1
}

// claim returns the slot of a key, or the first that is free for it, or -1.
func (s *memoryShard) claim(tag uint64, t int64) int32 {
	if len(s.slots) == 0 {
		return -1
	}
	at, free := of(tag, len(s.slots)), int32(-1)
	w := s.slots[at : at+window]
	for i := range w {
		e := &w[i]
		switch {
		case e.tag == tag:
			return int32(at + i)
		case e.tag == 0:
			if free < 0 {
				free = int32(at + i)
			}
			return free
		case free < 0 && e.tat <= t:
			free = int32(at + i)
		}
	}
	return free
}

// grow makes a shard's table larger and reports whether it did.
func (m *Memory) grow(s *memoryShard, t int64) bool {
	n := len(s.slots)
	if n == m.maxSlots {
		return false
	}
	return s.rebuild(t, min(max(minSlots, 2*n), m.maxSlots)) || s.rebuild(t, m.maxSlots)
}

// rebuild moves the buckets that are not idle to a table of another size. It
// reports false, and leaves the table as it is, where one finds no place.
func (s *memoryShard) rebuild(t int64, size int) bool {
	slots := make([]slot, size)
next:
	for i := range s.slots {
		e := &s.slots[i]
		if e.tag == 0 || e.tat <= t {
			continue
		}
		at := of(e.tag, size)
		w := slots[at : at+window]
		for j := range w {
			if w[j].tag == 0 {
				w[j] = *e
				continue next
			}
		}
		return false
	}
	s.slots = slots
	return true
}

// MemoryStats say how full a [Memory] is.
type MemoryStats struct {
	Keys   int    // that are not idle
	Slots  int    // that there are
	Limit  int    // slots that there may be
	Coarse uint64 // charges so far that went to a coarse bucket
}

// Sweep gives back the memory of shards that are mostly idle, and counts.
// Callers may run it every minute; it holds one shard at a time.
func (m *Memory) Sweep(now time.Time) MemoryStats {
	st := MemoryStats{Limit: m.maxSlots * shards, Coarse: m.coarse.Load()}
	t := int64(now.Sub(m.base))
	for i := range m.shard {
		s := &m.shard[i]
		s.mu.Lock()
		live := 0
		for j := range s.slots {
			if s.slots[j].tag != 0 && s.slots[j].tat > t {
				live++
			}
		}
		if n := len(s.slots); n > minSlots && live*8 < n {
			if live == 0 {
				s.slots = nil
			} else {
				s.rebuild(t, max(minSlots, live*3))
			}
		}
		for id, tat := range s.coarse {
			if tat <= t {
				delete(s.coarse, id)
			}
		}
		if len(s.coarse) == 0 {
			s.coarse = nil
		}
		st.Keys += live
		st.Slots += len(s.slots)
		s.mu.Unlock()
	}
	return st
}
