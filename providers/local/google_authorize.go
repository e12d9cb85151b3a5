package local

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// googleScopes maps what may be asked for to what is granted: Google answers
// with the long names.
var googleScopes = map[string]string{
	"openid":  "openid",
	"email":   "https://www.googleapis.com/auth/userinfo.email",
	"profile": "https://www.googleapis.com/auth/userinfo.profile",
	"https://www.googleapis.com/auth/userinfo.email":   "https://www.googleapis.com/auth/userinfo.email",
	"https://www.googleapis.com/auth/userinfo.profile": "https://www.googleapis.com/auth/userinfo.profile",
}

// googleRequest is a checked authorization request.
type googleRequest struct {
	redirectURI string
	state       string
	nonce       string
	challenge   string
	scopes      []string // long names
	prompts     []string
	loginHint   string
	domainHint  string
}

func (g *Google) authorize(w http.ResponseWriter, r *http.Request) {
	asked, ok := g.checkRequest(w, r)
	if !ok {
		return
	}
	if slices.Contains(asked.prompts, "none") {
		// Nobody is ever signed in here: OpenID Connect Core section 3.1.2.6.
		g.respond(w, r, asked.redirectURI, g.base(r), url.Values{"error": {"login_required"}, "state": {asked.state}})
		return
	}
	rows := hintedFirst(g.People(), func(i int) bool { return asked.hints(g.people[i]) })
	g.picker(w, r, asked.redirectURI, strings.Fields(r.URL.Query().Get("scope")), rows)
}

// hints says whether the request names the person, by address, sub or domain.
// The domain only sorts: like Google's, this hd is no promise that the account
// in the answer belongs to it.
func (asked googleRequest) hints(p GooglePerson) bool {
	if asked.loginHint != "" {
		return strings.EqualFold(asked.loginHint, p.Email) || asked.loginHint == p.Sub
	}
	return asked.domainHint != "" && p.HostedDomain != "" && (asked.domainHint == "*" || asked.domainHint == p.HostedDomain)
}

// decide answers the form of the picker.
func (g *Google) decide(w http.ResponseWriter, r *http.Request) {
	asked, ok := g.checkRequest(w, r)
	if !ok {
		return
	}
	handle, cancelled, ok := g.chosen(w, r)
	if !ok {
		return
	}
	if cancelled {
		g.respond(w, r, asked.redirectURI, g.base(r), url.Values{"error": {"access_denied"}, "state": {asked.state}})
		return
	}
	i := slices.IndexFunc(g.people, func(p GooglePerson) bool { return p.Handle == handle })
	if i < 0 {
		g.refuse(w, http.StatusBadRequest, "Nobody here has that account", "", "This local Google does not know "+quoted(handle)+". Go back and pick one of the people listed.")
		return
	}
	code := googleCodePrefix + g.secret(20)
	g.codes.put(g.now(), code, googleCode{
		person: g.people[i], redirectURI: asked.redirectURI, challenge: asked.challenge, nonce: asked.nonce, scopes: asked.scopes,
	})
	// authuser, hd, prompt and scope come along at Google too; a client has
	// to ignore what it does not know (RFC 6749 section 4.1.2).
	g.respond(w, r, asked.redirectURI, g.base(r), url.Values{
		"code": {code}, "state": {asked.state}, "scope": {strings.Join(asked.scopes, " ")},
		"authuser": {"0"}, "hd": {g.people[i].HostedDomain}, "prompt": {"consent"},
	})
}

// checkRequest reads and checks an authorization request. It has written the
// page when ok is false: Google never redirects for a faulty request.
func (g *Google) checkRequest(w http.ResponseWriter, r *http.Request) (googleRequest, bool) {
	asked, problem := g.readRequest(r.URL.Query())
	if problem != nil {
		g.refuse(w, problem.status, "Access blocked: authorization error", fmt.Sprintf("%d: %s", problem.status, problem.code), problem.message)
		return googleRequest{}, false
	}
	return asked, true
}

// googleProblem is what Google says on its error page.
type googleProblem struct {
	status  int
	code    string
	message string
}

func badRequest(format string, args ...any) *googleProblem {
	return &googleProblem{http.StatusBadRequest, "invalid_request", fmt.Sprintf(format, args...)}
}

