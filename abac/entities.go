package abac

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"
)

// parseEntities reads the entities of a set, a JSON array as Cedar defines it, and holds each against the schema. judge is nil where there
// is no schema to hold it against.
func parseEntities(text string, judge *validate.Validator) (cedar.EntityMap, []Flaw) {
	out := cedar.EntityMap{}
	var flaws []Flaw
	bad := func(offset int, format string, args ...any) {
		f := Flaw{Text: sentence(fmt.Sprintf(format, args...))}
		f.Line, f.Column = placeOf(text, offset)
		flaws = append(flaws, f)
	}
	if strings.TrimSpace(text) == "" {
		return out, nil
	}
	if offset, err := jsonDepth(text); err != nil {
		bad(offset, "%v", err)
		return nil, flaws
	}
	d := json.NewDecoder(strings.NewReader(text))
	if open, err := d.Token(); err != nil || open != json.Delim('[') {
		if open == nil && err == nil {
			return out, nil // null was written for none
		}
		bad(0, "the entities must be a JSON array, such as [{\"uid\": {\"type\": \"User\", \"id\": \"alice\"}, \"attrs\": {}, \"parents\": []}]")
		return nil, flaws
	}
	first := map[cedar.EntityUID]int{}
	for d.More() && len(flaws) < maxFlaws {
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			bad(int(d.InputOffset()), "%v", err)
			break
		}
		at := int(d.InputOffset()) - len(raw)
		var e cedar.Entity
		if _, err := guarded(func() (any, error) { return nil, e.UnmarshalJSON(raw) }); err != nil {
			within, words := wrongEntity(raw, err)
			bad(at+within, "%s", words)
			continue
		}
		if before, twice := first[e.UID]; twice {
			line, _ := placeOf(text, before)
			bad(at, "%s is a duplicate of the one in line %d", e.UID, line)
			continue
		}
		first[e.UID], out[e.UID] = at, e
		switch {
		case len(out) > MaxEntities:
			bad(at, "there are more than %d entities", MaxEntities)
			return nil, flaws
		case len(e.UID.ID) > MaxID:
			bad(at, "an id has %d bytes, more than %d", len(e.UID.ID), MaxID)
		case judge != nil:
			if _, err := guarded(func() (any, error) { return nil, judge.Entity(e) }); err != nil {
				bad(at+unfit(raw, err), "%s: %s", e.UID, ownTypes.Replace(err.Error()))
			}
		}
	}
	return out, flaws
}

// ownTypes names types as Cedar does.
var ownTypes = strings.NewReplacer("types.Boolean", "Bool", "expected Boolean", "expected Bool", "types.EntityUID", "Entity", "expected EntityUID", "expected Entity", "types.IPAddr", "ipaddr", "types.", "")

// jsonDepth returns where a text is no single JSON value, or one that nests too deep.
func jsonDepth(text string) (int, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	for depth := 0; ; {
		t, err := d.Token()
		at := int(d.InputOffset())
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			return syntaxAt(text, syntax), err
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return len(text), errors.New("the JSON ends early")
		}
		if err != nil {
			return at, err
		}
		switch t {
		case json.Delim('['), json.Delim('{'):
			depth++
		case json.Delim(']'), json.Delim('}'):
			depth--
		}
		if depth > MaxNesting {
			return at, fmt.Errorf("they nest deeper than %d", MaxNesting)
		}
		if depth > 0 {
			continue
		}
		if rest := strings.TrimLeft(text[at:], " \t\r\n"); rest != "" {
			return len(text) - len(rest), errors.New("more follows the value")
		}
		return 0, nil
	}
}

var badCharacter = regexp.MustCompile(`^invalid character '(\\?.)'`)

// syntaxAt is the offset of a mistake: the decoder counts up to it, or only up to the space before it.
func syntaxAt(text string, err *json.SyntaxError) int {
	at := min(max(int(err.Offset)-1, 0), len(text))
	if m := badCharacter.FindStringSubmatch(err.Error()); m != nil && len(m[1]) == 1 {
		if more := strings.Index(text[at:], m[1]); more >= 0 && strings.TrimSpace(text[at:at+more]) == "" {
			at += more
		}
	}
	return at
}

