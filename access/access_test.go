package access_test

import (
	"testing"

	"example.com/broker/access"
	"example.com/broker/internal/fault"
	"example.com/broker/rbac"
)

func TestCheck(t *testing.T) {
	g := access.NewGuard(rbac.Defaults)
	for _, c := range []struct {
		rule  string
		actor access.Actor
		want  rbac.Permission
		code  string
	}{
		{"a viewer reads", access.Actor{Roles: []string{"viewer"}, Whole: true}, "articles:read", ""},
		{"a viewer does not write", access.Actor{Roles: []string{"viewer"}, Whole: true}, "articles:write", "role_missing"},
		{"an editor writes", access.Actor{Roles: []string{"editor"}, Whole: true}, "articles:write", ""},
		{"an editor deletes nobody", access.Actor{Roles: []string{"editor"}, Whole: true}, "users:delete", "role_missing"},
		{"an admin does all", access.Actor{Roles: []string{"admin"}, Whole: true}, "users:delete", ""},
		{"an unknown role gives nothing", access.Actor{Roles: []string{"owner"}, Whole: true}, "articles:read", "role_missing"},
		{"no role gives nothing", access.Actor{Whole: true}, "articles:read", "role_missing"},
		{"a scope limits the role", access.Actor{Roles: []string{"admin"}, Scopes: []string{"articles:read"}, Whole: true}, "articles:write", "scope_missing"},
		{"a scope does not widen the role", access.Actor{Roles: []string{"viewer"}, Scopes: []string{"articles:write"}}, "articles:write", "role_missing"},
		{"a scope that is no permission limits nothing for a first party", access.Actor{Roles: []string{"viewer"}, Scopes: []string{"openid"}, Whole: true}, "articles:read", ""},
		{"a scope that is no permission allows nothing to another", access.Actor{Roles: []string{"viewer"}, Scopes: []string{"openid"}}, "articles:read", "scope_missing"},
		{"a credential without scopes allows nothing to another", access.Actor{Roles: []string{"admin"}}, "articles:read", "scope_missing"},
		{"a wildcard scope reaches its resource", access.Actor{Roles: []string{"editor"}, Scopes: []string{"articles:*"}}, "articles:write", ""},
		{"and no other", access.Actor{Roles: []string{"editor"}, Scopes: []string{"articles:*"}}, "data:read", "scope_missing"},
		{"a wildcard is no question", access.Actor{Roles: []string{"viewer"}, Whole: true}, "articles:*", "role_missing"},
	} {
		err := g.Check(c.actor, c.want)
		if code := codeOf(err); code != c.code {
			t.Errorf("%s: got %v, want %q", c.rule, err, c.code)
		}
	}
}

func TestMayGive(t *testing.T) {
	g := access.NewGuard(rbac.Defaults)
	editor := access.Actor{Roles: []string{"editor"}, Whole: true}
	for scope, code := range map[string]string{
		"data:read": "", "*:write": "", "*:*": "role_missing", "users:delete": "role_missing", "data": "scope_invalid", "Data:Read": "scope_invalid", "a:b:c": "scope_invalid",
	} {
		if err := g.MayGive(editor, []string{scope}); codeOf(err) != code {
			t.Errorf("an editor gives %q: %v, want %q", scope, err, code)
		}
	}
}

func codeOf(err error) string {
	if err == nil {
		return ""
	}
	return fault.CodeOf(err)
}
