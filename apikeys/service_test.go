package apikeys_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/broker/apikeys"
	"example.com/broker/audit"
	"example.com/broker/internal/fault"
	"example.com/broker/internal/secret"
	"example.com/broker/oauth"
)

func TestCreate(t *testing.T) {
	r := solo(t)
	k, text := r.create(t)
	want := apikeys.Key{
		ID: k.ID, SecretHash: k.SecretHash, OwnerID: owner, Name: "nightly report", Scopes: request().Scopes,
		CreatedAt: epoch, ExpiresAt: epoch.Add(apikeys.DefaultLife), Ver: 3,
	}
	if diff := cmp.Diff(want, k); diff != "" {
		t.Errorf("the key (-want +got):\n%s", diff)
	}
	if got, err := r.Get(t.Context(), k.ID, owner, false); err != nil || !cmp.Equal(got, want) {
		t.Errorf("stored is %+v, %v, want what was returned", got, err)
	}
	if id, _, ok := apikeys.Parse(text); !ok || id != k.ID {
		t.Errorf("the text names the key %q, want %q", id, k.ID)
	}
	if got, err := r.Authenticate(t.Context(), text); err != nil || !cmp.Equal(got, want) {
		t.Errorf("authenticated is %+v, %v, want the key", got, err)
	}
	if diff := cmp.Diff([]audit.Event{{
		Action: "apikey.create", Actor: owner, Target: k.ID, Outcome: "done", Detail: map[string]string{"name": "nightly report"},
	}}, r.trail.events); diff != "" {
		t.Errorf("audit (-want +got):\n%s", diff)
	}
	other, otherText := r.create(t)
	if other.ID == k.ID || other.SecretHash == k.SecretHash || otherText == text {
		t.Error("two keys have something in common")
	}
}

func TestCreateJudgesNameAndLife(t *testing.T) {
	r := solo(t)
	for _, c := range []struct {
		rule string
		name string
		life time.Duration
		want bool
	}{
		{"a name of a hundred characters, however many bytes", strings.Repeat("漢", 100), 0, true},
		{"a name of one more", strings.Repeat("x", 101), 0, false},
		{"a name in any script, with joiners", "گزارش‌ها 👩‍💻", 0, true},
		{"space around a name is dropped", "  cron \n", 0, true},
		{"no name", "", 0, false},
		{"a name of space", " \t\u00a0", 0, false},
		{"a line break", "a\nb", 0, false},
		{"a C1 control", "a\u0085b", 0, false},
		{"a line separator", "a\u2028b", 0, false},
		{"a name that turns the text around", "a\u202eb", 0, false},
		{"a name that is not UTF-8", "a\xffb", 0, false},
		{"a second", "x", time.Second, true},
		{"less than a second", "x", time.Second - 1, false},
		{"less than nothing", "x", -time.Hour, false},
		{"a part of a millisecond is dropped", "x", time.Second + time.Microsecond, true},
		{"the longest life", "x", apikeys.MaxLife, true},
		{"a longer one", "x", apikeys.MaxLife + 1, false},
	} {
		k, text, err := r.Create(t.Context(), apikeys.Request{OwnerID: owner, Name: c.name, Life: c.life})
		switch {
		case !c.want:
			wantFault(t, err, fault.Invalid, "key_request_invalid")
			if text != "" || k.ID != "" {
				t.Errorf("%s: a refusal comes with a key", c.rule)
			}
		case err != nil:
			t.Errorf("%s: %v", c.rule, err)
		case k.Name != strings.TrimSpace(c.name) || c.life != 0 && k.ExpiresAt != k.CreatedAt.Add(c.life).Truncate(time.Millisecond):
			t.Errorf("%s: got %+v", c.rule, k)
		}
		if (err == nil) != c.want {
			t.Errorf("%s: got %v", c.rule, err)
		}
	}
}

