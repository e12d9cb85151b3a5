package pages_test

import (
	"strings"
	"testing"

	"golang.org/x/net/html"

	"example.com/broker/web/pages"
)

// TestCatalogueIsComplete lists the codes that handlers use; a code without words of its own would read like a crash.
func TestCatalogueIsComplete(t *testing.T) {
	t.Parallel()
	for _, code := range []string{
		"access_denied", "account_disabled", "attempts_exhausted", "callback_invalid", "client_disabled", "client_unknown", "credentials_invalid", "credentials_missing",
		"cross_origin", "flow_replayed", "host_unknown", "identity_conflict", "internal", "link_refused", "logout_invalid",
		"method_not_allowed", "not_claimable", "not_found", "password_off", "provider_disabled", "provider_unknown", "rate_limited",
		"redirect_unregistered", "registration_closed", "registration_invalid", "request_invalid", "response_mode_invalid",
		"session_required", "too_large", "tx_browser_mismatch", "tx_expired", "unavailable", "upstream_denied", "upstream_invalid",
		"upstream_not_allowed", "upstream_unavailable",
	} {
		if !pages.Known(code) {
			t.Errorf("no words for %q", code)
		}
	}
	titles := map[string]string{}
	for _, code := range pages.Codes() {
		title, body, action := pages.Copy(code)
		if other := titles[title]; other != "" {
			t.Errorf("%s and %s share the title %q", code, other, title)
		}
		titles[title] = code
		checkVoice(t, code, title, body, action)
		title, body, action = pages.CopyWith(code, pages.Facts{
			App: "Orders", Provider: "GitHub", Ways: []string{"Google", "a password"}, Role: "user-admin", Email: "jo@example.org",
			Support: "help@example.org", Product: "Acme ID", RequestID: "req_1",
		})
		checkVoice(t, code, title, body, action)
	}
}

func checkVoice(t *testing.T, code string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if text == "" || strings.ContainsAny(text, "{}") {
			t.Errorf("%s: text %q is empty or has a gap", code, text)
		}
		lower := strings.ToLower(text)
		for _, word := range []string{"log in", "login", "oops", "sorry", "please", "invalid request", "illegal", "reset your password", "!"} {
			if strings.Contains(lower, word) {
				t.Errorf("%s: %q contains %q", code, text, word)
			}
		}
	}
	for _, sentence := range texts[:2] {
		if !strings.HasSuffix(sentence, ".") && !strings.Contains(code, "_unknown") {
			t.Errorf("%s: %q does not end like a sentence", code, sentence)
		}
	}
}

