package oauth_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/broker/oauth"
)

func TestErrorfGivesTheStatusOfTheCode(t *testing.T) {
	for code, want := range map[string]int{
		oauth.ErrInvalidRequest: http.StatusBadRequest, oauth.ErrInvalidGrant: http.StatusBadRequest, oauth.ErrInvalidScope: http.StatusBadRequest,
		oauth.ErrUnauthorizedClient: http.StatusBadRequest, oauth.ErrSlowDown: http.StatusBadRequest, oauth.ErrInvalidTarget: http.StatusBadRequest,
		oauth.ErrInvalidClient: http.StatusUnauthorized, oauth.ErrInvalidToken: http.StatusUnauthorized,
		oauth.ErrInsufficientScope: http.StatusForbidden, oauth.ErrAccessDenied: http.StatusForbidden,
		oauth.ErrServerError: http.StatusInternalServerError, oauth.ErrTemporarilyUnavailable: http.StatusServiceUnavailable,
	} {
		if got := oauth.Errorf(code, "text").Status; got != want {
			t.Errorf("status of %s = %d, want %d", code, got, want)
		}
	}
}

func TestErrorKeepsItsCauseForTheLog(t *testing.T) {
	e := oauth.Errorf(oauth.ErrInvalidGrant, "the code was %q", "a\nb")
	e.Cause = io.ErrUnexpectedEOF
	if !errors.Is(e, io.ErrUnexpectedEOF) {
		t.Error("errors.Is does not reach the cause")
	}
	if diff := cmp.Diff("invalid_grant: the code was 'a/nb': unexpected EOF", e.Error()); diff != "" {
		t.Errorf("Error() (-want +got):\n%s", diff)
	}
	if strings.Contains(e.Description, "EOF") {
		t.Error("the description holds the cause")
	}
}

func TestDescribe(t *testing.T) {
	for text, want := range map[string]string{
		`plain text, with marks!`:       `plain text, with marks!`,
		`say "x"`:                       `say 'x'`,
		`a\b`:                           `a/b`,
		"one\r\ntwo\tthree":             "one  two three",
		"naïve \u2028 \x1b[31m \x7f":    "na?ve ? ?[31m ?",
		"broken \xff UTF-8 and NUL\x00": "broken ? UTF-8 and NUL?",
		"":                              "",
	} {
		if got := oauth.Describe(text); got != want {
			t.Errorf("Describe(%q) = %q, want %q", text, got, want)
		}
	}
}

// FuzzDescribe states that whatever goes in, RFC 6749 §5.2 allows what comes out, and that what it allows is not changed.
func FuzzDescribe(f *testing.F) {
	wantSeeds(f, "FuzzDescribe")
	f.Fuzz(func(t *testing.T, text string) {
		got := oauth.Describe(text)
		for i := range len(got) {
			if c := got[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
				t.Fatalf("Describe(%q) = %q: byte %d is %#x", text, got, i, c)
			}
		}
		if again := oauth.Describe(got); again != got {
			t.Errorf("Describe(%q) = %q, and of that %q", text, got, again)
		}
		if len(got) > len(text) {
			t.Errorf("Describe(%q) grew to %q", text, got)
		}
	})
}

