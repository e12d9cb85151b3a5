// Package pages draws the HTML pages of the broker: one view model and one template per page, the words of every error code, and the
// content security policy each page needs.
//
// It owns what people read and the markup that carries it. It decides nothing: which page comes next, who may see it, and the status
// and headers it is sent with belong to the caller. It knows no web framework and reads no request; every string of a view model may
// be hostile, and an address that could run a script never reaches the markup.
package pages
