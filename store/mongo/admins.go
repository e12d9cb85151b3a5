package mongo

import (
	"context"
	"errors"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"example.com/broker/internal/fault"
	"example.com/broker/rbac"
)

type adminStore struct{ *db }

var _ rbac.AdminStore = (*adminStore)(nil)

// adminsID is the one document of its collection.
const adminsID = "admins"

// leaveTries bounds how often leaving is tried again because another member joined between the update and the look at why it failed.
const leaveTries = 5

type adminsRow struct {
	ID    string   `bson:"_id"`
	Users []string `bson:"users"`
}

func (s *adminStore) Admins(ctx context.Context) ([]string, error) {
	row, _, err := get[adminsRow](ctx, s.db, adminsC, adminsID)
	return row.Users, err
}

func (s *adminStore) JoinAdmins(ctx context.Context, userID string) error {
	return s.repeatable(ctx, "join the admins", func(ctx context.Context) error {
		_, err := s.c(adminsC).UpdateOne(ctx, bson.M{"_id": adminsID}, bson.M{"$addToSet": bson.M{"users": userID}},
			options.UpdateOne().SetUpsert(true))
		return err
	})
}

func (s *adminStore) LeaveAdmins(ctx context.Context, userID string) error {
	for range leaveTries {
		left, err := s.leave(ctx, userID)
		if err != nil || left {
			return err
		}
		members, err := s.Admins(ctx)
		switch {
		case err != nil:
			return err
		case !slices.Contains(members, userID):
			return nil
		case len(members) == 1:
			return fault.New(fault.Conflict, "last_admin", "The user %s is the last admin; make somebody else an admin first.", userID)
		}
	}
	return unavailable("leave the admins", errors.New("other admins keep joining and leaving"))
}

// leave removes a member if there is another one. Members are a set, so that a second element is another member. It may be
// repeated: whoever has left is no member, and then nothing matches.
func (s *adminStore) leave(ctx context.Context, userID string) (left bool, err error) {
	err = s.repeatable(ctx, "leave the admins", func(ctx context.Context) error {
		result, err := s.c(adminsC).UpdateOne(ctx, bson.M{"_id": adminsID, "users": userID, "users.1": bson.M{"$exists": true}},
			bson.M{"$pull": bson.M{"users": userID}})
		left = err == nil && result.MatchedCount == 1
		return err
	})
	return left, err
}
