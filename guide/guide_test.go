package guide_test

import (
	"context"
	"errors"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/broker/guide"
	"example.com/broker/tokens"
	"example.com/broker/verify"
	"example.com/broker/web"
	"example.com/broker/web/pages"
	"example.com/broker/web/static"
)

const issuer = "https://id.example.org/auth"

// site is an edge with the pages of the guide and whatever else is on the surface.
func site(t testing.TB, d guide.Deps) *httptest.Server {
	t.Helper()
	assets, err := static.Load()
	if err != nil {
		t.Fatal(err)
	}
	renderer, err := pages.New(pages.Options{BasePath: "/auth"})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(issuer)
	if err != nil {
		t.Fatal(err)
	}
	d.Issuer = issuer
	edge, err := web.New(web.Options{
		Issuer: u, Pages: renderer, Assets: assets, Log: slog.New(slog.DiscardHandler), Now: time.Now, NewID: func() string { return "r1" },
		AllowedOrigin: func(context.Context, string) bool { return false },
	}, guide.Routes(d))
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(edge)
	t.Cleanup(s.Close)
	return s
}

func ask(t testing.TB, s *httptest.Server, method, path, body string, header ...string) (status int, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+"/auth"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestAPageThatIsSwitchedOffIsNotThere(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		d    guide.Deps
		want map[string]int
	}{
		{guide.Deps{}, map[string]int{"/guide": 404, "/tools/jwt": 404, "/tools/jwt/example": 404}},
		{guide.Deps{Guide: true}, map[string]int{"/guide": 200, "/tools/jwt": 404}},
		{guide.Deps{JWT: true}, map[string]int{"/guide": 404, "/tools/jwt": 200, "/tools/jwt/example": 404}},
	} {
		s := site(t, row.d)
		for path, want := range row.want {
			if got, _ := ask(t, s, http.MethodGet, path, ""); got != want {
				t.Errorf("%+v: GET %s answers %d, want %d", row.d, path, got, want)
			}
		}
	}
	_, page := ask(t, site(t, guide.Deps{Guide: true}), http.MethodGet, "/guide", "")
	if strings.Contains(page, "/tools/jwt") {
		t.Error("the guide leads to a decoder that is switched off")
	}
}

// TestTokensAreMintedInDevAlone: elsewhere there is no trace of it in the page, and nowhere is there a route that would sign one.
func TestTokensAreMintedInDevAlone(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		rule string
		d    guide.Deps
		want bool
	}{
		{"serve", guide.Deps{JWT: true, Guide: true}, false},
		{"dev", guide.Deps{JWT: true, Guide: true, Dev: true}, true},
	} {
		s := site(t, row.d)
		_, page := ask(t, s, http.MethodGet, "/tools/jwt", "")
		_, text := ask(t, s, http.MethodGet, "/guide", "")
		for _, trace := range []string{`id="mint"`, "mint/main.js", "mint/mint.css"} {
			if got := strings.Contains(page, trace); got != row.want {
				t.Errorf("%s: the decoder has %s: %v, want %v", row.rule, trace, got, row.want)
			}
		}
		if !row.want && strings.Contains(strings.ToLower(page), "mint") {
			t.Errorf("%s: the decoder speaks of minting", row.rule)
		}
		if got := strings.Contains(text, "<em>Mint</em>"); got != row.want {
			t.Errorf("%s: the guide speaks of minting: %v, want %v", row.rule, got, row.want)
		}
		for _, r := range guide.Routes(row.d) {
			if strings.Contains(r.Path, "mint") {
				t.Errorf("%s: there is a route %s %s", row.rule, r.Method, r.Path)
			}
		}
	}
}

func TestTheDecoderLeadsToAPlaygroundThatIsThere(t *testing.T) {
	t.Parallel()
	for _, with := range []bool{true, false} {
		_, page := ask(t, site(t, guide.Deps{JWT: true, Policy: with}), http.MethodGet, "/tools/jwt", "")
		for _, part := range []string{`id="playground-link"`, `href="/auth/tools/policy"`, `id="playground-preset"`} {
			if got := strings.Contains(page, part); got != with {
				t.Errorf("with a playground %v: the decoder has %s: %v", with, part, got)
			}
		}
	}
}

