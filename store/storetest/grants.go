package storetest

import (
	"testing"
	"time"

	"example.com/broker/internal/fault"
	"example.com/broker/tokens"
)

// grantWithCode can be redeemed by redemption for a minute.
func grantWithCode(id string) tokens.Grant {
	return tokens.Grant{
		ID: id, ClientID: "app", UserID: "usr", SessionID: "sid", Ver: 3, Scope: "openid email", AuthTime: start(), CreatedAt: start(),
		CodeHash: "code-" + id, RedirectURI: "https://app.example.org/cb", Challenge: "challenge-" + id,
		CodeUntil: start().Add(time.Minute), Until: start().Add(30 * day),
	}
}

func redemption(g tokens.Grant, now time.Time) tokens.Redemption {
	return tokens.Redemption{
		GrantID: g.ID, CodeHash: g.CodeHash, ClientID: g.ClientID, RedirectURI: g.RedirectURI, Challenge: g.Challenge, Now: now,
		AnchorHash: "anchor-" + g.ID, Cur: "secret-0", IdleUntil: now.Add(7 * day),
	}
}

// family is a grant whose current secret is secret-0; rotation moves it on.
func family(id string) tokens.Grant {
	return tokens.Grant{
		ID: id, ClientID: "app", UserID: "usr", Scope: "openid", AnchorHash: "anchor-" + id, Cur: "secret-0", CreatedAt: start(),
		AuthTime: start(), IdleUntil: start().Add(7 * day), Until: start().Add(30 * day),
	}
}

func rotation(g tokens.Grant, to string, now time.Time) tokens.Rotation {
	return tokens.Rotation{
		GrantID: g.ID, ClientID: g.ClientID, AnchorHash: g.AnchorHash, From: g.Cur, To: to, Successor: "sealed " + to, Now: now,
		IdleUntil: now.Add(7 * day),
	}
}

func testGrants(t *testing.T, f *Fixture) {
	t.Run("insert", func(t *testing.T) { testInsertGrant(t, f.Stores.Grants) })
	t.Run("redeem", func(t *testing.T) { testRedeem(t, f.Stores.Grants) })
	t.Run("rotate", func(t *testing.T) { testRotate(t, f.Stores.Grants) })
	t.Run("kill", func(t *testing.T) { testKill(t, f.Stores.Grants) })
}

func testInsertGrant(t *testing.T, s tokens.GrantStore) {
	ctx := t.Context()
	t.Run("every field of a grant is stored, hashes and claims byte for byte", func(t *testing.T) {
		g := filled[tokens.Grant]("wide")
		g.ID = "wide"
		done(t, s.InsertGrant(ctx, g))
		same(t, g, must(s.GetGrant(ctx, "wide"))(t))
	})
	t.Run("zero times come back as zero times", func(t *testing.T) {
		g := tokens.Grant{ID: "zero", Until: start().Add(time.Hour)}
		done(t, s.InsertGrant(ctx, g))
		same(t, g, must(s.GetGrant(ctx, "zero"))(t))
	})
	t.Run("an unknown grant is not found", func(t *testing.T) {
		refused(s.GetGrant(ctx, "nobody"))(t, fault.NotFound, "grant_unknown")
	})
	t.Run("an id in use is refused and its grant kept", func(t *testing.T) {
		g := grantWithCode("once")
		done(t, s.InsertGrant(ctx, g))
		other := g
		other.UserID = "somebody else"
		fails(t, s.InsertGrant(ctx, other), fault.Conflict, "grant_exists")
		same(t, g, must(s.GetGrant(ctx, "once"))(t))
	})
}

// attempt is one way not to match a grant.
type attempt struct {
	name   string
	grant  func(*tokens.Grant)
	redeem func(*tokens.Redemption)
	rotate func(*tokens.Rotation)
}

