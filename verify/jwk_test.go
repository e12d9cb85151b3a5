package verify_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"example.com/broker/verify"
)

func TestParseJWKSReadsTheThreeKinds(t *testing.T) {
	for _, s := range []signer{ecSigner("k", 1), edSigner("k", 1), rsaSigner()} {
		for _, changes := range []members{
			nil,
			{"use": nil, "alg": nil},
			{"use": nil, "key_ops": []string{"verify"}},
			{"x5c": []string{"MIIB"}, "unknown": members{"a": 1}},
		} {
			t.Run(fmt.Sprintf("%s with %v", s.method.Alg(), changes), func(t *testing.T) {
				set, err := verify.ParseJWKS([]byte(jwks(t, jwkOf(t, s, changes))))
				if err != nil {
					t.Fatalf("parse: %v", err)
				}
				got, err := set.Key(t.Context(), s.kid, s.method.Alg())
				if err != nil {
					t.Fatalf("key: %v", err)
				}
				if !s.public().(interface{ Equal(crypto.PublicKey) bool }).Equal(got) {
					t.Errorf("got key %v, want %v", got, s.public())
				}
			})
		}
	}
}

// TestABadKeyHarmsOnlyItself puts each bad key between two good ones, and alone.
func TestABadKeyHarmsOnlyItself(t *testing.T) {
	ec, ed, rs := ecSigner("bad", 1), edSigner("bad", 1), rsaSigner()
	rs.kid = "bad"
	modulus := func(bits int, last uint) members {
		n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
		return jwkOf(t, rs, members{"n": b64(n.SetBit(n, 0, last).Bytes())})
	}
	one := b64([]byte{1})
	x := jwkOf(t, ec, nil)["x"].(string)
	tests := []struct {
		rule string
		key  string
		want string
	}{
		{"unknown kind", `{"kid":"bad","kty":"AKP","alg":"ML-DSA-44"}`, "its kind is 'AKP '"},
		{"shared secret", `{"kid":"bad","kty":"oct","k":"c2VjcmV0"}`, "carries its private part"},
		{"private key", jwkOf(t, ec, members{"d": one}).text(t), "carries its private part"},
		{"other curve", jwkOf(t, ec, members{"crv": "secp256k1"}).text(t), "its kind is 'EC secp256k1'"},
		{"P-384", jwkOf(t, ec, members{"crv": "P-384"}).text(t), "its kind is 'EC P-384'"},
		{"X25519", jwkOf(t, ed, members{"crv": "X25519"}).text(t), "its kind is 'OKP X25519'"},
		{"point off the curve", jwkOf(t, ec, members{"y": x}).text(t), "not on P-256"},
		{"point at infinity", jwkOf(t, ec, members{"x": b64(make([]byte, 32)), "y": b64(make([]byte, 32))}).text(t), "not on P-256"},
		{"short coordinate", jwkOf(t, ec, members{"x": one}).text(t), "a coordinate has 1 bytes"},
		{"missing coordinate", jwkOf(t, ec, members{"y": nil}).text(t), "a coordinate has 0 bytes"},
		{"padded coordinate", jwkOf(t, ec, members{"x": x + "="}).text(t), "read a coordinate"},
		{"short Ed25519", jwkOf(t, ed, members{"x": one}).text(t), "a coordinate has 1 bytes"},
		{"RSA of 2047 bits", modulus(2047, 1).text(t), "modulus has 2047 bits"},
		{"RSA of 8200 bits", modulus(8200, 1).text(t), "modulus has 8200 bits"},
		{"RSA of a million bits", modulus(1_000_000, 1).text(t), "at most 8192 bits"},
		{"RSA modulus even", modulus(2048, 0).text(t), "not one of an RSA key"},
		{"RSA modulus missing", jwkOf(t, rs, members{"n": nil}).text(t), "modulus has 0 bits"},
		{"RSA exponent 1", jwkOf(t, rs, members{"e": one}).text(t), "not one of an RSA key"},
		{"RSA exponent even", jwkOf(t, rs, members{"e": b64([]byte{4})}).text(t), "not one of an RSA key"},
		{"RSA exponent missing", jwkOf(t, rs, members{"e": nil}).text(t), "not one of an RSA key"},
		{"RSA exponent of 32 bits", jwkOf(t, rs, members{"e": b64([]byte{0x80, 0, 0, 1})}).text(t), "exponent is too large"},
		{"RSA exponent of 40 bits", jwkOf(t, rs, members{"e": b64([]byte{1, 0, 0, 0, 1})}).text(t), "exponent is too large"},
		{"alg of another kind", jwkOf(t, rs, members{"alg": "ES256"}).text(t), "key for RS256 but says 'ES256'"},
		{"alg that is not used here", jwkOf(t, rs, members{"alg": "PS256"}).text(t), "key for RS256 but says 'PS256'"},
		{"for encryption", jwkOf(t, ec, members{"use": "enc"}).text(t), "its 'use' is 'enc'"},
		{"for signing only", jwkOf(t, ec, members{"key_ops": []string{"sign"}}).text(t), "its 'key_ops' are 'sign'"},
		{"for nothing", jwkOf(t, ec, members{"key_ops": []string{}}).text(t), "its 'key_ops' are ''"},
		{"key_ops string", jwkOf(t, ec, members{"key_ops": "verify"}).text(t), "'key_ops' is not an array"},
		{"no kid", jwkOf(t, ec, members{"kid": nil}).text(t), "'kid' has 0 bytes"},
		{"kid too long", jwkOf(t, ec, members{"kid": strings.Repeat("k", 256)}).text(t), "'kid' has 256 bytes"},
		{"kid number", jwkOf(t, ec, members{"kid": 1}).text(t), "'kid' is not a string"},
		{"duplicate member", strings.TrimSuffix(jwkOf(t, ec, nil).text(t), "}") + `,"kid":"bad"}`, "appears twice"},
		{"no object", `"key"`, "not a JSON object"},
		{"null", `null`, "not a JSON object"},
	}
	first, last := ecSigner("first", 2), edSigner("last", 2)
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			_, err := verify.ParseJWKS([]byte(`{"keys":[` + tt.key + `]}`))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("alone: got %v, want an error with %q", err, tt.want)
			}
			set, err := verify.ParseJWKS(fmt.Appendf(nil, `{"keys":[%s,%s,%s]}`, jwkOf(t, first, nil).text(t), tt.key, jwkOf(t, last, nil).text(t)))
			if err != nil {
				t.Fatalf("among others: %v", err)
			}
			for _, s := range []signer{first, last} {
				if _, err := set.Key(t.Context(), s.kid, s.method.Alg()); err != nil {
					t.Errorf("key %s beside it: %v", s.kid, err)
				}
			}
			if _, err := set.Key(t.Context(), "bad", "ES256"); !errors.Is(err, verify.ErrUnknownKey) {
				t.Errorf("got %v for the bad key, want ErrUnknownKey", err)
			}
		})
	}
}

