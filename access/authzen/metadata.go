package authzen

import (
	"fmt"
	"maps"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
)

// metadata describes a decision point (AuthZEN §9): the issuer's own, or that of the application that the path names. The signed form
// says the same, by the issuer.
func (d Deps) metadata(c *gin.Context) error {
	identifier := strings.TrimSuffix(d.Issuer.String(), "/")
	if app := c.Param("app"); app != "" {
		if _, err := d.Policies.Engine(c.Request.Context(), app); err != nil {
			return err
		}
		identifier += Base + app
	}
	document := map[string]any{
		"policy_decision_point":       identifier,
		"access_evaluation_endpoint":  identifier + evaluationPath,
		"access_evaluations_endpoint": identifier + evaluationsPath,
		"search_subject_endpoint":     identifier + searchPath + string(subjects),
		"search_resource_endpoint":    identifier + searchPath + string(resources),
		"search_action_endpoint":      identifier + searchPath + string(actions),
	}
	claims := maps.Clone(document)
	claims["iss"] = d.Issuer.String()
	signed, err := d.Sign(claims)
	if err != nil {
		return fmt.Errorf("sign the metadata: %w", err)
	}
	document["signed_metadata"] = signed
	c.Header("Cache-Control", "public, max-age=600")
	c.JSON(http.StatusOK, document)
	return nil
}
