// Package signin is the interaction between a person and the broker: who wants what, what is still missing, and the one decision of
// the next step. The pages a person passes on the way belong to callback and oauth/authorize; both know only this package of each other.
package signin

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"sync"
	"time"

	"example.com/broker/internal/fault"
	"example.com/broker/internal/secret"
	"example.com/broker/oauth"
	"example.com/broker/users"
)

// Purpose says why somebody proves who they are.
type Purpose string

// The purposes of a trip.
const (
	SignIn Purpose = "signin" // to be signed in, for an app or for the broker's own pages
	Link   Purpose = "link"   // a signed-in person adds a way in
	Prove  Purpose = "prove"  // somebody with a new identity proves the account whose address it brings
	Test   Purpose = "test"   // an operator tries a provider
)

// Lifetime is how long a trip may take. A sign-in page left open longer has to be started again at the app.
const Lifetime = 30 * time.Minute

// Request is an authorization request that has passed every check that does not depend on the person.
type Request struct {
	RedirectURI  string   `json:"r"`
	Scope        string   `json:"s,omitempty"`
	State        string   `json:"t,omitempty"`
	HasState     bool     `json:"h,omitempty"`
	Nonce        string   `json:"n,omitempty"`
	Challenge    string   `json:"c,omitempty"`
	ResponseMode string   `json:"m,omitempty"`
	Resources    []string `json:"u,omitempty"` // ids of APIs
	Claims       string   `json:"k,omitempty"` // the `claims` parameter, checked
	// Named are the scopes that stand for the claims asked for by name. The person allows them; the grant does not get them.
	Named string `json:"d,omitempty"`
}

// Asks returns all that a person has to allow. The error is that of oauth.ParseScopes; a checked request has none.
func (r Request) Asks() (oauth.Scopes, error) {
	asked, err := oauth.ParseScopes(r.Scope)
	if err != nil {
		return nil, err
	}
	named, err := oauth.ParseScopes(r.Named)
	for _, v := range named {
		if !asked.Has(v) {
			asked = append(asked, v)
		}
	}
	return asked, err
}

// Needs is what the trip demands of the session that finishes it.
type Needs struct {
	None    bool `json:"o,omitempty"` // prompt=none: no page may be shown
	Login   bool `json:"l,omitempty"` // prompt=login
	Select  bool `json:"a,omitempty"` // prompt=select_account, not chosen yet
	Consent bool `json:"c,omitempty"` // prompt=consent
	// MaxAge in seconds, nil for none. It is satisfied by a sign-in of this very trip, whatever its value.
	MaxAge *int `json:"m,omitempty"`
	// Subject is the user the app expects (id_token_hint, claims), "" for anybody.
	Subject string `json:"u,omitempty"`
}

// Hints shape the pages and the upstream request; they demand nothing.
type Hints struct {
	Login     string `json:"l,omitempty"`
	Provider  string `json:"p,omitempty"`
	UILocales string `json:"u,omitempty"`
	Display   string `json:"d,omitempty"`
	ACRValues string `json:"a,omitempty"`
}

// Pending is an identity that waits for proof of the account it is to be linked to.
type Pending struct {
	UserID   string         `json:"u"`
	Identity users.Identity `json:"i"`
	// Ways are the ids of the providers, and "password", by which the account can be proved.
	Ways []string `json:"w,omitempty"`
	// Proven is set once they have been: only the confirmation is missing.
	Proven bool     `json:"p,omitempty"`
	AMR    []string `json:"m,omitempty"`
}

// Trip is one interaction. It travels sealed and is bound to the browser it began in; nothing of it is stored.
type Trip struct {
	ID       string   `json:"i"`
	Purpose  Purpose  `json:"p"`
	ClientID string   `json:"c,omitempty"`
	Request  Request  `json:"r,omitzero"`
	Needs    Needs    `json:"n,omitzero"`
	Hints    Hints    `json:"h,omitzero"`
	Pending  *Pending `json:"l,omitempty"`
	// Back is the page of the broker's own that a trip without an app ends at, as Back let it pass; "" for DefaultBack.
	Back string `json:"b,omitempty"`
	// Shown is the user whose account the sign-in page offers to go on as.
	Shown   string    `json:"w,omitempty"`
	Started time.Time `json:"s"`
}

// New starts a trip with an id of its own.
func New(p Purpose, now time.Time) Trip {
	return Trip{ID: secret.New(12).Reveal(), Purpose: p, Started: now.UTC().Truncate(time.Second)}
}

// Sealer turns trips into the `tx` parameter and back. It is safe for concurrent use.
type Sealer struct {
	seal *secret.Sealer
	now  func() time.Time
}

// NewSealer uses the installation's encryption keys.
func NewSealer(s *secret.Sealer, now func() time.Time) *Sealer { return &Sealer{s, now} }

const purpose = "signin-trip"

type sealed struct {
	Trip    Trip   `json:"t"`
	Browser string `json:"b"`
}

// Seal binds a trip to the browser with the given random id.
func (s *Sealer) Seal(t Trip, browser string) string {
	return s.seal.Seal(purpose, Pack(sealed{t, fingerprint(browser)}))
}

// Open reverses Seal: fault.Invalid "tx_expired" for a value that does not open or is older than Lifetime, "tx_browser_mismatch" for
// one that was sealed for another browser.
func (s *Sealer) Open(tx, browser string) (Trip, error) {
	var v sealed
	plain, err := s.seal.Open(purpose, tx)
	if err == nil {
		err = Unpack(plain, &v)
	}
	if err != nil {
		return Trip{}, fault.Wrap(err, fault.Invalid, "tx_expired", "The parameter tx of this address is incomplete or was not made here.")
	}
	if age := s.now().Sub(v.Trip.Started); age > Lifetime || age < -clockSkew {
		return Trip{}, fault.New(fault.Invalid, "tx_expired", "This sign-in was started more than %d minutes ago.", int(Lifetime.Minutes()))
	}
	if browser == "" || v.Browser != fingerprint(browser) {
		return Trip{}, fault.New(fault.Invalid, "tx_browser_mismatch", "This sign-in was started in another browser, or cookies are blocked.")
	}
	return v.Trip, nil
}

func fingerprint(browser string) string {
	sum := sha256.Sum256([]byte(browser))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// deflaters are kept because a new one costs as much memory as a hundred trips.
var deflaters = sync.Pool{New: func() any {
	w, err := flate.NewWriter(nil, flate.BestCompression)
	if err != nil {
		panic(err) // only for a level that does not exist
	}
	return w
}}

// Pack encodes v compactly: what travels in addresses and cookies has little room.
func Pack(v any) []byte {
	var b bytes.Buffer
	w := deflaters.Get().(*flate.Writer)
	defer deflaters.Put(w)
	w.Reset(&b)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false) // no page is made of it, and `&` is in many an address
	if err := e.Encode(v); err != nil {
		panic(err) // only for types that JSON cannot hold: a bytes.Buffer does not fail
	}
	if err := w.Close(); err != nil {
		panic(err) // as above
	}
	return b.Bytes()
}

// maxPlain bounds what a packed value may grow to. It has been authenticated before: this is a second fence.
const maxPlain = 64 << 10

// Unpack reverses Pack into v, a pointer. It takes what Open gave, never what a stranger sent.
func Unpack(b []byte, v any) error {
	plain, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(b)), maxPlain))
	if err != nil {
		return err
	}
	return json.Unmarshal(plain, v)
}
