package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"example.com/broker/internal/secret"
	"example.com/broker/rbac"
)

// generatedBytes of chance are in a password that is made here: 24 characters.
const generatedBytes = 18

func newUserCommand() *cobra.Command {
	t := &target{}
	role := "ROLE (" + strings.Join(rbac.Known(), ", ") + ")"
	cmd := group("user", "People: make, list, grant, disable",
		newUserCreate(t), newUserList(t),
		newUserGrant(t, role),
		newUserChange(t, "revoke", "Take a role from a user", role),
		explained(newUserChange(t, "disable", "Close every door to a user, and sign them out everywhere", ""),
			"Close every door to a user, and end for good whatever they hold: sessions, tokens and API keys."),
		explained(newUserChange(t, "enable", "Let a disabled user in again", ""),
			"Let a disabled user in again. What disabling ended stays ended: they sign in anew, and make new API keys for what ran on the old ones."),
		newUserSetPassword(t),
		newUserChange(t, "unlock", "Ask for a user's password again, after too many wrong ones", ""))
	t.flags(cmd.PersistentFlags())
	return cmd
}

// userSecret is a user with a password that is shown once.
type userSecret struct {
	userView
	Password string `json:"password,omitempty"`
}

func newUserCreate(t *target) *cobra.Command {
	var d userDraft
	var unverified, stdin bool
	cmd := &cobra.Command{
		Use: "create [USERNAME]", Short: "Make a user", Args: arguments("[USERNAME]"),
		Long: "Make a user who signs in with a password, which is generated and printed once unless it is given on standard input; or, with\n" +
			"--claimable, one whom the first sign-in with the verified address may take over.",
	}
	flags := cmd.Flags()
	flags.StringVar(&d.Username, "username", "", "login name")
	flags.StringVar(&d.Email, "email", "", "e-mail address, which you vouch for")
	flags.BoolVar(&unverified, "email-unverified", false, "do not vouch for the address: the account loses it, and its password, to whoever proves the mailbox")
	flags.StringVar(&d.Name, "name", "", "name for people")
	flags.StringArrayVar(&d.Roles, "role", nil, "role to give, may be repeated (default: registration.default_role)")
	flags.BoolVar(&d.Claimable, "claimable", false, "no password: the first sign-in with the address takes the account")
	flags.BoolVar(&stdin, "password-stdin", false, "read the password from standard input")
	f := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 && d.Username != "" && d.Username != args[0] {
			return usageOf(cmd, "the login name is given twice: %q and --username %q", args[0], d.Username)
		} else if len(args) == 1 {
			d.Username = args[0]
		}
		d.EmailVerified = d.Email != "" && !unverified
		shown := ""
		switch {
		case d.Claimable && stdin:
			return usageOf(cmd, "--claimable users have no password: leave out --password-stdin")
		case d.Claimable && d.Email == "":
			return usageOf(cmd, "--claimable needs --email")
		case d.Username == "" && d.Email == "":
			return usageOf(cmd, "the login name or --email is missing")
		case d.Claimable:
		case stdin:
			var err error
			if d.Password, err = readPassword(cmd); err != nil {
				return err
			}
		default:
			shown = secret.New(generatedBytes).Reveal()
			d.Password = shown
		}
		return t.with(cmd, func(ctx context.Context, c control) error {
			u, err := ask[userView](ctx, c, "user.create", d)
			if err != nil {
				return err
			}
			return printUser(cmd, f, u, shown)
		})
	}
	return cmd
}

func printUser(cmd *cobra.Command, f *format, u userView, password string) error {
	rows := [][]string{{"id", u.ID}}
	for _, r := range [][2]string{
		{"username", u.Username}, {"email", u.Email}, {"name", u.Name}, {"status", string(u.Status)}, {"roles", strings.Join(u.Roles, ",")}, {"password", password},
	} {
		if r[1] != "" {
			rows = append(rows, []string{r[0], r[1]})
		}
	}
	for _, role := range slices.Sorted(maps.Keys(u.Ends)) {
		rows = append(rows, []string{role + " until", u.Ends[role].UTC().Format(time.RFC3339)})
	}
	if password != "" {
		fmt.Fprintln(cmd.ErrOrStderr(), "the password is shown only now")
	}
	return f.print(cmd.OutOrStdout(), userSecret{u, password}, nil, rows)
}

// usersPerCall bounds one answer of the socket.
const usersPerCall = 500

func newUserList(t *target) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List all users", Args: arguments()}
	f := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return t.with(cmd, func(ctx context.Context, c control) error {
			all := []userView{}
			for after := ""; ; {
				list, err := ask[[]userView](ctx, c, "user.list", userPage{after, usersPerCall})
				if err != nil {
					return err
				}
				all = append(all, list...)
				if len(list) < usersPerCall {
					break
				}
				after = list[len(list)-1].ID
			}
			rows := make([][]string, len(all))
			for i, u := range all {
				rows[i] = []string{u.ID, u.Username, u.Email, u.Name, string(u.Status), strings.Join(u.Roles, ","), strings.Join(u.Ways, ",")}
			}
			return f.print(cmd.OutOrStdout(), all, []string{"ID", "USERNAME", "EMAIL", "NAME", "STATUS", "ROLES", "WAYS IN"}, rows)
		})
	}
	return cmd
}

