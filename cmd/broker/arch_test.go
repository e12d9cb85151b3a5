package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const modulePath = "example.com/broker/"

// room is a folder and what lies below it. A package belongs to the room with the longest name that fits, may import its own room and
// rooms of lower ranks, and nothing else of this module.
type room struct {
	path string
	rank int
	why  string
}

// rooms is the table of the design. Everything is in a room.
var rooms = []room{
	{"cmd/broker", 7, "it wires everything and nothing knows it"},
	{"store/sqlite", 6, "a driver: only cmd/broker chooses one"},
	{"store/mongo", 6, "a driver: only cmd/broker chooses one"},
	{"store/storetest", 6, "the contract of the drivers: only tests need it"},
	{"config", 6, "what configuration says is handed down by cmd/broker, value by value"},
	{"dev", 6, "what `broker dev` adds must not be reachable from what `broker serve` runs"},
	{"callback", 5, "an endpoint: endpoints do not know each other and meet in what they stand on"},
	{"oauth/authorize", 5, "an endpoint: endpoints do not know each other and meet in what they stand on"},
	{"oauth/token", 5, "an endpoint: endpoints do not know each other and meet in what they stand on"},
	{"oauth/tokeninfo", 5, "an endpoint: endpoints do not know each other and meet in what they stand on"},
	{"oauth/metadata", 5, "an endpoint: endpoints do not know each other and meet in what they stand on"},
	{"oauth/logout", 5, "an endpoint: endpoints do not know each other and meet in what they stand on"},
	{"access/authzen", 5, "an endpoint: endpoints do not know each other and meet in what they stand on"},
	{"admin", 5, "an endpoint: endpoints do not know each other and meet in what they stand on"},
	{"account", 5, "an endpoint: endpoints do not know each other and meet in what they stand on"},
	{"samples", 5, "an endpoint: endpoints do not know each other and meet in what they stand on"},
	{"guide", 5, "an endpoint: endpoints do not know each other and meet in what they stand on"},
	{"ops", 5, "an endpoint: endpoints do not know each other and meet in what they stand on"},
	{"providers/github", 5, "an adapter: only cmd/broker knows which there are"},
	{"providers/oidc", 5, "an adapter: only cmd/broker knows which there are"},
	{"providers/local", 5, "an adapter: only cmd/broker knows which there are"},
	{"store", 5, "it names every contract of a driver, so it stands above all who declare one and below the drivers"},
	{"web", 4, "what every endpoint stands on"},
	{"signin", 4, "what every endpoint stands on"},
	{"lifecycle", 4, "what every endpoint stands on"},
	{"web/pages", 3, "the edge draws pages, and pages know nothing of HTTP"},
	{"web/static", 3, "the edge serves assets, and assets know nothing of it"},
	{"tokens", 3, "a mechanism over several facts"},
	{"access", 3, "a mechanism over several facts"},
	{"providers", 3, "what an upstream is, known to all who speak to one"},
	{"users", 2, "facts and their rules, which do not know each other"},
	{"clients", 2, "facts and their rules, which do not know each other"},
	{"sessions", 2, "facts and their rules, which do not know each other"},
	{"apikeys", 2, "facts and their rules, which do not know each other"},
	{"keys", 2, "facts and their rules, which do not know each other"},
	{"abac", 2, "facts and their rules, which do not know each other"},
	{"samples/articles", 2, "facts and their rules, which do not know each other"},
	{"examples", 2, "a program of somebody else, who has the guard and nothing of the broker"},
	{"examples/gin-api", 2, "a program of somebody else, who has the guard and nothing of the broker"},
	{"rbac", 1, "known to all who have a say about access"},
	{"audit", 1, "known to all who do something worth recording"},
	{"verify", 1, "imported by downstream APIs, which get no driver and no web framework with it"},
	{"oauth", 0, "protocol words"},
	{"internal", 0, "small mechanisms"},
}

// notBuilt are the rooms of later issues. Whoever builds one takes it off this list.
var notBuilt = []string{}

// fence keeps a third party out of all but some rooms. Parties are import paths, and what lies below them.
type fence struct {
	parties []string
	rooms   []string
	ranks   []int
	why     string
}

