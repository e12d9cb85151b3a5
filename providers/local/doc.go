// Package local owns a GitHub and a Google that run on this computer: two
// [http.Handler]s that speak to a broker as the real ones do, so that "Sign in
// with GitHub" works in a browser before anybody registers an application, and
// so that tests reach an upstream over real HTTP instead of a mocked client.
//
// Each has a page on which one picks who to be (plain HTML forms, a stable
// element id per button), a token endpoint, and the API or the OpenID endpoints
// that the broker's adapters read. What they promise is what GitHub and Google
// document: error codes, answers by Accept header, PKCE S256, codes that work
// once and for ten minutes, scopes, the iss parameter of RFC 9207.
//
// They also misbehave on demand. SetFault replaces the answer of one endpoint
// ([Hang], [Flood], [Redirect], …), TamperResponse edits what the browser
// carries back, and [Google] can be told to issue ID tokens that no honest
// provider would (TamperClaims, SetSigning). [Pick] plays the browser.
//
// State is in memory and ends with the process. Everything is anybody's for
// the asking: there are no passwords. Both therefore answer only requests whose
// Host is loopback (or the one configured) and redirect only to loopback or
// registered addresses. Listening, timeouts and the choice of ports are left to
// whoever serves the handlers; talking to an upstream is left to
// providers/github and providers/oidc, which never import this package.
package local
