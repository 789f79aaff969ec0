package main

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// spacePrefix begins the names of the namespaces that the laboratory makes, so that it can tell them from others.
const spacePrefix = "lyceum-lab-"

// host is a network namespace with one device, whose other end the router holds.
type host struct {
	name  string
	space string
	port  *port
}

// newHost makes a namespace. What was made before an error is taken down.
func newHost(ctx context.Context, name string, addr netip.Addr) (h *host, err error) {
	h = &host{name: name, space: spacePrefix + name}
	if err := run(ctx, "ip", "netns", "add", h.space); err != nil {
		return nil, fmt.Errorf("make a namespace (load wan --clean removes those of a run that was killed): %w", err)
	}
	defer func() {
		if err != nil {
			h.close()
		}
	}()
	device := "lyl-" + name // 15 characters at most
	if len(device) > 15 {
		return nil, fmt.Errorf("the name %q is too long for a device; use 11 characters at most", name)
	}
	tun, err := openTUN(device)
	if err != nil {
		return nil, err
	}
	h.port = &port{name: name, addr: addr, device: tun}
	for _, words := range []string{
		"ip link set " + device + " netns " + h.space,
		"ip -n " + h.space + " link set lo up",
		"ip -n " + h.space + " addr add " + addr.String() + "/32 dev " + device,
		"ip -n " + h.space + " link set " + device + " mtu 1500 txqueuelen 5000 up",
		"ip -n " + h.space + " route add default dev " + device,
	} {
		if err := run(ctx, strings.Fields(words)...); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// command is a program that runs on the host.
func (h *host) command(ctx context.Context, words ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", h.space}, words...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// close takes the host down.
func (h *host) close() {
	if h.port != nil {
		_ = h.port.device.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_ = run(ctx, "ip", "netns", "del", h.space)
}

// run runs a program to its end; an error tells what it said.
func run(ctx context.Context, words ...string) error {
	_, err := output(exec.CommandContext(ctx, words[0], words[1:]...))
	return err
}

// output runs a program to its end and returns what it printed. An error leaves out the flags, which may be secret.
func output(cmd *exec.Cmd) (string, error) {
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		words := cmd.Args
		if i := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, "--") }); i >= 0 {
			words = words[:i]
		}
		return "", fmt.Errorf("%s: %w: %s", strings.Join(words, " "), err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}

// clean removes the namespaces of laboratories that were killed.
func clean(ctx context.Context) (removed []string, err error) {
	list, err := output(exec.CommandContext(ctx, "ip", "netns", "list"))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(list) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !strings.HasPrefix(name, spacePrefix) {
			continue
		}
		if err := run(ctx, "ip", "netns", "del", name); err != nil {
			return removed, err
		}
		removed = append(removed, name)
	}
	return removed, nil
}
