package audit

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"strings"
)

// link is the Chain of an event after one with the given Chain, "" for the first.
func link(before string, e Event) string {
	e.Chain = ""
	body, err := json.Marshal(e)
	if err != nil {
		panic(err) // only for types that JSON cannot hold
	}
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

// Broken returns the ids of the events, given oldest first and from the beginning, that fit none of the chains before them: they were
// altered, or the event before them was altered, added or taken out. Each replica and start begins a chain of its own, so the newest events
// of a chain can be cut off unseen.
func Broken(events []Event) []string {
	heads, seen := map[string]bool{}, map[string]bool{}
	var out []string
	for _, e := range events {
		before, fits := "", false
		for head := range heads {
			if link(head, e) == e.Chain {
				before, fits = head, true
				break
			}
		}
		if !fits && link("", e) != e.Chain || seen[e.Chain] {
			out = append(out, e.ID)
		}
		delete(heads, before)
		heads[e.Chain], seen[e.Chain] = true, true
	}
	return out
}
