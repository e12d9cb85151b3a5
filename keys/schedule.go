package keys

import (
	"slices"
	"time"
)

// State says what a key is good for at a moment.
type State string

// The states of a key, in the order it passes through them.
const (
	Next    State = "next"
	Active  State = "active"
	Retired State = "retired"
)

// schedule holds the durations by which keys turn.
type schedule struct {
	every   time.Duration // how long a key signs
	ahead   time.Duration // how long it is published before
	outlive time.Duration // how long it verifies after
}

// sorted returns the keys by the time from which they sign.
func (s Set) sorted() []Key {
	return slices.SortedStableFunc(slices.Values(s.Keys), func(a, b Key) int { return a.SignsFrom.Compare(b.SignsFrom) })
}

// signing returns the key that signs at now: the newest that may. Where the clock was set back to before all of them, it is
// the oldest, which verifiers have known the longest.
func signing(sorted []Key, now time.Time) (Key, bool) {
	if len(sorted) == 0 {
		return Key{}, false
	}
	current := sorted[0]
	for _, k := range sorted[1:] {
		if !now.Before(k.SignsFrom) {
			current = k
		}
	}
	return current, true
}

// state tells what k, one of the sorted keys, is good for at now.
func (k Key) state(sorted []Key, now time.Time) State {
	current, _ := signing(sorted, now)
	switch {
	case k.KID == current.KID:
		return Active
	case k.SignsFrom.After(current.SignsFrom):
		return Next
	default:
		return Retired
	}
}

// gone reports whether the key has left the JWKS at now.
func (k Key) gone(now time.Time) bool { return !k.Until.IsZero() && !now.Before(k.Until) }

// dropGone returns the set without the keys whose time is over.
func (s Set) dropGone(now time.Time) Set {
	s.Keys = slices.DeleteFunc(slices.Clone(s.Keys), func(k Key) bool { return k.gone(now) })
	return s
}

// dropNext returns the set without the keys that do not sign yet.
func (s Set) dropNext(now time.Time) Set {
	sorted := s.sorted()
	s.Keys = slices.DeleteFunc(slices.Clone(s.Keys), func(k Key) bool { return k.state(sorted, now) == Next })
	return s
}

// tip returns the key that has no successor.
func (s Set) tip() (Key, bool) {
	sorted := s.sorted()
	if len(sorted) == 0 || !sorted[len(sorted)-1].RetiredAt.IsZero() {
		return Key{}, false
	}
	return sorted[len(sorted)-1], true
}

// due returns from when the successor of the tip has to sign, and whether it has to be published by now.
func (p schedule) due(s Set, now time.Time) (time.Time, bool) {
	tip, ok := s.tip()
	if !ok {
		return now, true // nothing can sign: whoever meets the new key has to fetch it
	}
	from := tip.SignsFrom.Add(p.every)
	if earliest := now.Add(p.ahead); from.Before(earliest) {
		return earliest, true
	}
	return from, false
}

// add returns the set with k, which signs from the given time and sends the others into retirement then.
func (p schedule) add(s Set, k Key, from, now time.Time) Set {
	k.Published, k.SignsFrom = now, from
	s.Keys = slices.Clone(s.Keys)
	for i := range s.Keys {
		p.retire(&s.Keys[i], from)
	}
	s.Keys = append(s.Keys, k)
	return s
}

// retire ends a key at the given time, unless it ends before.
func (p schedule) retire(k *Key, at time.Time) {
	if k.RetiredAt.IsZero() || k.RetiredAt.After(at) {
		k.RetiredAt, k.Until = at, at.Add(p.outlive)
	}
}

// hasten lets the pending key sign as soon as it has been published for long enough. It reports whether there is one.
func (p schedule) hasten(s Set, now time.Time) (Set, bool) {
	tip, ok := s.tip()
	if !ok || tip.state(s.sorted(), now) != Next {
		return s, false
	}
	from := tip.Published.Add(p.ahead)
	if from.Before(now) {
		from = now
	}
	if from.After(tip.SignsFrom) {
		from = tip.SignsFrom
	}
	s.Keys = slices.Clone(s.Keys)
	for i := range s.Keys {
		if s.Keys[i].KID == tip.KID {
			s.Keys[i].SignsFrom = from
		} else {
			p.retire(&s.Keys[i], from)
		}
	}
	return s, true
}

// drop returns the set without a key. The one that signs gets its open end back if its successor is dropped before it signed.
func (s Set) drop(kid string, now time.Time) Set {
	s.Keys = slices.DeleteFunc(slices.Clone(s.Keys), func(k Key) bool { return k.KID == kid })
	sorted := s.sorted()
	if len(sorted) == 0 {
		return s
	}
	last := sorted[len(sorted)-1]
	for i := range s.Keys {
		if s.Keys[i].KID == last.KID && now.Before(last.RetiredAt) {
			s.Keys[i].RetiredAt, s.Keys[i].Until = time.Time{}, time.Time{}
		}
	}
	return s
}
