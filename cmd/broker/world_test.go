package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/html"

	"example.com/broker/config"
	"example.com/broker/internal/secret"
	"example.com/broker/oauth"
	"example.com/broker/providers/local"
	"example.com/broker/rbac"
	"example.com/broker/store/mongo/mongotest"
	"example.com/broker/users"
)

// world is a whole broker on a real store, with local upstreams behind it, reached over loopback as everybody else reaches it.
type world struct {
	testing.TB
	*program
	issuer   string
	github   *local.GitHub
	google   *local.Google
	clock    *clock
	cfg      config.Config
	password string
	logs     *logBuffer
}

// clock is the time of a world, moved by hand on top of the real one.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

const (
	appRedirect   = "http://127.0.0.1:9/callback" // nobody listens: the browser stops there
	appPostLogout = "http://127.0.0.1:9/goodbye"
	ordersAPI     = "https://orders.example.com/"
	stockAPI      = "https://stock.example.com/"
	webSecret     = "web-secret-0123456789-0123456789-0123456789"
	serviceSecret = "service-secret-0123456789-0123456789-01234"
)

// onBothStores runs a test on a fresh world over SQLite and one over MongoDB.
func onBothStores(t *testing.T, test func(t *testing.T, w *world), edit ...func(*config.Config)) {
	t.Helper()
	for _, kind := range []string{"sqlite", "mongo"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			test(t, newWorld(t, kind, edit...))
		})
	}
}

func newWorld(t *testing.T, kind string, edit ...func(*config.Config)) *world {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	w := &world{TB: t, issuer: "http://localhost:" + port, clock: &clock{}, password: "correct horse battery staple", logs: &logBuffer{}}
	w.github = local.NewGitHub(local.GitHubOptions{ClientID: "gh-client", ClientSecret: "gh-secret", Now: w.clock.now})
	w.google = local.NewGoogle(local.GoogleOptions{ClientID: "goog-client", ClientSecret: "goog-secret", Now: w.clock.now})
	gh, goog := serveTest(t, w.github), serveTest(t, w.google)

	cfg := config.Default()
	cfg.Issuer = w.issuer
	key := sha256.Sum256([]byte(t.Name()))
	cfg.Keys.Encryption = []string{base64.StdEncoding.EncodeToString(key[:])}
	cfg.Password.DefaultClient = "cli"
	switch kind {
	case "sqlite":
		cfg.Store.SQLite.Path = filepath.Join(t.TempDir(), "broker.db")
	case "mongo":
		cfg.Store.Mongo = config.Mongo{URI: mongotest.URI(t), Database: mongotest.Database(t)}
	}
	cfg.Providers = map[string]config.Provider{
		"github": {
			ClientID: "gh-client", ClientSecret: "gh-secret", AuthURL: gh + local.GitHubAuthorizePath, TokenURL: gh + local.GitHubTokenPath,
			APIURL: gh + local.GitHubAPIPrefix, AllowPrivate: true, Namespace: "local:github",
		},
		"google": {ClientID: "goog-client", ClientSecret: "goog-secret", Issuer: goog, AllowPrivate: true, Namespace: "local:google"},
	}
	cfg.APIs = map[string]config.API{
		"orders": {Audience: ordersAPI, Scopes: []string{"orders:read", "orders:write"}},
		"stock":  {Audience: stockAPI, Scopes: []string{"stock:read"}},
	}
	cfg.Clients = map[string]config.Client{
		"spa": {
			Name: "Test app", FirstParty: true, RedirectURIs: []string{appRedirect, "https://app.example.com/cb"},
			PostLogout: []string{appPostLogout}, APIs: []string{"orders", "stock"},
		},
		"web": {
			Name: "Web app", Secret: webSecret, FirstParty: true, RedirectURIs: []string{appRedirect}, APIs: []string{"orders"}, DefaultAPI: "orders",
		},
		"third": {Name: "Third-party app", RedirectURIs: []string{appRedirect}},
		"cli":   {FirstParty: true, GrantTypes: []string{oauth.GrantPassword, oauth.GrantRefreshToken}, APIs: []string{"orders"}},
		"service": {
			Secret: serviceSecret, GrantTypes: []string{oauth.GrantClientCredentials}, APIs: []string{"orders"}, Introspect: "any",
		},
		"off": {Disabled: true, RedirectURIs: []string{appRedirect}},
	}
	for _, e := range edit {
		e(&cfg)
	}
	w.cfg = cfg
	if problems := config.Validate(cfg, true); len(problems) > 0 {
		t.Fatalf("configuration of the test world: %v", problems)
	}
	ctx := context.WithoutCancel(t.Context())
	p, err := newProgram(ctx, cfg, options{log: slog.New(slog.NewJSONHandler(w.logs, nil)), now: w.clock.now, dev: true})
	if err != nil {
		t.Fatal(err)
	}
	w.program = p
	run, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- p.run(run, listening{l, p.edge}) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("the broker ended with %v", err)
		}
	})
	return w
}

