package pages

import (
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	maxShown      = 2048 // bytes of an address that are shown
	maxRegistered = 20   // registered addresses that are compared
)

// comparison is the received address beside a registered one, both cut into pieces, with those marked that differ.
type comparison struct {
	Received, Registered []piece
	// Parts names what differs: "port, path".
	Parts string
	// distance is how many bytes are marked.
	distance int
}

type piece struct {
	Text    string
	Differs bool
}

// compare puts the registered address that is most like the received one first.
func compare(received string, registered []string) []comparison {
	var all []comparison
	for _, want := range registered[:min(len(registered), maxRegistered)] {
		all = append(all, contrast(received, clip(want)))
	}
	slices.SortStableFunc(all, func(a, b comparison) int { return a.distance - b.distance })
	return all
}

// contrast compares two addresses part by part, so that another port does not mark the path behind it.
func contrast(received, registered string) comparison {
	var c comparison
	var parts []string
	a, b := dissect(received), dissect(registered)
	for i, name := range [...]string{"scheme", "host", "port", "path", "query", "fragment"} {
		if a[i] == b[i] {
			c.Received, c.Registered = add(c.Received, a[i], false), add(c.Registered, b[i], false)
			continue
		}
		head, x, y, tail := differing(a[i], b[i])
		if name == "path" && strings.Trim(x+y, "/") == "" {
			name = "trailing slash"
		}
		if name != "path" && name != "trailing slash" && name != "query" {
			head, x, y, tail = "", a[i], b[i], ""
		}
		parts = append(parts, name)
		c.distance += len(x) + len(y)
		c.Received = add(add(add(c.Received, head, false), x, true), tail, false)
		c.Registered = add(add(add(c.Registered, head, false), y, true), tail, false)
	}
	c.Parts = strings.Join(parts, ", ")
	return c
}

func add(pieces []piece, text string, differs bool) []piece {
	if text == "" {
		return pieces
	}
	return append(pieces, piece{Text: text, Differs: differs})
}

// dissect cuts an address into scheme, host, port, path, query and fragment without changing a byte: the parts joined are the whole.
// It is no parser: it only has to cut two addresses the same way.
func dissect(s string) [6]string {
	var parts [6]string
	if i := strings.Index(s, "#"); i >= 0 {
		s, parts[5] = s[:i], s[i:]
	}
	if i := strings.Index(s, "?"); i >= 0 {
		s, parts[4] = s[:i], s[i:]
	}
	if i := strings.Index(s, "://"); i >= 0 {
		parts[0], s = s[:i+3], s[i+3:]
	} else if i := strings.Index(s, ":"); i >= 0 {
		parts[0], s = s[:i+1], s[i+1:]
		parts[3] = s
		return parts
	}
	if i := strings.Index(s, "/"); i >= 0 {
		s, parts[3] = s[:i], s[i:]
	}
	if i := strings.LastIndex(s, ":"); i >= 0 && !strings.Contains(s[i:], "]") {
		s, parts[2] = s[:i], s[i:]
	}
	parts[1] = s
	return parts
}

// differing cuts off what two strings share at the start and at the end, at whole runes.
func differing(a, b string) (head, x, y, tail string) {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	for !starts(a, n) || !starts(b, n) {
		n--
	}
	head, a, b = a[:n], a[n:], b[n:]
	n = 0
	for n < min(len(a), len(b)) && a[len(a)-1-n] == b[len(b)-1-n] {
		n++
	}
	for !starts(a, len(a)-n) || !starts(b, len(b)-n) {
		n--
	}
	return head, a[:len(a)-n], b[:len(b)-n], a[len(a)-n:]
}

// starts reports whether a rune starts at i, or the string ends there.
func starts(s string, i int) bool {
	return i <= 0 || i >= len(s) || utf8.RuneStart(s[i])
}

// clip cuts an address that is too long to show, at a rune.
func clip(s string) string {
	if len(s) <= maxShown {
		return s
	}
	cut := maxShown
	for !starts(s, cut) {
		cut--
	}
	return s[:cut] + "…"
}
