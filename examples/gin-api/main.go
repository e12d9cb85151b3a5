// Command gin-api is an API on Gin that trusts the broker's tokens: package verify checks them, and one function of a few lines puts
// its net/http middleware before Gin's handlers. README.md beside it says how to run it.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/broker/verify"
)

func main() {
	if err := run(os.Getenv); err != nil {
		fmt.Fprintln(os.Stderr, "gin-api:", err)
		os.Exit(1)
	}
}

func run(getenv func(string) string) error {
	v, err := newVerifier(getenv("ISSUER"), getenv("AUDIENCE"), getenv("JWKS_URL"))
	if err != nil {
		return err
	}
	address := getenv("LISTEN")
	if address == "" {
		address = "127.0.0.1:8091"
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", address)
	if err != nil {
		return err
	}
	fmt.Printf("gin-api listens on http://%s for tokens with the audience %s\n", listener.Addr(), getenv("AUDIENCE"))
	server := &http.Server{Handler: routes(v), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second}
	return server.Serve(listener)
}

// newVerifier accepts access tokens of issuer for audience. The keys are fetched when the first token comes, from jwksURL or, if that
// is "", from where the issuer says they are.
func newVerifier(issuer, audience, jwksURL string) (*verify.Verifier, error) {
	if issuer == "" || audience == "" {
		return nil, fmt.Errorf("ISSUER is %q and AUDIENCE is %q, both are needed", issuer, audience)
	}
	keys, err := verify.Remote(jwksURL, verify.RemoteOptions{Issuer: issuer})
	if err != nil {
		return nil, err
	}
	return verify.New(verify.Config{Issuer: issuer, Audience: audience, Keys: keys})
}

// guard puts net/http middleware before Gin's handlers: they run if it calls the next handler, with the request it passes on.
func guard(middleware func(http.Handler) http.Handler) gin.HandlerFunc {
	return func(c *gin.Context) {
		passed := false
		next := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { passed, c.Request = true, r })
		if middleware(next).ServeHTTP(c.Writer, c.Request); !passed {
			c.Abort()
		}
	}
}

// routes lists every route with what it demands of the caller.
func routes(v *verify.Verifier) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.Use(gin.Recovery(), guard(v.Middleware))
	r.GET("/stock", answer(http.StatusOK))
	r.POST("/stock", guard(verify.RequireRoles("editor", "admin")), answer(http.StatusCreated))
	r.DELETE("/stock/:id", guard(verify.RequireScope("stock:write")), answer(http.StatusOK))
	return r
}

// answer says who calls. Behind the middleware there always is a subject.
func answer(status int) gin.HandlerFunc {
	return func(c *gin.Context) {
		s, _ := verify.SubjectFrom(c.Request.Context())
		c.Header("Cache-Control", "no-store")
		c.JSON(status, gin.H{
			"caller": gin.H{"kind": s.Kind, "id": s.ID, "client_id": s.ClientID, "roles": s.Roles, "scopes": s.Scopes},
			"stock":  gin.H{"kettles": 12, "cups": 30},
		})
	}
}
