package tokens

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const (
	// maxCursor bounds what is read of a cursor, maxPositions how many replicas it remembers.
	maxCursor    = 512
	maxPositions = 8
	// maxPageBits bounds the pages of a snapshot to 65,536.
	maxPageBits = 16
)

// cursor says how far somebody has read the feed: `as_of`, then `.replica:position` for the replicas met last, the latest first, and in
// the middle of a snapshot `~page-bits`. To the replicas it names it is exact. To any other it is a time, and what was learned around it is
// sent again. The zero value has read nothing.
type cursor struct {
	asOf      int64 // Unix milliseconds
	positions []position
	// page is the page of a snapshot to come; there are 1<<bits, 0 bits stand for no snapshot.
	page uint64
	bits int
}

// position is the place in what one replica learned, up to which it was read.
type position struct {
	replica string
	next    uint64
}

// parseCursor reads a cursor. Anything that is none has read nothing.
func parseCursor(text string) cursor {
	rest, paging, inside := strings.Cut(text, "~")
	parts := strings.Split(rest, ".")
	var c cursor
	var err error
	if c.asOf, err = strconv.ParseInt(parts[0], 10, 64); err != nil || c.asOf <= 0 || len(parts) > maxPositions+1 {
		return cursor{}
	}
	for _, part := range parts[1:] {
		replica, n, _ := strings.Cut(part, ":")
		next, err := strconv.ParseUint(n, 10, 64)
		if err != nil || replica == "" {
			return cursor{}
		}
		c.positions = append(c.positions, position{replica, next})
	}
	if !inside {
		return c
	}
	page, bits, _ := strings.Cut(paging, "-")
	var failed error
	c.page, err = strconv.ParseUint(page, 10, maxPageBits)
	c.bits, failed = strconv.Atoi(bits)
	if err != nil || failed != nil || c.bits < 1 || c.bits > maxPageBits || c.page >= 1<<c.bits {
		return cursor{}
	}
	return c
}

func (c cursor) String() string {
	var b strings.Builder
	b.WriteString(strconv.FormatInt(c.asOf, 10))
	for _, p := range c.positions {
		fmt.Fprintf(&b, ".%s:%d", p.replica, p.next)
	}
	if c.bits > 0 {
		fmt.Fprintf(&b, "~%d-%d", c.page, c.bits)
	}
	return b.String()
}

// at returns the position read up to at a replica.
func (c cursor) at(replica string) (uint64, bool) {
	for _, p := range c.positions {
		if p.replica == replica {
			return p.next, true
		}
	}
	return 0, false
}

// moved is the cursor after a replica was read up to a position, as of a time; no page is to come.
func (c cursor) moved(asOf int64, replica string, next uint64) cursor {
	others := slices.DeleteFunc(slices.Clone(c.positions), func(p position) bool { return p.replica == replica })
	return cursor{asOf: asOf, positions: append([]position{{replica, next}}, others[:min(len(others), maxPositions-1)]...)}
}
