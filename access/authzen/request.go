package authzen

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"example.com/broker/abac"
	"example.com/broker/internal/fault"
	"example.com/broker/internal/strictjson"
)

// object is a JSON object as it was sent; numbers are json.Number. Members that nobody asks for are ignored (AuthZEN §10.1.1).
type object map[string]any

func invalid(format string, args ...any) error {
	return fault.New(fault.Invalid, "request_invalid", format, args...)
}

// body reads the JSON object that a request must be: fault.Invalid for another media type too, as the certification of AuthZEN wants it.
func body(c *gin.Context) (object, error) {
	kind, params, err := mime.ParseMediaType(c.GetHeader("Content-Type"))
	if charset, given := params["charset"]; err != nil || kind != "application/json" || given && !strings.EqualFold(charset, "utf-8") {
		return nil, invalid("Content-Type is %.100q, expected application/json.", c.GetHeader("Content-Type"))
	}
	raw, err := io.ReadAll(c.Request.Body)
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, tooLarge
	}
	if err != nil {
		return nil, invalid("The body could not be read.")
	}
	return parse(raw)
}

func parse(raw []byte) (object, error) {
	v, err := strictjson.Value(raw)
	if err != nil {
		return nil, invalid("The body cannot be used: %v.", err)
	}
	o, ok := v.(map[string]any)
	if !ok {
		return nil, invalid("The body must be a JSON object.")
	}
	return o, nil
}

// member returns an object within an object; ok is false where it is absent or null.
func (o object) member(name string) (_ object, ok bool, err error) {
	v, present := o[name]
	if !present || v == nil {
		return nil, false, nil
	}
	m, isObject := v.(map[string]any)
	if !isObject {
		return nil, false, invalid("%s must be an object.", name)
	}
	return m, true, nil
}

// text returns a member that must be a string.
func (o object) text(of, name string) (string, error) {
	switch v := o[name].(type) {
	case string:
		if v == "" {
			return "", invalid("%s.%s is empty.", of, name)
		}
		return v, nil
	case nil:
		return "", invalid("%s.%s is missing.", of, name)
	}
	return "", invalid("%s.%s must be a string.", of, name)
}

// entity reads a subject or a resource; of one that is searched for only the type counts, and the rest must be of its kind nevertheless.
func (o object) entity(name string, searched bool) (abac.Entity, error) {
	m, ok, err := o.member(name)
	if err != nil {
		return abac.Entity{}, err
	}
	if !ok {
		return abac.Entity{}, invalid("%s is missing.", name)
	}
	var e abac.Entity
	if e.Type, err = m.text(name, "type"); err != nil {
		return e, err
	}
	if e.Attrs, err = m.properties(name); err != nil {
		return e, err
	}
	if searched {
		if _, isText := m["id"].(string); m["id"] != nil && !isText {
			return e, invalid("%s.id must be a string.", name)
		}
		return abac.Entity{UID: abac.UID{Type: e.Type}}, nil
	}
	e.ID, err = m.text(name, "id")
	return e, err
}

func (o object) properties(of string) (map[string]any, error) {
	p, _, err := o.member("properties")
	if err != nil {
		return nil, invalid("%s.properties must be an object.", of)
	}
	return p, nil
}

// action reads the action. What a request says about it policies find in context.action, for Cedar's actions have no attributes.
func (o object) action() (abac.Entity, error) {
	m, ok, err := o.member("action")
	if err != nil {
		return abac.Entity{}, err
	}
	if !ok {
		return abac.Entity{}, invalid("action is missing.")
	}
	name, err := m.text("action", "name")
	if err != nil {
		return abac.Entity{}, err
	}
	e := abac.ActionNamed(name)
	e.Attrs, err = m.properties("action")
	return e, err
}

// question is one request for a decision.
type question struct {
	Subject, Action, Resource abac.Entity
	Context                   map[string]any
}

func (o object) question() (q question, err error) {
	if q.Subject, err = o.entity("subject", false); err != nil {
		return q, err
	}
	if q.Action, err = o.action(); err != nil {
		return q, err
	}
	if q.Resource, err = o.entity("resource", false); err != nil {
		return q, err
	}
	q.Context, _, err = o.member("context")
	return q, err
}

// ask puts the question to the policies.
func (q question) ask(e *abac.Engine) abac.Decision {
	situation := q.Context
	if len(q.Action.Attrs) > 0 {
		situation = make(map[string]any, len(q.Context)+1)
		for name, v := range q.Context {
			situation[name] = v
		}
		situation["action"] = q.Action.Attrs
	}
	return e.Decide(abac.Request{Subject: q.Subject, Action: abac.Entity{UID: q.Action.UID}, Resource: q.Resource, Context: situation})
}
