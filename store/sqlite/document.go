package sqlite

import (
	"encoding/json"
	"fmt"
	"time"
)

// millis is the stored form of a time: UTC milliseconds, 0 for the zero time.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// instant undoes millis.
func instant(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// bucket rounds a stored time up to a step, so that all rows of a bucket that has begun are past.
func bucket(ms int64, step time.Duration) int64 {
	s := step.Milliseconds()
	return (ms + s - 1) / s * s
}

// whole is t as it will be read back.
func whole(t time.Time) time.Time { return instant(millis(t)) }

func encode(doc any) (string, error) {
	b, err := json.Marshal(doc)
	if err != nil {
		return "", fmt.Errorf("sqlite: encode a document: %w", err)
	}
	return string(b), nil
}

func decode(text []byte, doc any) error {
	if err := json.Unmarshal(text, doc); err != nil {
		return fmt.Errorf("sqlite: decode a document: %w", err)
	}
	return nil
}