func TestAKidThatAppearsTwiceNamesNoKey(t *testing.T) {
	good := jwkOf(t, ecSigner("good", 3), nil)
	for _, n := range []int{2, 3} {
		keys := []members{good}
		for i := range n {
			keys = append(keys, jwkOf(t, ecSigner("twin", byte(10+i)), nil))
		}
		set, err := verify.ParseJWKS([]byte(jwks(t, keys...)))
		if err != nil {
			t.Fatalf("parse: %v", err)
		}
		if _, err := set.Key(t.Context(), "twin", "ES256"); !errors.Is(err, verify.ErrUnknownKey) {
			t.Errorf("%d keys of one name: got %v, want ErrUnknownKey", n, err)
		}
		if _, err := set.Key(t.Context(), "good", "ES256"); err != nil {
			t.Errorf("the key beside them: %v", err)
		}
	}
}

func TestParseJWKSRefusesASetThatIsNone(t *testing.T) {
	tests := []struct{ rule, doc, want string }{
		{"no JSON", "<html>", "read the key set"},
		{"no object", "[]", "read the key set"},
		{"no keys", "{}", "read 'keys'"},
		{"keys in another case", `{"KEYS":[]}`, "read 'keys'"},
		{"keys no array", `{"keys":{}}`, "read 'keys'"},
		{"no key", `{"keys":[]}`, "no usable key among 0"},
		{"too many keys", `{"keys":[` + strings.Repeat("0,", 256) + `0]}`, "has 257 keys"},
		{"too large", strings.Repeat(" ", 1<<20+1), "at most 1048576"},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			set, err := verify.ParseJWKS([]byte(tt.doc))
			if set != nil || err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, %v, want no set and an error with %q", set, err, tt.want)
			}
		})
	}
}

func TestNewStaticKeysRefusesAWeakKey(t *testing.T) {
	n := new(big.Int).Lsh(big.NewInt(1), 1023)
	weak := &rsa.PublicKey{N: n.SetBit(n, 0, 1), E: 65537}
	for _, key := range []crypto.PublicKey{weak, (*rsa.PublicKey)(nil), &rsa.PublicKey{E: 3}, rand.Reader, []byte("secret")} {
		if _, err := verify.NewStaticKeys(map[string]crypto.PublicKey{"k": key}); err == nil {
			t.Errorf("got no error for %T %v", key, key)
		}
	}
}
