package oidc_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/oauth2"

	"example.com/broker/internal/fault"
	"example.com/broker/providers"
	"example.com/broker/providers/local"
	"example.com/broker/providers/oidc"
	"example.com/broker/users"
)

func TestEveryPerson(t *testing.T) {
	for _, row := range []struct {
		rule, person string
		want         users.Identity // as Google; a generic provider owns no addresses
	}{
		{"Google owns the addresses of a Workspace account", "wren", users.Identity{Subject: "110169484474386270001", Name: "Wren Example", Email: "wren@example.org", EmailVerified: true, Authoritative: true}},
		{"Google has only verified another address", "gil", users.Identity{Subject: "110169484474386270002", Name: "Gil Example", Email: "gil@example.com", EmailVerified: true}},
		{"an unverified address stays unverified", "uli", users.Identity{Subject: "110169484474386270003", Name: "Uli Example", Email: "uli@example.com"}},
		{"the address of another provider's account changes nothing", "ada", users.Identity{Subject: "110169484474386270004", Name: "Ada Example", Email: "ada@example.com", EmailVerified: true}},
	} {
		for kind, build := range map[string]factory{"google": oidc.NewGoogle, "oidc": oidc.New} {
			t.Run(row.rule+", kind "+kind, func(t *testing.T) {
				g := startGoogle(t, build, nil)
				got, err := signIn(t, g.provider, row.person)
				if err != nil {
					t.Fatal(err)
				}
				want := row.want
				want.Provider, want.Namespace, want.Picture = "upstream", g.url, g.url+"/a/"+want.Subject
				want.Authoritative = want.Authoritative && kind == "google"
				if diff := cmp.Diff(providers.Result{Identity: want}, got, cmpopts.IgnoreFields(users.Identity{}, "Claims")); diff != "" {
					t.Error(diff)
				}
				if n := g.Calls(local.GoogleUserinfoPath); n != 1 {
					t.Errorf("userinfo was called %d times, want once", n)
				}
			})
		}
	}
}

func TestCancel(t *testing.T) {
	g := startGoogle(t, oidc.NewGoogle, nil)
	if got := pick(t, g.provider, newFlow(), "").Get("error"); got != "access_denied" {
		t.Errorf("error %q, want access_denied", got)
	}
}