func testRedeem(t *testing.T, s tokens.GrantStore) {
	ctx, now := t.Context(), start()
	t.Run("a code in force is spent and begins the family", func(t *testing.T) {
		g := grantWithCode("redeemed")
		done(t, s.InsertGrant(ctx, g))
		r := redemption(g, now)
		got := must(s.RedeemGrant(ctx, r))(t)
		g.CodeSpent, g.AnchorHash, g.Cur, g.IdleUntil = now, r.AnchorHash, r.Cur, r.IdleUntil
		same(t, g, got)
		same(t, g, must(s.GetGrant(ctx, g.ID))(t))
		refused(s.RedeemGrant(ctx, r))(t, fault.Conflict, "grant_unmatched")
		same(t, g, must(s.GetGrant(ctx, g.ID))(t))
	})
	t.Run("a redemption without refresh begins no family", func(t *testing.T) {
		g := grantWithCode("no-refresh")
		done(t, s.InsertGrant(ctx, g))
		r := redemption(g, now)
		r.AnchorHash, r.Cur, r.IdleUntil = "", "", time.Time{}
		got := must(s.RedeemGrant(ctx, r))(t)
		g.CodeSpent = now
		same(t, g, got)
		refused(s.RotateGrant(ctx, rotation(got, "secret-1", now)))(t, fault.Conflict, "grant_unmatched")
		same(t, g, must(s.GetGrant(ctx, g.ID))(t))
	})
	t.Run("a grant without redirect address and challenge is matched by none", func(t *testing.T) {
		g := grantWithCode("bare")
		g.RedirectURI, g.Challenge = "", ""
		done(t, s.InsertGrant(ctx, g))
		must(s.RedeemGrant(ctx, redemption(g, now)))(t)
	})
	t.Run("a code is in force until just before its end", func(t *testing.T) {
		g := grantWithCode("just-in-time")
		done(t, s.InsertGrant(ctx, g))
		must(s.RedeemGrant(ctx, redemption(g, g.CodeUntil.Add(-tick))))(t)
	})
	for _, a := range []attempt{
		{name: "another code", redeem: func(r *tokens.Redemption) { r.CodeHash = "code-other" }},
		{name: "no code", redeem: func(r *tokens.Redemption) { r.CodeHash = "" }},
		{name: "another client", redeem: func(r *tokens.Redemption) { r.ClientID = "APP" }},
		{name: "no client", redeem: func(r *tokens.Redemption) { r.ClientID = "" }},
		{name: "another redirect address", redeem: func(r *tokens.Redemption) { r.RedirectURI += "/" }},
		{name: "no redirect address", redeem: func(r *tokens.Redemption) { r.RedirectURI = "" }},
		{name: "another challenge", redeem: func(r *tokens.Redemption) { r.Challenge = "Challenge-" + r.GrantID }},
		{name: "no challenge", redeem: func(r *tokens.Redemption) { r.Challenge = "" }},
		{name: "an unknown grant", redeem: func(r *tokens.Redemption) { r.GrantID = "nobody" }},
		{name: "the very end of the code", redeem: func(r *tokens.Redemption) { r.Now = start().Add(time.Minute) }},
		{name: "the very end of the grant", grant: func(g *tokens.Grant) { g.Until = start() }},
		{name: "a spent code", grant: func(g *tokens.Grant) { g.CodeSpent = start().Add(-time.Second) }},
		{name: "a dead grant", grant: func(g *tokens.Grant) { g.Dead = start().Add(-time.Second) }},
		{name: "a challenge where the grant has none", grant: func(g *tokens.Grant) { g.Challenge = "" }, redeem: func(r *tokens.Redemption) { r.Challenge = "c" }},
		{name: "a grant that never had a code", grant: func(g *tokens.Grant) { g.CodeHash = "" }},
	} {
		t.Run(a.name+" is unmatched and changes nothing", func(t *testing.T) {
			g := grantWithCode("redeem " + a.name)
			if a.grant != nil {
				a.grant(&g)
			}
			done(t, s.InsertGrant(ctx, g))
			r := redemption(g, now)
			if a.redeem != nil {
				a.redeem(&r)
			}
			refused(s.RedeemGrant(ctx, r))(t, fault.Conflict, "grant_unmatched")
			same(t, g, must(s.GetGrant(ctx, g.ID))(t))
		})
	}
}

