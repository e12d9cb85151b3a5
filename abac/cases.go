package abac

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// CasesEnding is how files of tests end.
const CasesEnding = ".test.yaml"

const (
	allowed = "allow"
	denied  = "deny"
	// maxCases bounds the tests of a file.
	maxCases = 10_000
)

// Case is a request and the answer it should have.
type Case struct {
	Name     string
	Request  Request
	Entities []Entity // known for this case alone
	Allow    bool
}

// Cases are tests of policies, and entities that all of them know.
type Cases struct {
	Entities []Entity
	List     []Case
}

// Outcome is what became of a case.
type Outcome struct {
	Name string `json:"name"`
	Want string `json:"want"` // allow or deny
	Got  string `json:"got"`
	Pass bool   `json:"pass"`
	Why  string `json:"why"`
}

// Test decides each case by the policies.
func (e *Engine) Test(c Cases) []Outcome {
	word := map[bool]string{true: allowed, false: denied}
	out := make([]Outcome, len(c.List))
	for i, one := range c.List {
		d := e.Decide(one.Request, slices.Concat(c.Entities, one.Entities)...)
		out[i] = Outcome{Name: one.Name, Want: word[one.Allow], Got: word[d.Allow], Pass: d.Allow == one.Allow, Why: d.Why()}
	}
	return out
}

// Why says a decision in words.
func (d Decision) Why() string {
	if d.Inapplicable != "" {
		return "No policy was asked: " + d.Inapplicable + ". What nobody permits is denied by default."
	}
	var failed []string
	for _, p := range d.Errors {
		if p.Policy == "" {
			return "The request could not be evaluated: " + p.Message + "."
		}
		failed = append(failed, p.Policy)
	}
	switch {
	case len(failed) > 0 && len(d.Deciding) > 0:
		return fmt.Sprintf("Refused by %s. Besides, %s could not be evaluated.", strings.Join(d.Deciding, ", "), strings.Join(failed, ", "))
	case len(failed) > 0:
		return fmt.Sprintf("%s could not be evaluated. It might have been a no, so the answer is no.", strings.Join(failed, ", "))
	case d.Allow:
		return "Allowed by " + strings.Join(d.Deciding, ", ") + "."
	case len(d.Deciding) > 0:
		return "Refused by " + strings.Join(d.Deciding, ", ") + ". A forbid wins over every permit."
	}
	return "No permit applies, and what nobody permits is denied by default."
}

// ReadCases reads tests in YAML: a list `tests` of name, principal (or subject), action, resource, context, entities and expect, beside
// `entities` that all of them know. Entities have the form that Cedar gives them in JSON. It returns everything that is wrong.
func ReadCases(text string) (Cases, []Flaw) {
	r := &caseReader{}
	root := r.document(text)
	if root == nil {
		return Cases{}, r.flaws
	}
	var c Cases
	top := r.members(root, "entities", "tests")
	c.Entities = r.entities(top["entities"])
	list := top["tests"]
	if list == nil || list.Kind != yaml.SequenceNode || len(list.Content) == 0 {
		if len(r.flaws) == 0 {
			r.bad(root, "there are no tests: write them as a list, tests")
		}
		return c, r.flaws
	}
	if len(list.Content) > maxCases {
		r.bad(list, "there are %d tests, more than %d", len(list.Content), maxCases)
		return c, r.flaws
	}
	for _, n := range list.Content {
		c.List = append(c.List, r.one(n))
	}
	return c, inOrder(r.flaws)
}

type caseReader struct {
	flaws  []Flaw
	values int
}

func (r *caseReader) bad(n *yaml.Node, format string, args ...any) {
	r.flaws = append(r.flaws, Flaw{Line: n.Line, Column: n.Column, Text: sentence(fmt.Sprintf(format, args...))})
}

var yamlSaid = regexp.MustCompile(`^yaml: (?:line ([0-9]+): )?`)

// document returns the root of the one document, nil if there is none.
func (r *caseReader) document(text string) *yaml.Node {
	d := yaml.NewDecoder(strings.NewReader(text))
	var doc, second yaml.Node
	_, err := guarded(func() (any, error) { return nil, d.Decode(&doc) })
	if errors.Is(err, io.EOF) {
		r.flaws = append(r.flaws, Flaw{Line: 1, Column: 1, Text: "There are no tests."})
		return nil
	}
	if err != nil {
		f := Flaw{Line: 1, Column: 1}
		said := err.Error()
		if m := yamlSaid.FindStringSubmatch(said); m != nil {
			said = said[len(m[0]):]
			if m[1] != "" {
				f.Line, _ = strconv.Atoi(m[1])
			}
		}
		f.Text = sentence("this is no YAML: " + said)
		r.flaws = append(r.flaws, f)
		return nil
	}
	if _, err := guarded(func() (any, error) { return nil, d.Decode(&second) }); !errors.Is(err, io.EOF) {
		r.bad(&second, "there is more than one YAML document")
		return nil
	}
	return doc.Content[0]
}

// members are the values of a mapping by their keys, of which there are no others than the known ones.
func (r *caseReader) members(n *yaml.Node, known ...string) map[string]*yaml.Node {
	out := map[string]*yaml.Node{}
	if n.Kind != yaml.MappingNode {
		r.bad(n, "expected %s here", strings.Join(known, ", "))
		return out
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		switch {
		case key.Kind != yaml.ScalarNode || !slices.Contains(known, key.Value):
			r.bad(key, "unknown key %.40q: expected one of %s", key.Value, strings.Join(known, ", "))
		case out[key.Value] != nil:
			r.bad(key, "%s is given twice", key.Value)
		default:
			out[key.Value] = n.Content[i+1]
		}
	}
	return out
}

