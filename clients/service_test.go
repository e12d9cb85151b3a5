package clients_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"example.com/broker/clients"
	"example.com/broker/internal/changes"
	"example.com/broker/internal/fault"
	"example.com/broker/internal/secret"
	"example.com/broker/oauth"
	"example.com/broker/store/sqlite"
)

// counting counts the calls of a real store, and can do something before one.
type counting struct {
	clients.Store
	reads, writes int
	fail          error
	beforeReplace func()
}

func (c *counting) GetClient(ctx context.Context, id string) (clients.Client, error) {
	c.reads++
	if c.fail != nil {
		return clients.Client{}, c.fail
	}
	return c.Store.GetClient(ctx, id)
}

func (c *counting) ListClients(ctx context.Context, after string, limit int) ([]clients.Client, error) {
	c.reads++
	if c.fail != nil {
		return nil, c.fail
	}
	return c.Store.ListClients(ctx, after, limit)
}

func (c *counting) InsertClient(ctx context.Context, x clients.Client) error {
	c.writes++
	return c.Store.InsertClient(ctx, x)
}

func (c *counting) DeleteClient(ctx context.Context, id string, v int64) error {
	c.writes++
	return c.Store.DeleteClient(ctx, id, v)
}

func (c *counting) ReplaceClient(ctx context.Context, x clients.Client) error {
	c.writes++
	if f := c.beforeReplace; f != nil {
		c.beforeReplace = nil
		f()
	}
	return c.Store.ReplaceClient(ctx, x)
}

// house is a service on a real store, with a clock and a change stream that the test moves.
type house struct {
	*clients.Service
	t         *testing.T
	now       time.Time
	store     *counting
	announced []string
	announce  error
	ended     []string
	end       error
}

const (
	fixedSecret = "a-secret-of-the-configuration-file"
	spaCallback = "https://spa.example/cb"
)

var apis = []clients.API{
	{ID: "orders", Audience: "https://orders.example", Scopes: oauth.Scopes{"orders:read", "orders:write"}},
	{ID: "stock", Audience: "https://stock.example", Scopes: oauth.Scopes{"stock:read", "orders:read"}},
}

func spa() clients.Client {
	return clients.Client{
		ID: "spa", AuthMethod: oauth.AuthNone, GrantTypes: []string{oauth.GrantAuthorizationCode}, RedirectURIs: []string{spaCallback}, APIs: []string{"orders"},
	}
}

func service() clients.Client {
	return clients.Client{
		ID: "service", AuthMethod: oauth.AuthClientSecretBasic, GrantTypes: []string{oauth.GrantClientCredentials}, SecretHashes: []string{secret.Hash(fixedSecret)},
	}
}

func open(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, now: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}
	clock := func() time.Time { return h.now }
	st, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "b.db"), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	h.store = &counting{Store: st.Clients}
	h.Service = clients.NewService(clients.Options{
		Store: h.store, Fixed: []clients.Client{spa(), service()}, APIs: h.newAPIs(), Now: clock,
		End: func(_ context.Context, id string) error {
			h.ended = append(h.ended, fmt.Sprintf("%s after %d writes", id, h.store.writes))
			return h.end
		},
		Announce: func(_ context.Context, id string, v int64) error {
			if h.announce != nil {
				return h.announce
			}
			h.announced = append(h.announced, fmt.Sprintf("%s=%d after %d writes", id, v, h.store.writes))
			h.Heard(id, v)
			return nil
		},
	})
	return h
}

func (h *house) newAPIs() *clients.APIs {
	return clients.NewAPIs(clients.APIsOptions{
		Store: h.store, Fixed: apis, Now: func() time.Time { return h.now },
		Bounds: clients.APIBounds{
			Issuer: "https://id.example", Algs: []string{"ES256", "RS256", "EdDSA"}, MaxTTL: time.Hour, Role: func(r string) bool { return r == "editor" },
		},
		Announce: func(_ context.Context, v int64) error {
			h.announced = append(h.announced, fmt.Sprintf("apis=%d after %d writes", v, h.store.writes))
			return h.announce
		},
	})
}

// web is a good confidential client that the store can take.
func web(id string) clients.Client {
	return clients.Client{
		ID: id, Name: "Web", AuthMethod: oauth.AuthClientSecretPost, GrantTypes: []string{oauth.GrantAuthorizationCode, oauth.GrantRefreshToken},
		RedirectURIs: []string{"https://" + id + ".example/cb"},
	}
}

