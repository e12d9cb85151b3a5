package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"example.com/broker/config"
	"example.com/broker/dev"
	"example.com/broker/guide/openapi"
	"example.com/broker/internal/fault"
	"example.com/broker/oauth"
	"example.com/broker/verify"
)

// devOptions are the flags of `broker dev`, and what it reads and writes.
type devOptions struct {
	listen, demoListen string
	// listenGiven and demoGiven: somebody asked for the address; otherwise another port will do.
	listenGiven, demoGiven bool
	data, config           string
	container              bool
	environ                []string
	out, err               io.Writer
}

func newDevCommand() *cobra.Command {
	var o devOptions
	c := &cobra.Command{
		Use:   "dev",
		Short: "Run everything on this computer: the broker, a local GitHub and Google, a demo app and its API",
		Long: "Run everything on this computer, with nothing to set up: the broker, a local GitHub and Google, a demo app and its API.\n" +
			"Keys, passwords, ports and people are made once and kept in the data folder. A broker.yaml is merged if there is one.",
		Args: arguments(),
		RunE: func(c *cobra.Command, _ []string) error {
			o.listenGiven, o.demoGiven = c.Flags().Changed("listen"), c.Flags().Changed("demo-listen")
			o.environ, o.out, o.err = os.Environ(), c.OutOrStdout(), c.ErrOrStderr()
			return runDev(c.Context(), o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.listen, "listen", "127.0.0.1:8080", "address of the broker, on loopback; port 0 for a free one, which is kept")
	f.StringVar(&o.demoListen, "demo-listen", "127.0.0.1:8081", "address of the demo app, on loopback; port 0 for a free one, which is kept")
	f.StringVar(&o.data, "data", "", "data folder (default: broker/dev in the user's cache)")
	f.StringVarP(&o.config, "config", "c", "", "configuration file to merge (default: broker.yaml in the working directory, if there is one)")
	f.BoolVar(&o.container, "container", false, "listen on all addresses, for a container; only the hosts localhost, 127.0.0.1 and [::1] are served")
	return c
}

// The servers, as they are named in the data folder and in messages, and the ports that are tried first where none is remembered.
const (
	devBroker = "broker"
	devDemo   = "demo app"
	devGitHub = "local GitHub"
	devGoogle = "local Google"
	devOps    = "listener for operators"

	devGitHubPort = 8082
	devGooglePort = 8083
	devOpsPort    = 8084

	devReady = 20 * time.Second

	// devDatabase is the MongoDB database of dev unless the configuration names one.
	devDatabase = "broker_dev"
)

// devRun is one run of `broker dev`, put together step by step.
type devRun struct {
	devOptions
	cfg      config.Config
	sources  config.Sources
	problems []config.Problem

	folder         *dev.Folder
	ports          map[string]dev.Listening
	feed           *verify.Feed
	github, google *dev.Upstream // nil where the configuration names the real one
	about          dev.Description
}

func runDev(ctx context.Context, o devOptions) error {
	r := &devRun{devOptions: o}
	wishes, err := r.wishes()
	if err != nil {
		return &usageError{err.Error(), "broker dev"}
	}
	r.cfg, r.sources, r.problems = config.Load(config.LoadOptions{File: config.FindFile(o.config), Environ: o.environ, Dev: true})
	if o.data == "" {
		if r.data, err = dev.DefaultDir(); err != nil {
			return err
		}
	}
	if r.folder, err = dev.Open(r.data); err != nil {
		return err
	}
	// Before anything in the folder changes: on MongoDB no file of the store is locked.
	if other, err := dialControl(ctx, socketIn(r.folder.Path())); err == nil {
		return errors.Join(r.explain(errFolderTaken), other.close(ctx))
	}
	if r.ports, err = r.folder.Listen(ctx, append(wishes, r.upstreamWishes()...)...); err != nil {
		return r.explain(cmp.Or(r.locked(ctx), err))
	}
	if err := r.configure(); err != nil {
		r.close()
		return err
	}
	log := newLogger(o.err, r.cfg.Log)
	for _, w := range r.problems {
		log.Warn("configuration", "where", w.Where, "key", w.Key, "text", w.Text)
	}
	p, err := newProgram(ctx, r.cfg, options{log: log, now: time.Now, dev: true, demo: r.about.DemoURL, hosts: dev.Hosts()})
	if err != nil {
		r.close()
		return r.explain(err)
	}
	return r.serve(ctx, p)
}

func (r *devRun) close() {
	for _, l := range r.ports {
		l.Close()
	}
}

// wishes are the listeners that there always are.
func (r *devRun) wishes() ([]dev.Wish, error) {
	var problems []error
	wish := func(name, flag, value string, given bool) dev.Wish {
		host, port, err := dev.ParseListen(flag, value)
		if err != nil {
			problems = append(problems, err)
		}
		w := dev.Wish{Name: name, Flag: flag + " " + value, Host: host, Port: port}
		if !given {
			w.Port, w.Default = 0, port
		}
		if r.container {
			w.Host = ""
		}
		return w
	}
	broker := wish(devBroker, "--listen", r.listen, r.listenGiven)
	demo := wish(devDemo, "--demo-listen", r.demoListen, r.demoGiven)
	// People are sent to http://localhost, which is [::1] too where there is one: nobody else may answer there.
	if broker.Host == "127.0.0.1" {
		broker.Host = "localhost"
	}
	return []dev.Wish{broker, demo, r.wish(devOps, devOpsPort)}, errors.Join(problems...)
}

func (r *devRun) wish(name string, port int) dev.Wish {
	w := dev.Wish{Name: name, Host: "127.0.0.1", Default: port}
	if r.container {
		w.Host = ""
	}
	return w
}

func (r *devRun) upstreamWishes() []dev.Wish {
	var out []dev.Wish
	if isLocal(r.cfg, config.KindGitHub) {
		out = append(out, r.wish(devGitHub, devGitHubPort))
	}
	if isLocal(r.cfg, config.KindGoogle) {
		out = append(out, r.wish(devGoogle, devGooglePort))
	}
	return out
}

// isLocal reports whether the configuration leaves GitHub or Google to dev: it may have a name or a linking rule for it, and has no
// registration at the real one.
func isLocal(c config.Config, id string) bool {
	p := c.Providers[id]
	return (p.Kind == "" || p.Kind == id) && p.ClientID == "" && p.ClientSecret == "" && p.Issuer == "" && p.AuthURL == "" && !p.Disabled
}

// configure adds what dev brings along to what the developer has configured, and refuses the whole with every problem of it.
func (r *devRun) configure() error {
	c := &r.cfg
	r.notices()
	r.about = dev.Description{
		Issuer: "http://localhost:" + r.port(devBroker), DemoURL: r.base(devDemo), OpsURL: r.base(devOps),
		Upstreams: map[string]string{config.KindGitHub: r.real(config.KindGitHub), config.KindGoogle: r.real(config.KindGoogle)},
		Users:     r.folder.Accounts(), PID: os.Getpid(),
	}
	c.Issuer, c.Listen, c.TLS, c.Ops.Listen = r.about.Issuer, "127.0.0.1:"+r.port(devBroker), config.TLS{}, "127.0.0.1:"+r.port(devOps)
	if c.Store.SQLite = config.Default().Store.SQLite; c.Store.Mongo.URI == "" {
		c.Store.SQLite.Path = r.folder.Database()
	} else if r.sources.Of("store.mongo.database") == "default" {
		// The people of dev must not appear in a database that somebody else runs on.
		c.Store.Mongo.Database = devDatabase
	}
	c.Keys.Encryption, c.TrustedProxies = []string{r.folder.EncryptionKey()}, nil
	if r.sources.Of("api_keys.query") == "default" {
		c.APIKeys.Query = true
	}
	if r.sources.Of("revocation.feed") == "default" {
		c.Revocation.Feed = config.FeedAnyone
	}
	if c.Password.DefaultClient == "" && c.Password.Enabled {
		c.Password.DefaultClient = dev.CLIClient
	}
	if err := r.addUpstreams(); err != nil {
		return err
	}
	more := append(r.addDemo(), r.addDocs()...)
	r.problems = r.sources.Join(r.problems, append(more, config.Validate(*c, true)...))
	if config.Failed(r.problems) {
		return &configError{r.problems}
	}
	return nil
}

func (r *devRun) port(name string) string { return strconv.Itoa(r.ports[name].Port) }

// base is an address on 127.0.0.1 and not on localhost, since browsers send the cookies of a host to all of its ports.
func (r *devRun) base(name string) string { return "http://127.0.0.1:" + r.port(name) }

func (r *devRun) real(id string) string {
	if r.cfg.Providers[id].Disabled {
		return dev.Off
	}
	return dev.Real
}

// notices says which settings are for `broker serve` and do nothing here.
func (r *devRun) notices() {
	for _, key := range []string{
		"issuer", "listen", "tls.cert_file", "tls.key_file", "ops.listen", "store.sqlite.path", "trusted_proxies", "keys.encryption",
	} {
		if where := r.sources.Of(key); where != "default" {
			fmt.Fprintf(r.err, "%s  %s is for `broker serve`: dev has its own\n", where, key)
		}
	}
}

func (r *devRun) addUpstreams() error {
	c := &r.cfg
	if c.Providers == nil {
		c.Providers = map[string]config.Provider{}
	}
	callback := r.about.Issuer + "/callback/"
	if _, ok := r.ports[devGitHub]; ok {
		u := r.folder.GitHub(r.base(devGitHub), callback+config.KindGitHub, time.Now)
		p := c.Providers[config.KindGitHub]
		p.Kind, p.ClientID, p.ClientSecret, p.AllowPrivate, p.Namespace = config.KindGitHub, u.ClientID, u.ClientSecret, true, "local:github"
		p.AuthURL, p.TokenURL, p.APIURL = dev.GitHubAddresses(u.Base)
		c.Providers[config.KindGitHub], r.github, r.about.Upstreams[config.KindGitHub] = p, &u, u.Base
	}
	if _, ok := r.ports[devGoogle]; ok {
		u, err := r.folder.Google(r.base(devGoogle), callback+config.KindGoogle, time.Now)
		if err != nil {
			return err
		}
		p := c.Providers[config.KindGoogle]
		p.Kind, p.ClientID, p.ClientSecret, p.AllowPrivate, p.Namespace = config.KindGoogle, u.ClientID, u.ClientSecret, true, "local:google"
		p.Issuer = u.Base
		c.Providers[config.KindGoogle], r.google, r.about.Upstreams[config.KindGoogle] = p, &u, u.Base
	}
	return nil
}

// addDemo registers the demo's API and clients. One that the configuration has under the same id is a problem: neither of the two may
// quietly stand for the other.
func (r *devRun) addDemo() []config.Problem {
	c := &r.cfg
	var problems []config.Problem
	if c.APIs == nil {
		c.APIs = map[string]config.API{}
	}
	if c.Clients == nil {
		c.Clients = map[string]config.Client{}
	}
	if _, taken := c.APIs[dev.DemoAPI]; taken {
		problems = append(problems, config.Problem{Key: "apis." + dev.DemoAPI, Text: "is the id of the demo's API in `broker dev`: choose another id"})
	}
	api := config.API{Audience: r.about.DemoURL + "/api", Scopes: []string{"demo:read", "demo:write"}}
	c.APIs[dev.DemoAPI] = api
	r.about.APIs = []dev.Resource{{ID: dev.DemoAPI, Audience: api.Audience}}
	for _, demo := range r.demoClients() {
		if _, taken := c.Clients[demo.id]; taken {
			problems = append(problems, config.Problem{Key: "clients." + demo.id, Text: "is the id of a client of `broker dev`: choose another id"})
		}
		c.Clients[demo.id] = demo.Client
		r.about.Clients = append(r.about.Clients, dev.Application{
			ClientID: demo.id, ClientSecret: demo.Secret, RedirectURIs: append([]string{}, demo.RedirectURIs...), GrantTypes: demo.GrantTypes,
			FirstParty: demo.FirstParty,
		})
	}
	return problems
}

// addDocs registers the client of the page /docs; one that the configuration names comes back to another issuer. It is not among the
// demo's: nobody but that page uses it.
func (r *devRun) addDocs() []config.Problem {
	c := &r.cfg
	if !c.Tools.Docs {
		return nil
	}
	c.Tools.DocsClient = dev.DocsClient
	_, taken := c.Clients[dev.DocsClient]
	c.Clients[dev.DocsClient] = config.Client{
		Name: "API documentation", FirstParty: true, GrantTypes: []string{oauth.GrantAuthorizationCode, oauth.GrantRefreshToken},
		RedirectURIs: []string{r.about.Issuer + openapi.RedirectPath},
	}
	if taken {
		return []config.Problem{{Key: "clients." + dev.DocsClient, Text: "is the id of a client of `broker dev`: choose another id"}}
	}
	return nil
}

type demoClient struct {
	id string
	config.Client
}

func (r *devRun) demoClients() []demoClient {
	origins := []string{r.about.DemoURL, "http://localhost:" + r.port(devDemo)}
	spa := config.Client{
		Name: "Demo app", FirstParty: true, GrantTypes: []string{oauth.GrantAuthorizationCode, oauth.GrantRefreshToken},
		APIs: []string{dev.DemoAPI}, LoopbackAnyPort: true,
	}
	for _, o := range origins {
		spa.RedirectURIs = append(spa.RedirectURIs, o+"/callback")
		spa.PostLogout = append(spa.PostLogout, o+"/")
	}
	return []demoClient{
		{dev.SPAClient, spa},
		// It may ask for every API, so that one's own can be tried by curl and `broker token` without a client of one's own.
		{dev.CLIClient, config.Client{
			Name: "Demo on the command line", FirstParty: true, GrantTypes: []string{oauth.GrantPassword, oauth.GrantRefreshToken},
			APIs: slices.Sorted(maps.Keys(r.cfg.APIs)),
		}},
		{dev.ServiceClient, config.Client{
			Name: "Demo service", Secret: r.folder.ServiceSecret(), GrantTypes: []string{oauth.GrantClientCredentials},
			APIs: []string{dev.DemoAPI}, Introspect: "any",
		}},
	}
}

// locked returns store_locked if another process has the folder open: then a port that is taken is no news.
func (r *devRun) locked(ctx context.Context) error {
	s, err := openStore(ctx, config.Store{SQLite: config.SQLite{Path: r.folder.Database()}}, options{log: slog.New(slog.DiscardHandler), now: time.Now})
	if err == nil {
		err = s.Close()
	}
	if fault.CodeOf(err) == "store_locked" {
		return err
	}
	return nil
}

var errFolderTaken = fault.New(fault.Conflict, "store_locked", "another broker answers in this folder")

// explain puts a failed start into words.
func (r *devRun) explain(err error) error {
	if fault.CodeOf(err) == "store_locked" {
		return fmt.Errorf("another process has the data folder %s open: stop it, or name another folder with --data", r.folder.Path())
	}
	return err
}

// serve runs everything until ctx ends.
func (r *devRun) serve(ctx context.Context, p *program) error {
	servers, err := r.settle(ctx, p)
	if err != nil {
		r.close()
		return errors.Join(err, p.stores.Close())
	}
	// The socket is in the folder on MongoDB too: it is what keeps a second process out of it there.
	control, err := p.listenControl(ctx, socketIn(r.folder.Path()))
	if err != nil {
		r.close()
		return errors.Join(err, p.stores.Close())
	}
	servers = append(servers, control)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- p.run(ctx, servers...) }()
	go func() { _ = r.feed.Run(ctx) }() // ends with ctx and has logged what went wrong
	err = r.announce(ctx)
	if err != nil && ctx.Err() == nil {
		stop()
		return errors.Join(err, <-ended)
	}
	// What no longer answers must not look to the next script as if it did.
	return errors.Join(<-ended, r.folder.Unpublish())
}

// settle does what needs the store to be ours, and returns what is to be served.
func (r *devRun) settle(ctx context.Context, p *program) ([]listening, error) {
	if err := r.folder.Unpublish(); err != nil {
		return nil, err
	}
	ports := map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(r.ports)) {
		ports[name] = r.ports[name].Port
		if notice := r.ports[name].Notice; notice != "" {
			fmt.Fprintln(r.err, notice)
		}
	}
	if err := r.folder.Remember(ports); err != nil {
		return nil, err
	}
	if err := r.folder.Settle(ctx, p.users); err != nil {
		return nil, err
	}
	handlers, err := r.handlers(p)
	if err != nil {
		return nil, err
	}
	var servers []listening
	for name, handler := range handlers {
		for _, l := range r.ports[name].Listeners {
			servers = append(servers, listening{l, handler})
		}
	}
	return servers, nil
}

