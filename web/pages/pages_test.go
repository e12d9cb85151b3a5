package pages_test

import (
	"bytes"
	"io/fs"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"example.com/broker/web/pages"
	"example.com/broker/web/static"
)

func renderer(t testing.TB, o pages.Options) *pages.Renderer {
	t.Helper()
	r, err := pages.New(o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return r
}

func render(t testing.TB, r *pages.Renderer, p pages.Page) string {
	t.Helper()
	var buf bytes.Buffer
	if err := r.Render(&buf, p); err != nil {
		t.Fatalf("Render %T: %v", p, err)
	}
	return buf.String()
}

// elements returns every element of a document in order.
func elements(t testing.TB, source string) []*html.Node {
	t.Helper()
	root, err := html.Parse(strings.NewReader(source))
	if err != nil {
		t.Fatalf("parsing the page: %v", err)
	}
	var all []*html.Node
	for n := range root.Descendants() {
		if n.Type == html.ElementNode {
			all = append(all, n)
		}
	}
	return all
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, name string) bool {
	for _, a := range n.Attr {
		if a.Key == name {
			return true
		}
	}
	return false
}

func content(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func byID(t testing.TB, source, id string) *html.Node {
	t.Helper()
	for _, n := range elements(t, source) {
		if attr(n, "id") == id {
			return n
		}
	}
	t.Fatalf("no element with id %q", id)
	return nil
}

func everything() []sample { return append(empties(), samples()...) }

// TestEveryPageIsSound checks what holds for all pages, with empty and with full data.
func TestEveryPageIsSound(t *testing.T) {
	t.Parallel()
	plain := renderer(t, pages.Options{})
	full := renderer(t, pages.Options{
		Product: "Acme ID", BasePath: "/auth", DevBanner: true, SupportContact: "help@example.org",
	})
	for _, s := range empties() {
		t.Run("empty "+s.name, func(t *testing.T) {
			t.Parallel()
			checkPage(t, render(t, plain, s.page), s, "")
		})
	}
	for _, s := range samples() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			source := render(t, full, s.page)
			checkPage(t, source, s, "/auth")
			byID(t, source, "dev-banner")
		})
	}
}

func checkPage(t *testing.T, source string, s sample, base string) {
	t.Helper()
	all := elements(t, source)
	ids := map[string]*html.Node{}
	labels := map[string]bool{}
	count := map[string]int{}
	for _, n := range all {
		count[n.Data]++
		if id := attr(n, "id"); id != "" {
			if ids[id] != nil {
				t.Errorf("id %q is there twice", id)
			}
			ids[id] = n
		}
		if n.Data == "label" {
			labels[attr(n, "for")] = content(n) != ""
		}
		checkMarkup(t, n)
		checkAddress(t, n, base)
	}
	for _, element := range []string{"h1", "title", "main", "header", "footer"} {
		if count[element] != 1 {
			t.Errorf("%d %s elements, want 1", count[element], element)
		}
	}
	if n := all[0]; attr(n, "lang") != "en" || attr(n, "dir") != "ltr" {
		t.Errorf("html has lang %q, dir %q", attr(n, "lang"), attr(n, "dir"))
	}
	for _, id := range append([]string{"main", "live"}, s.ids...) {
		if ids[id] == nil {
			t.Errorf("no element with id %q", id)
		}
	}
	for _, n := range all {
		checkNames(t, n, ids, labels)
	}
}

// checkMarkup finds what the content security policy would block, and what is hostile to the keyboard.
func checkMarkup(t *testing.T, n *html.Node) {
	t.Helper()
	for _, a := range n.Attr {
		if strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "srcdoc" || a.Key == "formaction" {
			t.Errorf("<%s %s> is an inline script or style, or sends a form elsewhere", n.Data, a.Key)
		}
		if a.Key == "tabindex" && a.Val != "-1" {
			t.Errorf("<%s tabindex=%s> disturbs the order of the keyboard", n.Data, a.Val)
		}
	}
	switch n.Data {
	case "style", "iframe", "object", "embed", "base":
		t.Errorf("<%s> has no place in a page", n.Data)
	case "script":
		if attr(n, "src") == "" || attr(n, "type") != "module" || n.FirstChild != nil {
			t.Errorf("a script is not an external module")
		}
	case "meta":
		if has(n, "http-equiv") {
			t.Errorf("meta http-equiv: headers belong to the edge")
		}
	case "form":
		// A question that changes nothing may stand in the address, where people can keep it.
		question := attr(n, "method") == "get" && attr(n, "id") == "ask-form"
		if attr(n, "method") != "post" && !question || attr(n, "action") == "" {
			t.Errorf("form %q: method %q, action %q", attr(n, "id"), attr(n, "method"), attr(n, "action"))
		}
	case "button":
		if !has(n, "type") {
			t.Errorf("button %q has no type", attr(n, "id"))
		}
	}
}

