package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"example.com/broker/audit"
	"example.com/broker/clients"
	"example.com/broker/config"
	"example.com/broker/dev"
	"example.com/broker/internal/fault"
	"example.com/broker/internal/secret"
	"example.com/broker/keys"
	"example.com/broker/rbac"
	"example.com/broker/users"
)

// verbs are what control can do, on a running broker and on a store alike.
var verbs = map[string]act{
	"user.create": actOf(createUser),
	"user.list":   actOf(listUsers),
	"user.grant":  actOf(grantRole),
	"user.revoke": actOf(onUser(func(s *users.Service, ctx context.Context, u users.User, role string) (users.User, error) {
		return s.RevokeRole(ctx, u.ID, role)
	})),
	"user.disable": actOf(onUser(func(s *users.Service, ctx context.Context, u users.User, _ string) (users.User, error) {
		return s.Disable(ctx, u.ID)
	})),
	"user.enable": actOf(onUser(func(s *users.Service, ctx context.Context, u users.User, _ string) (users.User, error) {
		return s.Enable(ctx, u.ID)
	})),
	"user.set-password": actOf(onUser(func(s *users.Service, ctx context.Context, u users.User, p string) (users.User, error) {
		return s.SetPassword(ctx, u.ID, secret.Value(p))
	})),
	"user.unlock": actOf(onUser(func(s *users.Service, ctx context.Context, u users.User, _ string) (users.User, error) {
		return s.Unlock(ctx, u.ID)
	})),
	"client.create":        actOf(noted("client.create", func(c clients.Client) string { return c.ID }, createClient)),
	"client.list":          actOf(func(ctx context.Context, p *program, _ struct{}) ([]clients.Client, error) { return p.clients.All(ctx) }),
	"client.rotate-secret": actOf(noted("client.rotate_secret", idOf, rotateSecret)),
	"client.disable":       actOf(noted("client.disable", idOf, switchClient(true))),
	"client.enable":        actOf(noted("client.enable", idOf, switchClient(false))),
	"client.delete": actOf(noted("client.delete", idOf, func(ctx context.Context, p *program, in byID) (byID, error) {
		return in, p.clients.Delete(ctx, in.ID, 0)
	})),
	"api.create": actOf(noted("api.create", func(a clients.API) string { return a.ID }, createAPI)),
	"api.list":   actOf(func(_ context.Context, p *program, _ struct{}) ([]clients.API, error) { return p.apis.All().APIs, nil }),
	"api.delete": actOf(noted("api.delete", idOf, func(ctx context.Context, p *program, in byID) (byID, error) {
		_, err := p.clients.RemoveAPI(ctx, in.ID, 0, commandLine)
		return in, err
	})),
	"key.list":        actOf(func(ctx context.Context, p *program, _ struct{}) ([]keys.Info, error) { return p.ring.List(ctx) }),
	"key.rotate":      actOf(rotateKeys),
	"key.revoke":      actOf(revokeKey),
	"audit.list":      actOf(listAudit),
	"admin.bootstrap": actOf(bootstrapAdmin),
	"policy.apply":    actOf(applyPolicies),
	"policy.list":     actOf(listPolicies),
	"policy.test":     actOf(testPolicies),
	"policy.delete":   actOf(removePolicies),
	"token.make":      actOf(makeToken),
}

// userDraft is users.NewUser with a password that can travel.
type userDraft struct {
	Username, Name, Email    string
	EmailVerified, Claimable bool
	Password                 string
	Roles                    []string
}

func createUser(ctx context.Context, p *program, d userDraft) (userView, error) {
	u, err := p.users.Create(ctx, users.NewUser{
		Username: d.Username, Name: d.Name, Email: d.Email, EmailVerified: d.EmailVerified, Claimable: d.Claimable,
		Password: secret.Value(d.Password), Roles: d.Roles,
	})
	return view(p, u), err
}

// userView is what is shown of a user.
type userView struct {
	ID            string       `json:"id"`
	Username      string       `json:"username,omitempty"`
	Name          string       `json:"name,omitempty"`
	Email         string       `json:"email,omitempty"`
	EmailVerified bool         `json:"email_verified"`
	Status        users.Status `json:"status"`
	Claimable     bool         `json:"claimable"`
	Roles         []string     `json:"roles"`
	// Ends says when the roles end that do.
	Ends map[string]time.Time `json:"role_ends,omitempty"`
	// Ways are the ways in: password, and github:583231 and the like.
	Ways      []string  `json:"ways"`
	CreatedAt time.Time `json:"created_at"`
}

func view(p *program, u users.User) userView {
	ways := []string{}
	if u.Password != "" {
		ways = append(ways, users.MethodPassword)
	}
	for _, i := range u.Identities {
		ways = append(ways, i.Provider+":"+i.Subject)
	}
	return userView{
		ID: u.ID, Username: u.Username, Name: u.Name, Email: u.Email, EmailVerified: u.EmailVerified, Status: u.Status, Claimable: u.Claimable,
		Roles: u.Roles(p.now()), Ends: rbac.Ends(u.Grants, p.now()), Ways: ways, CreatedAt: u.CreatedAt,
	}
}

