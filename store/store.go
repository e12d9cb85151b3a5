// Package store says what a driver opens: one value per contract declared by the consumers. The drivers are sqlite and mongo;
// storetest is the contract that both must pass.
package store

import (
	"context"
	"time"

	"example.com/broker/abac"
	"example.com/broker/apikeys"
	"example.com/broker/audit"
	"example.com/broker/clients"
	"example.com/broker/internal/changes"
	"example.com/broker/internal/onetime"
	"example.com/broker/internal/ratelimit"
	"example.com/broker/keys"
	"example.com/broker/rbac"
	"example.com/broker/samples/articles"
	"example.com/broker/sessions"
	"example.com/broker/tokens"
	"example.com/broker/users"
)

// Stores is an open database.
type Stores struct {
	Users    users.Store
	Admins   rbac.AdminStore
	RBAC     rbac.Store
	Clients  clients.Store
	Sessions sessions.Store
	Keys     keys.Store
	Grants   tokens.GrantStore
	Allowed  tokens.AllowStore
	APIKeys  apikeys.Store
	Policies abac.Store
	Articles articles.Store
	Once     onetime.Box
	Changes  changes.Stream
	Limits   ratelimit.Store
	Audit    audit.Store

	// Ping asks the store for a sign of life, by the way its writes take.
	Ping func(ctx context.Context) error
	// Sweep removes rows that expired before now, in bounded batches. It only cleans up: no answer depends on it.
	Sweep func(ctx context.Context, now time.Time) error
	// Close waits for acknowledged work and releases the database.
	Close func() error
}
