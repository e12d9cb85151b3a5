package verify_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"example.com/broker/verify"
)

// BenchmarkVerifyHit is a token seen before.
func BenchmarkVerifyHit(b *testing.B) {
	s := ecSigner("ec-1", 1)
	v := newVerifier(b, func(c *verify.Config) { c.Keys = staticKeys(b, s) })
	token := s.token(b, nil, nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerifyMiss is a token never seen before, interleaved with golang-jwt alone doing what it can of the same work; the
// metric miss/raw is the ratio of the two.
func BenchmarkVerifyMiss(b *testing.B) {
	s := ecSigner("ec-1", 1)
	v := newVerifier(b, func(c *verify.Config) { c.Keys, c.CacheEntries = staticKeys(b, s), -1 })
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer(issuer), jwt.WithAudience(audience),
		jwt.WithExpirationRequired(), jwt.WithTimeFunc(frozen))
	token := s.token(b, nil, nil)
	var ours, raw time.Duration
	b.ReportAllocs()
	for b.Loop() {
		start := time.Now()
		if _, err := v.Verify(b.Context(), token); err != nil {
			b.Fatal(err)
		}
		middle := time.Now()
		if _, err := parser.Parse(token, func(*jwt.Token) (any, error) { return s.public(), nil }); err != nil {
			b.Fatal(err)
		}
		ours, raw = ours+middle.Sub(start), raw+time.Since(middle)
	}
	b.ReportMetric(float64(ours)/float64(raw), "miss/raw")
}

// BenchmarkBareRoute is a request over loopback to a route without a guard, interleaved with the same behind the middleware and
// with a token seen before; the metric hit/bare is the ratio of the two.
func BenchmarkBareRoute(b *testing.B) {
	s := ecSigner("ec-1", 1)
	v := newVerifier(b, func(c *verify.Config) { c.Keys = staticKeys(b, s) })
	route := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	bare, guarded := httptest.NewServer(route), httptest.NewServer(v.Middleware(route))
	defer bare.Close()
	defer guarded.Close()
	token := s.token(b, nil, nil)
	ask := func(address string) time.Duration {
		req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, address, http.NoBody)
		if err != nil {
			b.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		start := time.Now()
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
			b.Fatal(resp.Status, err)
		}
		return time.Since(start)
	}
	var hit, floor time.Duration
	for b.Loop() {
		floor += ask(bare.URL)
		hit += ask(guarded.URL)
	}
	b.ReportMetric(float64(hit)/float64(floor), "hit/bare")
}
