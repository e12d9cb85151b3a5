package mongo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"example.com/broker/internal/fault"
	"example.com/broker/users"
)

type userStore struct{ *db }

var _ users.Store = (*userStore)(nil)

type userRow struct {
	users.User `bson:",inline"`
	Act        string `bson:"act"`
}

type claimRow struct {
	Key  string    `bson:"_id"`
	User string    `bson:"user"`
	At   time.Time `bson:"at"`
}

// claimTries bounds how often a claim is tried that is free, or the user's own by another call, whenever we look who holds it.
const claimTries = 5

func (s *userStore) Create(ctx context.Context, u users.User, claims []users.Claim, now time.Time) error {
	if err := s.claimAll(ctx, u.ID, claims, now); err != nil {
		return err
	}
	if err := s.next(); err != nil {
		return err
	}
	row := userRow{User: u, Act: newAct()}
	added, err := s.insert(ctx, usersC, u.ID, row.Act, row)
	if err == nil && !added {
		err = fault.New(fault.Conflict, "user_exists", "The user id %s is in use.", u.ID)
	}
	return err
}

func (s *userStore) Get(ctx context.Context, id string) (users.User, error) {
	row, found, err := get[userRow](ctx, s.db, usersC, id)
	if err == nil && !found {
		err = unknownUser(id)
	}
	return row.User, err
}

func unknownUser(id string) error {
	return fault.New(fault.NotFound, "user_unknown", "There is no user %s.", id)
}

func (s *userStore) Holder(ctx context.Context, c users.Claim) (users.Holder, error) {
	coll, err := claimC(c.Kind)
	if err != nil {
		return users.Holder{}, err
	}
	row, found, err := get[claimRow](ctx, s.db, coll, c.Key)
	if err == nil && !found {
		err = fault.New(fault.NotFound, "claim_unknown", "Nobody holds this %s.", c.Kind)
	}
	return users.Holder{UserID: row.User, At: row.At}, err
}

