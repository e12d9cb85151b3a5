package tokens_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/broker/internal/changes"
	"example.com/broker/internal/fault"
	"example.com/broker/internal/fingerprints"
	"example.com/broker/tokens"
	"example.com/broker/verify"
)

func newFeed(t testing.TB, r *replica, page int) *tokens.Feed {
	t.Helper()
	f, err := tokens.NewFeed(tokens.FeedOptions{Issuer: r.issuer, Revocations: r.revocations, PageBytes: page})
	must(t, err)
	return f
}

// news is an answer of the feed, read without checking it.
type news struct {
	Issuer  string `json:"iss"`
	Issued  int64  `json:"iat"`
	Expires int64  `json:"exp"`
	Replica string `json:"replica"`
	AsOf    int64  `json:"as_of"`
	Age     int64  `json:"age"`
	Since   string `json:"since"`
	Kind    string `json:"kind"`
	Cursor  string `json:"cursor"`
	More    bool   `json:"more"`
	Entries []fingerprints.Group
	raw     []byte
}

func ask(t testing.TB, f *tokens.Feed, since string) news {
	t.Helper()
	raw, err := f.Answer(since)
	must(t, err)
	parts := strings.Split(raw, ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	must(t, err)
	n := news{raw: payload}
	must(t, json.Unmarshal(payload, &n))
	return n
}

// count is how many fingerprints an answer holds.
func (n news) count(t testing.TB) int {
	t.Helper()
	total := 0
	for _, g := range n.Entries {
		list, err := g.Decode()
		must(t, err)
		total += len(list)
	}
	return total
}

func (n news) has(t testing.TB, kind, key string) bool {
	t.Helper()
	for _, g := range n.Entries {
		list, err := g.Decode()
		must(t, err)
		for _, e := range list {
			if g.Kind == kind && e.Fingerprint == fingerprints.Of(kind, key) {
				return true
			}
		}
	}
	return false
}

// revoke revokes tokens by their ids, for as long as one can live.
func (r *replica) revoke(t testing.TB, ids ...string) {
	t.Helper()
	for _, id := range ids {
		must(t, r.grants.RevokeAccess(t.Context(), id, r.now().Add(tokens.DefaultAccessLife)))
	}
}

// TestTheWireFormat holds the payload; docs/revocation.md describes it.
func TestTheWireFormat(t *testing.T) {
	r := solo(t)
	f := newFeed(t, r, 0)
	r.revoke(t, "jti_1", "jti_2")
	must(t, r.follower.Append(t.Context(),
		changes.Entry{Kind: changes.UserVersion, Key: "usr_1", Value: 7, Until: r.now().Add(time.Hour)},
		changes.Entry{Kind: changes.RevokedClient, Key: client, Value: epoch.Unix(), Until: r.now().Add(24 * time.Hour)},
		changes.Entry{Kind: changes.RevokedKey, Key: "kid_1"},
		changes.Entry{Kind: changes.UserEpoch, Key: "usr_1", Value: 7, Until: r.now().Add(time.Hour)},
		changes.Entry{Kind: changes.RevokedAPIKey, Key: "key_1", Until: r.now().Add(time.Hour)}))
	r.advance(250 * time.Millisecond)
	n := ask(t, f, "")
	payload := bytes.ReplaceAll(n.raw, []byte(n.Replica), []byte("REPLICA"))
	var out bytes.Buffer
	must(t, json.Indent(&out, payload, "", "  "))
	golden(t, "feed.json", out.String()+"\n")

	raw, err := f.Answer("")
	must(t, err)
	head, err := base64.RawURLEncoding.DecodeString(strings.Split(raw, ".")[0])
	must(t, err)
	var h map[string]string
	must(t, json.Unmarshal(head, &h))
	if h["typ"] != "revocations+jwt" || h["alg"] != "ES256" || h["kid"] == "" {
		t.Errorf("header %v", h)
	}
	for _, secret := range []string{"jti_", "usr_", "kid_", client + `"`} {
		if bytes.Contains(n.raw, []byte(secret)) {
			t.Errorf("the feed holds %q: %s", secret, n.raw)
		}
	}
}

func TestADeltaIsWhatIsNewHere(t *testing.T) {
	r := solo(t)
	f := newFeed(t, r, 0)
	r.revoke(t, "a")
	first := ask(t, f, "")
	if first.Kind != "snapshot" || !first.has(t, fingerprints.Token, "a") {
		t.Fatalf("without a cursor: %+v", first)
	}
	r.revoke(t, "b")
	r.poll(t) // hands out again what Append handed out: that is no news
	second := ask(t, f, first.Cursor)
	if second.Kind != "delta" || second.count(t) != 1 || !second.has(t, fingerprints.Token, "b") || second.Since != first.Cursor {
		t.Errorf("after one more: %+v", second)
	}
	if third := ask(t, f, second.Cursor); third.Kind != "delta" || third.count(t) != 0 {
		t.Errorf("without news: %+v", third)
	}
	if again := ask(t, f, first.Cursor); again.count(t) != 1 {
		t.Errorf("an answer that was lost cannot be had again: %+v", again)
	}
}

func TestACursorThatSaysNothingGetsASnapshot(t *testing.T) {
	i := install(t)
	r := i.replica(t)
	f := newFeed(t, r, 0)
	r.revoke(t, "a")
	good := ask(t, f, "").Cursor
	at := func(d time.Duration) string { return strconv.FormatInt(r.now().Add(d).UnixMilli(), 10) }
	r.after(t, 6*time.Minute)
	for name, since := range map[string]string{
		"none": "", "not one": "yesterday", "a dot": good + ".", "a position of nobody": at(0) + ".:1", "zero": "0", "negative": "-5",
		"from the future": at(91 * time.Second), "from before this replica": at(-2 * time.Minute), "a position that was not reached yet": strings.Replace(good, ":1", ":9", 1),
		"longer than any": strings.Repeat("1", 600), "a page that there is not": good + "~4-2", "pages without end": good + "~0-64", "half a page": good + "~1",
		"too many replicas": at(0) + strings.Repeat(".x:1", 9), "a number that is none": at(0) + ".x:-1",
	} {
		if n := ask(t, f, since); n.Kind != "snapshot" || !n.has(t, fingerprints.Token, "a") {
			// The future position falls back to its time, which this replica covers.
			if name == "a position that was not reached yet" && n.Kind == "delta" && n.has(t, fingerprints.Token, "a") {
				continue
			}
			t.Errorf("%s (%.40q): a %s of %d", name, since, n.Kind, n.count(t))
		}
	}
	if n := ask(t, f, at(0)); n.Kind != "delta" || n.count(t) != 0 {
		t.Errorf("a plain time is a cursor: %+v", n)
	}
	// A replica that starts now cannot know when the others learned of what it reads.
	late := newFeed(t, i.replica(t), 0)
	if n := ask(t, late, ask(t, f, good).Cursor); n.Kind != "snapshot" || n.count(t) != 1 {
		t.Errorf("a replica that has just started: %+v", n)
	}
}

// TestOneLoadBalancerManyReplicas: a follower that meets another replica at each poll misses nothing, and is told little twice.
func TestOneLoadBalancerManyReplicas(t *testing.T) {
	i := install(t)
	a, b := i.replica(t), i.replica(t)
	feeds := []*tokens.Feed{newFeed(t, a, 0), newFeed(t, b, 0)}
	a.advance(10 * time.Minute)
	known, since, told := map[string]bool{}, "", 0
	for n := range 200 {
		jti := fmt.Sprint("jti_", n)
		[]*replica{a, b}[n%3%2].revoke(t, jti)
		for _, r := range []*replica{a, b} {
			r.poll(t)
		}
		answer := ask(t, feeds[n%2], since)
		if n > 2 && answer.Kind != "delta" {
			t.Fatalf("poll %d: a %s", n, answer.Kind)
		}
		since, told = answer.Cursor, told+answer.count(t)
		for k := range n + 1 {
			if id := fmt.Sprint("jti_", k); answer.has(t, fingerprints.Token, id) {
				known[id] = true
			}
		}
		if !known[jti] {
			t.Fatalf("poll %d: what was revoked before is not told", n)
		}
		a.advance(100 * time.Millisecond)
	}
	if told > 3*200 {
		t.Errorf("%d fingerprints for 200 revocations", told)
	}
}

// TestWhatCommitsLateIsTold: a replica nobody has asked yet is asked by time, and goes back far enough for clocks that differ and entries
// that were committed out of order.
func TestWhatCommitsLateIsTold(t *testing.T) {
	i := install(t)
	a, b := i.replica(t), i.replica(t)
	fa, fb := newFeed(t, a, 0), newFeed(t, b, 0)
	a.after(t, 10*time.Minute)
	b.poll(t)
	b.revoke(t, "late") // a has not heard of it
	a.after(t, 3*time.Minute)
	b.poll(t)
	since := ask(t, fa, "").Cursor
	plain, _, _ := strings.Cut(since, ".") // its time, and nothing of a
	if n := ask(t, fb, plain); n.Kind != "delta" || !n.has(t, fingerprints.Token, "late") {
		t.Errorf("what was revoked three minutes before: %+v", n)
	}
	a.after(t, 10*time.Minute)
	b.poll(t)
	plain, _, _ = strings.Cut(ask(t, fa, "").Cursor, ".")
	if n := ask(t, fb, plain); n.Kind != "delta" || n.count(t) != 0 {
		t.Errorf("what is long known is told again: %+v", n)
	}
}

func TestASnapshotInPages(t *testing.T) {
	i := install(t)
	a, b := i.replica(t), i.replica(t)
	const page = 512 // bytes: 64 fingerprints at most
	fa, fb := newFeed(t, a, page), newFeed(t, b, page)
	var ids []string
	for n := range 400 {
		ids = append(ids, fmt.Sprint("jti_", n))
	}
	must(t, a.follower.Append(t.Context(), changes.Entry{Kind: changes.UserVersion, Key: "usr_1", Value: 4, Until: a.now().Add(time.Hour)}))
	a.revoke(t, ids...)
	a.poll(t)
	b.poll(t)
	for name, feeds := range map[string][]*tokens.Feed{"one replica": {fa}, "two by turns": {fa, fb}} {
		known, pages, since := map[string]bool{}, 0, ""
		collect := func(n news) {
			for _, id := range append(ids, "during", "after") {
				known[id] = known[id] || n.has(t, fingerprints.Token, id)
			}
			known["usr_1"] = known["usr_1"] || n.has(t, fingerprints.User, "usr_1")
			since = n.Cursor
		}
		for {
			n := ask(t, feeds[pages%len(feeds)], since)
			if n.Kind != "snapshot" || n.count(t) > 64 {
				t.Fatalf("%s: page %d is a %s of %d", name, pages, n.Kind, n.count(t))
			}
			collect(n)
			pages++
			if pages == 3 {
				a.revoke(t, "during")
				b.poll(t)
			}
			if !n.More {
				break
			}
		}
		a.revoke(t, "after")
		b.poll(t)
		n := ask(t, feeds[0], since)
		if len(feeds) == 1 && (n.Kind != "delta" || n.count(t) > 2) {
			t.Errorf("%s: afterwards a %s of %d, want what was revoked since the first page", name, n.Kind, n.count(t))
		}
		for collect(n); n.More; collect(n) {
			n = ask(t, feeds[0], since)
		}
		for id, ok := range known {
			if !ok {
				t.Errorf("%s: %s is not told", name, id)
			}
		}
		if pages < 7 {
			t.Errorf("%s: %d pages", name, pages)
		}
		must(t, a.follower.Append(t.Context())) // nothing, so that the next round begins as this one did
	}
}

// TestTheFeedOutlivesTheStore: it says so by as_of.
func TestTheFeedOutlivesTheStore(t *testing.T) {
	r := solo(t)
	f := newFeed(t, r, 0)
	r.revoke(t, "a")
	before := ask(t, f, "")
	r.advance(30 * time.Second)
	after := ask(t, f, "")
	if after.AsOf != before.AsOf || after.Age != before.Age+30_000 || after.Issued != before.Issued+30 || after.Expires <= after.Issued {
		t.Errorf("thirty seconds without the store: %+v, before %+v", after, before)
	}

	unread := changes.New(install(t).stores.Changes, changes.Options{Now: r.now})
	none, err := tokens.NewFeed(tokens.FeedOptions{Issuer: r.issuer, Revocations: tokens.NewRevocations(unread, r.now)})
	must(t, err)
	_, err = none.Answer("")
	wantKind(t, "Answer before the stream was read", fault.Unavailable, err)
	if _, err := tokens.NewFeed(tokens.FeedOptions{Issuer: r.issuer}); err == nil {
		t.Error("a feed without revocations is set up")
	}
}

func TestExpiredEntriesAreNotTold(t *testing.T) {
	r := solo(t)
	f := newFeed(t, r, 0)
	since := ask(t, f, "").Cursor
	r.revoke(t, "a")
	r.after(t, 30*time.Minute)
	for _, cursor := range []string{"", since} {
		if n := ask(t, f, cursor); n.count(t) != 0 {
			t.Errorf("since %q: %d entries after their end", cursor, n.count(t))
		}
	}
	r.revocations.Sweep()
	if check(t, r, &verify.Claims{Subject: "usr_1", ClientID: client, ID: "a"}) != "" {
		t.Error("known after its end")
	}
}

// TestVerifyFollowsTheFeed is both ends of the wire at once.
func TestVerifyFollowsTheFeed(t *testing.T) {
	i := install(t)
	r := i.replica(t)
	f := newFeed(t, r, 256)
	var mu sync.Mutex
	var kinds []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		raw, err := f.Answer(q.URL.Query().Get("since"))
		if err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		mu.Lock()
		kinds = append(kinds, ask(t, f, q.URL.Query().Get("since")).Kind)
		mu.Unlock()
		_, _ = w.Write([]byte(raw))
	}))
	defer server.Close()
	for n := range 100 {
		r.revoke(t, fmt.Sprint("jti_", n))
	}
	api, err := verify.NewFeed(verify.FeedOptions{URL: server.URL, Issuer: issuer, Keys: r.ring, Now: r.now})
	must(t, err)
	must(t, api.Poll(t.Context()))
	if got := api.Stats().Entries; got != 100 {
		t.Errorf("%d entries, want 100", got)
	}
	for _, act := range []struct {
		what string
		do   func() error
	}{
		{"the token", func() error { return r.grants.RevokeAccess(t.Context(), "jti_x", r.now().Add(time.Hour)) }},
		{"the grant", func() error { return r.grants.Kill(t.Context(), "gid_x") }},
		{"the session", func() error {
			return r.follower.Append(t.Context(), changes.Entry{Kind: changes.RevokedSession, Key: "sid_x", Until: r.now().Add(72 * time.Hour)})
		}},
		{"the user", func() error {
			return r.follower.Append(t.Context(), changes.Entry{Kind: changes.UserVersion, Key: "usr_x", Value: 4, Until: r.now().Add(time.Hour)})
		}},
		{"the client", func() error {
			return r.follower.Append(t.Context(), changes.Entry{Kind: changes.RevokedClient, Key: "client_x", Until: r.now().Add(time.Hour)})
		}},
		{"the key, for good", func() error {
			return r.follower.Append(t.Context(), changes.Entry{Kind: changes.RevokedKey, Key: "kid_x"})
		}},
	} {
		c := &verify.Claims{Subject: "usr_1", ClientID: client, ID: "1", Version: 3, IssuedAt: r.now()}
		c.Subject, c.ClientID, c.ID, c.GrantID, c.SessionID, c.KeyID = "usr_x", "client_x", "jti_x", "gid_x", "sid_x", "kid_x"
		only := map[string]func(){
			"the token":   func() { c.Subject, c.ClientID, c.GrantID, c.SessionID, c.KeyID = "u", "c", "g", "s", "k" },
			"the grant":   func() { c.Subject, c.ClientID, c.ID, c.SessionID, c.KeyID = "u", "c", "j", "s", "k" },
			"the session": func() { c.Subject, c.ClientID, c.ID, c.GrantID, c.KeyID = "u", "c", "j", "g", "k" },
			"the user":    func() { c.ClientID, c.ID, c.GrantID, c.SessionID, c.KeyID = "c", "j", "g", "s", "k" },
			"the client":  func() { c.Subject, c.ID, c.GrantID, c.SessionID, c.KeyID = "u", "j", "g", "s", "k" },
		}[act.what]
		if only == nil {
			only = func() { c.Subject, c.ClientID, c.ID, c.GrantID, c.SessionID = "u", "c", "j", "g", "s" }
		}
		only()
		if err := api.Check(t.Context(), c); err != nil {
			t.Errorf("%s: %v before", act.what, err)
		}
		must(t, act.do())
		must(t, api.Poll(t.Context()))
		var e *verify.Error
		if err := api.Check(t.Context(), c); !errors.As(err, &e) || e.Code != verify.CodeInvalidToken {
			t.Errorf("%s: %v after, want invalid_token", act.what, err)
		}
	}
	if got := strings.Join(kinds[len(kinds)-6:], " "); got != strings.TrimSpace(strings.Repeat("delta ", 6)) {
		t.Errorf("the answers were %v", kinds)
	}

	r.advance(changes.MaxStaleness + time.Second) // the store is gone; the feed answers all the same
	must(t, api.Poll(t.Context()))
	var e *verify.Error
	if err := api.Check(t.Context(), &verify.Claims{Subject: "u", ClientID: "c"}); !errors.As(err, &e) || e.Code != verify.CodeUnavailable {
		t.Errorf("%v with old news, want temporarily_unavailable", err)
	}
}

