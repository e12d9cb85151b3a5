package audit_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/broker/audit"
)

// chains are logs of events at the given days, each of a replica of its own, as they are stored: oldest first.
func chains(t *testing.T, days ...[]int) []audit.Event {
	t.Helper()
	m := &memory{}
	for _, list := range days {
		var now time.Time
		l := audit.NewLog(m, func() time.Time { return now }, slog.New(slog.DiscardHandler))
		for _, day := range list {
			now = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, day)
			l.Record(t.Context(), audit.Event{Action: "test", Target: fmt.Sprint(day), Outcome: "done"})
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := l.Run(ended); err != nil {
			t.Fatal(err)
		}
	}
	return m.events()
}

func days(events []audit.Event, ids []string) string {
	var out []string
	for _, id := range ids {
		i := slices.IndexFunc(events, func(e audit.Event) bool { return e.ID == id })
		out = append(out, events[i].Target)
	}
	return strings.Join(out, " ")
}

func TestATrimmedLogIsWholeAndWhatIsMissingSinceIsNot(t *testing.T) {
	all := chains(t, []int{0, 10, 20, 30, 40}, []int{5, 15, 25}, []int{18}, []int{1, 35, 36}, []int{2, 3})
	if got := audit.Broken(all); got != nil {
		t.Fatalf("a log that nobody touched is broken at %s", days(all, got))
	}
	for _, row := range []struct {
		rule   string
		gone   func(day string) bool
		broken string
	}{
		{"nothing", func(string) bool { return false }, ""},
		{"what was before a day, whichever chain it is of", older(12), ""},
		{"that, where one chain is silent for long", older(16), ""},
		{"one of the middle of a chain", only("20"), "30"},
		{"one of the middle of another", only("15"), "25"},
		{"the newest of a chain is no loss that can be seen", only("25"), ""},
		{"the first of a chain that is younger than the log", only("5"), "15"},
		{"the first after a long silence", func(d string) bool { return older(12)(d) || d == "35" }, "36"},
		{"one that follows a trimmed one", func(d string) bool { return older(12)(d) || d == "20" }, "30"},
		{"all of a chain is no loss that can be seen", func(d string) bool { return d == "18" }, ""},
	} {
		left := slices.DeleteFunc(slices.Clone(all), func(e audit.Event) bool { return row.gone(e.Target) })
		if got := days(all, audit.Broken(left)); got != row.broken {
			t.Errorf("%s: taken out, the log is broken at %q, want %q", row.rule, got, row.broken)
		}
	}
}

func only(day string) func(string) bool { return func(d string) bool { return d == day } }

func older(than int) func(string) bool {
	return func(d string) bool {
		var n int
		_, err := fmt.Sscan(d, &n)
		return err == nil && n < than
	}
}

func TestCheckCounts(t *testing.T) {
	all := chains(t, []int{0, 10}, []int{5}, []int{1, 2})
	var c audit.Check
	for i := len(all) - 1; i >= 0; i-- {
		c.Add(all[i])
	}
	got := []any{c.Events, c.Chains, c.Oldest.Format(time.DateOnly), c.Newest.Format(time.DateOnly), len(c.Broken())}
	if diff := cmp.Diff([]any{5, 3, "2030-01-01", "2030-01-03", 0}, got); diff != "" {
		t.Errorf("events, chains, oldest, newest, broken (-want +got):\n%s", diff)
	}
}

// A log that was damaged all over costs no more memory or time than a good one, and every wound is told.
func TestADamagedLogIsToldInFull(t *testing.T) {
	var days []int
	for i := range 3000 {
		days = append(days, i)
	}
	all := chains(t, days)
	for i := range all {
		all[i].Actor = "somebody else"
	}
	if got := len(audit.Broken(all)); got != len(all) {
		t.Errorf("%d of %d altered events are told", got, len(all))
	}
}
