// Command lyceum teaches one class to students who are far apart: it runs a node of the mesh, a whole mesh on one
// machine, a teacher and students without a browser, and the tools of an operator.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() { // a second signal ends at once
		again := make(chan os.Signal, 1)
		signal.Notify(again, os.Interrupt, syscall.SIGTERM)
		<-again
		os.Exit(1)
	})
	root := newRoot()
	root.SetArgs(longFlags(os.Args[1:]))
	if err := root.ExecuteContext(withGoRun(ctx)); err != nil {
		fmt.Fprintln(os.Stderr, "lyceum:", err)
		os.Exit(1)
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "lyceum",
		Short: "One class, many places: a mesh of WebRTC nodes for live teaching",
		Long: "One class, many places: a mesh of WebRTC nodes for live teaching.\n\n" +
			"lyceum up --demo shows a class on a mesh of three nodes on this machine.",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetFlagErrorFunc(flagError)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newUp(), newServe(), newCheck(), newPublish(), newWatch(), newRoom(), newToken(), newNodes(),
		newTree(), newDrain(), newUndrain(), newDirectory(), newKeys(), newPKI(), newVersion())
	return root
}

var singleDash = regexp.MustCompile(`^-[a-z][a-z.-]+(=.*)?$`)

// longFlags lets "-config F" be written for "--config F", as Go programs do it. No short flag has two letters.
func longFlags(args []string) []string {
	out := make([]string, len(args))
	for i, a := range args {
		if a == "--" {
			copy(out[i:], args[i:])
			break
		}
		if singleDash.MatchString(a) {
			a = "-" + a
		}
		out[i] = a
	}
	return out
}
