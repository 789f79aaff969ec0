//go:build !unix

package fan

import (
	"errors"
	"time"
)

func cpuTime() (user, system time.Duration, err error) {
	return 0, 0, errors.New("the CPU time of a process is measured on Unix systems only")
}