type userPage struct {
	After string
	Limit int
}

func listUsers(ctx context.Context, p *program, in userPage) ([]userView, error) {
	list, err := p.users.List(ctx, in.After, in.Limit)
	out := make([]userView, len(list))
	for i, u := range list {
		out[i] = view(p, u)
	}
	return out, err
}

// userArgument is a user, by id, address or login name, and a role or a password.
type userArgument struct{ Who, What string }

func onUser(do func(s *users.Service, ctx context.Context, u users.User, what string) (users.User, error)) func(context.Context, *program, userArgument) (userView, error) {
	return func(ctx context.Context, p *program, in userArgument) (userView, error) {
		u, err := find(ctx, p, in.Who)
		if err != nil {
			return userView{}, err
		}
		u, err = do(p.users, ctx, u, in.What)
		return view(p, u), err
	}
}

// grant names a user as userArgument does, a role, and when it ends; the zero time is never.
type grant struct {
	Who, Role string
	Until     time.Time
}

func grantRole(ctx context.Context, p *program, in grant) (userView, error) {
	u, err := find(ctx, p, in.Who)
	if err != nil {
		return userView{}, err
	}
	u, err = p.users.GrantRoleUntil(ctx, u.ID, in.Role, in.Until)
	return view(p, u), err
}

func find(ctx context.Context, p *program, who string) (users.User, error) {
	u, err := p.users.Find(ctx, who)
	if fault.Is(err, fault.NotFound) {
		err = fault.Wrap(err, fault.NotFound, "user_unknown", "There is no user with the id, address or login name %q.", who)
	}
	return u, err
}

// clientAndSecret is a client with its new secret, "" for a public one.
type clientAndSecret struct {
	clients.Client
	Secret string `json:"client_secret,omitempty"`
}

func createClient(ctx context.Context, p *program, c clients.Client) (clientAndSecret, error) {
	c, key, err := p.clients.Create(ctx, c)
	return clientAndSecret{c, key.Reveal()}, err
}

// commandLine is who did it, where somebody on the machine of the broker did.
const commandLine = "command line"

// byID names a client or an API.
type byID struct{ ID string }

func idOf(x byID) string { return x.ID }

// noted records what is done to applications and APIs. What is done to people is recorded by the service that does it.
func noted[In, Out any](action string, target func(In) string, do func(context.Context, *program, In) (Out, error)) func(context.Context, *program, In) (Out, error) {
	return func(ctx context.Context, p *program, in In) (Out, error) {
		out, err := do(ctx, p, in)
		if err == nil {
			p.audit.Record(ctx, audit.Event{Action: action, Actor: commandLine, Target: target(in), Outcome: "done"})
		}
		return out, err
	}
}

func switchClient(off bool) func(context.Context, *program, byID) (clients.Client, error) {
	return func(ctx context.Context, p *program, in byID) (clients.Client, error) {
		return p.clients.SetDisabled(ctx, in.ID, off)
	}
}

func createAPI(ctx context.Context, p *program, a clients.API) (clients.API, error) {
	a, _, err := p.apis.Put(ctx, a, true, 0, commandLine)
	return a, err
}

func rotateSecret(ctx context.Context, p *program, in byID) (clientAndSecret, error) {
	c, key, err := p.clients.RotateSecret(ctx, in.ID)
	return clientAndSecret{c, key.Reveal()}, err
}

// rotation says how to rotate: at the next time that disturbs nobody, Now, or because the encryption key is Lost.
type rotation struct{ Now, Lost bool }

func rotateKeys(ctx context.Context, p *program, in rotation) (list []keys.Info, err error) {
	why := "asked for"
	switch {
	case in.Lost:
		why = "encryption key lost"
		list, err = p.ring.Replace(ctx)
	case in.Now:
		list, err = p.ring.Rotate(ctx, keys.Immediately)
	default:
		list, err = p.ring.Rotate(ctx)
	}
	for _, k := range list {
		p.recordKey(ctx, "key.rotate", k, why)
	}
	return list, err
}

func (p *program) recordKey(ctx context.Context, action string, k keys.Info, why string) {
	p.audit.Record(ctx, audit.Event{
		Action: action, Actor: commandLine, Target: k.KID, Outcome: "done", Detail: map[string]string{"alg": k.Alg, "state": string(k.State), "why": why},
	})
}

// revokedKey is a key as it was, and those of its algorithm that there are now.
type revokedKey struct {
	Revoked keys.Info   `json:"revoked"`
	Keys    []keys.Info `json:"keys"`
}

