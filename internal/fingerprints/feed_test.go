package fingerprints

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestOf holds the wire format: others compute the same.
func TestOf(t *testing.T) {
	for _, tt := range []struct {
		kind, key string
		want      string
	}{
		{Token, "3q2-7w_9pTfZkC1xLh0vAg", "113c62dabe18776a"},
		{User, "usr_1", "ab39d5c8693509ca"},
		{Client, "", "5618257feabb17d2"},
	} {
		if got := fmt.Sprintf("%016x", Of(tt.kind, tt.key)); got != tt.want {
			t.Errorf("Of(%q, %q) = %s, want %s", tt.kind, tt.key, got, tt.want)
		}
	}
	if Of("ab", "c") == Of("a", "bc") {
		t.Error("kind and key run into one another")
	}
	if n := testing.AllocsPerRun(100, func() { Of(Token, "3q2-7w_9pTfZkC1xLh0vAg") }); n != 0 {
		t.Errorf("%v allocations for a fingerprint", n)
	}
}

func TestGroupsAreReadBackAsTheyWere(t *testing.T) {
	var g Groups
	want := map[string][]Entry{
		Token:  {{7, 0, 100}, {8, 0, 100}, {1 << 63, 0, 200}, {9, 0, Forever}},
		User:   {{7, 1 << 31, 100}},
		Client: {{3, 0, Forever}},
	}
	for kind, list := range want {
		for _, e := range list {
			g.Add(kind, e)
		}
	}
	raw, err := json.Marshal(g.Encode())
	if err != nil {
		t.Fatal(err)
	}
	var groups []Group
	if err := json.Unmarshal(raw, &groups); err != nil {
		t.Fatal(err)
	}
	got := map[string][]Entry{}
	for _, g := range groups {
		list, err := g.Decode()
		if err != nil {
			t.Fatal(err)
		}
		got[g.Kind] = append(got[g.Kind], list...)
	}
	for _, list := range got {
		slices.SortFunc(list, func(a, b Entry) int { return int(a.End/2 - b.End/2) })
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(groups) != 5 {
		t.Errorf("%d groups, want one for each kind and end", len(groups))
	}
}

func TestMalformedGroupsAreRefused(t *testing.T) {
	eight, four := base64.RawURLEncoding.EncodeToString(make([]byte, 8)), base64.RawURLEncoding.EncodeToString(make([]byte, 4))
	for name, g := range map[string]Group{
		"ids that are not base64url":     {Kind: Token, IDs: "+/+/+/+/+/8"},
		"half a fingerprint":             {Kind: Token, IDs: four},
		"a user without a number":        {Kind: User, IDs: eight},
		"more numbers than fingerprints": {Kind: User, IDs: eight, Numbers: eight},
		"an end before time":             {Kind: Token, IDs: eight, End: -1},
	} {
		if list, err := g.Decode(); err == nil {
			t.Errorf("%s: read as %v", name, list)
		}
	}
}

func TestPutLearnsOnlyWhatIsNew(t *testing.T) {
	s := NewSet(true)
	end := start.Unix() + 600
	for i, step := range []struct {
		e    Entry
		want bool
	}{
		{Entry{5, 3, end}, true},
		{Entry{5, 3, end}, false},
		{Entry{5, 2, end - 60}, false}, // ends earlier with less to say
		{Entry{5, 4, end}, true},
		{Entry{5, 1, end + 60}, true}, // holds longer
		{Entry{6, 1, start.Unix()}, false},
		{Entry{0, 1, end}, false}, // no fingerprint is 0, and a table takes it for a free slot
	} {
		if got := s.Put(step.e, start); got != step.want {
			t.Errorf("step %d: Put = %v, want %v", i, got, step.want)
		}
	}
	if n, ok := s.Get(5); n != 4 || !ok || s.Len() != 2 {
		t.Errorf("Get = %d, %v of %d entries; want 4 of 2", n, ok, s.Len())
	}
	if got := slices.Collect(s.Live(start.Add(600 * time.Second))); len(got) != 1 || got[0].End != end+60 {
		t.Errorf("Live at the first end = %v, want the entry that holds longer", got)
	}
	s.Drop(start.Add(time.Hour))
	if s.Len() != 0 {
		t.Errorf("%d entries after their end", s.Len())
	}
}

func BenchmarkOf(b *testing.B) {
	for b.Loop() {
		Of(Token, "3q2-7w_9pTfZkC1xLh0vAg")
	}
}
