package pages

import "html/template"

// Policy is the playground for policies. The question on top is a form whose answer the server writes; the playground below sends what is
// typed to the engine that decides in production.
//
// Elements: ask-form, notes, user, action, article, answer, playground, broken, verdict, result, trouble, trouble-sign-in, preset, policies,
// schema, entities, principal, from-token, verb, resource, context, tests, export.
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
	// Notes say what of the address is not known here, and what was taken in its place.
	Notes    []string `json:"notes"`
	Allow    bool     `json:"allow"`
	Sentence string   `json:"sentence"`
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
	Here, Evaluate, SignIn, GuideURL, Decoder template.URL
}

func (p Policy) screen(r *Renderer) screen {
	b := policyBody{Policy: p, Here: r.own("/tools/policy"), Evaluate: r.own("/tools/policy/evaluate"), SignIn: r.own("/login?next=%2Ftools%2Fpolicy")}
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
