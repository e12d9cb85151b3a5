package guide

import (
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"

	"example.com/broker/verify"
	"example.com/broker/web"
)

// verify says of an access token what any route of the broker would: whether it is good, and if not, why, in the words of package
// verify. It tells the holder of a token nothing they could not learn by using it. A verifier that cannot tell is a 503.
func (e *endpoints) verify(c *gin.Context) error {
	var in struct {
		Token string `json:"token"`
	}
	if err := web.JSON(c, &in); err != nil {
		return err
	}
	_, err := e.Verify(c.Request.Context(), in.Token)
	var refused *verify.Error
	switch {
	case err == nil:
		c.JSON(http.StatusOK, gin.H{"valid": true})
	case errors.As(err, &refused) && refused.Code == verify.CodeInvalidToken:
		c.JSON(http.StatusOK, gin.H{"valid": false, "code": refused.Code, "description": refused.Description})
	default:
		return err
	}
	return nil
}
