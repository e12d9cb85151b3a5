package main

import (
	"bytes"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// logBuffer keeps what the broker logged, so that tests can look for what must not be there.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// ledger holds every answer of a test to what all answers must keep, and remembers the secrets in them: none may be in the log.
type ledger struct {
	mu       sync.Mutex
	secrets  []string
	sessions int
}

// keep remembers a secret.
func (l *ledger) keep(secrets ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range secrets {
		if len(s) >= 8 && !slices.Contains(l.secrets, s) {
			l.secrets = append(l.secrets, s)
		}
	}
}

// watch looks through the log when the test ends.
func (l *ledger) watch(w *world) {
	l.keep(w.password, webSecret, serviceSecret, oddSecret, auditSecret, upstreamKey)
	w.Cleanup(func() {
		text := w.logs.String()
		for _, s := range l.secrets {
			if i := strings.Index(text, s); i >= 0 {
				w.Errorf("the log holds a secret of an answer: …%s…", text[max(0, i-200):min(len(text), i+len(s)+50)])
			}
		}
		// Nor a key that no answer showed: a bad one that somebody tried is often a good one of another place.
		if key := textOfKey.FindString(text); key != "" {
			w.Errorf("the log holds the text of an API key: %s", key)
		}
	})
}

var (
	secretInJSON  = regexp.MustCompile(`"(?:access_token|refresh_token|id_token|key)":"([^"]+)"`)
	textOfKey     = regexp.MustCompile(`bk_[A-Za-z0-9_-]{22}_[A-Za-z0-9_-]{8,}`)
	secretInQuery = regexp.MustCompile(`[?&](?:code|tx|request)=([^&]+)`)
	stackTrace    = regexp.MustCompile(`goroutine \d+ \[|\.go:\d+|runtime\.|panic`)
)

// saw takes an answer of the broker.
func (l *ledger) saw(t testing.TB, resp *http.Response, body string) {
	t.Helper()
	for _, m := range secretInJSON.FindAllStringSubmatch(body, -1) {
		l.keep(m[1])
	}
	for _, m := range secretInQuery.FindAllStringSubmatch(resp.Header.Get("Location"), -1) {
		l.keep(m[1])
	}
	for _, c := range resp.Cookies() {
		if strings.HasSuffix(c.Name, "broker_session") && c.Value != "" {
			l.keep(c.Value)
			l.mu.Lock()
			l.sessions++
			l.mu.Unlock()
		}
	}
	if resp.StatusCode == http.StatusRequestHeaderFieldsTooLarge {
		return // net/http answers before the broker sees a request
	}
	where := resp.Request.Method + " " + resp.Request.URL.Path
	if resp.Header.Get("X-Request-Id") == "" {
		t.Errorf("%s answered %d without a request id", where, resp.StatusCode)
	}
	public := regexp.MustCompile(`/jwks$|/\.well-known/|/static/|/openapi\.json$|/docs/`).MatchString(resp.Request.URL.Path) && resp.StatusCode < 400
	if cache := resp.Header.Get("Cache-Control"); cache != "no-store" && !public && resp.Request.Method != http.MethodOptions {
		t.Errorf("%s answered %d with Cache-Control %q, want no-store", where, resp.StatusCode, cache)
	}
	if resp.StatusCode >= 400 && stackTrace.MatchString(body) {
		t.Errorf("%s answered %d and shows its insides:\n%s", where, resp.StatusCode, body)
	}
}

// opened is how many sessions were handed out.
func (l *ledger) opened() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sessions
}
