package verify_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/broker/internal/fingerprints"
	"example.com/broker/verify"
)

const feedURL = "https://broker.example/auth/revocations"

// feeder is a broker's feed, in memory: it answers with what a test put up, or as the test says.
type feeder struct {
	signer signer
	now    func() time.Time

	mu       sync.Mutex
	head     members // changes to the header
	claims   members // changes to the claims
	groups   []fingerprints.Group
	answer   func(*http.Request) *http.Response // instead, if it returns any
	requests []*http.Request
	forms    []string
}

func newFeeder(now func() time.Time) *feeder { return &feeder{signer: ecSigner("ec-1", 1), now: now} }

func (s *feeder) set(claims members, groups ...fingerprints.Group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claims, s.groups = claims, groups
}

func (s *feeder) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests)
}

// RoundTrip implements http.RoundTripper.
func (s *feeder) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	form, _ := io.ReadAll(r.Body)
	s.requests, s.forms = append(s.requests, r), append(s.forms, string(form))
	if s.answer != nil {
		if resp := s.answer(r); resp != nil {
			return resp, nil
		}
	}
	now := s.now()
	claims := members{
		"iss": issuer, "iat": now.Unix(), "exp": now.Unix() + 30, "replica": "A", "as_of": now.UnixMilli() - 200, "age": 200,
		"since": r.URL.Query().Get("since"), "kind": "snapshot", "cursor": fmt.Sprint("c", len(s.requests)), "entries": append([]fingerprints.Group{}, s.groups...),
	}.with(s.claims)
	head := members{"alg": s.signer.method.Alg(), "typ": "revocations+jwt", "kid": s.signer.kid}.with(s.head)
	return reply(http.StatusOK, s.signer.compact(quiet{}, head.text(quiet{}), claims.text(quiet{}))), nil
}

// quiet is a testing.TB for helpers that cannot fail here.
type quiet struct{ testing.TB }

func (quiet) Helper() {}

func reply(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
}

// follow returns a feed that follows s.
func (s *feeder) follow(tb testing.TB, change func(*verify.FeedOptions)) *verify.Feed {
	tb.Helper()
	o := verify.FeedOptions{URL: feedURL, Issuer: issuer, Keys: staticKeys(tb, s.signer), Client: &http.Client{Transport: s}, Now: s.now}
	if change != nil {
		change(&o)
	}
	f, err := verify.NewFeed(o)
	if err != nil {
		tb.Fatalf("new feed: %v", err)
	}
	return f
}

func poll(tb testing.TB, f *verify.Feed) {
	tb.Helper()
	if err := f.Poll(tb.Context()); err != nil {
		tb.Fatalf("poll: %v", err)
	}
}

// group is a group of the feed, of keys that end in an hour.
func group(kind string, number uint32, keys ...string) fingerprints.Group {
	var g fingerprints.Groups
	for _, k := range keys {
		g.Add(kind, fingerprints.Entry{Fingerprint: fingerprints.Of(kind, k), Number: number, End: epoch.Unix() + 3600})
	}
	return g.Encode()[0]
}

func feedClaims() *verify.Claims {
	return &verify.Claims{Subject: "usr_1", ClientID: "spa", ID: "jti_1", GrantID: "gid_1", SessionID: "sid_1", KeyID: "kid_1", Version: 3, IssuedAt: epoch}
}

// codeOf is the code of a check, "" for a token that is good.
func codeOf(tb testing.TB, ctx context.Context, f *verify.Feed, c *verify.Claims) string {
	tb.Helper()
	err := f.Check(ctx, c)
	if err == nil {
		return ""
	}
	var e *verify.Error
	if !errors.As(err, &e) {
		tb.Fatalf("got %v, want a *verify.Error", err)
	}
	return e.Code
}

