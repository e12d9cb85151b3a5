package config

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"example.com/broker/abac"
	"example.com/broker/internal/secret"
	"example.com/broker/keys"
	"example.com/broker/oauth"
	"example.com/broker/rbac"
)

// Words of the file that stand for a bool elsewhere.
const (
	pkceRequired  = "required"
	pkceOptional  = "optional"
	introspectOwn = "own"
	introspectAny = "any"
)

// Bounds of lifetimes.
const (
	maxAccess  = 24 * time.Hour
	maxCode    = 10 * time.Minute
	maxReuse   = 10 * time.Minute
	maxRefresh = 365 * 24 * time.Hour
	maxSession = 30 * 24 * time.Hour
	leastKept  = 24 * time.Hour // a shorter one is a slip that loses the audit log
)

// Validate lists everything that is wrong with a configuration, by key. dev allows what is for one's own computer: http on loopback. The
// positions are added by Sources.Join.
func Validate(c Config, dev bool) []Problem {
	v := &validator{c: c, dev: dev}
	v.issuer()
	v.listeners()
	v.proxies()
	v.tls()
	v.words()
	v.store()
	v.keys()
	v.lifetimes()
	v.password()
	v.docs()
	v.people()
	v.apis()
	v.providers()
	v.clients()
	v.policies()
	return v.out
}

type validator struct {
	c   Config
	dev bool
	out []Problem
}

func (v *validator) bad(key, format string, args ...any) {
	v.out = append(v.out, Problem{Key: key, Text: fmt.Sprintf(format, args...)})
}

func (v *validator) warn(key, format string, args ...any) {
	v.out = append(v.out, Problem{Key: key, Text: fmt.Sprintf(format, args...), Warning: true})
}

// oneOf says so if value is none of the words; "" is the default.
func (v *validator) oneOf(key, value string, words ...string) bool {
	if value == "" || slices.Contains(words, value) {
		return true
	}
	v.bad(key, "%q, expected one of %s", value, strings.Join(words, ", "))
	return false
}

// madeRole warns of a role that only the store can know.
func (v *validator) madeRole(key, role string) {
	if rbac.ValidName(role) && !rbac.BuiltIn(role) {
		v.warn(key, "%q is none of %s: it must be a role that an admin has made", role, strings.Join(rbac.Known(), ", "))
	}
}

// word is oneOf where nothing is no word: it would be a guess what is meant.
func (v *validator) word(key, value string, words ...string) {
	if value == "" {
		v.bad(key, "is empty, expected one of %s", strings.Join(words, ", "))
		return
	}
	v.oneOf(key, value, words...)
}

func item(key string, i int) string { return key + "[" + strconv.Itoa(i) + "]" }

func (v *validator) issuer() {
	const key = "issuer"
	raw := v.c.Issuer
	if raw == "" {
		v.bad(key, "is missing: set the public address, such as https://auth.example.com")
		return
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "":
		v.bad(key, "%q, expected an address such as https://auth.example.com", raw)
		return
	case u.User != nil:
		v.bad(key, "has user information, expected none")
		return
	// RFC 8414 §2: no query, no fragment.
	case strings.ContainsAny(raw, "?#"):
		v.bad(key, "%q has a query or a fragment, expected neither", raw)
	case strings.HasSuffix(raw, "/"):
		v.bad(key, "%q ends with a slash: write %s", raw, strings.TrimRight(raw, "/"))
	case u.EscapedPath() != "" && (path.Clean(u.Path) != u.Path || u.EscapedPath() != u.Path):
		v.bad(key, "%q has a path with empty, dot or escaped parts: write it plainly", raw)
	case u.Host != strings.ToLower(u.Host):
		v.bad(key, "%q: write the host in lower case, because issuers are compared byte by byte", raw)
	case strings.ContainsFunc(u.Host, func(r rune) bool { return r > unicode.MaxASCII }):
		v.bad(key, "%q: write the host as browsers send it, in ASCII (xn--...)", raw)
	case u.Scheme == "https" && u.Port() == "443":
		v.bad(key, "%q: leave out the port 443, as browsers do", raw)
	}
	switch {
	case u.Scheme == "https":
	case u.Scheme == "http" && v.dev && oauth.IsLoopbackHost(u.Hostname()):
	case u.Scheme == "http" && v.dev:
		v.bad(key, "%q must be https, or http on this computer", raw)
	default:
		v.bad(key, "%q must be https (use `broker dev` for local http)", raw)
	}
}

