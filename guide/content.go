package guide

import (
	"slices"

	"example.com/broker/web"
	"example.com/broker/web/pages"
)

// book writes the guide for one broker.
type book struct {
	Deps
	surface []web.Route
}

// content is the guide, with the lines that this broker answers.
func content(d Deps, surface []web.Route) pages.Guide {
	b := book{d, surface}
	p := pages.Guide{Issuer: d.Issuer, Methods: methods(), Needs: needs(), Rows: b.rows()}
	if d.Dev {
		p.Setup = b.setup()
	}
	return p
}

// answers reports whether a route is mounted.
func (b book) answers(method, path string) bool {
	return slices.ContainsFunc(b.surface, func(r web.Route) bool { return r.Method == method && r.Path == path })
}

func methods() []pages.Method {
	return []pages.Method{
		{Name: "API key", BestFor: "One server calling another, scripts, simple integrations", Lives: "A header, or the query where that is allowed", Row: "api-keys"},
		{Name: "JWT bearer", BestFor: "Single-page and mobile apps, APIs that keep no state", Lives: "The `Authorization` header", Row: "bearer"},
		{Name: "OAuth 2", BestFor: "Signing in with GitHub or Google, access in somebody's name", Lives: "The `Authorization` header, after an exchange", Row: "code"},
		{Name: "Cookie and session", BestFor: "Sites whose server draws the pages", Lives: "A cookie with a random id; the data stays on the server", Row: "sessions"},
	}
}

func needs() []pages.Need {
	return []pages.Need{
		{Want: "People sign in with GitHub, Google or our own directory", Take: "Authorization code", Row: "code"},
		{Want: "A single-page or mobile app calls an API", Take: "Authorization code, then a JWT bearer token", Row: "bearer"},
		{Want: "A server draws the pages", Take: "Cookie and session", Row: "sessions"},
		{Want: "A script or another server calls an API", Take: "An API key", Row: "api-keys"},
		{Want: "Our own command-line tool asks for name and password", Take: "The password flow, for first-party apps only", Row: "password"},
		{Want: "People stay signed in for weeks", Take: "A refresh token beside a short access token", Row: "refresh"},
		{Want: "Access must end at once", Take: "Revocation", Row: "revocation"},
		{Want: "Editors write, viewers only read", Take: "Roles", Row: "rbac"},
		{Want: "Only the author may change an article", Take: "Policies over attributes", Row: "abac"},
	}
}

// field takes one member out of a JSON answer, with nothing installed but sed.
func field(name string) string { return ` | sed 's/.*"` + name + `":"\([^"]*\)".*/\1/')` }

// grant asks for tokens with alice's password.
func (b book) grant() string {
	return b.Issuer + `/token -d grant_type=password -d username=alice --data-urlencode "password=$PASSWORD"`
}

const (
	withToken = ` -H "Authorization: Bearer $TOKEN"`
	asJSON    = ` -H 'Content-Type: application/json'`
	wantsJSON = ` -H 'Accept: application/json'`
)

func (b book) setup() []pages.Try {
	if !b.Password {
		return []pages.Try{{Label: "An access token of alice, good for 15 minutes.", Line: "TOKEN=$(broker token alice)"}}
	}
	return []pages.Try{
		{Label: "Alice's password: it stands in the terminal where `broker dev` runs.", Line: "PASSWORD='paste it here'"},
		{Label: "An access token of alice, good for 15 minutes. `broker token alice` prints one too.", Line: "TOKEN=$(curl -s " + b.grant() + field("access_token")},
	}
}

// withPassword are tries that use the password of somebody in `broker dev`.
func (b book) withPassword(tries ...pages.Try) []pages.Try {
	if !b.Dev || !b.Password {
		return nil
	}
	return tries
}

// inDocs are tries that take the place of withPassword where nobody's password is known: the visitor has one of their own.
func (b book) inDocs(tries ...pages.Try) []pages.Try {
	if b.Dev && b.Password {
		return nil
	}
	return b.where("GET", "/docs", tries...)
}

// where are tries that need a route.
func (b book) where(method, path string, tries ...pages.Try) []pages.Try {
	if !b.answers(method, path) {
		return nil
	}
	return tries
}
