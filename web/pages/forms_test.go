package pages_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"example.com/broker/web/pages"
)

// TestFieldAttributes fixes the markup that password managers, keyboards and browsers rely on.
func TestFieldAttributes(t *testing.T) {
	t.Parallel()
	r := renderer(t, pages.Options{})
	signIn := pages.SignIn{Password: true}
	prove := pages.Prove{Password: true, Username: "jo", FixedUsername: true}
	register := pages.Register{AskUsername: true, MinLength: 12}
	identifier := map[string]string{
		"type": "text", "inputmode": "email", "name": "username", "autocomplete": "username webauthn", "autocapitalize": "none",
		"spellcheck": "false", "required": "", "maxlength": "320",
	}
	password := map[string]string{
		"type": "password", "name": "password", "autocomplete": "current-password", "required": "", "maxlength": "1024", "value": "-",
		"minlength": "-",
	}
	toggle := map[string]string{"type": "button", "aria-pressed": "false", "aria-controls": "password", "hidden": ""}
	tests := []struct {
		name string
		page pages.Page
		id   string
		want map[string]string // "-" means absent
	}{
		{"sign-in asks for a name", signIn, "username", identifier},
		{"sign-in asks for a password", signIn, "password", password},
		{"the toggle does nothing before its script runs", signIn, "password-toggle", toggle},
		{"a proof asks for the same name", prove, "username", identifier},
		{"a proof for a known name does not change it", prove, "username", map[string]string{"readonly": "", "value": "jo"}},
		{"a proof asks for a password", prove, "password", password},
		{"registration asks for an address", register, "email", map[string]string{
			"type": "email", "name": "email", "autocomplete": "email", "autocapitalize": "none", "required": "",
		}},
		{"registration asks for a name", register, "username", map[string]string{
			"type": "text", "name": "username", "autocomplete": "username", "autocapitalize": "none", "required": "",
		}},
		{"registration asks for a new password", register, "password", map[string]string{
			"type": "password", "name": "password", "autocomplete": "new-password", "passwordrules": "minlength: 12;", "minlength": "12",
			"maxlength": "1024", "aria-describedby": "password-hint",
		}},
		{"the least length is 15 unless said otherwise", pages.Register{}, "password", map[string]string{"minlength": "15"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := byID(t, render(t, r, tt.page), tt.id)
			for name, want := range tt.want {
				if want == "-" {
					if has(n, name) {
						t.Errorf("%s = %q, want it absent", name, attr(n, name))
					}
					continue
				}
				if got := attr(n, name); !has(n, name) || got != want {
					t.Errorf("%s = %q (there: %t), want %q", name, got, has(n, name), want)
				}
			}
		})
	}
}

// fields returns what a form would send besides what is typed: hidden fields and named buttons.
func fields(form *html.Node) map[string][]string {
	got := map[string][]string{}
	for n := range form.Descendants() {
		if n.Type == html.ElementNode && (attr(n, "type") == "hidden" || n.Data == "button" && attr(n, "name") != "") {
			got[attr(n, "name")] = append(got[attr(n, "name")], attr(n, "value"))
		}
	}
	return got
}

