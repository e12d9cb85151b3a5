package apikeys

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"example.com/broker/audit"
	"example.com/broker/internal/fault"
	"example.com/broker/internal/secret"
	"example.com/broker/oauth"
)

const (
	// DefaultLife is how long a key is good unless its owner says otherwise, MaxLife the longest there is.
	DefaultLife = 90 * 24 * time.Hour
	MaxLife     = 366 * 24 * time.Hour
	// Listed is how long a key that expired stays in its owner's list, so that they see why something stopped.
	Listed = 30 * 24 * time.Hour

	maxName     = 100
	maxKeys     = 100
	maxListed   = 500
	touchEvery  = time.Minute
	cacheSize   = 10_000
	cacheFor    = time.Minute
	secretBytes = 32
	idBytes     = 16
)

// Fence is what the followed change stream knows about keys.
type Fence interface {
	// KeyRevoked reports whether an API key was revoked.
	KeyRevoked(id string) bool
	// UserEpoch is the counter below which the owner's keys are over, 0 where none has been heard of. It may be forgotten long before
	// the keys from before it expire: the owner's row has it for good, so whoever reads that holds a key's Ver against its Epoch too.
	UserEpoch(userID string) int64
	// Fresh returns fault.Unavailable if the stream has not been read for too long.
	Fresh() error
}

// Options of a Service. All are required.
type Options struct {
	Store Store
	Fence Fence
	// Announce appends the revocation of a key to the change stream, to be remembered until the key would have expired.
	Announce func(ctx context.Context, id string, until time.Time) error
	Audit    audit.Recorder
	Now      func() time.Time
}

// Service makes, checks and revokes keys. It is safe for concurrent use.
type Service struct {
	o Options

	mu     sync.Mutex
	cached map[string]entry
}

type entry struct {
	key  Key
	read time.Time
}

// New returns a Service.
func New(o Options) *Service { return &Service{o: o, cached: map[string]entry{}} }

// Request is what an owner asks for.
type Request struct {
	OwnerID string
	Ver     int64 // the owner's counter
	Epoch   int64 // the owner's Epoch: keys from before it take no room
	Name    string
	Scopes  oauth.Scopes
	Life    time.Duration // 0: DefaultLife
}

// Create makes a key and returns its text, which is given out only here. A scope that is named twice is kept once. Which scopes the owner
// may give is for the caller to check. fault.Invalid "key_request_invalid"; fault.Conflict "key_limit" where there is no room for one more,
// be it because others are being made at the same moment.
func (s *Service) Create(ctx context.Context, r Request) (Key, secret.Value, error) {
	r.Name = strings.TrimSpace(r.Name)
	switch {
	case r.Name == "" || utf8.RuneCountInString(r.Name) > maxName || !utf8.ValidString(r.Name) || strings.ContainsFunc(r.Name, unprintable):
		return Key{}, "", fault.New(fault.Invalid, "key_request_invalid", "name must have 1 to %d printable characters: say what the key is for.", maxName)
	case r.Life != 0 && (r.Life < time.Second || r.Life > MaxLife):
		return Key{}, "", fault.New(fault.Invalid, "key_request_invalid", "expires_in must be 1 to %d seconds.", int(MaxLife.Seconds()))
	case r.Life == 0:
		r.Life = DefaultLife
	}
	if err := s.room(ctx, r.OwnerID, r.Epoch, maxKeys-1); err != nil {
		return Key{}, "", err
	}
	now := s.now()
	key := secret.New(secretBytes)
	k := Key{
		ID: secret.New(idBytes).Reveal(), SecretHash: secret.Hash(key), OwnerID: r.OwnerID, Name: r.Name, Scopes: distinct(r.Scopes),
		CreatedAt: now, ExpiresAt: now.Add(r.Life).Truncate(time.Millisecond), Ver: r.Ver,
	}
	if err := s.insert(ctx, k, r.Epoch); err != nil {
		return Key{}, "", err
	}
	s.o.Audit.Record(ctx, audit.Event{Action: "apikey.create", Actor: r.OwnerID, Target: k.ID, Outcome: "done", Detail: map[string]string{"name": k.Name}})
	return k, text(k.ID, key), nil
}

