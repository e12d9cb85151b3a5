package main

import (
	"context"
	"sync"
	"time"

	"example.com/broker/audit"
	"example.com/broker/clients"
	"example.com/broker/internal/changes"
	"example.com/broker/internal/fault"
	"example.com/broker/internal/onetime"
	"example.com/broker/internal/ratelimit"
	"example.com/broker/keys"
	"example.com/broker/rbac"
	"example.com/broker/sessions"
	"example.com/broker/store"
	"example.com/broker/tokens"
	"example.com/broker/users"
)

// meter stands between a broker and its store: it counts what requests cost, and can be told to fail. What goes on beside requests,
// the polls of the change stream and the batches of the audit log, is not counted.
type meter struct {
	mu     sync.Mutex
	reads  []string
	writes []string
	// broken fails the calls it returns an error for; nil fails none.
	broken func(call string) error
}

func (m *meter) wrap(s *store.Stores) *store.Stores {
	c := *s
	c.Users, c.Admins, c.Clients, c.Sessions = meteredUsers{m, s.Users}, meteredAdmins{m, s.Admins}, meteredClients{m, s.Clients}, meteredSessions{m, s.Sessions}
	c.Keys, c.Grants, c.Once, c.Changes, c.Limits = meteredKeys{m, s.Keys}, meteredGrants{m, s.Grants}, meteredOnce{m, s.Once}, meteredChanges{m, s.Changes}, meteredLimits{m, s.Limits}
	c.Audit = meteredAudit{m, s.Audit}
	return &c
}

// breakDown makes calls fail as a store does that is away.
func (m *meter) breakDown(which func(call string) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.broken = func(call string) error {
		if which(call) {
			return fault.New(fault.Unavailable, "store_unavailable", "The store does not answer.")
		}
		return nil
	}
}

func (m *meter) repair() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.broken = nil
}

// spent returns what was counted, and starts anew.
func (m *meter) spent() (reads, writes []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	reads, writes = m.reads, m.writes
	m.reads, m.writes = nil, nil
	return reads, writes
}

func (m *meter) read(call string) error  { return m.note(&m.reads, call) }
func (m *meter) write(call string) error { return m.note(&m.writes, call) }

func (m *meter) note(list *[]string, call string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	*list = append(*list, call)
	if m.broken != nil {
		return m.broken(call)
	}
	return nil
}

// beside fails like the others and is not counted.
func (m *meter) beside(call string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken != nil {
		return m.broken(call)
	}
	return nil
}

// guard runs a call unless the meter fails it.
func guard[T any](err error, call func() (T, error)) (T, error) {
	if err != nil {
		var none T
		return none, err
	}
	return call()
}

func guardErr(err error, call func() error) error {
	if err != nil {
		return err
	}
	return call()
}

type meteredUsers struct {
	m *meter
	users.Store
}

func (s meteredUsers) Create(ctx context.Context, u users.User, claims []users.Claim, now time.Time) error {
	return guardErr(s.m.write("users.Create"), func() error { return s.Store.Create(ctx, u, claims, now) })
}

func (s meteredUsers) Get(ctx context.Context, id string) (users.User, error) {
	return guard(s.m.read("users.Get"), func() (users.User, error) { return s.Store.Get(ctx, id) })
}

func (s meteredUsers) Holder(ctx context.Context, c users.Claim) (users.Holder, error) {
	return guard(s.m.read("users.Holder"), func() (users.Holder, error) { return s.Store.Holder(ctx, c) })
}

func (s meteredUsers) Replace(ctx context.Context, u users.User, add, drop []users.Claim, now time.Time) error {
	return guardErr(s.m.write("users.Replace"), func() error { return s.Store.Replace(ctx, u, add, drop, now) })
}

func (s meteredUsers) TakeOver(ctx context.Context, c users.Claim, from users.Holder, to string, now time.Time) error {
	return guardErr(s.m.write("users.TakeOver"), func() error { return s.Store.TakeOver(ctx, c, from, to, now) })
}

