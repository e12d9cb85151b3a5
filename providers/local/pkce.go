package local

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
)

// verifies checks a PKCE verifier against the challenge stored with a code. A
// verifier without a challenge fails too: whoever sends one believes that the
// request was bound to it (RFC 9700 section 4.8.2).
func verifies(challenge, verifier string) bool {
	if challenge == "" || verifier == "" {
		return challenge == verifier
	}
	// RFC 7636 section 4.1: 43 to 128 characters.
	if len(verifier) < 43 || len(verifier) > 128 {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	computed := base64.RawURLEncoding.EncodeToString(sum[:])
	return subtle.ConstantTimeCompare([]byte(computed), []byte(challenge)) == 1
}

// wellFormedChallenge says whether challenge can be the S256 of anything: 32
// bytes in unpadded base64url (RFC 7636 section 4.2).
func wellFormedChallenge(challenge string) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(challenge)
	return err == nil && len(raw) == 32
}
