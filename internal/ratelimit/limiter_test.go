package ratelimit_test

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"example.com/broker/internal/fault"
	"example.com/broker/internal/ratelimit"
	"example.com/broker/store/sqlite"
)

// clock is a time that tests move by hand.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func openStore(t *testing.T, path string, c *clock) ratelimit.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: path, Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s.Limits
}

func newLimiter(t *testing.T) (*ratelimit.Limiter, *clock) {
	t.Helper()
	c := newClock()
	return ratelimit.NewLimiter(openStore(t, filepath.Join(t.TempDir(), "db"), c), c.Now), c
}

func rule(name string, limit int64) ratelimit.Rule {
	return ratelimit.Rule{Name: name, Bounds: ratelimit.Bounds{Limit: limit, Window: time.Minute}, Key: func(s string) string { return s }}
}

// reserve fails the test on any error but fault.Limited, and reports whether the attempt may go on.
func reserve(t *testing.T, l *ratelimit.Limiter, keys ...ratelimit.Key) (ratelimit.Reservation, bool) {
	t.Helper()
	r, err := l.Reserve(t.Context(), keys...)
	if err != nil && (!fault.Is(err, fault.Limited) || fault.CodeOf(err) != "rate_limited") {
		t.Fatalf("Reserve: got %v, want rate_limited", err)
	}
	return r, err == nil
}

// attempt is one that fails, if it may be made at all.
func attempt(t *testing.T, l *ratelimit.Limiter, keys ...ratelimit.Key) bool {
	t.Helper()
	r, ok := reserve(t, l, keys...)
	if ok {
		r.Keep()
	}
	return ok
}

func TestFailuresFillTheBucketAndTheWindowEmptiesIt(t *testing.T) {
	l, c := newLimiter(t)
	k := rule("r", 3).For("a")
	for i := range 3 {
		if ok := attempt(t, l, k); !ok {
			t.Fatalf("attempt %d refused, limit is 3", i+1)
		}
		c.Add(time.Second)
	}
	_, err := l.Reserve(t.Context(), k)
	e, ok := errors.AsType[*fault.Error](err)
	if !ok || e.Kind != fault.Limited {
		t.Fatalf("fourth attempt: got %v, want fault.Limited", err)
	}
	if want := 57 * time.Second; e.RetryAfter != want {
		t.Errorf("RetryAfter: got %v, want %v, the rest of the window", e.RetryAfter, want)
	}
	if ok := attempt(t, l, rule("r", 3).For("b")); !ok {
		t.Error("another subject shares the bucket")
	}
	if ok := attempt(t, l, rule("other", 3).For("a")); !ok {
		t.Error("another rule shares the bucket")
	}
	c.Add(57 * time.Second)
	if ok := attempt(t, l, k); !ok {
		t.Error("refused after the window ended")
	}
}

func TestASuccessNeverUsesUpTheLimit(t *testing.T) {
	l, _ := newLimiter(t)
	k := rule("r", 1).For("a")
	for i := range 20 {
		r, ok := reserve(t, l, k)
		if !ok {
			t.Fatalf("success %d refused", i+1)
		}
		r.GiveBack(t.Context())
	}
}

// fail makes n failures.
func fail(t *testing.T, l *ratelimit.Limiter, k ratelimit.Key, n int) {
	t.Helper()
	for i := range n {
		if ok := attempt(t, l, k); !ok {
			t.Fatalf("failure %d refused", i+1)
		}
	}
}

// inARow is a rule of three in a minute and seven in a row, remembered for a day.
func inARow() ratelimit.Rule {
	r := rule("r", 3)
	r.Run, r.Memory = 7, 24*time.Hour
	return r
}

// exhausted demands that the bucket be full of failures in a row.
func exhausted(t *testing.T, l *ratelimit.Limiter, k ratelimit.Key, wait time.Duration) {
	t.Helper()
	_, err := l.Reserve(t.Context(), k)
	e, ok := errors.AsType[*fault.Error](err)
	if !ok || e.Kind != fault.Limited || e.Code != "attempts_exhausted" || e.RetryAfter != wait {
		t.Errorf("got %+v, want attempts_exhausted for %v", err, wait)
	}
}

func TestFailuresInARowCountAcrossWindows(t *testing.T) {
	l, c := newLimiter(t)
	k := inARow().For("a")
	for _, n := range []int{3, 3, 1} {
		fail(t, l, k, n)
		c.Add(time.Minute)
	}
	// Being turned away does not keep it from being forgotten a day after the last failure.
	exhausted(t, l, k, 24*time.Hour-time.Minute)
	c.Add(time.Hour)
	exhausted(t, l, k, 23*time.Hour-time.Minute)
	if ok := attempt(t, l, inARow().For("b")); !ok {
		t.Error("another subject shares the run")
	}
	c.Add(23*time.Hour - time.Minute - time.Millisecond)
	exhausted(t, l, k, time.Second)
	c.Add(time.Millisecond)
	fail(t, l, k, 3)
}

