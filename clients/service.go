package clients

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"example.com/broker/internal/changes"
	"example.com/broker/internal/fault"
	"example.com/broker/internal/secret"
	"example.com/broker/oauth"
)

// Announce appends the new version of a client to the change stream, before the row is written.
type Announce func(ctx context.Context, clientID string, version int64) error

// Options of a Service. Store, APIs, Announce, End and Now are required.
type Options struct {
	Store Store
	// Fixed are the clients of the configuration. An id that is in the store too is a start error (see Check).
	Fixed    []Client
	APIs     *APIs
	Announce Announce
	// End appends to the change stream that whatever the client was issued up to now is over: access tokens, grants and codes.
	End func(ctx context.Context, clientID string) error
	Now func() time.Time
	// SecretGrace is how long a replaced secret still works (24 hours by default).
	SecretGrace time.Duration
}

// Service finds, authenticates and changes clients. Reads are served from a cache that follows the change stream. It is safe for
// concurrent use.
type Service struct {
	o     Options
	fixed map[string]Client

	mu     sync.RWMutex
	cached map[string]copied
	// versions are the highest ones heard of; a cached client below it is read again.
	versions map[string]int64
	origins  atomic.Pointer[originSet]
	// changed counts what may have altered the origins; collecting is held by the one who reads them all.
	changed    atomic.Int64
	collecting sync.Mutex
}

// copied is a client as it was read. looked is when a newer one, which was heard of, was last looked for in vain.
type copied struct {
	Client
	looked time.Time
}

// originSet is what was collected when changed was at.
type originSet struct {
	all  map[string]bool
	read time.Time
	at   int64
}

const (
	cacheSize = 10_000
	// lookEvery bounds the reads for a row that is announced and not there: whoever announced it may never write it.
	lookEvery   = 200 * time.Millisecond
	originsFor  = time.Minute
	secretBytes = 32
)

// NewService does not touch the store.
func NewService(o Options) *Service {
	if o.SecretGrace == 0 {
		o.SecretGrace = 24 * time.Hour
	}
	s := &Service{o: o, fixed: map[string]Client{}, cached: map[string]copied{}, versions: map[string]int64{}}
	for _, c := range o.Fixed {
		s.fixed[c.ID] = c
	}
	return s
}

// Check returns fault.Conflict "client_twice" if a client of the configuration is in the store too.
func (s *Service) Check(ctx context.Context) error {
	for _, id := range slices.Sorted(maps.Keys(s.fixed)) {
		_, err := s.o.Store.GetClient(ctx, id)
		switch {
		case err == nil:
			return fault.New(fault.Conflict, "client_twice", "Client %q is in the configuration and in the store: rename one of them.", id)
		case !fault.Is(err, fault.NotFound):
			return err
		}
	}
	return nil
}

// Get returns a client, disabled ones too: fault.NotFound "client_unknown". A warm call does not read the store. The lists of what it
// returns are shared and must not be altered.
func (s *Service) Get(ctx context.Context, id string) (Client, error) {
	if c, ok := s.fixed[id]; ok {
		return c, nil
	}
	if !validID.MatchString(id) {
		return Client{}, unknown(id)
	}
	s.mu.RLock()
	c, ok := s.cached[id]
	fresh := ok && (c.V >= s.versions[id] || s.o.Now().Sub(c.looked).Abs() < lookEvery)
	s.mu.RUnlock()
	if fresh {
		return c.Client, nil
	}
	read, err := s.o.Store.GetClient(ctx, id)
	if err != nil {
		if fault.Is(err, fault.NotFound) {
			s.drop(id)
			return Client{}, unknown(id)
		}
		return Client{}, err
	}
	s.keep(read)
	return read, nil
}

// keep caches a client that was read or written.
func (s *Service) keep(c Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cached[c.ID].V > c.V {
		return // somebody else was faster
	}
	if len(s.cached) >= cacheSize {
		clear(s.cached) // it refills from use; a bound matters more than the hit rate here
	}
	k := copied{Client: c}
	if c.V < s.versions[c.ID] {
		k.looked = s.o.Now()
	}
	s.cached[c.ID] = k
}

// drop takes a deleted client out of the cache.
func (s *Service) drop(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.cached, id)
}

func readonly(id string) error {
	return fault.New(fault.Conflict, "client_readonly", "Client %q is defined by the configuration: change it there.", id)
}

func unknown(id string) error {
	return fault.New(fault.NotFound, "client_unknown", "There is no client %.100q.", id)
}

// heard is the highest version that the change stream told of an id, 0 for one that was never used. A client that takes the place of a
// deleted one goes on counting there, so that what is cached of it counts as new.
func (s *Service) heard(id string) int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.versions[id]
}

