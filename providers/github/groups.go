package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"example.com/broker/providers"
	"example.com/broker/rbac"
)

// What mapping rules can read beside the members of the account: the logins of organisations, and teams as organisation/slug, both in
// lower case, as GitHub does not tell their case apart.
const (
	claimOrgs  = "orgs"
	claimTeams = "teams"
)

const (
	groupScope = "read:org"
	// groupsBudget bounds what groups may add to a sign-in.
	groupsBudget = 5 * time.Second
	pageSize     = 100
	maxPages     = 10
	maxByName    = 10
)

func readsGroups(scopes []string) bool {
	return slices.ContainsFunc(scopes, func(s string) bool {
		return s == groupScope || s == "write:org" || s == "admin:org" || s == "user" || s == "repo"
	})
}

// groups adds organisations and teams to the claims. A sign-in never fails for them: what could not be asked for is returned with the
// reason, and for that nobody loses a role.
func (p *provider) groups(ctx context.Context, token *oauth2.Token, claims map[string]any) rbac.Unasked {
	// An account has no members of these names; if it ever gets some, they are not these.
	delete(claims, claimOrgs)
	delete(claims, claimTeams)
	if why := p.withoutScope(token); why != "" {
		return rbac.Unasked{claimOrgs: why, claimTeams: why}
	}
	ctx, cancel := context.WithTimeout(ctx, groupsBudget)
	defer cancel()
	unasked, hidden, numbers := rbac.Unasked{}, hiddenOrgs{}, map[string]string{}
	orgs, err := p.list(ctx, token.AccessToken, "/user/orgs", hidden, func(o map[string]any) string {
		login := lower(o["login"])
		numbers[login], _ = accountNumber(o["id"])
		return login
	})
	if err != nil {
		unasked[claimOrgs] = reason(err)
	}
	teams, err := p.list(ctx, token.AccessToken, "/user/teams", hidden, func(t map[string]any) string {
		org, _ := t["organization"].(map[string]any)
		if login, slug := lower(org["login"]), lower(t["slug"]); login != "" && slug != "" {
			return login + "/" + slug
		}
		return ""
	})
	if err != nil {
		unasked[claimTeams] = reason(err)
	}
	// Organisations that did not approve the app, or that want a SAML session, are left out of the lists. Only the answer for one by name
	// tells "not a member" from "not for you to know".
	asked := 0
	for _, org := range p.named() {
		if slices.Contains(orgs, org) {
			if hidden.has(numbers[org]) { // one list may have what the other leaves out
				p.leaveOpen(unasked, org, reason(errSAML))
			}
			continue
		}
		if asked++; asked > maxByName {
			p.leaveOpen(unasked, org, fmt.Sprintf("more than %d organisations would have to be asked one by one", maxByName))
			continue
		}
		member, err := p.member(ctx, token.AccessToken, org)
		if err == nil && !member && len(hidden) > 0 && p.mayBe(ctx, token.AccessToken, org, hidden) {
			err = errSAML
		}
		if err != nil {
			p.leaveOpen(unasked, org, reason(err))
		} else if member {
			orgs = append(orgs, org)
		}
	}
	claims[claimOrgs], claims[claimTeams] = anys(orgs), anys(teams)
	return unasked
}

// hiddenOrgs are the numbers of organisations that lists leave out, because they demand a SAML session which the token has not.
type hiddenOrgs map[string]bool

// note takes what the answer to a list says of it, in GitHub's form: X-GitHub-SSO: partial-results; organizations=21955855,20582480
// (https://docs.github.com/en/rest/authentication/authenticating-to-the-rest-api). A form that is not that one hides every organisation.
func (h hiddenOrgs) note(header http.Header) {
	for _, v := range header.Values("X-GitHub-SSO") {
		kind, rest, _ := strings.Cut(v, ";")
		if !strings.EqualFold(strings.TrimSpace(kind), "partial-results") {
			continue
		}
		numbers, ok := strings.CutPrefix(strings.TrimSpace(rest), "organizations=")
		for n := range strings.SplitSeq(numbers, ",") {
			h[strings.TrimSpace(n)] = true
		}
		if !ok {
			h[anyOrg] = true
		}
	}
}

const anyOrg = "*"

func (h hiddenOrgs) has(number string) bool {
	return h[number] || h[anyOrg] || number == "" && len(h) > 0
}

// errSAML stands for a no that may be a "not for you to know": GitHub answers for an organisation that demands a SAML session with 403 or
// with 404.
var errSAML = errors.New("github: an organisation demands a SAML session")

