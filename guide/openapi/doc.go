// Package openapi publishes the description of the whole HTTP surface: openapi.yaml as /openapi.json, filled in for this broker, and an
// interactive page at /docs on which it can be tried. What a route does is left to the package that has it; that the description is true
// is held by the tests in cmd/broker.
package openapi