func testRotate(t *testing.T, s tokens.GrantStore) {
	ctx, now := t.Context(), start()
	t.Run("a rotation moves the family on, again and again", func(t *testing.T) {
		g := family("chain")
		done(t, s.InsertGrant(ctx, g))
		for i, to := range []string{"secret-1", "secret-2", "secret-3"} {
			r := rotation(g, to, now.Add(time.Duration(i)*day))
			got := must(s.RotateGrant(ctx, r))(t)
			g.Prev, g.Cur, g.Successor, g.RotatedAt, g.IdleUntil = g.Cur, to, "sealed "+to, r.Now, r.IdleUntil
			same(t, g, got)
			same(t, g, must(s.GetGrant(ctx, g.ID))(t))
			refused(s.RotateGrant(ctx, r))(t, fault.Conflict, "grant_unmatched")
		}
		same(t, g, must(s.GetGrant(ctx, g.ID))(t))
	})
	t.Run("a family is in force until just before its idle end", func(t *testing.T) {
		g := family("rotated-in-time")
		done(t, s.InsertGrant(ctx, g))
		must(s.RotateGrant(ctx, rotation(g, "secret-1", g.IdleUntil.Add(-tick))))(t)
	})
	for _, a := range []attempt{
		{name: "another secret", rotate: func(r *tokens.Rotation) { r.From = "Secret-0" }},
		{name: "no secret", rotate: func(r *tokens.Rotation) { r.From = "" }},
		{name: "no next secret", rotate: func(r *tokens.Rotation) { r.To = "" }},
		{name: "the previous secret", grant: func(g *tokens.Grant) { g.Prev = "secret-p" }, rotate: func(r *tokens.Rotation) { r.From = "secret-p" }},
		{name: "another anchor", rotate: func(r *tokens.Rotation) { r.AnchorHash = "anchor" }},
		{name: "no anchor", rotate: func(r *tokens.Rotation) { r.AnchorHash = "" }},
		{name: "another client", rotate: func(r *tokens.Rotation) { r.ClientID = "App" }},
		{name: "an unknown grant", rotate: func(r *tokens.Rotation) { r.GrantID = "nobody" }},
		{name: "the very idle end", rotate: func(r *tokens.Rotation) { r.Now = start().Add(7 * day) }},
		{name: "the very end of the grant", grant: func(g *tokens.Grant) { g.Until = start() }},
		{name: "a dead grant", grant: func(g *tokens.Grant) { g.Dead = start().Add(-time.Second) }},
		{name: "a family that has not begun", grant: func(g *tokens.Grant) { g.AnchorHash, g.Cur = "", "" }},
		{name: "a family without an idle end", grant: func(g *tokens.Grant) { g.IdleUntil = time.Time{} }},
	} {
		t.Run(a.name+" is unmatched and changes nothing", func(t *testing.T) {
			g := family("rotate " + a.name)
			if a.grant != nil {
				a.grant(&g)
			}
			done(t, s.InsertGrant(ctx, g))
			r := rotation(g, "secret-1", now)
			if a.rotate != nil {
				a.rotate(&r)
			}
			refused(s.RotateGrant(ctx, r))(t, fault.Conflict, "grant_unmatched")
			same(t, g, must(s.GetGrant(ctx, g.ID))(t))
		})
	}
}

func testKill(t *testing.T, s tokens.GrantStore) {
	ctx, now := t.Context(), start()
	t.Run("a killed grant keeps the time of its first death and comes back to nobody", func(t *testing.T) {
		g := grantWithCode("killed")
		done(t, s.InsertGrant(ctx, g))
		g = must(s.RedeemGrant(ctx, redemption(g, now)))(t)
		done(t, s.KillGrant(ctx, g.ID, now.Add(time.Second)))
		done(t, s.KillGrant(ctx, g.ID, now.Add(time.Hour)))
		refused(s.RotateGrant(ctx, rotation(g, "secret-1", now.Add(2*time.Second))))(t, fault.Conflict, "grant_unmatched")
		g.Dead = now.Add(time.Second)
		same(t, g, must(s.GetGrant(ctx, g.ID))(t))
	})
	t.Run("a grant killed ahead of its redemption is not redeemed", func(t *testing.T) {
		g := grantWithCode("stillborn")
		done(t, s.InsertGrant(ctx, g))
		done(t, s.KillGrant(ctx, g.ID, now))
		refused(s.RedeemGrant(ctx, redemption(g, now)))(t, fault.Conflict, "grant_unmatched")
	})
	t.Run("killing what is gone is success and makes nothing", func(t *testing.T) {
		done(t, s.KillGrant(ctx, "nobody", now))
		refused(s.GetGrant(ctx, "nobody"))(t, fault.NotFound, "grant_unknown")
	})
}
