package guide

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/time/rate"

	"example.com/broker/abac"
	"example.com/broker/access"
	"example.com/broker/internal/fault"
	"example.com/broker/web"
	"example.com/broker/web/pages"
)

const (
	evaluationsPerSecond = 5
	evaluationsAtOnce    = 20
	// limitersKept bounds what the limit costs in memory; those that have not been used lately are forgotten first.
	limitersKept = 10_000
)

// playground is /tools/policy: decisions about sample people by the policies in force, and about anything by policies that somebody types.
type playground struct {
	Deps
	presets []pages.PolicyPreset
	limits  *limits
}

func newPlayground(d Deps) *playground {
	return &playground{Deps: d, presets: presets(), limits: &limits{by: map[string]*rate.Limiter{}}}
}

func (p *playground) routes() []web.Route {
	return []web.Route{
		{Method: http.MethodGet, Path: "/tools/policy", Lane: web.Browser, Guard: web.By("session"), Handle: p.show},
		{Method: http.MethodPost, Path: "/tools/policy/evaluate", Lane: web.Browser, Guard: p.Guards.Session(), Handle: p.evaluate},
	}
}

// show answers a question about sample people, as a page or as JSON. Somebody who is not signed in is sent to the sign-in page.
func (p *playground) show(c *gin.Context) error {
	if err := p.Guards.Session().Check(c); err != nil {
		if web.WantsJSON(c) || !fault.Is(err, fault.Unauthenticated) {
			return err
		}
		return web.ToSignIn(c, "/tools/policy")
	}
	me := access.Actor{UserID: web.CallerOf(c).User.ID, Roles: web.CallerOf(c).User.Roles(p.Now()), Whole: true}
	q := p.question(c, me)
	answer, err := q.ask(c, p.Guards.Access)
	if err != nil {
		return err
	}
	if web.WantsJSON(c) {
		c.JSON(http.StatusOK, answer)
		return nil
	}
	return web.Page(c, http.StatusOK, pages.Policy{
		Users: q.users(), Actions: q.actions(), Articles: q.articles(), Answer: answer, Presets: p.presets, Guide: p.Guide, JWT: p.JWT,
		Me: pages.PolicyPerson{ID: me.UserID, Name: web.CallerOf(c).User.Username, Roles: me.Roles},
	})
}

// person is somebody a question can be about.
type person struct {
	name  string
	label string
	actor access.Actor
}

// state is what an article can be to somebody.
type state struct {
	name           string
	label          string
	own, published bool
}

func states() []state {
	return []state{
		{"own-draft", "an article of their own that is not published", true, false},
		{"own-published", "an article of their own that is published", true, true},
		{"foreign-draft", "an article of somebody else that is not published", false, false},
		{"foreign-published", "an article of somebody else that is published", false, true},
	}
}

// question is who, what and to which article, out of what there is to choose from.
type question struct {
	notes   []string
	people  []person
	acts    []access.Action
	person  person
	action  access.Action
	article state
}

// question reads the choices of the address. One that is not there is the first; one that is unknown too, and a note says so.
func (p *playground) question(c *gin.Context, me access.Actor) question {
	sample := func(name, role string) person {
		return person{name, fmt.Sprintf("%s (%s)", name, role), access.Actor{UserID: name, Roles: []string{role}, Whole: true}}
	}
	q := question{
		notes: []string{}, acts: p.Articles,
		people: []person{sample("alice", "editor"), sample("bob", "viewer"), sample("root", "admin"), {"you", "you (" + orNone(me.Roles) + ")", me}},
	}
	q.person = chosen(&q, c, "user", q.people, func(one person) string { return one.name })
	q.action = chosen(&q, c, "action", q.acts, func(one access.Action) string { return one.Name })
	q.article = chosen(&q, c, "article", states(), func(one state) string { return one.name })
	chosen(&q, c, "show", shows, func(one string) string { return one })
	return q
}

func chosen[T any](q *question, c *gin.Context, parameter string, list []T, name func(T) string) T {
	asked := c.Query(parameter)
	if i := slices.IndexFunc(list, func(one T) bool { return name(one) == asked }); i >= 0 {
		return list[i]
	}
	if asked != "" {
		known := make([]string, len(list))
		for i, one := range list {
			known[i] = name(one)
		}
		q.notes = append(q.notes, fmt.Sprintf("The address has %s=%.40q, which is not known here: this is the answer for %s. Known are %s.",
			parameter, asked, known[0], strings.Join(known, ", ")))
	}
	return list[0]
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "no role"
	}
	return strings.Join(names, ", ")
}

func (q question) users() []pages.Choice {
	var out []pages.Choice
	for _, one := range q.people {
		out = append(out, pages.Choice{Value: one.name, Label: one.label, Chosen: one.name == q.person.name})
	}
	return out
}

