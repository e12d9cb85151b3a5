package pages

import "html/template"

// Consent asks whether an app may have what it asks for. The form posts the hidden fields and answer=allow or answer=cancel.
//
// Elements: notice, consent-form, app-name, scopes, redirect-host, consent-allow, consent-cancel, use-another.
type Consent struct {
	App string
	// Host is the host the app is known by; empty if it has none.
	Host string
	// Unverified marks an app that registered itself: its name is a claim, its host is the identity.
	Unverified bool
	// RedirectURI is where the answer goes; only its host is shown.
	RedirectURI string
	Account     *Account
	// UseAnother is the link "Not you?"; nil takes it away.
	UseAnother *Action
	Scopes     []Scope
	Hidden     []Field
	// Action is where the form posts to: "/authorize/consent" if empty.
	Action string
	Notice *Notice
}

// Scope is one thing an app asks for. DescribeScopes makes them from their names.
type Scope struct {
	Name string
	Text string // in plain words
	Risk string // one line, for what deserves a second look
	New  bool   // not among those allowed before
	API  string // the API it belongs to; empty for the person's profile
}

// Traits lets the form end at the app.
func (Consent) Traits() Traits { return Traits{OffsiteForm: true, Interaction: true} }

type consentBody struct {
	App, Host, Redirect string
	Unverified, Loop    bool
	Account             *chip
	UseAnother          *button
	Groups              []scopeGroup
	Notice              *message
	Action              template.URL
	Hidden              []Field
}

type scopeGroup struct {
	Name   string
	Scopes []Scope
}

func (p Consent) screen(r *Renderer) screen {
	b := consentBody{
		App: orElse(p.App, orElse(p.Host, "This app")), Host: p.Host, Unverified: p.Unverified,
		Account: newChip(p.Account), UseAnother: r.button(p.UseAnother, "use-another", "Not you?"),
		Groups: group(p.Scopes), Notice: r.message(p.Notice), Action: r.orOwn(p.Action, "/authorize/consent"), Hidden: p.Hidden,
	}
	if p.RedirectURI != "" {
		b.Redirect = host(p.RedirectURI)
	}
	return screen{template: "consent", title: "Allow " + b.App, scripts: []string{"submit.js"}, body: b}
}

// group keeps the order of the scopes, the profile first.
func group(scopes []Scope) []scopeGroup {
	var groups []scopeGroup
	at := map[string]int{}
	add := func(s Scope) {
		i, ok := at[s.API]
		if !ok {
			i = len(groups)
			at[s.API] = i
			groups = append(groups, scopeGroup{Name: orElse(s.API, "Your profile")})
		}
		groups[i].Scopes = append(groups[i].Scopes, s)
	}
	for _, s := range scopes {
		if s.API == "" {
			add(s)
		}
	}
	for _, s := range scopes {
		if s.API != "" {
			add(s)
		}
	}
	return groups
}

// DescribeScopes puts scope names into plain words. A name it does not know stands for itself, under the API given.
func DescribeScopes(names []string, api string) []Scope {
	var scopes []Scope
	for _, name := range names {
		s := Scope{Name: name}
		switch name {
		case "openid":
			s.Text = "Know that it's you"
		case "profile":
			s.Text = "See your name and picture"
		case "email":
			s.Text = "See your email address"
		case "address":
			s.Text = "See your postal address"
		case "phone":
			s.Text = "See your phone number"
		case "roles":
			s.Text = "See your roles"
		case "offline_access":
			s.Text = "Keep access while you're away"
			s.Risk = "It can act for you until you or an administrator ends it."
		default:
			s.Text, s.API = name, orElse(api, "API")
		}
		scopes = append(scopes, s)
	}
	return scopes
}
