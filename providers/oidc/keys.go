package oidc

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"example.com/broker/providers"
)

const (
	// fruitlessPause is how long an unknown key is not looked for again after a fetch that did not bring it.
	fruitlessPause = 30 * time.Second
	// minRSABits is RFC 7518 §3.3.
	minRSABits = 2048
)

// keySet verifies signatures by the keys the upstream publishes. go-oidc's own fetches for every token that does not verify, and takes a
// token that names no key for any of several. Safe for concurrent use.
type keySet struct {
	docs *kept[[]jose.JSONWebKey]
	now  func() time.Time

	mu    sync.Mutex
	pause time.Time // no further look for an unknown key before
}

func newKeySet(client *http.Client, address string, now func() time.Time) *keySet {
	fetch := func(ctx context.Context) ([]jose.JSONWebKey, error) { return fetchKeys(ctx, client, address) }
	return &keySet{docs: &kept[[]jose.JSONWebKey]{fetch: fetch, now: now}, now: now}
}

// fetchKeys returns the keys of the set that can verify an ID token. One that cannot be read or used is no reason to refuse the others
// (RFC 7517 §5).
func fetchKeys(ctx context.Context, client *http.Client, address string) ([]jose.JSONWebKey, error) {
	doc, err := providers.GetObject(ctx, client, "its signing keys", address, "")
	if err != nil {
		return nil, err
	}
	list, ok := doc["keys"].([]any)
	if !ok {
		return nil, providers.Invalid(nil, "The key set has no list of keys.")
	}
	keys := []jose.JSONWebKey{}
	for _, v := range list {
		raw, err := json.Marshal(v)
		if err != nil {
			continue
		}
		var key jose.JSONWebKey
		if key.UnmarshalJSON(raw) == nil && usable(key) {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// usable says whether a key is public, for signatures and long enough.
func usable(key jose.JSONWebKey) bool {
	if k, ok := key.Key.(*rsa.PublicKey); ok && k.N.BitLen() < minRSABits {
		return false
	}
	return key.IsPublic() && key.Valid() && (key.Use == "" || key.Use == "sig")
}

// errSignature is what verify returns for a token that no key of the upstream signed.
var errSignature = errors.New("signed by no key that the provider publishes")

// verify returns the payload of a token. A token that no known key verifies has the keys fetched at once, because the upstream may have
// turned them a moment ago; only after a fetch that did not help is there a pause. errSignature, or fault.Upstream if the keys cannot be
// had.
func (s *keySet) verify(ctx context.Context, token *jose.JSONWebSignature) ([]byte, error) {
	keys, err := s.docs.get(ctx)
	if err != nil {
		return nil, err
	}
	if payload, err := verifyBy(keys, token); err == nil || s.pausing() {
		return payload, err
	}
	if keys, err = s.docs.renew(ctx); err != nil {
		return nil, err
	}
	payload, err := verifyBy(keys, token)
	if err != nil {
		s.mu.Lock()
		s.pause = s.now().Add(fruitlessPause)
		s.mu.Unlock()
	}
	return payload, err
}

func (s *keySet) pausing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now().Before(s.pause)
}

func verifyBy(keys []jose.JSONWebKey, token *jose.JSONWebSignature) ([]byte, error) {
	header := token.Signatures[0].Protected
	// OpenID Connect Core 1.0 §10.1: where there are several keys, the token has to name one.
	if header.KeyID == "" && len(keys) != 1 {
		return nil, errSignature
	}
	for _, key := range keys {
		if header.KeyID != "" && key.KeyID != header.KeyID {
			continue
		}
		// RFC 7517 §4.4: a key that names its algorithm is for no other.
		if key.Algorithm != "" && key.Algorithm != header.Algorithm {
			continue
		}
		if payload, err := token.Verify(key.Key); err == nil {
			return payload, nil
		}
	}
	return nil, errSignature
}
