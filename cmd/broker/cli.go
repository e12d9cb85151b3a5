package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/spf13/cobra"

	"example.com/broker/config"
	"example.com/broker/internal/fault"
)

// The exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2 // the command line or the configuration is wrong
)

// run carries out one command line and returns the exit code. out gets data, talk all the rest.
func run(ctx context.Context, args []string, in io.Reader, out, talk io.Writer) int {
	root := newRootCommand() //nolint:contextcheck // cobra hands every command the context of ExecuteContext
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(talk)
	return report(talk, root.ExecuteContext(ctx))
}

// report says what went wrong, once, and returns the exit code.
func report(talk io.Writer, err error) int {
	if err == nil {
		return exitDone
	}
	if wrong, ok := errors.AsType[*configError](err); ok {
		_ = config.Print(talk, wrong.problems) // nobody reads: the exit code is left
		return exitUsage
	}
	if wrong, ok := errors.AsType[*folderError](err); ok {
		fmt.Fprintln(talk, wrong)
		return cmp.Or(wrong.code, exitFailed)
	}
	fmt.Fprintf(talk, "broker: %s\n", explain(err))
	if misused, ok := errors.AsType[*usageError](err); ok {
		if misused.command != "" {
			fmt.Fprintf(talk, "See: %s --help\n", misused.command)
		}
		return exitUsage
	}
	return exitFailed
}

// explain is the text of an error for the person at the terminal. What the store or the system said is for them too.
func explain(err error) string {
	f, ok := errors.AsType[*fault.Error](err)
	switch {
	case !ok:
		return err.Error()
	case f.Cause != nil && (f.Kind == fault.Unavailable || f.Kind == fault.Internal):
		return fmt.Sprintf("%s (%s: %v)", f.Message, f.Code, f.Cause)
	}
	return fmt.Sprintf("%s (%s)", f.Message, f.Code)
}

// configError is a configuration that nothing can be started with.
type configError struct{ problems []config.Problem }

func (e *configError) Error() string {
	return fmt.Sprintf("the configuration has %d problems", len(e.problems))
}

// usageError is a mistake in the command line.
type usageError struct{ text, command string }

func (e *usageError) Error() string { return e.text }

func newRootCommand() *cobra.Command {
	root := group("broker", "Sign in with the accounts people have; one issuer for all apps",
		newServeCommand(), newDevCommand(), newUserCommand(), newClientCommand(), newAPICommand(), newPolicyCommand(), newKeyCommand(), newAuditCommand(), newAdminCommand(), newTokenCommand(),
		newConfigCommand(), newVersionCommand())
	root.Version = version
	root.SetVersionTemplate("{{.Version}}\n")
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return &usageError{err.Error(), cmd.CommandPath()} })
	return root
}

// group is a command that only has commands below it.
func group(use, short string, below ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: cobra.ArbitraryArgs}
	cmd.SuggestionsMinimumDistance = 2
	cmd.AddCommand(below...)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			cmd.SetOut(cmd.ErrOrStderr()) // help that nobody asked for is no data
			_ = cmd.Help()
			return usageOf(cmd, "which command? Name one of those above")
		}
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			return usageOf(cmd, "unknown command %q; did you mean %s?", args[0], near[0])
		}
		return usageOf(cmd, "unknown command %q", args[0])
	}
	return cmd
}

func usageOf(cmd *cobra.Command, format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...), cmd.CommandPath()}
}

// arguments checks their number: the names in want, those in brackets may be left out.
func arguments(want ...string) cobra.PositionalArgs {
	least := len(slices.DeleteFunc(slices.Clone(want), func(w string) bool { return strings.HasPrefix(w, "[") }))
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usageOf(cmd, "%s is missing", want[len(args)])
		case len(args) > len(want):
			return usageOf(cmd, "%q is one argument too many, expected %d", args[len(want)], len(want))
		}
		return nil
	}
}

func newVersionCommand() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Print the version", Args: arguments(), RunE: func(cmd *cobra.Command, _ []string) error {
		_, err := fmt.Fprintln(cmd.OutOrStdout(), version)
		return err
	}}
}

// format is the flag -o.
type format string

const (
	formatTable format = "table"
	formatJSON  format = "json"
)

func (f *format) String() string { return string(*f) }
func (f *format) Type() string   { return "table|json" }

func (f *format) Set(s string) error {
	if *f = format(s); *f != formatTable && *f != formatJSON {
		return fmt.Errorf("%q, expected table or json", s)
	}
	return nil
}

func outputFlag(cmd *cobra.Command) *format {
	f := formatTable
	cmd.Flags().VarP(&f, "output", "o", "how to print: table or json")
	return &f
}

// print writes data: value as JSON, or the rows as a table.
func (f *format) print(w io.Writer, value any, head []string, rows [][]string) error {
	if *f == formatJSON {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(value)
	}
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	if head != nil {
		rows = append([][]string{head}, rows...)
	}
	for _, row := range rows {
		clean := make([]string, len(row))
		for i, cell := range row {
			clean[i] = oneLine(cell)
		}
		if _, err := fmt.Fprintln(t, strings.Join(clean, "\t")); err != nil {
			return err
		}
	}
	return t.Flush()
}

// oneLine keeps a name that an upstream gave from steering the terminal.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return '?'
		}
		return r
	}, s)
}
