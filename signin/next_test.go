package signin_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/broker/clients"
	"example.com/broker/oauth"
	"example.com/broker/sessions"
	"example.com/broker/signin"
	"example.com/broker/users"
)

var now = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// situation is what Next is asked about: an app of the operator's own, a trip without demands and nobody signed in, until a row says more.
type situation struct {
	trip    signin.Trip
	client  *clients.Client
	session *sessions.Session
	user    *users.User
}

func seconds(n int) *int { return &n }

func (s *situation) signedIn(age time.Duration) {
	s.session = &sessions.Session{ID: "sid", UserID: "usr_1", AuthTime: now.Add(-age), Provider: "github", Trip: "an earlier trip"}
	s.user = &users.User{ID: "usr_1", Status: users.Active}
}

// an hour ago, on another trip.
func before(s *situation) { s.signedIn(time.Hour) }

// just now, on this very trip.
func here(s *situation) {
	s.signedIn(5 * time.Second)
	s.session.Trip = s.trip.ID
}

func needs(n signin.Needs) func(*situation) { return func(s *situation) { s.trip.Needs = n } }

func third(s *situation) { s.client.FirstParty = false }

func consented(scope string, apis ...string) func(*situation) {
	return func(s *situation) {
		s.user.Consents = append(s.user.Consents, users.Consent{ClientID: "other", Scope: "openid email admin"}, users.Consent{ClientID: "app", Scope: scope, APIs: apis})
	}
}

// registered is the client that took the id of a deleted one an hour ago.
func registered(s *situation) { s.client.CreatedAt = now.Add(-time.Hour) }

func consentedAt(at time.Time) func(*situation) {
	return func(s *situation) {
		s.user.Consents = append(s.user.Consents, users.Consent{ClientID: "app", Scope: "openid", At: at})
	}
}

func asks(scope string, apis ...string) func(*situation) {
	return func(s *situation) { s.trip.Request.Scope, s.trip.Request.Resources = scope, apis }
}

func takes(providers ...string) func(*situation) {
	return func(s *situation) { s.client.Providers = providers }
}

func pending(userID string, proven bool) func(*situation) {
	return func(s *situation) { s.trip.Pending = &signin.Pending{UserID: userID, Proven: proven} }
}

