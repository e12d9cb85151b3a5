package oauth

import (
	"slices"
	"strings"
)

// MaxScopes bounds how many scopes one request may name.
const MaxScopes = 100

// maxScopeBytes bounds the whole parameter, repeats included.
const maxScopeBytes = 8 << 10

// Scopes is a set of scope values in the order they were first named.
type Scopes []string

// ParseScopes splits a scope parameter (RFC 6749 §3.3), dropping repeats. It returns an invalid_scope *Error for a character outside
// the grammar, an empty value beside a space, more than MaxScopes values or 8 KiB. The empty string is the empty set.
func ParseScopes(s string) (Scopes, error) {
	if s == "" {
		return nil, nil
	}
	if len(s) > maxScopeBytes {
		return nil, Errorf(ErrInvalidScope, "scope has %d bytes, expected at most %d", len(s), maxScopeBytes)
	}
	var out Scopes
	for v := range strings.SplitSeq(s, " ") {
		if v == "" {
			return nil, Errorf(ErrInvalidScope, "scope has an empty value: separate values by one space")
		}
		for i := range len(v) {
			if c := v[i]; c < 0x21 || c == 0x22 || c == 0x5c || c > 0x7e {
				return nil, Errorf(ErrInvalidScope, "scope value %d has a character that is not allowed", len(out)+1)
			}
		}
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
		if len(out) > MaxScopes {
			return nil, Errorf(ErrInvalidScope, "scope names more than %d values", MaxScopes)
		}
	}
	return out, nil
}

// String returns the values as a scope parameter has them.
func (s Scopes) String() string { return strings.Join(s, " ") }

// Has reports whether v is in the set.
func (s Scopes) Has(v string) bool { return slices.Contains(s, v) }

// Within reports whether every value of s is in all; missing is the first that is not.
func (s Scopes) Within(all Scopes) (missing string, ok bool) {
	for _, v := range s {
		if !all.Has(v) {
			return v, false
		}
	}
	return "", true
}

// Only returns the values of s that are in all, in the order of s.
func (s Scopes) Only(all Scopes) Scopes {
	var out Scopes
	for _, v := range s {
		if all.Has(v) {
			out = append(out, v)
		}
	}
	return out
}
