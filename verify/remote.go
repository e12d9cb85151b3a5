package verify

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"example.com/broker/oauth"
)

const (
	defaultFetchTimeout = 10 * time.Second
	defaultCoolDown     = 10 * time.Second
	defaultMaxStale     = 4 * time.Hour

	// firstRetry is the pause after a failed fetch while there are no keys at all: the broker may only be starting.
	firstRetry = time.Second
)

// RemoteOptions adjust [Remote]. The zero value is usable where the address of the keys is given.
type RemoteOptions struct {
	// Issuer is where to look for the address of the keys if none is given: its RFC 8414 metadata, or else its
	// OpenID Connect discovery document, which must name the same issuer.
	Issuer string
	// Transport makes the requests; nil means http.DefaultTransport.
	Transport http.RoundTripper
	// Timeout bounds one fetch, discovery included; 0 means 10 s, which is also the most.
	Timeout time.Duration
	// CoolDown is the pause after a fetch that failed or did not bring the key it was made for; 0 means 10 s.
	CoolDown time.Duration
	// MaxStale is how long keys stay in use while the issuer cannot be reached; 0 means 4 h.
	MaxStale time.Duration
	// InsecureHTTP allows plain http beyond loopback. Whoever can change the answer can then sign tokens.
	InsecureHTTP bool
	// Now tells the time; nil means time.Now.
	Now func() time.Time
}

// RemoteKeys is a [KeySet] that fetches a JSON Web Key Set over HTTP. It is safe for concurrent use and needs no closing: it
// works only while it is asked.
//
// The set is fetched when it is first needed, again in the background when it is older than its max-age (kept between 1 min and
// 1 h, 5 min if the issuer names none), and again at once when a token names a key it does not hold. Any number of
// requests share one fetch, and none of them can break it off for the others. After a fetch that failed or was in vain there
// is a pause, so that made-up key names cost the issuer one request per pause.
type RemoteKeys struct {
	source   source
	now      func() time.Time
	timeout  time.Duration
	coolDown time.Duration
	maxStale time.Duration

	current atomic.Pointer[snapshot] // nil until the first success

	mu     sync.Mutex
	flight *flight   // the fetch under way, or nil
	pause  time.Time // no fetch starts before
	failed error     // why the latest fetch failed, or nil
}

// snapshot is a key set as it was fetched.
type snapshot struct {
	keys    *StaticKeys
	fetched time.Time
	fresh   time.Time // until then
}

// flight is one fetch; err may be read once done is closed.
type flight struct {
	done chan struct{}
	err  error
}

// Remote returns the key set at jwksURL, or, if that is "", at the address that opts.Issuer publishes. It makes no request
// yet. Addresses must be https, or http to a loopback host.
func Remote(jwksURL string, opts RemoteOptions) (*RemoteKeys, error) {
	if jwksURL == "" && opts.Issuer == "" {
		return nil, errors.New("set up the remote key set: neither its address nor an issuer is given")
	}
	for _, address := range []string{jwksURL, opts.Issuer} {
		if err := checkAddress(address, opts.InsecureHTTP); address != "" && err != nil {
			return nil, fmt.Errorf("set up the remote key set: %w", err)
		}
	}
	if opts.Timeout <= 0 || opts.Timeout > defaultFetchTimeout {
		opts.Timeout = defaultFetchTimeout
	}
	if opts.CoolDown <= 0 {
		opts.CoolDown = defaultCoolDown
	}
	if opts.MaxStale <= 0 {
		opts.MaxStale = defaultMaxStale
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &RemoteKeys{
		source: newSource(jwksURL, opts), now: opts.Now,
		timeout: opts.Timeout, coolDown: opts.CoolDown, maxStale: opts.MaxStale,
	}, nil
}

// checkAddress refuses an address at which a stranger could answer for the issuer.
func checkAddress(address string, insecure bool) error {
	u, err := url.Parse(address)
	if err != nil {
		return fmt.Errorf("read the address: %w", err)
	}
	if u.Host == "" || u.User != nil || u.Fragment != "" {
		return fmt.Errorf("the address %s is not an absolute URL without user and fragment", show(u.Redacted()))
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !insecure && !oauth.IsLoopbackHost(u.Hostname())) {
		return fmt.Errorf("the address %s is not https", show(address))
	}
	return nil
}

// Key implements [KeySet]. It waits for a fetch only if it cannot answer without; it returns ctx's error if ctx ends
// first.
func (r *RemoteKeys) Key(ctx context.Context, kid, alg string) (crypto.PublicKey, error) {
	now := r.now()
	held := r.usable(now)
	if held != nil && held.keys.has(kid) {
		if !now.Before(held.fresh) {
			r.start(ctx, kid)
		}
		return held.keys.Key(ctx, kid, alg)
	}
	f, err := r.start(ctx, kid)
	if err != nil {
		return nil, err
	}
	if f != nil {
		if err := f.wait(ctx); err != nil {
			return nil, err
		}
	}
	held = r.usable(now)
	if held == nil {
		return nil, errors.New("the fetched keys are out of date")
	}
	return held.keys.Key(ctx, kid, alg)
}

// usable returns the held keys unless they are too old to be trusted.
func (r *RemoteKeys) usable(now time.Time) *snapshot {
	s := r.current.Load()
	if s == nil || !now.Before(s.fetched.Add(r.maxStale)) {
		return nil
	}
	return s
}

// start returns the fetch under way, or begins one to look for kid. During a pause it returns nil, and why the fetch
// before the pause failed, if it did.
func (r *RemoteKeys) start(ctx context.Context, kid string) (*flight, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.flight != nil {
		return r.flight, nil
	}
	if r.now().Before(r.pause) {
		return nil, r.failed
	}
	f := &flight{done: make(chan struct{})}
	r.flight = f
	// The fetch belongs to all who wait for it: the end of the request that began it must not end it.
	go r.fly(context.WithoutCancel(ctx), f, kid)
	return f, nil
}

// fly fetches the keys and lets those who wait go on.
func (r *RemoteKeys) fly(ctx context.Context, f *flight, kid string) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	keys, maxAge, err := r.source.fetch(ctx)
	now := r.now()
	if err == nil {
		r.current.Store(&snapshot{keys: keys, fetched: now, fresh: now.Add(maxAge)})
	}
	r.mu.Lock()
	r.flight, r.failed = nil, err
	switch {
	case err != nil && r.usable(now) == nil:
		r.pause = now.Add(min(firstRetry, r.coolDown))
	case err != nil || !keys.has(kid):
		r.pause = now.Add(r.coolDown)
	}
	r.mu.Unlock()
	f.err = err
	close(f.done)
}

// wait returns when the fetch is over or ctx ends, with the error of either.
func (f *flight) wait(ctx context.Context) error {
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return fmt.Errorf("wait for the keys of the issuer: %w", ctx.Err())
	}
}
