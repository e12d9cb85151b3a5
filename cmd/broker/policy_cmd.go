package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"example.com/broker/abac"
	"example.com/broker/internal/fault"
)

func newPolicyCommand() *cobra.Command {
	t := &target{}
	cmd := group("policy", "Policies: check, test and apply those of an application, list and delete them",
		newPolicyApply(t), newPolicyCheck(), newPolicyTest(t), newPolicyList(t), newPolicyDelete(t))
	t.flags(cmd.PersistentFlags())
	return cmd
}

// policySummary is what people are told of a set.
type policySummary struct {
	App       string `json:"app"`
	V         int64  `json:"v"`
	From      string `json:"from"`
	Policies  int    `json:"policies"`
	Changed   bool   `json:"changed,omitempty"`
	ChangedAt string `json:"changed_at,omitempty"`
	ChangedBy string `json:"changed_by,omitempty"`
}

func summary(s abac.Set, fixed bool) policySummary {
	out := policySummary{App: s.App, V: s.V, From: "store", Policies: len(s.Policies), ChangedBy: s.ChangedBy}
	switch {
	case fixed:
		out.From = "configuration"
	case s.V == 0:
		out.From = "built in"
	}
	if !s.ChangedAt.IsZero() {
		out.ChangedAt = s.ChangedAt.Format("2006-01-02T15:04:05Z07:00")
	}
	return out
}

func (p policySummary) row() []string {
	return []string{p.App, strconv.FormatInt(p.V, 10), p.From, strconv.Itoa(p.Policies), p.ChangedAt, p.ChangedBy}
}

var policyHead = []string{"APPLICATION", "VERSION", "FROM", "POLICIES", "CHANGED", "BY"}

// applyPolicies puts a set in the place of the stored one. One that is stored already is left as it is.
func applyPolicies(ctx context.Context, p *program, in abac.Set) (policySummary, error) {
	have, fixed, err := p.policies.Load(ctx, in.App)
	switch {
	case fault.Is(err, fault.NotFound):
	case err != nil && fault.CodeOf(err) != "policies_unusable":
		return policySummary{}, err
	case err != nil: // what is stored cannot be used: that is why it is replaced
		if have, err = p.stores.Policies.LoadPolicies(ctx, in.App); err != nil {
			return policySummary{}, err
		}
	}
	same := have.Schema == in.Schema && have.Entities == in.Entities && slices.EqualFunc(have.Policies, in.Policies, func(a, b abac.Policy) bool { return a.ID == b.ID && a.Text == b.Text })
	if have.V > 0 && !have.Removed && same {
		return summary(have, fixed), nil
	}
	in.V, in.Removed = have.V, false
	saved, err := p.policies.Save(ctx, in, commandLine)
	out := summary(saved, false)
	out.Changed = true
	return out, err
}

func listPolicies(ctx context.Context, p *program, _ struct{}) ([]policySummary, error) {
	apps, err := p.policies.Apps(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]policySummary, 0, len(apps))
	for _, app := range apps {
		s, fixed, err := p.policies.Load(ctx, app)
		if err != nil {
			return nil, err
		}
		out = append(out, summary(s, fixed))
	}
	return out, nil
}

// folderError is what is wrong in folders of policies.
type folderError struct {
	findings []abac.Finding
	code     int // to end with; 0 is exitFailed
}

func (e *folderError) Error() string {
	var text strings.Builder
	for _, f := range e.findings {
		fmt.Fprintf(&text, "%s  %s\n", f.Where, f.Text)
	}
	noun := "problems"
	if len(e.findings) == 1 {
		noun = "problem"
	}
	return fmt.Sprintf("%s%d %s.  Docs: docs/policies.md", text.String(), len(e.findings), noun)
}

// folder is the set of one application and where it was read from.
type folder struct {
	abac.Set
	dir    string
	engine *abac.Engine
}

// readPolicies reads the folder of one application, or of several, and compiles them.
func readPolicies(dir, app string) ([]folder, error) {
	whole, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	name := app
	if name == "" {
		name = filepath.Base(whole)
	}
	var out []folder
	one, err := abac.Read(os.DirFS(whole), ".", name)
	if err == nil {
		out = append(out, folder{Set: one, dir: dir})
	} else {
		all, below := abac.ReadAll(os.DirFS(whole), ".")
		if len(all) == 0 || app != "" {
			return nil, fmt.Errorf("%s: %w", dir, err)
		}
		if below != nil {
			return nil, fmt.Errorf("%s: %w", dir, below)
		}
		for _, name := range slices.Sorted(maps.Keys(all)) {
			out = append(out, folder{Set: all[name], dir: filepath.Join(dir, name)})
		}
	}
	return out, compileFolders(out)
}