var fences = []fence{
	{[]string{"github.com/gin-gonic/gin"}, []string{"web", "cmd/broker", "examples/gin-api"}, []int{5}, "domain code does not know that it is asked by HTTP"},
	{[]string{"github.com/rs/cors"}, []string{"web"}, nil, "who may read an answer is the lane's business"},
	{[]string{"database/sql", "modernc.org/sqlite", "github.com/pressly/goose/v3"}, []string{"store/sqlite"}, nil, "a rule in SQL would have to be repeated for the other store"},
	{[]string{"go.mongodb.org/mongo-driver"}, []string{"store/mongo"}, nil, "a rule in a query would have to be repeated for the other store"},
	{[]string{"github.com/golang-jwt/jwt"}, []string{"verify", "tokens"}, nil, "one package signs our tokens and one checks them"},
	{[]string{"github.com/go-jose/go-jose"}, []string{"keys", "clients", "providers/github", "providers/oidc", "providers/local"}, nil, "keys and foreign tokens are the only JOSE beside our own tokens"},
	{[]string{"golang.org/x/oauth2", "github.com/coreos/go-oidc"}, []string{"providers", "providers/github", "providers/oidc", "providers/local"}, nil, "only an adapter is somebody's client"},
	{[]string{"github.com/cedar-policy/cedar-go"}, []string{"abac"}, nil, "policies are evaluated in one place"},
	{
		[]string{"github.com/alexedwards/argon2id", "github.com/go-crypt/crypt", "golang.org/x/crypto/argon2", "golang.org/x/crypto/bcrypt", "golang.org/x/crypto/scrypt", "golang.org/x/crypto/pbkdf2", "crypto/pbkdf2"},
		[]string{"users"},
		nil, "hashes of passwords are computed in one bounded pool",
	},
	{[]string{"github.com/trustelem/zxcvbn"}, []string{"users"}, nil, "what a good password is, is said in one place"},
	{[]string{"github.com/spf13/cobra", "github.com/spf13/pflag", "github.com/knadh/koanf"}, []string{"cmd/broker", "config"}, nil, "nothing else knows where a value came from"},
	{[]string{"github.com/prometheus/client_golang"}, []string{"ops"}, nil, "others count by a function they are given"},
}

// closed rooms import what is listed, by prefix, and of the standard library what they like.
var closed = map[string]struct {
	imports []string
	why     string
}{
	"oauth":    {nil, "every other package may use it, downstream APIs too, so it brings nothing along"},
	"verify":   {[]string{"github.com/golang-jwt/jwt", modulePath + "oauth", modulePath + "internal"}, "a downstream API gets no driver and no web framework with it"},
	"examples": {[]string{modulePath + "verify", modulePath + "oauth"}, "it shows what somebody needs who has the guard and nothing of the broker"},
	// The framework is what this example is about, and its author's own; the others show that the guard needs none.
	"examples/gin-api": {[]string{modulePath + "verify", modulePath + "oauth", "github.com/gin-gonic/gin"}, "it shows what somebody needs who has the guard, Gin and nothing of the broker"},
}

// listed is what the rules need of a package.
type listed struct {
	ImportPath string
	Imports    []string // those of the package itself: what its tests import is free
}

// below reports whether path is prefix or lies below it.
func below(path, prefix string) bool {
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/')
}

// roomOf returns the room of a package of this module; ok is false for one that is in none.
func roomOf(importPath string) (best room, ok bool) {
	path := strings.TrimPrefix(importPath, modulePath)
	for _, r := range rooms {
		if below(path, r.path) && len(r.path) >= len(best.path) {
			best, ok = r, true
		}
	}
	return best, ok
}

func standard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

// violations returns everything that breaks a rule, one sentence each.
func violations(packages []listed) []string {
	var out []string
	for _, p := range packages {
		from, ok := roomOf(p.ImportPath)
		if !ok {
			out = append(out, fmt.Sprintf("%s is in no room: give its folder a rank", p.ImportPath))
			continue
		}
		for _, imported := range p.Imports {
			out = append(out, checkImport(p.ImportPath, from, imported)...)
		}
	}
	return out
}

