package sessions_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"example.com/broker/internal/fault"
	"example.com/broker/internal/secret"
	"example.com/broker/sessions"
	"example.com/broker/store/sqlite"
)

// fence is a change stream that says what the test wants.
type fence struct {
	revoked string
	epochs  map[string]int64
	stale   error
}

func (f *fence) SessionRevoked(sid string) bool { return sid == f.revoked }
func (f *fence) UserEpoch(user string) int64    { return f.epochs[user] }
func (f *fence) Fresh() error                   { return f.stale }

// counting counts the calls of a real store and can be told to fail, or to do something first.
type counting struct {
	sessions.Store
	reads, touches int
	fail           error
	beforeTouch    func()
}

func (c *counting) GetSession(ctx context.Context, id string) (sessions.Session, error) {
	c.reads++
	if c.fail != nil {
		return sessions.Session{}, c.fail
	}
	return c.Store.GetSession(ctx, id)
}

func (c *counting) TouchSession(ctx context.Context, id string, idleUntil, now time.Time) error {
	c.touches++
	if c.beforeTouch != nil {
		c.beforeTouch()
	}
	return c.Store.TouchSession(ctx, id, idleUntil, now)
}

// house is a manager on a real store with a clock that the test moves.
type house struct {
	*sessions.Manager
	t     *testing.T
	now   time.Time
	store *counting
	fence *fence
}

func open(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, now: time.Date(2030, 1, 2, 3, 4, 5, 678_000_000, time.UTC), fence: &fence{epochs: map[string]int64{}}}
	clock := func() time.Time { return h.now }
	st, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "b.db"), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	h.store = &counting{Store: st.Sessions}
	h.Manager = sessions.NewManager(sessions.Options{Store: h.store, Fence: h.fence, Now: clock})
	return h
}

var jo = sessions.Opening{UserID: "usr_jo", Ver: 3, AMR: []string{"pwd"}, Provider: "github", Trip: "trip-1", UserAgent: "agent", Address: "203.0.113.7"}

func (h *house) signIn() (sessions.Session, secret.Value) {
	h.t.Helper()
	s, cookie, err := h.Open(h.t.Context(), jo)
	if err != nil {
		h.t.Fatal(err)
	}
	return s, cookie
}

// loads fails unless the cookie names a live session.
func (h *house) loads(cookie secret.Value) sessions.Session {
	h.t.Helper()
	s, err := h.Load(h.t.Context(), cookie)
	if err != nil {
		h.t.Errorf("Load: %v, want a session", err)
	}
	return s
}

// refuses fails unless the cookie is refused by the code that sends people to the sign-in page.
func (h *house) refuses(why string, cookie secret.Value) {
	h.t.Helper()
	s, err := h.Load(h.t.Context(), cookie)
	if fault.KindOf(err) != fault.Unauthenticated || fault.CodeOf(err) != "session_required" {
		h.t.Errorf("%s: Load = %v, want session_required", why, err)
	}
	if diff := cmp.Diff(sessions.Session{}, s); diff != "" {
		h.t.Errorf("%s: a refused session is handed out:\n%s", why, diff)
	}
}

func TestOpenStoresAHashAndHandsTheSecretOutOnce(t *testing.T) {
	h := open(t)
	s, cookie := h.signIn()
	at := h.now
	want := sessions.Session{
		ID: s.ID, SecretHash: s.SecretHash, UserID: "usr_jo", Ver: 3, AuthTime: at, AMR: []string{"pwd"}, Provider: "github", Trip: "trip-1",
		UserAgent: "agent", Address: "203.0.113.7", CreatedAt: at, IdleUntil: at.Add(time.Hour), Until: at.Add(12 * time.Hour),
	}
	stored, err := h.store.Store.GetSession(t.Context(), s.ID)
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]sessions.Session{"returned": s, "stored": stored, "loaded": h.loads(cookie)} {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	id, key, _ := strings.Cut(cookie.Reveal(), ".")
	if id != s.ID || len(id) != 36 || len(key) != 43 || secret.Hash(secret.Value(key)) != stored.SecretHash || strings.Contains(stored.SecretHash, key) {
		t.Errorf("cookie %q, stored hash %q", cookie.Reveal(), stored.SecretHash)
	}
	if _, other := h.signIn(); other == cookie || strings.HasPrefix(other.Reveal(), id) {
		t.Error("a second sign-in has the session of the first")
	}
	if h.Idle() != time.Hour {
		t.Errorf("Idle = %v, want an hour by default", h.Idle())
	}
}

