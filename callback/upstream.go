package callback

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/broker/internal/fault"
	"example.com/broker/internal/secret"
	"example.com/broker/providers"
	"example.com/broker/signin"
	"example.com/broker/users"
	"example.com/broker/web"
	"example.com/broker/web/pages"
)

const (
	flowPurpose  = "upstream-flow"
	flowCookie   = "broker_flow_"
	flowLifetime = 10 * time.Minute
	maxFlows     = 3
	maxFlowBytes = 2048
)

// flow is what a trip to an upstream remembers, sealed in a cookie of its own: no row for somebody who only clicked.
type flow struct {
	State    string      `json:"s"` // hash of the state parameter
	Provider string      `json:"p"`
	Issuer   string      `json:"i"` // namespace of the provider when the flow began
	Nonce    string      `json:"n"`
	Verifier string      `json:"v"`
	Trip     signin.Trip `json:"t"`
	// By is the user who was signed in when the flow began, for trips of the purpose link.
	By    string    `json:"b,omitempty"`
	Until time.Time `json:"u"`
}

func stateHash(state string) string {
	sum := sha256.Sum256([]byte(state))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// start sends the browser to an upstream.
func (e *endpoints) start(c *gin.Context) error {
	_, t, _, err := e.begin(c, web.Query)
	if err != nil {
		return err
	}
	p, err := e.allowed(c, t, c.Param("provider"))
	if err != nil {
		return e.backTo(c, t, "", err)
	}
	k := p.Config()
	// The random values are made here and cannot be set by the caller.
	state := secret.New(16).Reveal()
	f := flow{
		State: stateHash(state), Provider: k.ID, Issuer: k.Namespace, Nonce: secret.New(16).Reveal(), Verifier: secret.New(32).Reveal(),
		Trip: t, Until: e.Now().Add(flowLifetime).UTC().Truncate(time.Second),
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), e.Exchange)
	defer cancel()
	to, err := p.AuthURL(ctx, upstreamFlow(f, state))
	if err != nil {
		e.Observe(k.ID, fault.CodeOf(err))
		return e.backTo(c, t, k.Name, err)
	}
	sealed := e.Seal.Seal(flowPurpose, signin.Pack(f))
	if len(sealed) > maxFlowBytes {
		return startAgain(fault.New(fault.Invalid, "request_invalid", "The app's request is too long to be carried through a sign-in: state, nonce, scope and claims together must stay below about 1,400 bytes."))
	}
	e.dropOldFlows(c)
	web.SetCookie(c, flowCookie+f.State[:8], sealed, flowLifetime)
	return web.SeeOther(c, to)
}

func upstreamFlow(f flow, state string) providers.Flow {
	out := providers.Flow{
		State: state, Nonce: f.Nonce, Verifier: f.Verifier, LoginHint: f.Trip.Hints.Login, UILocales: f.Trip.Hints.UILocales, Display: f.Trip.Hints.Display,
		ACRValues: strings.Fields(f.Trip.Hints.ACRValues),
	}
	switch {
	case f.Trip.Needs.Login || f.Trip.Pending != nil:
		out.Prompt = "login"
	case f.Trip.Needs.Select:
		out.Prompt = "select_account"
	}
	out.MaxAge = f.Trip.Needs.MaxAge
	return out
}

// allowed returns a provider that is switched on and that the trip's client takes.
func (e *endpoints) allowed(c *gin.Context, t signin.Trip, id string) (providers.Provider, error) {
	p, err := e.Providers.Get(id)
	if err != nil {
		return nil, err
	}
	app, err := e.app(c, t)
	if err != nil {
		return nil, err
	}
	// A proof opens the account in whichever way it has; the app's choice is asked about again when the trip goes on.
	if app != nil && t.Pending == nil && !app.AllowsProvider(id) {
		return nil, fault.New(fault.Forbidden, "provider_disabled", "%s does not take %s.", appName(app), p.Config().Name)
	}
	return p, nil
}

