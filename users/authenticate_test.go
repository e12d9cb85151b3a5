package users_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"example.com/broker/internal/fault"
	"example.com/broker/internal/ratelimit"
	"example.com/broker/internal/secret"
	"example.com/broker/users"
	"github.com/google/go-cmp/cmp"
)

func TestTheLoginNameOrTheVerifiedAddressSignsIn(t *testing.T) {
	w := newWorld(t)
	bob := w.create(users.NewUser{Username: "Bob", Email: "Bob@Example.com", EmailVerified: true, Password: goodPassword})
	eve, err := w.Register(t.Context(), users.Registration{Username: "eve", Email: "eve@example.com", Password: goodPassword})
	must(t, err)
	for _, tt := range []struct {
		rule, login, want string
	}{
		{"the login name", "bob", bob.ID},
		{"in another case, with spaces", " BOB ", bob.ID},
		{"the verified address", "bob@example.com", bob.ID},
		{"in another case", "BOB@EXAMPLE.COM ", bob.ID},
		{"a login name beside an unverified address", "eve", eve.ID},
		{"an unverified address is nobody's", "eve@example.com", ""},
		{"an id is no login", bob.ID, ""},
		{"nothing is nobody's", "", ""},
		{"a look-alike is somebody else's", "bo\u212A", ""},
	} {
		u, err := w.authenticate(tt.login, goodPassword.Reveal())
		switch {
		case tt.want == "":
			if fault.CodeOf(err) != "credentials_invalid" {
				t.Errorf("%s: got %s, %v, want credentials_invalid", tt.rule, u.ID, err)
			}
		case err != nil || u.ID != tt.want:
			t.Errorf("%s: got %s, %v, want %s", tt.rule, u.ID, err, tt.want)
		}
	}
}

// H01: counted, not timed.
func TestWhoCannotSignInIsAnsweredAlikeAfterTheSameWork(t *testing.T) {
	w := newWorld(t)
	w.create(users.NewUser{Username: "bob", Password: goodPassword})
	w.create(users.NewUser{Username: "ahead", Email: "ahead@example.com", Claimable: true})
	locked := w.create(users.NewUser{Username: "locked", Password: goodPassword})
	if _, err := w.Disable(t.Context(), locked.ID); err != nil {
		t.Fatal(err)
	}
	w.resolve(github("1", "fed@example.com"), open)
	if _, err := w.Register(t.Context(), users.Registration{Username: "eve", Email: "eve@example.com", Password: goodPassword}); err != nil {
		t.Fatal(err)
	}
	want := fault.New(fault.Unauthenticated, "credentials_invalid", "The login name or the password is wrong.")
	for _, tt := range []struct{ rule, login, password string }{
		{"wrong", "bob", badPassword.Reveal()},
		{"empty", "bob", ""},
		{"a megabyte", "bob", strings.Repeat("x", 1<<20)},
		{"unknown name", "nobody", badPassword.Reveal()},
		{"unknown address", "nobody@example.com", badPassword.Reveal()},
		{"unverified address", "eve@example.com", badPassword.Reveal()},
		{"federated only", "fed@example.com", badPassword.Reveal()},
		{"no way in", "ahead", badPassword.Reveal()},
		{"disabled, wrong", "locked", badPassword.Reveal()},
	} {
		before := w.hasher.Stats().Computed
		w.limits.writes.Store(0)
		w.store.wantCalls(t, 2, 0, func() {
			u, err := w.authenticate(tt.login, tt.password)
			got, ok := errors.AsType[*fault.Error](err)
			if !ok {
				t.Fatalf("%s: got %v", tt.rule, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.rule, diff)
			}
			if diff := cmp.Diff(users.User{}, u); diff != "" {
				t.Errorf("%s: a user comes with the refusal:\n%s", tt.rule, diff)
			}
		})
		if got := w.hasher.Stats().Computed - before; got != 1 {
			t.Errorf("%s: %d hashes, want 1", tt.rule, got)
		}
		if got := w.limits.writes.Load(); got != 2 {
			t.Errorf("%s: %d writes to the limits, want 2", tt.rule, got)
		}
	}
	_, err := w.authenticate("locked", goodPassword.Reveal())
	wantCode(t, err, fault.Forbidden, "account_disabled")
	w.audit.wantLast(t, "user.authenticate", locked.ID, "denied", "account_disabled")
}

