package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"example.com/broker/config"
)

func newServeCommand() *cobra.Command {
	s := &settings{}
	cmd := &cobra.Command{
		Use: "serve", Short: "Run the broker", Args: arguments(),
		Long: "Run the broker with the settings of flags, environment (BROKER_A__B), file and defaults, in this order.\n" +
			"Everything wrong with them is listed at once. SIGTERM ends it gracefully.",
	}
	s.file(cmd.Flags())
	s.key(cmd, "issuer", "public address of the broker")
	s.key(cmd, "listen", "address to listen on")
	s.key(cmd, "ops.listen", "address of /healthz, /readyz and /metrics; empty switches it off")
	s.key(cmd, "log.level", "debug, info, warn or error")
	s.key(cmd, "log.format", "text, json, or auto: text on a terminal")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		o := s.options(cmd)
		cfg, _, problems := config.Check(o)
		if config.Failed(problems) {
			return &configError{problems}
		}
		log := newLogger(cmd.ErrOrStderr(), cfg.Log)
		for _, p := range problems {
			log.Warn("configuration", "where", p.Where, "key", p.Key, "text", p.Text)
		}
		return serve(cmd.Context(), cfg, o.File, log)
	}
	return cmd
}

// serve runs the broker until ctx ends.
func serve(ctx context.Context, cfg config.Config, file string, log *slog.Logger) (err error) {
	wrap, err := ending(cfg.TLS, time.Now, log)
	if err != nil {
		return err
	}
	p, err := newProgram(ctx, cfg, options{log: log, now: time.Now})
	if err != nil {
		return err
	}
	servers, err := p.listen(ctx, wrap)
	if err != nil {
		return errors.Join(err, p.stores.Close())
	}
	addresses := map[string]string{}
	for _, s := range servers {
		addresses[s.name] = s.on.Addr().String()
	}
	log.Info("the broker serves", "version", version, "issuer", cfg.Issuer, "listen", addresses["main"], "ops", addresses["ops"],
		"tls", cfg.TLS.CertFile != "", "store", storeName(cfg.Store), "providers", strings.Join(enabled(p), ","),
		"clients", len(cfg.Clients), "apis", strings.Join(slices.Sorted(maps.Keys(cfg.APIs)), ","), "config", file)
	listenings := make([]listening, len(servers))
	for i, s := range servers {
		listenings[i] = s.listening
	}
	err = p.run(ctx, listenings...)
	log.Info("the broker has ended", "version", version)
	return err
}

// named is a listening with the name of what it is for.
type named struct {
	name string
	listening
}

// listen opens all that serve listens on, or nothing.
func (p *program) listen(ctx context.Context, wrap func(net.Listener) net.Listener) (out []named, err error) {
	defer func() {
		if err != nil {
			for _, s := range out {
				err = errors.Join(err, s.on.Close())
			}
			out = nil
		}
	}()
	var lc net.ListenConfig
	main, err := lc.Listen(ctx, "tcp", p.cfg.Listen)
	if err != nil {
		return out, fmt.Errorf("listen: %w", err)
	}
	out = append(out, named{"main", listening{wrap(main), p.edge}})
	if p.cfg.Ops.Listen != "" {
		l, err := lc.Listen(ctx, "tcp", p.cfg.Ops.Listen)
		if err != nil {
			return out, fmt.Errorf("ops.listen: %w", err)
		}
		out = append(out, named{"ops", listening{l, p.ops()}})
	}
	if path := socketOf(p.cfg.Store); path != "" {
		l, err := p.listenControl(ctx, path)
		if err != nil {
			return out, err
		}
		out = append(out, named{"control", l})
	}
	return out, nil
}

// ending returns what puts TLS on a listener, if a certificate is configured.
func ending(c config.TLS, now func() time.Time, log *slog.Logger) (func(net.Listener) net.Listener, error) {
	if c.CertFile == "" {
		return func(l net.Listener) net.Listener { return l }, nil
	}
	pair, err := newTLSPair(c, now, log)
	if err != nil {
		return nil, err
	}
	conf := &tls.Config{GetCertificate: pair.get, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	return func(l net.Listener) net.Listener { return tls.NewListener(l, conf) }, nil
}

func storeName(s config.Store) string {
	if s.Mongo.URI != "" {
		return "mongo " + s.Mongo.Database
	}
	path, err := filepath.Abs(s.SQLite.Path)
	if err != nil {
		path = s.SQLite.Path
	}
	return "sqlite " + path
}

func enabled(p *program) []string {
	var ids []string
	for _, up := range p.providers.Enabled() {
		ids = append(ids, up.Config().ID)
	}
	return ids
}

// newLogger writes lines for people to a terminal, otherwise JSON.
func newLogger(w io.Writer, c config.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo // Validate has refused other words
	}
	terminal := isTerminal(w)
	if c.Format == "text" || c.Format != "json" && terminal {
		return slog.New(tint.NewHandler(w, &tint.Options{Level: level, TimeFormat: time.TimeOnly, NoColor: !terminal || os.Getenv("NO_COLOR") != ""}))
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
