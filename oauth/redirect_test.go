package oauth_test

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"example.com/broker/oauth"
)

func TestMatchRedirect(t *testing.T) {
	const good = "https://good.example/cb"
	for _, row := range []struct {
		rule       string
		registered []string
		requested  string
		want       bool
	}{
		{"the registered address, byte for byte", []string{good}, good, true},
		{"any of several registered addresses", []string{"https://a.example/", good}, good, true},
		{"a registered query belongs to the address", []string{good + "?x=1"}, good + "?x=1", true},
		{"a scheme of one's own, byte for byte", []string{"com.example.app:/cb"}, "com.example.app:/cb", true},
		{"nothing registered matches nothing", nil, good, false},
		{"an empty address matches nothing", []string{good}, "", false},
		{"an empty address matches nothing, though it is registered", []string{""}, "", false},

		// B02: near misses.
		{"no slash at the end is forgiven", []string{good}, good + "/", false},
		{"no missing path is forgiven", []string{good}, "https://good.example", false},
		{"no longer path", []string{good}, good + "/more", false},
		{"no dot segment", []string{good}, "https://good.example/x/../cb", false},
		{"no query", []string{good}, good + "?x=1", false},
		{"no empty query", []string{good}, good + "?", false},
		{"no other query", []string{good + "?x=1"}, good + "?x=1&y=2", false},
		{"no fragment", []string{good}, good + "#f", false},
		{"no other case of the host", []string{good}, "https://GOOD.example/cb", false},
		{"no other case of the scheme", []string{good}, "HTTPS://good.example/cb", false},
		{"no other case of the path", []string{good}, "https://good.example/CB", false},
		{"no default port", []string{good}, "https://good.example:443/cb", false},
		{"no other port", []string{good}, "https://good.example:8443/cb", false},
		{"no encoded dots", []string{good}, "https://good.example/%2e%2e/cb", false},
		{"no encoding of the same path", []string{good}, "https://good.example/%63b", false},
		{"no name before another host", []string{good}, "https://good.example@evil.example/cb", false},
		{"no backslash before another host", []string{good}, `https://good.example\@evil.example/cb`, false},
		{"no subdomain", []string{good}, "https://sub.good.example/cb", false},
		{"no longer host", []string{good}, "https://good.example.evil.example/cb", false},
		{"no dot at the end of the host", []string{good}, "https://good.example./cb", false},
		{"no look-alike letters", []string{good}, "https://gооd.example/cb", false},
		{"no punycode of a look-alike", []string{good}, "https://xn--gd-nmcc.example/cb", false},
		{"no http for https", []string{good}, "http://good.example/cb", false},
		{"no https for http on loopback", []string{"http://127.0.0.1/cb"}, "https://127.0.0.1/cb", false},
		{"no space before", []string{good}, " " + good, false},
		{"no line break after", []string{good}, good + "\n", false},
		{"no NUL after", []string{good}, good + "\x00", false},
		{"no list of two", []string{good}, good + " " + good, false},

		// B03: RFC 8252 §7.3.
		{"any port on 127.0.0.1", []string{"http://127.0.0.1/cb"}, "http://127.0.0.1:49152/cb", true},
		{"another port on 127.0.0.1", []string{"http://127.0.0.1:3000/cb"}, "http://127.0.0.1:49152/cb", true},
		{"no port where one is registered", []string{"http://127.0.0.1:3000/cb"}, "http://127.0.0.1/cb", true},
		{"any port on [::1]", []string{"http://[::1]/cb"}, "http://[::1]:49152/cb", true},
		{"any port before a query", []string{"http://127.0.0.1/cb?x=1"}, "http://127.0.0.1:5/cb?x=1", true},
		{"any port before nothing", []string{"http://127.0.0.1"}, "http://127.0.0.1:65535", true},
		{"another path on loopback", []string{"http://127.0.0.1/cb"}, "http://127.0.0.1:3000/cb2", false},
		{"another query on loopback", []string{"http://127.0.0.1/cb"}, "http://127.0.0.1:3000/cb?x=1", false},
		{"a fragment on loopback", []string{"http://127.0.0.1/cb"}, "http://127.0.0.1:3000/cb#f", false},
		{"a fragment in place of the path", []string{"http://127.0.0.1"}, "http://127.0.0.1:3000#f", false},
		{"the other loopback address", []string{"http://127.0.0.1/cb"}, "http://[::1]/cb", false},
		{"another spelling of 127.0.0.1", []string{"http://127.0.0.1/cb"}, "http://127.1/cb", false},
		{"another address of the loopback network", []string{"http://127.0.0.1/cb"}, "http://127.0.0.2/cb", false},
		{"the address of all interfaces", []string{"http://127.0.0.1/cb"}, "http://0.0.0.0/cb", false},
		{"another spelling of ::1", []string{"http://[::1]/cb"}, "http://[0:0:0:0:0:0:0:1]/cb", false},
		{"a zone", []string{"http://[::1]/cb"}, "http://[::1%25lo]/cb", false},
		{"a host that begins like loopback", []string{"http://127.0.0.1/cb"}, "http://127.0.0.1.evil.example/cb", false},
		{"a host hidden behind user information", []string{"http://127.0.0.1/cb"}, "http://127.0.0.1:80@evil.example/cb", false},
		{"a host hidden behind a backslash", []string{"http://127.0.0.1/cb"}, `http://127.0.0.1\@evil.example/cb`, false},
		{"a port in the midst of a name that begins like loopback", []string{"http://127.0.0.1.good.example/cb"}, "http://127.0.0.1:1.good.example/cb", false},
		{"an empty port", []string{"http://127.0.0.1/cb"}, "http://127.0.0.1:/cb", false},
		{"port zero", []string{"http://127.0.0.1/cb"}, "http://127.0.0.1:0/cb", false},
		{"a port that is none", []string{"http://127.0.0.1/cb"}, "http://127.0.0.1:65536/cb", false},
		{"a port in letters", []string{"http://127.0.0.1/cb"}, "http://127.0.0.1:http/cb", false},
		{"a port with a sign", []string{"http://127.0.0.1/cb"}, "http://127.0.0.1:+80/cb", false},
		{"a port in other digits", []string{"http://127.0.0.1/cb"}, "http://127.0.0.1:３０/cb", false},
		{"localhost, byte for byte", []string{"http://localhost:3000/cb"}, "http://localhost:3000/cb", true},
		{"localhost with another port", []string{"http://localhost:3000/cb"}, "http://localhost:3001/cb", false},
		{"localhost for 127.0.0.1", []string{"http://127.0.0.1/cb"}, "http://localhost/cb", false},
		{"127.0.0.1 for localhost", []string{"http://localhost/cb"}, "http://127.0.0.1/cb", false},
	} {
		t.Run(row.rule, func(t *testing.T) {
			if got := oauth.MatchRedirect(row.registered, row.requested); got != row.want {
				t.Errorf("MatchRedirect(%q, %q) = %v, want %v", row.registered, row.requested, got, row.want)
			}
		})
	}
}

