package main

import (
	"context"
	"fmt"
	"os"

	"example.com/broker/abac"
	"example.com/broker/access"
	"example.com/broker/internal/changes"
	"example.com/broker/samples"
)

// buildPolicies compiles what applications decide by, and lets the guard ask the policies beside the roles.
func (p *program) buildPolicies(ctx context.Context) error {
	var fixed map[string]abac.Set
	if dir := p.cfg.Policies.Dir; dir != "" {
		var err error
		if fixed, err = abac.ReadAll(os.DirFS(dir), "."); err != nil {
			return fmt.Errorf("policies.dir: %w", err)
		}
	}
	var err error
	p.policies, err = abac.NewService(abac.Options{
		Store: p.stores.Policies, Fixed: fixed, Defaults: abac.Defaults(), Audit: p.audit, Log: p.log, Now: p.now,
		Announce: func(ctx context.Context, app string, v int64) error {
			return p.follow.Append(ctx, changes.Entry{Kind: changes.PoliciesVersion, Key: app, Value: v})
		},
	})
	if err != nil {
		return fmt.Errorf("policies: %w", err)
	}
	p.follow.On(changes.PoliciesVersion, func(e changes.Entry) { p.policies.Heard(e.Key, e.Value) })
	if err := p.policies.Check(ctx); err != nil {
		return err
	}
	p.access = p.access.With(access.Options{
		Policies: func(ctx context.Context) (*abac.Engine, error) { return p.policies.Engine(ctx, abac.Broker) },
		Sources:  map[string]access.EntitySource{samples.ArticleType: samples.ArticleSource{Store: p.stores.Articles}},
		Audit:    p.audit.Coarsely(), Log: p.log, Observe: p.metrics.Decision,
	})
	return nil
}
