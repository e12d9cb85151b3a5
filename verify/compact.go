package verify

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
)

// The signature algorithms of the broker. None of them is symmetric: a public key can never be used as a shared secret.
const (
	algES256 = "ES256"
	algRS256 = "RS256"
	algEdDSA = "EdDSA"
)

func algorithms() []string { return []string{algES256, algRS256, algEdDSA} }

const (
	// maxName bounds, in bytes, a kid and a subject (RFC 9068 and OpenID Connect allow a subject 255).
	maxName = 255
	// maxSignature bounds, in bytes, a decoded signature: RSA with the largest modulus that is accepted.
	maxSignature = maxRSABits / 8
)

// base64URL refuses padding and trailing bits, so that a part has one spelling (RFC 7515 section 2).
var base64URL = base64.RawURLEncoding.Strict()

// header holds the members of a JOSE header that are used. The members jwk, jku, x5c and x5u, by which a token names its own
// key, are never read.
type header struct {
	alg, typ, kid string
}

// compact is a signed token in compact form (RFC 7515 section 3.1), taken apart and not yet decoded.
type compact struct {
	head, payload, signature string
}

// splitCompact takes a token apart. It allocates nothing and looks at the dots alone.
func splitCompact(raw string) (compact, error) {
	switch parts := strings.Count(raw, ".") + 1; parts {
	case 3:
	case 5:
		// RFC 7516 section 9. Nothing is decrypted: a key derivation count or a compressed plaintext is the sender's to choose.
		return compact{}, refuse("the token is encrypted (5 parts), a signed token (3 parts) is expected")
	default:
		return compact{}, refuse("the token has %d parts, 3 are expected", parts)
	}
	head, rest, _ := strings.Cut(raw, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	if longest := base64URL.EncodedLen(maxSignature); len(signature) > longest {
		return compact{}, refuse("the signature has %d characters, at most %d are accepted", len(signature), longest)
	}
	return compact{head: head, payload: payload, signature: signature}, nil
}

// checkAlphabet refuses other characters than those of base64url; encoding/base64 would skip line breaks.
func (c compact) checkAlphabet() error {
	for _, text := range []string{c.head, c.payload, c.signature} {
		for i := range len(text) {
			if !isBase64URL(text[i]) {
				return refuse("the token holds a character outside base64url")
			}
		}
	}
	return nil
}

func isBase64URL(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// decodeHeader reads the JOSE header (RFC 7515 section 4). It refuses what would change the meaning of the rest.
func decodeHeader(part string) (header, error) {
	data, err := base64URL.DecodeString(part)
	if err != nil {
		return header{}, refuse("the header is not base64url without padding")
	}
	members, err := decodeObject(data)
	if err != nil {
		return header{}, refuse("the header cannot be read: %v", err)
	}
	var h header
	for _, m := range members {
		if err := h.set(m); err != nil {
			return header{}, refuse("the header cannot be used: %v", err)
		}
	}
	return h, nil
}

func (h *header) set(m member) error {
	switch m.name {
	case "alg":
		return setString(&h.alg, m)
	case "typ":
		return setString(&h.typ, m)
	case "kid":
		return setString(&h.kid, m)
	case "crit", "b64":
		// RFC 7515 section 4.1.11: no extension is understood here. RFC 7797: b64 would change what is signed.
		return errors.New("the member '" + m.name + "' is not supported")
	case "zip", "enc":
		return errors.New("the member '" + m.name + "' belongs to encrypted tokens")
	}
	if twin := foldedTwin(m.name, []string{"alg", "typ", "kid", "crit", "b64", "zip", "enc", "cty"}); twin != "" {
		return errors.New("the member " + show(m.name) + " is a misspelt '" + twin + "'")
	}
	return nil
}

// check refuses a header that names an algorithm, type or key that cannot be one of ours. types are normalised.
func (h header) check(types []string) error {
	// RFC 8725 section 3.1; names of algorithms are case-sensitive, which leaves no room for "nOnE".
	if !slices.Contains(algorithms(), h.alg) {
		return refuse("the algorithm is %s, one of %s is expected", show(h.alg), strings.Join(algorithms(), ", "))
	}
	// RFC 9068 section 4, RFC 8725 section 3.11: an ID token or a logout token is no access token.
	if h.typ == "" || !slices.Contains(types, mediaType(h.typ)) {
		return refuse("the token type is %s, %s is expected", show(h.typ), strings.Join(types, " or "))
	}
	if h.kid == "" || len(h.kid) > maxName {
		return refuse("the header names its key in %d bytes, 1 to %d are expected in 'kid'", len(h.kid), maxName)
	}
	return nil
}

// mediaType normalises a type: lower case, and without the "application/" that may be left out.
// RFC 7515 section 4.1.9.
func mediaType(typ string) string {
	typ = strings.ToLower(typ)
	if short, ok := strings.CutPrefix(typ, "application/"); ok && !strings.Contains(short, "/") {
		return short
	}
	return typ
}