func TestMatchLocalhost(t *testing.T) {
	registered := []string{"https://app.example/cb", "http://localhost:8081/cb", "http://localhost:8081/cb?x=1"}
	for _, row := range []struct {
		rule, requested string
		want            bool
	}{
		{"any port on localhost", "http://localhost:9/cb", true},
		{"no port on localhost", "http://localhost/cb", true},
		{"any port before a registered query", "http://localhost:9/cb?x=1", true},
		{"another path", "http://localhost:9/other", false},
		{"another query", "http://localhost:9/cb?x=2", false},
		{"https", "https://localhost:9/cb", false},
		{"another host", "http://127.0.0.1:9/cb", false},
		{"a host that begins like localhost", "http://localhost.evil.example/cb", false},
		{"a host behind user information", "http://localhost:9@evil.example/cb", false},
		{"another case", "http://LOCALHOST:9/cb", false},
		{"an address elsewhere is none of its business", "https://app.example/cb", false},
		{"nothing", "", false},
	} {
		if got := oauth.MatchLocalhost(registered, row.requested); got != row.want {
			t.Errorf("%s: MatchLocalhost(%q) = %v, want %v", row.rule, row.requested, got, row.want)
		}
	}
}

// FuzzMatchRedirect states the rule: what matches is the registered address itself, or on a loopback address it after the ports are
// taken out of both.
func FuzzMatchRedirect(f *testing.F) {
	wantSeeds(f, "FuzzMatchRedirect")
	port := regexp.MustCompile(`^(http://(?:127\.0\.0\.1|\[::1\]))(?::[0-9]{1,5})?($|[/?])`)
	f.Fuzz(func(t *testing.T, registered, requested string) {
		got := oauth.MatchRedirect([]string{registered}, requested)
		same := registered == requested && requested != ""
		loopback := port.MatchString(registered) && port.MatchString(requested) &&
			port.ReplaceAllString(registered, "$1$2") == port.ReplaceAllString(requested, "$1$2")
		if got && !same && !loopback {
			t.Errorf("MatchRedirect(%q, %q): they differ in more than the port of a loopback address", registered, requested)
		}
		if same && !got {
			t.Errorf("MatchRedirect(%q, %q): the same bytes do not match", registered, requested)
		}
		if !got || oauth.CheckRedirectURI(registered) != nil {
			return
		}
		// What is registered by our own rules leads to the same host whatever port was asked for.
		a, errA := url.Parse(registered)
		b, errB := url.Parse(requested)
		if errA != nil || errB != nil || a.Hostname() != b.Hostname() || a.Scheme != b.Scheme || b.User != nil || a.Path != b.Path {
			t.Errorf("MatchRedirect(%q, %q): the addresses lead to different places", registered, requested)
		}
	})
}

