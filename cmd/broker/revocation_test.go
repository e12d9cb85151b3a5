package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/broker/clients"
	"example.com/broker/config"
	"example.com/broker/keys"
	"example.com/broker/oauth"
	"example.com/broker/verify"
)

// heardWithin is what the design promises: half a second until every replica has read the change stream, one until an API asks again.
const heardWithin = 2 * time.Second

// bystanderAPI is an API that follows the feed by package verify and has nothing else of the broker: the address of its one route.
func bystanderAPI(t *testing.T, w *world, client *http.Client, audience string) (string, *verify.Feed) {
	t.Helper()
	broker, err := verify.Discover(t.Context(), w.issuer, verify.DiscoverOptions{ClientID: "service", ClientSecret: serviceSecret, Client: client})
	if err != nil {
		t.Fatal(err)
	}
	v, err := verify.New(verify.Config{Issuer: broker.Name, Audience: audience, Keys: broker.Keys, Revocations: broker.Revocations()})
	if err != nil {
		t.Fatal(err)
	}
	if err := broker.Feed.Poll(t.Context()); err != nil {
		t.Fatal(err)
	}
	go func() { _ = broker.Run(t.Context()) }() // it ends with the test
	return serveTest(t, v.Middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }))), broker.Feed
}

// statusAt asks an address with a token.
func statusAt(t *testing.T, address, token string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, resp.Body) // only the status matters
	return resp.StatusCode
}

