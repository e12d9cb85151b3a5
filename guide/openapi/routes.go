package openapi

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/gin-gonic/gin"

	"example.com/broker/internal/fault"
	"example.com/broker/web"
)

// Deps are what the page says. Issuer and Product are required.
type Deps struct {
	Issuer *url.URL
	// Product is the name people know the broker by; Dev says that this is `broker dev`; Guide that there is a page at /guide.
	Product    string
	Dev, Guide bool
	// CodeClient and PasswordClient are filled in where people authorize, "" for none.
	CodeClient, PasswordClient string
}

// RedirectPath is where a browser comes back to after signing in for the page, below the issuer's path.
const RedirectPath = "/docs/oauth2-redirect.html"

//go:embed page.html
var pageText string

//go:embed docs.css docs.js swagger-ui/swagger-ui-bundle.js swagger-ui/swagger-ui.css swagger-ui/oauth2-redirect.html swagger-ui/oauth2-redirect.js
var embedded embed.FS

// The page needs a wider policy than others have: Swagger UI sets styles of its own, and its icons are data addresses.
const (
	pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	redirectPolicy = "default-src 'none'; script-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

// Docs is the document, the page and its files. It never changes after Describe and is safe for concurrent use.
type Docs struct {
	json, html []byte
	jsonTag    string
	files      map[string]*file
	hash       string // of all files
}

// New makes the page. The document is made by Describe, once it is known what there is to describe.
func New(d Deps) (*Docs, error) {
	docs := &Docs{}
	if err := docs.load(); err != nil {
		return nil, err
	}
	var err error
	docs.html, err = draw(d, docs.hash)
	return docs, err
}

// Routes returns the routes of this package.
func (d *Docs) Routes() []web.Route {
	return []web.Route{
		{Method: http.MethodGet, Path: "/openapi.json", Lane: web.API, CORS: web.AnyCORS, Handle: d.document},
		{Method: http.MethodGet, Path: "/docs", Lane: web.Browser, Handle: d.page},
		{Method: http.MethodGet, Path: "/docs/*file", Lane: web.Browser, Handle: d.file},
	}
}

// Describe makes the document. It must be called before the first request.
func (d *Docs) Describe(f Filling) error {
	var err error
	d.json, err = Document(f)
	d.jsonTag = tag(d.json)
	return err
}

type file struct {
	body []byte
	kind string
	// small is the body under gzip, made when somebody asks first.
	small func() []byte
}

func (d *Docs) load() error {
	d.files = map[string]*file{}
	sum := sha256.New()
	kinds := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".html": "text/html; charset=utf-8"}
	for _, dir := range []string{".", "swagger-ui"} {
		entries, err := embedded.ReadDir(dir)
		if err != nil {
			return fmt.Errorf("files of the documentation: %w", err)
		}
		for _, e := range entries {
			if e.IsDir() {
				continue
			}
			body, err := embedded.ReadFile(path.Join(dir, e.Name()))
			if err != nil {
				return fmt.Errorf("files of the documentation: %w", err)
			}
			sum.Write(body)
			d.files[e.Name()] = &file{body: body, kind: kinds[path.Ext(e.Name())], small: sync.OnceValue(func() []byte { return shrink(body) })}
		}
	}
	d.hash = hex.EncodeToString(sum.Sum(nil))[:16]
	return nil
}

func shrink(body []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	// Writing to memory does not fail.
	_, _ = w.Write(body)
	_ = w.Close()
	return out.Bytes()
}

func tag(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}

func draw(d Deps, hash string) ([]byte, error) {
	t, err := template.New("docs").Parse(pageText)
	if err != nil {
		return nil, fmt.Errorf("page of the documentation: %w", err)
	}
	base := strings.TrimSuffix(d.Issuer.String(), "/")
	var out bytes.Buffer
	err = t.Execute(&out, map[string]any{
		"Product": d.Product, "Dev": d.Dev, "Guide": d.Guide, "Base": strings.TrimSuffix(d.Issuer.EscapedPath(), "/"), "Hash": hash,
		"Page": base + "/docs", "Redirect": base + RedirectPath, "Token": base + "/token",
		"CodeClient": d.CodeClient, "PasswordClient": d.PasswordClient,
	})
	if err != nil {
		return nil, fmt.Errorf("page of the documentation: %w", err)
	}
	return out.Bytes(), nil
}

// document answers with openapi.yaml as JSON. Anybody may cache it, for a short time: it changes with a restart.
func (d *Docs) document(c *gin.Context) error {
	h := c.Writer.Header()
	h.Set("Cache-Control", "public, max-age=60")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Set("ETag", d.jsonTag)
	if fresh(c, d.jsonTag) {
		return notModified(c)
	}
	c.Data(http.StatusOK, "application/json", d.json)
	return nil
}

func (d *Docs) page(c *gin.Context) error {
	h := c.Writer.Header()
	h.Set("Content-Security-Policy", pagePolicy)
	// The window that people sign in with must be able to hand the code back.
	h.Set("Cross-Origin-Opener-Policy", "same-origin-allow-popups")
	c.Data(http.StatusOK, "text/html; charset=utf-8", d.html)
	return nil
}

// file answers with a file of the page: for a year where the address names this release, to be asked for anew otherwise.
func (d *Docs) file(c *gin.Context) error {
	name := strings.TrimPrefix(c.Param("file"), "/")
	f, ok := d.files[name]
	if !ok {
		return fault.New(fault.NotFound, "not_found", "The documentation has no such file.")
	}
	h := c.Writer.Header()
	if strings.HasSuffix(name, ".html") {
		// The address holds a code, so nothing of this answer is kept.
		h.Set("Content-Security-Policy", redirectPolicy)
		c.Data(http.StatusOK, f.kind, f.body)
		return nil
	}
	// Weak, since the body may come under gzip or not (RFC 9110 §8.8.1).
	etag := `W/"` + d.hash + `"`
	h.Set("ETag", etag)
	h.Set("Cache-Control", "no-cache")
	if c.Query("v") == d.hash {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	h.Set("Vary", "Accept-Encoding")
	if fresh(c, etag) {
		return notModified(c)
	}
	body := f.body
	if strings.Contains(c.GetHeader("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = f.small()
	}
	c.Data(http.StatusOK, f.kind, body)
	return nil
}

func fresh(c *gin.Context, etag string) bool {
	return slices.Contains(strings.Split(strings.ReplaceAll(c.GetHeader("If-None-Match"), " ", ""), ","), etag)
}

func notModified(c *gin.Context) error {
	c.Status(http.StatusNotModified)
	c.Writer.WriteHeaderNow()
	return nil
}
