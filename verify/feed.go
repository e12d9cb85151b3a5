package verify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"example.com/broker/internal/fingerprints"
)

const (
	defaultFeedInterval = time.Second
	defaultMaxStaleness = 10 * time.Second

	// maxFeedTimeout bounds one request, so that one that hangs leaves time for another.
	maxFeedTimeout = 5 * time.Second
	// maxFeedPages bounds what one snapshot may cost.
	maxFeedPages = 1 << 16
	// maxReplicas bounds how many processes of the broker are told apart.
	maxReplicas = 64
)

// FeedOptions configure a [Feed]. URL, Issuer and Keys are required.
type FeedOptions struct {
	// URL is where the feed is: revocation_feed_endpoint of the issuer's RFC 8414 metadata. Plain http is for loopback only.
	URL string
	// Issuer is the broker's issuer, compared byte for byte, and Keys are its public keys.
	Issuer string
	Keys   KeySet
	// ClientID and ClientSecret are those of a client that is registered with the broker for an API; empty where the feed is open
	// to anyone.
	ClientID, ClientSecret string
	// SecretInForm sends the secret in a form, for a client registered for client_secret_post.
	SecretInForm bool
	// Interval is the time between two polls, of which up to a quarter is taken off by chance; 0 means 1 s.
	Interval time.Duration
	// MaxStaleness is how old the last news may be before requests are answered with 503; 0 means 10 s.
	MaxStaleness time.Duration
	// Client makes the requests; nil means one with http.DefaultTransport. Redirects are not followed either way.
	Client *http.Client
	// InsecureHTTP allows plain http beyond loopback. Whoever is in between can then read the secret.
	InsecureHTTP bool
	// Now tells the time; nil means time.Now.
	Now func() time.Time
	// Log hears when polls begin to fail and when they recover, and of routes that let stale requests pass; nil discards.
	Log *slog.Logger
}

func (o *FeedOptions) fill() {
	if o.Interval <= 0 {
		o.Interval = defaultFeedInterval
	}
	if o.MaxStaleness <= 0 {
		o.MaxStaleness = defaultMaxStaleness
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// Feed is a [Revocations] that follows the broker's signed list of what was taken back: a check costs no request. A token that is
// revoked is refused everywhere within about two seconds: half a second until every process of the broker knows, one until the
// next poll, and the way there. While the feed cannot be had for longer than MaxStaleness, requests are answered with 503, but on
// routes behind [AllowStale].
//
// It keeps eight bytes for each revoked token, grant or session until that would have expired by itself. It is safe for
// concurrent use. Somebody must call Run, or Poll again and again.
type Feed struct {
	o      FeedOptions
	client caller
	known  *fingerprints.Revoked

	asOf                    atomic.Pointer[time.Time]
	polls, failures, passes atomic.Uint64
	logged                  atomic.Int64 // when stale passes were, Unix nanoseconds

	mu      sync.Mutex // held through a poll
	cursor  string
	heard   map[string]int64 // the as_of of each replica's last answer
	reading *news            // what the pages of a snapshot were that were read so far
}

// news says how old an answer is, by the clock here, and whether it is newer than what its replica said before.
type news struct {
	asOf  time.Time
	fresh bool
}

var _ Revocations = (*Feed)(nil)

// NewFeed makes no request yet. The error lists everything missing or unsafe in the options.
func NewFeed(o FeedOptions) (*Feed, error) {
	o.fill()
	var faults []error
	if o.Issuer == "" {
		faults = append(faults, errors.New("Issuer is empty"))
	}
	if o.Keys == nil {
		faults = append(faults, errors.New("Keys is nil"))
	}
	if err := checkAddress(o.URL, o.InsecureHTTP); err != nil {
		faults = append(faults, err)
	}
	if (o.ClientID == "") != (o.ClientSecret == "") {
		faults = append(faults, errors.New("ClientID and ClientSecret belong together"))
	}
	if o.MaxStaleness < 2*o.Interval {
		faults = append(faults, fmt.Errorf("MaxStaleness is %v, at least two intervals (%v) are expected", o.MaxStaleness, o.Interval))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("refuse to follow the revocation feed: %w", err)
	}
	return &Feed{
		o: o, client: newCaller(o.Client, o.ClientID, o.ClientSecret, o.SecretInForm), known: fingerprints.NewRevoked(), heard: map[string]int64{},
	}, nil
}

// Run polls at once and then every interval until ctx ends, whose error it returns. That polls fail is logged once, and so is the
// recovery.
func (f *Feed) Run(ctx context.Context) error {
	failing := false
	for {
		err := f.Poll(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !failing:
			f.o.Log.WarnContext(ctx, "cannot follow the revocation feed", "err", err)
		case err == nil && failing:
			f.o.Log.InfoContext(ctx, "following the revocation feed again")
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(f.pause()):
		}
	}
}

// pause spreads the polls of many APIs, so that those started by one command do not ask in step.
func (f *Feed) pause() time.Duration {
	return f.o.Interval - rand.N(f.o.Interval/4+1) //nolint:gosec // nothing depends on who can guess it
}

// Poll asks once for what is new. On an error what is known stays, and the next poll asks for the same.
func (f *Feed) Poll(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.polls.Add(1)
	for range maxFeedPages {
		more, err := f.page(ctx)
		if err != nil {
			f.failures.Add(1)
			return fmt.Errorf("read the revocation feed: %w", err)
		}
		if !more {
			return nil
		}
	}
	f.failures.Add(1)
	f.cursor, f.reading = "", nil
	return fmt.Errorf("read the revocation feed: a snapshot has more than %d pages", maxFeedPages)
}

// page asks for the answer to the cursor and takes it in. It reports whether the rest of a snapshot is to come.
func (f *Feed) page(ctx context.Context) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, min(maxFeedTimeout, f.o.MaxStaleness))
	defer cancel()
	sent := f.o.Now()
	raw, err := f.client.feed(ctx, f.o.URL, f.cursor)
	if err != nil {
		return false, err
	}
	a, err := f.open(ctx, raw)
	if err != nil {
		return false, err
	}
	now := f.o.Now()
	for _, g := range a.Entries {
		set := f.known.Of(g.Kind)
		if set == nil {
			continue // a kind of a newer broker; what this version of the guard knows is checked all the same
		}
		list, err := g.Decode()
		if err != nil {
			return false, err
		}
		for _, e := range list {
			set.Put(e, now)
		}
	}
	f.known.Drop(now)
	// What the broker calls its age was measured by one clock; whatever the way here took makes the news older, never younger. An answer
	// that is sent twice is no younger than it was the first time.
	n := news{sent.Add(-time.Duration(a.Age) * time.Millisecond), a.AsOf > f.heard[a.Replica]}
	f.hear(a.Replica, a.AsOf)
	f.cursor = a.Cursor
	f.took(n, a.More)
	return a.More, nil
}

