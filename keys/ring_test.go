package keys_test

import (
	"bytes"
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"example.com/broker/internal/changes"
	"example.com/broker/internal/fault"
	"example.com/broker/internal/secret"
	"example.com/broker/keys"
	"example.com/broker/store"
	"example.com/broker/store/sqlite"
	"example.com/broker/verify"
)

var epoch = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

const (
	ahead     = keys.DefaultJWKSMaxAge + keys.Margin
	tokenLife = 15 * time.Minute
)

// clock is moved by hand. It is safe for concurrent use.
type clock struct{ atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.set(epoch)
	return c
}

func (c *clock) now() time.Time          { return time.UnixMilli(c.Load()).UTC() }
func (c *clock) set(t time.Time)         { c.Store(t.UnixMilli()) }
func (c *clock) advance(d time.Duration) { c.Add(d.Milliseconds()) }

func sealer(t testing.TB, seeds ...byte) *secret.Sealer {
	t.Helper()
	var list [][]byte
	for _, s := range seeds {
		list = append(list, bytes.Repeat([]byte{s}, secret.KeySize))
	}
	s, err := secret.NewSealer(list...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func open(t testing.TB, now func() time.Time) *store.Stores {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "broker.db"), Now: now})
	if err != nil {
		t.Fatalf("open the store: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	return s
}

// replica is one process of an installation.
type replica struct {
	*keys.Ring
	follower *changes.Follower
}

func start(t testing.TB, s *store.Stores, now func() time.Time, edit ...func(*keys.Options)) replica {
	t.Helper()
	f := changes.New(s.Changes, changes.Options{Now: now})
	o := keys.Options{
		Store: s.Keys, Sealer: sealer(t, 1), Now: now, Changes: f, Algs: []string{keys.ES256}, TokenLife: tokenLife,
	}
	for _, e := range edit {
		e(&o)
	}
	r, err := keys.NewRing(o)
	if err != nil {
		t.Fatalf("NewRing: %v", err)
	}
	return replica{r, f}
}

func turn(t testing.TB, r replica) {
	t.Helper()
	if err := r.Turn(t.Context()); err != nil {
		t.Fatalf("Turn: %v", err)
	}
}

func poll(t testing.TB, r replica) {
	t.Helper()
	if err := r.follower.Poll(t.Context()); err != nil {
		t.Fatalf("Poll: %v", err)
	}
}

func signer(t testing.TB, r replica, alg string) string {
	t.Helper()
	kid, s, err := r.Signer(alg)
	if err != nil {
		t.Fatalf("Signer(%s): %v", alg, err)
	}
	if public, of, ok := r.Lookup(kid); !ok || of != alg || !public.(interface{ Equal(crypto.PublicKey) bool }).Equal(s.Public()) {
		t.Fatalf("Lookup(%s) does not give the public part of the key that signs", kid)
	}
	return kid
}

func published(t testing.TB, r replica) []string {
	t.Helper()
	raw, _ := r.Public()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(raw, &set); err != nil {
		t.Fatalf("read the JWKS: %v", err)
	}
	var kids []string
	for _, k := range set.Keys {
		kids = append(kids, k.KeyID)
	}
	return kids
}

func list(t testing.TB, r replica) []keys.Info {
	t.Helper()
	out, err := r.List(t.Context())
	if err != nil {
		t.Fatalf("List: %v", err)
	}
	return out
}

func TestFirstKeysSignAtOnce(t *testing.T) {
	c := newClock()
	r := start(t, open(t, c.now), c.now, func(o *keys.Options) { o.Algs = keys.Algorithms() })
	if _, _, err := r.Signer(keys.ES256); !fault.Is(err, fault.Unavailable) {
		t.Errorf("Signer before the first turn: %v, want unavailable", err)
	}
	turn(t, r)
	for _, alg := range keys.Algorithms() {
		signer(t, r, alg)
	}
	if diff := cmp.Diff([]string{keys.ES256, keys.EdDSA, keys.RS256}, r.Algs()); diff != "" {
		t.Errorf("Algs (-want +got):\n%s", diff)
	}
	before := published(t, r)
	turn(t, r)
	if diff := cmp.Diff(before, published(t, r)); diff != "" {
		t.Errorf("a turn when nothing is due changed the JWKS:\n%s", diff)
	}
}

func TestPublicHoldsPublicKeysOnly(t *testing.T) {
	c := newClock()
	r := start(t, open(t, c.now), c.now, func(o *keys.Options) { o.Algs = keys.Algorithms() })
	turn(t, r)
	raw, etag := r.Public()
	var doc struct{ Keys []map[string]string }
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	members := map[string][]string{
		keys.ES256: {"alg", "crv", "kid", "kty", "use", "x", "y"},
		keys.RS256: {"alg", "e", "kid", "kty", "n", "use"},
		keys.EdDSA: {"alg", "crv", "kid", "kty", "use", "x"},
	}
	if len(doc.Keys) != len(members) {
		t.Fatalf("the JWKS has %d keys, want %d", len(doc.Keys), len(members))
	}
	for _, k := range doc.Keys {
		var names []string
		for name := range k {
			names = append(names, name)
		}
		slices.Sort(names)
		if diff := cmp.Diff(members[k["alg"]], names); diff != "" {
			t.Errorf("members of the %s key (-want +got):\n%s", k["alg"], diff)
		}
		if k["use"] != "sig" {
			t.Errorf("use = %q, want sig", k["use"])
		}
		one, err := json.Marshal(k)
		if err != nil {
			t.Fatal(err)
		}
		var parsed jose.JSONWebKey
		if err := parsed.UnmarshalJSON(one); err != nil {
			t.Fatalf("go-jose reads the %s key: %v", k["alg"], err)
		}
		sum, err := parsed.Thumbprint(crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		if want := base64.RawURLEncoding.EncodeToString(sum); k["kid"] != want {
			t.Errorf("kid = %q, want the RFC 7638 thumbprint %q", k["kid"], want)
		}
	}
	if again, same := r.Public(); etag != same || !bytes.Equal(raw, again) || !strings.HasPrefix(etag, `"`) {
		t.Errorf("entity tag %s, then %s", etag, same)
	}
	if _, err := r.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, changed := r.Public(); changed == etag {
		t.Error("the entity tag stays though a key was added")
	}
}

// TestKeysTurnWithoutAGap runs a year of two replicas whose clocks are 90 s apart (F13, O09): every key was in the JWKS for as long as
// verifiers may keep the JWKS before it signs, and stays there until the last token it signed is dead.
func TestKeysTurnWithoutAGap(t *testing.T) {
	c, late := newClock(), newClock()
	late.advance(-90 * time.Second)
	s := open(t, c.now)
	a, b := start(t, s, c.now), start(t, s, late.now)
	turn(t, a)
	turn(t, b)
	first := signer(t, a, keys.ES256)

	seen := map[string]time.Time{}   // when a kid entered the JWKS of both
	signed := map[string]time.Time{} // when a kid last signed anywhere
	for c.now().Before(epoch.AddDate(1, 0, 0)) {
		for _, r := range []replica{a, b} {
			kid := signer(t, r, keys.ES256)
			if since, ok := seen[kid]; kid != first && (!ok || c.now().Sub(since) < keys.DefaultJWKSMaxAge) {
				t.Fatalf("%v: %s signs, in the JWKS since %v", c.now(), kid, since)
			}
			signed[kid] = c.now()
		}
		for kid, at := range signed {
			for _, r := range []replica{a, b} {
				if _, _, ok := r.Lookup(kid); !ok && c.now().Sub(at) <= tokenLife+time.Minute {
					t.Fatalf("%v: %s is gone, it signed at %v", c.now(), kid, at)
				}
			}
		}
		step := 5 * time.Minute
		if len(published(t, a))+len(published(t, b)) == 2 && c.now().Before(due(t, a)) {
			step = due(t, a).Sub(c.now()) // nothing happens until then
		}
		c.advance(step)
		late.advance(step)
		turn(t, a)
		turn(t, b)
		both := published(t, b)
		for _, kid := range published(t, a) {
			if _, ok := seen[kid]; !ok && slices.Contains(both, kid) {
				seen[kid] = c.now()
			}
		}
	}
	if got := len(signed); got != 5 {
		t.Errorf("%d keys signed within a year, want 5: one each 90 days", got)
	}
	if got := len(published(t, a)); got > 2 {
		t.Errorf("%d keys are published after a year, want 2 at most", got)
	}
}

// due is ten minutes before the one key of a replica needs a successor.
func due(t *testing.T, r replica) time.Time {
	t.Helper()
	return list(t, r)[0].SignsFrom.Add(keys.DefaultRotateEvery - ahead - 10*time.Minute)
}

func TestRotateOnCommand(t *testing.T) {
	c := newClock()
	r := start(t, open(t, c.now), c.now)
	turn(t, r)
	old := signer(t, r, keys.ES256)
	c.advance(time.Hour)

	made, err := r.Rotate(t.Context())
	if err != nil {
		t.Fatalf("Rotate: %v", err)
	}
	if len(made) != 1 || made[0].State != keys.Next || !made[0].Published.Equal(c.now()) || !made[0].SignsFrom.Equal(c.now().Add(ahead)) {
		t.Fatalf("Rotate = %+v, want one key that is published now and signs from %v", made, c.now().Add(ahead))
	}
	fresh := made[0].KID
	if diff := cmp.Diff([]string{old, fresh}, published(t, r)); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
	c.advance(5 * time.Minute)
	if again, err := r.Rotate(t.Context()); err != nil || again[0].KID != fresh || !again[0].SignsFrom.Equal(made[0].SignsFrom) {
		t.Errorf("a second Rotate = %+v, %v; want the pending key unchanged", again, err)
	}
	c.advance(7*time.Minute - time.Millisecond)
	if got := signer(t, r, keys.ES256); got != old {
		t.Error("the new key signs before it was published for long enough")
	}
	c.advance(time.Millisecond)
	if got := signer(t, r, keys.ES256); got != fresh {
		t.Error("the new key does not sign when its time has come")
	}
	turn(t, r)
	states := []keys.State{}
	for _, k := range list(t, r) {
		states = append(states, k.State)
	}
	if diff := cmp.Diff([]keys.State{keys.Retired, keys.Active}, states); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
	c.advance(tokenLife + keys.Margin - time.Millisecond)
	turn(t, r)
	if _, _, ok := r.Lookup(old); !ok {
		t.Error("the old key is gone while what it signed is good")
	}
	c.advance(time.Millisecond)
	if _, _, ok := r.Lookup(old); ok {
		t.Error("the old key verifies after its end, before any turn")
	}
	turn(t, r)
	if diff := cmp.Diff([]string{fresh}, published(t, r)); diff != "" {
		t.Errorf("published after the end of the old key (-want +got):\n%s", diff)
	}
	if got := list(t, r); len(got) != 1 {
		t.Errorf("%d keys are stored after the end of the old one, want 1", len(got))
	}
}

func TestRotateHastensTheKeyThatIsDueAnyway(t *testing.T) {
	c := newClock()
	// Twelve minutes before 90 days the next key is published; half an hour ahead it would be, were it published that early.
	r := start(t, open(t, c.now), c.now, func(o *keys.Options) { o.PublishAhead = time.Hour })
	turn(t, r)
	c.advance(keys.DefaultRotateEvery - 59*time.Minute)
	turn(t, r)
	pending := list(t, r)[1]
	c.advance(10 * time.Minute)
	got, err := r.Rotate(t.Context())
	if err != nil || got[0].KID != pending.KID {
		t.Fatalf("Rotate = %+v, %v; want the pending key %s", got, err, pending.KID)
	}
	if got[0].SignsFrom.After(pending.SignsFrom) || got[0].SignsFrom.Before(pending.Published.Add(time.Hour)) {
		t.Errorf("it signs from %v, want no later than %v and an hour after %v", got[0].SignsFrom, pending.SignsFrom, pending.Published)
	}
}

func TestRotateImmediately(t *testing.T) {
	c := newClock()
	s := open(t, c.now)
	a, b := start(t, s, c.now), start(t, s, c.now)
	turn(t, a)
	turn(t, b)
	old := signer(t, a, keys.ES256)
	pending, err := a.Rotate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.advance(time.Minute)
	made, err := a.Rotate(t.Context(), keys.Immediately)
	if err != nil {
		t.Fatalf("Rotate: %v", err)
	}
	if got := signer(t, a, keys.ES256); got != made[0].KID || got == old || got == pending[0].KID {
		t.Errorf("%s signs, want the new key %s", got, made[0].KID)
	}
	if diff := cmp.Diff([]string{old, made[0].KID}, published(t, a)); diff != "" {
		t.Errorf("published (-want +got):\n%s", diff)
	}
	if k := list(t, a)[0]; k.KID != old || !k.RetiredAt.Equal(c.now()) || !k.Until.Equal(c.now().Add(tokenLife+keys.Margin)) {
		t.Errorf("the old key is %+v, want it retired now, and not when the dropped key would have signed", k)
	}
	poll(t, b)
	if got := signer(t, b, keys.ES256); got != made[0].KID {
		t.Error("the other replica signs with the old key after it heard of the change")
	}
	if _, _, ok := b.Lookup(old); !ok {
		t.Error("what the old key signed is refused")
	}
}

func TestRevokeKey(t *testing.T) {
	for _, state := range []keys.State{keys.Next, keys.Active, keys.Retired} {
		t.Run(string(state), func(t *testing.T) {
			c := newClock()
			s := open(t, c.now)
			a, b := start(t, s, c.now), start(t, s, c.now)
			turn(t, a)
			for range 2 {
				if _, err := a.Rotate(t.Context()); err != nil {
					t.Fatal(err)
				}
				if state == keys.Next {
					break
				}
				c.advance(ahead)
			}
			turn(t, b)
			i := slices.IndexFunc(list(t, a), func(k keys.Info) bool { return k.State == state })
			kid := list(t, a)[i].KID
			signed := signer(t, a, keys.ES256)

			if err := a.RevokeKey(t.Context(), kid); err != nil {
				t.Fatalf("RevokeKey: %v", err)
			}
			poll(t, b)
			for name, r := range map[string]replica{"here": a, "there": b} {
				if _, _, ok := r.Lookup(kid); ok || slices.Contains(published(t, r), kid) {
					t.Errorf("%s the key is still known", name)
				}
				if _, err := r.Key(t.Context(), kid, keys.ES256); !errors.Is(err, verify.ErrUnknownKey) {
					t.Errorf("%s Key = %v, want unknown", name, err)
				}
				if got := signer(t, r, keys.ES256); got == kid {
					t.Errorf("%s the key still signs", name)
				}
			}
			for _, k := range list(t, a) {
				if k.KID == kid {
					t.Error("the key is still stored")
				}
			}
			turn(t, a)
			if got := signer(t, a, keys.ES256); state != keys.Active && got != signed {
				t.Errorf("%s signs: a key that signs well was replaced by one that nobody knows yet", got)
			}
			// Whatever was revoked, the keys keep turning.
			c.advance(keys.DefaultRotateEvery)
			turn(t, a)
			c.advance(ahead)
			if k := signer(t, a, keys.ES256); k != list(t, a)[len(list(t, a))-1].KID {
				t.Error("no successor signs after the next rotation")
			}
		})
	}
	c := newClock()
	r := start(t, open(t, c.now), c.now)
	turn(t, r)
	if err := r.RevokeKey(t.Context(), "nobody"); !fault.Is(err, fault.NotFound) {
		t.Errorf("RevokeKey of an unknown key = %v, want not found", err)
	}
}

// TestRevokedKeyStaysOutWhileItsRowIsThere covers a revocation that broke off between entry and row.
func TestRevokedKeyStaysOutWhileItsRowIsThere(t *testing.T) {
	c := newClock()
	r := start(t, open(t, c.now), c.now)
	turn(t, r)
	kid := signer(t, r, keys.ES256)
	if err := r.follower.Append(t.Context(), changes.Entry{Kind: changes.RevokedKey, Key: kid, Until: c.now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	turn(t, r)
	if _, _, ok := r.Lookup(kid); ok {
		t.Error("a turn brings a revoked key back")
	}
	if _, _, err := r.Signer(keys.ES256); !fault.Is(err, fault.Unavailable) {
		t.Errorf("Signer = %v, want unavailable rather than a revoked key", err)
	}
	if err := r.RevokeKey(t.Context(), kid); err != nil {
		t.Fatalf("repeat RevokeKey: %v", err)
	}
	signer(t, r, keys.ES256)
}

func TestManyReplicasStartOnOneEmptyStore(t *testing.T) {
	c := newClock()
	s := open(t, c.now)
	var group sync.WaitGroup
	rings := make([]replica, 8)
	for i := range rings {
		rings[i] = start(t, s, c.now)
	}
	for _, r := range rings {
		group.Go(func() {
			if err := r.Turn(t.Context()); err != nil {
				t.Errorf("Turn: %v", err)
			}
		})
	}
	group.Wait()
	want := signer(t, rings[0], keys.ES256)
	for _, r := range rings {
		if got := signer(t, r, keys.ES256); got != want {
			t.Errorf("a replica signs with %s, another with %s", got, want)
		}
	}
	if got := len(list(t, rings[0])); got != 1 {
		t.Errorf("%d keys are stored, want 1", got)
	}
}

func TestANewKeyIsHeardOfWithoutATurn(t *testing.T) {
	c := newClock()
	s := open(t, c.now)
	a, b := start(t, s, c.now), start(t, s, c.now)
	turn(t, a)
	turn(t, b)
	made, err := a.Rotate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(published(t, b), made[0].KID) {
		t.Fatal("known before it can be")
	}
	poll(t, b)
	if !slices.Contains(published(t, b), made[0].KID) {
		t.Error("not published by the other replica after its next poll")
	}
}

// counting counts and can refuse the reads of a store.
type counting struct {
	keys.Store
	reads atomic.Int64
	err   error
}

func (s *counting) LoadKeys(ctx context.Context, alg string) (keys.Set, error) {
	s.reads.Add(1)
	if s.err != nil {
		return keys.Set{}, s.err
	}
	return s.Store.LoadKeys(ctx, alg)
}

func TestUnknownKidCostsOneReadASecond(t *testing.T) {
	c := newClock()
	s := open(t, c.now)
	counted := &counting{Store: s.Keys}
	a := start(t, s, c.now)
	b := start(t, s, c.now, func(o *keys.Options) { o.Store = counted })
	turn(t, a)
	turn(t, b)

	made, err := a.Rotate(t.Context(), keys.Immediately)
	if err != nil {
		t.Fatal(err)
	}
	counted.reads.Store(0)
	if _, err := b.Key(t.Context(), made[0].KID, keys.ES256); err != nil {
		t.Fatalf("Key of another replica's new key: %v", err)
	}
	if got := counted.reads.Load(); got != 1 {
		t.Errorf("%d reads, want 1", got)
	}

	counted.reads.Store(0)
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			if _, err := b.Key(t.Context(), "invented", keys.ES256); !errors.Is(err, verify.ErrUnknownKey) {
				t.Errorf("Key of an invented id: %v, want unknown", err)
			}
		})
	}
	group.Wait()
	if got := counted.reads.Load(); got != 1 {
		t.Errorf("%d reads for 50 invented ids within a second, want 1", got)
	}
	if _, err := b.Key(t.Context(), "invented", "HS256"); !errors.Is(err, verify.ErrUnknownKey) {
		t.Errorf("Key for HS256: %v, want unknown", err)
	}
	if _, err := b.Key(t.Context(), made[0].KID, keys.RS256); !errors.Is(err, verify.ErrUnknownKey) {
		t.Errorf("Key for another algorithm: %v, want unknown: the key fixes it (F02)", err)
	}
	c.advance(time.Second)
	counted.reads.Store(0)
	_, _ = b.Key(t.Context(), "invented", keys.ES256)
	if got := counted.reads.Load(); got != 1 {
		t.Errorf("%d reads after the cool-down, want 1", got)
	}
}

func TestStoreIsNeededForUnknownKeysOnly(t *testing.T) {
	c := newClock()
	s := open(t, c.now)
	counted := &counting{Store: s.Keys}
	r := start(t, s, c.now, func(o *keys.Options) { o.Store = counted })
	turn(t, r)
	counted.err = errors.New("store down")
	kid := signer(t, r, keys.ES256)
	if len(published(t, r)) != 1 {
		t.Error("the JWKS is empty")
	}
	if _, err := r.Key(t.Context(), kid, keys.ES256); err != nil {
		t.Errorf("Key of a known key: %v", err)
	}
	if _, err := r.Key(t.Context(), "unknown", keys.ES256); err == nil || errors.Is(err, verify.ErrUnknownKey) {
		t.Errorf("Key = %v, want an error other than unknown: nobody can tell", err)
	}
	if err := r.Turn(t.Context()); err == nil {
		t.Error("Turn succeeds without a store")
	}
	signer(t, r, keys.ES256)
}

// TestALateReadDoesNotBringAnOlderSetBack covers a read that began before a change and ends after it.
func TestALateReadDoesNotBringAnOlderSetBack(t *testing.T) {
	c := newClock()
	s := open(t, c.now)
	a := start(t, s, c.now)
	turn(t, a)
	old, err := s.Keys.LoadKeys(t.Context(), keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	late := &lagging{Store: s.Keys}
	r := start(t, s, c.now, func(o *keys.Options) { o.Store = late })
	made, err := r.Rotate(t.Context(), keys.Immediately)
	if err != nil {
		t.Fatal(err)
	}
	late.set = &old
	if _, err := r.Key(t.Context(), "unknown", keys.ES256); !errors.Is(err, verify.ErrUnknownKey) {
		t.Fatalf("Key: %v", err)
	}
	if got := signer(t, r, keys.ES256); got != made[0].KID {
		t.Errorf("%s signs, want the newest key %s", got, made[0].KID)
	}
}

// lagging gives an older set, once there is one.
type lagging struct {
	keys.Store
	set *keys.Set
}

func (s *lagging) LoadKeys(ctx context.Context, alg string) (keys.Set, error) {
	if s.set != nil && s.set.Alg == alg {
		return *s.set, nil
	}
	return s.Store.LoadKeys(ctx, alg)
}

func TestEncryptionKeys(t *testing.T) {
	c := newClock()
	s := open(t, c.now)
	old := start(t, s, c.now)
	turn(t, old)
	kid := signer(t, old, keys.ES256)

	with := func(seeds ...byte) replica {
		return start(t, s, c.now, func(o *keys.Options) { o.Sealer = sealer(t, seeds...) })
	}
	wrong := with(2)
	if err := wrong.Turn(t.Context()); err == nil || !strings.Contains(err.Error(), "keys.encryption") || !errors.Is(err, secret.ErrSealed) {
		t.Errorf("Turn with another encryption key = %v, want an error that names the setting", err)
	}
	if _, _, err := wrong.Signer(keys.ES256); !fault.Is(err, fault.Unavailable) {
		t.Errorf("Signer = %v, want unavailable", err)
	}
	if _, _, ok := wrong.Lookup(kid); !ok {
		t.Error("a key that cannot be opened does not verify either")
	}

	both := with(2, 1)
	turn(t, both)
	if got := signer(t, both, keys.ES256); got != kid {
		t.Errorf("%s signs, want %s: a list opens what any of its keys sealed", got, kid)
	}
	made, err := both.Rotate(t.Context(), keys.Immediately)
	if err != nil {
		t.Fatal(err)
	}
	c.advance(keys.Margin)
	fresh := with(2)
	turn(t, fresh) // the first encryption key seals, and a signing key that has retired need not be opened
	if got := signer(t, fresh, keys.ES256); got != made[0].KID {
		t.Errorf("%s signs, want %s", got, made[0].KID)
	}
}

func TestALostEncryptionKeyIsReplacedOnCommandOnly(t *testing.T) {
	c := newClock()
	s := open(t, c.now)
	algs := func(o *keys.Options) { o.Algs = []string{keys.ES256, keys.EdDSA} }
	old := start(t, s, c.now, algs)
	turn(t, old)
	if _, err := old.Rotate(t.Context()); err != nil { // there is a next key, which is sealed too
		t.Fatal(err)
	}
	kid := signer(t, old, keys.ES256)
	with := func(seeds ...byte) replica {
		return start(t, s, c.now, algs, func(o *keys.Options) { o.Sealer = sealer(t, seeds...) })
	}
	before := list(t, old)
	wrong := with(2)
	for range 3 { // whoever mistypes the key loses nothing by trying
		if err := wrong.Turn(t.Context()); !errors.Is(err, secret.ErrSealed) || !strings.Contains(err.Error(), "--encryption-key-lost") {
			t.Errorf("Turn = %v, want an error that names the way out", err)
		}
	}
	if _, err := with(2, 1).Replace(t.Context()); !fault.Is(err, fault.Conflict) || fault.CodeOf(err) != "keys_open" {
		t.Errorf("Replace with the key in the list = %v, want a refusal", err)
	}
	if diff := cmp.Diff(before, list(t, old)); diff != "" {
		t.Errorf("the keys changed without being told to (-want +got):\n%s", diff)
	}

	made, err := wrong.Replace(t.Context())
	if err != nil || len(made) != 2 || made[0].State != keys.Active || !made[0].SignsFrom.Equal(c.now()) {
		t.Fatalf("Replace = %+v, %v, want two keys that sign at once", made, err)
	}
	fresh := with(2)
	turn(t, fresh) // the broker starts at once
	for name, r := range map[string]replica{"the replica that replaced them": wrong, "one that starts now": fresh, "one that has both keys": with(2, 1)} {
		turn(t, r)
		if got := signer(t, r, keys.ES256); got != made[0].KID {
			t.Errorf("%s: %s signs, want %s", name, got, made[0].KID)
		}
		if _, _, ok := r.Lookup(kid); !ok {
			t.Errorf("%s: what the old key signed is refused", name)
		}
	}
	for _, k := range list(t, fresh) {
		if k.KID != made[0].KID && k.KID != made[1].KID && k.State != keys.Retired {
			t.Errorf("%+v is left, want it retired", k)
		}
	}
	if _, err := fresh.Replace(t.Context()); fault.CodeOf(err) != "keys_open" {
		t.Errorf("a second Replace = %v, want a refusal", err)
	}
	// The broker that the command was not meant for: it has the old key alone.
	if err := with(1).Turn(t.Context()); !errors.Is(err, secret.ErrSealed) {
		t.Errorf("Turn with the old key alone = %v, want an error", err)
	}
	c.advance(tokenLife + keys.Margin)
	turn(t, fresh)
	if _, _, ok := fresh.Lookup(kid); ok {
		t.Error("the old key stays for good")
	}
	c.advance(keys.DefaultRotateEvery)
	turn(t, fresh)
	c.advance(ahead)
	if got := signer(t, fresh, keys.ES256); got == made[0].KID {
		t.Error("the keys turn no more")
	}
}

func TestStoredKeysAreNotTakenOnTrust(t *testing.T) {
	c := newClock()
	s := open(t, c.now)
	turn(t, start(t, s, c.now))
	other := open(t, c.now)
	turn(t, start(t, other, c.now))
	foreign, err := other.Keys.LoadKeys(t.Context(), keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	genuine, err := s.Keys.LoadKeys(t.Context(), keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(*keys.Key){
		"the private part of another key": func(k *keys.Key) { k.Private = foreign.Keys[0].Private },
		"the public part of another key":  func(k *keys.Key) { k.Public = foreign.Keys[0].Public },
		"a public part that is none":      func(k *keys.Key) { k.Public = []byte("x") },
	} {
		set, err := s.Keys.LoadKeys(t.Context(), keys.ES256)
		if err != nil {
			t.Fatal(err)
		}
		set.Keys = slices.Clone(set.Keys)
		edit(&set.Keys[0])
		r := start(t, s, c.now, func(o *keys.Options) { o.Store = fixed{set} })
		if err := r.Turn(t.Context()); err == nil {
			t.Errorf("%s: Turn takes it", name)
		}
		if _, _, err := r.Signer(keys.ES256); err == nil {
			t.Errorf("%s: it signs", name)
		}
		if _, _, ok := r.Lookup(set.Keys[0].KID); ok && !bytes.Equal(set.Keys[0].Public, genuine.Keys[0].Public) {
			t.Errorf("%s: it verifies", name)
		}
	}
}

// fixed is a store with one set.
type fixed struct{ set keys.Set }

func (f fixed) LoadKeys(_ context.Context, alg string) (keys.Set, error) {
	if alg != f.set.Alg {
		return keys.Set{}, nil
	}
	return f.set, nil
}

func (fixed) SwapKeys(context.Context, keys.Set) error {
	return fault.New(fault.Conflict, "keys_changed", "never")
}

func TestAChangeThatAlwaysLosesGivesUp(t *testing.T) {
	c := newClock()
	r, err := keys.NewRing(keys.Options{
		Store: fixed{}, Sealer: sealer(t, 1), Now: c.now, Algs: []string{keys.ES256}, TokenLife: tokenLife,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Turn(t.Context()); !fault.Is(err, fault.Unavailable) {
		t.Errorf("Turn = %v, want unavailable", err)
	}
}

func TestClockSetBackStillSigns(t *testing.T) {
	c := newClock()
	r := start(t, open(t, c.now), c.now)
	turn(t, r)
	kid := signer(t, r, keys.ES256)
	c.advance(-time.Hour)
	turn(t, r)
	if got := signer(t, r, keys.ES256); got != kid {
		t.Errorf("%s signs, want the one key there is", got)
	}
}

func TestNeed(t *testing.T) {
	c := newClock()
	r := start(t, open(t, c.now), c.now)
	turn(t, r)
	if err := r.Need(t.Context(), keys.EdDSA); err != nil {
		t.Fatalf("Need: %v", err)
	}
	kid := signer(t, r, keys.EdDSA)
	if err := r.Need(t.Context(), keys.EdDSA); err != nil || signer(t, r, keys.EdDSA) != kid {
		t.Errorf("a second Need makes another key: %v", err)
	}
	if err := r.Need(t.Context(), "HS256"); !fault.Is(err, fault.Invalid) {
		t.Errorf("Need(HS256) = %v, want invalid", err)
	}
	c.advance(keys.DefaultRotateEvery)
	turn(t, r)
	c.advance(ahead)
	if signer(t, r, keys.EdDSA) == kid {
		t.Error("an algorithm that was needed later does not turn")
	}
}

func TestOptionsAreChecked(t *testing.T) {
	good := keys.Options{Store: fixed{}, Sealer: sealer(t, 1), Now: time.Now, Algs: []string{keys.ES256}, TokenLife: time.Minute}
	for name, edit := range map[string]func(*keys.Options){
		"no store":                            func(o *keys.Options) { o.Store = nil },
		"no algorithm":                        func(o *keys.Options) { o.Algs = nil },
		"a symmetric algorithm":               func(o *keys.Options) { o.Algs = []string{"HS256"} },
		"no token lifetime":                   func(o *keys.Options) { o.TokenLife = 0 },
		"published for less than the max-age": func(o *keys.Options) { o.PublishAhead = keys.DefaultJWKSMaxAge },
		"turning faster than publishing":      func(o *keys.Options) { o.RotateEvery = ahead },
	} {
		o := good
		edit(&o)
		if _, err := keys.NewRing(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := keys.NewRing(good); err != nil {
		t.Errorf("NewRing: %v", err)
	}
}

func TestRunTurnsEveryMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &counting{Store: fixed{}, err: errors.New("store down")}
		r, err := keys.NewRing(keys.Options{Store: s, Sealer: sealer(t, 1), Now: time.Now, Algs: []string{keys.ES256}, TokenLife: tokenLife})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		time.Sleep(3*time.Minute + time.Second)
		synctest.Wait()
		if got, want := s.reads.Load(), int64(3*len(keys.Algorithms())); got != want {
			t.Errorf("%d reads in three minutes, want %d", got, want)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run = %v, want the error of the context", err)
		}
	})
}
