package local_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"example.com/broker/providers/local"
)

// FuzzRedirectStaysOnThisComputer: whatever redirect_uri is asked for and
// whatever is pressed, the browser is sent to a loopback host or nowhere, and
// to the very address that was asked for.
func FuzzRedirectStaysOnThisComputer(f *testing.F) {
	for _, seed := range []string{
		callback, "http://localhost/cb?a=b", "https://[::1]:1/", "http://127.0.0.1@evil.example/", `http://127.0.0.1\@evil.example/`,
		"http://127.0.0.1.evil.example", "//evil.example", "javascript:alert(1)", "http://127.0.0.1:80#@evil.example", "http://LOCALHOST/", "",
	} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	now := newClock().Now
	github := local.NewGitHub(local.GitHubOptions{ClientID: clientID, ClientSecret: clientSecret, Now: now})
	google := local.NewGoogle(local.GoogleOptions{ClientID: clientID, ClientSecret: clientSecret, Now: now, Key: signingKey()})
	f.Fuzz(func(t *testing.T, redirectURI string, cancel bool) {
		query := url.Values{
			"client_id": {clientID}, "redirect_uri": {redirectURI}, "response_type": {"code"}, "scope": {"email"},
		}.Encode()
		form := "person=ada"
		if cancel {
			form = "cancel=1"
		}
		for path, handler := range map[string]http.Handler{local.GitHubAuthorizePath: github, local.GoogleAuthorizePath: google} {
			req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1"+path+"?"+query, strings.NewReader(form))
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			recorder := httptest.NewRecorder()
			handler.ServeHTTP(recorder, req)
			location := recorder.Header().Get("Location")
			if location == "" {
				continue
			}
			target, err := url.Parse(location)
			if err != nil {
				t.Fatalf("Location %q: %v", location, err)
			}
			switch target.Hostname() {
			case "127.0.0.1", "::1", "localhost":
			default:
				t.Errorf("redirect_uri %q leads to host %q", redirectURI, target.Hostname())
			}
			if !strings.HasPrefix(location, redirectURI) {
				t.Errorf("redirect_uri %q became %q", redirectURI, location)
			}
		}
	})
}
