package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/broker/audit"
	"example.com/broker/internal/changes"
	"example.com/broker/lifecycle"
	"example.com/broker/sessions"
)

var now = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// diary is all that a service writes to, in order. It fails at the step it is told.
type diary struct {
	sessions.Store
	lines []string
	fail  string
}

var errAway = errors.New("away")

func (d *diary) write(what string) error {
	d.lines = append(d.lines, what)
	if what == d.fail {
		return errAway
	}
	return nil
}

func (d *diary) Append(_ context.Context, entries ...changes.Entry) error {
	for _, e := range entries {
		if err := d.write(fmt.Sprintf("entry %s:%s=%d for %v", e.Kind, e.Key, e.Value, e.Until.Sub(now))); err != nil {
			return err
		}
	}
	return nil
}

func (d *diary) DeleteSession(_ context.Context, id string) error { return d.write("row " + id) }

func (d *diary) Record(_ context.Context, e audit.Event) {
	d.lines = append(d.lines, fmt.Sprintf("audit %s %s %s %s", e.Action, e.Actor, e.Target, e.Outcome))
}

func service(d *diary) *lifecycle.Service {
	return lifecycle.New(lifecycle.Options{
		Changes: d, Sessions: d, Audit: d, Now: func() time.Time { return now }, TokenLife: 15 * time.Minute, GrantLife: 720 * time.Hour,
	})
}

func TestTheEntryComesBeforeTheRow(t *testing.T) {
	x := sessions.Session{ID: "sid", UserID: "usr", Until: now.Add(3 * time.Hour)}
	const entry, row, event = "entry sid:sid=1 for 3h15m0s", "row sid", "audit session.end usr sid done"
	for _, c := range []struct {
		rule, fail string
		want       []string
	}{
		{"nothing fails", "", []string{entry, row, event}},
		{"the entry fails: nothing is done, and nobody is told that it was", entry, []string{entry}},
		{"the row fails: the entry stays, so the session is over for everybody", row, []string{entry, row}},
	} {
		d := &diary{fail: c.fail}
		err := service(d).EndSession(t.Context(), x)
		if (err == nil) != (c.fail == "") || (err != nil && !errors.Is(err, errAway)) {
			t.Errorf("%s: EndSession = %v", c.rule, err)
		}
		if diff := cmp.Diff(c.want, d.lines); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.rule, diff)
		}
		// Repeating the call completes it.
		d.fail, d.lines = "", nil
		if err := service(d).EndSession(t.Context(), x); err != nil {
			t.Errorf("%s: again: %v", c.rule, err)
		}
		if diff := cmp.Diff([]string{entry, row, event}, d.lines); diff != "" {
			t.Errorf("%s: again (-want +got):\n%s", c.rule, diff)
		}
	}
}

func TestEntriesOfUsers(t *testing.T) {
	const epoch, version = "entry epo:usr=7 for 720h15m0s", "entry usr:usr=7 for 1h15m0s"
	for _, c := range []struct {
		rule, fail string
		call       func(*lifecycle.Service) error
		want       []string
	}{
		{"a role change refuses the access tokens", "", func(s *lifecycle.Service) error { return s.BeforeVersion(t.Context(), "usr", 7) }, []string{version}},
		{"a sign-out everywhere ends sessions and grants first", "", func(s *lifecycle.Service) error { return s.BeforeEpoch(t.Context(), "usr", 7) }, []string{epoch, version}},
		{"without the first entry there is no second", epoch, func(s *lifecycle.Service) error { return s.BeforeEpoch(t.Context(), "usr", 7) }, []string{epoch}},
		{"the second is reported too", version, func(s *lifecycle.Service) error { return s.BeforeEpoch(t.Context(), "usr", 7) }, []string{epoch, version}},
	} {
		d := &diary{fail: c.fail}
		if err := c.call(service(d)); (err == nil) != (c.fail == "") {
			t.Errorf("%s: %v", c.rule, err)
		}
		if diff := cmp.Diff(c.want, d.lines); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.rule, diff)
		}
	}
}
