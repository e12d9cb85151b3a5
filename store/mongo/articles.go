package mongo

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"

	"example.com/broker/internal/fault"
	"example.com/broker/samples/articles"
)

type articleStore struct{ *db }

var _ articles.Store = (*articleStore)(nil)

type articleRow struct {
	articles.Article `bson:",inline"`
	Act              string `bson:"act"`
}

func (s *articleStore) InsertArticle(ctx context.Context, a articles.Article) error {
	row := articleRow{a, newAct()}
	added, err := s.insert(ctx, articlesC, a.ID, row.Act, row)
	if err == nil && !added {
		err = fault.New(fault.Conflict, "article_exists", "There is an article of this id already.")
	}
	return err
}

func (s *articleStore) GetArticle(ctx context.Context, id string) (articles.Article, error) {
	row, found, err := get[articleRow](ctx, s.db, articlesC, id)
	if err == nil && !found {
		err = fault.New(fault.NotFound, "article_unknown", "There is no such article.")
	}
	return row.Article, err
}

func (s *articleStore) ReplaceArticle(ctx context.Context, a articles.Article) error {
	row := articleRow{a, newAct()}
	row.V++
	swapped, err := s.swap(ctx, articlesC, a.ID, row.Act, bson.M{"_id": a.ID, "v": a.V}, row)
	if err != nil || swapped {
		return err
	}
	return s.unmatched(ctx, a.ID)
}

// DeleteArticle is not repeated where its answer was lost: the article may be gone by it, and not found then.
func (s *articleStore) DeleteArticle(ctx context.Context, id string, v int64) error {
	bound, cancel := s.bounded(ctx)
	defer cancel()
	result, err := s.c(articlesC).DeleteOne(bound, bson.M{"_id": id, "v": v})
	switch {
	case err != nil:
		return unavailable("delete from "+articlesC, err)
	case result.DeletedCount == 1:
		return nil
	}
	return s.unmatched(ctx, id)
}

// unmatched tells why a conditional write matched nothing.
func (s *articleStore) unmatched(ctx context.Context, id string) error {
	if _, err := s.GetArticle(ctx, id); err != nil {
		return err
	}
	return fault.New(fault.Conflict, "article_changed", "The article was changed meanwhile; read it again.")
}

func (s *articleStore) ListArticles(ctx context.Context, after string, limit int) ([]articles.Article, error) {
	rows, err := page[articleRow](ctx, s.db, articlesC, bson.M{"_id": bson.M{"$gt": after}}, bson.D{by("_id", 1)}, limit)
	if err != nil {
		return nil, err
	}
	list := make([]articles.Article, len(rows))
	for i, row := range rows {
		list[i] = row.Article
	}
	return list, nil
}