func (q question) actions() []pages.Choice {
	var out []pages.Choice
	for _, one := range q.acts {
		out = append(out, pages.Choice{Value: one.Name, Label: one.Name, Chosen: one.Name == q.action.Name})
	}
	return out
}

func (q question) articles() []pages.Choice {
	var out []pages.Choice
	for _, one := range states() {
		out = append(out, pages.Choice{Value: one.name, Label: one.label, Chosen: one.name == q.article.name})
	}
	return out
}

// ask puts the question to the guard that the articles themselves stand behind. Nothing is recorded: nobody did anything.
func (q question) ask(c *gin.Context, guard *access.Guard) (pages.PolicyAnswer, error) {
	author := q.person.actor.UserID
	if !q.article.own {
		author = "somebody else" // no id of a person has a space
	}
	answer, err := guard.Explain(c.Request.Context(), q.person.actor, q.action, abac.Entity{
		UID:   abac.UID{Type: "Article", ID: "sample"},
		Attrs: map[string]any{"author": abac.UID{Type: "User", ID: author}, "published": q.article.published},
	})
	if err != nil {
		return pages.PolicyAnswer{}, err
	}
	return pages.PolicyAnswer{
		Notes: q.notes, Allow: answer.Allow, Sentence: q.sentence(answer.Allow),
		RolesAllow: answer.Roles == nil, Roles: q.byRoles(answer.Roles),
		PoliciesAllow: !answer.Governed || answer.Policies.Allow, Policies: byPolicies(answer),
	}, nil
}

func (q question) sentence(allow bool) string {
	who, which, may := q.person.label, q.article.label, "may"
	if q.person.name == "you" {
		who, which = "Y"+who[1:], strings.Replace(which, "their own", "your own", 1)
	}
	if !allow {
		may = "may not"
	}
	return fmt.Sprintf("%s %s %s %s.", who, may, q.action.Name, which)
}

func (q question) byRoles(refused error) string {
	if refused != nil {
		return messageOf(refused)
	}
	return fmt.Sprintf("The permission %s is among those of %s.", q.action.Permission, orNone(q.person.actor.Roles))
}

func byPolicies(n access.Answer) string {
	switch {
	case !n.Governed:
		return "No policy speaks of articles, so the roles decide alone."
	case n.Policies.Inapplicable != "":
		return n.Policies.Why()
	case len(n.Policies.Errors) > 0:
		return "A policy could not be evaluated, and then the answer is no: " + n.Policies.Errors[0].Message + "."
	case n.Policies.Allow:
		return "Allowed by " + listed(n.Deciding) + "."
	case len(n.Deciding) > 0:
		return "Refused by " + listed(n.Deciding) + ". A forbid wins over every permit."
	case len(n.WouldDo) > 0:
		return "No permit applies, so the answer is no. Any of these would have been enough: " + listed(n.WouldDo) + "."
	}
	return "No policy allows this to anybody."
}

func listed(list []abac.Statement) string {
	texts := make([]string, len(list))
	for i, s := range list {
		texts[i] = s.ID
		if s.Description != "" {
			texts[i] += " (" + s.Description + ")"
		}
	}
	return strings.Join(texts, ", ")
}

// evaluate decides by the policies of the request. It reads nothing that is not in it, but for the policies in force, where those are to
// be compared with.
func (p *playground) evaluate(c *gin.Context) error {
	if wait := p.limits.take(web.CallerOf(c).User.ID, p.Now()); wait > 0 {
		err := fault.New(fault.Limited, "rate_limited", "That was a lot of evaluations. Wait a second and try again.")
		err.RetryAfter = wait
		return err
	}
	var d draft
	if err := web.JSON(c, &d); err != nil {
		return err
	}
	if d.Show != "" && !slices.Contains(shows, d.Show) {
		return fault.New(fault.Invalid, "request_invalid", "show is %.40q, expected one of %s.", d.Show, strings.Join(shows, ", "))
	}
	var live *abac.Engine
	if d.Show == showLive {
		var err error
		if live, err = p.Policies.Engine(c.Request.Context(), abac.Broker); err != nil {
			return err
		}
	}
	c.JSON(http.StatusOK, d.evaluate(live, p.Now))
	return nil
}

// limits is a rate limit per person, in this process: it protects the processor, which others cannot use up for us.
type limits struct {
	mu sync.Mutex
	by map[string]*rate.Limiter
}

// take returns 0, or how long to wait.
func (l *limits) take(who string, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	one, ok := l.by[who]
	if !ok {
		if len(l.by) >= limitersKept {
			for id, other := range l.by {
				if other.TokensAt(now) >= evaluationsAtOnce {
					delete(l.by, id)
				}
			}
		}
		one = rate.NewLimiter(evaluationsPerSecond, evaluationsAtOnce)
		l.by[who] = one
	}
	if one.AllowN(now, 1) {
		return 0
	}
	return time.Second / evaluationsPerSecond
}
