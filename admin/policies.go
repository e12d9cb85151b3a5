package admin

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"example.com/broker/abac"
	"example.com/broker/internal/changes"
	"example.com/broker/internal/fault"
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

// wanted is the version that an editor names, in the words of package abac.
func wanted(v int64) int64 {
	switch v {
	case 0:
		return abac.AnyVersion
	case changes.Unstored:
		return 0
	}
	return v
}

// putPolicies replaces the whole set of an application, so that no decision mixes old and new. What the defaults say has the version 0,
// and so has an application that is new. What was read can be sent back.
func (e *endpoints) putPolicies(c *gin.Context) error {
	var in struct {
		App      string  `json:"app"`
		V        *int64  `json:"v"`
		Fixed    bool    `json:"fixed"` // changes nothing
		Schema   *string `json:"schema"`
		Policies []struct {
			ID   string  `json:"id"`
			Text *string `json:"text"`
			V    int64   `json:"v"` // changes nothing
		} `json:"policies"`
		Entities string `json:"entities"`
	}
	if err := web.JSON(c, &in); err != nil {
		return err
	}
	if err := needs(need{"schema", in.Schema != nil}, need{"policies", in.Policies != nil}); err != nil {
		return err
	}
	app := c.Param("app")
	if in.App != "" && in.App != app {
		return fault.New(fault.Invalid, "application_invalid", "app names another application: it cannot be changed.")
	}
	v, err := version(c, in.V)
	if err != nil {
		return err
	}
	set := abac.Set{App: app, V: wanted(v), Schema: *in.Schema, Entities: in.Entities}
	for i, p := range in.Policies {
		if err := needs(need{fmt.Sprintf("policies[%d].text", i), p.Text != nil}); err != nil {
			return err
		}
		set.Policies = append(set.Policies, abac.Policy{ID: p.ID, Text: *p.Text})
	}
	set, err = e.Policies.Save(c.Request.Context(), set, web.CallerOf(c).User.ID)
	detail := []string{}
	if err == nil {
		detail = append(detail, "v", strconv.FormatInt(set.V, 10))
	}
	if err := e.done(c, "policies.put", app, err, detail...); err != nil {
		return err
	}
	return answerPolicies(c, set, false)
}

// deletePolicies takes the stored set of an application away; what the broker comes with takes the place of its own.
func (e *endpoints) deletePolicies(c *gin.Context) error {
	v, err := version(c, nil)
	if err != nil {
		return err
	}
	app := c.Param("app")
	if err := e.done(c, "policies.delete", app, e.Policies.Remove(c.Request.Context(), app, wanted(v), web.CallerOf(c).User.ID)); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}
