package apikeys

import (
	"encoding/base64"
	"hash/crc32"
	"math/big"
	"strings"

	"example.com/broker/internal/secret"
)

// Prefix starts every key, so that scanners find one that leaked.
const Prefix = "bk_"

const (
	idLength     = 22 // 16 random bytes
	secretLength = 43 // 32 random bytes
	sumLength    = 6
	// textLength is that of a whole key: prefix, id, underscore, secret, checksum.
	textLength = len(Prefix) + idLength + 1 + secretLength + sumLength
)

// text is a key as its owner keeps it: bk_<id>_<secret><checksum>. The checksum, CRC-32 in base 62, lets a scanner tell a key from a
// random string without asking anybody; it protects nothing.
func text(id string, key secret.Value) secret.Value {
	body := Prefix + id + "_" + key.Reveal()
	return secret.Value(body + checksum(body))
}

func checksum(body string) string {
	s := new(big.Int).SetUint64(uint64(crc32.ChecksumIEEE([]byte(body)))).Text(62)
	return strings.Repeat("0", sumLength-len(s)) + s
}

// parse splits a key; false for anything that text cannot have made of an id and a secret of ours.
func parse(raw secret.Value) (id string, key secret.Value, ok bool) {
	s := raw.Reveal()
	if len(s) != textLength || !strings.HasPrefix(s, Prefix) {
		return "", "", false
	}
	body := s[:len(s)-sumLength]
	if checksum(body) != s[len(body):] || s[len(Prefix)+idLength] != '_' {
		return "", "", false
	}
	id, rest := s[len(Prefix):len(Prefix)+idLength], body[len(Prefix)+idLength+1:]
	if !canonical(id, idBytes) || !canonical(rest, secretBytes) {
		return "", "", false
	}
	return id, secret.Value(rest), true
}

// canonical reports whether s is the one base64url text of n bytes: a store is never asked for anything else.
func canonical(s string, n int) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(b) == n
}

// LooksLike reports whether text has the form of a key, checksum included, without asking the store.
func LooksLike(raw string) bool {
	_, _, ok := parse(secret.Value(raw))
	return ok
}
