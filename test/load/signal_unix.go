//go:build unix

package main

import "syscall"

// What freezes a process and lets it go on.
const (
	stopSignal     = syscall.SIGSTOP
	continueSignal = syscall.SIGCONT
)