func TestASuccessEndsARunAndOneThatWasNoneDoesNot(t *testing.T) {
	l, c := newLimiter(t)
	k := inARow().For("a")
	try := func(end func(ratelimit.Reservation)) {
		t.Helper()
		r, ok := reserve(t, l, k)
		if !ok {
			t.Fatal("refused")
		}
		end(r)
		c.Add(time.Minute)
	}
	succeed := func(r ratelimit.Reservation) { r.Succeed(t.Context()) }
	giveBack := func(r ratelimit.Reservation) { r.GiveBack(t.Context()) }
	for range 5 {
		fail(t, l, k, 3)
		c.Add(time.Minute)
		fail(t, l, k, 2)
		try(succeed)
	}
	for range 2 {
		fail(t, l, k, 3)
		c.Add(time.Minute)
	}
	try(giveBack)
	try(giveBack)
	fail(t, l, k, 1)
	exhausted(t, l, k, 24*time.Hour)
}

func TestASuccessLeavesTheFailuresOfTheWindow(t *testing.T) {
	l, _ := newLimiter(t)
	k := inARow().For("a")
	fail(t, l, k, 2)
	for range 10 {
		r, ok := reserve(t, l, k)
		if !ok {
			t.Fatal("refused")
		}
		r.Succeed(t.Context())
	}
	fail(t, l, k, 1)
	if ok := attempt(t, l, k); ok {
		t.Error("a success gave others' failures back")
	}
}

func TestForgetOpensAFullBucket(t *testing.T) {
	l, c := newLimiter(t)
	k, other := inARow().For("a"), inARow().For("b")
	for _, n := range []int{3, 3, 1} {
		fail(t, l, k, n)
		fail(t, l, other, n)
		c.Add(time.Minute)
	}
	if err := l.Forget(t.Context(), ratelimit.Key{}, k); err != nil {
		t.Fatal(err)
	}
	fail(t, l, k, 3)
	exhausted(t, l, other, 24*time.Hour-time.Minute)

	broken := ratelimit.NewLimiter(brokenStore{openStore(t, filepath.Join(t.TempDir(), "db"), c), "r:a"}, c.Now)
	if err := broken.Forget(t.Context(), k); !errors.Is(err, errBroken) {
		t.Errorf("got %v, want the store's error", err)
	}
}

func TestGiveBackOutlivesTheRequest(t *testing.T) {
	l, _ := newLimiter(t)
	k := rule("r", 1).For("a")
	ctx, cancel := context.WithCancel(t.Context())
	r, err := l.Reserve(ctx, k)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	r.GiveBack(ctx)
	if ok := attempt(t, l, k); !ok {
		t.Error("a caller who hung up kept the place of a success")
	}
}

func TestGiveBackLeavesTheNextWindowAlone(t *testing.T) {
	l, c := newLimiter(t)
	k := rule("r", 1).For("a")
	old, _ := reserve(t, l, k)
	c.Add(time.Minute)
	if ok := attempt(t, l, k); !ok {
		t.Fatal("refused in a new window")
	}
	old.GiveBack(t.Context())
	if ok := attempt(t, l, k); ok {
		t.Error("a place of the old window was given back to the new one")
	}
}

func TestARefusalCountsInTheBucketsBeforeItOnly(t *testing.T) {
	c := newClock()
	store := openStore(t, filepath.Join(t.TempDir(), "db"), c)
	address, account := rule("address", 3).For("ip"), rule("account", 1).For("alice")
	// That of another replica, so that nobody waits for it.
	held, _ := reserve(t, ratelimit.NewLimiter(store, c.Now), address, account)
	l := ratelimit.NewLimiter(store, c.Now)
	for range 2 {
		if ok := attempt(t, l, address, account); ok {
			t.Fatal("the account's limit let a second attempt pass")
		}
	}
	if ok := attempt(t, l, address); ok {
		t.Error("attempts refused by the account's limit did not count against the address")
	}
	held.GiveBack(t.Context())
	if ok := attempt(t, l, account); !ok {
		t.Error("refused attempts counted in the bucket that refused them")
	}
}

