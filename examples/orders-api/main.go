// Command orders-api is an API that trusts the broker's tokens: a net/http program that checks them with package verify and
// uses nothing else of the broker. README.md beside it says how to run it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"example.com/broker/verify"
)

const shutdownTimeout = 5 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Getenv, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "orders-api:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends. It writes the address it listens on to out.
func run(ctx context.Context, getenv func(string) string, out io.Writer) error {
	v, follow, err := newVerifier(ctx, getenv)
	if err != nil {
		return err
	}
	address := getenv("LISTEN")
	if address == "" {
		address = "127.0.0.1:8090"
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	server := &http.Server{Handler: routes(v), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second}
	fmt.Fprintf(out, "orders-api listens on http://%s for tokens with the audience %s\n", listener.Addr(), getenv("AUDIENCE"))
	ctx, stop := context.WithCancel(ctx)
	followed := make(chan error, 1)
	go func() { followed <- follow(ctx) }()
	err = serve(ctx, server, listener)
	stop()
	<-followed // it ends with ctx, and has nothing to say but that
	return err
}

// serve returns nil once ctx has ended and the requests under way are answered.
func serve(ctx context.Context, server *http.Server, listener net.Listener) error {
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(end); err != nil {
		return fmt.Errorf("shut down: %w", err)
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// newVerifier accepts tokens of ISSUER for AUDIENCE. The keys come from JWKS_URL, or from where the issuer says they are. With
// REVOCATIONS=on it refuses what the issuer took back; follow, which returns when ctx ends, is to run beside the server.
func newVerifier(ctx context.Context, getenv func(string) string) (v *verify.Verifier, follow func(context.Context) error, err error) {
	if getenv("ISSUER") == "" || getenv("AUDIENCE") == "" {
		return nil, nil, fmt.Errorf("ISSUER is %q and AUDIENCE is %q, both are needed", getenv("ISSUER"), getenv("AUDIENCE"))
	}
	cfg := verify.Config{Issuer: getenv("ISSUER"), Audience: getenv("AUDIENCE")}
	if getenv("REVOCATIONS") == "on" {
		// It finds the keys too. Where the issuer keeps an allowlist, it introspects as CLIENT_ID, or refuses to start without one.
		issuer, err := verify.Discover(ctx, cfg.Issuer, verify.DiscoverOptions{
			ClientID: getenv("CLIENT_ID"), ClientSecret: getenv("CLIENT_SECRET"), InsecureHTTP: getenv("JWKS_INSECURE_HTTP") == "true", Log: slog.Default(),
		})
		if err != nil {
			return nil, nil, err
		}
		cfg.Keys, cfg.Revocations = issuer.Keys, issuer.Revocations()
		v, err = verify.New(cfg)
		return v, issuer.Run, err
	}
	keys, err := verify.Remote(getenv("JWKS_URL"), verify.RemoteOptions{
		Issuer:       getenv("ISSUER"),
		InsecureHTTP: getenv("JWKS_INSECURE_HTTP") == "true",
	})
	if err != nil {
		return nil, nil, fmt.Errorf("find the keys of the issuer: %w", err)
	}
	cfg.Keys = keys
	v, err = verify.New(cfg)
	return v, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, err
}

// order is one order, and answer what GET /orders returns.
type (
	order struct {
		ID    string `json:"id"`
		Title string `json:"title"`
	}
	answer struct {
		Caller caller  `json:"caller"`
		Orders []order `json:"orders"`
	}
	caller struct {
		Kind     verify.Kind `json:"kind"`
		ID       string      `json:"id"`
		ClientID string      `json:"client_id"`
		Roles    []string    `json:"roles"`
		Scopes   []string    `json:"scopes"`
	}
)

// routes lists every route with what it demands of the caller.
func routes(v *verify.Verifier) http.Handler {
	editors := verify.RequireRoles("editor", "admin")
	writers := verify.RequireScope("orders:write")
	mux := http.NewServeMux()
	mux.Handle("GET /orders", v.Middleware(http.HandlerFunc(listOrders)))
	mux.Handle("POST /orders", v.Middleware(editors(http.HandlerFunc(placeOrder))))
	mux.Handle("DELETE /orders/{id}", v.Middleware(writers(http.HandlerFunc(cancelOrder))))
	return mux
}

func listOrders(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, answer{
		Caller: callerOf(r),
		Orders: []order{{ID: "1", Title: "A kettle"}, {ID: "2", Title: "Two cups"}},
	})
}

func placeOrder(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusCreated, answer{Caller: callerOf(r), Orders: []order{{ID: "3", Title: "A pound of tea"}}})
}

func cancelOrder(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, answer{Caller: callerOf(r), Orders: []order{}})
}

// callerOf tells who calls. Behind the middleware there always is a subject.
func callerOf(r *http.Request) caller {
	s, _ := verify.SubjectFrom(r.Context())
	return caller{Kind: s.Kind, ID: s.ID, ClientID: s.ClientID, Roles: s.Roles, Scopes: s.Scopes}
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // The caller may be gone, and nobody else wants to know.
}
