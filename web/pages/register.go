package pages

import "html/template"

// Register is where a person makes an account of their own. The form posts email, username (if asked), password and the hidden
// fields to /register.
//
// Elements: notice, error-summary, register-form, email, username, password, password-toggle, register-submit, signin-link, cancel.
type Register struct {
	App    string
	Hidden []Field
	// Action is where the form posts to: "/register" if empty.
	Action string
	// AskUsername adds the field for a login name.
	AskUsername     bool
	Email, Username string
	// MinLength is the least length of the password; 15 if zero.
	MinLength int
	Cancel    *Action
	Notice    *Notice
	Errors    []FieldError
}

// Traits lets the form end at the app.
func (Register) Traits() Traits { return Traits{OffsiteForm: true, Interaction: true} }

type registerBody struct {
	Register
	Notice   *message
	Problems *problems
	Words    map[string]string
	Action   template.URL
	SignIn   template.URL
	Cancel   *button
}

func (p Register) screen(r *Renderer) screen {
	if p.MinLength <= 0 {
		p.MinLength = defaultMinLength
	}
	labels := map[string]string{"email": "Email", "password": "Password"}
	order := []problem{{Field: "email", Label: "Email"}}
	if p.AskUsername {
		labels["username"] = "Username"
		order = append(order, problem{Field: "username", Label: "Username"})
	}
	order = append(order, problem{Field: "password", Label: "Password"})
	b := registerBody{
		Register: p, Notice: r.message(p.Notice), Words: r.check(p.Errors, Facts{MinLength: p.MinLength}, labels),
		Action: r.orOwn(p.Action, "/register"), SignIn: r.own(withQuery("/login", p.Hidden)),
		Cancel: r.button(p.Cancel, "cancel", cancelLabel(p.App)),
	}
	if b.Problems = summary(b.Notice, b.Words, order); b.Problems != nil {
		b.Notice = nil
	}
	title := "Create an account"
	if p.App != "" {
		title = "Create an account for " + p.App
	}
	return screen{template: "register", title: title, scripts: []string{"submit.js", "password.js", "countdown.js", "focus.js"}, body: b}
}
