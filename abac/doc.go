// Package abac decides by policies over attributes, written in Cedar. It owns what a policy set is, how it is checked before it is saved,
// and the one evaluation: a compiled set answers from memory, without waiting for anything, and says no wherever something is missing or
// goes wrong. Who asks, and what the roles say beside it, is left to package access.
package abac
