package users

import (
	_ "embed"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/trustelem/zxcvbn"

	"example.com/broker/internal/fault"
	"example.com/broker/internal/secret"
)

// PasswordPolicy is what a new password must satisfy, by NIST SP 800-63B: length, and not being guessed first; no rules about kinds of
// characters, no expiry. Zero fields mean the defaults.
type PasswordPolicy struct {
	// MinLength in characters, 15 by default because the password may be the only factor; 8 is the least that can be set.
	MinLength int
	// MaxLength in characters, 128 by default and at most. Nothing is ever cut off.
	MaxLength int
	// Product and other words that people here would think of first.
	Words []string
}

func (p PasswordPolicy) withDefaults() PasswordPolicy {
	if p.MinLength == 0 {
		p.MinLength = 15
	}
	p.MinLength = max(p.MinLength, 8)
	if p.MaxLength == 0 || p.MaxLength > 128 {
		p.MaxLength = 128
	}
	p.MaxLength = max(p.MaxLength, p.MinLength, 64)
	return p
}

// Check reports why a password is not accepted; about are words about the person (login name, name, address). fault.Invalid
// "password_too_short", "password_too_long", "password_invalid" (control characters or broken UTF-8), "password_common" (on the list of
// common passwords, or guessed soon for what it is made of) or "password_personal" (the same, by a word about the person or the product). The
// message never repeats the password.
func (p PasswordPolicy) Check(password secret.Value, about ...string) error {
	p = p.withDefaults()
	if !utf8.ValidString(password.Reveal()) || strings.ContainsFunc(password.Reveal(), unicode.IsControl) {
		return fault.New(fault.Invalid, "password_invalid", "The password holds control characters. Use any other characters, spaces included.")
	}
	text := normalize(password)
	n := utf8.RuneCountInString(text)
	switch {
	case n < p.MinLength:
		return fault.New(fault.Invalid, "password_too_short", "The password has %s, and needs at least %d. A few words with spaces between them are easy to remember.", characters(n), p.MinLength)
	case n > p.MaxLength:
		return fault.New(fault.Invalid, "password_too_long", "The password has %s, and may have at most %d.", characters(n), p.MaxLength)
	}
	fold := strings.ToLower(text)
	_, listed := common()[fold]
	words := personal(append(about, p.Words...))
	switch {
	case !listed && zxcvbn.PasswordStrength(beginning(fold), words).Score >= p.leastScore():
		return nil
	case slices.ContainsFunc(words, func(w string) bool { return strings.Contains(fold, w) }):
		return fault.New(fault.Invalid, "password_personal", "This password is little more than a name or address that others know. Add words that have nothing to do with you.")
	}
	return fault.New(fault.Invalid, "password_common", "This password is among those that are guessed first. Choose one that nobody else would think of.")
}

// leastScore is the score of zxcvbn, 0 to 4, that a password needs: more than 10^10 guesses where it is the only factor, 10^6 beside another.
func (p PasswordPolicy) leastScore() int {
	if p.MinLength < 15 {
		return 2
	}
	return 4
}

// estimated bounds what the estimate looks at, because its cost grows with the square of the length. More characters only help.
const estimated = 64

func beginning(s string) string {
	if runes := []rune(s); len(runes) > estimated {
		return string(runes[:estimated])
	}
	return s
}

func characters(n int) string {
	if n == 1 {
		return "one character"
	}
	return strconv.Itoa(n) + " characters"
}

// personal splits names and addresses into words of four letters or more, the whole ones first.
func personal(about []string) []string {
	var out []string
	for _, a := range about {
		a = strings.ToLower(strings.TrimSpace(a))
		parts := strings.FieldsFunc(a, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		for _, w := range append([]string{a, strings.Join(parts, "")}, parts...) {
			if utf8.RuneCountInString(w) >= 4 {
				out = append(out, w)
			}
		}
	}
	return out
}

//go:embed common.txt
var commonText string

// common is the list of common passwords, which the estimate does not know as a whole.
var common = sync.OnceValue(func() map[string]struct{} {
	m := map[string]struct{}{}
	for line := range strings.Lines(commonText) {
		m[strings.TrimSpace(line)] = struct{}{}
	}
	delete(m, "")
	return m
})