func TestWhatTheFeedSaysIsRefused(t *testing.T) {
	tests := []struct {
		rule  string
		group fingerprints.Group
		want  string
	}{
		{"the token", group(fingerprints.Token, 0, "jti_0", "jti_1"), verify.CodeInvalidToken},
		{"the grant", group(fingerprints.Grant, 0, "gid_1"), verify.CodeInvalidToken},
		{"the session", group(fingerprints.Session, 0, "sid_1"), verify.CodeInvalidToken},
		{"the signing key", group(fingerprints.Key, 0, "kid_1"), verify.CodeInvalidToken},
		{"the client, whenever issued", group(fingerprints.Client, 0, "spa"), verify.CodeInvalidToken},
		{"the client, up to this token", group(fingerprints.Client, uint32(epoch.Unix()), "spa"), verify.CodeInvalidToken},
		{"the client, before this token", group(fingerprints.Client, uint32(epoch.Unix()-1), "spa"), ""},
		{"a later counter of the user", group(fingerprints.User, 4, "usr_1"), verify.CodeInvalidToken},
		{"the counter of the token", group(fingerprints.User, 3, "usr_1"), ""},
		{"another token", group(fingerprints.Token, 0, "jti_2"), ""},
		{"another kind under the same key", group(fingerprints.Grant, 0, "jti_1"), ""},
		{"a user of the client's name", group(fingerprints.User, 9, "spa"), ""},
		{"a kind of a later version", fingerprints.Group{Kind: "planet", IDs: "AAAA"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			s := newFeeder(frozen)
			f := s.follow(t, nil)
			s.set(nil, tt.group)
			poll(t, f)
			if got := codeOf(t, t.Context(), f, feedClaims()); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			s.set(nil) // a snapshot takes nothing back
			poll(t, f)
			if got := codeOf(t, t.Context(), f, feedClaims()); got != tt.want {
				t.Errorf("after an empty snapshot: got %q, want %q", got, tt.want)
			}
		})
	}
	t.Run("a client that acts for itself has no counter", func(t *testing.T) {
		s := newFeeder(frozen)
		f := s.follow(t, nil)
		s.set(nil, group(fingerprints.User, 9, "spa"))
		poll(t, f)
		c := feedClaims()
		c.Subject, c.Version = c.ClientID, 0
		if got := codeOf(t, t.Context(), f, c); got != "" {
			t.Errorf("got %q", got)
		}
	})
}

func TestEntriesLeaveByThemselves(t *testing.T) {
	clock := newClock()
	s := newFeeder(clock.Now)
	f := s.follow(t, nil)
	s.set(nil, group(fingerprints.Token, 0, "jti_1"), group(fingerprints.User, 4, "usr_1"))
	poll(t, f)
	if got := f.Stats().Entries; got != 2 {
		t.Fatalf("%d entries, want 2", got)
	}
	s.set(nil)
	clock.Advance(time.Hour)
	poll(t, f)
	if got := f.Stats().Entries; got != 0 {
		t.Errorf("%d entries after their end, want none", got)
	}
}

