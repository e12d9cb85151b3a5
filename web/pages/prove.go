package pages

// Prove asks a person to sign in once the way they do already, before a new identity is connected. Links and form are those of the
// sign-in page, so the trip behind tx says what the proof is for.
//
// Elements: notice, error-summary, prove-<id>, prove-form, username, password, password-toggle, prove-submit, cancel.
type Prove struct {
	App string
	// New is the identity to be connected. Its address was proven by the provider, so it may be shown.
	New    Identity
	Hidden []Field
	// Providers are the ways in that the account has.
	Providers []Provider
	// Password shows the form; the account has a password.
	Password bool
	// Action is where the form posts to: "/login" if empty.
	Action string
	// Username is the name the proof is for. FixedUsername keeps the person from changing it.
	Username      string
	FixedUsername bool
	Cancel        *Action
	Notice        *Notice
	Errors        []FieldError
}

// Traits lets the form end at the app.
func (Prove) Traits() Traits { return Traits{OffsiteForm: true, Interaction: true} }

type proveBody struct {
	New      card
	Ways     []string
	One      string // the only way, if there is one
	Notice   *message
	Problems *problems
	Links    []link
	Form     *credentials
	Cancel   *button
	Support  string
}

func (p Prove) screen(r *Renderer) screen {
	b := proveBody{
		New: newCard(p.New), Links: r.links("prove-", p.Providers, p.Hidden), Notice: r.message(p.Notice),
		Cancel:  r.button(p.Cancel, "cancel", cancelLabel(p.App)),
		Support: r.facts(Facts{}).Support,
	}
	for i := range b.Links {
		b.Ways = append(b.Ways, b.Links[i].Label)
	}
	if p.Password {
		b.Ways = append(b.Ways, "your password")
		b.Form, b.Notice, b.Problems = r.credentialsForm(credentials{
			ID: "prove-form", SubmitID: "prove-submit", Submit: "Sign in and connect", Busy: "Signing in…",
			Action: r.orOwn(p.Action, "/login"), Hidden: p.Hidden, Username: p.Username,
			Fixed: p.FixedUsername && p.Username != "",
		}, p.Notice, p.Errors)
	}
	if len(b.Ways) == 1 {
		b.One = b.Ways[0]
	}
	return screen{
		template: "prove", title: "Connect " + b.New.Provider,
		scripts: []string{"submit.js", "password.js", "countdown.js"}, body: b,
	}
}