func serveTest(t *testing.T, h http.Handler) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// person creates a local user with the world's password.
func (w *world) person(name string, roles ...string) users.User {
	w.Helper()
	if len(roles) == 0 {
		roles = []string{rbac.Viewer}
	}
	u, err := w.users.Create(w.Context(), users.NewUser{
		Username: name, Name: strings.ToUpper(name[:1]) + name[1:], Email: name + "@example.com", EmailVerified: true,
		Password: secret.Value(w.password), Roles: roles,
	})
	if err != nil {
		w.Fatal(err)
	}
	return u
}

// browser keeps cookies and follows nothing by itself.
type browser struct {
	*world
	http *http.Client
	// header is added to every request.
	header http.Header
}

func (w *world) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.Fatal(err)
	}
	return &browser{w, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, http.Header{}}
}

// page is an answer, read to its end.
type page struct {
	*http.Response
	body string
	at   *url.URL
}

func (b *browser) do(method, address string, form url.Values) page {
	b.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(b.Context(), method, address, body)
	if err != nil {
		b.Fatal(err)
	}
	for k, v := range b.header {
		req.Header[k] = v
	}
	req.Header.Set("Accept", "text/html")
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", b.issuer)
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	resp, err := b.http.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.Fatal(err)
	}
	return page{resp, string(text), req.URL}
}

// open gets an address and follows redirects for as long as they stay at the broker; the answer is a page of the broker, or the
// redirect that leaves it.
func (b *browser) open(address string) page {
	b.Helper()
	return b.follow(b.do(http.MethodGet, b.abs(address), nil))
}

func (b *browser) follow(p page) page {
	b.Helper()
	for range 10 {
		to, err := p.Location()
		if err != nil || !strings.HasPrefix(to.String(), b.issuer+"/") {
			return p
		}
		p = b.do(http.MethodGet, to.String(), nil)
	}
	b.Fatalf("more than ten redirects, the last from %s", p.at)
	return page{}
}

func (b *browser) abs(address string) string {
	if strings.HasPrefix(address, "/") {
		return b.issuer + address
	}
	return address
}

// submit fills in and posts the form with an id, as a person with JavaScript off would.
func (b *browser) submit(p page, id string, fill url.Values) page {
	b.Helper()
	form, action := p.form(b, id)
	for k, v := range fill {
		form[k] = v
	}
	return b.follow(b.do(http.MethodPost, b.abs(action), form))
}

// form returns the fields and the action of a form, given its id or that of an element in it.
func (p page) form(t testing.TB, id string) (url.Values, string) {
	t.Helper()
	node := p.element(t, id)
	for node.Data != "form" && node.Parent != nil {
		node = node.Parent
	}
	values := url.Values{}
	for n := range node.Descendants() {
		if n.Type == html.ElementNode && n.Data == "input" && attr(n, "name") != "" {
			values.Set(attr(n, "name"), attr(n, "value"))
		}
	}
	action := attr(node, "action")
	return values, action
}

// has reports whether the page has an element with the id.
func (p page) has(id string) bool { return p.find(id) != nil }

func (p page) find(id string) *html.Node {
	doc, err := html.Parse(strings.NewReader(p.body))
	if err != nil {
		return nil
	}
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode && attr(n, "id") == id {
			return n
		}
	}
	return nil
}

func (p page) element(t testing.TB, id string) *html.Node {
	t.Helper()
	n := p.find(id)
	if n == nil {
		t.Fatalf("%s %s answered %d without an element #%s:\n%s", p.Request.Method, p.at, p.StatusCode, id, p.body)
	}
	return n
}

// text returns the text of an element.
func (p page) text(t testing.TB, id string) string {
	t.Helper()
	var out []string
	for n := range p.element(t, id).Descendants() {
		if n.Type == html.TextNode {
			out = append(out, strings.TrimSpace(n.Data))
		}
	}
	return strings.TrimSpace(strings.Join(out, " "))
}

func (p page) href(t testing.TB, id string) string {
	t.Helper()
	return attr(p.element(t, id), "href")
}

func attr(n *html.Node, name string) string {
	i := slices.IndexFunc(n.Attr, func(a html.Attribute) bool { return a.Key == name })
	if i < 0 {
		return ""
	}
	return n.Attr[i].Val
}

// app is an application that signs people in by code + PKCE.
type app struct {
	*world
	id, secret, redirect, verifier, state string
}

