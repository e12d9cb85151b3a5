package local

import (
	"encoding/base64"
	"strconv"
)

// GitHubPerson is an account at the local GitHub. Two entries with one ID and
// two logins are the same account before and after a rename.
type GitHubPerson struct {
	ID     int64
	Login  string // unique; also the id of the button, as-<Login>
	Name   string // empty: null, which GitHub has for those who gave none
	Email  string // the public address; empty: null
	Emails []GitHubEmail
	Orgs   []string // logins of organizations
	Teams  []string // organization/slug, each of one of Orgs
	Label  string   // how the button calls this person; empty: Name, or Login
	Note   string   // what is special about this person, shown in the picker
}

// GitHubEmail is one address of an account, in the form of /user/emails.
type GitHubEmail struct {
	Email      string  `json:"email"`
	Primary    bool    `json:"primary"`
	Verified   bool    `json:"verified"`
	Visibility *string `json:"visibility"` // public, private or null; null for all but the primary
}

// DefaultGitHubPeople returns people who differ in what a broker must get
// right: several addresses, an unverified primary one, none that is public, a
// rename. Ada has the verified address of a person at the local Google.
func DefaultGitHubPeople() []GitHubPerson {
	public, private := "public", "private"
	robin := []GitHubEmail{{Email: "robin@example.com", Primary: true, Verified: true, Visibility: &private}}
	return []GitHubPerson{
		{
			ID: 583231, Login: "octavia", Name: "Octavia Example", Email: "octavia@example.com",
			Emails: []GitHubEmail{{Email: "octavia@example.com", Primary: true, Verified: true, Visibility: &public}},
			Orgs:   []string{"octo-org"}, Teams: []string{"octo-org/editors"},
			Note: "one verified address, octavia@example.com; in the team editors of octo-org",
		},
		{
			ID: 900000001, Login: "ada", Name: "Ada Example", Email: "ada.work@example.org",
			Emails: []GitHubEmail{
				{Email: "ada.work@example.org", Verified: true},
				{Email: "ada@example.com", Primary: true, Verified: true, Visibility: &private},
				{Email: "ada.old@example.org"},
			},
			Note: "three addresses, ada@example.com is primary and verified",
		},
		{
			ID: 900000002, Login: "noor", Name: "Noor Example",
			Emails: []GitHubEmail{
				{Email: "noor@example.com", Primary: true, Visibility: &private},
				{Email: "noor.second@example.com", Verified: true},
			},
			Note: "the primary address, noor@example.com, is unverified",
		},
		{
			ID: 900000003, Login: "sam", Name: "Sam Example",
			Emails: []GitHubEmail{{Email: "sam@example.org", Primary: true, Verified: true, Visibility: &private}},
			Note:   "no public address, sam@example.org is private",
		},
		{
			ID: 900000004, Login: "robin-before", Name: "Robin Example", Emails: robin,
			Label: "Robin Example (before the rename)", Note: "account 900000004 under its first name",
		},
		{
			ID: 900000004, Login: "robin-after", Name: "Robin Example", Emails: robin,
			Label: "Robin Example (after the rename)", Note: "account 900000004 under its new name",
		},
	}
}

// githubUser is the answer of /user for a token without the scope user.
type githubUser struct {
	Login             string  `json:"login"`
	ID                int64   `json:"id"`
	NodeID            string  `json:"node_id"`
	AvatarURL         string  `json:"avatar_url"`
	GravatarID        string  `json:"gravatar_id"`
	URL               string  `json:"url"`
	HTMLURL           string  `json:"html_url"`
	FollowersURL      string  `json:"followers_url"`
	FollowingURL      string  `json:"following_url"`
	GistsURL          string  `json:"gists_url"`
	StarredURL        string  `json:"starred_url"`
	SubscriptionsURL  string  `json:"subscriptions_url"`
	OrganizationsURL  string  `json:"organizations_url"`
	ReposURL          string  `json:"repos_url"`
	EventsURL         string  `json:"events_url"`
	ReceivedEventsURL string  `json:"received_events_url"`
	Type              string  `json:"type"`
	UserViewType      string  `json:"user_view_type"`
	SiteAdmin         bool    `json:"site_admin"`
	Name              *string `json:"name"`
	Company           *string `json:"company"`
	Blog              string  `json:"blog"`
	Location          *string `json:"location"`
	Email             *string `json:"email"`
	Hireable          *bool   `json:"hireable"`
	Bio               *string `json:"bio"`
	TwitterUsername   *string `json:"twitter_username"`
	NotificationEmail *string `json:"notification_email"`
	PublicRepos       int     `json:"public_repos"`
	PublicGists       int     `json:"public_gists"`
	Followers         int     `json:"followers"`
	Following         int     `json:"following"`
	CreatedAt         string  `json:"created_at"`
	UpdatedAt         string  `json:"updated_at"`
}

func (p GitHubPerson) profile(base string) githubUser {
	api := base + GitHubAPIPrefix + "/users/" + p.Login
	return githubUser{
		Login: p.Login, ID: p.ID, NodeID: p.nodeID(), AvatarURL: base + p.avatarPath() + "?v=4",
		URL: api, HTMLURL: base + "/" + p.Login,
		FollowersURL: api + "/followers", FollowingURL: api + "/following{/other_user}",
		GistsURL: api + "/gists{/gist_id}", StarredURL: api + "/starred{/owner}{/repo}",
		SubscriptionsURL: api + "/subscriptions", OrganizationsURL: api + "/orgs", ReposURL: api + "/repos",
		EventsURL: api + "/events{/privacy}", ReceivedEventsURL: api + "/received_events",
		Type: "User", UserViewType: "public",
		Name: nullable(p.Name), Email: nullable(p.Email), NotificationEmail: nullable(p.Email),
		CreatedAt: "2011-01-25T18:44:36Z", UpdatedAt: "2026-01-25T18:44:36Z",
	}
}

func (p GitHubPerson) avatarPath() string { return "/u/" + strconv.FormatInt(p.ID, 10) }

// nodeID is the global id in GitHub's first format.
func (p GitHubPerson) nodeID() string {
	return base64.StdEncoding.EncodeToString([]byte("04:User" + strconv.FormatInt(p.ID, 10)))
}

func nullable(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
