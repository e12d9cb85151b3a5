package verify_test

import (
	"runtime"
	"strings"
	"testing"

	"example.com/broker/verify"
)

// TestHugeTokensCostLittleMemory bounds what a refusal allocates (F10): nothing that grows with the token where its size or the
// number of its parts refuses it, and a small multiple of the token where it has to be decoded first.
func TestHugeTokensCostLittleMemory(t *testing.T) {
	s := ecSigner("ec-1", 1)
	head, claims := s.header().text(t), strings.TrimSuffix(ordinary().text(t), "}")
	nested := func(open, end string) string {
		return s.compact(t, head, claims+`,"a":`+strings.Repeat(open, 100_000)+strings.Repeat(end, 100_000)+"}")
	}
	const small = 4 << 10
	tests := []struct {
		rule     string
		maxToken int
		token    string
		maxBytes uint64
	}{
		{"1 MB token", 0, strings.Repeat("a", 1<<20), small},
		{"10^6 dots", 0, strings.Repeat(".", 1_000_000), small},
		{"10^6 dots, size allowed", 1 << 20, strings.Repeat(".", 1_000_000), small},
		{"1 MB without dots, size allowed", 1 << 20, strings.Repeat("a", 1<<20), small},
		{"1 MB signature, size allowed", 1 << 20, part(head) + "." + part(claims+"}") + "." + strings.Repeat("A", 900_000), small},
		{"1 MB header, size allowed", 1 << 20, part(`{"a":"`+strings.Repeat("x", 700_000)) + ".e30.", 3 << 20},
		{"arrays 10^5 deep", 0, nested("[", "]"), small},
		{"arrays 10^5 deep, size allowed", 1 << 20, nested("[", "]"), 2 << 20},
		{"objects 10^5 deep, size allowed", 1 << 20, nested(`{"a":`, "}"), 2 << 20},
		{"10^5 claims, size allowed", 1 << 20, s.compact(t, head, claims+","+strings.ReplaceAll(manyMembers(60_000), ":0", ":1")+"}"), 2 << 20},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			v := newVerifier(t, func(c *verify.Config) { c.Keys, c.MaxTokenBytes = staticKeys(t, s), tt.maxToken })
			var token *verify.Token
			var err error
			got := allocated(func() { token, err = v.Verify(t.Context(), tt.token) })
			wantRefusal(t, token, err, verify.CodeInvalidToken, "")
			if got > tt.maxBytes {
				t.Errorf("a token of %d bytes made %d bytes be allocated, want at most %d", len(tt.token), got, tt.maxBytes)
			}
		})
	}
}

// allocated returns how many bytes f allocates: the least of some runs, since other goroutines allocate too.
func allocated(f func()) uint64 {
	least := ^uint64(0)
	var before, after runtime.MemStats
	for range 5 {
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}
