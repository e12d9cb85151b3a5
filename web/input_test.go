package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"example.com/broker/web"
)

func TestForm(t *testing.T) {
	var got url.Values
	s := serve(t, "https://b.example", []web.Route{{Method: "POST", Path: "/token", Lane: web.Protocol, Handle: func(c *gin.Context) error {
		f, err := web.Form(c)
		if err != nil {
			if f != nil {
				t.Error("values beside an error")
			}
			return err
		}
		got = f
		return ok(c)
	}}})
	const form = "application/x-www-form-urlencoded"
	for _, row := range []struct {
		rule, kind, body string
		wrong            string // part of error_description, "" where it is read
	}{
		{"a form", form, "grant_type=password&username=jo%40x.org&scope=a+b", ""},
		{"a form with a charset", form + "; charset=utf-8", "a=1", ""},
		{"a form in another case", "Application/X-WWW-Form-UrlEncoded", "a=1", ""},
		{"an empty form", form, "", ""},
		{"an empty value", form, "a=&b", ""},
		{"resource may repeat (RFC 8707)", form, "resource=a&resource=b", ""},
		{"no media type", "", "a=1", "Content-Type is ''"},
		{"JSON", "application/json", `{"a":1}`, "Content-Type is 'application/json'"},
		{"multipart", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x--", "Content-Type is"},
		{"text", "text/plain", "a=1", "Content-Type is"},
		{"a media type that is none", "form;;;", "a=1", "Content-Type is"},
		{"a repeated parameter", form, "a=1&b=2&a=1", "parameter 'a' is given 2 times"},
		{"a parameter repeated in another spelling", form, "a=1&%61=2", "parameter 'a' is given 2 times"},
		{"NUL", form, "a=x%00y", "parameter 'a' is not UTF-8"},
		{"NUL in a name", form, "a%00=x", "name of a parameter"},
		{"bytes that are no text", form, "a=%ff%fe", "parameter 'a' is not UTF-8"},
		{"overlong UTF-8", form, "a=%c0%af", "parameter 'a' is not UTF-8"},
		{"a name that is no text", form, "%ff=1", "name of a parameter"},
		{"one bad value of several", form, "resource=ok&resource=%ff", "parameter 'resource' is not UTF-8"},
		{"a broken escape", form, "a=%zz", "not application/x-www-form-urlencoded"},
		{"semicolons for ampersands", form, "a=1;b=2", "not application/x-www-form-urlencoded"},
		{"twenty thousand parameters", form, strings.Repeat("a&", 20_000), ""},
	} {
		t.Run(row.rule, func(t *testing.T) {
			var h []header
			if row.kind != "" {
				h = append(h, header{"Content-Type", row.kind})
			}
			a := s.ask(t, "POST", "/token?username=from-the-address", row.body, h...)
			if row.rule == "twenty thousand parameters" {
				a.want(t, http.StatusBadRequest)
				return
			}
			if row.wrong == "" {
				a.want(t, http.StatusOK)
				if got.Get("username") == "from-the-address" {
					t.Error("the address was read")
				}
				return
			}
			a.want(t, http.StatusBadRequest)
			m := a.members(t)
			if text, _ := m["error_description"].(string); m["error"] != "invalid_request" || !strings.Contains(text, row.wrong) {
				t.Errorf("got %v, want invalid_request with %q", m, row.wrong)
			}
		})
	}
	if got := s.ask(t, "POST", "/token", strings.Repeat("n", 60_000)+"=1&"+strings.Repeat("n", 10)+"=1&nnnnnnnnnn=2", header{"Content-Type", form}); len(got.body) > 1000 {
		t.Errorf("the answer repeats %d bytes of the request", len(got.body))
	}
}

func TestQueryHasTheRulesOfForm(t *testing.T) {
	s := serve(t, "https://b.example", []web.Route{{Method: "GET", Path: "/login", Lane: web.Browser, Handle: func(c *gin.Context) error {
		q, err := web.Query(c)
		if err != nil {
			return err
		}
		c.String(http.StatusOK, "%s", q.Get("tx"))
		return nil
	}}})
	if got := s.ask(t, "GET", "/login?tx=abc", "").want(t, 200).body; got != "abc" {
		t.Errorf("got %q", got)
	}
	for _, q := range []string{"tx=a&tx=b", "tx=%00", "tx=%ff", "tx=%zz", "a;b", "%ff=1"} {
		s.ask(t, "GET", "/login?"+q, "").want(t, 400)
	}
}

// N02.
func TestJSON(t *testing.T) {
	type body struct {
		Name string         `json:"name"`
		Any  map[string]any `json:"any"`
		N    float64        `json:"n"`
	}
	s := serve(t, "https://b.example", []web.Route{{Method: "POST", Path: "/admin", Lane: web.API, Handle: func(c *gin.Context) error {
		var b body
		if err := web.JSON(c, &b); err != nil {
			return err
		}
		return ok(c)
	}}})
	keys := func(n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(`,"` + strings.Repeat("k", i%3) + string(rune('a'+i%26)) + url.QueryEscape(string(rune(0x100+i))) + `":1`)
		}
		return `{"any":{` + b.String()[1:] + `}}`
	}
	for _, row := range []struct {
		rule, kind, in string
		status         int
		code           string
	}{
		{"an object", "application/json", `{"name":"x"}`, 200, ""},
		{"an object with a charset", "application/json; charset=utf-8", `{"name":"x"}`, 200, ""},
		{"no media type", "", `{}`, 415, "media_type"},
		{"a form, which a page of another site can send", "application/x-www-form-urlencoded", `{}`, 415, "media_type"},
		{"text, which a page of another site can send", "text/plain", `{}`, 415, "media_type"},
		{"depth ten thousand", "application/json", strings.Repeat(`{"any":`, 10_000) + "1" + strings.Repeat("}", 10_000), 400, "request_invalid"},
		{"fifty thousand keys", "application/json", keys(50_000), 400, "request_invalid"},
		{"a key twice", "application/json", `{"name":"a","name":"b"}`, 400, "request_invalid"},
		{"a key in two cases", "application/json", `{"name":"a","NAME":"b"}`, 400, "request_invalid"},
		{"a number beyond bounds", "application/json", `{"n":1e999999}`, 400, "request_invalid"},
		{"an unknown key", "application/json", `{"owner_id":"x"}`, 400, "request_invalid"},
		{"two documents", "application/json", `{}{}`, 400, "request_invalid"},
		{"nothing", "application/json", ``, 400, "request_invalid"},
		{"bytes that are no text", "application/json", "{\"name\":\"\xff\"}", 400, "request_invalid"},
	} {
		t.Run(row.rule, func(t *testing.T) {
			var h []header
			if row.kind != "" {
				h = append(h, header{"Content-Type", row.kind})
			}
			a := s.ask(t, "POST", "/admin", row.in, h...).want(t, row.status)
			if row.code != "" && a.members(t)["code"] != row.code {
				t.Errorf("got %s, want code %s", a.body, row.code)
			}
			if len(a.body) > 1000 {
				t.Errorf("the answer repeats %d bytes of the request", len(a.body))
			}
		})
	}
}

