package web

import (
	"net/url"
	"slices"

	"github.com/gin-gonic/gin"

	"example.com/broker/internal/fault"
)

// Params lets requests through whose address has these parameters at most, each once and in UTF-8: fault.Invalid "parameter_unknown" for
// any other, because whoever sorts or filters by what is not looked at would take the answer for another one.
func Params(h Handler, known ...string) Handler {
	return func(c *gin.Context) error {
		query, err := url.ParseQuery(c.Request.URL.RawQuery)
		if err != nil {
			return fault.New(fault.Invalid, "parameter_unknown", "The query of the address does not decode.")
		}
		for name, values := range query {
			if !slices.Contains(known, name) || len(values) != 1 {
				return fault.New(fault.Invalid, "parameter_unknown", "The parameter %.40q is not known here, or given twice.", name)
			}
			if !isText(values[0]) {
				return fault.New(fault.Invalid, "parameter_unknown", "The parameter %.40q is not UTF-8 text.", name)
			}
		}
		return h(c)
	}
}
