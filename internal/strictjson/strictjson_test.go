package strictjson_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/broker/internal/strictjson"
)

type base struct {
	ID string `json:"id"`
}

type order struct {
	base
	Name   string            `json:"name"`
	Amount float64           `json:"amount"`
	Count  int8              `json:"count"`
	Lines  []line            `json:"lines"`
	More   *line             `json:"more"`
	Tags   map[string]string `json:"tags"`
	Any    any               `json:"any"`
	Raw    json.RawMessage   `json:"raw"`
	At     time.Time         `json:"at"`
	Plain  bool
	Hidden string `json:"-"`
}

type line struct {
	SKU string `json:"sku"`
}

func TestDecode(t *testing.T) {
	deep := func(n int) string { return strings.Repeat(`[`, n) + strings.Repeat(`]`, n) }
	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(`,"k` + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + time.Duration(i).String() + `":""`)
		}
		return `{` + b.String()[1:] + `}`
	}
	for _, row := range []struct {
		rule, in string
		wrong    string // part of the error, "" for none
	}{
		{"every kind of member", `{"id":"1","name":"x","amount":1.5,"count":3,"lines":[{"sku":"a"},{"sku":"b"}],"more":{"sku":"c"},"tags":{"A":"1","a":"2"},` +
			`"any":{"B":[1,{"b":null}]},"raw":{"C":1},"at":"2030-01-02T03:04:05Z","Plain":true}`, ""},
		{"white space around", " {} \r\n\t", ""},
		{"null where an object may be absent", `{"more":null,"lines":null}`, ""},
		{"nesting up to the bound", `{"any":` + deep(strictjson.MaxDepth-1) + `}`, ""},
		{"members up to the bound", `{"any":` + many(strictjson.MaxMembers-1) + `}`, ""},

		{"a surrogate pair", `{"name":"\ud83d\ude00 \\ud800 \u00e9\\\\"}`, ""},
		{"an escaped backslash before what looks like an escape", `{"name":"\\ud800"}`, ""},

		{"half a surrogate pair, the first", `{"name":"\ud800"}`, "surrogate"},
		{"half a surrogate pair, the second", `{"name":"\udc00"}`, "surrogate"},
		{"a surrogate pair the wrong way round", `{"name":"\udc00\ud800"}`, "surrogate"},
		{"two first halves", `{"name":"\ud800\uD800\udc00"}`, "surrogate"},
		{"half a surrogate pair before another escape", `{"name":"\ud800\n"}`, "surrogate"},
		{"half a surrogate pair after a backslash", `{"name":"\\\ud800"}`, "surrogate"},
		{"half a surrogate pair in a name", `{"any":{"\uDBFF":1}}`, "surrogate"},
		{"an escape that breaks off", `{"name":"\ud8`, "not valid JSON"},
		{"null for the whole", ` null `, "must not be null"},
		{"null and more", `null null`, "must not be null"},
		{"a member twice", `{"name":"a","name":"b"}`, `"name" appears twice`},
		{"a member twice, once escaped", `{"name":"a","n\u0061me":"b"}`, `"name" appears twice`},
		{"a member twice further down", `{"lines":[{"sku":"a"},{"sku":"a","sku":"b"}]}`, `"sku" appears twice`},
		{"a member twice where any name will do", `{"any":{"x":[{"y":1,"y":1}]}}`, `"y" appears twice`},
		{"a member twice in a map", `{"tags":{"a":"1","a":"2"}}`, `"a" appears twice`},
		{"a member in another case", `{"NAME":"a"}`, `expected "name"`},
		{"a member in two cases", `{"name":"a","Name":"b"}`, `expected "name"`},
		{"a member with a long s", `{"line\u017f":[]}`, `expected "lines"`},
		{"a member in another case further down", `{"lines":[{"SKU":"a"}]}`, `expected "sku"`},
		{"a member in another case behind a pointer", `{"more":{"Sku":"a"}}`, `expected "sku"`},
		{"an unknown member", `{"admin":true}`, `"admin" is not known`},
		{"an unknown member further down", `{"more":{"admin":true}}`, `"admin" is not known`},
		{"a field that is not for JSON", `{"Hidden":"x"}`, `"Hidden" is not known`},
		{"nesting beyond the bound", `{"any":` + deep(strictjson.MaxDepth) + `}`, "deeper than 32"},
		{"nesting ten thousand deep", deep(10_000), "deeper than 32"},
		{"nesting ten thousand deep that never ends", strings.Repeat(`{"any":`, 10_000), "deeper than 32"},
		{"members beyond the bound", `{"any":` + many(strictjson.MaxMembers) + `}`, "more than 10000 members"},
		{"a number beyond all bounds", `{"amount":1e999999}`, "member amount must be a number"},
		{"a number beyond the bounds of its type", `{"count":128}`, "member count must be a whole number"},
		{"a fraction for a whole number", `{"count":1.5}`, "member count must be a whole number"},
		{"a number for a string", `{"name":1}`, "member name must be a string"},
		{"a string for an array", `{"lines":"x"}`, "member lines must be an array"},
		{"a number for an object in an array", `{"lines":[1]}`, "each element of member lines must be an object"},
		{"a number for a string further down", `{"lines":[{"sku":1}]}`, "member lines.sku must be a string"},
		{"an array for the object", `[]`, "it must be an object"},
		{"a string for the object", `"x"`, "it must be an object"},
		{"a value after the value", `{} {}`, "more follows"},
		{"text after the value", `{}x`, "more follows"},
		{"a bracket after the value", `{}}`, "more follows"},
		{"nothing", ``, "not valid JSON"},
		{"an object that breaks off", `{"name":"a"`, "not valid JSON"},
		{"a comma too many", `{"name":"a",}`, "not valid JSON"},
		{"a comma too few", `{"name":"a" "id":"b"}`, "not valid JSON"},
		{"the wrong bracket", `{"lines":[}`, "not valid JSON"},
		{"a name without quotes", `{name:"a"}`, "not valid JSON"},
		{"a number for a name", `{1:"a"}`, "not valid JSON"},
		{"a comment", `{/**/}`, "not valid JSON"},
		{"NaN", `{"amount":NaN}`, "not valid JSON"},
		{"a line break in a string", "{\"name\":\"a\nb\"}", "not valid JSON"},
		{"bytes that are no text", "{\"name\":\"\xff\"}", "not UTF-8"},
		{"a byte order mark", "\xef\xbb\xbf{}", "not valid JSON"},
	} {
		t.Run(row.rule, func(t *testing.T) {
			var v order
			err := strictjson.Decode([]byte(row.in), &v)
			if (err == nil) != (row.wrong == "") || (err != nil && !strings.Contains(err.Error(), row.wrong)) {
				t.Fatalf("Decode = %v, want an error with %q", err, row.wrong)
			}
			// What says nothing of names and types of members holds for Value too.
			if _, free := strictjson.Value([]byte(row.in)); !strings.Contains(row.wrong, "known") && !strings.Contains(row.wrong, "expected") &&
				!strings.Contains(row.wrong, "must be") && fmt.Sprint(free) != fmt.Sprint(err) {
				t.Errorf("Value = %v, Decode = %v", free, err)
			}
		})
	}
}

