package local

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// Where the local Google answers; also what SetFault and Calls understand.
const (
	GoogleDiscoveryPath = "/.well-known/openid-configuration"
	GoogleAuthorizePath = "/o/oauth2/v2/auth"
	GoogleTokenPath     = "/token"
	GoogleUserinfoPath  = "/userinfo"
	GoogleCertsPath     = "/certs"
)

// googleTokenLife is how long an access token and an ID token are good.
const googleTokenLife = time.Hour

// GoogleOptions describe a local Google and the one client registered there.
type GoogleOptions struct {
	// Issuer is a scheme and a host, without path. Empty: those of each
	// request, which is what a test server wants.
	Issuer       string
	ClientID     string // required
	ClientSecret string // required
	// RedirectURIs are compared byte for byte. Empty: any loopback address.
	RedirectURIs []string
	// Now tells the time. Required.
	Now func() time.Time
	// People may be picked; nil means DefaultGooglePeople.
	People []GooglePerson
	// Key signs ID tokens and is an RSA key; nil means a new one of 2048
	// bits, which takes a moment.
	Key crypto.Signer
	// Banner is shown on each page; empty means a sentence that says what
	// this is.
	Banner string
	// AppName is shown on each page; empty means ClientID.
	AppName string
	// OmitIss neither sends nor advertises iss (RFC 9207). Google does both:
	// it began to send iss in February 2026 and advertises it since.
	OmitIss bool
	// Random yields codes and tokens and must be safe for concurrent use;
	// nil means crypto/rand.
	Random io.Reader
}

// Google is a local Google. Safe for concurrent use.
type Google struct {
	upstream
	people []GooglePerson
	codes  *vault[googleCode]
	tokens *vault[googleToken]

	signing sync.Mutex
	keys    []googleKey // the last one signs
	decoy   crypto.Signer
	method  Signing
	tamper  func(claims map[string]any)
}

// googleCode is what a code was issued for.
type googleCode struct {
	person      GooglePerson
	redirectURI string
	challenge   string
	nonce       string
	scopes      []string
}

type googleToken struct {
	person GooglePerson
	scopes []string
}

// NewGoogle returns a local Google. It panics where an option that has no
// default is missing, or where Key is not an RSA key.
func NewGoogle(options GoogleOptions) *Google {
	people := options.People
	if people == nil {
		people = DefaultGooglePeople()
	}
	random := options.Random
	if random == nil {
		random = rand.Reader
	}
	key := options.Key
	if key == nil {
		key = newRSAKey()
	}
	g := &Google{
		upstream: upstream{
			name: "Google", baseURL: options.Issuer,
			clientID: options.ClientID, clientSecret: options.ClientSecret, redirectURIs: options.RedirectURIs,
			app: options.AppName, banner: options.Banner, omitIss: options.OmitIss,
			now: options.Now, random: random,
		},
		people: slices.Clone(people),
		codes:  newVault[googleCode](codeLife),
		tokens: newVault[googleToken](googleTokenLife),
	}
	g.setup()
	g.RotateKey(key)
	g.mux.HandleFunc("GET "+GoogleDiscoveryPath, g.discovery)
	g.mux.HandleFunc("GET "+GoogleCertsPath, g.certs)
	g.mux.HandleFunc("GET "+GoogleAuthorizePath, g.authorize)
	g.mux.HandleFunc("POST "+GoogleAuthorizePath, g.decide)
	g.mux.HandleFunc("POST "+GoogleTokenPath, g.token)
	g.mux.HandleFunc("GET "+GoogleUserinfoPath, g.userinfo)
	g.mux.HandleFunc("POST "+GoogleUserinfoPath, g.userinfo)
	g.mux.HandleFunc("GET /a/{sub}", serveAvatar)
	return g
}

// People returns the rows of the picker in their usual order.
func (g *Google) People() []Person {
	rows := make([]Person, 0, len(g.people))
	for _, person := range g.people {
		rows = append(rows, person.row())
	}
	return rows
}

func (g *Google) registered(raw string) bool {
	if len(g.redirectURIs) == 0 {
		return loopbackRedirect(raw)
	}
	_, ok := parseRedirect(raw)
	return ok && slices.Contains(g.redirectURIs, raw)
}

func newRSAKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(fmt.Sprintf("local: generate an RSA key: %v", err))
	}
	return key
}
