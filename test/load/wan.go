package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

// Wan is a laboratory of hosts.
type Wan struct {
	Nodes    []string      // their names, each a host; the first is where the teacher publishes. "sin-1@sin" is in the region sin, "fra" in one of its own
	Between  []string      // the path between nodes, as parsePath reads it
	Near     []string      // the path between people and nodes
	Students int           // at each node
	Stripes  int           // of every link; 0 leaves it to the node
	For      time.Duration // how long the students watch
	Binary   string        // of lyceum; empty builds it
	Other    string        // of the release before, say, for every second node; empty for none
	Keep     bool          // the folder with configurations and logs
}

func newWan() *cobra.Command {
	w := Wan{}
	var between, near string
	var tidy bool
	cmd := &cobra.Command{
		Use:   "wan",
		Short: "Run whole nodes in network namespaces, joined by a router that delays and loses",
		Long: "Run lyceum serve in a network namespace for each node, with addresses of their own that a router in this process\n" +
			"joins over TUN devices, publish at the first and watch at all. For root on Linux.\n\n" +
			"Commands on standard input change the network while the class runs, one a line:\n" +
			"  cut A B              nothing passes between two hosts (a node, teacher or students)\n" +
			"  heal A B             it passes again\n" +
			"  path A B delay=80ms loss=2% jitter=5ms burst=3 rate=10M queue=100ms reorder=1% held=10ms\n" +
			"  kill A               ends a node or the teacher as a crash does\n" +
			"  freeze A, thaw A     stops one without ending it, and lets it go on\n" +
			"  wait 5s              before the next command\n\n" +
			"They begin when the students come in.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w.Between, w.Near = strings.Fields(between), strings.Fields(near)
			if os.Geteuid() != 0 {
				return errors.New("network namespaces and TUN devices need root")
			}
			if tidy {
				removed, err := clean(cmd.Context())
				fmt.Fprintf(cmd.OutOrStdout(), "removed %d namespaces %v\n", len(removed), removed)
				return err
			}
			in := cmd.InOrStdin()
			return w.run(cmd.Context(), cmd.OutOrStdout(), nil, func(ctx context.Context, l *lab) error { return l.class(ctx, in) })
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&w.Nodes, "nodes", []string{"fra", "sin", "iad"},
		"the nodes; the teacher publishes at the first; sin-1@sin is in the region sin, fra in one of its own")
	f.StringVar(&between, "between", "delay=50ms loss=1%", "the path between any two nodes, each way")
	f.StringVar(&near, "near", "delay=5ms", "the path between people and nodes, each way")
	f.IntVarP(&w.Students, "students", "n", 2, "students at each node")
	f.IntVar(&w.Stripes, "stripes", 0, "stripes of every link; 0 leaves it to the node")
	f.DurationVar(&w.For, "dur", 30*time.Second, "how long the students watch")
	f.StringVar(&w.Binary, "binary", "", "the lyceum binary; empty builds it from the working directory's module")
	f.StringVar(&w.Other, "other", "", "another lyceum binary for every second node, such as that of the release before")
	f.BoolVar(&w.Keep, "keep", false, "keep the folder with configurations and logs")
	f.BoolVar(&tidy, "clean", false, "only remove the namespaces of a run that was killed")
	return cmd
}

// The hosts that are no nodes.
const (
	teacherHost  = "teacher"
	studentsHost = "students"
)

// run builds the laboratory, with some hosts more, holds the class and takes all down.
func (w *Wan) run(ctx context.Context, out io.Writer, more []string, class func(context.Context, *lab) error) (err error) {
	between, err := parsePath(w.Between)
	if err != nil {
		return fmt.Errorf("--between: %w", err)
	}
	near, err := parsePath(w.Near)
	if err != nil {
		return fmt.Errorf("--near: %w", err)
	}
	dir, err := os.MkdirTemp("", "lyceum-wan-")
	if err != nil {
		return fmt.Errorf("make a folder for the laboratory: %w", err)
	}
	if w.Keep {
		fmt.Fprintf(out, "configurations and logs: %s\n", dir)
	} else {
		defer os.RemoveAll(dir)
	}
	regions := map[string]string{}
	var nodes []string
	for _, name := range w.Nodes {
		name, region, ok := strings.Cut(name, "@")
		if !ok {
			region = name
		}
		nodes, regions[name] = append(nodes, name), region
	}
	names := slices.Concat(nodes, []string{teacherHost, studentsHost}, more)
	hosts := map[string]*host{}
	var ports []*port
	defer func() {
		for _, h := range hosts {
			h.close()
		}
	}()
	for i, name := range names {
		h, err := newHost(ctx, name, netip.AddrFrom4([4]byte{10, 99, byte(i + 1), 1}))
		if err != nil {
			return err
		}
		hosts[name] = h
		ports = append(ports, h.port)
	}
	r := newRouter(ports, func(from, to string) (p Path) {
		if slices.Contains(nodes, from) && slices.Contains(nodes, to) {
			between(&p)
		} else {
			near(&p)
		}
		return p
	})
	// The network outlives the class, so that nodes can say goodbye.
	network, down := context.WithCancel(context.Background())
	var routing sync.WaitGroup
	defer routing.Wait()
	defer down()
	routed := make(chan error, 1)
	routing.Go(func() { routed <- r.run(network) })

	l := &lab{
		wan: w, dir: dir, nodes: nodes, regions: regions, hosts: hosts, router: r, out: out, processes: map[string]*os.Process{},
	}
	if err := class(ctx, l); err != nil {
		return err
	}
	for _, p := range ports {
		for _, q := range ports {
			if t := r.carriers[pair{p.name, q.name}].traffic(); t.Packets > 0 && p != q {
				fmt.Fprintf(out, "%s to %s: %d packets, %.1f MB, %d lost, %d dropped by the queue, %d cut off\n", p.name, q.name,
					t.Packets, float64(t.Bytes)/1e6, t.Lost, t.Full, t.Cut)
			}
		}
	}
	select {
	case err := <-routed:
		return err
	default:
		return nil
	}
}
