package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	mongooptions "go.mongodb.org/mongo-driver/v2/mongo/options"

	"example.com/broker/config"
	"example.com/broker/internal/secret"
)

func attacksOnKeys() []attack {
	return []attack{
		{ID: "J01", Kind: "T", Rule: "a key in the path, or in the query while that is off, opens nothing and leaves no trace", Run: func(t *testing.T, w *world) {
			alice := w.byToken(w.person("alice"))
			id, key := alice.key("to be misplaced")
			for _, path := range []string{"/data/" + key, "/data?api_key=" + key, "/data/" + key + "?api_key=" + key, "/data?API_KEY=" + key, "/data?x-api-key=" + key, "/data?key=" + key, "/data?access_token=" + key} {
				w.get(path).noKey(t, path)
			}
			for _, path := range []string{"/" + key, "/data/" + key + "/x", "/api-keys/" + key, "/data;api_key=" + key} {
				if r := w.get(path); r.StatusCode != http.StatusNotFound && r.StatusCode != http.StatusForbidden && r.StatusCode != http.StatusMethodNotAllowed {
					t.Errorf("%s answered %d", path, r.StatusCode)
				}
			}
			w.data(key).is(t, http.StatusOK, "")
			w.leavesNoTrace(t, id, key)
		}},
		{ID: "J01", Kind: "T", Rule: "a key in the query leaves no trace where that is on either", Alone: []func(*config.Config){queryKeys}, Run: func(t *testing.T, w *world) {
			alice := w.byToken(w.person("alice"))
			id, key := alice.key("in the address")
			w.get("/data?api_key="+key).is(t, http.StatusOK, "")
			w.get("/data?api_key="+key+"&api_key="+key).noKey(t, "twice")
			w.get("/data?api_key="+key+"x").noKey(t, "with a letter more")
			w.get("/me?api_key="+key).is(t, http.StatusUnauthorized, "")
			w.get("/nowhere?api_key="+key).is(t, http.StatusNotFound, "")
			alice.ask(http.MethodDelete, "/api-keys/"+id, nil).is(t, http.StatusNoContent, "")
			w.get("/data?api_key="+key).noKey(t, "revoked")
			w.leavesNoTrace(t, id, key)
		}},
		{ID: "J02", Kind: "T", Rule: "who has the database has no key, and nobody is shown one twice", Run: func(t *testing.T, w *world) {
			alice := w.byToken(w.person("alice"))
			id, key := alice.key("in the dump")
			w.data(key).is(t, http.StatusOK, "")
			part := key[len("bk_")+len(id)+1 : len(key)-6]
			hash := secret.Hash(secret.Value(part))
			dump := w.dump(t)
			if !bytes.Contains(dump, []byte(hash)) || !bytes.Contains(dump, []byte(id)) {
				t.Fatal("the hash is not in the dump, so this row sees nothing")
			}
			for what, text := range map[string]string{"the key": key, "its secret": part, "half of it": part[:22], "the other half": part[22:]} {
				if bytes.Contains(dump, []byte(text)) {
					t.Errorf("the store holds %s", what)
				}
			}
			for _, stored := range []string{hash, secret.Hash(secret.Value(hash))} {
				w.data(keyOf(id, stored)).noKey(t, "what is stored, presented")
			}
			if forged := keyOf(id, part); forged != key {
				t.Errorf("the row makes keys like %s, and the broker like %s", forged, key)
			}
			for _, path := range []string{"/api-keys", "/api-keys?owner_id=" + alice.who.ID, "/api-keys/" + id} {
				if r := alice.ask(http.MethodGet, path, nil); strings.Contains(r.raw, part) || strings.Contains(r.raw, hash) {
					t.Errorf("GET %s shows it again: %s", path, r.raw)
				}
			}
		}},
		{ID: "J04", Kind: "T", Rule: "nobody makes a key for somebody else, an admin neither", Run: func(t *testing.T, w *world) {
			victim := w.byToken(w.person("victim", "admin"))
			for _, attacker := range []holder{w.byToken(w.person("eve")), w.bySession(w.person("eve")), w.byToken(w.person("root", "admin"))} {
				for _, member := range []string{"owner_id", "owner", "user", "user_id", "org"} {
					for _, body := range []map[string]any{{}, {"scopes": []string{"*:*"}}, {"owner_id": victim.who.ID}} {
						body["name"], body[member] = "planted", victim.who.ID
						r := attacker.ask(http.MethodPost, "/api-keys", body)
						r.is(t, http.StatusForbidden, "owner_foreign")
						if r.str("key") != "" {
							t.Errorf("%s: %s", member, r.raw)
						}
					}
				}
				for _, member := range []string{"ver", "id", "secret_hash", "Owner_ID", "key", "created_at"} {
					attacker.ask(http.MethodPost, "/api-keys", map[string]any{"name": "planted", member: victim.who.ID}).is(t, http.StatusBadRequest, "request_invalid")
				}
				attacker.ask(http.MethodPost, "/api-keys?owner_id="+victim.who.ID, map[string]any{"name": "mine"}).is(t, http.StatusCreated, "")
				attacker.key("mine too", "owner_id", attacker.who.ID)
			}
			if r := victim.ask(http.MethodGet, "/api-keys", nil); len(list(r.json["keys"])) != 0 {
				t.Errorf("the victim has %s", r.raw)
			}
		}},
		{ID: "J05", Kind: "T", Rule: "a key that is revoked, expired, or of somebody disabled or gone is refused at once", Run: func(t *testing.T, w *world) {
			bob := w.person("bob")
			alice, disabled := w.byToken(w.person("alice")), w.byToken(bob)
			id, revoked := alice.key("revoked")
			_, expired := alice.key("expired", "expires_in", 1)
			_, owned := disabled.key("of somebody disabled")
			for _, key := range []string{revoked, owned} {
				w.data(key).is(t, http.StatusOK, "")
			}
			alice.ask(http.MethodDelete, "/api-keys/"+id, nil).is(t, http.StatusNoContent, "")
			w.data(revoked).noKey(t, "revoked")
			alice.ask(http.MethodDelete, "/api-keys/"+id, nil).is(t, http.StatusNoContent, "")
			w.operator.disable(w, bob.ID)
			eventually(t, "the key of somebody disabled is refused", func() bool { return w.program != nil || w.data(owned).StatusCode != http.StatusOK })
			w.data(owned).noKey(t, "the owner is disabled")
			eventually(t, "an expired key is refused", func() bool { return w.data(expired).StatusCode != http.StatusOK })
			w.data(expired).noKey(t, "expired")
			w.operator.enable(w, bob.ID)
			time.Sleep(time.Second)
			w.data(owned).noKey(t, "the owner is back, the key is not")
			for _, key := range []string{revoked, expired, owned} {
				w.exchange(key).fails(t, http.StatusBadRequest, "invalid_grant")
				w.exchange(key, "resource", ordersAPI).fails(t, http.StatusBadRequest, "invalid_grant")
			}
		}},
		{ID: "J05", Kind: "T", Rule: "a key that ends at one replica ends at the other within two seconds", Here: needsTwo, Alone: alone, Run: func(t *testing.T, w *world) {
			second := w.replica()
			bob, carol := w.person("bob"), w.person("carol")
			alice := w.byToken(w.person("alice"))
			id, revoked := alice.key("revoked")
			_, owned := w.byToken(bob).key("of somebody disabled")
			_, over := w.byToken(carol).key("of somebody signed out")
			bought := w.exchange(revoked).str("access_token")
			for _, key := range []string{revoked, owned, over} {
				second.data(key).is(t, http.StatusOK, "")
			}
			alice.ask(http.MethodDelete, "/api-keys/"+id, nil).is(t, http.StatusNoContent, "")
			w.operator.disable(w, bob.ID)
			if _, err := w.users.RaiseEpoch(t.Context(), carol.ID); err != nil {
				t.Fatal(err)
			}
			within(t, "the other replica refuses all of them", func() bool {
				return second.data(revoked).StatusCode == http.StatusForbidden && second.data(owned).StatusCode == http.StatusForbidden &&
					second.data(over).StatusCode == http.StatusForbidden && second.get("/me", "Authorization", "Bearer "+bought).StatusCode == http.StatusUnauthorized
			})
		}},
		{ID: "J05", Kind: "T", Rule: "a key reaches no further by another header, nor by the token it is exchanged for", Run: func(t *testing.T, w *world) {
			alice := w.byToken(w.person("alice", "admin"))
			id, key := alice.key("data only")
			other, _ := alice.key("another")
			for what, header := range map[string]string{"Bearer": "Bearer " + key, "Basic": basicHeader(key, ""), "Basic as a password": basicHeader(alice.who.Username, key), "Basic by id": basicHeader(id, key)} {
				w.get("/data", "Authorization", header).noKey(t, what)
				for _, path := range []string{"/me", "/articles", "/api-keys", "/sessions", "/admin/api/users", "/reports"} {
					w.get(path, "Authorization", header, "Accept", "application/json").is(t, http.StatusUnauthorized, "")
				}
				if r := w.post("/introspect", url.Values{"token": {key}}, "Authorization", header); r.StatusCode == http.StatusOK {
					t.Errorf("%s is a client: %s", what, r.raw)
				}
			}
			w.get("/articles", "X-API-Key", key, "Accept", "application/json").is(t, http.StatusUnauthorized, "")
			// The owner is an admin and could do all of this; the key says data:read.
			token := holder{w, alice.who, []string{"Authorization", "Bearer " + w.exchange(key).str("access_token")}}
			token.ask(http.MethodGet, "/me", nil).is(t, http.StatusOK, "")
			w.get("/data", token.header...).noKey(t, "the token is no key")
			for _, ask := range []struct {
				method, path string
				body         any
			}{
				{http.MethodGet, "/articles", nil},
				{http.MethodPost, "/articles", map[string]any{"title": "x", "body": "x"}},
				{http.MethodGet, "/reports", nil},
				{http.MethodGet, "/admin/api/users", nil},
				{http.MethodDelete, "/users/" + alice.who.ID, nil},
				// A leaked key would outlive its end otherwise, or take the others along.
				{http.MethodPost, "/api-keys", map[string]any{"name": "heir", "scopes": []string{"data:read"}}},
				{http.MethodGet, "/api-keys", nil},
				{http.MethodDelete, "/api-keys/" + other, nil},
				{http.MethodGet, "/sessions", nil},
				{http.MethodPost, "/sessions/end-others", nil},
			} {
				token.ask(ask.method, ask.path, ask.body).is(t, http.StatusForbidden, "scope_missing")
			}
			w.exchange(key, "scope", "articles:read").fails(t, http.StatusBadRequest, "invalid_scope")
			w.exchange(key, "scope", "openid").fails(t, http.StatusBadRequest, "invalid_scope")
			_, none := alice.key("without scopes", "scopes", []string{})
			w.data(none).is(t, http.StatusForbidden, "scope_missing")
			if r := w.exchange(none); r.str("scope") != "" {
				t.Errorf("a key without scopes bought %s", r.raw)
			}
			// An API that asks for roles lets nobody in by a key that was made for less.
			reader := w.byToken(w.person("rita", "viewer", "editor"))
			_, few := reader.key("few", "scopes", []string{"data:read", "articles:write"})
			_, reading := reader.key("reading", "scopes", []string{"*:read"})
			_, all := alice.key("all", "scopes", []string{"*:*"})
			for key, want := range map[string][]any{none: {}, key: {}, few: {}, reading: {"viewer"}, all: {"admin"}} {
				if got := claims(t, w.exchange(key, "resource", ordersAPI).str("access_token"))["roles"]; cmp.Diff(want, got) != "" {
					t.Errorf("the token of a key names the roles %v, want %v", got, want)
				}
			}
		}},
		{ID: "J05", Kind: "T", Rule: "an app of somebody else's manages neither keys nor sessions", Run: func(t *testing.T, w *world) {
			s := w.signIn("spa", "")
			_, key := holder{w, s.who, []string{"Authorization", s.bearer()}}.key("of the person")
			third := w.app("third", "")
			code := third.code(s.submit(s.open(third.authorizeURL()), "consent-form", url.Values{"answer": {"allow"}}))
			app := holder{w, s.who, []string{"Authorization", "Bearer " + third.redeem(code).str("access_token")}}
			app.ask(http.MethodGet, "/me", nil).is(t, http.StatusOK, "")
			app.ask(http.MethodGet, "/api-keys", nil).is(t, http.StatusForbidden, "scope_missing")
			app.ask(http.MethodPost, "/api-keys", map[string]any{"name": "x", "scopes": []string{}}).is(t, http.StatusForbidden, "scope_missing")
			app.ask(http.MethodDelete, "/api-keys/"+key[3:25], nil).is(t, http.StatusForbidden, "scope_missing")
			app.ask(http.MethodGet, "/sessions", nil).is(t, http.StatusForbidden, "scope_missing")
			app.ask(http.MethodPost, "/sessions/end-others", nil).is(t, http.StatusForbidden, "scope_missing")
			w.data(key).is(t, http.StatusOK, "")
			if r := s.me(); r.StatusCode != http.StatusOK {
				t.Errorf("the session answers %d", r.StatusCode)
			}
		}},
	}
}

