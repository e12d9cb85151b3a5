// Package users owns accounts: the ways in (identities, password), the roles granted, and the rules by which somebody who proves an
// identity becomes a local user. Sessions and tokens are left to their own packages; ending them is left to lifecycle.
package users

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"example.com/broker/rbac"
)

// LocalNamespace is the namespace of login names: a login name is the identity (LocalNamespace, name).
const LocalNamespace = "local"

// Identity is who an upstream says somebody is. Providers return it, Resolve takes it.
type Identity struct {
	// Provider is the configured id of the provider, for people; it is no part of the key.
	Provider string `json:"provider" bson:"provider"`
	// Namespace and Subject are the key, byte-exact: the provider's configured issuer (a constant for GitHub) and the upstream's
	// unchanging subject, never an address.
	Namespace string `json:"namespace" bson:"namespace"`
	Subject   string `json:"subject" bson:"subject"`
	// Email is the address the upstream gave; EmailVerified only if it said so with a JSON true (or GitHub's primary and verified).
	Email         string `json:"email,omitempty" bson:"email,omitempty"`
	EmailVerified bool   `json:"email_verified,omitempty" bson:"email_verified,omitempty"`
	// Authoritative is set where the upstream owns the mailbox (hosted domain, or its own mail domain).
	Authoritative bool   `json:"authoritative,omitempty" bson:"authoritative,omitempty"`
	Handle        string `json:"handle,omitempty" bson:"handle,omitempty"` // upstream login, changes with time
	Name          string `json:"name,omitempty" bson:"name,omitempty"`
	Picture       string `json:"picture,omitempty" bson:"picture,omitempty"`
	// Claims is what the upstream said, for mapping rules; it is never stored.
	Claims map[string]any `json:"-" bson:"-"`
	// Unasked names the claims that the upstream could not be asked for, and why, see rbac.Said; it is never stored.
	Unasked rbac.Unasked `json:"-" bson:"-"`
}

// Key is the identity's place in the store: SHA-256 over its length-prefixed parts, unpadded base64url.
func (i Identity) Key() string {
	h := sha256.New()
	for _, part := range []string{i.Namespace, i.Subject} {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write([]byte(part))
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// Linked is an identity listed by a user.
type Linked struct {
	Identity `bson:",inline"`
	LinkedAt time.Time `json:"linked_at" bson:"linked_at"`
}

// Consent is what a user allowed one app.
type Consent struct {
	ClientID string    `json:"client_id" bson:"client_id"`
	Scope    string    `json:"scope" bson:"scope"`
	APIs     []string  `json:"apis,omitempty" bson:"apis,omitempty"`
	At       time.Time `json:"at" bson:"at"`
}

// Status of a user.
type Status string

// The statuses. A disabled user passes no door.
const (
	Active   Status = "active"
	Disabled Status = "disabled"
)

// User is the document that is the truth about an account.
type User struct {
	ID string `json:"id" bson:"_id"` // opaque, at most 255 ASCII characters; new ones are "usr_" + UUIDv7
	// Username is the login name, lower case, "" for none; it counts only while it is listed here (see Store).
	Username      string `json:"username,omitempty" bson:"username,omitempty"`
	Name          string `json:"name,omitempty" bson:"name,omitempty"`
	Picture       string `json:"picture,omitempty" bson:"picture,omitempty"`
	Email         string `json:"email,omitempty" bson:"email,omitempty"` // as given; NormalizeAddress gives its claim
	EmailVerified bool   `json:"email_verified,omitempty" bson:"email_verified,omitempty"`
	Status        Status `json:"status" bson:"status"`
	// Claimable marks a user created ahead, with no way in yet, whom the first sign-in with the matching verified address may take.
	Claimable  bool         `json:"claimable,omitempty" bson:"claimable,omitempty"`
	Password   string       `json:"-" bson:"password,omitempty"` // PHC string, "" for none
	Identities []Linked     `json:"identities,omitempty" bson:"identities,omitempty"`
	Grants     []rbac.Grant `json:"grants,omitempty" bson:"grants,omitempty"`
	// Consents are what the user allowed apps that are not first-party, one entry a client.
	Consents []Consent `json:"consents,omitempty" bson:"consents,omitempty"`
	// Ver is raised by every change that must reach live access tokens; they carry it as `ver`.
	Ver int64 `json:"ver" bson:"ver"`
	// Epoch is the Ver of the last sign-out everywhere, disabling or password change: sessions and grants with a lower Ver are over.
	Epoch     int64     `json:"epoch" bson:"epoch"`
	CreatedAt time.Time `json:"created_at" bson:"created_at"`
	UpdatedAt time.Time `json:"updated_at" bson:"updated_at"`
	// V is the version of the document, for compare-and-swap.
	V int64 `json:"v" bson:"v"`
}

// Roles returns the names of the roles in force at now.
func (u User) Roles(now time.Time) []string { return rbac.Effective(u.Grants, now) }

// Lists reports whether u lists the identity: a claim counts only then.
func (u User) Lists(i Identity) bool {
	if i.Namespace == LocalNamespace {
		return u.Username != "" && u.Username == i.Subject
	}
	return slices.ContainsFunc(u.Identities, func(l Linked) bool { return l.Namespace == i.Namespace && l.Subject == i.Subject })
}

// NormalizeUsername gives the form in which a login name is stored and claimed: ASCII letters in lower case, trimmed.
func NormalizeUsername(name string) string { return lower(name) }

// NormalizeAddress gives the form in which an e-mail address is claimed: ASCII letters in lower case, trimmed.
func NormalizeAddress(addr string) string { return lower(addr) }

// lower leaves all but ASCII alone: Unicode's lower case folds letters of other scripts onto ASCII (the Kelvin sign onto k), and whoever
// owns the mailbox with the one must not own the account with the other.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + ('a' - 'A')
		}
		return r
	}, strings.TrimSpace(s))
}

