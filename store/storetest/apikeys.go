package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/broker/apikeys"
	"example.com/broker/internal/fault"
	"example.com/broker/oauth"
)

// apiKey is good for an hour.
func apiKey(id string) apikeys.Key {
	return apikeys.Key{ID: id, SecretHash: "hash-" + id, OwnerID: "usr", Name: "key " + id, CreatedAt: start(), ExpiresAt: start().Add(time.Hour)}
}

func testAPIKeys(t *testing.T, f *Fixture) {
	s := f.Stores.APIKeys
	ctx, now := t.Context(), start()
	insert := func(t *testing.T, id string) apikeys.Key {
		t.Helper()
		k := apiKey(id)
		done(t, s.InsertKey(ctx, k))
		return k
	}
	stored := func(t *testing.T, want apikeys.Key) {
		t.Helper()
		same(t, want, must(s.GetKey(ctx, want.ID))(t))
	}

	t.Run("every field of a key is stored, the hash of its secret too, and listed", func(t *testing.T) {
		k := filled[apikeys.Key]("wide")
		k.ID = "wide"
		done(t, s.InsertKey(ctx, k))
		stored(t, k)
		same(t, []apikeys.Key{k}, must(s.KeysOf(ctx, k.OwnerID, 5))(t))
	})
	t.Run("zero times come back as zero times, others in UTC and milliseconds", func(t *testing.T) {
		k := apiKey("times")
		k.ExpiresAt = now.Add(time.Hour + 123456789*time.Nanosecond).In(time.FixedZone("east", 3600))
		done(t, s.InsertKey(ctx, k))
		got := must(s.GetKey(ctx, k.ID))(t)
		if want := k.ExpiresAt.UTC().Truncate(time.Millisecond); got.ExpiresAt != want || !got.LastUsed.IsZero() || !got.RevokedAt.IsZero() {
			t.Fatalf("got %+v, want it to expire at %v, never used or revoked", got, want)
		}
	})
	t.Run("an empty list of scopes stays apart from none", func(t *testing.T) {
		for id, scopes := range map[string]oauth.Scopes{"none": nil, "empty": {}} {
			k := apiKey(id)
			k.Scopes = scopes
			done(t, s.InsertKey(ctx, k))
			if diff := cmp.Diff(scopes, must(s.GetKey(ctx, id))(t).Scopes); diff != "" {
				t.Fatalf("%s (-want +got):\n%s", id, diff)
			}
		}
	})
	t.Run("long names and many scopes are stored in order", func(t *testing.T) {
		k := apiKey("long")
		k.Name = strings.Repeat("Schlüssel 漢字 👩‍👩‍👧 ", 50)
		for i := range 300 {
			k.Scopes = append(k.Scopes, fmt.Sprintf("r%03d:read", 300-i))
		}
		done(t, s.InsertKey(ctx, k))
		stored(t, k)
	})
	t.Run("an unknown key is not found", func(t *testing.T) {
		for _, id := range []string{"nobody", "", "LONG", "long\x00"} {
			refused(s.GetKey(ctx, id))(t, fault.NotFound, "key_unknown")
		}
	})
	t.Run("an id in use is refused and its key kept", func(t *testing.T) {
		k := insert(t, "once")
		other := k
		other.OwnerID, other.SecretHash = "somebody else", "another"
		fails(t, s.InsertKey(ctx, other), fault.Conflict, "key_exists")
		fails(t, s.InsertKey(ctx, k), fault.Conflict, "key_exists")
		stored(t, k)
		same(t, nil, must(s.KeysOf(ctx, "somebody else", 5))(t))
	})
	t.Run("ids that differ in case only are two keys", func(t *testing.T) {
		upper, lower := insert(t, "CASE"), insert(t, "case")
		done(t, s.RevokeKey(ctx, "CASE", now))
		upper.RevokedAt = now
		stored(t, upper)
		stored(t, lower)
	})
	t.Run("a key is revoked once, at the time of the first", func(t *testing.T) {
		k := insert(t, "revoked")
		k.RevokedAt = now.Add(time.Minute)
		done(t, s.RevokeKey(ctx, k.ID, k.RevokedAt))
		stored(t, k)
		done(t, s.RevokeKey(ctx, k.ID, now))
		done(t, s.RevokeKey(ctx, k.ID, now.Add(time.Hour)))
		stored(t, k)
	})
	t.Run("a key that expired is returned, and can be revoked", func(t *testing.T) {
		k := apiKey("expired")
		k.ExpiresAt = now.Add(-time.Hour)
		done(t, s.InsertKey(ctx, k))
		stored(t, k)
		done(t, s.RevokeKey(ctx, k.ID, now))
		k.RevokedAt = now
		stored(t, k)
	})
	t.Run("revoking what is gone is not found", func(t *testing.T) {
		fails(t, s.RevokeKey(ctx, "nobody", now), fault.NotFound, "key_unknown")
		refused(s.GetKey(ctx, "nobody"))(t, fault.NotFound, "key_unknown")
	})
	t.Run("the last use moves later, never earlier, and nothing else moves", func(t *testing.T) {
		k := insert(t, "touched")
		for _, step := range []struct{ at, want time.Duration }{{0, 0}, {time.Hour, time.Hour}, {time.Minute, time.Hour}, {time.Hour + tick, time.Hour + tick}} {
			done(t, s.TouchKey(ctx, k.ID, now.Add(step.at)))
			k.LastUsed = now.Add(step.want)
			stored(t, k)
		}
	})
	t.Run("a touch revives nothing", func(t *testing.T) {
		k := insert(t, "over")
		done(t, s.RevokeKey(ctx, k.ID, now))
		done(t, s.TouchKey(ctx, k.ID, now))
		k.RevokedAt, k.LastUsed = now, now
		stored(t, k)
		done(t, s.TouchKey(ctx, "nobody", now))
		refused(s.GetKey(ctx, "nobody"))(t, fault.NotFound, "key_unknown")
	})
}

