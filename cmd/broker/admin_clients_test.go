package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// audited demands an audit event of each action. On MongoDB they are there within a second.
func (a writer) audited(t *testing.T, actions ...string) {
	t.Helper()
	var r reply
	for _, action := range actions {
		eventually(t, "an event "+action, func() bool {
			r = a.ask("GET", "/admin/api/audit?limit=200", nil)
			return strings.Contains(r.raw, `"`+action+`"`)
		})
	}
}

// An API that an admin registers is one like those of the configuration, on every replica, from its first token to its last.
func TestAPIsAreEditedByAdmins(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		admin, editor := w.writer("ada", "admin"), w.writer("eve", "editor")
		other := w.replica()
		const audience = "https://bills.example.com"
		bills := map[string]any{"id": "bills", "audience": audience, "scopes": []string{"bills:read"}, "ttl": 60}

		editor.ask("POST", "/admin/api/apis", bills).is(t, 403, "role_missing")
		made := admin.ask("POST", "/admin/api/apis", bills)
		made.is(t, 201, "")
		if made.Header.Get("ETag") != `"1"` || made.Header.Get("Location") != "/admin/api/apis/bills" || made.str("alg") != "ES256" || made.str("typ") != "at+jwt" {
			t.Errorf("made as %v %s", made.Header, made.raw)
		}
		admin.ask("POST", "/admin/api/apis", bills).is(t, 409, "api_exists")
		admin.ask("POST", "/admin/api/apis", map[string]any{"id": "again", "audience": audience}).is(t, 409, "audience_taken", "bills")
		admin.ask("POST", "/admin/api/apis", map[string]any{"id": "orders", "audience": "urn:other"}).is(t, 409, "api_readonly")
		admin.ask("POST", "/admin/api/apis", map[string]any{"id": "Bad", "audience": "bad", "scopes": []string{"openid"}, "ttl": -1}).is(t, 400, "api_invalid", "id", "audience", "scopes[0]", "ttl")
		admin.ask("POST", "/admin/api/apis", map[string]any{"id": "own", "audience": w.issuer}).is(t, 400, "api_invalid", "issuer")
		admin.ask("GET", "/admin/api/apis/nothing", nil).is(t, 404, "api_unknown")
		if r := admin.ask("GET", "/admin/api/apis?limit=1", nil); r.str("next") == "" || !strings.Contains(r.raw, `"read_only":true`) {
			t.Errorf("the first page: %s", r.raw)
		}
		if r := w.get("/.well-known/oauth-authorization-server"); !strings.Contains(r.raw, "bills:read") {
			t.Errorf("the metadata does not name its scope: %s", r.raw)
		}

		client := admin.ask("POST", "/admin/api/clients", map[string]any{
			"client_id": "biller", "token_endpoint_auth_method": "client_secret_basic", "grant_types": []string{"client_credentials"}, "apis": []string{"bills"},
		})
		client.is(t, 201, "")
		key := client.str("client_secret")
		admin.ask("DELETE", "/admin/api/apis/bills", nil).is(t, 409, "api_in_use", "biller")
		eventually(t, "the other replica issues tokens for it", func() bool {
			return other.clientToken("biller", key, "resource", audience, "scope", "bills:read").StatusCode == http.StatusOK
		})
		token := w.clientToken("biller", key, "resource", audience, "scope", "bills:read")
		c := claims(t, token.str("access_token"))
		if c["aud"] != audience || c["exp"].(float64)-c["iat"].(float64) != 60 || c["scope"] != "bills:read" {
			t.Errorf("the token says %v", c)
		}
		introspect := func(token string) any {
			return w.post("/introspect", url.Values{"token": {token}}, "Authorization", basicHeader("biller", key)).json["active"]
		}
		if introspect(token.str("access_token")) != true {
			t.Error("the client of the API may not introspect its token")
		}

		// What was read can be sent back, in the version that was read and in no other.
		read := admin.ask("GET", "/admin/api/apis/bills", nil)
		read.json["ttl"] = 30
		stale := map[string]string{"If-Match": `"7"`}
		admin.askWith("PUT", "/admin/api/apis/bills", read.json, stale).is(t, 409, "apis_changed")
		admin.askWith("PUT", "/admin/api/apis/bills", read.json, map[string]string{"If-Match": read.Header.Get("ETag")}).is(t, 200, "")
		c = claims(t, w.clientToken("biller", key, "resource", "bills").str("access_token"))
		if c["exp"].(float64)-c["iat"].(float64) != 30 {
			t.Errorf("changed, the token says %v", c)
		}
		admin.ask("PUT", "/admin/api/apis/orders", map[string]any{"audience": "urn:other"}).is(t, 409, "api_readonly")
		admin.ask("PUT", "/admin/api/apis/nothing", map[string]any{"audience": "urn:other"}).is(t, 404, "api_unknown")
		admin.ask("PUT", "/admin/api/apis/bills", map[string]any{"id": "other", "audience": "urn:other"}).is(t, 400, "api_invalid")

		was := admin.ask("GET", "/admin/api/clients/biller", nil)
		was.json["apis"] = []string{}
		admin.ask("PUT", "/admin/api/clients/biller", was.json).is(t, 200, "")
		admin.ask("PUT", "/admin/api/clients/biller", was.json).is(t, 409, "client_changed")
		admin.askWith("DELETE", "/admin/api/apis/bills", nil, stale).is(t, 409, "apis_changed")
		admin.ask("DELETE", "/admin/api/apis/bills", nil).is(t, 204, "")
		admin.ask("DELETE", "/admin/api/apis/bills", nil).is(t, 404, "api_unknown")
		w.clientToken("biller", key, "resource", audience).fails(t, 400, "invalid_target")
		admin.audited(t, "admin.api.create", "admin.api.put", "admin.api.delete")
	})
}