func revokeKey(ctx context.Context, p *program, in byID) (revokedKey, error) {
	before, err := p.ring.List(ctx)
	if err != nil {
		return revokedKey{}, err
	}
	if err := p.ring.RevokeKey(ctx, in.ID); err != nil {
		return revokedKey{}, err
	}
	out := revokedKey{Keys: []keys.Info{}}
	for _, k := range before {
		if k.KID == in.ID {
			out.Revoked = k
		}
	}
	p.recordKey(ctx, "key.revoke", out.Revoked, "asked for")
	after, err := p.ring.List(ctx)
	for _, k := range after {
		if k.Alg == out.Revoked.Alg {
			out.Keys = append(out.Keys, k)
		}
	}
	return out, err
}

// bootstrap names the first admin. The password is for one who has to be made.
type bootstrap struct{ Who, Password string }

// bootstrapped says whether the user was made.
type bootstrapped struct {
	userView
	Created bool `json:"created"`
}

// bootstrapAdmin makes an existing user an admin. One who does not exist is made only while there is no admin: later a mistyped name
// must not become one.
func bootstrapAdmin(ctx context.Context, p *program, in bootstrap) (bootstrapped, error) {
	u, err := find(ctx, p, in.Who)
	if err == nil {
		u, err = p.users.GrantRole(ctx, u.ID, rbac.Admin)
		return bootstrapped{view(p, u), false}, err
	}
	if !fault.Is(err, fault.NotFound) {
		return bootstrapped{}, err
	}
	switch admins, err := p.stores.Admins.Admins(ctx); {
	case err != nil:
		return bootstrapped{}, err
	case len(admins) > 0:
		return bootstrapped{}, fault.New(fault.NotFound, "user_unknown",
			"There is no user %q, and there is an admin already: name a user who exists, or make one with: broker user create --role admin.", in.Who)
	}
	n := users.NewUser{Username: in.Who, Password: secret.Value(in.Password), Roles: []string{rbac.Admin}}
	if strings.Contains(in.Who, "@") {
		n.Username, n.Email, n.EmailVerified = "", in.Who, true
	}
	u, err = p.users.Create(ctx, n)
	return bootstrapped{view(p, u), true}, err
}

// target says which broker a verb is for.
type target struct {
	config string
	data   string
	sealed bool // see options
}

func (t *target) flags(flags *pflag.FlagSet) {
	flags.StringVarP(&t.config, "config", "c", "", "configuration of the broker that is meant (default "+config.FileName+" if there is one)")
	flags.StringVar(&t.data, "data", "", "data folder `DIR` of the broker dev that is meant")
}

// with runs do on the broker that is meant: the one of --data; otherwise the one of the configuration; without a configuration that
// names an issuer, the one that `broker dev` runs in its usual folder.
func (t *target) with(cmd *cobra.Command, do func(ctx context.Context, c control) error) (err error) {
	ctx := cmd.Context()
	c, err := t.open(ctx, cmd)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close(ctx)) }()
	return do(ctx, c)
}

func (t *target) open(ctx context.Context, cmd *cobra.Command) (control, error) {
	if t.data != "" && t.config != "" {
		return nil, usageOf(cmd, "--data is for `broker dev`, --config for `broker serve`: give one of them")
	}
	if t.data != "" {
		return openDev(ctx, t.data)
	}
	file := config.FindFile(t.config)
	cfg, _, problems := config.Check(config.LoadOptions{File: file, Environ: os.Environ()})
	if t.config == "" && cfg.Issuer == "" {
		return openUsual(ctx, cmd, file)
	}
	if path := socketOf(cfg.Store); path != "" {
		c, err := dialControl(ctx, path)
		if !errors.Is(err, errNoBroker) {
			return c, err
		}
	}
	if config.Failed(problems) {
		return nil, &configError{problems}
	}
	log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	if path := cfg.Store.SQLite.Path; cfg.Store.Mongo.URI == "" {
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			fmt.Fprintf(cmd.ErrOrStderr(), "new database: %s\n", path)
		}
	}
	p, err := newProgram(ctx, cfg, options{log: log, now: time.Now, sealed: t.sealed})
	if err != nil {
		return nil, err
	}
	return direct{p}, nil
}

func openDev(ctx context.Context, dir string) (control, error) {
	c, err := dialControl(ctx, socketIn(dir))
	if errors.Is(err, errNoBroker) {
		return nil, fmt.Errorf("no `broker dev` runs with the data folder %s: start it first", dir)
	}
	return c, err
}

// openUsual reaches the `broker dev` of the usual folder, because file, if there is one, configures no broker of its own.
func openUsual(ctx context.Context, cmd *cobra.Command, file string) (control, error) {
	dir, err := dev.DefaultDir()
	if err != nil {
		return nil, err
	}
	c, err := dialControl(ctx, socketIn(dir))
	if errors.Is(err, errNoBroker) {
		if file == "" {
			file = config.FileName
		}
		if abs, err := filepath.Abs(file); err == nil {
			file = abs
		}
		return nil, fmt.Errorf("which broker? Neither %s nor BROKER_ISSUER sets an issuer, and no `broker dev` runs with the data folder %s: "+
			"start `broker dev`, or name one with --config or --data", file, dir)
	}
	if err == nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "on `broker dev` in %s\n", dir)
	}
	return c, err
}
