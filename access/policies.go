package access

import (
	"context"
	"log/slog"
	"strings"

	"example.com/broker/abac"
	"example.com/broker/audit"
	"example.com/broker/internal/fault"
	"example.com/broker/rbac"
)

// EntitySource gives what policies need to know of one type of resource. Whoever owns the resource implements it.
type EntitySource interface {
	// Get returns a resource with its attributes: fault.NotFound if there is none.
	Get(ctx context.Context, id string) (abac.Entity, error)
	// List returns those after an id, ordered by id, for whoever wants to choose one.
	List(ctx context.Context, after string, limit int) ([]abac.Entity, error)
}

// Action is what somebody wants to do to a resource: the permission that a role must have, and the name that policies know it by.
type Action struct {
	Name       string
	Permission rbac.Permission
}

// Resource names what it is to be done to.
type Resource struct{ Type, ID string }

// Options of a Guard. Sets is required; without Policies the roles decide alone.
type Options struct {
	// Sets are the permissions of the roles.
	Sets func() map[string][]rbac.Permission
	// Policies returns the compiled policies of the broker's own application.
	Policies func(ctx context.Context) (*abac.Engine, error)
	// Sources are the resources that policies speak of, by type.
	Sources map[string]EntitySource
	Audit   audit.Recorder // of denials; nil records nothing
	Log     *slog.Logger   // of every answer; nil discards
	// Observe counts answers: kind is the type of the resource, or "permission"; result "allow", "deny" or "error".
	Observe func(kind, result string)
}

// New returns a guard that asks roles and policies.
func New(o Options) *Guard {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Observe == nil {
		o.Observe = func(string, string) {}
	}
	return &Guard{o}
}

// With returns a guard with the same permission sets that asks and records as o says.
func (g *Guard) With(o Options) *Guard {
	o.Sets = g.o.Sets
	return New(o)
}

// Source returns the source of a type of resource, nil if there is none.
func (g *Guard) Source(resourceType string) EntitySource { return g.o.Sources[resourceType] }

// Answer is what roles and policies said about one question, and why.
type Answer struct {
	Allow bool
	// Roles is nil if the roles, within the scopes of the credential, allow it.
	Roles error
	// Governed says that policies have a say about this type of resource; Policies is what they said.
	Governed bool
	Policies abac.Decision
	// Deciding are the statements that Policies names, WouldDo the permits that would have been enough.
	Deciding, WouldDo []abac.Statement
}

// CheckOn returns nil if the actor may do the action to the resource, which is loaded first: what its source returns where it is not
// there, so that 404 comes before 403; then as CheckEntity.
func (g *Guard) CheckOn(ctx context.Context, a Actor, action Action, r Resource) error {
	source := g.Source(r.Type)
	if source == nil {
		return g.CheckEntity(ctx, a, action, abac.Entity{UID: abac.UID(r)})
	}
	entity, err := source.Get(ctx, r.ID)
	if err != nil {
		return err
	}
	return g.CheckEntity(ctx, a, action, entity)
}

// CheckEntity returns nil if the roles allow the permission, within the scopes of the credential, and, where policies speak of the type
// of the resource, they allow the action and none of them failed. Otherwise fault.Forbidden: "role_missing" and "scope_missing" as Check,
// "policy_denied" naming the policies that refused, or those that would allow it. fault.Unavailable if the policies cannot be read. Each
// call is one log line; a denial is an audit event too.
func (g *Guard) CheckEntity(ctx context.Context, a Actor, action Action, resource abac.Entity) error {
	answer, err := g.Explain(ctx, a, action, resource)
	if err == nil && !answer.Allow {
		err = answer.refusal(action, resource)
	}
	g.record(ctx, a, action, resource, answer, err)
	return err
}

