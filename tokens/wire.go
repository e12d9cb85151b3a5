package tokens

import (
	"strings"

	"github.com/google/uuid"

	"example.com/broker/internal/secret"
)

const (
	anchorBytes = 16
	secretBytes = 32

	// What secret.New makes of them, in unpadded base64url.
	idLen     = 36
	anchorLen = 22
	secretLen = 43

	refreshPrefix = "rt_"
)

// authorizationCode is `<gid>.<secret>`: the id finds the row, the secret proves it.
type authorizationCode struct {
	grantID string
	secret  secret.Value
}

func (c authorizationCode) String() string { return c.grantID + "." + c.secret.Reveal() }

func parseCode(raw string) (authorizationCode, bool) {
	id, rest, ok := strings.Cut(raw, ".")
	if !ok || !isID(id) || !isRandom(rest, secretLen) {
		return authorizationCode{}, false
	}
	return authorizationCode{id, secret.Value(rest)}, true
}

// refreshToken is `rt_<gid>.<anchor>.<secret>`. The secret is replaced at every use. The anchor stays: it proves that whoever presents
// an old secret did hold the family once, so that knowing a grant's id is not enough to have it killed.
type refreshToken struct {
	grantID        string
	anchor, secret secret.Value
}

func (t refreshToken) String() string {
	return refreshPrefix + t.grantID + "." + t.anchor.Reveal() + "." + t.secret.Reveal()
}

// next returns the family's token with another secret.
func (t refreshToken) next(s secret.Value) refreshToken { return refreshToken{t.grantID, t.anchor, s} }

func parseRefresh(raw string) (refreshToken, bool) {
	rest, ok := strings.CutPrefix(raw, refreshPrefix)
	if !ok {
		return refreshToken{}, false
	}
	parts := strings.Split(rest, ".")
	if len(parts) != 3 || !isID(parts[0]) || !isRandom(parts[1], anchorLen) || !isRandom(parts[2], secretLen) {
		return refreshToken{}, false
	}
	return refreshToken{parts[0], secret.Value(parts[1]), secret.Value(parts[2])}, true
}

// isID reports whether s can be the id of a grant, so that nothing else reaches the store.
func isID(s string) bool { return len(s) == idLen && uuid.Validate(s) == nil }

// isRandom reports whether s has the form of secret.New's output.
func isRandom(s string, length int) bool {
	if len(s) != length {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}
