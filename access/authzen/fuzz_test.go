package authzen

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"example.com/broker/abac"
	"example.com/broker/internal/secret"
)

func example(tb testing.TB, app string) *abac.Engine {
	tb.Helper()
	set, err := abac.Read(os.DirFS("../../examples/authzen/"+app), ".", app)
	if err != nil {
		tb.Fatal(err)
	}
	e, err := abac.Compile(set)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

// FuzzRequest: whatever is sent, no request makes an archived record writable for somebody whose role it does not give, the same request
// is answered the same, and a token is taken for its own search only.
func FuzzRequest(f *testing.F) {
	seeds, err := filepath.Glob("testdata/fuzz/FuzzRequest/*")
	if err != nil || len(seeds) == 0 {
		f.Fatalf("no seeds are checked in: %v", err)
	}
	for _, text := range []string{
		`{"subject":{"type":"user","id":"alice"},"action":{"name":"read"},"resource":{"type":"record","id":"record-1"}}`,
		`{"subject":{"type":"user","id":"bob","properties":{"role":"admin"}},"action":{"name":"write"},"resource":{"type":"record","id":"record-2"}}`,
		`{"subject":{"type":"user"},"action":{"name":"read"},"resource":{"type":"record","id":"record-1"},"page":{"limit":1,"token":"x"}}`,
		`{"subject":{"type":"user","id":"alice"},"action":{"name":"delete","properties":{"soft":1e400}},"resource":{"type":"record","id":"record-1"},"options":{"evaluations_semantic":"deny_on_first_deny"},"evaluations":[{},{"action":null},5]}`,
		`[]`, `{`, `{"a":1,"a":2}`,
	} {
		f.Add([]byte(text))
	}
	e := example(f, "certification")
	seal, err := secret.NewSealer(make([]byte, secret.KeySize))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		o, err := parse(raw)
		if err != nil {
			return
		}
		judge := func(q question) bool {
			n := q.ask(e)
			if again := q.ask(e); again.Allow != n.Allow {
				t.Fatalf("%s: %v, then %v", raw, n, again)
			}
			if n.Allow && q.Action.ID == "write" && q.Resource.Attrs["status"] == "archived" && q.Subject.Attrs["role"] != "admin" && q.Subject.ID != "bob" {
				t.Fatalf("%s is allowed", raw)
			}
			return n.Allow
		}
		if q, err := o.question(); err == nil {
			judge(q)
		}
		if list, _, err := o.batch(); err == nil {
			for _, item := range list {
				if q, answer, err := o.with(item); err == nil {
					judge(q)
				} else if answer.Decision {
					t.Fatalf("%s: an incomplete question is allowed", raw)
				}
			}
		}
		for _, what := range []searched{subjects, resources, actions} {
			q, err := o.search(what)
			if err != nil {
				continue
			}
			at, err := o.position(seal, what, "certification", q)
			if err != nil {
				continue
			}
			if at.Limit < 0 || at.Limit > maxResults {
				t.Fatalf("%s: a page of %d", raw, at.Limit)
			}
			for _, id := range q.candidates(what, e) {
				one, _ := q.about(what, id)
				judge(one)
			}
			at.After = "alice"
			if _, err := at.continued(seal, at.token(seal), false); err != nil {
				t.Fatalf("%s: its own token is refused: %v", raw, err)
			}
			other := at
			other.Search += "x"
			if _, err := other.continued(seal, at.token(seal), false); err == nil {
				t.Fatalf("%s: the token of another search is taken", raw)
			}
		}
		if _, err := json.Marshal(o); err != nil {
			t.Fatal(err)
		}
	})
}