// TestAnAnswerThatIsNotRightIsRefused: what is known stays, and the news is no younger.
func TestAnAnswerThatIsNotRightIsRefused(t *testing.T) {
	other := ecSigner("ec-1", 2)
	tests := []struct {
		rule, want   string
		head, claims members
		signer       *signer
		answer       func(*http.Request) *http.Response
	}{
		{rule: "an access token", head: members{"typ": "at+jwt"}, want: "token type"},
		{rule: "no type", head: members{"typ": nil}, want: "token type"},
		{rule: "no algorithm", head: members{"alg": "none"}, want: "algorithm"},
		{rule: "another algorithm than the key's", head: members{"alg": "RS256"}, want: "has no key"},
		{rule: "a key nobody knows", head: members{"kid": "ec-9"}, want: "no key"},
		{rule: "a signature of another key", signer: &other, want: "signature"},
		{rule: "another issuer", claims: members{"iss": issuer + "/"}, want: "issuer"},
		{rule: "expired", claims: members{"iat": epoch.Unix() - 61, "exp": epoch.Unix() - 30}, want: "expired"},
		{rule: "never expires", claims: members{"exp": nil}, want: "expired"},
		{rule: "from the future", claims: members{"iat": epoch.Unix() + 31, "exp": epoch.Unix() + 60}, want: "future"},
		{rule: "good for a day", claims: members{"exp": epoch.Unix() + 86400}, want: "good for"},
		{rule: "to another question", claims: members{"since": "c0"}, want: "another question"},
		{rule: "a delta that does not end", claims: members{"kind": "delta", "more": true}, want: "not asked for"},
		{rule: "of another kind", claims: members{"kind": "all"}, want: "not asked for"},
		{rule: "without a cursor", claims: members{"cursor": nil}, want: "cursor"},
		{rule: "without a replica", claims: members{"replica": ""}, want: "replica"},
		{rule: "older than the one before", claims: members{"as_of": epoch.UnixMilli() - 201}, want: "older than an earlier one"},
		{rule: "without a time", claims: members{"as_of": 0}, want: "cannot be"},
		{rule: "younger than it is", claims: members{"age": -1}, want: "cannot be"},
		{rule: "half a fingerprint", claims: members{"entries": []members{{"kind": "jti", "ids": "AAAA"}}}, want: "fingerprints"},
		{rule: "entries that are none", claims: members{"entries": "x"}, want: "cannot be read"},
		{rule: "not a token", answer: func(*http.Request) *http.Response { return reply(200, "{}") }, want: "parts"},
		{rule: "a redirect", answer: func(*http.Request) *http.Response {
			r := reply(302, "")
			r.Header.Set("Location", "https://elsewhere.example/")
			return r
		}, want: "302"},
		{rule: "too long", answer: func(*http.Request) *http.Response { return reply(200, strings.Repeat("a", 6<<20+1)) }, want: "more than"},
		{rule: "wrong credentials", answer: func(*http.Request) *http.Response { return reply(401, "") }, want: "give ClientID and ClientSecret"},
		{rule: "a fault", answer: func(*http.Request) *http.Response { return reply(500, "") }, want: "500"},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			clock := newClock()
			s := newFeeder(clock.Now)
			f := s.follow(t, nil)
			s.set(nil, group(fingerprints.Token, 0, "jti_1"))
			poll(t, f)
			s.set(tt.claims)
			s.head, s.answer = tt.head, tt.answer
			if tt.signer != nil {
				s.signer = *tt.signer
			}
			asOf, asked := f.AsOf(), s.asked()
			err := f.Poll(t.Context())
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one with %q", err, tt.want)
			}
			if s.asked() != asked+1 {
				t.Errorf("%d requests, want one", s.asked()-asked)
			}
			if !f.AsOf().Equal(asOf) || codeOf(t, t.Context(), f, feedClaims()) != verify.CodeInvalidToken {
				t.Errorf("as of %v, was %v; check says %q", f.AsOf(), asOf, codeOf(t, t.Context(), f, feedClaims()))
			}
			if got := f.Stats(); got.Polls != 2 || got.Failures != 1 {
				t.Errorf("got %+v, want two polls and a failure", got)
			}
		})
	}
	t.Run("a delta at the start", func(t *testing.T) {
		s := newFeeder(frozen)
		f := s.follow(t, nil)
		s.set(members{"kind": "delta"})
		if err := f.Poll(t.Context()); err == nil || f.Lag() < 1<<62 {
			t.Errorf("got error %v and a lag of %v: what was revoked before is unknown", err, f.Lag())
		}
	})
	t.Run("signed by a key that was revoked", func(t *testing.T) {
		s := newFeeder(frozen)
		f := s.follow(t, nil)
		s.set(nil, group(fingerprints.Key, 0, s.signer.kid))
		poll(t, f)
		if err := f.Poll(t.Context()); err == nil || !strings.Contains(err.Error(), "was revoked") {
			t.Errorf("got error %v", err)
		}
	})
}

// TestAge: the broker's clock is compared with itself only, and what is sent again is no younger.
func TestAge(t *testing.T) {
	clock := newClock()
	s := newFeeder(clock.Now)
	f := s.follow(t, nil)
	if f.Lag() < 1<<62 || !f.AsOf().IsZero() {
		t.Errorf("before the first poll: lag %v, as of %v", f.Lag(), f.AsOf())
	}
	ahead := 25 * time.Second // of the broker's clock
	at := func(asOf, age time.Duration) members {
		return members{"as_of": epoch.Add(ahead + asOf).UnixMilli(), "age": age.Milliseconds(), "iat": epoch.Add(ahead).Unix(), "exp": epoch.Add(ahead).Unix() + 30}
	}
	want := func(rule string, lag time.Duration) {
		t.Helper()
		if got := f.Lag(); got != lag {
			t.Errorf("%s: lag %v, want %v", rule, got, lag)
		}
	}
	s.set(at(0, 300*time.Millisecond))
	poll(t, f)
	want("after a poll", 300*time.Millisecond)
	clock.Advance(4 * time.Second)
	poll(t, f)
	want("after the same answer once more", 4300*time.Millisecond)
	s.set(at(2*time.Second, 2*time.Second))
	poll(t, f)
	want("after a replica that is behind", 2*time.Second)
	s.set(at(time.Second, 0).with(members{"replica": "B"}))
	poll(t, f)
	want("after another replica, whose clock is behind", 0)
	s.set(at(3*time.Second, time.Hour))
	poll(t, f)
	want("after a replica that lost the store", 0) // what was known stays known
}

