package config_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/broker/config"
)

const (
	key    = "qL6r0k9vHTeeVZ5yP0b2mJ8n1mC7dQ4sXw3uYt6oGzE="
	secret = "kX2-9fQ7vLr4Ws8ZpYt1uHc6Ne3Gd5Bm"
)

// good is a whole configuration; %s is where a test adds to it.
const good = `issuer: https://auth.example.com
keys:
  encryption: ["` + key + `"]
providers:
  github:
    client_id: gh
    client_secret: ` + secret + `
  corp:
    issuer: https://login.corp.example
    client_id: broker
    client_secret: ` + secret + `
apis:
  orders:
    audience: https://orders.example.com
    scopes: [orders:read, orders:write]
clients:
  web:
    redirect_uris: [https://app.example.com/callback]
    apis: [orders]
  cli:
    first_party: true
    grant_types: [password, refresh_token]
  job:
    client_secret: ` + secret + `
    grant_types: [client_credentials]
password:
  default_client: cli
bootstrap:
  admins: ["github:583231", "corp:9f:1", boss@example.com]
trusted_proxies: [10.0.0.0/8, fc00::/7, 192.0.2.7]
`

// write puts a broker.yaml into a new working directory.
func write(t *testing.T, yaml string) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile(config.FileName, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
}