func TestCopy(t *testing.T) {
	t.Parallel()
	full := pages.Facts{
		App: "Orders", Provider: "GitHub", Ways: []string{"Google", "GitLab", "a password"}, Role: "user-admin", Email: "jo@x.org",
		Support: "Ana", RequestID: "req_1",
	}
	tests := []struct {
		name, code          string
		facts               pages.Facts
		title, body, action string
	}{
		{
			"without facts the words are general", "redirect_unregistered",
			pages.Facts{},
			"The app sent an address we don't know.", "You didn't do anything wrong. Tell the app: redirect_unregistered.", "Go to the start",
		},
		{
			"with facts they name the app and the request", "redirect_unregistered", full,
			"Orders sent an address we don't know.", "You didn't do anything wrong. Tell Orders: redirect_unregistered, req_1.", "Go to the start",
		},
		{
			"a trip that expired leads back to its app", "tx_expired", full,
			"This sign-in took too long.", "Nothing was shared. Start again.", "Start again at Orders",
		},
		{
			"a conflict names the ways in", "identity_conflict", full,
			"You already have an account that signs in with Google, GitLab or a password.",
			"Sign in with Google, GitLab or a password once to connect GitHub.", "Continue with Google to connect GitHub",
		},
		{
			"a denial names the role and the person", "access_denied", full,
			"You need the user-admin role to see this.", "Signed in as jo@x.org. Ask Ana for it, or use another account.", "Switch account",
		},
		{
			"a denial without facts stays true", "access_denied",
			pages.Facts{},
			"You don't have access to this.", "Ask the people who run this service for it, or use another account.", "Switch account",
		},
		{
			"a rule of an organisation says whom to ask", "upstream_not_allowed", full,
			"Your GitHub account isn't in an allowed organisation.", "Ask Ana to add you, or use another account.", "Use another account",
		},
		{
			"a code nobody knows reads like a fault of ours", "no_such_code", full,
			"Something went wrong on our side.",
			"You didn't do anything wrong. Try again; if it happens again, tell Ana the request id.", "Go to the start",
		},
		{
			"a word of the protocol is about the app's request", "invalid_scope", full,
			"Orders sent a request we can't use.",
			"You didn't do anything wrong, and nothing was shared. Go back to Orders and try again.", "Go to the start",
		},
		{
			"a store that is away is no crash", "store_unavailable", full,
			"We can't answer right now.", "Your account is fine. Wait a moment and try again.", "Try again",
		},
		{
			"a role that is missing is a denial", "role_missing",
			pages.Facts{},
			"You don't have access to this.", "Ask the people who run this service for it, or use another account.", "Switch account",
		},
		{
			"a fact that looks like a gap is not filled again", "client_disabled",
			pages.Facts{App: "{support}", Support: "Ana"},
			"{support} is switched off here.", "Nothing was shared. Ask Ana when it comes back.", "Go to the start",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			title, body, action := pages.CopyWith(tt.code, tt.facts)
			if title != tt.title {
				t.Errorf("title = %q, want %q", title, tt.title)
			}
			if body != tt.body {
				t.Errorf("body = %q, want %q", body, tt.body)
			}
			if action != tt.action {
				t.Errorf("action = %q, want %q", action, tt.action)
			}
		})
	}
}

// TestEveryErrorPageHasAWayOut draws the page of each code.
func TestEveryErrorPageHasAWayOut(t *testing.T) {
	t.Parallel()
	r := renderer(t, pages.Options{Product: "Acme ID", BasePath: "/auth", SupportContact: "https://help.example.org"})
	for _, code := range append(pages.Codes(), "no_such_code") {
		source := render(t, r, pages.Error{Code: code, Facts: pages.Facts{RequestID: "req_1"}})
		if got := content(byID(t, source, "error-code")); got != code {
			t.Errorf("%s: shown code %q", code, got)
		}
		if got := content(byID(t, source, "request-id")); got != "req_1" {
			t.Errorf("%s: shown request id %q", code, got)
		}
		next := byID(t, source, "error-action")
		if attr(next, "href") != "/auth/dashboard" || content(next) != "Go to Acme ID" {
			t.Errorf("%s: next step %q to %q", code, content(next), attr(next, "href"))
		}
		if got := attr(byID(t, source, "support"), "href"); got != "https://help.example.org" {
			t.Errorf("%s: support link %q", code, got)
		}
		if strings.Contains(source, `id="details"`) {
			t.Errorf("%s: details without anything in them", code)
		}
		source = render(t, r, pages.Error{Code: code, Next: &pages.Action{URL: "/login"}})
		_, _, want := pages.CopyWith(code, pages.Facts{Product: "Acme ID"})
		if got := content(byID(t, source, "error-action")); got != want {
			t.Errorf("%s: next step %q, want %q from the catalogue", code, got, want)
		}
	}
}

// marked returns the text of an element with what differs in brackets.
func marked(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode && d.Parent.Data == "mark" {
			b.WriteString("[" + d.Data + "]")
		} else if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}

