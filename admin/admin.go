// Package admin is the JSON API of those who run the broker: users, roles, mapping rules, clients, APIs, policies and the audit log. It decides
// nothing by itself: what may be done to an account, a role or a client is said by the services that own them. The pages over it are left
// to somebody else.
package admin

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/broker/abac"
	"example.com/broker/audit"
	"example.com/broker/clients"
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

const maxBody = 1 << 20

// Routes returns the routes of this package.
func Routes(d Deps) []web.Route {
	e := &endpoints{d}
	// To look is for an admin; to change something is for one who has just proved who they are.
	look := d.Guards.Role(manage, rbac.Admin)
	change := d.Guards.Recent(look)
	read := func(path string, h web.Handler) web.Route {
		return web.Route{Method: http.MethodGet, Path: "/admin/api" + path, Lane: web.Browser, Data: true, Guard: look, Handle: plain(h)}
	}
	write := func(method, path string, h web.Handler) web.Route {
		return web.Route{Method: method, Path: "/admin/api" + path, Lane: web.Browser, Data: true, Guard: change, Handle: plain(h), MaxBody: maxBody}
	}
	return []web.Route{
		read("/users", e.listUsers),
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
		{Method: http.MethodPost, Path: "/admin/api/mapping-rules/dry-run", Lane: web.Browser, Data: true, Guard: look, Handle: plain(e.dryRun), MaxBody: maxBody},
		read("/clients", e.listClients),
		write(http.MethodPost, "/clients", e.createClient),
		read("/clients/:id", e.getClient),
		write(http.MethodPut, "/clients/:id", e.putClient),
		write(http.MethodPost, "/clients/:id/rotate-secret", e.rotateSecret),
		write(http.MethodDelete, "/clients/:id", e.deleteClient),
		read("/apis", e.listAPIs),
		write(http.MethodPost, "/apis", e.createAPI),
		read("/apis/:id", e.getAPI),
		write(http.MethodPut, "/apis/:id", e.putAPI),
		write(http.MethodDelete, "/apis/:id", e.deleteAPI),
		read("/policies", e.listPolicies),
		read("/policies/:app", e.getPolicies),
		write(http.MethodPut, "/policies/:app", e.putPolicies),
		read("/audit", e.listAudit),
		{
			Method: http.MethodDelete, Path: "/users/:id", Lane: web.Browser, Data: true, CORS: web.ClientCORS,
			Guard: d.Guards.Recent(d.Guards.Role("users:manage", rbac.Admin)), Handle: plain(e.deleteUser),
		},
	}
}

// plain refuses parameters that the handler would not look at: whoever sorts or filters by them would take the answer for another one.
func plain(h web.Handler) web.Handler {
	return func(c *gin.Context) error {
		for name, values := range c.Request.URL.Query() {
			if c.Request.Method != http.MethodGet || !slices.Contains([]string{"limit", "cursor", "q"}, name) || len(values) != 1 {
				return fault.New(fault.Invalid, "parameter_unknown", "The parameter %.40q is not known here, or given twice.", name)
			}
		}
		return h(c)
	}
}

// done records what an admin did, or was refused by the rules of the service.
func (e *endpoints) done(c *gin.Context, action, target string, err error) error {
	event := audit.Event{Action: "admin." + action, Actor: web.CallerOf(c).User.ID, Target: target, Outcome: "done"}
	if t := web.CallerOf(c).Token; t != nil {
		event.ClientID = t.Subject.ClientID
	}
	if err != nil {
		event.Outcome, event.Detail = "denied", map[string]string{"reason": fault.CodeOf(err)}
	}
	if k := fault.KindOf(err); err == nil || k == fault.Conflict || k == fault.Forbidden {
		e.Audit.Record(c.Request.Context(), event)
	}
	return err
}

// version is what If-Match names, 0 for none: the `v` of a document, as the ETag of its answer has it.
func version(c *gin.Context) (int64, error) {
	values := c.Request.Header.Values("If-Match")
	if len(values) == 0 {
		return 0, nil
	}
	text := strings.TrimSuffix(strings.TrimPrefix(values[0], `"`), `"`)
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil || v < 1 || len(values) > 1 {
		return 0, fault.New(fault.Invalid, "version_invalid", "If-Match is %.40q, expected the version of the document, such as \"3\".", values[0])
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

// cut takes a page out of a list that is at hand, and returns the cursor behind it, "" at the end.
func cut[T any](e *endpoints, p page, all []T, id func(T) string, show func(T) gin.H) (out []gin.H, next string) {
	out = []gin.H{}
	from := 0
	if p.after != "" {
		from = slices.IndexFunc(all, func(one T) bool { return id(one) == p.after }) + 1
	}
	for i, one := range all[from:] {
		if len(out) == p.limit {
			return out, e.next(p, id(all[from+i-1]))
		}
		out = append(out, show(one))
	}
	return out, ""
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