// Heard takes a ClientVersion entry of the change stream.
func (s *Service) Heard(id string, version int64) {
	s.mu.Lock()
	s.versions[id] = max(s.versions[id], version)
	s.mu.Unlock()
	s.changed.Add(1)
}

// Enabled is Get for a client that may be used: a disabled one is fault.Forbidden "client_disabled".
func (s *Service) Enabled(ctx context.Context, id string) (Client, error) {
	c, err := s.Get(ctx, id)
	if err == nil && c.Disabled {
		return Client{}, fault.New(fault.Forbidden, "client_disabled", "The app %q is switched off.", id)
	}
	return c, err
}

// Credentials are what a client presented, and how.
type Credentials struct {
	ID     string
	Secret secret.Value
	Method string // one of the oauth.Auth constants
}

// Authenticate returns the client if it authenticated by the method it is registered for (RFC 6749 §2.3), otherwise an invalid_client
// *oauth.Error that does not tell which part was wrong.
func (s *Service) Authenticate(ctx context.Context, cr Credentials) (Client, error) {
	c, err := s.Get(ctx, cr.ID)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return Client{}, err
	}
	known := err == nil && !c.Disabled
	if !known {
		c = Client{}
	}
	// Every secret is compared, also for an unknown client, so that the time taken names no client.
	match := false
	for i := range max(1, len(c.SecretHashes)) {
		hash := ""
		if i < len(c.SecretHashes) && (i == 0 || s.o.Now().Before(c.SecretGrace)) {
			hash = c.SecretHashes[i]
		}
		match = secret.Equal(hash, cr.Secret) || match
	}
	if !known || c.AuthMethod != cr.Method || (!c.Public() && !match) {
		e := oauth.Errorf(oauth.ErrInvalidClient, "client authentication failed: check client_id, the secret, and that the client is registered for %s", cr.Method)
		if cr.Method == oauth.AuthClientSecretBasic {
			e.Challenge = `Basic realm="broker"` // RFC 6749 §5.2
		}
		return Client{}, e
	}
	return c, nil
}

// MatchRedirect reports whether the address is registered for the client, see oauth.MatchRedirect.
func (s *Service) MatchRedirect(c Client, address string) bool {
	if oauth.MatchRedirect(c.RedirectURIs, address) {
		return true
	}
	return c.LoopbackAnyPort && oauth.MatchLocalhost(c.RedirectURIs, address)
}

// MatchPostLogout reports whether the address is registered for return after sign-out, byte for byte (OpenID Connect RP-Initiated
// Logout §3), but for the demo client's free port.
func (s *Service) MatchPostLogout(c Client, address string) bool {
	return slices.Contains(c.PostLogoutRedirectURIs, address) || (c.LoopbackAnyPort && oauth.MatchLocalhost(c.PostLogoutRedirectURIs, address))
}

// OriginsOf returns the origins whose pages may read answers meant for the client.
func (s *Service) OriginsOf(c Client) []string {
	if c.Origins != nil {
		return c.Origins
	}
	var out []string
	for _, u := range c.RedirectURIs {
		if o := oauth.Origin(u); o != "" && !slices.Contains(out, o) {
			out = append(out, o)
		}
	}
	return out
}

// AllowedOrigin reports whether any enabled client has the origin; false if the store cannot be asked. A warm call does not read the
// store, and of many cold ones one does. The answer may be a minute old for clients changed elsewhere.
func (s *Service) AllowedOrigin(ctx context.Context, origin string) bool {
	set := s.origins.Load()
	if !s.current(set) {
		s.collecting.Lock()
		defer s.collecting.Unlock()
		if set = s.origins.Load(); !s.current(set) {
			var err error
			if set, err = s.collect(ctx); err != nil {
				return false
			}
			s.origins.Store(set)
		}
	}
	return set.all[origin]
}

func (s *Service) current(set *originSet) bool {
	return set != nil && set.at == s.changed.Load() && s.o.Now().Sub(set.read) <= originsFor
}

func (s *Service) collect(ctx context.Context) (*originSet, error) {
	set := &originSet{all: map[string]bool{}, read: s.o.Now(), at: s.changed.Load()}
	all, err := s.All(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		if c.Disabled {
			continue
		}
		for _, o := range s.OriginsOf(c) {
			set.all[o] = true
		}
	}
	return set, nil
}