func TestListAndGet(t *testing.T) {
	r := solo(t)
	var want []apikeys.Key // newest first
	for range 3 {
		k, _ := r.create(t)
		want = append([]apikeys.Key{k}, want...)
		r.advance(time.Second)
	}
	theirs, _ := r.create(t, func(q *apikeys.Request) { q.OwnerID = "usr_2" })
	must(t, r.Revoke(t.Context(), want[1], owner))
	want[1].RevokedAt = r.now()
	r.advance(apikeys.DefaultLife)
	got, err := r.List(t.Context(), owner)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("list, %v (-want +got):\n%s", err, diff)
	}

	if got, err := r.Get(t.Context(), theirs.ID, "usr_admin", true); err != nil || !cmp.Equal(got, theirs) {
		t.Errorf("an admin gets %+v, %v, want the key", got, err)
	}
	got1, foreign := r.Get(t.Context(), theirs.ID, owner, false)
	got2, absent := r.Get(t.Context(), "nobody", owner, false)
	wantFault(t, foreign, fault.NotFound, "key_unknown")
	wantFault(t, absent, fault.NotFound, "key_unknown")
	if foreign.Error() != absent.Error() || got1.ID != "" || got2.ID != "" {
		t.Errorf("somebody else's key and none are told apart: %v, %v", foreign, absent)
	}
}

// J05, J02 and row 1 of the mission: whatever is wrong with a key, the answer is one.
func TestARefusalTellsNothing(t *testing.T) {
	r := solo(t)
	_, good := r.create(t)
	id, _, _ := apikeys.Parse(good)
	revoked, revokedText := r.create(t)
	must(t, r.Revoke(t.Context(), revoked, owner))
	elsewhere, elsewhereText := r.create(t)
	if !r.accepts(t, elsewhereText) {
		t.Fatal("a good key is refused")
	}
	r.fence.revoke(elsewhere.ID, elsewhere.ExpiresAt) // by another replica, whose row we have not read
	_, shortText := r.create(t, func(q *apikeys.Request) { q.Life = time.Minute })
	_, overText := r.create(t, func(q *apikeys.Request) { q.OwnerID = "usr_over" })
	if !r.accepts(t, overText) {
		t.Fatal("a good key is refused")
	}
	r.fence.raise("usr_over", 4)
	r.advance(time.Minute)

	texts := map[string]secret.Value{
		"nothing":                          "",
		"no key at all":                    "Bearer x",
		"a key cut short":                  good[:len(good)-1],
		"a key nobody made":                apikeys.Text(secret.New(16).Reveal(), secret.New(32)),
		"another secret":                   apikeys.Text(id, secret.New(32)),
		"another key's secret":             apikeys.Text(id, secretOf(revokedText)),
		"a revoked key":                    revokedText,
		"a key that another replica ended": elsewhereText,
		"a key that has just expired":      shortText,
		"a key of an owner who was signed out everywhere, or disabled": overText,
	}
	for rule, text := range texts {
		_, err := r.Authenticate(t.Context(), text)
		wantFault(t, err, fault.Forbidden, "key_invalid")
		if _, first := r.Authenticate(t.Context(), ""); err == nil || err.Error() != first.Error() {
			t.Errorf("%s: got %v, want %v as for any other", rule, err, first)
		}
	}
	if !r.accepts(t, good) {
		t.Error("a good key is refused beside bad ones")
	}
}

func secretOf(text secret.Value) secret.Value {
	_, key, _ := apikeys.Parse(text)
	return key
}

func TestExpiryBoundary(t *testing.T) {
	r := solo(t)
	_, text := r.create(t, func(q *apikeys.Request) { q.Life = time.Hour })
	for _, step := range []struct {
		after time.Duration
		want  bool
	}{{0, true}, {time.Hour - time.Millisecond, true}, {time.Hour, false}, {time.Hour + time.Millisecond, false}} {
		r.Store(epoch.Add(step.after).UnixMilli())
		if got := r.accepts(t, text); got != step.want {
			t.Errorf("after %v: accepted is %v", step.after, got)
		}
	}
}

