// Package secret makes random values, hashes and compares them, and seals data that leaves the process. It holds every use of
// crypto/rand but key generation. A Value never prints itself.
package secret

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
)

// Value is a string that must not reach a log: fmt, slog and encoders print a placeholder in its place. Reveal gives the text.
//
// Two ways around it are left, because no method is called there: fmt looks into unexported fields, and encoding/json writes the keys of
// a map as they are. A struct that holds a Value in such a field is not to be printed whole, and a Value is no key of a map.
type Value string

const placeholder = "[secret]"

// String returns the placeholder.
func (Value) String() string { return placeholder }

// Format prints the placeholder for every verb. String alone would not do: fmt prints the text itself where a verb does not fit.
func (Value) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, placeholder) }

// LogValue keeps slog handlers from reflecting into the string.
func (Value) LogValue() slog.Value { return slog.StringValue(placeholder) }

// MarshalText keeps encoders (JSON, YAML) from writing the text.
func (Value) MarshalText() ([]byte, error) { return []byte(placeholder), nil }

// Reveal returns the secret text.
func (v Value) Reveal() string { return string(v) }

// New returns n random bytes from crypto/rand in unpadded base64url; 16 bytes are 22 characters, 32 bytes are 43.
func New(n int) Value {
	b := make([]byte, n)
	rand.Read(b) // never fails, see crypto/rand
	return Value(base64.RawURLEncoding.EncodeToString(b))
}

// Hash returns the SHA-256 of v in unpadded base64url: the stored form of a random secret. It is no password hash.
func Hash(v Value) string {
	sum := sha256.Sum256([]byte(v))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Equal compares a stored hash with a presented secret in constant time. An empty hash equals nothing, and nor does an empty secret,
// though it has a hash.
func Equal(hash string, presented Value) bool {
	return hash != "" && presented != "" && subtle.ConstantTimeCompare([]byte(hash), []byte(Hash(presented))) == 1
}

// EqualText compares two texts of any length without leaking where they differ. Empty texts are never equal.
func EqualText(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return a != "" && subtle.ConstantTimeCompare(x[:], y[:]) == 1
}
