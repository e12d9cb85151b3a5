package web

import (
	"encoding/json"
	"errors"
	"fmt"
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

// FormType is the media type of forms.
const FormType = "application/x-www-form-urlencoded"

// Form reads an application/x-www-form-urlencoded body. It returns an invalid_request *oauth.Error for another media type, a body
// that does not decode, and a parameter given twice (RFC 6749 §3.2). Parameters in the address are not read.
func Form(c *gin.Context) (url.Values, error) {
	if MediaType(c) != FormType {
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
	body, err := jsonBody(c)
	if err != nil {
		return err
	}
	if err := strictjson.Decode(body, v); err != nil {
		return notExpected(err)
	}
	return nil
}

// FormJSON reads a JSON object as Form reads a form: the members with the given names, which must be strings. Others are ignored, as RFC
// 6749 §3.2 has it for parameters, but for a name in another case, which not all parsers tell apart. Errors are those of JSON.
func FormJSON(c *gin.Context, names ...string) (url.Values, error) {
	body, err := jsonBody(c)
	if err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	if err := strictjson.Decode(body, &members); err != nil {
		return nil, notExpected(err)
	}
	out := url.Values{}
	for _, given := range slices.Sorted(maps.Keys(members)) {
		i := slices.IndexFunc(names, func(name string) bool { return strings.EqualFold(name, given) })
		if i < 0 {
			continue
		}
		if given != names[i] {
			return nil, notExpected(fmt.Errorf("the member %.40q is not known, expected %q", given, names[i]))
		}
		var text *string
		if err := json.Unmarshal(members[given], &text); err != nil {
			return nil, notExpected(fmt.Errorf("member %s must be a string", given))
		}
		if text != nil {
			out.Set(given, *text)
		}
	}
	return out, nil
}

func jsonBody(c *gin.Context) ([]byte, error) {
	if MediaType(c) != "application/json" {
		return nil, Unsupported(c, "application/json")
	}
	body, err := io.ReadAll(c.Request.Body)
	if err != nil {
		return nil, readError(err)
	}
	return body, nil
}

func notExpected(err error) error {
	return fault.New(fault.Invalid, "request_invalid", "The body is not the JSON expected here: %s.", err)
}

// MediaType returns the media type of the body in lower case, without parameters; "" for none, and for one that does not parse.
func MediaType(c *gin.Context) string {
	kind, _, err := mime.ParseMediaType(c.GetHeader("Content-Type"))
	if err != nil {
		return ""
	}
	return kind
}

// Unsupported is the fault.Unsupported "media_type" of a body that is none of the kinds expected.
func Unsupported(c *gin.Context, expected string) error {
	return fault.New(fault.Unsupported, "media_type", "Content-Type is %.100q, expected %s.", c.GetHeader("Content-Type"), expected)
}

func readError(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return err
	}
	return fault.Wrap(err, fault.Invalid, "request_invalid", "The request body ended early.")
}
