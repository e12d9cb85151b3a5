package config

import (
	"slices"
	"strings"
)

// Sources know where each value came from.
type Sources struct {
	file   string
	places map[string]place
}

// place is where a value was set.
type place struct {
	where        string // "broker.yaml:14:5", "env BROKER_ISSUER" or "flag --listen"
	file         string // that holds the value, for the _file forms
	line, column int
}

// set notes that a layer above replaced a value.
func (s Sources) set(key string, p place) {
	for old := range s.places {
		if strings.HasPrefix(old, key+"[") {
			delete(s.places, old)
		}
	}
	s.places[key] = p
}

// Of returns the origin of a value for people: "default" if nobody set it.
func (s Sources) Of(key string) string {
	p, ok := s.places[key]
	if !ok {
		return "default"
	}
	if p.file != "" {
		return p.where + " (in " + p.file + ")"
	}
	return p.where
}

// Join puts together what Load and Validate found: positions for the latter, and without what only follows from the former, such as a
// key that is missing because its name was mistyped.
func (s Sources) Join(loaded, validated []Problem) []Problem {
	out := slices.Clone(loaded)
	for _, p := range validated {
		set := s.Of(p.Key) != "default" || s.Of(base(p.Key)) != "default"
		if slices.ContainsFunc(loaded, func(l Problem) bool {
			return l.stands != "" && (l.stands == p.Key || l.stands == base(p.Key)) && (!l.guess || !set)
		}) {
			continue
		}
		out = append(out, s.locate(p))
	}
	return sorted(out)
}

// base is the key of the list that an item belongs to.
func base(key string) string {
	if i := strings.LastIndexByte(key, '['); i > 0 {
		return key[:i]
	}
	return key
}

func (s Sources) locate(p Problem) Problem {
	if p.Where != "" {
		return p // in a file that the configuration names
	}
	for _, key := range []string{p.Key, base(p.Key)} {
		if at, ok := s.places[key]; ok {
			p.Where, p.line, p.column, p.named = at.where, at.line, at.column, at.line == 0
			return p
		}
	}
	// What is not there is shown where it belongs.
	for key := p.Key; strings.Contains(key, "."); {
		key = key[:strings.LastIndexByte(key, '.')]
		if at, ok := s.places[key]; ok {
			p.Where, p.line, p.column = at.where, at.line, at.column
			return p
		}
	}
	p.Where = s.file
	return p
}
