package web_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"

	"example.com/broker/web"
	"example.com/broker/web/pages"
)

// I03, I04: what comes from elsewhere changes nothing.
func TestBrowserLaneRefusesWhatAnotherSiteSends(t *testing.T) {
	const own = "https://b.example"
	for _, row := range []struct {
		rule, method string
		headers      []header
		passes       bool
	}{
		{"our own page", "POST", []header{{"Sec-Fetch-Site", "same-origin"}, {"Origin", own}}, true},
		{"our own page under no-referrer, which sends Origin null", "POST", []header{{"Sec-Fetch-Site", "same-origin"}, {"Origin", "null"}}, true},
		{"typed or from a bookmark", "POST", []header{{"Sec-Fetch-Site", "none"}}, true},
		{"neither Origin nor Sec-Fetch-Site: no browser", "POST", nil, true},
		{"an old browser on our own page", "POST", []header{{"Origin", own}}, true},
		{"behind a proxy that rewrites Host, our own page in an old browser", "POST", []header{{"Origin", own}, {"Host", "inside:8080"}}, true},

		{"another site", "POST", []header{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example"}}, false},
		{"another site that hides its origin", "POST", []header{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "null"}}, false},
		{"another site, and no Origin", "POST", []header{{"Sec-Fetch-Site", "cross-site"}}, false},
		{"a sibling host", "POST", []header{{"Sec-Fetch-Site", "same-site"}, {"Origin", "https://app.b.example"}}, false},
		{"another port of this host", "POST", []header{{"Sec-Fetch-Site", "same-site"}, {"Origin", own + ":8443"}}, false},
		{"a word nobody defined", "POST", []header{{"Sec-Fetch-Site", "Same-Origin"}, {"Origin", "https://evil.example"}}, false},
		{"the demo app", "POST", []header{{"Sec-Fetch-Site", "same-site"}, {"Origin", "http://127.0.0.1:8081"}}, false},
		{"a registered client", "POST", []header{{"Sec-Fetch-Site", "cross-site"}, {"Origin", appOrigin}}, false},
		{"an old browser on another site", "POST", []header{{"Origin", "https://evil.example"}}, false},
		{"an old browser on another site that hides its origin", "POST", []header{{"Origin", "null"}}, false},
		{"an old browser on a sibling host", "POST", []header{{"Origin", "https://sub.b.example"}}, false},
		{"an old browser on our host over http", "POST", []header{{"Origin", "http://b.example"}}, false},
		{"an old browser on another port", "POST", []header{{"Origin", own + ":8443"}}, false},
		{"an origin that begins like ours", "POST", []header{{"Origin", own + ".evil.example"}}, false},
		{"an origin with ours as user information", "POST", []header{{"Origin", "https://b.example@evil.example"}}, false},
		{"another site that names our origin in a second header", "POST", []header{{"Origin", "https://evil.example"}, {"Origin", own}}, false},
		{"JSON sent as text", "POST", []header{{"Sec-Fetch-Site", "cross-site"}, {"Content-Type", "text/plain"}}, false},
		{"X-Forwarded-Host does not make the origin ours", "POST", []header{{"Origin", "https://evil.example"}, {"X-Forwarded-Host", "evil.example"}}, false},
		{"a method override in a header", "POST", []header{{"Sec-Fetch-Site", "cross-site"}, {"X-HTTP-Method-Override", "GET"}}, false},
		{"DELETE", "DELETE", []header{{"Sec-Fetch-Site", "cross-site"}}, false},
		{"PUT", "PUT", []header{{"Sec-Fetch-Site", "cross-site"}}, false},

		{"an access token, which no form can send", "POST", []header{{"Sec-Fetch-Site", "cross-site"}, {"Authorization", "Bearer x"}}, true},
		{"a name and password that the browser repeats for a proxy", "POST", []header{{"Sec-Fetch-Site", "cross-site"}, {"Authorization", "Basic eDp5"}}, false},
		{"a ticket that the browser repeats", "POST", []header{{"Sec-Fetch-Site", "cross-site"}, {"Authorization", "Negotiate abc"}}, false},
		{"a scheme that begins like Bearer", "POST", []header{{"Sec-Fetch-Site", "cross-site"}, {"Authorization", "BearerX y"}}, false},
		{"reading is for everybody", "GET", []header{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example"}}, true},
	} {
		t.Run(row.rule, func(t *testing.T) {
			called := false
			h := func(c *gin.Context) error {
				called = true
				return ok(c)
			}
			var routes []web.Route
			for _, m := range []string{"GET", "POST", "PUT", "DELETE"} {
				routes = append(routes, web.Route{Method: m, Path: "/form", Lane: web.Browser, Handle: h})
			}
			s := serve(t, own, routes)
			headers := row.headers
			if !strings.Contains(fmt.Sprint(headers), "inside:8080") {
				headers = append([]header{{"Host", "b.example"}}, headers...)
			}
			a := s.ask(t, row.method, "/form", "", headers...)
			if row.passes {
				a.want(t, 200)
			} else {
				a.want(t, 403)
			}
			if called != row.passes {
				t.Errorf("the handler was called: %v, want %v", called, row.passes)
			}
		})
	}
}

func TestOtherLanesTakeWhatOtherSitesSend(t *testing.T) {
	s := serve(t, "https://b.example", inEachLane(ok))
	for lane, want := range map[string]int{"/entry": 200, "/browser": 403, "/protocol": 200, "/api": 200} {
		s.ask(t, "POST", lane, "", header{"Sec-Fetch-Site", "cross-site"}, header{"Origin", "https://evil.example"}).want(t, want)
	}
}

func TestCookiesAreSeenInTheLanesOfBrowsersAlone(t *testing.T) {
	s := serve(t, "https://b.example", inEachLane(func(c *gin.Context) error {
		c.String(http.StatusOK, "%d %s", len(c.Request.Cookies()), web.SessionCookie(c).Reveal())
		return nil
	}))
	for lane, want := range map[string]string{"/entry": "1 v", "/browser": "1 v", "/protocol": "0 ", "/api": "0 "} {
		if got := s.ask(t, "GET", lane, "", header{"Cookie", "__Host-broker_session=v"}).body; got != want {
			t.Errorf("%s: %q, want %q", lane, got, want)
		}
	}
}

// L04.
func TestSecurityHeaders(t *testing.T) {
	common := map[string]string{
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY", "Cache-Control": "no-store",
		"Cross-Origin-Resource-Policy": "same-origin", "Strict-Transport-Security": "max-age=31536000",
		"Permissions-Policy": "accelerometer=(), camera=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), payment=(), usb=()",
	}
	nothing := "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
	page := pages.CSP(pages.Traits{})
	routes := append(inEachLane(failing(errors.New("x"))),
		web.Route{Method: "GET", Path: "/done", Lane: web.Protocol, Handle: ok},
		web.Route{Method: "GET", Path: "/away", Lane: web.Entry, Handle: func(c *gin.Context) error { return web.SeeOther(c, "https://app.example/") }},
		web.Route{Method: "GET", Path: "/page", Lane: web.Browser, Handle: func(c *gin.Context) error { return web.Page(c, http.StatusOK, pages.SignedOut{}) }},
		web.Route{Method: "GET", Path: "/signin", Lane: web.Browser, Handle: func(c *gin.Context) error { return web.Page(c, http.StatusOK, pages.SignIn{Password: true}) }},
		web.Route{Method: "GET", Path: "/panic", Lane: web.API, Handle: func(*gin.Context) error { panic("x") }},
		web.Route{Method: "GET", Path: "/shared", Lane: web.Protocol, CORS: web.AnyCORS, Handle: ok},
	)
	s := serve(t, "https://b.example", routes, func(o *web.Options) { o.Hosts = []string{"b.example", "127.0.0.1"} })
	for _, row := range []struct {
		what, method, path string
		headers            []header
		status             int
		csp, coop          string
	}{
		{"an error page of an arrival", "GET", "/entry", nil, 500, page, "same-origin"},
		{"an error page", "GET", "/browser", nil, 500, page, "same-origin"},
		{"an OAuth error", "GET", "/protocol", nil, 500, nothing, ""},
		{"a problem", "GET", "/api", nil, 500, nothing, ""},
		{"an answer", "GET", "/done", nil, 200, nothing, ""},
		{"a redirect", "GET", "/away", nil, 303, nothing, ""},
		{"a page", "GET", "/page", nil, 200, page, "same-origin"},
		{"a page whose form ends off-site", "GET", "/signin", nil, 200, pages.CSP(pages.Traits{OffsiteForm: true}), "unsafe-none"},
		{"a panic", "GET", "/panic", nil, 500, nothing, ""},
		{"a preflight", "OPTIONS", "/shared", []header{{"Origin", "https://x.example"}, {"Access-Control-Request-Method", "GET"}}, 204, nothing, ""},
		{"nothing there", "GET", "/none", nil, 404, page, "same-origin"},
		{"a method that is not answered", "DELETE", "/page", nil, 405, page, "same-origin"},
		{"another host", "GET", "/page", []header{{"Host", "evil.example"}}, 421, nothing, ""},
	} {
		t.Run(row.what, func(t *testing.T) {
			a := s.ask(t, row.method, row.path, "", row.headers...).want(t, row.status)
			want, got := map[string]string{"Content-Security-Policy": row.csp, "Cross-Origin-Opener-Policy": row.coop}, map[string]string{}
			for k, v := range common {
				want[k] = v
			}
			for k := range want {
				got[k] = strings.Join(a.header.Values(k), " + ")
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if a.header.Get("X-Request-ID") == "" {
				t.Error("no X-Request-ID")
			}
			for _, name := range []string{"Server", "X-Powered-By", "Set-Cookie", "Access-Control-Allow-Credentials"} {
				if v, has := a.header[name]; has {
					t.Errorf("%s: %v", name, v)
				}
			}
		})
	}
	if v := serve(t, "http://localhost:8080", inEachLane(ok)).ask(t, "GET", "/api", "").header.Get("Strict-Transport-Security"); v != "" {
		t.Errorf("over http, which has nothing to promise: Strict-Transport-Security %q", v)
	}
}

// N02: a body beyond the bound is refused before anybody parses it.
func TestBodiesBeyondTheBoundAreRefused(t *testing.T) {
	reached := false
	form := func(c *gin.Context) error {
		if _, err := web.Form(c); err != nil {
			return err
		}
		reached = true
		return ok(c)
	}
	document := func(c *gin.Context) error {
		var v struct {
			A string `json:"a"`
		}
		if err := web.JSON(c, &v); err != nil {
			return err
		}
		reached = true
		return ok(c)
	}
	s := serve(t, "https://b.example", []web.Route{
		{Method: "POST", Path: "/token", Lane: web.Protocol, Handle: form},
		{Method: "POST", Path: "/form", Lane: web.Browser, Handle: form},
		{Method: "POST", Path: "/admin", Lane: web.API, Handle: document},
		{Method: "POST", Path: "/small", Lane: web.API, MaxBody: 100, Handle: document},
		{Method: "POST", Path: "/unread", Lane: web.API, Handle: ok},
	})
	urlencoded, jsonType := "application/x-www-form-urlencoded", "application/json"
	fields := func(n int) string { return "a=" + strings.Repeat("x", n-2) }
	object := func(n int) string { return `{"a":"` + strings.Repeat("x", n-8) + `"}` }
	for _, row := range []struct {
		rule, path, kind, body string
		status                 int
	}{
		{"64 KiB are a form", "/token", urlencoded, fields(64 << 10), 200},
		{"a byte more is none", "/token", urlencoded, fields(64<<10 + 1), 413},
		{"a page's form has the same bound", "/form", urlencoded, fields(64<<10 + 1), 413},
		{"1 MiB is a document", "/admin", jsonType, object(1 << 20), 200},
		{"a byte more is none", "/admin", jsonType, object(1<<20 + 1), 413},
		{"a route may have a bound of its own", "/small", jsonType, object(101), 413},
		{"garbage beyond the bound is too large, not wrong", "/admin", jsonType, strings.Repeat("[", 1<<20+1), 413},
	} {
		for _, chunked := range []bool{false, true} {
			reached = false
			var body io.Reader = strings.NewReader(row.body)
			if chunked {
				body = io.MultiReader(body) // hides the length
			}
			req, err := http.NewRequestWithContext(t.Context(), "POST", s.URL+row.path, body)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", row.kind)
			a := s.do(t, req)
			if a.status != row.status || reached != (row.status == 200) {
				t.Errorf("%s (chunked %v): status %d, want %d; parsed: %v", row.rule, chunked, a.status, row.status, reached)
			}
		}
	}
	s.ask(t, "POST", "/unread", strings.Repeat("x", 1<<20+1)).want(t, 413)
}

func TestAPanicIsA500OfTheLaneAndItsTextStaysInTheLog(t *testing.T) {
	s := serve(t, "https://b.example", inEachLane(func(*gin.Context) error { panic("hunter2 broke") }))
	for _, lane := range allLanes {
		a := s.ask(t, "GET", "/"+lane.String(), "").want(t, 500)
		if strings.Contains(a.body, "hunter2") || strings.Contains(a.body, "goroutine") || !strings.Contains(a.body+a.header.Get("X-Request-Id"), "req-") {
			t.Errorf("%s: %s", lane, a.body)
		}
	}
	if n := strings.Count(s.log.String(), `"panic":"hunter2 broke"`); n != 4 {
		t.Errorf("%d panics in the log, want 4", n)
	}
	for _, r := range s.records(t, 4) {
		if r["msg"] == "request" && r["status"] != 500.0 {
			t.Errorf("logged as %v", r)
		}
	}
}

func TestAnAnswerThatBreaksOffIsCut(t *testing.T) {
	half := func(then func() error) web.Handler {
		return func(c *gin.Context) error {
			c.String(http.StatusOK, "the first half")
			c.Writer.Flush()
			return then()
		}
	}
	s := serve(t, "https://b.example", []web.Route{
		{Method: "GET", Path: "/panics", Lane: web.Browser, Handle: half(func() error { panic("x") })},
		{Method: "GET", Path: "/fails", Lane: web.Browser, Handle: half(func() error { return errors.New("x") })},
	})
	for _, path := range []string{"/panics", "/fails"} {
		res, err := s.Client().Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(res.Body); err == nil || strings.Contains(string(b), "<html") {
			t.Errorf("%s: %q was read as a whole answer", path, b)
		}
		res.Body.Close()
	}
	s.records(t, 2)
}

func TestWhatIsNotThere(t *testing.T) {
	s := serve(t, "https://b.example", []web.Route{
		{Method: "GET", Path: "/page", Lane: web.Browser, Handle: ok},
		{Method: "POST", Path: "/token", Lane: web.Protocol, CORS: web.ClientCORS, Handle: ok},
		{Method: "GET", Path: "/me", Lane: web.API, Handle: ok},
		{Method: "GET", Path: "/callback/:provider", Lane: web.Entry, Handle: ok},
	})
	for _, row := range []struct {
		rule, method, path, accept string
		status                     int
		allow, kind, has           string
	}{
		{"no route: a page", "GET", "/none", "text/html", 404, "", "text/html", "not_found"},
		{"no route: a problem for who asks for JSON", "GET", "/none", "application/json", 404, "", "application/problem+json", `"code":"not_found"`},
		{"no route below a route", "GET", "/token/x", "", 404, "", "text/html", "not_found"},
		{"a page by another method", "POST", "/page", "", 405, "GET, HEAD", "text/html", "method_not_allowed"},
		{"an OAuth endpoint by another method answers as one", "GET", "/token", "*/*", 405, "POST, OPTIONS", "application/json", `"error":"invalid_request"`},
		{"an API by another method answers as one", "DELETE", "/me", "text/html", 405, "GET, HEAD", "application/problem+json", `"code":"method_not_allowed"`},
		{"an arrival is not for HEAD, which would take what can be taken once", "HEAD", "/callback/github", "", 405, "GET", "", ""},
		{"a made-up method", "BREW", "/page", "", 405, "GET, HEAD", "text/html", ""},
		{"TRACE", "TRACE", "/page", "", 405, "GET, HEAD", "text/html", ""},
		{"OPTIONS where nothing is shared", "OPTIONS", "/page", "", 405, "GET, HEAD", "text/html", ""},
	} {
		t.Run(row.rule, func(t *testing.T) {
			var h []header
			if row.accept != "" {
				h = append(h, header{"Accept", row.accept})
			}
			a := s.ask(t, row.method, row.path, "", h...).want(t, row.status)
			if got := a.header.Get("Allow"); !sameSet(got, row.allow) {
				t.Errorf("Allow %q, want %q", got, row.allow)
			}
			if got := a.header.Get("Content-Type"); row.kind != "" && !strings.HasPrefix(got, row.kind) {
				t.Errorf("Content-Type %q, want %q", got, row.kind)
			}
			if !strings.Contains(a.body, row.has) {
				t.Errorf("no %q in:\n%s", row.has, a.body)
			}
			if strings.Contains(a.body, "BREW") {
				t.Error("the method is repeated")
			}
		})
	}
}

func sameSet(a, b string) bool {
	x, y := strings.Split(a, ", "), strings.Split(b, ", ")
	in := map[string]bool{}
	for _, v := range x {
		in[v] = true
	}
	for _, v := range y {
		if !in[v] {
			return false
		}
	}
	return len(x) == len(y)
}

func TestHostsLimitsWhoIsServed(t *testing.T) {
	s := serve(t, "http://localhost:8080", inEachLane(ok), func(o *web.Options) { o.Hosts = []string{"localhost", "127.0.0.1", "[::1]"} })
	for host, want := range map[string]int{
		"localhost": 200, "localhost:8080": 200, "LOCALHOST:1": 200, "127.0.0.1:8080": 200, "[::1]:8080": 200, "[::1]": 200,
		"evil.example": 421, "localhost.evil.example": 421, "localhost.": 421, "127.0.0.2": 421, "[::2]:8080": 421, "evil.example:8080": 421, "localhost@evil.example": 421,
	} {
		for _, lane := range []string{"/browser", "/protocol", "/none"} {
			expect := want
			if want == 200 && lane == "/none" {
				expect = 404
			}
			if a := s.ask(t, "GET", lane, "", header{"Host", host}); a.status != expect {
				t.Errorf("%s at %s: status %d, want %d", host, lane, a.status, expect)
			}
		}
	}
}

func TestHEADIsGETWithoutABody(t *testing.T) {
	s := serve(t, "https://b.example", []web.Route{
		{Method: "GET", Path: "/jwks", Lane: web.Protocol, CORS: web.AnyCORS, Handle: func(c *gin.Context) error {
			c.Header("ETag", `"x"`)
			c.Data(http.StatusOK, "application/jwk-set+json", []byte(`{"keys":[]}`))
			return nil
		}},
		{Method: "GET", Path: "/page", Lane: web.Browser, Handle: func(c *gin.Context) error { return web.Page(c, http.StatusOK, pages.SignedOut{}) }},
		{Method: "GET", Path: "/guarded", Lane: web.API, Guard: web.Guard{Name: "never", Check: failing(errors.New("x"))}, Handle: ok},
		{Method: "GET", Path: "/authorize", Lane: web.Entry, Handle: ok},
	})
	for path, want := range map[string]int{"/jwks": 200, "/page": 200, "/guarded": 500, "/authorize": 405, "/none": 404} {
		// A client of ours would drop a body by itself, so this one reads the wire.
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "HEAD %s HTTP/1.1\r\nHost: b.example\r\nOrigin: https://any.example\r\nConnection: close\r\n\r\n", path)
		wire, err := io.ReadAll(bufio.NewReader(conn))
		conn.Close()
		if err != nil {
			t.Fatal(err)
		}
		head, body, _ := strings.Cut(string(wire), "\r\n\r\n")
		if !strings.HasPrefix(head, fmt.Sprintf("HTTP/1.1 %d ", want)) || body != "" {
			t.Errorf("HEAD %s: want %d and no body, got\n%s\n\n%s", path, want, head, body)
		}
		if path == "/jwks" && (!strings.Contains(head, "Content-Length: 11") || !strings.Contains(head, `Etag: "x"`) || !strings.Contains(head, "Access-Control-Allow-Origin: *")) {
			t.Errorf("HEAD %s lacks headers of GET:\n%s", path, head)
		}
	}
}
