package fingerprints

import (
	"cmp"
	"iter"
	"math"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Forever is the end of what does not expire.
const Forever = math.MaxInt64

// A table grows by a quarter when it is four fifths full, so that at least three fifths of it are in use.
const minSlots = 64

// Entry is a fingerprint, the number it carries, and the Unix time in seconds by which it may be forgotten.
type Entry struct {
	Fingerprint uint64
	Number      uint32
	End         int64
}

// Set holds many short-lived fingerprints in little memory: eight bytes each, four more where numbers are kept, in tables that are
// dropped whole when the last of their fingerprints has expired.
//
// Any number of goroutines may ask, without a lock, while others add.
type Set struct {
	numbers bool

	mu      sync.Mutex // held by who adds or drops
	buckets atomic.Pointer[[]*bucket]
}

// bucket holds the fingerprints that expire by the same end.
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

// NewSet returns an empty set, of numbers beside the fingerprints if need be.
func NewSet(numbers bool) *Set {
	s := &Set{numbers: numbers}
	s.buckets.Store(&[]*bucket{})
	return s
}

// Add remembers a fingerprint until the given time at least, the zero time meaning for good, with the larger of the number it has and
// the one given. It reports what a follower of the set must learn, false if that is nothing.
func (s *Set) Add(fingerprint uint64, number uint32, until, now time.Time) (Entry, bool) {
	if !until.IsZero() && !now.Before(until) {
		return Entry{}, false
	}
	e := Entry{fingerprint, number, bucketEnd(until, now)}
	return e, s.Put(e, now)
}

// bucketEnd rounds the end of a fingerprint up, coarser the further it lies off, so that there are few buckets to ask.
func bucketEnd(until, now time.Time) int64 {
	if until.IsZero() {
		return Forever
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

// Put is Add for an entry of another set. It reports whether the set did not know as much already.
func (s *Set) Put(e Entry, now time.Time) bool {
	if e.End <= now.Unix() || e.Fingerprint == 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(now)
	if s.known(e) {
		return false
	}
	s.bucket(e.End).add(e.Fingerprint, e.Number, s.numbers)
	return true
}

// known reports whether the set holds as large a number for at least as long.
func (s *Set) known(e Entry) bool {
	list := *s.buckets.Load()
	for i := len(list) - 1; i >= 0 && list[i].end >= e.End; i-- {
		if n, ok := list[i].table.Load().get(e.Fingerprint); ok && (!s.numbers || n >= e.Number) {
			return true
		}
	}
	return false
}

// bucket returns the bucket with an end, making it if need be.
func (s *Set) bucket(end int64) *bucket {
	list := *s.buckets.Load()
	i, ok := slices.BinarySearchFunc(list, end, func(b *bucket, end int64) int { return cmp.Compare(b.end, end) })
	if ok {
		return list[i]
	}
	b := &bucket{end: end}
	b.table.Store(newTable(minSlots, s.numbers))
	list = slices.Insert(slices.Clone(list), i, b)
	s.buckets.Store(&list)
	return b
}

// Drop forgets what has expired at now. Adding does so too.
func (s *Set) Drop(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(now)
}

func (s *Set) drop(now time.Time) {
	list := *s.buckets.Load()
	live := 0
	for live < len(list) && list[live].end <= now.Unix() {
		live++
	}
	if live > 0 {
		list = slices.Clone(list[live:])
		s.buckets.Store(&list)
	}
}

// Get returns the largest number a fingerprint was added with, and whether it is known. It may be known for a while after it has expired.
func (s *Set) Get(fingerprint uint64) (number uint32, ok bool) {
	for _, b := range *s.buckets.Load() {
		if n, found := b.table.Load().get(fingerprint); found {
			number, ok = max(number, n), true
		}
	}
	return number, ok
}

// Look is Get for a key of a kind. An empty set answers without hashing.
func (s *Set) Look(kind, key string) (number uint32, ok bool) {
	if len(*s.buckets.Load()) == 0 {
		return 0, false
	}
	return s.Get(Of(kind, key))
}

// Len counts the entries; a fingerprint that was added with several ends counts once for each.
func (s *Set) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, b := range *s.buckets.Load() {
		n += b.count
	}
	return n
}

// Live yields the entries that have not expired at now, by their ends. What is added meanwhile may or may not be among them.
func (s *Set) Live(now time.Time) iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for _, b := range *s.buckets.Load() {
			if b.end <= now.Unix() {
				continue
			}
			for h, n := range b.table.Load().all {
				if !yield(Entry{h, n, b.end}) {
					return
				}
			}
		}
	}
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
	return int(hi) //nolint:gosec // below the length of a slice
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
			return t.number(i), true
		case 0:
			return 0, false
		}
	}
}

func (t *table) number(i int) uint32 {
	if t.numbers == nil {
		return 0
	}
	return atomic.LoadUint32(&t.numbers[i])
}

func (t *table) all(yield func(uint64, uint32) bool) {
	for i := range t.keys {
		if h := atomic.LoadUint64(&t.keys[i]); h != 0 && !yield(h, t.number(i)) {
			return
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
		if h != 0 {
			bigger.put(h, t.number(i))
		}
	}
	return bigger
}
