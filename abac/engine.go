package abac

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"regexp"
	"slices"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/schema/resolved"
)

// Statement is one permit or forbid as people are told of it.
type Statement struct {
	ID          string `json:"id"`
	Policy      string `json:"policy"`                // the id of the policy it stands in
	Description string `json:"description,omitempty"` // its annotation @description
	Effect      string `json:"effect"`                // permit or forbid
}

type statement struct {
	Statement
	policy *cedar.Policy
}

// Engine is a compiled set. It never changes and is safe for concurrent use.
type Engine struct {
	App string
	V   int64

	schema     *resolved.Schema
	statements []*statement
	// exact are, for each action that a statement names, the statements that can apply to it, any those for actions nobody names.
	exact    map[cedar.EntityUID][]*statement
	any      []*statement
	entities cedar.EntityMap // the stored ones and the actions
	byType   map[string][]string
}

func newEngine(s Set, declared *resolved.Schema, statements []*statement, stored cedar.EntityMap) *Engine {
	e := &Engine{App: s.App, V: s.V, schema: declared, statements: statements, byType: map[string][]string{}}
	e.entities = make(cedar.EntityMap, len(stored)+len(declared.Actions))
	for uid, a := range declared.Actions {
		e.entities[uid] = a.Entity
	}
	for uid, entity := range stored {
		e.entities[uid] = entity
		e.byType[string(uid.Type)] = append(e.byType[string(uid.Type)], string(uid.ID))
	}
	for _, ids := range e.byType {
		slices.Sort(ids)
	}
	e.index()
	return e
}

// index sorts statements by the actions they can apply to: a decision looks at no others.
func (e *Engine) index() {
	e.exact = map[cedar.EntityUID][]*statement{}
	for uid := range e.schema.Actions {
		e.exact[uid] = nil
	}
	for _, s := range e.statements {
		if eq, ok := s.policy.AST().Action.(ast.ScopeTypeEq); ok {
			e.exact[eq.Entity] = nil
		}
	}
	for _, s := range e.statements {
		if eq, ok := s.policy.AST().Action.(ast.ScopeTypeEq); ok {
			e.exact[eq.Entity] = append(e.exact[eq.Entity], s)
			continue
		}
		e.any = append(e.any, s)
		for uid := range e.exact {
			e.exact[uid] = append(e.exact[uid], s)
		}
	}
}

// Request asks whether a subject may do something to a resource. The attributes of subject, action and resource override those of the
// stored entity of the same name, member by member, and nil takes one away; parents add to the stored ones.
type Request struct {
	Subject  Entity
	Action   Entity
	Resource Entity
	Context  map[string]any
}

// Problem is a policy that could not be evaluated, or "" and what was wrong with the request.
type Problem struct {
	Policy  string `json:"policy,omitempty"`
	Message string `json:"message"`
}

// Decision is the answer to a request.
type Decision struct {
	Allow bool `json:"allow"`
	// Deciding are the ids of the statements that made it so, sorted: the permits of an allow, the forbids of a deny; none where no permit
	// applied.
	Deciding []string `json:"deciding"`
	// Errors are why the answer is no though there may be a permit. A forbid that could not be evaluated must not open the door.
	Errors []Problem `json:"errors,omitempty"`
	// Inapplicable is why no policy was asked, "" if they were: the schema knows a type or the action not, or does not let them go together.
	Inapplicable string `json:"inapplicable,omitempty"`
}

// Decide answers by the policies, the stored entities, and others that the request brings, which take the place of stored ones. It allows
// only if the schema lets the subject's type do the action to the resource's, the policies allow it and none of them failed; a missing
// attribute, a request beyond the bounds and a panic of the evaluator are a no with a reason. It reads no clock and waits for nothing.
func (e *Engine) Decide(r Request, others ...Entity) (d Decision) {
	defer func() {
		if p := recover(); p != nil {
			d = refused("the evaluator gave up: %v", p)
		}
	}()
	if why := e.inapplicable(r.Subject.UID, r.Action.UID, r.Resource.UID); why != "" {
		return Decision{Deciding: []string{}, Inapplicable: why}
	}
	known, env, err := e.prepare(r, others)
	if err != nil {
		return refused("%v", err)
	}
	answer, diag := cedar.Authorize(applicable(e.applicable(env.Action)), known, env)
	d = Decision{Allow: answer == cedar.Allow && len(diag.Errors) == 0, Deciding: []string{}}
	for _, reason := range diag.Reasons {
		// A permit did not make it a no, where an error did.
		if d.Allow || answer == cedar.Deny {
			d.Deciding = append(d.Deciding, string(reason.PolicyID))
		}
	}
	for _, one := range diag.Errors {
		d.Errors = append(d.Errors, Problem{string(one.PolicyID), one.Message})
	}
	return d
}

