package local

import (
	"sync"
	"time"
)

// vaultLimit bounds how many entries a vault holds. The oldest makes room: a
// local upstream forgets rather than grow.
const vaultLimit = 10_000

// vault keeps values by an unguessable key for a fixed time. Safe for
// concurrent use; every method is one atomic act.
type vault[T any] struct {
	life time.Duration

	mu    sync.Mutex
	items map[string]kept[T]
	// order holds the keys oldest first. As every entry lives equally long,
	// it is the order of expiry too. Keys already taken stay until they
	// reach the front.
	order []string
}

type kept[T any] struct {
	value T
	until time.Time
}

func newVault[T any](life time.Duration) *vault[T] {
	return &vault[T]{life: life, items: make(map[string]kept[T])}
}

// put stores value under key until now + life.
func (v *vault[T]) put(now time.Time, key string, value T) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.sweep(now)
	v.items[key] = kept[T]{value: value, until: now.Add(v.life)}
	v.order = append(v.order, key)
}

// get returns the value of a live key.
func (v *vault[T]) get(now time.Time, key string) (T, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	item, ok := v.items[key]
	if !ok || !now.Before(item.until) {
		var none T
		return none, false
	}
	return item.value, true
}

// take returns the value of a live key and removes it, so that of any number
// of callers exactly one gets it.
func (v *vault[T]) take(now time.Time, key string) (T, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	item, ok := v.items[key]
	delete(v.items, key)
	if !ok || !now.Before(item.until) {
		var none T
		return none, false
	}
	return item.value, true
}

func (v *vault[T]) sweep(now time.Time) {
	for len(v.order) > 0 {
		item, present := v.items[v.order[0]]
		if present && now.Before(item.until) && len(v.order) < vaultLimit {
			return
		}
		delete(v.items, v.order[0])
		v.order = v.order[1:]
	}
}
