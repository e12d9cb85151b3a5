package main

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"example.com/broker/config"
	"example.com/broker/guide/openapi"
	"example.com/broker/web"
)

// described is openapi.yaml as tests hold answers against it. Objects are closed: a member that is not described is as bad as one that
// is missing.
type described struct {
	raw        []byte
	doc        map[string]any
	operations []operation
	compiler   *jsonschema.Compiler

	mu      sync.Mutex
	schemas map[string]*jsonschema.Schema
}

// operation is one of a document; the more of its path is fixed, the earlier it comes.
type operation struct {
	method, path, pointer string
	pattern               *regexp.Regexp
	fixed                 int
}

const documentURL = "https://broker.example.com/openapi.json"

var description = sync.OnceValues(func() (*described, error) {
	issuer := &url.URL{Scheme: "https", Host: "broker.example.com"}
	raw, err := openapi.Document(openapi.Filling{Issuer: issuer, Version: version, QueryKeys: true})
	if err != nil {
		return nil, err
	}
	d := &described{raw: raw, compiler: jsonschema.NewCompiler(), schemas: map[string]*jsonschema.Schema{}}
	if err := json.Unmarshal(raw, &d.doc); err != nil {
		return nil, err
	}
	d.list()
	closeObjects(d.doc, false)
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	d.compiler.AssertFormat()
	return d, d.compiler.AddResource(documentURL, d.doc)
})

func (d *described) list() {
	for path, item := range d.doc["paths"].(map[string]any) {
		for method := range item.(map[string]any) {
			if method == "servers" || method == "parameters" {
				continue
			}
			pattern := regexp.MustCompile(`\\\{file\\\}|\\\{[a-z_]+\\\}`).ReplaceAllStringFunc(regexp.QuoteMeta(path), func(name string) string {
				if strings.Contains(name, "file") {
					return ".+" // the only parameter that may hold slashes
				}
				return "[^/]+"
			})
			d.operations = append(d.operations, operation{
				method: strings.ToUpper(method), path: path, pointer: "/paths/" + escaped(path) + "/" + method,
				pattern: regexp.MustCompile("^" + pattern + "$"), fixed: len(path) - 100*strings.Count(path, "{"),
			})
		}
	}
	slices.SortFunc(d.operations, func(a, b operation) int { return b.fixed - a.fixed })
}

// escaped is a member's name within a JSON pointer, which stands in the fragment of an address.
func escaped(name string) string {
	return url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(name))
}

// closeObjects forbids members that a schema does not describe. What is composed by allOf is closed as a whole, where it is used.
func closeObjects(node any, part bool) {
	switch node := node.(type) {
	case []any:
		for _, n := range node {
			closeObjects(n, part)
		}
	case map[string]any:
		_, object := node["properties"]
		_, open := node["additionalProperties"]
		_, whole := node["allOf"]
		ref, _ := node["$ref"].(string)
		if !part && !open && (object || whole || strings.HasPrefix(ref, "#/components/schemas/")) {
			node["unevaluatedProperties"] = false
		}
		for name, n := range node {
			switch name {
			case "example", "examples", "if", "then", "else", "default", "enum", "const":
			case "schemas": // closed where they are used
				for _, s := range n.(map[string]any) {
					closeObjects(s, true)
				}
			case "properties":
				for _, s := range n.(map[string]any) {
					closeObjects(s, false)
				}
			default:
				closeObjects(n, name == "allOf")
			}
		}
	}
}

// at follows a pointer and the references on its way; the pointer that is returned has none.
func (d *described) at(pointer string) (string, map[string]any) {
	node, where := d.doc, ""
	for _, name := range strings.Split(pointer, "/")[1:] {
		plain, _ := url.PathUnescape(name)
		plain = strings.NewReplacer("~1", "/", "~0", "~").Replace(plain)
		next, ok := node[plain].(map[string]any)
		if !ok {
			return "", nil
		}
		node, where = next, where+"/"+name
		if ref, ok := node["$ref"].(string); ok && !strings.HasPrefix(ref, "#/components/schemas/") {
			where, node = d.at(strings.TrimPrefix(ref, "#"))
		}
	}
	return where, node
}

func (d *described) validate(pointer string, value any) error {
	s, err := d.schema(pointer)
	if err != nil {
		return err
	}
	return s.Validate(value)
}

