package tokens_test

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"example.com/broker/clients"
	"example.com/broker/internal/fault"
	"example.com/broker/keys"
	"example.com/broker/oauth"
	"example.com/broker/rbac"
	"example.com/broker/tokens"
	"example.com/broker/users"
)

// part decodes one part of a compact token.
func part(t testing.TB, raw string, n int) map[string]any {
	t.Helper()
	plain, err := base64.RawURLEncoding.DecodeString(strings.Split(raw, ".")[n])
	must(t, err)
	var out map[string]any
	must(t, json.Unmarshal(plain, &out))
	return out
}

func header(t testing.TB, raw string) map[string]any  { return part(t, raw, 0) }
func payload(t testing.TB, raw string) map[string]any { return part(t, raw, 1) }

// bare is a user of whom nothing is known but that they exist.
func bare() users.User { return users.User{ID: "usr_2", Status: users.Active} }

func scopes(t testing.TB, s string) oauth.Scopes {
	t.Helper()
	out, err := oauth.ParseScopes(s)
	must(t, err)
	return out
}

func (r *replica) sign(t testing.TB, q tokens.AccessRequest) tokens.Access {
	t.Helper()
	q.ClientID = client
	a, err := r.issuer.AccessToken(t.Context(), q)
	must(t, err)
	return a
}

// grant is one as the store gives it back.
func grant() tokens.Grant {
	return tokens.Grant{
		ID: "0190c1a2-0000-7000-8000-000000000001", ClientID: client, UserID: "usr_1", SessionID: "sid_1", Online: true, Ver: 3,
		Scope: "openid", AuthTime: epoch.Add(-time.Minute), AMR: []string{"pwd"}, Nonce: "n-0S6_WzA2Mj",
		CreatedAt: epoch, IdleUntil: epoch.Add(time.Hour), Until: epoch.Add(12 * time.Hour),
	}
}

func (r *replica) idToken(t testing.TB, u users.User, g tokens.Grant, access string) string {
	t.Helper()
	raw, err := r.issuer.IDToken(t.Context(), tokens.IDRequest{
		Client: clients.Client{ID: client, IDTokenAlg: keys.EdDSA}, User: u, Grant: g, AccessToken: access,
	})
	must(t, err)
	return raw
}

// TestWireFormats freezes what others parse.
func TestWireFormats(t *testing.T) {
	r := solo(t)
	u, g := alice(), grant()
	everything := g
	everything.Scope = "openid roles"
	everything.Claims = json.RawMessage(`{"id_token":{"email":null,"name":{"essential":true},"birthdate":null},"userinfo":{"picture":null}}`)
	asked, err := tokens.ParseClaimsRequest(string(everything.Claims))
	must(t, err)
	access := r.sign(t, tokens.AccessRequest{User: &u, Grant: &g, Scope: scopes(t, "openid orders:read")})
	verified, err := r.verifier.Any(t.Context(), access.Raw)
	must(t, err)

	forms := map[string]any{
		"access token, header":            payloadless(header(t, access.Raw)),
		"access token, user":              payload(t, access.Raw),
		"access token, client itself":     payload(t, r.sign(t, tokens.AccessRequest{Scope: scopes(t, "orders:read")}).Raw),
		"ID token, header":                payloadless(header(t, r.idToken(t, u, g, ""))),
		"ID token":                        payload(t, r.idToken(t, u, g, access.Raw)),
		"ID token, with roles and claims": payload(t, r.idToken(t, u, everything, access.Raw)),
		"userinfo, openid":                r.issuer.UserInfo(u, scopes(t, "openid"), nil),
		"userinfo, all scopes":            r.issuer.UserInfo(u, scopes(t, "openid profile email address phone roles"), nil),
		"userinfo, by claims":             r.issuer.UserInfo(u, scopes(t, "openid"), asked),
		"introspection, access token":     tokens.Introspection(&verified.Claims),
		"introspection, refresh token":    r.issuer.RefreshIntrospection(g),
	}
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(forms)) {
		text, err := json.MarshalIndent(masked(t, forms[name]), "", "  ")
		must(t, err)
		fmt.Fprintf(&out, "%s\n%s\n\n", name, text)
	}
	golden(t, "wire.golden.txt", out.String())
}

// masked replaces what is random.
func masked(t testing.TB, form any) map[string]any {
	t.Helper()
	text, err := json.Marshal(form)
	must(t, err)
	var out map[string]any
	must(t, json.Unmarshal(text, &out))
	for _, name := range []string{"jti", "at_hash", "kid"} {
		if v, ok := out[name].(string); ok {
			out[name] = fmt.Sprintf("(%d characters)", len(v))
		}
	}
	return out
}

