package dev

import (
	"cmp"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"example.com/broker/verify"
)

//go:embed demo
var demoFiles embed.FS

// DemoOptions are what a Demo needs; all are required but Revocations and Providers.
type DemoOptions struct {
	Issuer   string
	Audience string
	// Keys are the issuer's public keys, Revocations what it took back.
	Keys        verify.KeySet
	Revocations verify.Revocations
	Now         func() time.Time
	// Providers are the ids for which the app offers a button of its own.
	Providers []string
}

// Demo returns a single-page app and the API that it calls, both on one origin. The app is a client like any other, and the API uses
// package verify and nothing else of the broker: neither can do what an app and an API of one's own could not.
func Demo(o DemoOptions) (http.Handler, error) {
	api, err := demoAPI(o)
	if err != nil {
		return nil, err
	}
	settings, err := json.Marshal(map[string]any{
		"issuer": o.Issuer, "client_id": SPAClient, "resource": o.Audience, "scope": "openid profile email roles demo:read",
		"providers": append([]string{}, o.Providers...),
	})
	if err != nil {
		return nil, fmt.Errorf("settings of the demo app: %w", err)
	}
	files, err := fs.Sub(demoFiles, "demo")
	if err != nil {
		return nil, fmt.Errorf("files of the demo app: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("/api/", api)
	mux.HandleFunc("GET /config.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(settings)
	})
	for _, page := range []string{"GET /{$}", "GET /callback"} {
		mux.HandleFunc(page, func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, files, "index.html") })
	}
	for _, asset := range []string{"app.js", "oidc.js", "style.css", "icon.svg"} {
		mux.HandleFunc("GET /"+asset, func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, files, asset) })
	}
	// connect-src names the issuer, because the app asks it for tokens; form-action is none, because the app has no forms.
	policy := strings.Join([]string{
		"default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "connect-src 'self' " + o.Issuer,
		"form-action 'none'", "base-uri 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'", "trusted-types 'none'",
	}, "; ")
	return OnlyLocal(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		// The address of the callback holds a code until the app has read it.
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		mux.ServeHTTP(w, r)
	})), nil
}

// demoAPI is the protected API: anybody with a token for its audience may say hello, editors and admins may write notes.
func demoAPI(o DemoOptions) (http.Handler, error) {
	v, err := verify.New(verify.Config{Issuer: o.Issuer, Audience: o.Audience, Keys: o.Keys, Revocations: o.Revocations, Now: o.Now})
	if err != nil {
		return nil, fmt.Errorf("demo API: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/hello", func(w http.ResponseWriter, r *http.Request) {
		token, _ := verify.TokenFrom(r.Context())
		answer(w, http.StatusOK, greet(token, o.Now()))
	})
	mux.Handle("POST /api/notes", verify.RequireRoles("editor", "admin")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		note, err := readNote(w, r)
		if err != nil {
			answer(w, http.StatusBadRequest, map[string]any{"error": "invalid_request", "error_description": err.Error()})
			return
		}
		s, _ := verify.SubjectFrom(r.Context())
		answer(w, http.StatusCreated, map[string]any{"text": note, "author": s.ID, "written_at": o.Now().UTC()})
	})))
	return v.Middleware(mux), nil
}

// greeting says what the API learned from the token.
type greeting struct {
	Message   string    `json:"message"`
	Subject   string    `json:"sub"`
	Roles     []string  `json:"roles"`
	Scopes    []string  `json:"scopes"`
	ClientID  string    `json:"client_id"`
	Audience  string    `json:"audience"`
	TokenID   string    `json:"jti"`
	ExpiresAt time.Time `json:"expires_at"`
	At        time.Time `json:"answered_at"`
}

func greet(t *verify.Token, now time.Time) greeting {
	s := t.Subject
	return greeting{
		Message: "Hello, " + cmp.Or(s.Email, s.ID) + ".", Subject: s.ID, Roles: append([]string{}, s.Roles...), Scopes: append([]string{}, s.Scopes...), ClientID: s.ClientID,
		Audience: s.Audience, TokenID: t.Claims.ID, ExpiresAt: t.Claims.ExpiresAt.UTC(), At: now.UTC(),
	}
}

const maxNote = 4 << 10

// readNote reads {"text": "…"}. Notes are read back to their author and not kept: who may write is what the demo is about.
func readNote(w http.ResponseWriter, r *http.Request) (string, error) {
	var note struct {
		Text string `json:"text"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxNote)).Decode(&note); err != nil {
		return "", errors.New("the body must be JSON such as {\"text\": \"a note\"}, of at most 4096 bytes")
	}
	if strings.TrimSpace(note.Text) == "" {
		return "", errors.New("text is empty, give a note of one character or more")
	}
	return note.Text, nil
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(body)
}
