package local

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
)

const stylePath = "/local.css"

var (
	//go:embed page.html
	pageSource string
	//go:embed local.css
	style string
	pages = template.Must(template.New("page").Parse(pageSource))
)

// Person is one row of the picker.
type Person struct {
	ID     string // in element ids and in the form: a GitHub login, a Google handle
	Name   string
	Detail string // the account and what is special about it
	Avatar string // path of the picture on this upstream
	Hinted bool   // the request named this person; shown first
}

type pickerView struct {
	Provider string
	Banner   string
	App      string
	Host     string // where the browser goes next
	Scopes   []string
	Action   string
	People   []Person
}

type errorView struct {
	Provider string
	Banner   string
	Title    string
	Message  string
	Code     string
}

// picker shows the page on which one chooses who to be. The request travels in
// the query of the form's address, not in hidden fields, because browsers
// rewrite line ends in fields and state has to come back verbatim.
func (u *upstream) picker(w http.ResponseWriter, r *http.Request, redirectURI string, scopes []string, people []Person) {
	host := redirectURI
	if parsed, err := url.Parse(redirectURI); err == nil {
		host = parsed.Host
	}
	u.render(w, http.StatusOK, "picker", pickerView{
		Provider: u.name, Banner: u.banner, App: u.app, Host: host, Scopes: scopes,
		Action: r.URL.Path + "?" + r.URL.Query().Encode(), People: people,
	})
}

// refuse shows an error page: for everything that must not be sent to an
// address nobody vouches for.
func (u *upstream) refuse(w http.ResponseWriter, status int, title, code, message string) {
	u.render(w, status, "error", errorView{Provider: u.name, Banner: u.banner, Title: title, Code: code, Message: message})
}

// chosen reads the answer to the picker: the id of a person, or the wish to
// cancel. It has written the page of refusal when ok is false.
func (u *upstream) chosen(w http.ResponseWriter, r *http.Request) (person string, cancelled, ok bool) {
	if err := u.origin.Check(r); err != nil {
		u.refuse(w, http.StatusForbidden, "This form came from another site", "", "Only this page itself may press its buttons. Start again in the application.")
		return "", false, false
	}
	if err := parseForm(r); err != nil {
		u.refuse(w, http.StatusBadRequest, "This form cannot be read", "", "Expected a small form with person or cancel: "+err.Error()+".")
		return "", false, false
	}
	return r.PostForm.Get("person"), r.PostForm.Has("cancel"), true
}

func (u *upstream) render(w http.ResponseWriter, status int, name string, view any) {
	var page bytes.Buffer
	if err := pages.ExecuteTemplate(&page, name, view); err != nil {
		panic(err) // the template and its views are both in this package
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	// No form-action: Chromium applies it to the redirect that follows the
	// form as well, and that one leads to the broker.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	// Not no-referrer, which turns the form's own Origin into null.
	h.Set("Referrer-Policy", "same-origin")
	w.WriteHeader(status)
	_, _ = page.WriteTo(w)
}

func serveStyle(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write([]byte(style))
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	raw, err := json.Marshal(body)
	if err != nil {
		panic(err) // every body is built in this package of plain values
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(raw)
}

// hintedFirst moves the person that matches to the front and marks it.
func hintedFirst(people []Person, matches func(int) bool) []Person {
	var first, rest []Person
	for i, person := range people {
		if matches(i) {
			person.Hinted = true
			first = append(first, person)
			continue
		}
		rest = append(rest, person)
	}
	return append(first, rest...)
}

// quoted shows what was received, cut where it gets long.
func quoted(s string) string {
	const most = 200
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strconv.Quote(s)
}
