package main

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/broker/verify"
)

const tokenConfig = `
clients:
  web: {name: My app, first_party: true, redirect_uris: ["http://localhost:5173/callback"], apis: [stock]}
apis:
  orders: {audience: "https://orders.example.com/", scopes: ["orders:read", "orders:write"], roles: [editor, viewer]}
  stock: {audience: "https://stock.example.com/", scopes: ["stock:read"]}
`

// token runs `broker token` on a running dev and returns what it prints.
func (p *devProcess) token(t *testing.T, args ...string) string {
	t.Helper()
	code, out, talk := here(t, "", append([]string{"token", "--data", p.dir}, args...)...)
	if code != exitDone || talk != "" {
		t.Fatalf("broker token %q: exit code %d, stderr %q", args, code, talk)
	}
	return strings.TrimSuffix(out, "\n")
}

func TestTokenIsForThePersonAPIScopeAndClientThatWereNamed(t *testing.T) {
	t.Parallel()
	p := startDev(t, t.TempDir(), "--config", devConfig(t, tokenConfig))
	const demo = "demo-cli"
	rows := []struct {
		name                        string
		args                        []string
		audience, scope, client, of string
		roles                       []string
	}{
		{"an API by its id, with all its scopes", []string{"alice", "--api", "orders"}, "https://orders.example.com/", "orders:read orders:write", demo, "alice", []string{"editor"}},
		{"an API by its audience", []string{"bob", "--api", "https://orders.example.com/"}, "https://orders.example.com/", "orders:read orders:write", demo, "bob", []string{"viewer"}},
		{"roles that the API does not list", []string{"root", "--api", "orders"}, "https://orders.example.com/", "orders:read orders:write", demo, "root", []string{}},
		{"fewer scopes", []string{"alice", "--api", "orders", "--scope", "openid orders:read"}, "https://orders.example.com/", "openid orders:read", demo, "alice", []string{"editor"}},
		{"the broker itself", []string{"alice"}, p.about.Issuer, "openid profile email roles", demo, "alice", []string{"editor"}},
		{"another client", []string{"alice", "--client", "web", "--api", "stock"}, "https://stock.example.com/", "stock:read", "web", "alice", []string{"editor"}},
		{"a person by address", []string{"alice@example.com"}, p.about.Issuer, "openid profile email roles", demo, "alice", []string{"editor"}},
		{"the demo's own API", []string{"bob", "--api", "demo"}, p.about.APIs[0].Audience, "demo:read demo:write", demo, "bob", []string{"viewer"}},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			raw := p.token(t, r.args...)
			keys, err := verify.Remote(p.about.Issuer+"/jwks", verify.RemoteOptions{})
			if err != nil {
				t.Fatal(err)
			}
			v, err := verify.New(verify.Config{Issuer: p.about.Issuer, Audience: r.audience, Keys: keys})
			if err != nil {
				t.Fatal(err)
			}
			got, err := v.Verify(t.Context(), raw)
			if err != nil {
				t.Fatal(err)
			}
			s := got.Subject
			if s.ClientID != r.client || s.Email != r.of+"@example.com" || !slices.Equal(s.Roles, r.roles) || strings.Join(s.Scopes, " ") != r.scope {
				t.Errorf("the token speaks of %+v", s)
			}
			var made madeToken
			if err := json.Unmarshal([]byte(p.token(t, append(r.args, "-o", "json")...)), &made); err != nil {
				t.Fatal(err)
			}
			if made.AccessToken == "" || made.AccessToken == raw {
				t.Errorf("got the token %q twice", made.AccessToken)
			}
			made.AccessToken = ""
			if want := (madeToken{"", "bearer", 900, r.scope, s.ID, r.audience, r.client}); made != want {
				t.Errorf("-o json says %+v, want %+v", made, want)
			}
		})
	}
	if said := p.talk.String(); !strings.Contains(said, "made an access token by hand") || strings.Contains(said, "eyJ") {
		t.Errorf("the log must tell that tokens were made, and none of them:\n%s", said)
	}
}

