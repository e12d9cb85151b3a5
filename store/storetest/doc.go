// Package storetest is the contract that every driver passes, with no opt-outs: each method and each error it promises, expiry by the
// caller's now, order of pages, every prefix of every sequence, races in which exactly one wins, and what a restart must keep.
//
// It is imported by the external tests of the drivers only. What a driver promises beyond the contract (group commit, lost answers)
// is left to the driver's own tests.
package storetest