func refused(format string, args ...any) Decision {
	return Decision{Deciding: []string{}, Errors: []Problem{{Message: fmt.Sprintf(format, args...)}}}
}

// inapplicable returns why the schema has no place for a request, "" if it has. Policies were checked against the schema and hold for its
// requests alone: the evaluator would take a `permit (principal, action, resource)` to speak of everything that can be named.
func (e *Engine) inapplicable(subject, action, resource UID) string {
	known, ok := e.schema.Actions[action.cedar()]
	if !ok {
		return "the schema knows no action " + shown(action.ID)
	}
	for _, one := range []UID{subject, resource} {
		if why := e.unknown(one); why != "" {
			return why
		}
	}
	switch {
	case known.AppliesTo == nil:
		return shown(action.ID) + " applies to nothing"
	case !slices.Contains(known.AppliesTo.Principals, types.EntityType(subject.Type)):
		return shown(action.ID) + " does not apply to a principal of type " + shown(subject.Type)
	case !slices.Contains(known.AppliesTo.Resources, types.EntityType(resource.Type)):
		return shown(action.ID) + " does not apply to a resource of type " + shown(resource.Type)
	}
	return ""
}

func (e *Engine) unknown(u UID) string {
	if _, ok := e.schema.Entities[types.EntityType(u.Type)]; ok {
		return ""
	}
	enum, ok := e.schema.Enums[types.EntityType(u.Type)]
	switch {
	case !ok:
		return "the schema knows no type " + shown(u.Type)
	case !slices.Contains(enum.Values, u.cedar()):
		return "the schema knows no " + shown(u.Type) + " " + shown(u.ID)
	}
	return ""
}

