package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/v2"
)

// envStart begins the name of every variable that is read; two underscores lead one level down.
const (
	envStart = "BROKER_"
	envNest  = "__"
	envFile  = "_FILE"
)

// Kubernetes puts the addresses of services into the environment of every pod: a service named broker, or broker-something, makes
// variables that look like ours.
var (
	serviceLink = regexp.MustCompile(`^BROKER_(?:[A-Z0-9_]*_)?(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)$`)
	servicePort = regexp.MustCompile(`^BROKER_(?:[A-Z0-9_]*_)?PORT=(?:tcp|udp|sctp)://`)
	// testOnly are settings of the test suite, which runs brokers with its own environment.
	testOnly = regexp.MustCompile(`^BROKER_TEST_`)
)

func noise(name, value string) bool {
	return serviceLink.MatchString(name) || servicePort.MatchString(name+"="+value) || testOnly.MatchString(name)
}

// readEnviron reads the environment. Ids in names are looked up among those of the file, which k holds.
func (l *loader) readEnviron(environ []string, k *koanf.Koanf) map[string]any {
	set := map[string]bool{}
	for _, line := range environ {
		name, _, _ := strings.Cut(line, "=")
		set[name] = true
	}
	layer, err := env.Provider(delim, env.Opt{
		Prefix:      envStart,
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(name, value string) (string, any) {
			if noise(name, value) {
				return "", nil
			}
			path, got, ok := l.variable(name, value, set, k)
			if !ok {
				return "", nil
			}
			return strings.Join(path, delim), got
		},
	}).Read()
	if err != nil {
		l.add(Problem{Text: fmt.Sprintf("the environment cannot be read: %v", err)})
	}
	return layer
}

// variable reads one variable; a problem is said, and ok is false.
func (l *loader) variable(name, value string, set map[string]bool, k *koanf.Koanf) (path []string, got any, ok bool) {
	reject := func(stands, format string, args ...any) ([]string, any, bool) {
		l.add(Problem{Where: envPrefix + name, Key: stands, Text: fmt.Sprintf(format, args...), stands: stands, named: true})
		return nil, nil, false
	}
	segments := strings.Split(strings.ToLower(strings.TrimPrefix(name, envStart)), envNest)
	at, indirect := schema(), false
	for i, segment := range segments {
		last := i == len(segments)-1
		if at.shape == byID {
			id, err := matchID(segment, ids(k, path))
			if err != nil {
				return reject("", "%s", err)
			}
			segment = id
		} else if base, isFile := at.fromFile(segment); last && isFile && at.fields[segment] == nil {
			segment, indirect = base, true
		}
		next, known := at.child(segment)
		if !known || (next.leaf() && !last) {
			near, key := nearestVariable(name, segments, k)
			if near == "" {
				return reject("", "unknown key; the variables are listed in the reference")
			}
			path, got, ok = reject(key, "unknown key; did you mean %s?", near)
			l.problems[len(l.problems)-1].guess = true
			return path, got, ok
		}
		path, at = append(path, segment), next
	}
	key := strings.Join(path, ".")
	switch {
	case !at.leaf():
		return reject("", "is a group of settings: name one, such as %s", name+envNest+strings.ToUpper(first(at)))
	case indirect && set[strings.TrimSuffix(name, envFile)]:
		return reject(key, "%s is set too: keep one of them", strings.TrimSuffix(name, envFile))
	}
	p := place{where: envPrefix + name}
	if indirect {
		p.file = value
		content, err := valueFile(value)
		if err != nil {
			return reject(key, "%s", err)
		}
		value = content
	}
	got, err := at.value(value)
	if err != nil {
		return reject(key, "%s", err)
	}
	l.at.set(key, p)
	for i := 1; i < len(path); i++ { // what is missing beside it is shown here
		if group := strings.Join(path[:i], "."); l.at.places[group].where == "" {
			l.at.places[group] = place{where: p.where}
		}
	}
	return path, got, true
}

func first(n *node) string {
	if n.shape == byID {
		return "<ID>" + envNest + first(n.elem)
	}
	key := n.order[0]
	if c := n.fields[key]; !c.leaf() {
		return key + envNest + first(c)
	}
	return key
}

// ids are the ids that the file has at a path.
func ids(k *koanf.Koanf, path []string) []string {
	m, _ := k.Get(strings.Join(path, delim)).(map[string]any)
	return slices.Sorted(maps.Keys(m))
}

var idMarks = strings.NewReplacer("-", "_", ".", "_", "~", "_")

// matchID finds the id that a part of a variable's name means, whose letters are all of one case and whose only mark is the underscore:
// one of the file that looks the same, otherwise the name in lower case with hyphens.
func matchID(segment string, known []string) (string, error) {
	if segment == "" {
		return "", fmt.Errorf("has an empty id: two underscores lead one level down, expected such as BROKER_PROVIDERS__GITHUB__CLIENT_ID")
	}
	var same []string
	for _, id := range known {
		if lower := strings.ToLower(id); lower == segment || idMarks.Replace(lower) == idMarks.Replace(segment) {
			same = append(same, id)
		}
	}
	switch len(same) {
	case 0:
		return strings.ReplaceAll(segment, "_", "-"), nil
	case 1:
		return same[0], nil
	}
	return "", fmt.Errorf("may mean each of %s: set it in the file", strings.Join(same, ", "))
}

// nearestVariable returns the variable that was probably meant, and its key. An id stays as it was written.
func nearestVariable(name string, segments []string, k *koanf.Koanf) (variable, key string) {
	found := map[string]string{}
	var walk func(n *node, path, names []string)
	walk = func(n *node, path, names []string) {
		switch {
		case n.leaf():
			found[envStart+strings.Join(names, envNest)] = strings.Join(path, ".")
		case n.shape == byID:
			if len(segments) > 1 {
				id, err := matchID(segments[1], ids(k, path))
				if err == nil {
					walk(n.elem, append(path, id), append(names, strings.ToUpper(segments[1])))
				}
			}
		default:
			for _, field := range n.order {
				walk(n.fields[field], append(slices.Clone(path), field), append(slices.Clone(names), strings.ToUpper(field)))
			}
		}
	}
	walk(schema(), nil, nil)
	file := ""
	base, isFile := strings.CutSuffix(name, envFile)
	if isFile {
		name, file = base, envFile
	}
	near := nearest(strings.TrimPrefix(name, envStart), slices.Sorted(maps.Keys(trimmed(found))))
	if near == "" {
		return "", ""
	}
	return envStart + near + file, found[envStart+near]
}

func trimmed(m map[string]string) map[string]string {
	out := map[string]string{}
	for name, key := range m {
		out[strings.TrimPrefix(name, envStart)] = key
	}
	return out
}

// readFlags reads what the command line sets by key.
func (l *loader) readFlags(flags map[string]string) map[string]any {
	layer := map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(flags)) {
		path, at := strings.Split(key, "."), schema()
		for _, segment := range path {
			at = at.fields[segment]
		}
		where := flagPrefix + "--" + strings.NewReplacer(".", "-", "_", "-").Replace(key)
		got, err := at.value(flags[key])
		if err != nil {
			l.add(Problem{Where: where, Key: key, Text: err.Error(), stands: key, named: true})
			continue
		}
		l.at.set(key, place{where: where})
		put(layer, path, got)
	}
	return layer
}
