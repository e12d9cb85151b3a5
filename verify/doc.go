// Package verify is the guard that an API puts before its routes: it decides, offline, whether an access token
// was issued by this broker, for this API, and is still good. It brings no driver and no web framework along.
//
// It owns
//   - the decoding of a token, stricter than RFC 7519 asks: one spelling of every member, no duplicates, bounded size
//     and depth, exact numbers;
//   - the checks of RFC 9068 section 4 and RFC 8725: type, algorithm bound to the key, issuer, audience, times;
//   - the issuer's public keys, fetched once for any number of requests and kept through an outage ([Remote]);
//   - what the issuer took back since, followed by its signed feed ([Feed]) or asked for ([Introspection]); [Discover] finds out
//     which of the two an issuer wants;
//   - the answers of RFC 6750 section 3 to a request without a good token, and the net/http middleware around them.
//
// It leaves
//   - the signature itself to golang-jwt and the standard library;
//   - the choice of [Revocations] to the API; without one a token is good until it expires;
//   - the question what a caller may do with a given record to the API; roles and scopes are all it looks at;
//   - CORS and rate limits to the server around it. A preflight request carries no token: answer it ahead of
//     [Verifier.Middleware].
//
// JSON Web Keys are parsed here rather than by a JOSE library: golang-jwt reads none, and a second JOSE library would
// bring decryption, key generation and header handling into every API for the sake of three public key types. Each of the
// three is a few fixed members, checked and built by the standard library's own constructors.
//
// Times are UTC. Everything exported is safe for concurrent use unless its comment says otherwise.
package verify