// eventually waits for a condition and returns how long it took. A machine that stands still for a moment is not what is tested here:
// the caller judges the times of many.
func eventually(t *testing.T, what string, is func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for time.Since(began) < 5*heardWithin {
		if is() {
			return time.Since(began)
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("%s: not within %v", what, 5*heardWithin)
	return 0
}

// TestWhatEndsHereEndsEverywhere: whatever takes access away is heard by another replica and by APIs that follow the feed, of either
// replica, within two seconds; and nobody else is signed out.
func TestWhatEndsHereEndsEverywhere(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		other := w.replica()
		viaHere, here := bystanderAPI(t, w, &http.Client{Transport: w.transport}, w.issuer)
		viaOther, _ := bystanderAPI(t, w, &http.Client{Transport: other.transport}, w.issuer)
		neighbour := w.signIn("spa", "")
		_, key, err := w.clients.Create(t.Context(), clients.Client{ID: "reporter", AuthMethod: oauth.AuthClientSecretBasic, GrantTypes: []string{oauth.GrantClientCredentials}})
		if err != nil {
			t.Fatal(err)
		}
		program := w.clientToken("reporter", key.Reveal()).str("access_token")
		statuses := func(token string) []int {
			return []int{
				other.get("/me", "Authorization", "Bearer "+token).StatusCode, statusAt(t, viaHere, token), statusAt(t, viaOther, token),
			}
		}
		all := func(status int) func(string) bool {
			return func(token string) bool {
				return !slices.ContainsFunc(statuses(token), func(got int) bool { return got != status })
			}
		}
		good, bad := all(http.StatusOK), all(http.StatusUnauthorized)
		var took []time.Duration
		for _, act := range []struct {
			what string
			do   func(t *testing.T, s signedIn) error
		}{
			{"the token is revoked", func(t *testing.T, s signedIn) error {
				return status(s.app.post("/revoke", s.app.with(url.Values{"token": {s.access()}}, nil)), http.StatusOK)
			}},
			{"the token is signed out", func(t *testing.T, s signedIn) error {
				return status(s.post("/logout", url.Values{}, "Authorization", s.bearer()), http.StatusOK, http.StatusNoContent)
			}},
			{"the grant is killed by its refresh token", func(t *testing.T, s signedIn) error {
				return status(s.app.post("/revoke", s.app.with(url.Values{"token": {s.refresh()}}, nil)), http.StatusOK)
			}},
			{"the family is killed by a replayed refresh token", func(t *testing.T, s signedIn) error {
				second := s.app.refresh(s.refresh()).str("refresh_token")
				s.app.refresh(second)
				return status(s.app.refresh(s.refresh()), http.StatusBadRequest)
			}},
			{"the session ends", func(t *testing.T, s signedIn) error {
				p := s.do(http.MethodPost, s.issuer+"/logout", url.Values{})
				return status(reply{Response: p.Response, raw: p.body}, http.StatusSeeOther, http.StatusOK)
			}},
			{"the user signs out everywhere", func(t *testing.T, s signedIn) error {
				_, err := w.users.RaiseEpoch(t.Context(), s.who.ID)
				return err
			}},
			{"the user is disabled", func(t *testing.T, s signedIn) error {
				_, err := w.users.Disable(t.Context(), s.who.ID)
				return err
			}},
			{"the user has a new password", func(t *testing.T, s signedIn) error {
				_, err := w.users.SetPassword(t.Context(), s.who.ID, "an entirely new pass phrase")
				return err
			}},
			{"the user has another role", func(t *testing.T, s signedIn) error {
				_, err := w.users.GrantRole(t.Context(), s.who.ID, "editor")
				return err
			}},
		} {
			s := w.in(t).signIn("spa", "")
			if !good(s.access()) {
				t.Fatalf("%s: before, the token opens %v", act.what, statuses(s.access()))
			}
			if err := act.do(t, s); err != nil {
				t.Fatalf("%s: %v", act.what, err)
			}
			took = append(took, eventually(t, act.what, func() bool { return bad(s.access()) }))
		}
		if !good(neighbour.access()) {
			t.Errorf("somebody else's token opens %v", statuses(neighbour.access()))
		}

		// An app that is taken back: all of its tokens, and no others.
		if statusAt(t, viaOther, program) != http.StatusOK {
			t.Fatal("a program's token is refused before")
		}
		if _, err := w.clients.SetDisabled(t.Context(), "reporter", true); err != nil {
			t.Fatal(err)
		}
		took = append(took, eventually(t, "the client is taken back", func() bool {
			return statusAt(t, viaOther, program) == http.StatusUnauthorized && statusAt(t, viaHere, program) == http.StatusUnauthorized
		}))

		// A signing key that is taken back: every token that it signed; the feed goes on under the next key.
		kid, _ := w.signer(keys.ES256)
		if err := w.ring.RevokeKey(t.Context(), kid); err != nil {
			t.Fatal(err)
		}
		took = append(took, eventually(t, "the key is taken back", func() bool { return bad(neighbour.access()) }))
		fresh := w.app("spa", "").refresh(neighbour.refresh()).str("access_token")
		eventually(t, "a token of the new key is taken", func() bool { return good(fresh) })
		if lag := here.Lag(); lag > 10*time.Second {
			t.Errorf("the feed is %v old after the key turned", lag)
		}

		slices.Sort(took)
		if middle := took[len(took)/2]; middle > heardWithin {
			t.Errorf("half of it took longer than %v, want %v at most: %v", middle, heardWithin, took)
		}
		t.Logf("between %v and %v", took[0].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
	})
}

// status is an error unless an answer has one of the statuses.
func status(r reply, want ...int) error {
	if slices.Contains(want, r.StatusCode) {
		return nil
	}
	return &verify.Error{Code: r.Status, Description: r.raw}
}

// TestAnAPIRefusesRevokedTokensWithoutAsking is the example of the documentation, as a process of its own.
func TestAnAPIRefusesRevokedTokensWithoutAsking(t *testing.T) {
	process := goExample(t, filepath.Join("..", "..", "examples", "orders-api"))
	onBothStores(t, func(t *testing.T, w *world) {
		env := []string{"ISSUER=" + w.issuer, "AUDIENCE=" + ordersAPI, "REVOCATIONS=on"}
		address := startExample(t, process, append(env, "CLIENT_ID=service", "CLIENT_SECRET="+serviceSecret)...)
		s := w.signIn("web", webSecret)
		eventually(t, "the API has read the feed", func() bool { return statusAt(t, address+"/orders", s.access()) == http.StatusOK })
		if err := status(s.app.post("/revoke", s.app.with(url.Values{"token": {s.access()}}, nil)), http.StatusOK); err != nil {
			t.Fatal(err)
		}
		took := eventually(t, "a revoked token is refused", func() bool { return statusAt(t, address+"/orders", s.access()) == http.StatusUnauthorized })
		t.Logf("after %v", took)
		if strings.Contains(w.logs.String(), `"route":"/introspect"`) {
			t.Error("the API introspects")
		}
		// One that may not follow could answer nothing but 503: it does not start.
		for what, o := range map[string]verify.DiscoverOptions{"nobody": {}, "a client that may call no API": {ClientID: "percent", ClientSecret: oddSecret}} {
			o.Client = &http.Client{Transport: w.transport}
			if _, err := verify.Discover(t.Context(), w.issuer, o); err == nil || !strings.Contains(err.Error(), "registered for an API") {
				t.Errorf("%s follows the feed, or is not told why not: %v", what, err)
			}
		}
	})
}

func TestWhoMayFollowRevocations(t *testing.T) {
	w := newWorld(t, "sqlite")
	for _, tt := range []struct {
		rule   string
		get    reply
		status int
	}{
		{"an API's client", w.get("/revocations", "Authorization", basicHeader("service", serviceSecret)), 200},
		{"an app with a secret that may call an API", w.get("/revocations", "Authorization", basicHeader("web", webSecret)), 200},
		{"a client that sends its secret in a form", w.post("/revocations", url.Values{"client_id": {"odd"}, "client_secret": {oddSecret}}), 200},
		{"a client that is registered for a form", w.get("/revocations", "Authorization", basicHeader("odd", oddSecret)), 401},
		{"nobody", w.get("/revocations"), 401},
		{"a wrong secret", w.get("/revocations", "Authorization", basicHeader("service", webSecret)), 401},
		{"a client that is not there", w.get("/revocations", "Authorization", basicHeader("nobody", webSecret)), 401},
		{"a public client", w.post("/revocations", url.Values{"client_id": {"spa"}}), 401},
		{"a client that is switched off", w.post("/revocations", url.Values{"client_id": {"off"}}), 401},
		{"a secret in the address", w.get("/revocations?client_id=odd&client_secret=" + url.QueryEscape(oddSecret)), 401},
		{"a client that may call no API", w.get("/revocations", "Authorization", basicHeader("percent", oddSecret)), 403},
		{"an access token", w.get("/revocations", "Authorization", w.signIn("spa", "").bearer()), 401},
	} {
		r := tt.get
		if r.StatusCode != tt.status {
			t.Errorf("%s: %d %s, want %d", tt.rule, r.StatusCode, r.raw, tt.status)
		}
		if kind := r.Header.Get("Content-Type"); tt.status == 200 && (kind != "application/revocations+jwt" || r.Header.Get("Cache-Control") != "no-store") {
			t.Errorf("%s: %s, %s", tt.rule, kind, r.Header.Get("Cache-Control"))
		}
	}
	open := newWorld(t, "sqlite", func(c *config.Config) { c.Revocation.Feed = config.FeedAnyone })
	r := open.get("/revocations?since=")
	if r.StatusCode != http.StatusOK || header(t, r.raw)["typ"] != "revocations+jwt" {
		t.Errorf("a feed for anyone answers %d %s", r.StatusCode, r.raw)
	}
	if c := claims(t, r.raw); c["iss"] != open.issuer || c["kind"] != "snapshot" {
		t.Errorf("the answer says %v", c)
	}
	// It is no token, and no token is an answer.
	open.refusedEverywhere("an answer of the feed", r.raw)
}

func TestMetadataSaysHowTokensAreTakenBack(t *testing.T) {
	w := newWorld(t, "sqlite")
	server, openID := w.get("/.well-known/oauth-authorization-server"), w.get("/.well-known/openid-configuration")
	if server.str("revocation_feed_endpoint") != w.issuer+"/revocations" || server.str("revocation_mode") != "blocklist" {
		t.Errorf("RFC 8414 metadata says %v, %v", server.json["revocation_feed_endpoint"], server.json["revocation_mode"])
	}
	// OpenID Connect Discovery §3 has registered members only.
	for _, name := range []string{"revocation_feed_endpoint", "revocation_mode"} {
		if v, ok := openID.json[name]; ok {
			t.Errorf("OpenID discovery has %s: %v", name, v)
		}
	}
}

func allowlist(c *config.Config) { c.Revocation.Mode = config.Allowlist }

// TestAllowlist: a token is good because it is stored, and for no other reason.
func TestAllowlist(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		old := w.signIn("spa", "")
		w.restart(allowlist)
		w.refusedEverywhere("a token from before the list was kept", old.access())
		if got := w.get("/.well-known/oauth-authorization-server").str("revocation_mode"); got != "allowlist" {
			t.Errorf("the metadata says %q", got)
		}

		s := w.signIn("spa", "")
		opens := func(what, token string) {
			t.Helper()
			if r := w.get("/me", "Authorization", "Bearer "+token); r.StatusCode != http.StatusOK {
				t.Errorf("%s: /me answers %d %s", what, r.StatusCode, r.raw)
			}
			if r := w.post("/introspect", url.Values{"token": {token}}, "Authorization", basicHeader("service", serviceSecret)); r.json["active"] != true {
				t.Errorf("%s: introspection answers %d %s", what, r.StatusCode, r.raw)
			}
		}
		stored := func(token string) bool {
			t.Helper()
			id, _ := claims(t, token)["jti"].(string)
			ok, err := w.stores.Allowed.TokenAllowed(t.Context(), id, w.clock.now())
			if err != nil {
				t.Fatal(err)
			}
			return ok
		}
		opens("a stored token", s.access())
		second := w.replica()
		if r := second.get("/me", "Authorization", s.bearer()); r.StatusCode != http.StatusOK {
			t.Errorf("another replica answers %d at once: %s", r.StatusCode, r.raw)
		}
		refreshed := s.app.refresh(s.refresh())
		opens("a refreshed token", refreshed.str("access_token"))
		opens("a token bought with a password", w.passwordGrant(s.who.Username, w.password).str("access_token"))
		program := w.post("/token", url.Values{"grant_type": {"client_credentials"}}, "Authorization", basicHeader("service", serviceSecret)).str("access_token")
		if !stored(program) {
			t.Error("a program's token is not stored")
		}

		w.restart()
		opens("after a restart", s.access())

		// Nobody revoked it: it is only not there any more.
		id, _ := claims(t, s.access())["jti"].(string)
		if err := w.stores.Allowed.ForgetToken(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		w.refusedEverywhere("a token that is not stored", s.access())
		opens("its sister", refreshed.str("access_token"))

		if err := status(s.app.post("/revoke", s.app.with(url.Values{"token": {refreshed.str("access_token")}}, nil)), http.StatusOK); err != nil {
			t.Fatal(err)
		}
		w.refusedEverywhere("a revoked token", refreshed.str("access_token"))
		if stored(refreshed.str("access_token")) {
			t.Error("a revoked token is still stored")
		}

		everything := []string{w.passwordGrant(s.who.Username, w.password).str("access_token"), w.signIn("spa", "").access()}
		if _, err := w.users.RaiseEpoch(t.Context(), s.who.ID); err != nil {
			t.Fatal(err)
		}
		w.refusedEverywhere("everything of the user", everything[0])
		opens("somebody else's", everything[1])

		w.clock.advance(time.Hour)
		if err := w.follow.Poll(t.Context()); err != nil {
			t.Fatal(err)
		}
		if stored(everything[1]) {
			t.Error("an expired token is still allowed")
		}
	})
}

