package tokens_test

import (
	"context"
	"sync/atomic"
	"testing"

	"example.com/broker/clients"
	"example.com/broker/keys"
	"example.com/broker/tokens"
)

func BenchmarkAccessToken(b *testing.B) {
	r := solo(b, func(s *settings) { s.algs = keys.Algorithms() })
	u, g := alice(), grant()
	for _, alg := range keys.Algorithms() {
		b.Run(alg, func(b *testing.B) {
			q := tokens.AccessRequest{ClientID: client, User: &u, Grant: &g, API: clients.API{Alg: alg}}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.issuer.AccessToken(b.Context(), q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	r := solo(b)
	raw := r.access(b, grant())
	b.Run("remembered", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !r.accepts(b, raw) {
				b.Fatal("refused")
			}
		}
	})
}

// BenchmarkRefresh is the whole of a refresh below HTTP: one write and one signature. "one at a time" pays a commit each, "64 waiting"
// shares them.
func BenchmarkRefresh(b *testing.B) {
	r := solo(b)
	refresh := func(token string) (string, error) {
		g, next, err := r.rotate(token)
		if err != nil {
			return "", err
		}
		u := alice()
		_, err = r.issuer.AccessToken(context.Background(), tokens.AccessRequest{ClientID: client, User: &u, Grant: &g})
		return next, err
	}
	b.Run("one at a time", func(b *testing.B) {
		_, token := r.family(b, r.offline())
		for b.Loop() {
			next, err := refresh(token)
			if err != nil {
				b.Fatal(err)
			}
			token = next
		}
	})
	b.Run("64 waiting", func(b *testing.B) {
		const waiting = 64
		families := make(chan string, waiting)
		for range waiting {
			_, token := r.family(b, r.offline())
			families <- token
		}
		var failed atomic.Int64
		b.SetParallelism(waiting)
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				next, err := refresh(<-families)
				if err != nil {
					failed.Add(1)
				}
				families <- next
			}
		})
		if n := failed.Load(); n > 0 {
			b.Fatalf("%d refreshes failed", n)
		}
	})
}
