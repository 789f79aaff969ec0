package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := &cobra.Command{
		Use:           "load",
		Short:         "Measure Lyceum under load and on bad networks",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newLink(), newHop(), newEnd(), newWan(), newFail())
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		stop()
		os.Exit(1)
	}
}
