package pages

import (
	"strconv"
	"strings"
)

// Guide explains who may do what and by which credential, with a line to try each.
//
// Elements: difference, methods, needs, sheet, setup, and a section for each row by its id.
type Guide struct {
	// Issuer is the address that the lines begin with.
	Issuer string
	// Setup are the lines that must have run before the others: they set the variables those use. None hides the section.
	Setup []Try
	// Methods compares the kinds of credential, Needs says which one fits.
	Methods []Method
	Needs   []Need
	Rows    []GuideRow
}

// Method is one kind of credential.
type Method struct {
	Name, BestFor, Lives string
	Row                  string // the id of the row that shows it
}

// Need is a situation and what fits it.
type Need struct {
	Want, Take string
	Row        string
}

// GuideRow is one system of the guide.
type GuideRow struct {
	ID, Title string
	// Send and Answer stand in the cheat sheet: what is sent, and what comes back without it.
	Send, Answer string
	// Text are paragraphs. Here and in other texts of the guide, `code` and *emphasis* are marked so.
	Text  []string
	Tries []Try
	// Later says that the product has it not yet.
	Later bool
}

// Try is a line for a shell, or a place in the product; exactly one of Line and URL is set.
type Try struct {
	Label string
	// Line uses variables for whatever is secret.
	Line string
	// Status is what the line is answered with, 0 for a line that asks nobody; Shows is a part of the answer.
	Status int
	Shows  string
	URL    string
}

// Traits keeps the page on this site.
func (Guide) Traits() Traits { return Traits{} }

type guideBody struct {
	Issuer  string
	Setup   []try
	Methods []method
	Needs   []Need
	Rows    []guideRow
}

type method struct {
	Method
	Lives []run
}

type guideRow struct {
	GuideRow
	Number       int
	Send, Answer []run
	Text         [][]run
	Lines        []try
	Places       []button
	First        *button // the place that the cheat sheet leads to
}

type try struct {
	Try
	ID, Meaning  string
	Label, Shows []run
}

// run is a piece of text in one style.
type run struct {
	Text      string
	Code, Emp bool
}

// prose cuts a text at `code` and *emphasis*.
func prose(text string) []run {
	var out []run
	for i, piece := range strings.Split(text, "`") {
		if i%2 == 1 {
			out = append(out, run{Text: piece, Code: true})
			continue
		}
		for j, part := range strings.Split(piece, "*") {
			if part != "" {
				out = append(out, run{Text: part, Emp: j%2 == 1})
			}
		}
	}
	return out
}

func (p Guide) screen(r *Renderer) screen {
	b := guideBody{Issuer: p.Issuer, Setup: lines("setup", p.Setup), Needs: p.Needs}
	for _, m := range p.Methods {
		b.Methods = append(b.Methods, method{m, prose(m.Lives)})
	}
	for i, row := range p.Rows {
		g := guideRow{GuideRow: row, Number: i + 1, Send: prose(row.Send), Answer: prose(row.Answer), Lines: lines(row.ID, row.Tries)}
		for _, paragraph := range row.Text {
			g.Text = append(g.Text, prose(paragraph))
		}
		for j, t := range row.Tries {
			if t.URL == "" {
				continue
			}
			if place := r.button(&Action{URL: t.URL}, row.ID+"-place-"+strconv.Itoa(j+1), t.Label); place != nil {
				g.Places = append(g.Places, *place)
			}
		}
		if len(g.Places) > 0 {
			g.First = &g.Places[0]
		}
		b.Rows = append(b.Rows, g)
	}
	return screen{
		template: "guide", title: "Guide to signing in and access", full: true, styles: []string{"tools.css", "guide.css"},
		scripts: []string{"copy.js"}, body: b,
	}
}

// lines are the tries that are lines, each with the id that its copy button names.
func lines(row string, tries []Try) []try {
	var out []try
	for i, t := range tries {
		if t.Line != "" {
			out = append(out, try{
				Try: t, ID: row + "-line-" + strconv.Itoa(i+1), Meaning: statuses()[t.Status], Label: prose(t.Label), Shows: prose(t.Shows),
			})
		}
	}
	return out
}

// statuses says what the answers in the guide mean.
func statuses() map[int]string {
	return map[int]string{
		200: "OK", 201: "created", 204: "done, nothing to say", 303: "go there", 400: "bad request", 401: "who are you?",
		403: "not allowed", 404: "not there",
	}
}
