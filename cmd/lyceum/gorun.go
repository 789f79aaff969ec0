package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"
)

var errGoRun = errors.New("go run has ended")

// goRunPoll is how often a process looks whether "go run" is still there.
const goRunPoll = 500 * time.Millisecond

// withGoRun returns a context that ends when "go run", which built and started this process, does. It hands on no
// signal but Ctrl-C, so that whoever ends it would else leave a mesh running.
func withGoRun(ctx context.Context) context.Context {
	path, err := os.Executable()
	if err != nil || !strings.Contains(path, "go-build") {
		return ctx // started by a shell or a service, which may end before
	}
	return withParent(ctx, os.Getppid)
}

// withParent returns a context that ends when the parent process changes.
func withParent(ctx context.Context, parent func() int) context.Context {
	ctx, cancel := context.WithCancelCause(ctx)
	first := parent()
	go func() {
		tick := time.NewTicker(goRunPoll)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if parent() != first {
					cancel(errGoRun)
					return
				}
			}
		}
	}()
	return ctx
}
