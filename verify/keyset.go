package verify

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
)

const (
	// minRSABits is what RFC 7518 section 3.3 demands; maxRSABits keeps one check of a signature affordable.
	minRSABits = 2048
	maxRSABits = 8192
)

// ErrUnknownKey is returned by a [KeySet] that has no key under the name, or has one for another algorithm.
var ErrUnknownKey = errors.New("no such key")

// KeySet holds an issuer's public keys.
type KeySet interface {
	// Key returns the key that kid names if it is one for alg, which is ES256 (*ecdsa.PublicKey on P-256), RS256
	// (*rsa.PublicKey of 2048 bits or more) or EdDSA (ed25519.PublicKey). It returns an error that wraps ErrUnknownKey
	// if the issuer has no such key, and any other error if that cannot be told at the moment. It must be safe for concurrent use.
	Key(ctx context.Context, kid, alg string) (crypto.PublicKey, error)
}

// StaticKeys is a [KeySet] that never changes.
type StaticKeys struct {
	keys map[string]staticKey
}

type staticKey struct {
	alg string
	key crypto.PublicKey
}

// NewStaticKeys returns a key set from keys by kid. Each key must be one of the three kinds that [KeySet] names.
func NewStaticKeys(keys map[string]crypto.PublicKey) (*StaticKeys, error) {
	s := &StaticKeys{keys: make(map[string]staticKey, len(keys))}
	for kid, key := range keys {
		alg, err := algorithmOf(key)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", show(kid), err)
		}
		s.keys[kid] = staticKey{alg: alg, key: key}
	}
	return s, nil
}

// Key implements [KeySet].
func (s *StaticKeys) Key(_ context.Context, kid, alg string) (crypto.PublicKey, error) {
	k, ok := s.keys[kid]
	if !ok {
		return nil, fmt.Errorf("key %s: %w", show(kid), ErrUnknownKey)
	}
	if k.alg != alg {
		return nil, fmt.Errorf("key %s is for %s, not %s: %w", show(kid), k.alg, show(alg), ErrUnknownKey)
	}
	return k.key, nil
}

func (s *StaticKeys) has(kid string) bool {
	_, ok := s.keys[kid]
	return ok
}

// algorithmOf returns the one algorithm that a key may be used with (RFC 8725 section 3.1), and an error for a key that is
// too weak, too large or of another kind.
func algorithmOf(key crypto.PublicKey) (string, error) {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		if k == nil || k.Curve != elliptic.P256() {
			return "", errors.New("it is not on the curve P-256")
		}
		return algES256, nil
	case *rsa.PublicKey:
		return algRS256, checkRSA(k)
	case ed25519.PublicKey:
		if len(k) != ed25519.PublicKeySize {
			return "", fmt.Errorf("it has %d bytes, an Ed25519 key has %d", len(k), ed25519.PublicKeySize)
		}
		return algEdDSA, nil
	default:
		return "", fmt.Errorf("a %T is no key for ES256, RS256 or EdDSA", key)
	}
}

func checkRSA(k *rsa.PublicKey) error {
	if k == nil || k.N == nil {
		return errors.New("it has no modulus")
	}
	if bits := k.N.BitLen(); bits < minRSABits || bits > maxRSABits {
		return fmt.Errorf("its modulus has %d bits, %d to %d are accepted", bits, minRSABits, maxRSABits)
	}
	// With an exponent of 1 everything is its own signature; an even one or an even modulus belongs to no RSA key.
	if k.E < 3 || k.E%2 == 0 || k.N.Bit(0) == 0 {
		return errors.New("its modulus or exponent is not one of an RSA key")
	}
	return nil
}

// sameKey reports whether two keys are equal.
func sameKey(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}
