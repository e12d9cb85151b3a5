package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"example.com/broker/abac"
	"example.com/broker/access"
	"example.com/broker/apikeys"
	"example.com/broker/audit"
	"example.com/broker/clients"
	"example.com/broker/config"
	"example.com/broker/internal/changes"
	"example.com/broker/internal/ratelimit"
	"example.com/broker/internal/secret"
	"example.com/broker/keys"
	"example.com/broker/lifecycle"
	"example.com/broker/ops"
	"example.com/broker/providers"
	"example.com/broker/providers/github"
	"example.com/broker/providers/oidc"
	"example.com/broker/rbac"
	"example.com/broker/sessions"
	"example.com/broker/signin"
	"example.com/broker/store"
	"example.com/broker/store/mongo"
	"example.com/broker/store/sqlite"
	"example.com/broker/tokens"
	"example.com/broker/users"
	"example.com/broker/web"
	"example.com/broker/web/pages"
	"example.com/broker/web/static"
)

const (
	version       = "0.1.0"
	shutdownGrace = 10 * time.Second
	sweepInterval = time.Minute
	// sweepMargin keeps a replica whose clock runs ahead from removing what another still counts with.
	sweepMargin = time.Hour
	startBudget = 30 * time.Second
)

// program is a wired broker. Everything it is made of is built once, in newProgram; nothing registers itself.
type program struct {
	cfg     config.Config
	issuer  *url.URL
	log     *slog.Logger
	now     func() time.Time
	dev     bool
	demo    string
	sealed  bool
	stores  *store.Stores
	follow  *changes.Follower
	audit   *audit.Log
	ring    *keys.Ring
	metrics *ops.Metrics

	seal        *secret.Sealer
	trips       *signin.Sealer
	apis        *clients.APIs
	clients     *clients.Service
	users       *users.Service
	roles       *rbac.Roles
	rules       *rbac.Rules
	sessions    *sessions.Manager
	lifecycle   *lifecycle.Service
	apikeys     *apikeys.Service
	policies    *abac.Service
	access      *access.Guard
	providers   *providers.Registry
	revocations *tokens.Revocations
	grants      *tokens.Grants
	tokens      *tokens.Issuer
	verifier    *tokens.Verifier
	feed        *tokens.Feed
	hints       *tokens.Hints
	edge        *web.Edge
}

// options are what differs between serve, dev and tests.
type options struct {
	log *slog.Logger
	now func() time.Time
	dev bool
	// demo is the address of the demo app, "" for none.
	demo string
	// sealed builds a program also where no encryption key opens the signing keys, for the command that replaces them.
	sealed bool
	// hosts limits the host names served; nil for all.
	hosts []string
	// between lets tests stand between the broker and its store; nil for nobody.
	between func(*store.Stores) *store.Stores
}

// newProgram opens the store and builds everything on it; the caller closes it. The change stream has been read once and the signing
// keys are there when it returns.
func newProgram(ctx context.Context, cfg config.Config, o options) (_ *program, err error) {
	ctx, cancel := context.WithTimeout(ctx, startBudget)
	defer cancel()
	p := &program{cfg: cfg, log: o.log, now: o.now, dev: o.dev, demo: o.demo, sealed: o.sealed, metrics: ops.NewMetrics()}
	if p.issuer, err = url.Parse(cfg.Issuer); err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	if p.stores, err = openStore(ctx, cfg.Store, o); err != nil {
		return nil, err
	}
	if o.between != nil {
		p.stores = o.between(p.stores)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.stores.Close())
		}
	}()
	build := []func(context.Context) error{p.buildFoundations, p.buildPeople, p.buildPolicies, p.buildTokens, p.start}
	for _, step := range build {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	if err := p.buildEdge(o.hosts); err != nil {
		return nil, err
	}
	return p, nil
}

func openStore(ctx context.Context, c config.Store, o options) (*store.Stores, error) {
	if c.Mongo.URI != "" {
		return mongo.Open(ctx, mongo.Options{URI: c.Mongo.URI, Database: c.Mongo.Database, Now: o.now, Log: o.log})
	}
	return sqlite.Open(ctx, sqlite.Options{Path: c.SQLite.Path, Now: o.now, Log: o.log})
}

// tokenLife is the longest life of an access token of any API.
func (p *program) tokenLife() time.Duration {
	life := p.cfg.Tokens.AccessTTL
	for _, a := range p.cfg.APIs {
		life = max(life, a.AccessToken.TTL)
	}
	return life
}

