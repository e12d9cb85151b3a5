package local

import (
	"net/http"
	"net/url"
	"slices"
)

const (
	githubAuthorizeHelp = "https://docs.github.com/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-authorization-request-errors/#"
	githubTokenHelp     = "https://docs.github.com/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-oauth-app-access-token-request-errors/#"

	githubRedirectMismatch = "The redirect_uri MUST match the registered callback URL for this application."
)

// githubRequest is a checked authorization request.
type githubRequest struct {
	redirectURI string
	state       string
	scopes      []string
	challenge   string
	login       string
}

func (g *GitHub) authorize(w http.ResponseWriter, r *http.Request) {
	asked, ok := g.checkRequest(w, r)
	if !ok {
		return
	}
	rows := hintedFirst(g.People(), func(i int) bool { return asked.login != "" && g.people[i].Login == asked.login })
	g.picker(w, r, asked.redirectURI, asked.scopes, rows)
}

// decide answers the form of the picker.
func (g *GitHub) decide(w http.ResponseWriter, r *http.Request) {
	asked, ok := g.checkRequest(w, r)
	if !ok {
		return
	}
	login, cancelled, ok := g.chosen(w, r)
	if !ok {
		return
	}
	if cancelled {
		g.fail(w, r, asked, "access_denied", "The user has denied your application access.", githubAuthorizeHelp+"access-denied")
		return
	}
	i := slices.IndexFunc(g.people, func(p GitHubPerson) bool { return p.Login == login })
	if i < 0 {
		g.refuse(w, http.StatusBadRequest, "Nobody here has that login", "", "This local GitHub does not know "+quoted(login)+". Go back and pick one of the people listed.")
		return
	}
	code := g.secret(10)
	g.codes.put(g.now(), code, githubCode{
		person: g.people[i], redirectURI: asked.redirectURI, challenge: asked.challenge, scopes: asked.scopes,
	})
	g.respond(w, r, asked.redirectURI, g.issuer(r), url.Values{"code": {code}, "state": {asked.state}})
}

// checkRequest reads and checks an authorization request. It has written the
// answer when ok is false: a page as long as no callback address is known to be
// the app's own, a redirect from then on.
func (g *GitHub) checkRequest(w http.ResponseWriter, r *http.Request) (githubRequest, bool) {
	query := r.URL.Query()
	if id := query.Get("client_id"); id != g.clientID {
		g.refuse(w, http.StatusNotFound, "Not found", "", "No application here has the client_id "+quoted(id)+"; the registered one is "+quoted(g.clientID)+".")
		return githubRequest{}, false
	}
	asked := githubRequest{
		redirectURI: query.Get("redirect_uri"),
		state:       query.Get("state"),
		scopes:      parseGitHubScopes(query.Get("scope")),
		challenge:   query.Get("code_challenge"),
		login:       query.Get("login"),
	}
	if asked.redirectURI == "" && len(g.redirectURIs) > 0 {
		asked.redirectURI = g.redirectURIs[0] // the parameter is optional at GitHub
	}
	if !g.registered(asked.redirectURI) {
		g.mismatch(w, r, asked)
		return githubRequest{}, false
	}
	// GitHub takes S256 only, and an absent method means plain (RFC 7636
	// section 4.3). Its errors for this are not documented.
	method := query.Get("code_challenge_method")
	switch {
	case asked.challenge == "" && method == "":
	case method != "S256":
		g.fail(w, r, asked, "invalid_request", "code_challenge_method must be S256.", "")
		return githubRequest{}, false
	case !wellFormedChallenge(asked.challenge):
		g.fail(w, r, asked, "invalid_request", "code_challenge must be 43 characters of base64url.", "")
		return githubRequest{}, false
	}
	return asked, true
}

// mismatch tells the registered address, never the one in the request.
func (g *GitHub) mismatch(w http.ResponseWriter, r *http.Request, asked githubRequest) {
	if len(g.redirectURIs) == 0 {
		g.refuse(w, http.StatusBadRequest, "Be careful", "redirect_uri_mismatch",
			"The redirect_uri "+quoted(asked.redirectURI)+" is not an address on this computer. Expected http://127.0.0.1, http://[::1] or http://localhost with any port and path.")
		return
	}
	asked.redirectURI = g.redirectURIs[0]
	g.fail(w, r, asked, "redirect_uri_mismatch", githubRedirectMismatch, githubAuthorizeHelp+"redirect-uri-mismatch")
}

func (g *GitHub) fail(w http.ResponseWriter, r *http.Request, asked githubRequest, code, description, uri string) {
	g.respond(w, r, asked.redirectURI, g.issuer(r), url.Values{
		"error": {code}, "error_description": {description}, "error_uri": {uri}, "state": {asked.state},
	})
}
