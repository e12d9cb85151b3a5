package verify

import (
	"crypto/sha256"
	"sync"
	"time"
)

// digest is the SHA-256 of a token as it was sent, so that the cache holds nothing that could be presented.
type digest = [sha256.Size]byte

// cacheShards spreads the locks; a power of two.
const cacheShards = 16

// cache remembers proofs, a bounded number of them and for a bounded time. Only verified tokens get in, so strangers cannot
// push others out. A nil cache remembers nothing.
type cache struct {
	shards [cacheShards]shard
}

// shard holds at most limit entries. order is a ring: the oldest entry makes room for the newest.
type shard struct {
	mu      sync.RWMutex
	entries map[digest]cached
	order   []digest
	oldest  int
	limit   int
}

type cached struct {
	proof proof
	until time.Time
}

func newCache(entries int) *cache {
	if entries < 0 {
		return nil
	}
	c := new(cache)
	for i := range c.shards {
		c.shards[i] = shard{entries: map[digest]cached{}, limit: max(1, entries/cacheShards)}
	}
	return c
}

func (c *cache) shard(key digest) *shard { return &c.shards[key[0]%cacheShards] }

// get returns a proof that was put under key and is not too old.
func (c *cache) get(key digest, now time.Time) (proof, bool) {
	if c == nil {
		return proof{}, false
	}
	s := c.shard(key)
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, ok := s.entries[key]
	if !ok || !now.Before(e.until) {
		return proof{}, false
	}
	return e.proof, true
}

// put remembers p until the given time, in the place of the oldest entry if there is no other.
func (c *cache) put(key digest, p proof, until time.Time) {
	if c == nil {
		return
	}
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, held := s.entries[key]; !held {
		s.makeRoom(key)
	}
	s.entries[key] = cached{proof: p, until: until}
}

// makeRoom enters key into the ring.
func (s *shard) makeRoom(key digest) {
	if len(s.order) < s.limit {
		s.order = append(s.order, key)
		return
	}
	delete(s.entries, s.order[s.oldest])
	s.order[s.oldest] = key
	s.oldest = (s.oldest + 1) % len(s.order)
}
