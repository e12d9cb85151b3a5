package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/broker/internal/fault"
	"example.com/broker/users"
)

func address(key string) users.Claim  { return users.Claim{Kind: users.ClaimAddress, Key: key} }
func identity(key string) users.Claim { return users.Claim{Kind: users.ClaimIdentity, Key: key} }

// person is a user who lists one identity, whose subject is the id.
func person(id string) users.User {
	return users.User{
		ID: id, Name: "Zoë " + id, Email: id + "@example.org", Status: users.Active, CreatedAt: start(), UpdatedAt: start(),
		Identities: []users.Linked{{Identity: users.Identity{Provider: "github", Namespace: "github", Subject: id}, LinkedAt: start()}},
	}
}

// personClaims are what person lists.
func personClaims(u users.User) []users.Claim {
	return []users.Claim{identity(u.Identities[0].Key()), address(users.NormalizeAddress(u.Email))}
}

func testUsers(t *testing.T, f *Fixture) {
	s := f.Stores.Users
	ctx, now := t.Context(), start()

	t.Run("every field of a user is stored, the password too", func(t *testing.T) {
		u := filled[users.User]("wide")
		u.ID = "wide"
		done(t, s.Create(ctx, u, nil, now))
		same(t, u, must(s.Get(ctx, "wide"))(t))
	})
	t.Run("zero times come back as zero times", func(t *testing.T) {
		u := users.User{ID: "zero", Status: users.Active}
		done(t, s.Create(ctx, u, nil, now))
		same(t, u, must(s.Get(ctx, "zero"))(t))
	})
	t.Run("times are UTC, in milliseconds", func(t *testing.T) {
		u := person("precise")
		exact := now.Add(123456789 * time.Nanosecond)
		u.CreatedAt = exact.In(time.FixedZone("east", 3600))
		done(t, s.Create(ctx, u, nil, now))
		got := must(s.Get(ctx, "precise"))(t).CreatedAt
		if want := exact.Truncate(time.Millisecond); got != want {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
	t.Run("long lists and long names in any script are stored", func(t *testing.T) {
		u := person("long")
		u.Name = strings.Repeat("Ünïcødé 漢字 👩‍👩‍👧 ", 200)
		for i := range 500 {
			u.Identities = append(u.Identities, users.Linked{Identity: users.Identity{Namespace: "n", Subject: fmt.Sprint("ß", i)}, LinkedAt: now})
		}
		done(t, s.Create(ctx, u, nil, now))
		same(t, u, must(s.Get(ctx, "long"))(t))
	})
	t.Run("an unknown id is not found", func(t *testing.T) {
		refused(s.Get(ctx, "nobody"))(t, fault.NotFound, "user_unknown")
	})
	t.Run("a user is deleted in the version that was read, once, and in no other", func(t *testing.T) {
		u := person("leaving")
		u.V = 3
		done(t, s.Create(ctx, u, nil, now))
		for _, v := range []int64{0, 2, 4} {
			fails(t, s.Delete(ctx, u.ID, v), fault.Conflict, "user_changed")
		}
		same(t, u, must(s.Get(ctx, u.ID))(t))
		errs := race(racers, func(int) error { return s.Delete(ctx, u.ID, 3) })
		oneWins(t, errs, fault.NotFound, "user_unknown")
		refused(s.Get(ctx, u.ID))(t, fault.NotFound, "user_unknown")
		fails(t, s.Delete(ctx, u.ID, 3), fault.NotFound, "user_unknown")
	})
	t.Run("an id in use is refused and its user kept", func(t *testing.T) {
		u := person("once")
		done(t, s.Create(ctx, u, nil, now))
		other := u
		other.Name = "somebody else"
		fails(t, s.Create(ctx, other, nil, now), fault.Conflict, "user_exists")
		same(t, u, must(s.Get(ctx, "once"))(t))
	})
	t.Run("ids that differ in case only are two users", func(t *testing.T) {
		done(t, s.Create(ctx, person("Case"), nil, now))
		done(t, s.Create(ctx, person("case"), nil, now))
		same(t, person("Case"), must(s.Get(ctx, "Case"))(t))
	})
	t.Run("a replacement raises V by one", func(t *testing.T) {
		u := person("replaced")
		done(t, s.Create(ctx, u, nil, now))
		u.Name, u.Password = "new name", "$argon2id$new"
		done(t, s.Replace(ctx, u, nil, nil, now))
		u.V++
		same(t, u, must(s.Get(ctx, "replaced"))(t))
		u.Name = "newer name"
		done(t, s.Replace(ctx, u, nil, nil, now))
		u.V++
		same(t, u, must(s.Get(ctx, "replaced"))(t))
	})
	t.Run("a replacement of an old version is refused and changes nothing", func(t *testing.T) {
		u := person("raced")
		done(t, s.Create(ctx, u, nil, now))
		done(t, s.Replace(ctx, u, nil, nil, now))
		want := must(s.Get(ctx, "raced"))(t)
		u.Name = "stale"
		fails(t, s.Replace(ctx, u, nil, nil, now), fault.Conflict, "user_changed")
		u.V = want.V + 1
		fails(t, s.Replace(ctx, u, nil, nil, now), fault.Conflict, "user_changed")
		same(t, want, must(s.Get(ctx, "raced"))(t))
	})
	t.Run("a replacement of nobody is not found", func(t *testing.T) {
		fails(t, s.Replace(ctx, person("ghost"), nil, nil, now), fault.NotFound, "user_unknown")
		refused(s.Get(ctx, "ghost"))(t, fault.NotFound, "user_unknown")
	})
}

func testUserPages(t *testing.T, f *Fixture) {
	s := f.Stores.Users
	ctx := t.Context()
	ids := []string{"usr_b", "B", "a", "usr_B", "usr_", "10", "9", "z", "usr_a", "~", "-", "A"}
	for _, id := range ids {
		done(t, s.Create(ctx, users.User{ID: id, Status: users.Active}, nil, start()))
	}
	slices.Sort(ids) // by bytes

	t.Run("pages follow each other by id without gap or repeat", func(t *testing.T) {
		var got []string
		for after := ""; ; after = got[len(got)-1] {
			page := must(s.List(ctx, after, 5))(t)
			for _, u := range page {
				got = append(got, u.ID)
			}
			if len(page) < 5 {
				break
			}
		}
		same(t, ids, got)
	})
	t.Run("after is left out, also where nobody has that id", func(t *testing.T) {
		if got := must(s.List(ctx, "usr_a", 1))(t); len(got) != 1 || got[0].ID != "usr_b" {
			t.Fatalf("got %v, want usr_b alone", got)
		}
		if got := must(s.List(ctx, "usr_aa", 1))(t); len(got) != 1 || got[0].ID != "usr_b" {
			t.Fatalf("got %v, want usr_b alone", got)
		}
	})
	t.Run("a page past the end, and one of no length, are empty", func(t *testing.T) {
		for _, p := range []struct {
			after string
			limit int
		}{{"~~", 5}, {"", 0}, {"", -1}} {
			if got := must(s.List(ctx, p.after, p.limit))(t); len(got) != 0 {
				t.Fatalf("List(%q, %d): got %d users, want none", p.after, p.limit, len(got))
			}
		}
	})
}
