package openapi

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"example.com/broker/web"
)

//go:embed openapi.yaml
var source []byte

// What openapi.yaml says instead of what only the configuration knows.
const (
	issuerThere       = "https://broker.example.com"
	originThere       = issuerThere + ":443"
	versionThere      = "0.0.0"
	cookieThere       = "__Host-broker_session"
	metadataPath      = "/.well-known/oauth-authorization-server"
	decisionPointPath = "/.well-known/authzen-configuration"
	queryScheme       = "apiKeyQuery"
)

// Filling is what the document is completed with.
type Filling struct {
	// Issuer is the address that paths are relative to.
	Issuer  *url.URL
	Version string
	// Routes are the mounted ones: operations without a route are left out. Nil leaves out nothing.
	Routes []web.Route
	// QueryKeys says that an API key is taken in the address too.
	QueryKeys bool
}

// Document returns openapi.yaml as JSON, filled in. Members keep the order of the file, which is the one readers see. It fails only on a
// file that is no YAML of the expected form.
func Document(f Filling) ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(source, &doc); err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	root := doc.Content[0]
	paths := member(root, "paths")
	if paths == nil {
		return nil, fmt.Errorf("openapi.yaml: no paths")
	}
	f.prune(paths)
	if !f.QueryKeys {
		forget(root, queryScheme)
	}
	var out bytes.Buffer
	if err := encode(&out, root, f.words()); err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	return out.Bytes(), nil
}

// words replaces what the file says in the values of the document.
func (f Filling) words() *strings.Replacer {
	// The longer ones first: the replacer takes the first that fits.
	pairs := []string{
		originThere, f.Issuer.Scheme + "://" + f.Issuer.Host, issuerThere, strings.TrimSuffix(f.Issuer.String(), "/"), versionThere, f.Version,
	}
	if f.Issuer.Scheme != "https" {
		pairs = append(pairs, cookieThere, strings.TrimPrefix(cookieThere, "__Host-"))
	}
	return strings.NewReplacer(pairs...)
}

// prune leaves out operations that no route answers, and gives metadata whose place lies between host and path the path of this issuer.
func (f Filling) prune(paths *yaml.Node) {
	mounted := map[string]bool{}
	for _, r := range f.Routes {
		mounted[r.Method+" "+Path(r)] = true
	}
	suffix := strings.TrimSuffix(f.Issuer.EscapedPath(), "/")
	paths.Content = keep(paths.Content, func(key, item *yaml.Node) bool {
		for _, inserted := range []string{metadataPath, decisionPointPath} {
			if rest, ok := strings.CutPrefix(key.Value, inserted); ok {
				key.Value = inserted + suffix + rest
			}
		}
		operations := 0
		item.Content = keep(item.Content, func(method, _ *yaml.Node) bool {
			if !slices.Contains(methods, method.Value) {
				return true
			}
			there := f.Routes == nil || mounted[strings.ToUpper(method.Value)+" "+key.Value]
			if there {
				operations++
			}
			return there
		})
		return operations > 0
	})
}

var methods = []string{"get", "put", "post", "delete", "patch"}

var parameter = regexp.MustCompile(`[:*]([^/]+)`)

// Path returns the path of a route as OpenAPI writes it.
func Path(r web.Route) string { return parameter.ReplaceAllString(r.Path, "{$1}") }

// forget removes a security scheme and each requirement that names it.
func forget(root *yaml.Node, scheme string) {
	if schemes := member(member(root, "components"), "securitySchemes"); schemes != nil {
		schemes.Content = keep(schemes.Content, func(key, _ *yaml.Node) bool { return key.Value != scheme })
	}
	paths := member(root, "paths")
	for i := 1; i < len(paths.Content); i += 2 {
		for _, method := range methods {
			if required := member(member(paths.Content[i], method), "security"); required != nil {
				required.Content = slices.DeleteFunc(required.Content, func(n *yaml.Node) bool { return member(n, scheme) != nil })
			}
		}
	}
}

// keep filters the pairs of a mapping.
func keep(pairs []*yaml.Node, wanted func(key, value *yaml.Node) bool) []*yaml.Node {
	var out []*yaml.Node
	for i := 0; i+1 < len(pairs); i += 2 {
		if wanted(pairs[i], pairs[i+1]) {
			out = append(out, pairs[i], pairs[i+1])
		}
	}
	return out
}

// member returns a member of a mapping, nil where there is none.
func member(n *yaml.Node, name string) *yaml.Node {
	if n = target(n); n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return target(n.Content[i+1])
		}
	}
	return nil
}

// target follows an alias.
func target(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// encode writes a node as JSON, in its own order.
func encode(out *bytes.Buffer, n *yaml.Node, words *strings.Replacer) error {
	n = target(n)
	if n.Kind == yaml.MappingNode {
		return list(out, "{", "}", len(n.Content)/2, func(i int) error {
			if err := scalar(out, n.Content[2*i].Value); err != nil {
				return err
			}
			out.WriteByte(':')
			return encode(out, n.Content[2*i+1], words)
		})
	}
	if n.Kind == yaml.SequenceNode {
		return list(out, "[", "]", len(n.Content), func(i int) error { return encode(out, n.Content[i], words) })
	}
	var value any
	if err := n.Decode(&value); err != nil {
		return fmt.Errorf("line %d: %w", n.Line, err)
	}
	if text, ok := value.(string); ok {
		value = words.Replace(text)
	}
	return scalar(out, value)
}

func list(out *bytes.Buffer, begin, end string, n int, item func(int) error) error {
	out.WriteString(begin)
	for i := range n {
		if i > 0 {
			out.WriteByte(',')
		}
		if err := item(i); err != nil {
			return err
		}
	}
	out.WriteString(end)
	return nil
}

func scalar(out *bytes.Buffer, value any) error {
	text, err := json.Marshal(value)
	out.Write(text)
	return err
}
