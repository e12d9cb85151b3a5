// Package articles holds the articles of the sample application: what one is, and what a store must promise. Who may do what with one is
// said by the roles and the policies of package abac, and asked for by package samples.
package articles

import (
	"context"
	"time"
)

// Article is something somebody wrote.
type Article struct {
	ID        string    `json:"id" bson:"_id"` // UUIDv7: in the order of creation
	Author    string    `json:"author" bson:"author"`
	Title     string    `json:"title" bson:"title"`
	Body      string    `json:"body" bson:"body"`
	Published bool      `json:"published" bson:"published"`
	CreatedAt time.Time `json:"created_at" bson:"created_at"`
	UpdatedAt time.Time `json:"updated_at" bson:"updated_at"`
	V         int64     `json:"v" bson:"v"`
}

// Store keeps articles.
type Store interface {
	// InsertArticle adds an article: fault.Conflict "article_exists".
	InsertArticle(ctx context.Context, a Article) error
	// GetArticle returns one: fault.NotFound "article_unknown".
	GetArticle(ctx context.Context, id string) (Article, error)
	// ReplaceArticle stores a if the stored V is a.V; it becomes a.V+1. fault.NotFound "article_unknown", fault.Conflict
	// "article_changed".
	ReplaceArticle(ctx context.Context, a Article) error
	// DeleteArticle removes the article if its V is v: fault.NotFound "article_unknown", fault.Conflict "article_changed".
	DeleteArticle(ctx context.Context, id string, v int64) error
	// ListArticles returns those after an id, ordered by id.
	ListArticles(ctx context.Context, after string, limit int) ([]Article, error)
}
