package main

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/broker/config"
)

func TestARenewedCertificateNeedsNoRestart(t *testing.T) {
	dir, fresh := t.TempDir(), t.TempDir()
	now, logs := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC), &logBuffer{}
	age := func(name string) { // every version has a time of its own, also where the disk counts coarsely
		t.Helper()
		now = now.Add(time.Second)
		if err := os.Chtimes(filepath.Join(dir, name), now, now); err != nil {
			t.Fatal(err)
		}
	}
	files := config.TLS{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}
	first, second := certificate(t, dir), certificate(t, fresh)
	pair, err := newTLSPair(files, func() time.Time { return now }, slog.New(slog.NewTextHandler(logs, nil)))
	if err != nil {
		t.Fatal(err)
	}
	served := func(rule string, by *x509.CertPool, warned, renewed int) {
		t.Helper()
		got, err := pair.get(&tls.ClientHelloInfo{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := got.Leaf.Verify(x509.VerifyOptions{Roots: by}); err != nil {
			t.Errorf("%s: %v", rule, err)
		}
		w, r := strings.Count(logs.String(), "cannot be used"), strings.Count(logs.String(), "read anew")
		if w != warned || r != renewed {
			t.Errorf("%s: warned %d times, renewed %d times, want %d and %d\n%s", rule, w, r, warned, renewed, logs)
		}
	}
	replace := func(name string) {
		t.Helper()
		body, err := os.ReadFile(filepath.Join(fresh, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), body, 0o600); err != nil {
			t.Fatal(err)
		}
		age(name)
	}
	served("at the start", first, 0, 0)
	replace("cert.pem")
	served("changed since, but looked at a moment ago", first, 0, 0)
	now = now.Add(tlsPairEvery)
	served("only one of the two is replaced: the pair before stays", first, 1, 0)
	now = now.Add(tlsPairEvery)
	served("it is said once", first, 1, 0)
	replace("key.pem")
	now = now.Add(tlsPairEvery)
	served("both are replaced", second, 1, 1)
	for range 3 {
		now = now.Add(tlsPairEvery)
		served("nothing has changed", second, 1, 1)
	}
	for _, bad := range []func() error{
		func() error { return os.WriteFile(files.CertFile, []byte("no certificate"), 0o600) },
		func() error { return os.Remove(files.CertFile) },
	} {
		if err := bad(); err != nil {
			t.Fatal(err)
		}
		now = now.Add(tlsPairEvery)
		pair.get(&tls.ClientHelloInfo{}) //nolint:errcheck // it is looked at below
	}
	served("no certificate, then no file", second, 3, 1)
	replace("cert.pem")
	now = now.Add(tlsPairEvery)
	served("it is back", second, 3, 2)
}