func TestPagesOfASnapshot(t *testing.T) {
	clock := newClock()
	s := newFeeder(clock.Now)
	pages := 0
	broken := false
	s.answer = func(r *http.Request) *http.Response {
		pages++
		if pages == 3 && !broken {
			broken = true
			pages--
			return reply(502, "")
		}
		s.claims = members{"more": pages < 4, "as_of": epoch.UnixMilli() + int64(pages), "age": pages, "cursor": fmt.Sprint("page", pages)}
		s.groups = []fingerprints.Group{group(fingerprints.Token, 0, fmt.Sprint("jti_", pages))}
		return nil
	}
	f := s.follow(t, nil)
	if err := f.Poll(t.Context()); err == nil {
		t.Fatal("the third page is missing and the poll succeeds")
	}
	if !f.AsOf().IsZero() {
		t.Error("half a snapshot counts as one")
	}
	poll(t, f)
	if pages != 4 || s.requests[3].URL.Query().Get("since") != "page2" {
		t.Errorf("%d pages, the fourth request asks since %q; want it to go on after the second", pages, s.requests[3].URL.Query().Get("since"))
	}
	if got := f.Stats().Entries; got != 4 {
		t.Errorf("%d entries, want 4", got)
	}
	if got := f.Lag(); got != 4*time.Millisecond {
		t.Errorf("a lag of %v, want that of the oldest page", got)
	}
}

func TestCredentials(t *testing.T) {
	s := newFeeder(frozen)
	f := s.follow(t, func(o *verify.FeedOptions) { o.ClientID, o.ClientSecret = "orders api", "s:%+é" })
	poll(t, f)
	id, secret, _ := s.requests[0].BasicAuth()
	if id != "orders+api" || secret != "s%3A%25%2B%C3%A9" {
		t.Errorf("Basic %q %q, want both form-urlencoded (RFC 6749 section 2.3.1)", id, secret)
	}
	s.set(members{"since": ""})
	f = s.follow(t, func(o *verify.FeedOptions) { o.ClientID, o.ClientSecret, o.SecretInForm = "orders", "secret", true })
	poll(t, f)
	if s.requests[1].Method != http.MethodPost || s.forms[1] != "client_id=orders&client_secret=secret" || s.requests[1].Header.Get("Authorization") != "" {
		t.Errorf("%s with the form %q and the header %q", s.requests[1].Method, s.forms[1], s.requests[1].Header.Get("Authorization"))
	}
	s.set(nil)
	f = s.follow(t, nil)
	poll(t, f)
	if s.requests[2].Header.Get("Authorization") != "" {
		t.Error("credentials without a client")
	}
}

