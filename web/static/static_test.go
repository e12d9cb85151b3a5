package static_test

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"example.com/broker/web/static"
)

func load(t testing.TB) *static.Assets {
	t.Helper()
	a, err := static.Load()
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return a
}

func TestHandler(t *testing.T) {
	t.Parallel()
	a := load(t)
	h := a.Handler("/auth/static")
	now := a.URL("/auth/static")("style.css")
	tests := []struct {
		name, method, path string
		status             int
		cache              string
	}{
		{"the current address may be kept", http.MethodGet, now, 200, "public, max-age=31536000, immutable"},
		{"HEAD answers like GET", http.MethodHead, now, 200, "public, max-age=31536000, immutable"},
		{"the address of another release is served and not kept", http.MethodGet, "/auth/static/0000000000000000/style.css", 200, "no-store"},
		{"an unknown file is not found", http.MethodGet, a.URL("/auth/static")("nothing.css"), 404, "no-store"},
		{"a path outside the prefix is not found", http.MethodGet, a.Path("style.css"), 404, "no-store"},
		{"nothing climbs out of the tree", http.MethodGet, "/auth/static/x/../static.go", 404, "no-store"},
		{"the folder is not listed", http.MethodGet, "/auth/static/x/", 404, "no-store"},
		{"a POST is refused", http.MethodPost, now, 405, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			r := httptest.NewRequestWithContext(t.Context(), tt.method, "http://broker.test/", nil)
			r.URL.Path = tt.path
			h.ServeHTTP(w, r)
			if w.Code != tt.status {
				t.Errorf("status = %d, want %d", w.Code, tt.status)
			}
			if got := w.Header().Get("Cache-Control"); got != tt.cache {
				t.Errorf("Cache-Control = %q, want %q", got, tt.cache)
			}
		})
	}
}

func TestHandlerAnswersNotModified(t *testing.T) {
	t.Parallel()
	a := load(t)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, a.URL("/static")("submit.js"), nil)
	first := httptest.NewRecorder()
	a.Handler("/static").ServeHTTP(first, r)
	if got := first.Header().Get("Content-Type"); got != "text/javascript; charset=utf-8" {
		t.Errorf("Content-Type = %q", got)
	}
	if got := first.Header().Get("X-Content-Type-Options"); got != "nosniff" {
		t.Errorf("X-Content-Type-Options = %q, want nosniff", got)
	}
	r.Header.Set("If-None-Match", first.Header().Get("ETag"))
	second := httptest.NewRecorder()
	a.Handler("/static").ServeHTTP(second, r)
	if second.Code != http.StatusNotModified {
		t.Errorf("status with If-None-Match = %d, want 304", second.Code)
	}
}

// TestBudget keeps the promise that pages stay light. What every page may load is small: people wait for it to sign in. The decoder and
// the guide are for developers and load files of their own beside it: the decoder does in the browser what package verify does, so that no
// token need leave it, and that is more code than the 40 KB for all other pages together. What mints is loaded in dev alone.
func TestBudget(t *testing.T) {
	t.Parallel()
	budgets := map[string]int{
		"style.css": 14 << 10, "tools.css": 6 << 10, "guide.css": 4 << 10, "account.css": 5 << 10, "jwt/*.css": 8 << 10, "*.js": 40 << 10, "jwt/*.js": 64 << 10,
		"policy/*.css": 8 << 10, "policy/*.js": 28 << 10, "mint/*.css": 1 << 10, "mint/*.js": 10 << 10,
	}
	size := map[string]int{}
	for name, body := range files(t) {
		for pattern := range budgets {
			if ok, err := path.Match(pattern, name); err != nil {
				t.Fatal(err)
			} else if ok {
				size[pattern] += len(body)
			}
		}
	}
	t.Logf("bytes: %v", size)
	for pattern, most := range budgets {
		if got := size[pattern]; got == 0 || got > most {
			t.Errorf("%s: %d bytes, want 1 to %d", pattern, got, most)
		}
	}
	for name := range files(t) {
		if ext := path.Ext(name); ext != ".css" && ext != ".js" {
			continue
		}
		counted := false
		for pattern := range budgets {
			if ok, err := path.Match(pattern, name); err == nil && ok {
				counted = true
			}
		}
		if !counted {
			t.Errorf("%s has no budget", name)
		}
	}
}

// TestPolicyHolds finds what the content security policy would block, or what would reach another host.
func TestPolicyHolds(t *testing.T) {
	t.Parallel()
	forbidden := map[string]*regexp.Regexp{
		".css": regexp.MustCompile(`(?i)@import|url\(|expression\(|https?:`),
		".js":  regexp.MustCompile(`\beval\b|new Function|innerHTML|outerHTML|insertAdjacentHTML|document\.write|\bfetch\(|https?:|localStorage|import\(`),
		".svg": regexp.MustCompile(`(?i)<script|\son[a-z]+=|<foreignObject|href=`),
	}
	// The decoder asks for the public keys, and by a button of its own for the verdict of the broker; the playground asks for decisions;
	// nothing else asks for anything.
	asks := []string{"jwt/main.js", "policy/main.js"}
	for name, body := range files(t) {
		if slices.Contains(asks, name) {
			body = strings.ReplaceAll(body, "fetch(", "")
		}
		if found := forbidden[path.Ext(name)].FindString(body); found != "" {
			t.Errorf("%s contains %q", name, found)
		}
	}
}

func TestTheStyleSheetHonoursThePerson(t *testing.T) {
	t.Parallel()
	css := files(t)["style.css"]
	for _, want := range []string{
		"prefers-color-scheme: dark", "prefers-reduced-motion: reduce", "forced-colors: active", ":focus-visible", "color-scheme: light dark",
	} {
		if !strings.Contains(css, want) {
			t.Errorf("style.css does not contain %q", want)
		}
	}
}

func files(t testing.TB) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := fs.WalkDir(static.Files(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := fs.ReadFile(static.Files(), name)
		all[name] = string(body)
		return err
	})
	if err != nil {
		t.Fatalf("reading the embedded files: %v", err)
	}
	return all
}
