package web

import (
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"example.com/broker/internal/fault"
	"example.com/broker/internal/strictjson"
	"example.com/broker/oauth"
)

// Form reads an application/x-www-form-urlencoded body. It returns an invalid_request *oauth.Error for another media type, a body
// that does not decode, and a parameter given twice (RFC 6749 §3.2). Parameters in the address are not read.
func Form(c *gin.Context) (url.Values, error) {
	kind, _, err := mime.ParseMediaType(c.GetHeader("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, oauth.Errorf(oauth.ErrInvalidRequest, "Content-Type is %.100q, expected application/x-www-form-urlencoded", c.GetHeader("Content-Type"))
	}
	body, err := io.ReadAll(c.Request.Body)
	if err != nil {
		return nil, readError(err)
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, oauth.Errorf(oauth.ErrInvalidRequest, "the body is not application/x-www-form-urlencoded")
	}
	if err := Single(form); err != nil {
		return nil, err
	}
	return form, nil
}

// Query reads the parameters of the address under the same rules as Form.
func Query(c *gin.Context) (url.Values, error) {
	q, err := url.ParseQuery(c.Request.URL.RawQuery)
	if err != nil {
		return nil, oauth.Errorf(oauth.ErrInvalidRequest, "the query of the address does not decode")
	}
	if err := Single(q); err != nil {
		return nil, err
	}
	return q, nil
}

// Single refuses parameters given more than once (RFC 6749 §3.1), but for `resource`, which RFC 8707 §2 lets repeat, and names and
// values that are not UTF-8 or hold NUL.
func Single(v url.Values) error {
	for _, name := range slices.Sorted(maps.Keys(v)) {
		if !isText(name) {
			return oauth.Errorf(oauth.ErrInvalidRequest, "the name of a parameter is not UTF-8 text")
		}
		if n := len(v[name]); n > 1 && name != "resource" {
			return oauth.Errorf(oauth.ErrInvalidRequest, "parameter %.100q is given %d times, expected once", name, n)
		}
		if slices.ContainsFunc(v[name], func(s string) bool { return !isText(s) }) {
			return oauth.Errorf(oauth.ErrInvalidRequest, "parameter %.100q is not UTF-8 text", name)
		}
	}
	return nil
}

func isText(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }

// JSON decodes a JSON body into v, a pointer, as strictly as strictjson does: fault.Unsupported "media_type" for another media type,
// fault.Invalid "request_invalid" for a body that is not exactly one value of v's shape.
func JSON(c *gin.Context, v any) error {
	kind, _, err := mime.ParseMediaType(c.GetHeader("Content-Type"))
	if err != nil || kind != "application/json" {
		return fault.New(fault.Unsupported, "media_type", "Content-Type is %.100q, expected application/json.", c.GetHeader("Content-Type"))
	}
	body, err := io.ReadAll(c.Request.Body)
	if err != nil {
		return readError(err)
	}
	if err := strictjson.Decode(body, v); err != nil {
		return fault.New(fault.Invalid, "request_invalid", "The body is not the JSON expected here: %s.", err)
	}
	return nil
}

func readError(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return err
	}
	return fault.Wrap(err, fault.Invalid, "request_invalid", "The request body ended early.")
}
