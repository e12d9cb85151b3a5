package signin_test

import (
	"path/filepath"
	"testing"
	"time"

	"example.com/broker/internal/fault"
	"example.com/broker/internal/ratelimit"
	"example.com/broker/internal/secret"
	"example.com/broker/sessions"
	"example.com/broker/signin"
	"example.com/broker/store/sqlite"
	"example.com/broker/users"
)

// fence is a change stream that has forgotten everything, or cannot be read.
type fence struct{ stale error }

func (fence) SessionRevoked(string) bool { return false }
func (fence) UserEpoch(string) int64     { return 0 }
func (f fence) Fresh() error             { return f.stale }

func TestCurrent(t *testing.T) {
	at := now
	clock := func() time.Time { return at }
	st, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "b.db"), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	hasher, err := users.NewHasher(users.HasherOptions{})
	if err != nil {
		t.Fatal(err)
	}
	people, err := users.New(users.Options{Store: st.Users, Admins: st.Admins, Limiter: ratelimit.NewLimiter(st.Limits, clock), Hasher: hasher, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range []users.User{
		{ID: "active", Status: users.Active, Ver: 3}, {ID: "disabled", Status: users.Disabled, Ver: 3}, {ID: "signed-out", Status: users.Active, Ver: 4, Epoch: 4},
	} {
		if err := st.Users.Create(t.Context(), u, nil, at); err != nil {
			t.Fatal(err)
		}
	}
	m := sessions.NewManager(sessions.Options{Store: st.Sessions, Fence: fence{}, Now: clock})
	open := func(user string) secret.Value {
		_, cookie, err := m.Open(t.Context(), sessions.Opening{UserID: user, Ver: 3})
		if err != nil {
			t.Fatal(err)
		}
		return cookie
	}
	for _, row := range []struct {
		rule   string
		cookie secret.Value
		want   string
	}{
		{"a live session of an active user", open("active"), "active"},
		{"no cookie", "", ""},
		{"a cookie of no session", secret.Value("00000000-0000-7000-8000-000000000000." + secret.New(32).Reveal()), ""},
		{"a cookie with another secret", open("active")[:37] + secret.New(32), ""},
		{"a disabled user", open("disabled"), ""},
		{"a user who is gone", open("gone"), ""},
		{"a user who signed out everywhere, though the stream has forgotten", open("signed-out"), ""},
	} {
		s, u, err := signin.Current(t.Context(), m, people, row.cookie)
		if err != nil || (s == nil) != (row.want == "") || (u == nil) != (row.want == "") || (u != nil && (u.ID != row.want || s.UserID != row.want)) {
			t.Errorf("%s: Current = %v, %v, %v, want %q", row.rule, s, u, err, row.want)
		}
	}
	stale := fault.New(fault.Unavailable, "revocations_stale", "later")
	blind := sessions.NewManager(sessions.Options{Store: st.Sessions, Fence: fence{stale}, Now: clock})
	if s, u, err := signin.Current(t.Context(), blind, people, open("active")); s != nil || u != nil || !fault.Is(err, fault.Unavailable) {
		t.Errorf("while nobody can say what was revoked: Current = %v, %v, %v", s, u, err)
	}
}