// payloadless says that a header is meant.
func payloadless(h map[string]any) map[string]any { return h }

// situation is one way a token comes about, and what is known then.
type situation struct {
	user   users.User
	grant  *tokens.Grant
	client bool // acts for itself
	scope  string
	asked  string
	known  []string // claims for IfKnown, ByScope, ByRequest
}

func (s situation) has(t *testing.T, row tokens.Row, when tokens.When) bool {
	t.Helper()
	known := slices.Contains(s.known, row.Claim)
	asked := strings.Contains(s.asked, `"`+row.Claim+`"`)
	switch when {
	case "":
		return false
	case tokens.Always:
		return true
	case tokens.ForUser:
		return !s.client
	case tokens.WithGrant:
		return s.grant != nil
	case tokens.IfKnown:
		return known
	case tokens.ByScope:
		return known && (asked || slices.Contains(strings.Fields(s.scope), row.Scope))
	case tokens.ByRequest:
		return known && asked
	}
	t.Fatalf("the table has the condition %q, which the test does not know", when)
	return false
}

// TestTableIsTrue holds what is issued against the one table.
func TestTableIsTrue(t *testing.T) {
	r := solo(t)
	full, minimal := grant(), tokens.Grant{ID: "gid", ClientID: client, UserID: "usr_2"}
	ofUser := []string{"email", "email_verified", "name", "preferred_username", "picture", "updated_at", "roles"}
	ofSignIn := []string{"sid", "auth_time", "nonce", "at_hash", "amr"}
	everything := `{"userinfo":{` + list(ofUser) + `},"id_token":{` + list(ofUser) + `}}`
	rich := slices.Concat(ofUser, ofSignIn)
	for name, s := range map[string]situation{
		"a user":                         {user: alice(), grant: &full, scope: "openid", known: rich},
		"a user of whom little is known": {user: bare(), grant: &minimal, scope: "openid profile email roles", known: []string{"roles"}},
		"all scopes":                     {user: alice(), grant: &full, scope: "openid profile email address phone roles", known: rich},
		"all claims by name":             {user: alice(), grant: &full, scope: "openid", asked: everything, known: rich},
		"names of protocol claims":       {user: alice(), grant: &full, scope: "openid", asked: `{"userinfo":{"iss":null,"aud":null,"gid":null},"id_token":{"ver":null,"client_id":null,"scope":null}}`, known: rich},
		"a client that acts for itself":  {client: true, scope: "orders:read"},
	} {
		t.Run(name, func(t *testing.T) {
			got := r.issueAll(t, s)
			for place, column := range map[string]func(tokens.Row) tokens.When{
				"access token":  func(row tokens.Row) tokens.When { return row.Access },
				"ID token":      func(row tokens.Row) tokens.When { return row.ID },
				"userinfo":      func(row tokens.Row) tokens.When { return row.UserInfo },
				"introspection": func(row tokens.Row) tokens.When { return row.Introspection },
			} {
				members, ok := got[place]
				if !ok {
					continue
				}
				want := []string{}
				for _, row := range tokens.Table() {
					if s.has(t, row, column(row)) {
						want = append(want, row.Claim)
					}
				}
				slices.Sort(want)
				if diff := cmp.Diff(want, slices.Sorted(maps.Keys(members))); diff != "" {
					t.Errorf("%s (-table +issued):\n%s", place, diff)
				}
				for claim, value := range members {
					if value == nil || value == "" {
						t.Errorf("%s: %s is empty rather than absent", place, claim)
					}
				}
			}
		})
	}
}

func list(names []string) string {
	var out []string
	for _, n := range names {
		out = append(out, `"`+n+`":null`)
	}
	return strings.Join(out, ",")
}

// issueAll returns the members of everything that is issued in a situation.
func (r *replica) issueAll(t *testing.T, s situation) map[string]map[string]any {
	t.Helper()
	q := tokens.AccessRequest{Scope: scopes(t, s.scope)}
	if !s.client {
		q.User, q.Grant = &s.user, s.grant
	}
	access := r.sign(t, q)
	verified, err := r.verifier.Own(t.Context(), access.Raw)
	must(t, err)
	out := map[string]map[string]any{
		"access token": payload(t, access.Raw), "introspection": masked(t, tokens.Introspection(&verified.Claims)),
	}
	if s.client {
		return out
	}
	g := *s.grant
	g.Scope, g.Claims = s.scope, json.RawMessage(s.asked)
	beside := access.Raw
	if !slices.Contains(s.known, "at_hash") {
		beside = ""
	}
	out["ID token"] = payload(t, r.idToken(t, s.user, g, beside))
	var asked *tokens.ClaimsRequest
	if s.asked != "" {
		asked, err = tokens.ParseClaimsRequest(s.asked)
		must(t, err)
	}
	out["userinfo"] = masked(t, r.issuer.UserInfo(s.user, scopes(t, s.scope), asked))
	return out
}

