package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/broker/apikeys"
	"example.com/broker/clients"
	"example.com/broker/internal/changes"
	"example.com/broker/internal/fault"
	"example.com/broker/internal/ratelimit"
	"example.com/broker/store"
	"example.com/broker/store/sqlite"
	"example.com/broker/tokens"
	"example.com/broker/users"
)

// killRounds is how often the process is killed; the same file goes through all of them.
const killRounds = 20

// TestKillLosesNothingAcknowledgedAndRevivesNothingSpent has a process work on a file, tell each thing done, and be killed at a
// moment that the seed gives; then it compares the file with what was told.
func TestKillLosesNothingAcknowledgedAndRevivesNothingSpent(t *testing.T) {
	const seed = 20260301
	chance := rand.New(rand.NewPCG(seed, 0))
	path := filepath.Join(t.TempDir(), "broker.db")
	var told []string
	for round := range killRounds {
		acks := workUntilKilled(t, path, round, chance.IntN(300))
		s, err := sqlite.Open(t.Context(), options(t, path, sqlite.Hooks{}))
		if err != nil {
			t.Fatalf("round %d: open after the kill: %v", round, err)
		}
		if told = append(told, acks...); round == killRounds-1 {
			acks = told // the earlier rounds too: nothing revives later
		}
		compareAll(t, s, acks)
		wholeUsers(t, s)
		if got, err := sqlite.Ask[string](t.Context(), s, "PRAGMA integrity_check"); got != "ok" {
			t.Fatalf("round %d: integrity check: %q, %v", round, got, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			t.Fatalf("round %d of seed %d", round, seed)
		}
	}
	t.Logf("%d acknowledged operations in %d rounds", len(told), killRounds)
}

// workUntilKilled returns the lines of a worker that is killed once it has printed after lines.
func workUntilKilled(t *testing.T, path string, round, after int) (acks []string) {
	t.Helper()
	cmd, lines := child(t, "work", path, fmt.Sprint(round))
	for lines.Scan() {
		acks = append(acks, lines.Text())
		if len(acks) == after+1 {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("the worker ended by itself: %v", err)
	}
	if last := len(acks) - 1; !strings.HasSuffix(acks[last], ".") {
		acks = acks[:last] // the kill cut the line short
	}
	return acks
}

// workChild does everything at once until it is killed. Each line it prints is "verb id n.", for something acknowledged.
func workChild(path string) error {
	s, err := sqlite.Open(context.Background(), sqlite.Options{Path: path, Now: start})
	if err != nil {
		return err
	}
	workers := []func(s *store.Stores, id string, n int) (string, error){
		workClients, workRecords, workMarks, workCodes, workFamily, workUsers, workCounter, workDeaths, workStream, workAPIKeys, workAllowed,
	}
	failed := make(chan error)
	for w, work := range workers {
		go func() {
			for n := 0; ; n++ {
				verb, err := work(s, fmt.Sprintf("%s-%d", os.Args[2], w), n)
				if err != nil {
					failed <- fmt.Errorf("%s: %w", verb, err)
				}
				fmt.Printf("%s %s-%d %d.\n", verb, os.Args[2], w, n) // one write system call
			}
		}()
	}
	return <-failed
}

func item(id string, n int) string { return fmt.Sprint(id, "-", n) }

func workClients(s *store.Stores, id string, n int) (string, error) {
	return "client", s.Clients.InsertClient(context.Background(), clients.Client{ID: item(id, n), Name: strings.Repeat("n", 500)})
}

func workRecords(s *store.Stores, id string, n int) (string, error) {
	if err := s.Once.Put(context.Background(), "trip", item(id, n), []byte("x"), start().Add(time.Hour)); err != nil {
		return "put", err
	}
	_, err := s.Once.Take(context.Background(), "trip", item(id, n), start())
	return "taken", err
}

func workMarks(s *store.Stores, id string, n int) (string, error) {
	return "mark", s.Once.Mark(context.Background(), "flow", item(id, n), start().Add(time.Hour))
}

func workCodes(s *store.Stores, id string, n int) (string, error) {
	g := tokens.Grant{ID: item(id, n), CodeHash: "code", CodeUntil: start().Add(time.Minute), Until: start().Add(time.Hour)}
	if err := s.Grants.InsertGrant(context.Background(), g); err != nil {
		return "grant", err
	}
	_, err := s.Grants.RedeemGrant(context.Background(), tokens.Redemption{GrantID: g.ID, CodeHash: "code", Now: start(), Cur: "s"})
	return "redeemed", err
}

func workFamily(s *store.Stores, id string, n int) (string, error) {
	if n == 0 {
		end := start().Add(time.Hour)
		return "family", s.Grants.InsertGrant(context.Background(), tokens.Grant{ID: id, AnchorHash: "a", Cur: item("s", 0), IdleUntil: end, Until: end})
	}
	_, err := s.Grants.RotateGrant(context.Background(), rotation(id, n))
	return "rotated", err
}

func rotation(id string, n int) tokens.Rotation {
	return tokens.Rotation{GrantID: id, AnchorHash: "a", From: item("s", n-1), To: item("s", n), Now: start(), IdleUntil: start().Add(time.Hour)}
}

func workUsers(s *store.Stores, id string, n int) (string, error) {
	return "user", s.Users.Create(context.Background(), users.User{ID: item(id, n)}, claimsOf(item(id, n)), start())
}

func claimsOf(id string) []users.Claim {
	return []users.Claim{
		{Kind: users.ClaimIdentity, Key: id}, {Kind: users.ClaimIdentity, Key: id + "-name"}, {Kind: users.ClaimAddress, Key: id},
	}
}

func workCounter(s *store.Stores, id string, n int) (string, error) {
	t, _, err := s.Limits.Take(context.Background(), id, ratelimit.Bounds{Limit: 1000, Window: time.Hour}, start())
	if err == nil && t.Count != int64(n+1) {
		err = fmt.Errorf("count is %d, want %d", t.Count, n+1)
	}
	return "count", err
}

func workDeaths(s *store.Stores, id string, n int) (string, error) {
	g := tokens.Grant{ID: item(id, n), AnchorHash: "a", Cur: item("s", 0), IdleUntil: start().Add(time.Hour), Until: start().Add(time.Hour)}
	if err := s.Grants.InsertGrant(context.Background(), g); err != nil {
		return "grant", err
	}
	return "dead", s.Grants.KillGrant(context.Background(), g.ID, start())
}

func workStream(s *store.Stores, id string, n int) (string, error) {
	return "entry", s.Changes.Append(context.Background(), changes.Entry{Kind: changes.UserVersion, Key: id, Value: int64(n)})
}

func workAPIKeys(s *store.Stores, id string, n int) (string, error) {
	k := apikeys.Key{ID: item(id, n), SecretHash: "hash", OwnerID: id, CreatedAt: start(), ExpiresAt: start().Add(time.Hour)}
	if err := s.APIKeys.InsertKey(context.Background(), k); err != nil || n%2 == 0 {
		return "apikey", err
	}
	return "revoked", s.APIKeys.RevokeKey(context.Background(), k.ID, start())
}

func workAllowed(s *store.Stores, id string, n int) (string, error) {
	if err := s.Allowed.AllowToken(context.Background(), item(id, n), start().Add(time.Hour)); err != nil || n%2 == 0 {
		return "allowed", err
	}
	return "forgotten", s.Allowed.ForgetToken(context.Background(), item(id, n))
}

// compareAll compares many at once, so that they share commits.
func compareAll(t *testing.T, s *store.Stores, acks []string) {
	t.Helper()
	var wg sync.WaitGroup
	for part := range slices.Chunk(acks, len(acks)/64+1) {
		wg.Go(func() {
			for _, ack := range part {
				compare(t, s, ack)
			}
		})
	}
	wg.Wait()
}

// compare holds the file to one acknowledged line.
func compare(t *testing.T, s *store.Stores, ack string) {
	t.Helper()
	var verb, id string
	var n int
	if _, err := fmt.Sscanf(ack, "%s %s %d.", &verb, &id, &n); err != nil {
		t.Errorf("line %q: %v", ack, err)
		return
	}
	if err := kept(t.Context(), s, verb, id, n); err != nil {
		t.Errorf("%q was acknowledged: %v", ack, err)
	}
}

// kept returns nil if what was acknowledged is there and what was spent is not.
func kept(ctx context.Context, s *store.Stores, verb, id string, n int) error {
	var err error
	switch verb {
	case "client":
		_, err = s.Clients.GetClient(ctx, item(id, n))
	case "user":
		_, err = s.Users.Get(ctx, item(id, n))
	case "family":
		_, err = s.Grants.GetGrant(ctx, id)
	case "taken":
		_, err = s.Once.Take(ctx, "trip", item(id, n), start())
		err = wantRefusal(err, fault.NotFound)
	case "mark":
		err = wantRefusal(s.Once.Mark(ctx, "flow", item(id, n), start().Add(time.Hour)), fault.Conflict)
	case "redeemed":
		_, err = s.Grants.RedeemGrant(ctx, tokens.Redemption{GrantID: item(id, n), CodeHash: "code", Now: start(), Cur: "again"})
		err = wantRefusal(err, fault.Conflict)
	case "rotated":
		_, err = s.Grants.RotateGrant(ctx, rotation(id, n))
		err = wantRefusal(err, fault.Conflict)
	case "dead":
		var g tokens.Grant
		if g, err = s.Grants.GetGrant(ctx, item(id, n)); err == nil && g.Dead.IsZero() {
			err = errors.New("the grant lives")
		}
	case "apikey", "revoked":
		var k apikeys.Key
		if k, err = s.APIKeys.GetKey(ctx, item(id, n)); err == nil && k.RevokedAt.IsZero() == (verb == "revoked") {
			err = fmt.Errorf("the key was revoked at %v", k.RevokedAt)
		}
	case "allowed", "forgotten":
		var ok bool
		if ok, err = s.Allowed.TokenAllowed(ctx, item(id, n), start()); err == nil && ok != (verb == "allowed") {
			err = fmt.Errorf("allowed is %v", ok)
		}
	case "count":
		err = atLeast(sqlite.Ask[int64](ctx, s, fmt.Sprintf("SELECT count FROM counters WHERE key = '%s'", id)))(int64(n + 1))
	case "entry":
		err = atLeast(sqlite.Ask[int64](ctx, s, fmt.Sprintf("SELECT value FROM changes WHERE key = '%s'", id)))(int64(n))
	default:
		err = errors.New("nobody knows how to check this")
	}
	return err
}

func wantRefusal(err error, kind fault.Kind) error {
	if fault.Is(err, kind) {
		return nil
	}
	return fmt.Errorf("got %w, want %v", errors.Join(errors.New("an answer"), err), kind)
}

func atLeast(got int64, err error) func(want int64) error {
	return func(want int64) error {
		if err == nil && got < want {
			err = fmt.Errorf("got %d, want at least %d", got, want)
		}
		return err
	}
}

// wholeUsers wants each user with all claims and no claim without its user, also of creations that nobody acknowledged.
func wholeUsers(t *testing.T, s *store.Stores) {
	t.Helper()
	for query, want := range map[string]int64{
		"SELECT count(*) FROM claims WHERE user_id NOT IN (SELECT id FROM users)":                                   0,
		"SELECT count(*) FROM users WHERE (SELECT count(*) FROM claims WHERE user_id = users.id) <> 3":              0,
		"SELECT count(*) FROM grants WHERE code_spent > 0 AND cur = ''":                                             0,
		"SELECT (SELECT at FROM change_position) - (SELECT coalesce(max(at), 0) FROM changes) FROM change_position": 0,
	} {
		if got, err := sqlite.Ask[int64](t.Context(), s, query); err != nil || got != want {
			t.Errorf("%s: got %d, %v, want %d", query, got, err, want)
		}
	}
}
