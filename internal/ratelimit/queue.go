package ratelimit

import (
	"context"
	"sync"
	"time"

	"example.com/broker/internal/fault"
)

// maxWaiting is how many attempts wait for one bucket.
const maxWaiting = 256

// queue knows which attempts of this process hold a place, so that who finds a bucket full can wait for one that may be given back. It is
// a courtesy to those who come at once and are right; what counts is in the store.
type queue struct {
	mu   sync.Mutex
	rows map[string]*bucket
}

// bucket is there while somebody is at it.
type bucket struct {
	// entering lets one in after the other, so that held is right for whoever is turned away.
	entering sync.Mutex

	present, held, waiting int
	left                   chan struct{} // closed when somebody who held a place leaves
}

// errBusy says that there was no room because of others whose attempts are under way, for longer than anybody waits or for too many of them.
var errBusy = fault.Error{
	Kind: fault.Unavailable, Code: "attempts_under_way", Message: "Too many sign-ins are under way here; try again in a moment.", RetryAfter: time.Second,
}

// enter takes a place by take. While there is none and others of this process hold one, it waits until one of them leaves and tries again,
// for as long as patience and ctx last: then it is errBusy, since nobody has failed yet. Any other error is take's.
func (q *queue) enter(ctx context.Context, row string, take func() (taken bool, err error)) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	b := q.come(row)
	for {
		taken, left, err := q.try(b, take)
		if taken {
			return true, nil
		}
		if err != nil || left == nil {
			q.depart(row, b)
			return false, err
		}
		select {
		case <-left:
			q.wake(b)
		case <-ctx.Done():
			q.wake(b)
			q.depart(row, b)
			return false, &errBusy
		}
	}
}

func (q *queue) come(row string) *bucket {
	q.mu.Lock()
	defer q.mu.Unlock()
	b := q.rows[row]
	if b == nil {
		b = &bucket{left: make(chan struct{})}
		q.rows[row] = b
	}
	b.present++
	return b
}

// try takes a place, or returns what to wait for, nil where nobody holds one.
func (q *queue) try(b *bucket, take func() (bool, error)) (taken bool, left chan struct{}, err error) {
	b.entering.Lock()
	defer b.entering.Unlock()
	taken, err = take()
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case err != nil:
		return false, nil, err
	case taken:
		b.held++
		return true, nil, nil
	case b.held == 0:
		return false, nil, nil
	case b.waiting >= maxWaiting:
		return false, nil, &errBusy
	}
	b.waiting++
	return false, b.left, nil
}

func (q *queue) wake(b *bucket) {
	q.mu.Lock()
	defer q.mu.Unlock()
	b.waiting--
}

// leave ends the stay of an attempt that holds a place.
func (q *queue) leave(row string) {
	q.mu.Lock()
	b := q.rows[row]
	b.held--
	close(b.left)
	b.left = make(chan struct{})
	q.mu.Unlock()
	q.depart(row, b)
}

func (q *queue) depart(row string, b *bucket) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if b.present--; b.present == 0 {
		delete(q.rows, row)
	}
}