// quietStream keeps nothing: what is appended is handed out here and forgotten.
type quietStream struct{}

func (quietStream) Append(context.Context, ...changes.Entry) error { return nil }
func (quietStream) Read(context.Context, int64, time.Time) ([]changes.Entry, error) {
	return nil, nil
}
func (quietStream) Overlap() (near, far int64) { return 0, 0 }

// million revokes n tokens.
func million(t testing.TB, n int) *tokens.Revocations {
	t.Helper()
	now := func() time.Time { return epoch }
	f := changes.New(quietStream{}, changes.Options{Now: now})
	r := tokens.NewRevocations(f, now)
	must(t, f.Poll(context.Background()))
	for i := range n {
		e := changes.Entry{Kind: changes.RevokedToken, Key: "jti-" + strconv.Itoa(i), Until: epoch.Add(time.Minute + time.Duration(i%900)*time.Second)}
		must(t, f.Append(context.Background(), e))
	}
	return r
}

// TestAMillionRevocationsTake16MB is the goal as it stands, with everything that is kept for the feed: two megabytes of what is recent,
// which is full here, and what a quarter of a million take of the rest.
func TestAMillionRevocationsTake16MB(t *testing.T) {
	heap := func() int64 {
		for range 3 { // pools of other tests are emptied by the second one
			runtime.GC()
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	const n, recent, goal = 250_000, 2 << 20, 16_000_000
	before := heap()
	r := million(t, n)
	used := heap() - before
	if want := int64(recent + (goal-recent)/1_000_000*n); used > want {
		t.Errorf("%d revoked ids take %d bytes, want %d at most", n, used, want)
	}
	t.Logf("%.1f MB, which makes %.1f MB for a million", float64(used)/1e6, float64(used-recent)*1_000_000/n/1e6+float64(recent)/1e6)
	runtime.KeepAlive(r)
}

func BenchmarkRevocationsCheck(b *testing.B) {
	for _, n := range []int{0, 1_000, 1_000_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			r := million(b, n)
			c := claims()
			b.ReportAllocs()
			for b.Loop() {
				if r.Check(b.Context(), c) != nil {
					b.Fatal("refused")
				}
			}
		})
	}
}

func BenchmarkFeedAnswer(b *testing.B) {
	rig := solo(b)
	for _, n := range []int{0, 1_000, 1_000_000} {
		f, err := tokens.NewFeed(tokens.FeedOptions{Issuer: rig.issuer, Revocations: million(b, n)})
		must(b, err)
		for name, since := range map[string]string{"delta": ask(b, f, "").Cursor, "page": ""} {
			if name == "delta" && n == 1_000_000 {
				continue // its cursor is in the middle of a snapshot
			}
			b.Run(fmt.Sprint(name, "-", n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					raw, err := f.Answer(since)
					must(b, err)
					b.ReportMetric(float64(len(raw)), "bytes")
				}
			})
		}
	}
}