func checkImport(importer string, from room, imported string) []string {
	var out []string
	if strings.HasPrefix(imported, modulePath) {
		to, ok := roomOf(imported)
		if ok && to.path != from.path && to.rank >= from.rank {
			out = append(out, fmt.Sprintf("%s (rank %d) imports %s (rank %d): %s", importer, from.rank, imported, to.rank, to.why))
		}
	}
	for _, f := range fences {
		fenced := slices.ContainsFunc(f.parties, func(party string) bool { return below(imported, party) })
		if fenced && !slices.Contains(f.rooms, from.path) && !slices.Contains(f.ranks, from.rank) {
			out = append(out, fmt.Sprintf("%s imports %s, which belongs to %s: %s", importer, imported, strings.Join(f.rooms, ", "), f.why))
		}
	}
	if c, ok := closed[from.path]; ok && !standard(imported) {
		own := below(strings.TrimPrefix(imported, modulePath), from.path)
		if !own && !slices.ContainsFunc(c.imports, func(allowed string) bool { return below(imported, allowed) }) {
			out = append(out, fmt.Sprintf("%s imports %s: %s", importer, imported, c.why))
		}
	}
	return out
}

// stale returns what the rules name and the module does not have, so that a rule whose folder was renamed does not go on saying nothing.
func stale(packages []listed) []string {
	var out []string
	has := func(path string) bool {
		return slices.ContainsFunc(packages, func(p listed) bool {
			r, ok := roomOf(p.ImportPath)
			return ok && r.path == path
		})
	}
	known := func(path string) bool { return slices.ContainsFunc(rooms, func(r room) bool { return r.path == path }) }
	for _, r := range rooms {
		switch later := slices.Contains(notBuilt, r.path); {
		case later && has(r.path):
			out = append(out, fmt.Sprintf("%s is built: take it off the list notBuilt", r.path))
		case !later && !has(r.path):
			out = append(out, fmt.Sprintf("no package is in the room %s: the rule is stale", r.path))
		}
	}
	for _, path := range notBuilt {
		if !known(path) {
			out = append(out, fmt.Sprintf("notBuilt names %s, which is no room", path))
		}
	}
	for _, f := range fences {
		for _, path := range f.rooms {
			if !known(path) {
				out = append(out, fmt.Sprintf("the fence of %s names %s, which is no room", f.parties[0], path))
			}
		}
	}
	for path := range closed {
		if !known(path) {
			out = append(out, fmt.Sprintf("%s is closed and no room", path))
		}
	}
	slices.Sort(out)
	return out
}

func listPackages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "./...")
	cmd.Dir = "../.."
	var problems bytes.Buffer
	cmd.Stderr = &problems
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &problems)
	}
	var out []listed
	d := json.NewDecoder(bytes.NewReader(text))
	for {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return out
		} else if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
}

func TestImportsPointDown(t *testing.T) {
	packages := listPackages(t)
	if len(packages) < 20 {
		t.Fatalf("go list names %d packages", len(packages))
	}
	for _, v := range violations(packages) {
		t.Error(v)
	}
	for _, s := range stale(packages) {
		t.Error(s)
	}
}

