package abac

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

var nameForm = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]*(?:::[A-Za-z_][A-Za-z0-9_]*)*)::(.+)$`)

// ParseUID reads User::"alice", and User::alice too.
func ParseUID(text string) (UID, error) {
	m := nameForm.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return UID{}, fmt.Errorf("%.60q is no name of an entity: write Type::\"id\"", text)
	}
	id := m[2]
	if strings.HasPrefix(id, `"`) {
		if err := json.Unmarshal([]byte(id), &id); err != nil {
			return UID{}, fmt.Errorf("%.60q has no closing quote: write Type::\"id\"", text)
		}
	}
	return UID{Type: m[1], ID: id}, nil
}

// EntityOf reads an entity of a request from decoded JSON or YAML: uid, and attrs and parents where there are some.
func EntityOf(v any) (Entity, error) {
	members, ok := v.(map[string]any)
	if !ok {
		return Entity{}, errors.New(`it is no entity: write {"uid": {"type": "User", "id": "alice"}, "attrs": {}, "parents": []}`)
	}
	e := Entity{}
	for name := range members {
		if name != "uid" && name != "attrs" && name != "parents" {
			return Entity{}, fmt.Errorf("%.60q is no member of an entity: it has uid, attrs and parents", name)
		}
	}
	var err error
	if e.UID, err = uidOf(members["uid"]); err != nil {
		return Entity{}, err
	}
	if given, ok := members["attrs"]; ok {
		attrs, ok := given.(map[string]any)
		if !ok {
			return Entity{}, errors.New("attrs must be an object")
		}
		if e.Attrs, err = Attributes(attrs); err != nil {
			return Entity{}, err
		}
	}
	if given, ok := members["parents"]; ok {
		list, ok := given.([]any)
		if !ok {
			return Entity{}, errors.New(`parents must be a list of names, such as [{"type": "Role", "id": "editor"}]`)
		}
		for _, one := range list {
			parent, err := uidOf(one)
			if err != nil {
				return Entity{}, err
			}
			e.Parents = append(e.Parents, parent)
		}
	}
	return e, nil
}

// uidOf reads {"type": "User", "id": "alice"}, the same within {"__entity": …}, and User::"alice".
func uidOf(v any) (UID, error) {
	if text, ok := v.(string); ok {
		return ParseUID(text)
	}
	members, _ := v.(map[string]any)
	if inner, ok := members["__entity"].(map[string]any); ok && len(members) == 1 {
		members = inner
	}
	kind, _ := members["type"].(string)
	id, ok := members["id"].(string)
	if kind == "" || !ok || id == "" || len(members) != 2 {
		return UID{}, errors.New(`a name has no type or no id: write {"type": "User", "id": "alice"}`)
	}
	return UID{Type: kind, ID: id}, nil
}

// Attributes turns names of entities within decoded JSON or YAML into such.
func Attributes(members map[string]any) (map[string]any, error) {
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
	case json.Number:
		if !Holds(v) {
			return nil, fmt.Errorf("%.40s is no number that Cedar has: a whole one within 64 bits, or one of up to four decimals", v)
		}
		return v, nil
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
			return Attributes(v)
		}
		name, err := uidOf(v)
		if err != nil {
			return nil, errors.New(`write {"__entity": {"type": "User", "id": "alice"}}`)
		}
		return name, nil
	}
	return v, nil
}
