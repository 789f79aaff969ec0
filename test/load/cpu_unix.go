//go:build unix

package main

import (
	"fmt"
	"syscall"
	"time"
)

// cpuTime is the time that this process has computed so far, the kernel's work for it included.
func cpuTime() (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, fmt.Errorf("read the CPU time of this process: %w", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}
