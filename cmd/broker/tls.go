package main

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"example.com/broker/config"
)

// tlsPairEvery is how often the files of the certificate are looked at, while somebody connects.
const tlsPairEvery = 10 * time.Second

// tlsPair is the certificate and key that TLS is served with. It follows its files, so that a renewed one needs no restart; while what they
// hold is no pair, be it that one of two has been replaced so far, the last good one stays. It is safe for concurrent use.
type tlsPair struct {
	files config.TLS
	now   func() time.Time
	log   *slog.Logger
	pair  atomic.Pointer[tls.Certificate]

	mu     sync.Mutex // held while looking
	looked time.Time
	seen   [2]look
}

// look is what tells one version of a file from the next without reading it. Its zero value is a file that is not there.
type look struct {
	size     int64
	modified time.Time
}

// newTLSPair reads the pair.
func newTLSPair(files config.TLS, now func() time.Time, log *slog.Logger) (*tlsPair, error) {
	c := &tlsPair{files: files, now: now, log: log, looked: now()}
	c.seen = c.look() // before they are read: what is written in between is read again
	if err := c.read(); err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	return c, nil
}

// get returns the pair for a connection. It is tls.Config.GetCertificate and never fails.
func (c *tlsPair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c.mu.TryLock() { // others are served meanwhile: a disk that hangs holds up one of them
		c.follow()
		c.mu.Unlock()
	}
	return c.pair.Load(), nil
}

// follow takes a changed pair into use. One that is no good is logged once, and read again when it has changed again.
func (c *tlsPair) follow() {
	now := c.now()
	if since := now.Sub(c.looked); since >= 0 && since < tlsPairEvery {
		return
	}
	c.looked = now
	seen := c.look()
	if seen == c.seen {
		return
	}
	c.seen = seen
	if err := c.read(); err != nil {
		c.log.Warn("the TLS certificate changed and cannot be used; the one before stays", "file", c.files.CertFile, "cause", err)
		return
	}
	c.log.Info("the TLS certificate was read anew", "file", c.files.CertFile, "until", c.pair.Load().Leaf.NotAfter)
}

func (c *tlsPair) look() (out [2]look) {
	for i, name := range []string{c.files.CertFile, c.files.KeyFile} {
		if info, err := os.Stat(name); err == nil {
			out[i] = look{info.Size(), info.ModTime()}
		}
	}
	return out
}

func (c *tlsPair) read() error {
	pair, err := tls.LoadX509KeyPair(c.files.CertFile, c.files.KeyFile)
	if err == nil {
		c.pair.Store(&pair)
	}
	return err
}
