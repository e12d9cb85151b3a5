package users_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"example.com/broker/internal/ratelimit"
	"example.com/broker/store/sqlite"
	"example.com/broker/users"
)

// A process that died after the entry and before the row must neither lock the user out nor make the repeated act do nothing.
func TestACounterThatWasAnnouncedIsNeverUsedAgain(t *testing.T) {
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "b.db"), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	hasher, err := users.NewHasher(users.HasherOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var announced int64
	died := true
	svc, err := users.New(users.Options{
		Store: s.Users, Admins: s.Admins, Limiter: ratelimit.NewLimiter(s.Limits, time.Now), Hasher: hasher, Now: time.Now,
		Heard: func(string) int64 { return announced },
		BeforeEpoch: func(_ context.Context, _ string, ver int64) error {
			announced = ver
			if died {
				return errors.New("the process died here")
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	u, err := svc.Create(t.Context(), users.NewUser{Username: "alice", Password: goodPassword})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := svc.RaiseEpoch(t.Context(), u.ID); err == nil {
		t.Fatal("the act that died was a success")
	}
	between, err := svc.Facts(t.Context(), u.ID)
	if err != nil || between.Ver < announced {
		t.Errorf("what is issued now has the counter %d, below the announced %d (%v)", between.Ver, announced, err)
	}
	died = false
	after, err := svc.RaiseEpoch(t.Context(), u.ID)
	if err != nil || after.Epoch <= between.Ver {
		t.Errorf("repeating the act gives the epoch %d (%v): what was issued at %d outlives it", after.Epoch, err, between.Ver)
	}
}