func TestEpochEndsWhatIsOlder(t *testing.T) {
	r := solo(t)
	_, before := r.create(t)
	for _, step := range []struct {
		epoch int64
		want  bool
	}{{2, true}, {3, true}, {4, false}} {
		r.fence.raise(owner, step.epoch)
		if got := r.accepts(t, before); got != step.want {
			t.Errorf("epoch %d, key of 3: accepted is %v", step.epoch, got)
		}
	}
	if _, after := r.create(t, func(q *apikeys.Request) { q.Ver = 4 }); !r.accepts(t, after) {
		t.Error("a key made since is refused")
	}
	r.fence.raise("usr_2", 99)
	if _, text := r.create(t, func(q *apikeys.Request) { q.Ver = 4 }); !r.accepts(t, text) {
		t.Error("a key is refused for somebody else's epoch")
	}
}

func TestAStaleStreamIsNoAnswer(t *testing.T) {
	r := solo(t)
	k, text := r.create(t)
	if !r.accepts(t, text) {
		t.Fatal("a good key is refused")
	}
	r.fence.setStale(true)
	r.store.calls()
	got, err := r.Authenticate(t.Context(), text)
	wantFault(t, err, fault.Unavailable, "revocations_stale")
	if got.ID != "" {
		t.Error("a key comes with the failure")
	}
	if gets, touches := r.store.calls(); gets+touches != 0 {
		t.Errorf("%d reads and %d writes, want none", gets, touches)
	}
	if r.accepts(t, text+"x") { // which no stream could tell anything about
		t.Error("a malformed key is accepted")
	}
	must(t, r.Revoke(t.Context(), k, owner))
	r.fence.setStale(false)
	if r.accepts(t, text) {
		t.Error("a key revoked meanwhile is accepted")
	}
}

func TestAStoreThatIsAwayIsNoRefusal(t *testing.T) {
	r := solo(t)
	_, text := r.create(t)
	r.store.fail["get"] = true
	if _, err := r.Authenticate(t.Context(), text); fault.Is(err, fault.Forbidden) || err == nil {
		t.Errorf("cold: got %v, want the failure of the store", err)
	}
	r.store.fail["get"] = false
	if !r.accepts(t, text) {
		t.Fatal("a good key is refused")
	}
	r.store.fail["get"], r.store.fail["touch"] = true, true
	if !r.accepts(t, text) {
		t.Error("warm: a good key is refused")
	}
}

func TestAWarmCallReadsNothingAndNotesTheUseOnceAMinute(t *testing.T) {
	r := solo(t)
	k, text := r.create(t)
	lastUsed := func() time.Time {
		t.Helper()
		got, err := r.stores.APIKeys.GetKey(t.Context(), k.ID)
		must(t, err)
		return got.LastUsed
	}
	use := func(rule string, n int, gets, touches int64) {
		t.Helper()
		for range n {
			if !r.accepts(t, text) {
				t.Fatalf("%s: a good key is refused", rule)
			}
		}
		if g, w := r.store.calls(); g != gets || w != touches {
			t.Errorf("%s: %d reads and %d writes, want %d and %d", rule, g, w, gets, touches)
		}
	}
	use("the first use", 1, 1, 1)
	if got := lastUsed(); got != epoch {
		t.Errorf("last used %v, want %v", got, epoch)
	}
	use("at once", 1000, 0, 0)
	r.advance(time.Minute - time.Millisecond)
	use("just before a minute", 100, 0, 0)
	r.advance(time.Millisecond)
	use("after a minute, once more", 100, 1, 1)
	if got := lastUsed(); got != epoch.Add(time.Minute) {
		t.Errorf("last used %v, want a minute later", got)
	}
	for range 90 {
		r.advance(time.Second)
		if !r.accepts(t, text) {
			t.Fatal("a good key is refused")
		}
	}
	if g, w := r.store.calls(); g != 1 || w != 1 {
		t.Errorf("over the next ninety seconds: %d reads and %d writes, want 1 and 1", g, w)
	}
}

