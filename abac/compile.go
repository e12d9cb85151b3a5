package abac

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/schema"
	"github.com/cedar-policy/cedar-go/x/exp/schema/resolved"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"

	"example.com/broker/internal/fault"
)

// Compile checks a set and makes the engine that decides by it: fault.Invalid "policy_invalid", "schema_invalid" or "entities_invalid"
// names what is wrong and where, of all texts at once, and has Flaws as its cause. Every policy must fit the schema: unknown entity types,
// actions and attributes, an optional attribute that is read without asking whether it is there, and a comparison of different types are
// refused here, so that they are not found by a decision.
func Compile(s Set) (*Engine, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	var flaws Flaws
	note := func(part, policy string, found ...Flaw) {
		for _, f := range inOrder(found) {
			f.App, f.Part, f.Policy = s.App, part, policy
			flaws = append(flaws, f)
		}
	}
	var judge *validate.Validator
	declared, wrong := resolve(s.Schema)
	if wrong != nil {
		note(InSchema, "", *wrong)
	} else {
		judge = validate.New(declared)
	}
	statements := parseAll(s.Policies, judge, note)
	stored, found := parseEntities(s.Entities, judge)
	note(InEntities, "", found...)
	if err := flaws.fail(); err != nil {
		return nil, err
	}
	return newEngine(s, declared, statements, stored), nil
}

// check applies the bounds that need no parsing.
func (s Set) check() error {
	if err := ValidApp(s.App); err != nil {
		return err
	}
	if len(s.Policies) > MaxPolicies || len(s.Schema) > MaxSchemaText || len(s.Entities) > MaxEntitiesText {
		return fault.New(fault.TooLarge, "policies_too_large", "An application may have %d policies, a schema of %d KB and entities of %d MB.",
			MaxPolicies, MaxSchemaText>>10, MaxEntitiesText>>20)
	}
	total := len(s.Schema) + len(s.Entities)
	seen := map[string]bool{}
	for _, p := range s.Policies {
		total += len(p.Text)
		switch {
		case !validPolicy.MatchString(p.ID):
			return fault.New(fault.Invalid, "policy_invalid", "%.100q is no id of a policy: use letters, digits, dots, hyphens and underscores.", p.ID)
		case seen[p.ID]:
			return fault.New(fault.Invalid, "policy_invalid", "There are two policies %q.", p.ID)
		case len(p.Text) > MaxPolicyText:
			return fault.New(fault.TooLarge, "policies_too_large", "The policy %s has %d bytes, more than %d.", p.ID, len(p.Text), MaxPolicyText)
		}
		seen[p.ID] = true
	}
	if total > MaxSetText {
		return fault.New(fault.TooLarge, "policies_too_large", "Policies, schema and entities have %d bytes together, more than %d.", total, MaxSetText)
	}
	return nil
}

// guarded runs a parser of somebody else's on somebody's text: its panic is an error.
func guarded[T any](parse func() (T, error)) (v T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the parser gave up: %v", p)
		}
	}()
	return parse()
}

// resolve reads a schema. The one flaw is the first.
func resolve(text string) (*resolved.Schema, *Flaw) {
	if f := nesting(text); f != nil {
		return nil, f
	}
	var s schema.Schema
	if _, err := guarded(func() (any, error) { return nil, s.UnmarshalCedar([]byte(text)) }); err != nil {
		f := parserFlaw(text, err)
		return nil, &f
	}
	out, err := guarded(s.Resolve)
	if err != nil {
		f := schemaFlaw(text, err)
		return nil, &f
	}
	return out, nil
}

// owner is where an id is in use.
type owner struct {
	policy string
	line   int
}

