package local

import (
	"net/http"
	"net/url"
	"strings"
)

// githubTokenError is one of the errors that GitHub's token endpoint answers,
// with status 200.
type githubTokenError struct{ code, description, anchor string }

var (
	errGitHubClient = githubTokenError{
		"incorrect_client_credentials", "The client_id and/or client_secret passed are incorrect.", "incorrect-client-credentials",
	}
	errGitHubRedirect = githubTokenError{"redirect_uri_mismatch", githubRedirectMismatch, "redirect-uri-mismatch"}
	errGitHubCode     = githubTokenError{
		"bad_verification_code", "The code passed is incorrect or expired.", "bad-verification-code",
	}
	errGitHubEmail = githubTokenError{
		"unverified_user_email", "The user must have a verified primary email.", "unverified-user-email",
	}
	errGitHubGrant = githubTokenError{"unsupported_grant_type", "The grant_type must be authorization_code.", ""}
)

// token exchanges a code. A code that the right client presents is spent,
// whatever else is wrong with the request.
func (g *GitHub) token(w http.ResponseWriter, r *http.Request) {
	if err := parseForm(r); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	client, err := readCredentials(r)
	if err != nil || client.id != g.clientID || !g.rightSecret(client.secret) {
		answerGitHub(w, r, errGitHubClient.values())
		return
	}
	granted, refused := g.redeem(r.PostForm)
	if refused != nil {
		answerGitHub(w, r, refused.values())
		return
	}
	token := "gho_" + g.secret(18)
	g.tokens.put(g.now(), token, granted)
	answerGitHub(w, r, url.Values{
		"access_token": {token}, "token_type": {"bearer"}, "scope": {strings.Join(granted.scopes, ",")},
	})
}

func (g *GitHub) redeem(form url.Values) (githubToken, *githubTokenError) {
	// GitHub asks for no grant_type and knows another value only for devices.
	if grant := form.Get("grant_type"); grant != "" && grant != "authorization_code" {
		return githubToken{}, &errGitHubGrant
	}
	code, ok := g.codes.take(g.now(), form.Get("code"))
	switch {
	case !ok:
		return githubToken{}, &errGitHubCode
	case form.Has("redirect_uri") && form.Get("redirect_uri") != code.redirectURI:
		return githubToken{}, &errGitHubRedirect
	case !verifies(code.challenge, form.Get("code_verifier")):
		return githubToken{}, &errGitHubCode
	case g.refuseUnverified && !code.person.primary().Verified:
		return githubToken{}, &errGitHubEmail
	}
	return githubToken{person: code.person, scopes: code.scopes}, nil
}

func (e githubTokenError) values() url.Values {
	return url.Values{"error": {e.code}, "error_description": {e.description}, "error_uri": {githubTokenHelp + e.anchor}}
}

// answerGitHub writes a form, unless the caller accepts JSON. Errors have
// status 200 as well.
func answerGitHub(w http.ResponseWriter, r *http.Request, values url.Values) {
	if strings.Contains(r.Header.Get("Accept"), "json") {
		members := make(map[string]string, len(values))
		for name := range values {
			members[name] = values.Get(name)
		}
		writeJSON(w, http.StatusOK, members)
		return
	}
	w.Header().Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write([]byte(values.Encode()))
}
