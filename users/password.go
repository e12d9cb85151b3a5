package users

import (
	_ "embed"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

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
// common passwords, or made of one by repeating it or adding digits and signs, or of a sequence) or "password_personal" (made of a word
// about the person or the product). The message never repeats the password.
func (p PasswordPolicy) Check(password secret.Value, about ...string) error {
	p = p.withDefaults()
	if !utf8.ValidString(password.Reveal()) || strings.ContainsFunc(password.Reveal(), unicode.IsControl) {
		return fault.New(fault.Invalid, "password_invalid", "The password holds control characters. Use any other characters, spaces included.")
	}
	text := normalize(password)
	n := utf8.RuneCountInString(text)
	switch {
	case n < p.MinLength:
		return fault.New(fault.Invalid, "password_too_short", "The password has %d characters, and needs at least %d. A few words with spaces between them are easy to remember.", n, p.MinLength)
	case n > p.MaxLength:
		return fault.New(fault.Invalid, "password_too_long", "The password has %d characters, and may have at most %d.", n, p.MaxLength)
	}
	fold := strings.ToLower(text)
	if isCommon(fold) || isCommon(unleet(fold)) {
		return fault.New(fault.Invalid, "password_common", "This password is among those that are guessed first. Choose one that nobody else would think of.")
	}
	for _, w := range personal(append(about, p.Words...)) {
		if strings.Contains(fold, w) && utf8.RuneCountInString(strings.ReplaceAll(fold, w, "")) < 8 {
			return fault.New(fault.Invalid, "password_personal", "This password is little more than a name or address that others know. Add words that have nothing to do with you.")
		}
	}
	return nil
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

// common is the list of common passwords and of the words they are made of.
var common = sync.OnceValue(func() map[string]struct{} {
	m := map[string]struct{}{}
	for line := range strings.Lines(commonText) {
		m[strings.TrimSpace(line)] = struct{}{}
	}
	delete(m, "")
	return m
})

// isCommon reports whether a lower-case password is on the list, or is one of the things people do to a listed one.
func isCommon(s string) bool {
	if listed(s) || isSequence(s) {
		return true
	}
	unit := period(s)
	if len(unit) < len(s) && (utf8.RuneCountInString(unit) <= 4 || listed(unit) || isSequence(unit)) {
		return true
	}
	core := strings.TrimFunc(s, func(r rune) bool { return !unicode.IsLetter(r) })
	rest := strings.Replace(s, core, "", 1)
	// Many signs and digits that follow no pattern are a password of their own.
	if core == "" || utf8.RuneCountInString(rest) > 8 && !isSequence(strings.TrimFunc(rest, unicode.IsPunct)) {
		return false
	}
	return listed(core) || listed(period(core)) || isSequence(core) || len(period(core)) == 1
}

func listed(s string) bool {
	_, ok := common()[s]
	return ok
}

// period returns the shortest unit that s repeats, s itself if none; the last repetition may be cut short.
func period(s string) string {
	for n := 1; n <= len(s)/2; n++ {
		if s[n:] == s[:len(s)-n] && utf8.ValidString(s[:n]) {
			return s[:n]
		}
	}
	return s
}

// rows are what fingers and minds run along.
var rows = []string{
	"abcdefghijklmnopqrstuvwxyz", "01234567890123456789", "qwertyuiopasdfghjklzxcvbnm", "qwertzuiopasdfghjklyxcvbnm", "azertyuiopqsdfghjklmwxcvbn",
	"1q2w3e4r5t6y7u8i9o0p", "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p", "qazwsxedcrfvtgbyhnujmikolp", "q1w2e3r4t5y6u7i8o9p0", "!@#$%^&*()_+",
	"asdfghjkl;'", "zxcvbnm,./", "!qaz@wsx#edc$rfv%tgb", "qweasdzxc", "147258369", "159357", "123qweasdzxc", "1234qwerasdfzxcv", "abc123",
}

// isSequence reports whether s, at least four characters, consists of runs along rows, forwards or backwards, each of at least three.
func isSequence(s string) bool {
	if len(s) < 4 {
		return false
	}
	for len(s) > 0 {
		run := 0
		for _, row := range rows {
			run = max(run, runLength(s, row), runLength(s, reversed(row)))
		}
		if run < 3 {
			return false
		}
		s = s[run:]
	}
	return true
}

// runLength is the length of the longest prefix of s that occurs in row.
func runLength(s, row string) int {
	n := 0
	for n < len(s) && strings.Contains(row, s[:n+1]) {
		n++
	}
	return n
}

func reversed(s string) string {
	b := []byte(s)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return string(b)
}

// unleet undoes the usual substitutions.
func unleet(s string) string {
	return strings.NewReplacer("0", "o", "1", "l", "3", "e", "4", "a", "@", "a", "5", "s", "$", "s", "7", "t", "!", "i").Replace(s)
}
