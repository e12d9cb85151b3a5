package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// The modes of revocation that an issuer can publish as revocation_mode.
const (
	modeBlocklist = "blocklist"
	modeAllowlist = "allowlist"
)

// DiscoverOptions adjust [Discover]. The zero value does where the issuer lets anyone follow its feed.
type DiscoverOptions struct {
	// ClientID and ClientSecret are those of a client that is registered with the broker for this API: to follow the feed, and to
	// introspect in allowlist mode.
	ClientID, ClientSecret string
	// SecretInForm sends the secret in a form, for a client registered for client_secret_post.
	SecretInForm bool
	// Interval and MaxStaleness are those of [FeedOptions].
	Interval, MaxStaleness time.Duration
	// Client makes the requests; nil means one with http.DefaultTransport. Redirects are not followed either way.
	Client *http.Client
	// InsecureHTTP allows plain http beyond loopback. Whoever can change an answer can then sign tokens.
	InsecureHTTP bool
	// Now tells the time; nil means time.Now.
	Now func() time.Time
	// Log is that of [FeedOptions].
	Log *slog.Logger
}

// Issuer is what [Discover] found: everything a [Config] needs to know of an issuer.
type Issuer struct {
	// Name is the issuer.
	Name string
	Keys *RemoteKeys
	// Feed is what was revoked, nil in allowlist mode.
	Feed *Feed
	// Introspection asks for each token, nil but in allowlist mode.
	Introspection *Introspection
}

// Discover reads the RFC 8414 metadata of an issuer and sets up what its way of revoking demands: its feed, or introspection where
// it runs in allowlist mode. It returns an error, and an API must not start, where that cannot be done: the metadata cannot be had
// or is another issuer's, there is no feed or it is not for this caller, the mode is allowlist and no client is given, or the mode is one
// this package does not know. Then
//
//	verify.New(verify.Config{Issuer: i.Name, Keys: i.Keys, Revocations: i.Revocations(), Audience: …})
//
// and [Issuer.Run] beside the server.
func Discover(ctx context.Context, issuer string, o DiscoverOptions) (*Issuer, error) {
	found, err := discover(ctx, issuer, o)
	if err != nil {
		return nil, fmt.Errorf("discover the issuer %s: %w", show(issuer), err)
	}
	return found, nil
}

func discover(ctx context.Context, issuer string, o DiscoverOptions) (*Issuer, error) {
	if err := checkAddress(issuer, o.InsecureHTTP); err != nil {
		return nil, err
	}
	remote := RemoteOptions{InsecureHTTP: o.InsecureHTTP, Now: o.Now}
	if o.Client != nil {
		remote.Transport = o.Client.Transport
	}
	meta, err := metadataOf(ctx, issuer, newSource("", remote))
	if err != nil {
		return nil, err
	}
	found := &Issuer{Name: issuer}
	if found.Keys, err = Remote(meta.JWKSURI, remote); err != nil {
		return nil, err
	}
	switch meta.Mode {
	case modeBlocklist, "":
		if meta.Feed == "" {
			return nil, errors.New("it publishes no revocation_feed_endpoint: without one a token is good until it expires; " +
				"where that is meant, set up Remote keys and no Revocations")
		}
		found.Feed, err = NewFeed(FeedOptions{
			URL: meta.Feed, Issuer: issuer, Keys: found.Keys, ClientID: o.ClientID, ClientSecret: o.ClientSecret, SecretInForm: o.SecretInForm,
			Interval: o.Interval, MaxStaleness: o.MaxStaleness, Client: o.Client, InsecureHTTP: o.InsecureHTTP, Now: o.Now, Log: o.Log,
		})
		if err == nil {
			// A feed that cannot be had at the moment is waited for, by Run; one that is not for this caller never comes.
			if refused := found.Feed.Poll(ctx); errors.Is(refused, errNotAllowed) {
				err = refused
			}
		}
	case modeAllowlist:
		if o.ClientID == "" {
			return nil, errors.New("it runs in allowlist mode, where only the issuer knows which tokens are in force: " +
				"give ClientID and ClientSecret, so that tokens can be introspected")
		}
		found.Introspection, err = NewIntrospection(IntrospectionOptions{
			URL: meta.Introspection, ClientID: o.ClientID, ClientSecret: o.ClientSecret, SecretInForm: o.SecretInForm, Client: o.Client,
			InsecureHTTP: o.InsecureHTTP,
		})
	default:
		return nil, fmt.Errorf("its revocation_mode is %s, which this version does not know", show(meta.Mode))
	}
	if err != nil {
		return nil, err
	}
	return found, nil
}

// issuerMetadata are the members of RFC 8414 metadata that are used, and two of the broker's own.
type issuerMetadata struct {
	Issuer        string `json:"issuer"`
	JWKSURI       string `json:"jwks_uri"`
	Introspection string `json:"introspection_endpoint"`
	Feed          string `json:"revocation_feed_endpoint"`
	Mode          string `json:"revocation_mode"`
}

func metadataOf(ctx context.Context, issuer string, s source) (issuerMetadata, error) {
	ctx, cancel := context.WithTimeout(ctx, defaultFetchTimeout)
	defer cancel()
	address, _, err := wellKnown(issuer)
	if err != nil {
		return issuerMetadata{}, err
	}
	body, _, err := s.get(ctx, address)
	if err != nil {
		return issuerMetadata{}, err
	}
	var meta issuerMetadata
	if err := json.Unmarshal(body, &meta); err != nil {
		return issuerMetadata{}, fmt.Errorf("read its metadata: %w", err)
	}
	// RFC 8414 section 3.3.
	if meta.Issuer != issuer {
		return issuerMetadata{}, fmt.Errorf("the metadata is that of the issuer %s", show(meta.Issuer))
	}
	return meta, nil
}

// Revocations is the Feed or the Introspection.
func (i *Issuer) Revocations() Revocations {
	if i.Introspection != nil {
		return i.Introspection
	}
	return i.Feed
}

// Run follows the feed until ctx ends, whose error it returns; without a feed it waits.
func (i *Issuer) Run(ctx context.Context) error {
	if i.Feed != nil {
		return i.Feed.Run(ctx)
	}
	<-ctx.Done()
	return ctx.Err()
}
