package fingerprints

// The tests of a table are in the package, as what they are about cannot be seen from outside.

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"
)

func add(s *Set, key string, number uint32, until, now time.Time) {
	s.Add(Of(Token, key), number, until, now)
}

func get(s *Set, key string) (uint32, bool) { return s.Look(Token, key) }

var start = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

func TestFingerprintsKeepWhatWasAdded(t *testing.T) {
	f := NewSet(true)
	const n = 20_000
	ends := []time.Duration{time.Minute, 16 * time.Minute, 12 * time.Hour, 30 * 24 * time.Hour}
	for i := range n {
		add(f, fmt.Sprint(i), uint32(i), start.Add(ends[i%len(ends)]), start)
	}
	for i := range n {
		if got, ok := get(f, fmt.Sprint(i)); !ok || got != uint32(i) {
			t.Fatalf("get(%d) = %d, %v", i, got, ok)
		}
		if _, ok := get(f, fmt.Sprint("other", i)); ok {
			t.Fatalf("get of a key that was never added finds it")
		}
	}
}

func TestFingerprintsKeepTheLargestNumber(t *testing.T) {
	f := NewSet(true)
	for _, a := range []struct {
		number uint32
		end    time.Duration
	}{{5, time.Hour}, {3, time.Hour}, {4, 30 * 24 * time.Hour}, {5, time.Hour}} {
		add(f, "k", a.number, start.Add(a.end), start)
	}
	if got, _ := get(f, "k"); got != 5 {
		t.Errorf("get = %d, want 5, from whichever bucket", got)
	}
}

func TestFingerprintsForgetWholeBuckets(t *testing.T) {
	f := NewSet(false)
	add(f, "short", 0, start.Add(15*time.Minute), start)
	add(f, "good", 0, time.Time{}, start)
	add(f, "over", 0, start, start)
	if _, ok := get(f, "over"); ok {
		t.Error("what has expired is added")
	}
	add(f, "other", 0, start.Add(time.Hour), start.Add(15*time.Minute-time.Second))
	if _, ok := get(f, "short"); !ok {
		t.Error("forgotten before its end")
	}
	add(f, "other", 0, start.Add(time.Hour), start.Add(20*time.Minute))
	if _, ok := get(f, "short"); ok {
		t.Error("still known five minutes after its end")
	}
	add(f, "other", 0, start.AddDate(100, 0, 0), start.AddDate(99, 0, 0))
	if _, ok := get(f, "good"); !ok {
		t.Error("what has no end is forgotten")
	}
}

func TestFewBucketsAreAsked(t *testing.T) {
	f := NewSet(false)
	for now := start; now.Before(start.AddDate(0, 0, 60)); now = now.Add(7 * time.Minute) {
		for _, life := range []time.Duration{15 * time.Minute, 12 * time.Hour, 30 * 24 * time.Hour} {
			add(f, now.String(), 0, now.Add(life), now)
		}
	}
	if got := len(*f.buckets.Load()); got > 100 {
		t.Errorf("%d buckets after two months of mixed entries, want 100 at most", got)
	}
}

func TestFingerprintsAreReadWhileOneAdds(t *testing.T) {
	f := NewSet(true)
	done := make(chan struct{})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				key := i % 5_000
				if got, ok := get(f, fmt.Sprint(key)); ok && got != uint32(key+1) {
					t.Errorf("get(%d) = %d, want %d: a key was seen before its number", key, got, key+1)
					return
				}
			}
		})
	}
	for i := range 5_000 {
		add(f, fmt.Sprint(i), uint32(i+1), start.Add(time.Duration(i)*time.Second), start)
	}
	close(done)
	group.Wait()
}

// TestMemoryOfRevocations holds the goal of 16 MB for a million ids: sixteen bytes each, at whatever fill the table happens to have. What
// a table takes does not depend on how many it holds, so a tenth of a million shows it.
func TestMemoryOfRevocations(t *testing.T) {
	const n = 100_000
	before := heap()
	f := NewSet(false)
	for i := range n {
		add(f, fmt.Sprint("jti-", i), 0, start.Add(15*time.Minute), start)
		b := (*f.buckets.Load())[0]
		if size := 8 * len(b.table.Load().keys); i >= minSlots && size > 16*b.count {
			t.Fatalf("%d entries take %d bytes", b.count, size)
		}
	}
	used := heap() - before
	runtime.KeepAlive(f)
	if used > 16*n {
		t.Errorf("%d entries take %d bytes, want %d at most", n, used, 16*n)
	}
	t.Logf("%.1f bytes each", float64(used)/n)
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func BenchmarkFingerprintsGet(b *testing.B) {
	for _, n := range []int{0, 1_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			f := NewSet(false)
			for i := range n {
				add(f, fmt.Sprint("jti-", i), 0, start.Add(time.Duration(i%900)*time.Second+time.Minute), start)
			}
			for b.Loop() {
				get(f, "3q2-7w_9pTfZkC1xLh0vAg")
			}
		})
	}
}