// distinct keeps the first of each scope, in their order, and nil as it is.
func distinct(scopes oauth.Scopes) oauth.Scopes {
	var out oauth.Scopes
	for _, s := range scopes {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// insert adds a key and counts again: of many who create at once none can pass the limit, though all may be refused at its edge. What
// a crash in between leaves is a key whose text nobody has.
func (s *Service) insert(ctx context.Context, k Key, epoch int64) error {
	if err := s.o.Store.InsertKey(ctx, k); err != nil {
		return err
	}
	full := s.room(ctx, k.OwnerID, epoch, maxKeys)
	if fault.Is(full, fault.Conflict) {
		if err := s.o.Store.RevokeKey(ctx, k.ID, s.now()); err != nil {
			return err
		}
	}
	return full
}

// room returns fault.Conflict "key_limit" where an owner has more than most keys that are good. Those from before the epoch take no room,
// whether the row or the change stream knows of it.
func (s *Service) room(ctx context.Context, owner string, epoch int64, most int) error {
	live, err := s.o.Store.LiveKeysOf(ctx, owner, s.now(), most+1)
	if err != nil {
		return err
	}
	epoch = max(epoch, s.o.Fence.UserEpoch(owner))
	if live = slices.DeleteFunc(live, func(k Key) bool { return k.Ver < epoch }); len(live) > most {
		return fault.New(fault.Conflict, "key_limit", "One more would pass the limit of %d keys: revoke one that is not needed, or, where several are being made at once, try again.", maxKeys)
	}
	return nil
}

// unprintable says what a name must not hold. Joiners are fine: some scripts and emoji need them.
func unprintable(c rune) bool { return !unicode.IsGraphic(c) && c != '\u200c' && c != '\u200d' }

// Authenticate returns the key a text names. Whatever is wrong with it, the answer is fault.Forbidden "key_invalid": mission row 1
// answers 403. Whether the owner is there, and the key no older than the owner's Epoch, is for the caller to check, who reads the owner. A warm call does not read the store; the use is noted at most once a minute, beside the request.
func (s *Service) Authenticate(ctx context.Context, raw secret.Value) (Key, error) {
	id, key, ok := parse(raw)
	if !ok {
		return Key{}, refused()
	}
	if err := s.o.Fence.Fresh(); err != nil {
		return Key{}, err
	}
	k, err := s.get(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return Key{}, refused()
	}
	if err != nil {
		return Key{}, err
	}
	now := s.now()
	if !secret.Equal(k.SecretHash, key) || !k.RevokedAt.IsZero() || !now.Before(k.ExpiresAt) || s.o.Fence.KeyRevoked(id) || s.o.Fence.UserEpoch(k.OwnerID) > k.Ver {
		return Key{}, refused()
	}
	s.touch(ctx, k, now)
	return k, nil
}

// touch notes the use, also of a caller who has left meanwhile. A note that is lost is no reason to refuse a good key: a store that is
// away shows in Fence.Fresh.
func (s *Service) touch(ctx context.Context, k Key, now time.Time) {
	s.mu.Lock()
	e, ok := s.cached[k.ID]
	due := ok && now.Sub(e.key.LastUsed) >= touchEvery
	if due {
		e.key.LastUsed = now
		s.cached[k.ID] = e
	}
	s.mu.Unlock()
	if due {
		_ = s.o.Store.TouchKey(context.WithoutCancel(ctx), k.ID, now)
	}
}

func (s *Service) get(ctx context.Context, id string) (Key, error) {
	now := s.now()
	s.mu.Lock()
	e, ok := s.cached[id]
	s.mu.Unlock()
	if ok && now.Sub(e.read) < cacheFor {
		return e.key, nil
	}
	k, err := s.o.Store.GetKey(ctx, id)
	if err != nil {
		return Key{}, err
	}
	k.Scopes = slices.Clip(k.Scopes) // many callers share it: whoever appends gets a copy
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.cached[id]; ok && e.key.LastUsed.After(k.LastUsed) {
		k.LastUsed = e.key.LastUsed // noted by another call since we read
	}
	if len(s.cached) >= cacheSize {
		clear(s.cached)
	}
	s.cached[id] = entry{k, now}
	return k, nil
}

// List returns an owner's keys, newest first: all that are good, and of the revoked and expired ones the latest.
func (s *Service) List(ctx context.Context, owner string) ([]Key, error) {
	all, err := s.o.Store.KeysOf(ctx, owner, maxListed)
	if err != nil || len(all) < maxListed {
		return all, err
	}
	live, err := s.o.Store.LiveKeysOf(ctx, owner, s.now(), maxListed)
	if err != nil {
		return nil, err
	}
	for _, k := range live {
		if !slices.ContainsFunc(all, func(x Key) bool { return x.ID == k.ID }) {
			all = append(all, k) // older than all others, and good: it must be seen to be revoked
		}
	}
	return all, nil
}

// Get returns a key for its owner or an admin: fault.NotFound "key_unknown" also where it is somebody else's.
func (s *Service) Get(ctx context.Context, id, owner string, anyone bool) (Key, error) {
	k, err := s.o.Store.GetKey(ctx, id)
	if fault.Is(err, fault.NotFound) || err == nil && !anyone && k.OwnerID != owner {
		return Key{}, fault.New(fault.NotFound, "key_unknown", "There is no such key.") // one text for both
	}
	return k, err
}

// Revoke ends a key at once here and within two seconds on every replica. One that is revoked already is success.
func (s *Service) Revoke(ctx context.Context, k Key, by string) error {
	if err := s.o.Announce(ctx, k.ID, k.ExpiresAt); err != nil {
		return err
	}
	if err := s.o.Store.RevokeKey(ctx, k.ID, s.now()); err != nil {
		return err
	}
	s.mu.Lock()
	delete(s.cached, k.ID)
	s.mu.Unlock()
	s.o.Audit.Record(ctx, audit.Event{Action: "apikey.revoke", Actor: by, Target: k.ID, Outcome: "done"})
	return nil
}

func (s *Service) now() time.Time { return s.o.Now().UTC().Truncate(time.Millisecond) }

func refused() error {
	return fault.New(fault.Forbidden, "key_invalid", "The API key is missing, malformed, unknown, expired or revoked. Send a valid one in X-API-Key.")
}
