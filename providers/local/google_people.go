package local

// GooglePerson is an account at the local Google.
type GooglePerson struct {
	Handle        string // unique; in the id of the button, as-<Handle>
	Sub           string // decimal digits, as at Google
	Name          string
	GivenName     string
	FamilyName    string
	Email         string
	EmailVerified bool
	HostedDomain  string // hd, of a Workspace account; empty: left out
	Note          string // what is special about this person, shown in the picker
}

// DefaultGooglePeople returns a Workspace account, a private one, one with an
// unverified address, and Ada, whose verified address is also the primary one
// of Ada at the local GitHub.
func DefaultGooglePeople() []GooglePerson {
	return []GooglePerson{
		{
			Handle: "wren", Sub: "110169484474386270001",
			Name: "Wren Example", GivenName: "Wren", FamilyName: "Example",
			Email: "wren@example.org", EmailVerified: true, HostedDomain: "example.org",
			Note: "Workspace account of example.org",
		},
		{
			Handle: "gil", Sub: "110169484474386270002",
			Name: "Gil Example", GivenName: "Gil", FamilyName: "Example",
			Email: "gil@example.com", EmailVerified: true,
			Note: "private account",
		},
		{
			Handle: "uli", Sub: "110169484474386270003",
			Name: "Uli Example", GivenName: "Uli", FamilyName: "Example",
			Email: "uli@example.com",
			Note:  "the address is unverified",
		},
		{
			Handle: "ada", Sub: "110169484474386270004",
			Name: "Ada Example", GivenName: "Ada", FamilyName: "Example",
			Email: "ada@example.com", EmailVerified: true,
			Note: "the same address as Ada at the local GitHub",
		},
	}
}

func (p GooglePerson) row() Person {
	detail := p.Email
	if p.Note != "" {
		detail += ": " + p.Note
	}
	return Person{ID: p.Handle, Name: p.Name, Detail: detail, Avatar: p.avatarPath()}
}

func (p GooglePerson) avatarPath() string { return "/a/" + p.Sub }