func TestManyColdCallsNoteTheUseOnce(t *testing.T) {
	r := solo(t)
	for range 20 {
		_, text := r.create(t)
		r.store.calls()
		for _, err := range race(100, func(int) error {
			_, err := r.Authenticate(t.Context(), text)
			return err
		}) {
			must(t, err)
		}
		if _, touches := r.store.calls(); touches != 1 {
			t.Fatalf("the use was noted %d times, want once", touches)
		}
		must(t, r.revokeAll(t.Context()))
	}
}

// revokeAll makes room.
func (r *replica) revokeAll(ctx context.Context) error {
	all, err := r.List(ctx, owner)
	if err != nil {
		return err
	}
	for _, k := range all {
		if err := r.Revoke(ctx, k, owner); err != nil {
			return err
		}
	}
	return nil
}

func TestTheUseIsNotedOfACallerWhoLeaves(t *testing.T) {
	r := solo(t)
	k, text := r.create(t)
	if !r.accepts(t, text) {
		t.Fatal("a good key is refused")
	}
	r.advance(time.Minute - time.Millisecond)
	_ = r.accepts(t, text)
	ctx, leave := context.WithCancel(t.Context())
	r.store.Store = leaving{r.store.Store, leave}
	r.advance(time.Millisecond)
	if _, err := r.Authenticate(ctx, text); err != nil {
		t.Fatal(err)
	}
	if got, err := r.stores.APIKeys.GetKey(t.Context(), k.ID); err != nil || got.LastUsed != epoch.Add(time.Minute) {
		t.Errorf("last used %v, %v, want the time of the last call", got.LastUsed, err)
	}
}

// leaving has the caller leave once the key is read.
type leaving struct {
	apikeys.Store
	leave func()
}

func (l leaving) GetKey(ctx context.Context, id string) (apikeys.Key, error) {
	defer l.leave()
	return l.Store.GetKey(ctx, id)
}

// Callers share what is cached: one that appends to the scopes must not give another more rights.
func TestScopesAreNotShared(t *testing.T) {
	r := solo(t)
	_, text := r.create(t, func(q *apikeys.Request) { q.Scopes = []string{"a:read", "b:read", "c:read"} })
	for _, err := range race(100, func(i int) error {
		k, err := r.Authenticate(t.Context(), text)
		if err != nil {
			return err
		}
		mine := fmt.Sprint("mine:", i)
		if got := append(k.Scopes, mine); len(got) != 4 || got[3] != mine {
			return fmt.Errorf("got %v, want %s at the end", got, mine)
		}
		return nil
	}) {
		must(t, err)
	}
}

func TestRevoke(t *testing.T) {
	r := solo(t)
	k, text := r.create(t)
	_, kept := r.create(t)
	if !r.accepts(t, text) {
		t.Fatal("a good key is refused")
	}
	r.advance(time.Second)
	for range 2 { // again is success
		must(t, r.Revoke(t.Context(), k, "usr_admin"))
		if r.accepts(t, text) || !r.accepts(t, kept) {
			t.Error("the key that was revoked is accepted, or the other is not")
		}
		r.advance(time.Second)
	}
	if until := r.fence.revoked[k.ID]; until != k.ExpiresAt {
		t.Errorf("announced until %v, want %v: a cached copy is good until then", until, k.ExpiresAt)
	}
	if got, err := r.Get(t.Context(), k.ID, owner, false); err != nil || got.RevokedAt != epoch.Add(time.Second) {
		t.Errorf("revoked at %v, %v, want the first time", got.RevokedAt, err)
	}
	want := audit.Event{Action: "apikey.revoke", Actor: "usr_admin", Target: k.ID, Outcome: "done"}
	if got := r.trail.events[len(r.trail.events)-1]; !cmp.Equal(got, want) {
		t.Errorf("audit: got %+v, want %+v", got, want)
	}
	wantFault(t, r.Revoke(t.Context(), apikeys.Key{ID: "gone"}, owner), fault.NotFound, "key_unknown")
}

