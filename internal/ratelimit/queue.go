package ratelimit

import (
	"context"
	"sync"
)

// maxWaiting is how many attempts wait for one bucket. Whoever comes after them is turned away as if there were nobody to wait for.
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

// enter takes a place by take. While there is none and others of this process hold one, it waits until one of them leaves and tries again,
// for as long as patience and ctx last. The error is take's.
func (q *queue) enter(ctx context.Context, row string, take func() (taken bool, err error)) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	b := q.come(row)
	for {
		taken, left, err := q.try(b, take)
		if taken && err == nil {
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
			return false, nil
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

// try takes a place, or returns what to wait for: nil where nobody holds one, or too many wait.
func (q *queue) try(b *bucket, take func() (bool, error)) (taken bool, left chan struct{}, err error) {
	b.entering.Lock()
	defer b.entering.Unlock()
	taken, err = take()
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case err != nil:
	case taken:
		b.held++
	case b.held > 0 && b.waiting < maxWaiting:
		b.waiting++
		left = b.left
	}
	return taken, left, err
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