func TestTableForPeople(t *testing.T) {
	var out strings.Builder
	out.WriteString("| Claim | Access token | ID token | Userinfo | Introspection | Meaning |\n|---|---|---|---|---|---|\n")
	cell := func(when tokens.When, scope string) string {
		switch when {
		case "":
			return "–"
		case tokens.ByScope:
			return "with scope `" + scope + "`, or by request"
		default:
			return string(when)
		}
	}
	seen := map[string]bool{}
	for _, row := range tokens.Table() {
		if seen[row.Claim] {
			t.Errorf("%s has two rows", row.Claim)
		}
		seen[row.Claim] = true
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s | %s | %s |\n", row.Claim, cell(row.Access, row.Scope), cell(row.ID, row.Scope),
			cell(row.UserInfo, row.Scope), cell(row.Introspection, row.Scope), row.Meaning)
	}
	golden(t, "claims.golden.md", out.String())
}

func TestTimesOfTokens(t *testing.T) {
	r := solo(t)
	u := alice()
	access := r.sign(t, tokens.AccessRequest{User: &u})
	iat := float64(epoch.Truncate(time.Second).Unix())
	want := map[string]any{"iat": iat, "nbf": iat - 30, "exp": iat + 900}
	for name, value := range want {
		if got := payload(t, access.Raw)[name]; got != value {
			t.Errorf("%s = %v, want %v: iat is rounded down", name, got, value)
		}
	}
	if access.Life != 15*time.Minute || !access.ExpiresAt.Equal(time.Unix(int64(iat)+900, 0)) || access.ID != payload(t, access.Raw)["jti"] {
		t.Errorf("%+v does not say what the token says", access)
	}
	short := r.sign(t, tokens.AccessRequest{User: &u, API: clients.API{Audience: "https://api.example.com", TTL: 90*time.Second + time.Millisecond}})
	if got := payload(t, short.Raw)["exp"]; got != iat+90 || short.Life != 90*time.Second {
		t.Errorf("exp = %v, life %v; want the API's 90 s", got, short.Life)
	}
}

func TestAPIShapesItsTokens(t *testing.T) {
	r := solo(t, func(s *settings) { s.algs = keys.Algorithms() })
	u := alice()
	u.Grants = append(u.Grants, rbac.Grant{Role: rbac.Admin})
	for name, test := range map[string]struct {
		api           clients.API
		aud, alg, typ string
		roles         []any
	}{
		"the issuer itself":    {clients.API{}, issuer, "ES256", "at+jwt", []any{"admin", "editor", "viewer"}},
		"an API":               {clients.API{Audience: "urn:a"}, "urn:a", "ES256", "at+jwt", []any{"admin", "editor", "viewer"}},
		"RS256 and plain JWT":  {clients.API{Audience: "urn:a", Alg: "RS256", Typ: "JWT"}, "urn:a", "RS256", "JWT", []any{"admin", "editor", "viewer"}},
		"EdDSA":                {clients.API{Audience: "urn:a", Alg: "EdDSA"}, "urn:a", "EdDSA", "at+jwt", []any{"admin", "editor", "viewer"}},
		"roles it lists":       {clients.API{Audience: "urn:a", Roles: []string{"viewer", "boss"}}, "urn:a", "ES256", "at+jwt", []any{"viewer"}},
		"an API without roles": {clients.API{Audience: "urn:a", Roles: []string{}}, "urn:a", "ES256", "at+jwt", []any{}},
	} {
		raw := r.sign(t, tokens.AccessRequest{User: &u, API: test.api}).Raw
		h, p := header(t, raw), payload(t, raw)
		if h["alg"] != test.alg || h["typ"] != test.typ || p["aud"] != test.aud || len(h) != 3 {
			t.Errorf("%s: header %v, aud %v", name, h, p["aud"])
		}
		if diff := cmp.Diff(any(test.roles), p["roles"]); diff != "" {
			t.Errorf("%s: roles (-want +got):\n%s", name, diff)
		}
	}
}

