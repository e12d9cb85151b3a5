package account

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/broker/apikeys"
	"example.com/broker/internal/fault"
	"example.com/broker/oauth"
	"example.com/broker/web"
	"example.com/broker/web/pages"
)

const (
	day = 24 * time.Hour
	// shownEnded bounds the keys that the page lists although they are over.
	shownEnded = 25
	// firstScope is what a key is for unless its maker says otherwise.
	firstScope = "data:read"
)

// showKeys draws the page around p, with the keys in all.
func (e *endpoints) showKeys(c *gin.Context, status int, p pages.Keys, all []apikeys.Key, epoch int64) error {
	p.MaxDays, p.Guide = int(apikeys.MaxLife/day), e.Guide
	if p.Days == "" {
		p.Days = strconv.Itoa(int(apikeys.DefaultLife / day))
	}
	if p.Scopes == nil {
		p.Scopes = e.scopes(c, []string{firstScope})
	}
	for _, k := range all {
		row := pages.Key{
			ID: k.ID, Name: k.Name, Prefix: apikeys.Prefix + k.ID, Scopes: k.Scopes, State: stateOf(k, epoch, e.Now()),
			Created: k.CreatedAt, Expires: k.ExpiresAt, LastUsed: k.LastUsed,
		}
		switch {
		case row.State == "active":
			p.Live = append(p.Live, row)
		case len(p.Ended) < shownEnded:
			p.Ended = append(p.Ended, row)
		}
	}
	return web.Page(c, status, p)
}

// scopes are those of the offered permissions that the caller has; chosen ones are ticked.
func (e *endpoints) scopes(c *gin.Context, chosen []string) []pages.KeyScope {
	var out []pages.KeyScope
	for _, o := range e.Offered() {
		if name := string(o.Permission); e.Guards.Access.MayGive(e.Guards.Actor(c), []string{name}) == nil {
			out = append(out, pages.KeyScope{Name: name, Text: o.Text, Chosen: slices.Contains(chosen, name)})
		}
	}
	return out
}

// createKeyByForm answers with the page again: with the key, which is shown this once and therefore behind no redirect, or with what was
// wrong.
func (e *endpoints) createKeyByForm(c *gin.Context) error {
	form, err := web.Form(c)
	if err != nil {
		return err
	}
	who := web.CallerOf(c)
	var scopes oauth.Scopes
	for _, o := range e.Offered() { // in their order, and no others
		if form.Has(pages.KeyScopePrefix + string(o.Permission)) {
			scopes = append(scopes, string(o.Permission))
		}
	}
	p := pages.Keys{Name: form.Get("name"), Days: form.Get("days"), Scopes: e.scopes(c, scopes)}
	if len(scopes) == 0 {
		p.Errors = append(p.Errors, pages.FieldError{Field: "scopes", Code: pages.ScopesMissing})
	}
	days, err := strconv.Atoi(form.Get("days"))
	if most := int(apikeys.MaxLife / day); err != nil || days < 1 || days > most {
		p.Errors = append(p.Errors, pages.FieldError{Field: "days", Code: pages.FieldInvalid, Message: "A number from 1 to " + strconv.Itoa(most) + "."})
	}
	if len(p.Errors) > 0 {
		return e.keysAgain(c, http.StatusBadRequest, p)
	}
	if err := e.Guards.Access.MayGive(e.Guards.Actor(c), scopes); err != nil {
		return web.Denied(c, err)
	}
	k, text, err := e.Keys.Create(c.Request.Context(), apikeys.Request{
		OwnerID: who.User.ID, Ver: who.User.Ver, Epoch: who.User.Epoch, Name: form.Get("name"), Scopes: scopes, Life: time.Duration(days) * day,
	})
	switch {
	case fault.Is(err, fault.Invalid):
		p.Errors = append(p.Errors, pages.FieldError{Field: "name", Code: pages.FieldInvalid, Message: web.Message(err)})
		return e.keysAgain(c, http.StatusBadRequest, p)
	case fault.Is(err, fault.Conflict):
		status, facts := web.Shown(c, err)
		facts.Status, facts.Said = status, web.Message(err)
		p.Notice = &pages.Notice{Code: fault.CodeOf(err), Facts: facts}
		return e.keysAgain(c, status, p)
	case err != nil:
		return err
	}
	made := &pages.MadeKey{Name: k.Name, Text: text.Reveal(), Expires: k.ExpiresAt}
	if slices.Contains(k.Scopes, firstScope) {
		made.Line = "curl " + web.Issuer(c, "/data") + ` -H "X-API-Key: ` + text.Reveal() + `"`
	}
	c.Header("Location", web.Path(c, "/api-keys/"+k.ID))
	return e.keysAgain(c, http.StatusCreated, pages.Keys{Made: made})
}

// keysAgain draws the page with the caller's keys as they are now.
func (e *endpoints) keysAgain(c *gin.Context, status int, p pages.Keys) error {
	who := web.CallerOf(c).User
	all, err := e.Keys.List(c.Request.Context(), who.ID)
	if err != nil {
		return err
	}
	return e.showKeys(c, status, p, all, who.Epoch)
}

// revokeKey is deleteKey for the form of the page.
func (e *endpoints) revokeKey(c *gin.Context) error {
	if !wantsPage(c) {
		return e.deleteKey(c)
	}
	form, err := web.Form(c)
	if err != nil {
		return err
	}
	if err := e.revoke(c); err != nil {
		return err
	}
	to := "/api-keys?notice=" + pages.NoticeRevoked
	if owner := form.Get("owner_id"); owner != "" {
		to += "&owner_id=" + url.QueryEscape(owner)
	}
	return web.SeeOther(c, web.Path(c, to))
}
