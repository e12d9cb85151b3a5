package pages

import (
	"html/template"
	"net/url"
	"strings"
)

// resolve turns an address of a view model into one that may stand in href or action. A path is mounted below the base path; an
// absolute address keeps its bytes, custom schemes of native apps included. Anything a browser could run, or read differently than
// we do, gives "".
func (r *Renderer) resolve(address string) template.URL {
	if isPath(address) {
		return template.URL(r.base + address) //nolint:gosec // isPath admits no scheme and no host
	}
	if !isForeign(address) {
		return ""
	}
	return template.URL(address) //nolint:gosec // isForeign refuses the schemes that run or read
}

// own mounts a path of this package below the base path.
func (r *Renderer) own(path string) template.URL {
	return r.resolve(path)
}

// orOwn resolves an address, and falls back to a path of ours if there is none or it is not safe.
func (r *Renderer) orOwn(address, path string) template.URL {
	if u := r.resolve(address); u != "" {
		return u
	}
	return r.own(path)
}

// isPath reports whether s is an absolute path on this host. Two slashes, or a backslash which browsers read as a slash, would name
// another host.
func isPath(s string) bool {
	return strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "//") && plain(s)
}

// isForeign reports whether s is an absolute address that is safe to follow: it has a scheme, and not one that runs a script or
// reads what belongs to another origin.
func isForeign(s string) bool {
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok || rest == "" || !plain(s) || !isScheme(scheme) {
		return false
	}
	switch strings.ToLower(scheme) {
	case "javascript", "data", "vbscript", "livescript", "mocha", "blob", "filesystem", "file", "about", "view-source", "jar", "feed",
		"intent", "chrome", "resource", "ws", "wss":
		return false
	}
	return true
}

// plain reports whether s has only visible ASCII and no backslash: browsers drop tabs and line breaks from addresses, so
// "java\tscript:" runs.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == '\\' {
			return false
		}
	}
	return true
}

// isScheme checks the grammar of RFC 3986, section 3.1.
func isScheme(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		letter := c >= 'a' && c <= 'z'
		other := s[i] >= '0' && s[i] <= '9' || s[i] == '+' || s[i] == '-' || s[i] == '.'
		if !letter && (i == 0 || !other) {
			return false
		}
	}
	return s != ""
}

// withQuery appends fields to the query of a path.
func withQuery(path string, fields []Field) string {
	if len(fields) == 0 {
		return path
	}
	q := url.Values{}
	for _, f := range fields {
		q.Add(f.Name, f.Value)
	}
	if strings.Contains(path, "?") {
		return path + "&" + q.Encode()
	}
	return path + "?" + q.Encode()
}

// host returns what a person should recognise an address by: its host with port, or its scheme for the address of a native app.
func host(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	if u.Host != "" {
		return u.Host
	}
	if u.Scheme != "" {
		return u.Scheme + ":"
	}
	return address
}

// contact is the support contact as text, and as an address if it is one.
type contact struct {
	Text string
	Href template.URL
}

func newContact(s string) *contact {
	switch s = strings.TrimSpace(s); {
	case s == "":
		return nil
	case strings.HasPrefix(s, "https://") && isForeign(s):
		return &contact{Text: strings.TrimPrefix(s, "https://"), Href: template.URL(s)} //nolint:gosec // checked just above
	case strings.Count(s, "@") == 1 && plain(s) && !strings.ContainsAny(s, ":/?#&"):
		return &contact{Text: s, Href: template.URL("mailto:" + s)} //nolint:gosec // an address without any header field
	}
	return &contact{Text: s}
}
