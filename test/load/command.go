package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"
)

// commands obeys what is written on standard input, until it ends or ctx is done.
func (l *lab) commands(ctx context.Context, in io.Reader) {
	began := time.Now()
	lines := bufio.NewScanner(in)
	for lines.Scan() && ctx.Err() == nil {
		words := strings.Fields(lines.Text())
		if len(words) == 0 {
			continue
		}
		if err := l.command(ctx, words); err != nil {
			fmt.Fprintf(l.out, "%s: %v\n", lines.Text(), err)
		} else if words[0] != "wait" {
			fmt.Fprintf(l.out, "%.1f s: %s\n", time.Since(began).Seconds(), lines.Text())
		}
	}
}

var errCommand = errors.New("the commands are cut A B, heal A B, path A B delay=..., kill A, freeze A, thaw A, wait 5s")

func (l *lab) command(ctx context.Context, words []string) error {
	verb, args := words[0], words[1:]
	switch {
	case verb == "path" && len(args) > 2:
		change, err := parsePath(args[2:])
		if err != nil {
			return err
		}
		return l.router.change(args[0], args[1], change)
	case verb == "cut" && len(args) == 2:
		return l.router.change(args[0], args[1], func(p *Path) { p.Cut = true })
	case verb == "heal" && len(args) == 2:
		return l.router.change(args[0], args[1], func(p *Path) { p.Cut = false })
	case verb == "kill" && len(args) == 1:
		return l.signal(args[0], syscall.SIGKILL)
	case verb == "freeze" && len(args) == 1:
		return l.signal(args[0], stopSignal)
	case verb == "thaw" && len(args) == 1:
		return l.signal(args[0], continueSignal)
	case verb == "wait" && len(args) == 1:
		d, err := time.ParseDuration(args[0])
		if err != nil {
			return err
		}
		return pause(ctx, d)
	}
	return errCommand
}

// signal reaches the program that runs on a host for as long as the class lasts.
func (l *lab) signal(name string, s os.Signal) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.processes[name]
	if p == nil {
		return fmt.Errorf("nothing runs on %q that could be sent a signal", name)
	}
	return p.Signal(s)
}
