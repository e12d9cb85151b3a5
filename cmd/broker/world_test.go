package main

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
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
	"sync"
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

// world is a whole broker on a real store, with local upstreams behind it, reached over loopback as everybody else reaches it. It runs
// in this process, or, where program is nil, in one of its own.
type world struct {
	testing.TB
	*program
	issuer    string
	kind      string // of the store
	github    *local.GitHub
	google    *local.Google
	rogue     *local.Google // a provider that its operator should not have trusted
	clock     *clock
	cfg       config.Config
	password  string
	logs      *logBuffer
	transport http.RoundTripper
	ledger    *ledger
	operator  operator
	store     *meter
	people    *atomic.Int64
	stop      func()
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
	oddSecret     = "odd: secret+with%percent&and=more/0123456789"
	serviceSecret = "service-secret-0123456789-0123456789-01234"
	auditSecret   = "audit-secret-0123456789-0123456789-0123456"
	upstreamKey   = "upstream-secret-0123456789-0123456789-0123"
)

var storeKinds = []string{"sqlite", "mongo"}

// onBothStores runs a test on a fresh world over SQLite and one over MongoDB.
func onBothStores(t *testing.T, test func(t *testing.T, w *world), edit ...func(*config.Config)) {
	t.Helper()
	for _, kind := range storeKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			test(t, newWorld(t, kind, edit...))
		})
	}
}

// newWorld starts a broker in this process; it ends with the test.
func newWorld(t testing.TB, kind string, edit ...func(*config.Config)) *world {
	t.Helper()
	l := listen(t, "127.0.0.1:0")
	_, port, _ := net.SplitHostPort(l.Addr().String())
	w := surroundings(t, kind, "http://localhost:"+port)
	for _, e := range edit {
		e(&w.cfg)
	}
	w.issuer = w.cfg.Issuer
	w.start(l)
	w.ledger.watch(w)
	return w
}

