package pages

import (
	"maps"
	"slices"
)

// The codes of messages that are no errors. They appear as a Notice only.
const (
	NoticeFresh    = "reauth_required" // the app asks for a fresh sign-in
	NoticeOut      = "signed_out"
	NoticeCreated  = "account_created"
	NoticeLinked   = "identity_linked"
	NoticeUnlinked = "link_cancelled"
	NoticeEnded    = "session_ended"
	NoticeOthers   = "sessions_ended" // all but this one
	NoticeRevoked  = "key_revoked"
)

// The codes of FieldError.
const (
	FieldInvalid   = "field_invalid"
	FieldRequired  = "field_required"
	FieldTooLong   = "field_too_long"
	EmailInvalid   = "email_invalid"
	EmailTaken     = "email_taken"
	UsernameBad    = "username_invalid"
	UsernameTaken  = "username_taken"
	PasswordShort  = "password_short"
	PasswordLong   = "password_long"
	PasswordCommon = "password_common"
	PasswordWrong  = "password_wrong"
	ScopesMissing  = "scopes_missing"
)

// Copy returns the words of an error code in general terms: what happened, whether anything was lost and what to do, and the label
// of the button that does it. An unknown code has the words of "internal".
func Copy(code string) (title, body, action string) {
	return CopyWith(code, Facts{})
}

// CopyWith returns the words of an error code for the facts of one case.
func CopyWith(code string, f Facts) (title, body, action string) {
	t := f.text(code)
	return t.title, t.body, t.action
}

// Known reports whether the catalogue has words of its own for a code.
func Known(code string) bool {
	_, ok := catalogue(Facts{})[code]
	return ok
}

// Codes returns every code of the catalogue, sorted.
func Codes() []string {
	return slices.Sorted(maps.Keys(catalogue(Facts{})))
}

// fieldCatalogue holds the words beside a single input.
func fieldCatalogue() map[string]string {
	return map[string]string{
		FieldInvalid:   "Check this field.",
		FieldRequired:  "Fill this in.",
		FieldTooLong:   "That is too long.",
		EmailInvalid:   "That doesn't look like an email address. It should read like name@example.org.",
		EmailTaken:     "That address can't be used for a new account. Sign in instead, or use another one.",
		UsernameBad:    "Use letters, digits, dots, dashes and underscores.",
		UsernameTaken:  "That name is taken. Choose another one.",
		PasswordShort:  "Use at least {least} characters.",
		PasswordLong:   "That is longer than we can take. Use at most 128 characters.",
		PasswordCommon: "That password is on lists of stolen ones. Choose another one.",
		PasswordWrong:  "Doesn't match this email or username.",
		ScopesMissing:  "Choose at least one.",
	}
}

// likeness is the code of the catalogue whose words fit another code too.
func likeness(code string) string {
	switch code {
	case "invalid_request", "invalid_scope", "invalid_target", "unauthorized_client", "unsupported_response_type", "request_not_supported",
		"request_uri_not_supported", "registration_not_supported", "unmet_authentication_requirements":
		return "request_invalid" // what the app did, in the words of RFC 6749 and OpenID Connect Core
	case "attempts_under_way", "hash_pool_full", "keys_changed", "policies_unusable", "revocations_stale", "revocations_unknown", "signing_key_missing",
		"store_unavailable", "temporarily_unavailable", "user_busy":
		return "unavailable"
	case "role_missing", "scope_missing", "policy_denied":
		return "access_denied"
	}
	return code
}

