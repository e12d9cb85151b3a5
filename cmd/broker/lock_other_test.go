//go:build !unix

package main

// lockFile does nothing here: run one test process at a time.
func lockFile(string) (unlock func(), err error) { return func() {}, nil }