func TestRolesAreThoseOfNow(t *testing.T) {
	r := solo(t)
	u := users.User{ID: "usr_1", Grants: []rbac.Grant{
		{Role: rbac.Admin, Until: epoch}, {Role: rbac.Editor, Until: epoch.Add(time.Second)}, {Role: "root"},
	}}
	if diff := cmp.Diff([]any{"editor"}, payload(t, r.sign(t, tokens.AccessRequest{User: &u}).Raw)["roles"]); diff != "" {
		t.Errorf("roles (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]any{}, payload(t, r.sign(t, tokens.AccessRequest{}).Raw)["roles"]); diff != "" {
		t.Errorf("roles of a client (-want +got):\n%s", diff)
	}
}

func TestSessionOfATokenIsTheGrantWhereItOutlivesTheSession(t *testing.T) {
	r := solo(t)
	u, g := alice(), grant()
	if got := payload(t, r.sign(t, tokens.AccessRequest{User: &u, Grant: &g}).Raw)["sid"]; got != g.SessionID {
		t.Errorf("online: sid = %v, want the session", got)
	}
	g.Online = false
	if got := payload(t, r.sign(t, tokens.AccessRequest{User: &u, Grant: &g}).Raw)["sid"]; got != g.ID {
		t.Errorf("offline: sid = %v, want the grant: a sign-out would have its tokens refused", got)
	}
}

func TestUserWhoseIDIsTheClientsGetsNoToken(t *testing.T) {
	r := solo(t)
	u := alice()
	u.ID = client
	_, err := r.issuer.AccessToken(t.Context(), tokens.AccessRequest{ClientID: client, User: &u})
	wantKind(t, "an id that names two", fault.Conflict, err)
}

func TestIDTokenIsSignedAsTheClientRegistered(t *testing.T) {
	r := solo(t, func(s *settings) { s.algs = keys.Algorithms() })
	half := func(alg, raw string) string {
		if alg == "EdDSA" {
			sum := sha512.Sum512([]byte(raw))
			return base64.RawURLEncoding.EncodeToString(sum[:32])
		}
		sum := sha256.Sum256([]byte(raw))
		return base64.RawURLEncoding.EncodeToString(sum[:16])
	}
	for registered, want := range map[string]string{"": "RS256", "RS256": "RS256", "ES256": "ES256", "EdDSA": "EdDSA"} {
		raw, err := r.issuer.IDToken(t.Context(), tokens.IDRequest{
			Client: clients.Client{ID: client, IDTokenAlg: registered}, User: alice(), Grant: grant(), AccessToken: "the.access.token",
		})
		must(t, err)
		// RFC 7519 by another reader: signature, issuer, audience, expiry.
		_, err = jwt.Parse(raw, func(tk *jwt.Token) (any, error) {
			return r.ring.Key(context.Background(), tk.Header["kid"].(string), tk.Method.Alg())
		}, jwt.WithValidMethods([]string{want}), jwt.WithIssuer(issuer), jwt.WithAudience(client), jwt.WithExpirationRequired(), jwt.WithTimeFunc(r.now))
		if err != nil {
			t.Errorf("registered %q: %v", registered, err)
		}
		if got := payload(t, raw)["at_hash"]; got != half(want, "the.access.token") {
			t.Errorf("registered %q: at_hash %v, want the left half of the hash of %s", registered, got, want)
		}
	}
	solo := solo(t)
	_, err := solo.issuer.IDToken(t.Context(), tokens.IDRequest{Client: clients.Client{ID: client}, User: alice(), Grant: grant()})
	wantKind(t, "an algorithm without a key", fault.Unavailable, err)
}

func TestIssuerOptionsAreChecked(t *testing.T) {
	r := solo(t)
	good := tokens.IssuerOptions{URL: issuer, Ring: r.ring, Now: r.now}
	for name, edit := range map[string]func(*tokens.IssuerOptions){
		"no issuer":           func(o *tokens.IssuerOptions) { o.URL = "" },
		"no ring":             func(o *tokens.IssuerOptions) { o.Ring = nil },
		"half a second":       func(o *tokens.IssuerOptions) { o.AccessLife = 500 * time.Millisecond },
		"a second and a half": func(o *tokens.IssuerOptions) { o.IDLife = 1500 * time.Millisecond },
		"a negative lifetime": func(o *tokens.IssuerOptions) { o.AccessLife = -time.Minute },
	} {
		o := good
		edit(&o)
		if _, err := tokens.NewIssuer(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
