package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// caller asks the broker as a registered client, or as nobody where it has no id.
type caller struct {
	http         *http.Client
	id, secret   string
	secretInForm bool
}

func newCaller(client *http.Client, id, secret string, inForm bool) caller {
	c := http.Client{}
	if client != nil {
		c = *client
	}
	// A redirect would take the secret, and the trust in the configured address, to whatever address it names.
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return caller{&c, id, secret, inForm}
}

// feed asks for what is in the feed since a cursor.
func (c caller) feed(ctx context.Context, address, since string) (string, error) {
	values := url.Values{}
	if since != "" {
		values.Set("since", since)
	}
	if c.secretInForm {
		body, err := c.post(ctx, address, values, maxFeedAnswer)
		return string(body), err
	}
	separator := "?"
	if strings.Contains(address, "?") {
		separator = "&"
	}
	if len(values) > 0 {
		address += separator + values.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return "", fmt.Errorf("ask the broker: %w", err)
	}
	req.Header.Set("Accept", "application/"+feedType)
	body, err := c.do(req, maxFeedAnswer)
	return string(body), err
}

// post sends a form.
func (c caller) post(ctx context.Context, address string, form url.Values, limit int64) ([]byte, error) {
	if c.secretInForm {
		form.Set("client_id", c.id)
		form.Set("client_secret", c.secret)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("ask the broker: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return c.do(req, limit)
}

// errNotAllowed is the answer to a caller that the broker does not know, or that may not ask.
var errNotAllowed = errors.New("not allowed")

// do returns the body of a 200 answer of at most limit bytes.
func (c caller) do(req *http.Request, limit int64) ([]byte, error) {
	if c.id != "" && !c.secretInForm {
		// RFC 6749 section 2.3.1: both parts are form-urlencoded first.
		req.SetBasicAuth(url.QueryEscape(c.id), url.QueryEscape(c.secret))
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the broker: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // Only read from: nothing can be lost.
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	switch {
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
		if c.id == "" {
			return nil, fmt.Errorf("%w: the broker answers %d to no client: give ClientID and ClientSecret of one that is registered for an API", errNotAllowed, resp.StatusCode)
		}
		return nil, fmt.Errorf("%w: the broker answers %d to the client %s: check its id, its secret, and that it is registered for an API", errNotAllowed, resp.StatusCode, show(c.id))
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("the broker answers %d", resp.StatusCode)
	case err != nil:
		return nil, fmt.Errorf("read the answer of the broker: %w", err)
	case int64(len(body)) > limit:
		return nil, fmt.Errorf("the answer of the broker has more than %d bytes", limit)
	}
	return body, nil
}
