package users_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/broker/audit"
	"example.com/broker/internal/fault"
	"example.com/broker/internal/ratelimit"
	"example.com/broker/internal/secret"
	"example.com/broker/rbac"
	"example.com/broker/store/sqlite"
	"example.com/broker/users"
	"github.com/google/go-cmp/cmp"
)

// world is a Service on SQLite with everything around it in the test's hands.
type world struct {
	*users.Service
	t      testing.TB
	store  *spyStore
	admins rbac.AdminStore
	limits *spyLimits
	hasher *users.Hasher
	audit  *recorder

	mu    sync.Mutex
	time  time.Time
	hooks []string // "epoch usr_1 2 before row 1": what was called, and the Ver that the row had then
}

func newWorld(t testing.TB, with ...func(*users.Options)) *world {
	t.Helper()
	w := &world{t: t, time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), audit: &recorder{}}
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "db"), Now: w.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	w.store, w.admins, w.limits, w.hasher = &spyStore{Store: s.Users}, s.Admins, &spyLimits{Store: s.Limits}, newHasher(t, users.HasherOptions{Queue: 1000})
	hook := func(kind string) func(context.Context, string, int64) error {
		return func(ctx context.Context, id string, ver int64) error {
			u, err := s.Users.Get(ctx, id)
			if err != nil {
				return err
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			w.hooks = append(w.hooks, fmt.Sprintf("%s %d before row %d", kind, ver, u.Ver))
			return nil
		}
	}
	o := users.Options{
		Store: w.store, Admins: s.Admins, Limiter: ratelimit.NewLimiter(w.limits, w.now), Hasher: w.hasher, Now: w.now,
		DefaultRole: rbac.Viewer, SupportContact: "help@example.com", Audit: w.audit,
		BeforeVersion: hook("version"), BeforeEpoch: hook("epoch"),
	}
	for _, f := range with {
		f(&o)
	}
	if w.Service, err = users.New(o); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.time
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.time = w.time.Add(d)
}

// wantHooks compares the hooks called since the last look.
func (w *world) wantHooks(want ...string) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if diff := cmp.Diff(want, w.hooks); diff != "" {
		w.t.Errorf("hooks (-want +got):\n%s", diff)
	}
	w.hooks = nil
}

