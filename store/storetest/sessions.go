package storetest

import (
	"fmt"
	"testing"
	"time"

	"example.com/broker/internal/fault"
	"example.com/broker/sessions"
)

// session is live for an hour, and for twelve if it is touched.
func session(id string) sessions.Session {
	return sessions.Session{
		ID: id, SecretHash: "hash-" + id, UserID: "usr", CreatedAt: start(), AuthTime: start(),
		IdleUntil: start().Add(time.Hour), Until: start().Add(12 * time.Hour),
	}
}

func testSessions(t *testing.T, f *Fixture) {
	s := f.Stores.Sessions
	ctx, now := t.Context(), start()
	insert := func(t *testing.T, id string) sessions.Session {
		t.Helper()
		v := session(id)
		done(t, s.InsertSession(ctx, v))
		return v
	}

	t.Run("every field of a session is stored, the hash of its secret too", func(t *testing.T) {
		v := filled[sessions.Session]("wide")
		v.ID = "wide"
		done(t, s.InsertSession(ctx, v))
		same(t, v, must(s.GetSession(ctx, "wide"))(t))
	})
	t.Run("times are UTC", func(t *testing.T) {
		v := session("local")
		v.IdleUntil = v.IdleUntil.In(time.FixedZone("east", 3600))
		done(t, s.InsertSession(ctx, v))
		if got := must(s.GetSession(ctx, "local"))(t).IdleUntil; got != v.IdleUntil.UTC() {
			t.Fatalf("got %v, want %v", got, v.IdleUntil.UTC())
		}
	})
	t.Run("an unknown session is not found", func(t *testing.T) {
		refused(s.GetSession(ctx, "nobody"))(t, fault.NotFound, "session_unknown")
	})
	t.Run("an id in use is refused and its session kept", func(t *testing.T) {
		v := insert(t, "once")
		other := v
		other.UserID = "somebody else"
		fails(t, s.InsertSession(ctx, other), fault.Conflict, "session_exists")
		same(t, v, must(s.GetSession(ctx, "once"))(t))
	})
	t.Run("a touch moves the idle end later, never earlier, and nothing else", func(t *testing.T) {
		v := insert(t, "touched")
		v.IdleUntil = now.Add(3 * time.Hour)
		done(t, s.TouchSession(ctx, v.ID, v.IdleUntil, now))
		same(t, v, must(s.GetSession(ctx, v.ID))(t))
		done(t, s.TouchSession(ctx, v.ID, now.Add(2*time.Hour), now.Add(time.Minute)))
		same(t, v, must(s.GetSession(ctx, v.ID))(t))
	})
	t.Run("a touch just before an end succeeds, one at the end finds nothing", func(t *testing.T) {
		v := insert(t, "idle")
		fails(t, s.TouchSession(ctx, v.ID, now.Add(5*time.Hour), v.IdleUntil), fault.NotFound, "")
		same(t, v, must(s.GetSession(ctx, v.ID))(t))
		done(t, s.TouchSession(ctx, v.ID, now.Add(24*time.Hour), v.IdleUntil.Add(-tick)))
		fails(t, s.TouchSession(ctx, v.ID, now.Add(48*time.Hour), v.Until), fault.NotFound, "")
		done(t, s.TouchSession(ctx, v.ID, now.Add(48*time.Hour), v.Until.Add(-tick)))
		fails(t, s.TouchSession(ctx, "nobody", now.Add(time.Hour), now), fault.NotFound, "")
	})
	t.Run("a session is returned after its end too", func(t *testing.T) {
		v := session("ended")
		v.IdleUntil, v.Until = now.Add(-time.Hour), now.Add(-time.Minute)
		done(t, s.InsertSession(ctx, v))
		same(t, v, must(s.GetSession(ctx, "ended"))(t))
	})
	t.Run("a replacement needs the stored hash", func(t *testing.T) {
		v := insert(t, "replaced")
		next := filled[sessions.Session]("next")
		next.ID = v.ID
		fails(t, s.ReplaceSession(ctx, next, "wrong"), fault.Conflict, "session_changed")
		fails(t, s.ReplaceSession(ctx, next, next.SecretHash), fault.Conflict, "session_changed")
		same(t, v, must(s.GetSession(ctx, v.ID))(t))
		done(t, s.ReplaceSession(ctx, next, v.SecretHash))
		same(t, next, must(s.GetSession(ctx, v.ID))(t))
		fails(t, s.ReplaceSession(ctx, v, v.SecretHash), fault.Conflict, "session_changed")
		same(t, next, must(s.GetSession(ctx, v.ID))(t))
	})
	t.Run("a session that ended is not replaced", func(t *testing.T) {
		v := insert(t, "deleted")
		done(t, s.DeleteSession(ctx, v.ID))
		refused(s.GetSession(ctx, v.ID))(t, fault.NotFound, "session_unknown")
		fails(t, s.ReplaceSession(ctx, v, v.SecretHash), fault.Conflict, "session_changed")
		fails(t, s.TouchSession(ctx, v.ID, v.Until, now), fault.NotFound, "")
		refused(s.GetSession(ctx, v.ID))(t, fault.NotFound, "session_unknown")
	})
	t.Run("deleting what is gone is success", func(t *testing.T) {
		done(t, s.DeleteSession(ctx, "deleted"))
		done(t, s.DeleteSession(ctx, "never was"))
	})
	t.Run("a user's sessions come newest first, nobody else's among them", func(t *testing.T) {
		var want []sessions.Session
		for i := range 6 {
			v := session(fmt.Sprint("mine-", i))
			v.UserID, v.CreatedAt = "Lister", now.Add(time.Duration(i)*time.Minute)
			done(t, s.InsertSession(ctx, v))
			want = append([]sessions.Session{v}, want...)
		}
		other := session("theirs")
		other.UserID, other.CreatedAt = "lister", now.Add(time.Hour)
		done(t, s.InsertSession(ctx, other))
		same(t, want, must(s.SessionsOf(ctx, "Lister", 100))(t))
		same(t, want[:2], must(s.SessionsOf(ctx, "Lister", 2))(t))
		for _, limit := range []int{0, -1} {
			same(t, nil, must(s.SessionsOf(ctx, "Lister", limit))(t))
		}
		same(t, nil, must(s.SessionsOf(ctx, "nobody", 5))(t))
	})
}

