package samples

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"example.com/broker/abac"
	"example.com/broker/access"
	"example.com/broker/audit"
	"example.com/broker/internal/fault"
	"example.com/broker/rbac"
	"example.com/broker/samples/articles"
	"example.com/broker/web"
)

// ArticleType is what policies call an article.
const ArticleType = "Article"

// What roles and policies are asked about articles. To delete one is a way of writing, so that an author needs no right to delete those of
// others: which ones is said by the policies.
var (
	readArticle   = access.Action{Name: "read", Permission: "articles:read"}
	editArticle   = access.Action{Name: "edit", Permission: "articles:write"}
	deleteArticle = access.Action{Name: "delete", Permission: "articles:write"}
)

const (
	createArticles rbac.Permission = "articles:write"

	maxTitle, maxBody      = 200, 64 << 10
	articlesPage, pageSize = 100, 20

	cursorPurpose = "articles-cursor"
)

// ArticleActions are what can be done to an article.
func ArticleActions() []access.Action {
	return []access.Action{readArticle, editArticle, deleteArticle}
}

// ArticleSource tells policies about stored articles.
type ArticleSource struct{ Store articles.Store }

var _ access.EntitySource = ArticleSource{}

// Get implements access.EntitySource.
func (s ArticleSource) Get(ctx context.Context, id string) (abac.Entity, error) {
	a, err := s.Store.GetArticle(ctx, id)
	return entity(a), err
}

// List implements access.EntitySource.
func (s ArticleSource) List(ctx context.Context, after string, limit int) ([]abac.Entity, error) {
	list, err := s.Store.ListArticles(ctx, after, limit)
	out := make([]abac.Entity, len(list))
	for i, a := range list {
		out[i] = entity(a)
	}
	return out, err
}

func entity(a articles.Article) abac.Entity {
	return abac.Entity{UID: abac.UID{Type: ArticleType, ID: a.ID}, Attrs: map[string]any{
		"author": abac.UID{Type: "User", ID: a.Author}, "published": a.Published,
	}}
}

func (d Deps) articleRoutes() []web.Route {
	// Who may do it is asked in the handler, of the article that was found: 404 comes before 403.
	signedIn := d.Guards.Either()
	return []web.Route{
		{Method: http.MethodGet, Path: "/articles", Lane: web.Browser, Data: true, Guard: d.Guards.Permit(readArticle.Permission), CORS: web.ClientCORS, Handle: web.Params(d.listArticles, "after", "limit")},
		{Method: http.MethodPost, Path: "/articles", Lane: web.Browser, Data: true, Guard: d.Guards.Permit(createArticles), CORS: web.ClientCORS, Handle: d.createArticle, MaxBody: 1 << 20},
		{Method: http.MethodGet, Path: "/articles/:id", Lane: web.Browser, Data: true, Guard: signedIn, CORS: web.ClientCORS, Handle: d.getArticle},
		{Method: http.MethodPut, Path: "/articles/:id", Lane: web.Browser, Data: true, Guard: signedIn, CORS: web.ClientCORS, Handle: d.putArticle, MaxBody: 1 << 20},
		{Method: http.MethodDelete, Path: "/articles/:id", Lane: web.Browser, Data: true, Guard: signedIn, CORS: web.ClientCORS, Handle: d.deleteArticle},
	}
}

// listArticles shows a page of the articles that the caller may read.
func (d Deps) listArticles(c *gin.Context) error {
	limit := pageSize
	if text := c.Query("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > articlesPage {
			return fault.New(fault.Invalid, "limit_invalid", "limit is %.20q, expected 1 to %d.", text, articlesPage)
		}
		limit = n
	}
	after, err := d.opened(c.Query("after"))
	if err != nil {
		return err
	}
	ctx, actor := c.Request.Context(), d.Guards.Actor(c)
	page, err := d.Articles.ListArticles(ctx, after, limit)
	if err != nil {
		return err
	}
	next := ""
	if len(page) == limit {
		next = d.Seal.Seal(cursorPurpose, []byte(page[limit-1].ID))
	}
	shown := make([]articles.Article, 0, len(page))
	for _, a := range page {
		answer, err := d.Guards.Access.Explain(ctx, actor, readArticle, entity(a))
		if err != nil {
			return err
		}
		if answer.Allow {
			shown = append(shown, a)
		}
	}
	c.JSON(http.StatusOK, gin.H{"articles": shown, "next": next})
	return nil
}

