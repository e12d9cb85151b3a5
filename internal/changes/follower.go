package changes

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// DefaultInterval is the time between two polls.
	DefaultInterval = 500 * time.Millisecond
	// MaxStaleness is how old the last complete poll may be before a follower no longer vouches for what it knows.
	MaxStaleness = 10 * time.Second

	// farEvery is how often a poll reads the far window instead of the near one.
	farEvery = 10
	// pollTimeout ends a poll that hangs; the next one reads the same window again.
	pollTimeout = 5 * time.Second
)

// Options configure a Follower.
type Options struct {
	// Now tells the time. Required. A clock with a monotonic reading keeps staleness right when the wall clock is set.
	Now func() time.Time
	// Log hears when polls begin to fail and when they recover; nil discards.
	Log *slog.Logger
	// Interval between two polls; 0 means DefaultInterval.
	Interval time.Duration
}

// Follower hands the entries of a stream to whoever keeps a copy in memory: those of other replicas within one interval or so,
// those of this one before Append returns. It is safe for concurrent use once Run, Poll or Append has been called.
type Follower struct {
	stream   Stream
	opts     Options
	handlers map[Kind][]func(Entry)

	asOf atomic.Pointer[time.Time]

	mu     sync.Mutex // held through a poll
	newest int64
	polls  int
	loaded bool
	known  map[identity]seen
}

type identity struct {
	kind Kind
	key  string
}

// seen is what was last handed out for an identity.
type seen struct {
	at, value int64
	until     time.Time
}

// New returns a follower that has read nothing yet.
func New(stream Stream, opts Options) *Follower {
	opts.Interval = cmp.Or(opts.Interval, DefaultInterval)
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	return &Follower{stream: stream, opts: opts, handlers: map[Kind][]func(Entry){}, known: map[identity]seen{}}
}

// On subscribes to a kind; call it before the first Poll, Run or Append. The handler is called for one entry at a time by each of
// them, so by several goroutines at once, and may be called again with what it has heard before, or with an older value: it keeps
// the larger value and the later end. No lock that Append needs is held meanwhile.
func (f *Follower) On(kind Kind, handler func(Entry)) {
	f.handlers[kind] = append(f.handlers[kind], handler)
}

// Run polls until ctx ends, whose error it returns. A failed poll is tried again after the interval; that polls fail is logged once,
// and so is the recovery.
func (f *Follower) Run(ctx context.Context) error {
	tick := time.NewTicker(f.opts.Interval)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		err := f.pollFor(ctx, pollTimeout)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !failing:
			f.opts.Log.WarnContext(ctx, "cannot follow the change stream", "err", err)
		case err == nil && failing:
			f.opts.Log.InfoContext(ctx, "following the change stream again")
		}
		failing = err != nil
	}
}

func (f *Follower) pollFor(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return f.Poll(ctx)
}

// Poll reads once what is new and hands it out before it returns. The first one reads every unexpired entry. The error is the
// stream's; the next poll then reads the same window again.
func (f *Follower) Poll(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	began := f.opts.Now()
	near, far := f.stream.Overlap()
	from := int64(0)
	if f.loaded {
		window := near
		if f.polls%farEvery == 0 {
			window = far
			f.forget(far, began)
		}
		from = max(0, f.newest-window)
	}
	entries, err := f.stream.Read(ctx, from, began)
	if err != nil {
		return fmt.Errorf("read the change stream from %d: %w", from, err)
	}
	f.take(entries, far)
	f.loaded = true
	f.polls++
	f.asOf.Store(&began)
	return nil
}

// take hands out what is not known yet and remembers what a later window can bring again.
func (f *Follower) take(entries []Entry, far int64) {
	if n := len(entries); n > 0 {
		f.newest = max(f.newest, entries[n-1].At)
	}
	for _, e := range entries {
		id, now := identity{e.Kind, e.Key}, seen{e.At, e.Value, e.Until}
		old, known := f.known[id]
		if e.At >= f.newest-far {
			f.known[id] = now
		}
		if !known || old.value != now.value || !old.until.Equal(now.until) {
			f.apply(e)
		}
	}
}

// forget drops what no window reaches any more, so that memory holds minutes of the stream and not all of it.
func (f *Follower) forget(far int64, now time.Time) {
	for id, s := range f.known {
		if s.at < f.newest-far || (!s.until.IsZero() && !now.Before(s.until)) {
			delete(f.known, id)
		}
	}
}

func (f *Follower) apply(e Entry) {
	for _, handle := range f.handlers[e.Kind] {
		handle(e)
	}
}

// Append writes entries to the stream, then hands them out here at once. On an error none is handed out, though some may have been
// written; repeating the call completes it.
func (f *Follower) Append(ctx context.Context, entries ...Entry) error {
	if err := f.stream.Append(ctx, entries...); err != nil {
		return fmt.Errorf("append to the change stream: %w", err)
	}
	for _, e := range entries {
		f.apply(e)
	}
	return nil
}

// AsOf returns when the last complete poll began, by Now; the zero time before the first one.
func (f *Follower) AsOf() time.Time {
	if at := f.asOf.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

// Stale reports whether the last complete poll is too old at now (see MaxStaleness), or there was none. What was revoked meanwhile
// is unknown then, and an answer that depends on it must be 503.
func (f *Follower) Stale(now time.Time) bool {
	at := f.asOf.Load()
	// A poll that lies ahead by as much means that the clock was set back: its age is unknown.
	return at == nil || now.Sub(*at).Abs() > MaxStaleness
}
