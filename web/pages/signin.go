package pages

import "html/template"

// SignIn is the page where a person chooses how to sign in. The form posts username, password and the hidden fields to /login; each
// provider is a link to /login/<id> with the hidden fields as its query.
//
// Elements: notice, error-summary, continue-as (form) with continue-submit, use-another, provider-<id>, signin-form, username,
// password, password-toggle, signin-submit, register-link, cancel.
type SignIn struct {
	// App is the name of the app that asked; empty if the person came by themselves.
	App string
	// Hidden travels with every form and link of the page; the main one is tx.
	Hidden []Field
	// Account is who is signed in already. It is shown as a chip with the button Continue.
	Account *Account
	// Continue goes on as Account: by POST to /login with Hidden if its URL is empty.
	Continue Action
	// UseAnother leaves the chip; nil takes the link away.
	UseAnother *Action
	Providers  []Provider
	// Password shows the form with name and password.
	Password bool
	// Action is where the form posts to: "/login" if empty.
	Action string
	// Username is what the person typed before, or the login_hint. A password is never sent back.
	Username string
	// Register is the link to /register, carrying Hidden; shown where registration is open.
	Register bool
	// Cancel goes back to the app; nil where there is no app.
	Cancel *Action
	// Notice says why the page is shown (again). Code credentials_invalid marks both fields and takes the focus.
	Notice *Notice
	// Errors marks single fields.
	Errors []FieldError
}

// Traits lets the form end at the app.
func (SignIn) Traits() Traits { return Traits{OffsiteForm: true, Interaction: true} }

type signInBody struct {
	App        string
	Notice     *message
	Problems   *problems
	Account    *chip
	Continue   *button
	UseAnother *button
	Links      []link
	Form       *credentials
	Register   template.URL
	Cancel     *button
	Support    string
	Nothing    bool
}

func (p SignIn) screen(r *Renderer) screen {
	b := signInBody{
		App: p.App, Account: newChip(p.Account), Links: r.links("provider-", p.Providers, p.Hidden),
		UseAnother: r.button(p.UseAnother, "use-another", "Use another account"),
		Cancel:     r.button(p.Cancel, "cancel", cancelLabel(p.App)),
		Support:    r.facts(Facts{}).Support,
	}
	b.Notice = r.message(p.Notice)
	if p.Password {
		b.Form, b.Notice, b.Problems = r.credentialsForm(credentials{
			ID: "signin-form", SubmitID: "signin-submit", Submit: "Sign in", Busy: "Signing in…",
			Action: r.orOwn(p.Action, "/login"), Hidden: p.Hidden, Username: p.Username,
		}, p.Notice, p.Errors)
	}
	if p.Register {
		b.Register = r.own(withQuery("/register", p.Hidden))
	}
	if b.Account != nil {
		next := p.Continue
		if next.URL == "" {
			next = Action{Label: next.Label, URL: "/login", Post: true, Hidden: p.Hidden}
		}
		b.Continue = r.button(&next, "continue-submit", "Continue as "+b.Account.Name)
	}
	b.Nothing = len(b.Links) == 0 && b.Form == nil && b.Account == nil
	title := "Sign in"
	if p.App != "" {
		title = "Sign in to " + p.App
	}
	return screen{template: "signin", title: title, scripts: []string{"submit.js", "password.js", "countdown.js", "focus.js"}, body: b}
}

func cancelLabel(app string) string {
	if app == "" {
		return "Cancel"
	}
	return "Cancel and go back to " + app
}