func (h *house) create(c clients.Client) (clients.Client, secret.Value) {
	h.t.Helper()
	made, key, err := h.Create(h.t.Context(), c)
	if err != nil {
		h.t.Fatal(err)
	}
	return made, key
}

func wantCode(t *testing.T, rule string, err error, kind fault.Kind, code string) {
	t.Helper()
	if fault.KindOf(err) != kind || fault.CodeOf(err) != code {
		t.Errorf("%s: %v, want %s %s", rule, err, kind, code)
	}
}

// D01.
func TestAuthenticate(t *testing.T) {
	h := open(t)
	_, key := h.create(web("web"))
	public := web("public")
	public.AuthMethod = oauth.AuthNone
	h.create(public)
	off := web("off")
	off.Disabled = true
	_, offKey := h.create(off)
	// A row as a migration or a hand might leave it.
	for id, hashes := range map[string][]string{"no-hash": nil, "empty-hash": {""}, "hash-of-nothing": {secret.Hash("")}} {
		c := web(id)
		c.SecretHashes, c.V = hashes, 1
		if err := h.store.InsertClient(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	none, basic, post := oauth.AuthNone, oauth.AuthClientSecretBasic, oauth.AuthClientSecretPost
	for _, row := range []struct {
		rule, id string
		key      secret.Value
		method   string
		want     bool
	}{
		{"the right secret by post", "web", key, post, true},
		{"the right secret by Basic, registered for post", "web", key, basic, false},
		{"a wrong secret", "web", "wrong", post, false},
		{"the secret of another client", "off", key, post, false},
		{"an empty secret", "web", "", post, false},
		{"no secret", "web", "", none, false},
		{"the right secret, said to be none", "web", key, none, false},
		{"the hash of the secret", "web", secret.Value(secret.Hash(key)), post, false},
		{"a client of the configuration", "service", fixedSecret, basic, true},
		{"a client of the configuration by another method", "service", fixedSecret, post, false},
		{"a public client", "public", "", none, true},
		{"a public client of the configuration", "spa", "", none, true},
		{"a public client with a secret", "public", "x", post, false},
		{"a public client with Basic", "public", "", basic, false},
		{"an unknown client", "nobody", key, post, false},
		{"an unknown client without a secret", "nobody", "", none, false},
		{"no client", "", "", none, false},
		{"an id that can be none", "../web", key, post, false},
		{"a disabled client with the right secret", "off", offKey, post, false},
		{"nothing stored, nothing sent", "no-hash", "", post, false},
		{"nothing stored", "no-hash", "x", post, false},
		{"an empty hash stored, nothing sent", "empty-hash", "", post, false},
		{"the hash of nothing stored, nothing sent", "hash-of-nothing", "", post, false},
		{"an unknown method", "web", key, "private_key_jwt", false},
		{"no method", "web", key, "", false},
	} {
		t.Run(row.rule, func(t *testing.T) {
			c, err := h.Authenticate(t.Context(), clients.Credentials{ID: row.id, Secret: row.key, Method: row.method})
			if row.want {
				if err != nil || c.ID != row.id {
					t.Errorf("Authenticate = %q, %v", c.ID, err)
				}
				return
			}
			e, ok := errors.AsType[*oauth.Error](err)
			if !ok || e.Code != oauth.ErrInvalidClient || e.Status != http.StatusUnauthorized || c.ID != "" {
				t.Fatalf("Authenticate = %q, %v, want invalid_client", c.ID, err)
			}
			if got, want := e.Challenge != "", row.method == basic; got != want {
				t.Errorf("challenge %q for the method %s", e.Challenge, row.method)
			}
			// Whatever was wrong, the words are the same for the method.
			want := "client authentication failed: check client_id, the secret, and that the client is registered for " + row.method
			if e.Description != want {
				t.Errorf("says %q, want %q", e.Description, want)
			}
		})
	}
	h.store.fail = fault.New(fault.Unavailable, "unavailable", "later")
	if _, err := h.Authenticate(t.Context(), clients.Credentials{ID: "unread", Secret: key, Method: post}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("without the store: %v, want Unavailable", err)
	}
}

func TestARotatedSecretHasAGrace(t *testing.T) {
	h := open(t)
	_, first := h.create(web("web"))
	works := func(rule string, key secret.Value, want bool) {
		t.Helper()
		_, err := h.Authenticate(t.Context(), clients.Credentials{ID: "web", Secret: key, Method: oauth.AuthClientSecretPost})
		if (err == nil) != want {
			t.Errorf("%s: %v, want success %v", rule, err, want)
		}
	}
	rotate := func() secret.Value {
		t.Helper()
		c, key, err := h.RotateSecret(t.Context(), "web")
		if err != nil || len(c.SecretHashes) != 2 || !c.SecretGrace.Equal(h.now.Add(24*time.Hour)) {
			t.Fatalf("RotateSecret = %d hashes until %v, %v", len(c.SecretHashes), c.SecretGrace, err)
		}
		return key
	}
	second := rotate()
	works("the new secret", second, true)
	works("the old secret at once", first, true)
	h.now = h.now.Add(24*time.Hour - time.Millisecond)
	works("the old secret a moment before the grace ends", first, true)
	h.now = h.now.Add(time.Millisecond)
	works("the old secret at the end of the grace", first, false)
	works("the new secret after the grace", second, true)
	third := rotate()
	works("the second within its grace", second, true)
	works("the third", third, true)
	works("the first gets no second grace", first, false)
	rotate()
	works("of two rotations within one grace, the oldest secret is over", second, false)
	works("the one before the newest", third, true)

	if _, _, err := h.RotateSecret(t.Context(), "service"); fault.CodeOf(err) != "client_readonly" {
		t.Errorf("a client of the configuration: %v", err)
	}
	public := web("public")
	public.AuthMethod = oauth.AuthNone
	h.create(public)
	if _, key, err := h.RotateSecret(t.Context(), "public"); fault.CodeOf(err) != "client_public" {
		t.Errorf("a public client: %q, %v", key.Reveal(), err)
	}
	if _, _, err := h.RotateSecret(t.Context(), "nobody"); !fault.Is(err, fault.NotFound) {
		t.Errorf("an unknown client: %v", err)
	}
}

func TestPresented(t *testing.T) {
	encode := func(id, key string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+key))
	}
	for _, row := range []struct {
		rule    string
		headers []string
		form    url.Values
		want    clients.Credentials
		wrong   string // error code
	}{
		{"Basic", []string{encode("web", "key")}, nil, clients.Credentials{ID: "web", Secret: "key", Method: oauth.AuthClientSecretBasic}, ""},
		{"Basic, percent-decoded", []string{encode("a%3Ab", "p%25+q%2B%C3%A4")}, nil, clients.Credentials{ID: "a:b", Secret: "p% q+ä", Method: oauth.AuthClientSecretBasic}, ""},
		{"Basic in another case", []string{strings.Replace(encode("web", "key"), "Basic", "bASIC", 1)}, nil, clients.Credentials{ID: "web", Secret: "key", Method: oauth.AuthClientSecretBasic}, ""},
		{"Basic with a colon in the secret", []string{encode("web", "k:e:y")}, nil, clients.Credentials{ID: "web", Secret: "k:e:y", Method: oauth.AuthClientSecretBasic}, ""},
		{"Basic with an empty secret", []string{encode("web", "")}, nil, clients.Credentials{ID: "web", Method: oauth.AuthClientSecretBasic}, ""},
		{"Basic beside the same client_id", []string{encode("web", "key")}, url.Values{"client_id": {"web"}}, clients.Credentials{ID: "web", Secret: "key", Method: oauth.AuthClientSecretBasic}, ""},
		{"post", nil, url.Values{"client_id": {"web"}, "client_secret": {"key"}}, clients.Credentials{ID: "web", Secret: "key", Method: oauth.AuthClientSecretPost}, ""},
		{"post, taken as it is", nil, url.Values{"client_id": {"web"}, "client_secret": {"k%20y+"}}, clients.Credentials{ID: "web", Secret: "k%20y+", Method: oauth.AuthClientSecretPost}, ""},
		{"none", nil, url.Values{"client_id": {"spa"}}, clients.Credentials{ID: "spa", Method: oauth.AuthNone}, ""},
		{"none, with an empty secret", nil, url.Values{"client_id": {"spa"}, "client_secret": {""}}, clients.Credentials{ID: "spa", Method: oauth.AuthNone}, ""},
		{"nobody", nil, nil, clients.Credentials{Method: oauth.AuthNone}, ""},
		{"a secret of nobody", nil, url.Values{"client_secret": {"key"}}, clients.Credentials{Secret: "key", Method: oauth.AuthClientSecretPost}, ""},

		{"two methods at once", []string{encode("web", "key")}, url.Values{"client_id": {"web"}, "client_secret": {"key"}}, clients.Credentials{}, oauth.ErrInvalidRequest},
		{"two methods at once, one empty", []string{encode("web", "key")}, url.Values{"client_secret": {""}}, clients.Credentials{}, oauth.ErrInvalidRequest},
		{"two headers", []string{encode("web", "key"), encode("web", "key")}, nil, clients.Credentials{}, oauth.ErrInvalidRequest},
		{"Basic beside another client_id", []string{encode("web", "key")}, url.Values{"client_id": {"other"}}, clients.Credentials{}, oauth.ErrInvalidRequest},
		{"another scheme", []string{"Bearer abc"}, url.Values{"client_id": {"web"}}, clients.Credentials{}, oauth.ErrInvalidClient},
		{"Basic that is no base64", []string{"Basic %%%"}, nil, clients.Credentials{}, oauth.ErrInvalidClient},
		{"Basic without a colon", []string{"Basic " + base64.StdEncoding.EncodeToString([]byte("web"))}, nil, clients.Credentials{}, oauth.ErrInvalidClient},
		{"Basic without a client", []string{encode("", "key")}, nil, clients.Credentials{}, oauth.ErrInvalidClient},
		{"Basic with a broken escape in the id", []string{encode("w%zz", "key")}, nil, clients.Credentials{}, oauth.ErrInvalidClient},
		{"Basic with a broken escape in the secret", []string{encode("web", "100%")}, nil, clients.Credentials{}, oauth.ErrInvalidClient},
		{"Basic alone", []string{"Basic"}, nil, clients.Credentials{}, oauth.ErrInvalidClient},
		{"an empty header", []string{""}, nil, clients.Credentials{}, oauth.ErrInvalidClient},
	} {
		t.Run(row.rule, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/token", nil)
			r.Header["Authorization"] = row.headers
			got, err := clients.Presented(r, row.form)
			if got != row.want {
				t.Errorf("got id %q, secret %q by %s", got.ID, got.Secret.Reveal(), got.Method)
			}
			if row.wrong == "" {
				if err != nil {
					t.Errorf("Presented: %v", err)
				}
				return
			}
			e, ok := errors.AsType[*oauth.Error](err)
			if !ok || e.Code != row.wrong || (row.wrong == oauth.ErrInvalidClient) != (e.Challenge != "") {
				t.Errorf("Presented: %v, want %s", err, row.wrong)
			}
		})
	}
}

