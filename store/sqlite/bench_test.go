package sqlite_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"example.com/broker/store"
	"example.com/broker/store/sqlite"
	"example.com/broker/tokens"
)

// BenchmarkRotate lets 64 callers rotate a family each, on a store that commits in groups and on one that commits each alone, in
// turns, and reports what both cost and their ratio.
func BenchmarkRotate(b *testing.B) {
	const callers, links = 64, 8
	contenders := []*rotator{
		newRotator(b, "group", callers, sqlite.Hooks{}),
		newRotator(b, "single", callers, sqlite.Hooks{MaxBatch: 1}),
	}
	turns := 0
	for b.Loop() {
		for _, c := range contenders {
			c.turn(b, links)
		}
		turns++
	}
	perOp := func(c *rotator) float64 { return float64(c.spent.Nanoseconds()) / float64(turns*callers*links) }
	b.ReportMetric(0, "ns/op") // of both together: means nothing
	b.ReportMetric(perOp(contenders[0]), "group-ns/rotate")
	b.ReportMetric(perOp(contenders[1]), "single-ns/rotate")
	b.ReportMetric(perOp(contenders[1])/perOp(contenders[0]), "ratio")
}

type rotator struct {
	name  string
	s     *store.Stores
	at    []int // the links each family has
	spent time.Duration
}

func newRotator(b *testing.B, name string, callers int, h sqlite.Hooks) *rotator {
	b.Helper()
	r := &rotator{name: name, s: open(b, filepath.Join(b.TempDir(), name+".db"), h), at: make([]int, callers)}
	end := start().Add(time.Hour)
	for i := range callers {
		g := tokens.Grant{ID: fmt.Sprint("g-", i), AnchorHash: "a", Cur: item("s", 0), IdleUntil: end, Until: end, Scope: "openid profile email"}
		if err := r.s.Grants.InsertGrant(b.Context(), g); err != nil {
			b.Fatal(err)
		}
	}
	return r
}

func (r *rotator) turn(b *testing.B, links int) {
	b.Helper()
	began := time.Now()
	var wg sync.WaitGroup
	for i := range r.at {
		wg.Go(func() {
			for range links {
				r.at[i]++
				if _, err := r.s.Grants.RotateGrant(b.Context(), rotation(fmt.Sprint("g-", i), r.at[i])); err != nil {
					b.Errorf("%s: %v", r.name, err)
					return
				}
			}
		})
	}
	wg.Wait()
	r.spent += time.Since(began)
}