// checkAddress makes sure that own addresses lie below the base path, and others have a scheme that runs nothing.
func checkAddress(t *testing.T, n *html.Node, base string) {
	t.Helper()
	for _, name := range []string{"href", "src", "action", "formaction"} {
		if !has(n, name) {
			continue
		}
		value := attr(n, name)
		u, err := url.Parse(value)
		if err != nil || strings.Contains(value, "ZgotmplZ") {
			t.Errorf("<%s %s=%q> is no address: %v", n.Data, name, value, err)
			continue
		}
		switch {
		case strings.HasPrefix(value, "#"):
		case u.Scheme == "" && u.Host == "" && strings.HasPrefix(value, base+"/"):
		case n.Data == "a" && (u.Scheme == "https" || u.Scheme == "mailto"), n.Data == "form" && u.Scheme == "https":
		default:
			t.Errorf("<%s %s=%q> leads somewhere unexpected", n.Data, name, value)
		}
	}
}

// checkNames makes sure that everything one can operate says what it is.
func checkNames(t *testing.T, n *html.Node, ids map[string]*html.Node, labels map[string]bool) {
	t.Helper()
	switch n.Data {
	case "input", "textarea", "select":
		if attr(n, "type") != "hidden" && !labels[attr(n, "id")] {
			t.Errorf("%s %q has no label", n.Data, attr(n, "id"))
		}
	case "a", "button", "summary":
		if content(n) == "" && attr(n, "aria-label") == "" {
			t.Errorf("<%s id=%q> has no text", n.Data, attr(n, "id"))
		}
	case "svg":
		if attr(n, "aria-hidden") != "true" {
			t.Errorf("an svg is read out")
		}
	}
	for _, name := range []string{"aria-describedby", "aria-labelledby", "aria-controls", "data-reveals", "data-copies", "data-counts"} {
		for _, id := range strings.Fields(attr(n, name)) {
			if ids[id] == nil {
				t.Errorf("<%s %s> points at %q, which is not there", n.Data, name, id)
			}
		}
	}
	if target, inside := strings.CutPrefix(attr(n, "href"), "#"); inside && ids[target] == nil {
		t.Errorf("link to #%s, which is not there", target)
	}
}

func TestTitlesTellPagesApart(t *testing.T) {
	t.Parallel()
	r := renderer(t, pages.Options{Product: "Acme ID"})
	seen := map[string]string{}
	for _, s := range empties() {
		for _, n := range elements(t, render(t, r, s.page)) {
			if n.Data != "title" || n.Parent.Data != "head" {
				continue
			}
			title := content(n)
			if other := seen[title]; other != "" {
				t.Errorf("%s and %s share the title %q", s.name, other, title)
			}
			if !strings.HasSuffix(title, " · Acme ID") {
				t.Errorf("%s has the title %q, without the product", s.name, title)
			}
			seen[title] = s.name
		}
	}
	if len(seen) != len(empties()) {
		t.Errorf("%d titles for %d pages", len(seen), len(empties()))
	}
}

// TestAssetsExist follows every link to a style sheet, script or icon.
func TestAssetsExist(t *testing.T) {
	t.Parallel()
	r := renderer(t, pages.Options{Asset: func(name string) string { return "/static/" + name }})
	for _, s := range everything() {
		for _, n := range elements(t, render(t, r, s.page)) {
			for _, name := range []string{attr(n, "src"), attr(n, "href")} {
				name, ours := strings.CutPrefix(name, "/static/")
				if !ours {
					continue
				}
				if _, err := fs.Stat(static.Files(), name); err != nil {
					t.Errorf("%s: %v", s.name, err)
				}
			}
		}
	}
}