var plainName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_:-]{0,99}$`)

// shown is a name of a request within a sentence: in quotes where it could be taken for something else.
func shown(name string) string {
	if plainName.MatchString(name) {
		return name
	}
	return fmt.Sprintf("%.100q", name)
}

// applicable are statements as the evaluator wants them.
type applicable []*statement

func (a applicable) All() iter.Seq2[cedar.PolicyID, *cedar.Policy] {
	return func(yield func(cedar.PolicyID, *cedar.Policy) bool) {
		for _, s := range a {
			if !yield(cedar.PolicyID(s.ID), s.policy) {
				return
			}
		}
	}
}

func (e *Engine) applicable(action cedar.EntityUID) []*statement {
	if list, named := e.exact[action]; named {
		return list
	}
	return e.any
}

// layers are the entities of a request on top of the stored ones.
type layers struct{ over, under cedar.EntityMap }

func (l layers) Get(uid cedar.EntityUID) (cedar.Entity, bool) {
	if entity, ok := l.over[uid]; ok {
		return entity, true
	}
	entity, ok := l.under[uid]
	return entity, ok
}

func (e *Engine) prepare(r Request, others []Entity) (layers, cedar.Request, error) {
	known := layers{make(cedar.EntityMap, 3+len(others)), e.entities}
	c := &converter{schema: e.schema}
	for _, one := range others {
		entity, ok := c.entity(cedar.Entity{UID: one.UID.cedar()}, one)
		if !ok {
			return known, cedar.Request{}, errBounds()
		}
		known.over[entity.UID] = entity
	}
	for _, one := range []Entity{r.Subject, r.Action, r.Resource} {
		uid := one.UID.cedar()
		base, stored := known.Get(uid)
		if len(one.Attrs) == 0 && len(one.Parents) == 0 && (stored || len(one.Type)+len(one.ID) <= MaxID) {
			continue
		}
		base.UID = uid
		entity, ok := c.entity(base, one)
		if !ok {
			return known, cedar.Request{}, errBounds()
		}
		known.over[uid] = entity
	}
	var shape resolved.RecordType
	if on := e.schema.Actions[r.Action.cedar()].AppliesTo; on != nil {
		shape = on.Context
	}
	situation, ok := c.record(r.Context, shape, 0)
	if !ok {
		return known, cedar.Request{}, errBounds()
	}
	return known, cedar.Request{
		Principal: r.Subject.cedar(), Action: r.Action.cedar(), Resource: r.Resource.cedar(), Context: types.NewRecord(situation),
	}, nil
}

func errBounds() error {
	return fmt.Errorf("the request is larger than %d values, nests deeper than %d or has an id of more than %d bytes", MaxValues, MaxNesting, MaxID)
}

// entity lays what a request says of an entity over what is known of it. What it says to be missing is missing.
func (c *converter) entity(base cedar.Entity, over Entity) (cedar.Entity, bool) {
	attrs, ok := c.record(over.Attrs, c.schema.Entities[base.UID.Type].Shape, 0)
	if c.values += len(over.Parents); !ok || len(over.Type)+len(over.ID) > MaxID || c.values > MaxValues {
		return cedar.Entity{}, false
	}
	if base.Attributes.Len() > 0 {
		merged := base.Attributes.Map()
		for name := range over.Attrs {
			delete(merged, types.String(name))
		}
		maps.Copy(merged, attrs)
		attrs = merged
	}
	parents := make([]cedar.EntityUID, 0, base.Parents.Len()+len(over.Parents))
	for p := range base.Parents.All() {
		parents = append(parents, p)
	}
	for _, p := range over.Parents {
		parents = append(parents, p.cedar())
	}
	base.Attributes, base.Parents = types.NewRecord(attrs), cedar.NewEntityUIDSet(parents...)
	return base, true
}

// Governs reports whether the schema lets any action apply to resources of a type: those are under policies, all others are not.
func (e *Engine) Governs(resourceType string) bool {
	for _, a := range e.schema.Actions {
		if a.AppliesTo != nil && slices.Contains(a.AppliesTo.Resources, types.EntityType(resourceType)) {
			return true
		}
	}
	return false
}

// Has reports whether an entity is stored with the policies.
func (e *Engine) Has(u UID) bool {
	_, ok := e.entities[u.cedar()]
	return ok
}

// IDs returns the ids of the stored entities of a type, sorted. The list is shared and must not be altered.
func (e *Engine) IDs(entityType string) []string { return e.byType[entityType] }

// Actions returns the names of the actions that the schema lets a subject of one type do to a resource of another, sorted.
func (e *Engine) Actions(subjectType, resourceType string) []string {
	out := []string{}
	for uid, a := range e.schema.Actions {
		if uid.Type == actionType && a.AppliesTo != nil && slices.Contains(a.AppliesTo.Principals, types.EntityType(subjectType)) &&
			slices.Contains(a.AppliesTo.Resources, types.EntityType(resourceType)) {
			out = append(out, string(uid.ID))
		}
	}
	slices.Sort(out)
	return out
}

const actionType = "Action"

// ActionNamed is an action as requests name it.
func ActionNamed(name string) Entity { return Entity{UID: UID{actionType, name}} }

// Statements returns all statements, sorted by id.
func (e *Engine) Statements() []Statement {
	out := make([]Statement, len(e.statements))
	for i, s := range e.statements {
		out[i] = s.Statement
	}
	return out
}

// WouldDo returns the permits that can apply to an action and a type of resource, sorted by id: what somebody who was refused may hope
// for.
func (e *Engine) WouldDo(action Entity, resourceType string) []Statement {
	var out []Statement
	for _, s := range e.applicable(action.cedar()) {
		if s.Effect == "permit" && reaches(s.policy.AST().Resource, types.EntityType(resourceType)) {
			out = append(out, s.Statement)
		}
	}
	return out
}

func reaches(scope ast.IsResourceScopeNode, t types.EntityType) bool {
	switch scope := scope.(type) {
	case ast.ScopeTypeEq:
		return scope.Entity.Type == t
	case ast.ScopeTypeIs:
		return scope.Type == t
	case ast.ScopeTypeIsIn:
		return scope.Type == t
	}
	return true
}

// Find returns a statement by its id.
func (e *Engine) Find(id string) (Statement, bool) {
	i, ok := slices.BinarySearchFunc(e.statements, id, func(s *statement, id string) int { return cmp.Compare(s.ID, id) })
	if !ok {
		return Statement{}, false
	}
	return e.statements[i].Statement, true
}