func (p *program) buildFoundations(context.Context) error {
	var encryption [][]byte
	for i, text := range p.cfg.Keys.Encryption {
		key, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return fmt.Errorf("keys.encryption[%d]: not base64", i)
		}
		encryption = append(encryption, key)
	}
	var err error
	if p.seal, err = secret.NewSealer(encryption...); err != nil {
		return fmt.Errorf("keys.encryption: %w", err)
	}
	p.trips = signin.NewSealer(p.seal, p.now)
	p.audit = audit.NewLog(p.stores.Audit, p.now, p.log)
	p.follow = changes.New(p.stores.Changes, changes.Options{Now: p.now, Log: p.log})
	p.revocations = tokens.NewRevocations(p.follow, p.now)
	p.lifecycle = lifecycle.New(lifecycle.Options{
		Changes: p.follow, Sessions: p.stores.Sessions, Audit: p.audit, Now: p.now,
		TokenLife: p.tokenLife(), GrantLife: max(p.cfg.Tokens.RefreshAbsolute, p.cfg.Sessions.Absolute),
	})
	p.ring, err = keys.NewRing(keys.Options{
		Store: p.stores.Keys, Sealer: p.seal, Now: p.now, Changes: p.follow, Log: p.log, Algs: p.algorithms(),
		RotateEvery: p.cfg.Keys.RotateEvery, PublishAhead: p.cfg.Keys.PublishAhead, TokenLife: max(p.tokenLife(), tokens.DefaultIDLife),
	})
	return err
}

// algorithms are those that must have a key: ES256 for access tokens, RS256 for ID tokens, and what an API or a client asks for.
func (p *program) algorithms() []string {
	algs := []string{keys.ES256, keys.RS256}
	add := func(alg string) {
		if alg != "" && !slices.Contains(algs, alg) {
			algs = append(algs, alg)
		}
	}
	for _, a := range p.cfg.APIs {
		add(a.AccessToken.Alg)
	}
	for _, c := range p.cfg.Clients {
		add(c.IDTokenAlg)
	}
	return algs
}

func (p *program) buildPeople(ctx context.Context) error {
	if err := p.buildRoles(ctx); err != nil {
		return err
	}
	if err := p.buildAPIs(ctx); err != nil {
		return err
	}
	p.clients = clients.NewService(clients.Options{
		Store: p.stores.Clients, Fixed: p.cfg.RegisteredClients(), APIs: p.apis, Now: p.now, End: p.lifecycle.EndClient,
		Announce: func(ctx context.Context, id string, v int64) error {
			return p.follow.Append(ctx, changes.Entry{Kind: changes.ClientVersion, Key: id, Value: v})
		},
	})
	p.follow.On(changes.ClientVersion, func(e changes.Entry) { p.clients.Heard(e.Key, e.Value) })
	if err := p.clients.Check(ctx); err != nil {
		return err
	}
	upstreams := p.cfg.RegisteredProviders(p.now)
	for i := range upstreams {
		id := upstreams[i].ID
		upstreams[i].Ask = func(claim string) []string { return p.rules.Values(id, claim) }
	}
	var problems []error
	p.providers, problems = providers.NewRegistry(map[string]providers.Factory{
		"github": github.New, "google": oidc.NewGoogle, "oidc": oidc.New,
	}, upstreams)
	if len(problems) > 0 {
		return errors.Join(problems...)
	}
	hasher, err := users.NewHasher(users.HasherOptions{})
	if err != nil {
		return err
	}
	p.users, err = users.New(users.Options{
		Store: p.stores.Users, Admins: p.stores.Admins, Limiter: ratelimit.NewLimiter(p.stores.Limits, p.now), Hasher: hasher, Now: p.now,
		DefaultRole: p.cfg.Registration.DefaultRole, SupportContact: p.cfg.Product.Support, BootstrapAdmins: p.cfg.Bootstrap.Admins,
		Passwords: users.PasswordPolicy{MinLength: p.cfg.Password.MinLength, Words: []string{p.cfg.Product.Name}},
		Usable: func(l users.Linked) bool {
			_, err := p.providers.Get(l.Provider)
			return err == nil
		},
		Heard:         func(id string) int64 { return max(p.revocations.UserVer(id), p.revocations.UserEpoch(id)) },
		BeforeVersion: p.lifecycle.BeforeVersion, BeforeEpoch: p.lifecycle.BeforeEpoch, Audit: p.audit, AuditLimited: p.audit.Coarsely(),
		Roles: p.roles, Rules: p.rules,
	})
	if err != nil {
		return err
	}
	p.follow.On(changes.UserVersion, func(e changes.Entry) { p.users.Invalidate(e.Key, e.Value) })
	p.apikeys = apikeys.New(apikeys.Options{
		Store: p.stores.APIKeys, Fence: p.revocations, Audit: p.audit, Now: p.now,
		// The tokens a key was exchanged for carry its id as their grant, so they end with it.
		Announce: func(ctx context.Context, id string, until time.Time) error {
			return p.follow.Append(ctx,
				changes.Entry{Kind: changes.RevokedAPIKey, Key: id, Value: 1, Until: until},
				changes.Entry{Kind: changes.RevokedGrant, Key: id, Value: 1, Until: until.Add(p.tokenLife())})
		},
	})
	p.access = access.NewGuard(p.roles.Sets)
	p.sessions = sessions.NewManager(sessions.Options{
		Store: p.stores.Sessions, Fence: p.revocations, Now: p.now, Idle: p.cfg.Sessions.Idle, Absolute: p.cfg.Sessions.Absolute,
	})
	return nil
}

