package verify

import (
	"encoding/binary"
	"testing"
	"time"
)

// digestOf spreads over the shards as hashes do.
func digestOf(n uint32) (d digest) {
	d[0] = byte(n)
	binary.BigEndian.PutUint32(d[1:], n)
	return d
}

func TestTheCacheIsBoundedAndForgetsTheOldest(t *testing.T) {
	const entries = 64
	now := time.Unix(1_750_000_000, 0)
	c := newCache(entries)
	for n := range uint32(10 * entries) {
		c.put(digestOf(n), proof{}, now.Add(maxCacheAge))
		c.put(digestOf(n), proof{}, now.Add(maxCacheAge)) // takes no second place
	}
	held := 0
	for i := range c.shards {
		held += len(c.shards[i].entries)
		if got, want := len(c.shards[i].order), entries/cacheShards; got != want {
			t.Errorf("shard %d: got %d places, want %d", i, got, want)
		}
	}
	if held != entries {
		t.Errorf("got %d entries, want %d", held, entries)
	}
	for n := range uint32(10 * entries) {
		if _, ok := c.get(digestOf(n), now); ok != (n >= 9*entries) {
			t.Errorf("entry %d: got held %v, want the newest %d alone", n, ok, entries)
		}
	}
}

func TestTheCacheForgetsAfterItsTime(t *testing.T) {
	now := time.Unix(1_750_000_000, 0)
	c := newCache(16)
	c.put(digestOf(1), proof{}, now.Add(maxCacheAge))
	if _, ok := c.get(digestOf(1), now.Add(maxCacheAge-1)); !ok {
		t.Error("the entry is gone too early")
	}
	if _, ok := c.get(digestOf(1), now.Add(maxCacheAge)); ok {
		t.Error("the entry is still there after a minute")
	}
}
