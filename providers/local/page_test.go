package local_test

import (
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/broker/providers/local"
)

var (
	buttonTag = regexp.MustCompile(`<button id="([^"]+)" [^>]*>([^<]+)</button>`)
	actionTag = regexp.MustCompile(`<form method="post" action="([^"]+)">`)
	anyID     = regexp.MustCompile(` id="([^"]+)"`)
)

func buttons(page string) []string {
	var found []string
	for _, match := range buttonTag.FindAllStringSubmatch(page, -1) {
		found = append(found, match[1]+": "+html.UnescapeString(match[2]))
	}
	return found
}

func pickerPages(t *testing.T) map[string]reply {
	_, github := startGitHub(t, nil)
	_, google := startGoogle(t, nil)
	return map[string]reply{"GitHub": get(t, githubAuthURL(github)), "Google": get(t, googleAuthURL(google))}
}

func TestPickerButtons(t *testing.T) {
	want := map[string][]string{
		"GitHub": {
			"as-octavia: Continue as Octavia Example",
			"as-ada: Continue as Ada Example",
			"as-noor: Continue as Noor Example",
			"as-sam: Continue as Sam Example",
			"as-robin-before: Continue as Robin Example (before the rename)",
			"as-robin-after: Continue as Robin Example (after the rename)",
			"cancel: Cancel",
		},
		"Google": {
			"as-wren: Continue as Wren Example",
			"as-gil: Continue as Gil Example",
			"as-uli: Continue as Uli Example",
			"as-ada: Continue as Ada Example",
			"cancel: Cancel",
		},
	}
	for name, page := range pickerPages(t) {
		if diff := cmp.Diff(want[name], buttons(page.body)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestPagesAreSafeAndAccessible(t *testing.T) {
	_, github := startGitHub(t, nil)
	all := pickerPages(t)
	all["error"] = get(t, githubAuthURL(github, "client_id", `"><script>alert(1)</script>`))
	for name, page := range all {
		t.Run(name, func(t *testing.T) {
			header := map[string]string{
				"Content-Type":            "text/html; charset=utf-8",
				"Cache-Control":           "no-store",
				"X-Content-Type-Options":  "nosniff",
				"Referrer-Policy":         "same-origin",
				"Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'",
			}
			for field, want := range header {
				if got := page.header.Get(field); got != want {
					t.Errorf("%s: %q, want %q", field, got, want)
				}
			}
			for _, want := range []string{`<html lang="en" dir="ltr">`, "<title>", `name="viewport"`, `<main id="main">`, `href="#main"`} {
				if !strings.Contains(page.body, want) {
					t.Errorf("%s is missing", want)
				}
			}
			if got := strings.Count(page.body, "<h1>"); got != 1 {
				t.Errorf("%d h1, want 1", got)
			}
			for _, unwanted := range []string{"<script", " style=", " onclick="} {
				if strings.Contains(page.body, unwanted) {
					t.Errorf("%s on the page", unwanted)
				}
			}
			var ids []string
			for _, match := range anyID.FindAllStringSubmatch(page.body, -1) {
				ids = append(ids, match[1])
			}
			slices.Sort(ids)
			if compact := slices.Compact(slices.Clone(ids)); len(compact) != len(ids) {
				t.Errorf("ids %v repeat", ids)
			}
		})
	}
	if got := get(t, github.URL+"/local.css"); got.status != http.StatusOK || !strings.Contains(got.body, "prefers-color-scheme: dark") {
		t.Errorf("style: status %d, want one with a dark half", got.status)
	}
}

func TestPickerNamesBannerAppAndScopes(t *testing.T) {
	_, server := startGitHub(t, func(o *local.GitHubOptions) {
		o.Banner = "A <b>banner</b>"
		o.AppName = "The broker"
	})
	page := get(t, githubAuthURL(server)).body
	for _, want := range []string{"A &lt;b&gt;banner&lt;/b&gt;", "<strong>The broker</strong>", "<code>user:email</code>", "<strong>127.0.0.1:8080</strong>"} {
		if !strings.Contains(page, want) {
			t.Errorf("%s is not on the page", want)
		}
	}
}

// TestFormKeepsTheRequest presses a button by what is on the page, unlike Pick.
func TestFormKeepsTheRequest(t *testing.T) {
	_, github := startGitHub(t, nil)
	_, google := startGoogle(t, nil)
	const state = "a b&c=d%20\r\n\x00\xff\"'<>+;/é"
	for _, authURL := range []string{githubAuthURL(github, "state", state), googleAuthURL(google, "state", state)} {
		base, err := url.Parse(authURL)
		if err != nil {
			t.Fatal(err)
		}
		match := actionTag.FindStringSubmatch(get(t, authURL).body)
		if match == nil {
			t.Fatal("no form on the page")
		}
		action, err := base.Parse(html.UnescapeString(match[1]))
		if err != nil {
			t.Fatal(err)
		}
		if got := pick(t, action.String(), "ada").Get("state"); got != state {
			t.Errorf("state %q, want %q", got, state)
		}
	}
}

func TestHintedPersonComesFirst(t *testing.T) {
	_, github := startGitHub(t, nil)
	_, google := startGoogle(t, nil)
	tests := []struct{ name, authURL, first string }{
		{"GitHub login", githubAuthURL(github, "login", "sam"), "as-sam"},
		{"GitHub login of nobody", githubAuthURL(github, "login", "nobody"), "as-octavia"},
		{"Google address", googleAuthURL(google, "login_hint", "ULI@example.com"), "as-uli"},
		{"Google sub", googleAuthURL(google, "login_hint", "110169484474386270002"), "as-gil"},
		{"Google domain", googleAuthURL(google, "hd", "example.org"), "as-wren"},
		{"Google select_account", googleAuthURL(google, "prompt", "select_account consent"), "as-wren"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			found := buttons(get(t, test.authURL).body)
			if len(found) == 0 || !strings.HasPrefix(found[0], test.first+":") {
				t.Errorf("buttons %v, want %s first", found, test.first)
			}
		})
	}
}

func TestFormRefusals(t *testing.T) {
	_, server := startGitHub(t, nil)
	tests := []struct {
		name   string
		form   url.Values
		header map[string]string
		status int
	}{
		{"nobody picked", url.Values{}, nil, 400},
		{"an unknown person", url.Values{"person": {"mallory"}}, nil, 400},
		{"a form of another site", url.Values{"person": {"ada"}}, map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		{"a form of another origin", url.Values{"person": {"ada"}}, map[string]string{"Origin": "https://evil.example"}, 403},
		{"the page's own form", url.Values{"person": {"ada"}}, map[string]string{"Sec-Fetch-Site": "same-origin"}, 303},
		{"another content type", url.Values{"person": {"ada"}}, map[string]string{"Content-Type": "text/plain"}, 400},
		{"a body past the cap", url.Values{"person": {strings.Repeat("a", 65<<10)}}, nil, 400},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			req := formRequest(t, githubAuthURL(server), test.form)
			for name, value := range test.header {
				req.Header.Set(name, value)
			}
			if got := do(t, req); got.status != test.status {
				t.Errorf("status %d, want %d\n%s", got.status, test.status, got.body)
			}
		})
	}
}

func TestOnlyLoopbackHostsAreServed(t *testing.T) {
	github := local.NewGitHub(local.GitHubOptions{
		ClientID: clientID, ClientSecret: clientSecret, Now: newClock().Now, BaseURL: "https://github.dev.example",
	})
	tests := []struct {
		host   string
		status int
	}{
		{"127.0.0.1:1234", 401},
		{"localhost", 401},
		{"[::1]:1", 401},
		{"[::1]", 401},
		{"github.dev.example", 401}, // the configured one
		{"evil.example", 421},
		{"127.0.0.1.evil.example:80", 421},
		{"github.dev.example:81", 421},
		{"", 421},
	}
	for _, test := range tests {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/user", nil)
		req.Host = test.host
		req.Header.Set("User-Agent", "test")
		recorder := httptest.NewRecorder()
		github.ServeHTTP(recorder, req)
		if recorder.Code != test.status {
			t.Errorf("Host %q: status %d, want %d", test.host, recorder.Code, test.status)
		}
	}
}

func TestConstructorsRefuseBadOptions(t *testing.T) {
	now := newClock().Now
	tests := map[string]local.GitHubOptions{
		"no clock":           {ClientID: clientID, ClientSecret: clientSecret},
		"no client":          {ClientSecret: clientSecret, Now: now},
		"no secret":          {ClientID: clientID, Now: now},
		"a base with a path": {ClientID: clientID, ClientSecret: clientSecret, Now: now, BaseURL: "http://127.0.0.1/github"},
		"a base with /":      {ClientID: clientID, ClientSecret: clientSecret, Now: now, BaseURL: "http://127.0.0.1/"},
	}
	for name, options := range tests {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			local.NewGitHub(options)
		})
	}
}

func TestPeople(t *testing.T) {
	github, _ := startGitHub(t, nil)
	google, _ := startGoogle(t, nil)
	want := local.Person{ID: "ada", Name: "Ada Example", Detail: "ada: three addresses, ada@example.com is primary and verified", Avatar: "/u/900000001"}
	if diff := cmp.Diff(want, github.People()[1]); diff != "" {
		t.Errorf("GitHub (-want +got):\n%s", diff)
	}
	want = local.Person{ID: "ada", Name: "Ada Example", Detail: "ada@example.com: the same address as Ada at the local GitHub", Avatar: "/a/110169484474386270004"}
	if diff := cmp.Diff(want, google.People()[3]); diff != "" {
		t.Errorf("Google (-want +got):\n%s", diff)
	}
}
