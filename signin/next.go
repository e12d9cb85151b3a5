package signin

import (
	"slices"
	"time"

	"example.com/broker/clients"
	"example.com/broker/oauth"
	"example.com/broker/sessions"
	"example.com/broker/users"
)

// Step is what comes next.
type Step int

// The steps.
const (
	// Authenticate: somebody must prove who they are.
	Authenticate Step = iota
	// Choose: the signed-in person must say whether to go on as themselves.
	Choose
	// Consent: the person must allow the app.
	Consent
	// Confirm: the account is proven, the link to it must be confirmed.
	Confirm
	// Done: nothing is missing.
	Done
	// Fail: the app gets Decision.Error.
	Fail
)

// Decision is the next step of a trip.
type Decision struct {
	Step Step
	// Error is the code for the app (OpenID Connect Core §3.1.2.6) and Reason the text beside it where Step is Fail.
	Error, Reason string
}

// PasswordWay is the name of the password among ways to sign in.
const PasswordWay = "password"

// Next decides the next step of a trip from what is known now: the session of this browser and its user (nil without one), and the
// client (nil for the broker's own pages). It is the only place where that is decided.
//
// Whoever proved who they are on this very trip (the session carries its id) has met prompt=login, any max_age and prompt=select_account.
// They have not met a client's choice of providers by that: it holds for each session.
func Next(t Trip, c *clients.Client, s *sessions.Session, u *users.User, now time.Time) Decision {
	in := s != nil && u != nil && u.Status == users.Active
	if t.Pending != nil {
		if t.Pending.Proven && in && u.ID == t.Pending.UserID {
			return Decision{Step: Confirm}
		}
		return Decision{Step: Authenticate}
	}
	if !in {
		return t.ask(Authenticate, oauth.ErrLoginRequired, "nobody is signed in")
	}
	here := t.ID != "" && s.Trip == t.ID
	switch {
	case t.Needs.Login && !here:
		return t.ask(Authenticate, oauth.ErrLoginRequired, "a new sign-in was asked for")
	case t.Needs.MaxAge != nil && !here && older(*s, *t.Needs.MaxAge, now):
		return t.ask(Authenticate, oauth.ErrLoginRequired, "the sign-in is older than max_age")
	case c != nil && !c.AllowsProvider(way(s)):
		return t.ask(Authenticate, oauth.ErrLoginRequired, "the app does not take this way of signing in")
	case t.Needs.Subject != "" && t.Needs.Subject != u.ID && here:
		// OpenID Connect Core §3.1.2.1: not the person the app asked for.
		return Decision{Fail, oauth.ErrLoginRequired, "another person signed in"}
	case t.Needs.Subject != "" && t.Needs.Subject != u.ID:
		return t.ask(Authenticate, oauth.ErrLoginRequired, "another person is signed in")
	case t.Needs.Select && !here:
		return t.ask(Choose, oauth.ErrAccountSelection, "an account must be chosen")
	case c != nil && !c.FirstParty && (t.Needs.Consent || !consented(*u, *c, t.Request)):
		return t.ask(Consent, oauth.ErrConsentRequired, "the person has not allowed this")
	}
	return Decision{Step: Done}
}

// older reports whether a sign-in is older than max_age seconds. 0 asks for a new one whatever the clock says (OpenID Connect Core
// §3.1.2.1), and a sign-in that lies ahead has an age nobody knows.
func older(s sessions.Session, maxAge int, now time.Time) bool {
	age := now.Sub(s.AuthTime)
	return maxAge <= 0 || age > time.Duration(maxAge)*time.Second || age < -clockSkew
}

// clockSkew is how far apart the clocks of two replicas may be.
const clockSkew = 2 * time.Minute

// ask shows a page, unless the app forbade pages.
func (t Trip) ask(s Step, code, reason string) Decision {
	if t.Needs.None {
		return Decision{Fail, code, reason}
	}
	return Decision{Step: s}
}

func way(s *sessions.Session) string {
	if s.Provider == "" {
		return PasswordWay
	}
	return s.Provider
}

// consented reports whether the user has allowed this very client, and not one of its id that was deleted before, what it asks for.
func consented(u users.User, c clients.Client, r Request) bool {
	asked, err := r.Asks()
	if err != nil {
		return false
	}
	i := slices.IndexFunc(u.Consents, func(k users.Consent) bool { return k.ClientID == c.ID && !k.At.Before(c.CreatedAt) })
	if i < 0 {
		return false
	}
	given, err := oauth.ParseScopes(u.Consents[i].Scope)
	if err != nil {
		return false
	}
	_, ok := asked.Within(given)
	return ok && !slices.ContainsFunc(r.Resources, func(api string) bool { return !slices.Contains(u.Consents[i].APIs, api) })
}
