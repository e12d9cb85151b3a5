package tokens

import (
	"hash/maphash"
	"math"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// fingerprints maps many short-lived keys to small numbers in little memory: eight bytes for a key, four more where numbers are kept,
// in tables that are dropped whole when the last of their keys has expired. A key is kept as 64 bits of a hash seeded at random, so
// that nobody can choose keys that collide; a million keys and a million questions give a wrong yes once in eighteen million runs.
//
// Any number of goroutines may ask, without a lock, while one adds.
type fingerprints struct {
	seed    maphash.Seed
	numbers bool

	mu      sync.Mutex // held by who adds
	buckets atomic.Pointer[[]*bucket]
}

// bucket holds the keys that expire by the same end.
type bucket struct {
	end   int64 // Unix seconds
	count int
	table atomic.Pointer[table]
}

// table is an open-addressed hash table with linear probing; 0 marks a free slot.
type table struct {
	keys    []uint64
	numbers []uint32 // as long as keys, or nil
}

const (
	forever = math.MaxInt64

	// A table grows by a quarter when it is four fifths full, so that at least three fifths of it are in use.
	minSlots = 64
)

func newFingerprints(numbers bool) *fingerprints {
	f := &fingerprints{seed: maphash.MakeSeed(), numbers: numbers}
	f.buckets.Store(&[]*bucket{})
	return f
}

func (f *fingerprints) hash(key string) uint64 { return max(1, maphash.String(f.seed, key)) }

// add remembers a key until the given time at least, the zero time meaning for good, with the larger of the number it has and the one
// given. It drops what has expired at now.
func (f *fingerprints) add(key string, number uint32, until, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drop(now)
	if !until.IsZero() && !now.Before(until) {
		return
	}
	f.bucket(bucketEnd(until, now)).add(f.hash(key), number, f.numbers)
}

// bucketEnd rounds the end of a key up, coarser the further it lies off, so that there are few buckets to ask.
func bucketEnd(until, now time.Time) int64 {
	if until.IsZero() {
		return forever
	}
	width := int64(5 * 60)
	switch left := until.Sub(now); {
	case left > 48*time.Hour:
		width = 24 * 60 * 60
	case left > 2*time.Hour:
		width = 60 * 60
	}
	return (until.Unix()/width + 1) * width
}

// bucket returns the bucket with an end, making it if need be.
func (f *fingerprints) bucket(end int64) *bucket {
	list := *f.buckets.Load()
	i, ok := slices.BinarySearchFunc(list, end, func(b *bucket, end int64) int { return compare(b.end, end) })
	if ok {
		return list[i]
	}
	b := &bucket{end: end}
	b.table.Store(newTable(minSlots, f.numbers))
	list = slices.Insert(slices.Clone(list), i, b)
	f.buckets.Store(&list)
	return b
}

func compare(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// drop forgets the buckets whose keys have all expired.
func (f *fingerprints) drop(now time.Time) {
	list := *f.buckets.Load()
	live := 0
	for live < len(list) && list[live].end <= now.Unix() {
		live++
	}
	if live > 0 {
		list = slices.Clone(list[live:])
		f.buckets.Store(&list)
	}
}

// get returns the largest number a key was added with, and whether it is known. A key may be known for a while after it has expired.
func (f *fingerprints) get(key string) (number uint32, ok bool) {
	list := *f.buckets.Load()
	if len(list) == 0 {
		return 0, false
	}
	h := f.hash(key)
	for _, b := range list {
		if n, found := b.table.Load().get(h); found {
			number, ok = max(number, n), true
		}
	}
	return number, ok
}

func (b *bucket) add(h uint64, number uint32, numbers bool) {
	t := b.table.Load()
	if _, known := t.get(h); !known {
		if b.count++; b.count*5 > len(t.keys)*4 {
			t = t.grown(numbers)
			t.put(h, number)
			b.table.Store(t)
			return
		}
	}
	t.put(h, number)
}

func newTable(slots int, numbers bool) *table {
	t := &table{keys: make([]uint64, slots)}
	if numbers {
		t.numbers = make([]uint32, slots)
	}
	return t
}

// slot spreads hashes over any number of slots without a division.
func (t *table) slot(h uint64) int {
	hi, _ := bits.Mul64(h, uint64(len(t.keys)))
	return int(hi)
}

func (t *table) next(slot int) int {
	if slot++; slot == len(t.keys) {
		return 0
	}
	return slot
}

func (t *table) get(h uint64) (uint32, bool) {
	for i := t.slot(h); ; i = t.next(i) {
		switch atomic.LoadUint64(&t.keys[i]) {
		case h:
			if t.numbers == nil {
				return 0, true
			}
			return atomic.LoadUint32(&t.numbers[i]), true
		case 0:
			return 0, false
		}
	}
}

// put adds h or raises its number. The number is stored first: who sees the key sees the number.
func (t *table) put(h uint64, number uint32) {
	i := t.slot(h)
	for t.keys[i] != 0 && t.keys[i] != h {
		i = t.next(i)
	}
	if t.numbers != nil && t.numbers[i] < number {
		atomic.StoreUint32(&t.numbers[i], number)
	}
	atomic.StoreUint64(&t.keys[i], h)
}

func (t *table) grown(numbers bool) *table {
	bigger := newTable(len(t.keys)+len(t.keys)/4+1, numbers)
	for i, h := range t.keys {
		if h == 0 {
			continue
		}
		n := uint32(0)
		if numbers {
			n = t.numbers[i]
		}
		bigger.put(h, n)
	}
	return bigger
}
