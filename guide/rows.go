package guide

import (
	"slices"

	"example.com/broker/web/pages"
)

// rows are the twelve systems, in the order of the guide.
func (b book) rows() []pages.GuideRow {
	return []pages.GuideRow{
		b.apiKeys(), b.bearer(), b.password(), b.code(), b.sessions(), b.claimsRow(),
		b.refresh(), b.revocation(), b.decoderRow(), b.roles(), b.policies(), b.itself(),
	}
}

func (b book) apiKeys() pages.GuideRow {
	tries := b.where("POST", "/api-keys", pages.Try{
		Label: "Make a key and keep it. It is shown this once.",
		Line:  "KEY=$(curl -s " + b.Issuer + "/api-keys" + withToken + asJSON + ` -d '{"name":"guide"}'` + field("key"),
	})
	data := b.where("GET", "/data",
		pages.Try{Label: "Use it.", Line: "curl " + b.Issuer + `/data -H "X-API-Key: $KEY"`, Status: 200, Shows: "What the key opens, and whose it is."})
	if b.QueryKeys {
		data = append(data, b.where("GET", "/data",
			pages.Try{Label: "Or in the address, where nothing else is possible.", Line: "curl '" + b.Issuer + `/data?api_key='"$KEY"`, Status: 200, Shows: "The same."})...)
	}
	data = append(data, b.where("GET", "/data", pages.Try{Label: "Without a key.", Line: "curl -i " + b.Issuer + "/data", Status: 403, Shows: "`key_invalid`"})...)
	return pages.GuideRow{
		ID: "api-keys", Title: "API keys", Send: "`X-API-Key: bk_…`", Answer: "403",
		Text: []string{
			"A password for a program. Its owner makes it, gives it a name, scopes and an end, and takes it back when it leaks. The broker keeps only a hash, so nobody can show a key a second time.",
			"A key is sent as it is with every request, so it belongs on servers, never into a page or an app that others install. The header wins where both are sent.",
			"A missing or bad key is answered with 403. It is the one exception to the rule that an unknown caller gets 401.",
		},
		Tries: slices.Concat(b.where("GET", "/api-keys", pages.Try{Label: "Your API keys", URL: "/api-keys"}), tries, data),
	}
}

func (b book) bearer() pages.GuideRow {
	return pages.GuideRow{
		ID: "bearer", Title: "JWT bearer tokens", Send: "`Authorization: Bearer …`", Answer: "401",
		Text: []string{
			"A signed note that says who calls and what they may do. An API checks the signature with the public keys of the issuer and needs to ask nobody, which makes it fast and easy to spread.",
			"Whoever holds the token can use it, hence *bearer*: short lives, https, and never in an address.",
		},
		Tries: b.where("GET", "/me",
			pages.Try{Label: "Who am I?", Line: "curl " + b.Issuer + "/me" + withToken, Status: 200, Shows: "The caller, with roles and scopes."},
			pages.Try{Label: "Without a token.", Line: "curl -i " + b.Issuer + "/me", Status: 401, Shows: "`WWW-Authenticate: Bearer`"}),
	}
}

func (b book) password() pages.GuideRow {
	return pages.GuideRow{
		ID: "password", Title: "The password flow", Send: "name and password to `POST /token`", Answer: "400",
		Text: []string{
			"The oldest OAuth flow: an app takes name and password and trades them for tokens. It teaches people to type their password into apps and leaves no room for a second factor or for GitHub, so it is for your own apps only, and only where a browser cannot be opened.",
			"Here it works for clients that are marked first-party and list it.",
		},
		Tries: slices.Concat(b.withPassword(
			pages.Try{Label: "Trade the password for tokens.", Line: "curl " + b.grant(), Status: 200, Shows: "`access_token`, `refresh_token`, `expires_in`"},
			pages.Try{Label: "With a wrong one.", Line: "curl -i " + b.Issuer + "/token -d grant_type=password -d username=alice -d password=wrong", Status: 400, Shows: "`invalid_grant`"}),
			b.inDocs(pages.Try{Label: "Try it by hand: Authorize, then by password", URL: "/docs#/Tokens/token"})),
	}
}

