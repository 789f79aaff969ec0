//go:build !unix

package main

import "syscall"

// There is nothing that freezes a process here, and no laboratory of hosts either.
const (
	stopSignal     = syscall.SIGTERM
	continueSignal = syscall.SIGTERM
)
