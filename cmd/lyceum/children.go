package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"lyceum/cmd/node"
)

// stopGrace is how long a child may take to end by itself.
const stopGrace = 5 * time.Second

// children are processes of this program that end with it. Each holds the reading end of a pipe that only this process
// writes to: when this process is gone, however it went, the pipe ends and so does the child (see leash).
type children struct {
	// Set by newChildren, never changed.
	program string
	logs    string

	mu sync.Mutex
	// Guarded by mu.
	all []*child
}

type child struct {
	name string
	cmd  *exec.Cmd
	tie  io.WriteCloser
	done chan struct{} // closed when the process has ended
	err  error         // how it ended; read after done
}

func newChildren(logs string) (*children, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	if err := os.MkdirAll(logs, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder for logs: %w", err)
	}
	return &children{program: program, logs: logs}, nil
}

// start runs this program with other arguments. What it prints goes to the file logs/NAME.log.
func (cs *children) start(name string, args ...string) (*child, error) {
	log, err := os.OpenFile(cs.logFile(name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", name, err)
	}
	defer log.Close()
	c := &child{name: name, cmd: exec.Command(cs.program, append(args, "--leash")...), done: make(chan struct{})}
	c.cmd.Stdout, c.cmd.Stderr = log, log
	c.cmd.Env = withoutSettings(os.Environ())
	// A group of its own keeps Ctrl-C in the terminal from reaching the child before this process decides.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if c.tie, err = c.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("tie %s to this process: %w", name, err)
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.done)
	}()
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.all = append(cs.all, c)
	return c, nil
}

func (cs *children) logFile(name string) string { return filepath.Join(cs.logs, name+".log") }

// stop ends all children and waits for them. A signal would let each node look for another one for its people.
func (cs *children) stop() {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for _, c := range cs.all {
		_ = c.tie.Close()
	}
	deadline := time.After(stopGrace)
	for _, c := range cs.all {
		select {
		case <-c.done:
		case <-deadline:
			_ = c.cmd.Process.Kill()
			<-c.done
		}
	}
}

// ended reports whether a child has ended.
func (c *child) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// withoutSettings drops the settings of a node from an environment, so that they do not reach generated nodes.
func withoutSettings(environ []string) []string {
	var out []string
	for _, e := range environ {
		if !strings.HasPrefix(e, envPrefix) {
			out = append(out, e)
		}
	}
	return out
}

// how says in what way a child ended.
func (c *child) how() string {
	if c.err == nil {
		return "by itself"
	}
	return c.err.Error()
}

// endedEarly lists the children that have ended.
func (cs *children) endedEarly() (list []*child) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for _, c := range cs.all {
		if c.ended() {
			list = append(list, c)
		}
	}
	return list
}

var errLeash = fmt.Errorf("the process that started this one has ended: %w", node.ErrAtOnce)

// leash returns a context that ends when standard input does, if tied is true. A process that does not end in good time
// then is ended: nobody is left who could.
func leash(ctx context.Context, tied bool) context.Context {
	if !tied {
		return ctx
	}
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel(errLeash)
		time.AfterFunc(2*stopGrace, func() { os.Exit(1) })
	}()
	return ctx
}
