package config_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"example.com/broker/config"
)

// FuzzLoad: whatever the file and the environment hold, each problem of the file is on a line that it has, no line holds the value of a
// secret, and what is good prints as a file that loads without a new problem.
func FuzzLoad(f *testing.F) {
	for _, yaml := range []string{good, "", "---\n", "issuer: *x\n", "a: &a {b: *a}\n", "clients: {x: {<<: {}}}\n", "? [a]\n: b\n", "issuer: !!binary eA==\n", "providers: [github]\n", "%YAML 1.1\n---\nissuer: x\n"} {
		f.Add(yaml, "BROKER_CLIENTS__WEB__NAME", "x")
	}
	f.Add(good, "BROKER_PROVIDERS____X", "")
	f.Add("clients: {a-b: {}, a.b: {}}", "BROKER_CLIENTS__A_B__NAME", "x")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, yaml, name, value string) {
		if strings.Contains(yaml+name, "_file") || strings.HasSuffix(name, "_FILE") {
			t.Skip("reads other files")
		}
		const hidden = "AAAAhiddenAAAA"
		file := filepath.Join(dir, "f"+strconv.Itoa(os.Getpid())+".yaml")
		if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		environ := []string{name + "=" + value, "BROKER_STORE__MONGO__URI=" + hidden, "BROKER_KEYS__ENCRYPTION=" + hidden, "BROKER_CLIENTS__Z__CLIENT_SECRET=" + hidden}
		c, at, problems := config.Check(config.LoadOptions{File: file, Environ: environ})
		total := strings.Count(yaml, "\n") + strings.Count(yaml, "\r") + strings.Count(yaml, "\u0085") + strings.Count(yaml, "\u2028") + strings.Count(yaml, "\u2029") + 1
		for _, p := range problems {
			if strings.Contains(p.String(), hidden) {
				t.Errorf("a secret is shown: %s", p)
			}
			if rest, ok := strings.CutPrefix(p.Where, file+":"); ok {
				line, _, _ := strings.Cut(rest, ":")
				if n, err := strconv.Atoi(line); err != nil || n < 1 || n > total+1 {
					t.Errorf("a file of %d lines has a problem at %s", total, p.Where)
				}
			}
		}
		var printed strings.Builder
		if err := config.Write(&printed, c, at, true); err != nil {
			t.Fatalf("what was read cannot be printed: %v", err)
		}
		if strings.Contains(printed.String(), hidden) {
			t.Errorf("a secret is printed:\n%s", printed.String())
		}
		if err := os.WriteFile(file, []byte(printed.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, again := config.Load(config.LoadOptions{File: file}); config.Failed(again) {
			t.Errorf("what was printed cannot be read: %v\n%s", again, printed.String())
		}
	})
}
