package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"example.com/broker/internal/fault"
	"example.com/broker/store"
)

// busyTimeout bounds how long a connection waits for a lock of SQLite's own, such as that of a checkpoint.
const busyTimeout = 5 * time.Second

// Options say what to open.
type Options struct {
	// Path names the database file. The file is created with mode 0600 and its folder with 0700 if they do not exist.
	Path string
	// Now is the clock of the one time the driver sets by itself, that of the last Ping.
	Now func() time.Time
	// Log hears of migrations and of a schema newer than the program; nil discards.
	Log *slog.Logger

	hooks hooks
}

// database is what all stores of one file share.
type database struct {
	write *writer
	read  *reader
	now   func() time.Time
}

// Open opens the file, brings its schema up to date and starts the writer; Close of the result ends it. The file belongs to the caller's
// process until then: fault.Conflict "store_locked" if another one (or an earlier Open) has it. fault.Conflict "schema_newer" if a newer
// program wrote the schema and this one cannot work with it; the file is left as it is. fault.Unavailable if the disk refuses.
func Open(ctx context.Context, o Options) (*store.Stores, error) {
	if o.Path == "" || o.Now == nil {
		return nil, errors.New("sqlite: Options need Path and Now")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	path, err := prepare(o.Path)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, codeUnavailable, "The database file %s cannot be created; check the folder and its permissions.", o.Path)
	}
	lock, err := acquire(path + ".lock")
	if err != nil {
		return nil, lockFault(err, path)
	}
	db, err := connect(ctx, path, o)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return db.stores(lock), nil
}

// prepare makes the folder and the file with narrow modes, before SQLite would with wide ones (its side files copy the mode), and
// returns the one name under which the file is locked.
func prepare(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the path is the operator's own setting
	if err != nil {
		return "", err
	}
	if err := errors.Join(f.Chmod(0o600), f.Close()); err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}

func lockFault(err error, path string) error {
	if errors.Is(err, errLocked) {
		return fault.New(fault.Conflict, "store_locked",
			"The database file %s is open in another broker, and only one may have it; stop that one or set another file.", path)
	}
	return fault.Wrap(err, fault.Unavailable, codeUnavailable, "The lock beside the database file %s cannot be taken.", path)
}

func connect(ctx context.Context, path string, o Options) (_ *database, err error) {
	main, err := sql.Open("sqlite", dsn(path, url.Values{
		"_journal_mode": {"WAL"},
		"_synchronous":  {"FULL"},
		"_pragma":       {"journal_size_limit(67108864)", "temp_store(MEMORY)", "cache_size(-8192)"},
	}))
	if err != nil {
		return nil, fmt.Errorf("sqlite: open: %w", err)
	}
	main.SetMaxOpenConns(1)
	defer func() {
		if err != nil {
			err = errors.Join(classify(err), main.Close())
		}
	}()
	if err := requireWAL(ctx, main); err != nil {
		return nil, err
	}
	if err := migrate(ctx, main, path, o.Log); err != nil {
		return nil, err
	}
	pool, err := sql.Open("sqlite", dsn(path, url.Values{
		"mode":        {"ro"},
		"_query_only": {"1"},
		"_pragma":     {"temp_store(MEMORY)"},
	}))
	if err != nil {
		return nil, fmt.Errorf("sqlite: open the readers: %w", err)
	}
	conns := max(4, runtime.GOMAXPROCS(0))
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	w, err := startWriter(ctx, main, o.hooks)
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return &database{write: w, read: &reader{db: pool}, now: o.Now}, nil
}

// requireWAL fails where SQLite silently kept another journal, as on some network file systems: there, readers would block the writer.
func requireWAL(ctx context.Context, db *sql.DB) error {
	var mode string
	if err := db.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return fmt.Errorf("sqlite: read the journal mode: %w", err)
	}
	if mode != "wal" {
		return fault.New(fault.Unavailable, codeUnavailable,
			"The file system of the database offers the journal mode %q where \"wal\" is needed; move the file to a local disk.", mode)
	}
	return nil
}

func dsn(path string, query url.Values) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/data becomes /C:/data
	}
	query.Set("_busy_timeout", fmt.Sprint(busyTimeout.Milliseconds()))
	return (&url.URL{Scheme: "file", Path: path, RawQuery: query.Encode()}).String()
}

func (d *database) stores(lock *os.File) *store.Stores {
	return &store.Stores{
		Users:    &userStore{d},
		Admins:   &adminStore{d},
		RBAC:     &rbacStore{d},
		Clients:  &clientStore{d},
		Sessions: &sessionStore{d},
		Keys:     &keyStore{d},
		Grants:   &grantStore{d},
		Allowed:  &allowStore{d},
		APIKeys:  &apiKeyStore{d},
		Policies: &policyStore{d},
		Articles: &articleStore{d},
		Once:     &onceBox{d},
		Changes:  &changeStream{d},
		Limits:   &limitStore{d},
		Audit:    &auditStore{d},
		Ping:     d.ping,
		Sweep:    d.sweep,
		// Readers first: the last connection to close is the one that may write, so that it folds the log into the file. The lock last:
		// nobody may open the file before.
		Close: sync.OnceValue(func() error { return errors.Join(d.read.close(), d.write.close(), lock.Close()) }),
	}
}

// ping writes, because a store that can only be read cannot sign anybody in.
func (d *database) ping(ctx context.Context) error {
	at := millis(d.now())
	return d.write.do(ctx, func(t *tx) error {
		_, err := t.exec(`UPDATE pulse SET at = ?`, at)
		return err
	})
}
