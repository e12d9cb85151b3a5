package clients_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/broker/clients"
	"example.com/broker/internal/fault"
	"example.com/broker/oauth"
)

// bills is a good API that the store can take.
func bills() clients.API {
	return clients.API{ID: "bills", Audience: "https://bills.example", Scopes: oauth.Scopes{"bills:read"}, Roles: []string{"editor"}, Alg: "ES256", Typ: "at+jwt", TTL: time.Minute}
}

func put(t *testing.T, s *clients.APIs, a clients.API, add bool, want int64) (clients.APISet, error) {
	t.Helper()
	_, set, err := s.Put(t.Context(), a, add, want, "ada")
	return set, err
}

func refused(t *testing.T, what string, err error, kind fault.Kind, code string) {
	t.Helper()
	if !fault.Is(err, kind) || fault.CodeOf(err) != code {
		t.Errorf("%s: %v, want %v %s", what, err, kind, code)
	}
}

func TestAnAPIOfTheStoreIsThereForWhoeverMayAskForIt(t *testing.T) {
	h := open(t)
	s := h.APIs()
	app := web("web")
	app.APIs = []string{"bills"}
	if _, _, err := h.Create(t.Context(), app); fault.CodeOf(err) != "client_invalid" {
		t.Fatalf("a client of an API that is not there yet: %v", err)
	}
	set, err := put(t, s, bills(), true, 0)
	if err != nil || set.V != 1 || set.By != "ada" || !set.At.Equal(h.now) {
		t.Fatalf("stored as %+v, %v", set, err)
	}
	h.create(app)
	if a, err := h.APIFor(app, "https://bills.example"); err != nil || cmp.Diff(bills(), a) != "" {
		t.Errorf("by its audience %+v, %v", a, err)
	}
	if !h.ScopesOf(app).Has("bills:read") {
		t.Errorf("its scopes are not among %v", h.ScopesOf(app))
	}
	if _, err := h.APIFor(spa(), "bills"); err == nil {
		t.Error("a client that does not list it may ask for it")
	}

	changed := bills()
	changed.Audience, changed.TTL = "urn:bills", 0
	if set, err = put(t, s, changed, false, 1); err != nil || set.V != 2 {
		t.Fatalf("changed to %+v, %v", set, err)
	}
	if _, ok := s.ByAudience("https://bills.example"); ok {
		t.Error("the audience it had still leads to it")
	}
	if a, ok := s.ByResource("urn:bills"); !ok || a.TTL != 0 {
		t.Errorf("by its new audience %+v, %v", a, ok)
	}

	_, err = h.RemoveAPI(t.Context(), "bills", 0, "ada")
	refused(t, "an API that a client may ask for", err, fault.Conflict, "api_in_use")
	if err := h.Delete(t.Context(), "web", 0); err != nil {
		t.Fatal(err)
	}
	if set, err = h.RemoveAPI(t.Context(), "bills", 2, "ada"); err != nil || set.V != 3 || len(set.APIs) != len(apis) {
		t.Fatalf("removed: %+v, %v", set, err)
	}
	if _, ok := s.Get("bills"); ok {
		t.Error("it is still there")
	}
}

func TestATokenForOneAPIHoldsNoScopeOfAnother(t *testing.T) {
	s := open(t).APIs()
	asked := oauth.Scopes{"openid", "orders:read", "orders:write", "stock:read", "articles:read"}
	orders, _ := s.Get("orders")
	stock, _ := s.Get("stock") // which has orders:read too
	for _, row := range []struct {
		rule string
		api  clients.API
		want oauth.Scopes
	}{
		{"the broker", clients.API{}, asked},
		{"one", orders, oauth.Scopes{"openid", "orders:read", "orders:write", "articles:read"}},
		{"another", stock, oauth.Scopes{"openid", "orders:read", "stock:read", "articles:read"}},
	} {
		if diff := cmp.Diff(row.want, s.Reach(row.api, asked)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.rule, diff)
		}
	}
}

