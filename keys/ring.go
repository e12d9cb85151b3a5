package keys

import (
	"cmp"
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"example.com/broker/internal/changes"
	"example.com/broker/internal/fault"
	"example.com/broker/internal/secret"
	"example.com/broker/verify"
)

const (
	// DefaultJWKSMaxAge is how long verifiers may keep the JWKS.
	DefaultJWKSMaxAge = 10 * time.Minute
	// DefaultRotateEvery is how long a key signs.
	DefaultRotateEvery = 90 * 24 * time.Hour
	// Margin is what the schedule adds for clocks that differ, for the leeway of verifiers, and for the time until a replica has heard
	// of a change.
	Margin = 2 * time.Minute

	turnInterval = time.Minute
	readTimeout  = 5 * time.Second
	// missCooldown bounds the reads that tokens with invented key ids can cause.
	missCooldown = time.Second
)

// Options configure a Ring.
type Options struct {
	// Store, Sealer and Now are required.
	Store  Store
	Sealer *secret.Sealer
	Now    func() time.Time
	// Changes tells other replicas of changes and hears of theirs; nil for a process that is alone. NewRing subscribes.
	Changes *changes.Follower
	// Log hears what Run cannot return; nil discards.
	Log *slog.Logger
	// Algs are the algorithms that must have a key. An algorithm that has keys in the store already is looked after too.
	Algs []string
	// RotateEvery is how long a key signs; 0 means DefaultRotateEvery.
	RotateEvery time.Duration
	// JWKSMaxAge is how long verifiers may keep the JWKS; 0 means DefaultJWKSMaxAge.
	JWKSMaxAge time.Duration
	// PublishAhead is how long a key is published before it signs; at least, and by default, JWKSMaxAge + Margin.
	PublishAhead time.Duration
	// TokenLife is the longest lifetime of anything signed; a retired key stays published for TokenLife + Margin. Required.
	TokenLife time.Duration
}

// Ring holds the signing keys as parsed values behind one atomic snapshot, so that signing, looking a key up and publishing need no
// store. It is safe for concurrent use.
type Ring struct {
	opts  Options
	plan  schedule
	state atomic.Pointer[snapshot]

	mu      sync.Mutex // guards the building of snapshots, and revoked
	revoked map[string]bool

	missing chan struct{} // holds one element: the right to read the store for an unknown kid
	missed  map[string]time.Time
}

var _ verify.KeySet = (*Ring)(nil)

// NewRing returns a ring without keys: Turn loads or makes them. The error lists everything wrong with the options.
func NewRing(opts Options) (*Ring, error) {
	opts.RotateEvery = cmp.Or(opts.RotateEvery, DefaultRotateEvery)
	opts.JWKSMaxAge = cmp.Or(opts.JWKSMaxAge, DefaultJWKSMaxAge)
	opts.PublishAhead = cmp.Or(opts.PublishAhead, opts.JWKSMaxAge+Margin)
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if err := opts.check(); err != nil {
		return nil, fmt.Errorf("refuse to set up signing keys: %w", err)
	}
	r := &Ring{
		opts:    opts,
		plan:    schedule{every: opts.RotateEvery, ahead: opts.PublishAhead, outlive: opts.TokenLife + Margin},
		revoked: map[string]bool{},
		missing: make(chan struct{}, 1),
		missed:  map[string]time.Time{},
	}
	r.state.Store(emptySnapshot())
	if opts.Changes != nil {
		opts.Changes.On(changes.KeysVersion, r.hearVersion)
		opts.Changes.On(changes.RevokedKey, r.hearRevoked)
	}
	return r, nil
}

func (o Options) check() error {
	var faults []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	need(o.Store != nil && o.Sealer != nil && o.Now != nil, "store, sealer and clock are required")
	need(len(o.Algs) > 0, "no algorithm is named, expected some of %v", Algorithms())
	for _, alg := range o.Algs {
		need(slices.Contains(Algorithms(), alg), "the algorithm is %q, expected one of %v", alg, Algorithms())
	}
	need(o.TokenLife > 0, "the token lifetime is %v, expected more than 0", o.TokenLife)
	need(o.PublishAhead >= o.JWKSMaxAge+Margin,
		"keys are published %v ahead, expected at least %v: verifiers keep the key set for %v", o.PublishAhead, o.JWKSMaxAge+Margin, o.JWKSMaxAge)
	need(o.RotateEvery > o.PublishAhead, "keys turn every %v, expected more than the %v they are published ahead", o.RotateEvery, o.PublishAhead)
	return errors.Join(faults...)
}

