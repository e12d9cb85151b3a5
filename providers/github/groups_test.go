package github_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/broker/providers"
	"example.com/broker/providers/github"
	"example.com/broker/providers/local"
	"example.com/broker/rbac"
)

// What rules read of organisations and teams, and what counts as not asked.
func TestGroups(t *testing.T) {
	const none = "the scope read:org is not asked for"
	for _, row := range []struct {
		name    string
		options local.GitHubOptions
		config  func(*providers.Config)
		fault   map[string]http.HandlerFunc
		orgs    any
		teams   any
		unasked rbac.Unasked
	}{
		{"nobody asks where no rule reads them", local.GitHubOptions{}, func(c *providers.Config) { c.Groups = false }, nil, nil, nil, rbac.Unasked{"orgs": none, "teams": none}},
		{"a member", local.GitHubOptions{}, nil, nil, []any{"octo-org"}, []any{"octo-org/editors"}, rbac.Unasked{}},
		{"a rule about an organisation of others is answered by name", local.GitHubOptions{}, asks("elsewhere"), nil, []any{"octo-org"}, []any{"octo-org/editors"}, rbac.Unasked{}},
		{
			"an organisation that has not approved the app",
			local.GitHubOptions{UnapprovedOrgs: []string{"octo-org"}},
			asks("octo-org", "octo-org/editors"), nil,
			[]any{},
			[]any{},
			rbac.Unasked{"orgs=octo-org": unapproved, "teams=octo-org/editors": unapproved},
		},
		{
			"an organisation that demands a SAML session",
			local.GitHubOptions{SSOOrgs: []string{"octo-org"}},
			asks("octo-org"), nil,
			[]any{},
			[]any{},
			rbac.Unasked{"orgs=octo-org": saml},
		},
		{
			"one that answers for it with 404, as GitHub may",
			local.GitHubOptions{SSOOrgs: []string{"octo-org"}},
			asks("octo-org", "octo-org/editors"),
			map[string]http.HandlerFunc{local.GitHubMembershipPath + "octo-org": local.Answer(404, "application/json", "{}")},
			[]any{},
			[]any{},
			rbac.Unasked{"orgs=octo-org": saml, "teams=octo-org/editors": saml},
		},
		{
			"another one than those that lists leave out is a no, and one of which nothing is known is none",
			local.GitHubOptions{SSOOrgs: []string{"octo-org"}},
			asks("elsewhere", "nowhere"),
			map[string]http.HandlerFunc{local.GitHubOrgPath + "elsewhere": local.Answer(200, "application/json", `{"id":5}`)},
			[]any{},
			[]any{},
			rbac.Unasked{"orgs=nowhere": saml},
		},
		{
			"a list of teams that leaves out what the other list has",
			local.GitHubOptions{},
			asks("octo-org", "octo-org/editors"),
			map[string]http.HandlerFunc{
				local.GitHubOrgsPath:  local.Answer(200, "application/json", `[{"login":"octo-org","id":21955855},{"login":"acme","id":7}]`),
				local.GitHubTeamsPath: partial("partial-results; organizations=21955855,20582480"),
			},
			[]any{"octo-org", "acme"},
			[]any{},
			rbac.Unasked{"orgs=octo-org": saml, "teams=octo-org/editors": saml},
		},
		{
			"organisations that are not told hide each one",
			local.GitHubOptions{},
			asks("octo-org/editors"),
			map[string]http.HandlerFunc{local.GitHubTeamsPath: partial("partial-results")},
			[]any{"octo-org"},
			[]any{},
			rbac.Unasked{"orgs=octo-org": saml, "teams=octo-org/editors": saml},
		},
		{
			"a refusal is no empty answer",
			local.GitHubOptions{},
			nil,
			map[string]http.HandlerFunc{local.GitHubOrgsPath: local.Answer(403, "application/json", "{}")},
			[]any{},
			[]any{"octo-org/editors"},
			rbac.Unasked{"orgs": unapproved},
		},
		{
			"nor is a failure, or nonsense",
			local.GitHubOptions{},
			nil,
			map[string]http.HandlerFunc{local.GitHubOrgsPath: local.Reset, local.GitHubTeamsPath: local.Answer(200, "application/json", "{}")},
			[]any{},
			[]any{},
			rbac.Unasked{"orgs": silent, "teams": silent},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := row.options
			o.ClientID, o.ClientSecret, o.Now = clientID, clientSecret, now
			hub := local.NewGitHub(o)
			server := httptest.NewServer(hub)
			t.Cleanup(server.Close)
			for path, fault := range row.fault {
				hub.SetFault(local.GitHubAPIPrefix+path, fault)
				hub.SetFault(path, fault)
			}
			c := configFor(server.URL)
			c.Groups = true
			if row.config != nil {
				row.config(&c)
			}
			p, err := github.New(c)
			if err != nil {
				t.Fatal(err)
			}
			got, err := signIn(t, p, "octavia")
			if err != nil {
				t.Fatalf("groups must never fail a sign-in: %v", err)
			}
			if diff := cmp.Diff(row.unasked, got.Identity.Unasked); diff != "" {
				t.Errorf("what was not asked (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]any{row.orgs, row.teams}, []any{got.Identity.Claims["orgs"], got.Identity.Claims["teams"]}); diff != "" {
				t.Errorf("groups (-want +got):\n%s", diff)
			}
		})
	}
}

const (
	unapproved = "GitHub refused: the organisation has not approved this app, or the scope is missing"
	silent     = "GitHub did not answer, or not in a form that can be read"
	saml       = "the organisation demands a SAML session"
)

// partial is an empty list that says what it leaves out.
func partial(header string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-GitHub-SSO", header)
		local.Answer(200, "application/json", "[]")(w, r)
	}
}

// asks are rules that compare with these: teams have a slash.
func asks(values ...string) func(*providers.Config) {
	return func(c *providers.Config) {
		c.Ask = func(claim string) (out []string) {
			for _, v := range values {
				if strings.Contains(v, "/") == (claim == "teams") {
					out = append(out, v)
				}
			}
			return out
		}
	}
}
