package ratelimit

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/netip"
	"time"

	"example.com/broker/internal/fault"
)

// Rule is one limit, as data: Bounds for whatever Key builds from a subject.
type Rule struct {
	// Name is part of the key in the store; two rules with different names count apart.
	Name string
	// Bounds with a Limit of zero or less switch the rule off.
	Bounds
	// Key turns a subject into the name of its bucket, "" if the rule does not apply to it.
	Key func(subject string) string
}

// PasswordByAddress is the default limit on wrong passwords from one network address.
func PasswordByAddress() Rule {
	return Rule{Name: "password.address", Bounds: Bounds{Limit: 50, Window: 15 * time.Minute}, Key: AddressBucket}
}

// PasswordByAccount is the default limit on wrong passwords for one account, or for one unknown login name: ten in a quarter of an hour,
// and a hundred in a row at most (NIST SP 800-63B-4 §3.2.2).
func PasswordByAccount() Rule {
	b := Bounds{Limit: 10, Window: 15 * time.Minute, Run: 100, Memory: 365 * 24 * time.Hour}
	return Rule{Name: "password.account", Bounds: b, Key: AccountBucket}
}

// RegisterByAddress is the default limit on accounts that are made from one network address, names that were taken included: each costs
// a hash, and rows that stay.
func RegisterByAddress() Rule {
	return Rule{Name: "register.address", Bounds: Bounds{Limit: 20, Window: time.Hour}, Key: AddressBucket}
}

// AddressBucket names the network of an IP address: the whole address for IPv4 (also when it is mapped into IPv6), the /64 for IPv6,
// which is what one customer is given and may hop within. What is no address has no bucket.
func AddressBucket(subject string) string {
	a, err := netip.ParseAddr(subject)
	if err != nil {
		return ""
	}
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return ""
	}
	return p.String()
}

// AccountBucket hashes what names an account, so that login names, which people confuse with passwords, are not kept. The caller
// normalises, so that neither case nor spaces open a second bucket.
func AccountBucket(subject string) string {
	sum := sha256.Sum256([]byte(subject))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// For returns the rule's bucket for a subject.
func (r Rule) For(subject string) Key {
	if r.Limit <= 0 || r.Key == nil {
		return Key{}
	}
	bucket := r.Key(subject)
	if bucket == "" {
		return Key{}
	}
	return Key{rule: r, row: r.Name + ":" + bucket}
}

// Key is one bucket of one rule. The zero Key limits nothing.
type Key struct {
	rule Rule
	row  string
}

// Limiter counts failures before they happen: an attempt reserves its place first and gives it back if it was no failure, so that
// attempts that run at once cannot pass the limit together. It is safe for concurrent use, by several replicas too.
type Limiter struct {
	store Store
	now   func() time.Time
	queue queue
}

// NewLimiter returns a Limiter that counts in store.
func NewLimiter(store Store, now func() time.Time) *Limiter {
	return &Limiter{store: store, now: now, queue: queue{rows: map[string]*bucket{}}}
}

// Reserve takes a place in each bucket, in order. At the first that is full it returns fault.Limited: "attempts_exhausted" where it is full
// of failures in a row, with RetryAfter until they are forgotten, "rate_limited" otherwise, until the window ends. The places taken before
// that one stay taken: a guess that the account's limit turns away still counts against the address it came from, or an address could try
// accounts that are full for free and learn which ones others attack. The full bucket itself does not grow, so that it counts failures and
// not how often somebody was turned away.
//
// A bucket that is full of attempts under way in this process is waited for: many who know the password may come at once, and none of them
// is a failure. fault.Unavailable "attempts_under_way" where that takes too long.
//
// If the store fails, everything is given back as far as it goes and the store's error returned: the attempt must not be made.
func (l *Limiter) Reserve(ctx context.Context, keys ...Key) (Reservation, error) {
	r := Reservation{limiter: l}
	for _, k := range keys {
		if k.row == "" {
			continue
		}
		var t Tally
		now := l.now()
		taken, err := l.queue.enter(ctx, k.row, func() (taken bool, err error) {
			now = l.now()
			t, taken, err = l.store.Take(ctx, k.row, k.rule.Bounds, now)
			return taken, err
		})
		if err != nil {
			r.GiveBack(ctx)
			return Reservation{}, err
		}
		if !taken {
			r.Keep()
			return Reservation{}, k.rule.refusal(t, now)
		}
		r.places = append(r.places, place{k.row, t.Ends})
	}
	return r, nil
}

// refusal is what the attempt for which there is no room is told.
func (b Bounds) refusal(t Tally, now time.Time) error {
	if b.Spent(t, now) {
		return limited(t.Forgotten.Sub(now), "attempts_exhausted", "Too many failed attempts in a row. This way in stays closed until whoever "+
			"looks after the accounts opens it, or until the time given in Retry-After. Other ways in are open.")
	}
	return limited(t.Ends.Sub(now), "rate_limited", "Too many attempts. Wait until the time given in Retry-After and try again.")
}

func limited(wait time.Duration, code, message string) error {
	e := fault.New(fault.Limited, code, "%s", message)
	e.RetryAfter = max(wait, time.Second)
	return e
}

// Forget empties buckets, whatever is in them: for when what was guessed at is no longer there, or somebody answers for who comes next.
// Places that attempts hold meanwhile are gone too.
func (l *Limiter) Forget(ctx context.Context, keys ...Key) error {
	for _, k := range keys {
		if k.row == "" {
			continue
		}
		if err := l.store.Forget(ctx, k.row); err != nil {
			return err
		}
	}
	return nil
}

// Reservation is the places one attempt holds. The zero Reservation holds none.
type Reservation struct {
	limiter *Limiter
	places  []place
}

type place struct {
	row  string
	ends time.Time
}

// Keep leaves the places of an attempt that failed taken. Every reservation ends by exactly one of Keep, GiveBack and Succeed.
func (r Reservation) Keep() {
	for _, p := range r.places {
		r.limiter.queue.leave(p.row)
	}
}

// GiveBack frees the places of an attempt that was neither a failure nor a success. It and Succeed go on after ctx is cancelled, because a caller that hangs up must not lose what a success never uses. They
// report nothing: a place that could not be given back is a failure too many, and no reason to refuse somebody who gave the right password.
func (r Reservation) GiveBack(ctx context.Context) {
	for _, p := range r.places {
		r.limiter.write(ctx, func(ctx context.Context) error { return r.limiter.store.Return(ctx, p.row, p.ends) })
		r.limiter.queue.leave(p.row)
	}
}

// Succeed is GiveBack for an attempt that succeeded, which ends a run of failures. Others of the window stay: an app that signs in every
// minute must not give whoever guesses meanwhile a new window each time.
func (r Reservation) Succeed(ctx context.Context) {
	for _, p := range r.places {
		r.limiter.write(ctx, func(ctx context.Context) error { return r.limiter.store.Reset(ctx, p.row, p.ends) })
		r.limiter.queue.leave(p.row)
	}
}

// patience bounds one write that outlives the request which caused it.
const patience = 5 * time.Second

func (l *Limiter) write(ctx context.Context, do func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	_ = do(ctx)
}
