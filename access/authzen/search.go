package authzen

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strconv"

	"github.com/gin-gonic/gin"

	"example.com/broker/abac"
	"example.com/broker/internal/fault"
	"example.com/broker/internal/secret"
	"example.com/broker/internal/strictjson"
)

// searched is what a search looks for.
type searched string

const (
	subjects  searched = "subject"
	resources searched = "resource"
	actions   searched = "action"
)

// maxResults is how many results an answer holds where no limit is given, and at most.
const maxResults = 1000

// result is an entity that was found: of exactly these members.
type result struct {
	Type string `json:"type,omitempty"`
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
}

// page comes first in an answer (AuthZEN §8.3).
type page struct {
	NextToken string `json:"next_token"`
	Count     int    `json:"count"`
}

type found struct {
	Page    *page    `json:"page,omitempty"`
	Results []result `json:"results"`
}

// search answers who may do it, what to, or what may be done (AuthZEN §8): the stored entities of the type, or the actions of the schema,
// for which a question of its own would be answered with true, in the order of their ids. Unknown ids and types give no results.
func (d Deps) search(what searched) func(*gin.Context) error {
	return func(c *gin.Context) error {
		o, err := body(c)
		if err != nil {
			return err
		}
		q, err := o.search(what)
		if err != nil {
			return err
		}
		e, err := d.application(c)
		if err != nil {
			return err
		}
		at, err := o.position(d.Seal, what, e.App, q)
		if err != nil {
			return err
		}
		answer := found{Results: []result{}}
		candidates := q.candidates(what, e)
		if i, found := slices.BinarySearch(candidates, at.After); at.After != "" {
			if found {
				i++
			}
			candidates = candidates[i:]
		}
		last, more := at.After, false
		for i, id := range candidates {
			if i%256 == 0 && c.Request.Context().Err() != nil {
				return c.Request.Context().Err()
			}
			one, r := q.about(what, id)
			if !one.ask(e).Allow {
				continue
			}
			if more = len(answer.Results) == at.Limit; more {
				break
			}
			answer.Results, last = append(answer.Results, r), id
		}
		if at.paged || more {
			answer.Page = &page{Count: len(answer.Results)}
			if more {
				at.After = last
				answer.Page.NextToken = at.token(d.Seal)
			}
		}
		d.Observe("authzen", "search")
		c.JSON(http.StatusOK, answer)
		return nil
	}
}

// search reads the question of a search; what is searched for has a type and no id.
func (o object) search(what searched) (q question, err error) {
	if q.Subject, err = o.entity("subject", what == subjects); err != nil {
		return q, err
	}
	if what != actions {
		if q.Action, err = o.action(); err != nil {
			return q, err
		}
	}
	if q.Resource, err = o.entity("resource", what == resources); err != nil {
		return q, err
	}
	q.Context, _, err = o.member("context")
	return q, err
}

// candidates are the ids that can be among the results, sorted.
func (q question) candidates(what searched, e *abac.Engine) []string {
	if what != subjects && !e.Has(q.Subject.UID) || what != resources && !e.Has(q.Resource.UID) {
		return nil
	}
	switch what {
	case subjects:
		return e.IDs(q.Subject.Type)
	case resources:
		return e.IDs(q.Resource.Type)
	default:
		return e.Actions(q.Subject.Type, q.Resource.Type)
	}
}

// about is the question about one candidate, and what stands in the results for it.
func (q question) about(what searched, id string) (question, result) {
	switch what {
	case subjects:
		q.Subject.ID = id
		return q, result{Type: q.Subject.Type, ID: id}
	case resources:
		q.Resource.ID = id
		return q, result{Type: q.Resource.Type, ID: id}
	default:
		q.Action = abac.ActionNamed(id)
		return q, result{Name: id}
	}
}

// position is where a page begins. As a token it is bound to the search it came from and signed; it is no secret, and not sealed, since the
// same search has the same answer each time.
type position struct {
	After  string `json:"a"`
	Limit  int    `json:"l"`
	Search string `json:"s"`
	paged  bool
}

const tokenPurpose = "authzen-page"

func (p position) token(by *secret.Sealer) string {
	raw, err := json.Marshal(p)
	if err != nil {
		return "" // a struct of texts and a number
	}
	return by.Sign(tokenPurpose, raw)
}

// position reads the member page. A token of another search, and one whose limit was another, is fault.Invalid (AuthZEN §8.2).
func (o object) position(by *secret.Sealer, what searched, app string, q question) (position, error) {
	p, paged, err := o.member("page")
	if err != nil {
		return position{}, err
	}
	at := position{Limit: maxResults, Search: q.fingerprint(what, app, p["properties"]), paged: paged}
	if _, _, err := p.member("properties"); err != nil {
		return position{}, invalid("page.properties must be an object.")
	}
	limited := p["limit"] != nil
	if limited {
		n, _ := p["limit"].(json.Number)
		text, _ := strictjson.Plain(n)
		limit, err := strconv.ParseUint(text, 10, 31)
		if n == "" || err != nil {
			return position{}, invalid("page.limit must be a whole number from 0 to %d.", math.MaxInt32)
		}
		at.Limit = min(int(limit), maxResults)
	}
	switch text := p["token"].(type) {
	case nil:
		return at, nil
	case string:
		if text == "" {
			return at, nil
		}
		return at.continued(by, text, limited)
	}
	return position{}, invalid("page.token must be a string.")
}

func (p position) continued(by *secret.Sealer, token string, limited bool) (position, error) {
	bad := fault.New(fault.Invalid, "token_invalid", "page.token is not one that this search was answered with: repeat the search as it was.")
	raw, err := by.Verify(tokenPurpose, token)
	if err != nil {
		return position{}, bad
	}
	var at position
	if json.Unmarshal(raw, &at) != nil || at.Search != p.Search || limited && at.Limit != p.Limit {
		return position{}, bad
	}
	at.paged = true
	return at, nil
}

// fingerprint names a search: the same for the same question, whatever the order of its members.
func (q question) fingerprint(what searched, app string, properties any) string {
	raw, err := json.Marshal([]any{what, app, q.Subject, q.Action, q.Resource, q.Context, properties})
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(raw)
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}