// compileFolders makes the engines. The error lists what is wrong in all of them.
func compileFolders(list []folder) error {
	wrong := &folderError{}
	for i, f := range list {
		e, err := abac.Compile(f.Set)
		list[i].engine = e
		wrong.findings = append(wrong.findings, abac.Findings(f.dir, err)...)
	}
	if len(wrong.findings) > 0 {
		return wrong
	}
	return nil
}

func newPolicyApply(t *target) *cobra.Command {
	var app string
	cmd := &cobra.Command{
		Use: "apply DIR", Short: "Store the policies, the schema and the entities of a folder", Args: arguments("DIR"),
		Long: "Store the policies (*.cedar), the schema (" + abac.SchemaFile + ") and the entities (" + abac.EntitiesFile + ") of a folder as those of one application,\n" +
			"named after the folder, in the place of what it has. A folder that holds folders is read as one application each. Nothing is stored unless\n" +
			"everything fits its schema.",
		Example: "  broker policy apply examples/authzen/todo\n  broker policy apply ./policies --app shop",
	}
	cmd.Flags().StringVar(&app, "app", "", "name of the application (default: that of the folder)")
	f := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		sets, err := readPolicies(args[0], app)
		if err != nil {
			return err
		}
		return t.with(cmd, func(ctx context.Context, c control) error {
			var done []policySummary
			var rows [][]string
			for _, s := range sets {
				one, err := ask[policySummary](ctx, c, "policy.apply", s.Set)
				if err != nil {
					return err
				}
				done, rows = append(done, one), append(rows, one.row())
			}
			return f.print(cmd.OutOrStdout(), done, policyHead, rows)
		})
	}
	return cmd
}

func newPolicyCheck() *cobra.Command {
	var app string
	cmd := &cobra.Command{
		Use: "check DIR", Short: "Check a folder as apply does, and store nothing", Args: arguments("DIR"),
		Long: "Check the policies, the schema and the entities of a folder as apply does, and store nothing. What is wrong is listed on stderr, all of it,\n" +
			"each with file, line and column.",
		Example: "  broker policy check examples/authzen/todo",
	}
	cmd.Flags().StringVar(&app, "app", "", "name of the application (default: that of the folder)")
	f := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		sets, err := readPolicies(args[0], app)
		if err != nil {
			return err
		}
		var done []policySummary
		var rows [][]string
		for _, s := range sets {
			one := policySummary{App: s.App, From: "folder", Policies: len(s.Policies)}
			done, rows = append(done, one), append(rows, one.row())
		}
		return f.print(cmd.OutOrStdout(), done, policyHead, rows)
	}
	return cmd
}

func newPolicyList(t *target) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List the applications that have policies", Args: arguments()}
	f := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return t.with(cmd, func(ctx context.Context, c control) error {
			all, err := ask[[]policySummary](ctx, c, "policy.list", struct{}{})
			if err != nil {
				return err
			}
			rows := make([][]string, len(all))
			for i, one := range all {
				rows[i] = one.row()
			}
			return f.print(cmd.OutOrStdout(), all, policyHead, rows)
		})
	}
	return cmd
}

func removePolicies(ctx context.Context, p *program, in byID) (byID, error) {
	return in, p.policies.Remove(ctx, in.ID, abac.AnyVersion, commandLine)
}

func newPolicyDelete(t *target) *cobra.Command {
	cmd := &cobra.Command{
		Use: "delete APP", Short: "Take away what is stored of an application", Args: arguments("APP"),
		Long: "Take the stored policies, the schema and the entities of an application away, on every replica. broker goes back to the policies that it\n" +
			"comes with; any other application is gone, and who asks for its decisions is told so. What comes from policies.dir stays.",
		Example: "  broker policy delete shop",
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return t.with(cmd, func(ctx context.Context, c control) error {
			if _, err := ask[byID](ctx, c, "policy.delete", byID{args[0]}); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "the policies of %s are gone\n", args[0])
			return nil
		})
	}
	return cmd
}