func lines(t *testing.T, problems []config.Problem) string {
	t.Helper()
	var b bytes.Buffer
	if err := config.Print(&b, problems); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func check(t *testing.T, o config.LoadOptions) (config.Config, string) {
	t.Helper()
	c, _, problems := config.Check(o)
	return c, lines(t, problems)
}

const none = "0 problems, 0 warnings.  Docs: docs/reference/config.md\n"

func TestAWholeConfigurationHasNoProblems(t *testing.T) {
	write(t, good)
	if _, got := check(t, config.LoadOptions{File: config.FileName}); got != none {
		t.Errorf("got:\n%s", got)
	}
}

func TestEveryProblemIsListedAtOnceWithItsPosition(t *testing.T) {
	write(t, `issuer: http://auth.example.com
keys:
  encryption: ["`+key+`"]
providers:
  github:
    clientid: gh
    client_secret: `+secret+`
clients:
  web:
    redirect_uris:
      - https://app.example.com/callback
      - https://app.example.com/*
`)
	_, got := check(t, config.LoadOptions{File: config.FileName, Environ: []string{"BROKER_ISSUER=http://auth.example.org", "PATH=/bin"}})
	want := "broker.yaml:6:5  providers.github.clientid  unknown key; did you mean client_id?\n" +
		"broker.yaml:12:9  clients.web.redirect_uris[1]  \"https://app.example.com/*\": wildcards not allowed; list each address\n" +
		"env BROKER_ISSUER  \"http://auth.example.org\" must be https (use `broker dev` for local http)\n" +
		"3 problems, 0 warnings.  Docs: docs/reference/config.md\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestBadConfigurations compares the lines for many mistakes with a golden file: each row is added to, or replaces lines of, a good
// configuration.
func TestBadConfigurations(t *testing.T) {
	replace := func(old, now string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%q is not in the good configuration", old)
		}
		return strings.Replace(good, old, now, 1)
	}
	issuer := func(value string) string { return replace("issuer: https://auth.example.com", "issuer: "+value) }
	encryption := func(value string) string { return replace(`["`+key+`"]`, value) }
	inWeb := func(text string) string { return replace("  web:\n", "  web:\n    "+text+"\n") }
	inGitHub := func(text string) string { return replace("  github:\n", "  github:\n    "+text+"\n") }
	inCorp := func(text string) string { return replace("  corp:\n", "  corp:\n    "+text+"\n") }
	inOrders := func(text string) string { return replace("  orders:\n", "  orders:\n    "+text+"\n") }
	rows := []struct {
		name, yaml string
		env        []string
		flags      map[string]string
		dev        bool
	}{
		{name: "nothing at all", yaml: ""},
		{name: "only a comment", yaml: "# later\n"},
		{name: "not YAML", yaml: "issuer: [\nlisten: x"},
		{name: "an unquoted secret that begins with an asterisk", yaml: "issuer: *hunter2hunter2\n"},
		{name: "a list as the file", yaml: "- a\n"},
		{name: "two documents", yaml: "issuer: https://a.example\n---\nissuer: https://b.example\n"},
		{name: "a key twice", yaml: good + "issuer: https://b.example\n"},
		{name: "merge keys", yaml: good + "log: &log\n  level: info\nops:\n  <<: *log\n"},
		{name: "an unknown key near a known one", yaml: good + "sesions:\n  idle: 1h\n"},
		{name: "an unknown key far from any", yaml: good + "telemetry: true\n"},
		{name: "text where keys are expected", yaml: good + "tls: on\n"},
		{name: "a number for a text", yaml: inGitHub("name: 42")},
		{name: "a text for a list", yaml: good + "sessions:\n  idle: [1h]\nproduct:\n  name: {a: b}\n"},
		{name: "a scalar for a list", yaml: replace("[https://app.example.com/callback]", "https://app.example.com/callback")},
		{name: "a bool in words", yaml: inWeb("first_party: yes please")},
		{name: "durations", yaml: good + "sessions:\n  idle: 900\n  absolute: 12 hours\ntokens:\n  access_ttl: -5m\n  code_ttl: 0x10\n"},
		{name: "a number that is none", yaml: good + "registration:\n  default_role: null\n  open: 1\n"},
		{name: "a secret of the wrong type", yaml: encryption("{a: " + key + "}")},
		{name: "secrets of the wrong type", yaml: encryption("[12345678, " + key + "]")},
		{name: "a file that is not there", yaml: replace("client_secret: "+secret+"\n  corp", "client_secret_file: nowhere\n  corp")},
		{name: "a secret and its file", yaml: inGitHub("client_secret_file: broker.yaml")},
		{name: "lifetimes out of bounds", yaml: good + "tokens:\n  access_ttl: 25h\n  code_ttl: 11m\n  reuse_interval: 601s\n  refresh_idle: 31d\n  refresh_absolute: 30d\nsessions:\n  idle: 13h\n"},
		{name: "an audit log that is kept for less than a day", yaml: good + "audit:\n  keep: 365m\n"},
		{name: "key schedule", yaml: replace("keys:\n", "keys:\n  publish_ahead: 5m\n  rotate_every: 1m\n")},

		{name: "issuer missing", yaml: replace("issuer: https://auth.example.com\n", "")},
		{name: "issuer http", yaml: issuer("http://auth.example.com")},
		{name: "issuer http on loopback", yaml: issuer("http://localhost:8080")},
		{name: "issuer http on loopback in dev", yaml: issuer("http://localhost:8080"), dev: true},
		{name: "issuer http elsewhere in dev", yaml: issuer("http://auth.example.com"), dev: true},
		{name: "issuer with a query", yaml: issuer("https://auth.example.com/?a=b")},
		{name: "issuer with an empty fragment", yaml: issuer(`"https://auth.example.com/x#"`)},
		{name: "issuer with a slash at the end", yaml: issuer("https://auth.example.com/")},
		{name: "issuer with a path", yaml: issuer("https://auth.example.com/tenant/a")},
		{name: "issuer with dots", yaml: issuer("https://auth.example.com/a/../b")},
		{name: "issuer with credentials", yaml: issuer("https://me:hunter2@auth.example.com")},
		{name: "issuer in capitals", yaml: issuer("https://Auth.example.com")},
		{name: "issuer beyond ASCII", yaml: issuer("https://bücher.example.com")},
		{name: "issuer with the port that browsers leave out", yaml: issuer("https://auth.example.com:443")},
		{name: "issuer http beside a key like it", yaml: issuer("http://auth.example.com\nisuer: x")},
		{name: "issuer http beside a variable like it", yaml: issuer("http://auth.example.com"), env: []string{"BROKER_ISUER=x"}},
		{name: "issuer mistyped", yaml: replace("issuer:", "isuer:")},
		{name: "issuer without a host", yaml: issuer("https:///x")},
		{name: "issuer is a word", yaml: issuer("auth")},

		{name: "no encryption key", yaml: encryption("[]")},
		{name: "a short encryption key", yaml: encryption(`["c2hvcnQ="]`)},
		{name: "a zero encryption key", yaml: encryption(`["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]`)},
		{name: "a counting encryption key", yaml: encryption(`["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="]`)},
		{name: "a typed encryption key", yaml: encryption(`["Y29ycmVjdCBob3JzZSBiYXR0ZXJ5IHN0YXBsZSwgb2s="]`)},
		{name: "an encryption key that is no base64", yaml: encryption(`["hunter2!"]`)},
		{name: "the same encryption key twice", yaml: encryption(`["` + key + `", "` + key + `"]`)},

		{name: "two stores", yaml: good + "store:\n  sqlite:\n    path: data/broker.db\n  mongo:\n    uri: mongodb://user:hunter2@db\n"},
		{name: "a store that is not Mongo", yaml: good + "store:\n  mongo:\n    uri: postgres://user:hunter2@db\n    database: a.b\n"},
		{name: "no store", yaml: good + "store:\n  sqlite:\n    path: ''\n"},

		{name: "trusting everybody", yaml: replace("[10.0.0.0/8, fc00::/7, 192.0.2.7]", `[0.0.0.0/0, "::/0", 0.0.0.0/1, "::ffff:0:0/96", 10.0.0.0/99, proxy]`)},
		{name: "listeners", yaml: good + "listen: 8080\nops:\n  listen: 127.0.0.1:99999\n"},
		{name: "one address twice", yaml: good + "listen: :8080\nops:\n  listen: :8080\n"},
		{name: "any port", yaml: good + "listen: :0\nops:\n  listen: ''\n"},
		{name: "half of TLS", yaml: good + "tls:\n  cert_file: cert.pem\n"},
		{name: "TLS files that are not there", yaml: good + "tls:\n  cert_file: cert.pem\n  key_file: key.pem\n"},
		{name: "logs", yaml: good + "log:\n  level: verbose\n  format: xml\n"},
		{name: "product", yaml: good + "product:\n  name: ''\n  support: \"a\\nb\"\n"},
		{name: "revocation", yaml: good + "revocation:\n  mode: allow\n  feed: ''\n"},

		{name: "a provider with nothing", yaml: replace("  corp:\n    issuer: https://login.corp.example\n    client_id: broker\n    client_secret: "+secret+"\n", "  corp: {}\n")},
		{name: "an unknown kind", yaml: inCorp("kind: saml")},
		{name: "ids that are paths", yaml: good + "registration:\n  default_role: viewer\n", env: []string{"BROKER_PROVIDERS__LINK__KIND=github"}},
		{name: "a provider id with a slash", yaml: replace("  corp:\n", "  a/b:\n")},
		{name: "a GitHub with what is for others", yaml: inGitHub("issuer: https://github.com\n    subject_claim: login\n    hosted_domains: [example.com]\n    auth_url: https://ghe.example/login")},
		{name: "an OpenID provider with what is for others", yaml: inCorp("auth_url: https://x.example\n    hosted_domains: ['*']")},
		{name: "an http issuer", yaml: replace("https://login.corp.example", "http://login.corp.example")},
		{name: "provider words", yaml: inCorp("linking: always\n    token_endpoint_auth_method: private_key_jwt\n    scopes: [openid email]\n    ca_file: nowhere.pem")},
		{name: "admins", yaml: replace(`["github:583231", "corp:9f:1", boss@example.com]`, `["github:octocat", "gitlab:1", "github:", nobody, "a b@example.com"]`)},

		{name: "a client without addresses", yaml: replace("    redirect_uris: [https://app.example.com/callback]\n", "")},
		{name: "addresses that no app has", yaml: replace("[https://app.example.com/callback]", `["javascript:alert(1)", "http://app.example.com/cb", "https://a@b.example/", "https://app.example.com/#x", "", "/cb", "com.example.app:/cb", "http://127.0.0.1/cb"]`)},
		{name: "a short client secret", yaml: inWeb("client_secret: hunter2")},
		{name: "a client secret of one letter", yaml: inWeb("client_secret: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")},
		{name: "a secret for a public client", yaml: inWeb("token_endpoint_auth_method: none\n    client_secret: " + secret)},
		{name: "a confidential client without a secret", yaml: inWeb("token_endpoint_auth_method: client_secret_post")},
		{name: "client words", yaml: inWeb("pkce: plain\n    introspect: some\n    id_token_signed_response_alg: none\n    token_endpoint_auth_method: basic\n    grant_types: [implicit]")},
		{name: "more than a public client may", yaml: inWeb("pkce: optional\n    introspect: any\n    grant_types: [authorization_code, client_credentials, password]")},
		{name: "references to nothing", yaml: replace("    apis: [orders]\n", "    apis: [order]\n    default_api: orders\n    providers: [gitlab, password]\n    scopes: ['a b', orders-read, 'articles:read', openid]\n")},
		{name: "a client id with a space", yaml: replace("  web:\n", "  my app:\n")},
		{name: "client addresses beside", yaml: inWeb("post_logout_redirect_uris: ['https://app.example.com/*']\n    initiate_login_uri: http://app.example.com/login\n    allowed_origins: [https://app.example.com/]")},
		{name: "a docs client that does not know the page", yaml: good + "tools:\n  docs_client: web\n"},
		{name: "a docs client with a secret", yaml: good + "tools:\n  docs_client: job\n"},
		{name: "default client", yaml: replace("default_client: cli", "default_client: clix")},
		{name: "default client without the grant", yaml: replace("grant_types: [password, refresh_token]", "redirect_uris: [https://x.example/]")},
		{name: "default client of others", yaml: replace("    first_party: true\n", "")},
		{name: "password", yaml: replace("password:\n", "registration:\n  password: true\npassword:\n  enabled: false\n  min_length: 7\n")},
		{name: "admin for everybody", yaml: good + "registration:\n  default_role: admin\n"},
		{name: "a role that is none", yaml: good + "registration:\n  default_role: owner\n"},

		{name: "an API without an audience", yaml: replace("    audience: https://orders.example.com\n", "")},
		{name: "an API that is the broker", yaml: replace("https://orders.example.com", "https://auth.example.com")},
		{name: "an audience that is none", yaml: replace("https://orders.example.com", "orders")},
		{name: "an audience with a fragment", yaml: replace("https://orders.example.com", "https://orders.example.com/#x")},
		{name: "an audience twice", yaml: replace("apis:\n  orders:", "apis:\n  bills: {audience: 'https://orders.example.com'}\n  orders:")},
		{name: "API words", yaml: inOrders("access_token: {alg: HS256, typ: jwt, ttl: 25h}\n    roles: [owner]")},
		{name: "scopes of OpenID", yaml: replace("[orders:read, orders:write]", "[openid, 'a b']")},

		{name: "unknown variables", yaml: good, env: []string{
			"BROKER_STORE_MONGO_URI=mongodb://user:hunter2@db", "BROKER_PROVIDERS__GITHUB__CLIENTID=x", "BROKER_ISUER=x", "BROKER_XYZZY=hunter2",
			"BROKER_PROVIDERS__GITHUB__CLIENTSECRET_FILE=hunter2", "BROKER_STORE=x", "BROKER_PROVIDERS__GITHUB=x", "BROKER_PROVIDERS____CLIENT_ID=x", "BROKER_PORT=8080",
		}},
		{name: "variables of the wrong type", yaml: good, env: []string{"BROKER_PASSWORD__ENABLED=1", "BROKER_PASSWORD__MIN_LENGTH=ten", "BROKER_SESSIONS__IDLE=1 h"}},
		{name: "a variable and its file", yaml: good, env: []string{"BROKER_ISSUER=https://x.example", "BROKER_ISSUER_FILE=broker.yaml"}},
		{name: "a variable with a file that is not there", yaml: good, env: []string{"BROKER_KEYS__ENCRYPTION_FILE=nowhere"}},
		{name: "a bad item of a variable", yaml: good, env: []string{"BROKER_CLIENTS__WEB__REDIRECT_URIS=https://a.example/cb, https://*.example/cb"}},
		{name: "flags", yaml: good, flags: map[string]string{"listen": "8080", "ops.listen": "x", "log.level": "loud"}},
	}
	var b strings.Builder
	for _, r := range rows {
		write(t, r.yaml)
		_, got := check(t, config.LoadOptions{File: config.FileName, Environ: r.env, Flags: r.flags, Dev: r.dev})
		got = strings.TrimSuffix(got, "  Docs: docs/reference/config.md\n")
		for _, s := range []string{secret, key, "hunter2"} {
			if strings.Contains(got, s) {
				t.Errorf("%s: the lines hold the secret %q:\n%s", r.name, s, got)
			}
		}
		fmt.Fprintf(&b, "== %s\n%s\n\n", r.name, got)
	}
	golden(t, filepath.Join(here, "testdata", "problems.golden"), b.String())
}

// here is the package's folder, which tests leave.
var here = func() string {
	dir, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	return dir
}()

func TestFlagsBeatTheEnvironmentTheFileAndDefaults(t *testing.T) {
	rows := []struct {
		name, yaml  string
		env         []string
		flags       map[string]string
		want, place string
	}{
		{"the default", "", nil, nil, "127.0.0.1:8080", "default"},
		{"the file beats the default", "listen: :1\n", nil, nil, ":1", "broker.yaml:1:9"},
		{"the environment beats the file", "listen: :1\n", []string{"BROKER_LISTEN=:2"}, nil, ":2", "env BROKER_LISTEN"},
		{"a flag beats the environment", "listen: :1\n", []string{"BROKER_LISTEN=:2"}, map[string]string{"listen": ":3"}, ":3", "flag --listen"},
		{"null in the file is the default", "listen: ~\n", nil, nil, "127.0.0.1:8080", "default"},
		{"a file of the environment", "listen: :1\n", []string{"BROKER_LISTEN_FILE=value"}, nil, ":4", "env BROKER_LISTEN_FILE (in value)"},
		{"a file of the file", "listen_file: value\n", nil, nil, ":4", "broker.yaml:1:14 (in value)"},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			write(t, r.yaml)
			if err := os.WriteFile("value", []byte(":4\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			c, at, problems := config.Load(config.LoadOptions{File: config.FileName, Environ: r.env, Flags: r.flags})
			if len(problems) > 0 {
				t.Fatal(lines(t, problems))
			}
			if c.Listen != r.want || at.Of("listen") != r.place {
				t.Errorf("listen is %q from %q, want %q from %q", c.Listen, at.Of("listen"), r.want, r.place)
			}
		})
	}
}

func TestTheEnvironmentReachesEveryKind(t *testing.T) {
	write(t, "clients:\n  Web.App:\n    name: from the file\nproviders:\n  github:\n    client_id: old\n    name: Hub\n")
	if err := os.WriteFile("keys", []byte("one\ntwo\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, _, problems := config.Load(config.LoadOptions{File: config.FileName, Environ: []string{
		"BROKER_PROVIDERS__GITHUB__CLIENT_ID=new", "BROKER_CLIENTS__WEB_APP__REDIRECT_URIS=https://a.example, https://b.example",
		"BROKER_CLIENTS__OTHER_APP__FIRST_PARTY=true", "BROKER_SESSIONS__IDLE=1d2h", "BROKER_PASSWORD__MIN_LENGTH=20", "BROKER_KEYS__ENCRYPTION_FILE=keys",
		"BROKER_PROVIDERS__GITHUB__REGISTRATION=false", "BROKER_TRUSTED_PROXIES=", "BROKER_OPS__LISTEN=",
	}})
	if len(problems) > 0 {
		t.Fatal(lines(t, problems))
	}
	if got, want := c.Clients["Web.App"].RedirectURIs, []string{"https://a.example", "https://b.example"}; !cmp.Equal(got, want) {
		t.Errorf("redirect_uris are %q", got)
	}
	p := c.Providers["github"]
	ok := c.Clients["Web.App"].Name == "from the file" && c.Clients["other-app"].FirstParty && c.Sessions.Idle == 26*time.Hour &&
		c.Password.MinLength == 20 && p.ClientID == "new" && p.Name == "Hub" && p.Registration != nil && !*p.Registration && c.Ops.Listen == "" &&
		cmp.Equal(c.Keys.Encryption, []string{"one", "two"})
	if !ok {
		t.Errorf("got %+v", c)
	}
}

