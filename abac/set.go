package abac

import (
	"context"
	"regexp"
	"time"

	"example.com/broker/internal/fault"
)

// Broker is the application whose policies speak of the broker's own resources.
const Broker = "broker"

// Policy is one document of policies: one or several statements in Cedar.
type Policy struct {
	ID   string `json:"id" bson:"id"`
	Text string `json:"text" bson:"text"`
	// V is the V that its set had when the policy was last changed.
	V int64 `json:"v" bson:"v"`
}

// Set is everything one application decides by. It is stored and changed as a whole, so that no decision mixes old and new.
type Set struct {
	App string `json:"app" bson:"_id"`
	V   int64  `json:"v" bson:"v"`
	// Schema is a Cedar schema in its own syntax, which policies and entities must fit.
	Schema   string   `json:"schema" bson:"schema"`
	Policies []Policy `json:"policies" bson:"policies"`
	// Entities is a JSON array as Cedar defines it: uid, attrs, parents. "" for none.
	Entities  string    `json:"entities,omitempty" bson:"entities,omitempty"`
	ChangedAt time.Time `json:"changed_at,omitzero" bson:"changed_at,omitempty"`
	ChangedBy string    `json:"changed_by,omitempty" bson:"changed_by,omitempty"`
	// Removed marks what is left of a set that was removed: the version, so that it goes on counting, and who did it.
	Removed bool `json:"removed,omitempty" bson:"removed,omitempty"`
}

// Store keeps one document per application.
type Store interface {
	// LoadPolicies returns the set of an application; an empty Set with V 0 if there is none.
	LoadPolicies(ctx context.Context, app string) (Set, error)
	// SwapPolicies stores s if the stored V is s.V (0: none stored); it becomes s.V+1. fault.Conflict "policies_changed".
	SwapPolicies(ctx context.Context, s Set) error
	// PolicyApps returns the names of the applications after a name, in order, without those whose set is removed.
	PolicyApps(ctx context.Context, after string, limit int) ([]string, error)
}

// The bounds of a set and of a request. They are sizes: with all of them kept, no evaluation is long.
const (
	MaxPolicyText   = 64 << 10
	MaxPolicies     = 500
	MaxSchemaText   = 256 << 10
	MaxEntitiesText = 6 << 20
	MaxEntities     = 20_000
	MaxSetText      = 8 << 20 // of policies, schema and entities together, so that a document holds it
	// MaxNesting bounds brackets within brackets in a text, and values within values in a request.
	MaxNesting = 32
	// MaxValues bounds the members and elements of a request together, MaxID the bytes of an id or a type.
	MaxValues = 10_000
	MaxID     = 1024
)

var (
	validApp    = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)
	validPolicy = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)
)

// ValidApp returns fault.Invalid "application_invalid" for a name no application can have.
func ValidApp(name string) error {
	if !validApp.MatchString(name) {
		return fault.New(fault.Invalid, "application_invalid",
			"%.100q names no application: use up to 63 lower-case letters, digits, hyphens and underscores, beginning with a letter or a digit.", name)
	}
	return nil
}