// payloads are strings that would run if any context of a template let them.
func payloads() []string {
	return []string{
		`"><script>alert(1)</script>`,
		`'><img src=x onerror=alert(1)>`,
		`javascript:alert(1)`,
		"\x01java\tscript:alert(1)",
		`JaVaScRiPt://%0aalert(1)`,
		`data:text/html,<script>alert(1)</script>`,
		`vbscript:msgbox(1)`,
		`//evil.example/`,
		`/\evil.example/`,
		`\\evil.example`,
		`</title><script>alert(1)</script>`,
		`</textarea><svg/onload=alert(1)>`,
		`{{.}}{{template "layout"}}`,
		"a\r\nSet-Cookie: x=y\x00\xff\u202e",
		`" autofocus onfocus=alert(1) x="`,
	}
}

// TestHostileStringsAreInert puts each payload into every string of every view model and of the options.
func TestHostileStringsAreInert(t *testing.T) {
	t.Parallel()
	for _, payload := range payloads() {
		r := renderer(t, pages.Options{
			Product: payload, SupportContact: payload, Asset: func(name string) string { return "/static/" + name },
		})
		for _, s := range everything() {
			source := render(t, r, fill(t, s.page, payload))
			for _, n := range elements(t, source) {
				checkMarkup(t, n)
				checkInert(t, n, s.name, payload)
			}
			if len(elements(t, source)) == 0 {
				t.Fatalf("%s: no elements", s.name)
			}
		}
	}
}

