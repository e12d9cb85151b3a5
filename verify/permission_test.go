package verify_test

import (
	"strings"
	"testing"

	"example.com/broker/verify"
)

func TestAScopeCoversAPermission(t *testing.T) {
	for _, row := range []struct {
		scopes, permission string
		want               bool
	}{
		{"orders:read", "orders:read", true},
		{"orders:read", "orders:write", false},
		{"stock:read orders:*", "orders:write", true},
		{"*:read", "orders:read", true},
		{"*:read", "orders:write", false},
		{"*:*", "orders:write", true},
		{"openid profile", "orders:read", false},
		{"", "orders:read", false},
		{"orders", "orders:read", false},
		{"orders:read:more", "orders:read", false},
		{"orders:read", "orders", false},
	} {
		if got := (verify.Subject{Scopes: strings.Fields(row.scopes)}).HasPermission(row.permission); got != row.want {
			t.Errorf("%q covers %s: %v, want %v", row.scopes, row.permission, got, row.want)
		}
	}
}

func TestRequirePermissionWantsResourceAndVerb(t *testing.T) {
	for _, bad := range []string{"", "orders", ":read", "orders:", "*:read", "orders:read write"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q: no panic", bad)
				}
			}()
			verify.RequirePermission(bad)
		}()
	}
}
