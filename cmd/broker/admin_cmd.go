package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"example.com/broker/internal/secret"
)

// firstAdmin is the login name of the admin who is made where no user is named.
const firstAdmin = "admin"

func newAdminCommand() *cobra.Command {
	t := &target{}
	cmd := group("admin", "The first admin", newAdminBootstrap(t))
	t.flags(cmd.PersistentFlags())
	return cmd
}

func newAdminBootstrap(t *target) *cobra.Command {
	cmd := &cobra.Command{
		Use: "bootstrap [USER]", Short: "Make a user an admin, or make the first one", Args: arguments("[USER]"),
		Long: "Make an existing user (by id, address or login name) an admin. While there is no admin at all, a user who does not exist is made, with a\n" +
			"generated password that is printed once; without a name it is " + firstAdmin + ".",
	}
	f := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		who := firstAdmin
		if len(args) > 0 {
			who = args[0]
		}
		password := secret.New(generatedBytes).Reveal()
		return t.with(cmd, func(ctx context.Context, c control) error {
			u, err := ask[bootstrapped](ctx, c, "admin.bootstrap", bootstrap{who, password})
			if err != nil {
				return err
			}
			if !u.Created {
				password = ""
				fmt.Fprintln(cmd.ErrOrStderr(), "the user is an admin now; nobody was made")
			}
			return printUser(cmd, f, u.userView, password)
		})
	}
	return cmd
}