func (b book) code() pages.GuideRow {
	var tries []pages.Try
	if b.DemoURL != "" {
		tries = append(tries, pages.Try{Label: "Sign in with GitHub in the demo app", URL: b.DemoURL})
	}
	tries = append(tries, b.where("GET", "/login", pages.Try{Label: "The sign-in page", URL: "/login"})...)
	tries = append(tries, b.where("GET", "/.well-known/openid-configuration",
		pages.Try{Label: "What a client library reads first.", Line: "curl " + b.Issuer + "/.well-known/openid-configuration", Status: 200, Shows: "`authorization_endpoint`, `token_endpoint`, `jwks_uri`"})...)
	return pages.GuideRow{
		ID: "code", Title: "The authorization code flow", Send: "a browser to `/authorize`", Answer: "the sign-in page",
		Text: []string{
			"The app sends the browser here. The person signs in at GitHub, Google or with a password, and the browser goes back with a code that is good once, for a minute. The app trades it for tokens, so neither the password nor a token passes through the address bar.",
			"With PKCE the app proves that it is the one that asked: it sends the hash of a secret first and the secret with the code. The broker asks every client for it.",
		},
		Tries: tries,
	}
}

func (b book) sessions() pages.GuideRow {
	dashboard := b.Issuer + "/dashboard" + wantsJSON
	return pages.GuideRow{
		ID: "sessions", Title: "Cookies and sessions", Send: "a cookie, by itself", Answer: "401, or the sign-in page",
		Text: []string{
			"The browser gets a cookie that holds a random id and sends it along by itself. What the id stands for stays on the server, so ending a session is as easy as deleting a row.",
			"`HttpOnly` keeps scripts away from the cookie, `Secure` keeps it on https, and `SameSite=Lax` keeps other sites from acting in your name.",
		},
		Tries: slices.Concat(
			b.where("GET", "/dashboard", pages.Try{Label: "Your dashboard", URL: "/dashboard"}),
			b.where("GET", "/sessions", pages.Try{Label: "Where you are signed in", URL: "/sessions"}),
			b.withPassword(
				pages.Try{
					Label: "Sign in; curl keeps the cookie in a file.", Status: 200, Shows: "`Set-Cookie` with `HttpOnly` and `SameSite=Lax`",
					Line: "curl -i -c cookies.txt " + b.Issuer + "/login" + wantsJSON + ` -d username=alice --data-urlencode "password=$PASSWORD"`,
				},
				pages.Try{Label: "Come back with it.", Line: "curl -b cookies.txt " + dashboard, Status: 200, Shows: "Who is signed in."},
				pages.Try{Label: "Sign out.", Line: "curl -i -b cookies.txt -X POST " + b.Issuer + "/logout" + wantsJSON, Status: 204, Shows: "The cookie is taken back."},
				pages.Try{Label: "Too late.", Line: "curl -i -b cookies.txt " + dashboard, Status: 401, Shows: "`session_required`"})),
	}
}

func (b book) claimsRow() pages.GuideRow {
	return pages.GuideRow{
		ID: "claims", Title: "What a token says", Send: "`iss` `sub` `aud` `exp` `roles` …", Answer: "401 if one is wrong",
		Text: []string{
			"A JWT has three parts: a header that names algorithm and key, a payload of claims, and a signature over both. `sub` is the person, `aud` the API it is for, `exp` its end, `jti` its own id, `scope` what the app may do, `roles` what the person may do.",
			"The payload is signed, not encrypted. Nothing secret goes in.",
		},
		Tries: slices.Concat(
			b.where("GET", "/tools/jwt", pages.Try{Label: "Take a token apart", URL: "/tools/jwt"}),
			b.where("GET", "/jwks", pages.Try{Label: "The public keys that check it.", Line: "curl " + b.Issuer + "/jwks", Status: 200, Shows: "One key for each algorithm, by `kid`."})),
	}
}

