package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"lyceum/cmd/node"
)

func newServe() *cobra.Command {
	var path string
	var tied bool
	cmd := &cobra.Command{
		Use:   "serve --config FILE",
		Short: "Run one node",
		Long: "Run one node until it is interrupted; a second interrupt ends it without letting its people go elsewhere first.\n" +
			"Each key of the configuration file is an environment variable and a flag\n" +
			"too; a flag wins over the environment, and that over the file. lyceum check prints all keys with their values.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := load(path, os.Environ(), cmd.Flags())
			if err != nil {
				return err
			}
			node.SpareMemory()
			log := newLogger(os.Stderr, cfg.Log)
			if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
				return fmt.Errorf("data: %w", err)
			}
			sockets, err := node.OpenSockets(cfg)
			if err != nil {
				return err
			}
			registry := prometheus.NewRegistry()
			registry.MustRegister(collectors.NewGoCollector(),
				collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
			n, err := node.New(cfg, sockets, node.Deps{Logger: log, Registry: registry, Version: version()})
			if err != nil {
				return err
			}
			return n.Run(leash(cmd.Context(), tied))
		},
	}
	cmd.Flags().StringVar(&path, "config", "", "the node's configuration file (YAML)")
	tieFlag(cmd, &tied)
	configFlags(cmd.Flags())
	return cmd
}

// tieFlag adds the hidden flag by which lyceum up keeps its children from outliving it.
func tieFlag(cmd *cobra.Command, tied *bool) {
	cmd.Flags().BoolVar(tied, "leash", false, "end when standard input ends")
	_ = cmd.Flags().MarkHidden("leash") // the flag exists
}

func newLogger(w io.Writer, cfg node.Log) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(cfg.Level)) // Validate knows the levels
	opts := &slog.HandlerOptions{Level: level}
	if cfg.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// version is that of the main module, or the commit that it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value[:min(12, len(s.Value))]
		}
	}
	return "devel"
}

// errChecked is what check returns after it has printed what is wrong.
var errChecked = errors.New("the node would not start")