func (v *validator) listeners() {
	v.listen("listen", v.c.Listen, false)
	v.listen("ops.listen", v.c.Ops.Listen, true)
	if v.c.Listen != "" && v.c.Listen == v.c.Ops.Listen && !strings.HasSuffix(v.c.Listen, ":0") {
		v.bad("ops.listen", "%q is the address of listen too: choose another port", v.c.Ops.Listen)
	}
}

func (v *validator) listen(key, address string, optional bool) {
	if address == "" {
		if !optional {
			v.bad(key, "is empty, expected an address such as 127.0.0.1:8080")
		}
		return
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		v.bad(key, "%q, expected a host and a port such as 127.0.0.1:8080, or :8080 for all addresses", address)
		return
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		v.bad(key, "%q has the port %q, expected a number from 0 to 65535", address, port)
	} else if n == 0 && !v.dev {
		v.warn(key, "port 0 picks another port at each start")
	}
}

func (v *validator) proxies() {
	for i, raw := range v.c.TrustedProxies {
		key := item("trusted_proxies", i)
		if _, err := netip.ParseAddr(raw); err == nil {
			continue
		}
		n, err := netip.ParsePrefix(raw)
		if err != nil {
			v.bad(key, "%q, expected an address such as 10.0.0.7 or a network such as 10.0.0.0/8", raw)
			continue
		}
		// fc00::/7 is the widest network that is anybody's own.
		if widest := map[bool]int{true: 8, false: 7}[n.Addr().Is4()]; n.Bits() < widest || n.Addr().Is4In6() {
			v.bad(key, "%q would let strangers choose the address they seem to come from: name the networks of your proxies, at most as wide as /%d", raw, widest)
		}
	}
}

func (v *validator) tls() {
	t := v.c.TLS
	switch {
	case t.CertFile == "" && t.KeyFile == "":
	case t.CertFile == "":
		v.bad("tls.cert_file", "is missing: tls.key_file needs its certificate")
	case t.KeyFile == "":
		v.bad("tls.key_file", "is missing: tls.cert_file needs its key")
	default:
		missing := false
		for _, f := range [][2]string{{"tls.cert_file", t.CertFile}, {"tls.key_file", t.KeyFile}} {
			if _, err := os.Stat(f[1]); err != nil {
				missing = true
				v.bad(f[0], "%q cannot be read: %s", f[1], reason(err))
			}
		}
		if missing {
			return
		}
		if _, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile); err != nil {
			v.bad("tls.cert_file", "cannot be used with tls.key_file: %s", reason(err))
		}
	}
}

// words are the settings that are one of a few words, or shown to people.
func (v *validator) words() {
	v.oneOf("log.level", v.c.Log.Level, "debug", "info", "warn", "error")
	v.oneOf("log.format", v.c.Log.Format, "auto", "text", "json")
	v.word("revocation.mode", v.c.Revocation.Mode, Blocklist, Allowlist)
	v.word("revocation.feed", v.c.Revocation.Feed, FeedClients, FeedAnyone)
	v.shown("product.name", v.c.Product.Name, 60)
	v.shown("product.support", v.c.Product.Support, 200)
	if v.c.Product.Name == "" {
		v.bad("product.name", "is empty, expected the name that people know")
	}
}

// shown says so if a text cannot be shown to people in one line.
func (v *validator) shown(key, value string, most int) {
	switch n := len([]rune(value)); {
	case n > most:
		v.bad(key, "has %d characters, expected at most %d", n, most)
	case strings.ContainsFunc(value, unicode.IsControl):
		v.bad(key, "%q has control characters, expected one line of text", value)
	}
}

func (v *validator) store() {
	s := v.c.Store
	if s.Mongo.URI == "" {
		if s.SQLite.Path == "" {
			v.bad("store.sqlite.path", "is empty, expected the path of a file (or set store.mongo.uri)")
		}
		return
	}
	if s.SQLite.Path != "" && s.SQLite.Path != Default().Store.SQLite.Path {
		v.bad("store.sqlite.path", "is set beside store.mongo.uri: keep one of them")
	}
	if !strings.HasPrefix(s.Mongo.URI, "mongodb://") && !strings.HasPrefix(s.Mongo.URI, "mongodb+srv://") {
		v.bad("store.mongo.uri", "is not a connection string that begins with mongodb:// or mongodb+srv:// (the value is not shown)")
	}
	if db := s.Mongo.Database; db == "" || len(db) > 63 || strings.ContainsAny(db, "/\\. \"$*<>:|?\x00") {
		v.bad("store.mongo.database", "%.80q, expected 1 to 63 characters without spaces and / \\ . \" $ * < > : | ?", db)
	}
}