func TestReadsAreServedFromTheCache(t *testing.T) {
	h := open(t)
	_, key := h.create(web("web"))
	use := func() {
		t.Helper()
		for _, cr := range []clients.Credentials{{ID: "web", Secret: key, Method: oauth.AuthClientSecretPost}, {ID: "spa", Method: oauth.AuthNone}} {
			if _, err := h.Authenticate(t.Context(), cr); err != nil {
				t.Error(err)
			}
			if _, err := h.Enabled(t.Context(), cr.ID); err != nil {
				t.Error(err)
			}
		}
		if !h.AllowedOrigin(t.Context(), "https://web.example") || h.AllowedOrigin(t.Context(), "https://evil.example") {
			t.Error("origins are judged wrongly")
		}
	}
	use()
	h.store.reads = 0
	for range 50 {
		use()
	}
	if h.store.reads != 0 {
		t.Errorf("%d reads for 50 warm rounds, want none", h.store.reads)
	}
	h.Heard("web", 1)
	h.store.reads = 0
	if _, err := h.Get(t.Context(), "web"); err != nil || h.store.reads != 0 {
		t.Errorf("hearing of the version that is known costs %d reads, %v", h.store.reads, err)
	}
	h.store.reads = 0
	for _, id := range []string{"", "no such id!", strings.Repeat("a", 101), "../x"} {
		if _, err := h.Get(t.Context(), id); !fault.Is(err, fault.NotFound) {
			t.Errorf("Get(%q): %v", id, err)
		}
	}
	if h.store.reads != 0 {
		t.Errorf("%d reads for ids that can be none", h.store.reads)
	}
}

