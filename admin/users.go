package admin

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"example.com/broker/internal/fault"
	"example.com/broker/internal/secret"
	"example.com/broker/rbac"
	"example.com/broker/users"
	"example.com/broker/web"
)

// A search reads at most searchReach users for one answer; the cursor goes on behind them.
const (
	searchReach = 2000
	searchBatch = 200
)

// listUsers shows a page of users, ordered by id. q finds a part of the id, login name, name or address.
func (e *endpoints) listUsers(c *gin.Context) error {
	p, err := e.paging(c, "users")
	if err != nil {
		return err
	}
	out, last, more := []gin.H{}, p.after, true
	for read := 0; more && len(out) < p.limit && read < searchReach; {
		size := searchBatch
		if p.query == "" {
			size = p.limit - len(out)
		}
		batch, err := e.Users.List(c.Request.Context(), last, size)
		if err != nil {
			return err
		}
		more = len(batch) == size
		for i, u := range batch {
			read++
			last = u.ID
			if found(u, p.query) {
				out = append(out, e.summary(u))
			}
			if len(out) == p.limit {
				more = more || i < len(batch)-1
				break
			}
		}
	}
	next := ""
	if more {
		next = e.next(p, last)
	}
	c.JSON(http.StatusOK, gin.H{"users": out, "next": next})
	return nil
}

func found(u users.User, query string) bool {
	q := strings.ToLower(query)
	for _, s := range []string{u.ID, u.Username, u.Name, u.Email} {
		if strings.Contains(strings.ToLower(s), q) {
			return true
		}
	}
	return false
}

// summary is a user as lists show one. No hash leaves the store.
func (e *endpoints) summary(u users.User) gin.H {
	return gin.H{
		"id": u.ID, "username": u.Username, "name": u.Name, "email": u.Email, "email_verified": u.EmailVerified, "status": u.Status,
		"roles": u.Roles(e.Now()), "created_at": u.CreatedAt, "updated_at": u.UpdatedAt, "v": u.V,
	}
}

// detail says why a user has which role, too.
func (e *endpoints) detail(u users.User) gin.H {
	out := e.summary(u)
	identities := make([]gin.H, 0, len(u.Identities))
	for _, l := range u.Identities {
		identities = append(identities, gin.H{
			"provider": l.Provider, "namespace": l.Namespace, "subject": l.Subject, "handle": l.Handle, "email": l.Email,
			"email_verified": l.EmailVerified, "linked_at": l.LinkedAt,
		})
	}
	out["identities"], out["has_password"], out["claimable"] = identities, u.Password != "", u.Claimable
	out["why"] = rbac.Why(u.Grants, e.Roles.Known, e.Now())
	return out
}

func (e *endpoints) getUser(c *gin.Context) error {
	u, err := e.Users.Get(c.Request.Context(), c.Param("id"))
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, u.V, e.detail(u))
}

func (e *endpoints) createUser(c *gin.Context) error {
	var in struct {
		Username      string   `json:"username"`
		Name          string   `json:"name"`
		Email         string   `json:"email"`
		EmailVerified bool     `json:"email_verified"`
		Password      string   `json:"password"`
		PasswordHash  string   `json:"password_hash"`
		Roles         []string `json:"roles"`
		Claimable     bool     `json:"claimable"`
		ID            string   `json:"id"`
	}
	if err := web.JSON(c, &in); err != nil {
		return err
	}
	u, err := e.Users.Create(c.Request.Context(), users.NewUser{
		ID: in.ID, Username: in.Username, Name: in.Name, Email: in.Email, EmailVerified: in.EmailVerified, Password: secret.Value(in.Password),
		PasswordHash: in.PasswordHash, Roles: in.Roles, Claimable: in.Claimable,
	})
	if err := e.done(c, "user.create", u.ID, err, "roles", strings.Join(u.Roles(e.Now()), " ")); err != nil {
		return err
	}
	c.Header("Location", web.Path(c, "/admin/api/users/"+u.ID))
	return answer(c, http.StatusCreated, u.V, e.detail(u))
}

// one changes a user, in the version that If-Match names if it names one.
func (e *endpoints) one(c *gin.Context, action string, act func(ctx context.Context, id string) (users.User, error), details ...string) error {
	v, err := version(c, nil)
	if err != nil {
		return err
	}
	id, ctx := c.Param("id"), c.Request.Context()
	if !utf8.ValidString(id) {
		return fault.New(fault.NotFound, "user_unknown", "There is no such user.")
	}
	if v != 0 {
		ctx = users.WithVersion(ctx, max(v, 0))
	}
	u, err := act(ctx, id)
	if err := e.done(c, action, id, err, details...); err != nil {
		return err
	}
	if u.ID == "" {
		c.Status(http.StatusNoContent)
		return nil
	}
	return answer(c, http.StatusOK, u.V, e.detail(u))
}

func (e *endpoints) deleteUser(c *gin.Context) error {
	return e.one(c, "user.delete", func(ctx context.Context, id string) (users.User, error) {
		return users.User{}, e.Users.Delete(ctx, id)
	})
}

func (e *endpoints) disableUser(c *gin.Context) error {
	return e.one(c, "user.disable", e.Users.Disable)
}

func (e *endpoints) enableUser(c *gin.Context) error { return e.one(c, "user.enable", e.Users.Enable) }

func (e *endpoints) signOutUser(c *gin.Context) error {
	return e.one(c, "user.sign_out", e.Users.RaiseEpoch)
}

func (e *endpoints) setPassword(c *gin.Context) error {
	var in struct {
		Password string `json:"password"`
	}
	if err := web.JSON(c, &in); err != nil {
		return err
	}
	if err := needs(need{"password", in.Password != ""}); err != nil {
		return err
	}
	return e.one(c, "user.password", func(ctx context.Context, id string) (users.User, error) {
		return e.Users.SetPassword(ctx, id, secret.Value(in.Password))
	})
}

// grantRole gives a role for good, or up to the `until` of a body.
func (e *endpoints) grantRole(c *gin.Context) error {
	until, err := readUntil(c)
	if err != nil {
		return err
	}
	details := []string{"role", c.Param("role")}
	if !until.IsZero() {
		details = append(details, "until", until.UTC().Format(time.RFC3339))
	}
	return e.one(c, "user.role_grant", func(ctx context.Context, id string) (users.User, error) {
		return e.Users.GrantRoleUntil(ctx, id, c.Param("role"), until)
	}, details...)
}

// readUntil reads the body of a grant, which may be left out.
func readUntil(c *gin.Context) (time.Time, error) {
	body := bufio.NewReader(c.Request.Body)
	if _, err := body.Peek(1); errors.Is(err, io.EOF) {
		return time.Time{}, nil
	}
	c.Request.Body = struct {
		io.Reader
		io.Closer
	}{body, c.Request.Body}
	var in struct {
		Until *string `json:"until"`
	}
	if err := web.JSON(c, &in); err != nil || in.Until == nil {
		return time.Time{}, err
	}
	until, err := time.Parse(time.RFC3339, *in.Until)
	if err != nil {
		return time.Time{}, fault.New(fault.Invalid, "until_invalid", "until is %.40q, expected a time such as 2027-01-31T12:00:00Z.", *in.Until)
	}
	return until, nil
}

func (e *endpoints) revokeRole(c *gin.Context) error {
	return e.one(c, "user.role_revoke", func(ctx context.Context, id string) (users.User, error) {
		return e.Users.RevokeRole(ctx, id, c.Param("role"))
	}, "role", c.Param("role"))
}