// The entry goes first, then the row: each step may fail, and doing it again completes it.
func TestRevokeInSteps(t *testing.T) {
	r := solo(t)
	k, text := r.create(t)
	r.announce = errDown
	if err := r.Revoke(t.Context(), k, owner); err == nil {
		t.Error("a revocation that nobody heard of is success")
	}
	if got, err := r.Get(t.Context(), k.ID, owner, false); err != nil || !got.RevokedAt.IsZero() || !r.accepts(t, text) {
		t.Errorf("the row went ahead of the entry: %+v, %v", got, err)
	}
	r.announce, r.store.fail["revoke"] = nil, true
	if err := r.Revoke(t.Context(), k, owner); err == nil {
		t.Error("a revocation that is not stored is success")
	}
	if r.accepts(t, text) {
		t.Error("what was announced is not followed")
	}
	if slices.ContainsFunc(r.trail.events, func(e audit.Event) bool { return e.Action == "apikey.revoke" }) {
		t.Error("what did not happen is on record")
	}
	r.store.fail["revoke"] = false
	must(t, r.Revoke(t.Context(), k, owner))
	if got, err := r.Get(t.Context(), k.ID, owner, false); err != nil || got.RevokedAt.IsZero() {
		t.Errorf("the second time did not complete it: %+v, %v", got, err)
	}
}

// J05: on other replicas the entry ends a cached key; without it the row does within a minute.
func TestRevokeElsewhere(t *testing.T) {
	i := install(t)
	here, there := i.replica(), i.replica()
	k, text := here.create(t)
	if !there.accepts(t, text) {
		t.Fatal("another replica refuses a good key")
	}
	must(t, here.Revoke(t.Context(), k, owner))
	if here.accepts(t, text) {
		t.Error("accepted where it was revoked")
	}
	there.fence.revoke(k.ID, k.ExpiresAt)
	if there.accepts(t, text) {
		t.Error("accepted where the entry was heard")
	}
	if deaf := i.replica(); deaf.accepts(t, text) {
		t.Error("accepted by a replica that has heard nothing and reads the row")
	}
}

func TestNobodyIsLetInOnceRevokeHasReturned(t *testing.T) {
	r := solo(t)
	for range 20 {
		k, text := r.create(t)
		var over atomic.Bool
		for _, err := range race(100, func(i int) error {
			if i == 50 {
				err := r.Revoke(t.Context(), k, owner)
				over.Store(true)
				return err
			}
			for range 20 {
				was := over.Load()
				if _, err := r.Authenticate(t.Context(), text); was && err == nil {
					return fmt.Errorf("call %d was let in", i)
				}
			}
			return nil
		}) {
			must(t, err)
		}
		if r.accepts(t, text) {
			t.Fatal("the key is good again")
		}
	}
}

// fill stores n keys straight away.
func (i *installation) fill(t *testing.T, n int, edit func(*apikeys.Key)) {
	t.Helper()
	for _, err := range race(n, func(int) error {
		k := apikeys.Key{
			ID: secret.New(16).Reveal(), SecretHash: "hash", OwnerID: owner, Name: "filled", Ver: 3, CreatedAt: i.now(), ExpiresAt: i.now().Add(time.Hour),
		}
		edit(&k)
		return i.stores.APIKeys.InsertKey(t.Context(), k)
	}) {
		must(t, err)
	}
}