func TestCheckRedirectURI(t *testing.T) {
	for _, row := range []struct {
		rule, address string
		wrong         string // part of the message, "" where it may be registered
	}{
		{"https", "https://app.example/cb", ""},
		{"https with a port and a query", "https://app.example:8443/cb?tenant=1", ""},
		{"https without a path", "https://app.example", ""},
		{"http on 127.0.0.1", "http://127.0.0.1/cb", ""},
		{"http on [::1]", "http://[::1]:3000/cb", ""},
		{"http on localhost", "http://localhost:3000/cb", ""},
		{"a reverse domain name as scheme", "com.example.app:/cb", ""},
		{"a reverse domain name as scheme, with an authority", "com.example.app://cb", ""},

		// B04.
		{"nothing", "", "is empty"},
		{"javascript", "javascript:alert(1)//https://app.example", "reverse domain name"},
		{"javascript in another case", "JaVaScRiPt:alert(1)", "reverse domain name"},
		{"data", "data:text/html,x", "reverse domain name"},
		{"file", "file:///etc/passwd", "reverse domain name"},
		{"a short scheme of one's own", "myapp://cb", "reverse domain name"},
		{"a wildcard host", "https://*.example/cb", "wildcards"},
		{"a wildcard path", "https://app.example/*", "wildcards"},
		{"a fragment", "https://app.example/cb#f", "fragment"},
		{"an empty fragment", "https://app.example/cb#", "fragment"},
		{"user information", "https://user@app.example/cb", "user information"},
		{"empty user information", "https://@app.example/cb", "user information"},
		{"user information with a scheme of one's own", "com.example.app://user@cb", "user information"},
		{"http elsewhere", "http://app.example/cb", "use https"},
		{"http on a name that begins like localhost", "http://localhost.evil.example/cb", "use https"},
		{"http on a short loopback address", "http://127.1/cb", "use https"},
		{"http on another loopback address", "http://127.0.0.2/cb", "use https"},
		{"http on all interfaces", "http://0.0.0.0/cb", "use https"},
		{"a relative address", "/cb", "is not absolute"},
		{"no scheme", "//app.example/cb", "is not absolute"},
		{"no host", "https:///cb", "no host"},
		{"no host but a port", "https://:443/cb", "no host"},
		{"https without slashes", "https:app.example", "no host"},
		{"a space", "https://app.example/a b", "not allowed in a URI"},
		{"a line break", "https://app.example/a\r\nSet-Cookie:x", "not allowed in a URI"},
		{"a backslash", `https://app.example\@evil.example/`, "not allowed in a URI"},
		{"a quotation mark", `https://app.example/"onclick="`, "not allowed in a URI"},
		{"markup", "https://app.example/<script>", "not allowed in a URI"},
		{"letters beyond ASCII", "https://äpp.example/cb", "not allowed in a URI"},
		{"a broken escape", "https://app.example/%zz", "is not a URI"},
		{"a port that is none", "https://app.example:http/cb", "is not a URI"},
		{"more than 2048 bytes", "https://app.example/" + strings.Repeat("a", 2048), "at most 2048"},
	} {
		t.Run(row.rule, func(t *testing.T) {
			err := oauth.CheckRedirectURI(row.address)
			if (err == nil) != (row.wrong == "") || (err != nil && !strings.Contains(err.Error(), row.wrong)) {
				t.Errorf("CheckRedirectURI(%.100q) = %v, want a message with %q", row.address, err, row.wrong)
			}
		})
	}
}

