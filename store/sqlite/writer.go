package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
)

// maxBatch bounds the operations of one commit, and so how long the first of them waits for its answer.
const maxBatch = 256

var (
	errClosed       = errors.New("the store is closed")
	errNotCommitted = errors.New("nothing of this batch was committed")
)

// hooks are places where tests look in or break in; all are nil otherwise.
type hooks struct {
	maxBatch    int           // 0: maxBatch
	beforeWrite func() error  // before each statement of an operation; an error fails the statement
	committed   func(ops int) // after each commit, ahead of the answers
}

// writer owns the one connection that writes.
type writer struct {
	db      *sql.DB
	tx      *tx
	ops     chan *operation // unbuffered: an operation handed over is always answered
	closing chan struct{}
	done    chan struct{}
	limit   int
	hooks   hooks
}

// operation is one act: all of its statements happen, or none.
type operation struct {
	ctx    context.Context // of the caller, who may leave
	act    func(*tx) error
	err    error
	answer chan struct{}
}

func startWriter(ctx context.Context, db *sql.DB, h hooks) (*writer, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("sqlite: open the writer: %w", err)
	}
	w := &writer{
		db: db, tx: &tx{ctx: context.WithoutCancel(ctx), conn: conn, stmts: map[string]*sql.Stmt{}, beforeWrite: h.beforeWrite},
		ops: make(chan *operation), closing: make(chan struct{}), done: make(chan struct{}),
		limit: maxBatch, hooks: h,
	}
	if h.maxBatch > 0 {
		w.limit = h.maxBatch
	}
	go w.run()
	return w, nil
}

// do runs act in the writer, alone and within a savepoint, and returns after the commit that holds it. If act fails or panics, or the
// commit fails, nothing of it is kept. If ctx ends before the writer has begun, act never runs; afterwards the answer is awaited, so
// that a nil error always means done and an error never leaves a doubt that a commit could still remove.
func (w *writer) do(ctx context.Context, act func(*tx) error) error {
	o := &operation{ctx: ctx, act: act, answer: make(chan struct{})}
	select {
	case w.ops <- o:
	case <-ctx.Done():
		return classify(ctx.Err())
	case <-w.closing:
		return classify(errClosed)
	}
	<-o.answer
	return classify(o.err)
}

// close lets the batch under way finish, turns away what waits, and releases the connection.
func (w *writer) close() error {
	close(w.closing)
	<-w.done
	return errors.Join(w.tx.close(), w.db.Close())
}

func (w *writer) run() {
	defer close(w.done)
	batch := make([]*operation, 0, w.limit)
	for {
		select {
		case o := <-w.ops:
			batch = w.gather(append(batch[:0], o))
			w.commit(batch)
			clear(batch)
		case <-w.closing:
			return
		}
	}
}

// gather adds what waits already. It never waits for more: under load the next batch forms while this one commits.
func (w *writer) gather(batch []*operation) []*operation {
	runtime.Gosched() // callers just answered get to hand over their next operation
	for len(batch) < w.limit {
		select {
		case o := <-w.ops:
			batch = append(batch, o)
		default:
			return batch
		}
	}
	return batch
}

// commit runs the batch in one transaction and answers everybody afterwards. If the transaction fails, so do all in it, also those who
// were refused: what they were refused for may be among what was lost.
func (w *writer) commit(batch []*operation) {
	err := w.tx.begin()
	for i := 0; i < len(batch) && err == nil; i++ {
		err = w.apply(batch[i])
	}
	if err == nil {
		err = w.tx.control("COMMIT")
	}
	if err != nil {
		w.tx.rollback()
	} else if w.hooks.committed != nil {
		w.hooks.committed(len(batch))
	}
	for _, o := range batch {
		if err != nil {
			o.err = fmt.Errorf("%w: %w", errNotCommitted, err)
		}
		close(o.answer)
	}
}

// apply runs one operation within a savepoint. Its failure is its own; the error returned is that of the transaction, which SQLite ends
// by itself on some failures of the disk, and everybody in it with it.
func (w *writer) apply(o *operation) error {
	if o.err = o.ctx.Err(); o.err != nil {
		return nil
	}
	if err := w.tx.control("SAVEPOINT op"); err != nil {
		return err
	}
	if o.err = guard(o.act, w.tx); o.err != nil {
		if err := w.tx.control("ROLLBACK TO op"); err != nil {
			return fmt.Errorf("%s: %w", o.err.Error(), err) // as text: others must not take its failure for theirs
		}
	}
	return w.tx.control("RELEASE op")
}

// guard turns a panic into an error: one faulty operation must not end the writing of all others.
func guard(act func(*tx) error, t *tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("operation panicked: %v\n%s", p, debug.Stack())
		}
	}()
	return act(t)
}

// tx is the writing connection with a transaction open. Statements are prepared once, and run to their end whoever leaves: an interrupt
// would end the transaction that others share.
type tx struct {
	ctx         context.Context // never ends
	conn        *sql.Conn
	stmts       map[string]*sql.Stmt
	beforeWrite func() error
}

// exec runs a statement and returns the number of rows it changed.
func (t *tx) exec(query string, args ...any) (int64, error) {
	stmt, err := t.prepare(query)
	if err != nil {
		return 0, err
	}
	res, err := stmt.ExecContext(t.ctx, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// one scans the only row of a query or of a statement with RETURNING; sql.ErrNoRows if there is none.
func (t *tx) one(query string, args []any, dest ...any) error {
	stmt, err := t.prepare(query)
	if err != nil {
		return err
	}
	return stmt.QueryRowContext(t.ctx, args...).Scan(dest...)
}

func (t *tx) prepare(query string) (*sql.Stmt, error) {
	if t.beforeWrite != nil {
		if err := t.beforeWrite(); err != nil {
			return nil, err
		}
	}
	return t.prepared(query)
}

func (t *tx) prepared(query string) (*sql.Stmt, error) {
	if stmt, ok := t.stmts[query]; ok {
		return stmt, nil
	}
	stmt, err := t.conn.PrepareContext(t.ctx, query)
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	t.stmts[query] = stmt
	return stmt, nil
}

// control runs a statement about the transaction itself.
func (t *tx) control(query string) error {
	stmt, err := t.prepared(query)
	if err != nil {
		return err
	}
	_, err = stmt.ExecContext(t.ctx)
	return err
}

// begin takes the write lock at once, so that no statement in the middle can fail for want of it.
func (t *tx) begin() error { return t.control("BEGIN IMMEDIATE") }

// rollback leaves no transaction open. Its error says that SQLite has ended the transaction already.
func (t *tx) rollback() { _ = t.control("ROLLBACK") }

func (t *tx) close() error {
	var errs []error
	for _, stmt := range t.stmts {
		errs = append(errs, stmt.Close())
	}
	return errors.Join(append(errs, t.conn.Close())...)
}
