package tokens_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/broker/audit"
	"example.com/broker/internal/changes"
	"example.com/broker/internal/fault"
	"example.com/broker/internal/secret"
	"example.com/broker/keys"
	"example.com/broker/oauth"
	"example.com/broker/rbac"
	"example.com/broker/store"
	"example.com/broker/store/sqlite"
	"example.com/broker/tokens"
	"example.com/broker/users"
)

var update = flag.Bool("update", false, "write the golden files")

var epoch = time.Date(2030, 1, 2, 3, 4, 5, 678_000_000, time.UTC)

const (
	issuer   = "https://id.example.com"
	client   = "app"
	redirect = "https://app.example.com/cb"
	verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)

var challenge = oauth.Challenge(verifier)

// clock is moved by hand. It is safe for concurrent use.
type clock struct{ atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.Store(epoch.UnixMilli())
	return c
}

func (c *clock) now() time.Time          { return time.UnixMilli(c.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.Add(d.Milliseconds()) }

// trail keeps what was recorded.
type trail struct {
	mu     sync.Mutex
	events []audit.Event
}

func (t *trail) Record(_ context.Context, e audit.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.events = append(t.events, e)
}

func (t *trail) actions() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []string
	for _, e := range t.events {
		out = append(out, e.Action)
	}
	return out
}

// counted counts the calls to a GrantStore, and refuses the one that fail names.
type counted struct {
	tokens.GrantStore
	reads, writes atomic.Int64
	fail          string
}

var errDown = errors.New("store down")

func (s *counted) act(name string, n *atomic.Int64) error {
	n.Add(1)
	if s.fail == name {
		return errDown
	}
	return nil
}

func (s *counted) InsertGrant(ctx context.Context, g tokens.Grant) error {
	if err := s.act("insert", &s.writes); err != nil {
		return err
	}
	return s.GrantStore.InsertGrant(ctx, g)
}

func (s *counted) GetGrant(ctx context.Context, id string) (tokens.Grant, error) {
	if err := s.act("get", &s.reads); err != nil {
		return tokens.Grant{}, err
	}
	return s.GrantStore.GetGrant(ctx, id)
}

func (s *counted) RedeemGrant(ctx context.Context, r tokens.Redemption) (tokens.Grant, error) {
	if err := s.act("redeem", &s.writes); err != nil {
		return tokens.Grant{}, err
	}
	return s.GrantStore.RedeemGrant(ctx, r)
}

func (s *counted) RotateGrant(ctx context.Context, r tokens.Rotation) (tokens.Grant, error) {
	if err := s.act("rotate", &s.writes); err != nil {
		return tokens.Grant{}, err
	}
	return s.GrantStore.RotateGrant(ctx, r)
}

func (s *counted) KillGrant(ctx context.Context, id string, now time.Time) error {
	if err := s.act("kill", &s.writes); err != nil {
		return err
	}
	return s.GrantStore.KillGrant(ctx, id, now)
}

// reset starts a new count.
func (s *counted) reset() {
	s.reads.Store(0)
	s.writes.Store(0)
}

// installation is a store and what its replicas share.
type installation struct {
	*clock
	stores *store.Stores
}

// replica is one process of it.
type replica struct {
	*clock
	grants      *tokens.Grants
	revocations *tokens.Revocations
	follower    *changes.Follower
	store       *counted
	trail       *trail
	ring        *keys.Ring
	issuer      *tokens.Issuer
	verifier    *tokens.Verifier
	hints       *tokens.Hints
}

type settings struct {
	reuse time.Duration
	algs  []string
	shape func(string) (string, bool)
}