// Explain answers like CheckEntity without recording it: for pages on which somebody asks what would be. Both are always asked, so that
// it can say what each says.
func (g *Guard) Explain(ctx context.Context, a Actor, action Action, resource abac.Entity) (Answer, error) {
	answer := Answer{Roles: g.Check(a, action.Permission)}
	if g.o.Policies == nil {
		answer.Allow = answer.Roles == nil
		return answer, nil
	}
	e, err := g.o.Policies(ctx)
	if err != nil {
		return Answer{}, err
	}
	if answer.Governed = e.Governs(resource.Type); !answer.Governed {
		answer.Allow = answer.Roles == nil
		return answer, nil
	}
	asked := abac.ActionNamed(action.Name)
	answer.Policies = e.Decide(abac.Request{Subject: subject(a), Action: asked, Resource: resource})
	answer.Allow = answer.Roles == nil && answer.Policies.Allow
	for _, id := range answer.Policies.Deciding {
		if s, ok := e.Find(id); ok {
			answer.Deciding = append(answer.Deciding, s)
		}
	}
	if !answer.Policies.Allow {
		answer.WouldDo = e.WouldDo(asked, resource.Type)
	}
	return answer, nil
}

// subject is the actor as policies know users: in the roles that are in force.
func subject(a Actor) abac.Entity {
	u := abac.Entity{UID: abac.UID{Type: "User", ID: a.UserID}}
	for _, role := range a.Roles {
		u.Parents = append(u.Parents, abac.UID{Type: "Role", ID: role})
	}
	return u
}

func (n Answer) refusal(action Action, resource abac.Entity) error {
	if n.Roles != nil {
		return n.Roles
	}
	what := action.Name + " this " + strings.ToLower(resource.Type)
	switch {
	case n.Policies.Inapplicable != "":
		return fault.New(fault.Forbidden, "policy_denied", "You may not %s: %s.", what, n.Policies.Inapplicable)
	case len(n.Policies.Errors) > 0:
		return fault.New(fault.Forbidden, "policy_denied", "You may not %s: a policy could not be evaluated (%s).", what, failing(n.Policies.Errors))
	case len(n.Deciding) > 0:
		return fault.New(fault.Forbidden, "policy_denied", "You may not %s. Refused by the policy %s.", what, named(n.Deciding))
	case len(n.WouldDo) > 0:
		return fault.New(fault.Forbidden, "policy_denied", "You may not %s. Any of these policies would allow it, and none applies: %s.", what, named(n.WouldDo))
	}
	return fault.New(fault.Forbidden, "policy_denied", "You may not %s: no policy allows it to anybody.", what)
}

func named(list []abac.Statement) string {
	texts := make([]string, len(list))
	for i, s := range list {
		texts[i] = s.ID
		if s.Description != "" {
			texts[i] += " (" + s.Description + ")"
		}
	}
	return strings.Join(texts, ", ")
}

// failing names the policies that failed; what a value was stays in the log.
func failing(list []abac.Problem) string {
	var ids []string
	for _, p := range list {
		if p.Policy != "" {
			ids = append(ids, p.Policy)
		}
	}
	if len(ids) == 0 {
		return "the request"
	}
	return strings.Join(ids, ", ")
}

func (g *Guard) record(ctx context.Context, a Actor, action Action, resource abac.Entity, n Answer, err error) {
	result := "allow"
	switch {
	case fault.Is(err, fault.Forbidden):
		result = "deny"
	case err != nil:
		result = "error"
	}
	g.o.Observe(resource.Type, result)
	problems := make([]string, len(n.Policies.Errors))
	for i, p := range n.Policies.Errors {
		problems[i] = p.Policy + ": " + p.Message
	}
	if n.Policies.Inapplicable != "" {
		problems = append(problems, n.Policies.Inapplicable)
	}
	level := slog.LevelInfo
	if len(problems) > 0 {
		level = slog.LevelWarn
	}
	g.o.Log.LogAttrs(ctx, level, "decision", slog.String("actor", a.UserID), slog.String("action", action.Name), slog.String("resource", resource.Type),
		slog.String("id", resource.ID), slog.String("result", result), slog.Any("policies", n.Policies.Deciding), slog.Any("problems", problems),
		slog.String("request_id", audit.RequestOf(ctx)))
	if result == "deny" && g.o.Audit != nil {
		g.o.Audit.Record(ctx, audit.Event{
			Action: strings.ToLower(resource.Type) + "." + action.Name, Actor: a.UserID, Target: resource.ID, Outcome: "denied",
			Detail: map[string]string{"code": fault.CodeOf(err), "policies": strings.Join(n.Policies.Deciding, " ")},
		})
	}
}
