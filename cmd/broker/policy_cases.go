package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"example.com/broker/abac"
	"example.com/broker/internal/fault"
)

// policyCases are tests for the policies in force of an application, in YAML.
type policyCases struct{ App, Text string }

// testPolicies runs tests on the policies in force.
func testPolicies(ctx context.Context, p *program, in policyCases) ([]abac.Outcome, error) {
	e, err := p.policies.Engine(ctx, in.App)
	if err != nil {
		return nil, err
	}
	cases, flaws := abac.ReadCases(in.Text)
	if len(flaws) > 0 {
		return nil, fault.New(fault.Invalid, "tests_invalid", "The tests cannot be read: line %d: %s", flaws[0].Line, flaws[0].Text)
	}
	return e.Test(cases), nil
}

// caseFile is a file of tests and the folder of the policies that they are for.
type caseFile struct {
	path, policies string
	text           string
	cases          abac.Cases
}

// caseResult is an outcome and where it comes from.
type caseResult struct {
	File string `json:"file"`
	App  string `json:"app"`
	abac.Outcome
}

// told is why a test failed, "" for one that passed.
func (c caseResult) told() string {
	if c.Pass {
		return ""
	}
	return fmt.Sprintf("expected %s, got %s: %s", c.Want, c.Got, c.Why)
}

// findCases reads the files that are named, and those of the folders that are named. The error lists what is wrong in all of them.
func findCases(cmd *cobra.Command, args []string) ([]caseFile, error) {
	var out []caseFile
	wrong := &folderError{code: exitUsage}
	for _, arg := range args {
		paths, err := casePaths(arg)
		if err != nil {
			return nil, usageOf(cmd, "%v", err)
		}
		if len(paths) == 0 {
			return nil, usageOf(cmd, "%s holds no tests: they are in files that end in %s", arg, abac.CasesEnding)
		}
		for _, path := range paths {
			f := caseFile{path: path, policies: filepath.Dir(path)}
			if info, err := os.Stat(path); err != nil || info.Size() > abac.MaxSetText {
				return nil, usageOf(cmd, "%v", errors.Join(err, fmt.Errorf("%s has more than %d bytes", path, abac.MaxSetText)))
			}
			text, err := os.ReadFile(path) //nolint:gosec // the operator names it
			if err != nil {
				return nil, usageOf(cmd, "%v", err)
			}
			f.text = string(text)
			var flaws []abac.Flaw
			if f.cases, flaws = abac.ReadCases(f.text); len(flaws) > 0 {
				for _, one := range flaws {
					wrong.findings = append(wrong.findings, abac.Finding{Where: one.At(path), Text: one.Text})
				}
			}
			out = append(out, f)
		}
	}
	if len(wrong.findings) > 0 {
		return nil, wrong
	}
	return out, nil
}

// casePaths are a file, or the tests of a folder, or of the folders in it.
func casePaths(arg string) ([]string, error) {
	info, err := os.Stat(arg)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{arg}, nil
	}
	for _, below := range []string{"", "*"} {
		paths, err := fs.Glob(os.DirFS(arg), strings.TrimPrefix(below+"/*"+abac.CasesEnding, "/"))
		if err != nil || len(paths) > 0 {
			for i, p := range paths {
				paths[i] = filepath.Join(arg, p)
			}
			slices.Sort(paths)
			return paths, err
		}
	}
	return nil, nil
}

// inFolders runs files of tests on the policies of folders.
func inFolders(files []caseFile) ([]caseResult, error) {
	known := map[string]folder{}
	var out []caseResult
	for _, f := range files {
		of, ok := known[f.policies]
		if !ok {
			set, err := abac.Read(os.DirFS(f.policies), ".", applicationOf(f.policies))
			if err != nil {
				return nil, fmt.Errorf("the policies for %s: %s: %w; name their folder by --policies", f.path, f.policies, err)
			}
			list := []folder{{Set: set, dir: f.policies}}
			if err := compileFolders(list); err != nil {
				return nil, err
			}
			of = list[0]
			known[f.policies] = of
		}
		for _, one := range of.engine.Test(f.cases) {
			out = append(out, caseResult{f.path, of.App, one})
		}
	}
	return out, nil
}

func newPolicyTest(t *target) *cobra.Command {
	var app, policies string
	cmd := &cobra.Command{
		Use: "test DIR|FILE...", Short: "Run tests of policies, in files or in a folder",
		Long: "Run tests of policies: requests, and whether they are to be allowed. A file of tests is YAML and ends in " + abac.CasesEnding + "; what is\n" +
			"exported from the playground is one. The policies are those of the folder that the file is in, or of --policies; no broker is needed.\n" +
			"With --app they are those that are in force for that application at a running broker.\n\n" +
			"The exit code is 1 if a test fails, 2 if tests or policies cannot be read.",
		Example: "  broker policy test examples/authzen\n  broker policy test playground.test.yaml --policies ./policies/shop\n  broker policy test ./policies/shop --app shop",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageOf(cmd, "DIR or FILE is missing")
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&app, "app", "", "application whose policies in force are tested")
	cmd.Flags().StringVar(&policies, "policies", "", "folder of the policies that are tested (default: that of each file)")
	f := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if app != "" && policies != "" {
			return usageOf(cmd, "--app is for a running broker, --policies for a folder: give one of them")
		}
		files, err := findCases(cmd, args)
		if err != nil {
			return err
		}
		var results []caseResult
		if app == "" {
			for i := range files {
				if policies != "" {
					files[i].policies = policies
				}
			}
			if results, err = inFolders(files); err != nil {
				return unreadable(err)
			}
		} else if err := t.with(cmd, func(ctx context.Context, c control) error {
			for _, file := range files {
				list, err := ask[[]abac.Outcome](ctx, c, "policy.test", policyCases{app, file.text})
				if err != nil {
					return unreadable(err)
				}
				for _, one := range list {
					results = append(results, caseResult{file.path, app, one})
				}
			}
			return nil
		}); err != nil {
			return err
		}
		return tellCases(cmd, f, results)
	}
	return cmd
}

// applicationOf is the name that a folder gives its application.
func applicationOf(dir string) string {
	if whole, err := filepath.Abs(dir); err == nil {
		dir = whole
	}
	return filepath.Base(dir)
}

// unreadable is an error for which no test was run.
func unreadable(err error) error {
	if wrong, ok := errors.AsType[*folderError](err); ok {
		wrong.code = exitUsage
		return wrong
	}
	return &usageError{text: explain(err)}
}

func tellCases(cmd *cobra.Command, f *format, results []caseResult) error {
	rows := make([][]string, len(results))
	failed := 0
	for i, one := range results {
		word := "ok"
		if !one.Pass {
			word = "FAIL"
			failed++
		}
		rows[i] = []string{word, one.File, one.Name, one.told()}
	}
	if err := f.print(cmd.OutOrStdout(), results, []string{"RESULT", "FILE", "TEST", "WHY"}, rows); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d tests failed", failed, len(results))
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "all %d tests passed\n", len(results))
	return nil
}
