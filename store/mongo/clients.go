package mongo

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"

	"example.com/broker/clients"
	"example.com/broker/internal/fault"
	"example.com/broker/oauth"
)

type clientStore struct{ *db }

var _ clients.Store = (*clientStore)(nil)

// clientRow stores three lists even if they are empty, in place of the embedded ones: none means everything there, and an empty
// list nothing.
type clientRow struct {
	clients.Client `bson:",inline"`
	Origins        []string     `bson:"origins"`
	Scopes         oauth.Scopes `bson:"scopes"`
	Providers      []string     `bson:"providers"`
	Act            string       `bson:"act"`
}

func rowOfClient(c clients.Client) clientRow {
	return clientRow{Client: c, Origins: c.Origins, Scopes: c.Scopes, Providers: c.Providers, Act: newAct()}
}

func (r clientRow) client() clients.Client {
	c := r.Client
	c.Origins, c.Scopes, c.Providers = r.Origins, r.Scopes, r.Providers
	return c
}

func (s *clientStore) InsertClient(ctx context.Context, c clients.Client) error {
	row := rowOfClient(c)
	added, err := s.insert(ctx, clientsC, c.ID, row.Act, row)
	if err == nil && !added {
		err = fault.New(fault.Conflict, "client_exists", "The client id %s is in use.", c.ID)
	}
	return err
}

func (s *clientStore) GetClient(ctx context.Context, id string) (clients.Client, error) {
	row, found, err := get[clientRow](ctx, s.db, clientsC, id)
	if err == nil && !found {
		err = fault.New(fault.NotFound, "client_unknown", "There is no client %s.", id)
	}
	return row.client(), err
}

func (s *clientStore) ReplaceClient(ctx context.Context, c clients.Client) error {
	row := rowOfClient(c)
	row.V++
	swapped, err := s.swap(ctx, clientsC, c.ID, row.Act, bson.M{"_id": c.ID, "v": c.V}, row)
	if err != nil || swapped {
		return err
	}
	if _, err := s.GetClient(ctx, c.ID); err != nil {
		return err
	}
	return fault.New(fault.Conflict, "client_changed", "The client %s was changed by somebody else meanwhile; read it again.", c.ID)
}

func (s *clientStore) DeleteClient(ctx context.Context, id string, v int64) error {
	bound, cancel := s.bounded(ctx)
	defer cancel()
	result, err := s.c(clientsC).DeleteOne(bound, bson.M{"_id": id, "v": v})
	if err != nil {
		return unavailable("delete a client", err)
	}
	if result.DeletedCount == 1 {
		return nil
	}
	if _, err := s.GetClient(ctx, id); err != nil {
		return err
	}
	return fault.New(fault.Conflict, "client_changed", "The client %s was changed by somebody else meanwhile; read it again.", id)
}

type apisRow struct {
	ID             string `bson:"_id"`
	clients.APISet `bson:",inline"`
	Act            string `bson:"act"`
}

func (s *clientStore) LoadAPIs(ctx context.Context) (clients.APISet, error) {
	row, _, err := get[apisRow](ctx, s.db, documentsC, apisID)
	return row.APISet, err
}

func (s *clientStore) SwapAPIs(ctx context.Context, set clients.APISet) error {
	v, row := set.V, apisRow{ID: apisID, APISet: set, Act: newAct()}
	row.V++
	return s.swapDocument(ctx, apisID, row.Act, v, row,
		fault.New(fault.Conflict, "apis_changed", "The APIs were changed by another replica meanwhile; read them again."))
}

func (s *clientStore) ListClients(ctx context.Context, after string, limit int) ([]clients.Client, error) {
	rows, err := page[clientRow](ctx, s.db, clientsC, bson.M{"_id": bson.M{"$gt": after}}, bson.D{by("_id", 1)}, limit)
	if err != nil {
		return nil, err
	}
	list := make([]clients.Client, len(rows))
	for i, row := range rows {
		list[i] = row.client()
	}
	return list, nil
}
