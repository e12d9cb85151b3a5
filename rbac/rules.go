package rbac

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"example.com/broker/internal/changes"
	"example.com/broker/internal/fault"
)

// Op says how a rule compares what a claim holds.
type Op string

// The comparisons. A claim that holds a list matches if one of its elements does.
const (
	Equals        Op = "equals"         // the one value, byte for byte
	In            Op = "in"             // one of the values, byte for byte
	MatchesDomain Op = "matches_domain" // an address below one of the domains, whatever their case
)

// DefaultTTL is how long a mapped role lasts without being confirmed by a sign-in, where the rule says nothing else.
const DefaultTTL = 30 * 24 * time.Hour

// Bounds of what admins may define.
const (
	MaxRules  = 200
	MaxValues = 500
	maxTTL    = 366 * 24 * time.Hour
)

// Rule gives roles to people about whom an upstream says something.
type Rule struct {
	ID       string `json:"id" bson:"id"`
	Provider string `json:"provider,omitempty" bson:"provider,omitempty"` // its configured id; "" for every provider
	// Claim is the path to what is compared: names joined by dots (one that belongs to a name is written \.); a list on the way stands for
	// each of its elements.
	Claim  string   `json:"claim" bson:"claim"`
	Op     Op       `json:"op" bson:"op"`
	Values []string `json:"values" bson:"values"`
	Roles  []string `json:"roles" bson:"roles"`
	// TTL is how long the roles last without being confirmed, in seconds; 0 means DefaultTTL.
	TTL int64 `json:"ttl,omitempty" bson:"ttl,omitempty"`
	// Stop ends the evaluation where this rule matches: those after it give nothing.
	Stop bool `json:"stop,omitempty" bson:"stop,omitempty"`
	// Fixed marks a rule of the configuration, which is changed there.
	Fixed bool `json:"fixed,omitempty" bson:"-"`
}

// RuleSet is the document of the rules that admins edit, in the order in which they are evaluated.
type RuleSet struct {
	V     int64     `json:"v" bson:"v"`
	By    string    `json:"by,omitempty" bson:"by,omitempty"`
	At    time.Time `json:"at,omitzero" bson:"at,omitempty"`
	Rules []Rule    `json:"rules" bson:"rules"`
}

// life is the TTL as a duration.
func (r Rule) life() time.Duration {
	if r.TTL == 0 {
		return DefaultTTL
	}
	return time.Duration(r.TTL) * time.Second
}

var (
	ruleID = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
	// reserved are names that mean something in the broker's own tokens. A rule that read them would confuse what an upstream says about
	// its own tokens with what is known about the person.
	reserved = []string{"sub", "iss", "aud", "exp", "roles", "scope", "client_id"}
)

// Check lists what is wrong with a rule as fault.Invalid "rule_invalid". known tells which roles there are.
func (r Rule) Check(known func(string) bool) error {
	var problems []string
	bad := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if !ruleID.MatchString(r.ID) {
		bad("the id %.70q must have 1 to 64 of a-z, 0-9, dot, hyphen and underscore", r.ID)
	}
	path := splitPath(r.Claim)
	switch {
	case len(r.Claim) > 500 || len(path) > 8 || slices.Contains(path, "") || strings.ContainsFunc(r.Claim, unicode.IsControl):
		bad("the claim must be names joined by dots, at most eight")
	case slices.Contains(reserved, path[0]):
		bad("the claim %q is reserved: it means something else in the broker's own tokens", path[0])
	}
	switch r.Op {
	case Equals:
		if len(r.Values) != 1 {
			bad("equals needs exactly one value; use in for several")
		}
	case In, MatchesDomain:
		if len(r.Values) == 0 || len(r.Values) > MaxValues {
			bad("%s needs 1 to %d values", r.Op, MaxValues)
		}
	default:
		bad("op is %.40q, expected equals, in or matches_domain", string(r.Op))
	}
	if slices.ContainsFunc(r.Values, func(v string) bool { return v == "" || len(v) > 500 }) {
		bad("a value must have 1 to 500 bytes")
	}
	if len(r.Roles) == 0 || len(r.Roles) > MaxRoles {
		bad("it must give at least one role")
	}
	for _, role := range r.Roles[:min(len(r.Roles), MaxRoles)] {
		if !known(role) {
			bad("there is no role %.70q", role)
		}
	}
	if r.TTL < 0 || r.TTL > int64(maxTTL/time.Second) {
		bad("ttl is %d seconds, expected 0 to %d", r.TTL, int64(maxTTL/time.Second))
	}
	if len(problems) > 0 {
		return fault.New(fault.Invalid, "rule_invalid", "The rule %.70q cannot be saved: %s.", r.ID, strings.Join(problems, "; "))
	}
	return nil
}