func TestTwoIdsOfOneLookAreRefused(t *testing.T) {
	write(t, "clients:\n  my-app: {}\n  my_app: {}\n")
	_, _, problems := config.Load(config.LoadOptions{File: config.FileName, Environ: []string{"BROKER_CLIENTS__MY_APP__NAME=x"}})
	want := "env BROKER_CLIENTS__MY_APP__NAME  may mean each of my-app, my_app: set it in the file\n"
	if got := lines(t, problems); !strings.HasPrefix(got, want) {
		t.Errorf("got %s", got)
	}
}

func TestServiceLinksOfKubernetesAreIgnored(t *testing.T) {
	write(t, good)
	_, got := check(t, config.LoadOptions{File: config.FileName, Environ: []string{
		"BROKER_PORT=tcp://10.0.0.1:80", "BROKER_SERVICE_HOST=10.0.0.1", "BROKER_SERVICE_PORT=80", "BROKER_SERVICE_PORT_HTTP=80",
		"BROKER_PORT_80_TCP=tcp://10.0.0.1:80", "BROKER_PORT_80_TCP_PROTO=tcp", "BROKER_PORT_80_TCP_PORT=80", "BROKER_PORT_80_TCP_ADDR=10.0.0.1",
		"BROKER_DB_SERVICE_HOST=10.0.0.2", "BROKER_DB_PORT=tcp://10.0.0.2:5432", "BROKER_DB_PORT_5432_TCP=tcp://10.0.0.2:5432", "BROKERAGE=x",
	}})
	if got != none {
		t.Errorf("got:\n%s", got)
	}
}

