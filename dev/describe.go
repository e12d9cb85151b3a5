package dev

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The clients and the API of the demo.
const (
	SPAClient     = "demo-spa"
	CLIClient     = "demo-cli"
	ServiceClient = "demo-service"
	DemoAPI       = "demo"
)

// DocsClient is the client of the broker's own page /docs.
const DocsClient = "demo-docs"

// What Description says of an upstream that is not a local one.
const (
	Real = "real" // the configuration has credentials for it
	Off  = "off"  // the configuration switches it off
)

// Description is what `broker dev` tells: as dev.json to scripts, as a banner to people.
type Description struct {
	Issuer  string `json:"issuer"`
	DemoURL string `json:"demo_url"`
	OpsURL  string `json:"ops_url"`
	// Upstreams are base addresses, or Real or Off, by provider id.
	Upstreams map[string]string `json:"upstreams"`
	Users     []Account         `json:"users"`
	Clients   []Application     `json:"clients"`
	APIs      []Resource        `json:"apis"`
	PID       int               `json:"pid"`
}

// Account is a user with the password; roles are those of the beginning.
type Account struct {
	Username string   `json:"username"`
	Email    string   `json:"email"`
	Password string   `json:"password"`
	Roles    []string `json:"roles"`
}

// Application is a client with its secret, "" for a public one.
type Application struct {
	ClientID     string   `json:"client_id"`
	ClientSecret string   `json:"client_secret"`
	RedirectURIs []string `json:"redirect_uris"`
	GrantTypes   []string `json:"grant_types"`
	FirstParty   bool     `json:"first_party"`
}

// Resource is an API of the demo.
type Resource struct {
	ID       string `json:"id"`
	Audience string `json:"audience"`
}

// Publish writes dev.json. Scripts take it for the sign that everything answers.
func (f *Folder) Publish(d Description) error { return f.replace(descriptionFile, d) }

// Unpublish removes the dev.json of an earlier run, which would make scripts believe too early.
func (f *Folder) Unpublish() error {
	if err := os.Remove(filepath.Join(f.dir, descriptionFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the description of an earlier run: %w", err)
	}
	return nil
}

// Banner is for people who read a terminal.
type Banner struct {
	Description
	Version string
	Data    string // the folder
	// Pages are paths that explain, below the issuer.
	Pages []string
	Color bool
}

// WriteTo writes the lines.
func (b Banner) WriteTo(w io.Writer) (int64, error) {
	bold, end := "\x1b[1m", "\x1b[0m"
	if !b.Color {
		bold, end = "", ""
	}
	var signIn []string
	for _, u := range b.Users {
		signIn = append(signIn, fmt.Sprintf("%s %s%s%s (%s)", u.Username, bold, u.Password, end, strings.Join(u.Roles, ", ")))
	}
	lines := []string{
		fmt.Sprintf("broker %s dev  issuer %s%s%s   data %s   %sNOT FOR PRODUCTION%s", b.Version, bold, b.Issuer, end, tilde(b.Data), bold, end),
		fmt.Sprintf("open this    %s%s%s   the demo app: click \"%s\"", bold, b.DemoURL, end, b.firstButton()),
		"sign in as   " + strings.Join(signIn, "   "),
		"upstreams    " + b.upstreams(),
		"operators    " + b.OpsURL + "/metrics",
		"your app     add it to broker.yaml, or: broker client create web --redirect http://localhost:5173/callback" + b.dataFlag(),
	}
	if len(b.Pages) > 0 {
		lines = slices.Insert(lines, len(lines)-1, "learn        "+b.learn())
	}
	n, err := io.WriteString(w, strings.Join(lines, "\n")+"\n")
	return int64(n), err
}

func (b Banner) learn() string {
	var out []string
	for _, p := range b.Pages {
		out = append(out, b.Issuer+p)
	}
	return strings.Join(out, "   ")
}

// dataFlag names the folder to the other verbs where they would not find it.
func (b Banner) dataFlag() string {
	if usual, err := DefaultDir(); err == nil && usual == b.Data {
		return ""
	}
	if strings.ContainsAny(b.Data, " \t'\"\\$") {
		return " --data '" + strings.ReplaceAll(b.Data, "'", `'\''`) + "'"
	}
	return " --data " + b.Data
}

func (b Banner) firstButton() string {
	if b.Upstreams["github"] != Off {
		return "Sign in with GitHub"
	}
	return "Sign in"
}

func (b Banner) upstreams() string {
	var out []string
	local := false
	for _, id := range []string{"github", "google"} {
		kind := b.Upstreams[id]
		if kind != Real && kind != Off {
			kind, local = "local", true
		}
		out = append(out, id+"="+kind)
	}
	if local {
		out = append(out, "  (real: BROKER_PROVIDERS__GITHUB__CLIENT_ID=… _CLIENT_SECRET_FILE=…)")
	}
	return strings.Join(out, " ")
}

// tilde shortens a folder below the home folder.
func tilde(path string) string {
	home, err := os.UserHomeDir()
	if err != nil || home == "/" {
		return path
	}
	if rest, ok := strings.CutPrefix(path, home+string(os.PathSeparator)); ok {
		return filepath.Join("~", rest)
	}
	return path
}