// opened is the id that a cursor stands for, "" for none. A cursor is sealed: the article before the next page may be one that the caller
// may not read, nor learn the id of.
func (d Deps) opened(cursor string) (string, error) {
	if cursor == "" {
		return "", nil
	}
	id, err := d.Seal.Open(cursorPurpose, cursor)
	if err != nil {
		return "", fault.New(fault.Invalid, "cursor_invalid", "The cursor was not given out for this list. Begin again without it.")
	}
	return string(id), nil
}

// found returns the article that the path names, if the caller may do the action to it.
func (d Deps) found(c *gin.Context, action access.Action) (articles.Article, error) {
	a, err := d.Articles.GetArticle(c.Request.Context(), c.Param("id"))
	if err != nil {
		return articles.Article{}, err
	}
	return a, d.Guards.Access.CheckEntity(c.Request.Context(), d.Guards.Actor(c), action, entity(a))
}

func (d Deps) getArticle(c *gin.Context) error {
	a, err := d.found(c, readArticle)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, a)
	return nil
}

// written is what people send of an article.
type written struct {
	Title     *string `json:"title"`
	Body      *string `json:"body"`
	Published bool    `json:"published"`
	V         int64   `json:"v"`
}

func (w written) check() error {
	switch {
	case w.Title == nil || strings.TrimSpace(*w.Title) == "" || utf8.RuneCountInString(*w.Title) > maxTitle || strings.ContainsFunc(*w.Title, func(r rune) bool { return r < ' ' }):
		return fault.New(fault.Invalid, "article_invalid", "An article needs a title of up to %d characters on one line.", maxTitle)
	case w.Body == nil || len(*w.Body) > maxBody || strings.Contains(*w.Body, "\x00"):
		return fault.New(fault.Invalid, "article_invalid", "An article needs a body, \"\" for an empty one, of up to %d bytes of text.", maxBody)
	}
	return nil
}

// createArticle makes the caller the author of a new article.
func (d Deps) createArticle(c *gin.Context) error {
	var in written
	if err := web.JSON(c, &in); err != nil {
		return err
	}
	if err := in.check(); err != nil {
		return err
	}
	now := d.Now().UTC().Truncate(time.Millisecond)
	a := articles.Article{
		ID: d.NewID(), Author: web.CallerOf(c).User.ID, Title: *in.Title, Body: *in.Body, Published: in.Published, CreatedAt: now, UpdatedAt: now, V: 1,
	}
	if err := d.Articles.InsertArticle(c.Request.Context(), a); err != nil {
		return err
	}
	d.note(c, "article.create", a)
	c.Header("Location", web.Path(c, "/articles/"+a.ID))
	c.JSON(http.StatusCreated, a)
	return nil
}

// putArticle replaces title, body and published of the version that the caller has read; the author stays.
func (d Deps) putArticle(c *gin.Context) error {
	a, err := d.found(c, editArticle)
	if err != nil {
		return err
	}
	var in written
	if err := web.JSON(c, &in); err != nil {
		return err
	}
	if err := in.check(); err != nil {
		return err
	}
	if in.V != a.V {
		return fault.New(fault.Conflict, "article_changed", "The article has version %d, and v is %d: read it again.", a.V, in.V)
	}
	a.Title, a.Body, a.Published, a.UpdatedAt = *in.Title, *in.Body, in.Published, d.Now().UTC().Truncate(time.Millisecond)
	if err := d.Articles.ReplaceArticle(c.Request.Context(), a); err != nil {
		return err
	}
	a.V++
	d.note(c, "article.edit", a)
	c.JSON(http.StatusOK, a)
	return nil
}

// deleteArticle removes the version that was judged, and no other one: an article that is published meanwhile stays.
func (d Deps) deleteArticle(c *gin.Context) error {
	a, err := d.found(c, deleteArticle)
	if err != nil {
		return err
	}
	if err := d.Articles.DeleteArticle(c.Request.Context(), a.ID, a.V); err != nil {
		return err
	}
	d.note(c, "article.delete", a)
	c.Status(http.StatusNoContent)
	return nil
}

func (d Deps) note(c *gin.Context, action string, a articles.Article) {
	d.Audit.Record(c.Request.Context(), audit.Event{Action: action, Actor: web.CallerOf(c).User.ID, Target: a.ID, Outcome: "done"})
}
