package rbac

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Unasked names the claims that an upstream could not be asked for, and why: "orgs" for the whole claim, "orgs=acme" for one value of it.
// That is not the same as an empty answer.
type Unasked map[string]string

// Said is what one upstream said about somebody.
type Said struct {
	Provider string
	Claims   map[string]any
	Unasked  Unasked
}

// Verdict is what came out of one rule.
type Verdict string

// The verdicts.
const (
	Matched Verdict = "matched"
	Missed  Verdict = "missed"
	Unknown Verdict = "unknown" // the upstream could not be asked: what it gave before stays until it ends
	Skipped Verdict = "skipped" // for another provider, or after a rule that stops
)

// Step is one rule as it was evaluated.
type Step struct {
	Rule    Rule    `json:"rule"`
	Verdict Verdict `json:"verdict"`
	// Why says in words what was compared.
	Why string `json:"why"`
}

// Mapped is the outcome of the rules for what one upstream said.
type Mapped struct {
	Grants []Grant
	Steps  []Step
}

// Map evaluates rules in order. Every rule that matches gives its roles, until one that stops; roles that known does not know are left
// out. Grants last for the TTL of their rule from now.
func Map(rules []Rule, in Said, known func(string) bool, now time.Time) Mapped {
	var out Mapped
	stopped := ""
	for _, r := range rules {
		step := Step{Rule: r}
		switch {
		case stopped != "":
			step.Verdict, step.Why = Skipped, "the rule "+stopped+" stopped the evaluation"
		case r.Provider != "" && r.Provider != in.Provider:
			step.Verdict, step.Why = Skipped, "it is for the provider "+r.Provider
		default:
			step.Verdict, step.Why = r.evaluate(in)
		}
		out.Steps = append(out.Steps, step)
		if step.Verdict != Matched {
			continue
		}
		for _, role := range r.Roles {
			if known(role) {
				out.Grants = append(out.Grants, Grant{Role: role, Source: Mapping, Since: now, Until: now.Add(r.life()), Rule: r.ID, Provider: in.Provider})
			}
		}
		if r.Stop {
			stopped = r.ID
		}
	}
	return out
}

// evaluate compares. A value that is there matches even where others could not be asked for; one that is not there is Unknown if it
// could not be.
func (r Rule) evaluate(in Said) (Verdict, string) {
	path := splitPath(r.Claim)
	found := find(in.Claims, path)
	for _, have := range found {
		if r.fits(have) {
			return Matched, fmt.Sprintf("%s is %s", r.Claim, strconv.Quote(clip(have)))
		}
	}
	root := path[0]
	if why, ok := in.Unasked[root]; ok {
		return Unknown, fmt.Sprintf("%s could not be asked: %s", root, why)
	}
	for _, v := range r.Values {
		if why, ok := in.Unasked[root+"="+v]; ok {
			return Unknown, fmt.Sprintf("%s %s could not be asked: %s", root, strconv.Quote(clip(v)), why)
		}
	}
	if len(found) == 0 {
		return Missed, r.Claim + " is empty or absent"
	}
	return Missed, fmt.Sprintf("none of the %d values of %s fits", len(found), r.Claim)
}

func (r Rule) fits(have string) bool {
	if r.Op == MatchesDomain {
		return slices.ContainsFunc(r.Values, func(domain string) bool { return below(have, domain) })
	}
	return slices.Contains(r.Values, have)
}

// below reports whether an address, or a domain, is in the domain itself. Domains below it are others: whoever means them names them.
func below(have, domain string) bool {
	if at := strings.LastIndexByte(have, '@'); at >= 0 {
		have = have[at+1:]
	}
	return have != "" && asciiLower(have) == asciiLower(strings.TrimPrefix(domain, "@"))
}

// asciiLower leaves other scripts alone, some letters of which fold onto ASCII.
func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + ('a' - 'A')
		}
		return r
	}, s)
}

// splitPath splits at dots, but not at those after a backslash.
func splitPath(path string) []string {
	out := strings.Split(strings.ReplaceAll(path, `\.`, "\x00"), ".")
	for i := range out {
		out[i] = strings.ReplaceAll(out[i], "\x00", ".")
	}
	return out
}

// find returns the texts at the end of a path. Numbers and truth values are written as JSON writes them; null and objects are none.
func find(v any, path []string) []string {
	switch v := v.(type) {
	case []any:
		var out []string
		for _, e := range v {
			out = append(out, find(e, path)...)
		}
		return out
	case map[string]any:
		if len(path) == 0 {
			return nil
		}
		next, ok := v[path[0]]
		if !ok {
			return nil
		}
		return find(next, path[1:])
	}
	if len(path) > 0 {
		return nil
	}
	switch v := v.(type) {
	case string:
		return []string{v}
	case bool:
		return []string{strconv.FormatBool(v)}
	case json.Number:
		return []string{v.String()}
	case float64:
		return []string{strconv.FormatFloat(v, 'f', -1, 64)}
	}
	return nil
}

func clip(s string) string {
	if len(s) > 100 {
		return s[:100] + "…"
	}
	return s
}

// Renew puts the grants of one provider's rules in the place of those it gave before; all others stay. A rule that could not be asked
// keeps what it gave until that ends, and a note of why. The result is in the order of old, new ones last; changed tells whether it is
// worth a write: an end that moves by less than a tenth of its life is not.
func Renew(old []Grant, in Said, m Mapped, now time.Time) (out []Grant, changed bool) {
	unknown := map[string]string{}
	for _, s := range m.Steps {
		if s.Verdict == Unknown {
			unknown[s.Rule.ID] = s.Why
		}
	}
	given := map[[2]string]bool{}
	for _, g := range old {
		if g.Source != Mapping || (g.Provider != in.Provider && g.Provider != "") {
			out = append(out, g)
			continue
		}
		key := [2]string{g.Rule, g.Role}
		i := slices.IndexFunc(m.Grants, func(n Grant) bool { return n.Rule == g.Rule && n.Role == g.Role })
		why, held := unknown[g.Rule]
		switch {
		case given[key]:
			changed = true
		case i >= 0:
			n := m.Grants[i]
			if !g.live(now) {
				g.Since = n.Since
			}
			if n.Until.Sub(g.Until).Abs() > n.Until.Sub(now)/10 || g.Held != "" || g.Provider != n.Provider {
				g.Until, g.Held, g.Provider, changed = n.Until, "", n.Provider, true
			}
			out, given[key] = append(out, g), true
		case held && g.live(now):
			if g.Held != why {
				g.Held, changed = why, true
			}
			out, given[key] = append(out, g), true
		default:
			changed = true
		}
	}
	for _, g := range m.Grants {
		if key := [2]string{g.Rule, g.Role}; !given[key] {
			out, given[key], changed = append(out, g), true, true
		}
	}
	return out, changed
}