func listen(t testing.TB, address string) net.Listener {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(context.WithoutCancel(t.Context()), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// signingKey of the local Googles: making one is slow.
var signingKey = sync.OnceValue(func() crypto.Signer {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

// crowd is how many people nobody has used yet there are at each upstream; the n-th of one has the address of the n-th of the other.
const crowd = 200

func crowdName(n int) string { return fmt.Sprintf("p%03d", n) }

func crowdAt(issuer string) ([]local.GitHubPerson, []local.GooglePerson) {
	hubbers, googlers := local.DefaultGitHubPeople(), local.DefaultGooglePeople()
	for n := range crowd {
		name, address := crowdName(n), crowdName(n)+"@example.com"
		hubbers = append(hubbers, local.GitHubPerson{
			ID: int64(910000000 + n), Login: name, Name: "Person " + name, Emails: []local.GitHubEmail{{Email: address, Primary: true, Verified: true}},
		})
		googlers = append(googlers, local.GooglePerson{Handle: name, Sub: fmt.Sprintf("%s9%08d", issuer, n), Name: "Person " + name, Email: address, EmailVerified: true})
	}
	return hubbers, googlers
}

// surroundings are the upstreams of a broker at issuer, and its configuration.
func surroundings(t testing.TB, kind, issuer string) *world {
	t.Helper()
	w := &world{
		TB: t, kind: kind, issuer: issuer, clock: &clock{}, password: "correct horse battery staple", logs: &logBuffer{},
		transport: http.DefaultTransport, ledger: &ledger{}, people: &atomic.Int64{},
	}
	hubbers, googlers := crowdAt("1")
	_, rogues := crowdAt("2")
	w.github = local.NewGitHub(local.GitHubOptions{ClientID: "gh-client", ClientSecret: upstreamKey, Now: w.clock.now, People: hubbers})
	w.google = local.NewGoogle(local.GoogleOptions{ClientID: "goog-client", ClientSecret: upstreamKey, Now: w.clock.now, Key: signingKey(), People: googlers})
	w.rogue = local.NewGoogle(local.GoogleOptions{ClientID: "rogue-client", ClientSecret: upstreamKey, Now: w.clock.now, Key: signingKey(), People: rogues})
	gh, goog, rogue := serveTest(t, w.github), serveTest(t, w.google), serveTest(t, w.rogue)

	cfg := config.Default()
	cfg.Issuer = w.issuer
	key := sha256.Sum256([]byte(t.Name()))
	cfg.Keys.Encryption = []string{base64.StdEncoding.EncodeToString(key[:])}
	cfg.Password.DefaultClient = "cli"
	cfg.Registration.Password = true
	cfg.Product.Support = "help@example.com"
	switch kind {
	case "sqlite":
		cfg.Store.SQLite.Path = filepath.Join(t.TempDir(), "broker.db")
	case "mongo":
		cfg.Store.Mongo = config.Mongo{URI: mongotest.URI(t), Database: mongotest.Database(t)}
	}
	cfg.Providers = map[string]config.Provider{
		"github": {
			ClientID: "gh-client", ClientSecret: upstreamKey, AuthURL: gh + local.GitHubAuthorizePath, TokenURL: gh + local.GitHubTokenPath,
			APIURL: gh + local.GitHubAPIPrefix, AllowPrivate: true, Namespace: "local:github",
		},
		"google": {ClientID: "goog-client", ClientSecret: upstreamKey, Issuer: goog, AllowPrivate: true, Namespace: "local:google"},
		"rogue":  {Kind: "oidc", Name: "Rogue", ClientID: "rogue-client", ClientSecret: upstreamKey, Issuer: rogue, AllowPrivate: true},
		"workspace": {
			Kind: "google", Name: "Workspace", ClientID: "goog-client", ClientSecret: upstreamKey, Issuer: goog, AllowPrivate: true,
			HostedDomains: []string{"example.org"},
		},
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
			PostLogout: []string{"https://web.example.com/bye"},
		},
		"odd": {
			Name: "Odd app", Secret: oddSecret, AuthMethod: oauth.AuthClientSecretPost, FirstParty: true, RedirectURIs: []string{appRedirect},
			IDTokenAlg: "ES256", APIs: []string{"stock"},
		},
		"percent": {Name: "Percent app", Secret: oddSecret, FirstParty: true, RedirectURIs: []string{appRedirect}},
		"exempt":  {Name: "No PKCE", Secret: webSecret, FirstParty: true, RedirectURIs: []string{appRedirect}, PKCE: "optional"},
		"third":   {Name: "Third-party app", RedirectURIs: []string{appRedirect}, APIs: []string{"orders"}},
		"native": {
			FirstParty: true, RedirectURIs: []string{"http://127.0.0.1/cb", "http://[::1]/cb", "http://localhost:7777/cb", "com.example.app:/cb"},
		},
		"googleonly": {FirstParty: true, RedirectURIs: []string{appRedirect}, Providers: []string{"google"}},
		"cli":        {FirstParty: true, GrantTypes: []string{oauth.GrantPassword, oauth.GrantRefreshToken}, APIs: []string{"orders"}},
		"service": {
			Secret: serviceSecret, GrantTypes: []string{oauth.GrantClientCredentials}, APIs: []string{"orders"}, Introspect: "any",
		},
		"auditor": {Secret: auditSecret, GrantTypes: []string{oauth.GrantClientCredentials}, APIs: []string{"stock"}},
		"off":     {Disabled: true, RedirectURIs: []string{appRedirect}},
	}
	w.cfg = cfg
	return w
}

// start runs a broker with the world's configuration on l.
func (w *world) start(l net.Listener) {
	w.Helper()
	if problems := config.Validate(w.cfg, true); config.Failed(problems) {
		w.Fatalf("configuration of the test world: %v", problems)
	}
	ctx := context.WithoutCancel(w.Context())
	w.store = &meter{}
	p, err := newProgram(ctx, w.cfg, options{log: slog.New(slog.NewJSONHandler(w.logs, nil)), now: w.clock.now, dev: true, between: w.store.wrap})
	if err != nil {
		w.Fatal(err)
	}
	w.program, w.operator = p, inProcess{p}
	run, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- p.run(run, listening{l, p.edge}) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.Errorf("the broker ended with %v", err)
		}
	})
	w.Cleanup(w.stop)
}

// restart ends the broker and starts it again at the same address on the same store, with the configuration edited.
func (w *world) restart(edit ...func(*config.Config)) {
	w.Helper()
	w.stop()
	for _, e := range edit {
		e(&w.cfg)
	}
	u, err := url.Parse(w.issuer)
	if err != nil {
		w.Fatal(err)
	}
	http.DefaultClient.CloseIdleConnections()
	w.start(listen(w, "127.0.0.1:"+u.Port()))
}

// replica starts a second broker on the same store, in this process; on SQLite, which is for one, it is the world itself. Requests to
// the returned world go to the second one, under the same issuer.
func (w *world) replica(edit ...func(*config.Config)) *world {
	w.Helper()
	if w.kind == "sqlite" {
		return w
	}
	l := listen(w, "127.0.0.1:0")
	second := *w
	second.transport = dialing(l.Addr().String())
	for _, e := range edit {
		e(&second.cfg)
	}
	second.start(l)
	return &second
}

// dialing is a transport that connects to one address whatever host is asked for.
func dialing(address string) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	return t
}

// in is the world as a subtest sees it: its failures are the subtest's, and so are the secrets that must not reach the log.
func (w *world) in(t testing.TB) *world {
	c := *w
	c.TB, c.ledger = t, &ledger{}
	c.ledger.watch(&c)
	return &c
}

