package pages_test

import (
	"time"

	"example.com/broker/web/pages"
)

// sample is one page in one state.
type sample struct {
	name string
	page pages.Page
	// ids must be in the page.
	ids []string
}

func at(day, hour int) time.Time { return time.Date(2026, time.November, day, hour, 3, 0, 0, time.UTC) }

const linuxFirefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

// empties is each page with nothing in its view model.
func empties() []sample {
	return []sample{
		{"signin", pages.SignIn{}, nil},
		{"prove", pages.Prove{}, nil},
		{"link", pages.ConfirmLink{}, []string{"link-form", "link-confirm", "link-cancel"}},
		{"signout", pages.SignOut{}, []string{"signout-form", "signout-confirm", "signout-cancel"}},
		{"signedout", pages.SignedOut{}, []string{"signedout-again"}},
		{"signedin", pages.SignedIn{}, []string{"whoami", "roles", "identities", "signout-form", "signout-submit", "tab-profile", "tab-sessions", "tab-keys"}},
		{"sessions", pages.Sessions{}, []string{"sessions", "tab-profile", "tab-sessions", "tab-keys", "confirm"}},
		{"keys", pages.Keys{}, []string{"keys", "tab-profile", "tab-sessions", "tab-keys", "confirm"}},
		{"register", pages.Register{}, []string{"register-form", "email", "password", "password-toggle", "register-submit", "signin-link"}},
		{"consent", pages.Consent{}, []string{"consent-form", "scopes", "consent-allow", "consent-cancel"}},
		{"handoff", pages.FormPost{}, nil},
		{"return", pages.Return{}, []string{"return-stay"}},
		{"error", pages.Error{}, []string{"error-title", "error-code", "error-action"}},
		{"jwt", pages.JWT{}, []string{"decoder", "verdict", "token", "token-example", "token-clear", "decoded", "keys", "verify", "check-verdict"}},
		{"policy", pages.Policy{
			Users: []pages.Choice{{Value: "alice", Label: "alice (editor)", Chosen: true}, {Value: "you", Label: "you (no role)"}}, Actions: []pages.Choice{{Value: "edit", Label: "edit"}},
			Articles: []pages.Choice{{Value: "own-draft", Label: "an article"}}, Guide: true, JWT: true,
			Answer: pages.PolicyAnswer{Allow: true, Sentence: "alice (editor) may edit an article.", RolesAllow: true, Roles: "The permission is there.", PoliciesAllow: true, Policies: "Allowed by article-edit-author."},
			Presets: []pages.PolicyPreset{{
				ID: "rbac", Name: "Roles", Text: "Each role permits some actions.", Policies: "permit (principal, action, resource);", Schema: "entity User;", Entities: "[]",
				Principal: `User::"alice"`, Action: `Action::"read"`, Resource: `Document::"handbook"`, Context: "{}", Tests: "[]",
			}},
			Me: pages.PolicyPerson{ID: "usr_1", Name: "jo", Roles: []string{"viewer"}},
		}, []string{"ask-form", "user", "action", "article", "answer", "playground", "guide-link", "decoder-link", "policies", "principal", "result"}},
		{"guide", pages.Guide{}, []string{"difference", "methods", "needs", "sheet", "setup"}},
	}
}

