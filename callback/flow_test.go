package callback

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/broker/internal/secret"
	"example.com/broker/signin"
)

const (
	testState    = "c3RhdGUtb2YtdGhlLXRlc3Q"
	testProvider = "github"
)

func testEndpoints(t testing.TB, now time.Time) (*endpoints, string) {
	t.Helper()
	seal, err := secret.NewSealer(make([]byte, secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	e := &endpoints{Deps{Seal: seal, Now: func() time.Time { return now }}}
	f := flow{
		State: stateHash(testState), Provider: testProvider, Issuer: "https://github.com", Nonce: "nonce", Verifier: "verifier",
		Trip: signin.New(signin.SignIn, now), Until: now.Add(flowLifetime),
	}
	return e, seal.Seal(flowPurpose, signin.Pack(f))
}

func TestAFlowIsGoodForItsOwnCallbackAlone(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	e, value := testEndpoints(t, now)
	late, _ := testEndpoints(t, now.Add(flowLifetime))
	for _, c := range []struct {
		rule                   string
		by                     *endpoints
		value, state, provider string
		want                   bool
	}{
		{"cookie, state and provider belong together", e, value, testState, testProvider, true},
		{"another state", e, value, testState + "x", testProvider, false},
		{"a state cut short", e, value, testState[:len(testState)-1], testProvider, false},
		{"another provider's callback", e, value, testState, "google", false},
		{"ten minutes later", late, value, testState, testProvider, false},
		{"a cookie cut short", e, value[:len(value)-1], testState, testProvider, false},
		{"a cookie sealed for something else", e, e.Seal.Seal("other", []byte("x")), testState, testProvider, false},
	} {
		if _, err := c.by.readFlow(c.value, c.state, c.provider); (err == nil) != c.want {
			t.Errorf("%s: got %v", c.rule, err)
		}
	}
}

// FuzzFlowCookie: nothing opens but what was sealed, and that only with the state and provider it was sealed for.
func FuzzFlowCookie(f *testing.F) {
	seeds(f, "FuzzFlowCookie")
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	e, value := testEndpoints(f, now)
	f.Add(value, testState, testProvider)
	f.Add(value[:40], testState, testProvider)
	f.Add("", "", "")
	f.Fuzz(func(t *testing.T, cookie, state, provider string) {
		got, err := e.readFlow(cookie, state, provider)
		if err != nil {
			return
		}
		if cookie != value || state != testState || provider != testProvider || got.Verifier != "verifier" {
			t.Errorf("readFlow(%q, %q, %q) opened %+v", cookie, state, provider, got)
		}
	})
}

// FuzzCallbackQuery: a query never yields a flow unless it names the state exactly, however it is spelled.
func FuzzCallbackQuery(f *testing.F) {
	seeds(f, "FuzzCallbackQuery")
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	e, value := testEndpoints(f, now)
	f.Add("code=x&state=" + testState)
	f.Add("state=" + testState + "&state=other")
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := url.ParseQuery(raw)
		if err != nil {
			return
		}
		_, err = e.readFlow(value, q.Get("state"), testProvider)
		if (err == nil) != (q.Get("state") == testState) {
			t.Errorf("the query %q: %v", raw, err)
		}
		if err != nil && (strings.Contains(err.Error(), "verifier") || strings.Contains(err.Error(), "nonce")) {
			t.Errorf("the refusal of %q tells what the cookie holds: %v", raw, err)
		}
	})
}

// seeds fails where the checked-in corpus is gone: without it the fuzz test would pass on nothing.
func seeds(f *testing.F, name string) {
	f.Helper()
	found, err := os.ReadDir(filepath.Join("testdata", "fuzz", name))
	if err != nil || len(found) == 0 {
		f.Fatalf("no seeds under testdata/fuzz/%s: %v", name, err)
	}
}