func TestOpenKeepsALittleOfALongUserAgent(t *testing.T) {
	h := open(t)
	for in, want := range map[string]string{
		strings.Repeat("a", 300):                strings.Repeat("a", 256),
		strings.Repeat("a", 255) + "ä and more": strings.Repeat("a", 255),
		"short":                                 "short",
	} {
		o := jo
		o.UserAgent = in
		s, _, err := h.Open(t.Context(), o)
		if err != nil || s.UserAgent != want {
			t.Errorf("got %d bytes, %v, want %d", len(s.UserAgent), err, len(want))
		}
	}
}

func TestLoadRefusesWhatIsNotTheCookie(t *testing.T) {
	h := open(t)
	s, cookie := h.signIn()
	_, other := h.signIn()
	key := cookie.Reveal()[37:]
	for rule, text := range map[string]string{
		"nothing": "", "the id alone": s.ID, "the id and a dot": s.ID + ".", "the secret alone": key, "another secret": s.ID + other.Reveal()[36:],
		"the stored hash": s.ID + "." + s.SecretHash, "half the secret": s.ID + "." + key[:20], "a longer secret": cookie.Reveal() + "A",
		"another case": strings.ToUpper(cookie.Reveal()), "a session that is not there": "00000000-0000-7000-8000-000000000000." + key,
		"NUL after it": cookie.Reveal() + "\x00", "a space before it": " " + cookie.Reveal(),
	} {
		h.refuses(rule, secret.Value(text))
	}
	h.store.reads = 0
	for _, text := range []string{"", "x", s.ID + ".short", strings.Repeat("a", 5000)} {
		h.refuses("a text of another form", secret.Value(text))
	}
	if h.store.reads != 0 {
		t.Errorf("%d reads for texts that can be no cookie", h.store.reads)
	}
	h.loads(cookie)
}

// I07: the ends are compared in code, whatever rows there are.
func TestASessionEnds(t *testing.T) {
	t.Run("after an hour without use", func(t *testing.T) {
		h := open(t)
		s, cookie := h.signIn()
		h.now = s.IdleUntil.Add(-time.Millisecond)
		h.loads(cookie)
		h = open(t)
		s, cookie = h.signIn()
		h.now = s.IdleUntil
		if _, err := h.store.Store.GetSession(t.Context(), s.ID); err != nil {
			t.Fatalf("the row is gone, so this shows nothing: %v", err)
		}
		h.refuses("at its end", cookie)
		h.now = s.IdleUntil.Add(-time.Minute)
		h.refuses("after the clock was set back", cookie) // O09: nothing revives
	})
	t.Run("after twelve hours of use", func(t *testing.T) {
		h := open(t)
		s, cookie := h.signIn()
		for h.now.Add(30 * time.Minute).Before(s.Until) {
			h.now = h.now.Add(30 * time.Minute)
			if got := h.loads(cookie); got.IdleUntil.After(s.Until) {
				t.Fatalf("slid to %v, beyond the absolute end %v", got.IdleUntil, s.Until)
			}
		}
		h.now = s.Until.Add(-time.Millisecond)
		h.loads(cookie)
		h.now = s.Until
		h.refuses("at its absolute end", cookie)
	})
	t.Run("once it was revoked, whatever its row says", func(t *testing.T) {
		h := open(t)
		s, cookie := h.signIn()
		h.fence.revoked = s.ID
		h.refuses("revoked", cookie)
	})
	t.Run("once its user signed out everywhere, whatever its row says", func(t *testing.T) {
		h := open(t)
		_, cookie := h.signIn()
		h.fence.epochs["usr_jo"] = 3
		h.loads(cookie) // opened at the counter of the last sign-out
		h.fence.epochs["usr_jo"] = 4
		h.refuses("signed out everywhere", cookie)
		h.fence.epochs = map[string]int64{"somebody else": 9}
		h.loads(cookie)
	})
	t.Run("once its row is gone", func(t *testing.T) {
		h := open(t)
		s, cookie := h.signIn()
		for range 2 {
			if err := h.Delete(t.Context(), s.ID); err != nil {
				t.Fatal(err)
			}
		}
		h.refuses("deleted", cookie)
	})
}

