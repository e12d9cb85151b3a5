package apikeys_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/broker/apikeys"
	"example.com/broker/audit"
	"example.com/broker/internal/fault"
	"example.com/broker/internal/secret"
	"example.com/broker/oauth"
	"example.com/broker/store"
	"example.com/broker/store/sqlite"
)

var (
	epoch   = time.Date(2030, 1, 2, 3, 4, 5, 678_000_000, time.UTC)
	errDown = errors.New("store down")
)

const owner = "usr_1"

// clock is moved by hand. It is safe for concurrent use.
type clock struct{ atomic.Int64 }

func (c *clock) now() time.Time          { return time.UnixMilli(c.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.Add(d.Milliseconds()) }

// fence is what one replica has heard.
type fence struct {
	mu      sync.Mutex
	revoked map[string]time.Time
	epochs  map[string]int64
	stale   bool
}

func newFence() *fence { return &fence{revoked: map[string]time.Time{}, epochs: map[string]int64{}} }

func (f *fence) KeyRevoked(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.revoked[id]
	return ok
}

func (f *fence) UserEpoch(userID string) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.epochs[userID]
}

func (f *fence) Fresh() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stale {
		return fault.New(fault.Unavailable, "revocations_stale", "What was revoked cannot be told at the moment.")
	}
	return nil
}

func (f *fence) revoke(id string, until time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.revoked[id] = until
}

func (f *fence) raise(userID string, epoch int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.epochs[userID] = epoch
}

func (f *fence) setStale(stale bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stale = stale
}

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

// counted counts the calls to a Store, and refuses those that fail names.
type counted struct {
	apikeys.Store
	gets, touches atomic.Int64
	fail          map[string]bool
}

func (s *counted) GetKey(ctx context.Context, id string) (apikeys.Key, error) {
	s.gets.Add(1)
	if s.fail["get"] {
		return apikeys.Key{}, errDown
	}
	return s.Store.GetKey(ctx, id)
}

func (s *counted) RevokeKey(ctx context.Context, id string, now time.Time) error {
	if s.fail["revoke"] {
		return errDown
	}
	return s.Store.RevokeKey(ctx, id, now)
}

func (s *counted) TouchKey(ctx context.Context, id string, at time.Time) error {
	s.touches.Add(1)
	if s.fail["touch"] {
		return errDown
	}
	return s.Store.TouchKey(ctx, id, at)
}

// calls returns how often the store was asked for a key, and told of its use, since the last time.
func (s *counted) calls() (gets, touches int64) { return s.gets.Swap(0), s.touches.Swap(0) }

// installation is a store and what its replicas share.
type installation struct {
	*clock
	path   string
	stores *store.Stores
}

func install(t testing.TB) *installation {
	t.Helper()
	c := new(clock)
	c.Store(epoch.UnixMilli())
	i := &installation{clock: c, path: filepath.Join(t.TempDir(), "broker.db")}
	var err error
	if i.stores, err = sqlite.Open(t.Context(), sqlite.Options{Path: i.path, Now: c.now}); err != nil {
		t.Fatalf("open the store: %v", err)
	}
	t.Cleanup(func() {
		if err := i.stores.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	return i
}

// replica is one process of it.
type replica struct {
	*installation
	*apikeys.Service
	fence    *fence
	store    *counted
	trail    *trail
	announce error // of the stream
}

func (i *installation) replica() *replica {
	r := &replica{installation: i, fence: newFence(), trail: &trail{}, store: &counted{Store: i.stores.APIKeys, fail: map[string]bool{}}}
	r.Service = apikeys.New(apikeys.Options{
		Store: r.store, Fence: r.fence, Audit: r.trail, Now: i.now,
		Announce: func(_ context.Context, id string, until time.Time) error {
			if r.announce == nil {
				r.fence.revoke(id, until)
			}
			return r.announce
		},
	})
	return r
}

// solo is an installation of one replica.
func solo(t testing.TB) *replica {
	t.Helper()
	return install(t).replica()
}

func request() apikeys.Request {
	return apikeys.Request{OwnerID: owner, Ver: 3, Name: "nightly report", Scopes: oauth.Scopes{"reports:read", "data:read"}}
}

// create makes a key as request asks for, edited.
func (r *replica) create(t testing.TB, edit ...func(*apikeys.Request)) (apikeys.Key, secret.Value) {
	t.Helper()
	q := request()
	for _, e := range edit {
		e(&q)
	}
	k, text, err := r.Create(t.Context(), q)
	if err != nil {
		t.Fatalf("Create: %v", err)
	}
	return k, text
}

func (r *replica) accepts(t testing.TB, text secret.Value) bool {
	t.Helper()
	k, err := r.Authenticate(t.Context(), text)
	if err == nil {
		return true
	}
	wantFault(t, err, fault.Forbidden, "key_invalid")
	if k.ID != "" || k.OwnerID != "" || k.Scopes != nil {
		t.Errorf("a refusal comes with the key %s", k.ID)
	}
	return false
}

func wantFault(t testing.TB, err error, kind fault.Kind, code string) {
	t.Helper()
	if fault.KindOf(err) != kind || fault.CodeOf(err) != code {
		t.Errorf("got %v, want the kind %v and the code %q", err, kind, code)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// race starts n goroutines behind one barrier and returns their errors.
func race(n int, act func(i int) error) []error {
	errs := make([]error, n)
	gate := make(chan struct{})
	var ready, ended sync.WaitGroup
	ready.Add(n)
	for i := range n {
		ended.Go(func() {
			ready.Done()
			<-gate
			errs[i] = act(i)
		})
	}
	ready.Wait()
	close(gate)
	ended.Wait()
	return errs
}