func TestParallelAttemptsDoNotPassTheLimitTogether(t *testing.T) {
	l, _ := newLimiter(t)
	k := rule("r", 10).For("a")
	var wg sync.WaitGroup
	var mu sync.Mutex
	passed := 0
	for range 200 {
		wg.Go(func() {
			if ok := attempt(t, l, k); ok {
				mu.Lock()
				passed++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if passed > 10 || passed == 0 {
		t.Errorf("%d of 200 passed, limit is 10", passed)
	}
	if ok := attempt(t, l, k); ok && passed == 10 {
		t.Error("an eleventh passed afterwards")
	}
}

func TestLimitsSurviveARestartAndAreShared(t *testing.T) {
	c := newClock()
	path := filepath.Join(t.TempDir(), "db")
	once := rule("r", 1).For("a")
	row := rule("row", 5)
	row.Run, row.Memory = 1, time.Hour
	k := row.For("a")
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: path, Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	fail(t, ratelimit.NewLimiter(s.Limits, c.Now), once, 1)
	fail(t, ratelimit.NewLimiter(s.Limits, c.Now), k, 1)
	if ok := attempt(t, ratelimit.NewLimiter(s.Limits, c.Now), once); ok {
		t.Error("another limiter on the same store counts apart")
	}
	exhausted(t, ratelimit.NewLimiter(s.Limits, c.Now), k, time.Hour)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	l := ratelimit.NewLimiter(openStore(t, path, c), c.Now)
	if ok := attempt(t, l, once); ok {
		t.Error("the restart forgot the failures")
	}
	exhausted(t, l, k, time.Hour)
}

// brokenStore fails what is done to one row.
type brokenStore struct {
	ratelimit.Store
	row string
}

var errBroken = fault.New(fault.Unavailable, "store_unavailable", "The store does not answer.")

func (s brokenStore) Take(ctx context.Context, key string, b ratelimit.Bounds, now time.Time) (ratelimit.Tally, bool, error) {
	if key == s.row {
		return ratelimit.Tally{}, false, errBroken
	}
	return s.Store.Take(ctx, key, b, now)
}

func (s brokenStore) Forget(ctx context.Context, key string) error {
	if key == s.row {
		return errBroken
	}
	return s.Store.Forget(ctx, key)
}

func TestAStoreThatFailsLetsNothingPassAndBlamesNobody(t *testing.T) {
	c := newClock()
	store := openStore(t, filepath.Join(t.TempDir(), "db"), c)
	address, account := rule("address", 1).For("ip"), rule("account", 1).For("alice")
	l := ratelimit.NewLimiter(brokenStore{store, "account:alice"}, c.Now)
	if _, err := l.Reserve(t.Context(), address, account); !errors.Is(err, errBroken) {
		t.Fatalf("got %v, want the store's error", err)
	}
	if ok := attempt(t, l, address); !ok {
		t.Error("the store's failure was counted against the address")
	}
}

func TestAddressBucket(t *testing.T) {
	for _, tt := range []struct{ rule, in, want string }{
		{"an IPv4 address stands for itself", "203.0.113.7", "203.0.113.7/32"},
		{"mapped into IPv6 it is the same", "::ffff:203.0.113.7", "203.0.113.7/32"},
		{"an IPv6 address stands for its /64", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
		{"hopping within the /64 changes nothing", "2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"},
		{"the next /64 is another", "2001:db8:1:3::1", "2001:db8:1:3::/64"},
		{"a zone is not part of it", "fe80::1%eth0", "fe80::/64"},
		{"what is no address has no bucket", "203.0.113.7, 10.0.0.1", ""},
		{"nor has nothing", "", ""},
	} {
		if got := ratelimit.AddressBucket(tt.in); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.rule, got, tt.want)
		}
	}
}

func TestARuleThatDoesNotApplyLimitsNothing(t *testing.T) {
	l, _ := newLimiter(t)
	off := ratelimit.Rule{Name: "off", Bounds: ratelimit.Bounds{Window: time.Minute}, Key: ratelimit.AccountBucket}
	for range 3 {
		if ok := attempt(t, l, off.For("a"), ratelimit.PasswordByAddress().For("not an address"), ratelimit.Key{}); !ok {
			t.Fatal("refused")
		}
	}
}

func TestManyWhoAreRightComeAtOnce(t *testing.T) {
	l, _ := newLimiter(t)
	keys := []ratelimit.Key{rule("address", 20).For("ip"), rule("account", 3).For("alice")}
	if !attempt(t, l, keys...) {
		t.Fatal("refused")
	}
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if r, ok := reserve(t, l, keys...); ok {
				r.Succeed(context.Background())
			} else {
				t.Error("a success was refused for others under way")
			}
		})
	}
	wg.Wait()
	if l.Waiting() != 0 {
		t.Errorf("%d buckets are kept of those who have left", l.Waiting())
	}
}

// Who waits for attempts that fail is turned away once they have, and not before; a caller who hangs up does not wait on.
func TestWhoWaitsForFailuresIsTurnedAway(t *testing.T) {
	l, _ := newLimiter(t)
	k := rule("r", 1).For("a")
	first, _ := reserve(t, l, k)
	gone, cancel := context.WithCancel(t.Context())
	refused := make(chan error, 2)
	go func() {
		_, err := l.Reserve(gone, k)
		refused <- err
	}()
	for l.Queued("r:a") < 1 {
		runtime.Gosched()
	}
	cancel()
	if err := <-refused; fault.CodeOf(err) != "attempts_under_way" {
		t.Errorf("a caller who hung up: %v", err)
	}
	go func() {
		_, err := l.Reserve(t.Context(), k)
		refused <- err
	}()
	for l.Queued("r:a") < 1 {
		runtime.Gosched()
	}
	first.Keep()
	if err := <-refused; !fault.Is(err, fault.Limited) {
		t.Errorf("after the one before failed: %v", err)
	}
	if l.Waiting() != 0 {
		t.Errorf("%d buckets are kept of those who have left", l.Waiting())
	}
}