// CheckRules checks each rule, and that their ids differ. fault.Invalid "rule_invalid".
func CheckRules(rules []Rule, known func(string) bool) error {
	if len(rules) > MaxRules {
		return fault.New(fault.Invalid, "rule_invalid", "There are %d rules, expected at most %d.", len(rules), MaxRules)
	}
	seen := map[string]bool{}
	for _, r := range rules {
		if err := r.Check(known); err != nil {
			return err
		}
		if seen[r.ID] {
			return fault.New(fault.Invalid, "rule_invalid", "There are two rules with the id %s.", r.ID)
		}
		seen[r.ID] = true
	}
	return nil
}

// Rules are the mapping rules in force: those of the configuration first, then those of the store. It is safe for concurrent use.
type Rules struct {
	o     Options
	fixed []Rule
	roles *Roles
	copy  *changes.Mirror[RuleSet]
}

// NewRules takes the rules of the configuration, and holds none of the store until Load. fault.Invalid "rule_invalid" if one of the
// configuration is wrong in itself; roles that it names may be made later.
func NewRules(o Options, fixed []Rule, roles *Roles) (*Rules, error) {
	fixed = slices.Clone(fixed)
	for i := range fixed {
		fixed[i].Fixed = true
	}
	if err := CheckRules(fixed, roleName.MatchString); err != nil {
		return nil, err
	}
	r := &Rules{o: o, fixed: fixed, roles: roles}
	r.copy = changes.NewMirror(RuleSet{}, o.Store.LoadRules, func(s RuleSet) int64 { return s.V }, o.Now)
	return r, nil
}

// Load reads the stored rules. fault.Conflict "rule_twice" if one has the id of a rule of the configuration.
func (r *Rules) Load(ctx context.Context) error {
	if err := r.copy.Refresh(ctx); err != nil {
		return err
	}
	for _, rule := range r.copy.Get().Rules {
		if r.isFixed(rule.ID) {
			return fault.New(fault.Conflict, "rule_twice", "The mapping rule %s is in the configuration and in the store: rename one of them.", rule.ID)
		}
	}
	return nil
}

func (r *Rules) isFixed(id string) bool {
	return slices.ContainsFunc(r.fixed, func(f Rule) bool { return f.ID == id })
}

// Heard takes a RulesVersion entry of the change stream.
func (r *Rules) Heard(version int64) { r.copy.Heard(version) }

// All returns every rule in the order of evaluation, with the version of the stored ones.
func (r *Rules) All() RuleSet {
	s := r.copy.Get()
	s.Rules = slices.Concat(r.fixed, s.Rules)
	return s
}

// Save replaces the rules of the store. want is the version that the caller has seen, changes.Unstored for none, 0 for any. It returns the
// stored rules from before, and all that there are afterwards.
//
// fault.Invalid "rule_invalid"; fault.Conflict "rule_fixed" for the id of a rule of the configuration, "rules_changed" if the version is
// another one, naming who wrote it and when.
func (r *Rules) Save(ctx context.Context, rules []Rule, want int64, by string) (before []Rule, after RuleSet, err error) {
	if err := CheckRules(rules, r.roles.Known); err != nil {
		return nil, RuleSet{}, err
	}
	for _, rule := range rules {
		if r.isFixed(rule.ID) {
			return nil, RuleSet{}, fault.New(fault.Conflict, "rule_fixed", "The rule %s is defined by the configuration: change it there.", rule.ID)
		}
	}
	next, err := changes.Document[RuleSet]{
		Load: r.o.Store.LoadRules, Swap: r.o.Store.SwapRules, Announce: r.o.Announce,
		Stamp: func(s *RuleSet) (*int64, *string, *time.Time) { return &s.V, &s.By, &s.At },
	}.Change(ctx, changes.Edit[RuleSet]{
		Want: want, Code: "rules_changed", What: "The rules were", By: by, At: r.o.Now(),
		Do: func(s *RuleSet) error {
			before = s.Rules
			s.Rules = slices.Clone(rules)
			return nil
		},
	})
	if err != nil {
		return nil, RuleSet{}, err
	}
	r.copy.Adopt(next)
	return before, r.All(), nil
}

// Values returns what the rules of a provider compare a claim with: what an upstream must be asked about one by one.
func (r *Rules) Values(provider, claim string) []string {
	var out []string
	for _, rule := range r.All().Rules {
		if (rule.Provider == "" || rule.Provider == provider) && rule.Claim == claim {
			out = append(out, rule.Values...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Map evaluates the rules in force. Roles that there are no more are left out.
func (r *Rules) Map(in Said, now time.Time) Mapped { return Map(r.All().Rules, in, r.roles.Known, now) }