func (d *described) schema(pointer string) (*jsonschema.Schema, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s, ok := d.schemas[pointer]; ok {
		return s, nil
	}
	s, err := d.compiler.Compile(documentURL + "#" + pointer)
	if err == nil {
		d.schemas[pointer] = s
	}
	return s, err
}

// find returns the operation that answers a path below the issuer's.
func (d *described) find(method, path string) (operation, bool) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	i := slices.IndexFunc(d.operations, func(o operation) bool { return o.method == method && o.pattern.MatchString(path) })
	if i < 0 {
		return operation{}, false
	}
	return d.operations[i], true
}

// conforms holds an answer of the broker against openapi.yaml: its status, its media type, its body and the headers that must be there.
func conforms(t testing.TB, issuer string, resp *http.Response, body string) {
	t.Helper()
	d, err := description()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.check(issuer, resp, body); err != nil {
		t.Errorf("%s %s: %v; guide/openapi/openapi.yaml says what may be answered:\n%s", resp.Request.Method, resp.Request.URL.Path, err, body[:min(len(body), 1000)])
	}
}

func (d *described) check(issuer string, resp *http.Response, body string) error {
	u, err := url.Parse(issuer)
	if err != nil {
		return err
	}
	path := resp.Request.URL.EscapedPath()
	if base := strings.TrimSuffix(u.EscapedPath(), "/"); strings.HasPrefix(path, base+"/") {
		path = strings.TrimPrefix(path, base)
	} else {
		path = strings.TrimSuffix(path, base)
	}
	o, ok := d.find(resp.Request.Method, path)
	switch status := resp.StatusCode; {
	case resp.Header.Get("X-Request-Id") == "", status == http.StatusMisdirectedRequest, resp.Request.Method == http.MethodOptions:
		return nil // net/http's own answers, and those before and beside all routes
	case !ok && (status == http.StatusNotFound || status == http.StatusMethodNotAllowed):
		return nil
	case !ok:
		return fmt.Errorf("answered %d, and there is no such operation", status)
	}
	pointer, r := d.at(o.pointer + "/responses/" + strconv.Itoa(resp.StatusCode))
	if r == nil {
		return fmt.Errorf("%s answers %d, which is not described", o.path, resp.StatusCode)
	}
	if err := d.checkHeaders(pointer, r, resp.Header); err != nil {
		return err
	}
	if resp.Request.Method == http.MethodHead || resp.StatusCode == http.StatusNotModified {
		return nil
	}
	return d.checkBody(pointer, r, resp, body)
}

func (d *described) checkHeaders(pointer string, response map[string]any, have http.Header) error {
	headers, _ := response["headers"].(map[string]any)
	for name := range headers {
		where, h := d.at(pointer + "/headers/" + name)
		value := have.Get(name)
		if value == "" {
			if h["required"] == true {
				return fmt.Errorf("the header %s is missing", name)
			}
			continue
		}
		if err := d.validate(where+"/schema", value); err != nil {
			return fmt.Errorf("the header %s: %w", name, err)
		}
	}
	return nil
}

func (d *described) checkBody(pointer string, response map[string]any, resp *http.Response, body string) error {
	content, _ := response["content"].(map[string]any)
	if len(content) == 0 {
		if body != "" {
			return fmt.Errorf("%d has a body, which is not described", resp.StatusCode)
		}
		return nil
	}
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		return fmt.Errorf("Content-Type %q: %w", resp.Header.Get("Content-Type"), err)
	}
	if _, ok := content[kind]; !ok {
		if _, any := content["*/*"]; any {
			return nil
		}
		return fmt.Errorf("%d has the media type %s, which is not described", resp.StatusCode, kind)
	}
	var value any = body
	if strings.HasSuffix(kind, "json") {
		if value, err = jsonschema.UnmarshalJSON(strings.NewReader(body)); err != nil {
			return err
		}
	}
	return d.validate(pointer+"/content/"+escaped(kind)+"/schema", value)
}

