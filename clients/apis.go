package clients

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"example.com/broker/internal/changes"
	"example.com/broker/internal/fault"
	"example.com/broker/oauth"
)

// MaxAPIs is how many APIs the store may hold: they are one document.
const MaxAPIs = 200

// API is a protected resource (RFC 8707) for which the broker issues access tokens.
type API struct {
	ID       string       `json:"id" bson:"id"`
	Audience string       `json:"audience" bson:"audience"` // `aud` of its tokens and the value of `resource`
	Scopes   oauth.Scopes `json:"scopes,omitempty" bson:"scopes,omitempty"`
	// Roles are the roles its tokens may name; empty means all.
	Roles []string `json:"roles,omitempty" bson:"roles,omitempty"`
	// Alg and Typ shape its access tokens: ES256, RS256 or EdDSA; at+jwt or JWT.
	Alg string        `json:"alg" bson:"alg"`
	Typ string        `json:"typ" bson:"typ"`
	TTL time.Duration `json:"ttl,omitempty" bson:"ttl,omitempty"` // 0: the installation's access token lifetime
	// Fixed says that it is defined by the configuration. It is never stored.
	Fixed bool `json:"fixed" bson:"-"`
}

// APISet is the document of the APIs that the configuration does not define. V 0 means that none was ever stored.
type APISet struct {
	V int64 `json:"v" bson:"v"`
	// By and At say who wrote this version, and when.
	By   string    `json:"by,omitempty" bson:"by,omitempty"`
	At   time.Time `json:"at,omitzero" bson:"at,omitempty"`
	APIs []API     `json:"apis" bson:"apis"`
}

// APIBounds are what an installation allows an API to be.
type APIBounds struct {
	// Issuer is the audience of the broker's own routes, which no API may have.
	Issuer string
	// Algs are the algorithms for which there are signing keys.
	Algs []string
	// MaxTTL is the longest life of an access token.
	MaxTTL time.Duration
	// Role reports whether a role can be named.
	Role func(name string) bool
}

// APIsOptions are required, but for Fixed.
type APIsOptions struct {
	Store Store
	// Fixed are the APIs of the configuration. An id or audience that is in the store too is a start error (see Load).
	Fixed  []API
	Bounds APIBounds
	// Announce appends the version to the change stream, before the document is written.
	Announce func(ctx context.Context, version int64) error
	Now      func() time.Time
}

// APIs are the protected resources there are. Reads are served from a copy that follows the change stream. It is safe for concurrent use.
type APIs struct {
	o     APIsOptions
	fixed []API
	copy  *changes.Mirror[*apiBook]
}

// apiBook is the stored APIs with those of the configuration before them, and what is asked of both at each request. It is not altered.
type apiBook struct {
	set        APISet
	byID       map[string]API
	byAudience map[string]API
	scopes     map[string]bool // of any API
}

// NewAPIs holds those of the configuration until Load.
func NewAPIs(o APIsOptions) *APIs {
	s := &APIs{o: o, fixed: slices.Clone(o.Fixed)}
	for i := range s.fixed {
		s.fixed[i].Fixed = true
	}
	load := func(ctx context.Context) (*apiBook, error) {
		set, err := o.Store.LoadAPIs(ctx)
		return s.book(set), err
	}
	s.copy = changes.NewMirror(s.book(APISet{}), load, func(b *apiBook) int64 { return b.set.V }, o.Now)
	return s
}

// book puts the configuration first: it holds whatever the store says. A bound that was tightened since holds for what is stored, too.
func (s *APIs) book(set APISet) *apiBook {
	b := &apiBook{set: set, byID: map[string]API{}, byAudience: map[string]API{}, scopes: map[string]bool{}}
	b.set.APIs = slices.Concat(s.fixed, set.APIs)
	for i, a := range b.set.APIs {
		a.TTL = min(a.TTL, s.o.Bounds.MaxTTL)
		for _, v := range a.Scopes {
			b.scopes[v] = true
		}
		b.set.APIs[i] = a
		if _, taken := b.byID[a.ID]; !taken {
			b.byID[a.ID] = a
		}
		if _, taken := b.byAudience[a.Audience]; !taken {
			b.byAudience[a.Audience] = a
		}
	}
	return b
}

