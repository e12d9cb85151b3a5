package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"example.com/broker/internal/fault"
	"example.com/broker/samples/articles"
)

type articleStore struct{ *database }

var _ articles.Store = (*articleStore)(nil)

func (s *articleStore) InsertArticle(ctx context.Context, a articles.Article) error {
	doc, err := encodeArticle(a)
	if err != nil {
		return err
	}
	return s.write.do(ctx, func(t *tx) error {
		n, err := t.exec(`INSERT INTO articles (id, v, doc) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, a.ID, a.V, doc)
		if err == nil && n == 0 {
			err = fault.New(fault.Conflict, "article_exists", "There is an article of this id already.")
		}
		return err
	})
}

func (s *articleStore) GetArticle(ctx context.Context, id string) (articles.Article, error) {
	var text []byte
	err := s.read.one(ctx, `SELECT doc FROM articles WHERE id = ?`, []any{id}, &text)
	if errors.Is(err, sql.ErrNoRows) {
		return articles.Article{}, unknownArticle()
	}
	if err != nil {
		return articles.Article{}, classify(err)
	}
	var a articles.Article
	err = decode(text, &a)
	return a, err
}

func (s *articleStore) ReplaceArticle(ctx context.Context, a articles.Article) error {
	v := a.V
	a.V++
	doc, err := encodeArticle(a)
	if err != nil {
		return err
	}
	return s.write.do(ctx, func(t *tx) error {
		n, err := t.exec(`UPDATE articles SET v = v + 1, doc = ? WHERE id = ? AND v = ?`, doc, a.ID, v)
		if err != nil || n > 0 {
			return err
		}
		return unmatched(t, `SELECT 1 FROM articles WHERE id = ?`, a.ID, unknownArticle(), changedArticle())
	})
}

func (s *articleStore) DeleteArticle(ctx context.Context, id string, v int64) error {
	return s.write.do(ctx, func(t *tx) error {
		n, err := t.exec(`DELETE FROM articles WHERE id = ? AND v = ?`, id, v)
		if err != nil || n > 0 {
			return err
		}
		return unmatched(t, `SELECT 1 FROM articles WHERE id = ?`, id, unknownArticle(), changedArticle())
	})
}

func (s *articleStore) ListArticles(ctx context.Context, after string, limit int) ([]articles.Article, error) {
	return list(ctx, s.read, func(row scanner) (a articles.Article, err error) {
		var text []byte
		if err := row.Scan(&text); err != nil {
			return a, err
		}
		err = decode(text, &a)
		return a, err
	}, `SELECT doc FROM articles WHERE id > ? ORDER BY id LIMIT ?`, after, max(limit, 0))
}

func encodeArticle(a articles.Article) (string, error) {
	a.CreatedAt, a.UpdatedAt = whole(a.CreatedAt), whole(a.UpdatedAt)
	return encode(a)
}

func unknownArticle() error {
	return fault.New(fault.NotFound, "article_unknown", "There is no such article.")
}

func changedArticle() error {
	return fault.New(fault.Conflict, "article_changed", "The article was changed meanwhile; read it again.")
}