func TestTokenEndsWithThePersonsAccessAndByRevocation(t *testing.T) {
	t.Parallel()
	p := startDev(t, t.TempDir())
	me := func(token string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.about.Issuer+"/me", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		status, _ := fetch(t, http.DefaultClient, req)
		return status
	}
	revoked, kept, bobs := p.token(t, "alice"), p.token(t, "alice"), p.token(t, "bob")
	for _, token := range []string{revoked, kept, bobs} {
		if got := me(token); got != http.StatusOK {
			t.Fatalf("/me answers a new token with %d", got)
		}
	}
	if status, answer := p.post(t, p.about.Issuer+"/revoke", map[string][]string{"token": {revoked}, "client_id": {"demo-cli"}}); status != http.StatusOK {
		t.Fatalf("revoke: %d %v", status, answer)
	}
	if got := me(revoked); got != http.StatusUnauthorized {
		t.Errorf("/me answers a revoked token with %d", got)
	}
	if code, _, talk := here(t, "", "user", "disable", "bob", "--data", p.dir); code != exitDone {
		t.Fatal(talk)
	}
	if a, b := me(kept), me(bobs); a != http.StatusOK || b != http.StatusUnauthorized {
		t.Errorf("/me answers alice with %d and bob, who is disabled, with %d", a, b)
	}
	if code, out, talk := here(t, "", "token", "bob", "--data", p.dir); code != exitFailed || out != "" || !strings.Contains(talk, "bob is disabled") {
		t.Errorf("a token for bob, who is disabled: %d %q %q", code, out, talk)
	}
}

func TestTokenSaysWhatThereIsWhereItRefuses(t *testing.T) {
	t.Parallel()
	p := startDev(t, t.TempDir(), "--config", devConfig(t, tokenConfig))
	rows := []struct {
		name string
		args []string
		code int
		talk string // regular expression
	}{
		{"nobody", nil, exitUsage, `^broker: USER is missing\nSee: broker token --help\n$`},
		{"a stranger", []string{"carol"}, exitFailed, `There is no user "carol"\. Expected one of: alice, bob, .*root\. \(user_unknown\)`},
		{"an API that is none", []string{"alice", "--api", "order"}, exitFailed, `There is no API "order"\. Expected one of: demo, orders, stock\. Without --api .*\(api_unknown\)`},
		{"an API that the client does not list", []string{"alice", "--api", "orders", "--client", "web"}, exitFailed, `add it to clients\.web\.apis, or name another client\. Expected one of: stock\. \(api_not_listed\)`},
		{"a client that is none", []string{"alice", "--client", "cli"}, exitFailed, `There is no client "cli"\. Expected one of: demo-cli, demo-docs, demo-spa, web\. \(client_unknown\)`},
		{"a client that acts for itself", []string{"alice", "--client", "demo-service"}, exitFailed, `\(client_without_people\)`},
		{"a scope that is none", []string{"alice", "--api", "stock", "--scope", "stock:write"}, exitFailed, `may not ask for the scope "stock:write"\. Expected one of: address, .*stock:read\. \(scope_unknown\)`},
		{"no scope at all", []string{"alice", "--scope", "a\"b"}, exitFailed, `invalid_scope`},
		{"a format that is none", []string{"alice", "-o", "yaml"}, exitUsage, `"yaml", expected raw or json`},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			code, out, talk := here(t, "", append([]string{"token", "--data", p.dir}, r.args...)...)
			if code != r.code || out != "" || !regexp.MustCompile(r.talk).MatchString(talk) {
				t.Errorf("exit code %d, want %d; stdout %q, want nothing; stderr %q\nwant %s", code, r.code, out, talk, r.talk)
			}
		})
	}
	dir := t.TempDir()
	if code, out, talk := here(t, "", "token", "alice", "--data", dir); code != exitFailed || out != "" || !strings.Contains(talk, "no `broker dev` runs with the data folder "+dir) {
		t.Errorf("without a broker: %d %q %q", code, out, talk)
	}
}

func TestServeMakesNoTokensForPeople(t *testing.T) {
	for _, v := range serveEnv() {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
	t.Chdir(t.TempDir())
	serveHere(t)
	if code, _, talk := here(t, "", "admin", "bootstrap", "alice"); code != exitDone {
		t.Fatal(talk)
	}
	code, out, talk := here(t, "", "token", "alice", "--data", ".")
	if code != exitFailed || out != "" || !strings.Contains(talk, "`broker serve`, which makes no tokens") || !strings.Contains(talk, "token_dev_only") {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, out, talk)
	}
	// Nor where nobody serves: the verb never opens a store.
	if p := (direct{&program{now: time.Now}}); p.call(t.Context(), "token.make", tokenWish{User: "alice"}, &madeToken{}) == nil {
		t.Error("a program that is not in dev made a token")
	}
}
