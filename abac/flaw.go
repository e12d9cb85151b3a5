package abac

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"example.com/broker/internal/fault"
)

// The parts of a set that a Flaw can be in.
const (
	InPolicy   = "policy"
	InSchema   = "schema"
	InEntities = "entities"
)

// Flaw is one thing wrong with a text of a set. Line and Column begin at 1, in characters; 0 where no place is to blame.
type Flaw struct {
	App          string
	Part         string // InPolicy, InSchema or InEntities
	Policy       string // the id of the policy
	Line, Column int
	Text         string // a sentence
}

// String names the place as it is known where sets are stored.
func (f Flaw) String() string {
	where := f.App + ": " + f.Part
	if f.Part == InPolicy {
		where += " " + f.Policy
	}
	if f.Line > 0 {
		where += fmt.Sprintf(", line %d, column %d", f.Line, f.Column)
	}
	return where + ": " + f.Text
}

// At is file:line:col for a set that was read from a folder.
func (f Flaw) At(dir string) string {
	file := filepath.Join(dir, f.file())
	if f.Line > 0 {
		file += fmt.Sprintf(":%d:%d", f.Line, f.Column)
	}
	return file
}

func (f Flaw) file() string {
	switch f.Part {
	case InSchema:
		return SchemaFile
	case InEntities:
		return EntitiesFile
	case InPolicy:
		return f.Policy + policyEnding
	}
	return ""
}

// Flaws are the cause of what Compile returns for texts that are not good.
type Flaws []Flaw

func (f Flaws) Error() string {
	if len(f) == 1 {
		return "1 flaw"
	}
	return fmt.Sprintf("%d flaws", len(f))
}

// Finding is what is wrong in a folder of policies: Where is a file with line and column, or the folder.
type Finding struct{ Where, Text string }

// Findings are what Compile said of a set that was read from a folder; none for nil.
func Findings(dir string, err error) []Finding {
	if err == nil {
		return nil
	}
	flaws, ok := errors.AsType[Flaws](err)
	if !ok {
		return []Finding{{dir, messageOf(err)}}
	}
	out := make([]Finding, len(flaws))
	for i, f := range flaws {
		out[i] = Finding{f.At(dir), f.Text}
	}
	return out
}

const (
	maxFlaws  = 100  // that are looked for in a part
	briefText = 2000 // bytes of a message that names flaws
)

// fail is the error for flaws, nil for none: its code is that of the first part that has one, its message one line a flaw.
func (f Flaws) fail() error {
	if len(f) == 0 {
		return nil
	}
	code := "entities_invalid"
	switch {
	case slices.ContainsFunc(f, func(one Flaw) bool { return one.Part == InSchema }):
		code = "schema_invalid"
	case slices.ContainsFunc(f, func(one Flaw) bool { return one.Part == InPolicy }):
		code = "policy_invalid"
	}
	var text strings.Builder
	for i, one := range f {
		line := one.String()
		if text.Len() > 0 && text.Len()+len(line) > briefText {
			fmt.Fprintf(&text, "\nand %d more", len(f)-i)
			break
		}
		if i > 0 {
			text.WriteByte('\n')
		}
		text.WriteString(line)
	}
	return fault.Wrap(f, fault.Invalid, code, "%s", text.String())
}

// messageOf is the text for people, without the code.
func messageOf(err error) string {
	if e, ok := errors.AsType[*fault.Error](err); ok {
		return e.Message
	}
	return err.Error()
}

// inOrder sorts flaws of one text by their places.
func inOrder(list []Flaw) []Flaw {
	slices.SortStableFunc(list, func(a, b Flaw) int { return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column)) })
	return list[:min(len(list), maxFlaws)]
}

// sentence makes a message one: it begins with a capital and ends with a stop.
func sentence(s string) string {
	s = strings.TrimSpace(strings.ToValidUTF8(s, "?"))
	if len(s) > briefText/4 {
		s = strings.ToValidUTF8(s[:briefText/4], "") + " …"
	}
	r, size := utf8.DecodeRuneInString(s)
	if s == "" || strings.HasSuffix(s, ".") {
		return string(unicode.ToUpper(r)) + s[size:]
	}
	return string(unicode.ToUpper(r)) + s[size:] + "."
}

// placeOf is line and column of an offset.
func placeOf(text string, offset int) (line, column int) {
	before := text[:min(max(offset, 0), len(text))]
	return 1 + strings.Count(before, "\n"), 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
}

// offsetOf is where a line and a column are.
func offsetOf(text string, line, column int) int {
	at := 0
	for ; line > 1; line-- {
		next := strings.IndexByte(text[at:], '\n')
		if next < 0 {
			return len(text)
		}
		at += next + 1
	}
	for ; column > 1 && at < len(text) && text[at] != '\n'; column-- {
		_, size := utf8.DecodeRuneInString(text[at:])
		at += size
	}
	return at
}
