package authzen

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"

	"github.com/gin-gonic/gin"
)

// metadata describes a decision point (AuthZEN §9): the issuer's own, or that of the application that the path names. The signed form
// says the same, by the issuer.
func (d Deps) metadata(c *gin.Context) error {
	app, version := c.Param("app"), int64(0)
	if app != "" {
		e, err := d.Policies.Engine(c.Request.Context(), app)
		if err != nil {
			return err
		}
		version = e.V
	}
	key, err := d.KeyID()
	if err != nil {
		return fmt.Errorf("sign the metadata: %w", err)
	}
	text, ok := d.documents.get(app, version, key)
	if !ok {
		if text, err = d.document(app); err != nil {
			return err
		}
		d.documents.put(app, version, key, text)
	}
	c.Header("Cache-Control", "public, max-age=600")
	c.Data(http.StatusOK, "application/json; charset=utf-8", text)
	return nil
}

func (d Deps) document(app string) ([]byte, error) {
	identifier := strings.TrimSuffix(d.Issuer.String(), "/")
	if app != "" {
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
		return nil, fmt.Errorf("sign the metadata: %w", err)
	}
	document["signed_metadata"] = signed
	return json.Marshal(document)
}

// documents keeps the metadata of each application as it is answered: anybody may ask for it, and a signature takes a millisecond. There are
// as many as there are applications. It is safe for concurrent use.
type documents struct {
	mu sync.Mutex
	by map[string]signedDocument
}

// signedDocument is good for as long as the policies and the key are these.
type signedDocument struct {
	version int64
	key     string
	text    []byte
}

func (d *documents) get(app string, version int64, key string) ([]byte, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	one, ok := d.by[app]
	return one.text, ok && one.version == version && one.key == key
}

func (d *documents) put(app string, version int64, key string, text []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.by[app] = signedDocument{version, key, text}
}
