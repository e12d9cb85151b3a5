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
	t.Run("a deletion of another version is refused, one of the version takes the client away once", func(t *testing.T) {
		c := clients.Client{ID: "going", V: 3}
		done(t, s.InsertClient(ctx, c))
		for _, v := range []int64{0, 2, 4} {
			fails(t, s.DeleteClient(ctx, "going", v), fault.Conflict, "client_changed")
		}
		same(t, c, must(s.GetClient(ctx, "going"))(t))
		done(t, s.DeleteClient(ctx, "going", 3))
		refused(s.GetClient(ctx, "going"))(t, fault.NotFound, "client_unknown")
		fails(t, s.DeleteClient(ctx, "going", 3), fault.NotFound, "client_unknown")
		fails(t, s.ReplaceClient(ctx, c), fault.NotFound, "client_unknown")
		done(t, s.InsertClient(ctx, clients.Client{ID: "going", Name: "again", V: 5}))
		same(t, clients.Client{ID: "going", Name: "again", V: 5}, must(s.GetClient(ctx, "going"))(t))
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
	t.Run("at first there are no APIs, in version 0", func(t *testing.T) {
		same(t, clients.APISet{}, must(s.LoadAPIs(ctx))(t))
	})
	t.Run("every field of an API is stored, but not the mark of the configuration, and the order is kept", func(t *testing.T) {
		set := filled[clients.APISet]("wide")
		set.V = 0
		done(t, s.SwapAPIs(ctx, set))
		set.V = 1
		for i := range set.APIs {
			set.APIs[i].Fixed = false
		}
		same(t, set, must(s.LoadAPIs(ctx))(t))
	})
	t.Run("a swap of APIs of another version is refused and changes nothing", func(t *testing.T) {
		set := must(s.LoadAPIs(ctx))(t)
		for _, v := range []int64{0, 5} {
			fails(t, s.SwapAPIs(ctx, clients.APISet{V: v}), fault.Conflict, "apis_changed")
		}
		same(t, set, must(s.LoadAPIs(ctx))(t))
		s = f.Reopen(t).Clients
		same(t, set, must(s.LoadAPIs(ctx))(t))
	})
}

func testClientRaces(t *testing.T, f *Fixture) {
	s, ctx := f.Stores.Clients, t.Context()

	t.Run("of many who register one id one does", func(t *testing.T) {
		errs := race(racers, func(i int) error { return s.InsertClient(ctx, clients.Client{ID: "raced", Name: fmt.Sprint(i)}) })
		winner := oneWins(t, errs, fault.Conflict, "client_exists")
		same(t, clients.Client{ID: "raced", Name: fmt.Sprint(winner)}, must(s.GetClient(ctx, "raced"))(t))
	})
	t.Run("of many who swap the APIs one does", func(t *testing.T) {
		set := func(i int) clients.APISet {
			return clients.APISet{At: start(), APIs: []clients.API{{ID: fmt.Sprint("api-", i), Alg: "ES256"}}}
		}
		want := set(oneWins(t, race(racers, func(i int) error { return s.SwapAPIs(ctx, set(i)) }), fault.Conflict, "apis_changed"))
		want.V++
		same(t, want, must(s.LoadAPIs(ctx))(t))
	})
	t.Run("of many who delete a client one does", func(t *testing.T) {
		done(t, s.InsertClient(ctx, clients.Client{ID: "leaving", V: 1}))
		oneWins(t, race(racers, func(int) error { return s.DeleteClient(ctx, "leaving", 1) }), fault.NotFound, "client_unknown")
		refused(s.GetClient(ctx, "leaving"))(t, fault.NotFound, "client_unknown")
	})
	t.Run("of many who replace one version one does", func(t *testing.T) {
		errs := race(racers, func(i int) error {
			return s.ReplaceClient(ctx, clients.Client{ID: "raced", Name: fmt.Sprint("new-", i)})
		})
		winner := oneWins(t, errs, fault.Conflict, "client_changed")
		same(t, clients.Client{ID: "raced", Name: fmt.Sprint("new-", winner), V: 1}, must(s.GetClient(ctx, "raced"))(t))
	})
}
