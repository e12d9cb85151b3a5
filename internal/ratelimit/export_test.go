package ratelimit

// Waiting is how many buckets somebody of this process is at.
func (l *Limiter) Waiting() int {
	l.queue.mu.Lock()
	defer l.queue.mu.Unlock()
	return len(l.queue.rows)
}

// Queued is how many wait for a bucket.
func (l *Limiter) Queued(row string) int {
	l.queue.mu.Lock()
	defer l.queue.mu.Unlock()
	if b := l.queue.rows[row]; b != nil {
		return b.waiting
	}
	return 0
}