func TestIsLoopbackHost(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "127.0.0.1": true, "127.8.9.1": true, "::1": true,
		"LOCALHOST": false, "127.1": false, "2130706433": false, "0.0.0.0": false, "::": false, "10.0.0.1": false, "::1%lo": false,
		"localhost.": false, "[::1]": false, "": false,
	} {
		if got := oauth.IsLoopbackHost(host); got != want {
			t.Errorf("IsLoopbackHost(%q) = %v, want %v", host, got, want)
		}
	}
}

func TestOrigin(t *testing.T) {
	for address, want := range map[string]string{
		"https://app.example/cb?x=1":    "https://app.example",
		"https://APP.example":           "https://app.example",
		"https://app.example:443/cb":    "https://app.example",
		"https://app.example:8443/cb":   "https://app.example:8443",
		"http://localhost:80/":          "http://localhost",
		"http://localhost:443/":         "http://localhost:443",
		"http://[::1]:3000/cb":          "http://[::1]:3000",
		"http://[::1]/cb":               "http://[::1]",
		"https://user:pw@app.example/x": "https://app.example",
		"com.example.app://cb":          "",
		"https://*.example":             "",
		"https://:443":                  "",
		"null":                          "",
		"":                              "",
		"%":                             "",
	} {
		if got := oauth.Origin(address); got != want {
			t.Errorf("Origin(%q) = %q, want %q", address, got, want)
		}
	}
}

// wantSeeds fails where a fuzz target has lost its seeds: the testing package would go on without them and say nothing.
func wantSeeds(tb testing.TB, target string) {
	tb.Helper()
	seeds, err := filepath.Glob(filepath.Join("testdata", "fuzz", target, "*"))
	if err != nil || len(seeds) == 0 {
		tb.Fatalf("no seeds in testdata/fuzz/%s (%v)", target, err)
	}
}

func TestFuzzTargetsHaveSeeds(t *testing.T) {
	for _, target := range []string{"FuzzMatchRedirect", "FuzzParseScopes", "FuzzVerifyS256", "FuzzDescribe"} {
		wantSeeds(t, target)
	}
	folders, err := os.ReadDir(filepath.Join("testdata", "fuzz"))
	if err != nil || len(folders) != 4 {
		t.Errorf("testdata/fuzz holds %d folders (%v), want one for each of the 4 targets", len(folders), err)
	}
}