func TestRedirectComparison(t *testing.T) {
	t.Parallel()
	dev := renderer(t, pages.Options{DevBanner: true})
	tests := []struct {
		name, received string
		registered     []string
		want           []string
		parts          string
	}{
		{
			"a trailing slash", "https://app.example/cb/",
			[]string{"https://app.example/cb"},
			[]string{"https://app.example/cb[/]", "https://app.example/cb"},
			"trailing slash",
		},
		{
			"another port", "http://localhost:5174/cb",
			[]string{"http://localhost:5173/cb"},
			[]string{"http://localhost[:5174]/cb", "http://localhost[:5173]/cb"},
			"port",
		},
		{
			"http for https", "http://app.example/cb",
			[]string{"https://app.example/cb"},
			[]string{"[http://]app.example/cb", "[https://]app.example/cb"},
			"scheme",
		},
		{
			"another path and an added query", "https://app.example/auth/cb?x=1",
			[]string{"https://app.example/oidc/cb"},
			[]string{"https://app.example/[auth]/cb[?x=1]", "https://app.example/[oidc]/cb"},
			"path, query",
		},
		{
			"a host that only begins alike", "https://app.example.evil/cb",
			[]string{"https://app.example/cb"},
			[]string{"https://[app.example.evil]/cb", "https://[app.example]/cb"},
			"host",
		},
		{
			"the closest comes first", "http://localhost:1/cb",
			[]string{"https://app.example/callback", "http://localhost:2/cb"},
			[]string{"http://localhost[:1]/cb", "http://localhost[:2]/cb", "[https://][app.example]/c[all]b[ack]"},
			"port",
		},
		{
			"a native app", "com.example.app:/cb2",
			[]string{"com.example.app:/cb"},
			[]string{"com.example.app:/cb[2]", "com.example.app:/cb"},
			"path",
		},
		{"runes stay whole", "https://a.example/é", []string{"https://a.example/è"}, []string{"https://a.example/[é]", "https://a.example/[è]"}, "path"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			source := render(t, dev, pages.Error{
				Code: "redirect_unregistered", Redirect: &pages.RedirectMismatch{Received: tt.received, Registered: tt.registered},
			})
			var got []string
			var parts string
			for n := range byID(t, source, "redirect-diff").Descendants() {
				if n.Data == "code" {
					got = append(got, marked(n))
				}
				if n.Data == "strong" && parts == "" {
					parts = content(n)
				}
			}
			for i := range tt.want[:2] {
				if i >= len(got) || got[i] != tt.want[i] {
					t.Errorf("line %d of %q, want %q", i, got, tt.want[i])
				}
			}
			if len(got) != len(tt.want) {
				t.Errorf("%d lines, want %d", len(got), len(tt.want))
			}
			if parts != tt.parts {
				t.Errorf("differs in %q, want %q", parts, tt.parts)
			}
		})
	}
}

func TestRegisteredAddressesAreForDevelopers(t *testing.T) {
	t.Parallel()
	page := pages.Error{Code: "redirect_unregistered", Redirect: &pages.RedirectMismatch{
		Received: "https://app.example/other", Registered: []string{"https://app.example/registered-path"},
	}}
	show := func(o pages.Options, full bool) string {
		p := page
		p.Full = full
		return render(t, renderer(t, o), p)
	}
	if source := show(pages.Options{}, false); strings.Contains(source, "registered-path") || !strings.Contains(source, "app.example/other") {
		t.Error("a stranger must see the received address and not the registered ones")
	}
	if !strings.Contains(show(pages.Options{}, true), "registered-path") || !strings.Contains(show(pages.Options{DevBanner: true}, false), "registered-path") {
		t.Error("full mode and dev mode show the registered addresses")
	}
}

func TestLongAddressesAreCut(t *testing.T) {
	t.Parallel()
	long := "https://app.example/" + strings.Repeat("é", 5000)
	many := make([]string, 500)
	for i := range many {
		many[i] = long
	}
	source := render(t, renderer(t, pages.Options{DevBanner: true}), pages.Error{
		Code: "redirect_unregistered", Redirect: &pages.RedirectMismatch{Received: long, Registered: many},
	})
	if len(source) > 64<<10 {
		t.Errorf("the page has %d bytes", len(source))
	}
}
