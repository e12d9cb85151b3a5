package web

import (
	"encoding/base64"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/broker/internal/secret"
	"example.com/broker/sessions"
)

// Cookies of the broker are host-only, HttpOnly, SameSite=Lax and Path=/. With an https issuer they are Secure and carry the __Host-
// prefix; over plain http, which only `dev` allows, neither, because Safari refuses Secure cookies there.
const (
	sessionCookie = "broker_session"
	browserCookie = "broker_browser"
	lastCookie    = "broker_last"
)

// CookieName returns the name under which the cookie travels.
func CookieName(c *gin.Context, name string) string {
	if edgeOf(c).secure() {
		return "__Host-" + name
	}
	return name
}

// SetCookie sets a cookie of ours; a negative maxAge deletes it, 0 makes it a session cookie.
func SetCookie(c *gin.Context, name, value string, maxAge time.Duration) {
	seconds := int(maxAge.Seconds())
	if maxAge < 0 {
		seconds = -1
	}
	http.SetCookie(c.Writer, &http.Cookie{ //nolint:gosec // without Secure over plain http alone, which only dev allows
		Name: CookieName(c, name), Value: value, Path: "/", MaxAge: seconds,
		HttpOnly: true, Secure: edgeOf(c).secure(), SameSite: http.SameSiteLaxMode,
	})
}

// Cookie returns the value of a cookie of ours, "" if it is absent or sent more than once.
func Cookie(c *gin.Context, name string) string {
	if all := c.Request.CookiesNamed(CookieName(c, name)); len(all) == 1 {
		return all[0].Value
	}
	return ""
}

// SessionCookie returns the session cookie's value, "" if there is none.
func SessionCookie(c *gin.Context) secret.Value { return secret.Value(Cookie(c, sessionCookie)) }

// SetSessionCookie hands a session to the browser; idle is the cookie's lifetime.
func SetSessionCookie(c *gin.Context, value secret.Value, idle time.Duration) {
	SetCookie(c, sessionCookie, value.Reveal(), idle)
}

// KeepSessionCookie lets the cookie of a session that was just used live on: its row slides, and the browser must not forget it sooner. It
// sets the cookie only where the row was written too, and only on an answer to a GET, so that an answer under way cannot bring back
// a value that a sign-in has replaced meanwhile.
func KeepSessionCookie(c *gin.Context, m *sessions.Manager, s sessions.Session) {
	if c.Request.Method == http.MethodGet && m.Slid(s) {
		SetSessionCookie(c, SessionCookie(c), m.CookieLife(s))
	}
}

// DropSessionCookie takes it back.
func DropSessionCookie(c *gin.Context) { SetCookie(c, sessionCookie, "", -1) }

// BrowserID returns the random id that binds a sign-in trip to this browser, setting the cookie if it is new. It identifies nobody.
func BrowserID(c *gin.Context) string {
	id := KnownBrowser(c)
	if id == "" {
		id = secret.New(browserBytes).Reveal()
		SetCookie(c, browserCookie, id, 24*time.Hour)
		c.Set(browserKey, id) // a later call in the same request must see the same id
	}
	return id
}

// KnownBrowser returns the browser's id, "" if it has none.
func KnownBrowser(c *gin.Context) string {
	if id := c.GetString(browserKey); id != "" {
		return id
	}
	id := Cookie(c, browserCookie)
	if b, err := base64.RawURLEncoding.DecodeString(id); err != nil || len(b) != browserBytes {
		return ""
	}
	return id
}

const (
	browserKey   = "web.browser"
	browserBytes = 16
)

// LastUsed returns the provider id this browser signed in with last, "" if unknown; it identifies nobody.
func LastUsed(c *gin.Context) string { return Cookie(c, lastCookie) }

// SetLastUsed remembers the provider for 180 days; "" forgets it, where there is something to forget.
func SetLastUsed(c *gin.Context, provider string) {
	switch {
	case provider != "":
		SetCookie(c, lastCookie, provider, 180*24*time.Hour)
	case len(c.Request.CookiesNamed(CookieName(c, lastCookie))) > 0:
		SetCookie(c, lastCookie, "", -1)
	}
}
