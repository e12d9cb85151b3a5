package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/broker/audit"
	"example.com/broker/clients"
	"example.com/broker/internal/fault"
	"example.com/broker/store"
	"example.com/broker/store/sqlite"
	"example.com/broker/users"
)

// gate holds the writer ahead of a statement for as long as it is shut, and keeps the sizes of the commits.
type gate struct {
	mu      sync.Mutex
	shut    chan struct{} // nil: open
	fail    func() error  // nil: never
	commits []int
}

func (g *gate) hooks() sqlite.Hooks {
	return sqlite.Hooks{BeforeWrite: g.pass, Committed: func(ops int) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.commits = append(g.commits, ops)
	}}
}

func (g *gate) pass() error {
	g.mu.Lock()
	shut, fail := g.shut, g.fail
	g.mu.Unlock()
	if shut != nil {
		<-shut
	}
	if fail != nil {
		return fail()
	}
	return nil
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut, g.commits = make(chan struct{}), nil
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.shut)
	g.shut = nil
}

// step lets the statement at the gate pass and stops the next one.
func (g *gate) step() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.shut)
	g.shut = make(chan struct{})
}

func (g *gate) failing(fail func() error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fail = fail
}

func (g *gate) sizes() []int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.commits
}

// gated runs test in a bubble, where synctest.Wait tells when everybody waits for the writer and the writer for the gate.
func gated(t *testing.T, test func(t *testing.T, s *store.Stores, g *gate)) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{}
		test(t, open(t, filepath.Join(t.TempDir(), "broker.db"), g.hooks()), g)
	})
}

// held shuts the gate, has one operation wait at it and n more in line behind that one, opens it again and returns the errors of the n.
func held(ctx context.Context, s *store.Stores, g *gate, n int, act func(i int) error) []error {
	g.close()
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Ping(ctx) })
	synctest.Wait()
	errs := make([]error, n)
	for i := range n {
		wg.Go(func() { errs[i] = act(i) })
		synctest.Wait() // the writer takes them in this order
	}
	g.open()
	wg.Wait()
	return errs
}

func client(i int) clients.Client { return clients.Client{ID: fmt.Sprintf("client-%03d", i)} }

// stored wants exactly the clients for which want says so.
func stored(t *testing.T, s *store.Stores, n int, want func(i int) bool) {
	t.Helper()
	for i := range n {
		_, err := s.Clients.GetClient(t.Context(), client(i).ID)
		if err != nil && !fault.Is(err, fault.NotFound) {
			t.Fatalf("get: %v", err)
		}
		if (err == nil) != want(i) {
			t.Errorf("client %d: stored is %v, want %v", i, err == nil, want(i))
		}
	}
}

func TestOperationsThatWaitShareOneCommit(t *testing.T) {
	gated(t, func(t *testing.T, s *store.Stores, g *gate) {
		errs := held(t.Context(), s, g, 64, func(i int) error {
			if i == 0 { // audit rides along
				return s.Audit.AppendAudit(t.Context(), []audit.Event{{ID: "a"}, {ID: "b"}})
			}
			return s.Clients.InsertClient(t.Context(), client(i))
		})
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]int{1, 64}, g.sizes()); diff != "" {
			t.Errorf("commits (-want +got):\n%s", diff)
		}
		stored(t, s, 64, func(i int) bool { return i > 0 })
	})
}

func TestACommitIsBounded(t *testing.T) {
	gated(t, func(t *testing.T, s *store.Stores, g *gate) {
		errs := held(t.Context(), s, g, 300, func(i int) error { return s.Clients.InsertClient(t.Context(), client(i)) })
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]int{1, 256, 44}, g.sizes()); diff != "" {
			t.Errorf("commits (-want +got):\n%s", diff)
		}
	})
}

