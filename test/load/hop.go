package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"lyceum/mesh/pki"
)

func newHop() *cobra.Command {
	s := Setup{Logger: slog.New(slog.DiscardHandler)}
	e := End{}
	var rounds int
	var only, profiles string
	cmd := &cobra.Command{
		Use:   "hop",
		Short: "Measure what one hop adds: delay on loopback, and CPU against a bare QUIC stream",
		Long: "Measure the delay that one hop adds on loopback, and the CPU of a link for each RTP packet at either end, each\n" +
			"end in a process of its own, against a bare QUIC connection with one stream for each track that carries the\n" +
			"same packets between the same tracks, and against one without tracks: publishers write into its streams, and\n" +
			"what comes out is counted. The three take turns.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s.Stripes = e.Stripes
			if only != "cpu" {
				if err := hopDelay(cmd.Context(), cmd.OutOrStdout(), s); err != nil || only == "delay" {
					return err
				}
			}
			e.Warm, e.For = s.Warm, s.For
			return hopCPU(cmd.Context(), cmd.OutOrStdout(), e, rounds, profiles)
		},
	}
	f := cmd.Flags()
	f.DurationVar(&s.For, "dur", 10*time.Second, "how long each is measured")
	f.DurationVar(&s.Warm, "warm", 2*time.Second, "how long each runs before it is measured")
	f.IntVar(&e.Stripes, "stripes", 0, "stripes of the link; 0 leaves it to the link")
	f.IntVar(&e.Tracks, "tracks", 20, "tracks of 3 Mbps for the CPU")
	f.IntVar(&rounds, "rounds", 3, "how often they take turns")
	f.StringVar(&only, "only", "", "delay or cpu; empty measures both")
	f.StringVar(&profiles, "cpuprofile", "", "a folder for CPU profiles of the ends, of the last round")
	return cmd
}

func hopDelay(ctx context.Context, w io.Writer, s Setup) error {
	fmt.Fprint(w, `Added delay of one hop on loopback, ms; [target].

| what | whole frames p50 | p99 | max | single packets p50 | p99 | audio p50 | p99 | missing | lag p99 |
|---|---|---|---|---|---|---|---|---|---|
`)
	for _, row := range hops() {
		r, err := measure(ctx, row, s)
		if err != nil {
			return err
		}
		mark := ""
		if r.Noisy() {
			mark = " !"
		}
		whole := fmt.Sprintf("%.2f%s | %.2f%s | %.2f", r.Complete.P50, target(row.P50), r.Complete.P99, target(row.P99), r.Complete.Max)
		if row.Spaced > 0 {
			whole = "- | - | -" // it contains the pauses of the publisher
		}
		fmt.Fprintf(w, "| %s | %s | %.2f | %.2f | %.2f | %.2f | %d of %d | %.1f%s |\n", row.Name, whole,
			r.Packets.P50, r.Packets.P99, r.Sound.P50, r.Sound.P99, r.Missing, r.Frames, r.Lag, mark)
	}
	return nil
}

// hopCPU compares the CPU of a link with that of a bare stream.
func hopCPU(ctx context.Context, w io.Writer, e End, rounds int, profiles string) error {
	dir, err := os.MkdirTemp("", "lyceum-load-")
	if err != nil {
		return fmt.Errorf("make a folder for certificates: %w", err)
	}
	defer os.RemoveAll(dir)
	e.Secrets = dir
	if err := writeSecrets(dir, cluster, parentID, childID); err != nil {
		return err
	}
	fmt.Fprintf(w, `
CPU for each RTP packet, µs, %d tracks of 3 Mbps: of a link, of streams that join the same tracks, of streams without
tracks; and what a link costs for each of theirs [1.3].

| round | link: parent | child | streams: parent | child | ratio: parent | child | without tracks: parent | child | ratio: parent | child |
|---|---|---|---|---|---|---|---|---|---|---|
`, e.Tracks)
	line := func(name string, c [3][2]Cost) {
		l, s, b := c[0], c[1], c[2]
		fmt.Fprintf(w, "| %s | %.1f | %.1f | %.1f | %.1f | %.2f | %.2f | %.1f | %.1f | %.2f | %.2f |\n", name,
			l[0].perPacket(), l[1].perPacket(), s[0].perPacket(), s[1].perPacket(), l[0].over(s[0]), l[1].over(s[1]),
			b[0].perPacket(), b[1].perPacket(), l[0].over(b[0]), l[1].over(b[1]))
	}
	carriers := []string{byLink, byStream, byBytes}
	var all [3][2]Cost
	for round := range rounds {
		var now [3][2]Cost
		for turn := range carriers {
			i := (round + turn) % len(carriers) // a machine that becomes slower is to favour none
			e.Carry = carriers[i]
			if now[i], err = ends(ctx, e, profiles); err != nil {
				return fmt.Errorf("measure the CPU of %s: %w", e.Carry, err)
			}
			for end := range 2 {
				all[i][end].add(now[i][end])
			}
		}
		line(fmt.Sprint(round+1), now)
	}
	line("all", all)
	return nil
}

func (c *Cost) add(o Cost) {
	c.Packets += o.Packets
	c.CPU += o.CPU
}

// ends runs both ends, each in a process of its own. Their profiles go to a folder, if one is named.
func ends(ctx context.Context, e End, profiles string) (costs [2]Cost, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	profile := func(end string) string {
		if profiles == "" {
			return ""
		}
		return filepath.Join(profiles, e.Carry+"-"+end+".pprof")
	}
	e.Profile = profile("parent")
	parent, err := spawn(ctx, e)
	if err != nil {
		return costs, err
	}
	addr, err := parent.out.ReadString('\n')
	if err != nil {
		return costs, errors.Join(fmt.Errorf("the parent gave no address: %w", err), parent.wait())
	}
	e.To = strings.TrimSpace(addr)
	e.Profile = profile("child")
	child, err := spawn(ctx, e)
	if err != nil {
		cancel()
		return costs, errors.Join(err, parent.wait())
	}
	for i, p := range []*process{parent, child} {
		decoded := json.NewDecoder(p.out).Decode(&costs[i])
		if werr := p.wait(); werr != nil || decoded != nil {
			cancel()
			err = errors.Join(err, decoded, werr)
		}
	}
	return costs, err
}

// process is a child process of this command.
type process struct {
	cmd    *exec.Cmd
	out    *bufio.Reader
	stderr bytes.Buffer
}

func spawn(ctx context.Context, e End) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	p := &process{cmd: exec.CommandContext(ctx, self, e.arguments()...)}
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = 5 * time.Second
	p.cmd.Stderr = &p.stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start an end: %w", err)
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start an end: %w", err)
	}
	return p, nil
}

func (p *process) wait() error {
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("an end failed: %w: %s", err, strings.TrimSpace(p.stderr.String()))
	}
	return nil
}

// writeSecrets makes an authority in a folder, and certificates of nodes.
func writeSecrets(dir, cluster string, nodes ...string) error {
	a, err := pki.NewAuthority(cluster, 24*time.Hour)
	if err != nil {
		return err
	}
	ca, _ := a.PEM()
	errs := []error{os.WriteFile(filepath.Join(dir, "ca.pem"), ca, 0o600)}
	for _, n := range nodes {
		cert, key, err := a.Issue(n, 24*time.Hour)
		errs = append(errs, err, os.WriteFile(filepath.Join(dir, n+".pem"), cert, 0o600),
			os.WriteFile(filepath.Join(dir, n+".key"), key, 0o600))
	}
	return errors.Join(errs...)
}
