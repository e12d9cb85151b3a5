package guide

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"example.com/broker/abac"
	"example.com/broker/internal/fault"
	"example.com/broker/internal/strictjson"
)

var nameForm = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]*(?:::[A-Za-z_][A-Za-z0-9_]*)*)::(.+)$`)

// parseName reads User::"alice", and User::alice too.
func parseName(text string) (abac.UID, error) {
	m := nameForm.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return abac.UID{}, fmt.Errorf("%.60q is no name of an entity: write Type::\"id\"", text)
	}
	id := m[2]
	if strings.HasPrefix(id, `"`) {
		if err := json.Unmarshal([]byte(id), &id); err != nil {
			return abac.UID{}, fmt.Errorf("%.60q has no closing quote: write Type::\"id\"", text)
		}
	}
	return abac.UID{Type: m[1], ID: id}, nil
}

// uid is a name in JSON: {"type": "User", "id": "alice"}, also within {"__entity": …}.
type uid struct {
	Type   string `json:"type"`
	ID     string `json:"id"`
	Entity *struct {
		Type string `json:"type"`
		ID   string `json:"id"`
	} `json:"__entity"`
}

func (u uid) uid() (abac.UID, error) {
	if u.Entity != nil {
		u.Type, u.ID = u.Entity.Type, u.Entity.ID
	}
	if u.Type == "" || u.ID == "" {
		return abac.UID{}, errors.New(`a name has no type or no id: write {"type": "User", "id": "alice"}`)
	}
	return abac.UID{Type: u.Type, ID: u.ID}, nil
}

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
	var list []struct {
		UID     uid            `json:"uid"`
		Attrs   map[string]any `json:"attrs"`
		Parents []uid          `json:"parents"`
	}
	if problem := decodeJSON("entities", text, &list); problem != nil {
		return nil, problem
	}
	out := make([]abac.Entity, 0, len(list))
	for i, one := range list {
		bad := func(err error) *flaw { return &flaw{Pane: "entities", Text: fmt.Sprintf("Entity %d: %v.", i+1, err)} }
		name, err := one.UID.uid()
		if err != nil {
			return nil, bad(err)
		}
		e := abac.Entity{UID: name}
		if e.Attrs, err = attributes(one.Attrs); err != nil {
			return nil, bad(err)
		}
		for _, p := range one.Parents {
			parent, err := p.uid()
			if err != nil {
				return nil, bad(err)
			}
			e.Parents = append(e.Parents, parent)
		}
		out = append(out, e)
	}
	return out, nil
}

func parseContext(text, pane string) (map[string]any, *flaw) {
	var members map[string]any
	if problem := decodeJSON(pane, text, &members); problem != nil {
		return nil, problem
	}
	out, err := attributes(members)
	if err != nil {
		return nil, &flaw{Pane: pane, Text: sentence(err.Error())}
	}
	return out, nil
}

// attributes turns names of entities into such.
func attributes(members map[string]any) (map[string]any, error) {
	out := make(map[string]any, len(members))
	for name, v := range members {
		value, err := attribute(v)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out[name] = value
	}
	return out, nil
}

func attribute(v any) (any, error) {
	switch v := v.(type) {
	case nil:
		return nil, errors.New("null is no value in Cedar: leave the member out")
	case []any:
		out := make([]any, len(v))
		for i, one := range v {
			value, err := attribute(one)
			if err != nil {
				return nil, err
			}
			out[i] = value
		}
		return out, nil
	case map[string]any:
		if _, ok := v["__extn"]; ok {
			return nil, errors.New("extension values cannot be given here")
		}
		if _, ok := v["__entity"]; !ok {
			return attributes(v)
		}
		raw, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		var name uid
		d := json.NewDecoder(bytes.NewReader(raw))
		d.DisallowUnknownFields()
		if err := d.Decode(&name); err != nil {
			return nil, errors.New(`write {"__entity": {"type": "User", "id": "alice"}}`)
		}
		return name.uid()
	}
	return v, nil
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
		principal, err1 := parseName(one.Principal)
		action, err2 := parseName(one.Action)
		resource, err3 := parseName(one.Resource)
		context, err4 := attributes(one.Context)
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
