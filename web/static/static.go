package static

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed assets
var embedded embed.FS

// hashLength is how many hex digits of the hash an address shows.
const hashLength = 16

// Assets is the set of embedded files. It never changes after Load and is safe for concurrent use.
type Assets struct {
	hash  string
	files map[string]file
}

type file struct {
	body []byte
	kind string
}

// Load reads the embedded files and hashes them. One hash covers all of them, so that scripts can import each other by relative
// address and still never mix two releases.
func Load() (*Assets, error) {
	return load(Files())
}

// Files returns the embedded files by their plain names, such as "style.css".
func Files() fs.FS {
	sub, err := fs.Sub(embedded, "assets")
	if err != nil {
		panic(err) // the name is a constant that fs.Sub accepts
	}
	return sub
}

func load(tree fs.FS) (*Assets, error) {
	a := &Assets{files: map[string]file{}}
	sum := sha256.New()
	// WalkDir visits in lexical order, so the same files always give the same hash.
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		kind, err := contentType(name)
		if err != nil {
			return err
		}
		body, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		fmt.Fprintf(sum, "%d %s %d\n", len(name), name, len(body))
		sum.Write(body)
		a.files[name] = file{body: body, kind: kind}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading embedded assets: %w", err)
	}
	a.hash = hex.EncodeToString(sum.Sum(nil))[:hashLength]
	return a, nil
}

// contentType is decided here and not by the host's MIME table, which may lack a type or name another.
func contentType(name string) (string, error) {
	switch path.Ext(name) {
	case ".css":
		return "text/css; charset=utf-8", nil
	case ".js":
		return "text/javascript; charset=utf-8", nil
	case ".svg":
		return "image/svg+xml", nil
	}
	return "", fmt.Errorf("%s: no content type for this extension", name)
}

// Path returns where a file lies below the handler's prefix, such as "/0f3a…/style.css". The address changes when any file does.
func (a *Assets) Path(name string) string {
	return "/" + a.hash + "/" + name
}

// URL returns a function that gives the address of each file when the handler is mounted at prefix.
func (a *Assets) URL(prefix string) func(name string) string {
	return func(name string) string { return prefix + a.Path(name) }
}

// Handler serves the files below prefix to GET and HEAD. The current address may be kept for a year; an address of another release
// is answered with the current file, not to be stored, so that pages of the old release keep working while replicas are replaced.
func (a *Assets) Handler(prefix string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		rest, ours := strings.CutPrefix(r.URL.Path, prefix+"/")
		hash, name, nested := strings.Cut(rest, "/")
		f, known := a.files[name]
		if !ours || !nested || !known {
			w.Header().Set("Cache-Control", "no-store")
			http.Error(w, "not found", http.StatusNotFound)
			return
		}
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		if hash == a.hash {
			h.Set("Cache-Control", "public, max-age=31536000, immutable")
			h.Set("ETag", `"`+a.hash+`"`)
		}
		h.Set("Content-Type", f.kind)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(f.body))
	})
}
