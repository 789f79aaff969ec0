package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	nodes "lyceum/cmd/node"
)

// failure is what happens to the parent of a node, and what it may cost.
type failure struct {
	name, what string
	gap        time.Duration // the target
	do, undo   func(l *lab, p place) error
}

// place is where a node gets the class from.
type place struct{ node, parent, standby string }

// failures are in an order that lets one laboratory go through all of them.
func (l *lab) failures() []failure {
	each := func(p place, do func(name string) error) error { return errors.Join(do(p.parent), do(p.standby)) }
	cut := func(a, b string, cut bool) error {
		return l.router.change(a, b, func(p *Path) { p.Cut = cut })
	}
	nothing := func(*lab, place) error { return nil }
	return []failure{
		{"nothing", "nothing", 200 * time.Millisecond, nothing, nothing},
		{
			"cut", "link to the parent cut silently", time.Second,
			func(l *lab, p place) error { return cut(p.node, p.parent, true) },
			func(l *lab, p place) error { return cut(p.node, p.parent, false) },
		},
		{
			"freeze", "parent stopped (SIGSTOP)", time.Second,
			func(l *lab, p place) error { return l.signal(p.parent, stopSignal) },
			func(l *lab, p place) error { return l.signal(p.parent, continueSignal) },
		},
		{
			"kill", "parent killed (SIGKILL)", time.Second,
			func(l *lab, p place) error { return l.signal(p.parent, syscall.SIGKILL) },
			func(l *lab, p place) error { return l.serve(l.serving, p.parent) },
		},
		{
			"cut-both", "links to parent and standby cut at once", 3 * time.Second,
			func(l *lab, p place) error { return each(p, func(n string) error { return cut(p.node, n, true) }) },
			func(l *lab, p place) error { return each(p, func(n string) error { return cut(p.node, n, false) }) },
		},
		{
			"kill-both", "parent and standby killed at once", 3 * time.Second,
			func(l *lab, p place) error {
				return each(p, func(n string) error { return l.signal(n, syscall.SIGKILL) })
			},
			nothing,
		},
	}
}

const (
	failWarm   = 6 * time.Second  // before something happens
	failFor    = 5 * time.Second  // how long it lasts
	failHealed = 25 * time.Second // for all to be as before
)

