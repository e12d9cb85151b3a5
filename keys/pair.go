package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"

	"github.com/go-jose/go-jose/v4"

	"example.com/broker/internal/secret"
)

// The algorithms a ring can hold keys for (RFC 7518 §3.1, RFC 8037 §3.1).
const (
	ES256 = "ES256" // P-256
	RS256 = "RS256" // RSA of 2048 bits
	EdDSA = "EdDSA" // Ed25519
)

// Algorithms returns every algorithm a ring can hold keys for.
func Algorithms() []string { return []string{ES256, RS256, EdDSA} }

const (
	rsaBits     = 2048
	sealPurpose = "signing-key"
)

// generate makes a key pair. RSA takes a few hundred milliseconds, the others none worth counting.
func generate(alg string) (crypto.Signer, error) {
	switch alg {
	case ES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case RS256:
		return rsa.GenerateKey(rand.Reader, rsaBits)
	case EdDSA:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	default:
		return nil, fmt.Errorf("no signing keys of the algorithm %q: expected one of %v", alg, Algorithms())
	}
}

// newKey generates a key of an algorithm and seals it. Its dates are left to the schedule.
func newKey(alg string, sealer *secret.Sealer) (Key, error) {
	signer, err := generate(alg)
	if err != nil {
		return Key{}, fmt.Errorf("generate a signing key: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		return Key{}, fmt.Errorf("encode a signing key: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		return Key{}, fmt.Errorf("encode a signing key: %w", err)
	}
	kid, err := thumbprint(signer.Public())
	if err != nil {
		return Key{}, err
	}
	return Key{KID: kid, Private: sealer.Seal(sealPurpose, private), Public: public}, nil
}

// thumbprint names a key by what it is (RFC 7638), so that two replicas cannot give one name to two keys.
func thumbprint(public crypto.PublicKey) (string, error) {
	sum, err := (&jose.JSONWebKey{Key: public}).Thumbprint(crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("take the thumbprint of a signing key: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

// public returns the public part, if it is one for alg and the one that the kid names.
func (k Key) public(alg string) (crypto.PublicKey, error) {
	parsed, err := x509.ParsePKIXPublicKey(k.Public)
	if err != nil {
		return nil, fmt.Errorf("read signing key %s: %w", k.KID, err)
	}
	if kid, err := thumbprint(parsed); err != nil || kid != k.KID || algOf(parsed) != alg {
		return nil, fmt.Errorf("read signing key %s: the stored public part is not of that key or not for %s", k.KID, alg)
	}
	return parsed, nil
}

func algOf(public crypto.PublicKey) string {
	switch public.(type) {
	case *ecdsa.PublicKey:
		return ES256
	case *rsa.PublicKey:
		return RS256
	case ed25519.PublicKey:
		return EdDSA
	default:
		return ""
	}
}

// open unseals the private part of the key whose public part is given.
func (k Key) open(sealer *secret.Sealer, public crypto.PublicKey) (crypto.Signer, error) {
	der, err := sealer.Open(sealPurpose, k.Private)
	if err != nil {
		return nil, fmt.Errorf("open signing key %s: it was sealed with an encryption key that is not in the list; "+
			"put that key into keys.encryption (BROKER_KEYS__ENCRYPTION_FILE), after the one that seals; "+
			"if it is lost: broker key rotate --encryption-key-lost: %w", k.KID, err)
	}
	private, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("open signing key %s: %w", k.KID, err)
	}
	// Whoever can write to the store must not get one key to sign under the name of another.
	signer, ok := private.(crypto.Signer)
	if same, comparable := public.(interface{ Equal(crypto.PublicKey) bool }); !ok || !comparable || !same.Equal(signer.Public()) {
		return nil, fmt.Errorf("open signing key %s: the private part belongs to another key", k.KID)
	}
	return signer, nil
}
