package dev

import (
	"net/http"
	"strings"
	"time"

	"example.com/broker/internal/secret"
	"example.com/broker/providers/local"
)

// Upstream is a local GitHub or Google, and how the broker is registered there.
type Upstream struct {
	Base         string // scheme, host and port
	ClientID     string
	ClientSecret string
	Handler      http.Handler
}

const upstreamClient = "broker"

// GitHub returns a local GitHub at base, where the broker is registered with the callback address. The secret lasts as long as the
// process, like everything else there.
func (f *Folder) GitHub(base, callback string, now func() time.Time) Upstream {
	u := Upstream{Base: base, ClientID: upstreamClient, ClientSecret: secret.New(32).Reveal()}
	u.Handler = OnlyLocal(local.NewGitHub(local.GitHubOptions{
		ClientID: u.ClientID, ClientSecret: u.ClientSecret, RedirectURIs: []string{callback}, Now: now, AppName: "Broker", BaseURL: base,
	}))
	return u
}

// Google is GitHub's like. Its key is the folder's.
func (f *Folder) Google(base, callback string, now func() time.Time) (Upstream, error) {
	key, err := f.GoogleKey()
	if err != nil {
		return Upstream{}, err
	}
	u := Upstream{Base: base, ClientID: upstreamClient, ClientSecret: secret.New(32).Reveal()}
	u.Handler = OnlyLocal(local.NewGoogle(local.GoogleOptions{
		ClientID: u.ClientID, ClientSecret: u.ClientSecret, RedirectURIs: []string{callback}, Now: now, AppName: "Broker", Issuer: base, Key: key,
	}))
	return u, nil
}

// GitHubAddresses are the endpoints of a local GitHub: authorization, token, and the base of the REST API.
func GitHubAddresses(base string) (auth, token, api string) {
	base = strings.TrimSuffix(base, "/")
	return base + local.GitHubAuthorizePath, base + local.GitHubTokenPath, base + local.GitHubAPIPrefix
}
