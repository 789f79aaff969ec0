package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"lyceum/cmd/client"
	"lyceum/cmd/node"
)

func newPublish() *cobra.Command {
	var cfg client.PublishConfig
	var tied bool
	cmd := &cobra.Command{
		Use:   "publish URL --token T",
		Short: "Be a teacher who plays a clip by WHIP",
		Args:  named("URL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg.URL = args[0]
			cfg.Logger = newLogger(os.Stderr, node.Log{Level: "info"})
			progress := progressLine(cmd.ErrOrStderr())
			if progress != nil {
				cfg.OnState = func(s client.State) {
					progress("%s  live %t  layers %d  packets %d  %.1f MB  keyframes asked for %d", s.Host, s.Live, s.Layers,
						s.Packets, float64(s.Bytes)/1e6, s.Keyframes)
				}
			}
			return client.Publish(leash(cmd.Context(), tied), cfg)
		},
	}
	f := cmd.Flags()
	f.StringVar(&cfg.Token, "token", "", "the teacher's bearer token")
	f.StringVar(&cfg.File, "file", "", "a VP8 clip (.ivf, with Opus in an .ogg beside it); empty plays the embedded one")
	f.IntVar(&cfg.Layers, "layers", 0, "simulcast layers, 1 to 3; 0 sends all there are")
	f.StringSliceVar(&cfg.Origins, "origin", nil, "another WHIP URL of the room, for when the first does not answer")
	tieFlag(cmd, &tied)
	return cmd
}

// progressLine returns a function that rewrites one line of a terminal, or nil when w is not one.
func progressLine(w io.Writer) func(format string, args ...any) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return func(format string, args ...any) { fmt.Fprintf(f, "\r\x1b[K"+format, args...) }
}
