package pages

import (
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Facts fill the gaps in the words of a code. What is empty is replaced by a general term, so no fact is required.
type Facts struct {
	App        string        // the app that asked: "Orders"
	Provider   string        // the provider in question: "GitHub"
	Ways       []string      // the ways in an account has already: "Google", "a password"
	Role       string        // the role that would do
	Email      string        // who is signed in
	Support    string        // whom to ask; the renderer's contact if empty
	Product    string        // this service; the renderer's if empty
	RequestID  string        // of the request that failed
	RetryAfter time.Duration // how long to wait
	MinLength  int           // least characters of a new password
	Status     int           // the HTTP status, and
	Said       string        // what the error says: both word a code that the catalogue does not know
}

// text is what the catalogue holds for one code.
type text struct {
	title, body, action string
	// info: nothing went wrong, so nobody is interrupted.
	info bool
}

// text returns the words of a code with its gaps filled. A code that the catalogue does not know has the words of "internal".
func (f Facts) text(code string) text {
	all := catalogue(f)
	t, ok := all[likeness(code)]
	if !ok {
		t = f.refusal(all)
	}
	fill := f.filler()
	return text{title: fill.Replace(t.title), body: fill.Replace(t.body), action: fill.Replace(t.action), info: t.info}
}

// refusal words a code that the catalogue does not know: what was asked for is at fault, and Said tells why.
func (f Facts) refusal(all map[string]text) text {
	title := map[int]string{
		http.StatusBadRequest: "That can't be used.", http.StatusUnsupportedMediaType: "That can't be used.",
		http.StatusUnauthorized: "You need to prove who you are.", http.StatusForbidden: "You may not do that.",
		http.StatusNotFound: "We couldn't find that.", http.StatusConflict: "That can't be done as things are.",
	}[f.Status]
	if title == "" {
		return all["internal"]
	}
	return text{title: title, body: orElse(f.Said, "Nothing changed."), action: "Go to {product}"}
}

// field returns the words of a code that marks one input.
func (f Facts) field(code string) string {
	all := fieldCatalogue()
	words, ok := all[code]
	if !ok {
		words = all[FieldInvalid]
	}
	return f.filler().Replace(words)
}

func (f Facts) filler() *strings.Replacer {
	app, provider := orElse(f.App, "the app"), orElse(f.Provider, "the provider")
	tell := "."
	if f.RequestID != "" {
		tell = ", " + f.RequestID + "."
	}
	least := f.MinLength
	if least <= 0 {
		least = defaultMinLength
	}
	return strings.NewReplacer(
		"{app}", app, "{App}", capital(app),
		"{provider}", provider, "{Provider}", capital(provider),
		"{ways}", orElse(either(f.Ways), "another way"),
		"{way}", orElse(first(f.Ways), "another way"),
		"{role}", f.Role, "{email}", f.Email,
		"{support}", orElse(f.Support, "the people who run this service"),
		"{product}", orElse(f.Product, "the start"),
		"{id}", tell, "{wait}", f.wait(), "{least}", strconv.Itoa(least),
	)
}

// wait says in words how long to wait, rounded up: seconds below a minute, else minutes, else hours.
func (f Facts) wait() string {
	s := seconds(f.RetryAfter)
	switch {
	case s <= 0:
		return "a moment"
	case s < 60:
		return count(s, "second")
	case s <= 5400:
		return count((s+59)/60, "minute")
	}
	return count((s+3599)/3600, "hour")
}

func seconds(d time.Duration) int {
	return int((d + time.Second - 1) / time.Second)
}

func count(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return strconv.Itoa(n) + " " + unit + "s"
}

// either joins names as a choice: "Google", "Google or GitHub", "Google, GitHub or a password".
func either(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

func first(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return names[0]
}

func capital(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}
