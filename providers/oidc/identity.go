package oidc

import (
	"maps"

	"example.com/broker/providers"
	"example.com/broker/rbac"
	"example.com/broker/users"
)

// identity says who came. What the ID token says counts before userinfo, which is not signed; the key comes from the ID token alone.
func (p *Provider) identity(id, info claims) users.Identity {
	all := claims{}
	maps.Copy(all, info)
	maps.Copy(all, id)
	email, verified := address(id, info)
	// A mapping rule must not see the address of one document beside the word of the other.
	all["email"], all["email_verified"] = email, verified
	return users.Identity{
		Provider: p.config.ID, Namespace: p.config.Namespace, Subject: id.text(p.config.SubjectClaim),
		Email: email, EmailVerified: verified, Authoritative: p.google && verified && ownsAddress(id, email),
		Handle: providers.Line(all["preferred_username"]), Name: providers.Line(all["name"]), Picture: p.config.PictureURL(all["picture"]),
		Claims: all, Unasked: leftOut(all),
	}
}

// leftOut names the claims that the provider says it has and did not send (OpenID Connect Core §5.6.2, distributed claims, by which Entra
// speaks of people with too many groups): they are not fetched, and not empty.
func leftOut(all claims) rbac.Unasked {
	names, _ := all["_claim_names"].(map[string]any)
	out := rbac.Unasked{}
	for name := range names {
		if _, sent := all[name]; !sent {
			out[name] = "the provider left it out and names another place to fetch it from"
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// address returns the first address in the order of the documents, and whether the first of them that says anything about this very
// address calls it verified. Only a JSON true does: the string "true" has been false in disguise elsewhere.
func address(documents ...claims) (email string, verified bool) {
	for _, d := range documents {
		if email = providers.Address(d["email"]); email != "" {
			break
		}
	}
	for _, d := range documents {
		word, present := d["email_verified"]
		if present && email != "" && d["email"] == email {
			return email, word == true
		}
	}
	return email, false
}
