package oidc

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"example.com/broker/internal/fault"
	"example.com/broker/providers"
)

// GoogleIssuer is the issuer of NewGoogle where none is configured.
const GoogleIssuer = "https://accounts.google.com"

// NewGoogle is the providers.Factory of the kind google: New with Google's issuer for a default, the restriction to hosted domains, and
// Google's word on which addresses it owns.
//
// Google knows neither the prompt "login" nor max_age: somebody who has to sign in again is asked which account to use, and the age of
// Google's own session is not checked.
func NewGoogle(c providers.Config) (providers.Provider, error) {
	c.Issuer = cmp.Or(c.Issuer, GoogleIssuer)
	c.HostedDomains = slices.Clone(c.HostedDomains)
	for i, d := range c.HostedDomains {
		if d == "" { // it would let in whoever has none
			return nil, errors.New("hosted_domains has an empty entry")
		}
		c.HostedDomains[i] = strings.ToLower(d)
	}
	p, err := build(c)
	if err != nil {
		return nil, err
	}
	p.google = true
	return p, nil
}

func (p *Provider) googleParams(params map[string]string) {
	if params["prompt"] == "login" {
		params["prompt"] = "select_account"
	}
	delete(params, "max_age")
	switch domains := p.config.HostedDomains; len(domains) {
	case 0:
	case 1:
		params["hd"] = domains[0]
	default:
		params["hd"] = "*" // any Workspace account; which ones are let in is checked in the ID token
	}
}

// checkHostedDomain is the restriction: the parameter hd of the request is only a hint to the page, which anybody can take out.
func (p *Provider) checkHostedDomain(id claims) error {
	if len(p.config.HostedDomains) == 0 {
		return nil
	}
	if hd := id.text("hd"); !slices.Contains(p.config.HostedDomains, hd) {
		return fault.New(fault.Forbidden, "upstream_not_allowed", "The account's hosted domain is %.100q, expected one of %q.", hd, p.config.HostedDomains)
	}
	return nil
}

// ownsAddress says whether Google owns the mailbox: it does for Gmail and for the domains of its Workspace accounts, and has only once
// sent a mail to any other.
func ownsAddress(id claims, email string) bool {
	return id.text("hd") != "" || strings.HasSuffix(strings.ToLower(email), "@gmail.com")
}
