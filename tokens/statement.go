package tokens

import (
	"fmt"
	"maps"

	"github.com/golang-jwt/jwt/v5"

	"example.com/broker/keys"
)

// TypStatement is the `typ` of claims that the issuer vouches for and that are no token, so that nobody takes them for one.
const TypStatement = "statement+jwt"

// Statement signs claims that the issuer vouches for, such as metadata: with RS256, so that the same claims are the same text for as long
// as the key signs. `iss` is set. Errors are those of keys.Ring.Signer.
func (i *Issuer) Statement(claims map[string]any) (string, error) {
	c := jwt.MapClaims(maps.Clone(claims))
	c["iss"] = i.o.URL
	raw, err := i.sign(keys.RS256, TypStatement, c)
	if err != nil {
		return "", fmt.Errorf("sign a statement: %w", err)
	}
	return raw, nil
}

// StatementKey returns the id of the key that Statement signs with now. Errors are those of keys.Ring.Signer.
func (i *Issuer) StatementKey() (string, error) {
	kid, _, err := i.o.Ring.Signer(keys.RS256)
	return kid, err
}
