package samples

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"example.com/broker/web"
)

// reports is for anyone signed in, whatever their roles.
func (d Deps) reports() web.Route {
	return web.Route{
		Method: http.MethodGet, Path: "/reports", Lane: web.Browser, Data: true, Guard: d.Guards.Reach("reports:read"), CORS: web.ClientCORS,
		Handle: func(c *gin.Context) error {
			who := web.CallerOf(c)
			c.JSON(http.StatusOK, gin.H{
				"reports": []gin.H{{"id": "welcome", "title": "What anyone who is signed in may read"}},
				"reader":  gin.H{"sub": who.User.ID, "roles": append([]string{}, d.Guards.Actor(c).Roles...)},
			})
			return nil
		},
	}
}