// Load reads the stored APIs. fault.Conflict "api_twice" if one has the id or the audience of one of the configuration.
func (s *APIs) Load(ctx context.Context) error {
	if err := s.copy.Refresh(ctx); err != nil {
		return err
	}
	for _, a := range s.All().APIs {
		for _, f := range s.fixed {
			if !a.Fixed && (a.ID == f.ID || a.Audience == f.Audience) {
				return fault.New(fault.Conflict, "api_twice", "The API %q of the store has the id or the audience of apis.%s in the configuration: change one of them.", a.ID, f.ID)
			}
		}
	}
	return nil
}

// Heard takes an APIsVersion entry of the change stream.
func (s *APIs) Heard(version int64) { s.copy.Heard(version) }

// All returns every API, those of the configuration first, with the version of the stored ones. It is shared and must not be altered.
func (s *APIs) All() APISet { return s.copy.Get().set }

// Get returns an API by its id.
func (s *APIs) Get(id string) (API, bool) {
	a, ok := s.copy.Get().byID[id]
	return a, ok
}

// ByAudience returns an API by the `aud` of its tokens.
func (s *APIs) ByAudience(aud string) (API, bool) {
	a, ok := s.copy.Get().byAudience[aud]
	return a, ok
}

// ByResource returns an API by its audience or id, whoever asks.
func (s *APIs) ByResource(resource string) (API, bool) {
	if a, ok := s.ByAudience(resource); ok {
		return a, true
	}
	return s.Get(resource)
}

// Reach returns the scopes of those given that mean something at an API (RFC 8707 §2.1): not those that belong to others and not to it.
// The zero API is the broker, where all of them stay.
func (s *APIs) Reach(a API, scopes oauth.Scopes) oauth.Scopes {
	if a.ID == "" {
		return scopes
	}
	foreign := s.copy.Get().scopes
	return slices.DeleteFunc(slices.Clone(scopes), func(v string) bool { return foreign[v] && !a.Scopes.Has(v) })
}

// Put adds an API (add), or replaces the one of that id. want is the version that the caller has seen, changes.Unstored for none, 0 for any. What its tokens may be
// changes with the next one that is issued.
//
// fault.Invalid "api_invalid" lists what is wrong; fault.Conflict "api_exists" or "api_readonly" for one of the configuration,
// "audience_taken", and "apis_changed" if the version is another one, naming who wrote it and when; fault.NotFound "api_unknown".
func (s *APIs) Put(ctx context.Context, a API, add bool, want int64, by string) (API, APISet, error) {
	a.Fixed = false
	if s.isFixed(a.ID) {
		return API{}, APISet{}, readonlyAPI(a.ID)
	}
	if err := invalid("api_invalid", "The API cannot be saved", ValidateAPI(a, s.o.Bounds)); err != nil {
		return API{}, APISet{}, err
	}
	set, err := s.change(ctx, want, by, func(set *APISet) error {
		i := slices.IndexFunc(set.APIs, func(have API) bool { return have.ID == a.ID })
		switch {
		case add && i >= 0:
			return fault.New(fault.Conflict, "api_exists", "There is an API %q already.", a.ID)
		case !add && i < 0:
			return unknownAPI(a.ID)
		case len(set.APIs) >= MaxAPIs && add:
			return fault.New(fault.Invalid, "api_invalid", "There are %d APIs already, which is the most the store holds. Define more of them in the configuration.", MaxAPIs)
		}
		for _, other := range slices.Concat(s.fixed, set.APIs) {
			if other.ID != a.ID && other.Audience == a.Audience {
				return fault.New(fault.Conflict, "audience_taken", "%q is the audience of the API %q: each API needs its own.", a.Audience, other.ID)
			}
		}
		if add {
			set.APIs = append(set.APIs, a)
		} else {
			set.APIs[i] = a
		}
		return nil
	})
	return a, set, err
}

// remove takes an API away. Whether a client may ask for it is for the caller to see; a client that lists one that is gone gets nothing by
// it. fault.NotFound "api_unknown"; fault.Conflict "api_readonly" for one of the configuration, "apis_changed" as in Put.
func (s *APIs) remove(ctx context.Context, id string, want int64, by string) (APISet, error) {
	if s.isFixed(id) {
		return APISet{}, readonlyAPI(id)
	}
	return s.change(ctx, want, by, func(set *APISet) error {
		had := len(set.APIs)
		set.APIs = slices.DeleteFunc(set.APIs, func(have API) bool { return have.ID == id })
		if len(set.APIs) == had {
			return unknownAPI(id)
		}
		return nil
	})
}

