package pages

import "html/template"

// FormPost hands the answer to the app by a form (response_mode=form_post). A script sends it at once; without one the person does.
//
// Elements: handoff (form), handoff-submit.
type FormPost struct {
	App string
	// RedirectURI is the app's registered address. An unsafe one is not posted to.
	RedirectURI string
	// Fields is the answer: code, state, iss, or an error.
	Fields []Field
}

// Traits lets the form end at the app.
func (FormPost) Traits() Traits { return Traits{OffsiteForm: true, Interaction: true} }

type formPostBody struct {
	App, Host string
	Action    template.URL
	Fields    []Field
}

func (p FormPost) screen(*Renderer) screen {
	b := formPostBody{App: orElse(p.App, "the app"), Host: host(p.RedirectURI), Fields: p.Fields}
	s := screen{template: "handoff", title: "Going back to " + b.App}
	if isForeign(p.RedirectURI) {
		b.Action = template.URL(p.RedirectURI) //nolint:gosec // isForeign refuses the schemes that run or read
		s.scripts = []string{"handoff.js"}
	}
	s.body = b
	return s
}

// Return stands between an error and an app that is not trusted to receive people unasked: it shows where the link leads.
//
// Elements: return-host, return-continue, return-stay, details.
type Return struct {
	App string
	// URL is the app's registered address with the error in its query.
	URL string
	// Code says why the person is sent back.
	Code      string
	Facts     Facts
	RequestID string
}

// Traits keeps the page on this site: it has links only.
func (Return) Traits() Traits { return Traits{Interaction: true} }

type returnBody struct {
	App, Host, Address     string
	Title, Code, RequestID string
	Href                   template.URL
	Home                   template.URL
	Product                string
}

func (p Return) screen(r *Renderer) screen {
	facts := r.facts(p.Facts)
	facts.App = orElse(p.App, facts.App)
	b := returnBody{
		App: orElse(p.App, "the app"), Host: host(p.URL), Address: p.URL, Code: p.Code, RequestID: p.RequestID,
		Home: r.own(r.home), Product: r.product,
	}
	if isForeign(p.URL) {
		b.Href = template.URL(p.URL) //nolint:gosec // isForeign refuses the schemes that run or read
	}
	if p.Code != "" {
		b.Title = facts.text(p.Code).title
	}
	return screen{template: "return", title: "Back to " + b.App + "?", scripts: []string{"copy.js"}, body: b}
}
