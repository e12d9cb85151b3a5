package ratelimit

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/netip"
	"time"

	"example.com/broker/internal/fault"
)

// Rule is one limit, as data: at most Limit failures in Window for whatever Key builds from a subject.
type Rule struct {
	// Name is part of the key in the store; two rules with different names count apart.
	Name string
	// Limit is how many failures pass in one window; zero or less switches the rule off.
	Limit int64
	// Window starts with the first failure and ends so much later, whatever happens in between.
	Window time.Duration
	// Key turns a subject into the name of its bucket, "" if the rule does not apply to it.
	Key func(subject string) string
}

// PasswordByAddress is the default limit on wrong passwords from one network address.
func PasswordByAddress() Rule {
	return Rule{Name: "password.address", Limit: 50, Window: 15 * time.Minute, Key: AddressBucket}
}

// PasswordByAccount is the default limit on wrong passwords for one account, or for one unknown login name.
func PasswordByAccount() Rule {
	return Rule{Name: "password.account", Limit: 10, Window: 15 * time.Minute, Key: AccountBucket}
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
}

// NewLimiter returns a Limiter that counts in store.
func NewLimiter(store Store, now func() time.Time) *Limiter { return &Limiter{store: store, now: now} }

// Reserve takes a place in each bucket, in order. At the first that is full it returns fault.Limited "rate_limited" with RetryAfter
// until the window ends. The places taken before that one stay taken: a guess that the account's limit turns away still counts against
// the address it came from, or an address could try accounts that are full for free and learn which ones others attack. The full
// bucket itself does not grow, so that it counts failures and not how often somebody was turned away.
//
// If the store fails, everything is given back as far as it goes and the store's error returned: the attempt must not be made.
func (l *Limiter) Reserve(ctx context.Context, keys ...Key) (Reservation, error) {
	r := Reservation{limiter: l}
	for _, k := range keys {
		if k.row == "" {
			continue
		}
		now := l.now()
		count, ends, err := l.store.Increment(ctx, k.row, k.rule.Window, now)
		if err != nil {
			r.GiveBack(ctx)
			return Reservation{}, err
		}
		p := place{row: k.row, ends: ends}
		if count > k.rule.Limit {
			l.giveBack(ctx, p)
			e := fault.New(fault.Limited, "rate_limited", "Too many failed attempts. Wait until the time given in Retry-After and try again.")
			e.RetryAfter = max(ends.Sub(now), time.Second)
			return Reservation{}, e
		}
		r.places = append(r.places, p)
	}
	return r, nil
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

// GiveBack frees the places of an attempt that was no failure; one that failed keeps them. It is called at most once. It goes on after
// ctx is cancelled, because a caller that hangs up must not lose what a success never uses. It reports nothing: a place that could not
// be given back is a failure too many until the window ends, and no reason to refuse somebody who gave the right password.
func (r Reservation) GiveBack(ctx context.Context) {
	for _, p := range r.places {
		r.limiter.giveBack(ctx, p)
	}
}

// patience bounds one decrement, which outlives the request that caused it.
const patience = 5 * time.Second

func (l *Limiter) giveBack(ctx context.Context, p place) {
	now := l.now()
	// The next window's counter is not ours to lower.
	if !now.Before(p.ends) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	_ = l.store.Decrement(ctx, p.row, now)
}