func (s *APIs) change(ctx context.Context, want int64, by string, edit func(*APISet) error) (APISet, error) {
	set, err := changes.Document[APISet]{
		Load: s.o.Store.LoadAPIs, Swap: s.o.Store.SwapAPIs, Announce: s.o.Announce,
		Stamp: func(set *APISet) (*int64, *string, *time.Time) { return &set.V, &set.By, &set.At },
	}.Change(ctx, changes.Edit[APISet]{Want: want, Code: "apis_changed", What: "The APIs were", By: by, At: s.o.Now(), Do: edit})
	if err != nil {
		return APISet{}, err
	}
	book := s.book(set)
	s.copy.Adopt(book)
	return book.set, nil
}

func (s *APIs) isFixed(id string) bool {
	return slices.ContainsFunc(s.fixed, func(f API) bool { return f.ID == id })
}

func unknownAPI(id string) error {
	return fault.New(fault.NotFound, "api_unknown", "There is no API %.100q.", id)
}

func readonlyAPI(id string) error {
	return fault.New(fault.Conflict, "api_readonly", "The API %q is defined by the configuration: change it there.", id)
}

var (
	apiID    = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	apiAlgs  = []string{"ES256", "RS256", "EdDSA"}
	apiTypes = []string{oauth.TypAccessToken, "JWT"}
)

// maxAudience is in bytes.
const maxAudience = 512

// ValidateAPI lists everything wrong with an API by itself. Each problem names the field, what was received and what was expected.
func ValidateAPI(a API, b APIBounds) []Problem {
	var out []Problem
	add := func(field, format string, args ...any) {
		out = append(out, Problem{field, fmt.Sprintf(format, args...)})
	}
	if !apiID.MatchString(a.ID) {
		add("id", "%.100q cannot be the id of an API, expected 1 to 63 of a-z, 0-9 and -", a.ID)
	}
	if text := badAudience(a.Audience, b.Issuer); text != "" {
		add("audience", "%s", text)
	}
	for i, s := range a.Scopes {
		field := fmt.Sprintf("scopes[%d]", i)
		if one, err := oauth.ParseScopes(s); err != nil || len(one) != 1 {
			add(field, "%.100q, expected one scope: printable characters without spaces, quotes and backslashes", s)
		}
		if oauth.StandardScopes().Has(s) {
			add(field, "%q is a scope of OpenID Connect: choose another name", s)
		}
	}
	for i, r := range a.Roles {
		if !b.Role(r) {
			add(fmt.Sprintf("roles[%d]", i), "%.100q is not a role", r)
		}
	}
	switch {
	case !slices.Contains(apiAlgs, a.Alg):
		add("alg", "%.40q, expected one of %s", a.Alg, strings.Join(apiAlgs, ", "))
	case !slices.Contains(b.Algs, a.Alg):
		add("alg", "%q has no signing key here, expected one of %s: an API of the configuration that uses it makes the broker keep one", a.Alg, strings.Join(b.Algs, ", "))
	}
	if !slices.Contains(apiTypes, a.Typ) {
		add("typ", "%.40q, expected one of %s", a.Typ, strings.Join(apiTypes, ", "))
	}
	if a.TTL != 0 && (a.TTL < time.Second || a.TTL > b.MaxTTL) {
		add("ttl", "%s, expected %s to %s", a.TTL, time.Second, b.MaxTTL)
	}
	return out
}

// badAudience says what is wrong with a resource identifier (RFC 8707 §2: an absolute URI without a fragment), "" if nothing is.
func badAudience(aud, issuer string) string {
	u, err := url.Parse(aud)
	switch {
	case aud == "":
		return "is missing: set a URI of the API's own, such as https://api.example.com"
	case len(aud) > maxAudience:
		return fmt.Sprintf("has %d bytes, expected at most %d", len(aud), maxAudience)
	case err != nil || u.Scheme == "" || (u.Host == "" && u.Opaque == "") || strings.ContainsFunc(aud, func(r rune) bool { return r <= ' ' || r > '~' }):
		return fmt.Sprintf("%q, expected an absolute URI such as https://api.example.com or urn:example:orders", aud)
	case strings.Contains(aud, "#"):
		return fmt.Sprintf("%q has a fragment, expected none", aud)
	case u.User != nil:
		return "has user information, expected none"
	case aud == issuer:
		return fmt.Sprintf("%q is the issuer: tokens of the API would open the broker's own routes", aud)
	}
	return ""
}
