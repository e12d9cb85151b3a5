package tokens

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"example.com/broker/internal/fault"
	"example.com/broker/internal/fingerprints"
	"example.com/broker/internal/secret"
	"example.com/broker/keys"
)

const (
	// TypFeed is the `typ` of an answer of the feed, so that it is taken for no token and no token for it.
	TypFeed = "revocations+jwt"

	// feedLife is how long an answer may be under way; a follower asks every second.
	feedLife = 30 * time.Second
	// feedOverlap is how far before the time of a cursor an unknown replica reads: entries are committed up to two minutes out of order
	// (changes.Stream.Overlap), and clocks of replicas may differ by feedSkew.
	feedOverlap = 5 * time.Minute
	feedSkew    = 90 * time.Second
	// feedPage bounds the fingerprints and numbers in one answer, in bytes; base64url in a JWT, which is base64url again, makes it 3.6 MiB.
	feedPage = 2 << 20

	replicaBytes = 6
)

// The kinds of answers.
const (
	feedDelta    = "delta"
	feedSnapshot = "snapshot"
)

// FeedOptions configure a Feed. Issuer and Revocations are required.
type FeedOptions struct {
	Issuer      *Issuer
	Revocations *Revocations
	// PageBytes bounds an answer, for tests; 0 means 2 MiB of fingerprints.
	PageBytes int
}

// Feed tells APIs that check tokens offline what was taken back, in signed answers that name no token. It reads memory only: it works
// while the store cannot be reached, and `as_of` says how old the news is. It is safe for concurrent use.
type Feed struct {
	o       FeedOptions
	replica string
}

// NewFeed returns an error that says what is missing.
func NewFeed(o FeedOptions) (*Feed, error) {
	if o.Issuer == nil || o.Revocations == nil {
		return nil, errors.New("refuse to set up the revocation feed: issuer and revocations are required")
	}
	o.PageBytes = cmp.Or(o.PageBytes, feedPage)
	return &Feed{o, secret.New(replicaBytes).Reveal()}, nil
}

// feedClaims is an answer. docs/revocation.md describes it for those who follow the feed by other means than package verify.
type feedClaims struct {
	signedOnly
	Issuer    string `json:"iss"`
	IssuedAt  int64  `json:"iat"`
	ExpiresAt int64  `json:"exp"`
	// Replica is the process that answered; AsOf, in Unix milliseconds, goes up from answer to answer of one replica.
	Replica string `json:"replica"`
	AsOf    int64  `json:"as_of"`
	// Since is the cursor that was sent, so that no answer can be taken for that to another question.
	Since string `json:"since"`
	// Age is how old AsOf was when the answer was made, in milliseconds, so that nobody need compare clocks.
	Age    int64  `json:"age"`
	Kind   string `json:"kind"`
	Cursor string `json:"cursor"`
	// More says that the rest of the snapshot is to be asked for at once, by Cursor.
	More    bool                 `json:"more,omitempty"`
	Entries []fingerprints.Group `json:"entries"`
}

// Answer returns what was learned since a cursor, as a signed JWT; everything, if the cursor is "", too old, or not one. A plain time in
// Unix milliseconds is a cursor too. Errors are fault.Unavailable before the change stream was read once, and those of keys.Ring.Signer.
func (f *Feed) Answer(since string) (string, error) {
	now := f.o.Issuer.o.Now()
	// Order matters: what is handed out from here on has a later position, so it is in this answer or in the next.
	asOf := f.o.Revocations.follower.AsOf()
	if asOf.IsZero() {
		e := fault.New(fault.Unavailable, "revocations_unknown", "What was revoked is not known yet.")
		e.RetryAfter = time.Second
		return "", e
	}
	if len(since) > maxCursor {
		since = ""
	}
	from := parseCursor(since)
	var c feedClaims
	if list, end, ok := f.delta(from, now); ok {
		var groups fingerprints.Groups
		kinds := fingerprints.Kinds()
		for _, l := range list {
			if l.end > now.Unix() {
				groups.Add(kinds[l.kind], l.entry())
			}
		}
		c = feedClaims{Kind: feedDelta, Cursor: from.moved(asOf.UnixMilli(), f.replica, end).String(), Entries: groups.Encode()}
	} else {
		c = f.snapshot(from, asOf.UnixMilli(), now)
	}
	c.Since = since
	c.Issuer, c.Replica, c.AsOf, c.Age = f.o.Issuer.o.URL, f.replica, asOf.UnixMilli(), max(0, now.Sub(asOf).Milliseconds())
	c.IssuedAt, c.ExpiresAt = now.Unix(), now.Add(feedLife).Unix()
	raw, err := f.o.Issuer.sign(keys.ES256, TypFeed, c)
	if err != nil {
		return "", fmt.Errorf("sign the revocation feed: %w", err)
	}
	return raw, nil
}

// delta returns what was learned since a cursor and the position after it, false if that cannot be told.
func (f *Feed) delta(from cursor, now time.Time) ([]learned, uint64, bool) {
	if from.bits > 0 {
		return nil, 0, false
	}
	recent := f.o.Revocations.recent
	if n, ok := from.at(f.replica); ok {
		if list, end, ok := recent.from(n); ok {
			return list, end, true
		}
	}
	if from.asOf > now.Add(feedSkew).UnixMilli() {
		return nil, 0, false
	}
	return recent.after(from.asOf - feedOverlap.Milliseconds())
}

// snapshot answers with everything, or with one page of it. The pages are the fingerprints by their first bits, so any replica can answer
// for any page.
func (f *Feed) snapshot(from cursor, asOf int64, now time.Time) feedClaims {
	next := from
	if from.bits == 0 {
		next = from.moved(asOf, f.replica, f.o.Revocations.recent.end())
		next.bits = f.pageBits()
	} else {
		next.asOf = min(next.asOf, asOf)
		// The position belongs to the replica that began. Where another one answers for a page, what follows is asked for by time.
		if len(next.positions) > 0 && next.positions[0].replica != f.replica {
			next.positions = next.positions[1:]
		}
	}
	page, bits := next.page, next.bits
	var groups fingerprints.Groups
	for kind, set := range f.o.Revocations.revoked.All() {
		for e := range set.Live(now) {
			if bits == 0 || e.Fingerprint>>(64-bits) == page {
				groups.Add(kind, e)
			}
		}
	}
	c := feedClaims{Kind: feedSnapshot, Entries: groups.Encode()}
	if c.More = bits > 0 && page+1 < 1<<bits; c.More {
		next.page++
	} else {
		next.page, next.bits = 0, 0
	}
	c.Cursor = next.String()
	return c
}

// pageBits is how many first bits of a fingerprint make pages that are small enough.
func (f *Feed) pageBits() int {
	total := 0
	for kind, set := range f.o.Revocations.revoked.All() {
		total += set.Len() * entryBytes(kind)
	}
	bits := 0
	// Pages are of nearly the same size, since fingerprints are evenly spread; an eighth is left for what is not.
	for total>>bits > f.o.PageBytes-f.o.PageBytes/8 && bits < maxPageBits {
		bits++
	}
	return bits
}

func entryBytes(kind string) int {
	if fingerprints.Numbered(kind) {
		return 12
	}
	return 8
}