// took moves AsOf once all pages of an answer have been read. A snapshot is as old as its oldest page.
func (f *Feed) took(n news, more bool) {
	if r := f.reading; r != nil {
		n.fresh = n.fresh || r.fresh
		if r.asOf.Before(n.asOf) {
			n.asOf = r.asOf
		}
	}
	if f.reading = nil; more {
		f.reading = &n
		return
	}
	if last := f.asOf.Load(); last == nil || n.fresh && n.asOf.After(*last) {
		f.asOf.Store(&n.asOf)
	}
}

// hear remembers the as_of of a replica's answer. Of too many replicas the one that was silent for longest is forgotten.
func (f *Feed) hear(replica string, asOf int64) {
	f.heard[replica] = asOf
	if len(f.heard) <= maxReplicas {
		return
	}
	oldest := replica
	for name, at := range f.heard {
		if at < f.heard[oldest] {
			oldest = name
		}
	}
	delete(f.heard, oldest)
}

// AsOf returns the time, by Now, of which everything revoked until then is known; the zero time before the first poll that succeeded.
func (f *Feed) AsOf() time.Time {
	if at := f.asOf.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

// Lag is how long ago AsOf was; the longest duration there is before the first poll that succeeded.
func (f *Feed) Lag() time.Duration {
	at := f.asOf.Load()
	if at == nil {
		return math.MaxInt64
	}
	return f.o.Now().Sub(*at)
}

// FeedStats count what a [Feed] did since it was made.
type FeedStats struct {
	Polls    uint64 // failed ones too
	Failures uint64
	// StalePasses are the requests that passed on a route behind AllowStale while the feed was stale.
	StalePasses uint64
	// Entries is how many fingerprints are held now.
	Entries int
}

// Stats returns the counts.
func (f *Feed) Stats() FeedStats {
	s := FeedStats{Polls: f.polls.Load(), Failures: f.failures.Load(), StalePasses: f.passes.Load()}
	for _, set := range f.known.All() {
		s.Entries += set.Len()
	}
	return s
}

// AllowStale lets requests pass while the last news of the feed is up to limit old, rather than answer them with 503: for routes where an outage
// of the broker costs more than a token that was revoked meanwhile. What is known to be revoked is refused all the same. It stands
// outside of [Verifier.Middleware]. Requests that pass so are counted and logged. It panics if limit is not positive.
func AllowStale(limit time.Duration) func(http.Handler) http.Handler {
	if limit <= 0 {
		panic("verify: AllowStale without a limit")
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), staleKey, limit)))
		})
	}
}

// Check implements [Revocations]. While the feed is stale it does not say yes to anything, and no only on a route that takes old news.
func (f *Feed) Check(ctx context.Context, c *Claims) error {
	lag, known := f.Lag(), f.asOf.Load() != nil
	// News from the future mean that the clock was set back: their age is unknown.
	stale := lag > f.o.MaxStaleness || lag < -f.o.MaxStaleness
	if limit, _ := ctx.Value(staleKey).(time.Duration); stale && (lag > limit || lag < 0 || !known) {
		return &Error{
			Code: CodeUnavailable, Description: "whether the token was revoked cannot be told at the moment", RetryAfter: f.o.Interval,
		}
	}
	if f.known.Holds(fingerprints.Claims{
		ID: c.ID, Grant: c.GrantID, Session: c.SessionID, Key: c.KeyID, Client: c.ClientID, Subject: c.Subject, Issued: c.IssuedAt, Version: c.Version,
	}) {
		return refuse("the token was revoked")
	}
	if stale {
		f.passed(ctx, lag)
	}
	return nil
}

// passed counts a request that passes on old news, and logs at most one an interval.
func (f *Feed) passed(ctx context.Context, lag time.Duration) {
	n := f.passes.Add(1)
	now, last := f.o.Now().UnixNano(), f.logged.Load()
	if now-last >= int64(f.o.Interval) && f.logged.CompareAndSwap(last, now) {
		f.o.Log.WarnContext(ctx, "requests pass while the revocation feed is stale", "lag", lag, "so_far", n)
	}
}
