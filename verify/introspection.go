package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

const (
	defaultIntrospectionTimeout = 5 * time.Second
	maxIntrospection            = 1 << 20
)

// IntrospectionOptions configure an [Introspection]. All but the last four are required.
type IntrospectionOptions struct {
	// URL is introspection_endpoint of the issuer's metadata. Plain http is for loopback only.
	URL string
	// ClientID and ClientSecret are those of a client that is registered with the broker for this API.
	ClientID, ClientSecret string
	// SecretInForm sends the secret in a form, for a client registered for client_secret_post.
	SecretInForm bool
	// Timeout bounds one question; 0 means 5 s.
	Timeout time.Duration
	// Client makes the requests; nil means one with http.DefaultTransport. Redirects are not followed either way.
	Client *http.Client
	// InsecureHTTP allows plain http beyond loopback. Whoever is in between can then read tokens and the secret.
	InsecureHTTP bool
}

// Introspection is a [Revocations] that asks the broker about every token (RFC 7662), after everything that can be checked offline
// holds: one request for each request. It is for brokers in allowlist mode, where a good signature is not enough. It is to be the
// Revocations of a [Config] itself: wrapped into another one it never sees the token and answers 503. It is safe for concurrent
// use.
type Introspection struct {
	o      IntrospectionOptions
	client caller
}

var (
	_ Revocations  = (*Introspection)(nil)
	_ tokenChecker = (*Introspection)(nil)
)

// NewIntrospection makes no request yet. The error lists everything missing or unsafe in the options.
func NewIntrospection(o IntrospectionOptions) (*Introspection, error) {
	var faults []error
	if err := checkAddress(o.URL, o.InsecureHTTP); err != nil {
		faults = append(faults, err)
	}
	if o.ClientID == "" || o.ClientSecret == "" {
		faults = append(faults, errors.New("ClientID and ClientSecret are both needed"))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("refuse to introspect: %w", err)
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultIntrospectionTimeout
	}
	return &Introspection{o, newCaller(o.Client, o.ClientID, o.ClientSecret, o.SecretInForm)}, nil
}

// Check implements [Revocations]; it cannot tell anything, since claims are not the token.
func (*Introspection) Check(context.Context, *Claims) error {
	return errors.New("introspection is wrapped into another Revocations and does not see the token")
}

// checkToken asks about the token itself.
func (i *Introspection) checkToken(ctx context.Context, raw string) error {
	ctx, cancel := context.WithTimeout(ctx, i.o.Timeout)
	defer cancel()
	body, err := i.client.post(ctx, i.o.URL, url.Values{"token": {raw}, "token_type_hint": {"access_token"}}, maxIntrospection)
	if err != nil {
		return fmt.Errorf("introspect: %w", err)
	}
	var answer struct {
		Active *bool `json:"active"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Active == nil {
		return errors.New("introspect: the answer does not say whether the token is active")
	}
	if !*answer.Active {
		return refuse("the issuer says that the token is not in force")
	}
	return nil
}