func TestASuccessCostsTwoReadsAndFourWritesToTheLimits(t *testing.T) {
	w := newWorld(t)
	w.create(users.NewUser{Username: "bob", Email: "bob@example.com", EmailVerified: true, Password: goodPassword})
	for _, login := range []string{"bob", "bob@example.com"} {
		w.limits.writes.Store(0)
		w.store.wantCalls(t, 2, 0, func() {
			if _, err := w.authenticate(login, goodPassword.Reveal()); err != nil {
				t.Error(err)
			}
		})
		if got := w.limits.writes.Load(); got != 4 {
			t.Errorf("%d writes to the limits, want 4", got)
		}
	}
}

// H03.
func TestFailuresOnOneAccountAreLimitedWhateverNameIsTyped(t *testing.T) {
	w := newWorld(t)
	w.create(users.NewUser{Username: "bob", Email: "bob@example.com", EmailVerified: true, Password: goodPassword})
	w.create(users.NewUser{Username: "ann", Password: goodPassword})
	logins := []string{"bob", "BOB", " bob", "bob@example.com", "Bob@Example.COM"}
	try := func(i int, login, password string) error {
		// Each from another address, which only makes it worse.
		_, err := w.Authenticate(t.Context(), login, secret.Value(password), netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}))
		return err
	}
	for i := range 10 {
		wantCode(t, try(i, logins[i%len(logins)], badPassword.Reveal()), fault.Unauthenticated, "credentials_invalid")
	}
	for i, login := range logins {
		for _, password := range []secret.Value{badPassword, goodPassword} {
			err := try(20+i, login, password.Reveal())
			wantCode(t, err, fault.Limited, "rate_limited")
			if e, ok := errors.AsType[*fault.Error](err); !ok || e.RetryAfter != 15*time.Minute {
				t.Errorf("RetryAfter: got %v, want the rest of the window", err)
			}
		}
	}
	if err := try(30, "ann", goodPassword.Reveal()); err != nil {
		t.Errorf("another account: %v", err)
	}
	w.pass(15 * time.Minute)
	if err := try(31, "bob", goodPassword.Reveal()); err != nil {
		t.Errorf("after the window: %v", err)
	}
}

// closed makes n failures on each login, as far apart as the limit by window asks for.
func (w *world) closed(n int, logins ...string) {
	w.t.Helper()
	for i := range n {
		if i > 0 && i%10 == 0 {
			w.pass(15 * time.Minute)
		}
		for _, login := range logins {
			_, err := w.Authenticate(w.t.Context(), login, badPassword, netip.Addr{})
			wantCode(w.t, err, fault.Unauthenticated, "credentials_invalid")
		}
	}
	w.pass(15 * time.Minute)
}

// H03, NIST SP 800-63B-4 §3.2.2.
func TestAHundredWrongPasswordsInARowCloseTheDoor(t *testing.T) {
	w := newWorld(t)
	bob := w.create(users.NewUser{Username: "bob", Email: "bob@example.com", EmailVerified: true, Password: goodPassword})
	before := w.get(bob.ID)
	w.closed(100, "bob", "nobody")
	want := fault.New(fault.Limited, "attempts_exhausted", "Too many failed attempts in a row. This way in stays closed until whoever looks "+
		"after the accounts opens it, or until the time given in Retry-After. Other ways in are open.")
	want.RetryAfter = 365*24*time.Hour - 15*time.Minute
	computed := w.hasher.Stats().Computed
	for _, tt := range []struct{ rule, login, password string }{
		{"the wrong one", "bob", badPassword.Reveal()},
		{"the right one", "bob", goodPassword.Reveal()},
		{"by another name of the account", " Bob@Example.COM", goodPassword.Reveal()},
		{"an unknown name is answered alike", "NOBODY ", badPassword.Reveal()},
	} {
		u, err := w.authenticate(tt.login, tt.password)
		got, ok := errors.AsType[*fault.Error](err)
		if !ok {
			t.Fatalf("%s: got %v", tt.rule, err)
		}
		if diff := cmp.Diff(want, got); diff != "" || u.ID != "" {
			t.Errorf("%s: with user %q (-want +got):\n%s", tt.rule, u.ID, diff)
		}
	}
	if got := w.hasher.Stats().Computed; got != computed {
		t.Errorf("%d hashes were computed behind the closed door", got-computed)
	}
	w.wantSame(before)
	w.pass(300 * 24 * time.Hour)
	_, err := w.authenticate("bob", goodPassword.Reveal())
	wantCode(t, err, fault.Limited, "attempts_exhausted")
	w.audit.wantLast(t, "user.authenticate", bob.ID, "denied", "attempts_exhausted")
	w.pass(66 * 24 * time.Hour)
	if _, err := w.authenticate("bob", goodPassword.Reveal()); err != nil {
		t.Errorf("after a year: %v", err)
	}
}

