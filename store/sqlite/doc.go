// Package sqlite keeps everything the broker stores in one SQLite file. It is the default driver and needs no server and no cgo.
//
// One goroutine writes. It takes the operations that wait, runs each within a savepoint and commits them together, so that 64 callers
// pay for one fsync between them; a caller has its answer only after the commit. Reads go to a pool of read-only connections and see
// what was committed before they began. What the contracts of the consumers call a sequence is one transaction here.
//
// A document is a JSON column beside the columns that conditions and indexes need. Times are UTC milliseconds, 0 for the zero time.
// Whether something has expired is judged by the caller's now in the condition of each statement; Sweep only cleans up.
//
// A file belongs to one process at a time (see Open). What the stored values mean is left to the packages that own them.
package sqlite
