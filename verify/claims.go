package verify

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"example.com/broker/oauth"
)

const (
	// maxNumericDate is the last second of the year 9999.
	maxNumericDate = 253402300799
	// maxVersion is the largest integer that every JSON parser reads exactly (RFC 7493 section 2.2).
	maxVersion = 1<<53 - 1
)

// Claims are the claims of a verified token (RFC 7519 section 4.1, RFC 9068 section 2.2). A claim that is absent has the
// zero value.
type Claims struct {
	Issuer    string    // iss
	Subject   string    // sub
	Audience  []string  // aud, also where the token holds a single string
	ExpiresAt time.Time // exp, a fraction of a second rounded down
	IssuedAt  time.Time // iat, rounded up
	NotBefore time.Time // nbf, rounded up
	ID        string    // jti
	ClientID  string    // client_id
	Scope     string    // scope, as it stands in the token
	Roles     []string  // roles
	Email     string    // email
	SessionID string    // sid
	GrantID   string    // gid
	Version   int64     // ver, the counter of the user

	// KeyID is the kid of the header, so that [Revocations] can refuse a signing key.
	KeyID string

	members []member
}

// Member returns a copy of a claim as it stands in the token, for claims that have no field here. The name is compared
// byte for byte.
func (c *Claims) Member(name string) (json.RawMessage, bool) {
	for _, m := range c.members {
		if m.name == name {
			return bytes.Clone(m.value), true
		}
	}
	return nil, false
}

// clone returns a copy that shares nothing a caller could change.
func (c *Claims) clone() Claims {
	d := *c
	d.Audience = slices.Clone(c.Audience)
	d.Roles = slices.Clone(c.Roles)
	return d
}

// claimNames are the claims that have a field. A claim spelt like one of them but for case is refused: another parser on
// the way could take it for the real one.
func claimNames() []string {
	return []string{
		"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "client_id", "scope", "roles", "email", "sid", "gid", "ver",
		"cnf",
	}
}

// decodeClaims reads the payload of a token. It checks form only, not whether the claims are true or acceptable.
func decodeClaims(part string) (*Claims, error) {
	data, err := base64URL.DecodeString(part)
	if err != nil {
		return nil, refuse("the payload is not base64url without padding")
	}
	members, err := decodeObject(data)
	if err != nil {
		return nil, refuse("the payload cannot be read: %v", err)
	}
	c := &Claims{members: members}
	for _, m := range members {
		if err := c.set(m); err != nil {
			return nil, refuse("the payload cannot be used: %v", err)
		}
	}
	return c, nil
}

func (c *Claims) set(m member) error {
	switch m.name {
	case "iss":
		return setString(&c.Issuer, m)
	case "sub":
		return setString(&c.Subject, m)
	case "aud":
		return c.setAudience(m)
	case "exp":
		return setTime(&c.ExpiresAt, m, false)
	case "iat":
		return setTime(&c.IssuedAt, m, true)
	case "nbf":
		return setTime(&c.NotBefore, m, true)
	case "jti":
		return setString(&c.ID, m)
	case "client_id":
		return setString(&c.ClientID, m)
	case "scope":
		return c.setScope(m)
	case "roles":
		return c.setRoles(m)
	case "email":
		return setString(&c.Email, m)
	case "sid":
		return setString(&c.SessionID, m)
	case "gid":
		return setString(&c.GrantID, m)
	case "ver":
		return c.setVersion(m)
	case "cnf":
		// RFC 7800: the token may only be used with a proof of a key, and a bearer brings none.
		return errors.New("the token is bound to a key ('cnf') and is no bearer token")
	}
	if twin := foldedTwin(m.name, claimNames()); twin != "" {
		return errors.New("the claim " + show(m.name) + " is a misspelt '" + twin + "'")
	}
	return nil
}

func setString(to *string, m member) error {
	text, ok := stringOf(m.value)
	if !ok {
		return fmt.Errorf("'%s' is not a string", m.name)
	}
	*to = text
	return nil
}

// setTime reads a NumericDate (RFC 7519 section 2). A fraction is rounded so that the token is good for less time,
// never for more.
func setTime(to *time.Time, m member, up bool) error {
	seconds, fraction, ok := numericDate(m.value)
	if !ok {
		return fmt.Errorf("'%s' is not a number of seconds from 0 to %d, without exponent", m.name, int64(maxNumericDate))
	}
	if fraction && up {
		seconds++
	}
	*to = time.Unix(seconds, 0).UTC()
	return nil
}

// numericDate reads whole seconds, and whether a fraction was cut off. It works on the digits: a float would round.
func numericDate(value []byte) (seconds int64, fraction, ok bool) {
	whole, frac, _ := bytes.Cut(value, []byte("."))
	if !onlyDigits(whole) || !onlyDigits(frac) {
		return 0, false, false
	}
	seconds, err := strconv.ParseInt(string(whole), 10, 64)
	if err != nil || seconds > maxNumericDate {
		return 0, false, false
	}
	return seconds, len(bytes.Trim(frac, "0")) > 0, true
}

func onlyDigits(text []byte) bool {
	return !slices.ContainsFunc(text, func(c byte) bool { return c < '0' || c > '9' })
}

// setAudience accepts a string or an array of strings (RFC 7519 section 4.1.3).
func (c *Claims) setAudience(m member) error {
	if one, ok := stringOf(m.value); ok {
		c.Audience = []string{one}
		return nil
	}
	list, ok := stringsOf(m.value)
	if !ok {
		return errors.New("'aud' is neither a string nor an array of strings")
	}
	c.Audience = list
	return nil
}

// setScope accepts the characters of RFC 6749 section 3.3.
func (c *Claims) setScope(m member) error {
	if err := setString(&c.Scope, m); err != nil {
		return err
	}
	if oauth.Describe(c.Scope) != c.Scope {
		return errors.New("'scope' holds characters that no scope has")
	}
	return nil
}

func (c *Claims) setRoles(m member) error {
	roles, ok := stringsOf(m.value)
	if !ok || slices.Contains(roles, "") {
		return errors.New("'roles' is not an array of names")
	}
	c.Roles = roles
	return nil
}

func (c *Claims) setVersion(m member) error {
	n, err := strconv.ParseInt(string(m.value), 10, 64)
	if err != nil || n < 0 || n > maxVersion {
		return errors.New("'ver' is not a whole number from 0 on")
	}
	c.Version = n
	return nil
}
