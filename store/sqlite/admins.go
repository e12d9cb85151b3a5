package sqlite

import (
	"context"

	"example.com/broker/internal/fault"
	"example.com/broker/rbac"
)

type adminStore struct{ *database }

var _ rbac.AdminStore = (*adminStore)(nil)

func (s *adminStore) Admins(ctx context.Context) ([]string, error) {
	return list(ctx, s.read, func(row scanner) (id string, err error) {
		err = row.Scan(&id)
		return id, err
	}, `SELECT user_id FROM admins`)
}

func (s *adminStore) JoinAdmins(ctx context.Context, userID string) error {
	return s.write.do(ctx, func(t *tx) error {
		_, err := t.exec(`INSERT INTO admins (user_id) VALUES (?) ON CONFLICT DO NOTHING`, userID)
		return err
	})
}

func (s *adminStore) LeaveAdmins(ctx context.Context, userID string) error {
	return s.write.do(ctx, func(t *tx) error {
		n, err := t.exec(`DELETE FROM admins WHERE user_id = ?1 AND EXISTS (SELECT 1 FROM admins WHERE user_id <> ?1)`, userID)
		if err != nil || n > 0 {
			return err
		}
		return unmatched(t, `SELECT 1 FROM admins WHERE user_id = ?`, userID, nil,
			fault.New(fault.Conflict, "last_admin", "This is the last admin; make somebody else an admin first."))
	})
}
