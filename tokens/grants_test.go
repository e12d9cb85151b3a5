package tokens_test

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"example.com/broker/internal/changes"
	"example.com/broker/internal/secret"
	"example.com/broker/oauth"
	"example.com/broker/tokens"
	"example.com/broker/users"
)

func TestFormsOfCodeAndRefreshToken(t *testing.T) {
	r := solo(t)
	code := r.mint(t, r.online())
	const id = `[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`
	if !regexp.MustCompile(`^` + id + `\.[A-Za-z0-9_-]{43}$`).MatchString(code) {
		t.Errorf("code %q, want <gid>.<secret>", code)
	}
	_, token, err := r.grants.Redeem(t.Context(), redemption(code))
	must(t, err)
	form := regexp.MustCompile(`^rt_` + id + `\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}$`)
	if !form.MatchString(token) {
		t.Errorf("refresh token %q, want rt_<gid>.<anchor>.<secret>", token)
	}
	next := r.mustRotate(t, token)
	if !form.MatchString(next) {
		t.Errorf("its successor %q has another form", next)
	}
	before, after := strings.Split(token, "."), strings.Split(next, ".")
	if before[0] != after[0] || before[1] != after[1] || before[2] == after[2] {
		t.Errorf("%q follows %q: want the same grant and anchor, and another secret", next, token)
	}
}

func TestNothingStoredCanBePresented(t *testing.T) {
	r := solo(t)
	code := r.mint(t, r.online())
	g, token, err := r.grants.Redeem(t.Context(), redemption(code))
	must(t, err)
	next := r.mustRotate(t, token)
	stored, err := r.store.GetGrant(t.Context(), g.ID)
	must(t, err)
	fields := []string{stored.CodeHash, stored.AnchorHash, stored.Cur, stored.Prev, stored.Successor}
	for _, issued := range []string{code, token, next} {
		for _, part := range strings.Split(issued, ".")[1:] {
			for _, f := range fields {
				if f == "" || strings.Contains(f, part) {
					t.Errorf("the row holds %q, part of %q", f, issued)
				}
			}
		}
	}
}