func (w *world) get(id string) users.User {
	w.t.Helper()
	u, err := w.Get(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return u
}

// all returns the users, but not those that a test store made to hold claims.
func (w *world) all() []users.User {
	w.t.Helper()
	us, err := w.store.Store.List(w.t.Context(), "", 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	var out []users.User
	for _, u := range us {
		if !strings.HasPrefix(u.ID, "holder-") {
			out = append(out, u)
		}
	}
	return out
}

// create makes a user. One with a login name and no other way in gets goodPassword: nobody is made without one.
func (w *world) create(n users.NewUser) users.User {
	w.t.Helper()
	if n.Username != "" && n.Password == "" && n.PasswordHash == "" && !n.Claimable {
		n.PasswordHash = bcryptPHC(w.t, goodPassword.Reveal(), 4)
	}
	u, err := w.Create(w.t.Context(), n)
	if err != nil {
		w.t.Fatal(err)
	}
	return u
}

func (w *world) resolve(id users.Identity, p users.Policy) (users.User, users.Outcome) {
	w.t.Helper()
	u, out, err := w.Resolve(w.t.Context(), id, p)
	if err != nil {
		w.t.Fatalf("Resolve(%s): %v", id.Subject, err)
	}
	return u, out
}

// authenticate is Authenticate from one address.
func (w *world) authenticate(login, password string) (users.User, error) {
	return w.Authenticate(w.t.Context(), login, secretOf(password), netip.MustParseAddr("203.0.113.7"))
}

func wantCode(t testing.TB, err error, kind fault.Kind, code string) {
	t.Helper()
	if !fault.Is(err, kind) || fault.CodeOf(err) != code {
		t.Errorf("got %v, want %v %q", err, kind, code)
	}
}

// wantSame fails if the stored user is not what it was.
func (w *world) wantSame(before users.User) {
	w.t.Helper()
	if diff := cmp.Diff(before, w.get(before.ID)); diff != "" {
		w.t.Errorf("user %s changed (-before +after):\n%s", before.ID, diff)
	}
}

// atOnce runs f n times behind one barrier.
func atOnce(n int, f func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	wg.Wait()
}

func github(subject, email string) users.Identity {
	return users.Identity{
		Provider: "github", Namespace: "https://github.com", Subject: subject, Email: email, EmailVerified: email != "",
		Handle: "h" + subject, Name: "Name " + subject,
	}
}

func google(subject, email string) users.Identity {
	id := github(subject, email)
	id.Provider, id.Namespace, id.Authoritative = "google", "https://accounts.google.com", true
	return id
}

func unverified(id users.Identity) users.Identity {
	id.EmailVerified = false
	return id
}

var open = users.Policy{Linking: users.LinkProve, Registration: true}

// spyStore counts calls, can come between, and with stepwise works like a store without transactions: each claim is a write of its own
// and stays when a later step fails.
type spyStore struct {
	users.Store
	reads, writes atomic.Int64
	// before is called ahead of each write with its name; an error is returned in its place.
	before   func(ctx context.Context, name string) error
	stepwise bool
	holders  atomic.Int64
}

func (s *spyStore) Get(ctx context.Context, id string) (users.User, error) {
	s.reads.Add(1)
	return s.Store.Get(ctx, id)
}

func (s *spyStore) Holder(ctx context.Context, c users.Claim) (users.Holder, error) {
	s.reads.Add(1)
	return s.Store.Holder(ctx, c)
}

func (s *spyStore) write(ctx context.Context, name string) error {
	s.writes.Add(1)
	if s.before != nil {
		return s.before(ctx, name)
	}
	return nil
}

// hold makes id the holder of a claim without there being such a user.
func (s *spyStore) hold(ctx context.Context, c users.Claim, id string, now time.Time) error {
	holder := fmt.Sprintf("holder-%d", s.holders.Add(1))
	err := s.Store.Create(ctx, users.User{ID: holder, V: 1}, []users.Claim{c}, now)
	if fault.CodeOf(err) == "claim_taken" {
		if h, herr := s.Store.Holder(ctx, c); herr == nil && h.UserID == id {
			return nil
		}
		return err
	}
	if err != nil {
		return err
	}
	return s.Store.TakeOver(ctx, c, users.Holder{UserID: holder, At: now}, id, now)
}

func (s *spyStore) steps(ctx context.Context, id string, claims []users.Claim, now time.Time) error {
	for i, c := range claims {
		if err := s.write(ctx, fmt.Sprintf("claim %d", i)); err != nil {
			return err
		}
		if err := s.hold(ctx, c, id, now); err != nil {
			return err
		}
	}
	return nil
}

func (s *spyStore) Create(ctx context.Context, u users.User, claims []users.Claim, now time.Time) error {
	if s.stepwise {
		if err := s.steps(ctx, u.ID, claims, now); err != nil {
			return err
		}
	}
	if err := s.write(ctx, "create"); err != nil {
		return err
	}
	return s.Store.Create(ctx, u, claims, now)
}

func (s *spyStore) Replace(ctx context.Context, u users.User, add, drop []users.Claim, now time.Time) error {
	if s.stepwise {
		if err := s.steps(ctx, u.ID, add, now); err != nil {
			return err
		}
	}
	if err := s.write(ctx, "replace"); err != nil {
		return err
	}
	return s.Store.Replace(ctx, u, add, drop, now)
}

func (s *spyStore) TakeOver(ctx context.Context, c users.Claim, from users.Holder, to string, now time.Time) error {
	if err := s.write(ctx, "takeover"); err != nil {
		return err
	}
	return s.Store.TakeOver(ctx, c, from, to, now)
}

// wantCalls runs f and compares the calls it made.
func (s *spyStore) wantCalls(t testing.TB, reads, writes int64, f func()) {
	t.Helper()
	s.reads.Store(0)
	s.writes.Store(0)
	f()
	if r, w := s.reads.Load(), s.writes.Load(); r != reads || w != writes {
		t.Errorf("%d reads, %d writes; want %d, %d", r, w, reads, writes)
	}
}

// spyLimits counts writes and can fail.
type spyLimits struct {
	ratelimit.Store
	writes atomic.Int64
}

func (s *spyLimits) Take(ctx context.Context, key string, b ratelimit.Bounds, now time.Time) (ratelimit.Tally, bool, error) {
	s.writes.Add(1)
	return s.Store.Take(ctx, key, b, now)
}

func (s *spyLimits) Return(ctx context.Context, key string, ends time.Time) error {
	s.writes.Add(1)
	return s.Store.Return(ctx, key, ends)
}

func (s *spyLimits) Reset(ctx context.Context, key string, ends time.Time) error {
	s.writes.Add(1)
	return s.Store.Reset(ctx, key, ends)
}

// recorder keeps events.
type recorder struct {
	mu     sync.Mutex
	events []audit.Event
}

func (r *recorder) Record(_ context.Context, e audit.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// wantLast compares action, target, outcome and reason of the newest event.
func (r *recorder) wantLast(t testing.TB, action, target, outcome, reason string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.events) == 0 {
		t.Errorf("no event, want %s %s", action, outcome)
		return
	}
	e := r.events[len(r.events)-1]
	got := []string{e.Action, e.Target, e.Outcome, e.Detail["reason"]}
	if diff := cmp.Diff([]string{action, target, outcome, reason}, got); diff != "" {
		t.Errorf("last event (-want +got):\n%s", diff)
	}
}

func linkRequired(t testing.TB, err error) *users.LinkRequired {
	t.Helper()
	wantCode(t, err, fault.Conflict, "identity_conflict")
	l, ok := errors.AsType[*users.LinkRequired](err)
	if !ok {
		t.Fatalf("got %v, want *LinkRequired", err)
	}
	return l
}

func secretOf(s string) secret.Value { return secret.Value(s) }
