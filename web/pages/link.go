package pages

import "html/template"

// ConfirmLink is the last question before an identity is connected: both sides are shown. The form posts the hidden fields and
// answer=connect or answer=cancel.
//
// Elements: notice, link-form, link-confirm, link-cancel.
type ConfirmLink struct {
	App string
	// Account is the one that was proven, Ways how it signs in already.
	Account Account
	Ways    []Identity
	New     Identity
	Hidden  []Field
	// Action is where the form posts to: "/login/link" if empty.
	Action string
	Notice *Notice
}

// Traits lets the form end at the app.
func (ConfirmLink) Traits() Traits { return Traits{OffsiteForm: true, Interaction: true} }

type linkBody struct {
	Account *chip
	Ways    []card
	New     card
	Notice  *message
	Action  template.URL
	Hidden  []Field
}

func (p ConfirmLink) screen(r *Renderer) screen {
	b := linkBody{
		Account: newChip(&p.Account), New: newCard(p.New), Notice: r.message(p.Notice),
		Action: r.orOwn(p.Action, "/login/link"), Hidden: p.Hidden,
	}
	for _, way := range p.Ways {
		b.Ways = append(b.Ways, newCard(way))
	}
	return screen{template: "link", title: "Connect " + b.New.Provider + " to your account", scripts: []string{"submit.js"}, body: b}
}