func TestScopesAreASet(t *testing.T) {
	r := solo(t)
	for _, c := range []struct {
		rule      string
		have, got oauth.Scopes
	}{
		{"each once, in the order they were named", oauth.Scopes{"data:read", "articles:read", "data:read", "articles:read"}, oauth.Scopes{"data:read", "articles:read"}},
		{"none stays none", oauth.Scopes{}, nil},
		{"one", oauth.Scopes{"data:read"}, oauth.Scopes{"data:read"}},
	} {
		made, _ := r.create(t, func(q *apikeys.Request) { q.Scopes = c.have })
		stored, err := r.stores.APIKeys.GetKey(t.Context(), made.ID)
		must(t, err)
		for what, got := range map[string]oauth.Scopes{"returned": made.Scopes, "stored": stored.Scopes} {
			if !slices.Equal(got, c.got) {
				t.Errorf("%s: %s %v, want %v", c.rule, what, got, c.got)
			}
		}
	}
}

func TestAnOwnerHasAHundredKeys(t *testing.T) {
	r := solo(t)
	r.fence.raise(owner, 3)
	r.fill(t, 200, func(k *apikeys.Key) { k.RevokedAt = r.now() })
	r.fill(t, 200, func(k *apikeys.Key) { k.ExpiresAt = r.now() })
	r.fill(t, 200, func(k *apikeys.Key) { k.OwnerID = "usr_2" })
	r.advance(time.Second)
	r.fill(t, 99, func(*apikeys.Key) {})
	last, lastText := r.create(t) // what is over, and what is somebody else's, takes no room
	all, err := r.List(t.Context(), owner)
	must(t, err)
	refuse := func() {
		t.Helper()
		k, text, err := r.Create(t.Context(), request())
		wantFault(t, err, fault.Conflict, "key_limit")
		if strings.Contains(err.Error(), "already") {
			t.Errorf("%v: at the limit, of several who create at once all may be refused, so nobody knows how many there are", err)
		}
		if text != "" || k.ID != "" {
			t.Error("a refusal comes with a key")
		}
	}
	refuse()
	if after, err := r.List(t.Context(), owner); err != nil || !cmp.Equal(all, after) {
		t.Errorf("a refusal left a key behind (%v)", err)
	}
	if !r.accepts(t, lastText) {
		t.Error("the last key that had room is refused")
	}
	must(t, r.Revoke(t.Context(), last, owner))
	last, _ = r.create(t)
	refuse()
	r.advance(time.Hour - time.Millisecond)
	refuse()
	r.advance(time.Millisecond) // the 99 have expired
	r.create(t)
	r.fill(t, 98, func(*apikeys.Key) {})
	refuse()
	r.fence.raise(owner, 4) // what an epoch ended takes no room either
	r.create(t, func(q *apikeys.Request) { q.Ver = 4 })
}

// The change stream forgets a sign-out everywhere after the life of a grant, while a key may live for a year: what it ended must not take
// the owner's room again. Nor may it once the stream has never been heard at all, as after a restart.
func TestKeysFromBeforeAnEpochTakeNoRoomThoughTheStreamForgetsIt(t *testing.T) {
	i := install(t)
	r := i.replica()
	i.fill(t, apikeys.MaxKeys, func(k *apikeys.Key) { k.ExpiresAt = i.now().Add(apikeys.MaxLife) })
	anew := func(q *apikeys.Request) { q.Ver, q.Epoch = 4, 4 }
	r.fence.raise(owner, 4)
	r.create(t, anew)
	i.advance(31 * 24 * time.Hour)
	for who, r := range map[string]*replica{"the replica that has forgotten": r, "one that was started since": i.replica()} {
		r.fence.raise(owner, 0)
		if _, _, err := r.Create(t.Context(), apikeys.Request{OwnerID: owner, Ver: 4, Epoch: 4, Name: "nightly report"}); err != nil {
			t.Errorf("%s: %v", who, err)
		}
	}
	_, _, err := r.Create(t.Context(), apikeys.Request{OwnerID: owner, Ver: 3, Epoch: 3, Name: "nightly report"})
	wantFault(t, err, fault.Conflict, "key_limit") // those keys are good for an owner who signed out of nothing
}

