package mongo_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"example.com/broker/internal/changes"
	"example.com/broker/internal/ratelimit"
	"example.com/broker/store"
)

const racers = 100

// race lets the racers act at once, spread over the replicas, and returns how many succeeded.
func race(t *testing.T, replicas []*store.Stores, act func(ctx context.Context, s *store.Stores, i int) error) int {
	t.Helper()
	var group sync.WaitGroup
	start, won := make(chan struct{}), make(chan int, racers)
	for i := range racers {
		group.Go(func() {
			<-start
			if act(t.Context(), replicas[i%len(replicas)], i) == nil {
				won <- i
			}
		})
	}
	close(start)
	group.Wait()
	return len(won)
}

// Two brokers on one database are as one: what may happen once happens once.
func TestReplicasRace(t *testing.T) {
	t.Parallel()
	both := replicas(t, 2)
	ctx := t.Context()

	t.Run("one code is redeemed once", func(t *testing.T) {
		if err := both[0].Grants.InsertGrant(ctx, aCode("code")); err != nil {
			t.Fatal(err)
		}
		won := race(t, both, func(ctx context.Context, s *store.Stores, i int) error {
			r := aRedemption("code")
			r.AnchorHash, r.Cur, r.IdleUntil = "anchor", fmt.Sprint("cur", i), now.Add(time.Hour)
			got, err := s.Grants.RedeemGrant(ctx, r)
			if err == nil && got.Cur != r.Cur {
				t.Errorf("the winner %d got the family of another: %q", i, got.Cur)
			}
			return err
		})
		if won != 1 {
			t.Errorf("%d redeemed the code, want 1", won)
		}
	})
	t.Run("one token has one successor", func(t *testing.T) {
		if err := both[0].Grants.InsertGrant(ctx, aFamily("family")); err != nil {
			t.Fatal(err)
		}
		won := race(t, both, func(ctx context.Context, s *store.Stores, i int) error {
			_, err := s.Grants.RotateGrant(ctx, aRotation("family", fmt.Sprint("next", i)))
			return err
		})
		if won != 1 {
			t.Errorf("%d rotated the token, want 1", won)
		}
	})
	t.Run("one user takes a claim", func(t *testing.T) {
		won := race(t, both, func(ctx context.Context, s *store.Stores, i int) error {
			return s.Users.Create(ctx, aUser(fmt.Sprint("u", i)), claimsOf("same"), now)
		})
		if won != 1 {
			t.Errorf("%d users were created with the same claims, want 1", won)
		}
	})
	t.Run("one admin stays", func(t *testing.T) {
		for _, id := range []string{"a", "b"} {
			if err := both[0].Admins.JoinAdmins(ctx, id); err != nil {
				t.Fatal(err)
			}
		}
		race(t, both, func(ctx context.Context, s *store.Stores, i int) error {
			return s.Admins.LeaveAdmins(ctx, []string{"a", "b"}[i/2%2])
		})
		if left, err := both[0].Admins.Admins(ctx); err != nil || len(left) != 1 {
			t.Errorf("the admins are %v (%v), want one", left, err)
		}
	})
	t.Run("everybody joins", func(t *testing.T) {
		others := replicas(t, 2)
		won := race(t, others, func(ctx context.Context, s *store.Stores, i int) error {
			return s.Admins.JoinAdmins(ctx, fmt.Sprint("admin", i))
		})
		if got, err := others[0].Admins.Admins(ctx); err != nil || won != racers || len(got) != racers {
			t.Errorf("%d joined and %d are members (%v), want %d", won, len(got), err, racers)
		}
	})
	t.Run("one mark", func(t *testing.T) {
		won := race(t, both, func(ctx context.Context, s *store.Stores, _ int) error {
			return s.Once.Mark(ctx, "flow", "m", now.Add(time.Hour))
		})
		if won != 1 {
			t.Errorf("%d set the mark, want 1", won)
		}
	})
	t.Run("no count is lost or seen twice", func(t *testing.T) {
		for name, at := range map[string]time.Time{"first window": now, "next window": now.Add(time.Hour)} {
			var mu sync.Mutex
			seen := []int64{}
			race(t, both, func(ctx context.Context, s *store.Stores, _ int) error {
				t, _, err := s.Limits.Take(ctx, name, ratelimit.Bounds{Limit: 1000, Window: time.Minute}, at)
				mu.Lock()
				defer mu.Unlock()
				seen = append(seen, t.Count)
				return err
			})
			slices.Sort(seen)
			if seen[0] != 1 || seen[racers-1] != racers || len(slices.Compact(seen)) != racers {
				t.Errorf("%s: the counts are %v, want each of 1 to %d", name, seen, racers)
			}
		}
	})
	t.Run("the highest version stays", func(t *testing.T) {
		won := race(t, both, func(ctx context.Context, s *store.Stores, i int) error {
			return s.Changes.Append(ctx, changes.Entry{Kind: changes.UserVersion, Key: "u", Value: int64(i), Until: now.Add(time.Duration(i) * time.Hour)})
		})
		got, err := both[1].Changes.Read(ctx, 0, now)
		if err != nil || won != racers || len(got) != 1 || got[0].Value != racers-1 || !got[0].Until.Equal(now.Add((racers-1)*time.Hour)) {
			t.Errorf("%d appended and the stream is %v (%v)", won, got, err)
		}
	})
}

// A follower that reads again from the newest position it knows, less the overlap, misses nothing that another replica appends.
func TestStreamPositionIsTheServersClock(t *testing.T) {
	t.Parallel()
	both := replicas(t, 2)
	ctx := t.Context()
	add := func(s *store.Stores, key string) {
		t.Helper()
		if err := s.Changes.Append(ctx, changes.Entry{Kind: changes.RevokedGrant, Key: key, Until: now.Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	add(both[0], "g1")
	first, err := both[1].Changes.Read(ctx, 0, now)
	if err != nil || len(first) != 1 {
		t.Fatalf("Read: %v, %v", first, err)
	}
	if apart := time.Since(time.UnixMilli(first[0].At)).Abs(); apart > time.Hour {
		t.Errorf("the position %d is no clock's time in milliseconds", first[0].At)
	}
	time.Sleep(5 * time.Millisecond)
	add(both[1], "g2")
	add(both[0], "g1") // again: it moves to the end
	got, err := both[1].Changes.Read(ctx, first[0].At+1, now)
	if err != nil || len(got) != 2 || got[0].Key != "g2" || got[1].Key != "g1" || got[0].At > got[1].At {
		t.Errorf("Read from behind the first: got %v, %v; want g2, then g1", got, err)
	}
	if near, far := both[0].Changes.Overlap(); near != 5_000 || far != 120_000 {
		t.Errorf("Overlap: %d, %d ms", near, far)
	}
}
