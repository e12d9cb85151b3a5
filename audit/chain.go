package audit

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
)

// link is the Chain of an event after one with the given Chain, "" for the first.
func link(before string, e Event) string { return sum(before, e.body()) }

func sum(before string, body []byte) string {
	sum := sha256.Sum256(append([]byte(before), body...))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// text returns e with all of its texts in UTF-8: JSON would replace what is not, and the link would not fit what is read back.
func (e Event) text() Event {
	for _, s := range []*string{&e.Action, &e.Actor, &e.Target, &e.ClientID, &e.RequestID, &e.Outcome} {
		*s = strings.ToValidUTF8(*s, "\uFFFD")
	}
	if e.Detail != nil {
		detail := make(map[string]string, len(e.Detail))
		for k, v := range maps.All(e.Detail) {
			detail[strings.ToValidUTF8(k, "\uFFFD")] = strings.ToValidUTF8(v, "\uFFFD")
		}
		e.Detail = detail
	}
	return e
}

// body is what the link of an event is taken over, beside the Chain of the one before.
func (e Event) body() []byte {
	e.Chain = ""
	body, err := json.Marshal(e)
	if err != nil {
		panic(err) // only for types that JSON cannot hold
	}
	return body
}

// maxWaiting bounds the events whose predecessor is looked for at once: as many chains may overlap.
const maxWaiting = 256

// Check looks through a log from its newest event to its oldest, as Store.ListAudit has it, without holding it in memory. The zero Check is
// ready. It is not safe for concurrent use.
//
// It finds an event that was altered, added or taken out of the middle. What it cannot find: that the newest events of a chain were cut off;
// that the log was cut off before a moment, which is also what trimming does; that the first event after such a cut, of each chain that was
// cut, was altered; and a log that somebody wrote anew as a whole, since no secret goes into the chain. Whoever keeps the Chain of an event
// elsewhere can tell that it is still there.
type Check struct {
	// Events and Chains are how many there were; each replica and start begins a chain.
	Events, Chains int
	// Oldest is the earliest time of an event, from which on nothing may be missing; Newest the time of the newest event.
	Oldest, Newest time.Time

	waiting []waiting
	missed  []Event // those whose predecessor nobody looks for any more
	begun   map[string]bool
}

// waiting is an event whose predecessor has not come yet.
type waiting struct {
	event Event
	body  []byte
}

// Add takes the next older event.
func (c *Check) Add(e Event) {
	if c.Events++; c.Events == 1 {
		c.Oldest, c.Newest = e.At, e.At
	}
	if e.At.Before(c.Oldest) {
		c.Oldest = e.At
	}
	i := slices.IndexFunc(c.waiting, func(w waiting) bool { return sum(e.Chain, w.body) == w.event.Chain })
	if i >= 0 {
		c.waiting = slices.Delete(c.waiting, i, i+1)
	} else {
		c.Chains++
	}
	body := e.body()
	if sum("", body) == e.Chain { // it began a chain
		if c.begun[e.Chain] {
			c.missed = append(c.missed, e)
		}
		if c.begun == nil {
			c.begun = map[string]bool{}
		}
		c.begun[e.Chain] = true
		return
	}
	if c.waiting = append(c.waiting, waiting{e, body}); len(c.waiting) > maxWaiting {
		c.missed = append(c.missed, c.waiting[0].event)
		c.waiting = slices.Delete(c.waiting, 0, 1)
	}
}

// Broken returns the events that fit none before them, oldest first: they were altered, or the one before them was altered, added or taken
// out. One whose predecessor is older than the whole log fits: that one has been trimmed.
func (c *Check) Broken() []Event {
	var out []Event
	judge := func(e Event) {
		if e.After.IsZero() || !e.After.Before(c.Oldest) {
			out = append(out, e)
		}
	}
	for _, e := range c.missed {
		judge(e)
	}
	for _, w := range c.waiting {
		judge(w.event)
	}
	slices.SortFunc(out, func(a, b Event) int { return strings.Compare(a.ID, b.ID) })
	return out
}
