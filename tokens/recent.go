package tokens

import (
	"sync"
	"time"

	"example.com/broker/internal/fingerprints"
)

// recentSize bounds what a replica remembers in order: two megabytes. Whoever has to be told more is told everything.
const recentSize = 1 << 16

// recent is what this replica learned last, in the order in which it learned it: the n-th thing it ever learned has the position n, from
// 0 on. It is safe for concurrent use.
type recent struct {
	now func() time.Time

	mu   sync.Mutex
	ring []learned
	next uint64 // position
	// since is the time from which on nothing that was learned is missing, in Unix milliseconds.
	since int64
}

// learned is packed: there are many.
type learned struct {
	fingerprint uint64
	end         int64
	at          int64 // Unix milliseconds
	number      uint32
	kind        uint8 // its place in fingerprints.Kinds
}

func (l learned) entry() fingerprints.Entry {
	return fingerprints.Entry{Fingerprint: l.fingerprint, Number: l.number, End: l.end}
}

func newRecent(now func() time.Time) *recent { return &recent{now: now, since: now().UnixMilli()} }

func (r *recent) push(kind uint8, e fingerprints.Entry) {
	l := learned{e.Fingerprint, e.End, r.now().UnixMilli(), e.Number, kind}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ring) < recentSize {
		r.ring = append(r.ring, l)
	} else {
		oldest := &r.ring[r.next%recentSize]
		r.since = max(r.since, oldest.at+1)
		*oldest = l
	}
	r.next++
}

// end is the position of what is learned next.
func (r *recent) end() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.next
}

// from returns what was learned from a position on, and the position after it; false if part of it is forgotten, or was never learned.
func (r *recent) from(position uint64) (list []learned, end uint64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if position > r.next || r.next-position > uint64(len(r.ring)) {
		return nil, 0, false
	}
	for n := position; n < r.next; n++ {
		list = append(list, r.ring[n%recentSize])
	}
	return list, r.next, true
}

// after returns what was learned at a time, in Unix milliseconds, or later, and the position after it; false if part of it is forgotten.
func (r *recent) after(at int64) (list []learned, end uint64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at < r.since {
		return nil, 0, false
	}
	for _, l := range r.ring {
		if l.at >= at {
			list = append(list, l)
		}
	}
	return list, r.next, true
}
