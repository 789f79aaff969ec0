package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// named requires one argument for each name.
func named(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return fmt.Errorf("%s is missing, as in: %s", names[len(args)], cmd.UseLine())
		case len(args) > len(names):
			return fmt.Errorf("%q is one argument too many for: %s", args[len(names)], cmd.UseLine())
		}
		return nil
	}
}

// group makes a command that only has others below it refuse those that it does not have.
func group(cmd *cobra.Command) {
	cmd.DisableFlagsInUseLine = true
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		var names []string
		for _, c := range cmd.Commands() {
			names = append(names, c.Name())
		}
		return fmt.Errorf("there is no command %q below %q; there is %s", args[0], cmd.CommandPath(), strings.Join(names, ", "))
	}
}

// flagError says where the flags are listed.
func flagError(cmd *cobra.Command, err error) error {
	return fmt.Errorf("%w; %s --help lists the flags", err, cmd.CommandPath())
}