func TestAFileThatIsNotThere(t *testing.T) {
	t.Chdir(t.TempDir())
	_, got := check(t, config.LoadOptions{File: "other.yaml"})
	want := "other.yaml  cannot be read: no such file or directory\n1 problem, 0 warnings.  Docs: docs/reference/config.md\n"
	if got != want {
		t.Errorf("got %s", got)
	}
	if got := config.FindFile(""); got != "" {
		t.Errorf("found %q", got)
	}
}

func TestWhatIsInEffectIsPrintedWithoutSecrets(t *testing.T) {
	write(t, good+"log:\n  level: debug\n")
	if err := os.WriteFile("gh", []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"BROKER_PROVIDERS__GITHUB__CLIENT_SECRET_FILE=gh", "BROKER_SESSIONS__IDLE=90m", "BROKER_CLIENTS__WEB__NAME=true"}
	c, at, problems := config.Check(config.LoadOptions{File: config.FileName, Environ: env, Flags: map[string]string{"listen": ":80"}})
	if config.Failed(problems) {
		t.Fatal(lines(t, problems))
	}
	var plain, sourced bytes.Buffer
	if err := config.Write(&plain, c, at, false); err != nil {
		t.Fatal(err)
	}
	if err := config.Write(&sourced, c, at, true); err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{plain.String(), sourced.String()} {
		if strings.Contains(out, secret) || strings.Contains(out, key) {
			t.Errorf("secrets are printed:\n%s", out)
		}
	}
	golden(t, filepath.Join(here, "testdata", "print.golden"), plain.String()+"\n# --sources\n"+sourced.String())

	// What is printed can be read again, secrets apart.
	write(t, strings.ReplaceAll(plain.String(), "'[redacted]'", secret))
	again, _, problems := config.Load(config.LoadOptions{File: config.FileName, Environ: []string{"BROKER_PROVIDERS__GITHUB__CLIENT_SECRET=" + secret}})
	if again.Issuer != c.Issuer || !cmp.Equal(again.Sessions, c.Sessions) || !cmp.Equal(again.Clients["web"], c.Clients["web"]) {
		t.Errorf("read again: %+v\n%s", again, lines(t, problems))
	}
}

