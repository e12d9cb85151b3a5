package guide

import (
	"example.com/broker/tokens"
	"example.com/broker/web/pages"
)

// claims explains what stands in a payload: our own claims in the words of tokens.Table, then those of other issuers.
func claims() []pages.Meaning {
	var out []pages.Meaning
	for _, row := range tokens.Table() {
		// These two are in introspection answers alone.
		if row.Claim != "active" && row.Claim != "token_type" {
			out = append(out, pages.Meaning{Name: row.Claim, Text: sentence(row.Meaning)})
		}
	}
	return append(out,
		pages.Meaning{Name: "azp", Text: "The client an ID token was issued to, where aud names others too (OpenID Connect)."},
		pages.Meaning{Name: "act", Text: "Who acts for the subject, after a token exchange (RFC 8693)."},
		pages.Meaning{Name: "may_act", Text: "Who may act for the subject (RFC 8693)."},
		pages.Meaning{Name: "cnf", Text: "The key that the sender must prove to hold; such a token is no plain bearer token (RFC 7800)."},
		pages.Meaning{Name: "c_hash", Text: "Binds the authorization code issued beside an ID token."},
		pages.Meaning{Name: "s_hash", Text: "Binds the state of the request that an ID token answers."},
		pages.Meaning{Name: "events", Text: "What happened: a logout token or a security event (RFC 8417)."},
		pages.Meaning{Name: "given_name", Text: "The user's first name."},
		pages.Meaning{Name: "family_name", Text: "The user's last name."},
		pages.Meaning{Name: "nickname", Text: "What the user is called."},
		pages.Meaning{Name: "profile", Text: "Address of the user's page."},
		pages.Meaning{Name: "website", Text: "Address of the user's site."},
		pages.Meaning{Name: "gender", Text: "The user's gender, in their words."},
		pages.Meaning{Name: "birthdate", Text: "The user's day of birth, year first."},
		pages.Meaning{Name: "zoneinfo", Text: "The user's time zone."},
		pages.Meaning{Name: "locale", Text: "The user's language."},
		pages.Meaning{Name: "phone_number", Text: "The user's telephone number."},
		pages.Meaning{Name: "phone_number_verified", Text: "Whether the number is proven."},
		pages.Meaning{Name: "address", Text: "The user's postal address."},
		pages.Meaning{Name: "groups", Text: "Groups the user is in (RFC 9068)."},
		pages.Meaning{Name: "entitlements", Text: "What the user is entitled to (RFC 9068)."},
		pages.Meaning{Name: "scp", Text: "What was granted, at Microsoft and Okta."},
		pages.Meaning{Name: "permissions", Text: "What the holder may do, at Auth0."},
		pages.Meaning{Name: "tid", Text: "The tenant, at Microsoft."},
		pages.Meaning{Name: "oid", Text: "The user within the tenant, at Microsoft."},
		pages.Meaning{Name: "hd", Text: "The Google Workspace domain of the user."},
		pages.Meaning{Name: "realm_access", Text: "Roles, at Keycloak."},
		pages.Meaning{Name: "resource_access", Text: "Roles by application, at Keycloak."},
		pages.Meaning{Name: "authorization_details", Text: "What was granted, in detail (RFC 9396)."},
	)
}

// header explains what stands in the header of a token.
func header() []pages.Meaning {
	return []pages.Meaning{
		{Name: "alg", Text: "How it is signed. Only ever believed together with a key that is for it."},
		{Name: "typ", Text: "What it is: at+jwt for an access token, JWT for an ID token."},
		{Name: "kid", Text: "Which of the issuer's keys signed it."},
		{Name: "cty", Text: "What is inside, if that is a token again."},
		{Name: "crit", Text: "Extensions that a verifier must know or refuse the token."},
		{Name: "b64", Text: "Whether the payload is base64url (RFC 7797)."},
		{Name: "jku", Text: "An address of keys. To be ignored: the token must not choose its key."},
		{Name: "jwk", Text: "A key. To be ignored: the token must not bring its key."},
		{Name: "x5u", Text: "An address of certificates. To be ignored like jku."},
		{Name: "x5c", Text: "Certificates. To be ignored unless their chain is trusted."},
		{Name: "x5t", Text: "Fingerprint of the certificate whose key signed it."},
		{Name: "x5t#S256", Text: "Fingerprint of the certificate whose key signed it."},
		{Name: "enc", Text: "How the content is encrypted."},
		{Name: "zip", Text: "That the content was compressed before it was encrypted."},
	}
}

// sentence gives a meaning of the table a capital and a full stop.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	if c := s[0]; c >= 'a' && c <= 'z' {
		s = string(c-'a'+'A') + s[1:]
	}
	return s + "."
}
