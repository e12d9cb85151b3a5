package web

import (
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/broker/internal/secret"
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
	if edgeOf(c).o.Issuer.Scheme == "https" {
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
	http.SetCookie(c.Writer, &http.Cookie{
		Name: CookieName(c, name), Value: value, Path: "/", MaxAge: seconds,
		HttpOnly: true, Secure: edgeOf(c).o.Issuer.Scheme == "https", SameSite: http.SameSiteLaxMode,
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

// SetSessionCookie hands a session to the browser.
func SetSessionCookie(c *gin.Context, value secret.Value, idle time.Duration) {
	SetCookie(c, sessionCookie, value.Reveal(), idle)
}

// DropSessionCookie takes it back.
func DropSessionCookie(c *gin.Context) { SetCookie(c, sessionCookie, "", -1) }

// Browser returns the random id that binds a sign-in trip to this browser, setting the cookie if it is new. It identifies nobody.
func BrowserID(c *gin.Context) string {
	id := Cookie(c, browserCookie)
	if len(id) != 22 || strings.ContainsAny(id, ". ") {
		id = secret.New(16).Reveal()
		SetCookie(c, browserCookie, id, 24*time.Hour)
		// A later call in the same request must see the same id.
		c.Request.AddCookie(&http.Cookie{Name: CookieName(c, browserCookie), Value: id})
	}
	return id
}

// KnownBrowser returns the browser's id, "" if it has none.
func KnownBrowser(c *gin.Context) string { return Cookie(c, browserCookie) }

// LastUsed returns the provider id this browser signed in with last, "" if unknown; it identifies nobody.
func LastUsed(c *gin.Context) string { return Cookie(c, lastCookie) }

// SetLastUsed remembers it for 180 days.
func SetLastUsed(c *gin.Context, provider string) {
	SetCookie(c, lastCookie, provider, 180*24*time.Hour)
}
