package verify

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

const (
	// maxJWKS bounds a key set as it is sent, in bytes, and maxKeys how many keys of it are looked at.
	maxJWKS = 1 << 20
	maxKeys = 256
	// maxExponentBits keeps an RSA exponent below 2^31, as the standard library demands.
	maxExponentBits = 31
)

// ParseJWKS reads a JSON Web Key Set (RFC 7517 section 5) of at most 1 MiB. A key that cannot be used for ES256, RS256 or
// EdDSA, is not meant for signatures, carries a private part, or shares its kid with another, is left out and does not
// harm the others. A set without any usable key is an error, which names the reason for each.
func ParseJWKS(data []byte) (*StaticKeys, error) {
	raws, err := splitJWKS(data)
	if err != nil {
		return nil, err
	}
	set := &StaticKeys{keys: map[string]staticKey{}}
	seen := map[string]bool{}
	var faults []error
	for i, raw := range raws {
		kid, key, err := parseJWK(raw)
		// A kid that appears twice names no key: whoever could add the second must not choose which one counts.
		if err == nil && seen[kid] {
			delete(set.keys, kid)
			err = errors.New("its 'kid' names another key too")
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("key %d: %w", i, err))
			continue
		}
		seen[kid] = true
		set.keys[kid] = key
	}
	if len(set.keys) == 0 {
		return nil, fmt.Errorf("the key set has no usable key among %d: %w", len(raws), errors.Join(faults...))
	}
	return set, nil
}

// splitJWKS returns the members of "keys". The outer object is read leniently and each key strictly, so that one odd key does
// not spoil the set.
func splitJWKS(data []byte) ([]json.RawMessage, error) {
	if len(data) > maxJWKS {
		return nil, fmt.Errorf("the key set has %d bytes, at most %d are accepted", len(data), maxJWKS)
	}
	var doc map[string]json.RawMessage // a map, not a struct: its names are exact
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("read the key set: %w", err)
	}
	var raws []json.RawMessage
	if err := json.Unmarshal(doc["keys"], &raws); err != nil {
		return nil, fmt.Errorf("read 'keys' of the key set: %w", err)
	}
	if len(raws) > maxKeys {
		return nil, fmt.Errorf("the key set has %d keys, at most %d are accepted", len(raws), maxKeys)
	}
	return raws, nil
}

// jwk holds the members of one key, each as a string; strings that are absent are empty.
type jwk struct {
	kty, kid, use, alg, crv, x, y, n, e string
	ops                                 []string
	limited                             bool // key_ops is present
}

func parseJWK(raw []byte) (kid string, key staticKey, err error) {
	members, err := decodeObject(raw)
	if err != nil {
		return "", staticKey{}, err
	}
	var k jwk
	for _, m := range members {
		if err := k.set(m); err != nil {
			return "", staticKey{}, err
		}
	}
	if err := k.checkPurpose(); err != nil {
		return "", staticKey{}, err
	}
	public, err := k.public()
	if err != nil {
		return "", staticKey{}, err
	}
	alg, err := algorithmOf(public)
	if err != nil {
		return "", staticKey{}, err
	}
	if k.alg != "" && k.alg != alg {
		return "", staticKey{}, fmt.Errorf("it is a key for %s but says %s", alg, show(k.alg))
	}
	return k.kid, staticKey{alg: alg, key: public}, nil
}

func (k *jwk) set(m member) error {
	switch m.name {
	case "kty":
		return setString(&k.kty, m)
	case "kid":
		return setString(&k.kid, m)
	case "use":
		return setString(&k.use, m)
	case "alg":
		return setString(&k.alg, m)
	case "crv":
		return setString(&k.crv, m)
	case "x":
		return setString(&k.x, m)
	case "y":
		return setString(&k.y, m)
	case "n":
		return setString(&k.n, m)
	case "e":
		return setString(&k.e, m)
	case "key_ops":
		var ok bool
		k.ops, ok = stringsOf(m.value)
		k.limited = true
		if !ok {
			return errors.New("'key_ops' is not an array of strings")
		}
	case "d", "k":
		// RFC 7517 section 9.2: what everybody can read signs for nobody.
		return errors.New("it carries its private part")
	}
	return nil
}

// checkPurpose refuses a key that is not for checking signatures. RFC 7517 sections 4.2 and 4.3.
func (k *jwk) checkPurpose() error {
	switch {
	case k.kid == "" || len(k.kid) > maxName:
		return fmt.Errorf("its 'kid' has %d bytes, 1 to %d are expected", len(k.kid), maxName)
	case k.use != "" && k.use != "sig":
		return fmt.Errorf("its 'use' is %s", show(k.use))
	case k.limited && !slices.Contains(k.ops, "verify"):
		return fmt.Errorf("its 'key_ops' are %s", show(strings.Join(k.ops, " ")))
	}
	return nil
}

// public builds the key. RFC 7518 sections 6.2 and 6.3, RFC 8037 section 2.
func (k *jwk) public() (crypto.PublicKey, error) {
	switch {
	case k.kty == "EC" && k.crv == "P-256":
		return k.ec()
	case k.kty == "RSA":
		return k.rsa()
	case k.kty == "OKP" && k.crv == "Ed25519":
		x, err := fixed(k.x, ed25519.PublicKeySize)
		return ed25519.PublicKey(x), err
	default:
		return nil, fmt.Errorf("its kind is %s, EC P-256, RSA or OKP Ed25519 is expected", show(k.kty+" "+k.crv))
	}
}

func (k *jwk) ec() (crypto.PublicKey, error) {
	const size = 32
	x, err := fixed(k.x, size)
	if err != nil {
		return nil, err
	}
	y, err := fixed(k.y, size)
	if err != nil {
		return nil, err
	}
	// The constructor refuses a point that is not on the curve, which would leak or fake signatures.
	point := slices.Concat([]byte{4}, x, y)
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return nil, fmt.Errorf("its point is not on P-256: %w", err)
	}
	return key, nil
}

func (k *jwk) rsa() (crypto.PublicKey, error) {
	// Bounded before anything is computed with it; one byte more for the leading zero that some issuers send.
	if len(k.n) > base64URL.EncodedLen(maxRSABits/8+1) {
		return nil, fmt.Errorf("its modulus has %d characters, at most %d bits are accepted", len(k.n), maxRSABits)
	}
	n, err := base64URL.DecodeString(k.n)
	if err != nil {
		return nil, fmt.Errorf("read its modulus: %w", err)
	}
	e, err := base64URL.DecodeString(k.e)
	if err != nil {
		return nil, fmt.Errorf("read its exponent: %w", err)
	}
	exponent := new(big.Int).SetBytes(e)
	if exponent.BitLen() > maxExponentBits {
		return nil, errors.New("its exponent is too large")
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent.Int64())}, nil
}

// fixed decodes a value that has exactly size bytes.
func fixed(text string, size int) ([]byte, error) {
	data, err := base64URL.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("read a coordinate: %w", err)
	}
	if len(data) != size {
		return nil, fmt.Errorf("a coordinate has %d bytes, %d are expected", len(data), size)
	}
	return data, nil
}