// samples is each page with everything, and the states a person meets.
func samples() []sample {
	tx := []pages.Field{{Name: "tx", Value: "v1.Zm9vYmFy"}}
	google := pages.Provider{ID: "google", Name: "Google", Kind: "google"}
	github := pages.Provider{ID: "github", Name: "GitHub", Kind: "github"}
	acme := pages.Provider{ID: "acme", Name: "Acme Workforce", Kind: "oidc"}
	used := github
	used.LastUsed = true
	jo := &pages.Account{Name: "Jo Doe", Detail: "j•••@example.org"}
	back := &pages.Action{URL: "/login/cancel", Post: true, Hidden: tx}
	newID := pages.Identity{Provider: "GitHub", Kind: "github", Handle: "jo-doe", Linked: at(2, 9), LastUsed: at(24, 6)}
	oldID := pages.Identity{Provider: "Google", Kind: "google", Handle: "jo@example.org", Linked: at(1, 9)}
	keyScopes := []pages.KeyScope{{Name: "data:read", Text: "Ask GET /data", Chosen: true}, {Name: "articles:read"}}
	request := pages.Facts{App: "Orders", Provider: "GitHub", RequestID: "req_01hf7zq9w3b2", RetryAfter: 215 * time.Second}
	signIn := pages.SignIn{
		App: "Orders", Hidden: tx, Providers: []pages.Provider{google, used, acme}, Password: true, Register: true, Cancel: back,
	}
	with := func(change func(*pages.SignIn)) pages.SignIn {
		p := signIn
		change(&p)
		return p
	}
	signInIDs := []string{
		"app-name", "provider-google", "provider-github", "provider-acme", "signin-form", "username", "password", "password-toggle",
		"signin-submit", "register-link", "cancel",
	}
	return []sample{
		{"signin", signIn, signInIDs},
		{"signin-wrong", with(func(p *pages.SignIn) {
			p.Username, p.Notice = "jo@example.org", &pages.Notice{Code: "credentials_invalid"}
		}), append([]string{"error-summary", "password-error"}, signInIDs...)},
		{"signin-limited", with(func(p *pages.SignIn) {
			p.Username, p.Notice = "jo@example.org", &pages.Notice{Code: "rate_limited", Facts: request}
		}), append([]string{"notice"}, signInIDs...)},
		{"signin-down", with(func(p *pages.SignIn) {
			p.Notice = &pages.Notice{Code: "upstream_unavailable", Facts: request}
		}), append([]string{"notice"}, signInIDs...)},
		{"signin-returning", with(func(p *pages.SignIn) {
			p.Account, p.UseAnother = jo, &pages.Action{URL: "/login", Hidden: append(tx, pages.Field{Name: "account", Value: "other"})}
			p.Providers, p.Password, p.Register = nil, false, false
		}), []string{"continue-as", "continue-submit", "use-another", "cancel"}},
		{"signin-all", with(func(p *pages.SignIn) {
			p.Account, p.UseAnother = jo, &pages.Action{URL: "/login"}
			p.Notice = &pages.Notice{Code: pages.NoticeFresh, Facts: request}
			p.Cancel = &pages.Action{URL: "https://orders.example.com/?error=access_denied"}
		}), append([]string{"continue-as", "use-another", "notice"}, signInIDs...)},
		{"prove", pages.Prove{
			App: "Orders", New: newID, Hidden: tx, Providers: []pages.Provider{google}, Cancel: back,
		}, []string{"prove-google", "cancel"}},
		{"prove-password", pages.Prove{
			App: "Orders", New: newID, Hidden: tx, Providers: []pages.Provider{google}, Password: true, Username: "jo@example.org",
			FixedUsername: true, Cancel: back, Notice: &pages.Notice{Code: "credentials_invalid"},
		}, []string{"prove-google", "prove-form", "username", "password", "password-toggle", "prove-submit", "error-summary"}},
		{"link", pages.ConfirmLink{
			App: "Orders", Account: pages.Account{Name: "Jo Doe", Detail: "jo@example.org"}, Ways: []pages.Identity{oldID}, New: newID,
			Hidden: tx,
		}, []string{"link-form", "link-confirm", "link-cancel"}},
		{"signout", pages.SignOut{
			App: "Orders", Account: jo, Hidden: tx, Notice: &pages.Notice{Code: "logout_invalid"},
		}, []string{"signout-form", "signout-confirm", "signout-cancel", "app-name"}},
		{"signout-link", pages.SignOut{App: "Orders", Stay: &pages.Action{URL: "/dashboard"}}, []string{"signout-cancel"}},
		{"signedout", pages.SignedOut{
			App: "Orders", Back: &pages.Action{URL: "https://orders.example.com/"},
		}, []string{"signedout-back", "signedout-again"}},
		{"signedin", pages.SignedIn{
			Account: pages.Account{Name: "Jo Doe", Detail: "jo@example.org"}, Email: "jo@example.org", Verified: true, Username: "jo",
			UserID: "usr_01930f6a-7b1c-7def-8a3b-5c9d1e2f3a4b", Since: at(24, 6), Until: at(24, 18), Hidden: tx, Password: true,
			Roles:      []pages.Role{{Name: "editor", Source: "rule “staff”"}, {Name: "viewer", Source: "default"}},
			Identities: []pages.Identity{oldID, newID},
			Notice:     &pages.Notice{Code: pages.NoticeLinked, Facts: request},
		}, []string{"whoami", "roles", "identities", "signout-form", "signout-submit", "notice"}},
		{"sessions", pages.Sessions{
			AccessLife: 15 * time.Minute, More: true, Notice: &pages.Notice{Code: pages.NoticeEnded},
			List: []pages.Session{
				{ID: "s-1", Current: true, UserAgent: linuxFirefox, Address: "203.0.113.7", SignedIn: at(24, 6), LastActive: at(24, 7), Until: at(24, 18)},
				{ID: "s-2", UserAgent: linuxFirefox, SignedIn: at(24, 5), LastActive: at(24, 5), Until: at(24, 17), Way: "GitHub", Kind: "github"},
				{ID: "s/3", UserAgent: "curl/8.5.0", SignedIn: at(23, 20), LastActive: at(24, 7), Later: true, Until: at(24, 8), Way: "Acme", Kind: "oidc"},
			},
		}, []string{"notice", "sessions", "end-others", "end-others-submit", "access-life", "confirm"}},
		{"keys", pages.Keys{
			Live: []pages.Key{
				{ID: "8nLq2Zr0QF2b3dQ1pXkV5A", Name: "Nightly export", Prefix: "bk_8nLq2Zr0QF2b3dQ1pXkV5A", Scopes: []string{"data:read", "articles:read"}, State: "active", Created: at(1, 9), Expires: at(28, 9), LastUsed: at(24, 6)},
				{ID: "x", Name: "Never used", Prefix: "bk_x", State: "active", Created: at(2, 9), Expires: at(28, 9)},
			},
			Ended:  []pages.Key{{ID: "y", Prefix: "bk_y", State: "expired", Expires: at(3, 9)}, {ID: "z", Name: "Leaked", Prefix: "bk_z", State: "revoked"}},
			Scopes: keyScopes, Days: "90", MaxDays: 366, Guide: true, Notice: &pages.Notice{Code: pages.NoticeRevoked},
		}, []string{"notice", "keys", "create-form", "name", "days", "scopes", "create-submit", "ended", "confirm"}},
		{"keys-made", pages.Keys{
			Made:   &pages.MadeKey{Name: "Nightly export", Text: "bk_8nLq2Zr0QF2b3dQ1pXkV5A_example", Line: `curl https://id.example.org/data -H "X-API-Key: bk_8nLq2Zr0QF2b3dQ1pXkV5A_example"`, Expires: at(28, 9)},
			Scopes: keyScopes, Days: "90", MaxDays: 366,
		}, []string{"made", "key", "key-copy", "key-curl", "key-saved", "create-form"}},
		{"keys-made-for-something-else", pages.Keys{Made: &pages.MadeKey{Name: "Decisions", Text: "bk_x"}, Scopes: keyScopes}, []string{"made", "key"}},
		{"keys-wrong", pages.Keys{
			Name: "Nightly\nexport", Days: "900", MaxDays: 366, Scopes: keyScopes,
			Errors: []pages.FieldError{{Field: "name", Code: pages.FieldInvalid}, {Field: "scopes", Code: pages.ScopesMissing}, {Field: "days", Code: pages.FieldInvalid, Message: "A number from 1 to 366."}},
		}, []string{"error-summary", "name-error", "scopes-error", "days-error", "create-form"}},
		{"keys-full", pages.Keys{Scopes: keyScopes, Notice: &pages.Notice{Code: "key_limit", Facts: pages.Facts{Status: 409, Said: "One more would pass the limit."}}}, []string{"notice", "create-form"}},
		{"keys-of-somebody", pages.Keys{
			Owner: "Jo Doe", OwnerID: "usr_1", Live: []pages.Key{{ID: "x", Name: "Theirs", Prefix: "bk_x", State: "active"}},
		}, []string{"keys", "confirm"}},
		{"register", pages.Register{
			App: "Orders", Hidden: tx, AskUsername: true, Email: "jo@example.org", Username: "jo doe", Cancel: back,
			Notice: &pages.Notice{Code: "registration_invalid"},
			Errors: []pages.FieldError{
				{Field: "email", Code: pages.EmailTaken},
				{Field: "username", Code: pages.UsernameBad},
				{Field: "password", Code: pages.PasswordShort},
			},
		}, []string{"register-form", "email", "username", "password", "password-toggle", "register-submit", "signin-link", "error-summary"}},
		{"register-fresh", pages.Register{App: "Orders", Hidden: tx, Cancel: back}, []string{"register-form", "email", "password"}},
		{"consent", pages.Consent{
			App: "Print Shop", Host: "print.example.net", Unverified: true, RedirectURI: "https://print.example.net/cb?x=1", Account: jo,
			UseAnother: &pages.Action{URL: "/login"}, Hidden: tx,
			Scopes: append(pages.DescribeScopes([]string{"openid", "profile", "email", "offline_access"}, ""),
				pages.Scope{Name: "orders:read", Text: "Read your orders", API: "Orders API", New: true},
				pages.Scope{Name: "orders:write", Text: "Place orders", API: "Orders API", New: true, Risk: "It can spend your money."}),
		}, []string{"consent-form", "app-name", "scopes", "redirect-host", "consent-allow", "consent-cancel", "use-another"}},
		{"handoff", pages.FormPost{
			App: "Orders", RedirectURI: "https://orders.example.com/callback",
			Fields: []pages.Field{{Name: "code", Value: "g1.s3cret"}, {Name: "state", Value: "a b&c"}, {Name: "iss", Value: "https://id.example.org"}},
		}, []string{"handoff", "handoff-submit", "redirect-host"}},
		{"return", pages.Return{
			App: "Print Shop", URL: "https://print.example.net/cb?error=invalid_scope&state=xyz", Code: "request_invalid",
			RequestID: "req_01hf7zq9w3b2", Facts: request,
		}, []string{"return-host", "return-continue", "return-stay", "details", "error-code", "request-id"}},
		{"error", pages.Error{
			Code: "tx_expired", Facts: request, Next: &pages.Action{URL: "https://orders.example.com/login"}, Other: back,
			Details: []pages.Detail{{Name: "Started", Value: "2026-11-24T06:03:00Z"}, {Name: "Limit", Value: "10 minutes"}},
		}, []string{"error-title", "error-code", "request-id", "request-copy", "error-action", "error-other", "details"}},
		{"error-redirect", pages.Error{
			Code: "redirect_unregistered", Facts: request, Full: true,
			Redirect: &pages.RedirectMismatch{
				Received:   "http://localhost:5174/callback/",
				Registered: []string{"https://orders.example.com/callback", "http://localhost:5173/callback"},
			},
		}, []string{"error-title", "error-code", "request-id", "error-action", "details", "redirect-diff"}},
		{"error-unavailable", pages.Error{
			Code: "unavailable", Facts: request, Next: &pages.Action{URL: "/login", Post: true, Hidden: tx},
		}, []string{"error-action", "error-code"}},
		{"jwt", pages.JWT{
			Issuer: "https://id.example.org/auth", Example: true, Audiences: []string{"https://orders.example.org/"}, Guide: true, Mint: true,
			Preset: pages.PolicyPreset{ID: "rbac", Policies: "permit (principal, action, resource);"},
			Claims: []pages.Meaning{{Name: "iss", Text: "The issuer."}}, Header: []pages.Meaning{{Name: "alg", Text: "How it is signed."}},
		}, []string{"decoder", "guide-link", "known", "api-issuer", "api-audience", "snippet", "ask", "playground-link", "playground-preset", "mint", "mint-sign", "minted", "mint-decode"}},
		{"guide", pages.Guide{
			Issuer:  "https://id.example.org/auth",
			Setup:   []pages.Try{{Label: "The password, which `broker dev` printed", Line: "PASSWORD='paste it here'"}},
			Methods: []pages.Method{{Name: "API key", BestFor: "Scripts", Lives: "The `X-API-Key` header", Row: "api-keys"}},
			Needs:   []pages.Need{{Want: "A script calls an API", Take: "An API key", Row: "api-keys"}},
			Rows: []pages.GuideRow{
				{ID: "api-keys", Title: "API keys", Send: "`X-API-Key`", Answer: "403", Text: []string{"A *password* for a program."}, Tries: []pages.Try{
					{Label: "Use it", Line: `curl https://id.example.org/auth/data -H "X-API-Key: $KEY"`, Status: 200, Shows: "`owner`"},
					{Label: "The demo app", URL: "https://demo.example.org/"},
				}},
				{ID: "rbac", Title: "Roles", Text: []string{"Not yet."}, Later: true},
			},
		}, []string{"setup-line-1", "api-keys", "api-keys-title", "api-keys-try", "api-keys-line-1", "api-keys-place-2", "rbac"}},
		{"error-allowed", pages.Error{Code: "upstream_not_allowed", Facts: request}, []string{"error-action"}},
	}
}
