package web

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"example.com/broker/internal/fault"
	"example.com/broker/oauth"
)

// Form reads an application/x-www-form-urlencoded body. It returns an invalid_request *oauth.Error for another media type, a body
// that does not decode, and a parameter given twice (RFC 6749 §3.2). Parameters in the address are not read.
func Form(c *gin.Context) (url.Values, error) {
	kind, _, err := mime.ParseMediaType(c.GetHeader("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, oauth.Errorf(oauth.ErrInvalidRequest, "Content-Type is %q, expected application/x-www-form-urlencoded", c.GetHeader("Content-Type"))
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
	return q, Single(q)
}

// Single refuses parameters given more than once (RFC 6749 §3.1), but for `resource`, which RFC 8707 §2 lets repeat, and values that
// are not UTF-8 or hold NUL.
func Single(v url.Values) error {
	for name, values := range v {
		if len(values) > 1 && name != "resource" {
			return oauth.Errorf(oauth.ErrInvalidRequest, "parameter %q is given %d times, expected once", name, len(values))
		}
		for _, s := range values {
			if !utf8.ValidString(s) || containsNUL(s) {
				return oauth.Errorf(oauth.ErrInvalidRequest, "parameter %q is not UTF-8 text", name)
			}
		}
	}
	return nil
}

func containsNUL(s string) bool {
	for i := range len(s) {
		if s[i] == 0 {
			return true
		}
	}
	return false
}

// JSON decodes a JSON body into v. Unknown members, trailing data and other media types are refused.
func JSON(c *gin.Context, v any) error {
	kind, _, err := mime.ParseMediaType(c.GetHeader("Content-Type"))
	if err != nil || kind != "application/json" {
		return fault.New(fault.Unsupported, "media_type", "Content-Type is %q, expected application/json.", c.GetHeader("Content-Type"))
	}
	d := json.NewDecoder(c.Request.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return err
		}
		return fault.Wrap(err, fault.Invalid, "request_invalid", "The body is not the JSON object expected here: %s.", jsonTrouble(err))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fault.New(fault.Invalid, "request_invalid", "The body goes on after the JSON object.")
	}
	return nil
}

// jsonTrouble says what is wrong without repeating values of the body.
func jsonTrouble(err error) string {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return "member " + e.Field + " must be a " + e.Type.String()
	}
	if _, ok := errors.AsType[*json.SyntaxError](err); ok || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return "it is not valid JSON"
	}
	return err.Error()
}

func readError(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return err
	}
	return fault.Wrap(err, fault.Invalid, "request_invalid", "The request body ended early.")
}
