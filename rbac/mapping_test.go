package rbac_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/broker/rbac"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func all(string) bool { return true }

// What a rule makes of claims.
func TestMap(t *testing.T) {
	var claims map[string]any
	d := json.NewDecoder(strings.NewReader(`{
		"hd": "example.com", "email": "jo@Example.COM", "groups": ["a", "b"], "level": 3, "staff": true, "none": null, "https://x.example/groups": ["c"],
		"realm": {"roles": ["writers"]}, "teams": [{"org": {"name": "acme"}}, {"org": {"name": "other"}}], "deep": [[["x"]]]}`))
	d.UseNumber()
	if err := d.Decode(&claims); err != nil {
		t.Fatal(err)
	}
	in, equals, domain := rbac.In, rbac.Equals, rbac.MatchesDomain
	for _, row := range []struct {
		rule, claim string
		op          rbac.Op
		values      []string
		unasked     rbac.Unasked
		want        rbac.Verdict
	}{
		{"a text", "hd", equals, []string{"example.com"}, nil, rbac.Matched},
		{"another text", "hd", equals, []string{"example.org"}, nil, rbac.Missed},
		{"case counts", "hd", equals, []string{"Example.com"}, nil, rbac.Missed},
		{"an element of a list", "groups", in, []string{"z", "b"}, nil, rbac.Matched},
		{"none of a list", "groups", in, []string{"z"}, nil, rbac.Missed},
		{"below a name", "realm.roles", in, []string{"writers"}, nil, rbac.Matched},
		{"a list on the way", "teams.org.name", equals, []string{"other"}, nil, rbac.Matched},
		{"lists in lists", "deep", equals, []string{"x"}, nil, rbac.Matched},
		{"a name with dots", `https://x\.example/groups`, equals, []string{"c"}, nil, rbac.Matched},
		{"a number, as JSON writes it", "level", equals, []string{"3"}, nil, rbac.Matched},
		{"a truth value", "staff", equals, []string{"true"}, nil, rbac.Matched},
		{"null is nothing", "none", in, []string{"null", ""}, nil, rbac.Missed},
		{"an object is nothing", "realm", in, []string{"writers"}, nil, rbac.Missed},
		{"a path past the end", "hd.x", in, []string{"example.com"}, nil, rbac.Missed},
		{"an address in a domain, whatever its case", "email", domain, []string{"example.com"}, nil, rbac.Matched},
		{"a domain that ends like it", "email", domain, []string{"ample.com"}, nil, rbac.Missed},
		{"a domain above it", "email", domain, []string{"com"}, nil, rbac.Missed},
		{"a claim that could not be asked", "orgs", in, []string{"acme"}, rbac.Unasked{"orgs": "timeout"}, rbac.Unknown},
		{"a value that could not be asked", "orgs", in, []string{"acme", "b"}, rbac.Unasked{"orgs=acme": "403"}, rbac.Unknown},
		{"another value that could not be asked", "orgs", in, []string{"b"}, rbac.Unasked{"orgs=acme": "403"}, rbac.Missed},
		{"what is there matches, whatever else could not be asked", "groups", in, []string{"a"}, rbac.Unasked{"groups": "more"}, rbac.Matched},
		{"an operator nobody knows", "hd", "regex", []string{".*"}, nil, rbac.Missed},
	} {
		t.Run(row.rule, func(t *testing.T) {
			got := rbac.Map([]rbac.Rule{{ID: "r", Claim: row.claim, Op: row.op, Values: row.values, Roles: []string{"editor"}}}, rbac.Said{Provider: "p", Claims: claims, Unasked: row.unasked}, all, now)
			if got.Steps[0].Verdict != row.want || (len(got.Grants) == 1) != (row.want == rbac.Matched) {
				t.Errorf("got %+v, want %s", got, row.want)
			}
		})
	}
}

func TestRulesAreEvaluatedInOrder(t *testing.T) {
	rule := func(id, provider string, stop bool) rbac.Rule {
		return rbac.Rule{ID: id, Provider: provider, Claim: "a", Op: rbac.Equals, Values: []string{"1"}, Roles: []string{id, "gone"}, Stop: stop}
	}
	rules := []rbac.Rule{rule("one", "", false), rule("elsewhere", "q", true), rule("two", "p", true), rule("three", "p", false)}
	got := rbac.Map(rules, rbac.Said{Provider: "p", Claims: map[string]any{"a": "1"}}, func(r string) bool { return r != "gone" }, now)
	if roles := rbac.Effective(got.Grants, now); !cmp.Equal(roles, []string{"one", "two"}) {
		t.Errorf("roles %v", roles)
	}
	var verdicts []rbac.Verdict
	for _, s := range got.Steps {
		verdicts = append(verdicts, s.Verdict)
	}
	if !cmp.Equal(verdicts, []rbac.Verdict{rbac.Matched, rbac.Skipped, rbac.Matched, rbac.Skipped}) {
		t.Errorf("verdicts %v", verdicts)
	}
}

