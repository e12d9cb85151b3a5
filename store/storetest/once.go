package storetest

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"example.com/broker/internal/fault"
)

func testOnce(t *testing.T, f *Fixture) {
	s := f.Stores.Once
	ctx, now := t.Context(), start()
	until := now.Add(time.Minute)

	t.Run("a record is taken once", func(t *testing.T) {
		value := []byte{0, 0xff, '"', '\n', 0xc3}
		done(t, s.Put(ctx, "trip", "one", value, until))
		same(t, value, must(s.Take(ctx, "trip", "one", now))(t))
		refused(s.Take(ctx, "trip", "one", now))(t, fault.NotFound, "")
	})
	t.Run("an empty record is a record", func(t *testing.T) {
		for id, value := range map[string][]byte{"nil": nil, "empty": {}} {
			done(t, s.Put(ctx, "trip", id, value, until))
			if got := must(s.Take(ctx, "trip", id, now))(t); len(got) != 0 {
				t.Fatalf("got %d bytes, want none", len(got))
			}
		}
	})
	t.Run("a large record comes back whole", func(t *testing.T) {
		value := bytes.Repeat([]byte("0123456789abcdef"), 4096)
		done(t, s.Put(ctx, "trip", "large", value, until))
		same(t, value, must(s.Take(ctx, "trip", "large", now))(t))
	})
	t.Run("a record that was never put is not found", func(t *testing.T) {
		refused(s.Take(ctx, "trip", "never", now))(t, fault.NotFound, "")
	})
	t.Run("an id in use is refused and its record kept", func(t *testing.T) {
		done(t, s.Put(ctx, "trip", "used", []byte("first"), until))
		fails(t, s.Put(ctx, "trip", "used", []byte("second"), until.Add(time.Hour)), fault.Conflict, "")
		same(t, []byte("first"), must(s.Take(ctx, "trip", "used", now))(t))
	})
	t.Run("a taken id can be put again", func(t *testing.T) {
		done(t, s.Put(ctx, "trip", "used", []byte("third"), until))
		same(t, []byte("third"), must(s.Take(ctx, "trip", "used", now))(t))
	})
	t.Run("kinds are kept apart, and ids are compared byte by byte", func(t *testing.T) {
		at := [][2]string{{"trip", "id"}, {"device", "id"}, {"trip", "ID"}, {"trip", "id:x"}, {"trip", "ïd"}, {"trip", ""}}
		for i, k := range at {
			done(t, s.Put(ctx, k[0], k[1], []byte{byte(i)}, until))
			done(t, s.Mark(ctx, k[0], k[1], until))
		}
		for i, k := range at {
			same(t, []byte{byte(i)}, must(s.Take(ctx, k[0], k[1], now))(t))
			fails(t, s.Mark(ctx, k[0], k[1], until), fault.Conflict, "")
		}
	})
	t.Run("a record is there until just before its end, at the end it is not", func(t *testing.T) {
		done(t, s.Put(ctx, "trip", "late", []byte("x"), until))
		refused(s.Take(ctx, "trip", "late", until))(t, fault.NotFound, "")
		refused(s.Take(ctx, "trip", "late", until.Add(time.Hour)))(t, fault.NotFound, "")
		done(t, s.Put(ctx, "trip", "just", []byte("x"), until))
		must(s.Take(ctx, "trip", "just", until.Add(-tick)))(t)
	})
	t.Run("a mark is set once, also after its end", func(t *testing.T) {
		done(t, s.Mark(ctx, "flow", "one", until))
		fails(t, s.Mark(ctx, "flow", "one", until), fault.Conflict, "")
		done(t, s.Mark(ctx, "flow", "past", now.Add(-time.Hour)))
		fails(t, s.Mark(ctx, "flow", "past", until), fault.Conflict, "")
	})
}

func testOnceRaces(t *testing.T, f *Fixture) {
	s := f.Stores.Once
	ctx, now := t.Context(), start()
	until := now.Add(time.Minute)

	t.Run("of many who put one record one does, and of many who take it one has it", func(t *testing.T) {
		errs := race(racers, func(i int) error { return s.Put(ctx, "trip", "raced", []byte(fmt.Sprint(i)), until) })
		winner := oneWins(t, errs, fault.Conflict, "")
		values := make([][]byte, racers)
		errs = race(racers, func(i int) (err error) {
			values[i], err = s.Take(ctx, "trip", "raced", now)
			return err
		})
		taker := oneWins(t, errs, fault.NotFound, "")
		same(t, []byte(fmt.Sprint(winner)), values[taker])
		refused(s.Take(ctx, "trip", "raced", now))(t, fault.NotFound, "")
	})
	t.Run("of many who set one mark one does", func(t *testing.T) {
		errs := race(racers, func(int) error { return s.Mark(ctx, "flow", "raced", until) })
		oneWins(t, errs, fault.Conflict, "")
	})
	t.Run("all of many marks are set", func(t *testing.T) {
		allDone(t, race(racers, func(i int) error { return s.Mark(ctx, "flow", fmt.Sprint(i), until) }))
		for i := range racers {
			fails(t, s.Mark(ctx, "flow", fmt.Sprint(i), until), fault.Conflict, "")
		}
	})
}