func TestWhatIsRefusedOfAnAPIChangesNothing(t *testing.T) {
	h := open(t)
	s := h.APIs()
	if _, err := put(t, s, bills(), true, 0); err != nil {
		t.Fatal(err)
	}
	before := s.All()
	with := func(change func(*clients.API)) clients.API {
		a := bills()
		change(&a)
		return a
	}
	ofConfiguration := with(func(a *clients.API) { a.ID = "orders" })
	for _, row := range []struct {
		rule string
		api  clients.API
		add  bool
		want int64
		kind fault.Kind
		code string
	}{
		{"an id in use", bills(), true, 0, fault.Conflict, "api_exists"},
		{"an id that is not there", with(func(a *clients.API) { a.ID, a.Audience = "none", "urn:none" }), false, 0, fault.NotFound, "api_unknown"},
		{"one of the configuration", ofConfiguration, false, 0, fault.Conflict, "api_readonly"},
		{"one of the configuration again", ofConfiguration, true, 0, fault.Conflict, "api_readonly"},
		{"the audience of one of the configuration", with(func(a *clients.API) { a.Audience = "https://orders.example" }), false, 0, fault.Conflict, "audience_taken"},
		{"the audience of another", with(func(a *clients.API) { a.ID = "bills2" }), true, 0, fault.Conflict, "audience_taken"},
		{"another version", bills(), false, 2, fault.Conflict, "apis_changed"},
		{"no audience", with(func(a *clients.API) { a.Audience = "" }), false, 0, fault.Invalid, "api_invalid"},
	} {
		_, err := put(t, s, row.api, row.add, row.want)
		refused(t, row.rule, err, row.kind, row.code)
	}
	for id, code := range map[string]string{"orders": "api_in_use", "stock": "api_readonly", "none": "api_unknown"} {
		if _, err := h.RemoveAPI(t.Context(), id, 0, "ada"); fault.CodeOf(err) != code {
			t.Errorf("removing %s: %v, want %s", id, err, code)
		}
	}
	_, err := h.RemoveAPI(t.Context(), "bills", 7, "ada")
	refused(t, "removing another version", err, fault.Conflict, "apis_changed")
	h.announce = fault.New(fault.Unavailable, "down", "down")
	if _, err := put(t, s, with(func(a *clients.API) { a.TTL = 0 }), false, 0); err == nil {
		t.Error("saved although nobody could be told")
	}
	h.announce = nil
	if err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, s.All()); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
}

