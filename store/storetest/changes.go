package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"example.com/broker/internal/changes"
)

// newest returns the highest position of entries, 0 for none.
func newest(entries []changes.Entry) (at int64) {
	for _, e := range entries {
		at = max(at, e.At)
	}
	return at
}

// find returns the entry of a kind and key; ok is false if there is none.
func find(entries []changes.Entry, kind changes.Kind, key string) (found changes.Entry, ok bool) {
	for _, e := range entries {
		if e.Kind == kind && e.Key == key {
			return e, true
		}
	}
	return changes.Entry{}, false
}

func testChanges(t *testing.T, f *Fixture) {
	s := f.Stores.Changes
	ctx, now := t.Context(), start()
	until := now.Add(time.Hour)
	entry := func(t *testing.T, kind changes.Kind, key string) changes.Entry {
		t.Helper()
		e, ok := find(must(s.Read(ctx, 0, now))(t), kind, key)
		if !ok {
			t.Fatalf("entry (%s, %s) is not in the stream", kind, key)
		}
		return e
	}
	// reads wants an entry as given, at whatever position.
	reads := func(t *testing.T, want changes.Entry) {
		t.Helper()
		if diff := cmp.Diff(want, entry(t, want.Kind, want.Key), cmpopts.IgnoreFields(changes.Entry{}, "At")); diff != "" {
			t.Fatalf("entry (-want +got):\n%s", diff)
		}
	}

	t.Run("an empty stream reads as nothing", func(t *testing.T) { same(t, nil, must(s.Read(ctx, 0, now))(t)) })
	t.Run("appending nothing is success", func(t *testing.T) { done(t, s.Append(ctx)) })
	t.Run("an entry is read as it was appended", func(t *testing.T) {
		for _, e := range []changes.Entry{
			{Kind: changes.RevokedToken, Key: "jti:ü/1", Value: 1, Until: until},
			{Kind: changes.UserVersion, Key: "usr", Value: 7},
			{Kind: changes.UserEpoch, Key: "usr", Value: 5, Until: until.Add(day)},
			{Kind: changes.UserVersion, Key: "USR"},
		} {
			e.At = 1 << 60 // ignored
			done(t, s.Append(ctx, e))
			reads(t, e)
		}
	})
	t.Run("appended again the larger value and the later end stay", func(t *testing.T) {
		merge := func(value int64, until time.Time, want changes.Entry) {
			t.Helper()
			done(t, s.Append(ctx, changes.Entry{Kind: changes.UserVersion, Key: "merged", Value: value, Until: until}))
			want.Kind, want.Key = changes.UserVersion, "merged"
			reads(t, want)
		}
		merge(5, until, changes.Entry{Value: 5, Until: until})
		merge(3, until.Add(time.Hour), changes.Entry{Value: 5, Until: until.Add(time.Hour)})
		merge(9, until, changes.Entry{Value: 9, Until: until.Add(time.Hour)})
		merge(1, time.Time{}, changes.Entry{Value: 9})
		merge(2, until, changes.Entry{Value: 9})
	})
	t.Run("an entry appended again moves to the end", func(t *testing.T) {
		a := changes.Entry{Kind: changes.ClientVersion, Key: "moves-a", Value: 1}
		b := changes.Entry{Kind: changes.ClientVersion, Key: "moves-b", Value: 1}
		done(t, s.Append(ctx, a, b))
		last := entry(t, b.Kind, b.Key).At
		done(t, s.Append(ctx, a))
		if e, ok := find(must(s.Read(ctx, last, now))(t), a.Kind, a.Key); !ok || e.At < last {
			t.Fatalf("read from %d: got %+v, want the entry there", last, e)
		}
	})
	t.Run("entries come in order of their positions, from the given one on", func(t *testing.T) {
		all := must(s.Read(ctx, 0, now))(t)
		for i, e := range all {
			if i > 0 && e.At < all[i-1].At {
				t.Fatalf("position %d follows %d", e.At, all[i-1].At)
			}
			from := must(s.Read(ctx, e.At, now))(t)
			if _, ok := find(from, e.Kind, e.Key); !ok {
				t.Fatalf("an entry at %d is not read from %d on", e.At, e.At)
			}
			for _, got := range from {
				if got.At < e.At {
					t.Fatalf("read from %d: got position %d", e.At, got.At)
				}
			}
		}
		same(t, nil, must(s.Read(ctx, newest(all)+1, now))(t))
	})
	t.Run("an entry is there until just before its end, at the end it is not", func(t *testing.T) {
		done(t, s.Append(ctx, changes.Entry{Kind: changes.RevokedGrant, Key: "ends", Until: until}))
		if _, ok := find(must(s.Read(ctx, 0, until.Add(-tick)))(t), changes.RevokedGrant, "ends"); !ok {
			t.Fatal("the entry is missing before its end")
		}
		if _, ok := find(must(s.Read(ctx, 0, until))(t), changes.RevokedGrant, "ends"); ok {
			t.Fatal("the entry is there at its end")
		}
		if _, ok := find(must(s.Read(ctx, 0, until.AddDate(500, 0, 0)))(t), changes.UserVersion, "merged"); !ok {
			t.Fatal("an entry without an end has ended")
		}
	})
	t.Run("what must be read again is not negative, and far is no less than near", func(t *testing.T) {
		if near, far := s.Overlap(); near < 0 || far < near {
			t.Fatalf("got overlap %d, %d", near, far)
		}
	})
}

func testChangeRaces(t *testing.T, f *Fixture) {
	s := f.Stores.Changes
	ctx, now := t.Context(), start()

	t.Run("of many values for one key the largest stays", func(t *testing.T) {
		allDone(t, race(racers, func(i int) error {
			return s.Append(ctx, changes.Entry{Kind: changes.UserVersion, Key: "raced", Value: int64(i*37%racers) + 1})
		}))
		if e, _ := find(must(s.Read(ctx, 0, now))(t), changes.UserVersion, "raced"); e.Value != racers {
			t.Fatalf("got %d, want %d", e.Value, racers)
		}
	})
	t.Run("a follower who reads the overlap again misses nothing", func(t *testing.T) {
		const each = 5
		key := func(i, j int) string { return fmt.Sprintf("%03d-%d", i, j) }
		written := make(chan []error, 1)
		go func() {
			written <- race(racers, func(i int) error {
				for j := range each {
					if err := s.Append(ctx, changes.Entry{Kind: changes.RevokedToken, Key: key(i, j), Value: 1}); err != nil {
						return err
					}
				}
				return nil
			})
		}()
		near, _ := s.Overlap()
		seen := map[string]bool{}
		for last, ended := int64(0), false; ; {
			entries := must(s.Read(ctx, max(0, last-near), now))(t)
			for _, e := range entries {
				seen[e.Key] = true
			}
			last = max(last, newest(entries))
			if ended {
				break
			}
			select {
			case errs := <-written:
				allDone(t, errs)
				ended = true // one more read
			default:
			}
		}
		for i := range racers {
			for j := range each {
				if !seen[key(i, j)] {
					t.Fatalf("the follower missed %s", key(i, j))
				}
			}
		}
	})
}
