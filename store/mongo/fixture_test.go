package mongo_test

import (
	"testing"
	"time"

	"example.com/broker/apikeys"
	"example.com/broker/internal/fault"
	"example.com/broker/sessions"
	"example.com/broker/store"
	"example.com/broker/store/mongo"
	"example.com/broker/store/mongo/mongotest"
	"example.com/broker/tokens"
	"example.com/broker/users"
)

// now is a time that a store returns as it was given.
var now = time.Date(2026, time.March, 5, 12, 0, 0, 0, time.UTC)

func options(uri, database string) mongo.Options {
	return mongo.Options{URI: uri, Database: database, Now: func() time.Time { return now }}
}

func open(tb testing.TB, o mongo.Options) *store.Stores {
	tb.Helper()
	s, err := mongo.Open(tb.Context(), o)
	if err != nil {
		tb.Fatalf("Open: %v", err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("Close: %v", err)
		}
	})
	return s
}

// replicas opens one fresh database n times, as n brokers would.
func replicas(tb testing.TB, n int) []*store.Stores {
	tb.Helper()
	uri, database := mongotest.URI(tb), mongotest.Database(tb)
	all := make([]*store.Stores, n)
	for i := range all {
		all[i] = open(tb, options(uri, database))
	}
	return all
}

// wantFault checks the kind and the code of a failure.
func wantFault(tb testing.TB, err error, kind fault.Kind, code string) {
	tb.Helper()
	if fault.KindOf(err) != kind || fault.CodeOf(err) != code {
		tb.Errorf("got %v, want the kind %v and the code %q", err, kind, code)
	}
}

func aSession(id string) sessions.Session {
	return sessions.Session{
		ID: id, SecretHash: "hash", UserID: "u1", AuthTime: now, CreatedAt: now, IdleUntil: now.Add(time.Hour), Until: now.Add(12 * time.Hour),
	}
}

// aCode is a grant that waits for the redemption of aRedemption.
func aCode(id string) tokens.Grant {
	return tokens.Grant{
		ID: id, ClientID: "app", UserID: "u1", Scope: "openid", AuthTime: now, CodeHash: "code", RedirectURI: "https://app.example/cb",
		Challenge: "challenge", CodeUntil: now.Add(time.Minute), CreatedAt: now, Until: now.Add(24 * time.Hour),
	}
}

func aRedemption(id string) tokens.Redemption {
	return tokens.Redemption{
		GrantID: id, CodeHash: "code", ClientID: "app", RedirectURI: "https://app.example/cb", Challenge: "challenge", Now: now.Add(time.Second),
	}
}

// aFamily is a grant that waits for the rotation of aRotation.
func aFamily(id string) tokens.Grant {
	return tokens.Grant{
		ID: id, ClientID: "app", UserID: "u1", Scope: "openid", AuthTime: now, AnchorHash: "anchor", Cur: "first", IdleUntil: now.Add(time.Hour),
		CreatedAt: now, Until: now.Add(24 * time.Hour),
	}
}

func aRotation(id, to string) tokens.Rotation {
	return tokens.Rotation{
		GrantID: id, ClientID: "app", AnchorHash: "anchor", From: "first", To: to, Successor: "sealed " + to,
		Now: now.Add(time.Second), IdleUntil: now.Add(2 * time.Hour),
	}
}

func anAPIKey(id string) apikeys.Key {
	return apikeys.Key{ID: id, SecretHash: "hash", OwnerID: "u1", Name: "key", CreatedAt: now, ExpiresAt: now.Add(24 * time.Hour)}
}

func aUser(id string) users.User {
	return users.User{ID: id, Username: id, Status: users.Active, CreatedAt: now, UpdatedAt: now}
}

func claimsOf(id string) []users.Claim {
	return []users.Claim{
		{Kind: users.ClaimIdentity, Key: users.Identity{Namespace: users.LocalNamespace, Subject: id}.Key()},
		{Kind: users.ClaimAddress, Key: id + "@example.com"},
	}
}
