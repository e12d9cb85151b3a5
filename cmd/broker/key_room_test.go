package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"example.com/broker/apikeys"
	"example.com/broker/internal/secret"
)

// A new password ends the keys that there are. The change stream forgets it a month later, when they still have months to live: they must not
// count against whoever wants a key that works.
func TestKeysThatEndedTakeNoRoomAMonthLater(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		alice := w.person("alice")
		for i := range 100 {
			k := apikeys.Key{
				ID: secret.New(16).Reveal(), SecretHash: "hash", OwnerID: alice.ID, Name: fmt.Sprint("old ", i), Ver: 1,
				CreatedAt: w.now(), ExpiresAt: w.now().Add(apikeys.MaxLife),
			}
			if err := w.stores.APIKeys.InsertKey(t.Context(), k); err != nil {
				t.Fatal(err)
			}
		}
		w.byToken(alice).ask(http.MethodPost, "/api-keys", map[string]any{"name": "one too many"}).is(t, http.StatusConflict, "key_limit")
		if _, err := w.users.SetPassword(t.Context(), alice.ID, secret.Value(w.password)); err != nil {
			t.Fatal(err)
		}
		w.clock.advance(32 * 24 * time.Hour)
		w.revocations.Sweep()
		if err := w.follow.Poll(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := w.revocations.UserEpoch(alice.ID); got != 0 {
			t.Fatalf("the stream still knows the epoch %d: this test has to wait longer", got)
		}
		w.byToken(alice).key("a new one")
		b, _ := w.signedInBrowser(alice, "/api-keys")
		p := b.do(http.MethodPost, w.issuer+"/api-keys", url.Values{"name": {"one by the page"}, "scope:data:read": {"1"}, "days": {"30"}})
		if p.StatusCode != http.StatusCreated || !strings.Contains(p.body, "one by the page") {
			t.Errorf("the page answered %d %s", p.StatusCode, p.brief())
		}
	})
}