func newFail() *cobra.Command {
	w := Wan{Nodes: []string{"fra", "sin-1@sin", "sin-2@sin", "sin-3@sin"}, Students: 1}
	var between, near string
	var only []string
	cmd := &cobra.Command{
		Use:   "fail",
		Short: "Kill, stop and cut off the parent of a node while a class of three layers comes from it",
		Long: "Run four nodes in network namespaces, the home in one region and three in another, and let happen to the parent of one\n" +
			"of them what happens to hosts. One more child of that node notes each packet of all three layers. For root on Linux.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w.Between, w.Near = strings.Fields(between), strings.Fields(near)
			if os.Geteuid() != 0 {
				return errors.New("network namespaces and TUN devices need root")
			}
			return w.run(cmd.Context(), cmd.OutOrStdout(), []string{probeHost}, func(ctx context.Context, l *lab) error {
				return l.fail(ctx, only)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&between, "between", "delay=25ms", "the path between any two nodes, each way")
	f.StringVar(&near, "near", "delay=2ms", "the path between people and nodes, each way")
	f.IntVarP(&w.Students, "students", "n", 1, "students at each node")
	f.StringSliceVar(&only, "only", nil, "some of nothing, cut, freeze, kill, cut-both, kill-both; empty means all")
	f.StringVar(&w.Binary, "binary", "", "the lyceum binary; empty builds it from the working directory's module")
	f.StringVar(&w.Other, "other", "", "another lyceum binary for every second node, such as that of the release before")
	f.BoolVar(&w.Keep, "keep", false, "keep the folder with configurations and logs")
	return cmd
}

// fail holds a class, lets one failure after the other happen and prints what each cost.
func (l *lab) fail(ctx context.Context, only []string) error {
	var list []failure
	for _, f := range l.failures() {
		if len(only) == 0 || slices.Contains(only, f.name) {
			list = append(list, f)
		}
	}
	if len(list) == 0 {
		return fmt.Errorf("nothing is called %s that may happen to a parent", strings.Join(only, " or "))
	}
	// Students keep the nodes in the class; they stay until the end, which cannot be known exactly.
	l.wan.For = failWarm + time.Duration(len(list))*(failWarm+failFor+failHealed/2)
	return l.teach(ctx, func(serving context.Context, student string) error {
		l.serving = serving
		var err error
		watched := l.attend(ctx, student, func() { err = l.failOneByOne(ctx, list) })
		return errors.Join(err, watched)
	})
}

func (l *lab) failOneByOne(ctx context.Context, list []failure) error {
	p, epoch, err := l.place(ctx, place{}, failHealed)
	if err != nil {
		return err
	}
	probe, err := l.newProbe(ctx, p.node, epoch)
	if err != nil {
		return err
	}
	probing, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- probe.run(probing) }()
	defer func() {
		stop()
		<-ended
	}()
	fmt.Fprint(l.out, "| what happens to the parent | from | standby | to | layers | longest time without a packet, ms [target] | packets missing |\n"+
		"|---|---|---|---|---|---|---|\n")
	for _, f := range list {
		if p, _, err = l.place(ctx, p, failHealed); err != nil {
			return err
		}
		if err := pause(ctx, failWarm); err != nil {
			return err
		}
		probe.mark()
		if err := f.do(l, p); err != nil {
			return fmt.Errorf("%s: %w", f.what, err)
		}
		if err := pause(ctx, failFor); err != nil {
			return err
		}
		o := probe.outcome()
		to := "-"
		if now, _, err := l.look(ctx, p.node); err == nil {
			to = now.parent
		}
		fmt.Fprintf(l.out, "| %s | %s | %s | %s | %d | %.0f [%.0f] | %d of %d |\n", f.what, p.parent, p.standby, to, o.layers,
			millis(o.gap), millis(f.gap), o.missing, o.packets)
		if err := f.undo(l, p); err != nil {
			return fmt.Errorf("after %s: %w", f.what, err)
		}
	}
	fmt.Fprintln(l.out)
	return nil
}

// place waits until a node, the given one or any, gets the class from a node of its region while another one of it stands by.
func (l *lab) place(ctx context.Context, like place, limit time.Duration) (p place, epoch uint64, err error) {
	home := l.nodes[0]
	deadline := time.Now().Add(limit)
	for {
		for _, name := range l.nodes[1:] {
			if like.node != "" && name != like.node {
				continue
			}
			if p, epoch, err = l.look(ctx, name); err == nil && p.parent != home && p.standby != home && p.parent != "" && p.standby != "" &&
				(like.parent == "" || p.parent == like.parent) {
				return p, epoch, nil
			}
		}
		if time.Now().After(deadline) {
			return p, 0, fmt.Errorf("no node gets the class from another of its region while a third stands by, but %+v: %w", p, err)
		}
		if err := pause(ctx, 500*time.Millisecond); err != nil {
			return p, 0, err
		}
	}
}

// look asks a node where it gets the class from.
func (l *lab) look(ctx context.Context, name string) (p place, epoch uint64, err error) {
	var t nodes.Tree
	if err := l.ask(ctx, name, "/v1/rooms/"+room+"/tree", &t); err != nil {
		return p, 0, err
	}
	for _, n := range t.Nodes {
		if n.ID == name {
			return place{name, n.Parent, n.Standby}, t.Epoch, nil
		}
	}
	return p, 0, fmt.Errorf("%s does not carry the class", name)
}

// ask asks the admin listener of a node.
func (l *lab) ask(ctx context.Context, name, path string, out any) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	transport := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (conn net.Conn, err error) {
		err = l.hosts[name].inside(func() error {
			var d net.Dialer
			conn, err = d.DialContext(ctx, network, addr)
			return err
		})
		return conn, err
	}}
	defer transport.CloseIdleConnections()
	rq, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:7701"+path, nil)
	if err != nil {
		return err
	}
	rsp, err := (&http.Client{Transport: transport}).Do(rq)
	if err != nil {
		return fmt.Errorf("ask %s: %w", name, err)
	}
	defer rsp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(rsp.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("read the answer of %s: %w", name, err)
	}
	if rsp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", name, rsp.Status)
	}
	return json.Unmarshal(text, out)
}
