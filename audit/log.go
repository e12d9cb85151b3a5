package audit

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
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

type actorKey struct{}

// WithActor lets events recorded under ctx that name nobody say who does it, and through which client, "" for none.
func WithActor(ctx context.Context, actor, clientID string) context.Context {
	return context.WithValue(ctx, actorKey{}, [2]string{actor, clientID})
}

// named fills in what WithRequest and WithActor have said.
func (e Event) named(ctx context.Context) Event {
	e.RequestID = cmp.Or(e.RequestID, RequestOf(ctx))
	if who, ok := ctx.Value(actorKey{}).([2]string); ok && (e.Actor == "" || e.Actor == who[0]) {
		e.Actor, e.ClientID = who[0], cmp.Or(e.ClientID, who[1])
	}
	return e
}

const (
	queueLength = 4096
	batchLength = 256
	interval    = time.Second
	flushBudget = 5 * time.Second
)

// Log is the Recorder of a running broker: events wait in memory for at most a second, then go to the store in one batch. It keeps
// one hash chain from its start to its end. Record is safe for concurrent use; Run belongs to one goroutine and is called once.
type Log struct {
	store Store
	now   func() time.Time
	log   *slog.Logger
	queue chan Event
	chain string    // of the last event
	last  time.Time // and its time
	batch []Event

	coarse coarse

	mu     sync.RWMutex // held by Record for reading
	closed bool
}

// NewLog records into store.
func NewLog(store Store, now func() time.Time, log *slog.Logger) *Log {
	l := &Log{store: store, now: now, log: log, queue: make(chan Event, queueLength)}
	l.coarse = coarse{log: l, kinds: map[kind]*repeated{}}
	return l
}

// Record takes an event. It never waits: should the store be away for so long that the queue is full, or Run be over, the event goes to
// the log with its whole content instead of being lost.
func (l *Log) Record(ctx context.Context, e Event) {
	e = e.named(ctx)
	e.At = l.now().UTC().Truncate(time.Millisecond)
	l.mu.RLock()
	defer l.mu.RUnlock()
	if !l.closed {
		select {
		case l.queue <- e:
			return
		default:
		}
	}
	l.log.Error("audit event does not reach the store", "event", e)
}

// Run writes batches until ctx ends, and then what is left, for at most five seconds.
func (l *Log) Run(ctx context.Context) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		queue := l.queue
		if len(l.batch) >= batchLength {
			queue = nil // the store does not take what there is, so the queue fills up and memory stays bounded
		}
		select {
		case e := <-queue:
			l.add(e)
			if len(l.batch) >= batchLength {
				l.flush(ctx)
			}
		case <-tick.C:
			if queue != nil { // else the counts wait, which grow no memory
				l.addDue(false)
			}
			l.flush(ctx)
		case <-ctx.Done():
			return l.finish(ctx)
		}
	}
}

// add chains an event to the one before: nobody can take one out of the middle unseen. Ids are given here and not in Record, so that their
// order is that of the chain.
func (l *Log) add(e Event) {
	id, err := uuid.NewV7()
	if err != nil {
		l.log.Error("audit event does not reach the store", "event", e, "cause", err)
		return
	}
	e.ID = id.String()
	e = e.text()
	e.After = l.last
	e.Chain = link(l.chain, e)
	l.chain, l.last = e.Chain, e.At
	l.batch = append(l.batch, e)
}

// addDue adds what stands for events that were counted.
func (l *Log) addDue(end bool) {
	for _, e := range l.coarse.due(l.now(), end) {
		l.add(e)
	}
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
	l.mu.Lock()
	l.closed = true // from here on nothing is put into the queue that nobody takes out
	l.mu.Unlock()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushBudget)
	defer cancel()
	for {
		select {
		case e := <-l.queue:
			l.add(e)
		default:
			l.addDue(true)
			l.flush(last)
			if len(l.batch) > 0 {
				l.log.Error("audit events were not stored", "events", l.batch)
			}
			return nil
		}
	}
}
