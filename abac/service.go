package abac

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"example.com/broker/audit"
	stream "example.com/broker/internal/changes"
	"example.com/broker/internal/fault"
)

const (
	// retryAfter is how long a replica that has heard of a newer set than it finds goes without looking again: the entry in the change
	// stream comes before the row.
	retryAfter = 250 * time.Millisecond
	// tolerated is how long decisions go on by a set of which a newer one is known and cannot be read.
	tolerated = 2 * time.Second
	appsLimit = 1000
)

// Options of a Service. Store, Announce and Now are required.
type Options struct {
	Store Store
	// Fixed are the sets of the configuration, by application: they cannot be changed at run time.
	Fixed map[string]Set
	// Defaults are used for an application that has no set of its own.
	Defaults map[string]Set
	// Announce appends the new version of a set to the change stream, before the row is written.
	Announce func(ctx context.Context, app string, version int64) error
	Audit    audit.Recorder // nil records nothing
	Log      *slog.Logger   // nil discards
	Now      func() time.Time
}

// Service finds and changes the sets of applications. Decisions are served from compiled snapshots that follow the change stream: a change
// counts here at once and on every replica within two seconds. It is safe for concurrent use.
type Service struct {
	o     Options
	fixed map[string]*snapshot

	mu     sync.Mutex
	cached map[string]*snapshot
	heard  map[string]version
	absent absent
	// removed are the versions at which sets were found removed: what is heard of up to there is known.
	removed map[string]int64
}

// snapshot is a set in use.
type snapshot struct {
	set    Set
	engine *Engine
	v      int64     // of what is stored, also where that is a removed set and the default is in use
	asked  time.Time // when the store was last asked for a newer one
	failed bool      // it did not answer then
}

// version is the newest one heard of, and since when.
type version struct {
	v     int64
	since time.Time
}