func (v *validator) keys() {
	const key = "keys.encryption"
	if len(v.c.Keys.Encryption) == 0 {
		v.bad(key, "is missing: make one with openssl rand -base64 32 and keep it, everything sealed needs it")
	}
	seen := map[string]int{}
	for i, text := range v.c.Keys.Encryption {
		if fault := weakKey(text); fault != "" {
			v.bad(item(key, i), "%s: make one with openssl rand -base64 32 (the value is not shown)", fault)
		}
		if first, ok := seen[text]; ok {
			v.bad(item(key, i), "is the same as %s: remove it", item(key, first))
			continue
		}
		seen[text] = i
	}
	ahead := keys.DefaultJWKSMaxAge + keys.Margin
	if v.c.Keys.PublishAhead < ahead {
		v.bad("keys.publish_ahead", "%s, expected at least %s: verifiers keep the key set for %s",
			formatDuration(v.c.Keys.PublishAhead), formatDuration(ahead), formatDuration(keys.DefaultJWKSMaxAge))
	}
	if v.c.Keys.RotateEvery <= v.c.Keys.PublishAhead {
		v.bad("keys.rotate_every", "%s, expected more than keys.publish_ahead (%s)", formatDuration(v.c.Keys.RotateEvery), formatDuration(v.c.Keys.PublishAhead))
	}
}

// weakKey says why an encryption key is none, "" if it may be one. A random key has neither a pattern nor the bytes of typed text: each
// is less likely than 1 in 10^12.
func weakKey(text string) string {
	key, err := base64.StdEncoding.DecodeString(text)
	switch {
	case err != nil:
		return "is not base64 (of the standard alphabet, with padding)"
	case len(key) != secret.KeySize:
		return fmt.Sprintf("has %d bytes, expected %d", len(key), secret.KeySize)
	}
	steps, bytes, typed := map[byte]bool{}, map[byte]bool{}, true
	for i, b := range key {
		bytes[b] = true
		typed = typed && b >= ' ' && b <= '~'
		if i > 0 {
			steps[b-key[i-1]] = true
		}
	}
	if len(bytes) < 12 || len(steps) < 8 || typed {
		return "is not random"
	}
	return ""
}

func (v *validator) lifetimes() {
	t, s := v.c.Tokens, v.c.Sessions
	v.between("tokens.access_ttl", t.AccessTTL, time.Second, maxAccess)
	v.between("tokens.code_ttl", t.CodeTTL, time.Second, maxCode)
	v.between("tokens.refresh_idle", t.RefreshIdle, time.Second, maxRefresh)
	v.between("tokens.refresh_absolute", t.RefreshAbsolute, time.Second, maxRefresh)
	v.between("tokens.reuse_interval", t.ReuseInterval, 0, maxReuse)
	if keep := v.c.Audit.Keep; keep != 0 && keep < leastKept {
		v.bad("audit.keep", "%s, expected at least %s, or 0 to keep audit events for ever", formatDuration(keep), formatDuration(leastKept))
	}
	v.between("sessions.idle", s.Idle, time.Second, maxSession)
	v.between("sessions.absolute", s.Absolute, time.Second, maxSession)
	if t.RefreshIdle > t.RefreshAbsolute {
		v.bad("tokens.refresh_idle", "%s, expected at most tokens.refresh_absolute (%s)", formatDuration(t.RefreshIdle), formatDuration(t.RefreshAbsolute))
	}
	if s.Idle > s.Absolute {
		v.bad("sessions.idle", "%s, expected at most sessions.absolute (%s)", formatDuration(s.Idle), formatDuration(s.Absolute))
	}
}

// docs holds the client of the page /docs to what signing in there takes.
func (v *validator) docs() {
	const key = "tools.docs_client"
	id := v.c.Tools.DocsClient
	c, ok := v.c.Clients[id]
	if !ok {
		return // none, or made at run time
	}
	redirect := strings.TrimSuffix(v.c.Issuer, "/") + "/docs/oauth2-redirect.html"
	switch {
	case c.Secret != "":
		v.bad(key, "%q has a secret, which a page cannot keep: name a public client", id)
	case !slices.Contains(c.RedirectURIs, redirect):
		v.bad(key, "%q cannot come back to the page: add %s to clients.%s.redirect_uris", id, redirect, id)
	}
}

