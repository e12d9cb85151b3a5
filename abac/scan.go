package abac

import (
	"strconv"
	"strings"
)

// token is a word, a quoted text or an operator of a policy or a schema.
type token struct {
	start, end int
	text       string
	quoted     bool
}

// value is what a token says: of a quoted one what stands between the quotes.
func (t token) value() string {
	if !t.quoted {
		return t.text
	}
	if v, err := strconv.Unquote(t.text); err == nil {
		return v
	}
	return strings.Trim(t.text, `"`)
}

func (t token) word() bool {
	return !t.quoted && t.text != "" && inWord(t.text[0])
}

func inWord(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= 0x80
}

const pairs = "== != <= >= && || :: "

// scan takes a text apart, and leaves out comments and what is between tokens.
func scan(text string) []token {
	var out []token
	for i := 0; i < len(text); {
		start := i
		switch c := text[i]; {
		case c <= ' ':
			i++
			continue
		case strings.HasPrefix(text[i:], "//"):
			for i < len(text) && text[i] != '\n' {
				i++
			}
			continue
		case c == '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
			i++
		case inWord(c):
			for i < len(text) && inWord(text[i]) {
				i++
			}
		case i+1 < len(text) && strings.Contains(pairs, text[i:i+2]+" "):
			i += 2
		default:
			i++
		}
		i = min(i, len(text))
		out = append(out, token{start, i, text[start:i], text[start] == '"'})
	}
	return out
}

// Extent is where a statement stands in a text: its lines, beginning at 1, and what it says.
type Extent struct {
	First, Last int
	Text        string
	tokens      []token
}

// Extents finds the statements of a text that parses.
func Extents(text string) []Extent {
	var out []Extent
	tokens := scan(text)
	from := 0
	for i, t := range tokens {
		if t.text != ";" {
			continue
		}
		own := tokens[from : i+1]
		first, _ := placeOf(text, own[0].start)
		last, _ := placeOf(text, t.start)
		out = append(out, Extent{First: first, Last: last, Text: text[own[0].start:t.end], tokens: own})
		from = i + 1
	}
	return out
}

// scope are the tokens before the first condition.
func (e Extent) scope() []token {
	if list := e.conditions(); len(list) > 0 {
		for i, t := range e.tokens {
			if t.start == list[0][0].start {
				return e.tokens[:i]
			}
		}
	}
	return e.tokens
}

// conditions are the tokens of each when and unless.
func (e Extent) conditions() [][]token {
	var out [][]token
	depth, from := 0, -1
	for i, t := range e.tokens {
		switch t.text {
		case "(", "[", "{":
			depth++
		case ")", "]", "}":
			depth--
			if depth == 0 && from >= 0 {
				out = append(out, e.tokens[from:i+1])
				from = -1
			}
		case "when", "unless":
			if depth == 0 {
				from = i
			}
		}
	}
	return out
}

// annotation is the token that holds the value of an annotation, its name where it has none; else the first of the statement.
func (e Extent) annotation(name string) token {
	for i, t := range e.tokens {
		switch {
		case t.text != "@" || i+1 >= len(e.tokens) || e.tokens[i+1].text != name:
		case i+3 < len(e.tokens) && e.tokens[i+2].text == "(":
			return e.tokens[i+3]
		default:
			return e.tokens[i+1]
		}
	}
	return e.tokens[0]
}

// ID is the value of the annotation @id, "" without one.
func (e Extent) ID() string {
	if t := e.annotation("id"); t.quoted {
		return t.value()
	}
	return ""
}
