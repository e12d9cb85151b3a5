package main

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// costs demands that what ran since the last call cost no more reads and writes of the store than the budget of docs/performance says.
func (w *world) costs(what string, reads, writes int) {
	w.Helper()
	r, wr := w.store.spent()
	if len(r) > reads || len(wr) > writes {
		w.Errorf("%s cost %d reads %v and %d writes %v, the budget is %d and %d", what, len(r), r, len(wr), wr, reads, writes)
	}
}

// The budget of what a request may cost: round trips to the store, counted where they leave the broker. It is the same on both stores.
func TestBudget(t *testing.T) {
	onBothStores(t, func(t *testing.T, w *world) {
		alice := w.person("alice")
		who, _ := w.somebody()
		w.passwordGrant(alice.Username, w.password)
		w.subject("github", who)
		w.get("/jwks")
		w.store.spent()

		for range 3 {
			w.get("/jwks")
			w.get("/.well-known/openid-configuration")
			w.get("/.well-known/oauth-authorization-server")
		}
		w.costs("JWKS and discovery", 0, 0)

		for range 3 {
			w.clientToken("service", serviceSecret, "scope", "orders:read", "resource", ordersAPI)
		}
		w.costs("client_credentials", 0, 0)

		r := w.passwordGrant(alice.Username, w.password)
		w.costs("the password grant", 2, 5)

		// Limits are reserved and kept.
		w.passwordGrant(alice.Username, "wrong")
		w.costs("a wrong password", 2, 2)

		refreshed := w.post("/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {"cli"}, "refresh_token": {r.str("refresh_token")}})
		if refreshed.StatusCode != http.StatusOK {
			t.Fatal(refreshed.raw)
		}
		w.costs("a cold refresh", 1, 1)
		for range 3 {
			refreshed = w.post("/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {"cli"}, "refresh_token": {refreshed.str("refresh_token")}})
			w.costs("a warm refresh", 0, 1)
		}

		access := refreshed.str("access_token")
		for range 3 {
			introspection(w, access, "service", serviceSecret)
		}
		w.costs("introspecting a JWT three times", 0, 0)
		w.get("/me", "Authorization", "Bearer "+access)
		w.costs("/me", 0, 0)

		a, b := w.app("spa", ""), w.browser()
		code := a.code(b.signInBy(a, "github", who))
		got := a.redeem(code)
		if got.StatusCode != http.StatusOK {
			t.Fatal(got.raw)
		}
		w.costs("authorize, callback, code and token of a known person", 4, 4)

		w.userinfo(got.str("access_token"))
		w.costs("userinfo", 1, 0)

		newcomer, _ := w.somebody()
		b = w.browser()
		w.store.spent()
		got = a.redeem(a.code(b.signInBy(a, "github", newcomer)))
		w.costs("the same for a new person", 4, 7)

		a.code(b.open(a.authorizeURL("prompt", "none")))
		w.costs("a code out of a session", 1, 1)

		second := w.app("web", webSecret)
		second.redeem(second.code(b.open(second.authorizeURL())))
		w.costs("code and token for another app", 1, 2)

		w.post("/revoke", url.Values{"token": {got.str("access_token")}, "client_id": {"spa"}})
		w.costs("revoking an access token", 0, 1)
		// One read: whoever knows the id of a family alone must not be able to end it, and the entry goes before the row.
		w.post("/revoke", url.Values{"token": {got.str("refresh_token")}, "client_id": {"spa"}})
		w.costs("revoking a refresh token", 1, 2)
		if _, err := w.users.RaiseEpoch(t.Context(), alice.ID); err != nil {
			t.Fatal(err)
		}
		w.costs("signing a user out everywhere", 1, 2)
		b.do(http.MethodPost, w.issuer+"/logout", url.Values{})
		w.costs("signing out", 2, 2)
		if got := w.userinfo("x"); got.StatusCode != http.StatusUnauthorized {
			t.Error(got.StatusCode)
		}
		w.browser().open("/callback/github?state=x")
		w.browser().open("/dashboard")
		w.post("/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {"spa"}, "refresh_token": {"x"}})
		w.costs("nonsense", 0, 0)
	})
}

// A session page costs two reads, and slides its row at most once in a twentieth of the idle time.
func TestBudgetOfASessionPage(t *testing.T) {
	w := newWorld(t, "sqlite")
	s := w.signIn("spa", "")
	w.store.spent()
	for range 3 {
		s.open("/dashboard")
	}
	w.costs("three pages", 6, 0)
	w.clock.advance(4 * time.Minute)
	w.poll()
	s.open("/dashboard")
	s.open("/dashboard")
	w.costs("two pages a while later", 5, 1)
}

// BenchmarkTokenRefresh refreshes over HTTP from many chains at once: what they pay together, against one commit a request, which is what
// a single chain pays. The ratio of the two is what the group commit of SQLite is worth.
func BenchmarkTokenRefresh(b *testing.B) {
	for _, chains := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("chains=%d", chains), func(b *testing.B) {
			w := newWorld(b, "sqlite")
			alice := w.person("alice")
			tokens := make([]string, chains)
			for i := range tokens {
				tokens[i] = w.passwordGrant(alice.Username, w.password).str("refresh_token")
			}
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: chains}}
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ResetTimer()
			var wg sync.WaitGroup
			for i := range tokens {
				wg.Go(func() {
					for left.Add(-1) >= 0 {
						status, body := askForm(client, w.issuer+"/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {"cli"}, "refresh_token": {tokens[i]}})
						if status != http.StatusOK {
							b.Errorf("answered %d %s", status, body)
							return
						}
						tokens[i] = between(body, `"refresh_token":"`, `"`)
					}
				})
			}
			wg.Wait()
		})
	}
}

// BenchmarkPasswordOverload asks for the JWKS while 64 people sign in at once, and while nobody does: the pool of hashes must leave the
// side route unhurt.
func BenchmarkPasswordOverload(b *testing.B) {
	for _, crowd := range []int{0, 64} {
		b.Run(fmt.Sprintf("logins=%d", crowd), func(b *testing.B) {
			w := newWorld(b, "sqlite")
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: crowd + 1}}
			stop := make(chan struct{})
			var wg sync.WaitGroup
			var logins, turnedAway atomic.Int64
			people := make([]localUser, crowd)
			for i := range people {
				people[i] = w.person("alice")
			}
			for _, alice := range people {
				wg.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						status, _ := askForm(client, w.issuer+"/token", url.Values{"grant_type": {"password"}, "username": {alice.Username}, "password": {w.password}})
						if status == http.StatusOK {
							logins.Add(1)
						} else {
							turnedAway.Add(1)
							time.Sleep(10 * time.Millisecond)
						}
					}
				})
			}
			took := make([]time.Duration, 0, b.N)
			b.ResetTimer()
			for range b.N {
				began := time.Now()
				resp, err := client.Get(w.issuer + "/jwks")
				if err != nil {
					b.Fatal(err)
				}
				_ = resp.Body.Close()
				took = append(took, time.Since(began))
			}
			b.StopTimer()
			close(stop)
			wg.Wait()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
			if crowd > 0 {
				b.ReportMetric(float64(logins.Load())/b.Elapsed().Seconds(), "logins/s")
			}
		})
	}
}
