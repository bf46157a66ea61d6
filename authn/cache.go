package authn

import (
	"bytes"
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// CacheOptions say how much a Cache may hold.
type CacheOptions struct {
	// Bytes bounds the memory of tokens and principals, about; 0 means
	// 64 MiB, which is some 25,000 tokens.
	Bytes int64
}

const (
	cacheShards = 64
	cacheBytes  = 64 << 20
	// factBytes is about what a fact takes beside its token and its claims.
	factBytes = 800
)

// A Cache remembers tokens that were verified. It holds facts (whose token it
// is, by which key) and no verdicts: whether it is still good now, and good
// for this, is asked each time. A token is found by a hash with a seed of
// this process and compared to the last byte. When it is full, those go that
// were not used lately.
type Cache struct {
	seed         maphash.Seed
	max          int64 // bytes of a shard
	hits, misses atomic.Uint64
	shard        [cacheShards]cacheShard
}

type cacheShard struct {
	mu    sync.Mutex // guards what follows
	facts map[uint64]*fact
	ring  []*fact
	hand  int
	bytes int64
	_     [8]byte
}

type fact struct {
	hash      uint64
	token     []byte
	principal *Principal
	key       *key
	issuer    *Issuer
	size      int64
	at        int // in the ring
	used      bool
}

// weight is about how many bytes a parsed JSON value takes.
func weight(v any) int64 {
	n := int64(16)
	switch v := v.(type) {
	case object:
		n += 48
		for name, m := range v {
			n += 40 + int64(len(name)) + weight(m)
		}
	case []any:
		for _, e := range v {
			n += 16 + weight(e)
		}
	case string:
		n += int64(len(v))
	case number:
		n += int64(len(v))
	}
	return n
}

// NewCache returns an empty cache.
func NewCache(o CacheOptions) *Cache {
	if o.Bytes <= 0 {
		o.Bytes = cacheBytes
	}
	c := &Cache{seed: maphash.MakeSeed(), max: o.Bytes / cacheShards}
	for i := range c.shard {
		c.shard[i].facts = map[uint64]*fact{}
	}
	return c
}

func (c *Cache) hash(token []byte) uint64 { return maphash.Bytes(c.seed, token) }

// find returns what is known of a token, or nil.
func (c *Cache) find(hash uint64, token []byte) *fact {
	s := &c.shard[hash%cacheShards]
	s.mu.Lock()
	f := s.facts[hash]
	if f != nil {
		f.used = true
	}
	s.mu.Unlock()
	if f == nil || !bytes.Equal(f.token, token) {
		c.misses.Add(1)
		return nil
	}
	c.hits.Add(1)
	return f
}

// put remembers a token, which it copies.
func (c *Cache) put(hash uint64, token []byte, p *Principal, k *key, issuer *Issuer) {
	f := &fact{hash: hash, token: bytes.Clone(token), principal: p, key: k, issuer: issuer}
	f.size = int64(len(token)) + factBytes + weight(p.claims)
	s := &c.shard[hash%cacheShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.facts[hash]; old != nil {
		s.drop(old)
	}
	f.at = len(s.ring)
	s.ring = append(s.ring, f)
	s.facts[hash] = f
	s.bytes += f.size
	for s.bytes > c.max && len(s.ring) > 1 {
		s.hand %= len(s.ring)
		switch old := s.ring[s.hand]; {
		case old == f:
			s.hand++
		case old.used && !old.key.gone.Load():
			old.used = false
			s.hand++
		default:
			s.drop(old)
		}
	}
}

// drop forgets a fact. The last of the ring takes its place.
func (s *cacheShard) drop(f *fact) {
	last := len(s.ring) - 1
	s.ring[f.at] = s.ring[last]
	s.ring[f.at].at = f.at
	s.ring[last] = nil
	s.ring = s.ring[:last]
	delete(s.facts, f.hash)
	s.bytes -= f.size
}

// CacheStats say what a cache holds and did.
type CacheStats struct {
	Tokens       int
	Bytes        int64
	Hits, Misses uint64
}

// Stats counts.
func (c *Cache) Stats() CacheStats {
	st := CacheStats{Hits: c.hits.Load(), Misses: c.misses.Load()}
	for i := range c.shard {
		s := &c.shard[i]
		s.mu.Lock()
		st.Tokens += len(s.ring)
		st.Bytes += s.bytes
		s.mu.Unlock()
	}
	return st
}