// explained gives a verb more words than fit into one line of a list.
func explained(cmd *cobra.Command, long string) *cobra.Command {
	cmd.Long = long
	return cmd
}

// newUserChange is a verb with a user and perhaps a second argument.
func newUserChange(t *target, verb, short, second string) *cobra.Command {
	want := []string{"USER (id, address or login name)"}
	use := verb + " USER"
	if second != "" {
		want = append(want, second)
		use += " ROLE"
	}
	cmd := &cobra.Command{Use: use, Short: short, Args: arguments(want...)}
	f := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return t.with(cmd, func(ctx context.Context, c control) error {
			u, err := ask[userView](ctx, c, "user."+verb, userArgument{args[0], strings.Join(args[1:], "")})
			if err != nil {
				return err
			}
			return printUser(cmd, f, u, "")
		})
	}
	return cmd
}

func newUserGrant(t *target, role string) *cobra.Command {
	cmd := &cobra.Command{
		Use: "grant USER ROLE", Short: "Give a user a role, for good or until a time", Args: arguments("USER (id, address or login name)", role),
		Long: "Give a user a role. With --until it ends by itself; given again without, it has no end. An admin until a time is none who keeps the\n" +
			"last admin from being removed.",
		Example: "  broker user grant jo editor\n  broker user grant jo editor --until 2027-01-31",
	}
	text := cmd.Flags().String("until", "", "when the role ends: the last day that has it, in UTC, or a time such as 2027-01-31T12:00:00Z")
	f := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		in := grant{Who: args[0], Role: args[1]}
		if *text != "" {
			var err error
			if in.Until, err = endOf(*text); err != nil {
				return usageOf(cmd, "--until is %q, expected a day such as 2027-01-31 or a time such as 2027-01-31T12:00:00Z", *text)
			}
		}
		return t.with(cmd, func(ctx context.Context, c control) error {
			u, err := ask[userView](ctx, c, "user.grant", in)
			if err != nil {
				return err
			}
			return printUser(cmd, f, u, "")
		})
	}
	return cmd
}

// endOf is a time, or the end of a day in UTC.
func endOf(text string) (time.Time, error) {
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day.AddDate(0, 0, 1), nil
	}
	return time.Parse(time.RFC3339, text)
}

func newUserSetPassword(t *target) *cobra.Command {
	var stdin, generate bool
	cmd := &cobra.Command{
		Use: "set-password USER", Short: "Give a user a new password, and sign them out everywhere", Args: arguments("USER (id, address or login name)"),
		Long: "Give a user a new password: asked for at a terminal, read from standard input, or generated and printed once. Who knew the old\none is signed out.",
	}
	cmd.Flags().BoolVar(&stdin, "password-stdin", false, "read the password from standard input")
	cmd.Flags().BoolVar(&generate, "generate", false, "generate the password and print it once")
	f := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if stdin && generate {
			return usageOf(cmd, "--password-stdin and --generate exclude each other")
		}
		password, shown := "", ""
		if generate {
			shown = secret.New(generatedBytes).Reveal()
			password = shown
		} else {
			if !stdin && !isTerminal(cmd.InOrStdin()) {
				return usageOf(cmd, "standard input is no terminal: add --password-stdin or --generate")
			}
			var err error
			if password, err = readPassword(cmd); err != nil {
				return err
			}
		}
		return t.with(cmd, func(ctx context.Context, c control) error {
			u, err := ask[userView](ctx, c, "user.set-password", userArgument{args[0], password})
			if err != nil {
				return err
			}
			return printUser(cmd, f, u, shown)
		})
	}
	return cmd
}

// readPassword asks twice at a terminal; otherwise it takes the first line of standard input.
func readPassword(cmd *cobra.Command) (string, error) {
	in := cmd.InOrStdin()
	if f, ok := in.(*os.File); ok && isTerminal(f) {
		first, err := prompt(cmd, f, "new password: ")
		if err != nil {
			return "", err
		}
		second, err := prompt(cmd, f, "once more: ")
		if err == nil && first != second {
			err = errors.New("the two passwords differ: nothing was changed")
		}
		return first, err
	}
	line, err := bufio.NewReader(io.LimitReader(in, 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the password: %w", err)
	}
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return "", usageOf(cmd, "standard input holds no password")
	}
	return line, nil
}

func prompt(cmd *cobra.Command, f *os.File, text string) (string, error) {
	fmt.Fprint(cmd.ErrOrStderr(), text)
	b, err := term.ReadPassword(int(f.Fd()))
	fmt.Fprintln(cmd.ErrOrStderr())
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return string(b), nil
}