// keyOf is a key as somebody makes it who has read how they look: prefix, id, secret, CRC-32 in base 62.
func keyOf(id, part string) string {
	body := "bk_" + id + "_" + part
	sum := new(big.Int).SetUint64(uint64(crc32.ChecksumIEEE([]byte(body)))).Text(62)
	return fmt.Sprintf("%s%s%s", body, strings.Repeat("0", 6-len(sum)), sum)
}

// leavesNoTrace demands that the text of a key is in neither the audit log nor the metrics; every world looks through its log at its end.
func (w *world) leavesNoTrace(t *testing.T, id, key string) {
	t.Helper()
	admin := w.byToken(w.person("root", "admin"))
	said := ""
	eventually(t, "the audit log tells of the key", func() bool {
		said = admin.ask(http.MethodGet, "/admin/api/audit?limit=200", nil).raw
		return strings.Contains(said, id)
	})
	traces := map[string]string{"the audit log": said, "the metrics": w.scraped(t), "the log": w.logs.String()}
	if !strings.Contains(traces["the metrics"], "/data") {
		t.Error("the metrics know no route, so this row sees nothing")
	}
	for where, text := range traces {
		if strings.Contains(text, key) || strings.Contains(text, key[26:]) || textOfKey.MatchString(text) {
			t.Errorf("%s hold a key", where)
		}
	}
}

// scraped are the metrics.
func (w *world) scraped(t *testing.T) string {
	t.Helper()
	if w.program == nil {
		_, text := get(t, http.DefaultClient, "http://"+serving(t, w.logs).Ops+"/metrics")
		return text
	}
	r := httptest.NewRecorder()
	w.ops().ServeHTTP(r, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	return r.Body.String()
}

// dump is everything in the store, as a thief has it.
func (w *world) dump(t *testing.T) (all []byte) {
	t.Helper()
	if w.kind == "sqlite" {
		files, err := filepath.Glob(w.cfg.Store.SQLite.Path + "*")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			b, err := os.ReadFile(filepath.Clean(f))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, b...)
		}
		return all
	}
	ctx := t.Context()
	client, err := mongo.Connect(mongooptions.Client().ApplyURI(w.cfg.Store.Mongo.URI))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Disconnect(context.WithoutCancel(ctx)) }()
	db := client.Database(w.cfg.Store.Mongo.Database)
	names, err := db.ListCollectionNames(ctx, bson.D{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		rows, err := db.Collection(name).Find(ctx, bson.D{})
		if err != nil {
			t.Fatal(err)
		}
		var docs []bson.M
		if err := rows.All(ctx, &docs); err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(docs)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	return all
}