// A client that is switched off is nobody from then on, and what it was issued stays dead when it is switched on again. One that takes the
// id of a deleted client inherits nothing.
func TestAClientIsSwitchedOffAndDeletedByAdmins(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		admin, other := w.writer("ada", "admin"), w.replica()
		registration := map[string]any{
			"client_id": "shop", "name": "Shop", "token_endpoint_auth_method": "none", "grant_types": []string{"authorization_code", "refresh_token"},
			"redirect_uris": []string{appRedirect},
		}
		admin.ask("POST", "/admin/api/clients", registration).is(t, 201, "")
		allow := url.Values{"answer": {"allow"}}
		alice, b, shop := w.person("alice"), w.browser(), w.app("shop", "")
		first := shop.redeem(shop.code(b.submit(b.signInByPassword(shop, alice.Username), "consent-form", allow)))
		w.alive("a token of the shop", first.str("access_token"))

		change := func(off bool) {
			t.Helper()
			was := admin.ask("GET", "/admin/api/clients/shop", nil)
			was.json["disabled"] = off
			admin.ask("PUT", "/admin/api/clients/shop", was.json).is(t, 200, "")
		}
		change(true)
		w.dead("a token of a client that is switched off", first.str("access_token"))
		eventually(t, "the other replica refuses it", func() bool { return other.userinfo(first.str("access_token")).StatusCode == http.StatusUnauthorized })
		shop.refresh(first.str("refresh_token")).fails(t, 401, "invalid_client")
		b.open(shop.authorizeURL()).errorPage(t, http.StatusBadRequest)

		w.clock.advance(time.Second) // what is issued within the second of the end ends, too
		change(false)
		w.dead("a token from before", first.str("access_token"))
		shop.refresh(first.str("refresh_token")).fails(t, 400, "invalid_grant")
		second := shop.redeem(shop.code(b.open(shop.authorizeURL()))) // still signed in, and allowed
		w.alive("a token from after", second.str("access_token"))

		admin.askWith("DELETE", "/admin/api/clients/shop", nil, map[string]string{"If-Match": `"1"`}).is(t, 409, "client_changed")
		admin.ask("DELETE", "/admin/api/clients/spa", nil).is(t, 409, "client_readonly")
		admin.ask("DELETE", "/admin/api/clients/shop", nil).is(t, 204, "")
		admin.ask("DELETE", "/admin/api/clients/shop", nil).is(t, 404, "client_unknown")
		w.dead("a token of a client that is gone", second.str("access_token"))
		shop.refresh(second.str("refresh_token")).fails(t, 401, "invalid_client")
		b.open(shop.authorizeURL()).errorPage(t, http.StatusBadRequest)

		w.clock.advance(time.Second)
		admin.ask("POST", "/admin/api/clients", registration).is(t, 201, "")
		shop.refresh(second.str("refresh_token")).fails(t, 400, "invalid_grant")
		w.dead("a token of the client that had the id before", second.str("access_token"))
		p := b.open(shop.authorizeURL("scope", "openid"))
		if !p.has("consent-form") {
			t.Fatalf("the consent to another client is taken for this one's: %d %s", p.StatusCode, p.brief())
		}
		third := shop.redeem(shop.code(b.submit(p, "consent-form", allow)))
		w.alive("a token of the new client", third.str("access_token"))
		if p := b.open(shop.authorizeURL("scope", "openid email")); !p.has("consent-form") {
			t.Errorf("what was allowed to another client adds to this one's: %d %s", p.StatusCode, p.brief())
		}
		eventually(t, "the other replica knows it", func() bool { return other.userinfo(third.str("access_token")).StatusCode == http.StatusOK })
		admin.audited(t, "admin.client.create", "admin.client.put", "admin.client.delete")
	})
}