func (s meteredUsers) Delete(ctx context.Context, id string, v int64) error {
	return guardErr(s.m.write("users.Delete"), func() error { return s.Store.Delete(ctx, id, v) })
}

func (s meteredUsers) List(ctx context.Context, after string, limit int) ([]users.User, error) {
	return guard(s.m.read("users.List"), func() ([]users.User, error) { return s.Store.List(ctx, after, limit) })
}

type meteredAdmins struct {
	m *meter
	rbac.AdminStore
}

func (s meteredAdmins) Admins(ctx context.Context) ([]string, error) {
	return guard(s.m.read("admins.Admins"), func() ([]string, error) { return s.AdminStore.Admins(ctx) })
}

func (s meteredAdmins) JoinAdmins(ctx context.Context, id string) error {
	return guardErr(s.m.write("admins.Join"), func() error { return s.AdminStore.JoinAdmins(ctx, id) })
}

func (s meteredAdmins) LeaveAdmins(ctx context.Context, id string) error {
	return guardErr(s.m.write("admins.Leave"), func() error { return s.AdminStore.LeaveAdmins(ctx, id) })
}

type meteredClients struct {
	m *meter
	clients.Store
}

func (s meteredClients) InsertClient(ctx context.Context, c clients.Client) error {
	return guardErr(s.m.write("clients.Insert"), func() error { return s.Store.InsertClient(ctx, c) })
}

func (s meteredClients) GetClient(ctx context.Context, id string) (clients.Client, error) {
	return guard(s.m.read("clients.Get"), func() (clients.Client, error) { return s.Store.GetClient(ctx, id) })
}

func (s meteredClients) ReplaceClient(ctx context.Context, c clients.Client) error {
	return guardErr(s.m.write("clients.Replace"), func() error { return s.Store.ReplaceClient(ctx, c) })
}

func (s meteredClients) ListClients(ctx context.Context, after string, limit int) ([]clients.Client, error) {
	return guard(s.m.read("clients.List"), func() ([]clients.Client, error) { return s.Store.ListClients(ctx, after, limit) })
}

type meteredSessions struct {
	m *meter
	sessions.Store
}

func (s meteredSessions) InsertSession(ctx context.Context, x sessions.Session) error {
	return guardErr(s.m.write("sessions.Insert"), func() error { return s.Store.InsertSession(ctx, x) })
}

func (s meteredSessions) GetSession(ctx context.Context, id string) (sessions.Session, error) {
	return guard(s.m.read("sessions.Get"), func() (sessions.Session, error) { return s.Store.GetSession(ctx, id) })
}

func (s meteredSessions) TouchSession(ctx context.Context, id string, idleUntil, now time.Time) error {
	return guardErr(s.m.write("sessions.Touch"), func() error { return s.Store.TouchSession(ctx, id, idleUntil, now) })
}

func (s meteredSessions) ReplaceSession(ctx context.Context, x sessions.Session, oldHash string) error {
	return guardErr(s.m.write("sessions.Replace"), func() error { return s.Store.ReplaceSession(ctx, x, oldHash) })
}

func (s meteredSessions) DeleteSession(ctx context.Context, id string) error {
	return guardErr(s.m.write("sessions.Delete"), func() error { return s.Store.DeleteSession(ctx, id) })
}

func (s meteredSessions) SessionsOf(ctx context.Context, userID string, limit int) ([]sessions.Session, error) {
	return guard(s.m.read("sessions.Of"), func() ([]sessions.Session, error) { return s.Store.SessionsOf(ctx, userID, limit) })
}

type meteredKeys struct {
	m *meter
	keys.Store
}

func (s meteredKeys) LoadKeys(ctx context.Context, alg string) (keys.Set, error) {
	return guard(s.m.read("keys.Load"), func() (keys.Set, error) { return s.Store.LoadKeys(ctx, alg) })
}