func (b book) refresh() pages.GuideRow {
	refresh := b.Issuer + "/refresh" + asJSON
	return pages.GuideRow{
		ID: "refresh", Title: "Refresh tokens", Send: "`POST /refresh`", Answer: "400",
		Text: []string{
			"An access token lives for minutes, so that a stolen one is soon worth nothing. A refresh token lives for weeks, is sent to the broker alone, and fetches the next access token. Neither can be used as the other.",
			"Each use replaces it. If a spent one turns up again, somebody has a copy, and the whole family ends. A repeat within seconds gets the same successor: an answer may get lost on the way.",
		},
		Tries: slices.Concat(b.withPassword(b.where("POST", "/refresh",
			pages.Try{Label: "Get one.", Line: "REFRESH=$(curl -s " + b.grant() + field("refresh_token")},
			pages.Try{Label: "Trade it.", Line: "curl " + refresh + ` -d '{"refresh_token":"'"$REFRESH"'"}'`, Status: 200, Shows: "A new `access_token` and the next `refresh_token`."},
			pages.Try{Label: "It is no access token.", Line: "curl -i " + b.Issuer + `/me -H "Authorization: Bearer $REFRESH"`, Status: 401, Shows: "`invalid_token`"},
			pages.Try{Label: "One that never was.", Line: "curl -i " + refresh + ` -d '{"refresh_token":"rt_made.up.one"}'`, Status: 400, Shows: "`invalid_grant`"})...),
			b.where("POST", "/refresh", b.inDocs(pages.Try{Label: "Try it by hand", URL: "/docs#/Tokens/refresh"})...)),
	}
}

func (b book) revocation() pages.GuideRow {
	return pages.GuideRow{
		ID: "revocation", Title: "Revocation", Send: "`POST /logout` with the token", Answer: "401 from then on",
		Text: []string{
			"A signed token is good until it expires, unless somebody keeps a list. A *blocklist* holds the tokens that were taken back, until they would have expired anyway; it is short, and the usual choice. An *allowlist* holds every token that is good; it costs a look-up each time and forgets nothing.",
			"A token, a session, or everything of a person can be revoked. Every replica knows within two seconds.",
		},
		Tries: b.where("POST", "/logout", b.revoking()...),
	}
}

// revoking are tries on a token of their own, so that the lines of later sections still have $TOKEN. Where none can be fetched by a line, it
// is the visitor's, and they are told.
func (b book) revoking() []pages.Try {
	header, revoke := ` -H "Authorization: Bearer $SPENT"`, "Revoke it."
	var tries []pages.Try
	switch {
	case !b.Dev:
		header, revoke = withToken, "Revoke the token. The lines below need a new one in `$TOKEN`."
	case b.Password:
		tries = append(tries, pages.Try{Label: "A token to give up.", Line: "SPENT=$(curl -s " + b.grant() + field("access_token")})
	default:
		tries = append(tries, pages.Try{Label: "A token to give up.", Line: "SPENT=$(broker token alice)"})
	}
	return append(tries,
		pages.Try{Label: revoke, Line: "curl -i -X POST " + b.Issuer + "/logout" + header, Status: 204, Shows: "Nothing: it is done."},
		pages.Try{Label: "Use it again.", Line: "curl -i " + b.Issuer + "/me" + header, Status: 401, Shows: "The token was revoked."})
}

func (b book) decoderRow() pages.GuideRow {
	text := []string{
		"Shows what each claim means, what stands out, whether the signature is good, and what an API would answer. All of it happens in the browser: the token goes nowhere.",
	}
	if b.answers("GET", "/tools/policy") {
		text = append(text, "*Open in playground* takes the claims, and not the token, to the policies: what may somebody with such claims do?")
	}
	if b.Dev {
		text = append(text, "*Mint* makes tokens to try an API with, good ones and wrong ones. Their key is made in the browser and is gone with the page, so neither this broker nor an API that trusts it takes them.")
	}
	return pages.GuideRow{
		ID: "decoder", Title: "The JWT decoder", Send: "a token, pasted", Answer: "what is wrong with it", Text: text,
		Tries: b.where("GET", "/tools/jwt", pages.Try{Label: "Open the decoder", URL: "/tools/jwt"}),
	}
}

