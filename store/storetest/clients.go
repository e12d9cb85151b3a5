package storetest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/broker/clients"
	"example.com/broker/internal/fault"
	"example.com/broker/oauth"
)

func testClients(t *testing.T, f *Fixture) {
	s, ctx := f.Stores.Clients, t.Context()

	t.Run("every field of a client is stored, the hashes of its secrets too", func(t *testing.T) {
		c := filled[clients.Client]("wide")
		c.ID = "wide"
		done(t, s.InsertClient(ctx, c))
		same(t, c, must(s.GetClient(ctx, "wide"))(t))
	})
	t.Run("an empty list stays apart from none where none means all", func(t *testing.T) {
		none := clients.Client{ID: "none"}
		empty := clients.Client{ID: "empty", Providers: []string{}, Scopes: oauth.Scopes{}, Origins: []string{}}
		for _, want := range []clients.Client{none, empty} {
			done(t, s.InsertClient(ctx, want))
			got := must(s.GetClient(ctx, want.ID))(t)
			for _, list := range [][2][]string{{want.Providers, got.Providers}, {want.Scopes, got.Scopes}, {want.Origins, got.Origins}} {
				if diff := cmp.Diff(list[0], list[1]); diff != "" {
					t.Fatalf("%s (-want +got):\n%s", want.ID, diff)
				}
			}
		}
	})
	t.Run("many long redirect addresses are stored in order", func(t *testing.T) {
		c := clients.Client{ID: "long"}
		for i := range 300 {
			c.RedirectURIs = append(c.RedirectURIs, fmt.Sprintf("https://app.example.org/%d/%0900d?ü=1&b=<>", 300-i, i))
		}
		done(t, s.InsertClient(ctx, c))
		same(t, c, must(s.GetClient(ctx, "long"))(t))
	})
	t.Run("an unknown client is not found", func(t *testing.T) {
		refused(s.GetClient(ctx, "nobody"))(t, fault.NotFound, "client_unknown")
	})
	t.Run("an id in use is refused and its client kept", func(t *testing.T) {
		done(t, s.InsertClient(ctx, clients.Client{ID: "app", Name: "first"}))
		fails(t, s.InsertClient(ctx, clients.Client{ID: "app", Name: "second"}), fault.Conflict, "client_exists")
		same(t, clients.Client{ID: "app", Name: "first"}, must(s.GetClient(ctx, "app"))(t))
	})
	t.Run("ids that differ in case only are two clients", func(t *testing.T) {
		done(t, s.InsertClient(ctx, clients.Client{ID: "APP"}))
		same(t, clients.Client{ID: "APP"}, must(s.GetClient(ctx, "APP"))(t))
	})
	t.Run("a replacement raises V by one, and one of an old version is refused", func(t *testing.T) {
		c := clients.Client{ID: "versions", SecretHashes: []string{"old"}}
		done(t, s.InsertClient(ctx, c))
		c.SecretHashes = []string{"new", "old"}
		done(t, s.ReplaceClient(ctx, c))
		stale := c
		stale.Name = "stale"
		fails(t, s.ReplaceClient(ctx, stale), fault.Conflict, "client_changed")
		c.V = 1
		same(t, c, must(s.GetClient(ctx, "versions"))(t))
	})
	t.Run("a replacement of nobody is not found", func(t *testing.T) {
		fails(t, s.ReplaceClient(ctx, clients.Client{ID: "ghost"}), fault.NotFound, "client_unknown")
		refused(s.GetClient(ctx, "ghost"))(t, fault.NotFound, "client_unknown")
	})
	t.Run("pages follow each other by id without gap or repeat", func(t *testing.T) {
		ids := []string{"~é", "~a", "~B", "~b", "~漢", "~A", "~"}
		for _, id := range ids {
			done(t, s.InsertClient(ctx, clients.Client{ID: id}))
		}
		slices.Sort(ids)
		var got []string
		for after := "zzz"; ; after = got[len(got)-1] {
			page := must(s.ListClients(ctx, after, 3))(t)
			for _, c := range page {
				got = append(got, c.ID)
			}
			if len(page) < 3 {
				break
			}
		}
		same(t, ids, got)
		if n := len(must(s.ListClients(ctx, "", 0))(t)) + len(must(s.ListClients(ctx, "", -1))(t)); n != 0 {
			t.Fatalf("pages of no length hold %d clients", n)
		}
	})
}

func testClientRaces(t *testing.T, f *Fixture) {
	s, ctx := f.Stores.Clients, t.Context()

	t.Run("of many who register one id one does", func(t *testing.T) {
		errs := race(racers, func(i int) error { return s.InsertClient(ctx, clients.Client{ID: "raced", Name: fmt.Sprint(i)}) })
		winner := oneWins(t, errs, fault.Conflict, "client_exists")
		same(t, clients.Client{ID: "raced", Name: fmt.Sprint(winner)}, must(s.GetClient(ctx, "raced"))(t))
	})
	t.Run("of many who replace one version one does", func(t *testing.T) {
		errs := race(racers, func(i int) error {
			return s.ReplaceClient(ctx, clients.Client{ID: "raced", Name: fmt.Sprint("new-", i)})
		})
		winner := oneWins(t, errs, fault.Conflict, "client_changed")
		same(t, clients.Client{ID: "raced", Name: fmt.Sprint("new-", winner), V: 1}, must(s.GetClient(ctx, "raced"))(t))
	})
}