// buildRoles reads what roles may do and which rules give them; both are followed from then on.
func (p *program) buildRoles(ctx context.Context) error {
	follow := func(kind changes.Kind, heard func(int64)) rbac.Options {
		p.follow.On(kind, func(e changes.Entry) { heard(e.Value) })
		return rbac.Options{Store: p.stores.RBAC, Now: p.now, Announce: func(ctx context.Context, v int64) error {
			return p.follow.Append(ctx, changes.Entry{Kind: kind, Key: string(kind), Value: v})
		}}
	}
	p.roles = rbac.NewRoles(follow(changes.RolesVersion, func(v int64) { p.roles.Heard(v) }))
	var err error
	if p.rules, err = rbac.NewRules(follow(changes.RulesVersion, func(v int64) { p.rules.Heard(v) }), p.cfg.MappingRules(), p.roles); err != nil {
		return err
	}
	if err := p.roles.Load(ctx); err != nil {
		return err
	}
	if err := p.rules.Load(ctx); err != nil {
		return err
	}
	if role := p.cfg.Registration.DefaultRole; role != "" && !p.roles.Known(role) {
		return fmt.Errorf("registration.default_role: there is no role %q, expected one of %s", role, strings.Join(p.roles.Names(), ", "))
	}
	return nil
}

// buildAPIs reads the APIs of the store, which are followed from then on.
func (p *program) buildAPIs(ctx context.Context) error {
	fixed := p.cfg.RegisteredAPIs()
	for _, a := range fixed {
		for _, role := range a.Roles {
			if !p.roles.Known(role) {
				p.log.Warn("an API's tokens may name a role that there is not", "key", "apis."+a.ID+".roles", "role", role)
			}
		}
	}
	p.apis = clients.NewAPIs(clients.APIsOptions{
		Store: p.stores.Clients, Fixed: fixed, Now: p.now,
		Bounds: clients.APIBounds{Issuer: p.cfg.Issuer, Algs: p.algorithms(), MaxTTL: p.tokenLife(), Role: p.roles.Known},
		Announce: func(ctx context.Context, v int64) error {
			return p.follow.Append(ctx, changes.Entry{Kind: changes.APIsVersion, Key: string(changes.APIsVersion), Value: v})
		},
	})
	p.follow.On(changes.APIsVersion, func(e changes.Entry) { p.apis.Heard(e.Value) })
	return p.apis.Load(ctx)
}

func (p *program) buildTokens(context.Context) error {
	var allowed tokens.AllowStore
	if p.cfg.Revocation.Mode == config.Allowlist {
		allowed = p.stores.Allowed
	}
	var err error
	p.grants, err = tokens.NewGrants(tokens.GrantsOptions{
		Store: p.stores.Grants, Changes: p.follow, Revocations: p.revocations, Audit: p.audit, Now: p.now, Log: p.log,
		AccessLife: p.tokenLife(), IdleLife: p.cfg.Tokens.RefreshIdle, AbsoluteLife: p.cfg.Tokens.RefreshAbsolute,
		ReuseInterval: p.cfg.Tokens.ReuseInterval, Allowed: allowed,
	})
	if err != nil {
		return err
	}
	p.tokens, err = tokens.NewIssuer(tokens.IssuerOptions{
		Role: p.roles.Known,
		URL:  p.cfg.Issuer, Ring: p.ring, Now: p.now, AccessLife: p.cfg.Tokens.AccessTTL, Allowed: allowed,
	})
	if err != nil {
		return err
	}
	if p.feed, err = tokens.NewFeed(tokens.FeedOptions{Issuer: p.tokens, Revocations: p.revocations}); err != nil {
		return err
	}
	p.verifier, err = tokens.NewVerifier(tokens.VerifierOptions{
		Issuer: p.cfg.Issuer, Ring: p.ring, Revocations: p.revocations, Now: p.now,
		Shape: func(aud string) (string, bool) { a, ok := p.apis.ByAudience(aud); return a.Typ, ok }, Allowed: allowed,
	})
	p.hints = tokens.NewHints(p.cfg.Issuer, p.ring)
	return err
}