// attacks.md A12, and what a flow passes on.
func TestAuthURL(t *testing.T) {
	maxAge := 300
	f := newFlow()
	f.LoginHint, f.Prompt, f.UILocales, f.Display = "ada&nonce=evil&redirect_uri=https://evil.example", "login", "de en", "popup"
	f.MaxAge, f.ACRValues = &maxAge, []string{"urn:a", "urn:b"}
	common := url.Values{
		"response_type": {"code"}, "client_id": {clientID}, "redirect_uri": {redirectURI}, "scope": {"openid profile email"},
		"state": {f.State}, "nonce": {f.Nonce}, "code_challenge": {oauth2.S256ChallengeFromVerifier(f.Verifier)}, "code_challenge_method": {"S256"},
		"login_hint": {f.LoginHint}, "ui_locales": {"de en"}, "display": {"popup"}, "acr_values": {"urn:a urn:b"},
	}
	for _, row := range []struct {
		rule  string
		build factory
		edit  func(*providers.Config)
		also  url.Values
	}{
		{"a generic provider is told all hints", oidc.New, nil, url.Values{"prompt": {"login"}, "max_age": {"300"}}},
		{"Google knows neither prompt=login nor max_age", oidc.NewGoogle, nil, url.Values{"prompt": {"select_account"}}},
		{"Google is told the one hosted domain", oidc.NewGoogle, func(c *providers.Config) { c.HostedDomains = []string{"example.org"} }, url.Values{"prompt": {"select_account"}, "hd": {"example.org"}}},
		{"of several only that it must be one", oidc.NewGoogle, func(c *providers.Config) { c.HostedDomains = []string{"a.org", "b.org"} }, url.Values{"prompt": {"select_account"}, "hd": {"*"}}},
		{"openid is always asked for", oidc.New, func(c *providers.Config) { c.Scopes = []string{"email"} }, url.Values{"prompt": {"login"}, "max_age": {"300"}, "scope": {"openid email"}}},
	} {
		t.Run(row.rule, func(t *testing.T) {
			g := startGoogle(t, row.build, row.edit)
			to, err := g.provider.AuthURL(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			u, err := url.Parse(to)
			if err != nil {
				t.Fatal(err)
			}
			want := url.Values{}
			for name, value := range common {
				want[name] = value
			}
			for name, value := range row.also {
				want[name] = value
			}
			if diff := cmp.Diff(want, u.Query()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAuthURLRefusesAFlowThatProtectsNothing(t *testing.T) {
	g := startGoogle(t, oidc.New, nil)
	for rule, edit := range map[string]func(*providers.Flow){
		"no state":         func(f *providers.Flow) { f.State = "" },
		"no nonce":         func(f *providers.Flow) { f.Nonce = "" },
		"a short verifier": func(f *providers.Flow) { f.Verifier = f.Verifier[:42] },
	} {
		t.Run(rule, func(t *testing.T) {
			f := newFlow()
			edit(&f)
			if to, err := g.provider.AuthURL(t.Context(), f); err == nil {
				t.Errorf("built %s", to)
			}
		})
	}
}

// attacks.md A14.
func TestBadAnswers(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	t.Cleanup(elsewhere.Close)
	for _, row := range []struct {
		rule   string
		answer http.HandlerFunc
		want   string
	}{
		{"an HTML page", local.Answer(http.StatusOK, "text/html", "<p>maintenance</p>"), "upstream_unavailable"},
		{"a redirect", local.Redirect(elsewhere.URL), "upstream_unavailable"},
		{"10 MB", local.Flood(10 << 20), "upstream_unavailable"},
		{"a gzip bomb", local.GzipBomb(10 << 20), "upstream_unavailable"},
		{"a reset", local.Reset, "upstream_unavailable"},
		{"a hang", local.Hang, "upstream_unavailable"},
		{"a server error", local.Answer(http.StatusInternalServerError, "application/json", `{}`), "upstream_unavailable"},
		{"too many requests", local.Answer(http.StatusTooManyRequests, "application/json", `{"error": "slow_down"}`), "upstream_unavailable"},
		{"a form", local.Answer(http.StatusOK, "application/x-www-form-urlencoded", "access_token=x&token_type=bearer&id_token=a.b.c&sub=1"), "upstream_invalid"},
		{"an error with status 200", local.Answer(http.StatusOK, "application/json", `{"error": "invalid_grant"}`), "upstream_invalid"},
		{"JSON cut short", local.Answer(http.StatusOK, "application/json", `{"a": 1`), "upstream_invalid"},
		{"another JSON value", local.Answer(http.StatusOK, "application/json", `[]`), "upstream_invalid"},
	} {
		for _, endpoint := range []string{local.GoogleDiscoveryPath, local.GoogleTokenPath, local.GoogleCertsPath, local.GoogleUserinfoPath} {
			t.Run(row.rule+" at "+endpoint, func(t *testing.T) {
				t.Parallel() // some of them wait
				g := startGoogle(t, oidc.NewGoogle, nil)
				f := newFlow()
				if endpoint == local.GoogleDiscoveryPath {
					g.SetFault(endpoint, row.answer)
					_, err := g.provider.AuthURL(t.Context(), f)
					wantFault(t, err, row.want)
					_, _, err = g.provider.Issuer(t.Context())
					wantFault(t, err, row.want)
					_, err = g.provider.Exchange(t.Context(), f, url.Values{"code": {"x"}})
					wantFault(t, err, row.want)
					return
				}
				back := pick(t, g.provider, f, "ada")
				g.SetFault(endpoint, row.answer)
				_, err := g.provider.Exchange(t.Context(), f, back)
				wantFault(t, err, row.want)
				if endpoint != local.GoogleUserinfoPath && g.Calls(local.GoogleUserinfoPath) != 0 {
					t.Error("userinfo was called before the ID token was verified")
				}
			})
		}
	}
}

func TestTokenAnswer(t *testing.T) {
	g := startGoogle(t, oidc.NewGoogle, nil)
	for _, row := range []struct{ rule, answer string }{
		{"no ID token", `{"access_token": "x", "token_type": "Bearer"}`},
		{"an ID token that is no string", `{"access_token": "x", "token_type": "Bearer", "id_token": {"sub": "1"}}`},
		{"an ID token that is no JWT", `{"access_token": "x", "token_type": "Bearer", "id_token": "x"}`},
		{"an ID token of a million dots", `{"access_token": "x", "token_type": "Bearer", "id_token": "` + strings.Repeat(".", 1_000_000) + `"}`},
		{"an ID token in the JSON form", `{"access_token": "x", "token_type": "Bearer", "id_token": "{\"payload\":\"e30\",\"protected\":\"e30\",\"signature\":\"e30\"}"}`},
		{"a token of another type", `{"access_token": "x", "token_type": "mac", "id_token": "a.b.c"}`},
		{"no access token", `{"token_type": "Bearer", "id_token": "a.b.c"}`},
	} {
		t.Run(row.rule, func(t *testing.T) {
			f := newFlow()
			back := pick(t, g.provider, f, "ada")
			g.SetFault(local.GoogleTokenPath, local.Answer(http.StatusOK, "application/json", row.answer))
			_, err := g.provider.Exchange(t.Context(), f, back)
			wantFault(t, err, "upstream_invalid")
			if len(err.Error()) > 1000 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}

// An honest answer in a form that was not asked for.
func TestTokenAnswerInAnotherForm(t *testing.T) {
	for rule, rewrite := range map[string]func(http.ResponseWriter, map[string]any){
		"form-encoded": func(w http.ResponseWriter, doc map[string]any) {
			form := url.Values{}
			for name, value := range doc {
				form.Set(name, fmt.Sprint(value))
			}
			w.Header().Set("Content-Type", "application/x-www-form-urlencoded")
			_, _ = io.WriteString(w, form.Encode())
		},
		"the ID token in the JSON form of JWS": func(w http.ResponseWriter, doc map[string]any) {
			part := strings.Split(doc["id_token"].(string), ".")
			raw, _ := json.Marshal(map[string]string{"protected": part[0], "payload": part[1], "signature": part[2]})
			doc["id_token"] = string(raw)
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(doc)
		},
	} {
		t.Run(rule, func(t *testing.T) {
			g := startGoogle(t, oidc.NewGoogle, nil)
			g.SetFault(local.GoogleTokenPath, func(w http.ResponseWriter, r *http.Request) {
				honest := httptest.NewRecorder()
				g.Genuine(honest, r)
				var doc map[string]any
				if err := json.Unmarshal(honest.Body.Bytes(), &doc); err != nil {
					panic(err)
				}
				rewrite(w, doc)
			})
			_, err := signIn(t, g.provider, "ada")
			wantFault(t, err, "upstream_invalid")
		})
	}
}

func TestCodeIsSpentOnce(t *testing.T) {
	g := startGoogle(t, oidc.NewGoogle, nil)
	f := newFlow()
	back := pick(t, g.provider, f, "ada")
	if _, err := g.provider.Exchange(t.Context(), f, back); err != nil {
		t.Fatal(err)
	}
	_, err := g.provider.Exchange(t.Context(), f, back)
	wantFault(t, err, "upstream_invalid")
	if !strings.Contains(err.Error(), "invalid_grant") {
		t.Errorf("error %v does not tell the log the upstream's code", err)
	}
}

func TestCodeOfAnotherFlow(t *testing.T) {
	g := startGoogle(t, oidc.NewGoogle, nil)
	back := pick(t, g.provider, newFlow(), "ada")
	_, err := g.provider.Exchange(t.Context(), newFlow(), back)
	wantFault(t, err, "upstream_invalid")
}

// Each request that fails is one request: a probe with another authentication method would spend the code.
func TestAuthenticationIsNeverProbed(t *testing.T) {
	for method, inHeader := range map[string]bool{"": true, providers.SecretBasic: true, providers.SecretPost: false} {
		t.Run("auth_method "+method, func(t *testing.T) {
			g := startGoogle(t, oidc.New, func(c *providers.Config) { c.AuthMethod = method })
			var mu sync.Mutex
			var headers, forms []bool
			g.SetFault(local.GoogleTokenPath, func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				_, _, ok := r.BasicAuth()
				headers, forms = append(headers, ok), append(forms, r.PostFormValue("client_secret") != "")
				local.Answer(http.StatusUnauthorized, "application/json", `{"error": "invalid_client"}`)(w, r)
			})
			_, err := signIn(t, g.provider, "ada")
			wantFault(t, err, "upstream_invalid")
			if !slices.Equal(headers, []bool{inHeader}) || !slices.Equal(forms, []bool{!inHeader}) {
				t.Errorf("secret in header %v, in form %v; want it once, in the header: %v", headers, forms, inHeader)
			}
			g.ClearFaults()
			if _, err := signIn(t, g.provider, "ada"); err != nil {
				t.Error(err)
			}
		})
	}
}

// An upstream that echoes what it was sent.
func TestErrorsTellNoSecrets(t *testing.T) {
	g := startGoogle(t, oidc.New, nil)
	for rule, answer := range map[string]func(string) string{
		"as error code":         func(s string) string { return `{"error": "` + s + `"}` },
		"as description":        func(s string) string { return `{"error": "x", "error_description": "` + s + `"}` },
		"without an error code": func(s string) string { return `{"message": "` + s + `"}` },
		"as broken JSON":        func(s string) string { return s },
		"as an ID token":        func(s string) string { return `{"access_token": "x", "token_type": "Bearer", "id_token": "` + s + `"}` },
		"as a type":             func(s string) string { return `{"access_token": "x", "token_type": "` + s + `"}` },
	} {
		for _, status := range []int{http.StatusOK, http.StatusBadRequest} {
			t.Run(rule, func(t *testing.T) {
				f := newFlow()
				back := pick(t, g.provider, f, "ada")
				secrets := []string{back.Get("code"), clientSecret, f.Verifier}
				for _, s := range secrets {
					g.SetFault(local.GoogleTokenPath, local.Answer(status, "application/json", answer(s)))
					_, err := g.provider.Exchange(t.Context(), f, back)
					if err == nil {
						t.Fatal("no error")
					}
					for _, s := range secrets {
						if strings.Contains(err.Error(), s[:20]) {
							t.Errorf("error %v tells %q", err, s)
						}
					}
				}
			})
		}
	}
}

func TestUserinfo(t *testing.T) {
	g := startGoogle(t, oidc.New, nil)
	const ada = "110169484474386270004"
	for _, row := range []struct {
		rule   string
		answer string
		want   string // code; "" for success
	}{
		{"the same sub", `{"sub": "` + ada + `"}`, ""},
		{"another sub", `{"sub": "110169484474386270001"}`, "upstream_invalid"},
		{"no sub", `{"email": "ada@example.com"}`, "upstream_invalid"},
		{"a sub that is a number", `{"sub": ` + ada + `}`, "upstream_invalid"},
		{"two subs", `{"sub": "1", "sub": "` + ada + `"}`, "upstream_invalid"},
		{"a sub in another case", `{"SUB": "` + ada + `"}`, "upstream_invalid"},
	} {
		t.Run(row.rule, func(t *testing.T) {
			g.SetFault(local.GoogleUserinfoPath, local.Answer(http.StatusOK, "application/json", row.answer))
			_, err := signIn(t, g.provider, "ada")
			if row.want == "" && err != nil {
				t.Fatal(err)
			}
			if row.want != "" {
				wantFault(t, err, row.want)
			}
		})
	}
}

// The ID token is signed and userinfo is not: where both speak, the ID token counts.
func TestClaimsAreMerged(t *testing.T) {
	g := startGoogle(t, oidc.New, nil)
	g.SetFault(local.GoogleUserinfoPath, local.Answer(http.StatusOK, "application/json", `{
		"sub": "110169484474386270004", "iss": "https://evil.example", "name": "Mallory", "preferred_username": "ada", "groups": ["a", "b"],
		"picture": "javascript:alert(1)", "amr": ["forged"], "auth_time": 1}`))
	g.TamperClaims(func(c map[string]any) { delete(c, "picture") })
	got, err := signIn(t, g.provider, "ada")
	if err != nil {
		t.Fatal(err)
	}
	i := got.Identity
	if i.Name != "Ada Example" || i.Handle != "ada" || i.Picture != "" || i.Claims["iss"] != g.url || got.AMR != nil || !got.AuthTime.IsZero() {
		t.Errorf("result %+v", got)
	}
	if diff := cmp.Diff([]any{"a", "b"}, i.Claims["groups"]); diff != "" {
		t.Error(diff)
	}
}

// attacks.md G03.
func TestVerifiedAddresses(t *testing.T) {
	type object = map[string]any
	const other = "mallory@example.com"
	absent := object{"email": nil, "email_verified": nil} // nil takes a claim out
	for _, row := range []struct {
		rule     string
		id, info object
		email    string
		want     bool
	}{
		{"true", object{}, object{}, "ada@example.com", true},
		{"false", object{"email_verified": false}, object{"email_verified": false}, "ada@example.com", false},
		{"absent", object{"email_verified": nil}, object{"email_verified": nil}, "ada@example.com", false},
		{`"true"`, object{"email_verified": "true"}, object{"email_verified": "true"}, "ada@example.com", false},
		{`"false"`, object{"email_verified": "false"}, object{"email_verified": "false"}, "ada@example.com", false},
		{`"0"`, object{"email_verified": "0"}, object{"email_verified": "0"}, "ada@example.com", false},
		{"0", object{"email_verified": 0}, object{"email_verified": 0}, "ada@example.com", false},
		{"1", object{"email_verified": 1}, object{"email_verified": 1}, "ada@example.com", false},
		{"null", object{"email_verified": json.RawMessage("null")}, object{"email_verified": json.RawMessage("null")}, "ada@example.com", false},
		{"another case", object{"email_verified": nil, "Email_verified": true}, object{"email_verified": nil, "Email_verified": true}, "ada@example.com", false},
		{"only in userinfo", absent, object{}, "ada@example.com", true},
		{"the address in the ID token, the word on the same address in userinfo", object{"email_verified": nil}, object{}, "ada@example.com", true},
		{"the address in the ID token, the word on another address in userinfo", object{"email_verified": nil}, object{"email": other}, "ada@example.com", false},
		{"the word in the ID token, an address in userinfo alone", object{"email": nil}, object{"email": other, "email_verified": nil}, other, false},
		{"the word in the ID token, an address with another word in userinfo", object{"email": nil}, object{"email": other, "email_verified": false}, other, false},
		{"the ID token says no, userinfo yes", object{"email_verified": false}, object{}, "ada@example.com", false},
		{"two addresses, both verified", object{}, object{"email": other}, "ada@example.com", true},
		{"an address that is none", object{"email": "ada"}, object{"email": "ada"}, "", false},
		{"no address, and a word on it", object{"email": nil}, object{"email": nil}, "", false},
	} {
		t.Run(row.rule, func(t *testing.T) {
			g := startGoogle(t, oidc.New, nil)
			g.TamperClaims(func(c map[string]any) { change(c, row.id) })
			info := object{"sub": "110169484474386270004", "email": "ada@example.com", "email_verified": true}
			change(info, row.info)
			body, err := json.Marshal(info)
			if err != nil {
				t.Fatal(err)
			}
			g.SetFault(local.GoogleUserinfoPath, local.Answer(http.StatusOK, "application/json", string(body)))
			got, err := signIn(t, g.provider, "ada")
			if err != nil {
				t.Fatal(err)
			}
			if i := got.Identity; i.Email != row.email || i.EmailVerified != row.want {
				t.Errorf("address %q, verified %v; want %q, %v", i.Email, i.EmailVerified, row.email, row.want)
			}
			if c := got.Identity.Claims; c["email"] != row.email || c["email_verified"] != row.want {
				t.Errorf("mapping rules see %v, %v; want %q, %v", c["email"], c["email_verified"], row.email, row.want)
			}
		})
	}
}

// change sets the members of edit in claims; nil takes one out.
func change(claims, edit map[string]any) {
	for name, value := range edit {
		if value == nil {
			delete(claims, name)
			continue
		}
		claims[name] = value
	}
}

// attacks.md G07.
func TestHostedDomain(t *testing.T) {
	only := func(domains ...string) func(*providers.Config) {
		return func(c *providers.Config) { c.HostedDomains = domains }
	}
	for _, row := range []struct {
		rule, person string
		config       func(*providers.Config)
		claims       map[string]any
		userinfo     string
		want         bool
	}{
		{"the allowed domain", "wren", only("example.org"), nil, "", true},
		{"one of several", "wren", only("a.org", "example.org"), nil, "", true},
		{"the case of the setting does not matter", "wren", only("Example.ORG"), nil, "", true},
		{"another domain", "wren", only("example.net"), nil, "", false},
		{"a domain that ends alike", "wren", only("ample.org"), nil, "", false},
		{"no hd: a private account", "gil", only("example.org"), nil, "", false},
		{"no hd: a private account with an address of the domain", "gil", only("example.com"), nil, "", false},
		{"hd taken out of the ID token", "wren", only("example.org"), map[string]any{"hd": nil}, "", false},
		{"hd in userinfo alone", "wren", only("example.org"), map[string]any{"hd": nil}, `{"sub": "110169484474386270001", "hd": "example.org"}`, false},
		{"hd that is no string", "wren", only("example.org"), map[string]any{"hd": []string{"example.org"}}, "", false},
		{"hd empty", "wren", only("example.org"), map[string]any{"hd": ""}, "", false},
		{"no restriction", "gil", nil, nil, "", true},
	} {
		t.Run(row.rule, func(t *testing.T) {
			g := startGoogle(t, oidc.NewGoogle, row.config)
			g.TamperClaims(func(c map[string]any) { change(c, row.claims) })
			if row.userinfo != "" {
				g.SetFault(local.GoogleUserinfoPath, local.Answer(http.StatusOK, "application/json", row.userinfo))
			}
			_, err := signIn(t, g.provider, row.person)
			if row.want && err != nil {
				t.Fatal(err)
			}
			if !row.want && (!fault.Is(err, fault.Forbidden) || fault.CodeOf(err) != "upstream_not_allowed") {
				t.Fatalf("error %v, want fault.Forbidden upstream_not_allowed", err)
			}
			if !row.want && g.Calls(local.GoogleUserinfoPath) != 0 {
				t.Error("userinfo was called for somebody who is not let in")
			}
		})
	}
}

// attacks.md G07: somebody who bought the domain has the address, not the subject.
func TestNewSubjectWithAnOldAddress(t *testing.T) {
	g := startGoogle(t, oidc.New, nil)
	before, err := signIn(t, g.provider, "wren")
	if err != nil {
		t.Fatal(err)
	}
	g.TamperClaims(func(c map[string]any) { c["sub"] = "999" })
	g.SetFault(local.GoogleUserinfoPath, local.Answer(http.StatusOK, "application/json", `{"sub": "999"}`))
	after, err := signIn(t, g.provider, "wren")
	if err != nil {
		t.Fatal(err)
	}
	if before.Identity.Email != after.Identity.Email || before.Identity.Key() == after.Identity.Key() {
		t.Errorf("before %+v, after %+v: want one address and two identities", before.Identity, after.Identity)
	}
}

func TestGoogleOwnsAddresses(t *testing.T) {
	for _, row := range []struct {
		rule   string
		claims map[string]any
		want   bool
	}{
		{"a hosted domain", map[string]any{"hd": "example.com"}, true},
		{"Gmail", map[string]any{"email": "Ada@GMail.com"}, true},
		{"Gmail, unverified", map[string]any{"email": "ada@gmail.com", "email_verified": false}, false},
		{"a hosted domain, unverified", map[string]any{"hd": "example.com", "email_verified": false}, false},
		{"a domain that ends alike", map[string]any{"email": "ada@notgmail.com"}, false},
		{"Gmail as a subdomain", map[string]any{"email": "ada@gmail.com.example.com"}, false},
		{"any other", nil, false},
	} {
		t.Run(row.rule, func(t *testing.T) {
			g := startGoogle(t, oidc.NewGoogle, nil)
			g.TamperClaims(func(c map[string]any) { change(c, row.claims) })
			got, err := signIn(t, g.provider, "ada")
			if err != nil || got.Identity.Authoritative != row.want {
				t.Errorf("authoritative %v, error %v; want %v", got.Identity.Authoritative, err, row.want)
			}
		})
	}
}

func TestConcurrentSignIns(t *testing.T) {
	g := startGoogle(t, oidc.NewGoogle, nil)
	var all sync.WaitGroup
	for person, subject := range map[string]string{"wren": "110169484474386270001", "gil": "110169484474386270002", "uli": "110169484474386270003"} {
		for range 7 {
			all.Go(func() {
				f := newFlow()
				to, err := g.provider.AuthURL(t.Context(), f)
				if err != nil {
					t.Error(err)
					return
				}
				back, err := local.Pick(t.Context(), nil, to, person)
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := g.provider.Exchange(t.Context(), f, back.Query()); err != nil || got.Identity.Subject != subject {
					t.Errorf("subject %q, error %v; want %q", got.Identity.Subject, err, subject)
				}
			})
		}
	}
	all.Wait()
	if d, k := g.Calls(local.GoogleDiscoveryPath), g.Calls(local.GoogleCertsPath); d != 1 || k != 1 {
		t.Errorf("21 sign-ins fetched the discovery document %d times and the keys %d times, want once each", d, k)
	}
}
