//go:build unix

package directory

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lock takes a file for this process alone. The log's own lock would wait for the other process and not say why.
func lock(path string) (unlock func() error, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f.Close, nil
	}
	_ = f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errors.New("another process is using it")
	}
	return nil, fmt.Errorf("lock it: %w", err)
}
