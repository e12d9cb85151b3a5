package fingerprints

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
)

const (
	idBytes     = 8
	numberBytes = 4
)

// Group is a part of the feed: the fingerprints of one kind that may be forgotten by the same end.
type Group struct {
	Kind string `json:"kind"`
	// End is a Unix time in seconds, 0 for never.
	End int64 `json:"end,omitempty"`
	// IDs are the fingerprints, eight bytes each, Numbers the numbers of the numbered kinds in the same order, four bytes each: big-endian,
	// in unpadded base64url.
	IDs     string `json:"ids"`
	Numbers string `json:"numbers,omitempty"`
}

// Groups collects entries into groups. The zero value is empty.
type Groups struct{ list map[groupID]*blobs }

type groupID struct {
	kind string
	end  int64
}

type blobs struct{ ids, numbers []byte }

// Add adds an entry of a kind.
func (g *Groups) Add(kind string, e Entry) {
	if g.list == nil {
		g.list = map[groupID]*blobs{}
	}
	id := groupID{kind, e.End}
	b := g.list[id]
	if b == nil {
		b = &blobs{}
		g.list[id] = b
	}
	b.ids = binary.BigEndian.AppendUint64(b.ids, e.Fingerprint)
	if Numbered(kind) {
		b.numbers = binary.BigEndian.AppendUint32(b.numbers, e.Number)
	}
}

// Encode returns the groups, by kind and end.
func (g *Groups) Encode() []Group {
	out := make([]Group, 0, len(g.list))
	for id, b := range g.list {
		end := id.end
		if end == Forever {
			end = 0
		}
		out = append(out, Group{id.kind, end, base64.RawURLEncoding.EncodeToString(b.ids), base64.RawURLEncoding.EncodeToString(b.numbers)})
	}
	slices.SortFunc(out, func(a, b Group) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.End, b.End)) })
	return out
}

// Decode returns the entries of a group. The error says which part of it is malformed.
func (g Group) Decode() ([]Entry, error) {
	ids, err := base64.RawURLEncoding.DecodeString(g.IDs)
	if err != nil || len(ids)%idBytes != 0 {
		return nil, fmt.Errorf("the ids of %.20q are not whole fingerprints in base64url", g.Kind)
	}
	n := len(ids) / idBytes
	var numbers []byte
	if Numbered(g.Kind) {
		if numbers, err = base64.RawURLEncoding.DecodeString(g.Numbers); err != nil || len(numbers) != n*numberBytes {
			return nil, fmt.Errorf("the numbers of %.20q do not match its ids", g.Kind)
		}
	}
	if g.End < 0 {
		return nil, fmt.Errorf("the end of %.20q is before 1970", g.Kind)
	}
	out := make([]Entry, n)
	for i := range out {
		out[i] = Entry{Fingerprint: binary.BigEndian.Uint64(ids[i*idBytes:]), End: g.End}
		if g.End == 0 {
			out[i].End = Forever
		}
		if numbers != nil {
			out[i].Number = binary.BigEndian.Uint32(numbers[i*numberBytes:])
		}
	}
	return out, nil
}
