package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"example.com/broker/internal/fingerprints"
)

const (
	feedType = "revocations+jwt"

	feedDelta    = "delta"
	feedSnapshot = "snapshot"

	// maxFeedAnswer bounds an answer in bytes; the broker keeps its own below 4 MiB.
	maxFeedAnswer = 6 << 20
	maxFeedCursor = 1 << 10
	// maxFeedLife bounds for how long an answer may claim to be good.
	maxFeedLife = 5 * time.Minute
)

// feedAnswer is what an answer of the feed says.
type feedAnswer struct {
	Issuer    string `json:"iss"`
	IssuedAt  int64  `json:"iat"`
	ExpiresAt int64  `json:"exp"`
	Replica   string `json:"replica"`
	AsOf      int64  `json:"as_of"` // Unix milliseconds
	Age       int64  `json:"age"`   // milliseconds
	Since     string `json:"since"`
	Kind      string `json:"kind"`
	Cursor    string `json:"cursor"`
	More      bool   `json:"more"`

	Entries []fingerprints.Group `json:"entries"`
}

// open proves an answer and reads it: type, algorithm by the key, signature, issuer, times, and that it is the answer to this question
// and not older than what its replica said before.
func (f *Feed) open(ctx context.Context, raw string) (feedAnswer, error) {
	payload, err := f.prove(ctx, raw)
	if err != nil {
		// The codes of an *Error speak of a caller's token; here there is none.
		if e := (*Error)(nil); errors.As(err, &e) {
			return feedAnswer{}, errors.Join(fmt.Errorf("the answer is refused: %s", e.Description), e.cause)
		}
		return feedAnswer{}, err
	}
	var a feedAnswer
	if err := json.Unmarshal(payload, &a); err != nil {
		return feedAnswer{}, fmt.Errorf("the answer cannot be read: %w", err)
	}
	return a, f.accept(&a)
}

// prove returns the payload of an answer whose signature is the issuer's.
func (f *Feed) prove(ctx context.Context, raw string) ([]byte, error) {
	parts, err := splitCompact(raw)
	if err != nil {
		return nil, err
	}
	if err := parts.checkAlphabet(); err != nil {
		return nil, err
	}
	h, err := decodeHeader(parts.head)
	if err != nil {
		return nil, err
	}
	if err := h.check([]string{feedType}); err != nil {
		return nil, err
	}
	// The key set may be minutes old. Who stole a key must not be able to say that nothing was revoked.
	if f.known.Has(fingerprints.Key, h.kid) {
		return nil, refuse("the key %s was revoked", show(h.kid))
	}
	key, err := keyOf(ctx, f.o.Keys, h)
	if err != nil {
		return nil, err
	}
	signature, err := base64URL.DecodeString(parts.signature)
	if err != nil {
		return nil, refuse("the signature is not base64url without padding")
	}
	signed := raw[:len(parts.head)+1+len(parts.payload)]
	if err := jwt.GetSigningMethod(h.alg).Verify(signed, signature, key); err != nil {
		return nil, refuse("the signature was not made by the key %s", show(h.kid))
	}
	payload, err := base64URL.DecodeString(parts.payload)
	if err != nil {
		return nil, refuse("the payload is not base64url without padding")
	}
	return payload, nil
}

// accept checks what a proven answer says of itself.
func (f *Feed) accept(a *feedAnswer) error {
	now, issued, expires := f.o.Now(), time.Unix(a.IssuedAt, 0), time.Unix(a.ExpiresAt, 0)
	switch {
	case a.Issuer != f.o.Issuer:
		return fmt.Errorf("the issuer is %s, %s is expected", show(a.Issuer), show(f.o.Issuer))
	case issued.After(now.Add(defaultLeeway)):
		return fmt.Errorf("the answer was made in the future, at %s, it is %s", stamp(issued), stamp(now))
	case !now.Before(expires.Add(defaultLeeway)):
		return fmt.Errorf("the answer expired at %s, it is %s", stamp(expires), stamp(now))
	case expires.Sub(issued) > maxFeedLife:
		return fmt.Errorf("the answer claims to be good for %v, at most %v is accepted", expires.Sub(issued), maxFeedLife)
	case a.Since != f.cursor:
		return errors.New("the answer is one to another question")
	case a.Kind != feedSnapshot && (a.Kind != feedDelta || f.cursor == "" || a.More):
		return fmt.Errorf("the answer is a %s, which was not asked for", show(a.Kind))
	case a.Cursor == "" || len(a.Cursor) > maxFeedCursor || a.Replica == "" || len(a.Replica) > maxName:
		return errors.New("the answer has no usable cursor or replica")
	case a.AsOf <= 0 || a.Age < 0 || a.Age > int64(maxAnswerAge/time.Millisecond):
		return fmt.Errorf("the answer is as of %d ms, %d ms ago, which cannot be", a.AsOf, a.Age)
	case a.AsOf < f.heard[a.Replica]:
		return fmt.Errorf("the answer is older than an earlier one: as of %d ms, which was %d", a.AsOf, f.heard[a.Replica])
	}
	return nil
}

// maxAnswerAge bounds what is believed of an age, far beyond any outage that a follower would sit out.
const maxAnswerAge = 366 * 24 * time.Hour
