// Package strictjson decodes JSON that a stranger wrote into values of ours. It refuses what parsers disagree about (duplicate members,
// members that differ only in case, broken UTF-8) and what costs more than it says (depth, members beyond count), before encoding/json
// builds anything of it. Package verify has a scanner of its own, for tokens, which allocates less and knows less.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"unicode/utf8"
)

const (
	// MaxDepth bounds how deep objects and arrays may nest, the outermost one included.
	MaxDepth = 32
	// MaxMembers bounds the members of all objects together.
	MaxMembers = 10_000
)

// Decode reads exactly one JSON value into v, a pointer. Members that v does not have are refused, and so are those that v has in another
// case. The text of the error says what is wrong and never repeats a value; the caller bounds len(data).
func Decode(data []byte, v any) error {
	if !utf8.Valid(data) {
		return errors.New("it is not UTF-8 text")
	}
	w := walker{d: json.NewDecoder(bytes.NewReader(data))}
	w.d.UseNumber()
	t := reflect.TypeOf(v)
	if t == nil || t.Kind() != reflect.Pointer {
		return fmt.Errorf("strictjson: decode into %T, want a pointer", v)
	}
	if err := w.value(t.Elem(), 0); err != nil {
		return err
	}
	if _, err := w.d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more follows the value")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return describe(d.Decode(v))
}

// describe takes values out of the errors of encoding/json.
func describe(err error) error {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		where := "it"
		if e.Field != "" {
			where = "member " + e.Field
		}
		return fmt.Errorf("%s must be %s", where, kindOf(e.Type))
	}
	return err
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

// walker passes a JSON text once, token by token, so that its memory is bounded by MaxMembers and MaxDepth.
type walker struct {
	d       *json.Decoder
	members int
}

// token returns the next token; a text that ends or breaks off is one error.
func (w *walker) token() (json.Token, error) {
	t, err := w.d.Token()
	if err != nil {
		return nil, errors.New("it is not valid JSON")
	}
	return t, nil
}

// value passes one value that is to become a t, nil where any names will do; depth counts the objects and arrays around it.
func (w *walker) value(t reflect.Type, depth int) error {
	token, err := w.token()
	if err != nil {
		return err
	}
	open, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	if depth == MaxDepth {
		return fmt.Errorf("it nests deeper than %d", MaxDepth)
	}
	t = plain(t)
	switch open {
	case '{':
		err = w.object(t, depth+1)
	default: // the decoder gives no closing bracket where a value has to be
		for w.d.More() && err == nil {
			err = w.value(element(t), depth+1)
		}
	}
	if err != nil {
		return err
	}
	_, err = w.token() // the closing bracket
	return err
}

func (w *walker) object(t reflect.Type, depth int) error {
	fields := fieldsOf(t)
	seen := map[string]bool{}
	for w.d.More() {
		token, err := w.token()
		if err != nil {
			return err
		}
		name, ok := token.(string)
		if !ok {
			return errors.New("it is not valid JSON")
		}
		if w.members++; w.members > MaxMembers {
			return fmt.Errorf("it has more than %d members", MaxMembers)
		}
		if seen[name] {
			return fmt.Errorf("the member %.40q appears twice", name)
		}
		seen[name] = true
		inner := element(t)
		if fields != nil {
			if inner, ok = fields[name]; !ok {
				return unknown(name, fields)
			}
		}
		if err := w.value(inner, depth); err != nil {
			return err
		}
	}
	return nil
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
