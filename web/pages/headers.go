package pages

// Traits says which headers a page needs beyond those every page has.
type Traits struct {
	// OffsiteForm: a form of the page may end, after redirects, at another site. Chromium applies form-action to every hop after a
	// POST, so such a page must not name it.
	OffsiteForm bool
	// Interaction: the page belongs to a sign-in that an app may have opened in a popup, which must keep its opener.
	Interaction bool
}

// CSP returns the value of the Content-Security-Policy header. Without form-action a form may go anywhere, which is why every
// address in a form is built or checked by this package, and nothing in a page can be injected as markup.
func CSP(t Traits) string {
	const (
		head = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; " +
			"base-uri 'none'; frame-ancestors 'none'; "
		own  = "form-action 'self'; "
		tail = "require-trusted-types-for 'script'; trusted-types 'none'"
	)
	if t.OffsiteForm {
		return head + tail
	}
	return head + own + tail
}

// COOP returns the value of the Cross-Origin-Opener-Policy header.
func COOP(t Traits) string {
	if t.Interaction {
		return "unsafe-none"
	}
	return "same-origin"
}
