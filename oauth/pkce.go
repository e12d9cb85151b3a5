package oauth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
)

// MethodS256 is the only code_challenge_method the broker takes (RFC 7636 §4.2).
const MethodS256 = "S256"

// ValidChallenge reports whether c has the form of an S256 challenge: 43 characters of unpadded base64url. One whose last character has
// bits that no hash fills has it too; no verifier will match it.
func ValidChallenge(c string) bool {
	if len(c) != 43 {
		return false
	}
	b, err := base64.RawURLEncoding.DecodeString(c)
	return err == nil && len(b) == sha256.Size
}

// ValidVerifier reports whether v has the form of RFC 7636 §4.1: 43 to 128 unreserved characters.
func ValidVerifier(v string) bool {
	if len(v) < 43 || len(v) > 128 {
		return false
	}
	for i := range len(v) {
		switch c := v[i]; {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '.', c == '_', c == '~':
		default:
			return false
		}
	}
	return true
}

// Challenge returns the S256 challenge of a verifier (RFC 7636 §4.2).
func Challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// VerifyS256 reports whether verifier is well formed and hashes to challenge, compared in constant time (RFC 7636 §4.6).
func VerifyS256(challenge, verifier string) bool {
	return ValidChallenge(challenge) && ValidVerifier(verifier) &&
		subtle.ConstantTimeCompare([]byte(challenge), []byte(Challenge(verifier))) == 1
}
