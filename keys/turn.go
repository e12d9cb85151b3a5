package keys

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"example.com/broker/internal/changes"
	"example.com/broker/internal/fault"
	"example.com/broker/internal/secret"
)

// Timing says from when a new key signs.
type Timing int

// The timings of Rotate.
const (
	// Ahead lets a new key sign once every verifier has had time to learn of it.
	Ahead Timing = iota
	// Immediately lets it sign at once, for an emergency: a verifier that keeps key sets without asking for an unknown one refuses
	// tokens until it fetches the set anew.
	Immediately
)

// edit returns what a set becomes, and false if it stays as it is.
type edit func(s Set, now time.Time) (Set, bool, error)

// Turn loads the keys and does what is due: makes the first key of an algorithm, which signs at once; publishes the next one ahead
// of its time; drops those whose last token is dead. Every replica calls it, and each step is done by one of them. An error is the
// store's, or says that no encryption key opens a signing key; what could be loaded is in use all the same.
func (r *Ring) Turn(ctx context.Context) error {
	var faults []error
	for _, alg := range Algorithms() {
		faults = append(faults, r.change(ctx, alg, func(s Set, now time.Time) (Set, bool, error) {
			if s.V == 0 && !slices.Contains(r.opts.Algs, alg) {
				return s, false, nil
			}
			return r.turn(s, now)
		}))
	}
	return errors.Join(faults...)
}

func (r *Ring) turn(s Set, now time.Time) (Set, bool, error) {
	kept := s.dropGone(now)
	from, due := r.plan.due(kept, now)
	if !due {
		return kept, len(kept.Keys) != len(s.Keys), nil
	}
	return r.grow(kept, from, now)
}

// grow adds a new key to a set.
func (r *Ring) grow(s Set, from, now time.Time) (Set, bool, error) {
	k, err := newKey(s.Alg, r.opts.Sealer)
	if err != nil {
		return s, false, err
	}
	return r.plan.add(s, k, from, now), true, nil
}

// Replace gives a key that signs at once to each algorithm whose own cannot be opened, and returns the new ones: for when an encryption key
// is lost. What the old ones signed stays good until it expires, since their public parts are not sealed; one that was to sign next is
// dropped. It is for a person to ask for: an encryption key that was mistyped looks the same, and a replica that has the right one cannot
// open what is made here.
//
// fault.Conflict "keys_open" if every key that signs can be opened; otherwise errors are the store's.
func (r *Ring) Replace(ctx context.Context) ([]Info, error) {
	var out []Info
	for _, alg := range Algorithms() {
		var made *Info
		err := r.change(ctx, alg, func(s Set, now time.Time) (Set, bool, error) {
			made = nil
			kept := s.dropGone(now)
			current, ok := signing(kept.sorted(), now)
			if !ok {
				return s, false, nil
			}
			if lost, err := r.lost(current, alg); !lost || err != nil {
				return s, false, err
			}
			edited, changed, err := r.grow(kept.dropNext(now), now, now)
			if k, ok := edited.tip(); ok {
				made = new(info(alg, k, edited.sorted(), now))
			}
			return edited, changed, err
		})
		if err != nil && !errors.Is(err, secret.ErrSealed) { // which says that another algorithm is still to be replaced
			return out, err
		}
		if made != nil {
			out = append(out, *made)
		}
	}
	if out == nil {
		return nil, fault.New(fault.Conflict, "keys_open", "Every signing key opens with the encryption keys there are: nothing is lost.")
	}
	return out, nil
}

// lost reports whether no encryption key opens k. The error says that something else is wrong with it.
func (r *Ring) lost(k Key, alg string) (bool, error) {
	public, err := k.public(alg)
	if err != nil {
		return false, err
	}
	_, err = k.open(r.opts.Sealer, public)
	if errors.Is(err, secret.ErrSealed) {
		return true, nil
	}
	return false, err
}

// Need makes sure that an algorithm has a key that signs, for a client or API registered at run time. fault.Invalid
// "algorithm_unknown" for one that no ring holds keys for; otherwise errors are the store's.
func (r *Ring) Need(ctx context.Context, alg string) error {
	if !slices.Contains(Algorithms(), alg) {
		return fault.New(fault.Invalid, "algorithm_unknown", "the algorithm is %q, expected one of %v", alg, Algorithms())
	}
	if _, ok := r.state.Load().signing(alg, r.now()); ok {
		return nil
	}
	return r.change(ctx, alg, r.turn)
}

// Rotate replaces the keys of every algorithm on command and returns the new ones. A new key is published now and signs from
// now + PublishAhead; what the old one signed stays good until it expires. Where a next key is published already, it is the one that
// is meant, and signs as soon as it has been published for that long. With Immediately a new key signs now, and a pending one is
// dropped. Errors are the store's; a repetition completes what was left.
func (r *Ring) Rotate(ctx context.Context, timing ...Timing) ([]Info, error) {
	var out []Info
	for _, alg := range Algorithms() {
		tip, err := r.rotate(ctx, alg, slices.Contains(timing, Immediately))
		if err != nil {
			return out, err
		}
		if tip != nil {
			out = append(out, *tip)
		}
	}
	return out, nil
}