// TestTheRulesBite keeps the rules themselves from saying nothing.
func TestTheRulesBite(t *testing.T) {
	in := func(path string, imports ...string) listed { return listed{modulePath + path, imports} }
	for _, row := range []struct {
		rule string
		p    listed
		want []string // the packages that should not have been imported
	}{
		{"down", in("web", modulePath+"users", modulePath+"web/pages", modulePath+"internal/fault", "net/http"), nil},
		{"up", in("users", modulePath+"web"), []string{modulePath + "web"}},
		{"sideways", in("callback", modulePath+"oauth/authorize"), []string{modulePath + "oauth/authorize"}},
		{"sideways among facts", in("users", modulePath+"clients"), []string{modulePath + "clients"}},
		{"within the room", in("store/mongo/mongotest", modulePath+"store/mongo"), nil},
		{"within a room of small mechanisms", in("internal/ratelimit", modulePath+"internal/fault"), nil},
		{"the longest name decides: an endpoint below protocol words", in("oauth/token", modulePath+"web", "github.com/gin-gonic/gin"), nil},
		{"the longest name decides: pages below the edge", in("web/pages", modulePath+"web"), []string{modulePath + "web"}},
		{"the longest name decides: adapters above what an upstream is", in("providers", modulePath+"providers/github"), []string{modulePath + "providers/github"}},
		{"a name that begins like a room is none", in("webhooks"), []string{"is in no room"}},
		{"a driver from a fact", in("users", modulePath+"store/sqlite"), []string{modulePath + "store/sqlite"}},
		{"a driver from a driver", in("store/sqlite", modulePath+"store/mongo"), []string{modulePath + "store/mongo"}},
		{"a driver from what names the contracts", in("store", modulePath+"store/sqlite"), []string{modulePath + "store/sqlite"}},
		{"gin below the edge", in("signin", "github.com/gin-gonic/gin"), []string{"github.com/gin-gonic/gin"}},
		{"gin in pages", in("web/pages", "github.com/gin-gonic/gin/render"), []string{"github.com/gin-gonic/gin/render"}},
		{"SQL outside its driver", in("users", "database/sql"), []string{"database/sql"}},
		{"the other driver's library", in("store/sqlite", "go.mongodb.org/mongo-driver/v2/bson"), []string{"go.mongodb.org/mongo-driver/v2/bson"}},
		{"JWT in an endpoint", in("oauth/token", "github.com/golang-jwt/jwt/v5"), []string{"github.com/golang-jwt/jwt/v5"}},
		{"being a client in an endpoint", in("callback", "golang.org/x/oauth2"), []string{"golang.org/x/oauth2"}},
		{"a password hash in an endpoint", in("callback", "golang.org/x/crypto/bcrypt"), []string{"golang.org/x/crypto/bcrypt"}},
		{"another package of the same repository", in("keys", "golang.org/x/crypto/hkdf"), nil},
		{"flags in a fact", in("clients", "github.com/spf13/cobra"), []string{"github.com/spf13/cobra"}},
		{"the guard with what it is made of", in("verify", "github.com/golang-jwt/jwt/v5", modulePath+"oauth", modulePath+"internal/fault", "net/http"), nil},
		{"the guard with a convenience", in("verify", "github.com/google/uuid"), []string{"github.com/google/uuid"}},
		{"the guard with the audit", in("verify", modulePath+"audit"), []string{modulePath + "audit", modulePath + "audit"}},
		{"protocol words with anything", in("oauth", modulePath+"internal/fault"), []string{modulePath + "internal/fault", modulePath + "internal/fault"}},
		{"an example with the broker's inside", in("examples/orders-api", modulePath+"internal/fault"), []string{modulePath + "internal/fault"}},
		{"Gin in the example about it", in("examples/gin-api", modulePath+"verify", "github.com/gin-gonic/gin"), nil},
		{"Gin in another example", in("examples/orders-api", "github.com/gin-gonic/gin"), []string{"github.com/gin-gonic/gin", "github.com/gin-gonic/gin"}},
		{"the example about Gin with the broker's inside", in("examples/gin-api", modulePath+"users"), []string{modulePath + "users", modulePath + "users"}},
	} {
		got := violations([]listed{row.p})
		if len(got) != len(row.want) {
			t.Errorf("%s: %q, want %d violations", row.rule, got, len(row.want))
			continue
		}
		for i, w := range row.want {
			if !strings.Contains(got[i], w) {
				t.Errorf("%s: %q does not name %s", row.rule, got[i], w)
			}
			if _, reason, ok := strings.Cut(got[i], ": "); !ok || len(reason) < 10 {
				t.Errorf("%s: %q gives no reason", row.rule, got[i])
			}
		}
	}
	var all []listed
	for _, r := range rooms {
		if !slices.Contains(notBuilt, r.path) {
			all = append(all, in(r.path))
		}
	}
	if diff := cmp.Diff([]string(nil), stale(all), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("a whole house has stale rules:\n%s", diff)
	}
	if got := stale(all[1:]); len(got) != 1 || !strings.Contains(got[0], all[0].ImportPath[len(modulePath):]) {
		t.Errorf("a room that was torn down: %q", got)
	}
	for _, path := range notBuilt {
		if got := stale(append(all, in(path))); len(got) != 1 || !strings.Contains(got[0], "take it off") {
			t.Errorf("a room that was built: %q", got)
		}
	}
}