// NewService does not touch the store. The error names every set of the configuration, and of the program, that does not compile.
func NewService(o Options) (*Service, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Service{o: o, fixed: map[string]*snapshot{}, cached: map[string]*snapshot{}, heard: map[string]version{}, absent: absent{}, removed: map[string]int64{}}
	for _, app := range slices.Sorted(maps.Keys(o.Fixed)) {
		e, err := Compile(o.Fixed[app])
		if err != nil {
			return nil, err
		}
		s.fixed[app] = &snapshot{set: o.Fixed[app], engine: e}
	}
	for _, app := range slices.Sorted(maps.Keys(o.Defaults)) {
		if _, err := Compile(o.Defaults[app]); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Check returns fault.Conflict "policies_twice" if an application of the configuration is in the store too.
func (s *Service) Check(ctx context.Context) error {
	for _, app := range slices.Sorted(maps.Keys(s.fixed)) {
		switch set, err := s.o.Store.LoadPolicies(ctx, app); {
		case err != nil:
			return err
		case set.V > 0 && !set.Removed:
			return fault.New(fault.Conflict, "policies_twice", "The policies of %s are in the configuration and in the store: drop one of them.", app)
		}
	}
	return nil
}

// Heard takes a PoliciesVersion entry of the change stream.
func (s *Service) Heard(app string, v int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v > s.heard[app].v {
		s.heard[app] = version{v, s.o.Now()}
	}
}

// Engine returns the compiled set of an application: fault.NotFound "application_unknown"; fault.Unavailable where there is none to
// decide by, or only one that is known to be old. A warm call does not read the store; nor does one for an application that was not there a
// moment ago, unless the change stream brought it since.
func (s *Service) Engine(ctx context.Context, app string) (*Engine, error) {
	snap, err := s.current(ctx, app)
	if err != nil {
		return nil, err
	}
	return snap.engine, nil
}

// Load returns the set of an application, as Engine does, and whether it is fixed by the configuration.
func (s *Service) Load(ctx context.Context, app string) (set Set, fixed bool, err error) {
	snap, err := s.current(ctx, app)
	if err != nil {
		return Set{}, false, err
	}
	_, fixed = s.fixed[app]
	return snap.set, fixed, nil
}

func (s *Service) current(ctx context.Context, app string) (*snapshot, error) {
	if snap, ok := s.fixed[app]; ok {
		return snap, nil
	}
	now := s.o.Now()
	s.mu.Lock()
	snap, have := s.cached[app]
	news := s.heard[app]
	old := have && snap.failed && now.Sub(news.since) >= tolerated
	if have && (snap.v >= news.v || now.Sub(snap.asked).Abs() < retryAfter && !old) {
		s.mu.Unlock()
		return snap, nil
	}
	if !have && news.v <= s.removed[app] && s.absent.has(app, now) {
		s.mu.Unlock()
		return nil, unknown(app)
	}
	if have { // the others go on with the old one meanwhile
		again := *snap
		again.asked = now
		s.cached[app] = &again
	}
	s.mu.Unlock()
	fresh, err := s.read(ctx, app, snap)
	if err == nil {
		return s.adopt(fresh), nil
	}
	if have && fault.Is(err, fault.NotFound) {
		s.forget(snap)
	} else if have {
		s.fail(snap)
		if now.Sub(news.since) < tolerated {
			return snap, nil
		}
	}
	return nil, err
}

// forget takes a snapshot of a set that was removed out of use.
func (s *Service) forget(old *snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.cached[old.set.App]; now != nil && now.engine == old.engine {
		delete(s.cached, old.set.App)
	}
}

// fail notes that a newer snapshot could not be read.
func (s *Service) fail(old *snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.cached[old.set.App]; now != nil && now.engine == old.engine {
		again := *now
		again.failed = true
		s.cached[old.set.App] = &again
	}
}

// read asks the store, and then the defaults. What it finds unchanged since have (nil for nothing) is not compiled again: a version that was
// announced and never written is looked for again and again.
func (s *Service) read(ctx context.Context, app string, have *snapshot) (*snapshot, error) {
	if ValidApp(app) != nil {
		return nil, unknown(app)
	}
	set, err := s.o.Store.LoadPolicies(ctx, app)
	if err != nil {
		return nil, err
	}
	v := set.V
	if v == 0 || set.Removed {
		ok := false
		if set, ok = s.o.Defaults[app]; !ok {
			s.mu.Lock()
			s.absent.note(app, s.o.Now())
			if v > 0 {
				s.removed[app] = v
			}
			s.mu.Unlock()
			return nil, unknown(app)
		}
	}
	if have != nil && have.v == v {
		return &snapshot{set: have.set, engine: have.engine, v: v, asked: s.o.Now()}, nil
	}
	e, err := Compile(set)
	if err != nil {
		s.o.Log.ErrorContext(ctx, "stored policies cannot be used", "application", app, "version", set.V, "err", err)
		return nil, fault.Wrap(err, fault.Unavailable, "policies_unusable", "The policies of %s cannot be used; an operator finds the reason in the log.", app)
	}
	return &snapshot{set: set, engine: e, v: v, asked: s.o.Now()}, nil
}

func unknown(app string) error {
	return fault.New(fault.NotFound, "application_unknown", "There is no application %.100q.", app)
}

// adopt takes a snapshot into use unless a newer one is.
func (s *Service) adopt(fresh *snapshot) *snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.cached[fresh.set.App]; ok && old.v > fresh.v {
		return old
	}
	s.cached[fresh.set.App] = fresh
	return fresh
}

// AnyVersion as the V of a set to be saved puts it in the place of whichever is stored.
const AnyVersion int64 = -1

// Save checks a set and stores it in the place of the one whose V it carries (0: there is none in the store). It returns the set as it is
// now stored. What Compile returns for a set that is not good; fault.Conflict "policies_fixed" for an application of the configuration,
// "policies_changed" if somebody else was faster, naming who and when; fault.Unavailable "store_contended" if somebody else always was.
func (s *Service) Save(ctx context.Context, set Set, actor string) (Set, error) {
	if _, fixed := s.fixed[set.App]; fixed {
		return Set{}, fault.New(fault.Conflict, "policies_fixed", "The policies of %s come from the configuration and cannot be changed here.", set.App)
	}
	e, err := Compile(set)
	if err != nil {
		return Set{}, err
	}
	for range stream.Attempts {
		before, err := s.o.Store.LoadPolicies(ctx, set.App)
		if err != nil {
			return Set{}, err
		}
		if before.Removed && set.V == 0 { // there is none: the version only goes on counting
			before = Set{App: set.App, V: before.V}
		} else if set.V != AnyVersion && set.V != before.V {
			return Set{}, changed(set, before)
		}
		next := set
		next.Removed = false
		next.V, next.ChangedAt, next.ChangedBy = before.V, s.o.Now().UTC().Truncate(time.Millisecond), actor
		next.Policies = stamped(set.Policies, before.Policies, before.V+1)
		if err := s.o.Announce(ctx, set.App, before.V+1); err != nil {
			return Set{}, err
		}
		err = s.o.Store.SwapPolicies(ctx, next)
		if fault.Is(err, fault.Conflict) {
			continue
		}
		if err != nil {
			return Set{}, err
		}
		next.V++
		e.V = next.V
		s.adopt(&snapshot{set: next, engine: e, v: next.V, asked: s.o.Now()})
		if s.o.Audit != nil {
			s.o.Audit.Record(ctx, audit.Event{Action: "policies.save", Actor: actor, Target: set.App, Outcome: "done", Detail: changes(before, next)})
		}
		return next, nil
	}
	return Set{}, stream.Contended()
}

// Remove takes the stored set of an application away if its version is v (AnyVersion: whichever): a default takes its place, where there
// is one. fault.NotFound "application_unknown" if nothing is stored, fault.Conflict "policies_fixed" for an application of the
// configuration, "policies_changed" if it is another version; fault.Unavailable "store_contended" if somebody else always was faster.
func (s *Service) Remove(ctx context.Context, app string, v int64, actor string) error {
	if _, fixed := s.fixed[app]; fixed {
		return fault.New(fault.Conflict, "policies_fixed", "The policies of %s come from the configuration and cannot be changed here.", app)
	}
	if ValidApp(app) != nil {
		return unknown(app)
	}
	for range stream.Attempts {
		before, err := s.o.Store.LoadPolicies(ctx, app)
		if err != nil {
			return err
		}
		_, comes := s.o.Defaults[app]
		switch {
		case (before.V == 0 || before.Removed) && comes:
			return fault.New(fault.NotFound, "application_unknown", "The policies of %s are those that the broker comes with: none are stored.", app)
		case before.V == 0 || before.Removed:
			return unknown(app)
		case v != AnyVersion && v != before.V:
			return changed(Set{App: app, V: v}, before)
		}
		left := Set{App: app, V: before.V, Removed: true, ChangedAt: s.o.Now().UTC().Truncate(time.Millisecond), ChangedBy: actor}
		if err := s.o.Announce(ctx, app, left.V+1); err != nil {
			return err
		}
		err = s.o.Store.SwapPolicies(ctx, left)
		if fault.Is(err, fault.Conflict) {
			continue
		}
		if err != nil {
			return err
		}
		left.V++
		s.drop(app, left.V)
		if s.o.Audit != nil {
			s.o.Audit.Record(ctx, audit.Event{Action: "policies.remove", Actor: actor, Target: app, Outcome: "done", Detail: changes(before, left)})
		}
		return nil
	}
	return stream.Contended()
}

// drop forgets what is older than version v of a set, which was removed.
func (s *Service) drop(app string, v int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.cached[app]; now != nil && now.v < v {
		delete(s.cached, app)
	}
	if v > s.heard[app].v {
		s.heard[app] = version{v, s.o.Now()}
	}
}

func changed(want, have Set) error {
	if have.ChangedBy == "" {
		return fault.New(fault.Conflict, "policies_changed", "The policies of %s were changed meanwhile: the version is %d, expected %d. Read again, then repeat.",
			want.App, have.V, want.V)
	}
	return fault.New(fault.Conflict, "policies_changed", "The policies of %s were changed by %s at %s: the version is %d, expected %d. Read again, then repeat.",
		want.App, have.ChangedBy, have.ChangedAt.Format(time.RFC3339), have.V, want.V)
}

// stamped gives policies that differ from what they were the new version.
func stamped(now, before []Policy, v int64) []Policy {
	out := slices.Clone(now)
	for i, p := range out {
		out[i].V = v
		if j := slices.IndexFunc(before, func(b Policy) bool { return b.ID == p.ID && b.Text == p.Text }); j >= 0 {
			out[i].V = before[j].V
		}
	}
	return out
}

// Apps returns the names of all applications, sorted.
func (s *Service) Apps(ctx context.Context) ([]string, error) {
	stored, err := s.o.Store.PolicyApps(ctx, "", appsLimit)
	if err != nil {
		return nil, err
	}
	all := slices.Concat(stored, slices.Collect(maps.Keys(s.fixed)), slices.Collect(maps.Keys(s.o.Defaults)))
	slices.Sort(all)
	return slices.Compact(all), nil
}
