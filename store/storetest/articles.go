package storetest

import (
	"fmt"
	"slices"
	"testing"

	"example.com/broker/internal/fault"
	"example.com/broker/samples/articles"
)

func testArticles(t *testing.T, f *Fixture) {
	s, ctx := f.Stores.Articles, t.Context()

	t.Run("every field of an article is stored", func(t *testing.T) {
		a := filled[articles.Article]("wide")
		done(t, s.InsertArticle(ctx, a))
		same(t, a, must(s.GetArticle(ctx, a.ID))(t))
	})
	t.Run("an unknown article is not found", func(t *testing.T) {
		refused(s.GetArticle(ctx, "none"))(t, fault.NotFound, "article_unknown")
		fails(t, s.ReplaceArticle(ctx, articles.Article{ID: "none"}), fault.NotFound, "article_unknown")
		fails(t, s.DeleteArticle(ctx, "none", 0), fault.NotFound, "article_unknown")
		refused(s.GetArticle(ctx, "none"))(t, fault.NotFound, "article_unknown")
	})
	t.Run("an id in use is refused and its article kept", func(t *testing.T) {
		done(t, s.InsertArticle(ctx, articles.Article{ID: "a", Title: "first"}))
		fails(t, s.InsertArticle(ctx, articles.Article{ID: "a", Title: "second"}), fault.Conflict, "article_exists")
		same(t, articles.Article{ID: "a", Title: "first"}, must(s.GetArticle(ctx, "a"))(t))
	})
	t.Run("a replacement raises V by one, and one of an old version is refused", func(t *testing.T) {
		a := articles.Article{ID: "a", Title: "second", Published: true}
		done(t, s.ReplaceArticle(ctx, a))
		fails(t, s.ReplaceArticle(ctx, articles.Article{ID: "a", Title: "stale"}), fault.Conflict, "article_changed")
		a.V = 1
		same(t, a, must(s.GetArticle(ctx, "a"))(t))
	})
	t.Run("an old version is not deleted, the current one is, once", func(t *testing.T) {
		fails(t, s.DeleteArticle(ctx, "a", 0), fault.Conflict, "article_changed")
		must(s.GetArticle(ctx, "a"))(t)
		done(t, s.DeleteArticle(ctx, "a", 1))
		refused(s.GetArticle(ctx, "a"))(t, fault.NotFound, "article_unknown")
		fails(t, s.DeleteArticle(ctx, "a", 1), fault.NotFound, "article_unknown")
	})
	t.Run("pages follow each other by id without gap or repeat", func(t *testing.T) {
		ids := []string{"~é", "~a", "~B", "~b", "~A", "~"}
		for _, id := range ids {
			done(t, s.InsertArticle(ctx, articles.Article{ID: id}))
		}
		slices.Sort(ids)
		var got []string
		for after := "zzz"; ; after = got[len(got)-1] {
			page := must(s.ListArticles(ctx, after, 4))(t)
			for _, a := range page {
				got = append(got, a.ID)
			}
			if len(page) < 4 {
				break
			}
		}
		same(t, ids, got)
		if n := len(must(s.ListArticles(ctx, "", 0))(t)) + len(must(s.ListArticles(ctx, "", -1))(t)); n != 0 {
			t.Fatalf("pages of no length hold %d", n)
		}
	})
}

func testArticleRaces(t *testing.T, f *Fixture) {
	s, ctx := f.Stores.Articles, t.Context()

	t.Run("of many who replace one version one does", func(t *testing.T) {
		done(t, s.InsertArticle(ctx, articles.Article{ID: "raced"}))
		errs := race(racers, func(i int) error { return s.ReplaceArticle(ctx, articles.Article{ID: "raced", Title: fmt.Sprint(i)}) })
		winner := oneWins(t, errs, fault.Conflict, "article_changed")
		same(t, articles.Article{ID: "raced", Title: fmt.Sprint(winner), V: 1}, must(s.GetArticle(ctx, "raced"))(t))
	})
	t.Run("of many who delete one version one does", func(t *testing.T) {
		errs := race(racers, func(int) error { return s.DeleteArticle(ctx, "raced", 1) })
		oneWins(t, errs, fault.NotFound, "article_unknown")
	})
}