func (g *Google) readRequest(query url.Values) (googleRequest, *googleProblem) {
	for name, values := range query {
		// RFC 6749 section 3.1: no parameter more than once.
		if len(values) > 1 {
			return googleRequest{}, badRequest("OAuth 2 parameters can only have a single value: %s.", quoted(name))
		}
	}
	asked := googleRequest{
		redirectURI: query.Get("redirect_uri"),
		state:       query.Get("state"),
		nonce:       query.Get("nonce"),
		challenge:   query.Get("code_challenge"),
		prompts:     strings.Fields(query.Get("prompt")),
		loginHint:   query.Get("login_hint"),
		domainHint:  query.Get("hd"),
	}
	id := query.Get("client_id")
	switch {
	case id == "":
		return asked, badRequest("Missing required parameter: client_id.")
	case id != g.clientID:
		return asked, &googleProblem{http.StatusUnauthorized, "invalid_client", "The OAuth client was not found: received " + quoted(id) + ", the registered one is " + quoted(g.clientID) + "."}
	case asked.redirectURI == "":
		return asked, badRequest("Missing required parameter: redirect_uri.")
	case !g.registered(asked.redirectURI):
		return asked, &googleProblem{http.StatusBadRequest, "redirect_uri_mismatch", "The redirect_uri " + quoted(asked.redirectURI) + " is not " + g.expectedRedirects() + "."}
	}
	if problem := checkResponse(query); problem != nil {
		return asked, problem
	}
	if problem := checkPKCE(asked.challenge, query.Get("code_challenge_method")); problem != nil {
		return asked, problem
	}
	if problem := checkPrompts(asked.prompts); problem != nil {
		return asked, problem
	}
	scopes, problem := parseGoogleScopes(query.Get("scope"))
	asked.scopes = scopes
	return asked, problem
}

func (g *Google) expectedRedirects() string {
	if len(g.redirectURIs) == 0 {
		return "an address on this computer (http://127.0.0.1, http://[::1] or http://localhost, with any port and path)"
	}
	return "one of the registered ones, byte for byte: " + strings.Join(g.redirectURIs, ", ")
}

func checkResponse(query url.Values) *googleProblem {
	kind, mode := query.Get("response_type"), query.Get("response_mode")
	switch {
	case kind == "":
		return badRequest("Required parameter is missing: response_type.")
	case kind != "code":
		return &googleProblem{http.StatusBadRequest, "unsupported_response_type", "Received response_type " + quoted(kind) + ", this local Google knows only code."}
	case mode != "" && mode != "query":
		return badRequest("Received response_mode %s, this local Google knows only query.", quoted(mode))
	}
	return nil
}

// checkPKCE refuses plain, which Google still takes: a broker has no use for it.
func checkPKCE(challenge, method string) *googleProblem {
	switch {
	case challenge == "" && method == "":
		return nil
	case method != "S256":
		return badRequest("Invalid code_challenge_method %s, expected S256.", quoted(method))
	case !wellFormedChallenge(challenge):
		return badRequest("Invalid code_challenge %s, expected 43 characters of base64url.", quoted(challenge))
	}
	return nil
}

func checkPrompts(prompts []string) *googleProblem {
	for _, prompt := range prompts {
		if prompt != "none" && prompt != "consent" && prompt != "select_account" {
			return badRequest("Invalid parameter value for prompt: %s.", quoted(prompt))
		}
	}
	// OpenID Connect Core section 3.1.2.1: none stands alone.
	if len(prompts) > 1 && slices.Contains(prompts, "none") {
		return badRequest("The prompt none cannot be combined with another.")
	}
	return nil
}

// parseGoogleScopes returns the long names in the order asked for.
func parseGoogleScopes(raw string) ([]string, *googleProblem) {
	if strings.TrimSpace(raw) == "" {
		return nil, badRequest("Missing required parameter: scope.")
	}
	var granted []string
	for _, scope := range strings.Fields(raw) {
		long, known := googleScopes[scope]
		if !known {
			return nil, &googleProblem{http.StatusBadRequest, "invalid_scope", "Some requested scopes were invalid: " + quoted(scope) + ". This local Google knows openid, email and profile."}
		}
		if !slices.Contains(granted, long) {
			granted = append(granted, long)
		}
	}
	return granted, nil
}
