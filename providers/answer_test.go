package providers_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/broker/internal/fault"
	"example.com/broker/providers"
	"example.com/broker/providers/local"
)

func TestDecode(t *testing.T) {
	for _, row := range []struct {
		rule, in string
		want     any // nil for an error
	}{
		{"an object", `{"a": [1, "x", true, null, {}]}`, map[string]any{"a": []any{json.Number("1"), "x", true, nil, map[string]any{}}}},
		{"names keep their case", `{"sub": "a", "SUB": "b"}`, map[string]any{"sub": "a", "SUB": "b"}},
		{"numbers keep their digits", `12345678901234567890`, json.Number("12345678901234567890")},
		{"a name twice", `{"sub": "a", "sub": "b"}`, nil},
		{"a name twice, spelled by an escape", `{"sub": "a", "\u0073ub": "b"}`, nil},
		{"a name twice, further down", `[{"a": {"b": 1, "b": 1}}]`, nil},
		{"something behind it", `{} {}`, nil},
		{"cut short", `{"a": 1`, nil},
		{"nothing", ``, nil},
		{"HTML", `<html>`, nil},
		{"a form", `access_token=x&token_type=bearer`, nil},
		{"bytes that are not UTF-8", "\"a\xff\"", nil},
	} {
		t.Run(row.rule, func(t *testing.T) {
			got, err := providers.Decode([]byte(row.in))
			if (err == nil) != (row.want != nil) {
				t.Fatalf("error %v, want one: %v", err, row.want == nil)
			}
			if err == nil && !cmp.Equal(got, row.want) {
				t.Error(cmp.Diff(row.want, got))
			}
		})
	}
}

// The depth has a test of its own: go-cmp's work doubles with each level.
func TestDecodeBoundsDepth(t *testing.T) {
	for levels, want := range map[int]bool{32: true, 33: false, 100_000: false} {
		in := strings.Repeat("[", levels+1) + strings.Repeat("]", levels+1)
		if _, err := providers.Decode([]byte(in)); (err == nil) != want {
			t.Errorf("%d levels below the first: error %v, want success: %v", levels, err, want)
		}
	}
}

func TestGetSaysWhoseFaultItIs(t *testing.T) {
	for _, row := range []struct {
		rule   string
		answer http.HandlerFunc
		want   string // code; "" for success
	}{
		{"an object", local.Answer(http.StatusOK, "application/json", `{}`), ""},
		{"an object under another media type", local.Answer(http.StatusOK, "text/plain", `{}`), ""},
		{"not an object", local.Answer(http.StatusOK, "application/json", `[]`), "upstream_invalid"},
		{"not JSON", local.Answer(http.StatusOK, "application/json", `a=b`), "upstream_invalid"},
		{"a refusal", local.Answer(http.StatusUnauthorized, "application/json", `{"secret": "x"}`), "upstream_unavailable"},
		{"no content", local.Answer(http.StatusNoContent, "application/json", ``), "upstream_unavailable"},
		{"an HTML page", local.Answer(http.StatusOK, "text/html", `<p>`), "upstream_unavailable"},
		{"a reset", local.Reset, "upstream_unavailable"},
	} {
		t.Run(row.rule, func(t *testing.T) {
			server := httptest.NewServer(row.answer)
			t.Cleanup(server.Close)
			_, err := providers.GetObject(t.Context(), newClient(t, providers.Config{AllowPrivate: true}), "a document", server.URL, "token")
			if row.want == "" && err != nil || row.want != "" && (!fault.Is(err, fault.Upstream) || fault.CodeOf(err) != row.want) {
				t.Fatalf("error %v, want code %q", err, row.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("error %v quotes the answer", err)
			}
		})
	}
}

func TestLineAndAddress(t *testing.T) {
	for _, row := range []struct {
		rule          string
		in            any
		line, address string
	}{
		{"an address", "ada@example.com", "ada@example.com", "ada@example.com"},
		{"blanks around", "  Ada ", "Ada", ""},
		{"no text", 5, "", ""},
		{"none", nil, "", ""},
		{"a line break", "a@b\nc", "", ""},
		{"an escape sequence", "\x1b[31ma@b", "", ""},
		{"a line separator", "a@b\u2028c", "", ""},
		{"a blank inside", "a @b", "a @b", ""},
		{"no local part", "@example.com", "@example.com", ""},
		{"no domain", "ada@", "ada@", ""},
		{"lost bytes", "\ufffd@example.com", "\ufffd@example.com", ""},
		{"too long", strings.Repeat("é", 300) + "@b", strings.Repeat("é", 200), ""},
	} {
		t.Run(row.rule, func(t *testing.T) {
			if got := providers.Line(row.in); got != row.line {
				t.Errorf("Line = %q, want %q", got, row.line)
			}
			if got := providers.Address(row.in); got != row.address {
				t.Errorf("Address = %q, want %q", got, row.address)
			}
		})
	}
}

func TestPictureURL(t *testing.T) {
	for _, row := range []struct {
		rule string
		in   any
		want string
	}{
		{"https", "https://example.com/a.png", "https://example.com/a.png"},
		{"http", "http://example.com/a.png", ""},
		{"script", "javascript:alert(1)", ""},
		{"data", "data:image/svg+xml,x", ""},
		{"too long", "https://example.com/" + strings.Repeat("a", 2048), ""},
		{"no text", true, ""},
	} {
		t.Run(row.rule, func(t *testing.T) {
			if got := (providers.Config{}).PictureURL(row.in); got != row.want {
				t.Errorf("PictureURL = %q, want %q", got, row.want)
			}
		})
	}
}