func TestSlidingIsCoarse(t *testing.T) {
	h := open(t)
	s, cookie := h.signIn()
	for range 100 {
		h.now = h.now.Add(time.Second)
		if got := h.loads(cookie); !got.IdleUntil.Equal(s.IdleUntil) {
			t.Fatalf("slid to %v after %v", got.IdleUntil, h.now.Sub(s.CreatedAt))
		}
	}
	if h.store.touches != 0 {
		t.Errorf("%d writes in a hundred seconds of use, want none", h.store.touches)
	}
	h.now = s.CreatedAt.Add(4 * time.Minute)
	got := h.loads(cookie)
	if want := h.now.Add(time.Hour); !got.IdleUntil.Equal(want) || h.store.touches != 1 {
		t.Errorf("slid to %v by %d writes, want %v by one", got.IdleUntil, h.store.touches, want)
	}
	if !h.Slid(got) || h.CookieLife(got) != time.Hour {
		t.Errorf("Slid = %v, CookieLife = %v", h.Slid(got), h.CookieLife(got))
	}
	h.now = h.now.Add(2 * time.Second)
	if h.Slid(h.loads(cookie)) {
		t.Error("it slid again after two seconds")
	}
}

func TestAStaleCookieExtendsNothing(t *testing.T) {
	h := open(t)
	s, old := h.signIn()
	_, fresh, err := h.Renew(t.Context(), s, jo)
	if err != nil {
		t.Fatal(err)
	}
	h.now = h.now.Add(50 * time.Minute)
	h.refuses("the value from before the renewal", old)
	if h.store.touches != 0 {
		t.Errorf("it moved the end of the session, %d writes", h.store.touches)
	}
	h.now = h.now.Add(10 * time.Minute)
	h.refuses("the new value, an hour later, though the old one was used", fresh)
}

