//go:build unix

package sqlite

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	lockTries = 10
	lockPause = 20 * time.Millisecond
)

var errLocked = errors.New("locked by another process")

// acquire takes an exclusive lock that ends with the file's closing, hence also with the process however it ends. The file stays: to
// remove it would let two processes lock two files of one name.
func acquire(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // beside the operator's own setting
	if err != nil {
		return nil, err
	}
	// A child that is being forked at the moment its parent closes the file holds the lock until it has executed: that is over in
	// milliseconds, and no sign of another broker.
	for range lockTries {
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
			break
		}
		time.Sleep(lockPause)
	}
	if err == nil {
		return f, nil
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = errLocked
	}
	return nil, errors.Join(err, f.Close())
}