// twelveInARow is the limit per account with fewer failures in a row, which are quicker to make.
func twelveInARow(o *users.Options) {
	r := ratelimit.PasswordByAccount()
	r.Run = 12
	o.AccountLimit = &r
}

func TestASuccessEndsARunOfWrongPasswords(t *testing.T) {
	w := newWorld(t, twelveInARow)
	w.create(users.NewUser{Username: "bob", Password: goodPassword})
	for range 3 {
		w.closed(11, "bob")
		if _, err := w.authenticate("bob", goodPassword.Reveal()); err != nil {
			t.Fatalf("the last attempt is right: %v", err)
		}
	}
	w.closed(12, "bob")
	_, err := w.authenticate("bob", goodPassword.Reveal())
	wantCode(t, err, fault.Limited, "attempts_exhausted")
}

// Whoever signs in with the right password of a disabled account has not succeeded.
func TestADisabledAccountDoesNotEndARun(t *testing.T) {
	w := newWorld(t, twelveInARow)
	bob := w.create(users.NewUser{Username: "bob", Password: goodPassword})
	if _, err := w.Disable(t.Context(), bob.ID); err != nil {
		t.Fatal(err)
	}
	w.closed(11, "bob")
	_, err := w.authenticate("bob", goodPassword.Reveal())
	wantCode(t, err, fault.Forbidden, "account_disabled")
	w.closed(1, "bob")
	_, err = w.authenticate("bob", badPassword.Reveal())
	wantCode(t, err, fault.Limited, "attempts_exhausted")
}

func TestWhatOpensAClosedDoor(t *testing.T) {
	for _, tt := range []struct {
		rule string
		open func(w *world, id string) error
		want string
		of   string // the password that works afterwards
	}{
		{"a new password", func(w *world, id string) error {
			_, err := w.SetPassword(t.Context(), id, "an entirely new phrase")
			return err
		}, "user.password", "an entirely new phrase"},
		{"unlocking it", func(w *world, id string) error { _, err := w.Unlock(t.Context(), id); return err }, "user.unlock", goodPassword.Reveal()},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			w := newWorld(t, twelveInARow)
			bob := w.create(users.NewUser{Username: "bob", Password: goodPassword})
			w.create(users.NewUser{Username: "ann", Password: goodPassword})
			w.closed(12, "bob", "ann")
			_, err := w.SetPassword(t.Context(), bob.ID, "short")
			wantCode(t, err, fault.Invalid, "password_too_short")
			_, err = w.authenticate("bob", goodPassword.Reveal())
			wantCode(t, err, fault.Limited, "attempts_exhausted")
			if err := tt.open(w, bob.ID); err != nil {
				t.Fatal(err)
			}
			w.audit.wantLast(t, tt.want, bob.ID, "done", "")
			if u, err := w.authenticate("bob", tt.of); err != nil || u.ID != bob.ID {
				t.Errorf("got %s, %v", u.ID, err)
			}
			_, err = w.authenticate("ann", goodPassword.Reveal())
			wantCode(t, err, fault.Limited, "attempts_exhausted")
		})
	}
	_, err := newWorld(t).Unlock(t.Context(), "usr_nobody")
	wantCode(t, err, fault.NotFound, "user_unknown")
}

func TestFailuresOnAnUnknownNameAreLimitedAlike(t *testing.T) {
	w := newWorld(t)
	for i := range 11 {
		_, err := w.authenticate([]string{"nobody", "NOBODY", " nobody "}[i%3], badPassword.Reveal())
		want := "credentials_invalid"
		if i == 10 {
			want = "rate_limited"
		}
		if fault.CodeOf(err) != want {
			t.Errorf("attempt %d: got %v, want %s", i+1, err, want)
		}
	}
}

