package config

import (
	"cmp"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// redacted stands for a secret.
const redacted = "[redacted]"

// Write prints the configuration in effect as YAML, without what nobody set and has no default. A secret is replaced, or by the name of
// the file it is in. With sources, each line says where its value came from.
func Write(w io.Writer, c Config, at Sources, sources bool) error {
	p := printer{at: at, sources: sources}
	root := p.group(reflect.ValueOf(c), schema(), "")
	e := yaml.NewEncoder(w)
	e.SetIndent(2)
	if err := e.Encode(root); err != nil {
		return fmt.Errorf("print the configuration: %w", err)
	}
	return e.Close()
}

type printer struct {
	at      Sources
	sources bool
}

func (p printer) group(v reflect.Value, n *node, path string) *yaml.Node {
	out := &yaml.Node{Kind: yaml.MappingNode}
	for i := range v.NumField() {
		if key := v.Type().Field(i).Tag.Get("koanf"); key != "-" {
			p.field(out, v.Field(i), n.fields[key], key, join(path, key))
		}
	}
	return out
}

func (p printer) field(out *yaml.Node, v reflect.Value, n *node, key, path string) {
	var value *yaml.Node
	switch n.shape {
	case group:
		value = p.group(v, n, path)
	case byID:
		value = &yaml.Node{Kind: yaml.MappingNode}
		ids := v.MapKeys()
		slices.SortFunc(ids, func(a, b reflect.Value) int { return cmp.Compare(a.String(), b.String()) })
		for _, id := range ids {
			p.field(value, v.MapIndex(id), n.elem, id.String(), join(path, id.String()))
		}
	default:
		at, set := p.at.places[path]
		if !set && (v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0) {
			return
		}
		value = p.leaf(v, n)
		if n.secret && at.file != "" {
			key, value = key+fileSuffix, scalar(at.file)
		}
		if p.sources {
			value.LineComment = p.at.Of(path)
		}
		if value.Kind == yaml.SequenceNode {
			value.Style = yaml.FlowStyle
		}
	}
	if !n.leaf() && len(value.Content) == 0 {
		return
	}
	out.Content = append(out.Content, scalar(key), value)
}

func (p printer) leaf(v reflect.Value, n *node) *yaml.Node {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch n.shape {
	case duration:
		return scalar(formatDuration(time.Duration(v.Int())))
	case list:
		out := &yaml.Node{Kind: yaml.SequenceNode}
		for i := range v.Len() {
			text := v.Index(i).String()
			if n.secret {
				text = redacted
			}
			out.Content = append(out.Content, scalar(text))
		}
		return out
	case text:
		if n.secret {
			return scalar(redacted)
		}
		return scalar(v.String())
	default:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: fmt.Sprint(v.Interface())}
	}
}

func scalar(text string) *yaml.Node {
	n := &yaml.Node{}
	_ = n.Encode(text) // a text always can be
	return n
}

// Reference returns docs/reference/config.md, made from the tags of Config.
func Reference() string {
	var b strings.Builder
	b.WriteString(referenceHead)
	section(&b, schema(), reflect.ValueOf(Default()), "", "")
	return b.String()
}

const referenceHead = `# Configuration

<!-- Made from the code by "go test ./config -update". Change config/config.go instead. -->

A value is taken from the first of these that sets it:

1. a flag of the command line, such as ` + "`--listen`" + `
2. the environment: ` + "`BROKER_`" + ` and the key in capitals, with two underscores for each level, such as ` + "`BROKER_STORE__MONGO__URI`" + `
3. the file: ` + "`--config FILE`" + `, otherwise ` + "`broker.yaml`" + ` in the working directory if there is one
4. the default

Every text and every list can also be read from a file: ` + "`client_secret_file: /run/secrets/github`" + ` in the YAML file,
` + "`BROKER_PROVIDERS__GITHUB__CLIENT_SECRET_FILE=/run/secrets/github`" + ` in the environment. A newline at the end does not count, and setting
both forms in one place is an error. Paths are relative to the working directory.

In the environment, a list is separated by commas, and an id (of a provider, client or API) is the one of the file that looks the same
when case and ` + "`- . _`" + ` do not count; if the file has none, it is the name in lower case with hyphens: ` + "`BROKER_CLIENTS__MY_APP__NAME`" + ` is
` + "`clients.my-app.name`" + `. Variables that Kubernetes makes for services named broker (` + "`BROKER_SERVICE_HOST`" + `, ` + "`BROKER_PORT=tcp://…`" + `) are
ignored.

Durations are written like ` + "`15m`, `1h30m` or `90d`" + `. A key that is not listed here is an error. ` + "`broker config validate`" + ` lists everything
that is wrong at once, and ` + "`broker config print --sources`" + ` shows what is in effect and where each value came from, without secrets.
`

var inTable = strings.NewReplacer("|", "\\|", "<", "&lt;")

// section writes the table of a group's own values, and then its groups.
func section(b *strings.Builder, n *node, defaults reflect.Value, path, doc string) {
	title := "Top level"
	if path != "" {
		title = "`" + path + "`"
	}
	if keys := slices.DeleteFunc(slices.Clone(n.order), func(k string) bool { return !n.fields[k].leaf() }); len(keys) > 0 {
		fmt.Fprintf(b, "\n## %s\n", title)
		if doc != "" {
			fmt.Fprintf(b, "\n%s\n", doc)
		}
		b.WriteString("\n| Key | Type | Default | Meaning |\n|---|---|---|---|\n")
		for _, key := range keys {
			f := n.fields[key]
			fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", join(path, key), f.kindName(), defaultOf(defaults, key, f), inTable.Replace(f.doc))
		}
	}
	for _, key := range n.order {
		f := n.fields[key]
		switch f.shape {
		case group:
			section(b, f, fieldOf(defaults, key), join(path, key), f.doc)
		case byID:
			section(b, f.elem, reflect.Value{}, join(path, key)+".<id>", f.doc)
		default:
		}
	}
}

func (n *node) kindName() string {
	name := map[shape]string{text: "text", list: "list of texts", boolean: "true or false", number: "whole number", duration: "duration"}[n.shape]
	if n.secret {
		name += ", secret"
	}
	return name
}

func fieldOf(v reflect.Value, key string) reflect.Value {
	if !v.IsValid() {
		return v
	}
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("koanf") == key {
			return v.Field(i)
		}
	}
	return reflect.Value{}
}

func defaultOf(defaults reflect.Value, key string, n *node) string {
	v := fieldOf(defaults, key)
	switch {
	case !v.IsValid() || v.IsZero() && n.shape != boolean:
		return ""
	case n.shape == duration:
		return "`" + formatDuration(time.Duration(v.Int())) + "`"
	case n.shape == number:
		return "`" + strconv.FormatInt(v.Int(), 10) + "`"
	}
	return fmt.Sprintf("`%v`", v.Interface())
}