func install(t testing.TB) installation {
	t.Helper()
	c := newClock()
	s, err := sqlite.Open(context.Background(), sqlite.Options{Path: filepath.Join(t.TempDir(), "broker.db"), Now: c.now})
	if err != nil {
		t.Fatalf("open the store: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	return installation{c, s}
}

func (i installation) replica(t testing.TB, edit ...func(*settings)) *replica {
	t.Helper()
	set := settings{reuse: tokens.DefaultReuseInterval, algs: []string{keys.ES256, keys.EdDSA}}
	for _, e := range edit {
		e(&set)
	}
	r := &replica{clock: i.clock, store: &counted{GrantStore: i.stores.Grants}, trail: &trail{}}
	r.follower = changes.New(i.stores.Changes, changes.Options{Now: i.now})
	r.revocations = tokens.NewRevocations(r.follower, i.now)
	sealer, err := secret.NewSealer(bytes.Repeat([]byte{1}, secret.KeySize))
	must(t, err)
	r.ring, err = keys.NewRing(keys.Options{
		Store: i.stores.Keys, Sealer: sealer, Now: i.now, Changes: r.follower, Algs: set.algs, TokenLife: time.Hour,
	})
	must(t, err)
	must(t, r.ring.Turn(context.Background()))
	r.issuer, err = tokens.NewIssuer(tokens.IssuerOptions{URL: issuer, Ring: r.ring, Now: i.now})
	must(t, err)
	r.verifier, err = tokens.NewVerifier(tokens.VerifierOptions{
		Issuer: issuer, Ring: r.ring, Revocations: r.revocations, Now: i.now, Shape: set.shape,
	})
	must(t, err)
	r.hints = tokens.NewHints(issuer, r.ring)
	r.grants, err = tokens.NewGrants(tokens.GrantsOptions{
		Store: r.store, Changes: r.follower, Revocations: r.revocations, Audit: r.trail, Now: i.now,
		AccessLife: tokens.DefaultAccessLife, ReuseInterval: set.reuse,
	})
	must(t, err)
	r.poll(t)
	return r
}

// solo is an installation of one replica.
func solo(t testing.TB, edit ...func(*settings)) *replica {
	t.Helper()
	return install(t).replica(t, edit...)
}

// poll hears what other replicas did. It also keeps what is known from growing stale, as the injected clock moves in leaps.
func (r *replica) poll(t tester) {
	t.Helper()
	must(t, r.follower.Poll(context.Background()))
}

// after moves the clock, as if the stream had been followed all along.
func (r *replica) after(t tester, d time.Duration) {
	t.Helper()
	r.advance(d)
	r.poll(t)
}

// tester is what testing.TB and *rapid.T share.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

func must(t tester, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// online is a grant as /authorize makes it.
func (r *replica) online() tokens.Grant {
	return tokens.Grant{
		ClientID: client, UserID: "usr_1", SessionID: "sid_1", Online: true, Ver: 3, Scope: "openid profile orders:read",
		AuthTime: r.now(), AMR: []string{"pwd"}, RedirectURI: redirect, Challenge: challenge, Until: r.now().Add(12 * time.Hour),
	}
}

func (r *replica) offline() tokens.Grant {
	g := r.online()
	g.Online = false
	return g
}

func (r *replica) mint(t tester, g tokens.Grant) string {
	t.Helper()
	code, err := r.grants.Mint(context.Background(), g)
	must(t, err)
	return code
}

func redemption(code string) tokens.RedeemRequest {
	return tokens.RedeemRequest{Code: code, ClientID: client, RedirectURI: redirect, Verifier: verifier, Refresh: true}
}

// family mints and redeems a grant, and returns it with its first refresh token.
func (r *replica) family(t tester, g tokens.Grant) (tokens.Grant, string) {
	t.Helper()
	got, token, err := r.grants.Redeem(context.Background(), redemption(r.mint(t, g)))
	must(t, err)
	return got, token
}

func (r *replica) rotate(token string) (tokens.Grant, string, error) {
	return r.grants.Rotate(context.Background(), tokens.RotateRequest{Token: token, ClientID: client})
}

func (r *replica) mustRotate(t tester, token string) string {
	t.Helper()
	_, next, err := r.rotate(token)
	if err != nil {
		t.Fatalf("Rotate: %v", err)
	}
	return next
}

// access signs an access token bought with g.
func (r *replica) access(t tester, g tokens.Grant) string {
	t.Helper()
	u := alice()
	u.ID, u.Ver = g.UserID, g.Ver
	a, err := r.issuer.AccessToken(context.Background(), tokens.AccessRequest{ClientID: g.ClientID, User: &u, Grant: &g})
	must(t, err)
	return a.Raw
}

func (r *replica) accepts(t tester, raw string) bool {
	t.Helper()
	_, err := r.verifier.Own(context.Background(), raw)
	return err == nil
}

func alice() users.User {
	return users.User{
		ID: "usr_1", Username: "alice", Name: "Alice Example", Picture: "https://pics.example.com/alice", Email: "alice@example.com",
		EmailVerified: true, Status: users.Active, Ver: 3, UpdatedAt: epoch.Add(-time.Hour),
		Grants: []rbac.Grant{{Role: rbac.Editor, Source: rbac.Manual}, {Role: rbac.Viewer, Source: rbac.Default}},
	}
}

// wantCode checks an *oauth.Error; "" wants success.
func wantCode(t tester, what, code string, err error) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
		if e, ok := errors.AsType[*oauth.Error](err); ok {
			got = e.Code
		}
	}
	if got != code {
		t.Errorf("%s: got %q, want %q", what, got, code)
	}
}

func wantKind(t tester, what string, kind fault.Kind, err error) {
	t.Helper()
	if !fault.Is(err, kind) {
		t.Errorf("%s: got %v, want %v", what, err, kind)
	}
}

func golden(t testing.TB, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		must(t, os.MkdirAll("testdata", 0o755))
		must(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	must(t, err)
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-want +got; -update writes it):\n%s", path, diff)
	}
}