func TestFormsCarryTheTrip(t *testing.T) {
	t.Parallel()
	r := renderer(t, pages.Options{BasePath: "/auth"})
	tx := []pages.Field{{Name: "tx", Value: `v1.a+b/c=&"<>`}}
	value := tx[0].Value
	answers := func(a ...string) map[string][]string { return map[string][]string{"tx": {value}, "answer": a} }
	tests := []struct {
		name         string
		page         pages.Page
		form, action string
		want         map[string][]string
	}{
		{"sign-in", pages.SignIn{Password: true, Hidden: tx}, "signin-form", "/auth/login", map[string][]string{"tx": {value}}},
		{
			"sign-in elsewhere",
			pages.SignIn{Password: true, Hidden: tx, Action: "/other"},
			"signin-form", "/auth/other",
			map[string][]string{"tx": {value}},
		},
		{
			"an unsafe action is replaced",
			pages.SignIn{Password: true, Action: "javascript:alert(1)"},
			"signin-form", "/auth/login",
			map[string][]string{},
		},
		{
			"going on as the one signed in",
			pages.SignIn{Hidden: tx, Account: &pages.Account{Name: "Jo"}},
			"continue-as", "/auth/login",
			map[string][]string{"tx": {value}},
		},
		{"proof", pages.Prove{Password: true, Hidden: tx}, "prove-form", "/auth/login", map[string][]string{"tx": {value}}},
		{"link", pages.ConfirmLink{Hidden: tx}, "link-form", "/auth/login/link", answers(pages.AnswerCancel, pages.AnswerConnect)},
		{"sign-out", pages.SignOut{Hidden: tx}, "signout-form", "/auth/end_session", answers(pages.AnswerStay, pages.AnswerSignOut)},
		{"sign-out from here", pages.SignedIn{Hidden: tx}, "signout-form", "/auth/logout", map[string][]string{"tx": {value}}},
		{"registration", pages.Register{Hidden: tx}, "register-form", "/auth/register", map[string][]string{"tx": {value}}},
		{"consent", pages.Consent{Hidden: tx}, "consent-form", "/auth/authorize/consent", answers(pages.AnswerCancel, pages.AnswerAllow)},
		{
			"the hand-off adds no parameter of its own",
			pages.FormPost{RedirectURI: "https://app.example/cb?a=1&b=%2F", Fields: tx},
			"handoff", "https://app.example/cb?a=1&b=%2F",
			map[string][]string{"tx": {value}},
		},
		{
			"the hand-off to a native app",
			pages.FormPost{RedirectURI: "com.example.app:/cb", Fields: tx},
			"handoff", "com.example.app:/cb",
			map[string][]string{"tx": {value}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			form := byID(t, render(t, r, tt.page), tt.form)
			if got := attr(form, "action"); got != tt.action {
				t.Errorf("action = %q, want %q", got, tt.action)
			}
			if diff := cmp.Diff(tt.want, fields(form)); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHandOffToAnUnsafeAddressSendsNothing(t *testing.T) {
	t.Parallel()
	source := render(t, renderer(t, pages.Options{}), pages.FormPost{
		RedirectURI: "javascript:alert(1)", Fields: []pages.Field{{Name: "code", Value: "s3cret"}},
	})
	if strings.Contains(source, "s3cret") || strings.Contains(source, "<form") || strings.Contains(source, "handoff.js") {
		t.Errorf("the page holds the code or a form:\n%s", source)
	}
}

func TestProviderLinks(t *testing.T) {
	t.Parallel()
	r := renderer(t, pages.Options{BasePath: "/auth"})
	tx := []pages.Field{{Name: "tx", Value: "v1.a+b/c="}}
	page := pages.SignIn{Hidden: tx, Providers: []pages.Provider{
		{ID: "google", Name: "Google", Kind: "google"},
		{ID: "git hub/é", Name: "GitHub", Kind: "github", LastUsed: true},
		{ID: "acme"},
		{Name: "without an id"},
	}}
	source := render(t, r, page)
	n := byID(t, source, "provider-google")
	u, err := url.Parse(attr(n, "href"))
	if err != nil || u.Path != "/auth/login/google" || u.Query().Get("tx") != tx[0].Value {
		t.Errorf("href = %q, want /auth/login/google with tx %q", attr(n, "href"), tx[0].Value)
	}
	if n.Data != "a" || content(n) != "Continue with Google" {
		t.Errorf("<%s> reads %q", n.Data, content(n))
	}
	n = byID(t, source, "provider-git hub/é")
	if got := content(n); got != "Continue with GitHub Last used" {
		t.Errorf("accessible name = %q, want the badge in it", got)
	}
	if got := attr(n, "href"); !strings.HasPrefix(got, "/auth/login/git%20hub%2F%C3%A9?tx=") {
		t.Errorf("href = %q, want the id as one path segment", got)
	}
	if got := content(byID(t, source, "provider-acme")); got != "Continue with acme" {
		t.Errorf("a provider without a name reads %q", got)
	}
	if got := strings.Count(source, `class="provider"`); got != 3 {
		t.Errorf("%d providers, want 3", got)
	}
}

// TestNothingShownThatDoesNotAnswer finds elements of rooms that are not built.
func TestNothingShownThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	r := renderer(t, pages.Options{})
	for _, s := range everything() {
		source := strings.ToLower(render(t, r, s.page))
		for _, word := range []string{"forgot", "reset your password", "passkey", "email me", "keep me signed in", "recovery"} {
			if strings.Contains(source, word) {
				t.Errorf("%s mentions %q", s.name, word)
			}
		}
	}
	bare := render(t, r, pages.SignIn{Password: true})
	for _, id := range []string{"register-link", "cancel", "continue-as", "use-another", "app-name", "notice", "error-summary", "dev-banner"} {
		if strings.Contains(bare, `id="`+id+`"`) {
			t.Errorf("the bare sign-in page has %q", id)
		}
	}
}

func TestWrongCredentials(t *testing.T) {
	t.Parallel()
	r := renderer(t, pages.Options{})
	source := render(t, r, pages.SignIn{Password: true, Username: "jo@example.org", Notice: &pages.Notice{Code: "credentials_invalid"}})
	box := byID(t, source, "error-summary")
	if attr(box, "role") != "alert" || attr(box, "tabindex") != "-1" || !has(box, "autofocus") {
		t.Errorf("the summary is not announced and focused: %v", box.Attr)
	}
	if got := content(box); !strings.HasPrefix(got, "That email and password don't match. Check both and try again.") {
		t.Errorf("summary = %q", got)
	}
	if !strings.Contains(source, `href="#password"`) {
		t.Error("the summary does not link to the field")
	}
	name, password := byID(t, source, "username"), byID(t, source, "password")
	if attr(name, "value") != "jo@example.org" {
		t.Errorf("username = %q, want it to survive", attr(name, "value"))
	}
	if has(password, "value") {
		t.Error("the password was sent back")
	}
	if attr(name, "aria-invalid") != "true" || attr(password, "aria-invalid") != "true" {
		t.Error("both fields must be marked, so that neither is named as the wrong one")
	}
	if attr(password, "aria-describedby") != "password-error" {
		t.Errorf("password is described by %q", attr(password, "aria-describedby"))
	}
}

func TestNotices(t *testing.T) {
	t.Parallel()
	r := renderer(t, pages.Options{SupportContact: "help@example.org"})
	tests := []struct {
		name, code string
		facts      pages.Facts
		role, want string
		wait       string
	}{
		{
			"a limit says how long", "rate_limited",
			pages.Facts{RetryAfter: 181 * time.Second},
			"alert",
			"Too many tries. Wait 4 minutes, or use another way to sign in.", "181",
		},
		{
			"a short limit counts seconds", "rate_limited",
			pages.Facts{RetryAfter: 900 * time.Millisecond},
			"alert",
			"Too many tries. Wait 1 second, or use another way to sign in.", "1",
		},
		{
			"a long limit counts hours", "rate_limited",
			pages.Facts{RetryAfter: 3 * time.Hour},
			"alert",
			"Too many tries. Wait 3 hours, or use another way to sign in.", "10800",
		},
		{
			"a limit without a time", "rate_limited",
			pages.Facts{},
			"alert",
			"Too many tries. Wait a moment, or use another way to sign in.", "",
		},
		{
			"a limit that somebody has to lift names them", "attempts_exhausted",
			pages.Facts{RetryAfter: 8760 * time.Hour},
			"alert",
			"Too many wrong passwords in a row. Ask help@example.org to set a new one, or use another way to sign in.", "",
		},
		{
			"a provider that hangs", "upstream_unavailable",
			pages.Facts{Provider: "GitHub"},
			"alert",
			"GitHub isn't answering. Your account is fine. Try another way.", "",
		},
		{
			"a person who cancelled", "upstream_denied",
			pages.Facts{Provider: "GitHub"},
			"alert",
			"You cancelled at GitHub. Choose another way, or try again.", "",
		},
		{"a disabled account", "account_disabled", pages.Facts{}, "alert", "This account is disabled. Contact help@example.org.", ""},
		{
			"a fresh sign-in is no fault", pages.NoticeFresh,
			pages.Facts{App: "Orders"},
			"status",
			"Sign in again to continue. Orders asks that it be you, now.", "",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			source := render(t, r, pages.SignIn{Password: true, Notice: &pages.Notice{Code: tt.code, Facts: tt.facts}})
			n := byID(t, source, "notice")
			if attr(n, "role") != tt.role || attr(n, "data-code") != tt.code {
				t.Errorf("role = %q, code = %q", attr(n, "role"), attr(n, "data-code"))
			}
			if got := content(n); got != tt.want {
				t.Errorf("notice = %q, want %q", got, tt.want)
			}
			wait := ""
			for d := range n.Descendants() {
				if d.Type == html.ElementNode && has(d, "data-wait") {
					wait = attr(d, "data-wait")
				}
			}
			if wait != tt.wait {
				t.Errorf("data-wait = %q, want %q", wait, tt.wait)
			}
		})
	}
}

func TestProveNamesTheWay(t *testing.T) {
	t.Parallel()
	r := renderer(t, pages.Options{})
	page := pages.Prove{New: pages.Identity{Provider: "GitHub"}, Providers: []pages.Provider{{ID: "google", Name: "Google"}}}
	want := "You already have an account that signs in with Google. Sign in with Google once to connect GitHub."
	if got := content(byID(t, render(t, r, page), "main")); !strings.Contains(got, want) {
		t.Errorf("page reads %q, want %q in it", got, want)
	}
	page.Password = true
	want = "signs in with Google or your password. Sign in one of these ways to connect GitHub."
	if got := content(byID(t, render(t, r, page), "main")); !strings.Contains(got, want) {
		t.Errorf("page reads %q, want %q in it", got, want)
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	r := renderer(t, pages.Options{})
	tx := []pages.Field{{Name: "tx", Value: "t"}}
	link := byID(t, render(t, r, pages.SignIn{App: "Orders", Cancel: &pages.Action{URL: "/cancel?x=1", Hidden: tx}}), "cancel")
	if link.Data != "a" || attr(link, "href") != "/cancel?x=1&tx=t" || content(link) != "Cancel and go back to Orders" {
		t.Errorf("<%s href=%q> reads %q", link.Data, attr(link, "href"), content(link))
	}
	button := byID(t, render(t, r, pages.SignIn{Cancel: &pages.Action{URL: "/cancel", Post: true, Hidden: tx, Label: "No"}}), "cancel")
	form := button.Parent
	if button.Data != "button" || form.Data != "form" || attr(form, "action") != "/cancel" || content(button) != "No" {
		t.Errorf("<%s> in <%s action=%q> reads %q", button.Data, form.Data, attr(form, "action"), content(button))
	}
	if diff := cmp.Diff(map[string][]string{"tx": {"t"}}, fields(form)); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
}

func TestTimesAreUTC(t *testing.T) {
	t.Parallel()
	cet := time.FixedZone("CET", 3600)
	source := render(t, renderer(t, pages.Options{}), pages.SignedIn{Since: time.Date(2026, 11, 24, 7, 3, 0, 0, cet)})
	if want := `<time datetime="2026-11-24T06:03:00Z">24 Nov 2026, 06:03 UTC</time>`; !strings.Contains(source, want) {
		t.Errorf("no %s in the page", want)
	}
}
