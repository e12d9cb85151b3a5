package web

import (
	"context"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/broker/access"
	"example.com/broker/apikeys"
	"example.com/broker/internal/fault"
	"example.com/broker/sessions"
	"example.com/broker/users"
	"example.com/broker/verify"
)

// Guard decides whether a request may reach its handler. Name stands in the route list.
type Guard struct {
	Name  string
	Check func(*gin.Context) error
}

func (g Guard) name() string {
	if g.Name == "" {
		return "public"
	}
	return g.Name
}

// By names a guard that the handler itself applies, such as the client authentication of the token endpoint.
func By(name string) Guard { return Guard{Name: name} }

// Caller is who passed a guard.
type Caller struct {
	User users.User
	// Session is set where the cookie was the proof, Token where an access token was, Key where an API key was.
	Session *sessions.Session
	Token   *verify.Token
	Key     *apikeys.Key
}

const callerKey = "web.caller"

// CallerOf returns who passed the route's guard. It panics in a handler whose route has none, which is a defect.
func CallerOf(c *gin.Context) Caller { return c.MustGet(callerKey).(Caller) }

// Known says who the caller is, for a guard that finds out by itself.
func Known(c *gin.Context, who Caller) { c.Set(callerKey, who) }

// Guards makes the guards of the broker's own routes. Verify, Sessions and User are required; the others by the guards that say so.
type Guards struct {
	// Verify checks an access token whose audience is the issuer.
	Verify func(ctx context.Context, raw string) (*verify.Token, error)
	// Sessions loads browser sessions.
	Sessions *sessions.Manager
	// User returns an active user: fault.Forbidden "account_disabled" for a disabled one.
	User func(ctx context.Context, id string) (users.User, error)

	// Keys checks API keys; QueryKeys takes them in the address too.
	Keys      *apikeys.Service
	QueryKeys bool
	// Access decides what a caller may do; FirstParty reports whether a client is the operator's own; Now tells which roles are in force.
	Access     *access.Guard
	FirstParty func(ctx context.Context, clientID string) bool
	Now        func() time.Time
}

// Bearer demands an access token of an active person: *verify.Error otherwise.
func (g Guards) Bearer() Guard { return Guard{"bearer", g.bearer} }

// Session demands the cookie of a live session of an active person: fault.Unauthenticated "session_required" otherwise, or what User
// returned.
func (g Guards) Session() Guard { return Guard{"session", g.session} }

// Either demands a bearer token where Authorization is present, the session cookie otherwise. Who has neither is told of the bearer
// token, since cookies have no challenge (RFC 9110 §15.5.2).
func (g Guards) Either() Guard {
	return Guard{"session|bearer", func(c *gin.Context) error {
		if c.GetHeader("Authorization") != "" {
			return g.bearer(c)
		}
		err := g.session(c)
		if fault.Is(err, fault.Unauthenticated) {
			c.Header("WWW-Authenticate", (&verify.Error{Code: verify.CodeMissingToken}).Challenge(realm))
		}
		return err
	}}
}

func (g Guards) bearer(c *gin.Context) error {
	raw, err := verify.BearerToken(c.Request)
	if err != nil {
		return err
	}
	t, err := g.Verify(c.Request.Context(), raw)
	if err != nil {
		return err
	}
	// A client that acts for itself is nobody, also where some user happens to have its id.
	if t.Subject.Kind != verify.KindUser {
		return &verify.Error{Code: verify.CodeInvalidToken, Description: "the token speaks for a client, expected one that speaks for a person"}
	}
	u, err := g.User(c.Request.Context(), t.Subject.ID)
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Forbidden) {
		return &verify.Error{Code: verify.CodeInvalidToken, Description: "the account this token speaks for is gone or disabled"}
	}
	if err != nil {
		return err
	}
	c.Set(callerKey, Caller{User: u, Token: t})
	return nil
}

func (g Guards) session(c *gin.Context) error {
	s, err := g.Sessions.Load(c.Request.Context(), SessionCookie(c))
	if err != nil {
		return err
	}
	u, err := g.User(c.Request.Context(), s.UserID)
	// The user's own counter is the second fence: it holds where the entry in the change stream has been forgotten.
	if fault.Is(err, fault.NotFound) || (err == nil && s.Ver < u.Epoch) {
		return fault.New(fault.Unauthenticated, "session_required", "You are not signed in, or your session has ended. Sign in again.")
	}
	if err != nil {
		return err
	}
	KeepSessionCookie(c, g.Sessions, s)
	c.Set(callerKey, Caller{User: u, Session: &s})
	return nil
}
