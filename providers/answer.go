package providers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"example.com/broker/internal/fault"
)

// maxDepth bounds how deep an upstream's JSON may nest.
const maxDepth = 32

// Unavailable is the fault of an upstream that could not be reached, or answered with a failure.
func Unavailable(cause error, format string, args ...any) error {
	return fault.Wrap(cause, fault.Upstream, "upstream_unavailable", format, args...)
}

// Invalid is the fault of an upstream that said something which does not verify.
func Invalid(cause error, format string, args ...any) error {
	return fault.Wrap(cause, fault.Upstream, "upstream_invalid", format, args...)
}

// StatusError is an answer of an API with another status than 200. Its body is not kept: it is a stranger's text.
type StatusError struct {
	Status int
	Header http.Header
}

func (e *StatusError) Error() string { return fmt.Sprintf("answered with status %d", e.Status) }

// Get asks for a JSON document, with an access token where token is not empty, and decodes it as Decode does. what names the document in
// the error: fault.Upstream "upstream_unavailable" if there is no answer of status 200 (a *StatusError is in the chain if there is
// another), "upstream_invalid" if it is not the JSON that Decode takes.
func Get(ctx context.Context, client *http.Client, what, address, token string) (any, error) {
	v, _, err := GetWithHeader(ctx, client, what, address, token)
	return v, err
}

// GetWithHeader is Get, and returns the header of the answer of status 200 too.
func GetWithHeader(ctx context.Context, client *http.Client, what, address, token string) (any, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, nil, Unavailable(err, "The address of %s cannot be asked.", what)
	}
	req.Header.Set("Accept", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token) // RFC 6750 §2.1
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, nil, Unavailable(err, "The provider did not answer the request for %s.", what)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, nil, Unavailable(&StatusError{resp.StatusCode, resp.Header}, "The provider refused the request for %s with status %d.", what, resp.StatusCode)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, nil, Unavailable(err, "The provider broke off while it sent %s.", what)
	}
	v, err := Decode(body)
	if err != nil {
		return nil, nil, Invalid(err, "The provider sent %s in a form that is not strict JSON.", what)
	}
	return v, resp.Header, nil
}

// GetObject is Get for a document that is a JSON object.
func GetObject(ctx context.Context, client *http.Client, what, address, token string) (map[string]any, error) {
	v, err := Get(ctx, client, what, address, token)
	if err != nil {
		return nil, err
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, Invalid(nil, "The provider sent %s, which is not a JSON object.", what)
	}
	return object, nil
}

// Decode decodes one JSON value: objects to map[string]any, arrays to []any, numbers to json.Number. Names are taken byte for byte, where
// encoding/json would fold their case; a name that comes twice, anything after the value, nesting beyond 32 levels and text that is not
// UTF-8 are errors, because two readers of such a document can see two different people.
func Decode(data []byte) (any, error) {
	switch {
	case !utf8.Valid(data):
		return nil, errors.New("not UTF-8")
	case !json.Valid(data):
		return nil, errors.New("not JSON")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return decodeValue(d, 0)
}

func decodeValue(d *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d levels", maxDepth)
	}
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('{'):
		return decodeObject(d, depth)
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := decodeValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := d.Token()
		return list, err
	}
	return t, nil
}

func decodeObject(d *json.Decoder, depth int) (any, error) {
	object := map[string]any{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, _ := t.(string) // json.Valid has seen to it
		if _, twice := object[name]; twice {
			return nil, fmt.Errorf("the member %.40q comes twice", name)
		}
		if object[name], err = decodeValue(d, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := d.Token()
	return object, err
}

// Line returns v if it is a string fit to be shown on one line, cut to 200 characters; "" otherwise.
func Line(v any) string {
	s, _ := v.(string)
	s = strings.TrimSpace(s)
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }) {
		return ""
	}
	if runes := []rune(s); len(runes) > 200 {
		return string(runes[:200])
	}
	return s
}

// Address returns v if it is a string that can be an e-mail address (RFC 5321 §4.5.3.1 bounds it to 254 bytes); "" otherwise.
func Address(v any) string {
	s, _ := v.(string)
	at := strings.LastIndexByte(s, '@')
	if len(s) > 254 || at < 1 || at == len(s)-1 {
		return ""
	}
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == utf8.RuneError }) {
		return ""
	}
	return s
}

// PictureURL returns v if it is an address that CheckURL takes, of at most 2,048 bytes; "" otherwise. Nobody here fetches it.
func (c Config) PictureURL(v any) string {
	s, _ := v.(string)
	if len(s) > 2048 || c.CheckURL(s) != nil {
		return ""
	}
	return s
}
