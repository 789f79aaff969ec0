package main

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// inside does something in the host's namespace. What is opened there stays there, wherever it is used.
func (h *host) inside(do func() error) error {
	space, err := os.Open("/run/netns/" + h.space)
	if err != nil {
		return fmt.Errorf("open the namespace of %s: %w", h.name, err)
	}
	defer space.Close()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for ever: the thread ends with the goroutine and nothing else runs in the namespace
		if err := unix.Setns(int(space.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter the namespace of %s: %w", h.name, err)
			return
		}
		done <- do()
	}()
	return <-done
}