func TestNext(t *testing.T) {
	fail := func(code string) signin.Decision { return signin.Decision{Step: signin.Fail, Error: code} }
	step := func(s signin.Step) signin.Decision { return signin.Decision{Step: s} }
	ask, choose, consent, confirm, done := step(signin.Authenticate), step(signin.Choose), step(signin.Consent), step(signin.Confirm), step(signin.Done)
	loginRequired := fail(oauth.ErrLoginRequired)
	type change = func(*situation)
	for _, row := range []struct {
		rule    string
		changes []change
		want    signin.Decision
		none    signin.Decision // with prompt=none added
	}{
		// Who is there.
		{"nobody is signed in", nil, ask, loginRequired},
		{"somebody is signed in", []change{before}, done, done},
		{"somebody signed in on this trip", []change{here}, done, done},
		{"somebody is signed in, and no app asks", []change{before, func(s *situation) { s.client = nil }}, done, done},
		{"a session without its user", []change{before, func(s *situation) { s.user = nil }}, ask, loginRequired},
		{"a user without a session", []change{before, func(s *situation) { s.session = nil }}, ask, loginRequired},
		{"a disabled user", []change{before, func(s *situation) { s.user.Status = users.Disabled }}, ask, loginRequired},
		{"a disabled user who signed in on this trip", []change{here, func(s *situation) { s.user.Status = users.Disabled }}, ask, loginRequired},

		// prompt=login.
		{"login: somebody is signed in", []change{before, needs(signin.Needs{Login: true})}, ask, loginRequired},
		{"login: somebody signed in on this trip", []change{here, needs(signin.Needs{Login: true})}, done, done},
		{"login: a trip without an id is met by no session", []change{
			before, needs(signin.Needs{Login: true}),
			func(s *situation) { s.trip.ID, s.session.Trip = "", "" },
		}, ask, loginRequired},

		// max_age.
		{"max_age: the sign-in is younger", []change{before, needs(signin.Needs{MaxAge: seconds(3601)})}, done, done},
		{"max_age: the sign-in is as old", []change{before, needs(signin.Needs{MaxAge: seconds(3600)})}, done, done},
		{"max_age: the sign-in is older", []change{before, needs(signin.Needs{MaxAge: seconds(3599)})}, ask, loginRequired},
		{"max_age=1: the sign-in is older, but of this trip", []change{here, needs(signin.Needs{MaxAge: seconds(1)})}, done, done},
		{"max_age=0: a sign-in of this trip", []change{here, needs(signin.Needs{MaxAge: seconds(0)})}, done, done},
		{"max_age=0: a sign-in of this very moment, on another trip", []change{
			func(s *situation) { s.signedIn(0) }, needs(signin.Needs{MaxAge: seconds(0)}),
		}, ask, loginRequired},
		{"max_age: the largest there is", []change{before, needs(signin.Needs{MaxAge: seconds(1<<31 - 1)})}, done, done},
		{"max_age: a sign-in a moment ahead, by the clock of another replica", []change{
			func(s *situation) { s.signedIn(-90 * time.Second) }, needs(signin.Needs{MaxAge: seconds(10)}),
		}, done, done},
		{"max_age: a sign-in an hour ahead has an age nobody knows", []change{
			func(s *situation) { s.signedIn(-time.Hour) }, needs(signin.Needs{MaxAge: seconds(10)}),
		}, ask, loginRequired},

		// The app's choice of providers.
		{"providers: the one that was used", []change{before, takes("google", "github")}, done, done},
		{"providers: another one was used", []change{before, takes("google")}, ask, loginRequired},
		{"providers: another one was used, on this trip too", []change{here, takes("google")}, ask, loginRequired},
		{"providers: none at all", []change{before, takes([]string{}...), func(s *situation) { s.client.Providers = []string{} }}, ask, loginRequired},
		{"providers: the password is one of the ways", []change{before, takes("password"), func(s *situation) { s.session.Provider = "" }}, done, done},
		{"providers: the password is not among them", []change{before, takes("github"), func(s *situation) { s.session.Provider = "" }}, ask, loginRequired},
		{"providers: no app asks, so there is no choice", []change{before, func(s *situation) { s.client = nil; s.session.Provider = "gone" }}, done, done},

		// Who the app expects.
		{"subject: the one who is signed in", []change{before, needs(signin.Needs{Subject: "usr_1"})}, done, done},
		{"subject: another one is signed in", []change{before, needs(signin.Needs{Subject: "usr_2"})}, ask, loginRequired},
		{"subject: another one signed in on this trip", []change{here, needs(signin.Needs{Subject: "usr_2"})}, loginRequired, loginRequired},
		{"subject: nobody is signed in", []change{needs(signin.Needs{Subject: "usr_1"})}, ask, loginRequired},
		{"subject: the right one, but too long ago", []change{before, needs(signin.Needs{Subject: "usr_1", MaxAge: seconds(1)})}, ask, loginRequired},

		// prompt=select_account.
		{"select: nobody is signed in", []change{needs(signin.Needs{Select: true})}, ask, loginRequired},
		{"select: somebody is signed in", []change{before, needs(signin.Needs{Select: true})}, choose, fail(oauth.ErrAccountSelection)},
		{"select: somebody signed in on this trip, which was a choice", []change{here, needs(signin.Needs{Select: true})}, done, done},
		{"select and login: sign in first", []change{before, needs(signin.Needs{Select: true, Login: true})}, ask, loginRequired},
		{"select: somebody whom the app does not expect", []change{before, needs(signin.Needs{Select: true, Subject: "usr_2"})}, ask, loginRequired},
		{"select before consent", []change{before, third, needs(signin.Needs{Select: true, Consent: true})}, choose, fail(oauth.ErrAccountSelection)},

		// Consent.
		{"consent: the operator's own app needs none", []change{before, asks("openid admin", "orders")}, done, done},
		{"consent: the operator's own app needs none, though it asks", []change{before, needs(signin.Needs{Consent: true})}, done, done},
		{"consent: another app, for the first time", []change{before, third, asks("openid")}, consent, fail(oauth.ErrConsentRequired)},
		{"consent: another app that asks for nothing, for the first time", []change{before, third}, consent, fail(oauth.ErrConsentRequired)},
		{"consent: given", []change{before, third, asks("openid email", "orders"), consented("email openid", "orders", "more")}, done, done},
		{"consent: given to this client", []change{before, third, registered, asks("openid"), consentedAt(now.Add(-time.Minute))}, done, done},
		{"consent: given to one of its id that is gone", []change{before, third, registered, asks("openid"), consentedAt(now.Add(-2 * time.Hour))}, consent, fail(oauth.ErrConsentRequired)},
		{"consent: given for more", []change{before, third, asks("openid"), consented("openid email")}, done, done},
		{"consent: given for less", []change{before, third, asks("openid email"), consented("openid")}, consent, fail(oauth.ErrConsentRequired)},
		{"consent: given to another app", []change{before, third, asks("openid admin"), consented("openid")}, consent, fail(oauth.ErrConsentRequired)},
		{"consent: given without this API", []change{before, third, asks("openid", "orders"), consented("openid")}, consent, fail(oauth.ErrConsentRequired)},
		{"consent: given, but asked for again", []change{before, third, asks("openid"), consented("openid"), needs(signin.Needs{Consent: true})}, consent, fail(oauth.ErrConsentRequired)},
		{"consent: signing in is none", []change{here, third, asks("openid")}, consent, fail(oauth.ErrConsentRequired)},
		{"consent: sign in first", []change{third, asks("openid"), needs(signin.Needs{Consent: true})}, ask, loginRequired},
		{"consent: what was stored does not parse", []change{before, third, asks("openid"), consented("openid  x")}, consent, fail(oauth.ErrConsentRequired)},
		{"consent: no app asks", []change{before, func(s *situation) { s.client = nil; s.trip.Needs.Consent = true }}, done, done},

		// An identity that waits for its account. No page-less trip has one, since a page was shown before.
		{"pending: nobody is signed in", []change{pending("usr_1", false)}, ask, ask},
		{"pending: somebody is signed in, but not by this proof", []change{before, pending("usr_1", false)}, ask, ask},
		{"pending: proven", []change{here, pending("usr_1", true)}, confirm, confirm},
		{"pending: proven, and signed out again", []change{pending("usr_1", true)}, ask, ask},
		{"pending: proven, and somebody else is signed in", []change{here, pending("usr_2", true)}, ask, ask},
		{"pending: proven, and the account was disabled", []change{here, pending("usr_1", true), func(s *situation) { s.user.Status = users.Disabled }}, ask, ask},
		{"pending: comes before all else", []change{here, third, asks("openid"), pending("usr_1", true), func(s *situation) { s.trip.Needs.Consent = true }}, confirm, confirm},
	} {
		for _, none := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, none=%v", row.rule, none), func(t *testing.T) {
				s := &situation{trip: signin.Trip{ID: "this trip", Purpose: signin.SignIn}, client: &clients.Client{ID: "app", FirstParty: true}}
				for _, c := range row.changes {
					c(s)
				}
				want := row.want
				if none {
					s.trip.Needs.None = true
					want = row.none
				}
				got := signin.Next(s.trip, s.client, s.session, s.user, now)
				if (got.Reason == "") != (got.Step != signin.Fail) {
					t.Errorf("step %d with the reason %q", got.Step, got.Reason)
				}
				got.Reason = ""
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
	}
}

