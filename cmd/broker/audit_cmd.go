package main

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/spf13/cobra"

	"example.com/broker/audit"
	"example.com/broker/internal/fault"
)

func newAuditCommand() *cobra.Command {
	t := &target{}
	cmd := group("audit", "The audit log: list, verify", newAuditList(t), newAuditVerify(t))
	t.flags(cmd.PersistentFlags())
	return cmd
}

// auditPage asks for events that are older than the one with the id Before, "" for the newest.
type auditPage struct {
	Before string
	Limit  int
}

// auditPerCall is how many events one call brings.
const auditPerCall = 1000

func listAudit(ctx context.Context, p *program, in auditPage) ([]audit.Event, error) {
	return p.stores.Audit.ListAudit(ctx, in.Before, min(in.Limit, auditPerCall))
}

// eachEvent calls do with the events before an id, newest first, at most limit.
func eachEvent(ctx context.Context, c control, before string, limit int, do func(audit.Event)) error {
	for limit > 0 {
		page, err := ask[[]audit.Event](ctx, c, "audit.list", auditPage{before, min(limit, auditPerCall)})
		if err != nil {
			return err
		}
		for _, e := range page {
			do(e)
		}
		if len(page) < min(limit, auditPerCall) {
			return nil
		}
		before, limit = page[len(page)-1].ID, limit-len(page)
	}
	return nil
}

func newAuditList(t *target) *cobra.Command {
	var before string
	limit := 50
	cmd := &cobra.Command{
		Use: "list", Short: "List what was done and denied, newest first", Args: arguments(),
		Long: "List audit events, newest first. The next page is before the last ID of this one. With -o json every field is printed.",
	}
	cmd.Flags().StringVar(&before, "before", "", "only events older than the one with this ID")
	cmd.Flags().IntVar(&limit, "limit", limit, "how many at most")
	f := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if limit < 1 {
			return usageOf(cmd, "--limit %d, expected 1 or more", limit)
		}
		return t.with(cmd, func(ctx context.Context, c control) error {
			events, rows := []audit.Event{}, [][]string{}
			err := eachEvent(ctx, c, before, limit, func(e audit.Event) {
				events = append(events, e)
				rows = append(rows, []string{e.At.UTC().Format(time.RFC3339), e.Action, e.Outcome, e.Actor, e.Target, e.ID})
			})
			if err != nil {
				return err
			}
			return f.print(cmd.OutOrStdout(), events, []string{"TIME", "ACTION", "OUTCOME", "ACTOR", "TARGET", "ID"}, rows)
		})
	}
	return cmd
}

// verdict is what a look through the audit log found.
type verdict struct {
	Events int           `json:"events"`
	Chains int           `json:"chains"`
	Oldest time.Time     `json:"oldest,omitzero"`
	Newest time.Time     `json:"newest,omitzero"`
	Broken []audit.Event `json:"broken"`
}

func newAuditVerify(t *target) *cobra.Command {
	cmd := &cobra.Command{
		Use: "verify", Short: "Check that no audit event was altered, added or taken out", Args: arguments(),
		Long: "Follow the hash chains of the audit log, one for each start of a broker, from the newest event to the oldest. The exit code is 1 where an\n" +
			"event does not fit the one before it: one of the two was altered, or one was added or taken out between them.\n\n" +
			"What it cannot tell is in docs/adr/0003-audit-beside-the-commit.md: among others that the newest events of a chain are missing, and those\n" +
			"that are older than all others, which audit.keep removes.",
	}
	f := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return t.with(cmd, func(ctx context.Context, c control) error {
			var check audit.Check
			if err := eachEvent(ctx, c, "", math.MaxInt, check.Add); err != nil {
				return err
			}
			v := verdict{check.Events, check.Chains, check.Oldest, check.Newest, append([]audit.Event{}, check.Broken()...)}
			return v.print(cmd, f)
		})
	}
	return cmd
}

// print shows the verdict; the error is fault.Conflict "audit_broken" where something does not fit.
func (v verdict) print(cmd *cobra.Command, f *format) error {
	rows := [][]string{{"events", fmt.Sprint(v.Events)}, {"chains", fmt.Sprint(v.Chains)}, {"oldest", moment(v.Oldest)}, {"newest", moment(v.Newest)}}
	for _, e := range v.Broken {
		rows = append(rows, []string{"broken at", e.ID + " " + e.At.UTC().Format(time.RFC3339) + " " + e.Action})
	}
	if err := f.print(cmd.OutOrStdout(), v, nil, rows); err != nil || len(v.Broken) == 0 {
		return err
	}
	return fault.New(fault.Conflict, "audit_broken", "%d of %d audit events do not fit the one before them, first %s of %s: it or the one before it "+
		"was altered, or one between them was added or taken out.", len(v.Broken), v.Events, v.Broken[0].ID, moment(v.Broken[0].At))
}
