package local_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"example.com/broker/providers/local"
)

func TestFaults(t *testing.T) {
	github, server := startGitHub(t, nil)
	target := server.URL + local.GitHubTokenPath
	token := func() reply { return do(t, formRequest(t, target, url.Values{})) }

	github.SetFault(local.GitHubTokenPath, local.Answer(http.StatusTeapot, "text/html", "<h1>no"))
	if got := token(); got.status != http.StatusTeapot || got.body != "<h1>no" || got.header.Get("Content-Type") != "text/html" {
		t.Errorf("Answer: %+v", got)
	}

	github.SetFault(local.GitHubTokenPath, local.Redirect("https://evil.example/"))
	if got := token(); got.status != http.StatusTemporaryRedirect || got.header.Get("Location") != "https://evil.example/" {
		t.Errorf("Redirect: %+v", got)
	}

	github.SetFault(local.GitHubTokenPath, local.Flood(10<<20))
	if got := token(); len(got.body) != 10<<20+2 {
		t.Errorf("Flood: %d bytes, want %d", len(got.body), 10<<20+2)
	}

	github.SetFault(local.GitHubTokenPath, local.GzipBomb(10<<20))
	req := formRequest(t, target, url.Values{})
	req.Header.Set("Accept-Encoding", "gzip") // so that the client leaves it packed
	got := do(t, req)
	unpacked, err := gzip.NewReader(bytes.NewReader([]byte(got.body)))
	if err != nil {
		t.Fatal(err)
	}
	size, err := io.Copy(io.Discard, unpacked)
	if err != nil || size != 10<<20+2 || len(got.body) > 100<<10 {
		t.Errorf("GzipBomb: %d bytes from %d (%v), want %d from far fewer", size, len(got.body), err, 10<<20+2)
	}

	github.SetFault(local.GitHubTokenPath, local.Reset)
	if resp, err := http.DefaultClient.Do(formRequest(t, target, url.Values{})); err == nil {
		resp.Body.Close()
		t.Errorf("Reset: answered %s, want a broken connection", resp.Status)
	}

	github.SetFault(local.GitHubTokenPath, local.Hang)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	resp, err := http.DefaultClient.Do(formRequest(t, target, url.Values{"code": {"x"}}).WithContext(ctx))
	if err == nil {
		resp.Body.Close()
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Hang: %v, want the caller's deadline", err)
	}

	github.SetFault(local.GitHubTokenPath, nil)
	if got := token(); !strings.Contains(got.body, "incorrect_client_credentials") {
		t.Errorf("healed: %+v", got)
	}
	if got, want := github.Calls(local.GitHubTokenPath), 7; got != want {
		t.Errorf("%d calls, want %d", got, want)
	}
}

func TestFaultHoldsForBothPlacesOfTheAPI(t *testing.T) {
	github, server := startGitHub(t, nil)
	github.SetFault(local.GitHubUserPath, local.Answer(http.StatusBadGateway, "text/plain", ""))
	for _, path := range []string{"/user", "/api/v3/user"} {
		if got := get(t, server.URL+path); got.status != http.StatusBadGateway {
			t.Errorf("%s: status %d, want 502", path, got.status)
		}
	}
	if got := github.Calls(local.GitHubUserPath); got != 2 {
		t.Errorf("%d calls, want 2", got)
	}
	github.ClearFaults()
	if got := get(t, server.URL+"/user"); got.status != http.StatusUnauthorized {
		t.Errorf("healed: status %d, want 401", got.status)
	}
}

func TestFaultMayAnswerGenuinely(t *testing.T) {
	google, server := startGoogle(t, nil)
	google.SetFault(local.GoogleCertsPath, func(w http.ResponseWriter, r *http.Request) {
		if google.Calls(local.GoogleCertsPath) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		google.Genuine(w, r)
	})
	for _, want := range []int{http.StatusServiceUnavailable, http.StatusOK} {
		if got := get(t, server.URL+local.GoogleCertsPath); got.status != want {
			t.Errorf("status %d, want %d", got.status, want)
		}
	}
}

func TestTamperResponse(t *testing.T) {
	github, server := startGitHub(t, nil)
	github.TamperResponse(func(response url.Values) {
		response.Set("iss", "https://evil.example")
		response.Del("state")
	})
	if got := pick(t, githubAuthURL(server), "ada"); got.Get("iss") != "https://evil.example" || got.Has("state") || got.Get("code") == "" {
		t.Errorf("answer %v is not as told", got)
	}
	github.ClearFaults()
	if got := pick(t, githubAuthURL(server), "ada"); got.Get("state") != "st" {
		t.Errorf("answer %v after ClearFaults", got)
	}
}
