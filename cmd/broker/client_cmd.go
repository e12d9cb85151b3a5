package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"example.com/broker/clients"
	"example.com/broker/oauth"
)

func newClientCommand() *cobra.Command {
	t := &target{}
	cmd := group("client", "Applications: register, list, new secrets, switch off, delete",
		newClientCreate(t), newClientList(t), newClientRotate(t),
		newClientSwitch(t, "disable", "Switch an application off; what it was issued ends at once"),
		newClientSwitch(t, "enable", "Switch an application on again; people sign in to it anew"),
		newDelete(t, "client", "Take an application away; what it was issued ends at once"))
	t.flags(cmd.PersistentFlags())
	return cmd
}

// kindOfApp is how an application signs people in, and what that means for its registration.
type kindOfApp struct {
	method string
	grants []string
}

var (
	interactive = []string{oauth.GrantAuthorizationCode, oauth.GrantRefreshToken}
	kindsOfApp  = map[string]kindOfApp{
		"spa":     {oauth.AuthNone, interactive},
		"native":  {oauth.AuthNone, interactive},
		"web":     {oauth.AuthClientSecretBasic, interactive},
		"service": {oauth.AuthClientSecretBasic, []string{oauth.GrantClientCredentials}},
	}
)

func newClientCreate(t *target) *cobra.Command {
	var c clients.Client
	var kind, method string
	var scopes []string
	cmd := &cobra.Command{
		Use: "create ID", Short: "Register an application", Args: arguments("ID"),
		Long: "Register an application. The type says whether it can keep a secret: spa and native are public and use PKCE, web and service get a\n" +
			"secret, which is printed once.",
		Example: "  broker client create web --redirect http://localhost:5173/callback\n  broker client create reports --type service --api orders",
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&c.RedirectURIs, "redirect", nil, "redirect address, in full; may be repeated")
	flags.StringVar(&c.Name, "name", "", "name for people")
	flags.StringVar(&kind, "type", "spa", "spa, native, web or service")
	flags.BoolVar(&c.FirstParty, "first-party", false, "an app of your own: no consent page")
	flags.StringArrayVar(&c.GrantTypes, "grant", nil, "grant type, instead of those of the type; may be repeated")
	flags.StringVar(&method, "auth-method", "", "client_secret_basic or client_secret_post (default of web and service: client_secret_basic)")
	flags.StringArrayVar(&c.APIs, "api", nil, "id of an API that the app may ask for; may be repeated")
	flags.StringVar(&c.DefaultAPI, "default-api", "", "API that is meant where the app asks for none")
	flags.StringArrayVar(&scopes, "scope", nil, "scope the app may ask for (default: those of OpenID and of its APIs); may be repeated")
	flags.StringArrayVar(&c.PostLogoutRedirectURIs, "post-logout", nil, "address to return to after sign-out; may be repeated")
	flags.StringArrayVar(&c.Origins, "origin", nil, "CORS origin (default: those of the redirect addresses); may be repeated")
	f := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		k, ok := kindsOfApp[kind]
		if !ok {
			return usageOf(cmd, "--type %q, expected one of %s", kind, strings.Join(slices.Sorted(maps.Keys(kindsOfApp)), ", "))
		}
		if method != "" && k.method == oauth.AuthNone {
			return usageOf(cmd, "--auth-method is for apps that keep a secret: add --type web or --type service")
		}
		c.ID, c.AuthMethod, c.Scopes = args[0], cmp.Or(method, k.method), scopes
		if c.GrantTypes == nil {
			c.GrantTypes = k.grants
		}
		return t.with(cmd, func(ctx context.Context, ctl control) error {
			made, err := ask[clientAndSecret](ctx, ctl, "client.create", c)
			if err != nil {
				return err
			}
			return printClient(cmd, f, made)
		})
	}
	return cmd
}

func printClient(cmd *cobra.Command, f *format, c clientAndSecret) error {
	rows := [][]string{{"client_id", c.ID}}
	if c.Secret != "" {
		rows = append(rows, []string{"client_secret", c.Secret})
		fmt.Fprintln(cmd.ErrOrStderr(), "the secret is shown only now")
	}
	rows = append(rows, []string{"token_endpoint_auth_method", c.AuthMethod}, []string{"grant_types", strings.Join(c.GrantTypes, ",")})
	for _, u := range c.RedirectURIs {
		rows = append(rows, []string{"redirect_uri", u})
	}
	return f.print(cmd.OutOrStdout(), c, nil, rows)
}

func newClientList(t *target) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List all applications, those of the configuration too", Args: arguments()}
	f := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return t.with(cmd, func(ctx context.Context, c control) error {
			all, err := ask[[]clients.Client](ctx, c, "client.list", struct{}{})
			if err != nil {
				return err
			}
			if all == nil {
				all = []clients.Client{}
			}
			rows := make([][]string, len(all))
			for i, a := range all {
				rows[i] = []string{a.ID, a.Name, a.AuthMethod, strings.Join(a.GrantTypes, ","), stateOf(a), from(a.V == 0)}
			}
			return f.print(cmd.OutOrStdout(), all, []string{"CLIENT ID", "NAME", "AUTHENTICATION", "GRANTS", "STATE", "FROM"}, rows)
		})
	}
	return cmd
}

func newClientRotate(t *target) *cobra.Command {
	cmd := &cobra.Command{
		Use: "rotate-secret ID", Short: "Give an application a new secret; the old one works for a day", Args: arguments("ID"),
	}
	f := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return t.with(cmd, func(ctx context.Context, c control) error {
			changed, err := ask[clientAndSecret](ctx, c, "client.rotate-secret", byID{args[0]})
			if err != nil {
				return err
			}
			return printClient(cmd, f, changed)
		})
	}
	return cmd
}

func stateOf(c clients.Client) string {
	if c.Disabled {
		return "disabled"
	}
	return "enabled"
}

// from says where a client or an API is defined.
func from(configuration bool) string {
	if configuration {
		return "configuration"
	}
	return "store"
}

func newClientSwitch(t *target, word, short string) *cobra.Command {
	cmd := &cobra.Command{Use: word + " ID", Short: short, Args: arguments("ID")}
	f := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return t.with(cmd, func(ctx context.Context, ctl control) error {
			c, err := ask[clients.Client](ctx, ctl, "client."+word, byID{args[0]})
			if err != nil {
				return err
			}
			return f.print(cmd.OutOrStdout(), c, nil, [][]string{{"client_id", c.ID}, {"state", stateOf(c)}})
		})
	}
	return cmd
}

// newDelete takes a client or an API away.
func newDelete(t *target, noun, short string) *cobra.Command {
	cmd := &cobra.Command{Use: "delete ID", Short: short, Args: arguments("ID")}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return t.with(cmd, func(ctx context.Context, c control) error {
			if _, err := ask[byID](ctx, c, noun+".delete", byID{args[0]}); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%s %s is gone\n", noun, args[0])
			return nil
		})
	}
	return cmd
}
