package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/broker/apikeys"
	"example.com/broker/clients"
	"example.com/broker/internal/fault"
	"example.com/broker/internal/ratelimit"
	"example.com/broker/store/sqlite"
)

// openChild opens a file as a second process and prints what it hears.
func openChild(path string) error {
	s, err := sqlite.Open(context.Background(), sqlite.Options{Path: path, Now: start})
	if err != nil {
		fmt.Println(fault.KindOf(err), err)
		return nil
	}
	fmt.Println("opened")
	return s.Close()
}

func TestASecondProcessIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "broker.db")
	s := open(t, path, sqlite.Hooks{})
	answer := func() string {
		cmd, lines := child(t, "open", path)
		lines.Scan()
		if err := cmd.Wait(); err != nil {
			t.Fatalf("child: %v", err)
		}
		return lines.Text()
	}
	got := answer()
	for _, want := range []string{"conflict store_locked: ", path, "another broker"} {
		if !strings.Contains(got, want) {
			t.Errorf("the second process hears %q, want it to say %q", got, want)
		}
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("the first one is hurt: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := answer(); got != "opened" {
		t.Errorf("once the first one is closed the second hears %q, want to open", got)
	}
}

func TestAFileIsLockedUnderAllItsNames(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "broker.db"), filepath.Join(dir, "link.db")
	open(t, path, sqlite.Hooks{})
	if err := os.Symlink(path, link); err != nil {
		t.Skipf("no symbolic links here: %v", err)
	}
	for _, name := range []string{path, link, dir + "/./broker.db"} {
		_, err := sqlite.Open(t.Context(), options(t, name, sqlite.Hooks{}))
		if !fault.Is(err, fault.Conflict) || fault.CodeOf(err) != "store_locked" {
			t.Errorf("%s: got %v, want store_locked", name, err)
		}
	}
}

func TestFilesAreForTheirOwnerOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "data")
	path := filepath.Join(dir, "broker ?#%41 é.db")
	s := open(t, path, sqlite.Hooks{})
	if err := s.Ping(t.Context()); err != nil { // the log exists
		t.Fatal(err)
	}
	want := map[string]os.FileMode{dir: 0o700, path: 0o600, path + "-wal": 0o600, path + "-shm": 0o600, path + ".lock": 0o600}
	for name, mode := range want {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: got %v, %v, want mode %v", name, info, err, mode)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	open(t, path, sqlite.Hooks{})
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("a file with a wide mode: got %v, %v, want it narrowed", info, err)
	}
}

func TestWhatCannotBeOpenedIsSaid(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.db")
	text := strings.Repeat("this is no database\n", 500)
	if err := os.WriteFile(garbage, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"a file that is no database":     garbage,
		"a folder":                       dir,
		"a file below a file":            filepath.Join(garbage, "broker.db"),
		"a name that no file system has": filepath.Join(dir, strings.Repeat("x", 5000)),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := sqlite.Open(t.Context(), options(t, path, sqlite.Hooks{}))
			if !fault.Is(err, fault.Unavailable) || fault.CodeOf(err) != "store_unavailable" {
				t.Errorf("got %v, want store_unavailable", err)
			}
		})
	}
	if got, err := os.ReadFile(garbage); err != nil || string(got) != text {
		t.Errorf("the file that is no database was changed: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	fresh := filepath.Join(dir, "fresh.db")
	if _, err := sqlite.Open(ctx, options(t, fresh, sqlite.Hooks{})); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled caller: got %v", err)
	}
	open(t, fresh, sqlite.Hooks{}) // no lock is left behind
	if _, err := sqlite.Open(t.Context(), sqlite.Options{Path: fresh}); err == nil {
		t.Error("options without a clock were taken")
	}
}

