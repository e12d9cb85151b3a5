package authzen

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/broker/abac"
	"example.com/broker/internal/fault"
)

// stored is a store of policies at hand.
type stored map[string]abac.Set

func (s stored) LoadPolicies(_ context.Context, app string) (abac.Set, error) {
	set := s[app]
	set.App = app
	return set, nil
}

func (s stored) SwapPolicies(_ context.Context, set abac.Set) error {
	set.V++
	s[set.App] = set
	return nil
}

func (s stored) PolicyApps(context.Context, string, int) ([]string, error) { return nil, nil }

// Anybody may ask for the metadata: it is signed once for an application, its policies and the key.
func TestMetadataIsSignedOnceForEachKeyAndVersion(t *testing.T) {
	policies, err := abac.NewService(abac.Options{Store: stored{}, Now: time.Now, Announce: func(context.Context, string, int64) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	save := func(app string, v int64) {
		t.Helper()
		set, err := abac.Read(os.DirFS("../../examples/authzen/todo"), ".", app)
		if err != nil {
			t.Fatal(err)
		}
		set.V = v
		if _, err := policies.Save(t.Context(), set, "test"); err != nil {
			t.Fatal(err)
		}
	}
	save("todo", 0)
	save("other", 0)
	signed, key := 0, "k1"
	var away error
	d := Deps{
		Issuer: &url.URL{Scheme: "https", Host: "b.example"}, Policies: policies, documents: &documents{by: map[string]signedDocument{}},
		Sign: func(claims map[string]any) (string, error) {
			signed++
			return key + " " + claims["policy_decision_point"].(string), nil
		},
		KeyID: func() (string, error) { return key, away },
	}
	last := map[string]string{}
	for _, step := range []struct {
		rule, app string
		before    func()
		signed    int
		same      bool
	}{
		{"the first time", "todo", nil, 1, false},
		{"again", "todo", nil, 1, true},
		{"another application", "other", nil, 2, false},
		{"the issuer's own", "", nil, 3, false},
		{"the issuer's own again", "", nil, 3, true},
		{"the first one still", "todo", nil, 3, true},
		{"another key", "todo", func() { key = "k2" }, 4, false},
		{"newer policies", "todo", func() { save("todo", 1) }, 5, true},
		{"and again", "todo", nil, 5, true},
	} {
		if step.before != nil {
			step.before()
		}
		w := httptest.NewRecorder()
		c, _ := gin.CreateTestContext(w)
		c.Request = httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		c.Params = gin.Params{{Key: "app", Value: step.app}}
		if err := d.metadata(c); err != nil {
			t.Fatalf("%s: %v", step.rule, err)
		}
		text := w.Body.String()
		if signed != step.signed || (text == last[step.app]) != step.same {
			t.Errorf("%s: signed %d times, want %d: %s, was %s", step.rule, signed, step.signed, text, last[step.app])
		}
		last[step.app] = text
	}
	c, _ := gin.CreateTestContext(httptest.NewRecorder())
	c.Request = httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
	if away = fault.New(fault.Unavailable, "signing_key_missing", "none"); !errors.Is(d.metadata(c), away) {
		t.Error("without a key there is no metadata")
	}
}
