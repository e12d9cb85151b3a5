// Package authzen is the decision API of OpenID AuthZEN, Authorization API 1.0: other programs ask whether a subject may do something, for
// one question, for many, or in search of who may what. An answer is that of an application's own policies and entities; the broker's
// roles have no say. Which application is meant is said by the base path, or by who asks.
package authzen
