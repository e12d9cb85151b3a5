package signin

// DefaultBack is the page of the broker's own that a sign-in without an app ends at.
const DefaultBack = "/dashboard"

// Back returns the page of the broker's own that a sign-in without an app leads back to: path if it is, letter for letter, one that asks for
// a sign-in, "" for anything else. A list instead of a rule, since what a browser takes for another site has many spellings.
func Back(path string) string {
	switch path {
	case DefaultBack, "/sessions", "/api-keys", "/tools/policy":
		return path
	}
	return ""
}