// somebody returns a person at the upstreams whom no other test has used, and their address.
func (w *world) somebody() (person, address string) {
	w.Helper()
	n := int(w.people.Add(1)) - 1
	if n >= crowd {
		w.Fatal("the crowd is too small")
	}
	return crowdName(n), crowdName(n) + "@example.com"
}

func serveTest(t testing.TB, h http.Handler) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// person creates a local user with the world's password; the name is made unique.
func (w *world) person(name string, roles ...string) localUser {
	w.Helper()
	if len(roles) == 0 {
		roles = []string{rbac.Viewer}
	}
	n := w.people.Add(1)
	a := localUser{Name: strings.ToUpper(name[:1]) + name[1:], Username: fmt.Sprintf("%s%d", name, n)}
	a.Email = a.Username + "@example.com"
	a.ID = w.operator.create(w, users.NewUser{
		Username: a.Username, Name: a.Name, Email: a.Email, EmailVerified: true, Password: secret.Value(w.password), Roles: roles,
	})
	return a
}

// localUser is somebody with a login name and the password of the world.
type localUser struct{ ID, Username, Name, Email string }

// operator is what the person who runs the broker can do.
type operator interface {
	create(t testing.TB, n users.NewUser) (id string)
	disable(t testing.TB, id string)
	enable(t testing.TB, id string)
	grant(t testing.TB, id, role string)
}

// inProcess does it by the services themselves.
type inProcess struct{ *program }

func (o inProcess) create(t testing.TB, n users.NewUser) string {
	t.Helper()
	u, err := o.users.Create(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	return u.ID
}

func (o inProcess) disable(t testing.TB, id string) {
	t.Helper()
	if _, err := o.users.Disable(t.Context(), id); err != nil {
		t.Fatal(err)
	}
}

func (o inProcess) enable(t testing.TB, id string) {
	t.Helper()
	if _, err := o.users.Enable(t.Context(), id); err != nil {
		t.Fatal(err)
	}
}

func (o inProcess) grant(t testing.TB, id, role string) {
	t.Helper()
	if _, err := o.users.GrantRole(t.Context(), id, role); err != nil {
		t.Fatal(err)
	}
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
	return &browser{w, &http.Client{
		Jar: jar, Transport: w.transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, http.Header{}}
}

// at is the same browser, whose requests go to another replica.
func (b *browser) at(w *world) *browser {
	c := *b.http
	c.Transport = w.transport
	return &browser{w, &c, b.header}
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
	b.ledger.saw(b, resp, string(text))
	conforms(b, b.issuer, resp, string(text))
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
	if !strings.HasPrefix(address, "/") {
		return address
	}
	// A path in a page begins with the issuer's own; tests leave it out.
	if u, err := url.Parse(b.issuer); err == nil && u.Path != "" && strings.HasPrefix(address, u.Path+"/") {
		return strings.TrimSuffix(b.issuer, u.Path) + address
	}
	return b.issuer + address
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
		t.Fatalf("%s %s answered %d without an element #%s:\n%s", p.Request.Method, p.at, p.StatusCode, id, p.brief())
	}
	return n
}

// brief is what a person reads on the page, for failures.
func (p page) brief() string {
	if p.find("main") == nil {
		return p.body[:min(len(p.body), 1000)]
	}
	var out []string
	for n := range p.find("main").Descendants() {
		if text := strings.TrimSpace(n.Data); n.Type == html.TextNode && text != "" {
			out = append(out, text)
		}
	}
	return strings.Join(out, " | ")
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
		a.Fatalf("%s answered %d to %v, want a redirect to %s\n%s", p.at, p.StatusCode, to, a.redirect, p.brief())
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
	resp, err := w.transport.RoundTrip(req)
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.Fatal(err)
	}
	w.ledger.saw(w, resp, string(text))
	conforms(w, w.issuer, resp, string(text))
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
	return b.open(b.pick(b.away(p, link), person).String())
}

// away follows a provider's link on a page to the address at the upstream that it leads to.
func (b *browser) away(p page, link string) *url.URL {
	b.Helper()
	out := b.open(p.href(b, link))
	to, err := out.Location()
	if err != nil {
		b.Fatalf("%s did not lead to the upstream: %d\n%s", link, out.StatusCode, out.brief())
	}
	return to
}

// pick presses a person's button at the upstream and returns the callback address that the browser is sent to; "" presses Cancel.
func (b *browser) pick(to *url.URL, person string) *url.URL {
	b.Helper()
	back, err := local.Pick(b.Context(), http.DefaultClient, to.String(), person)
	if err != nil {
		b.Fatal(err)
	}
	b.ledger.keep(back.Query().Get("code"))
	return back
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
