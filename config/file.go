package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// readFile reads the YAML file by the schema.
func (l *loader) readFile(path string) map[string]any {
	layer := map[string]any{}
	if path == "" {
		return layer
	}
	b, err := os.ReadFile(path) //nolint:gosec // the path is the operator's own setting
	switch {
	case err != nil:
		l.add(Problem{Where: path, Text: "cannot be read: " + reason(err), stands: everything})
		return layer
	case len(b) > maxFile:
		l.add(Problem{Where: path, Text: fmt.Sprintf("has %d bytes, expected at most %d", len(b), maxFile), stands: everything})
		return layer
	}
	return l.parse(path, b)
}

// parse reads the content of the file at path.
func (l *loader) parse(path string, b []byte) map[string]any {
	layer := map[string]any{}
	decoder := yaml.NewDecoder(bytes.NewReader(b))
	var doc, second yaml.Node
	if err := decoder.Decode(&doc); err != nil {
		if !errors.Is(err, io.EOF) { // an empty file sets nothing
			l.syntax(path, err)
		}
		return layer
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		l.add(Problem{Where: path, Text: "holds more than one YAML document, expected one: remove the line --- and what follows", stands: everything})
		return layer
	}
	root := doc.Content[0]
	if root.ShortTag() == "!!null" {
		return layer
	}
	out, _ := l.read(root, schema(), "")
	if m, ok := out.(map[string]any); ok {
		return m
	}
	return layer
}

var (
	yamlLine = regexp.MustCompile(`^yaml: (?:line ([0-9]+): )?`)
	// A secret without quotes that begins with an asterisk is an anchor's name to YAML, and would be in its message.
	anchorName = regexp.MustCompile(`unknown anchor '[^']*' referenced`)
)

func (l *loader) syntax(path string, err error) {
	where, text := path, err.Error()
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		text = text[len(m[0]):]
		if m[1] != "" {
			where += ":" + m[1]
		}
	}
	text = anchorName.ReplaceAllString(text, "an alias of nothing: put a text that begins with * in quotes")
	l.add(Problem{Where: where, Text: "is not YAML: " + text, stands: everything})
}

func (l *loader) position(n *yaml.Node) place {
	return place{where: l.at.file + ":" + strconv.Itoa(n.Line) + ":" + strconv.Itoa(n.Column), line: n.Line, column: n.Column}
}

func (l *loader) reject(n *yaml.Node, key, stands, format string, args ...any) {
	p := l.position(n)
	l.add(Problem{Where: p.where, Key: key, Text: fmt.Sprintf(format, args...), line: p.line, column: p.column, stands: stands})
}

// read turns a YAML node into the value the schema expects at path, false if it is none (said) or null (as if it were not there).
func (l *loader) read(n *yaml.Node, s *node, path string) (any, bool) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.ShortTag() == "!!null" && n.Kind == yaml.ScalarNode {
		return nil, false
	}
	switch s.shape {
	case group, byID:
		if n.Kind != yaml.MappingNode {
			l.wrong(n, s, path)
			return nil, false
		}
		return l.mapping(n, s, path), true
	case list:
		if n.Kind != yaml.SequenceNode {
			l.wrong(n, s, path)
			return nil, false
		}
		return l.sequence(n, s, path)
	default:
		return l.scalar(n, s, path)
	}
}

func (l *loader) mapping(n *yaml.Node, s *node, path string) map[string]any {
	out, lines := map[string]any{}, map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := join(path, key.Value)
		switch {
		case key.Kind == yaml.ScalarNode && key.Value == "<<" && key.Style == 0:
			l.reject(key, path, "", "merge keys (<<) are not read: repeat the keys")
			continue
		case key.Kind != yaml.ScalarNode:
			l.reject(key, path, "", "has a key that is a list or has keys of its own, expected text")
			continue
		case lines[key.Value] > 0:
			l.reject(key, at, at, "is set twice, first on line %d: remove one", lines[key.Value])
			continue
		}
		lines[key.Value] = key.Line
		l.entry(out, s, path, key, value)
	}
	for name := range lines {
		if base, ok := s.fromFile(name); ok && s.fields[name] == nil && lines[base] > 0 {
			l.reject(keyNode(n, name), join(path, name), join(path, base), "%s is set too: keep one of them", base)
		}
	}
	return out
}

func keyNode(n *yaml.Node, name string) *yaml.Node {
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i]
		}
	}
	return n
}