// What becomes of the grants that somebody has.
func TestRenew(t *testing.T) {
	manual := rbac.Grant{Role: "viewer", Source: rbac.Manual, Since: now.Add(-time.Hour)}
	mapped := func(rule, provider string, until time.Duration) rbac.Grant {
		return rbac.Grant{Role: "editor", Source: rbac.Mapping, Since: now.Add(-time.Hour), Until: now.Add(until), Rule: rule, Provider: provider}
	}
	rule := rbac.Rule{ID: "r", Claim: "groups", Op: rbac.In, Values: []string{"x"}, Roles: []string{"editor"}, TTL: 3600}
	yes, no := map[string]any{"groups": []any{"x"}}, map[string]any{"groups": []any{}}
	why := rbac.Unasked{"groups": "timeout"}
	fresh, late, held := mapped("r", "p", time.Hour), mapped("r", "p", 58*time.Minute), mapped("r", "p", 30*time.Minute)
	held.Held = "groups could not be asked: timeout"
	unheld := mapped("r", "p", 30*time.Minute)
	newest := fresh
	newest.Since = now
	for _, row := range []struct {
		rule    string
		old     []rbac.Grant
		claims  map[string]any
		unasked rbac.Unasked
		want    []rbac.Grant
		changed bool
	}{
		{"a match adds a grant", []rbac.Grant{manual}, yes, nil, []rbac.Grant{manual, newest}, true},
		{"a match confirms it, and since stays", []rbac.Grant{unheld}, yes, nil, []rbac.Grant{fresh}, true},
		{"one confirmed a moment ago is not written again", []rbac.Grant{late}, yes, nil, []rbac.Grant{late}, false},
		{"no match takes it away", []rbac.Grant{manual, fresh}, no, nil, []rbac.Grant{manual}, true},
		{"a claim that is absent takes it away too", []rbac.Grant{fresh}, nil, nil, nil, true},
		{"one that could not be asked keeps it, with its end, and says why", []rbac.Grant{unheld}, nil, why, []rbac.Grant{held}, true},
		{"the same again changes nothing", []rbac.Grant{held}, nil, why, []rbac.Grant{held}, false},
		{"but not past its end", []rbac.Grant{mapped("r", "p", -time.Minute)}, nil, why, nil, true},
		{"and gives nothing new", []rbac.Grant{manual}, nil, why, []rbac.Grant{manual}, false},
		{"an answer ends the doubt", []rbac.Grant{held}, yes, nil, []rbac.Grant{fresh}, true},
		{"grants of another provider stay", []rbac.Grant{mapped("r", "q", time.Hour)}, no, nil, []rbac.Grant{mapped("r", "q", time.Hour)}, false},
		{"those of a rule that is gone go", []rbac.Grant{mapped("old", "p", time.Hour)}, nil, why, nil, true},
		{"nothing is nothing", nil, no, nil, nil, false},
	} {
		t.Run(row.rule, func(t *testing.T) {
			said := rbac.Said{Provider: "p", Claims: row.claims, Unasked: row.unasked}
			got, changed := rbac.Renew(row.old, said, rbac.Map([]rbac.Rule{rule}, said, all, now), now)
			if diff := cmp.Diff(row.want, got); diff != "" || changed != row.changed {
				t.Errorf("changed %v, want %v (-want +got):\n%s", changed, row.changed, diff)
			}
		})
	}
}

// The property that matters: whatever claims hold, rules never give a role that no rule names, and never one that there is not.
func FuzzMap(f *testing.F) {
	f.Add(`{"groups":["x",{"y":[1,null]}]}`, "groups.y", "x")
	f.Add(`{"a\\.b":"x"}`, `a\.b`, "x")
	f.Fuzz(func(t *testing.T, text, path, value string) {
		var claims map[string]any
		if json.Unmarshal([]byte(text), &claims) != nil {
			t.Skip()
		}
		rules := []rbac.Rule{{ID: "r", Claim: path, Op: rbac.In, Values: []string{value}, Roles: []string{"editor", "gone"}}}
		got := rbac.Map(rules, rbac.Said{Claims: claims}, func(r string) bool { return r != "gone" }, now)
		for _, g := range got.Grants {
			if g.Role != "editor" || g.Source != rbac.Mapping || !g.Until.After(now) {
				t.Errorf("got %+v", g)
			}
		}
	})
}
