package local

import (
	"strconv"
	"testing"
	"time"
)

func TestVaultForgetsTheOldest(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	v := newVault[int](time.Hour)
	for i := range vaultLimit + 10 {
		v.put(now, strconv.Itoa(i), i)
	}
	if len(v.items) > vaultLimit || len(v.order) > vaultLimit {
		t.Errorf("%d items and %d keys, want at most %d", len(v.items), len(v.order), vaultLimit)
	}
	if _, ok := v.get(now, "0"); ok {
		t.Error("the oldest is still there")
	}
	if got, ok := v.get(now, strconv.Itoa(vaultLimit+9)); !ok || got != vaultLimit+9 {
		t.Errorf("the newest: %d, %t", got, ok)
	}
}

func TestVaultSweepsWhatExpired(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	v := newVault[int](time.Minute)
	v.put(now, "taken", 1)
	v.put(now, "left", 2)
	if _, ok := v.take(now, "taken"); !ok {
		t.Fatal("not taken")
	}
	if _, ok := v.take(now, "taken"); ok {
		t.Error("taken twice")
	}
	v.put(now.Add(time.Minute), "new", 3)
	if len(v.items) != 1 || len(v.order) != 1 {
		t.Errorf("%d items and %d keys, want only the new one", len(v.items), len(v.order))
	}
}