func TestAChangeIsSeenOnceItIsHeardOf(t *testing.T) {
	h := open(t)
	h.create(web("web"))
	if _, err := h.Enabled(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	other := clients.NewService(clients.Options{
		Store: h.store, APIs: h.newAPIs(), Now: func() time.Time { return h.now },
		Announce: func(context.Context, string, int64) error { return nil }, End: func(context.Context, string) error { return nil },
	})
	changed, err := other.Change(t.Context(), "web", func(c *clients.Client) error { c.Disabled = true; return nil })
	if err != nil || changed.V != 2 {
		t.Fatalf("Change = V %d, %v", changed.V, err)
	}
	if _, err := h.Enabled(t.Context(), "web"); err != nil {
		t.Fatalf("the cache asked the store without a reason: %v", err)
	}
	h.Heard("web", 2)
	_, err = h.Enabled(t.Context(), "web")
	wantCode(t, "after it was heard of", err, fault.Forbidden, "client_disabled")
	if c, err := h.Get(t.Context(), "web"); err != nil || !c.Disabled {
		t.Errorf("Get hides a disabled client: %v", err)
	}
	// An entry comes before its row, which may never come: it is looked for now and then, and not by each call.
	h.Heard("web", 3)
	h.store.reads = 0
	for range 3 {
		for range 10 {
			if _, err := h.Get(t.Context(), "web"); err != nil {
				t.Fatal(err)
			}
		}
		h.now = h.now.Add(200 * time.Millisecond)
	}
	if h.store.reads != 3 {
		t.Errorf("%d reads in three times 200 ms while the row is older than what was heard, want 3", h.store.reads)
	}
	if _, err := other.Change(t.Context(), "web", func(c *clients.Client) error { c.Disabled = false; return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Enabled(t.Context(), "web"); err != nil {
		t.Errorf("after the row came: %v", err)
	}
	h.store.reads = 0
	if _, err := h.Get(t.Context(), "web"); err != nil || h.store.reads != 0 {
		t.Errorf("and then it is warm again: %d reads, %v", h.store.reads, err)
	}
}

func TestOrigins(t *testing.T) {
	h := open(t)
	listed := web("listed")
	listed.Origins = []string{"https://other.example"}
	h.create(listed)
	closed := web("closed")
	closed.Origins = []string{}
	h.create(closed)
	off := web("off")
	off.Disabled = true
	h.create(off)
	native := web("native")
	native.RedirectURIs = []string{"com.example.app:/cb", "http://127.0.0.1:3000/cb", "https://native.example:443/a", "https://native.example/b"}
	h.create(native)
	for origin, want := range map[string]bool{
		"https://spa.example": true, "https://other.example": true, "http://127.0.0.1:3000": true, "https://native.example": true,
		"https://listed.example": false, "https://closed.example": false, "https://off.example": false, "null": false, "": false, "com.example.app:": false,
		"https://SPA.example": false, "https://spa.example/": false, "http://spa.example": false, "http://127.0.0.1:3001": false,
	} {
		if got := h.AllowedOrigin(t.Context(), origin); got != want {
			t.Errorf("AllowedOrigin(%q) = %v, want %v", origin, got, want)
		}
	}
	if diff := cmp.Diff([]string{"http://127.0.0.1:3000", "https://native.example"}, h.OriginsOf(native)); diff != "" {
		t.Errorf("OriginsOf (-want +got):\n%s", diff)
	}
	// A change here is seen at once, one elsewhere within a minute.
	if _, err := h.Change(t.Context(), "off", func(c *clients.Client) error { c.Disabled = false; return nil }); err != nil {
		t.Fatal(err)
	}
	if !h.AllowedOrigin(t.Context(), "https://off.example") {
		t.Error("a client that was enabled here has no origin yet")
	}
	elsewhere := web("elsewhere")
	elsewhere.V = 1
	if err := h.store.InsertClient(t.Context(), elsewhere); err != nil {
		t.Fatal(err)
	}
	h.now = h.now.Add(time.Minute + time.Second)
	if !h.AllowedOrigin(t.Context(), "https://elsewhere.example") {
		t.Error("a client that was made elsewhere has no origin after a minute")
	}
	h.now = h.now.Add(2 * time.Minute)
	h.store.fail = errors.New("disk")
	if h.AllowedOrigin(t.Context(), "https://spa.example") {
		t.Error("an origin is allowed though the store cannot be asked")
	}
}

func TestCreate(t *testing.T) {
	h := open(t)
	in := web("web")
	in.V, in.SecretHashes, in.SecretGrace, in.CreatedAt = 9, []string{secret.Hash("planted")}, h.now.Add(time.Hour), h.now.Add(-time.Hour)
	got, key := h.create(in)
	want := web("web")
	want.V, want.SecretHashes, want.CreatedAt = 1, []string{secret.Hash(key)}, h.now
	stored, err := h.store.Store.GetClient(t.Context(), "web")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]clients.Client{"returned": got, "stored": stored} {
		if diff := cmp.Diff(want, c, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if len(key) != 43 {
		t.Errorf("the secret has %d characters, want those of 32 bytes", len(key))
	}
	public := web("public")
	public.AuthMethod, public.SecretHashes = oauth.AuthNone, []string{secret.Hash("planted")}
	if got, key := h.create(public); key != "" || got.SecretHashes != nil {
		t.Errorf("a public client has the secret %q and %d hashes", key.Reveal(), len(got.SecretHashes))
	}
	for id, rule := range map[string]string{"web": "an id that is taken", "spa": "an id of the configuration"} {
		_, key, err := h.Create(t.Context(), web(id))
		wantCode(t, rule, err, fault.Conflict, "client_exists")
		if key != "" {
			t.Errorf("%s: a secret is handed out", rule)
		}
	}
	if diff := cmp.Diff([]string{"web=1 after 0 writes", "public=1 after 1 writes"}, h.announced); diff != "" {
		t.Errorf("what was announced, before the row (-want +got):\n%s", diff)
	}
	h.announce = errors.New("stream is away")
	writes := h.store.writes
	if _, _, err := h.Create(t.Context(), web("later")); err == nil || h.store.writes != writes {
		t.Errorf("without the stream: %v, %d writes", err, h.store.writes-writes)
	}
}

func TestChange(t *testing.T) {
	h := open(t)
	made, _ := h.create(web("web"))
	h.announced = nil
	got, err := h.Change(t.Context(), "web", func(c *clients.Client) error {
		c.ID, c.V, c.CreatedAt, c.Name = "spa", 77, h.now.Add(time.Hour), "New"
		return nil
	})
	want := made
	want.Name, want.V = "New", 2
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
	if diff := cmp.Diff([]string{"web=2 after 1 writes"}, h.announced); diff != "" {
		t.Errorf("what was announced, before the row (-want +got):\n%s", diff)
	}
	// Somebody else is faster: the edit is made again on what they left.
	edits := 0
	h.store.beforeReplace = func() {
		if _, err := h.Change(t.Context(), "web", func(c *clients.Client) error { c.FirstParty = true; return nil }); err != nil {
			t.Error(err)
		}
	}
	got, err = h.Change(t.Context(), "web", func(c *clients.Client) error { edits++; c.Name = "Newer"; return nil })
	if err != nil || edits != 2 || !got.FirstParty || got.Name != "Newer" || got.V != 4 {
		t.Errorf("after %d edits: %v, %+v", edits, err, got)
	}
	for _, row := range []struct {
		rule, id string
		edit     func(*clients.Client) error
		kind     fault.Kind
		code     string
	}{
		{"a client of the configuration", "spa", func(*clients.Client) error { return nil }, fault.Conflict, "client_readonly"},
		{"nobody", "nobody", func(*clients.Client) error { return nil }, fault.NotFound, "client_unknown"},
		{"an edit that refuses", "web", func(*clients.Client) error { return fault.New(fault.Conflict, "mine", "no") }, fault.Conflict, "mine"},
		{"an edit that leaves it wrong", "web", func(c *clients.Client) error { c.RedirectURIs = []string{"javascript:x"}; return nil }, fault.Invalid, "client_invalid"},
	} {
		writes := h.store.writes
		_, err := h.Change(t.Context(), row.id, row.edit)
		wantCode(t, row.rule, err, row.kind, row.code)
		if h.store.writes != writes {
			t.Errorf("%s: the row was written", row.rule)
		}
	}
}

func TestManyChangesLoseNone(t *testing.T) {
	h := open(t)
	h.create(web("web"))
	s := clients.NewService(clients.Options{
		Store: h.store.Store, APIs: h.newAPIs(), Now: func() time.Time { return time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC) },
		Announce: func(context.Context, string, int64) error { return nil },
	})
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			_, err := s.Change(t.Context(), "web", func(c *clients.Client) error {
				c.RedirectURIs = append(slices.Clone(c.RedirectURIs), fmt.Sprintf("https://web.example/%d", i))
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if c, err := s.Get(t.Context(), "web"); err != nil || len(c.RedirectURIs) != 11 || c.V != 11 {
		t.Errorf("%d addresses at version %d, %v, want 11 at 11", len(c.RedirectURIs), c.V, err)
	}
}

func TestCheckFindsAClientThatIsDefinedTwice(t *testing.T) {
	h := open(t)
	if err := h.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	twice := web("service")
	twice.V = 1
	if err := h.store.InsertClient(t.Context(), twice); err != nil {
		t.Fatal(err)
	}
	wantCode(t, "in the file and in the store", h.Check(t.Context()), fault.Conflict, "client_twice")
	h.store.fail = fault.New(fault.Unavailable, "unavailable", "later")
	wantCode(t, "without the store", h.Check(t.Context()), fault.Unavailable, "unavailable")
}

func TestAllPagesThroughTheStore(t *testing.T) {
	h := open(t)
	for i := range 1001 {
		c := web(fmt.Sprintf("c%04d", i))
		c.V = 1
		if err := h.store.InsertClient(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	all, err := h.All(t.Context())
	if err != nil || len(all) != 1003 || all[0].ID != "service" || all[1].ID != "spa" || all[2].ID != "c0000" || all[1002].ID != "c1000" {
		t.Errorf("%d clients, %v", len(all), err)
	}
}

func TestScopesAndAPIs(t *testing.T) {
	h := open(t)
	both := spa()
	both.APIs = []string{"orders", "stock", "gone"}
	if diff := cmp.Diff(oauth.Scopes{"openid", "profile", "email", "address", "phone", "offline_access", "roles", "orders:read", "orders:write", "stock:read"}, h.ScopesOf(both)); diff != "" {
		t.Errorf("by default (-want +got):\n%s", diff)
	}
	both.Scopes = oauth.Scopes{"openid"}
	if diff := cmp.Diff(oauth.Scopes{"openid"}, h.ScopesOf(both)); diff != "" {
		t.Errorf("listed (-want +got):\n%s", diff)
	}
	both.Scopes = oauth.Scopes{}
	if got := h.ScopesOf(both); len(got) != 0 {
		t.Errorf("an empty list means none, got %v", got)
	}
	for resource, want := range map[string]string{"https://orders.example": "orders", "orders": "orders", "https://stock.example": "", "stock": "", "gone": "", "": "", "https://orders.example/": ""} {
		a, err := h.APIFor(spa(), resource)
		e, _ := errors.AsType[*oauth.Error](err)
		if a.ID != want || (err == nil) != (want != "") || (err != nil && e.Code != oauth.ErrInvalidTarget) {
			t.Errorf("APIFor(%q) = %q, %v, want %q", resource, a.ID, err, want)
		}
	}
}

func TestLocalhostHasAFreePortForTheDemoAlone(t *testing.T) {
	h := open(t)
	c := clients.Client{RedirectURIs: []string{"http://localhost:8081/cb"}, PostLogoutRedirectURIs: []string{"http://localhost:8081/"}}
	demo := c
	demo.LoopbackAnyPort = true
	for _, row := range []struct {
		rule       string
		client     clients.Client
		back, away string
		want       bool
	}{
		{"an app, byte for byte", c, "http://localhost:8081/cb", "http://localhost:8081/", true},
		{"an app, another port", c, "http://localhost:9/cb", "http://localhost:9/", false},
		{"the demo, another port", demo, "http://localhost:9/cb", "http://localhost:9/", true},
		{"the demo, another path", demo, "http://localhost:9/x", "http://localhost:9/x", false},
		{"the demo, another host", demo, "http://127.0.0.1:9/cb", "http://127.0.0.1:9/", false},
		{"nothing", demo, "", "", false},
	} {
		if a, b := h.MatchRedirect(row.client, row.back), h.MatchPostLogout(row.client, row.away); a != row.want || b != row.want {
			t.Errorf("%s: MatchRedirect %v, MatchPostLogout %v, want %v", row.rule, a, b, row.want)
		}
	}
	loopback := clients.Client{PostLogoutRedirectURIs: []string{"http://127.0.0.1:3000/"}}
	if h.MatchPostLogout(loopback, "http://127.0.0.1:4000/") {
		t.Error("after sign-out, loopback has a free port too")
	}
}

func TestAClientThatIsSwitchedOffLosesWhatItWasIssued(t *testing.T) {
	h := open(t)
	h.create(web("web")) // the first write
	if _, err := h.SetDisabled(t.Context(), "web", false); err != nil || len(h.ended) > 0 {
		t.Fatalf("left on, and ended %v, %v", h.ended, err)
	}
	if c, err := h.SetDisabled(t.Context(), "web", true); err != nil || !c.Disabled {
		t.Fatalf("%+v, %v", c, err)
	}
	if diff := cmp.Diff([]string{"web after 2 writes", "web after 3 writes"}, h.ended); diff != "" {
		t.Errorf("before the row and after it (-want +got):\n%s", diff)
	}
	if _, err := h.Enabled(t.Context(), "web"); fault.CodeOf(err) != "client_disabled" {
		t.Errorf("it may be used: %v", err)
	}
	h.ended = nil
	if _, err := h.SetDisabled(t.Context(), "web", true); err != nil || len(h.ended) > 0 {
		t.Errorf("off already, and ended %v, %v", h.ended, err)
	}
	if _, err := h.SetDisabled(t.Context(), "web", false); err != nil || len(h.ended) > 0 {
		t.Errorf("switched on, and ended %v, %v", h.ended, err)
	}
	if _, err := h.Enabled(t.Context(), "web"); err != nil {
		t.Error(err)
	}
	h.end = fault.New(fault.Unavailable, "down", "down")
	if _, err := h.SetDisabled(t.Context(), "web", true); err == nil {
		t.Error("switched off although nobody could be told")
	}
	if _, err := h.Enabled(t.Context(), "web"); err != nil {
		t.Errorf("half switched off: %v", err)
	}
	if _, err := h.SetDisabled(t.Context(), "spa", true); fault.CodeOf(err) != "client_readonly" {
		t.Errorf("one of the configuration: %v", err)
	}
}

func TestAClientThatIsDeletedIsGone(t *testing.T) {
	h := open(t)
	h.create(web("web"))
	for _, row := range []struct {
		id   string
		want int64
		code string
	}{{"web", 2, "client_changed"}, {"spa", 0, "client_readonly"}, {"nobody", 0, "client_unknown"}} {
		if err := h.Delete(t.Context(), row.id, row.want); fault.CodeOf(err) != row.code {
			t.Errorf("%s at %d: %v, want %s", row.id, row.want, err, row.code)
		}
	}
	if len(h.ended) > 0 {
		t.Errorf("what was refused ended %v", h.ended)
	}
	if _, err := h.Get(t.Context(), "web"); err != nil { // it is cached now
		t.Fatal(err)
	}
	if err := h.Delete(t.Context(), "web", 1); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"web after 1 writes", "web after 2 writes"}, h.ended); diff != "" {
		t.Errorf("before the row and after it (-want +got):\n%s", diff)
	}
	if _, err := h.Get(t.Context(), "web"); fault.CodeOf(err) != "client_unknown" {
		t.Errorf("it is still there: %v", err)
	}

	// The next one of its name is another client, and is cached as any.
	again, _ := h.create(web("web"))
	if _, err := h.Get(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	reads := h.store.reads
	if c, err := h.Get(t.Context(), "web"); err != nil || c.V != again.V || h.store.reads != reads {
		t.Errorf("version %d, %d reads, %v", c.V, h.store.reads-reads, err)
	}
}

// losing is a store in which somebody else is always first.
type losing struct {
	clients.Store
	writes *int
}

func (l losing) ReplaceClient(context.Context, clients.Client) error {
	*l.writes++
	return fault.New(fault.Conflict, "client_changed", "somebody else was first")
}

func (l losing) DeleteClient(context.Context, string, int64) error {
	*l.writes++
	return fault.New(fault.Conflict, "client_changed", "somebody else was first")
}

func TestAChangeThatAlwaysLosesGivesUp(t *testing.T) {
	h := open(t)
	h.create(web("web"))
	writes := 0
	s := clients.NewService(clients.Options{
		Store: losing{h.store.Store, &writes}, APIs: h.newAPIs(), Now: func() time.Time { return h.now },
		Announce: func(context.Context, string, int64) error { return nil }, End: func(context.Context, string) error { return nil },
	})
	_, err := s.SetDisabled(t.Context(), "web", true)
	wantCode(t, "a change", err, fault.Unavailable, "store_contended")
	wantCode(t, "a deletion", s.Delete(t.Context(), "web", 0), fault.Unavailable, "store_contended")
	if writes != 2*changes.Attempts {
		t.Errorf("%d writes, want %d", writes, 2*changes.Attempts)
	}
}