// TestNextNeverLoops follows every trip to its end: whoever does what a page asks gets on.
func TestNextNeverLoops(t *testing.T) {
	for n := range 1 << 6 {
		has := func(bit int) bool { return n&(1<<bit) != 0 }
		s := &situation{trip: signin.Trip{ID: "this trip"}, client: &clients.Client{ID: "app", FirstParty: has(0)}}
		s.trip.Needs = signin.Needs{Login: has(1), Select: has(2), Consent: has(3)}
		s.trip.Request.Scope = "openid"
		if has(4) {
			s.trip.Needs.MaxAge = seconds(0)
		}
		if has(5) {
			before(s)
		}
		var seen []signin.Step
		for range 5 {
			d := signin.Next(s.trip, s.client, s.session, s.user, now)
			seen = append(seen, d.Step)
			if d.Step == signin.Done {
				break
			}
			switch d.Step {
			case signin.Authenticate:
				here(s)
			case signin.Choose:
				s.trip.Needs.Select = false
			case signin.Consent:
				s.trip.Needs.Consent = false
				consented("openid")(s)
			default:
				t.Fatalf("case %06b: step %d", n, d.Step)
			}
		}
		if seen[len(seen)-1] != signin.Done {
			t.Errorf("case %06b never ends: %v", n, seen)
		}
		for i, a := range seen {
			for _, b := range seen[:i] {
				if a == b {
					t.Errorf("case %06b asks for the same twice: %v", n, seen)
				}
			}
		}
	}
}