func (r *devRun) handlers(p *program) (map[string]http.Handler, error) {
	keys, err := verify.Remote("", verify.RemoteOptions{Issuer: r.about.Issuer})
	if err != nil {
		return nil, err
	}
	var buttons []string
	for _, id := range []string{config.KindGitHub, config.KindGoogle} {
		if _, err := p.providers.Get(id); err == nil {
			buttons = append(buttons, id)
		}
	}
	// The demo API learns of revocations as any other API does: by the feed, as a client of its own.
	r.feed, err = verify.NewFeed(verify.FeedOptions{
		URL: r.about.Issuer + "/revocations", Issuer: r.about.Issuer, Keys: keys, ClientID: dev.ServiceClient, ClientSecret: r.folder.ServiceSecret(), Log: p.log,
	})
	if err != nil {
		return nil, err
	}
	demo, err := dev.Demo(dev.DemoOptions{
		Issuer: r.about.Issuer, Audience: r.about.APIs[0].Audience, Keys: keys, Revocations: r.feed, Now: time.Now, Providers: buttons,
	})
	if err != nil {
		return nil, err
	}
	out := map[string]http.Handler{devBroker: p.edge, devDemo: demo, devOps: dev.OnlyLocal(p.ops())}
	if r.github != nil {
		out[devGitHub] = r.github.Handler
	}
	if r.google != nil {
		out[devGoogle] = r.google.Handler
	}
	return out, nil
}