func TestTheDescriptionIsAnOpenAPIDocument(t *testing.T) {
	d, err := description()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(d.raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context(), openapi3.EnableExamplesValidation(), openapi3.EnableSchemaFormatValidation()); err != nil {
		t.Error(err)
	}
	ids := map[string]string{}
	for path, item := range doc.Paths.Map() {
		for method, o := range item.Operations() {
			where := method + " " + path
			if o.OperationID == "" || o.Summary == "" || len(o.Tags) != 1 || ids[o.OperationID] != "" {
				t.Errorf("%s has id %q (also that of %s), summary %q, tags %v", where, o.OperationID, ids[o.OperationID], o.Summary, o.Tags)
			}
			ids[o.OperationID] = where
		}
	}
}

// Whoever adds a route describes it; whoever takes one away takes its description along.
func TestEveryRouteIsDescribedAndEveryDescriptionHasARoute(t *testing.T) {
	d, err := description()
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, "sqlite")
	table, err := w.routes(http.NotFoundHandler())
	if err != nil {
		t.Fatal(err)
	}
	mounted := map[string]bool{}
	for _, r := range table {
		mounted[r.Method+" "+openapi.Path(r)] = true
	}
	for _, o := range d.operations {
		if name := o.method + " " + o.path; !mounted[name] {
			t.Errorf("openapi.yaml has %s, and there is no such route", name)
		}
		delete(mounted, o.method+" "+o.path)
	}
	for name := range mounted {
		t.Errorf("%s is not in guide/openapi/openapi.yaml", name)
	}
}

// The guards of the route list and the security of the description say the same.
func TestTheDescriptionSaysWhoMayAsk(t *testing.T) {
	d, err := description()
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, "sqlite")
	table, err := w.routes(http.NotFoundHandler())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range table {
		_, o := d.at("/paths/" + escaped(openapi.Path(r)) + "/" + strings.ToLower(r.Method))
		var have []string
		required, _ := o["security"].([]any)
		for _, one := range required {
			for scheme := range one.(map[string]any) {
				have = append(have, scheme)
			}
		}
		for word, scheme := range map[string]string{"session": "session", "bearer": "bearer", "apikey": "apiKey", "client": "clientBasic"} {
			demanded := slices.Contains(strings.FieldsFunc(r.Guard.Name, func(c rune) bool { return c == '|' || c == ' ' }), word)
			if described := slices.Contains(have, scheme); demanded != described && !(r.Path == "/revocations" && r.Method == http.MethodPost) {
				t.Errorf("%s %s is guarded by %q, and described with %v", r.Method, r.Path, r.Guard.Name, have)
			}
		}
	}
}

func TestTheDescriptionIsServedAsThisBrokerIs(t *testing.T) {
	w := newWorld(t, "sqlite")
	r := w.get("/openapi.json", "Origin", "https://anywhere.example")
	if r.StatusCode != http.StatusOK || r.Header.Get("Access-Control-Allow-Origin") != "*" || r.Header.Get("ETag") == "" {
		t.Fatalf("%d %v", r.StatusCode, r.Header)
	}
	doc, err := openapi3.NewLoader().LoadFromData([]byte(r.raw))
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	flow := doc.Components.SecuritySchemes["oauth2"].Value.Flows.AuthorizationCode
	if got := []string{doc.Servers[0].URL, flow.AuthorizationURL, flow.TokenURL, doc.Info.Version}; !slices.Equal(got, []string{w.issuer, w.issuer + "/authorize", w.issuer + "/token", version}) {
		t.Errorf("it speaks of %v, and the issuer is %s", got, w.issuer)
	}
	if doc.Components.SecuritySchemes["apiKeyQuery"] != nil || strings.Contains(r.raw, "broker.example.com") || strings.Contains(r.raw, "__Host-broker_session\"") {
		t.Error("it tells of what is not so here")
	}
	if again := w.get("/openapi.json", "If-None-Match", r.Header.Get("ETag")); again.StatusCode != http.StatusNotModified || again.raw != "" {
		t.Errorf("the same again: %d", again.StatusCode)
	}
}

func TestTheDescriptionOfABrokerBelowAPath(t *testing.T) {
	issuer := &url.URL{Scheme: "https", Host: "example.org", Path: "/auth"}
	routes := []web.Route{{Method: http.MethodGet, Path: "/me"}, {Method: http.MethodGet, Path: "/.well-known/oauth-authorization-server/auth", AtRoot: true}}
	raw, err := openapi.Document(openapi.Filling{Issuer: issuer, Version: version, Routes: routes})
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		t.Fatal(err)
	}
	at := doc.Paths.Value("/.well-known/oauth-authorization-server/auth")
	if doc.Paths.Len() != 2 || at == nil || at.Servers[0].URL != "https://example.org" || doc.Servers[0].URL != "https://example.org/auth" {
		t.Errorf("%d paths: %s", doc.Paths.Len(), raw[:2000])
	}
	if name := doc.Components.SecuritySchemes["session"].Value.Name; name != "__Host-broker_session" {
		t.Errorf("over https the cookie is %s", name)
	}
}

