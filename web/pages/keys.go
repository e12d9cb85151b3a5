package pages

import (
	"html/template"
	"net/url"
	"strconv"
	"time"
)

// KeyScopePrefix begins the name of the input of each scope; what follows is the scope.
const KeyScopePrefix = "scope:"

// Keys shows a person their API keys. The form posts name, days and one input for each scope to /api-keys; each key that is good has a form
// that posts to /api-keys/<id>/revoke.
//
// Elements: notice, error-summary, tab-profile, tab-sessions, tab-keys, made (with key, key-copy, key-curl, key-saved), keys, create-form
// with name, days, scopes and create-submit, ended, confirm (dialog).
type Keys struct {
	// Owner is whose keys these are where they are not one's own; nothing can be made for somebody else. OwnerID travels with the forms.
	Owner, OwnerID string
	// Made is the key that was just made, shown this once.
	Made *MadeKey
	// Live are those that are good, Ended those that are not any more.
	Live, Ended []Key
	// Scopes are what the person may give.
	Scopes []KeyScope
	// Name and Days are what was typed; Days is the default where nothing was. MaxDays is the longest life.
	Name    string
	Days    string
	MaxDays int
	// Guide says that there is a page that compares keys with OAuth.
	Guide  bool
	Notice *Notice
	Errors []FieldError
}

// Key is an API key without its text.
type Key struct {
	ID, Name string
	Prefix   string // how its text begins
	Scopes   []string
	// State is "active", "expired" or "revoked".
	State                      string
	Created, Expires, LastUsed time.Time
}

// KeyScope is something a key may be for.
type KeyScope struct {
	Name, Text string
	Chosen     bool
}

// MadeKey is a new key with its text.
type MadeKey struct {
	Name, Text string
	// Line is a command that uses it, "" for none.
	Line    string
	Expires time.Time
}

// Traits keeps the page on this site.
func (Keys) Traits() Traits { return Traits{} }

type keysBody struct {
	Keys
	Tabs        []tab
	Notice      *message
	Problems    *problems
	Words       map[string]string
	Made        *madeKey
	Live, Ended []keyRow
	Own, Guide  template.URL
	Action      template.URL
}

type madeKey struct {
	MadeKey
	Expires *moment
}

type keyRow struct {
	ID, Name, Prefix, State    string
	Scopes                     []string
	Created, Expires, LastUsed *moment
	Revoke                     template.URL
}

func (p Keys) screen(r *Renderer) screen {
	labels := map[string]string{"name": "Name", "scopes": "What it may do", "days": "Days until it expires"}
	b := keysBody{
		Keys: p, Tabs: r.tabs("/api-keys"), Notice: r.message(p.Notice), Words: r.check(p.Errors, Facts{}, labels),
		Own: r.own("/api-keys"), Action: r.own("/api-keys"),
	}
	b.Problems = summary(b.Notice, b.Words, []problem{{Field: "name", Label: labels["name"]}, {Field: "scopes", Label: labels["scopes"]}, {Field: "days", Label: labels["days"]}})
	if b.Problems != nil {
		b.Notice = nil
	}
	if p.Guide {
		b.Guide = r.own("/guide") + "#api-keys"
	}
	if p.Made != nil {
		b.Made = &madeKey{MadeKey: *p.Made, Expires: newMoment(p.Made.Expires)}
	}
	for _, k := range p.Live {
		b.Live = append(b.Live, r.keyRow(k))
	}
	for _, k := range p.Ended {
		b.Ended = append(b.Ended, r.keyRow(k))
	}
	title := "API keys"
	if p.Owner != "" {
		title = "API keys of " + p.Owner
	}
	return screen{
		template: "keys", title: title, wide: true, styles: []string{"account.css"},
		scripts: []string{"submit.js", "time.js", "copy.js", "confirm.js"}, body: b,
	}
}

func (r *Renderer) keyRow(k Key) keyRow {
	row := keyRow{
		ID: k.ID, Name: orElse(k.Name, k.Prefix), Prefix: k.Prefix, State: k.State, Scopes: k.Scopes,
		Created: newMoment(k.Created), Expires: newMoment(k.Expires), LastUsed: newMoment(k.LastUsed),
	}
	row.Revoke = r.own("/api-keys/" + url.PathEscape(k.ID) + "/revoke")
	return row
}

// ScopeField is the element id of the n-th scope's input.
func (keysBody) ScopeField(n int) string { return "scope-" + strconv.Itoa(n+1) }

// ScopeName is the name of a scope's input.
func (keysBody) ScopeName(scope string) string { return KeyScopePrefix + scope }
