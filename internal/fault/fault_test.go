package fault_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"example.com/broker/internal/fault"
)

func TestKindAndCodeOfAChain(t *testing.T) {
	taken := fault.New(fault.Conflict, "claim_taken", "taken")
	for _, row := range []struct {
		rule string
		err  error
		kind fault.Kind
		code string
	}{
		{"nil has no kind", nil, fault.Internal, "internal"},
		{"a foreign error is internal", io.EOF, fault.Internal, "internal"},
		{"an error of ours", taken, fault.Conflict, "claim_taken"},
		{"an error of ours in a chain", fmt.Errorf("link: %w", taken), fault.Conflict, "claim_taken"},
		{"an error of ours among several", errors.Join(io.EOF, taken), fault.Conflict, "claim_taken"},
		{"the outermost decides", fault.Wrap(taken, fault.Forbidden, "not_claimable", "no"), fault.Forbidden, "not_claimable"},
		{"a forgotten kind is internal", &fault.Error{Code: "x"}, fault.Internal, "x"},
		{"a forgotten code is internal", &fault.Error{Kind: fault.Invalid}, fault.Invalid, "internal"},
	} {
		if got := fault.KindOf(row.err); got != row.kind {
			t.Errorf("%s: KindOf = %v, want %v", row.rule, got, row.kind)
		}
		if got := fault.CodeOf(row.err); got != row.code {
			t.Errorf("%s: CodeOf = %q, want %q", row.rule, got, row.code)
		}
		if got, want := fault.Is(row.err, row.kind), row.err != nil; got != want {
			t.Errorf("%s: Is(err, %v) = %v, want %v", row.rule, row.kind, got, want)
		}
	}
}

func TestErrorNamesItsCauseAndLeadsToIt(t *testing.T) {
	err := fault.Wrap(io.ErrUnexpectedEOF, fault.Upstream, "upstream_unavailable", "%s did not answer", "GitHub")
	if want := "upstream_unavailable: GitHub did not answer: unexpected EOF"; err.Error() != want {
		t.Errorf("Error() = %q, want %q", err, want)
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error("errors.Is does not reach the cause")
	}
	if err.Message != "GitHub did not answer" {
		t.Errorf("the message that may be shown is %q", err.Message)
	}
}

func TestEveryKindHasAName(t *testing.T) {
	seen := map[string]bool{}
	for k := fault.Internal; k <= fault.Unavailable; k++ {
		if name := k.String(); name == "" || seen[name] {
			t.Errorf("kind %d is called %q", k, name)
		}
		seen[k.String()] = true
	}
	for _, k := range []fault.Kind{-1, fault.Unavailable + 1} {
		if k.String() != "internal" {
			t.Errorf("kind %d is called %q, want internal: an unknown kind hides its text", k, k)
		}
	}
}