// TestFormJSON: what RFC 6749 §3.2 says of parameters holds for members, and whatever parsers disagree about is refused all the same.
func TestFormJSON(t *testing.T) {
	s := serve(t, "https://b.example", []web.Route{{Method: "POST", Path: "/login", Lane: web.API, Handle: func(c *gin.Context) error {
		form, err := web.FormJSON(c, "username", "password")
		if err != nil {
			return err
		}
		c.String(http.StatusOK, "%s", form.Encode())
		return nil
	}}})
	for _, row := range []struct {
		rule, kind, in string
		status         int
		want           string // the form, or the code
	}{
		{"what is asked for", "application/json", `{"username":"a","password":"b"}`, 200, "password=b&username=a"},
		{"a charset", "Application/JSON; charset=utf-8", `{"username":"a"}`, 200, "username=a"},
		{"unknown members of any kind are ignored", "application/json", `{"username":"a","remember":true,"x":{"username":["b"]},"n":1e999999}`, 200, "username=a"},
		{"null is as good as absent", "application/json", `{"username":null,"password":"b"}`, 200, "password=b"},
		{"null alone", "application/json", `null`, 400, "request_invalid"},
		{"one that is no string", "application/json", `{"username":1}`, 400, "request_invalid"},
		{"one that is a list", "application/json", `{"username":["a"]}`, 400, "request_invalid"},
		{"the name in another case", "application/json", `{"Username":"a"}`, 400, "request_invalid"},
		{"the name in two cases", "application/json", `{"username":"a","USERNAME":"b"}`, 400, "request_invalid"},
		{"a member twice", "application/json", `{"username":"a","username":"b"}`, 400, "request_invalid"},
		{"an unknown member twice", "application/json", `{"x":1,"x":2}`, 400, "request_invalid"},
		{"depth", "application/json", `{"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, 400, "request_invalid"},
		{"a list", "application/json", `[]`, 400, "request_invalid"},
		{"two documents", "application/json", `{}{}`, 400, "request_invalid"},
		{"nothing", "application/json", ``, 400, "request_invalid"},
		{"bytes that are no text", "application/json", "{\"username\":\"\xff\"}", 400, "request_invalid"},
		{"text, which a page of another site can send", "text/plain", `{"username":"a"}`, 415, "media_type"},
		{"no media type", "", `{}`, 415, "media_type"},
	} {
		var h []header
		if row.kind != "" {
			h = append(h, header{"Content-Type", row.kind})
		}
		a := s.ask(t, "POST", "/login", row.in, h...).want(t, row.status)
		if got := a.body; row.status == 200 && got != row.want || row.status != 200 && a.members(t)["code"] != row.want {
			t.Errorf("%s: %s, want %q", row.rule, got, row.want)
		}
	}
}
