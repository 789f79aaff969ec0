package main

import (
	"fmt"
	"os"
	"reflect"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"lyceum/cmd/node"
)

func newCheck() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "check --config FILE",
		Short: "Check a node's configuration and the files that it names, and print the effective one",
		Long: "Check a node's configuration and the files that it names, and print the configuration that serve would\n" +
			"use: defaults, file, environment and flags together. What secret files hold is not shown.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := load(path, os.Environ(), cmd.Flags())
			if err != nil {
				return err
			}
			text, err := yaml.Marshal(plain(reflect.ValueOf(cfg)))
			if err != nil {
				return fmt.Errorf("print the configuration: %w", err)
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "%s\n", text)
			findings := node.Check(cfg)
			bad := false
			for _, f := range findings {
				mark := "ok   "
				if f.Err != nil {
					mark, bad = "WRONG", true
				}
				fmt.Fprintf(out, "# %s  %s\n", mark, f)
			}
			if bad {
				return errChecked
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&path, "config", "", "the node's configuration file (YAML)")
	configFlags(cmd.Flags())
	return cmd
}

// plain turns a configuration into maps with the keys of the file, in the order of the structure.
func plain(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Struct:
		n := &yaml.Node{Kind: yaml.MappingNode}
		for i := range v.NumField() {
			var key, value yaml.Node
			key.SetString(v.Type().Field(i).Tag.Get("koanf"))
			if err := value.Encode(plain(v.Field(i))); err != nil {
				value.SetString(err.Error())
			}
			n.Content = append(n.Content, &key, &value)
		}
		return n
	case reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = plain(v.Index(i))
		}
		return list
	}
	return v.Interface()
}
