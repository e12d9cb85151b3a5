package abac

import "time"

const (
	// absentFor is how long a replica that found no application of a name answers so without looking again. Anybody may ask for the metadata
	// of an application, so that made-up names must not reach the store each time.
	absentFor = time.Second
	// absentKept bounds what made-up names cost in memory.
	absentKept = 1000
)

// absent are names of applications that were not there lately. The caller holds the lock of the Service.
type absent map[string]time.Time

func (a absent) has(app string, now time.Time) bool {
	at, ok := a[app]
	return ok && now.Sub(at).Abs() < absentFor
}

func (a absent) note(app string, now time.Time) {
	if len(a) >= absentKept {
		clear(a)
	}
	a[app] = now
}
