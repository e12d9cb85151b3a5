package oauth_test

import (
	"crypto/sha256"
	"encoding/base64"
	"regexp"
	"strings"
	"testing"

	"example.com/broker/oauth"
)

// The pair of RFC 7636 appendix B.
const (
	rfcVerifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	rfcChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

func TestVerifyS256(t *testing.T) {
	long := strings.Repeat("~", 128)
	for _, row := range []struct {
		rule, challenge, verifier string
		want                      bool
	}{
		{"the pair of RFC 7636", rfcChallenge, rfcVerifier, true},
		{"a verifier of 128 characters", oauth.Challenge(long), long, true},
		{"another verifier", rfcChallenge, strings.Replace(rfcVerifier, "d", "e", 1), false},
		{"no verifier", rfcChallenge, "", false},
		{"no challenge", "", rfcVerifier, false},
		{"neither", "", "", false},
		{"the challenge of nothing", oauth.Challenge(""), "", false},
		{"the challenge itself, as plain would have it", rfcVerifier, rfcVerifier, false},
		{"a verifier of 42 characters", oauth.Challenge(rfcVerifier[:42]), rfcVerifier[:42], false},
		{"a verifier of 129 characters", oauth.Challenge(long + "~"), long + "~", false},
		{"a verifier with a character that is reserved", oauth.Challenge(rfcVerifier + "+"), rfcVerifier + "+", false},
		{"a verifier with a space", oauth.Challenge(rfcVerifier + " "), rfcVerifier + " ", false},
		{"a padded challenge", rfcChallenge + "=", rfcVerifier, false},
		{"a challenge in hexadecimal", "13d31e961a1ad8ec2f16b10c4c982e0876a878ad6df144566ee1894acb70f9c3", rfcVerifier, false},
	} {
		if got := oauth.VerifyS256(row.challenge, row.verifier); got != row.want {
			t.Errorf("%s: VerifyS256 = %v, want %v", row.rule, got, row.want)
		}
	}
}

func TestValidChallenge(t *testing.T) {
	for _, row := range []struct {
		rule, challenge string
		want            bool
	}{
		{"the challenge of RFC 7636", rfcChallenge, true},
		{"42 characters", rfcChallenge[:42], false},
		{"44 characters", rfcChallenge + "A", false},
		{"the other alphabet of base64", strings.Replace(rfcChallenge, "-", "+", 1), false},
		{"bits beyond the 32 bytes", rfcChallenge[:42] + "N", true},
		{"a line break that a decoder would skip", rfcChallenge[:42] + "\n", false},
		{"nothing", "", false},
	} {
		if got := oauth.ValidChallenge(row.challenge); got != row.want {
			t.Errorf("%s: ValidChallenge = %v, want %v", row.rule, got, row.want)
		}
	}
}

// FuzzVerifyS256 states that only a well-formed verifier and the hash of that very verifier agree.
func FuzzVerifyS256(f *testing.F) {
	wantSeeds(f, "FuzzVerifyS256")
	form := regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)
	f.Fuzz(func(t *testing.T, challenge, verifier string) {
		sum := sha256.Sum256([]byte(verifier))
		hash := base64.RawURLEncoding.EncodeToString(sum[:])
		good := form.MatchString(verifier) && !strings.Contains(verifier, "\n")
		if got, want := oauth.VerifyS256(challenge, verifier), good && challenge == hash; got != want {
			t.Errorf("VerifyS256(%q, %q) = %v, want %v", challenge, verifier, got, want)
		}
		if got := oauth.VerifyS256(hash, verifier); got != good {
			t.Errorf("VerifyS256 of %q and its own hash = %v, want %v", verifier, got, good)
		}
	})
}