func (b book) roles() pages.GuideRow {
	return pages.GuideRow{
		ID: "rbac", Title: "Roles (RBAC)", Send: "any proof of who you are", Answer: "403, with the roles that would do",
		Text: []string{
			"A person has roles, a role has permissions, a route asks for one of them. Viewers read, editors write, admins do everything. It answers most questions with one look, and people understand it.",
		},
		Tries: slices.Concat(
			b.where("GET", "/reports",
				pages.Try{Label: "For everybody who is signed in.", Line: "curl " + b.Issuer + "/reports" + withToken, Status: 200, Shows: "The `reports`."}),
			b.where("POST", "/articles",
				pages.Try{Label: "For editors and admins; alice is an editor.", Line: "curl -i " + b.Issuer + "/articles" + withToken + asJSON + draftJSON, Status: 201, Shows: "The article, with its `author`."}),
			b.where("DELETE", "/users/:id",
				pages.Try{Label: "For admins.", Line: "curl -i -X DELETE " + b.Issuer + "/users/somebody" + withToken, Status: 403, Shows: "It names the role `admin`."})),
		Later: !b.answers("GET", "/reports") && !b.answers("POST", "/articles"),
	}
}

// draftJSON is an article.
const draftJSON = ` -d '{"title":"A draft","body":""}'`

func (b book) policies() pages.GuideRow {
	article := b.Issuer + "/articles/$ARTICLE" + withToken
	return pages.GuideRow{
		ID: "abac", Title: "Policies (ABAC)", Send: "any proof of who you are", Answer: "404 before 403",
		Text: []string{
			"Where a role is too coarse: the author may edit their own article, an admin any; what is published only an admin deletes. A policy looks at the person, the thing and the situation.",
			"What is not there is answered with 404, whoever asks; only then comes the question of who may, and 403.",
		},
		Tries: slices.Concat(
			b.where("GET", "/tools/policy", pages.Try{Label: "Ask for a decision, and why", URL: "/tools/policy"}),
			b.where("PUT", "/articles/:id",
				pages.Try{Label: "Write an article and keep its id.", Line: "ARTICLE=$(curl -s " + b.Issuer + "/articles" + withToken + asJSON + draftJSON + field("id")},
				pages.Try{
					Label: "Its author may edit it.", Status: 200, Shows: "The next version.",
					Line: "curl -X PUT " + article + asJSON + ` -d '{"title":"No draft any more","body":"","published":true,"v":1}'`,
				},
				pages.Try{Label: "Once published, its author may not delete it.", Line: "curl -i -X DELETE " + article, Status: 403, Shows: "The answer of a policy, not of a role."},
				pages.Try{Label: "One that is not there.", Line: "curl -i -X DELETE " + b.Issuer + "/articles/nowhere" + withToken, Status: 404, Shows: "Not there comes before not allowed."})),
		Later: !b.answers("PUT", "/articles/:id"),
	}
}

func (b book) itself() pages.GuideRow {
	return pages.GuideRow{
		ID: "guide", Title: "This guide", Send: "nothing", Answer: "this page",
		Text: []string{"You are reading it. Every line on it was run against a broker like this one before it was released."},
		Tries: slices.Concat(
			b.where("GET", "/docs", pages.Try{Label: "Every endpoint, to try in the browser", URL: "/docs"}),
			b.where("GET", "/openapi.json", pages.Try{Label: "Every endpoint, for machines.", Line: "curl " + b.Issuer + "/openapi.json", Status: 200, Shows: "An OpenAPI 3.1 document."})),
	}
}
