package sqlite

import (
	"context"
	"time"

	"example.com/broker/audit"
)

type auditStore struct{ *database }

var _ audit.Store = (*auditStore)(nil)

func (s *auditStore) AppendAudit(ctx context.Context, events []audit.Event) error {
	docs := make([]string, len(events))
	for i, e := range events {
		d := eventDoc(e)
		d.At, d.After = whole(e.At), whole(e.After)
		var err error
		if docs[i], err = encode(d); err != nil {
			return err
		}
	}
	if len(docs) == 0 {
		return nil
	}
	return s.write.do(ctx, func(t *tx) error {
		for i, doc := range docs {
			if _, err := t.exec(`INSERT INTO audit (id, doc) VALUES (?, ?) ON CONFLICT DO NOTHING`, events[i].ID, doc); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *auditStore) ListAudit(ctx context.Context, before string, limit int) ([]audit.Event, error) {
	return list(ctx, s.read, func(row scanner) (audit.Event, error) {
		var text []byte
		if err := row.Scan(&text); err != nil {
			return audit.Event{}, err
		}
		var d eventDoc
		err := decode(text, &d)
		return audit.Event(d), err
	}, `SELECT doc FROM audit WHERE ?1 = '' OR id < ?1 ORDER BY id DESC LIMIT ?2`, before, max(limit, 0))
}

func (s *auditStore) TrimAudit(ctx context.Context, before time.Time, limit int) (n int, err error) {
	err = s.write.do(ctx, func(t *tx) error {
		gone, err := t.exec(trimAudit, before.Unix(), max(limit, 0))
		n = int(gone)
		return err
	})
	return n, err
}

// trimAudit compares whole seconds: the text of a time has its fraction only where there is one, and texts do not compare like times then.
const trimAudit = `DELETE FROM audit WHERE id IN
	(SELECT id FROM audit WHERE unixepoch(doc ->> 'at') < ?1 ORDER BY unixepoch(doc ->> 'at'), id LIMIT ?2)`

type eventDoc struct {
	ID        string            `json:"id"`
	At        time.Time         `json:"at,omitzero"`
	Action    string            `json:"action"`
	Actor     string            `json:"actor,omitempty"`
	Target    string            `json:"target,omitempty"`
	ClientID  string            `json:"client_id,omitempty"`
	RequestID string            `json:"request_id,omitempty"`
	Outcome   string            `json:"outcome"`
	Detail    map[string]string `json:"detail,omitempty"`
	After     time.Time         `json:"after,omitzero"`
	Chain     string            `json:"chain"`
}
