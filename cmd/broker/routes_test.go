package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/broker/web"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares got with a file of testdata, or writes it with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; write it with: go test ./cmd/broker -update", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got); if that is meant: go test ./cmd/broker -update\n%s", path, diff)
	}
}

// indented is a JSON document as a golden file holds it.
func indented(t *testing.T, raw string) string {
	t.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, []byte(raw), "", "  "); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	return out.String() + "\n"
}

// The surface is a decision: whoever adds a route, moves it to another lane or changes its guard, changes this file.
func TestTheRouteList(t *testing.T) {
	w := newWorld(t, "sqlite")
	list, err := w.routes(http.NotFoundHandler())
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "routes.golden", strings.Join(web.Table(list), "\n")+"\n")
}

// Every state-changing route that a browser may send a cookie to must stand in a lane that refuses other sites, but for those that
// answer an arrival with our own GET.
func TestPostsWithACookieStandInTheBrowserLane(t *testing.T) {
	w := newWorld(t, "sqlite")
	list, err := w.routes(http.NotFoundHandler())
	if err != nil {
		t.Fatal(err)
	}
	redirected := map[string]bool{"/authorize": true, "/end_session": true}
	for _, r := range list {
		if r.Method != http.MethodGet && r.Lane == web.Entry && !redirected[r.Path] {
			t.Errorf("%s %s takes posts of other sites", r.Method, r.Path)
		}
	}
}