func TestMintedGrant(t *testing.T) {
	r := solo(t)
	now := r.now()
	late := r.online()
	late.Until = now.Add(90 * 24 * time.Hour)
	for name, test := range map[string]struct {
		grant tokens.Grant
		until time.Duration
	}{
		"an online grant ends with its session":             {r.online(), 12 * time.Hour},
		"an offline grant outlives its session":             {r.offline(), tokens.DefaultAbsoluteLife},
		"no session makes a grant longer than the absolute": {late, tokens.DefaultAbsoluteLife},
	} {
		g, _ := r.family(t, test.grant)
		want := test.grant
		want.CreatedAt, want.Until = now, now.Add(test.until)
		want.CodeUntil, want.CodeSpent, want.IdleUntil = now.Add(tokens.CodeLife), now, now.Add(tokens.DefaultIdleLife)
		if diff := cmp.Diff(want, g, cmpopts.IgnoreFields(tokens.Grant{}, "ID", "CodeHash", "AnchorHash", "Cur"), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for name, edit := range map[string]func(*tokens.Grant){
		"no client":                     func(g *tokens.Grant) { g.ClientID = "" },
		"no user":                       func(g *tokens.Grant) { g.UserID = "" },
		"no redirect address":           func(g *tokens.Grant) { g.RedirectURI = "" },
		"a challenge of another method": func(g *tokens.Grant) { g.Challenge = "plain" },
		"online without a session":      func(g *tokens.Grant) { g.SessionID = "" },
		"online after its session":      func(g *tokens.Grant) { g.Until = now },
	} {
		g := r.online()
		edit(&g)
		if _, err := r.grants.Mint(t.Context(), g); err == nil {
			t.Errorf("%s: minted", name)
		}
	}
}

func TestCodeIsBoundToWhatItWasMintedWith(t *testing.T) {
	r := solo(t)
	other := r.mint(t, r.online())
	for name, edit := range map[string]func(*tokens.RedeemRequest){
		"C04: another client":           func(q *tokens.RedeemRequest) { q.ClientID = "other" },
		"another redirect address":      func(q *tokens.RedeemRequest) { q.RedirectURI += "/" },
		"no redirect address":           func(q *tokens.RedeemRequest) { q.RedirectURI = "" },
		"C06: no verifier":              func(q *tokens.RedeemRequest) { q.Verifier = "" },
		"C06: a short verifier":         func(q *tokens.RedeemRequest) { q.Verifier = verifier[:42] },
		"C06: another verifier":         func(q *tokens.RedeemRequest) { q.Verifier = strings.Repeat("a", 43) },
		"the challenge as the verifier": func(q *tokens.RedeemRequest) { q.Verifier = challenge },
		"another secret":                func(q *tokens.RedeemRequest) { q.Code = q.Code[:37] + other[37:] },
		"the code of no grant":          func(q *tokens.RedeemRequest) { q.Code = "f" + q.Code[1:] },
		"an id in capitals":             func(q *tokens.RedeemRequest) { q.Code = strings.ToUpper(q.Code[:36]) + q.Code[36:] },
		"no code":                       func(q *tokens.RedeemRequest) { q.Code = "" },
		"a code cut short":              func(q *tokens.RedeemRequest) { q.Code = q.Code[:79] },
		"a code with more behind":       func(q *tokens.RedeemRequest) { q.Code += "A" },
	} {
		code := r.mint(t, r.online())
		q := redemption(code)
		edit(&q)
		_, token, err := r.grants.Redeem(t.Context(), q)
		wantCode(t, name, oauth.ErrInvalidGrant, err)
		if token != "" {
			t.Errorf("%s: a refresh token comes with the refusal", name)
		}
		_, _, err = r.grants.Redeem(t.Context(), redemption(code))
		wantCode(t, name+": the rightful redemption afterwards", "", err)
	}
	if got := r.trail.actions(); got != nil {
		t.Errorf("recorded %v, want nothing: no grant died", got)
	}
}

// TestVerifierWithoutChallenge is C06: a client exempt from PKCE whose request was stripped of the challenge notices.
func TestVerifierWithoutChallenge(t *testing.T) {
	r := solo(t)
	exempt := r.online()
	exempt.Challenge = ""
	q := redemption(r.mint(t, exempt))
	_, _, err := r.grants.Redeem(t.Context(), q)
	wantCode(t, "a verifier though no challenge was stored", oauth.ErrInvalidGrant, err)
	q.Verifier = ""
	_, _, err = r.grants.Redeem(t.Context(), q)
	wantCode(t, "none", "", err)
}

// TestShortVerifierIsRefusedThoughItMatches is C06: RFC 7636 §4.1 wants 43 characters, whatever the client hashed at the start.
func TestShortVerifierIsRefusedThoughItMatches(t *testing.T) {
	r := solo(t)
	for _, v := range []string{verifier[:42], strings.Repeat("a", 129), verifier[:42] + "+"} {
		g := r.online()
		g.Challenge = oauth.Challenge(v)
		q := redemption(r.mint(t, g))
		q.Verifier = v
		_, _, err := r.grants.Redeem(t.Context(), q)
		wantCode(t, v, oauth.ErrInvalidGrant, err)
	}
}

func TestCodeExpires(t *testing.T) {
	r := solo(t)
	code, late := r.mint(t, r.online()), r.mint(t, r.online())
	r.after(t, tokens.CodeLife-time.Millisecond)
	_, _, err := r.grants.Redeem(t.Context(), redemption(code))
	wantCode(t, "a millisecond before the end", "", err)
	r.after(t, time.Millisecond)
	_, _, err = r.grants.Redeem(t.Context(), redemption(late))
	wantCode(t, "at the end", oauth.ErrInvalidGrant, err)
	r.after(t, -time.Hour)
	_, _, err = r.grants.Redeem(t.Context(), redemption(late))
	wantCode(t, "E08, O09: after the clock was set back", oauth.ErrInvalidGrant, err)
}

func TestCodeIsGoodNoLongerThanItsSession(t *testing.T) {
	r := solo(t)
	g := r.online()
	g.Until = r.now().Add(10 * time.Second)
	code := r.mint(t, g)
	r.after(t, 10*time.Second)
	_, _, err := r.grants.Redeem(t.Context(), redemption(code))
	wantCode(t, "at the session's end", oauth.ErrInvalidGrant, err)
}

// TestCodeReplayKillsTheGrant is C01: at once, after half a minute, and long after the code's own end.
func TestCodeReplayKillsTheGrant(t *testing.T) {
	for _, delay := range []time.Duration{0, 31 * time.Second, 5 * time.Minute} {
		i := install(t)
		r, elsewhere := i.replica(t), i.replica(t)
		code := r.mint(t, r.online())
		g, token, err := r.grants.Redeem(t.Context(), redemption(code))
		must(t, err)
		access := r.access(t, g)
		if !r.accepts(t, access) || !elsewhere.accepts(t, access) {
			t.Fatal("a good access token is refused")
		}
		r.after(t, delay)
		elsewhere.poll(t)

		_, _, err = r.grants.Redeem(t.Context(), redemption(code))
		wantCode(t, "the second redemption", oauth.ErrInvalidGrant, err)
		if r.accepts(t, access) {
			t.Error("the access token lives on the replica that saw the replay")
		}
		elsewhere.poll(t)
		if elsewhere.accepts(t, access) {
			t.Error("the access token lives on the other replica after its next poll")
		}
		_, _, err = elsewhere.rotate(token)
		wantCode(t, "the refresh token", oauth.ErrInvalidGrant, err)
		if diff := cmp.Diff([]string{"grant.code_reuse"}, r.trail.actions()); diff != "" {
			t.Errorf("recorded (-want +got):\n%s", diff)
		}
		if stored, err := r.store.GetGrant(t.Context(), g.ID); err != nil || stored.Dead.IsZero() {
			t.Errorf("the row is not dead: %v", err)
		}
	}
}

// TestOnlyAnOtherwiseValidReplayKills keeps a stranger who has seen a code from ending what its client bought with it.
func TestOnlyAnOtherwiseValidReplayKills(t *testing.T) {
	r := solo(t)
	for name, edit := range map[string]func(*tokens.RedeemRequest){
		"another client":           func(q *tokens.RedeemRequest) { q.ClientID = "other" },
		"another redirect address": func(q *tokens.RedeemRequest) { q.RedirectURI = "https://evil.example" },
		"no verifier":              func(q *tokens.RedeemRequest) { q.Verifier = "" },
		"another verifier":         func(q *tokens.RedeemRequest) { q.Verifier = strings.Repeat("b", 50) },
	} {
		code := r.mint(t, r.online())
		_, token, err := r.grants.Redeem(t.Context(), redemption(code))
		must(t, err)
		q := redemption(code)
		edit(&q)
		_, _, err = r.grants.Redeem(t.Context(), q)
		wantCode(t, name, oauth.ErrInvalidGrant, err)
		_, _, err = r.rotate(token)
		wantCode(t, name+": the refresh token afterwards", "", err)
	}
}

// race calls act n times at once, in turn on each replica, and returns how often it succeeded.
func race(n int, replicas []*replica, act func(*replica) error) int {
	var won atomic.Int64
	var group sync.WaitGroup
	barrier := make(chan struct{})
	for i := range n {
		group.Go(func() {
			<-barrier
			if act(replicas[i%len(replicas)]) == nil {
				won.Add(1)
			}
		})
	}
	close(barrier)
	group.Wait()
	return int(won.Load())
}

// TestFiftyRedemptions is C03.
func TestFiftyRedemptions(t *testing.T) {
	i := install(t)
	two := []*replica{i.replica(t), i.replica(t)}
	for range 10 {
		code := two[0].mint(t, two[0].online())
		won := race(50, two, func(r *replica) error {
			_, _, err := r.grants.Redeem(context.Background(), redemption(code))
			return err
		})
		if won > 1 {
			t.Fatalf("%d redemptions succeeded, want 1 at most", won)
		}
		if stored, err := i.stores.Grants.GetGrant(t.Context(), code[:36]); err != nil || stored.CodeSpent.IsZero() {
			t.Errorf("the code is not spent: %v", err)
		}
	}
}

func TestRotationCarriesTheFamilyOn(t *testing.T) {
	r := solo(t)
	first, token := r.family(t, r.offline())
	for range 5 {
		r.after(t, 6*24*time.Hour)
		g, next, err := r.rotate(token)
		if r.now().Before(first.Until) {
			wantCode(t, "within both deadlines", "", err)
			if g.ID != first.ID || !g.Until.Equal(first.Until) || !g.IdleUntil.Equal(r.now().Add(tokens.DefaultIdleLife)) {
				t.Errorf("grant %s until %v, idle until %v; want %s until %v, a week from now", g.ID, g.Until, g.IdleUntil, first.ID, first.Until)
			}
			token = next
			continue
		}
		wantCode(t, "E08: at the absolute end", oauth.ErrInvalidGrant, err)
		if !r.now().Equal(first.Until) {
			t.Errorf("refused at %v, want at %v", r.now(), first.Until)
		}
	}
	r.after(t, -time.Hour)
	_, _, err := r.rotate(token)
	wantCode(t, "E08: after the clock was set back", oauth.ErrInvalidGrant, err)
}

func TestIdleFamilyEnds(t *testing.T) {
	r := solo(t)
	_, used := r.family(t, r.offline())
	_, idle := r.family(t, r.offline())
	r.after(t, tokens.DefaultIdleLife-time.Millisecond)
	r.mustRotate(t, used)
	r.after(t, time.Millisecond)
	_, _, err := r.rotate(idle)
	wantCode(t, "E08: at the idle end", oauth.ErrInvalidGrant, err)
	r.after(t, -time.Hour)
	_, _, err = r.rotate(idle)
	wantCode(t, "E08: after the clock was set back", oauth.ErrInvalidGrant, err)
	if got := r.trail.actions(); got != nil {
		t.Errorf("recorded %v, want nothing: growing old is no incident", got)
	}
}

func TestOnlineFamilyEndsWithItsSession(t *testing.T) {
	r := solo(t)
	_, token := r.family(t, r.online())
	r.after(t, 12*time.Hour-time.Millisecond)
	token = r.mustRotate(t, token)
	r.after(t, time.Millisecond)
	_, _, err := r.rotate(token)
	wantCode(t, "at the session's absolute end", oauth.ErrInvalidGrant, err)
}

func TestPredecessorIsAnsweredWithTheSameSuccessor(t *testing.T) {
	r := solo(t)
	_, token := r.family(t, r.offline())
	next := r.mustRotate(t, token)
	for _, wait := range []time.Duration{0, 15 * time.Second, 15*time.Second - time.Millisecond} {
		r.after(t, wait)
		_, again, err := r.rotate(token)
		wantCode(t, "within the interval", "", err)
		if again != next {
			t.Fatalf("got %q, want the successor %q: the family must not fork", again, next)
		}
	}
	r.after(t, time.Millisecond)
	_, _, err := r.rotate(token)
	wantCode(t, "E01: after the interval", oauth.ErrInvalidGrant, err)
	_, _, err = r.rotate(next)
	wantCode(t, "E01: the successor afterwards", oauth.ErrInvalidGrant, err)
	if diff := cmp.Diff([]string{"grant.refresh_reuse"}, r.trail.actions()); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
}

func TestReuseIntervalIsNotLengthenedByTheClock(t *testing.T) {
	r := solo(t)
	_, token := r.family(t, r.offline())
	next := r.mustRotate(t, token)
	r.after(t, -90*time.Second) // another replica, 90 s behind
	if got := r.mustRotate(t, token); got != next {
		t.Error("a replica that is behind does not know the predecessor")
	}
	r.after(t, -time.Hour)
	_, _, err := r.rotate(token)
	wantCode(t, "an hour back", oauth.ErrInvalidGrant, err)
}

func TestNoReuseInterval(t *testing.T) {
	r := solo(t, func(s *settings) { s.reuse = 0 })
	_, token := r.family(t, r.offline())
	next := r.mustRotate(t, token)
	_, _, err := r.rotate(token)
	wantCode(t, "the predecessor at once", oauth.ErrInvalidGrant, err)
	_, _, err = r.rotate(next)
	wantCode(t, "the family afterwards", oauth.ErrInvalidGrant, err)
}

// TestReplayedRefreshTokenKillsTheFamily is E01: a grandparent, however recent, cannot be a lost answer.
func TestReplayedRefreshTokenKillsTheFamily(t *testing.T) {
	i := install(t)
	r, elsewhere := i.replica(t), i.replica(t)
	g, grandparent := r.family(t, r.offline())
	token := r.mustRotate(t, r.mustRotate(t, grandparent))
	access := r.access(t, g)

	_, _, err := r.rotate(grandparent)
	wantCode(t, "the grandparent", oauth.ErrInvalidGrant, err)
	if r.accepts(t, access) {
		t.Error("the access token lives on the replica that saw the replay")
	}
	elsewhere.poll(t)
	if elsewhere.accepts(t, access) {
		t.Error("the access token lives on the other replica")
	}
	_, _, err = elsewhere.rotate(token)
	wantCode(t, "the current token", oauth.ErrInvalidGrant, err)
	event := r.trail.events[0]
	if event.Action != "grant.refresh_reuse" || event.Target != g.ID || event.ClientID != client || event.Detail["user"] != g.UserID {
		t.Errorf("recorded %+v, want the reuse of %s with client and user", event, g.ID)
	}
}

func TestWhoCannotHaveHeldTheFamilyDoesItNoHarm(t *testing.T) {
	r := solo(t)
	g, token := r.family(t, r.offline())
	_, other := r.family(t, r.offline())
	parts, foreign := strings.Split(token, "."), strings.Split(other, ".")
	join := func(p ...string) string { return strings.Join(p, ".") }
	for name, q := range map[string]tokens.RotateRequest{
		"E05: another client":                {Token: token, ClientID: "other"},
		"E05: no client":                     {Token: token},
		"a guessed anchor":                   {Token: join(parts[0], foreign[1], parts[2]), ClientID: client},
		"a guessed anchor and secret":        {Token: join(parts[0], foreign[1], foreign[2]), ClientID: client},
		"another client, replayed secret":    {Token: join(parts[0], parts[1], foreign[2]), ClientID: "other"},
		"an unknown grant":                   {Token: "rt_f" + token[4:], ClientID: client},
		"E09: an access token":               {Token: r.access(t, g), ClientID: client},
		"no token":                           {ClientID: client},
		"a code":                             {Token: r.mint(t, r.online()), ClientID: client},
		"a token without its prefix":         {Token: token[3:], ClientID: client},
		"a token cut short":                  {Token: token[:len(token)-1], ClientID: client},
		"a token with more behind":           {Token: token + ".x", ClientID: client},
		"a token with a space in the secret": {Token: token[:len(token)-1] + " ", ClientID: client},
	} {
		_, next, err := r.grants.Rotate(t.Context(), q)
		wantCode(t, name, oauth.ErrInvalidGrant, err)
		if next != "" {
			t.Errorf("%s: a token comes with the refusal", name)
		}
	}
	r.mustRotate(t, token)
	if got := r.trail.actions(); got != nil {
		t.Errorf("recorded %v, want nothing", got)
	}
}

func TestMalformedTokensDoNotReachTheStore(t *testing.T) {
	r := solo(t)
	code := r.mint(t, r.online())
	_, token := r.family(t, r.offline())
	r.store.reset()
	for _, id := range []string{"", "x", strings.Repeat("0", 36), strings.Repeat("\x00", 36), "{" + code[1:36], strings.Repeat("0", 1<<20)} {
		_, _, err := r.grants.Redeem(t.Context(), redemption(id+code[36:]))
		wantCode(t, "a code with a bad id", oauth.ErrInvalidGrant, err)
		_, _, err = r.rotate("rt_" + id + token[39:])
		wantCode(t, "a refresh token with a bad id", oauth.ErrInvalidGrant, err)
	}
	if n := r.store.reads.Load() + r.store.writes.Load(); n != 0 {
		t.Errorf("%d calls to the store, want none", n)
	}
}

// TestFiftyRefreshes is E02.
func TestFiftyRefreshes(t *testing.T) {
	i := install(t)
	two := []*replica{i.replica(t), i.replica(t)}
	for range 10 {
		_, token := two[0].family(t, two[0].offline())
		var mu sync.Mutex
		children := map[string]bool{}
		won := race(50, two, func(r *replica) error {
			_, next, err := r.rotate(token)
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				children[next] = true
			}
			return err
		})
		if won != 50 || len(children) != 1 {
			t.Fatalf("%d of 50 refreshes succeeded with %d children, want all with one", won, len(children))
		}
		for next := range children {
			two[1].mustRotate(t, next)
		}
	}
}

func TestScopeIsCheckedBeforeAnythingIsSpent(t *testing.T) {
	r := solo(t)
	wider := errors.New("wider")
	refuse := func(tokens.Grant) error { return wider }
	code := r.mint(t, r.online())
	q := redemption(code)
	q.Check = refuse
	if _, _, err := r.grants.Redeem(t.Context(), q); !errors.Is(err, wider) {
		t.Errorf("Redeem = %v, want the error of the check", err)
	}
	q.Check = func(g tokens.Grant) error {
		if g.Scope != r.online().Scope {
			t.Errorf("asked about the scope %q", g.Scope)
		}
		return nil
	}
	_, token, err := r.grants.Redeem(t.Context(), q)
	wantCode(t, "Redeem once the check agrees", "", err)

	_, _, err = r.grants.Rotate(t.Context(), tokens.RotateRequest{Token: token, ClientID: client, Check: refuse})
	if !errors.Is(err, wider) {
		t.Errorf("Rotate = %v, want the error of the check", err)
	}
	_, _, err = r.grants.Rotate(t.Context(), tokens.RotateRequest{Token: token, ClientID: "other", Check: refuse})
	wantCode(t, "a client that may not know the grant", oauth.ErrInvalidGrant, err)
	_, next, err := r.grants.Rotate(t.Context(), tokens.RotateRequest{Token: token, ClientID: client, Check: func(tokens.Grant) error { return nil }})
	wantCode(t, "Rotate once the check agrees", "", err)

	r.after(t, time.Minute)
	_, _, err = r.grants.Rotate(t.Context(), tokens.RotateRequest{Token: token, ClientID: client, Check: refuse})
	wantCode(t, "a replay is a replay whatever is asked for", oauth.ErrInvalidGrant, err)
	_, _, err = r.rotate(next)
	wantCode(t, "the family afterwards", oauth.ErrInvalidGrant, err)
}

// TestNarrow is E06.
func TestNarrow(t *testing.T) {
	g := tokens.Grant{Scope: "openid profile orders:read"}
	for asked, want := range map[string]string{
		"":                          "openid profile orders:read",
		"orders:read":               "orders:read",
		"profile openid":            "profile openid",
		"openid orders:write":       oauth.ErrInvalidScope,
		"openid profile orders:rea": oauth.ErrInvalidScope,
	} {
		scopes, err := oauth.ParseScopes(asked)
		must(t, err)
		got, err := g.Narrow(scopes)
		if want == oauth.ErrInvalidScope {
			wantCode(t, asked, want, err)
		} else if err != nil || got.String() != want {
			t.Errorf("Narrow(%q) = %q, %v; want %q", asked, got, err, want)
		}
	}
}

// TestCheckUser is C07.
func TestCheckUser(t *testing.T) {
	g := tokens.Grant{UserID: "usr_1", Ver: 3}
	for name, test := range map[string]struct {
		edit func(*users.User)
		code string
	}{
		"an active user":               {func(*users.User) {}, ""},
		"a role was changed meanwhile": {func(u *users.User) { u.Ver = 9 }, ""},
		"signed out everywhere before": {func(u *users.User) { u.Epoch = 3 }, ""},
		"disabled":                     {func(u *users.User) { u.Status = users.Disabled }, oauth.ErrInvalidGrant},
		"a status of a later version":  {func(u *users.User) { u.Status = "suspended" }, oauth.ErrInvalidGrant},
		"no status":                    {func(u *users.User) { u.Status = "" }, oauth.ErrInvalidGrant},
		"signed out everywhere since":  {func(u *users.User) { u.Epoch = 4 }, oauth.ErrInvalidGrant},
		"another user":                 {func(u *users.User) { u.ID = "usr_2" }, oauth.ErrInvalidGrant},
	} {
		u := alice()
		test.edit(&u)
		wantCode(t, name, test.code, tokens.CheckUser(g, u))
	}
}

func TestWhatTheStreamEndsNoRowRevives(t *testing.T) {
	for name, test := range map[string]struct {
		entry  func(g tokens.Grant) changes.Entry
		online bool
		code   string
	}{
		"the grant": {func(g tokens.Grant) changes.Entry {
			return changes.Entry{Kind: changes.RevokedGrant, Key: g.ID}
		}, false, oauth.ErrInvalidGrant},
		"the session of an online grant": {func(g tokens.Grant) changes.Entry {
			return changes.Entry{Kind: changes.RevokedSession, Key: g.SessionID}
		}, true, oauth.ErrInvalidGrant},
		"the session of an offline grant": {func(g tokens.Grant) changes.Entry {
			return changes.Entry{Kind: changes.RevokedSession, Key: g.SessionID}
		}, false, ""},
		"C07: all of the user": {func(g tokens.Grant) changes.Entry {
			return changes.Entry{Kind: changes.UserEpoch, Key: g.UserID, Value: g.Ver + 1}
		}, false, oauth.ErrInvalidGrant},
		"all of the user before the grant": {func(g tokens.Grant) changes.Entry {
			return changes.Entry{Kind: changes.UserEpoch, Key: g.UserID, Value: g.Ver}
		}, false, ""},
		"the roles of the user": {func(g tokens.Grant) changes.Entry {
			return changes.Entry{Kind: changes.UserVersion, Key: g.UserID, Value: g.Ver + 5}
		}, false, ""},
		"all of the client": {func(g tokens.Grant) changes.Entry {
			return changes.Entry{Kind: changes.RevokedClient, Key: g.ClientID}
		}, false, oauth.ErrInvalidGrant},
	} {
		i := install(t)
		r, elsewhere := i.replica(t), i.replica(t)
		grant := r.offline()
		if test.online {
			grant = r.online()
		}
		g, token := r.family(t, grant)
		code := r.mint(t, grant)
		e := test.entry(g)
		if e.Kind == changes.RevokedGrant {
			code = "" // that of another grant
		}
		e.Until = r.now().Add(time.Hour)
		must(t, elsewhere.follower.Append(t.Context(), e))
		r.poll(t)
		_, _, err := r.rotate(token)
		wantCode(t, name+": refresh", test.code, err)
		if code != "" {
			_, _, err = r.grants.Redeem(t.Context(), redemption(code))
			wantCode(t, name+": redeem", test.code, err)
		}
	}
}

// Who kills a grant may die between the entry and the row, and the entry lapses.
func TestAGrantThatTheStreamEndedIsDeadInItsRowOnceItIsUsed(t *testing.T) {
	i := install(t)
	r, elsewhere := i.replica(t), i.replica(t)
	g, token := r.family(t, r.offline())
	must(t, elsewhere.follower.Append(t.Context(), changes.Entry{Kind: changes.RevokedGrant, Key: g.ID, Until: r.now().Add(time.Minute)}))
	r.poll(t)
	_, _, err := r.rotate(token)
	wantCode(t, "refresh", oauth.ErrInvalidGrant, err)
	if row, err := r.store.GetGrant(t.Context(), g.ID); err != nil || row.Dead.IsZero() {
		t.Error("the row is alive: the family goes on once the entry has lapsed")
	}
}

func TestStaleRevocationsSpendNothing(t *testing.T) {
	r := solo(t)
	code := r.mint(t, r.online())
	_, token := r.family(t, r.online())
	r.advance(11 * time.Second)
	r.store.reset()
	_, _, err := r.grants.Redeem(t.Context(), redemption(code))
	wantCode(t, "redeem", oauth.ErrTemporarilyUnavailable, err)
	_, _, err = r.rotate(token)
	wantCode(t, "refresh", oauth.ErrTemporarilyUnavailable, err)
	if e, ok := errors.AsType[*oauth.Error](err); !ok || e.RetryAfter == 0 || e.Status != 503 {
		t.Errorf("%+v: want 503 with Retry-After", err)
	}
	if n := r.store.writes.Load(); n != 0 {
		t.Errorf("%d writes, want none", n)
	}
	r.poll(t)
	_, _, err = r.grants.Redeem(t.Context(), redemption(code))
	wantCode(t, "redeem afterwards", "", err)
	_, _, err = r.rotate(token)
	wantCode(t, "refresh afterwards", "", err)
}

// TestAKillIsRememberedForAsLongAsATokenIsGood counts the leeway of verifiers, on a replica that starts when the token has expired.
func TestAKillIsRememberedForAsLongAsATokenIsGood(t *testing.T) {
	i := install(t)
	r := i.replica(t)
	g, _ := r.family(t, r.offline())
	must(t, r.grants.Kill(t.Context(), g.ID))
	late := r.access(t, g) // by a replica that had not heard
	r.after(t, tokens.DefaultAccessLife+29*time.Second)
	if i.replica(t).accepts(t, late) {
		t.Error("the access token is accepted again")
	}
}

func TestKill(t *testing.T) {
	r := solo(t)
	g, token := r.family(t, r.offline())
	access := r.access(t, g)
	r.store.fail = "kill"
	if err := r.grants.Kill(t.Context(), g.ID); !errors.Is(err, errDown) {
		t.Fatalf("Kill = %v, want the store's error", err)
	}
	if r.accepts(t, access) {
		t.Error("the row is written before the entry: access tokens live where the row cannot be written")
	}
	r.store.fail = ""
	must(t, r.grants.Kill(t.Context(), g.ID))
	must(t, r.grants.Kill(t.Context(), g.ID))
	must(t, r.grants.Kill(t.Context(), "00000000-0000-7000-8000-000000000000"))
	r.after(t, tokens.DefaultAccessLife+time.Hour) // the entry has expired, the row has not
	_, _, err := r.rotate(token)
	wantCode(t, "the refresh token", oauth.ErrInvalidGrant, err)
}

// TestAReplayKillsThoughTheCallerHangsUp keeps a thief from saving the stolen family by closing the connection.
func TestAReplayKillsThoughTheCallerHangsUp(t *testing.T) {
	r := solo(t)
	_, token := r.family(t, r.offline())
	next := r.mustRotate(t, r.mustRotate(t, token))
	ctx, cancel := context.WithCancel(t.Context())
	hangUp := &hangUp{counted: r.store, cancel: cancel}
	grants, err := tokens.NewGrants(tokens.GrantsOptions{
		Store: hangUp, Changes: r.follower, Revocations: r.revocations, Audit: r.trail, Now: r.now,
		AccessLife: tokens.DefaultAccessLife, ReuseInterval: tokens.DefaultReuseInterval,
	})
	must(t, err)
	_, _, err = grants.Rotate(ctx, tokens.RotateRequest{Token: token, ClientID: client})
	wantCode(t, "the replay", oauth.ErrInvalidGrant, err)
	_, _, err = r.rotate(next)
	wantCode(t, "the current token", oauth.ErrInvalidGrant, err)
}

// hangUp ends the request once the grant has been read.
type hangUp struct {
	*counted
	cancel context.CancelFunc
}

func (h *hangUp) GetGrant(ctx context.Context, id string) (tokens.Grant, error) {
	defer h.cancel()
	return h.counted.GetGrant(ctx, id)
}

func TestRevokeRefresh(t *testing.T) {
	r := solo(t)
	g, first := r.family(t, r.offline())
	token := r.mustRotate(t, first)
	parts := strings.Split(token, ".")
	for name, q := range map[string]tokens.RotateRequest{
		"another client's token": {Token: token, ClientID: "other"},
		"a guessed anchor":       {Token: parts[0] + "." + strings.Repeat("A", 22) + "." + parts[2], ClientID: client},
		"no refresh token":       {Token: r.access(t, g), ClientID: client},
		"an unknown grant":       {Token: "rt_f" + token[4:], ClientID: client},
	} {
		if done, err := r.grants.RevokeRefresh(t.Context(), q.Token, q.ClientID); done || err != nil {
			t.Errorf("%s: %v, %v; want false", name, done, err)
		}
	}
	token = r.mustRotate(t, token)
	if done, err := r.grants.RevokeRefresh(t.Context(), first, client); !done || err != nil {
		t.Errorf("a spent token of the client: %v, %v; want true", done, err)
	}
	_, _, err := r.rotate(token)
	wantCode(t, "the current token afterwards", oauth.ErrInvalidGrant, err)
	if done, err := r.grants.RevokeRefresh(t.Context(), token, client); done || err != nil {
		t.Errorf("a token of a dead grant: %v, %v; want false", done, err)
	}
}

func TestFind(t *testing.T) {
	r := solo(t)
	g, first := r.family(t, r.offline())
	token := r.mustRotate(t, first)
	got, err := r.grants.Find(t.Context(), token)
	if err != nil || got.ID != g.ID {
		t.Errorf("Find = %s, %v; want %s", got.ID, err, g.ID)
	}
	_, err = r.grants.Find(t.Context(), "rt_"+g.ID+"."+strings.Repeat("A", 22)+token[len(token)-44:])
	wantCode(t, "another anchor", oauth.ErrInvalidGrant, err)
	_, err = r.grants.Find(t.Context(), first)
	wantCode(t, "a spent token", oauth.ErrInvalidGrant, err)
	r.after(t, tokens.DefaultIdleLife)
	_, err = r.grants.Find(t.Context(), token)
	wantCode(t, "an idle token", oauth.ErrInvalidGrant, err)
	if got := r.trail.actions(); got != nil {
		t.Errorf("recorded %v, want nothing: to look is not to use", got)
	}
}

func TestOpenStartsAFamilyWithoutACode(t *testing.T) {
	r := solo(t)
	grant := tokens.Grant{ClientID: client, UserID: "usr_1", Ver: 3, Scope: "openid", AuthTime: r.now()}
	g, token, err := r.grants.Open(t.Context(), grant, true)
	must(t, err)
	if !g.Until.Equal(r.now().Add(tokens.DefaultAbsoluteLife)) {
		t.Errorf("until %v, want thirty days from now", g.Until)
	}
	r.mustRotate(t, token)
	_, _, err = r.grants.Redeem(t.Context(), tokens.RedeemRequest{Code: g.ID + "." + secret.New(32).Reveal(), ClientID: client})
	wantCode(t, "a code for a grant that has none", oauth.ErrInvalidGrant, err)
	g, token, err = r.grants.Open(t.Context(), grant, false)
	must(t, err)
	if token != "" || g.Cur != "" {
		t.Error("a refresh token nobody asked for")
	}
	_, _, err = r.rotate("rt_" + g.ID + "." + secret.New(16).Reveal() + "." + secret.New(32).Reveal())
	wantCode(t, "a token for a grant that has none", oauth.ErrInvalidGrant, err)
}

// TestCostOfAGrant holds the budget: one row write per act, and a read only where something is wrong or a check asks for it.
func TestCostOfAGrant(t *testing.T) {
	r := solo(t)
	var code, token string
	for _, step := range []struct {
		name          string
		act           func() error
		reads, writes int64
	}{
		{"mint", func() error { code = r.mint(t, r.online()); return nil }, 0, 1},
		{"redeem", func() (err error) { _, token, err = r.grants.Redeem(t.Context(), redemption(code)); return err }, 0, 1},
		{"refresh", func() (err error) { _, token, err = r.rotate(token); return err }, 0, 1},
		{"revoke", func() error { _, err := r.grants.RevokeRefresh(t.Context(), token, client); return err }, 1, 1},
	} {
		r.store.reset()
		must(t, step.act())
		if reads, writes := r.store.reads.Load(), r.store.writes.Load(); reads != step.reads || writes != step.writes {
			t.Errorf("%s: %d reads and %d writes, want %d and %d", step.name, reads, writes, step.reads, step.writes)
		}
	}
}

func TestErrorsOfTheStoreAreNoAnswers(t *testing.T) {
	r := solo(t)
	code := r.mint(t, r.online())
	_, token := r.family(t, r.online())
	other := token[:len(token)-1] + "A"
	if other == token {
		other = token[:len(token)-1] + "E"
	}
	for _, step := range []struct {
		fail string
		act  func() error
	}{
		{"redeem", func() error { _, _, err := r.grants.Redeem(t.Context(), redemption(code)); return err }},
		{"rotate", func() error { _, _, err := r.rotate(token); return err }},
		{"get", func() error { _, _, err := r.rotate(other); return err }},
		{"insert", func() error { _, err := r.grants.Mint(t.Context(), r.online()); return err }},
	} {
		r.store.fail = step.fail
		if err := step.act(); !errors.Is(err, errDown) {
			t.Errorf("%s: %v, want the store's error", step.fail, err)
		}
	}
	r.store.fail = ""
	r.mustRotate(t, token)
}

func TestGrantsOptionsAreChecked(t *testing.T) {
	r := solo(t)
	good := tokens.GrantsOptions{
		Store: r.store, Changes: r.follower, Revocations: r.revocations, Audit: r.trail, Now: r.now, AccessLife: time.Minute,
	}
	for name, edit := range map[string]func(*tokens.GrantsOptions){
		"no store":                    func(o *tokens.GrantsOptions) { o.Store = nil },
		"no audit":                    func(o *tokens.GrantsOptions) { o.Audit = nil },
		"no access token lifetime":    func(o *tokens.GrantsOptions) { o.AccessLife = 0 },
		"a negative idle lifetime":    func(o *tokens.GrantsOptions) { o.IdleLife = -1 },
		"a negative reuse interval":   func(o *tokens.GrantsOptions) { o.ReuseInterval = -1 },
		"a reuse interval of an hour": func(o *tokens.GrantsOptions) { o.ReuseInterval = time.Hour },
	} {
		o := good
		edit(&o)
		if _, err := tokens.NewGrants(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := tokens.NewGrants(good); err != nil {
		t.Errorf("NewGrants: %v", err)
	}
}
