package audit

import (
	"context"
	"maps"
	"strconv"
	"sync"
	"time"
)

const (
	// coarseFor is how long events that are alike are counted after one of them was recorded.
	coarseFor = time.Minute
	// coarseKinds bounds the kinds of event that are counted at once.
	coarseKinds = 4096
	// countDetail tells how many events one stands for.
	countDetail = "count"
)

// Coarsely is a Recorder for what a caller can do as often as they like, such as being refused. Events with the same Action, Actor, Target and
// reason (in the details) are alike: the first is recorded at once, and those of each minute after it as one, which is like the first, has the request id of the last,
// and says in the detail "count" how many it stands for. Like Record it never waits.
func (l *Log) Coarsely() Recorder { return &l.coarse }

// coarse counts events that are alike. It is safe for concurrent use.
type coarse struct {
	log *Log

	mu    sync.Mutex
	kinds map[kind]*repeated
	ended bool // nobody asks what is due any more
}

type kind struct{ action, actor, target, reason string }

type repeated struct {
	first Event
	until time.Time
	more  int
	last  string // request id
}

// Record takes an event. Should more kinds be counted than there is room for, the event goes to the log with its whole content.
func (c *coarse) Record(ctx context.Context, e Event) {
	now, of := c.log.now(), kind{e.Action, e.Actor, e.Target, e.Detail["reason"]}
	if e.RequestID == "" {
		e.RequestID = RequestOf(ctx)
	}
	c.mu.Lock()
	r, known := c.kinds[of]
	room := c.ended || len(c.kinds) < coarseKinds
	switch {
	case known:
		r.more, r.last = r.more+1, e.RequestID
	case room && !c.ended:
		c.kinds[of] = &repeated{first: e, until: now.Add(coarseFor)}
	}
	c.mu.Unlock()
	switch {
	case known:
	case room:
		c.log.Record(ctx, e.standingFor(1))
	default:
		c.log.log.Error("audit event does not reach the store", "event", e)
	}
}

// due takes out the events that stand for those counted until now; at the end all of them, and nothing is counted after that.
func (c *coarse) due(now time.Time, end bool) (out []Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = end
	for of, r := range c.kinds {
		if !end && now.Before(r.until) {
			continue
		}
		if end || r.more == 0 {
			delete(c.kinds, of)
		}
		if r.more == 0 {
			continue
		}
		e := r.first.standingFor(r.more)
		e.At, e.RequestID = now.UTC().Truncate(time.Millisecond), r.last
		out = append(out, e)
		r.more, r.until = 0, now.Add(coarseFor)
	}
	return out
}

// standingFor is e with the number of events it stands for.
func (e Event) standingFor(n int) Event {
	detail := map[string]string{}
	maps.Copy(detail, e.Detail)
	detail[countDetail] = strconv.Itoa(n)
	e.Detail = detail
	return e
}
