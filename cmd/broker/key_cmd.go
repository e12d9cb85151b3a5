package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"example.com/broker/keys"
)

func newKeyCommand() *cobra.Command {
	t := &target{}
	cmd := group("key", "Signing keys: list, rotate", newKeyList(t), newKeyRotate(t))
	t.flags(cmd.PersistentFlags())
	return cmd
}

func newKeyList(t *target) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List the signing keys", Args: arguments()}
	f := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return t.with(cmd, func(ctx context.Context, c control) error { return askKeys(ctx, cmd, f, c, "key.list", struct{}{}) })
	}
	return cmd
}

func newKeyRotate(t *target) *cobra.Command {
	now := false
	cmd := &cobra.Command{
		Use: "rotate", Short: "Replace the signing keys", Args: arguments(),
		Long: "Publish a new signing key for each algorithm. It signs once every verifier had time to fetch it; what the old one signed stays good\n" +
			"until it expires. With --now it signs at once, for an emergency: verifiers that do not look for unknown keys refuse tokens meanwhile.",
	}
	cmd.Flags().BoolVar(&now, "now", false, "let the new keys sign at once")
	f := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return t.with(cmd, func(ctx context.Context, c control) error {
			return askKeys(ctx, cmd, f, c, "key.rotate", struct{ Now bool }{now})
		})
	}
	return cmd
}

func askKeys(ctx context.Context, cmd *cobra.Command, f *format, c control, verb string, in any) error {
	list, err := ask[[]keys.Info](ctx, c, verb, in)
	if err != nil {
		return err
	}
	if list == nil {
		list = []keys.Info{}
	}
	rows := make([][]string, len(list))
	for i, k := range list {
		rows[i] = []string{k.Alg, k.KID, string(k.State), moment(k.SignsFrom), moment(k.RetiredAt), moment(k.Until)}
	}
	return f.print(cmd.OutOrStdout(), list, []string{"ALG", "KID", "STATE", "SIGNS FROM", "RETIRED AT", "PUBLISHED UNTIL"}, rows)
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
