package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/broker/web"
	"example.com/broker/web/pages"
	"example.com/broker/web/static"
)

// appOrigin is the one origin that a registered client has.
const appOrigin = "https://app.example"

// site is an edge behind a real listener, and what it logged.
type site struct {
	*httptest.Server
	log *lines
}

// lines collects a log; the server writes it from its own goroutines.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// records returns the log line by line. An answer may arrive before its line is written, so it waits for the line of the last request.
func (s *site) records(t testing.TB, requests int) []map[string]any {
	t.Helper()
	s.Close() // waits for the handlers
	var out []map[string]any
	d := json.NewDecoder(strings.NewReader(s.log.String()))
	for {
		var r map[string]any
		if err := d.Decode(&r); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("the log is not one JSON object a line: %v", err)
		}
		out = append(out, r)
	}
	got := 0
	for _, r := range out {
		if r["msg"] == "request" {
			got++
		}
	}
	if got != requests {
		t.Errorf("%d lines of requests, want %d", got, requests)
	}
	return out
}

func issuer(t testing.TB, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// options are good ones for an issuer.
func options(t testing.TB, at string, log io.Writer) web.Options {
	t.Helper()
	u := issuer(t, at)
	r, err := pages.New(pages.Options{BasePath: strings.TrimSuffix(u.EscapedPath(), "/")})
	if err != nil {
		t.Fatal(err)
	}
	assets, err := static.Load()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	var mu sync.Mutex
	return web.Options{
		Issuer: u, Pages: r, Assets: assets, Log: slog.New(slog.NewJSONHandler(log, nil)),
		Now: func() time.Time { return time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC) },
		NewID: func() string {
			mu.Lock()
			defer mu.Unlock()
			n++
			return fmt.Sprintf("req-%d", n)
		},
		AllowedOrigin: func(_ context.Context, origin string) bool { return origin == appOrigin },
	}
}

// serve mounts routes at an issuer; change alters the options.
func serve(t testing.TB, at string, routes []web.Route, change ...func(*web.Options)) *site {
	t.Helper()
	s := &site{log: &lines{}}
	o := options(t, at, s.log)
	for _, c := range change {
		c(&o)
	}
	e, err := web.New(o, routes)
	if err != nil {
		t.Fatal(err)
	}
	s.Server = httptest.NewServer(e)
	t.Cleanup(s.Close)
	return s
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// header sets one header of a request.
type header struct{ name, value string }

// ask sends a request to the site itself, whatever its issuer, and follows no redirect.
func (s *site) ask(t testing.TB, method, path, body string, headers ...header) answer {
	t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, r)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		switch h.name {
		case "Host":
			req.Host = h.value
		default:
			req.Header.Add(h.name, h.value)
		}
	}
	return s.do(t, req)
}

func (s *site) do(t testing.TB, req *http.Request) answer {
	t.Helper()
	c := s.Client()
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(b)}
}

// members reads a JSON answer.
func (a answer) members(t testing.TB) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(a.body), &m); err != nil {
		t.Fatalf("the answer is not JSON: %v\n%s", err, a.body)
	}
	return m
}

func (a answer) want(t testing.TB, status int) answer {
	t.Helper()
	if a.status != status {
		t.Errorf("status %d, want %d\n%.300s", a.status, status, a.body)
	}
	return a
}

// ok answers "done".
func ok(c *gin.Context) error {
	c.String(http.StatusOK, "done")
	return nil
}

// failing answers with an error.
func failing(err error) web.Handler { return func(*gin.Context) error { return err } }

var allLanes = []web.Lane{web.Entry, web.Browser, web.Protocol, web.API}

// inEachLane mounts a handler by GET and POST at /entry, /browser, /protocol and /api.
func inEachLane(h web.Handler) []web.Route {
	var out []web.Route
	for _, l := range allLanes {
		for _, m := range []string{http.MethodGet, http.MethodPost} {
			out = append(out, web.Route{Method: m, Path: "/" + l.String(), Lane: l, Handle: h})
		}
	}
	return out
}