func TestVerifySaysWhatTheVerifierSays(t *testing.T) {
	t.Parallel()
	s := site(t, guide.Deps{JWT: true, Verify: func(_ context.Context, raw string) (*verify.Token, error) {
		switch raw {
		case "good":
			return &verify.Token{}, nil
		case "bad":
			return nil, &verify.Error{Code: verify.CodeInvalidToken, Description: "the token was revoked"}
		case "unknown":
			return nil, &verify.Error{Code: verify.CodeUnavailable, Description: "not now"}
		}
		return nil, errors.New("a secret of the inside")
	}})
	for _, row := range []struct {
		rule, body string
		header     []string
		status     int
		want       string
	}{
		{"a good token", `{"token":"good"}`, nil, 200, `{"valid":true}`},
		{"a bad one", `{"token":"bad"}`, nil, 200, `{"code":"invalid_token","description":"the token was revoked","valid":false}`},
		{"not knowing is no verdict", `{"token":"unknown"}`, nil, 503, `temporarily_unavailable`},
		{"what goes wrong inside stays there", `{"token":"other"}`, nil, 500, `"code":"internal"`},
		{"no JSON", `token=good`, nil, 400, `request_invalid`},
		{"another member", `{"token":"good","x":1}`, nil, 400, `request_invalid`},
		{"another site", `{"token":"good"}`, []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, 403, `cross_origin`},
	} {
		header := append([]string{"Content-Type", "application/json", "Accept", "application/json"}, row.header...)
		status, text := ask(t, s, http.MethodPost, "/tools/jwt/verify", row.body, header...)
		if status != row.status || !strings.Contains(text, row.want) || strings.Contains(text, "inside") {
			t.Errorf("%s: %d %s, want %d %s", row.rule, status, text, row.status, row.want)
		}
	}
}

func TestEveryClaimOfOursIsExplained(t *testing.T) {
	t.Parallel()
	_, page := ask(t, site(t, guide.Deps{JWT: true}), http.MethodGet, "/tools/jwt", "")
	for _, row := range tokens.Table() {
		if n := strings.Count(page, `data-member="claim" data-name="`+row.Claim+`"`); n != 1 && row.Introspection+row.Access+row.ID != row.Introspection {
			t.Errorf("%s is explained %d times, want once", row.Claim, n)
		}
	}
}

// surface is made of routes that answer nothing.
func surface(list ...string) []web.Route {
	var out []web.Route
	for _, line := range list {
		method, path, _ := strings.Cut(line, " ")
		out = append(out, web.Route{Method: method, Path: path, Lane: web.Browser, Handle: func(*gin.Context) error { return nil }})
	}
	return out
}

func TestTheGuideShowsWhatAnswersAlone(t *testing.T) {
	t.Parallel()
	address := regexp.MustCompile(regexp.QuoteMeta(issuer) + `(/[a-z./-]*)`)
	for name, d := range map[string]guide.Deps{
		"nothing but these pages": {Guide: true, JWT: true},
		"some": {
			Guide: true, JWT: true, Dev: true, Password: true, QueryKeys: true, DemoURL: "http://127.0.0.1:8081",
			Surface: surface("POST /token", "GET /me", "GET /jwks", "POST /login", "GET /login", "GET /dashboard", "POST /logout"),
		},
	} {
		mounted := map[string]bool{"/guide": true, "/tools/jwt": true}
		for _, r := range d.Surface {
			mounted[r.Path] = true
		}
		_, page := ask(t, site(t, d), http.MethodGet, "/guide", "")
		for _, line := range strings.Split(page, "\n") {
			if !strings.Contains(line, "data-line") {
				continue
			}
			for _, found := range address.FindAllStringSubmatch(line, -1) {
				if !mounted[found[1]] {
					t.Errorf("%s: a line asks %s, which does not answer: %s", name, found[1], line)
				}
			}
		}
		for _, link := range regexp.MustCompile(`class="button" href="/auth([^"]*)"`).FindAllStringSubmatch(page, -1) {
			if !mounted[link[1]] {
				t.Errorf("%s: a link leads to %s, which is not there", name, link[1])
			}
		}
		if later := strings.Count(page, "data-later"); later != 2 {
			t.Errorf("%s: %d rows are not here yet, want 2", name, later)
		}
	}
}

