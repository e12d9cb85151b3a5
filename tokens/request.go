package tokens

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"example.com/broker/oauth"
)

// maxClaimsRequest bounds the parameter `claims` in bytes; a grant keeps it.
const maxClaimsRequest = 4096

// ClaimsRequest is the parameter `claims` (OpenID Connect Core §5.5): which claims are asked for, by name, and where.
type ClaimsRequest struct {
	UserInfo, IDToken map[string]Asked
}

// Asked is how a claim is asked for (OpenID Connect Core §5.5.1). The zero value is a plain request.
type Asked struct {
	Essential bool
	// Values are the values asked for, from `value` or `values`; nil where any will do.
	Values []json.RawMessage
}

// ParseClaimsRequest reads the parameter. *oauth.Error invalid_request for anything that is no JSON object of the form of §5.5, has a
// member twice, or is longer than 4096 bytes. Members that are not understood are ignored, as §5.5 demands.
func ParseClaimsRequest(raw string) (*ClaimsRequest, error) {
	if len(raw) > maxClaimsRequest {
		return nil, oauth.Errorf(oauth.ErrInvalidRequest, "claims has %d bytes, expected at most %d", len(raw), maxClaimsRequest)
	}
	top, err := members([]byte(raw))
	if err != nil {
		return nil, oauth.Errorf(oauth.ErrInvalidRequest, "claims: %v", err)
	}
	var r ClaimsRequest
	for name, into := range map[string]*map[string]Asked{"userinfo": &r.UserInfo, "id_token": &r.IDToken} {
		if top[name] == nil {
			continue
		}
		if *into, err = parseAsked(top[name]); err != nil {
			return nil, oauth.Errorf(oauth.ErrInvalidRequest, "claims: '%s': %v", name, err)
		}
	}
	return &r, nil
}

func parseAsked(raw json.RawMessage) (map[string]Asked, error) {
	list, err := members(raw)
	if err != nil {
		return nil, err
	}
	out := map[string]Asked{}
	for name, value := range list {
		a, err := parseOne(value)
		if err != nil {
			return nil, fmt.Errorf("'%.60s': %w", name, err)
		}
		out[name] = a
	}
	return out, nil
}

func parseOne(raw json.RawMessage) (Asked, error) {
	var a Asked
	if string(raw) == "null" {
		return a, nil
	}
	list, err := members(raw)
	if err != nil {
		return a, fmt.Errorf("expected null or an object: %w", err)
	}
	if e := list["essential"]; e != nil {
		if json.Unmarshal(e, &a.Essential) != nil || string(e) == "null" {
			return a, errors.New("'essential' is neither true nor false")
		}
	}
	if v := list["values"]; v != nil {
		if json.Unmarshal(v, &a.Values) != nil || a.Values == nil {
			return a, errors.New("'values' is not an array")
		}
	}
	if v := list["value"]; v != nil {
		a.Values = append(a.Values, v)
	}
	return a, nil
}

// members reads one JSON object. Names are compared byte for byte, and a second member of a name is refused: another reader on the
// way could have taken the first.
func members(raw []byte) (map[string]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if first, err := dec.Token(); err != nil || first != json.Delim('{') {
		return nil, errors.New("it is not a JSON object")
	}
	out := map[string]json.RawMessage{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, errors.New("it is not valid JSON")
		}
		key, ok := name.(string)
		if _, twice := out[key]; twice || !ok {
			return nil, fmt.Errorf("the member '%.60s' appears twice", key)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, errors.New("it is not valid JSON")
		}
		out[key] = value
	}
	if _, err := dec.Token(); err != nil {
		return nil, errors.New("it is not valid JSON")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more follows the object")
	}
	return out, nil
}

// Subject returns the one `sub` that the ID token is asked for (OpenID Connect Core §5.5.1), "" if any will do. A sign-in by anybody
// else must end in login_required, which is the caller's to see to.
func (r *ClaimsRequest) Subject() string {
	var sub string
	if a, ok := r.IDToken["sub"]; ok && len(a.Values) == 1 && json.Unmarshal(a.Values[0], &sub) == nil {
		return sub
	}
	return ""
}

// EssentialACR reports whether the ID token must show one of certain authentication context classes (OpenID Connect Core §5.5.1.1).
func (r *ClaimsRequest) EssentialACR() bool {
	a, ok := r.IDToken["acr"]
	return ok && a.Essential && a.Values != nil
}

// Scopes returns the scopes that stand for the claims asked for, so that a client gets nothing by name that it may not have by scope.
func (r *ClaimsRequest) Scopes() oauth.Scopes {
	var out oauth.Scopes
	for _, row := range Table() {
		_, id := r.IDToken[row.Claim]
		_, info := r.UserInfo[row.Claim]
		if (id || info) && row.Scope != "" && !slices.Contains(out, row.Scope) {
			out = append(out, row.Scope)
		}
	}
	return out
}

// claimsRequest reads what was checked when the grant was minted.
func (g Grant) claimsRequest() (*ClaimsRequest, error) {
	if len(g.Claims) == 0 {
		return &ClaimsRequest{}, nil
	}
	return ParseClaimsRequest(string(g.Claims))
}
