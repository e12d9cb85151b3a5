package abac

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/schema/resolved"

	"example.com/broker/internal/strictjson"
)

// UID names an entity. As a value of an attribute it refers to one.
type UID struct{ Type, ID string }

func (u UID) cedar() cedar.EntityUID {
	return cedar.NewEntityUID(cedar.EntityType(u.Type), cedar.String(u.ID))
}

// Entity is a subject or a resource with its attributes: bool, string, int, int64, json.Number, float64, UID, []string, []any and
// map[string]any.
type Entity struct {
	UID
	Attrs   map[string]any
	Parents []UID
}

// converter turns values as JSON has them into Cedar's, within the bounds of a request.
type converter struct {
	schema *resolved.Schema
	values int
}

// record converts members as the schema has them. One that Cedar cannot hold (null, a number that is no whole one and has more than four
// decimals) is left out, and is missing for every policy. ok is false beyond the bounds.
func (c *converter) record(members map[string]any, shape resolved.RecordType, depth int) (types.RecordMap, bool) {
	out := make(types.RecordMap, len(members))
	for name, v := range members {
		value, ok := c.value(v, shape[types.String(name)].Type, depth+1)
		if !ok {
			return nil, false
		}
		if value != nil {
			out[types.String(name)] = value
		}
	}
	return out, true
}

// value returns nil for what Cedar cannot hold; ok is false beyond the bounds. want is what the schema says, nil where it says nothing.
func (c *converter) value(v any, want resolved.IsType, depth int) (_ types.Value, ok bool) {
	if c.values++; depth > MaxNesting || c.values > MaxValues {
		return nil, false
	}
	switch v := v.(type) {
	case bool:
		return types.Boolean(v), true
	case string:
		return types.String(v), true
	case int:
		return types.Long(v), true
	case int64:
		return types.Long(v), true
	case json.Number:
		return number(v, want), true
	case float64:
		if math.Abs(v) >= 1<<53 {
			return nil, true // it may not be the number that was meant
		}
		return number(json.Number(formatFloat(v)), want), true
	case UID:
		return v.cedar(), true
	case []string:
		list := make([]types.Value, len(v))
		for i, s := range v {
			list[i] = types.String(s)
		}
		c.values += len(v)
		return types.NewSet(list...), c.values <= MaxValues
	case []any:
		of, _ := want.(resolved.SetType)
		return c.set(v, of.Element, depth)
	case map[string]any:
		shape, _ := want.(resolved.RecordType)
		members, ok := c.record(v, shape, depth)
		if !ok {
			return nil, false
		}
		return types.NewRecord(members), true
	}
	return nil, true
}

// set is nil if any of its elements is: a set that lacks some would answer questions about what it does not contain wrongly.
func (c *converter) set(list []any, want resolved.IsType, depth int) (types.Value, bool) {
	values, whole := make([]types.Value, 0, len(list)), true
	for _, e := range list {
		value, ok := c.value(e, want, depth+1)
		if !ok {
			return nil, false
		}
		values, whole = append(values, value), whole && value != nil
	}
	if !whole {
		return nil, true
	}
	return types.NewSet(values...), true
}

// number is a whole number however it is written, else a decimal, else nil. JSON has one kind of number and 1.0 is 1: which kind of
// Cedar's it is to be, the schema says.
func number(n json.Number, want resolved.IsType) types.Value {
	text, ok := strictjson.Plain(n)
	if !ok {
		return nil
	}
	if whole := !strings.Contains(text, "."); whole && want != decimal {
		i, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil
		}
		return types.Long(i)
	} else if whole {
		text += ".0"
	}
	if d, err := types.ParseDecimal(text); err == nil {
		return d
	}
	return nil
}

var decimal = resolved.IsType(resolved.ExtensionType("decimal"))

// Holds reports whether policies can be given a number. One that they cannot is missing for them.
func Holds(n json.Number) bool { return number(n, nil) != nil }

func formatFloat(f float64) string {
	b, err := json.Marshal(f)
	if err != nil {
		return ""
	}
	return string(b)
}
