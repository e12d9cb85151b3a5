// Package samples holds the protected routes on which each kind of credential can be tried: they answer with little more than who asked.
package samples

import (
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"example.com/broker/audit"
	"example.com/broker/internal/fault"
	"example.com/broker/internal/secret"
	"example.com/broker/samples/articles"
	"example.com/broker/web"
)

// Deps are what the routes stand on. All are required.
type Deps struct {
	Guards   web.Guards
	Articles articles.Store
	Audit    audit.Recorder
	Seal     *secret.Sealer // of cursors
	Now      func() time.Time
	NewID    func() string // of an article
}

// Routes returns the routes of this package.
func Routes(d Deps) []web.Route {
	return append([]web.Route{
		{Method: http.MethodGet, Path: "/data", Lane: web.API, Guard: d.Guards.APIKey("data:read"), Handle: data},
		{Method: http.MethodGet, Path: "/data/:id", Lane: web.API, Guard: d.Guards.APIKey("data:read"), Handle: datum},
		d.reports(),
	}, d.articleRoutes()...)
}

// data answers the holder of an API key.
func data(c *gin.Context) error {
	who := web.CallerOf(c)
	c.JSON(http.StatusOK, gin.H{
		"message": "This is what the API key opens.",
		"key":     gin.H{"id": who.Key.ID, "name": who.Key.Name, "scopes": who.Key.Scopes, "expires_at": who.Key.ExpiresAt},
		"owner":   gin.H{"sub": who.User.ID, "username": who.User.Username},
	})
	return nil
}

// datum answers below /data, where there is nothing. Somebody who puts a key into the path is refused like anybody without one.
func datum(*gin.Context) error {
	return fault.New(fault.NotFound, "data_unknown", "There is nothing below /data.")
}
