package mongo

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"example.com/broker/internal/fault"
	"example.com/broker/sessions"
)

type sessionStore struct{ *db }

var _ sessions.Store = (*sessionStore)(nil)

// sessionRow adds Gone: when the document may be removed ahead of Until, because the session idled.
type sessionRow struct {
	sessions.Session `bson:",inline"`
	Gone             time.Time `bson:"gone"`
	Act              string    `bson:"act"`
}

// sessionStep is how Gone moves: the usual sliding hour seldom rewrites the index.
const sessionStep = time.Hour

func rowOfSession(s sessions.Session) sessionRow {
	return sessionRow{Session: s, Gone: stepAfter(s.IdleUntil, sessionStep), Act: newAct()}
}

func (s *sessionStore) InsertSession(ctx context.Context, session sessions.Session) error {
	row := rowOfSession(session)
	added, err := s.insert(ctx, sessionsC, session.ID, row.Act, row)
	if err == nil && !added {
		err = fault.New(fault.Conflict, "session_exists", "The session id %s is in use.", session.ID)
	}
	return err
}

func (s *sessionStore) GetSession(ctx context.Context, id string) (sessions.Session, error) {
	row, found, err := get[sessionRow](ctx, s.db, sessionsC, id)
	if err == nil && !found {
		err = unknownSession(id)
	}
	return row.Session, err
}

func unknownSession(id string) error {
	return fault.New(fault.NotFound, "session_unknown", "There is no live session %s.", id)
}

func (s *sessionStore) TouchSession(ctx context.Context, id string, idleUntil, now time.Time) error {
	matched := false
	err := s.repeatable(ctx, "touch a session", func(ctx context.Context) error {
		result, err := s.c(sessionsC).UpdateOne(ctx, bson.M{"_id": id, "idle_until": later(now), "until": later(now)},
			bson.M{"$max": bson.M{"idle_until": idleUntil, "gone": stepAfter(idleUntil, sessionStep)}})
		matched = err == nil && result.MatchedCount == 1
		return err
	})
	if err == nil && !matched {
		err = unknownSession(id)
	}
	return err
}

func (s *sessionStore) ReplaceSession(ctx context.Context, session sessions.Session, oldHash string) error {
	row := rowOfSession(session)
	swapped, err := s.swap(ctx, sessionsC, session.ID, row.Act, bson.M{"_id": session.ID, "secret_hash": oldHash}, row)
	if err == nil && !swapped {
		err = fault.New(fault.Conflict, "session_changed", "The session %s was changed or ended meanwhile; sign in again.", session.ID)
	}
	return err
}

func (s *sessionStore) DeleteSession(ctx context.Context, id string) error {
	return s.repeatable(ctx, "delete a session", func(ctx context.Context) error {
		_, err := s.c(sessionsC).DeleteOne(ctx, bson.M{"_id": id})
		return err
	})
}

func (s *sessionStore) SessionsOf(ctx context.Context, userID string, limit int) ([]sessions.Session, error) {
	rows, err := page[sessionRow](ctx, s.db, sessionsC, bson.M{"user_id": userID}, bson.D{by("created_at", -1), by("_id", -1)}, limit)
	if err != nil {
		return nil, err
	}
	list := make([]sessions.Session, len(rows))
	for i, row := range rows {
		list[i] = row.Session
	}
	return list, nil
}
