package guide

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/broker/abac"
)

// What an evaluation shows: the one decision, and something beside it.
const (
	showOne    = "one"
	showMatrix = "matrix"
	showTests  = "tests"
	showLive   = "live"
)

var shows = []string{showOne, showMatrix, showTests, showLive}

const (
	// evaluationTime is how long all decisions of one evaluation may take together; what is left over then is left out.
	evaluationTime = 100 * time.Millisecond
	maxRows        = 24
	maxColumns     = 24
	maxCases       = 50
)

// draft is what somebody typed: policies and schema in Cedar, entities, context and tests in JSON, and names as Type::"id".
type draft struct {
	Policies  string `json:"policies"`
	Schema    string `json:"schema"`
	Entities  string `json:"entities"`
	Principal string `json:"principal"`
	Action    string `json:"action"`
	Resource  string `json:"resource"`
	Context   string `json:"context"`
	Tests     string `json:"tests"`
	Show      string `json:"show"`
}

// evaluation is what became of a draft: problems, or a decision and what was to be shown.
type evaluation struct {
	Valid    bool        `json:"valid"`
	Problems []flaw      `json:"problems"`
	Decision *ruling     `json:"decision,omitempty"`
	Matrix   *grid       `json:"matrix,omitempty"`
	Tests    []outcome   `json:"tests,omitempty"`
	Live     *comparison `json:"live,omitempty"`
	// Cut says that there was no time for all of it.
	Cut bool `json:"cut"`
}