func (s meteredKeys) SwapKeys(ctx context.Context, set keys.Set) error {
	return guardErr(s.m.write("keys.Swap"), func() error { return s.Store.SwapKeys(ctx, set) })
}

type meteredGrants struct {
	m *meter
	tokens.GrantStore
}

func (s meteredGrants) InsertGrant(ctx context.Context, g tokens.Grant) error {
	return guardErr(s.m.write("grants.Insert"), func() error { return s.GrantStore.InsertGrant(ctx, g) })
}

func (s meteredGrants) GetGrant(ctx context.Context, id string) (tokens.Grant, error) {
	return guard(s.m.read("grants.Get"), func() (tokens.Grant, error) { return s.GrantStore.GetGrant(ctx, id) })
}

func (s meteredGrants) RedeemGrant(ctx context.Context, r tokens.Redemption) (tokens.Grant, error) {
	return guard(s.m.write("grants.Redeem"), func() (tokens.Grant, error) { return s.GrantStore.RedeemGrant(ctx, r) })
}

func (s meteredGrants) RotateGrant(ctx context.Context, r tokens.Rotation) (tokens.Grant, error) {
	return guard(s.m.write("grants.Rotate"), func() (tokens.Grant, error) { return s.GrantStore.RotateGrant(ctx, r) })
}

func (s meteredGrants) KillGrant(ctx context.Context, id string, now time.Time) error {
	return guardErr(s.m.write("grants.Kill"), func() error { return s.GrantStore.KillGrant(ctx, id, now) })
}

type meteredOnce struct {
	m *meter
	onetime.Box
}

func (s meteredOnce) Put(ctx context.Context, kind, id string, value []byte, until time.Time) error {
	return guardErr(s.m.write("once.Put"), func() error { return s.Box.Put(ctx, kind, id, value, until) })
}

func (s meteredOnce) Take(ctx context.Context, kind, id string, now time.Time) ([]byte, error) {
	return guard(s.m.write("once.Take"), func() ([]byte, error) { return s.Box.Take(ctx, kind, id, now) })
}

func (s meteredOnce) Mark(ctx context.Context, kind, id string, until time.Time) error {
	return guardErr(s.m.write("once.Mark"), func() error { return s.Box.Mark(ctx, kind, id, until) })
}

type meteredChanges struct {
	m *meter
	changes.Stream
}

func (s meteredChanges) Append(ctx context.Context, entries ...changes.Entry) error {
	return guardErr(s.m.write("changes.Append"), func() error { return s.Stream.Append(ctx, entries...) })
}

func (s meteredChanges) Read(ctx context.Context, from int64, now time.Time) ([]changes.Entry, error) {
	return guard(s.m.beside("changes.Read"), func() ([]changes.Entry, error) { return s.Stream.Read(ctx, from, now) })
}

type meteredLimits struct {
	m *meter
	ratelimit.Store
}

func (s meteredLimits) Take(ctx context.Context, key string, b ratelimit.Bounds, now time.Time) (ratelimit.Tally, bool, error) {
	if err := s.m.write("limits.Take"); err != nil {
		return ratelimit.Tally{}, false, err
	}
	return s.Store.Take(ctx, key, b, now)
}

func (s meteredLimits) Return(ctx context.Context, key string, ends time.Time) error {
	return guardErr(s.m.write("limits.Return"), func() error { return s.Store.Return(ctx, key, ends) })
}

func (s meteredLimits) Reset(ctx context.Context, key string, ends time.Time) error {
	return guardErr(s.m.write("limits.Reset"), func() error { return s.Store.Reset(ctx, key, ends) })
}

func (s meteredLimits) Forget(ctx context.Context, key string) error {
	return guardErr(s.m.write("limits.Forget"), func() error { return s.Store.Forget(ctx, key) })
}

type meteredAudit struct {
	m *meter
	audit.Store
}

func (s meteredAudit) AppendAudit(ctx context.Context, events []audit.Event) error {
	return guardErr(s.m.beside("audit.Append"), func() error { return s.Store.AppendAudit(ctx, events) })
}