func TestAFailureIsTheOperationsOwn(t *testing.T) {
	boom := errors.New("boom")
	for name, fail := range map[string]func() error{
		"an error of a statement": func() error { return boom },
		"a panic":                 func() error { panic(boom) },
	} {
		t.Run(name, func(t *testing.T) {
			gated(t, func(t *testing.T, s *store.Stores, g *gate) {
				n := 0
				g.failing(func() error {
					// Statements: the ping's, then two of each creation. Every fourth creation fails at its second, its first done.
					if n++; n%8 == 7 {
						return fail()
					}
					return nil
				})
				id := func(i int) string { return fmt.Sprint("usr-", i) }
				claim := func(i int) users.Claim { return users.Claim{Kind: users.ClaimAddress, Key: id(i)} }
				errs := held(t.Context(), s, g, 64, func(i int) error {
					return s.Users.Create(t.Context(), users.User{ID: id(i)}, []users.Claim{claim(i)}, start())
				})
				g.failing(nil)
				failed := 0
				for i, err := range errs {
					_, getErr := s.Users.Get(t.Context(), id(i))
					_, holdErr := s.Users.Holder(t.Context(), claim(i))
					switch {
					case err == nil && (getErr != nil || holdErr != nil):
						t.Errorf("user %d was acknowledged and is not whole: %v, %v", i, getErr, holdErr)
					case err != nil && (!fault.Is(getErr, fault.NotFound) || !fault.Is(holdErr, fault.NotFound)):
						t.Errorf("user %d failed and left something: %v, %v", i, getErr, holdErr)
					case err != nil && (!strings.Contains(err.Error(), "boom") || !fault.Is(err, fault.Internal)):
						t.Errorf("user %d: got %v, want its own failure", i, err)
					}
					if err != nil {
						failed++
					}
				}
				if diff := cmp.Diff([]int{1, 64}, g.sizes()); failed != 16 || diff != "" {
					t.Errorf("%d failed, want 16; commits (-want +got):\n%s", failed, diff)
				}
				if err := s.Ping(t.Context()); err != nil {
					t.Errorf("ping: %v", err)
				}
			})
		})
	}
}

func TestACallerWhoLeavesWhileWaitingIsSkipped(t *testing.T) {
	gated(t, func(t *testing.T, s *store.Stores, g *gate) {
		g.close()
		go func() { _ = s.Ping(t.Context()) }()
		synctest.Wait()
		ctx, leave := context.WithCancel(t.Context())
		answers := make(chan error)
		for i := range 3 {
			go func() { answers <- s.Clients.InsertClient(ctx, client(i)) }()
		}
		synctest.Wait() // all wait behind the gate
		leave()
		for range 3 {
			if err := <-answers; !fault.Is(err, fault.Unavailable) || !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want unavailable by cancellation", err)
			}
		}
		g.open()
		stored(t, s, 3, func(int) bool { return false })
	})
}

func TestACallerWhoLeavesInTheBatchAheadOfTheirTurnIsSkipped(t *testing.T) {
	gated(t, func(t *testing.T, s *store.Stores, g *gate) {
		g.close()
		ping := make(chan error, 1)
		go func() { ping <- s.Ping(t.Context()) }()
		synctest.Wait()
		var leave [3]context.CancelFunc
		answers := make(chan error)
		for i := range leave {
			var ctx context.Context
			ctx, leave[i] = context.WithCancel(t.Context())
			go func() { answers <- s.Clients.InsertClient(ctx, client(i)) }()
		}
		synctest.Wait()
		g.step() // a batch of all three begins; one of them is at its statement
		synctest.Wait()
		for i := range leave {
			leave[i]()
		}
		g.open()
		done := 0
		for range leave {
			if <-answers == nil {
				done++
			}
		}
		if all, err := s.Clients.ListClients(t.Context(), "", 5); done != 1 || len(all) != 1 {
			t.Errorf("%d were told that they are stored, %d are (%v); want only the one that had begun", done, len(all), err)
		}
		if err := <-ping; err != nil {
			t.Error(err)
		}
	})
}

