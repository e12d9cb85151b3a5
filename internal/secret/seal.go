package secret

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ErrSealed is returned by Open and Verify for anything that no key of the list opens: forged, cut short, sealed for another purpose or by a
// key since removed.
var ErrSealed = errors.New("secret: cannot open sealed value")

// KeySize is the length of an encryption key in bytes.
const KeySize = 32

// Sealer encrypts and authenticates with a list of keys: the first seals, all open, so that a key can be replaced without a gap.
// It is safe for concurrent use.
type Sealer struct{ keys [][]byte }

// NewSealer takes one key or more, each KeySize bytes.
func NewSealer(keys ...[]byte) (*Sealer, error) {
	if len(keys) == 0 {
		return nil, errors.New("secret: no encryption key: give at least one of 32 bytes")
	}
	own := make([][]byte, 0, len(keys))
	for i, k := range keys {
		if len(k) != KeySize {
			return nil, fmt.Errorf("secret: encryption key %d has %d bytes, want %d", i+1, len(k), KeySize)
		}
		own = append(own, bytes.Clone(k))
	}
	return &Sealer{own}, nil
}

// Format keeps the keys out of logs.
func (*Sealer) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, placeholder) }

// Seal returns plaintext encrypted for one purpose, in unpadded base64url: 28 bytes longer, and a third on top of that. Data sealed for one purpose does not open for another.
func (s *Sealer) Seal(purpose string, plaintext []byte) string {
	return base64.RawURLEncoding.EncodeToString(aead(s.keys[0], purpose).Seal(nil, nil, plaintext, nil)) //nolint:gosec // this AEAD makes its nonce itself
}

// Open reverses Seal, or returns ErrSealed. Exactly one text opens: padding, line breaks and stray bits are refused.
func (s *Sealer) Open(purpose, sealed string) ([]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err != nil || strings.ContainsAny(sealed, "\r\n") {
		return nil, ErrSealed
	}
	for _, k := range s.keys {
		if plain, err := aead(k, purpose).Open(nil, nil, b, nil); err == nil {
			return plain, nil
		}
	}
	return nil, ErrSealed
}

// Sign returns data with a MAC of it for one purpose, in unpadded base64url. Everybody can read it and nobody else can make it; unlike what is
// sealed, the same data is the same text each time.
func (s *Sealer) Sign(purpose string, data []byte) string {
	return base64.RawURLEncoding.EncodeToString(append(mac(s.keys[0], purpose, data), data...))
}

// Verify reverses Sign, or returns ErrSealed. Exactly one text is taken.
func (s *Sealer) Verify(purpose, signed string) ([]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(signed)
	if err != nil || strings.ContainsAny(signed, "\r\n") || len(b) < sha256.Size {
		return nil, ErrSealed
	}
	sum, data := b[:sha256.Size], b[sha256.Size:]
	for _, k := range s.keys {
		if hmac.Equal(sum, mac(k, purpose, data)) {
			return data, nil
		}
	}
	return nil, ErrSealed
}

// mac has keys of its own: one key never serves two mechanisms.
func mac(key []byte, purpose string, data []byte) []byte {
	h := hmac.New(sha256.New, derive(key, "mac/"+purpose))
	h.Write(data)
	return h.Sum(nil)
}

// Derived returns a Sealer whose only key comes from v: what it seals can be opened by whoever still holds v and by nobody else.
func Derived(v Value, purpose string) *Sealer {
	return &Sealer{[][]byte{derive([]byte(v), purpose)}}
}

func derive(key []byte, purpose string) []byte {
	out, err := hkdf.Key(sha256.New, key, nil, "broker/"+purpose, KeySize)
	if err != nil {
		panic(err) // only for a length HKDF cannot give
	}
	return out
}

// aead binds the purpose by deriving a key for it, so that no associated data has to be agreed on.
func aead(key []byte, purpose string) cipher.AEAD {
	block, err := aes.NewCipher(derive(key, purpose))
	if err != nil {
		panic(err) // only for a wrong key length, which NewSealer refuses
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return gcm
}