func TestTheStoreHoldsSoManyAPIs(t *testing.T) {
	h := open(t)
	var set clients.APISet
	for i := range clients.MaxAPIs {
		set.APIs = append(set.APIs, clients.API{ID: fmt.Sprint("api-", i), Audience: fmt.Sprint("urn:api:", i), Alg: "ES256", Typ: "JWT"})
	}
	if err := h.store.SwapAPIs(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	_, err := put(t, h.APIs(), bills(), true, 0)
	refused(t, "one more", err, fault.Invalid, "api_invalid")
	first := set.APIs[0]
	first.TTL = time.Minute
	if _, err := put(t, h.APIs(), first, false, 0); err != nil {
		t.Errorf("one of them cannot be changed: %v", err)
	}
}

func TestAnAPIInTheConfigurationAndInTheStoreIsAStartError(t *testing.T) {
	for _, twice := range []clients.API{{ID: "orders", Audience: "urn:other"}, {ID: "other", Audience: "https://orders.example"}} {
		h := open(t)
		if err := h.APIs().Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := h.store.SwapAPIs(t.Context(), clients.APISet{APIs: []clients.API{twice}}); err != nil {
			t.Fatal(err)
		}
		refused(t, twice.ID, h.APIs().Load(t.Context()), fault.Conflict, "api_twice")
		if a, _ := h.APIs().Get("orders"); a.Audience != "https://orders.example" {
			t.Errorf("the configuration lost orders to %+v", a)
		}
		if a, _ := h.APIs().ByAudience("https://orders.example"); a.ID != "orders" {
			t.Errorf("the configuration lost its audience to %+v", a)
		}
	}
}

func TestAnotherReplicasAPIIsReadOnceItWasHeardOf(t *testing.T) {
	h := open(t)
	other := h.newAPIs()
	if _, err := put(t, other, bills(), true, 0); err != nil {
		t.Fatal(err)
	}
	if _, ok := h.APIs().Get("bills"); ok {
		t.Fatal("read without having been heard of")
	}
	h.APIs().Heard(1)
	if _, ok := h.APIs().Get("bills"); !ok {
		t.Error("heard of, and not read")
	}
}

// A bound that the configuration tightened holds for what was stored before.
func TestAStoredLifeIsBounded(t *testing.T) {
	h := open(t)
	if err := h.store.SwapAPIs(t.Context(), clients.APISet{APIs: []clients.API{{ID: "old", Audience: "urn:old", TTL: 24 * time.Hour}}}); err != nil {
		t.Fatal(err)
	}
	if err := h.APIs().Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a, _ := h.APIs().Get("old"); a.TTL != time.Hour {
		t.Errorf("its tokens live for %v, want the %v there may be", a.TTL, time.Hour)
	}
}

func TestManyChangesOfAPIsLoseNone(t *testing.T) {
	h := open(t)
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			s := clients.NewAPIs(clients.APIsOptions{
				Store: h.store.Store, Now: time.Now, Announce: func(context.Context, int64) error { return nil },
				Bounds: clients.APIBounds{Algs: []string{"ES256"}, MaxTTL: time.Hour, Role: func(string) bool { return true }},
			})
			a := bills()
			a.ID, a.Audience = fmt.Sprint("bills-", i), fmt.Sprint("urn:bills:", i)
			if _, _, err := s.Put(t.Context(), a, true, 0, "ada"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if set, err := h.store.LoadAPIs(t.Context()); err != nil || set.V != 10 || len(set.APIs) != 10 {
		t.Errorf("%d APIs in version %d, %v", len(set.APIs), set.V, err)
	}
}

func TestValidateAPI(t *testing.T) {
	bounds := clients.APIBounds{Issuer: "https://id.example", Algs: []string{"ES256", "RS256"}, MaxTTL: time.Hour, Role: func(r string) bool { return r == "editor" }}
	for _, row := range []struct {
		rule   string
		change func(*clients.API)
		fields []string
	}{
		{"a good API", func(*clients.API) {}, nil},
		{"one with little", func(a *clients.API) { a.Scopes, a.Roles, a.TTL = nil, nil, 0 }, nil},
		{"a name as audience", func(a *clients.API) { a.Audience = "urn:example:bills" }, nil},
		{"no id", func(a *clients.API) { a.ID = "" }, []string{"id"}},
		{"an id with a capital", func(a *clients.API) { a.ID = "Bills" }, []string{"id"}},
		{"an id with a slash", func(a *clients.API) { a.ID = "a/b" }, []string{"id"}},
		{"no audience", func(a *clients.API) { a.Audience = "" }, []string{"audience"}},
		{"a word as audience", func(a *clients.API) { a.Audience = "bills" }, []string{"audience"}},
		{"an audience with a fragment", func(a *clients.API) { a.Audience += "#x" }, []string{"audience"}},
		{"an audience with a space", func(a *clients.API) { a.Audience += "/ x" }, []string{"audience"}},
		{"an audience with a name and password", func(a *clients.API) { a.Audience = "https://u:p@bills.example" }, []string{"audience"}},
		{"a long audience", func(a *clients.API) { a.Audience += "/" + strings.Repeat("a", 500) }, []string{"audience"}},
		{"the issuer as audience", func(a *clients.API) { a.Audience = "https://id.example" }, []string{"audience"}},
		{"scopes that are none", func(a *clients.API) { a.Scopes = oauth.Scopes{"ok:read", "a b", "", "\"", "openid", "roles"} }, []string{"scopes[1]", "scopes[2]", "scopes[3]", "scopes[4]", "scopes[5]"}},
		{"an unknown role", func(a *clients.API) { a.Roles = []string{"editor", "owner"} }, []string{"roles[1]"}},
		{"an unknown algorithm", func(a *clients.API) { a.Alg = "HS256" }, []string{"alg"}},
		{"an algorithm without a key", func(a *clients.API) { a.Alg = "EdDSA" }, []string{"alg"}},
		{"an unknown type", func(a *clients.API) { a.Typ = "id" }, []string{"typ"}},
		{"a life of nothing", func(a *clients.API) { a.TTL = -time.Second }, []string{"ttl"}},
		{"a long life", func(a *clients.API) { a.TTL = time.Hour + time.Second }, []string{"ttl"}},
	} {
		a := bills()
		row.change(&a)
		var got []string
		for _, p := range clients.ValidateAPI(a, bounds) {
			got = append(got, p.Field)
		}
		if !slices.Equal(got, row.fields) {
			t.Errorf("%s: %v, want %v", row.rule, got, row.fields)
		}
	}
}
