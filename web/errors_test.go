package web_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"

	"example.com/broker/internal/fault"
	"example.com/broker/oauth"
	"example.com/broker/verify"
	"example.com/broker/web"
	"example.com/broker/web/pages"
)

// leak is what no caller may see.
const leak = "postgres://root:hunter2@10.0.0.1"

func foreign() error { return errors.New("dial " + leak) }

func withRetry(err *fault.Error, d time.Duration) error {
	err.RetryAfter = d
	return err
}

func withCause(err *oauth.Error) error {
	err.Cause = foreign()
	return err
}

func challenged() error {
	e := oauth.Errorf(oauth.ErrInvalidClient, "no")
	e.Challenge = `Basic realm="broker"`
	return e
}

// errorRows are errors and what each becomes: status, code in problem JSON, code in OAuth JSON.
var errorRows = []struct {
	rule          string
	err           error
	status        int
	code, oauth   string
	detail        string
	retry, asks   string // Retry-After and WWW-Authenticate
	logged        string // level
	causeInTheLog bool
}{
	{rule: "a foreign error is hidden", err: foreign(), status: 500, code: "internal", oauth: "server_error", detail: "Something broke on our side. It has been logged.", logged: "ERROR", causeInTheLog: true},
	{rule: "a foreign error in a chain is hidden", err: fmt.Errorf("load: %w", foreign()), status: 500, code: "internal", oauth: "server_error", detail: "Something broke on our side. It has been logged.", logged: "ERROR", causeInTheLog: true},
	{rule: "a forgotten kind hides its text", err: &fault.Error{Code: "x", Message: leak}, status: 500, code: "internal", oauth: "server_error", detail: "Something broke on our side. It has been logged.", logged: "ERROR", causeInTheLog: true},
	{rule: "invalid", err: fault.New(fault.Invalid, "client_invalid", "no name"), status: 400, code: "client_invalid", oauth: "invalid_request", detail: "no name", logged: "INFO"},
	{rule: "who are you", err: fault.New(fault.Unauthenticated, "session_required", "sign in"), status: 401, code: "session_required", oauth: "session_required", detail: "sign in", logged: "INFO"},
	{rule: "you may not", err: fault.New(fault.Forbidden, "account_disabled", "disabled"), status: 403, code: "account_disabled", oauth: "account_disabled", detail: "disabled", logged: "INFO"},
	{rule: "no such thing", err: fault.New(fault.NotFound, "client_unknown", "none"), status: 404, code: "client_unknown", oauth: "invalid_request", detail: "none", logged: "INFO"},
	{rule: "the state does not allow it", err: fault.New(fault.Conflict, "last_method", "last"), status: 409, code: "last_method", oauth: "invalid_request", detail: "last", logged: "INFO"},
	{rule: "too large", err: fault.New(fault.TooLarge, "too_large", "big"), status: 413, code: "too_large", oauth: "invalid_request", detail: "big", logged: "INFO"},
	{rule: "a media type", err: fault.New(fault.Unsupported, "media_type", "xml"), status: 415, code: "media_type", oauth: "invalid_request", detail: "xml", logged: "INFO"},
	{rule: "a limit says when", err: withRetry(fault.New(fault.Limited, "rate_limited", "many"), 90*time.Second), status: 429, code: "rate_limited", oauth: "rate_limited", detail: "many", retry: "90", logged: "INFO"},
	{rule: "waiting rounds up", err: withRetry(fault.New(fault.Limited, "rate_limited", "many"), 1001*time.Millisecond), status: 429, code: "rate_limited", oauth: "rate_limited", detail: "many", retry: "2", logged: "INFO"},
	{rule: "a limit without a time waits a second", err: fault.New(fault.Limited, "rate_limited", "many"), status: 429, code: "rate_limited", oauth: "rate_limited", detail: "many", retry: "1", logged: "INFO"},
	{rule: "an upstream", err: fault.New(fault.Upstream, "upstream_unavailable", "away"), status: 502, code: "upstream_unavailable", oauth: "server_error", detail: "away", logged: "ERROR"},
	{rule: "a store", err: fault.Wrap(foreign(), fault.Unavailable, "unavailable", "later"), status: 503, code: "unavailable", oauth: "temporarily_unavailable", detail: "later", retry: "1", logged: "ERROR", causeInTheLog: true},
	{rule: "a cause is for the log", err: fault.Wrap(foreign(), fault.Forbidden, "not_claimable", "ask"), status: 403, code: "not_claimable", oauth: "not_claimable", detail: "ask", logged: "INFO", causeInTheLog: true},
	{rule: "an OAuth error", err: oauth.Errorf(oauth.ErrInvalidGrant, "spent"), status: 400, code: "invalid_grant", oauth: "invalid_grant", detail: "spent", logged: "INFO"},
	{rule: "the cause of an OAuth error is for the log", err: withCause(oauth.Errorf(oauth.ErrInvalidGrant, "spent")), status: 400, code: "invalid_grant", oauth: "invalid_grant", detail: "spent", logged: "INFO", causeInTheLog: true},
	{rule: "an OAuth error with a challenge", err: challenged(), status: 401, code: "invalid_client", oauth: "invalid_client", detail: "no", asks: `Basic realm="broker"`, logged: "INFO"},
	{rule: "an OAuth error without a status is no success", err: &oauth.Error{Code: "invalid_request", Description: "x"}, status: 400, code: "invalid_request", oauth: "invalid_request", detail: "x", logged: "INFO"},
	{rule: "no token", err: &verify.Error{Code: verify.CodeMissingToken, Description: "x"}, status: 401, code: "missing_token", oauth: "invalid_token", detail: "This needs an access token: send Authorization: Bearer with one.", asks: `Bearer realm="broker"`, logged: "INFO"},
	{rule: "a bad token", err: &verify.Error{Code: verify.CodeInvalidToken, Description: "old"}, status: 401, code: "invalid_token", oauth: "invalid_token", detail: "old", asks: `Bearer realm="broker", error="invalid_token", error_description="old"`, logged: "INFO"},
	{rule: "a token that does not reach", err: &verify.Error{Code: verify.CodeInsufficientScope, Description: "x", Scope: "openid"}, status: 403, code: "insufficient_scope", oauth: "insufficient_scope", detail: "x", asks: `Bearer realm="broker", error="insufficient_scope", error_description="x", scope="openid"`, logged: "INFO"},
	{rule: "a token that nobody can judge now", err: &verify.Error{Code: verify.CodeUnavailable, Description: "x", RetryAfter: 1500 * time.Millisecond}, status: 503, code: "temporarily_unavailable", oauth: "temporarily_unavailable", detail: "x", retry: "2", logged: "ERROR"},
	{rule: "an unknown code of the guard is hidden", err: &verify.Error{Code: "odd", Description: leak}, status: 500, code: "internal", oauth: "server_error", detail: "Something broke on our side. It has been logged.", logged: "ERROR"},
	{rule: "the outermost decides: ours around OAuth's", err: fault.Wrap(oauth.Errorf(oauth.ErrInvalidRequest, leak), fault.Invalid, "callback_invalid", "odd"), status: 400, code: "callback_invalid", oauth: "invalid_request", detail: "odd", logged: "INFO", causeInTheLog: true},
	{rule: "the outermost decides: internal around a friendly one", err: fault.Wrap(fault.New(fault.NotFound, "x", leak), fault.Internal, "x", leak), status: 500, code: "internal", oauth: "server_error", detail: "Something broke on our side. It has been logged.", logged: "ERROR", causeInTheLog: true},
	{rule: "an error of ours among several", err: errors.Join(foreign(), fault.New(fault.Conflict, "claim_taken", "taken")), status: 409, code: "claim_taken", oauth: "invalid_request", detail: "taken", logged: "INFO", causeInTheLog: true},
	{rule: "a body that is too large", err: &http.MaxBytesError{Limit: 7}, status: 413, code: "too_large", oauth: "invalid_request", detail: "The request body is larger than 7 bytes.", logged: "INFO"},
}

