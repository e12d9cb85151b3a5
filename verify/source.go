package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// minAge and maxAge bound how long a key set counts as fresh, whatever the issuer says; defaultAge is for an
	// issuer that says nothing.
	minAge     = time.Minute
	maxAge     = time.Hour
	defaultAge = 5 * time.Minute
)

// source fetches a key set, each time from the start: address, then keys.
type source struct {
	jwksURL  string // "" means to discover it from issuer
	issuer   string
	insecure bool
	client   *http.Client
}

// errNotFound is an answer of 404.
var errNotFound = errors.New("it answers 404 Not Found")

func newSource(jwksURL string, opts RemoteOptions) source {
	return source{
		jwksURL: jwksURL, issuer: opts.Issuer, insecure: opts.InsecureHTTP,
		client: &http.Client{
			Transport: opts.Transport,
			// A redirect would move the trust in the configured address to whatever address it names.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// fetch returns the keys and how long they count as fresh.
func (s source) fetch(ctx context.Context) (*StaticKeys, time.Duration, error) {
	address := s.jwksURL
	if address == "" {
		var err error
		if address, err = s.discover(ctx); err != nil {
			return nil, 0, err
		}
	}
	body, head, err := s.get(ctx, address)
	if err != nil {
		return nil, 0, err
	}
	keys, err := ParseJWKS(body)
	if err != nil {
		return nil, 0, fmt.Errorf("keys from %s: %w", address, err)
	}
	return keys, freshness(head), nil
}

// discover returns the address of the keys that the issuer publishes.
func (s source) discover(ctx context.Context) (string, error) {
	oauth, openID, err := wellKnown(s.issuer)
	if err != nil {
		return "", err
	}
	body, _, err := s.get(ctx, oauth)
	if errors.Is(err, errNotFound) {
		body, _, err = s.get(ctx, openID)
	}
	if err != nil {
		return "", err
	}
	var meta struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(body, &meta); err != nil {
		return "", fmt.Errorf("read the metadata of the issuer %s: %w", s.issuer, err)
	}
	// RFC 8414 section 3.3.
	if meta.Issuer != s.issuer {
		return "", fmt.Errorf("the metadata is that of the issuer %s, %s is expected", show(meta.Issuer), show(s.issuer))
	}
	if err := checkAddress(meta.JWKSURI, s.insecure); err != nil {
		return "", fmt.Errorf("use jwks_uri of the issuer %s: %w", s.issuer, err)
	}
	return meta.JWKSURI, nil
}

// wellKnown returns the two addresses of an issuer's metadata: RFC 8414 section 3.1 inserts its part between host and
// path, OpenID Connect Discovery section 4 appends it.
func wellKnown(issuer string) (oauth, openID string, err error) {
	u, err := url.Parse(issuer)
	if err != nil {
		return "", "", fmt.Errorf("read the issuer: %w", err)
	}
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	origin := u.Scheme + "://" + u.Host
	return origin + "/.well-known/oauth-authorization-server" + path, origin + path + "/.well-known/openid-configuration", nil
}

// get returns the body and header of a 200 answer of at most maxJWKS bytes.
func (s source) get(ctx context.Context, address string) ([]byte, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, nil, fmt.Errorf("ask %s: %w", address, err)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, nil, fmt.Errorf("ask for the keys of the issuer: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // Only read from: nothing can be lost.
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return nil, nil, fmt.Errorf("ask %s: %w", address, errNotFound)
	default:
		return nil, nil, fmt.Errorf("ask %s: it answers %d", address, resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxJWKS+1))
	if err != nil {
		return nil, nil, fmt.Errorf("read the answer of %s: %w", address, err)
	}
	if len(body) > maxJWKS {
		return nil, nil, fmt.Errorf("the answer of %s has more than %d bytes", address, maxJWKS)
	}
	return body, resp.Header, nil
}

// freshness reads max-age (RFC 9111 section 5.2.2.1) and keeps it within bounds.
func freshness(head http.Header) time.Duration {
	age := defaultAge
	for _, directive := range strings.Split(strings.Join(head.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache":
			return minAge
		case "max-age":
			seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
			if err == nil {
				age = time.Duration(seconds) * time.Second
			}
		}
	}
	return min(max(age, minAge), maxAge)
}