// one reads a test.
func (r *caseReader) one(n *yaml.Node) Case {
	m := r.members(n, "name", "principal", "subject", "action", "resource", "context", "entities", "expect")
	if len(m) == 0 {
		return Case{}
	}
	subject := m["principal"]
	switch {
	case subject == nil:
		subject = m["subject"]
	case m["subject"] != nil:
		r.bad(m["subject"], "subject is another word for principal: give one of them")
	}
	c := Case{Name: r.text(m["name"]), Entities: r.entities(m["entities"])}
	c.Request.Subject.UID = r.uid(n, "principal", subject)
	c.Request.Resource.UID = r.uid(n, "resource", m["resource"])
	if act := r.text(m["action"]); act != "" && !strings.Contains(act, "::") {
		c.Request.Action = ActionNamed(act)
	} else {
		c.Request.Action.UID = r.uid(n, "action", m["action"])
	}
	if m["context"] != nil {
		c.Request.Context = r.context(m["context"])
	}
	expect := m["expect"]
	switch want := r.text(expect); {
	case expect == nil:
		r.bad(n, "expect is missing: write allow or deny")
	case want != allowed && want != denied:
		r.bad(expect, "expect is %.20q, write allow or deny", want)
	default:
		c.Allow = want == allowed
	}
	if c.Name == "" {
		q := c.Request
		c.Name = fmt.Sprintf("%s::%q %s %s::%q", q.Subject.Type, q.Subject.ID, q.Action.ID, q.Resource.Type, q.Resource.ID)
	}
	return c
}

// text is a scalar as it is written, "" where there is none.
func (r *caseReader) text(n *yaml.Node) string {
	if n == nil {
		return ""
	}
	if n.Kind != yaml.ScalarNode {
		r.bad(n, "expected a text")
		return ""
	}
	return n.Value
}

func (r *caseReader) uid(of *yaml.Node, name string, n *yaml.Node) UID {
	if n == nil {
		r.bad(of, "%s is missing: write Type::\"id\"", name)
		return UID{}
	}
	v, ok := r.value(n, 0)
	if !ok {
		return UID{}
	}
	u, err := uidOf(v)
	if err != nil {
		r.bad(n, "%s: %v", name, err)
	}
	return u
}

func (r *caseReader) entities(n *yaml.Node) []Entity {
	if n == nil {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		r.bad(n, "entities must be a list")
		return nil
	}
	out := make([]Entity, 0, len(n.Content))
	for _, one := range n.Content {
		v, ok := r.value(one, 0)
		if !ok {
			continue
		}
		e, err := EntityOf(v)
		if err != nil {
			r.bad(one, "%v", err)
		}
		out = append(out, e)
	}
	return out
}

func (r *caseReader) context(n *yaml.Node) map[string]any {
	v, ok := r.value(n, 0)
	members, object := v.(map[string]any)
	if !ok {
		return nil
	}
	if !object {
		r.bad(n, "expected members and their values")
		return nil
	}
	out, err := Attributes(members)
	if err != nil {
		r.bad(n, "context: %v", err)
	}
	return out
}

// value is a node as decoded JSON has it, within the bounds of a file. ok is false where something was wrong.
func (r *caseReader) value(n *yaml.Node, depth int) (v any, ok bool) {
	if r.values++; depth > MaxNesting || r.values > MaxEntities*10 {
		r.bad(n, "it nests deeper than %d, or there are more than %d values", MaxNesting, MaxEntities*10)
		return nil, false
	}
	switch n.Kind {
	case yaml.ScalarNode:
		return r.scalar(n)
	case yaml.SequenceNode:
		out, whole := make([]any, len(n.Content)), true
		for i, one := range n.Content {
			out[i], ok = r.value(one, depth+1)
			whole = whole && ok
		}
		return out, whole
	case yaml.MappingNode:
		out, whole := map[string]any{}, true
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if _, twice := out[key.Value]; twice || key.Kind != yaml.ScalarNode {
				r.bad(key, "%.40q is given twice, or is no name", key.Value)
				whole = false
				continue
			}
			out[key.Value], ok = r.value(n.Content[i+1], depth+1)
			whole = whole && ok
		}
		return out, whole
	default:
	}
	r.bad(n, "aliases are not read here: write the value again")
	return nil, false
}

func (r *caseReader) scalar(n *yaml.Node) (any, bool) {
	switch n.ShortTag() {
	case "!!null":
		return nil, true
	case "!!bool":
		return strings.EqualFold(n.Value, "true"), true
	case "!!int":
		var i int64
		if err := n.Decode(&i); err != nil {
			r.bad(n, "%.40s has more than 64 bits", n.Value)
			return nil, false
		}
		return json.Number(strconv.FormatInt(i, 10)), true
	case "!!float":
		if number := json.Number(n.Value); json.Valid([]byte(n.Value)) {
			return number, true
		}
		r.bad(n, "%.40s is no number here: write it as 1.5", n.Value)
		return nil, false
	}
	return n.Value, true
}
