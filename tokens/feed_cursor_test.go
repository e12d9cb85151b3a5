package tokens

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzCursor: what is read of a cursor is what would be written, and nothing that was not sent.
func FuzzCursor(f *testing.F) {
	if seeds, err := filepath.Glob("testdata/fuzz/FuzzCursor/*"); err != nil || len(seeds) == 0 {
		f.Fatalf("no seeds (%v)", err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c := parseCursor(text)
		if c.asOf < 0 || len(c.positions) > maxPositions || c.bits < 0 || c.bits > maxPageBits || c.page >= 1<<c.bits && c.bits > 0 {
			t.Fatalf("parseCursor(%q) = %+v", text, c)
		}
		if c.asOf == 0 {
			if diff := cmp.Diff(cursor{}, c, cmp.AllowUnexported(cursor{}, position{})); diff != "" {
				t.Errorf("parseCursor(%q) is none and says something (-want +got):\n%s", text, diff)
			}
			return
		}
		again := parseCursor(c.String())
		if diff := cmp.Diff(c, again, cmp.AllowUnexported(cursor{}, position{})); diff != "" {
			t.Errorf("%q is read back otherwise (-first +second):\n%s", text, diff)
		}
		moved := parseCursor(c.moved(c.asOf, "R", 7).String())
		if n, ok := moved.at("R"); !ok || n != 7 || len(moved.positions) > maxPositions {
			t.Errorf("%q moved is %+v", text, moved)
		}
	})
}
