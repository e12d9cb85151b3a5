package oidc

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"example.com/broker/providers"
)

const (
	// maxAge is how old a document of the upstream may be before it is fetched again.
	maxAge = time.Hour
	// retryAfter is how long an old document is used after a failed attempt to renew it.
	retryAfter = time.Minute
)

// kept holds a document of the upstream: fetched when first asked for, and again when it is old. All who ask while it is being fetched
// share one request. Safe for concurrent use.
type kept[T any] struct {
	fetch  func(context.Context) (T, error)
	now    func() time.Time
	flight singleflight.Group

	mu    sync.Mutex
	have  bool
	value T
	due   time.Time // when to fetch again
}

// get returns the document. An old one that cannot be renewed is still returned; the error is fetch's where there is none at all.
func (k *kept[T]) get(ctx context.Context) (T, error) {
	if v, fresh := k.fresh(); fresh {
		return v, nil
	}
	v, err := k.share(ctx, "when due", func(ctx context.Context) (T, error) {
		if v, fresh := k.fresh(); fresh { // fetched between the question and our turn
			return v, nil
		}
		return k.load(ctx)
	})
	if old, have := k.peek(); err != nil && have {
		return old, nil
	}
	return v, err
}

// renew fetches the document at once. If that fails, the old one stays.
func (k *kept[T]) renew(ctx context.Context) (T, error) { return k.share(ctx, "at once", k.load) }

// share runs work once for all who ask by the same name meanwhile. They share the answer, so it does not end with the first of them; the
// client's timeout bounds it.
func (k *kept[T]) share(ctx context.Context, name string, work func(context.Context) (T, error)) (T, error) {
	done := k.flight.DoChan(name, func() (any, error) { return work(context.WithoutCancel(ctx)) })
	select {
	case <-ctx.Done():
		var none T
		return none, providers.Unavailable(ctx.Err(), "The provider did not answer in time.")
	case r := <-done:
		return r.Val.(T), r.Err
	}
}

func (k *kept[T]) load(ctx context.Context) (T, error) {
	v, err := k.fetch(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		k.due = k.now().Add(retryAfter)
		return v, err
	}
	k.have, k.value, k.due = true, v, k.now().Add(maxAge)
	return v, nil
}

func (k *kept[T]) fresh() (T, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.value, k.have && k.now().Before(k.due)
}

// peek returns the document as it is, if there is one.
func (k *kept[T]) peek() (T, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.value, k.have
}