func TestFeedOptionsAreChecked(t *testing.T) {
	s := newFeeder(frozen)
	good := verify.FeedOptions{URL: feedURL, Issuer: issuer, Keys: staticKeys(t, s.signer)}
	for rule, change := range map[string]func(*verify.FeedOptions){
		"no address":                   func(o *verify.FeedOptions) { o.URL = "" },
		"plain http":                   func(o *verify.FeedOptions) { o.URL = "http://broker.example/revocations" },
		"no issuer":                    func(o *verify.FeedOptions) { o.Issuer = "" },
		"no keys":                      func(o *verify.FeedOptions) { o.Keys = nil },
		"an id without a secret":       func(o *verify.FeedOptions) { o.ClientID = "orders" },
		"a secret without an id":       func(o *verify.FeedOptions) { o.ClientSecret = "secret" },
		"stale before the next poll":   func(o *verify.FeedOptions) { o.Interval = 6 * time.Second },
		"stale at once, on a busy day": func(o *verify.FeedOptions) { o.MaxStaleness = time.Second },
	} {
		o := good
		change(&o)
		if _, err := verify.NewFeed(o); err == nil {
			t.Errorf("%s: accepted", rule)
		}
	}
	for rule, change := range map[string]func(*verify.FeedOptions){
		"as it is":                  func(*verify.FeedOptions) {},
		"loopback":                  func(o *verify.FeedOptions) { o.URL = "http://127.0.0.1:8080/revocations" },
		"plain http, said out loud": func(o *verify.FeedOptions) { o.URL, o.InsecureHTTP = "http://broker:8080/revocations", true },
	} {
		o := good
		change(&o)
		if _, err := verify.NewFeed(o); err != nil {
			t.Errorf("%s: %v", rule, err)
		}
	}
}

// followingAPI is an API with a route that takes old news and one that does not.
func followingAPI(tb testing.TB, s *feeder, f *verify.Feed, now func() time.Time) http.Handler {
	tb.Helper()
	v := newVerifier(tb, func(c *verify.Config) { c.Keys, c.Revocations, c.Now = staticKeys(tb, s.signer), f, now })
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	mux := http.NewServeMux()
	mux.Handle("/strict", v.Middleware(ok))
	mux.Handle("/lenient", verify.AllowStale(time.Minute)(v.Middleware(ok)))
	return mux
}

func getFrom(tb testing.TB, h http.Handler, path, token string) *httptest.ResponseRecorder {
	tb.Helper()
	r := httptest.NewRequestWithContext(tb.Context(), http.MethodGet, path, http.NoBody)
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestAStaleFeedIsA503ButWhereARouteTakesOldNews(t *testing.T) {
	clock := newClock()
	s := newFeeder(clock.Now)
	var log bytes.Buffer
	f := s.follow(t, func(o *verify.FeedOptions) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	h := followingAPI(t, s, f, clock.Now)
	good, bad := s.signer.token(t, nil, nil), s.signer.token(t, nil, members{"jti": "jti_bad"})
	want := func(rule, path, token string, status int) {
		t.Helper()
		w := getFrom(t, h, path, token)
		if w.Code != status {
			t.Errorf("%s: %s answers %d, want %d: %s", rule, path, w.Code, status, w.Body)
		}
		if status == http.StatusServiceUnavailable && (w.Header().Get("Retry-After") == "" || w.Header().Get("WWW-Authenticate") != "") {
			t.Errorf("%s: %s answers Retry-After %q, challenge %q", rule, path, w.Header().Get("Retry-After"), w.Header().Get("WWW-Authenticate"))
		}
	}
	for _, path := range []string{"/strict", "/lenient"} {
		want("before the first poll", path, good, 503)
	}
	s.set(members{"age": 0}, group(fingerprints.Token, 0, "jti_bad"))
	poll(t, f)
	for _, path := range []string{"/strict", "/lenient"} {
		want("fresh", path, good, 200)
		want("fresh", path, bad, 401)
	}
	clock.Advance(10 * time.Second)
	want("just fresh", "/strict", good, 200)
	clock.Advance(time.Millisecond)
	want("stale", "/strict", good, 503)
	want("stale", "/strict", bad, 503)
	for range 3 {
		want("stale", "/lenient", good, 200)
	}
	want("stale", "/lenient", bad, 401)
	if got := f.Stats().StalePasses; got != 3 {
		t.Errorf("%d stale passes, want 3", got)
	}
	if got := strings.Count(log.String(), "stale"); got != 1 {
		t.Errorf("logged %d times within an interval:\n%s", got, &log)
	}
	clock.Advance(time.Second)
	want("stale", "/lenient", good, 200)
	if got := strings.Count(log.String(), "stale"); got != 2 || !strings.Contains(log.String(), "so_far=4") {
		t.Errorf("logged %d times after an interval:\n%s", got, &log)
	}
	clock.Advance(49 * time.Second)
	want("stale for longer than the route allows", "/lenient", good, 503)
	clock.Advance(-75 * time.Second)
	want("the clock was set back", "/lenient", good, 503)
	clock.Advance(75 * time.Second)
	poll(t, f)
	want("fresh again", "/strict", good, 200)
	want("fresh again", "/strict", bad, 401)
}

func TestAllowStaleNeedsALimit(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a route that would take news of any age is set up")
		}
	}()
	verify.AllowStale(0)
}