// H03.
func TestFailuresFromOneAddressAreLimitedAcrossAccounts(t *testing.T) {
	w := newWorld(t)
	w.create(users.NewUser{Username: "bob", Password: goodPassword})
	try := func(login string, password secret.Value, host int) error {
		a := netip.MustParseAddr(fmt.Sprintf("2001:db8:0:1::%x", host))
		_, err := w.Authenticate(t.Context(), login, password, a)
		return err
	}
	for i := range 50 {
		if err := try("bob", goodPassword, i); err != nil {
			t.Fatalf("a success: %v", err)
		}
		wantCode(t, try(fmt.Sprint("user", i), badPassword, i), fault.Unauthenticated, "credentials_invalid")
	}
	wantCode(t, try("bob", goodPassword, 99), fault.Limited, "rate_limited")
	if _, err := w.Authenticate(t.Context(), "bob", goodPassword, netip.MustParseAddr("2001:db8:0:2::1")); err != nil {
		t.Errorf("another network: %v", err)
	}
	if _, err := w.Authenticate(t.Context(), "bob", goodPassword, netip.Addr{}); err != nil {
		t.Errorf("an unknown address, which has no limit: %v", err)
	}
}

func TestSuccessesNeverUseUpALimit(t *testing.T) {
	w := newWorld(t)
	w.create(users.NewUser{Username: "bob", Password: goodPassword})
	for range 9 {
		_, err := w.authenticate("bob", badPassword.Reveal())
		wantCode(t, err, fault.Unauthenticated, "credentials_invalid")
	}
	for i := range 60 {
		if _, err := w.authenticate("bob", goodPassword.Reveal()); err != nil {
			t.Fatalf("success %d: %v", i+1, err)
		}
	}
}

// H04.
func TestOf200ParallelGuessesNoMoreThanTheLimitReachTheHash(t *testing.T) {
	w := newWorld(t)
	w.create(users.NewUser{Username: "bob", Password: goodPassword})
	var wrong, limited atomic.Int64
	atOnce(200, func(i int) {
		_, err := w.Authenticate(t.Context(), "bob", badPassword, netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}))
		switch fault.CodeOf(err) {
		case "credentials_invalid":
			wrong.Add(1)
		case "rate_limited":
			limited.Add(1)
		default:
			t.Error(err)
		}
	})
	if got := w.hasher.Stats().Computed; got > 10+1 || wrong.Load() > 10 || wrong.Load() < 1 { // one hash made the password
		t.Errorf("%d hashes, %d answered as wrong, %d limited; the limit is 10", got, wrong.Load(), limited.Load())
	}
}

// H05.
func TestGuessingLocksNobodyOutOfOtherDoors(t *testing.T) {
	w := newWorld(t)
	bob := w.create(users.NewUser{Username: "bob", Password: goodPassword})
	id := github("1", "")
	if _, err := w.Link(t.Context(), bob.ID, id); err != nil {
		t.Fatal(err)
	}
	before := w.get(bob.ID)
	for range 20 {
		_, _ = w.authenticate("bob", badPassword.Reveal())
	}
	_, err := w.authenticate("bob", goodPassword.Reveal())
	wantCode(t, err, fault.Limited, "rate_limited")
	if u, _ := w.resolve(id, open); u.ID != bob.ID {
		t.Errorf("federated sign-in: got %s", u.ID)
	}
	if u, err := w.Facts(t.Context(), bob.ID); err != nil || u.Status != users.Active || u.Epoch != 0 {
		t.Errorf("live sessions: %+v, %v", u, err)
	}
	w.wantSame(before)
}

