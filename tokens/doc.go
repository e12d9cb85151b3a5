// Package tokens owns what the broker issues: grants (a code, then a refresh family), access and ID tokens, and their revocation.
//
//   - Grants mints, spends, turns and kills grants; a grant is one row, and a refresh is one write to it.
//   - Issuer signs access and ID tokens and answers userinfo; claims.go holds the one table of which claim is where.
//   - Revocations knows what was taken back, from the followed change stream; Verifier and Hints check the broker's own tokens.
//
// Which client may ask for what is left to clients and oauth/token; who the user is to users; telling other packages that somebody
// signed out to lifecycle.
package tokens
