package fan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// stdio is how a child process and its parent speak with one another: net/rpc over the child's standard input and output.
// A child ends when its input does, so that none outlives its parent.
type stdio struct {
	io.Reader
	io.WriteCloser
}

// serveChild answers the parent's calls of a receiver until the parent closes the connection.
func serveChild(name string, receiver any) error {
	s := rpc.NewServer()
	if err := s.RegisterName(name, receiver); err != nil {
		return fmt.Errorf("serve the calls of the parent process: %w", err)
	}
	s.ServeConn(stdio{os.Stdin, os.Stdout})
	return nil
}

// child is a process of this program that does one part of a measurement.
type child struct {
	// Set by spawn, never changed.
	cmd   *exec.Cmd
	calls *rpc.Client
}

// spawn starts this program with other arguments. What it writes to standard error goes to log.
func spawn(log io.Writer, arguments ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	cmd := exec.Command(self, arguments...)
	cmd.Stderr = log
	in, inErr := cmd.StdinPipe()
	out, outErr := cmd.StdoutPipe()
	if err := errors.Join(inErr, outErr); err != nil {
		return nil, fmt.Errorf("start a process: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a process: %w", err)
	}
	return &child{cmd: cmd, calls: rpc.NewClient(stdio{out, in})}, nil
}

// call calls a method of the child, and gives up when ctx is done.
func (c *child) call(ctx context.Context, method string, args, reply any) error {
	done := c.calls.Go(method, args, reply, make(chan *rpc.Call, 1))
	select {
	case <-done.Done:
		if done.Error != nil {
			return fmt.Errorf("%s: %w", method, done.Error)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// end lets the child end, and kills it when it does not within five seconds.
func (c *child) end() {
	_ = c.calls.Close()
	late := time.AfterFunc(5*time.Second, func() { _ = c.cmd.Process.Signal(syscall.SIGKILL) })
	defer late.Stop()
	_ = c.cmd.Wait() // the way it ends says nothing about what was measured
}
