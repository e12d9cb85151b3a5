package web_test

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"

	"example.com/broker/access"
	"example.com/broker/apikeys"
	"example.com/broker/audit"
	"example.com/broker/internal/fault"
	"example.com/broker/rbac"
	"example.com/broker/sessions"
	"example.com/broker/store/sqlite"
	"example.com/broker/users"
	"example.com/broker/verify"
	"example.com/broker/web"
)

// diary keeps audit events.
type diary struct {
	mu     sync.Mutex
	events []audit.Event
}

func (d *diary) Record(_ context.Context, e audit.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, e)
}

func (d *diary) take() []audit.Event {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := d.events
	d.events = nil
	return out
}

// keyFence has revoked nothing.
type keyFence struct{ fence }

func (*keyFence) KeyRevoked(string) bool { return false }

func TestDenialsOfGuardsAreRecorded(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	clock := func() time.Time { return now }
	st, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "b.db"), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	people := map[string]users.User{}
	for id, role := range map[string]string{"usr_vic": rbac.Viewer, "usr_ada": rbac.Admin} {
		people[id] = users.User{ID: id, Status: users.Active, Grants: []rbac.Grant{{Role: role, Source: "manual"}}}
	}
	keysOf := apikeys.New(apikeys.Options{Store: st.APIKeys, Fence: &keyFence{}, Now: clock, Audit: &diary{}, Announce: func(context.Context, string, time.Time) error { return nil }})
	made, key, err := keysOf.Create(t.Context(), apikeys.Request{OwnerID: "usr_vic", Name: "k", Scopes: []string{"data:read"}})
	if err != nil {
		t.Fatal(err)
	}
	manager := sessions.NewManager(sessions.Options{Store: st.Sessions, Fence: &fence{}, Now: clock})
	cookie := func(id string) header {
		t.Helper()
		_, v, err := manager.Open(t.Context(), sessions.Opening{UserID: id})
		if err != nil {
			t.Fatal(err)
		}
		return header{"Cookie", "__Host-broker_session=" + v.Reveal()}
	}
	guards := web.Guards{
		Sessions: manager, Keys: keysOf, Now: clock, FirstParty: func(context.Context, string) bool { return true },
		Access: access.NewGuard(func() map[string][]rbac.Permission {
			return map[string][]rbac.Permission{rbac.Viewer: {"data:read"}, rbac.Admin: {"*:*"}, "keeper": {"things:write"}}
		}),
		Verify: func(_ context.Context, raw string) (*verify.Token, error) {
			id, scope, _ := strings.Cut(raw, "/")
			if _, known := people[id]; !known {
				return nil, &verify.Error{Code: verify.CodeInvalidToken, Description: "unknown"}
			}
			return &verify.Token{Subject: verify.Subject{Kind: verify.KindUser, ID: id, ClientID: "spa", Scopes: strings.Fields(scope)}}, nil
		},
		User: func(_ context.Context, id string) (users.User, error) { return people[id], nil },
	}
	manage := guards.Role("things:manage", rbac.Admin)
	route := func(method, path string, g web.Guard, h web.Handler) web.Route {
		return web.Route{Method: method, Path: path, Lane: web.Browser, Guard: g, Handle: h}
	}
	d := &diary{}
	s := serve(t, "https://b.example/base", []web.Route{
		route("GET", "/things", guards.Permit("things:write"), ok),
		route("DELETE", "/things/:id", guards.Recent(manage), ok),
		route("GET", "/any", guards.AnyRole("keeper", rbac.Admin), ok),
		route("GET", "/reach", guards.Reach("things:read"), ok),
		route("GET", "/key", guards.APIKey("things:write"), ok),
		route("GET", "/mine", guards.Either(), func(c *gin.Context) error {
			return web.Denied(c, guards.Access.Check(guards.Actor(c), "things:write"))
		}),
		route("GET", "/gone", web.Guard{Name: "test", Check: func(c *gin.Context) error {
			if err := guards.Either().Check(c); err != nil {
				return err
			}
			return fault.New(fault.NotFound, "thing_unknown", "none")
		}}, ok),
		route("GET", "/public", web.Guard{}, func(c *gin.Context) error { return web.Denied(c, fault.New(fault.Forbidden, "x", "x")) }),
	}, func(o *web.Options) { o.Denials = d })

	event := func(target, client string, detail ...string) []audit.Event {
		e := audit.Event{Action: "route.use", Actor: "usr_vic", Target: target, ClientID: client, Outcome: "denied", Detail: map[string]string{}}
		for i := 0; i < len(detail); i += 2 {
			e.Detail[detail[i]] = detail[i+1]
		}
		return []audit.Event{e}
	}
	token := func(text string) header { return header{"Authorization", "Bearer " + text} }
	viewer, admin := cookie("usr_vic"), cookie("usr_ada")
	now = now.Add(web.RecentSignIn + time.Second)
	late := event("DELETE /things/:id", "", "code", "sign_in_again")
	late[0].Actor = "usr_ada"
	for _, row := range []struct {
		rule, method, path string
		header             header
		status             int
		want               []audit.Event
	}{
		{"a role is missing", "GET", "/things", viewer, 403, event("GET /things", "", "code", "role_missing", "roles", "admin keeper", "permission", "things:write")},
		{"by a token, which an app has", "GET", "/things", token("usr_vic"), 403, event("GET /things", "spa", "code", "role_missing", "roles", "admin keeper", "permission", "things:write")},
		{"by HEAD", "HEAD", "/things", viewer, 403, event("HEAD /things", "", "code", "role_missing", "roles", "admin keeper", "permission", "things:write")},
		{"the pattern and not the address; once, though one guard is within another", "DELETE", "/things/secret-of-somebody?token=abc", viewer, 403, event("DELETE /things/:id", "", "code", "role_missing", "roles", "admin")},
		{"one of several roles", "GET", "/any", viewer, 403, event("GET /any", "", "code", "role_missing", "roles", "keeper admin")},
		{"a scope is missing", "GET", "/reach", token("usr_vic/data:read"), 403, event("GET /reach", "spa", "code", "scope_missing", "permission", "things:read")},
		{"by an API key", "GET", "/key", header{"X-API-Key", key.Reveal()}, 403, event("GET /key", "", "code", "role_missing", "roles", "admin keeper", "permission", "things:write", "api_key", made.ID)},
		{"a handler that asks by itself", "GET", "/mine", viewer, 403, event("GET /mine", "", "code", "role_missing", "roles", "admin keeper", "permission", "things:write")},
		{"a sign-in that is too long ago", "DELETE", "/things/x", admin, 403, late},

		{"who may is not recorded", "GET", "/things", admin, 200, nil},
		{"nor whoever is unknown", "GET", "/things", header{"Accept", "application/json"}, 401, nil},
		{"by a token", "GET", "/things", token("nobody"), 401, nil},
		{"by a key", "GET", "/key", header{"X-API-Key", "bk_x"}, 403, nil},
		{"nor a request from another site", "DELETE", "/things/x", header{"Sec-Fetch-Site", "cross-site"}, 403, nil},
		{"nor what is no denial", "GET", "/gone", viewer, 404, nil},
		{"nor a refusal of nobody in particular", "GET", "/public", viewer, 403, nil},
	} {
		t.Run(row.rule, func(t *testing.T) {
			s.ask(t, row.method, "/base"+row.path, "", row.header).want(t, row.status)
			if diff := cmp.Diff(row.want, d.take()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnEdgeWithoutARecorderRefusesAllTheSame(t *testing.T) {
	s := serve(t, "https://b.example", []web.Route{{Method: "GET", Path: "/", Lane: web.Browser, Guard: web.Guard{Name: "test", Check: func(c *gin.Context) error {
		web.Known(c, web.Caller{User: users.User{ID: "usr_vic"}})
		return fault.New(fault.Forbidden, "role_missing", "no")
	}}, Handle: ok}})
	s.ask(t, "GET", "/", "").want(t, 403)
}
