package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newLink() *cobra.Command {
	var s Setup
	var stripes []int
	var only []string
	var asJSON, verbose bool
	var retries int
	cmd := &cobra.Command{
		Use:   "link",
		Short: "Measure one link on long ways that lose packets",
		Long: "Measure one link between two nodes in this process, joined by a middlebox on loopback that delays, loses and\n" +
			"queues packets in both directions. The delay is that of a frame in order, from its writing at the parent until\n" +
			"it and all before it can be read at the child, propagation included. Rows whose timer lag (p99) is above 10 ms\n" +
			"are marked: the machine was too busy.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			chosen, err := choose(rows(), only)
			if err != nil {
				return err
			}
			s.Logger = slog.New(slog.DiscardHandler)
			if verbose {
				s.Logger = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelDebug}))
			}
			out := cmd.OutOrStdout()
			if !asJSON {
				fmt.Fprintf(out, linkHead, s.For, s.Warm, s.Seed)
			}
			for _, n := range stripes {
				s.Stripes = n
				for _, row := range chosen {
					r, err := measure(cmd.Context(), row, s)
					for tries := 0; err == nil && r.Noisy() && tries < retries; tries++ {
						fmt.Fprintf(cmd.ErrOrStderr(), "%s: the timers lag by %.1f ms; again\n", row.Name, r.Lag)
						r, err = measure(cmd.Context(), row, s)
					}
					if err != nil {
						return err
					}
					if asJSON {
						if err := json.NewEncoder(out).Encode(r); err != nil {
							return err
						}
						continue
					}
					fmt.Fprint(out, linkLine(row, r))
				}
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.DurationVar(&s.For, "dur", 30*time.Second, "how long a row is measured, or each half of one whose path changes")
	f.DurationVar(&s.Warm, "warm", 2*time.Second, "how long a row runs before it is measured")
	f.IntSliceVar(&stripes, "stripes", []int{0}, "stripes of the link; several measure all rows again; 0 leaves it to the link")
	f.StringSliceVar(&only, "only", nil, "measure rows whose name begins so")
	f.IntVar(&retries, "retries", 1, "how often a row is measured again when the machine was too busy")
	f.Uint64Var(&s.Seed, "seed", rand.Uint64(), "of the losses")
	f.BoolVar(&asJSON, "json", false, "print one JSON object for each row")
	f.BoolVar(&verbose, "verbose", false, "show what the nodes log")
	return cmd
}

// choose keeps the rows whose name begins with one of the prefixes; none keeps all.
func choose(all []Row, prefixes []string) (chosen []Row, err error) {
	for _, p := range prefixes {
		if !slices.ContainsFunc(all, func(r Row) bool { return strings.HasPrefix(r.Name, p) }) {
			names := make([]string, 0, len(all))
			for _, r := range all {
				names = append(names, r.Name)
			}
			return nil, fmt.Errorf("no row begins with %q; there are %s", p, strings.Join(names, ", "))
		}
	}
	for _, r := range all {
		if len(prefixes) == 0 || slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(r.Name, p) }) {
			chosen = append(chosen, r)
		}
	}
	return chosen, nil
}

const linkHead = `Frames in order, ms, propagation included; [target]. A mark ! means that the machine was too busy.
Each row ran %v after %v of warming up, seed %d.

| path | stripes | p50 | p95 | p99 | max | missing | keyframe p50 | audio lost | audio p99 | QUIC/RTP | resets | lag p99 |
|---|---|---|---|---|---|---|---|---|---|---|---|---|
`

func linkLine(row Row, r Result) string {
	var b strings.Builder
	mark := ""
	if r.Noisy() {
		mark = " !"
	}
	whole := target(row.P99)
	if row.Then != nil {
		whole = "" // it is for the base layer while the path is narrow
	}
	fmt.Fprintf(&b, "| %s | %d | %.0f%s | %.0f | %.0f%s | %.0f | %d of %d | %.0f | %d of %d | %.0f | %.2f | %.0f | %.1f%s |\n",
		row.Name, r.Stripes, r.Ordered.P50, target(row.P50), r.Ordered.P95, r.Ordered.P99, whole, r.Ordered.Max,
		r.Missing, r.Frames, r.Keys.P50, r.SoundsLost, r.Sounds, r.Sound.P99, r.PerPacket, r.Resets, r.Lag, mark)
	for l, layer := range r.Layers {
		writeLayer(&b, row, l, layer)
	}
	return b.String()
}

// writeLayer tells of one layer before and after the path changed.
func writeLayer(w io.Writer, row Row, l int, r LayerResult) {
	back := "not back"
	if r.Back >= 0 {
		back = fmt.Sprintf("back after %.1f s", r.Back)
	}
	narrow := ""
	if l == 0 {
		narrow = target(row.P99)
	}
	fmt.Fprintf(w, "| %s layer %d | | narrow p50 %.0f | p99 %.0f%s | missing %d of %d | wide p50 %.0f | p99 %.0f | missing %d | %s |||||\n",
		row.Name, l, r.Before.P50, r.Before.P99, narrow, r.MissingBefore, r.Frames, r.After.P50, r.After.P99, r.MissingAfter, back)
}

func target(ms float64) string {
	if ms == 0 {
		return ""
	}
	return fmt.Sprintf(" [%.0f]", ms)
}