func TestTheGuideNamesPeopleOfDevInDevAlone(t *testing.T) {
	t.Parallel()
	all := surface("POST /token", "GET /me", "POST /refresh", "GET /data", "POST /api-keys", "POST /logout", "GET /dashboard", "POST /login")
	for _, row := range []struct {
		rule          string
		d             guide.Deps
		want, wantNot []string
	}{
		{"dev", guide.Deps{Guide: true, Dev: true, Password: true, QueryKeys: true, Surface: all}, []string{"alice", "$PASSWORD", "api_key="}, nil},
		{"dev without passwords", guide.Deps{Guide: true, Dev: true, Surface: all}, []string{"broker token alice"}, []string{"$PASSWORD", "PASSWORD=", "api_key="}},
		{"serve", guide.Deps{Guide: true, Password: true, Surface: all}, []string{"$TOKEN", "$KEY"}, []string{"alice", "PASSWORD", "api_key="}},
	} {
		_, page := ask(t, site(t, row.d), http.MethodGet, "/guide", "")
		for _, want := range row.want {
			if !strings.Contains(page, want) {
				t.Errorf("%s: the page does not say %q", row.rule, want)
			}
		}
		for _, not := range row.wantNot {
			if strings.Contains(page, not) {
				t.Errorf("%s: the page says %q", row.rule, not)
			}
		}
	}
}

// TestTheLinesRunFromTopToBottom: each line uses what a line above it has set, and nothing that one above has revoked.
func TestTheLinesRunFromTopToBottom(t *testing.T) {
	t.Parallel()
	all := surface("POST /token", "GET /me", "POST /refresh", "GET /data", "POST /api-keys", "POST /logout", "GET /reports", "POST /articles", "PUT /articles/:id", "DELETE /users/:id")
	line := regexp.MustCompile(`data-line[^>]*>([^<]*)<`)
	sets, uses := regexp.MustCompile(`^([A-Z]+)=`), regexp.MustCompile(`\$([A-Z]+)`)
	for name, d := range map[string]guide.Deps{
		"with passwords": {Guide: true, Dev: true, Password: true, QueryKeys: true, Surface: all}, "without": {Guide: true, Dev: true, Surface: all},
	} {
		_, page := ask(t, site(t, d), http.MethodGet, "/guide", "")
		known, revoked := map[string]bool{}, 0
		for _, found := range line.FindAllStringSubmatch(page, -1) {
			text := html.UnescapeString(found[1])
			for _, used := range uses.FindAllStringSubmatch(text, -1) {
				if !known[used[1]] {
					t.Errorf("%s: $%s is not set, or over: %s", name, used[1], text)
				}
				if strings.Contains(text, "/logout") && strings.Contains(text, "Bearer") {
					revoked++
					if used[1] != "SPENT" {
						t.Errorf("%s: $%s is revoked, which later lines use: %s", name, used[1], text)
					}
				}
			}
			if set := sets.FindStringSubmatch(text); set != nil {
				known[set[1]] = true
			}
		}
		if revoked != 1 || !known["TOKEN"] {
			t.Errorf("%s: %d lines revoke a token, want one; set are %v", name, revoked, known)
		}
	}
	_, page := ask(t, site(t, guide.Deps{Guide: true, Surface: all}), http.MethodGet, "/guide", "")
	if !strings.Contains(page, "The lines below need a new one") {
		t.Error("serve: nobody is told that the lines below need a new token")
	}
}