// entry reads one key of a mapping.
func (l *loader) entry(out map[string]any, s *node, path string, key, value *yaml.Node) {
	at := join(path, key.Value)
	child, ok := s.child(key.Value)
	if !ok {
		if base, ok := s.fromFile(key.Value); ok {
			l.indirect(out, s, path, base, value)
			return
		}
		l.unknown(key, s, path)
		return
	}
	if s.shape == byID && key.Value == "" {
		l.reject(key, path, "", "has an empty id")
		return
	}
	l.at.places[at] = l.position(key)
	got, ok := l.read(value, child, at)
	if !ok {
		if child.leaf() {
			delete(l.at.places, at)
		}
		return
	}
	if child.leaf() {
		l.at.places[at] = l.position(value)
	}
	out[key.Value] = got
}

func (l *loader) unknown(key *yaml.Node, s *node, path string) {
	if near := nearest(key.Value, s.order); near != "" {
		l.reject(key, join(path, key.Value), join(path, near), "unknown key; did you mean %s?", near)
		l.problems[len(l.problems)-1].guess = true
		return
	}
	l.reject(key, join(path, key.Value), "", "unknown key; known here: %s", s.known())
}

// indirect reads client_secret_file: the value is in the file named.
func (l *loader) indirect(out map[string]any, s *node, path, base string, value *yaml.Node) {
	at := join(path, base+fileSuffix)
	name, ok := l.scalar(value, &node{shape: text}, at)
	if !ok {
		return
	}
	content, err := valueFile(name.(string))
	if err != nil {
		l.reject(value, at, join(path, base), "%s", err)
		return
	}
	got, err := s.fields[base].value(content)
	if err != nil {
		l.reject(value, at, join(path, base), "%s", err)
		return
	}
	p := l.position(value)
	p.file = name.(string)
	l.at.places[join(path, base)] = p
	out[base] = got
}

func (l *loader) sequence(n *yaml.Node, s *node, path string) (any, bool) {
	out, good := []string{}, true
	for i, item := range n.Content {
		at := path + "[" + strconv.Itoa(i) + "]"
		if item.Kind == yaml.AliasNode {
			item = item.Alias
		}
		got, ok := l.scalar(item, &node{shape: text, secret: s.secret}, at)
		if !ok {
			good = false
			continue
		}
		l.at.places[at] = l.position(item)
		out = append(out, got.(string))
	}
	if !good { // the items that are left have other numbers
		l.problems[len(l.problems)-1].stands = path
	}
	return out, good
}

func (l *loader) scalar(n *yaml.Node, s *node, path string) (any, bool) {
	tag := n.ShortTag()
	fits := n.Kind == yaml.ScalarNode
	switch s.shape {
	case boolean:
		fits = fits && tag == "!!bool"
	case number:
		fits = fits && tag == "!!int"
	case duration:
		fits = fits && (tag == "!!str" || n.Value == "0")
	default:
		fits = fits && tag == "!!str"
	}
	if fits {
		if got, err := s.value(n.Value); err == nil {
			return got, true
		}
	}
	l.wrong(n, s, path)
	return nil, false
}

// wrong says what a node is and what it should be.
func (l *loader) wrong(n *yaml.Node, s *node, path string) {
	got := ""
	switch {
	case n.Kind == yaml.MappingNode:
		got = "has keys below it"
	case n.Kind == yaml.SequenceNode:
		got = "is a list"
	case s.secret:
		got = "is no text"
	case n.ShortTag() == "!!null":
		got = "is empty"
	case n.ShortTag() == "!!str":
		got = fmt.Sprintf("is the text %.100q", n.Value)
	case n.ShortTag() == "!!bool":
		got = "is " + n.Value
	case n.ShortTag() == "!!int" || n.ShortTag() == "!!float":
		got = fmt.Sprintf("is the number %.100s", n.Value)
	default:
		got = fmt.Sprintf("is %.100q", n.Value)
	}
	fix := ""
	switch {
	case s.shape == text && n.Kind == yaml.ScalarNode && n.Value != "":
		fix = ": put it in quotes"
	case s.shape == list && n.Kind == yaml.ScalarNode && !s.secret:
		fix = fmt.Sprintf(": write [%.100s]", n.Value)
	case s.shape == duration && n.ShortTag() == "!!int":
		fix = ": add a unit"
	}
	stands := path
	if path == "" {
		path, stands = "(the file)", everything
	}
	l.reject(n, path, stands, "%s, expected %s%s", got, s.shape.expected(), fix)
}
