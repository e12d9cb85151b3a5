package local

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Pick does what a browser does on the page at authURL: it presses the button
// of the person with that id, or Cancel where person is empty, and returns the
// address it is sent to, without following it. The transport is client's, nil
// means [http.DefaultClient].
//
// A page that offers no redirect (an unknown client, a wrong redirect_uri, an
// unknown person) is an error that names the status.
func Pick(ctx context.Context, client *http.Client, authURL, person string) (*url.URL, error) {
	if client == nil {
		client = http.DefaultClient
	}
	once := *client
	once.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

	choice := url.Values{"person": {person}}
	if person == "" {
		choice = url.Values{"cancel": {"1"}}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, authURL, strings.NewReader(choice.Encode()))
	if err != nil {
		return nil, fmt.Errorf("build the form post: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := once.Do(req)
	if err != nil {
		return nil, fmt.Errorf("post the form: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusSeeOther {
		return nil, fmt.Errorf("the authorize page answered %s instead of a redirect", resp.Status)
	}
	return resp.Location()
}
