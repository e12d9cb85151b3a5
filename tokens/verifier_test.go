package tokens_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"example.com/broker/clients"
	"example.com/broker/keys"
	"example.com/broker/oauth"
	"example.com/broker/tokens"
	"example.com/broker/verify"
)

var (
	orders = clients.API{ID: "orders", Audience: "https://orders.example.com"}
	legacy = clients.API{ID: "legacy", Audience: "https://legacy.example.com", Typ: "JWT"}
)

func apis(s *settings) {
	s.shape = func(aud string) (string, bool) {
		switch aud {
		case orders.Audience:
			return oauth.TypAccessToken, true
		case legacy.Audience:
			return "JWT", true
		}
		return "", false
	}
}

func TestWhichTokensTheBrokerTakes(t *testing.T) {
	r := solo(t, apis)
	u, g := alice(), grant()
	access := func(api clients.API) string {
		return r.sign(t, tokens.AccessRequest{User: &u, Grant: &g, API: api}).Raw
	}
	ofClient := clients.API{Audience: client} // an API that has the name of a client
	id := r.idToken(t, u, g, "")
	_, refresh := r.family(t, r.offline())
	for name, test := range map[string]struct {
		raw      string
		own, any bool
	}{
		"for the issuer":                             {access(clients.API{}), true, true},
		"for an API":                                 {access(orders), false, true},
		"for an API that takes plain JWT":            {access(legacy), false, true},
		"plain JWT for an API that does not take it": {access(clients.API{Audience: orders.Audience, Typ: "JWT"}), false, false},
		"at+jwt for an API that takes plain JWT":     {access(clients.API{Audience: legacy.Audience}), false, false},
		"plain JWT for the issuer":                   {access(clients.API{Audience: issuer, Typ: "JWT"}), false, false},
		"for an API that is no longer registered":    {access(clients.API{Audience: "https://gone.example.com"}), false, false},
		"for an audience that is a client":           {access(ofClient), false, false},
		"E09: an ID token":                           {id, false, false},
		"E09: a refresh token":                       {refresh, false, false},
		"nothing":                                    {"", false, false},
	} {
		if _, err := r.verifier.Own(t.Context(), test.raw); (err == nil) != test.own {
			t.Errorf("%s: Own = %v, want %v", name, err, test.own)
		}
		got, err := r.verifier.Any(t.Context(), test.raw)
		if (err == nil) != test.any {
			t.Errorf("%s: Any = %v, want %v", name, err, test.any)
		}
		if e, ok := errors.AsType[*verify.Error](err); err != nil && (!ok || e.Code != verify.CodeInvalidToken) {
			t.Errorf("%s: Any = %v, want invalid_token", name, err)
		}
		if err == nil && (got.Subject.ID != u.ID || got.Claims.GrantID != g.ID || got.Claims.SessionID != g.SessionID) {
			t.Errorf("%s: it says %+v", name, got.Claims)
		}
	}
}

// TestIDTokenWhoseClientHasTheNameOfAnAPI: its audience alone would let it pass.
func TestIDTokenWhoseClientHasTheNameOfAnAPI(t *testing.T) {
	r := solo(t, apis)
	raw, err := r.issuer.IDToken(t.Context(), tokens.IDRequest{
		Client: clients.Client{ID: legacy.Audience, IDTokenAlg: keys.EdDSA}, User: alice(), Grant: grant(),
	})
	must(t, err)
	if _, err := r.verifier.Any(t.Context(), raw); err == nil {
		t.Error("an ID token passes for an access token")
	}
}

// TestSigningKeysThatTurn is F13.
func TestSigningKeysThatTurn(t *testing.T) {
	i := install(t)
	here, there := i.replica(t), i.replica(t)
	g := grant()
	old := here.access(t, g)
	_, err := here.ring.Rotate(t.Context())
	must(t, err)
	here.after(t, 12*time.Minute)
	there.poll(t)
	fresh := here.access(t, g)
	if header(t, old)["kid"] == header(t, fresh)["kid"] {
		t.Fatal("the new key does not sign")
	}
	for name, r := range map[string]*replica{"here": here, "there": there} {
		if !r.accepts(t, old) || !r.accepts(t, fresh) {
			t.Errorf("%s: a token of the old or the new key is refused", name)
		}
	}
	must(t, here.ring.RevokeKey(t.Context(), header(t, fresh)["kid"].(string)))
	there.poll(t)
	for name, r := range map[string]*replica{"here": here, "there": there} {
		if r.accepts(t, fresh) {
			t.Errorf("%s: a token of the revoked key is accepted", name)
		}
		if !r.accepts(t, old) {
			t.Errorf("%s: the token of the other key is refused", name)
		}
		if !r.accepts(t, r.access(t, g)) {
			t.Errorf("%s: nothing can be signed any more", name)
		}
	}
}

func TestVerifierNeedsItsParts(t *testing.T) {
	r := solo(t)
	for name, o := range map[string]tokens.VerifierOptions{
		"no issuer":      {Ring: r.ring, Revocations: r.revocations, Now: r.now},
		"no ring":        {Issuer: issuer, Revocations: r.revocations, Now: r.now},
		"no revocations": {Issuer: issuer, Ring: r.ring, Now: r.now},
	} {
		if _, err := tokens.NewVerifier(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestHints(t *testing.T) {
	r := solo(t, apis)
	u, g := alice(), grant()
	raw := r.idToken(t, u, g, "")
	want := tokens.Hint{Subject: u.ID, ClientID: client, SessionID: g.SessionID}
	for _, after := range []time.Duration{0, time.Hour, 48 * time.Hour} {
		r.after(t, after)
		if got, err := r.hints.Read(t.Context(), raw); err != nil || got != want {
			t.Errorf("%v later: %+v, %v; want %+v", after, got, err, want)
		}
	}
	// B11: forged, alg none, another token, another issuer.
	parts := strings.Split(raw, ".")
	other := solo(t)
	elsewhere, err := tokens.NewIssuer(tokens.IssuerOptions{URL: "https://evil.example", Ring: r.ring, Now: r.now})
	must(t, err)
	foreign, err := elsewhere.IDToken(t.Context(), tokens.IDRequest{Client: clients.Client{ID: client, IDTokenAlg: keys.ES256}, User: u, Grant: g})
	must(t, err)
	for name, bad := range map[string]string{
		"nothing":                     "",
		"no signature":                parts[0] + "." + parts[1] + ".",
		"alg none":                    "eyJhbGciOiJub25lIn0." + parts[1] + ".",
		"another payload":             parts[0] + "." + strings.Split(r.access(t, g), ".")[1] + "." + parts[2],
		"another installation":        other.idToken(t, u, g, ""),
		"another issuer with our key": foreign,
		"an access token":             r.access(t, g),
		"an access token of type JWT": r.sign(t, tokens.AccessRequest{User: &u, Grant: &g, API: legacy}).Raw,
		"nine thousand bytes":         raw + strings.Repeat("A", 9_000),
	} {
		_, err := r.hints.Read(t.Context(), bad)
		wantCode(t, name, oauth.ErrInvalidRequest, err)
	}
}