func TestACallerWhoseDeadlinePassesIsAnsweredAtOnce(t *testing.T) {
	gated(t, func(t *testing.T, s *store.Stores, g *gate) {
		g.close()
		go func() { _ = s.Ping(t.Context()) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := s.Ping(ctx) // the gate is still shut
		if !fault.Is(err, fault.Unavailable) || fault.CodeOf(err) != "store_unavailable" {
			t.Errorf("got %v, want store_unavailable", err)
		}
		g.open()
	})
}

func TestACallerWhoLeavesInTheBatchIsAnsweredAfterTheCommit(t *testing.T) {
	gated(t, func(t *testing.T, s *store.Stores, g *gate) {
		g.close()
		ctx, leave := context.WithCancel(t.Context())
		answer := make(chan error, 1)
		go func() { answer <- s.Clients.InsertClient(ctx, client(0)) }()
		synctest.Wait() // the writer is at the statement
		leave()
		synctest.Wait()
		select {
		case err := <-answer:
			t.Fatalf("answered %v ahead of the commit", err)
		default:
		}
		g.open()
		if err := <-answer; err != nil {
			t.Fatalf("got %v, want the truth: it is stored", err)
		}
		stored(t, s, 1, func(int) bool { return true })
	})
}

func TestReadersSeeWhatIsCommittedAndDoNotWait(t *testing.T) {
	gated(t, func(t *testing.T, s *store.Stores, g *gate) {
		claims := []users.Claim{{Kind: users.ClaimAddress, Key: "a"}, {Kind: users.ClaimAddress, Key: "b"}}
		statements := 0
		reached, goOn := make(chan struct{}), make(chan struct{})
		g.failing(func() error {
			if statements++; statements == 3 { // both claims are written, the user is not
				close(reached)
				<-goOn
			}
			return nil
		})
		created := make(chan error, 1)
		go func() { created <- s.Users.Create(t.Context(), users.User{ID: "usr"}, claims, start()) }()
		<-reached
		for _, c := range claims {
			if _, err := s.Users.Holder(t.Context(), c); fault.CodeOf(err) != "claim_unknown" {
				t.Errorf("within the transaction: got %v, want claim_unknown", err)
			}
		}
		close(goOn)
		if err := <-created; err != nil {
			t.Fatal(err)
		}
		for _, c := range claims {
			if h, err := s.Users.Holder(t.Context(), c); err != nil || h.UserID != "usr" {
				t.Errorf("after the answer: got %v, %v, want usr", h, err)
			}
		}
	})
}

// A full disk ends SQLite's transaction for everybody in it: nobody may be told otherwise.
func TestAFullDiskFailsWhatItLosesAndNothingElse(t *testing.T) {
	gated(t, func(t *testing.T, s *store.Stores, g *gate) {
		ctx := t.Context()
		pages, err := sqlite.Ask[int64](ctx, s, "PRAGMA page_count")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sqlite.Tell(ctx, s, fmt.Sprintf("PRAGMA max_page_count = %d", pages+10)); err != nil {
			t.Fatal(err)
		}
		const n = 40
		errs := held(ctx, s, g, n, func(i int) error {
			c := client(i)
			if i == 1 {
				c = client(0) // refused or not: nobody may be refused for what is lost
			}
			c.Name = strings.Repeat("x", 200)
			if i%10 == 9 {
				c.Name = strings.Repeat("x", 1<<20)
			}
			return s.Clients.InsertClient(ctx, c)
		})
		for i, err := range errs {
			if i%10 == 9 && err == nil || err != nil && !fault.Is(err, fault.Unavailable) {
				t.Errorf("client %d: got %v, want unavailable where the disk is full", i, err)
			}
		}
		stored(t, s, n, func(i int) bool { return i != 1 && errs[i] == nil || i == 0 && errs[1] == nil })
		if _, err := sqlite.Tell(ctx, s, "PRAGMA max_page_count = 1000000"); err != nil {
			t.Fatal(err)
		}
		if err := s.Clients.InsertClient(ctx, client(n)); err != nil {
			t.Errorf("with room again: %v", err)
		}
		if got, err := sqlite.Ask[string](ctx, s, "PRAGMA integrity_check"); got != "ok" {
			t.Errorf("integrity check: %q, %v", got, err)
		}
	})
}
