package pages

import "html/template"

// tab is a link to one of the pages about one's own account.
type tab struct {
	ID, Label string
	Href      template.URL
	Current   bool
}

// tabs are the pages about one's own account, in their order; current is the path of the page they stand on.
func (r *Renderer) tabs(current string) []tab {
	all := []tab{{ID: "tab-profile", Label: "Profile"}, {ID: "tab-sessions", Label: "Sessions"}, {ID: "tab-keys", Label: "API keys"}}
	for i, path := range []string{"/dashboard", "/sessions", "/api-keys"} {
		all[i].Href, all[i].Current = r.own(path), path == current
	}
	return all
}
