package pages

import "html/template"

// SignOut asks whether the person means it, because the request did not prove that they do. The form posts the hidden fields and
// answer=signout or answer=stay.
//
// Elements: notice, signout-form, signout-confirm, signout-cancel.
type SignOut struct {
	// App is the name of the app that asked; empty if unknown or not proven.
	App     string
	Account *Account
	Hidden  []Field
	// Action is where the form posts to: "/end_session" if empty.
	Action string
	// Stay is where "Stay signed in" leads; nil makes it a button of the form.
	Stay   *Action
	Notice *Notice
}

// Traits lets the form end at the app.
func (SignOut) Traits() Traits { return Traits{OffsiteForm: true, Interaction: true} }

type signOutBody struct {
	App     string
	Account *chip
	Notice  *message
	Action  template.URL
	Hidden  []Field
	Stay    *button
}

func (p SignOut) screen(r *Renderer) screen {
	b := signOutBody{
		App: p.App, Account: newChip(p.Account), Notice: r.message(p.Notice),
		Action: r.orOwn(p.Action, "/end_session"), Hidden: p.Hidden, Stay: r.button(p.Stay, "signout-cancel", "Stay signed in"),
	}
	return screen{template: "signout", title: "Sign out?", scripts: []string{"submit.js"}, body: b}
}

// SignedOut says that the session has ended.
//
// Elements: notice, signedout-back, signedout-again.
type SignedOut struct {
	App string
	// Back leads to the app, where its address is known to be its own; nil takes the button away.
	Back *Action
	// Again leads to the sign-in page: "/login" if nil.
	Again  *Action
	Notice *Notice
}

// Traits keeps the page on this site.
func (SignedOut) Traits() Traits { return Traits{} }

type signedOutBody struct {
	App         string
	Notice      *message
	Back, Again *button
}

func (p SignedOut) screen(r *Renderer) screen {
	again := p.Again
	if again == nil {
		again = &Action{URL: "/login"}
	}
	b := signedOutBody{
		App: p.App, Notice: r.message(p.Notice), Again: r.button(again, "signedout-again", "Sign in again"),
		Back: r.button(p.Back, "signedout-back", "Go back to "+orElse(p.App, "the app")),
	}
	return screen{template: "signedout", title: "You're signed out", body: b}
}