func testAPIKeyLists(t *testing.T, f *Fixture) {
	s := f.Stores.APIKeys
	ctx, now := t.Context(), start()
	end := now.Add(time.Hour)
	var all, live []apikeys.Key // newest first
	for i := range 12 {
		k := apiKey(fmt.Sprintf("mine-%02d", i))
		k.OwnerID, k.CreatedAt, k.Scopes = "Lister", now.Add(time.Duration(i/2)*time.Minute), oauth.Scopes{"reports:read"} // two at a time
		switch i % 4 {
		case 1:
			k.ExpiresAt = end.Add(tick)
		case 2:
			k.RevokedAt = now
		}
		done(t, s.InsertKey(ctx, k))
		all = append([]apikeys.Key{k}, all...)
		if i%4 == 1 {
			live = append([]apikeys.Key{k}, live...)
		}
	}
	other := apiKey("theirs")
	other.OwnerID, other.CreatedAt = "lister", end
	done(t, s.InsertKey(ctx, other))

	t.Run("an owner's keys come newest first, nobody else's among them, revoked and expired ones too", func(t *testing.T) {
		same(t, all, must(s.KeysOf(ctx, "Lister", 100))(t))
		same(t, nil, must(s.KeysOf(ctx, "nobody", 5))(t))
		same(t, nil, must(s.KeysOf(ctx, "", 5))(t))
	})
	t.Run("a list ends at its limit", func(t *testing.T) {
		for limit := range len(all) + 2 {
			same(t, all[:min(limit, len(all))], must(s.KeysOf(ctx, "Lister", limit))(t))
			same(t, live[:min(limit, len(live))], must(s.LiveKeysOf(ctx, "Lister", end, limit))(t))
		}
		same(t, nil, must(s.KeysOf(ctx, "Lister", -1))(t))
		same(t, nil, must(s.LiveKeysOf(ctx, "Lister", now, -1))(t))
	})
	t.Run("a key is live until just before its end, at the end it is not, and never once revoked", func(t *testing.T) {
		want := slices.DeleteFunc(slices.Clone(all), func(k apikeys.Key) bool { return !k.RevokedAt.IsZero() })
		same(t, want, must(s.LiveKeysOf(ctx, "Lister", end.Add(-tick), 100))(t))
		same(t, live, must(s.LiveKeysOf(ctx, "Lister", end, 100))(t))
		same(t, nil, must(s.LiveKeysOf(ctx, "Lister", end.Add(tick), 100))(t))
		done(t, s.RevokeKey(ctx, live[0].ID, now))
		same(t, live[1:], must(s.LiveKeysOf(ctx, "Lister", end, 100))(t))
		same(t, []apikeys.Key{other}, must(s.LiveKeysOf(ctx, "lister", now, 100))(t))
	})
}