func testSessionRaces(t *testing.T, f *Fixture) {
	s := f.Stores.Sessions
	ctx, now := t.Context(), start()

	t.Run("of many who insert one id one does", func(t *testing.T) {
		errs := race(racers, func(i int) error {
			v := session("raced")
			v.UserAgent = fmt.Sprint(i)
			return s.InsertSession(ctx, v)
		})
		winner := oneWins(t, errs, fault.Conflict, "session_exists")
		if got := must(s.GetSession(ctx, "raced"))(t); got.UserAgent != fmt.Sprint(winner) {
			t.Fatalf("stored is %s, winner %d", got.UserAgent, winner)
		}
	})
	t.Run("of many who change one secret one does", func(t *testing.T) {
		errs := race(racers, func(i int) error {
			v := session("raced")
			v.SecretHash = fmt.Sprint("new-", i)
			return s.ReplaceSession(ctx, v, "hash-raced")
		})
		winner := oneWins(t, errs, fault.Conflict, "session_changed")
		if got := must(s.GetSession(ctx, "raced"))(t); got.SecretHash != fmt.Sprint("new-", winner) {
			t.Fatalf("stored is %s, winner %d", got.SecretHash, winner)
		}
	})
	t.Run("of many touches the latest end stays", func(t *testing.T) {
		v := session("busy")
		done(t, s.InsertSession(ctx, v))
		allDone(t, race(racers, func(i int) error {
			return s.TouchSession(ctx, v.ID, v.IdleUntil.Add(time.Duration(i*37%racers)*time.Minute), now)
		}))
		v.IdleUntil = v.IdleUntil.Add((racers - 1) * time.Minute)
		same(t, v, must(s.GetSession(ctx, v.ID))(t))
	})
	t.Run("no touch brings a deleted session back", func(t *testing.T) {
		done(t, s.InsertSession(ctx, session("closing")))
		race(racers, func(i int) error {
			if i == racers/2 {
				return s.DeleteSession(ctx, "closing")
			}
			return s.TouchSession(ctx, "closing", now.Add(2*time.Hour), now)
		})
		refused(s.GetSession(ctx, "closing"))(t, fault.NotFound, "session_unknown")
	})
}
