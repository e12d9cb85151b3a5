package users

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"

	"example.com/broker/internal/fault"
	"example.com/broker/internal/secret"
	"golang.org/x/text/unicode/norm"
)

// HasherOptions are the settings of a Hasher; each zero means the default.
type HasherOptions struct {
	// Params is what new hashes cost, and the work done for people who have none.
	Params Params
	// Workers compute at once; by default one less than the processors Go uses, so that other routes keep one, and at least one.
	Workers int
	// Queue is how many callers may wait for a worker; by default 16 for each.
	Queue int
}

// Hasher hashes and verifies passwords with a bound on how many at once: each costs tens of megabytes and milliseconds, and without the
// bound a burst of logins takes the whole process down. It is safe for concurrent use.
type Hasher struct {
	params   Params
	pretence phc
	places   chan struct{} // workers and queue
	workers  chan struct{}

	computed, turnedAway atomic.Int64
}

// NewHasher returns a Hasher, or fault.Invalid if the parameters are out of the bounds that stored hashes have too.
func NewHasher(o HasherOptions) (*Hasher, error) {
	if o.Params == (Params{}) {
		o.Params = DefaultParams()
	}
	if err := o.Params.check(); err != nil {
		return nil, err
	}
	if o.Workers <= 0 {
		o.Workers = max(1, runtime.GOMAXPROCS(0)-1)
	}
	if o.Queue <= 0 {
		o.Queue = 16 * o.Workers
	}
	return &Hasher{
		params:   o.Params,
		pretence: pretence(o.Params),
		places:   make(chan struct{}, o.Workers+o.Queue),
		workers:  make(chan struct{}, o.Workers),
	}, nil
}

// HasherStats count since the start.
type HasherStats struct {
	Computed   int64 // hashes computed, pretended ones included
	TurnedAway int64 // callers past the queue
}

// Stats returns the counts, for metrics.
func (h *Hasher) Stats() HasherStats {
	return HasherStats{Computed: h.computed.Load(), TurnedAway: h.turnedAway.Load()}
}

// Hash returns the PHC string of a new password. It waits for a worker: fault.Unavailable "hash_pool_full" with RetryAfter if the queue
// is full, the same around ctx's error if that ends while waiting.
func (h *Hasher) Hash(ctx context.Context, password secret.Value) (string, error) {
	done, err := h.enter(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	return newArgon2id(normalize(password), h.params)
}

// Verify reports whether password is the one stored was made from; errors as Hash. A stored hash that CheckHash refuses, the empty one
// included, matches nothing and costs what a new hash costs, so that somebody without a password, and nobody at all, take the same time
// as a wrong password. Only hashes imported from elsewhere cost otherwise, until their owner's next login.
func (h *Hasher) Verify(ctx context.Context, stored string, password secret.Value) (bool, error) {
	p, err := parsePHC(stored)
	usable := err == nil
	if !usable {
		p = h.pretence
	}
	done, err := h.enter(ctx)
	if err != nil {
		return false, err
	}
	defer done()
	ok, err := p.matches(normalize(password))
	return ok && usable, err
}

// Stale reports whether a stored hash is of another algorithm or other parameters than new ones.
func (h *Hasher) Stale(stored string) bool {
	p, err := parsePHC(stored)
	return err != nil || p.family != "argon2id" || p.params != h.params
}

// enter takes a place in the queue, then a worker.
func (h *Hasher) enter(ctx context.Context) (done func(), err error) {
	select {
	case h.places <- struct{}{}:
	default:
		h.turnedAway.Add(1)
		return nil, poolFull(nil)
	}
	select {
	case h.workers <- struct{}{}:
	case <-ctx.Done():
		<-h.places
		return nil, poolFull(ctx.Err())
	}
	// Both may have been ready, and a caller who is gone must not cost a hash.
	if err := ctx.Err(); err != nil {
		<-h.workers
		<-h.places
		return nil, poolFull(err)
	}
	h.computed.Add(1)
	return func() { <-h.workers; <-h.places }, nil
}

func poolFull(cause error) error {
	e := fault.Wrap(cause, fault.Unavailable, "hash_pool_full", "Too many people are signing in at this moment. Try again in a second.")
	e.RetryAfter = time.Second
	return e
}

// normalize gives the bytes that are hashed. NIST SP 800-63B wants Unicode normalised, so that the same keys on another system give the
// same password; NFC is what RFC 8265 (OpaqueString) settled on. NFKC was turned down: it folds characters that people tell apart, and
// breaks hashes imported from systems that fold nothing.
func normalize(password secret.Value) string { return norm.NFC.String(password.Reveal()) }
