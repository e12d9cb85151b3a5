package local

import (
	"cmp"
	"crypto/rand"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Where the local GitHub answers; also what SetFault and Calls understand. The
// API is at the root, as on api.github.com, and below [GitHubAPIPrefix], as on
// a GitHub Enterprise Server.
const (
	GitHubAuthorizePath = "/login/oauth/authorize"
	GitHubTokenPath     = "/login/oauth/access_token"
	GitHubUserPath      = "/user"
	GitHubEmailsPath    = "/user/emails"
	GitHubOrgsPath      = "/user/orgs"
	GitHubTeamsPath     = "/user/teams"
	// GitHubMembershipPath is followed by the login of an organization.
	GitHubMembershipPath = "/user/memberships/orgs/"
	// GitHubOrgPath is followed by the login of an organization.
	GitHubOrgPath   = "/orgs/"
	GitHubAPIPrefix = "/api/v3"

	// GitHubIssuerPath after the base address is the iss of authorization
	// responses: the real one has been sending https://github.com/login/oauth
	// since August 2026, and publishes no metadata that says so.
	GitHubIssuerPath = "/login/oauth"
)

// githubTokenLife is how long an access token works. Those of a real OAuth app
// end only after a year without use; a process in memory need not promise that.
const githubTokenLife = 8 * time.Hour

// GitHubOptions describe a local GitHub and the one OAuth app registered there.
type GitHubOptions struct {
	ClientID     string // required
	ClientSecret string // required
	// RedirectURIs are the callback addresses of the app. A request may name
	// a path below one of them and, on loopback, another port, as GitHub
	// documents. Subdomains, which GitHub takes too, are turned down. Empty:
	// any loopback address.
	RedirectURIs []string
	// Now tells the time. Required.
	Now func() time.Time
	// People may be picked; nil means DefaultGitHubPeople.
	People []GitHubPerson
	// Banner is shown on each page; empty means a sentence that says what
	// this is.
	Banner string
	// AppName is shown on each page; empty means ClientID.
	AppName string
	// BaseURL is the scheme and host under which browsers and the broker
	// reach the handler. Empty: those of each request, which is what a test
	// server wants.
	BaseURL string
	// OmitIss leaves iss (RFC 9207) out of authorization responses, as
	// GitHub did before August 2026.
	OmitIss bool
	// RefuseUnverifiedEmail answers unverified_user_email at the token
	// endpoint for people whose primary address is unverified. GitHub
	// documents that error but does not give it to every app, so a broker
	// has to be safe without it; hence off by default.
	RefuseUnverifiedEmail bool
	// UnapprovedOrgs have restricted the access of OAuth apps and not approved
	// this one: they are left out of lists, and refuse to be asked by name.
	UnapprovedOrgs []string
	// SSOOrgs demand a SAML session, which the token has not: they are left
	// out of lists, whose header names their number.
	SSOOrgs []string
	// Random yields codes and tokens and must be safe for concurrent use;
	// nil means crypto/rand.
	Random io.Reader
}

// GitHub is a local GitHub. Safe for concurrent use.
type GitHub struct {
	upstream
	people           []GitHubPerson
	refuseUnverified bool
	unapproved, sso  []string
	codes            *vault[githubCode]
	tokens           *vault[githubToken]

	membersMu sync.Mutex
	left      map[int64][]string // organizations by account, after [GitHub.Leave]
}

// githubCode is what a code was issued for.
type githubCode struct {
	person      GitHubPerson
	redirectURI string
	challenge   string
	scopes      []string
}

type githubToken struct {
	person GitHubPerson
	scopes []string
}

// NewGitHub returns a local GitHub. It panics where an option that has no
// default is missing.
func NewGitHub(options GitHubOptions) *GitHub {
	people := options.People
	if people == nil {
		people = DefaultGitHubPeople()
	}
	random := options.Random
	if random == nil {
		random = rand.Reader
	}
	g := &GitHub{
		upstream: upstream{
			name: "GitHub", baseURL: options.BaseURL, apiPrefix: GitHubAPIPrefix,
			clientID: options.ClientID, clientSecret: options.ClientSecret, redirectURIs: options.RedirectURIs,
			app: options.AppName, banner: options.Banner, omitIss: options.OmitIss,
			now: options.Now, random: random,
		},
		people:           slices.Clone(people),
		refuseUnverified: options.RefuseUnverifiedEmail,
		unapproved:       slices.Clone(options.UnapprovedOrgs), sso: slices.Clone(options.SSOOrgs),
		left:   map[int64][]string{},
		codes:  newVault[githubCode](codeLife),
		tokens: newVault[githubToken](githubTokenLife),
	}
	g.setup()
	g.mux.HandleFunc("GET "+GitHubAuthorizePath, g.authorize)
	g.mux.HandleFunc("POST "+GitHubAuthorizePath, g.decide)
	g.mux.HandleFunc("POST "+GitHubTokenPath, g.token)
	for _, prefix := range []string{"", GitHubAPIPrefix} {
		g.mux.HandleFunc("GET "+prefix+GitHubUserPath, g.api(g.user))
		g.mux.HandleFunc("GET "+prefix+GitHubEmailsPath, g.api(g.emails))
		g.mux.HandleFunc("GET "+prefix+GitHubOrgsPath, g.api(g.orgs))
		g.mux.HandleFunc("GET "+prefix+GitHubTeamsPath, g.api(g.teams))
		g.mux.HandleFunc("GET "+prefix+GitHubMembershipPath+"{org}", g.api(g.membership))
		g.mux.HandleFunc("GET "+prefix+GitHubOrgPath+"{org}", g.api(g.organization))
	}
	g.mux.HandleFunc("GET /u/{id}", serveAvatar)
	return g
}

// People returns the rows of the picker in their usual order.
func (g *GitHub) People() []Person {
	rows := make([]Person, 0, len(g.people))
	for _, person := range g.people {
		rows = append(rows, person.row())
	}
	return rows
}

func (g *GitHub) issuer(r *http.Request) string { return g.base(r) + GitHubIssuerPath }

// registered says whether GitHub would redirect to raw.
func (g *GitHub) registered(raw string) bool {
	if len(g.redirectURIs) == 0 {
		return loopbackRedirect(raw)
	}
	asked, ok := parseRedirect(raw)
	return ok && slices.ContainsFunc(g.redirectURIs, func(callback string) bool {
		known, err := url.Parse(callback)
		return err == nil && below(asked, known)
	})
}

// below is GitHub's rule for callback addresses, without its subdomains. Dots
// and backslashes, by which a browser could leave the directory, are refused.
func below(asked, known *url.URL) bool {
	samePort := asked.Port() == known.Port() || loopback(known.Hostname())
	directory := strings.TrimSuffix(known.EscapedPath(), "/") + "/"
	return asked.Scheme == known.Scheme && asked.Hostname() == known.Hostname() && samePort &&
		(asked.EscapedPath() == known.EscapedPath() || strings.HasPrefix(asked.EscapedPath(), directory)) &&
		!strings.Contains(asked.Path, "/.") && !strings.Contains(asked.Path, `\`)
}

// parseGitHubScopes splits at blanks and commas, both of which GitHub takes,
// and leaves out what another scope of the list already includes.
func parseGitHubScopes(raw string) []string {
	scopes := strings.FieldsFunc(raw, func(r rune) bool { return r == ' ' || r == ',' })
	slices.Sort(scopes)
	scopes = slices.Compact(scopes)
	if slices.Contains(scopes, "user") {
		scopes = slices.DeleteFunc(scopes, func(s string) bool {
			return s == "read:user" || s == "user:email" || s == "user:follow"
		})
	}
	return scopes
}

func (t githubToken) has(scopes ...string) bool {
	return slices.ContainsFunc(scopes, func(s string) bool { return slices.Contains(t.scopes, s) })
}

func (p GitHubPerson) primary() GitHubEmail {
	i := slices.IndexFunc(p.Emails, func(e GitHubEmail) bool { return e.Primary })
	if i < 0 {
		return GitHubEmail{}
	}
	return p.Emails[i]
}

func (p GitHubPerson) row() Person {
	detail := cmp.Or(p.Note, p.primary().Email)
	return Person{ID: p.Login, Name: cmp.Or(p.Label, p.Name, p.Login), Detail: p.Login + ": " + detail, Avatar: p.avatarPath()}
}
