package admin

import (
	"cmp"
	"net/http"

	"github.com/gin-gonic/gin"

	"example.com/broker/abac"
	"example.com/broker/web"
)

// listPolicies names the applications that decide by policies.
func (e *endpoints) listPolicies(c *gin.Context) error {
	apps, err := e.Policies.Apps(c.Request.Context())
	if err != nil {
		return err
	}
	out := make([]gin.H, 0, len(apps))
	for _, app := range apps {
		set, fixed, err := e.Policies.Load(c.Request.Context(), app)
		if err != nil {
			return err
		}
		out = append(out, gin.H{"app": app, "v": set.V, "fixed": fixed, "policies": len(set.Policies)})
	}
	c.JSON(http.StatusOK, gin.H{"applications": out})
	return nil
}

func (e *endpoints) getPolicies(c *gin.Context) error {
	set, fixed, err := e.Policies.Load(c.Request.Context(), c.Param("app"))
	if err != nil {
		return err
	}
	return answerPolicies(c, set, fixed)
}

func answerPolicies(c *gin.Context, set abac.Set, fixed bool) error {
	return answer(c, http.StatusOK, set.V, gin.H{
		"app": set.App, "v": set.V, "fixed": fixed, "schema": set.Schema, "policies": append([]abac.Policy{}, set.Policies...), "entities": set.Entities,
	})
}

// putPolicies replaces the whole set of an application, so that no decision mixes old and new. What the defaults say has the version 0,
// and so has an application that is new.
func (e *endpoints) putPolicies(c *gin.Context) error {
	var in struct {
		V        int64  `json:"v"`
		Schema   string `json:"schema"`
		Policies []struct {
			ID   string `json:"id"`
			Text string `json:"text"`
		} `json:"policies"`
		Entities string `json:"entities"`
	}
	v, err := version(c)
	if err != nil {
		return err
	}
	if err := web.JSON(c, &in); err != nil {
		return err
	}
	set := abac.Set{App: c.Param("app"), V: cmp.Or(v, in.V), Schema: in.Schema, Entities: in.Entities}
	for _, p := range in.Policies {
		set.Policies = append(set.Policies, abac.Policy{ID: p.ID, Text: p.Text})
	}
	set, err = e.Policies.Save(c.Request.Context(), set, web.CallerOf(c).User.ID)
	if err := e.done(c, "policies.put", c.Param("app"), err); err != nil {
		return err
	}
	return answerPolicies(c, set, false)
}