func TestWhatWasNotTriedIsNotAFailure(t *testing.T) {
	one := ratelimit.PasswordByAccount()
	one.Limit = 1
	w := newWorld(t, func(o *users.Options) { o.AccountLimit = &one })
	w.create(users.NewUser{Username: "bob", Password: goodPassword})

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Authenticate(ctx, "bob", badPassword, netip.Addr{}); err == nil {
		t.Fatal("a caller who is gone was served")
	}
	if _, err := w.authenticate("bob", goodPassword.Reveal()); err != nil {
		t.Errorf("after a caller who gave up: %v", err)
	}
	full := newHasher(t, users.HasherOptions{Workers: 1, Queue: 1})
	w2 := newWorld(t, func(o *users.Options) { o.AccountLimit, o.Hasher = &one, full })
	w2.create(users.NewUser{Username: "bob", Password: goodPassword})
	release := full.Fill()
	_, err := w2.authenticate("bob", goodPassword.Reveal())
	wantCode(t, err, fault.Unavailable, "hash_pool_full")
	release()
	if _, err := w2.authenticate("bob", goodPassword.Reveal()); err != nil {
		t.Errorf("after a full pool: %v", err)
	}
}

func TestAnImportedHashIsReplacedAtTheFirstLogin(t *testing.T) {
	w := newWorld(t)
	pw := goodPassword.Reveal()
	for name, stored := range map[string]string{"bc": bcryptPHC(t, pw, 4), "sc": scryptPHC(t, pw, 4, 8, 1), "ar": argonPHC(pw, 16, 1, 1)} {
		u := w.create(users.NewUser{Username: name, PasswordHash: stored})
		_, err := w.authenticate(name, badPassword.Reveal())
		wantCode(t, err, fault.Unauthenticated, "credentials_invalid")
		w.wantSame(u)
		w.store.wantCalls(t, 2, 1, func() {
			if _, err := w.authenticate(name, pw); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
		got := w.get(u.ID)
		if w.hasher.Stale(got.Password) || got.Ver != u.Ver || got.Epoch != u.Epoch {
			t.Errorf("%s: %+v, want a new hash and the same counters", name, got)
		}
		w.store.wantCalls(t, 2, 0, func() {
			if _, err := w.authenticate(name, pw); err != nil {
				t.Errorf("%s, second login: %v", name, err)
			}
		})
	}
	w.wantHooks()
}

func TestARehashNeverBringsAnOldPasswordBack(t *testing.T) {
	w := newWorld(t)
	u := w.create(users.NewUser{Username: "bob", PasswordHash: bcryptPHC(t, goodPassword.Reveal(), 4)})
	w.store.before = func(ctx context.Context, _ string) error {
		w.store.before = nil
		_, err := w.SetPassword(ctx, u.ID, "an entirely new phrase") // between the check and the rehash
		return err
	}
	if _, err := w.authenticate("bob", goodPassword.Reveal()); err != nil {
		t.Fatal(err)
	}
	_, err := w.authenticate("bob", goodPassword.Reveal())
	wantCode(t, err, fault.Unauthenticated, "credentials_invalid")
	if _, err := w.authenticate("bob", "an entirely new phrase"); err != nil {
		t.Error(err)
	}
}

func TestTheRecordOfAFailureDoesNotHoldWhatWasTyped(t *testing.T) {
	w := newWorld(t)
	_, _ = w.authenticate("hunter2 typed in the wrong field", badPassword.Reveal())
	w.audit.wantLast(t, "user.authenticate", "", "denied", "credentials_invalid")
	if s := fmt.Sprint(w.audit.events); strings.Contains(s, "hunter2") || strings.Contains(s, badPassword.Reveal()) {
		t.Error(s)
	}
}

// Whoever is turned away can come back at once, as often as they like: that must not cost a row each time.
func TestWhatALimitRefusesIsRecordedApart(t *testing.T) {
	often := &recorder{}
	w := newWorld(t, func(o *users.Options) { o.AuditLimited = often })
	bob := w.create(users.NewUser{Username: "bob", Password: goodPassword})
	for range 10 {
		_, err := w.authenticate("bob", badPassword.Reveal())
		wantCode(t, err, fault.Unauthenticated, "credentials_invalid")
	}
	w.audit.wantLast(t, "user.authenticate", bob.ID, "denied", "credentials_invalid")
	before := len(w.audit.events)
	for range 25 {
		_, err := w.authenticate("bob", badPassword.Reveal())
		wantCode(t, err, fault.Limited, "rate_limited")
	}
	often.wantLast(t, "user.authenticate", bob.ID, "denied", "rate_limited")
	if len(w.audit.events) != before || len(often.events) != 25 {
		t.Errorf("%d events beside the others and %d apart, want none and 25", len(w.audit.events)-before, len(often.events))
	}
}