// rotate returns nil for an algorithm that has no keys and needs none.
func (r *Ring) rotate(ctx context.Context, alg string, immediately bool) (*Info, error) {
	var tip *Info
	err := r.change(ctx, alg, func(s Set, now time.Time) (Set, bool, error) {
		if s.V == 0 && !slices.Contains(r.opts.Algs, alg) {
			return s, false, nil
		}
		edited, changed, err := r.replace(s.dropGone(now), now, immediately)
		if k, ok := edited.tip(); ok {
			tip = new(info(alg, k, edited.sorted(), now))
		}
		return edited, changed, err
	})
	return tip, err
}

func (r *Ring) replace(s Set, now time.Time, immediately bool) (Set, bool, error) {
	if immediately {
		return r.grow(s.dropNext(now), now, now)
	}
	if hastened, ok := r.plan.hasten(s, now); ok {
		return hastened, true, nil
	}
	if _, ok := s.tip(); !ok {
		return r.grow(s, now, now)
	}
	return r.grow(s, now.Add(r.plan.ahead), now)
}

// RevokeKey drops a key at once, everywhere: nothing it signed is good any more. If it is the one that signs, a new one takes its
// place first, so that no replica is without. fault.NotFound "key_unknown"; otherwise errors are the store's, and a repetition
// completes what was left.
func (r *Ring) RevokeKey(ctx context.Context, kid string) error {
	alg, err := r.algOf(ctx, kid)
	if err != nil {
		return err
	}
	// Another replica must not be told to forget its only key before it can know the next one.
	err = r.change(ctx, alg, func(s Set, now time.Time) (Set, bool, error) {
		if current, ok := signing(s.sorted(), now); !ok || current.KID != kid {
			return s, false, nil
		}
		return r.grow(s.dropNext(now), now, now)
	})
	if err != nil {
		return err
	}
	if r.opts.Changes != nil {
		// The end lies far off because a stolen key can date its tokens as it likes; once the row is written, the key is unknown for good.
		entry := changes.Entry{Kind: changes.RevokedKey, Key: kid, Until: r.now().Add(r.opts.RotateEvery + r.opts.TokenLife)}
		if err := r.opts.Changes.Append(ctx, entry); err != nil {
			return fmt.Errorf("revoke signing key %s: %w", kid, err)
		}
	}
	return r.change(ctx, alg, func(s Set, now time.Time) (Set, bool, error) {
		return s.drop(kid, now), slices.ContainsFunc(s.Keys, func(k Key) bool { return k.KID == kid }), nil
	})
}

func (r *Ring) algOf(ctx context.Context, kid string) (string, error) {
	list, err := r.List(ctx)
	if err != nil {
		return "", err
	}
	for _, k := range list {
		if k.KID == kid {
			return k.Alg, nil
		}
	}
	return "", fault.New(fault.NotFound, "key_unknown", "There is no signing key %.100q.", kid)
}

// change applies an edit to the stored set by compare-and-swap and takes the result into use. An edit may be asked several
// times; after changes.Attempts of them the error is fault.Unavailable "keys_changed".
func (r *Ring) change(ctx context.Context, alg string, ask edit) error {
	for range changes.Attempts {
		stored, err := r.opts.Store.LoadKeys(ctx, alg)
		if err != nil {
			return fmt.Errorf("load the signing keys for %s: %w", alg, err)
		}
		stored.Alg = alg
		edited, changed, err := ask(stored, r.now())
		if err != nil {
			return err
		}
		if !changed {
			return r.adopt(stored)
		}
		err = r.opts.Store.SwapKeys(ctx, edited)
		if fault.Is(err, fault.Conflict) {
			continue
		}
		if err != nil {
			return fmt.Errorf("store the signing keys for %s: %w", alg, err)
		}
		edited.V++
		return errors.Join(r.adopt(edited), r.announce(ctx, edited))
	}
	return fault.New(fault.Unavailable, "keys_changed", "the signing keys for %s changed %d times meanwhile; try again", alg, changes.Attempts)
}

// announce tells other replicas of a new version. Other than a revocation it follows the row: a replica that misses it knows the
// change at its next turn, long before a key that is published ahead signs, and whoever reads on hearing it finds the row.
func (r *Ring) announce(ctx context.Context, s Set) error {
	if r.opts.Changes == nil {
		return nil
	}
	if err := r.opts.Changes.Append(ctx, changes.Entry{Kind: changes.KeysVersion, Key: s.Alg, Value: s.V}); err != nil {
		return fmt.Errorf("announce the signing keys for %s: %w", s.Alg, err)
	}
	return nil
}

// load takes the stored set of an algorithm into use. The error is the store's alone: that a private part cannot be opened is no
// matter to whoever looks for a public one, and the next turn reports it.
func (r *Ring) load(ctx context.Context, alg string) error {
	set, err := r.opts.Store.LoadKeys(ctx, alg)
	if err != nil {
		return fmt.Errorf("load the signing keys for %s: %w", alg, err)
	}
	set.Alg = alg
	if err := r.adopt(set); err != nil {
		r.opts.Log.WarnContext(ctx, "a signing key cannot be used", "err", err)
	}
	return nil
}

// hearVersion reloads a set that another replica has changed.
func (r *Ring) hearVersion(e changes.Entry) {
	if !slices.Contains(Algorithms(), e.Key) || r.state.Load().sets[e.Key].V >= e.Value {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
	defer cancel()
	if err := r.load(ctx, e.Key); err != nil {
		r.opts.Log.WarnContext(ctx, "cannot reload signing keys; the next turn tries again", "alg", e.Key, "err", err)
	}
}

func (r *Ring) hearRevoked(e changes.Entry) { r.forget(e.Key) }
