// Package strictjson decodes JSON that a stranger wrote into values of ours. It refuses what parsers disagree about (duplicate members,
// members that differ only in case, broken UTF-8, halves of surrogate pairs, null for a whole document) and what costs more than it says (depth, members beyond count), before encoding/json
// builds anything of it. Package verify has a scanner of its own, for tokens, which allocates less and knows less.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	// MaxDepth bounds how deep objects and arrays may nest, the outermost one included.
	MaxDepth = 32
	// MaxMembers bounds the members of all objects together.
	MaxMembers = 10_000
)

// Decode reads exactly one JSON value into v, a pointer. Members that v does not have are refused, and so are those that v has in another
// case. null is no document: encoding/json would leave v as it is, and an empty v is taken for a wish to empty something. The text of the
// error says what is wrong and never repeats a value; the caller bounds len(data).
func Decode(data []byte, v any) error {
	t := reflect.TypeOf(v)
	if t == nil || t.Kind() != reflect.Pointer {
		return fmt.Errorf("strictjson: decode into %T, want a pointer", v)
	}
	w := walker{}
	if _, err := w.document(data, t.Elem()); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return describe(d.Decode(v), t.Elem())
}

// Value reads exactly one JSON value whose members may have any names, by the same rules and in one pass. Numbers are json.Number.
func Value(data []byte) (any, error) {
	w := walker{keep: true}
	return w.document(data, nil)
}

// describe takes values out of the errors of encoding/json for what is to become a t.
func describe(err error, t reflect.Type) error {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		where := "it"
		if e.Field != "" {
			where = "member " + e.Field
			if list := memberAt(t, e.Field); list != nil && plain(list) != plain(e.Type) && plain(element(plain(list))) == plain(e.Type) {
				where = "each element of " + where
			}
		}
		return fmt.Errorf("%s must be %s", where, kindOf(e.Type))
	}
	return err
}

// memberAt is the type of the member at the end of a path as encoding/json writes it, through lists, nil where there is none.
func memberAt(t reflect.Type, path string) reflect.Type {
	for name := range strings.SplitSeq(path, ".") {
		t = plain(t)
		for inner := element(t); inner != nil; inner = element(t) {
			t = plain(inner)
		}
		t = fieldsOf(t)[name]
	}
	return t
}

// kindOf names a type in the words of JSON.
func kindOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Float32, reflect.Float64:
		return "a number"
	default:
		return "a whole number within bounds"
	}
}

// walker passes a JSON text once, token by token, so that its memory is bounded by MaxMembers and MaxDepth, and by the text where it keeps
// what it reads.
type walker struct {
	d       *json.Decoder
	keep    bool
	members int
}

func (w *walker) document(data []byte, t reflect.Type) (any, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("it is not UTF-8 text")
	}
	if halfPair(data) {
		return nil, errors.New("it is not UTF-8 text: it holds half of a surrogate pair")
	}
	w.d = json.NewDecoder(bytes.NewReader(data))
	w.d.UseNumber()
	v, err := w.value(t, 0)
	if err != nil {
		return nil, err
	}
	if v == nil {
		return nil, errors.New("it must not be null")
	}
	if _, err := w.d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more follows the value")
	}
	return v, nil
}

// halfPair reports whether an escape stands for half of a character beyond U+FFFF without the other half (RFC 8259 §8.2), for which
// encoding/json puts U+FFFD: several names would be read as one. A backslash outside of a text is no JSON.
func halfPair(data []byte) bool {
	for i := bytes.IndexByte(data, '\\'); i >= 0 && i < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		first, ok := unit(data[i:])
		if !ok {
			i++ // what it escapes, itself perhaps
			continue
		}
		if i += 5; !utf16.IsSurrogate(first) {
			continue
		}
		second, _ := unit(data[i+1:])
		if utf16.DecodeRune(first, second) == utf8.RuneError {
			return true
		}
		i += 6
	}
	return false
}

// unit reads \uXXXX.
func unit(data []byte) (rune, bool) {
	if len(data) < 6 || data[0] != '\\' || data[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(data[2:6]), 16, 16)
	return rune(n), err == nil
}

// token returns the next token; a text that ends or breaks off is one error.
func (w *walker) token() (json.Token, error) {
	t, err := w.d.Token()
	if err != nil {
		return nil, errors.New("it is not valid JSON")
	}
	return t, nil
}

// value passes one value that is to become a t, nil where any names will do; depth counts the objects and arrays around it. It returns nil for
// null alone; arrays are empty unless they are to be kept.
func (w *walker) value(t reflect.Type, depth int) (v any, err error) {
	token, err := w.token()
	if err != nil {
		return nil, err
	}
	open, ok := token.(json.Delim)
	if !ok {
		return token, nil
	}
	if depth == MaxDepth {
		return nil, fmt.Errorf("it nests deeper than %d", MaxDepth)
	}
	t = plain(t)
	switch open {
	case '{':
		v, err = w.object(t, depth+1)
	default: // the decoder gives no closing bracket where a value has to be
		v, err = w.array(t, depth+1)
	}
	if err != nil {
		return nil, err
	}
	_, err = w.token() // the closing bracket
	return v, err
}

func (w *walker) array(t reflect.Type, depth int) (any, error) {
	list := []any{}
	for w.d.More() {
		v, err := w.value(element(t), depth)
		if err != nil {
			return nil, err
		}
		if w.keep {
			list = append(list, v)
		}
	}
	return list, nil
}

func (w *walker) object(t reflect.Type, depth int) (any, error) {
	fields := fieldsOf(t)
	seen := map[string]any{}
	for w.d.More() {
		token, err := w.token()
		if err != nil {
			return nil, err
		}
		name, ok := token.(string)
		if !ok {
			return nil, errors.New("it is not valid JSON")
		}
		if w.members++; w.members > MaxMembers {
			return nil, fmt.Errorf("it has more than %d members", MaxMembers)
		}
		if _, twice := seen[name]; twice {
			return nil, fmt.Errorf("the member %.40q appears twice", name)
		}
		inner := element(t)
		if fields != nil {
			if inner, ok = fields[name]; !ok {
				return nil, unknown(name, fields)
			}
		}
		v, err := w.value(inner, depth)
		if err != nil {
			return nil, err
		}
		seen[name] = v
	}
	return seen, nil
}

func unknown(name string, fields map[string]reflect.Type) error {
	for known := range fields {
		if strings.EqualFold(known, name) {
			return fmt.Errorf("the member %.40q is not known, expected %q", name, known)
		}
	}
	return fmt.Errorf("the member %.40q is not known", name)
}

// plain follows pointers. It returns nil for a type that reads JSON by its own rules.
func plain(t reflect.Type) reflect.Type {
	for t != nil {
		if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
			return nil
		}
		if t.Kind() != reflect.Pointer {
			return t
		}
		t = t.Elem()
	}
	return nil
}

// element is the type of what a map, slice or array holds, nil for any other.
func element(t reflect.Type) reflect.Type {
	if t == nil {
		return nil
	}
	switch t.Kind() {
	case reflect.Map, reflect.Slice, reflect.Array:
		return t.Elem()
	default:
		return nil
	}
}

// fieldsOf maps the names of a struct's members to their types, nil for any other type.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	out := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		tag := f.Tag.Get("json")
		name, _, _ := strings.Cut(tag, ",")
		switch {
		case tag == "-", !f.IsExported(), f.Anonymous && name == "":
			continue
		case name == "":
			name = f.Name
		}
		out[name] = f.Type
	}
	return out
}