// catalogue holds every code with words of its own. Voice: say what happened, whether anything was lost, and one next step; no blame, and nothing that a
// provider wrote. {App} and {Provider} start a sentence, {app} and {provider} do not; {id} ends one with the request id.
func catalogue(f Facts) map[string]text {
	denied := text{title: "You don't have access to this.", body: "Ask {support} for it, or use another account.", action: "Switch account"}
	if f.Role != "" {
		denied.title = "You need the {role} role to see this."
	}
	if f.Email != "" {
		denied.body = "Signed in as {email}. " + denied.body
	}
	restart := "Start again"
	if f.App != "" {
		restart = "Start again at {app}"
	}
	return map[string]text{
		// Signing in.
		"credentials_invalid": {
			title: "That email and password don't match.", body: "Check both and try again.", action: "Try again",
		},
		"credentials_missing": {
			title: "Fill in both fields.", body: "Your email or username, and your password.", action: "Try again",
		},
		"password_off": {
			title: "Passwords aren't used here.", body: "Use another way to sign in.", action: "Use another way",
		},
		"rate_limited": {
			title: "Too many tries.", body: "Wait {wait}, or use another way to sign in.", action: "Use another way",
		},
		"attempts_exhausted": {
			title: "Too many wrong passwords in a row.", body: "Ask {support} to set a new one, or use another way to sign in.", action: "Use another way",
		},
		"account_disabled": {
			title: "This account is disabled.", body: "Contact {support}.", action: "Use another account",
		},
		"registration_closed": {
			title:  "There's no account for you here yet.",
			body:   "New accounts are by invitation. Ask {support} for one, or use another way to sign in.",
			action: "Use another way",
		},
		"registration_invalid": {
			title: "We couldn't create the account.", body: "Nothing was saved. Check the marked fields and try again.", action: "Try again",
		},
		"not_claimable": {
			title:  "An account was made for you, but this sign-in can't open it.",
			body:   "Nothing changed. Ask {support} to connect your {provider} account to it.",
			action: "Use another way",
		},
		"session_required": {
			title: "Sign in to see this.", body: "You aren't signed in, or your session has ended.", action: "Sign in",
		},
		"access_denied": denied,
		"tx_expired": {
			title: "This sign-in took too long.", body: "Nothing was shared. Start again.", action: restart,
		},
		"tx_browser_mismatch": {
			title:  "We can't match this to the browser you started in.",
			body:   "Cookies may be blocked, or the link opened elsewhere. Nothing was shared.",
			action: restart,
		},
		"flow_replayed": {
			title: "This sign-in was opened twice.", body: "The first one counted, the second changed nothing. Start again.", action: restart,
		},
		"callback_invalid": {
			title:  "We can't finish this sign-in.",
			body:   "The answer from {provider} doesn't belong to a sign-in that this browser started. Nothing changed. Start again.",
			action: restart,
		},

		// Providers.
		"upstream_denied": {
			title: "You cancelled at {provider}.", body: "Choose another way, or try again.", action: "Choose another way",
		},
		"upstream_unavailable": {
			title: "{Provider} isn't answering.", body: "Your account is fine. Try another way.", action: "Try another way",
		},
		"upstream_invalid": {
			title:  "{Provider} sent an answer we can't trust.",
			body:   "We stopped there, and your account is fine. Try another way; if it happens again, tell {support}.",
			action: "Try another way",
		},
		"upstream_not_allowed": {
			title:  "Your {provider} account isn't in an allowed organisation.",
			body:   "Ask {support} to add you, or use another account.",
			action: "Use another account",
		},
		"provider_unknown": {
			title: "We don't know that way to sign in.", body: "Nothing was shared. Choose one that is offered here.", action: "Choose another way",
		},
		"provider_disabled": {
			title:  "Signing in with {provider} is switched off.",
			body:   "Your account is fine. Choose another way, or ask {support}.",
			action: "Choose another way",
		},
		"identity_conflict": {
			title:  "You already have an account that signs in with {ways}.",
			body:   "Sign in with {ways} once to connect {provider}.",
			action: "Continue with {way} to connect {provider}",
		},
		"link_refused": {
			title:  "{Provider} wasn't connected.",
			body:   "You signed in to another account than the one that has this address, and nothing changed. Sign in the way you usually do, or ask {support}.",
			action: "Back to sign-in",
		},

		// Apps.
		"client_unknown": {
			title:  "We don't know the app that sent you here.",
			body:   "You didn't do anything wrong, and nothing was shared. Tell the people who make the app: client_unknown{id}",
			action: "Go to {product}",
		},
		"client_disabled": {
			title: "{App} is switched off here.", body: "Nothing was shared. Ask {support} when it comes back.", action: "Go to {product}",
		},
		"redirect_unregistered": {
			title:  "{App} sent an address we don't know.",
			body:   "You didn't do anything wrong. Tell {app}: redirect_unregistered{id}",
			action: "Go to {product}",
		},
		"request_invalid": {
			title:  "{App} sent a request we can't use.",
			body:   "You didn't do anything wrong, and nothing was shared. Go back to {app} and try again.",
			action: "Go to {product}",
		},
		"response_mode_invalid": {
			title:  "{App} asked for an answer in a form we don't offer.",
			body:   "You didn't do anything wrong. Tell {app}: response_mode_invalid{id}",
			action: "Go to {product}",
		},
		"logout_invalid": {
			title:  "{App} sent a request to sign out that we can't trust.",
			body:   "Nothing changed: you are still signed in here. Sign out only if you want to.",
			action: "Go to {product}",
		},

		// Requests.
		"cross_origin": {
			title:  "This request came from another site.",
			body:   "We stopped it to protect your account, and nothing changed. Open the page here and try again.",
			action: "Go to {product}",
		},
		"not_found": {
			title: "There's no page here.", body: "The address may be mistyped or out of date.", action: "Go to {product}",
		},
		"method_not_allowed": {
			title: "This page can't be used that way.", body: "Nothing changed. Open it here and use its buttons.", action: "Go to {product}",
		},
		"host_unknown": {
			title: "This address isn't ours.", body: "Nothing changed. Check the name of the site in the address.", action: "Go to {product}",
		},
		"too_large": {
			title: "That was more than we can take.", body: "Nothing was saved. Send less and try again.", action: "Go to {product}",
		},
		"unavailable": {
			title: "We can't answer right now.", body: "Your account is fine. Wait {wait} and try again.", action: "Try again",
		},
		"internal": {
			title:  "Something went wrong on our side.",
			body:   "You didn't do anything wrong. Try again; if it happens again, tell {support} the request id.",
			action: "Go to {product}",
		},

		// No errors.
		NoticeFresh: {
			title: "Sign in again to continue.", body: "{App} asks that it be you, now.", action: "Sign in", info: true,
		},
		NoticeOut: {
			title: "You're signed out.", body: "You can sign in again at any time.", action: "Sign in", info: true,
		},
		NoticeCreated: {
			title: "Your account is ready.", body: "Sign in with the password you chose.", action: "Sign in", info: true,
		},
		NoticeLinked: {
			title: "{Provider} is connected.", body: "You can sign in with it from now on.", action: "Continue", info: true,
		},
		NoticeUnlinked: {
			title: "You chose not to connect {provider}.", body: "Nothing changed.", action: "Continue", info: true,
		},
		NoticeEnded: {
			title: "The session has ended.", body: "Whoever used it has to sign in again.", action: "Continue", info: true,
		},
		NoticeOthers: {
			title: "All other devices are signed out.", body: "Only this session is left.", action: "Continue", info: true,
		},
		NoticeRevoked: {
			title: "The key is revoked.", body: "It doesn't work any more.", action: "Continue", info: true,
		},
	}
}