func TestFeedRunPollsEverySecondAndLogsATroubleOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := newFeeder(time.Now)
		f := s.follow(t, func(o *verify.FeedOptions) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- f.Run(ctx) }()
		time.Sleep(time.Minute)
		if n := s.asked(); n < 60 || n > 80 {
			t.Errorf("%d polls in a minute, want 60 to 80", n)
		}
		if f.Lag() > 1200*time.Millisecond {
			t.Errorf("a lag of %v", f.Lag())
		}
		s.mu.Lock()
		s.answer = func(*http.Request) *http.Response { return reply(503, "") }
		s.mu.Unlock()
		time.Sleep(20 * time.Second)
		if got := codeOf(t, t.Context(), f, feedClaims()); got != verify.CodeUnavailable {
			t.Errorf("after twenty seconds without news: %q", got)
		}
		s.mu.Lock()
		s.answer = nil
		s.mu.Unlock()
		time.Sleep(2 * time.Second)
		if got := codeOf(t, t.Context(), f, feedClaims()); got != "" {
			t.Errorf("two seconds after the broker is back: %q", got)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run = %v, want the error of the context", err)
		}
		if got := strings.Count(log.String(), "\n"); got != 2 {
			t.Errorf("%d lines logged, want one for the trouble and one for its end:\n%s", got, &log)
		}
	})
}

// TestMemoryOfTheFeed holds the goal of 16 MB for a million ids at the follower too; a quarter of a million shows it.
func TestMemoryOfTheFeed(t *testing.T) {
	const n, page = 250_000, 50_000
	s := newFeeder(frozen)
	f := s.follow(t, nil)
	ids := make([]byte, 8*page)
	seed := uint64(1)
	before := heap()
	for i := range n / page {
		for k := range page {
			seed = seed*6364136223846793005 + 1442695040888963407
			binary.BigEndian.PutUint64(ids[8*k:], seed)
		}
		s.set(members{"as_of": epoch.UnixMilli() + int64(i)}, fingerprints.Group{Kind: fingerprints.Token, End: epoch.Unix() + 900, IDs: b64(ids)})
		poll(t, f)
	}
	s.set(nil)
	s.requests, s.forms = nil, nil
	used := int64(heap()) - int64(before)
	if got := f.Stats().Entries; got != n {
		t.Errorf("%d entries, want %d", got, n)
	}
	if used > 16*n {
		t.Errorf("%d entries take %d bytes, want %d at most", n, used, 16*n)
	}
	t.Logf("%.1f bytes each", float64(used)/n)
	runtime.KeepAlive(f)
}

func heap() uint64 {
	for range 3 { // pools of other tests are emptied by the second one
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkFeedCheck is what following the feed adds to a request, whatever was revoked.
func BenchmarkFeedCheck(b *testing.B) {
	for _, n := range []int{0, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := newFeeder(frozen)
			f := s.follow(b, nil)
			for range max(1, n/200_000) {
				var groups []fingerprints.Group
				if n > 0 {
					ids := make([]byte, 200_000*8)
					for i := range 200_000 {
						binary.BigEndian.PutUint64(ids[8*i:], fingerprints.Of("x", fmt.Sprint(s.asked(), i)))
					}
					groups = []fingerprints.Group{
						{Kind: fingerprints.Token, End: epoch.Unix() + 900, IDs: b64(ids)},
						group(fingerprints.Grant, 0, "g"), group(fingerprints.Session, 0, "s"),
						group(fingerprints.User, 1, "u"), group(fingerprints.Client, 1, "c"),
					}
				}
				s.set(members{"as_of": epoch.UnixMilli() + int64(s.asked())}, groups...)
				poll(b, f)
			}
			c := feedClaims()
			b.ReportAllocs()
			for b.Loop() {
				if f.Check(b.Context(), c) != nil {
					b.Fatal("refused")
				}
			}
		})
	}
}