func TestRegistered(t *testing.T) {
	write(t, good+"registration: {open: false}\n")
	c, got := check(t, config.LoadOptions{File: config.FileName, Environ: []string{
		"BROKER_PROVIDERS__GOOGLE__CLIENT_ID=g", "BROKER_PROVIDERS__GOOGLE__CLIENT_SECRET=" + secret,
	}})
	if got != none {
		t.Fatal(got)
	}
	var ids []string
	for _, p := range c.RegisteredProviders(time.Now) {
		ids = append(ids, p.ID+" "+p.Kind+" "+p.Name+" "+p.Namespace+" "+p.RedirectURI+" "+string(p.Linking))
	}
	want := []string{
		"google google Google  https://auth.example.com/callback/google prove",
		"github github GitHub  https://auth.example.com/callback/github prove",
		"corp oidc corp https://login.corp.example https://auth.example.com/callback/corp prove",
	}
	if diff := cmp.Diff(want, ids); diff != "" {
		t.Errorf("providers -want +got:\n%s", diff)
	}
	registered := c.RegisteredClients()
	var methods []string
	for _, r := range registered {
		methods = append(methods, fmt.Sprint(r.ID, " ", r.AuthMethod, " ", len(r.SecretHashes), " ", r.GrantTypes, " ", r.Scopes == nil))
	}
	wantClients := []string{
		"cli none 0 [password refresh_token] true", "job client_secret_basic 1 [client_credentials] true",
		"web none 0 [authorization_code refresh_token] true",
	}
	if diff := cmp.Diff(wantClients, methods); diff != "" {
		t.Errorf("clients -want +got:\n%s", diff)
	}
	if a := c.RegisteredAPIs()[0]; a.Alg != "ES256" || a.Typ != "at+jwt" || a.ID != "orders" {
		t.Errorf("API %+v", a)
	}
}

