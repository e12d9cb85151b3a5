package mongo

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"example.com/broker/internal/fault"
	"example.com/broker/tokens"
)

type grantStore struct{ *db }

var _ tokens.GrantStore = (*grantStore)(nil)

// grantRow adds Gone: when the document may be removed ahead of Until, because a code was not redeemed or a family idled. A spent
// code without a family has none: it is kept as long as what it bought, so that its replay is seen.
type grantRow struct {
	tokens.Grant `bson:",inline"`
	Gone         time.Time `bson:"gone,omitempty"`
	Act          string    `bson:"act"`
}

// grantStep is how Gone moves: a family that refreshes each quarter of an hour rewrites the index once a day.
const grantStep = 24 * time.Hour

// goneFirst is the Gone of a new grant.
func goneFirst(g tokens.Grant) time.Time {
	switch {
	case g.Cur != "" && !g.IdleUntil.IsZero():
		return stepAfter(g.IdleUntil, grantStep)
	case g.CodeHash != "" && g.CodeSpent.IsZero():
		return stepAfter(g.CodeUntil, grantStep)
	}
	return time.Time{}
}

func (s *grantStore) InsertGrant(ctx context.Context, g tokens.Grant) error {
	row := grantRow{Grant: g, Gone: goneFirst(g), Act: newAct()}
	added, err := s.insert(ctx, grantsC, g.ID, row.Act, row)
	if err == nil && !added {
		err = fault.New(fault.Conflict, "grant_exists", "The grant id %s is in use.", g.ID)
	}
	return err
}

func (s *grantStore) GetGrant(ctx context.Context, id string) (tokens.Grant, error) {
	row, found, err := get[grantRow](ctx, s.db, grantsC, id)
	if err == nil && !found {
		err = fault.New(fault.NotFound, "grant_unknown", "There is no grant %s.", id)
	}
	return row.Grant, err
}

func (s *grantStore) RedeemGrant(ctx context.Context, r tokens.Redemption) (tokens.Grant, error) {
	if r.CodeHash == "" {
		return tokens.Grant{}, unmatched(r.GrantID) // a grant without a code must not match a redemption without one
	}
	filter := bson.M{
		"_id": r.GrantID, "client_id": r.ClientID, "code_hash": r.CodeHash, "redirect_uri": text(r.RedirectURI), "challenge": text(r.Challenge),
		"code_spent": absent(), "dead": absent(), "code_until": later(r.Now), "until": later(r.Now),
	}
	act := newAct()
	set := bson.M{"code_spent": r.Now, "act": act}
	update := bson.M{"$set": set}
	if r.Cur != "" {
		set["cur"], set["anchor_hash"], set["idle_until"], set["gone"] = r.Cur, r.AnchorHash, r.IdleUntil, stepAfter(r.IdleUntil, grantStep)
	} else {
		update["$unset"] = bson.M{"gone": ""}
	}
	return s.advance(ctx, r.GrantID, filter, update, func(now grantRow) bool { return now.Act == act })
}

func (s *grantStore) RotateGrant(ctx context.Context, r tokens.Rotation) (tokens.Grant, error) {
	if r.From == "" || r.To == "" || r.AnchorHash == "" {
		return tokens.Grant{}, unmatched(r.GrantID) // a grant without a family must not match a rotation without a secret
	}
	filter := bson.M{
		"_id": r.GrantID, "client_id": r.ClientID, "anchor_hash": r.AnchorHash, "cur": r.From,
		"dead": absent(), "idle_until": later(r.Now), "until": later(r.Now),
	}
	update := bson.M{"$set": bson.M{
		"prev": r.From, "cur": r.To, "successor": r.Successor, "rotated_at": r.Now,
		"idle_until": r.IdleUntil, "gone": stepAfter(r.IdleUntil, grantStep),
	}}
	// To is random and the caller's own. Where it is the predecessor by now, the same client has presented From again, was given
	// To by its replica, and has used it: this rotation happened all the same.
	return s.advance(ctx, r.GrantID, filter, update, func(now grantRow) bool { return now.Cur == r.To || now.Prev == r.To })
}

// advance is the one conditional update of Redeem and Rotate. Where its answer was lost, mine tells whether the grant as it is now
// shows this caller's update; a grant that was killed since is refused like any dead one.
func (s *grantStore) advance(ctx context.Context, id string, filter, update bson.M, mine func(grantRow) bool) (tokens.Grant, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	row, matched, lost := change[grantRow](ctx, s.db, grantsC, filter, update)
	switch {
	case lost == nil && matched:
		return row.Grant, nil
	case lost == nil:
		return tokens.Grant{}, unmatched(id)
	}
	row, found, err := get[grantRow](ctx, s.db, grantsC, id)
	switch {
	case err != nil || !found || !mine(row):
		return tokens.Grant{}, unavailable("update a grant", lost)
	case !row.Dead.IsZero():
		return tokens.Grant{}, unmatched(id)
	}
	return row.Grant, nil
}

func unmatched(id string) error {
	return fault.New(fault.Conflict, "grant_unmatched", "The grant %s is not in the state that this needs.", id)
}

func (s *grantStore) KillGrant(ctx context.Context, id string, now time.Time) error {
	return s.repeatable(ctx, "kill a grant", func(ctx context.Context) error {
		_, err := s.c(grantsC).UpdateOne(ctx, bson.M{"_id": id, "dead": absent()}, bson.M{"$set": bson.M{"dead": now}})
		return err
	})
}