// flaw is something wrong with a text. Line and Column begin at 1; 0 where nobody knows.
type flaw struct {
	Pane   string `json:"pane"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
	Text   string `json:"text"`
}

// ruling is a decision with a word about each statement.
type ruling struct {
	Allow      bool   `json:"allow"`
	Why        string `json:"why"`
	Statements []part `json:"statements"`
}

// The states of a part.
const (
	decides  = "decides"
	skipped  = "skipped" // could not be evaluated
	outvoted = "outvoted"
	silent   = "silent"
)

// part is what one statement had to do with a decision.
type part struct {
	ID          string `json:"id"`
	Effect      string `json:"effect"`
	Description string `json:"description"`
	State       string `json:"state"`
	Reason      string `json:"reason"`
	Line        int    `json:"line"`
	Until       int    `json:"until"`
}

// grid is who may do what to the resource of the request.
type grid struct {
	Actions []string `json:"actions"`
	Rows    []row    `json:"rows"`
}

type row struct {
	Kind  string `json:"kind"` // role or person
	Name  string `json:"name"`
	Cells []cell `json:"cells"`
}

type cell struct {
	Allow    bool     `json:"allow"`
	Deciding []string `json:"deciding"`
	Failed   bool     `json:"failed"`
	// Live is what the policies in force say, where those are compared.
	Live *cell `json:"live,omitempty"`
}

// outcome is what became of a test.
type outcome struct {
	Name string `json:"name"`
	Want bool   `json:"want"`
	Got  bool   `json:"got"`
	Pass bool   `json:"pass"`
	Why  string `json:"why"`
}

// comparison holds the draft against the policies in force.
type comparison struct {
	Version int64 `json:"version"`
	// Governed says that the policies in force speak of the type of the resource; Type is that.
	Governed    bool   `json:"governed"`
	Type        string `json:"type"`
	Differences int    `json:"differences"`
	Grid        grid   `json:"grid"`
}

// run is one evaluation under way.
type run struct {
	request  abac.Request
	entities []abac.Entity
	late     func() bool
	cut      bool
}

// evaluate decides by the draft, and by live where that is given. It waits for nothing.
func (d draft) evaluate(live *abac.Engine, now func() time.Time) evaluation {
	set := abac.Set{App: "playground", Schema: d.Schema, Policies: []abac.Policy{{ID: "policies", Text: d.Policies}}}
	r, more := d.run()
	if !slices.ContainsFunc(more, func(f flaw) bool { return f.Pane == "entities" }) {
		set.Entities = d.Entities // what a save would refuse is wrong here too
	}
	engine, err := abac.Compile(set)
	var problems []flaw
	if err != nil {
		problems = append(problems, compileFlaws(err)...)
	}
	tests, wrong := d.tests()
	problems = append(append(problems, more...), wrong...)
	if len(problems) > 0 {
		return evaluation{Problems: problems}
	}
	end := now().Add(evaluationTime)
	r.late = func() bool { return now().After(end) }
	out := evaluation{Valid: true, Problems: []flaw{}, Decision: r.rule(engine, set)}
	switch d.Show {
	case showMatrix:
		g := r.grid(engine, nil)
		out.Matrix = &g
	case showTests:
		out.Tests = r.tests(engine, tests)
	case showLive:
		if live != nil {
			out.Live = r.compare(engine, live)
		}
	}
	out.Cut = r.cut
	return out
}

// run reads the request and the entities.
func (d draft) run() (*run, []flaw) {
	var problems []flaw
	name := func(pane, text string) abac.UID {
		uid, err := abac.ParseUID(text)
		if err != nil {
			problems = append(problems, flaw{Pane: pane, Text: sentence(err.Error())})
		}
		return uid
	}
	r := &run{request: abac.Request{
		Subject: abac.Entity{UID: name("principal", d.Principal)}, Action: abac.Entity{UID: name("action", d.Action)},
		Resource: abac.Entity{UID: name("resource", d.Resource)},
	}}
	var problem *flaw
	if r.entities, problem = parseEntities(d.Entities); problem != nil {
		problems = append(problems, *problem)
	}
	if r.request.Context, problem = parseContext(d.Context, "context"); problem != nil {
		problems = append(problems, *problem)
	}
	return r, problems
}

// rule decides and says what each statement had to do with it.
func (r *run) rule(e *abac.Engine, set abac.Set) *ruling {
	decision := e.Decide(r.request, r.entities...)
	out := &ruling{Allow: decision.Allow, Why: decision.Why(), Statements: []part{}}
	failed := map[string]string{}
	for _, p := range decision.Errors {
		failed[p.Policy] = p.Message
	}
	places := places(set.Policies[0].Text)
	var applies []string
	if !decision.Allow {
		applies = r.permits(set, e, places, failed)
	}
	for _, s := range e.Statements() {
		one := part{ID: s.ID, Effect: s.Effect, Description: s.Description, State: silent, Reason: "Does not apply: its scope or its conditions do not fit."}
		message, broken := failed[s.ID]
		switch {
		case decision.Inapplicable != "":
			one.Reason = "Was not asked."
		case broken:
			one.State, one.Reason = skipped, "Could not be evaluated: "+message+"."
		case slices.Contains(decision.Deciding, s.ID):
			one.State, one.Reason = decides, "Applies, and decides."
		case slices.Contains(applies, s.ID):
			one.State, one.Reason = outvoted, "Applies, but a forbid wins over every permit."
			if len(decision.Deciding) == 0 {
				one.Reason = "Applies, but does not count where another policy could not be evaluated."
			}
		}
		if at, ok := places[s.ID]; ok {
			one.Line, one.Until = at.First, at.Last
		}
		out.Statements = append(out.Statements, one)
	}
	slices.SortStableFunc(out.Statements, func(a, b part) int { return cmp.Compare(a.Line, b.Line) })
	return out
}

// permits are the permits that apply to a request which is denied nevertheless: the answer without any forbid and without what failed.
func (r *run) permits(set abac.Set, e *abac.Engine, places map[string]place, failed map[string]string) []string {
	var text strings.Builder
	for _, s := range e.Statements() {
		at, ok := places[s.ID]
		if _, broken := failed[s.ID]; broken || !ok || s.Effect != "permit" {
			continue
		}
		if !at.named {
			fmt.Fprintf(&text, "@id(%q)\n", s.ID)
		}
		text.WriteString(at.Text + "\n")
	}
	if text.Len() == 0 {
		return nil
	}
	set.Policies = []abac.Policy{{ID: "permits", Text: text.String()}}
	alone, err := abac.Compile(set)
	if err != nil {
		return nil // it says less, and nothing wrong
	}
	return alone.Decide(r.request, r.entities...).Deciding
}

// who is a row of a grid: entities in which the subject is somebody else.
type who struct {
	kind, name string
	subject    abac.UID
	entities   []abac.Entity
}

const roleType = "Role"

// rows are the roles, each as if the principal of the request had it alone, and everybody of the principal's type.
func (r *run) rows() []who {
	var roles, people []string
	note := func(list []string, id string) []string {
		if slices.Contains(list, id) {
			return list
		}
		return append(list, id)
	}
	for _, one := range r.entities {
		switch one.Type {
		case roleType:
			roles = note(roles, one.ID)
		case r.request.Subject.Type:
			people = note(people, one.ID)
		}
		for _, parent := range one.Parents {
			if parent.Type == roleType {
				roles = note(roles, parent.ID)
			}
		}
	}
	slices.Sort(roles)
	var out []who
	for _, role := range roles {
		out = append(out, who{"role", role, r.request.Subject.UID, r.only(role)})
	}
	for _, id := range people {
		out = append(out, who{"person", id, abac.UID{Type: r.request.Subject.Type, ID: id}, r.entities})
	}
	return out
}

// only are the entities with the principal in one role and no other.
func (r *run) only(role string) []abac.Entity {
	out, found := slices.Clone(r.entities), false
	given := abac.UID{Type: roleType, ID: role}
	for i, one := range out {
		if one.UID != r.request.Subject.UID {
			continue
		}
		found = true
		others := slices.DeleteFunc(slices.Clone(one.Parents), func(p abac.UID) bool { return p.Type == roleType })
		out[i].Parents = append(others, given)
	}
	if !found {
		out = append(out, abac.Entity{UID: r.request.Subject.UID, Parents: []abac.UID{given}})
	}
	return out
}

// grid decides for every row and action; live, if it is not nil, decides too.
func (r *run) grid(e, live *abac.Engine) grid {
	actions := e.Actions(r.request.Subject.Type, r.request.Resource.Type)
	if live != nil {
		actions = append(actions, live.Actions(r.request.Subject.Type, r.request.Resource.Type)...)
		slices.Sort(actions)
		actions = slices.Compact(actions)
	}
	rows := r.rows()
	r.cut = r.cut || len(rows) > maxRows || len(actions) > maxColumns
	g := grid{Actions: actions[:min(len(actions), maxColumns)], Rows: []row{}}
	for _, w := range rows[:min(len(rows), maxRows)] {
		one := row{Kind: w.kind, Name: w.name, Cells: []cell{}}
		for _, action := range g.Actions {
			if r.late() {
				r.cut = true
				return g
			}
			asked := r.request
			asked.Subject.UID, asked.Action = w.subject, abac.ActionNamed(action)
			c := cellOf(e.Decide(asked, w.entities...))
			if live != nil {
				now := cellOf(live.Decide(asked, w.entities...))
				c.Live = &now
			}
			one.Cells = append(one.Cells, c)
		}
		g.Rows = append(g.Rows, one)
	}
	return g
}

func cellOf(d abac.Decision) cell {
	return cell{Allow: d.Allow, Deciding: d.Deciding, Failed: len(d.Errors) > 0}
}

func (r *run) compare(e, live *abac.Engine) *comparison {
	t := r.request.Resource.Type
	out := &comparison{Version: live.V, Governed: live.Governs(t), Type: t, Grid: grid{Actions: []string{}, Rows: []row{}}}
	if !out.Governed {
		return out
	}
	out.Grid = r.grid(e, live)
	for _, one := range out.Grid.Rows {
		for _, c := range one.Cells {
			if c.Allow != c.Live.Allow {
				out.Differences++
			}
		}
	}
	return out
}

func (r *run) tests(e *abac.Engine, cases []testCase) []outcome {
	out := []outcome{}
	for _, one := range cases {
		if r.late() {
			r.cut = true
			return out
		}
		d := e.Decide(one.request, r.entities...)
		out = append(out, outcome{Name: one.name, Want: one.allow, Got: d.Allow, Pass: d.Allow == one.allow, Why: d.Why()})
	}
	return out
}

// compileFlaws are what package abac says of the texts, in the panes that they stand in.
func compileFlaws(err error) []flaw {
	found, ok := errors.AsType[abac.Flaws](err)
	if !ok {
		return []flaw{{Pane: "policies", Text: messageOf(err)}}
	}
	out := make([]flaw, len(found))
	for i, f := range found {
		out[i] = flaw{Pane: "policies", Line: f.Line, Column: f.Column, Text: f.Text}
		switch f.Part {
		case abac.InSchema:
			out[i].Pane = "schema"
		case abac.InEntities:
			out[i].Pane = "entities"
		}
	}
	return out
}