// dropOldFlows keeps at most maxFlows cookies after the next one is set: browsers send older cookies first (RFC 6265 §5.4).
func (e *endpoints) dropOldFlows(c *gin.Context) {
	var names []string
	for _, k := range c.Request.Cookies() {
		if name := strings.TrimPrefix(k.Name, "__Host-"); strings.HasPrefix(name, flowCookie) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for len(names) >= maxFlows {
		web.SetCookie(c, names[0], "", -1)
		names = names[1:]
	}
}

// arrive takes a browser back from an upstream.
func (e *endpoints) arrive(c *gin.Context) error {
	q, err := web.Query(c)
	if err != nil {
		return e.lost(c, fault.Wrap(err, fault.Invalid, "callback_invalid", "The address the provider sent you to does not decode."))
	}
	f, err := e.openFlow(c, q.Get("state"))
	if err != nil {
		return e.lost(c, err)
	}
	// Single use is decided by the store before anything leaves us; a failure after this point costs the person a new start, never
	// a second exchange.
	err = e.Once.Mark(c.Request.Context(), "flow", f.State, f.Until.Add(2*time.Minute))
	if fault.Is(err, fault.Conflict) {
		return e.lost(c, fault.New(fault.Invalid, "flow_replayed", "This answer of the provider was used already."))
	}
	if err != nil {
		return err
	}
	web.SetCookie(c, flowCookie+f.State[:8], "", -1)
	p, err := e.allowed(c, f.Trip, f.Provider)
	if err != nil {
		// Gone since the flow began is as good as switched off.
		return e.backTo(c, f.Trip, "", fault.Wrap(err, fault.Forbidden, "provider_disabled", "This way of signing in was switched off meanwhile."))
	}
	if p.Config().Namespace != f.Issuer {
		return e.lost(c, fault.New(fault.Invalid, "callback_invalid", "The provider was configured anew meanwhile."))
	}
	ctx, cancel := context.WithTimeout(c.Request.Context(), e.Exchange)
	defer cancel()
	if err := e.checkIssuer(ctx, p, q); err != nil {
		return e.backTo(c, f.Trip, p.Config().Name, err)
	}
	if code := q.Get("error"); code != "" {
		e.Observe(f.Provider, "upstream_"+known(code))
		notice := "upstream_unavailable"
		if code == "access_denied" {
			notice = "upstream_denied"
		}
		web.Log(c).Info("the upstream declined", "provider", f.Provider, "error", known(code))
		return web.SeeOther(c, web.Path(c, "/login?notice="+notice+"&provider="+url.QueryEscape(f.Provider)+"&tx="+e.Trips.Seal(f.Trip, web.BrowserID(c))))
	}
	if q.Get("code") == "" {
		return e.lost(c, fault.New(fault.Invalid, "callback_invalid", "The provider sent neither a code nor an error."))
	}
	result, err := p.Exchange(ctx, upstreamFlow(f, q.Get("state")), q)
	if err != nil {
		e.Observe(f.Provider, fault.CodeOf(err))
		return e.backTo(c, f.Trip, p.Config().Name, err)
	}
	return e.finish(c, p, f.Trip, result)
}

// known keeps foreign text out of logs and metrics (RFC 6749 §4.1.2.1 lists the codes).
func known(code string) string {
	if slices.Contains([]string{"access_denied", "server_error", "temporarily_unavailable", "invalid_request", "invalid_scope", "unauthorized_client", "login_required", "interaction_required", "consent_required", "redirect_uri_mismatch", "application_suspended"}, code) {
		return code
	}
	return "other"
}

// openFlow returns the flow a state belongs to, if this browser holds its cookie and it was made for this provider.
func (e *endpoints) openFlow(c *gin.Context, state string) (flow, error) {
	if state == "" {
		return flow{}, fault.New(fault.Invalid, "callback_invalid", "The parameter state is missing.")
	}
	value := web.Cookie(c, flowCookie+stateHash(state)[:8])
	if value == "" {
		return flow{}, fault.New(fault.Invalid, "tx_browser_mismatch", "This browser did not start the sign-in that this answer belongs to, or it was finished already.")
	}
	return e.readFlow(value, state, c.Param("provider"))
}

// readFlow opens the value of a flow cookie and holds it against what the callback brought.
func (e *endpoints) readFlow(value, state, provider string) (flow, error) {
	plain, err := e.Seal.Open(flowPurpose, value)
	var f flow
	if err == nil {
		err = signin.Unpack(plain, &f)
	}
	mismatch := func(text string) error { return fault.New(fault.Invalid, "callback_invalid", "%s", text) }
	switch {
	case err != nil:
		return flow{}, mismatch("The cookie of this sign-in does not open.")
	case !secret.EqualText(f.State, stateHash(state)):
		return flow{}, mismatch("The parameter state is not the one this sign-in began with.")
	case !e.Now().Before(f.Until):
		return flow{}, fault.New(fault.Invalid, "tx_expired", "This sign-in was started more than %d minutes ago.", int(flowLifetime.Minutes()))
	case f.Provider != provider:
		return flow{}, mismatch("This sign-in was started with another provider.")
	}
	return f, nil
}

// checkIssuer refuses a mix-up before the code leaves us (RFC 9207 §2.4).
func (e *endpoints) checkIssuer(ctx context.Context, p providers.Provider, q url.Values) error {
	want, required, err := p.Issuer(ctx)
	if err != nil {
		return err
	}
	got, present := q.Get("iss"), q.Has("iss")
	if (present && want != "" && got != want) || (required && !present) {
		return fault.New(fault.Invalid, "callback_invalid", "The answer names the issuer %.200q, expected %q.", got, want)
	}
	return nil
}

// finish turns a proven identity into a session.
func (e *endpoints) finish(c *gin.Context, p providers.Provider, t signin.Trip, result providers.Result) error {
	ctx := c.Request.Context()
	k := p.Config()
	policy := users.Policy{Linking: k.Linking, Registration: e.Registration}
	if k.Registration != nil {
		policy.Registration = *k.Registration
	}
	if t.Pending != nil {
		policy.Registration = false // a proof makes nobody new
	}
	u, _, err := e.Users.Resolve(ctx, result.Identity, policy)
	if t.Pending != nil {
		if err != nil || u.ID != t.Pending.UserID {
			if err != nil && fault.KindOf(err) != fault.Conflict && fault.KindOf(err) != fault.Forbidden {
				return err
			}
			return web.SeeOther(c, web.Path(c, "/login/link?notice=link_refused&tx="+e.Trips.Seal(t, web.BrowserID(c))))
		}
		t.Pending.Proven = true
	}
	if required, ok := errors.AsType[*users.LinkRequired](err); ok {
		identity := result.Identity
		identity.Claims = nil
		t.Pending = &signin.Pending{UserID: required.UserID, Identity: identity, Ways: required.Methods, AMR: result.AMR}
		return e.onward(c, t)
	}
	if err != nil {
		e.Observe(k.ID, fault.CodeOf(err))
		return e.backTo(c, t, k.Name, err)
	}
	amr := result.AMR
	if len(amr) == 0 {
		amr = []string{"fed"}
	}
	if err := e.open(c, u, t, k.ID, amr); err != nil {
		return err
	}
	return e.onward(c, t)
}

// lost answers a callback that belongs to no flow of this browser: if the person is signed in all the same, they can go on.
func (e *endpoints) lost(c *gin.Context, err error) error {
	s, _, loadErr := e.current(c)
	signedIn := loadErr == nil && s != nil
	return &web.PageError{Err: err, Fill: func(p *pages.Error) {
		p.Interaction = true
		p.Facts.Provider = e.name(c.Param("provider"))
		p.Next = &pages.Action{Label: "Start again", URL: "/login"}
		if signedIn {
			p.Next = &pages.Action{Label: "You are signed in: continue", URL: "/dashboard"}
		}
	}}
}
