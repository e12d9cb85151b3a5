package pages

import "html/template"

// Policy is the playground for policies. The question on top is a form whose answer the server writes; the playground below sends what is
// typed to the engine that decides in production.
//
// Elements: ask-form, user, action, article, answer, playground, verdict, result, preset, policies, schema, entities, principal, verb,
// resource, context, tests.
type Policy struct {
	Users, Actions, Articles []Choice
	Answer                   PolicyAnswer
	Presets                  []PolicyPreset
	// Me is whoever looks at the page.
	Me PolicyPerson
	// Guide and JWT say that there are pages at /guide and /tools/jwt.
	Guide, JWT bool
}

// Choice is one of a list.
type Choice struct {
	Value, Label string
	Chosen       bool
}

// PolicyAnswer is the answer to the question on top, and why.
type PolicyAnswer struct {
	Allow    bool   `json:"allow"`
	Sentence string `json:"sentence"`
	// Roles and Policies say what each of them says: both must allow.
	RolesAllow    bool   `json:"roles_allow"`
	Roles         string `json:"roles"`
	PoliciesAllow bool   `json:"policies_allow"`
	Policies      string `json:"policies"`
}

// PolicyPreset is something to begin with. Its texts are those of the fields of the same names.
type PolicyPreset struct {
	ID, Name, Text                       string
	Policies, Schema, Entities           string
	Principal, Action, Resource, Context string
	Tests                                string
}

// PolicyPerson can be taken over into the entities.
type PolicyPerson struct {
	ID, Name string
	Roles    []string
}

// Traits keeps the page on this site.
func (Policy) Traits() Traits { return Traits{} }

type policyBody struct {
	Policy
	Here, Evaluate, GuideURL, Decoder template.URL
}

func (p Policy) screen(r *Renderer) screen {
	b := policyBody{Policy: p, Here: r.own("/tools/policy"), Evaluate: r.own("/tools/policy/evaluate")}
	if p.Guide {
		b.GuideURL = r.own("/guide")
	}
	if p.JWT {
		b.Decoder = r.own("/tools/jwt")
	}
	return screen{
		template: "policy", title: "Policy playground", full: true, styles: []string{"tools.css", "policy/policy.css"},
		scripts: []string{"policy/main.js"}, body: b,
	}
}