// start reads what must be known before the first answer.
func (p *program) start(ctx context.Context) error {
	if err := p.follow.Poll(ctx); err != nil {
		return fmt.Errorf("read the change stream: %w", err)
	}
	if err := p.ring.Turn(ctx); err != nil && (!p.sealed || !errors.Is(err, secret.ErrSealed)) {
		return fmt.Errorf("load the signing keys: %w", err)
	}
	return nil
}

func (p *program) buildEdge(hosts []string) error {
	assets, err := static.Load()
	if err != nil {
		return err
	}
	base := strings.TrimSuffix(p.issuer.EscapedPath(), "/")
	renderer, err := pages.New(pages.Options{
		Product: p.cfg.Product.Name, BasePath: base, DevBanner: p.dev, SupportContact: p.cfg.Product.Support, Asset: assets.URL(base + "/static"),
	})
	if err != nil {
		return err
	}
	proxies, err := prefixes(p.cfg.TrustedProxies)
	if err != nil {
		return err
	}
	table, err := p.routes(assets.Handler(base + "/static"))
	if err != nil {
		return err
	}
	p.edge, err = web.New(web.Options{
		Issuer: p.issuer, Pages: renderer, Assets: assets, Log: p.log, Now: p.now,
		NewID:         newID,
		AllowedOrigin: p.clients.AllowedOrigin, TrustedProxies: proxies, Hosts: hosts, Denials: p.audit.Coarsely(), Dev: p.dev, Observe: p.metrics.Request,
	}, table)
	return err
}

// newID makes the ids of requests and articles: in the order of their making.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

func prefixes(list []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, text := range list {
		if a, err := netip.ParseAddr(text); err == nil {
			out = append(out, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		n, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("trusted_proxies: %q is neither an address nor a network", text)
		}
		out = append(out, n.Masked())
	}
	return out, nil
}

// background runs what goes on beside requests until ctx ends.
func (p *program) background(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return ended(p.follow.Run(ctx)) })
	g.Go(func() error { return ended(p.ring.Run(ctx)) })
	g.Go(func() error { return ended(p.audit.Run(ctx)) })
	g.Go(func() error { return ended(p.sweep(ctx)) })
	return g.Wait()
}

func ended(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (p *program) sweep(ctx context.Context) error {
	tick := time.NewTicker(sweepInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			p.revocations.Sweep()
			if err := p.stores.Sweep(ctx, p.now().Add(-sweepMargin)); err != nil && ctx.Err() == nil {
				p.log.Warn("sweeping expired rows failed", "cause", err)
			}
			if err := p.trimAudit(ctx); err != nil && ctx.Err() == nil {
				p.log.Warn("removing old audit events failed", "cause", err)
			}
		}
	}
}

// How many audit events go in one write, and in how many writes of one sweep, so that neither the writer nor the sweep is held up.
const (
	trimBatch   = 500
	trimBatches = 20
)

// trimAudit removes audit events that have been kept for long enough.
func (p *program) trimAudit(ctx context.Context) error {
	if p.cfg.Audit.Keep <= 0 {
		return nil
	}
	before := p.now().Add(-p.cfg.Audit.Keep - sweepMargin)
	for range trimBatches {
		if n, err := p.stores.Audit.TrimAudit(ctx, before, trimBatch); err != nil || n < trimBatch {
			return err
		}
	}
	return nil
}

// ops is the handler of the listener for operators.
func (p *program) ops() http.Handler {
	return ops.Handler(ops.Deps{Metrics: p.metrics, AsOf: p.follow.AsOf, Ping: p.stores.Ping, Now: p.now})
}

// listening is one handler on one listener.
type listening struct {
	on      net.Listener
	handler http.Handler
}

// run serves until ctx ends, then finishes what is under way within the grace period and closes the store. Background work outlives
// the last request, so that its audit events are written.
func (p *program) run(ctx context.Context, servers ...listening) error {
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	worked := make(chan error, 1)
	go func() { worked <- p.background(work) }()
	err := serveAll(ctx, p.log, servers)
	stopWork()
	return errors.Join(err, <-worked, p.stores.Close())
}

// serveAll serves until ctx ends or a server fails.
func serveAll(ctx context.Context, log *slog.Logger, servers []listening) error {
	g, gctx := errgroup.WithContext(ctx)
	for _, s := range servers {
		srv := newServer(s.handler, log)
		g.Go(func() error {
			if err := srv.Serve(s.on); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve %s: %w", s.on.Addr(), err)
			}
			return nil
		})
		g.Go(func() error {
			<-gctx.Done()
			grace, cancel := context.WithTimeout(context.WithoutCancel(gctx), shutdownGrace-time.Second)
			defer cancel()
			if err := srv.Shutdown(grace); err != nil {
				return srv.Close()
			}
			return nil
		})
	}
	return g.Wait()
}

// newServer bounds every phase of a connection.
func newServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 90 * time.Second,
		MaxHeaderBytes: 32 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
