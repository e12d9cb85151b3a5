package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"example.com/broker/keys"
)

func newKeyCommand() *cobra.Command {
	t := &target{}
	cmd := group("key", "Signing keys: list, rotate, revoke", newKeyList(t), newKeyRotate(t), newKeyRevoke(t))
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
	var in rotation
	cmd := &cobra.Command{
		Use: "rotate", Short: "Replace the signing keys", Args: arguments(),
		Long: "Publish a new signing key for each algorithm. It signs once every verifier had time to fetch it; what the old one signed stays good\n" +
			"until it expires. With --now it signs at once, for an emergency: verifiers that do not look for unknown keys refuse tokens meanwhile.\n\n" +
			"With --encryption-key-lost a new key that signs at once takes the place of each that no encryption key opens, so that the broker\n" +
			"starts again; what the old one signed stays good until it expires. Make sure first that keys.encryption is not merely mistyped, and that\n" +
			"no replica runs with the old encryption key: it cannot open the new signing keys.",
	}
	cmd.Flags().BoolVar(&in.Now, "now", false, "let the new keys sign at once")
	cmd.Flags().BoolVar(&in.Lost, "encryption-key-lost", false, "replace the keys that no encryption key opens")
	f := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		t.sealed = in.Lost
		return t.with(cmd, func(ctx context.Context, c control) error { return askKeys(ctx, cmd, f, c, "key.rotate", in) })
	}
	return cmd
}

func newKeyRevoke(t *target) *cobra.Command {
	cmd := &cobra.Command{
		Use: "revoke KID", Short: "Take a signing key back: nothing it signed is good any more", Args: arguments("KID"),
		Long: "Take a stolen signing key out of the key set, and refuse whatever it signed: here at once, at every replica and every API that follows\n" +
			"the revocations within two seconds, at an API that keeps the key set alone once it fetches it anew. If it is the one that signs, a new\n" +
			"one signs first. People stay signed in, and apps get new tokens by their refresh tokens.\n\n" +
			"A KID that begins with - goes behind --, as in: broker key revoke -- -f3k…",
	}
	f := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return t.with(cmd, func(ctx context.Context, c control) error {
			out, err := ask[revokedKey](ctx, c, "key.revoke", byID{args[0]})
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "key %s is revoked: nothing it signed is good any more\n", args[0])
			if out.Revoked.State == keys.Active {
				fmt.Fprintln(cmd.ErrOrStderr(), "it was the one that signs: a new one signs from now on")
			}
			return f.print(cmd.OutOrStdout(), out, keyHead, keyRows(out.Keys))
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
	return f.print(cmd.OutOrStdout(), list, keyHead, keyRows(list))
}

var keyHead = []string{"ALG", "KID", "STATE", "SIGNS FROM", "RETIRED AT", "PUBLISHED UNTIL"}

func keyRows(list []keys.Info) [][]string {
	rows := make([][]string, len(list))
	for i, k := range list {
		rows[i] = []string{k.Alg, k.KID, string(k.State), moment(k.SignsFrom), moment(k.RetiredAt), moment(k.Until)}
	}
	return rows
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
