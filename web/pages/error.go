package pages

import "html/template"

// Error says what happened, whether anything was lost, and what to do next.
//
// Elements: error-title, error-code, request-id, request-copy, error-action, error-other, details, redirect-diff.
type Error struct {
	// Code is looked up in the catalogue; the page shows it.
	Code string
	// Facts fill the gaps in its words. RequestID is taken from here.
	Facts Facts
	// Next is the one thing to do; its label comes from the catalogue if empty. Nil leads to the renderer's home.
	Next *Action
	// Other is a second way out, such as cancelling back to the app.
	Other *Action
	// Details is for the people who make or run the app. The caller decides what may be told.
	Details []Detail
	// Redirect explains redirect_unregistered.
	Redirect *RedirectMismatch
	// Full shows what only developers and administrators may see. The dev mode of the renderer shows it too.
	Full bool
	// Interaction: the error belongs to a sign-in an app may have opened in a popup.
	Interaction bool
}

// Detail is one line of the folded part of an error page.
type Detail struct{ Name, Value string }

// RedirectMismatch is an address that was refused, and those that would do. The registered ones are shown in full mode only.
type RedirectMismatch struct {
	Received   string
	Registered []string
}

// Traits lets a form of the page end at the app, where it has one.
func (p Error) Traits() Traits {
	return Traits{OffsiteForm: p.Next != nil && p.Next.Post || p.Other != nil && p.Other.Post, Interaction: p.Interaction}
}

type errorBody struct {
	Message     *message
	Code        string
	RequestID   string
	Next, Other *button
	Support     *contact
	Details     []Detail
	Diff        []comparison
	Received    string
	Home        template.URL
	Product     string
}

func (p Error) screen(r *Renderer) screen {
	code := orElse(p.Code, "internal")
	facts := r.facts(p.Facts)
	words := facts.text(code)
	b := errorBody{
		Message: r.message(&Notice{Code: code, Facts: p.Facts}), Code: code, RequestID: p.Facts.RequestID,
		Next: r.button(p.Next, "error-action", words.action), Other: r.button(p.Other, "error-other", cancelLabel(facts.App)),
		Support: r.support, Details: p.Details, Product: r.product,
	}
	if p.Facts.Support != "" {
		b.Support = newContact(p.Facts.Support)
	}
	if b.Next == nil {
		b.Next = r.button(&Action{URL: r.home}, "error-action", "Go to "+r.product)
	}
	if p.Redirect != nil {
		b.Received = clip(p.Redirect.Received)
		if p.Full || r.dev {
			b.Diff = compare(b.Received, p.Redirect.Registered)
		}
	}
	return screen{template: "error", title: words.title, scripts: []string{"submit.js", "copy.js", "countdown.js"}, body: b}
}