// mayBe reports whether an organisation is one of the hidden ones, which GitHub names by number only. One whose number is not told may be.
func (p *provider) mayBe(ctx context.Context, token, org string, hidden hiddenOrgs) bool {
	o, err := providers.GetObject(ctx, p.client, "an organisation at GitHub", p.api+"/orgs/"+url.PathEscape(org), token)
	if err != nil {
		return true
	}
	number, _ := accountNumber(o["id"])
	return hidden.has(number)
}

// leaveOpen notes that nobody knows whether the person is in an organisation, and so in its teams.
func (p *provider) leaveOpen(unasked rbac.Unasked, org, why string) {
	unasked[claimOrgs+"="+org] = why
	for _, team := range p.ask(claimTeams) {
		if strings.HasPrefix(team, org+"/") {
			unasked[claimTeams+"="+team] = why
		}
	}
}

// withoutScope says why the token cannot read organisations, "" if it can. GitHub names what it granted, separated by commas.
func (p *provider) withoutScope(token *oauth2.Token) string {
	if !readsGroups(p.oauth.Scopes) {
		return "the scope " + groupScope + " is not asked for"
	}
	granted, _ := token.Extra("scope").(string)
	if granted != "" && !readsGroups(strings.FieldsFunc(granted, func(r rune) bool { return r == ',' || r == ' ' })) {
		return "the scope " + groupScope + " was not granted"
	}
	return ""
}

func (p *provider) ask(claim string) []string {
	if p.config.Ask == nil {
		return nil
	}
	return p.config.Ask(claim)
}

// named are the organisations that rules speak of, by themselves or by their teams.
func (p *provider) named() []string {
	var out []string
	for _, v := range slices.Concat(p.ask(claimOrgs), p.ask(claimTeams)) {
		org, _, _ := strings.Cut(lower(v), "/")
		if org != "" && !slices.Contains(out, org) {
			out = append(out, org)
		}
	}
	return out
}

// list reads all pages of a list of objects, and notes what they leave out.
func (p *provider) list(ctx context.Context, token, path string, hidden hiddenOrgs, name func(map[string]any) string) (out []string, err error) {
	for page := 1; page <= maxPages; page++ {
		address := fmt.Sprintf("%s%s?per_page=%d&page=%d", p.api, path, pageSize, page)
		v, header, err := providers.GetWithHeader(ctx, p.client, "the groups of the GitHub account", address, token)
		if err != nil {
			return out, err
		}
		hidden.note(header)
		list, ok := v.([]any)
		if !ok {
			return out, providers.Invalid(nil, "GitHub's groups are not a list.")
		}
		for _, v := range list {
			object, _ := v.(map[string]any)
			if n := name(object); n != "" {
				out = append(out, n)
			}
		}
		if len(list) < pageSize {
			return out, nil
		}
	}
	return out, fmt.Errorf("more than %d groups", maxPages*pageSize)
}

// member asks for one organisation by name. 404 is a no; anything else but 200 is no answer.
func (p *provider) member(ctx context.Context, token, org string) (bool, error) {
	m, err := providers.GetObject(ctx, p.client, "a membership of the GitHub account", p.api+"/user/memberships/orgs/"+url.PathEscape(org), token)
	if refused, ok := errors.AsType[*providers.StatusError](err); ok && refused.Status == http.StatusNotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return m["state"] == "active", nil
}

// reason says in a few words of ours why something could not be asked: never in the upstream's.
func reason(err error) string {
	refused, ok := errors.AsType[*providers.StatusError](err)
	switch {
	case errors.Is(err, errSAML):
		return "the organisation demands a SAML session"
	case errors.Is(err, context.DeadlineExceeded):
		return "GitHub did not answer in time"
	case !ok:
		return "GitHub did not answer, or not in a form that can be read"
	case refused.Status == http.StatusForbidden && strings.HasPrefix(refused.Header.Get("X-GitHub-SSO"), "required"):
		return "the organisation demands a SAML session"
	case refused.Status == http.StatusForbidden && scopeMissing(refused):
		return "GitHub refused: the organisation has not approved this app, or the scope is missing"
	case refused.Status == http.StatusForbidden || refused.Status == http.StatusTooManyRequests:
		return "GitHub's rate limit is used up"
	}
	return fmt.Sprintf("GitHub answered with status %d", refused.Status)
}

func lower(v any) string {
	s, _ := v.(string)
	return strings.ToLower(strings.TrimSpace(s))
}

func anys(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}