// node is a JSON value and where it stands.
type node struct {
	at      int
	kind    byte // of its first character; 'n' for a number
	text    string
	members []member
	items   []node
}

type member struct {
	name  string
	at    int
	value node
}

// twice is a member that is given a second time, within this value or below it.
func (n node) twice() (int, string) {
	seen := map[string]bool{}
	for _, m := range n.members {
		if seen[m.name] {
			return m.at, m.name
		}
		seen[m.name] = true
		if at, name := m.value.twice(); name != "" {
			return at, name
		}
	}
	for _, one := range n.items {
		if at, name := one.twice(); name != "" {
			return at, name
		}
	}
	return 0, ""
}

func (n node) member(name string) (node, bool) {
	for _, m := range n.members {
		if m.name == name {
			return m.value, true
		}
	}
	return node{}, false
}

// maxExplained bounds an entity that is taken apart to say what is wrong with it.
const maxExplained = 64 << 10

// nodeOf takes a JSON value apart; ok is false for one that is too large.
func nodeOf(raw []byte) (n node, ok bool) {
	if len(raw) > maxExplained {
		return node{}, false
	}
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	n, err := readNode(d, raw)
	return n, err == nil
}

func readNode(d *json.Decoder, raw []byte) (node, error) {
	at := int(d.InputOffset())
	for at < len(raw) && strings.IndexByte(" \t\r\n,:", raw[at]) >= 0 {
		at++
	}
	n := node{at: at}
	t, err := d.Token()
	if err != nil {
		return n, err
	}
	switch t := t.(type) {
	case json.Number:
		n.kind, n.text = 'n', t.String()
	case string:
		n.kind, n.text = '"', t
	case json.Delim:
		n.kind = byte(t) //nolint:gosec // a delimiter is one of four ASCII characters
		for d.More() && err == nil {
			if t == '[' {
				var one node
				one, err = readNode(d, raw)
				n.items = append(n.items, one)
				continue
			}
			var name, value node
			if name, err = readNode(d, raw); err == nil {
				value, err = readNode(d, raw)
			}
			n.members = append(n.members, member{name.text, name.at, value})
		}
		if err == nil {
			_, err = d.Token()
		}
	default:
		n.kind = raw[at] // null, true, false
		n.text = string(raw[at:d.InputOffset()])
	}
	return n, err
}

const entityForm = `{"uid": {"type": "User", "id": "alice"}, "attrs": {}, "parents": []}`

// wrongEntity says in words what is wrong with an entity that cannot be read, and where in it.
func wrongEntity(raw []byte, err error) (int, string) {
	n, ok := nodeOf(raw)
	if !ok {
		return 0, "this is no entity: write " + entityForm
	}
	if n.kind != '{' {
		return n.at, "this is no entity: write " + entityForm
	}
	if at, name := n.twice(); name != "" {
		return at, fmt.Sprintf("the member %q is given twice", name)
	}
	for _, name := range []string{"uid", "attrs", "parents"} {
		if v, ok := n.member(name); !ok || v.text == "null" && v.kind == 'n' {
			return n.at, fmt.Sprintf("the entity has no %q: write %s", name, entityForm)
		}
	}
	name, _ := n.member("uid")
	if at, wrong := wrongName(name); wrong != "" {
		return at, `"uid": ` + wrong
	}
	parents, _ := n.member("parents")
	if parents.kind != '[' {
		return parents.at, `"parents" must be an array of names, such as [{"type": "Role", "id": "editor"}]`
	}
	for _, one := range parents.items {
		if at, wrong := wrongName(one); wrong != "" {
			return at, `"parents": ` + wrong
		}
	}
	for _, name := range []string{"attrs", "tags"} {
		list, ok := n.member(name)
		if ok && list.kind != '{' {
			return list.at, strconv.Quote(name) + " must be a JSON object"
		}
		if at, wrong := wrongValue(list); wrong != "" {
			return at, map[string]string{"attrs": "attribute ", "tags": "tag "}[name] + wrong
		}
	}
	return n.at, "this is no entity as Cedar has them: " + strings.TrimPrefix(err.Error(), "json: ")
}