// announce waits until everything answers, then tells scripts and people.
func (r *devRun) announce(ctx context.Context) error {
	check, cancel := context.WithTimeout(ctx, devReady)
	defer cancel()
	addresses := []string{r.about.Issuer + "/.well-known/openid-configuration", r.about.DemoURL + "/config.json", r.about.OpsURL + "/readyz"}
	for _, u := range []*dev.Upstream{r.github, r.google} {
		if u != nil {
			addresses = append(addresses, u.Base+"/favicon.ico")
		}
	}
	for _, a := range addresses {
		if err := answers(check, a); err != nil {
			return err
		}
	}
	if err := r.feed.Poll(check); err != nil {
		return fmt.Errorf("the demo API cannot follow the revocation feed: %w", err)
	}
	if err := r.folder.Publish(r.about); err != nil {
		return err
	}
	_, err := dev.Banner{Description: r.about, Version: version, Data: r.folder.Path(), Pages: r.pages(), Color: colored(r.out, r.environ)}.WriteTo(r.out)
	return err
}

// pages are those that explain and are switched on.
func (r *devRun) pages() []string {
	var out []string
	for _, p := range []struct {
		on   bool
		path string
	}{{r.cfg.Tools.Guide, "/guide"}, {r.cfg.Tools.Docs, "/docs"}, {r.cfg.Tools.JWT, "/tools/jwt"}, {r.cfg.Tools.Policy, "/tools/policy"}} {
		if p.on {
			out = append(out, p.path)
		}
	}
	return out
}

// answers returns once an address answers 200.
func answers(ctx context.Context, address string) error {
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			err = resp.Body.Close()
			if resp.StatusCode == http.StatusOK && err == nil {
				return nil
			}
			err = errors.Join(fmt.Errorf("%s answers %s", address, resp.Status), err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until everything answers: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// colored reports whether colour is wanted where out leads: on a terminal, unless NO_COLOR says no (no-color.org).
func colored(out io.Writer, environ []string) bool {
	for _, line := range environ {
		if name, value, _ := strings.Cut(line, "="); name == "NO_COLOR" && value != "" || name == "TERM" && value == "dumb" {
			return false
		}
	}
	return isTerminal(out)
}