func TestParseScopes(t *testing.T) {
	for _, row := range []struct {
		rule, in string
		want     oauth.Scopes
		refused  bool
	}{
		{"the empty string is the empty set", "", nil, false},
		{"values in the order they were named", "openid profile orders:read", oauth.Scopes{"openid", "profile", "orders:read"}, false},
		{"repeats are dropped", "b a b a", oauth.Scopes{"b", "a"}, false},
		{"case is kept apart", "Read read", oauth.Scopes{"Read", "read"}, false},
		{"every character of the grammar", "!#[]^~", oauth.Scopes{"!#[]^~"}, false},
		{"a hundred values", hundred(100), strings.Fields(hundred(100)), false},
		{"more than a hundred values", hundred(101), nil, true},
		{"ten thousand values", hundred(10_000), nil, true},
		{"too many bytes, though all say the same", strings.Repeat("a ", 5000) + "a", nil, true},
		{"a space before", " a", nil, true},
		{"a space after", "a ", nil, true},
		{"two spaces between", "a  b", nil, true},
		{"a tab between", "a\tb", nil, true},
		{"a line break", "a\nb", nil, true},
		{"a quotation mark", `a"b`, nil, true},
		{"a backslash", `a\b`, nil, true},
		{"a letter beyond ASCII", "ä", nil, true},
		{"NUL", "a\x00", nil, true},
		{"DEL", "a\x7f", nil, true},
		{"bytes that are no text", "\xff", nil, true},
	} {
		t.Run(row.rule, func(t *testing.T) {
			got, err := oauth.ParseScopes(row.in)
			if row.refused {
				if e, ok := errors.AsType[*oauth.Error](err); !ok || e.Code != oauth.ErrInvalidScope || got != nil {
					t.Fatalf("ParseScopes = %v, %v, want invalid_scope alone", got, err)
				}
				return
			}
			if diff := cmp.Diff(row.want, got); diff != "" || err != nil {
				t.Errorf("error %v, scopes (-want +got):\n%s", err, diff)
			}
		})
	}
}

// hundred returns n different values.
func hundred(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat("x", i/100) + string(rune('0'+i%100/10)) + string(rune('0'+i%10)) + " ")
	}
	return strings.TrimSpace(b.String())
}

// FuzzParseScopes states that a set that was read is written and read again as the same, and has only what the text named.
func FuzzParseScopes(f *testing.F) {
	wantSeeds(f, "FuzzParseScopes")
	f.Fuzz(func(t *testing.T, in string) {
		got, err := oauth.ParseScopes(in)
		if err != nil {
			if got != nil {
				t.Errorf("ParseScopes(%q) = %v beside the error %v", in, got, err)
			}
			return
		}
		again, err := oauth.ParseScopes(got.String())
		if diff := cmp.Diff(got, again); diff != "" || err != nil {
			t.Errorf("ParseScopes(%q) does not survive being written: %v\n%s", in, err, diff)
		}
		if len(got) > oauth.MaxScopes {
			t.Errorf("%d values, at most %d are allowed", len(got), oauth.MaxScopes)
		}
		named := strings.Split(in, " ")
		for i, v := range got {
			if v == "" || strings.ContainsAny(v, " \"\\\t\r\n") || !contains(named, v) || contains(got[:i], v) {
				t.Errorf("ParseScopes(%q) has %q", in, v)
			}
		}
	})
}

func contains(list []string, v string) bool {
	for _, x := range list {
		if x == v {
			return true
		}
	}
	return false
}

func TestScopesAsSets(t *testing.T) {
	all := oauth.Scopes{"openid", "email", "orders:read"}
	if missing, ok := (oauth.Scopes{"email", "openid"}).Within(all); !ok || missing != "" {
		t.Errorf("Within = %q, %v, want all inside", missing, ok)
	}
	if missing, ok := (oauth.Scopes{"email", "admin", "root"}).Within(all); ok || missing != "admin" {
		t.Errorf("Within = %q, %v, want the first that is missing", missing, ok)
	}
	if _, ok := oauth.Scopes(nil).Within(nil); !ok {
		t.Error("the empty set is not within the empty set")
	}
	if diff := cmp.Diff(oauth.Scopes{"orders:read", "openid"}, (oauth.Scopes{"orders:read", "x", "openid"}).Only(all)); diff != "" {
		t.Errorf("Only (-want +got):\n%s", diff)
	}
	if all.Has("orders") || !all.Has("orders:read") {
		t.Error("Has compares something else than whole values")
	}
}

func TestGiven(t *testing.T) {
	in := []string{"", "a", "", "a", " "}
	if diff := cmp.Diff([]string{"a", "a", " "}, oauth.Given(in)); diff != "" {
		t.Errorf("Given (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"", "a", "", "a", " "}, in); diff != "" {
		t.Errorf("what was given has changed (-want +got):\n%s", diff)
	}
	if got := oauth.Given([]string{""}); len(got) != 0 {
		t.Errorf("Given of one empty value = %q", got)
	}
}
