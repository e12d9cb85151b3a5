package audit

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/google/uuid"
)

type contextKey struct{}

// WithRequest lets events recorded under ctx name the request they belong to.
func WithRequest(ctx context.Context, requestID string) context.Context {
	return context.WithValue(ctx, contextKey{}, requestID)
}

// RequestOf returns the request id of ctx, "" for none.
func RequestOf(ctx context.Context) string {
	id, _ := ctx.Value(contextKey{}).(string)
	return id
}

const (
	queueLength = 4096
	batchLength = 256
	interval    = time.Second
	flushBudget = 5 * time.Second
)

// Log is the Recorder of a running broker: events wait in memory for at most a second, then go to the store in one batch. It keeps
// one hash chain from its start to its end. Record is safe for concurrent use; Run belongs to one goroutine.
type Log struct {
	store Store
	now   func() time.Time
	log   *slog.Logger
	queue chan Event
	chain string
	batch []Event
}

// NewLog records into store.
func NewLog(store Store, now func() time.Time, log *slog.Logger) *Log {
	return &Log{store: store, now: now, log: log, queue: make(chan Event, queueLength)}
}

// Record takes an event. It never waits: should the store be away for so long that the queue is full, the event goes to the log with
// its whole content instead of being lost.
func (l *Log) Record(ctx context.Context, e Event) {
	id, err := uuid.NewV7()
	if err != nil {
		l.log.Error("audit event without id", "cause", err)
		return
	}
	e.ID, e.At = id.String(), l.now().UTC().Truncate(time.Millisecond)
	if e.RequestID == "" {
		e.RequestID = RequestOf(ctx)
	}
	select {
	case l.queue <- e:
	default:
		l.log.Error("audit queue is full", "event", e)
	}
}

// Run writes batches until ctx ends, and then what is left, for at most five seconds.
func (l *Log) Run(ctx context.Context) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case e := <-l.queue:
			l.add(e)
			if len(l.batch) >= batchLength {
				l.flush(ctx)
			}
		case <-tick.C:
			l.flush(ctx)
		case <-ctx.Done():
			return l.finish(ctx)
		}
	}
}

// add chains an event to the one before: nobody can take one out of the middle unseen.
func (l *Log) add(e Event) {
	e.Chain = ""
	body, err := json.Marshal(e)
	if err != nil {
		l.log.Error("audit event cannot be encoded", "action", e.Action, "cause", err)
		return
	}
	sum := sha256.Sum256(append([]byte(l.chain), body...))
	e.Chain = base64.RawURLEncoding.EncodeToString(sum[:])
	l.chain = e.Chain
	l.batch = append(l.batch, e)
}

// flush keeps the batch if the store does not take it; the next tick tries again.
func (l *Log) flush(ctx context.Context) {
	if len(l.batch) == 0 {
		return
	}
	if err := l.store.AppendAudit(ctx, l.batch); err != nil {
		if ctx.Err() == nil {
			l.log.Error("audit events wait for the store", "events", len(l.batch), "cause", err)
		}
		return
	}
	l.batch = nil
}

func (l *Log) finish(ctx context.Context) error {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushBudget)
	defer cancel()
	for {
		select {
		case e := <-l.queue:
			l.add(e)
		default:
			l.flush(last)
			if len(l.batch) > 0 {
				l.log.Error("audit events were not stored", "events", l.batch)
			}
			return nil
		}
	}
}
