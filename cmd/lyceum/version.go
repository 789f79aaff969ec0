package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"lyceum/geo"
)

func newVersion() *cobra.Command {
	var licences bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version, and with --licenses whose work is inside",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			fmt.Fprintln(out, "lyceum", version())
			if licences {
				fmt.Fprintf(out, "\nLyceum is licensed under the Apache License 2.0.\n\n%s", geo.Licences())
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&licences, "licenses", false, "print the licences of embedded data")
	return cmd
}
