package changes_test

import (
	"context"
	"testing"
	"time"

	"example.com/broker/internal/changes"
	"example.com/broker/internal/fault"
)

// sheet is a document, and how often it is swapped before somebody else stops being first.
type sheet struct {
	V  int64
	By string
	At time.Time
}

func document(swaps *int, others int) changes.Document[sheet] {
	return changes.Document[sheet]{
		Load:     func(context.Context) (sheet, error) { return sheet{V: int64(*swaps)}, nil },
		Announce: func(context.Context, int64) error { return nil },
		Swap: func(context.Context, sheet) error {
			if *swaps++; *swaps <= others {
				return fault.New(fault.Conflict, "sheet_changed", "somebody else was first")
			}
			return nil
		},
		Stamp: func(s *sheet) (*int64, *string, *time.Time) { return &s.V, &s.By, &s.At },
	}
}

func TestAChangeGivesWaySoOftenAndNoOftener(t *testing.T) {
	for _, row := range []struct {
		rule          string
		others, swaps int
		kind          fault.Kind
	}{
		{"others were first all but the last time", changes.Attempts - 1, changes.Attempts, fault.Internal},
		{"others are first every time", 1 << 20, changes.Attempts, fault.Unavailable},
	} {
		swaps, asked := 0, 0
		_, err := document(&swaps, row.others).Change(t.Context(), changes.Edit[sheet]{
			Code: "sheet_changed", What: "The sheet was", At: epoch, Do: func(*sheet) error { asked++; return nil },
		})
		if swaps != row.swaps || asked != row.swaps || fault.KindOf(err) != row.kind || (err == nil) != (row.kind == fault.Internal) {
			t.Errorf("%s: %d edits, %d swaps, %v; want %d and the kind %v", row.rule, asked, swaps, err, row.swaps, row.kind)
		}
	}
}
