package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// value reads text (of the environment, a flag or a file) as the node's type.
func (n *node) value(s string) (any, error) {
	if !utf8.ValidString(s) {
		return nil, fmt.Errorf("%s, expected text in UTF-8", n.show(s))
	}
	switch n.shape {
	case boolean:
		if s == "true" || s == "false" {
			return s == "true", nil
		}
	case number:
		if i, err := strconv.Atoi(s); err == nil {
			return i, nil
		}
	case duration:
		if d, err := parseDuration(s); err == nil {
			return d, nil
		}
	case list:
		return splitList(s), nil
	case text:
		return s, nil
	case group, byID:
	}
	return nil, fmt.Errorf("%s, expected %s", n.show(s), n.shape.expected())
}

// show quotes a value for a message, unless it is a secret.
func (n *node) show(s string) string {
	if n.secret {
		return "a secret that is not shown"
	}
	return fmt.Sprintf("%.200q", s)
}

// splitList reads a, b and also one value a line; an empty text is an empty list.
func splitList(s string) []string {
	out := []string{}
	for _, part := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == '\n' || r == '\r' }) {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

var days = regexp.MustCompile(`^([0-9]{1,6})d(.*)$`)

// parseDuration reads a Go duration that may begin with days, and no negative one.
func parseDuration(s string) (time.Duration, error) {
	var whole time.Duration
	if m := days.FindStringSubmatch(s); m != nil {
		n, err := strconv.Atoi(m[1])
		if err != nil || n > 36500 {
			return 0, fmt.Errorf("%q is too long", s)
		}
		whole = time.Duration(n) * 24 * time.Hour
		if s = m[2]; s == "" {
			return whole, nil
		}
	}
	rest, err := time.ParseDuration(s)
	if err != nil || rest < 0 || whole+rest < whole {
		return 0, fmt.Errorf("%q is no duration", s)
	}
	return whole + rest, nil
}

// formatDuration is the shortest text that parseDuration reads as d.
func formatDuration(d time.Duration) string {
	const day = 24 * time.Hour
	out := ""
	if d >= day {
		out = strconv.FormatInt(int64(d/day), 10) + "d"
		d %= day
	}
	if d == 0 && out != "" {
		return out
	}
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = strings.TrimSuffix(s, zero[1:])
		}
	}
	return out + s
}