// I01.
func TestRenewKeepsTheSessionAndReplacesItsSecret(t *testing.T) {
	h := open(t)
	s, old := h.signIn()
	h.now = h.now.Add(20 * time.Minute)
	again := sessions.Opening{UserID: "usr_jo", Ver: 5, AMR: []string{"fed"}, Provider: "google", Trip: "trip-2", UserAgent: "other", Address: "203.0.113.8"}
	got, fresh, err := h.Renew(t.Context(), s, again)
	if err != nil {
		t.Fatal(err)
	}
	want := sessions.Session{
		ID: s.ID, SecretHash: got.SecretHash, UserID: "usr_jo", Ver: 5, AuthTime: h.now, AMR: []string{"fed"}, Provider: "google", Trip: "trip-2",
		UserAgent: "other", Address: "203.0.113.8", CreatedAt: s.CreatedAt, IdleUntil: h.now.Add(time.Hour), Until: h.now.Add(12 * time.Hour),
	}
	for name, x := range map[string]sessions.Session{"returned": got, "loaded": h.loads(fresh)} {
		if diff := cmp.Diff(want, x); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if got.SecretHash == s.SecretHash || fresh == old {
		t.Error("the secret is the old one")
	}
	h.refuses("the old value", old)
	conflict := func(why string, err error, cookie secret.Value) {
		t.Helper()
		if fault.KindOf(err) != fault.Conflict || fault.CodeOf(err) != "session_changed" || cookie != "" {
			t.Errorf("%s: Renew = %q, %v, want session_changed", why, cookie.Reveal(), err)
		}
	}
	_, cookie, err := h.Renew(t.Context(), s, again)
	conflict("as it was before another tab renewed it", err, cookie)
	stranger := again
	stranger.UserID = "usr_eve"
	_, cookie, err = h.Renew(t.Context(), got, stranger)
	conflict("as somebody else", err, cookie)
	h.loads(fresh)
	if err := h.Delete(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	_, cookie, err = h.Renew(t.Context(), got, again)
	conflict("after it was ended", err, cookie)
	h.refuses("the value of an ended session", fresh)
}

func TestOneOfManyRenewalsWins(t *testing.T) {
	h := open(t)
	s, _ := h.signIn()
	var mu sync.Mutex
	var won []secret.Value
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			_, cookie, err := h.Renew(t.Context(), s, jo)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				won = append(won, cookie)
			case fault.CodeOf(err) != "session_changed":
				t.Errorf("Renew: %v", err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Fatalf("%d renewals won, want one", len(won))
	}
	h.loads(won[0])
}

func TestASessionThatEndsWhileItIsReadIsRefused(t *testing.T) {
	h := open(t)
	s, cookie := h.signIn()
	h.now = h.now.Add(30 * time.Minute)
	h.store.beforeTouch = func() {
		if err := h.Delete(t.Context(), s.ID); err != nil {
			t.Error(err)
		}
	}
	h.refuses("deleted between the read and the write", cookie)
}

func TestLoadSaysWhenNobodyCanTell(t *testing.T) {
	h := open(t)
	_, cookie := h.signIn()
	h.fence.stale = fault.New(fault.Unavailable, "revocations_stale", "later")
	if _, err := h.Load(t.Context(), cookie); fault.CodeOf(err) != "revocations_stale" || h.store.reads != 0 {
		t.Errorf("without the change stream: %v after %d reads", err, h.store.reads)
	}
	h.refuses("what is no cookie needs no change stream", "x")
	h.fence.stale, h.store.fail = nil, fault.Wrap(errors.New("disk"), fault.Unavailable, "unavailable", "later")
	if _, err := h.Load(t.Context(), cookie); !fault.Is(err, fault.Unavailable) {
		t.Errorf("without the store: %v, want Unavailable: nobody is signed out by an outage", err)
	}
}

func TestOfListsLiveSessionsNewestFirst(t *testing.T) {
	h := open(t)
	var want []string
	for range 3 {
		s, _ := h.signIn()
		want = append(want, s.ID)
		h.now = h.now.Add(10 * time.Minute)
	}
	o := jo
	o.UserID = "usr_other"
	if _, _, err := h.Open(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	slices.Reverse(want)
	list := func() []string {
		t.Helper()
		all, err := h.Of(t.Context(), "usr_jo")
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, s := range all {
			ids = append(ids, s.ID)
		}
		return ids
	}
	check := func(rule string, want []string) {
		t.Helper()
		if diff := cmp.Diff(want, list(), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", rule, diff)
		}
	}
	check("all of them", want)
	h.fence.revoked = want[0]
	check("without the one that was revoked", want[1:])
	h.fence.revoked = ""
	h.now = h.now.Add(31 * time.Minute)
	check("without the one that idled out", want[:2])
	h.fence.epochs["usr_jo"] = 4
	check("without those from before the sign-out everywhere", nil)
}

// TestAllFindsLiveSessionsBehindManyDeadOnes fills the newest rows with sessions that are over but not swept yet.
func TestAllFindsLiveSessionsBehindManyDeadOnes(t *testing.T) {
	h := open(t)
	oldest, _ := h.signIn()
	for i := range 450 {
		h.now = h.now.Add(time.Second)
		s := oldest
		s.ID = fmt.Sprintf("00000000-0000-7000-8000-%012d", i)
		s.CreatedAt = h.now
		if i > 10 {
			s.IdleUntil = h.now
		}
		if err := h.store.InsertSession(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	newest, err := h.Of(t.Context(), "usr_jo")
	if err != nil || len(newest) != 0 {
		t.Fatalf("the newest rows hold %d live sessions, %v: the test needs none", len(newest), err)
	}
	all, err := h.All(t.Context(), "usr_jo")
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 12 || all[len(all)-1].ID != oldest.ID {
		t.Errorf("All returned %d sessions, want the 12 that are live, the oldest last", len(all))
	}
}

func TestFindReturnsOnesOwnLiveSession(t *testing.T) {
	h := open(t)
	s, _ := h.signIn()
	find := func(rule, user, id, code string) {
		t.Helper()
		got, err := h.Find(t.Context(), user, id)
		if code == "" && (err != nil || got.ID != s.ID) || code != "" && fault.CodeOf(err) != code {
			t.Errorf("%s: %v, %v", rule, got.ID, err)
		}
	}
	find("one's own", "usr_jo", s.ID, "")
	find("somebody else's", "usr_other", s.ID, "session_unknown")
	find("one that never was", "usr_jo", "x", "session_unknown")
	h.fence.revoked = s.ID
	find("one that was ended", "usr_jo", s.ID, "session_unknown")
	h.fence.revoked = ""
	h.now = h.now.Add(time.Hour)
	find("one that idled out", "usr_jo", s.ID, "session_unknown")
}
