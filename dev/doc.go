// Package dev is what `broker dev` adds to the broker, so that "Sign in with GitHub" works before anybody registers anything: a
// folder that keeps keys, passwords and ports between runs, people and clients to try, the local upstreams, and a demo app on an
// origin of its own with an API behind it that trusts the broker's tokens.
//
// It leaves the configuration and the running of servers to cmd/broker, and what GitHub and Google say to providers/local.
package dev
