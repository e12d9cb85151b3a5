package local

import (
	"net/http"
	"strconv"
	"strings"
)

// api guards an endpoint of the REST API by an access token.
func (g *GitHub) api(next func(http.ResponseWriter, *http.Request, githubToken)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-GitHub-Media-Type", "github.v3; format=json")
		if r.UserAgent() == "" {
			http.Error(w, "Request forbidden by administrative rules. Please make sure your request has a User-Agent header.", http.StatusForbidden)
			return
		}
		raw, found := bearer(r, "Bearer", "token")
		if !found {
			githubProblem(w, http.StatusUnauthorized, "Requires authentication")
			return
		}
		token, ok := g.tokens.get(g.now(), raw)
		if !ok {
			githubProblem(w, http.StatusUnauthorized, "Bad credentials")
			return
		}
		w.Header().Set("X-OAuth-Scopes", strings.Join(token.scopes, ", "))
		next(w, r, token)
	}
}

func (g *GitHub) user(w http.ResponseWriter, r *http.Request, token githubToken) {
	w.Header().Set("X-Accepted-OAuth-Scopes", "")
	writeJSON(w, http.StatusOK, token.person.profile(g.base(r)))
}

// emails hides itself from a token that may not read addresses, as GitHub does.
func (g *GitHub) emails(w http.ResponseWriter, _ *http.Request, token githubToken) {
	w.Header().Set("X-Accepted-OAuth-Scopes", "user, user:email")
	if !token.has("user", "user:email") {
		githubProblem(w, http.StatusNotFound, "Not Found")
		return
	}
	addresses := token.person.Emails
	if addresses == nil {
		addresses = []GitHubEmail{}
	}
	writeJSON(w, http.StatusOK, addresses)
}

// orgs is an empty list: nobody here belongs to an organization.
func (g *GitHub) orgs(w http.ResponseWriter, _ *http.Request, _ githubToken) {
	w.Header().Set("X-Accepted-OAuth-Scopes", "admin:org, read:org, repo, user, write:org")
	writeJSON(w, http.StatusOK, []struct{}{})
}

func githubProblem(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, map[string]string{
		"message": message, "documentation_url": "https://docs.github.com/rest", "status": strconv.Itoa(status),
	})
}