// edit changes a closed file as a newer program would have.
func edit(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestANewerSchema(t *testing.T) {
	const newer = `INSERT INTO schema_version (version_id, is_applied) VALUES (99, 1)`
	path := filepath.Join(t.TempDir(), "broker.db")
	s := open(t, path, sqlite.Hooks{})
	if err := s.Clients.InsertClient(t.Context(), clients.Client{ID: "app"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	t.Run("that the version before can work with is used", func(t *testing.T) {
		edit(t, path, newer, `ALTER TABLE clients ADD COLUMN added_later TEXT`)
		s := open(t, path, sqlite.Hooks{})
		if err := s.Clients.InsertClient(t.Context(), clients.Client{ID: "app-2"}); err != nil {
			t.Error(err)
		}
		if got, err := s.Clients.ListClients(t.Context(), "", 5); err != nil || len(got) != 2 {
			t.Errorf("got %d clients, %v, want 2", len(got), err)
		}
	})
	t.Run("that it cannot work with is refused, and the file left as it is", func(t *testing.T) {
		edit(t, path, `UPDATE schema_compat SET oldest = 99`)
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = sqlite.Open(t.Context(), options(t, path, sqlite.Hooks{}))
		if !fault.Is(err, fault.Conflict) || fault.CodeOf(err) != "schema_newer" {
			t.Fatalf("got %v, want schema_newer", err)
		}
		for _, want := range []string{path, "99", "up to 6"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("got %q, want it to say %q", err, want)
			}
		}
		if after, err := os.ReadFile(path); err != nil || !cmp.Equal(before, after) {
			t.Errorf("the file was changed (%v)", err)
		}
	})
}

// newest is the version of the last migration.
func newest(t *testing.T) int64 {
	t.Helper()
	files, err := os.ReadDir("migrations")
	if err != nil || len(files) == 0 {
		t.Fatalf("read the migrations: %v", err)
	}
	v, err := strconv.ParseInt(files[len(files)-1].Name()[:5], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// A file of the version before gets what is new and keeps what it had, and the program before can still open it.
func TestAFileOfTheVersionBefore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "broker.db")
	s := open(t, path, sqlite.Hooks{})
	if err := s.Clients.InsertClient(t.Context(), clients.Client{ID: "app"}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Limits.Take(t.Context(), "failed", ratelimit.Bounds{Limit: 1000, Window: time.Hour}, start()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	edit(t, path, `DROP TABLE api_keys`, `DROP TABLE allowed_tokens`, `DROP TABLE documents`, `DROP TABLE policies`, `DROP TABLE articles`,
		`DROP INDEX counters_by_until`, `ALTER TABLE counters DROP COLUMN run`, `ALTER TABLE counters DROP COLUMN until`,
		`CREATE INDEX counters_by_ends ON counters (ends)`, `DROP INDEX audit_by_at`, `DELETE FROM schema_version WHERE version_id > 1`)

	s = open(t, path, sqlite.Hooks{})
	if _, err := s.Clients.GetClient(t.Context(), "app"); err != nil {
		t.Errorf("the client of before: %v", err)
	}
	if err := s.APIKeys.InsertKey(t.Context(), apikeys.Key{ID: "k", ExpiresAt: start()}); err != nil {
		t.Errorf("an API key: %v", err)
	}
	if err := s.Allowed.AllowToken(t.Context(), "jti", start()); err != nil {
		t.Errorf("an allowed token: %v", err)
	}
	if got, _, err := s.Limits.Take(t.Context(), "failed", ratelimit.Bounds{Limit: 1000, Window: time.Hour}, start()); err != nil || got.Count != 2 || got.Run != 2 {
		t.Errorf("the failures of before: %+v, %v, want 2 in the window and in a row", got, err)
	}
	for query, want := range map[string]int64{"SELECT max(version_id) FROM schema_version": 6, "SELECT oldest FROM schema_compat": 1} {
		if got, err := sqlite.Ask[int64](t.Context(), s, query); err != nil || got != want {
			t.Errorf("%s: got %d, %v, want %d", query, got, err, want)
		}
	}
}

// A list and a sweep must not read what they do not need.
func TestNewTablesAreReadByIndex(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "broker.db"), sqlite.Hooks{})
	for _, c := range []struct{ query, index string }{
		{"SELECT id FROM api_keys WHERE owner_id = 'u' ORDER BY created_at DESC, id DESC", "api_keys_by_owner"},
		{"SELECT id FROM api_keys WHERE owner_id = 'u' AND revoked_at = 0 AND expires_at > 1 ORDER BY created_at DESC, id DESC", "api_keys_by_owner"},
		{"SELECT rowid FROM api_keys WHERE gone <= 1", "api_keys_by_gone"},
		{"SELECT jti FROM allowed_tokens WHERE until <= 1", "allowed_tokens_by_until"},
		{"SELECT id FROM audit WHERE unixepoch(doc ->> 'at') < 1 ORDER BY unixepoch(doc ->> 'at'), id LIMIT 5", "audit_by_at"},
	} {
		plan, err := sqlite.Plan(t.Context(), s, c.query)
		if err != nil || !strings.Contains(plan, c.index) || strings.Contains(plan, "SCAN") || strings.Contains(plan, "TEMP B-TREE") {
			t.Errorf("%s: got plan %q, %v, want %s alone", c.query, plan, err, c.index)
		}
	}
}

func TestReadersCannotWrite(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "broker.db"), sqlite.Hooks{})
	if _, err := sqlite.Ask[int64](t.Context(), s, "UPDATE pulse SET at = 1 RETURNING at"); err == nil {
		t.Error("a reader wrote")
	}
}

func TestTheFileIsSafeAgainstPowerLoss(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "broker.db"), sqlite.Hooks{})
	if mode, err := sqlite.Ask[string](t.Context(), s, "PRAGMA journal_mode"); err != nil || mode != "wal" {
		t.Errorf("journal mode %q, %v, want wal", mode, err)
	}
	const full = 2
	if sync, err := sqlite.Tell(t.Context(), s, "PRAGMA synchronous"); err != nil || sync != full {
		t.Errorf("synchronous %d, %v, want %d", sync, err, full)
	}
}

func TestPingWritesTheTime(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "broker.db"), sqlite.Hooks{})
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if at, err := sqlite.Ask[int64](t.Context(), s, "SELECT at FROM pulse"); err != nil || !time.UnixMilli(at).Equal(start()) {
		t.Errorf("got %v, %v, want %v", time.UnixMilli(at).UTC(), err, start())
	}
}
