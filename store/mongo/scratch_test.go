package mongo

import (
	"context"
	"testing"
	"time"
	"encoding/json"
	"fmt"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"
	"github.com/google/go-cmp/cmp"

	"example.com/broker/store/mongo/mongotest"
	"example.com/broker/clients"
	"example.com/broker/users"
	"example.com/broker/tokens"
	"example.com/broker/internal/changes"
)

func TestScratch(t *testing.T) {
	ctx := t.Context()
	uri, name := mongotest.URI(t), mongotest.Database(t)
	begin := time.Now()
	s, err := Open(ctx, Options{URI: uri, Database: name, Now: time.Now})
	if err != nil { t.Fatal(err) }
	t.Log("open", time.Since(begin))
	defer s.Close()
	if err := s.Ping(ctx); err != nil { t.Error(err) }
	now := time.Now().UTC().Truncate(time.Millisecond)
	c := clients.Client{ID: "x", Providers: []string{}, Scopes: nil, Origins: []string{"a"}, CreatedAt: now}
	if err := s.Clients.InsertClient(ctx, c); err != nil { t.Fatal(err) }
	got, err := s.Clients.GetClient(ctx, "x")
	t.Log(err, cmp.Diff(c, got))
	u := users.User{ID: "u1", Username: "a", Identities: []users.Linked{{Identity: users.Identity{Namespace: "n", Subject: "s"}, LinkedAt: now}}}
	if err := s.Users.Create(ctx, u, []users.Claim{{users.ClaimIdentity, "k"}, {users.ClaimAddress, "k"}}, now); err != nil { t.Fatal(err) }
	gu, err := s.Users.Get(ctx, "u1")
	t.Log(err, cmp.Diff(u, gu))
	g := tokens.Grant{ID: "g", Claims: json.RawMessage(`{"a":1}`), Until: now, AuthTime: now}
	if err := s.Grants.InsertGrant(ctx, g); err != nil { t.Fatal(err) }
	gg, err := s.Grants.GetGrant(ctx, "g")
	t.Log(err, cmp.Diff(g, gg))
	for i := range 3 {
		err = s.Changes.Append(ctx, changes.Entry{Kind: changes.UserVersion, Key: "k:1", Value: int64(3-i), Until: now.Add(time.Hour*time.Duration(i))})
		t.Log(err)
		es, err := s.Changes.Read(ctx, 0, now)
		t.Log(err, es)
		time.Sleep(20*time.Millisecond)
	}
	err = s.Changes.Append(ctx, changes.Entry{Kind: changes.UserVersion, Key: "k:1", Value: 1})
	es, err := s.Changes.Read(ctx, 0, now)
	t.Log(err, es)
	var wg sync.WaitGroup
	counts := make([]int64, 100)
	for i := range 100 {
		wg.Go(func() {
			n, _, err := s.Limits.Increment(ctx, "a", time.Minute, now)
			if err != nil { t.Error(err) }
			counts[i] = n
		})
	}
	wg.Wait()
	t.Log(counts)
	for i := range 100 {
		wg.Go(func() {
			n, _, err := s.Limits.Increment(ctx, "a", time.Minute, now.Add(2*time.Minute))
			if err != nil { t.Error(err) }
			counts[i] = n
		})
	}
	wg.Wait()
	t.Log(counts)
	var raw bson.M
	d, _ := connect(Options{URI: uri, Database: name, Now: time.Now})
	d.c("claims").FindOne(ctx, bson.M{}).Decode(&raw)
	cur, _ := d.c("meta").Find(ctx, bson.M{})
	var all []bson.M
	cur.All(ctx, &all)
	fmt.Println(all)
	specs, err := d.data.ListCollectionSpecifications(ctx, bson.M{})
	for _, sp := range specs { fmt.Println(sp.Name, sp.Type, sp.Options) }
	ix, err := d.indexesOf(ctx, "sessions")
	fmt.Println(ix, err)
	for _, x := range ix { if x.ExpireAfterSeconds != nil { fmt.Println(x.Name, *x.ExpireAfterSeconds) } }
	begin = time.Now()
	s2, err := Open(ctx, Options{URI: uri, Database: name, Now: time.Now})
	t.Log("reopen", time.Since(begin), err)
	s2.Close()
	_ = context.Background
}
