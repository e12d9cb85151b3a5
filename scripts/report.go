//go:build ignore

// Report reads the output of go test -json and prints what a person wants of it: Go's line for each package, all that a
// failed test said, and nothing of the others. Each reason for which tests were skipped goes to the file -left-out, one a
// line; the file -counts receives "PASSED FAILED SKIPPED". It exits 1 if anything failed.
//
//	go test -json ./... | go run scripts/report.go
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"regexp"
	"slices"
	"strings"
)

// event is one line of go test -json; see go doc test2json.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

type testID struct{ pkg, name string }

type report struct {
	output                  map[testID]*strings.Builder
	failedIn                map[string]int
	reasons                 map[string]int
	passed, failed, skipped int
}

func main() {
	log.SetFlags(0)
	leftOut := flag.String("left-out", "", "append the reasons of skipped tests to this `file`")
	counts := flag.String("counts", "", "write PASSED FAILED SKIPPED to this `file`")
	flag.Parse()

	r := &report{output: map[testID]*strings.Builder{}, failedIn: map[string]int{}, reasons: map[string]int{}}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			fmt.Println(lines.Text()) // not of the test: the go command itself speaks
			continue
		}
		r.take(e)
	}
	if err := lines.Err(); err != nil {
		log.Fatal(err)
	}
	if *counts != "" {
		write(*counts, os.O_TRUNC, fmt.Sprintf("%d %d %d\n", r.passed, r.failed, r.skipped))
	}
	if *leftOut != "" {
		write(*leftOut, os.O_APPEND, r.leftOut())
	}
	if r.failed > 0 {
		os.Exit(1)
	}
}

func (r *report) take(e event) {
	id := testID{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Print(e.Output)
	case "output":
		if e.Test != "" {
			r.of(id).WriteString(e.Output)
		} else if e.Output != "PASS\n" && !strings.HasPrefix(e.Output, "-test.shuffle") {
			fmt.Print(e.Output)
		}
	case "pass", "skip", "fail":
		if e.Test == "" {
			r.endPackage(e)
		} else {
			r.endTest(e, id)
		}
	}
}

func (r *report) of(id testID) *strings.Builder {
	if r.output[id] == nil {
		r.output[id] = &strings.Builder{}
	}
	return r.output[id]
}

func (r *report) endTest(e event, id testID) {
	switch e.Action {
	case "pass":
		r.passed++
	case "fail":
		r.failed++
		r.failedIn[e.Package]++
		fmt.Print(r.of(id))
	case "skip":
		r.skipped++
		r.reasons[reason(r.of(id).String())]++
	}
	delete(r.output, id)
}

// endPackage counts a package that failed without a failing test: one that does not compile, or whose process died.
func (r *report) endPackage(e event) {
	if e.Action == "fail" && r.failedIn[e.Package] == 0 {
		r.failed++
		for id, said := range r.output {
			if id.pkg == e.Package {
				fmt.Print(said)
			}
		}
	}
}

var skipLine = regexp.MustCompile(`(?m)^\s+\S+\.go:\d+: (.*)$`)

// reason finds what a skipped test gave as its reason: the last thing it logged.
func reason(output string) string {
	said := skipLine.FindAllStringSubmatch(output, -1)
	if len(said) == 0 {
		return "no reason given"
	}
	return said[len(said)-1][1]
}

func (r *report) leftOut() string {
	var lines []string
	for why, n := range r.reasons {
		lines = append(lines, fmt.Sprintf("%d Go tests: %s\n", n, why))
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

func write(path string, mode int, text string) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|mode, 0o600)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		log.Fatal(err)
	}
	if err := f.Close(); err != nil {
		log.Fatal(err)
	}
}