// wrongName is why a node names no entity.
func wrongName(n node) (int, string) {
	const form = `write {"type": "User", "id": "alice"}`
	if inner, ok := n.member("__entity"); ok {
		n = inner
	}
	for _, name := range []string{"type", "id"} {
		v, ok := n.member(name)
		switch {
		case !ok:
			return n.at, "a name has no " + name + ": " + form
		case v.kind != '"':
			return v.at, "the " + name + " must be a text: " + form
		case name == "type" && !typeForm.MatchString(v.text):
			return v.at, fmt.Sprintf("%.60q is no name of a type", v.text)
		}
	}
	return 0, ""
}

var typeForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(?:::[A-Za-z_][A-Za-z0-9_]*)*$`)

// wrongValue is why a node is no value of an attribute.
func wrongValue(n node) (int, string) {
	switch {
	case n.kind == 'n' && n.text == "null":
		return n.at, "null is no value in Cedar: leave the member out"
	case n.kind == 'n':
		if _, err := strconv.ParseInt(n.text, 10, 64); err != nil || n.text == "-0" {
			if whole, ok := number(json.Number(n.text), nil).(types.Long); ok {
				return n.at, fmt.Sprintf("%.40s must be written as %d here", n.text, whole)
			}
			return n.at, fmt.Sprintf(`%.40s is no whole number within 64 bits; a decimal is written {"__extn": {"fn": "decimal", "arg": "1.5"}}`, n.text)
		}
	case n.kind == '[':
		for _, one := range n.items {
			if at, wrong := wrongValue(one); wrong != "" {
				return at, wrong
			}
		}
	case n.kind == '{':
		if inner, ok := n.member("__entity"); ok && len(n.members) == 1 {
			return wrongName(inner)
		}
		if inner, ok := n.member("__extn"); ok && len(n.members) == 1 {
			return wrongCall(inner)
		}
		for _, m := range n.members {
			if at, wrong := wrongValue(m.value); wrong != "" {
				return at, m.name + ": " + wrong
			}
		}
	}
	return 0, ""
}

// wrongCall is why a node makes no value of an extension.
func wrongCall(n node) (int, string) {
	fn, ok1 := n.member("fn")
	arg, ok2 := n.member("arg")
	if !ok1 || !ok2 || fn.kind != '"' || arg.kind != '"' {
		return n.at, `an extension value is written {"__extn": {"fn": "decimal", "arg": "1.5"}}`
	}
	raw, err := json.Marshal(map[string]any{"__extn": map[string]string{"fn": fn.text, "arg": arg.text}})
	if err == nil {
		_, err = guarded(func() (v types.Value, err error) { return v, types.UnmarshalJSON(raw, &v) })
	}
	if err == nil {
		return 0, ""
	}
	return arg.at, fmt.Sprintf("%.60q is no value of %.40s", arg.text, fn.text)
}

var attributeName = regexp.MustCompile(`attribute ("(?:[^"\\]|\\.)*")`)

// unfit is where in an entity stands what does not fit the schema.
func unfit(raw []byte, err error) int {
	n, ok := nodeOf(raw)
	if !ok {
		return 0
	}
	said := err.Error()
	if strings.HasPrefix(said, "invalid parent") {
		if parents, ok := n.member("parents"); ok {
			return parents.at
		}
	}
	if name, ok := n.member("uid"); ok && strings.HasPrefix(said, "entity type ") {
		return name.at
	}
	at, within := n.at, n
	if attrs, ok := n.member("attrs"); ok && strings.Contains(said, "attribute ") {
		at, within = attrs.at, attrs
	}
	for _, m := range attributeName.FindAllStringSubmatch(said, -1) {
		name, err := strconv.Unquote(m[1])
		next, ok := within.member(name)
		if err != nil || !ok {
			break
		}
		at, within = next.at, next
	}
	return at
}
