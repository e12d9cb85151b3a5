package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/broker/audit"
	"example.com/broker/config"
	"example.com/broker/store/sqlite"
)

func TestTheAuditLogIsListedAndVerified(t *testing.T) {
	for _, v := range serveEnv() {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
	t.Chdir(t.TempDir())
	for _, name := range []string{"alice", "bob", "carol"} {
		if code, _, talk := here(t, "", "user", "create", "--username", name); code != exitDone {
			t.Fatal(talk)
		}
	}
	list := func(args ...string) (page []audit.Event) {
		t.Helper()
		_, out, talk := here(t, "", append([]string{"audit", "list", "-o", "json"}, args...)...)
		if err := json.Unmarshal([]byte(out), &page); err != nil {
			t.Fatalf("%v: %s%s", err, out, talk)
		}
		return page
	}
	look := func(t *testing.T) []audit.Event {
		t.Helper()
		all := list()
		if len(all) != 3 || all[0].Action != "user.create" || all[0].ID < all[1].ID {
			t.Fatalf("%+v, want three events, newest first", all)
		}
		if diff := cmp.Diff(all[1:2], list("--before", all[0].ID, "--limit", "1")); diff != "" {
			t.Errorf("the second page (-want +got):\n%s", diff)
		}
		if code, out, talk := here(t, "", "audit", "list"); code != exitDone || strings.Count(out, "user.create   done") != 3 {
			t.Errorf("exit code %d\n%s%s", code, out, talk)
		}
		if code, _, _ := here(t, "", "audit", "list", "--limit", "0"); code != exitUsage {
			t.Errorf("a page of nothing: exit code %d", code)
		}
		code, out, talk := here(t, "", "audit", "verify")
		if code != exitDone || talk != "" || !strings.HasPrefix(masked(out), "events   3\nchains   3\n") {
			t.Errorf("exit code %d\n%s%s", code, out, talk)
		}
		return all
	}
	look(t)
	t.Run("on a running broker", func(t *testing.T) {
		stop := serveHere(t)
		look(t)
		stop()
	})
	all := list()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: "broker.db", Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	forged := all[1]
	forged.ID, forged.Target = forged.ID[:len(forged.ID)-1]+"x", "nobody"
	if err := s.Audit.AppendAudit(t.Context(), []audit.Event{forged}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	code, out, talk := here(t, "", "audit", "verify")
	if code != exitFailed || !strings.Contains(out, forged.ID) || !strings.Contains(talk, "first "+forged.ID) || !strings.Contains(talk, "audit_broken") {
		t.Errorf("with a forged event: exit code %d\n%s%s", code, out, talk)
	}
	code, out, _ = here(t, "", "audit", "verify", "-o", "json")
	var v verdict
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != exitFailed || v.Events != 4 || len(v.Broken) != 1 || v.Broken[0].ID != forged.ID {
		t.Errorf("exit code %d, %v\n%s", code, err, out)
	}
}

func TestOldAuditEventsGo(t *testing.T) {
	for _, row := range []struct {
		keep time.Duration
		left []string
	}{{30 * 24 * time.Hour, []string{"29"}}, {0, []string{"29", "31", "400"}}} {
		onBothStores(t, func(t *testing.T, w *world) {
			record := func(ago string) {
				t.Helper()
				var days int
				if _, err := fmt.Sscan(ago, &days); err != nil {
					t.Fatal(err)
				}
				l := audit.NewLog(w.stores.Audit, func() time.Time { return w.now().AddDate(0, 0, -days) }, w.log)
				for range 700 { // more than a batch
					l.Record(t.Context(), audit.Event{Action: "old", Target: ago, Outcome: "done"})
				}
				ended, cancel := context.WithCancel(t.Context())
				cancel()
				if err := l.Run(ended); err != nil {
					t.Fatal(err)
				}
			}
			for _, ago := range []string{"400", "31", "29"} {
				record(ago)
			}
			if err := w.trimAudit(t.Context()); err != nil {
				t.Fatal(err)
			}
			left := map[string]int{}
			var check audit.Check
			if err := eachEvent(t.Context(), direct{w.program}, "", 1<<20, func(e audit.Event) {
				check.Add(e)
				if e.Action == "old" {
					left[e.Target]++
				}
			}); err != nil {
				t.Fatal(err)
			}
			want := map[string]int{}
			for _, ago := range row.left {
				want[ago] = 700
			}
			if diff := cmp.Diff(want, left); diff != "" || check.Broken() != nil {
				t.Errorf("kept for %v: days and events left (-want +got):\n%s, broken at %v", row.keep, diff, check.Broken())
			}
		}, func(c *config.Config) { c.Audit.Keep = row.keep })
	}
}

// N05: whoever is turned away with 429 comes back at the rate of the network; the audit log must not grow at it.
func TestBeingTurnedAwayDoesNotFillTheAuditLog(t *testing.T) {
	w := newWorld(t, "sqlite")
	alice := w.person("alice")
	const turned = 30
	for range 10 + turned {
		w.login(alice.Username, "wrong")
	}
	w.stop()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: w.cfg.Store.SQLite.Path, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	all, err := s.Audit.ListAudit(t.Context(), "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	rows, count := map[string]int{}, 0
	for _, e := range all {
		if e.Action != "user.authenticate" || e.Target != alice.ID {
			continue
		}
		rows[e.Detail["reason"]]++
		n, _ := strconv.Atoi(e.Detail["count"])
		count += n
	}
	if diff := cmp.Diff(map[string]int{"credentials_invalid": 10, "rate_limited": 2}, rows); diff != "" || count != turned {
		t.Errorf("%d refusals are counted, want %d; events by reason (-want +got):\n%s", count, turned, diff)
	}
}
