package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"example.com/broker/internal/fault"
	"example.com/broker/internal/strictjson"
	"example.com/broker/providers"
	"example.com/broker/rbac"
	"example.com/broker/web"
)

func (e *endpoints) listRoles(c *gin.Context) error { return answerRoles(c, e.Roles.All()) }

func answerRoles(c *gin.Context, s rbac.RoleSet) error {
	list := make([]gin.H, 0, len(s.Roles))
	for _, r := range s.Roles {
		list = append(list, gin.H{
			"name": r.Name, "description": r.Description, "permissions": append([]rbac.Permission{}, r.Permissions...),
			"built_in": rbac.BuiltIn(r.Name), "editable": r.Name != rbac.Admin,
		})
	}
	return answer(c, http.StatusOK, s.V, gin.H{"v": s.V, "by": s.By, "roles": list})
}

func (e *endpoints) putRole(c *gin.Context) error {
	var in struct {
		Description string            `json:"description"`
		Permissions []rbac.Permission `json:"permissions"`
	}
	if err := web.JSON(c, &in); err != nil {
		return err
	}
	if err := needs(need{"permissions", in.Permissions != nil}); err != nil {
		return err
	}
	v, err := version(c, nil)
	if err != nil {
		return err
	}
	role := rbac.Role{Name: c.Param("name"), Description: in.Description, Permissions: in.Permissions}
	before, s, err := e.Roles.Put(c.Request.Context(), role, v, web.CallerOf(c).User.ID)
	if err := e.done(c, "role.put", role.Name, err, "before", words(before), "after", words(role.Permissions)); err != nil {
		return err
	}
	return answerRoles(c, s)
}

func words(permissions []rbac.Permission) string {
	return strings.Trim(fmt.Sprint(permissions), "[]") // no permission holds a bracket
}

// removeRole takes a role away that nobody holds and no rule gives.
func (e *endpoints) removeRole(c *gin.Context) error {
	v, err := version(c, nil)
	if err != nil {
		return err
	}
	name := c.Param("name")
	s, err := e.unused(c, name)
	if err == nil {
		s, err = e.Roles.Remove(c.Request.Context(), name, v, web.CallerOf(c).User.ID)
	}
	if err := e.done(c, "role.remove", name, err); err != nil {
		return err
	}
	return answerRoles(c, s)
}

func (e *endpoints) unused(c *gin.Context, name string) (rbac.RoleSet, error) {
	if !e.Roles.Known(name) || rbac.BuiltIn(name) {
		return rbac.RoleSet{}, nil // Remove says what is wrong
	}
	for _, rule := range e.Rules.All().Rules {
		if slices.Contains(rule.Roles, name) {
			return rbac.RoleSet{}, fault.New(fault.Conflict, "role_in_use", "The mapping rule %s gives the role %s. Change it first.", rule.ID, name)
		}
	}
	holder, err := e.Users.Holds(c.Request.Context(), name)
	if err == nil && holder != "" {
		err = fault.New(fault.Conflict, "role_in_use", "The user %s holds the role %s, and maybe others. Take it from them first.", holder, name)
	}
	return rbac.RoleSet{}, err
}

// ruleJSON is a mapping rule as it comes in.
type ruleJSON struct {
	ID       string   `json:"id"`
	Provider string   `json:"provider"`
	Claim    string   `json:"claim"`
	Op       rbac.Op  `json:"op"`
	Values   []string `json:"values"`
	Roles    []string `json:"roles"`
	TTL      int64    `json:"ttl"`
	Stop     bool     `json:"stop"`
	Fixed    bool     `json:"fixed"`
}

// stored are the rules that come in, without those of the configuration: what was read can be sent back.
func stored(in []ruleJSON) []rbac.Rule {
	var out []rbac.Rule
	for _, r := range in {
		if !r.Fixed {
			out = append(out, rbac.Rule(r))
		}
	}
	return out
}

func (e *endpoints) listRules(c *gin.Context) error { return e.answerRules(c, e.Rules.All()) }

func (e *endpoints) answerRules(c *gin.Context, s rbac.RuleSet) error {
	return answer(c, http.StatusOK, s.V, gin.H{"v": s.V, "by": s.By, "rules": shown(s.Rules), "warnings": e.warnings(s.Rules)})
}

func shown(rules []rbac.Rule) []ruleJSON {
	out := make([]ruleJSON, 0, len(rules))
	for _, r := range rules {
		out = append(out, ruleShown(r))
	}
	return out
}

func ruleShown(r rbac.Rule) ruleJSON {
	j := ruleJSON(r)
	j.Values, j.Roles = append([]string{}, r.Values...), append([]string{}, r.Roles...)
	return j
}

