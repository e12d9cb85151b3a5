package providers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/oauth2"

	"example.com/broker/users"
)

// The methods by which the broker authenticates at a token endpoint (RFC 6749 §2.3.1).
const (
	SecretBasic = "client_secret_basic"
	SecretPost  = "client_secret_post"
)

// Check returns every problem of what all kinds of providers need, each naming the setting.
func (c Config) Check() []error {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	for _, s := range []struct{ name, value string }{
		{"id", c.ID}, {"client_id", c.ClientID}, {"client_secret", c.ClientSecret}, {"redirect_uri", c.RedirectURI},
	} {
		if s.value == "" {
			bad("%s is missing", s.name)
		}
	}
	if !slices.Contains([]string{"", SecretBasic, SecretPost}, c.AuthMethod) {
		bad("auth_method is %q, expected %s or %s", c.AuthMethod, SecretBasic, SecretPost)
	}
	// Login names are identities of that namespace: an upstream in it could claim anybody's.
	if c.Namespace == users.LocalNamespace {
		bad("namespace %q is the one of local login names: choose another", c.Namespace)
	}
	if c.Now == nil {
		bad("a clock is missing")
	}
	return problems
}

// Public returns c without the secret and without the test's client.
func (c Config) Public() Config {
	c.ClientSecret, c.Client = "", nil
	return c
}

// AuthStyle returns the style of AuthMethod, or other if none is set. It is never oauth2.AuthStyleAutoDetect: a probe spends the code.
func (c Config) AuthStyle(other oauth2.AuthStyle) oauth2.AuthStyle {
	switch c.AuthMethod {
	case SecretBasic:
		return oauth2.AuthStyleInHeader
	case SecretPost:
		return oauth2.AuthStyleInParams
	}
	return other
}

// AuthCodeURL builds an authorization request with state, an S256 challenge and those of params that are not empty. A flow without
// state, nonce or a verifier of 43 to 128 characters is an error of the caller; an authorization endpoint whose own query sets one of
// our parameters is fault.Upstream "upstream_invalid".
func AuthCodeURL(o *oauth2.Config, f Flow, params map[string]string) (string, error) {
	// RFC 7636 §4.1
	if f.State == "" || f.Nonce == "" || len(f.Verifier) < 43 || len(f.Verifier) > 128 {
		return "", errors.New("providers: a flow needs state, nonce and a PKCE verifier of 43 to 128 characters")
	}
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(f.Verifier)}
	for name, value := range params {
		if value != "" {
			options = append(options, oauth2.SetAuthURLParam(name, value))
		}
	}
	to := o.AuthCodeURL(f.State, options...)
	u, err := url.Parse(to)
	if err != nil {
		return "", Invalid(nil, "The authorization endpoint is not an address.")
	}
	// RFC 6749 §3.1: no parameter more than once.
	for name, values := range u.Query() {
		if len(values) > 1 {
			return "", Invalid(nil, "The authorization endpoint sets %.40q itself, which belongs to the request.", name)
		}
	}
	return to, nil
}

// Redeem exchanges a code at the token endpoint, once. fault.Upstream "upstream_unavailable" if the endpoint fails, "upstream_invalid"
// if it refuses the code (GitHub does so with status 200) or answers in another form than asked for. No error holds the code, the
// secret or a token; of what the upstream says, the cause keeps the error code alone.
func Redeem(ctx context.Context, client *http.Client, o *oauth2.Config, code, verifier string) (*oauth2.Token, error) {
	asJSON := *client
	asJSON.Transport = &jsonOnly{client.Transport}
	token, err := o.Exchange(context.WithValue(ctx, oauth2.HTTPClient, &asJSON), code, oauth2.VerifierOption(verifier))
	if err != nil {
		return nil, tokenFault(err)
	}
	// RFC 6749 §7.1: a token of an unknown type must not be used.
	if token.TokenType != "" && !strings.EqualFold(token.TokenType, "bearer") {
		return nil, Invalid(nil, "The token endpoint sent a token of another type than Bearer.")
	}
	return token, nil
}

func tokenFault(err error) error {
	// Its text would hold the whole answer.
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		status := refused.Response.StatusCode
		if refused.ErrorCode == "" || status == http.StatusTooManyRequests {
			return Unavailable(&StatusError{status, refused.Response.Header}, "The token endpoint answered with status %d.", status)
		}
		return Invalid(fmt.Errorf("token endpoint: %s", errorCode(refused.ErrorCode)), "The token endpoint refused the code.")
	}
	var failed *url.Error
	switch {
	case errors.Is(err, errNotJSON):
		return Invalid(errNotJSON, "The token endpoint did not answer in JSON.")
	case errors.As(err, &failed) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled):
		return Unavailable(err, "The token endpoint did not answer.")
	}
	return Invalid(errors.New("decode the token answer"), "The token endpoint's answer does not decode or holds no access token.")
}

// errorCode returns the code if it is a word of the kind that protocols use, so that nothing secret can pass for one.
func errorCode(code string) string {
	odd := func(r rune) bool { return (r < 'a' || r > 'z') && r != '_' }
	if len(code) > 64 || strings.ContainsFunc(code, odd) {
		return "an error code that is none"
	}
	return code
}

var errNotJSON = errors.New("the answer is not application/json")

// jsonOnly asks for JSON and takes nothing else: x/oauth2 would also read a form, and so an ID token out of one.
type jsonOnly struct{ next http.RoundTripper }

func (j *jsonOnly) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Accept", "application/json")
	resp, err := j.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if t := mediaType(resp); t != "application/json" && resp.StatusCode < 300 {
		_ = resp.Body.Close()
		return nil, errNotJSON
	}
	return resp, nil
}
