package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"example.com/broker/clients"
	"example.com/broker/keys"
	"example.com/broker/oauth"
)

func newAPICommand() *cobra.Command {
	t := &target{}
	cmd := group("api", "APIs that tokens are issued for: register, list, delete", newAPICreate(t), newAPIList(t), newDelete(t, "api", "Take an API away that no application may ask for"))
	t.flags(cmd.PersistentFlags())
	return cmd
}

// apiView is an API in words and seconds.
type apiView struct {
	ID       string   `json:"id"`
	Audience string   `json:"audience"`
	Scopes   []string `json:"scopes"`
	Roles    []string `json:"roles"`
	Alg      string   `json:"alg"`
	Typ      string   `json:"typ"`
	TTL      int64    `json:"ttl"`
	ReadOnly bool     `json:"read_only"`
}

func viewAPI(a clients.API) apiView {
	return apiView{a.ID, a.Audience, append([]string{}, a.Scopes...), append([]string{}, a.Roles...), a.Alg, a.Typ, int64(a.TTL / time.Second), a.Fixed}
}

func (a apiView) row() []string {
	life := "usual"
	if a.TTL > 0 {
		life = (time.Duration(a.TTL) * time.Second).String()
	}
	return []string{a.ID, a.Audience, strings.Join(a.Scopes, " "), a.Alg, life, from(a.ReadOnly)}
}

var apiColumns = []string{"API", "AUDIENCE", "SCOPES", "SIGNED WITH", "LIFE", "FROM"}

func newAPICreate(t *target) *cobra.Command {
	a := clients.API{}
	var scopes []string
	cmd := &cobra.Command{
		Use: "create ID", Short: "Register an API", Args: arguments("ID"),
		Long: "Register an API. Its tokens carry the audience; applications that list the API ask for them with the parameter resource.",
		Example: "  broker api create orders --audience https://orders.example.com --scope orders:read\n" +
			"  broker client create web --redirect http://localhost:5173/callback --api orders",
	}
	flags := cmd.Flags()
	flags.StringVar(&a.Audience, "audience", "", "aud of its tokens: an absolute URI of the API's own")
	flags.StringArrayVar(&scopes, "scope", nil, "scope that applications may ask for; may be repeated")
	flags.StringArrayVar(&a.Roles, "role", nil, "role its tokens may name (default: all); may be repeated")
	flags.StringVar(&a.Alg, "alg", keys.ES256, "ES256, RS256 or EdDSA")
	flags.StringVar(&a.Typ, "typ", oauth.TypAccessToken, "at+jwt, or JWT for verifiers that know no other")
	flags.DurationVar(&a.TTL, "ttl", 0, "life of its tokens (default: tokens.access_ttl)")
	f := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		a.ID, a.Scopes = args[0], scopes
		return t.with(cmd, func(ctx context.Context, c control) error {
			made, err := ask[clients.API](ctx, c, "api.create", a)
			if err != nil {
				return err
			}
			v := viewAPI(made)
			rows := [][]string{}
			for i, cell := range v.row() {
				rows = append(rows, []string{strings.ToLower(apiColumns[i]), cell})
			}
			return f.print(cmd.OutOrStdout(), v, nil, rows)
		})
	}
	return cmd
}

func newAPIList(t *target) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List all APIs, those of the configuration too", Args: arguments()}
	f := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return t.with(cmd, func(ctx context.Context, c control) error {
			all, err := ask[[]clients.API](ctx, c, "api.list", struct{}{})
			if err != nil {
				return err
			}
			views, rows := make([]apiView, len(all)), make([][]string, len(all))
			for i, a := range all {
				views[i] = viewAPI(a)
				rows[i] = views[i].row()
			}
			return f.print(cmd.OutOrStdout(), views, apiColumns, rows)
		})
	}
	return cmd
}
