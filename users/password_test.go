package users_test

import (
	"strings"
	"testing"

	"example.com/broker/internal/fault"
	"example.com/broker/internal/secret"
	"example.com/broker/users"
)

func TestPasswordPolicy(t *testing.T) {
	about := []string{"jsmith", "Joanna Smith", "joanna.smith@example.com"}
	standard := users.PasswordPolicy{Words: []string{"Lighthouse Broker"}}
	eight := users.PasswordPolicy{MinLength: 8, Words: standard.Words}
	for _, tt := range []struct {
		rule   string
		policy users.PasswordPolicy
		pw     string
		want   string // code, "" for accepted
	}{
		{"fifteen characters are enough", standard, "kettle boat 7 r", ""},
		{"fourteen are not", standard, "kettle boat 7r", "password_too_short"},
		{"characters are counted, not bytes", standard, "ünïcødé çöüñt", "password_too_short"},
		{"a character made of two code points counts once", standard, strings.Repeat("e\u0301", 14), "password_too_short"},
		{"128 characters are taken", standard, strings.Repeat("kettle boat moss", 8), ""},
		{"129 are not", standard, strings.Repeat("kettle boat moss", 8) + "x", "password_too_long"},
		{"128 characters of four bytes are taken", standard, emoji(128), ""},
		{"spaces and other scripts are welcome", standard, "тихие лампы гудят", ""},
		{"control characters are not", standard, "kettle boat\x00moss", "password_invalid"},
		{"nor is broken UTF-8", standard, "kettle boat moss\xff", "password_invalid"},
		{"the list holds long ones", standard, "thequickbrownfox", "password_common"},
		{"in any case", standard, "TheQuickBrownFox", "password_common"},
		{"with letters exchanged for signs", standard, "sup3rs3cr3tp4$$w0rd", "password_common"},
		{"with digits and signs around it", standard, "!password1234567", "password_common"},
		{"a listed word repeated", standard, "monkeymonkeymonkey", "password_common"},
		{"one character repeated", standard, "aaaaaaaaaaaaaaaaaaa", "password_common"},
		{"four characters repeated", standard, "xq7!xq7!xq7!xq7!", "password_common"},
		{"runs along the keyboard", standard, "qwertyuiopasdfghjkl", "password_common"},
		{"digits in a row", standard, "123456789012345", "password_common"},
		{"backwards", standard, "zyxwvutsrqponmlk", "password_common"},
		{"two runs", standard, "abcdefgh12345678", "password_common"},
		{"a listed word among others is no reason", standard, "monkey umbrella tax", ""},
		{"random characters are taken", standard, "vT9#qLw2!xZr7@p", ""},
		{"many random digits after a word are taken", standard, "kettle83920174658", ""},
		{"the login name with a tail", standard, "jsmith-jsmith-123", "password_personal"},
		{"the address", standard, "joanna.smith@example.com", "password_personal"},
		{"the product", standard, "LighthouseBroker!1", "password_personal"},
		{"a word about the person beside enough others", standard, "joanna prefers cold kettles", ""},
		{"eight characters where that is set", eight, "vT9#qLw2", ""},
		{"seven are refused even so", eight, "vT9#qLw", "password_too_short"},
		{"a listed one of eight", eight, "password", "password_common"},
		{"a listed one of nine", eight, "sunshine1", "password_common"},
		{"a walk", eight, "1qaz2wsx", "password_common"},
		{"a minimum below eight is not to be had", users.PasswordPolicy{MinLength: 1}, "vT9#qLw", "password_too_short"},
	} {
		err := tt.policy.Check(secret.Value(tt.pw), about...)
		got := ""
		if err != nil {
			got = fault.CodeOf(err)
		}
		if got != tt.want || err != nil && !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: got %v, want %q", tt.rule, err, tt.want)
		}
		if err != nil && tt.pw != "password" && strings.Contains(err.Error(), tt.pw) {
			t.Errorf("%s: the message repeats the password: %v", tt.rule, err)
		}
	}
}

func TestAPasswordHasOneCharacterOrSeveral(t *testing.T) {
	for pw, want := range map[secret.Value]string{"x": "has one character, and", "xy": "has 2 characters, and"} {
		if err := (users.PasswordPolicy{}).Check(pw); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// emoji returns n different characters of four bytes.
func emoji(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteRune(rune(0x1F300 + i))
	}
	return b.String()
}
