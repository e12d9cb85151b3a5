package local

import (
	"hash/fnv"
	"net/http"
	"slices"
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

// readsOrgs says whether a token may list organizations: GitHub refuses others.
func readsOrgs(token githubToken) bool {
	return token.has("read:org", "write:org", "admin:org", "user", "repo")
}

// orgs lists those of the person that the app and the token may see.
func (g *GitHub) orgs(w http.ResponseWriter, r *http.Request, token githubToken) {
	w.Header().Set("X-Accepted-OAuth-Scopes", "admin:org, read:org, repo, user, write:org")
	if !readsOrgs(token) {
		githubProblem(w, http.StatusForbidden, "You need at least read:org scope or user scope to list your organizations.")
		return
	}
	list := []map[string]any{}
	for _, org := range g.seen(w, token.person) {
		list = append(list, g.org(r, org))
	}
	writeJSON(w, http.StatusOK, paged(r, list))
}

// teams lists those in organizations that the app and the token may see.
func (g *GitHub) teams(w http.ResponseWriter, r *http.Request, token githubToken) {
	w.Header().Set("X-Accepted-OAuth-Scopes", "admin:org, read:org, repo, user, write:org")
	if !readsOrgs(token) {
		githubProblem(w, http.StatusForbidden, "Your token has not been granted the required scopes to execute this query.")
		return
	}
	orgs := g.seen(w, token.person)
	list := []map[string]any{}
	for _, team := range token.person.Teams {
		org, slug, _ := strings.Cut(team, "/")
		if slices.Contains(orgs, org) {
			list = append(list, map[string]any{
				"id": orgNumber(team), "name": slug, "slug": slug, "privacy": "closed", "permission": "pull", "organization": g.org(r, org),
			})
		}
	}
	writeJSON(w, http.StatusOK, paged(r, list))
}

// membership answers for one organization by name, and says why where it may not.
func (g *GitHub) membership(w http.ResponseWriter, r *http.Request, token githubToken) {
	w.Header().Set("X-Accepted-OAuth-Scopes", "admin:org, read:org, repo, user, write:org")
	org := strings.ToLower(r.PathValue("org"))
	is := func(name string) bool { return strings.EqualFold(name, org) }
	switch {
	case !readsOrgs(token):
		githubProblem(w, http.StatusForbidden, "You need at least read:org scope to see your organization membership.")
	case slices.ContainsFunc(g.unapproved, is):
		githubProblem(w, http.StatusForbidden, "Although you appear to have the correct authorization credentials, the `"+org+
			"` organization has enabled OAuth App access restrictions, meaning that data access to third-parties is limited.")
	case slices.ContainsFunc(g.sso, is):
		w.Header().Set("X-GitHub-SSO", "required; url="+g.base(r)+"/orgs/"+org+"/sso")
		githubProblem(w, http.StatusForbidden, "Resource protected by organization SAML enforcement. You must grant your OAuth token access to this organization.")
	case !slices.ContainsFunc(g.memberships(token.person), is):
		githubProblem(w, http.StatusNotFound, "Not Found")
	default:
		writeJSON(w, http.StatusOK, map[string]any{"state": "active", "role": "member", "organization": g.org(r, org)})
	}
}

// organization tells anybody about an organization that somebody is in.
func (g *GitHub) organization(w http.ResponseWriter, r *http.Request, _ githubToken) {
	for _, p := range g.people {
		for _, org := range p.Orgs {
			if strings.EqualFold(org, r.PathValue("org")) {
				writeJSON(w, http.StatusOK, g.org(r, org))
				return
			}
		}
	}
	githubProblem(w, http.StatusNotFound, "Not Found")
}

// seen are the organizations that lists may hold. The header tells of those that want a SAML session, and of nobody else.
func (g *GitHub) seen(w http.ResponseWriter, p GitHubPerson) []string {
	var out, hidden []string
	for _, org := range g.memberships(p) {
		is := func(name string) bool { return strings.EqualFold(name, org) }
		switch {
		case slices.ContainsFunc(g.unapproved, is):
		case slices.ContainsFunc(g.sso, is):
			hidden = append(hidden, strconv.FormatInt(orgNumber(org), 10))
		default:
			out = append(out, org)
		}
	}
	if len(hidden) > 0 {
		w.Header().Set("X-GitHub-SSO", "partial-results; organizations="+strings.Join(hidden, ","))
	}
	return out
}

func (g *GitHub) memberships(p GitHubPerson) []string {
	g.membersMu.Lock()
	defer g.membersMu.Unlock()
	return slices.DeleteFunc(slices.Clone(p.Orgs), func(org string) bool { return slices.Contains(g.left[p.ID], org) })
}

// Leave takes an account out of an organization and its teams.
func (g *GitHub) Leave(login, org string) {
	g.membersMu.Lock()
	defer g.membersMu.Unlock()
	for _, p := range g.people {
		if p.Login == login {
			g.left[p.ID] = append(g.left[p.ID], org)
		}
	}
}

func (g *GitHub) org(r *http.Request, login string) map[string]any {
	api := g.base(r) + GitHubAPIPrefix + "/orgs/" + login
	return map[string]any{"login": login, "id": orgNumber(login), "url": api, "repos_url": api + "/repos", "description": nil}
}

// orgNumber is stable, and as arbitrary as GitHub's.
func orgNumber(name string) int64 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(strings.ToLower(name)))
	return int64(h.Sum32()) + 1
}

// paged cuts out the page that was asked for: 30 a page unless the request says so, at most 100.
func paged(r *http.Request, list []map[string]any) []map[string]any {
	size, err := strconv.Atoi(r.URL.Query().Get("per_page"))
	if err != nil || size < 1 {
		size = 30
	}
	size = min(size, 100)
	page, err := strconv.Atoi(r.URL.Query().Get("page"))
	if err != nil || page < 1 {
		page = 1
	}
	from := min((page-1)*size, len(list))
	return list[from:min(from+size, len(list))]
}

func githubProblem(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, map[string]string{
		"message": message, "documentation_url": "https://docs.github.com/rest", "status": strconv.Itoa(status),
	})
}