// ClaimKind says what a claim reserves.
type ClaimKind string

// The kinds of claims.
const (
	ClaimIdentity ClaimKind = "identity" // Key is Identity.Key
	ClaimAddress  ClaimKind = "address"  // Key is NormalizeAddress
)

// Claim reserves an identity or an address for one user. It counts only if the user it names exists and lists it.
type Claim struct {
	Kind ClaimKind
	Key  string
}

// Holder is who holds a claim, and since when.
type Holder struct {
	UserID string
	At     time.Time
}

// Store keeps users and claims. A user document and a claim are one row each; a method that touches several is a sequence whose every
// prefix is safe and whose repetition completes it (one transaction where the store has them). Times are UTC milliseconds.
type Store interface {
	// Create takes the claims in order, then inserts the user, which is the deciding act. A claim that u.ID holds already is
	// success, and its At becomes now, so that nobody takes over what its holder is about to finish. fault.Conflict "claim_taken"
	// if another user holds one (the claims taken before it may stay: they count for nothing), "user_exists" if the id is in use.
	Create(ctx context.Context, u User, claims []Claim, now time.Time) error
	// Get returns a user, fault.NotFound "user_unknown" if there is none.
	Get(ctx context.Context, id string) (User, error)
	// Holder returns who holds a claim, fault.NotFound "claim_unknown" if nobody does. Whether it counts is for the caller to see.
	Holder(ctx context.Context, c Claim) (Holder, error)
	// Replace takes the claims of add for u.ID, then replaces the user if its stored V is u.V (which becomes u.V+1), then drops the
	// claims of drop that u.ID holds, but for those that u.ID has renewed since the row was replaced. fault.Conflict "claim_taken" as in
	// Create; "user_changed" if V differs; fault.NotFound "user_unknown".
	Replace(ctx context.Context, u User, add, drop []Claim, now time.Time) error
	// TakeOver moves a claim from the given holder (both fields must match) to another user. fault.Conflict "claim_taken" if it
	// changed meanwhile.
	TakeOver(ctx context.Context, c Claim, from Holder, to string, now time.Time) error
	// Delete removes the row of a user if its stored V is v. Its claims are for the caller to drop before. fault.Conflict "user_changed",
	// fault.NotFound "user_unknown".
	Delete(ctx context.Context, id string, v int64) error
	// List returns users ordered by id, at most limit, with ids above after.
	List(ctx context.Context, after string, limit int) ([]User, error)
}