func TestOfManyWhoCreateAtOnceNobodyPassesTheLimit(t *testing.T) {
	r := solo(t)
	r.fill(t, apikeys.MaxKeys-10, func(*apikeys.Key) {})
	texts := make([]secret.Value, 100)
	errs := race(len(texts), func(i int) (err error) {
		_, texts[i], err = r.Create(t.Context(), request())
		return err
	})
	made := 0
	for i, err := range errs {
		switch {
		case err != nil:
			wantFault(t, err, fault.Conflict, "key_limit")
			if texts[i] != "" {
				t.Error("a refusal comes with a key")
			}
		case !r.accepts(t, texts[i]):
			t.Error("a key that was given out is refused")
		default:
			made++
		}
	}
	live := func() int {
		t.Helper()
		keys, err := r.stores.APIKeys.LiveKeysOf(t.Context(), owner, r.now(), 1000)
		must(t, err)
		return len(keys)
	}
	if got := live(); got != apikeys.MaxKeys-10+made || got > apikeys.MaxKeys {
		t.Errorf("%d keys are good after %d were made, want at most %d", got, made, apikeys.MaxKeys)
	}
	for live() < apikeys.MaxKeys { // one after the other there is room to the last
		r.create(t)
	}
	_, _, err := r.Create(t.Context(), request())
	wantFault(t, err, fault.Conflict, "key_limit")
}

// A key that works must be seen to be revoked, and be counted, however many were made and revoked since.
func TestNoGoodKeyIsCrowdedOut(t *testing.T) {
	r := solo(t)
	oldest, text := r.create(t)
	r.fill(t, 99, func(*apikeys.Key) {})
	r.advance(time.Second)
	r.fill(t, 700, func(k *apikeys.Key) { k.RevokedAt = r.now() })
	_, _, err := r.Create(t.Context(), request())
	wantFault(t, err, fault.Conflict, "key_limit")
	all, err := r.List(t.Context(), owner)
	must(t, err)
	good := slices.DeleteFunc(slices.Clone(all), func(k apikeys.Key) bool { return !k.RevokedAt.IsZero() })
	if len(good) != 100 || !slices.ContainsFunc(good, func(k apikeys.Key) bool { return k.ID == oldest.ID }) {
		t.Errorf("%d good keys are listed, want all 100", len(good))
	}
	seen := map[string]bool{}
	for i, k := range all {
		if seen[k.ID] || i > 0 && k.CreatedAt.After(all[i-1].CreatedAt) {
			t.Fatalf("place %d is listed twice or out of order", i)
		}
		seen[k.ID] = true
	}
	if !r.accepts(t, text) {
		t.Error("the oldest key is refused")
	}
}

func TestNothingOfAKeyIsShownTwice(t *testing.T) {
	r := solo(t)
	k, text := r.create(t)
	must(t, r.Revoke(t.Context(), k, owner))
	all, err := r.List(t.Context(), owner)
	must(t, err)
	shown, err := json.Marshal(struct {
		Key    apikeys.Key
		List   []apikeys.Key
		Events []audit.Event
		Text   secret.Value
	}{k, all, r.trail.events, text})
	must(t, err)
	_, refusal := r.Authenticate(t.Context(), text)
	said := string(shown) + fmt.Sprintf("%v %+v %#v %v", text, text, text, refusal)
	if !strings.Contains(said, k.ID) {
		t.Fatal("the id is not shown, so this test sees nothing")
	}
	for name, part := range map[string]string{
		"text": text.Reveal(), "secret": secretOf(text).Reveal(), "hash": k.SecretHash, "checksum": text.Reveal()[len(text)-6:],
	} {
		if strings.Contains(said, part) {
			t.Errorf("the %s is shown", name)
		}
	}
}