func checkInert(t *testing.T, n *html.Node, page, payload string) {
	t.Helper()
	if n.Data == "img" {
		t.Errorf("%s with %q: an element of the payload came alive", page, payload)
	}
	if n.Data == "script" && !strings.HasPrefix(attr(n, "src"), "/static/") {
		t.Errorf("%s with %q: script from %q", page, payload, attr(n, "src"))
	}
	for _, name := range []string{"href", "action"} {
		if !has(n, name) {
			continue
		}
		value := attr(n, name)
		ok := strings.HasPrefix(value, "#") || strings.HasPrefix(value, "/") && !strings.HasPrefix(value, "//") && !strings.HasPrefix(value, `/\`)
		if !ok {
			t.Errorf("%s with %q: %s=%q", page, payload, name, value)
		}
	}
}

// fill returns a copy of a page in which every string is the payload, every list has one element at least, and every pointer is set.
func fill(t testing.TB, p pages.Page, payload string) pages.Page {
	t.Helper()
	v := reflect.New(reflect.TypeOf(p)).Elem()
	v.Set(reflect.ValueOf(p))
	saturate(v, payload)
	filled, ok := v.Interface().(pages.Page)
	if !ok {
		t.Fatalf("%T is no page", v.Interface())
	}
	return filled
}

func saturate(v reflect.Value, payload string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(payload)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		target := reflect.New(v.Type().Elem())
		saturate(target.Elem(), payload)
		v.Set(target)
	case reflect.Slice:
		list := reflect.MakeSlice(v.Type(), 2, 2)
		for i := range list.Len() {
			saturate(list.Index(i), payload)
		}
		v.Set(list)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(at(1, 1)))
			return
		}
		for i := range v.NumField() {
			saturate(v.Field(i), payload)
		}
	default:
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	r := renderer(t, pages.Options{BasePath: "/auth"})
	tests := []struct{ name, url, want string }{
		{"a path lies below the base path", "/login?a=b", "/auth/login?a=b"},
		{"an https address keeps its bytes", "https://app.example/cb?x=%2F&y=1#f", "https://app.example/cb?x=%2F&y=1#f"},
		{"a loopback address is followed", "http://127.0.0.1:4711/cb", "http://127.0.0.1:4711/cb"},
		{"a native app has a scheme of its own", "com.example.app:/cb?x=1", "com.example.app:/cb?x=1"},
		{"an editor has one too", "cursor://anysphere/cb", "cursor://anysphere/cb"},
		{"a script is no address", "javascript:alert(1)", ""},
		{"nor is one in disguise", "java\tscript:alert(1)", ""},
		{"nor with a space before it", " javascript:alert(1)", ""},
		{"data is no address", "data:text/html,x", ""},
		{"another host without a scheme is refused", "//evil.example", ""},
		{"a backslash is a slash to a browser", `/\evil.example`, ""},
		{"a relative address is refused", "cb", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			source := render(t, r, pages.SignedOut{Back: &pages.Action{URL: tt.url}})
			got := ""
			for _, n := range elements(t, source) {
				if attr(n, "id") == "signedout-back" {
					got = attr(n, "href")
				}
			}
			if got != tt.want {
				t.Errorf("href = %q, want %q", got, tt.want)
			}
		})
	}
}

// FuzzAddress: whatever an address is, a link that comes of it runs nothing and names no host that we did not read.
func FuzzAddress(f *testing.F) {
	for _, seed := range append(payloads(), "/login", "https://app.example/cb", "com.example.app:/cb", "http://[::1]:80/", "a:b") {
		f.Add(seed)
	}
	r := renderer(f, pages.Options{BasePath: "/auth"})
	f.Fuzz(func(t *testing.T, address string) {
		for _, n := range elements(t, render(t, r, pages.SignedOut{Back: &pages.Action{URL: address}})) {
			if attr(n, "id") != "signedout-back" {
				continue
			}
			href := attr(n, "href")
			if strings.HasPrefix(href, "/auth/") {
				continue
			}
			scheme, _, found := strings.Cut(strings.ToLower(href), ":")
			if !found || strings.ContainsAny(href, "\\\x00\t\r\n ") || !strings.EqualFold(scheme, strings.SplitN(address, ":", 2)[0]) {
				t.Fatalf("%q became %q", address, href)
			}
			switch scheme {
			case "javascript", "data", "vbscript", "blob", "file", "about", "view-source", "filesystem":
				t.Fatalf("%q became %q", address, href)
			}
		}
	})
}

func TestNewRefusesBadPaths(t *testing.T) {
	t.Parallel()
	for _, o := range []pages.Options{
		{BasePath: "auth"},
		{BasePath: "/auth/"},
		{BasePath: "//evil.example"},
		{BasePath: `/\evil`},
		{BasePath: "/"},
		{Home: "https://evil.example"},
		{Home: "//evil.example"},
	} {
		if _, err := pages.New(o); err == nil {
			t.Errorf("New(%+v) = nil, want an error", o)
		}
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	const (
		start = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
		types = "require-trusted-types-for 'script'; trusted-types 'none'"
	)
	if got, want := pages.CSP(pages.Traits{}), start+"form-action 'self'; "+types; got != want {
		t.Errorf("CSP of a page that stays here:\n got %s\nwant %s", got, want)
	}
	if got, want := pages.CSP(pages.Traits{OffsiteForm: true}), start+types; got != want {
		t.Errorf("CSP of a page that leads away:\n got %s\nwant %s", got, want)
	}
	tests := []struct {
		page                 pages.Page
		offsite, interaction bool
	}{
		{pages.SignIn{}, true, true},
		{pages.Prove{}, true, true},
		{pages.ConfirmLink{}, true, true},
		{pages.Register{}, true, true},
		{pages.Consent{}, true, true},
		{pages.FormPost{}, true, true},
		{pages.SignOut{}, true, true},
		{pages.Return{}, false, true},
		{pages.SignedOut{}, false, false},
		{pages.SignedIn{}, false, false},
		{pages.JWT{}, false, false},
		{pages.Guide{}, false, false},
		{pages.Error{}, false, false},
		{pages.Error{Interaction: true}, false, true},
		{pages.Error{Next: &pages.Action{URL: "/login"}}, false, false},
		{pages.Error{Next: &pages.Action{URL: "/login", Post: true}}, true, false},
		{pages.Error{Other: &pages.Action{URL: "/login", Post: true}}, true, false},
	}
	for _, tt := range tests {
		traits := tt.page.Traits()
		if traits.OffsiteForm != tt.offsite || traits.Interaction != tt.interaction {
			t.Errorf("%T: traits %+v, want offsite %t, interaction %t", tt.page, traits, tt.offsite, tt.interaction)
		}
		want := "same-origin"
		if tt.interaction {
			want = "unsafe-none"
		}
		if got := pages.COOP(traits); got != want {
			t.Errorf("%T: COOP = %q, want %q", tt.page, got, want)
		}
	}
}

// TestNoForeignFormUnderFormAction makes sure that a page whose policy allows no foreign form has none.
func TestNoForeignFormUnderFormAction(t *testing.T) {
	t.Parallel()
	r := renderer(t, pages.Options{BasePath: "/auth"})
	for _, s := range everything() {
		if s.page.Traits().OffsiteForm {
			continue
		}
		for _, n := range elements(t, render(t, r, s.page)) {
			if n.Data == "form" && !strings.HasPrefix(attr(n, "action"), "/auth/") {
				t.Errorf("%s: form to %q, which its policy blocks", s.name, attr(n, "action"))
			}
		}
	}
}
