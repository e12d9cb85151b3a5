package signin_test

import (
	"testing"

	"example.com/broker/signin"
)

func TestBackKnowsOurOwnPagesAlone(t *testing.T) {
	for _, path := range []string{"/dashboard", "/sessions", "/api-keys", "/tools/policy"} {
		if got := signin.Back(path); got != path {
			t.Errorf("Back(%q) = %q", path, got)
		}
	}
	for _, path := range []string{
		"", "/", "//evil.example", `/\evil.example`, `\\evil.example`, "https://evil.example/sessions", "https:evil.example", "javascript:alert(1)",
		"//evil.example/sessions", "/sessions//evil.example", "/sessions/../../evil", "/sessions?to=//evil.example", "/sessions#x", "/Sessions", "sessions",
		"/%2f/evil.example", "%2f%2fevil.example", "%2Fsessions", "/sessions%0d%0aSet-Cookie:x=y", "/sessions\r\n", "/sessions\x00", " /sessions", "/\tevil.example",
		"/logout", "/authorize?client_id=x", "/sessions/",
	} {
		if got := signin.Back(path); got != "" {
			t.Errorf("Back(%q) = %q, want nothing", path, got)
		}
	}
}