func testAPIKeyRaces(t *testing.T, f *Fixture) {
	s := f.Stores.APIKeys
	ctx, now := t.Context(), start()

	t.Run("of many who insert one id one does", func(t *testing.T) {
		errs := race(racers, func(i int) error {
			k := apiKey("raced")
			k.Name = fmt.Sprint(i)
			return s.InsertKey(ctx, k)
		})
		want := apiKey("raced")
		want.Name = fmt.Sprint(oneWins(t, errs, fault.Conflict, "key_exists"))
		same(t, want, must(s.GetKey(ctx, "raced"))(t))
	})
	t.Run("all of many who revoke at once succeed, at one time that stays", func(t *testing.T) {
		at := func(i int) time.Time { return now.Add(time.Duration(i) * time.Second) }
		allDone(t, race(racers, func(i int) error { return s.RevokeKey(ctx, "raced", at(i)) }))
		first := must(s.GetKey(ctx, "raced"))(t)
		if i := int(first.RevokedAt.Sub(now) / time.Second); i < 0 || i >= racers || first.RevokedAt != at(i) {
			t.Fatalf("revoked at %v, which nobody gave", first.RevokedAt)
		}
		allDone(t, race(racers, func(i int) error { return s.RevokeKey(ctx, "raced", at(-1-i)) }))
		same(t, first, must(s.GetKey(ctx, "raced"))(t))
	})
	t.Run("of many touches the latest stays, and nobody sees one go back", func(t *testing.T) {
		k := apiKey("busy")
		done(t, s.InsertKey(ctx, k))
		allDone(t, race(racers, func(i int) error {
			at := now.Add(time.Duration(i*37%racers) * time.Minute)
			if err := s.TouchKey(ctx, k.ID, at); err != nil {
				return err
			}
			var last time.Time
			for range 3 {
				got, err := s.GetKey(ctx, k.ID)
				if err != nil {
					return err
				}
				if got.LastUsed.Before(at) || got.LastUsed.Before(last) {
					return fmt.Errorf("used at %v after %v and %v were stored", got.LastUsed, at, last)
				}
				last = got.LastUsed
			}
			return nil
		}))
		k.LastUsed = now.Add((racers - 1) * time.Minute)
		same(t, k, must(s.GetKey(ctx, k.ID))(t))
	})
	t.Run("no touch brings a revoked key back, and no revocation loses a touch", func(t *testing.T) {
		k := apiKey("ending")
		done(t, s.InsertKey(ctx, k))
		allDone(t, race(racers, func(i int) error {
			if i%2 == 0 {
				return s.RevokeKey(ctx, k.ID, now)
			}
			return s.TouchKey(ctx, k.ID, now.Add(time.Duration(i)*time.Second))
		}))
		k.RevokedAt, k.LastUsed = now, now.Add((racers-1)*time.Second)
		same(t, k, must(s.GetKey(ctx, k.ID))(t))
	})
	t.Run("all keys of many who create at once are listed", func(t *testing.T) {
		allDone(t, race(racers, func(i int) error {
			k := apiKey(fmt.Sprintf("crowd-%03d", i))
			k.OwnerID = "crowd"
			return s.InsertKey(ctx, k)
		}))
		got := must(s.KeysOf(ctx, "crowd", 2*racers))(t)
		same(t, got, must(s.LiveKeysOf(ctx, "crowd", now, 2*racers))(t))
		for i, k := range got { // made in one millisecond, so by id
			if want := fmt.Sprintf("crowd-%03d", racers-1-i); k.ID != want {
				t.Fatalf("place %d: got %s, want %s", i, k.ID, want)
			}
		}
		if len(got) != racers {
			t.Fatalf("got %d keys, want %d", len(got), racers)
		}
	})
}
