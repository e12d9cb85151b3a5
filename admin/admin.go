// Package admin is the JSON API of those who run the broker: users, roles, mapping rules, clients, APIs, policies and the audit log. It decides
// nothing by itself: what may be done to an account, a role or a client is said by the services that own them. The pages over it are left
// to somebody else.
package admin

import (
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/broker/abac"
	"example.com/broker/audit"
	"example.com/broker/clients"
	"example.com/broker/internal/changes"
	"example.com/broker/internal/fault"
	"example.com/broker/internal/secret"
	"example.com/broker/providers"
	"example.com/broker/rbac"
	"example.com/broker/users"
	"example.com/broker/web"
)

// Deps are what the endpoints stand on. All are required.
type Deps struct {
	Guards    web.Guards
	Users     *users.Service
	Roles     *rbac.Roles
	Rules     *rbac.Rules
	Clients   *clients.Service
	Policies  *abac.Service
	Providers *providers.Registry
	AuditLog  audit.Store
	Audit     audit.Recorder
	Seal      *secret.Sealer
	Now       func() time.Time
}

type endpoints struct{ Deps }

// manage is the scope that reaches as far as this API. No built-in role but admin has the verb, and no other role opens these routes.
const manage rbac.Permission = "admin:manage"

// Bounds of bodies in bytes. A set of policies comes as texts within JSON, which doubles their quotes and line ends.
const (
	maxBody     = 1 << 20
	maxPolicies = 2 * abac.MaxSetText
)

// Routes returns the routes of this package.
func Routes(d Deps) []web.Route {
	e := &endpoints{d}
	// To look is for an admin; to change something is for one who has just proved who they are.
	look := d.Guards.Role(manage, rbac.Admin)
	change := d.Guards.Recent(look)
	read := func(path string, h web.Handler, params ...string) web.Route {
		return web.Route{Method: http.MethodGet, Path: "/admin/api" + path, Lane: web.Browser, Data: true, Guard: look, Handle: web.Params(h, params...)}
	}
	write := func(method, path string, h web.Handler) web.Route {
		return web.Route{Method: method, Path: "/admin/api" + path, Lane: web.Browser, Data: true, Guard: change, Handle: acting(h), MaxBody: maxBody}
	}
	policies := write(http.MethodPut, "/policies/:app", e.putPolicies)
	policies.MaxBody = maxPolicies
	return []web.Route{
		read("/users", e.listUsers, "limit", "cursor", "q"),
		write(http.MethodPost, "/users", e.createUser),
		read("/users/:id", e.getUser),
		write(http.MethodDelete, "/users/:id", e.deleteUser),
		write(http.MethodPost, "/users/:id/disable", e.disableUser),
		write(http.MethodPost, "/users/:id/enable", e.enableUser),
		write(http.MethodPost, "/users/:id/sign-out", e.signOutUser),
		write(http.MethodPut, "/users/:id/password", e.setPassword),
		write(http.MethodPut, "/users/:id/roles/:role", e.grantRole),
		write(http.MethodDelete, "/users/:id/roles/:role", e.revokeRole),
		read("/roles", e.listRoles),
		write(http.MethodPut, "/roles/:name", e.putRole),
		write(http.MethodDelete, "/roles/:name", e.removeRole),
		read("/mapping-rules", e.listRules),
		write(http.MethodPut, "/mapping-rules", e.putRules),
		{Method: http.MethodPost, Path: "/admin/api/mapping-rules/dry-run", Lane: web.Browser, Data: true, Guard: look, Handle: web.Params(e.dryRun), MaxBody: maxBody},
		read("/clients", e.listClients, "limit", "cursor"),
		write(http.MethodPost, "/clients", e.createClient),
		read("/clients/:id", e.getClient),
		write(http.MethodPut, "/clients/:id", e.putClient),
		write(http.MethodPost, "/clients/:id/rotate-secret", e.rotateSecret),
		write(http.MethodDelete, "/clients/:id", e.deleteClient),
		read("/apis", e.listAPIs, "limit", "cursor"),
		write(http.MethodPost, "/apis", e.createAPI),
		read("/apis/:id", e.getAPI),
		write(http.MethodPut, "/apis/:id", e.putAPI),
		write(http.MethodDelete, "/apis/:id", e.deleteAPI),
		read("/policies", e.listPolicies),
		read("/policies/:app", e.getPolicies),
		policies,
		write(http.MethodDelete, "/policies/:app", e.deletePolicies),
		read("/audit", e.listAudit, "limit", "cursor"),
		{
			Method: http.MethodDelete, Path: "/users/:id", Lane: web.Browser, Data: true, CORS: web.ClientCORS,
			Guard: d.Guards.Recent(d.Guards.Role("users:manage", rbac.Admin)), Handle: acting(e.deleteUser),
		},
	}
}

// acting lets every audit event of what follows name the admin who does it, and the app through which.
func acting(h web.Handler) web.Handler {
	return web.Params(func(c *gin.Context) error {
		who, app := web.CallerOf(c), ""
		if who.Token != nil {
			app = who.Token.Subject.ClientID
		}
		c.Request = c.Request.WithContext(audit.WithActor(c.Request.Context(), who.User.ID, app))
		return h(c)
	})
}

