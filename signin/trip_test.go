package signin_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/broker/internal/fault"
	"example.com/broker/internal/secret"
	"example.com/broker/signin"
	"example.com/broker/users"
)

// browser is the id of the browser a trip began in.
const browser = "AAAAAAAAAAAAAAAAAAAAAA"

func keyed(t testing.TB, fill byte) *secret.Sealer {
	t.Helper()
	s, err := secret.NewSealer(bytes.Repeat([]byte{fill}, secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sealer is one whose clock the test moves.
func sealer(t testing.TB, at *time.Time) *signin.Sealer {
	t.Helper()
	return signin.NewSealer(keyed(t, 1), func() time.Time { return *at })
}

// full is a trip in which every field has a value.
func full() signin.Trip {
	age := 0
	t := signin.New(signin.SignIn, now)
	t.ClientID = "demo-spa"
	t.Back, t.Shown = "/sessions", "usr_1"
	t.Request = signin.Request{
		RedirectURI: "https://app.example/cb?a=1&b=<2>", Scope: "openid email", State: "s ä \" \\ \u2028", HasState: true, Nonce: "n", Challenge: strings.Repeat("c", 43),
		ResponseMode: "form_post", Resources: []string{"orders", "stock"}, Claims: `{"id_token":{"sub":null}}`,
	}
	t.Needs = signin.Needs{None: true, Login: true, Select: true, Consent: true, MaxAge: &age, Subject: "usr_1"}
	t.Hints = signin.Hints{Login: "jo@x.org", Provider: "github", UILocales: "de en", Display: "page", ACRValues: "1"}
	t.Pending = &signin.Pending{
		UserID: "usr_2", Identity: users.Identity{Provider: "github", Namespace: "https://github.com", Subject: "583231", Email: "jo@x.org", EmailVerified: true, Handle: "jo", Name: "Jo"},
		Ways: []string{"google", "password"}, Proven: true, AMR: []string{"fed"},
	}
	return t
}

func TestATripComesBackWhole(t *testing.T) {
	at := now
	s := sealer(t, &at)
	for name, trip := range map[string]signin.Trip{"full": full(), "bare": signin.New(signin.Link, now)} {
		got, err := s.Open(s.Seal(trip, browser), browser)
		if diff := cmp.Diff(trip, got); diff != "" || err != nil {
			t.Errorf("%s: error %v (-want +got):\n%s", name, err, diff)
		}
	}
	if a, b := signin.New(signin.SignIn, now), signin.New(signin.SignIn, now); a.ID == b.ID || len(a.ID) != 16 {
		t.Errorf("two trips have the ids %q and %q", a.ID, b.ID)
	}
}

func TestOpenRefuses(t *testing.T) {
	at := now
	s := sealer(t, &at)
	tx := s.Seal(full(), browser)
	other := signin.NewSealer(keyed(t, 2), func() time.Time { return at }).Seal(full(), browser)
	for _, row := range []struct {
		rule, tx, browser string
		after             time.Duration
		code              string
	}{
		{"a trip within its lifetime", tx, browser, signin.Lifetime, ""},
		{"a trip a moment ahead, by the clock of another replica", tx, browser, -2 * time.Minute, ""},
		{"a trip that took too long", tx, browser, signin.Lifetime + time.Second, "tx_expired"},
		{"a trip that took a day", tx, browser, 24 * time.Hour, "tx_expired"},
		{"a trip from the future", tx, browser, -2*time.Minute - time.Second, "tx_expired"},
		{"another browser", tx, "BBBBBBBBBBBBBBBBBBBBBB", 0, "tx_browser_mismatch"},
		{"a browser without its cookie", tx, "", 0, "tx_browser_mismatch"},
		{"a trip sealed for no browser", s.Seal(full(), ""), "", 0, "tx_browser_mismatch"},
		{"another installation's key", other, browser, 0, "tx_expired"},
		{"the right key, another purpose", keyed(t, 1).Seal("upstream-flow", signin.Pack(full())), browser, 0, "tx_expired"},
		{"sealed by us, but no trip", keyed(t, 1).Seal("signin-trip", []byte("x")), browser, 0, "tx_expired"},
		{"sealed by us, but empty", keyed(t, 1).Seal("signin-trip", signin.Pack(struct{}{})), browser, 0, "tx_expired"},
		{"nothing", "", browser, 0, "tx_expired"},
		{"garbage", "%%%", browser, 0, "tx_expired"},
		{"half", tx[:len(tx)/2], browser, 0, "tx_expired"},
		{"a character more", tx + "A", browser, 0, "tx_expired"},
		{"twice", tx + tx, browser, 0, "tx_expired"},
	} {
		t.Run(row.rule, func(t *testing.T) {
			at = now.Add(row.after)
			got, err := s.Open(row.tx, row.browser)
			if row.code == "" {
				if err != nil || got.ClientID != "demo-spa" {
					t.Errorf("Open = %v, %v", got, err)
				}
				return
			}
			if fault.KindOf(err) != fault.Invalid || fault.CodeOf(err) != row.code {
				t.Errorf("Open: %v, want %s", err, row.code)
			}
			if diff := cmp.Diff(signin.Trip{}, got); diff != "" {
				t.Errorf("a refused trip is handed out:\n%s", diff)
			}
		})
	}
}

func TestOpenRefusesEveryChangedByte(t *testing.T) {
	at := now
	s := sealer(t, &at)
	tx := s.Seal(full(), browser)
	raw, err := base64.RawURLEncoding.DecodeString(tx)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		forged := bytes.Clone(raw)
		forged[i] ^= 0x10
		if _, err := s.Open(base64.RawURLEncoding.EncodeToString(forged), browser); fault.CodeOf(err) != "tx_expired" {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
}

// flow has the shape of the largest thing a trip travels in: the cookie of callback, beside what that adds.
type flow struct {
	State    string      `json:"s"`
	Provider string      `json:"p"`
	Issuer   string      `json:"i"`
	Nonce    string      `json:"n"`
	Verifier string      `json:"v"`
	Trip     signin.Trip `json:"t"`
	By       string      `json:"b,omitempty"`
	Until    time.Time   `json:"u"`
}

// TestTheLargestRequestFitsItsCookie: a state of 512 and a nonce of 256 bytes are promised to apps, and proxies cap what a browser sends,
// so that a flow has 2048 bytes. Random text is the worst case of deflate.
func TestTheLargestRequestFitsItsCookie(t *testing.T) {
	const limit = 2048
	random := func(n int) string { return secret.New(n).Reveal()[:n] }
	printable := func(n int) string {
		var b strings.Builder
		for _, c := range []byte(secret.New(n).Reveal() + secret.New(n).Reveal()) {
			// Each pair of characters of 6 bits picks one of all 95 printable ones, quotes and backslashes too.
			b.WriteByte(' ' + byte((int(c)*7+b.Len()*13)%95))
		}
		return b.String()[:n]
	}
	for _, row := range []struct {
		rule string
		text func(int) string
		more func(*signin.Trip)
	}{
		{"base64url state and nonce", random, func(*signin.Trip) {}},
		{"every printable character", printable, func(*signin.Trip) {}},
		{"a usual request around it", random, func(t *signin.Trip) {
			age := 300
			t.Needs = signin.Needs{Login: true, MaxAge: &age, Subject: "usr_" + random(36)}
			t.Hints = signin.Hints{Login: "some.body@a-company.example", Provider: "google", UILocales: "de-AT de en"}
			t.Request.Scope, t.Request.Resources = "openid profile email offline_access orders:read orders:write", []string{"orders"}
			t.Request.ResponseMode = "form_post"
		}},
		{"an identity that waits for proof", random, func(t *signin.Trip) {
			t.Pending = &signin.Pending{
				UserID: "usr_" + random(36), Ways: []string{"google", "password"}, AMR: []string{"fed"},
				Identity: users.Identity{
					Provider: "company", Namespace: "https://login.company.example/" + random(36) + "/v2.0", Subject: random(43), Email: random(24) + "@company.example",
					EmailVerified: true, Handle: random(24), Name: random(30), Picture: "https://avatars.company.example/u/" + random(40),
				},
			}
		}},
	} {
		t.Run(row.rule, func(t *testing.T) {
			trip := signin.New(signin.SignIn, now)
			trip.ClientID = "demo-spa"
			trip.Request = signin.Request{
				RedirectURI: "https://app.example/" + random(180), Scope: "openid profile email", State: row.text(512), HasState: true, Nonce: row.text(256), Challenge: random(43),
			}
			row.more(&trip)
			f := flow{
				State: random(43), Provider: "company", Issuer: "https://login.company.example/" + random(36), Nonce: random(22), Verifier: random(43), Trip: trip,
				Until: now.Add(10 * time.Minute),
			}
			got := len(keyed(t, 1).Seal("upstream-flow", signin.Pack(f)))
			t.Logf("%d bytes of %d", got, limit)
			if got > limit {
				t.Errorf("the sealed flow has %d bytes, at most %d fit", got, limit)
			}
			at := now
			if tx := sealer(t, &at).Seal(trip, browser); len(tx) > limit {
				t.Errorf("the parameter tx has %d bytes, at most %d fit", len(tx), limit)
			}
		})
	}
}

func TestPackIsCompactAndComesBack(t *testing.T) {
	in := full()
	packed := signin.Pack(in)
	var out signin.Trip
	if err := signin.Unpack(packed, &out); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(in, out); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	plain, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if len(packed) >= len(plain) {
		t.Errorf("packed to %d bytes, as JSON it has %d", len(packed), len(plain))
	}
	if first, second := signin.Pack(in), signin.Pack(in); !bytes.Equal(first, second) {
		t.Error("a deflater that was used before packs otherwise")
	}
}

func TestUnpackIsBounded(t *testing.T) {
	bomb := signin.Pack(strings.Repeat("a", 10<<20))
	var out string
	if err := signin.Unpack(bomb, &out); err == nil {
		t.Errorf("%d bytes grew to %d", len(bomb), len(out))
	}
	for name, b := range map[string][]byte{"nothing": nil, "garbage": []byte("garbage"), "half": signin.Pack("text")[:3], "another type": signin.Pack(1)} {
		if err := signin.Unpack(b, &out); err == nil {
			t.Errorf("%s unpacks to %q", name, out)
		}
	}
}

// FuzzTripOpen states that only what was sealed opens, and only for the browser it was sealed for: whatever else comes in tx is refused by
// a code that a page knows.
func FuzzTripOpen(f *testing.F) {
	if seeds, err := filepath.Glob("testdata/fuzz/FuzzTripOpen/*"); err != nil || len(seeds) == 0 {
		f.Fatalf("no seeds in testdata/fuzz/FuzzTripOpen (%v)", err)
	}
	at := now
	s := sealer(f, &at)
	good := s.Seal(full(), browser)
	raw, err := base64.RawURLEncoding.DecodeString(good)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, tx, from string, position int, mask byte) {
		// The text itself, what lies inside a seal, and a good seal with one byte changed.
		forged := bytes.Clone(raw)
		forged[uint(position)%uint(len(forged))] ^= mask
		for _, in := range []string{tx, base64.RawURLEncoding.EncodeToString(forged), keyed(t, 1).Seal("signin-trip", []byte(tx)), good} {
			got, err := s.Open(in, from)
			switch {
			case err == nil && (in != good || from != browser):
				t.Errorf("Open(%q, %q) gives %v", in, from, got)
			case err != nil && in == good && from == browser:
				t.Errorf("a good trip is refused: %v", err)
			case err != nil && (fault.KindOf(err) != fault.Invalid || (fault.CodeOf(err) != "tx_expired" && fault.CodeOf(err) != "tx_browser_mismatch")):
				t.Errorf("Open(%q) = %v", in, err)
			}
		}
	})
}

func BenchmarkPack(b *testing.B) {
	t := full()
	b.ReportAllocs()
	for b.Loop() {
		signin.Pack(t)
	}
}