func TestDecodeReadsWhatWasWritten(t *testing.T) {
	type plain struct {
		Name  string            `json:"name"`
		Lines []line            `json:"lines"`
		Tags  map[string]string `json:"tags"`
	}
	want := plain{"x", []line{{"a"}, {"b"}}, map[string]string{"k": "v", "K": "V"}}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got plain
	if err := strictjson.Decode(text, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestErrorsRepeatNoValues(t *testing.T) {
	for _, in := range []string{
		`{"name":"hunter2",}`, `{"count":"hunter2"}`, `{"count":1234567891}`, `{"name":"hunter2"} hunter2`, `{"at":["hunter2"]}`, `{"name":"hunter2`,
	} {
		err := strictjson.Decode([]byte(in), &order{})
		if err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "1234567891") {
			t.Errorf("Decode(%s) = %v", in, err)
		}
	}
}

func TestAMillionMembersCostLittle(t *testing.T) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i := range 1_000_000 {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"k` + time.Duration(i).String() + `":0`)
	}
	b.WriteByte('}')
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var v any
	err := strictjson.Decode(b.Bytes(), &v)
	runtime.ReadMemStats(&after)
	if err == nil || !strings.Contains(err.Error(), "members") {
		t.Fatalf("Decode = %v, want a refusal of so many members", err)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 8<<20 {
		t.Errorf("refusing them allocated %d bytes, want 8 MiB at most", got)
	}
}

// FuzzDecode states that what is accepted is JSON, that encoding/json reads the same from it, and that no object in it has a member twice.
func FuzzDecode(f *testing.F) {
	if seeds, err := filepath.Glob("testdata/fuzz/FuzzDecode/*"); err != nil || len(seeds) == 0 {
		f.Fatalf("no seeds in testdata/fuzz/FuzzDecode (%v)", err)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var got any
		err := strictjson.Decode(in, &got)
		kept, free := strictjson.Value(in)
		if (err == nil) != (free == nil) && !strings.Contains(err.Error(), "must be a number") { // Value keeps numbers as they are written
			t.Fatalf("%q: Decode = %v, Value = %v", in, err, free)
		}
		if err != nil {
			return
		}
		var same any
		d := json.NewDecoder(bytes.NewReader(in))
		d.UseNumber()
		if err := d.Decode(&same); err != nil || !reflect.DeepEqual(same, kept) {
			t.Errorf("%q was kept as %v, want %v (%v)", in, kept, same, err)
		}
		var want any
		if err = json.Unmarshal(in, &want); err != nil {
			t.Fatalf("accepted %q, which is not JSON: %v", in, err)
		}
		// Not by cmp, whose time doubles with each array around another.
		if !reflect.DeepEqual(want, got) {
			t.Errorf("%q was read as %v, want %v", in, got, want)
		}
		// encoding/json keeps the last of two members, so a text with one twice has more members than its value.
		text, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := strings.Count(tokens(t, in), ":"), strings.Count(tokens(t, text), ":"); a != b {
			t.Errorf("%q has %d members, its value %d", in, a, b)
		}
	})
}

// tokens writes a colon for each member of a JSON text.
func tokens(t *testing.T, text []byte) string {
	t.Helper()
	var b, inString bool
	var out strings.Builder
	for _, c := range text {
		switch {
		case b:
			b = false
		case inString && c == '\\':
			b = true
		case c == '"':
			inString = !inString
		case c == ':' && !inString:
			out.WriteByte(':')
		}
	}
	return out.String()
}