// All returns every client, those of the configuration first.
func (s *Service) All(ctx context.Context) ([]Client, error) {
	var out []Client
	for _, id := range slices.Sorted(maps.Keys(s.fixed)) {
		out = append(out, s.fixed[id])
	}
	after := ""
	for {
		page, err := s.o.Store.ListClients(ctx, after, 500)
		if err != nil {
			return nil, err
		}
		out = append(out, page...)
		if len(page) < 500 {
			return out, nil
		}
		after = page[len(page)-1].ID
	}
}

// APIs are the protected resources there are.
func (s *Service) APIs() *APIs { return s.o.APIs }

// APIFor returns the API whose audience is the resource indicator (RFC 8707 §2), if the client may ask for it; its id will do too.
func (s *Service) APIFor(c Client, resource string) (API, error) {
	if a, ok := s.o.APIs.ByResource(resource); ok && slices.Contains(c.APIs, a.ID) {
		return a, nil
	}
	return API{}, oauth.Errorf(oauth.ErrInvalidTarget, "resource %.200q is not an API this client may ask for", resource)
}

// ScopesOf returns every scope the client may ask for.
func (s *Service) ScopesOf(c Client) oauth.Scopes {
	if c.Scopes != nil {
		return c.Scopes
	}
	out := oauth.StandardScopes()
	for _, id := range c.APIs {
		a, _ := s.o.APIs.Get(id)
		for _, v := range a.Scopes {
			if !out.Has(v) {
				out = append(out, v)
			}
		}
	}
	return out
}

