package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"lyceum/cmd/node"
)

const (
	// drainPoll is how often lyceum drain asks how far the node is.
	drainPoll = time.Second
	// drainPatience is how long a node may not answer that is asked how far it is.
	drainPatience = 15 * time.Second
)

func newDrain() *cobra.Command {
	var deadline time.Duration
	cmd := &cobra.Command{
		Use:   "drain NODE",
		Short: "Let everybody at a node go elsewhere, and say when it is safe to stop it",
		Long: "Let everybody at a node go elsewhere, and say when it is safe to stop it. The node takes nobody from then on, until\n" +
			"it is stopped or lyceum undrain brings it back. Any node passes the wish on to the one that is meant. An interrupt\n" +
			"ends the waiting, not the drain.",
		Args: named("NODE"),
	}
	admin := adminFlag(cmd)
	cmd.Flags().DurationVar(&deadline, "deadline", 10*time.Minute, "when all are to have gone; students go in the first two thirds")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var info node.DrainInfo
		err := admin.call(cmd.Context(), http.MethodPost, node.DrainPath(args[0]), node.DrainRequest{Deadline: deadline.String()}, &info)
		if err != nil {
			return err
		}
		return awaitDrain(cmd.Context(), admin, info, cmd.OutOrStdout())
	}
	return cmd
}

// awaitDrain tells how far a node is until nobody needs it or its time is over.
func awaitDrain(ctx context.Context, admin *adminClient, info node.DrainInfo, out io.Writer) error {
	said := ""
	heard := time.Now()
	for {
		switch {
		case !info.Draining:
			return fmt.Errorf("%s is drained no more: somebody else took it back, or it was started anew", info.Node)
		case info.Safe:
			fmt.Fprintf(out, "It is safe to stop %s.\n", info.Node)
			return nil
		case time.Now().After(info.Until.Add(drainPoll)):
			return fmt.Errorf("the time is over, and still at %s: %s; it takes nobody, and lyceum undrain %s brings it back",
				info.Node, info, info.Node)
		}
		if text := info.String(); text != said {
			fmt.Fprintf(out, "Still at %s: %s.\n", info.Node, text)
			said = text
		}
		select {
		case <-ctx.Done():
			return errors.New("the drain goes on without being watched")
		case <-time.After(drainPoll):
		}
		var next node.DrainInfo
		err := admin.call(ctx, http.MethodGet, node.DrainPath(info.Node), nil, &next)
		switch {
		case err == nil:
			info, heard = next, time.Now()
		case ctx.Err() == nil && time.Since(heard) > drainPatience:
			return fmt.Errorf("how far %s is cannot be told: %w", info.Node, err)
		}
	}
}

func newUndrain() *cobra.Command {
	cmd := &cobra.Command{Use: "undrain NODE", Short: "Let a node take people again", Args: named("NODE")}
	admin := adminFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var info node.DrainInfo
		if err := admin.call(cmd.Context(), http.MethodDelete, node.DrainPath(args[0]), nil, &info); err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s takes people again.\n", info.Node)
		return nil
	}
	return cmd
}
