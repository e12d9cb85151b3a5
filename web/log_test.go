package web_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/broker/audit"
	"example.com/broker/internal/fault"
	"example.com/broker/web"
)

func TestTheLogHasOneLineARequestWithoutItsSecrets(t *testing.T) {
	type seen struct {
		method, pattern string
		status          int
	}
	observed := make(chan seen, 10)
	s := serve(t, "https://b.example", []web.Route{
		{Method: "GET", Path: "/callback/:provider", Lane: web.Entry, Handle: ok},
		{Method: "POST", Path: "/token", Lane: web.Protocol, Handle: func(c *gin.Context) error {
			f, err := web.Form(c)
			if err != nil {
				return err
			}
			web.Log(c).Info("inside", "same_id", web.RequestID(c) == audit.RequestOf(c.Request.Context()))
			c.String(http.StatusOK, "%d", len(f))
			return nil
		}},
	}, func(o *web.Options) {
		o.Observe = func(method, pattern string, status int, _ time.Duration) { observed <- seen{method, pattern, status} }
	})
	h := []header{
		{"Authorization", "Bearer hunter2-token"},
		{"Cookie", "__Host-broker_session=hunter2-cookie"},
		{"X-API-Key", "hunter2-key"},
		{"X-Request-ID", "hunter2-id"},
		{"Referer", "https://x.example/?hunter2"},
		{"User-Agent", "hunter2-agent"},
	}
	s.ask(t, "GET", "/callback/hunter2-path?code=hunter2-code&state=hunter2-state", "", h...).want(t, 200)
	s.ask(t, "POST", "/token?api_key=hunter2-query", "password=hunter2-password", append(h, header{"Content-Type", "application/x-www-form-urlencoded"})...).want(t, 200)
	s.ask(t, "POST", "/token", "password=hunter2&password=hunter2", append(h, header{"Content-Type", "application/x-www-form-urlencoded"})...).want(t, 400)
	s.ask(t, "GET", "/hunter2-none?x=hunter2", "", h...).want(t, 404)
	s.ask(t, "HUNTER2", "/token", "", h...).want(t, 405)
	records := s.records(t, 5)
	if strings.Contains(strings.ToLower(s.log.String()), "hunter2") {
		t.Errorf("the log has what was sent:\n%s", s.log)
	}
	var got []map[string]any
	for _, r := range records {
		if r["msg"] == "request" {
			got = append(got, r)
		}
		if r["request_id"] == nil || !strings.HasPrefix(r["request_id"].(string), "req-") {
			t.Errorf("no request id of ours: %v", r)
		}
		if r["msg"] == "inside" && r["same_id"] != true {
			t.Error("the audit event of a request would name another")
		}
	}
	want := []seen{{"GET", "/callback/:provider", 200}, {"POST", "/token", 200}, {"POST", "/token", 400}, {"GET", "", 404}, {"OTHER", "", 405}}
	for i, w := range want {
		if g := got[i]; g["method"] != w.method || g["route"] != w.pattern || g["status"] != float64(w.status) {
			t.Errorf("line %d is %v, want %v", i, g, w)
		}
		if o := <-observed; o != w {
			t.Errorf("observed %v, want %v", o, w)
		}
	}
}

func TestARequestIDIsOursAndOnTheAnswer(t *testing.T) {
	s := serve(t, "https://b.example", inEachLane(ok))
	a, b := s.ask(t, "GET", "/api", "", header{"X-Request-ID", "evil"}), s.ask(t, "GET", "/none", "", header{"X-Request-ID", "evil"})
	if x, y := a.header.Values("X-Request-ID"), b.header.Values("X-Request-ID"); len(x) != 1 || len(y) != 1 || x[0] == y[0] || x[0] == "evil" || y[0] == "evil" {
		t.Errorf("request ids %q and %q", x, y)
	}
}

// Where the caller's id is echoed the body says it exactly, and says nothing where none was sent.
func TestAnEchoedRequestIDIsTheCallers(t *testing.T) {
	refuse := func(*gin.Context) error { return fault.New(fault.Invalid, "x", "no") }
	s := serve(t, "https://b.example", []web.Route{
		{Method: "POST", Path: "/echo", Lane: web.API, EchoID: true, Handle: refuse}, {Method: "POST", Path: "/own", Lane: web.API, Handle: refuse},
	})
	for _, id := range []string{"a-1", `any "text" <b>é</b>`, ""} {
		for _, method := range []string{"POST", "GET"} {
			a, again := s.ask(t, method, "/echo", "", header{"X-Request-ID", id}), s.ask(t, method, "/echo", "", header{"X-Request-ID", id})
			var body map[string]any
			if err := json.Unmarshal([]byte(a.body), &body); err != nil {
				t.Fatal(err)
			}
			if got, ok := body["request_id"]; ok != (id != "") || ok && (got != id || a.header.Get("X-Request-ID") != id) {
				t.Errorf("%s with %q: body %s, header %q", method, id, a.body, a.header.Get("X-Request-ID"))
			}
			if a.body != again.body {
				t.Errorf("%s with %q: %s, then %s", method, id, a.body, again.body)
			}
			if a.header.Get("X-Request-ID") == "" {
				t.Errorf("%s with %q has no X-Request-ID", method, id)
			}
		}
	}
	if a := s.ask(t, "POST", "/echo", "", header{"X-Request-ID", "\xff"}); strings.Contains(a.body, "request_id") || a.header.Get("X-Request-ID") != "\xff" {
		t.Errorf("an id that is no text: %s", a.body)
	}
	if a := s.ask(t, "POST", "/own", "", header{"X-Request-ID", "a-1"}); !strings.Contains(a.body, `"request_id":"`+a.header.Get("X-Request-ID")+`"`) {
		t.Errorf("a route that does not echo: %s", a.body)
	}
}

// L08.
func TestNothingBreaksOutOfALogLine(t *testing.T) {
	nasty := "a\r\nlevel=ERROR msg=forged \x1b[31m\x00\u2028\"}"
	for name, handler := range map[string]func(*lines) slog.Handler{
		"text": func(l *lines) slog.Handler { return slog.NewTextHandler(l, nil) },
		"json": func(l *lines) slog.Handler { return slog.NewJSONHandler(l, nil) },
	} {
		log := &lines{}
		s := serve(t, "https://b.example", []web.Route{{Method: "POST", Path: "/login", Lane: web.Browser, Handle: func(c *gin.Context) error {
			f, err := web.Form(c)
			if err != nil {
				return err
			}
			return fault.New(fault.Unauthenticated, "credentials_invalid", "no user %s", f.Get("username"))
		}}}, func(o *web.Options) { o.Log = slog.New(handler(log)) })
		s.ask(t, "POST", "/login", "username="+strings.NewReplacer("\r", "%0d", "\n", "%0a", "\x1b", "%1b", "\x00", "", " ", "+", "\u2028", "%e2%80%a8").Replace(nasty),
			header{"Content-Type", "application/x-www-form-urlencoded"}).want(t, 401)
		s.Close()
		text := strings.TrimSuffix(log.String(), "\n")
		if n := strings.Count(text, "\n") + 1; n != 2 {
			t.Errorf("%s: %d lines, want that of the refusal and that of the request:\n%s", name, n, text)
		}
		if strings.ContainsAny(text, "\x1b\r\x00") {
			t.Errorf("%s: control characters in the log: %q", name, text)
		}
	}
}
