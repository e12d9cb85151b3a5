package authzen

import (
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"

	"example.com/broker/abac"
	"example.com/broker/internal/fault"
)

// decision is an answer. It holds nothing that changes from call to call.
type decision struct {
	Decision bool           `json:"decision"`
	Context  map[string]any `json:"context,omitempty"`
}

// evaluation answers one question (AuthZEN §6).
func (d Deps) evaluation(c *gin.Context) error {
	o, err := body(c)
	if err != nil {
		return err
	}
	e, err := d.application(c)
	if err != nil {
		return err
	}
	return d.single(c, e, o)
}

func (d Deps) single(c *gin.Context, e *abac.Engine, o object) error {
	q, err := o.question()
	if err != nil {
		return err
	}
	n := q.ask(e)
	d.note(c, e, q, n)
	c.JSON(http.StatusOK, decision{Decision: n.Allow})
	return nil
}

// semantic is when the answers to several questions end.
type semantic string

// The semantics of AuthZEN §7.1.2.1.
const (
	executeAll          semantic = "execute_all"
	denyOnFirstDeny     semantic = "deny_on_first_deny"
	permitOnFirstPermit semantic = "permit_on_first_permit"
)

// MaxEvaluations bounds the questions in one request.
const MaxEvaluations = 1000

// evaluations answers several questions (AuthZEN §7). Members that a question lacks are those of the request; one that it has takes the
// place of the request's as a whole. A question that is not complete is answered with false in its place.
func (d Deps) evaluations(c *gin.Context) error {
	o, err := body(c)
	if err != nil {
		return err
	}
	list, until, err := o.batch()
	if err != nil {
		return err
	}
	e, err := d.application(c)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return d.single(c, e, o)
	}
	answers := make([]decision, 0, len(list))
	for _, item := range list {
		q, answer, err := o.with(item)
		if err == nil {
			n := q.ask(e)
			d.note(c, e, q, n)
			answer.Decision = n.Allow
		}
		answers = append(answers, answer)
		if until == denyOnFirstDeny && !answer.Decision || until == permitOnFirstPermit && answer.Decision {
			break
		}
	}
	c.JSON(http.StatusOK, gin.H{"evaluations": answers})
	return nil
}

// batch reads the questions, and checks what stands beside them.
func (o object) batch() ([]any, semantic, error) {
	for _, name := range []string{"subject", "action", "resource", "context"} {
		if _, _, err := o.member(name); err != nil {
			return nil, "", err
		}
	}
	list, ok := o["evaluations"].([]any)
	switch {
	case !ok && o["evaluations"] != nil:
		return nil, "", invalid("evaluations must be an array.")
	case len(list) > MaxEvaluations:
		return nil, "", invalid("There are %d evaluations, more than %d.", len(list), MaxEvaluations)
	}
	options, _, err := o.member("options")
	if err != nil {
		return nil, "", err
	}
	switch v := options["evaluations_semantic"]; v {
	case nil:
		return list, executeAll, nil
	case string(executeAll), string(denyOnFirstDeny), string(permitOnFirstPermit):
		return list, semantic(v.(string)), nil
	}
	return nil, "", invalid("options.evaluations_semantic must be %s, %s or %s.", executeAll, denyOnFirstDeny, permitOnFirstPermit)
}

// with returns one question of several; where it is not complete, an error and the answer that says so.
func (o object) with(item any) (question, decision, error) {
	one, ok := item.(map[string]any)
	if !ok {
		return refusedItem(invalid("It must be an object."))
	}
	whole := object{}
	for _, name := range []string{"subject", "action", "resource", "context"} {
		if whole[name] = one[name]; one[name] == nil {
			whole[name] = o[name]
		}
	}
	q, err := whole.question()
	if err != nil {
		return refusedItem(err)
	}
	return q, decision{}, nil
}

func refusedItem(err error) (question, decision, error) {
	text := err.Error()
	if f, ok := errors.AsType[*fault.Error](err); ok {
		text = f.Message
	}
	return question{}, decision{Context: map[string]any{"error": map[string]any{"status": http.StatusBadRequest, "message": text}}}, err
}