var validID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._~-]{0,99}$`)

// Validate lists everything that is wrong with a client's registration, see the function of that name.
func (s *Service) Validate(c Client) []Problem {
	out := Validate(c, s.o.APIs.Get)
	if alg := c.IDTokenAlg; alg != "" && slices.Contains(idTokenAlgs, alg) && !slices.Contains(s.o.APIs.o.Bounds.Algs, alg) {
		out = append(out, Problem{"id_token_signed_response_alg", fmt.Sprintf("%q has no signing key here, expected one of %s", alg, strings.Join(s.o.APIs.o.Bounds.Algs, ", "))})
	}
	if c.LoopbackAnyPort {
		out = append(out, Problem{"loopback_any_port", "is for the clients of `broker dev` alone: register 127.0.0.1, which matches with any port"})
	}
	return out
}

// Problem is one thing wrong with a registration.
type Problem struct{ Field, Text string }

// Create registers a client and returns its secret, which is shown only here ("" for a public client). fault.Invalid lists what is
// wrong; fault.Conflict "client_exists".
func (s *Service) Create(ctx context.Context, c Client) (Client, secret.Value, error) {
	if err := invalid("client_invalid", "The client cannot be registered", s.Validate(c)); err != nil {
		return Client{}, "", err
	}
	if _, ok := s.fixed[c.ID]; ok {
		return Client{}, "", fault.New(fault.Conflict, "client_exists", "Client %q is defined by the configuration.", c.ID)
	}
	// Asked first: to announce a version that is then not written would leave the client there is without its place in the cache.
	switch _, err := s.o.Store.GetClient(ctx, c.ID); {
	case err == nil:
		return Client{}, "", fault.New(fault.Conflict, "client_exists", "There is a client %q already.", c.ID)
	case !fault.Is(err, fault.NotFound):
		return Client{}, "", err
	}
	var key secret.Value
	c.SecretHashes, c.SecretGrace = nil, time.Time{}
	if !c.Public() {
		key = secret.New(secretBytes)
		c.SecretHashes = []string{secret.Hash(key)}
	}
	c.CreatedAt = s.o.Now().UTC().Truncate(time.Millisecond)
	c.V = s.heard(c.ID) + 1
	err := s.write(ctx, c.ID, c.V, false, func() error { return s.o.Store.InsertClient(ctx, c) })
	if err != nil {
		return Client{}, "", err
	}
	return c, key, nil
}

// RotateSecret gives the client a new secret and lets the old one work for SecretGrace. fault.Conflict "client_readonly" for a client
// of the configuration, fault.Invalid "client_public" for one without credentials.
func (s *Service) RotateSecret(ctx context.Context, id string) (Client, secret.Value, error) {
	key := secret.New(secretBytes)
	c, err := s.Change(ctx, id, func(c *Client) error {
		if c.Public() {
			return fault.New(fault.Invalid, "client_public", "Client %q is public: it has no secret to rotate.", id)
		}
		c.SecretHashes = append([]string{secret.Hash(key)}, c.SecretHashes[:min(1, len(c.SecretHashes))]...)
		c.SecretGrace = s.o.Now().Add(s.o.SecretGrace).UTC().Truncate(time.Millisecond)
		return nil
	})
	return c, key, err
}

// Change applies edit to the stored client by compare-and-swap, trying again if somebody else was faster: edit may be called several
// times. It cannot change the id, the version or when the client was made. A client that is switched off by it loses what it was issued;
// a replica that has not heard of it yet may go on issuing for the two seconds until it has. fault.NotFound "client_unknown", fault.Conflict
// "client_readonly" for a client of the configuration, fault.Invalid "client_invalid", fault.Unavailable "store_contended" where others were
// faster changes.Attempts times, or what edit returned.
func (s *Service) Change(ctx context.Context, id string, edit func(*Client) error) (Client, error) {
	if _, ok := s.fixed[id]; ok {
		return Client{}, readonly(id)
	}
	for range changes.Attempts {
		old, err := s.o.Store.GetClient(ctx, id)
		if err != nil {
			return Client{}, err
		}
		c := old
		if err := edit(&c); err != nil {
			return Client{}, err
		}
		c.ID, c.V, c.CreatedAt = old.ID, old.V, old.CreatedAt
		off := c.Disabled && !old.Disabled
		if err := invalid("client_invalid", "The client cannot be registered", s.Validate(c)); err != nil {
			return Client{}, err
		}
		err = s.write(ctx, id, c.V+1, off, func() error { return s.o.Store.ReplaceClient(ctx, c) })
		if fault.Is(err, fault.Conflict) {
			continue
		}
		c.V++
		if err == nil {
			s.keep(c)
		}
		return c, err
	}
	return Client{}, changes.Contended()
}

// write announces the version, writes the row and, if the client is over with it, ends what it was issued: before, so that nobody acts on
// the row and misses it, and after, for what was issued in between.
func (s *Service) write(ctx context.Context, id string, version int64, over bool, row func() error) error {
	end := func() error {
		if !over {
			return nil
		}
		return s.o.End(ctx, id)
	}
	if err := end(); err != nil {
		return err
	}
	if err := s.o.Announce(ctx, id, version); err != nil {
		return err
	}
	if err := row(); err != nil {
		return err
	}
	s.changed.Add(1) // the origins may have been collected between the announcement and the row
	return end()
}

// SetDisabled switches a client off or on, see Change.
func (s *Service) SetDisabled(ctx context.Context, id string, off bool) (Client, error) {
	return s.Change(ctx, id, func(c *Client) error { c.Disabled = off; return nil })
}

// Delete takes a client away, with all it was issued. want is the version that the caller has seen, 0 for any. Repeating it after an error
// completes it. Another client may be registered under the id: it inherits neither tokens nor grants, and nobody's consent.
//
// fault.NotFound "client_unknown"; fault.Conflict "client_readonly" for a client of the configuration, "client_changed" if the version is
// another one; fault.Unavailable "store_contended" where others were faster changes.Attempts times.
func (s *Service) Delete(ctx context.Context, id string, want int64) error {
	if _, ok := s.fixed[id]; ok {
		return readonly(id)
	}
	for range changes.Attempts {
		c, err := s.o.Store.GetClient(ctx, id)
		if err != nil {
			return err
		}
		if err := c.Seen(want); err != nil {
			return err
		}
		err = s.write(ctx, id, c.V+1, true, func() error {
			err := s.o.Store.DeleteClient(ctx, id, c.V)
			if err == nil {
				s.drop(id)
			}
			return err
		})
		if !fault.Is(err, fault.Conflict) {
			return err
		}
	}
	return changes.Contended()
}

// Seen returns fault.Conflict "client_changed" unless want is the version of the client, or 0 for any; changes.Unstored is that of none.
func (c Client) Seen(want int64) error {
	if want != 0 && want != c.V {
		return fault.New(fault.Conflict, "client_changed", "The client was changed meanwhile: the version is %d, expected %d. Read again, then repeat.", c.V, max(want, 0))
	}
	return nil
}

// RemoveAPI takes an API of the store away. fault.Conflict "api_in_use" names a client that may ask for it; otherwise see APIs.Put.
func (s *Service) RemoveAPI(ctx context.Context, id string, want int64, by string) (APISet, error) {
	all, err := s.All(ctx)
	if err != nil {
		return APISet{}, err
	}
	for _, c := range all {
		if slices.Contains(c.APIs, id) {
			return APISet{}, fault.New(fault.Conflict, "api_in_use", "The client %q may ask for the API %q. Take it out of the client's apis first.", c.ID, id)
		}
	}
	return s.o.APIs.remove(ctx, id, want, by)
}

func invalid(code, what string, problems []Problem) error {
	if len(problems) == 0 {
		return nil
	}
	text := ""
	for _, p := range problems {
		text += "; " + p.Field + " " + p.Text
	}
	return fault.New(fault.Invalid, code, "%s: %s.", what, text[2:])
}