// warnings tell of rules that are right in themselves and give nothing as things are.
func (e *endpoints) warnings(rules []rbac.Rule) []string {
	out := []string{}
	for _, r := range rules {
		if r.Provider == "" {
			continue
		}
		p, err := e.Providers.Get(r.Provider)
		switch {
		case err != nil:
			out = append(out, "Rule "+r.ID+": there is no provider "+r.Provider+", or it is switched off.")
		case needsScope(r, p.Config()):
			out = append(out, "Rule "+r.ID+": GitHub is not asked for "+r.Claim+". Add the scope read:org to providers."+r.Provider+".scopes.")
		}
	}
	return out
}

func needsScope(r rbac.Rule, c providers.Config) bool {
	return c.Kind == "github" && (r.Claim == "orgs" || r.Claim == "teams") && !slices.ContainsFunc(c.Scopes, func(s string) bool {
		return s == "read:org" || s == "admin:org" || s == "write:org" || s == "user" || s == "repo"
	})
}

func (e *endpoints) putRules(c *gin.Context) error {
	var in struct {
		V     *int64     `json:"v"`
		Rules []ruleJSON `json:"rules"`
	}
	if err := web.JSON(c, &in); err != nil {
		return err
	}
	if err := needs(need{"rules", in.Rules != nil}); err != nil {
		return err
	}
	v, err := version(c, in.V)
	if err != nil {
		return err
	}
	rules := stored(in.Rules)
	before, s, err := e.Rules.Save(c.Request.Context(), rules, v, web.CallerOf(c).User.ID)
	var detail []string
	if err == nil {
		detail = ruleChanges(before, rules)
	}
	if err := e.done(c, "mapping_rules.put", "", err, detail...); err != nil {
		return err
	}
	return e.answerRules(c, s)
}

// ruleChanges names the rules that were added, changed and removed, and says so where only their order is another one.
func ruleChanges(before, after []rbac.Rule) []string {
	var added, changed, removed []string
	at := func(list []rbac.Rule, id string) int {
		return slices.IndexFunc(list, func(r rbac.Rule) bool { return r.ID == id })
	}
	for _, r := range after {
		switch i := at(before, r.ID); {
		case i < 0:
			added = append(added, r.ID)
		case !reflect.DeepEqual(ruleShown(before[i]), ruleShown(r)):
			changed = append(changed, r.ID)
		}
	}
	for _, r := range before {
		if at(after, r.ID) < 0 {
			removed = append(removed, r.ID)
		}
	}
	order := ""
	if len(added)+len(removed) == 0 && !slices.EqualFunc(before, after, func(x, y rbac.Rule) bool { return x.ID == y.ID }) {
		order = "changed"
	}
	return []string{"added", strings.Join(added, " "), "changed", strings.Join(changed, " "), "removed", strings.Join(removed, " "), "order", order}
}

// oversize finds a number that programs read as infinity, or as another number.
func oversize(v any) (json.Number, bool) {
	switch v := v.(type) {
	case json.Number:
		_, ok := strictjson.Plain(v)
		return v, !ok
	case map[string]any:
		for _, inner := range v {
			if n, found := oversize(inner); found {
				return n, true
			}
		}
	case []any:
		for _, inner := range v {
			if n, found := oversize(inner); found {
				return n, true
			}
		}
	}
	return "", false
}

// dryRun evaluates rules against claims that somebody pasted, and stores nothing. Without rules of its own it takes those in force.
func (e *endpoints) dryRun(c *gin.Context) error {
	var in struct {
		Provider string            `json:"provider"`
		Claims   json.RawMessage   `json:"claims"`
		Unasked  map[string]string `json:"unasked"`
		Rules    *[]ruleJSON       `json:"rules"`
	}
	if err := web.JSON(c, &in); err != nil {
		return err
	}
	if err := needs(need{"claims", len(in.Claims) > 0 && string(in.Claims) != "null"}); err != nil {
		return err
	}
	v, err := providers.Decode(in.Claims)
	claims, ok := v.(map[string]any)
	if err != nil || !ok {
		return fault.New(fault.Invalid, "claims_invalid", "claims must be a JSON object, such as the payload of an ID token.")
	}
	if n, ok := oversize(claims); ok {
		return fault.New(fault.Invalid, "claims_invalid", "claims hold the number %.40s, which has more digits than any program keeps.", n)
	}
	rules := e.Rules.All().Rules
	if in.Rules != nil {
		rules = nil
		for _, r := range *in.Rules {
			rules = append(rules, rbac.Rule(r))
		}
		if err := rbac.CheckRules(rules, e.Roles.Known); err != nil {
			return err
		}
	}
	mapped := rbac.Map(rules, rbac.Said{Provider: in.Provider, Claims: claims, Unasked: in.Unasked}, e.Roles.Known, e.Now())
	steps := make([]gin.H, 0, len(mapped.Steps))
	for _, s := range mapped.Steps {
		steps = append(steps, gin.H{"rule": ruleShown(s.Rule), "verdict": s.Verdict, "why": s.Why})
	}
	c.JSON(http.StatusOK, gin.H{"roles": rbac.Effective(mapped.Grants, e.Now()), "grants": append([]rbac.Grant{}, mapped.Grants...), "steps": steps})
	return nil
}
