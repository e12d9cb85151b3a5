package config

import (
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
)

// shape is what a node of the configuration may be.
type shape int

const (
	group shape = iota // a struct: its keys are known
	byID               // a map: its keys are chosen by the operator
	text
	list
	boolean
	number
	duration
)

// expected says what to write, after "expected".
func (s shape) expected() string {
	switch s {
	case group, byID:
		return "keys below it"
	case list:
		return "a list of texts"
	case boolean:
		return "true or false"
	case number:
		return "a whole number"
	case duration:
		return "a duration such as 15m, 1h30m or 90d"
	default:
		return "text"
	}
}

// node is one key of the schema, made from the tags of Config.
type node struct {
	shape  shape
	doc    string
	secret bool
	order  []string // of a group, as in the struct
	fields map[string]*node
	elem   *node // of a byID
}

// schema is the tree behind Config.
var schema = sync.OnceValue(func() *node { return nodeOf(reflect.TypeFor[Config]()) })

func nodeOf(t reflect.Type) *node {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return &node{shape: duration}
	case t.Kind() == reflect.Pointer:
		return nodeOf(t.Elem())
	case t.Kind() == reflect.Struct:
		n := &node{shape: group, fields: map[string]*node{}}
		for i := range t.NumField() {
			f := t.Field(i)
			key := f.Tag.Get("koanf")
			if key == "-" {
				continue
			}
			child := nodeOf(f.Type)
			child.doc, child.secret = f.Tag.Get("doc"), f.Tag.Get("secret") == "true"
			n.order = append(n.order, key)
			n.fields[key] = child
		}
		return n
	case t.Kind() == reflect.Map:
		return &node{shape: byID, elem: nodeOf(t.Elem())}
	case t.Kind() == reflect.Slice:
		return &node{shape: list}
	case t.Kind() == reflect.Bool:
		return &node{shape: boolean}
	case t.Kind() == reflect.Int:
		return &node{shape: number}
	}
	return &node{shape: text}
}

// leaf reports whether the node holds a value.
func (n *node) leaf() bool { return n.shape != group && n.shape != byID }

// child returns the node below n for a key.
func (n *node) child(key string) (*node, bool) {
	if n.shape == byID {
		return n.elem, true
	}
	c, ok := n.fields[key]
	return c, ok
}

const fileSuffix = "_file"

// fromFile returns the key whose value key names a file of, such as client_secret for client_secret_file.
func (n *node) fromFile(key string) (string, bool) {
	base, ok := strings.CutSuffix(key, fileSuffix)
	if !ok || n.shape != group {
		return "", false
	}
	c, ok := n.fields[base]
	return base, ok && (c.shape == text || c.shape == list)
}

// nearest returns the candidate that key was probably meant to be, "" if none is near.
func nearest(key string, candidates []string) string {
	bound := 1
	if len(key) > 4 {
		bound = min(max(2, len(key)/3), 3)
	}
	best := ""
	for _, c := range candidates {
		if d := distance(fold(key), fold(c)); d < bound || (d == bound && best == "") {
			best, bound = c, d
		}
	}
	return best
}

func fold(key string) string {
	return strings.NewReplacer("_", "", "-", "", ".", "").Replace(strings.ToLower(key))
}

// distance is the number of insertions, deletions, substitutions and swaps of neighbours that make b from a.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	before, row := make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(x); i++ {
		next := make([]int, len(y)+1)
		next[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(y)]
}

// join makes the path of a key below another.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// known are the keys of a group, for messages.
func (n *node) known() string { return strings.Join(slices.Sorted(slices.Values(n.order)), ", ") }
