package abac

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/schema"
	"github.com/cedar-policy/cedar-go/x/exp/schema/resolved"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"

	"example.com/broker/internal/fault"
)

// Compile checks a set and makes the engine that decides by it: fault.Invalid "policy_invalid", "schema_invalid" or "entities_invalid"
// names what is wrong and where, of all policies at once. Every policy must fit the schema: unknown entity types, actions and attributes, an
// optional attribute that is read without asking whether it is there, and a comparison of different types are refused here, so that they
// are not found by a decision.
func Compile(s Set) (*Engine, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	declared, err := resolve(s.Schema)
	if err != nil {
		return nil, fault.New(fault.Invalid, "schema_invalid", "The schema of %s: %s.", s.App, brief(err))
	}
	judge := validate.New(declared)
	statements, err := parseAll(s.Policies, judge)
	if err != nil {
		return nil, fault.New(fault.Invalid, "policy_invalid", "%s", brief(err))
	}
	stored, err := parseEntities(s.Entities, judge)
	if err != nil {
		return nil, fault.New(fault.Invalid, "entities_invalid", "The entities of %s: %s.", s.App, brief(err))
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

func resolve(text string) (*resolved.Schema, error) {
	if err := nesting(text); err != nil {
		return nil, err
	}
	return guarded(func() (*resolved.Schema, error) {
		var s schema.Schema
		if err := s.UnmarshalCedar([]byte(text)); err != nil {
			return nil, err
		}
		return s.Resolve()
	})
}

// parseAll returns the statements of all policies, ordered by id.
func parseAll(policies []Policy, judge *validate.Validator) ([]*statement, error) {
	var out []*statement
	var problems []error
	owner := map[string]string{}
	for _, p := range policies {
		list, err := parse(p)
		if err != nil {
			problems = append(problems, fmt.Errorf("policy %s: %w", p.ID, err))
			continue
		}
		for _, s := range list {
			if other, taken := owner[s.ID]; taken {
				problems = append(problems, fmt.Errorf("policy %s: the id %s is in use in policy %s", p.ID, s.ID, other))
				continue
			}
			owner[s.ID] = p.ID
			if _, err := guarded(func() (any, error) { return nil, judge.Policy(s.ID, (*ast.Policy)(s.policy.AST())) }); err != nil {
				problems = append(problems, fmt.Errorf("policy %s, line %d: %w", p.ID, s.policy.Position().Line, err))
			}
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b *statement) int { return cmp.Compare(a.ID, b.ID) })
	return out, errors.Join(problems...)
}

// parse returns the statements of a policy. The id of one is its annotation @id; without, that of the policy, with a number where there
// are several.
func parse(p Policy) ([]*statement, error) {
	if err := nesting(p.Text); err != nil {
		return nil, err
	}
	list, err := guarded(func() (cedar.PolicyList, error) { return cedar.NewPolicyListFromBytes("", []byte(p.Text)) })
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, errors.New("it holds no statement")
	}
	out := make([]*statement, len(list))
	for i, one := range list {
		notes := one.Annotations()
		s := &statement{policy: one, Statement: Statement{ID: string(notes["id"]), Policy: p.ID, Description: string(notes["description"]), Effect: "permit"}}
		if one.Effect() == cedar.Forbid {
			s.Effect = "forbid"
		}
		switch {
		case s.ID != "" && !validPolicy.MatchString(s.ID):
			return nil, fmt.Errorf("line %d: %.100q is no id: use letters, digits, dots, hyphens and underscores", one.Position().Line, s.ID)
		case s.ID == "" && len(list) == 1:
			s.ID = p.ID
		case s.ID == "":
			s.ID = fmt.Sprintf("%s.%d", p.ID, i+1)
		}
		out[i] = s
	}
	return out, nil
}

// nesting refuses brackets that nest too deep, and operators that stand on each other: parser and evaluator call themselves for each.
func nesting(text string) error {
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
			return fmt.Errorf("it nests deeper than %d", MaxNesting)
		}
	}
	// Each `if` may hold another one without a bracket.
	if n := strings.Count(text, "if"); n > 1000 {
		return fmt.Errorf("it has %d conditions, more than 1000", n)
	}
	return nil
}

func parseEntities(text string, judge *validate.Validator) (cedar.EntityMap, error) {
	if text == "" {
		return cedar.EntityMap{}, nil
	}
	if err := jsonDepth([]byte(text)); err != nil {
		return nil, err
	}
	entities, err := guarded(func() (cedar.EntityMap, error) {
		var out cedar.EntityMap
		err := json.Unmarshal([]byte(text), &out)
		return out, err
	})
	if err != nil {
		return nil, err
	}
	if len(entities) > MaxEntities {
		return nil, fmt.Errorf("%d of them, more than %d", len(entities), MaxEntities)
	}
	for _, uid := range slices.SortedFunc(maps.Keys(entities), compareUID) {
		if len(uid.ID) > MaxID {
			return nil, fmt.Errorf("an id of %d bytes, more than %d", len(uid.ID), MaxID)
		}
		if _, err := guarded(func() (any, error) { return nil, judge.Entity(entities[uid]) }); err != nil {
			return nil, fmt.Errorf("%s: %w", uid, err)
		}
	}
	return entities, nil
}

func jsonDepth(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	for depth := 0; ; {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('['), json.Delim('{'):
			depth++
		case json.Delim(']'), json.Delim('}'):
			depth--
		}
		if depth > MaxNesting {
			return fmt.Errorf("they nest deeper than %d", MaxNesting)
		}
	}
}

func compareUID(a, b types.EntityUID) int {
	return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.ID, b.ID))
}

// brief is the text of an error within the size of an answer.
func brief(err error) string {
	text := strings.ToValidUTF8(err.Error(), "?")
	if len(text) > 2000 {
		text = strings.ToValidUTF8(text[:2000], "") + " …"
	}
	return text
}
