package guide

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"example.com/broker/abac"
	"example.com/broker/internal/fault"
	"example.com/broker/internal/strictjson"
)

// decodeJSON decodes one JSON value, with the place where it ends to be one. An empty text leaves v as it is.
func decodeJSON(pane, text string, v any) *flaw {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	d.DisallowUnknownFields()
	err := d.Decode(v)
	at := d.InputOffset()
	if err == nil {
		if _, end := d.Token(); !errors.Is(end, io.EOF) {
			err = errors.New("more follows the value")
		} else if err = strictjson.Decode([]byte(text), new(any)); err != nil {
			at = 0
		}
	}
	if err == nil {
		return nil
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		at = syntax.Offset - 1
	}
	if kind, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		at = kind.Offset
		err = fmt.Errorf("%s must not be a JSON %s", memberOr(kind.Field), kind.Value)
	}
	f := flaw{Pane: pane, Text: sentence(strings.TrimPrefix(err.Error(), "json: "))}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		at, f.Text = int64(len(text)), "The JSON ends early."
	}
	f.Line, f.Column = placeOf(text, int(at))
	return &f
}

func memberOr(field string) string {
	if field == "" {
		return "it"
	}
	return "member " + field
}

// placeOf is line and column of an offset, in characters, beginning at 1.
func placeOf(text string, offset int) (line, column int) {
	before := text[:min(max(offset, 0), len(text))]
	line = 1 + strings.Count(before, "\n")
	return line, 1 + len([]rune(before[strings.LastIndexByte(before, '\n')+1:]))
}

// parseEntities reads entities in the form that Cedar defines.
func parseEntities(text string) ([]abac.Entity, *flaw) {
	var list []any
	if problem := decodeJSON("entities", text, &list); problem != nil {
		return nil, problem
	}
	out := make([]abac.Entity, len(list))
	for i, one := range list {
		var err error
		if out[i], err = abac.EntityOf(one); err != nil {
			return nil, &flaw{Pane: "entities", Text: fmt.Sprintf("Entity %d: %v.", i+1, err)}
		}
	}
	return out, nil
}

func parseContext(text, pane string) (map[string]any, *flaw) {
	var members map[string]any
	if problem := decodeJSON(pane, text, &members); problem != nil {
		return nil, problem
	}
	out, err := abac.Attributes(members)
	if err != nil {
		return nil, &flaw{Pane: pane, Text: sentence(err.Error())}
	}
	return out, nil
}

// testCase is a request and the answer it should have.
type testCase struct {
	name    string
	request abac.Request
	allow   bool
}

// tests reads the cases, if they are to be run.
func (d draft) tests() ([]testCase, []flaw) {
	if d.Show != showTests {
		return nil, nil
	}
	var list []struct {
		Name      string         `json:"name"`
		Principal string         `json:"principal"`
		Action    string         `json:"action"`
		Resource  string         `json:"resource"`
		Context   map[string]any `json:"context"`
		Expect    string         `json:"expect"`
	}
	if problem := decodeJSON("tests", d.Tests, &list); problem != nil {
		return nil, []flaw{*problem}
	}
	if len(list) > maxCases {
		return nil, []flaw{{Pane: "tests", Text: fmt.Sprintf("There are %d tests, more than %d.", len(list), maxCases)}}
	}
	var problems []flaw
	var out []testCase
	for i, one := range list {
		principal, err1 := abac.ParseUID(one.Principal)
		action, err2 := abac.ParseUID(one.Action)
		resource, err3 := abac.ParseUID(one.Resource)
		context, err4 := abac.Attributes(one.Context)
		var err5 error
		if one.Expect != "allow" && one.Expect != "deny" {
			err5 = fmt.Errorf("expect is %.20q, write allow or deny", one.Expect)
		}
		if one.Name == "" {
			one.Name = strings.Join([]string{one.Principal, one.Action, one.Resource}, " ")
		}
		for _, err := range []error{err1, err2, err3, err4, err5} {
			if err != nil {
				problems = append(problems, flaw{Pane: "tests", Text: fmt.Sprintf("Test %d: %v.", i+1, err)})
			}
		}
		out = append(out, testCase{one.Name, abac.Request{
			Subject: abac.Entity{UID: principal}, Action: abac.Entity{UID: action}, Resource: abac.Entity{UID: resource}, Context: context,
		}, one.Expect == "allow"})
	}
	return out, problems
}

// messageOf is the text for people, without the code.
func messageOf(err error) string {
	if e, ok := errors.AsType[*fault.Error](err); ok {
		return e.Message
	}
	return err.Error()
}

// place is where a statement stands, and whether it has an @id.
type place struct {
	abac.Extent
	named bool
}

// places finds the statements of a policy that compiles, by id.
func places(text string) map[string]place {
	list := abac.Extents(text)
	out := map[string]place{}
	for i, one := range list {
		id := one.ID()
		named := id != ""
		switch {
		case named:
		case len(list) == 1:
			id = "policies"
		default:
			id = fmt.Sprintf("policies.%d", i+1)
		}
		out[id] = place{one, named}
	}
	return out
}
