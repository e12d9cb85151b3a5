package keys

import (
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"

	"example.com/broker/internal/secret"
)

// entry is a parsed key.
type entry struct {
	Key
	alg    string
	public crypto.PublicKey
	signer crypto.Signer // nil once retired, and where fault says why
	fault  error
}

// snapshot is everything a ring answers from. It never changes once it is stored.
type snapshot struct {
	sets    map[string]Set
	keys    map[string]*entry
	signers map[string][]*entry // by algorithm, oldest first
	jwks    []byte
	etag    string
}

func emptySnapshot() *snapshot {
	s := &snapshot{sets: map[string]Set{}}
	s.publish(nil)
	return s
}

func (s *snapshot) algs() []string { return slices.Sorted(maps.Keys(s.signers)) }

// signing is the package function signing over parsed keys.
func (s *snapshot) signing(alg string, now time.Time) (*entry, bool) {
	list := s.signers[alg]
	if len(list) == 0 {
		return nil, false
	}
	current := list[0]
	for _, e := range list[1:] {
		if !now.Before(e.SignsFrom) {
			current = e
		}
	}
	return current, true
}

// adopt takes a set into use unless a newer one is. The error says which key that signs, or will, cannot be used.
func (r *Ring) adopt(set Set) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.state.Load()
	if set.V == 0 || set.V < old.sets[set.Alg].V {
		return nil
	}
	sets := maps.Clone(old.sets)
	sets[set.Alg] = set
	return r.rebuild(sets, old)
}

// forget drops a revoked key, also from sets that are yet to be loaded.
func (r *Ring) forget(kid string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.revoked[kid] {
		return
	}
	r.revoked[kid] = true
	old := r.state.Load()
	if err := r.rebuild(old.sets, old); err != nil {
		r.opts.Log.Error("a signing key cannot be used", "err", err)
	}
}

func (r *Ring) isRevoked(kid string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.revoked[kid]
}

// rebuild stores a snapshot of the sets; the caller holds mu. Keys that the old one has parsed are not parsed again.
func (r *Ring) rebuild(sets map[string]Set, old *snapshot) error {
	now := r.now()
	s := &snapshot{sets: sets, keys: map[string]*entry{}, signers: map[string][]*entry{}}
	var published []*entry
	var faults []error
	for _, alg := range slices.Sorted(maps.Keys(sets)) {
		for _, k := range sets[alg].sorted() {
			if r.revoked[k.KID] || k.gone(now) {
				continue
			}
			e, err := r.parse(k, alg, old, now)
			faults = append(faults, err)
			if e == nil {
				continue
			}
			s.keys[k.KID] = e
			published = append(published, e)
			if e.signer != nil || e.fault != nil {
				s.signers[alg] = append(s.signers[alg], e)
			}
		}
	}
	s.publish(published)
	r.state.Store(s)
	return errors.Join(faults...)
}

// parse returns nil for a key that is not even good for verifying.
func (r *Ring) parse(k Key, alg string, old *snapshot, now time.Time) (*entry, error) {
	e := &entry{Key: k, alg: alg}
	if known, ok := old.keys[k.KID]; ok {
		e.public, e.signer = known.public, known.signer
	} else {
		public, err := k.public(alg)
		if err != nil {
			return nil, err
		}
		e.public = public
	}
	// A retired key signs no more, but for a replica whose clock is behind.
	if !k.RetiredAt.IsZero() && !now.Before(k.RetiredAt.Add(Margin)) {
		e.signer = nil
		return e, nil
	}
	if e.signer == nil {
		e.signer, e.fault = k.open(r.opts.Sealer, e.public)
	}
	if !k.RetiredAt.IsZero() && !now.Before(k.RetiredAt) && errors.Is(e.fault, secret.ErrSealed) {
		return e, nil // by this clock its successor signs
	}
	return e, e.fault
}

// publish encodes the JWKS.
func (s *snapshot) publish(list []*entry) {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, e := range list {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: e.public, KeyID: e.KID, Algorithm: e.alg, Use: "sig"})
	}
	jwks, err := json.Marshal(set)
	if err != nil {
		panic(fmt.Sprintf("encode public keys that were parsed: %v", err))
	}
	sum := sha256.Sum256(jwks)
	s.jwks, s.etag = jwks, `"`+base64.RawURLEncoding.EncodeToString(sum[:12])+`"`
}
