package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"lyceum/cmd/client"
)

func newWatch() *cobra.Command {
	var cfg client.WatchConfig
	var asJSON bool
	var from string
	cmd := &cobra.Command{
		Use:   "watch URL --token T -n N --for D",
		Short: "Be a class of students who watch by WHEP and measure",
		Args:  named("URL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg.URL = args[0]
			if from != "" {
				cfg.Header = http.Header{"X-Forwarded-For": {from}}
			}
			progress := progressLine(cmd.ErrOrStderr())
			if asJSON {
				progress = nil
			}
			began := time.Now()
			if progress != nil {
				cfg.OnProgress = func(r client.Report) {
					progress("%s  %d of %d joined, %d failed  %d packets, %d lost  latency p50 %.1f ms",
						time.Since(began).Round(time.Second), r.Joined, r.Students, r.Failed, r.Packets, r.Lost, r.Latency.P50)
				}
			}
			r, err := client.Watch(cmd.Context(), cfg)
			if progress != nil {
				progress("")
			}
			if err != nil {
				return err
			}
			if asJSON {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(r)
			} else {
				writeReport(cmd.OutOrStdout(), r)
			}
			if err == nil && r.Joined == 0 {
				err = errors.New("no student got any media")
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&cfg.Token, "token", "", "the students' bearer token")
	f.IntVarP(&cfg.Students, "students", "n", 1, "how many students")
	f.DurationVar(&cfg.For, "for", 0, "how long to watch; 0 watches until interrupted")
	f.DurationVar(&cfg.Ramp, "ramp", 0, "the time over which the students come in; 0 is all at once")
	f.StringVar(&from, "from", "", "pretend to have this address; the node believes it from a configured proxy only")
	f.BoolVar(&asJSON, "json", false, "print one JSON object and no progress")
	return cmd
}

func writeReport(w io.Writer, r client.Report) {
	fmt.Fprintf(w, "students        %d: %d joined, %d failed\n", r.Students, r.Joined, r.Failed)
	for _, reason := range slices.Sorted(maps.Keys(r.Failures)) {
		fmt.Fprintf(w, "                %d: %s\n", r.Failures[reason], reason)
	}
	fmt.Fprintf(w, "packets         %d, %d lost, %d twice\n", r.Packets, r.Lost, r.Duplicates)
	fmt.Fprintf(w, "longest gap     %.0f ms\n", r.LongestGap)
	fmt.Fprintf(w, "one-way delay   p50 %.1f  p95 %.1f  p99 %.1f ms\n", r.Latency.P50, r.Latency.P95, r.Latency.P99)
	fmt.Fprintf(w, "first packet    p50 %.0f  p95 %.0f ms after the POST\n", r.FirstPacket.P50, r.FirstPacket.P95)
	fmt.Fprintf(w, "first keyframe  p50 %.0f  p95 %.0f ms after the POST\n", r.FirstKeyframe.P50, r.FirstKeyframe.P95)
	fmt.Fprintf(w, "reconnects      %d\n", r.Reconnects)
	for _, node := range slices.Sorted(maps.Keys(r.Nodes)) {
		fmt.Fprintf(w, "at %-12s %d\n", node, r.Nodes[node])
	}
}