// done records what an admin did, or was refused by the rules of the service. details say what it was in pairs of name and value; an empty
// value is left out.
func (e *endpoints) done(c *gin.Context, action, target string, err error, details ...string) error {
	event := audit.Event{Action: "admin." + action, Target: target, Outcome: "done", Detail: map[string]string{}}
	for i := 0; i+1 < len(details); i += 2 {
		if details[i+1] != "" {
			event.Detail[details[i]] = details[i+1]
		}
	}
	if err != nil {
		event.Outcome, event.Detail["reason"] = "denied", fault.CodeOf(err)
	}
	if k := fault.KindOf(err); err == nil || k == fault.Conflict || k == fault.Forbidden {
		e.Audit.Record(c.Request.Context(), event)
	}
	return err
}

// members names those that differ between two documents as answers have them. Their values are left out: an event is kept for good.
func members(before, after gin.H) string {
	var out []string
	for name, v := range after {
		if name != "v" && name != "created_at" && !reflect.DeepEqual(before[name], v) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// need is a member that a body must have, and whether it does.
type need struct {
	name string
	have bool
}

// needs refuses a body without one of them: what is left out must not empty a document.
func needs(list ...need) error {
	var missing []string
	for _, n := range list {
		if !n.have {
			missing = append(missing, n.name)
		}
	}
	if len(missing) > 0 {
		return fault.New(fault.Invalid, "request_invalid", "The body is not the JSON expected here: it must have %s.", strings.Join(missing, " and "))
	}
	return nil
}

// version is what If-Match names, as the ETag of an answer has it, or else the member v of the body: 0 if neither is there, for any version,
// and changes.Unstored if it is 0, for a document that was never stored.
func version(c *gin.Context, body *int64) (int64, error) {
	v, given := int64(0), false
	if body != nil {
		v, given = *body, true
	}
	if values := c.Request.Header.Values("If-Match"); len(values) > 0 {
		n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimPrefix(values[0], `"`), `"`), 10, 64)
		if err != nil || n < 0 || len(values) > 1 {
			return 0, fault.New(fault.Invalid, "version_invalid", "If-Match is %.40q, expected the version of the document, such as \"3\".", values[0])
		}
		v, given = n, true
	}
	switch {
	case v < 0:
		return 0, fault.New(fault.Invalid, "version_invalid", "v is %d, expected the version of the document.", v)
	case v == 0 && given:
		return changes.Unstored, nil
	}
	return v, nil
}

// answer writes a document with its version.
func answer(c *gin.Context, status int, v int64, body any) error {
	c.Header("ETag", `"`+strconv.FormatInt(v, 10)+`"`)
	c.JSON(status, body)
	return nil
}

// Paging.
const (
	defaultLimit  = 50
	maxLimit      = 200
	cursorPurpose = "admin-cursor"
)

// page is what a list was asked for.
type page struct {
	limit int
	after string
	query string
	kind  string
}

// paging reads limit, cursor and q. A cursor is sealed: it holds for the list and the search that it was given out for, and tells nothing.
func (e *endpoints) paging(c *gin.Context, kind string) (page, error) {
	p := page{limit: defaultLimit, query: c.Query("q"), kind: kind}
	if text := c.Query("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxLimit {
			return p, fault.New(fault.Invalid, "limit_invalid", "limit is %.20q, expected 1 to %d.", text, maxLimit)
		}
		p.limit = n
	}
	if len(p.query) > 100 {
		return p, fault.New(fault.Invalid, "query_invalid", "q has %d bytes, expected at most 100.", len(p.query))
	}
	if text := c.Query("cursor"); text != "" {
		plain, err := e.Seal.Open(cursorPurpose, text)
		of, after, ok := strings.Cut(string(plain), "\x00")
		if err != nil || !ok || of != p.scope() {
			return p, fault.New(fault.Invalid, "cursor_invalid", "The cursor was not given out for this list. Begin again without it.")
		}
		p.after = after
	}
	return p, nil
}

func (p page) scope() string { return p.kind + "\x01" + p.query }

// next is the cursor behind an entry.
func (e *endpoints) next(p page, last string) string {
	return e.Seal.Seal(cursorPurpose, []byte(p.scope()+"\x00"+last))
}

// cut takes a page out of a list that is at hand, in the order of place, and returns the cursor behind it, "" at the end. The page begins
// behind the place of the cursor, whether or not the entry is still there.
func cut[T any](e *endpoints, p page, all []T, place func(T) string, show func(T) gin.H) (out []gin.H, next string) {
	out = []gin.H{}
	all = slices.SortedFunc(slices.Values(all), func(x, y T) int { return strings.Compare(place(x), place(y)) })
	from := 0
	if p.after != "" {
		from, _ = slices.BinarySearchFunc(all, p.after, func(one T, after string) int {
			if place(one) <= after {
				return -1
			}
			return 1
		})
	}
	for i, one := range all[from:] {
		if len(out) == p.limit {
			return out, e.next(p, place(all[from+i-1]))
		}
		out = append(out, show(one))
	}
	return out, ""
}

// place orders what the configuration defines ahead of what is stored, both by id.
func place(fixed bool, id string) string {
	if fixed {
		return "0" + id
	}
	return "1" + id
}

// listAudit shows events, newest first. On MongoDB they are there within a second.
func (e *endpoints) listAudit(c *gin.Context) error {
	p, err := e.paging(c, "audit")
	if err != nil {
		return err
	}
	list, err := e.AuditLog.ListAudit(c.Request.Context(), p.after, p.limit)
	if err != nil {
		return err
	}
	next := ""
	if len(list) == p.limit {
		next = e.next(p, list[len(list)-1].ID)
	}
	c.JSON(http.StatusOK, gin.H{"events": append([]audit.Event{}, list...), "next": next})
	return nil
}