func (w *world) app(id, clientSecret string) *app {
	return &app{w, id, clientSecret, appRedirect, secret.New(32).Reveal(), secret.New(16).Reveal()}
}

// authorizeURL is where the app sends a browser; extra replaces parameters, an empty value takes one away.
func (a *app) authorizeURL(extra ...string) string {
	v := url.Values{
		"response_type": {"code"}, "client_id": {a.id}, "redirect_uri": {a.redirect}, "scope": {"openid profile email roles"}, "state": {a.state},
		"code_challenge": {oauth.Challenge(a.verifier)}, "code_challenge_method": {"S256"}, "nonce": {"n-" + a.state},
	}
	for i := 0; i < len(extra); i += 2 {
		if v.Set(extra[i], extra[i+1]); extra[i+1] == "" {
			v.Del(extra[i])
		}
	}
	return a.issuer + "/authorize?" + v.Encode()
}

// answer returns the parameters of a redirect to the app.
func (a *app) answer(p page) url.Values {
	a.Helper()
	to, err := p.Location()
	if err != nil || !strings.HasPrefix(to.String(), a.redirect+"?") {
		a.Fatalf("%s answered %d to %v, want a redirect to %s\n%s", p.at, p.StatusCode, to, a.redirect, p.body)
	}
	return to.Query()
}

// code is answer for a request that succeeded.
func (a *app) code(p page) string {
	a.Helper()
	q := a.answer(p)
	if q.Get("state") != a.state || q.Get("iss") != a.issuer || q.Get("code") == "" {
		a.Fatalf("the app got %v, want a code, its state and iss", q)
	}
	return q.Get("code")
}

// redeem redeems a code; extra as in authorizeURL.
func (a *app) redeem(code string, extra ...string) reply {
	a.Helper()
	return a.post("/token", a.with(url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {a.redirect}, "code_verifier": {a.verifier},
	}, extra))
}

func (a *app) refresh(token string, extra ...string) reply {
	a.Helper()
	return a.post("/token", a.with(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}, extra))
}

func (a *app) with(v url.Values, extra []string) url.Values {
	v.Set("client_id", a.id)
	for i := 0; i < len(extra); i += 2 {
		if v.Set(extra[i], extra[i+1]); extra[i+1] == "" {
			v.Del(extra[i])
		}
	}
	return v
}

func (a *app) post(path string, form url.Values) reply {
	a.Helper()
	if a.secret == "" {
		return a.world.post(path, form)
	}
	form.Del("client_id")
	return a.world.post(path, form, "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(a.id)+":"+url.QueryEscape(a.secret))))
}

// reply is an answer in JSON.
type reply struct {
	*http.Response
	raw  string
	json map[string]any
}

func (r reply) str(name string) string {
	s, _ := r.json[name].(string)
	return s
}

// post sends a form to the broker as no browser does; header is name, value, …
func (w *world) post(path string, form url.Values, header ...string) reply {
	w.Helper()
	return w.call(http.MethodPost, path, "application/x-www-form-urlencoded", form.Encode(), header...)
}

func (w *world) get(path string, header ...string) reply {
	w.Helper()
	return w.call(http.MethodGet, path, "", "", header...)
}

func (w *world) call(method, path, kind, body string, header ...string) reply {
	w.Helper()
	req, err := http.NewRequestWithContext(w.Context(), method, w.issuer+path, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.Fatal(err)
	}
	out := reply{Response: resp, raw: string(text)}
	_ = json.Unmarshal(text, &out.json) // an answer that is not JSON has no members
	return out
}

// signInByPassword walks an app's request through the sign-in page.
func (b *browser) signInByPassword(a *app, name string, extra ...string) page {
	b.Helper()
	p := b.open(a.authorizeURL(extra...))
	return b.submit(p, "signin-form", url.Values{"username": {name}, "password": {b.password}})
}

// signInBy walks an app's request through a provider, as one of its people; "" presses Cancel.
func (b *browser) signInBy(a *app, provider, person string, extra ...string) page {
	b.Helper()
	return b.through(b.open(a.authorizeURL(extra...)), "provider-"+provider, person)
}

// through follows a provider's link on a page, picks a person there and comes back.
func (b *browser) through(p page, link, person string) page {
	b.Helper()
	out := b.open(p.href(b, link))
	to, err := out.Location()
	if err != nil {
		b.Fatalf("%s did not lead to the upstream: %d\n%s", link, out.StatusCode, out.body)
	}
	back, err := local.Pick(b.Context(), http.DefaultClient, to.String(), person)
	if err != nil {
		b.Fatal(err)
	}
	return b.open(back.String())
}

// claims reads a JWT's payload without checking it.
func claims(t testing.TB, raw string) map[string]any {
	t.Helper()
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no JWT", raw)
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}
