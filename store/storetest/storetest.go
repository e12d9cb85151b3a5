package storetest

import (
	"testing"

	"example.com/broker/store"
)

// Fixture is an empty store opened by a driver's test, which also closes it.
type Fixture struct {
	Stores *store.Stores
	// Reopen closes the store, unless it is closed already, and opens the same data again.
	Reopen func(t *testing.T) *store.Stores
	// StopAfter lets n more row writes of sequences through; each one after that fails before it happens, as if the process had
	// died. -1 lets all through again. It may be nil only where Atomic is set.
	StopAfter func(n int)
	// Ahead has act run once, ahead of row write n (0 is the first) of the next sequence, as if somebody else came in between; act may write.
	// It may be nil only where Atomic is set.
	Ahead func(n int, act func())
	// Atomic says that the driver runs each sequence in one transaction: one that was stopped must have left nothing.
	Atomic bool
}

// Run holds a driver to the contract. open gives an empty store at each call; it runs about thirty times.
func Run(t *testing.T, open func(t *testing.T) *Fixture) {
	groups := []struct {
		name string
		run  func(t *testing.T, f *Fixture)
	}{
		{"users", testUsers},
		{"claims", testClaims},
		{"users by page", testUserPages},
		{"sequences", testSequences},
		{"user races", testUserRaces},
		{"admins", testAdmins},
		{"admin races", testAdminRaces},
		{"roles and rules", testRBAC},
		{"races of roles", testRBACRaces},
		{"clients", testClients},
		{"client races", testClientRaces},
		{"sessions", testSessions},
		{"session races", testSessionRaces},
		{"keys", testKeys},
		{"key races", testKeyRaces},
		{"grants", testGrants},
		{"grant races", testGrantRaces},
		{"allowed tokens", testAllow},
		{"allowed token races", testAllowRaces},
		{"API keys", testAPIKeys},
		{"API key lists", testAPIKeyLists},
		{"API key races", testAPIKeyRaces},
		{"policies", testPolicies},
		{"policy races", testPolicyRaces},
		{"articles", testArticles},
		{"article races", testArticleRaces},
		{"onetime", testOnce},
		{"onetime races", testOnceRaces},
		{"changes", testChanges},
		{"change races", testChangeRaces},
		{"limits", testLimits},
		{"limit races", testLimitRaces},
		{"audit", testAudit},
		{"restart", testRestart},
		{"sweep", testSweep},
		{"cancelled callers", testContext},
		{"closing", testClose},
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) { g.run(t, open(t)) })
	}
}
