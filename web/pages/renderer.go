package pages

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io"
	"path"
	"strings"
)

//go:embed templates/*.html
var templates embed.FS

// Options says what all pages of one broker share.
type Options struct {
	// Product is the name people know this service by. "Broker" if empty.
	Product string
	// BasePath is the path of the issuer, below which every link of the pages lies: "" or "/auth". No trailing slash.
	BasePath string
	// DevBanner puts a warning on each page and shows the technical details of errors in full.
	DevBanner bool
	// SupportContact is whom to ask: an e-mail address, an https address, or a few words. It is named on error pages.
	SupportContact string
	// Asset gives the address of a style sheet, script or icon. Nil means BasePath + "/static/" + name.
	Asset func(name string) string
	// Home is the path below BasePath that leads out of a dead end. "/dashboard" if empty.
	Home string
}

// Page is the view model of one page. The types of this package are the only pages there are.
type Page interface {
	// Traits says which headers the page needs.
	Traits() Traits
	// screen resolves addresses and words for the template.
	screen(r *Renderer) screen
}

// screen is what a page hands to its template.
type screen struct {
	template string
	title    string
	wide     bool
	// full takes the whole window instead of a column.
	full bool
	// styles are sheets beside the one that all pages share.
	styles  []string
	scripts []string
	body    any
}

// frame is the data of the layout around every page.
type frame struct {
	Product, Title, Icon string
	Dev, Wide, Full      bool
	Styles, Scripts      []string
	Support              *contact
	Body                 any
}

// Renderer draws pages. It never changes after New and is safe for concurrent use.
type Renderer struct {
	product string
	base    string
	home    string
	dev     bool
	support *contact
	asset   func(string) string
	byName  map[string]*template.Template
}

// New parses all templates. It fails on a base or home path that is not a plain path, and on a template that does not parse.
func New(o Options) (*Renderer, error) {
	r := &Renderer{product: o.Product, base: o.BasePath, home: o.Home, dev: o.DevBanner, asset: o.Asset}
	if r.product == "" {
		r.product = "Broker"
	}
	if r.home == "" {
		r.home = "/dashboard"
	}
	if r.base != "" && !isPath(r.base) || strings.HasSuffix(r.base, "/") {
		return nil, fmt.Errorf("base path %q: want an empty string or a path such as /auth, without a trailing slash", o.BasePath)
	}
	if !isPath(r.home) {
		return nil, fmt.Errorf("home %q: want a path such as /dashboard", o.Home)
	}
	if r.asset == nil {
		r.asset = func(name string) string { return r.base + "/static/" + name }
	}
	r.support = newContact(o.SupportContact)
	var err error
	r.byName, err = parse()
	return r, err
}

// parse gives every page its own copy of the layout, so that each can define "content" for itself.
func parse() (map[string]*template.Template, error) {
	shared, err := template.New("").ParseFS(templates, "templates/_*.html")
	if err != nil {
		return nil, fmt.Errorf("parsing shared templates: %w", err)
	}
	entries, err := templates.ReadDir("templates")
	if err != nil {
		return nil, fmt.Errorf("listing templates: %w", err)
	}
	byName := map[string]*template.Template{}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), "_") {
			continue
		}
		layout, err := shared.Clone()
		if err != nil {
			return nil, fmt.Errorf("copying the layout: %w", err)
		}
		page, err := layout.ParseFS(templates, path.Join("templates", entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("parsing %s: %w", entry.Name(), err)
		}
		byName[strings.TrimSuffix(entry.Name(), ".html")] = page
	}
	return byName, nil
}

// Render writes the page as a whole HTML document. A page that cannot be drawn writes nothing.
func (r *Renderer) Render(w io.Writer, page Page) error {
	s := page.screen(r)
	f := frame{
		Product: r.product, Title: s.title, Icon: r.asset("icon.svg"),
		Dev: r.dev, Wide: s.wide, Full: s.full, Support: r.support, Body: s.body,
	}
	for _, name := range append([]string{"style.css"}, s.styles...) {
		f.Styles = append(f.Styles, r.asset(name))
	}
	for _, name := range s.scripts {
		f.Scripts = append(f.Scripts, r.asset(name))
	}
	t, ok := r.byName[s.template]
	if !ok {
		return fmt.Errorf("drawing page: no template %q", s.template)
	}
	var buf bytes.Buffer
	if err := t.ExecuteTemplate(&buf, "layout", f); err != nil {
		return fmt.Errorf("drawing page %s: %w", s.template, err)
	}
	if _, err := buf.WriteTo(w); err != nil {
		return fmt.Errorf("writing page %s: %w", s.template, err)
	}
	return nil
}