// policies reads and compiles the folder of policies, so that what serve would refuse to start with is known before.
func (v *validator) policies() {
	const key = "policies.dir"
	dir := v.c.Policies.Dir
	if dir == "" {
		return
	}
	sets, err := abac.ReadAll(os.DirFS(dir), ".")
	if sets == nil && err != nil {
		v.bad(key, "%q cannot be read: %s", dir, reason(err))
		return
	}
	if err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			v.bad(key, "%s", line)
		}
	}
	for _, app := range slices.Sorted(maps.Keys(sets)) {
		_, err := abac.Compile(sets[app])
		for _, f := range abac.Findings(filepath.Join(dir, app), err) {
			v.out = append(v.out, Problem{Where: f.Where, Key: key, Text: f.Text, named: true})
		}
	}
}

func (v *validator) between(key string, d, least, most time.Duration) {
	if d < least || d > most {
		v.bad(key, "%s, expected %s to %s", formatDuration(d), formatDuration(least), formatDuration(most))
	}
}

func (v *validator) password() {
	p := v.c.Password
	if p.MinLength < 8 || p.MinLength > 128 {
		v.bad("password.min_length", "%d, expected 8 to 128", p.MinLength)
	}
	if p.DefaultClient == "" {
		return
	}
	const key = "password.default_client"
	c, ok := v.c.Clients[p.DefaultClient]
	switch {
	case !ok:
		v.bad(key, "%q is not a client of this configuration, expected %s", p.DefaultClient, listOf(maps.Keys(v.c.Clients)))
	case !c.FirstParty:
		v.bad(key, "%q is not a first-party client: set clients.%s.first_party", p.DefaultClient, p.DefaultClient)
	case !slices.Contains(c.GrantTypes, oauth.GrantPassword):
		v.bad(key, "%q does not list the grant password: add it to clients.%s.grant_types", p.DefaultClient, p.DefaultClient)
	}
}

func (v *validator) people() {
	r := v.c.Registration
	switch {
	case r.DefaultRole == rbac.Admin:
		v.bad("registration.default_role", "%q would make everybody an admin: expected %s or %s, or nothing", r.DefaultRole, rbac.Editor, rbac.Viewer)
	case r.DefaultRole != "" && !rbac.ValidName(r.DefaultRole):
		v.bad("registration.default_role", "%q is not the name of a role, such as %s", r.DefaultRole, rbac.Viewer)
	case r.DefaultRole != "":
		v.madeRole("registration.default_role", r.DefaultRole)
	}
	if err := rbac.CheckRules(v.c.MappingRules(), func(role string) bool { return role != "" }); err != nil {
		v.bad("roles.rules", "%s", err)
	}
	for id, rule := range v.c.Roles.Rules {
		if _, ok := v.c.Providers[rule.Provider]; rule.Provider != "" && !ok {
			v.bad("roles.rules."+id+".provider", "%q is not a provider of this configuration, expected %s", rule.Provider, listOf(maps.Keys(v.c.Providers)))
		}
	}
	if r.Password && !v.c.Password.Enabled {
		v.bad("registration.password", "true, but password.enabled is false: set both or none")
	}
	for i, who := range v.c.Bootstrap.Admins {
		v.admin(item("bootstrap.admins", i), who)
	}
}

// admin checks an entry of bootstrap.admins.
func (v *validator) admin(key, who string) {
	provider, subject, pair := strings.Cut(who, ":")
	local, domain, address := strings.Cut(who, "@")
	switch _, known := v.c.Providers[provider]; {
	case strings.ContainsFunc(who, unicode.IsSpace):
		v.bad(key, "%q has spaces, expected <provider>:<subject> such as github:583231, or an address", who)
	case pair && known && subject != "":
		if v.c.Providers[provider].kind(provider) == KindGitHub && strings.ContainsFunc(subject, func(r rune) bool { return r < '0' || r > '9' }) {
			v.bad(key, "%q: the subject of a GitHub account is its number, not its login; see https://api.github.com/users/%s", who, url.PathEscape(subject))
		}
	case address && local != "" && domain != "" && !strings.ContainsAny(domain, "@:"):
	case pair && subject != "" && validID(provider):
		v.bad(key, "%q names the provider %q, expected %s", who, provider, listOf(maps.Keys(v.c.Providers)))
	default:
		v.bad(key, "%q, expected <provider>:<subject> such as github:583231, or an address", who)
	}
}

// listOf names the ids there are, for messages.
func listOf(ids func(func(string) bool)) string {
	all := slices.Sorted(ids)
	switch len(all) {
	case 0:
		return "one that is configured (there is none)"
	case 1:
		return all[0]
	}
	return "one of " + strings.Join(all, ", ")
}
