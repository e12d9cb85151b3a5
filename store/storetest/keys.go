package storetest

import (
	"fmt"
	"testing"

	"example.com/broker/internal/fault"
	"example.com/broker/keys"
)

func testKeys(t *testing.T, f *Fixture) {
	s, ctx := f.Stores.Keys, t.Context()
	stored := func(t *testing.T, want keys.Set) {
		t.Helper()
		same(t, want, must(s.LoadKeys(ctx, want.Alg))(t))
	}

	t.Run("an algorithm without keys has version 0", func(t *testing.T) {
		if set := must(s.LoadKeys(ctx, "ES256"))(t); set.V != 0 || len(set.Keys) != 0 {
			t.Fatalf("got %+v, want an empty set", set)
		}
	})
	t.Run("every field of a key is stored, the sealed private part too", func(t *testing.T) {
		set := keys.Set{Alg: "ES256", Keys: filled[keys.Set]("wide").Keys}
		done(t, s.SwapKeys(ctx, set))
		set.V = 1
		stored(t, set)
	})
	t.Run("a swap raises V by one and keeps the order", func(t *testing.T) {
		set := keys.Set{Alg: "ES256", V: 1}
		for i := range 50 {
			set.Keys = append(set.Keys, keys.Key{KID: fmt.Sprint(50 - i), Private: "sealed", Public: []byte{byte(i)}})
		}
		done(t, s.SwapKeys(ctx, set))
		set.V = 2
		stored(t, set)
	})
	t.Run("a swap of another version is refused and changes nothing", func(t *testing.T) {
		want := must(s.LoadKeys(ctx, "ES256"))(t)
		for _, v := range []int64{0, 1, 3} {
			fails(t, s.SwapKeys(ctx, keys.Set{Alg: "ES256", V: v, Keys: []keys.Key{{KID: "stale"}}}), fault.Conflict, "keys_changed")
		}
		stored(t, want)
	})
	t.Run("a swap of a set that was never stored is refused", func(t *testing.T) {
		fails(t, s.SwapKeys(ctx, keys.Set{Alg: "EdDSA", V: 1}), fault.Conflict, "keys_changed")
		if set := must(s.LoadKeys(ctx, "EdDSA"))(t); set.V != 0 {
			t.Fatalf("got version %d, want none stored", set.V)
		}
	})
	t.Run("algorithms are kept apart", func(t *testing.T) {
		want := must(s.LoadKeys(ctx, "ES256"))(t)
		done(t, s.SwapKeys(ctx, keys.Set{Alg: "RS256", Keys: []keys.Key{{KID: "rsa"}}}))
		stored(t, want)
		stored(t, keys.Set{Alg: "RS256", V: 1, Keys: []keys.Key{{KID: "rsa"}}})
	})
}

func testKeyRaces(t *testing.T, f *Fixture) {
	s, ctx := f.Stores.Keys, t.Context()
	for v := range int64(3) {
		t.Run(fmt.Sprintf("of many who swap version %d one does", v), func(t *testing.T) {
			set := func(i int) keys.Set {
				return keys.Set{Alg: "ES256", V: v, Keys: []keys.Key{{KID: fmt.Sprint(v, "-", i), Public: []byte{1}}}}
			}
			errs := race(racers, func(i int) error { return s.SwapKeys(ctx, set(i)) })
			want := set(oneWins(t, errs, fault.Conflict, "keys_changed"))
			want.V++
			same(t, want, must(s.LoadKeys(ctx, "ES256"))(t))
		})
	}
}
