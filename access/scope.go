package access

import (
	"example.com/broker/internal/fault"
	"example.com/broker/rbac"
)

// Within returns fault.Forbidden "scope_missing" unless the credential reaches as far as the permission, whatever the roles say.
func Within(a Actor, want rbac.Permission) error {
	if !a.within(want) {
		return fault.Wrap(&Missing{Permission: want}, fault.Forbidden, "scope_missing", "This credential does not reach that far: ask for the scope %s.", want)
	}
	return nil
}
