package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"example.com/broker/internal/fault"
)

const codeUnavailable = "store_unavailable"

// classify turns what the driver says into the kinds the product knows. What is neither a fault yet nor trouble of the disk, of the
// connection or of the caller's deadline is a mistake in this package and stays internal.
func classify(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	if !trouble(err) {
		return fmt.Errorf("sqlite: %w", err)
	}
	return &fault.Error{
		Kind: fault.Unavailable, Code: codeUnavailable, Message: "The database did not answer; try again in a moment.",
		RetryAfter: time.Second, Cause: err,
	}
}

func trouble(err error) bool {
	for _, target := range []error{context.Canceled, context.DeadlineExceeded, sql.ErrConnDone, driver.ErrBadConn, errClosed, errNotCommitted} {
		if errors.Is(err, target) {
			return true
		}
	}
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return false
	}
	switch e.Code() & 0xff { // the low byte is the primary code
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_INTERRUPT,
		sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL,
		sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_PERM, sqlite3.SQLITE_ABORT:
		return true
	}
	return false
}