func TestErrorsInTheFormOfTheLane(t *testing.T) {
	for _, row := range errorRows {
		t.Run(row.rule, func(t *testing.T) {
			s := serve(t, "https://b.example", inEachLane(failing(row.err)))
			asks := 0
			ask := func(lane, accept string) answer {
				asks++
				a := s.ask(t, "GET", "/"+lane, "", header{"Accept", accept}).want(t, row.status)
				if a.header.Get("Retry-After") != row.retry || a.header.Get("WWW-Authenticate") != row.asks {
					t.Errorf("Retry-After %q, want %q; WWW-Authenticate %q, want %q", a.header.Get("Retry-After"), row.retry, a.header.Get("WWW-Authenticate"), row.asks)
				}
				if strings.Contains(a.body, "hunter2") || strings.Contains(a.body, "10.0.0.1") {
					t.Errorf("%s leaks the cause:\n%s", lane, a.body)
				}
				return a
			}
			wantOAuth := map[string]any{"error": row.oauth, "error_description": oauth.Describe(row.detail)}
			for _, accept := range []string{"*/*", "text/html", "application/json"} {
				a := ask("protocol", accept)
				if diff := cmp.Diff(wantOAuth, a.members(t)); diff != "" || !strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
					t.Errorf("protocol, Accept %s, Content-Type %q (-want +got):\n%s", accept, a.header.Get("Content-Type"), diff)
				}
				if a.header.Get("Pragma") != "no-cache" {
					t.Error("RFC 6749 §5.2: no Pragma")
				}
			}
			problem := func(a answer) {
				t.Helper()
				want := map[string]any{
					"type": "about:blank", "title": http.StatusText(row.status), "status": float64(row.status), "detail": row.detail, "code": row.code,
					"request_id": a.header.Get("X-Request-ID"),
				}
				if diff := cmp.Diff(want, a.members(t)); diff != "" || a.header.Get("Content-Type") != "application/problem+json" {
					t.Errorf("Content-Type %q (-want +got):\n%s", a.header.Get("Content-Type"), diff)
				}
			}
			for _, accept := range []string{"*/*", "text/html", "application/json"} {
				problem(ask("api", accept))
			}
			for _, lane := range []string{"entry", "browser"} {
				problem(ask(lane, "application/json"))
				problem(ask(lane, "application/problem+json"))
				for _, accept := range []string{"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "*/*", "application/json, text/html"} {
					a := ask(lane, accept)
					if !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") || !strings.Contains(a.body, a.header.Get("X-Request-ID")) || !strings.Contains(a.body, row.code) {
						t.Errorf("%s, Accept %s: want a page with code %s and the request id, got\n%s", lane, accept, row.code, a.body)
					}
				}
			}
			refused := 0
			for _, r := range s.records(t, asks) {
				if r["msg"] != "refused" {
					continue
				}
				refused++
				if r["level"] != row.logged || r["code"] != row.code || r["request_id"] == "" {
					t.Errorf("logged as %v, want level %s and code %s", r, row.logged, row.code)
				}
				if cause, _ := r["cause"].(string); row.causeInTheLog && !strings.Contains(cause, "hunter2") {
					t.Errorf("the log does not say why: %q", cause)
				}
			}
			if refused != asks {
				t.Errorf("%d refusals logged for %d requests: once each is wanted", refused, asks)
			}
		})
	}
}

func TestWantsJSON(t *testing.T) {
	s := serve(t, "https://b.example", inEachLane(func(c *gin.Context) error {
		c.String(http.StatusOK, "%v", web.WantsJSON(c))
		return nil
	}))
	for _, row := range []struct {
		rule    string
		headers []header
		want    string
	}{
		{"a browser", []header{{"Accept", "text/html,application/xhtml+xml,*/*;q=0.8"}}, "false"},
		{"nothing said", nil, "false"},
		{"anything", []header{{"Accept", "*/*"}}, "false"},
		{"JSON", []header{{"Accept", "application/json"}}, "true"},
		{"JSON of a kind", []header{{"Accept", "application/problem+json"}}, "true"},
		{"JSON beside HTML", []header{{"Accept", "application/json, text/html"}}, "false"},
		{"nothing said about an answer, JSON sent", []header{{"Content-Type", "application/json"}}, "true"},
		{"nothing said about an answer, a token sent", []header{{"Authorization", "Bearer x"}}, "true"},
		{"HTML wanted with a token", []header{{"Authorization", "Bearer x"}, {"Accept", "text/html"}}, "false"},
		{"an image", []header{{"Accept", "image/png"}}, "false"},
	} {
		if got := s.ask(t, "GET", "/browser", "", row.headers...).body; got != row.want {
			t.Errorf("%s: %s, want %s", row.rule, got, row.want)
		}
	}
}

func TestARouteOfDataAnswersInJSONUnlessAPageIsAskedFor(t *testing.T) {
	s := serve(t, "https://b.example", []web.Route{{Method: "GET", Path: "/data", Lane: web.Browser, Data: true, Handle: func(*gin.Context) error {
		return fault.New(fault.NotFound, "row_unknown", "There is no row of this name.")
	}}})
	for accept, want := range map[string]string{"": "application/problem+json", "*/*": "application/problem+json", "text/html": "text/html; charset=utf-8"} {
		a := s.ask(t, "GET", "/data", "", header{"Accept", accept}).want(t, 404)
		if got := a.header.Get("Content-Type"); got != want {
			t.Errorf("Accept %q: %s, want %s", accept, got, want)
		}
		if !strings.Contains(a.body, "There is no row of this name.") || strings.Contains(a.body, "on our side") {
			t.Errorf("Accept %q: %s", accept, a.body)
		}
	}
}

func TestAPageErrorCompletesThePage(t *testing.T) {
	s := serve(t, "https://b.example", inEachLane(func(*gin.Context) error {
		return fmt.Errorf("start: %w", &web.PageError{Err: fault.Wrap(foreign(), fault.Invalid, "tx_expired", "too old"), Fill: func(p *pages.Error) {
			p.Next = &pages.Action{Label: "Start again", URL: "/login"}
			p.Interaction = true
		}})
	}))
	a := s.ask(t, "GET", "/browser", "").want(t, 400)
	if !strings.Contains(a.body, "Start again") || strings.Contains(a.body, "hunter2") || a.header.Get("Cross-Origin-Opener-Policy") != "unsafe-none" {
		t.Errorf("got COOP %q and\n%s", a.header.Get("Cross-Origin-Opener-Policy"), a.body)
	}
	if got := s.ask(t, "GET", "/api", "").want(t, 400).members(t)["code"]; got != "tx_expired" {
		t.Errorf("as a problem: code %v", got)
	}
}

func TestHeadersOfTheAnswerThatWasNotToBeAreDropped(t *testing.T) {
	s := serve(t, "https://b.example", inEachLane(func(c *gin.Context) error {
		c.Header("Content-Type", "application/jwk-set+json")
		c.Header("Cache-Control", "public, max-age=600")
		c.Header("ETag", `"x"`)
		c.Header("Content-Length", "3")
		return foreign()
	}))
	for _, lane := range allLanes {
		a := s.ask(t, "GET", "/"+lane.String(), "").want(t, 500)
		if h := a.header; h.Get("Cache-Control") != "no-store" || h.Get("ETag") != "" || strings.Contains(h.Get("Content-Type"), "jwk-set") || len(a.body) < 4 {
			t.Errorf("%s: %v\n%s", lane, h, a.body)
		}
	}
}

func TestAPageOfAnotherPackageShowsAnError(t *testing.T) {
	s := serve(t, "https://b.example", inEachLane(func(c *gin.Context) error {
		status, facts := web.Shown(c, withRetry(fault.New(fault.Limited, "rate_limited", "many"), time.Minute))
		return web.Page(c, status, pages.SignIn{Notice: &pages.Notice{Code: "rate_limited", Facts: facts}})
	}))
	a := s.ask(t, "GET", "/browser", "").want(t, 429)
	if a.header.Get("Retry-After") != "60" || !strings.Contains(a.body, "Too many tries") {
		t.Errorf("Retry-After %q and\n%s", a.header.Get("Retry-After"), a.body)
	}
	if got := web.Message(fault.Wrap(foreign(), fault.Invalid, "x", "may be read")); got != "may be read" {
		t.Errorf("Message = %q", got)
	}
	if got := web.Message(foreign()); strings.Contains(got, "hunter2") {
		t.Errorf("Message = %q", got)
	}
}

func TestSomebodyWhoHangsUpIsNoFailureOfOurs(t *testing.T) {
	arrived, gone := make(chan struct{}), make(chan struct{})
	s := serve(t, "https://b.example", []web.Route{{Method: "GET", Path: "/slow", Lane: web.API, Handle: func(c *gin.Context) error {
		close(arrived)
		<-c.Request.Context().Done()
		defer close(gone)
		return fmt.Errorf("read: %w", c.Request.Context().Err())
	}}})
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", s.URL+"/slow", nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		<-arrived
		cancel()
	}()
	if res, err := s.Client().Do(req); err == nil {
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
	<-gone
	for _, r := range s.records(t, 1) {
		if r["level"] == "ERROR" {
			t.Errorf("logged as an error: %v", r)
		}
	}
}
