//go:build unix

package fan

import (
	"fmt"
	"syscall"
	"time"
)

// cpuTime is the time that this process has computed so far, and that the kernel has for it.
func cpuTime() (user, system time.Duration, err error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, 0, fmt.Errorf("read the CPU time of this process: %w", err)
	}
	return time.Duration(u.Utime.Nano()), time.Duration(u.Stime.Nano()), nil
}
