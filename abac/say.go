package abac

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The words of the parsers, which name places and tokens in ways of their own.
var (
	parserPlace = regexp.MustCompile(`(?:parse error at )?<input>:(\d+):(\d+)(?: "(?:[^"\\]|\\.)*")?:? ?`)
	parserGot   = regexp.MustCompile(`^(?:exact )?got (\S*) want (\S+)$`)
	schemaGot   = regexp.MustCompile(`^expected (.+), got (.+)$`)
	schemaToken = regexp.MustCompile(`^(?:identifier|string|reserved keyword) (".*")$`)
)

// wanted is what the parser of policies says of the token that it has just passed, and what it hoped for.
var wanted = map[string]string{
	"expected ident":                     "a name",
	"expected ident or reserved keyword": "a name",
	"expected ident after dot":           "a name",
	"expected ident or string":           "a name or a text in quotes",
	"expected string":                    "a text in quotes",
	"expected string literal":            "a text in quotes",
	"invalid primary":                    "an expression",
}

// parserFlaw puts what a parser of policies or schemas said into words for people, at the token that is to blame.
func parserFlaw(text string, err error) Flaw {
	said := strings.TrimPrefix(err.Error(), "parser error: ")
	m := parserPlace.FindStringSubmatch(said)
	if m == nil {
		return placeless(text, said)
	}
	f := Flaw{}
	f.Line, _ = strconv.Atoi(m[1])
	f.Column, _ = strconv.Atoi(m[2])
	said = parserPlace.ReplaceAllString(said, "")
	if s := schemaGot.FindStringSubmatch(said); s != nil {
		f.Text = "Expected " + strings.ReplaceAll(s[1], "'", "") + ", found " + schemaWord(s[2]) + "."
		return f
	}
	tokens := scan(text)
	at := offsetOf(text, f.Line, f.Column)
	next := slices.IndexFunc(tokens, func(t token) bool { return t.start >= at })
	if next < 0 {
		next = len(tokens)
	}
	blame := func(i int) string {
		if i < 0 || i >= len(tokens) {
			return "the end"
		}
		f.Line, f.Column = placeOf(text, tokens[i].start)
		return tokens[i].text
	}
	found := next - 1 // most is said behind the token
	if next == len(tokens) && !closing(tokens) {
		found = next
	}
	switch got := parserGot.FindStringSubmatch(said); {
	case got != nil:
		if got[1] == "" {
			found = len(tokens)
		} else if next < len(tokens) && tokens[next].text == got[1] && !strings.HasPrefix(said, "exact") {
			found = next
		}
		f.Text = "Expected " + got[2] + ", found " + blame(found) + "."
	case wanted[said] != "":
		f.Text = "Expected " + wanted[said] + ", found " + blame(found) + "."
	case strings.HasPrefix(said, "unexpected effect: "):
		f.Text = "Expected permit or forbid, found " + blame(found) + "."
	case said == "unexpected token":
		if word := blame(found); word != "the end" {
			f.Text = word + " cannot stand here."
		} else {
			f.Text = "The text ends early."
		}
	default:
		if strings.HasPrefix(said, "duplicate annotation: ") {
			blame(found)
		}
		f.Text = sentence(said)
	}
	return f
}

var tooLarge = regexp.MustCompile(`^strconv\.ParseInt: parsing "(-?\d+)": value out of range$`)

// placeless is what a parser says of a value without saying where it stands.
func placeless(text, said string) Flaw {
	m := tooLarge.FindStringSubmatch(said)
	if m == nil {
		return Flaw{Text: sentence(said)}
	}
	f := Flaw{Text: "The number " + m[1] + " has more than 64 bits."}
	for _, t := range scan(text) {
		if t.text == strings.TrimPrefix(m[1], "-") {
			f.Line, f.Column = placeOf(text, t.start)
			break
		}
	}
	return f
}

// closing reports whether a text ends with what nothing can be missing behind.
func closing(tokens []token) bool {
	return len(tokens) > 0 && strings.Contains(";)]},", tokens[len(tokens)-1].text)
}

func schemaWord(said string) string {
	if said == "EOF" {
		return "the end"
	}
	if m := schemaToken.FindStringSubmatch(said); m != nil {
		said = m[1]
	}
	if word, err := strconv.Unquote(said); err == nil {
		return word
	}
	return said
}

// inWords takes the names that only the validator has for types out of what it says.
var inWords = strings.NewReplacer("__cedar::internal::True", "Bool", "__cedar::internal::False", "Bool")

// named finds the first of the tokens that an error names: what stands in quotes of its own, or its last part.
func named(tokens []token, said string) (token, bool) {
	_, rest, ok := strings.Cut(said, "`")
	word, _, closed := strings.Cut(rest, "`")
	if !ok || !closed {
		return token{}, false
	}
	want := scan(word)
	if len(want) == 0 {
		return token{}, false
	}
	last := want[len(want)-1]
	is := func(t token) bool { return t.value() == last.value() }
	// An attribute has the name of a variable at times: it is the one behind a dot.
	if strings.Contains(said, "attribute `") {
		for i, t := range tokens {
			if i > 0 && is(t) && slices.Contains([]string{".", "[", "has"}, tokens[i-1].text) {
				return t, true
			}
		}
	}
	if i := slices.IndexFunc(tokens, is); i >= 0 {
		return tokens[i], true
	}
	return token{}, false
}

var inQuotes = regexp.MustCompile(`"((?:[^"\\]|\\.)*)"`)

// schemaFlaw is about a schema whose parts do not fit each other: its error names the declaration, then what is in it, from outside in.
func schemaFlaw(text string, err error) Flaw {
	tokens := scan(text)
	from, at := 0, -1
	for _, m := range inQuotes.FindAllStringSubmatch(err.Error(), -1) {
		words := scan(m[1])
		if len(words) == 0 {
			continue
		}
		want := words[len(words)-1].value()
		for i := from; i < len(tokens); i++ {
			if tokens[i].value() == want {
				from, at = i+1, tokens[i].start
				break
			}
		}
	}
	f := Flaw{Text: sentence(err.Error())}
	if at >= 0 {
		f.Line, f.Column = placeOf(text, at)
	}
	return f
}
