package config

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Problem is one thing wrong with the configuration.
type Problem struct {
	// Where is "broker.yaml:14:5", "env BROKER_ISSUER" or "flag --listen"; "" where nobody set the value.
	Where string `json:"where"`
	// Key is the path of the value, such as "providers.github.client_id".
	Key string `json:"key"`
	// Text names what was received, what was expected and one fix. It holds no secret.
	Text string `json:"text"`
	// Warning marks what is allowed and hardly meant.
	Warning bool `json:"warning"`

	line, column int
	// named says that Where is the name of the key already, as that of a variable is.
	named bool
	// stands is the key that the same mistake would make look missing or wrong once more.
	stands string
	// guess is set where stands is what a misspelt key was probably meant to be: with that key set beside it, the guess was wrong.
	guess bool
}

func (p Problem) String() string {
	parts := make([]string, 0, 3)
	if p.Where != "" {
		parts = append(parts, p.Where)
	}
	if p.Key != "" && !p.named {
		parts = append(parts, p.Key)
	}
	text := p.Text
	if p.Warning {
		text = "warning: " + text
	}
	return strings.Join(append(parts, text), "  ")
}

const (
	envPrefix  = "env "
	flagPrefix = "flag "
)

// Print writes one line a problem, in the order of the file, then of the environment, the flags and what nobody set, and a line that
// counts them.
func Print(w io.Writer, problems []Problem) error {
	var text strings.Builder
	errors, warnings := 0, 0
	for _, p := range sorted(problems) {
		text.WriteString(p.String() + "\n")
		if p.Warning {
			warnings++
		} else {
			errors++
		}
	}
	fmt.Fprintf(&text, "%s, %s.  Docs: docs/reference/config.md\n", count(errors, "problem"), count(warnings, "warning"))
	_, err := io.WriteString(w, text.String())
	return err
}

// Failed reports whether any of the problems is more than a warning.
func Failed(problems []Problem) bool {
	return slices.ContainsFunc(problems, func(p Problem) bool { return !p.Warning })
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func sorted(problems []Problem) []Problem {
	rank := func(p Problem) int {
		switch {
		case strings.HasPrefix(p.Where, envPrefix):
			return 1
		case strings.HasPrefix(p.Where, flagPrefix):
			return 2
		case p.Where == "":
			return 3
		}
		return 0
	}
	out := slices.Clone(problems)
	slices.SortStableFunc(out, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column),
			cmp.Compare(a.Where, b.Where), cmp.Compare(a.Key, b.Key))
	})
	return out
}
