package users

import (
	"container/list"
	"context"
	"hash/maphash"
	"sync"
	"time"
)

// Facts returns a user for a refresh or an introspection, from a cache that the change stream keeps true: no read when warm, one when
// not. What it returns lacks the password, must not be altered and is for reading: status, Ver, Epoch, roles, profile. The profile may be
// as old as Options.FactsFor; Status, Ver, Epoch and roles are never older than what Invalidate has been told. It does not judge the
// status. fault.NotFound "user_unknown".
func (s *Service) Facts(ctx context.Context, userID string) (User, error) {
	if u, ok := s.facts.get(userID, s.opts.Now()); ok {
		return u, nil
	}
	asked := s.opts.Now()
	u, err := s.store.Get(ctx, userID)
	if err != nil {
		return User{}, err
	}
	u.Password = ""
	s.facts.put(u, asked)
	return u, nil
}

// Invalidate takes a followed entry: whatever is cached of the user with a lower Ver is not served again.
func (s *Service) Invalidate(userID string, ver int64) { s.facts.raise(userID, ver, s.opts.Now()) }

// facts is a bounded cache of users, the least recently used going first.
type facts struct {
	size   int
	maxAge time.Duration

	mu      sync.Mutex
	entries map[string]*list.Element
	order   *list.List // of *fact, newest use in front

	// floors hold the least Ver that may be cached. An entry of the stream comes before its row, so a row read after the entry may
	// still be the old one; a floor outlives the longest such gap (giveUp) and whatever was cached in it. They are kept by hash, in two
	// generations: a collision costs a read, and a replica that starts with a million entries does not keep their names.
	seed          maphash.Seed
	floors, older map[uint64]int64
	turned        time.Time
}

type fact struct {
	user User
	at   time.Time
}

func newFacts(size int, maxAge time.Duration) *facts {
	if size <= 0 {
		size = 10_000
	}
	if maxAge <= 0 {
		maxAge = time.Minute
	}
	return &facts{
		size: size, maxAge: maxAge, entries: map[string]*list.Element{}, order: list.New(),
		seed: maphash.MakeSeed(), floors: map[uint64]int64{}, older: map[uint64]int64{},
	}
}

func (f *facts) get(id string, now time.Time) (User, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e, ok := f.entries[id]
	if !ok {
		return User{}, false
	}
	// A fact from the future means that the clock was set back: its age is not known.
	c := e.Value.(*fact)
	if age := now.Sub(c.at); age >= f.maxAge || age < 0 {
		f.remove(e)
		return User{}, false
	}
	f.order.MoveToFront(e)
	return c.user, true
}

// put caches a user read from the store after asked.
func (f *facts) put(u User, asked time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if u.Ver < f.floor(u.ID) {
		return
	}
	if e, ok := f.entries[u.ID]; ok {
		c := e.Value.(*fact)
		if u.V >= c.user.V {
			c.user, c.at = u, asked
		}
		f.order.MoveToFront(e)
		return
	}
	f.entries[u.ID] = f.order.PushFront(&fact{u, asked})
	if f.order.Len() > f.size {
		f.remove(f.order.Back())
	}
}

// raise takes an entry of the stream. What is as new as the entry stays, so that the entry of a write that this replica made itself costs
// nothing when it is followed.
func (f *facts) raise(id string, ver int64, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lift(id, ver, now)
	if e, ok := f.entries[id]; ok && e.Value.(*fact).user.Ver < ver {
		f.remove(e)
	}
}

// forget drops a user whose row was written here.
func (f *facts) forget(id string, ver int64, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lift(id, ver, now)
	if e, ok := f.entries[id]; ok {
		f.remove(e)
	}
}

func (f *facts) lift(id string, ver int64, now time.Time) {
	if now.Sub(f.turned) >= giveUp+2*f.maxAge {
		f.floors, f.older, f.turned = map[uint64]int64{}, f.floors, now
	}
	h := maphash.String(f.seed, id)
	f.floors[h] = max(f.floors[h], ver)
}

func (f *facts) floor(id string) int64 {
	h := maphash.String(f.seed, id)
	return max(f.floors[h], f.older[h])
}

func (f *facts) remove(e *list.Element) {
	f.order.Remove(e)
	delete(f.entries, e.Value.(*fact).user.ID)
}