// now is the clock at the precision of the stores.
func (r *Ring) now() time.Time { return r.opts.Now().UTC().Truncate(time.Millisecond) }

// MaxAge returns how long verifiers may keep what Public returns.
func (r *Ring) MaxAge() time.Duration { return r.opts.JWKSMaxAge }

// Algs returns the algorithms that have a key, sorted.
func (r *Ring) Algs() []string { return r.state.Load().algs() }

// Signer returns the key that signs for an algorithm now, and its id. The error is fault.Unavailable "signing_key_missing" where there
// is none, or none that the encryption keys open. It needs no store.
func (r *Ring) Signer(alg string) (kid string, signer crypto.Signer, err error) {
	e, ok := r.state.Load().signing(alg, r.now())
	if !ok {
		return "", nil, fault.New(fault.Unavailable, "signing_key_missing", "no key signs for %q at the moment", alg)
	}
	if e.signer == nil {
		return "", nil, fault.Wrap(e.fault, fault.Unavailable, "signing_key_missing", "the key that signs for %q cannot be opened", alg)
	}
	return e.KID, e.signer, nil
}

// Lookup returns a published key, whether or not it still signs. It needs no store.
func (r *Ring) Lookup(kid string) (public crypto.PublicKey, alg string, ok bool) {
	e, ok := r.state.Load().keys[kid]
	if !ok || e.gone(r.now()) {
		return nil, "", false
	}
	return e.public, e.alg, true
}

// Key implements verify.KeySet. An unknown kid costs one read of the store, at most once a second for each algorithm.
func (r *Ring) Key(ctx context.Context, kid, alg string) (crypto.PublicKey, error) {
	if key, err := r.lookup(kid, alg); err == nil || !slices.Contains(Algorithms(), alg) || r.isRevoked(kid) {
		return key, err
	}
	select {
	case r.missing <- struct{}{}:
		defer func() { <-r.missing }()
	case <-ctx.Done():
		return nil, fmt.Errorf("look for signing key %q: %w", kid, ctx.Err())
	}
	// Whoever waited looks again: the one before may have brought the key.
	now := r.opts.Now()
	if key, err := r.lookup(kid, alg); err == nil || now.Sub(r.missed[alg]).Abs() < missCooldown {
		return key, err
	}
	if err := r.load(ctx, alg); err != nil {
		return nil, fmt.Errorf("look for signing key %q: %w", kid, err)
	}
	key, err := r.lookup(kid, alg)
	if err != nil {
		r.missed[alg] = now
	}
	return key, err
}

func (r *Ring) lookup(kid, alg string) (crypto.PublicKey, error) {
	key, of, ok := r.Lookup(kid)
	if !ok || of != alg {
		return nil, fmt.Errorf("signing key %q for %q: %w", kid, alg, verify.ErrUnknownKey)
	}
	return key, nil
}

// Public returns the JWKS (RFC 7517 §5) and its entity tag, quotes included. It needs no store. The bytes must not be changed.
func (r *Ring) Public() (jwks []byte, etag string) {
	s := r.state.Load()
	return s.jwks, s.etag
}

// Info describes a key for people.
type Info struct {
	Alg       string    `json:"alg"`
	KID       string    `json:"kid"`
	State     State     `json:"state"`
	Published time.Time `json:"published"`
	SignsFrom time.Time `json:"signs_from"`
	RetiredAt time.Time `json:"retired_at,omitzero"`
	Until     time.Time `json:"until,omitzero"`
}

// List reads the keys from the store, by algorithm and then by the time from which they sign. Errors are the store's.
func (r *Ring) List(ctx context.Context) ([]Info, error) {
	var out []Info
	for _, alg := range Algorithms() {
		set, err := r.opts.Store.LoadKeys(ctx, alg)
		if err != nil {
			return nil, fmt.Errorf("list signing keys: %w", err)
		}
		sorted := set.sorted()
		for _, k := range sorted {
			out = append(out, info(alg, k, sorted, r.now()))
		}
	}
	return out, nil
}

func info(alg string, k Key, sorted []Key, now time.Time) Info {
	return Info{
		Alg: alg, KID: k.KID, State: k.state(sorted, now),
		Published: k.Published, SignsFrom: k.SignsFrom, RetiredAt: k.RetiredAt, Until: k.Until,
	}
}

// Run calls Turn every minute until ctx ends, whose error it returns; a turn that fails is logged and tried again.
func (r *Ring) Run(ctx context.Context) error {
	tick := time.NewTicker(turnInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if err := r.Turn(ctx); err != nil && ctx.Err() == nil {
			r.opts.Log.ErrorContext(ctx, "cannot turn the signing keys", "err", err)
		}
	}
}