func (s *userStore) Replace(ctx context.Context, u users.User, add, drop []users.Claim, now time.Time) error {
	// Whoever finds the row replaced may want a dropped claim again before it is gone, and renews it. So it is given up only as it was
	// before the row was replaced.
	had, err := s.heldBy(ctx, u.ID, drop)
	if err != nil {
		return err
	}
	if err := s.claimAll(ctx, u.ID, add, now); err != nil {
		return err
	}
	if err := s.next(); err != nil {
		return err
	}
	if err := s.replaceUser(ctx, u); err != nil {
		return err
	}
	for _, c := range had {
		if err := s.next(); err != nil {
			return err
		}
		if err := s.drop(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// heldClaim is a claim as it was read, and where.
type heldClaim struct {
	coll string
	claimRow
}

// heldBy reads those of the claims that the user holds.
func (s *userStore) heldBy(ctx context.Context, user string, claims []users.Claim) ([]heldClaim, error) {
	var out []heldClaim
	for _, c := range claims {
		coll, err := claimC(c.Kind)
		if err != nil {
			return nil, err
		}
		row, found, err := get[claimRow](ctx, s.db, coll, c.Key)
		if err != nil {
			return nil, err
		}
		if found && row.User == user {
			out = append(out, heldClaim{coll, row})
		}
	}
	return out, nil
}

// replaceUser is the deciding act of Replace.
func (s *userStore) replaceUser(ctx context.Context, u users.User) error {
	row := userRow{User: u, Act: newAct()}
	row.V++
	swapped, err := s.swap(ctx, usersC, u.ID, row.Act, bson.M{"_id": u.ID, "v": u.V}, row)
	if err != nil || swapped {
		return err
	}
	if _, err := s.Get(ctx, u.ID); err != nil {
		return err
	}
	return fault.New(fault.Conflict, "user_changed", "The user %s was changed by somebody else meanwhile; read it again.", u.ID)
}

func (s *userStore) Delete(ctx context.Context, id string, v int64) error {
	tries, deleted := 0, false
	err := s.repeatable(ctx, "delete a user", func(ctx context.Context) error {
		tries++
		result, err := s.c(usersC).DeleteOne(ctx, bson.M{"_id": id, "v": v})
		deleted = err == nil && result.DeletedCount == 1
		return err
	})
	if err != nil || deleted {
		return err
	}
	switch _, err := s.Get(ctx, id); {
	case fault.Is(err, fault.NotFound) && tries > 1:
		return nil // the first try did it, and its answer was lost
	case err != nil:
		return err
	}
	return fault.New(fault.Conflict, "user_changed", "The user %s was changed by somebody else meanwhile; read it again.", id)
}

func (s *userStore) TakeOver(ctx context.Context, c users.Claim, from users.Holder, to string, now time.Time) error {
	coll, err := claimC(c.Kind)
	if err != nil {
		return err
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	result, err := s.c(coll).UpdateOne(ctx, bson.M{"_id": c.Key, "user": from.UserID, "at": from.At},
		bson.M{"$set": bson.M{"user": to, "at": now}})
	switch {
	case err == nil && result.MatchedCount == 1:
		return nil
	case err == nil:
		return claimTaken(c)
	}
	// Two callers that move it to the same user at the same millisecond want the same: there is nothing to tell apart.
	row, found, readErr := get[claimRow](ctx, s.db, coll, c.Key)
	if readErr == nil && found && row.User == to && row.At.UnixMilli() == now.UnixMilli() {
		return nil
	}
	return unavailable("take over a claim", err)
}

func (s *userStore) List(ctx context.Context, after string, limit int) ([]users.User, error) {
	rows, err := page[userRow](ctx, s.db, usersC, bson.M{"_id": bson.M{"$gt": after}}, bson.D{by("_id", 1)}, limit)
	if err != nil {
		return nil, err
	}
	list := make([]users.User, len(rows))
	for i, row := range rows {
		list[i] = row.User
	}
	return list, nil
}

func (s *userStore) claimAll(ctx context.Context, user string, claims []users.Claim, now time.Time) error {
	for _, c := range claims {
		if err := s.next(); err != nil {
			return err
		}
		if err := s.claim(ctx, user, c, now); err != nil {
			return err
		}
	}
	return nil
}

// claim reserves c for user. One that the user holds already is renewed, so that nobody takes it over in the middle of what its
// holder is about to finish. It may be repeated: whose a claim is decides, not who wrote it.
func (s *userStore) claim(ctx context.Context, user string, c users.Claim, now time.Time) error {
	coll, err := claimC(c.Kind)
	if err != nil {
		return err
	}
	for range claimTries {
		taken := false
		err := s.repeatable(ctx, "claim", func(ctx context.Context) error {
			_, err := s.c(coll).UpdateOne(ctx, bson.M{"_id": c.Key, "user": user}, bson.M{"$set": bson.M{"at": now}},
				options.UpdateOne().SetUpsert(true))
			if taken = driver.IsDuplicateKeyError(err); taken {
				return nil
			}
			return err
		})
		if err != nil || !taken {
			return err
		}
		held, found, err := get[claimRow](ctx, s.db, coll, c.Key)
		if err != nil {
			return err
		}
		if found && held.User != user {
			return claimTaken(c)
		}
	}
	return unavailable("claim", errors.New("it keeps changing hands"))
}

// drop gives up a claim if it is still as it was read.
func (s *userStore) drop(ctx context.Context, c heldClaim) error {
	return s.repeatable(ctx, "drop a claim", func(ctx context.Context) error {
		_, err := s.c(c.coll).DeleteOne(ctx, bson.M{"_id": c.Key, "user": c.User, "at": c.At})
		return err
	})
}

func claimTaken(c users.Claim) error {
	return fault.New(fault.Conflict, "claim_taken", "Another user holds this %s.", c.Kind)
}

func claimC(kind users.ClaimKind) (string, error) {
	switch kind {
	case users.ClaimIdentity:
		return identitiesC, nil
	case users.ClaimAddress:
		return addressesC, nil
	}
	return "", fmt.Errorf("no collection keeps claims of the kind %q", kind)
}
