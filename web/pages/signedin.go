package pages

import (
	"html/template"
	"time"
)

// SignedIn shows a person who they are here. The form posts the hidden fields to /logout.
//
// Elements: notice, tab-profile, tab-sessions, tab-keys, whoami, roles, identities, signout-form, signout-submit.
type SignedIn struct {
	Account  Account
	Email    string
	Verified bool // the address
	Username string
	UserID   string
	Roles    []Role
	// Identities are the ways in from elsewhere.
	Identities []Identity
	// Password says that the account has a password too.
	Password bool
	// Since and Until bound the session.
	Since, Until time.Time
	Hidden       []Field
	// Action is where the form posts to: "/logout" if empty.
	Action string
	Notice *Notice
}

// Role is a role a person has, and why.
type Role struct {
	Name   string
	Source string // "given by hand", "rule staff", "default"; may be empty
}

// Traits keeps the page on this site.
func (SignedIn) Traits() Traits { return Traits{} }

type signedInBody struct {
	SignedIn
	Tabs         []tab
	Account      *chip
	Notice       *message
	Cards        []card
	Since, Until *moment
	Action       template.URL
}

func (p SignedIn) screen(r *Renderer) screen {
	b := signedInBody{
		SignedIn: p, Tabs: r.tabs("/dashboard"), Account: newChip(&p.Account), Notice: r.message(p.Notice),
		Since: newMoment(p.Since), Until: newMoment(p.Until), Action: r.orOwn(p.Action, "/logout"),
	}
	if b.Account.Detail == p.Email {
		b.Account.Detail = "" // it stands in the table below, with more to say
	}
	for _, identity := range p.Identities {
		b.Cards = append(b.Cards, newCard(identity))
	}
	return screen{template: "signedin", title: "Signed in", wide: true, styles: []string{"account.css"}, scripts: []string{"submit.js", "time.js"}, body: b}
}
