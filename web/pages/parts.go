package pages

import (
	"html/template"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// Field is a hidden input, or a parameter of a provider link.
type Field struct{ Name, Value string }

// Action is a step a person may take: a link, or a form with one button if Post is set.
type Action struct {
	// Label is the text of the button. Each page has its own default.
	Label string
	// URL is a path below the base path ("/login") or an absolute address. An unsafe one takes the button away.
	URL string
	// Post sends Hidden by a form; otherwise it is appended to a path as its query, and not used with an absolute address.
	Post   bool
	Hidden []Field
}

// Provider is one way to sign in elsewhere.
type Provider struct {
	// ID is the immutable key of the configuration. Its link is /login/<id> and has the element id provider-<id> or prove-<id>.
	ID string
	// Name is what people call it: "GitHub".
	Name string
	// Kind picks the mark: "github", "google", anything else a neutral one.
	Kind string
	// LastUsed adds the words "Last used" to the link.
	LastUsed bool
}

// Identity is one way in that an account has, or is about to get.
type Identity struct {
	Provider string // "GitHub"
	Kind     string // as in Provider
	Handle   string // the login or address at the provider; "" if unknown
	Linked   time.Time
	LastUsed time.Time
}

// Account is who is signed in, as shown on a chip.
type Account struct {
	Name   string // "Jo Doe"; the detail stands alone if empty
	Detail string // a masked or full address, or the login name
}

// Notice is a message above the content of a page: an error code or one of the Notice codes, and the facts its words need.
type Notice struct {
	Code  string
	Facts Facts
}

// FieldError marks one input as wrong. The words come from the catalogue of field codes; Message replaces them.
type FieldError struct {
	Field   string // the element id: username, password, email
	Code    string // as in FieldRequired
	Message string
}

// The values of the buttons that answer a question. Their name is "answer".
const (
	AnswerName    = "answer"
	AnswerAllow   = "allow"
	AnswerCancel  = "cancel"
	AnswerConnect = "connect"
	AnswerSignOut = "signout"
	AnswerStay    = "stay"
)

// button is an Action ready for the template.
type button struct {
	ID, Label string
	Href      template.URL
	Post      bool
	Hidden    []Field
}

// button resolves an action. Nil if there is none, or if its address is not safe.
func (r *Renderer) button(a *Action, id, label string) *button {
	if a == nil {
		return nil
	}
	address := a.URL
	if !a.Post && isPath(address) {
		address = withQuery(address, a.Hidden)
	}
	href := r.resolve(address)
	if href == "" {
		return nil
	}
	if a.Label != "" {
		label = a.Label
	}
	return &button{ID: id, Label: label, Href: href, Post: a.Post, Hidden: a.Hidden}
}

// link is a provider ready for the template.
type link struct {
	ID, Label, Kind string
	Href            template.URL
	LastUsed        bool
}

// links builds the GET links to the providers. They carry the hidden fields, so that the sign-in survives the detour.
func (r *Renderer) links(prefix string, providers []Provider, hidden []Field) []link {
	var all []link
	for _, p := range providers {
		if p.ID == "" {
			continue
		}
		all = append(all, link{
			ID: prefix + p.ID, Label: orElse(p.Name, p.ID), Kind: kind(p.Kind), LastUsed: p.LastUsed,
			Href: r.own(withQuery("/login/"+url.PathEscape(p.ID), hidden)),
		})
	}
	return all
}

// kind admits only the marks that are drawn in _icons.html.
func kind(s string) string {
	if s == "github" || s == "google" || s == "password" {
		return s
	}
	return "generic"
}

// chip is an account ready for the template.
type chip struct{ Initial, Name, Detail string }

func newChip(a *Account) *chip {
	if a == nil {
		return nil
	}
	c := chip{Name: a.Name, Detail: a.Detail}
	if c.Name == "" {
		c.Name, c.Detail = orElse(a.Detail, "your account"), ""
	}
	if c.Name == c.Detail {
		c.Detail = ""
	}
	first, _ := utf8.DecodeRuneInString(c.Name)
	c.Initial = strings.ToUpper(string(first))
	return &c
}

// card is an identity ready for the template.
type card struct {
	Provider, Kind, Handle string
	Linked, LastUsed       *moment
}

func newCard(i Identity) card {
	return card{
		Provider: orElse(i.Provider, "Unknown provider"), Kind: kind(i.Kind), Handle: i.Handle,
		Linked: newMoment(i.Linked), LastUsed: newMoment(i.LastUsed),
	}
}

// moment is a time as machines and as people read it, both in UTC.
type moment struct{ Machine, Human string }

func newMoment(t time.Time) *moment {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &moment{Machine: t.Format(time.RFC3339), Human: t.Format("2 Jan 2006, 15:04 UTC")}
}

// message is a notice ready for the template. Before, Wait and After are the body, cut around the part that counts down.
type message struct {
	Code, Title, Before, Wait, After string
	Seconds                          int
	Alert                            bool
}

func (r *Renderer) message(n *Notice) *message {
	if n == nil || n.Code == "" {
		return nil
	}
	facts := r.facts(n.Facts)
	text := facts.text(n.Code)
	m := message{Code: n.Code, Title: text.title, Before: text.body, Alert: !text.info}
	wait := facts.wait()
	if before, after, found := strings.Cut(text.body, wait); found && facts.RetryAfter > 0 {
		m.Before, m.Wait, m.After, m.Seconds = before, wait, after, seconds(facts.RetryAfter)
	}
	return &m
}

// facts fills in what the renderer knows about every page.
func (r *Renderer) facts(f Facts) Facts {
	if f.Support == "" && r.support != nil {
		f.Support = r.support.Text
	}
	if f.Product == "" {
		f.Product = r.product
	}
	return f
}

// problems is the summary of what is wrong with a form, with links to the fields.
type problems struct {
	Title, Body string
	Fields      []problem
}

type problem struct {
	Field, Label, Message string
}

// check looks up the words of each field error, and the summary above them. Labels gives the fields the form has; an error of any
// other field is not shown.
func (r *Renderer) check(errors []FieldError, facts Facts, labels map[string]string) map[string]string {
	words := map[string]string{}
	for _, e := range errors {
		if labels[e.Field] == "" || words[e.Field] != "" {
			continue
		}
		words[e.Field] = e.Message
		if e.Message == "" {
			words[e.Field] = r.facts(facts).field(e.Code)
		}
	}
	return words
}

// summary lists the fields in the order of the form.
func summary(m *message, words map[string]string, order []problem) *problems {
	p := problems{Title: "Something needs your attention.", Body: "Check the marked fields."}
	if m != nil {
		p.Title, p.Body = m.Title, m.Before+m.Wait+m.After
	}
	for _, field := range order {
		if words[field.Field] == "" {
			continue
		}
		field.Message = words[field.Field]
		p.Fields = append(p.Fields, field)
	}
	if len(p.Fields) == 0 {
		return nil
	}
	return &p
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