// What serve would refuse in a folder of policies is listed with the rest, at its place in the files.
func TestTheFolderOfPoliciesIsChecked(t *testing.T) {
	write(t, good+"policies:\n  dir: rules\nsesions: {}\n")
	for name, text := range map[string]string{
		"rules/shop/schema.cedarschema": "entity user;\naction buy appliesTo { principal: user, resource: user };\n",
		"rules/shop/long.cedar":         "permit (\n  principal is robot, action, resource\n);\npermit (principal, action, resource) when { principal.age > 1 };\n",
		"rules/till/schema.cedarschema": "entity user in [team];\n",
		"rules/empty/readme.txt":        "",
		"rules/UPPER/one.cedar":         "permit (principal, action, resource);",
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, got := check(t, config.LoadOptions{File: config.FileName})
	for _, want := range []string{
		"rules/shop/long.cedar:2:16  Unrecognized entity type `robot`.\n",
		"rules/shop/long.cedar:4:55  Attribute `age` on entity type `user` not found.\n",
		"rules/till/schema.cedarschema:1:17  Entity \"user\": undefined entity type \"team\".\n",
		"rules/UPPER  \"UPPER\" names no application",
		"broker.yaml:32:8  policies.dir  empty: there is no *.cedar and no schema.cedarschema\n",
		"broker.yaml:33:1  sesions  unknown key",
		"6 problems, 0 warnings.",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
	write(t, good+"policies:\n  dir: nowhere\n")
	if _, got := check(t, config.LoadOptions{File: config.FileName}); !strings.Contains(got, `policies.dir  "nowhere" cannot be read: no such file or directory`) {
		t.Errorf("a folder that is not there:\n%s", got)
	}
}
