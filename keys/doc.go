// Package keys owns the signing keys: which one signs, which are published, when they turn. Private parts are sealed at rest and
// opened in memory only while they may sign.
//
// A key passes through three states, which follow from its dates alone, so that they change without a write:
//
//	next      published, so that every verifier knows it before it meets it
//	active    signs
//	retired   verifies what it signed until the last of it is dead, then is dropped
//
// What goes into a token is left to tokens, who may fetch the keys to the endpoint that serves them.
package keys