// TestAnAPIOfAnAllowlistAsksOrDoesNotStart: a signature alone would let a token pass that is not stored.
func TestAnAPIOfAnAllowlistAsksOrDoesNotStart(t *testing.T) {
	process := goExample(t, filepath.Join("..", "..", "examples", "orders-api"))
	onBothStores(t, func(t *testing.T, w *world) {
		env := []string{"ISSUER=" + w.issuer, "AUDIENCE=" + ordersAPI, "REVOCATIONS=on"}
		cmd, said := exampleProcess(t, process, env...)
		if err := cmd.Run(); err == nil || !strings.Contains(said.String(), "allowlist mode") {
			t.Errorf("without a client: %v\n%s", err, said)
		}
		address := startExample(t, process, append(env, "CLIENT_ID=service", "CLIENT_SECRET="+serviceSecret)...)
		s := w.signIn("web", webSecret)
		if got := statusAt(t, address+"/orders", s.access()); got != http.StatusOK {
			t.Fatalf("a stored token: %d", got)
		}
		id, _ := claims(t, s.access())["jti"].(string)
		if err := w.stores.Allowed.ForgetToken(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if got := statusAt(t, address+"/orders", s.access()); got != http.StatusUnauthorized {
			t.Errorf("a token that is not stored: %d, want 401", got)
		}
	}, allowlist)
}

// TestTheFeedSpeaksOfNoToken: who reads it learns nothing that could be presented or looked up.
func TestTheFeedSpeaksOfNoToken(t *testing.T) {
	w := newWorld(t, "sqlite")
	s := w.signIn("spa", "")
	if err := status(s.app.post("/revoke", s.app.with(url.Values{"token": {s.access()}}, nil)), http.StatusOK); err != nil {
		t.Fatal(err)
	}
	if _, err := w.users.RaiseEpoch(t.Context(), s.who.ID); err != nil {
		t.Fatal(err)
	}
	said, err := json.Marshal(claims(t, w.get("/revocations", "Authorization", basicHeader("service", serviceSecret)).raw))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"jti", "gid", "sid", "sub"} {
		if value, _ := claims(t, s.access())[name].(string); value == "" || strings.Contains(string(said), value) {
			t.Errorf("%s %q is in the feed: %s", name, value, said)
		}
	}
	if !strings.Contains(string(said), `"kind":"jti"`) || !strings.Contains(string(said), `"kind":"user"`) {
		t.Errorf("the feed says nothing of what was revoked: %s", said)
	}
}

func TestDevLetsAnybodyFollowRevocationsUnlessToldOtherwise(t *testing.T) {
	t.Parallel()
	for config, want := range map[string]int{"product:\n  name: Orders\n": http.StatusOK, "revocation:\n  feed: clients\n": http.StatusUnauthorized} {
		p := startDev(t, t.TempDir(), "-c", devConfig(t, config))
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.about.Issuer+"/revocations", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := fetch(t, http.DefaultClient, req); got != want {
			t.Errorf("with %q: %d, want %d", config, got, want)
		}
	}
}