func TestTheDocumentationCanBeSwitchedOff(t *testing.T) {
	w := newWorld(t, "sqlite", func(c *config.Config) { c.Tools.Docs = false })
	for _, path := range []string{"/docs", "/docs/docs.js", "/openapi.json"} {
		if r := w.get(path); r.StatusCode != http.StatusNotFound {
			t.Errorf("%s answered %d", path, r.StatusCode)
		}
	}
}

func TestThePageLoadsNothingFromElsewhereAndKeepsItsFiles(t *testing.T) {
	w := newWorld(t, "sqlite", func(c *config.Config) {
		c.Tools.DocsClient = "page"
		c.Clients["page"] = config.Client{FirstParty: true, RedirectURIs: []string{c.Issuer + openapi.RedirectPath}}
	})
	p := w.browser().open("/docs")
	const policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	if got := p.Header.Get("Content-Security-Policy"); got != policy {
		t.Errorf("the policy is %s", got)
	}
	// A page that cuts off its opener cannot be handed the code by the window it opens.
	if got := p.Header.Get("Cross-Origin-Opener-Policy"); got != "same-origin-allow-popups" {
		t.Errorf("the opener policy is %s", got)
	}
	if len(p.Cookies()) > 0 || regexp.MustCompile(`<script[^>]*>[^<]|style=|(src|href)="https?:`).MatchString(p.body) {
		t.Errorf("it sets cookies %v, or has scripts or styles of its own, or loads from elsewhere:\n%s", p.Cookies(), p.body)
	}
	for name, want := range map[string]string{
		"data-code-client": "page", "data-password-client": "cli", "data-redirect": w.issuer + openapi.RedirectPath, "data-token": w.issuer + "/token", "data-page": w.issuer + "/docs",
	} {
		if got := attr(p.element(t, "swagger-ui"), name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	files := regexp.MustCompile(`(?:src|href)="(/docs/[^"]+)"`).FindAllStringSubmatch(p.body, -1)
	if len(files) != 4 {
		t.Fatalf("files %v", files)
	}
	for _, f := range files {
		plain, small := w.get(f[1]), w.get(f[1], "Accept-Encoding", "gzip")
		if plain.StatusCode != http.StatusOK || !strings.Contains(plain.Header.Get("Cache-Control"), "immutable") || len(plain.raw) < 100 {
			t.Errorf("%s: %d %v", f[1], plain.StatusCode, plain.Header)
		}
		if unpacked := unzip(t, small.raw); unpacked != plain.raw || small.Header.Get("Content-Encoding") != "gzip" {
			t.Errorf("%s differs under gzip", f[1])
		}
		bare, _, _ := strings.Cut(f[1], "?")
		if again := w.get(bare, "If-None-Match", plain.Header.Get("ETag")); again.StatusCode != http.StatusNotModified || again.Header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s without its hash: %d %v", bare, again.StatusCode, again.Header)
		}
	}
	for _, path := range []string{"/docs/", "/docs/page.html", "/docs/..%2fopenapi.yaml", "/docs/swagger-ui/swagger-ui.css", "/docs/LICENSE"} {
		if r := w.get(path); r.StatusCode != http.StatusNotFound {
			t.Errorf("%s answered %d", path, r.StatusCode)
		}
	}
	if back := w.get(openapi.RedirectPath + "?code=abc&state=def"); back.StatusCode != http.StatusOK || back.Header.Get("Cache-Control") != "no-store" || strings.Contains(back.raw, "abc") {
		t.Errorf("%d %v %s", back.StatusCode, back.Header, back.raw)
	}
}

func unzip(t *testing.T, text string) string {
	t.Helper()
	r, err := gzip.NewReader(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestDevHasAClientForThePage(t *testing.T) {
	t.Parallel()
	code, talk := refusedDev(t, devArgs(t.TempDir(), "--config", devConfig(t, "clients:\n  demo-docs:\n    redirect_uris: [http://localhost:5173/callback]\n"))...)
	if code == exitDone || !strings.Contains(talk, "clients.demo-docs") {
		t.Errorf("with one of that name: %d\n%s", code, talk)
	}
	// A client for the page of `broker serve` does not keep dev from starting.
	p := startDev(t, t.TempDir(), "--config", devConfig(t, "tools:\n  docs_client: web\nclients:\n  web:\n    redirect_uris: [https://auth.example.com/docs/oauth2-redirect.html]\n"))
	for _, c := range p.about.Clients {
		if c.ClientID == "demo-docs" {
			t.Error("dev.json lists the client of the page, which is nobody else's")
		}
	}
}

// A check that lets everything pass would be worse than none.
func TestAnAnswerThatIsNotDescribedIsNoticed(t *testing.T) {
	d, err := description()
	if err != nil {
		t.Fatal(err)
	}
	problem := `{"type":"about:blank","title":"Unauthorized","status":401,"detail":"x","code":"missing_token","request_id":"1"}`
	me := `{"sub":"1","username":"a","name":"A","email":"","email_verified":false,"roles":[],"scope":"","client_id":"cli"}`
	list := `{"keys":[{"id":"1","prefix":"bk_1","name":"a","scopes":[],"owner_id":"1","state":"active","created_at":"2026-01-02T03:04:05Z","expires_at":"2026-01-02T03:04:05Z","last_used":null%s}]}`
	html, ejson, eproblem := "text/html; charset=utf-8", "application/json; charset=utf-8", "application/problem+json"
	for _, row := range []struct {
		name, method, path string
		status             int
		kind, body         string
		header             string
		good               bool
	}{
		{"as described", "GET", "/me", 200, ejson, me, "", true},
		{"a status that is not", "GET", "/me", 402, ejson, me, "", false},
		{"a media type that is not", "GET", "/me", 200, html, me, "", false},
		{"a member too many", "GET", "/me", 200, ejson, strings.Replace(me, "{", `{"password_hash":"x",`, 1), "", false},
		{"a member too few", "GET", "/me", 200, ejson, strings.Replace(me, `"sub":"1",`, "", 1), "", false},
		{"a member of another type", "GET", "/me", 200, ejson, strings.Replace(me, `"roles":[]`, `"roles":"admin"`, 1), "", false},
		{"no JSON", "GET", "/me", 200, ejson, me + "}", "", false},
		{"a problem", "GET", "/me", 401, eproblem, problem, "Www-Authenticate", true},
		{"a problem without its challenge", "GET", "/me", 401, eproblem, problem, "", false},
		{"a problem with insides", "GET", "/me", 401, eproblem, strings.Replace(problem, "{", `{"cause":"x",`, 1), "Www-Authenticate", false},
		{"a list", "GET", "/api-keys", 200, ejson, fmt.Sprintf(list, ""), "", true},
		{"a list that shows keys", "GET", "/api-keys", 200, ejson, fmt.Sprintf(list, `,"key":"bk_1"`), "", false},
		{"a redirect", "GET", "/login/github", 303, "", "", "Location", true},
		{"a redirect to nowhere", "GET", "/login/github", 303, "", "", "", false},
		{"the path that is fixed, not the parameter", "POST", "/sessions/end-others", 204, "", "", "", false},
		{"a body where there is none", "DELETE", "/sessions/1", 204, ejson, "{}", "", false},
		{"an operation that is not", "PUT", "/me", 200, ejson, me, "", false},
		{"a method that is not answered", "PUT", "/me", 405, eproblem, problem, "", true},
		{"one of dead tokens", "POST", "/introspect", 200, ejson, `{"active":false}`, "", true},
		{"one of dead tokens that says more", "POST", "/introspect", 200, ejson, `{"active":false,"sub":"1"}`, "", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			resp := &http.Response{
				StatusCode: row.status, Header: http.Header{"X-Request-Id": {"1"}, "Content-Type": {row.kind}},
				Request: &http.Request{Method: row.method, URL: &url.URL{Path: row.path}},
			}
			if row.header != "" {
				resp.Header.Set(row.header, "/x")
			}
			if err := d.check("https://broker.example.com", resp, row.body); (err == nil) != row.good {
				t.Errorf("got %v, want it good: %v", err, row.good)
			}
		})
	}
}
