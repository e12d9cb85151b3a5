package abac_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"example.com/broker/abac"
	"example.com/broker/internal/fault"
)

// memory is a store that can be away.
type memory struct {
	mu    sync.Mutex
	sets  map[string]abac.Set
	err   error
	loads int
}

func (m *memory) LoadPolicies(_ context.Context, app string) (abac.Set, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.loads++
	s := m.sets[app]
	s.App = app
	return s, m.err
}

func (m *memory) SwapPolicies(_ context.Context, s abac.Set) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	if m.sets[s.App].V != s.V {
		return fault.New(fault.Conflict, "policies_changed", "changed")
	}
	s.V++
	m.sets[s.App] = s
	return nil
}

func (m *memory) PolicyApps(context.Context, string, int) ([]string, error) { return nil, nil }

// clock is moved by hand.
type clock struct{ now time.Time }

func service(t *testing.T, m *memory, c *clock, fixed map[string]abac.Set) *abac.Service {
	t.Helper()
	s, err := abac.NewService(abac.Options{
		Store: m, Fixed: fixed, Defaults: abac.Defaults(), Now: func() time.Time { return c.now },
		Announce: func(context.Context, string, int64) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func version(t *testing.T, s *abac.Service) int64 {
	t.Helper()
	e, err := s.Engine(t.Context(), abac.Broker)
	if err != nil {
		t.Fatal(err)
	}
	return e.V
}

func TestASetIsFollowed(t *testing.T) {
	m, c := &memory{sets: map[string]abac.Set{}}, &clock{time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}
	here, there := service(t, m, c, nil), service(t, m, c, nil)
	if version(t, here) != 0 || version(t, there) != 0 {
		t.Fatal("without a stored set the default is in use")
	}
	loads := m.loads
	if version(t, there); m.loads != loads {
		t.Error("a warm call reads the store")
	}
	set, _, err := here.Load(t.Context(), abac.Broker)
	if err != nil {
		t.Fatal(err)
	}
	// The entry comes before the row: the other replica looks, finds the old one, and looks again.
	there.Heard(abac.Broker, 1)
	c.now = c.now.Add(time.Second)
	if version(t, there) != 0 {
		t.Error("there is no newer set yet")
	}
	if _, err := here.Save(t.Context(), set, "me"); err != nil {
		t.Fatal(err)
	}
	if version(t, here) != 1 {
		t.Error("a save counts here at once")
	}
	c.now = c.now.Add(300 * time.Millisecond)
	if version(t, there) != 1 {
		t.Error("the other replica looks again")
	}
}

// While the store is away, decisions go on by the set at hand, for as long as no newer one is known for two seconds.
func TestAnOldSetIsNotUsedForLong(t *testing.T) {
	m, c := &memory{sets: map[string]abac.Set{}}, &clock{time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}
	s := service(t, m, c, nil)
	version(t, s)
	m.err = fault.New(fault.Unavailable, "store_unavailable", "away")
	c.now = c.now.Add(time.Hour)
	version(t, s)
	s.Heard(abac.Broker, 1)
	c.now = c.now.Add(time.Second)
	version(t, s)
	c.now = c.now.Add(2 * time.Second)
	for range 3 { // also right after it was tried
		if _, err := s.Engine(t.Context(), abac.Broker); !fault.Is(err, fault.Unavailable) {
			t.Errorf("a newer set is known for three seconds and cannot be read: %v", err)
		}
	}
	m.err = nil
	c.now = c.now.Add(time.Second)
	version(t, s)
}

func TestWhatIsStoredAndCannotBeUsedIsANo(t *testing.T) {
	m, c := &memory{sets: map[string]abac.Set{abac.Broker: {App: abac.Broker, V: 1, Schema: "nonsense"}}}, &clock{time.Now()}
	s := service(t, m, c, nil)
	if _, err := s.Engine(t.Context(), abac.Broker); fault.CodeOf(err) != "policies_unusable" || !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v", err)
	}
	if _, err := s.Engine(t.Context(), "nobody"); !fault.Is(err, fault.NotFound) {
		t.Errorf("an unknown application: %v", err)
	}
	if _, err := s.Engine(t.Context(), "../broker"); !fault.Is(err, fault.NotFound) {
		t.Errorf("a name that is none: %v", err)
	}
}

func TestASetOfTheConfigurationIsFixed(t *testing.T) {
	m, c := &memory{sets: map[string]abac.Set{}}, &clock{time.Now()}
	fixed := abac.Defaults()[abac.Broker]
	s := service(t, m, c, map[string]abac.Set{abac.Broker: fixed})
	if _, err := s.Save(t.Context(), fixed, "me"); fault.CodeOf(err) != "policies_fixed" {
		t.Errorf("save: %v", err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	m.sets[abac.Broker] = abac.Set{App: abac.Broker, V: 1}
	if err := s.Check(t.Context()); fault.CodeOf(err) != "policies_twice" {
		t.Errorf("in both places: %v", err)
	}
	if _, err := abac.NewService(abac.Options{Fixed: map[string]abac.Set{"x": {App: "x", Schema: "nonsense"}}}); fault.CodeOf(err) != "schema_invalid" {
		t.Errorf("a set that does not compile: %v", err)
	}
}

// A set that is removed is gone here at once and where it is heard of, the default is back, and the version goes on counting.
func TestASetIsRemoved(t *testing.T) {
	m, c := &memory{sets: map[string]abac.Set{}}, &clock{time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}
	here, there := service(t, m, c, nil), service(t, m, c, nil)
	ctx := t.Context()
	code := func(s *abac.Service, app string) string {
		_, err := s.Engine(ctx, app)
		return codeOf(err)
	}
	set := abac.Defaults()[abac.Broker]
	for _, app := range []string{"shop", abac.Broker} {
		set.App = app
		if err := here.Remove(ctx, app, abac.AnyVersion, "me"); codeOf(err) != "application_unknown" {
			t.Errorf("%s, of which nothing is stored: %v", app, err)
		}
		if _, err := here.Save(ctx, set, "me"); err != nil {
			t.Fatal(err)
		}
		there.Heard(app, 1)
		if code(here, app) != "" || code(there, app) != "" {
			t.Fatalf("%s is not in use", app)
		}
		if err := here.Remove(ctx, app, 7, "me"); codeOf(err) != "policies_changed" {
			t.Errorf("%s at another version: %v", app, err)
		}
		if err := here.Remove(ctx, app, 1, "me"); err != nil {
			t.Fatal(err)
		}
		there.Heard(app, 2)
		c.now = c.now.Add(300 * time.Millisecond)
	}
	loads := 0
	for range 3 { // also right after it was looked for
		for _, s := range []*abac.Service{here, there} {
			if got := code(s, "shop"); got != "application_unknown" {
				t.Errorf("what was removed: %q", got)
			}
			if version(t, s) != 0 {
				t.Error("the default is not back")
			}
		}
		if loads > 0 && m.loads != loads {
			t.Error("the store is asked each time for what is known to be removed")
		}
		loads = m.loads
	}
	if err := here.Remove(ctx, "shop", abac.AnyVersion, "me"); codeOf(err) != "application_unknown" {
		t.Errorf("removed twice: %v", err)
	}
	set.App = "shop"
	saved, err := there.Save(ctx, set, "me")
	if err != nil || saved.V != 3 || saved.Removed {
		t.Fatalf("stored anew: %+v, %v", saved, err)
	}
	here.Heard("shop", 3)
	if code(here, "shop") != "" || code(there, "shop") != "" {
		t.Error("what is stored anew is not in use")
	}
	m.sets["fixed"] = abac.Set{App: "fixed", V: 2, Removed: true}
	s := service(t, m, c, map[string]abac.Set{"fixed": set})
	if err := s.Check(ctx); err != nil {
		t.Errorf("what was removed from the store is in the configuration: %v", err)
	}
	if err := s.Remove(ctx, "fixed", abac.AnyVersion, "me"); codeOf(err) != "policies_fixed" {
		t.Errorf("a set of the configuration: %v", err)
	}
}

func codeOf(err error) string {
	if err == nil {
		return ""
	}
	return fault.CodeOf(err)
}

// A save announces before it writes, and nothing is written that was not announced or does not compile.
func TestASaveAnnouncesFirst(t *testing.T) {
	m := &memory{sets: map[string]abac.Set{}}
	away := errors.New("the stream is away")
	s, err := abac.NewService(abac.Options{Store: m, Now: time.Now, Announce: func(context.Context, string, int64) error { return away }})
	if err != nil {
		t.Fatal(err)
	}
	set := abac.Defaults()[abac.Broker]
	if _, err := s.Save(t.Context(), set, "me"); !errors.Is(err, away) || len(m.sets) != 0 {
		t.Errorf("got %v, %d sets stored", err, len(m.sets))
	}
	set.Policies = []abac.Policy{{ID: "p", Text: "nonsense"}}
	if _, err := s.Save(t.Context(), set, "me"); fault.CodeOf(err) != "policy_invalid" || len(m.sets) != 0 {
		t.Errorf("got %v, %d sets stored", err, len(m.sets))
	}
}

// Anybody may name an application that is not there, and the store is not asked each time; one that comes into being is there at once.
func TestAnUnknownApplicationIsNotLookedUpEachTime(t *testing.T) {
	m, c := &memory{sets: map[string]abac.Set{}}, &clock{time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}
	here, there := service(t, m, c, nil), service(t, m, c, nil)
	missing := func(s *abac.Service, app string) {
		t.Helper()
		if _, err := s.Engine(t.Context(), app); fault.CodeOf(err) != "application_unknown" {
			t.Fatalf("%s: %v", app, err)
		}
	}
	loads := func(rule string, want int, f func()) {
		t.Helper()
		before := m.loads
		if f(); m.loads-before != want {
			t.Errorf("%s: %d loads, want %d", rule, m.loads-before, want)
		}
	}
	loads("the first time", 1, func() { missing(here, "shop") })
	loads("again", 0, func() { missing(here, "shop") })
	loads("another one", 1, func() { missing(here, "other") })
	loads("a name that none can have", 0, func() { missing(here, "../shop") })
	c.now = c.now.Add(time.Second)
	loads("a second later", 1, func() { missing(here, "shop") })
	missing(there, "shop")
	set := abac.Defaults()[abac.Broker]
	set.App = "shop"
	if _, err := here.Save(t.Context(), set, "me"); err != nil {
		t.Fatal(err)
	}
	loads("saved here", 0, func() {
		if e, err := here.Engine(t.Context(), "shop"); err != nil || e.V != 1 {
			t.Errorf("saved here: %v", err)
		}
	})
	there.Heard("shop", 1)
	if e, err := there.Engine(t.Context(), "shop"); err != nil || e.V != 1 {
		t.Errorf("heard of there: %v", err)
	}
	for i := range 5000 { // the map is emptied, not grown
		missing(here, fmt.Sprint("made-up-", i))
	}
	loads("the last of many", 0, func() { missing(here, "made-up-4999") })
	loads("the first of many", 1, func() { missing(here, "made-up-0") })
}