// parseAll returns the statements of all policies, ordered by id, and notes what is wrong with them. judge is nil where there is no schema
// to hold them against.
func parseAll(policies []Policy, judge *validate.Validator, note func(part, policy string, found ...Flaw)) []*statement {
	var out []*statement
	owners := map[string]owner{}
	for _, p := range policies {
		list, places, found := parse(p)
		for i, s := range list {
			at := places[i].annotation("id")
			line, _ := placeOf(p.Text, at.start)
			if other, taken := owners[s.ID]; taken {
				where := fmt.Sprintf("in line %d", other.line)
				if other.policy != p.ID {
					where = fmt.Sprintf("in policy %s, line %d", other.policy, other.line)
				}
				found = append(found, flawAt(p.Text, at, "the id %s is in use %s", s.ID, where))
				continue
			}
			owners[s.ID] = owner{p.ID, line}
			if judge != nil {
				found = append(found, judged(p.Text, places[i], (*ast.Policy)(s.policy.AST()), judge)...)
			}
			out = append(out, s)
		}
		note(InPolicy, p.ID, found...)
	}
	slices.SortFunc(out, func(a, b *statement) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

func flawAt(text string, at token, format string, args ...any) Flaw {
	f := Flaw{Text: sentence(fmt.Sprintf(format, args...))}
	f.Line, f.Column = placeOf(text, at.start)
	return f
}

// judged holds a statement against the schema. The validator gives no places: a flaw is in the one condition that has it alone, else in
// the scope, and there at the word that is named.
func judged(text string, place Extent, policy *ast.Policy, judge *validate.Validator) []Flaw {
	check := func(p *ast.Policy) []string {
		_, err := guarded(func() (any, error) { return nil, judge.Policy("", p) })
		return linesOf(err)
	}
	all := check(policy)
	if len(all) == 0 {
		return nil
	}
	part := func(conditions ...ast.ConditionType) []string {
		alone := *policy
		alone.Conditions = conditions
		return check(&alone)
	}
	scope, conditions := part(), place.conditions()
	if len(all) > 1 { // it follows from the others
		all = slices.DeleteFunc(all, func(said string) bool { return strings.HasPrefix(said, "unable to find an applicable action") })
	}
	var out []Flaw
	for _, said := range all {
		region := place.tokens
		if slices.Contains(scope, said) {
			region = place.scope()
		} else if len(conditions) == len(policy.Conditions) {
			for i, c := range policy.Conditions {
				if slices.Contains(part(c), said) {
					region = conditions[i]
					break
				}
			}
		}
		at, ok := named(region, said)
		if !ok {
			at = region[0]
		}
		out = append(out, flawAt(text, at, "%s", inWords.Replace(said)))
	}
	return out
}

// linesOf are the texts of joined errors, each once.
func linesOf(err error) []string {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []string{err.Error()}
	}
	var out []string
	for _, one := range joined.Unwrap() {
		if text := one.Error(); !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out
}

// parse returns the statements of a policy and where they stand. The id of one is its annotation @id; without, that of the policy, with a
// number where there are several.
func parse(p Policy) ([]*statement, []Extent, []Flaw) {
	if f := nesting(p.Text); f != nil {
		return nil, nil, []Flaw{*f}
	}
	list, err := guarded(func() (cedar.PolicyList, error) { return cedar.NewPolicyListFromBytes("", []byte(p.Text)) })
	if err != nil {
		return nil, nil, []Flaw{parserFlaw(p.Text, err)}
	}
	places := Extents(p.Text)
	if len(list) == 0 || len(places) != len(list) {
		return nil, nil, []Flaw{{Text: "It holds no statement."}}
	}
	out := make([]*statement, len(list))
	var flaws []Flaw
	for i, one := range list {
		notes := one.Annotations()
		id, given := notes["id"]
		s := &statement{policy: one, Statement: Statement{ID: string(id), Policy: p.ID, Description: string(notes["description"]), Effect: "permit"}}
		if one.Effect() == cedar.Forbid {
			s.Effect = "forbid"
		}
		switch {
		case given && !validPolicy.MatchString(s.ID):
			flaws = append(flaws, flawAt(p.Text, places[i].annotation("id"), "%.100q is no id: use letters, digits, dots, hyphens and underscores", s.ID))
			s.ID = fmt.Sprintf("%s.%d", p.ID, i+1)
		case !given && len(list) == 1:
			s.ID = p.ID
		case !given:
			s.ID = fmt.Sprintf("%s.%d", p.ID, i+1)
		}
		out[i] = s
	}
	return out, places, flaws
}

// nesting refuses brackets that nest too deep, and operators that stand on each other: parser and evaluator call themselves for each.
func nesting(text string) *Flaw {
	too := func(at int, format string, args ...any) *Flaw {
		f := flawAt(text, token{start: at}, format, args...)
		return &f
	}
	depth, chain := 0, 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
			chain = 0
		case '/':
			if i+1 < len(text) && text[i+1] == '/' {
				for i < len(text) && text[i] != '\n' {
					i++
				}
			}
		case '(', '[', '{':
			depth++
			chain = 0
		case ')', ']', '}':
			depth--
			chain = 0
		case '!', '-':
			chain++
		case ' ', '\t', '\r', '\n':
		default:
			chain = 0
		}
		if depth > MaxNesting || chain > MaxNesting {
			return too(i, "it nests deeper than %d", MaxNesting)
		}
	}
	// Each `if` may hold another one without a bracket.
	if n := strings.Count(text, "if"); n > 1000 {
		return too(0, "it has %d conditions, more than 1000", n)
	}
	return nil
}
